/*
 * What a write-back cache knows about each block of its device: private to
 * blkdev_cache.c and blkdev_cache_flush.c.  No locks and no I/O in here.
 *
 * A block is in one of four states:
 *
 *   absent   nothing is kept: what lower holds (zeroes beyond lower's end)
 *   clean    a copy of what lower holds; may be forgotten at any time
 *   dirty    newer than lower
 *   trimmed  reads as zeroes, lower does not know yet; needs no buffer
 *
 * Blocks are kept in leaves of 64 neighbours, so that a state is a bit and
 * runs are found by looking at words.  Leaves exist only where something is
 * not absent; those with dirty or trimmed blocks are in a list, the one
 * written to longest ago first.
 */
#ifndef CACHE_MAP_H
#define CACHE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "radix.h"
#include "slab.h"

enum {
	CACHE_BLOCK = 4096,
	CACHE_LEAF = 64,       /* blocks */
	CACHE_TRIM_COST = 16,  /* memory a trimmed block is charged for */
	CACHE_VERSIONS = 1024, /* slots of the table of versions */
};

struct cache_block {
	struct cache_block *prev, *next; /* among the clean */
	uint64_t no;
	bool streamed; /* from a large write: not kept once clean */
	uint8_t data[CACHE_BLOCK];
};

struct cache_leaf {
	uint64_t no; /* of its first block, divided by CACHE_LEAF */
	struct cache_leaf *prev, *next; /* among those to hand down */
	uint64_t dirty, trimmed;        /* disjoint */
	uint64_t writing; /* of these, on their way to lower, unchanged since */
	unsigned nblocks; /* not NULL in block */
	struct cache_block *block[CACHE_LEAF];
};

struct cache_map {
	struct radix leaves;
	struct slab blocks;                 /* memory of struct cache_block */
	struct cache_leaf *oldest, *newest; /* dirty or trimmed */
	struct cache_block *clean_old, *clean_new; /* least recently used... */
	uint64_t nclean, ndirty, ntrimmed;
	/*
	 * Counts changes, by leaf modulo the table's size: whoever reads lower
	 * without the lock compares before it keeps what it read.
	 */
	uint64_t version[CACHE_VERSIONS];
};

/* A run of blocks in the same state. */
struct cache_run {
	uint64_t no, n; /* blocks */
	bool trimmed;   /* else dirty */
};

enum cache_state { CACHE_ABSENT, CACHE_CLEAN, CACHE_DIRTY, CACHE_TRIMMED };

/* The state of block no; its data in *data unless absent or trimmed. */
enum cache_state cache_map_get(
    struct cache_map *map, uint64_t no, struct cache_block **block);

/* How many of the n blocks from no are absent before the first that is not. */
uint64_t cache_map_absent(const struct cache_map *map, uint64_t no, uint64_t n);

/* Make the clean block the most recently used one. */
void cache_map_touch(struct cache_map *map, struct cache_block *block);

/* Keep a clean copy of the absent block no; data holds CACHE_BLOCK bytes. */
MUST_CHECK int cache_map_keep(
    struct cache_map *map, uint64_t no, const void *data);

/*
 * Make block no dirty.  *out is its buffer; that of one that was absent or
 * trimmed before is undefined.  -ENOMEM: nothing changed.
 */
MUST_CHECK int cache_map_dirty(
    struct cache_map *map, uint64_t no, struct cache_block **out);

/* Make the n blocks from no trimmed.  -ENOMEM: some may be. */
MUST_CHECK int cache_map_trim(struct cache_map *map, uint64_t no, uint64_t n);

/* Make the n blocks from no absent, whatever they were. */
void cache_map_drop(struct cache_map *map, uint64_t no, uint64_t n);

/*
 * The first run of at most most blocks that are dirty or trimmed, at or after
 * block no; false: none.
 */
bool cache_map_next(const struct cache_map *map, uint64_t no, uint64_t most,
    struct cache_run *out);

/* Note that a run is on its way to lower... */
void cache_map_begin(struct cache_map *map, const struct cache_run *run);

/* ...and how that went: what did not change meanwhile is clean, if ok. */
void cache_map_end(struct cache_map *map, const struct cache_run *run, bool ok);

/* Forget clean blocks until at most most are left. */
void cache_map_shrink(struct cache_map *map, uint64_t most);

/* Give memory to the system that no block needs now. */
void cache_map_give_back(struct cache_map *map);

/* An empty one. */
void cache_map_init(struct cache_map *map);

/* Forget everything. */
void cache_map_release(struct cache_map *map);

/* A number that grows whenever one of the n blocks from no changes. */
uint64_t cache_map_version(
    const struct cache_map *map, uint64_t no, uint64_t n);

/* Memory that what waits for lower takes up. */
static inline uint64_t
cache_map_pending(const struct cache_map *map)
{
	return map->ndirty * CACHE_BLOCK + map->ntrimmed * CACHE_TRIM_COST;
}

#endif
