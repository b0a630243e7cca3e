/*
 * A device in memory.  It locks, since reads may come while one thread writes
 * (blkdev.h): what they read then is what was there before or is there now.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "blkdev.h"

struct mem {
	struct blkdev dev;
	pthread_rwlock_t lock;
	uint8_t *data;
};

static int
mem_read(struct blkdev *dev, uint64_t off, void *buf, size_t len)
{
	struct mem *m = (struct mem *)dev;

	pthread_rwlock_rdlock(&m->lock);
	memcpy(buf, m->data + off, len);
	pthread_rwlock_unlock(&m->lock);
	return 0;
}

static int
mem_write(struct blkdev *dev, uint64_t off, const void *buf, size_t len)
{
	struct mem *m = (struct mem *)dev;

	pthread_rwlock_wrlock(&m->lock);
	memcpy(m->data + off, buf, len);
	pthread_rwlock_unlock(&m->lock);
	return 0;
}

static int
mem_trim(struct blkdev *dev, uint64_t off, uint64_t len)
{
	struct mem *m = (struct mem *)dev;

	pthread_rwlock_wrlock(&m->lock);
	memset(m->data + off, 0, len);
	pthread_rwlock_unlock(&m->lock);
	return 0;
}

static int
mem_resize(struct blkdev *dev, uint64_t size)
{
	struct mem *m = (struct mem *)dev;
	uint8_t *data;

	if (size >= SIZE_MAX)
		return -ENOSPC;
	pthread_rwlock_wrlock(&m->lock);
	data = realloc(m->data, size + 1); /* never of 0 bytes */
	if (data != NULL) {
		if (size > dev->size)
			memset(data + dev->size, 0, size - dev->size);
		m->data = data;
		dev->size = size;
	}
	pthread_rwlock_unlock(&m->lock);
	return data == NULL ? -ENOSPC : 0;
}

static void
mem_close(struct blkdev *dev)
{
	struct mem *m = (struct mem *)dev;

	pthread_rwlock_destroy(&m->lock);
	free(m->data);
	free(m);
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
	if (m->data == NULL || pthread_rwlock_init(&m->lock, NULL) != 0) {
		free(m->data);
		free(m);
		return -ENOMEM;
	}
	m->dev = (struct blkdev){&mem_ops, size, true, 0};
	*out = &m->dev;
	return 0;
}
