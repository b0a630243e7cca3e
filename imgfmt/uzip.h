/*
 * geom_uzip images: a block device compressed cluster by cluster
 * (formats.md 1).  The reader is a read-only blkdev of nclusters * cluster
 * bytes; the writer takes clusters in order, as plain bytes or as the
 * compressed bytes of another image.
 */
#ifndef UZIP_H
#define UZIP_H

#include "blkdev.h"
#include "pool.h"

enum uzip_codec {
	UZIP_ZLIB, /* letters V, v */
	UZIP_LZMA, /* letters L, l: .xz streams */
	UZIP_ZSTD, /* letters Z, z */
};

enum { UZIP_PREAMBLE = 128 };

struct uzip_info {
	enum uzip_codec codec;
	char letter;      /* byte 11 of the file: V v L l Z z */
	char version;     /* byte 12: '2', '3', '4' */
	uint32_t cluster; /* bytes, a multiple of 512 up to 1 MiB */
	uint32_t nclusters;
	uint8_t preamble[UZIP_PREAMBLE]; /* as found */
};

enum uzip_kind {
	UZIP_ZERO,    /* nothing stored */
	UZIP_STORED,  /* first user of its bytes */
	UZIP_BACKREF, /* shares the bytes of an earlier cluster */
};

/* Where a cluster's compressed bytes lie in the container. */
struct uzip_span {
	enum uzip_kind kind;
	uint32_t len; /* bytes, may include slack behind the stream */
	uint64_t off; /* bytes from the start of the container */
};

/* What the index says, counted: one pass over it. */
struct uzip_counts {
	uint64_t zero, stored, backref; /* clusters of each kind */
	uint64_t stored_bytes;
	uint64_t data_end; /* end of the last stored cluster's bytes */
};

/* "zlib", "xz" or "zstd". */
const char *uzip_codec_name(enum uzip_codec codec);

/* 1 when dev begins like a uzip that kernels accept, 0 when not, -errno. */
MUST_CHECK int uzip_probe(struct blkdev *dev);

/*
 * Open the container lower.  cache_max bounds the bytes of decompressed
 * clusters that are kept.  pool, which may be NULL, is borrowed for reads of
 * many clusters; reads from inside a run of it are fine.  The index is paged
 * in lazily for V, L and Z; v, l and z need one scan.  On success *out owns
 * lower; on error the caller still does. -ECORRUPT: the header or the index
 * contradicts formats.md 1.5, 1.6; said with its byte offset.  -ENOTSUP: cloop
 * of another kind, said.
 */
MUST_CHECK int uzip_open(struct blkdev *lower, uint64_t cache_max,
    struct pool *pool, struct blkdev **out);

/*
 * As uzip_open, for judging and rescuing: faults of the index do not refuse
 * the image and are left to uzip_check to tell; reading the clusters they
 * concern fails.
 */
MUST_CHECK int uzip_open_damaged(struct blkdev *lower, uint64_t cache_max,
    struct pool *pool, struct blkdev **out);

/* Facts of an open image; dev must come from uzip_open. */
const struct uzip_info *uzip_info(struct blkdev *dev);

/* The container below the decompressed view; still dev's. */
struct blkdev *uzip_container(struct blkdev *dev);

/*
 * Where cluster i lies.  The last one of the container, which may be followed
 * by padding, is decoded to tell its true length.  -ECORRUPT: its index
 * entries are invalid.
 */
MUST_CHECK int uzip_span(struct blkdev *dev, uint32_t i, struct uzip_span *out);

/* Count the kinds of clusters.  Errors as uzip_span. */
MUST_CHECK int uzip_count(struct blkdev *dev, struct uzip_counts *out);

/*
 * The same of a part of the clusters, if there are many: enough to compare the
 * numbers with one another, at a cost that has a bound.
 */
MUST_CHECK int uzip_count_some(struct blkdev *dev, struct uzip_counts *out);

/* Whether it holds a zero cluster: 1, 0.  Errors as uzip_span. */
MUST_CHECK int uzip_has_zero(struct blkdev *dev);

/*
 * The bytes of the container from the first to the last of clusters first ..
 * first + n - 1 that have some of their own.  Errors as uzip_span.
 */
MUST_CHECK int uzip_extent(
    struct blkdev *dev, uint32_t first, uint32_t n, uint64_t *bytes);

/*
 * How many of clusters first .. first + n - 1, from the first on, are zero ones
 * as far as the index tells in large pieces: it does not of the image's last.
 */
MUST_CHECK int uzip_zero_run(
    struct blkdev *dev, uint32_t first, uint32_t n, uint32_t *zero);

/*
 * How many of clusters first .. first + n - 1, from the first on, take the
 * same number of bytes in a and in b, both with that many; as far as their
 * indexes tell in large pieces: fewer than are equal, where back-references or
 * a last cluster, whose length is another matter, interrupt.  Errors of reading
 * them; invalid entries only end it.
 */
MUST_CHECK int uzip_same_lengths(struct blkdev *a, struct blkdev *b,
    uint32_t first, uint32_t n, uint32_t *same);

/*
 * The level for clusters written beside those of dev: what its first ones
 * show (the level hint of zlib, the dictionary of an xz preset), or 0, the
 * codec's default, where they do not tell.
 */
MUST_CHECK int uzip_level_guess(struct blkdev *dev, int *level);

/* Called as work goes on; a negative answer (-EINTR) stops it. */
typedef int uzip_progress(void *arg, uint64_t done_bytes);

/*
 * Judge the whole image as kernels would: index rules of formats.md 1.5 and
 * 1.6, every cluster decoded.  Each fault is one log_error line; their number
 * is the result, or -errno where checking could not go on.  What only older
 * kernels mind is a warning.  pool and progress may be NULL.  dev comes from
 * uzip_open_damaged, so that a faulty index does not hide the rest.
 */
MUST_CHECK int uzip_check(
    struct blkdev *dev, struct pool *pool, uzip_progress *progress, void *arg);

/* How a new image is to be written. */
struct uzip_params {
	enum uzip_codec codec;
	/*
	 * 0: the default of the codec; zlib 1..12 (libdeflate), default 6;
	 * xz 1..9, default 6; zstd up to 22, also negative, default 9.
	 */
	int level;
	uint32_t cluster;
	bool dedup;
	bool keep_zeroes; /* -Z: zero clusters are compressed too */
	/*
	 * How the container that clusters are copied from can share its bytes
	 * with the new image's file.  Copied clusters that lie suitably do.
	 * Where at least share_least bytes are copied in a row, a cluster
	 * before them is padded so that they do (formats.md 1.5, slack); 0:
	 * nowhere.
	 */
	struct blkdev_sharing sharing;
	uint64_t share_least;
	/*
	 * Another image's 128 bytes, kept but for letter and version where
	 * those do not fit codec and dedup; NULL: mkuzip's (formats.md 1.2).
	 */
	const uint8_t *preamble;
};

struct uzip_writer;

/*
 * Start an image of nclusters clusters at base of out (which is resized as it
 * grows and stays the caller's).  pool is borrowed.  -EINVAL: a cluster size
 * or level that the codec or kernels cannot take, said.
 */
MUST_CHECK int uzip_writer_open(struct blkdev *out, uint64_t base,
    uint32_t nclusters, const struct uzip_params *params, struct pool *pool,
    struct uzip_writer **w);

/*
 * Append len bytes of plain data; any length, the last cluster is padded with
 * zeroes at the end.  Compresses in parallel.  -EFBIG: more than nclusters;
 * -EOVERFLOW: a cluster that kernels would refuse (formats.md 1.5, max_blen),
 * said with its number and what helps.  Others from writing out.  What was
 * given is queued: an error may be that of an earlier cluster, and is final.
 */
MUST_CHECK int uzip_writer_put(
    struct uzip_writer *w, const void *buf, size_t len);

/* Append n zero clusters.  Only between whole clusters. */
MUST_CHECK int uzip_writer_put_zero(struct uzip_writer *w, uint32_t n);

/*
 * Append clusters first .. first + n - 1 of the open image from, which has
 * the same codec and cluster size (-EINVAL), as their compressed bytes,
 * without decoding them (but the last of the image, whose length the index
 * may not tell).  With dedup back-references stay back-references to where
 * their bytes went, or carry the bytes where those were not copied
 * (livecds.md, hazard 4).  Only between whole clusters (-EINVAL).  from must
 * stay open until the writer is finished or closed.
 */
MUST_CHECK int uzip_writer_put_from(
    struct uzip_writer *w, struct blkdev *from, uint32_t first, uint32_t n);

/*
 * Append cluster no of from, as above, by its stream without what pads it, once
 * that has been decoded without fault; what cannot go on as it is (of another
 * length than the codec's rules allow, or zero) is compressed anew.  Duplicates
 * are found as those of plain clusters are.  Many are decoded in parallel.  A
 * damaged cluster is -ECORRUPT, said.
 */
MUST_CHECK int uzip_writer_put_proven(
    struct uzip_writer *w, struct blkdev *from, uint32_t no);

struct uzip_written {
	uint64_t bytes; /* of the container, padded to 512 */
	uint64_t compressed, copied, zero, backref; /* clusters */
	/* Bytes of copied clusters that are shared, and that are not; those of
	 * compressed ones; and what pads either. */
	uint64_t shared_bytes, copied_bytes, compressed_bytes, padding;
};

/*
 * Pad the last cluster and the file, write the index.  Clusters never given
 * are zero.  *out is set on success.  w stays to be closed.
 */
MUST_CHECK int uzip_writer_finish(
    struct uzip_writer *w, struct uzip_written *out);

/* NULL is fine. */
void uzip_writer_close(struct uzip_writer *w);

#endif
