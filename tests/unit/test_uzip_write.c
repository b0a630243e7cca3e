/* The uzip writer: what it writes must decode as kernels decode it. */
#include "blkdev_fault.h"
#include "uzip_kit.h"

/* n clusters of text, zeroes, duplicates and, with noise, random bytes. */
static struct bytes
sample_data(uint32_t cluster, uint32_t n, bool noise)
{
	struct bytes b = {calloc(n, cluster), (size_t)n * cluster};
	uint64_t seed = 7 + cluster;

	for (uint32_t i = 0; i < n; i++) {
		uint8_t *p = b.p + (size_t)i * cluster;
		uint64_t kind = kit_random(&seed) % 8;

		if (kind < 2)
			continue; /* zeroes */
		if (kind < 4)
			seed ^= i * 77; /* text */
		for (uint32_t k = 0; k < cluster; k++)
			p[k] = kind == 4 && noise
			    ? (uint8_t)kit_random(&seed)
			    : (uint8_t)("etaoin shrdlu"[k * kind % 13] +
				  (kind < 4 ? i : 0));
	}
	return b;
}

/* Write b as an image, by puts of step bytes; the result is checked. */
static struct bytes
write_image(const struct uzip_params *params, const struct bytes *b,
    struct pool *pool, size_t step)
{
	scoped(blkdev_closep) struct blkdev *out = kit_dev("", 0);
	uint32_t n =
	    (uint32_t)((b->len + params->cluster - 1) / params->cluster);
	struct uzip_writer *w = NULL;
	struct uzip_written written = {0};
	struct bytes img;

	CHECK_EQ(uzip_writer_open(out, 0, n, params, pool, &w), 0);
	for (size_t off = 0; off < b->len; off += step)
		CHECK_EQ(uzip_writer_put(w, b->p + off,
			     b->len - off < step ? b->len - off : step),
		    0);
	CHECK_EQ(uzip_writer_finish(w, &written), 0);
	uzip_writer_close(w);
	CHECK_EQ(written.bytes, out->size);
	CHECK_EQ(written.bytes % 512, 0);
	CHECK_EQ(written.compressed + written.zero + written.backref, n);
	img = kit_all(out);
	return img;
}

/* Whether img shows b and then zeroes, to kernels and to our reader. */
static bool
shows(const struct bytes *img, const struct bytes *b)
{
	scoped(bytes_free) struct bytes plain = kernel_decode(img, true);
	scoped(bytes_free) struct bytes ours = {0};
	struct blkdev *lower = kit_dev(img->p, img->len), *dev;

	if (uzip_open(lower, CACHE, NULL, &dev) < 0) {
		blkdev_close(lower);
		return false;
	}
	ours = kit_all(dev);
	blkdev_close(dev);
	if (plain.p == NULL || plain.len < b->len || ours.len != plain.len)
		return false;
	for (size_t i = b->len; i < plain.len; i++)
		if (plain.p[i] != 0)
			return false;
	return memcmp(plain.p, b->p, b->len) == 0 &&
	    memcmp(plain.p, ours.p, ours.len) == 0;
}

static uint64_t
entry_of(const struct bytes *img, uint32_t i)
{
	return kernel_be(img->p + 136 + 8 * i, 8);
}

static uint32_t
clusters_of(const struct bytes *img)
{
	return (uint32_t)kernel_be(img->p + 132, 4);
}

/* The last entry ends the data; nothing but padding follows. */
static bool
ends_well(const struct bytes *img)
{
	uint64_t end = entry_of(img, clusters_of(img));

	if (end > img->len || img->len - end >= 512)
		return false;
	for (uint64_t i = end; i < img->len; i++)
		if (img->p[i] != 0)
			return false;
	return true;
}

static void
everything_written_decodes_as_kernels_do_it(void)
{
	static const uint32_t sizes[] = {
	    512, 1024, 8192, 16384, 19456, 65536, 262144, 1 << 20};

	for (int codec = UZIP_ZLIB; codec <= UZIP_ZSTD; codec++)
		for (size_t i = 0; i < 8; i++)
			for (int flags = 0; flags < 4; flags++) {
				struct uzip_params params = {
				    .codec = (enum uzip_codec)codec,
				    .level = 1,
				    .cluster = sizes[i],
				    .dedup = flags & 1,
				    .keep_zeroes = flags & 2};
				bool noise =
				    codec != UZIP_LZMA || sizes[i] >= 16384;
				scoped(bytes_free) struct bytes b = sample_data(
				    sizes[i], sizes[i] > 65536 ? 4 : 16, noise);
				b.len -= 100; /* the last one is short */
				scoped(bytes_free) struct bytes img =
				    write_image(&params, &b, NULL, 100000);
				CHECK(shows(&img, &b));
				CHECK(ends_well(&img));
			}
}

static void
threads_and_portions_do_not_show_in_the_file(void)
{
	static const size_t steps[] = {1 << 20, 777, 4096, 40000};
	scoped(bytes_free) struct bytes b = sample_data(4096, 1700, true);
	struct uzip_params params = {
	    .codec = UZIP_ZLIB, .level = 1, .cluster = 4096, .dedup = true};
	scoped(bytes_free) struct bytes first =
	    write_image(&params, &b, NULL, b.len);

	for (unsigned threads = 1; threads <= 4; threads++) {
		struct pool *pool = NULL;

		CHECK_EQ(pool_open(threads, &pool), 0);
		scoped(bytes_free) struct bytes img =
		    write_image(&params, &b, pool, steps[threads - 1]);
		CHECK(img.len == first.len &&
		    memcmp(img.p, first.p, img.len) == 0);
		pool_close(pool);
	}
}

/* Of the plain bytes b, some given plain, some zero, some copied from base. */
static struct bytes
write_mixed(
    const struct bytes *b, struct blkdev *base, struct pool *pool, int *rc)
{
	scoped(blkdev_closep) struct blkdev *to = kit_dev("", 0);
	struct uzip_params params = {
	    .codec = UZIP_ZLIB, .level = 1, .cluster = 4096, .dedup = true};
	struct blkdev *out = NULL;
	struct uzip_writer *w = NULL;
	struct uzip_written written;
	uint64_t seed = 3;
	uint32_t n = (uint32_t)(b->len / 4096), run;

	CHECK_EQ(blkdev_fault_open(blkdev_ref(to), &out), 0);
	blkdev_fault_arm(out, FAULT_WRITE, (unsigned)*rc, -EIO, true);
	CHECK_EQ(uzip_writer_open(out, 0, n, &params, pool, &w), 0);
	*rc = 0;
	for (uint32_t i = 0; i < n && *rc == 0; i += run) {
		uint64_t kind = kit_random(&seed) % 8;

		run = kind > 1 ? 1 : 1 + (uint32_t)kit_random(&seed) % 40;
		if (run > n - i)
			run = n - i;
		if (kind == 0)
			*rc = uzip_writer_put_from(w, base, i, run);
		else if (kind == 1)
			*rc = uzip_writer_put_zero(w, run);
		else
			*rc = uzip_writer_put(w, b->p + (size_t)i * 4096, 4096);
	}
	if (*rc == 0)
		*rc = uzip_writer_finish(w, &written);
	uzip_writer_close(w);
	blkdev_close(out);
	return kit_all(to);
}

static void
threads_do_not_show_among_copies_nor_when_writing_fails(void)
{
	scoped(bytes_free) struct bytes b = sample_data(4096, 8000, true);
	struct uzip_params params = {
	    .codec = UZIP_ZLIB, .level = 1, .cluster = 4096, .dedup = true};
	scoped(bytes_free) struct bytes img =
	    write_image(&params, &b, NULL, b.len);
	scoped(blkdev_closep) struct blkdev *base = NULL;
	struct blkdev *lower = kit_dev(img.p, img.len);
	int rc = 0;

	CHECK_EQ(uzip_open(lower, 1 << 20, NULL, &base), 0);
	scoped(bytes_free) struct bytes first =
	    write_mixed(&b, base, NULL, &rc);
	CHECK_EQ(rc, 0);
	for (unsigned threads = 1; threads <= 3; threads++) {
		struct pool *pool = NULL;

		CHECK_EQ(pool_open(threads, &pool), 0);
		rc = 0;
		scoped(bytes_free) struct bytes again =
		    write_mixed(&b, base, pool, &rc);
		CHECK_EQ(rc, 0);
		CHECK(again.len == first.len &&
		    memcmp(again.p, first.p, first.len) == 0);
		rc = 1;
		scoped(bytes_free) struct bytes none =
		    write_mixed(&b, base, pool, &rc);
		CHECK_EQ(rc, -EIO);
		CHECK(none.len < first.len);
		pool_close(pool);
	}
}

static void
incompressible_clusters_stay_within_the_strictest_bound(void)
{
	static const uint32_t sizes[] = {
	    512, 1024, 5120, 16384, 19456, 65536, 262144, 1 << 20};

	for (int codec = UZIP_ZLIB; codec <= UZIP_ZSTD; codec++)
		for (size_t i = 0; i < 8; i++) {
			struct uzip_params params = {
			    .codec = (enum uzip_codec)codec,
			    .cluster = sizes[i]};
			scoped(bytes_free) struct bytes b = {
			    malloc(sizes[i] * 2), sizes[i] * 2};
			uint64_t seed = i + 1;

			if (codec == UZIP_LZMA && sizes[i] < 16384)
				continue; /* trap 9 */
			for (size_t k = 0; k < b.len; k++)
				b.p[k] = (uint8_t)kit_random(&seed);
			scoped(bytes_free) struct bytes img =
			    write_image(&params, &b, NULL, b.len);
			CHECK(shows(&img, &b));
		}
}

static void
cluster_over_the_bound_is_named_with_advice(void)
{
	struct uzip_params params = {.codec = UZIP_LZMA, .cluster = 8192};
	scoped(blkdev_closep) struct blkdev *out = kit_dev("", 0);
	scoped(freep) uint8_t *p = calloc(3, 8192);
	struct uzip_writer *w = NULL;
	struct uzip_written written;
	uint64_t seed = 1;

	for (size_t i = 8192; i < 16384; i++)
		p[i] = (uint8_t)kit_random(&seed);
	kit_listen();
	CHECK_EQ(uzip_writer_open(out, 0, 3, &params, NULL, &w), 0);
	CHECK_EQ(uzip_writer_put(w, p, (size_t)3 * 8192), -EOVERFLOW);
	CHECK_EQ(kit_lines, 1);
	CHECK(strstr(kit_said, "cluster 1 ") != NULL);
	CHECK(strstr(kit_said, "16384") != NULL);
	CHECK_EQ(uzip_writer_finish(w, &written), -EOVERFLOW);
	CHECK_EQ(kit_lines, 1);
	log_set_sink(NULL);
	uzip_writer_close(w);
}

static void
impossible_parameters_are_refused(void)
{
	static const struct {
		struct uzip_params params;
		uint32_t n;
	} bad[] = {
	    {{.codec = UZIP_ZLIB, .cluster = 0}, 1},
	    {{.codec = UZIP_ZLIB, .cluster = 513}, 1},
	    {{.codec = UZIP_ZLIB, .cluster = (1 << 20) + 512}, 1},
	    {{.codec = UZIP_ZLIB, .cluster = 512, .level = 13}, 1},
	    {{.codec = UZIP_ZLIB, .cluster = 512, .level = -1}, 1},
	    {{.codec = UZIP_LZMA, .cluster = 512, .level = 10}, 1},
	    {{.codec = UZIP_ZSTD, .cluster = 512, .level = 23}, 1},
	    {{.codec = UZIP_ZLIB, .cluster = 512}, 0},
	};
	scoped(blkdev_closep) struct blkdev *out = kit_dev("", 0);
	struct uzip_writer *w;

	kit_listen();
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECK_EQ(uzip_writer_open(
			     out, 0, bad[i].n, &bad[i].params, NULL, &w),
		    -EINVAL);
		CHECK_EQ(kit_lines, i + 1);
	}
	log_set_sink(NULL);
	uzip_writer_close(NULL);
}

static void
preamble_is_kept_but_for_what_must_change(void)
{
	static const struct {
		enum uzip_codec codec;
		bool dedup;
		const char *given, *want;
	} cases[] = {
	    {UZIP_ZLIB, false, NULL, "#V2.0 Format\n(kldstat -qm g_uzip||"},
	    {UZIP_ZLIB, true, NULL, "#v3.0 Format\n(kldstat -qm g_uzip||"},
	    {UZIP_LZMA, false, NULL, "#L3.0\nn=uncompress\nm=geom_$n\n("},
	    {UZIP_LZMA, true, NULL, "#l3.0\nn=uncompress\n"},
	    {UZIP_ZSTD, false, NULL, "#Z4.0 Format\n(kldstat -qm"},
	    {UZIP_ZSTD, true, NULL, "#z4.0 Format\n(kldstat -qm"},
	    {UZIP_ZLIB, false, "#V2.0 my own\n", "#V2.0 my own\n"},
	    {UZIP_ZLIB, false, "#V3.0 my own\n", "#V3.0 my own\n"},
	    {UZIP_ZLIB, false, "#v3.0 my own\n", "#V2.0 my own\n"},
	    {UZIP_ZLIB, true, "#V2.0 my own\n", "#v3.0 my own\n"},
	    {UZIP_ZSTD, false, "#V2.0 my own\n", "#Z4.0 my own\n"},
	    {UZIP_ZSTD, true, "#z4.0 my own\n", "#z4.0 my own\n"},
	    {UZIP_ZLIB, false, "#Z4.0 my own\n", "#V2.0 my own\n"},
	};
	struct bytes b = {calloc(1, 512), 512};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t preamble[UZIP_PREAMBLE] = "#!/bin/sh\n";
		struct uzip_params params = {.codec = cases[i].codec,
		    .cluster = 512,
		    .dedup = cases[i].dedup};

		if (cases[i].given != NULL) {
			memcpy(preamble + 10, cases[i].given,
			    strlen(cases[i].given));
			params.preamble = preamble;
		}
		scoped(bytes_free) struct bytes img =
		    write_image(&params, &b, NULL, 512);
		CHECK(memcmp(img.p, "#!/bin/sh\n", 10) == 0);
		CHECK(memcmp(img.p + 10, cases[i].want,
			  strlen(cases[i].want)) == 0);
		CHECK(shows(&img, &b));
	}
	free(b.p);
}

static void
preambles_are_mkuzips_to_the_byte(void)
{
	static const char *const names[] = {"small-zlib-16k.uzip",
	    "small-lzma-16k.uzip", "small-zstd-16k.uzip"};
	static const char *const dedups[] = {"small-zlib-16k-d.uzip",
	    "small-lzma-64k-d.uzip", "small-zstd-64k-d.uzip"};
	struct bytes b = {calloc(1, 512), 512};

	for (int i = 0; i < 6; i++) {
		struct uzip_params params = {.codec = (enum uzip_codec)(i / 2),
		    .cluster = 512,
		    .dedup = i % 2};
		scoped(bytes_free) struct bytes theirs =
		    kit_file(i % 2 ? dedups[i / 2] : names[i / 2]);
		scoped(bytes_free) struct bytes ours =
		    write_image(&params, &b, NULL, 512);

		if (theirs.p == NULL) {
			free(b.p);
			SKIP("no fixtures");
		}
		CHECK(memcmp(theirs.p, ours.p, 128) == 0);
	}
	free(b.p);
}

static void
duplicates_are_stored_once_but_never_beside_each_other(void)
{
	struct uzip_params params = {
	    .codec = UZIP_ZLIB, .cluster = 512, .dedup = true};
	/* letters are clusters, '.' is a zero one; then: own bytes stored */
	static const struct {
		const char *clusters;
		int stored;
	} cases[] = {
	    {"AB", 2},
	    {"ABA", 2},
	    {"AA", 2},  /* the second may not refer to the first */
	    {"AAA", 2}, /* but the third may */
	    {"AAAA", 2},
	    {"A.A", 1},  /* a zero cluster lies between */
	    {"ABAB", 3}, /* B is the last one stored */
	    {"ABCABC", 4},
	    {"....", 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t n = strlen(cases[i].clusters);
		scoped(bytes_free) struct bytes b = {calloc(n, 512), n * 512};
		uint64_t end = 0;
		int stored = 0;

		for (size_t k = 0; k < b.len; k++)
			if (cases[i].clusters[k / 512] != '.')
				b.p[k] = (uint8_t)cases[i].clusters[k / 512];
		scoped(bytes_free) struct bytes img =
		    write_image(&params, &b, NULL, b.len);
		CHECK(shows(&img, &b));
		for (uint32_t k = 0; k <= n; k++) {
			stored += k > 0 && entry_of(&img, k) > end;
			if (entry_of(&img, k) > end)
				end = entry_of(&img, k);
		}
		CHECK_EQ(stored, cases[i].stored);
	}
}

static void
random_sequences_with_duplicates_decode(void)
{
	uint64_t seed = 5;

	for (int round = 0; round < 600; round++) {
		struct uzip_params params = {
		    .codec = (enum uzip_codec)(round % 3),
		    .level = 1,
		    .cluster = 512,
		    .dedup = true,
		    .keep_zeroes = round % 5 == 0};
		struct bytes b = {calloc(24, 512), 24 * 512};
		uint64_t letters = 1 + kit_random(&seed) % 6;

		for (size_t i = 0; i < 24; i++)
			memset(b.p + i * 512,
			    (int)(kit_random(&seed) % letters), 512);
		scoped(bytes_free) struct bytes img =
		    write_image(&params, &b, NULL, b.len);
		CHECK(shows(&img, &b));
		free(b.p);
	}
}

static void
kept_zeroes_leave_no_empty_span(void)
{
	struct uzip_params params = {
	    .codec = UZIP_ZLIB, .cluster = 1024, .keep_zeroes = true};
	scoped(bytes_free) struct bytes b = sample_data(1024, 20, false);
	scoped(bytes_free) struct bytes img =
	    write_image(&params, &b, NULL, b.len);

	for (uint32_t i = 0; i < 20; i++)
		CHECK(entry_of(&img, i) < entry_of(&img, i + 1));
}

static void
clusters_never_given_are_zero(void)
{
	struct uzip_params params = {.codec = UZIP_ZSTD, .cluster = 512};
	scoped(blkdev_closep) struct blkdev *out = kit_dev("", 0);
	struct uzip_writer *w = NULL;
	struct uzip_written written;
	struct bytes b;

	CHECK_EQ(uzip_writer_open(out, 0, 10, &params, NULL, &w), 0);
	CHECK_EQ(uzip_writer_put_zero(w, 2), 0);
	CHECK_EQ(uzip_writer_put(w, "text", 4), 0);
	CHECK_EQ(uzip_writer_finish(w, &written), 0);
	uzip_writer_close(w);
	CHECK_EQ(written.zero, 9);
	CHECK_EQ(written.compressed, 1);
	b = kit_all(out);
	scoped(bytes_free) struct bytes plain = kernel_decode(&b, true);
	CHECK_EQ(plain.len, 5120);
	CHECK(plain.p != NULL && memcmp(plain.p + 1024, "text", 5) == 0);
	free(b.p);
}

static void
more_than_the_image_holds_is_refused(void)
{
	struct uzip_params params = {.codec = UZIP_ZLIB, .cluster = 512};
	scoped(blkdev_closep) struct blkdev *out = kit_dev("", 0);
	struct uzip_writer *w = NULL;
	struct uzip_written written;
	char buf[1025] = "";

	CHECK_EQ(uzip_writer_open(out, 0, 2, &params, NULL, &w), 0);
	CHECK_EQ(uzip_writer_put(w, buf, 1025), -EFBIG);
	CHECK_EQ(uzip_writer_put_zero(w, 3), -EFBIG);
	CHECK_EQ(uzip_writer_put(w, buf, 1), 0);
	CHECK_EQ(uzip_writer_put_zero(w, 1), -EINVAL); /* inside a cluster */
	CHECK_EQ(uzip_writer_put(w, buf, 1024), -EFBIG);
	CHECK_EQ(uzip_writer_put(w, buf, 1023), 0);
	CHECK_EQ(uzip_writer_put(w, buf, 1), -EFBIG);
	CHECK_EQ(uzip_writer_finish(w, &written), 0);
	uzip_writer_close(w);
}

static void
image_is_written_at_its_base_and_nothing_before_it_changes(void)
{
	struct uzip_params params = {.codec = UZIP_ZLIB, .cluster = 512};
	scoped(blkdev_closep) struct blkdev *out = kit_dev("0123456789", 10);
	struct uzip_writer *w = NULL;
	struct uzip_written written;
	scoped(bytes_free) struct bytes b = sample_data(512, 10, true);

	CHECK_EQ(uzip_writer_open(out, 10, 10, &params, NULL, &w), 0);
	CHECK_EQ(uzip_writer_put(w, b.p, b.len), 0);
	CHECK_EQ(uzip_writer_finish(w, &written), 0);
	uzip_writer_close(w);
	struct bytes all = kit_all(out);
	struct bytes img = {all.p + 10, all.len - 10};
	CHECK_EQ(img.len, written.bytes);
	CHECK(memcmp(all.p, "0123456789", 10) == 0);
	CHECK(shows(&img, &b));
	free(all.p);
}

/* Write a sample where the nth call fails; what finish or a put gave. */
static int
write_with_fault(unsigned kinds, unsigned nth, int error)
{
	struct uzip_params params = {
	    .codec = UZIP_ZLIB, .cluster = 512, .dedup = true};
	scoped(bytes_free) struct bytes b = sample_data(512, 10, true);
	scoped(blkdev_closep) struct blkdev *out = NULL;
	struct uzip_writer *w = NULL;
	struct uzip_written written;
	int rc;

	CHECK_EQ(blkdev_fault_open(kit_dev("", 0), &out), 0);
	CHECK_EQ(uzip_writer_open(out, 0, 10, &params, NULL, &w), 0);
	blkdev_fault_arm(out, kinds, nth, error, false);
	rc = uzip_writer_put(w, b.p, b.len);
	if (rc == 0)
		rc = uzip_writer_finish(w, &written);
	uzip_writer_close(w);
	return rc;
}

static void
failing_writes_pass_up(void)
{
	for (unsigned nth = 1; nth <= 3; nth++)
		CHECK_EQ(write_with_fault(FAULT_WRITE, nth, -EIO), -EIO);
	CHECK_EQ(write_with_fault(FAULT_WRITE, 4, -EIO), 0);
	CHECK_EQ(write_with_fault(FAULT_RESIZE, 1, -ENOSPC), -ENOSPC);
}

static void
levels_make_a_difference(void)
{
	static const int levels[][2] = {{1, 12}, {1, 9}, {1, 19}};
	scoped(bytes_free) struct bytes b = {malloc(300000), 300000};
	uint64_t seed = 3;
	size_t at = 0;

	/* words, so that there is something to find */
	while (at < b.len) {
		uint64_t word = kit_random(&seed) % 300 * 7919;

		for (int k = 0; k < 6 && at < b.len; k++, word /= 11)
			b.p[at++] = (uint8_t)('a' + word % 23);
	}
	for (int codec = UZIP_ZLIB; codec <= UZIP_ZSTD; codec++) {
		struct uzip_params params = {
		    .codec = (enum uzip_codec)codec, .cluster = 65536};
		params.level = levels[codec][0];
		scoped(bytes_free) struct bytes low =
		    write_image(&params, &b, NULL, b.len);
		params.level = levels[codec][1];
		scoped(bytes_free) struct bytes high =
		    write_image(&params, &b, NULL, b.len);
		CHECK(high.len < low.len);
		CHECK(shows(&low, &b) && shows(&high, &b));
	}
}

#define T(name) \
	{ \
#name, name \
	}
TESTS(T(everything_written_decodes_as_kernels_do_it),
    T(threads_and_portions_do_not_show_in_the_file),
    T(threads_do_not_show_among_copies_nor_when_writing_fails),
    T(incompressible_clusters_stay_within_the_strictest_bound),
    T(cluster_over_the_bound_is_named_with_advice),
    T(impossible_parameters_are_refused),
    T(preamble_is_kept_but_for_what_must_change),
    T(preambles_are_mkuzips_to_the_byte),
    T(duplicates_are_stored_once_but_never_beside_each_other),
    T(random_sequences_with_duplicates_decode),
    T(kept_zeroes_leave_no_empty_span), T(clusters_never_given_are_zero),
    T(more_than_the_image_holds_is_refused),
    T(image_is_written_at_its_base_and_nothing_before_it_changes),
    T(failing_writes_pass_up), T(levels_make_a_difference))
