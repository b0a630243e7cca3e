/*
 * For the tests of uzip: fixtures, images made by hand, a device that counts,
 * and an independent decoder that follows the kernel's parse as formats.md 1.5
 * tells it, in the plainest way: quadratic, all in memory, with zlib's own
 * inflate.
 */
#ifndef UZIP_KIT_H
#define UZIP_KIT_H

#include <lzma.h>
#include <stdatomic.h>
#include <zlib.h>
#include <zstd.h>

#include "../../imgfmt/log.h"
#include "../../imgfmt/uzip.h"
#include "check.h"

enum { CACHE = 1 << 20 };

struct bytes {
	uint8_t *p;
	size_t len;
};

static inline void
bytes_free(struct bytes *b)
{
	free(b->p);
}

static inline uint64_t
kit_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* The last line said, and how many there were. */
static char kit_said[1024];
static int kit_lines;

static inline void
kit_sink(enum log_level level, const char *line)
{
	(void)level;
	kit_lines++;
	snprintf(kit_said, sizeof(kit_said), "%s", line);
}

/* Run a test in silence; the last line said is kept. */
static inline void
kit_listen(void)
{
	log_set_sink(kit_sink);
	kit_lines = 0;
	kit_said[0] = '\0';
}

static inline const char *
kit_fixtures(void)
{
	const char *dir = getenv("RELIVE_FIXTURES");

	return dir != NULL ? dir : "../shared/fixtures";
}

/* All of dir/name; p is NULL when it cannot be read. */
static inline struct bytes
kit_file(const char *name)
{
	struct bytes b = {0};
	char path[4096];
	FILE *f;
	long size;

	snprintf(path, sizeof(path), "%s/uzip/%s", kit_fixtures(), name);
	f = fopen(path, "rb");
	if (f == NULL)
		return b;
	if (fseek(f, 0, SEEK_END) == 0 && (size = ftell(f)) > 0) {
		rewind(f);
		b.len = (size_t)size;
		b.p = malloc(b.len);
		if (b.p != NULL && fread(b.p, 1, b.len, f) != b.len) {
			free(b.p);
			b.p = NULL;
		}
	}
	fclose(f);
	return b;
}

/* What all fixtures hold. */
static inline struct bytes
kit_small_ufs(void)
{
	struct bytes xz = kit_file("small.ufs.xz"), b = {0};
	uint64_t memory = UINT64_MAX;
	size_t in = 0;

	if (xz.p == NULL)
		return b;
	b.len = 1507328;
	b.p = malloc(b.len);
	size_t at = 0;
	if (lzma_stream_buffer_decode(&memory, 0, NULL, xz.p, &in, xz.len, b.p,
		&at, b.len) != LZMA_OK ||
	    at != b.len) {
		free(b.p);
		b.p = NULL;
	}
	free(xz.p);
	return b;
}

static inline struct blkdev *
kit_dev(const void *p, size_t len)
{
	struct blkdev *dev = NULL;

	CHECK_EQ(blkdev_mem_open(len, &dev), 0);
	CHECK_EQ(blkdev_write(dev, 0, p, len), 0);
	return dev;
}

static inline struct bytes
kit_all(struct blkdev *dev)
{
	struct bytes b = {malloc(dev->size + 1), dev->size};

	CHECK_EQ(blkdev_read(dev, 0, b.p, b.len), 0);
	return b;
}

/* An image under construction: header, index, data. */
struct craft {
	char letter, version;
	uint32_t cluster, n;
	uint64_t entry[64];
	uint8_t data[1 << 17];
	size_t len;
};

static inline uint64_t
craft_pos(const struct craft *c)
{
	return 136 + 8 * ((uint64_t)c->n + 1) + c->len;
}

/* Append bytes; the offset where they went. */
static inline uint64_t
craft_raw(struct craft *c, const void *p, size_t len)
{
	uint64_t at = craft_pos(c);

	memcpy(c->data + c->len, p, len);
	c->len += len;
	return at;
}

/* Append a stream of the image's codec that holds len bytes of p. */
static inline uint64_t
craft_stream(struct craft *c, const void *p, size_t len)
{
	static uint8_t buf[1 << 17];
	uLongf zlen = sizeof(buf);
	size_t out = 0;

	switch (c->letter) {
	case 'V':
	case 'v':
		compress2(buf, &zlen, p, len, 9);
		return craft_raw(c, buf, zlen);
	case 'L':
	case 'l':
		CHECK(lzma_easy_buffer_encode(1, LZMA_CHECK_CRC32, NULL, p, len,
			  buf, &out, sizeof(buf)) == LZMA_OK);
		return craft_raw(c, buf, out);
	default:
		out = ZSTD_compress(buf, sizeof(buf), p, len, 3);
		return craft_raw(c, buf, out);
	}
}

static inline void
craft_be(uint8_t *p, uint64_t v, int n)
{
	for (int i = 0; i < n; i++)
		p[i] = (uint8_t)(v >> 8 * (n - 1 - i));
}

/* The finished container; pad: to a multiple of 512. */
static inline struct bytes
craft_image(const struct craft *c, bool pad)
{
	uint64_t len = craft_pos(c);
	struct bytes b = {0};

	b.len = pad ? (len + 511) / 512 * 512 : len;
	b.p = calloc(1, b.len + 1);
	memcpy(b.p, "#!/bin/sh\n#", 11);
	b.p[11] = (uint8_t)c->letter;
	b.p[12] = (uint8_t)c->version;
	craft_be(b.p + 128, c->cluster, 4);
	craft_be(b.p + 132, c->n, 4);
	for (uint32_t i = 0; i <= c->n; i++)
		craft_be(b.p + 136 + 8 * i, c->entry[i], 8);
	memcpy(b.p + 136 + 8 * (c->n + 1), c->data, c->len);
	return b;
}

static inline struct blkdev *
craft_dev(const struct craft *c)
{
	struct bytes b = craft_image(c, true);
	struct blkdev *dev = kit_dev(b.p, b.len);

	free(b.p);
	return dev;
}

static const char kit_variants[][2] = {
    {'V', '2'}, {'v', '3'}, {'L', '3'}, {'l', '3'}, {'Z', '4'}, {'z', '4'}};

/* The cluster that a hand-made image holds at i. */
static inline void
pattern(uint32_t i, uint8_t *p, size_t len)
{
	for (size_t k = 0; k < len; k++)
		p[k] = (uint8_t)(k / 7 * (i + 3) + i);
}

/* Four clusters of 1024 bytes: 0, 1, a zero one, 3. */
static inline struct craft
sample(char letter, char version)
{
	struct craft c = {
	    .letter = letter, .version = version, .cluster = 1024, .n = 4};
	uint8_t p[1024];

	pattern(0, p, 1024);
	c.entry[0] = craft_stream(&c, p, 1024);
	pattern(1, p, 1024);
	c.entry[1] = craft_stream(&c, p, 1024);
	c.entry[2] = craft_pos(&c);
	pattern(3, p, 1024);
	c.entry[3] = craft_stream(&c, p, 1024);
	c.entry[4] = craft_pos(&c);
	return c;
}

/* 0, or what opening the image and reading all of it gives. */
static inline int
open_and_read(const struct craft *c)
{
	struct blkdev *lower = craft_dev(c), *dev;
	int rc = uzip_open(lower, CACHE, NULL, &dev);

	if (rc < 0) {
		blkdev_close(lower);
		return rc;
	}
	struct bytes b = {malloc(dev->size), dev->size};
	rc = blkdev_read(dev, 0, b.p, b.len);
	free(b.p);
	blkdev_close(dev);
	return rc;
}

static inline struct blkdev *
open_craft(const struct craft *c)
{
	struct blkdev *dev = NULL;

	CHECK_EQ(uzip_open(craft_dev(c), CACHE, NULL, &dev), 0);
	return dev;
}

/* Does cluster i read as pattern i up to len bytes and zero behind? */
static inline bool
cluster_is(struct blkdev *dev, uint32_t i, size_t len)
{
	uint8_t got[1024], want[1024] = {0};

	pattern(i, want, len);
	return blkdev_read(dev, i * 1024, got, 1024) == 0 &&
	    memcmp(got, want, 1024) == 0;
}

static inline bool
cluster_is_zero(struct blkdev *dev, uint32_t i)
{
	return cluster_is(dev, i, 0);
}

/* The kernel's view of an image; see formats.md 1.5 for every line. */
struct kernel {
	uint32_t cluster, n;
	char letter, version;
	uint64_t *off, *len;
	uint32_t last;
};

static inline uint64_t
kernel_be(const uint8_t *p, int n)
{
	uint64_t v = 0;

	while (n-- > 0)
		v = v << 8 | *p++;
	return v;
}

/* strict: as 10.4 and 12.1 do for zlib, else as 13.2. */
static inline uint64_t
kernel_most(char letter, uint64_t b, bool strict)
{
	if (letter == 'V' || letter == 'v')
		return b + (b >> 12) + (b >> 14) + (strict ? 11 : 13);
	if (letter == 'L' || letter == 'l')
		return b + b / 255 + 16;
	return ZSTD_compressBound(b);
}

static inline bool
kernel_normal(struct kernel *k, uint32_t i, int64_t *most, uint64_t media)
{
	uint32_t j = i + 1;

	k->last = i;
	while (j < k->n && (int64_t)k->off[j] <= *most)
		j++;
	if (k->off[j] < k->off[i] || k->off[j] > media ||
	    (int64_t)k->off[j] <= *most)
		return false;
	k->len[i] = k->off[j] - k->off[i];
	*most = (int64_t)k->off[j] - 1;
	return true;
}

static inline bool
kernel_backref(struct kernel *k, uint32_t i)
{
	for (uint32_t j = 0; j < i; j++)
		if (k->off[j] == k->off[i] && k->len[j] != 0) {
			k->len[i] = k->len[j];
			return true;
		}
	return false;
}

/* Header and entries; false: refused. */
static inline bool
kernel_load(struct kernel *k, const struct bytes *img, uint64_t media)
{
	k->letter = (char)img->p[11];
	k->version = (char)img->p[12];
	k->cluster = (uint32_t)kernel_be(img->p + 128, 4);
	k->n = (uint32_t)kernel_be(img->p + 132, 4);
	if (memcmp(img->p, "#!/bin/sh\n", 10) != 0 ||
	    136 + 8 * ((uint64_t)k->n + 1) > media)
		return false;
	k->off = calloc(k->n + 1, 8);
	k->len = calloc(k->n + 1, 8);
	for (uint32_t i = 0; i <= k->n; i++)
		k->off[i] = kernel_be(img->p + 136 + 8 * i, 8);
	if (k->version < '4' || k->off[k->n] == 0)
		k->off[k->n] = media;
	return k->off[k->n] <= media;
}

/* False: this image would not attach. */
static inline bool
kernel_parse(struct kernel *k, const struct bytes *img, bool strict)
{
	uint64_t media = img->len / 512 * 512, bound;
	int64_t most;

	if (!kernel_load(k, img, media))
		return false;
	most = (int64_t)k->off[0] - 1;
	for (uint32_t i = 0; i < k->n; i++) {
		bool ok = k->off[i] >= 136 + 8 * ((uint64_t)k->n + 1) &&
		    k->off[i] <= media;

		if (ok && (int64_t)k->off[i] < most)
			ok = kernel_backref(k, i);
		else if (ok)
			ok = kernel_normal(k, i, &most, media);
		if (!ok)
			return false;
	}
	bound = kernel_most(k->letter, k->cluster, strict);
	for (uint32_t i = 0; i < k->n; i++) {
		if (k->len[i] > bound && i != k->last)
			return false;
		if (k->len[i] > bound)
			k->len[i] = bound;
	}
	return true;
}

static inline void
kernel_free(struct kernel *k)
{
	free(k->off);
	free(k->len);
}

static inline bool
kernel_inflate(const uint8_t *in, size_t len, uint8_t *out, size_t cap)
{
	z_stream z = {0};
	int r;

	if (inflateInit(&z) != Z_OK)
		return false;
	z.next_in = (z_const Bytef *)(uintptr_t)in;
	z.avail_in = (uInt)len;
	z.next_out = out;
	z.avail_out = (uInt)cap;
	r = inflate(&z, Z_FINISH);
	inflateEnd(&z);
	return r == Z_STREAM_END;
}

static inline bool
kernel_unxz(const uint8_t *in, size_t len, uint8_t *out, size_t cap)
{
	uint64_t memory = UINT64_MAX;
	size_t from = 0, to = 0;

	if (len < 12 || in[7] > 1) /* check: none or CRC32 */
		return false;
	return lzma_stream_buffer_decode(
		   &memory, 0, NULL, in, &from, len, out, &to, cap) == LZMA_OK;
}

static inline bool
kernel_cluster(
    const struct kernel *k, const struct bytes *img, uint32_t i, uint8_t *out)
{
	const uint8_t *in = img->p + k->off[i];
	size_t len = k->len[i], cap = k->cluster;
	bool ok;

	memset(out, 0, cap);
	if (len == 0)
		return true;
	if (k->letter == 'V' || k->letter == 'v')
		ok = kernel_inflate(in, len, out, cap);
	else if (k->letter == 'L' || k->letter == 'l')
		ok = kernel_unxz(in, len, out, cap);
	else
		ok = !ZSTD_isError(ZSTD_decompress(out, cap, in, len));
	if (ok || i != k->last)
		return ok;
	for (size_t b = 0; b < len; b++)
		if (in[b] != 0)
			return false;
	memset(out, 0, cap);
	return true;
}

/* The image's plain bytes as a kernel would show them; p NULL: it would not. */
static inline struct bytes
kernel_decode(const struct bytes *img, bool strict)
{
	struct kernel k = {0};
	struct bytes b = {0};
	bool ok = kernel_parse(&k, img, strict);

	if (ok) {
		b.len = (size_t)k.n * k.cluster;
		b.p = malloc(b.len + 1);
	}
	for (uint32_t i = 0; ok && i < k.n; i++)
		ok = kernel_cluster(&k, img, i, b.p + (size_t)i * k.cluster);
	kernel_free(&k);
	if (!ok) {
		free(b.p);
		b.p = NULL;
	}
	return b;
}

/* A device that counts what is read through it. */
struct counter {
	struct blkdev dev;
	struct blkdev *lower;
	atomic_ulong reads, bytes;
	int fail; /* 0 or the error of every read */
};

static inline int
counter_read(struct blkdev *dev, uint64_t off, void *buf, size_t len)
{
	struct counter *c = (struct counter *)dev;

	c->reads++;
	c->bytes += len;
	return c->fail < 0 ? c->fail : blkdev_read(c->lower, off, buf, len);
}

static inline void
counter_close(struct blkdev *dev)
{
	blkdev_close(((struct counter *)dev)->lower);
	free(dev);
}

static inline struct counter *
counter_open(struct blkdev *lower)
{
	static const struct blkdev_ops ops = {
	    .read = counter_read, .close = counter_close};
	struct counter *c = calloc(1, sizeof(*c));

	c->dev = (struct blkdev){&ops, lower->size, false, 0};
	c->lower = lower;
	return c;
}

/* -- images against a model ------------------------------------------------ */

static inline struct blkdev *
kit_open(const struct bytes *img)
{
	struct blkdev *dev = NULL;

	CHECK_EQ(uzip_open(kit_dev(img->p, img->len), CACHE, NULL, &dev), 0);
	return dev;
}

/* The parameters that keep an image what it is. */
static inline struct uzip_params
kit_params(struct blkdev *dev)
{
	const struct uzip_info *info = uzip_info(dev);

	return (struct uzip_params){
	    .codec = info->codec,
	    .level = 1,
	    .cluster = info->cluster,
	    .dedup = info->letter >= 'a',
	    .preamble = info->preamble,
	};
}

/* Do kernels, the strictest too, and we see the model? */
static inline bool
kit_shows(const struct bytes *img, const struct bytes *model)
{
	scoped(bytes_free) struct bytes plain = kernel_decode(img, true);
	scoped(blkdev_closep) struct blkdev *dev = kit_open(img);
	scoped(bytes_free) struct bytes ours = kit_all(dev);

	return plain.p != NULL && plain.len == model->len &&
	    ours.len == model->len &&
	    memcmp(plain.p, model->p, model->len) == 0 &&
	    memcmp(ours.p, model->p, model->len) == 0;
}

#endif
