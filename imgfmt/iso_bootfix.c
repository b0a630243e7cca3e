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

/* 1: the boot image at off has a boot information table; 0: none. */
static int
read_bootinfo(
    const struct iso *iso, uint64_t off, struct iso_bootinfo_disk *out)
{
	uint32_t len;
	int rc;

	if (!iso_inside(iso, off, ISO_SECTOR))
		return 0;
	rc = blkdev_read(iso->dev, off + ISO_BOOTINFO_AT, out, sizeof(*out));
	if (rc < 0)
		return rc;
	len = le32_get(out->len);
	return le32_get(out->volume) == iso->trees[0].at / ISO_SECTOR &&
	    le32_get(out->start) == off / ISO_SECTOR && len <= SUMMED_MAX &&
	    len > ISO_BOOTINFO_SUMMED && iso_inside(iso, off, len);
}

/* Note the boot information table of the image at off, if it has one. */
static int
bootinfo_refs(struct iso_plan *plan, uint64_t off)
{
	struct iso_bootinfo_disk info;
	struct iso_ref ref = {.at = off + ISO_BOOTINFO_AT +
		offsetof(struct iso_bootinfo_disk, start),
	    .addr = off,
	    .form = ISO_REF_LE};
	uint32_t len, sum;
	int rc = read_bootinfo(plan->iso, off, &info);

	if (rc <= 0)
		return rc;
	len = le32_get(info.len);
	rc = sum_words(plan->iso->dev, off, len, &sum);
	if (rc == 0 && sum == le32_get(info.checksum))
		plan->sums[plan->nsums++] = (struct iso_bootsum){off, len};
	return rc == 0 ? iso_plan_ref(plan, &ref) : rc;
}

/* 1: the boot image at off is GRUB's, which holds its own address. */
static int
is_grub(const struct iso *iso, uint64_t off)
{
	le64 addr;
	int rc;

	if (!iso_inside(iso, off, 2 * ISO_SECTOR))
		return 0;
	rc = blkdev_read(iso->dev, off + ISO_GRUB_AT, &addr, sizeof(addr));
	return rc < 0 ? rc : le64_get(addr) == off / 512 + ISO_GRUB_BIAS;
}

/* GRUB's image begins to load itself from its second 512-byte sectors on. */
static int
grub_refs(struct iso_plan *plan, uint64_t off)
{
	struct iso_ref ref = {.at = off + ISO_GRUB_AT,
	    .addr = off,
	    .form = ISO_REF_LE64_512,
	    .bias = ISO_GRUB_BIAS};
	int rc = is_grub(plan->iso, off);

	return rc == 1 ? iso_plan_ref(plan, &ref) : rc;
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

/* -- boot images that an edit has replaced --------------------------------- */

void
iso_boot_moved(struct iso_plan *plan, const struct iso_move *move)
{
	const struct iso_info *info = &plan->iso->info;

	for (unsigned i = 0; i < info->nboot; i++)
		if (info->boot[i].off == move->from &&
		    plan->nmoves < ISO_BOOTS_MAX) {
			plan->moves[plan->nmoves++] = *move;
			return;
		}
}

/*
 * How many 512-byte sectors the firmware loads: where that was the whole image
 * (trap 69), it is so again.
 */
static uint16_t
new_load_size(const struct iso_boot *boot, const struct iso_move *move)
{
	uint64_t sectors = iso_round_up(move->len) / 512;

	if (boot->len != iso_round_up(move->old_len) &&
	    boot->len != (move->old_len + 511) / 512 * 512)
		return (uint16_t)(boot->len / 512);
	return sectors > UINT16_MAX ? UINT16_MAX : (uint16_t)sectors;
}

static int
put_entry(const struct iso_plan *plan, unsigned i, const struct iso_move *move,
    struct blkdev *out)
{
	uint64_t at = iso_plan_map(plan, plan->iso->boot_at[i]);
	le32 start = le32_set((uint32_t)(move->to / ISO_SECTOR));
	le16 sectors = le16_set(new_load_size(&plan->iso->info.boot[i], move));
	int rc = blkdev_write(out, at + offsetof(struct iso_boot_disk, sectors),
	    &sectors, sizeof(sectors));

	if (rc < 0)
		return rc;
	return blkdev_write(out, at + offsetof(struct iso_boot_disk, start),
	    &start, sizeof(start));
}

/* The table that the old image had, for the new one. */
static int
put_bootinfo(const struct iso_plan *plan, const struct iso_move *move,
    struct blkdev *out)
{
	struct iso_bootinfo_disk info;
	uint32_t sum;
	int rc = read_bootinfo(plan->iso, move->from, &info);

	if (rc <= 0 || move->len <= ISO_BOOTINFO_SUMMED ||
	    move->len > SUMMED_MAX)
		return rc < 0 ? rc : 0;
	rc = sum_words(out, move->to, (uint32_t)move->len, &sum);
	if (rc < 0)
		return rc;
	info.start = le32_set((uint32_t)(move->to / ISO_SECTOR));
	info.len = le32_set((uint32_t)move->len);
	info.checksum = le32_set(sum);
	return blkdev_write(
	    out, move->to + ISO_BOOTINFO_AT, &info, sizeof(info));
}

static int
put_grub(const struct iso_plan *plan, const struct iso_move *move,
    struct blkdev *out)
{
	le64 addr = le64_set(move->to / 512 + ISO_GRUB_BIAS);
	int rc = is_grub(plan->iso, move->from);

	if (rc <= 0 || move->len < ISO_GRUB_AT + sizeof(addr))
		return rc < 0 ? rc : 0;
	return blkdev_write(out, move->to + ISO_GRUB_AT, &addr, sizeof(addr));
}

static int
put_mbr(const struct iso_plan *plan, const struct iso_move *move,
    struct blkdev *out)
{
	uint32_t old = (uint32_t)(move->from / 512);
	uint32_t new = (uint32_t)(move->to / 512);
	le32 addr;
	int rc =
	    blkdev_read(plan->iso->dev, ISO_MBR_BOOT_AT, &addr, sizeof(addr));

	if (rc < 0 || !plan->area.has_mbr)
		return rc;
	if (le32_get(addr) == old + ISO_MBR_GRUB_BIAS)
		new += ISO_MBR_GRUB_BIAS;
	else if (le32_get(addr) != old)
		return 0;
	addr = le32_set(new);
	return blkdev_write(out, ISO_MBR_BOOT_AT, &addr, sizeof(addr));
}

int
iso_boot_follow(const struct iso_plan *plan, struct blkdev *out)
{
	const struct iso_info *info = &plan->iso->info;
	int rc = 0;

	for (unsigned m = 0; m < plan->nmoves && rc == 0; m++) {
		const struct iso_move *move = &plan->moves[m];

		for (unsigned i = 0; i < info->nboot && rc == 0; i++)
			if (info->boot[i].off == move->from)
				rc = put_entry(plan, i, move, out);
		if (rc == 0)
			rc = put_grub(plan, move, out);
		if (rc == 0)
			rc = put_bootinfo(plan, move, out);
		if (rc == 0)
			rc = put_mbr(plan, move, out);
	}
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
