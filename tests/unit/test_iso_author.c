/* New ISOs: what is in them, by our reader and by other programs. */
#include "../../imgfmt/gpt.h"
#include "author_kit.h"

/* -- what arrives -----------------------------------------------------------
 */

static struct tree_node *
special(struct tree *t, const char *path, uint32_t mode, uint32_t major,
    uint32_t minor)
{
	struct tree_node *node = kit_put(t, path, mode, NULL);

	node->rdev_major = major;
	node->rdev_minor = minor;
	return node;
}

static void
everything_arrives(void)
{
	struct tree t;
	struct iso_author how;
	struct tree_node *node;
	char target[1024];

	kit_listen();
	kit_freebsd(&t, &how);
	node = kit_file(&t, "bin/su", 70000, 19);
	node->mode = S_IFREG | 04555;
	node->uid = 70000;
	node->gid = 5;
	node->mtime.tv_sec = 1000000000;
	node = kit_put(&t, "tmp", S_IFDIR | 01777, NULL);
	node->mtime.tv_sec = 1234567890;
	kit_file(&t, "empty", 0, 1);
	node = kit_put(&t, "hole", S_IFREG | 0600, "");
	node->size = 5000000;
	kit_put(&t, "sys", S_IFLNK | 0755, "usr/src/../src/sys");
	kit_put(&t, "abs", S_IFLNK | 0755, "/./a/b/..");
	memset(target, 'x', sizeof(target));
	for (int i = 200; i < 1000; i += 201)
		target[i] = '/';
	target[1000] = '\0';
	kit_put(&t, "long", S_IFLNK | 0755, target);
	special(&t, "dev/null", S_IFCHR | 0666, 0, 13);
	special(&t, "dev/da0", S_IFBLK | 0640, 5, 70000);
	special(&t, "fifo", S_IFIFO | 0600, 0, 0);
	special(&t, "sock", S_IFSOCK | 0600, 0, 0);
	kit_file(&t, ".profile", 3, 1);
	kit_file(&t, "a.b.c", 3, 1);
	CHECK_EQ(kit_author(&how, "all.iso"), 0);
	kit_check(&t, "all.iso");
	CHECK_EQ(kit_lines, 0);
	if (have("xorriso"))
		CHECK_EQ(sh("xorriso -indev all.iso -check_media -- >o 2>&1; "
			    "grep -q 'Media region .* good' o || cat o"),
		    0);
	tree_release(&t);
}

/* A directory of the host, through an ISO and another program, is the same. */
static void
other_programs_bring_it_all_back(void)
{
	static const char *const unpack[] = {
	    "xorriso -osirrox on -indev host.iso -extract / out",
	    "mkdir out && bsdtar -C out -xpf host.iso"};
	struct tree t;
	struct iso_author how;
	char path[128];

	if (!have("xorriso") || !have("bsdtar"))
		SKIP("xorriso or bsdtar are not installed");
	scratch_need();
	CHECK_EQ(sh("mkdir -p host/bin host/var/empty host/lib && cd host && "
		    "seq 100000 >bin/a && chmod 4751 bin/a && "
		    "ln bin/a bin/b && ln bin/a lib/c && : >var/none && "
		    "ln -s ../bin/a lib/link && mkfifo -m 620 var/pipe && "
		    "truncate -s 3000000 var/hole && echo x >>var/hole && "
		    "touch -d '2001-02-03 04:05:06' bin/a lib && "
		    "chmod 1777 var/empty && chmod 600 var/none && "
		    "touch -hd '2011-02-03 04:05:06' lib/link"),
	    0);
	CHECK_EQ(tree_init(&t), 0);
	t.spool = -1;
	how = (struct iso_author){.tree = &t, .label = "HOST"};
	snprintf(path, sizeof(path), "%s/host", scratch);
	CHECK_EQ(tree_add_directory(&t, path), 0);
	CHECK_EQ(kit_author(&how, "host.iso"), 0);
	kit_check(&t, "host.iso");
	for (size_t i = 0; i < 2; i++)
		CHECK_EQ(
		    sh("list() { (cd $1 && find * ! -type l -printf '%%P %%y %%m %%Ts;' && "
		       "find . -type l -printf '%%P %%l;' && "
		       "find . -type f -printf '%%P %%s;') | tr ';' '\\n' | "
		       "sort; }; rm -rf out && %s && list host >1 && "
		       "list out >2 && diff 1 2 && cmp host/bin/a out/lib/c && "
		       "cmp host/var/hole out/var/hole",
			unpack[i]),
		    0);
	tree_release(&t);
}

static void
names_of_a_file_share_its_bytes(void)
{
	struct tree t;
	struct iso_author how;
	struct iso_node first, at;
	struct blkdev *dev;
	struct iso *iso;
	char name[32];

	kit_freebsd(&t, &how);
	kit_file(&t, "rescue/rescue", 300000, 23);
	for (int i = 0; i < 140; i++) {
		snprintf(name, sizeof(name), "rescue/l%d", i);
		kit_link(&t, "rescue/rescue", name);
	}
	CHECK_EQ(kit_author(&how, "links.iso"), 0);
	kit_check(&t, "links.iso");
	dev = open_scratch("links.iso");
	CHECK(dev->size < 6000000);
	CHECK_EQ(iso_open(dev, &iso), 0);
	CHECK_EQ(iso_lookup(iso, "rescue/rescue", &first), 0);
	CHECK_EQ(first.nlink, 141);
	CHECK_EQ(iso_lookup(iso, "rescue/l139", &at), 0);
	CHECK_EQ(at.off, first.off);
	iso_close(iso);
	blkdev_close(dev);
	if (have("bsdtar"))
		CHECK_EQ(sh("bsdtar -tvf links.iso >o; "
			    "test $(grep -c 'link to rescue/' o) = 140"),
		    0);
	tree_release(&t);
}

/* -- names and depth --------------------------------------------------------
 */

static void
odd_names_arrive(void)
{
	static const char *const names[] = {"upper", "Upper", "UPPER",
	    "\xe9\xff\x80", "gr\xc3\xbc\xc3\x9f", "a b", "new\nline", "-", "~",
	    "semi;1", "dot.", "..dots", "boot.catalog", "efiboot.img",
	    "boot.catalog.1", "con", "a,b+c=d"};
	struct tree t;
	struct iso_author how;
	char name[256];

	kit_freebsd(&t, &how);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		kit_file(&t, names[i], 100 + i, (unsigned)i);
	for (unsigned i = 0; i < 30; i++) { /* alike in all that ISO keeps */
		memset(name, 'n', 255);
		snprintf(name + 252, 4, "%03u", i);
		kit_file(&t, name, 10, i);
	}
	CHECK_EQ(kit_author(&how, "names.iso"), 0);
	kit_check(&t, "names.iso");
	tree_release(&t);
}

static void
a_directory_holds_ten_thousand_files(void)
{
	struct tree t;
	struct iso_author how;
	char name[64];

	kit_freebsd(&t, &how);
	for (unsigned i = 0; i < 10000; i++) {
		snprintf(name, sizeof(name),
		    "many/a-file-with-quite-a-long-name-%u", i);
		kit_file(&t, name, i % 3, i);
	}
	CHECK_EQ(kit_author(&how, "many.iso"), 0);
	tree_release(&t);
	CHECK_EQ(sh("test $(isoinfo -i many.iso -R -f | grep -c /many/a-) = "
		    "10000"),
	    have("isoinfo") ? 0 : 256);
}

static void
deep_directories_stay_where_they_are(void)
{
	struct tree t;
	struct iso_author how;
	char path[4 * 400 + 8] = "";
	size_t len = 0;

	kit_freebsd(&t, &how);
	for (int i = 0; i < 400; i++)
		len += (size_t)snprintf(path + len, 8, "%03d/", i);
	snprintf(path + len, 8, "x");
	kit_file(&t, path, 10, 1);
	CHECK_EQ(kit_author(&how, "deep.iso"), 0);
	kit_check(&t, "deep.iso");
	/* FreeBSD's loader knows nothing of relocation (formats.md 3.3) */
	CHECK(!kit_contains("deep.iso", "CL\x0c\x01", 4));
	CHECK(!kit_contains("deep.iso", "RE\x04\x01", 4));
	CHECK(kit_contains("deep.iso", "RRIP_1991A", 10));
	tree_release(&t);
}

/* -- booting -----------------------------------------------------------------
 */

/* The record of a raw ISO name in a directory, as cdboot looks for it. */
static const uint8_t *
raw_find(const uint8_t *iso, const uint8_t *dir, const char *name)
{
	uint32_t off, size;

	memcpy(&off, dir + 2, 4); /* tests run little-endian */
	memcpy(&size, dir + 10, 4);
	for (const uint8_t *p = iso + off * 2048, *end = p + size; p < end;
	     p += p[0]) {
		size_t len = p[32];

		if (p[0] == 0) { /* the next sector */
			p = iso + ((size_t)(p - iso) / 2048 + 1) * 2048;
			if (p >= end)
				return NULL;
			len = p[32];
		}
		for (size_t i = 0; i < len; i++)
			if (p[33 + i] == ';')
				len = i;
		if (len > 0 && p[33 + len - 1] == '.')
			len--;
		if (len == strlen(name) && memcmp(p + 33, name, len) == 0)
			return p;
	}
	return NULL;
}

static void
cdboot_finds_the_loader(void)
{
	struct tree t;
	struct iso_author how;
	struct blkdev *dev;
	const uint8_t *record;
	uint8_t *all;
	uint32_t off, size;

	kit_freebsd(&t, &how);
	for (int i = 0; i < 200; i++) { /* more than a sector of records */
		char name[32];

		snprintf(name, sizeof(name), "boot/a%d", i);
		kit_file(&t, name, 1, 1);
	}
	CHECK_EQ(kit_author(&how, "raw.iso"), 0);
	dev = open_scratch("raw.iso");
	all = malloc(dev->size);
	CHECK_EQ(blkdev_read(dev, 0, all, dev->size), 0);
	record = raw_find(all, all + 0x8000 + 156, "boot");
	CHECK(record != NULL);
	record = record != NULL ? raw_find(all, record, "loader") : NULL;
	CHECK(record != NULL);
	if (record != NULL) {
		memcpy(&off, record + 2, 4);
		memcpy(&size, record + 10, 4);
		CHECK_EQ(size, 450000);
		CHECK(memcmp(all + (size_t)off * 2048,
			  tree_find(&t, "boot/loader")->content.text,
			  450000) == 0);
	}
	free(all);
	blkdev_close(dev);
	tree_release(&t);
}

static void
tools_see_the_boot_entries(void)
{
	struct tree t;
	struct iso_author how;

	if (!have("xorriso") || !have("sgdisk") || !have("mtype"))
		SKIP("xorriso, gdisk or mtools are not installed");
	kit_freebsd(&t, &how);
	how.volume_set = "My FreeBSDs";
	how.publisher = "someone";
	CHECK_EQ(kit_author(&how, "boot.iso"), 0);
	CHECK_EQ(sh("xorriso -indev boot.iso -report_el_torito plain "
		    "-report_system_area plain >o 2>&1; cat o; "
		    "grep -Eq '^Volume id +: .My FreeBSD.$' o && "
		    "grep -Eq 'boot img : +1  BIOS  y   none .* 4 +[0-9]+$' o "
		    "&& grep -Eq 'boot img : +2  UEFI  y   none .* 4096 ' o && "
		    "grep -q 'img path :   1  /boot/cdboot' o && "
		    "grep -q 'type GUID      :   1  9d6bbd83417fdc11' o && "
		    "grep -q 'start and size :   1  34  28' o && "
		    "grep -q 'type GUID      :   2  28732ac11ff8d211' o && "
		    "grep -Eq 'MBR partition .* 1   0x00  0xee' o"),
	    0);
	CHECK_EQ(sh("sgdisk -v boot.iso >o; cat o; "
		    "grep -q 'No problems found' o"),
	    0);
	/* the efi partition is the image of the entry, with the loader in it */
	CHECK_EQ(sh("at=$(sgdisk -i 2 boot.iso | "
		    "sed -n 's/^First sector: \\([0-9]*\\) .*/\\1/p'); "
		    "mtype -i boot.iso@@${at}s ::EFI/BOOT/BOOTX64.EFI >got; "
		    "isoinfo -R -i boot.iso -x /boot/loader.efi | cmp - got"),
	    0);
	CHECK_EQ(sh("isoinfo -d -i boot.iso >o; cat o; "
		    "grep -q 'Volume set id: My FreeBSDs' o && "
		    "grep -q 'Publisher id: someone' o"),
	    0);
	CHECK_EQ(
	    sh("! isoinfo -R -f -i boot.iso | grep -Ei 'catalog|efiboot'"), 0);
	tree_release(&t);
}

static void
boot_code_lies_in_the_system_area(void)
{
	struct tree t;
	struct iso_author how;
	struct blkdev *dev;
	uint8_t area[32768];

	kit_freebsd(&t, &how);
	for (int large = 0; large < 2; large++) {
		/* too large for a table of 128 entries, not for one of 4 */
		size_t len = large ? 31232 : 15360, at = large ? 3 : 34;
		struct tree_node *node = tree_find(&t, "boot/isoboot");

		kit_fill(node, len, 29, false);
		CHECK_EQ(kit_author(&how, "area.iso"), 0);
		dev = open_scratch("area.iso");
		CHECK_EQ(blkdev_read(dev, 0, area, sizeof(area)), 0);
		CHECK(memcmp(area, tree_find(&t, "boot/pmbr")->content.text,
			  440) == 0);
		CHECK(memcmp(area + at * 512, node->content.text, len) == 0);
		blkdev_close(dev);
		kit_check(&t, "area.iso");
		if (have("sgdisk"))
			CHECK_EQ(sh("sgdisk -v area.iso | "
				    "grep -q 'No problems found'"),
			    0);
	}
	tree_release(&t);
}

static void
parts_of_the_equipment_may_be_missing(void)
{
	struct tree t;
	struct iso_author full, how;

	if (!have("xorriso"))
		SKIP("xorriso is not installed");
	kit_freebsd(&t, &full);
	how = full;
	how.loader_efi = NULL; /* BIOS from CD and USB */
	CHECK_EQ(kit_author(&how, "part.iso"), 0);
	CHECK_EQ(sh("xorriso -indev part.iso -report_el_torito plain "
		    "-report_system_area plain >o 2>&1; cat o; "
		    "grep -q ' 1  BIOS' o && ! grep -q UEFI o && "
		    "grep -q 'type GUID      :   1  9d6bbd83' o && "
		    "! grep -q 'type GUID      :   2 ' o"),
	    0);
	how = full;
	how.isoboot = NULL; /* BIOS from CD, UEFI from both */
	CHECK_EQ(kit_author(&how, "part.iso"), 0);
	CHECK_EQ(sh("xorriso -indev part.iso -report_el_torito plain "
		    "-report_system_area plain >o 2>&1; cat o; "
		    "grep -q ' 1  BIOS' o && grep -q ' 2  UEFI' o && "
		    "grep -q 'type GUID      :   1  28732ac1' o && "
		    "! grep -q 'type GUID      :   2 ' o"),
	    0);
	how.cdboot = NULL; /* UEFI only, as for arm64 */
	CHECK_EQ(kit_author(&how, "part.iso"), 0);
	CHECK_EQ(sh("xorriso -indev part.iso -report_el_torito plain "
		    ">o 2>&1; cat o; "
		    "grep -q ' 1  UEFI' o && ! grep -q BIOS o"),
	    0);
	kit_check(&t, "part.iso");
	how.loader_efi = NULL; /* for reading only */
	CHECK_EQ(kit_author(&how, "part.iso"), 0);
	CHECK_EQ(sh("xorriso -indev part.iso -report_el_torito plain "
		    "-report_system_area plain >o 2>&1; cat o; "
		    "! grep -Eq 'Boot record|boot img|GPT' o"),
	    0);
	kit_check(&t, "part.iso");
	tree_release(&t);
}

/* -- where things lie --------------------------------------------------------
 */

static uint64_t
place_of(struct iso *iso, const char *path)
{
	struct iso_node at;

	CHECK_EQ(iso_lookup(iso, path, &at), 0);
	return at.off;
}

static void
files_lie_in_the_order_that_was_asked_for(void)
{
	static const char *const order[] = {"boot/loader", "boot/kernel/kernel",
	    "boot/cdboot", "boot/loader", "data/image"};
	static const char *const want[] = {"boot/loader", "boot/kernel/kernel",
	    "boot/cdboot", "A", "z", "boot/isoboot", "boot/pmbr", "data/a",
	    "data/image"};
	struct tree t;
	struct iso_author how;
	struct blkdev *dev;
	struct iso *iso;

	kit_freebsd(&t, &how);
	kit_file(&t, "data/image", 50000, 31);
	kit_file(&t, "data/a", 5000, 31);
	kit_file(&t, "A", 5000, 31);
	kit_file(&t, "z", 5000, 31);
	how.order = order;
	how.norder = 5;
	how.last = "data/image";
	CHECK_EQ(kit_author(&how, "order.iso"), 0);
	kit_check(&t, "order.iso");
	dev = open_scratch("order.iso");
	CHECK_EQ(iso_open(dev, &iso), 0);
	for (size_t i = 1; i < sizeof(want) / sizeof(want[0]); i++)
		CHECK(place_of(iso, want[i]) > place_of(iso, want[i - 1]));
	/* the first three without a gap */
	CHECK_EQ(place_of(iso, want[1]) - place_of(iso, want[0]), 220 * 2048);
	/* nothing behind the last but the backup GPT */
	CHECK_EQ(dev->size - place_of(iso, "data/image"),
	    (50000 + 2047) / 2048 * 2048 + 9 * 2048);
	iso_close(iso);
	blkdev_close(dev);
	tree_release(&t);
}

/* A commit of a larger image: nothing moves, all numbers are right. */
static void
a_commit_leaves_everything_right(void)
{
	struct tree t;
	struct iso_author how;
	struct blkdev *dev, *out;
	struct iso *iso;
	struct iso_plan *plan;
	struct iso_node image;

	kit_freebsd(&t, &how);
	kit_file(&t, "R.ufs.uzip", 500000, 37);
	how.last = "R.ufs.uzip";
	CHECK_EQ(kit_author(&how, "old.iso"), 0);
	for (size_t len = 1000; len < 3000000; len = len * 7 + 1) {
		dev = open_scratch("old.iso");
		out = create_scratch("new.iso");
		CHECK_EQ(iso_open(dev, &iso), 0);
		CHECK_EQ(iso_lookup(iso, "R.ufs.uzip", &image), 0);
		CHECK_EQ(iso_plan_make(iso, &image, &plan), 0);
		CHECK_EQ(iso_plan_info(plan)->moved, 0);
		CHECK_EQ(iso_plan_info(plan)->wasted, 0);
		CHECK_EQ(iso_plan_copy(plan, out), 0);
		kit_fill(tree_find(&t, "R.ufs.uzip"), len, 41, false);
		CHECK_EQ(blkdev_resize(out, image.off + len), 0);
		CHECK_EQ(blkdev_write(out, image.off,
			     tree_find(&t, "R.ufs.uzip")->content.text, len),
		    0);
		CHECK_EQ(iso_plan_finish(plan, out, len), 0);
		iso_plan_free(plan);
		iso_close(iso);
		blkdev_close(dev);
		blkdev_close(out);
		kit_check(&t, "new.iso");
		if (have("sgdisk"))
			CHECK_EQ(sh("sgdisk -v new.iso | "
				    "grep -q 'No problems found'"),
			    0);
	}
	tree_release(&t);
}

/*
 * FreeBSD's own hybrids have no backup GPT.  Without padding the place for it
 * is in the image; after a commit it must be at the end, not in the middle.
 */
static void
the_place_of_a_missing_backup_stays_the_end(void)
{
	struct tree t;
	struct iso_author how;
	struct blkdev *dev, *out;
	struct iso *iso;
	struct iso_plan *plan;
	struct iso_node image;
	const char *fault;
	struct gpt gpt;

	kit_freebsd(&t, &how);
	kit_file(&t, "R.ufs.uzip", 500000, 37);
	how.last = "R.ufs.uzip";
	CHECK_EQ(blkdev_mem_open(0, &dev), 0);
	CHECK_EQ(kit_author_to(&how, dev), 0);
	CHECK_EQ(gpt_read(dev, 512, 512, &gpt, &fault), 1);
	CHECK_EQ(blkdev_resize(dev, dev->size - 9 * 2048), 0);
	gpt.head.other = le64_set(dev->size / 512 - 1);
	gpt.head.last_usable = le64_set(dev->size / 512 - 1);
	CHECK_EQ(gpt_write(dev, &gpt), 0);
	gpt_release(&gpt);
	CHECK_EQ(blkdev_mem_open(0, &out), 0);
	CHECK_EQ(iso_open(dev, &iso), 0);
	CHECK_EQ(iso_lookup(iso, "R.ufs.uzip", &image), 0);
	CHECK_EQ(iso_plan_make(iso, &image, &plan), 0);
	CHECK_EQ(iso_plan_copy(plan, out), 0);
	CHECK_EQ(blkdev_resize(out, image.off + 900000), 0);
	CHECK_EQ(iso_plan_finish(plan, out, 900000), 0);
	CHECK_EQ(gpt_read(out, 512, 512, &gpt, &fault), 1);
	CHECK_EQ(le64_get(gpt.head.other), out->size / 512 - 1);
	gpt_release(&gpt);
	iso_plan_free(plan);
	iso_close(iso);
	blkdev_close(dev);
	blkdev_close(out);
	tree_release(&t);
}

static void
the_same_input_gives_the_same_bytes(void)
{
	struct tree t;
	struct iso_author how;

	kit_freebsd(&t, &how);
	kit_link(&t, "boot/loader", "l");
	CHECK_EQ(kit_author(&how, "one.iso"), 0);
	tree_release(&t);
	setenv("TZ", "Asia/Tokyo", 1);
	setenv("LC_ALL", "C.UTF-8", 1);
	kit_freebsd(&t, &how);
	kit_link(&t, "boot/loader", "l");
	CHECK_EQ(kit_author(&how, "two.iso"), 0);
	unsetenv("TZ");
	unsetenv("LC_ALL");
	CHECK_EQ(sh("cmp one.iso two.iso"), 0);
	how.label = "Another";
	CHECK_EQ(kit_author(&how, "two.iso"), 0);
	if (have("sgdisk"))
		CHECK_EQ(sh("sgdisk -p one.iso | grep GUID >1; "
			    "sgdisk -p two.iso | grep GUID >2; ! cmp 1 2"),
		    0);
	tree_release(&t);
}

#define T(f) \
	{ \
#f, f \
	}
TESTS(T(everything_arrives), T(other_programs_bring_it_all_back),
    T(names_of_a_file_share_its_bytes), T(odd_names_arrive),
    T(a_directory_holds_ten_thousand_files),
    T(deep_directories_stay_where_they_are), T(cdboot_finds_the_loader),
    T(tools_see_the_boot_entries), T(boot_code_lies_in_the_system_area),
    T(parts_of_the_equipment_may_be_missing),
    T(files_lie_in_the_order_that_was_asked_for),
    T(a_commit_leaves_everything_right),
    T(the_place_of_a_missing_backup_stays_the_end),
    T(the_same_input_gives_the_same_bytes))
