/*
 * The index of a container being written: offsets go to the file in large
 * pieces, so that a long index takes no memory.
 */
#ifndef UZIP_ENTRIES_H
#define UZIP_ENTRIES_H

#include "uzip_format.h"

enum { UZIP_ENTRIES_HELD = 8192 };

struct uzip_entries {
	struct blkdev *out; /* borrowed */
	uint64_t base;      /* of the container in out */
	uint64_t end;       /* of the index in out, bytes */
	uint32_t next;      /* entries appended */
	uint32_t held;      /* of them, not yet in out */
	be64 *entry;        /* UZIP_ENTRIES_HELD */
};

/* Start with entry 0, of an image of n clusters.  -ENOMEM. */
MUST_CHECK int uzip_entries_open(
    struct uzip_entries *e, struct blkdev *out, uint64_t base, uint32_t n);
void uzip_entries_close(struct uzip_entries *e); /* drops what is held */

/* Append one offset, or n times the same. */
MUST_CHECK int uzip_entries_put(struct uzip_entries *e, uint64_t off);
MUST_CHECK int uzip_entries_fill(
    struct uzip_entries *e, uint64_t off, uint32_t n);

/* Append n offsets, each shift further on, modulo 2^64. */
MUST_CHECK int uzip_entries_shift(
    struct uzip_entries *e, const uint64_t *entry, uint32_t n, uint64_t shift);

/* Write what is held.  out grows as needed. */
MUST_CHECK int uzip_entries_flush(struct uzip_entries *e);

#endif
