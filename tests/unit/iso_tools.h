/*
 * For the tests of ISOs: a scratch directory, the programs that make ISOs,
 * and log lines kept for looking at.
 */
#ifndef ISO_TOOLS_H
#define ISO_TOOLS_H

#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../imgfmt/blkdev.h"
#include "../../imgfmt/log.h"

static char scratch[64];
static char last_error[1024];
static unsigned log_errors;

static inline void
keep_error(enum log_level level, const char *line)
{
	if (level == LOG_ERROR_LEVEL) {
		log_errors++;
		snprintf(last_error, sizeof(last_error), "%s", line);
	}
}

/* Run a command in the scratch directory; shows what it says if it fails. */
__attribute__((format(printf, 1, 2))) static inline int
sh(const char *format, ...)
{
	char command[8192];
	int n = snprintf(
	    command, sizeof(command), "cd %s && exec >log 2>&1; ", scratch);
	int rc;
	va_list ap;

	va_start(ap, format);
	vsnprintf(command + n, sizeof(command) - (size_t)n, format, ap);
	va_end(ap);
	fflush(stdout);
	rc = system(command);
	if (rc == 0)
		return 0;
	snprintf(command, sizeof(command), "head -9 %s/log | sed 's/^/# /'",
	    scratch);
	if (system(command) != 0)
		printf("# no log\n");
	return rc;
}

static inline void
scratch_remove(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", scratch);
	if (system(command) != 0)
		printf("# cannot remove %s\n", scratch);
}

/* Make the scratch directory, which goes when the test program ends. */
static inline void
scratch_need(void)
{
	if (scratch[0] != '\0')
		return;
	strcpy(scratch, "/tmp/relive-iso-XXXXXX");
	if (mkdtemp(scratch) == NULL)
		exit(1);
	atexit(scratch_remove);
}

static inline int
have(const char *program)
{
	char command[256];

	snprintf(command, sizeof(command), "command -v %s >/dev/null", program);
	return system(command) == 0;
}

/* Unpack a fixture into the scratch directory; 0: it is not there. */
static inline int
have_fixture(const char *path, const char *as)
{
	const char *dir = getenv("RELIVE_FIXTURES");
	char *full;
	int rc;

	scratch_need();
	full = realpath(dir != NULL ? dir : "../shared/fixtures", NULL);
	if (full == NULL)
		return 0;
	rc = sh("test -e '%s' || xz -dc '%s/%s.xz' >'%s'", as, full, path, as);
	free(full);
	return rc == 0;
}

static inline struct blkdev *
open_scratch(const char *name)
{
	struct blkdev *dev = NULL;
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", scratch, name);
	CHECK_EQ(blkdev_file_open(path, &dev), 0);
	return dev;
}

/* An empty file to write, in the scratch directory. */
static inline struct blkdev *
create_scratch(const char *name)
{
	struct blkdev *dev = NULL;
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", scratch, name);
	CHECK_EQ(blkdev_file_adopt(
		     open(path, O_RDWR | O_CREAT | O_TRUNC, 0666), true, &dev),
	    0);
	return dev;
}

#endif
