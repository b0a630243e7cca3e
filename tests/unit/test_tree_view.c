/* Images as sources: what arrives, where contents lie, what is refused. */
#include "../../imgfmt/ufs.h"
#include "../../mkimage/view.h"
#include "tree_kit.h"
#include "ufs_scratch.h"

/* A view of a file system in memory, without an image around it. */
struct lab {
	struct scratch s;
	struct image image;
	struct session session;
	struct view view;
	struct tree tree;
};

static void
lab_open(struct lab *lab, int shape)
{
	static char path[] = "lab";

	memset(lab, 0, sizeof(*lab));
	scratch_make(&lab->s, &scratch_shapes[shape]);
	lab->image.path = path;
	lab->image.dev = lab->s.dev;
	lab->session.image = &lab->image;
	lab->view.session = &lab->session;
	CHECK_EQ(tree_init(&lab->tree), 0);
	kit_listen();
}

/* Read the tree from path on. */
static int
lab_read(struct lab *lab, const char *path)
{
	CHECK_EQ(ufs_sync_to_device(lab->s.fs), 0);
	lab->view.fs = lab->s.fs;
	return tree_add_view(&lab->tree, &lab->view, path);
}

static void
lab_close(struct lab *lab)
{
	tree_release(&lab->tree);
	scratch_close(&lab->s);
}

static uint64_t
put(struct lab *lab, uint64_t dir, const char *name, uint32_t mode)
{
	int64_t ino = scratch_create(&lab->s, dir, name, mode);

	CHECK(ino > 0);
	return (uint64_t)ino;
}

static void
write_at(struct lab *lab, uint64_t ino, uint64_t off, const char *text)
{
	CHECK_EQ(ufs_write(lab->s.fs, ino, off, text, strlen(text)),
	    (int64_t)strlen(text));
}

/* len bytes at off of the node at path are text. */
static bool
reads(const struct lab *lab, const char *path, uint64_t off, const char *text)
{
	struct tree_node *n = tree_find(&lab->tree, path);
	struct tree_reader r;
	char buf[64] = "";
	int rc;

	tree_reader_init(&r, &lab->tree);
	rc = n == NULL ? -ENOENT : tree_read(&r, n, off, buf, strlen(text));
	tree_reader_release(&r);
	return rc == 0 && memcmp(buf, text, strlen(text)) == 0;
}

static void
attributes_arrive(void)
{
	struct ufs_attr a = {.mode = 04711,
	    .uid = 4000000000,
	    .gid = 77,
	    .flags = UFS_FLAG_SIMMUTABLE | 1,
	    .atime = {11, 1},
	    .mtime = {-22, 2},
	    .ctime = {33, 3},
	    .birth = {5, 4}};
	unsigned all = UFS_SET_MODE | UFS_SET_UID | UFS_SET_GID |
	    UFS_SET_FLAGS | UFS_SET_ATIME | UFS_SET_MTIME | UFS_SET_CTIME |
	    UFS_SET_BIRTH;
	const struct tree_node *n;
	struct ufs_attr got;
	struct lab lab;
	uint64_t ino;

	lab_open(&lab, 3);
	ino = put(&lab, UFS_ROOT, "f", S_IFREG | 0644);
	CHECK_EQ(ufs_xattr_set(lab.s.fs, ino, UFS_EA_SYSTEM,
		     "posix1e.acl_access", "acl", 3, UFS_EA_ANY),
	    0);
	CHECK_EQ(ufs_xattr_set(
		     lab.s.fs, ino, UFS_EA_USER, "empty", "", 0, UFS_EA_ANY),
	    0);
	CHECK_EQ(ufs_setattr(lab.s.fs, ino, all, &a, &got), 0);
	CHECK_EQ(ufs_setattr(lab.s.fs, UFS_ROOT, UFS_SET_MODE | UFS_SET_BIRTH,
		     &a, &got),
	    0);
	CHECK_EQ(lab_read(&lab, "/"), 0);
	n = tree_find(&lab.tree, "f");
	CHECK(n != NULL);
	if (n == NULL)
		return;
	CHECK_EQ(n->mode, S_IFREG | 04711);
	CHECK(n->uid == 4000000000 && n->gid == 77);
	CHECK_EQ(n->flags, UFS_FLAG_SIMMUTABLE | 1);
	CHECK(n->atime.tv_sec == 11 && n->mtime.tv_sec == -22);
	CHECK(n->ctime.tv_sec == 33 && n->ctime.tv_nsec == 3);
	CHECK(n->birth.tv_sec == 5 && n->birth.tv_nsec == 4);
	CHECK(n->xattrs != NULL && strcmp(n->xattrs->name, "empty") == 0);
	CHECK(n->xattrs != NULL && n->xattrs->next != NULL &&
	    n->xattrs->next->space == UFS_EA_SYSTEM &&
	    n->xattrs->next->len == 3);
	CHECK_EQ(lab.tree.root->mode, S_IFDIR | 04711);
	CHECK_EQ(lab.tree.root->birth.tv_sec, 5);
	lab_close(&lab);
}

static void
links_and_kinds_arrive(void)
{
	struct ufs_new device = {
	    .mode = S_IFCHR | 0600, .rdev_major = 5, .rdev_minor = 131081};
	struct tree_node *a, *b;
	struct ufs_attr got;
	struct lab lab;
	uint64_t dir, ino;

	lab_open(&lab, 0);
	dir = put(&lab, UFS_ROOT, "d", S_IFDIR | 0700);
	ino = put(&lab, dir, "a", S_IFREG | 0644);
	CHECK_EQ(ufs_link(lab.s.fs, ino, UFS_ROOT, "b", 1, &got), 0);
	CHECK(scratch_symlink(&lab.s, dir, "l", "../b") > 0);
	put(&lab, dir, "p", S_IFIFO | 0600);
	CHECK_EQ(ufs_create(lab.s.fs, dir, "c", 1, &device, &got), 0);
	CHECK_EQ(lab_read(&lab, ""), 0);
	a = tree_find(&lab.tree, "d/a");
	b = tree_find(&lab.tree, "b");
	CHECK(a != NULL && a == b && a->names == 2);
	a = tree_find(&lab.tree, "d/l");
	CHECK(a != NULL && strcmp(a->target, "../b") == 0);
	a = tree_find(&lab.tree, "d/c");
	CHECK(a != NULL && a->rdev_major == 5 && a->rdev_minor == 131081);
	a = tree_find(&lab.tree, "d/p");
	CHECK(a != NULL && S_ISFIFO(a->mode));
	lab_close(&lab);
}

static void
contents_are_read_where_they_lie(void)
{
	struct tree_node *n;
	struct lab lab;
	uint64_t a, b;
	size_t i = 0;

	lab_open(&lab, 0); /* blocks of 4096 */
	a = put(&lab, UFS_ROOT, "a", S_IFREG | 0644);
	b = put(&lab, UFS_ROOT, "b", S_IFREG | 0644);
	/* turn by turn, so that neither lies in one piece */
	for (uint64_t off = 0; off < 40 * 4096; off += 4096) {
		write_at(&lab, a, off, "mine");
		write_at(&lab, b, off, "yours");
	}
	write_at(&lab, a, 1 << 20, "tail");
	CHECK_EQ(lab_read(&lab, "/"), 0);
	n = tree_find(&lab.tree, "b");
	CHECK(n != NULL && n->size == 39 * 4096 + 5 && n->content.nruns > 1);
	if (n != NULL)
		CHECK_EQ(tree_stretch(&n->content, &i), n->size);
	CHECK(n != NULL && i == n->content.nruns);
	CHECK(reads(&lab, "b", 17 * 4096, "yours"));
	CHECK(reads(&lab, "a", 39 * 4096, "mine"));
	CHECK(reads(&lab, "a", 1 << 20, "tail"));
	n = tree_find(&lab.tree, "a");
	CHECK(n != NULL && n->size == (1 << 20) + 4);
	if (n != NULL) {
		i = 0;
		CHECK_EQ(tree_stretch(&n->content, &i), 40 * 4096);
		CHECK_EQ(n->content.runs[i].off, 1 << 20);
	}
	lab_close(&lab);
}

static void
a_directory_of_the_image_can_be_the_root(void)
{
	struct lab lab;
	uint64_t dir;

	lab_open(&lab, 1); /* big-endian */
	dir = put(&lab, UFS_ROOT, "d", S_IFDIR | 0750);
	write_at(&lab, put(&lab, dir, "f", S_IFREG | 0644), 0, "text");
	put(&lab, UFS_ROOT, "g", S_IFREG | 0644);
	CHECK_EQ(lab_read(&lab, "/d"), 0);
	CHECK_EQ(lab.tree.root->mode, S_IFDIR | 0750);
	CHECK_EQ(lab.tree.root->n, 1);
	CHECK(reads(&lab, "f", 0, "text"));
	CHECK_EQ(tree_add_view(&lab.tree, &lab.view, "/g"), -ENOTDIR);
	CHECK(kit_heard("cannot read '/g': Not a directory"));
	CHECK_EQ(tree_add_view(&lab.tree, &lab.view, "/none"), -ENOENT);
	CHECK(kit_heard("cannot read '/none'"));
	lab_close(&lab);
}

/* Let what lies under name point to ino, or be called as; in every place. */
static void
patch_entry(struct lab *lab, const char *name, uint32_t ino, const char *as)
{
	struct blkdev *dev = lab->s.dev;
	size_t len = strlen(name);
	uint8_t chunk[512];

	CHECK_EQ(ufs_flush(lab->s.fs), 0);
	for (uint64_t off = 0; off < dev->size; off += sizeof(chunk)) {
		uint8_t *at;

		CHECK_EQ(blkdev_read(dev, off, chunk, sizeof(chunk)), 0);
		at = memmem(chunk, sizeof(chunk), name, len + 1);
		if (at == NULL || at < chunk + 8 || at[-1] != len)
			continue;
		if (ino != 0)
			memcpy(at - 8, &ino, sizeof(ino));
		if (as != NULL)
			memcpy(at, as, len);
		CHECK_EQ(blkdev_write(dev, off, chunk, sizeof(chunk)), 0);
	}
	ufs_close(lab->s.fs);
	scratch_open(&lab->s);
}

static void
damage_is_refused(void)
{
	struct lab lab;
	uint64_t dir;

	lab_open(&lab, 0);
	dir = put(&lab, UFS_ROOT, "aa", S_IFDIR | 0755);
	put(&lab, dir, "loop", S_IFDIR | 0755);
	patch_entry(&lab, "loop", UFS_ROOT, NULL);
	CHECK_EQ(lab_read(&lab, "/"), -ECORRUPT);
	CHECK(kit_heard("'lab': '/aa/loop': directories go round"));
	lab_close(&lab);

	lab_open(&lab, 0);
	put(&lab, UFS_ROOT, "dangle", S_IFREG | 0644);
	patch_entry(&lab, "dangle", 77, NULL);
	CHECK_EQ(lab_read(&lab, "/"), -ECORRUPT);
	CHECK(kit_heard("'/dangle': the name leads to no file"));
	lab_close(&lab);

	lab_open(&lab, 0);
	put(&lab, UFS_ROOT, "twin1", S_IFREG | 0644);
	put(&lab, UFS_ROOT, "twin2", S_IFREG | 0644);
	patch_entry(&lab, "twin2", 0, "twin1");
	CHECK_EQ(lab_read(&lab, "/"), -ECORRUPT);
	CHECK(kit_heard("'/twin1': the name is there twice"));
	lab_close(&lab);
}

static void
too_many_directories_within_one_another_are_refused(void)
{
	struct lab lab;
	uint64_t dir = UFS_ROOT;

	lab_open(&lab, 0);
	for (int i = 0; i < TREE_DEPTH_MAX; i++)
		dir = put(&lab, dir, "d", S_IFDIR | 0755);
	CHECK_EQ(lab_read(&lab, "/"), -ENAMETOOLONG);
	CHECK(kit_heard("'lab': cannot read '/d/d/"));
	lab_close(&lab);
}

/* Let the file of owner uid be a snapshot, which the engine makes of none. */
static void
make_snapshot(struct lab *lab, uint32_t uid)
{
	enum { UID = 112, FLAGS = 100, DINODE = 128 }; /* of UFS1 */
	uint32_t flag = UFS_FLAG_SNAPSHOT, is;

	CHECK_EQ(ufs_flush(lab->s.fs), 0);
	for (uint64_t off = 0; off < lab->s.dev->size; off += DINODE) {
		CHECK_EQ(blkdev_read(lab->s.dev, off + UID, &is, 4), 0);
		if (is == uid)
			CHECK_EQ(
			    blkdev_write(lab->s.dev, off + FLAGS, &flag, 4), 0);
	}
	ufs_close(lab->s.fs);
	scratch_open(&lab->s);
}

/* Let the file of owner to be what that of owner from is, blocks and all. */
static void
copy_inode(struct lab *lab, uint32_t from, uint32_t to)
{
	enum { UID = 112, DINODE = 128 }; /* of UFS1 */
	uint8_t raw[DINODE], that[DINODE] = {0};
	uint64_t at = 0;

	CHECK_EQ(ufs_flush(lab->s.fs), 0);
	for (uint64_t off = 0; off < lab->s.dev->size; off += DINODE) {
		uint32_t is;

		CHECK_EQ(blkdev_read(lab->s.dev, off, raw, DINODE), 0);
		memcpy(&is, raw + UID, sizeof(is));
		if (is == from)
			memcpy(that, raw, DINODE);
		if (is == to)
			at = off;
	}
	CHECK(at != 0);
	CHECK_EQ(blkdev_write(lab->s.dev, at, that, DINODE), 0);
	ufs_close(lab->s.fs);
	scratch_open(&lab->s);
}

static void
blocks_that_all_files_claim_are_refused(void)
{
	enum { A = 0x5a5b5c5d, B = 0x6a6b6c6d, MOST = 15 << 20 };
	struct ufs_attr owner = {.uid = A}, got;
	struct lab lab;
	uint64_t a, b;

	lab_open(&lab, 0); /* 24 MB */
	a = put(&lab, UFS_ROOT, "a", S_IFREG | 0644);
	b = put(&lab, UFS_ROOT, "b", S_IFREG | 0644);
	CHECK_EQ(ufs_allocate(lab.s.fs, a, UFS_ALLOC, 0, MOST), 0);
	CHECK_EQ(ufs_setattr(lab.s.fs, a, UFS_SET_UID, &owner, &got), 0);
	owner.uid = B;
	CHECK_EQ(ufs_setattr(lab.s.fs, b, UFS_SET_UID, &owner, &got), 0);
	copy_inode(&lab, A, B);
	CHECK_EQ(lab_read(&lab, "/"), -ECORRUPT);
	CHECK(kit_heard("'/b': files have more blocks than there are"));
	lab_close(&lab);
}

static void
what_belongs_to_the_file_system_is_counted(void)
{
	struct ufs_attr owner = {.uid = 0x5a5b5c5d}, got;
	struct lab lab;

	lab_open(&lab, 0);
	put(&lab, UFS_ROOT, "here", S_IFREG | 0644);
	put(&lab, UFS_ROOT, "gone", S_IFREG | 0644);
	CHECK_EQ(ufs_setattr(lab.s.fs, put(&lab, UFS_ROOT, "shot", S_IFREG),
		     UFS_SET_UID, &owner, &got),
	    0);
	patch_entry(&lab, "gone", UFS_WHITEOUT_INO, NULL);
	make_snapshot(&lab, owner.uid);
	CHECK_EQ(lab_read(&lab, "/"), 0);
	CHECK_EQ(lab.tree.root->n, 1);
	CHECK_EQ(lab.tree.lost_whiteouts, 1);
	CHECK_EQ(lab.tree.lost_snapshots, 1);
	CHECK_EQ(lab.tree.lost_journals, 0);
	lab_close(&lab);
}

static void
what_is_excluded_is_not_read(void)
{
	static const char *const patterns[] = {"/d", "*.o"};
	struct lab lab;
	uint64_t dir;

	lab_open(&lab, 0);
	dir = put(&lab, UFS_ROOT, "d", S_IFDIR | 0755);
	put(&lab, dir, "f", S_IFREG | 0644);
	put(&lab, UFS_ROOT, "x.o", S_IFREG | 0644);
	put(&lab, UFS_ROOT, "x.c", S_IFREG | 0644);
	lab.tree.excludes = patterns;
	lab.tree.nexcludes = 2;
	CHECK_EQ(lab_read(&lab, "/"), 0);
	CHECK_EQ(lab.tree.root->n, 1);
	CHECK(tree_find(&lab.tree, "x.c") != NULL);
	lab_close(&lab);
}

TESTS({"attributes arrive", attributes_arrive},
    {"links and kinds arrive", links_and_kinds_arrive},
    {"contents are read where they lie", contents_are_read_where_they_lie},
    {"a directory of the image can be the root",
	a_directory_of_the_image_can_be_the_root},
    {"damage is refused", damage_is_refused},
    {"too many directories within one another are refused",
	too_many_directories_within_one_another_are_refused},
    {"blocks that all files claim are refused",
	blocks_that_all_files_claim_are_refused},
    {"what belongs to the file system is counted",
	what_belongs_to_the_file_system_is_counted},
    {"what is excluded is not read", what_is_excluded_is_not_read})
