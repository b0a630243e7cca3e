#include <stdlib.h>

#include "../../fusefs/overlay_map.h"
#include "check.h"

/* One value a block: what the map should say. */
static void
check_map(const struct overlay_map *map, const uint64_t *model, uint64_t n)
{
	uint64_t extents = 0, data = 0, trimmed = 0;

	for (uint64_t no = 0; no < n; no++) {
		const struct overlay_extent *e = overlay_map_find(map, no);
		uint64_t value = 0;

		if (e != NULL && e->no <= no)
			value =
			    e->off == 0 ? 1 : e->off + e->skip + (no - e->no);
		CHECK_EQ(value, model[no]);
		if (e != NULL && e->no == no) {
			extents++;
			*(e->off == 0 ? &trimmed : &data) += e->n;
		}
	}
	CHECK_EQ(extents, map->extents);
	CHECK_EQ(data, map->data);
	CHECK_EQ(trimmed, map->trimmed);
}

static void
the_map_equals_an_array(void)
{
	enum { N = 5000 };
	static uint64_t model[N];
	struct overlay_map map = {0};
	unsigned seed = 3;

	memset(model, 0, sizeof(model));
	for (unsigned i = 0; i < 30000; i++) {
		uint64_t no = (unsigned)rand_r(&seed) % N;
		uint64_t n = 1 + (unsigned)rand_r(&seed) % OVERLAY_RUN;
		unsigned what = (unsigned)rand_r(&seed) % 8;
		struct overlay_extent e = {no, n, 0, 0, 0, 0};

		if (what < 2)
			e.n = n = (unsigned)rand_r(&seed) % 400 + 1;
		if (no + n > N)
			e.n = n = N - no;
		if (what >= 2) {
			e.off = 4096 + i * 32;
			e.stored = 100;
			e.blocks = (uint16_t)n;
		}
		CHECK_EQ(overlay_map_reserve(&map, 1), 0);
		if (what == 0)
			overlay_map_punch(&map, no, n);
		else
			overlay_map_set(&map, &e);
		for (uint64_t j = 0; j < n; j++)
			model[no + j] = what == 0 ? 0
			    : what == 1           ? 1
						  : e.off + j;
		if (i % 5000 == 0)
			check_map(&map, model, N);
	}
	check_map(&map, model, N);
	overlay_map_punch(&map, 0, N);
	CHECK_EQ(map.extents + map.live + map.nchunks, 0);
	overlay_map_release(&map);
}

TESTS({"the map equals an array", the_map_equals_an_array})
