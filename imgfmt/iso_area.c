/*
 * The partition tables of hybrid ISOs: what they say of the image's
 * surroundings, and what they must say afterwards.
 */
#include "iso_plan.h"

#include <inttypes.h>
#include <string.h>

#include "log.h"

enum { MBR_HFS = 0xaf };

static struct iso_slice
make_slice(const struct iso_plan *plan, uint64_t first, uint64_t sectors)
{
	struct iso_slice slice = {
	    .start = first * MBR_SECTOR, .end = (first + sectors) * MBR_SECTOR};

	slice.own = slice.start == plan->start && slice.end <= plan->end;
	return slice;
}

static int
read_mbr(struct iso_plan *plan)
{
	struct iso_area *area = &plan->area;
	uint8_t sector[MBR_SECTOR];
	int rc = blkdev_read(plan->iso->dev, 0, sector, sizeof(sector));

	if (rc < 0)
		return rc;
	area->has_mbr =
	    sector[MBR_SIG_AT] == 0x55 && sector[MBR_SIG_AT + 1] == 0xaa;
	memcpy(area->mbr, sector + MBR_ENTRIES_AT, sizeof(area->mbr));
	for (int i = 0; i < MBR_ENTRIES; i++)
		if (area->mbr[i].status & 0x7f)
			area->has_mbr = false;
	return 0;
}

/* A damaged table is left alone, and forbids moving. */
static int
read_gpt(struct iso_plan *plan, uint64_t at, struct gpt *out)
{
	const char *fault;
	int rc = gpt_read(plan->iso->dev, MBR_SECTOR, at, out, &fault);

	if (rc == -ECORRUPT) {
		log_warn(
		    "the GPT at byte %" PRIu64 " is damaged: %s", at, fault);
		plan->area.damaged = true;
	}
	return rc == -ECORRUPT || rc == 1 ? 0 : rc;
}

static bool
is_gap(const struct gpt_entry_disk *entry)
{
	char name[16];

	gpt_entry_name(entry, name, sizeof(name));
	return strncmp(name, "Gap", 3) == 0 && name[3] >= '0' && name[3] <= '9';
}

/* False: the entry is unused, or makes no sense. */
static bool
read_slice(const struct iso_plan *plan, const struct gpt_entry_disk *entry,
    struct iso_slice *out)
{
	uint64_t first = le64_get(entry->first), last = le64_get(entry->last);

	if (!gpt_entry_used(entry) || last < first ||
	    last > plan->size / MBR_SECTOR)
		return false;
	*out = make_slice(plan, first, last - first + 1);
	out->gap = is_gap(entry);
	return true;
}

static void
set_slices(struct iso_plan *plan)
{
	struct iso_area *area = &plan->area;

	for (unsigned i = 0; i < MBR_ENTRIES && area->has_mbr; i++) {
		uint32_t sectors = le32_get(area->mbr[i].sectors);

		if (sectors != 0 && sectors != UINT32_MAX)
			area->slices[i] = make_slice(
			    plan, le32_get(area->mbr[i].start), sectors);
	}
	for (unsigned i = 0; i < area->gpt.nentries; i++)
		(void)read_slice(plan, gpt_entry(&area->gpt, i),
		    &area->slices[MBR_ENTRIES + i]);
}

int
iso_area_open(struct iso_plan *plan)
{
	struct iso_area *area = &plan->area;
	int rc = read_mbr(plan);

	if (rc == 0)
		rc = read_gpt(plan, MBR_SECTOR, &area->gpt);
	if (rc == 0 && area->gpt.entries != NULL) {
		uint64_t other = le64_get(area->gpt.head.other);

		if (other < plan->iso->dev->size / MBR_SECTOR)
			rc = read_gpt(plan, other * MBR_SECTOR, &area->backup);
	}
	if (rc < 0)
		return rc;
	area->n = MBR_ENTRIES + area->gpt.nentries;
	area->slices = calloc(area->n, sizeof(*area->slices));
	if (area->slices == NULL)
		return -ENOMEM;
	set_slices(plan);
	return 0;
}

void
iso_area_close(struct iso_area *area)
{
	gpt_release(&area->gpt);
	gpt_release(&area->backup);
	free(area->slices);
}

static bool
is_real(const struct iso_slice *slice)
{
	return slice->end > slice->start && !slice->gap && !slice->own;
}

static bool
holds_image(const struct iso_plan *plan, const struct iso_slice *slice)
{
	return is_real(slice) && slice->start <= plan->start &&
	    slice->end >= plan->end;
}

static bool
has_hfs_partition(const struct iso_area *area)
{
	static const uint8_t hfs[16] = "\0SFH\0\0\xaa\x11\xaa\x11\0\x30"
				       "eC\xec\xac";

	for (unsigned i = 0; i < MBR_ENTRIES && area->has_mbr; i++)
		if (area->mbr[i].type == MBR_HFS)
			return true;
	for (unsigned i = 0; i < area->gpt.nentries; i++)
		if (memcmp(gpt_entry(&area->gpt, i)->type, hfs, 16) == 0)
			return true;
	return false;
}

const char *
iso_area_why_not(const struct iso_plan *plan)
{
	const struct iso_area *area = &plan->area;

	if (area->damaged)
		return "it has a damaged GPT";
	if (has_hfs_partition(area))
		return "it has an HFS partition";
	for (unsigned i = 0; i < area->n; i++) {
		const struct iso_slice *s = &area->slices[i];

		if (!is_real(s))
			continue;
		if (s->start >= plan->start && s->start < plan->end)
			return "a partition begins in it";
		if (s->start < plan->start && s->end > plan->start &&
		    s->end < plan->end)
			return "a partition ends in it";
		if (holds_image(plan, s) && s->end < plan->tree_end)
			return "a partition ends between what follows it";
	}
	return NULL;
}

uint64_t
iso_area_tail(const struct iso_plan *plan, bool movable)
{
	const struct iso_area *area = &plan->area;
	uint64_t tail = UINT64_MAX;

	if (area->backup.entries != NULL && area->backup.at >= plan->end) {
		tail = area->backup.at;
		if (area->backup.entries_at >= plan->end &&
		    area->backup.entries_at < tail)
			tail = area->backup.entries_at;
	}
	for (unsigned i = 0; i < area->n && movable; i++) {
		const struct iso_slice *s = &area->slices[i];

		if (holds_image(plan, s) && s->end < tail)
			tail = s->end;
	}
	return tail;
}

uint64_t
iso_area_content_end(const struct iso_plan *plan)
{
	uint64_t end = 0;

	for (unsigned i = 0; i < plan->area.n; i++) {
		const struct iso_slice *s = &plan->area.slices[i];

		if (is_real(s) && s->start >= plan->end &&
		    s->start < plan->tail && s->end > end)
			end = s->end < plan->size ? s->end : plan->size;
	}
	return end;
}

uint64_t
iso_area_tail_bytes(const struct iso_plan *plan)
{
	uint64_t low = UINT64_MAX, high = 0;

	for (unsigned i = 0; i < plan->area.n; i++) {
		const struct iso_slice *s = &plan->area.slices[i];

		if (!is_real(s) || s->start < plan->tail)
			continue;
		low = s->start < low ? s->start : low;
		high = s->end > high ? s->end : high;
	}
	return high > low ? high - low : 0;
}

/* Where a slice lies now. */
static struct iso_slice
map_slice(const struct iso_plan *plan, const struct iso_slice *old)
{
	struct iso_slice new = *old;

	for (unsigned i = 0; i < plan->nmoves; i++) {
		const struct iso_move *move = &plan->moves[i];

		if (old->start != move->from ||
		    old->end > iso_round_up(move->from + move->old_len))
			continue;
		new.start = move->to;
		new.end = iso_round_up(move->to + move->len);
		return new;
	}
	if (old->own) {
		new.start = plan->info.image_off;
		new.end = new.start + plan->grown;
	} else if (old->start < plan->end) {
		new.end = iso_plan_map_end(plan, old->end);
	} else {
		new.start = iso_plan_map(plan, old->start);
		new.end = old->gap ? iso_plan_map_end(plan, old->end)
				   : new.start + (old->end - old->start);
	}
	return new;
}

/*
 * A gap is only filler: it gives way to what lies in it now.  Firmware takes
 * neither of two GPT partitions that overlap.
 */
static struct iso_slice
cut_gap(const struct iso_plan *plan, const struct iso_slice *gap)
{
	struct iso_slice cut = *gap;

	for (unsigned i = MBR_ENTRIES; i < plan->area.n; i++) {
		const struct iso_slice *old = &plan->area.slices[i];
		struct iso_slice other = map_slice(plan, old);

		if (old->gap || old->end == old->start ||
		    other.start >= cut.end || other.end <= cut.start)
			continue;
		if (other.start > cut.start)
			cut.end = other.start;
		else
			cut.start = other.end;
	}
	return cut;
}

struct geometry {
	uint32_t heads, sectors;
};

/* Cylinder, head and sector of an LBA as MBR entries have them. */
static void
put_chs(uint32_t lba, struct geometry g, uint8_t out[3])
{
	uint32_t cylinder = lba / (g.heads * g.sectors);
	uint32_t head = lba / g.sectors % g.heads;
	uint32_t sector = lba % g.sectors + 1;

	if (cylinder > 1023) {
		memcpy(out, "\xfe\xff\xff", 3);
		return;
	}
	out[0] = (uint8_t)head;
	out[1] = (uint8_t)(sector | (cylinder >> 2 & 0xc0));
	out[2] = (uint8_t)cylinder;
}

/* Rewrite the CHS fields if they follow a geometry that we know. */
static void
update_chs(const struct mbr_entry_disk *old, struct mbr_entry_disk *new)
{
	static const struct geometry known[] = {
	    {64, 32}, {255, 63}, {128, 32}, {240, 63}, {16, 63}};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		uint32_t start = le32_get(old->start);
		uint8_t first[3], last[3];

		put_chs(start, known[i], first);
		put_chs(start + le32_get(old->sectors) - 1, known[i], last);
		if (memcmp(first, old->first_chs, 3) != 0 ||
		    memcmp(last, old->last_chs, 3) != 0)
			continue;
		start = le32_get(new->start);
		put_chs(start, known[i], new->first_chs);
		put_chs(start + le32_get(new->sectors) - 1, known[i],
		    new->last_chs);
		return;
	}
}

static int
patch_mbr(const struct iso_plan *plan, struct blkdev *out)
{
	const struct iso_area *area = &plan->area;
	struct mbr_entry_disk mbr[MBR_ENTRIES];

	if (!area->has_mbr)
		return 0;
	memcpy(mbr, area->mbr, sizeof(mbr));
	for (int i = 0; i < MBR_ENTRIES; i++) {
		struct iso_slice new = map_slice(plan, &area->slices[i]);

		if (area->slices[i].end == area->slices[i].start)
			continue;
		mbr[i].start = le32_set((uint32_t)(new.start / MBR_SECTOR));
		mbr[i].sectors =
		    le32_set((uint32_t)((new.end - new.start) / MBR_SECTOR));
		update_chs(&area->mbr[i], &mbr[i]);
	}
	return blkdev_write(out, MBR_ENTRIES_AT, mbr, sizeof(mbr));
}

static le64
map_lba(const struct iso_plan *plan, le64 lba)
{
	uint64_t at = iso_plan_map(plan, le64_get(lba) * MBR_SECTOR);

	return le64_set(at / MBR_SECTOR);
}

/*
 * Where the backup is to be: at the end of the device, as before, also where
 * nothing is there (FreeBSD's ISOs) and the image has ended there.
 */
static le64
map_other(const struct iso_plan *plan, le64 lba)
{
	uint64_t last = plan->iso->dev->size / MBR_SECTOR - 1;

	if (le64_get(lba) != last)
		return map_lba(plan, lba);
	last = (plan->size + iso_plan_delta(plan)) / MBR_SECTOR - 1;
	return le64_set(last);
}

static int
patch_gpt(const struct iso_plan *plan, struct gpt *gpt, struct blkdev *out)
{
	struct gpt_header_disk *head = &gpt->head;
	uint64_t end = (le64_get(head->last_usable) + 1) * MBR_SECTOR;
	struct iso_slice slice;

	for (unsigned i = 0; i < gpt->nentries; i++) {
		struct gpt_entry_disk *entry = gpt_entry(gpt, i);

		if (!read_slice(plan, entry, &slice))
			continue;
		slice = map_slice(plan, &slice);
		if (slice.gap)
			slice = cut_gap(plan, &slice);
		if (slice.end <= slice.start) {
			memset(entry, 0, gpt->entry_size);
			continue;
		}
		entry->first = le64_set(slice.start / MBR_SECTOR);
		entry->last = le64_set(slice.end / MBR_SECTOR - 1);
	}
	end = (end + iso_plan_delta(plan)) / MBR_SECTOR;
	head->self = map_lba(plan, head->self);
	head->other = map_other(plan, head->other);
	head->entries = map_lba(plan, head->entries);
	head->last_usable = le64_set(end - 1);
	return gpt_write(out, gpt);
}

/* Patch a copy: a plan may be carried out again. */
static int
patch_gpt_copy(
    const struct iso_plan *plan, const struct gpt *gpt, struct blkdev *out)
{
	size_t len = (size_t)gpt->nentries * gpt->entry_size;
	struct gpt copy = *gpt;
	int rc;

	if (gpt->entries == NULL)
		return 0;
	copy.entries = malloc(len + 1);
	if (copy.entries == NULL)
		return -ENOMEM;
	memcpy(copy.entries, gpt->entries, len);
	rc = patch_gpt(plan, &copy, out);
	gpt_release(&copy);
	return rc;
}

int
iso_area_patch(const struct iso_plan *plan, struct blkdev *out)
{
	int rc = patch_mbr(plan, out);

	if (rc == 0)
		rc = patch_gpt_copy(plan, &plan->area.gpt, out);
	return rc == 0 ? patch_gpt_copy(plan, &plan->area.backup, out) : rc;
}
