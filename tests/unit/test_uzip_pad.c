/*
 * Padding, so that copied clusters can be shared: what kernels make of it, by
 * the independent decoder of uzip_kit.h, and what it may cost.  The devices
 * here lie in memory: they are copied in the end, wherever they lie.
 */
#include "blkdev_fault.h"
#include "uzip_kit.h"

enum { N = 160, CLUSTER = 4096, UNIT = 1024 };

static const enum uzip_codec codecs[] = {UZIP_ZLIB, UZIP_LZMA, UZIP_ZSTD};

static struct uzip_params
params_of(size_t codec, bool dedup)
{
	return (struct uzip_params){
	    .codec = codecs[codec],
	    .level = 1,
	    .cluster = codecs[codec] == UZIP_LZMA ? 4 * CLUSTER : CLUSTER,
	    .dedup = dedup,
	};
}

/* A cluster; noise: of 256 bytes, how many do not compress. */
static void
fill(uint8_t *p, uint32_t len, uint32_t noise, uint64_t *seed)
{
	uint64_t letter = kit_random(seed);

	for (uint32_t k = 0; k < len; k++)
		p[k] = (uint8_t)(k % 256 < noise ? kit_random(seed) : letter);
}

/* An image of different clusters, some zero, some equal, and its contents. */
static struct bytes
image_of(const struct uzip_params *params, struct bytes *model, uint32_t noise,
    uint64_t *seed)
{
	scoped(blkdev_closep) struct blkdev *out = kit_dev("", 0);
	uint32_t cl = params->cluster;
	struct uzip_writer *w = NULL;
	struct uzip_written written;

	*model = (struct bytes){calloc(N, cl), (size_t)N * cl};
	for (uint32_t i = 0; i < N; i++) {
		uint8_t *p = model->p + (size_t)i * cl;

		if (params->dedup && i > 0 && kit_random(seed) % 4 == 0)
			memcpy(p, model->p + kit_random(seed) % i * cl, cl);
		else if (kit_random(seed) % 10 > 0)
			fill(p, cl, noise > 0 ? noise : 20 + i % 150, seed);
	}
	CHECK_EQ(uzip_writer_open(out, 0, N, params, NULL, &w), 0);
	CHECK_EQ(uzip_writer_put(w, model->p, model->len), 0);
	CHECK_EQ(uzip_writer_finish(w, &written), 0);
	uzip_writer_close(w);
	CHECK_EQ(written.padding, 0);
	return kit_all(out);
}

enum { CLEAN, DIRTY, FREED };

/* What a commit does; the model follows. */
static struct bytes
commit(const struct bytes *img, const struct uzip_params *params,
    const uint8_t *what, struct bytes *model, struct uzip_written *written)
{
	scoped(blkdev_closep) struct blkdev *dev = kit_open(img);
	scoped(blkdev_closep) struct blkdev *out = kit_dev("", 0);
	uint32_t cl = params->cluster;
	struct uzip_writer *w = NULL;

	CHECK_EQ(uzip_writer_open(out, 0, N, params, NULL, &w), 0);
	for (uint32_t i = 0, n; i < N; i += n) {
		uint8_t *p = model->p + (size_t)i * cl;

		for (n = 1; i + n < N && what[i + n] == what[i];)
			n++;
		if (what[i] == CLEAN) {
			CHECK_EQ(uzip_writer_put_from(w, dev, i, n), 0);
		} else if (what[i] == DIRTY) {
			CHECK_EQ(uzip_writer_put(w, p, (size_t)n * cl), 0);
		} else {
			memset(p, 0, (size_t)n * cl);
			CHECK_EQ(uzip_writer_put_zero(w, n), 0);
		}
	}
	CHECK_EQ(uzip_writer_finish(w, written), 0);
	uzip_writer_close(w);
	CHECK_EQ(written->compressed + written->copied + written->zero +
		written->backref,
	    N);
	return kit_all(out);
}

/* Kernels, the strictest too, and we see the model. */
static bool
shows(const struct bytes *img, const struct bytes *model)
{
	scoped(blkdev_closep) struct blkdev *dev = kit_open(img);

	return kit_shows(img, model) && uzip_check(dev, NULL, NULL, NULL) == 0;
}

/* Bytes of clean clusters that lie in both images as sharing needs it. */
static uint64_t
congruent(const struct bytes *old, const struct bytes *new,
    const struct uzip_params *params, const uint8_t *what)
{
	struct kernel was = {0}, is = {0};
	uint64_t sum = 0;

	CHECK(kernel_parse(&was, old, true));
	CHECK(kernel_parse(&is, new, true));
	for (uint32_t i = 0; i < N; i++)
		if (what[i] == CLEAN && was.len[i] == is.len[i] &&
		    (was.off[i] + params->sharing.from - is.off[i] -
			params->sharing.to) %
			    params->sharing.unit ==
			0)
			sum += is.len[i];
	kernel_free(&was);
	kernel_free(&is);
	return sum;
}

static void
random_commits_that_pad_decode_to_the_model(void)
{
	uint64_t seed = 5;

	for (int round = 0; round < 45; round++) {
		struct uzip_params params =
		    params_of((size_t)round % 3, round % 2 == 0);
		struct bytes model;
		uint8_t what[N] = {0};
		struct uzip_written written;

		params.keep_zeroes = round % 5 == 4;
		scoped(bytes_free) struct bytes img =
		    image_of(&params, &model, 0, &seed);
		params.sharing.unit = 512u << kit_random(&seed) % 3;
		params.sharing.from = kit_random(&seed) % 5000;
		params.sharing.to = kit_random(&seed) % 5000;
		params.share_least = 1 + kit_random(&seed) % 9000;
		for (uint32_t i = 0; i < N; i++) {
			if (kit_random(&seed) % 9 > 0)
				continue;
			what[i] = (uint8_t)(kit_random(&seed) % 3);
			if (what[i] == DIRTY)
				fill(model.p + (size_t)i * params.cluster,
				    params.cluster, 60, &seed);
		}
		scoped(bytes_free) struct bytes made =
		    commit(&img, &params, what, &model, &written);
		CHECK(shows(&made, &model));
		CHECK(written.padding > 0);
		CHECK_EQ(written.shared_bytes, 0); /* in memory */
		bytes_free(&model);
	}
}

/* A long free run comes in pieces: padding behind it would be in its last. */
static void
free_clusters_behind_an_edit_stay_free(void)
{
	enum { FREE = 16384, DATA = 40, ALL = 1 + FREE + DATA, CL = 1024 };
	struct uzip_params params = {
	    .codec = UZIP_ZLIB, .level = 1, .cluster = CL};
	struct bytes model = {calloc(ALL, CL), (size_t)ALL * CL};
	scoped(blkdev_closep) struct blkdev *first = kit_dev("", 0);
	scoped(blkdev_closep) struct blkdev *second = kit_dev("", 0);
	scoped(blkdev_closep) struct blkdev *dev = NULL;
	struct uzip_written written;
	struct uzip_writer *w = NULL;
	uint64_t seed = 12;

	fill(model.p, CL, 60, &seed);
	for (uint32_t i = 1 + FREE; i < ALL; i++)
		fill(model.p + (size_t)i * CL, CL, 60, &seed);
	CHECK_EQ(uzip_writer_open(first, 0, ALL, &params, NULL, &w), 0);
	CHECK_EQ(uzip_writer_put(w, model.p, model.len), 0);
	CHECK_EQ(uzip_writer_finish(w, &written), 0);
	uzip_writer_close(w);

	scoped(bytes_free) struct bytes img = kit_all(first);
	CHECK_EQ(uzip_open(kit_dev(img.p, img.len), CACHE, NULL, &dev), 0);
	params.sharing.unit = 512;
	params.share_least = 1;
	fill(model.p, CL, 90, &seed); /* longer than it was */
	CHECK_EQ(uzip_writer_open(second, 0, ALL, &params, NULL, &w), 0);
	CHECK_EQ(uzip_writer_put(w, model.p, CL), 0);
	CHECK_EQ(uzip_writer_put_from(w, dev, 1, FREE), 0);
	CHECK_EQ(uzip_writer_put_from(w, dev, 1 + FREE, DATA), 0);
	CHECK_EQ(uzip_writer_finish(w, &written), 0);
	uzip_writer_close(w);
	CHECK_EQ(written.zero, FREE);
	scoped(bytes_free) struct bytes made = kit_all(second);
	CHECK(shows(&made, &model));
	bytes_free(&model);
}

static void
what_follows_an_edit_lies_as_it_did_modulo_the_unit(void)
{
	uint64_t seed = 6;

	for (size_t c = 0; c < 3; c++) {
		struct uzip_params params = params_of(c, false);
		struct bytes model;
		scoped(bytes_free) struct bytes img =
		    image_of(&params, &model, 100, &seed);
		uint8_t what[N] = {[7] = DIRTY,
		    [50] = DIRTY,
		    [51] = DIRTY,
		    [90] = FREED,
		    [91] = FREED,
		    [120] = DIRTY,
		    [121] = FREED};
		struct uzip_written written, plain;

		fill(model.p, params.cluster, 100, &seed);
		for (uint32_t i = 0; i < N; i++)
			if (what[i] == DIRTY)
				fill(model.p + (size_t)i * params.cluster,
				    params.cluster, 50 + i % 11, &seed);
		what[0] = DIRTY;
		scoped(bytes_free) struct bytes bare =
		    commit(&img, &params, what, &model, &plain);
		params.sharing = (struct blkdev_sharing){UNIT, 11, 700};
		params.share_least = 1;
		scoped(bytes_free) struct bytes made =
		    commit(&img, &params, what, &model, &written);
		CHECK(shows(&made, &model));
		/* all but the clusters that were copied to be padded */
		CHECK(congruent(&img, &made, &params, what) >
		    (written.copied_bytes + written.padding) * 9 / 10);
		/* five gaps, each less than a unit and a frame's head */
		CHECK(written.padding > 0 && written.padding < 5 * (UNIT + 8));
		CHECK(made.len <= bare.len + written.padding + 512);
		bytes_free(&model);
	}
}

static void
short_runs_are_not_padded(void)
{
	uint64_t seed = 7;
	struct uzip_params params = params_of(0, false);
	struct bytes model;
	scoped(bytes_free) struct bytes img =
	    image_of(&params, &model, 100, &seed);
	uint8_t what[N] = {0};
	struct uzip_written written;

	for (uint32_t i = 0; i < N; i += 10) {
		what[i] = DIRTY;
		fill(model.p + (size_t)i * CLUSTER, CLUSTER, 50, &seed);
	}
	params.sharing.unit = UNIT;
	params.share_least = 10 * CLUSTER;
	scoped(bytes_free) struct bytes made =
	    commit(&img, &params, what, &model, &written);
	CHECK_EQ(written.padding, 0);
	CHECK(shows(&made, &model));
	params.share_least = 0;
	scoped(bytes_free) struct bytes bare =
	    commit(&img, &params, what, &model, &written);
	CHECK(made.len == bare.len && memcmp(made.p, bare.p, made.len) == 0);
	bytes_free(&model);
}

/* fill, or zeroes for no noise. */
static void
refill(uint8_t *p, uint32_t len, uint32_t noise, uint64_t *seed)
{
	if (noise > 0)
		fill(p, len, noise, seed);
	else
		memset(p, 0, len);
}

/*
 * Commit again and again what changes at the same places; every other time what
 * is there becomes zero, so that nothing there can be padded.
 */
static void
recommit(struct uzip_params *params, const uint8_t *what, uint32_t noise,
    uint64_t *seed)
{
	uint32_t dirty_runs = 0;
	struct bytes model;
	struct bytes img = image_of(params, &model, 100, seed);
	size_t least = SIZE_MAX, most = 0;

	params->sharing.unit = UNIT;
	params->share_least = 1;
	for (uint32_t i = 0; i < N; i++)
		dirty_runs += what[i] == DIRTY;
	for (int round = 0; round < 10; round++) {
		struct uzip_written written;
		struct bytes made;

		for (uint32_t i = 0; i < N; i++)
			if (what[i] == DIRTY)
				refill(model.p + (size_t)i * params->cluster,
				    params->cluster, round % 2 == 0 ? noise : 0,
				    seed);
		made = commit(&img, params, what, &model, &written);
		CHECK(shows(&made, &model));
		bytes_free(&img);
		img = made;
		if (round % 2 == 0) {
			least = img.len < least ? img.len : least;
			most = img.len > most ? img.len : most;
		}
	}
	/* streams of this noise differ by a few bytes in length */
	CHECK(most - least <= dirty_runs * (UNIT + 8 + 100) + 512);
	bytes_free(&img);
	bytes_free(&model);
}

static void
padding_does_not_pile_up_on_what_is_compressed_again(void)
{
	uint64_t seed = 8;

	for (size_t c = 0; c < 3; c++) {
		uint8_t what[N] = {[3] = DIRTY, [90] = DIRTY, [158] = DIRTY};
		struct uzip_params params = params_of(c, false);

		recommit(&params, what, 60, &seed);
	}
}

static void
padding_does_not_pile_up_behind_what_has_no_room(void)
{
	uint64_t seed = 9;

	for (size_t c = 0; c < 3; c++) {
		uint8_t what[N] = {[3] = DIRTY, [90] = DIRTY};
		struct uzip_params params = params_of(c, false);

		recommit(&params, what, 256, &seed);
	}
}

static void
freed_clusters_never_make_the_image_larger(void)
{
	uint64_t seed = 10;

	for (int round = 0; round < 12; round++) {
		struct uzip_params params = params_of((size_t)round % 3, false);
		struct bytes model;
		scoped(bytes_free) struct bytes img =
		    image_of(&params, &model, 90, &seed);
		uint8_t what[N] = {0};
		struct uzip_written written;

		for (uint32_t i = 0; i < N; i++)
			if (kit_random(&seed) % 30 == 0)
				what[i] = FREED;
		params.sharing.unit = UNIT;
		params.share_least = 1;
		scoped(bytes_free) struct bytes made =
		    commit(&img, &params, what, &model, &written);
		CHECK(shows(&made, &model));
		/* what a frame must have at least */
		CHECK(made.len <= img.len + (round % 3 == 2 ? UNIT : 0));
		bytes_free(&model);
	}
}

/* Nothing has room: nothing is padded, all is copied. */
static void
incompressible_images_are_copied(void)
{
	uint64_t seed = 11;

	for (size_t c = 0; c < 3; c++) {
		uint8_t what[N] = {[20] = DIRTY, [30] = FREED};
		struct uzip_params params = params_of(c, false);
		struct bytes model;
		scoped(bytes_free) struct bytes img =
		    image_of(&params, &model, 256, &seed);
		struct uzip_written written;

		fill(model.p + (size_t)20 * params.cluster, params.cluster, 256,
		    &seed);
		params.sharing = (struct blkdev_sharing){4096, 0, 100};
		params.share_least = 1;
		scoped(bytes_free) struct bytes made =
		    commit(&img, &params, what, &model, &written);
		CHECK(shows(&made, &model));
		CHECK_EQ(written.padding, 0);
		bytes_free(&model);
	}
}

/* A damaged cluster is copied as it is, as without padding. */
static void
damaged_clusters_are_not_padded(void)
{
	uint64_t seed = 12;

	for (size_t c = 0; c < 3; c++) {
		uint8_t what[N] = {[0] = DIRTY};
		struct uzip_params params = params_of(c, false);
		struct bytes model;
		scoped(bytes_free) struct bytes img =
		    image_of(&params, &model, 100, &seed);
		struct kernel was = {0}, is = {0};
		struct uzip_written written;

		fill(model.p, params.cluster, 256, &seed); /* has no room */
		CHECK(kernel_parse(&was, &img, true));
		for (uint32_t i = 1; i < 4; i++)
			memset(img.p + was.off[i], 0xff, (size_t)was.len[i]);
		params.sharing.unit = UNIT;
		params.share_least = 1;
		scoped(bytes_free) struct bytes made =
		    commit(&img, &params, what, &model, &written);
		CHECK(kernel_parse(&is, &made, true));
		for (uint32_t i = 1; i < 4; i++)
			CHECK(is.len[i] == was.len[i] &&
			    memcmp(made.p + is.off[i], img.p + was.off[i],
				(size_t)was.len[i]) == 0);
		CHECK(written.padding > 0);
		kernel_free(&was);
		kernel_free(&is);
		bytes_free(&model);
	}
}

static void
failing_reads_while_padding_pass_up(void)
{
	uint64_t seed = 13;
	struct uzip_params params = params_of(0, false);
	struct bytes model;
	scoped(bytes_free) struct bytes img =
	    image_of(&params, &model, 100, &seed);
	scoped(blkdev_closep) struct blkdev *out = kit_dev("", 0);
	scoped(blkdev_closep) struct blkdev *dev = NULL;
	struct uzip_written written;
	struct blkdev *lower = NULL;
	unsigned failed = 0;

	CHECK_EQ(blkdev_fault_open(kit_dev(img.p, img.len), &lower), 0);
	CHECK_EQ(uzip_open(lower, CACHE, NULL, &dev), 0);
	params.sharing = (struct blkdev_sharing){UNIT, 3, 0};
	params.share_least = 1;
	for (unsigned nth = 1; nth < 9; nth++) {
		struct uzip_writer *w = NULL;
		int rc;

		CHECK_EQ(uzip_writer_open(out, 0, N, &params, NULL, &w), 0);
		blkdev_fault_arm(lower, FAULT_READ, nth, -EIO, true);
		rc = uzip_writer_put_from(w, dev, 0, N);
		if (rc == 0)
			rc = uzip_writer_finish(w, &written);
		CHECK(rc == 0 || rc == -EIO);
		failed += rc < 0;
		blkdev_fault_arm(lower, FAULT_READ, 0, 0, false);
		uzip_writer_close(w);
	}
	CHECK(failed >= 3); /* the index, the padded cluster, the rest */
	bytes_free(&model);
}

#define T(name) \
	{ \
#name, name \
	}
TESTS(T(random_commits_that_pad_decode_to_the_model),
    T(free_clusters_behind_an_edit_stay_free),
    T(what_follows_an_edit_lies_as_it_did_modulo_the_unit),
    T(short_runs_are_not_padded),
    T(padding_does_not_pile_up_on_what_is_compressed_again),
    T(padding_does_not_pile_up_behind_what_has_no_room),
    T(freed_clusters_never_make_the_image_larger),
    T(incompressible_images_are_copied), T(damaged_clusters_are_not_padded),
    T(failing_reads_while_padding_pass_up))
