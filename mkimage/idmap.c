#include "idmap.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_ROOM = 64 };

struct idmap_slot {
	bool used;
	uint64_t id;
	char *text;
};

/* The slot of id, or the free one where it belongs; the map is never full. */
static struct idmap_slot *
slot_of(const struct idmap *map, uint64_t id)
{
	/* Fibonacci hashing: inode numbers come in runs */
	size_t i = (size_t)((id * 0x9e3779b97f4a7c15u) >> 20);

	for (;; i++) {
		struct idmap_slot *s = &map->slot[i & (map->room - 1)];

		if (!s->used || s->id == id)
			return s;
	}
}

static int
grow(struct idmap *map)
{
	struct idmap bigger = {
	    .n = map->n, .room = map->room > 0 ? 2 * map->room : FIRST_ROOM};

	bigger.slot = calloc(bigger.room, sizeof(*bigger.slot));
	if (bigger.slot == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < map->room; i++)
		if (map->slot[i].used)
			*slot_of(&bigger, map->slot[i].id) = map->slot[i];
	free(map->slot);
	*map = bigger;
	return 0;
}

int
idmap_put(struct idmap *map, uint64_t id, const char *text)
{
	struct idmap_slot *s;
	char *copy = NULL;

	if (map->n >= map->room / 2 && grow(map) < 0)
		return -ENOMEM;
	s = slot_of(map, id);
	if (s->used)
		return 0;
	if (text != NULL) {
		copy = strdup(text);
		if (copy == NULL)
			return -ENOMEM;
	}
	*s = (struct idmap_slot){true, id, copy};
	map->n++;
	return 1;
}

const char *
idmap_get(const struct idmap *map, uint64_t id)
{
	return map->room > 0 ? slot_of(map, id)->text : NULL;
}

void
idmap_release(struct idmap *map)
{
	for (size_t i = 0; i < map->room; i++)
		free(map->slot[i].text);
	free(map->slot);
	*map = (struct idmap){0};
}
