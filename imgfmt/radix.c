#include "radix.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>

enum {
	BITS = 6,
	FANOUT = 1 << BITS,
	LEVELS_MAX = (64 + BITS - 1) / BITS,
};

/* Bit i of used is set where slot[i] is not NULL: a node, or a value. */
struct radix_node {
	uint64_t used;
	void *slot[FANOUT];
};
static_assert(FANOUT == 64, "one bit of used per slot");

/* The slot of key in a node that stands level steps above the values. */
static unsigned
index_at(uint64_t key, unsigned level)
{
	return (unsigned)(key >> (level * BITS) & (FANOUT - 1));
}

/* Whether a tree of so many levels has room for key. */
static bool
covers(unsigned levels, uint64_t key)
{
	return levels >= LEVELS_MAX || key >> (levels * BITS) == 0;
}

void *
radix_get(const struct radix *map, uint64_t key)
{
	void *p = map->root;

	if (!covers(map->levels, key))
		return NULL;
	for (unsigned level = map->levels; level-- > 0 && p != NULL;)
		p = ((struct radix_node *)p)->slot[index_at(key, level)];
	return p;
}

static void
set_slot(struct radix_node *node, unsigned i, void *value)
{
	node->slot[i] = value;
	node->used |= UINT64_C(1) << i;
}

/* Put nodes above the root until the tree covers key. */
static int
deepen(struct radix *map, uint64_t key)
{
	while (map->root == NULL || !covers(map->levels, key)) {
		struct radix_node *node = calloc(1, sizeof(*node));

		if (node == NULL)
			return -ENOMEM;
		if (map->root != NULL)
			set_slot(node, 0, map->root);
		map->root = node;
		map->levels++;
	}
	return 0;
}

int
radix_add(struct radix *map, uint64_t key, void *value)
{
	struct radix_node *node;
	int rc = deepen(map, key);

	if (rc < 0)
		return rc;
	node = map->root;
	for (unsigned level = map->levels - 1; level > 0; level--) {
		unsigned i = index_at(key, level);

		if (node->slot[i] == NULL) {
			void *child = calloc(1, sizeof(*node));

			if (child == NULL)
				return -ENOMEM; /* empty nodes do no harm */
			set_slot(node, i, child);
		}
		node = node->slot[i];
	}
	assert(value != NULL && node->slot[index_at(key, 0)] == NULL);
	set_slot(node, index_at(key, 0), value);
	return 0;
}

void
radix_remove(struct radix *map, uint64_t key)
{
	struct radix_node *path[LEVELS_MAX];
	void *p = map->root;

	if (radix_get(map, key) == NULL)
		return;
	for (unsigned level = map->levels; level-- > 0;) {
		path[level] = p;
		p = path[level]->slot[index_at(key, level)];
	}
	for (unsigned level = 0; level < map->levels; level++) {
		unsigned i = index_at(key, level);

		path[level]->slot[i] = NULL;
		path[level]->used &= ~(UINT64_C(1) << i);
		if (path[level]->used != 0)
			return;
		free(path[level]);
	}
	*map = (struct radix){NULL, 0};
}

/*
 * Follow key down.  NULL: the value exists, *key is it.  Else *key becomes
 * the smallest key that may have a value after the hole that was met, and
 * *more tells whether there is one.
 */
static void *
step(const struct radix *map, uint64_t *key, bool *more)
{
	void *p = map->root;

	*more = false;
	for (unsigned level = map->levels; level-- > 0;) {
		struct radix_node *node = p;
		unsigned i = index_at(*key, level), shift = level * BITS;
		uint64_t rest = node->used & ~UINT64_C(0) << i;

		if (rest == 0) { /* on to this node's next sibling */
			uint64_t above = (*key >> shift | (FANOUT - 1)) + 1;

			*key = above << shift;
			*more = above != 0 && *key >> shift == above;
			return NULL;
		}
		if (node->slot[i] == NULL) {
			unsigned n = (unsigned)__builtin_ctzll(rest);

			*key = (*key >> shift & ~(uint64_t)(FANOUT - 1)) | n;
			*key <<= shift;
			i = n;
		}
		p = node->slot[i];
	}
	return p;
}

void *
radix_next(const struct radix *map, uint64_t *key)
{
	bool more = map->root != NULL;
	uint64_t at = *key;

	while (more && covers(map->levels, at)) {
		void *value = step(map, &at, &more);

		if (value != NULL) {
			*key = at;
			return value;
		}
	}
	return NULL;
}

static void
free_nodes(struct radix_node *node, unsigned levels)
{
	if (levels > 1)
		for (unsigned i = 0; i < FANOUT; i++)
			if (node->slot[i] != NULL)
				free_nodes(node->slot[i], levels - 1);
	free(node);
}

void
radix_release(struct radix *map)
{
	if (map->root != NULL)
		free_nodes(map->root, map->levels);
	*map = (struct radix){NULL, 0};
}
