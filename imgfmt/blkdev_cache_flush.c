/*
 * The write-back cache: the way down to lower.
 *
 * A run of dirty blocks is copied and marked under the lock, written without
 * it, and settled under it again: a block that was written meanwhile has lost
 * its mark and stays dirty.  A dirty block is never forgotten, so reads show
 * it all the while.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "blkdev_cache_impl.h"

enum {
	RUN_BLOCKS = 256, /* in one write to lower: 1 MiB */
};

/* Copy the blocks of run to the staging buffer; all of them were streamed? */
static bool
stage(struct cache *c, const struct cache_run *run)
{
	bool streamed = true;

	for (uint64_t i = 0; i < run->n; i++) {
		struct cache_block *b;
		enum cache_state state =
		    cache_map_get(&c->map, run->no + i, &b);

		assert(state == CACHE_DIRTY);
		memcpy(c->staging + i * CACHE_BLOCK, b->data, CACHE_BLOCK);
		streamed &= b->streamed;
	}
	return streamed;
}

/* The device may end within a run's last block. */
static uint64_t
bytes_of(const struct cache *c, const struct cache_run *run)
{
	uint64_t off = run->no * CACHE_BLOCK, len = run->n * CACHE_BLOCK;

	return len < c->dev.size - off ? len : c->dev.size - off;
}

/* Find the first run in blocks no to end that is waiting, and mark it. */
static bool
take_run(struct cache *c, uint64_t no, uint64_t end, struct cache_run *run)
{
	bool found;

	pthread_mutex_lock(&c->lock);
	found = cache_map_next(&c->map, no, UINT64_MAX, run) && run->no < end;
	if (found && run->n > end - run->no)
		run->n = end - run->no;
	if (found && !run->trimmed) {
		if (run->n > RUN_BLOCKS)
			run->n = RUN_BLOCKS;
		c->staged_stream = stage(c, run);
	}
	if (found)
		cache_map_begin(&c->map, run);
	pthread_mutex_unlock(&c->lock);
	return found;
}

static int
hand_down(struct cache *c, const struct cache_run *run)
{
	uint64_t off = run->no * CACHE_BLOCK, len = bytes_of(c, run);
	int rc;

	if (run->trimmed)
		rc = blkdev_trim(c->lower, off, len);
	else if (c->staged_stream)
		rc = blkdev_write_once(c->lower, off, c->staging, (size_t)len);
	else
		rc = blkdev_write(c->lower, off, c->staging, (size_t)len);
	pthread_mutex_lock(&c->lock);
	cache_map_end(&c->map, run, rc == 0);
	cache_map_shrink(&c->map, c->clean_max);
	if (rc == 0)
		c->handed += run->trimmed ? run->n * CACHE_TRIM_COST : len;
	pthread_mutex_unlock(&c->lock);
	return rc;
}

static void
set_lower_end(struct cache *c, uint64_t size)
{
	pthread_mutex_lock(&c->lock);
	c->lower_end = size;
	pthread_mutex_unlock(&c->lock);
}

/* Give lower our size, and make sure of the staging buffer. */
static int
prepare(struct cache *c)
{
	uint64_t size = c->dev.size;
	int rc = 0;

	if (c->staging == NULL)
		c->staging = malloc((size_t)RUN_BLOCKS * CACHE_BLOCK);
	if (c->staging == NULL)
		return -ENOMEM;
	if (c->lower->size == size)
		return 0;
	/* Before it grows: a trim up there must not be forgotten any more. */
	if (size > c->lower->size)
		set_lower_end(c, size);
	pthread_rwlock_wrlock(&c->resizing);
	rc = blkdev_resize(c->lower, size);
	pthread_rwlock_unlock(&c->resizing);
	set_lower_end(c, c->lower->size);
	if (rc == 0) {
		pthread_mutex_lock(&c->lock);
		c->handed++;
		pthread_mutex_unlock(&c->lock);
	}
	return rc;
}

/* Hand down what waits in blocks no to end, in ascending order. */
static int
hand_down_range(struct cache *c, uint64_t no, uint64_t end)
{
	struct cache_run run;
	int rc = prepare(c);

	while (rc == 0 && take_run(c, no, end, &run)) {
		rc = hand_down(c, &run);
		no = run.no + run.n;
	}
	return rc;
}

/* Whether more than most bytes wait; the leaf that waits longest in *no. */
static bool
waits_more_than(struct cache *c, uint64_t most, uint64_t *no)
{
	bool more;

	pthread_mutex_lock(&c->lock);
	more = cache_map_pending(&c->map) > most;
	if (more)
		*no = c->map.oldest->no * CACHE_LEAF;
	pthread_mutex_unlock(&c->lock);
	return more;
}

void
cache_relieve(struct cache *c)
{
	uint64_t low = c->dirty_max - c->dirty_max / 4, no, limit;
	int rc = 0;

	if (!c->lower->writable)
		return;
	pthread_mutex_lock(&c->lock);
	limit = c->dirty_max > c->retry_at ? c->dirty_max : c->retry_at;
	pthread_mutex_unlock(&c->lock);
	if (!waits_more_than(c, limit, &no))
		return;
	if (pthread_mutex_trylock(&c->handing) != 0)
		return; /* somebody is at it */
	while (rc == 0 && waits_more_than(c, low, &no))
		rc = hand_down_range(c, no, no + CACHE_LEAF);
	pthread_mutex_lock(&c->lock);
	/* The flush will say why; until then do not try at every write. */
	c->retry_at = rc < 0
	    ? cache_map_pending(&c->map) + c->dirty_max / 8 + CACHE_BLOCK
	    : 0;
	pthread_mutex_unlock(&c->lock);
	pthread_mutex_unlock(&c->handing);
}

static int
flush_down(struct cache *c)
{
	uint64_t handed;
	int rc = hand_down_range(c, 0, UINT64_MAX);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&c->lock);
	handed = c->handed;
	pthread_mutex_unlock(&c->lock);
	rc = blkdev_flush(c->lower);
	pthread_mutex_lock(&c->lock);
	if (rc == 0) {
		c->handed -= handed;
		c->retry_at = 0;
	}
	pthread_mutex_unlock(&c->lock);
	return rc;
}

int
cache_flush(struct blkdev *dev)
{
	struct cache *c = (struct cache *)dev;
	int rc;

	if (!c->lower->writable)
		return blkdev_cache_dirty(dev) > 0 ? -EROFS : 0;
	pthread_mutex_lock(&c->handing);
	rc = flush_down(c);
	pthread_mutex_unlock(&c->handing);
	return rc;
}

/* Ours: the first run that waits, as a change of the device. */
static bool
own_change(struct cache *c, uint64_t off, struct blkdev_change *out)
{
	struct cache_run run;
	uint64_t end;
	bool found;

	pthread_mutex_lock(&c->lock);
	found = cache_map_next(&c->map, off / CACHE_BLOCK, UINT64_MAX, &run);
	pthread_mutex_unlock(&c->lock);
	if (!found)
		return false;
	out->off = run.no * CACHE_BLOCK;
	end = out->off + bytes_of(c, &run);
	if (out->off < off)
		out->off = off;
	out->len = end - out->off;
	out->trimmed = run.trimmed;
	return true;
}

int
cache_next_change(struct blkdev *dev, uint64_t off, struct blkdev_change *out)
{
	struct cache *c = (struct cache *)dev;
	struct blkdev_change own, below;
	bool has_own = own_change(c, off, &own);
	int rc = blkdev_next_change(c->lower, off, &below);

	if (rc < 0)
		return rc;
	if (rc == 0 || below.off >= dev->size || /* cut off since */
	    (has_own && own.off <= below.off)) {
		*out = own;
		return has_own;
	}
	*out = below;
	if (has_own && out->len > own.off - out->off)
		out->len = own.off - out->off;
	if (out->len > dev->size - out->off)
		out->len = dev->size - out->off;
	return 1;
}
