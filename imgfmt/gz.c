/*
 * Streams of any length go through zlib in pieces of constant size.  Runs of
 * zeroes are not written but left to what resize adds, so that an image
 * inflated into a file stays sparse.
 */
#include "gz.h"

#include <string.h>
#include <zlib.h>

#include "log.h"

enum {
	IN_CHUNK = 256 << 10,
	OUT_CHUNK = 1 << 20,
	GZIP_ONLY = 15 + 16, /* zlib's windowBits: gzip header and trailer */
	SHORTEST = 18,       /* bytes of a member that holds nothing */
};

int
gz_probe(struct blkdev *dev)
{
	uint8_t h[4];
	int rc;

	if (dev->size < SHORTEST)
		return 0;
	rc = blkdev_read(dev, 0, h, sizeof(h));
	if (rc < 0)
		return rc;
	/* magic, deflate, no reserved flag: RFC 1952 */
	return h[0] == 0x1f && h[1] == 0x8b && h[2] == 8 && (h[3] & 0xe0) == 0;
}

/* A gzip file being read. */
struct source {
	struct blkdev *dev;
	uint64_t pos; /* of what zlib has not been given yet */
	z_stream z;
	uint8_t *in;
	bool quiet;
	bool ended;        /* after the last member */
	const char *fault; /* what is wrong, with -ECORRUPT */
};

static int
source_open(struct source *s, struct blkdev *dev)
{
	*s = (struct source){.dev = dev, .in = malloc(IN_CHUNK)};
	if (s->in == NULL)
		return -ENOMEM;
	if (inflateInit2(&s->z, GZIP_ONLY) == Z_OK)
		return 0;
	free(s->in);
	return -ENOMEM;
}

static void
source_close(struct source *s)
{
	inflateEnd(&s->z);
	free(s->in);
}

/* Where in the file the next byte for zlib lies. */
static uint64_t
source_at(const struct source *s)
{
	return s->pos - s->z.avail_in;
}

/* Have input ready; 1, 0 at the end of the file, or -errno. */
static int
refill(struct source *s)
{
	uint64_t left = s->dev->size - s->pos;
	size_t n = left < IN_CHUNK ? (size_t)left : IN_CHUNK;
	int rc;

	if (s->z.avail_in > 0)
		return 1;
	if (n == 0)
		return 0;
	rc = blkdev_read(s->dev, s->pos, s->in, n);
	if (rc < 0)
		return rc;
	s->pos += n;
	s->z.next_in = s->in;
	s->z.avail_in = (uInt)n;
	return 1;
}

/*
 * A member ended: is there another?  Zeroes behind it are padding; other
 * bytes gzip(1) ignores too, with a warning.
 */
static int
next_member(struct source *s)
{
	int rc;

	while ((rc = refill(s)) == 1 && *s->z.next_in == 0) {
		s->z.next_in++;
		s->z.avail_in--;
	}
	if (rc < 0)
		return rc;
	if (rc == 1 && *s->z.next_in == 0x1f)
		return inflateReset(&s->z) == Z_OK ? 0 : -EIO;
	if (rc == 1 && !s->quiet)
		log_warn("gzip file: ignoring what follows it from byte %llu",
		    (unsigned long long)source_at(s));
	s->ended = true;
	return 0;
}

static int
corrupt(struct source *s, const char *what)
{
	s->fault = what;
	return -ECORRUPT;
}

/* Inflate up to len bytes into buf; how many, 0 at the end. */
static int64_t
source_read(struct source *s, uint8_t *buf, size_t len)
{
	s->z.next_out = buf;
	s->z.avail_out = (uInt)len;
	while (s->z.avail_out > 0 && !s->ended) {
		int rc = refill(s);

		if (rc < 0)
			return rc;
		if (rc == 0)
			return corrupt(s, "is cut short");
		rc = inflate(&s->z, Z_NO_FLUSH);
		if (rc == Z_MEM_ERROR)
			return -ENOMEM;
		if (rc == Z_STREAM_END)
			rc = next_member(s);
		else if (rc != Z_OK)
			return corrupt(s, "is damaged");
		if (rc < 0)
			return rc;
	}
	return (int64_t)(len - s->z.avail_out);
}

int64_t
gz_peek(struct blkdev *dev, void *buf, size_t len)
{
	struct source s;
	int64_t n;
	int rc = gz_probe(dev);

	if (rc <= 0)
		return rc < 0 ? rc : -ECORRUPT;
	rc = source_open(&s, dev);
	if (rc < 0)
		return rc;
	s.quiet = true;
	n = source_read(&s, buf, len < OUT_CHUNK ? len : OUT_CHUNK);
	source_close(&s);
	return n;
}

/* Append len bytes at pos, the end of out. */
static int
append(struct blkdev *out, uint64_t pos, const uint8_t *buf, size_t len)
{
	int rc = blkdev_resize(out, pos + len);

	return rc < 0 ? rc : blkdev_write_sparse(out, pos, buf, len);
}

static int
inflate_all(struct source *s, struct blkdev *out, uint64_t most, uint8_t *buf)
{
	uint64_t pos = 0;

	for (;;) {
		int64_t n = source_read(s, buf, OUT_CHUNK);
		int rc;

		if (n <= 0)
			return (int)n;
		if ((uint64_t)n > most - pos) {
			log_error("gzip file: more than %llu bytes when "
				  "inflated",
			    (unsigned long long)most);
			return -EFBIG;
		}
		rc = append(out, pos, buf, (size_t)n);
		if (rc < 0)
			return rc;
		pos += (uint64_t)n;
	}
}

int
gz_inflate(struct blkdev *dev, struct blkdev *out, uint64_t most)
{
	scoped(freep) uint8_t *buf = malloc(OUT_CHUNK);
	struct source s;
	int rc = buf == NULL ? -ENOMEM : source_open(&s, dev);

	if (rc < 0)
		return rc;
	rc = inflate_all(&s, out, most, buf);
	if (rc == -ECORRUPT && s.fault != NULL)
		log_error("gzip file %s at byte %llu", s.fault,
		    (unsigned long long)source_at(&s));
	source_close(&s);
	return rc;
}

/* A gzip file being written. */
struct sink {
	struct blkdev *out;
	uint64_t base, len;
	z_stream z;
	uint8_t buf[IN_CHUNK];
};

static int
sink_drain(struct sink *k)
{
	size_t n = sizeof(k->buf) - k->z.avail_out;
	uint64_t at = k->base + k->len;
	int rc = 0;

	if (at + n > k->out->size)
		rc = blkdev_resize(k->out, at + n);
	if (rc == 0)
		rc = blkdev_write(k->out, at, k->buf, n);
	k->len += n;
	k->z.next_out = k->buf;
	k->z.avail_out = sizeof(k->buf);
	return rc;
}

/* Give zlib len bytes, and with flush Z_FINISH the end. */
static int
sink_put(struct sink *k, uint8_t *buf, size_t len, int flush)
{
	int rc = 0, z = Z_OK;

	k->z.next_in = buf;
	k->z.avail_in = (uInt)len;
	while (rc == 0 && z != Z_STREAM_END &&
	    (k->z.avail_in > 0 || flush == Z_FINISH)) {
		z = deflate(&k->z, flush);
		if (z != Z_OK && z != Z_STREAM_END)
			return -EIO;
		if (k->z.avail_out == 0)
			rc = sink_drain(k);
	}
	return rc;
}

static int
deflate_all(struct sink *k, struct blkdev *dev, uint8_t *buf)
{
	int rc = 0;

	for (uint64_t pos = 0; pos < dev->size && rc == 0;) {
		uint64_t left = dev->size - pos;
		size_t n = left < OUT_CHUNK ? (size_t)left : OUT_CHUNK;

		rc = blkdev_read(dev, pos, buf, n);
		if (rc == 0)
			rc = sink_put(k, buf, n, Z_NO_FLUSH);
		pos += n;
	}
	if (rc == 0)
		rc = sink_put(k, buf, 0, Z_FINISH);
	return rc == 0 ? sink_drain(k) : rc;
}

int
gz_deflate(struct blkdev *dev, int level, struct blkdev *out, uint64_t base,
    uint64_t *len)
{
	scoped(freep) uint8_t *buf = malloc(OUT_CHUNK);
	scoped(freep) struct sink *k = calloc(1, sizeof(*k));
	int rc;

	if (buf == NULL || k == NULL)
		return -ENOMEM;
	k->out = out;
	k->base = base;
	k->z.next_out = k->buf;
	k->z.avail_out = sizeof(k->buf);
	rc = deflateInit2(
	    &k->z, level, Z_DEFLATED, GZIP_ONLY, 9, Z_DEFAULT_STRATEGY);
	if (rc != Z_OK)
		return rc == Z_MEM_ERROR ? -ENOMEM : -EINVAL;
	rc = deflate_all(k, dev, buf);
	deflateEnd(&k->z);
	*len = k->len;
	return rc;
}
