/*
 * Clusters that go on as they are once they have been decoded: in any order,
 * with others between them, never with what is damaged.
 */
#include "../../imgfmt/pool.h"
#include "uzip_kit.h"

enum { FOREIGN = 1 << 30 }; /* plain data where a cluster's number is due */

/*
 * An image of the clusters of dev that order names; some of them may be zero
 * (UINT32_MAX) or plain bytes of their own (above FOREIGN).  model gets what
 * it must show.
 */
static struct bytes
arrange(struct blkdev *dev, const uint32_t *order, uint32_t n,
    struct pool *pool, struct bytes *model, struct uzip_written *written)
{
	scoped(blkdev_closep) struct blkdev *out = kit_dev("", 0);
	struct uzip_params params = kit_params(dev);
	size_t cluster = params.cluster;
	struct uzip_writer *w = NULL;

	*model = (struct bytes){calloc(n, cluster), n * cluster};
	CHECK_EQ(uzip_writer_open(out, 0, n, &params, pool, &w), 0);
	for (uint32_t i = 0; i < n; i++) {
		uint8_t *p = model->p + i * cluster;

		if (order[i] == UINT32_MAX) {
			CHECK_EQ(uzip_writer_put_zero(w, 1), 0);
		} else if (order[i] >= FOREIGN) {
			memset(p, (int)order[i], cluster / 2);
			CHECK_EQ(uzip_writer_put(w, p, cluster), 0);
		} else {
			CHECK_EQ(
			    blkdev_read(dev, order[i] * cluster, p, cluster),
			    0);
			CHECK_EQ(uzip_writer_put_proven(w, dev, order[i]), 0);
		}
	}
	CHECK_EQ(uzip_writer_finish(w, written), 0);
	uzip_writer_close(w);
	return kit_all(out);
}

static void
any_order_of_all_fixtures_decodes_to_the_model(void)
{
	static const char *const fixtures[] = {
	    "small-lzma-16k.uzip",
	    "small-lzma-64k-d.uzip",
	    "small-zlib-16k-Z.uzip",
	    "small-zlib-16k-d.uzip",
	    "small-zlib-16k-garbage-last.uzip",
	    "small-zlib-16k-slack.uzip",
	    "small-zlib-16k-zero-last.uzip",
	    "small-zlib-512.uzip",
	    "small-zstd-1000448.uzip",
	    "small-zstd-64k-d.uzip",
	};
	struct pool *pool = NULL;
	uint64_t seed = 5;

	CHECK_EQ(pool_open(3, &pool), 0);
	for (size_t f = 0; f < sizeof(fixtures) / sizeof(*fixtures); f++) {
		scoped(bytes_free) struct bytes img = kit_file(fixtures[f]);
		struct uzip_written written;
		uint32_t order[3000];

		if (img.p == NULL) {
			pool_close(pool);
			SKIP("no fixtures");
		}
		scoped(blkdev_closep) struct blkdev *dev = kit_open(&img);
		uint32_t n = uzip_info(dev)->nclusters;
		CHECK(n <= 3000);
		for (uint32_t i = 0; i < n; i++)
			switch (kit_random(&seed) % 8) {
			case 0:
				order[i] = UINT32_MAX;
				break;
			case 1:
				order[i] = FOREIGN + i;
				break;
			default:
				order[i] = (uint32_t)(kit_random(&seed) % n);
			}
		scoped(bytes_free) struct bytes model = {0}, again = {0};
		scoped(bytes_free) struct bytes made =
		    arrange(dev, order, n, NULL, &model, &written);
		CHECK(kit_shows(&made, &model));
		/* the number of threads does not show */
		scoped(bytes_free) struct bytes parallel =
		    arrange(dev, order, n, pool, &again, &written);
		CHECK(made.len == parallel.len &&
		    memcmp(made.p, parallel.p, made.len) == 0);
	}
	pool_close(pool);
}

static void
streams_stay_as_they_are_without_their_slack(void)
{
	static const uint32_t order[] = {3, 1, 0, 2, 1};

	for (size_t v = 0; v < 6; v++) {
		struct craft c = {.letter = kit_variants[v][0],
		    .version = kit_variants[v][1],
		    .cluster = 1024,
		    .n = 4};
		struct uzip_written written;
		uint64_t len[4];
		struct kernel k = {0};
		uint8_t p[1024];

		for (uint32_t i = 0; i < 4; i++) {
			pattern(i, p, 1024);
			c.entry[i] = craft_stream(&c, p, 1024);
			len[i] = craft_pos(&c) - c.entry[i];
			/* what an xz or zstd decoder would not take for more */
			craft_raw(&c, "\0\0\0\0\0\0\0",
			    c.letter == 'V' || c.letter == 'v' ? 7 : 0);
		}
		c.entry[4] = craft_pos(&c);
		scoped(blkdev_closep) struct blkdev *dev = open_craft(&c);
		scoped(bytes_free) struct bytes model = {0};
		scoped(bytes_free) struct bytes made =
		    arrange(dev, order, 5, NULL, &model, &written);
		CHECK(kit_shows(&made, &model));
		CHECK(kernel_parse(&k, &made, true));
		bool dedup = c.letter >= 'a';
		CHECK_EQ(written.backref, dedup ? 1 : 0);
		CHECK_EQ(written.copied, dedup ? 4 : 5);
		CHECK_EQ(written.compressed, 0);
		for (uint32_t i = 0; i < 4; i++) {
			const uint8_t *was =
			    c.data + (c.entry[order[i]] - c.entry[0]);

			CHECK_EQ(k.off[i + 1] - k.off[i] == len[order[i]] ||
				(dedup && i == 3),
			    1);
			CHECK(memcmp(made.p + k.off[i], was,
				  (size_t)len[order[i]]) == 0);
		}
		kernel_free(&k);
	}
}

static void
what_is_zero_or_short_is_made_anew(void)
{
	static const uint32_t order[] = {3, 2, 3, 0};

	for (size_t v = 0; v < 6; v++) {
		struct craft c = sample(kit_variants[v][0], kit_variants[v][1]);
		struct uzip_written written;
		uint8_t p[1024];

		c.len -= (size_t)(c.entry[4] - c.entry[3]);
		pattern(3, p, 300);
		craft_stream(&c, p, 300);
		c.entry[4] = craft_pos(&c);
		scoped(blkdev_closep) struct blkdev *dev = open_craft(&c);
		scoped(bytes_free) struct bytes model = {0};
		scoped(bytes_free) struct bytes made =
		    arrange(dev, order, 4, NULL, &model, &written);
		CHECK(kit_shows(&made, &model));
		CHECK_EQ(written.zero, 1);
		CHECK_EQ(written.copied, 1);
		CHECK_EQ(written.compressed + written.backref, 2);
	}
}

/* An .xz stream that liblzma takes; kernels do not, or not all. */
static void
foreign_xz(struct craft *c, const uint8_t *p, bool filtered)
{
	static uint8_t buf[1 << 12];
	lzma_options_lzma opt;
	size_t out = 0;

	CHECK(!lzma_lzma_preset(&opt, 1));
	lzma_filter chain[] = {{LZMA_FILTER_X86, NULL},
	    {LZMA_FILTER_LZMA2, &opt}, {LZMA_VLI_UNKNOWN, NULL}};
	CHECK(lzma_stream_buffer_encode(filtered ? chain : chain + 1,
		  filtered ? LZMA_CHECK_CRC32 : LZMA_CHECK_CRC64, NULL, p, 1024,
		  buf, &out, sizeof(buf)) == LZMA_OK);
	craft_raw(c, buf, out);
}

static void
what_kernels_refuse_is_made_anew(void)
{
	static const uint32_t order[] = {1, 0, 2};
	struct craft c = {
	    .letter = 'L', .version = '3', .cluster = 1024, .n = 3};
	struct uzip_written written;
	uint8_t p[1024];

	for (uint32_t i = 0; i < 3; i++) {
		pattern(i, p, 1024);
		c.entry[i] = craft_pos(&c);
		if (i < 2)
			foreign_xz(&c, p, i == 0);
		else
			craft_stream(&c, p, 1024);
	}
	c.entry[3] = craft_pos(&c);
	scoped(blkdev_closep) struct blkdev *dev = open_craft(&c);
	scoped(bytes_free) struct bytes model = {0};
	scoped(bytes_free) struct bytes made =
	    arrange(dev, order, 3, NULL, &model, &written);
	CHECK(kit_shows(&made, &model));
	CHECK_EQ(written.copied, 1);
	CHECK_EQ(written.compressed, 2);
	scoped(blkdev_closep) struct blkdev *judged = NULL;
	CHECK_EQ(
	    uzip_open_damaged(kit_dev(made.p, made.len), CACHE, NULL, &judged),
	    0);
	kit_listen();
	CHECK_EQ(uzip_check(judged, NULL, NULL, NULL), 0);
	CHECK_EQ(kit_lines, 0);
	log_set_sink(NULL);
}

/* A frame that does not tell its size, and what pads the image behind it. */
static void
padding_does_not_come_along(void)
{
	static const uint32_t order[] = {1, 0};
	struct craft c = {
	    .letter = 'Z', .version = '4', .cluster = 1024, .n = 2};
	ZSTD_CCtx *cctx = ZSTD_createCCtx();
	struct uzip_written written;
	uint8_t p[1024], frame[2048];
	size_t n;

	pattern(0, p, 1024);
	c.entry[0] = craft_stream(&c, p, 1024);
	pattern(1, p, 1024);
	ZSTD_CCtx_setParameter(cctx, ZSTD_c_contentSizeFlag, 0);
	n = ZSTD_compress2(cctx, frame, sizeof(frame), p, 1024);
	ZSTD_freeCCtx(cctx);
	CHECK(!ZSTD_isError(n));
	c.entry[1] = craft_raw(&c, frame, n);
	craft_raw(&c, "padding that is no frame", 24);
	c.entry[2] = 0; /* the kernel takes the image's end then */
	scoped(blkdev_closep) struct blkdev *dev = open_craft(&c);
	scoped(bytes_free) struct bytes model = {0};
	scoped(bytes_free) struct bytes made =
	    arrange(dev, order, 2, NULL, &model, &written);
	CHECK(kit_shows(&made, &model));
	CHECK_EQ(written.copied, 2);
}

/* Many damaged clusters: the first is told, whoever finds which first. */
static void
the_first_damage_is_told(void)
{
	enum { N = 400, CLUSTER = 4096 };
	scoped(blkdev_closep) struct blkdev *out = kit_dev("", 0);
	struct uzip_params params = {.codec = UZIP_ZLIB, .cluster = CLUSTER};
	struct uzip_writer *w = NULL;
	struct uzip_written written;
	struct pool *pool = NULL;
	uint8_t p[CLUSTER];

	CHECK_EQ(uzip_writer_open(out, 0, N, &params, NULL, &w), 0);
	for (uint32_t i = 0; i < N; i++) {
		pattern(i, p, sizeof(p));
		CHECK_EQ(uzip_writer_put(w, p, sizeof(p)), 0);
	}
	CHECK_EQ(uzip_writer_finish(w, &written), 0);
	uzip_writer_close(w);
	scoped(bytes_free) struct bytes img = kit_all(out);
	for (uint32_t i = 7; i < N; i++)
		img.p[kernel_be(img.p + 136 + 8 * (i + 1), 8) - 3] ^= 0x55;
	CHECK_EQ(pool_open(3, &pool), 0);
	for (int round = 0; round < 20; round++) {
		scoped(blkdev_closep) struct blkdev *dev = kit_open(&img);
		scoped(blkdev_closep) struct blkdev *to = kit_dev("", 0);
		int rc = 0;

		kit_listen();
		CHECK_EQ(uzip_writer_open(to, 0, N, &params, pool, &w), 0);
		for (uint32_t i = 0; i < N && rc == 0; i++)
			rc = uzip_writer_put_proven(w, dev, i);
		if (rc == 0)
			rc = uzip_writer_finish(w, &written);
		uzip_writer_close(w);
		CHECK_EQ(rc, -ECORRUPT);
		CHECK_EQ(kit_lines, 1);
		CHECK(strstr(kit_said, "cluster 7 ") != NULL);
		log_set_sink(NULL);
	}
	pool_close(pool);
}

/* A cluster that is damaged: what put or finish gives. */
static int
arrange_damaged(struct craft *c, uint32_t no, struct pool *pool)
{
	scoped(blkdev_closep) struct blkdev *dev = open_craft(c);
	scoped(blkdev_closep) struct blkdev *out = kit_dev("", 0);
	struct uzip_params params = kit_params(dev);
	struct uzip_writer *w = NULL;
	struct uzip_written written;
	int rc;

	CHECK_EQ(uzip_writer_open(out, 0, 2, &params, pool, &w), 0);
	rc = uzip_writer_put_proven(w, dev, no);
	if (rc == 0)
		rc = uzip_writer_finish(w, &written);
	uzip_writer_close(w);
	return rc;
}

static void
what_is_damaged_is_refused(void)
{
	struct pool *pool = NULL;

	CHECK_EQ(pool_open(2, &pool), 0);
	for (size_t v = 0; v < 6; v++)
		for (uint32_t no = 0; no < 4; no++) {
			struct craft c =
			    sample(kit_variants[v][0], kit_variants[v][1]);
			char name[16];

			if (no == 2)
				continue; /* a zero one has no bytes */
			snprintf(name, sizeof(name), "cluster %u ", no);
			c.data[c.entry[no + 1] - c.entry[0] - 3] ^= 0x55;
			kit_listen();
			CHECK_EQ(
			    arrange_damaged(&c, no, v % 2 == 0 ? pool : NULL),
			    -ECORRUPT);
			CHECK(strstr(kit_said, name) != NULL);
			CHECK_EQ(kit_lines, 1);
			log_set_sink(NULL);
		}
	pool_close(pool);
}

static void
what_does_not_fit_is_refused(void)
{
	struct craft c = sample('V', '2');
	scoped(blkdev_closep) struct blkdev *dev = open_craft(&c);
	scoped(blkdev_closep) struct blkdev *out = kit_dev("", 0);
	struct uzip_params params = kit_params(dev);
	struct uzip_writer *w = NULL;
	uint8_t p[1024] = {1};

	CHECK_EQ(uzip_writer_open(out, 0, 2, &params, NULL, &w), 0);
	CHECK_EQ(uzip_writer_put_proven(w, dev, 4), -EINVAL);
	CHECK_EQ(uzip_writer_put(w, p, 100), 0);
	CHECK_EQ(uzip_writer_put_proven(w, dev, 0), -EINVAL);
	CHECK_EQ(uzip_writer_put(w, p, 924), 0);
	CHECK_EQ(uzip_writer_put_proven(w, dev, 0), 0);
	CHECK_EQ(uzip_writer_put_proven(w, dev, 0), -EFBIG);
	uzip_writer_close(w);
	params.cluster = 512;
	CHECK_EQ(uzip_writer_open(out, 0, 2, &params, NULL, &w), 0);
	CHECK_EQ(uzip_writer_put_proven(w, dev, 0), -EINVAL);
	uzip_writer_close(w);
	params.cluster = 1024;
	params.codec = UZIP_ZSTD;
	CHECK_EQ(uzip_writer_open(out, 0, 2, &params, NULL, &w), 0);
	CHECK_EQ(uzip_writer_put_proven(w, dev, 0), -EINVAL);
	uzip_writer_close(w);
}

#define T(name) \
	{ \
#name, name \
	}
TESTS(T(any_order_of_all_fixtures_decodes_to_the_model),
    T(streams_stay_as_they_are_without_their_slack),
    T(what_is_zero_or_short_is_made_anew), T(what_kernels_refuse_is_made_anew),
    T(padding_does_not_come_along), T(the_first_damage_is_told),
    T(what_is_damaged_is_refused), T(what_does_not_fit_is_refused))
