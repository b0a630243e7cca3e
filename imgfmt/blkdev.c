/* The wrappers: one place checks ranges and rights for every layer. */
#include "blkdev.h"

#include <assert.h>
#include <string.h>

#include "bytes.h"
#include "compat.h"

enum {
	COPY_CHUNK = 1 << 20,
	COPY_LARGE = 8 << 20, /* worth a buffer */
	PAGE = 4096,
	SHARE_LEAST = 128 << 10, /* more than two units, worth asking */
	ZERO_CHUNK = 64 << 10,
	HOLE = 64 << 10,
};

static bool
in_range(const struct blkdev *dev, uint64_t off, uint64_t len)
{
	return off <= dev->size && len <= dev->size - off;
}

static int
read_how(struct blkdev *dev, uint64_t off, void *buf, size_t len, bool once)
{
	int rc;

	if (!in_range(dev, off, len))
		return -EINVAL;
	if (len == 0)
		return 0;
	rc = once && dev->ops->read_once != NULL
	    ? dev->ops->read_once(dev, off, buf, len)
	    : dev->ops->read(dev, off, buf, len);
	assert(rc <= 0);
	return rc;
}

int
blkdev_read(struct blkdev *dev, uint64_t off, void *buf, size_t len)
{
	return read_how(dev, off, buf, len, false);
}

int
blkdev_read_once(struct blkdev *dev, uint64_t off, void *buf, size_t len)
{
	return read_how(dev, off, buf, len, true);
}

static int
check_writable(const struct blkdev *dev, uint64_t off, uint64_t len)
{
	if (!dev->writable || dev->ops->write == NULL)
		return -EROFS;
	return in_range(dev, off, len) ? 0 : -EINVAL;
}

static int
write_how(
    struct blkdev *dev, uint64_t off, const void *buf, size_t len, bool once)
{
	int rc = check_writable(dev, off, len);

	if (rc < 0 || len == 0)
		return rc;
	rc = once && dev->ops->write_once != NULL
	    ? dev->ops->write_once(dev, off, buf, len)
	    : dev->ops->write(dev, off, buf, len);
	assert(rc <= 0);
	return rc;
}

int
blkdev_write(struct blkdev *dev, uint64_t off, const void *buf, size_t len)
{
	return write_how(dev, off, buf, len, false);
}

int
blkdev_write_once(struct blkdev *dev, uint64_t off, const void *buf, size_t len)
{
	return write_how(dev, off, buf, len, true);
}

int
blkdev_write_sparse(
    struct blkdev *dev, uint64_t off, const void *buf, size_t len)
{
	const uint8_t *p = buf;
	int rc = 0;

	for (size_t at = 0; at < len && rc == 0; at += HOLE) {
		size_t n = len - at < HOLE ? len - at : HOLE;

		if (!bytes_are_zero(p + at, n))
			rc = blkdev_write(dev, off + at, p + at, n);
	}
	return rc;
}

static int
write_zeroes(struct blkdev *dev, uint64_t off, uint64_t len)
{
	static const uint8_t zeroes[ZERO_CHUNK];
	int rc = 0;

	while (len > 0 && rc == 0) {
		size_t n = len < sizeof(zeroes) ? (size_t)len : sizeof(zeroes);

		rc = dev->ops->write(dev, off, zeroes, n);
		off += n;
		len -= n;
	}
	return rc;
}

int
blkdev_trim(struct blkdev *dev, uint64_t off, uint64_t len)
{
	int rc = check_writable(dev, off, len);

	if (rc < 0 || len == 0)
		return rc;
	if (dev->ops->trim == NULL)
		return write_zeroes(dev, off, len);
	rc = dev->ops->trim(dev, off, len);
	assert(rc <= 0);
	return rc;
}

int
blkdev_resize(struct blkdev *dev, uint64_t size)
{
	int rc;

	if (!dev->writable)
		return -EROFS;
	if (size == dev->size)
		return 0;
	if (dev->ops->resize == NULL)
		return -EOPNOTSUPP;
	rc = dev->ops->resize(dev, size);
	assert(rc <= 0);
	assert(rc < 0 || dev->size == size);
	return rc;
}

int
blkdev_flush(struct blkdev *dev)
{
	int rc;

	if (dev->ops->flush == NULL)
		return 0;
	rc = dev->ops->flush(dev);
	assert(rc <= 0);
	return rc;
}

int
blkdev_next_change(struct blkdev *dev, uint64_t off, struct blkdev_change *out)
{
	int rc;

	if (dev->ops->next_change == NULL || off >= dev->size)
		return 0;
	rc = dev->ops->next_change(dev, off, out);
	assert(rc <= 0 || (out->len > 0 && out->off >= off));
	return rc;
}

int
blkdev_locate(struct blkdev *dev, uint64_t off, int *fd, uint64_t *file_off)
{
	if (dev->ops->locate == NULL)
		return -EOPNOTSUPP;
	return dev->ops->locate(dev, off, fd, file_off);
}

/* Copy through memory, the way that always works. */
static int
copy_plain(struct blkdev *from, uint64_t from_off, struct blkdev *to,
    uint64_t to_off, uint64_t len)
{
	scoped(freep) void *buf = malloc(COPY_CHUNK);
	int rc = 0;

	if (buf == NULL)
		return -ENOMEM;
	while (len > 0 && rc == 0) {
		size_t most = COPY_CHUNK - to_off % PAGE;
		size_t n = len < most ? (size_t)len : most;

		rc = blkdev_read(from, from_off, buf, n);
		if (rc == 0)
			rc = blkdev_write(to, to_off, buf, n);
		from_off += n;
		to_off += n;
		len -= n;
	}
	return rc;
}

void
blkdev_sharing(
    struct blkdev *from, struct blkdev *to, struct blkdev_sharing *out)
{
	int src, dst;

	*out = (struct blkdev_sharing){0};
	if (blkdev_locate(from, 0, &src, &out->from) == 0 &&
	    blkdev_locate(to, 0, &dst, &out->to) == 0)
		out->unit = compat_clone_unit(src, dst);
}

static int
check_copy(struct blkdev *from, uint64_t from_off, struct blkdev *to,
    uint64_t to_off, uint64_t len)
{
	int rc = check_writable(to, to_off, len);

	return rc == 0 && !in_range(from, from_off, len) ? -EINVAL : rc;
}

int
blkdev_share(struct blkdev *from, uint64_t from_off, struct blkdev *to,
    uint64_t to_off, uint64_t len)
{
	uint64_t src_off, dst_off;
	int src, dst, rc = check_copy(from, from_off, to, to_off, len);

	if (rc < 0)
		return rc;
	if (blkdev_locate(from, from_off, &src, &src_off) < 0 ||
	    blkdev_locate(to, to_off, &dst, &dst_off) < 0)
		return -EOPNOTSUPP;
	return compat_clone_range(src, src_off, dst, dst_off, len);
}

bool
blkdev_copies_well(struct blkdev *from, struct blkdev *to)
{
	uint64_t off;
	int src, dst;

	return blkdev_locate(from, 0, &src, &off) == 0 &&
	    blkdev_locate(to, 0, &dst, &off) == 0 && compat_copies_well(dst);
}

/*
 * Let the kernel copy what it can; the rest the plain way.  That is the faster
 * one for much: kernels go page by page.
 */
static int
copy_by_kernel(struct blkdev *from, uint64_t from_off, struct blkdev *to,
    uint64_t to_off, uint64_t len)
{
	uint64_t src_off, dst_off;
	int src, dst;

	while (len > 0 && (len < COPY_LARGE || blkdev_copies_well(from, to))) {
		int64_t n;

		if (blkdev_locate(from, from_off, &src, &src_off) < 0 ||
		    blkdev_locate(to, to_off, &dst, &dst_off) < 0)
			break;
		n = compat_copy_range(src, src_off, dst, dst_off, len);
		if (n <= 0)
			break; /* the plain way works, or says why not */
		from_off += (uint64_t)n;
		to_off += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return copy_plain(from, from_off, to, to_off, len);
}

int
blkdev_copy(struct blkdev *from, uint64_t from_off, struct blkdev *to,
    uint64_t to_off, uint64_t len)
{
	struct blkdev_sharing s = {0};
	uint64_t head = 0, mid = 0;
	int rc = check_copy(from, from_off, to, to_off, len);

	if (rc < 0)
		return rc;
	if (len >= SHARE_LEAST)
		blkdev_sharing(from, to, &s);
	if (s.unit > 0 && blkdev_sharing_gap(&s, from_off, to_off) == 0) {
		head = blkdev_sharing_head(&s, from_off);
		mid = (len - head) & -s.unit;
	}
	if (mid > 0 &&
	    blkdev_share(from, from_off + head, to, to_off + head, mid) < 0)
		head = mid = 0;
	rc = copy_by_kernel(from, from_off, to, to_off, mid > 0 ? head : len);
	if (rc < 0 || mid == 0)
		return rc;
	return copy_by_kernel(from, from_off + head + mid, to,
	    to_off + head + mid, len - head - mid);
}

/* Where the next data at or after off begins, and how long it is; 0: none. */
static uint64_t
next_data(struct blkdev *dev, uint64_t *off, uint64_t end)
{
	uint64_t file_off;
	off_t data, hole;
	int fd;

	if (blkdev_locate(dev, *off, &fd, &file_off) < 0)
		return end - *off;
	data = lseek(fd, (off_t)file_off, SEEK_DATA);
	if (data < 0 && errno == ENXIO)
		return 0;
	hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);
	if (hole <= data) /* this host cannot tell */
		return end - *off;
	if ((uint64_t)data - file_off >= end - *off)
		return 0;
	*off += (uint64_t)data - file_off;
	return (uint64_t)(hole - data) < end - *off ? (uint64_t)(hole - data)
						    : end - *off;
}

int
blkdev_copy_data(struct blkdev *from, uint64_t from_off, struct blkdev *to,
    uint64_t to_off, uint64_t len)
{
	uint64_t off = from_off, end = from_off + len, n;
	int rc = check_copy(from, from_off, to, to_off, len);

	while (rc == 0 && off < end && (n = next_data(from, &off, end)) > 0) {
		rc = blkdev_copy(from, off, to, to_off + (off - from_off), n);
		off += n;
	}
	return rc;
}

struct blkdev *
blkdev_ref(struct blkdev *dev)
{
	__atomic_add_fetch(&dev->refs, 1, __ATOMIC_RELAXED);
	return dev;
}

void
blkdev_close(struct blkdev *dev)
{
	if (dev == NULL)
		return;
	if (__atomic_fetch_sub(&dev->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	dev->ops->close(dev);
}
