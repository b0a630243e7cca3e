#include "blkdev_fault.h"

#include <stdlib.h>

enum { KINDS = 6 };

struct fault {
	struct blkdev dev;
	struct blkdev *lower; /* owned */
	unsigned kinds, nth;
	int error;
	bool lasting;
	unsigned calls[KINDS];
};

/* Count a call; 0 or the error it is to fail with. */
static int
account(struct blkdev *dev, unsigned kind)
{
	struct fault *f = (struct fault *)dev;

	__atomic_add_fetch(&f->calls[__builtin_ctz(kind)], 1, __ATOMIC_RELAXED);
	if (!(f->kinds & kind) || f->nth == 0)
		return 0;
	if (f->nth > 1) {
		f->nth--;
		return 0;
	}
	if (!f->lasting)
		f->nth = 0;
	return f->error;
}

static int
fault_read(struct blkdev *dev, uint64_t off, void *buf, size_t len)
{
	int rc = account(dev, FAULT_READ);

	if (rc < 0)
		return rc;
	return blkdev_read(((struct fault *)dev)->lower, off, buf, len);
}

static int
fault_write(struct blkdev *dev, uint64_t off, const void *buf, size_t len)
{
	struct fault *f = (struct fault *)dev;
	int rc = account(dev, FAULT_WRITE);

	if (rc < 0) {
		if (len > 1 && blkdev_write(f->lower, off, buf, len / 2) < 0)
			return -EIO;
		dev->size = f->lower->size;
		return rc;
	}
	rc = blkdev_write(f->lower, off, buf, len);
	dev->size = f->lower->size;
	return rc;
}

static int
fault_write_once(struct blkdev *dev, uint64_t off, const void *buf, size_t len)
{
	(void)account(dev, FAULT_ONCE);
	return fault_write(dev, off, buf, len);
}

static int
fault_trim(struct blkdev *dev, uint64_t off, uint64_t len)
{
	int rc = account(dev, FAULT_TRIM);

	if (rc < 0)
		return rc;
	return blkdev_trim(((struct fault *)dev)->lower, off, len);
}

static int
fault_resize(struct blkdev *dev, uint64_t size)
{
	struct fault *f = (struct fault *)dev;
	int rc = account(dev, FAULT_RESIZE);

	if (rc < 0)
		return rc;
	rc = blkdev_resize(f->lower, size);
	dev->size = f->lower->size;
	return rc;
}

static int
fault_flush(struct blkdev *dev)
{
	int rc = account(dev, FAULT_FLUSH);

	if (rc < 0)
		return rc;
	return blkdev_flush(((struct fault *)dev)->lower);
}

static int
fault_next_change(struct blkdev *dev, uint64_t off, struct blkdev_change *out)
{
	return blkdev_next_change(((struct fault *)dev)->lower, off, out);
}

static void
fault_close(struct blkdev *dev)
{
	blkdev_close(((struct fault *)dev)->lower);
	free(dev);
}

static const struct blkdev_ops fault_ops = {
    .read = fault_read,
    .write = fault_write,
    .write_once = fault_write_once,
    .trim = fault_trim,
    .resize = fault_resize,
    .flush = fault_flush,
    .next_change = fault_next_change,
    .close = fault_close,
};

int
blkdev_fault_open(struct blkdev *lower, struct blkdev **out)
{
	struct fault *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return -ENOMEM;
	f->dev = (struct blkdev){&fault_ops, lower->size, lower->writable, 0};
	f->lower = lower;
	*out = &f->dev;
	return 0;
}

void
blkdev_fault_arm(
    struct blkdev *dev, unsigned kinds, unsigned nth, int error, bool lasting)
{
	struct fault *f = (struct fault *)dev;

	f->kinds = kinds;
	f->nth = nth;
	f->error = error;
	f->lasting = lasting;
}

unsigned
blkdev_fault_calls(struct blkdev *dev, unsigned kinds)
{
	struct fault *f = (struct fault *)dev;
	unsigned n = 0;

	for (unsigned i = 0; i < KINDS; i++)
		if (kinds >> i & 1)
			n += __atomic_load_n(&f->calls[i], __ATOMIC_RELAXED);
	return n;
}
