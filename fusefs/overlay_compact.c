/*
 * Compaction (OVERLAY.md, invariant 10): the present state, written into a new
 * file as one transaction.  Runs of blocks are read through the old map and
 * compressed anew, so that what was written in crumbs is read in records.
 */
#include <stdlib.h>
#include <string.h>

#include "overlay_impl.h"

enum { BATCH = 256 }; /* blocks copied at a time */

struct rewrite {
	struct overlay *o; /* the old one */
	struct overlay_file *file;
	struct overlay_log log;
	struct overlay_state state;
	uint8_t *buf;
};

/* Append what the log has staged; apply one step to the new state. */
static int
step(struct rewrite *w, enum overlay_type type, uint64_t arg, uint64_t n)
{
	const struct overlay_record r = {.type = type, .arg = arg, .count = n};
	int rc = overlay_map_reserve(&w->state.map, 2);

	if (rc == 0)
		rc = overlay_log_step(&w->log, type, arg, n);
	if (rc == 0)
		rc = overlay_log_write(&w->log);
	if (rc == 0)
		overlay_state_apply(&w->state, &r);
	return rc;
}

static int
copy_blocks(struct rewrite *w, uint64_t no, size_t n)
{
	struct overlay_extent ext[BATCH / OVERLAY_RUN];
	int made, rc;

	rc = overlay_read_blocks(
	    w->o, no * OVERLAY_BLOCK, w->buf, n * OVERLAY_BLOCK);
	if (rc == 0)
		rc = overlay_map_reserve(&w->state.map, overlay_log_extents(n));
	if (rc < 0)
		return rc;
	made = overlay_log_data(&w->log, no, w->buf, n, false, ext);
	if (made < 0)
		return made;
	rc = overlay_log_write(&w->log);
	for (int i = 0; rc == 0 && i < made; i++)
		overlay_map_set(&w->state.map, &ext[i]);
	return rc;
}

/* Copy a run of data that begins with e; *no is moved behind it. */
static int
copy_run(struct rewrite *w, const struct overlay_extent *e, uint64_t *no)
{
	const struct overlay_map *map = &w->o->state.map;
	uint64_t begin = e->no, end = e->no + e->n;

	while (end - begin < BATCH) {
		const struct overlay_extent *next = overlay_map_find(map, end);

		if (!overlay_extent_joins(e, next))
			break;
		e = next;
		end = e->no + e->n;
	}
	if (end - begin > BATCH)
		end = begin + BATCH;
	*no = end;
	return copy_blocks(w, begin, (size_t)(end - begin));
}

static int
copy_map(struct rewrite *w)
{
	const struct overlay_map *map = &w->o->state.map;
	const struct overlay_extent *e;
	uint64_t no = 0;
	int rc = 0;

	while (rc == 0 && (e = overlay_map_find(map, no)) != NULL) {
		struct overlay_extent at = *e;

		if (at.no < no) { /* the rest of a run that was too long */
			at.n -= no - at.no;
			at.no = no;
		}
		no = at.no + at.n;
		rc = at.off == 0 ? step(w, OVERLAY_TRIM, at.no, at.n)
				 : copy_run(w, &at, &no);
	}
	return rc;
}

/* Write the new file, all but its name. */
static int
write_all(struct rewrite *w)
{
	const struct overlay_state *old = &w->o->state;
	struct overlay_header h = {.base_size = old->base_size,
	    .base_seq = w->o->log.seq - 1,
	    .id = w->o->id};
	int rc = overlay_log_create(&w->log, w->file, &h);

	w->state.size = w->state.base_size = old->base_size;
	w->buf = malloc((size_t)BATCH * OVERLAY_BLOCK);
	if (rc == 0 && w->buf == NULL)
		rc = -ENOMEM;
	if (rc == 0 && old->size != old->base_size)
		rc = step(w, OVERLAY_RESIZE, old->size, 0);
	if (rc == 0)
		rc = copy_map(w);
	if (rc == 0 && old->note_len > 0)
		rc = overlay_log_note(
		    &w->log, old->note, old->note_len, &w->state.note_off);
	if (rc == 0)
		rc = overlay_log_commit(&w->log);
	if (rc == 0)
		rc = overlay_log_index(
		    &w->log, &w->state.map, w->state.size, w->state.note_off);
	return rc;
}

/* From here on the new file is o's. */
static void
take_over(struct rewrite *w)
{
	struct overlay *o = w->o;
	struct overlay_map map = o->state.map;
	struct overlay_file *file = o->file;
	struct overlay_log log = o->log;

	pthread_rwlock_wrlock(&o->lock); /* waits for readers of the old one */
	w->log.limit = log.limit;
	o->log = w->log;
	o->file = w->file;
	o->state.map = w->state.map;
	o->state.note_off = w->state.note_off;
	o->is_indexed = true;
	pthread_rwlock_unlock(&o->lock);
	overlay_map_release(&map);
	overlay_log_release(&log);
	file->ops->close(file);
}

int
overlay_rewrite(struct overlay *o)
{
	struct rewrite w = {.o = o};
	int rc;

	if (o->log.seq == 0)
		return 0; /* nothing was ever written */
	rc = o->file->ops->create(o->file, &w.file);
	if (rc < 0)
		return rc;
	rc = write_all(&w);
	free(w.buf);
	if (rc == 0)
		rc = w.file->ops->replace(w.file, o->file);
	if (rc < 0) {
		overlay_log_release(&w.log);
		overlay_state_release(&w.state);
		w.file->ops->discard(w.file);
		return rc;
	}
	take_over(&w);
	if (rc == 0)
		return 0;
	/* A crash might bring the old file back, without what comes now. */
	o->log.is_broken = true;
	o->dev.writable = false;
	return -EIO;
}
