#include "../../imgfmt/blkdev.h"

#include "check.h"

static void
slice_maps_to_its_base(void)
{
	scoped(blkdev_closep) struct blkdev *dev = NULL;
	struct blkdev *mem;
	char got[4] = "";

	CHECK_EQ(blkdev_mem_open(64, &mem), 0);
	CHECK_EQ(blkdev_write(mem, 16, "abcd", 4), 0);
	CHECK_EQ(blkdev_slice_open(mem, 16, 8, &dev), 0);
	CHECK_EQ(blkdev_read(dev, 0, got, 4), 0);
	CHECK(memcmp(got, "abcd", 4) == 0);
}

static void
range_that_wraps_is_refused(void)
{
	static const struct {
		uint64_t off;
		size_t len;
		int want;
	} cases[] = {
	    {0, 64, 0},
	    {64, 0, 0},
	    {64, 1, -EINVAL},
	    {UINT64_MAX, 1, -EINVAL},
	    {1, SIZE_MAX, -EINVAL},
	};
	scoped(blkdev_closep) struct blkdev *dev = NULL;
	char buf[64];

	CHECK_EQ(blkdev_mem_open(64, &dev), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CHECK_EQ(blkdev_read(dev, cases[i].off, buf, cases[i].len),
		    cases[i].want);
}

static void
trim_reads_back_as_zeroes(void)
{
	scoped(blkdev_closep) struct blkdev *dev = NULL;
	char got[3];

	CHECK_EQ(blkdev_mem_open(8, &dev), 0);
	CHECK_EQ(blkdev_write(dev, 0, "abcdefgh", 8), 0);
	CHECK_EQ(blkdev_trim(dev, 1, 1), 0);
	CHECK_EQ(blkdev_read(dev, 0, got, 3), 0);
	CHECK(memcmp(got, "a\0c", 3) == 0);
	CHECK_EQ(blkdev_flush(dev), 0);
}

static void
what_resize_adds_is_zero(void)
{
	scoped(blkdev_closep) struct blkdev *dev = NULL;
	char got[4];

	CHECK_EQ(blkdev_mem_open(4, &dev), 0);
	CHECK_EQ(blkdev_write(dev, 0, "abcd", 4), 0);
	CHECK_EQ(blkdev_resize(dev, 2), 0);
	CHECK_EQ(blkdev_resize(dev, 4), 0);
	CHECK_EQ(blkdev_read(dev, 0, got, 4), 0);
	CHECK(memcmp(got, "ab\0\0", 4) == 0);
}

static void
a_shared_device_lives_until_its_last_owner_closes_it(void)
{
	struct blkdev *dev, *slice;
	char c;

	CHECK_EQ(blkdev_mem_open(4, &dev), 0);
	CHECK_EQ(blkdev_slice_open(blkdev_ref(dev), 1, 2, &slice), 0);
	blkdev_close(slice);
	CHECK_EQ(blkdev_read(dev, 3, &c, 1), 0);
	blkdev_close(dev);
}

static void
a_sparse_write_leaves_out_zeroes_alone(void)
{
	enum { PIECE = 64 << 10, LEN = 3 * PIECE + 5 };
	scoped(blkdev_closep) struct blkdev *dev = NULL;
	static uint8_t data[LEN], got[LEN];

	data[PIECE + 7] = 1;
	data[LEN - 1] = 2;
	CHECK_EQ(blkdev_mem_open(LEN, &dev), 0);
	CHECK_EQ(blkdev_write_sparse(dev, 0, data, LEN), 0);
	CHECK_EQ(blkdev_read(dev, 0, got, LEN), 0);
	CHECK(memcmp(got, data, LEN) == 0);
	/* What is left out keeps what was there: it is not written. */
	memset(got, 9, LEN);
	CHECK_EQ(blkdev_write(dev, 0, got, LEN), 0);
	CHECK_EQ(blkdev_write_sparse(dev, 0, data, LEN), 0);
	CHECK_EQ(blkdev_read(dev, 0, got, LEN), 0);
	CHECK_EQ(got[PIECE - 1], 9);
	CHECK_EQ(got[PIECE + 6], 0);
	CHECK_EQ(got[2 * PIECE], 9);
	CHECK_EQ(got[LEN - 2], 0);
}

TESTS({"slice maps to its base", slice_maps_to_its_base},
    {"a range that wraps is refused", range_that_wraps_is_refused},
    {"trim reads back as zeroes", trim_reads_back_as_zeroes},
    {"what resize adds is zero", what_resize_adds_is_zero},
    {"a shared device lives until its last owner closes it",
	a_shared_device_lives_until_its_last_owner_closes_it},
    {"a sparse write leaves out zeroes alone",
	a_sparse_write_leaves_out_zeroes_alone})
