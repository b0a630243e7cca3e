/* What FreeBSD's cdboot finds on an ISO (formats.md 3.2). */
#include <string.h>

#include "iso_impl.h"

/* The name as cdboot compares it: as it is, without version and last dot. */
static bool
is_called(const struct iso_record *rec, const char *name)
{
	const char *version = memchr(rec->name, ';', rec->name_len);
	size_t len =
	    version != NULL ? (size_t)(version - rec->name) : rec->name_len;

	if (len > 0 && rec->name[len - 1] == '.')
		len--;
	return len == strlen(name) && memcmp(rec->name, name, len) == 0;
}

/* Find name in the directory of len bytes at off: 1, *out. */
static int
find(const struct iso *iso, uint64_t off, uint64_t len, const char *name,
    struct iso_record *out)
{
	struct iso_dir dir;
	int rc = iso_dir_open(&dir, iso, &iso->trees[0], off, len);

	while (rc >= 0 && (rc = iso_dir_next(&dir, out)) == 1)
		if (is_called(out, name))
			return 1;
	return rc;
}

int
iso_cdboot_finds_loader(const struct iso *iso, uint64_t *len)
{
	static const char *const paths[][2] = {
	    {"BOOT", "LOADER"}, {"boot", "loader"}};
	const struct iso_tree *tree = &iso->trees[0];

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct iso_record rec;
		int rc = find(
		    iso, tree->root_off, tree->root_len, paths[i][0], &rec);

		if (rc == 1)
			rc = find(iso, rec.off, rec.len, paths[i][1], &rec);
		*len = rc == 1 ? rec.len : 0;
		if (rc != 0)
			return rc;
	}
	return 0;
}
