/*
 * The overlay's log: appending and committing.
 *
 *           overlay_log_data, _step, _note          overlay_log_write
 *   IDLE ------------------------------> STAGED ---------------------> OPEN
 *    ^                                     |  write failed               |
 *    |                                     +--> back to where it was     |
 *    +-------------------------- overlay_log_commit ---------------------+
 *
 * IDLE: end is behind the last complete transaction (or an index behind it).
 * STAGED: records in memory, with the headers they will have at end.
 * OPEN: records of the next transaction lie before end; without a COMMIT they
 * mean nothing (OVERLAY.md, invariant 3).
 * BROKEN (is_broken): a sync failed; nothing is written any more.
 */
#include <lz4.h>
#include <stdlib.h>
#include <string.h>

#include "../imgfmt/bytes.h"
#include "../imgfmt/crc32c.h"
#include "../imgfmt/log.h"
#include "overlay_impl.h"

enum {
	/* Kept free for commits under the limit: a note and two headers. */
	RESERVE = OVERLAY_NOTE_MAX + 2 * OVERLAY_RECORD,
	INDEX_BATCH = 4096, /* extents written at a time */
};

static int
random_bytes(void *buf, size_t len)
{
	return getentropy(buf, len) < 0 ? -errno : 0;
}

static void
begin_transaction(struct overlay_log *log)
{
	log->begin = log->end;
	log->nrecords = 0;
	log->chain = OVERLAY_CRC_NONE;
	overlay_log_drop(log);
}

int
overlay_log_resume(struct overlay_log *log)
{
	begin_transaction(log);
	log->may_have_tail = true;
	log->lz4 = malloc((size_t)LZ4_sizeofState());
	if (log->lz4 == NULL)
		return -ENOMEM;
	return random_bytes(&log->epoch, sizeof(log->epoch));
}

int
overlay_log_create(struct overlay_log *log, struct overlay_file *file,
    struct overlay_header *h)
{
	struct overlay_header_disk disk;
	int rc = random_bytes(h->salt, sizeof(h->salt));

	*log = (struct overlay_log){.file = file, .seq = h->base_seq};
	if (rc < 0)
		return rc;
	memcpy(log->salt, h->salt, sizeof(log->salt));
	overlay_header_encode(h, &disk);
	rc = file->ops->write(file, 0, &disk, sizeof(disk));
	if (rc < 0)
		return rc;
	log->end = OVERLAY_HEADER;
	return overlay_log_resume(log);
}

void
overlay_log_release(struct overlay_log *log)
{
	free(log->stage);
	free(log->lz4);
	log->stage = NULL;
	log->lz4 = NULL;
}

void
overlay_log_drop(struct overlay_log *log)
{
	log->staged = 0;
	log->staged_records = 0;
	log->staged_chain = log->chain;
}

/* Room for len more bytes in the stage; NULL: no memory. */
static uint8_t *
stage_room(struct overlay_log *log, size_t len)
{
	if (len > log->room - log->staged) {
		size_t room = (log->staged + len) * 3 / 2;
		uint8_t *p = realloc(log->stage, room);

		if (p == NULL)
			return NULL;
		log->stage = p;
		log->room = room;
	}
	return log->stage + log->staged;
}

/* Finish a record whose payload lies in the stage behind room for a header. */
static void
stage_record(struct overlay_log *log, struct overlay_record *r)
{
	uint8_t *at = log->stage + log->staged, *payload = at + OVERLAY_RECORD;
	size_t padded = (size_t)overlay_padded(r->stored);
	struct overlay_record_disk disk;

	memset(payload + r->stored, 0, padded - r->stored);
	r->off = log->end + log->staged;
	r->epoch = log->epoch;
	r->payload_crc = crc32c(OVERLAY_CRC_NONE, payload, r->stored);
	overlay_record_encode(r, log->salt, &disk);
	memcpy(at, &disk, sizeof(disk));
	log->staged += OVERLAY_RECORD + padded;
}

/* The same for a record of the transaction in progress. */
static void
stage_step(struct overlay_log *log, struct overlay_record *r)
{
	const void *at = log->stage + log->staged;

	r->seq = log->seq + 1;
	r->chain = log->staged_chain;
	stage_record(log, r);
	log->staged_chain = overlay_chain(log->staged_chain, at);
	log->staged_records++;
}

/* Code the blocks at src to dst; the payload's size and coding. */
static uint32_t
encode(struct overlay_log *log, const uint8_t *src, size_t len, uint8_t *dst,
    bool plain, enum overlay_coding *coding)
{
	int most = (int)(len - len / 16), n = 0;

	if (!plain || bytes_are_zero(src, len))
		n = LZ4_compress_fast_extState(log->lz4, (const char *)src,
		    (char *)dst, (int)len, most, 1);
	*coding = n > 0 ? OVERLAY_LZ4 : OVERLAY_PLAIN;
	if (n > 0)
		return (uint32_t)n;
	memcpy(dst, src, len);
	return (uint32_t)len;
}

int
overlay_log_data(struct overlay_log *log, uint64_t no, const void *buf,
    size_t n, bool plain, struct overlay_extent *ext)
{
	const uint8_t *src = buf;
	int made = 0;

	while (n > 0) {
		size_t run = n < OVERLAY_RUN ? n : OVERLAY_RUN;
		size_t len = run * OVERLAY_BLOCK;
		struct overlay_record r = {
		    .type = OVERLAY_DATA, .arg = no, .count = run};
		uint8_t *at = stage_room(log, OVERLAY_RECORD + len);

		if (at == NULL)
			return -ENOMEM;
		r.stored = encode(
		    log, src, len, at + OVERLAY_RECORD, plain, &r.coding);
		stage_step(log, &r);
		ext[made++] = (struct overlay_extent){
		    no, run, r.off, r.stored, 0, (uint16_t)run};
		src += len;
		no += run;
		n -= run;
	}
	return made;
}

int
overlay_log_step(
    struct overlay_log *log, enum overlay_type type, uint64_t arg, uint64_t n)
{
	struct overlay_record r = {.type = type, .arg = arg, .count = n};

	if (stage_room(log, OVERLAY_RECORD) == NULL)
		return -ENOMEM;
	stage_step(log, &r);
	return 0;
}

int
overlay_log_note(
    struct overlay_log *log, const void *note, size_t len, uint64_t *off)
{
	struct overlay_record r = {
	    .type = OVERLAY_NOTE, .stored = (uint32_t)len};
	uint8_t *at =
	    stage_room(log, OVERLAY_RECORD + (size_t)overlay_padded(len));

	if (at == NULL)
		return -ENOMEM;
	if (len > 0)
		memcpy(at + OVERLAY_RECORD, note, len);
	stage_step(log, &r);
	*off = r.off;
	return 0;
}

static int
sync_log(struct overlay_log *log)
{
	int rc = log->file->ops->sync(log->file);

	if (rc == 0)
		return 0;
	log_error("'%s': cannot make it durable (%s): no more writing",
	    log->file->name, strerror(-rc));
	log->is_broken = true;
	return -EIO;
}

/*
 * Make sure that the file is as long as we left it: who cuts it off under us
 * must not be answered that all is well.
 */
static int
check_end(struct overlay_log *log)
{
	uint64_t size;
	int rc = log->file->ops->size(log->file, &size);

	if (rc < 0 || size >= log->end)
		return rc;
	log_error("'%s': somebody has cut it off at byte %llu: no more writing",
	    log->file->name, (unsigned long long)size);
	log->is_broken = true;
	return -EIO;
}

/*
 * Make sure that nothing lies behind the log's end.  A tail must be gone
 * before anything stands in its place: what it lacks to be complete could be
 * among what is written now, byte for byte.
 */
static int
cut_tail(struct overlay_log *log)
{
	uint64_t size;
	int rc = log->file->ops->size(log->file, &size);

	if (rc == 0 && size > log->end) {
		rc = log->file->ops->cut(log->file, log->end);
		if (rc == 0)
			rc = sync_log(log);
	}
	if (rc == 0)
		log->may_have_tail = false;
	return rc;
}

/* Write the stage, up to the limit less reserve. */
static int
write_stage(struct overlay_log *log, uint64_t reserve)
{
	uint64_t need = log->end + log->staged + reserve;
	int rc = 0;

	if (log->is_broken)
		rc = -EIO;
	else if (log->limit > 0 && need > log->limit)
		rc = -ENOSPC;
	else
		rc = check_end(log);
	if (rc == 0 && log->may_have_tail)
		rc = cut_tail(log);
	if (rc == 0)
		rc = log->file->ops->write(
		    log->file, log->end, log->stage, log->staged);
	if (rc == 0) {
		log->end += log->staged;
		log->nrecords += log->staged_records;
		log->chain = log->staged_chain;
	}
	overlay_log_drop(log);
	return rc;
}

int
overlay_log_write(struct overlay_log *log)
{
	return write_stage(log, RESERVE);
}

int
overlay_log_commit(struct overlay_log *log)
{
	struct overlay_record r = {.type = OVERLAY_COMMIT,
	    .arg = log->begin,
	    .count = log->nrecords + log->staged_records};
	int rc;

	if (stage_room(log, OVERLAY_RECORD) == NULL) {
		overlay_log_drop(log);
		return -ENOMEM;
	}
	stage_step(log, &r);
	rc = write_stage(log, 0);
	if (rc == 0)
		rc = sync_log(log);
	if (rc < 0)
		return rc;
	log->seq++;
	begin_transaction(log);
	return 0;
}

/*
 * Encode extents from block *no on into buf: returns how many, *no is moved
 * behind them.
 */
static size_t
encode_extents(const struct overlay_map *map, uint64_t *no,
    struct overlay_extent_disk *buf)
{
	const struct overlay_extent *e;
	size_t n = 0;

	while (n < INDEX_BATCH && (e = overlay_map_find(map, *no)) != NULL) {
		overlay_extent_encode(e, &buf[n++]);
		*no = e->no + e->n;
	}
	return n;
}

/* Write the extents behind off; the CRC of them, begun with crc. */
static int
write_extents(struct overlay_log *log, const struct overlay_map *map,
    uint64_t off, uint32_t *crc)
{
	scoped(freep) struct overlay_extent_disk *buf =
	    malloc(INDEX_BATCH * sizeof(*buf));
	uint64_t no = 0;
	int rc = 0;

	if (buf == NULL)
		return -ENOMEM;
	while (rc == 0) {
		size_t len = encode_extents(map, &no, buf) * sizeof(*buf);

		if (len == 0)
			break;
		*crc = crc32c(*crc, buf, len);
		rc = log->file->ops->write(log->file, off, buf, len);
		off += len;
	}
	return rc;
}

/* The INDEX behind the log, header last: without it the rest is nothing. */
static int
write_index(struct overlay_log *log, const struct overlay_map *map,
    struct overlay_record *r, uint64_t note_off)
{
	struct {
		struct overlay_record_disk head;
		le64 note_off, zero;
	} front = {.note_off = le64_set(note_off)};
	struct overlay_trailer_disk trailer;
	struct overlay_file *file = log->file;
	uint64_t payload = r->off + OVERLAY_RECORD;
	uint64_t end = payload + overlay_padded(r->stored);
	int rc;

	static_assert(sizeof(front) == OVERLAY_RECORD + OVERLAY_PROLOGUE, "");
	r->payload_crc =
	    crc32c(OVERLAY_CRC_NONE, &front.note_off, OVERLAY_PROLOGUE);
	rc = write_extents(
	    log, map, payload + OVERLAY_PROLOGUE, &r->payload_crc);
	if (rc < 0)
		return rc;
	overlay_trailer_encode(
	    r->off, end + OVERLAY_TRAILER, log->salt, &trailer);
	rc = file->ops->write(file, end, &trailer, sizeof(trailer));
	if (rc < 0)
		return rc;
	overlay_record_encode(r, log->salt, &front.head);
	rc = file->ops->write(file, r->off, &front, sizeof(front));
	if (rc == 0)
		rc = sync_log(log);
	if (rc == 0)
		log->end = end + OVERLAY_TRAILER;
	return rc;
}

int
overlay_log_index(struct overlay_log *log, const struct overlay_map *map,
    uint64_t size, uint64_t note_off)
{
	struct overlay_record r = {.type = OVERLAY_INDEX,
	    .off = log->end,
	    .seq = log->seq,
	    .epoch = log->epoch,
	    .arg = size,
	    .count = map->extents,
	    .chain = OVERLAY_CRC_NONE};
	uint64_t stored = OVERLAY_PROLOGUE + r.count * OVERLAY_EXTENT;
	int rc;

	assert(overlay_log_is_idle(log));
	if (log->is_broken)
		return -EIO;
	if (stored > UINT32_MAX)
		return -EFBIG;
	r.stored = (uint32_t)stored;
	rc = cut_tail(log);
	if (rc == 0)
		rc = write_index(log, map, &r, note_off);
	if (rc == 0)
		begin_transaction(log);
	return rc;
}
