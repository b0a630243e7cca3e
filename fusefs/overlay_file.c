/* The host file of an overlay, and how another one takes its place. */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../imgfmt/log.h"
#include "overlay_impl.h"

struct host_file {
	struct overlay_file file;
	int fd, dir;      /* dir: where its name is; opened before any mount */
	char *path;       /* for messages */
	const char *base; /* its last component */
	char *temp;       /* the name until it takes its place */
	atomic_bool said; /* that it cannot be read */
};

/* Reading failed: say so, once for each file. */
static int
unreadable(struct host_file *f, uint64_t off, int rc)
{
	if (!atomic_exchange(&f->said, true))
		log_error("'%s' cannot be read at byte %llu: %s", f->file.name,
		    (unsigned long long)off, strerror(-rc));
	return rc;
}

static int
host_read(struct overlay_file *file, uint64_t off, void *buf, size_t len)
{
	struct host_file *f = (struct host_file *)file;
	char *p = buf;

	while (len > 0) {
		ssize_t n = pread(f->fd, p, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? unreadable(f, off, -errno) : -EIO;
		p += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

static int
host_write(struct overlay_file *file, uint64_t off, const void *buf, size_t len)
{
	struct host_file *f = (struct host_file *)file;
	const char *p = buf;

	while (len > 0) {
		ssize_t n = pwrite(f->fd, p, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) /* the caller's quota is a full disk to it */
			return errno == EDQUOT || errno == EFBIG ? -ENOSPC
								 : -errno;
		if (n == 0)
			return -ENOSPC;
		p += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

static int
host_cut(struct overlay_file *file, uint64_t size)
{
	struct host_file *f = (struct host_file *)file;

	return ftruncate(f->fd, (off_t)size) < 0 ? -errno : 0;
}

static int
host_sync(struct overlay_file *file)
{
	return fdatasync(((struct host_file *)file)->fd) < 0 ? -errno : 0;
}

static int
host_size(struct overlay_file *file, uint64_t *size)
{
	struct stat st;

	if (fstat(((struct host_file *)file)->fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	*size = (uint64_t)st.st_size;
	return 0;
}

static int
host_is_removed(struct overlay_file *file)
{
	struct host_file *f = (struct host_file *)file;
	struct stat st;

	if (fstat(f->fd, &st) < 0)
		return -errno;
	if (st.st_nlink > 0)
		return 0;
	if (fstatat(f->dir, f->base, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 1;
	log_error("'%s' was replaced by another file", file->name);
	return -EIO;
}

static void
host_close(struct overlay_file *file)
{
	struct host_file *f = (struct host_file *)file;

	if (f->fd >= 0)
		close(f->fd);
	if (f->dir >= 0)
		close(f->dir);
	free(f->path);
	free(f->temp);
	free(f);
}

static void
host_discard(struct overlay_file *file)
{
	struct host_file *f = (struct host_file *)file;

	(void)unlinkat(f->dir, f->temp, 0);
	host_close(file);
}

static int
host_replace(struct overlay_file *file, struct overlay_file *old)
{
	struct host_file *f = (struct host_file *)file;

	(void)old; /* the same directory and name, by creation */
	if (renameat(f->dir, f->temp, f->dir, f->base) < 0)
		return -errno;
	/* Some filesystems cannot sync a directory, and need not. */
	return fsync(f->dir) < 0 && errno != EINVAL ? 1 : 0;
}

static int host_create(struct overlay_file *file, struct overlay_file **out);

static const struct overlay_file_ops host_ops = {
    .read = host_read,
    .write = host_write,
    .cut = host_cut,
    .sync = host_sync,
    .size = host_size,
    .is_removed = host_is_removed,
    .create = host_create,
    .replace = host_replace,
    .discard = host_discard,
    .close = host_close,
};

/* Where the last component of path begins. */
static const char *
base_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

/* A file object for path, with nothing opened. */
static struct host_file *
host_alloc(const char *path)
{
	struct host_file *f = calloc(1, sizeof(*f));
	size_t room = strlen(path) + sizeof("..new");

	if (f == NULL)
		return NULL;
	f->file.ops = &host_ops;
	f->fd = f->dir = -1;
	f->path = strdup(path);
	f->temp = malloc(room);
	if (f->path == NULL || f->temp == NULL) {
		host_close(&f->file);
		return NULL;
	}
	f->base = base_of(f->path);
	f->file.name = f->path;
	snprintf(f->temp, room, ".%s.new", f->base);
	return f;
}

static int
open_dir(const char *path)
{
	scoped(freep) char *dir = strdup(path);
	int fd;

	if (dir == NULL)
		return -ENOMEM;
	dir[base_of(dir) - dir] = '\0';
	fd = open(*dir != '\0' ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int
overlay_file_open(const char *path, int flags, struct overlay_file **out)
{
	struct host_file *f = host_alloc(path);
	int rc;

	if (f == NULL)
		return -ENOMEM;
	f->dir = open_dir(path);
	if (f->dir >= 0)
		f->fd = openat(f->dir, f->base,
		    flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	rc = f->dir < 0 ? f->dir : f->fd < 0 ? -errno : 0;
	if (rc < 0) {
		host_close(&f->file);
		return rc;
	}
	/* A writer clears away what a crashed compaction left. */
	if ((flags & O_ACCMODE) == O_RDWR)
		(void)unlinkat(f->dir, f->temp, 0);
	*out = &f->file;
	return 0;
}

/* The temporary file beside it; what a crash left of one is replaced. */
static int
open_temp(const struct host_file *f)
{
	int fd;

	if (unlinkat(f->dir, f->temp, 0) < 0 && errno != ENOENT)
		return -errno;
	fd = openat(
	    f->dir, f->temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : fd;
}

static int
host_create(struct overlay_file *file, struct overlay_file **out)
{
	struct host_file *old = (struct host_file *)file;
	struct host_file *f = host_alloc(old->path);
	int rc = 0;

	if (f == NULL)
		return -ENOMEM;
	f->dir = fcntl(old->dir, F_DUPFD_CLOEXEC, 0);
	if (f->dir < 0)
		rc = -errno;
	else
		rc = f->fd = open_temp(f);
	if (rc < 0) {
		host_close(&f->file);
		return rc;
	}
	*out = &f->file;
	return 0;
}

int
overlay_file_new(const char *path, struct overlay_file **out)
{
	struct host_file *f = host_alloc(path);
	struct stat st;
	int rc;

	if (f == NULL)
		return -ENOMEM;
	rc = f->dir = open_dir(path);
	if (rc >= 0 && fstatat(f->dir, f->base, &st, AT_SYMLINK_NOFOLLOW) == 0)
		rc = -EEXIST;
	if (rc >= 0)
		rc = f->fd = open_temp(f);
	if (rc < 0) {
		host_close(&f->file);
		return rc;
	}
	*out = &f->file;
	return 0;
}
