/* Whole gzip files (RFC 1952, also of several members). */
#ifndef GZ_H
#define GZ_H

#include "blkdev.h"

/* 1 when dev begins with a gzip member, 0 when not, -errno. */
MUST_CHECK int gz_probe(struct blkdev *dev);

/*
 * Inflate only the first len bytes into buf; how many there are, at most len.
 * Nothing is said: -ECORRUPT just tells that it is no sound gzip file.
 */
MUST_CHECK int64_t gz_peek(struct blkdev *dev, void *buf, size_t len);

/*
 * Inflate dev into out, a resizable empty device, up to most bytes.
 * -ECORRUPT: damaged or cut short, said with the offset; -EFBIG: longer.
 */
MUST_CHECK int gz_inflate(
    struct blkdev *dev, struct blkdev *out, uint64_t most);

/*
 * Deflate all of dev to base of out (resizable), level 1..9; no name, no time
 * in the header, so the same bytes give the same file.  *len is set.
 */
MUST_CHECK int gz_deflate(struct blkdev *dev, int level, struct blkdev *out,
    uint64_t base, uint64_t *len);

#endif
