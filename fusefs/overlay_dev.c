/*
 * The overlay as a device.  What the file means is in overlay_state.c, how it
 * is appended to in overlay_log.c, how it is found again in
 * overlay_recover.c; this file keeps the two pictures of it equal: the log
 * first, then, if that went well, the map.
 */
#include <stdlib.h>
#include <string.h>

#include "../imgfmt/log.h"
#include "overlay_impl.h"

enum {
	WRITE_BLOCKS = 256, /* written to the file in one piece */
	JOIN_MAX = 1024,    /* extents that one change is made of */
};

/* Garbage that a mounted overlay may hold besides as much as is live. */
#define GARBAGE_MAX (UINT64_C(256) << 20)

static int
overlay_read(struct blkdev *dev, uint64_t off, void *buf, size_t len)
{
	return overlay_read_blocks((struct overlay *)dev, off, buf, len);
}

/* Whole blocks, or up to the device's end. */
static bool
is_aligned(const struct overlay *o, uint64_t off, uint64_t len)
{
	return off % OVERLAY_BLOCK == 0 &&
	    (len % OVERLAY_BLOCK == 0 || off + len == o->dev.size);
}

/* Room in the map, before anything is written that must go into it. */
static int
reserve(struct overlay *o, size_t n)
{
	int rc;

	pthread_rwlock_wrlock(&o->lock);
	rc = overlay_map_reserve(&o->state.map, n);
	pthread_rwlock_unlock(&o->lock);
	return rc;
}

/* Write what is staged, unless staging failed already with rc. */
static int
write_staged(struct overlay *o, int rc)
{
	if (rc >= 0)
		return overlay_log_write(&o->log);
	overlay_log_drop(&o->log);
	return rc;
}

/* Append n whole blocks from no, and enter them in the map. */
static int
append_blocks(
    struct overlay *o, uint64_t no, const void *buf, size_t n, bool plain)
{
	struct overlay_extent ext[WRITE_BLOCKS / OVERLAY_RUN];
	int made, rc;

	if (reserve(o, overlay_log_extents(n)) < 0)
		return -ENOMEM;
	made = overlay_log_data(&o->log, no, buf, n, plain, ext);
	rc = write_staged(o, made);
	if (rc < 0)
		return rc;
	pthread_rwlock_wrlock(&o->lock);
	for (int i = 0; i < made; i++)
		overlay_map_set(&o->state.map, &ext[i]);
	pthread_rwlock_unlock(&o->lock);
	return 0;
}

/* The device's short last block, made whole with zeroes. */
static int
append_last_block(struct overlay *o, uint64_t no, const void *buf, size_t len)
{
	uint8_t block[OVERLAY_BLOCK] = {0};

	memcpy(block, buf, len);
	return append_blocks(o, no, block, 1, false);
}

static int
write_blocks(
    struct overlay *o, uint64_t off, const void *buf, size_t len, bool plain)
{
	uint64_t no = off / OVERLAY_BLOCK;
	const uint8_t *p = buf;
	int rc = 0;

	if (!is_aligned(o, off, len))
		return -EINVAL;
	pthread_mutex_lock(&o->writing);
	while (rc == 0 && len >= OVERLAY_BLOCK) {
		size_t n = len / OVERLAY_BLOCK;

		if (n > WRITE_BLOCKS)
			n = WRITE_BLOCKS;
		rc = append_blocks(o, no, p, n, plain);
		no += n;
		p += n * OVERLAY_BLOCK;
		len -= n * OVERLAY_BLOCK;
	}
	if (rc == 0 && len > 0)
		rc = append_last_block(o, no, p, len);
	pthread_mutex_unlock(&o->writing);
	return rc;
}

static int
overlay_write(struct blkdev *dev, uint64_t off, const void *buf, size_t len)
{
	return write_blocks((struct overlay *)dev, off, buf, len, false);
}

static int
overlay_write_once(
    struct blkdev *dev, uint64_t off, const void *buf, size_t len)
{
	return write_blocks((struct overlay *)dev, off, buf, len, true);
}

/* Whether blocks no to end already read as zeroes without any record. */
static bool
is_zero_already(const struct overlay *o, uint64_t no, uint64_t end)
{
	uint64_t below = overlay_blocks(o->state.base_size);

	while (no < end) {
		const struct overlay_extent *e =
		    overlay_map_find(&o->state.map, no);

		if (e == NULL || e->no >= end)
			return no >= below;
		if (e->off != 0 || (e->no > no && no < below))
			return false;
		no = e->no + e->n;
	}
	return true;
}

static int
append_trim(struct overlay *o, uint64_t no, uint64_t n)
{
	const struct overlay_record r = {
	    .type = OVERLAY_TRIM, .arg = no, .count = n};
	int rc = reserve(o, 2);

	if (rc == 0)
		rc = overlay_log_step(&o->log, OVERLAY_TRIM, no, n);
	rc = write_staged(o, rc);
	if (rc < 0)
		return rc;
	pthread_rwlock_wrlock(&o->lock);
	overlay_state_apply(&o->state, &r);
	pthread_rwlock_unlock(&o->lock);
	return 0;
}

static int
overlay_trim(struct blkdev *dev, uint64_t off, uint64_t len)
{
	struct overlay *o = (struct overlay *)dev;
	uint64_t no = off / OVERLAY_BLOCK, n = overlay_blocks(len);
	int rc = 0;

	if (!is_aligned(o, off, len))
		return -EINVAL;
	pthread_mutex_lock(&o->writing);
	if (!is_zero_already(o, no, no + n))
		rc = append_trim(o, no, n);
	pthread_mutex_unlock(&o->writing);
	return rc;
}

/*
 * A device is cut off inside a block: stage this block with zeroes behind the
 * end.  How many extents that makes.
 */
static int
stage_last_block(struct overlay *o, uint64_t size, struct overlay_extent *ext)
{
	uint8_t block[OVERLAY_BLOCK] = {0};
	uint64_t no = size / OVERLAY_BLOCK;
	int rc;

	if (size >= o->dev.size || size % OVERLAY_BLOCK == 0)
		return 0;
	rc = overlay_read_blocks(
	    o, no * OVERLAY_BLOCK, block, (size_t)(size % OVERLAY_BLOCK));
	return rc < 0 ? rc
		      : overlay_log_data(&o->log, no, block, 1, false, ext);
}

/* In one piece, so that a full disk leaves the block as it was. */
static int
append_resize(struct overlay *o, uint64_t size)
{
	const struct overlay_record r = {.type = OVERLAY_RESIZE, .arg = size};
	struct overlay_extent ext;
	int made, rc = reserve(o, 3);

	if (rc < 0)
		return rc;
	rc = made = stage_last_block(o, size, &ext);
	if (rc >= 0)
		rc = overlay_log_step(&o->log, OVERLAY_RESIZE, size, 0);
	rc = write_staged(o, rc);
	if (rc < 0)
		return rc;
	pthread_rwlock_wrlock(&o->lock);
	if (made > 0)
		overlay_map_set(&o->state.map, &ext);
	overlay_state_apply(&o->state, &r);
	o->dev.size = size;
	pthread_rwlock_unlock(&o->lock);
	return 0;
}

static int
overlay_resize(struct blkdev *dev, uint64_t size)
{
	struct overlay *o = (struct overlay *)dev;
	int rc;

	if (size > OVERLAY_SIZE_MAX)
		return -ENOSPC;
	pthread_mutex_lock(&o->writing);
	rc = append_resize(o, size);
	pthread_mutex_unlock(&o->writing);
	return rc;
}

/* The new note is in the last transaction. */
static void
adopt_note(struct overlay *o, uint64_t off)
{
	free(o->state.note);
	o->state.note = o->new_note;
	o->state.note_len = o->new_note_len;
	o->state.note_off = o->new_note_len > 0 ? off : 0;
	o->new_note = NULL;
	o->has_new_note = false;
}

static int
no_more_writing(struct overlay *o)
{
	o->log.is_broken = true;
	o->dev.writable = false;
	return -EIO;
}

/*
 * What is flushed must be found again.  A file that was removed under us is
 * written anew; where another one has its name, there is no place for it.
 */
static int
keep_name(struct overlay *o)
{
	int rc = o->file->ops->is_removed == NULL
	    ? 0
	    : o->file->ops->is_removed(o->file);

	if (rc > 0) {
		log_warn("'%s' was removed; writing it again", o->file->name);
		rc = overlay_rewrite(o);
	}
	return rc < 0 ? no_more_writing(o) : 0;
}

static int
flush_pending(struct overlay *o)
{
	uint64_t off = 0;
	int rc = 0;

	if (overlay_log_is_idle(&o->log) && !o->has_new_note)
		return 0;
	if (o->has_new_note)
		rc = overlay_log_note(
		    &o->log, o->new_note, o->new_note_len, &off);
	if (rc == 0)
		rc = overlay_log_commit(&o->log);
	if (o->log.is_broken)
		o->dev.writable = false;
	if (rc < 0)
		return rc;
	o->is_indexed = false;
	if (o->has_new_note)
		adopt_note(o, off);
	return 0;
}

int
overlay_flush_locked(struct overlay *o)
{
	int rc;

	if (o->log.is_broken)
		return -EIO;
	rc = flush_pending(o);
	return rc < 0 ? rc : keep_name(o);
}

uint64_t
overlay_garbage(const struct overlay *o)
{
	uint64_t live = OVERLAY_HEADER + o->state.map.live;

	if (o->state.note_off > 0)
		live += OVERLAY_RECORD + overlay_padded(o->state.note_len);
	return o->log.end > live ? o->log.end - live : 0;
}

/* Keep a long session from filling the disk; failing is no harm. */
static void
compact_if_due(struct overlay *o)
{
	uint64_t garbage = overlay_garbage(o);

	if (garbage < GARBAGE_MAX + o->state.map.live ||
	    garbage < o->compact_after)
		return;
	if (overlay_rewrite(o) < 0)
		o->compact_after = garbage + GARBAGE_MAX;
	else
		o->compact_after = 0;
}

static int
overlay_flush(struct blkdev *dev)
{
	struct overlay *o = (struct overlay *)dev;
	int rc;

	if (o->is_read_only)
		return 0;
	pthread_mutex_lock(&o->writing);
	rc = overlay_flush_locked(o);
	if (rc == 0)
		compact_if_due(o);
	pthread_mutex_unlock(&o->writing);
	return rc;
}

/* Where the run of extents alike that begins with e ends, bytes. */
static uint64_t
end_of_run(const struct overlay *o, const struct overlay_extent *e)
{
	for (int i = 0; i < JOIN_MAX; i++) {
		const struct overlay_extent *next =
		    overlay_map_find(&o->state.map, e->no + e->n);

		if (!overlay_extent_joins(e, next))
			break;
		e = next;
	}
	return (e->no + e->n) * OVERLAY_BLOCK;
}

static int
overlay_next_change(struct blkdev *dev, uint64_t off, struct blkdev_change *out)
{
	struct overlay *o = (struct overlay *)dev;
	const struct overlay_extent *e;
	uint64_t begin, end;

	pthread_rwlock_rdlock(&o->lock);
	e = overlay_map_find(&o->state.map, off / OVERLAY_BLOCK);
	if (e != NULL) {
		begin = e->no * OVERLAY_BLOCK;
		end = end_of_run(o, e);
		out->off = begin > off ? begin : off;
		out->len = (end < dev->size ? end : dev->size) - out->off;
		out->trimmed = e->off == 0;
	}
	pthread_rwlock_unlock(&o->lock);
	return e != NULL;
}

static void
overlay_close(struct blkdev *dev)
{
	struct overlay *o = (struct overlay *)dev;

	overlay_state_release(&o->state);
	overlay_log_release(&o->log);
	if (o->file != NULL)
		o->file->ops->close(o->file);
	blkdev_close(o->base);
	pthread_mutex_destroy(&o->writing);
	pthread_rwlock_destroy(&o->lock);
	free(o->new_note);
	free(o);
}

const struct blkdev_ops overlay_ops = {
    .read = overlay_read,
    .write = overlay_write,
    .write_once = overlay_write_once,
    .trim = overlay_trim,
    .resize = overlay_resize,
    .flush = overlay_flush,
    .next_change = overlay_next_change,
    .close = overlay_close,
};
