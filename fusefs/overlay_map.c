#include "overlay_map.h"

#include <stdlib.h>
#include <string.h>

enum {
	CHUNK = 126, /* extents: 4 KiB a chunk */
};

struct overlay_chunk {
	struct overlay_chunk *next_spare;
	size_t n;
	struct overlay_extent e[CHUNK];
};

/* A place in the map: extent i of chunk c; c may be one past the last. */
struct place {
	size_t c, i;
};

/*
 * A call of set takes away or shortens some extents, may cut one in two, and
 * adds one: two more at most.  Each may find its chunk full and split it.
 */
enum { CHUNKS_PER_CALL = 2 };

int
overlay_map_reserve(struct overlay_map *map, size_t n)
{
	size_t need = n * CHUNKS_PER_CALL + 1; /* the first chunk of all */

	if (map->nchunks + need > map->room) {
		size_t room = (map->nchunks + need) * 2;
		void *p = realloc(map->slot, room * sizeof(map->slot[0]));

		if (p == NULL)
			return -ENOMEM;
		map->slot = p;
		map->room = room;
	}
	while (map->nspare < need) {
		struct overlay_chunk *c = malloc(sizeof(*c));

		if (c == NULL)
			return -ENOMEM;
		c->n = 0;
		c->next_spare = map->spare;
		map->spare = c;
		map->nspare++;
	}
	return 0;
}

/* What part of its record's room in the file an extent stands for. */
static uint64_t
live_of(const struct overlay_extent *e)
{
	if (e->off == 0)
		return OVERLAY_RECORD;
	return (OVERLAY_RECORD + overlay_padded(e->stored)) * e->n / e->blocks;
}

/* Keep the sums: an extent comes (sign 1) or goes (-1). */
static void
count(struct overlay_map *map, const struct overlay_extent *e, int sign)
{
	uint64_t s = (uint64_t)(int64_t)sign;

	map->extents += s;
	map->live += s * live_of(e);
	*(e->off == 0 ? &map->trimmed : &map->data) += s * e->n;
}

/* Chunk number at of the array becomes a new, empty one. */
static struct overlay_chunk *
chunk_insert(struct overlay_map *map, size_t at)
{
	struct overlay_chunk *c = map->spare;

	assert(c != NULL && map->nchunks < map->room);
	map->spare = c->next_spare;
	map->nspare--;
	memmove(map->slot + at + 1, map->slot + at,
	    (map->nchunks - at) * sizeof(map->slot[0]));
	map->slot[at].chunk = c;
	map->nchunks++;
	c->n = 0;
	return c;
}

/* The first extent of chunk number at may be another one. */
static void
note_first(struct overlay_map *map, size_t at)
{
	map->slot[at].first = map->slot[at].chunk->e[0].no;
}

static void
chunk_remove(struct overlay_map *map, size_t at)
{
	struct overlay_chunk *c = map->slot[at].chunk;

	map->nchunks--;
	memmove(map->slot + at, map->slot + at + 1,
	    (map->nchunks - at) * sizeof(map->slot[0]));
	if (map->nspare < 64) {
		c->next_spare = map->spare;
		map->spare = c;
		map->nspare++;
	} else {
		free(c);
	}
}

/* After removals: let go of an empty chunk, join two that are nearly so. */
static void
chunk_tidy(struct overlay_map *map, size_t at)
{
	struct overlay_chunk *c = map->slot[at].chunk, *next;

	if (c->n == 0) {
		chunk_remove(map, at);
		return;
	}
	note_first(map, at);
	if (at + 1 == map->nchunks)
		return;
	next = map->slot[at + 1].chunk;
	if (c->n + next->n > CHUNK / 2)
		return;
	memcpy(c->e + c->n, next->e, next->n * sizeof(c->e[0]));
	c->n += next->n;
	chunk_remove(map, at + 1);
}

static uint64_t
end_of(const struct overlay_extent *e)
{
	return e->no + e->n;
}

/* The place of the first extent that ends behind block no. */
static struct place
seek(const struct overlay_map *map, uint64_t no)
{
	size_t lo = 0, hi = map->nchunks;
	const struct overlay_chunk *c;
	struct place p;

	if (hi == 0)
		return (struct place){0, 0};
	c = map->slot[hi - 1].chunk;
	if (end_of(&c->e[c->n - 1]) <= no) /* whatever comes in order */
		return (struct place){hi, 0};
	while (lo < hi) { /* chunks that begin at no or before */
		size_t mid = lo + (hi - lo) / 2;

		if (map->slot[mid].first > no)
			hi = mid;
		else
			lo = mid + 1;
	}
	if (lo == 0)
		return (struct place){0, 0};
	p.c = lo - 1;
	c = map->slot[p.c].chunk;
	for (lo = 0, hi = c->n; lo < hi;) {
		size_t mid = lo + (hi - lo) / 2;

		if (end_of(&c->e[mid]) > no)
			hi = mid;
		else
			lo = mid + 1;
	}
	p.i = lo;
	return lo < c->n ? p : (struct place){p.c + 1, 0};
}

/* Put e at place p, which is where it belongs. */
static void
insert(struct overlay_map *map, struct place p, const struct overlay_extent *e)
{
	struct overlay_chunk *c;

	if (p.c == map->nchunks && p.c > 0) { /* append to the last chunk */
		p.c--;
		p.i = map->slot[p.c].chunk->n;
	}
	c = map->nchunks == 0 ? chunk_insert(map, 0) : map->slot[p.c].chunk;
	if (c->n == CHUNK) {
		/* Appending in order, as logs mostly do, leaves full chunks. */
		size_t keep = p.i == CHUNK ? CHUNK : CHUNK / 2;
		struct overlay_chunk *right = chunk_insert(map, p.c + 1);

		right->n = CHUNK - keep;
		memcpy(right->e, c->e + keep, right->n * sizeof(c->e[0]));
		c->n = keep;
		map->slot[p.c + 1].first = right->e[0].no;
		if (p.i > keep || keep == CHUNK) {
			c = right;
			p.c++;
			p.i -= keep;
		}
	}
	memmove(c->e + p.i + 1, c->e + p.i, (c->n - p.i) * sizeof(c->e[0]));
	c->e[p.i] = *e;
	c->n++;
	note_first(map, p.c);
	count(map, e, 1);
}

/* The part of e from block from to block to. */
static struct overlay_extent
part_of(const struct overlay_extent *e, uint64_t from, uint64_t to)
{
	struct overlay_extent part = *e;

	part.no = from;
	part.n = to - from;
	if (e->off != 0)
		part.skip = (uint16_t)(e->skip + (from - e->no));
	return part;
}

static void
replace(struct overlay_map *map, struct overlay_extent *e,
    struct overlay_extent with)
{
	count(map, e, -1);
	*e = with;
	count(map, e, 1);
}

/* Take out the extents of p's chunk that lie wholly before end. */
static void
remove_whole(struct overlay_map *map, struct place p, uint64_t end)
{
	struct overlay_chunk *c = map->slot[p.c].chunk;
	size_t to = p.i;

	for (; to < c->n && end_of(&c->e[to]) <= end; to++)
		count(map, &c->e[to], -1);
	memmove(c->e + p.i, c->e + to, (c->n - to) * sizeof(c->e[0]));
	c->n -= to - p.i;
	chunk_tidy(map, p.c);
}

/* Take blocks no to end out; the place where an extent of them belongs. */
static struct place
clear(struct overlay_map *map, uint64_t no, uint64_t end)
{
	for (;;) {
		struct place p = seek(map, no);
		struct overlay_extent *e, right;

		if (p.c == map->nchunks)
			return p;
		e = &map->slot[p.c].chunk->e[p.i];
		if (e->no >= end)
			return p;
		if (e->no < no && end_of(e) > end) { /* a hole in it */
			right = part_of(e, end, end_of(e));
			replace(map, e, part_of(e, e->no, no));
			p.i++;
			insert(map, p, &right);
			return seek(map, no);
		}
		if (e->no < no) {
			replace(map, e, part_of(e, e->no, no));
		} else if (end_of(e) > end) {
			replace(map, e, part_of(e, end, end_of(e)));
			note_first(map, p.c);
			return p;
		} else {
			remove_whole(map, p, end);
		}
	}
}

void
overlay_map_punch(struct overlay_map *map, uint64_t no, uint64_t n)
{
	(void)clear(map, no, no + n);
}

bool
overlay_extent_joins(
    const struct overlay_extent *e, const struct overlay_extent *next)
{
	return next != NULL && end_of(e) == next->no &&
	    (e->off == 0) == (next->off == 0);
}

/* Let a trim swallow the trims at its sides. */
static void
swallow(struct overlay_map *map, struct overlay_extent *e)
{
	const struct overlay_extent *f =
	    e->no > 0 ? overlay_map_find(map, e->no - 1) : NULL;
	uint64_t end;

	if (f != NULL && f->no < e->no && overlay_extent_joins(f, e)) {
		e->n += f->n;
		e->no = f->no;
		overlay_map_punch(map, e->no, e->n);
	}
	f = overlay_map_find(map, end_of(e));
	if (overlay_extent_joins(e, f)) {
		end = end_of(f);
		overlay_map_punch(map, f->no, f->n);
		e->n = end - e->no;
	}
}

void
overlay_map_set(struct overlay_map *map, const struct overlay_extent *e)
{
	struct overlay_extent add = *e;
	struct place p = clear(map, e->no, end_of(e));

	if (add.off == 0) {
		swallow(map, &add);
		p = seek(map, add.no);
	}
	insert(map, p, &add);
}

const struct overlay_extent *
overlay_map_find(const struct overlay_map *map, uint64_t no)
{
	struct place p = seek(map, no);

	return p.c == map->nchunks ? NULL : &map->slot[p.c].chunk->e[p.i];
}

void
overlay_map_release(struct overlay_map *map)
{
	while (map->nchunks > 0)
		free(map->slot[--map->nchunks].chunk);
	while (map->spare != NULL) {
		struct overlay_chunk *next = map->spare->next_spare;

		free(map->spare);
		map->spare = next;
	}
	free(map->slot);
	*map = (struct overlay_map){0};
}
