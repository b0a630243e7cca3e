/*
 * The overlay's block map: which blocks differ from the base, and where their
 * contents are.  Extents are disjoint and sorted, in an array of small sorted
 * arrays: 32 bytes an extent, found by two binary searches.
 *
 * No locks, and nothing about bytes or files in here.
 */
#ifndef OVERLAY_MAP_H
#define OVERLAY_MAP_H

#include "overlay_format.h"

struct overlay_chunk;

/* A chunk and its first block: the search among chunks looks at no other. */
struct overlay_slot {
	uint64_t first;
	struct overlay_chunk *chunk;
};

/* All zero is an empty map. */
struct overlay_map {
	struct overlay_slot *slot; /* ascending; no chunk is empty */
	size_t nchunks, room;
	struct overlay_chunk *spare; /* for overlay_map_set: see reserve */
	size_t nspare;
	uint64_t extents;
	uint64_t data, trimmed; /* blocks */
	uint64_t live;          /* bytes of records the extents stand for */
};

/* Make sure that the next n calls of set or punch do not lack memory. */
MUST_CHECK int overlay_map_reserve(struct overlay_map *map, size_t n);

/* Set e's blocks, whatever they were.  One reserved call is used up. */
void overlay_map_set(struct overlay_map *map, const struct overlay_extent *e);

/* Take n blocks from no out of the map.  One reserved call is used up. */
void overlay_map_punch(struct overlay_map *map, uint64_t no, uint64_t n);

/*
 * The first extent that ends behind block no, or NULL.  It stays where it is
 * until the map changes.
 */
const struct overlay_extent *overlay_map_find(
    const struct overlay_map *map, uint64_t no);

/* Whether the extents e (not NULL) and next lie side by side, alike. */
bool overlay_extent_joins(
    const struct overlay_extent *e, const struct overlay_extent *next);

/* Empty the map and free its memory. */
void overlay_map_release(struct overlay_map *map);

#endif
