/*
 * Memory for many objects of one size that come and go together, such as the
 * blocks of a cache.  It is taken from the system in pieces of many objects,
 * whose pages are found in one call: malloc finds them one by one, and moves a
 * heap's end back and forth.  Locks are the caller's business.
 */
#ifndef SLAB_H
#define SLAB_H

#include <stddef.h>

struct slab_piece;

/* With size and per_piece set, all else zero: nothing taken yet. */
struct slab {
	size_t size;        /* of an object, bytes */
	unsigned per_piece; /* objects, at least 1 */
	struct slab_piece *some, *empty;
};

/* Memory for an object, undefined; NULL: none left. */
void *slab_get(struct slab *slab);

/* Give an object's memory back to the slab, which keeps it. */
void slab_put(struct slab *slab, void *object);

/* Give to the system what no object needs now: bytes of it. */
size_t slab_trim(struct slab *slab);

#endif
