/* The uzip's inner parts: cluster cache, sink of the writer, hash table. */
#include <pthread.h>

#include "../../imgfmt/uzip_cache.h"
#include "../../imgfmt/uzip_map.h"
#include "../../imgfmt/uzip_stream.h"
#include "blkdev_fault.h"
#include "uzip_kit.h"

enum { CLUSTER = 1024 };

/*
 * One reader of a cache.  It asks once so many fills have begun; its own takes
 * its time and may fail.
 */
struct reader {
	struct uzip_cache *cache;
	uint64_t key;
	int after;
	useconds_t take;
	int error;
	atomic_int *fills;
	int rc;
	uint8_t got[CLUSTER];
};

static int
fill(void *arg, uint8_t *data)
{
	struct reader *r = arg;

	(*r->fills)++;
	memset(data, (int)r->key, CLUSTER / 2);
	usleep(r->take);
	memset(data + CLUSTER / 2, (int)r->key, CLUSTER / 2);
	return r->error;
}

static void *
read_one(void *arg)
{
	struct reader *r = arg;
	struct uzip_want want = {
	    .key = r->key, .off = 0, .len = CLUSTER, .buf = r->got};

	while (*r->fills < r->after)
		usleep(100);
	r->rc = uzip_cache_read(r->cache, &want, fill, r);
	return NULL;
}

/* Run all readers at once on a cache of slots clusters; how many fills. */
static int
run_readers(struct reader *r, size_t n, unsigned slots)
{
	atomic_int fills = 0;
	pthread_t threads[8];
	struct uzip_cache *cache = NULL;

	CHECK_EQ(uzip_cache_open(CLUSTER, slots * CLUSTER, &cache), 0);
	for (size_t i = 0; i < n; i++) {
		r[i].cache = cache;
		r[i].fills = &fills;
		CHECK_EQ(pthread_create(&threads[i], NULL, read_one, &r[i]), 0);
	}
	for (size_t i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	uzip_cache_close(cache);
	return fills;
}

static bool
got_its_own(const struct reader *r)
{
	for (size_t i = 0; i < CLUSTER; i++)
		if (r->got[i] != (uint8_t)r->key)
			return false;
	return r->rc == 0;
}

static void
slot_in_use_is_not_given_to_another_key(void)
{
	struct reader r[3] = {
	    {.key = 1, .take = 30000},
	    {.key = 2, .after = 1},
	    {.key = 3, .after = 1, .take = 1000},
	};

	CHECK_EQ(run_readers(r, 3, 1), 3);
	for (size_t i = 0; i < 3; i++)
		CHECK(got_its_own(&r[i]));
}

static void
who_comes_while_a_cluster_is_filled_waits_for_it(void)
{
	struct reader r[4];

	for (size_t i = 0; i < 4; i++)
		r[i] = (struct reader){.key = 9, .after = i > 0, .take = 20000};
	CHECK_EQ(run_readers(r, 4, 4), 1);
	for (size_t i = 0; i < 4; i++)
		CHECK(got_its_own(&r[i]));
}

static void
failure_to_fill_is_not_kept(void)
{
	struct reader r[2] = {
	    {.key = 5, .take = 10000, .error = -EIO},
	    {.key = 5, .after = 1},
	};

	CHECK_EQ(run_readers(r, 2, 4), 2);
	CHECK_EQ(r[0].rc, -EIO);
	CHECK(got_its_own(&r[1]));
}

static void
peek_finds_only_what_is_there(void)
{
	atomic_int fills = 0;
	struct uzip_cache *cache = NULL;
	struct reader r = {.key = 7, .fills = &fills};
	uint8_t buf[4] = "";
	struct uzip_want want = {.key = 7, .off = 1000, .len = 4, .buf = buf};

	CHECK_EQ(uzip_cache_open(CLUSTER, 0, &cache), 0);
	CHECK(!uzip_cache_peek(cache, &want));
	CHECK_EQ(uzip_cache_read(cache, &want, fill, &r), 0);
	memset(buf, 0, 4);
	CHECK(uzip_cache_peek(cache, &want));
	CHECK(memcmp(buf, "\7\7\7\7", 4) == 0);
	want.key = 8;
	CHECK(!uzip_cache_peek(cache, &want));
	uzip_cache_close(cache);
}

/*
 * Append bytes and copies at random, to a sink and to a model.  Memory cannot
 * share, whatever sharing says: it is copied then.
 */
static void
put_and_copy_at_random(const struct blkdev_sharing *sharing)
{
	enum { SOURCE = 3 << 20, MODEL = 48 << 20, START = 1000 };
	scoped(freep) uint8_t *source = malloc(SOURCE);
	scoped(freep) uint8_t *model = calloc(1, MODEL);
	scoped(freep) uint8_t *tmp = malloc(SOURCE);
	scoped(blkdev_closep) struct blkdev *out = kit_dev("base", 4);
	scoped(blkdev_closep) struct blkdev *from = NULL;
	struct uzip_sink k;
	uint64_t seed = 3;
	size_t pos = START, put_at = START, put_len = 0;

	for (size_t i = 0; i < SOURCE; i++)
		source[i] = (uint8_t)kit_random(&seed);
	from = kit_dev(source, SOURCE);
	CHECK_EQ(uzip_sink_open(&k, out, 4, START), 0);
	k.sharing = *sharing;
	while (pos < MODEL - SOURCE) {
		uint64_t r = kit_random(&seed);
		size_t most = r % 256 == 0 ? SOURCE : 40000;
		size_t off = r / 8 % SOURCE;
		size_t len = kit_random(&seed) % most;

		if (len > SOURCE - off)
			len = SOURCE - off;
		memcpy(model + pos, source + off, len);
		if (r % 3 == 0 && len < (2 << 20)) {
			CHECK_EQ(uzip_sink_put(&k, source + off, len), 0);
			put_at = pos;
			put_len = len;
		} else {
			CHECK_EQ(uzip_sink_copy(&k, from, off, len), 0);
		}
		pos += len;
		CHECK_EQ(k.pos, pos);
		CHECK(put_len == 0 ||
		    uzip_sink_holds(&k, put_at, model + put_at, put_len, tmp) ==
			1);
	}
	CHECK_EQ(uzip_sink_flush(&k), 0);
	uzip_sink_close(&k);
	scoped(bytes_free) struct bytes all = kit_all(out);
	CHECK_EQ(all.len, pos + 4);
	CHECK(memcmp(all.p + 4, model, pos) == 0);
	CHECK(memcmp(all.p, "base", 4) == 0);
	CHECK_EQ(k.shared, 0);
}

static void
random_puts_and_copies_come_out_in_order(void)
{
	put_and_copy_at_random(&(struct blkdev_sharing){0});
}

static void
what_cannot_be_shared_after_all_is_copied(void)
{
	put_and_copy_at_random(&(struct blkdev_sharing){512, 3, 100});
	put_and_copy_at_random(&(struct blkdev_sharing){4096, 0, 0});
}

static void
copies_in_a_row_are_one_copy(void)
{
	enum { PIECE = 100000, PIECES = 10 };
	scoped(freep) uint8_t *data = calloc(PIECES, PIECE);
	scoped(blkdev_closep) struct blkdev *out = kit_dev("", 0);
	scoped(blkdev_closep) struct blkdev *from = NULL;
	struct uzip_sink k;

	CHECK_EQ(blkdev_fault_open(kit_dev(data, PIECES * PIECE), &from), 0);
	CHECK_EQ(uzip_sink_open(&k, out, 0, 0), 0);
	for (uint64_t i = 0; i < PIECES; i++)
		CHECK_EQ(uzip_sink_copy(&k, from, i * PIECE, PIECE), 0);
	CHECK_EQ(blkdev_fault_calls(from, FAULT_READ), 0);
	CHECK_EQ(uzip_sink_flush(&k), 0);
	CHECK_EQ(blkdev_fault_calls(from, FAULT_READ), 1);
	CHECK_EQ(out->size, PIECES * PIECE);
	uzip_sink_close(&k);
}

static void
sink_compares_with_what_it_took(void)
{
	scoped(blkdev_closep) struct blkdev *out = kit_dev("", 0);
	scoped(blkdev_closep) struct blkdev *from = kit_dev("copied", 6);
	struct uzip_sink k;
	uint8_t tmp[8];

	CHECK_EQ(uzip_sink_open(&k, out, 0, 8), 0);
	CHECK_EQ(uzip_sink_put(&k, "first", 5), 0);
	CHECK_EQ(uzip_sink_holds(&k, 8, "first", 5, tmp), 1);
	CHECK_EQ(uzip_sink_holds(&k, 8, "other", 5, tmp), 0);
	CHECK_EQ(uzip_sink_flush(&k), 0);
	CHECK_EQ(uzip_sink_put(&k, "second", 6), 0);
	CHECK_EQ(uzip_sink_copy(&k, from, 0, 6), 0);
	CHECK_EQ(uzip_sink_holds(&k, 8, "first", 5, tmp), 1);
	CHECK_EQ(uzip_sink_holds(&k, 8, "other", 5, tmp), 0);
	CHECK_EQ(uzip_sink_holds(&k, 13, "second", 6, tmp), 1);
	uzip_sink_close(&k);
}

static void
map_finds_what_was_added(void)
{
	struct uzip_map m = {0};

	CHECK(uzip_map_find(&m, 1) == NULL);
	for (uint64_t i = 1; i <= 5000; i++) {
		struct uzip_place p = {i << 40 | i, i * 3, (uint32_t)i};

		CHECK_EQ(uzip_map_add(&m, &p), 0);
	}
	for (uint64_t i = 1; i <= 5000; i++) {
		const struct uzip_place *p = uzip_map_find(&m, i << 40 | i);

		CHECK(p != NULL && p->off == i * 3 && p->len == i);
		CHECK(uzip_map_find(&m, i) == NULL);
	}
	uzip_map_clear(&m);
	CHECK(uzip_map_find(&m, 1ULL << 40 | 1) == NULL);
}

#define T(name) \
	{ \
#name, name \
	}
TESTS(T(slot_in_use_is_not_given_to_another_key),
    T(who_comes_while_a_cluster_is_filled_waits_for_it),
    T(failure_to_fill_is_not_kept), T(peek_finds_only_what_is_there),
    T(random_puts_and_copies_come_out_in_order),
    T(what_cannot_be_shared_after_all_is_copied),
    T(copies_in_a_row_are_one_copy), T(sink_compares_with_what_it_took),
    T(map_finds_what_was_added))
