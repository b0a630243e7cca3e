/* A hash table from 64-bit keys to places in a container. */
#ifndef UZIP_MAP_H
#define UZIP_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"

struct uzip_place {
	uint64_t key; /* never 0 */
	uint64_t off;
	uint32_t len;
};

/* All zero is an empty one. */
struct uzip_map {
	struct uzip_place *slot; /* mask + 1 of them, or NULL */
	size_t used, mask;
};

/* The place of key, or NULL. */
const struct uzip_place *uzip_map_find(const struct uzip_map *m, uint64_t key);

/* Remember a place whose key is not there yet.  -ENOMEM. */
MUST_CHECK int uzip_map_add(struct uzip_map *m, const struct uzip_place *p);

/* Forget all. */
void uzip_map_clear(struct uzip_map *m);

#endif
