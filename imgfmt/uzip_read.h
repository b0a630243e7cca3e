/* Inside the uzip reader: what uzip_check.c and uzip_copy.c need of it. */
#ifndef UZIP_READ_H
#define UZIP_READ_H

#include "uzip_cache.h"
#include "uzip_codec.h"
#include "uzip_index.h"

/* What one thread at a time needs to decode a cluster. */
struct uzip_worker {
	struct uzip_worker *next;
	struct uzip_decoder *decoder;
	uint8_t in[]; /* room for the longest span */
};

/* What a cluster's bytes turned out to hold. */
struct uzip_payload {
	bool zero;     /* no stream, zero padding only (trap 15) */
	uint32_t out;  /* plain bytes; the rest of the cluster is zero */
	uint32_t used; /* bytes of the stream, without slack */
};

struct uzip {
	struct blkdev dev;
	struct blkdev *lower; /* owned */
	struct uzip_info info;
	struct uzip_index index;
	struct uzip_cache *cache;
	struct pool *pool;    /* borrowed, may be NULL */
	pthread_mutex_t lock; /* guards all below */
	struct uzip_worker *idle;
	bool tail_known;
	int tail_error; /* 0 or why the last cluster cannot be decoded */
	struct uzip_payload tail;
};

MUST_CHECK int uzip_worker_get(struct uzip *u, struct uzip_worker **out);
void uzip_worker_put(struct uzip *u, struct uzip_worker *w);

/*
 * Decode the bytes of span into out, a whole cluster.  They stay in w->in.
 * -ECORRUPT: no stream there, not said; others as blkdev_read.
 */
MUST_CHECK int uzip_decode_span(struct uzip *u, struct uzip_worker *w,
    const struct uzip_span *span, bool last, uint8_t *out,
    struct uzip_payload *got);

#endif
