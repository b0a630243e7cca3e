/* El Torito, and a first look at the system area. */
#include <inttypes.h>
#include <string.h>

#include "gpt.h"
#include "iso_impl.h"
#include "log.h"

static void
add_boot(struct iso *iso, uint8_t platform, uint64_t at,
    const struct iso_boot_disk *disk)
{
	struct iso_info *info = &iso->info;
	struct iso_boot *boot = &info->boot[info->nboot];

	if (info->nboot == ISO_BOOTS_MAX) {
		iso->boot_more = true;
		return;
	}
	boot->platform = platform;
	boot->bootable = disk->indicator == ISO_BOOT_BOOTABLE;
	boot->media = disk->media & ISO_BOOT_MEDIA;
	boot->off = (uint64_t)le32_get(disk->start) * ISO_SECTOR;
	boot->len = (uint64_t)le16_get(disk->sectors) * 512;
	iso->boot_at[info->nboot++] = at;
}

/* The entries of the section whose header is entry i; the next header. */
static int
read_section(struct iso *iso, const struct iso_boot_disk *catalog, int i)
{
	struct iso_bootsect_disk head;
	int n;

	memcpy(&head, &catalog[i], sizeof(head));
	n = le16_get(head.entries);
	for (i++; i < ISO_CATALOG_ENTRIES && n > 0; i++) {
		if (catalog[i].indicator == ISO_BOOT_EXTENSION)
			continue;
		add_boot(iso, head.platform,
		    iso->catalog + (uint64_t)i * sizeof(*catalog), &catalog[i]);
		n--;
	}
	return i;
}

static void
read_sections(struct iso *iso, const struct iso_boot_disk *catalog)
{
	int i = 2;

	while (i < ISO_CATALOG_ENTRIES) {
		uint8_t id = catalog[i].indicator;

		if (id == ISO_BOOT_EXTENSION) {
			i++;
			continue;
		}
		if (id != ISO_BOOT_SECTION && id != ISO_BOOT_LAST)
			break;
		i = read_section(iso, catalog, i);
		if (id == ISO_BOOT_LAST)
			break;
	}
}

int
iso_boot_read(struct iso *iso)
{
	struct iso_boot_disk catalog[ISO_CATALOG_ENTRIES];
	struct iso_bootcheck_disk check;
	int rc;

	if (iso->bootrec_at == 0)
		return 0;
	if (!iso_inside(iso, iso->catalog, sizeof(catalog))) {
		log_error("the boot catalog at byte %" PRIu64
			  " lies outside the image",
		    iso->catalog);
		return -ECORRUPT;
	}
	rc = blkdev_read(iso->dev, iso->catalog, catalog, sizeof(catalog));
	if (rc < 0)
		return rc;
	memcpy(&check, &catalog[0], sizeof(check));
	if (check.header != 1 || check.key[0] != 0x55 || check.key[1] != 0xaa) {
		log_warn("the boot catalog at byte %" PRIu64
			 " does not begin like one: no boot entries",
		    iso->catalog);
		iso->bootrec_at = 0;
		iso->catalog_bad = true;
		return 0;
	}
	add_boot(
	    iso, check.platform, iso->catalog + sizeof(check), &catalog[1]);
	read_sections(iso, catalog);
	return 0;
}

static bool
mbr_in_use(const uint8_t *sector)
{
	struct mbr_entry_disk entries[MBR_ENTRIES];
	bool used = false;

	if (sector[MBR_SIG_AT] != 0x55 || sector[MBR_SIG_AT + 1] != 0xaa)
		return false;
	memcpy(entries, sector + MBR_ENTRIES_AT, sizeof(entries));
	for (int i = 0; i < MBR_ENTRIES; i++)
		used |= entries[i].type != 0 || le32_get(entries[i].sectors);
	return used;
}

/* 1, 0 or -errno; a damaged table is none. */
static int
has_gpt(struct iso *iso, uint64_t at, uint64_t *other)
{
	struct gpt gpt;
	const char *fault;
	int rc = gpt_read(iso->dev, MBR_SECTOR, at, &gpt, &fault);

	if (rc == -ECORRUPT)
		log_debug("GPT at byte %" PRIu64 ": %s", at, fault);
	if (rc != 1)
		return rc == -ECORRUPT ? 0 : rc;
	*other = le64_get(gpt.head.other);
	gpt_release(&gpt);
	return 1;
}

int
iso_area_read(struct iso *iso)
{
	uint64_t sectors = iso->dev->size / MBR_SECTOR;
	uint64_t other = sectors - 1, back;
	uint8_t sector[MBR_SECTOR];
	int rc = blkdev_read(iso->dev, 0, sector, sizeof(sector));

	if (rc < 0)
		return rc;
	iso->info.mbr = mbr_in_use(sector);
	rc = has_gpt(iso, MBR_SECTOR, &other);
	if (rc < 0)
		return rc;
	iso->info.gpt = rc == 1;
	if (other >= sectors)
		return 0;
	rc = has_gpt(iso, other * MBR_SECTOR, &back);
	iso->info.gpt_backup = rc == 1;
	return rc < 0 ? rc : 0;
}
