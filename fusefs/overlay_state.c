/* What records mean, and reading single ones. */
#include <stdlib.h>
#include <string.h>

#include "../imgfmt/crc32c.h"
#include "../imgfmt/log.h"
#include "overlay_impl.h"

void
overlay_state_release(struct overlay_state *state)
{
	overlay_map_release(&state->map);
	free(state->note);
	state->note = NULL;
	state->note_len = 0;
	state->note_off = 0;
}

/* Make blocks from to end trimmed, as far as the base has any. */
static void
apply_trim(struct overlay_state *state, uint64_t from, uint64_t end)
{
	uint64_t below = overlay_blocks(state->base_size);
	struct overlay_extent e = {.no = from};

	overlay_map_punch(&state->map, from, end - from);
	if (end > below)
		end = below;
	e.n = end - from;
	if (from < end)
		overlay_map_set(&state->map, &e);
}

static void
apply_resize(struct overlay_state *state, uint64_t size)
{
	uint64_t before = overlay_blocks(state->size);
	uint64_t after = overlay_blocks(size);

	if (after < before)
		overlay_map_punch(&state->map, after, before - after);
	else if (after > before)
		apply_trim(state, before, after);
	state->size = size;
}

void
overlay_state_apply(struct overlay_state *state, const struct overlay_record *r)
{
	struct overlay_extent e = {
	    r->arg, r->count, r->off, r->stored, 0, (uint16_t)r->count};

	switch (r->type) {
	case OVERLAY_DATA:
		overlay_map_set(&state->map, &e);
		break;
	case OVERLAY_TRIM:
		apply_trim(state, r->arg, r->arg + r->count);
		break;
	case OVERLAY_RESIZE:
		apply_resize(state, r->arg);
		break;
	case OVERLAY_NOTE:
		state->note_off = r->stored > 0 ? r->off : 0;
		break;
	default:
		break; /* says nothing about the state */
	}
}

int
overlay_header_read(struct overlay_file *file, struct overlay_header *out)
{
	struct overlay_header_disk disk;
	const char *what = "is too short for an overlay";
	uint64_t size;
	int rc = file->ops->size(file, &size);

	if (rc < 0)
		return rc;
	if (size >= sizeof(disk)) {
		rc = file->ops->read(file, 0, &disk, sizeof(disk));
		if (rc < 0)
			return rc;
		rc = overlay_header_decode(&disk, out, &what);
	} else {
		rc = -ECORRUPT;
	}
	if (rc < 0)
		log_error("'%s' %s", file->name, what);
	return rc;
}

bool
overlay_record_check(const struct overlay_log *log, enum overlay_type type,
    uint64_t off, uint32_t stored, struct overlay_record *r, const uint8_t *buf)
{
	struct overlay_record_disk disk;

	memcpy(&disk, buf, sizeof(disk));
	return overlay_record_decode(&disk, off, log->salt, r) &&
	    r->type == type && r->stored == stored &&
	    r->payload_crc ==
	    crc32c(OVERLAY_CRC_NONE, buf + OVERLAY_RECORD, stored);
}

int
overlay_record_read(const struct overlay_log *log, enum overlay_type type,
    uint64_t off, uint32_t stored, struct overlay_record *r, uint8_t *buf)
{
	int rc = log->file->ops->read(
	    log->file, off, buf, OVERLAY_RECORD + (size_t)stored);

	if (rc < 0)
		return rc;
	return overlay_record_check(log, type, off, stored, r, buf) ? 0
								    : -ECORRUPT;
}

/* How long the payload of the NOTE at off is. */
static int
note_length(const struct overlay_log *log, uint64_t off, uint32_t *stored)
{
	struct overlay_record_disk disk;
	struct overlay_record r;
	int rc = log->file->ops->read(log->file, off, &disk, sizeof(disk));

	if (rc < 0)
		return rc;
	if (!overlay_record_decode(&disk, off, log->salt, &r) ||
	    r.type != OVERLAY_NOTE || !overlay_record_is_sane(&r, 0))
		return -ECORRUPT;
	*stored = r.stored;
	return 0;
}

int
overlay_note_load(
    const struct overlay_log *log, uint64_t off, struct overlay_state *state)
{
	scoped(freep) uint8_t *buf = NULL;
	struct overlay_record r;
	uint32_t stored;
	int rc = note_length(log, off, &stored);

	if (rc < 0)
		return rc;
	buf = malloc(OVERLAY_RECORD + (size_t)stored);
	if (buf == NULL)
		return -ENOMEM;
	rc = overlay_record_read(log, OVERLAY_NOTE, off, stored, &r, buf);
	if (rc < 0)
		return rc;
	memmove(buf, buf + OVERLAY_RECORD, stored);
	free(state->note);
	state->note = buf;
	state->note_len = stored;
	buf = NULL;
	return 0;
}
