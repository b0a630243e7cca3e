/* Every way in which a uzip can lie, and what the reader says to it. */
#include "uzip_kit.h"

/* Open a sample whose header byte at is v. */
static int
open_with(size_t at, uint8_t v, int *probe)
{
	struct craft c = sample('V', '2');
	struct bytes b = craft_image(&c, true);
	struct blkdev *lower, *dev;
	int rc;

	b.p[at] = v;
	lower = kit_dev(b.p, b.len);
	free(b.p);
	*probe = uzip_probe(lower);
	rc = uzip_open(lower, CACHE, NULL, &dev);
	blkdev_close(rc == 0 ? dev : lower);
	return rc;
}

static void
header_bytes_are_judged_as_kernels_do(void)
{
	static const struct {
		size_t at;
		uint8_t v;
		int rc, probe;
	} cases[] = {
	    {10, 'x', 0, 1}, /* no kernel looks at it */
	    {13, 0xff, 0, 1},
	    {127, 0xff, 0, 1},
	    {0, 'x', -ECORRUPT, 0},
	    {9, 'x', -ECORRUPT, 0},
	    {11, 'W', -ECORRUPT, 0},
	    {11, 'L', -ECORRUPT, 0}, /* wants version 3 */
	    {11, 'Z', -ECORRUPT, 0}, /* wants version 4 */
	    {12, 'e', -ECORRUPT, 0},
	    {12, '3', 0, 1},
	    {12, '0', -ENOTSUP, 0},   /* cloop 0.x */
	    {12, '4', -ENOTSUP, 0},   /* cloop 4: index behind the data */
	    {131, 1, -ECORRUPT, 0},   /* cluster of 1025 bytes */
	    {130, 0, -ECORRUPT, 0},   /* of 0 */
	    {129, 0x10, -ENOTSUP, 0}, /* of 1 MiB and 1024 */
	    {135, 0, -ECORRUPT, 0},   /* no clusters */
	    {132, 1, -ECORRUPT, 0},   /* more than there is index for */
	    {134, 1, -ECORRUPT, 0},
	};

	kit_listen();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int probe, lines = kit_lines;
		int rc = open_with(cases[i].at, cases[i].v, &probe);

		CHECK_EQ(rc, cases[i].rc);
		CHECK_EQ(probe, cases[i].probe);
		CHECK_EQ(kit_lines - lines, rc < 0);
	}
	log_set_sink(NULL);
}

static void
devices_shorter_than_a_header_are_no_uzip(void)
{
	struct craft c = sample('V', '2');
	struct bytes b = craft_image(&c, true);

	kit_listen();
	for (size_t len = 0; len < 136; len++) {
		scoped(blkdev_closep) struct blkdev *lower = kit_dev(b.p, len);
		struct blkdev *dev;

		CHECK_EQ(uzip_probe(lower), 0);
		CHECK_EQ(uzip_open(lower, CACHE, NULL, &dev), -ECORRUPT);
	}
	log_set_sink(NULL);
	free(b.p);
}

static void
read_errors_below_pass_up(void)
{
	struct craft c = sample('V', '2');
	struct counter *counter = counter_open(craft_dev(&c));
	struct blkdev *dev;
	char buf[1024];

	CHECK_EQ(uzip_open(&counter->dev, CACHE, NULL, &dev), 0);
	counter->fail = -EIO;
	CHECK_EQ(blkdev_read(dev, 0, buf, 1024), -EIO);
	CHECK_EQ(blkdev_read(dev, 5, buf, 10), -EIO);
	CHECK_EQ(uzip_probe(&counter->dev), -EIO);
	counter->fail = 0;
	CHECK_EQ(blkdev_read(dev, 5, buf, 10), 0);
	blkdev_close(dev);
}

static void
image_cut_short_is_refused_at_open(void)
{
	struct craft c = sample('V', '2');
	struct bytes b = craft_image(&c, false);
	struct blkdev *lower = kit_dev(b.p, (size_t)c.entry[3] - 1), *dev;

	kit_listen();
	CHECK_EQ(uzip_open(lower, CACHE, NULL, &dev), -ECORRUPT);
	CHECK_EQ(kit_lines, 1);
	CHECK(strstr(kit_said, "cluster 3") != NULL);
	CHECK(strstr(kit_said, "byte 160") != NULL);
	log_set_sink(NULL);
	blkdev_close(lower);
	free(b.p);
}

static void
index_entry_outside_the_container_is_corrupt(void)
{
	static const uint64_t bad[] = {0, 175, 1 << 20, UINT64_MAX};

	kit_listen();
	for (size_t v = 0; v < 6; v++)
		for (size_t k = 0; k < 4; k++)
			for (uint32_t i = 0; i < 4; i++) {
				struct craft c = sample(
				    kit_variants[v][0], kit_variants[v][1]);

				c.entry[i] = bad[k];
				CHECK_EQ(open_and_read(&c), -ECORRUPT);
			}
	log_set_sink(NULL);
}

static void
last_entry_is_trusted_only_in_version_4(void)
{
	static const uint64_t said[] = {0, 1, 1 << 20, UINT64_MAX};

	kit_listen();
	for (size_t v = 0; v < 6; v++)
		for (size_t k = 0; k < 4; k++) {
			struct craft c =
			    sample(kit_variants[v][0], kit_variants[v][1]);
			bool trusted = kit_variants[v][1] == '4' && k > 0;

			c.entry[4] = said[k];
			CHECK_EQ(open_and_read(&c), trusted ? -ECORRUPT : 0);
		}
	log_set_sink(NULL);
}

static void
back_reference_to_no_cluster_is_corrupt(void)
{
	struct craft c = sample('v', '3');

	kit_listen();
	c.entry[3] = c.entry[0] + 1;
	CHECK_EQ(open_and_read(&c), -ECORRUPT);
	CHECK(strstr(kit_said, "cluster 3 refers back") != NULL);
	CHECK(strstr(kit_said, "byte 160") != NULL);
	log_set_sink(NULL);
}

static void
bad_entry_in_the_middle_spoils_only_its_clusters(void)
{
	struct craft c = sample('V', '2');

	kit_listen();
	c.entry[2] = 5;
	scoped(blkdev_closep) struct blkdev *dev = open_craft(&c);
	char buf[1024];
	CHECK_EQ(blkdev_read(dev, 2048, buf, 1024), -ECORRUPT);
	CHECK(strstr(kit_said, "byte 152") != NULL);
	CHECK(cluster_is(dev, 0, 1024) && cluster_is(dev, 3, 1024));
	log_set_sink(NULL);
}

static void
span_longer_than_the_bound_is_corrupt_unless_last(void)
{
	static const uint8_t junk[2000] = {1};

	kit_listen();
	for (size_t v = 0; v < 4; v++) { /* zstd has no junk */
		struct craft c = sample(kit_variants[v][0], kit_variants[v][1]);

		craft_raw(&c, junk, sizeof(junk));
		CHECK_EQ(open_and_read(&c), 0);
		c.n = 3; /* the last two entries shift the data: make anew */
		c = (struct craft){.letter = kit_variants[v][0],
		    .version = kit_variants[v][1],
		    .cluster = 1024,
		    .n = 2};
		uint8_t p[1024];
		pattern(0, p, 1024);
		c.entry[0] = craft_stream(&c, p, 1024);
		craft_raw(&c, junk, sizeof(junk));
		c.entry[1] = craft_stream(&c, p, 1024);
		CHECK_EQ(open_and_read(&c), -ECORRUPT);
		CHECK(strstr(kit_said, "longer") != NULL);
	}
	log_set_sink(NULL);
}

static void
damaged_stream_is_corrupt_and_named(void)
{
	for (size_t v = 0; v < 6; v++) {
		struct craft c = sample(kit_variants[v][0], kit_variants[v][1]);
		size_t at = (size_t)(c.entry[1] - c.entry[0]);
		size_t end = (size_t)(c.entry[2] - c.entry[0]);
		char want[64], buf[1024];

		kit_listen();
		for (; at < end; at++)
			c.data[at] ^= 0x5a;
		scoped(blkdev_closep) struct blkdev *dev = open_craft(&c);
		CHECK_EQ(blkdev_read(dev, 1024, buf, 1024), -ECORRUPT);
		CHECK_EQ(blkdev_read(dev, 1030, buf, 10), -ECORRUPT);
		snprintf(want, sizeof(want), "cluster 1 at byte %llu",
		    (unsigned long long)c.entry[1]);
		CHECK(strstr(kit_said, want) != NULL);
		CHECK(cluster_is(dev, 0, 1024) && cluster_is(dev, 3, 1024));
		log_set_sink(NULL);
	}
}

static void
stream_longer_than_a_cluster_is_corrupt(void)
{
	kit_listen();
	for (size_t v = 0; v < 6; v++) {
		struct craft c = {.letter = kit_variants[v][0],
		    .version = kit_variants[v][1],
		    .cluster = 1024,
		    .n = 1};
		uint8_t p[1025];

		pattern(0, p, 1025);
		c.entry[0] = craft_stream(&c, p, 1025);
		c.entry[1] = craft_pos(&c);
		CHECK_EQ(open_and_read(&c), -ECORRUPT);
	}
	log_set_sink(NULL);
}

static void
damaged_image_opens_for_judging(void)
{
	struct craft c = sample('v', '3');
	struct blkdev *lower, *dev = NULL;
	char buf[1024];

	kit_listen();
	c.entry[1] = 1 << 20;
	lower = craft_dev(&c);
	CHECK_EQ(uzip_open(lower, CACHE, NULL, &dev), -ECORRUPT);
	CHECK_EQ(uzip_open_damaged(lower, CACHE, NULL, &dev), 0);
	CHECK_EQ(blkdev_read(dev, 1024, buf, 1024), -ECORRUPT);
	CHECK(cluster_is(dev, 3, 1024));
	blkdev_close(dev);
	log_set_sink(NULL);
}

/* An index of up to 8 entries that mostly goes on and sometimes back. */
static struct craft
random_index(uint64_t *seed, int round)
{
	struct craft c = {.letter = "vz"[round % 2],
	    .version = "34"[round % 2],
	    .cluster = 512,
	    .n = 1 + (uint32_t)(kit_random(seed) % 8)};
	uint64_t step = round % 3 == 0 ? 1 : 150, first, top = 0;

	first = craft_pos(&c);
	c.len = 600;
	for (uint32_t i = 0; i <= c.n; i++) {
		uint64_t r = kit_random(seed) % 8;

		if (r < 4 && top < 4)
			top += r % 2;
		c.entry[i] =
		    first + step * (r < 6 ? top : kit_random(seed) % 5);
	}
	if (kit_random(seed) % 2)
		c.entry[c.n] = 0;
	return c;
}

/* Whether our parse says of each cluster what the kernel's says. */
static bool
spans_agree(struct blkdev *dev, const struct kernel *k)
{
	for (uint32_t i = 0; i < k->n; i++) {
		struct uzip_span span;

		if (uzip_span(dev, i, &span) < 0 || span.off != k->off[i])
			return false;
		if (i != k->last && span.len != k->len[i])
			return false;
	}
	return true;
}

static void
random_indexes_are_parsed_as_kernels_do(void)
{
	uint64_t seed = 88172645463325252u;
	int accepted = 0;

	kit_listen();
	for (int round = 0; round < 20000; round++) {
		struct craft c = random_index(&seed, round);
		struct bytes b = craft_image(&c, true);
		struct blkdev *lower = kit_dev(b.p, b.len), *dev;
		struct kernel k = {0};
		bool ok = kernel_parse(&k, &b, false);
		int rc = uzip_open(lower, CACHE, NULL, &dev);

		CHECK_EQ(rc, ok ? 0 : -ECORRUPT);
		if (rc == 0 && ok)
			CHECK(spans_agree(dev, &k));
		accepted += ok;
		blkdev_close(rc == 0 ? dev : lower);
		kernel_free(&k);
		free(b.p);
	}
	CHECK(accepted > 2000 && accepted < 18000);
	log_set_sink(NULL);
}

#define T(name) \
	{ \
#name, name \
	}
TESTS(T(header_bytes_are_judged_as_kernels_do),
    T(devices_shorter_than_a_header_are_no_uzip), T(read_errors_below_pass_up),
    T(image_cut_short_is_refused_at_open),
    T(index_entry_outside_the_container_is_corrupt),
    T(last_entry_is_trusted_only_in_version_4),
    T(back_reference_to_no_cluster_is_corrupt),
    T(bad_entry_in_the_middle_spoils_only_its_clusters),
    T(span_longer_than_the_bound_is_corrupt_unless_last),
    T(damaged_stream_is_corrupt_and_named),
    T(stream_longer_than_a_cluster_is_corrupt),
    T(damaged_image_opens_for_judging),
    T(random_indexes_are_parsed_as_kernels_do))
