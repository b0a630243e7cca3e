/* Sources: specifications line by line, directories, and files that change. */
#include <unistd.h>

#include "../../mkimage/tree_ids.h"
#include "tree_kit.h"

/* Apply a specification to a tree that may hold something; what it returns. */
static int
apply(struct tree *t, const char *spec)
{
	const char *dir = kit_enter();
	char path[128];
	int rc;

	snprintf(path, sizeof(path), "%s/spec", dir);
	kit_write(path, spec);
	kit_listen();
	rc = tree_add_mtree(t, path);
	kit_leave(dir);
	return rc;
}

/* The specification is refused, with text said about line. */
static bool
refused(const char *spec, const char *text)
{
	struct tree t;
	bool yes;

	if (tree_init(&t) < 0)
		return false;
	yes = apply(&t, spec) == -EINVAL && kit_heard(text);
	tree_release(&t);
	return yes;
}

static const char sample[] = "#mtree\n"
			     "/set type=file uid=3 gid=4 mode=0755\n"
			     ". type=dir mode=0711\n"
			     "  bin type=dir\n"
			     "    cat flags=schg \\\n"
			     "        time=12.000000034\n"
			     "  ..\n"
			     "  li\\156k type=link link=bin/c\\141t\n"
			     "..\n"
			     "/unset uid\n"
			     "./bin/cat gid=9\n"
			     "./empty size=0\n"
			     "./dev/tty type=char device=freebsd,1,0x102\n"
			     "./dev/odd type=char device=258\n"
			     "./gone type=file optional\n";

static void
device_is(const struct tree *t, const char *path, unsigned a, unsigned b)
{
	const struct tree_node *n = tree_find(t, path);

	CHECK(n != NULL && S_ISCHR(n->mode));
	CHECK(n != NULL && n->rdev_major == a && n->rdev_minor == b);
}

static void
a_specification_makes_and_changes(void)
{
	struct tree t;
	struct tree_node *n;

	CHECK_EQ(tree_init(&t), 0);
	CHECK(kit_put(&t, "bin/cat", S_IFREG | 0600, "meow") != NULL);
	CHECK_EQ(apply(&t, sample), 0);
	CHECK_EQ(kit_lines, 0);
	CHECK_EQ(t.root->mode, S_IFDIR | 0711);
	CHECK_EQ(t.root->uid, 3);
	n = tree_find(&t, "bin/cat");
	CHECK_EQ(n->mode, S_IFREG | 0755);
	CHECK_EQ(n->uid, 3);
	CHECK_EQ(n->gid, 9);
	CHECK_EQ(n->flags, 0x20000);
	CHECK_EQ(n->mtime.tv_sec, 12);
	CHECK_EQ(n->mtime.tv_nsec, 34);
	CHECK_EQ(n->size, 4);
	n = tree_find(&t, "link");
	CHECK(n != NULL && strcmp(n->target, "bin/cat") == 0);
	n = tree_find(&t, "empty");
	CHECK(n != NULL && n->size == 0 && n->uid == 0);
	device_is(&t, "dev/tty", 1, 0x102);
	device_is(&t, "dev/odd", 1, 2);
	CHECK(tree_find(&t, "gone") == NULL);
	tree_release(&t);
}

static void
bad_lines_are_named(void)
{
	CHECK(refused("#mtree\n./x type=nonsense\n", "line 2: no type"));
	CHECK(refused("./x type=file mode=99\n", "'99' is no number for mode"));
	CHECK(refused("./x type=file mode=17777\n", "too large for mode"));
	CHECK(refused("./x uid=-1\n", "'-1' is no number for uid"));
	CHECK(refused("./x uid=4294967296\n", "too large for uid"));
	CHECK(refused("./x uid\n", "uid has no value"));
	CHECK(refused("./x uname=nosuch\n", "no user 'nosuch'"));
	CHECK(refused("./x gname=nosuch\n", "no group 'nosuch'"));
	CHECK(refused("./x flags=strange\n", "does not know the flags"));
	CHECK(refused("./x time=soon\n", "'soon' is no time"));
	CHECK(refused("./x time=1.9999999999\n", "is no time"));
	CHECK(refused("./x type=char device=a,b\n", "needs a major"));
	CHECK(refused("./x type=char device=a,1,b\n", "no number for device"));
	CHECK(refused("./x type=char mode=600\n", "needs device="));
	CHECK(refused("./x type=link\n", "needs link="));
	CHECK(refused("./x mode=600\n", "has no type="));
	CHECK(refused("./x type=file\n", "has no contents="));
	CHECK(refused("./x type=dir contents=/etc\n", "only files"));
	CHECK(refused("./../x type=dir\n", "leads out of the tree"));
	CHECK(refused("a/../../x type=dir\n", "leads out of the tree"));
	CHECK(refused("/jump\n", "no such command"));
}

/* Found by fuzzing: the next line had taken this one's place by then. */
static void
set_hands_on_no_text_of_its_line(void)
{
	CHECK(refused("/set type=link link=a\n./b\n", "line 1: link="));
	CHECK(refused("/set contents=/etc/rc\n./b type=file\n", "/set"));
}

static void
contents_come_from_the_host(void)
{
	const char *dir = kit_enter();
	char path[128], spec[512], buf[8];
	struct tree_reader r;
	struct tree_node *n;
	struct tree t;

	snprintf(path, sizeof(path), "%s/a b", dir);
	kit_write(path, "hello");
	snprintf(spec, sizeof(spec), "%s/spec", dir);
	CHECK_EQ(tree_init(&t), 0);
	{
		char text[512];

		snprintf(text, sizeof(text),
		    "./f type=file mode=600 contents=%s/a\\040b\n", dir);
		kit_write(spec, text);
	}
	CHECK_EQ(tree_is_mtree(spec), 1);
	CHECK_EQ(tree_add_source(&t, spec), 0);
	n = tree_find(&t, "f");
	CHECK(n != NULL && n->size == 5);
	tree_reader_init(&r, &t);
	CHECK_EQ(tree_read(&r, n, 1, buf, 4), 0);
	CHECK(memcmp(buf, "ello", 4) == 0);
	CHECK_EQ(tree_reader_finish(&r), 0);
	tree_release(&t);
	kit_leave(dir);
}

static void
names_become_numbers(void)
{
	struct tree t;
	uint32_t id = 77;

	CHECK_EQ(tree_init(&t), 0);
	CHECK_EQ(tree_id(&t, TREE_USER, "uucp", &id), 0);
	CHECK_EQ(id, 66);
	CHECK_EQ(tree_id(&t, TREE_GROUP, "operator", &id), 0);
	CHECK_EQ(id, 5);
	CHECK_EQ(tree_id(&t, TREE_USER, "me", &id), -ENOENT);
	CHECK(kit_put(&t, "etc/master.passwd", S_IFREG | 0600,
		  "# comment\nroot:*:0:0::0:0::/root:/bin/sh\n"
		  "broken:\nmee:*:5:\nme:$6$x:1001:1001::0:0:Me:/:/bin/sh") !=
	    NULL);
	CHECK(kit_put(&t, "etc/group", S_IFREG | 0644,
		  "wheel:*:0:root\nme:*:x:\noperator:*:55:\n") != NULL);
	CHECK_EQ(tree_id(&t, TREE_USER, "me", &id), 0);
	CHECK_EQ(id, 1001);
	CHECK_EQ(tree_id(&t, TREE_USER, "broken", &id), -ENOENT);
	CHECK_EQ(tree_id(&t, TREE_GROUP, "me", &id), -ENOENT);
	CHECK_EQ(tree_id(&t, TREE_GROUP, "operator", &id), 0);
	CHECK_EQ(id, 55);
	tree_release(&t);
}

/* -- directories ------------------------------------------------------------
 */

static void
a_directory_is_read_with_links_and_holes(void)
{
	const char *dir = kit_enter();
	char a[128], b[128], c[128];
	struct tree_node *n;
	struct tree t;
	int fd;

	snprintf(a, sizeof(a), "%s/a", dir);
	snprintf(b, sizeof(b), "%s/b", dir);
	snprintf(c, sizeof(c), "%s/c", dir);
	kit_write(a, "text");
	CHECK_EQ(link(a, b), 0);
	CHECK_EQ(symlink("/nowhere", c), 0);
	snprintf(a, sizeof(a), "%s/holes", dir);
	fd = open(a, O_RDWR | O_CREAT, 0644);
	CHECK_EQ(pwrite(fd, "x", 1, 1 << 20), 1);
	CHECK_EQ(ftruncate(fd, 4 << 20), 0);
	close(fd);
	CHECK_EQ(tree_init(&t), 0);
	CHECK_EQ(tree_add_source(&t, dir), 0);
	n = tree_find(&t, "a");
	CHECK(n != NULL && n == tree_find(&t, "b") && n->names == 2);
	n = tree_find(&t, "c");
	CHECK(n != NULL && strcmp(n->target, "/nowhere") == 0);
	n = tree_find(&t, "holes");
	CHECK(n != NULL && n->size == 4 << 20 && n->content.nruns == 1);
	if (n != NULL && n->content.nruns == 1)
		CHECK(n->content.runs[0].len < 1 << 20);
	tree_release(&t);
	kit_leave(dir);
}

/* Read the file called f after change was done to it; what comes of it. */
static int
read_after(void (*change)(const char *path))
{
	const char *dir = kit_enter();
	struct tree_reader r;
	struct tree_node *n;
	char path[128], buf[4];
	struct tree t;
	int rc;

	snprintf(path, sizeof(path), "%s/f", dir);
	kit_write(path, "text");
	if (tree_init(&t) < 0 || tree_add_source(&t, dir) < 0)
		return -ENOMEM;
	n = tree_find(&t, "f");
	kit_listen();
	tree_reader_init(&r, &t);
	change(path);
	rc = tree_read(&r, n, 0, buf, sizeof(buf));
	if (rc == 0)
		rc = tree_reader_finish(&r);
	tree_reader_release(&r);
	tree_release(&t);
	kit_leave(dir);
	return rc;
}

static void
not_at_all(const char *path)
{
	(void)path;
}

static void
remove_it(const char *path)
{
	CHECK_EQ(unlink(path), 0);
}

static void
lengthen_it(const char *path)
{
	kit_write(path, "text, more");
}

static void
link_it(const char *path)
{
	CHECK_EQ(unlink(path), 0);
	CHECK_EQ(symlink("/etc/passwd", path), 0);
}

static void
rewrite_it(const char *path)
{
	struct timespec times[2] = {{5, 0}, {6, 0}};

	CHECK_EQ(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void
a_file_that_changes_is_noticed(void)
{
	CHECK_EQ(read_after(not_at_all), 0);
	CHECK_EQ(read_after(remove_it), -ESTALE);
	CHECK(kit_heard("has changed"));
	CHECK_EQ(read_after(lengthen_it), -ESTALE);
	CHECK(kit_heard("has changed"));
	CHECK_EQ(read_after(link_it), -ESTALE);
	CHECK(kit_heard("has changed"));
	CHECK_EQ(read_after(rewrite_it), -ESTALE);
	CHECK(kit_heard("has changed"));
}

static void
a_file_that_changes_while_it_is_open_is_noticed(void)
{
	const char *dir = kit_enter();
	struct tree_reader r;
	char path[128], buf[4];
	struct tree t;

	snprintf(path, sizeof(path), "%s/f", dir);
	kit_write(path, "text");
	CHECK_EQ(tree_init(&t), 0);
	CHECK_EQ(tree_add_source(&t, dir), 0);
	kit_listen();
	tree_reader_init(&r, &t);
	CHECK_EQ(tree_read(&r, tree_find(&t, "f"), 0, buf, 2), 0);
	rewrite_it(path);
	CHECK_EQ(tree_read(&r, tree_find(&t, "f"), 2, buf, 2), 0);
	CHECK_EQ(tree_reader_finish(&r), -ESTALE);
	CHECK(kit_heard("has changed"));
	tree_release(&t);
	kit_leave(dir);
}

static void
more_files_than_may_be_open_are_read(void)
{
	enum { N = 3 * READER_FILES };
	const char *dir = kit_enter();
	struct tree_reader r;
	struct tree t;
	char path[128], want[8], got[8];
	int wrong = 0;

	for (int i = 0; i < N; i++) {
		snprintf(path, sizeof(path), "%s/%03d", dir, i);
		snprintf(want, sizeof(want), "%03d", i);
		kit_write(path, want);
	}
	CHECK_EQ(tree_init(&t), 0);
	CHECK_EQ(tree_add_source(&t, dir), 0);
	CHECK_EQ(t.root->n, N);
	tree_reader_init(&r, &t);
	for (int i = 0; i < 2 * N; i++) {
		const struct tree_entry *e = &t.root->entries[i * 7 % N];

		wrong += tree_read(&r, e->node, 0, got, 3) != 0;
		wrong += memcmp(got, e->name, 3) != 0;
	}
	CHECK_EQ(wrong, 0);
	CHECK_EQ(tree_reader_finish(&r), 0);
	tree_release(&t);
	kit_leave(dir);
}

TESTS({"a specification makes and changes", a_specification_makes_and_changes},
    {"bad lines are named", bad_lines_are_named},
    {"/set hands on no text of its line", set_hands_on_no_text_of_its_line},
    {"contents come from the host", contents_come_from_the_host},
    {"names become numbers", names_become_numbers},
    {"a directory is read with links and holes",
	a_directory_is_read_with_links_and_holes},
    {"a file that changes is noticed", a_file_that_changes_is_noticed},
    {"a file that changes while it is open is noticed",
	a_file_that_changes_while_it_is_open_is_noticed},
    {"more files than may be open are read",
	more_files_than_may_be_open_are_read})
