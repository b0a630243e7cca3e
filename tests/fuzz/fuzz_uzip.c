/*
 * Open, count, read, judge and copy whatever claims to be a uzip.  Where a
 * copy succeeds it must read as the original does.
 */
#include "../../imgfmt/uzip.h"
#include "fuzz.h"

enum { MOST = 1 << 20 };

/* Copy all of dev; NULL where that is refused. */
static struct blkdev *
copy_of(struct blkdev *dev)
{
	const struct uzip_info *info = uzip_info(dev);
	struct uzip_params params = {
	    .codec = info->codec,
	    .level = 1,
	    .cluster = info->cluster,
	    .dedup = info->letter >= 'a',
	    .preamble = info->preamble,
	};
	struct uzip_written written;
	struct uzip_writer *w = NULL;
	struct blkdev *out, *copy = NULL;
	int rc;

	if (blkdev_mem_open(0, &out) < 0)
		return NULL;
	rc = uzip_writer_open(out, 0, info->nclusters, &params, NULL, &w);
	if (rc == 0)
		rc = uzip_writer_put_from(w, dev, 0, info->nclusters);
	if (rc == 0)
		rc = uzip_writer_finish(w, &written);
	uzip_writer_close(w);
	if (rc == 0 && uzip_open(out, 1 << 20, NULL, &copy) < 0)
		abort(); /* what we write we must read */
	if (copy == NULL)
		blkdev_close(out);
	return copy;
}

static void
compare(struct blkdev *dev, struct blkdev *copy)
{
	uint32_t cluster = uzip_info(dev)->cluster;
	scoped(freep) uint8_t *a = malloc(cluster), *b = malloc(cluster);

	for (uint64_t off = 0; off < dev->size; off += cluster) {
		if (blkdev_read(dev, off, a, cluster) < 0)
			continue; /* the copy carries the same bytes */
		if (blkdev_read(copy, off, b, cluster) < 0 ||
		    memcmp(a, b, cluster) != 0)
			abort();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct blkdev *dev = fuzz_device(data, size), *uzip = NULL, *copy;
	struct uzip_counts counts;
	int level;

	if (dev == NULL || uzip_open_damaged(dev, 65536, NULL, &uzip) < 0) {
		blkdev_close(dev);
		return 0;
	}
	if (uzip_info(uzip)->nclusters < 4096) {
		(void)!uzip_count(uzip, &counts);
		(void)!uzip_level_guess(uzip, &level);
		(void)!uzip_check(uzip, NULL, NULL, NULL);
	}
	fuzz_read(uzip, MOST);
	copy = uzip->size <= MOST ? copy_of(uzip) : NULL;
	if (copy != NULL)
		compare(uzip, copy);
	blkdev_close(copy);
	blkdev_close(uzip);
	return 0;
}
