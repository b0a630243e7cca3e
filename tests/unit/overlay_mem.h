/*
 * Overlay files in memory: every write, sync, cut and replacement is recorded,
 * can be made to fail, and power can be cut between any two of them.
 */
#ifndef OVERLAY_MEM_H
#define OVERLAY_MEM_H

#include "../../fusefs/overlay_impl.h"

struct memdisk;

struct memdisk *memdisk_new(void);
void memdisk_free(struct memdisk *d);

static inline void
memdisk_freep(struct memdisk **d)
{
	memdisk_free(*d);
}

/* Make the overlay file anew, and open it. */
int memdisk_create(
    struct memdisk *d, const struct overlay_id *id, uint64_t base_size);
int memdisk_open(struct memdisk *d, const struct overlay_id *id,
    struct blkdev *base, unsigned flags, struct blkdev **out);

/* The file's bytes: to look at, and to damage. */
uint8_t *memdisk_data(struct memdisk *d, size_t *len);

/* Make the file longer (zeroes) or shorter. */
void memdisk_resize(struct memdisk *d, size_t len);

/* Forget everything; hold one file, of these bytes, written and synced. */
void memdisk_load(struct memdisk *d, const void *bytes, size_t len);

enum memdisk_kind {
	MEMDISK_WRITE,
	MEMDISK_CUT,     /* at off */
	MEMDISK_SYNC,    /* what was done to this file */
	MEMDISK_REPLACE, /* this file has the name now */
};

struct memdisk_op {
	enum memdisk_kind kind;
	int file; /* numbered from 0; 0 has the name at first */
	uint64_t off;
	uint8_t *data;
	size_t len;
};

/* How many operations were recorded, and the i-th, from 0. */
size_t memdisk_ops(const struct memdisk *d);
const struct memdisk_op *memdisk_op(const struct memdisk *d, size_t i);

/*
 * The n-th (1: next) operation fails with error and does half its work.
 * Answers how many were still to come to the one that was to fail; 0: it has.
 */
unsigned memdisk_fail(struct memdisk *d, unsigned nth, int error);

enum crash {
	CRASH_ALL,  /* everything issued was written */
	CRASH_NONE, /* nothing that was not synced */
	CRASH_TORN, /* some sectors of what was not synced */
};

/*
 * The disk after a power cut that followed the first n operations; a name
 * that was to be replaced by operation n + 1 may be.
 */
struct memdisk *memdisk_crash(
    const struct memdisk *d, size_t n, enum crash how, unsigned *seed);

#endif
