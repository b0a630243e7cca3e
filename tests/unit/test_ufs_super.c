/* Finding the superblock, opening, and what may be written. */
#include "check.h"

#include "ufs_lab.h"

/* Open for looking or for changing; closes again.  The error. */
static int
try_open(struct lab *lab, bool writable, struct ufs_info *info)
{
	struct ufs_options options = {.writable = writable};
	struct ufs *fs;
	int rc = ufs_open(blkdev_ref(lab->dev), &options, &fs);

	if (rc < 0) {
		blkdev_close(lab->dev);
		return rc;
	}
	if (info != NULL)
		ufs_info(fs, info);
	ufs_close(fs);
	return 0;
}

/* Write n little-endian bytes of value at off of the superblock. */
static void
patch(struct lab *lab, uint64_t off, uint64_t value, size_t n)
{
	uint8_t bytes[8];

	for (size_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)(value >> 8 * i);
	CHECK_EQ(blkdev_write(lab->dev, lab->sb.loc + off, bytes, n), 0);
}

/* Bring the superblock's hash in order again; it is to lie at home. */
static void
rehash(struct lab *lab, uint64_t home)
{
	uint8_t raw[UFS_SBLOCK_SIZE];
	struct ufs_super sb;

	CHECK_EQ(blkdev_read(lab->dev, lab->sb.loc, raw, sizeof(raw)), 0);
	CHECK_EQ(ufs_super_decode(raw, home, lab->dev->size, &sb), 0);
	ufs_super_encode(&sb, raw, home);
	CHECK_EQ(blkdev_write(lab->dev, lab->sb.loc, raw, sizeof(raw)), 0);
}

static void
time_is_what_the_environment_says(void)
{
	setenv("SOURCE_DATE_EPOCH", "1234567890", 1);
	CHECK_EQ(ufs_now().tv_sec, 1234567890);
	CHECK_EQ(ufs_now().tv_nsec, 0);

	struct ufs_node node = {.d.mtime.tv_sec = 1, .d.ctime.tv_sec = 1};

	ufs_touch(&node, UFS_TOUCH_C);
	CHECK_EQ(node.d.mtime.tv_sec, 1);
	CHECK_EQ(node.d.ctime.tv_sec, 1234567890);
	ufs_touch(&node, UFS_TOUCH_M);
	CHECK_EQ(node.d.mtime.tv_sec, 1234567890);
}

/* -- places
 * --------------------------------------------------------------------- */

/* A file system of 512 KiB has no backup in any of the places. */
static void
the_superblock_is_found_in_each_of_its_places(void)
{
	static const uint64_t places[] = {65536, 8192, 0, 262144};
	uint8_t raw[UFS_SBLOCK_SIZE], none[UFS_SBLOCK_SIZE] = {0};
	struct ufs_info info;

	for (int i = 0; i < 4; i++) {
		struct lab lab;

		lab_make(&lab, 2, false);
		patch(&lab, 1000, places[i], 8); /* fs_sblockloc */
		rehash(&lab, places[i]);
		CHECK_EQ(blkdev_read(lab.dev, lab.sb.loc, raw, sizeof(raw)), 0);
		CHECK_EQ(
		    blkdev_write(lab.dev, lab.sb.loc, none, sizeof(none)), 0);
		CHECK_EQ(ufs_probe(lab.dev), 0);
		CHECK_EQ(try_open(&lab, false, NULL), -EINVAL);
		CHECK_EQ(blkdev_write(lab.dev, places[i], raw, sizeof(raw)), 0);
		CHECK_EQ(ufs_probe(lab.dev), 1);
		CHECK_EQ(try_open(&lab, false, &info), 0);
		CHECK_EQ(info.superblock_off, places[i]);
		CHECK_EQ(kit_lines, 0);
		lab_close(&lab);
	}
}

static void
the_backup_of_a_ufs1_with_large_blocks_is_not_preferred(void)
{
	struct ufs_mkfs how = {
	    .version = 1, .block_size = 65536, .frag_size = 65536, .time = 1};
	uint8_t raw[UFS_SBLOCK_SIZE];
	struct ufs_super sb;
	struct blkdev *dev;

	CHECK_EQ(blkdev_mem_open(16 << 20, &dev), 0);
	CHECK_EQ(ufs_mkfs(dev, &how), 0);
	CHECK_EQ(blkdev_read(dev, 65536, raw, sizeof(raw)), 0);
	CHECK(memcmp(raw + UFS_MAGIC_OFF, "\x54\x19\1\0", 4) == 0);
	CHECK_EQ(ufs_super_read(dev, raw, &sb), 0);
	CHECK_EQ(sb.loc, 8192);
	blkdev_close(dev);
}

static void
a_damaged_superblock_does_not_hide_a_sound_one(void)
{
	uint8_t raw[UFS_SBLOCK_SIZE];
	struct ufs_info info;
	struct lab lab;

	lab_make(&lab, 2, false);
	CHECK_EQ(blkdev_read(lab.dev, 65536, raw, sizeof(raw)), 0);
	patch(&lab, 48, 7, 4); /* fs_bsize */
	CHECK_EQ(try_open(&lab, false, NULL), -ECORRUPT);
	CHECK(kit_said("superblock at byte 65536: \"fs_bsize\""));
	raw[1001] = 0x20; /* fs_sblockloc 8192 */
	raw[1002] = 0;
	CHECK_EQ(blkdev_write(lab.dev, 8192, raw, sizeof(raw)), 0);
	CHECK_EQ(try_open(&lab, false, &info), 0);
	CHECK_EQ(info.superblock_off, 8192);
	lab_close(&lab);
}

static void
what_is_too_small_for_a_superblock_has_none(void)
{
	static const uint64_t sizes[] = {0, 1, 8191, 8192, 16384, 70000};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct ufs_options options = {0};
		struct blkdev *dev;
		struct ufs *fs;

		CHECK_EQ(blkdev_mem_open(sizes[i], &dev), 0);
		CHECK_EQ(ufs_probe(dev), 0);
		CHECK_EQ(ufs_open(dev, &options, &fs), -EINVAL);
		blkdev_close(dev);
	}
}

/* -- opening
 * --------------------------------------------------------------------- */

static void
opening_reads_the_superblock_and_nothing_else(void)
{
	struct ufs_attr attr;
	unsigned before;
	struct lab lab;

	lab_make(&lab, 2, false);
	before = blkdev_fault_calls(lab.dev, FAULT_READ);
	lab_open(&lab);
	CHECK_EQ(blkdev_fault_calls(lab.dev, FAULT_READ) - before, 1);
	/* The root: its group's head and the inode. */
	CHECK_EQ(ufs_getattr(lab.fs, UFS_ROOT, &attr), 0);
	CHECK_EQ(blkdev_fault_calls(lab.dev, FAULT_READ) - before, 3);
	CHECK_EQ(ufs_getattr(lab.fs, UFS_ROOT, &attr), 0);
	CHECK_EQ(blkdev_fault_calls(lab.dev, FAULT_READ) - before, 3);
	lab_close(&lab);
}

static void
the_facts_of_a_file_system_add_up(void)
{
	struct ufs_mkfs how = {.version = 2,
	    .block_size = 8192,
	    .frag_size = 1024,
	    .minfree = 10,
	    .label = "LIVE",
	    .time = 1000000000};
	struct ufs_options options = {.writable = true, .size_limit = 20 << 20};
	struct ufs_info info;
	struct blkdev *dev;
	struct ufs *fs;

	CHECK_EQ(blkdev_mem_open(8 << 20, &dev), 0);
	CHECK_EQ(ufs_mkfs(dev, &how), 0);
	CHECK_EQ(ufs_open(dev, &options, &fs), 0);
	ufs_info(fs, &info);
	CHECK_EQ(info.version, 2);
	CHECK_EQ(info.block_size, 8192);
	CHECK_EQ(info.frag_size, 1024);
	CHECK_EQ(info.size, 8 << 20);
	CHECK_EQ(info.growable, 12 << 20);
	CHECK_EQ(info.directories, 1);
	/* The root holds inode 2 and one fragment; 0 and 1 do not count. */
	CHECK_EQ(info.inodes - info.free_inodes, 1);
	CHECK_EQ(info.data - info.free, 1024);
	CHECK_EQ(info.avail,
	    (info.free / 1024 - info.data / 1024 * 10 / 100) * 1024);
	CHECK(strcmp(info.label, "LIVE") == 0);
	CHECK(info.clean && !info.suj && !info.softdep && !info.snapshots);
	CHECK_EQ(info.minfree, 10);
	CHECK_EQ(info.time, 1000000000);
	CHECK_EQ(info.superblock_off, 65536);
	CHECK(info.read_only_why == NULL);
	ufs_close(fs);
}

static void
a_wrong_superblock_hash_is_warned_of_and_forbids_writing(void)
{
	struct ufs_info info;
	struct lab lab;

	lab_make(&lab, 2, false);
	patch(&lab, 700, 'x', 1);
	CHECK_EQ(try_open(&lab, false, &info), 0);
	CHECK(kit_said("the check hash is wrong"));
	CHECK(strstr(info.read_only_why, "hash") != NULL);
	CHECK_EQ(try_open(&lab, true, NULL), -EROFS);
	CHECK_EQ(kit_lines, 2);
	rehash(&lab, lab.sb.loc);
	CHECK_EQ(try_open(&lab, true, &info), 0);
	CHECK(info.read_only_why == NULL);
	lab_close(&lab);
}

static void
every_reason_not_to_write_is_told(void)
{
	static const struct {
		int version;
		uint64_t off, value;
		size_t n;
		const char *why;
	} cases[] = {
	    {2, 209, 0, 1, "not cleanly unmounted"},
	    {1, 209, 0, 1, "not cleanly unmounted"},
	    {1, 209, 2, 1, "not cleanly unmounted"},
	    {2, 1312, 0x201, 4, "not cleanly unmounted"},
	    {2, 1312, 0x204, 4, "not cleanly unmounted"},
	    {2, 1116, 24, 4, "snapshots"},
	    {2, 1312, 0x01000200, 4, "flags that are not known"},
	    {2, 1308, 0xf, 4, "hashes that are not known"},
	    {1, 1312, 0x200, 4, NULL}, /* without any hash it means nothing */
	    {1, 180, 16, 4, "before FreeBSD 5"},
	    {1, 1320, 0, 4, "before FreeBSD 5"},
	    {1, 12, 25, 4, "not one of newfs"}, /* fs_cblkno */
	    {2, 1312, 0x20a, 4, NULL},          /* SU+J, clean */
	    {2, 1312, 0x212, 4, NULL},          /* ACLs */
	    {1, 860, 0, 4, NULL},               /* not yet upgraded */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ufs_info info;
		struct lab lab;

		lab_make(&lab, cases[i].version, false);
		patch(&lab, cases[i].off, cases[i].value, cases[i].n);
		rehash(&lab, lab.sb.loc);
		kit_capture();
		CHECK_EQ(try_open(&lab, false, &info), 0);
		CHECK_EQ(kit_lines, 0);
		CHECK_EQ(info.read_only_why != NULL, cases[i].why != NULL);
		CHECK_EQ(try_open(&lab, true, NULL),
		    cases[i].why != NULL ? -EROFS : 0);
		if (cases[i].why != NULL)
			CHECK(kit_said(cases[i].why));
		lab_close(&lab);
	}
}

static void
a_device_that_cannot_be_written_is_said(void)
{
	struct lab lab;

	lab_make(&lab, 2, false);
	lab.dev->writable = false;
	CHECK_EQ(try_open(&lab, true, NULL), -EROFS);
	CHECK(kit_said("the device cannot be written"));
	CHECK_EQ(try_open(&lab, false, NULL), 0);
	lab_close(&lab);
}

#define T(name) \
	{ \
#name, name \
	}
TESTS(T(time_is_what_the_environment_says),
    T(the_superblock_is_found_in_each_of_its_places),
    T(the_backup_of_a_ufs1_with_large_blocks_is_not_preferred),
    T(a_damaged_superblock_does_not_hide_a_sound_one),
    T(what_is_too_small_for_a_superblock_has_none),
    T(opening_reads_the_superblock_and_nothing_else),
    T(the_facts_of_a_file_system_add_up),
    T(a_wrong_superblock_hash_is_warned_of_and_forbids_writing),
    T(every_reason_not_to_write_is_told),
    T(a_device_that_cannot_be_written_is_said))
