/* Carrying out a plan. */
#include <string.h>

#include "iso_plan.h"
#include "log.h"

uint64_t
iso_plan_map(const struct iso_plan *plan, uint64_t p)
{
	if (p < plan->start)
		return p;
	if (p >= plan->content_end)
		return p + iso_plan_delta(plan);
	if (plan->appended)
		return p;
	/* Empty files may have an address inside the image, or its own. */
	if (p < plan->end)
		return p - plan->start + plan->info.image_off;
	return p - (plan->end - plan->start);
}

uint64_t
iso_plan_map_end(const struct iso_plan *plan, uint64_t p)
{
	return p <= plan->start ? p : iso_plan_map(plan, p);
}

int
iso_plan_copy(struct iso_plan *plan, struct blkdev *out)
{
	struct blkdev *dev = plan->iso->dev;
	uint64_t before = plan->appended ? plan->content_end : plan->start;
	uint64_t size = dev->size;
	int rc = blkdev_resize(out, plan->info.image_off);

	if (before > size)
		before = size;
	if (rc == 0)
		rc = blkdev_copy(dev, 0, out, 0, before);
	if (rc < 0 || plan->appended || plan->content_end == plan->end)
		return rc;
	if (size > plan->content_end)
		size = plan->content_end;
	return blkdev_copy(dev, plan->end, out, plan->start, size - plan->end);
}

/* Make out end where the image does, then bring what stays at the end. */
static int
put_tail(const struct iso_plan *plan, struct blkdev *out, uint64_t len)
{
	struct blkdev *dev = plan->iso->dev;
	uint64_t image_end = plan->info.image_off + len;
	uint64_t size = plan->size + iso_plan_delta(plan);
	int rc;

	if (out->size < image_end)
		return -EINVAL;
	if (size > dev->size && len == plan->old_len && !plan->appended &&
	    plan->size > dev->size)
		size = dev->size; /* it was cut short in its last sector */
	rc = blkdev_resize(out, image_end);
	if (rc == 0)
		rc = blkdev_resize(out, size);
	if (rc < 0 || dev->size <= plan->content_end)
		return rc;
	return blkdev_copy(dev, plan->content_end, out,
	    plan->content_end + iso_plan_delta(plan),
	    dev->size - plan->content_end);
}

static int
put_image_record(const struct iso_plan *plan, const struct iso_ref *ref,
    struct blkdev *out, uint64_t len)
{
	uint32_t sector =
	    (uint32_t)((plan->info.image_off - ref->base) / ISO_SECTOR);
	struct iso_both32 both[2] = {
	    {le32_set(sector), be32_set(sector)},
	    {le32_set((uint32_t)len), be32_set((uint32_t)len)},
	};

	return blkdev_write(
	    out, iso_plan_map(plan, ref->at), both, sizeof(both));
}

/* Write one number as its form demands. */
static int
put_ref(
    const struct iso_plan *plan, const struct iso_ref *ref, struct blkdev *out)
{
	bool small =
	    ref->form == ISO_REF_LE_512 || ref->form == ISO_REF_LE64_512;
	uint64_t addr = iso_plan_map(plan, ref->addr) - ref->base;
	uint64_t n = addr / (small ? 512 : ISO_SECTOR) + ref->bias;
	uint64_t at = iso_plan_map(plan, ref->at);
	struct iso_both32 both = {le32_set((uint32_t)n), be32_set((uint32_t)n)};
	le64 wide = le64_set(n);

	if (n > UINT32_MAX && ref->form != ISO_REF_LE64_512)
		return 0; /* of an empty file, beyond all bounds before */
	switch (ref->form) {
	case ISO_REF_BOTH:
		return blkdev_write(out, at, &both, sizeof(both));
	case ISO_REF_BE:
		return blkdev_write(out, at, &both.be, sizeof(both.be));
	case ISO_REF_LE64_512:
		return blkdev_write(out, at, &wide, sizeof(wide));
	default:
		return blkdev_write(out, at, &both.le, sizeof(both.le));
	}
}

static int
put_refs(const struct iso_plan *plan, struct blkdev *out, uint64_t len)
{
	int rc = 0;

	for (size_t i = 0; i < plan->nrefs && rc == 0; i++) {
		const struct iso_ref *ref = &plan->refs[i];

		if (ref->form == ISO_REF_IMAGE)
			rc = put_image_record(plan, ref, out, len);
		else
			rc = put_ref(plan, ref, out);
	}
	return rc;
}

/* A volume that held all content goes on to do so, with its padding. */
static int
put_volume_size(const struct iso_plan *plan, const struct iso_tree *tree,
    struct blkdev *out)
{
	const size_t field = offsetof(struct iso_volume_disk, size);
	uint64_t at = iso_plan_map(plan, tree->at) + field;
	uint64_t end, image_end = plan->info.image_off + plan->grown;
	struct iso_both32 size;
	uint32_t n;
	int rc =
	    blkdev_read(plan->iso->dev, tree->at + field, &size, sizeof(size));

	if (rc < 0)
		return rc;
	end = tree->session + (uint64_t)le32_get(size.le) * ISO_SECTOR;
	if (end >= plan->content_end)
		end += iso_plan_delta(plan);
	if (end < image_end)
		end = image_end;
	n = (uint32_t)((end - tree->session) / ISO_SECTOR);
	size = (struct iso_both32){le32_set(n), be32_set(n)};
	return blkdev_write(out, at, &size, sizeof(size));
}

int
iso_plan_finish(struct iso_plan *plan, struct blkdev *out, uint64_t len)
{
	int rc;

	if (len > UINT32_MAX && !plan->appends) {
		log_error("the image has %llu bytes: FreeBSD reads files on an "
			  "ISO only below 4 GiB",
		    (unsigned long long)len);
		return -EFBIG;
	}
	plan->grown = iso_round_up(len);
	rc = put_tail(plan, out, len);
	if (rc == 0)
		rc = put_refs(plan, out, len);
	for (unsigned i = 0; i < plan->ntrees && rc == 0; i++)
		rc = put_volume_size(plan, &plan->trees[i], out);
	if (rc == 0)
		rc = iso_boot_patch(plan, out);
	return rc == 0 ? iso_area_patch(plan, out) : rc;
}
