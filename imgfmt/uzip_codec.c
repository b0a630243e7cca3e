#include "uzip_codec.h"

#include <libdeflate.h>
#include <lzma.h>
#include <string.h>
#include <zstd.h>

enum {
	ZLIB_DEFAULT = 6,
	ZLIB_MAX = 12,
	LZMA_DEFAULT = 6,
	LZMA_MAX = 9,
	ZSTD_DEFAULT = 9,
	/* A dictionary is never touched beyond the cluster; preset 9's fits. */
	LZMA_MEMORY = 128 << 20,
	XZ_HEADER = LZMA_STREAM_HEADER_SIZE,
	/* Stream and block header, index, footer and what LZMA2 adds. */
	XZ_ROOM = 256,
};

struct uzip_decoder {
	enum uzip_codec codec;
	struct libdeflate_decompressor *zlib;
	lzma_stream lzma;
	ZSTD_DCtx *zstd;
};

int
uzip_decoder_open(enum uzip_codec codec, struct uzip_decoder **out)
{
	struct uzip_decoder *d = calloc(1, sizeof(*d));
	bool ok = true;

	if (d == NULL)
		return -ENOMEM;
	d->codec = codec;
	d->lzma = (lzma_stream)LZMA_STREAM_INIT;
	if (codec == UZIP_ZLIB)
		ok = (d->zlib = libdeflate_alloc_decompressor()) != NULL;
	else if (codec == UZIP_ZSTD)
		ok = (d->zstd = ZSTD_createDCtx()) != NULL;
	if (!ok) {
		uzip_decoder_close(d);
		return -ENOMEM;
	}
	*out = d;
	return 0;
}

void
uzip_decoder_close(struct uzip_decoder *d)
{
	if (d == NULL)
		return;
	libdeflate_free_decompressor(d->zlib);
	lzma_end(&d->lzma);
	ZSTD_freeDCtx(d->zstd);
	free(d);
}

static int
decode_zlib(struct uzip_decoder *d, const struct uzip_stream *s, void *out,
    size_t cap, struct uzip_decoded *got)
{
	enum libdeflate_result r = libdeflate_zlib_decompress_ex(
	    d->zlib, s->in, s->len, out, cap, &got->used, &got->out);

	return r == LIBDEFLATE_SUCCESS ? 0 : -ECORRUPT;
}

/* Initialising an lzma_stream again keeps its memory: that is the point. */
static int
decode_lzma(struct uzip_decoder *d, const struct uzip_stream *s, void *out,
    size_t cap, struct uzip_decoded *got)
{
	lzma_ret r = lzma_stream_decoder(&d->lzma, LZMA_MEMORY, 0);

	d->lzma.next_in = s->in;
	d->lzma.avail_in = s->len;
	d->lzma.next_out = out;
	d->lzma.avail_out = cap;
	/* With the output full it may stop short of the index and footer. */
	while (r == LZMA_OK)
		r = lzma_code(&d->lzma, LZMA_FINISH);
	if (r == LZMA_MEM_ERROR)
		return -ENOMEM;
	got->out = cap - d->lzma.avail_out;
	got->used = s->len - d->lzma.avail_in;
	return r == LZMA_STREAM_END ? 0 : -ECORRUPT;
}

static int
decode_zstd(struct uzip_decoder *d, const struct uzip_stream *s, void *out,
    size_t cap, struct uzip_decoded *got)
{
	size_t first = ZSTD_findFrameCompressedSize(s->in, s->len);
	bool alone = false;
	size_t r;

	if (ZSTD_isError(first))
		return -ECORRUPT;
	r = ZSTD_decompressDCtx(d->zstd, out, cap, s->in, s->len);
	if (ZSTD_isError(r) && s->junk_after) {
		r = ZSTD_decompressDCtx(d->zstd, out, cap, s->in, first);
		alone = true;
	}
	if (ZSTD_isError(r))
		return -ECORRUPT;
	got->out = r;
	/* Is all of it in the first frame, so that the rest is slack? */
	alone |= ZSTD_getFrameContentSize(s->in, first) == r;
	got->used = alone ? first : s->len;
	return 0;
}

int
uzip_decode(struct uzip_decoder *d, const struct uzip_stream *s, void *out,
    size_t cap, struct uzip_decoded *got)
{
	switch (d->codec) {
	case UZIP_ZLIB:
		return decode_zlib(d, s, out, cap, got);
	case UZIP_LZMA:
		return decode_lzma(d, s, out, cap, got);
	default:
		return decode_zstd(d, s, out, cap, got);
	}
}

/*
 * The filters of an .xz stream's first block; they end with LZMA_VLI_UNKNOWN
 * and their options want free().  False: it has none that can be read.
 */
static bool
xz_filters(const uint8_t *in, size_t len, lzma_stream_flags *flags,
    lzma_filter *filters)
{
	lzma_block block = {.version = 0, .filters = filters};

	filters[0].id = LZMA_VLI_UNKNOWN;
	if (len <= XZ_HEADER || lzma_stream_header_decode(flags, in) != LZMA_OK)
		return false;
	block.check = flags->check;
	block.header_size = lzma_block_header_size_decode(in[XZ_HEADER]);
	return in[XZ_HEADER] != 0 && block.header_size <= len - XZ_HEADER &&
	    lzma_block_header_decode(&block, NULL, in + XZ_HEADER) == LZMA_OK;
}

static void
free_filters(lzma_filter *filters)
{
	for (size_t i = 0; filters[i].id != LZMA_VLI_UNKNOWN; i++)
		free(filters[i].options);
}

const char *
uzip_stream_fault(
    enum uzip_codec codec, const uint8_t *in, size_t len, bool *all)
{
	lzma_filter filters[LZMA_FILTERS_MAX + 1];
	lzma_stream_flags flags;
	const char *fault = NULL;

	if (codec != UZIP_LZMA || !xz_filters(in, len, &flags, filters))
		return NULL;
	*all = true;
	if (filters[0].id != LZMA_FILTER_LZMA2) {
		fault = "a filter other than LZMA2";
	} else if (flags.check == LZMA_CHECK_CRC64) {
		fault = "a CRC64 check";
		*all = false;
	} else if (flags.check != LZMA_CHECK_CRC32 &&
	    flags.check != LZMA_CHECK_NONE) {
		fault = "a check other than CRC32";
	}
	free_filters(filters);
	return fault;
}

static int
zlib_level(const uint8_t *in, size_t len)
{
	static const int worth[4] = {1, 4, 6, 6}; /* by the hint, RFC 1950 */

	if (len < 2 || (in[0] & 0x0f) != 8 || (in[0] << 8 | in[1]) % 31 != 0)
		return 0;
	return worth[in[1] >> 6];
}

/* Our own streams have dictionaries no larger than a cluster: they say 0. */
static int
lzma_level(const uint8_t *in, size_t len)
{
	static const struct {
		uint32_t dict;
		int level;
	} presets[] = {
	    {1 << 20, 1},
	    {2 << 20, 2},
	    {4 << 20, 4},
	    {8 << 20, 6},
	    {16 << 20, 7},
	    {32 << 20, 8},
	    {64 << 20, 9},
	};
	lzma_filter filters[LZMA_FILTERS_MAX + 1];
	lzma_stream_flags flags;
	uint32_t dict = 0;

	if (!xz_filters(in, len, &flags, filters))
		return 0;
	if (filters[0].id == LZMA_FILTER_LZMA2)
		dict = ((lzma_options_lzma *)filters[0].options)->dict_size;
	free_filters(filters);
	for (size_t i = 0; i < sizeof(presets) / sizeof(presets[0]); i++)
		if (presets[i].dict == dict)
			return presets[i].level;
	return 0;
}

int
uzip_stream_level(enum uzip_codec codec, const uint8_t *in, size_t len)
{
	switch (codec) {
	case UZIP_ZLIB:
		return zlib_level(in, len);
	case UZIP_LZMA:
		return lzma_level(in, len);
	default:
		return 0; /* a frame that knows its size does not show it */
	}
}

struct uzip_encoder {
	enum uzip_codec codec;
	int level;
	uint32_t cluster;
	struct libdeflate_compressor *zlib, *stored;
	lzma_stream lzma;
	lzma_options_lzma options;
	ZSTD_CCtx *zstd;
};

void
uzip_levels(enum uzip_codec codec, int *def, int *low, int *high)
{
	static const int defaults[] = {
	    [UZIP_ZLIB] = ZLIB_DEFAULT,
	    [UZIP_LZMA] = LZMA_DEFAULT,
	    [UZIP_ZSTD] = ZSTD_DEFAULT,
	};

	*def = defaults[codec];
	*low = codec == UZIP_ZSTD ? ZSTD_minCLevel() : 1;
	*high = codec == UZIP_ZLIB ? ZLIB_MAX
	    : codec == UZIP_LZMA   ? LZMA_MAX
				   : ZSTD_maxCLevel();
}

static bool
open_zlib(struct uzip_encoder *e)
{
	e->zlib = libdeflate_alloc_compressor(e->level);
	e->stored = libdeflate_alloc_compressor(0);
	return e->zlib != NULL && e->stored != NULL;
}

/*
 * The preset with a dictionary no larger than a cluster: finds the same
 * matches, without clearing megabytes of hash table for every cluster.
 */
static bool
open_lzma(struct uzip_encoder *e)
{
	uint32_t dict = LZMA_DICT_SIZE_MIN;

	if (lzma_lzma_preset(&e->options, (uint32_t)e->level))
		return false;
	while (dict < e->cluster)
		dict *= 2;
	if (e->options.dict_size > dict)
		e->options.dict_size = dict;
	return true;
}

static bool
open_zstd(struct uzip_encoder *e)
{
	e->zstd = ZSTD_createCCtx();
	return e->zstd != NULL &&
	    !ZSTD_isError(ZSTD_CCtx_setParameter(
		e->zstd, ZSTD_c_compressionLevel, e->level)) &&
	    !ZSTD_isError(
		ZSTD_CCtx_setParameter(e->zstd, ZSTD_c_checksumFlag, 1));
}

int
uzip_encoder_open(enum uzip_codec codec, int level, uint32_t cluster,
    struct uzip_encoder **out)
{
	struct uzip_encoder *e = calloc(1, sizeof(*e));
	int low, high, def;
	bool ok;

	if (e == NULL)
		return -ENOMEM;
	uzip_levels(codec, &def, &low, &high);
	e->codec = codec;
	e->level = level != 0 ? level : def;
	e->cluster = cluster;
	e->lzma = (lzma_stream)LZMA_STREAM_INIT;
	ok = codec == UZIP_ZLIB  ? open_zlib(e)
	    : codec == UZIP_LZMA ? open_lzma(e)
				 : open_zstd(e);
	if (!ok) {
		uzip_encoder_close(e);
		return -ENOMEM;
	}
	*out = e;
	return 0;
}

void
uzip_encoder_close(struct uzip_encoder *e)
{
	if (e == NULL)
		return;
	libdeflate_free_compressor(e->zlib);
	libdeflate_free_compressor(e->stored);
	lzma_end(&e->lzma);
	ZSTD_freeCCtx(e->zstd);
	free(e);
}

size_t
uzip_encode_room(enum uzip_codec codec, size_t len)
{
	switch (codec) {
	case UZIP_ZLIB:
		return libdeflate_zlib_compress_bound(NULL, len);
	case UZIP_LZMA:
		return lzma_stream_buffer_bound(len) + XZ_ROOM;
	default:
		return ZSTD_compressBound(len);
	}
}

/* Incompressible bytes cut into many blocks could pass the kernels' bound. */
static int
encode_zlib(struct uzip_encoder *e, const void *in, size_t len, void *out,
    size_t cap, size_t *used)
{
	*used = libdeflate_zlib_compress(e->zlib, in, len, out, cap);
	if (*used == 0 || *used > len)
		*used = libdeflate_zlib_compress(e->stored, in, len, out, cap);
	return *used > 0 ? 0 : -EIO;
}

static int
encode_lzma(struct uzip_encoder *e, const void *in, size_t len, void *out,
    size_t cap, size_t *used)
{
	lzma_filter filters[] = {
	    {LZMA_FILTER_LZMA2, &e->options}, {LZMA_VLI_UNKNOWN, NULL}};
	lzma_ret r = lzma_stream_encoder(&e->lzma, filters, LZMA_CHECK_CRC32);

	e->lzma.next_in = in;
	e->lzma.avail_in = len;
	e->lzma.next_out = out;
	e->lzma.avail_out = cap;
	while (r == LZMA_OK)
		r = lzma_code(&e->lzma, LZMA_FINISH);
	*used = cap - e->lzma.avail_out;
	if (r == LZMA_STREAM_END)
		return 0;
	return r == LZMA_MEM_ERROR ? -ENOMEM : -EIO;
}

static int
encode_zstd(struct uzip_encoder *e, const void *in, size_t len, void *out,
    size_t cap, size_t *used)
{
	*used = ZSTD_compress2(e->zstd, out, cap, in, len);
	return ZSTD_isError(*used) ? -EIO : 0;
}

int
uzip_encode(struct uzip_encoder *e, const void *in, size_t len, void *out,
    size_t cap, size_t *used)
{
	switch (e->codec) {
	case UZIP_ZLIB:
		return encode_zlib(e, in, len, out, cap, used);
	case UZIP_LZMA:
		return encode_lzma(e, in, len, out, cap, used);
	default:
		return encode_zstd(e, in, len, out, cap, used);
	}
}
