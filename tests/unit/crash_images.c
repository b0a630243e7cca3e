#include "crash_images.h"

#include <stdlib.h>
#include <string.h>

enum {
	SECTOR = 512,
	FILES = 64,
	PENDING = 512, /* unsynced writes */
	SUBSETS_UP_TO = 8,
	RANDOM = 64,
	TEARS = 16,
	SPOILT = 4,
};

struct bytes {
	uint8_t *p;
	size_t len, room;
};

/* A file: what is durable, and what is not. */
struct half {
	struct bytes synced;
	const struct memdisk_op *pending[PENDING];
	size_t n;
};

struct explorer {
	struct half *half[FILES];
	struct bytes made;
	crash_visitor *visit;
	void *arg;
	size_t cut;
	uint64_t seed;
};

static uint64_t
next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed * 0x9e3779b97f4a7c15u >> 16;
}

static void
resize(struct bytes *b, size_t len)
{
	if (len > b->room) {
		b->room = len * 2;
		b->p = realloc(b->p, b->room);
	}
	if (len > b->len)
		memset(b->p + b->len, 0, len - b->len);
	b->len = len;
}

static void
put(struct bytes *b, uint64_t off, const void *p, size_t len)
{
	if (off + len > b->len)
		resize(b, (size_t)off + len);
	memcpy(b->p + off, p, len);
}

static void
apply(struct bytes *b, const struct memdisk_op *op)
{
	if (op->kind == MEMDISK_CUT)
		resize(b, (size_t)op->off);
	else if (op->len > 0)
		put(b, op->off, op->data, op->len);
}

static struct half *
half_of(struct explorer *x, int file)
{
	if (x->half[file] == NULL)
		x->half[file] = calloc(1, sizeof(struct half));
	return x->half[file];
}

/* -- one image --------------------------------------------------------------
 */

/* Which of the pending writes are kept; a row of bits. */
struct choice {
	bool keep[PENDING];
};

static void
keep_all(struct choice *c, size_t n, bool keep)
{
	for (size_t i = 0; i < n; i++)
		c->keep[i] = keep;
}

/* The durable part and the chosen ones of the first n pending writes. */
static void
make(struct explorer *x, const struct half *h, const struct choice *c, size_t n)
{
	x->made.len = 0;
	put(&x->made, 0, h->synced.p, h->synced.len);
	for (size_t i = 0; i < n; i++)
		if (c->keep[i])
			apply(&x->made, h->pending[i]);
}

static void
show(struct explorer *x, const struct half *h, const struct choice *c,
    const char *torn)
{
	struct crash_image image = {
	    .n = x->cut, .torn = torn, .bytes = x->made.p, .len = x->made.len};
	size_t from = h->n > 64 ? h->n - 64 : 0;

	for (size_t i = from; i < h->n; i++)
		image.kept |= (uint64_t)c->keep[i] << (i - from);
	x->visit(x->arg, &image);
}

static void
make_and_show(struct explorer *x, const struct half *h, const struct choice *c)
{
	make(x, h, c, h->n);
	show(x, h, c, "");
}

/* -- the images of one cut --------------------------------------------------
 */

/* The last write is kept; the others in all ways. */
static void
all_subsets(struct explorer *x, const struct half *h)
{
	struct choice c;

	for (unsigned bits = 0; bits < 1u << (h->n - 1); bits++) {
		for (size_t i = 0; i < h->n; i++)
			c.keep[i] = i == h->n - 1 || (bits >> i & 1);
		make_and_show(x, h, &c);
	}
}

static void
some_subsets(struct explorer *x, const struct half *h)
{
	struct choice c;

	keep_all(&c, h->n, true);
	make_and_show(x, h, &c);
	for (size_t i = 0; i < h->n - 1; i++) {
		c.keep[i] = false;
		make_and_show(x, h, &c);
		c.keep[i] = true;
	}
	for (int r = 0; r < RANDOM; r++) {
		for (size_t i = 0; i < h->n - 1; i++)
			c.keep[i] = next_random(&x->seed) % 2;
		make_and_show(x, h, &c);
	}
}

/* The last write, torn where a sector ends: its beginning is there. */
static void
torn_last(struct explorer *x, const struct half *h, const struct choice *c)
{
	const struct memdisk_op *op = h->pending[h->n - 1];
	size_t first = SECTOR - op->off % SECTOR;
	size_t places =
	    op->len > first ? (op->len - first - 1) / SECTOR + 1 : 0;
	size_t step = places > TEARS ? (places + TEARS - 1) / TEARS : 1;

	for (size_t i = 0; i < places; i += step) {
		make(x, h, c, h->n - 1);
		put(&x->made, op->off, op->data, first + i * SECTOR);
		show(x, h, c, "torn");
	}
}

/* The last write, of which only the file's new length is there. */
static void
empty_last(struct explorer *x, const struct half *h, const struct choice *c)
{
	const struct memdisk_op *op = h->pending[h->n - 1];

	make(x, h, c, h->n - 1);
	if (op->off + op->len > x->made.len)
		resize(&x->made, (size_t)op->off + op->len);
	show(x, h, c, "empty");
}

/* A write, of which any sectors are there, upon what is made. */
static void
put_spoilt(struct explorer *x, const struct memdisk_op *op)
{
	for (size_t i = 0; i < op->len;) {
		size_t n = SECTOR - (size_t)((op->off + i) % SECTOR);

		if (n > op->len - i)
			n = op->len - i;
		if (next_random(&x->seed) % 2)
			put(&x->made, op->off + i, op->data + i, n);
		i += n;
	}
}

static void
spoilt_last(struct explorer *x, const struct half *h, const struct choice *c)
{
	make(x, h, c, h->n - 1);
	put_spoilt(x, h->pending[h->n - 1]);
	show(x, h, c, "spoilt");
}

/* Everything is there but for sectors of one write. */
static void
spoilt_one(struct explorer *x, const struct half *h)
{
	struct choice c;

	keep_all(&c, h->n, true);
	for (size_t i = 0; i < h->n - 1; i++) {
		if (h->pending[i]->kind != MEMDISK_WRITE)
			continue;
		c.keep[i] = false;
		make(x, h, &c, h->n);
		put_spoilt(x, h->pending[i]);
		show(x, h, &c, "one spoilt");
		c.keep[i] = true;
	}
}

static void
after_a_write(struct explorer *x, const struct half *h)
{
	struct choice c;

	if (h->n <= SUBSETS_UP_TO)
		all_subsets(x, h);
	else
		some_subsets(x, h);
	spoilt_one(x, h);
	if (h->pending[h->n - 1]->kind != MEMDISK_WRITE)
		return;
	for (int earlier = 0; earlier < (h->n > 1 ? 2 : 1); earlier++) {
		keep_all(&c, h->n, !earlier);
		torn_last(x, h, &c);
		empty_last(x, h, &c);
		for (int i = 0; i < SPOILT; i++)
			spoilt_last(x, h, &c);
	}
}

/* All of what was issued is there, or nothing that was not synced. */
static void
all_or_nothing(struct explorer *x, const struct half *h)
{
	struct choice c;

	keep_all(&c, h->n, true);
	make_and_show(x, h, &c);
	keep_all(&c, h->n, false);
	make_and_show(x, h, &c);
}

/* -- the run ----------------------------------------------------------------
 */

static void
note_op(struct explorer *x, const struct memdisk_op *op)
{
	struct half *h = half_of(x, op->file);

	if (op->kind == MEMDISK_SYNC) {
		for (size_t i = 0; i < h->n; i++)
			apply(&h->synced, h->pending[i]);
		h->n = 0;
	} else if (op->kind != MEMDISK_REPLACE) {
		if (h->n == PENDING)
			abort();
		h->pending[h->n++] = op;
	}
}

/* The power is cut; fresh: right behind a write to the current file. */
static void
cut_here(struct explorer *x, const struct memdisk *d, int current, bool fresh)
{
	const struct memdisk_op *next =
	    x->cut < memdisk_ops(d) ? memdisk_op(d, x->cut) : NULL;

	if (fresh)
		after_a_write(x, half_of(x, current));
	else
		all_or_nothing(x, half_of(x, current));
	if (next != NULL && next->kind == MEMDISK_REPLACE)
		all_or_nothing(x, half_of(x, next->file));
}

static void
explorer_free(struct explorer *x)
{
	for (int i = 0; i < FILES; i++)
		if (x->half[i] != NULL) {
			free(x->half[i]->synced.p);
			free(x->half[i]);
		}
	free(x->made.p);
	free(x);
}

void
crash_images(
    const struct memdisk *d, size_t first, crash_visitor *visit, void *arg)
{
	struct explorer *x = calloc(1, sizeof(*x));
	size_t n = memdisk_ops(d);
	int current = 0; /* which file has the name */

	*x = (struct explorer){.visit = visit, .arg = arg, .seed = n * 2 + 1};
	if (first == 0)
		cut_here(x, d, current, false);
	for (x->cut = 1; x->cut <= n; x->cut++) {
		const struct memdisk_op *op = memdisk_op(d, x->cut - 1);
		bool wrote =
		    op->kind == MEMDISK_WRITE || op->kind == MEMDISK_CUT;

		note_op(x, op);
		if (op->kind == MEMDISK_REPLACE)
			current = op->file;
		if (x->cut >= first)
			cut_here(x, d, current,
			    x->cut > first && wrote && op->file == current);
	}
	explorer_free(x);
}
