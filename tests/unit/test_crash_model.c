/*
 * The crash model: every sequence of up to three operations on the whole
 * stack (base - overlay - cache - ufs), power cut behind each write to the
 * overlay's file, and every disk that can leave (crash_images.h).  Each must
 * open, as a clean file system that holds exactly what the last completed
 * flush made durable, or what the one in progress was about to; and life must
 * go on from there.
 *
 * A sequence is explored from its last operation on: what comes before was,
 * as a shorter sequence.  At its end it is flushed, files that are open are
 * closed, and an index is left, as umount does.  fdatasync(2) is fsync(2) to
 * the engine.  What an image recovers to is judged once for each state of the
 * device that differs, whichever sequences lead to it.
 *
 * Sequences of three are a sample, all of them with RELIVE_LONG; then
 * RELIVE_PART=I/N takes one part in N.
 */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "crash_images.h"
#include "crash_world.h"

enum {
	MOST = 3,
	MARKS = MOST + 4,
	PINS = 4,
	/* One crash in so many is followed by another. */
	AGAIN = 499,
	AGAIN_LONG = 16,
	FAULTS = 24, /* the last write that fails */
};

/* How to flush: len of what has no path. */
enum { FSYNC, FINISH, COMPACT };

static const struct overlay_id id = {"crash model"};

/* What a sequence is made of; a NULL path: no change but a flush. */
static const struct tree_op ops[] = {
    {"create /n", TREE_CREATE, "/n", NULL, 0, 0},
    {"create /d/n", TREE_CREATE, "/d/n", NULL, 0, 0},
    {"write within /a", TREE_WRITE, "/a", NULL, 1000, 2000},
    {"write within /b", TREE_WRITE, "/b", NULL, 47000, 9000},
    {"write behind /d/x", TREE_WRITE, "/d/x", NULL, 50000, 1000},
    {"append to /a", TREE_APPEND, "/a", NULL, 0, 700},
    {"append to /n", TREE_APPEND, "/n", NULL, 0, 5000},
    {"truncate /a to 0", TREE_TRUNCATE, "/a", NULL, 0, 0},
    {"truncate /b to 48000", TREE_TRUNCATE, "/b", NULL, 48000, 0},
    {"truncate /d/x to 70000", TREE_TRUNCATE, "/d/x", NULL, 70000, 0},
    {"punch /b", TREE_PUNCH, "/b", NULL, 9000, 45000},
    {"rename /a to /n", TREE_RENAME, "/a", "/n", 0, 0},
    {"rename /a over /b", TREE_RENAME, "/a", "/b", 0, 0},
    {"rename /d over /e", TREE_RENAME, "/d", "/e", 0, 0},
    {"rename /d/x to /e/x", TREE_RENAME, "/d/x", "/e/x", 0, 0},
    {"link /a as /e/l", TREE_LINK, "/a", "/e/l", 0, 0},
    {"unlink /a", TREE_UNLINK, "/a", NULL, 0, 0},
    {"unlink /d/x", TREE_UNLINK, "/d/x", NULL, 0, 0},
    {"unlink /b while it is open", TREE_UNLINK_OPEN, "/b", NULL, 0, 0},
    {"mkdir /m", TREE_MKDIR, "/m", NULL, 0, 0},
    {"mkdir /e/m", TREE_MKDIR, "/e/m", NULL, 0, 0},
    {"rmdir /e", TREE_RMDIR, "/e", NULL, 0, 0},
    {"rmdir /m", TREE_RMDIR, "/m", NULL, 0, 0},
    {"fsync", TREE_CREATE, NULL, NULL, 0, FSYNC},
    {"flush and index", TREE_CREATE, NULL, NULL, 0, FINISH},
    {"flush and compact", TREE_CREATE, NULL, NULL, 0, COMPACT},
};
enum { OPS = sizeof(ops) / sizeof(ops[0]) };

/* A state of the device that was recovered: what it shows. */
static struct tree_listing *listings;
static uint32_t nlistings;

static struct {
	unsigned long sequences, images, distinct, again, faults;
} total;

static void
tell(const struct world *w)
{
	printf("# %s: %lu sequences, %lu crashes followed by another, "
	       "%lu failed writes; %lu crash states, %lu distinct images, "
	       "%zu recovered states\n",
	    w->name, total.sequences, total.again, total.faults, total.images,
	    total.distinct, w->states.n);
}

/* -- a run -------------------------------------------------------------------
 */

/* The model behind one operation, and between which writes it was done. */
struct mark {
	size_t begin, end;
	bool is_flush, durable;
	struct tree_listing state;
};

struct run {
	struct world *world;
	int sequence[MOST], length;
	struct memdisk *disk;
	struct blkdev *overlay;
	struct ufs *fs;
	struct tree tree;
	struct mark mark[MARKS];
	int nmarks;
	uint64_t pinned[PINS];
	int npinned;
	/* Exploring: */
	struct memdisk *crashed;
	struct set images;   /* visited */
	struct set prefixes; /* of images: index + 1 of listings */
	bool faults, broken; /* a flush may fail; it has, for good */
	uint64_t again;      /* one crash in so many is followed by another */
	bool bad;
};

static void
say(struct run *r, const struct crash_image *image, const char *what)
{
	check_failures++;
	if (r->bad)
		return;
	r->bad = true;
	printf("# %s:", r->world->name);
	for (int i = 0; i < r->length; i++)
		printf(" %s;", ops[r->sequence[i]].name);
	if (image != NULL)
		printf(" cut behind %zu of %zu, kept %llx %s", image->n,
		    memdisk_ops(r->disk), (unsigned long long)image->kept,
		    image->torn);
	printf(": %s\n", what);
}

/* Mount what r->disk holds; r->tree is what that is. */
static void
run_mount(struct run *r)
{
	struct blkdev *cache = NULL;

	r->crashed = memdisk_new();
	CHECK_EQ(memdisk_open(
		     r->disk, &id, blkdev_ref(r->world->base), 0, &r->overlay),
	    0);
	CHECK_EQ(
	    blkdev_cache_open(r->overlay, r->world->dirty_max, 1 << 20, &cache),
	    0);
	CHECK_EQ(world_mount(cache, r->overlay, &r->fs), 0);
	r->mark[0] =
	    (struct mark){.end = memdisk_ops(r->disk), .durable = true};
	tree_list(&r->tree, &r->mark[0].state);
	r->nmarks = 1;
}

static void
run_open(struct run *r)
{
	r->disk = memdisk_new();
	tree_copy(&r->world->tree, &r->tree);
	CHECK_EQ(memdisk_create(r->disk, &id, WORLD_SIZE), 0);
	run_mount(r);
}

static void
run_close(struct run *r)
{
	ufs_close(r->fs);
	tree_end(&r->tree);
	memdisk_free(r->disk);
	memdisk_free(r->crashed);
	set_clear(&r->images);
	set_clear(&r->prefixes);
}

static int
flush(struct run *r, uint64_t how)
{
	int rc = ufs_flush(r->fs);

	if (rc < 0 || how == FSYNC)
		return rc;
	return how == FINISH ? overlay_finish(r->overlay)
			     : overlay_compact(r->overlay);
}

/* What is about to be unlinked while it is open, to be closed at the end. */
static void
note_pin(struct run *r, const struct tree_op *op)
{
	struct ufs_attr attr;

	if (op->verb == TREE_UNLINK_OPEN &&
	    ufs_lookup(r->fs, UFS_ROOT, op->a + 1, strlen(op->a + 1), &attr) ==
		0)
		r->pinned[r->npinned++] = attr.ino;
}

static void
step(struct run *r, const struct tree_op *op)
{
	struct mark *m = &r->mark[r->nmarks++];
	int want = 0, got;

	m->begin = memdisk_ops(r->disk);
	if (op->a == NULL) {
		got = flush(r, op->len);
		m->is_flush = true;
		m->durable = got == 0;
		/* A full disk: try again.  A failed sync: the end. */
		r->broken |= got == -EIO;
		if (r->faults && (got == -ENOSPC || got == -EIO))
			got = 0;
	} else {
		note_pin(r, op);
		want = tree_expect(&r->tree, op);
		got = tree_do(r->fs, op);
	}
	if (got != want) {
		say(r, NULL, op->name);
		printf("# answered %d, not %d\n", got, want);
	}
	m->end = memdisk_ops(r->disk);
	tree_list(&r->tree, &m->state);
}

/* -- what is left ------------------------------------------------------------
 */

/* What the image recovers to, an index into listings; -1 said. */
static int
recover(struct run *r, const struct crash_image *image)
{
	struct blkdev *overlay = NULL;
	uint32_t *state, *prefix;
	const char *wrong;

	memdisk_load(r->crashed, image->bytes, image->len);
	if (memdisk_open(
		r->crashed, &id, blkdev_ref(r->world->base), 0, &overlay) < 0) {
		blkdev_close(r->world->base);
		say(r, image, "it does not open");
		return -1;
	}
	/* The bytes before the end tell the state. */
	prefix = set_find(&r->prefixes,
	    hash_of(1, image->bytes, ((struct overlay *)overlay)->log.end));
	if (*prefix == 0)
		*prefix = *set_find(&r->world->states, world_state_of(overlay));
	if (*prefix != 0) {
		blkdev_close(overlay);
		return (int)*prefix - 1;
	}
	state = set_find(&r->world->states, world_state_of(overlay));
	if ((nlistings & (nlistings + 1)) == 0)
		listings = realloc(
		    listings, (2 * nlistings + 2) * sizeof(listings[0]));
	memset(&listings[nlistings], 0, sizeof(listings[0]));
	wrong = world_judge(overlay, &listings[nlistings]);
	*prefix = *state = ++nlistings;
	if (wrong != NULL)
		say(r, image, wrong);
	return wrong != NULL ? -1 : (int)nlistings - 1;
}

static bool
is_same(const struct tree_listing *a, const struct tree_listing *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/*
 * The marks of the last completed flush at cut n, and of one that was in
 * progress or failed.
 */
static void
allowed(const struct run *r, size_t n, int *last, int *next)
{
	*last = 0;
	*next = -1;
	for (int i = 1; i < r->nmarks; i++) {
		const struct mark *m = &r->mark[i];

		if (!m->is_flush || m->begin > n)
			continue;
		if (m->durable && m->end <= n) {
			*last = i;
			*next = -1;
		} else {
			*next = i;
		}
	}
}

static void crash_again(
    const struct run *r, const struct crash_image *image, int mark);

static void
visit(void *arg, const struct crash_image *image)
{
	struct run *r = arg;
	uint64_t key = hash_of(2, image->bytes, image->len);
	int last, next, got;
	uint32_t *seen;

	allowed(r, image->n, &last, &next);
	total.images++;
	seen =
	    set_find(&r->images, key ^ (uint64_t)(last * 64 + next + 1) << 40);
	if (*seen != 0)
		return;
	*seen = 1;
	total.distinct++;
	got = recover(r, image);
	if (got < 0)
		return;
	if (next >= 0 && is_same(&listings[got], &r->mark[next].state))
		last = next;
	if (is_same(&listings[got], &r->mark[last].state)) {
		if (r->again && total.images % r->again == 0)
			crash_again(r, image, last);
		return;
	}
	say(r, image, "it is neither the last flush nor the next");
	if (check_failures > 3)
		return;
	printf("# it shows\n");
	tree_print(&listings[got]);
	printf("# the last flush was of\n");
	tree_print(&r->mark[last].state);
}

/* -- sequences ---------------------------------------------------------------
 */

static bool
everything(void)
{
	return getenv("RELIVE_LONG") != NULL;
}

static const struct tree_op last_fsync = {
    "the last flush", TREE_CREATE, NULL, NULL, 0, FSYNC};
static const struct tree_op umount = {
    "umount", TREE_CREATE, NULL, NULL, 0, FINISH};

/* Flush, close what is open, leave an index; then cut the power. */
static void
end_and_explore(struct run *r, size_t from)
{
	step(r, &last_fsync);
	for (int i = 0; i < r->npinned; i++)
		CHECK_EQ(ufs_unpin(r->fs, r->pinned[i], 1), 0);
	step(r, &umount);
	crash_images(r->disk, from, visit, r);
}

static void
run_sequence(struct world *w, const int *sequence, int length)
{
	struct run r = {.world = w, .length = length};

	total.sequences++;
	if (length < MOST)
		r.again = everything() ? AGAIN_LONG : AGAIN;
	memcpy(r.sequence, sequence, (size_t)length * sizeof(*sequence));
	run_open(&r);
	for (int i = 0; i < length; i++)
		step(&r, &ops[sequence[i]]);
	end_and_explore(&r, r.mark[length].begin);
	run_close(&r);
}

/*
 * Go on from what a crash of *before left, which is the state at that mark,
 * with one operation; and crash again.
 */
static void
crash_again(const struct run *before, const struct crash_image *image, int mark)
{
	struct run r = {.world = before->world, .length = 1};

	total.again++;
	r.disk = memdisk_new();
	memdisk_load(r.disk, image->bytes, image->len);
	tree_copy(&r.world->tree, &r.tree);
	for (int i = 0; i < mark && i < before->length; i++)
		if (ops[before->sequence[i]].a != NULL)
			(void)tree_expect(&r.tree, &ops[before->sequence[i]]);
	run_mount(&r);
	CHECK_EQ(world_reap(r.fs, r.overlay), 0);
	r.sequence[0] = (int)(image->len / 16 % OPS);
	step(&r, &ops[r.sequence[0]]);
	end_and_explore(&r, 2);
	run_close(&r);
}

/*
 * One write fails, for want of space; then the flush is tried again.  Whether
 * so many were written.
 */
static bool
run_with_fault(struct world *w, int op, unsigned nth)
{
	struct run r = {.world = w, .length = 1, .sequence = {op}};
	bool failed;
	size_t from;

	run_open(&r);
	from = memdisk_ops(r.disk);
	memdisk_fail(r.disk, nth, -ENOSPC);
	r.faults = true;
	step(&r, &ops[op]);
	step(&r, &last_fsync);
	failed = memdisk_fail(r.disk, 0, 0) == 0;
	if (r.broken) {
		crash_images(r.disk, from, visit, &r);
	} else {
		r.faults = false;
		end_and_explore(&r, from);
	}
	run_close(&r);
	return failed;
}

/* Whether a sequence belongs to the part that RELIVE_PART asks for. */
static bool
is_mine(unsigned long i)
{
	const char *text = getenv("RELIVE_PART");
	unsigned long part = 0, parts = 1;

	if (text != NULL && sscanf(text, "%lu/%lu", &part, &parts) != 2)
		parts = 1;
	return parts < 2 || i % parts == part;
}

static void
all_of_length(struct world *w, int length)
{
	unsigned long n = 1;

	for (int i = 0; i < length; i++)
		n *= OPS;
	for (unsigned long i = 0; i < n && check_failures < 20; i++) {
		int sequence[MOST];
		unsigned long rest = i;

		for (int k = 0; k < length; k++, rest /= OPS)
			sequence[k] = (int)(rest % OPS);
		if (is_mine(i))
			run_sequence(w, sequence, length);
	}
}

static void
sample_of_length(struct world *w, int length, unsigned n)
{
	unsigned seed = 5;

	for (unsigned i = 0; i < n && check_failures < 20; i++) {
		int sequence[MOST];

		for (int k = 0; k < length; k++)
			sequence[k] = rand_r(&seed) % OPS;
		run_sequence(w, sequence, length);
	}
}

static void
all_faults(struct world *w)
{
	for (int op = 0; op < OPS && check_failures < 20; op++)
		for (unsigned nth = 1; nth < FAULTS; nth++) {
			if (!run_with_fault(w, op, nth))
				break;
			total.faults++;
		}
}

static void
explore(struct world *w)
{
	world_open(w);
	memset(&total, 0, sizeof(total));
	for (int length = 1; length <= (everything() ? MOST : w->length);
	     length++)
		all_of_length(w, length);
	if (!everything())
		sample_of_length(w, w->length + 1, w->sample);
	all_faults(w);
	tell(w);
	world_close(w);
	free(listings);
	listings = NULL;
	nlistings = 0;
}

static void
a_base_in_memory(void)
{
	struct world w = {.name = "UFS2 4096/512",
	    .version = 2,
	    .bsize = 4096,
	    .fsize = 512,
	    .dirty_max = 8 << 20,
	    .length = 2,
	    .sample = 600};

	explore(&w);
}

static void
a_compressed_base_of_the_other_kind(void)
{
	struct world w = {.name = "UFS1 8192/1024 big-endian in a uzip",
	    .version = 1,
	    .big_endian = true,
	    .bsize = 8192,
	    .fsize = 1024,
	    .uzip = true,
	    .dirty_max = 8 << 20,
	    .length = 1,
	    .sample = 100};

	explore(&w);
}

static void
a_full_file_system_that_grows(void)
{
	struct world w = {.name = "UFS2 4096/4096, full",
	    .version = 2,
	    .bsize = 4096,
	    .fsize = 4096,
	    .full = true,
	    .dirty_max = 8 << 20,
	    .length = 1,
	    .sample = 100};

	explore(&w);
}

static void
a_cache_that_writes_early(void)
{
	struct world w = {.name = "UFS2 4096/512, writing early",
	    .version = 2,
	    .bsize = 4096,
	    .fsize = 512,
	    .dirty_max = 8 << 10,
	    .length = 1,
	    .sample = 100};

	explore(&w);
}

TESTS({"a base in memory", a_base_in_memory},
    {"a compressed base of the other kind",
	a_compressed_base_of_the_other_kind},
    {"a full file system that grows", a_full_file_system_that_grows},
    {"a cache that writes early", a_cache_that_writes_early})
