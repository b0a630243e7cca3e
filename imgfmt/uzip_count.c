/*
 * What the index says of many clusters at once.  It is looked at in stretches
 * of clusters that lie one behind the other; what is in none goes one by one.
 */
#include "uzip_read.h"

/* Of a long index, so many pieces of so many clusters tell enough. */
enum { PIECES = 64, PIECE = 512 };

static int
count_one(struct uzip *u, uint32_t i, struct uzip_counts *out)
{
	struct uzip_span span;
	int rc = uzip_span(&u->dev, i, &span);

	if (rc < 0)
		return rc;
	out->zero += span.kind == UZIP_ZERO;
	out->backref += span.kind == UZIP_BACKREF;
	if (span.kind != UZIP_STORED)
		return 0;
	out->stored++;
	out->stored_bytes += span.len;
	out->data_end = span.off + span.len;
	return 0;
}

static void
count_stretch(const struct uzip_stretch *s, struct uzip_counts *out)
{
	out->zero += s->zero;
	out->stored += s->n - s->zero;
	out->stored_bytes += s->entry[s->n] - s->entry[0];
	if (s->zero < s->n)
		out->data_end = s->entry[s->n];
}

/* Clusters first .. end - 1; until_zero: the first zero one ends it. */
static int
count(struct uzip *u, uint32_t first, uint32_t end, bool until_zero,
    struct uzip_counts *out)
{
	scoped(freep) struct uzip_stretch *s = malloc(sizeof(*s));
	int rc = 0;

	if (s == NULL)
		return -ENOMEM;
	for (uint32_t i = first; i < end && !(until_zero && out->zero > 0);) {
		rc =
		    uzip_index_stretch(&u->index, i, end - i, u->index.most, s);
		if (rc == 0 && s->n == 0)
			rc = count_one(u, i, out);
		else if (rc == 0)
			count_stretch(s, out);
		if (rc < 0)
			return rc;
		i += s->n > 0 ? s->n : 1;
	}
	return 0;
}

int
uzip_count(struct blkdev *dev, struct uzip_counts *out)
{
	struct uzip *u = (struct uzip *)dev;

	*out = (struct uzip_counts){.data_end = u->index.start};
	return count(u, 0, u->info.nclusters, false, out);
}

int
uzip_count_some(struct blkdev *dev, struct uzip_counts *out)
{
	struct uzip *u = (struct uzip *)dev;
	uint32_t n = u->info.nclusters;
	int rc = 0;

	if (n <= PIECES * PIECE)
		return uzip_count(dev, out);
	*out = (struct uzip_counts){.data_end = u->index.start};
	for (uint64_t k = 0; k < PIECES && rc == 0; k++) {
		uint32_t at = (uint32_t)(k * (n - PIECE) / (PIECES - 1));

		at -= at % PIECE; /* as the index is read */
		rc = count(u, at, at + PIECE, false, out);
	}
	return rc;
}

int
uzip_has_zero(struct blkdev *dev)
{
	struct uzip *u = (struct uzip *)dev;
	struct uzip_counts counts = {0};
	int rc = count(u, 0, u->info.nclusters, true, &counts);

	return rc < 0 ? rc : counts.zero > 0;
}

int
uzip_extent(struct blkdev *dev, uint32_t first, uint32_t n, uint64_t *bytes)
{
	struct uzip_index *x = &((struct uzip *)dev)->index;
	struct uzip_span a = {.kind = UZIP_BACKREF}, b = a;
	bool last;
	int rc = 0;

	*bytes = 0;
	while (n > 0 && rc == 0 && a.kind == UZIP_BACKREF) {
		rc = uzip_index_span(x, first, &a, &last);
		first++;
		n--;
	}
	b = a;
	for (uint32_t i = n; i > 0 && rc == 0; i--) {
		rc = uzip_index_span(x, first + i - 1, &b, &last);
		if (b.kind != UZIP_BACKREF)
			break;
		b = a;
	}
	if (rc == 0 && a.kind != UZIP_BACKREF)
		*bytes = b.off + b.len - a.off;
	return rc;
}

int
uzip_zero_run(struct blkdev *dev, uint32_t first, uint32_t n, uint32_t *zero)
{
	struct uzip_index *x = &((struct uzip *)dev)->index;
	scoped(freep) struct uzip_stretch *s = malloc(sizeof(*s));
	int rc = s == NULL ? -ENOMEM : 0;

	for (*zero = 0; *zero < n && rc == 0; *zero += s->n) {
		rc = uzip_index_stretch(x, first + *zero, n - *zero, 0, s);
		if (s->n == 0)
			break;
	}
	return rc;
}

/* How many of their first n clusters have the same lengths. */
static uint32_t
same_in(const struct uzip_stretch *a, const struct uzip_stretch *b)
{
	uint64_t shift;
	uint32_t i = 0, n = a->n < b->n ? a->n : b->n;

	if (n == 0)
		return 0;
	if (a->zero == a->n && b->zero == b->n)
		return n;
	shift = b->entry[0] - a->entry[0];
	while (i < n && b->entry[i + 1] - a->entry[i + 1] == shift)
		i++;
	return i;
}

int
uzip_same_lengths(struct blkdev *a, struct blkdev *b, uint32_t first,
    uint32_t n, uint32_t *same)
{
	struct uzip_index *xa = &((struct uzip *)a)->index;
	struct uzip_index *xb = &((struct uzip *)b)->index;
	scoped(freep) struct uzip_stretch *s = malloc(2 * sizeof(*s));
	uint32_t got;
	int rc = s == NULL ? -ENOMEM : 0;

	for (*same = 0; *same < n && rc == 0; *same += got) {
		uint32_t at = first + *same, left = n - *same;

		rc = uzip_index_stretch(xa, at, left, xa->most, &s[0]);
		if (rc == 0)
			rc = uzip_index_stretch(xb, at, left, xb->most, &s[1]);
		got = rc == 0 ? same_in(&s[0], &s[1]) : 0;
		if (got == 0)
			break;
	}
	return rc;
}
