/*
 * A library to preload: the clock goes back ten years, and forth again, every
 * third time it is looked at.
 */
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int
clock_gettime(clockid_t id, struct timespec *now)
{
	static atomic_uint looks;
	int rc = (int)syscall(SYS_clock_gettime, id, now);

	if (rc == 0 && id == CLOCK_REALTIME &&
	    atomic_fetch_add(&looks, 1) % 3 == 0)
		now->tv_sec -= 10L * 365 * 86400;
	return rc;
}
