/*
 * Slots belong to shards by their key, so that threads seldom meet.  A slot is
 * empty, filling or ready; its pins count the threads that copy from it or
 * wait for it, and a pinned slot is never given to another key.  Threads hold
 * a pin only while they fill or copy, never while they wait for a slot: so
 * waiting for one always ends.
 */
#include "uzip_cache.h"

#include <pthread.h>
#include <string.h>

#include "slab.h"

enum {
	SHARDS = 16,
	SHARD_LEAST = 4,
	PIECE = 256 << 10, /* bytes of slots' memory taken at a time */
};

enum state { EMPTY, FILLING, READY };

struct slot {
	uint64_t key;
	enum state state;
	unsigned pins;
	uint8_t *data;              /* NULL until first used, then kept */
	struct slot *chain;         /* of its hash bucket */
	struct slot *newer, *older; /* by last use */
};

struct shard {
	pthread_mutex_t lock;   /* guards all of the shard */
	pthread_cond_t changed; /* a slot left FILLING, or lost its last pin */
	struct slot *slots;
	struct slot **buckets; /* mask + 1 of them */
	size_t nslots, mask;
	struct slot *newest, *oldest;
};

struct uzip_cache {
	uint32_t cluster;
	pthread_mutex_t memory_lock; /* guards memory */
	struct slab memory;          /* of slots */
	unsigned nshards;
	struct shard shards[SHARDS];
};

static uint64_t
mix(uint64_t key)
{
	key *= 0x9e3779b97f4a7c15u;
	return key ^ key >> 32;
}

static void
lru_remove(struct shard *s, struct slot *slot)
{
	if (slot->newer != NULL)
		slot->newer->older = slot->older;
	else
		s->newest = slot->older;
	if (slot->older != NULL)
		slot->older->newer = slot->newer;
	else
		s->oldest = slot->newer;
}

static void
lru_add(struct shard *s, struct slot *slot)
{
	slot->newer = NULL;
	slot->older = s->newest;
	if (s->newest != NULL)
		s->newest->newer = slot;
	else
		s->oldest = slot;
	s->newest = slot;
}

static struct slot **
bucket_of(struct shard *s, uint64_t key)
{
	return &s->buckets[(mix(key) >> 8) & s->mask];
}

static struct slot *
find(struct shard *s, uint64_t key)
{
	struct slot *slot = *bucket_of(s, key);

	while (slot != NULL && slot->key != key)
		slot = slot->chain;
	return slot;
}

static void
unhash(struct shard *s, struct slot *slot)
{
	struct slot **at = bucket_of(s, slot->key);

	while (*at != slot)
		at = &(*at)->chain;
	*at = slot->chain;
}

/* Pin the oldest slot nobody uses and name it key; NULL: all are in use. */
static struct slot *
take_slot(struct shard *s, uint64_t key)
{
	struct slot *slot = s->oldest;

	while (slot != NULL && slot->pins > 0)
		slot = slot->newer;
	if (slot == NULL)
		return NULL;
	if (slot->state != EMPTY)
		unhash(s, slot);
	slot->key = key;
	slot->state = FILLING;
	slot->pins = 1;
	slot->chain = *bucket_of(s, key);
	*bucket_of(s, key) = slot;
	lru_remove(s, slot);
	lru_add(s, slot);
	return slot;
}

/* Memory for one more slot, kept until the cache is closed; NULL: none. */
static uint8_t *
slot_memory(struct uzip_cache *c)
{
	uint8_t *data;

	pthread_mutex_lock(&c->memory_lock);
	data = slab_get(&c->memory);
	pthread_mutex_unlock(&c->memory_lock);
	return data;
}

/* Called with the lock held; fills without it. */
static int
fill_slot(struct uzip_cache *c, struct shard *s, struct slot *slot,
    uzip_cache_fill *fill, void *arg)
{
	int rc = -ENOMEM;

	pthread_mutex_unlock(&s->lock);
	if (slot->data == NULL)
		slot->data = slot_memory(c);
	if (slot->data != NULL)
		rc = fill(arg, slot->data);
	pthread_mutex_lock(&s->lock);
	if (rc == 0) {
		slot->state = READY;
	} else {
		unhash(s, slot);
		slot->state = EMPTY;
	}
	pthread_cond_broadcast(&s->changed);
	return rc;
}

/* Copy out of a pinned, ready slot and let it go.  Ends unlocked. */
static void
copy_out(struct shard *s, struct slot *slot, const struct uzip_want *want)
{
	lru_remove(s, slot);
	lru_add(s, slot);
	pthread_mutex_unlock(&s->lock);
	memcpy(want->buf, slot->data + want->off, want->len);
	pthread_mutex_lock(&s->lock);
	if (--slot->pins == 0)
		pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

static struct shard *
shard_of(struct uzip_cache *c, uint64_t key)
{
	return &c->shards[mix(key) % c->nshards];
}

int
uzip_cache_read(struct uzip_cache *c, const struct uzip_want *want,
    uzip_cache_fill *fill, void *arg)
{
	struct shard *s = shard_of(c, want->key);
	struct slot *slot;
	int rc;

	pthread_mutex_lock(&s->lock);
	for (;;) {
		slot = find(s, want->key);
		if (slot != NULL && slot->state == READY) {
			slot->pins++;
			break;
		}
		if (slot == NULL) {
			slot = take_slot(s, want->key);
			if (slot != NULL) {
				rc = fill_slot(c, s, slot, fill, arg);
				if (rc == 0)
					break;
				slot->pins--;
				pthread_mutex_unlock(&s->lock);
				return rc;
			}
		}
		pthread_cond_wait(&s->changed, &s->lock);
	}
	copy_out(s, slot, want);
	return 0;
}

bool
uzip_cache_peek(struct uzip_cache *c, const struct uzip_want *want)
{
	struct shard *s = shard_of(c, want->key);
	struct slot *slot;

	pthread_mutex_lock(&s->lock);
	slot = find(s, want->key);
	if (slot == NULL || slot->state != READY) {
		pthread_mutex_unlock(&s->lock);
		return false;
	}
	slot->pins++;
	copy_out(s, slot, want);
	return true;
}

static int
shard_open(struct shard *s, size_t nslots)
{
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	s->nslots = nslots;
	s->mask = 1;
	while (s->mask < nslots)
		s->mask = s->mask * 2 + 1;
	s->slots = calloc(nslots, sizeof(*s->slots));
	s->buckets = calloc(s->mask + 1, sizeof(struct slot *));
	if (s->slots == NULL || s->buckets == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < nslots; i++)
		lru_add(s, &s->slots[i]);
	return 0;
}

int
uzip_cache_open(uint32_t cluster, uint64_t most, struct uzip_cache **out)
{
	uint64_t nslots = most / cluster > 0 ? most / cluster : 1;
	uint64_t nshards = nslots / SHARD_LEAST;
	struct uzip_cache *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return -ENOMEM;
	nshards = nshards == 0 ? 1 : nshards > SHARDS ? SHARDS : nshards;
	c->cluster = cluster;
	pthread_mutex_init(&c->memory_lock, NULL);
	c->memory.size = cluster;
	c->memory.per_piece = PIECE / cluster > 0 ? PIECE / cluster : 1;
	if (c->memory.per_piece > nslots)
		c->memory.per_piece = (unsigned)nslots;
	for (; c->nshards < nshards; c->nshards++) {
		int rc = shard_open(
		    &c->shards[c->nshards], (size_t)(nslots / nshards));

		if (rc < 0) {
			c->nshards++;
			uzip_cache_close(c);
			return rc;
		}
	}
	*out = c;
	return 0;
}

void
uzip_cache_close(struct uzip_cache *c)
{
	if (c == NULL)
		return;
	for (unsigned i = 0; i < c->nshards; i++) {
		struct shard *s = &c->shards[i];

		for (size_t k = 0; s->slots != NULL && k < s->nslots; k++)
			if (s->slots[k].data != NULL)
				slab_put(&c->memory, s->slots[k].data);
		free(s->slots);
		free(s->buckets);
		pthread_cond_destroy(&s->changed);
		pthread_mutex_destroy(&s->lock);
	}
	(void)slab_trim(&c->memory);
	pthread_mutex_destroy(&c->memory_lock);
	free(c);
}
