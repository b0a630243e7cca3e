/* A map from file identities (inode numbers) to a text, for hard links. */
#ifndef IDMAP_H
#define IDMAP_H

#include <stdbool.h>
#include <stdint.h>

#include "../imgfmt/err.h"

struct idmap {
	size_t n, room; /* room is zero or a power of two */
	struct idmap_slot *slot;
};

/*
 * Put id with a copy of text (may be NULL) unless it is there already.
 * 1: it is new; 0: it was there and stays as it was; -ENOMEM.
 */
MUST_CHECK int idmap_put(struct idmap *map, uint64_t id, const char *text);

/* The text put with id; NULL when there is none. */
const char *idmap_get(const struct idmap *map, uint64_t id);

void idmap_release(struct idmap *map);

#endif
