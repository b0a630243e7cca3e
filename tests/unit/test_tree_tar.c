/* A tree as an archive comes back as the same tree. */
#include "../../mkimage/tree_tar.h"

#include <sys/stat.h>
#include <unistd.h>

#include "../../imgfmt/ufs.h"
#include "tree_kit.h"

enum { LARGE = 3 << 20 };

static void
date(struct tree_node *node, time_t sec, long nsec)
{
	tree_node_date(node, (struct timespec){sec, nsec});
}

/* A file with holes in front, between and behind. */
static void
put_sparse(struct tree *t, const char *path)
{
	struct tree_node *node = kit_put(t, path, S_IFREG | 0600, "");
	char *data = malloc(LARGE);
	uint64_t at = 0;

	CHECK(node != NULL && data != NULL);
	if (node == NULL || data == NULL)
		return;
	for (size_t i = 0; i < LARGE; i++)
		data[i] = (char)(i * 2654435761u >> 24);
	CHECK_EQ(tree_spool(t, data, LARGE, &at), 0);
	free(data);
	node->content.kind = CONTENT_SPOOL;
	node->size = 40 << 20;
	CHECK_EQ(tree_add_run(node, 1 << 20, 4096, at + 8192), 0);
	CHECK_EQ(tree_add_run(node, 5 << 20, LARGE - 16384, at), 0);
	/* goes on there, from elsewhere: not a hole */
	CHECK_EQ(
	    tree_add_run(node, (5 << 20) + LARGE - 16384, 16384, at + 100), 0);
}

static void
put_all(struct tree *t)
{
	struct tree_node *node;
	char name[UFS_NAME_MAX + 1];

	memset(name, 'n', UFS_NAME_MAX);
	name[UFS_NAME_MAX] = '\0';
	t->root->mode = S_IFDIR | 01777;
	date(t->root, 1000000000, 7);
	node = kit_put(t, "bin", S_IFDIR | 0750, NULL);
	node->uid = 3000000;
	date(node, 1111111111, 0);
	node = kit_put(t, "bin/sh", S_IFREG | 06555, "shell");
	node->flags = 0x20000 | 0x800; /* schg, uarch */
	node->gid = 5;
	date(node, 1234567890, 123456789);
	CHECK_EQ(tree_set_xattr(node, UFS_EA_USER, "colour", "bl\0e", 4), 0);
	CHECK_EQ(tree_set_xattr(node, UFS_EA_SYSTEM, "mac", "", 0), 0);
	CHECK_EQ(tree_put(t, "test", "rescue/sh", &node), 0);
	CHECK_EQ(tree_put(t, "test", "zz", &node), 0);
	node = kit_put(t, "etc/link", S_IFLNK | 0755, "../bin/sh and more");
	date(node, 1, 0);
	node = kit_put(t, "dev/disk", S_IFBLK | 0640, NULL);
	node->rdev_major = 5;
	node->rdev_minor = 70000;
	date(node, 1500000000, 0);
	CHECK(kit_put(t, "dev/null", S_IFCHR | 0666, NULL) != NULL);
	CHECK(kit_put(t, "dev/fifo", S_IFIFO | 0600, NULL) != NULL);
	CHECK(kit_put(t, "empty", S_IFREG | 0, "") != NULL);
	CHECK(kit_put(t, name, S_IFREG | 0644, "long") != NULL);
	CHECK(kit_put(t, "\xc3\xbc\xff name", S_IFREG | 0644, "odd") != NULL);
	CHECK(kit_put(t, "\xc3\xbc", S_IFREG | 0644, "utf-8") != NULL);
	node = kit_put(t, "times", S_IFREG | 0644, "t");
	node->mtime = (struct timespec){1600000000, 5};
	node->atime = (struct timespec){1600000300, 6};
	node->ctime = (struct timespec){1600000200, 0};
	node->birth = (struct timespec){1500000000, 9};
	node = kit_put(t, "hole", S_IFREG | 0644, "");
	node->size = 5000000;
	put_sparse(t, "sparse");
}

/* -- comparing --------------------------------------------------------------
 */

static bool
same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool
same_xattrs(const struct tree_node *a, const struct tree_node *b)
{
	const struct tree_xattr *x = a->xattrs, *y = b->xattrs;

	for (; x != NULL && y != NULL; x = x->next, y = y->next)
		if (x->space != y->space || strcmp(x->name, y->name) != 0 ||
		    x->len != y->len || memcmp(x->value, y->value, x->len) != 0)
			return false;
	return x == y;
}

static bool
same_attributes(const struct tree_node *a, const struct tree_node *b)
{
	return a->mode == b->mode && a->uid == b->uid && a->gid == b->gid &&
	    a->flags == b->flags && a->names == b->names &&
	    a->rdev_major == b->rdev_major && a->rdev_minor == b->rdev_minor &&
	    same_time(a->mtime, b->mtime) && same_time(a->atime, b->atime) &&
	    same_time(a->ctime, b->ctime) && same_time(a->birth, b->birth) &&
	    same_xattrs(a, b);
}

/* Where data lies in a file, without what has holes neither in between. */
static bool
same_holes(const struct content *a, const struct content *b)
{
	size_t i = 0, k = 0;

	while (i < a->nruns && k < b->nruns) {
		if (a->runs[i].off != b->runs[k].off ||
		    tree_stretch(a, &i) != tree_stretch(b, &k))
			return false;
	}
	return i == a->nruns && k == b->nruns;
}

static bool
same_content(const struct tree *t, const struct tree_node *a,
    const struct tree *u, const struct tree_node *b)
{
	static char x[1 << 16], y[1 << 16];
	struct tree_reader r, s;
	bool same = a->size == b->size && same_holes(&a->content, &b->content);

	tree_reader_init(&r, t);
	tree_reader_init(&s, u);
	for (uint64_t off = 0; same && off < a->size; off += sizeof(x)) {
		uint64_t left = a->size - off;
		size_t n = left < sizeof(x) ? (size_t)left : sizeof(x);

		same = tree_read(&r, a, off, x, n) == 0 &&
		    tree_read(&s, b, off, y, n) == 0 && memcmp(x, y, n) == 0;
	}
	tree_reader_release(&r);
	tree_reader_release(&s);
	return same;
}

/* Nodes of t below a that are not the same in u below b. */
static unsigned
differences(const struct tree *t, const struct tree_node *a,
    const struct tree *u, const struct tree_node *b, const char *name)
{
	unsigned n = 0;

	if (!same_attributes(a, b) ||
	    (S_ISLNK(a->mode) && strcmp(a->target, b->target) != 0) ||
	    (S_ISREG(a->mode) && !same_content(t, a, u, b)) || a->n != b->n) {
		printf("# '%s' differs\n", name);
		n++;
	}
	for (size_t i = 0; i < a->n && i < b->n; i++) {
		n += strcmp(a->entries[i].name, b->entries[i].name) != 0;
		n += differences(t, a->entries[i].node, u, b->entries[i].node,
		    a->entries[i].name);
	}
	return n;
}

/* -- round trips ------------------------------------------------------------
 */

/* Archive from into to; the result. */
static struct tree_node *
archive(const struct tree *from, struct tree *to, const char *path)
{
	struct tree_reader r;

	tree_reader_init(&r, from);
	CHECK_EQ(tree_archive(from, &r, to, path), 0);
	CHECK_EQ(tree_reader_finish(&r), 0);
	return tree_find(to, path + (*path == '/'));
}

/* The bytes of a file of the tree as a file of the host. */
static void
save(const struct tree *t, const struct tree_node *node, const char *path)
{
	struct tree_reader r;
	char *bytes = malloc((size_t)node->size);
	FILE *f = fopen(path, "wb");

	CHECK(bytes != NULL && f != NULL);
	if (bytes != NULL && f != NULL) {
		tree_reader_init(&r, t);
		CHECK_EQ(tree_read(&r, node, 0, bytes, (size_t)node->size), 0);
		tree_reader_release(&r);
		CHECK_EQ(fwrite(bytes, 1, (size_t)node->size, f), node->size);
		CHECK_EQ(fclose(f), 0);
	}
	free(bytes);
}

static void
all_arrives_in_every_compression(void)
{
	static const char *const names[] = {"a.tar", "a.tgz", "a.txz", "a.tbz2",
	    "a.tzst", "a.tar.gz", "a.tar.xz", "a.tar.bz2", "a.tar.zst"};
	const char *dir = kit_enter();
	struct tree t;
	char path[256];

	CHECK_EQ(tree_init(&t), 0);
	put_all(&t);
	kit_listen();
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		struct tree cd, back;
		struct tree_node *node;

		CHECK(tree_tar_is_name(names[i]));
		CHECK_EQ(tree_init(&cd), 0);
		CHECK_EQ(tree_init(&back), 0);
		node = archive(&t, &cd, names[i]);
		CHECK(node != NULL && node->mode == (S_IFREG | 0644));
		if (node != NULL) {
			snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
			save(&cd, node, path);
			CHECK_EQ(tree_add_archive(&back, path), 0);
			CHECK_EQ(
			    differences(&t, t.root, &back, back.root, ""), 0);
			CHECK_EQ(back.lost_xattrs, 0);
			CHECK_EQ(back.lost_flags, 0);
			/* 3 MiB of data, not the 45 that holes make of it */
			CHECK(i != 0 || node->size < LARGE + 200000);
		}
		tree_release(&cd);
		tree_release(&back);
	}
	CHECK_EQ(kit_lines, 0);
	tree_release(&t);
	kit_leave(dir);
}

static void
names_tell_the_compression(void)
{
	CHECK(!tree_tar_is_name("txz"));
	CHECK(!tree_tar_is_name(".txz"));
	CHECK(!tree_tar_is_name("base.zip"));
	CHECK(!tree_tar_is_name("base.txz.old"));
}

static void
the_same_tree_gives_the_same_bytes(void)
{
	struct tree t, cd;
	struct tree_node *a, *b;

	CHECK_EQ(tree_init(&t), 0);
	CHECK_EQ(tree_init(&cd), 0);
	t.now = (struct timespec){1700000000, 0};
	put_all(&t);
	a = archive(&t, &cd, "data/base.txz");
	cd.now.tv_sec += 100;
	b = archive(&t, &cd, "again.txz");
	CHECK(a != NULL && b != NULL && a != b);
	if (a != NULL && b != NULL)
		CHECK(same_content(&cd, a, &cd, b));
	tree_release(&t);
	tree_release(&cd);
}

static void
a_tree_may_hold_its_own_archive(void)
{
	const char *dir = kit_enter();
	struct tree t, back;
	struct tree_node *node;
	char path[256];

	CHECK_EQ(tree_init(&t), 0);
	CHECK_EQ(tree_init(&back), 0);
	put_all(&t);
	node = archive(&t, &t, "/install/base.tzst");
	CHECK(node != NULL && tree_find(&t, "install/base.tzst") == node);
	if (node != NULL) {
		snprintf(path, sizeof(path), "%s/base.tzst", dir);
		save(&t, node, path);
		CHECK_EQ(tree_add_archive(&back, path), 0);
		CHECK(tree_find(&back, "install") == NULL);
		tree_remove(t.root, "install");
		CHECK_EQ(differences(&t, t.root, &back, back.root, ""), 0);
	}
	tree_release(&t);
	tree_release(&back);
	kit_leave(dir);
}

static void
sockets_are_told(void)
{
	struct tree t, cd;

	CHECK_EQ(tree_init(&t), 0);
	CHECK_EQ(tree_init(&cd), 0);
	CHECK(kit_put(&t, "s", S_IFSOCK | 0644, NULL) != NULL);
	kit_listen();
	CHECK(archive(&t, &cd, "a.tar") != NULL);
	CHECK(kit_heard("1 sockets left out of 'a.tar'"));
	tree_release(&t);
	tree_release(&cd);
}

static void
what_cannot_be_archived_leaves_the_tree_as_it_was(void)
{
	const char *dir = kit_enter();
	struct tree t, cd;
	struct tree_node *node;
	struct tree_reader r;
	char path[256];

	CHECK_EQ(tree_init(&t), 0);
	CHECK_EQ(tree_init(&cd), 0);
	snprintf(path, sizeof(path), "%s/file", dir);
	kit_write(path, "before");
	node = kit_put(&t, "file", S_IFREG | 0644, "");
	CHECK(node != NULL && tree_file_content(&t, node, path) == 0);
	CHECK(kit_put(&t, "last", S_IFREG | 0644, "last") != NULL);
	kit_write(path, "afterwards");
	kit_listen();
	tree_reader_init(&r, &t);
	CHECK_EQ(tree_archive(&t, &r, &cd, "a.txz"), -ESTALE);
	tree_reader_release(&r);
	CHECK(kit_heard("has changed while"));
	CHECK_EQ(cd.root->n, 0);

	/* no room for the scratch file */
	tree_remove(t.root, "file");
	snprintf(path, sizeof(path), "%s/none/out", dir);
	cd.beside = path;
	tree_release(&cd);
	CHECK_EQ(tree_init(&cd), 0);
	cd.beside = path;
	kit_listen();
	tree_reader_init(&r, &t);
	CHECK_EQ(tree_archive(&t, &r, &cd, "a.tar"), -ENOENT);
	CHECK(kit_heard("scratch file"));
	CHECK_EQ(tree_archive(&t, &r, &cd, "a/../b.tar"), -EINVAL);
	CHECK(kit_heard("'a/../b.tar' is no path"));
	tree_reader_release(&r);
	CHECK_EQ(cd.root->n, 0);
	tree_release(&t);
	tree_release(&cd);
	kit_leave(dir);
}

#define T(f) \
	{ \
#f, f \
	}
TESTS(T(all_arrives_in_every_compression), T(names_tell_the_compression),
    T(the_same_tree_gives_the_same_bytes), T(a_tree_may_hold_its_own_archive),
    T(sockets_are_told), T(what_cannot_be_archived_leaves_the_tree_as_it_was))
