/*
 * One cluster's payload (formats.md 1.4): a zlib stream, an .xz stream or a
 * zstd frame.  Objects here serve one thread at a time and are made once and
 * used for many clusters.
 */
#ifndef UZIP_CODEC_H
#define UZIP_CODEC_H

#include "uzip.h"

struct uzip_decoder;
struct uzip_encoder;

MUST_CHECK int uzip_decoder_open(
    enum uzip_codec codec, struct uzip_decoder **out);
void uzip_decoder_close(struct uzip_decoder *d); /* NULL is fine */

struct uzip_stream {
	const void *in;
	size_t len;
	bool junk_after; /* anything may follow the stream */
};

/* What decoding found. */
struct uzip_decoded {
	size_t out;  /* plain bytes, may be fewer than there was room for */
	size_t used; /* compressed bytes that the stream took */
};

/*
 * Decode the stream at the start of s->in into out, which has room for cap
 * bytes.  What follows it is ignored for zlib and xz, as kernels do; for zstd
 * it must be frames (skippable ones are the usual slack) unless junk_after.
 * -ECORRUPT: no complete stream, or more than cap bytes; -ENOMEM.  Says
 * nothing.
 */
MUST_CHECK int uzip_decode(struct uzip_decoder *d, const struct uzip_stream *s,
    void *out, size_t cap, struct uzip_decoded *got);

/*
 * What kernels would not like about a stream that decodes: NULL or a few
 * words.  *all: no kernel takes it; else only those before 13.
 */
const char *uzip_stream_fault(
    enum uzip_codec codec, const uint8_t *in, size_t len, bool *all);

/*
 * The level worth writing beside this stream, or 0 when it does not tell:
 * the level hint in a zlib header, the dictionary size of an xz preset.  zlib
 * streams of level 7 to 9 give 6, which in libdeflate is smaller than them.
 */
int uzip_stream_level(enum uzip_codec codec, const uint8_t *in, size_t len);

/* The level used for 0; the lowest and the highest. */
void uzip_levels(enum uzip_codec codec, int *def, int *low, int *high);

/* level 0 is the default.  cluster: most bytes of one uzip_encode. */
MUST_CHECK int uzip_encoder_open(enum uzip_codec codec, int level,
    uint32_t cluster, struct uzip_encoder **out);
void uzip_encoder_close(struct uzip_encoder *e); /* NULL is fine */

/* Room that uzip_encode wants for len bytes. */
size_t uzip_encode_room(enum uzip_codec codec, size_t len);

/*
 * Encode len bytes; *used is set.  The same bytes always give the same
 * stream.  cap must be at least uzip_encode_room(len).  -ENOMEM; -EIO: the
 * library failed.
 */
MUST_CHECK int uzip_encode(struct uzip_encoder *e, const void *in, size_t len,
    void *out, size_t cap, size_t *used);

#endif
