/* One file on a scratch file system, and a pattern to write into it. */
#ifndef UFS_ONE_FILE_H
#define UFS_ONE_FILE_H

#include "ufs_scratch.h"

enum { S_REG = 0100644 };

static struct scratch scratch;
static uint8_t pattern[1 << 20], back[1 << 20];

static inline void
fill_pattern(void)
{
	uint32_t x = 1;

	for (size_t i = 0; i < sizeof(pattern); i++) {
		x = x * 1664525 + 1013904223;
		pattern[i] = (uint8_t)(x >> 24 | 1);
	}
}

static inline int64_t
write_at(int64_t ino, uint64_t off, size_t len)
{
	return ufs_write(scratch.fs, (uint64_t)ino, off, pattern, len);
}

/* Whether len bytes at off are those of pattern, or zero. */
static inline bool
reads(int64_t ino, uint64_t off, size_t len, const uint8_t *want)
{
	int64_t n = ufs_read(scratch.fs, (uint64_t)ino, off, back, len);
	static const uint8_t zeroes[sizeof(back)];

	return n == (int64_t)len &&
	    memcmp(back, want != NULL ? want : zeroes, len) == 0;
}

static inline int64_t
file_in(const struct scratch_shape *shape, const char *name)
{
	fill_pattern();
	scratch_make(&scratch, shape);
	return scratch_create(&scratch, UFS_ROOT, name, S_REG);
}

static inline uint64_t
free_bytes(void)
{
	struct ufs_info info;

	ufs_info(scratch.fs, &info);
	return info.free;
}

#endif
