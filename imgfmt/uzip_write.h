/* Inside the uzip writer: what uzip_write.c and uzip_copy.c share. */
#ifndef UZIP_WRITE_H
#define UZIP_WRITE_H

#include <pthread.h>

#include "uzip_codec.h"
#include "uzip_entries.h"
#include "uzip_format.h"
#include "uzip_map.h"
#include "uzip_stream.h"

struct uzip;
struct uzip_item;
struct uzip_packer;
struct uzip_stretch;

/* A cluster ready to enter the container. */
struct uzip_packed {
	bool zero;    /* and to be elided: there are no bytes */
	bool copied;  /* its stream is another image's */
	bool damaged; /* and could not be decoded: there are no bytes */
	size_t len;   /* of its stream */
	uint64_t hash;
};

/* Where a slot gets its cluster from, if it is not filled by the caller. */
struct uzip_origin {
	struct blkdev *from; /* or NULL */
	uint32_t no;
};

/* Bytes from .. end of the source that went to to. */
struct uzip_move {
	uint64_t from, end, to;
};

/* Where the bytes of clusters went that others may refer back to. */
struct uzip_moves {
	struct blkdev *source;
	struct uzip_move *run; /* ascending */
	size_t n, room;
	struct uzip_map single; /* by offset: what others took over */
};

/* Clusters on their way into the container. */
struct uzip_batch {
	struct uzip_item *items;
	size_t nitems;
	uint8_t *plain; /* slots whole clusters, then partial bytes */
	struct uzip_origin *origin; /* of each slot */
	uint8_t *encoded;           /* a room for each slot */
	struct uzip_packed *packed;
	uint32_t slots;
	uint64_t copying; /* clusters to be copied in items */
};

struct uzip_writer {
	struct uzip_params params;
	uint8_t preamble[UZIP_PREAMBLE];
	uint32_t n, most; /* clusters; bytes of the longest accepted */
	size_t room;      /* bytes that one encoded cluster may need */
	struct pool *pool;
	int error; /* the first one: the image is spoilt */

	/*
	 * What was asked for and is not yet in the container: the batch that
	 * is being filled, and before it the one that is being packed, or NULL.
	 */
	struct uzip_batch batch[2], *filled, *packing;
	uint32_t capacity; /* slots of a batch */
	uint32_t partial;  /* bytes behind the slots of filled */
	uint32_t given;    /* clusters, in the container or in a batch */
	uint8_t *tmp;      /* most bytes, or one cluster */

	/* The container so far. */
	struct uzip_sink sink;
	struct uzip_entries entries;
	uint64_t last_off; /* of the last cluster that is no back-reference */
	uint64_t open_end; /* where the last one ends if it may be padded */
	uint64_t open_len; /* and its bytes */
	struct uzip_map seen; /* by hash: what was compressed, with dedup */
	struct uzip_moves moves;
	struct uzip_stretch *stretch; /* room for one, once needed */
	uint8_t *zero; /* the stream of a zero cluster, once needed */
	struct uzip_packed zero_packed;
	struct uzip_written count;

	pthread_mutex_t lock; /* guards idle */
	struct uzip_packer *idle;
};

/* Clusters of the queue, in order, enter the container by these. */
MUST_CHECK int uzip_emit_zeroes(struct uzip_writer *w, uint32_t n);

/* Bytes of their own: for what was appended to sink at off. */
MUST_CHECK int uzip_emit_entry(struct uzip_writer *w, uint64_t off);

/* May the next cluster refer back to off?  formats.md 1.5, writer's rule. */
bool uzip_may_refer(const struct uzip_writer *w, uint64_t off);

/* Refer back to off. */
MUST_CHECK int uzip_emit_backref(struct uzip_writer *w, uint64_t off);

/* Encode a plain cluster into out, which has w->room bytes.  Any thread. */
MUST_CHECK int uzip_pack(struct uzip_writer *w, struct uzip_packer *p,
    const uint8_t *plain, uint8_t *out, struct uzip_packed *k);
/* The same of a cluster of another image; plain has room for one. */
MUST_CHECK int uzip_pack_origin(struct uzip_writer *w, struct uzip_packer *p,
    const struct uzip_origin *origin, uint8_t *plain, uint8_t *out,
    struct uzip_packed *k);
/* What is wrong with a cluster that could not be decoded: said, -ECORRUPT. */
MUST_CHECK int uzip_say_damaged(const struct uzip_origin *origin);
/* A cluster's stream is in out. */
void uzip_set_packed(const struct uzip_writer *w, const uint8_t *out,
    size_t len, struct uzip_packed *k);
MUST_CHECK int uzip_packer_get(struct uzip_writer *w, struct uzip_packer **out);
void uzip_packer_put(struct uzip_writer *w, struct uzip_packer *p);
void uzip_packers_close(struct uzip_writer *w);

/* A packed cluster, whose stream is p. */
MUST_CHECK int uzip_emit_packed(
    struct uzip_writer *w, const uint8_t *p, const struct uzip_packed *k);

/* Pack and emit. */
MUST_CHECK int uzip_emit_plain(struct uzip_writer *w, const uint8_t *plain);

/* Clusters first .. first + n - 1 of the open image from. */
MUST_CHECK int uzip_emit_copies(
    struct uzip_writer *w, struct blkdev *from, uint32_t first, uint32_t n);

/* Forget what was copied, and free its room. */
void uzip_copies_end(struct uzip_writer *w);

/* Append all of a stretch of u, which is not empty. */
MUST_CHECK int uzip_copy_stretch(
    struct uzip_writer *w, struct uzip *u, const struct uzip_stretch *s);

/* The bytes of a cluster of u, stored at span, were appended at to. */
MUST_CHECK int uzip_copy_done(struct uzip_writer *w, const struct uzip *u,
    const struct uzip_span *span, uint64_t to);

/*
 * Before a stretch of u is copied that could be shared but for a gap: pad what
 * was compressed just before, or else copy clusters up to one that is padded,
 * which *done counts.  Where none has room all stays as it is.
 */
MUST_CHECK int uzip_pad_before(struct uzip_writer *w, struct uzip *u,
    struct uzip_stretch *s, uint32_t *done);

#endif
