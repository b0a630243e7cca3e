/* A host file or block device. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blkdev.h"
#include "compat.h"

struct file {
	struct blkdev dev;
	int fd;
};

static int
file_read(struct blkdev *dev, uint64_t off, void *buf, size_t len)
{
	int fd = ((struct file *)dev)->fd;
	char *p = buf;

	while (len > 0) {
		ssize_t n = pread(fd, p, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO; /* the file shrank under us */
		p += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

static int
file_write(struct blkdev *dev, uint64_t off, const void *buf, size_t len)
{
	int fd = ((struct file *)dev)->fd;
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

	f = rc == 0 ? malloc(sizeof(*f)) : NULL;
	if (f == NULL) {
		close(fd);
		return rc < 0 ? rc : -ENOMEM;
	}
	*f = (struct file){{&file_ops, size, writable, 0}, fd};
	*out = &f->dev;
	return 0;
}

int
blkdev_file_open(const char *path, struct blkdev **out)
{
	/* Non-blocking, so that a fifo is refused instead of waited for. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	return fd < 0 ? -errno : blkdev_file_adopt(fd, false, out);
}
