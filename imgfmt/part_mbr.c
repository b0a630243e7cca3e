/*
 * MBR, with logical partitions.  Boot sectors of file systems end in the same
 * two bytes, so a table counts only where all four entries look like entries.
 * FreeBSD's boot1 carries a made-up entry that begins at sector 0 ("dangerously
 * dedicated": the disk has a BSD label instead); an entry that begins there
 * can be no slice, because the table is there.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "part_impl.h"

enum { LOGICAL_MAX = PART_MAX };

static const struct {
	uint8_t type;
	const char *word;
} types[] = {
    {0x01, "fat12"},
    {0x04, "fat16"},
    {0x06, "fat16"},
    {0x07, "ntfs"},
    {0x0b, "fat32"},
    {0x0c, "fat32"},
    {0x0e, "fat16"},
    {0x82, "linux-swap"},
    {0x83, "linux-data"},
    {0x8e, "linux-lvm"},
    {MBR_FREEBSD, "freebsd"},
    {0xa6, "openbsd"},
    {0xa9, "netbsd"},
    {0xaf, "apple-hfs"},
    {0xef, "efi"},
};

static bool
is_extended(const struct mbr_entry_disk *entry)
{
	return entry->type == 0x05 || entry->type == 0x0f ||
	    entry->type == 0x85;
}

static bool
is_used(const struct mbr_entry_disk *entry)
{
	return entry->type != 0 && le32_get(entry->sectors) != 0;
}

/* 1: a sector that ends like an MBR and whose entries look like entries. */
static int
read_table(
    struct blkdev *dev, uint64_t at, struct mbr_entry_disk entries[MBR_ENTRIES])
{
	uint8_t sector[MBR_SECTOR];
	int rc;

	if (at > dev->size || sizeof(sector) > dev->size - at)
		return 0;
	rc = blkdev_read(dev, at, sector, sizeof(sector));
	if (rc < 0)
		return rc;
	if (sector[MBR_SIG_AT] != 0x55 || sector[MBR_SIG_AT + 1] != 0xaa)
		return 0;
	memcpy(
	    entries, sector + MBR_ENTRIES_AT, MBR_ENTRIES * sizeof(entries[0]));
	for (int i = 0; i < MBR_ENTRIES; i++)
		if (entries[i].status & 0x7f)
			return 0;
	return 1;
}

/* Add the slice of that number, which the entry puts relative to base. */
static int
take_entry(struct blkdev *dev, const struct mbr_entry_disk *entry,
    uint64_t base, unsigned number, struct part_table *table)
{
	uint64_t start = base + le32_get(entry->start);
	uint64_t n = le32_get(entry->sectors), all = dev->size / MBR_SECTOR;
	struct part *part;

	if (start > all || n > all - start) {
		log_error("MBR slice %u (%" PRIu64 " sectors from %" PRIu64
			  ") lies outside the device",
		    number, n, start);
		return -ECORRUPT;
	}
	part = part_add(table);
	if (part == NULL)
		return 0;
	snprintf(part->name, sizeof(part->name), "s%u", number);
	snprintf(part->scheme, sizeof(part->scheme), "mbr");
	snprintf(part->type, sizeof(part->type), "0x%02x", entry->type);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (types[i].type == entry->type)
			snprintf(part->type, sizeof(part->type), "%s",
			    types[i].word);
	part->off = start * MBR_SECTOR;
	part->len = n * MBR_SECTOR;
	return 0;
}

/*
 * Logical partitions: a chain of tables, each with a partition relative to
 * itself and the next table relative to the first one.
 */
static int
read_logical(struct blkdev *dev, uint64_t first, struct part_table *table)
{
	struct mbr_entry_disk entries[MBR_ENTRIES];
	uint64_t here = first;

	for (unsigned number = 5; number < 5 + LOGICAL_MAX; number++) {
		int rc = read_table(dev, here * MBR_SECTOR, entries);

		if (rc == 0) {
			log_error("the extended MBR slice has no table at "
				  "sector %" PRIu64,
			    here);
			return -ECORRUPT;
		}
		if (rc > 0 && is_used(&entries[0]))
			rc = take_entry(dev, &entries[0], here, number, table);
		if (rc < 0)
			return rc;
		if (!is_used(&entries[1]))
			return 0;
		here = first + le32_get(entries[1].start);
	}
	log_error("the tables of the extended MBR slice at sector %" PRIu64
		  " are too many or form a loop",
	    first);
	return -ECORRUPT;
}

int
part_mbr_is_protective(struct blkdev *dev)
{
	struct mbr_entry_disk entries[MBR_ENTRIES];
	int rc = read_table(dev, 0, entries);

	if (rc <= 0)
		return rc;
	for (int i = 0; i < MBR_ENTRIES; i++)
		if (entries[i].type == MBR_PROTECTIVE)
			return 1;
	return 0;
}

int
part_mbr_read(struct blkdev *dev, struct part_table *table)
{
	struct mbr_entry_disk entries[MBR_ENTRIES];
	int rc = read_table(dev, 0, entries);

	if (rc <= 0)
		return rc;
	for (unsigned i = 0; i < MBR_ENTRIES && rc >= 0; i++) {
		uint32_t start = le32_get(entries[i].start);

		if (!is_used(&entries[i]) || start == 0 ||
		    entries[i].type == MBR_PROTECTIVE)
			continue;
		rc = take_entry(dev, &entries[i], 0, i + 1, table);
	}
	for (unsigned i = 0; i < MBR_ENTRIES && rc >= 0; i++)
		if (is_used(&entries[i]) && is_extended(&entries[i]))
			rc = read_logical(
			    dev, le32_get(entries[i].start), table);
	return rc < 0 ? rc : table->n > 0;
}
