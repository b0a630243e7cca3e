/*
 * Patching ISOs of many layouts: whatever we and other programs saw before we
 * must see afterwards, but for the image.
 */
#include <sys/stat.h>

#include "../../imgfmt/iso.h"
#include "check.h"
#include "iso_tools.h"

static const char *image_path = "data/base.bin";
static bool has_table; /* isolinux.bin has a boot information table */

/* A file's place, for finding overlaps. */
struct extent {
	uint64_t off, end;
};
static struct extent extents[4096];
static unsigned nextents;

struct pair {
	struct iso *old, *new;
	const char *path;   /* of the directory */
	const char *image;  /* file of the scratch directory */
	uint64_t image_off; /* in old */
	unsigned files;
};

/*
 * A boot image with its information table: the table is true, and without it
 * and GRUB's address the bytes are the same.
 */
static void
check_boot_file(struct blkdev *a, struct blkdev *b, uint64_t place)
{
	static uint8_t x[65536], y[65536];
	uint32_t table[4], sum = 0;

	CHECK_EQ(a->size, b->size);
	if (a->size > sizeof(x) || b->size != a->size)
		return;
	memset(y, 0, sizeof(y));
	CHECK_EQ(blkdev_read(a, 0, x, a->size), 0);
	CHECK_EQ(blkdev_read(b, 0, y, b->size), 0);
	memcpy(table, y + 8, sizeof(table)); /* tests run little-endian */
	for (size_t i = 64; i < b->size; i += 4) {
		uint32_t word;

		memcpy(&word, y + i, sizeof(word));
		sum += word;
	}
	CHECK_EQ(table[0], 16);
	CHECK_EQ(table[1], place / 2048);
	CHECK_EQ(table[2], b->size);
	CHECK_EQ(table[3], sum);
	memcpy(x + 8, y + 8, 16);
	memcpy(x + 2548, y + 2548, 8);
	CHECK(memcmp(x, y, a->size) == 0);
}

static void
check_same_bytes(struct blkdev *a, struct blkdev *b, const char *path)
{
	static char x[65536], y[65536];

	CHECK_EQ(a->size, b->size);
	for (uint64_t off = 0; off < a->size && a->size == b->size;
	     off += sizeof(x)) {
		size_t n = a->size - off < sizeof(x) ? (size_t)(a->size - off)
						     : sizeof(x);

		CHECK_EQ(blkdev_read(a, off, x, n), 0);
		CHECK_EQ(blkdev_read(b, off, y, n), 0);
		if (memcmp(x, y, n) != 0) {
			CHECK(!"bytes differ");
			printf("# of '%s'\n", path);
			return;
		}
	}
}

static void
check_file(const struct pair *pair, const struct iso_node *old,
    const struct iso_node *new, const char *path)
{
	scoped(blkdev_closep) struct blkdev *a = NULL;
	scoped(blkdev_closep) struct blkdev *b = NULL;

	CHECK_EQ(iso_file_open(pair->new, new, &b), 0);
	if (old->off == pair->image_off && old->size > 0)
		a = open_scratch(pair->image);
	else
		CHECK_EQ(iso_file_open(pair->old, old, &a), 0);
	if (new->size > 0 && nextents < 4096)
		extents[nextents++] =
		    (struct extent){new->off, new->off + new->size};
	if (a == NULL || b == NULL || strstr(path, "boot.cat") != NULL)
		return;
	if (strstr(path, "isolinux.bin") != NULL && has_table)
		check_boot_file(a, b, new->off);
	else
		check_same_bytes(a, b, path);
}

static int
check_node(void *arg, const struct iso_node *new)
{
	struct pair *pair = arg;
	struct pair below = *pair;
	struct iso_node old;
	char path[1024], a[512] = "", b[512] = "";

	snprintf(path, sizeof(path), "%s%s%s", pair->path,
	    pair->path[0] ? "/" : "", new->name);
	CHECK_EQ(iso_lookup(pair->old, path, &old), 0);
	CHECK_EQ(new->mode, old.mode);
	CHECK_EQ(new->mtime.tv_sec, old.mtime.tv_sec);
	CHECK_EQ(new->uid, old.uid);
	CHECK_EQ(new->nlink, old.nlink);
	pair->files++;
	if (S_ISREG(new->mode))
		check_file(pair, &old, new, path);
	if (S_ISLNK(new->mode)) {
		CHECK_EQ(iso_readlink(pair->old, &old, a, sizeof(a)), 0);
		CHECK_EQ(iso_readlink(pair->new, new, b, sizeof(b)), 0);
		CHECK(strcmp(a, b) == 0);
	}
	if (!S_ISDIR(new->mode))
		return 0;
	below.path = path;
	CHECK_EQ(iso_list(pair->new, new, check_node, &below), 0);
	pair->files = below.files;
	return 0;
}

static int
count_node(void *arg, const struct iso_node *node)
{
	(void)node;
	++*(unsigned *)arg;
	return 0;
}

static int
by_place(const void *a, const void *b)
{
	const struct extent *x = a, *y = b;

	return x->off < y->off ? -1 : x->off > y->off;
}

static void
check_no_overlap(void)
{
	qsort(extents, nextents, sizeof(extents[0]), by_place);
	for (unsigned i = 1; i < nextents; i++)
		CHECK(extents[i].off >= extents[i - 1].end ||
		    (extents[i].off == extents[i - 1].off &&
			extents[i].end == extents[i - 1].end));
}

/* Boot images have the bytes they had, but for addresses inside. */
static void
check_boot_images(
    struct iso *old, struct iso *new, struct blkdev *from, struct blkdev *to)
{
	const struct iso_info *a = iso_info(old), *b = iso_info(new);

	CHECK_EQ(b->nboot, a->nboot);
	for (unsigned i = 0; i < a->nboot && i < b->nboot; i++) {
		char x[512], y[512];

		CHECK_EQ(b->boot[i].platform, a->boot[i].platform);
		CHECK_EQ(b->boot[i].len, a->boot[i].len);
		CHECK_EQ(blkdev_read(from, a->boot[i].off, x, 512), 0);
		CHECK_EQ(blkdev_read(to, b->boot[i].off, y, 512), 0);
		if (a->boot[i].platform == 0)
			memcpy(x + 8, y + 8, 16);
		CHECK(memcmp(x, y, 512) == 0);
	}
}

static void
check_as_we_see(const char *in, const char *out, const char *image)
{
	scoped(blkdev_closep) struct blkdev *from = open_scratch(in);
	scoped(blkdev_closep) struct blkdev *to = open_scratch(out);
	struct pair pair = {.path = "", .image = image};
	struct iso_node root;
	unsigned a = 0, b = 0;

	CHECK_EQ(iso_open(from, &pair.old), 0);
	CHECK_EQ(iso_open(to, &pair.new), 0);
	if (pair.old == NULL || pair.new == NULL)
		return;
	nextents = 0;
	CHECK_EQ(iso_lookup(pair.old, image_path, &root), 0);
	pair.image_off = root.off;
	CHECK_EQ(iso_root(pair.old, &root), 0);
	CHECK_EQ(iso_list(pair.old, &root, count_node, &a), 0);
	CHECK_EQ(iso_root(pair.new, &root), 0);
	CHECK_EQ(iso_list(pair.new, &root, count_node, &b), 0);
	CHECK_EQ(a, b);
	CHECK_EQ(iso_list(pair.new, &root, check_node, &pair), 0);
	CHECK(pair.files > 8);
	check_no_overlap();
	check_boot_images(pair.old, pair.new, from, to);
	CHECK(iso_info(pair.new)->size <= to->size);
	CHECK_EQ(iso_check(pair.old), 0);
	CHECK_EQ(iso_check_tree(pair.old), 0);
	CHECK_EQ(iso_check_tree(pair.new), 0);
	CHECK_EQ(iso_check(pair.new), 0);
	iso_close(pair.old);
	iso_close(pair.new);
}

/* Other programs see the same equipment and the same files. */
static void
check_as_others_see(const char *in, const char *out, const char *image)
{
	char *script = realpath("tests/unit/iso_same.sh", NULL);

	CHECK_EQ(sh("%s %s %s %s %s", script, in, out, image, image_path), 0);
	free(script);
}

/* Write the image into a new ISO as commit does. */
static struct iso_plan_info
patch(const char *in, const char *image, const char *out)
{
	scoped(blkdev_closep) struct blkdev *from = open_scratch(in);
	scoped(blkdev_closep) struct blkdev *new = open_scratch(image);
	scoped(blkdev_closep) struct blkdev *to = create_scratch(out);
	struct iso_plan_info info = {0};
	struct iso_plan *plan = NULL;
	struct iso_node node;
	struct iso *iso = NULL;

	CHECK_EQ(iso_open(from, &iso), 0);
	CHECK_EQ(iso_lookup(iso, image_path, &node), 0);
	CHECK_EQ(iso_plan_make(iso, &node, &plan), 0);
	if (plan == NULL)
		return info;
	info = *iso_plan_info(plan);
	CHECK_EQ(iso_plan_copy(plan, to), 0);
	CHECK_EQ(to->size, info.image_off);
	CHECK_EQ(blkdev_resize(to, info.image_off + new->size), 0);
	CHECK_EQ(blkdev_copy(new, 0, to, info.image_off, new->size), 0);
	CHECK_EQ(iso_plan_finish(plan, to, new->size), 0);
	iso_plan_free(plan);
	iso_close(iso);
	return info;
}

static uint64_t
size_of(const char *name)
{
	scoped(blkdev_closep) struct blkdev *dev = open_scratch(name);

	return dev != NULL ? dev->size : 0;
}

static uint64_t
sectors(uint64_t bytes)
{
	return (bytes + 2047) / 2048;
}

struct layout {
	const char *name;
	const char *command;
	bool refused; /* to move */
	bool tail;    /* something moves with the end */
};

/* in -> out with a new image: all is as it must be. */
static struct iso_plan_info
check_patch(const struct layout *layout, const char *in, const char *old,
    const char *image, const char *out, bool thorough)
{
	int before = check_failures;
	struct iso_plan_info info = patch(in, image, out);
	int64_t grown = (int64_t)(size_of(out) - size_of(in));
	int64_t more = (int64_t)(sectors(size_of(image)) * 2048);

	if (info.wasted == 0)
		more -= (int64_t)(sectors(size_of(old)) * 2048);
	CHECK_EQ(grown, more);
	CHECK_EQ(info.wasted != 0, info.why_not != NULL);
	check_as_we_see(in, out, image);
	if (thorough)
		check_as_others_see(in, out, image);
	if (check_failures != before) {
		printf("# layout '%s': %s to %s\n", layout->name, in, out);
	}
	return info;
}

static void
check_layout(const struct layout *layout)
{
	/* Other programs are slow, and have judged what was moved already. */
	bool again =
	    layout->refused || layout->tail || getenv("RELIVE_LONG") != NULL;
	struct iso_plan_info info;

	has_table = strstr(layout->command, "-boot-info-table") != NULL;
	if (sh("rm -f in.iso; cp /usr/lib/ISOLINUX/isolinux.bin t/isolinux/; "
	       "%s",
		layout->command) != 0) {
		printf("# cannot make '%s'\n", layout->name);
		check_failures++;
		return;
	}
	info = check_patch(layout, "in.iso", "old", "bigger", "o1.iso", true);
	CHECK_EQ(info.why_not != NULL, layout->refused);
	/* Once it is last nothing else moves. */
	info =
	    check_patch(layout, "o1.iso", "bigger", "smaller", "o2.iso", again);
	CHECK(info.why_not == NULL);
	CHECK_EQ(info.moved != 0, layout->tail);
	patch("o2.iso", "smaller", "o3.iso");
	CHECK_EQ(sh("cmp o2.iso o3.iso >&2"), 0);
	check_patch(layout, "in.iso", "old", "smaller", "o1.iso", false);
}

#define BIOS \
	"-b isolinux/isolinux.bin -c isolinux/boot.cat -no-emul-boot " \
	"-boot-load-size 4 -boot-info-table "
#define EFI      "-eltorito-alt-boot -e boot/efi.img -no-emul-boot "
#define MBR_CODE "/usr/lib/ISOLINUX/isohdpfx.bin "
#define XORRISO  "xorriso -as mkisofs -quiet --hardlinks -o in.iso -V TEST "
#define APPENDED \
	"-eltorito-alt-boot -e --interval:appended_partition_2:all:: " \
	"-no-emul-boot -append_partition 2 0xef efi.img "
#define FIRST  "--sort-weight 9999 /data/base.bin "
#define GENISO "genisoimage -quiet -o in.iso "

static const struct layout layouts[] = {
    {"plain", GENISO "-m d9 t", false, false},
    {"Rock Ridge", GENISO "-R t", false, false},
    {"Joliet", GENISO "-J -m d9 t", false, false},
    {"both, enhanced, boot", GENISO "-iso-level 4 -J -R -V B " BIOS "t", false,
	false},
    {"image first, both, enhanced, boot",
	"echo t/data/base.bin 9999 >sort && " GENISO
	"-iso-level 4 -J -R -sort sort " BIOS "t",
	false, false},
    {"image last",
	"echo t/data/base.bin -9999 >sort && " GENISO "-R -sort sort t", false,
	false},
    {"image first, xorriso", XORRISO "-R -J -rr_reloc_dir /moved " FIRST "t",
	false, false},
    {"isohybrid with GPT",
	XORRISO "-R -J " BIOS EFI "-isohybrid-mbr " MBR_CODE
		"-isohybrid-gpt-basdat t",
	false, false},
    {"image first, isohybrid with GPT",
	XORRISO "-R -J " BIOS EFI FIRST "-isohybrid-mbr " MBR_CODE
		"-isohybrid-gpt-basdat t",
	false, false},
    {"as grub-mkrescue makes them",
	XORRISO "-R " BIOS "--grub2-boot-info --grub2-mbr " MBR_CODE
		"--protective-msdos-label -efi-boot-part --efi-boot-image " EFI
		"t",
	false, false},
    {"image first, as grub-mkrescue makes them",
	XORRISO "-R " FIRST BIOS "--grub2-boot-info --grub2-mbr " MBR_CODE
		"--protective-msdos-label -efi-boot-part --efi-boot-image " EFI
		"t",
	false, false},
    {"appended partition in an MBR",
	XORRISO "-R " BIOS APPENDED "-isohybrid-mbr " MBR_CODE "t", false,
	true},
    {"appended partition in a GPT",
	XORRISO "-R " BIOS "--grub2-boot-info " APPENDED "--grub2-mbr " MBR_CODE
		"-appended_part_as_gpt t",
	false, true},
    {"image first, second tree at a partition offset",
	XORRISO "-R -J " FIRST BIOS
		"-partition_offset 16 -isohybrid-mbr " MBR_CODE "t",
	false, false},
    {"makefs",
	"makefs -t cd9660 -o bootimage='i386;t/isolinux/isolinux.bin',"
	"no-emul-boot,bootimage='i386;efi.img',no-emul-boot,"
	"rockridge,label=MAKEFS in.iso t",
	false, false},
    {"HFS+", XORRISO "-R -hfsplus t", true, false},
    {"HFS", GENISO "-R -hfs t", true, false},
    {"UDF", GENISO "-R -udf t", true, false},
    {"one session with a copy of its descriptors",
	"xorriso -outdev in.iso -hardlinks on -map t / -commit", false, false},
    {"two sessions",
	"xorriso -outdev in.iso -hardlinks on -map t / -commit -map old /later -commit",
	true, false},
};

static int
make_tree(void)
{
	static int made, rc;

	scratch_need();
	if (made)
		return rc;
	made = 1;
	rc = sh("mkdir -p t/data t/many t/boot t/isolinux "
		"t/d1/d2/d3/d4/d5/d6/d7/d8/d9/d10 && "
		"head -c 300001 /dev/urandom >old && "
		"head -c 700123 /dev/urandom >bigger && "
		"head -c 20480 /dev/urandom >smaller && "
		"cp old t/data/base.bin && ln t/data/base.bin t/zlinked && "
		"head -c 5000 /dev/urandom "
		">t/d1/d2/d3/d4/d5/d6/d7/d8/d9/d10/deep && "
		"i=0; while [ $i -lt 100 ]; do i=$((i+1)); "
		"echo $i >t/many/$i.txt; done; "
		": >t/empty; : >t/data/zempty; ln t/many/7.txt t/linked; "
		"n=n; while [ ${#n} -lt 100 ]; do n=$n$n; done; "
		"echo long >t/boot/$n; "
		"ln -s ../$n/./$n t/boot/link; "
		"cp /usr/lib/ISOLINUX/isolinux.bin t/isolinux/; "
		"truncate -s 1440k efi.img && mformat -i efi.img -f 1440 :: && "
		"mcopy -i efi.img old ::/BOOTX64.EFI && "
		"cp efi.img t/boot/efi.img");
	return rc;
}

static void
every_layout_is_patched(void)
{
	if (!have("xorriso") || !have("genisoimage") || !have("bsdtar") ||
	    !have("sgdisk") || make_tree() != 0)
		SKIP("no xorriso, genisoimage, bsdtar, sgdisk, isolinux or "
		     "mtools");
	for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++)
		check_layout(&layouts[i]);
}

static void
freebsd_release_layout_is_patched(void)
{
	static const struct layout layout = {
	    "FreeBSD's release layout", "cp fb.iso in.iso", false, false};

	if (!have_fixture("iso/freebsd-hybrid.iso", "fb.iso"))
		SKIP("no fixtures");
	if (!have("xorriso") || !have("bsdtar") || make_tree() != 0)
		SKIP("no xorriso or bsdtar");
	CHECK_EQ(sh("mv old old.bin && bsdtar -xOf fb.iso "
		    "data/base.ufs.uzip >old"),
	    0);
	image_path = "data/base.ufs.uzip";
	check_layout(&layout);
	image_path = "data/base.bin";
	CHECK_EQ(sh("mv old.bin old"), 0);
}

TESTS({"every layout is patched", every_layout_is_patched},
    {"FreeBSD's release layout is patched", freebsd_release_layout_is_patched})
