/*
 * What a uzip looks like on disk (formats.md 1.1 .. 1.3, 1.5): a text
 * preamble, the cluster size, the number of clusters, one offset a cluster
 * and one more, then the compressed clusters back to back.
 */
#ifndef UZIP_FORMAT_H
#define UZIP_FORMAT_H

#include <assert.h>

#include "bytes.h"
#include "uzip.h"

/* Kernels compare prefix, letter and version, nothing else of the text. */
struct uzip_disk_header {
	uint8_t prefix[10]; /* "#!/bin/sh\n" */
	uint8_t hash;       /* '#', by custom */
	uint8_t letter;     /* V v L l Z z */
	uint8_t version;    /* '2', '3', '4' */
	uint8_t text[115];  /* NUL padded */
	be32 cluster;       /* bytes, uncompressed */
	be32 nclusters;
	/* be64 entry[nclusters + 1] follow */
};

static_assert(sizeof(struct uzip_disk_header) == 136, "formats.md 1.1");
static_assert(offsetof(struct uzip_disk_header, cluster) == UZIP_PREAMBLE,
    "formats.md 1.1");

enum {
	UZIP_LETTER_AT = 11,
	UZIP_VERSION_AT = 12,
	UZIP_HEADER = sizeof(struct uzip_disk_header),
	UZIP_SECTOR = 512,
	UZIP_CLUSTER_MAX = 1 << 20, /* MAXPHYS of the largest kernels */
	UZIP_LARGE = 128 << 10,     /* MAXPHYS of FreeBSD <= 12 and 32 bit */
	UZIP_TRUSTED_END = '4',     /* from this version on entry[n] counts */
};

/* Where entry i lies. */
static inline uint64_t
uzip_entry_at(uint64_t i)
{
	return UZIP_HEADER + 8 * i;
}

/* The first offset that data of an image of n clusters may have. */
static inline uint64_t
uzip_data_start(uint32_t n)
{
	return uzip_entry_at((uint64_t)n + 1);
}

/* Whether the letter allows back-references: v, l, z. */
static inline bool
uzip_letter_dedups(char letter)
{
	return letter >= 'a';
}

/*
 * Read and judge the header at the start of dev.  -ECORRUPT, -ENOTSUP: said.
 * quiet: the same, without a word, and -ECORRUPT for what is no uzip.
 */
MUST_CHECK int uzip_header_read(
    struct blkdev *dev, bool quiet, struct uzip_info *out);

/*
 * The 128 bytes for an image of codec: those given, with letter and version
 * made to fit, or mkuzip's text.
 */
void uzip_preamble_make(
    enum uzip_codec codec, bool dedup, const uint8_t *given, uint8_t *out);

/*
 * The longest span of a cluster that kernels accept (formats.md 1.5): of
 * 13.2 for reading, of the strictest kernel that knows the codec for writing.
 */
uint32_t uzip_most_read(enum uzip_codec codec, uint32_t cluster);
uint32_t uzip_most_write(enum uzip_codec codec, uint32_t cluster);

#endif
