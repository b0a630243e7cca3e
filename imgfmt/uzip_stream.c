#include "uzip_stream.h"

#include <string.h>

enum {
	BUFFER = 2 << 20,      /* more than any cluster takes */
	SMALL_COPY = 64 << 10, /* cheaper to read than to ask the kernel */
	LONG_COPY = 64 << 20,  /* long enough not to wait for more */
};

int
uzip_sink_open(
    struct uzip_sink *k, struct blkdev *out, uint64_t base, uint64_t pos)
{
	*k = (struct uzip_sink){.out = out, .base = base, .pos = pos};
	k->buf = malloc(BUFFER);
	return k->buf == NULL ? -ENOMEM : 0;
}

void
uzip_sink_close(struct uzip_sink *k)
{
	free(k->buf);
	k->buf = NULL;
}

/* Make out long enough to hold up to end, from base. */
static int
reach(struct uzip_sink *k, uint64_t end)
{
	if (end > UINT64_MAX - k->base)
		return -EFBIG;
	end += k->base;
	return end > k->out->size ? blkdev_resize(k->out, end) : 0;
}

/* Where the buffered bytes begin, from base. */
static uint64_t
buffer_at(const struct uzip_sink *k)
{
	return k->pos - k->from_len - k->len;
}

static int
flush_buffer(struct uzip_sink *k)
{
	uint64_t at = buffer_at(k);
	int rc = reach(k, at + k->len);

	if (rc == 0)
		rc = blkdev_write(k->out, k->base + at, k->buf, k->len);
	k->len = 0;
	return rc;
}

/* Settle the pending copy: small ones join the buffer. */
static int
flush_copy(struct uzip_sink *k)
{
	uint64_t n = k->from_len;
	int rc = 0;

	if (n == 0)
		return 0;
	if (k->len + n > BUFFER || n > SMALL_COPY)
		rc = flush_buffer(k);
	if (rc == 0 && n <= SMALL_COPY) {
		rc = blkdev_read(
		    k->from, k->from_off, k->buf + k->len, (size_t)n);
		k->len += (size_t)n;
	} else if (rc == 0) {
		rc = reach(k, k->pos);
		if (rc == 0)
			rc = blkdev_copy(k->from, k->from_off, k->out,
			    k->base + k->pos - n, n);
	}
	k->from_len = 0;
	return rc;
}

int
uzip_sink_put(struct uzip_sink *k, const void *p, size_t len)
{
	int rc = flush_copy(k);

	if (rc == 0 && k->len + len > BUFFER)
		rc = flush_buffer(k);
	if (rc < 0)
		return rc;
	if (len > BUFFER)
		return -EINVAL;
	memcpy(k->buf + k->len, p, len);
	k->len += len;
	k->pos += len;
	return 0;
}

int
uzip_sink_copy(
    struct uzip_sink *k, struct blkdev *from, uint64_t off, uint64_t len)
{
	int rc = 0;

	if (k->from_len > 0 &&
	    (from != k->from || off != k->from_off + k->from_len ||
		k->from_len >= LONG_COPY))
		rc = flush_copy(k);
	if (rc < 0)
		return rc;
	if (k->from_len == 0) {
		k->from = from;
		k->from_off = off;
	}
	k->from_len += len;
	k->pos += len;
	return 0;
}

int
uzip_sink_flush(struct uzip_sink *k)
{
	int rc = flush_copy(k);

	return rc == 0 ? flush_buffer(k) : rc;
}

int
uzip_sink_holds(
    struct uzip_sink *k, uint64_t off, const void *p, size_t len, uint8_t *tmp)
{
	uint64_t at = buffer_at(k);
	int rc;

	/* One put is never divided between the buffer and what is written. */
	if (off >= at && off - at < k->len)
		return memcmp(k->buf + (off - at), p, len) == 0;
	rc = blkdev_read(k->out, k->base + off, tmp, len);
	return rc < 0 ? rc : memcmp(tmp, p, len) == 0;
}
