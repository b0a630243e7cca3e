/* An overlay over a file in memory, for tests of both. */
#ifndef OVERLAY_RIG_H
#define OVERLAY_RIG_H

#include <stdlib.h>

#include "../../imgfmt/log.h"
#include "check.h"
#include "overlay_mem.h"

enum {
	B = OVERLAY_BLOCK,
	BASE_BLOCKS = 100,
	BASE = BASE_BLOCKS * B - 1000, /* a short last block */
	MOST = 200 * B,
};

static const struct overlay_id id = {"an identity"};

static inline void
silent(enum log_level level, const char *line)
{
	(void)level;
	(void)line;
}

static inline struct blkdev *
base_open(void)
{
	struct blkdev *base;
	unsigned seed = 1;

	CHECK_EQ(blkdev_mem_open(BASE, &base), 0);
	for (uint64_t off = 0; off < BASE; off++) {
		/* Some blocks compress, some do not. */
		uint8_t c = off / B % 2 ? (uint8_t)rand_r(&seed)
					: (uint8_t)(off / B + 1);

		CHECK_EQ(blkdev_write(base, off, &c, 1), 0);
	}
	base->writable = false;
	return base;
}

/* A disk, its base, and the overlay opened on both. */
struct rig {
	struct memdisk *disk;
	struct blkdev *base, *dev;
};

static inline void
rig_reopen(struct rig *r, unsigned flags)
{
	blkdev_close(r->dev);
	CHECK_EQ(
	    memdisk_open(r->disk, &id, blkdev_ref(r->base), flags, &r->dev), 0);
}

static inline struct rig
rig_open(void)
{
	struct rig r = {memdisk_new(), base_open(), NULL};

	log_set_sink(silent);
	CHECK_EQ(memdisk_create(r.disk, &id, BASE), 0);
	rig_reopen(&r, 0);
	return r;
}

static inline void
rig_close(struct rig *r)
{
	blkdev_close(r->dev);
	blkdev_close(r->base);
	memdisk_free(r->disk);
}

static inline void
fill(struct blkdev *dev, uint64_t no, size_t n, int value)
{
	scoped(freep) void *buf = malloc(n * B);

	memset(buf, value, n * B);
	CHECK_EQ(blkdev_write(dev, no * B, buf, n * B), 0);
}

static inline bool
is_all(struct blkdev *dev, uint64_t off, size_t len, int value)
{
	scoped(freep) uint8_t *buf = malloc(len);

	CHECK_EQ(blkdev_read(dev, off, buf, len), 0);
	for (size_t i = 0; i < len; i++)
		if (buf[i] != value)
			return false;
	return true;
}

static inline bool
is_base(struct rig *r, uint64_t off, size_t len)
{
	scoped(freep) uint8_t *got = malloc(len), *want = malloc(len);

	CHECK_EQ(blkdev_read(r->dev, off, got, len), 0);
	CHECK_EQ(blkdev_read(r->base, off, want, len), 0);
	return memcmp(got, want, len) == 0;
}

#endif
