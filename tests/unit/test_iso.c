/* The reader of ISOs, on what other programs made. */
#include "../../imgfmt/iso.h"

#include <sys/stat.h>

#include "check.h"
#include "iso_tools.h"

static int
count_node(void *arg, const struct iso_node *node)
{
	(void)node;
	++*(unsigned *)arg;
	return 0;
}

static unsigned
entries_of(struct iso *iso, const char *path)
{
	struct iso_node dir;
	unsigned n = 0;

	if (iso_lookup(iso, path, &dir) != 0)
		return 0;
	CHECK_EQ(iso_list(iso, &dir, count_node, &n), 0);
	return n;
}

/* Compares what the ISO holds under path with the file of that name. */
static void
check_same_file(struct iso *iso, const char *path, const char *host)
{
	scoped(blkdev_closep) struct blkdev *want = open_scratch(host);
	scoped(blkdev_closep) struct blkdev *got = NULL;
	struct iso_node node;
	char a[4096], b[4096];

	CHECK_EQ(iso_lookup(iso, path, &node), 0);
	CHECK_EQ(iso_file_open(iso, &node, &got), 0);
	if (got == NULL || want == NULL)
		return;
	CHECK_EQ(got->size, want->size);
	for (uint64_t off = 0; off < want->size; off += sizeof(a)) {
		uint64_t left = want->size - off;
		size_t n = left < sizeof(a) ? (size_t)left : sizeof(a);

		CHECK_EQ(blkdev_read(got, off, a, n), 0);
		CHECK_EQ(blkdev_read(want, off, b, n), 0);
		CHECK(memcmp(a, b, n) == 0);
	}
}

/* The tree that most of these ISOs are made of; made once. */
static int
make_tree(void)
{
	static int made;

	scratch_need();
	if (made)
		return 0;
	made = 1;
	return sh("mkdir -p t/data t/many t/d1/d2/d3/d4/d5/d6/d7/d8/d9/d10 && "
		  "head -c 300001 /dev/urandom >t/data/base.bin && "
		  "head -c 5000 /dev/urandom "
		  ">t/d1/d2/d3/d4/d5/d6/d7/d8/d9/d10/deep && "
		  "i=0; while [ $i -lt 200 ]; do i=$((i+1)); "
		  "echo $i >t/many/f$i; done; "
		  ": >t/empty; ln t/many/f7 t/linked; "
		  "touch -d '2001-02-03 04:05:06 UTC' t/data/base.bin; "
		  "chmod 640 t/data/base.bin");
}

static struct iso *
open_iso(const char *name, struct blkdev **dev)
{
	struct iso *iso = NULL;

	*dev = open_scratch(name);
	if (*dev != NULL)
		CHECK_EQ(iso_open(*dev, &iso), 0);
	return iso;
}

static void
freebsd_release_layout_is_read(void)
{
	scoped(blkdev_closep) struct blkdev *dev = NULL;
	const struct iso_info *info;
	struct iso_node node;
	struct iso *iso;
	char target[32];

	if (!have_fixture("iso/freebsd-hybrid.iso", "fb.iso"))
		SKIP("no fixtures");
	iso = open_iso("fb.iso", &dev);
	CHECK_EQ(iso_probe(dev), 1);
	info = iso_info(iso);
	CHECK(strcmp(info->label, "LIVE") == 0);
	CHECK(strcmp(info->publisher, "RELIVE FIXTURE") == 0);
	CHECK_EQ(info->size, 4618 * 2048);
	CHECK(info->rock_ridge && !info->joliet);
	CHECK(info->gpt && !info->gpt_backup && info->mbr);
	CHECK_EQ(info->nboot, 2);
	CHECK_EQ(info->boot[0].platform, 0);
	CHECK_EQ(info->boot[0].off, 1044 * 2048);
	CHECK_EQ(info->boot[1].platform, 0xef);
	CHECK_EQ(info->boot[1].off, 20 * 2048);
	CHECK_EQ(info->boot[1].len, 4096 * 512);
	CHECK_EQ(iso_lookup(iso, "/data/base.ufs.uzip", &node), 0);
	CHECK_EQ(node.size, 422400);
	CHECK_EQ(node.off, 4389 * 2048);
	CHECK_EQ(iso_lookup(iso, "rescue/tool9", &node), 0);
	CHECK_EQ(node.nlink, 10);
	CHECK_EQ(iso_lookup(iso, "etc/link", &node), 0);
	CHECK_EQ(iso_readlink(iso, &node, target, sizeof(target)), 0);
	CHECK(strcmp(target, "../rescue/sh") == 0);
	CHECK_EQ(iso_readlink(iso, &node, target, 12), -ENAMETOOLONG);
	CHECK_EQ(iso_lookup(iso, "etc/link/x", &node), -ENOTDIR);
	CHECK_EQ(iso_lookup(iso, "DATA", &node), -ENOENT);
	CHECK_EQ(entries_of(iso, "/"), 6);
	iso_close(iso);
}

static const struct shape {
	const char *maker, *options;
	bool rock_ridge, joliet;
} shapes[] = {
    {"genisoimage", "-quiet", false, false},
    {"genisoimage", "-quiet -R", true, false},
    {"genisoimage", "-quiet -J", false, true},
    {"genisoimage", "-quiet -r -J", true, true},
    {"genisoimage", "-quiet -iso-level 4 -J -R", true, true},
    {"xorriso", "-as mkisofs -quiet --norock", false, false},
    {"xorriso", "-as mkisofs -quiet -R", true, false},
    {"xorriso", "-as mkisofs -quiet -J --norock", false, true},
    {"xorriso", "-as mkisofs -quiet -r -J", true, true},
    {"xorriso", "-as mkisofs -quiet -R -rr_reloc_dir /moved", true, false},
};

static void
check_shape(const struct shape *shape)
{
	scoped(blkdev_closep) struct blkdev *dev = NULL;
	struct iso_node node;
	struct iso *iso;
	int full;

	full = sh("%s %s -o s.iso t", shape->maker, shape->options) == 0;
	if (!full) /* plain ISO 9660 takes eight levels */
		CHECK_EQ(sh("%s %s -D -o s.iso t || %s %s -m d6 -o s.iso t",
			     shape->maker, shape->options, shape->maker,
			     shape->options),
		    0);
	iso = open_iso("s.iso", &dev);
	if (iso == NULL)
		return;
	CHECK_EQ(iso_info(iso)->rock_ridge, shape->rock_ridge);
	CHECK_EQ(iso_info(iso)->joliet, shape->joliet);
	check_same_file(iso, "data/base.bin", "t/data/base.bin");
	CHECK_EQ(iso_lookup(iso, "DATA/base.BIN", &node),
	    shape->rock_ridge || shape->joliet ? -ENOENT : 0);
	if (full && (shape->rock_ridge || shape->maker[0] == 'x'))
		check_same_file(iso, "/d1/d2/d3/d4/d5/d6/d7/d8/d9/d10/deep",
		    "t/d1/d2/d3/d4/d5/d6/d7/d8/d9/d10/deep");
	CHECK_EQ(entries_of(iso, "many"), 200);
	CHECK_EQ(iso_lookup(iso, "empty", &node), 0);
	CHECK_EQ(node.size, 0);
	CHECK_EQ(iso_lookup(iso, "data/base.bin", &node), 0);
	CHECK_EQ(node.mtime.tv_sec, 981173106);
	if (strstr(shape->options, "-R") != NULL)
		CHECK_EQ(node.mode, S_IFREG | 0640);
	iso_close(iso);
}

static void
every_shape_of_tree_is_read(void)
{
	if (make_tree() != 0 || !have("genisoimage") || !have("xorriso"))
		SKIP("no genisoimage and xorriso");
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		int before = check_failures;

		check_shape(&shapes[i]);
		if (check_failures != before)
			printf(
			    "# by %s %s\n", shapes[i].maker, shapes[i].options);
	}
}

static void
relocated_directories_have_one_place(void)
{
	static const char *const makers[] = {
	    "genisoimage -quiet -R -o r.iso t",
	    "xorriso -as mkisofs -quiet -R -rr_reloc_dir /rr_moved -o r.iso t",
	    "makefs -t cd9660 -o rockridge r.iso t",
	};

	if (make_tree() != 0 || !have("genisoimage") || !have("xorriso") ||
	    !have("makefs"))
		SKIP("no genisoimage, xorriso and makefs");
	for (size_t i = 0; i < sizeof(makers) / sizeof(makers[0]); i++) {
		scoped(blkdev_closep) struct blkdev *dev = NULL;
		struct iso_node node;
		struct iso *iso;

		CHECK_EQ(sh("%s", makers[i]), 0);
		iso = open_iso("r.iso", &dev);
		CHECK_EQ(iso_check_tree(iso), 0);
		CHECK_EQ(iso_lookup(
			     iso, "d1/d2/d3/d4/d5/d6/d7/d8/d9/d10/deep", &node),
		    0);
		CHECK_EQ(entries_of(iso, "rr_moved"), 0);
		CHECK_EQ(entries_of(iso, ".rr_moved"), 0);
		iso_close(iso);
	}
}

static void
check_link(struct iso *iso, const char *path, const char *want)
{
	struct iso_node node;
	char target[1024] = "";

	CHECK_EQ(iso_lookup(iso, path, &node), 0);
	CHECK(S_ISLNK(node.mode));
	CHECK_EQ(iso_readlink(iso, &node, target, sizeof(target)), 0);
	if (strcmp(target, want) != 0) {
		check_failures++;
		printf("# %s -> %s, want %s\n", path, target, want);
	}
}

static void
long_names_and_links_go_on_in_other_areas(void)
{
	scoped(blkdev_closep) struct blkdev *dev = NULL;
	struct iso_node node;
	struct iso *iso;
	char name[256], target[600];

	if (!have("xorriso"))
		SKIP("no xorriso");
	scratch_need();
	memset(name, 'n', 250);
	name[250] = '\0';
	snprintf(target, sizeof(target), "/%s/../%s/./x", name, name);
	CHECK_EQ(sh("mkdir -p l && echo x >l/%s && ln -sf '%s' l/%.240slink && "
		    "ln -sf / l/root && ln -sf . l/dot && ln -sf .. l/up && "
		    "ln -sf a//b l/gap && mkfifo l/fifo && "
		    "xorriso -as mkisofs -quiet -R -o l.iso l",
		     name, target, name),
	    0);
	iso = open_iso("l.iso", &dev);
	CHECK_EQ(iso_lookup(iso, name, &node), 0);
	CHECK_EQ(node.size, 2);
	snprintf(name + 240, sizeof(name) - 240, "link");
	check_link(iso, name, target);
	check_link(iso, "root", "/");
	check_link(iso, "dot", ".");
	check_link(iso, "up", "..");
	CHECK_EQ(iso_lookup(iso, "fifo", &node), 0);
	CHECK(S_ISFIFO(node.mode));
	iso_close(iso);
}

static void
joliet_names_become_utf8(void)
{
	scoped(blkdev_closep) struct blkdev *dev = NULL;
	struct iso_node node;
	struct iso *iso;

	if (!have("xorriso"))
		SKIP("no xorriso");
	scratch_need();
	CHECK_EQ(
	    sh("mkdir -p j && echo x >'j/Grüße "
	       "€.txt' && xorriso -as "
	       "mkisofs -quiet --norock -J -input-charset UTF-8 -o j.iso j"),
	    0);
	iso = open_iso("j.iso", &dev);
	CHECK_EQ(iso_lookup(iso,
		     "Gr\xc3\xbc\xc3\x9f"
		     "e \xe2\x82\xac.txt",
		     &node),
	    0);
	iso_close(iso);
}

static void
last_session_counts(void)
{
	scoped(blkdev_closep) struct blkdev *dev = NULL;
	struct iso_node node;
	struct iso *iso;

	if (make_tree() != 0 || !have("genisoimage") || !have("xorriso"))
		SKIP("no genisoimage and xorriso");
	CHECK_EQ(sh("mkdir -p two && echo two >two/second && "
		    "genisoimage -quiet -R -o m1.iso t && "
		    "genisoimage -quiet -R -M m1.iso -o m2.iso -C "
		    "0,$(($(stat -c %%s m1.iso)/2048)) two && "
		    "cat m1.iso m2.iso >m.iso"),
	    0);
	iso = open_iso("m.iso", &dev);
	CHECK_EQ(iso_lookup(iso, "second", &node), 0);
	CHECK_EQ(node.size, 4);
	check_same_file(iso, "data/base.bin", "t/data/base.bin");
	iso_close(iso);
	blkdev_close(dev);
	CHECK_EQ(sh("rm -f x.iso; xorriso -outdev x.iso -map t / -commit "
		    "-map two/second /second -commit"),
	    0);
	iso = open_iso("x.iso", &dev);
	CHECK_EQ(iso_lookup(iso, "second", &node), 0);
	check_same_file(iso, "data/base.bin", "t/data/base.bin");
	iso_close(iso);
}

TESTS({"FreeBSD's release layout is read", freebsd_release_layout_is_read},
    {"every shape of tree is read", every_shape_of_tree_is_read},
    {"relocated directories have one place",
	relocated_directories_have_one_place},
    {"long names and links go on in other areas",
	long_names_and_links_go_on_in_other_areas},
    {"Joliet names become UTF-8", joliet_names_become_utf8},
    {"the last session counts", last_session_counts})
