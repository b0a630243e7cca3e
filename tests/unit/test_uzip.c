/* The uzip reader: fixtures, quirks, and every way an image can lie. */
#include <pthread.h>

#include "uzip_kit.h"

static const char *const fixtures[] = {
    "small-lzma-16k.uzip",
    "small-lzma-64k-d.uzip",
    "small-zlib-128k-ish.uzip",
    "small-zlib-16k-Z.uzip",
    "small-zlib-16k-d.uzip",
    "small-zlib-16k-garbage-last.uzip",
    "small-zlib-16k-slack.uzip",
    "small-zlib-16k-zero-last.uzip",
    "small-zlib-16k.uzip",
    "small-zlib-19456-Zd.uzip",
    "small-zlib-19456.uzip",
    "small-zlib-256k.uzip",
    "small-zlib-512.uzip",
    "small-zlib-64k.uzip",
    "small-zstd-1000448.uzip",
    "small-zstd-16k.uzip",
    "small-zstd-19456.uzip",
    "small-zstd-256k-d.uzip",
    "small-zstd-64k-d.uzip",
};

enum { NFIXTURES = sizeof(fixtures) / sizeof(fixtures[0]) };

/* Does dev read as want, then zeroes, by reads of step bytes? */
static bool
reads_as(struct blkdev *dev, const struct bytes *want, size_t step)
{
	scoped(freep) uint8_t *got = malloc(dev->size);
	scoped(freep) uint8_t *expect = calloc(1, dev->size);

	if (dev->size < want->len)
		return false;
	memcpy(expect, want->p, want->len);
	for (uint64_t off = 0; off < dev->size; off += step) {
		uint64_t left = dev->size - off;

		if (blkdev_read(dev, off, got + off,
			left < step ? (size_t)left : step) < 0)
			return false;
	}
	return memcmp(got, expect, dev->size) == 0;
}

static void
all_fixtures_decode_to_the_image_they_were_made_of(void)
{
	static const size_t steps[] = {SIZE_MAX, 4096, 100000, 200001};
	scoped(bytes_free) struct bytes want = kit_small_ufs();
	struct pool *pool = NULL;

	if (want.p == NULL)
		SKIP("no fixtures");
	CHECK_EQ(pool_open(3, &pool), 0);
	for (size_t i = 0; i < NFIXTURES; i++) {
		scoped(bytes_free) struct bytes img = kit_file(fixtures[i]);
		scoped(bytes_free) struct bytes plain = {0};

		CHECK(img.p != NULL);
		for (size_t k = 0; k < 4; k++) {
			scoped(blkdev_closep) struct blkdev *dev = NULL;

			CHECK_EQ(uzip_open(kit_dev(img.p, img.len), CACHE,
				     k % 2 ? NULL : pool, &dev),
			    0);
			CHECK(reads_as(dev, &want, steps[k]));
		}
		plain = kernel_decode(&img, true);
		CHECK(plain.p != NULL && plain.len >= want.len);
		CHECK(memcmp(plain.p, want.p, want.len) == 0);
	}
	pool_close(pool);
}

static void
fixtures_without_dedup_open_without_reading_their_index(void)
{
	scoped(bytes_free) struct bytes img = kit_file("small-zlib-512.uzip");
	struct counter *counter;
	struct blkdev *dev;

	if (img.p == NULL)
		SKIP("no fixtures");
	counter = counter_open(kit_dev(img.p, img.len));
	CHECK_EQ(uzip_open(&counter->dev, CACHE, NULL, &dev), 0);
	CHECK(counter->bytes < 1024);
	blkdev_close(dev);
}

static void
every_variant_opens_and_tells_its_facts(void)
{
	for (size_t i = 0; i < 6; i++) {
		struct craft c = sample(kit_variants[i][0], kit_variants[i][1]);
		scoped(blkdev_closep) struct blkdev *dev = open_craft(&c);
		const struct uzip_info *info = uzip_info(dev);

		CHECK_EQ(info->codec, i / 2);
		CHECK_EQ(info->letter, kit_variants[i][0]);
		CHECK_EQ(info->version, kit_variants[i][1]);
		CHECK_EQ(info->cluster, 1024);
		CHECK_EQ(dev->size, 4096);
		CHECK_EQ(uzip_probe(uzip_container(dev)), 1);
		CHECK(cluster_is(dev, 0, 1024) && cluster_is(dev, 1, 1024));
		CHECK(cluster_is_zero(dev, 2) && cluster_is(dev, 3, 1024));
	}
}

static void
back_references_read_as_their_first_cluster(void)
{
	struct craft c = sample('v', '3');
	uint8_t got[1024], want[1024];
	struct uzip_span span;

	c.entry[3] = c.entry[0]; /* its own stream becomes slack of 1 */
	c.entry[2] = c.entry[0];
	c.entry[4] = 0;
	scoped(blkdev_closep) struct blkdev *dev = open_craft(&c);
	pattern(0, want, 1024);
	for (uint32_t i = 2; i < 4; i++) {
		CHECK_EQ(blkdev_read(dev, i * 1024, got, 1024), 0);
		CHECK(memcmp(got, want, 1024) == 0);
		CHECK_EQ(uzip_span(dev, i, &span), 0);
		CHECK_EQ(span.kind, UZIP_BACKREF);
		CHECK_EQ(span.off, c.entry[0]);
		CHECK_EQ(span.len, c.entry[1] - c.entry[0]);
	}
	CHECK(cluster_is(dev, 1, 1024));
}

static void
back_references_under_an_upper_case_letter_read_as_kernels_do(void)
{
	struct craft c = sample('V', '2');
	uint8_t got[1024], want[1024];

	c.entry[2] = c.entry[0];
	scoped(blkdev_closep) struct blkdev *dev = open_craft(&c);
	pattern(0, want, 1024);
	CHECK_EQ(blkdev_read(dev, 2048, got, 1024), 0);
	CHECK(memcmp(got, want, 1024) == 0);
	CHECK(cluster_is(dev, 1, 1024) && cluster_is(dev, 3, 1024));
}

static void
trailing_zero_cluster_before_padding_is_zero(void)
{
	for (size_t v = 0; v < 6; v++) {
		struct craft c = sample(kit_variants[v][0], kit_variants[v][1]);
		struct uzip_span span;

		c.len -= (size_t)(c.entry[4] - c.entry[3]);
		c.entry[4] = kit_variants[v][1] == '4' ? 0 : UINT64_MAX;
		scoped(blkdev_closep) struct blkdev *dev = open_craft(&c);
		CHECK(cluster_is(dev, 1, 1024) && cluster_is_zero(dev, 3));
		CHECK_EQ(uzip_span(dev, 3, &span), 0);
		CHECK_EQ(span.kind, UZIP_ZERO);
		CHECK_EQ(span.len, 0);
	}
}

static void
trailing_zero_cluster_before_foreign_bytes_is_known_by_the_last_entry(void)
{
	struct craft c = sample('V', '2');

	c.len -= (size_t)(c.entry[4] - c.entry[3]);
	craft_raw(&c, "a partition's old contents", 26);
	c.entry[4] = c.entry[3];
	scoped(blkdev_closep) struct blkdev *dev = open_craft(&c);
	CHECK(cluster_is_zero(dev, 3));

	kit_listen();
	c.entry[4] = 0;
	CHECK_EQ(open_and_read(&c), -ECORRUPT);
	log_set_sink(NULL);
}

static void
short_last_cluster_is_filled_with_zeroes(void)
{
	for (size_t v = 0; v < 6; v++) {
		struct craft c = sample(kit_variants[v][0], kit_variants[v][1]);
		uint8_t p[1024];

		c.len -= (size_t)(c.entry[4] - c.entry[3]);
		pattern(3, p, 300);
		craft_stream(&c, p, 300);
		c.entry[4] = craft_pos(&c);
		scoped(blkdev_closep) struct blkdev *dev = open_craft(&c);
		uint8_t part[700];
		CHECK(cluster_is(dev, 3, 300));
		CHECK_EQ(blkdev_read(dev, 3072 + 300, part, 700), 0);
		for (size_t i = 0; i < 700; i++)
			CHECK_EQ(part[i], 0);
	}
}

/* A sample with slack between cluster 0 and cluster 1. */
static struct craft
with_slack(char letter, char version, const void *slack, size_t len)
{
	struct craft c = {
	    .letter = letter, .version = version, .cluster = 1024, .n = 2};
	uint8_t p[1024];

	pattern(0, p, 1024);
	c.entry[0] = craft_stream(&c, p, 1024);
	craft_raw(&c, slack, len);
	pattern(1, p, 1024);
	c.entry[1] = craft_stream(&c, p, 1024);
	c.entry[2] = craft_pos(&c);
	return c;
}

static void
slack_behind_a_stream_is_tolerated_where_kernels_do(void)
{
	static const uint8_t skippable[] = {
	    0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 9, 9, 9};
	static const struct {
		char letter, version;
		const void *slack;
		size_t len;
		int rc;
	} cases[] = {
	    {'V', '2', "junk", 4, 0},
	    {'l', '3', "junk", 4, 0},
	    {'Z', '4', skippable, sizeof(skippable), 0},
	    {'Z', '4', "junk", 4, -ECORRUPT},
	};

	kit_listen();
	for (size_t i = 0; i < 4; i++) {
		struct craft c = with_slack(cases[i].letter, cases[i].version,
		    cases[i].slack, cases[i].len);

		CHECK_EQ(open_and_read(&c), cases[i].rc);
		if (cases[i].rc < 0)
			continue;
		scoped(blkdev_closep) struct blkdev *dev = open_craft(&c);
		CHECK(cluster_is(dev, 0, 1024) && cluster_is(dev, 1, 1024));
	}
	log_set_sink(NULL);
}

static void
last_cluster_ends_where_its_stream_does(void)
{
	for (size_t v = 0; v < 6; v++) {
		struct craft c = sample(kit_variants[v][0], kit_variants[v][1]);
		uint64_t end = c.entry[4];
		struct uzip_span span;
		struct uzip_counts counts;

		craft_raw(&c, "junk of the partition", 21);
		c.entry[4] = 0; /* not told */
		scoped(blkdev_closep) struct blkdev *dev = open_craft(&c);
		CHECK(cluster_is(dev, 3, 1024));
		CHECK_EQ(uzip_span(dev, 3, &span), 0);
		CHECK_EQ(span.kind, UZIP_STORED);
		CHECK_EQ(span.off + span.len, end);
		CHECK_EQ(uzip_count(dev, &counts), 0);
		CHECK_EQ(counts.stored, 3);
		CHECK_EQ(counts.zero, 1);
		CHECK_EQ(counts.backref, 0);
		CHECK_EQ(counts.stored_bytes, end - c.entry[0]);
		CHECK_EQ(counts.data_end, end);
	}
}

struct reader {
	struct blkdev *dev;
	const struct bytes *want;
	uint64_t seed;
	bool ok;
};

static void *
read_at_random(void *arg)
{
	struct reader *r = arg;
	uint8_t buf[70000];

	r->ok = true;
	for (int i = 0; i < 150; i++) {
		size_t off = kit_random(&r->seed) % r->want->len;
		size_t len = kit_random(&r->seed) % sizeof(buf);

		if (i % 2)
			len %= 3000;
		if (len > r->want->len - off)
			len = r->want->len - off;
		r->ok &= blkdev_read(r->dev, off, buf, len) == 0 &&
		    memcmp(buf, r->want->p + off, len) == 0;
	}
	return NULL;
}

static void
many_threads_read_at_once(void)
{
	static const char *const names[] = {
	    "small-zlib-16k-d.uzip", "small-zlib-512.uzip"};
	scoped(bytes_free) struct bytes want = kit_small_ufs();
	struct pool *pool = NULL;

	if (want.p == NULL)
		SKIP("no fixtures");
	CHECK_EQ(pool_open(2, &pool), 0);
	for (size_t i = 0; i < 2; i++) {
		scoped(bytes_free) struct bytes img = kit_file(names[i]);
		scoped(blkdev_closep) struct blkdev *dev = NULL;
		pthread_t threads[4];
		struct reader readers[4];

		/* Too little cache for all: slots change hands all the time. */
		CHECK_EQ(uzip_open(kit_dev(img.p, img.len),
			     i == 0 ? 3 * 16384 : 1, pool, &dev),
		    0);
		for (size_t t = 0; t < 4; t++) {
			readers[t] = (struct reader){dev, &want, t + 1, false};
			CHECK_EQ(pthread_create(&threads[t], NULL,
				     read_at_random, &readers[t]),
			    0);
		}
		for (size_t t = 0; t < 4; t++) {
			pthread_join(threads[t], NULL);
			CHECK(readers[t].ok);
		}
	}
	pool_close(pool);
}

static void *
read_start(void *arg)
{
	char buf[10];

	return blkdev_read(arg, 5, buf, sizeof(buf)) == 0 ? arg : NULL;
}

static void
cluster_is_decoded_once_for_all_who_want_it(void)
{
	struct craft c = sample('V', '2');
	struct counter *counter = counter_open(craft_dev(&c));
	scoped(blkdev_closep) struct blkdev *dev = NULL;
	pthread_t threads[8];
	unsigned long before;
	void *ok;

	CHECK_EQ(uzip_open(&counter->dev, CACHE, NULL, &dev), 0);
	CHECK(cluster_is(dev, 3, 1024)); /* the index page is there now */
	before = counter->reads;
	for (size_t t = 0; t < 8; t++)
		CHECK_EQ(pthread_create(&threads[t], NULL, read_start, dev), 0);
	for (size_t t = 0; t < 8; t++) {
		pthread_join(threads[t], &ok);
		CHECK(ok != NULL);
	}
	CHECK_EQ(counter->reads - before, 1);
}

static void
cache_keeps_no_more_than_it_may(void)
{
	struct craft c = sample('V', '2');
	struct counter *counter = counter_open(craft_dev(&c));
	scoped(blkdev_closep) struct blkdev *dev = NULL;
	unsigned long before;
	char buf[8];

	CHECK_EQ(uzip_open(&counter->dev, 2048, NULL, &dev), 0);
	for (uint32_t i = 0; i < 4; i++)
		CHECK_EQ(blkdev_read(dev, i * 1024 + 1, buf, 8), 0);
	before = counter->reads;
	CHECK_EQ(blkdev_read(dev, 3072 + 9, buf, 8), 0); /* kept */
	CHECK_EQ(blkdev_read(dev, 1024 + 9, buf, 8), 0); /* kept */
	CHECK_EQ(counter->reads - before, 0);
	CHECK_EQ(blkdev_read(dev, 9, buf, 8), 0); /* pushed out */
	CHECK_EQ(counter->reads - before, 1);
}

static int
read_all(void *arg, size_t i)
{
	struct blkdev *dev = arg;
	uint8_t *p = malloc(dev->size);
	int rc = blkdev_read(dev, 0, p, dev->size);

	(void)i;
	free(p);
	return rc;
}

static void
reads_inside_a_run_of_the_same_pool_do_not_hang(void)
{
	scoped(bytes_free) struct bytes img = kit_file("small-zlib-512.uzip");
	struct pool *pool = NULL;
	struct blkdev *dev;

	if (img.p == NULL)
		SKIP("no fixtures");
	CHECK_EQ(pool_open(2, &pool), 0);
	CHECK_EQ(uzip_open(kit_dev(img.p, img.len), CACHE, pool, &dev), 0);
	CHECK_EQ(pool_run(pool, 5, read_all, dev), 0);
	blkdev_close(dev);
	pool_close(pool);
}

static void
level_is_guessed_from_the_first_clusters(void)
{
	static const struct {
		const char *name;
		int level;
	} cases[] = {
	    {"small-zlib-16k.uzip", 6},
	    {"small-lzma-16k.uzip", 6},
	    {"small-zstd-16k.uzip", 0},
	};

	for (size_t i = 0; i < 3; i++) {
		scoped(bytes_free) struct bytes img = kit_file(cases[i].name);
		scoped(blkdev_closep) struct blkdev *dev = NULL;
		int level;

		if (img.p == NULL)
			SKIP("no fixtures");
		CHECK_EQ(
		    uzip_open(kit_dev(img.p, img.len), CACHE, NULL, &dev), 0);
		CHECK_EQ(uzip_level_guess(dev, &level), 0);
		CHECK_EQ(level, cases[i].level);
	}
}

#define T(name) \
	{ \
#name, name \
	}
TESTS(T(all_fixtures_decode_to_the_image_they_were_made_of),
    T(fixtures_without_dedup_open_without_reading_their_index),
    T(every_variant_opens_and_tells_its_facts),
    T(back_references_read_as_their_first_cluster),
    T(back_references_under_an_upper_case_letter_read_as_kernels_do),
    T(trailing_zero_cluster_before_padding_is_zero),
    T(trailing_zero_cluster_before_foreign_bytes_is_known_by_the_last_entry),
    T(short_last_cluster_is_filled_with_zeroes),
    T(slack_behind_a_stream_is_tolerated_where_kernels_do),
    T(last_cluster_ends_where_its_stream_does), T(many_threads_read_at_once),
    T(cluster_is_decoded_once_for_all_who_want_it),
    T(cache_keeps_no_more_than_it_may),
    T(reads_inside_a_run_of_the_same_pool_do_not_hang),
    T(level_is_guessed_from_the_first_clusters))
