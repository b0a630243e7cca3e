/*
 * Sharing with the base on the host's disk.  Padding is what it costs, less
 * than one of the host's blocks for each run of clean clusters that is worth
 * it; so the longest runs get it, as many as may grow the image by 1/256.
 */
#include "commit_impl.h"

enum {
	GROWTH = 256,
	LEAST = 64 << 10, /* bytes of a run; less is copied as fast */
};

static int
descending(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x < *y) - (*x > *y);
}

/* The bytes of each clean run; *n is how many there are. */
static int
measure(
    struct blkdev *uzip, const struct plan *plan, uint64_t *bytes, size_t *n)
{
	int rc = 0;

	*n = 0;
	for (size_t i = 0; i < plan->nruns && rc == 0; i++) {
		const struct plan_run *run = &plan->runs[i];

		if (run->kind == PLAN_CLEAN)
			rc = uzip_extent(
			    uzip, run->first, run->n, &bytes[(*n)++]);
	}
	return rc;
}

/* The length of the shortest of at most most runs, not 0. */
static int
choose(struct blkdev *uzip, const struct plan *plan, uint64_t most,
    uint64_t *least)
{
	scoped(freep) uint64_t *bytes =
	    malloc((plan->nruns + 1) * sizeof(*bytes));
	size_t n;
	int rc = bytes == NULL ? -ENOMEM : measure(uzip, plan, bytes, &n);

	if (rc < 0)
		return rc;
	*least = LEAST;
	if (n <= most)
		return 0;
	qsort(bytes, n, sizeof(*bytes), descending);
	if (bytes[most] >= LEAST)
		*least = bytes[most] + 1;
	return 0;
}

int
commit_share(struct commit *c, const struct plan *plan, struct blkdev *out,
    struct uzip_params *p)
{
	struct blkdev *base = uzip_container(c->uzip);
	uint64_t most;

	blkdev_sharing(base, out, &p->sharing);
	if (p->sharing.unit == 0)
		return 0;
	most = base->size / GROWTH / p->sharing.unit;
	return most > 0 ? choose(c->uzip, plan, most, &p->share_least) : 0;
}
