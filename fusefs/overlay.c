/* The overlay's public face, but for the device itself: overlay_dev.c. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "../imgfmt/log.h"
#include "overlay_impl.h"

enum {
	READER_TRIES = 5, /* before a reader believes in damage */
};

static struct overlay *
overlay_of(struct blkdev *dev)
{
	assert(dev->ops == &overlay_ops);
	return (struct overlay *)dev;
}

/* Read the file's state into o, which has its file and base. */
static int
load(struct overlay *o, const struct overlay_id *id)
{
	struct overlay_header h;
	int rc = overlay_header_read(o->file, &h);

	if (rc < 0)
		return rc;
	if (memcmp(&h.id, id, sizeof(h.id)) != 0 ||
	    h.base_size != o->base->size) {
		log_error("'%s' belongs to another image", o->file->name);
		return -ESTALE;
	}
	o->id = h.id;
	o->log.file = o->file;
	memcpy(o->log.salt, h.salt, sizeof(h.salt));
	rc = overlay_recover(
	    &o->log, &h, o->is_read_only ? READER_TRIES : 1, &o->state);
	o->is_indexed = rc > 0;
	o->dev.size = o->state.size;
	return rc < 0 ? rc : 0;
}

/* What was found must be durable before anything is built on it. */
static int
become_writer(struct overlay *o)
{
	int rc = o->file->ops->sync(o->file);

	return rc < 0 ? rc : overlay_log_resume(&o->log);
}

int
overlay_open_file(struct overlay_file *file, const struct overlay_id *id,
    struct blkdev *base, unsigned flags, struct blkdev **out)
{
	struct overlay *o = calloc(1, sizeof(*o));
	int rc;

	if (o == NULL)
		return -ENOMEM;
	o->is_read_only = (flags & OVERLAY_READ_ONLY) != 0;
	o->dev = (struct blkdev){&overlay_ops, 0, !o->is_read_only, 0};
	o->file = file;
	o->base = base;
	pthread_mutex_init(&o->writing, NULL);
	pthread_rwlock_init(&o->lock, NULL);
	rc = load(o, id);
	if (rc == 0 && !o->is_read_only)
		rc = become_writer(o);
	if (rc < 0) {
		o->file = NULL; /* still the caller's, as is base */
		o->base = NULL;
		overlay_ops.close(&o->dev);
		return rc;
	}
	*out = &o->dev;
	return 0;
}

int
overlay_open(const char *path, const struct overlay_id *id, struct blkdev *base,
    unsigned flags, struct blkdev **out)
{
	struct overlay_file *file;
	int mode = flags & OVERLAY_READ_ONLY ? O_RDONLY : O_RDWR;
	int rc = overlay_file_open(path, mode, &file);

	if (rc < 0)
		return rc;
	rc = overlay_open_file(file, id, base, flags, out);
	if (rc < 0)
		file->ops->close(file);
	return rc;
}

int
overlay_create_file(
    struct overlay_file *file, const struct overlay_id *id, uint64_t base_size)
{
	struct overlay_header h = {.base_size = base_size, .id = *id};
	struct overlay_log log;
	int rc;

	if (base_size > OVERLAY_SIZE_MAX)
		return -EFBIG;
	rc = overlay_log_create(&log, file, &h);
	if (rc == 0)
		rc = file->ops->sync(file);
	overlay_log_release(&log);
	return rc;
}

int
overlay_create(
    const char *path, const struct overlay_id *id, uint64_t base_size)
{
	struct overlay_file *file;
	int rc = overlay_file_new(path, &file);

	if (rc < 0)
		return rc;
	rc = overlay_create_file(file, id, base_size);
	if (rc == 0)
		rc = file->ops->replace(file, NULL);
	if (rc < 0)
		file->ops->discard(file);
	else
		file->ops->close(file);
	return rc > 0 ? -EIO : rc;
}

int
overlay_read_id(const char *path, struct overlay_id *id)
{
	struct overlay_file *file;
	struct overlay_header h;
	int rc = overlay_file_open(path, O_RDONLY, &file);

	if (rc < 0)
		return rc;
	rc = overlay_header_read(file, &h);
	if (rc == 0)
		*id = h.id;
	file->ops->close(file);
	return rc;
}

int
overlay_is_edited(const char *path)
{
	scoped(blkdev_closep) struct blkdev *dev = NULL, *base = NULL;
	struct overlay_file *file;
	struct overlay_header h;
	struct overlay_info info;
	int rc = overlay_file_open(path, O_RDONLY, &file);

	if (rc < 0)
		return rc;
	rc = overlay_header_read(file, &h);
	if (rc == 0)
		rc = blkdev_sparse_open(h.base_size, &base);
	if (rc == 0)
		rc = overlay_open_file(
		    file, &h.id, base, OVERLAY_READ_ONLY, &dev);
	if (rc < 0) {
		file->ops->close(file);
		return rc;
	}
	base = NULL;
	overlay_info(dev, &info);
	return info.transactions > 0;
}

/* Whether the next flush would leave this note anyway. */
static bool
has_note(const struct overlay *o, const void *note, size_t len)
{
	const void *now = o->has_new_note ? o->new_note : o->state.note;
	size_t n = o->has_new_note ? o->new_note_len : o->state.note_len;

	return n == len && (n == 0 || memcmp(now, note, n) == 0);
}

int
overlay_set_note(struct blkdev *dev, const void *note, size_t len)
{
	struct overlay *o = overlay_of(dev);
	void *copy;

	if (len > OVERLAY_NOTE_MAX)
		return -EFBIG;
	if (!dev->writable)
		return -EROFS;
	copy = malloc(len + 1);
	if (copy == NULL)
		return -ENOMEM;
	if (len > 0)
		memcpy(copy, note, len);
	pthread_mutex_lock(&o->writing);
	if (!has_note(o, copy, len)) {
		free(o->new_note);
		o->new_note = copy;
		o->new_note_len = len;
		o->has_new_note = true;
		copy = NULL;
	}
	pthread_mutex_unlock(&o->writing);
	free(copy);
	return 0;
}

const void *
overlay_note(struct blkdev *dev, size_t *len)
{
	struct overlay *o = overlay_of(dev);

	*len = o->state.note_len;
	return o->state.note;
}

void
overlay_info(struct blkdev *dev, struct overlay_info *out)
{
	struct overlay *o = overlay_of(dev);
	const struct overlay_map *map = &o->state.map;

	pthread_mutex_lock(&o->writing);
	*out = (struct overlay_info){
	    .file_bytes = o->log.end,
	    .live_bytes = o->log.end - overlay_garbage(o),
	    .changed_bytes = map->data * OVERLAY_BLOCK,
	    .trimmed_bytes = map->trimmed * OVERLAY_BLOCK,
	    .extents = map->extents,
	    .transactions = o->log.seq,
	};
	pthread_mutex_unlock(&o->writing);
}

void
overlay_set_limit(struct blkdev *dev, uint64_t most)
{
	struct overlay *o = overlay_of(dev);

	pthread_mutex_lock(&o->writing);
	o->log.limit = most;
	pthread_mutex_unlock(&o->writing);
}

int
overlay_compact(struct blkdev *dev)
{
	struct overlay *o = overlay_of(dev);
	int rc;

	if (!dev->writable)
		return o->is_read_only ? -EROFS : -EIO;
	pthread_mutex_lock(&o->writing);
	rc = overlay_flush_locked(o);
	if (rc == 0)
		rc = overlay_rewrite(o);
	pthread_mutex_unlock(&o->writing);
	return rc;
}

/* Leave an index; not being able to costs the next open time, no more. */
static int
leave_index(struct overlay *o)
{
	int rc;

	if (o->is_indexed)
		return 0;
	rc = overlay_log_index(
	    &o->log, &o->state.map, o->state.size, o->state.note_off);
	o->is_indexed = rc == 0;
	if (!o->log.is_broken)
		return 0;
	o->dev.writable = false;
	return -EIO;
}

int
overlay_finish(struct blkdev *dev)
{
	struct overlay *o = overlay_of(dev);
	uint64_t garbage;
	int rc;

	if (o->is_read_only)
		return 0;
	pthread_mutex_lock(&o->writing);
	rc = overlay_flush_locked(o);
	garbage = overlay_garbage(o);
	/* A compaction that fails leaves the old file, which is as good. */
	if (rc == 0 && garbage > o->log.end - garbage &&
	    overlay_rewrite(o) < 0 && o->log.is_broken)
		rc = -EIO;
	if (rc == 0)
		rc = leave_index(o);
	pthread_mutex_unlock(&o->writing);
	return rc;
}
