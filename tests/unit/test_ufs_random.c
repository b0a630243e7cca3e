/*
 * Random operations against a model.  RELIVE_LONG=N: N rounds with new seeds;
 * RELIVE_SEED=S: that seed.  A failure prints the seed.
 */
#include <stdlib.h>
#include <time.h>

#include "../../imgfmt/log.h"
#include "blkdev_fault.h"
#include "check.h"
#include "ufs_model.h"

static struct model model;

static uint64_t
seed_of(uint64_t fallback)
{
	const char *text = getenv("RELIVE_SEED");

	if (text != NULL)
		return strtoull(text, NULL, 10);
	if (getenv("RELIVE_LONG") != NULL)
		return (uint64_t)time(NULL) * 1000 + fallback;
	return fallback;
}

static int
rounds(void)
{
	const char *text = getenv("RELIVE_LONG");

	return text != NULL ? atoi(text) : 1;
}

/* Judge, and compare before and after opening again. */
static void
judge(struct scratch *scratch, uint64_t seed, const char *name)
{
	int faults;

	model_compare(&model);
	faults = scratch_faults(scratch);
	CHECK_EQ(faults, 0);
	CHECK_EQ(model.wrong, 0);
	if (faults != 0 || model.wrong != 0)
		printf(
		    "# %s: RELIVE_SEED=%llu\n", name, (unsigned long long)seed);
}

static void
reopen(struct scratch *scratch)
{
	model_unpin_all(&model);
	CHECK_EQ(ufs_flush(scratch->fs), 0);
	ufs_close(scratch->fs);
	scratch_open(scratch);
}

static void
run_shape(const struct scratch_shape *shape, uint64_t seed, int steps)
{
	struct ufs_info before, after;
	struct scratch scratch;

	scratch_make(&scratch, shape);
	ufs_info(scratch.fs, &before);
	model_init(&model, &scratch, UFS_ROOT, seed);
	for (int i = 1; i <= steps && model.wrong == 0; i++) {
		model_step(&model);
		if (i % (steps / 8) == 0)
			judge(&scratch, seed, shape->name);
		if (i % (steps / 2) == 0) {
			reopen(&scratch);
			judge(&scratch, seed, shape->name);
		}
	}
	ufs_info(scratch.fs, &after);
	CHECK(after.free < before.free);
	model_free(&model);
	scratch_close(&scratch);
}

static void
model_and_file_system_agree(void)
{
	uint64_t seed = seed_of(1);

	for (int r = 0; r < rounds(); r++)
		for (const struct scratch_shape *s = scratch_shapes; s->name;
		     s++)
			run_shape(s, seed++, 4000);
}

/* A small device that may grow up to limit bytes: how often it was full. */
static unsigned long
run_small(const struct scratch_shape *shape, uint64_t seed, uint64_t limit)
{
	struct scratch_shape small = *shape;
	struct scratch scratch;

	small.bytes = (uint64_t)shape->bsize * 160;
	small.ncg = 0;
	scratch_make(&scratch, &small);
	ufs_close(scratch.fs);
	scratch.limit = limit;
	scratch_open(&scratch);
	model_init(&model, &scratch, UFS_ROOT, seed);
	model.total_max = 64 << 20;
	for (int i = 1; i <= 2000 && model.wrong == 0; i++) {
		model_step(&model);
		if (i % 500 == 0)
			judge(&scratch, seed, shape->name);
	}
	model_free(&model);
	scratch_close(&scratch);
	return model.full;
}

static void
they_agree_when_the_device_is_full(void)
{
	uint64_t seed = seed_of(1000);
	unsigned long full = 0;

	for (int r = 0; r < rounds(); r++)
		for (const struct scratch_shape *s = scratch_shapes; s->name;
		     s++)
			full += run_small(s, seed++, 1);
	CHECK(full > 20);
}

static void
they_agree_while_it_grows(void)
{
	uint64_t seed = seed_of(2000);

	for (int r = 0; r < rounds(); r++)
		for (const struct scratch_shape *s = scratch_shapes; s->name;
		     s++)
			CHECK_EQ(run_small(s, seed++, 1 << 30), 0);
}

/*
 * Operations over a cache over a device of which a read fails: either the
 * engine undoes what it began, or it refuses to flush and what was flushed
 * last is whole.
 */
static int
run_failing(const struct scratch_shape *shape, uint64_t seed)
{
	struct blkdev *fault, *cache;
	struct scratch scratch;
	int rc, faults;

	scratch_make(&scratch, shape);
	model_init(&model, &scratch, UFS_ROOT, seed);
	for (int i = 0; i < 150; i++)
		model_step(&model);
	model_unpin_all(&model);
	CHECK_EQ(ufs_flush(scratch.fs), 0);
	ufs_close(scratch.fs);
	CHECK_EQ(blkdev_fault_open(blkdev_ref(scratch.dev), &fault), 0);
	CHECK_EQ(blkdev_cache_open(fault, 16 << 20, 1 << 20, &cache), 0);
	CHECK_EQ(ufs_open(cache, &(struct ufs_options){.writable = true},
		     &scratch.fs),
	    0);
	log_set_level(-1);
	model.failing = true;
	blkdev_fault_arm(fault, FAULT_READ,
	    1 + (unsigned)model_random(&model, 60), -EIO, false);
	for (int i = 0; i < 150 && !model.diverged; i++)
		model_step(&model);
	log_set_level(LOG_INFO_LEVEL);
	blkdev_fault_arm(fault, FAULT_READ, 0, 0, false);
	model_unpin_all(&model);
	rc = ufs_flush(scratch.fs);
	CHECK(rc == 0 || rc == -EIO);
	CHECK_EQ(model.wrong, 0);
	ufs_close(scratch.fs);
	scratch.fs = NULL;
	faults = ufs_check(scratch.dev, NULL, 0, NULL, NULL);
	CHECK_EQ(faults, 0);
	if (faults != 0)
		printf("# %s: RELIVE_SEED=%llu, flush gave %d\n", shape->name,
		    (unsigned long long)seed, rc);
	model_free(&model);
	scratch_close(&scratch);
	return model.diverged;
}

static void
a_failing_device_leaves_a_whole_file_system(void)
{
	uint64_t seed = seed_of(3000);
	int failed = 0;

	for (int r = 0; r < 4 * rounds(); r++)
		for (const struct scratch_shape *s = scratch_shapes; s->name;
		     s++)
			failed += run_failing(s, seed++);
	CHECK(failed > 4);
}

#define T(name) \
	{ \
#name, name \
	}

TESTS(T(model_and_file_system_agree), T(they_agree_when_the_device_is_full),
    T(they_agree_while_it_grows),
    T(a_failing_device_leaves_a_whole_file_system))
