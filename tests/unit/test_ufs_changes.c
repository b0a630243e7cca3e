/*
 * Random changes to images that FreeBSD and makefs made, each round on a fresh
 * scratch layer, judged by the checker after a flush.
 */
#include "check.h"

#include <sys/stat.h>

#include "../../imgfmt/ufs.h"
#include "ufs_kit.h"

enum { CHANGES = 60, INODES = 64, DATA = 200000 };

/* A round: what it knows of the file system, and its dice. */
struct round {
	struct ufs *fs;
	uint64_t seed;
	uint64_t ino[INODES];
	char name[INODES][UFS_NAME_MAX + 1]; /* in the root; else empty */
	size_t n;
};

static uint64_t
dice(struct round *r, uint64_t sides)
{
	r->seed ^= r->seed << 13;
	r->seed ^= r->seed >> 7;
	r->seed ^= r->seed << 17;
	return r->seed % sides;
}

static int
learn(void *arg, const struct ufs_dirent *entry)
{
	struct round *r = arg;

	if (r->n == INODES || entry->name[0] == '.')
		return 0;
	r->ino[r->n] = entry->ino;
	strcpy(r->name[r->n++], entry->name);
	return 0;
}

static uint64_t
any_inode(struct round *r)
{
	return r->ino[dice(r, r->n)];
}

/* One of a few names, so that they meet. */
static size_t
any_name(struct round *r, char name[20])
{
	return (size_t)snprintf(name, 20, "new-%d", (int)dice(r, 12));
}

static void
make_something(struct round *r)
{
	static const uint32_t modes[] = {
	    S_IFREG | 0644, S_IFREG | 0600, S_IFDIR | 0755, S_IFLNK | 0777};
	static const char target[] =
	    "/a/target/of/some/length/that/is/cut/anywhere/and/may/well/be/"
	    "longer/than/what/fits/into/an/inode/of/either/version/of/it/all";
	struct ufs_new what = {.mode = modes[dice(r, 4)],
	    .target = target,
	    .target_len = 1 + dice(r, sizeof(target) - 1)};
	struct ufs_attr attr;
	char name[20];
	size_t len = any_name(r, name);
	uint64_t dir = dice(r, 2) ? UFS_ROOT : any_inode(r);

	if (ufs_create(r->fs, dir, name, len, &what, &attr) < 0 ||
	    r->n == INODES)
		return;
	r->ino[r->n] = attr.ino;
	strcpy(r->name[r->n++], dir == UFS_ROOT ? name : "");
}

static void
change_contents(struct round *r)
{
	static uint8_t data[DATA];
	struct ufs_attr attr = {.size = dice(r, 4000000)};

	switch (dice(r, 4)) {
	case 0:
		(void)!ufs_setattr(
		    r->fs, any_inode(r), UFS_SET_SIZE, &attr, &attr);
		break;
	case 1:
		(void)!ufs_allocate(r->fs, any_inode(r), (int)dice(r, 4),
		    dice(r, 1000000), 1 + dice(r, 1000000));
		break;
	default:
		(void)!ufs_write(
		    r->fs, any_inode(r), dice(r, 2000000), data, dice(r, DATA));
	}
}

static void
change_names(struct round *r)
{
	size_t i = dice(r, r->n);
	char name[20];
	size_t len = any_name(r, name);
	struct ufs_name from = {UFS_ROOT, r->name[i], strlen(r->name[i])};
	struct ufs_name to = {any_inode(r), name, len};
	struct ufs_attr attr;

	switch (dice(r, 4)) {
	case 0:
		(void)!ufs_remove(
		    r->fs, UFS_ROOT, from.name, from.len, dice(r, 2));
		break;
	case 1:
		(void)!ufs_link(r->fs, r->ino[i], UFS_ROOT, name, len, &attr);
		break;
	default:
		if (dice(r, 2))
			to.dir = UFS_ROOT;
		(void)!ufs_rename(r->fs, &from, &to, (unsigned)dice(r, 3));
	}
}

static void
change_attributes(struct round *r)
{
	static uint8_t value[3000];
	struct ufs_attr attr = {.mode = 0640, .uid = 5, .flags = 1};

	if (dice(r, 2))
		(void)!ufs_xattr_set(r->fs, any_inode(r), UFS_EA_USER,
		    dice(r, 2) ? "one" : "another", value,
		    dice(r, sizeof(value)), UFS_EA_ANY);
	else
		(void)!ufs_setattr(r->fs, any_inode(r),
		    UFS_SET_MODE | UFS_SET_UID | UFS_SET_FLAGS, &attr, &attr);
}

static void
change_something(struct round *r)
{
	switch (dice(r, 5)) {
	case 0:
	case 1:
		make_something(r);
		break;
	case 2:
		change_contents(r);
		break;
	case 3:
		change_names(r);
		break;
	default:
		change_attributes(r);
	}
}

static void
grow(struct round *r, uint64_t size)
{
	int rc = ufs_grow(r->fs, size + dice(r, 64 << 20));

	/* Less than one more group is no growth. */
	CHECK(rc == 0 || rc == -EINVAL);
}

/* Errors of single changes are their own; the checker has the last word. */
static void
one_round(struct blkdev *base, uint64_t seed)
{
	struct round r = {.seed = seed * 0x9e3779b97f4a7c15u + 1};
	struct ufs_options options = {
	    .writable = true, .size_limit = base->size + (64 << 20)};
	struct blkdev *scratch;

	CHECK_EQ(
	    blkdev_cache_open(blkdev_ref(base), 1 << 28, 1 << 24, &scratch), 0);
	CHECK_EQ(ufs_open(blkdev_ref(scratch), &options, &r.fs), 0);
	CHECK_EQ(ufs_readdir(r.fs, UFS_ROOT, 0, learn, &r), 0);
	if (dice(&r, 3) == 0)
		grow(&r, base->size);
	for (int i = 0; i < CHANGES; i++)
		change_something(&r);
	CHECK_EQ(ufs_sync_to_device(r.fs), 0);
	CHECK_EQ(ufs_check(scratch, NULL, 0, NULL, NULL), 0);
	ufs_close(r.fs);
	blkdev_close(scratch);
}

static void
change(const char *name, uint64_t rounds)
{
	struct blkdev *base = kit_device(name);

	if (base == NULL)
		SKIP("no fixtures");
	base->writable = false;
	for (uint64_t seed = 1; seed <= rounds && check_failures == 0; seed++) {
		kit_capture();
		one_round(base, seed);
		if (check_failures != 0)
			printf("# in %s, seed %d: %s\n", name, (int)seed,
			    kit_line);
	}
	blkdev_close(base);
}

static void
images_stay_sound_whatever_is_changed(void)
{
	static const char *const names[] = {"makefs132-ufs2-be",
	    "makefs132-ufs1-8192-1024", "newfs132-ufs1-64k64k",
	    "newfs132-ufs2-full", "newfs132-ufs2-suj"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		change(names[i], 30);
}

static void
all_images_stay_sound_over_many_rounds(void)
{
	static const char *const names[] = {"makefs132-ufs1",
	    "makefs132-ufs1-65536-8192", "makefs132-ufs1-8192-1024",
	    "makefs132-ufs1-be", "makefs132-ufs2", "makefs132-ufs2-65536-8192",
	    "makefs132-ufs2-8192-1024", "makefs132-ufs2-be",
	    "makefs132-ufs2-roomy", "makefs2019-ufs2-sb8192",
	    "newfs132-ufs1-64k64k", "newfs132-ufs1-8k1k",
	    "newfs132-ufs1-default", "newfs132-ufs2-4k512",
	    "newfs132-ufs2-64k8k", "newfs132-ufs2-acl", "newfs132-ufs2-default",
	    "newfs132-ufs2-full", "newfs132-ufs2-nfs4acl", "newfs132-ufs2-suj"};

	if (getenv("RELIVE_LONG") == NULL)
		SKIP("only with RELIVE_LONG=1");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		change(names[i], 1000);
}

#define T(name) \
	{ \
#name, name \
	}
TESTS(T(images_stay_sound_whatever_is_changed),
    T(all_images_stay_sound_over_many_rounds))
