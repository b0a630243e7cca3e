#include "compat.h"

#include <sched.h>
#include <sys/types.h>
#include <unistd.h>

int64_t
compat_copy_range(
    int from, uint64_t from_off, int to, uint64_t to_off, uint64_t len)
{
	off_t src = (off_t)from_off, dst = (off_t)to_off;
	size_t most = len < (1u << 30) ? (size_t)len : 1u << 30;
	ssize_t n;

	do
		n = copy_file_range(from, &src, to, &dst, most, 0);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

int
compat_syncfs(int fd)
{
#if defined(__linux__)
	return syncfs(fd) < 0 ? -errno : 0;
#else
	(void)fd;
	sync();
	return 0;
#endif
}

unsigned
compat_ncpu(void)
{
	long n;

#if defined(__linux__)
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		return (unsigned)CPU_COUNT(&set);
#endif
	n = sysconf(_SC_NPROCESSORS_ONLN);
	return n > 0 ? (unsigned)n : 1;
}
