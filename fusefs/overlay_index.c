/*
 * Loading the index that a clean close left (OVERLAY.md, "INDEX payload and
 * trailer").  Whatever is wrong with it, the log tells the same: then there is
 * no index.
 */
#include <stdlib.h>
#include <string.h>

#include "../imgfmt/crc32c.h"
#include "overlay_impl.h"

enum { BATCH = 4096 }; /* extents read at a time */

/* Find the INDEX that the file ends with.  1: *r is it; 0: there is none. */
static int
find(const struct overlay_log *log, uint64_t size, struct overlay_record *r)
{
	struct overlay_trailer_disk trailer;
	struct overlay_record_disk disk;
	struct overlay_file *file = log->file;
	uint64_t at = size - OVERLAY_TRAILER, off;
	int rc;

	if (size < OVERLAY_HEADER + OVERLAY_RECORD + OVERLAY_TRAILER)
		return 0;
	rc = file->ops->read(file, at, &trailer, sizeof(trailer));
	if (rc < 0)
		return rc;
	if (!overlay_trailer_decode(&trailer, size, log->salt, &off) ||
	    off < OVERLAY_HEADER || off > at - OVERLAY_RECORD)
		return 0;
	rc = file->ops->read(file, off, &disk, sizeof(disk));
	if (rc < 0)
		return rc;
	return overlay_record_decode(&disk, off, log->salt, r) &&
	    r->type == OVERLAY_INDEX && overlay_record_is_sane(r, 0) &&
	    overlay_padded(r->stored) == at - off - OVERLAY_RECORD;
}

/* Whether e points into a DATA record that lies before limit. */
static bool
points_to_data(const struct overlay_extent *e, uint64_t limit)
{
	return e->off >= OVERLAY_HEADER && e->off % OVERLAY_ALIGN == 0 &&
	    e->off <= limit && e->stored <= limit - e->off && e->stored > 0 &&
	    e->stored <= (uint32_t)e->blocks * OVERLAY_BLOCK &&
	    e->blocks <= OVERLAY_RUN && e->skip < e->blocks &&
	    e->n <= (uint64_t)(e->blocks - e->skip);
}

/* Whether e can follow what ended at block last, in an index at limit. */
static bool
is_sane(const struct overlay_extent *e, uint64_t last, uint64_t blocks,
    uint64_t limit)
{
	if (e->no < last || e->no > blocks || e->n == 0 ||
	    e->n > blocks - e->no)
		return false;
	if (e->off == 0)
		return e->stored == 0 && e->skip == 0 && e->blocks == 0;
	return points_to_data(e, limit);
}

/* Add n extents behind block *last.  1, or 0 if one makes no sense. */
static int
add(struct overlay_map *map, const struct overlay_extent_disk *disk, size_t n,
    const struct overlay_record *r, uint64_t *last)
{
	for (size_t i = 0; i < n; i++) {
		struct overlay_extent e;

		overlay_extent_decode(&disk[i], &e);
		if (!is_sane(&e, *last, overlay_blocks(r->arg), r->off))
			return 0;
		if (overlay_map_reserve(map, 1) < 0)
			return -ENOMEM;
		overlay_map_set(map, &e);
		*last = e.no + e.n;
	}
	return 1;
}

/* Read the extents of the INDEX r behind off; crc is that of the prologue. */
static int
load_extents(const struct overlay_log *log, const struct overlay_record *r,
    uint32_t crc, struct overlay_map *map)
{
	scoped(freep) struct overlay_extent_disk *buf =
	    malloc(BATCH * sizeof(*buf));
	uint64_t off = r->off + OVERLAY_RECORD + OVERLAY_PROLOGUE;
	uint64_t left = r->count, last = 0;
	int rc = buf == NULL ? -ENOMEM : 1;

	while (rc > 0 && left > 0) {
		size_t n = left < BATCH ? (size_t)left : BATCH;
		size_t len = n * sizeof(*buf);

		rc = log->file->ops->read(log->file, off, buf, len);
		if (rc < 0)
			break;
		crc = crc32c(crc, buf, len);
		rc = add(map, buf, n, r, &last);
		off += len;
		left -= n;
	}
	if (rc > 0 && crc != r->payload_crc)
		return 0;
	return rc;
}

static int
load(const struct overlay_log *log, const struct overlay_record *r,
    struct overlay_state *state)
{
	le64 prologue[2];
	int rc = log->file->ops->read(
	    log->file, r->off + OVERLAY_RECORD, prologue, sizeof(prologue));

	static_assert(sizeof(prologue) == OVERLAY_PROLOGUE, "two numbers");
	if (rc < 0)
		return rc;
	rc = load_extents(log, r,
	    crc32c(OVERLAY_CRC_NONE, prologue, sizeof(prologue)), &state->map);
	if (rc <= 0)
		return rc;
	state->note_off = le64_get(prologue[0]);
	if (state->note_off == 0)
		return 1;
	if (state->note_off < OVERLAY_HEADER || state->note_off >= r->off)
		return 0;
	rc = overlay_note_load(log, state->note_off, state);
	return rc == -ECORRUPT ? 0 : rc < 0 ? rc : 1;
}

int
overlay_index_load(
    struct overlay_log *log, uint64_t file_size, struct overlay_state *state)
{
	struct overlay_record r;
	int rc = find(log, file_size, &r);

	if (rc <= 0) /* an unreadable index is none: the log decides */
		return rc == -EIO ? 0 : rc;
	rc = load(log, &r, state);
	if (rc <= 0) {
		overlay_state_release(state);
		return rc == -EIO ? 0 : rc;
	}
	state->size = r.arg;
	log->seq = r.seq;
	log->end = file_size;
	return 1;
}
