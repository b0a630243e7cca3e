/* A device in memory. */
#include <stdlib.h>
#include <string.h>

#include "blkdev.h"

struct mem {
	struct blkdev dev;
	uint8_t *data;
};

static int
mem_read(struct blkdev *dev, uint64_t off, void *buf, size_t len)
{
	memcpy(buf, ((struct mem *)dev)->data + off, len);
	return 0;
}

static int
mem_write(struct blkdev *dev, uint64_t off, const void *buf, size_t len)
{
	memcpy(((struct mem *)dev)->data + off, buf, len);
	return 0;
}

static int
mem_trim(struct blkdev *dev, uint64_t off, uint64_t len)
{
	memset(((struct mem *)dev)->data + off, 0, len);
	return 0;
}

static int
mem_resize(struct blkdev *dev, uint64_t size)
{
	struct mem *m = (struct mem *)dev;
	uint8_t *data;

	if (size >= SIZE_MAX)
		return -ENOSPC;
	data = realloc(m->data, size + 1); /* never of 0 bytes */
	if (data == NULL)
		return -ENOSPC;
	if (size > dev->size)
		memset(data + dev->size, 0, size - dev->size);
	m->data = data;
	dev->size = size;
	return 0;
}

static void
mem_close(struct blkdev *dev)
{
	free(((struct mem *)dev)->data);
	free(dev);
}

static const struct blkdev_ops mem_ops = {
    .read = mem_read,
    .write = mem_write,
    .trim = mem_trim,
    .resize = mem_resize,
    .close = mem_close,
};

int
blkdev_mem_open(uint64_t size, struct blkdev **out)
{
	struct mem *m;

	if (size >= SIZE_MAX)
		return -ENOMEM;
	m = calloc(1, sizeof(*m));
	if (m == NULL)
		return -ENOMEM;
	m->data = calloc(1, size + 1);
	if (m->data == NULL) {
		free(m);
		return -ENOMEM;
	}
	m->dev = (struct blkdev){&mem_ops, size, true, 0};
	*out = &m->dev;
	return 0;
}
