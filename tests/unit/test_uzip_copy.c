/*
 * Copying clusters as compressed bytes, against a model: a plain copy of the
 * image's contents that gets the same changes.
 */
#include "blkdev_fault.h"
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
    "small-zlib-19456-Zd.uzip",
    "small-zlib-512.uzip",
    "small-zstd-1000448.uzip",
    "small-zstd-16k.uzip",
    "small-zstd-64k-d.uzip",
};

enum { NFIXTURES = sizeof(fixtures) / sizeof(fixtures[0]) };

/* Clusters to copy from i on; sometimes a part of them, sometimes one. */
static uint32_t
clean_run(const uint8_t *dirty, uint32_t i, uint32_t n)
{
	uint32_t end = i;

	while (end < n && dirty[end] == 0)
		end++;
	return end == i || i % 3 == 0 ? end - i : 1 + i % (end - i);
}

/* dirty: one byte a cluster, 0 copy, 1 write, 2 zero; the model follows. */
static struct bytes
commit(struct blkdev *dev, const struct uzip_params *params,
    const uint8_t *dirty, struct bytes *model, struct uzip_written *written)
{
	scoped(blkdev_closep) struct blkdev *out = kit_dev("", 0);
	uint32_t n = uzip_info(dev)->nclusters, cluster = params->cluster;
	struct uzip_writer *w = NULL;

	CHECK_EQ(uzip_writer_open(out, 0, n, params, NULL, &w), 0);
	for (uint32_t i = 0, clean; i < n; i++) {
		uint8_t *p = model->p + (size_t)i * cluster;

		clean = clean_run(dirty, i, n);
		if (clean > 0) {
			CHECK_EQ(uzip_writer_put_from(w, dev, i, clean), 0);
			i += clean - 1;
		} else if (dirty[i] == 1) {
			memset(p + cluster / 3, (int)i, cluster / 3);
			CHECK_EQ(uzip_writer_put(w, p, cluster), 0);
		} else {
			memset(p, 0, cluster);
			CHECK_EQ(uzip_writer_put_zero(w, 1), 0);
		}
	}
	CHECK_EQ(uzip_writer_finish(w, written), 0);
	uzip_writer_close(w);
	CHECK_EQ(written->compressed + written->copied + written->zero +
		written->backref,
	    n);
	CHECK_EQ(written->bytes, out->size);
	return kit_all(out);
}

/* Copy, change and free clusters of an image at random, a few times. */
static void
commit_at_random(const struct bytes *img, int rounds, uint64_t seed)
{
	scoped(blkdev_closep) struct blkdev *dev = kit_open(img);
	uint32_t n = uzip_info(dev)->nclusters;

	for (int round = 0; round < rounds; round++) {
		scoped(bytes_free) struct bytes model = kit_all(dev);
		scoped(freep) uint8_t *dirty = calloc(1, n);
		struct uzip_params params = kit_params(dev);
		struct uzip_written written;
		uint64_t rarity = 1 + kit_random(&seed) % 8;

		for (uint32_t i = 0; i < n; i++)
			if (kit_random(&seed) % rarity == 0)
				dirty[i] = (uint8_t)(kit_random(&seed) % 3);
		params.keep_zeroes = round % 4 == 3;
		scoped(bytes_free) struct bytes made =
		    commit(dev, &params, dirty, &model, &written);
		CHECK(kit_shows(&made, &model));
	}
}

static void
random_commits_of_all_fixtures_decode_to_the_model(void)
{
	for (size_t i = 0; i < NFIXTURES; i++) {
		scoped(bytes_free) struct bytes img = kit_file(fixtures[i]);

		if (img.p == NULL)
			SKIP("no fixtures");
		commit_at_random(&img, 2, i + 1);
	}
}

/* An image of n clusters of few different contents, by our writer. */
static struct bytes
image_of_letters(enum uzip_codec codec, uint32_t n, uint64_t *seed)
{
	scoped(blkdev_closep) struct blkdev *out = kit_dev("", 0);
	struct uzip_params params = {
	    .codec = codec, .level = 1, .cluster = 512, .dedup = true};
	struct uzip_writer *w = NULL;
	struct uzip_written written;
	uint64_t letters = 2 + kit_random(seed) % 6;

	CHECK_EQ(uzip_writer_open(out, 0, n, &params, NULL, &w), 0);
	for (uint32_t i = 0; i < n; i++) {
		uint8_t p[512];

		memset(p, (int)(kit_random(seed) % letters), 512);
		CHECK_EQ(uzip_writer_put(w, p, 512), 0);
	}
	CHECK_EQ(uzip_writer_finish(w, &written), 0);
	uzip_writer_close(w);
	return kit_all(out);
}

static void
random_commits_of_images_full_of_duplicates_decode_to_the_model(void)
{
	uint64_t seed = 11;

	for (int round = 0; round < 150; round++) {
		scoped(bytes_free) struct bytes img =
		    image_of_letters((enum uzip_codec)(round % 3), 30, &seed);

		commit_at_random(&img, 3, seed);
	}
}

static void
clean_commit_copies_the_data_bytes_as_they_are(void)
{
	for (size_t i = 0; i < NFIXTURES; i++) {
		scoped(bytes_free) struct bytes img = kit_file(fixtures[i]);
		if (img.p == NULL)
			SKIP("no fixtures");
		scoped(blkdev_closep) struct blkdev *dev = kit_open(&img);
		scoped(bytes_free) struct bytes model = kit_all(dev);
		uint32_t n = uzip_info(dev)->nclusters;
		scoped(freep) uint8_t *dirty = calloc(1, n);
		struct uzip_params params = kit_params(dev);
		struct uzip_written written;
		struct uzip_counts counts;
		uint64_t start = 136 + 8 * ((uint64_t)n + 1);

		CHECK_EQ(uzip_count(dev, &counts), 0);
		scoped(bytes_free) struct bytes made =
		    commit(dev, &params, dirty, &model, &written);
		CHECK(kit_shows(&made, &model));
		CHECK_EQ(written.backref, counts.backref);
		CHECK(written.compressed <= 1); /* a short last one */
		CHECK_EQ(kernel_be(made.p + 136 + 8 * n, 8) <= made.len, 1);
		/* header, index and all data but the last cluster's */
		CHECK(memcmp(made.p, img.p, (size_t)start - 8) == 0);
		CHECK(memcmp(made.p + start, img.p + start,
			  (size_t)(kernel_be(made.p + 128 + 8 * n, 8) -
			      start)) == 0);
	}
}

static void
writer_without_dedup_carries_the_bytes_of_back_references(void)
{
	scoped(bytes_free) struct bytes img = kit_file("small-zlib-16k-d.uzip");
	if (img.p == NULL)
		SKIP("no fixtures");
	scoped(blkdev_closep) struct blkdev *dev = kit_open(&img);
	scoped(bytes_free) struct bytes model = kit_all(dev);
	scoped(freep) uint8_t *dirty = calloc(1, uzip_info(dev)->nclusters);
	struct uzip_params params = kit_params(dev);
	struct uzip_written written;

	params.dedup = false;
	scoped(bytes_free) struct bytes made =
	    commit(dev, &params, dirty, &model, &written);
	CHECK_EQ(made.p[11], 'V');
	CHECK_EQ(made.p[12], '2');
	CHECK_EQ(written.backref, 0);
	CHECK(kit_shows(&made, &model));
}

static void
bytes_are_taken_over_by_the_first_who_still_wants_them(void)
{
	/* 0 and 2 and 4 share: when 0 changes, 2 must own the bytes. */
	scoped(blkdev_closep) struct blkdev *out = kit_dev("", 0);
	struct uzip_params params = {
	    .codec = UZIP_ZLIB, .cluster = 512, .dedup = true};
	uint8_t p[5 * 512], dirty[5] = {1};
	struct uzip_writer *w = NULL;
	struct uzip_written written;

	for (size_t i = 0; i < sizeof(p); i++)
		p[i] = (uint8_t) "AxAyA"[i / 512];
	CHECK_EQ(uzip_writer_open(out, 0, 5, &params, NULL, &w), 0);
	CHECK_EQ(uzip_writer_put(w, p, sizeof(p)), 0);
	CHECK_EQ(uzip_writer_finish(w, &written), 0);
	uzip_writer_close(w);
	CHECK_EQ(written.backref, 2);

	scoped(bytes_free) struct bytes img = kit_all(out);
	scoped(blkdev_closep) struct blkdev *dev = kit_open(&img);
	scoped(bytes_free) struct bytes model = kit_all(dev);
	scoped(bytes_free) struct bytes made =
	    commit(dev, &params, dirty, &model, &written);
	CHECK(kit_shows(&made, &model));
	CHECK_EQ(written.backref, 1);
	CHECK_EQ(written.copied, 3);
	CHECK_EQ(written.compressed, 1);
	CHECK_EQ(kernel_be(made.p + 136 + 8 * 4, 8),
	    kernel_be(made.p + 136 + 8 * 2, 8));
}

static void
two_sources_are_not_confused(void)
{
	/* The same offsets in both, other bytes at them. */
	scoped(blkdev_closep) struct blkdev *out = kit_dev("", 0);
	struct craft a = sample('v', '3'), b = sample('v', '3');
	struct uzip_writer *w = NULL;
	struct uzip_written written;
	uint8_t got[1024], want[1024];

	a.data[3] ^= 1; /* never decoded: it only has to be different */
	b.entry[2] = b.entry[0];
	scoped(blkdev_closep) struct blkdev *first = open_craft(&a);
	scoped(blkdev_closep) struct blkdev *second = open_craft(&b);
	struct uzip_params params = kit_params(first);

	CHECK_EQ(uzip_writer_open(out, 0, 3, &params, NULL, &w), 0);
	CHECK_EQ(uzip_writer_put_from(w, first, 0, 2), 0);
	CHECK_EQ(uzip_writer_put_from(w, second, 2, 1), 0);
	CHECK_EQ(uzip_writer_finish(w, &written), 0);
	uzip_writer_close(w);
	scoped(bytes_free) struct bytes img = kit_all(out);
	scoped(blkdev_closep) struct blkdev *made = kit_open(&img);
	pattern(0, want, 1024);
	CHECK_EQ(blkdev_read(made, 2048, got, 1024), 0);
	CHECK(memcmp(got, want, 1024) == 0);
}

/* Copy all of a hand-made image; what put_from or finish gave. */
static int
copy_all(const struct craft *c, struct bytes *made)
{
	scoped(blkdev_closep) struct blkdev *dev = open_craft(c);
	scoped(blkdev_closep) struct blkdev *out = kit_dev("", 0);
	struct uzip_params params = kit_params(dev);
	struct uzip_writer *w = NULL;
	struct uzip_written written;
	int rc;

	CHECK_EQ(uzip_writer_open(out, 0, c->n, &params, NULL, &w), 0);
	rc = uzip_writer_put_from(w, dev, 0, c->n);
	if (rc == 0)
		rc = uzip_writer_finish(w, &written);
	uzip_writer_close(w);
	if (rc == 0)
		*made = kit_all(out);
	return rc;
}

static void
last_cluster_is_trimmed_to_its_stream(void)
{
	for (size_t v = 0; v < 6; v++) {
		struct craft c = sample(kit_variants[v][0], kit_variants[v][1]);
		uint64_t end = c.entry[4];
		struct bytes made = {0};

		craft_raw(&c, "junk behind the image", 21);
		c.entry[4] = 0;
		CHECK_EQ(copy_all(&c, &made), 0);
		CHECK_EQ(kernel_be(made.p + 136 + 8 * 4, 8), end);
		CHECK_EQ(made.len, 512 * ((end + 511) / 512));
		free(made.p);
	}
}

static void
short_last_cluster_is_padded(void)
{
	for (size_t v = 0; v < 6; v++) {
		struct craft c = sample(kit_variants[v][0], kit_variants[v][1]);
		struct bytes made = {0};
		uint8_t p[1024];
		struct kernel k = {0};

		c.len -= (size_t)(c.entry[4] - c.entry[3]);
		pattern(3, p, 300);
		craft_stream(&c, p, 300);
		c.entry[4] = craft_pos(&c);
		CHECK_EQ(copy_all(&c, &made), 0);
		CHECK(kernel_parse(&k, &made, true));
		scoped(blkdev_closep) struct blkdev *dev = kit_open(&made);
		CHECK(cluster_is(dev, 3, 300));
		/* a full cluster: kernels do not fill it up themselves */
		uint8_t full[1024];
		memset(full, 0xee, sizeof(full));
		if (v < 2)
			CHECK(kernel_inflate(made.p + k.off[3], k.len[3], full,
				  sizeof(full)) &&
			    full[1023] == 0);
		kernel_free(&k);
		free(made.p);
	}
}

static void
trailing_padding_becomes_a_zero_cluster(void)
{
	for (size_t v = 0; v < 6; v++) {
		struct craft c = sample(kit_variants[v][0], kit_variants[v][1]);
		struct bytes made = {0};

		c.len -= (size_t)(c.entry[4] - c.entry[3]);
		c.entry[4] = kit_variants[v][1] == '4' ? 0 : UINT64_MAX;
		CHECK_EQ(copy_all(&c, &made), 0);
		CHECK_EQ(kernel_be(made.p + 136 + 8 * 4, 8), c.entry[3]);
		scoped(blkdev_closep) struct blkdev *dev = kit_open(&made);
		CHECK(cluster_is_zero(dev, 3) && cluster_is(dev, 1, 1024));
		free(made.p);
	}
}

static void
damaged_last_cluster_cannot_be_copied(void)
{
	for (size_t v = 0; v < 6; v++) {
		struct craft c = sample(kit_variants[v][0], kit_variants[v][1]);
		struct bytes made = {0};

		c.data[c.len - 3] ^= 0x55;
		kit_listen();
		CHECK_EQ(copy_all(&c, &made), -ECORRUPT);
		CHECK(strstr(kit_said, "cluster 3 ") != NULL);
		CHECK_EQ(kit_lines, 1);
		log_set_sink(NULL);
	}
}

static void
span_over_the_strictest_bound_is_trimmed(void)
{
	/* 13 more bytes than the cluster: 13.2 takes it, 10.4 does not. */
	struct craft c = {
	    .letter = 'V', .version = '2', .cluster = 1024, .n = 2};
	struct bytes made = {0};
	uint8_t p[1024];

	pattern(0, p, 1024);
	c.entry[0] = craft_stream(&c, p, 1024);
	while (craft_pos(&c) - c.entry[0] < 1024 + 13)
		craft_raw(&c, "", 1);
	pattern(1, p, 1024);
	c.entry[1] = craft_stream(&c, p, 1024);
	c.entry[2] = craft_pos(&c);
	struct bytes before = craft_image(&c, true);
	struct bytes refused = kernel_decode(&before, true);
	CHECK(refused.p == NULL);
	CHECK_EQ(copy_all(&c, &made), 0);
	scoped(bytes_free) struct bytes plain = kernel_decode(&made, true);
	CHECK(plain.p != NULL && memcmp(plain.p + 1024, p, 1024) == 0);
	free(before.p);
	free(made.p);
}

/* More clusters than are looked at, or written, in one piece; most are zero. */
static void
long_index_is_copied_in_pieces(void)
{
	enum { N = 40000, CLUSTER = 512 };
	scoped(blkdev_closep) struct blkdev *out = kit_dev("", 0);
	struct uzip_params params = {.codec = UZIP_ZLIB, .cluster = CLUSTER};
	scoped(freep) uint8_t *dirty = calloc(1, N);
	struct uzip_writer *w = NULL;
	struct uzip_counts all, some;
	struct uzip_written written;

	CHECK_EQ(uzip_writer_open(out, 0, N, &params, NULL, &w), 0);
	for (uint32_t i = 0; i < N; i++) {
		uint8_t p[CLUSTER];

		pattern(i, p, sizeof(p));
		if (i % 7 == 0)
			CHECK_EQ(uzip_writer_put(w, p, sizeof(p)), 0);
		else
			CHECK_EQ(uzip_writer_put_zero(w, 1), 0);
		dirty[i] = i % 6000 == 5 ? (uint8_t)(1 + i / 6000 % 2) : 0;
	}
	CHECK_EQ(uzip_writer_finish(w, &written), 0);
	uzip_writer_close(w);
	scoped(bytes_free) struct bytes img = kit_all(out);
	scoped(blkdev_closep) struct blkdev *dev = kit_open(&img);
	scoped(bytes_free) struct bytes model = kit_all(dev);
	scoped(bytes_free) struct bytes made =
	    commit(dev, &params, dirty, &model, &written);
	CHECK(kit_shows(&made, &model));
	CHECK_EQ(written.compressed, 4);
	CHECK_EQ(uzip_count(dev, &all), 0);
	CHECK_EQ(all.stored + all.zero, N);
	CHECK_EQ(all.stored, (N + 6) / 7);
	/* a part of them, which are to one another as all are */
	CHECK_EQ(uzip_count_some(dev, &some), 0);
	CHECK(some.stored + some.zero < N);
	CHECK(some.stored * 70 > (some.stored + some.zero) * 9 &&
	    some.stored * 70 < (some.stored + some.zero) * 11);
	CHECK(some.stored_bytes / some.stored == all.stored_bytes / all.stored);
}

static void
equal_lengths_and_zero_clusters_are_told_by_the_index(void)
{
	for (size_t v = 0; v < 6; v++) {
		struct craft a = sample(kit_variants[v][0], kit_variants[v][1]);
		struct craft b = a;
		uint32_t n = 0;

		b.len -= (size_t)(b.entry[4] - b.entry[3]);
		craft_raw(&b, "x", 1);
		b.entry[3]++;
		b.entry[2]++;
		scoped(blkdev_closep) struct blkdev *one = open_craft(&a);
		scoped(blkdev_closep) struct blkdev *two = open_craft(&b);
		CHECK_EQ(uzip_same_lengths(one, one, 0, 4, &n), 0);
		CHECK_EQ(n, 3); /* the last one is another matter */
		CHECK_EQ(uzip_same_lengths(one, two, 0, 4, &n), 0);
		CHECK_EQ(n, 1);
		CHECK_EQ(uzip_same_lengths(one, two, 1, 3, &n), 0);
		CHECK_EQ(n, 0);
		CHECK_EQ(uzip_same_lengths(one, two, 2, 1, &n), 0);
		CHECK_EQ(n, 1);
		CHECK_EQ(uzip_zero_run(one, 1, 3, &n), 0);
		CHECK_EQ(n, 0);
		CHECK_EQ(uzip_zero_run(one, 2, 2, &n), 0);
		CHECK_EQ(n, 1);
		CHECK_EQ(uzip_has_zero(one), 1);
		struct uzip_counts all, some;
		CHECK_EQ(uzip_count(one, &all), 0);
		CHECK_EQ(uzip_count_some(one, &some), 0);
		CHECK(memcmp(&all, &some, sizeof(all)) == 0);
	}
}

static void
image_without_a_zero_cluster_says_so(void)
{
	for (size_t v = 0; v < 6; v++) {
		struct craft c = sample(kit_variants[v][0], kit_variants[v][1]);
		uint8_t p[1024];

		c.len -= (size_t)(c.entry[4] - c.entry[3]);
		pattern(2, p, 1024);
		craft_stream(&c, p, 1024);
		c.entry[3] = craft_pos(&c);
		pattern(3, p, 1024);
		craft_stream(&c, p, 1024);
		c.entry[4] = craft_pos(&c);
		scoped(blkdev_closep) struct blkdev *dev = open_craft(&c);
		CHECK_EQ(uzip_has_zero(dev), 0);
	}
}

static void
copies_that_do_not_fit_are_refused(void)
{
	struct craft c = sample('V', '2');
	scoped(blkdev_closep) struct blkdev *dev = open_craft(&c);
	scoped(blkdev_closep) struct blkdev *out = kit_dev("", 0);
	struct uzip_params params = kit_params(dev);
	struct uzip_writer *w = NULL;

	CHECK_EQ(uzip_writer_open(out, 0, 5, &params, NULL, &w), 0);
	CHECK_EQ(uzip_writer_put_from(w, dev, 0, 6), -EFBIG);
	CHECK_EQ(uzip_writer_put_from(w, dev, 1, 4), -EINVAL);
	CHECK_EQ(uzip_writer_put_from(w, dev, 5, 1), -EINVAL);
	CHECK_EQ(uzip_writer_put(w, "x", 1), 0);
	CHECK_EQ(uzip_writer_put_from(w, dev, 0, 1), -EINVAL);
	uzip_writer_close(w);

	params.cluster = 512;
	CHECK_EQ(uzip_writer_open(out, 0, 5, &params, NULL, &w), 0);
	CHECK_EQ(uzip_writer_put_from(w, dev, 0, 1), -EINVAL);
	uzip_writer_close(w);
	params.cluster = 1024;
	params.codec = UZIP_ZSTD;
	CHECK_EQ(uzip_writer_open(out, 0, 5, &params, NULL, &w), 0);
	CHECK_EQ(uzip_writer_put_from(w, dev, 0, 1), -EINVAL);
	uzip_writer_close(w);
}

static void
failing_reads_of_the_source_pass_up(void)
{
	struct craft c = sample('V', '2');
	struct blkdev *lower = NULL;
	scoped(blkdev_closep) struct blkdev *dev = NULL;
	scoped(blkdev_closep) struct blkdev *out = kit_dev("", 0);
	struct uzip_params params;
	struct uzip_written written;

	CHECK_EQ(blkdev_fault_open(craft_dev(&c), &lower), 0);
	CHECK_EQ(uzip_open(lower, CACHE, NULL, &dev), 0);
	params = kit_params(dev);
	for (unsigned nth = 1; nth < 4; nth++) {
		struct uzip_writer *w = NULL;
		int rc;

		CHECK_EQ(uzip_writer_open(out, 0, 4, &params, NULL, &w), 0);
		blkdev_fault_arm(lower, FAULT_READ, nth, -EIO, true);
		rc = uzip_writer_put_from(w, dev, 0, 3);
		if (rc == 0)
			rc = uzip_writer_finish(w, &written);
		if (nth < 3) /* the index, the copied bytes */
			CHECK_EQ(rc, -EIO);
		blkdev_fault_arm(lower, FAULT_READ, 0, 0, false);
		uzip_writer_close(w);
	}
}

#define T(name) \
	{ \
#name, name \
	}
TESTS(T(random_commits_of_all_fixtures_decode_to_the_model),
    T(random_commits_of_images_full_of_duplicates_decode_to_the_model),
    T(clean_commit_copies_the_data_bytes_as_they_are),
    T(writer_without_dedup_carries_the_bytes_of_back_references),
    T(bytes_are_taken_over_by_the_first_who_still_wants_them),
    T(two_sources_are_not_confused), T(last_cluster_is_trimmed_to_its_stream),
    T(short_last_cluster_is_padded), T(trailing_padding_becomes_a_zero_cluster),
    T(damaged_last_cluster_cannot_be_copied),
    T(span_over_the_strictest_bound_is_trimmed),
    T(long_index_is_copied_in_pieces),
    T(equal_lengths_and_zero_clusters_are_told_by_the_index),
    T(image_without_a_zero_cluster_says_so),
    T(copies_that_do_not_fit_are_refused),
    T(failing_reads_of_the_source_pass_up))
