/*
 * Copying clusters of another image as they are.  What the index says of a
 * span is enough for all but the last cluster of the source, which padding may
 * follow, and those longer than the strictest kernel accepts: these two are
 * decoded.  Clusters that lie one behind the other stay so: their bytes go as
 * one piece, and their entries by one distance.
 *
 * A back-reference goes where the bytes it means went.  Where they did not
 * come along, because the cluster that owned them changed, the first one that
 * still wants them takes them over; where the rule of formats.md 1.5 forbids
 * to refer to them, they are stored again.
 */
#include <string.h>

#include "log.h"
#include "uzip_read.h"
#include "uzip_write.h"

static void
forget_moves(struct uzip_moves *m)
{
	uzip_map_clear(&m->single);
	free(m->run);
	*m = (struct uzip_moves){0};
}

void
uzip_copies_end(struct uzip_writer *w)
{
	forget_moves(&w->moves);
	free(w->stretch);
	w->stretch = NULL;
}

/* Where the bytes at off of the source went: true, *to. */
static bool
find_move(const struct uzip_moves *m, uint64_t off, uint64_t *to)
{
	const struct uzip_place *single = uzip_map_find(&m->single, off);
	size_t lo = 0, hi = m->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (m->run[mid].end <= off)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo < m->n && off >= m->run[lo].from) {
		*to = off - m->run[lo].from + m->run[lo].to;
		return true;
	}
	if (single != NULL)
		*to = single->off;
	return single != NULL;
}

/* Does what begins at off lie behind all runs so far? */
static bool
is_behind(const struct uzip_moves *m, uint64_t off)
{
	return m->n == 0 || off >= m->run[m->n - 1].end;
}

/* Remember a move, which lies behind all runs so far. */
static int
add_move(struct uzip_moves *m, const struct uzip_move *move)
{
	struct uzip_move *last = m->n > 0 ? &m->run[m->n - 1] : NULL;

	if (last != NULL && last->end == move->from &&
	    last->to + (last->end - last->from) == move->to) {
		last->end = move->end;
		return 0;
	}
	if (m->n == m->room) {
		size_t room = m->room > 0 ? 2 * m->room : 64;
		void *more = realloc(m->run, room * sizeof(*m->run));

		if (more == NULL)
			return -ENOMEM;
		m->run = more;
		m->room = room;
	}
	m->run[m->n++] = *move;
	return 0;
}

/* Bytes went to to: remember it for those who refer to them. */
static int
note_move(struct uzip_writer *w, const struct uzip *u, uint64_t off,
    uint64_t len, uint64_t to)
{
	uint64_t known;

	if (!uzip_letter_dedups(u->info.letter) || len == 0)
		return 0;
	if (is_behind(&w->moves, off))
		return add_move(
		    &w->moves, &(struct uzip_move){off, off + len, to});
	if (find_move(&w->moves, off, &known))
		return 0;
	return uzip_map_add(
	    &w->moves.single, &(struct uzip_place){off, to, (uint32_t)len});
}

int
uzip_copy_done(struct uzip_writer *w, const struct uzip *u,
    const struct uzip_span *span, uint64_t to)
{
	int rc = uzip_emit_entry(w, to);

	w->count.copied++;
	return rc < 0 ? rc : note_move(w, u, span->off, span->len, to);
}

/* Append a span as it is. */
static int
copy_span(struct uzip_writer *w, struct uzip *u, const struct uzip_span *span)
{
	uint64_t to = w->sink.pos;
	int rc = uzip_sink_copy(&w->sink, u->lower, span->off, span->len);

	return rc < 0 ? rc : uzip_copy_done(w, u, span, to);
}

static int
copy_backref(
    struct uzip_writer *w, struct uzip *u, const struct uzip_span *span)
{
	uint64_t there;

	if (!find_move(&w->moves, span->off, &there) ||
	    !uzip_may_refer(w, there))
		return copy_span(w, u, span);
	return uzip_emit_backref(w, there);
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
	if (rc == 0)
		rc = uzip_emit_entry(w, off);
	if (rc < 0)
		return rc;
	w->count.copied++;
	w->count.copied_bytes += got->used;
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
		    w->entries.next, (unsigned long long)span->off,
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
uzip_copy_stretch(
    struct uzip_writer *w, struct uzip *u, const struct uzip_stretch *s)
{
	uint64_t off = s->entry[0], len = s->entry[s->n] - off;
	uint64_t to = w->sink.pos;
	int rc = len > 0 ? uzip_sink_copy(&w->sink, u->lower, off, len) : 0;

	if (rc == 0 && s->zero == s->n)
		rc = uzip_entries_fill(&w->entries, to, s->n);
	else if (rc == 0)
		rc = uzip_entries_shift(&w->entries, s->entry, s->n, to - off);
	if (rc < 0)
		return rc;
	w->last_off = s->entry[s->n - 1] + (to - off);
	w->open_end = 0;
	w->count.copied += s->n - s->zero;
	w->count.zero += s->zero;
	return note_move(w, u, off, len, to);
}

/* Can it be copied by the index alone?  Else cluster by cluster. */
static bool
is_plain(const struct uzip_writer *w, const struct uzip_stretch *s)
{
	return s->n > 0 && (s->zero == 0 || !w->params.keep_zeroes) &&
	    is_behind(&w->moves, s->entry[0]);
}

/* Of n clusters, copy a stretch that is plain, or the part that is padded. */
static int
copy_plain(struct uzip_writer *w, struct uzip *u, uint32_t first, uint32_t n,
    uint32_t *done)
{
	struct uzip_stretch *s = w->stretch;
	uint64_t bytes = 0;
	int rc = 0;

	*done = 0;
	if (uzip_sink_gap(&w->sink, s->entry[0]) > 0 &&
	    w->params.share_least > 0) {
		rc = uzip_extent(&u->dev, first, n, &bytes);
		if (rc == 0 && bytes >= w->params.share_least)
			rc = uzip_pad_before(w, u, s, done);
	}
	if (rc < 0 || *done > 0)
		return rc;
	*done = s->n;
	return uzip_copy_stretch(w, u, s);
}

static int
copy_some(struct uzip_writer *w, struct uzip *u, uint32_t first, uint32_t n,
    uint32_t *done)
{
	struct uzip_stretch *s = w->stretch;
	int rc = uzip_index_stretch(&u->index, first, n, w->most, s);

	if (rc < 0)
		return rc;
	if (is_plain(w, s))
		return copy_plain(w, u, first, n, done);
	*done = s->n > 0 ? s->n : 1;
	for (uint32_t i = 0; i < *done && rc == 0; i++)
		rc = copy_cluster(w, u, first + i);
	return rc;
}

int
uzip_emit_copies(
    struct uzip_writer *w, struct blkdev *from, uint32_t first, uint32_t n)
{
	uint32_t some;
	int rc = 0;

	if (w->moves.source != from) {
		forget_moves(&w->moves);
		w->moves.source = from;
	}
	if (w->stretch == NULL)
		w->stretch = malloc(sizeof(*w->stretch));
	if (w->stretch == NULL)
		return -ENOMEM;
	for (; n > 0 && rc == 0; first += some, n -= some)
		rc = copy_some(w, (struct uzip *)from, first, n, &some);
	return rc;
}

/* May what was decoded go on as it is, to stay as it is for ever? */
static bool
is_sound(const struct uzip_writer *w, const struct uzip_payload *got,
    const uint8_t *stream)
{
	bool all;

	return got->out == w->params.cluster && got->used <= w->most &&
	    got->used <= w->room &&
	    uzip_stream_fault(w->params.codec, stream, got->used, &all) == NULL;
}

/*
 * The stream of cluster no of u, to out; *len 0: it cannot go on as it is, but
 * plain holds the cluster.  -ECORRUPT is not said.
 */
static int
take_stream(struct uzip_writer *w, struct uzip *u, uint32_t no, uint8_t *plain,
    uint8_t *out, size_t *len)
{
	struct uzip_payload got = {0};
	struct uzip_worker *worker;
	struct uzip_span span;
	bool last;
	int rc = uzip_index_span(&u->index, no, &span, &last);

	*len = 0;
	if (rc == 0 && span.kind == UZIP_ZERO)
		memset(plain, 0, w->params.cluster);
	if (rc < 0 || span.kind == UZIP_ZERO)
		return rc;
	rc = uzip_worker_get(u, &worker);
	if (rc < 0)
		return rc;
	rc = uzip_decode_span(u, worker, &span, last, plain, &got);
	if (rc == 0 && is_sound(w, &got, worker->in)) {
		memcpy(out, worker->in, got.used);
		*len = got.used;
	}
	uzip_worker_put(u, worker);
	return rc;
}

int
uzip_pack_origin(struct uzip_writer *w, struct uzip_packer *p,
    const struct uzip_origin *origin, uint8_t *plain, uint8_t *out,
    struct uzip_packed *k)
{
	size_t len;
	int rc = take_stream(
	    w, (struct uzip *)origin->from, origin->no, plain, out, &len);

	if (rc == -ECORRUPT) { /* said in turn, once */
		*k = (struct uzip_packed){.damaged = true};
		return 0;
	}
	if (rc < 0)
		return rc;
	if (len == 0 ||
	    (!w->params.keep_zeroes &&
		bytes_are_zero(plain, w->params.cluster)))
		return uzip_pack(w, p, plain, out, k);
	uzip_set_packed(w, out, len, k);
	k->copied = true;
	return 0;
}

int
uzip_say_damaged(const struct uzip_origin *origin)
{
	struct uzip *u = (struct uzip *)origin->from;
	struct uzip_span span = {0};
	bool last;
	int rc = uzip_index_span(&u->index, origin->no, &span, &last);

	if (rc < 0)
		return rc;
	log_error("cluster %u at byte %llu: damaged %s stream", origin->no,
	    (unsigned long long)span.off, uzip_codec_name(u->info.codec));
	return -ECORRUPT;
}
