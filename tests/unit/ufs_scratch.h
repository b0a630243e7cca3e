/*
 * A UFS on a memory device for tests: made, opened, changed, judged.
 */
#ifndef UFS_SCRATCH_H
#define UFS_SCRATCH_H

#include "../../imgfmt/ufs.h"

struct scratch_shape {
	const char *name;
	int version;
	bool big;
	uint32_t bsize, fsize;
	uint64_t bytes;
	uint32_t ncg; /* 0: as few as possible */
	bool hashes;
};

/* Geometries that differ in what matters; NULL name ends. */
extern const struct scratch_shape scratch_shapes[];

struct scratch {
	struct blkdev *dev; /* a reference of its own */
	struct ufs *fs;
	uint64_t limit; /* size_limit for opening */
	uint64_t orphans[256];
	size_t norphans;
	int flushes;
};

/* Make and open; exits on failure, as nothing can be tested then. */
void scratch_make(struct scratch *scratch, const struct scratch_shape *shape);
/* The same over dev, which becomes the scratch's; nothing is made. */
void scratch_adopt(struct scratch *scratch, struct blkdev *dev);
/* Open what lies on the device (again). */
void scratch_open(struct scratch *scratch);
void scratch_close(struct scratch *scratch);
/* Flush, and count the faults that ufs_check finds. */
int scratch_faults(struct scratch *scratch);

/* Shorthands: NUL-terminated names, an inode number or -errno. */
int64_t scratch_create(
    struct scratch *scratch, uint64_t dir, const char *name, uint32_t mode);
int64_t scratch_symlink(struct scratch *scratch, uint64_t dir, const char *name,
    const char *target);
int64_t scratch_lookup(struct scratch *scratch, uint64_t dir, const char *name);
int scratch_remove(struct scratch *scratch, uint64_t dir, const char *name);
int scratch_rmdir(struct scratch *scratch, uint64_t dir, const char *name);
int scratch_rename(struct scratch *scratch, uint64_t from, const char *a,
    uint64_t to, const char *b, unsigned flags);
int scratch_truncate(struct scratch *scratch, uint64_t ino, uint64_t size);
struct ufs_attr scratch_attr(struct scratch *scratch, uint64_t ino);

#endif
