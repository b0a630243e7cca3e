/*
 * A library to preload: the disk fails.  Calls of the program on files below
 * $FAULT_DIR are counted, and the $FAULT_NTH one fails as $FAULT_HOW says:
 *
 *	eio     any call, with EIO
 *	enospc  one that may need room, with ENOSPC
 *	short   a read or write of more than a byte, which does half of it
 *	kill    one that does not just read: the program is killed before it
 *
 * All after it succeed.  What failed is added to $FAULT_LOG, a line each.
 * Files are known by how they were opened, so that nothing needs /proc.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FDS = 1000, LOG_FD = FDS, READS = 1, WRITES = 2, NEEDS_ROOM = 4 };

static enum { NONE, EIO_ALL, NO_SPACE, SHORT, KILL } how;
static const char *dir;
static size_t dir_len;
static atomic_long left;
static atomic_bool ours[FDS]; /* open files that count */

__attribute__((constructor)) static void
begin(void)
{
	const char *text = getenv("FAULT_HOW");
	int fd;

	dir = getenv("FAULT_DIR");
	if (text == NULL || dir == NULL || getenv("FAULT_LOG") == NULL)
		return;
	dir_len = strlen(dir);
	left = strtol(getenv("FAULT_NTH"), NULL, 10);
	fd = open(getenv("FAULT_LOG"), O_WRONLY | O_APPEND | O_CREAT, 0666);
	if (dup3(fd, LOG_FD, O_CLOEXEC) != LOG_FD)
		abort();
	close(fd);
	how = strcmp(text, "eio") == 0   ? EIO_ALL
	    : strcmp(text, "short") == 0 ? SHORT
	    : strcmp(text, "kill") == 0  ? KILL
					 : NO_SPACE;
}

static bool
is_below(const char *path)
{
	return how != NONE && path != NULL && strncmp(path, dir, dir_len) == 0;
}

static bool
is_ours(int fd)
{
	return how != NONE && fd >= 0 && fd < FDS && ours[fd];
}

static bool
counts(int at, const char *path)
{
	return path != NULL && path[0] == '/' ? is_below(path) : is_ours(at);
}

/* Whether this call is the one. */
static bool
strikes(const char *call, int kind)
{
	char line[64];
	int n;

	if ((how == NO_SPACE && !(kind & NEEDS_ROOM)) ||
	    (how == SHORT && !(kind & (READS | WRITES))) ||
	    (how == KILL && kind == READS) || left <= 0 ||
	    atomic_fetch_sub(&left, 1) != 1)
		return false;
	n = snprintf(line, sizeof(line), "%s\n", call);
	if (write(LOG_FD, line, (size_t)n) != n)
		abort();
	if (how == KILL)
		(void)raise(SIGKILL);
	errno = how == NO_SPACE ? ENOSPC : EIO;
	return how != SHORT;
}

#define REAL(name, ...) \
	static __typeof__(name) *real; \
	if (real == NULL) \
	real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

/* A call on an open file that does all or nothing. */
#define WHOLE(type, name, kind, params, args) \
	type name params \
	{ \
		REAL(name); \
		if (is_ours(fd) && strikes(#name, kind)) \
			return -1; \
		return real args; \
	}

/* A call that may do less than it was asked for. */
#define PARTIAL(name, kind, params, args) \
	ssize_t name params \
	{ \
		REAL(name); \
		if (is_ours(fd) && len > 1) { \
			long before = left; \
			if (strikes(#name, kind)) \
				return -1; \
			if (how == SHORT && before == 1 && left == 0) \
				len /= 2; \
		} \
		return real args; \
	}

PARTIAL(pread64, READS, (int fd, void *buf, size_t len, off64_t off),
    (fd, buf, len, off))
PARTIAL(read, READS, (int fd, void *buf, size_t len), (fd, buf, len))
PARTIAL(pwrite64, WRITES | NEEDS_ROOM,
    (int fd, const void *buf, size_t len, off64_t off), (fd, buf, len, off))
PARTIAL(write, WRITES | NEEDS_ROOM, (int fd, const void *buf, size_t len),
    (fd, buf, len))
WHOLE(int, fsync, NEEDS_ROOM, (int fd), (fd))
WHOLE(int, fdatasync, NEEDS_ROOM, (int fd), (fd))
WHOLE(int, ftruncate64, 0, (int fd, off64_t size), (fd, size))

ssize_t
copy_file_range(
    int from, off64_t *a, int fd, off64_t *b, size_t len, unsigned flags)
{
	REAL(copy_file_range);
	if (is_ours(fd) && len > 1) {
		long before = left;

		if (strikes("copy_file_range", WRITES | NEEDS_ROOM))
			return -1;
		if (how == SHORT && before == 1 && left == 0)
			len /= 2;
	}
	return real(from, a, fd, b, len, flags);
}

static int
opened(int fd, bool is_one)
{
	if (fd >= 0 && fd < FDS)
		ours[fd] = is_one;
	return fd;
}

int
openat64(int at, const char *path, int flags, ...)
{
	bool is_one = counts(at, path);
	mode_t mode = 0;
	va_list ap;

	REAL(openat64);
	va_start(ap, flags);
	if (flags & O_CREAT)
		mode = va_arg(ap, mode_t);
	va_end(ap);
	if (is_one && strikes("open", flags & O_CREAT ? NEEDS_ROOM : 0))
		return -1;
	return opened(real(at, path, flags, mode), is_one);
}

int
open64(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	va_start(ap, flags);
	if (flags & O_CREAT)
		mode = va_arg(ap, mode_t);
	va_end(ap);
	return openat64(AT_FDCWD, path, flags, mode);
}

int
mkostemp64(char *path, int flags)
{
	bool is_one = is_below(path);

	REAL(mkostemp64);
	if (is_one && strikes("mkostemp", NEEDS_ROOM))
		return -1;
	return opened(real(path, flags), is_one);
}

int
close(int fd)
{
	REAL(close);
	if (fd >= 0 && fd < FDS)
		ours[fd] = false;
	return real(fd);
}

/* What a daemon closes of its caller's; but not the log. */
int
close_range(unsigned first, unsigned last, int flags)
{
	REAL(close_range);
	for (unsigned fd = first; fd <= last && fd < FDS; fd++)
		ours[fd] = false;
	if (how == NONE || first > LOG_FD || last < LOG_FD)
		return real(first, last, flags);
	if (first < LOG_FD && real(first, LOG_FD - 1, flags) < 0)
		return -1;
	return last > LOG_FD ? real(LOG_FD + 1, last, flags) : 0;
}

int
fflush(FILE *f)
{
	REAL(fflush);
	if (f != NULL && is_ours(fileno(f)) && strikes("fflush", NEEDS_ROOM))
		return EOF;
	return real(f);
}

ssize_t
getline(char **text, size_t *size, FILE *f)
{
	REAL(getline);
	if (is_ours(fileno(f)) && strikes("getline", 0))
		return -1;
	return real(text, size, f);
}

int
rename(const char *from, const char *to)
{
	REAL(rename);
	return is_below(to) && strikes("rename", NEEDS_ROOM) ? -1
							     : real(from, to);
}

int
renameat(int a, const char *from, int b, const char *to)
{
	REAL(renameat);
	return counts(b, to) && strikes("renameat", NEEDS_ROOM)
	    ? -1
	    : real(a, from, b, to);
}

int
unlink(const char *path)
{
	REAL(unlink);
	return is_below(path) && strikes("unlink", 0) ? -1 : real(path);
}

int
unlinkat(int at, const char *path, int flags)
{
	REAL(unlinkat);
	return counts(at, path) && strikes("unlinkat", 0)
	    ? -1
	    : real(at, path, flags);
}

int
mkdir(const char *path, mode_t mode)
{
	REAL(mkdir);
	return is_below(path) && strikes("mkdir", NEEDS_ROOM)
	    ? -1
	    : real(path, mode);
}
