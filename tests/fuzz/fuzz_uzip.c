/* Open, count, read and judge whatever claims to be a uzip. */
#include "../../imgfmt/uzip.h"
#include "fuzz.h"

enum { MOST = 1 << 20 };

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct blkdev *dev = fuzz_device(data, size), *uzip = NULL;
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
	blkdev_close(uzip);
	return 0;
}
