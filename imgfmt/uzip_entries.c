#include "uzip_entries.h"

#include <stdlib.h>

int
uzip_entries_open(struct uzip_entries *e, struct blkdev *out, uint64_t base)
{
	*e = (struct uzip_entries){.out = out, .base = base};
	e->entry = malloc(UZIP_ENTRIES_HELD * sizeof(*e->entry));
	return e->entry == NULL ? -ENOMEM : 0;
}

void
uzip_entries_close(struct uzip_entries *e)
{
	free(e->entry);
	e->entry = NULL;
}

int
uzip_entries_flush(struct uzip_entries *e)
{
	uint64_t at = e->base + uzip_entry_at(e->next - e->held);
	size_t len = e->held * sizeof(*e->entry);
	int rc = at + len > e->out->size ? blkdev_resize(e->out, at + len) : 0;

	if (rc == 0)
		rc = blkdev_write(e->out, at, e->entry, len);
	e->held = 0;
	return rc;
}

/* Room for some of n more entries; *some is how many. */
static int
make_room(struct uzip_entries *e, uint32_t n, uint32_t *some)
{
	int rc = e->held == UZIP_ENTRIES_HELD ? uzip_entries_flush(e) : 0;
	uint32_t room = UZIP_ENTRIES_HELD - e->held;

	*some = n < room ? n : room;
	return rc;
}

int
uzip_entries_put(struct uzip_entries *e, uint64_t off)
{
	return uzip_entries_fill(e, off, 1);
}

int
uzip_entries_fill(struct uzip_entries *e, uint64_t off, uint32_t n)
{
	be64 value = be64_set(off);

	while (n > 0) {
		uint32_t some;
		int rc = make_room(e, n, &some);

		if (rc < 0)
			return rc;
		for (uint32_t i = 0; i < some; i++)
			e->entry[e->held + i] = value;
		e->held += some;
		e->next += some;
		n -= some;
	}
	return 0;
}

int
uzip_entries_shift(
    struct uzip_entries *e, const uint64_t *entry, uint32_t n, uint64_t shift)
{
	while (n > 0) {
		uint32_t some;
		int rc = make_room(e, n, &some);

		if (rc < 0)
			return rc;
		for (uint32_t i = 0; i < some; i++)
			e->entry[e->held + i] = be64_set(entry[i] + shift);
		e->held += some;
		e->next += some;
		entry += some;
		n -= some;
	}
	return 0;
}
