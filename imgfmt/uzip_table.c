/*
 * The kernel's parse of a whole index (formats.md 1.5), kept: what an index
 * with back-references needs, as their lengths are those of others.
 */
#include "uzip_table.h"

#include "log.h"

enum {
	SCAN_ENTRIES = 8192,
	TABLE_MOST = 1 << 25, /* clusters; 256 MiB */
	LEN_BITS = 24,
};

/* How the parse describes a cluster beside its offset. */
static const uint32_t LEN_BACKREF = 1u << 22; /* or-ed to the length */
static const uint32_t LEN_BAD = 1u << 23;

/* No offset in a container is that large. */
static const uint64_t OFF_FAR = ((uint64_t)1 << (64 - LEN_BITS)) - 1;

struct uzip_table {
	uint32_t last;    /* last cluster that is no back-reference */
	uint64_t *packed; /* of each cluster: its offset, and its length */
};

static uint64_t
off_of(const struct uzip_table *t, uint32_t i)
{
	return t->packed[i] >> LEN_BITS;
}

static uint32_t
len_of(const struct uzip_table *t, uint32_t i)
{
	return (uint32_t)(t->packed[i] & ((1u << LEN_BITS) - 1));
}

static void
set_len(struct uzip_table *t, uint32_t i, uint32_t len)
{
	t->packed[i] = off_of(t, i) << LEN_BITS | len;
}

/*
 * The parse follows the kernel's entry by entry;
 * frontier is the end of the last span so far, the kernel keeps one less.
 */
struct parse {
	struct uzip_index *x;
	struct uzip_table *t;
	uint32_t *stored; /* clusters with bytes of their own, ascending */
	uint32_t nstored;
	uint32_t next; /* entries before it are below the frontier */
	uint64_t frontier;
	uzip_index_fault *fault;
	void *arg;
};

static void
parse_fault(struct parse *p, uint32_t i, const char *what)
{
	set_len(p->t, i, LEN_BAD);
	if (p->fault != NULL)
		p->fault(p->arg, i, uzip_entry_at(i), what);
}

/* Give i the length of the first stored cluster with its offset. */
static void
parse_backref(struct parse *p, uint32_t i)
{
	struct uzip_table *t = p->t;
	uint32_t lo = 0, hi = p->nstored;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (off_of(t, p->stored[mid]) < off_of(t, i))
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == p->nstored || off_of(t, p->stored[lo]) != off_of(t, i))
		parse_fault(p, i, "refers back to where no cluster begins");
	else
		set_len(t, i, len_of(t, p->stored[lo]) | LEN_BACKREF);
}

/*
 * Where the span of cluster i ends: the next entry at or past the frontier.
 * Those skipped stay below it, as it only grows: so each is seen once.
 */
static uint64_t
next_entry(struct parse *p, uint32_t i)
{
	const struct uzip_index *x = p->x;

	if (p->next <= i)
		p->next = i + 1;
	while (p->next < x->n &&
	    (off_of(p->t, p->next) < p->frontier ||
		off_of(p->t, p->next) > x->dev->size))
		p->next++;
	return p->next < x->n ? off_of(p->t, p->next) : x->end;
}

static void
parse_normal(struct parse *p, uint32_t i)
{
	struct uzip_table *t = p->t;
	uint64_t end = next_entry(p, i);

	if (end < p->frontier || end < off_of(t, i)) {
		parse_fault(p, i, "lies behind the end that the index states");
		return;
	}
	t->last = i;
	p->frontier = end;
	/* Too long is judged when the last cluster is known. */
	end -= off_of(t, i);
	set_len(t, i, end > p->x->most ? p->x->most + 1 : (uint32_t)end);
	if (end > 0)
		p->stored[p->nstored++] = i;
}

static void
parse_entries(struct parse *p)
{
	struct uzip_index *x = p->x;
	struct uzip_table *t = p->t;
	bool begun = false;

	for (uint32_t i = 0; i < x->n; i++) {
		if (!uzip_index_holds(x, off_of(t, i))) {
			parse_fault(p, i, "lies outside the container");
			continue;
		}
		if (!begun)
			p->frontier = off_of(t, i);
		begun = true;
		if (off_of(t, i) + 1 < p->frontier)
			parse_backref(p, i);
		else
			parse_normal(p, i);
	}
	for (uint32_t i = 0; i < x->n; i++) {
		uint32_t len = len_of(t, i) & ~LEN_BACKREF;

		if ((len & LEN_BAD) != 0 || len <= x->most)
			continue;
		if (i == t->last)
			set_len(t, i, x->most);
		else
			parse_fault(p, i, "is longer than kernels accept");
	}
}

void
uzip_table_free(struct uzip_table *t)
{
	if (t == NULL)
		return;
	free(t->packed);
	free(t);
}

static int
table_read(struct uzip_index *x, struct uzip_table *t)
{
	int rc = 0;

	for (uint32_t i = 0; i < x->n && rc == 0;) {
		uint32_t left = x->n - i;
		uint32_t count = left < SCAN_ENTRIES ? left : SCAN_ENTRIES;

		rc = uzip_index_read(x, i, count, t->packed + i);
		for (uint32_t end = i + count; rc == 0 && i < end; i++)
			t->packed[i] =
			    (t->packed[i] < OFF_FAR ? t->packed[i] : OFF_FAR)
			    << LEN_BITS;
	}
	return rc;
}

int
uzip_table_make(struct uzip_index *x, uzip_index_fault *fault, void *arg,
    struct uzip_table **out)
{
	struct uzip_table *t;
	struct parse p = {.x = x, .fault = fault, .arg = arg};
	int rc;

	if (x->n > TABLE_MOST) {
		log_error("uzip header at byte 132: %u clusters, the most "
			  "supported with back-references is %u",
		    x->n, (unsigned)TABLE_MOST);
		return -ENOTSUP;
	}
	if (x->dev->size >= OFF_FAR) {
		log_error("a container of %llu bytes with back-references is "
			  "too large",
		    (unsigned long long)x->dev->size);
		return -ENOTSUP;
	}
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return -ENOMEM;
	t->packed = malloc(x->n * sizeof(*t->packed));
	p.stored = malloc(x->n * sizeof(*p.stored));
	p.t = t;
	rc = t->packed == NULL || p.stored == NULL ? -ENOMEM : table_read(x, t);
	if (rc == 0)
		parse_entries(&p);
	free(p.stored);
	if (rc < 0)
		uzip_table_free(t);
	else
		*out = t;
	return rc;
}

int
uzip_table_span(
    const struct uzip_table *t, uint32_t i, struct uzip_span *span, bool *last)
{
	uint32_t len = len_of(t, i);

	if ((len & LEN_BAD) != 0)
		return -ECORRUPT;
	*last = i == t->last;
	span->off = off_of(t, i);
	span->len = len & ~LEN_BACKREF;
	span->kind = span->len == 0    ? UZIP_ZERO
	    : (len & LEN_BACKREF) != 0 ? UZIP_BACKREF
				       : UZIP_STORED;
	return 0;
}

/* Lengths with a flag are above any most. */
void
uzip_table_stretch(const struct uzip_table *t, uint32_t first, uint32_t n,
    struct uzip_stretch *s)
{
	uint64_t end = off_of(t, first);

	for (; s->n < n; s->n++) {
		uint32_t i = first + s->n;

		if (i == t->last || off_of(t, i) != end ||
		    len_of(t, i) >= LEN_BACKREF)
			break;
		s->room[s->n] = end;
		end += len_of(t, i);
	}
	s->room[s->n] = end;
	s->entry = s->room;
}
