/* Addresses and layers: what is found, and what is said of the rest. */
#include <unistd.h>

#include "image_kit.h"

static struct image *opened;

static int
try_open(const char *address, unsigned flags)
{
	const struct image_options options = {.cache_max = 1 << 20};

	image_close(opened);
	opened = NULL;
	return image_open(address, &options, flags, &opened);
}

static void
done(void)
{
	image_close(opened);
	opened = NULL;
}

/* Whether it opens; no test goes on with what is not there. */
static bool
opens(const char *address)
{
	CHECK_EQ(try_open(address, 0), 0);
	if (opened == NULL)
		printf("# %s\n", kit_said);
	return opened != NULL;
}

/* Said once, and all of these are in it. */
static bool
said(const char *a, const char *b)
{
	bool yes = kit_lines == 1 && strstr(kit_said, a) != NULL &&
	    strstr(kit_said, b) != NULL;

	if (!yes)
		printf("# %d lines, the last: %s\n", kit_lines, kit_said);
	kit_lines = 0;
	return yes;
}

/* -- addresses ------------------------------------------------------------- */

static void
check_split(const char *address, const char *path, const char *inner)
{
	char *got = NULL, *rest = NULL;

	CHECK_EQ(image_split(address, &got, &rest), 0);
	CHECK(got != NULL && strcmp(got, path) == 0);
	CHECK(rest != NULL && strcmp(rest, inner) == 0);
	free(got);
	free(rest);
}

static void
the_longest_prefix_that_exists_is_the_host_file(void)
{
	char address[600];

	kit_begin();
	CHECK_EQ(kit_sh("touch a a:b"), 0);
	check_split(kit_path("a"), kit_path("a"), "");
	check_split(kit_path("a:b"), kit_path("a:b"), "");
	check_split(kit_path("a:b:c"), kit_path("a:b"), "c");
	check_split(kit_path("a:/x/y:z"), kit_path("a"), "/x/y:z");
	(void)snprintf(address, sizeof(address), "%s/./a:", kit_dir);
	check_split(address, kit_path("a"), "");
}

static void
a_host_file_that_is_not_there_is_named(void)
{
	char *path = NULL, *inner = NULL;

	kit_begin();
	CHECK_EQ(image_split(kit_path("no:such"), &path, &inner), -ENOENT);
	CHECK(said("no:such", "No such file"));
	CHECK(path == NULL && inner == NULL);
	CHECK_EQ(try_open(kit_dir, 0), -EISDIR);
	CHECK(said(kit_dir, "folder"));
	CHECK_EQ(kit_sh(": >empty"), 0);
	CHECK_EQ(try_open(kit_path("empty"), 0), -EINVAL);
	CHECK(said("empty", "is empty"));
}

/* -- layers ---------------------------------------------------------------- */

static void
a_raw_file_system_is_one_layer(void)
{
	kit_begin();
	kit_ufs("u", "raw");
	if (!opens(kit_path("u")))
		return;
	CHECK_EQ(opened->nlayers, 1);
	CHECK_EQ(opened->layer[0].kind, IMAGE_UFS);
	CHECK_EQ(opened->layer[0].off, 0);
	CHECK_EQ(opened->dev->size, KIT_UFS_SIZE);
	CHECK(opened->uzip == NULL && opened->iso == NULL);
	CHECK(strcmp(opened->inner, "") == 0);
	CHECK_EQ(try_open(kit_path("u:x"), 0), -EINVAL);
	CHECK(said("UFS", "':x'"));
	done();
}

static void
a_uzip_is_told_by_content_not_by_name(void)
{
	kit_begin();
	kit_ufs("u", "z");
	kit_uzip("plain.txt", "u");
	if (!opens(kit_path("plain.txt")))
		return;
	CHECK_EQ(opened->nlayers, 2);
	CHECK_EQ(opened->layer[0].kind, IMAGE_UZIP);
	CHECK_EQ(opened->layer[1].kind, IMAGE_UFS);
	CHECK(opened->uzip == opened->dev);
	CHECK(opened->layer[1].off == UINT64_MAX);
	CHECK(image_container(opened) == &opened->layer[0]);
	done();
}

static void
a_gz_is_inflated_once_into_the_folder(void)
{
	struct image_options options = {.cache_max = 1 << 20};
	struct image *image = NULL;
	char scratch[128];

	kit_begin();
	kit_ufs("u", "g");
	CHECK_EQ(kit_sh("gzip -n u && mkdir s"), 0);
	if (!opens(kit_path("u.gz")))
		return;
	CHECK(opened->inflated);
	CHECK_EQ(opened->dev->size, KIT_UFS_SIZE);
	CHECK_EQ(try_open(kit_path("u.gz"), IMAGE_NO_INFLATE), 0);
	CHECK(opened->dev == NULL && opened->nlayers == 1);
	(void)snprintf(scratch, sizeof(scratch), "%s/s", kit_dir);
	options.scratch = scratch;
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(image_open(kit_path("u.gz"), &options, 0, &image), 0);
		CHECK(image != NULL && image->dev->size == KIT_UFS_SIZE);
		image_close(image);
		image = NULL;
		CHECK_EQ(kit_sh("test $(ls s | wc -l) = 1 && "
				"test s/image.*.inflated -nt u.gz"),
		    0);
		CHECK_EQ(kit_sh("touch -d 2001-01-01 u.gz"), 0);
	}
	/* Another .gz is not mistaken for the one before. */
	kit_ufs("u", "other");
	CHECK_EQ(kit_sh("gzip -nf u"), 0);
	CHECK_EQ(image_open(kit_path("u.gz"), &options, 0, &image), 0);
	image_close(image);
	CHECK_EQ(kit_sh("test $(ls s | wc -l) = 2"), 0);
	done();
}

static void
a_gz_that_is_cut_leaves_nothing_behind(void)
{
	struct image_options options = {.cache_max = 1 << 20};
	struct image *image = NULL;
	char scratch[128];

	kit_begin();
	kit_ufs("u", "g");
	CHECK_EQ(kit_sh("mkdir s; gzip -nc u | head -c 2000 >cut.gz"), 0);
	(void)snprintf(scratch, sizeof(scratch), "%s/s", kit_dir);
	options.scratch = scratch;
	CHECK(image_open(kit_path("cut.gz"), &options, 0, &image) < 0);
	CHECK(image == NULL);
	CHECK_EQ(kit_sh("test $(ls s | wc -l) = 0"), 0);
}

/* -- ISO ------------------------------------------------------------------- */

static bool
make_iso(const char *options)
{
	return kit_sh("xorriso -as mkisofs -quiet %s -o live.iso tree",
		   options) == 0;
}

static void
the_only_image_of_an_iso_needs_no_path(void)
{
	if (!kit_has("xorriso"))
		SKIP("no xorriso");
	kit_begin();
	kit_ufs("u", "iso");
	CHECK_EQ(kit_sh("mkdir -p tree/data tree/boot"), 0);
	kit_uzip("tree/data/base.ufs.uzip", "u");
	CHECK_EQ(kit_sh("gzip -c u >tree/boot/memroot.ufs.gz; "
			"seq 1 30000 | gzip >tree/boot/kernel.gz; "
			"seq 1 30000 >tree/text"),
	    0);
	CHECK(make_iso("-R"));
	if (!opens(kit_path("live.iso")))
		return;
	CHECK_EQ(opened->nlayers, 3);
	CHECK_EQ(opened->layer[0].kind, IMAGE_ISO);
	CHECK_EQ(opened->layer[1].kind, IMAGE_UZIP);
	CHECK(strcmp(opened->inner, "/data/base.ufs.uzip") == 0);
	CHECK(strcmp(opened->layer[1].name, "/data/base.ufs.uzip") == 0);
	CHECK_EQ(opened->layer[1].off, opened->iso_node.off);
	if (!opens(kit_path("live.iso:data//base.ufs.uzip")))
		return;
	CHECK(strcmp(opened->inner, "/data/base.ufs.uzip") == 0);
	if (!opens(kit_path("live.iso:/boot/memroot.ufs.gz")))
		return;
	CHECK(opened->inflated);
	CHECK_EQ(try_open(kit_path("live.iso"), IMAGE_TOP_ONLY), 0);
	CHECK(opened->nlayers == 1 && opened->dev == NULL);
	CHECK_EQ(kit_lines, 0);
	CHECK_EQ(try_open(kit_path("live.iso:/text"), 0), -EINVAL);
	CHECK(said("live.iso:/text", "of no kind"));
	CHECK_EQ(try_open(kit_path("live.iso:/nothing"), 0), -ENOENT);
	CHECK(said("/nothing", "not there"));
	CHECK_EQ(try_open(kit_path("live.iso:/boot"), 0), -EINVAL);
	CHECK(said("/boot", "no regular file"));
	done();
}

static void
several_images_of_an_iso_are_listed(void)
{
	struct image_found found[4];

	if (!kit_has("xorriso"))
		SKIP("no xorriso");
	kit_begin();
	kit_ufs("u", "one");
	CHECK_EQ(kit_sh("mkdir -p tree/uzip"), 0);
	kit_uzip("tree/uzip/usr.uzip", "u");
	kit_uzip("tree/uzip/var.uzip", "u");
	CHECK(make_iso("-R"));
	CHECK_EQ(try_open(kit_path("live.iso"), 0), -EINVAL);
	CHECK(said(":/uzip/usr.uzip'", ":/uzip/var.uzip'"));
	if (!opens(kit_path("live.iso:/uzip/var.uzip")))
		return;
	CHECK(strcmp(opened->inner, "/uzip/var.uzip") == 0);
	CHECK_EQ(try_open(kit_path("live.iso"), IMAGE_TOP_ONLY), 0);
	CHECK_EQ(image_find(opened->iso, found, 4), 0 + 2);
	CHECK(strcmp(found[0].path, "/uzip/usr.uzip") == 0);
	CHECK_EQ(found[1].kind, IMAGE_UZIP);
	CHECK_EQ(image_find(opened->iso, found, 1), 2);
	done();
}

static void
a_gzipped_file_system_counts_where_it_is_the_only_one(void)
{
	if (!kit_has("xorriso"))
		SKIP("no xorriso");
	kit_begin();
	kit_ufs("u", "mfs");
	CHECK_EQ(kit_sh("mkdir -p tree/boot; "
			"(cat u; head -c 300000 /dev/urandom) "
			"| gzip -c >tree/mfsroot.gz; head -c 90000 "
			"/dev/urandom | gzip >tree/boot/kernel.gz"),
	    0);
	CHECK(make_iso("-R"));
	if (!opens(kit_path("live.iso")))
		return;
	CHECK(opened != NULL && strcmp(opened->inner, "/mfsroot.gz") == 0);
	done();
}

static void
an_iso_without_rock_ridge_has_one_spelling_of_a_name(void)
{
	if (!kit_has("genisoimage"))
		SKIP("no genisoimage");
	kit_begin();
	kit_ufs("u", "plain");
	CHECK_EQ(kit_sh("mkdir -p tree/data"), 0);
	kit_uzip("tree/data/base.uzp", "u");
	CHECK_EQ(kit_sh("genisoimage -quiet -o live.iso tree"), 0);
	if (!opens(kit_path("live.iso")))
		return;
	if (opened != NULL) {
		char first[64], address[600];

		(void)snprintf(first, sizeof(first), "%s", opened->inner);
		(void)snprintf(address, sizeof(address), "%s:/DaTa/BaSe.uZp",
		    kit_path("live.iso"));
		if (!opens(address))
			return;
		CHECK(strcmp(opened->inner, first) == 0);
	}
	done();
}

static void
an_iso_with_nothing_to_edit_tells_what_it_holds(void)
{
	if (!kit_has("xorriso"))
		SKIP("no xorriso");
	kit_begin();
	CHECK_EQ(kit_sh("mkdir -p tree/data"), 0);
	kit_file(
	    "tree/data/system.img", 300000, 8, "\xac\xcb\xba\xf5\x02\0\0\0", 8);
	CHECK(make_iso("-R"));
	CHECK_EQ(try_open(kit_path("live.iso"), 0), -EINVAL);
	CHECK(said("ZFS send stream", "zfs recv"));
	CHECK_EQ(kit_sh("rm tree/data/system.img"), 0);
	CHECK(make_iso("-R"));
	CHECK_EQ(try_open(kit_path("live.iso"), 0), -EINVAL);
	CHECK(said("live.iso", "holds no uzip or UFS"));
	done();
}

/* -- partitions ------------------------------------------------------------ */

static void
a_partition_is_chosen_by_name_or_by_being_the_only_one(void)
{
	if (!kit_has("sgdisk"))
		SKIP("no sgdisk");
	kit_begin();
	kit_ufs("u", "part");
	CHECK_EQ(kit_sh("truncate -s 8M disk && sgdisk -n 1:2048:4095 "
			"-n 2:4096:8191 -n 3:8192:12287 disk && "
			"dd if=u of=disk bs=512 seek=4096 conv=notrunc"),
	    0);
	if (!opens(kit_path("disk")))
		return;
	CHECK_EQ(opened->nlayers, 2);
	CHECK_EQ(opened->layer[0].kind, IMAGE_PARTITIONED);
	CHECK_EQ(opened->layer[1].off, 4096 * 512);
	CHECK(strcmp(opened->inner, "p2") == 0);
	if (!opens(kit_path("disk:p2")))
		return;
	CHECK_EQ(try_open(kit_path("disk:p1"), 0), -EINVAL);
	CHECK(said("disk:p1", "of no kind"));
	CHECK_EQ(try_open(kit_path("disk:p7"), 0), -ENOENT);
	CHECK(said("no partition 'p7'", ":p3'"));
	CHECK_EQ(kit_sh("dd if=u of=disk bs=512 seek=8192 conv=notrunc"), 0);
	CHECK_EQ(try_open(kit_path("disk"), 0), -EINVAL);
	CHECK(said(":p2'", ":p3'"));
	done();
}

static void
a_uzip_in_a_partition_may_have_slack_behind_it(void)
{
	if (!kit_has("sgdisk"))
		SKIP("no sgdisk");
	kit_begin();
	kit_ufs("u", "slack");
	kit_uzip("z", "u");
	CHECK_EQ(kit_sh("truncate -s 8M disk && sgdisk -n 1:2048:8191 disk && "
			"dd if=z of=disk bs=512 seek=2048 conv=notrunc"),
	    0);
	if (!opens(kit_path("disk")))
		return;
	CHECK_EQ(opened->nlayers, 3);
	CHECK_EQ(opened->layer[1].kind, IMAGE_UZIP);
	CHECK(strcmp(opened->inner, "p1") == 0);
	done();
}

/* -- what is not ours ------------------------------------------------------ */

static const struct {
	uint64_t off;
	const char *bytes;
	size_t len;
	const char *name, *advice;
} foreign[] = {
    {0,
	"\xfd"
	"7zXZ\0",
	6, "xz", "xz -dk"},
    {0, "\x28\xb5\x2f\xfd", 4, "zstd", "zstd -d"},
    {0, "BZh91AY&SY", 10, "bzip2", "bzip2 -dk"},
    {0, "PK\3\4", 4, "zip", "unzip"},
    {0, "QFI\xfb", 4, "qcow", "qemu-img"},
    {0, "KDMV", 4, "VMDK", "qemu-img"},
    {64, "\x7f\x10\xda\xbe", 4, "VirtualBox", "qemu-img"},
    {0, "LUKS\xba\xbe", 6, "LUKS", "cryptsetup"},
    {0, "hsqs", 4, "squashfs", "unsquashfs"},
    {1080, "\x53\xef", 2, "ext2", "--view block"},
    {8, "\xac\xcb\xba\xf5\x02\0\0\0", 8, "ZFS send", "zfs recv"},
    {8, "\0\0\0\x02\xf5\xba\xcb\xac", 8, "ZFS send", "zfs recv"},
    {131072 + 8192, "\x0c\xb1\xba\0\0\0\0\0", 8, "ZFS pool", "zpool"},
    {16384, "\1\1\0\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\7version", 31,
	"ZFS pool", "zpool"},
    {599040, "GEOM::ELI", 9, "GELI", "geli"},
    {0, "#!/bin/sh\n#V4.0 Format\n", 23, "cloop", "cloop-utils"},
    {0, "#!/bin/sh\n#X2.0 Format\n", 23, "cloop", "cloop-utils"},
    {0,
	"\x7f"
	"ELF",
	4, "of no kind", "ISO"},
};
static void
foreign_kinds_are_named_with_what_to_do(void)
{
	kit_begin();
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
		kit_file("x", 600000, foreign[i].off, foreign[i].bytes,
		    foreign[i].len);
		CHECK_EQ(try_open(kit_path("x"), 0), -EINVAL);
		CHECK(said(foreign[i].name, foreign[i].advice));
	}
	if (kit_has("mkfs.fat")) {
		CHECK_EQ(kit_sh("truncate -s 1440k f && mkfs.fat f"), 0);
		CHECK_EQ(try_open(kit_path("f"), 0), -EINVAL);
		CHECK(said("FAT", "mtools"));
	}
	done();
}

/* Kinds that must be unpacked before anything can be seen. */
static bool
is_packed(const char *name)
{
	static const char *const packed[] = {"xz", "zstd", "bzip2", "zip",
	    "qcow", "VMDK", "VirtualBox", "cloop"};

	for (size_t i = 0; i < sizeof(packed) / sizeof(packed[0]); i++)
		if (strcmp(name, packed[i]) == 0)
			return true;
	return false;
}

static void
foreign_kinds_are_devices_unless_they_are_packed(void)
{
	kit_begin();
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
		kit_file("x", 600000, foreign[i].off, foreign[i].bytes,
		    foreign[i].len);
		CHECK_EQ(try_open(kit_path("x"), IMAGE_ANY),
		    is_packed(foreign[i].name) ? -EINVAL : 0);
	}
}

static void
every_kind_has_a_name(void)
{
	for (int kind = IMAGE_UNKNOWN; kind <= IMAGE_VDI; kind++)
		CHECK(image_kind_name((enum image_kind)kind) != NULL);
	CHECK(image_kind_advice(IMAGE_UFS) == NULL);
	CHECK(image_kind_advice(IMAGE_XZ) != NULL);
}

static void
tiny_files_of_any_size_are_looked_at_safely(void)
{
	kit_begin();
	for (uint64_t size = 1; size < 200000; size = size * 3 + 1) {
		kit_file("t", size, size - 1, "\x55", 1);
		CHECK_EQ(try_open(kit_path("t"), 0), -EINVAL);
		CHECK(said("'", "of no kind"));
	}
	done();
}

static void
names_of_session_files_are_unambiguous(void)
{
	char a[NAME_MAX + 1], b[NAME_MAX + 1], path[1024];

	image_overlay_name("", a);
	CHECK(strcmp(a, "image") == 0);
	image_overlay_name("/data/base.ufs.uzip", a);
	CHECK(strcmp(a, "data%base.ufs.uzip") == 0);
	image_overlay_name("/a%b", a);
	image_overlay_name("/a/b", b);
	CHECK(strcmp(a, b) != 0);
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	image_overlay_name(path, a);
	path[1000] = 'y';
	image_overlay_name(path, b);
	CHECK(strlen(a) < 200 && strcmp(a, b) != 0);
}

static void
layers_have_an_end(void)
{
	char name[8] = "l0", next[8];

	kit_begin();
	kit_ufs("l0", "deep");
	for (char c = '1'; c <= '8'; c++) {
		(void)snprintf(next, sizeof(next), "l%c", c);
		kit_uzip(next, name);
		memcpy(name, next, sizeof(name));
	}
	if (!opens(kit_path("l7")))
		return;
	CHECK_EQ(try_open(kit_path("l8"), 0), -EINVAL);
	CHECK(said("nested", "8"));
	done();
}

#define T(name) \
	{ \
#name, name \
	}
TESTS(T(the_longest_prefix_that_exists_is_the_host_file),
    T(a_host_file_that_is_not_there_is_named),
    T(a_raw_file_system_is_one_layer), T(a_uzip_is_told_by_content_not_by_name),
    T(a_gz_is_inflated_once_into_the_folder),
    T(a_gz_that_is_cut_leaves_nothing_behind),
    T(the_only_image_of_an_iso_needs_no_path),
    T(several_images_of_an_iso_are_listed),
    T(a_gzipped_file_system_counts_where_it_is_the_only_one),
    T(an_iso_without_rock_ridge_has_one_spelling_of_a_name),
    T(an_iso_with_nothing_to_edit_tells_what_it_holds),
    T(a_partition_is_chosen_by_name_or_by_being_the_only_one),
    T(a_uzip_in_a_partition_may_have_slack_behind_it),
    T(foreign_kinds_are_named_with_what_to_do),
    T(foreign_kinds_are_devices_unless_they_are_packed),
    T(every_kind_has_a_name), T(tiny_files_of_any_size_are_looked_at_safely),
    T(names_of_session_files_are_unambiguous), T(layers_have_an_end))
