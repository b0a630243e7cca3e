#include "part.h"

#include <string.h>

#include "part_impl.h"

struct part *
part_add(struct part_table *table)
{
	return table->n < PART_MAX ? &table->part[table->n++] : NULL;
}

/* BSD labels inside what says it is FreeBSD's. */
static int
read_nested(struct blkdev *dev, struct part_table *table)
{
	unsigned n = table->n;

	for (unsigned i = 0; i < n; i++) {
		const struct part *part = &table->part[i];
		int rc;

		if (strcmp(part->type, "freebsd") != 0)
			continue;
		rc =
		    part_bsd_read(dev, part->off, part->len, part->name, table);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int
part_read(struct blkdev *dev, struct part_table *table)
{
	int rc;

	memset(table, 0, sizeof(*table));
	rc = part_gpt_read(dev, table);
	if (rc == 0)
		rc = part_mbr_read(dev, table);
	if (rc == 1)
		return read_nested(dev, table);
	if (rc == 0)
		rc = part_bsd_read(dev, 0, dev->size, "", table);
	return rc < 0 ? rc : 0;
}

const struct part *
part_find(const struct part_table *table, const char *name)
{
	if (name[0] == '\0')
		return NULL;
	for (unsigned i = 0; i < table->n; i++)
		if (strcmp(table->part[i].name, name) == 0)
			return &table->part[i];
	for (unsigned i = 0; i < table->n; i++)
		if (strcmp(table->part[i].label, name) == 0)
			return &table->part[i];
	return NULL;
}
