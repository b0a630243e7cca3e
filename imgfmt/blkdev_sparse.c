/* A device in memory that keeps only the pieces that are not zero. */
#include <string.h>

#include "blkdev.h"
#include "bytes.h"
#include "radix.h"

enum { PIECE = 4096 };

struct sparse {
	struct blkdev dev;
	struct radix pieces; /* off / PIECE -> PIECE bytes */
};

/* Bytes from off to the end of its piece, at most len. */
static size_t
within(uint64_t off, uint64_t len)
{
	uint64_t n = PIECE - off % PIECE;

	return (size_t)(n < len ? n : len);
}

static int
sparse_read(struct blkdev *dev, uint64_t off, void *buf, size_t len)
{
	const struct sparse *s = (struct sparse *)dev;
	uint64_t end = off + len, key;
	uint8_t *to = buf;

	memset(buf, 0, len);
	for (key = off / PIECE; key * PIECE < end; key++) {
		const uint8_t *piece = radix_next(&s->pieces, &key);
		uint64_t start = key * PIECE > off ? key * PIECE : off;

		if (piece == NULL || start >= end)
			break;
		memcpy(to + (start - off), piece + start % PIECE,
		    within(start, end - start));
	}
	return 0;
}

static int
add_piece(struct sparse *s, uint64_t key, uint8_t **out)
{
	uint8_t *piece = calloc(1, PIECE);
	int rc = piece == NULL ? -ENOMEM : radix_add(&s->pieces, key, piece);

	if (rc < 0)
		free(piece);
	else
		*out = piece;
	return rc;
}

static int
sparse_write(struct blkdev *dev, uint64_t off, const void *buf, size_t len)
{
	struct sparse *s = (struct sparse *)dev;
	const uint8_t *from = buf;

	while (len > 0) {
		size_t n = within(off, len);
		uint8_t *piece = radix_get(&s->pieces, off / PIECE);

		if (piece == NULL && !bytes_are_zero(from, n)) {
			int rc = add_piece(s, off / PIECE, &piece);

			if (rc < 0)
				return rc;
		}
		if (piece != NULL)
			memcpy(piece + off % PIECE, from, n);
		off += n;
		from += n;
		len -= n;
	}
	return 0;
}

static int
sparse_trim(struct blkdev *dev, uint64_t off, uint64_t len)
{
	struct sparse *s = (struct sparse *)dev;
	uint64_t end = off + len, key;

	for (key = off / PIECE; key * PIECE < end; key++) {
		uint8_t *piece = radix_next(&s->pieces, &key);
		uint64_t start = key * PIECE > off ? key * PIECE : off;

		if (piece == NULL || start >= end)
			break;
		memset(piece + start % PIECE, 0, within(start, end - start));
		if (!bytes_are_zero(piece, PIECE))
			continue;
		radix_remove(&s->pieces, key);
		free(piece);
	}
	return 0;
}

static int
sparse_resize(struct blkdev *dev, uint64_t size)
{
	uint64_t old = dev->size;

	dev->size = size;
	return size < old ? sparse_trim(dev, size, old - size) : 0;
}

static void
sparse_close(struct blkdev *dev)
{
	struct sparse *s = (struct sparse *)dev;
	uint64_t key = 0;
	void *piece;

	while ((piece = radix_next(&s->pieces, &key)) != NULL) {
		free(piece);
		key++;
	}
	radix_release(&s->pieces);
	free(s);
}

static const struct blkdev_ops sparse_ops = {
    .read = sparse_read,
    .write = sparse_write,
    .trim = sparse_trim,
    .resize = sparse_resize,
    .close = sparse_close,
};

bool
blkdev_sparse_is_hole(struct blkdev *dev, uint64_t off, uint64_t len)
{
	const struct sparse *s = (struct sparse *)dev;
	uint64_t key = off / PIECE;

	return radix_next(&s->pieces, &key) == NULL || key * PIECE >= off + len;
}

int
blkdev_sparse_open(uint64_t size, struct blkdev **out)
{
	struct sparse *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return -ENOMEM;
	s->dev = (struct blkdev){&sparse_ops, size, true, 0};
	*out = &s->dev;
	return 0;
}
