/*
 * For the tests of images and sessions: a scratch folder, small images made by
 * our own mkfs and uzip writer, and the last line that was said.
 */
#ifndef IMAGE_KIT_H
#define IMAGE_KIT_H

#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>

#include "../../fusefs/image.h"
#include "../../imgfmt/log.h"
#include "../../imgfmt/ufs.h"
#include "../../imgfmt/uzip.h"
#include "check.h"

enum { KIT_UFS_SIZE = 2 << 20 };

static char kit_dir[64];
static char kit_said[2048];
static int kit_lines;

static inline void
kit_sink(enum log_level level, const char *line)
{
	if (level > LOG_WARN_LEVEL)
		return;
	kit_lines++;
	(void)snprintf(kit_said, sizeof(kit_said), "%s", line);
}

/* Run a command in the scratch folder. */
__attribute__((format(printf, 1, 2))) static inline int
kit_sh(const char *format, ...)
{
	char command[4096];
	int n = snprintf(command, sizeof(command), "cd %s && (", kit_dir);
	va_list args;

	va_start(args, format);
	n += vsnprintf(command + n, sizeof(command) - (size_t)n, format, args);
	va_end(args);
	(void)snprintf(
	    command + n, sizeof(command) - (size_t)n, ") >/dev/null 2>&1");
	return system(command);
}

static inline void
kit_cleanup(void)
{
	char command[128];

	(void)snprintf(command, sizeof(command), "rm -rf %s", kit_dir);
	if (system(command) != 0)
		printf("# cannot remove %s\n", kit_dir);
}

/* Begin a test: a new scratch folder (kept till the end), nothing said. */
static inline void
kit_begin(void)
{
	if (kit_dir[0] != '\0')
		kit_cleanup();
	else
		(void)atexit(kit_cleanup);
	(void)snprintf(kit_dir, sizeof(kit_dir), "%s/relive-unit.XXXXXX",
	    getenv("TMPDIR") != NULL && strlen(getenv("TMPDIR")) < 30
		? getenv("TMPDIR")
		: "/tmp");
	if (mkdtemp(kit_dir) == NULL)
		CHECK(!"no scratch folder");
	log_set_sink(kit_sink);
	kit_lines = 0;
	kit_said[0] = '\0';
}

/* A path in the scratch folder; four of them live at a time. */
static inline const char *
kit_path(const char *name)
{
	static char paths[4][512];
	static unsigned next;
	char *path = paths[next++ % 4];

	(void)snprintf(path, sizeof(paths[0]), "%s/%s", kit_dir, name);
	return path;
}

/* A new writable file, as a device. */
static inline struct blkdev *
kit_create(const char *name)
{
	struct blkdev *dev = NULL;
	int fd = open(kit_path(name), O_RDWR | O_CREAT | O_TRUNC, 0666);

	CHECK(fd >= 0 && blkdev_file_adopt(fd, true, &dev) == 0);
	return dev;
}

/* An empty file system of that label. */
static inline void
kit_ufs(const char *name, const char *label)
{
	const struct ufs_mkfs how = {.version = 2,
	    .block_size = 4096,
	    .frag_size = 512,
	    .label = label,
	    .time = 1600000000 + label[0]};
	struct blkdev *dev = kit_create(name);

	CHECK_EQ(blkdev_resize(dev, KIT_UFS_SIZE), 0);
	CHECK_EQ(ufs_mkfs(dev, &how), 0);
	blkdev_close(dev);
}

/* A uzip of any file. */
static inline void
kit_uzip(const char *name, const char *from)
{
	const struct uzip_params params = {.cluster = 16384};
	struct blkdev *in = NULL, *out = kit_create(name);
	struct uzip_writer *w = NULL;
	struct uzip_written written;
	char buf[16384];

	CHECK_EQ(blkdev_file_open(kit_path(from), &in), 0);
	CHECK_EQ(uzip_writer_open(out, 0,
		     (uint32_t)((in->size + 16383) / 16384), &params, NULL, &w),
	    0);
	for (uint64_t off = 0; off < in->size; off += sizeof(buf)) {
		size_t n = in->size - off < sizeof(buf)
		    ? (size_t)(in->size - off)
		    : sizeof(buf);

		CHECK_EQ(blkdev_read(in, off, buf, n), 0);
		CHECK_EQ(uzip_writer_put(w, buf, n), 0);
	}
	CHECK_EQ(uzip_writer_finish(w, &written), 0);
	uzip_writer_close(w);
	blkdev_close(in);
	blkdev_close(out);
}

/* A file of that size with some bytes at some place. */
static inline void
kit_file(const char *name, uint64_t size, uint64_t off, const void *bytes,
    size_t len)
{
	struct blkdev *dev = kit_create(name);

	CHECK_EQ(blkdev_resize(dev, size), 0);
	CHECK_EQ(blkdev_write(dev, off, bytes, len), 0);
	blkdev_close(dev);
}

static inline bool
kit_has(const char *program)
{
	char command[128];

	(void)snprintf(
	    command, sizeof(command), "command -v %s >/dev/null 2>&1", program);
	return system(command) == 0;
}

#endif
