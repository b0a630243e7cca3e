/*
 * The data part of a container being written: bytes and copies from other
 * devices, one behind the other, gathered into large writes.
 */
#ifndef UZIP_STREAM_H
#define UZIP_STREAM_H

#include "blkdev.h"

struct uzip_sink {
	struct blkdev *out; /* borrowed */
	uint64_t base;      /* of the container in out */
	uint64_t pos;       /* where the next byte goes, from base */
	uint64_t file_at;   /* of out in its file, or 0 */
	uint8_t *room;      /* for the buffer */
	uint8_t *buf;       /* in it: the bytes before the pending copy */
	size_t len;
	struct blkdev *from; /* the pending copy, the last bytes before pos */
	uint64_t from_off, from_len;
	uint64_t from_at;              /* of from in its file, or 0 */
	struct blkdev_sharing sharing; /* of sources with out; or all zero */
	uint64_t shared, copied;       /* bytes of copies, settled */
	bool by_host; /* copies from from are better done by the host */
};

/* Start at pos.  -ENOMEM. */
MUST_CHECK int uzip_sink_open(
    struct uzip_sink *k, struct blkdev *out, uint64_t base, uint64_t pos);
void uzip_sink_close(struct uzip_sink *k); /* drops what is not flushed */

/* Append len bytes. */
MUST_CHECK int uzip_sink_put(struct uzip_sink *k, const void *p, size_t len);

/*
 * Append len bytes at off of from, which stays borrowed until a flush.  What
 * lies suitably is shared with it, if sharing is set.
 */
MUST_CHECK int uzip_sink_copy(
    struct uzip_sink *k, struct blkdev *from, uint64_t off, uint64_t len);

/*
 * How many bytes must be put before those at off of from can be shared; where
 * sharing is not set, 0.
 */
uint64_t uzip_sink_gap(const struct uzip_sink *k, uint64_t off);

/* Write what waits.  out grows as needed. */
MUST_CHECK int uzip_sink_flush(struct uzip_sink *k);

/*
 * Are the len bytes that one put appended at off equal to p?  1, 0, -errno.
 * tmp has room for len bytes.
 */
MUST_CHECK int uzip_sink_holds(
    struct uzip_sink *k, uint64_t off, const void *p, size_t len, uint8_t *tmp);

#endif
