/*
 * Power cuts and damage.  A script of writes and flushes runs on a recorded
 * file; then power is cut after every recorded operation, with all, none or
 * some sectors of what was not synced.  Whatever is left must open as the last
 * completed flush or the one in progress, never as anything between.
 */
#include <stdlib.h>

#include "../../imgfmt/log.h"
#include "check.h"
#include "overlay_mem.h"

enum {
	B = OVERLAY_BLOCK,
	BASE = 24 * B + 77,
	MOST = 48 * B,
	FLUSHES = 64,
};

static const struct overlay_id id = {"crash"};

struct state {
	uint64_t size;
	size_t note_len;
	uint8_t note[8];
	uint8_t data[MOST];
};

/* A completed flush: its state, and which operations it took. */
struct flush {
	size_t begin, end;
	struct state *state;
};

struct ledger {
	struct flush flush[FLUSHES];
	int n;
};

static struct blkdev *base;
static struct state scratch;

static void
silent(enum log_level level, const char *line)
{
	(void)level;
	(void)line;
}

static void
base_make(void)
{
	unsigned seed = 5;

	log_set_sink(silent);
	CHECK_EQ(blkdev_mem_open(BASE, &base), 0);
	for (uint64_t off = 0; off < BASE; off++) {
		uint8_t c = off / B % 2 ? (uint8_t)rand_r(&seed) : 'B';

		CHECK_EQ(blkdev_write(base, off, &c, 1), 0);
	}
	base->writable = false;
}

static struct blkdev *
open_on(struct memdisk *disk)
{
	struct blkdev *dev = NULL;

	if (memdisk_open(disk, &id, blkdev_ref(base), 0, &dev) < 0)
		blkdev_close(base);
	return dev;
}

static void
read_state(struct blkdev *dev, struct state *s)
{
	size_t len;
	const void *note = overlay_note(dev, &len);

	memset(s, 0, sizeof(*s));
	s->size = dev->size;
	s->note_len = len;
	CHECK(s->size <= MOST && len <= sizeof(s->note));
	if (len > 0)
		memcpy(s->note, note, len);
	CHECK_EQ(blkdev_read(dev, 0, s->data, s->size), 0);
}

static void
ledger_add(struct ledger *l, size_t begin, size_t end, const struct state *s)
{
	struct state *copy = malloc(sizeof(*copy));

	*copy = *s;
	l->flush[l->n++] = (struct flush){begin, end, copy};
}

static void
ledger_release(struct ledger *l)
{
	while (l->n > 0)
		free(l->flush[--l->n].state);
}

/* The flush whose state s is, among those that a cut after n may leave. */
static int
ledger_find(const struct ledger *l, size_t n, const struct state *s)
{
	bool is_last = true;

	for (int i = l->n; i-- > 0;) {
		const struct flush *f = &l->flush[i];

		if (f->begin > n || (f->end <= n && !is_last))
			continue;
		if (memcmp(f->state, s, sizeof(*s)) == 0)
			return i;
		if (f->end <= n)
			is_last = false;
	}
	return -1;
}

static void
random_write(struct blkdev *dev, struct state *s, unsigned *seed)
{
	static uint8_t buf[MOST];
	uint64_t blocks = (s->size + B - 1) / B;
	uint64_t no = (unsigned)rand_r(seed) % blocks, end;
	bool noise = rand_r(seed) % 2;
	size_t len;

	end = no + 1 + (unsigned)rand_r(seed) % (rand_r(seed) % 2 ? 1 : 20);
	end = end * B < s->size ? end * B : s->size;
	len = (size_t)(end - no * B);
	if (rand_r(seed) % 4 == 0) {
		memset(s->data + no * B, 0, len);
		CHECK_EQ(blkdev_trim(dev, no * B, len), 0);
		return;
	}
	memset(buf, rand_r(seed), len);
	for (size_t i = 0; noise && i < len; i++)
		buf[i] = (uint8_t)rand_r(seed);
	memcpy(s->data + no * B, buf, len);
	CHECK_EQ(blkdev_write(dev, no * B, buf, len), 0);
}

/* Anything but flushing. */
static void
random_step(struct blkdev *dev, struct state *s, unsigned *seed)
{
	uint64_t to = 1 + (unsigned)rand_r(seed) % MOST;

	switch (rand_r(seed) % 8) {
	case 0:
		if (to < s->size)
			memset(s->data + to, 0, s->size - to);
		CHECK_EQ(blkdev_resize(dev, to), 0);
		s->size = to;
		break;
	case 1:
		s->note_len = (unsigned)rand_r(seed) % sizeof(s->note);
		memset(s->note, 0, sizeof(s->note));
		memset(s->note, 'n', s->note_len);
		CHECK_EQ(overlay_set_note(dev, s->note, s->note_len), 0);
		break;
	default:
		random_write(dev, s, seed);
	}
}

/*
 * Run a script of so many transactions on disk, which holds *s; what each
 * leaves goes to the ledger.
 */
static void
run_script(struct memdisk *disk, struct state *s, struct ledger *l, int n,
    unsigned *seed)
{
	struct blkdev *dev = open_on(disk);

	CHECK(dev != NULL);
	for (int i = 0; i < n; i++) {
		size_t begin;

		for (int j = rand_r(seed) % 5; j >= 0; j--)
			random_step(dev, s, seed);
		begin = memdisk_ops(disk);
		switch (rand_r(seed) % 8) {
		case 0:
			CHECK_EQ(overlay_compact(dev), 0);
			break;
		case 1:
		case 2:
			CHECK_EQ(overlay_finish(dev), 0);
			blkdev_close(dev);
			dev = open_on(disk);
			break;
		default:
			CHECK_EQ(blkdev_flush(dev), 0);
		}
		ledger_add(l, begin, memdisk_ops(disk), s);
	}
	if (rand_r(seed) % 2) /* something unfinished at the end */
		random_step(dev, s, seed);
	blkdev_close(dev);
}

/*
 * Open what a power cut left, see that it is a flushed state, and that life
 * goes on from there, also through another power cut.
 */
static void
survive(struct memdisk *disk, const struct ledger *l, size_t n, int depth,
    unsigned *seed)
{
	struct blkdev *dev = open_on(disk);
	struct ledger more = {.n = 0};
	size_t from = memdisk_ops(disk);
	int found;

	CHECK(dev != NULL);
	if (dev == NULL)
		return;
	read_state(dev, &scratch);
	blkdev_close(dev);
	found = ledger_find(l, n, &scratch);
	CHECK(found >= 0);
	if (found < 0 || depth == 0)
		return;
	ledger_add(&more, from, from, l->flush[found].state);
	scratch = *l->flush[found].state;
	run_script(disk, &scratch, &more, 1 + rand_r(seed) % 2, seed);
	for (int i = 0; i < 4; i++) {
		size_t at = from +
		    (unsigned)rand_r(seed) % (memdisk_ops(disk) - from + 1);
		scoped(memdisk_freep) struct memdisk *again =
		    memdisk_crash(disk, at, CRASH_TORN, seed);

		survive(again, &more, at, depth - 1, seed);
	}
	ledger_release(&more);
}

static void
run_round(unsigned round)
{
	scoped(memdisk_freep) struct memdisk *disk = memdisk_new();
	struct ledger l = {.n = 0};
	static struct state s;
	unsigned seed = round;
	size_t first;
	int before = check_failures;

	memset(&s, 0, sizeof(s));
	CHECK_EQ(memdisk_create(disk, &id, BASE), 0);
	s.size = BASE;
	CHECK_EQ(blkdev_read(base, 0, s.data, BASE), 0);
	first = memdisk_ops(disk);
	ledger_add(&l, first, first, &s);
	run_script(disk, &s, &l, 6, &seed);
	for (size_t n = first; n <= memdisk_ops(disk); n++)
		for (int how = 0; how < 6; how++) {
			enum crash kind = how == 0 ? CRASH_ALL
			    : how == 1             ? CRASH_NONE
						   : CRASH_TORN;
			scoped(memdisk_freep) struct memdisk *after =
			    memdisk_crash(disk, n, kind, &seed);

			survive(after, &l, n, how % 3 == 2 ? 2 : 0, &seed);
		}
	ledger_release(&l);
	if (check_failures > before)
		printf("# in round %u\n", round);
}

static unsigned
rounds(unsigned usual)
{
	return getenv("RELIVE_LONG") != NULL ? usual * 20 : usual;
}

static void
a_power_cut_leaves_the_last_flush_or_the_one_in_progress(void)
{
	base_make();
	for (unsigned round = 0; round < rounds(8); round++)
		run_round(round);
	blkdev_close(base);
}

/* A disk with n transactions; where each ended, and its state. */
static struct memdisk *
some_transactions(struct ledger *l, size_t *ends, int n, unsigned seed)
{
	struct memdisk *disk = memdisk_new();
	static struct state s;
	struct blkdev *dev;

	memset(&s, 0, sizeof(s));
	CHECK_EQ(memdisk_create(disk, &id, BASE), 0);
	s.size = BASE;
	CHECK_EQ(blkdev_read(base, 0, s.data, BASE), 0);
	ledger_add(l, 0, 0, &s);
	(void)memdisk_data(disk, &ends[0]);
	dev = open_on(disk);
	for (int i = 1; i <= n; i++) {
		for (int j = 0; j < 3; j++)
			random_step(dev, &s, &seed);
		random_write(dev, &s, &seed); /* not only notes */
		CHECK_EQ(blkdev_flush(dev), 0);
		ledger_add(l, 0, 0, &s);
		(void)memdisk_data(disk, &ends[i]);
	}
	blkdev_close(dev);
	return disk;
}

enum { CUT_TRANSACTIONS = 10 };

/* The file cut off at len opens as the last state that fits into it. */
static void
check_cut(const struct ledger *l, const size_t *ends, struct memdisk *disk,
    size_t len)
{
	unsigned seed = 0;
	scoped(memdisk_freep) struct memdisk *cut =
	    memdisk_crash(disk, memdisk_ops(disk), CRASH_ALL, &seed);
	struct blkdev *dev;
	int want = CUT_TRANSACTIONS;

	memdisk_resize(cut, len);
	while (want >= 0 && ends[want] > len)
		want--;
	dev = open_on(cut);
	CHECK_EQ(dev != NULL, want >= 0);
	if (dev == NULL)
		return;
	read_state(dev, &scratch);
	CHECK(memcmp(&scratch, l->flush[want].state, sizeof(scratch)) == 0);
	blkdev_close(dev);
}

static void
a_file_cut_anywhere_opens_as_the_last_state_in_it(void)
{
	struct ledger l = {.n = 0};
	size_t ends[CUT_TRANSACTIONS + 1];
	struct memdisk *disk;
	unsigned seed = 4;

	base_make();
	disk = some_transactions(&l, ends, CUT_TRANSACTIONS, 11);
	for (int i = 0; i <= CUT_TRANSACTIONS; i++)
		for (size_t d = 0; d < 3; d++)
			check_cut(&l, ends, disk, ends[i] + d - 1);
	for (int i = 0; i < 400; i++)
		check_cut(&l, ends, disk,
		    (unsigned)rand_r(&seed) % ends[CUT_TRANSACTIONS]);
	memdisk_free(disk);
	ledger_release(&l);
	blkdev_close(base);
}

/* Every block of dev is as in s, or cannot be read for damage. */
static bool
is_state_or_damaged(struct blkdev *dev, const struct state *s)
{
	uint8_t buf[B];

	if (dev->size != s->size)
		return false;
	for (uint64_t off = 0; off < s->size; off += B) {
		size_t n = s->size - off < B ? (size_t)(s->size - off) : B;
		int rc = blkdev_read(dev, off, buf, n);

		if (rc == -ECORRUPT)
			continue;
		if (rc < 0 || memcmp(buf, s->data + off, n) != 0)
			return false;
	}
	return true;
}

/*
 * Damage one byte at a time.  Only what strikes the last transaction may look
 * like a torn one, and only if no index vouches for it.
 */
static void
damage_everywhere(bool is_finished, unsigned seed)
{
	struct ledger l = {.n = 0};
	size_t ends[CUT_TRANSACTIONS + 1], len;
	struct memdisk *disk =
	    some_transactions(&l, ends, CUT_TRANSACTIONS, seed);
	const struct state *last = l.flush[CUT_TRANSACTIONS].state;
	const struct state *prior = l.flush[CUT_TRANSACTIONS - 1].state;
	int refused = 0, older = 0;
	struct blkdev *dev = is_finished ? open_on(disk) : NULL;

	if (dev != NULL)
		CHECK_EQ(overlay_finish(dev), 0);
	blkdev_close(dev);
	(void)memdisk_data(disk, &len);
	for (int i = 0; i < 600; i++) {
		size_t at = (unsigned)rand_r(&seed) % len;
		uint8_t *data = memdisk_data(disk, &len);
		uint8_t was = data[at];
		bool ok;

		if (i % 3 == 0) /* where the headers are thick */
			at = ends[rand_r(&seed) % 11] -
			    (unsigned)rand_r(&seed) % 64 - 1;
		at %= len; /* finishing may have compacted */
		was = data[at];
		data[at] ^= (uint8_t)(1 + rand_r(&seed) % 255);
		dev = open_on(disk);
		refused += dev == NULL;
		ok = dev == NULL || is_state_or_damaged(dev, last);
		if (!ok && !is_finished && at >= ends[CUT_TRANSACTIONS - 1]) {
			ok = is_state_or_damaged(dev, prior);
			older += ok;
		}
		CHECK(ok);
		blkdev_close(dev);
		memdisk_data(disk, &len)[at] = was;
	}
	CHECK(is_finished || refused > 100);
	CHECK_EQ(older > 0, !is_finished);
	memdisk_free(disk);
	ledger_release(&l);
}

static void
damage_is_told_and_never_shows_older_data(void)
{
	base_make();
	for (unsigned seed = 0; seed < rounds(3); seed++) {
		damage_everywhere(false, seed);
		damage_everywhere(true, seed);
	}
	blkdev_close(base);
}

/* A disk on which the flush of one block of noise lacks one sector. */
static struct memdisk *
torn_flush(const uint8_t *noise)
{
	struct memdisk *disk = memdisk_new(), *torn;
	unsigned seed = 0;
	struct blkdev *dev;
	size_t len;

	CHECK_EQ(memdisk_create(disk, &id, BASE), 0);
	dev = open_on(disk);
	CHECK_EQ(blkdev_write(dev, 0, noise, B), 0);
	CHECK_EQ(blkdev_flush(dev), 0);
	blkdev_close(dev);
	torn = memdisk_crash(disk, memdisk_ops(disk), CRASH_ALL, &seed);
	memset(memdisk_data(torn, &len) + OVERLAY_HEADER + 1024, 0, 512);
	memdisk_free(disk);
	return torn;
}

/*
 * The torn flush must stay without effect, also when the same bytes are
 * written again, and a power cut leaves of them just the sector it lacked.
 */
static void
an_interrupted_flush_is_not_completed_by_a_later_write(void)
{
	static uint8_t noise[B];
	struct memdisk *disk, *after;
	const struct memdisk_op *op;
	struct blkdev *dev;
	unsigned seed = 9;
	size_t len, at = OVERLAY_HEADER + 1024;

	base_make();
	for (int i = 0; i < B; i++)
		noise[i] = (uint8_t)rand_r(&seed);
	disk = torn_flush(noise);
	dev = open_on(disk);
	CHECK_EQ(blkdev_write(dev, 0, noise, B), 0);
	blkdev_close(dev);
	op = memdisk_op(disk, memdisk_ops(disk) - 1);
	CHECK(op->kind == MEMDISK_WRITE && op->off == OVERLAY_HEADER);
	after = memdisk_crash(disk, memdisk_ops(disk), CRASH_NONE, &seed);
	if (memdisk_data(after, &len) != NULL && len < at + 512)
		memdisk_resize(after, at + 512);
	memcpy(memdisk_data(after, &len) + at, op->data + 1024, 512);
	dev = open_on(after);
	CHECK(dev != NULL);
	if (dev != NULL) {
		read_state(dev, &scratch);
		CHECK(memcmp(scratch.data, noise, B) != 0);
		CHECK_EQ(scratch.data[0], 'B');
	}
	blkdev_close(dev);
	memdisk_free(after);
	memdisk_free(disk);
	blkdev_close(base);
}

TESTS({"a power cut leaves the last flush or the one in progress",
	  a_power_cut_leaves_the_last_flush_or_the_one_in_progress},
    {"a file cut anywhere opens as the last state in it",
	a_file_cut_anywhere_opens_as_the_last_state_in_it},
    {"an interrupted flush is not completed by a later write",
	an_interrupted_flush_is_not_completed_by_a_later_write},
    {"damage is told and never shows older data",
	damage_is_told_and_never_shows_older_data})
