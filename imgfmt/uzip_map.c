#include "uzip_map.h"

#include <stdlib.h>

enum { FIRST_SLOTS = 256 };

/* The slot of key, or the empty one where it belongs. */
static struct uzip_place *
probe(const struct uzip_map *m, uint64_t key)
{
	uint64_t h = key * 0x9e3779b97f4a7c15u;
	size_t i = (size_t)(h ^ h >> 32) & m->mask;

	while (m->slot[i].key != 0 && m->slot[i].key != key)
		i = (i + 1) & m->mask;
	return &m->slot[i];
}

const struct uzip_place *
uzip_map_find(const struct uzip_map *m, uint64_t key)
{
	const struct uzip_place *p;

	if (m->slot == NULL)
		return NULL;
	p = probe(m, key);
	return p->key != 0 ? p : NULL;
}

static int
grow(struct uzip_map *m)
{
	size_t slots = m->slot == NULL ? FIRST_SLOTS : (m->mask + 1) * 2;
	struct uzip_map bigger = {.used = m->used, .mask = slots - 1};

	bigger.slot = calloc(slots, sizeof(*bigger.slot));
	if (bigger.slot == NULL)
		return -ENOMEM;
	for (size_t i = 0; m->slot != NULL && i <= m->mask; i++)
		if (m->slot[i].key != 0)
			*probe(&bigger, m->slot[i].key) = m->slot[i];
	free(m->slot);
	*m = bigger;
	return 0;
}

int
uzip_map_add(struct uzip_map *m, const struct uzip_place *p)
{
	if (m->slot == NULL || m->used >= (m->mask + 1) / 4 * 3) {
		int rc = grow(m);

		if (rc < 0)
			return rc;
	}
	*probe(m, p->key) = *p;
	m->used++;
	return 0;
}

void
uzip_map_clear(struct uzip_map *m)
{
	free(m->slot);
	*m = (struct uzip_map){0};
}
