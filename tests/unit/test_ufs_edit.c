/*
 * Editing images that FreeBSD's own tools made: random operations in a new
 * directory, with growth; then all of it is removed.  What was there before
 * must be as it was, to the last attribute.
 */
#include <stdlib.h>
#include <string.h>

#include "../../imgfmt/crc32c.h"
#include "../../imgfmt/ufs_impl.h"
#include "check.h"
#include "ufs_kit.h"
#include "ufs_model.h"

static struct model model;
static struct scratch scratch;

/* -- the digest of a tree ---------------------------------------------------
 */

struct names {
	struct ufs_dirent *list;
	size_t n, room;
};

static int
collect(void *arg, const struct ufs_dirent *e)
{
	struct names *names = arg;

	if (strcmp(e->name, ".") == 0 || strcmp(e->name, "..") == 0 ||
	    strcmp(e->name, "edited") == 0)
		return 0;
	if (names->n == names->room) {
		names->room = names->room * 2 + 64;
		names->list =
		    realloc(names->list, names->room * sizeof(*names->list));
	}
	names->list[names->n++] = *e;
	return 0;
}

static uint32_t
mix(uint32_t crc, uint64_t value)
{
	return crc32c(crc, &value, sizeof(value));
}

struct attributes {
	uint64_t ino;
	uint32_t crc;
};

static int
mix_xattr(
    void *arg, enum ufs_ea_space space, const char *name, size_t value_len)
{
	struct attributes *x = arg;

	x->crc = mix(x->crc, space);
	x->crc = mix(x->crc, value_len);
	x->crc = crc32c(x->crc, name, strlen(name));
	return 0;
}

static uint32_t
mix_data(uint32_t crc, const struct ufs_attr *attr)
{
	static uint8_t buf[1 << 16];
	unsigned type = attr->mode & 0170000;
	int64_t n = 1;

	if (type == 0120000) {
		n = ufs_readlink(
		    scratch.fs, attr->ino, (char *)buf, sizeof(buf));
		return n < 0 ? 0 : crc32c(crc, buf, (size_t)n);
	}
	if (type != 0100000)
		return crc;
	/* Sparse ends are read up to here only. */
	for (uint64_t off = 0; off < 4 << 20 && n > 0; off += (uint64_t)n) {
		n = ufs_read(scratch.fs, attr->ino, off, buf, sizeof(buf));
		if (n > 0)
			crc = crc32c(crc, buf, (size_t)n);
	}
	return n < 0 ? 0 : crc;
}

static uint32_t
mix_inode(uint32_t crc, uint64_t ino)
{
	struct ufs_attr a = scratch_attr(&scratch, ino);
	struct attributes x = {ino, crc};
	uint64_t fields[] = {a.ino, a.gen, a.mode, a.uid, a.gid, a.flags,
	    a.size, a.blocks, a.rdev_major, a.rdev_minor,
	    (uint64_t)a.atime.tv_sec};

	if (ino != UFS_ROOT) {
		x.crc = mix(x.crc, a.nlink);
		x.crc = mix(x.crc, (uint64_t)a.birth.tv_sec);
		x.crc = mix(x.crc, (uint64_t)a.mtime.tv_nsec);
		x.crc = mix(x.crc, (uint64_t)a.ctime.tv_nsec);
	}
	if (ufs_xattr_list(scratch.fs, ino, mix_xattr, &x) < 0)
		x.crc = mix(x.crc, 1);
	return mix_data(crc32c(x.crc, fields, sizeof(fields)), &a);
}

static uint32_t
digest_tree(uint64_t dir, int depth)
{
	struct names names = {0};
	uint32_t crc = mix_inode(0, dir);

	CHECK_EQ(ufs_readdir(scratch.fs, dir, 0, collect, &names), 0);
	for (size_t i = 0; i < names.n; i++) {
		const struct ufs_dirent *e = &names.list[i];

		crc = crc32c(crc, e->name, e->namelen);
		if (e->type == 4 && depth < 100)
			crc = mix(crc, digest_tree(e->ino, depth + 1));
		else if (e->type != 14)
			crc = mix_inode(crc, e->ino);
	}
	free(names.list);
	return crc;
}

/* Remove everything below dir. */
static void
empty_tree(uint64_t dir)
{
	struct names names = {0};

	CHECK_EQ(ufs_readdir(scratch.fs, dir, 0, collect, &names), 0);
	for (size_t i = 0; i < names.n; i++) {
		const struct ufs_dirent *e = &names.list[i];

		if (e->type == 4)
			empty_tree(e->ino);
		CHECK_EQ(ufs_remove(scratch.fs, dir, e->name, e->namelen,
			     e->type == 4),
		    0);
	}
	free(names.list);
}

static void
edit(const char *name, uint64_t seed)
{
	int64_t dir = scratch_create(&scratch, UFS_ROOT, "edited", 040755);
	int faults;

	CHECK(dir > 0);
	model_init(&model, &scratch, (uint64_t)dir, seed);
	model.size_max = 1 << 20;
	model.total_max = 24 << 20;
	for (int i = 1; i <= 600 && model.wrong == 0; i++) {
		model_step(&model);
		if (i % 200 != 0)
			continue;
		model_compare(&model);
		faults = scratch_faults(&scratch);
		CHECK_EQ(faults, 0);
	}
	CHECK_EQ(model.wrong, 0);
	model_unpin_all(&model);
	model_free(&model);
	CHECK_EQ(ufs_flush(scratch.fs), 0);
	ufs_close(scratch.fs);
	scratch_open(&scratch);
	if (check_failures > 0)
		printf("# in \"%s\"\n", name);
}

static void
edit_and_undo(const char *name, uint64_t seed)
{
	struct blkdev *dev = kit_device(name);
	struct ufs_info before, after;
	uint32_t digest;

	if (dev == NULL)
		SKIP("no fixtures");
	memset(&scratch, 0, sizeof(scratch));
	scratch.dev = dev;
	scratch.limit = 1 << 30;
	scratch_open(&scratch);
	ufs_info(scratch.fs, &before);
	digest = digest_tree(UFS_ROOT, 0);
	edit(name, seed);
	CHECK_EQ(digest_tree(UFS_ROOT, 0), digest);
	empty_tree((uint64_t)scratch_lookup(&scratch, UFS_ROOT, "edited"));
	CHECK_EQ(scratch_rmdir(&scratch, UFS_ROOT, "edited"), 0);
	CHECK_EQ(scratch_faults(&scratch), 0);
	CHECK_EQ(digest_tree(UFS_ROOT, 0), digest);
	ufs_info(scratch.fs, &after);
	CHECK_EQ(after.directories, before.directories);
	CHECK_EQ(after.inodes - after.free_inodes,
	    before.inodes - before.free_inodes);
	CHECK_EQ(after.mtime, before.mtime);
	CHECK_EQ(after.data - after.free, before.data - before.free);
	scratch_close(&scratch);
}

static void
images_of_newfs_and_the_kernel(void)
{
	static const char *const names[] = {"newfs132-ufs2-default",
	    "newfs132-ufs2-4k512", "newfs132-ufs2-64k8k", "newfs132-ufs2-suj",
	    "newfs132-ufs2-acl", "newfs132-ufs2-nfs4acl", "newfs132-ufs2-full",
	    "newfs132-ufs1-default", "newfs132-ufs1-8k1k",
	    "newfs132-ufs1-64k64k"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		edit_and_undo(names[i], 100 + i);
}

static void
images_of_makefs(void)
{
	static const char *const names[] = {"makefs132-ufs1",
	    "makefs132-ufs1-8192-1024", "makefs132-ufs1-65536-8192",
	    "makefs132-ufs1-be", "makefs132-ufs2", "makefs132-ufs2-8192-1024",
	    "makefs132-ufs2-65536-8192", "makefs132-ufs2-be",
	    "makefs132-ufs2-roomy", "makefs2019-ufs2-sb8192"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		edit_and_undo(names[i], 200 + i);
}

#define T(name) \
	{ \
#name, name \
	}

TESTS(T(images_of_newfs_and_the_kernel), T(images_of_makefs))
