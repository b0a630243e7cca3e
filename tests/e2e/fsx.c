/*
 * Random operations on one file, each compared with a model in memory.
 *
 *	fsx FILE SEED STEPS
 *
 * Writes (in place, at the end, through a shared mapping), reads (also through
 * a mapping), truncations, allocated, zeroed and punched ranges, copies of
 * ranges, questions for data and holes; between them the caches are dropped,
 * and the file is synced and opened anew.  What differs is said with the last
 * operations before; the seed does them all again.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	LARGEST = 1 << 20, /* of the file */
	PIECE = 100000,    /* most bytes of one operation */
	HISTORY = 20,
};

struct range {
	size_t off, len;
};

static const char *path;
static int fd, append_fd;
static uint8_t model[LARGEST], buf[LARGEST];
static size_t size;
static uint64_t rng;
static long step;
static char history[HISTORY][80];

/* -- chance ---------------------------------------------------------------- */

static uint64_t
draw(uint64_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng % n;
}

/* A place up to limit, often at or beside a boundary of blocks. */
static size_t
place(size_t limit)
{
	static const size_t units[] = {1, 1, 512, 1024, 4096, 8192, 32768};
	size_t unit = units[draw(sizeof(units) / sizeof(units[0]))];
	size_t at = draw(limit / unit + 1) * unit;

	if (unit > 1 && draw(3) == 0)
		at += draw(3) - 1;
	return at > limit ? limit : at;
}

static struct range
range_within(size_t limit)
{
	struct range r = {.off = place(limit)};
	size_t end = r.off + place(PIECE);

	r.len = (end > limit ? limit : end) - r.off;
	return r;
}

static void
fill(uint8_t *at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		at[i] = (uint8_t)(1 + (step * 31 + (long)i * 7) % 255);
}

/* -- telling --------------------------------------------------------------- */

__attribute__((format(printf, 1, 2))) static void
did(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(
	    history[step % HISTORY], sizeof(history[0]), format, args);
	va_end(args);
}

__attribute__((format(printf, 1, 2), noreturn)) static void
fail(const char *format, ...)
{
	va_list args;

	for (long i = step >= HISTORY ? step - HISTORY + 1 : 0; i <= step; i++)
		(void)fprintf(stderr, "%ld: %s\n", i, history[i % HISTORY]);
	(void)fprintf(stderr, "step %ld: ", step);
	va_start(args, format);
	(void)vfprintf(stderr, format, args);
	va_end(args);
	(void)fprintf(stderr, " (%s)\n", strerror(errno));
	exit(1);
}

static void
compare(const char *what, const uint8_t *got, size_t off, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (got[i] != model[off + i]) {
			errno = 0;
			fail("%s: byte %zu is %d, want %d", what, off + i,
			    got[i], model[off + i]);
		}
}

/* The model's file becomes at least end bytes long. */
static void
extend(size_t end)
{
	if (end <= size)
		return;
	memset(model + size, 0, end - size);
	size = end;
}

/* -- operations ------------------------------------------------------------ */

static void
op_write(void)
{
	struct range r = range_within(LARGEST);

	did("write %zu+%zu", r.off, r.len);
	fill(buf, r.len);
	if (r.len == 0)
		return;
	if (pwrite(fd, buf, r.len, (off_t)r.off) != (ssize_t)r.len)
		fail("write");
	extend(r.off + r.len);
	memcpy(model + r.off, buf, r.len);
}

static void
op_append(void)
{
	size_t len = place(PIECE / 10);

	if (len > LARGEST - size)
		len = LARGEST - size;
	did("append %zu", len);
	fill(buf, len);
	if (write(append_fd, buf, len) != (ssize_t)len)
		fail("append");
	memcpy(model + size, buf, len);
	size += len;
}

static void
op_read(void)
{
	struct range r = range_within(LARGEST);
	size_t want = r.off >= size ? 0
	    : r.len < size - r.off  ? r.len
				    : size - r.off;
	ssize_t n;

	did("read %zu+%zu", r.off, r.len);
	n = pread(fd, buf, r.len, (off_t)r.off);
	if (n != (ssize_t)want)
		fail("read gave %zd, want %zu", n, want);
	compare("read", buf, r.off, want);
}

static void
op_truncate(void)
{
	size_t to = place(LARGEST);

	did("truncate %zu, from %zu", to, size);
	if (ftruncate(fd, (off_t)to) < 0)
		fail("truncate");
	extend(to);
	size = to;
}

/* The file mapped as far as r reaches; r lies within it. */
static uint8_t *
map(struct range r, int how, int with)
{
	uint8_t *at = mmap(NULL, r.off + r.len, with, how, fd, 0);

	if (at == MAP_FAILED)
		fail("mmap");
	return at;
}

static void
op_map_read(void)
{
	struct range r = range_within(size);
	uint8_t *at;

	did("map and read %zu+%zu", r.off, r.len);
	if (r.len == 0)
		return;
	at = map(r, MAP_SHARED, PROT_READ);
	compare("mapping", at + r.off, r.off, r.len);
	(void)munmap(at, r.off + r.len);
}

static void
op_map_write(void)
{
	struct range r = range_within(size);
	bool private = draw(5) == 0, sync = draw(2) == 0;
	uint8_t *at;

	did("map and write %zu+%zu%s%s", r.off, r.len,
	    private ? ", private" : "", sync ? ", synced" : "");
	if (r.len == 0)
		return;
	at = map(r, private ? MAP_PRIVATE : MAP_SHARED, PROT_READ | PROT_WRITE);
	fill(at + r.off, r.len);
	if (!private)
		memcpy(model + r.off, at + r.off, r.len);
	if (sync && msync(at, r.off + r.len, MS_SYNC) < 0)
		fail("msync");
	(void)munmap(at, r.off + r.len);
}

static void
op_allocate(void)
{
	static const struct {
		const char *name;
		int mode;
		bool extends, zeroes;
	} kinds[] = {
	    {"allocate", 0, true, false},
	    {"allocate within", FALLOC_FL_KEEP_SIZE, false, false},
	    {"punch", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, false, true},
	    {"punch", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, false, true},
	    {"zero", FALLOC_FL_ZERO_RANGE, true, true},
	    {"zero within", FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, false,
		true},
	};
	size_t k = draw(sizeof(kinds) / sizeof(kinds[0])), end;
	/* UFS has no blocks beyond the end. */
	struct range r =
	    range_within(kinds[k].mode == FALLOC_FL_KEEP_SIZE ? size : LARGEST);

	did("%s %zu+%zu of %zu", kinds[k].name, r.off, r.len, size);
	if (r.len == 0)
		return;
	if (fallocate(fd, kinds[k].mode, (off_t)r.off, (off_t)r.len) < 0)
		fail("fallocate");
	if (kinds[k].extends)
		extend(r.off + r.len);
	end = r.off + r.len < size ? r.off + r.len : size;
	if (kinds[k].zeroes && r.off < end)
		memset(model + r.off, 0, end - r.off);
}

static void
op_copy(void)
{
	struct range r = range_within(size);
	size_t to = place(LARGEST - r.len);
	size_t gap = to > r.off ? to - r.off : r.off - to;

	if (gap < r.len)
		r.len = gap; /* they must not overlap */
	did("copy %zu+%zu to %zu", r.off, r.len, to);
	while (r.len > 0) {
		off_t from = (off_t)r.off, into = (off_t)to;
		ssize_t n = copy_file_range(fd, &from, fd, &into, r.len, 0);

		if (n <= 0)
			fail("copy_file_range gave %zd", n);
		memcpy(buf, model + r.off, (size_t)n);
		extend(to + (size_t)n);
		memcpy(model + to, buf, (size_t)n);
		r.off += (size_t)n;
		to += (size_t)n;
		r.len -= (size_t)n;
	}
}

/* Whether an answer of lseek is a place from at on and not behind limit. */
static bool
is_between(off_t answer, size_t at, size_t limit)
{
	return answer >= (off_t)at && answer <= (off_t)limit;
}

/* Nothing but zeroes is in a hole, and data is where it is said to be. */
static void
op_seek(void)
{
	size_t at = place(LARGEST), first;
	off_t data, hole;

	did("seek from %zu of %zu", at, size);
	hole = lseek(fd, (off_t)at, SEEK_HOLE);
	data = lseek(fd, (off_t)at, SEEK_DATA);
	if (data < 0 && errno != ENXIO)
		fail("seek");
	if (at >= size) {
		if (data >= 0 || hole >= 0)
			fail("beyond the end there is something");
		return;
	}
	first = data < 0 ? size : (size_t)data;
	if (!is_between(hole, at, size) || !is_between((off_t)first, at, size))
		fail("seek gave data %jd, hole %jd", (intmax_t)data,
		    (intmax_t)hole);
	for (size_t i = at; i < first; i++)
		if (model[i] != 0)
			fail("byte %zu lies in a hole", i);
}

static void
open_file(void)
{
	fd = open(path, O_RDWR | O_CREAT, 0644);
	append_fd = open(path, O_WRONLY | O_APPEND);
	if (fd < 0 || append_fd < 0)
		fail("open");
}

static void
op_again(void)
{
	int what = (int)draw(4);

	did("%s",
	    (const char *[]){
		"sync", "drop caches", "open again", "look"}[what]);
	if (what == 0 && fsync(fd) < 0)
		fail("fsync");
	if (what == 1) {
		if (fsync(fd) < 0)
			fail("fsync");
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	}
	if (what == 2) {
		if (close(fd) < 0 || close(append_fd) < 0)
			fail("close");
		open_file();
	}
}

static void
check_all(void)
{
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) < 0 || st.st_size != (off_t)size)
		fail("size is %jd, want %zu", (intmax_t)st.st_size, size);
	n = pread(fd, buf, sizeof(buf), 0);
	if (n != (ssize_t)size)
		fail("all of it is %zd bytes, want %zu", n, size);
	compare("all of it", buf, 0, size);
}

int
main(int argc, char **argv)
{
	static void (*const ops[])(void) = {op_write, op_write, op_append,
	    op_read, op_read, op_truncate, op_map_read, op_map_write,
	    op_map_write, op_allocate, op_allocate, op_copy, op_seek, op_again};
	long steps;

	if (argc != 4) {
		(void)fprintf(stderr, "usage: fsx FILE SEED STEPS\n");
		return 2;
	}
	path = argv[1];
	rng = strtoull(argv[2], NULL, 10) * 0x9e3779b97f4a7c15u + 1;
	steps = strtol(argv[3], NULL, 10);
	open_file();
	for (step = 0; step < steps; step++) {
		ops[draw(sizeof(ops) / sizeof(ops[0]))]();
		if (step % 16 == 0 || step == steps - 1)
			check_all();
	}
	return 0;
}
