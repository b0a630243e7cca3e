/* A host file or block device. */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blkdev.h"
#include "compat.h"
#include "log.h"

enum { EARLY = 8 << 20 };

struct file {
	struct blkdev dev;
	int fd;
	char *name; /* or NULL: who opened it says what fails */
	bool early; /* what is written goes on to the disk soon */
	uint64_t fresh, fresh_end; /* bytes written that were not told to */
	atomic_bool said;
};

/* Reading failed: say so, once for each file. */
static int
unreadable(struct file *f, uint64_t off, int rc, const char *why)
{
	if (f->name != NULL && !atomic_exchange(&f->said, true))
		log_error("'%s' cannot be read at byte %llu: %s", f->name,
		    (unsigned long long)off, why);
	return rc;
}

static int
file_read(struct blkdev *dev, uint64_t off, void *buf, size_t len)
{
	struct file *f = (struct file *)dev;
	int fd = f->fd;
	char *p = buf;

	while (len > 0) {
		ssize_t n = pread(fd, p, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return unreadable(f, off, -errno, strerror(errno));
		if (n == 0)
			return unreadable(
			    f, off, -EIO, "it has become shorter");
		p += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

/* In large pieces, each of them written in one go. */
static void
start_writing(struct file *f, uint64_t off, uint64_t len)
{
	if (off != f->fresh_end)
		f->fresh = off;
	f->fresh_end = off + len;
	if (f->fresh_end - f->fresh < EARLY)
		return;
	compat_start_writing(f->fd, f->fresh, f->fresh_end - f->fresh);
	f->fresh = f->fresh_end;
}

static int
write_all(int fd, uint64_t off, const void *buf, size_t len)
{
	const char *p = buf;

	while (len > 0) {
		ssize_t n = pwrite(fd, p, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		p += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

static int
file_write(struct blkdev *dev, uint64_t off, const void *buf, size_t len)
{
	struct file *f = (struct file *)dev;
	int rc = write_all(f->fd, off, buf, len);

	if (rc == 0 && f->early)
		start_writing(f, off, len);
	return rc;
}

static int
file_resize(struct blkdev *dev, uint64_t size)
{
	if (ftruncate(((struct file *)dev)->fd, (off_t)size) < 0)
		return -errno;
	dev->size = size;
	return 0;
}

static int
file_flush(struct blkdev *dev)
{
	return fdatasync(((struct file *)dev)->fd) < 0 ? -errno : 0;
}

static int
file_locate(struct blkdev *dev, uint64_t off, int *fd, uint64_t *file_off)
{
	*fd = ((struct file *)dev)->fd;
	*file_off = off;
	return 0;
}

static void
file_close(struct blkdev *dev)
{
	close(((struct file *)dev)->fd);
	free(((struct file *)dev)->name);
	free(dev);
}

static const struct blkdev_ops file_ops = {
    .read = file_read,
    .write = file_write,
    .resize = file_resize,
    .flush = file_flush,
    .locate = file_locate,
    .close = file_close,
};

static int
size_of(int fd, uint64_t *size)
{
	struct stat st;
	off_t end;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (S_ISREG(st.st_mode)) {
		*size = (uint64_t)st.st_size;
		return 0;
	}
	end = lseek(fd, 0, SEEK_END); /* block devices */
	if (end <= 0)
		return -EINVAL;
	*size = (uint64_t)end;
	return 0;
}

int
blkdev_file_adopt(int fd, bool writable, struct blkdev **out)
{
	struct file *f;
	uint64_t size = 0;
	int rc = size_of(fd, &size);

	f = rc == 0 ? calloc(1, sizeof(*f)) : NULL;
	if (f == NULL) {
		close(fd);
		return rc < 0 ? rc : -ENOMEM;
	}
	f->dev = (struct blkdev){&file_ops, size, writable, 0};
	f->fd = fd;
	*out = &f->dev;
	return 0;
}

int
blkdev_file_open(const char *path, struct blkdev **out)
{
	/* Non-blocking, so that a fifo is refused instead of waited for. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	int rc = fd < 0 ? -errno : blkdev_file_adopt(fd, false, out);

	if (rc == 0) /* without, it goes unnamed */
		((struct file *)*out)->name = strdup(path);
	return rc;
}

void
blkdev_file_write_early(struct blkdev *dev)
{
	((struct file *)dev)->early = true;
}
