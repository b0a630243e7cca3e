#include "uzip_stream.h"

#include <string.h>

enum {
	BUFFER = 2 << 20, /* more than any cluster takes */
	FULL = 1 << 20,   /* enough for one write */
	PAGE = 4096,
	SMALL_COPY = 64 << 10, /* cheaper to read than to ask the kernel */
	SMALL_SHARE = 16 << 10,
	LONG_COPY = 64 << 20, /* long enough not to wait for more */
	SLOW_LAG = 32,        /* see seat_buffer */
};

/* Where dev begins in its file; 0 if it is in none. */
static uint64_t
place_in_file(struct blkdev *dev)
{
	uint64_t off;
	int fd;

	return blkdev_locate(dev, 0, &fd, &off) < 0 ? 0 : off;
}

int
uzip_sink_open(
    struct uzip_sink *k, struct blkdev *out, uint64_t base, uint64_t pos)
{
	*k = (struct uzip_sink){.out = out,
	    .base = base,
	    .pos = pos,
	    .file_at = place_in_file(out)};
	k->room = aligned_alloc(PAGE, BUFFER + PAGE);
	k->buf = k->room;
	return k->room == NULL ? -ENOMEM : 0;
}

void
uzip_sink_close(struct uzip_sink *k)
{
	free(k->room);
	k->room = k->buf = NULL;
}

/* Make out long enough for all that was appended. */
static int
reach(struct uzip_sink *k)
{
	uint64_t end = k->base + k->pos;

	if (end < k->base)
		return -EFBIG;
	return end > k->out->size ? blkdev_resize(k->out, end) : 0;
}

/* Where the buffered bytes begin, from base. */
static uint64_t
buffer_at(const struct uzip_sink *k)
{
	return k->pos - k->from_len - k->len;
}

/* Where the pending copy, or else what comes next, goes in out's file. */
static uint64_t
copy_goes_to(const struct uzip_sink *k)
{
	return k->file_at + k->base + k->pos - k->from_len;
}

uint64_t
uzip_sink_gap(const struct uzip_sink *k, uint64_t off)
{
	return k->sharing.unit == 0
	    ? 0
	    : blkdev_sharing_gap(&k->sharing, off, k->base + k->pos);
}

/* The first n bytes of the pending copy are settled. */
static void
advance(struct uzip_sink *k, uint64_t n, uint64_t *count)
{
	k->from_off += n;
	k->from_len -= n;
	*count += n;
}

/*
 * Move the few bytes that wait to where in the buffer the pending copy can join
 * them at speed: AMD's processors copy six times slower where the target lies 1
 * to 31 bytes behind the source, counted within the page.  So bytes lie in the
 * buffer as they will in their page of the file; or, where a cluster that grew
 * a little moves all others by so much, somewhat before that.
 */
static void
seat_buffer(struct uzip_sink *k)
{
	uint64_t to = copy_goes_to(k);
	uint64_t lag = (to - k->from_at - k->from_off) % PAGE;
	uint64_t ahead = lag > 0 && lag < SLOW_LAG ? 2 * SLOW_LAG : 0;
	uint8_t *front = k->room + (to - k->len - ahead) % PAGE;

	if (front != k->buf)
		memmove(front, k->buf, k->len);
	k->buf = front;
}

/* Write the first len bytes of the buffer.  Afterwards out has room for all. */
static int
flush_front(struct uzip_sink *k, size_t len)
{
	uint64_t at = buffer_at(k);
	int rc = reach(k);

	if (rc == 0)
		rc = blkdev_write(k->out, k->base + at, k->buf, len);
	k->buf += len;
	k->len -= len;
	seat_buffer(k);
	return rc;
}

static int
flush_buffer(struct uzip_sink *k)
{
	return flush_front(k, k->len);
}

/*
 * Write the buffer up to where a page of the file ends: the rest goes with what
 * follows.  But copied bytes only, the last copied ones, are divided so.
 */
static int
flush_pages(struct uzip_sink *k, size_t copied)
{
	size_t rest = copy_goes_to(k) % PAGE;

	return flush_front(k, rest <= copied ? k->len - rest : k->len);
}

/* Let the first n bytes of the pending copy join the buffer. */
static int
copy_to_buffer(struct uzip_sink *k, uint64_t n)
{
	if (k->len < PAGE)
		seat_buffer(k);
	while (n > 0) {
		size_t room = (k->len < FULL ? FULL : BUFFER) - k->len;
		size_t some = n < room ? (size_t)n : room;
		int rc =
		    blkdev_read(k->from, k->from_off, k->buf + k->len, some);

		if (rc < 0)
			return rc;
		k->len += some;
		advance(k, some, &k->copied);
		n -= some;
		if (k->len >= FULL)
			rc = flush_pages(k, some);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/*
 * Share the pending copy's middle.  What is before it goes with the buffer,
 * which so ends where the shared part begins; what is behind it is still
 * pending then.
 */
static int
share_copy(struct uzip_sink *k)
{
	const struct blkdev_sharing *s = &k->sharing;
	uint64_t at = k->pos - k->from_len, head, mid;
	int rc;

	if (s->unit == 0 || k->from_len < SMALL_SHARE + s->unit ||
	    blkdev_sharing_gap(s, k->from_off, k->base + at) != 0)
		return 0;
	head = blkdev_sharing_head(s, k->from_off);
	mid = (k->from_len - head) & -s->unit;
	rc = copy_to_buffer(k, head);
	if (rc == 0)
		rc = flush_buffer(k);
	if (rc == 0 &&
	    blkdev_share(
		k->from, k->from_off, k->out, k->base + at + head, mid) == 0)
		advance(k, mid, &k->shared);
	return rc;
}

/* Settle the pending copy: small ones join the buffer. */
static int
flush_copy(struct uzip_sink *k)
{
	int rc = share_copy(k);
	uint64_t n = k->from_len;

	if (rc < 0 || n == 0)
		return rc;
	if (n <= SMALL_COPY || !k->by_host)
		return copy_to_buffer(k, n);
	rc = flush_buffer(k);
	if (rc == 0)
		rc = blkdev_copy(
		    k->from, k->from_off, k->out, k->base + k->pos - n, n);
	if (rc == 0)
		advance(k, n, &k->copied);
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
		if (k->from != from) {
			k->by_host = blkdev_copies_well(from, k->out);
			k->from_at = place_in_file(from);
		}
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
