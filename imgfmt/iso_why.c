/*
 * What on an ISO holds addresses that we cannot follow.  Nobody can know all
 * of it, so a system area of unknown kind counts as well.
 */
#include <string.h>

#include "iso_plan.h"
#include "log.h"

enum {
	LOOKED_AT = 4096,
	HFS_AT = 1024,
	SUN_MAGIC_AT = 508,
	UDF_SECTORS = 16,   /* after the last descriptor */
	MEDIA_SUM_AT = 883, /* in the primary descriptor */
};

static bool
has_apple_map(const uint8_t *area)
{
	return memcmp(area + 512, "PM", 2) == 0 ||
	    memcmp(area + 1024, "PM", 2) == 0 ||
	    memcmp(area + 2048, "PM", 2) == 0;
}

static bool
has_hfs(const struct iso_plan *plan, const uint8_t *area)
{
	const uint8_t *magic = area + HFS_AT;

	if (plan->area.gpt.nentries > 0)
		return false; /* its entries are there */
	return memcmp(magic, "BD", 2) == 0 || memcmp(magic, "H+", 2) == 0 ||
	    memcmp(magic, "HX", 2) == 0;
}

/* UDF begins with descriptors behind those of ISO 9660. */
static int
has_udf(const struct iso_plan *plan)
{
	const struct iso *iso = plan->iso;
	uint64_t at = iso->session + ISO_SYSTEM_SECTORS * ISO_SECTOR;
	unsigned others = 0;

	for (int i = 0; i < ISO_DESCRIPTORS_MAX && others < UDF_SECTORS; i++) {
		uint8_t id[6];
		int rc;

		if (!iso_inside(iso, at, sizeof(id)))
			break;
		rc = blkdev_read(iso->dev, at, id, sizeof(id));
		if (rc < 0)
			return rc;
		if (memcmp(id + 1, "NSR0", 4) == 0)
			return 1;
		others += memcmp(id + 1, "CD001", 5) != 0;
		at += ISO_SECTOR;
	}
	return 0;
}

int
iso_warn_of_sums(const struct iso_plan *plan)
{
	const struct iso *iso = plan->iso;
	uint64_t at = iso->trees[0].at;
	char text[16];

	if (!iso_inside(iso, at, ISO_SECTOR))
		return 0;
	if (blkdev_read(iso->dev, at + MEDIA_SUM_AT, text, sizeof(text)) < 0)
		return -EIO;
	if (memcmp(text, "ISO MD5SUM = ", 13) == 0)
		log_warn("the ISO holds a checksum of itself (for the media "
			 "check of installers), which will no longer match");
	for (int i = 0; i < ISO_DESCRIPTORS_MAX; i++, at += ISO_SECTOR) {
		if (!iso_inside(iso, at, ISO_SECTOR))
			break;
		if (blkdev_read(iso->dev, at, text, sizeof(text)) < 0)
			return -EIO;
		if (memcmp(text, "libisofs_sb_chec", 16) != 0)
			continue;
		log_warn("the ISO holds checksums by xorriso, which will no "
			 "longer match");
		break;
	}
	return 0;
}

static const char *
foreign_area(const struct iso_plan *plan, const uint8_t *area)
{
	if (has_apple_map(area))
		return "it has an Apple partition map";
	if (has_hfs(plan, area))
		return "it is an HFS file system too";
	if (area[SUN_MAGIC_AT] == 0xda && area[SUN_MAGIC_AT + 1] == 0xbe)
		return "it has a Sun disk label";
	if ((area[MBR_SIG_AT] != 0x55 || area[MBR_SIG_AT + 1] != 0xaa) &&
	    !bytes_are_zero(area, MBR_SECTOR))
		return "it has a boot block of unknown kind";
	return NULL;
}

const char *
iso_why_not(const struct iso_plan *plan, int *rc)
{
	uint8_t area[LOOKED_AT];
	const char *why;

	*rc = blkdev_read(plan->iso->dev, 0, area, sizeof(area));
	if (*rc < 0)
		return NULL;
	why = foreign_area(plan, area);
	if (why != NULL)
		return why;
	if (plan->several_sessions)
		return "it has several sessions";
	if (plan->iso->odd_bootrec || plan->iso->boot_more)
		return "it has boot records of unknown kind";
	*rc = has_udf(plan);
	if (*rc < 0)
		return NULL;
	if (*rc == 1) {
		*rc = 0;
		return "it is a UDF file system too";
	}
	return iso_area_why_not(plan);
}
