/*
 * The write-back cache: reading, writing, trimming and resizing.  The states
 * of blocks are in cache_map.h, the way down to lower in blkdev_cache_flush.c.
 *
 * Invariants:
 * 1. A block that is not absent is what reads show; an absent one shows lower,
 *    cut off at the smaller of both sizes, and zeroes after that.
 * 2. Bytes of a buffer beyond the device's end are zero, so that growing
 *    needs to look at no buffer.
 * 3. No I/O happens under the lock: decompression below goes on in parallel.
 *    What was read without it counts only if no leaf in its range has changed
 *    since; else it is read again.  A block may have been written, handed
 *    down and forgotten in between: what was read is then old, or torn.
 * 4. A part of lower that this device's size has excluded once and includes
 *    again is trimmed here when it comes back, so that lower's old bytes never
 *    show and lower hears of it.
 *
 * File contents are not kept: they are read once, and cached by the kernel
 * above us.  Metadata is not, and is read in small pieces.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "blkdev_cache_impl.h"

enum {
	KEEP_MAX = 64 << 10, /* longest read that is kept */
	KEEP_BLOCKS = KEEP_MAX / CACHE_BLOCK + 1, /* it may be unaligned */
};
static_assert(
    (int)KEEP_BLOCKS <= (int)CACHE_LEAF, "a kept read has two versions");

static uint64_t
min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t
blocks_of(uint64_t bytes)
{
	return bytes / CACHE_BLOCK + (bytes % CACHE_BLOCK != 0);
}

/* Read what lower shows through an absent block: invariant 1. */
static int
lower_read(struct cache *c, uint64_t off, void *buf, size_t len)
{
	uint64_t end;
	size_t n = 0;
	int rc = 0;

	pthread_rwlock_rdlock(&c->resizing);
	end = min64(c->dev.size, c->lower->size);
	if (off < end)
		n = (size_t)min64(len, end - off);
	if (n > 0)
		rc = blkdev_read(c->lower, off, buf, n);
	pthread_rwlock_unlock(&c->resizing);
	memset((uint8_t *)buf + n, 0, len - n);
	return rc;
}

/* Keep n blocks just read, all still absent or read by others meanwhile. */
static void
keep_blocks(struct cache *c, uint64_t no, size_t n, const uint8_t *data)
{
	for (size_t i = 0; i < n; i++) {
		struct cache_block *b;

		if (cache_map_get(&c->map, no + i, &b) != CACHE_ABSENT)
			continue;
		if (cache_map_keep(&c->map, no + i, data + i * CACHE_BLOCK) < 0)
			break; /* no memory: the next read asks lower again */
	}
	cache_map_shrink(&c->map, c->clean_max);
}

/*
 * Read n absent blocks, and keep them.  Called and left with the lock held,
 * which it lets go in between.  1: done; 0: something changed, look again.
 */
static int
read_and_keep(struct cache *c, uint64_t off, void *buf, size_t len)
{
	uint64_t no = off / CACHE_BLOCK;
	size_t n = (size_t)(blocks_of(off + len) - no);
	uint64_t version = cache_map_version(&c->map, no, n);
	scoped(freep) uint8_t *data = malloc(n * CACHE_BLOCK);
	int rc;

	if (data == NULL)
		return -ENOMEM;
	pthread_mutex_unlock(&c->lock);
	rc = lower_read(c, no * CACHE_BLOCK, data, n * CACHE_BLOCK);
	pthread_mutex_lock(&c->lock);
	if (rc < 0)
		return rc;
	if (cache_map_version(&c->map, no, n) != version)
		return 0;
	memcpy(buf, data + off % CACHE_BLOCK, len);
	keep_blocks(c, no, n, data);
	return 1;
}

/* The same without keeping, for large reads. */
static int
read_past(struct cache *c, uint64_t off, void *buf, size_t len)
{
	uint64_t no = off / CACHE_BLOCK, n = blocks_of(off + len) - no;
	uint64_t version = cache_map_version(&c->map, no, n);
	int rc;

	pthread_mutex_unlock(&c->lock);
	rc = lower_read(c, off, buf, len);
	pthread_mutex_lock(&c->lock);
	if (rc < 0)
		return rc;
	return cache_map_version(&c->map, no, n) == version;
}

/* How many of the len bytes at off are in one run of absent blocks. */
static size_t
absent_bytes(struct cache *c, uint64_t off, size_t len)
{
	uint64_t no = off / CACHE_BLOCK;
	uint64_t n = blocks_of(off + len) - no;

	n = cache_map_absent(&c->map, no, n);
	return (size_t)min64(len, (no + n) * CACHE_BLOCK - off);
}

static size_t
within_block(uint64_t off, uint64_t len)
{
	return (size_t)min64(len, CACHE_BLOCK - off % CACHE_BLOCK);
}

/* Read some of len bytes at off: returns how many, perhaps none yet. */
static int64_t
read_some(struct cache *c, uint64_t off, void *buf, size_t len, bool keep)
{
	size_t n = within_block(off, len);
	struct cache_block *b;
	enum cache_state state = cache_map_get(&c->map, off / CACHE_BLOCK, &b);
	int rc;

	if (state == CACHE_ABSENT) {
		n = absent_bytes(c, off, len);
		rc = keep ? read_and_keep(c, off, buf, n)
			  : read_past(c, off, buf, n);
		return rc <= 0 ? rc : (int64_t)n;
	}
	if (state == CACHE_CLEAN && keep)
		cache_map_touch(&c->map, b);
	if (state == CACHE_TRIMMED)
		memset(buf, 0, n);
	else
		memcpy(buf, b->data + off % CACHE_BLOCK, n);
	return (int64_t)n;
}

static int
read_all(struct cache *c, uint64_t off, void *buf, size_t len, bool keep)
{
	uint8_t *p = buf;
	int64_t n = 0;

	pthread_mutex_lock(&c->lock);
	while (len > 0) {
		n = read_some(c, off, p, len, keep);
		if (n < 0)
			break;
		p += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	pthread_mutex_unlock(&c->lock);
	return n < 0 ? (int)n : 0;
}

static int
cache_read(struct blkdev *dev, uint64_t off, void *buf, size_t len)
{
	return read_all((struct cache *)dev, off, buf, len, len <= KEEP_MAX);
}

static int
cache_read_once(struct blkdev *dev, uint64_t off, void *buf, size_t len)
{
	return read_all((struct cache *)dev, off, buf, len, false);
}

/* Whether a write of n bytes at off leaves nothing of its block as it was. */
static bool
is_whole_block(const struct cache *c, uint64_t off, size_t n)
{
	return off % CACHE_BLOCK == 0 &&
	    (n == CACHE_BLOCK || off + n == c->dev.size);
}

/*
 * Make block no dirty without changing what it shows; *out is its buffer.
 * The lock is held, but let go while lower is read.
 */
static int
dirty_in_place(struct cache *c, uint64_t no, struct cache_block **out)
{
	for (;;) {
		enum cache_state state = cache_map_get(&c->map, no, out);
		uint64_t version = cache_map_version(&c->map, no, 1);
		uint8_t data[CACHE_BLOCK];
		int rc;

		if (state != CACHE_ABSENT) {
			rc = cache_map_dirty(&c->map, no, out);
			if (rc == 0 && state == CACHE_TRIMMED)
				memset((*out)->data, 0, CACHE_BLOCK);
			return rc;
		}
		pthread_mutex_unlock(&c->lock);
		rc = lower_read(c, no * CACHE_BLOCK, data, sizeof(data));
		pthread_mutex_lock(&c->lock);
		if (rc < 0)
			return rc;
		if (cache_map_version(&c->map, no, 1) != version ||
		    cache_map_get(&c->map, no, out) != CACHE_ABSENT)
			continue; /* it changed meanwhile: look again */
		rc = cache_map_dirty(&c->map, no, out);
		if (rc == 0)
			memcpy((*out)->data, data, sizeof(data));
		return rc;
	}
}

/* Make block no dirty; what it shows is undefined but for zeroes behind n. */
static int
dirty_afresh(struct cache *c, uint64_t no, size_t n, struct cache_block **out)
{
	int rc = cache_map_dirty(&c->map, no, out);

	if (rc == 0)
		memset((*out)->data + n, 0, CACHE_BLOCK - n);
	return rc;
}

/* Write n bytes, from p or zeroes if that is NULL, within one block. */
static int
write_block(struct cache *c, uint64_t off, const uint8_t *p, size_t n,
    struct cache_block **b)
{
	uint64_t no = off / CACHE_BLOCK;
	int rc = is_whole_block(c, off, n) ? dirty_afresh(c, no, n, b)
					   : dirty_in_place(c, no, b);

	if (rc < 0)
		return rc;
	if (p != NULL)
		memcpy((*b)->data + off % CACHE_BLOCK, p, n);
	else
		memset((*b)->data + off % CACHE_BLOCK, 0, n);
	return 0;
}

static int
write_all(
    struct cache *c, uint64_t off, const void *buf, size_t len, bool streamed)
{
	const uint8_t *p = buf;
	int rc = 0;

	pthread_mutex_lock(&c->lock);
	while (len > 0 && rc == 0) {
		size_t n = within_block(off, len);
		struct cache_block *b;

		rc = write_block(c, off, p, n, &b);
		if (rc == 0)
			b->streamed = streamed;
		p += n;
		off += n;
		len -= n;
	}
	pthread_mutex_unlock(&c->lock);
	cache_relieve(c);
	return rc;
}

static int
cache_write(struct blkdev *dev, uint64_t off, const void *buf, size_t len)
{
	return write_all((struct cache *)dev, off, buf, len, len >= KEEP_MAX);
}

static int
cache_write_once(struct blkdev *dev, uint64_t off, const void *buf, size_t len)
{
	return write_all((struct cache *)dev, off, buf, len, true);
}

/* Trim whole blocks; where lower ends there is nothing to tell it. */
static int
trim_blocks(struct cache *c, uint64_t no, uint64_t n)
{
	uint64_t below = blocks_of(c->lower_end);
	uint64_t told = no < below ? min64(n, below - no) : 0;
	int rc = cache_map_trim(&c->map, no, told);

	if (rc == 0)
		cache_map_drop(&c->map, no + told, n - told);
	return rc;
}

static int
trim_locked(struct cache *c, uint64_t off, uint64_t len)
{
	int rc = 0;

	while (len > 0 && rc == 0) {
		uint64_t n = within_block(off, len);
		struct cache_block *b;

		if (off % CACHE_BLOCK == 0 && len >= CACHE_BLOCK) {
			n = len - len % CACHE_BLOCK;
			rc = trim_blocks(c, off / CACHE_BLOCK, n / CACHE_BLOCK);
		} else if (is_whole_block(c, off, n)) {
			rc = trim_blocks(c, off / CACHE_BLOCK, 1);
		} else if (cache_map_get(&c->map, off / CACHE_BLOCK, &b) !=
		    CACHE_TRIMMED) {
			rc = write_block(c, off, NULL, n, &b);
		}
		off += n;
		len -= n;
	}
	return rc;
}

static int
cache_trim(struct blkdev *dev, uint64_t off, uint64_t len)
{
	struct cache *c = (struct cache *)dev;
	int rc;

	pthread_mutex_lock(&c->lock);
	rc = trim_locked(c, off, len);
	pthread_mutex_unlock(&c->lock);
	cache_relieve(c);
	return rc;
}

/* Forget what lies beyond size: invariant 2. */
static void
cut_off(struct cache *c, uint64_t size)
{
	uint64_t no = blocks_of(size), end = blocks_of(c->dev.size);
	struct cache_block *b = NULL;

	cache_map_drop(&c->map, no, end - no);
	if (size % CACHE_BLOCK != 0)
		(void)cache_map_get(&c->map, no - 1, &b);
	if (b != NULL)
		memset(b->data + size % CACHE_BLOCK, 0,
		    CACHE_BLOCK - size % CACHE_BLOCK);
}

static int
cache_resize(struct blkdev *dev, uint64_t size)
{
	struct cache *c = (struct cache *)dev;
	uint64_t old = dev->size, again;
	int rc = 0;

	if (c->lower->writable && c->lower->ops->resize == NULL)
		return -EOPNOTSUPP;
	pthread_mutex_lock(&c->lock);
	if (size < old)
		cut_off(c, size);
	dev->size = size;
	again = min64(size, c->lower_end);
	if (old < again)
		rc = trim_locked(c, old, again - old); /* invariant 4 */
	if (rc < 0) {
		cut_off(c, old);
		dev->size = old;
	}
	pthread_mutex_unlock(&c->lock);
	return rc;
}

static void
cache_close(struct blkdev *dev)
{
	struct cache *c = (struct cache *)dev;

	cache_map_release(&c->map);
	blkdev_close(c->lower);
	pthread_mutex_destroy(&c->handing);
	pthread_mutex_destroy(&c->lock);
	pthread_rwlock_destroy(&c->resizing);
	free(c->staging);
	free(c);
}

static const struct blkdev_ops cache_ops = {
    .read = cache_read,
    .read_once = cache_read_once,
    .write = cache_write,
    .write_once = cache_write_once,
    .trim = cache_trim,
    .resize = cache_resize,
    .flush = cache_flush,
    .next_change = cache_next_change,
    .close = cache_close,
};

int
blkdev_cache_open(struct blkdev *lower, uint64_t dirty_max, uint64_t clean_max,
    struct blkdev **out)
{
	struct cache *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return -ENOMEM;
	c->dev = (struct blkdev){&cache_ops, lower->size, true, 0};
	cache_map_init(&c->map);
	c->lower = lower;
	c->lower_end = lower->size;
	c->dirty_max = dirty_max;
	c->clean_max = clean_max / CACHE_BLOCK;
	pthread_mutex_init(&c->handing, NULL);
	pthread_mutex_init(&c->lock, NULL);
	pthread_rwlock_init(&c->resizing, NULL);
	*out = &c->dev;
	return 0;
}

static struct cache *
cache_of(struct blkdev *dev)
{
	assert(dev->ops == &cache_ops);
	return (struct cache *)dev;
}

uint64_t
blkdev_cache_dirty(struct blkdev *dev)
{
	struct cache *c = cache_of(dev);
	uint64_t bytes;

	pthread_mutex_lock(&c->lock);
	bytes = cache_map_pending(&c->map) + c->handed +
	    (dev->size != c->lower_end);
	pthread_mutex_unlock(&c->lock);
	return bytes;
}

void
blkdev_cache_give_back(struct blkdev *dev)
{
	struct cache *c = cache_of(dev);

	pthread_mutex_lock(&c->lock);
	cache_map_give_back(&c->map);
	pthread_mutex_unlock(&c->lock);
}

void
blkdev_cache_discard(struct blkdev *dev)
{
	struct cache *c = cache_of(dev);

	pthread_mutex_lock(&c->handing);
	pthread_mutex_lock(&c->lock);
	cache_map_drop(&c->map, 0, UINT64_MAX);
	dev->size = c->lower->size;
	c->retry_at = 0;
	pthread_mutex_unlock(&c->lock);
	pthread_mutex_unlock(&c->handing);
}
