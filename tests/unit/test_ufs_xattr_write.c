/* Extended attributes, changed. */
#include <stdlib.h>
#include <string.h>

#include "../../imgfmt/ufs_impl.h"
#include "check.h"
#include "ufs_scratch.h"

enum { MAX = 2 * 65536 };

static struct scratch scratch;
static uint8_t value[MAX], back[MAX];

static int
set(int64_t ino, const char *name, size_t len)
{
	for (size_t i = 0; i < len; i++)
		value[i] = (uint8_t)(i * 3 + len + (uint8_t)name[0]);
	return ufs_xattr_set(scratch.fs, (uint64_t)ino, UFS_EA_USER, name,
	    value, len, UFS_EA_ANY);
}

static bool
holds(int64_t ino, const char *name, size_t len)
{
	int64_t n = ufs_xattr_get(
	    scratch.fs, (uint64_t)ino, UFS_EA_USER, name, back, sizeof(back));

	for (size_t i = 0; i < len; i++)
		if (back[i] != (uint8_t)(i * 3 + len + (uint8_t)name[0]))
			return false;
	return n == (int64_t)len;
}

static int
drop(int64_t ino, const char *name)
{
	return ufs_xattr_remove(scratch.fs, (uint64_t)ino, UFS_EA_USER, name);
}

/* The UFS2 geometries, each with an empty file. */
static void
over_ufs2(void (*body)(const struct scratch_shape *, int64_t ino))
{
	for (const struct scratch_shape *s = scratch_shapes; s->name; s++) {
		if (s->version == 1)
			continue;
		scratch_make(&scratch, s);
		body(s, scratch_create(&scratch, UFS_ROOT, "f", 0100644));
		CHECK_EQ(scratch_faults(&scratch), 0);
		scratch_close(&scratch);
	}
}

static void
sizes(const struct scratch_shape *s, int64_t ino)
{
	for (size_t len = 0; len < 2 * s->bsize - 16; len += s->fsize / 2 - 3) {
		/* 7 bytes of head, one of name: 8. */
		uint64_t area = 8 + (len + 7) / 8 * 8;
		uint64_t held = (area + s->fsize - 1) / s->fsize * s->fsize;

		CHECK_EQ(set(ino, "a", len), 0);
		CHECK(holds(ino, "a", len));
		CHECK_EQ(
		    scratch_attr(&scratch, (uint64_t)ino).blocks, held / 512);
		if (len % 5 == 0)
			CHECK_EQ(scratch_faults(&scratch), 0);
	}
	CHECK_EQ(set(ino, "a", 2 * s->bsize - 8), 0);
	CHECK_EQ(set(ino, "a", 2 * s->bsize - 7), -ENOSPC);
	CHECK(holds(ino, "a", 2 * s->bsize - 8));
	CHECK_EQ(set(ino, "b", 1), -ENOSPC);
	CHECK_EQ(scratch_faults(&scratch), 0);
	CHECK_EQ(drop(ino, "a"), 0);
	CHECK_EQ(scratch_attr(&scratch, (uint64_t)ino).blocks, 0);
}

static void
an_area_takes_the_fragments_it_needs_up_to_two_blocks(void)
{
	over_ufs2(sizes);
}

static void
several(const struct scratch_shape *s, int64_t ino)
{
	struct ufs_attr before, after;

	(void)s;
	CHECK_EQ(set(ino, "one", 100), 0);
	CHECK_EQ(set(ino, "two", 200), 0);
	CHECK_EQ(set(ino, "three", 0), 0);
	CHECK_EQ(set(ino, "two", 333), 0);
	CHECK(holds(ino, "one", 100) && holds(ino, "two", 333));
	CHECK(holds(ino, "three", 0));
	/* The same name in the other space is another attribute. */
	CHECK_EQ(ufs_xattr_set(scratch.fs, (uint64_t)ino, UFS_EA_SYSTEM, "one",
		     "sys", 3, UFS_EA_MUST_NOT_EXIST),
	    0);
	CHECK(holds(ino, "one", 100));
	CHECK_EQ(drop(ino, "one"), 0);
	CHECK_EQ(drop(ino, "one"), -ENOXATTR);
	CHECK_EQ(ufs_xattr_get(scratch.fs, (uint64_t)ino, UFS_EA_SYSTEM, "one",
		     back, sizeof(back)),
	    3);
	CHECK(holds(ino, "two", 333));
	before = scratch_attr(&scratch, (uint64_t)ino);
	CHECK_EQ(ufs_xattr_set(scratch.fs, (uint64_t)ino, UFS_EA_USER, "two",
		     "", 0, UFS_EA_MUST_NOT_EXIST),
	    -EEXIST);
	CHECK_EQ(ufs_xattr_set(scratch.fs, (uint64_t)ino, UFS_EA_USER, "four",
		     "", 0, UFS_EA_MUST_EXIST),
	    -ENOXATTR);
	after = scratch_attr(&scratch, (uint64_t)ino);
	CHECK_EQ(before.ctime.tv_nsec, after.ctime.tv_nsec);
	CHECK_EQ(ufs_flush(scratch.fs), 0);
	ufs_close(scratch.fs);
	scratch_open(&scratch);
	CHECK(holds(ino, "two", 333));
}

static void
attributes_come_and_go_one_by_one(void)
{
	over_ufs2(several);
}

static void
removed_with_file(const struct scratch_shape *s, int64_t ino)
{
	struct ufs_info before, after;

	ufs_info(scratch.fs, &before);
	CHECK_EQ(set(ino, "a", s->bsize + 100), 0);
	CHECK_EQ(ufs_write(scratch.fs, (uint64_t)ino, 0, value, 5000), 5000);
	CHECK(holds(ino, "a", s->bsize + 100));
	CHECK_EQ(scratch_remove(&scratch, UFS_ROOT, "f"), 0);
	ufs_info(scratch.fs, &after);
	CHECK_EQ(after.free, before.free);
}

static void
attributes_go_with_their_file(void)
{
	over_ufs2(removed_with_file);
}

static void
other_files(const struct scratch_shape *s, int64_t ino)
{
	int64_t dir = scratch_create(&scratch, UFS_ROOT, "d", 040755);
	int64_t fifo = scratch_create(&scratch, UFS_ROOT, "p", 010644);
	int64_t dev = scratch_create(&scratch, UFS_ROOT, "c", 020644);
	int64_t link = scratch_symlink(&scratch, UFS_ROOT, "l", "short");
	char name[300];

	(void)s;
	CHECK_EQ(set(dir, "a", 50), 0);
	CHECK_EQ(set(fifo, "a", 50), 0);
	CHECK_EQ(set(link, "a", 50), 0);
	CHECK_EQ(set(dev, "a", 50), -EOPNOTSUPP);
	CHECK_EQ(drop(dev, "a"), -EOPNOTSUPP);
	CHECK_EQ(
	    ufs_readlink(scratch.fs, (uint64_t)link, name, sizeof(name)), 5);
	memset(name, 'n', sizeof(name));
	name[255] = '\0';
	CHECK_EQ(set(ino, name, 1), 0);
	CHECK(holds(ino, name, 1));
	name[255] = 'n';
	name[256] = '\0';
	CHECK_EQ(set(ino, name, 1), -ENAMETOOLONG);
	CHECK_EQ(drop(ino, name), -ENOXATTR);
	CHECK_EQ(set(ino, "", 1), -EINVAL);
	CHECK_EQ(set(7777777, "a", 1), -ESTALE);
	CHECK_EQ(scratch_remove(&scratch, UFS_ROOT, "l"), 0);
	CHECK_EQ(scratch_rmdir(&scratch, UFS_ROOT, "d"), 0);
}

static void
all_but_devices_have_attributes(void)
{
	over_ufs2(other_files);
}

static void
ufs1_has_none(void)
{
	int64_t ino;

	scratch_make(&scratch, &scratch_shapes[0]);
	ino = scratch_create(&scratch, UFS_ROOT, "f", 0100644);
	CHECK_EQ(set(ino, "a", 1), -EOPNOTSUPP);
	CHECK_EQ(drop(ino, "a"), -EOPNOTSUPP);
	scratch_close(&scratch);
}

static void
a_full_device_keeps_the_old_attributes(void)
{
	struct scratch_shape small = scratch_shapes[2];
	int64_t ino, f;
	uint64_t size = 0;

	small.bytes = 100 * 4096;
	small.ncg = 0;
	scratch_make(&scratch, &small);
	scratch.fs->opt.size_limit = 1;
	ino = scratch_create(&scratch, UFS_ROOT, "f", 0100644);
	CHECK_EQ(set(ino, "a", 100), 0);
	f = scratch_create(&scratch, UFS_ROOT, "fill", 0100644);
	for (int64_t n = 1; n > 0; size += n > 0 ? (uint64_t)n : 0)
		n = ufs_write(
		    scratch.fs, (uint64_t)f, size, value, sizeof(value));
	CHECK_EQ(set(ino, "b", 5000), -ENOSPC);
	CHECK(holds(ino, "a", 100));
	CHECK_EQ(scratch_faults(&scratch), 0);
	/* What fits the fragments it has needs no others. */
	CHECK_EQ(set(ino, "c", 500), 0);
	CHECK_EQ(scratch_faults(&scratch), 0);
	scratch_close(&scratch);
}

#define T(name) \
	{ \
#name, name \
	}

TESTS(T(an_area_takes_the_fragments_it_needs_up_to_two_blocks),
    T(attributes_come_and_go_one_by_one), T(attributes_go_with_their_file),
    T(all_but_devices_have_attributes), T(ufs1_has_none),
    T(a_full_device_keeps_the_old_attributes))
