/*
 * A gzip file cannot be read from the middle, so it is inflated whole, once:
 * into the session's folder, under a name that tells which .gz it came from,
 * or into an unlinked file.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "../imgfmt/compat.h"
#include "../imgfmt/crc32c.h"
#include "../imgfmt/gz.h"
#include "../imgfmt/log.h"
#include "image_impl.h"

enum {
	SAMPLE = 64 << 10,
	PEEK_LEN = 320 << 10, /* reaches every place of a superblock */
};

/* No deflate stream grows by more than this factor (RFC 1951). */
enum { GZ_RATIO_MAX = 1032 };

/*
 * What tells this .gz from others: its length, its beginning, and its end,
 * which holds the checksum of the contents.
 */
static int
gz_hash(struct blkdev *dev, uint64_t *out)
{
	scoped(freep) uint8_t *buf = malloc(SAMPLE);
	size_t n = dev->size < SAMPLE ? (size_t)dev->size : SAMPLE;
	uint32_t first, last;
	int rc;

	if (buf == NULL)
		return -ENOMEM;
	rc = blkdev_read(dev, 0, buf, n);
	if (rc < 0)
		return rc;
	first = crc32c((uint32_t)dev->size, buf, n);
	rc = blkdev_read(dev, dev->size - n, buf, n);
	last = crc32c((uint32_t)(dev->size >> 32), buf, n);
	*out = (uint64_t)first << 32 | last;
	return rc;
}

/* Inflate into fd, which stays the caller's. */
static int
inflate_to(struct image_walk *walk, int fd)
{
	scoped(blkdev_closep) struct blkdev *out = NULL;
	uint64_t most = walk->dev->size > UINT64_MAX / GZ_RATIO_MAX
	    ? UINT64_MAX
	    : walk->dev->size * GZ_RATIO_MAX;
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	int rc;

	if (copy < 0)
		return -errno;
	rc = blkdev_file_adopt(copy, true, &out);
	if (rc == 0)
		rc = gz_inflate(walk->dev, out, most);
	if (rc == 0)
		rc = blkdev_flush(out);
	return rc;
}

/*
 * Refuse what the first bytes show to be no image, which inflated may be a
 * thousand times as large.  What is damaged is for inflating to tell.
 */
static int
refuse_foreign(struct image_walk *walk)
{
	scoped(freep) uint8_t *head = malloc(PEEK_LEN);
	scoped(blkdev_closep) struct blkdev *mem = NULL;
	int64_t n;
	int rc;

	if (head == NULL)
		return -ENOMEM;
	n = gz_peek(walk->dev, head, PEEK_LEN);
	if (n < 0)
		return n == -ECORRUPT ? 0 : (int)n;
	rc = blkdev_mem_open((uint64_t)n, &mem);
	if (rc == 0)
		rc = blkdev_write(mem, 0, head, (size_t)n);
	if (rc == 0)
		rc = image_identify(mem);
	if (rc != IMAGE_UNKNOWN)
		return rc < 0 ? rc : 0;
	log_error("what '%s' holds is %s: %s", image_walk_place(walk),
	    image_kind_name(IMAGE_UNKNOWN), image_kind_advice(IMAGE_UNKNOWN));
	return -EINVAL;
}

/* An unlinked file in dir. */
static int
anonymous_file(const char *dir)
{
	scoped(freep) char *path = NULL;
	int fd;

	if (asprintf(&path, "%s/relive-XXXXXX", dir) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	(void)unlink(path);
	return fd;
}

static int
inflate_anonymous(struct image_walk *walk, struct blkdev **out)
{
	const char *dir = getenv("TMPDIR");
	scoped(fdclosep) int fd = -1;
	int rc;

	if (dir == NULL || dir[0] == '\0')
		dir = "/tmp";
	fd = anonymous_file(dir);
	if (fd < 0) {
		log_error("'%s': no temporary file to unpack into: %s", dir,
		    strerror(-fd));
		return fd;
	}
	rc = inflate_to(walk, fd);
	if (rc == 0) {
		rc = blkdev_file_adopt(fd, false, out);
		fd = -1;
	}
	return rc;
}

/*
 * Inflate into a file without a name, which a kill leaves nothing of; where
 * there is no such thing, into a temporary one.
 */
static int
inflate_named(struct image_walk *walk, const char *path)
{
	scoped(freep) char *temporary = NULL;
	scoped(fdclosep) int fd = compat_nameless_file(walk->options->scratch);
	int rc;

	if (fd >= 0) {
		rc = inflate_to(walk, fd);
		return rc < 0 ? rc : compat_name_file(fd, path);
	}
	if (fd != -EOPNOTSUPP)
		return fd;
	if (asprintf(&temporary, "%s.XXXXXX", path) < 0) {
		temporary = NULL;
		return -ENOMEM;
	}
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	rc = inflate_to(walk, fd);
	if (rc == 0 && rename(temporary, path) < 0)
		rc = -errno;
	if (rc < 0)
		(void)unlink(temporary);
	return rc;
}

static int
inflate_into_folder(struct image_walk *walk, struct blkdev **out)
{
	char name[NAME_MAX + 1];
	scoped(freep) char *path = NULL;
	uint64_t hash;
	int rc = gz_hash(walk->dev, &hash);

	if (rc < 0)
		return rc;
	image_overlay_name(walk->image->inner, name);
	if (asprintf(&path, "%s/%s.%016" PRIx64 ".inflated",
		walk->options->scratch, name, hash) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	rc = blkdev_file_open(path, out);
	if (rc != -ENOENT)
		return rc;
	log_info("unpacking '%s' once", image_walk_place(walk));
	rc = inflate_named(walk, path);
	if (rc == 0)
		return blkdev_file_open(path, out);
	if (rc == -EACCES || rc == -EROFS || rc == -EPERM)
		return inflate_anonymous(walk, out);
	return rc;
}

int
image_enter_gz(struct image_walk *walk)
{
	struct blkdev *dev = NULL;
	int rc = refuse_foreign(walk);

	if (rc < 0)
		return rc;
	rc = walk->options->scratch != NULL ? inflate_into_folder(walk, &dev)
					    : inflate_anonymous(walk, &dev);
	if (rc < 0) {
		if (rc == -ENOSPC)
			log_error("'%s': no space to unpack it into",
			    image_walk_place(walk));
		return rc;
	}
	walk->image->inflated = true;
	image_walk_enter(walk, dev, UINT64_MAX);
	return 0;
}

void
image_overlay_name(const char *inner, char out[NAME_MAX + 1])
{
	enum { NAME_MOST = 160 }; /* room for what is appended to it */
	size_t n = 0;

	for (const char *p = inner + (inner[0] == '/'); *p != '\0'; p++) {
		if (n + 2 > NAME_MOST)
			break;
		out[n++] = *p == '/' ? '%' : *p;
		if (*p == '%')
			out[n++] = '%';
	}
	if (n + 2 > NAME_MOST)
		n += (size_t)sprintf(
		    out + n, "-%08x", crc32c(0xffffffff, inner, strlen(inner)));
	if (n == 0)
		n = (size_t)sprintf(out, "image");
	out[n] = '\0';
}
