/*
 * The system area, so that the ISO boots as a disk too (formats.md 3.5): a
 * protective MBR with FreeBSD's pmbr, a GPT with
 *
 *	freebsd-boot	isoboot, in the system area behind the GPT's entries
 *	efi		the FAT image of the El Torito entry
 *
 * FreeBSD's releases have only the primary GPT, and padding where the backup
 * would be.  UEFI firmware (EDK2's partition driver) repairs a missing backup
 * on a disk that it can write, so there must at least be padding, else the last
 * file suffers; we write the backup, and nothing is left to repair.
 */
#include <string.h>

#include "../imgfmt/gpt.h"
#include "../imgfmt/iso.h"
#include "../imgfmt/log.h"
#include "iso_author_impl.h"

enum {
	AREA_SECTORS = 64,   /* of 512 bytes, as all here */
	ENTRIES_USUAL = 128, /* what UEFI asks for */
	ENTRIES_LEAST = 4,   /* a sector of them, as FreeBSD's mkimg writes */
	PER_SECTOR = 4,
	IN_ISO_SECTOR = 4,
	EFI_PLATFORM = 0xef,
};

static const uint8_t type_boot[16] = "\x9d\x6b\xbd\x83\x41\x7f\xdc\x11"
				     "\xbe\x0b\x00\x15\x60\xb8\x4f\x0f";
static const uint8_t type_efi[16] = "\x28\x73\x2a\xc1\x1f\xf8\xd2\x11"
				    "\xba\x4b\x00\xa0\xc9\x3e\xc9\x3b";

int
author_read_file(struct author *a, const struct tree_node *node, uint8_t **out)
{
	uint8_t *buf = malloc((size_t)node->size + 1);
	int rc = buf == NULL
	    ? -ENOMEM
	    : tree_read(a->reader, node, 0, buf, (size_t)node->size);

	if (rc < 0) {
		free(buf);
		return rc;
	}
	*out = buf;
	return 0;
}

static uint32_t
sectors_of(const struct tree_node *node)
{
	return node == NULL ? 0 : (uint32_t)((node->size + 511) / 512);
}

static int
check_boot_code(const struct author *a)
{
	const uint64_t room = AREA_SECTORS - 2 - ENTRIES_LEAST / PER_SECTOR;

	if (a->isoboot->size == 0 || a->isoboot->size > room * 512) {
		log_error("'%s' has %llu bytes: in the system area of an ISO "
			  "there is room for 1 to %llu",
		    a->how->isoboot, (unsigned long long)a->isoboot->size,
		    (unsigned long long)room * 512);
		return -EINVAL;
	}
	if (a->pmbr->size < GPT_BOOT_CODE || a->pmbr->size > 512) {
		log_error("'%s' has %llu bytes: the boot code of an MBR has "
			  "%d to 512",
		    a->how->pmbr, (unsigned long long)a->pmbr->size,
		    GPT_BOOT_CODE);
		return -EINVAL;
	}
	return 0;
}

static int
read_boot_code(struct author *a)
{
	int rc = check_boot_code(a);

	if (rc == 0)
		rc = author_read_file(a, a->pmbr, &a->pmbr_code);
	if (rc == 0)
		rc = author_read_file(a, a->isoboot, &a->isoboot_code);
	return rc;
}

int
author_plan_hybrid(struct author *a)
{
	uint32_t entries = ENTRIES_USUAL;
	int rc = a->isoboot != NULL ? read_boot_code(a) : 0;

	if (rc < 0 || (a->isoboot == NULL && a->fat == NULL))
		return rc;
	if (2 + entries / PER_SECTOR + sectors_of(a->isoboot) > AREA_SECTORS)
		entries = ENTRIES_LEAST;
	a->gpt_entries = entries;
	a->tail_sectors =
	    (1 + entries / PER_SECTOR + IN_ISO_SECTOR - 1) / IN_ISO_SECTOR;
	return 0;
}

/* -- the partitions ---------------------------------------------------------
 */

/* Sixteen bytes that look random, different ones each time (splitmix64). */
static void
put_guid(uint64_t *seed, uint8_t guid[16])
{
	for (int i = 0; i < 16; i += 8) {
		uint64_t z = *seed += 0x9e3779b97f4a7c15;
		le64 half;

		z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
		z = (z ^ z >> 27) * 0x94d049bb133111eb;
		half = le64_set(z ^ z >> 31);
		memcpy(guid + i, &half, sizeof(half));
	}
	guid[7] = (uint8_t)((guid[7] & 0x0f) | 0x40); /* a random one, by */
	guid[8] = (uint8_t)((guid[8] & 0x3f) | 0x80); /* RFC 4122 */
}

static void
put_partition(struct gpt_entry_disk *entry, const uint8_t type[16],
    uint64_t first, uint64_t sectors, uint64_t *seed)
{
	memcpy(entry->type, type, sizeof(entry->type));
	put_guid(seed, entry->guid);
	entry->first = le64_set(first);
	entry->last = le64_set(first + sectors - 1);
}

/* Where libisofs has put the FAT image, by the boot catalogue. */
static int
find_fat(struct blkdev *out, uint64_t *off)
{
	const struct iso_info *info;
	struct iso *iso;
	int rc = iso_open(out, &iso);

	if (rc < 0)
		return rc;
	info = iso_info(iso);
	rc = -ECORRUPT;
	for (unsigned i = 0; i < info->nboot; i++)
		if (info->boot[i].platform == EFI_PLATFORM) {
			*off = info->boot[i].off;
			rc = 0;
		}
	iso_close(iso);
	return rc;
}

static int
put_partitions(
    struct author *a, uint64_t seed, struct gpt *gpt, struct blkdev *out)
{
	uint64_t off;
	uint32_t n = 0;
	int rc;

	if (a->isoboot != NULL)
		put_partition(gpt_entry(gpt, n++), type_boot,
		    le64_get(gpt->head.first_usable), sectors_of(a->isoboot),
		    &seed);
	if (a->fat == NULL)
		return 0;
	rc = find_fat(out, &off);
	if (rc == 0)
		put_partition(gpt_entry(gpt, n), type_efi, off / 512,
		    a->fat_size / 512, &seed);
	return rc;
}

static int
write_area(struct author *a, uint64_t seed, struct gpt *gpt, struct blkdev *out)
{
	int rc = put_partitions(a, seed, gpt, out);

	if (rc == 0 && a->isoboot != NULL)
		rc = blkdev_write(out, le64_get(gpt->head.first_usable) * 512,
		    a->isoboot_code, (size_t)a->isoboot->size);
	return rc == 0 ? gpt_write_disk(out, gpt, a->pmbr_code) : rc;
}

int
author_write_hybrid(struct author *a, struct blkdev *out)
{
	uint64_t seed = a->seed;
	uint8_t guid[16];
	struct gpt gpt;
	int rc;

	if (a->gpt_entries == 0)
		return 0;
	put_guid(&seed, guid);
	rc = gpt_make(&gpt, out->size / 512, a->gpt_entries, guid);
	if (rc == 0)
		rc = write_area(a, seed, &gpt, out);
	gpt_release(&gpt);
	return rc;
}
