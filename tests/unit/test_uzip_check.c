/* Judging images: every fault is told, and counted, and none that is not. */
#include "blkdev_fault.h"
#include "uzip_kit.h"

static char told[8192];
static int errors, warnings;

static void
note(enum log_level level, const char *line)
{
	size_t len = strlen(told);

	errors += level == LOG_ERROR_LEVEL;
	warnings += level == LOG_WARN_LEVEL;
	snprintf(told + len, sizeof(told) - len, "%s\n", line);
}

/* The number of faults; what was told while checking is in told. */
static int
check_dev(struct blkdev *lower, struct pool *pool)
{
	struct blkdev *dev;
	int rc;

	log_set_sink(note);
	rc = uzip_open_damaged(lower, CACHE, NULL, &dev);
	CHECK_EQ(rc, 0);
	told[0] = '\0';
	errors = warnings = 0;
	rc = uzip_check(dev, pool, NULL, NULL);
	log_set_sink(NULL);
	blkdev_close(dev);
	if (rc >= 0)
		CHECK_EQ(errors, rc);
	return rc;
}

static int
check_craft(const struct craft *c)
{
	return check_dev(craft_dev(c), NULL);
}

static void
images_by_mkuzip_have_no_faults(void)
{
	static const char *const names[] = {
	    "small-lzma-16k.uzip",
	    "small-lzma-64k-d.uzip",
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
	struct pool *pool = NULL;

	CHECK_EQ(pool_open(2, &pool), 0);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		scoped(bytes_free) struct bytes img = kit_file(names[i]);

		if (img.p == NULL)
			break;
		CHECK_EQ(
		    check_dev(kit_dev(img.p, img.len), i % 2 ? pool : NULL), 0);
	}
	pool_close(pool);
}

static void
sound_samples_have_no_faults(void)
{
	for (size_t v = 0; v < 6; v++) {
		struct craft c = sample(kit_variants[v][0], kit_variants[v][1]);

		CHECK_EQ(check_craft(&c), 0);
		CHECK_EQ(warnings, 0);
	}
}

static void
every_damaged_cluster_is_told(void)
{
	for (size_t v = 0; v < 6; v++) {
		struct craft c = sample(kit_variants[v][0], kit_variants[v][1]);
		char want[64];

		c.data[c.entry[1] - c.entry[0] - 3] ^= 0x55;
		c.data[c.entry[2] - c.entry[0] - 3] ^= 0x55;
		CHECK_EQ(check_craft(&c), 2);
		for (int i = 0; i < 2; i++) {
			snprintf(want, sizeof(want),
			    "cluster %d at byte %llu: damaged", i,
			    (unsigned long long)c.entry[i]);
			CHECK(strstr(told, want) != NULL);
		}
	}
}

static void
faults_of_the_index_do_not_hide_those_of_the_data(void)
{
	for (size_t v = 0; v < 2; v++) {
		struct craft c = sample(kit_variants[v][0], kit_variants[v][1]);

		c.data[5] ^= 0x55;
		c.entry[2] = 7; /* outside */
		CHECK_EQ(check_craft(&c), 2);
		CHECK(strstr(told,
			  "index at byte 152: cluster 2 lies outside") != NULL);
		CHECK(strstr(told, "cluster 0 at byte") != NULL);
	}
}

static void
every_kind_of_index_fault_is_told(void)
{
	struct craft c = sample('v', '3');

	c.entry[1] = 1 << 20;
	c.entry[3] = c.entry[0] + 9;
	CHECK_EQ(check_craft(&c), 2);
	CHECK(strstr(told, "byte 144: cluster 1 lies outside") != NULL);
	CHECK(strstr(told, "byte 160: cluster 3 refers back") != NULL);

	c = sample('Z', '4');
	c.entry[4] = c.entry[3] - 1;
	CHECK_EQ(check_craft(&c), 1);
	CHECK(strstr(told, "cluster 3 lies behind the end") != NULL);

	c = sample('Z', '4');
	c.entry[4] = 1 << 20;
	CHECK_EQ(check_craft(&c), 1);
	CHECK(strstr(told, "byte 168: the data end at byte 1048576") != NULL);
}

static void
span_longer_than_kernels_accept_is_told(void)
{
	static const uint8_t junk[2000] = {1};
	struct craft c = {
	    .letter = 'V', .version = '2', .cluster = 1024, .n = 2};
	uint8_t p[1024];

	pattern(0, p, 1024);
	c.entry[0] = craft_stream(&c, p, 1024);
	craft_raw(&c, junk, sizeof(junk));
	c.entry[1] = craft_stream(&c, p, 1024);
	CHECK_EQ(check_craft(&c), 1);
	CHECK(strstr(told, "cluster 0 is longer") != NULL);
}

static void
span_longer_than_old_kernels_accept_is_a_warning(void)
{
	struct craft c = {
	    .letter = 'V', .version = '2', .cluster = 1024, .n = 2};
	uint8_t p[1024];

	pattern(0, p, 1024);
	c.entry[0] = craft_stream(&c, p, 1024);
	while (craft_pos(&c) - c.entry[0] < 1024 + 12)
		craft_raw(&c, "", 1);
	c.entry[1] = craft_stream(&c, p, 1024);
	CHECK_EQ(check_craft(&c), 0);
	CHECK_EQ(warnings, 1);
}

/* A sample whose cluster i of 2 is short by 24 bytes. */
static struct craft
short_at(size_t v, uint32_t i)
{
	struct craft c = {.letter = kit_variants[v][0],
	    .version = kit_variants[v][1],
	    .cluster = 1024,
	    .n = 2};
	uint8_t p[1024];

	for (uint32_t k = 0; k < 2; k++) {
		pattern(k, p, 1024);
		c.entry[k] = craft_stream(&c, p, k == i ? 1000 : 1024);
	}
	c.entry[2] = craft_pos(&c);
	return c;
}

static void
short_cluster_is_a_fault_unless_it_is_the_last(void)
{
	for (size_t v = 0; v < 6; v++) {
		struct craft c = short_at(v, 0);

		CHECK_EQ(check_craft(&c), 1);
		CHECK(strstr(told, "holds less") != NULL);
		c = short_at(v, 1);
		CHECK_EQ(check_craft(&c), 0);
		CHECK_EQ(warnings, v >= 4); /* zstd kernels may panic */
	}
}

static void
junk_behind_the_last_zstd_frame_is_told(void)
{
	struct craft c = sample('Z', '4');

	craft_raw(&c, "junk", 4);
	CHECK_EQ(check_craft(&c), 0); /* the index tells where it ends */
	c.entry[4] = 0;
	CHECK_EQ(check_craft(&c), 1);
	CHECK(strstr(told, "cluster 3") != NULL);
	CHECK(strstr(told, "no zstd frame") != NULL);
}

/* One xz cluster with these filters and this check. */
static struct craft
xz_image(lzma_filter *filters, lzma_check check)
{
	struct craft c = {
	    .letter = 'L', .version = '3', .cluster = 1024, .n = 1};
	uint8_t p[1024], buf[2048];
	size_t len = 0;

	pattern(0, p, 1024);
	CHECK(lzma_stream_buffer_encode(filters, check, NULL, p, 1024, buf,
		  &len, sizeof(buf)) == LZMA_OK);
	c.entry[0] = craft_raw(&c, buf, len);
	c.entry[1] = craft_pos(&c);
	return c;
}

static void
xz_features_that_kernels_lack_are_told(void)
{
	lzma_options_lzma options;
	lzma_filter lzma2[] = {
	    {LZMA_FILTER_LZMA2, &options}, {LZMA_VLI_UNKNOWN, NULL}};
	lzma_filter bcj[] = {{LZMA_FILTER_X86, NULL},
	    {LZMA_FILTER_LZMA2, &options}, {LZMA_VLI_UNKNOWN, NULL}};
	struct craft c;

	lzma_lzma_preset(&options, 1);
	c = xz_image(lzma2, LZMA_CHECK_CRC32);
	CHECK_EQ(check_craft(&c), 0);
	CHECK_EQ(warnings, 0);
	c = xz_image(lzma2, LZMA_CHECK_NONE);
	CHECK_EQ(check_craft(&c), 0);
	CHECK_EQ(warnings, 0);
	c = xz_image(lzma2, LZMA_CHECK_CRC64);
	CHECK_EQ(check_craft(&c), 0);
	CHECK_EQ(warnings, 1);
	c = xz_image(lzma2, LZMA_CHECK_SHA256);
	CHECK_EQ(check_craft(&c), 1);
	c = xz_image(bcj, LZMA_CHECK_CRC32);
	CHECK_EQ(check_craft(&c), 1);
	CHECK(strstr(told, "filter") != NULL);
}

static void
back_references_under_an_upper_case_letter_are_a_warning(void)
{
	struct craft c = sample('V', '2');

	c.entry[2] = c.entry[0];
	CHECK_EQ(check_craft(&c), 0);
	CHECK_EQ(warnings, 1);
	c.letter = 'v';
	CHECK_EQ(check_craft(&c), 0);
	CHECK_EQ(warnings, 0);
}

static void
container_that_is_not_padded_is_told(void)
{
	struct craft c = sample('V', '2');
	struct bytes b = craft_image(&c, false);

	CHECK_EQ(check_dev(kit_dev(b.p, b.len), NULL), 1);
	CHECK(strstr(told, "not padded") != NULL);
	free(b.p);
}

struct calls {
	unsigned n;
	uint64_t last;
	int answer;
};

static int
count_progress(void *arg, uint64_t done)
{
	struct calls *calls = arg;

	calls->n++;
	CHECK(done > calls->last);
	calls->last = done;
	return calls->answer;
}

static void
progress_is_told_and_may_stop_the_check(void)
{
	struct craft c = sample('V', '2');
	scoped(blkdev_closep) struct blkdev *dev = open_craft(&c);
	struct calls go = {0}, stop = {.answer = -EINTR};

	CHECK_EQ(uzip_check(dev, NULL, count_progress, &go), 0);
	CHECK(go.n > 0);
	CHECK_EQ(go.last, dev->size);
	CHECK_EQ(uzip_check(dev, NULL, count_progress, &stop), -EINTR);
	CHECK_EQ(stop.n, 1);
}

static void
failing_reads_end_the_check(void)
{
	struct craft c = sample('V', '2');
	struct blkdev *lower = NULL;
	scoped(blkdev_closep) struct blkdev *dev = NULL;

	CHECK_EQ(blkdev_fault_open(craft_dev(&c), &lower), 0);
	CHECK_EQ(uzip_open(lower, CACHE, NULL, &dev), 0);
	for (unsigned nth = 1; nth < 5; nth++) {
		blkdev_fault_arm(lower, FAULT_READ, nth, -EIO, false);
		CHECK_EQ(uzip_check(dev, NULL, NULL, NULL), -EIO);
	}
	blkdev_fault_arm(lower, FAULT_READ, 0, 0, false);
	CHECK_EQ(uzip_check(dev, NULL, NULL, NULL), 0);
}

#define T(name) \
	{ \
#name, name \
	}
TESTS(T(images_by_mkuzip_have_no_faults), T(sound_samples_have_no_faults),
    T(every_damaged_cluster_is_told),
    T(faults_of_the_index_do_not_hide_those_of_the_data),
    T(every_kind_of_index_fault_is_told),
    T(span_longer_than_kernels_accept_is_told),
    T(span_longer_than_old_kernels_accept_is_a_warning),
    T(short_cluster_is_a_fault_unless_it_is_the_last),
    T(junk_behind_the_last_zstd_frame_is_told),
    T(xz_features_that_kernels_lack_are_told),
    T(back_references_under_an_upper_case_letter_are_a_warning),
    T(container_that_is_not_padded_is_told),
    T(progress_is_told_and_may_stop_the_check), T(failing_reads_end_the_check))
