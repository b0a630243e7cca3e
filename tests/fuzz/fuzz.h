/* What the fuzz targets share: the input as a device, silence. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../imgfmt/blkdev.h"
#include "../../imgfmt/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void
fuzz_silence(enum log_level level, const char *line)
{
	(void)level;
	(void)line;
}

/* The input as a device in memory; NULL when there is none. */
static inline struct blkdev *
fuzz_device(const uint8_t *data, size_t size)
{
	struct blkdev *dev = NULL;

	log_set_sink(fuzz_silence);
	if (blkdev_mem_open(size, &dev) < 0)
		return NULL;
	if (size > 0 && blkdev_write(dev, 0, data, size) < 0)
		abort();
	dev->writable = false;
	return dev;
}

/* Read dev's beginning, as far as most; errors are fine, crashes are not. */
static inline void
fuzz_read(struct blkdev *dev, uint64_t most)
{
	static uint8_t buf[16384];

	for (uint64_t off = 0; off < dev->size && off < most;
	     off += sizeof(buf)) {
		uint64_t left = dev->size - off;

		(void)!blkdev_read(dev, off, buf,
		    left < sizeof(buf) ? (size_t)left : sizeof(buf));
	}
}

/* The input as a file of that name, in memory where there is such a folder. */
static inline const char *
fuzz_file(const char *name, const uint8_t *data, size_t size)
{
	static char path[128];
	FILE *f;

	log_set_sink(fuzz_silence);
	(void)snprintf(path, sizeof(path), "%s/relive-fuzz-%s.%d",
	    access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", name,
	    getpid());
	f = fopen(path, "w");
	if (f == NULL || fwrite(data, 1, size, f) != size || fclose(f) != 0)
		abort();
	return path;
}

/* What an input says, a number at a time; zeroes at its end. */
struct fuzz_words {
	const uint8_t *at, *end;
};

static inline uint32_t
fuzz_word(struct fuzz_words *words, unsigned bytes)
{
	uint32_t value = 0;

	while (bytes-- > 0 && words->at < words->end)
		value = value << 8 | *words->at++;
	return value;
}

#endif
