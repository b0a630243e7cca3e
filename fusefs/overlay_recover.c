/*
 * Recovery: what does this file say?  OVERLAY.md, "Recovery", is the rule;
 * the numbers in comments are its steps.
 *
 * Transactions are applied one behind: the last one only once its payloads
 * have been checked, the ones before it because something complete follows.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../imgfmt/log.h"
#include "overlay_impl.h"

enum {
	/*
	 * Headers are apart by their payloads.  To read over so much of one is
	 * as cheap as a call more; beyond, only the headers are read.
	 */
	NEAR = 16 << 10,
	WINDOW_MIN = 4 << 10,
	WINDOW_MAX = 256 << 10,
	TAIL_WINDOW = 1 << 20,
	RETRY_MS = 20,
};

/* The file, read from front to back. */
struct scan {
	struct overlay_log *log;
	uint64_t size; /* of the file when we began, or less */
	uint64_t off;  /* what the window holds */
	size_t len;
	size_t window_size; /* how much was asked for */
	uint8_t window[WINDOW_MAX];
};

/* The records of a complete transaction. */
struct transaction {
	struct overlay_record *rec;
	size_t n, room;
	uint64_t begin, end;
};

static void
transaction_release(struct transaction *t)
{
	free(t->rec);
}

/*
 * Read len bytes at off.  1: done; 0: the file has become shorter (a writer
 * cut its tail off while we looked at it).
 */
static int
scan_read(struct scan *s, uint64_t off, void *buf, size_t len)
{
	struct overlay_file *file = s->log->file;
	int rc = file->ops->read(file, off, buf, len);
	uint64_t size;

	if (rc == 0)
		return 1;
	if (file->ops->size(file, &size) < 0 || size >= s->size)
		return rc;
	s->size = size;
	return 0;
}

/*
 * Let the window begin at off, where a header may lie.  It grows while headers
 * are near one another.  1, 0 and errors as scan_read.
 */
static int
move_window(struct scan *s, uint64_t off)
{
	uint64_t end = s->off + s->len, left = s->size - off;
	bool is_near = off >= s->off && (off <= end || off - end < NEAR);
	size_t most = WINDOW_MIN;
	int rc;

	if (is_near && s->window_size > 0)
		most = s->window_size < WINDOW_MAX ? s->window_size * 2
						   : WINDOW_MAX;
	s->off = off;
	s->window_size = most;
	s->len = left < most ? (size_t)left : most;
	rc = scan_read(s, off, s->window, s->len);
	if (rc <= 0)
		s->len = 0;
	return rc;
}

/* The header at off.  1: *r is one of this file, 0: none is there. */
static int
header_at(struct scan *s, uint64_t off, struct overlay_record_disk *disk,
    struct overlay_record *r)
{
	if (off > s->size || s->size - off < OVERLAY_RECORD)
		return 0;
	if (off < s->off || off - s->off + OVERLAY_RECORD > s->len) {
		int rc = move_window(s, off);

		if (rc <= 0)
			return rc;
	}
	memcpy(disk, s->window + (off - s->off), sizeof(*disk));
	if (!overlay_record_decode(disk, off, s->log->salt, r))
		return 0;
	off += OVERLAY_RECORD;
	return overlay_padded(r->stored) <= s->size - off;
}

/* Where the record after r lies. */
static uint64_t
after(const struct overlay_record *r)
{
	return r->off + OVERLAY_RECORD + overlay_padded(r->stored);
}

static int
transaction_add(struct transaction *t, const struct overlay_record *r)
{
	if (t->n == t->room) {
		size_t room = t->room * 2 + 16;
		void *p = realloc(t->rec, room * sizeof(t->rec[0]));

		if (p == NULL)
			return -ENOMEM;
		t->rec = p;
		t->room = room;
	}
	t->rec[t->n++] = *r;
	return 0;
}

/* Whether r may come next in a transaction: conditions 2 and 3. */
static bool
is_due(const struct transaction *t, const struct overlay_record *r,
    uint64_t seq, uint32_t chain)
{
	if (r->seq != seq || r->chain != chain || r->type == OVERLAY_INDEX)
		return false;
	if (t->n > 0 && r->epoch != t->rec[0].epoch)
		return false;
	return r->type != OVERLAY_COMMIT ||
	    (r->arg == t->begin && r->count == t->n);
}

/*
 * Collect the transaction with number seq from off on, without looking at
 * payloads.  1: it is complete; 0: the log ends in it.
 */
static int
collect(struct scan *s, uint64_t off, uint64_t seq, struct transaction *t)
{
	uint32_t chain = OVERLAY_CRC_NONE;
	struct overlay_record_disk disk;
	struct overlay_record r;
	int rc;

	t->n = 0;
	t->begin = t->end = off;
	for (;;) {
		rc = header_at(s, t->end, &disk, &r);
		if (rc <= 0)
			return rc;
		if (!is_due(t, &r, seq, chain))
			return 0;
		rc = transaction_add(t, &r);
		if (rc < 0)
			return rc;
		t->end = after(&r);
		if (r.type == OVERLAY_COMMIT)
			return 1;
		chain = overlay_chain(chain, &disk);
	}
}

/* Move *off behind the indexes that lie there. */
static int
skip_indexes(struct scan *s, uint64_t *off)
{
	struct overlay_record_disk disk;
	struct overlay_record r;

	for (;;) {
		int rc = header_at(s, *off, &disk, &r);

		if (rc <= 0)
			return rc;
		if (r.type != OVERLAY_INDEX || r.seq != s->log->seq ||
		    s->size - after(&r) < OVERLAY_TRAILER)
			return 0;
		*off = after(&r) + OVERLAY_TRAILER;
	}
}

static int
apply(struct scan *s, const struct transaction *t, struct overlay_state *state)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct overlay_record *r = &t->rec[i];

		if (!overlay_record_is_sane(r, state->size)) {
			log_error("'%s': impossible record at byte %llu",
			    s->log->file->name, (unsigned long long)r->off);
			return -ECORRUPT;
		}
		if (overlay_map_reserve(&state->map, 2) < 0)
			return -ENOMEM;
		overlay_state_apply(state, r);
	}
	return 0;
}

/* A piece of the file, for records that lie one behind the other. */
struct piece {
	uint8_t *buf;
	size_t room, len;
	uint64_t off;
};

/* Have the record r in the piece, read up to end where it is not there yet. */
static int
piece_move(struct piece *p, const struct overlay_log *log,
    const struct overlay_record *r, uint64_t end)
{
	uint64_t left = end - r->off;

	if (r->off >= p->off &&
	    r->off - p->off + OVERLAY_RECORD + r->stored <= p->len)
		return 0;
	p->off = r->off;
	p->len = left < p->room ? (size_t)left : p->room;
	return log->file->ops->read(log->file, p->off, p->buf, p->len);
}

/* Whether the payloads of t are right: condition 4. */
static int
check_payloads(struct scan *s, const struct transaction *t)
{
	scoped(freep) uint8_t *buf = NULL;
	struct piece piece = {.room = WINDOW_MAX};
	struct overlay_record r;
	uint32_t most = 0;

	for (size_t i = 0; i < t->n; i++)
		most = t->rec[i].stored > most ? t->rec[i].stored : most;
	if (most > OVERLAY_NOTE_MAX)
		return 0;
	if (OVERLAY_RECORD + most > piece.room)
		piece.room = OVERLAY_RECORD + most;
	buf = piece.buf = malloc(piece.room);
	if (buf == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < t->n; i++) {
		const struct overlay_record *want = &t->rec[i];
		int rc;

		if (want->stored == 0)
			continue;
		rc = piece_move(&piece, s->log, want, t->end);
		if (rc < 0)
			return rc;
		if (!overlay_record_check(s->log, want->type, want->off,
			want->stored, &r, buf + (want->off - piece.off)))
			return 0;
	}
	return 1;
}

/* Step 3.  log->seq and log->end tell what was complete. */
static int
read_log(struct scan *s, struct overlay_state *state)
{
	scoped(transaction_release) struct transaction last = {0}, next = {0};
	struct overlay_log *log = s->log;
	uint64_t off = OVERLAY_HEADER;
	int rc;

	for (;;) {
		struct transaction t = last;

		rc = skip_indexes(s, &off);
		if (rc == 0)
			rc = collect(s, off, log->seq + 1, &next);
		if (rc <= 0)
			break;
		rc = apply(s, &last, state);
		if (rc < 0)
			break;
		last = next;
		next = t;
		off = last.end;
		log->seq++;
	}
	log->end = off;
	if (rc < 0 || last.n == 0)
		return rc;
	rc = check_payloads(s, &last);
	if (rc > 0)
		return apply(s, &last, state);
	log->end = last.begin;
	log->seq--;
	return rc;
}

/* Whether the window holds a proof that seq was not the last: step 4. */
static bool
proves_more(const struct overlay_log *log, const uint8_t *window, size_t len,
    uint64_t off)
{
	struct overlay_record_disk disk;
	struct overlay_record r;

	for (size_t i = 0; i + OVERLAY_RECORD <= len; i += OVERLAY_ALIGN) {
		memcpy(&disk, window + i, sizeof(disk));
		if (!overlay_record_decode(&disk, off + i, log->salt, &r))
			continue;
		if (r.seq > log->seq + 1)
			return true;
		if (r.type == OVERLAY_INDEX && r.seq > log->seq)
			return true;
		if (r.type == OVERLAY_COMMIT && r.seq > log->seq &&
		    r.arg > log->end)
			return true; /* an index was damaged, not a tail torn */
	}
	return false;
}

/* Step 4.  1: the log was cut short by damage; 0: a tail, or nothing. */
static int
tail_shows_damage(struct scan *s)
{
	scoped(freep) uint8_t *window = NULL;
	uint64_t off = s->log->end;

	if (off >= s->size)
		return 0;
	window = malloc(s->size - off < TAIL_WINDOW ? (size_t)(s->size - off)
						    : TAIL_WINDOW);
	if (window == NULL)
		return -ENOMEM;
	while (off < s->size) {
		size_t len = s->size - off < TAIL_WINDOW
		    ? (size_t)(s->size - off)
		    : TAIL_WINDOW;
		int rc = scan_read(s, off, window, len);

		if (rc <= 0)
			return rc;
		if (proves_more(s->log, window, len, off))
			return 1;
		if (len < TAIL_WINDOW)
			break;
		off += len - OVERLAY_RECORD; /* one may lie across */
	}
	return 0;
}

static int
recover_once(struct overlay_log *log, const struct overlay_header *h,
    struct overlay_state *state)
{
	scoped(freep) struct scan *s = calloc(1, sizeof(*s));
	int rc;

	if (s == NULL)
		return -ENOMEM;
	state->size = state->base_size = h->base_size;
	log->seq = h->base_seq;
	s->log = log;
	rc = log->file->ops->size(log->file, &s->size);
	if (rc < 0)
		return rc;
	rc = overlay_index_load(log, s->size, state);
	if (rc != 0)
		return rc;
	rc = read_log(s, state);
	if (rc == 0)
		rc = tail_shows_damage(s);
	if (rc > 0)
		return -EAGAIN;
	if (rc == 0 && log->end < s->size)
		log_debug("'%s': ignored an unfinished flush at byte %llu",
		    log->file->name, (unsigned long long)log->end);
	if (rc == 0 && state->note_off > 0)
		rc = overlay_note_load(log, state->note_off, state);
	if (rc == -ECORRUPT && state->note_off > 0)
		log_error("'%s': damaged note at byte %llu", log->file->name,
		    (unsigned long long)state->note_off);
	return rc;
}

int
overlay_recover(struct overlay_log *log, const struct overlay_header *h,
    unsigned tries, struct overlay_state *state)
{
	const struct timespec pause = {.tv_nsec = RETRY_MS * 1000000L};
	int rc = recover_once(log, h, state);

	while (rc == -EAGAIN && --tries > 0) {
		overlay_state_release(state);
		nanosleep(&pause, NULL);
		rc = recover_once(log, h, state);
	}
	if (rc == -EAGAIN) {
		log_error("'%s': damaged record at byte %llu", log->file->name,
		    (unsigned long long)log->end);
		rc = -ECORRUPT;
	}
	if (rc < 0)
		overlay_state_release(state);
	return rc;
}
