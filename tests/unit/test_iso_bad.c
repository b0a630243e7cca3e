/* The reader of ISOs on damaged bytes, one test for each of its checks. */
#include <sys/stat.h>

#include "iso_mini.h"

static int
count_node(void *arg, const struct iso_node *node)
{
	(void)node;
	++*(unsigned *)arg;
	return 0;
}

/* Opening fails with ECORRUPT and one line that holds text. */
static void
check_open_says(const struct mini *mini, const char *text)
{
	scoped(blkdev_closep) struct blkdev *dev = NULL;
	struct iso *iso;

	CHECK_EQ(mini_open(mini, &dev, &iso), -ECORRUPT);
	CHECK_EQ(log_errors, 1);
	CHECK(strstr(last_error, text) != NULL);
}

/* Opening works; listing the root gives want. */
static void
check_list_is(const struct mini *mini, int want, const char *text)
{
	scoped(blkdev_closep) struct blkdev *dev = NULL;
	struct iso_node root;
	struct iso *iso = NULL;
	unsigned n = 0;

	CHECK_EQ(mini_open(mini, &dev, &iso), 0);
	if (iso == NULL)
		return;
	CHECK_EQ(iso_root(iso, &root), 0);
	CHECK_EQ(iso_list(iso, &root, count_node, &n), want);
	CHECK(strstr(last_error, text) != NULL);
	iso_close(iso);
}

static void
what_is_no_iso_is_not_probed(void)
{
	scoped(blkdev_closep) struct blkdev *dev = NULL;
	static struct mini mini;

	CHECK_EQ(blkdev_mem_open(32768, &dev), 0);
	CHECK_EQ(iso_probe(dev), 0);
	mini_init(&mini, true);
	sector_of(&mini, 16)[3] = 'x';
	check_open_says(&mini, "no primary volume descriptor at byte 32768");
}

static void
damaged_descriptors_are_refused(void)
{
	static struct mini mini;
	struct iso_volume_disk *vol = (void *)sector_of(&mini, 16);

	mini_init(&mini, true);
	vol->block_size.le = le16_set(512);
	check_open_says(&mini, "blocks of 512 bytes");
	mini_init(&mini, true);
	vol->root.extent = both32(MINI_SECTORS);
	check_open_says(&mini, "root directory of the volume descriptor");
	mini_init(&mini, true);
	vol->root.size = both32(0xffffffff);
	check_open_says(&mini, "root directory of the volume descriptor");
	mini_init(&mini, true);
	vol->root.size = both32(0);
	check_open_says(&mini, "root directory of the volume descriptor");
	mini_init(&mini, true);
	vol->root.len = 0;
	check_open_says(&mini, "root directory of the volume descriptor");
	mini_init(&mini, true);
	((struct iso_bootrec_disk *)(void *)sector_of(&mini, 17))->catalog =
	    le32_set(MINI_SECTORS);
	check_open_says(&mini, "boot catalog at byte 65536 lies outside");
}

static void
too_many_volume_descriptors_are_refused(void)
{
	static struct mini mini;
	uint8_t *sectors;

	mini_init(&mini, true);
	sectors = sector_of(&mini, 16);
	/* The directory moves up to make room. */
	memmove(sector_of(&mini, 31), sector_of(&mini, ROOT), ISO_SECTOR);
	((struct iso_volume_disk *)(void *)sectors)->root.extent = both32(31);
	for (int i = 1; i < 15; i++)
		memcpy(sectors + i * ISO_SECTOR, sectors, ISO_SECTOR);
	memcpy(sector_of(&mini, 31) - ISO_SECTOR,
	    "\xff"
	    "CD001",
	    6);
	check_list_is(&mini, 0, "");
}

static void
catalog_without_its_key_has_no_entries(void)
{
	scoped(blkdev_closep) struct blkdev *dev = NULL;
	static struct mini mini;
	struct iso *iso = NULL;

	mini_init(&mini, true);
	CHECK_EQ(mini_open(&mini, &dev, &iso), 0);
	CHECK_EQ(iso_info(iso)->nboot, 1);
	CHECK_EQ(iso_info(iso)->boot[0].off, DATA * 2048);
	CHECK_EQ(iso_info(iso)->boot[0].len, 2048);
	iso_close(iso);
	sector_of(&mini, CATALOG)[30] = 0;
	CHECK_EQ(mini_open(&mini, &dev, &iso), 0);
	CHECK_EQ(iso_info(iso)->nboot, 0);
	iso_close(iso);
}

static void
damaged_records_are_refused(void)
{
	static struct mini mini;

	mini_init(&mini, false);
	put_file(&mini, "A.;1", "", 0)->len = 20;
	check_list_is(&mini, -ECORRUPT, "is too short");
	mini_init(&mini, false);
	put_file(&mini, "A.;1", "", 0)->name_len = 60;
	check_list_is(&mini, -ECORRUPT, "is too short for its name");
	mini_init(&mini, false);
	put_file(&mini, "A.;1", "", 0)->name_len = 0;
	check_list_is(&mini, -ECORRUPT, "is too short for its name");
	mini_init(&mini, false);
	mini.root_used = ISO_SECTOR - 40;
	put_file(&mini, "A.;1", "", 0)->len = 60;
	/* What precedes it is a gap, which ends a sector. */
	check_list_is(&mini, 0, "");
	mini_init(&mini, false);
	while (mini.root_used < ISO_SECTOR - 44)
		put_file(&mini, "A.;1", "", 0);
	mini.last->len = 200;
	check_list_is(&mini, -ECORRUPT, "crosses the end of its sector");
}

static struct iso_node
node_named(const struct mini *mini, const char *name, int want)
{
	scoped(blkdev_closep) struct blkdev *dev = NULL;
	struct iso_node node = {.size = 0};
	struct iso *iso = NULL;

	CHECK_EQ(mini_open(mini, &dev, &iso), 0);
	if (iso == NULL)
		return node;
	CHECK_EQ(iso_lookup(iso, name, &node), want);
	iso_close(iso);
	return node;
}

static void
names_that_lead_out_are_made_harmless(void)
{
	static struct mini mini;

	mini_init(&mini, true);
	put_file(&mini, "A.;1", "NM\xd\1\0../../ev", 13);
	node_named(&mini, ".._.._ev", 0);
	mini_init(&mini, true);
	put_file(&mini, "A.;1", "NM\x7\1\0..", 7);
	node_named(&mini, "_.", 0);
	mini_init(&mini, false);
	put_file(&mini, "..;1", "", 0);
	node_named(&mini, "_", 0);
}

static void
plain_names_are_shown_as_freebsd_does(void)
{
	static struct mini mini;

	mini_init(&mini, false);
	put_file(&mini, "README.;1", "", 0);
	put_file(&mini, "A.B;12", "", 0);
	put_file(&mini, "x;y", "", 0);
	node_named(&mini, "readme", 0);
	node_named(&mini, "a.b", 0);
	node_named(&mini, "x;y", 0);
	node_named(&mini, "README", 0);
}

static void
continuation_areas_are_bounded(void)
{
	struct iso_susp_ce_disk ce = {
	    .head = {.sig = "CE", .len = 28, .version = 1},
	    .block = both32(CE),
	    .len = both32(28)};
	static struct mini mini;

	mini_init(&mini, true);
	put_file(&mini, "A.;1", (char *)&ce, sizeof(ce));
	memcpy(sector_of(&mini, CE), "NM\x9\1\0long", 9);
	node_named(&mini, "long", 0);
	memcpy(sector_of(&mini, CE), &ce, sizeof(ce)); /* loops */
	check_list_is(&mini, -ECORRUPT, "one of too many");
	ce.block = both32(MINI_SECTORS);
	mini_init(&mini, true);
	put_file(&mini, "A.;1", (char *)&ce, sizeof(ce));
	check_list_is(&mini, -ECORRUPT, "lies outside the image");
	ce.block = both32(1);
	ce.len = both32(ISO_SECTOR * 5);
	mini_init(&mini, true);
	put_file(&mini, "A.;1", (char *)&ce, sizeof(ce));
	check_list_is(&mini, -ECORRUPT, "too long");
}

static void
damaged_entries_end_their_area(void)
{
	static struct mini mini;
	struct iso_node node;

	/* Entries that are shorter than their kind demands say nothing. */
	mini_init(&mini, true);
	put_file(&mini, "A.;1", "NM\4\1PX\x8\1\0\0\0\0TF\5\1\2NM\6\1\0n", 24);
	node = node_named(&mini, "n", 0);
	CHECK_EQ(node.mode, S_IFREG | 0555);
	CHECK_EQ(node.mtime.tv_sec, 981173106);
	mini_init(&mini, true);
	put_file(&mini, "A.;1", "NM\xff\1\0nNM\6\1\0n", 12);
	node_named(&mini, "a", 0);
	mini_init(&mini, true);
	put_file(&mini, "A.;1", "NM\3\1NM\6\1\0n", 10);
	node_named(&mini, "a", 0);
}

static void
px_of_both_lengths_and_pn_are_read(void)
{
	struct {
		struct iso_susp_px_disk px;
		uint8_t serial[8];
		struct iso_susp_pn_disk pn;
	} su = {.px = {.head = {.sig = "PX", .len = 44, .version = 1},
		    .mode = both32(S_IFCHR | 0600),
		    .nlink = both32(3),
		    .uid = both32(4000000000),
		    .gid = both32(5)},
	    .pn = {.head = {.sig = "PN", .len = 20, .version = 1},
		.high = both32(7),
		.low = both32(300)}};
	static struct mini mini;
	struct iso_node node;

	mini_init(&mini, true);
	put_file(&mini, "A.;1", (char *)&su, sizeof(su));
	node = node_named(&mini, "a", 0);
	CHECK(S_ISCHR(node.mode));
	CHECK_EQ(node.uid, 4000000000);
	CHECK_EQ(node.nlink, 3);
	CHECK_EQ(node.rdev_major, 7);
	CHECK_EQ(node.rdev_minor, 300);
	mini_init(&mini, true);
	su.px.head.len = 36;
	put_file(&mini, "A.;1", (char *)&su, 36);
	CHECK_EQ(node_named(&mini, "a", 0).uid, 4000000000);
}

static void
long_dates_are_read(void)
{
	static struct mini mini;

	mini_init(&mini, true);
	put_file(&mini, "A.;1",
	    "TF\x27\1\x83"
	    "1999010101010100\4"
	    "2001020304050650\0",
	    39);
	CHECK_EQ(node_named(&mini, "a", 0).mtime.tv_sec, 981173106);
	CHECK_EQ(node_named(&mini, "a", 0).mtime.tv_nsec, 500000000);
	mini_init(&mini, true);
	put_file(&mini, "A.;1",
	    "TF\x16\1\x82"
	    "2001x20304050650\0",
	    22);
	CHECK_EQ(node_named(&mini, "a", 0).mtime.tv_sec, 0);
}

static void
relocated_directory_must_begin_like_one(void)
{
	struct iso_susp_link_disk cl = {
	    .head = {.sig = "CL", .len = 12, .version = 1},
	    .block = both32(CHILD)};
	struct iso_record_disk *rec;
	static struct mini mini;
	size_t used = 0;

	mini_init(&mini, true);
	put_file(&mini, "A.;1", (char *)&cl, sizeof(cl));
	check_list_is(&mini, -ECORRUPT, "does not begin like one");
	rec = put_record(sector_of(&mini, CHILD), &used, "\0", 1, "", 0);
	rec->size = both32(2048);
	CHECK(S_ISDIR(node_named(&mini, "a", 0).mode));
	CHECK_EQ(node_named(&mini, "a", 0).off, CHILD * 2048);
	cl.block = both32(0xffffffff);
	mini_init(&mini, true);
	put_file(&mini, "A.;1", (char *)&cl, sizeof(cl));
	check_list_is(&mini, -ECORRUPT, "does not begin like one");
}

static void
files_that_cannot_be_opened_are_named(void)
{
	scoped(blkdev_closep) struct blkdev *dev = NULL;
	static struct mini mini;
	struct blkdev *file;
	struct iso_node node;
	struct iso *iso = NULL;

	mini_init(&mini, false);
	put_file(&mini, "OUT.;1", "", 0)->size = both32(ISO_SECTOR * 16);
	put_file(&mini, "PARTS.;1", "", 0)->flags = ISO_FLAG_MORE;
	put_file(&mini, "PARTS.;1", "", 0);
	put_file(&mini, "GAPS.;1", "", 0)->unit = 1;
	put_file(&mini, "DIR", "", 0)->flags = ISO_FLAG_DIRECTORY;
	put_file(&mini, "ASSOC.;1", "", 0)->flags = ISO_FLAG_ASSOCIATED;
	put_file(&mini, "NIL.;1", "", 0)->size = both32(0);
	mini.last->extent = both32(0xfffffff0);
	CHECK_EQ(mini_open(&mini, &dev, &iso), 0);
	CHECK_EQ(iso_lookup(iso, "out", &node), 0);
	CHECK_EQ(iso_file_open(iso, &node, &file), -ECORRUPT);
	CHECK(strstr(last_error, "'out'") != NULL);
	CHECK_EQ(iso_lookup(iso, "parts", &node), 0);
	CHECK_EQ(node.size, 200);
	CHECK_EQ(iso_file_open(iso, &node, &file), -ENOTSUP);
	CHECK_EQ(iso_lookup(iso, "gaps", &node), 0);
	CHECK_EQ(iso_file_open(iso, &node, &file), -ENOTSUP);
	CHECK_EQ(iso_lookup(iso, "dir", &node), 0);
	CHECK_EQ(iso_file_open(iso, &node, &file), -EISDIR);
	CHECK_EQ(iso_lookup(iso, "assoc", &node), -ENOENT);
	CHECK_EQ(iso_lookup(iso, "nil", &node), 0);
	CHECK_EQ(iso_file_open(iso, &node, &file), 0);
	CHECK_EQ(file->size, 0);
	blkdev_close(file);
	iso_close(iso);
}

static void
symbolic_link_components_are_all_known(void)
{
	scoped(blkdev_closep) struct blkdev *dev = NULL;
	struct {
		struct iso_susp_px_disk px;
		char sl[64];
	} su = {.px = {.head = {.sig = "PX", .len = 36, .version = 1},
		    .mode = both32(S_IFLNK | 0777)}};
	static struct mini mini;
	struct iso_node node;
	struct iso *iso = NULL;
	char target[64];

	mini_init(&mini, true);
	memcpy(su.sl,
	    "SL\x14\1\0\x8\0\0\1a\2\0\4\0\1\2bc\0\1dSL\x9\1\0\x20\0\0\0", 29);
	su.sl[2] = 21;
	put_file(&mini, "A.;1", (char *)&su, 36 + 30);
	memcpy(su.sl, "SL\x8\1\0\0\x9z", 8);
	put_file(&mini, "B.;1", (char *)&su, 36 + 8);
	CHECK_EQ(mini_open(&mini, &dev, &iso), 0);
	CHECK_EQ(iso_lookup(iso, "a", &node), 0);
	CHECK_EQ(iso_readlink(iso, &node, target, sizeof(target)), 0);
	CHECK(strcmp(target, "/a/./../bcd/localhost/") == 0);
	CHECK_EQ(iso_lookup(iso, "b", &node), 0);
	CHECK_EQ(iso_readlink(iso, &node, target, sizeof(target)), -ECORRUPT);
	CHECK_EQ(iso_root(iso, &node), 0);
	CHECK_EQ(iso_readlink(iso, &node, target, sizeof(target)), -EINVAL);
	iso_close(iso);
}

static void
random_damage_never_crashes(void)
{
	struct iso_susp_ce_disk ce = {.head = {.sig = "CE", .len = 28},
	    .block = both32(CE),
	    .len = both32(200)};
	static struct mini mini, hurt;
	unsigned seed = 1;

	mini_init(&mini, true);
	put_file(&mini, "A.;1", (char *)&ce, sizeof(ce));
	memcpy(
	    sector_of(&mini, CE), "NM\x9\1\0longSL\xa\1\0\0\3abcTF\xc\1\2", 24);
	for (int round = 0; round < 2000; round++) {
		scoped(blkdev_closep) struct blkdev *dev = NULL;
		struct iso *iso = NULL;
		struct iso_node node;
		unsigned n = 0;

		hurt = mini;
		for (int i = 0; i < 4; i++) {
			size_t at =
			    (size_t)(16 + rand_r(&seed) % 9) * ISO_SECTOR +
			    (size_t)rand_r(&seed) % 256;

			hurt.bytes[at] = (uint8_t)rand_r(&seed);
		}
		if (mini_open(&hurt, &dev, &iso) < 0)
			continue;
		if (iso_root(iso, &node) == 0 &&
		    iso_list(iso, &node, count_node, &n) < 0)
			n = 0;
		iso_close(iso);
	}
}

static void
start_keeping_errors(void)
{
	log_set_sink(keep_error);
}

TESTS({"messages are kept", start_keeping_errors},
    {"what is no ISO is not probed", what_is_no_iso_is_not_probed},
    {"damaged descriptors are refused", damaged_descriptors_are_refused},
    {"many volume descriptors are read",
	too_many_volume_descriptors_are_refused},
    {"a catalog without its key has no entries",
	catalog_without_its_key_has_no_entries},
    {"damaged records are refused", damaged_records_are_refused},
    {"names that lead out are made harmless",
	names_that_lead_out_are_made_harmless},
    {"plain names are shown as FreeBSD does",
	plain_names_are_shown_as_freebsd_does},
    {"continuation areas are bounded", continuation_areas_are_bounded},
    {"damaged entries end their area", damaged_entries_end_their_area},
    {"PX of both lengths and PN are read", px_of_both_lengths_and_pn_are_read},
    {"long dates are read", long_dates_are_read},
    {"a relocated directory must begin like one",
	relocated_directory_must_begin_like_one},
    {"files that cannot be opened are named",
	files_that_cannot_be_opened_are_named},
    {"symbolic link components are all known",
	symbolic_link_components_are_all_known},
    {"random damage never crashes", random_damage_never_crashes})
