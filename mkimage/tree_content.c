/*
 * Bytes of files: found when the tree is read, fetched when the image is
 * written.  Files of the host are opened component by component, so that no
 * symbolic link is followed that was put there meanwhile (a folder once for
 * all files that are read one after the other), and must be when they are
 * opened, and still when they are closed, what they were at first.
 */
#include <fcntl.h>
#include <libgen.h>
#include <string.h>

#include "../imgfmt/blkdev.h"
#include "../imgfmt/compat.h"
#include "../imgfmt/log.h"
#include "tree.h"

int
tree_open_base(struct tree *t, const char *path, const struct tree_base **out)
{
	struct tree_base *base = calloc(1, sizeof(*base));
	int rc = 0;

	if (base == NULL)
		return -ENOMEM;
	/* "/" and names below it make one path when joined with a slash */
	base->path = strdup(strcmp(path, "/") == 0 ? "" : path);
	base->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (base->fd < 0)
		rc = -errno;
	else if (base->path == NULL)
		rc = -ENOMEM;
	if (rc < 0) {
		log_error("cannot open '%s': %s", path, strerror(-rc));
		fdclosep(&base->fd);
		free(base->path);
		free(base);
		return rc;
	}
	base->next = t->bases;
	t->bases = base;
	*out = base;
	return 0;
}

/* -- what data a host's file has ------------------------------------------- */

/* The data between holes; a file system that cannot tell has none. */
static int
map_holes(struct tree_node *node, int fd)
{
	off_t end = (off_t)node->size, at = 0;

	while (at < end) {
		off_t data = lseek(fd, at, SEEK_DATA), hole;
		int rc;

		if (data < 0 && errno == ENXIO)
			return 0; /* a hole to the end */
		hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);
		if (hole <= data || data < at) {
			data = at;
			hole = end;
		}
		if (hole > end)
			hole = end;
		rc = data >= end ? 0
				 : tree_add_run(node, (uint64_t)data,
				       (uint64_t)(hole - data), (uint64_t)data);
		if (rc < 0)
			return rc;
		at = hole;
	}
	return 0;
}

int
tree_host_content(struct tree_node *node, const struct tree_base *base,
    const char *path, const struct stat *st, int fd)
{
	struct content *c = &node->content;

	tree_drop_content(node);
	node->size = (uint64_t)st->st_size;
	c->kind = CONTENT_HOST;
	c->base = base;
	c->path = strdup(path);
	c->dev = st->st_dev;
	c->ino = st->st_ino;
	c->mtime = st->st_mtim;
	if (c->path == NULL)
		return -ENOMEM;
	if (fd >= 0)
		return map_holes(node, fd);
	return node->size > 0 ? tree_add_run(node, 0, node->size, 0) : 0;
}

/* The root directory, as a base. */
static int
root_base(struct tree *t, const struct tree_base **out)
{
	for (const struct tree_base *b = t->bases; b != NULL; b = b->next)
		if (b->path[0] == '\0') {
			*out = b;
			return 0;
		}
	return tree_open_base(t, "/", out);
}

static int
file_content(struct tree *t, struct tree_node *node, const char *path)
{
	const struct tree_base *base;
	scoped(freep) char *real = realpath(path, NULL);
	scoped(fdclosep) int fd = -1;
	struct stat st;
	int rc;

	if (real == NULL)
		return -errno;
	fd = open(real, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	rc = root_base(t, &base);
	if (rc == 0)
		rc = tree_host_content(node, base, real + 1, &st, fd);
	if (rc == 0)
		node->mtime = st.st_mtim;
	return rc;
}

int
tree_file_content(struct tree *t, struct tree_node *node, const char *path)
{
	int rc = file_content(t, node, path);

	if (rc < 0)
		log_error("cannot read '%s': %s", path,
		    rc == -EINVAL ? "it is not a regular file" : strerror(-rc));
	return rc;
}

/* -- scratch file ---------------------------------------------------------- */

/* A nameless file in the directory of t->beside. */
static int
open_scratch(const char *beside)
{
	scoped(freep) char *copy = strdup(beside);
	scoped(freep) char *name = NULL;
	const char *dir = copy != NULL ? dirname(copy) : NULL;
	int fd;

	if (dir == NULL || asprintf(&name, "%s/.relive.XXXXXX", dir) < 0) {
		name = NULL;
		return -ENOMEM;
	}
	fd = compat_nameless_file(dir);
	if (fd >= 0)
		return fd;
	fd = mkostemp(name, O_CLOEXEC);
	if (fd < 0) {
		int rc = -errno;

		log_error("cannot make a scratch file in '%s': %s", dir,
		    strerror(-rc));
		return rc;
	}
	(void)unlink(name);
	return fd;
}

int
tree_scratch(const struct tree *t, struct blkdev **out)
{
	int fd = open_scratch(t->beside != NULL ? t->beside : ".");

	return fd < 0 ? fd : blkdev_file_adopt(fd, true, out);
}

struct tree *
tree_spooler(struct tree *t)
{
	while (t->whole != NULL)
		t = t->whole;
	return t;
}

int
tree_spool(struct tree *t, const void *buf, size_t len, uint64_t *at)
{
	const char *from = buf;

	t = tree_spooler(t);
	if (t->spool < 0) {
		int fd = open_scratch(t->beside != NULL ? t->beside : ".");

		if (fd < 0)
			return fd;
		t->spool = fd;
	}
	*at = t->spool_size;
	while (len > 0) {
		ssize_t n = pwrite(t->spool, from, len, (off_t)t->spool_size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			int rc = -errno;

			log_error("cannot write the scratch file beside '%s': "
				  "%s",
			    t->beside, strerror(-rc));
			return rc;
		}
		from += n;
		len -= (size_t)n;
		t->spool_size += (uint64_t)n;
	}
	return 0;
}

/* -- reading --------------------------------------------------------------- */

void
tree_reader_init(struct tree_reader *r, const struct tree *t)
{
	*r = (struct tree_reader){.tree = t, .folder.fd = -1};
	for (int i = 0; i < READER_FILES; i++)
		r->file[i].fd = -1;
}

static int
changed(const struct content *c)
{
	log_error("'%s/%s' has changed while the image was being made",
	    c->base->path, c->path);
	return -ESTALE;
}

/* Whether fd is the file that the tree was made from, unchanged. */
static int
is_same(const struct tree_node *node, int fd)
{
	const struct content *c = &node->content;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_dev != c->dev ||
	    st.st_ino != c->ino || (uint64_t)st.st_size != node->size ||
	    st.st_mtim.tv_sec != c->mtime.tv_sec ||
	    st.st_mtim.tv_nsec != c->mtime.tv_nsec)
		return changed(c);
	return 0;
}

/* Open the directory path below dirfd without following anything. */
static int
open_folder(int dirfd, const char *path)
{
	scoped(freep) char *copy = strdup(path);
	int dir = dirfd;

	if (copy == NULL)
		return -ENOMEM;
	for (char *name = copy, *end; name != NULL; name = end) {
		int next, rc;

		end = strchr(name, '/');
		if (end != NULL)
			*end++ = '\0';
		next = openat(
		    dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		rc = -errno;
		if (dir != dirfd)
			(void)close(dir);
		if (next < 0)
			return rc;
		dir = next;
	}
	return dir;
}

static void
leave_folder(struct tree_folder *f)
{
	fdclosep(&f->fd);
	free(f->path);
	*f = (struct tree_folder){.fd = -1};
}

/* The folder of file c, len bytes of its path; or -errno. */
static int
folder_of(struct tree_folder *f, const struct content *c, size_t len)
{
	int fd;

	if (len == 0)
		return c->base->fd;
	if (f->fd >= 0 && f->base == c->base && f->len == len &&
	    memcmp(f->path, c->path, len) == 0)
		return f->fd;
	leave_folder(f);
	f->base = c->base;
	f->len = len;
	f->path = strndup(c->path, len);
	fd = f->path == NULL ? -ENOMEM : open_folder(c->base->fd, f->path);
	if (fd >= 0)
		f->fd = fd;
	return fd;
}

/* Open file c without following anything. */
static int
open_content(struct tree_folder *f, const struct content *c)
{
	const char *slash = strrchr(c->path, '/');
	size_t len = slash != NULL ? (size_t)(slash - c->path) : 0;
	int dir = folder_of(f, c, len), fd;

	if (dir < 0)
		return dir;
	fd = openat(dir, slash != NULL ? slash + 1 : c->path,
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Close a file, which must not have changed. */
static int
close_file(struct tree_open *f)
{
	int rc = 0;

	if (f->fd >= 0) {
		rc = is_same(f->node, f->fd);
		(void)close(f->fd);
	}
	f->fd = -1;
	f->node = NULL;
	return rc;
}

static int
open_host(
    struct tree_reader *r, struct tree_open *f, const struct tree_node *node)
{
	const struct content *c = &node->content;
	int fd = open_content(&r->folder, c);

	if (fd == -ENOENT || fd == -ELOOP || fd == -ENOTDIR)
		return changed(c);
	if (fd < 0) {
		log_error("cannot read '%s/%s': %s", c->base->path, c->path,
		    strerror(-fd));
		return fd;
	}
	f->fd = fd;
	f->node = node;
	return is_same(node, fd);
}

/* The open file of node; -errno. */
static int
file_of(struct tree_reader *r, const struct tree_node *node)
{
	struct tree_open *oldest = &r->file[0];
	int rc;

	for (int i = 0; i < READER_FILES; i++) {
		struct tree_open *f = &r->file[i];

		if (f->node == node) {
			f->used = ++r->clock;
			return f->fd;
		}
		if (f->used < oldest->used)
			oldest = f;
	}
	rc = close_file(oldest);
	if (rc == 0)
		rc = open_host(r, oldest, node);
	oldest->used = ++r->clock;
	return rc < 0 ? rc : oldest->fd;
}

/* len bytes at off of a descriptor; the file must have that many. */
static int
read_at(int fd, uint64_t off, uint8_t *to, size_t len)
{
	while (len > 0) {
		ssize_t n = pread(fd, to, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ESTALE;
		to += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

static int
spool_of(const struct tree *t)
{
	while (t->whole != NULL)
		t = t->whole;
	return t->spool;
}

/* len bytes at byte at of where node's data lies. */
static int
fetch(struct tree_reader *r, const struct tree_node *node, uint64_t at,
    uint8_t *to, size_t len)
{
	const struct content *c = &node->content;
	int fd, rc;

	if (c->kind == CONTENT_TEXT) {
		memcpy(to, c->text + at, len);
		return 0;
	}
	if (c->kind == CONTENT_VIEW)
		return blkdev_read(c->device, at, to, len);
	fd = c->kind == CONTENT_SPOOL ? spool_of(r->tree) : file_of(r, node);
	if (fd < 0)
		return fd;
	rc = read_at(fd, at, to, len);
	if (rc == -ESTALE && c->kind == CONTENT_HOST)
		return changed(c);
	if (rc < 0 && c->kind == CONTENT_HOST)
		log_error("cannot read '%s/%s': %s", c->base->path, c->path,
		    strerror(-rc));
	else if (rc < 0)
		log_error("cannot read the scratch file: %s", strerror(-rc));
	return rc;
}

size_t
tree_run_at(const struct content *c, uint64_t off)
{
	size_t lo = 0, hi = c->nruns;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (c->runs[mid].off + c->runs[mid].len <= off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

int
tree_read(struct tree_reader *r, const struct tree_node *node, uint64_t off,
    void *buf, size_t len)
{
	const struct content *c = &node->content;
	uint64_t end = off + len;
	uint8_t *to = buf;
	int rc = 0;

	memset(buf, 0, len);
	for (size_t i = tree_run_at(c, off); i < c->nruns && rc == 0; i++) {
		const struct tree_run *run = &c->runs[i];
		uint64_t from = run->off > off ? run->off : off;
		uint64_t stop = run->off + run->len;

		if (from >= end)
			break;
		if (stop > end)
			stop = end;
		rc = fetch(r, node, run->at + (from - run->off),
		    to + (from - off), (size_t)(stop - from));
	}
	return rc;
}

int
tree_reader_finish(struct tree_reader *r)
{
	int first = 0;

	for (int i = 0; i < READER_FILES; i++) {
		int rc = close_file(&r->file[i]);

		if (first == 0)
			first = rc;
	}
	leave_folder(&r->folder);
	return first;
}

void
tree_reader_release(struct tree_reader *r)
{
	for (int i = 0; i < READER_FILES; i++) {
		fdclosep(&r->file[i].fd);
		r->file[i].fd = -1;
		r->file[i].node = NULL;
	}
	leave_folder(&r->folder);
}
