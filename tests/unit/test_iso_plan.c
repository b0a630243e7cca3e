/* Plans on a small ISO in memory: refusals, reasons, edges, faults. */
#include <sys/stat.h>

#include "../../imgfmt/gpt_format.h"
#include "blkdev_fault.h"
#include "iso_mini.h"

enum { NEXT = 25, CONTENT_END = 27 }; /* sectors */

/* The image has sectors 22 and 23; another file 25 and 26. */
static void
mini_with_image(struct mini *mini)
{
	mini_init(mini, true);
	memcpy(sector_of(mini, 17), sector_of(mini, 18), ISO_SECTOR);
	put_file(mini, "IMG.;1", "", 0)->size = both32(4000);
	put_file(mini, "NEXT.;1", "", 0)->extent = both32(NEXT);
	mini->last->size = both32(3000);
	memset(sector_of(mini, DATA), 'i', 4000);
	memset(sector_of(mini, NEXT), 'n', 3000);
}

static int
make_plan(const struct mini *mini, struct blkdev **dev, struct iso **iso,
    struct iso_plan **plan)
{
	struct iso_node node;
	int rc;

	*iso = NULL;
	*plan = NULL;
	CHECK_EQ(mini_open(mini, dev, iso), 0);
	if (*iso == NULL)
		return -EIO;
	CHECK_EQ(iso_lookup(*iso, "img", &node), 0);
	rc = iso_plan_make(*iso, &node, plan);
	return rc;
}

/* Planning is refused with rc and text. */
static void
check_refused(const struct mini *mini, int want, const char *text)
{
	scoped(blkdev_closep) struct blkdev *dev = NULL;
	struct iso_plan *plan;
	struct iso *iso;

	CHECK_EQ(make_plan(mini, &dev, &iso, &plan), want);
	CHECK(strstr(last_error, text) != NULL);
	iso_plan_free(plan);
	iso_close(iso);
}

/* Moving is forbidden, because of text: the image goes last. */
static void
check_reason(const struct mini *mini, const char *text)
{
	scoped(blkdev_closep) struct blkdev *dev = NULL;
	const struct iso_plan_info *info;
	struct iso_plan *plan;
	struct iso *iso;

	CHECK_EQ(make_plan(mini, &dev, &iso, &plan), 0);
	if (plan == NULL)
		return;
	info = iso_plan_info(plan);
	CHECK(info->why_not != NULL && strstr(info->why_not, text) != NULL);
	if (info->why_not == NULL)
		printf("# no reason, want '%s'\n", text);
	CHECK_EQ(info->image_off, CONTENT_END * ISO_SECTOR);
	CHECK_EQ(info->wasted, 2 * ISO_SECTOR);
	iso_plan_free(plan);
	iso_close(iso);
}

static void
what_follows_moves_or_nothing_does(void)
{
	scoped(blkdev_closep) struct blkdev *dev = NULL;
	static struct mini mini;
	struct iso_plan *plan;
	struct iso *iso;

	mini_with_image(&mini);
	CHECK_EQ(make_plan(&mini, &dev, &iso, &plan), 0);
	CHECK_EQ(
	    iso_plan_info(plan)->image_off, (CONTENT_END - 2) * ISO_SECTOR);
	CHECK_EQ(iso_plan_info(plan)->moved, 3 * ISO_SECTOR);
	CHECK(iso_plan_info(plan)->why_not == NULL);
	iso_plan_free(plan);
	iso_close(iso);
	mini.last->size = both32(0);
	memset(sector_of(&mini, NEXT), 0, 3000);
	CHECK_EQ(make_plan(&mini, &dev, &iso, &plan), 0);
	CHECK_EQ(iso_plan_info(plan)->image_off, DATA * ISO_SECTOR);
	CHECK_EQ(iso_plan_info(plan)->moved, 0);
	iso_plan_free(plan);
	iso_close(iso);
}

static void
keep_warning(enum log_level level, const char *line)
{
	if (level == LOG_WARN_LEVEL)
		snprintf(last_error, sizeof(last_error), "%s", line);
}

static void
checksums_inside_are_warned_of(void)
{
	scoped(blkdev_closep) struct blkdev *dev = NULL;
	static struct mini mini;
	struct iso_plan *plan;
	struct iso *iso;

	log_set_sink(keep_warning);
	mini_with_image(&mini);
	memcpy(sector_of(&mini, 16) + 883, "ISO MD5SUM = 0", 14);
	CHECK_EQ(make_plan(&mini, &dev, &iso, &plan), 0);
	CHECK(strstr(last_error, "checksum of itself") != NULL);
	iso_plan_free(plan);
	iso_close(iso);
	memcpy(sector_of(&mini, 19), "libisofs_sb_checksum_tag_v1", 27);
	CHECK_EQ(make_plan(&mini, &dev, &iso, &plan), 0);
	CHECK(strstr(last_error, "checksums by xorriso") != NULL);
	iso_plan_free(plan);
	iso_close(iso);
	log_set_sink(keep_error);
}

static void
what_cannot_be_patched_is_refused(void)
{
	static struct mini mini;
	struct iso_record_disk *image;

	mini_with_image(&mini);
	image = mini.last;
	image->size = both32(MINI_SECTORS * ISO_SECTOR);
	check_refused(&mini, -ECORRUPT, "a file of 65536 bytes at byte 51200");
	mini_init(&mini, true);
	image = put_file(&mini, "IMG.;1", "", 0);
	image->size = both32(0);
	check_refused(&mini, -ENOTSUP, "is empty");
	image->size = both32(MINI_SECTORS * ISO_SECTOR);
	check_refused(&mini, -ENOTSUP, "lies outside the ISO");
	image->size = both32(100);
	image->unit = 1;
	check_refused(&mini, -ENOTSUP, "is not in one piece");
	image->unit = 0;
	image->xattr_len = 1;
	check_refused(&mini, -ENOTSUP, "as a plain one");
	image->xattr_len = 0;
	image->flags = ISO_FLAG_DIRECTORY;
	check_refused(&mini, -EINVAL, "");
}

static void
content_outside_is_refused(void)
{
	struct iso_susp_ce_disk ce = {.head = {.sig = "CE", .len = 28},
	    .block = both32(MINI_SECTORS),
	    .len = both32(8)};
	struct iso_partdesc_disk part = {.type = ISO_DESC_PARTITION,
	    .id = "CD001",
	    .start = both32(MINI_SECTORS),
	    .size = both32(1)};
	static struct mini mini;
	struct iso_volume_disk *vol = (void *)sector_of(&mini, 16);

	mini_with_image(&mini);
	vol->path_be_copy = be32_set(MINI_SECTORS);
	vol->path_size = both32(10);
	check_refused(&mini, -ECORRUPT, "a path table of 10 bytes");
	mini_with_image(&mini);
	memcpy(sector_of(&mini, 17), &part, sizeof(part));
	check_refused(&mini, -ECORRUPT, "a volume partition");
	mini_with_image(&mini);
	put_file(&mini, "B.;1", "", 0)->flags = ISO_FLAG_DIRECTORY;
	mini.last->size = both32(MINI_SECTORS * ISO_SECTOR);
	check_refused(&mini, -ECORRUPT, "longer than the image");
	mini_with_image(&mini);
	put_file(&mini, "ZZ.;1", (char *)&ce, sizeof(ce));
	mini.last->flags = ISO_FLAG_ASSOCIATED;
	check_refused(&mini, -ECORRUPT, "continuation area");
}

static void
put_slice(struct mini *mini, uint8_t type, uint32_t first, uint32_t end)
{
	struct mbr_entry_disk entry = {.type = type,
	    .start = le32_set(first),
	    .sectors = le32_set(end - first)};

	memcpy(mini->bytes + MBR_ENTRIES_AT, &entry, sizeof(entry));
	memcpy(mini->bytes + MBR_SIG_AT, "\x55\xaa", 2);
}

static void
foreign_structures_forbid_moving(void)
{
	static struct mini mini;

	mini_with_image(&mini);
	memcpy(mini.bytes + 512, "PM", 2);
	check_reason(&mini, "Apple partition map");
	mini_with_image(&mini);
	memcpy(mini.bytes + 2048, "PM", 2);
	check_reason(&mini, "Apple partition map");
	mini_with_image(&mini);
	memcpy(mini.bytes + 1024, "H+", 2);
	check_reason(&mini, "HFS file system");
	mini_with_image(&mini);
	memcpy(mini.bytes + 508, "\xda\xbe", 2);
	check_reason(&mini, "Sun disk label");
	mini_with_image(&mini);
	mini.bytes[100] = 1;
	check_reason(&mini, "boot block of unknown kind");
	mini_with_image(&mini);
	memcpy(sector_of(&mini, 19), "\0NSR02", 6);
	check_reason(&mini, "UDF");
	mini_with_image(&mini);
	memcpy(sector_of(&mini, 17), "\0CD001\1OTHER", 12);
	check_reason(&mini, "boot records of unknown kind");
	mini_with_image(&mini);
	memcpy(mini.bytes + 512, "EFI PART", 8);
	check_reason(&mini, "damaged GPT");
}

static void
partitions_that_cut_the_image_forbid_moving(void)
{
	static struct mini mini;

	mini_with_image(&mini);
	put_slice(&mini, 0xaf, 64, 80);
	check_reason(&mini, "HFS partition");
	mini_with_image(&mini);
	put_slice(&mini, 0x83, DATA * 4, CONTENT_END * 4);
	check_reason(&mini, "a partition begins in it");
	mini_with_image(&mini);
	put_slice(&mini, 0x83, 64, DATA * 4 + 1);
	check_reason(&mini, "a partition ends in it");
	mini_with_image(&mini);
	put_slice(&mini, 0x83, 64, NEXT * 4);
	check_reason(&mini, "a partition ends between");
}

static void
shared_bytes_forbid_even_staying(void)
{
	static struct mini mini;

	mini_with_image(&mini);
	put_file(&mini, "OTHER.;1", "", 0)->extent = both32(DATA + 1);
	check_reason(&mini, "shares its bytes");
	mini_with_image(&mini);
	memset(sector_of(&mini, 17), 0, ISO_SECTOR);
	memcpy(sector_of(&mini, 17), "\0CD001\1EL TORITO SPECIFICATION", 30);
	sector_of(&mini, 17)[0x47] = CATALOG;
	check_reason(&mini, "shares its bytes");
}

/* Carry the plan out with an image of len bytes 'x'. */
static int
carry_out(struct iso_plan *plan, struct blkdev *out, uint64_t len)
{
	uint64_t off = iso_plan_info(plan)->image_off;
	int rc = iso_plan_copy(plan, out);

	if (rc == 0)
		rc = blkdev_resize(out, off + len);
	for (uint64_t i = 0; i < len && rc == 0; i++)
		rc = blkdev_write(out, off + i, "x", 1);
	return rc == 0 ? iso_plan_finish(plan, out, len) : rc;
}

static void
empty_files_keep_to_their_place(void)
{
	scoped(blkdev_closep) struct blkdev *dev = NULL;
	scoped(blkdev_closep) struct blkdev *out = NULL;
	static struct mini mini;
	struct iso_node node;
	struct iso_plan *plan;
	struct iso *iso;

	mini_with_image(&mini);
	put_file(&mini, "E1.;1", "", 0)->size = both32(0);
	put_file(&mini, "E2.;1", "", 0)->size = both32(0);
	mini.last->extent = both32(NEXT);
	put_file(&mini, "E3.;1", "", 0)->size = both32(0);
	mini.last->extent = both32(0xffffffff);
	CHECK_EQ(make_plan(&mini, &dev, &iso, &plan), 0);
	CHECK_EQ(blkdev_mem_open(0, &out), 0);
	CHECK_EQ(carry_out(plan, out, 5000), 0);
	CHECK_EQ(out->size, (MINI_SECTORS + 1) * ISO_SECTOR);
	iso_plan_free(plan);
	iso_close(iso);
	CHECK_EQ(iso_open(out, &iso), 0);
	CHECK_EQ(iso_lookup(iso, "e1", &node), 0);
	CHECK_EQ(node.off, (CONTENT_END - 2) * ISO_SECTOR);
	CHECK_EQ(iso_lookup(iso, "e2", &node), 0);
	CHECK_EQ(node.off, (NEXT - 2) * ISO_SECTOR);
	CHECK_EQ(iso_lookup(iso, "e3", &node), 0);
	CHECK_EQ(node.off, 0xffffffffULL * ISO_SECTOR);
	CHECK_EQ(iso_check(iso), 0);
	iso_close(iso);
}

static void
too_large_an_image_is_refused(void)
{
	scoped(blkdev_closep) struct blkdev *dev = NULL;
	scoped(blkdev_closep) struct blkdev *out = NULL;
	static struct mini mini;
	struct iso_plan *plan;
	struct iso *iso;

	mini_with_image(&mini);
	CHECK_EQ(make_plan(&mini, &dev, &iso, &plan), 0);
	CHECK_EQ(blkdev_mem_open(0, &out), 0);
	CHECK_EQ(iso_plan_copy(plan, out), 0);
	CHECK_EQ(iso_plan_finish(plan, out, 1ULL << 32), -EFBIG);
	CHECK(strstr(last_error, "below 4 GiB") != NULL);
	CHECK_EQ(iso_plan_finish(plan, out, 5000), -EINVAL);
	iso_plan_free(plan);
	iso_close(iso);
}

static void
an_iso_cut_in_its_last_sector_stays_so(void)
{
	scoped(blkdev_closep) struct blkdev *dev = NULL;
	scoped(blkdev_closep) struct blkdev *out = NULL;
	static struct mini mini;
	struct iso_node node;
	struct iso_plan *plan;
	struct iso *iso;
	uint64_t size = DATA * ISO_SECTOR + 4000;

	mini_with_image(&mini);
	mini.last->len = 0; /* no other file */
	((struct iso_volume_disk *)(void *)sector_of(&mini, 16))->size =
	    both32(DATA + 2);
	CHECK_EQ(blkdev_mem_open(size, &dev), 0);
	CHECK_EQ(blkdev_write(dev, 0, mini.bytes, size), 0);
	CHECK_EQ(iso_open(dev, &iso), 0);
	CHECK_EQ(iso_lookup(iso, "img", &node), 0);
	CHECK_EQ(iso_plan_make(iso, &node, &plan), 0);
	for (uint64_t len = 4000; len <= 5000; len += 1000) {
		CHECK_EQ(blkdev_mem_open(0, &out), 0);
		CHECK_EQ(carry_out(plan, out, len), 0);
		CHECK_EQ(
		    out->size, len == 4000 ? size : (DATA + 3) * ISO_SECTOR);
		if (len == 4000)
			blkdev_close(out);
	}
	iso_plan_free(plan);
	iso_close(iso);
}

/* Plan and carry out with the nth call on one of the devices failing. */
static bool
attempt(const struct mini *mini, unsigned nth, bool source)
{
	scoped(blkdev_closep) struct blkdev *in = NULL;
	scoped(blkdev_closep) struct blkdev *out = NULL;
	struct blkdev *mem = NULL;
	struct iso *iso = NULL;
	struct iso_plan *plan = NULL;
	struct iso_node node;
	unsigned calls;
	int rc;

	CHECK_EQ(blkdev_mem_open(sizeof(mini->bytes), &mem), 0);
	CHECK_EQ(blkdev_write(mem, 0, mini->bytes, sizeof(mini->bytes)), 0);
	CHECK_EQ(blkdev_fault_open(mem, &in), 0);
	CHECK_EQ(blkdev_mem_open(0, &mem), 0);
	CHECK_EQ(blkdev_fault_open(mem, &out), 0);
	blkdev_fault_arm(source ? in : out, FAULT_ALL, nth, -EIO, true);
	rc = iso_open(in, &iso);
	if (rc == 0)
		rc = iso_lookup(iso, "img", &node);
	if (rc == 0)
		rc = iso_plan_make(iso, &node, &plan);
	if (rc == 0)
		rc = carry_out(plan, out, 5000);
	calls = blkdev_fault_calls(source ? in : out, FAULT_ALL);
	CHECK_EQ(rc < 0, calls >= nth);
	iso_plan_free(plan);
	iso_close(iso);
	return rc < 0;
}

static void
every_failing_call_is_reported(void)
{
	static struct mini mini;
	unsigned n;

	mini_with_image(&mini);
	put_slice(&mini, 0x17, 0, MINI_SECTORS * 4);
	for (n = 1; n < 1000 && attempt(&mini, n, true); n++)
		;
	CHECK(n > 10 && n < 1000);
	/* The image is written byte by byte: only before and after it. */
	for (n = 1; n < 4; n++)
		CHECK(attempt(&mini, n, false));
	for (n = 5000; n < 6000 && attempt(&mini, n, false); n++)
		;
	CHECK(n > 5005 && n < 6000);
}

static void
random_damage_never_crashes(void)
{
	static struct mini mini, hurt;
	unsigned seed = 3;

	mini_with_image(&mini);
	put_slice(&mini, 0x17, 0, MINI_SECTORS * 4);
	for (int round = 0; round < 2000; round++) {
		scoped(blkdev_closep) struct blkdev *dev = NULL;
		scoped(blkdev_closep) struct blkdev *out = NULL;
		struct iso_plan *plan = NULL;
		struct iso *iso = NULL;
		struct iso_node node;

		hurt = mini;
		for (int i = 0; i < 3; i++) {
			unsigned sector = (unsigned)rand_r(&seed) % 6 + 15;

			sector = sector == 15 ? 0 : sector;
			hurt.bytes[sector * ISO_SECTOR +
			    (unsigned)rand_r(&seed) % 512] =
			    (uint8_t)rand_r(&seed);
		}
		CHECK_EQ(blkdev_mem_open(0, &out), 0);
		if (mini_open(&hurt, &dev, &iso) < 0)
			continue;
		if (iso_lookup(iso, "img", &node) == 0 &&
		    iso_plan_make(iso, &node, &plan) == 0)
			CHECK(carry_out(plan, out, 50) <= 0);
		iso_plan_free(plan);
		iso_close(iso);
	}
}

static void
start_keeping_errors(void)
{
	log_set_sink(keep_error);
}

TESTS({"messages are kept", start_keeping_errors},
    {"what follows moves or nothing does", what_follows_moves_or_nothing_does},
    {"checksums inside are warned of", checksums_inside_are_warned_of},
    {"what cannot be patched is refused", what_cannot_be_patched_is_refused},
    {"content outside is refused", content_outside_is_refused},
    {"foreign structures forbid moving", foreign_structures_forbid_moving},
    {"partitions that cut the image forbid moving",
	partitions_that_cut_the_image_forbid_moving},
    {"shared bytes forbid even staying", shared_bytes_forbid_even_staying},
    {"empty files keep to their place", empty_files_keep_to_their_place},
    {"too large an image is refused", too_large_an_image_is_refused},
    {"an ISO cut in its last sector stays so",
	an_iso_cut_in_its_last_sector_stays_so},
    {"every failing call is reported", every_failing_call_is_reported},
    {"random damage never crashes", random_damage_never_crashes})
