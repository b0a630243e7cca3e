#include <dirent.h>

#include "../../imgfmt/bitmap.h"
#include "../../imgfmt/bytes.h"
#include "../../imgfmt/crc32c.h"
#include "../../imgfmt/fflags.h"
#include "../../imgfmt/pool.h"
#include "../../imgfmt/slab.h"

#include "check.h"

static void
integers_keep_their_byte_order(void)
{
	raw32 big = {{1, 2, 3, 4}};

	CHECK_EQ(le32_get((le32){{0x01, 0x02, 0x03, 0x84}}), 0x84030201);
	CHECK_EQ(le32_get(le32_set(0xdeadbeef)), 0xdeadbeef);
	CHECK_EQ(be64_get((be64){{0, 0, 0, 0, 0, 0, 1, 2}}), 0x102);
	CHECK_EQ(raw32_get(big, true), 0x01020304);
	CHECK_EQ(raw32_get(big, false), 0x04030201);
	for (int order = 0; order < 2; order++) {
		CHECK_EQ(raw16_get(raw16_set(0xabcd, order), order), 0xabcd);
		CHECK_EQ(raw64_get(raw64_set(0x123456789abcdef, order), order),
		    0x123456789abcdef);
	}
	CHECK_EQ(raw64_get((raw64){{0, 0, 0, 0, 0, 0, 1, 2}}, true), 0x102);
}

/* formats.md 2.11 gives the value for "123456789". */
static void
crc32c_is_the_one_ufs_stores(void)
{
	CHECK_EQ(crc32c(0xffffffff, "123456789", 9), 0x1cf96d7c);
	CHECK_EQ(crc32c(crc32c(0xffffffff, "1234", 4), "56789", 5), 0x1cf96d7c);
}

/*
 * Every length up to several steps, at every alignment; and lengths of some
 * KiB, which the processor sums in stripes.
 */
static void
crc32c_is_the_same_by_processor_and_by_table(void)
{
	static uint8_t buf[20000];

	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)(i * 37 + (i >> 3) + (i >> 11));
	CHECK_EQ(crc32c_by_table(0xffffffff, "123456789", 9), 0x1cf96d7c);
	for (size_t at = 0; at < 9; at++)
		for (size_t len = 0; len <= sizeof(buf) - at;
		     len += len < 96 ? 1 : 113)
			CHECK_EQ(crc32c(0x12345678, buf + at, len),
			    crc32c_by_table(0x12345678, buf + at, len));
}

static void
bit_runs_agree_with_single_bits(void)
{
	uint8_t map[8] = {0};

	bits_fill(map, 3, 40, true);
	for (size_t i = 0; i < 64; i++)
		CHECK_EQ(bit_is_set(map, i), i >= 3 && i < 43);
	CHECK_EQ(bits_count(map, 0, 64), 40);
	CHECK_EQ(bits_count(map, 5, 12), 7);
	CHECK_EQ(bits_find(map, 0, 64, true), 3);
	CHECK_EQ(bits_find(map, 3, 64, false), 43);
	CHECK_EQ(bits_find(map, 43, 64, true), 64);
	bits_fill(map, 10, 9, false);
	CHECK_EQ(bits_count(map, 0, 64), 31);
}

static int
mark(void *arg, size_t i)
{
	((unsigned char *)arg)[i]++;
	return 0;
}

static int
fail_from_ten(void *arg, size_t i)
{
	(void)arg;
	return i >= 10 ? -EIO : 0;
}

static void
a_pool_does_each_piece_once(void)
{
	unsigned char done[1000] = {0};
	struct pool *pool;
	int once = 0;

	CHECK_EQ(pool_open(4, &pool), 0);
	CHECK_EQ(pool_run(pool, sizeof(done), mark, done), 0);
	for (size_t i = 0; i < sizeof(done); i++)
		once += done[i] == 1;
	CHECK_EQ(once, 1000);
	CHECK_EQ(pool_run(pool, 100, fail_from_ten, NULL), -EIO);
	CHECK_EQ(pool_run(pool, 10, fail_from_ten, NULL), 0);
	pool_close(pool);
}

static int
ask_for_more(void *arg, size_t i)
{
	unsigned char done[10] = {0};
	struct pool *pool = *(struct pool **)arg;

	return i == 0 ? pool_run(pool, sizeof(done), mark, done) : 0;
}

static void
a_pool_works_while_its_caller_does_other_things(void)
{
	unsigned char done[1000] = {0}, other[10] = {0};
	struct pool *pool;
	int once = 0;

	for (unsigned threads = 1; threads <= 3; threads++) {
		CHECK_EQ(pool_open(threads, &pool), 0);
		for (int round = 0; round < 20; round++) {
			pool_start(pool, sizeof(done), mark, done);
			CHECK_EQ(pool_run(pool, sizeof(other), mark, other), 0);
			CHECK_EQ(pool_wait(pool), 0);
		}
		pool_start(pool, 100, fail_from_ten, NULL);
		CHECK_EQ(pool_run(pool, 100, fail_from_ten, NULL), -EIO);
		CHECK_EQ(pool_wait(pool), -EIO);
		pool_start(pool, 3, ask_for_more, &pool);
		CHECK_EQ(pool_wait(pool), 0);
		CHECK_EQ(pool_run(pool, sizeof(done), mark, done), 0);
		pool_close(pool);
	}
	for (size_t i = 0; i < sizeof(done); i++)
		once += done[i] == 63;
	CHECK_EQ(once, 1000);
	CHECK_EQ(other[0], 60);
	CHECK_EQ(other[9], 60);
}

static int
threads_now(void)
{
	DIR *tasks = opendir("/proc/self/task");
	int n = -2; /* "." and ".." */

	if (tasks == NULL)
		return -1;
	while (readdir(tasks) != NULL)
		n++;
	(void)closedir(tasks);
	return n;
}

static void
a_pool_has_no_threads_but_while_it_is_used(void)
{
	unsigned char done[100] = {0};
	int before = threads_now();
	struct pool *pool;

	CHECK_EQ(pool_open(4, &pool), 0);
	CHECK_EQ(pool_threads(pool), 4);
	CHECK_EQ(threads_now(), before);
	for (int round = 1; round <= 3; round++) {
		CHECK_EQ(pool_run(pool, 1, mark, done), 0);
		CHECK_EQ(pool_run(pool, sizeof(done), mark, done), 0);
		CHECK_EQ(done[99], round);
		if (before > 0)
			CHECK_EQ(threads_now(), before + 3);
		pool_rest(pool);
		CHECK_EQ(threads_now(), before);
	}
	pool_close(pool);
}

/* formats.md 2.8 has the numbers, strtofflags(3) of FreeBSD the words. */
static void
file_flags_go_to_words_and_back(void)
{
	static const struct {
		const char *text;
		uint32_t flags;
		const char *again; /* or NULL: no flags' name */
	} cases[] = {
	    {"", 0, ""},
	    {"-", 0, ""},
	    {"none", 0, ""},
	    {"0", 0, ""},
	    {"schg,nodump", 0x20001, "nodump,schg"},
	    {"sappnd uappend,archived\n", 0x50004, "arch,sappnd,uappnd"},
	    {"simmutable,uimmutable", 0x20002, "schg,uchg"},
	    {"0400000,nodump", 0x20001, "nodump,schg"},
	    {"02000000000", 0x10000000, "02000000000"},
	    {"uchg,037777777777", 0xffffffff, NULL},
	    {"schg,nonsense", 0, NULL},
	    {"08", 0, NULL},
	    {"0100000000000", 0, NULL},
	};
	char text[256];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t flags = 0;
		int rc =
		    fflags_parse(cases[i].text, strlen(cases[i].text), &flags);

		CHECK_EQ(flags, cases[i].flags);
		if (rc < 0) {
			CHECK(cases[i].again == NULL && flags == 0);
			continue;
		}
		(void)fflags_text(flags, text, sizeof(text));
		CHECK(cases[i].again == NULL ||
		    strcmp(text, cases[i].again) == 0);
		/* Nothing gets lost on the way. */
		CHECK_EQ(fflags_parse(text, strlen(text), &flags), 0);
		CHECK_EQ(flags, cases[i].flags);
	}
}

/* Whether object i still holds what was written to it. */
static bool
is_its_own(const uint8_t *object, size_t len, uint8_t i)
{
	for (size_t k = 0; k < len; k++)
		if (object[k] != i)
			return false;
	return true;
}

static void
objects_of_a_slab_are_apart_and_their_memory_is_used_again(void)
{
	enum { PIECE = 64, N = 3 * PIECE + 5, LEN = 137 };
	struct slab slab = {.size = LEN, .per_piece = PIECE};
	void *object[N];
	size_t all;

	CHECK_EQ(slab_trim(&slab), 0);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < N; i++) {
			object[i] = slab_get(&slab);
			memset(object[i], i, LEN);
		}
		/* Every other one goes and comes: the rest do not change. */
		for (int i = 0; i < N; i += 2)
			slab_put(&slab, object[i]);
		CHECK_EQ(slab_trim(&slab), 0);
		for (int i = 0; i < N; i += 2) {
			object[i] = slab_get(&slab);
			memset(object[i], i, LEN);
		}
		for (int i = 0; i < N; i++)
			CHECK(is_its_own(object[i], LEN, (uint8_t)i));
		for (int i = N - 1; i >= 0; i--)
			slab_put(&slab, object[i]);
	}
	/* Four pieces in all, and what is left is one with an object in it. */
	object[0] = slab_get(&slab);
	all = slab_trim(&slab);
	CHECK(all >= 3 * PIECE * LEN && all < 4 * PIECE * 2 * LEN);
	slab_put(&slab, object[0]);
	CHECK_EQ(slab_trim(&slab) * 3, all);
	CHECK_EQ(slab_trim(&slab), 0);
}

TESTS({"integers keep their byte order", integers_keep_their_byte_order},
    {"crc32c is the one UFS stores", crc32c_is_the_one_ufs_stores},
    {"crc32c is the same by processor and by table",
	crc32c_is_the_same_by_processor_and_by_table},
    {"bit runs agree with single bits", bit_runs_agree_with_single_bits},
    {"a pool does each piece once", a_pool_does_each_piece_once},
    {"a pool works while its caller does other things",
	a_pool_works_while_its_caller_does_other_things},
    {"a pool has no threads but while it is used",
	a_pool_has_no_threads_but_while_it_is_used},
    {"objects of a slab are apart and their memory is used again",
	objects_of_a_slab_are_apart_and_their_memory_is_used_again},
    {"file flags go to words and back", file_flags_go_to_words_and_back})
