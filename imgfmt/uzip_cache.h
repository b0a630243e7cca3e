/*
 * Decompressed clusters, bounded in bytes, for many threads.  Whoever asks
 * first for a cluster decodes it, outside of all locks; others who want the
 * same one meanwhile wait for it.  The least recently used one goes first.
 */
#ifndef UZIP_CACHE_H
#define UZIP_CACHE_H

#include "blkdev.h"

struct uzip_cache;

/* At least one cluster is kept, even if most (bytes) is less.  -ENOMEM. */
MUST_CHECK int uzip_cache_open(
    uint32_t cluster, uint64_t most, struct uzip_cache **out);
void uzip_cache_close(struct uzip_cache *c); /* NULL is fine */

/* Fills data with the whole cluster that key names; 0 or -errno. */
typedef int uzip_cache_fill(void *arg, uint8_t *data);

/* len bytes at off, inside the cluster that key names. */
struct uzip_want {
	uint64_t key;
	uint32_t off, len;
	void *buf;
};

/*
 * Copy what is wanted into its buf; fill is called where the cluster is not
 * there yet.  Errors of fill, which are not kept; -ENOMEM.
 */
MUST_CHECK int uzip_cache_read(struct uzip_cache *c,
    const struct uzip_want *want, uzip_cache_fill *fill, void *arg);

/* As uzip_cache_read where the cluster is there; false where it is not. */
bool uzip_cache_peek(struct uzip_cache *c, const struct uzip_want *want);

#endif
