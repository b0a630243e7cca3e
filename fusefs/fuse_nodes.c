/*
 * The inodes that the kernel knows of.  Each is pinned in the engine once, for
 * as long as the kernel's lookup count is above zero: a file that is unlinked
 * while open lives until the kernel forgets it.
 *
 * The lock is held over ufs_pin and ufs_unpin, so that a lookup and the last
 * forget of one inode cannot cross.
 */
#include <string.h>

#include "../imgfmt/log.h"
#include "../imgfmt/slab.h"
#include "fuse_impl.h"

struct held {
	uint64_t ino, count;
	struct held *next;
};

struct nodes {
	struct ufs *fs;
	pthread_mutex_t lock;
	struct slab memory; /* of all held */
	struct held **bucket;
	size_t nbuckets, n; /* nbuckets: a power of two */
	size_t most;        /* n since the memory was last trimmed */
};

enum { BUCKETS_FIRST = 1024, HELD_PER_PIECE = 1000, TRIM_LEAST = 16 };

static size_t
bucket_of(uint64_t ino, size_t nbuckets)
{
	return (size_t)((ino * 0x9e3779b97f4a7c15u) >> 32) & (nbuckets - 1);
}

int
nodes_open(struct ufs *fs, struct nodes **out)
{
	struct nodes *nodes = calloc(1, sizeof(*nodes));

	if (nodes == NULL)
		return -ENOMEM;
	nodes->fs = fs;
	nodes->memory = (struct slab){
	    .size = sizeof(struct held), .per_piece = HELD_PER_PIECE};
	nodes->nbuckets = BUCKETS_FIRST;
	nodes->bucket = calloc(BUCKETS_FIRST, sizeof(struct held *));
	if (nodes->bucket == NULL) {
		free(nodes);
		return -ENOMEM;
	}
	pthread_mutex_init(&nodes->lock, NULL);
	*out = nodes;
	return 0;
}

static void
let_go(struct nodes *nodes, const struct held *held)
{
	int rc = ufs_unpin(nodes->fs, held->ino, 1);

	if (rc < 0)
		log_error("inode %llu could not be let go: %s",
		    (unsigned long long)held->ino, strerror(-rc));
}

void
nodes_close(struct nodes *nodes)
{
	if (nodes == NULL)
		return;
	for (size_t i = 0; i < nodes->nbuckets; i++)
		while (nodes->bucket[i] != NULL) {
			struct held *held = nodes->bucket[i];

			nodes->bucket[i] = held->next;
			let_go(nodes, held);
			slab_put(&nodes->memory, held);
		}
	(void)slab_trim(&nodes->memory);
	pthread_mutex_destroy(&nodes->lock);
	free(nodes->bucket);
	free(nodes);
}

/* The place that points to ino's entry, or to the NULL where it would be. */
static struct held **
find(struct nodes *nodes, uint64_t ino)
{
	struct held **at = &nodes->bucket[bucket_of(ino, nodes->nbuckets)];

	while (*at != NULL && (*at)->ino != ino)
		at = &(*at)->next;
	return at;
}

/* Twice as many buckets; without memory for them it just gets slower. */
static void
grow(struct nodes *nodes)
{
	size_t twice = nodes->nbuckets * 2;
	struct held **bucket = calloc(twice, sizeof(struct held *));

	if (bucket == NULL)
		return;
	for (size_t i = 0; i < nodes->nbuckets; i++)
		while (nodes->bucket[i] != NULL) {
			struct held *held = nodes->bucket[i];
			size_t to = bucket_of(held->ino, twice);

			nodes->bucket[i] = held->next;
			held->next = bucket[to];
			bucket[to] = held;
		}
	free(nodes->bucket);
	nodes->bucket = bucket;
	nodes->nbuckets = twice;
}

/* Once most have gone, their memory goes too; not at each back and forth. */
static void
trim(struct nodes *nodes)
{
	if (nodes->n > nodes->most / 2 || nodes->most < TRIM_LEAST)
		return;
	(void)slab_trim(&nodes->memory);
	nodes->most = nodes->n;
}

static int
hold_first(struct nodes *nodes, uint64_t ino)
{
	struct held *held = slab_get(&nodes->memory), **at;
	int rc;

	if (held == NULL)
		return -ENOMEM;
	rc = ufs_pin(nodes->fs, ino);
	if (rc < 0) {
		slab_put(&nodes->memory, held);
		return rc;
	}
	if (++nodes->n > nodes->nbuckets)
		grow(nodes);
	if (nodes->n > nodes->most)
		nodes->most = nodes->n;
	at = &nodes->bucket[bucket_of(ino, nodes->nbuckets)];
	*held = (struct held){.ino = ino, .count = 1, .next = *at};
	*at = held;
	return 0;
}

int
nodes_hold(struct nodes *nodes, uint64_t ino)
{
	struct held *held;
	int rc = 0;

	if (nodes == NULL)
		return 0;
	pthread_mutex_lock(&nodes->lock);
	held = *find(nodes, ino);
	if (held != NULL)
		held->count++;
	else
		rc = hold_first(nodes, ino);
	pthread_mutex_unlock(&nodes->lock);
	return rc;
}

int
nodes_forget(struct nodes *nodes, uint64_t ino, uint64_t n)
{
	struct held **at, *held;
	int gone = 0;

	if (nodes == NULL)
		return 0;
	pthread_mutex_lock(&nodes->lock);
	at = find(nodes, ino);
	held = *at;
	if (held != NULL && held->count > n)
		held->count -= n;
	else if (held != NULL) {
		*at = held->next;
		let_go(nodes, held);
		slab_put(&nodes->memory, held);
		nodes->n--;
		trim(nodes);
		gone = 1;
	}
	pthread_mutex_unlock(&nodes->lock);
	return gone;
}
