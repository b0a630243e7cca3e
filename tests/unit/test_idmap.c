#include "../../mkimage/idmap.h"

#include "check.h"

static void
empty_map_knows_nothing(void)
{
	struct idmap map = {0};

	CHECK(idmap_get(&map, 0) == NULL);
	idmap_release(&map);
}

static void
first_text_stays(void)
{
	struct idmap map = {0};

	CHECK_EQ(idmap_put(&map, 0, "zero"), 1);
	CHECK_EQ(idmap_put(&map, 0, "other"), 0);
	CHECK_EQ(idmap_put(&map, UINT64_MAX, NULL), 1);
	CHECK_EQ(idmap_put(&map, UINT64_MAX, "late"), 0);
	CHECK(strcmp(idmap_get(&map, 0), "zero") == 0);
	CHECK(idmap_get(&map, UINT64_MAX) == NULL);
	CHECK(idmap_get(&map, 1) == NULL);
	idmap_release(&map);
}

static void
many_are_kept_apart(void)
{
	enum { N = 20000 };
	struct idmap map = {0};
	char text[24];
	int wrong = 0;

	for (uint64_t i = 0; i < N; i++) {
		snprintf(text, sizeof(text), "%u", (unsigned)i);
		wrong += idmap_put(&map, i << 11, text) != 1;
	}
	for (uint64_t i = 0; i < N; i++) {
		const char *got = idmap_get(&map, i << 11);

		snprintf(text, sizeof(text), "%u", (unsigned)i);
		wrong += got == NULL || strcmp(got, text) != 0;
		wrong += idmap_get(&map, (i << 11) + 1) != NULL;
	}
	CHECK_EQ(wrong, 0);
	CHECK_EQ(map.n, N);
	idmap_release(&map);
}

TESTS({"empty map knows nothing", empty_map_knows_nothing},
    {"first text stays", first_text_stays},
    {"many are kept apart", many_are_kept_apart})
