/*
 * Editing an ISO's own tree: what outside readers then see, and what stays
 * where it was.
 */
#include "check.h"

#include <string.h>
#include <sys/stat.h>

#include "../../imgfmt/iso_edit.h"
#include "iso_tools.h"

/* -- the wanted tree: the old one, until a test changes it ------------------
 */

struct loading {
	struct iso *iso;
	struct iso_edit_node *dir, **end;
};

static void load_dir(
    struct iso *iso, struct iso_edit_node *dir, const struct iso_node *base);

static int
load_one(void *arg, const struct iso_node *base)
{
	struct loading *l = arg;
	struct iso_edit_node *node = iso_edit_new(base->name);
	char target[4096];

	node->record = base->record_off;
	node->mode = base->mode;
	node->uid = base->uid;
	node->gid = base->gid;
	node->rdev_major = base->rdev_major;
	node->rdev_minor = base->rdev_minor;
	node->mtime = base->mtime;
	node->size = base->size;
	if (S_ISLNK(base->mode)) {
		CHECK_EQ(iso_readlink(l->iso, base, target, sizeof(target)), 0);
		node->target = strdup(target);
	}
	*l->end = node;
	l->end = &node->next;
	if (S_ISDIR(base->mode))
		load_dir(l->iso, node, base);
	return 0;
}

static void
load_dir(
    struct iso *iso, struct iso_edit_node *dir, const struct iso_node *base)
{
	struct loading l = {.iso = iso, .dir = dir, .end = &dir->child};

	CHECK_EQ(iso_list(iso, base, load_one, &l), 0);
}

static struct iso_edit_node *
load(struct iso *iso)
{
	struct iso_edit_node *root = iso_edit_new("");
	struct iso_node base;

	CHECK_EQ(iso_root(iso, &base), 0);
	root->mode = base.mode;
	root->uid = base.uid;
	root->gid = base.gid;
	root->mtime = base.mtime;
	load_dir(iso, root, &base);
	return root;
}

static struct iso_edit_node **
find(struct iso_edit_node *root, const char *path)
{
	struct iso_edit_node **at = &root->child;

	for (;;) {
		size_t n = strcspn(path, "/");

		while (*at != NULL &&
		    (strlen((*at)->name) != n ||
			memcmp((*at)->name, path, n) != 0))
			at = &(*at)->next;
		if (*at == NULL || path[n] == '\0')
			return at;
		at = &(*at)->child;
		path += n + 1;
	}
}

/* Take the node at path out of the tree. */
static struct iso_edit_node *
take(struct iso_edit_node *root, const char *path)
{
	struct iso_edit_node **at = find(root, path), *node = *at;

	CHECK(node != NULL);
	*at = node->next;
	node->next = NULL;
	return node;
}

/* Put node into the directory at path ("" is the root), as name. */
static void
give(struct iso_edit_node *root, const char *path, const char *name,
    struct iso_edit_node *node)
{
	struct iso_edit_node *dir = path[0] == '\0' ? root : *find(root, path);

	free(node->name);
	node->name = strdup(name);
	node->next = dir->child;
	dir->child = node;
}

/* A new node; content of regular files is by their id. */
static struct iso_edit_node *
make(mode_t mode, uint64_t id, uint64_t size)
{
	struct iso_edit_node *node = iso_edit_new("x");

	node->mode = mode;
	node->id = id;
	node->size = size;
	node->mtime.tv_sec = 1700000000;
	return node;
}

/* The content of file id: lines of that number. */
static int64_t
read_id(void *arg, uint64_t id, uint64_t off, void *buf, size_t len)
{
	uint8_t *to = buf;

	(void)arg;
	for (size_t i = 0; i < len; i++)
		to[i] = (off + i) % 8 == 7 ? '\n' : (uint8_t)('a' + id % 26);
	return (int64_t)len;
}

/* -- ISOs ------------------------------------------------------------------ */

static const char *const makers[] = {
    "genisoimage -quiet -R -l -ldots -allow-lowercase -allow-multidot -V L "
    "-no-emul-boot -b boot/cdboot -o $N tree",
    "genisoimage -quiet -R -V L -o $N tree",
    "xorriso -as mkisofs -quiet -R -V L -b boot/cdboot -no-emul-boot "
    "-eltorito-alt-boot -e boot/efi.img -no-emul-boot -o $N tree",
    "xorriso -as mkisofs -quiet -R -V L -partition_offset 0 -append_partition "
    "2 0xef tree/boot/efi.img -appended_part_as_gpt -o $N tree",
    "bsdtar -C tree -cf $N --format=iso9660 --options=iso9660:!joliet .",
};

static bool
build(size_t maker, const char *name)
{
	char command[1024];

	scratch_need();
	snprintf(command, sizeof(command), "%s", makers[maker]);
	return sh("test -d tree || { "
		  "mkdir -p tree/boot/kernel tree/data tree/many tree/zzz; "
		  "seq 1 300 | head -c 1228 >tree/boot/cdboot; "
		  "seq 1 60000 >tree/boot/loader; "
		  "seq 1 9 >tree/boot/loader.conf; "
		  "truncate -s 200k tree/boot/efi.img; "
		  "seq 1 90000 >tree/data/image; "
		  "for i in $(seq 1 120); do echo $i >tree/many/file$i; done; "
		  "ln -s ../boot/loader.conf tree/zzz/link; "
		  "mkfifo tree/zzz/fifo; seq 1 99 >tree/zzz/last; "
		  ": >tree/zzz/empty; "
		  "find tree -exec touch -h -d @1600000000 {} +; }") == 0 &&
	    sh("rm -f %s; N=%s; %s", name, name, command) == 0;
}

/* What the outside readers show, of files with their hashes. */
static int
read_outside(const char *name)
{
	return sh(
	    "rm -rf out.d; mkdir out.d; bsdtar -C out.d -xf %s && "
	    "xorriso -indev %s -osirrox on -extract / xo.d "
	    "2>/dev/null; chmod -R u+w out.d xo.d; "
	    "diff -r -x fifo --no-dereference out.d xo.d; rc=$?; rm -rf xo.d; "
	    "exit $rc",
	    name, name);
}

static struct blkdev *base_dev, *new_dev;
static struct iso *base_iso;

static struct iso_edit_node *
begin(size_t maker)
{
	CHECK(build(maker, "base.iso"));
	base_dev = open_scratch("base.iso");
	CHECK_EQ(iso_open(base_dev, &base_iso), 0);
	return load(base_iso);
}

/* Write new.iso with that tree, and have it checked. */
static int
finish(struct iso_edit_node *root)
{
	const struct iso_edit_source source = {.read = read_id};
	struct iso *iso;
	int rc;

	new_dev = create_scratch("new.iso");
	rc = iso_edit_write(base_iso, root, &source, new_dev);
	if (rc == 0) {
		CHECK_EQ(iso_open(new_dev, &iso), 0);
		CHECK_EQ(iso_check(iso), 0);
		iso_close(iso);
	}
	blkdev_close(new_dev);
	iso_edit_free(root);
	iso_close(base_iso);
	blkdev_close(base_dev);
	return rc;
}

enum { MAKERS = sizeof(makers) / sizeof(makers[0]) };

static void
an_unchanged_tree_gives_the_same_iso(void)
{
	for (size_t i = 0; i < MAKERS; i++) {
		CHECK_EQ(finish(begin(i)), 0);
		CHECK_EQ(sh("cmp base.iso new.iso"), 0);
	}
}

static void
a_changed_file_moves_alone(void)
{
	for (size_t i = 0; i < MAKERS; i++) {
		struct iso_edit_node *root = begin(i), *conf;

		iso_edit_free(take(root, "boot/loader.conf"));
		conf = make(S_IFREG | 0644, 3, 5000);
		conf->mtime.tv_sec = 1650000000;
		give(root, "boot", "loader.conf", conf);
		CHECK_EQ(finish(root), 0);
		CHECK_EQ(read_outside("base.iso"), 0);
		CHECK_EQ(sh("rm -rf was; mv out.d was"), 0);
		CHECK_EQ(read_outside("new.iso"), 0);
		CHECK_EQ(
		    sh("test $(stat -c %%s.%%Y out.d/boot/loader.conf) = "
		       "5000.1650000000 && yes ddddddd | head -c 5000 | cmp - "
		       "out.d/boot/loader.conf"),
		    0);
		CHECK_EQ(sh("cp -p was/boot/loader.conf out.d/boot/; "
			    "diff -r -x fifo --no-dereference was out.d"),
		    0);
		/* all other extents lie where they lay */
		CHECK_EQ(sh("for i in base new; do xorriso -indev $i.iso "
			    "-find / -type f -exec report_lba 2>/dev/null | "
			    "grep -ve loader.conf -e empty >$i.lba; done; "
			    "test -s base.lba && diff base.lba new.lba"),
		    0);
	}
}

static void
directories_grow_and_names_come_and_go(void)
{
	for (size_t i = 0; i < MAKERS; i++) {
		struct iso_edit_node *root = begin(i), *node;
		char name[64];

		for (uint64_t n = 0; n < 150; n++) {
			snprintf(name, sizeof(name),
			    "a quite long Name of file number %d.tar.gz",
			    (int)n);
			give(root, "zzz", name, make(S_IFREG | 0640, n, n));
		}
		give(root, "", "new.d", make(S_IFDIR | 0755, 0, 0));
		give(root, "new.d", "sub", make(S_IFDIR | 0700, 0, 0));
		give(root, "new.d/sub", "file", make(S_IFREG | 0444, 1, 3000));
		node = make(S_IFLNK | 0777, 0, 0);
		node->target = strdup("../../boot/./loader");
		give(root, "new.d/sub", "link", node);
		give(root, "new.d", "moved", take(root, "boot/loader"));
		give(root, "", "files", take(root, "many"));
		iso_edit_free(take(root, "files/file7"));
		iso_edit_free(take(root, "zzz/link"));
		(*find(root, "boot/loader.conf"))->mode = S_IFREG | 0600;
		CHECK_EQ(finish(root), 0);
		CHECK_EQ(read_outside("new.iso"), 0);
		CHECK_EQ(sh("cmp out.d/new.d/moved tree/boot/loader && "
			    "test ! -e out.d/boot/loader && "
			    "test ! -e out.d/many && "
			    "test $(ls out.d/files | wc -l) = 119 && "
			    "test $(ls out.d/zzz | wc -l) = 153 && "
			    "test \"$(readlink out.d/new.d/sub/link)\" = "
			    "../../boot/./loader && "
			    "test $(stat -c %%a out.d/new.d/sub/file) = 644 -o "
			    "$(stat -c %%a out.d/new.d/sub/file) = 444 && "
			    "test $(stat -c %%s 'out.d/zzz/a quite long Name "
			    "of file number 149.tar.gz') = 149"),
		    0);
		CHECK_EQ(sh("isoinfo -i new.iso -R -l >list && grep -q "
			    "'^-rw-------.* loader.conf' list && grep -q "
			    "'^drwxr-xr-x *3 .* new.d' list"),
		    0);
		CHECK_EQ(sh("isoinfo -i new.iso -f >names && "
			    "! sort -f names | uniq -di | grep ."),
		    0);
	}
}

/* Its "." goes on in an area (ER), which has to come along. */
static void
the_root_outgrows_its_place(void)
{
	for (size_t i = 0; i < MAKERS; i++) {
		struct iso_edit_node *root = begin(i);
		char name[64];

		for (int n = 0; n < 60; n++) {
			snprintf(name, sizeof(name), "file-in-the-root-%d", n);
			give(root, "", name, make(S_IFREG | 0640, 1, 100));
		}
		root->mode = S_IFDIR | 0711;
		CHECK_EQ(finish(root), 0);
		CHECK_EQ(read_outside("new.iso"), 0);
		CHECK_EQ(
		    sh("test $(ls out.d | grep -c file-in-the-root) = 60"), 0);
		CHECK_EQ(sh("isoinfo -i new.iso -R -l | grep -q "
			    "'^drwx--x--x .* [.] *$'"),
		    0);
	}
}

/* As long as one may be, of components of that many bytes. */
static void
make_target(size_t component, char out[4096])
{
	size_t len = 0;

	do {
		out[len] = len % (component + 1) == component ? '/' : 't';
		out[++len] = '\0';
	} while (iso_edit_target_fits(out));
	out[--len] = '\0';
}

static void
names_and_targets_of_any_length_continue_elsewhere(void)
{
	for (size_t i = 0; i < MAKERS; i++) {
		struct iso_edit_node *root = begin(i), *node;
		char name[256], target[4096];

		memset(name, 'n', 255);
		name[255] = '\0';
		for (size_t n = 200; n < 1200; n += 199) {
			make_target(n, target);
			node = make(S_IFLNK | 0777, 0, 0);
			node->target = strdup(target);
			give(root, "zzz", name, node);
			name[0]++;
		}
		for (int n = 0; n < 30; n++) {
			snprintf(target, sizeof(target), "%0240d", n);
			give(root, "zzz", target, make(S_IFREG | 0644, 2, 20));
		}
		CHECK_EQ(finish(root), 0);
		CHECK_EQ(read_outside("new.iso"), 0);
		CHECK_EQ(sh("test $(ls out.d/zzz | wc -l) = 40 && "
			    "readlink out.d/zzz/*nnn* | grep -c "
			    "'^[t/]\\{1023\\}$' | grep -qx 6"),
		    0);
	}
}

static void
what_is_too_long_is_told_with_its_path(void)
{
	struct iso_edit_node *root = begin(0), *node;
	char target[4096];

	make_target(1, target);
	node = make(S_IFLNK | 0777, 0, 0);
	node->target = strdup(target);
	give(root, "zzz", "link", node);
	CHECK_EQ(finish(root), 0);
	CHECK_EQ(sh("isoinfo -i new.iso -R -l | grep link | "
		    "grep -q -- '-> [t/]\\{1023\\}$'"),
	    0);
	root = begin(0);
	snprintf(target, sizeof(target), "%02000d", 7);
	node = make(S_IFLNK | 0777, 0, 0);
	node->target = strdup(target);
	give(root, "boot/kernel", "link", node);
	log_errors = 0;
	log_set_sink(keep_error);
	CHECK_EQ(finish(root), -ENAMETOOLONG);
	log_set_sink(NULL);
	CHECK_EQ(log_errors, 1);
	CHECK(strstr(last_error,
		  "target of the symbolic link "
		  "'boot/kernel/link' is too long") != NULL);
}

static char last_warning[1024];
static unsigned log_warnings;

static void
keep_warning(enum log_level level, const char *line)
{
	if (level != LOG_WARN_LEVEL)
		return;
	log_warnings++;
	snprintf(last_warning, sizeof(last_warning), "%s", line);
}

/* The first bytes and the sectors of both boot images of new.iso. */
static int
boots(const char *bios, const char *efi)
{
	return sh(
	    "xorriso -indev new.iso -report_el_torito plain 2>/dev/null >boots;"
	    "for n in 1 2; do set -- $(awk -v n=$n '$1$2$3 == "
	    "\"ElToritoboot\" && $4 == \"img\" && $6 == n { print "
	    "$12, $13 }' boots); "
	    "dd if=new.iso bs=2048 skip=$2 count=1 status=none | head -c 7 | "
	    "tr '\\n\\0' ..; echo \" $1\"; done >got; "
	    "printf '%s\\n%s\\n' >want; cat boots got; diff got want",
	    bios, efi);
}

static void
what_boots_follows_its_new_place(void)
{
	struct iso_edit_node *root = begin(2);

	iso_edit_free(take(root, "boot/cdboot"));
	give(root, "boot", "cdboot", make(S_IFREG | 0444, 5, 3000));
	iso_edit_free(take(root, "boot/efi.img"));
	give(root, "boot", "efi.img", make(S_IFREG | 0444, 6, 300 << 10));
	CHECK_EQ(finish(root), 0);
	CHECK_EQ(boots("fffffff 8", "ggggggg 600"), 0);
}

/* Old files under other names, a directory that was made anew. */
static void
what_lies_at_the_path_of_a_boot_image_boots(void)
{
	struct iso_edit_node *root = begin(2);

	iso_edit_free(take(root, "boot/efi.img"));
	give(root, "boot", "efi.img", take(root, "boot/loader"));
	CHECK_EQ(finish(root), 0);
	CHECK_EQ(boots("1.2.3.4 4", "1.2.3.4 684"), 0);
	CHECK_EQ(read_outside("new.iso"), 0);
	CHECK_EQ(sh("cmp out.d/boot/efi.img tree/boot/loader"), 0);

	root = begin(2);
	give(root, "", "old", take(root, "boot"));
	give(root, "", "boot", make(S_IFDIR | 0755, 0, 0));
	give(root, "boot", "cdboot", take(root, "old/cdboot"));
	give(root, "boot", "efi.img", make(S_IFREG | 0444, 6, 300 << 10));
	CHECK_EQ(finish(root), 0);
	CHECK_EQ(boots("1.2.3.4 4", "ggggggg 600"), 0);

	root = begin(2);
	iso_edit_free(take(root, "boot"));
	give(root, "many", "cdboot", take(root, "many/file11"));
	give(root, "", "boot", take(root, "many"));
	log_warnings = 0;
	log_set_sink(keep_warning);
	CHECK_EQ(finish(root), 0);
	log_set_sink(NULL);
	CHECK_EQ(boots("11..... 4", "....... 400"), 0);
	CHECK_EQ(log_warnings, 1);
	CHECK(strstr(last_warning, "'boot/efi.img'") != NULL);
}

/* It is still known where a directory has another name. */
static void
a_boot_image_in_a_renamed_directory_is_told_from_its_successor(void)
{
	struct iso_edit_node *root = begin(2);

	give(root, "", "b", take(root, "boot"));
	iso_edit_free(take(root, "b/cdboot"));
	give(root, "b", "cdboot", make(S_IFREG | 0444, 5, 3000));
	CHECK_EQ(finish(root), 0);
	CHECK_EQ(boots("fffffff 8", "....... 400"), 0);
}

static void
a_second_tree_is_refused_with_the_reason(void)
{
	int rc;

	CHECK(build(1, "base.iso"));
	CHECK_EQ(sh("genisoimage -quiet -R -J -o base.iso tree"), 0);
	base_dev = open_scratch("base.iso");
	CHECK_EQ(iso_open(base_dev, &base_iso), 0);
	CHECK(strstr(iso_edit_why_not(base_iso, &rc), "Joliet") != NULL);
	log_errors = 0;
	log_set_sink(keep_error);
	CHECK_EQ(finish(load(base_iso)), -ENOTSUP);
	log_set_sink(NULL);
	CHECK_EQ(log_errors, 1);
}

static void
without_rock_ridge_names_must_be_iso_names(void)
{
	static const struct {
		const char *name;
		bool is_dir;
		int fits;
	} names[] = {
	    {"loader.cnf", false, 1},
	    {"readme", false, 1},
	    {"dir", true, 1},
	    {"loader.conf", false, 0},
	    {"UPPER", false, 0},
	    {"two.dots.x", false, 0},
	    {"a-b", false, 0},
	    {"dir.d", true, 0},
	    {"ninechars", false, 0},
	};
	struct iso_edit_node *root;

	CHECK(build(1, "base.iso"));
	CHECK_EQ(sh("genisoimage -quiet -o base.iso tree"), 0);
	base_dev = open_scratch("base.iso");
	CHECK_EQ(iso_open(base_dev, &base_iso), 0);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		CHECK_EQ(iso_edit_name_fits(
			     base_iso, names[i].name, names[i].is_dir),
		    names[i].fits);
	root = load(base_iso);
	give(root, "boot", "new.cnf", make(S_IFREG | 0444, 1, 100));
	CHECK_EQ(finish(root), 0);
	CHECK_EQ(sh("isoinfo -i new.iso -f | grep -qx '/BOOT/NEW.CNF;1'"), 0);
}

static char told[4096];

static int
note(void *arg, enum iso_edit_change change, const char *path)
{
	(void)arg;
	(void)snprintf(told + strlen(told), sizeof(told) - strlen(told),
	    "%c %s\n", "AMD"[change], path);
	return 0;
}

static void
changes_are_told_by_path(void)
{
	struct iso_edit_node *root = begin(0);

	give(root, "zzz", "moved", take(root, "data/image"));
	iso_edit_free(take(root, "boot/loader.conf"));
	give(root, "boot", "loader.conf", make(S_IFREG | 0644, 3, 5));
	give(root, "", "new", make(S_IFDIR | 0755, 0, 0));
	give(root, "new", "x", make(S_IFREG | 0644, 0, 0));
	told[0] = '\0';
	CHECK_EQ(iso_edit_changes(base_iso, root, note, NULL), 0);
	CHECK(strcmp(told,
		  "A new/\nA new/x\nM boot/loader.conf\n"
		  "D data/image\nA zzz/moved\n") == 0);

	iso_edit_free(root);
	iso_close(base_iso);
	blkdev_close(base_dev);
}

TESTS({"an unchanged tree gives the same ISO",
	  an_unchanged_tree_gives_the_same_iso},
    {"a changed file moves alone", a_changed_file_moves_alone},
    {"directories grow, and names come and go",
	directories_grow_and_names_come_and_go},
    {"the root outgrows its place", the_root_outgrows_its_place},
    {"names and targets of any length continue elsewhere",
	names_and_targets_of_any_length_continue_elsewhere},
    {"what is too long is told with its path",
	what_is_too_long_is_told_with_its_path},
    {"what boots follows its new place", what_boots_follows_its_new_place},
    {"what lies at the path of a boot image boots",
	what_lies_at_the_path_of_a_boot_image_boots},
    {"a boot image in a renamed directory is told from its successor",
	a_boot_image_in_a_renamed_directory_is_told_from_its_successor},
    {"a second tree is refused with the reason",
	a_second_tree_is_refused_with_the_reason},
    {"without Rock Ridge names must be ISO names",
	without_rock_ridge_names_must_be_iso_names},
    {"changes are told by path", changes_are_told_by_path})
