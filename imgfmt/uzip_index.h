/*
 * The index of a uzip: which bytes of the container belong to cluster i
 * (formats.md 1.3, 1.5).
 *
 * Upper-case letters have no back-references: entries ascend, and a cluster
 * ends where the next begins.  Their index is read in pages, as needed.  For
 * v, l and z, and where a page of the others does not ascend after all, the
 * kernel's whole parse is run once and its result kept.
 */
#ifndef UZIP_INDEX_H
#define UZIP_INDEX_H

#include <pthread.h>

#include "uzip_format.h"

struct uzip_page;
struct uzip_table;

struct uzip_index {
	struct blkdev *dev; /* the container, borrowed */
	bool damaged;       /* opened to be judged */
	uint32_t n;
	uint32_t most;        /* bytes, longest span accepted */
	uint64_t start;       /* first offset data may have */
	uint64_t end;         /* entry[n] as kernels see it */
	uint64_t stored_end;  /* entry[n] as stored: may be garbage */
	pthread_mutex_t lock; /* guards pages, and making the table */
	struct uzip_page *pages;
	struct uzip_table *table; /* atomic; once set it stays */
};

/* Whether data may begin or end at off. */
static inline bool
uzip_index_holds(const struct uzip_index *x, uint64_t off)
{
	return off >= x->start && off <= x->dev->size;
}

/* Read entries first .. first + count - 1. */
MUST_CHECK int uzip_index_read(
    const struct uzip_index *x, uint64_t first, size_t count, uint64_t *entry);

/* Called for each fault of the index; off is that of the entry, in bytes. */
typedef void uzip_index_fault(
    void *arg, uint32_t cluster, uint64_t off, const char *what);

/*
 * Prepare the index of dev.  damaged: faults found now are no error and
 * not said, the clusters they concern are when asked for.  -ECORRUPT, said;
 * -ENOTSUP: more clusters than this can hold, said.
 */
MUST_CHECK int uzip_index_open(struct uzip_index *x, struct blkdev *dev,
    const struct uzip_info *info, bool damaged);
void uzip_index_close(struct uzip_index *x);

/*
 * The span of cluster i as kernels compute it.  *last: it is the last one of
 * the container, whose length may take in what follows.  -ECORRUPT, said.
 */
MUST_CHECK int uzip_index_span(
    struct uzip_index *x, uint32_t i, struct uzip_span *span, bool *last);

/* As uzip_index_span, but a faulty entry is not said. */
MUST_CHECK int uzip_index_lookup(
    struct uzip_index *x, uint32_t i, struct uzip_span *span, bool *last);

enum { UZIP_STRETCH = 8192 };

/* Clusters that lie one behind the other, none of them a back-reference. */
struct uzip_stretch {
	uint32_t n;    /* clusters; 0: the first one is of another kind */
	uint32_t zero; /* of them, without bytes */
	const uint64_t *entry; /* n + 1: where each begins, the last one ends */
	uint64_t room[UZIP_STRETCH + 1];
};

/*
 * The stretch that begins with cluster first: at most n > 0 clusters, each of
 * at most most bytes; a part of it when it is long.  The last cluster of the
 * container is in none.  Faulty entries end it: uzip_index_span tells them.
 */
MUST_CHECK int uzip_index_stretch(struct uzip_index *x, uint32_t first,
    uint32_t n, uint32_t most, struct uzip_stretch *s);

/* Run the kernel's parse over all entries and tell every fault. */
MUST_CHECK int uzip_index_faults(
    struct uzip_index *x, uzip_index_fault *fault, void *arg);

#endif
