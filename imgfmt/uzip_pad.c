/*
 * Padding, so that what is copied next lies in its file as it does in the
 * source's, modulo the host's blocks, and can be shared instead.
 *
 * A span may be longer than its stream (formats.md 1.5, slack).  What was
 * compressed just before is padded if it can be; else the first cluster of the
 * copied ones that has room is.  That one is decoded, so that padding it got
 * before goes: however often an image is committed, no cluster ever has more
 * than is wanted once.
 */
#include <string.h>

#include "log.h"
#include "uzip_read.h"
#include "uzip_write.h"

struct skippable_disk { /* RFC 8878, 3.1.2 */
	le32 magic;
	le32 len;
};
static_assert(sizeof(struct skippable_disk) == 8, "RFC 8878");

static const uint32_t SKIPPABLE = 0x184d2a50;

/* Bytes that fill a gap.  Of zstd they must be a frame. */
static uint64_t
padding_for(const struct uzip_writer *w, uint64_t gap)
{
	if (w->params.codec == UZIP_ZSTD && gap > 0 &&
	    gap < sizeof(struct skippable_disk))
		return gap + w->sink.sharing.unit;
	return gap;
}

/* Append n bytes to the cluster that ends here; they fit its span. */
static int
put_padding(struct uzip_writer *w, uint64_t n)
{
	struct skippable_disk h;

	if (n == 0)
		return 0;
	memset(w->tmp, 0, (size_t)n);
	if (w->params.codec == UZIP_ZSTD) {
		h.magic = le32_set(SKIPPABLE);
		h.len = le32_set((uint32_t)(n - sizeof(h)));
		memcpy(w->tmp, &h, sizeof(h));
	}
	w->count.padding += n;
	return uzip_sink_put(&w->sink, w->tmp, (size_t)n);
}

/*
 * The stream of a copied cluster, then what makes the byte next of the source
 * follow where it can be shared.  A damaged one stays as it is.
 */
static int
put_padded(struct uzip_writer *w, const struct uzip_worker *worker,
    const struct uzip_span *span, const struct uzip_payload *got, uint64_t next)
{
	bool whole = got->out == w->params.cluster;
	uint32_t used = whole ? got->used : span->len;
	uint64_t pad;
	int rc = uzip_sink_put(&w->sink, worker->in, used);

	pad = padding_for(w, uzip_sink_gap(&w->sink, next));
	w->count.copied_bytes += used;
	return rc < 0 || !whole || used + pad > w->most ? rc
							: put_padding(w, pad);
}

static int
copy_padded(struct uzip_writer *w, struct uzip *u, const struct uzip_span *span,
    uint64_t next)
{
	struct uzip_payload got = {0};
	struct uzip_worker *worker;
	uint64_t to = w->sink.pos;
	int rc = uzip_worker_get(u, &worker);

	if (rc < 0)
		return rc;
	rc = uzip_decode_span(u, worker, span, false, w->tmp, &got);
	if (rc == -ECORRUPT)
		got.out = 0;
	if (rc == 0 || rc == -ECORRUPT)
		rc = put_padded(w, worker, span, &got, next);
	uzip_worker_put(u, worker);
	return rc < 0 ? rc : uzip_copy_done(w, u, span, to);
}

/* The first cluster of a stretch that takes pad bytes more; s->n: none. */
static uint32_t
find_room(
    const struct uzip_writer *w, const struct uzip_stretch *s, uint64_t pad)
{
	uint32_t i = 0;

	for (; i < s->n; i++) {
		uint64_t len = s->entry[i + 1] - s->entry[i];

		if (len > 0 && pad <= w->most - len)
			break;
	}
	return i;
}

static void
shorten(struct uzip_stretch *s, uint32_t n)
{
	s->n = n;
	s->zero = 0;
	for (uint32_t i = 0; i < n; i++)
		s->zero += s->entry[i] == s->entry[i + 1];
}

int
uzip_pad_before(struct uzip_writer *w, struct uzip *u, struct uzip_stretch *s,
    uint32_t *done)
{
	uint64_t pad = padding_for(w, uzip_sink_gap(&w->sink, s->entry[0]));
	struct uzip_span span = {.kind = UZIP_STORED};
	uint32_t i;
	int rc;

	*done = 0;
	if (w->open_end == w->sink.pos && pad <= w->most - w->open_len)
		return put_padding(w, pad);
	i = find_room(w, s, pad);
	if (i == s->n)
		return 0;
	span.off = s->entry[i];
	span.len = (uint32_t)(s->entry[i + 1] - span.off);
	shorten(s, i);
	rc = i > 0 ? uzip_copy_stretch(w, u, s) : 0;
	if (rc == 0)
		rc = copy_padded(w, u, &span, span.off + span.len);
	*done = i + 1;
	return rc;
}
