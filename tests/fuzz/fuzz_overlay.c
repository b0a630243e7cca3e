/* Recover whatever claims to be an overlay file, then write to it. */
#include <fcntl.h>

#include "../../fusefs/overlay.h"
#include "fuzz.h"

enum { BASE = 1 << 20 };

static void
use(struct blkdev *dev, bool write)
{
	struct blkdev_change change;
	static const uint8_t block[OVERLAY_BLOCK] = {1};
	uint64_t at = 0;

	for (int i = 0; i < 1000 && blkdev_next_change(dev, at, &change) == 1;
	     i++)
		at = change.off + change.len;
	fuzz_read(dev, 2 * BASE);
	if (write && dev->size >= sizeof(block)) {
		(void)!blkdev_write(dev, 0, block, sizeof(block));
		(void)!blkdev_flush(dev);
		(void)!overlay_finish(dev);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char path[64];
	struct overlay_id id;
	FILE *f;

	log_set_sink(fuzz_silence);
	snprintf(path, sizeof(path), "/tmp/relive-fuzz-overlay.%d", getpid());
	f = fopen(path, "w");
	if (f == NULL || fwrite(data, 1, size, f) != size || fclose(f) != 0)
		abort();
	for (int flags = OVERLAY_READ_ONLY; flags >= 0; flags--) {
		struct blkdev *base = NULL, *dev;

		if (overlay_read_id(path, &id) < 0 ||
		    blkdev_mem_open(BASE, &base) < 0)
			break;
		if (overlay_open(path, &id, base, (unsigned)flags, &dev) < 0) {
			blkdev_close(base);
			continue;
		}
		use(dev, flags == 0);
		blkdev_close(dev);
	}
	(void)unlink(path);
	return 0;
}
