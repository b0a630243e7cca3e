#include "uzip_format.h"

#include <string.h>
#include <zstd.h>

#include "log.h"

static const char PREFIX[] = "#!/bin/sh\n";

#define MOUNT_WITH(kldstat, kldload, suffix) \
	"(" kldstat "||" kldload \
	")>&-&&mount_cd9660 /dev/`mdconfig -af $0`." suffix " $1\nexit $?\n"
#define MOUNT_UZIP MOUNT_WITH("kldstat -qm g_uzip", "kldload geom_uzip", "uzip")

static const struct variant {
	char letter;  /* upper case: without back-references */
	char version; /* kernels ask for this one or a later one */
	const char *name;
	const char *text; /* mkuzip's preamble, formats.md 1.2 */
} variants[] = {
    [UZIP_ZLIB] = {'V', '2', "zlib", "#!/bin/sh\n#V2.0 Format\n" MOUNT_UZIP},
    [UZIP_LZMA] = {'L', '3', "xz",
	"#!/bin/sh\n#L3.0\nn=uncompress\nm=geom_$n\n" MOUNT_WITH(
	    "kldstat -m $m 2>&-", "kldload $m", "$n")},
    [UZIP_ZSTD] = {'Z', '4', "zstd", "#!/bin/sh\n#Z4.0 Format\n" MOUNT_UZIP},
};

const char *
uzip_codec_name(enum uzip_codec codec)
{
	return variants[codec].name;
}

static char
upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* The codec of a letter, or -1. */
static int
codec_of(char letter)
{
	for (int i = UZIP_ZLIB; i <= UZIP_ZSTD; i++)
		if (variants[i].letter == upper(letter))
			return i;
	return -1;
}

/*
 * Is this preamble one that kernels take?  -ENOTSUP: a cloop of Linux with
 * another layout: 0.x and 1.x, and 4.x, which has its index behind the data.
 */
static int
judge_preamble(const struct uzip_disk_header *h)
{
	int codec = codec_of((char)h->letter);

	if (memcmp(h->prefix, PREFIX, sizeof(h->prefix)) != 0 || codec < 0 ||
	    h->version < '0' || h->version > '9')
		return -ECORRUPT;
	if (h->letter == 'V' && (h->version < '2' || h->version >= '4'))
		return -ENOTSUP;
	return h->version >= variants[codec].version || codec == UZIP_ZLIB
	    ? codec
	    : -ECORRUPT;
}

static int
judge_geometry(const struct uzip_info *info, uint64_t size, bool quiet)
{
	const char *fault = NULL;

	if (info->cluster == 0 || info->cluster % UZIP_SECTOR != 0)
		fault = "cluster size is no multiple of 512";
	else if (info->nclusters == 0)
		fault = "no clusters";
	else if (uzip_data_start(info->nclusters) > size)
		fault = "the index is cut off by the end";
	if (fault != NULL) {
		if (!quiet)
			log_error("uzip header at byte 128: %s (%u clusters "
				  "of %u bytes in %llu bytes)",
			    fault, info->nclusters, info->cluster,
			    (unsigned long long)size);
		return -ECORRUPT;
	}
	if (info->cluster <= UZIP_CLUSTER_MAX)
		return 0;
	if (!quiet)
		log_error("uzip header at byte 128: clusters of %u bytes, "
			  "the most supported is %u",
		    info->cluster, (unsigned)UZIP_CLUSTER_MAX);
	return -ENOTSUP;
}

static void
say_preamble(int rc, const struct uzip_disk_header *h)
{
	if (rc == -ENOTSUP)
		log_error("cloop of version %c at byte 0: its index is laid "
			  "out otherwise than geom_uzip's; convert it to "
			  "version 2",
		    h->version);
	else
		log_error("not a uzip: nothing at byte 0 that geom_uzip knows");
}

int
uzip_header_read(struct blkdev *dev, bool quiet, struct uzip_info *out)
{
	struct uzip_disk_header h;
	int rc, codec;

	if (dev->size < sizeof(h)) {
		if (!quiet)
			log_error("not a uzip: only %llu bytes",
			    (unsigned long long)dev->size);
		return -ECORRUPT;
	}
	rc = blkdev_read(dev, 0, &h, sizeof(h));
	if (rc < 0)
		return rc;
	codec = judge_preamble(&h);
	if (codec < 0) {
		if (!quiet)
			say_preamble(codec, &h);
		return codec;
	}
	*out = (struct uzip_info){
	    .codec = (enum uzip_codec)codec,
	    .letter = (char)h.letter,
	    .version = (char)h.version,
	    .cluster = be32_get(h.cluster),
	    .nclusters = be32_get(h.nclusters),
	};
	memcpy(out->preamble, &h, sizeof(out->preamble));
	return judge_geometry(out, dev->size, quiet);
}

int
uzip_probe(struct blkdev *dev)
{
	struct uzip_info info;
	int rc = uzip_header_read(dev, true, &info);

	if (rc == -ENOTSUP || rc == -ECORRUPT)
		return 0;
	return rc < 0 ? rc : 1;
}

void
uzip_preamble_make(
    enum uzip_codec codec, bool dedup, const uint8_t *given, uint8_t *out)
{
	const struct variant *v = &variants[codec];
	char version = v->version;
	char letter = dedup ? lower(v->letter) : v->letter;

	if (dedup && version < '3')
		version = '3';
	if (given == NULL) {
		memset(out, 0, UZIP_PREAMBLE);
		memcpy(out, v->text, strlen(v->text));
	} else {
		memcpy(out, given, UZIP_PREAMBLE);
		/* What is consistent already stays as it was found. */
		if ((char)given[UZIP_LETTER_AT] == letter &&
		    (char)given[UZIP_VERSION_AT] >= version)
			version = (char)given[UZIP_VERSION_AT];
	}
	out[UZIP_LETTER_AT] = (uint8_t)letter;
	out[UZIP_VERSION_AT] = (uint8_t)version;
}

uint32_t
uzip_most_read(enum uzip_codec codec, uint32_t b)
{
	switch (codec) {
	case UZIP_ZLIB: /* b >> 25 is 0 for all sizes read here */
		return b + (b >> 12) + (b >> 14) + 13;
	case UZIP_LZMA:
		return b + b / 255 + 16;
	default:
		return (uint32_t)ZSTD_compressBound(b);
	}
}

uint32_t
uzip_most_write(enum uzip_codec codec, uint32_t b)
{
	return codec == UZIP_ZLIB ? b + (b >> 12) + (b >> 14) + 11
				  : uzip_most_read(codec, b);
}
