#include "../../imgfmt/part.h"

#include "../../imgfmt/gpt.h"
#include "check.h"
#include "iso_tools.h"

static struct part_table table;

static struct blkdev *
disk(uint64_t size)
{
	struct blkdev *dev = NULL;

	CHECK_EQ(blkdev_mem_open(size, &dev), 0);
	last_error[0] = '\0';
	return dev;
}

static void
put(struct blkdev *dev, uint64_t off, const void *buf, size_t len)
{
	CHECK_EQ(blkdev_write(dev, off, buf, len), 0);
}

static void
check_part(const char *name, const char *type, uint64_t off, uint64_t len)
{
	const struct part *part = part_find(&table, name);

	CHECK(part != NULL);
	if (part == NULL)
		return;
	CHECK(strcmp(part->type, type) == 0);
	CHECK_EQ(part->off, off);
	CHECK_EQ(part->len, len);
}

/* The table is refused, with text in the message. */
static void
check_refused(struct blkdev *dev, const char *text)
{
	CHECK_EQ(part_read(dev, &table), -ECORRUPT);
	CHECK(strstr(last_error, text) != NULL);
}

static void
put_mbr(struct blkdev *dev, uint64_t off, int i, uint8_t type, uint32_t start,
    uint32_t sectors)
{
	struct mbr_entry_disk entry = {.type = type,
	    .start = le32_set(start),
	    .sectors = le32_set(sectors)};

	put(dev, off + MBR_ENTRIES_AT + (uint64_t)i * sizeof(entry), &entry,
	    sizeof(entry));
	put(dev, off + MBR_SIG_AT, "\x55\xaa", 2);
}

static void
put_sum(uint8_t *raw, size_t len)
{
	uint16_t sum = 0;

	for (size_t i = 0; i < len; i += 2)
		sum ^= (uint16_t)(raw[i] | raw[i + 1] << 8);
	raw[136] ^= (uint8_t)sum;
	raw[137] ^= (uint8_t)(sum >> 8);
}

/* A label with a (UFS, 8 sectors at first) and c (all, from base). */
static void
put_label(struct blkdev *dev, uint64_t off, uint32_t base, uint32_t first)
{
	uint8_t raw[512] = {0};
	struct bsd_label_disk label = {.magic = le32_set(BSD_MAGIC),
	    .magic2 = le32_set(BSD_MAGIC),
	    .sector_size = le32_set(512),
	    .npartitions = le16_set(8)};
	struct bsd_partition_disk a = {
	    .size = le32_set(8), .offset = le32_set(first), .fstype = 7};
	struct bsd_partition_disk c = {
	    .size = le32_set(60), .offset = le32_set(base)};

	memcpy(raw, &label, sizeof(label));
	memcpy(raw + 148, &a, sizeof(a));
	memcpy(raw + 180, &c, sizeof(c));
	put_sum(raw, 148 + 8 * 16);
	put(dev, off + BSD_LABEL_AT, raw, sizeof(raw));
}

static void
put_gpt(struct blkdev *dev, uint32_t sector, uint64_t lba, uint64_t other,
    uint64_t entries)
{
	struct gpt_entry_disk list[4] = {0};
	struct gpt_header_disk head = {.sig = "EFI PART",
	    .size = le32_set(92),
	    .self = le64_set(lba),
	    .other = le64_set(other),
	    .entries = le64_set(entries),
	    .nentries = le32_set(4),
	    .entry_size = le32_set(128)};

	memcpy(list[1].type,
	    "\xb6\x7c\x6e\x51\xcf\x6e\xd6\x11\x8f\xf8\0\x02\x2d\x09\x71\x2b",
	    16);
	list[1].first = le64_set(10);
	list[1].last = le64_set(19);
	list[1].name[0] = le16_set('r');
	list[1].name[1] = le16_set(0xe9);
	head.entries_crc = le32_set(gpt_crc32(list, sizeof(list)));
	head.crc = le32_set(gpt_crc32(&head, 92));
	put(dev, entries * sector, list, sizeof(list));
	put(dev, lba * sector, &head, sizeof(head));
}

static void
an_empty_device_has_no_partitions(void)
{
	scoped(blkdev_closep) struct blkdev *none = disk(0);
	scoped(blkdev_closep) struct blkdev *zero = disk(1 << 20);

	CHECK_EQ(part_read(none, &table), 0);
	CHECK_EQ(table.n, 0);
	CHECK_EQ(part_read(zero, &table), 0);
	CHECK_EQ(table.n, 0);
	CHECK(part_find(&table, "") == NULL);
}

static void
gpt_of_both_sector_sizes_is_read(void)
{
	for (uint32_t sector = 512; sector <= 4096; sector *= 8) {
		scoped(blkdev_closep) struct blkdev *dev = disk(1 << 20);

		put_gpt(dev, sector, 1, 99, 2);
		CHECK_EQ(part_read(dev, &table), 0);
		CHECK_EQ(table.n, 1);
		check_part("p2", "freebsd-ufs", 10 * sector, 10 * sector);
		check_part(
		    "r\xc3\xa9", "freebsd-ufs", 10 * sector, 10 * sector);
	}
}

static void
sgdisk_gpt_is_read(void)
{
	scoped(blkdev_closep) struct blkdev *dev = NULL;

	scratch_need();
	if (!have("sgdisk"))
		SKIP("no sgdisk");
	CHECK_EQ(sh("truncate -s 8M g.img && sgdisk -a 1 -n 1:64:127 -t 1:a501 "
		    "-n 3:2048:4095 -t 3:ef00 -c 3:boot g.img >/dev/null"),
	    0);
	dev = open_scratch("g.img");
	CHECK_EQ(part_read(dev, &table), 0);
	CHECK_EQ(table.n, 2);
	check_part("p1", "freebsd-boot", 64 * 512, 64 * 512);
	check_part("boot", "efi", 1 << 20, 1 << 20);
	CHECK(strcmp(part_find(&table, "p3")->scheme, "gpt") == 0);
}

static void
hybrid_iso_shows_its_gpt(void)
{
	scoped(blkdev_closep) struct blkdev *dev = NULL;

	if (!have_fixture("iso/freebsd-hybrid.iso", "fb.iso"))
		SKIP("no fixtures");
	dev = open_scratch("fb.iso");
	CHECK_EQ(part_read(dev, &table), 0);
	CHECK_EQ(table.n, 2);
	check_part("p1", "freebsd-boot", 3 * 512, 24 * 512);
	check_part("p2", "efi", 80 * 512, 4096 * 512);
}

static void
backup_gpt_counts_when_the_primary_is_damaged(void)
{
	scoped(blkdev_closep) struct blkdev *dev = disk(512 * 100);
	uint8_t c = 1;

	put_gpt(dev, 512, 99, 1, 90);
	put_gpt(dev, 512, 1, 99, 2);
	put(dev, 512 + 60, &c, 1);
	CHECK_EQ(part_read(dev, &table), 0);
	check_part("p2", "freebsd-ufs", 5120, 5120);
	put(dev, 512, "xx", 2);
	CHECK_EQ(part_read(dev, &table), 0);
	CHECK_EQ(table.n, 0);
	put_mbr(dev, 0, 0, MBR_PROTECTIVE, 1, 99);
	CHECK_EQ(part_read(dev, &table), 0);
	check_part("p2", "freebsd-ufs", 5120, 5120);
}

/* Change len bytes of a good header, make its checksum right: refused. */
static void
check_header_refused(
    uint64_t at, const void *bytes, size_t len, const char *text)
{
	scoped(blkdev_closep) struct blkdev *dev = disk(512 * 100);
	struct gpt_header_disk head;

	put_gpt(dev, 512, 1, 99, 2);
	put(dev, 512 + at, bytes, len);
	CHECK_EQ(blkdev_read(dev, 512, &head, sizeof(head)), 0);
	head.crc = le32_set(0);
	head.crc = le32_set(gpt_crc32(&head, sizeof(head)));
	put(dev, 512, &head, sizeof(head));
	check_refused(dev, text);
}

static void
damaged_gpt_without_backup_is_refused(void)
{
	scoped(blkdev_closep) struct blkdev *dev = disk(512 * 100);

	put_gpt(dev, 512, 1, 99, 2);
	put(dev, 512 + 40, "x", 1);
	check_refused(dev, "its header has a wrong checksum");
	put_gpt(dev, 512, 1, 99, 2);
	put(dev, 1024 + 300, "x", 1);
	check_refused(dev, "its entries have a wrong checksum");
	check_header_refused(12, "\x5b", 1, "impossible length");
	check_header_refused(12, "\0\4", 2, "impossible length");
	check_header_refused(24, "\2", 1, "for another place");
	check_header_refused(80, "\1\4", 2, "impossible size or number");
	check_header_refused(84, "\x40", 1, "impossible size or number");
	check_header_refused(84, "\x81", 1, "impossible size or number");
	check_header_refused(84, "\0\0\1", 3, "impossible size or number");
	check_header_refused(72, "\x64", 1, "entries lie outside");
	check_header_refused(
	    72, "\0\0\0\0\0\0\0\x80", 8, "entries lie outside");
	put_gpt(dev, 512, 1, 99, 2);
}

static void
gpt_partition_outside_the_device_is_refused(void)
{
	scoped(blkdev_closep) struct blkdev *dev = disk(512 * 100);
	scoped(blkdev_closep) struct blkdev *small = disk(512 * 19);

	put_gpt(small, 512, 1, 18, 2);
	check_refused(small, "GPT partition 2");
	put_gpt(dev, 512, 1, 99, 2);
	CHECK_EQ(part_read(dev, &table), 0);
}

static void
mbr_with_logical_partitions_is_read(void)
{
	scoped(blkdev_closep) struct blkdev *dev = disk(512 * 200);

	put_mbr(dev, 0, 0, 0xef, 8, 8);
	put_mbr(dev, 0, 3, 0x0f, 100, 100);
	put_mbr(dev, 100 * 512, 0, 0x83, 2, 10);
	put_mbr(dev, 100 * 512, 1, 0x05, 50, 50);
	put_mbr(dev, 150 * 512, 0, 0x99, 1, 9);
	CHECK_EQ(part_read(dev, &table), 0);
	CHECK_EQ(table.n, 4);
	check_part("s1", "efi", 8 * 512, 8 * 512);
	check_part("s5", "linux-data", 102 * 512, 10 * 512);
	check_part("s6", "0x99", 151 * 512, 9 * 512);
	put_mbr(dev, 150 * 512, 1, 0x05, 0, 50);
	check_refused(dev, "too many or form a loop");
	put_mbr(dev, 150 * 512, 1, 0x05, 60, 10);
	check_refused(dev, "no table at sector 160");
}

static void
mbr_slice_outside_the_device_is_refused(void)
{
	scoped(blkdev_closep) struct blkdev *dev = disk(512 * 20);

	put_mbr(dev, 0, 1, 0xa5, 8, 13);
	check_refused(dev, "MBR slice 2");
	put_mbr(dev, 0, 1, 0xa5, 21, 1);
	check_refused(dev, "MBR slice 2");
}

static void
boot_sector_of_a_file_system_is_no_table(void)
{
	scoped(blkdev_closep) struct blkdev *dev = disk(512 * 20);
	char text[64];

	memset(text, 'm', sizeof(text));
	put(dev, MBR_ENTRIES_AT, text, sizeof(text));
	put(dev, MBR_SIG_AT, "\x55\xaa", 2);
	CHECK_EQ(part_read(dev, &table), 0);
	CHECK_EQ(table.n, 0);
}

static void
bsd_labels_count_from_slice_or_disk(void)
{
	scoped(blkdev_closep) struct blkdev *dev = disk(512 * 100);

	put_mbr(dev, 0, 1, 0xa5, 40, 60);
	put_label(dev, 40 * 512, 0, 16);
	CHECK_EQ(part_read(dev, &table), 0);
	CHECK_EQ(table.n, 2);
	check_part("s2", "freebsd", 40 * 512, 60 * 512);
	check_part("s2a", "freebsd-ufs", 56 * 512, 8 * 512);
	put_label(dev, 40 * 512, 40, 56);
	CHECK_EQ(part_read(dev, &table), 0);
	check_part("s2a", "freebsd-ufs", 56 * 512, 8 * 512);
	put_label(dev, 40 * 512, 40, 16); /* c absolute, a not */
	CHECK_EQ(part_read(dev, &table), 0);
	check_part("s2a", "freebsd-ufs", 56 * 512, 8 * 512);
}

static void
dedicated_disk_has_its_label_in_sector_one(void)
{
	scoped(blkdev_closep) struct blkdev *dev = disk(512 * 100);

	put_label(dev, 0, 0, 16);
	put_mbr(dev, 0, 3, 0xa5, 0, 50000); /* as boot1 has it */
	CHECK_EQ(part_read(dev, &table), 0);
	CHECK_EQ(table.n, 1);
	check_part("a", "freebsd-ufs", 16 * 512, 8 * 512);
	CHECK(strcmp(table.part[0].scheme, "bsd") == 0);
}

static void
damaged_labels_are_refused(void)
{
	scoped(blkdev_closep) struct blkdev *dev = disk(512 * 100);
	uint8_t raw[512];

	put_label(dev, 0, 0, 16);
	CHECK_EQ(blkdev_read(dev, 512, raw, sizeof(raw)), 0);
	put(dev, 512 + 148, "\x9", 1);
	check_refused(dev, "wrong checksum");
	put_label(dev, 0, 0, 16);
	put(dev, 512 + 138, "\x15", 1);
	check_refused(dev, "too many partitions");
	put_label(dev, 0, 0, 16);
	put(dev, 512 + 40, "\1", 1);
	check_refused(dev, "impossible sector size");
	put_label(dev, 0, 0, 93);
	check_refused(dev, "partition a of the BSD label at byte 512");
	put_label(dev, 0, 0, 92);
	CHECK_EQ(part_read(dev, &table), 0);
	put(dev, 512 + 132, "\0", 1); /* the second magic: no label */
	CHECK_EQ(part_read(dev, &table), 0);
	CHECK_EQ(table.n, 0);
}

static void
start_keeping_errors(void)
{
	log_set_sink(keep_error);
}

TESTS({"messages are kept", start_keeping_errors},
    {"an empty device has no partitions", an_empty_device_has_no_partitions},
    {"a GPT of both sector sizes is read", gpt_of_both_sector_sizes_is_read},
    {"sgdisk's GPT is read", sgdisk_gpt_is_read},
    {"a hybrid ISO shows its GPT", hybrid_iso_shows_its_gpt},
    {"the backup GPT counts when the primary is damaged",
	backup_gpt_counts_when_the_primary_is_damaged},
    {"a damaged GPT without backup is refused",
	damaged_gpt_without_backup_is_refused},
    {"a GPT partition outside the device is refused",
	gpt_partition_outside_the_device_is_refused},
    {"an MBR with logical partitions is read",
	mbr_with_logical_partitions_is_read},
    {"an MBR slice outside the device is refused",
	mbr_slice_outside_the_device_is_refused},
    {"the boot sector of a file system is no table",
	boot_sector_of_a_file_system_is_no_table},
    {"BSD labels count from slice or disk",
	bsd_labels_count_from_slice_or_disk},
    {"a dedicated disk has its label in sector one",
	dedicated_disk_has_its_label_in_sector_one},
    {"damaged labels are refused", damaged_labels_are_refused})
