#include "uzip_entries.h"

#include <stdlib.h>

int
uzip_entries_open(
    struct uzip_entries *e, struct blkdev *out, uint64_t base, uint32_t n)
{
	*e = (struct uzip_entries){
	    .out = out, .base = base, .end = base + uzip_data_start(n)};
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
	int rc = e->end > e->out->size ? blkdev_resize(e->out, e->end) : 0;

	if (rc == 0)
		rc = blkdev_write(e->out, at, e->entry, len);
	e->held = 0;
	return rc;
}

/* Append some of n entries, at least one: they are the caller's to fill in. */
static int
append(struct uzip_entries *e, uint32_t n, be64 **out, uint32_t *some)
{
	int rc = e->held == UZIP_ENTRIES_HELD ? uzip_entries_flush(e) : 0;
	uint32_t room = UZIP_ENTRIES_HELD - e->held;

	if (rc < 0)
		return rc;
	*some = n < room ? n : room;
	*out = e->entry + e->held;
	e->held += *some;
	e->next += *some;
	return 0;
}

int
uzip_entries_put(struct uzip_entries *e, uint64_t off)
{
	return uzip_entries_fill(e, off, 1);
}

int
uzip_entries_fill(struct uzip_entries *e, uint64_t off, uint32_t n)
{
	be64 *to, value = be64_set(off);
	uint32_t some;

	for (; n > 0; n -= some) {
		int rc = append(e, n, &to, &some);

		if (rc < 0)
			return rc;
		to[0] = value;
		bytes_repeat(to, sizeof(*to), some);
	}
	return 0;
}

int
uzip_entries_shift(
    struct uzip_entries *e, const uint64_t *entry, uint32_t n, uint64_t shift)
{
	be64 *to;
	uint32_t some;

	for (; n > 0; n -= some) {
		int rc = append(e, n, &to, &some);

		if (rc < 0)
			return rc;
		for (uint32_t i = 0; i < some; i++)
			to[i] = be64_set(*entry++ + shift);
	}
	return 0;
}
