#include "../../imgfmt/gz.h"

#include <zlib.h>

#include "../../imgfmt/log.h"
#include "check.h"

enum { LARGE = 3000000 };

static int lines;
static char said[256];

static void
listen(enum log_level level, const char *line)
{
	(void)level;
	lines++;
	snprintf(said, sizeof(said), "%s", line);
}

static struct blkdev *
dev_of(const void *p, size_t len)
{
	struct blkdev *dev = NULL;

	CHECK_EQ(blkdev_mem_open(len, &dev), 0);
	CHECK_EQ(blkdev_write(dev, 0, p, len), 0);
	return dev;
}

/* One gzip member, made by zlib in one call. */
static size_t
member(const void *p, size_t len, uint8_t *out, size_t cap)
{
	z_stream z = {0};

	CHECK_EQ(deflateInit2(&z, 6, Z_DEFLATED, 31, 8, 0), Z_OK);
	z.next_in = (Bytef *)(uintptr_t)p;
	z.avail_in = (uInt)len;
	z.next_out = out;
	z.avail_out = (uInt)cap;
	CHECK_EQ(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	return cap - z.avail_out;
}

/* Text, noise and zeroes. */
static uint8_t *
sample(void)
{
	uint8_t *p = calloc(1, LARGE);
	uint32_t r = 1;

	for (size_t i = 0; i < LARGE / 3; i++)
		p[i] = (uint8_t)("some text "[i % 10] + i / 5000 % 7);
	for (size_t i = LARGE / 3; i < LARGE / 2; i++)
		p[i] = (uint8_t)((r = r * 1664525 + 1013904223) >> 24);
	p[LARGE - 1] = 1;
	return p;
}

static bool
holds(struct blkdev *dev, const void *want, size_t len)
{
	scoped(freep) uint8_t *got = malloc(len + 1);

	return dev->size == len && blkdev_read(dev, 0, got, len) == 0 &&
	    memcmp(got, want, len) == 0;
}

static void
what_was_deflated_inflates_to_the_same(void)
{
	scoped(freep) uint8_t *p = sample();
	static const size_t sizes[] = {0, 1, 1000, 1 << 20, LARGE};

	for (size_t i = 0; i < 5; i++) {
		scoped(blkdev_closep) struct blkdev *dev = dev_of(p, sizes[i]);
		scoped(blkdev_closep) struct blkdev *gz = dev_of("", 0);
		scoped(blkdev_closep) struct blkdev *back = dev_of("", 0);
		uint64_t len;

		CHECK_EQ(gz_deflate(dev, 9, gz, 0, &len), 0);
		CHECK_EQ(gz->size, len);
		CHECK_EQ(gz_probe(gz), 1);
		CHECK_EQ(gz_inflate(gz, back, LARGE), 0);
		CHECK(holds(back, p, sizes[i]));
	}
}

static void
deflate_writes_at_its_base_and_keeps_what_is_before(void)
{
	scoped(blkdev_closep) struct blkdev *dev = dev_of("hello", 5);
	scoped(blkdev_closep) struct blkdev *out = dev_of("before", 6);
	scoped(blkdev_closep) struct blkdev *back = dev_of("", 0);
	scoped(blkdev_closep) struct blkdev *slice = NULL;
	uint64_t len;
	char head[6];

	CHECK_EQ(gz_deflate(dev, 9, out, 6, &len), 0);
	CHECK_EQ(out->size, 6 + len);
	CHECK_EQ(blkdev_read(out, 0, head, 6), 0);
	CHECK(memcmp(head, "before", 6) == 0);
	CHECK_EQ(blkdev_slice_open(blkdev_ref(out), 6, len, &slice), 0);
	CHECK_EQ(gz_inflate(slice, back, 5), 0);
	CHECK(holds(back, "hello", 5));
}

static void
header_tells_neither_name_nor_time(void)
{
	scoped(blkdev_closep) struct blkdev *dev = dev_of("hello", 5);
	scoped(blkdev_closep) struct blkdev *out = dev_of("", 0);
	uint64_t len;
	uint8_t h[8];

	CHECK_EQ(gz_deflate(dev, 9, out, 0, &len), 0);
	CHECK_EQ(blkdev_read(out, 0, h, 8), 0);
	CHECK(memcmp(h, "\x1f\x8b\x08\0\0\0\0\0", 8) == 0);
}

static void
level_out_of_range_is_refused(void)
{
	scoped(blkdev_closep) struct blkdev *dev = dev_of("hello", 5);
	scoped(blkdev_closep) struct blkdev *out = dev_of("", 0);
	uint64_t len;

	CHECK_EQ(gz_deflate(dev, 10, out, 0, &len), -EINVAL);
}

static void
several_members_and_padding_are_one_file(void)
{
	uint8_t buf[1024] = {0};
	size_t n = member("one ", 4, buf, 500);

	n += member("", 0, buf + n, 200);
	n += member("two", 3, buf + n, 200);
	scoped(blkdev_closep) struct blkdev *dev = dev_of(buf, n + 100);
	scoped(blkdev_closep) struct blkdev *out = dev_of("", 0);
	CHECK_EQ(gz_inflate(dev, out, 7), 0);
	CHECK(holds(out, "one two", 7));
}

static void
foreign_bytes_behind_the_file_are_ignored_with_a_warning(void)
{
	uint8_t buf[1024] = {0};
	size_t n = member("one", 3, buf, 500);

	memcpy(buf + n, "junk", 4);
	scoped(blkdev_closep) struct blkdev *dev = dev_of(buf, n + 4);
	scoped(blkdev_closep) struct blkdev *out = dev_of("", 0);
	lines = 0;
	log_set_sink(listen);
	CHECK_EQ(gz_inflate(dev, out, 7), 0);
	log_set_sink(NULL);
	CHECK(holds(out, "one", 3));
	CHECK_EQ(lines, 1);
}

static void
more_than_allowed_is_refused(void)
{
	uint8_t buf[1024];
	size_t n = member("twelve bytes", 12, buf, sizeof(buf));
	scoped(blkdev_closep) struct blkdev *dev = dev_of(buf, n);
	scoped(blkdev_closep) struct blkdev *out = dev_of("", 0);

	log_set_sink(listen);
	CHECK_EQ(gz_inflate(dev, out, 11), -EFBIG);
	log_set_sink(NULL);
	CHECK_EQ(gz_inflate(dev, out, 12), 0);
}

static void
file_cut_short_anywhere_is_corrupt(void)
{
	uint8_t buf[1024];
	size_t n = member("some text to be cut short", 25, buf, sizeof(buf));

	log_set_sink(listen);
	for (size_t len = 0; len < n; len++) {
		scoped(blkdev_closep) struct blkdev *dev = dev_of(buf, len);
		scoped(blkdev_closep) struct blkdev *out = dev_of("", 0);

		lines = 0;
		CHECK_EQ(gz_inflate(dev, out, 100), -ECORRUPT);
		CHECK_EQ(lines, 1);
		CHECK(strstr(said, "cut short at byte") != NULL);
	}
	log_set_sink(NULL);
}

static void
damage_anywhere_but_in_the_header_is_noticed(void)
{
	uint8_t buf[1024];
	size_t n = member("some text to be damaged", 23, buf, sizeof(buf));

	log_set_sink(listen);
	for (size_t at = 10; at < n; at++) {
		if (at == n - 9)
			continue; /* its upper bits are padding */
		scoped(blkdev_closep) struct blkdev *out = dev_of("", 0);
		buf[at] ^= 0x10;
		scoped(blkdev_closep) struct blkdev *dev = dev_of(buf, n);
		buf[at] ^= 0x10;
		CHECK_EQ(gz_inflate(dev, out, 100), -ECORRUPT);
	}
	log_set_sink(NULL);
}

static void
probe_knows_gzip_from_other_files(void)
{
	static const struct {
		size_t at;
		uint8_t v;
	} bad[] = {{0, 0}, {1, 0}, {2, 7}, {3, 0x20}};
	uint8_t buf[100];
	size_t n = member("text", 4, buf, sizeof(buf));
	scoped(blkdev_closep) struct blkdev *dev = dev_of(buf, n);
	scoped(blkdev_closep) struct blkdev *few = dev_of(buf, 17);
	char c;

	CHECK_EQ(gz_probe(dev), 1);
	CHECK_EQ(gz_probe(few), 0);
	CHECK_EQ(gz_peek(few, &c, 1), -ECORRUPT);
	for (size_t i = 0; i < 4; i++) {
		uint8_t was = buf[bad[i].at];

		buf[bad[i].at] = bad[i].v;
		scoped(blkdev_closep) struct blkdev *no = dev_of(buf, n);
		buf[bad[i].at] = was;
		CHECK_EQ(gz_probe(no), 0);
		CHECK_EQ(gz_peek(no, &c, 1), -ECORRUPT);
	}
}

static void
peek_tells_the_first_bytes_in_silence(void)
{
	uint8_t buf[1024], got[100];
	size_t n = member("first bytes", 11, buf, sizeof(buf));
	scoped(blkdev_closep) struct blkdev *dev = dev_of(buf, n);

	lines = 0;
	log_set_sink(listen);
	CHECK_EQ(gz_peek(dev, got, 5), 5);
	CHECK(memcmp(got, "first", 5) == 0);
	CHECK_EQ(gz_peek(dev, got, 100), 11);
	CHECK_EQ(blkdev_resize(dev, n - 9), 0);
	CHECK_EQ(gz_peek(dev, got, 100), -ECORRUPT);
	log_set_sink(NULL);
	CHECK_EQ(lines, 0);
}

#define T(name) \
	{ \
#name, name \
	}
TESTS(T(what_was_deflated_inflates_to_the_same),
    T(deflate_writes_at_its_base_and_keeps_what_is_before),
    T(header_tells_neither_name_nor_time), T(level_out_of_range_is_refused),
    T(several_members_and_padding_are_one_file),
    T(foreign_bytes_behind_the_file_are_ignored_with_a_warning),
    T(more_than_allowed_is_refused), T(file_cut_short_anywhere_is_corrupt),
    T(damage_anywhere_but_in_the_header_is_noticed),
    T(probe_knows_gzip_from_other_files),
    T(peek_tells_the_first_bytes_in_silence))
