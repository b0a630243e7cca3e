/* Helpers of the UFS tests: fixtures as devices in memory, log capture. */
#ifndef UFS_KIT_H
#define UFS_KIT_H

#include <stdlib.h>
#include <string.h>

#include "../../imgfmt/blkdev.h"
#include "../../imgfmt/log.h"

/* -- the last line that was logged, and how many --------------------------- */

static char kit_line[512];
static int kit_lines;

static inline void
kit_sink(enum log_level level, const char *line)
{
	(void)level;
	kit_lines++;
	snprintf(kit_line, sizeof(kit_line), "%s", line);
}

/* Capture log lines; forgets those captured before. */
static inline void
kit_capture(void)
{
	kit_lines = 0;
	kit_line[0] = '\0';
	log_set_sink(kit_sink);
}

/* Whether exactly one line was logged since, and text is in it. */
static inline bool
kit_said(const char *text)
{
	bool ok = kit_lines == 1 && strstr(kit_line, text) != NULL;

	if (!ok)
		printf("# said %d lines, the last: %s\n", kit_lines, kit_line);
	kit_capture();
	return ok;
}

/* -- fixtures -------------------------------------------------------------- */

static inline const char *
kit_fixtures(void)
{
	const char *dir = getenv("RELIVE_FIXTURES");

	return dir != NULL ? dir : "../shared/fixtures";
}

/* Open "xz -dc" of a fixture for reading, or NULL where it is absent. */
static inline FILE *
kit_unpack(const char *name)
{
	char path[512], command[600];

	snprintf(path, sizeof(path), "%s/ufs/%s.xz", kit_fixtures(), name);
	if (access(path, R_OK) != 0)
		return NULL;
	snprintf(command, sizeof(command), "xz -dc '%s'", path);
	return popen(command, "r");
}

/* A fixture as a writable device in memory, or NULL. */
static inline struct blkdev *
kit_device(const char *name)
{
	static const uint8_t zero[65536];
	static uint8_t buf[65536];
	struct blkdev *dev = NULL;
	FILE *f = kit_unpack(name);
	uint64_t off = 0;
	size_t n;
	int rc;

	if (f == NULL)
		return NULL;
	rc = blkdev_mem_open(0, &dev);
	while (rc == 0 && (n = fread(buf, 1, sizeof(buf), f)) > 0) {
		if (off + n > dev->size)
			rc = blkdev_resize(dev, (off + n) * 2);
		if (rc == 0 && memcmp(buf, zero, n) != 0)
			rc = blkdev_write(dev, off, buf, n);
		off += n;
	}
	if (rc == 0)
		rc = blkdev_resize(dev, off);
	if (pclose(f) != 0 || rc < 0 || off == 0) {
		printf("# %s: cannot unpack\n", name);
		blkdev_close(dev);
		return NULL;
	}
	return dev;
}

#endif
