/*
 * Layouts: trees of random files in every geometry fit the file system that
 * was reckoned for them, pass the check, and hold what they should.
 */
#include "../../imgfmt/ufs.h"
#include "../../mkimage/create_impl.h"
#include "../../mkimage/tree_ids.h"
#include "tree_kit.h"

enum { FILES = 300, TEXT_MOST = 300000 };

static uint64_t state;

static unsigned
draw(unsigned below)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(state >> 33) % below;
}

static char *
noise(size_t len)
{
	char *text = malloc(len + 1);

	for (size_t i = 0; text != NULL && i < len; i++)
		text[i] = (char)('a' + draw(26));
	if (text != NULL)
		text[len] = '\0';
	return text;
}

/* A file with two stretches of data and holes around them. */
static void
make_sparse(struct tree *t, const char *path)
{
	struct tree_node *n = kit_put(t, path, S_IFREG | 0644, NULL);
	uint64_t first = draw(200000), second = first + 1 + draw(900000);

	CHECK(n != NULL);
	if (n == NULL)
		return;
	n->size = second + 1000 + draw(2) * draw(500000);
	n->content.kind = CONTENT_TEXT;
	n->content.text = noise((size_t)n->size);
	CHECK_EQ(
	    tree_add_run(n, first, draw((unsigned)(second - first)) + 1, first),
	    0);
	CHECK_EQ(tree_add_run(n, second, 1000, second), 0);
}

static void
make_file(struct tree *t, int i)
{
	/* most are small, some are large */
	size_t most = draw(8) == 0 ? TEXT_MOST : 9000;
	char path[300], *text = noise(draw((unsigned)most));
	struct tree_node *n;

	snprintf(path, sizeof(path), "d%d/%s%d", i % 17,
	    i % 5 == 0 ? "a-rather-long-name-that-fills-directories-soon" : "f",
	    i);
	if (i % 11 == 0) {
		if (strlen(text) > 900)
			text[900] = '\0';
		n = kit_put(t, path, S_IFLNK | 0777, text[0] ? text : "x");
	} else {
		n = kit_put(t, path, S_IFREG | 0640, text);
	}
	free(text);
	CHECK(n != NULL);
	if (n == NULL)
		return;
	n->uid = draw(70000);
	n->mtime.tv_sec = (time_t)draw(2000000000);
	if (i % 13 == 0)
		CHECK_EQ(
		    tree_add_xattr(t, n, "user.note", path, strlen(path)), 0);
	if (i % 7 == 0) {
		snprintf(path, sizeof(path), "links/l%d", i);
		CHECK_EQ(tree_put(t, "test", path, &n), 0);
	}
	if (i % 19 == 0) {
		snprintf(path, sizeof(path), "sparse/s%d", i);
		make_sparse(t, path);
	}
}

static void
make_random(struct tree *t, uint64_t seed, int files)
{
	state = seed;
	CHECK_EQ(tree_init(t), 0);
	for (int i = 0; i < files; i++)
		make_file(t, i);
}

/* -- the image against the tree ---------------------------------------------
 */

static int
same_content(struct ufs *fs, struct tree_reader *r, uint64_t ino,
    const struct tree_node *node)
{
	char *want = malloc((size_t)node->size + 1);
	char *got = malloc((size_t)node->size + 1);
	int ok = want != NULL && got != NULL &&
	    tree_read(r, node, 0, want, (size_t)node->size) == 0 &&
	    ufs_read(fs, ino, 0, got, (size_t)node->size + 1) ==
		(int64_t)node->size &&
	    memcmp(want, got, (size_t)node->size) == 0;

	free(want);
	free(got);
	return ok;
}

static int
same_node(struct ufs *fs, struct tree_reader *r, const struct ufs_attr *a,
    const struct tree_node *node)
{
	char target[1024];

	if (a->mode != node->mode || a->uid != node->uid ||
	    a->mtime.tv_sec != node->mtime.tv_sec)
		return 0;
	if (S_ISREG(node->mode))
		return a->nlink == node->names && a->size == node->size &&
		    same_content(fs, r, a->ino, node);
	if (S_ISLNK(node->mode))
		return ufs_readlink(fs, a->ino, target, sizeof(target)) ==
		    (int64_t)strlen(node->target) &&
		    memcmp(target, node->target, strlen(node->target)) == 0;
	return 1;
}

static int
count_name(void *arg, const struct ufs_dirent *e)
{
	(void)e;
	++*(size_t *)arg;
	return 0;
}

/* How many nodes below dir are not in the image as they should be. */
static int
wrong_in(struct ufs *fs, struct tree_reader *r, uint64_t ino,
    const struct tree_node *dir)
{
	size_t names = 0;
	int wrong = ufs_readdir(fs, ino, 0, count_name, &names) != 0;

	wrong += names != dir->n + 2;
	for (size_t i = 0; i < dir->n; i++) {
		const struct tree_entry *e = &dir->entries[i];
		struct ufs_attr a;

		if (ufs_lookup(fs, ino, e->name, strlen(e->name), &a) < 0 ||
		    !same_node(fs, r, &a, e->node))
			wrong++;
		else if (S_ISDIR(e->node->mode))
			wrong += wrong_in(fs, r, a.ino, e->node);
	}
	return wrong;
}

static void
judge(struct tree *t, const struct create_layout *layout)
{
	struct ufs_options options = {.writable = false};
	struct tree_reader r;
	struct progress bar;
	struct blkdev *image;
	struct ufs *fs;

	progress_start(&bar, "testing", 0);
	tree_reader_init(&r, t);
	CHECK_EQ(create_image_open(layout, &r, &bar, &image), 0);
	CHECK_EQ(ufs_check(image, NULL, 0, NULL, NULL), 0);
	CHECK_EQ(ufs_open(image, &options, &fs), 0);
	CHECK_EQ(wrong_in(fs, &r, UFS_ROOT, t->root), 0);
	ufs_close(fs);
	CHECK_EQ(tree_reader_finish(&r), 0);
}

/* No file is to lie before the others. */
static const struct order first;

/* -- geometries --------------------------------------------------------------
 */

/* Lay out the tree; how often the file system was too small at first. */
static int
lay_out(struct tree *t, const struct create_fs_options *opt,
    struct create_layout *layout)
{
	struct create_need need;
	struct blkdev *dev;
	int tries = -1, rc = -ENOSPC;

	*layout = (struct create_layout){0};
	create_measure(t, &opt->mkfs, &need);
	for (uint64_t slack = 0; rc == -ENOSPC && tries < 12; tries++) {
		rc = create_make_fs(opt, &need, slack, &dev);
		if (rc < 0)
			break;
		create_layout_release(layout);
		rc = create_lay_out(t, dev, &first, layout);
		slack += need.bytes / 64 + 8ull * opt->mkfs.block_size;
	}
	CHECK_EQ(rc, 0);
	return tries;
}

static void
try_geometry(struct tree *t, int version, uint32_t block, uint32_t frag)
{
	struct create_fs_options opt = {
	    .mkfs = {.version = version,
		.block_size = block,
		.frag_size = frag,
		.check_hashes = true,
		.big_endian = block == 16384},
	};
	struct create_layout layout;

	for (uint32_t minfree = 0; minfree <= 8; minfree += 8) {
		opt.mkfs.minfree = minfree;
		CHECK(lay_out(t, &opt, &layout) < 4);
		judge(t, &layout);
		create_layout_release(&layout);
	}
}

static void
random_trees_fit_every_geometry(void)
{
	struct tree t;

	make_random(&t, 1, FILES);
	for (int version = 1; version <= 2; version++) {
		try_geometry(&t, version, 4096, 512);
		try_geometry(&t, version, 4096, 4096);
		try_geometry(&t, version, 16384, 2048);
		try_geometry(&t, version, 65536, 8192);
	}
	tree_release(&t);
}

static const struct create_fs_options plain = {
    .mkfs = {.version = 2, .block_size = 32768, .frag_size = 4096},
};

static void
several_groups_hold_a_tree(void)
{
	struct create_fs_options opt = plain;
	struct create_layout layout;
	struct tree t;

	make_random(&t, 2, FILES);
	opt.mkfs.block_size = opt.mkfs.frag_size = 4096;
	opt.mkfs.ncg = 7;
	opt.size = 96 << 20;
	(void)lay_out(&t, &opt, &layout);
	CHECK_EQ(layout.info.ncg, 7);
	judge(&t, &layout);
	create_layout_release(&layout);
	tree_release(&t);
}

/* The engine looks at it once, before the first test is over. */
__attribute__((constructor)) static void
fix_the_time(void)
{
	setenv("SOURCE_DATE_EPOCH", "1600000000", 1);
}

static void
the_same_tree_gives_the_same_layout(void)
{
	static uint8_t a[65536], b[65536];
	struct create_layout one, two;
	struct tree t;
	int wrong = 0;

	make_random(&t, 3, FILES);
	(void)lay_out(&t, &plain, &one);
	(void)lay_out(&t, &plain, &two);
	CHECK_EQ(one.meta->size, two.meta->size);
	for (uint64_t off = 0; off + sizeof(a) <= one.meta->size;
	     off += sizeof(a)) {
		wrong += blkdev_read(one.meta, off, a, sizeof(a)) != 0;
		wrong += blkdev_read(two.meta, off, b, sizeof(b)) != 0;
		wrong += memcmp(a, b, sizeof(a)) != 0;
	}
	CHECK_EQ(wrong, 0);
	create_layout_release(&one);
	create_layout_release(&two);
	tree_release(&t);
}

static void
files_lie_in_one_piece(void)
{
	struct create_layout layout;
	char *text = noise(TEXT_MOST);
	struct tree t;
	char name[16];
	size_t pieces = 0;

	CHECK_EQ(tree_init(&t), 0);
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "f%02d", i);
		CHECK(kit_put(&t, name, S_IFREG | 0644, text) != NULL);
	}
	(void)lay_out(&t, &plain, &layout);
	/* the whole blocks, and the tail, which shares a block with others */
	for (size_t i = 0; i < layout.n; i++)
		pieces += layout.extents[i].len > 32768;
	CHECK_EQ(pieces, 20);
	CHECK(layout.n <= 40);
	create_layout_release(&layout);
	tree_release(&t);
	free(text);
}

static void
what_is_asked_for_is_free(void)
{
	struct create_fs_options opt = plain;
	struct create_layout layout;
	struct tree t;

	make_random(&t, 4, FILES);
	opt.mkfs.minfree = 8;
	opt.free_bytes = 10 << 20;
	(void)lay_out(&t, &opt, &layout);
	CHECK(layout.info.avail >= 10 << 20);
	CHECK(layout.info.avail < 12 << 20);
	CHECK(layout.info.free_inodes >= (10 << 20) / 8192);
	create_layout_release(&layout);
	opt.free_bytes = 0;
	opt.mkfs.bytes_per_inode = 1024;
	(void)lay_out(&t, &opt, &layout);
	CHECK(layout.info.inodes + 2 >= layout.info.size / 1024);
	create_layout_release(&layout);
	tree_release(&t);
}

static void
too_small_a_size_is_refused(void)
{
	struct create_fs_options opt = plain;
	struct create_need need;
	struct blkdev *dev = NULL;
	struct tree t;

	make_random(&t, 5, FILES);
	create_measure(&t, &opt.mkfs, &need);
	opt.size = 2 << 20;
	kit_listen();
	CHECK_EQ(create_make_fs(&opt, &need, 0, &dev), -ENOSPC);
	CHECK(kit_heard("too small for the tree"));
	opt.size = 4096;
	CHECK_EQ(create_make_fs(&opt, &need, 0, &dev), -ENOSPC);
	CHECK(kit_heard("no room"));
	tree_release(&t);
}

/* Whatever the blocks are that inodes come in. */
static void
a_size_is_found_for_any_number_of_files(void)
{
	struct create_need need = {.inodes = 7000, .bytes = 110 << 20};

	for (; need.inodes < 7000 + 32768 / 256; need.inodes++) {
		struct blkdev *dev = NULL;

		CHECK_EQ(create_make_fs(&plain, &need, 0, &dev), 0);
		blkdev_close(dev);
	}
}

/* Laying the tree out fails so, with text said. */
static bool
fails(struct tree *t, int version, int want, const char *text)
{
	struct create_fs_options opt = plain;
	struct create_layout layout;
	struct create_need need;
	struct blkdev *dev;
	int rc;

	opt.mkfs.version = version;
	create_measure(t, &opt.mkfs, &need);
	CHECK_EQ(create_make_fs(&opt, &need, 0, &dev), 0);
	kit_listen();
	rc = create_lay_out(t, dev, &first, &layout);
	create_layout_release(&layout);
	CHECK_EQ(rc, want);
	return kit_heard(text);
}

static void
what_ufs_cannot_hold_is_named(void)
{
	static const char value[40000];
	struct tree_node *n;
	struct tree t;

	CHECK_EQ(tree_init(&t), 0);
	n = kit_put(&t, "dev/odd", S_IFCHR | 0600, NULL);
	n->rdev_major = 300;
	CHECK(fails(&t, 1, -EINVAL, "cannot put '/dev/odd' into the image"));
	n = kit_put(&t, "dev/odd", S_IFREG | 0600, "");
	CHECK_EQ(tree_add_xattr(&t, n, "user.a", value, sizeof(value)), 0);
	CHECK_EQ(tree_add_xattr(&t, n, "user.b", value, sizeof(value)), 0);
	CHECK(fails(&t, 2, -E2BIG, "'/dev/odd' into the image: its extended"));
	n = kit_put(&t, "huge", S_IFREG | 0600, "");
	n->size = UINT64_C(1) << 62;
	CHECK(kit_put(&t, "dev/odd", S_IFREG | 0600, "") != NULL);
	CHECK(fails(&t, 2, -EFBIG, "'/huge' into the image: File too large"));
	tree_release(&t);
}

/* -- settings ----------------------------------------------------------------
 */

static bool
setting_in(const char *path, const char *before, const char *setting,
    const char *after)
{
	char *text = NULL, what[128];
	struct tree t;
	bool yes;

	if (tree_init(&t) < 0 ||
	    (before != NULL &&
		kit_put(&t, path, S_IFREG | 0600, before) == NULL))
		return false;
	snprintf(what, sizeof(what), "/%s:%s", path, setting);
	yes = create_set_conf(&t, what) == 0 &&
	    tree_text(&t, tree_find(&t, path), &text) == 0 &&
	    strcmp(text, after) == 0;
	if (!yes)
		printf("# '%s'\n", text != NULL ? text : "");
	free(text);
	tree_release(&t);
	return yes;
}

static bool
setting_gives(const char *before, const char *setting, const char *after)
{
	return setting_in("boot/x", before, setting, after);
}

static void
settings_are_edited(void)
{
	CHECK(setting_gives(NULL, "a=1", "a=\"1\"\n"));
	CHECK(setting_gives("", "a=1", "a=\"1\"\n"));
	CHECK(setting_gives("b=2\n", "a=", "b=2\na=\"\"\n"));
	CHECK(setting_gives("b=2", "a=\"x y\"", "b=2\na=\"x y\"\n"));
	CHECK(setting_gives("b=2", "a='x y'", "b=2\na=\"'x y'\"\n"));
	CHECK(setting_gives("#a=0\na=1\nb=2\n", "a=3", "#a=0\na=\"3\"\nb=2\n"));
	CHECK(setting_gives(
	    "a=1\nab=2\n a=3\nc", "a=4", "a=1\nab=2\na=\"4\"\nc"));
	CHECK(setting_gives("a=1", "a=b=c", "a=\"b=c\"\n"));
}

static void
the_shell_reads_settings_as_given(void)
{
	CHECK(setting_in("etc/x", "", "a='x y'", "a='x y'\n"));
	CHECK(setting_in("etc/x", "", "a=\"x $y\"", "a=\"x $y\"\n"));
	CHECK(setting_in("etc/x", "", "a=x \"$y\"", "a=\"x \\\"\\$y\\\"\"\n"));
	CHECK(setting_in("etc/x", "", "a=`\\", "a=\"\\`\\\\\"\n"));
	CHECK(setting_in("etc/x", "", "a='x'y'", "a=\"'x'y'\"\n"));
	CHECK(setting_in("etc/x", "", "a=\"x\\\"", "a=\"\\\"x\\\\\\\"\"\n"));
	CHECK(setting_in("etc/x", "", "a=\"", "a=\"\\\"\"\n"));
}

static void
what_a_file_cannot_hold_is_refused(void)
{
	static const char *const names[] = {"boot/x:y z=1", "etc/x:y z=1",
	    "etc/x:a.b=1", "etc/x:1a=1", "etc/x:\303\244=1"};
	static const char *const values[] = {"boot/x:a=x\"", "boot/x:a=\\",
	    "boot/x:a=$b", "boot/x:a=\303\244", "etc/sysctl.conf:a.b=\""};
	struct tree t;

	CHECK_EQ(tree_init(&t), 0);
	kit_listen();
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		CHECK_EQ(create_set_conf(&t, names[i]), -EINVAL);
		CHECK(kit_heard("is no name for a setting"));
	}
	for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
		CHECK_EQ(create_set_conf(&t, values[i]), -EINVAL);
		CHECK(kit_heard("has no form for the value"));
	}
	CHECK_EQ(create_set_conf(&t, "boot/x:hint.a-b.0=it's"), 0);
	tree_release(&t);
}

static void
bad_settings_are_refused(void)
{
	static const char *const bad[] = {
	    "", "x", "x:y", ":k=v", "x:=v", "x:k=v\nw"};
	struct tree t;

	CHECK_EQ(tree_init(&t), 0);
	kit_listen();
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		CHECK_EQ(create_set_conf(&t, bad[i]), -EINVAL);
		CHECK(kit_heard("--set-conf takes FILE:KEY=VALUE"));
	}
	CHECK_EQ(create_set_conf(&t, "../x:k=v"), -EINVAL);
	CHECK(kit_heard("'../x' is no path in the tree"));
	CHECK(kit_put(&t, "d", S_IFDIR | 0755, NULL) != NULL);
	CHECK_EQ(create_set_conf(&t, "d:k=v"), -EINVAL);
	CHECK(kit_heard("'d' is not a regular file"));
	CHECK_EQ(create_set_file(&t, "x"), -EINVAL);
	CHECK(kit_heard("--set-file takes PATH=FILE"));
	CHECK_EQ(create_set_file(&t, "x=/nonexistent"), -ENOENT);
	CHECK(kit_heard("cannot read '/nonexistent'"));
	CHECK_EQ(create_set_file(&t, "x=/"), -EISDIR);
	CHECK(kit_heard("cannot read '/'"));
	tree_release(&t);
}

TESTS({"random trees fit every geometry", random_trees_fit_every_geometry},
    {"several groups hold a tree", several_groups_hold_a_tree},
    {"the same tree gives the same layout",
	the_same_tree_gives_the_same_layout},
    {"files lie in one piece", files_lie_in_one_piece},
    {"what is asked for is free", what_is_asked_for_is_free},
    {"a size is found for any number of files",
	a_size_is_found_for_any_number_of_files},
    {"too small a size is refused", too_small_a_size_is_refused},
    {"what UFS cannot hold is named", what_ufs_cannot_hold_is_named},
    {"settings are edited", settings_are_edited},
    {"the shell reads settings as given", the_shell_reads_settings_as_given},
    {"what a file cannot hold is refused", what_a_file_cannot_hold_is_refused},
    {"bad settings are refused", bad_settings_are_refused})
