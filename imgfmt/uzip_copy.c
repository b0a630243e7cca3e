/*
 * Copying clusters of another image as they are.  What the index says of a
 * span is enough for all but the last cluster of the source, which padding may
 * follow, and those longer than the strictest kernel accepts: these two are
 * decoded.
 *
 * A back-reference goes where the bytes it means went.  Where they did not
 * come along, because the cluster that owned them changed, the first one that
 * still wants them takes them over; where the rule of formats.md 1.5 forbids
 * to refer to them, they are stored again.
 */
#include "log.h"
#include "uzip_read.h"
#include "uzip_write.h"

/* Append a span as it is; remember where it went for those who refer to it. */
static int
copy_span(struct uzip_writer *w, struct uzip *u, const struct uzip_span *span)
{
	uint64_t off = w->sink.pos;
	int rc = uzip_sink_copy(&w->sink, u->lower, span->off, span->len);

	if (rc < 0)
		return rc;
	uzip_emit_entry(w, off);
	w->count.copied++;
	if (!uzip_letter_dedups(u->info.letter) ||
	    uzip_map_find(&w->moved, span->off) != NULL)
		return 0;
	return uzip_map_add(
	    &w->moved, &(struct uzip_place){span->off, off, span->len});
}

static int
copy_backref(
    struct uzip_writer *w, struct uzip *u, const struct uzip_span *span)
{
	const struct uzip_place *there = uzip_map_find(&w->moved, span->off);

	if (there == NULL || !uzip_may_refer(w, there->off))
		return copy_span(w, u, span);
	uzip_emit_backref(w, there->off);
	return 0;
}

/* Append the stream of a decoded cluster without its slack; short: anew. */
static int
copy_payload(struct uzip_writer *w, const struct uzip_worker *worker,
    const struct uzip_payload *got, const uint8_t *plain)
{
	uint64_t off = w->sink.pos;
	int rc;

	if (got->out < w->params.cluster || got->used > w->most)
		return uzip_emit_plain(w, plain);
	rc = uzip_sink_put(&w->sink, worker->in, got->used);
	if (rc < 0)
		return rc;
	uzip_emit_entry(w, off);
	w->count.copied++;
	return 0;
}

static int
copy_decoded(struct uzip_writer *w, struct uzip *u,
    const struct uzip_span *span, bool last)
{
	scoped(freep) uint8_t *plain = malloc(u->info.cluster);
	struct uzip_payload got;
	struct uzip_worker *worker;
	int rc;

	if (plain == NULL)
		return -ENOMEM;
	rc = uzip_worker_get(u, &worker);
	if (rc < 0)
		return rc;
	rc = uzip_decode_span(u, worker, span, last, plain, &got);
	if (rc == 0)
		rc = copy_payload(w, worker, &got, plain);
	else if (rc == -ECORRUPT)
		log_error("cluster %u at byte %llu: damaged %s stream, "
			  "cannot be copied",
		    w->next, (unsigned long long)span->off,
		    uzip_codec_name(u->info.codec));
	uzip_worker_put(u, worker);
	return rc;
}

static int
copy_cluster(struct uzip_writer *w, struct uzip *u, uint32_t i)
{
	struct uzip_span span;
	bool last;
	int rc = uzip_index_span(&u->index, i, &span, &last);

	if (rc < 0)
		return rc;
	if (span.kind == UZIP_ZERO)
		return uzip_emit_zeroes(w, 1);
	if (last || span.len > w->most)
		return copy_decoded(w, u, &span, last);
	if (span.kind == UZIP_BACKREF)
		return copy_backref(w, u, &span);
	return copy_span(w, u, &span);
}

int
uzip_emit_copies(
    struct uzip_writer *w, struct blkdev *from, uint32_t first, uint32_t n)
{
	int rc = 0;

	if (w->moved_from != from) {
		uzip_map_clear(&w->moved);
		w->moved_from = from;
	}
	for (uint32_t i = 0; i < n && rc == 0; i++)
		rc = copy_cluster(w, (struct uzip *)from, first + i);
	return rc;
}
