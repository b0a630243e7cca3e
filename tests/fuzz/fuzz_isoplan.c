/* Patch whatever claims to be an ISO: its image gets another length. */
#include "../../imgfmt/iso.h"
#include "fuzz.h"

enum { NEW_LEN = 5000 };

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct blkdev *dev = fuzz_device(data, size), *out = NULL;
	struct iso_plan *plan = NULL;
	struct iso_node node;
	struct iso *iso;

	if (dev == NULL || iso_open(dev, &iso) < 0) {
		blkdev_close(dev);
		return 0;
	}
	if (iso_lookup(iso, "/image", &node) == 0 &&
	    iso_plan_make(iso, &node, &plan) == 0 &&
	    blkdev_mem_open(0, &out) == 0) {
		uint64_t at = iso_plan_info(plan)->image_off;

		if (at < 8 << 20 && iso_plan_copy(plan, out) == 0 &&
		    blkdev_resize(out, at + NEW_LEN) == 0)
			(void)!iso_plan_finish(plan, out, NEW_LEN);
	}
	iso_plan_free(plan);
	blkdev_close(out);
	iso_close(iso);
	blkdev_close(dev);
	return 0;
}
