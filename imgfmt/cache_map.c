#include "cache_map.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* n bits from bit first. */
static uint64_t
mask_of(unsigned first, unsigned n)
{
	return (n == CACHE_LEAF ? ~UINT64_C(0) : (UINT64_C(1) << n) - 1)
	    << first;
}

static uint64_t
bit_of(uint64_t no)
{
	return UINT64_C(1) << no % CACHE_LEAF;
}

static struct cache_leaf *
leaf_get(const struct cache_map *map, uint64_t no)
{
	return radix_get(&map->leaves, no / CACHE_LEAF);
}

static struct cache_leaf *
leaf_make(struct cache_map *map, uint64_t no)
{
	struct cache_leaf *leaf = leaf_get(map, no);

	if (leaf != NULL)
		return leaf;
	leaf = calloc(1, sizeof(*leaf));
	if (leaf == NULL)
		return NULL;
	leaf->no = no / CACHE_LEAF;
	if (radix_add(&map->leaves, leaf->no, leaf) < 0) {
		free(leaf);
		return NULL;
	}
	return leaf;
}

static bool
is_pending(const struct cache_leaf *leaf)
{
	return (leaf->dirty | leaf->trimmed) != 0;
}

static void
pending_unlink(struct cache_map *map, struct cache_leaf *leaf)
{
	*(leaf->prev != NULL ? &leaf->prev->next : &map->oldest) = leaf->next;
	*(leaf->next != NULL ? &leaf->next->prev : &map->newest) = leaf->prev;
	leaf->prev = leaf->next = NULL;
}

static void
pending_append(struct cache_map *map, struct cache_leaf *leaf)
{
	leaf->prev = map->newest;
	leaf->next = NULL;
	*(leaf->prev != NULL ? &leaf->prev->next : &map->oldest) = leaf;
	map->newest = leaf;
}

static void
clean_unlink(struct cache_map *map, struct cache_block *b)
{
	*(b->prev != NULL ? &b->prev->next : &map->clean_old) = b->next;
	*(b->next != NULL ? &b->next->prev : &map->clean_new) = b->prev;
	b->prev = b->next = NULL;
	map->nclean--;
}

static void
clean_append(struct cache_map *map, struct cache_block *b)
{
	b->prev = map->clean_new;
	b->next = NULL;
	*(b->prev != NULL ? &b->prev->next : &map->clean_old) = b;
	map->clean_new = b;
	map->nclean++;
}

/* Set the states of the blocks in mask; the only place that changes them. */
static void
set_states(struct cache_map *map, struct cache_leaf *leaf, uint64_t mask,
    uint64_t dirty, uint64_t trimmed)
{
	bool was_pending = is_pending(leaf);

	assert((dirty & trimmed) == 0 && ((dirty | trimmed) & ~mask) == 0);
	map->ndirty -= (uint64_t)__builtin_popcountll(leaf->dirty & mask);
	map->ntrimmed -= (uint64_t)__builtin_popcountll(leaf->trimmed & mask);
	leaf->dirty = (leaf->dirty & ~mask) | dirty;
	leaf->trimmed = (leaf->trimmed & ~mask) | trimmed;
	leaf->writing &= ~mask;
	map->ndirty += (uint64_t)__builtin_popcountll(dirty);
	map->ntrimmed += (uint64_t)__builtin_popcountll(trimmed);
	if (was_pending)
		pending_unlink(map, leaf);
	if (is_pending(leaf))
		pending_append(map, leaf);
}

/* Free the buffers of the blocks in mask, whose states are already set. */
static void
drop_blocks(struct cache_map *map, struct cache_leaf *leaf, uint64_t mask)
{
	for (; mask != 0 && leaf->nblocks > 0; mask &= mask - 1) {
		unsigned i = (unsigned)__builtin_ctzll(mask);
		struct cache_block *b = leaf->block[i];

		if (b == NULL)
			continue;
		if (b->prev != NULL || map->clean_old == b)
			clean_unlink(map, b);
		leaf->block[i] = NULL;
		leaf->nblocks--;
		slab_put(&map->blocks, b);
	}
}

static void
leaf_free_if_empty(struct cache_map *map, struct cache_leaf *leaf)
{
	if (leaf->nblocks > 0 || is_pending(leaf))
		return;
	radix_remove(&map->leaves, leaf->no);
	free(leaf);
}

static void
bump(struct cache_map *map, uint64_t no)
{
	map->version[no / CACHE_LEAF % CACHE_VERSIONS]++;
}

uint64_t
cache_map_version(const struct cache_map *map, uint64_t no, uint64_t n)
{
	uint64_t first = no / CACHE_LEAF, last = (no + n - 1) / CACHE_LEAF;
	uint64_t sum = 0;

	for (uint64_t i = 0; i <= last - first && i < CACHE_VERSIONS; i++)
		sum += map->version[(first + i) % CACHE_VERSIONS];
	return sum;
}

enum cache_state
cache_map_get(struct cache_map *map, uint64_t no, struct cache_block **block)
{
	struct cache_leaf *leaf = leaf_get(map, no);

	*block = NULL;
	if (leaf == NULL)
		return CACHE_ABSENT;
	if (leaf->trimmed & bit_of(no))
		return CACHE_TRIMMED;
	*block = leaf->block[no % CACHE_LEAF];
	if (*block == NULL)
		return CACHE_ABSENT;
	return leaf->dirty & bit_of(no) ? CACHE_DIRTY : CACHE_CLEAN;
}

uint64_t
cache_map_absent(const struct cache_map *map, uint64_t no, uint64_t n)
{
	uint64_t at = no, end = no + n;

	while (at < end) {
		uint64_t key = at / CACHE_LEAF;
		const struct cache_leaf *leaf = radix_next(&map->leaves, &key);

		if (leaf == NULL || key > (end - 1) / CACHE_LEAF)
			return n;
		if (key * CACHE_LEAF > at)
			at = key * CACHE_LEAF;
		for (; at < end && at / CACHE_LEAF == key; at++)
			if (leaf->block[at % CACHE_LEAF] != NULL ||
			    (leaf->trimmed & bit_of(at)))
				return at - no;
	}
	return n;
}

void
cache_map_touch(struct cache_map *map, struct cache_block *block)
{
	if (map->clean_new == block)
		return;
	clean_unlink(map, block);
	clean_append(map, block);
}

/* A new buffer in the place of block no, which has none. */
static struct cache_block *
block_make(struct cache_map *map, struct cache_leaf *leaf, uint64_t no)
{
	struct cache_block *b = slab_get(&map->blocks);

	if (b == NULL)
		return NULL;
	b->prev = b->next = NULL;
	b->no = no;
	b->streamed = false;
	leaf->block[no % CACHE_LEAF] = b;
	leaf->nblocks++;
	return b;
}

int
cache_map_keep(struct cache_map *map, uint64_t no, const void *data)
{
	struct cache_leaf *leaf = leaf_make(map, no);
	struct cache_block *b;

	if (leaf == NULL)
		return -ENOMEM;
	assert(leaf->block[no % CACHE_LEAF] == NULL);
	assert(!(leaf->trimmed & bit_of(no)));
	b = block_make(map, leaf, no);
	if (b == NULL) {
		leaf_free_if_empty(map, leaf);
		return -ENOMEM;
	}
	memcpy(b->data, data, CACHE_BLOCK);
	clean_append(map, b);
	return 0;
}

int
cache_map_dirty(struct cache_map *map, uint64_t no, struct cache_block **out)
{
	struct cache_leaf *leaf = leaf_make(map, no);
	struct cache_block *b;

	if (leaf == NULL)
		return -ENOMEM;
	b = leaf->block[no % CACHE_LEAF];
	if (b == NULL) {
		b = block_make(map, leaf, no);
		if (b == NULL) {
			leaf_free_if_empty(map, leaf);
			return -ENOMEM;
		}
	} else if (!(leaf->dirty & bit_of(no))) {
		clean_unlink(map, b);
	}
	set_states(map, leaf, bit_of(no), bit_of(no), 0);
	bump(map, no);
	*out = b;
	return 0;
}

/* The part of the n blocks from no that lies in no's leaf. */
static unsigned
in_leaf(uint64_t no, uint64_t n)
{
	unsigned room = CACHE_LEAF - (unsigned)(no % CACHE_LEAF);

	return n < room ? (unsigned)n : room;
}

int
cache_map_trim(struct cache_map *map, uint64_t no, uint64_t n)
{
	while (n > 0) {
		struct cache_leaf *leaf = leaf_make(map, no);
		unsigned part = in_leaf(no, n);
		uint64_t mask = mask_of(no % CACHE_LEAF, part);

		if (leaf == NULL)
			return -ENOMEM;
		set_states(map, leaf, mask, 0, mask);
		drop_blocks(map, leaf, mask);
		bump(map, no);
		no += part;
		n -= part;
	}
	return 0;
}

void
cache_map_drop(struct cache_map *map, uint64_t no, uint64_t n)
{
	uint64_t last = no + n - 1;

	for (uint64_t key = no / CACHE_LEAF; n > 0; key++) {
		struct cache_leaf *leaf = radix_next(&map->leaves, &key);
		uint64_t from, to, mask;

		if (leaf == NULL || key > last / CACHE_LEAF)
			return;
		from = key == no / CACHE_LEAF ? no % CACHE_LEAF : 0;
		to = key == last / CACHE_LEAF ? last % CACHE_LEAF
					      : CACHE_LEAF - 1;
		mask = mask_of((unsigned)from, (unsigned)(to - from + 1));
		set_states(map, leaf, mask, 0, 0);
		drop_blocks(map, leaf, mask);
		bump(map, key * CACHE_LEAF);
		leaf_free_if_empty(map, leaf);
	}
}

/* How many of word's bits from bit first are set before one is not. */
static unsigned
ones_from(uint64_t word, unsigned first)
{
	uint64_t zeroes = ~word >> first;

	return zeroes == 0 ? CACHE_LEAF - first
			   : (unsigned)__builtin_ctzll(zeroes);
}

/* Lengthen a run that starts in leaf by what follows in the next leaves. */
static void
extend(const struct cache_map *map, const struct cache_leaf *leaf,
    uint64_t most, struct cache_run *run)
{
	while (leaf != NULL && run->n < most) {
		uint64_t at = run->no + run->n;
		uint64_t word = run->trimmed ? leaf->trimmed : leaf->dirty;

		run->n += ones_from(word, at % CACHE_LEAF);
		at = run->no + run->n;
		if (at % CACHE_LEAF != 0)
			break;
		leaf = leaf_get(map, at);
		if (leaf != NULL &&
		    !((run->trimmed ? leaf->trimmed : leaf->dirty) & 1))
			break;
	}
	if (run->n > most)
		run->n = most;
}

bool
cache_map_next(const struct cache_map *map, uint64_t no, uint64_t most,
    struct cache_run *out)
{
	for (uint64_t key = no / CACHE_LEAF;; key++) {
		const struct cache_leaf *leaf = radix_next(&map->leaves, &key);
		uint64_t word;
		unsigned i;

		if (leaf == NULL)
			return false;
		word = leaf->dirty | leaf->trimmed;
		if (key == no / CACHE_LEAF)
			word &= ~UINT64_C(0) << no % CACHE_LEAF;
		if (word == 0)
			continue;
		i = (unsigned)__builtin_ctzll(word);
		*out = (struct cache_run){
		    key * CACHE_LEAF + i, 0, (leaf->trimmed >> i & 1) != 0};
		extend(map, leaf, most, out);
		return true;
	}
}

void
cache_map_begin(struct cache_map *map, const struct cache_run *run)
{
	uint64_t no = run->no, n = run->n;

	while (n > 0) {
		unsigned part = in_leaf(no, n);

		leaf_get(map, no)->writing |= mask_of(no % CACHE_LEAF, part);
		no += part;
		n -= part;
	}
}

/* The blocks of leaf in mask have reached lower as they are. */
static void
settle(struct cache_map *map, struct cache_leaf *leaf, uint64_t mask)
{
	uint64_t streamed = 0, written = leaf->dirty & mask;

	set_states(map, leaf, mask, 0, 0);
	for (; written != 0; written &= written - 1) {
		unsigned i = (unsigned)__builtin_ctzll(written);

		if (leaf->block[i]->streamed)
			streamed |= UINT64_C(1) << i;
		else
			clean_append(map, leaf->block[i]);
	}
	drop_blocks(map, leaf, streamed);
	leaf_free_if_empty(map, leaf);
}

void
cache_map_end(struct cache_map *map, const struct cache_run *run, bool ok)
{
	uint64_t no = run->no, n = run->n;

	while (n > 0) {
		struct cache_leaf *leaf = leaf_get(map, no);
		unsigned part = in_leaf(no, n);
		uint64_t mask = mask_of(no % CACHE_LEAF, part);

		if (leaf != NULL && ok && (leaf->writing & mask) != 0)
			settle(map, leaf, leaf->writing & mask);
		else if (leaf != NULL)
			leaf->writing &= ~mask;
		no += part;
		n -= part;
	}
}

void
cache_map_shrink(struct cache_map *map, uint64_t most)
{
	while (map->nclean > most) {
		uint64_t no = map->clean_old->no;
		struct cache_leaf *leaf = leaf_get(map, no);

		drop_blocks(map, leaf, bit_of(no));
		leaf_free_if_empty(map, leaf);
	}
}

void
cache_map_give_back(struct cache_map *map)
{
	(void)slab_trim(&map->blocks);
}

void
cache_map_init(struct cache_map *map)
{
	*map = (struct cache_map){
	    .blocks = {.size = sizeof(struct cache_block), .per_piece = 64}};
}

void
cache_map_release(struct cache_map *map)
{
	cache_map_drop(map, 0, UINT64_MAX);
	cache_map_give_back(map);
	radix_release(&map->leaves);
}
