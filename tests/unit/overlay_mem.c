#include "overlay_mem.h"

#include <stdlib.h>
#include <string.h>

enum {
	FILES = 64,
	SECTOR = 512,
};

struct content {
	uint8_t *data;
	size_t len, room;
};

struct memdisk {
	pthread_mutex_t lock; /* as the kernel has one */
	struct content file[FILES];
	int nfiles, current; /* current: has the name */
	struct memdisk_op *ops;
	size_t nops;
	unsigned fail_nth;
	int fail_error;
};

struct memfile {
	struct overlay_file file;
	struct memdisk *disk;
	int no;
};

struct memdisk *
memdisk_new(void)
{
	struct memdisk *d = calloc(1, sizeof(*d));

	pthread_mutex_init(&d->lock, NULL);
	return d;
}

static void
forget_ops(struct memdisk *d)
{
	for (size_t i = 0; i < d->nops; i++)
		free(d->ops[i].data);
	free(d->ops);
	d->ops = NULL;
	d->nops = 0;
}

void
memdisk_free(struct memdisk *d)
{
	if (d == NULL)
		return;
	for (int i = 0; i < d->nfiles; i++)
		free(d->file[i].data);
	forget_ops(d);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

static void
content_resize(struct content *c, size_t len)
{
	if (len > c->room) {
		c->room = len * 2 + 4096;
		c->data = realloc(c->data, c->room);
	}
	if (len > c->len)
		memset(c->data + c->len, 0, len - c->len);
	c->len = len;
}

static void
content_write(struct content *c, uint64_t off, const void *buf, size_t len)
{
	if (off + len > c->len)
		content_resize(c, (size_t)off + len);
	memcpy(c->data + off, buf, len);
}

static void
record(struct memdisk *d, struct memdisk_op op, const void *data)
{
	if ((d->nops & (d->nops + 1)) == 0) /* 0, 1, 3, 7... */
		d->ops = realloc(d->ops, (d->nops * 2 + 2) * sizeof(op));
	if (op.len > 0) {
		op.data = malloc(op.len);
		memcpy(op.data, data, op.len);
	}
	d->ops[d->nops++] = op;
}

/* Whether this operation is the one to fail. */
static int
failing(struct memdisk *d)
{
	if (d->fail_nth == 0 || --d->fail_nth > 0)
		return 0;
	return d->fail_error;
}

static int
mem_read(struct overlay_file *file, uint64_t off, void *buf, size_t len)
{
	struct memfile *f = (struct memfile *)file;
	struct content *c = &f->disk->file[f->no];
	int rc = -EIO;

	pthread_mutex_lock(&f->disk->lock);
	if (off <= c->len && len <= c->len - off) {
		memcpy(buf, c->data + off, len);
		rc = 0;
	}
	pthread_mutex_unlock(&f->disk->lock);
	return rc;
}

static int
mem_write(struct overlay_file *file, uint64_t off, const void *buf, size_t len)
{
	struct memfile *f = (struct memfile *)file;
	int rc = failing(f->disk);

	if (rc < 0)
		len /= 2;
	pthread_mutex_lock(&f->disk->lock);
	content_write(&f->disk->file[f->no], off, buf, len);
	pthread_mutex_unlock(&f->disk->lock);
	record(f->disk,
	    (struct memdisk_op){MEMDISK_WRITE, f->no, off, NULL, len}, buf);
	return rc;
}

static int
mem_cut(struct overlay_file *file, uint64_t size)
{
	struct memfile *f = (struct memfile *)file;
	int rc = failing(f->disk);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&f->disk->lock);
	content_resize(&f->disk->file[f->no], (size_t)size);
	pthread_mutex_unlock(&f->disk->lock);
	record(f->disk, (struct memdisk_op){MEMDISK_CUT, f->no, size, NULL, 0},
	    NULL);
	return 0;
}

static int
mem_sync(struct overlay_file *file)
{
	struct memfile *f = (struct memfile *)file;
	int rc = failing(f->disk);

	if (rc < 0)
		return rc;
	record(f->disk, (struct memdisk_op){MEMDISK_SYNC, f->no, 0, NULL, 0},
	    NULL);
	return 0;
}

static int
mem_size(struct overlay_file *file, uint64_t *size)
{
	struct memfile *f = (struct memfile *)file;

	*size = f->disk->file[f->no].len;
	return 0;
}

static int
mem_replace(struct overlay_file *file, struct overlay_file *old)
{
	struct memfile *f = (struct memfile *)file;
	int rc = failing(f->disk);

	(void)old;
	if (rc < 0)
		return rc;
	f->disk->current = f->no;
	record(f->disk, (struct memdisk_op){MEMDISK_REPLACE, f->no, 0, NULL, 0},
	    NULL);
	return 0;
}

static void
mem_close(struct overlay_file *file)
{
	free(file);
}

static int mem_create(struct overlay_file *file, struct overlay_file **out);

static const struct overlay_file_ops mem_ops = {
    .read = mem_read,
    .write = mem_write,
    .cut = mem_cut,
    .sync = mem_sync,
    .size = mem_size,
    .create = mem_create,
    .replace = mem_replace,
    .discard = mem_close,
    .close = mem_close,
};

static struct overlay_file *
handle(struct memdisk *d, int no)
{
	struct memfile *f = calloc(1, sizeof(*f));

	f->file.ops = &mem_ops;
	f->file.name = "memory";
	f->disk = d;
	f->no = no;
	return &f->file;
}

static int
mem_create(struct overlay_file *file, struct overlay_file **out)
{
	struct memdisk *d = ((struct memfile *)file)->disk;
	int rc = failing(d);

	if (rc < 0)
		return rc;
	if (d->nfiles == FILES)
		return -EMFILE;
	*out = handle(d, d->nfiles++);
	return 0;
}

int
memdisk_create(
    struct memdisk *d, const struct overlay_id *id, uint64_t base_size)
{
	struct overlay_file *f;
	int rc;

	d->current = d->nfiles++;
	f = handle(d, d->current);
	rc = overlay_create_file(f, id, base_size);
	mem_close(f);
	return rc;
}

int
memdisk_open(struct memdisk *d, const struct overlay_id *id,
    struct blkdev *base, unsigned flags, struct blkdev **out)
{
	struct overlay_file *f = handle(d, d->current);
	int rc = overlay_open_file(f, id, base, flags, out);

	if (rc < 0)
		mem_close(f);
	return rc;
}

void
memdisk_load(struct memdisk *d, const void *bytes, size_t len)
{
	forget_ops(d);
	for (int i = 0; i < d->nfiles; i++)
		d->file[i].len = 0;
	d->nfiles = 1;
	d->current = 0;
	content_write(&d->file[0], 0, bytes, len);
	record(d, (struct memdisk_op){MEMDISK_WRITE, 0, 0, NULL, len}, bytes);
	record(d, (struct memdisk_op){MEMDISK_SYNC, 0, 0, NULL, 0}, NULL);
}

uint8_t *
memdisk_data(struct memdisk *d, size_t *len)
{
	*len = d->file[d->current].len;
	return d->file[d->current].data;
}

void
memdisk_resize(struct memdisk *d, size_t len)
{
	content_resize(&d->file[d->current], len);
}

size_t
memdisk_ops(const struct memdisk *d)
{
	return d->nops;
}

const struct memdisk_op *
memdisk_op(const struct memdisk *d, size_t i)
{
	return &d->ops[i];
}

unsigned
memdisk_fail(struct memdisk *d, unsigned nth, int error)
{
	unsigned left = d->fail_nth;

	d->fail_nth = nth;
	d->fail_error = error;
	return left;
}

/* Apply some of a write's sectors; the file may have grown regardless. */
static void
apply_torn(struct content *c, const struct memdisk_op *op, unsigned *seed)
{
	unsigned mood = (unsigned)rand_r(seed) % 4;

	if (op->kind == MEMDISK_CUT) {
		if (mood < 2)
			content_resize(c, (size_t)op->off);
		return;
	}
	if (mood == 0)
		return;
	if (mood == 1 && op->off + op->len > c->len)
		content_resize(c, (size_t)op->off + op->len);
	for (size_t i = 0; i < op->len;) {
		size_t n = SECTOR - (size_t)((op->off + i) % SECTOR);

		if (n > op->len - i)
			n = op->len - i;
		if (mood == 3 || rand_r(seed) % 2)
			content_write(c, op->off + i, op->data + i, n);
		i += n;
	}
}

static void
apply_whole(struct content *c, const struct memdisk_op *op)
{
	if (op->kind == MEMDISK_CUT)
		content_resize(c, (size_t)op->off);
	else
		content_write(c, op->off, op->data, op->len);
}

/* Whether a sync of the same file follows op i within the first n. */
static bool
was_synced(const struct memdisk *d, size_t i, size_t n)
{
	for (size_t j = i + 1; j < n; j++)
		if (d->ops[j].kind == MEMDISK_SYNC &&
		    d->ops[j].file == d->ops[i].file)
			return true;
	return false;
}

struct memdisk *
memdisk_crash(const struct memdisk *d, size_t n, enum crash how, unsigned *seed)
{
	struct memdisk *after = memdisk_new();
	int first = n > 0 ? d->ops[0].file : 0;

	after->nfiles = d->nfiles;
	after->current = first;
	for (size_t i = 0; i < n; i++) {
		const struct memdisk_op *op = &d->ops[i];
		struct content *c = &after->file[op->file];

		if (op->kind == MEMDISK_REPLACE)
			after->current = op->file;
		else if (op->kind != MEMDISK_SYNC &&
		    (how == CRASH_ALL || was_synced(d, i, n)))
			apply_whole(c, op);
		else if (op->kind != MEMDISK_SYNC && how == CRASH_TORN)
			apply_torn(c, op, seed);
	}
	if (n < d->nops && d->ops[n].kind == MEMDISK_REPLACE &&
	    rand_r(seed) % 2)
		after->current = d->ops[n].file;
	/* What is there now is what the next power cut begins with. */
	record(after,
	    (struct memdisk_op){MEMDISK_WRITE, after->current, 0, NULL,
		after->file[after->current].len},
	    after->file[after->current].data);
	record(after,
	    (struct memdisk_op){MEMDISK_SYNC, after->current, 0, NULL, 0},
	    NULL);
	return after;
}
