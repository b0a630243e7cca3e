/*
 * A block device: a number of bytes that can be read, written, trimmed,
 * resized and flushed.  Every storage layer of this project is one of these,
 * stacked on another one.
 *
 * Offsets and lengths are bytes.  A request never transfers fewer bytes than
 * asked: it is complete or it is an error.  Reads may come from many threads
 * at once; everything else wants the caller's exclusion, also against reads,
 * unless the device says otherwise.
 */
#ifndef BLKDEV_H
#define BLKDEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

struct blkdev;

/* A range that differs from the base below a copy-on-write layer. */
struct blkdev_change {
	uint64_t off, len;
	bool trimmed; /* reads as zeroes, by trim, not by writing zeroes */
};

/*
 * What a layer implements.  The wrappers below have already checked the range
 * and that writes are allowed; implementations need not.  All but read and
 * close may be NULL; what then happens stands at the wrapper.
 */
struct blkdev_ops {
	int (*read)(struct blkdev *, uint64_t off, void *buf, size_t len);
	int (*read_once)(struct blkdev *, uint64_t off, void *buf, size_t len);
	int (*write)(
	    struct blkdev *, uint64_t off, const void *buf, size_t len);
	int (*write_once)(
	    struct blkdev *, uint64_t off, const void *buf, size_t len);
	int (*trim)(struct blkdev *, uint64_t off, uint64_t len);
	int (*resize)(struct blkdev *, uint64_t size);
	int (*flush)(struct blkdev *);
	int (*next_change)(
	    struct blkdev *, uint64_t off, struct blkdev_change *);
	int (*locate)(
	    struct blkdev *, uint64_t off, int *fd, uint64_t *file_off);
	void (*close)(struct blkdev *);
};

/* Layers embed this as their first member. */
struct blkdev {
	const struct blkdev_ops *ops;
	uint64_t size; /* bytes */
	bool writable;
	int refs; /* zero means one: see blkdev_ref */
};

/*
 * Read len bytes at off into buf.
 * -EINVAL: the range is not inside the device.
 * -EIO, -ECORRUPT: from the layer below; buf is then undefined.
 */
MUST_CHECK int blkdev_read(
    struct blkdev *dev, uint64_t off, void *buf, size_t len);

/*
 * As blkdev_read, for bytes that whoever asks keeps himself: a cache need not.
 * A layer without read_once reads.
 */
MUST_CHECK int blkdev_read_once(
    struct blkdev *dev, uint64_t off, void *buf, size_t len);

/* As blkdev_read; also -EROFS when the device is not writable, -ENOSPC. */
MUST_CHECK int blkdev_write(
    struct blkdev *dev, uint64_t off, const void *buf, size_t len);

/*
 * As blkdev_write, for bytes that come in a stream: not worth keeping in a
 * cache, nor the time it takes to compress them.  A layer without write_once
 * writes.
 */
MUST_CHECK int blkdev_write_once(
    struct blkdev *dev, uint64_t off, const void *buf, size_t len);

/*
 * As blkdev_write, but pieces of 64 KiB that are all zero are left out: off
 * to off + len must read as zeroes already, as after blkdev_resize.
 */
MUST_CHECK int blkdev_write_sparse(
    struct blkdev *dev, uint64_t off, const void *buf, size_t len);

/*
 * Make len bytes at off read as zeroes and let the layer below forget them.
 * Errors as blkdev_write.  A layer without trim writes zeroes.
 */
MUST_CHECK int blkdev_trim(struct blkdev *dev, uint64_t off, uint64_t len);

/*
 * Change the device's size to size bytes; what is added reads as zeroes.
 * -EROFS, -ENOSPC; -EOPNOTSUPP: the layer has a fixed size.
 */
MUST_CHECK int blkdev_resize(struct blkdev *dev, uint64_t size);

/*
 * Return 0 only once everything written before the call would survive a
 * power cut.  A layer without flush has nothing to do.
 * -ENOSPC: nothing is lost, the call may be repeated.
 * -EIO: what survives is undefined; stop using dev.
 */
MUST_CHECK int blkdev_flush(struct blkdev *dev);

/*
 * Find the first changed range that ends after off (cut to start at off at
 * the earliest), relative to the base below all copy-on-write layers of dev.
 * 1: *out holds it.  0: none.  Neighbours of the same kind come as one range
 * where that is cheap, not always.  Bytes beyond the base's size count as
 * changed only where something was written.  A layer without next_change has
 * no change.
 */
MUST_CHECK int blkdev_next_change(
    struct blkdev *dev, uint64_t off, struct blkdev_change *out);

/*
 * Where the bytes at off lie as plain bytes of an open file: for copying
 * without reading.  The descriptor stays the device's.  -EOPNOTSUPP: they
 * do not lie in a file as they are.
 */
MUST_CHECK int blkdev_locate(
    struct blkdev *dev, uint64_t off, int *fd, uint64_t *file_off);

/*
 * How bytes of one device can be shared on the host's disk with another: both
 * lie in files of one file system that does that, places there being multiples
 * of unit.
 */
struct blkdev_sharing {
	uint64_t unit;     /* bytes, a power of 2; 0: they cannot */
	uint64_t from, to; /* what lies before each device's byte 0 there */
};

/* Find that out; both devices lie in their files as one piece. */
void blkdev_sharing(
    struct blkdev *from, struct blkdev *to, struct blkdev_sharing *out);

/* By how many bytes to_off falls short of sharing with from_off: 0 .. unit - 1.
 */
static inline uint64_t
blkdev_sharing_gap(
    const struct blkdev_sharing *s, uint64_t from_off, uint64_t to_off)
{
	return (s->from + from_off - s->to - to_off) & (s->unit - 1);
}

/* How many bytes there are from from_off to the next place that is shared. */
static inline uint64_t
blkdev_sharing_head(const struct blkdev_sharing *s, uint64_t from_off)
{
	return -(s->from + from_off) & (s->unit - 1);
}

/*
 * Share len bytes as blkdev_sharing says they can be.  -errno: copy them.
 */
MUST_CHECK int blkdev_share(struct blkdev *from, uint64_t from_off,
    struct blkdev *to, uint64_t to_off, uint64_t len);

/*
 * Whether it is better to let the host copy from from to to than to read and
 * write, much as it may be.
 */
bool blkdev_copies_well(struct blkdev *from, struct blkdev *to);

/*
 * Copy len bytes, from from_off of from to to_off of to; they are shared, or
 * the kernel copies (copy_file_range), where both lie in files and that is
 * better. Errors as blkdev_read and blkdev_write.  from may be read by others
 * meanwhile.
 */
MUST_CHECK int blkdev_copy(struct blkdev *from, uint64_t from_off,
    struct blkdev *to, uint64_t to_off, uint64_t len);

/*
 * The same but for holes in the file that from is: where to reads as zeroes, or
 * as from does.
 */
MUST_CHECK int blkdev_copy_data(struct blkdev *from, uint64_t from_off,
    struct blkdev *to, uint64_t to_off, uint64_t len);

/* One more owner of dev; returns dev.  Each owner closes it once. */
struct blkdev *blkdev_ref(struct blkdev *dev);

/*
 * Close dev, and every device below it, once its last owner does.  NULL is
 * fine.  Does not flush.
 */
void blkdev_close(struct blkdev *dev);

static inline void
blkdev_closep(struct blkdev **dev)
{
	blkdev_close(*dev);
}

/*
 * A window of len bytes at off of lower.  On success *out owns lower; on
 * error the caller still does.  A writable window can be resized only where
 * it ends with the lower device; then that is resized.
 * -EINVAL: the window is not inside lower.
 */
MUST_CHECK int blkdev_slice_open(
    struct blkdev *lower, uint64_t off, uint64_t len, struct blkdev **out);

/* A zero-filled device of size bytes in memory; can be resized. */
MUST_CHECK int blkdev_mem_open(uint64_t size, struct blkdev **out);

/*
 * As blkdev_mem_open, but memory is held only for the pieces of 4 KiB that
 * were ever not zero: for large devices with little in them.
 */
MUST_CHECK int blkdev_sparse_open(uint64_t size, struct blkdev **out);

/* Whether no memory is held for len bytes at off of such a device. */
bool blkdev_sparse_is_hole(struct blkdev *dev, uint64_t off, uint64_t len);

/*
 * The host file or block device at path, read-only.  -errno of open(2);
 * -EISDIR; -EINVAL for what has no size (fifo, terminal).  A read that fails
 * later is said, with its place, once for each device opened.
 */
MUST_CHECK int blkdev_file_open(const char *path, struct blkdev **out);

/*
 * The open file fd, which *out owns from now on, also after an error.
 * Flush is fdatasync.
 */
MUST_CHECK int blkdev_file_adopt(int fd, bool writable, struct blkdev **out);

/*
 * Let the disk take what is written to dev, a file, while more is written: for
 * what will be flushed in the end.
 */
void blkdev_file_write_early(struct blkdev *dev);

/*
 * A write-back cache of lower.  Writes, trims and resizes stay in memory (any
 * byte range; 4 KiB blocks inside) until blkdev_flush, which hands them to
 * lower in ascending order, its new size first, and then flushes lower: with
 * an overlay below, all of it becomes durable at once.  Past dirty_max bytes
 * dirty what was written longest ago is handed down early, without a flush;
 * where lower refuses (-ENOSPC) it stays in memory, without bound: whoever
 * writes looks at blkdev_cache_dirty between two operations.  Clean blocks
 * that small reads (64 KiB; blkdev_read_once aside) or small writes touched
 * are kept, at most clean_max bytes of them.
 * lower may be read-only: then the cache is a scratch layer in memory, and
 * flush fails with -EROFS once there is something to flush.
 * On success *out owns lower; on error the caller still does.
 * Reads, writes, trims and flushes lock for themselves: any thread, any time;
 * a write during a flush may or may not be part of it.  lower must take reads
 * while one thread writes, trims or flushes (files, memory and overlays do).
 */
MUST_CHECK int blkdev_cache_open(struct blkdev *lower, uint64_t dirty_max,
    uint64_t clean_max, struct blkdev **out);

/*
 * Bytes written since the last flush, whether still here or handed down
 * early; not 0 while anything waits for a flush.  dev must be a cache.
 */
uint64_t blkdev_cache_dirty(struct blkdev *dev);

/*
 * The memory that busy times took and nothing needs now goes back to the
 * system.  Any thread may call.
 */
void blkdev_cache_give_back(struct blkdev *dev);

/*
 * Drop everything that was not handed down; the cache shows lower again.
 * Wants the caller's exclusion.
 */
void blkdev_cache_discard(struct blkdev *dev);

#endif
