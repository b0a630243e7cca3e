/* Shared by blkdev_cache.c and blkdev_cache_flush.c alone. */
#ifndef BLKDEV_CACHE_IMPL_H
#define BLKDEV_CACHE_IMPL_H

#include <pthread.h>

#include "blkdev.h"
#include "cache_map.h"

/*
 * The locks, in the order in which they are taken:
 *   handing  held by the one thread that hands blocks down
 *   lock     guards the fields below it; never held across I/O
 *   resizing keeps reads of lower (shared) out of its resize (exclusive)
 */
struct cache {
	struct blkdev dev; /* its size changes only under the caller's lock */
	struct blkdev *lower; /* owned */
	uint64_t dirty_max;   /* bytes */
	uint64_t clean_max;   /* blocks */
	pthread_mutex_t handing;
	uint8_t *staging;   /* guarded by handing; NULL until needed */
	bool staged_stream; /* guarded by handing: all in it were streamed */
	pthread_rwlock_t resizing;
	pthread_mutex_t lock;
	struct cache_map map;
	uint64_t lower_end; /* lower's size, or what it is about to become */
	uint64_t handed;    /* bytes given to lower since its last flush */
	uint64_t retry_at;  /* hand nothing down early below so many bytes */
};

/* Hand down what was written longest ago, if too much is waiting. */
void cache_relieve(struct cache *c);

/* The flush of blkdev_ops. */
MUST_CHECK int cache_flush(struct blkdev *dev);

/* The next_change of blkdev_ops. */
MUST_CHECK int cache_next_change(
    struct blkdev *dev, uint64_t off, struct blkdev_change *out);

#endif
