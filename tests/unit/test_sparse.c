/* The sparse device in memory, against a plain one. */
#include <stdlib.h>

#include "../../imgfmt/blkdev.h"
#include "check.h"

enum { SIZE = 64 << 10, ROUNDS = 4000, MOST = 20000 };

static unsigned
draw(unsigned below)
{
	static uint64_t state = 7;

	state = state * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(state >> 33) % below;
}

static int
fill(uint8_t *buf, size_t len)
{
	int value = (int)draw(4);

	for (size_t i = 0; i < len; i++)
		buf[i] = value == 0 ? 0 : (uint8_t)draw(256);
	return value;
}

static int
same(struct blkdev *a, struct blkdev *b)
{
	static uint8_t x[SIZE], y[SIZE];
	size_t n = (size_t)a->size;

	return a->size == b->size && blkdev_read(a, 0, x, n) == 0 &&
	    blkdev_read(b, 0, y, n) == 0 && memcmp(x, y, n) == 0;
}

static int
change_both(struct blkdev *a, struct blkdev *b)
{
	static uint8_t buf[MOST];
	uint64_t off = draw((unsigned)a->size);
	size_t len = draw(MOST), left = (size_t)(a->size - off);
	uint64_t size = SIZE / 2 + draw(SIZE / 2);

	if (len > left)
		len = left;
	switch (draw(8)) {
	case 0:
		return blkdev_resize(a, size) | blkdev_resize(b, size);
	case 1:
	case 2:
		return blkdev_trim(a, off, len) | blkdev_trim(b, off, len);
	default:
		(void)fill(buf, len);
		return blkdev_write(a, off, buf, len) |
		    blkdev_write(b, off, buf, len);
	}
}

static void
it_holds_what_memory_holds(void)
{
	struct blkdev *a, *b;
	int wrong = 0;

	CHECK_EQ(blkdev_sparse_open(SIZE, &a), 0);
	CHECK_EQ(blkdev_mem_open(SIZE, &b), 0);
	for (int i = 0; i < ROUNDS; i++) {
		wrong += change_both(a, b) != 0;
		wrong += i % 16 == 0 && !same(a, b);
	}
	CHECK_EQ(wrong, 0);
	CHECK(same(a, b));
	blkdev_close(a);
	blkdev_close(b);
}

static void
zeroes_take_no_memory(void)
{
	static const uint8_t zeroes[9000];
	uint64_t far = UINT64_C(1) << 45;
	struct blkdev *dev;
	uint8_t got = 1;

	CHECK_EQ(blkdev_sparse_open(far * 2, &dev), 0);
	CHECK_EQ(blkdev_write(dev, far, zeroes, sizeof(zeroes)), 0);
	CHECK(blkdev_sparse_is_hole(dev, 0, far * 2));
	CHECK_EQ(blkdev_write(dev, far + 5000, "x", 1), 0);
	CHECK(blkdev_sparse_is_hole(dev, 0, far));
	CHECK(!blkdev_sparse_is_hole(dev, far, 5001));
	CHECK_EQ(blkdev_read(dev, far + 5000, &got, 1), 0);
	CHECK_EQ(got, 'x');
	CHECK_EQ(blkdev_trim(dev, 1, far * 2 - 1), 0);
	CHECK(blkdev_sparse_is_hole(dev, 0, far * 2));
	blkdev_close(dev);
}

TESTS({"it holds what plain memory holds", it_holds_what_memory_holds},
    {"zeroes take no memory", zeroes_take_no_memory})
