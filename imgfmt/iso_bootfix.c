/*
 * Addresses outside the ISO 9660 structures: in the El Torito catalogue, in
 * boot images (boot information table; GRUB's own), in the boot code of the
 * MBR.  The latter have no mark; they are taken for what they are only where
 * they hold exactly the address of a boot image.
 */
#include <string.h>

#include "iso_plan.h"

enum { SUMMED_MAX = 16 << 20, CHUNK = 64 << 10 };

/* Sum of the little-endian words of len bytes at off, from byte 64 on. */
static int
sum_words(struct blkdev *dev, uint64_t off, uint32_t len, uint32_t *sum)
{
	scoped(freep) uint8_t *buf = malloc(CHUNK);

	if (buf == NULL)
		return -ENOMEM;
	*sum = 0;
	for (uint32_t at = ISO_BOOTINFO_SUMMED; at < len;) {
		uint32_t n = len - at < CHUNK ? len - at : CHUNK;
		int rc;

		memset(buf, 0, CHUNK); /* the last word may be cut */
		rc = blkdev_read(dev, off + at, buf, n);
		if (rc < 0)
			return rc;
		for (uint32_t i = 0; i < n; i += 4) {
			le32 word;

			memcpy(&word, buf + i, sizeof(word));
			*sum += le32_get(word);
		}
		at += n;
	}
	return 0;
}

/* Note the boot information table of the image at off, if it has one. */
static int
bootinfo_refs(struct iso_plan *plan, uint64_t off)
{
	const struct iso *iso = plan->iso;
	struct iso_bootinfo_disk info;
	struct iso_ref ref = {.at = off + ISO_BOOTINFO_AT +
		offsetof(struct iso_bootinfo_disk, start),
	    .addr = off,
	    .form = ISO_REF_LE};
	uint32_t len, sum;
	int rc =
	    blkdev_read(iso->dev, off + ISO_BOOTINFO_AT, &info, sizeof(info));

	if (rc < 0)
		return rc;
	len = le32_get(info.len);
	if (le32_get(info.volume) != iso->trees[0].at / ISO_SECTOR ||
	    le32_get(info.start) != off / ISO_SECTOR || len > SUMMED_MAX ||
	    len <= ISO_BOOTINFO_SUMMED || !iso_inside(iso, off, len))
		return 0;
	rc = sum_words(iso->dev, off, len, &sum);
	if (rc == 0 && sum == le32_get(info.checksum))
		plan->sums[plan->nsums++] = (struct iso_bootsum){off, len};
	return rc == 0 ? iso_plan_ref(plan, &ref) : rc;
}

/* GRUB's image begins to load itself from its second 512-byte sectors on. */
static int
grub_refs(struct iso_plan *plan, uint64_t off)
{
	struct iso_ref ref = {.at = off + ISO_GRUB_AT,
	    .addr = off,
	    .form = ISO_REF_LE64_512,
	    .bias = ISO_GRUB_BIAS};
	le64 addr;
	int rc = blkdev_read(plan->iso->dev, ref.at, &addr, sizeof(addr));

	if (rc < 0 || le64_get(addr) != off / 512 + ISO_GRUB_BIAS)
		return rc;
	return iso_plan_ref(plan, &ref);
}

/* The address of the boot image at off in the boot code of the MBR. */
static int
mbr_refs(struct iso_plan *plan, uint64_t off)
{
	struct iso_ref ref = {
	    .at = ISO_MBR_BOOT_AT, .addr = off, .form = ISO_REF_LE_512};
	uint64_t lba = off / 512;
	le32 addr;
	int rc = blkdev_read(plan->iso->dev, ref.at, &addr, sizeof(addr));

	if (rc < 0 || !plan->area.has_mbr)
		return rc;
	if (le32_get(addr) == lba + ISO_MBR_GRUB_BIAS)
		ref.bias = ISO_MBR_GRUB_BIAS;
	else if (le32_get(addr) != lba)
		return 0;
	return iso_plan_ref(plan, &ref);
}

static int
boot_refs(struct iso_plan *plan, unsigned i)
{
	const struct iso *iso = plan->iso;
	uint64_t off = iso->info.boot[i].off;
	struct iso_ref ref = {
	    .at = iso->boot_at[i] + offsetof(struct iso_boot_disk, start),
	    .addr = off,
	    .form = ISO_REF_LE};
	int rc;

	if (off >= plan->start && off < plan->end)
		plan->shared = true;
	if (off < plan->end) /* nothing changes */
		return 0;
	rc = iso_plan_ref(plan, &ref);
	if (rc == 0)
		rc = mbr_refs(plan, off);
	if (rc < 0 || !iso_inside(iso, off, 2 * ISO_SECTOR))
		return rc;
	rc = bootinfo_refs(plan, off);
	return rc == 0 ? grub_refs(plan, off) : rc;
}

int
iso_boot_refs(struct iso_plan *plan)
{
	const struct iso *iso = plan->iso;
	struct iso_ref ref = {
	    .at = iso->bootrec_at + offsetof(struct iso_bootrec_disk, catalog),
	    .addr = iso->catalog,
	    .form = ISO_REF_LE};
	int rc;

	if (iso->bootrec_at == 0)
		return 0;
	rc = iso_plan_ref(plan, &ref);
	for (unsigned i = 0; i < iso->info.nboot && rc == 0; i++)
		rc = boot_refs(plan, i);
	return rc;
}

int
iso_boot_patch(const struct iso_plan *plan, struct blkdev *out)
{
	int rc = 0;

	for (unsigned i = 0; i < plan->nsums && rc == 0; i++) {
		uint64_t off = iso_plan_map(plan, plan->sums[i].off);
		uint32_t sum;
		le32 disk;

		rc = sum_words(out, off, plan->sums[i].len, &sum);
		if (rc < 0)
			return rc;
		disk = le32_set(sum);
		rc = blkdev_write(out,
		    off + ISO_BOOTINFO_AT +
			offsetof(struct iso_bootinfo_disk, checksum),
		    &disk, sizeof(disk));
	}
	return rc;
}
