/* The commit's plan against a cluster-by-cluster reckoning. */
#include "../../mkimage/plan.h"

#include <stdlib.h>

#include "check.h"

enum { CLUSTER = 19456, NCLUSTERS = 40, BLOCK = 512 };

/* A device that only tells changes: a letter for each block. */
struct told {
	struct blkdev dev;
	char block[NCLUSTERS * CLUSTER / BLOCK]; /* '.', 'w', 't' */
};

static int
told_next(struct blkdev *dev, uint64_t off, struct blkdev_change *out)
{
	struct told *t = (struct told *)dev;
	uint64_t n = dev->size / BLOCK, i = off / BLOCK, end;

	while (i < n && t->block[i] == '.')
		i++;
	if (i == n)
		return 0;
	for (end = i; end < n && t->block[end] == t->block[i]; end++)
		;
	out->off = i * BLOCK > off ? i * BLOCK : off;
	out->len = end * BLOCK - out->off;
	out->trimmed = t->block[i] == 't';
	return 1;
}

static const struct blkdev_ops told_ops = {.next_change = told_next};

static enum plan_kind
reckon(const struct told *t, uint32_t c, uint32_t base)
{
	uint32_t per = CLUSTER / BLOCK, trimmed = 0, written = 0;

	for (uint32_t i = c * per; i < (c + 1) * per; i++) {
		trimmed += t->block[i] == 't';
		written += t->block[i] == 'w';
	}
	if (written + trimmed == 0)
		return c < base ? PLAN_CLEAN : PLAN_FREE;
	return trimmed == per ? PLAN_FREE : PLAN_DIRTY;
}

static void
compare(struct told *t, uint32_t base)
{
	struct plan plan;
	uint32_t c = 0;

	CHECK_EQ(plan_make(&t->dev, CLUSTER, base, &plan), 0);
	for (size_t i = 0; i < plan.nruns; i++) {
		CHECK_EQ(plan.runs[i].first, c);
		for (uint32_t k = 0; k < plan.runs[i].n; k++, c++)
			CHECK_EQ(plan.runs[i].kind, reckon(t, c, base));
	}
	CHECK_EQ(c, NCLUSTERS);
	plan_release(&plan);
}

static void
runs_agree_with_a_reckoning_by_block(void)
{
	struct told t = {
	    .dev = {.ops = &told_ops, .size = sizeof(t.block) * BLOCK}};

	srandom(1);
	for (int round = 0; round < 300; round++) {
		size_t n = sizeof(t.block);

		memset(t.block, '.', n);
		for (int k = 0; k < round % 12; k++) {
			size_t at = (size_t)random() % n;
			size_t len = (size_t)random() % (n / 4) + 1;

			memset(t.block + at, ".wtt"[random() % 4],
			    len < n - at ? len : n - at);
		}
		compare(&t, (uint32_t)(random() % (NCLUSTERS + 1)));
	}
}

static void
no_change_is_an_empty_plan(void)
{
	struct told t = {
	    .dev = {.ops = &told_ops, .size = sizeof(t.block) * BLOCK}};
	struct plan plan;

	memset(t.block, '.', sizeof(t.block));
	CHECK_EQ(plan_make(&t.dev, CLUSTER, NCLUSTERS, &plan), 0);
	CHECK(plan_is_empty(&plan, NCLUSTERS));
	CHECK_EQ(plan.nruns, 1);
	plan_release(&plan);
	t.block[7] = 't';
	CHECK_EQ(plan_make(&t.dev, CLUSTER, NCLUSTERS, &plan), 0);
	CHECK(!plan_is_empty(&plan, NCLUSTERS));
	CHECK_EQ(plan.count[PLAN_DIRTY], 1);
	CHECK_EQ(plan.changed_bytes, BLOCK);
	plan_release(&plan);
}

TESTS({"runs agree with a reckoning by block",
	  runs_agree_with_a_reckoning_by_block},
    {"no change is an empty plan", no_change_is_an_empty_plan})
