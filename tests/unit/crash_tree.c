#include "crash_tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../imgfmt/crc32c.h"

enum {
	S_DIR = 0040000,
	S_REG = 0100000,
	DATA_MAX = 256 << 10,
};

/* What an operation writes: never 0, and another byte at every place. */
static void
pattern(const struct tree_op *op, uint64_t off, uint8_t *buf, uint64_t len)
{
	for (uint64_t i = 0; i < len; i++)
		buf[i] = (uint8_t)(1 +
		    ((off + i) * 31 + (off + i) / 251 + op->len) % 255);
}

/* -- the model --------------------------------------------------------------
 */

static void
give_name(struct tree *t, const char *path, int file)
{
	snprintf(t->name[t->nnames].path, TREE_PATH, "%s", path);
	t->name[t->nnames++].file = file;
	t->file[file].names++;
}

static int
new_file(struct tree *t, const char *path, bool is_dir)
{
	t->file[t->nfiles] = (struct tree_file){.is_dir = is_dir};
	give_name(t, path, t->nfiles++);
	return 0;
}

void
tree_begin(struct tree *t)
{
	memset(t, 0, sizeof(*t));
	(void)new_file(t, "", true);
}

void
tree_copy(const struct tree *from, struct tree *to)
{
	*to = *from;
	for (int i = 0; i < to->nfiles; i++) {
		to->file[i].data = malloc(from->file[i].size + 1);
		if (from->file[i].size > 0)
			memcpy(to->file[i].data, from->file[i].data,
			    from->file[i].size);
	}
}

void
tree_end(struct tree *t)
{
	for (int i = 0; i < t->nfiles; i++)
		free(t->file[i].data);
}

/* Index of a name, or -1. */
static int
find(const struct tree *t, const char *path, size_t len)
{
	for (int i = 0; i < t->nnames; i++)
		if (strlen(t->name[i].path) == len &&
		    memcmp(t->name[i].path, path, len) == 0)
			return i;
	return -1;
}

static struct tree_file *
file_at(struct tree *t, int name)
{
	return &t->file[t->name[name].file];
}

static bool
is_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return strncmp(path, dir, len) == 0 && path[len] == '/';
}

static bool
is_empty(const struct tree *t, const char *dir)
{
	for (int i = 0; i < t->nnames; i++)
		if (is_below(t->name[i].path, dir))
			return false;
	return true;
}

static void
take_name(struct tree *t, int name)
{
	file_at(t, name)->names--;
	t->name[name] = t->name[--t->nnames];
}

static void
set_size(struct tree_file *f, uint64_t size)
{
	f->data = realloc(f->data, size + 1);
	if (size > f->size)
		memset(f->data + f->size, 0, size - f->size);
	f->size = size;
}

/* Whether a new name may be made there: 0 or -errno. */
static int
may_appear(struct tree *t, const char *path)
{
	int dir = find(t, path, (size_t)(strrchr(path, '/') - path));

	if (dir < 0)
		return -ENOENT;
	if (!file_at(t, dir)->is_dir)
		return -ENOTDIR;
	return find(t, path, strlen(path)) >= 0 ? -EEXIST : 0;
}

static int
expect_rename(struct tree *t, int from, const struct tree_op *op)
{
	bool is_dir = file_at(t, from)->is_dir;
	int file = t->name[from].file, to, rc = may_appear(t, op->b);

	if (rc < 0 && rc != -EEXIST)
		return rc;
	to = find(t, op->b, strlen(op->b));
	if (to >= 0 && t->name[to].file == file)
		return 0;
	if (to >= 0 && is_dir && !is_empty(t, op->b))
		return -ENOTEMPTY;
	take_name(t, from);
	if (to >= 0)
		take_name(t, find(t, op->b, strlen(op->b)));
	for (int i = 0; is_dir && i < t->nnames; i++) {
		char moved[2 * TREE_PATH];

		if (!is_below(t->name[i].path, op->a))
			continue;
		snprintf(moved, sizeof(moved), "%s%s", op->b,
		    t->name[i].path + strlen(op->a));
		memcpy(t->name[i].path, moved, TREE_PATH);
	}
	give_name(t, op->b, file);
	return 0;
}

static int
expect_data(struct tree_file *f, const struct tree_op *op)
{
	uint64_t off = op->verb == TREE_APPEND ? f->size : op->off;
	uint64_t end = off + op->len;

	switch (op->verb) {
	case TREE_TRUNCATE:
		set_size(f, op->off);
		return 0;
	case TREE_PUNCH:
		end = end < f->size ? end : f->size;
		if (off < end)
			memset(f->data + off, 0, end - off);
		return 0;
	default:
		if (end > f->size)
			set_size(f, end);
		pattern(op, off, f->data + off, op->len);
		return 0;
	}
}

int
tree_expect(struct tree *t, const struct tree_op *op)
{
	int a = find(t, op->a, strlen(op->a)), rc;

	if (op->verb == TREE_CREATE || op->verb == TREE_MKDIR) {
		rc = may_appear(t, op->a);
		return rc < 0 ? rc : new_file(t, op->a, op->verb == TREE_MKDIR);
	}
	if (a < 0)
		return -ENOENT;
	switch (op->verb) {
	case TREE_RENAME:
		return expect_rename(t, a, op);
	case TREE_LINK:
		rc = may_appear(t, op->b);
		if (rc == 0)
			give_name(t, op->b, t->name[a].file);
		return rc;
	case TREE_RMDIR:
	case TREE_UNLINK:
	case TREE_UNLINK_OPEN:
		if (!is_empty(t, op->a))
			return -ENOTEMPTY;
		take_name(t, a);
		return 0;
	default:
		return expect_data(file_at(t, a), op);
	}
}

/* -- the file system ---------------------------------------------------------
 */

/* The directory that path lies in, and its last component. */
static int
walk(struct ufs *fs, const char *path, struct ufs_name *out)
{
	out->dir = UFS_ROOT;
	for (;;) {
		struct ufs_attr attr;
		const char *end;
		int rc;

		path += *path == '/';
		end = strchr(path, '/');
		out->name = path;
		out->len = strlen(path);
		if (end == NULL)
			return 0;
		rc =
		    ufs_lookup(fs, out->dir, path, (size_t)(end - path), &attr);
		if (rc < 0)
			return rc;
		out->dir = attr.ino;
		path = end;
	}
}

static int
do_create(struct ufs *fs, const struct ufs_name *at, uint32_t mode)
{
	const struct ufs_new what = {.mode = mode, .uid = 1, .gid = 2};
	struct ufs_attr attr;

	return ufs_create(fs, at->dir, at->name, at->len, &what, &attr);
}

static int
do_data(struct ufs *fs, const struct ufs_attr *attr, const struct tree_op *op)
{
	static uint8_t buf[DATA_MAX];
	struct ufs_attr set = {.size = op->off};
	uint64_t off = op->verb == TREE_APPEND ? attr->size : op->off;
	int64_t n;

	if (op->verb == TREE_TRUNCATE)
		return ufs_setattr(fs, attr->ino, UFS_SET_SIZE, &set, &set);
	if (op->verb == TREE_PUNCH)
		return ufs_allocate(fs, attr->ino, UFS_PUNCH, off, op->len);
	pattern(op, off, buf, op->len);
	n = ufs_write(fs, attr->ino, off, buf, op->len);
	return n == (int64_t)op->len ? 0 : n < 0 ? (int)n : -ENOSPC;
}

static int
do_two(struct ufs *fs, const struct ufs_name *a, uint64_t ino,
    const struct tree_op *op)
{
	struct ufs_attr attr;
	struct ufs_name b;
	int rc = walk(fs, op->b, &b);

	if (rc < 0)
		return rc;
	return op->verb == TREE_RENAME
	    ? ufs_rename(fs, a, &b, 0)
	    : ufs_link(fs, ino, b.dir, b.name, b.len, &attr);
}

static int
do_remove(
    struct ufs *fs, const struct ufs_name *a, uint64_t ino, enum tree_verb verb)
{
	int rc = verb == TREE_UNLINK_OPEN ? ufs_pin(fs, ino) : 0;

	return rc < 0
	    ? rc
	    : ufs_remove(fs, a->dir, a->name, a->len, verb == TREE_RMDIR);
}

int
tree_do(struct ufs *fs, const struct tree_op *op)
{
	struct ufs_attr attr;
	struct ufs_name a;
	int rc = walk(fs, op->a, &a);

	if (rc < 0)
		return rc;
	if (op->verb == TREE_CREATE || op->verb == TREE_MKDIR)
		return do_create(fs, &a,
		    op->verb == TREE_CREATE ? S_REG | 0644 : S_DIR | 0755);
	rc = ufs_lookup(fs, a.dir, a.name, a.len, &attr);
	if (rc < 0)
		return rc;
	switch (op->verb) {
	case TREE_RENAME:
	case TREE_LINK:
		return do_two(fs, &a, attr.ino, op);
	case TREE_UNLINK_OPEN:
	case TREE_UNLINK:
	case TREE_RMDIR:
		return do_remove(fs, &a, attr.ino, op->verb);
	default:
		return do_data(fs, &attr, op);
	}
}

/* -- listings ---------------------------------------------------------------
 */

static int
by_path(const void *a, const void *b)
{
	const struct tree_entry *x = a, *y = b;

	return strcmp(x->path, y->path);
}

static void
put_in_order(struct tree_listing *l)
{
	uint64_t first[TREE_NAMES];

	qsort(l->entry, l->n, sizeof(l->entry[0]), by_path);
	for (uint64_t i = 0; i < l->n; i++)
		for (first[i] = 0; l->entry[first[i]].id != l->entry[i].id;)
			first[i]++;
	for (uint64_t i = 0; i < l->n; i++)
		l->entry[i].id = first[i];
}

/* Directories: two, and one for each directory within. */
static uint32_t
dir_links(const struct tree *t, const char *dir)
{
	size_t len = strlen(dir);
	uint32_t n = 2;

	for (int i = 0; i < t->nnames; i++) {
		const char *path = t->name[i].path;

		n += t->file[t->name[i].file].is_dir && is_below(path, dir) &&
		    strchr(path + len + 1, '/') == NULL;
	}
	return n;
}

void
tree_list(const struct tree *t, struct tree_listing *out)
{
	memset(out, 0, sizeof(*out));
	for (int i = 0; i < t->nnames; i++) {
		const struct tree_file *f = &t->file[t->name[i].file];
		struct tree_entry *e = &out->entry[out->n++];

		strcpy(e->path, t->name[i].path);
		e->id = (uint64_t)t->name[i].file;
		e->is_dir = f->is_dir;
		e->nlink = f->is_dir ? dir_links(t, e->path) : f->names;
		e->size = f->size;
		e->crc = crc32c(0, f->data, f->size);
	}
	put_in_order(out);
}

struct lister {
	struct tree_listing *out;
	const struct tree_entry *dir;
};

static int
add_name(void *arg, const struct ufs_dirent *d)
{
	struct lister *l = arg;
	struct tree_entry *e = &l->out->entry[l->out->n];

	if (strcmp(d->name, ".") == 0 || strcmp(d->name, "..") == 0)
		return 0;
	if (l->out->n == TREE_NAMES ||
	    strlen(l->dir->path) + 1 + d->namelen >= TREE_PATH)
		return -ERANGE;
	strcat(strcat(strcpy(e->path, l->dir->path), "/"), d->name);
	e->id = d->ino;
	l->out->n++;
	return 0;
}

static int
list_file(struct ufs *fs, struct tree_entry *e)
{
	static uint8_t buf[DATA_MAX];
	int64_t n =
	    e->size > DATA_MAX ? -EFBIG : ufs_read(fs, e->id, 0, buf, e->size);

	if (n < 0)
		return (int)n;
	if ((uint64_t)n != e->size)
		return -EIO;
	e->crc = crc32c(0, buf, e->size);
	return 0;
}

static int
list_all(struct ufs *fs, struct tree_listing *out)
{
	memset(out, 0, sizeof(*out));
	out->n = 1;
	out->entry[0].id = UFS_ROOT;
	for (uint64_t i = 0; i < out->n; i++) {
		struct tree_entry *e = &out->entry[i];
		struct lister l = {out, e};
		struct ufs_attr attr;
		int rc = ufs_getattr(fs, e->id, &attr);

		if (rc < 0)
			return rc;
		e->is_dir = (attr.mode & 0170000) == S_DIR;
		e->nlink = attr.nlink;
		e->size = e->is_dir ? 0 : attr.size;
		rc = e->is_dir ? ufs_readdir(fs, e->id, 0, add_name, &l)
			       : list_file(fs, e);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int
tree_list_fs(struct ufs *fs, struct tree_listing *out)
{
	int rc = list_all(fs, out);

	if (rc < 0)
		memset(out, 0, sizeof(*out));
	put_in_order(out);
	return rc;
}

void
tree_print(const struct tree_listing *l)
{
	for (uint64_t i = 0; i < l->n; i++) {
		const struct tree_entry *e = &l->entry[i];

		printf("#   %s%s: %llu bytes, %u links, crc %08x, as %s\n",
		    e->path, e->is_dir ? "/" : "", (unsigned long long)e->size,
		    e->nlink, e->crc, l->entry[e->id].path);
	}
}
