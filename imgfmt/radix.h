/*
 * An ordered map from 64-bit keys to pointers: a radix tree of 64-way nodes
 * that is as deep as its largest key needs.  Finding, adding and finding the
 * next key cost a handful of steps; keys near one another share nodes.
 * Locks are the caller's business.
 */
#ifndef RADIX_H
#define RADIX_H

#include <stdint.h>

#include "err.h"

struct radix_node;

/* All zero is an empty map. */
struct radix {
	struct radix_node *root;
	unsigned levels;
};

/* The value of key, or NULL. */
void *radix_get(const struct radix *map, uint64_t key);

/* Set key, which has no value yet, to value (not NULL).  -ENOMEM. */
MUST_CHECK int radix_add(struct radix *map, uint64_t key, void *value);

/* Forget key; no harm if it has no value. */
void radix_remove(struct radix *map, uint64_t key);

/*
 * The value of the smallest key that is at least *key, which becomes that
 * key; NULL when there is none.
 */
void *radix_next(const struct radix *map, uint64_t *key);

/* Free the nodes (not the values); the map is empty again. */
void radix_release(struct radix *map);

#endif
