#include "ufs_scratch.h"

#include <stdlib.h>
#include <string.h>

const struct scratch_shape scratch_shapes[] = {
    {"UFS1 4096/512", 1, false, 4096, 512, 24 << 20, 3, false},
    {"UFS1 8192/1024 big-endian", 1, true, 8192, 1024, 24 << 20, 0, false},
    {"UFS2 4096/4096", 2, false, 4096, 4096, 24 << 20, 2, false},
    {"UFS2 32768/4096 hashed", 2, false, 32768, 4096, 40 << 20, 2, true},
    {"UFS2 16384/4096 big-endian", 2, true, 16384, 4096, 32 << 20, 0, false},
    {"UFS2 65536/8192 hashed", 2, false, 65536, 8192, 64 << 20, 0, true},
    {"UFS1 8192/4096", 1, false, 8192, 4096, 24 << 20, 3, false},
    {0},
};

static void
give_up(const char *what, int rc)
{
	printf("Bail out! %s: %s\n", what, strerror(-rc));
	exit(1);
}

static int
note_orphans(void *arg, const uint64_t *orphans, size_t n)
{
	struct scratch *scratch = arg;

	scratch->flushes++;
	if (n > sizeof(scratch->orphans) / sizeof(scratch->orphans[0]))
		return -ENOMEM;
	if (n > 0)
		memcpy(scratch->orphans, orphans, n * sizeof(*orphans));
	scratch->norphans = n;
	return 0;
}

void
scratch_open(struct scratch *scratch)
{
	struct ufs_options opt = {
	    .writable = true,
	    .size_limit = scratch->limit,
	    .before_flush = note_orphans,
	    .arg = scratch,
	};
	int rc = ufs_open(blkdev_ref(scratch->dev), &opt, &scratch->fs);

	if (rc < 0)
		give_up("ufs_open", rc);
}

void
scratch_adopt(struct scratch *scratch, struct blkdev *dev)
{
	memset(scratch, 0, sizeof(*scratch));
	scratch->dev = dev;
	scratch_open(scratch);
}

void
scratch_make(struct scratch *scratch, const struct scratch_shape *shape)
{
	struct ufs_mkfs how = {
	    .version = shape->version,
	    .big_endian = shape->big,
	    .block_size = shape->bsize,
	    .frag_size = shape->fsize,
	    .minfree = 8,
	    .check_hashes = shape->hashes,
	    .time = 1000000000,
	    .ncg = shape->ncg,
	};
	struct blkdev *dev;
	int rc = blkdev_mem_open(shape->bytes, &dev);

	if (rc < 0)
		give_up("blkdev_mem_open", rc);
	rc = ufs_mkfs(dev, &how);
	if (rc < 0)
		give_up("ufs_mkfs", rc);
	scratch_adopt(scratch, dev);
}

void
scratch_close(struct scratch *scratch)
{
	ufs_close(scratch->fs);
	blkdev_close(scratch->dev);
	memset(scratch, 0, sizeof(*scratch));
}

int
scratch_faults(struct scratch *scratch)
{
	int rc = ufs_flush(scratch->fs);

	if (rc < 0)
		return rc;
	return ufs_check(
	    scratch->dev, scratch->orphans, scratch->norphans, NULL, NULL);
}

static int64_t
create(struct scratch *scratch, uint64_t dir, const char *name,
    const struct ufs_new *what)
{
	struct ufs_attr attr;
	int rc = ufs_create(scratch->fs, dir, name, strlen(name), what, &attr);

	return rc < 0 ? rc : (int64_t)attr.ino;
}

int64_t
scratch_create(
    struct scratch *scratch, uint64_t dir, const char *name, uint32_t mode)
{
	struct ufs_new what = {.mode = mode, .uid = 1, .gid = 2};

	return create(scratch, dir, name, &what);
}

int64_t
scratch_symlink(
    struct scratch *scratch, uint64_t dir, const char *name, const char *target)
{
	struct ufs_new what = {
	    .mode = 0120777, .target = target, .target_len = strlen(target)};

	return create(scratch, dir, name, &what);
}

int64_t
scratch_lookup(struct scratch *scratch, uint64_t dir, const char *name)
{
	struct ufs_attr attr;
	int rc = ufs_lookup(scratch->fs, dir, name, strlen(name), &attr);

	return rc < 0 ? rc : (int64_t)attr.ino;
}

int
scratch_remove(struct scratch *scratch, uint64_t dir, const char *name)
{
	return ufs_remove(scratch->fs, dir, name, strlen(name), false);
}

int
scratch_rmdir(struct scratch *scratch, uint64_t dir, const char *name)
{
	return ufs_remove(scratch->fs, dir, name, strlen(name), true);
}

int
scratch_rename(struct scratch *scratch, uint64_t from, const char *a,
    uint64_t to, const char *b, unsigned flags)
{
	struct ufs_name old = {from, a, strlen(a)}, new = {to, b, strlen(b)};

	return ufs_rename(scratch->fs, &old, &new, flags);
}

int
scratch_truncate(struct scratch *scratch, uint64_t ino, uint64_t size)
{
	struct ufs_attr attr = {.size = size};

	return ufs_setattr(scratch->fs, ino, UFS_SET_SIZE, &attr, &attr);
}

struct ufs_attr
scratch_attr(struct scratch *scratch, uint64_t ino)
{
	struct ufs_attr attr;

	if (ufs_getattr(scratch->fs, ino, &attr) < 0)
		memset(&attr, 0xff, sizeof(attr));
	return attr;
}
