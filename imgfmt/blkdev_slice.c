/* A window of another device. */
#include <stdlib.h>

#include "blkdev.h"

struct slice {
	struct blkdev dev;
	struct blkdev *lower; /* owned */
	uint64_t base;
};

static int
slice_read(struct blkdev *dev, uint64_t off, void *buf, size_t len)
{
	struct slice *s = (struct slice *)dev;

	return blkdev_read(s->lower, s->base + off, buf, len);
}

static int
slice_write(struct blkdev *dev, uint64_t off, const void *buf, size_t len)
{
	struct slice *s = (struct slice *)dev;

	return blkdev_write(s->lower, s->base + off, buf, len);
}

static int
slice_trim(struct blkdev *dev, uint64_t off, uint64_t len)
{
	struct slice *s = (struct slice *)dev;

	return blkdev_trim(s->lower, s->base + off, len);
}

static int
slice_resize(struct blkdev *dev, uint64_t size)
{
	struct slice *s = (struct slice *)dev;
	int rc;

	if (s->base + dev->size != s->lower->size)
		return -EOPNOTSUPP;
	rc = blkdev_resize(s->lower, s->base + size);
	if (rc == 0)
		dev->size = size;
	return rc;
}

static int
slice_flush(struct blkdev *dev)
{
	return blkdev_flush(((struct slice *)dev)->lower);
}

static int
slice_next_change(struct blkdev *dev, uint64_t off, struct blkdev_change *out)
{
	struct slice *s = (struct slice *)dev;
	int rc = blkdev_next_change(s->lower, s->base + off, out);

	if (rc <= 0)
		return rc;
	out->off -= s->base;
	if (out->off >= dev->size)
		return 0;
	if (out->len > dev->size - out->off)
		out->len = dev->size - out->off;
	return 1;
}

static int
slice_locate(struct blkdev *dev, uint64_t off, int *fd, uint64_t *file_off)
{
	struct slice *s = (struct slice *)dev;

	return blkdev_locate(s->lower, s->base + off, fd, file_off);
}

static void
slice_close(struct blkdev *dev)
{
	blkdev_close(((struct slice *)dev)->lower);
	free(dev);
}

static const struct blkdev_ops slice_ops = {
    .read = slice_read,
    .write = slice_write,
    .trim = slice_trim,
    .resize = slice_resize,
    .flush = slice_flush,
    .next_change = slice_next_change,
    .locate = slice_locate,
    .close = slice_close,
};

int
blkdev_slice_open(
    struct blkdev *lower, uint64_t off, uint64_t len, struct blkdev **out)
{
	struct slice *s;

	if (off > lower->size || len > lower->size - off)
		return -EINVAL;
	s = malloc(sizeof(*s));
	if (s == NULL)
		return -ENOMEM;
	*s = (struct slice){
	    .dev = {&slice_ops, len, lower->writable, 0},
	    .lower = lower,
	    .base = off,
	};
	*out = &s->dev;
	return 0;
}
