/* New partition tables (UEFI 2.10 chapter 5). */
#include <string.h>

#include "gpt.h"

enum {
	SECTOR = MBR_SECTOR,
	PER_SECTOR = SECTOR / sizeof(struct gpt_entry_disk),
	REVISION = 0x00010000,
};

int
gpt_make(struct gpt *out, uint64_t sectors, uint32_t nentries,
    const uint8_t guid[16])
{
	uint32_t table = nentries / PER_SECTOR;

	*out = (struct gpt){.sector = SECTOR,
	    .nentries = nentries,
	    .entry_size = sizeof(struct gpt_entry_disk),
	    .at = SECTOR,
	    .entries_at = 2 * SECTOR};
	out->head = (struct gpt_header_disk){
	    .sig = {'E', 'F', 'I', ' ', 'P', 'A', 'R', 'T'},
	    .revision = le32_set(REVISION),
	    .size = le32_set(sizeof(out->head)),
	    .self = le64_set(1),
	    .other = le64_set(sectors - 1),
	    .first_usable = le64_set(2 + table),
	    .last_usable = le64_set(sectors - 2 - table),
	    .entries = le64_set(2),
	    .nentries = le32_set(nentries),
	    .entry_size = le32_set(sizeof(struct gpt_entry_disk)),
	};
	memcpy(out->head.guid, guid, sizeof(out->head.guid));
	out->entries = calloc(nentries, sizeof(struct gpt_entry_disk));
	return out->entries == NULL ? -ENOMEM : 0;
}

/* The same at the end of the disk, its entries before its header. */
static int
write_backup(struct blkdev *dev, const struct gpt *gpt)
{
	struct gpt backup = *gpt;
	uint64_t end = le64_get(gpt->head.other);

	backup.head.self = gpt->head.other;
	backup.head.other = gpt->head.self;
	backup.head.entries = le64_set(end - gpt->nentries / PER_SECTOR);
	return gpt_write(dev, &backup);
}

int
gpt_write_disk(struct blkdev *dev, const struct gpt *gpt, const void *boot_code)
{
	uint64_t sectors = le64_get(gpt->head.other);
	struct mbr_entry_disk all = {
	    .first_chs = {0x00, 0x02, 0x00},
	    .type = MBR_PROTECTIVE,
	    .last_chs = {0xff, 0xff, 0xff},
	    .start = le32_set(1),
	    .sectors =
		le32_set(sectors > UINT32_MAX ? UINT32_MAX : (uint32_t)sectors),
	};
	uint8_t mbr[SECTOR] = {0};
	int rc;

	if (boot_code != NULL)
		memcpy(mbr, boot_code, GPT_BOOT_CODE);
	memcpy(mbr + MBR_ENTRIES_AT, &all, sizeof(all));
	memcpy(mbr + MBR_SIG_AT, "\x55\xaa", 2);
	rc = blkdev_write(dev, 0, mbr, sizeof(mbr));
	if (rc == 0)
		rc = gpt_write(dev, gpt);
	return rc == 0 ? write_backup(dev, gpt) : rc;
}
