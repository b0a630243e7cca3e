/* UFS images that FreeBSD's own tools made, where they are at hand. */
#ifndef UFS_FIXTURE_H
#define UFS_FIXTURE_H

#include <stdlib.h>

#include "../../imgfmt/blkdev.h"
#include "check.h"

/*
 * Fixture name in memory, writable; NULL where there are no fixtures:
 * $RELIVE_FIXTURES, or ../shared/fixtures.
 */
static inline struct blkdev *
ufs_fixture(const char *name)
{
	const char *dir = getenv("RELIVE_FIXTURES");
	static uint8_t buf[1 << 20];
	struct blkdev *dev = NULL;
	char command[512];
	uint64_t size = 0;
	size_t n;
	FILE *f;

	snprintf(command, sizeof(command), "xz -dc '%s/ufs/%s.xz' 2>/dev/null",
	    dir != NULL ? dir : "../shared/fixtures", name);
	f = popen(command, "r");
	CHECK_EQ(blkdev_mem_open(0, &dev), 0);
	if (f == NULL || dev == NULL)
		return NULL;
	while ((n = fread(buf, 1, sizeof(buf), f)) > 0) {
		CHECK_EQ(blkdev_resize(dev, size + n), 0);
		CHECK_EQ(blkdev_write(dev, size, buf, n), 0);
		size += n;
	}
	(void)pclose(f);
	if (size > 0)
		return dev;
	blkdev_close(dev);
	return NULL;
}

#endif
