/* The overlay as a device, over files in memory. */
#include <pthread.h>
#include <stdlib.h>

#include "overlay_rig.h"

static void
a_new_overlay_shows_its_base(void)
{
	struct rig r = rig_open();
	struct blkdev_change ch;
	struct overlay_info info;

	CHECK_EQ(r.dev->size, BASE);
	CHECK(is_base(&r, 0, BASE));
	CHECK(is_base(&r, 4095, 4098));
	CHECK_EQ(blkdev_next_change(r.dev, 0, &ch), 0);
	CHECK_EQ(blkdev_flush(r.dev), 0);
	overlay_info(r.dev, &info);
	CHECK_EQ(info.file_bytes, OVERLAY_HEADER);
	CHECK_EQ(info.live_bytes, OVERLAY_HEADER);
	CHECK_EQ(info.transactions, 0);
	rig_close(&r);
}

static void
what_was_flushed_is_there_after_reopening_and_nothing_else(void)
{
	struct rig r = rig_open();

	fill(r.dev, 3, 40, 'a');
	CHECK_EQ(blkdev_trim(r.dev, 10 * B, 2 * B), 0);
	CHECK_EQ(blkdev_flush(r.dev), 0);
	fill(r.dev, 5, 1, 'b');
	CHECK(is_all(r.dev, 5 * B, B, 'b'));
	rig_reopen(&r, 0);
	CHECK(is_all(r.dev, 3 * B, 7 * B, 'a'));
	CHECK(is_all(r.dev, 10 * B, 2 * B, 0));
	CHECK(is_all(r.dev, 12 * B, 31 * B, 'a'));
	CHECK(is_base(&r, 0, 3 * B) && is_base(&r, 43 * B, B));
	rig_close(&r);
}

static void
pieces_of_blocks_are_refused(void)
{
	struct rig r = rig_open();
	char buf[2 * B] = "";

	CHECK_EQ(blkdev_write(r.dev, 1, buf, B), -EINVAL);
	CHECK_EQ(blkdev_write(r.dev, 0, buf, 100), -EINVAL);
	CHECK_EQ(blkdev_trim(r.dev, B, B + 1), -EINVAL);
	CHECK_EQ(blkdev_write(r.dev, BASE - B + 1000, buf, B - 1000), 0);
	CHECK(is_all(r.dev, BASE - B + 1000, B - 1000, 0));
	CHECK_EQ(blkdev_trim(r.dev, BASE - B + 1000, B - 1000), 0);
	rig_close(&r);
}

static void
what_resizing_cut_off_never_comes_back(void)
{
	struct rig r = rig_open();

	fill(r.dev, 30, 20, 'x');
	CHECK_EQ(blkdev_resize(r.dev, 40 * B + 5), 0);
	CHECK_EQ(blkdev_resize(r.dev, 120 * B), 0);
	CHECK(is_all(r.dev, 30 * B, 10 * B + 5, 'x'));
	CHECK(is_all(r.dev, 40 * B + 5, 80 * B - 5, 0));
	CHECK_EQ(blkdev_flush(r.dev), 0);
	rig_reopen(&r, 0);
	CHECK_EQ(r.dev->size, 120 * B);
	CHECK(is_all(r.dev, 40 * B + 5, 80 * B - 5, 0));
	CHECK_EQ(overlay_compact(r.dev), 0);
	rig_reopen(&r, 0);
	CHECK_EQ(r.dev->size, 120 * B);
	CHECK(is_all(r.dev, 40 * B + 5, 80 * B - 5, 0));
	rig_close(&r);
}

static void
a_base_that_ends_inside_a_block_grows_with_zeroes(void)
{
	struct rig r = rig_open();

	CHECK_EQ(blkdev_resize(r.dev, BASE + B), 0);
	CHECK(is_base(&r, 0, BASE));
	CHECK(is_all(r.dev, BASE, B, 0));
	rig_close(&r);
}

static void
a_trim_of_nothing_writes_nothing(void)
{
	struct rig r = rig_open();
	struct overlay_info before, after;

	CHECK_EQ(blkdev_resize(r.dev, 150 * B), 0);
	CHECK_EQ(blkdev_trim(r.dev, 10 * B, 5 * B), 0);
	overlay_info(r.dev, &before);
	CHECK_EQ(blkdev_trim(r.dev, 120 * B, 10 * B), 0);
	CHECK_EQ(blkdev_trim(r.dev, 11 * B, 3 * B), 0);
	overlay_info(r.dev, &after);
	CHECK_EQ(after.file_bytes, before.file_bytes);
	CHECK_EQ(blkdev_trim(r.dev, 9 * B, 3 * B), 0);
	CHECK_EQ(blkdev_trim(r.dev, 98 * B, 4 * B), 0);
	overlay_info(r.dev, &after);
	CHECK_EQ(after.trimmed_bytes, 8 * B);
	CHECK_EQ(after.extents, 2);
	rig_close(&r);
}

static uint64_t
file_bytes(struct blkdev *dev)
{
	struct overlay_info info;

	overlay_info(dev, &info);
	return info.file_bytes;
}

static void
what_comes_in_a_stream_takes_no_time_to_compress(void)
{
	struct rig r = rig_open();
	static uint8_t text[40 * B];
	uint64_t before = file_bytes(r.dev);

	memset(text, 't', sizeof(text));
	CHECK_EQ(blkdev_write_once(r.dev, 2 * B, text, sizeof(text)), 0);
	CHECK(file_bytes(r.dev) - before >= sizeof(text));
	before = file_bytes(r.dev);
	CHECK_EQ(blkdev_write(r.dev, 2 * B, text, sizeof(text)), 0);
	CHECK(file_bytes(r.dev) - before < sizeof(text) / 10);
	/* Zeroes are found at once. */
	memset(text, 0, sizeof(text));
	before = file_bytes(r.dev);
	CHECK_EQ(blkdev_write_once(r.dev, 50 * B, text, sizeof(text)), 0);
	CHECK(file_bytes(r.dev) - before < sizeof(text) / 10);
	/* What a rewrite keeps, it compresses. */
	memset(text, 't', sizeof(text));
	CHECK_EQ(blkdev_write_once(r.dev, 2 * B, text, sizeof(text)), 0);
	CHECK_EQ(blkdev_flush(r.dev), 0);
	CHECK_EQ(overlay_compact(r.dev), 0);
	CHECK(file_bytes(r.dev) < OVERLAY_HEADER + sizeof(text) / 5);
	rig_reopen(&r, 0);
	CHECK(is_all(r.dev, 2 * B, sizeof(text), 't'));
	CHECK(is_all(r.dev, 50 * B, sizeof(text), 0));
	rig_close(&r);
}

static void
the_note_is_that_of_the_last_flush(void)
{
	struct rig r = rig_open();
	struct overlay_info info;
	size_t len;

	CHECK_EQ(overlay_set_note(r.dev, "one", 3), 0);
	(void)overlay_note(r.dev, &len);
	CHECK_EQ(len, 0);
	CHECK_EQ(blkdev_flush(r.dev), 0);
	CHECK_EQ(overlay_set_note(r.dev, "one", 3), 0);
	CHECK_EQ(blkdev_flush(r.dev), 0);
	overlay_info(r.dev, &info);
	CHECK_EQ(info.transactions, 1);
	CHECK_EQ(overlay_set_note(r.dev, "three", 5), 0);
	rig_reopen(&r, 0);
	CHECK(memcmp(overlay_note(r.dev, &len), "one", 3) == 0 && len == 3);
	CHECK_EQ(overlay_compact(r.dev), 0);
	rig_reopen(&r, 0); /* by the index */
	CHECK(memcmp(overlay_note(r.dev, &len), "one", 3) == 0 && len == 3);
	CHECK_EQ(overlay_set_note(r.dev, NULL, 0), 0);
	CHECK_EQ(blkdev_flush(r.dev), 0);
	rig_reopen(&r, 0);
	(void)overlay_note(r.dev, &len);
	CHECK_EQ(len, 0);
	CHECK_EQ(overlay_set_note(r.dev, "", OVERLAY_NOTE_MAX + 1), -EFBIG);
	rig_close(&r);
}

static void
another_base_is_refused(void)
{
	static const struct overlay_id other = {"another identity"};
	struct rig r = rig_open();
	struct blkdev *small, *dev;

	CHECK_EQ(memdisk_open(r.disk, &other, r.base, 0, &dev), -ESTALE);
	CHECK_EQ(blkdev_mem_open(BASE - 1, &small), 0);
	CHECK_EQ(memdisk_open(r.disk, &id, small, 0, &dev), -ESTALE);
	blkdev_close(small);
	rig_close(&r);
}

static void
a_reader_keeps_its_snapshot_while_a_writer_goes_on(void)
{
	struct rig r = rig_open();
	struct blkdev *reader;
	struct overlay_info info;
	char c = 0;

	fill(r.dev, 0, 10, 'a');
	CHECK_EQ(blkdev_flush(r.dev), 0);
	fill(r.dev, 0, 5, 'b'); /* not flushed: not to be seen */
	CHECK_EQ(memdisk_open(r.disk, &id, blkdev_ref(r.base),
		     OVERLAY_READ_ONLY, &reader),
	    0);
	CHECK(is_all(reader, 0, 10 * B, 'a'));
	CHECK_EQ(blkdev_flush(r.dev), 0);
	fill(r.dev, 5, 5, 'c');
	CHECK_EQ(overlay_compact(r.dev), 0);
	fill(r.dev, 0, 10, 'd');
	CHECK_EQ(overlay_finish(r.dev), 0);
	CHECK(is_all(reader, 0, 10 * B, 'a'));
	CHECK_EQ(blkdev_write(reader, 0, &c, 1), -EROFS);
	CHECK_EQ(blkdev_flush(reader), 0);
	CHECK_EQ(overlay_finish(reader), 0);
	CHECK_EQ(overlay_compact(reader), -EROFS);
	CHECK_EQ(overlay_set_note(reader, "", 0), -EROFS);
	overlay_info(reader, &info);
	CHECK_EQ(info.transactions, 1);
	blkdev_close(reader);
	rig_close(&r);
}

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
changes_are_what_was_written_or_trimmed(void)
{
	struct rig r = rig_open();
	struct blkdev_change ch;

	fill(r.dev, 10, 40, 'a'); /* three records, one change */
	CHECK_EQ(blkdev_trim(r.dev, 50 * B, 10 * B), 0);
	CHECK_EQ(blkdev_resize(r.dev, 120 * B), 0);
	fill(r.dev, 119, 1, 'z');
	expect_change(r.dev, 0, 10 * B, 40 * B, false);
	expect_change(r.dev, 20 * B + 7, 20 * B + 7, 30 * B - 7, false);
	expect_change(r.dev, 50 * B, 50 * B, 10 * B, true);
	expect_change(r.dev, 60 * B, 119 * B, B, false);
	CHECK_EQ(blkdev_resize(r.dev, 119 * B), 0);
	CHECK_EQ(blkdev_next_change(r.dev, 60 * B, &ch), 0);
	rig_close(&r);
}

static void
finishing_leaves_an_index_and_compacts_garbage(void)
{
	struct rig r = rig_open();
	struct overlay_info before, after;
	size_t ops;

	for (int i = 0; i < 100; i++) {
		fill(r.dev, 1, 9, i < 99 ? i : 'j');
		CHECK_EQ(blkdev_flush(r.dev), 0);
	}
	overlay_info(r.dev, &before);
	CHECK_EQ(overlay_finish(r.dev), 0);
	overlay_info(r.dev, &after);
	CHECK(after.file_bytes < before.file_bytes);
	CHECK_EQ(after.transactions, before.transactions);
	ops = memdisk_ops(r.disk);
	CHECK_EQ(overlay_finish(r.dev), 0); /* nothing to do */
	CHECK_EQ(memdisk_ops(r.disk), ops);
	rig_reopen(&r, 0);
	CHECK(is_all(r.dev, B, 9 * B, 'j'));
	overlay_info(r.dev, &before);
	CHECK_EQ(before.live_bytes, after.live_bytes);
	fill(r.dev, 1, 1, 'k'); /* revokes the index */
	CHECK_EQ(blkdev_flush(r.dev), 0);
	rig_reopen(&r, 0);
	CHECK(is_all(r.dev, B, B, 'k') && is_all(r.dev, 2 * B, 8 * B, 'j'));
	overlay_info(r.dev, &after);
	CHECK_EQ(after.transactions, before.transactions + 1);
	rig_close(&r);
}

/* The overlay next to its model. */
struct model {
	uint64_t size;
	uint8_t data[MOST];
};

static void
random_write(
    struct rig *r, struct model *m, uint64_t no, uint64_t end, unsigned *seed)
{
	static uint8_t buf[MOST];
	uint64_t off = no * B;
	size_t len = (size_t)((end * B < m->size ? end * B : m->size) - off);
	bool noise = rand_r(seed) % 2;

	if (rand_r(seed) % 3 == 0) {
		memset(m->data + off, 0, len);
		CHECK_EQ(blkdev_trim(r->dev, off, len), 0);
		return;
	}
	memset(buf, rand_r(seed), len);
	for (size_t i = 0; noise && i < len; i++)
		buf[i] = (uint8_t)rand_r(seed);
	memcpy(m->data + off, buf, len);
	CHECK_EQ(rand_r(seed) % 4 == 0
		? blkdev_write_once(r->dev, off, buf, len)
		: blkdev_write(r->dev, off, buf, len),
	    0);
}

static void
random_step(struct rig *r, struct model *m, unsigned *seed)
{
	uint64_t blocks = (m->size + B - 1) / B;
	uint64_t no = (unsigned)rand_r(seed) % blocks;
	uint64_t n = 1 + (unsigned)rand_r(seed) % 24;
	unsigned what = (unsigned)rand_r(seed) % 40;

	if (rand_r(seed) % 2)
		n = 1;
	if (what < 30) {
		random_write(r, m, no, no + n < blocks ? no + n : blocks, seed);
	} else if (what < 32) {
		uint64_t to = 1 + (unsigned)rand_r(seed) % MOST;

		if (to < m->size)
			memset(m->data + to, 0, m->size - to);
		CHECK_EQ(blkdev_resize(r->dev, to), 0);
		m->size = to;
	} else if (what < 36) {
		CHECK_EQ(blkdev_flush(r->dev), 0);
	} else if (what < 37) {
		CHECK_EQ(overlay_compact(r->dev), 0);
	} else {
		CHECK_EQ(
		    what < 38 ? overlay_finish(r->dev) : blkdev_flush(r->dev),
		    0);
		rig_reopen(r, 0);
	}
}

static void
random_use_equals_plain_memory(void)
{
	static struct model m;
	static uint8_t got[MOST];

	for (unsigned round = 0; round < 40; round++) {
		struct rig r = rig_open();
		unsigned seed = round;

		memset(m.data, 0, sizeof(m.data));
		CHECK_EQ(blkdev_read(r.base, 0, m.data, BASE), 0);
		m.size = BASE;
		for (int i = 0; i < 150; i++) {
			random_step(&r, &m, &seed);
			if (i % 10 != 0)
				continue;
			CHECK_EQ(r.dev->size, m.size);
			CHECK_EQ(blkdev_read(r.dev, 0, got, m.size), 0);
			CHECK(memcmp(got, m.data, m.size) == 0);
		}
		rig_close(&r);
	}
}

/* Readers beside a writer that also compacts: a block has one value. */
struct crowd {
	struct blkdev *dev;
	int stop;
};

static void *
crowd_read(void *arg)
{
	struct crowd *c = arg;
	unsigned seed = 7;
	uint8_t buf[B];

	while (!__atomic_load_n(&c->stop, __ATOMIC_ACQUIRE)) {
		unsigned no = (unsigned)rand_r(&seed) % 60;

		CHECK_EQ(blkdev_read(c->dev, no * B, buf, B), 0);
		CHECK(memcmp(buf, buf + 1, B - 1) == 0);
	}
	return NULL;
}

static void
reading_goes_on_beside_a_writer(void)
{
	struct rig r = rig_open();
	struct crowd c = {r.dev, 0};
	pthread_t threads[2];

	fill(r.dev, 0, 60, 1);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, crowd_read, &c), 0);
	for (int i = 0; i < 200; i++) {
		fill(r.dev, (uint64_t)(i * 7 % 40), 20, i);
		CHECK_EQ(blkdev_trim(r.dev, (uint64_t)(i % 50) * B, B), 0);
		if (i % 8 == 0)
			CHECK_EQ(blkdev_flush(r.dev), 0);
		if (i % 32 == 0)
			CHECK_EQ(overlay_compact(r.dev), 0);
	}
	__atomic_store_n(&c.stop, 1, __ATOMIC_RELEASE);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	rig_close(&r);
}

TESTS({"a new overlay shows its base", a_new_overlay_shows_its_base},
    {"what was flushed is there after reopening, and nothing else",
	what_was_flushed_is_there_after_reopening_and_nothing_else},
    {"pieces of blocks are refused", pieces_of_blocks_are_refused},
    {"what resizing cut off never comes back",
	what_resizing_cut_off_never_comes_back},
    {"a base that ends inside a block grows with zeroes",
	a_base_that_ends_inside_a_block_grows_with_zeroes},
    {"a trim of nothing writes nothing", a_trim_of_nothing_writes_nothing},
    {"what comes in a stream takes no time to compress",
	what_comes_in_a_stream_takes_no_time_to_compress},
    {"the note is that of the last flush", the_note_is_that_of_the_last_flush},
    {"another base is refused", another_base_is_refused},
    {"a reader keeps its snapshot while a writer goes on",
	a_reader_keeps_its_snapshot_while_a_writer_goes_on},
    {"changes are what was written or trimmed",
	changes_are_what_was_written_or_trimmed},
    {"finishing leaves an index and compacts garbage",
	finishing_leaves_an_index_and_compacts_garbage},
    {"random use equals plain memory", random_use_equals_plain_memory},
    {"reading goes on beside a writer", reading_goes_on_beside_a_writer})
