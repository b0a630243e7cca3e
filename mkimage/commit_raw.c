/* A commit's uncompressed form. */
#include <string.h>

#include "commit_impl.h"

enum { CHUNK = 4 << 20 };

/* Bytes off .. off + len - 1 of the merged device; zeroes become holes. */
static int
write_range(struct commit *c, struct blkdev *out, uint64_t base,
    const struct blkdev_change *range, bool sparse)
{
	scoped(freep) uint8_t *buf = malloc(CHUNK);
	uint64_t off = range->off, end = range->off + range->len;

	if (buf == NULL)
		return -ENOMEM;
	while (off < end) {
		size_t len = (size_t)(end - off < CHUNK ? end - off : CHUNK);
		int rc = interrupted() ? -EINTR
				       : blkdev_read(c->merged, off, buf, len);

		if (rc == 0)
			rc = sparse
			    ? blkdev_write_sparse(out, base + off, buf, len)
			    : blkdev_write(out, base + off, buf, len);
		if (rc < 0)
			return rc;
		off += len;
	}
	return 0;
}

/* The base is raw too: let the kernel copy it, then write what changed. */
static int
patch_base(struct commit *c, struct blkdev *out, uint64_t base)
{
	struct blkdev *from = c->image->layer[c->target].dev;
	uint64_t len =
	    from->size < c->merged->size ? from->size : c->merged->size;
	struct blkdev_change change;
	uint64_t off = 0;
	int rc = blkdev_copy_data(from, 0, out, base, len);

	while (
	    rc == 0 && (rc = blkdev_next_change(c->merged, off, &change)) > 0) {
		rc = write_range(c, out, base, &change, false);
		off = change.off + change.len;
	}
	return rc;
}

int
commit_write_raw(
    struct commit *c, struct blkdev *out, uint64_t base, uint64_t *len)
{
	struct blkdev_change all = {.len = c->merged->size};
	int rc = 0;

	*len = c->merged->size;
	if (out->size < base + *len)
		rc = blkdev_resize(out, base + *len);
	if (rc < 0)
		return rc;
	if (commit_is_raw(c))
		return patch_base(c, out, base);
	return write_range(c, out, base, &all, true);
}
