/* Peek into and inflate whatever claims to be a gzip file. */
#include "../../imgfmt/gz.h"
#include "fuzz.h"

enum { MOST = 1 << 20 };

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct blkdev *dev = fuzz_device(data, size), *out = NULL;
	static uint8_t head[4096];

	if (dev == NULL)
		return 0;
	(void)!gz_probe(dev);
	(void)!gz_peek(dev, head, sizeof(head));
	if (blkdev_mem_open(0, &out) == 0)
		(void)!gz_inflate(dev, out, MOST);
	blkdev_close(out);
	blkdev_close(dev);
	return 0;
}
