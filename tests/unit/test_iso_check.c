/* Checking: one damaged ISO for each fault it knows. */
#include "../../imgfmt/gpt.h"
#include "iso_mini.h"

/* Checking finds want faults, the last said with text. */
static void
check_finds(const struct mini *mini, int want, const char *text)
{
	scoped(blkdev_closep) struct blkdev *dev = NULL;
	struct iso *iso = NULL;

	CHECK_EQ(mini_open(mini, &dev, &iso), 0);
	if (iso == NULL)
		return;
	CHECK_EQ(iso_check(iso), want);
	CHECK_EQ(log_errors, want);
	CHECK(strstr(last_error, text) != NULL);
	if (strstr(last_error, text) == NULL)
		printf("# it says: %s\n", last_error);
	iso_close(iso);
}

static struct iso_volume_disk *
volume(struct mini *mini)
{
	return (void *)sector_of(mini, 16);
}

/* A directory at CHILD, and path tables at 25 and 26 that name it. */
static struct iso_record_disk *
put_child(struct mini *mini, const char *su, size_t su_len)
{
	static const uint8_t little[] = {1, 0, ROOT, 0, 0, 0, 1, 0, 0, 0, 1, 0,
	    CHILD, 0, 0, 0, 1, 0, 'D', 0};
	static const uint8_t big[] = {1, 0, 0, 0, 0, ROOT, 0, 1, 0, 0, 1, 0, 0,
	    0, 0, CHILD, 0, 1, 'D', 0};
	struct iso_record_disk *rec = put_file(mini, "D", su, su_len);
	size_t used = 0;

	rec->flags = ISO_FLAG_DIRECTORY;
	rec->extent = both32(CHILD);
	rec->size = both32(ISO_SECTOR);
	rec = put_record(sector_of(mini, CHILD), &used, "\0", 1, "", 0);
	rec->extent = both32(CHILD);
	rec->size = both32(ISO_SECTOR);
	rec = put_record(sector_of(mini, CHILD), &used, "\1", 1, "", 0);
	rec->extent = both32(ROOT);
	rec->size = both32(ISO_SECTOR);
	memcpy(sector_of(mini, 25), little, sizeof(little));
	memcpy(sector_of(mini, 26), big, sizeof(big));
	volume(mini)->path_le = le32_set(25);
	volume(mini)->path_be = be32_set(26);
	volume(mini)->path_size = both32(sizeof(little));
	return rec; /* the child's ".." */
}

static void
a_sound_one_has_no_fault(void)
{
	static struct mini mini;

	mini_init(&mini, true);
	put_file(&mini, "A.;1", "", 0);
	put_child(&mini, "", 0);
	check_finds(&mini, 0, "");
}

static void
descriptors_are_checked(void)
{
	static struct mini mini;

	mini_init(&mini, true);
	volume(&mini)->size.be = be32_set(1);
	check_finds(&mini, 1, "differ between their byte orders");
	mini_init(&mini, true);
	volume(&mini)->block_size.be = be16_set(1);
	check_finds(&mini, 1, "differ between their byte orders");
	mini_init(&mini, true);
	volume(&mini)->size = both32(MINI_SECTORS + 1);
	check_finds(&mini, 1, "33 sectors: more than the image has");
}

static void
records_are_checked(void)
{
	static struct mini mini;

	mini_init(&mini, true);
	put_file(&mini, "A.;1", "", 0)->extent.be = be32_set(1);
	check_finds(&mini, 1, "differ between their byte orders");
	mini_init(&mini, true);
	put_file(&mini, "A.;1", "", 0)->extent = both32(MINI_SECTORS);
	check_finds(&mini, 1, "lie outside the image");
	mini_init(&mini, true);
	put_file(&mini, "A.;1", "", 0)->len = 1;
	check_finds(&mini, 1, "too short");
}

static void
directories_begin_with_themselves(void)
{
	static struct mini mini;

	mini_init(&mini, true);
	put_child(&mini, "", 0);
	sector_of(&mini, CHILD)[2]++;
	sector_of(&mini, CHILD)[9]++;
	check_finds(&mini, 1, "does not begin with itself");
	mini_init(&mini, true);
	put_child(&mini, "", 0);
	sector_of(&mini, CHILD)[33] = 'x';
	check_finds(&mini, 1, "does not begin with itself");
	mini_init(&mini, true);
	put_child(&mini, "", 0)->extent = both32(DATA);
	check_finds(&mini, 1, "has none above it");
}

static void
path_tables_are_checked(void)
{
	static struct mini mini;

	mini_init(&mini, true);
	put_child(&mini, "", 0);
	sector_of(&mini, 25)[12]++;
	check_finds(&mini, 1, "names no directory");
	mini_init(&mini, true);
	put_child(&mini, "", 0);
	sector_of(&mini, 26)[17] = 3;
	check_finds(&mini, 1, "has no parent before it");
	mini_init(&mini, true);
	put_child(&mini, "", 0);
	sector_of(&mini, 26)[17] = 0;
	check_finds(&mini, 1, "has no parent before it");
	mini_init(&mini, true);
	put_child(&mini, "", 0);
	sector_of(&mini, 25)[10] = 200;
	check_finds(&mini, 1, "is cut short");
	mini_init(&mini, true);
	put_child(&mini, "", 0);
	volume(&mini)->path_size = both32(10);
	volume(&mini)->path_be = be32_set(0);
	check_finds(&mini, 1, "names 1 directories of 2");
	mini_init(&mini, true);
	put_child(&mini, "", 0);
	volume(&mini)->path_le_copy = le32_set(MINI_SECTORS);
	check_finds(&mini, 1, "lies outside the image or is too long");
	volume(&mini)->path_le_copy = le32_set(0);
	volume(&mini)->path_be_copy = be32_set(MINI_SECTORS);
	check_finds(&mini, 1, "lies outside the image or is too long");
}

static void
system_use_entries_are_checked(void)
{
	struct iso_susp_ce_disk ce = {.head = {.sig = "CE", .len = 28},
	    .block = both32(CE),
	    .len = both32(8)};
	struct iso_susp_link_disk cl = {
	    .head = {.sig = "CL", .len = 12}, .block = both32(DATA)};
	static struct mini mini;

	ce.offset.be = be32_set(1);
	mini_init(&mini, true);
	put_file(&mini, "A.;1", (char *)&ce, sizeof(ce));
	check_finds(&mini, 1, "the CE entry");
	mini_init(&mini, true);
	put_file(&mini, "A.;1", (char *)&cl, sizeof(cl));
	check_finds(&mini, 1, "points at no directory");
	cl.head.sig[0] = 'P';
	cl.block.be = be32_set(1);
	mini_init(&mini, true);
	put_file(&mini, "A.;1", (char *)&cl, sizeof(cl));
	check_finds(&mini, 1, "the PL entry");
}

static void
trees_that_never_end_are_faults(void)
{
	struct iso_susp_ce_disk ce = {.head = {.sig = "CE", .len = 28},
	    .block = both32(1),
	    .len = both32(4 * ISO_SECTOR)};
	static const char *const names[] = {"A", "B", "C", "D"};
	static struct mini mini;

	mini_init(&mini, true);
	for (unsigned i = 0; i < 4; i++) {
		put_file(&mini, names[i], "", 0)->flags = ISO_FLAG_DIRECTORY;
		mini.last->extent = both32(ROOT + 1 + i);
		mini.last->size = both32(ISO_SECTOR * 8);
	}
	check_finds(&mini, 1, "makes all directories longer");
	mini_init(&mini, true);
	for (unsigned i = 0; i < 9; i++)
		put_file(&mini, "A", (char *)&ce, sizeof(ce));
	check_finds(&mini, 1, "makes all continuations longer");
	/* A directory that holds itself. */
	mini_init(&mini, true);
	put_file(&mini, "A", "", 0)->flags = ISO_FLAG_DIRECTORY;
	mini.last->extent = both32(ROOT);
	mini.last->size = both32(ISO_SECTOR);
	check_finds(&mini, 1, "more than one place");
}

/* What iso_check_tree answers. */
static int
tree_of(const struct mini *mini)
{
	scoped(blkdev_closep) struct blkdev *dev = NULL;
	struct iso *iso = NULL;
	int rc;

	CHECK_EQ(mini_open(mini, &dev, &iso), 0);
	if (iso == NULL)
		return -EIO;
	rc = iso_check_tree(iso);
	CHECK_EQ(log_errors, rc < 0);
	iso_close(iso);
	return rc;
}

static void
directories_in_two_places_are_no_tree(void)
{
	struct iso_susp_link_disk cl = {
	    .head = {.sig = "CL", .len = 12}, .block = both32(CHILD)};
	static struct mini mini;

	mini_init(&mini, true);
	put_child(&mini, "", 0);
	CHECK_EQ(tree_of(&mini), 0);
	put_child(&mini, "", 0);
	CHECK_EQ(tree_of(&mini), -ECORRUPT);
	CHECK(strstr(last_error, "more than one place") != NULL);
	/* Relocated by makefs, and too often. */
	mini_init(&mini, true);
	put_child(&mini, "", 0);
	put_file(&mini, "A", (char *)&cl, sizeof(cl));
	CHECK_EQ(tree_of(&mini), 0);
	put_file(&mini, "B", (char *)&cl, sizeof(cl));
	CHECK_EQ(tree_of(&mini), -ECORRUPT);
	/* A CL back to the root. */
	cl.block = both32(ROOT);
	mini_init(&mini, true);
	put_file(&mini, "A", (char *)&cl, sizeof(cl));
	CHECK_EQ(tree_of(&mini), -ECORRUPT);
	CHECK(strstr(last_error, "inside itself") != NULL);
	cl.block = both32(CHILD);
	/* Relocated: the second record is not shown. */
	mini_init(&mini, true);
	put_child(&mini, "RE\4\1", 4);
	put_file(&mini, "A", (char *)&cl, sizeof(cl));
	CHECK_EQ(tree_of(&mini), 0);
	mini_init(&mini, true);
	put_file(&mini, "A", "", 0)->flags = ISO_FLAG_DIRECTORY;
	mini.last->extent = both32(ROOT);
	mini.last->size = both32(ISO_SECTOR);
	CHECK_EQ(tree_of(&mini), -ECORRUPT);
}

static void
boot_entries_are_checked(void)
{
	static struct mini mini;

	mini_init(&mini, true);
	sector_of(&mini, CATALOG)[28]++;
	check_finds(&mini, 1, "wrong checksum");
	mini_init(&mini, true);
	sector_of(&mini, CATALOG)[31]++;
	check_finds(&mini, 1, "does not begin like one");
	mini_init(&mini, true);
	sector_of(&mini, CATALOG)[40] = MINI_SECTORS;
	check_finds(&mini, 1, "boot entry 1");
}

/* A GPT at sector 1 with n partitions, its backup said to be at other. */
static struct gpt_header_disk
put_gpt_of(struct mini *mini, const struct gpt_entry_disk *entries, uint32_t n,
    uint64_t other)
{
	size_t len = n * sizeof(*entries);
	struct gpt_header_disk head = {.sig = "EFI PART",
	    .size = le32_set(92),
	    .self = le64_set(1),
	    .other = le64_set(other),
	    .last_usable = le64_set(120),
	    .entries = le64_set(2),
	    .nentries = le32_set(n),
	    .entry_size = le32_set(128)};

	memcpy(mini->bytes + 1024, entries, len);
	head.entries_crc = le32_set(gpt_crc32(entries, len));
	head.crc = le32_set(gpt_crc32(&head, sizeof(head)));
	memcpy(mini->bytes + 512, &head, sizeof(head));
	return head;
}

/* One with one partition. */
static struct gpt_header_disk
put_gpt(struct mini *mini, uint64_t last, uint64_t other)
{
	const struct gpt_entry_disk entry = {
	    .type = {1}, .first = le64_set(80), .last = le64_set(last)};

	return put_gpt_of(mini, &entry, 1, other);
}

static void
gpts_are_checked(void)
{
	static struct mini mini;
	struct gpt_header_disk head;

	mini_init(&mini, true);
	put_gpt(&mini, 90, 127);
	check_finds(&mini, 0, "");
	mini.bytes[512 + 40]++;
	check_finds(&mini, 1, "its header has a wrong checksum");
	put_gpt(&mini, 128, 127);
	check_finds(&mini, 1, "GPT partition 1");
	put_gpt(&mini, 79, 127);
	check_finds(&mini, 1, "GPT partition 1");
	put_gpt(&mini, 90, 128);
	check_finds(&mini, 1, "has its backup outside the image");
	head = put_gpt(&mini, 90, 127);
	memcpy(mini.bytes + 127 * 512, &head, sizeof(head));
	check_finds(&mini, 1, "written for another place");
	memset(mini.bytes + 127 * 512, 0, 512);
	head.last_usable = le64_set(128);
	head.crc = le32_set(0);
	head.crc = le32_set(gpt_crc32(&head, sizeof(head)));
	memcpy(mini.bytes + 512, &head, sizeof(head));
	check_finds(&mini, 1, "for a device of another size");
}

static void
partitions_overlap_where_the_gpt_counts(void)
{
	static struct mini mini;
	struct gpt_entry_disk entries[] = {
	    {.type = {1}, .first = le64_set(80), .last = le64_set(89)},
	    {.first = le64_set(80), .last = le64_set(90)}, /* unused */
	    {.type = {1}, .first = le64_set(90), .last = le64_set(99)}};
	struct mbr_entry_disk protective = {
	    .type = MBR_PROTECTIVE, .start = le32_set(1)};

	mini_init(&mini, true);
	memcpy(mini.bytes + MBR_ENTRIES_AT, &protective, sizeof(protective));
	put_gpt_of(&mini, entries, 3, 127);
	check_finds(&mini, 0, "");
	entries[2].first = le64_set(89);
	put_gpt_of(&mini, entries, 3, 127);
	check_finds(&mini, 1, "GPT partitions 1 and 3 overlap");
	/* isohybrid: firmware goes by the MBR */
	protective.type = 0x17;
	memcpy(mini.bytes + MBR_ENTRIES_AT, &protective, sizeof(protective));
	check_finds(&mini, 0, "");
}

static void
random_damage_never_crashes(void)
{
	static struct mini mini, hurt;
	unsigned seed = 2;

	mini_init(&mini, true);
	put_file(&mini, "A.;1", "NM\6\1\0n", 6);
	put_child(&mini, "", 0);
	put_gpt(&mini, 90, 127);
	for (int round = 0; round < 2000; round++) {
		scoped(blkdev_closep) struct blkdev *dev = NULL;
		struct iso *iso = NULL;

		hurt = mini;
		for (int i = 0; i < 4; i++)
			hurt.bytes[(16 + (unsigned)rand_r(&seed) % 11) *
				ISO_SECTOR +
			    (unsigned)rand_r(&seed) % 256] =
			    (uint8_t)rand_r(&seed);
		if (mini_open(&hurt, &dev, &iso) < 0)
			continue;
		CHECK(iso_check(iso) >= 0);
		iso_close(iso);
	}
}

static void
start_keeping_errors(void)
{
	log_set_sink(keep_error);
}

TESTS({"messages are kept", start_keeping_errors},
    {"a sound one has no fault", a_sound_one_has_no_fault},
    {"descriptors are checked", descriptors_are_checked},
    {"records are checked", records_are_checked},
    {"directories begin with themselves", directories_begin_with_themselves},
    {"path tables are checked", path_tables_are_checked},
    {"system use entries are checked", system_use_entries_are_checked},
    {"trees that never end are faults", trees_that_never_end_are_faults},
    {"directories in two places are no tree",
	directories_in_two_places_are_no_tree},
    {"boot entries are checked", boot_entries_are_checked},
    {"GPTs are checked", gpts_are_checked},
    {"partitions overlap where the GPT counts",
	partitions_overlap_where_the_gpt_counts},
    {"random damage never crashes", random_damage_never_crashes})
