/* Names: made, linked, moved, removed; and how directories lie on disk. */
#include <stdlib.h>
#include <string.h>

#include "../../imgfmt/ufs_impl.h"
#include "check.h"
#include "ufs_scratch.h"

enum { S_REG = 0100644, S_DIR = 040755 };

static struct scratch scratch;

static int64_t
mkfile(uint64_t dir, const char *name)
{
	return scratch_create(&scratch, dir, name, S_REG);
}

static int64_t
mkdir_in(uint64_t dir, const char *name)
{
	return scratch_create(&scratch, dir, name, S_DIR);
}

static uint32_t
nlink_of(int64_t ino)
{
	return scratch_attr(&scratch, (uint64_t)ino).nlink;
}

static int
move(uint64_t from, const char *a, uint64_t to, const char *b)
{
	return scratch_rename(&scratch, from, a, to, b, 0);
}

/* Run body over every geometry, and judge afterwards. */
static void
over_shapes(void (*body)(void))
{
	for (const struct scratch_shape *s = scratch_shapes; s->name; s++) {
		scratch_make(&scratch, s);
		body();
		CHECK_EQ(scratch_faults(&scratch), 0);
		scratch_close(&scratch);
	}
}

/* -- create -----------------------------------------------------------------
 */

static void
every_type(void)
{
	static const uint32_t modes[] = {
	    010600, 020600, 040700, 060600, 0100600, 0140600};
	struct ufs_new what = {
	    .uid = 7, .gid = 8, .rdev_major = 13, .rdev_minor = 37};
	char name[2] = "a";
	struct ufs_attr attr;

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		what.mode = modes[i];
		CHECK_EQ(
		    ufs_create(scratch.fs, UFS_ROOT, name, 1, &what, &attr), 0);
		CHECK_EQ(attr.mode, modes[i]);
		CHECK_EQ(attr.uid, 7);
		CHECK_EQ(attr.gid, 8);
		CHECK_EQ(attr.nlink, modes[i] == 040700 ? 2 : 1);
		CHECK_EQ(attr.size, modes[i] == 040700 ? 512 : 0);
		if ((modes[i] & 0170000) == 0020000) {
			CHECK_EQ(attr.rdev_major, 13);
			CHECK_EQ(attr.rdev_minor, 37);
		}
		name[0]++;
	}
	CHECK_EQ(nlink_of(UFS_ROOT), 3);
	what.mode = 0160000;
	CHECK_EQ(
	    ufs_create(scratch.fs, UFS_ROOT, "w", 1, &what, &attr), -EINVAL);
	what.mode = 0120777;
	CHECK_EQ(
	    ufs_create(scratch.fs, UFS_ROOT, "w", 1, &what, &attr), -EINVAL);
}

static void
files_of_every_type_are_made(void)
{
	over_shapes(every_type);
}

static void
symlinks_of_many_lengths(void)
{
	size_t inline_max = scratch.fs->sb.maxsymlinklen;
	char target[4096], name[8], got[4096];

	memset(target, 'x', sizeof(target));
	for (size_t len = 1; len < 4096; len += len < 130 ? 1 : 333) {
		struct ufs_new what = {
		    .mode = 0120777, .target = target, .target_len = len};
		struct ufs_attr attr;

		snprintf(name, sizeof(name), "l%zu", len);
		CHECK_EQ(ufs_create(scratch.fs, UFS_ROOT, name, strlen(name),
			     &what, &attr),
		    0);
		/* Strictly less fits into the inode. */
		CHECK_EQ(attr.blocks == 0, len < inline_max);
		CHECK_EQ(
		    ufs_readlink(scratch.fs, attr.ino, got, sizeof(got)), len);
		CHECK_EQ(memcmp(got, target, len), 0);
	}
}

static void
targets_lie_in_the_inode_when_short_enough(void)
{
	over_shapes(symlinks_of_many_lengths);
}

static void
names_that_cannot_be(void)
{
	struct ufs_new what = {.mode = S_REG};
	struct ufs_attr attr;
	char name[300];

	memset(name, 'n', sizeof(name));
	CHECK_EQ(ufs_create(scratch.fs, UFS_ROOT, name, 256, &what, &attr),
	    -ENAMETOOLONG);
	CHECK_EQ(ufs_create(scratch.fs, UFS_ROOT, name, 255, &what, &attr), 0);
	CHECK_EQ(
	    ufs_create(scratch.fs, UFS_ROOT, name, 255, &what, &attr), -EEXIST);
	CHECK_EQ(
	    ufs_create(scratch.fs, UFS_ROOT, "", 0, &what, &attr), -EINVAL);
	CHECK_EQ(
	    ufs_create(scratch.fs, UFS_ROOT, ".", 1, &what, &attr), -EINVAL);
	CHECK_EQ(
	    ufs_create(scratch.fs, UFS_ROOT, "..", 2, &what, &attr), -EINVAL);
	CHECK_EQ(
	    ufs_create(scratch.fs, UFS_ROOT, "a/b", 3, &what, &attr), -EINVAL);
	CHECK_EQ(
	    ufs_create(scratch.fs, UFS_ROOT, "a\0b", 3, &what, &attr), -EINVAL);
	CHECK_EQ(mkfile((uint64_t)mkfile(UFS_ROOT, "f"), "x"), -ENOTDIR);
	CHECK_EQ(mkfile(9999999, "x"), -ESTALE);
	CHECK_EQ(scratch_remove(&scratch, UFS_ROOT, "none"), -ENOENT);
	CHECK_EQ(scratch_rmdir(&scratch, UFS_ROOT, "."), -EINVAL);
}

static void
impossible_names_are_refused(void)
{
	over_shapes(names_that_cannot_be);
}

static void
unlinked_directories_take_no_names(void)
{
	int64_t d, f;
	struct ufs_attr attr;

	scratch_make(&scratch, &scratch_shapes[0]);
	d = mkdir_in(UFS_ROOT, "d");
	f = mkfile(UFS_ROOT, "f");
	CHECK_EQ(ufs_pin(scratch.fs, (uint64_t)d), 0);
	CHECK_EQ(scratch_rmdir(&scratch, UFS_ROOT, "d"), 0);
	CHECK_EQ(mkfile((uint64_t)d, "x"), -ENOENT);
	CHECK_EQ(ufs_link(scratch.fs, (uint64_t)f, (uint64_t)d, "x", 1, &attr),
	    -ENOENT);
	CHECK_EQ(move(UFS_ROOT, "f", (uint64_t)d, "x"), -ENOENT);
	CHECK_EQ(nlink_of(UFS_ROOT), 2);
	CHECK_EQ(scratch_faults(&scratch), 0);
	CHECK_EQ(ufs_unpin(scratch.fs, (uint64_t)d, 1), 0);
	CHECK_EQ(scratch_faults(&scratch), 0);
	scratch_close(&scratch);
}

static void
links_end_at_32767(void)
{
	struct ufs_attr attr;
	char name[16];
	int64_t f;
	int rc = 0;

	scratch_make(&scratch, &scratch_shapes[3]);
	f = mkfile(UFS_ROOT, "f");
	for (int i = 1; i < UFS_LINK_MAX && rc == 0; i++) {
		snprintf(name, sizeof(name), "l%d", i);
		rc = ufs_link(scratch.fs, (uint64_t)f, UFS_ROOT, name,
		    strlen(name), &attr);
	}
	CHECK_EQ(rc, 0);
	CHECK_EQ(nlink_of(f), UFS_LINK_MAX);
	CHECK_EQ(ufs_link(scratch.fs, (uint64_t)f, UFS_ROOT, "more", 4, &attr),
	    -EMLINK);
	CHECK_EQ(scratch_faults(&scratch), 0);
	scratch_close(&scratch);
}

static void
subdirectories_end_at_32767_links(void)
{
	struct ufs_node *node;
	int64_t d, e;

	scratch_make(&scratch, &scratch_shapes[3]);
	d = mkdir_in(UFS_ROOT, "d");
	e = mkdir_in((uint64_t)d, "e");
	CHECK_EQ(ufs_node_get(scratch.fs, (uint64_t)d, &node), 0);
	node->d.nlink = UFS_LINK_MAX;
	CHECK_EQ(mkdir_in((uint64_t)d, "x"), -EMLINK);
	CHECK(mkdir_in(UFS_ROOT, "y") > 0);
	CHECK_EQ(move(UFS_ROOT, "y", (uint64_t)d, "y"), -EMLINK);
	/* In the place of another one there is room. */
	CHECK_EQ(move(UFS_ROOT, "y", (uint64_t)d, "e"), 0);
	CHECK_EQ(scratch_attr(&scratch, (uint64_t)e).nlink, UINT32_MAX);
	CHECK(mkfile(UFS_ROOT, "f") > 0);
	CHECK(mkfile((uint64_t)d, "g") > 0);
	CHECK(mkdir_in(UFS_ROOT, "z") > 0);
	CHECK_EQ(scratch_rename(&scratch, UFS_ROOT, "z", (uint64_t)d, "g",
		     UFS_RENAME_EXCHANGE),
	    -EMLINK);
	node->d.nlink = 3;
	CHECK_EQ(ufs_node_store(scratch.fs, node), 0);
	ufs_node_put(scratch.fs, node);
	CHECK_EQ(scratch_faults(&scratch), 0);
	scratch_close(&scratch);
}

/* -- times ------------------------------------------------------------------
 */

static void
age(int64_t ino)
{
	struct ufs_attr attr = {
	    .atime = {5, 0}, .mtime = {5, 0}, .ctime = {5, 0}};

	CHECK_EQ(
	    ufs_setattr(scratch.fs, (uint64_t)ino,
		UFS_SET_ATIME | UFS_SET_MTIME | UFS_SET_CTIME, &attr, &attr),
	    0);
}

/* Whether mtime, and ctime, were updated since age. */
static int
touched(int64_t ino)
{
	struct ufs_attr attr = scratch_attr(&scratch, (uint64_t)ino);

	CHECK_EQ(attr.atime.tv_sec, 5);
	return (attr.mtime.tv_sec != 5) + 2 * (attr.ctime.tv_sec != 5);
}

/* And not only once they have been on the disk. */
static void
times_are_shown_as_they_are_kept(void)
{
	for (const struct scratch_shape *s = scratch_shapes; s->name; s++) {
		struct ufs_attr attr = {
		    .atime = {-(1ll << 40), 7}, .mtime = {1ll << 40, 8}};
		bool late = s->version == 2;
		int64_t ino;

		scratch_make(&scratch, s);
		ino = mkfile(UFS_ROOT, "f");
		CHECK_EQ(ufs_setattr(scratch.fs, (uint64_t)ino,
			     UFS_SET_ATIME | UFS_SET_MTIME, &attr, &attr),
		    0);
		CHECK_EQ(attr.atime.tv_sec, late ? -(1ll << 40) : INT32_MIN);
		CHECK_EQ(attr.mtime.tv_sec, late ? 1ll << 40 : INT32_MAX);
		attr = scratch_attr(&scratch, (uint64_t)ino);
		CHECK_EQ(attr.mtime.tv_sec, late ? 1ll << 40 : INT32_MAX);
		CHECK_EQ(attr.mtime.tv_nsec, 8);
		scratch_close(&scratch);
	}
}

static void
the_right_times_are_updated(void)
{
	int64_t a, b, f, d;
	struct ufs_attr attr;

	scratch_make(&scratch, &scratch_shapes[0]);
	a = mkdir_in(UFS_ROOT, "a");
	b = mkdir_in(UFS_ROOT, "b");
	f = mkfile((uint64_t)a, "f");
	d = mkdir_in((uint64_t)a, "d");
	age(a), age(f);
	CHECK_EQ(
	    ufs_link(scratch.fs, (uint64_t)f, (uint64_t)a, "g", 1, &attr), 0);
	CHECK_EQ(touched(a), 3);
	CHECK_EQ(touched(f), 2);
	age(a), age(f);
	CHECK_EQ(scratch_remove(&scratch, (uint64_t)a, "g"), 0);
	CHECK_EQ(touched(a), 3);
	CHECK_EQ(touched(f), 2);
	age(a), age(b), age(f);
	CHECK_EQ(move((uint64_t)a, "f", (uint64_t)b, "f"), 0);
	CHECK_EQ(touched(a), 3);
	CHECK_EQ(touched(b), 3);
	CHECK_EQ(touched(f), 2);
	age(a), age(b), age(d);
	CHECK_EQ(move((uint64_t)a, "d", (uint64_t)b, "d"), 0);
	CHECK_EQ(touched(d), 2);
	age(b);
	CHECK(mkfile((uint64_t)b, "new") > 0);
	CHECK_EQ(touched(b), 3);
	CHECK_EQ(scratch_faults(&scratch), 0);
	scratch_close(&scratch);
}

/* -- rename -----------------------------------------------------------------
 */

static void
rename_cases(void)
{
	int64_t a = mkdir_in(UFS_ROOT, "a"), b = mkdir_in(UFS_ROOT, "b");
	int64_t f = mkfile(UFS_ROOT, "f"), g = mkfile(UFS_ROOT, "g");
	int64_t c = mkdir_in((uint64_t)a, "c");

	CHECK_EQ(move(UFS_ROOT, "none", UFS_ROOT, "x"), -ENOENT);
	CHECK_EQ(move(UFS_ROOT, "f", UFS_ROOT, "a"), -EISDIR);
	CHECK_EQ(move(UFS_ROOT, "a", UFS_ROOT, "f"), -ENOTDIR);
	CHECK_EQ(move(UFS_ROOT, "b", UFS_ROOT, "a"), -ENOTEMPTY);
	CHECK_EQ(move(UFS_ROOT, "a", (uint64_t)a, "x"), -EINVAL);
	CHECK_EQ(move(UFS_ROOT, "a", (uint64_t)c, "x"), -EINVAL);
	CHECK_EQ(move((uint64_t)a, "c", UFS_ROOT, "a"), -ENOTEMPTY);
	CHECK_EQ(move(UFS_ROOT, ".", UFS_ROOT, "x"), -EINVAL);
	CHECK_EQ(move(UFS_ROOT, "f", UFS_ROOT, ".."), -EINVAL);
	CHECK_EQ(move((uint64_t)f, "f", UFS_ROOT, "x"), -ENOTDIR);
	CHECK_EQ(scratch_rename(&scratch, UFS_ROOT, "f", UFS_ROOT, "g",
		     UFS_RENAME_NOREPLACE),
	    -EEXIST);
	CHECK_EQ(scratch_rename(&scratch, UFS_ROOT, "f", UFS_ROOT, "g",
		     UFS_RENAME_NOREPLACE | UFS_RENAME_EXCHANGE),
	    -EINVAL);
	CHECK_EQ(scratch_rename(&scratch, UFS_ROOT, "f", UFS_ROOT, "g", 64),
	    -EINVAL);
	CHECK_EQ(nlink_of(UFS_ROOT), 4);

	/* A directory to another parent; back over an empty one. */
	CHECK_EQ(move((uint64_t)a, "c", (uint64_t)b, "c2"), 0);
	CHECK_EQ(nlink_of(a), 2);
	CHECK_EQ(nlink_of(b), 3);
	CHECK_EQ(scratch_lookup(&scratch, (uint64_t)c, ".."), b);
	CHECK_EQ(move((uint64_t)b, "c2", UFS_ROOT, "a"), 0);
	CHECK_EQ(scratch_lookup(&scratch, UFS_ROOT, "a"), c);
	CHECK_EQ(scratch_lookup(&scratch, (uint64_t)c, ".."), UFS_ROOT);
	CHECK_EQ(scratch_attr(&scratch, (uint64_t)a).nlink, UINT32_MAX);
	CHECK_EQ(nlink_of(b), 2);
	CHECK_EQ(nlink_of(UFS_ROOT), 4);

	/* A file over another; one file's two names. */
	CHECK_EQ(move(UFS_ROOT, "f", UFS_ROOT, "g"), 0);
	CHECK_EQ(scratch_attr(&scratch, (uint64_t)g).nlink, UINT32_MAX);
	CHECK_EQ(scratch_lookup(&scratch, UFS_ROOT, "g"), f);
	CHECK_EQ(move(UFS_ROOT, "g", UFS_ROOT, "g"), 0);
	CHECK_EQ(nlink_of(f), 1);
}

static void
rename_obeys_posix(void)
{
	over_shapes(rename_cases);
}

static void
exchange_cases(void)
{
	int64_t a = mkdir_in(UFS_ROOT, "a"), b = mkdir_in(UFS_ROOT, "b");
	int64_t d = mkdir_in((uint64_t)a, "d"), f = mkfile((uint64_t)b, "f");
	unsigned x = UFS_RENAME_EXCHANGE;

	CHECK_EQ(
	    scratch_rename(&scratch, (uint64_t)a, "d", (uint64_t)b, "none", x),
	    -ENOENT);
	CHECK_EQ(
	    scratch_rename(&scratch, (uint64_t)a, "d", (uint64_t)b, "f", x), 0);
	CHECK_EQ(scratch_lookup(&scratch, (uint64_t)a, "d"), f);
	CHECK_EQ(scratch_lookup(&scratch, (uint64_t)b, "f"), d);
	CHECK_EQ(scratch_lookup(&scratch, (uint64_t)d, ".."), b);
	CHECK_EQ(nlink_of(a), 2);
	CHECK_EQ(nlink_of(b), 3);
	/* An ancestor with what lies below it. */
	CHECK_EQ(scratch_rename(&scratch, UFS_ROOT, "b", (uint64_t)b, "f", x),
	    -EINVAL);
	CHECK_EQ(scratch_rename(&scratch, (uint64_t)b, "f", UFS_ROOT, "b", x),
	    -EINVAL);
	CHECK_EQ(scratch_rename(&scratch, UFS_ROOT, "a", UFS_ROOT, "b", x), 0);
	CHECK_EQ(scratch_lookup(&scratch, UFS_ROOT, "a"), b);
	CHECK_EQ(nlink_of(UFS_ROOT), 4);
}

static void
exchange_swaps_two_names(void)
{
	over_shapes(exchange_cases);
}

static void
a_replaced_file_that_is_open_lives_on(void)
{
	int64_t g;

	scratch_make(&scratch, &scratch_shapes[3]);
	CHECK(mkfile(UFS_ROOT, "f") > 0);
	g = mkfile(UFS_ROOT, "g");
	CHECK_EQ(ufs_write(scratch.fs, (uint64_t)g, 0, "hello", 5), 5);
	CHECK_EQ(ufs_pin(scratch.fs, (uint64_t)g), 0);
	CHECK_EQ(move(UFS_ROOT, "f", UFS_ROOT, "g"), 0);
	CHECK_EQ(nlink_of(g), 0);
	CHECK_EQ(scratch_faults(&scratch), 0);
	CHECK_EQ(scratch.norphans, 1);
	CHECK_EQ(ufs_unpin(scratch.fs, (uint64_t)g, 1), 0);
	CHECK_EQ(scratch_faults(&scratch), 0);
	scratch_close(&scratch);
}

/* -- directories on disk ----------------------------------------------------
 */

static void
many_names(void)
{
	enum { N = 3000 };
	uint64_t dir = (uint64_t)mkdir_in(UFS_ROOT, "many");
	uint64_t size;
	char name[64];

	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "%0*d", 4 + i % 40, i);
		CHECK(mkfile(dir, name) > 0);
	}
	CHECK_EQ(scratch_faults(&scratch), 0);
	size = scratch_attr(&scratch, dir).size;
	/* Every second goes; as many come: the room is found again. */
	for (int i = 0; i < N; i += 2) {
		snprintf(name, sizeof(name), "%0*d", 4 + i % 40, i);
		CHECK_EQ(scratch_remove(&scratch, dir, name), 0);
	}
	for (int i = 0; i < N; i += 2) {
		snprintf(name, sizeof(name), "%0*d", 4 + i % 40, i + N);
		CHECK(mkfile(dir, name) > 0);
	}
	CHECK(scratch_attr(&scratch, dir).size <= size + size / 10);
	CHECK_EQ(scratch_faults(&scratch), 0);
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "%0*d", 4 + i % 40,
		    i % 2 == 0 ? i + N : i);
		CHECK_EQ(scratch_remove(&scratch, dir, name), 0);
	}
	/* Empty chunks at the end went with their names. */
	CHECK_EQ(scratch_attr(&scratch, dir).size, 512);
	CHECK_EQ(scratch_rmdir(&scratch, UFS_ROOT, "many"), 0);
}

static void
large_directories_grow_reuse_and_shrink(void)
{
	over_shapes(many_names);
}

/* Who has read up to an entry goes on behind it: see ufs_readdir. */
static int
stops_at_first(void *arg, const struct ufs_dirent *entry)
{
	*(struct ufs_dirent *)arg = *entry;
	return 1;
}

static void
entries_keep_their_places(void)
{
	struct ufs_dirent was, is;
	char name[64];

	scratch_make(&scratch, &scratch_shapes[2]);
	/* 24 bytes "." and "..", then 12 of 40 bytes: 8 are left. */
	for (int i = 0; i < 12; i++) {
		snprintf(name, sizeof(name), "%029d", i);
		CHECK(mkfile(UFS_ROOT, name) > 0);
	}
	CHECK_EQ(scratch_attr(&scratch, UFS_ROOT).size, 512);
	CHECK_EQ(ufs_readdir(
		     scratch.fs, UFS_ROOT, 24 + 11 * 40, stops_at_first, &was),
	    1);
	CHECK(strcmp(was.name, "00000000000000000000000000011") == 0);
	CHECK_EQ(was.off, 24 + 11 * 40);
	/* Two holes of 40 bytes, apart; together there is room for 84. */
	CHECK_EQ(
	    scratch_remove(&scratch, UFS_ROOT, "00000000000000000000000000003"),
	    0);
	CHECK_EQ(
	    scratch_remove(&scratch, UFS_ROOT, "00000000000000000000000000007"),
	    0);
	snprintf(name, sizeof(name), "%060d", 1);
	CHECK(mkfile(UFS_ROOT, name) > 0);
	CHECK_EQ(scratch_attr(&scratch, UFS_ROOT).size, 1024);
	CHECK_EQ(
	    ufs_readdir(scratch.fs, UFS_ROOT, was.off, stops_at_first, &is), 1);
	CHECK(strcmp(is.name, was.name) == 0);
	CHECK_EQ(is.off, was.off);
	CHECK_EQ(
	    ufs_readdir(scratch.fs, UFS_ROOT, was.off + 1, stops_at_first, &is),
	    1);
	CHECK(strcmp(is.name, name) == 0);
	/* A hole is taken by what fits. */
	CHECK(mkfile(UFS_ROOT, "00000000000000000000000000012") > 0);
	CHECK_EQ(
	    ufs_readdir(scratch.fs, UFS_ROOT, 24 + 3 * 40, stops_at_first, &is),
	    1);
	CHECK(strcmp(is.name, "00000000000000000000000000012") == 0);
	CHECK_EQ(
	    ufs_readdir(scratch.fs, UFS_ROOT, 1024, stops_at_first, &is), 0);
	CHECK_EQ(scratch_faults(&scratch), 0);
	scratch_close(&scratch);
}

static void
a_name_takes_the_place_of_a_whiteout(void)
{
	struct ufs_node *root;
	int64_t d, f;

	scratch_make(&scratch, &scratch_shapes[0]);
	d = mkdir_in(UFS_ROOT, "d");
	CHECK_EQ(ufs_node_get(scratch.fs, (uint64_t)d, &root), 0);
	CHECK_EQ(
	    ufs_dir_enter(scratch.fs, root, "w", 1, UFS_WHITEOUT_INO, 14), 0);
	CHECK_EQ(
	    ufs_dir_enter(scratch.fs, root, "v", 1, UFS_WHITEOUT_INO, 14), 0);
	ufs_node_put(scratch.fs, root);
	CHECK_EQ(scratch_faults(&scratch), 0);
	CHECK_EQ(scratch_lookup(&scratch, (uint64_t)d, "w"), -ENOENT);
	CHECK_EQ(scratch_remove(&scratch, (uint64_t)d, "w"), -ENOENT);
	f = mkfile((uint64_t)d, "w");
	CHECK_EQ(scratch_lookup(&scratch, (uint64_t)d, "w"), f);
	CHECK_EQ(move((uint64_t)d, "w", (uint64_t)d, "v"), 0);
	CHECK_EQ(scratch_faults(&scratch), 0);
	CHECK_EQ(scratch_rmdir(&scratch, UFS_ROOT, "d"), -ENOTEMPTY);
	CHECK_EQ(scratch_remove(&scratch, (uint64_t)d, "v"), 0);
	CHECK_EQ(scratch_rmdir(&scratch, UFS_ROOT, "d"), 0);
	CHECK_EQ(scratch_faults(&scratch), 0);
	scratch_close(&scratch);
}

static void
a_directory_of_whiteouts_alone_is_empty(void)
{
	struct ufs_node *node;
	int64_t d;

	scratch_make(&scratch, &scratch_shapes[2]);
	d = mkdir_in(UFS_ROOT, "d");
	CHECK_EQ(ufs_node_get(scratch.fs, (uint64_t)d, &node), 0);
	CHECK_EQ(
	    ufs_dir_enter(scratch.fs, node, "w", 1, UFS_WHITEOUT_INO, 14), 0);
	ufs_node_put(scratch.fs, node);
	CHECK_EQ(scratch_rmdir(&scratch, UFS_ROOT, "d"), 0);
	CHECK_EQ(scratch_faults(&scratch), 0);
	scratch_close(&scratch);
}

#define T(name) \
	{ \
#name, name \
	}

TESTS(T(files_of_every_type_are_made),
    T(targets_lie_in_the_inode_when_short_enough),
    T(impossible_names_are_refused), T(unlinked_directories_take_no_names),
    T(links_end_at_32767), T(subdirectories_end_at_32767_links),
    T(times_are_shown_as_they_are_kept), T(the_right_times_are_updated),
    T(rename_obeys_posix), T(exchange_swaps_two_names),
    T(a_replaced_file_that_is_open_lives_on),
    T(large_directories_grow_reuse_and_shrink), T(entries_keep_their_places),
    T(a_name_takes_the_place_of_a_whiteout),
    T(a_directory_of_whiteouts_alone_is_empty))
