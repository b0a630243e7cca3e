/*
 * The stack that the crash model explores, and what it judges by: a small
 * file system of known content below an overlay, and the state that a device
 * is in.
 */
#ifndef CRASH_WORLD_H
#define CRASH_WORLD_H

#include "crash_tree.h"
#include "overlay_mem.h"

enum {
	WORLD_SIZE = 384 << 10, /* bytes of the base */
	WORLD_LIMIT = 4 << 20,  /* that it may grow to */
};

/* -- sets of hashes -------------------------------------------------------- */

struct set {
	struct slot {
		uint64_t key; /* 0: free */
		uint32_t value;
	} * slot;
	size_t n, room;
};

static inline uint64_t
hash_of(uint64_t h, const void *buf, size_t len)
{
	const uint8_t *p = buf;
	uint64_t w;

	h ^= len * 0x9e3779b97f4a7c15u;
	for (; len >= 8; len -= 8, p += 8) {
		memcpy(&w, p, 8);
		h = (h ^ w) * 0xff51afd7ed558ccdu;
		h ^= h >> 32;
	}
	for (; len > 0; len--)
		h = (h ^ *p++) * 0xc4ceb9fe1a85ec53u;
	h ^= h >> 29;
	return h != 0 ? h : 1;
}

static inline struct slot *
set_at(const struct set *s, uint64_t key)
{
	size_t i = key % s->room;

	while (s->slot[i].key != 0 && s->slot[i].key != key)
		i = (i + 1) % s->room;
	return &s->slot[i];
}

static inline void
set_grow(struct set *s)
{
	struct set larger = {.n = s->n, .room = s->room * 2 + 4093};

	larger.slot = calloc(larger.room, sizeof(*larger.slot));
	for (size_t i = 0; i < s->room; i++)
		if (s->slot[i].key != 0)
			*set_at(&larger, s->slot[i].key) = s->slot[i];
	free(s->slot);
	*s = larger;
}

/* The value of key, which is new in the set when it comes back as 0. */
static inline uint32_t *
set_find(struct set *s, uint64_t key)
{
	struct slot *slot;

	if (s->n * 2 >= s->room)
		set_grow(s);
	slot = set_at(s, key);
	s->n += slot->key == 0;
	slot->key = key;
	return &slot->value;
}

static inline void
set_clear(struct set *s)
{
	free(s->slot);
	*s = (struct set){0};
}

/* -- worlds ---------------------------------------------------------------- */

/* What sequences begin with. */
struct world {
	const char *name;
	int version;
	bool big_endian;
	uint32_t bsize, fsize;
	bool full;          /* so that it must grow */
	bool uzip;          /* the base is compressed */
	uint64_t dirty_max; /* of the cache: past it, writes come early */
	int length;         /* of the sequences, all of them */
	unsigned sample;    /* of the longer ones */
	struct blkdev *base;
	struct tree tree;
	struct set states; /* by device state: index + 1 of listings */
};

void world_open(struct world *w);
void world_close(struct world *w);

/* As ufs_open, for writing; its notes go to overlay. */
MUST_CHECK int world_mount(
    struct blkdev *dev, struct blkdev *overlay, struct ufs **out);
/* Free what was unlinked but open when the overlay was flushed last. */
MUST_CHECK int world_reap(struct ufs *fs, struct blkdev *overlay);

/* The state of the device, all that differs from its base, hashed. */
uint64_t world_state_of(struct blkdev *overlay);
/*
 * List what the overlay, which is used up, shows, and see that it is clean
 * and that life goes on from there.  NULL, or what is wrong.
 */
const char *world_judge(struct blkdev *overlay, struct tree_listing *out);

#endif
