/*
 * The engine's view of images that FreeBSD 13.2 made and filled, against the
 * kernel's own view of them, line by line.
 */
#include "check.h"

#include <dirent.h>

#include "../../imgfmt/ufs_impl.h"
#include "digest.h"
#include "ufs_kit.h"

/* -- lines ---------------------------------------------------------------- */

struct lines {
	char **line;
	size_t n, room;
};

static void
lines_add(struct lines *lines, const char *text)
{
	if (lines->n == lines->room) {
		lines->room = lines->room ? 2 * lines->room : 1024;
		lines->line =
		    realloc(lines->line, lines->room * sizeof(lines->line[0]));
	}
	lines->line[lines->n++] = strdup(text);
}

static void
lines_free(struct lines *lines)
{
	for (size_t i = 0; i < lines->n; i++)
		free(lines->line[i]);
	free(lines->line);
}

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* How many lines only one of them has; the first few are shown. */
static int
lines_differ(struct lines *got, struct lines *want)
{
	size_t g = 0, w = 0;
	int bad = 0;

	qsort(got->line, got->n, sizeof(got->line[0]), by_text);
	qsort(want->line, want->n, sizeof(want->line[0]), by_text);
	while (g < got->n || w < want->n) {
		int order = g == got->n ? 1
		    : w == want->n      ? -1
					: strcmp(got->line[g], want->line[w]);

		if (order != 0 && bad++ < 6)
			printf("# %s %s\n", order < 0 ? "got " : "want",
			    order < 0 ? got->line[g] : want->line[w]);
		g += order <= 0;
		w += order >= 0;
	}
	return bad;
}

/* -- our view ------------------------------------------------------------- */

struct walk {
	struct ufs *fs;
	bool kernel; /* the kernel's list, or that of makefs's source tree */
	struct lines lines;
	unsigned whiteouts;
};

struct children {
	struct lines names;
	unsigned types; /* that differ from the inode's */
	struct walk *walk;
};

static int
note_child(void *arg, const struct ufs_dirent *entry)
{
	struct children *children = arg;

	if (entry->type == 14)
		children->walk->whiteouts++;
	else if (strcmp(entry->name, ".") != 0 &&
	    strcmp(entry->name, "..") != 0)
		lines_add(&children->names, entry->name);
	return 0;
}

static const char *
type_name(uint32_t mode)
{
	switch (mode >> 12) {
	case DT_FIFO:
		return "Fifo File";
	case DT_CHR:
		return "Character Device";
	case DT_DIR:
		return "Directory";
	case DT_BLK:
		return "Block Device";
	case DT_REG:
		return "Regular File";
	case DT_LNK:
		return "Symbolic Link";
	}
	return "?";
}

static void
digest_file(struct walk *walk, const struct ufs_attr *attr, const char *path)
{
	static uint8_t buf[300000]; /* no multiple of anything */
	char text[65], line[1400];
	struct digest digest;
	uint64_t off = 0;

	digest_init(&digest, walk->kernel);
	for (;;) {
		int64_t n =
		    ufs_read(walk->fs, attr->ino, off, buf, sizeof(buf));

		CHECK(n >= 0);
		if (n <= 0)
			break;
		digest_add(&digest, buf, (size_t)n);
		off += (uint64_t)n;
	}
	CHECK_EQ(off, attr->size);
	digest_text(&digest, text);
	snprintf(
	    line, sizeof(line), walk->kernel ? "%s %s" : "%s  %s", text, path);
	lines_add(&walk->lines, line);
}

/*
 * stat -f's line; rdev is what the first block pointer says, for any type, and
 * stat(1) takes the minor number from its lower half alone.
 */
static void
line_kernel(struct walk *walk, const struct ufs_attr *attr, const char *path,
    const char *target)
{
	struct ufs_node *node;
	char line[4000];
	uint64_t dev;

	CHECK_EQ(ufs_node_get(walk->fs, attr->ino, &node), 0);
	dev = node->d.db[0];
	ufs_node_put(walk->fs, node);
	if (walk->fs->sb.version == 1)
		dev = (uint64_t)(int64_t)(int32_t)(uint32_t)dev;
	snprintf(line, sizeof(line),
	    "%s|%o%o|%u|%u|%u|%llu|%llu|%u|%lld|%lld|%u,%u|%s|%s",
	    type_name(attr->mode), attr->mode >> 9 & 7, attr->mode & 0777,
	    attr->uid, attr->gid, attr->nlink, (unsigned long long)attr->size,
	    (unsigned long long)attr->blocks, attr->flags,
	    (long long)attr->mtime.tv_sec,
	    walk->fs->sb.version == 1 ? -1 : (long long)attr->birth.tv_sec,
	    ufs_dev_major(dev), ufs_dev_minor((uint32_t)dev), path, target);
	lines_add(&walk->lines, line);
}

/* The source tree's directories had sizes of another file system. */
static void
line_makefs(struct walk *walk, const struct ufs_attr *attr, const char *path,
    const char *target)
{
	static const char letters[] = "?pc?d?b?f?l?s?w?";
	char line[4000];

	snprintf(line, sizeof(line), "%c|%o|%u|%u|%u|%llu|%s|%s",
	    letters[attr->mode >> 12], attr->mode & 07777, attr->uid, attr->gid,
	    attr->nlink,
	    (attr->mode >> 12) == DT_DIR ? 0 : (unsigned long long)attr->size,
	    target, path);
	lines_add(&walk->lines, line);
}

static void
visit(struct walk *walk, const struct ufs_attr *attr, const char *path)
{
	char target[1025] = "";

	if ((attr->mode >> 12) == DT_LNK) {
		int64_t n = ufs_readlink(
		    walk->fs, attr->ino, target, sizeof(target) - 1);

		CHECK_EQ(n, attr->size);
		target[n >= 0 ? n : 0] = '\0';
	}
	if (walk->kernel)
		line_kernel(walk, attr, path, target);
	else
		line_makefs(walk, attr, path, target);
	if ((attr->mode >> 12) == DT_REG)
		digest_file(walk, attr, path);
}

static void
walk_tree(struct walk *walk, const struct ufs_attr *attr, const char *path)
{
	struct children children = {.walk = walk};

	visit(walk, attr, path);
	if ((attr->mode >> 12) != DT_DIR)
		return;
	CHECK_EQ(ufs_readdir(walk->fs, attr->ino, 0, note_child, &children), 0);
	for (size_t i = 0; i < children.names.n; i++) {
		const char *name = children.names.line[i];
		struct ufs_attr child;
		char below[2000];
		int rc =
		    ufs_lookup(walk->fs, attr->ino, name, strlen(name), &child);

		CHECK_EQ(rc, 0);
		snprintf(below, sizeof(below), "%s/%s", path, name);
		if (rc == 0)
			walk_tree(walk, &child, below);
	}
	lines_free(&children.names);
}

/* -- their view ----------------------------------------------------------- */

static bool
is_of_the_tree(const char *line)
{
	return strncmp(line, "setext", 6) != 0 && line[0] != '#' &&
	    (strchr(line, '|') != NULL ||
		(strspn(line, "0123456789abcdef") >= 32));
}

/* Directory sizes are left out: see line_makefs. */
static void
add_makefs_line(struct lines *lines, char *line)
{
	char copy[4000], *field = line;

	if (strncmp(line, "d|", 2) != 0) {
		lines_add(lines, line);
		return;
	}
	for (int i = 0; i < 5; i++)
		field = strchr(field, '|') + 1;
	snprintf(copy, sizeof(copy), "%.*s0%s", (int)(field - line), line,
	    strchr(field, '|'));
	lines_add(lines, copy);
}

/* Read a manifest: its tree into *tree, the rest into *rest. */
static bool
manifest_read(
    const char *name, bool kernel, struct lines *tree, struct lines *rest)
{
	FILE *f = kit_unpack(name);
	char line[8000];

	if (f == NULL)
		return false;
	while (fgets(line, sizeof(line), f) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (!is_of_the_tree(line))
			lines_add(rest, line);
		else if (kernel)
			lines_add(tree, line);
		else
			add_makefs_line(tree, line);
	}
	return pclose(f) == 0;
}

/* -- the rest of a kernel's manifest -------------------------------------- */

static struct ufs_attr
path_attr(struct ufs *fs, const char *path)
{
	struct ufs_attr attr = {.ino = UFS_ROOT};

	while (*path != '\0') {
		size_t len = strcspn(path, "/");

		CHECK_EQ(ufs_lookup(fs, attr.ino, path, len, &attr), 0);
		path += len + (path[len] == '/');
	}
	return attr;
}

struct names {
	enum ufs_ea_space space;
	char text[500];
};

static int
add_name(void *arg, enum ufs_ea_space space, const char *name, size_t value_len)
{
	struct names *names = arg;

	(void)value_len;
	if (space == names->space) {
		strcat(names->text, "\t");
		strcat(names->text, name);
	}
	return 0;
}

/* lsextattr's lines: of two files, each first the user's, then the system's. */
static void
check_attributes(struct ufs *fs, const struct lines *rest)
{
	size_t i = 0;

	while (i < rest->n && strcmp(rest->line[i], "# extattr") != 0)
		i++;
	CHECK(i + 4 < rest->n);
	for (int k = 0; k < 4 && i + 4 < rest->n; k++) {
		struct names names = {k % 2 ? UFS_EA_SYSTEM : UFS_EA_USER, ""};
		const char *path = k < 2 ? "etc/rc.conf" : "usr/lib/mid.txt";
		struct ufs_attr attr = path_attr(fs, path);
		char line[600];

		CHECK_EQ(ufs_xattr_list(fs, attr.ino, add_name, &names), 0);
		snprintf(line, sizeof(line), "%s%s", path,
		    names.text[0] ? names.text : "\t");
		CHECK(strcmp(line, rest->line[i + 1 + (size_t)k]) == 0);
	}
}

/* df's and fsck's last lines, as far as the superblock tells. */
static void
check_totals(struct ufs *fs, const struct lines *rest)
{
	unsigned long long kb, used, avail, iused, ifree, files, held, free_;
	unsigned long long frags, blocks;
	struct ufs_info info;
	int seen = 0;

	ufs_info(fs, &info);
	for (size_t i = 0; i < rest->n; i++) {
		const char *line = rest->line[i];

		if (sscanf(line, "/dev/%*s %llu %llu %llu %*u%% %llu %llu", &kb,
			&used, &avail, &iused, &ifree) == 5) {
			seen++;
			CHECK_EQ(info.data / 1024, kb);
			CHECK_EQ((info.data - info.free) / 1024, used);
			CHECK_EQ(info.avail / 1024, avail);
			CHECK_EQ(info.inodes - info.free_inodes, iused);
			CHECK_EQ(info.free_inodes, ifree);
		}
		if (sscanf(line,
			"%llu files, %llu used, %llu free (%llu frags, "
			"%llu blocks",
			&files, &held, &free_, &frags, &blocks) == 5) {
			seen++;
			CHECK_EQ(info.inodes - info.free_inodes, files);
			CHECK_EQ(info.free / info.frag_size, free_);
			CHECK_EQ(fs->sb.total.nffree, frags);
			CHECK_EQ(fs->sb.total.nbfree, blocks);
		}
	}
	CHECK(seen >= 2);
}

/* -- one fixture
 * --------------------------------------------------------------- */

static void
compare(const char *name, const char *manifest)
{
	struct lines want = {0}, rest = {0};
	struct walk walk = {.kernel = strncmp(name, "newfs", 5) == 0};
	struct ufs_options options = {0};
	struct ufs_attr root;
	struct blkdev *dev;

	dev = kit_device(name);
	if (dev == NULL)
		SKIP("no fixtures");
	CHECK(manifest_read(manifest, walk.kernel, &want, &rest));
	kit_capture();
	CHECK_EQ(ufs_open(dev, &options, &walk.fs), 0);
	CHECK_EQ(ufs_getattr(walk.fs, UFS_ROOT, &root), 0);
	walk_tree(&walk, &root, ".");
	CHECK(walk.lines.n > 1000);
	CHECK_EQ(lines_differ(&walk.lines, &want), 0);
	if (walk.kernel && walk.fs->sb.version == 2)
		check_attributes(walk.fs, &rest);
	if (walk.kernel)
		check_totals(walk.fs, &rest);
	CHECK_EQ(kit_lines, 0);
	ufs_close(walk.fs);
	lines_free(&walk.lines);
	lines_free(&want);
	lines_free(&rest);
}

/* Compare images up to a NULL; list: their manifest, or NULL for its own. */
static void
compare_all(const char *const *names, const char *list)
{
	for (; *names != NULL; names++) {
		int before = check_failures;
		char own[100];

		snprintf(own, sizeof(own), "%s.manifest", *names);
		compare(*names, list != NULL ? list : own);
		if (check_failures != before)
			printf("# in %s\n", *names);
	}
}

static void
what_the_kernel_wrote_reads_as_the_kernel_read_it(void)
{
	static const char *const names[] = {
	    "newfs132-ufs2-default", "newfs132-ufs1-8k1k", NULL};

	compare_all(names, NULL);
}

static void
what_the_kernel_wrote_in_other_geometries_reads_the_same(void)
{
	static const char *const names[] = {"newfs132-ufs2-4k512",
	    "newfs132-ufs2-64k8k", "newfs132-ufs2-suj", "newfs132-ufs2-acl",
	    "newfs132-ufs2-nfs4acl", "newfs132-ufs2-full",
	    "newfs132-ufs1-default", "newfs132-ufs1-64k64k", NULL};

	if (getenv("RELIVE_LONG") == NULL)
		SKIP("only with RELIVE_LONG=1");
	compare_all(names, NULL);
}

static void
what_makefs_made_reads_as_the_tree_it_was_made_of(void)
{
	static const char *const names[] = {"makefs132-ufs1-be",
	    "makefs132-ufs2-be", "makefs2019-ufs2-sb8192",
	    "makefs132-ufs1-65536-8192", NULL};

	compare_all(names, "makefs-tree.manifest");
}

static void
what_makefs_made_in_other_geometries_reads_the_same(void)
{
	static const char *const names[] = {"makefs132-ufs1",
	    "makefs132-ufs1-8192-1024", "makefs132-ufs2",
	    "makefs132-ufs2-8192-1024", "makefs132-ufs2-65536-8192",
	    "makefs132-ufs2-roomy", NULL};

	if (getenv("RELIVE_LONG") == NULL)
		SKIP("only with RELIVE_LONG=1");
	compare_all(names, "makefs-tree.manifest");
}

/* -- what may be written
 * -------------------------------------------------------- */

static void
an_unclean_image_is_refused_for_writing_and_can_be_read(void)
{
	struct ufs_options options = {.writable = true};
	struct blkdev *dev = kit_device("newfs132-ufs2-unclean");
	struct ufs_info info;
	struct ufs_attr attr;
	struct ufs *fs;

	if (dev == NULL)
		SKIP("no fixtures");
	kit_capture();
	CHECK_EQ(ufs_open(dev, &options, &fs), -EROFS);
	CHECK(kit_said("not cleanly unmounted"));
	options.writable = false;
	CHECK_EQ(ufs_open(dev, &options, &fs), 0);
	ufs_info(fs, &info);
	CHECK(!info.clean);
	CHECK(info.snapshots);
	CHECK(info.read_only_why != NULL);
	CHECK_EQ(ufs_lookup(fs, UFS_ROOT, "usr", 3, &attr), 0);
	CHECK_EQ(kit_lines, 0);
	ufs_close(fs);
}

static void
what_freebsd_and_makefs_made_may_be_written(void)
{
	static const char *const names[] = {"newfs132-ufs2-default",
	    "newfs132-ufs1-64k64k", "makefs132-ufs1-65536-8192",
	    "makefs2019-ufs2-sb8192", "makefs132-ufs2-be", "makefs132-ufs1-be"};
	struct ufs_options options = {.writable = true};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct blkdev *dev = kit_device(names[i]);
		struct ufs *fs = NULL;

		if (dev == NULL)
			SKIP("no fixtures");
		kit_capture();
		CHECK_EQ(ufs_open(dev, &options, &fs), 0);
		CHECK_EQ(kit_lines, 0);
		if (fs != NULL)
			ufs_close(fs);
		else
			blkdev_close(dev);
	}
}

#define T(name) \
	{ \
#name, name \
	}

TESTS(T(what_the_kernel_wrote_reads_as_the_kernel_read_it),
    T(what_the_kernel_wrote_in_other_geometries_reads_the_same),
    T(what_makefs_made_reads_as_the_tree_it_was_made_of),
    T(what_makefs_made_in_other_geometries_reads_the_same),
    T(an_unclean_image_is_refused_for_writing_and_can_be_read),
    T(what_freebsd_and_makefs_made_may_be_written))
