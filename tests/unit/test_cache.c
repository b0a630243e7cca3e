#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

#include "../../imgfmt/blkdev.h"
#include "../../imgfmt/radix.h"
#include "blkdev_fault.h"
#include "check.h"

enum {
	B = 4096,
	MIB = 1 << 20,
};

/* A cache over a counting device over memory filled with a pattern. */
struct rig {
	struct blkdev *mem, *fault, *cache;
};

static uint8_t
pattern(uint64_t off)
{
	return (uint8_t)(off * 31 + off / B * 7 + 1);
}

static struct rig
rig_open(uint64_t size, uint64_t dirty_max, uint64_t clean_max)
{
	struct rig r;

	CHECK_EQ(blkdev_mem_open(size, &r.mem), 0);
	for (uint64_t off = 0; off < size; off++) {
		uint8_t c = pattern(off);

		CHECK_EQ(blkdev_write(r.mem, off, &c, 1), 0);
	}
	CHECK_EQ(blkdev_fault_open(r.mem, &r.fault), 0);
	CHECK_EQ(blkdev_cache_open(r.fault, dirty_max, clean_max, &r.cache), 0);
	return r;
}

static uint8_t
byte_at(struct blkdev *dev, uint64_t off)
{
	uint8_t c = 0;

	CHECK_EQ(blkdev_read(dev, off, &c, 1), 0);
	return c;
}

static void
fill(struct blkdev *dev, uint64_t off, size_t len, int value)
{
	scoped(freep) void *buf = malloc(len);

	memset(buf, value, len);
	CHECK_EQ(blkdev_write(dev, off, buf, len), 0);
}

static bool
is_all(struct blkdev *dev, uint64_t off, size_t len, int value)
{
	scoped(freep) uint8_t *buf = malloc(len);

	CHECK_EQ(blkdev_read(dev, off, buf, len), 0);
	for (size_t i = 0; i < len; i++)
		if (buf[i] != value)
			return false;
	return true;
}

static void
nothing_reaches_lower_before_a_flush(void)
{
	struct rig r = rig_open(8 * B, MIB, MIB);

	fill(r.cache, 100, B, 'x');
	CHECK(is_all(r.cache, 100, B, 'x'));
	CHECK_EQ(byte_at(r.cache, 99), pattern(99));
	CHECK_EQ(byte_at(r.cache, 100 + B), pattern(100 + B));
	CHECK_EQ(byte_at(r.mem, 100), pattern(100));
	CHECK(blkdev_cache_dirty(r.cache) > 0);
	CHECK_EQ(blkdev_flush(r.cache), 0);
	CHECK_EQ(blkdev_cache_dirty(r.cache), 0);
	CHECK(is_all(r.mem, 100, B, 'x'));
	CHECK_EQ(byte_at(r.mem, 99), pattern(99));
	CHECK_EQ(blkdev_fault_calls(r.fault, FAULT_FLUSH), 1);
	blkdev_close(r.cache);
}

static void
a_whole_block_is_written_without_reading_lower(void)
{
	struct rig r = rig_open(8 * B + 100, MIB, MIB);

	fill(r.cache, B, 2 * B, 'x');
	fill(r.cache, 8 * B, 100, 'y'); /* the short last one */
	CHECK_EQ(blkdev_trim(r.cache, 4 * B, 2 * B), 0);
	CHECK_EQ(blkdev_fault_calls(r.fault, FAULT_READ), 0);
	CHECK_EQ(blkdev_flush(r.cache), 0);
	CHECK(is_all(r.mem, B, 2 * B, 'x') && is_all(r.mem, 8 * B, 100, 'y'));
	CHECK(is_all(r.mem, 4 * B, 2 * B, 0));
	CHECK_EQ(byte_at(r.mem, 6 * B), pattern(6 * B));
	blkdev_close(r.cache);
}

static void
neighbours_reach_lower_as_one_request(void)
{
	struct rig r = rig_open(200 * B, MIB, MIB);

	for (int i = 150; i >= 10; i--)
		fill(r.cache, (uint64_t)i * B, B, 'a');
	CHECK_EQ(blkdev_trim(r.cache, 160 * B, 20 * B), 0);
	CHECK_EQ(blkdev_flush(r.cache), 0);
	CHECK_EQ(blkdev_fault_calls(r.fault, FAULT_WRITE), 1);
	CHECK_EQ(blkdev_fault_calls(r.fault, FAULT_TRIM), 1);
	blkdev_close(r.cache);
}

static void
small_reads_are_kept_and_large_ones_pass(void)
{
	struct rig r = rig_open(64 * B, MIB, MIB);
	scoped(freep) uint8_t *buf = malloc(64 * B);

	CHECK_EQ(blkdev_read(r.cache, 10, buf, 100), 0);
	CHECK_EQ(blkdev_read(r.cache, 2000, buf, 100), 0);
	CHECK_EQ(blkdev_fault_calls(r.fault, FAULT_READ), 1);
	CHECK_EQ(blkdev_read(r.cache, 0, buf, 64 * B), 0);
	CHECK_EQ(blkdev_fault_calls(r.fault, FAULT_READ), 2);
	for (uint64_t i = 0; i < 64 * B; i++)
		CHECK_EQ(buf[i], pattern(i));
	CHECK_EQ(blkdev_read(r.cache, 8 * B, buf, 1), 0);
	CHECK_EQ(blkdev_fault_calls(r.fault, FAULT_READ), 3);
	blkdev_close(r.cache);
}

static void
what_is_read_once_is_not_kept(void)
{
	struct rig r = rig_open(8 * B, MIB, MIB);
	uint8_t buf[2 * B];

	for (int reads = 1; reads <= 2; reads++) {
		CHECK_EQ(blkdev_read_once(r.cache, 10, buf, B), 0);
		CHECK_EQ(buf[B - 1], pattern(10 + B - 1));
		CHECK_EQ(blkdev_fault_calls(r.fault, FAULT_READ), reads);
	}
	/* What is there all the same is what it shows. */
	CHECK_EQ(byte_at(r.cache, 0), pattern(0));
	fill(r.cache, B, B, 'd');
	CHECK_EQ(blkdev_fault_calls(r.fault, FAULT_READ), 3);
	CHECK_EQ(blkdev_read_once(r.cache, B - 1, buf, B + 1), 0);
	CHECK(buf[0] == pattern(B - 1) && buf[1] == 'd' && buf[B] == 'd');
	CHECK_EQ(blkdev_fault_calls(r.fault, FAULT_READ), 3);
	CHECK_EQ(blkdev_read_once(r.cache, 8 * B, buf, 1), -EINVAL);
	blkdev_close(r.cache);
}

static void
lower_hears_what_comes_in_a_stream(void)
{
	struct rig r = rig_open(64 * B, MIB, MIB);
	uint8_t buf[4 * B] = "";

	CHECK_EQ(blkdev_write_once(r.cache, 10 * B, buf, sizeof(buf)), 0);
	fill(r.cache, 40 * B, 4 * B, 'w');
	CHECK_EQ(blkdev_flush(r.cache), 0);
	CHECK_EQ(blkdev_fault_calls(r.fault, FAULT_WRITE), 2);
	CHECK_EQ(blkdev_fault_calls(r.fault, FAULT_ONCE), 1);
	CHECK(is_all(r.mem, 10 * B, 4 * B, 0));
	/* A run that is not all of a stream is none. */
	CHECK_EQ(blkdev_write_once(r.cache, 10 * B, buf, sizeof(buf)), 0);
	fill(r.cache, 12 * B + 1, 1, 'w');
	CHECK_EQ(blkdev_flush(r.cache), 0);
	CHECK_EQ(blkdev_fault_calls(r.fault, FAULT_WRITE), 3);
	CHECK_EQ(blkdev_fault_calls(r.fault, FAULT_ONCE), 1);
	blkdev_close(r.cache);
}

static void
a_large_read_asks_lower_once_per_hole(void)
{
	struct rig r = rig_open(64 * B, MIB, MIB);
	scoped(freep) uint8_t *buf = malloc(64 * B);

	fill(r.cache, 20 * B, B, 'd');
	CHECK_EQ(blkdev_trim(r.cache, 40 * B, B), 0);
	CHECK_EQ(blkdev_read(r.cache, 5, buf, 64 * B - 10), 0);
	CHECK_EQ(blkdev_fault_calls(r.fault, FAULT_READ), 3);
	CHECK_EQ(buf[20 * B - 5], 'd');
	CHECK_EQ(buf[40 * B], 0);
	CHECK_EQ(buf[41 * B - 5], pattern(41 * B));
	blkdev_close(r.cache);
}

static void
clean_blocks_stay_within_their_bound(void)
{
	struct rig r = rig_open(64 * B, MIB, 4 * B);
	uint8_t c;

	for (unsigned i = 0; i < 8; i++)
		CHECK_EQ(blkdev_read(r.cache, i * B, &c, 1), 0);
	for (unsigned i = 4; i < 8; i++) /* these were used last */
		CHECK_EQ(blkdev_read(r.cache, i * B, &c, 1), 0);
	CHECK_EQ(blkdev_fault_calls(r.fault, FAULT_READ), 8);
	CHECK_EQ(blkdev_read(r.cache, 0, &c, 1), 0);
	CHECK_EQ(blkdev_fault_calls(r.fault, FAULT_READ), 9);
	blkdev_close(r.cache);
}

static void
nothing_is_kept_where_nothing_may_be(void)
{
	struct rig r = rig_open(8 * B, 0, 0);

	fill(r.cache, 10, 5, 'p');
	CHECK(is_all(r.cache, 10, 5, 'p'));
	CHECK_EQ(byte_at(r.mem, 10), 'p'); /* handed down at once */
	CHECK(blkdev_cache_dirty(r.cache) > 0);
	CHECK_EQ(blkdev_flush(r.cache), 0);
	CHECK_EQ(blkdev_cache_dirty(r.cache), 0);
	blkdev_close(r.cache);
}

static void
too_much_dirt_is_handed_down_oldest_first_without_a_flush(void)
{
	struct rig r = rig_open(1024 * B, 256 * B, MIB);

	fill(r.cache, 900 * B, B, 'o');
	for (uint64_t i = 0; i < 300; i++)
		fill(r.cache, i * B, B, 'n');
	CHECK_EQ(byte_at(r.mem, 900 * B), 'o');
	CHECK_EQ(byte_at(r.mem, 0), 'n');
	CHECK_EQ(byte_at(r.mem, 299 * B), pattern(299 * B));
	CHECK_EQ(blkdev_fault_calls(r.fault, FAULT_FLUSH), 0);
	CHECK(is_all(r.cache, 0, 300 * B, 'n'));
	CHECK_EQ(blkdev_flush(r.cache), 0);
	CHECK(is_all(r.mem, 0, 300 * B, 'n'));
	blkdev_close(r.cache);
}

static void
a_full_lower_keeps_everything_in_memory(void)
{
	struct rig r = rig_open(1024 * B, 64 * B, MIB);

	blkdev_fault_arm(
	    r.fault, FAULT_WRITE | FAULT_TRIM | FAULT_RESIZE, 1, -ENOSPC, true);
	for (uint64_t i = 0; i < 500; i++)
		fill(r.cache, i * B, B, 'w');
	CHECK_EQ(blkdev_trim(r.cache, 600 * B, 100 * B), 0);
	CHECK_EQ(blkdev_resize(r.cache, 2000 * B), 0);
	fill(r.cache, 1999 * B, B, 'e');
	CHECK_EQ(blkdev_flush(r.cache), -ENOSPC);
	CHECK(blkdev_fault_calls(r.fault, FAULT_WRITE) < 100);
	CHECK(is_all(r.cache, 0, 500 * B, 'w'));
	CHECK(is_all(r.cache, 600 * B, 100 * B, 0));
	blkdev_fault_arm(r.fault, 0, 0, 0, false);
	CHECK_EQ(blkdev_flush(r.cache), 0);
	CHECK(is_all(r.mem, 0, 500 * B, 'w'));
	CHECK(is_all(r.mem, 600 * B, 100 * B, 0));
	CHECK(is_all(r.mem, 1999 * B, B, 'e'));
	CHECK_EQ(blkdev_cache_dirty(r.cache), 0);
	blkdev_close(r.cache);
}

static void
every_failing_call_leaves_the_contents_as_they_were(void)
{
	static const int errors[] = {-EIO, -ENOSPC};

	for (unsigned nth = 1; nth < 40; nth++) {
		struct rig r = rig_open(100 * B + 77, 16 * B, 4 * B);
		unsigned calls;

		for (uint64_t i = 0; i < 90; i += 3)
			fill(r.cache, i * B + (i & 1) * 50, 2 * B, 'f');
		CHECK_EQ(blkdev_trim(r.cache, 11 * B, 3 * B), 0);
		calls = blkdev_fault_calls(r.fault, FAULT_ALL);
		blkdev_fault_arm(
		    r.fault, FAULT_ALL, nth, errors[nth & 1], false);
		CHECK_EQ(blkdev_resize(r.cache, 120 * B), 0);
		while (blkdev_flush(r.cache) < 0)
			CHECK(blkdev_cache_dirty(r.cache) > 0);
		CHECK(blkdev_fault_calls(r.fault, FAULT_ALL) > calls);
		for (uint64_t i = 15; i < 90; i += 3)
			CHECK(is_all(r.mem, i * B + (i & 1) * 50, 2 * B, 'f'));
		CHECK(is_all(r.mem, 11 * B, 3 * B, 0));
		CHECK(is_all(r.mem, 101 * B, 19 * B, 0));
		blkdev_close(r.cache);
	}
}

static void
a_failing_read_fails_the_partial_write_alone(void)
{
	struct rig r = rig_open(8 * B, MIB, MIB);
	char c = 'z';

	blkdev_fault_arm(r.fault, FAULT_READ, 1, -EIO, true);
	CHECK_EQ(blkdev_read(r.cache, 5, &c, 1), -EIO);
	CHECK_EQ(blkdev_write(r.cache, 5, &c, 1), -EIO);
	fill(r.cache, B, B, 'k');
	CHECK(is_all(r.cache, B, B, 'k'));
	blkdev_fault_arm(r.fault, 0, 0, 0, false);
	CHECK_EQ(byte_at(r.cache, 5), pattern(5));
	blkdev_close(r.cache);
}

static void
what_shrinking_cut_off_never_comes_back(void)
{
	struct rig r = rig_open(20 * B, MIB, MIB);

	fill(r.cache, 12 * B, B, 's');
	CHECK_EQ(byte_at(r.cache, 5 * B + 200), pattern(5 * B + 200));
	CHECK_EQ(blkdev_resize(r.cache, 5 * B + 100), 0);
	CHECK_EQ(blkdev_resize(r.cache, 18 * B), 0);
	CHECK(is_all(r.cache, 5 * B + 100, 13 * B - 100, 0));
	CHECK_EQ(byte_at(r.cache, 5 * B + 99), pattern(5 * B + 99));
	CHECK_EQ(blkdev_flush(r.cache), 0);
	CHECK_EQ(r.mem->size, 18 * B);
	CHECK(is_all(r.mem, 5 * B + 100, 13 * B - 100, 0));
	CHECK_EQ(byte_at(r.mem, 5 * B + 99), pattern(5 * B + 99));
	blkdev_close(r.cache);
}

static void
a_trim_beyond_lower_needs_no_memory_and_no_request(void)
{
	struct rig r = rig_open(4 * B, MIB, MIB);
	uint64_t huge = UINT64_C(1) << 50;

	CHECK_EQ(blkdev_resize(r.cache, huge), 0);
	fill(r.cache, huge - 10, 10, 't');
	CHECK_EQ(blkdev_trim(r.cache, 4 * B, huge - 4 * B), 0);
	CHECK(is_all(r.cache, huge - 10, 10, 0));
	CHECK_EQ(blkdev_resize(r.cache, 6 * B), 0);
	CHECK_EQ(blkdev_flush(r.cache), 0);
	CHECK_EQ(blkdev_fault_calls(r.fault, FAULT_TRIM | FAULT_WRITE), 0);
	blkdev_close(r.cache);
}

static void
scratch_mode_writes_over_a_read_only_lower(void)
{
	struct rig r = rig_open(8 * B, MIB, MIB);
	struct blkdev_change ch;

	r.fault->writable = false;
	CHECK_EQ(blkdev_flush(r.cache), 0);
	fill(r.cache, 3 * B, 10, 'q');
	CHECK_EQ(blkdev_resize(r.cache, 10 * B), 0);
	fill(r.cache, 9 * B, B, 'r');
	CHECK(
	    is_all(r.cache, 3 * B, 10, 'q') && is_all(r.cache, 9 * B, B, 'r'));
	CHECK_EQ(blkdev_flush(r.cache), -EROFS);
	CHECK_EQ(blkdev_next_change(r.cache, 0, &ch), 1);
	CHECK_EQ(ch.off, 3 * B);
	CHECK_EQ(ch.len, B);
	CHECK_EQ(byte_at(r.mem, 3 * B), pattern(3 * B));
	blkdev_cache_discard(r.cache);
	CHECK_EQ(r.cache->size, 8 * B);
	CHECK_EQ(byte_at(r.cache, 3 * B), pattern(3 * B));
	CHECK_EQ(blkdev_flush(r.cache), 0);
	blkdev_close(r.cache);
}

/* Next change at off, as a number to compare: kind, blocks. */
static void
expect_change(
    struct blkdev *dev, uint64_t from, uint64_t off, uint64_t len, bool trimmed)
{
	struct blkdev_change ch = {0, 0, false};

	CHECK_EQ(blkdev_next_change(dev, from, &ch), 1);
	CHECK_EQ(ch.off, off);
	CHECK_EQ(ch.len, len);
	CHECK_EQ(ch.trimmed, trimmed);
}

static void
changes_merge_over_those_of_lower(void)
{
	struct blkdev *mem, *under, *over;
	struct blkdev_change ch;

	CHECK_EQ(blkdev_mem_open(2000 * B, &mem), 0);
	mem->writable = false;
	CHECK_EQ(blkdev_cache_open(mem, MIB, MIB, &under), 0);
	CHECK_EQ(blkdev_cache_open(under, MIB, MIB, &over), 0);
	fill(under, 10 * B, 10 * B, 'u');
	CHECK_EQ(blkdev_trim(under, 1000 * B, 900 * B), 0);
	CHECK_EQ(blkdev_trim(over, 12 * B, B), 0);
	fill(over, 30 * B, 1, 'o');
	CHECK_EQ(blkdev_resize(over, 1500 * B + 5), 0);
	expect_change(over, 0, 10 * B, 2 * B, false);
	expect_change(over, 11 * B + 1, 11 * B + 1, B - 1, false);
	expect_change(over, 12 * B, 12 * B, B, true);
	expect_change(over, 13 * B, 13 * B, 7 * B, false);
	expect_change(over, 20 * B, 30 * B, B, false);
	expect_change(over, 31 * B, 1000 * B, 500 * B + 5, true);
	CHECK_EQ(blkdev_resize(over, 40 * B), 0);
	CHECK_EQ(blkdev_next_change(over, 31 * B, &ch), 0);
	blkdev_close(over);
}

/* One random operation on dev and on its model in memory. */
static void
random_step(struct blkdev *dev, uint8_t *model, uint64_t *size, unsigned *seed)
{
	static uint8_t buf[40 * B];
	uint64_t off = (unsigned)rand_r(seed) % *size;
	size_t len = (unsigned)rand_r(seed) % sizeof(buf);
	unsigned what = (unsigned)rand_r(seed) % 10;

	if (what & 1) /* metadata-like */
		len = len % 600 + 1;
	if (len > *size - off)
		len = *size - off;
	if (what < 4) {
		memset(buf, rand_r(seed), len);
		memcpy(model + off, buf, len);
		CHECK_EQ(blkdev_write(dev, off, buf, len), 0);
	} else if (what < 6) {
		memset(model + off, 0, len);
		CHECK_EQ(blkdev_trim(dev, off, len), 0);
	} else if (what < 9) {
		CHECK_EQ(blkdev_read(dev, off, buf, len), 0);
		CHECK(memcmp(buf, model + off, len) == 0);
	} else if (rand_r(seed) % 4 == 0) {
		uint64_t to = 1 + (unsigned)rand_r(seed) % (300 * B);

		if (to < *size)
			memset(model + to, 0, *size - to);
		CHECK_EQ(blkdev_resize(dev, to), 0);
		*size = to;
	} else if (rand_r(seed) % 4 == 0) {
		CHECK_EQ(blkdev_flush(dev), 0);
	}
}

static void
random_use_equals_plain_memory(void)
{
	for (unsigned round = 0; round < 20; round++) {
		struct rig r = rig_open(200 * B, round * 16 * B, round * 4 * B);
		scoped(freep) uint8_t *model = calloc(300, B);
		scoped(freep) uint8_t *got = malloc(300 * B);
		uint64_t size = 200 * B;
		unsigned seed = round;

		for (uint64_t i = 0; i < size; i++)
			model[i] = pattern(i);
		for (int i = 0; i < 300; i++)
			random_step(r.cache, model, &size, &seed);
		CHECK_EQ(blkdev_read(r.cache, 0, got, size), 0);
		CHECK(memcmp(got, model, size) == 0);
		CHECK_EQ(blkdev_flush(r.cache), 0);
		CHECK_EQ(r.mem->size, size);
		CHECK_EQ(blkdev_read(r.mem, 0, got, size), 0);
		CHECK(memcmp(got, model, size) == 0);
		blkdev_close(r.cache);
	}
}

/* Each block always holds one value; a torn or stale one shows. */
struct crowd {
	struct blkdev *dev;
	uint8_t floor[64]; /* the value block i has reached for sure */
	int stop;
};

static void *
crowd_read(void *arg)
{
	struct crowd *c = arg;
	unsigned seed = 9;
	static _Thread_local uint8_t buf[B];

	while (!__atomic_load_n(&c->stop, __ATOMIC_ACQUIRE)) {
		unsigned i = (unsigned)rand_r(&seed) % 64;
		uint8_t least = __atomic_load_n(&c->floor[i], __ATOMIC_ACQUIRE);

		CHECK_EQ(blkdev_read(c->dev, i * B, buf, B), 0);
		CHECK(buf[0] >= least);
		CHECK(memcmp(buf, buf + 1, B - 1) == 0);
	}
	return NULL;
}

static void *
crowd_flush(void *arg)
{
	struct crowd *c = arg;

	while (!__atomic_load_n(&c->stop, __ATOMIC_ACQUIRE))
		CHECK_EQ(blkdev_flush(c->dev), 0);
	return NULL;
}

static void
readers_never_see_what_was_already_overwritten(void)
{
	struct blkdev *mem;
	struct crowd c = {NULL, {0}, 0};
	pthread_t threads[3];

	CHECK_EQ(blkdev_mem_open(64 * B, &mem), 0);
	/* No clean block lives long: every race has its chance. */
	CHECK_EQ(blkdev_cache_open(mem, 8 * B, 4 * B, &c.dev), 0);
	CHECK_EQ(pthread_create(&threads[0], NULL, crowd_read, &c), 0);
	CHECK_EQ(pthread_create(&threads[1], NULL, crowd_read, &c), 0);
	CHECK_EQ(pthread_create(&threads[2], NULL, crowd_flush, &c), 0);
	for (int value = 1; value < 200; value++)
		for (unsigned i = 0; i < 64; i++) {
			fill(c.dev, i * B, B, value);
			__atomic_store_n(
			    &c.floor[i], (uint8_t)value, __ATOMIC_RELEASE);
		}
	__atomic_store_n(&c.stop, 1, __ATOMIC_RELEASE);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	CHECK(is_all(c.dev, 0, 64 * B, 199));
	blkdev_close(c.dev);
}

static void
a_radix_tree_finds_keys_in_order(void)
{
	static const uint64_t keys[] = {
	    0, 1, 63, 64, 4095, 1u << 20, UINT64_C(1) << 60, UINT64_MAX};
	enum { N = sizeof(keys) / sizeof(keys[0]) };
	struct radix map = {NULL, 0};
	uint64_t key = 0;

	CHECK(radix_next(&map, &key) == NULL && radix_get(&map, 0) == NULL);
	for (size_t i = N; i-- > 0;) {
		CHECK_EQ(radix_add(&map, keys[i], &map), 0);
		CHECK(radix_get(&map, keys[i]) == &map);
	}
	for (size_t i = 0; i < N; i++) {
		CHECK(radix_next(&map, &key) == &map);
		CHECK(key == keys[i]);
		key++;
	}
	for (size_t i = 0; i < N; i++) {
		radix_remove(&map, keys[i]);
		radix_remove(&map, keys[i]);
		key = 0;
		CHECK((radix_next(&map, &key) == NULL) == (i == N - 1));
	}
	key = 65;
	CHECK_EQ(radix_add(&map, 64, &map), 0);
	CHECK(radix_next(&map, &key) == NULL);
	radix_release(&map);
}

TESTS({"nothing reaches lower before a flush",
	  nothing_reaches_lower_before_a_flush},
    {"a whole block is written without reading lower",
	a_whole_block_is_written_without_reading_lower},
    {"neighbours reach lower as one request",
	neighbours_reach_lower_as_one_request},
    {"small reads are kept and large ones pass",
	small_reads_are_kept_and_large_ones_pass},
    {"what is read once is not kept", what_is_read_once_is_not_kept},
    {"lower hears what comes in a stream", lower_hears_what_comes_in_a_stream},
    {"a large read asks lower once per hole",
	a_large_read_asks_lower_once_per_hole},
    {"clean blocks stay within their bound",
	clean_blocks_stay_within_their_bound},
    {"nothing is kept where nothing may be",
	nothing_is_kept_where_nothing_may_be},
    {"too much dirt is handed down, oldest first, without a flush",
	too_much_dirt_is_handed_down_oldest_first_without_a_flush},
    {"a full lower keeps everything in memory",
	a_full_lower_keeps_everything_in_memory},
    {"every failing call leaves the contents as they were",
	every_failing_call_leaves_the_contents_as_they_were},
    {"a failing read fails the partial write alone",
	a_failing_read_fails_the_partial_write_alone},
    {"what shrinking cut off never comes back",
	what_shrinking_cut_off_never_comes_back},
    {"a trim beyond lower needs no memory and no request",
	a_trim_beyond_lower_needs_no_memory_and_no_request},
    {"scratch mode writes over a read-only lower",
	scratch_mode_writes_over_a_read_only_lower},
    {"changes merge over those of lower", changes_merge_over_those_of_lower},
    {"random use equals plain memory", random_use_equals_plain_memory},
    {"readers never see what was already overwritten",
	readers_never_see_what_was_already_overwritten},
    {"a radix tree finds keys in order", a_radix_tree_finds_keys_in_order})
