/*
 * GPT.  The backup at the end counts where the primary header is damaged, or
 * missing although the MBR says there is a GPT.  Hybrid ISOs as FreeBSD makes
 * them have no backup at all (livecds.md 1b).
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "gpt.h"
#include "log.h"
#include "part_impl.h"

static const struct {
	const char *guid, *word;
} types[] = {
    {"516e7cb4-6ecf-11d6-8ff8-00022d09712b", "freebsd"},
    {"83bd6b9d-7f41-11dc-be0b-001560b84f0f", "freebsd-boot"},
    {"516e7cb6-6ecf-11d6-8ff8-00022d09712b", "freebsd-ufs"},
    {"516e7cb5-6ecf-11d6-8ff8-00022d09712b", "freebsd-swap"},
    {"516e7cba-6ecf-11d6-8ff8-00022d09712b", "freebsd-zfs"},
    {"516e7cb8-6ecf-11d6-8ff8-00022d09712b", "freebsd-vinum"},
    {"c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "efi"},
    {"21686148-6449-6e6f-744e-656564454649", "bios-boot"},
    {"ebd0a0a2-b9e5-4433-87c0-68b6b72699c7", "ms-basic-data"},
    {"0fc63daf-8483-4772-8e79-3d69d8477de4", "linux-data"},
    {"0657fd6d-a4ab-43c4-84e5-0933c84b4f4f", "linux-swap"},
    {"e6d6d379-f507-44c2-a23c-238f2a3df928", "linux-lvm"},
    {"48465300-0000-11aa-aa11-00306543ecac", "apple-hfs"},
    {"49f48d32-b10e-11dc-b99b-0019d1879648", "netbsd"},
    {"824cc7a0-36a8-11e3-890a-952519ad3f61", "openbsd"},
};

/* In words, or the GUID as text: three little-endian numbers, two big. */
static void
type_name(const uint8_t *g, char *out, size_t len)
{
	snprintf(out, len,
	    "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-"
	    "%02x%02x%02x%02x%02x%02x",
	    g[3], g[2], g[1], g[0], g[5], g[4], g[7], g[6], g[8], g[9], g[10],
	    g[11], g[12], g[13], g[14], g[15]);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strcmp(out, types[i].guid) == 0)
			snprintf(out, len, "%s", types[i].word);
}

static int
take_entry(struct blkdev *dev, const struct gpt *gpt, uint32_t i,
    struct part_table *table)
{
	const struct gpt_entry_disk *entry = gpt_entry(gpt, i);
	uint64_t first = le64_get(entry->first), last = le64_get(entry->last);
	struct part *part;

	if (first > last || last >= dev->size / gpt->sector) {
		log_error("GPT partition %u (sectors %" PRIu64 " to %" PRIu64
			  ", entry at byte %" PRIu64
			  ") lies outside the device",
		    i + 1, first, last,
		    gpt->entries_at + (uint64_t)i * gpt->entry_size);
		return -ECORRUPT;
	}
	part = part_add(table);
	if (part == NULL)
		return 0;
	snprintf(part->name, sizeof(part->name), "p%u", i + 1);
	snprintf(part->scheme, sizeof(part->scheme), "gpt");
	type_name(entry->type, part->type, sizeof(part->type));
	gpt_entry_name(entry, part->label, sizeof(part->label));
	part->off = first * gpt->sector;
	part->len = (last - first + 1) * gpt->sector;
	return 0;
}

static int
take_entries(struct blkdev *dev, struct gpt *gpt, struct part_table *table)
{
	int rc = 1;

	for (uint32_t i = 0; i < gpt->nentries && rc > 0; i++)
		if (gpt_entry_used(gpt_entry(gpt, i)) &&
		    take_entry(dev, gpt, i, table) < 0)
			rc = -ECORRUPT;
	gpt_release(gpt);
	return rc;
}

/* As gpt_read, of the backup in the last sector. */
static int
read_backup(struct blkdev *dev, uint32_t sector, struct gpt *gpt)
{
	uint64_t n = dev->size / sector;
	const char *fault;
	int rc;

	if (n < 3)
		return 0;
	rc = gpt_read(dev, sector, (n - 1) * sector, gpt, &fault);
	return rc == -ECORRUPT ? 0 : rc;
}

static int
read_with_sectors(
    struct blkdev *dev, uint32_t sector, bool expected, struct gpt *gpt)
{
	const char *fault;
	int rc = gpt_read(dev, sector, sector, gpt, &fault), found;

	if (rc == 1 || (rc == 0 && !expected) || (rc < 0 && rc != -ECORRUPT))
		return rc;
	found = read_backup(dev, sector, gpt);
	if (found < 0 || (found == 0 && rc == 0))
		return found;
	if (found == 0) {
		log_error("the GPT at byte %u is damaged: %s; there is no "
			  "backup at the end",
		    sector, fault);
		return -ECORRUPT;
	}
	log_warn("the GPT at byte %u is %s; using its backup", sector,
	    rc == 0 ? "missing" : "damaged");
	return 1;
}

int
part_gpt_read(struct blkdev *dev, struct part_table *table)
{
	static const uint32_t sectors[] = {512, 4096};
	int expected = part_mbr_is_protective(dev);

	if (expected < 0)
		return expected;
	for (size_t i = 0; i < sizeof(sectors) / sizeof(sectors[0]); i++) {
		struct gpt gpt;
		int rc = read_with_sectors(dev, sectors[i], expected, &gpt);

		if (rc < 0)
			return rc;
		if (rc == 1)
			return take_entries(dev, &gpt, table);
	}
	return 0;
}
