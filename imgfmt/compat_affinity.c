/* On which processor threads run. */
#include "compat.h"

#if defined(__linux__)

#include <fcntl.h>
#include <sched.h>
#include <string.h>

/* Fields of /proc/PID/stat, proc(5). */
enum { STAT_STATE = 3, STAT_PROCESSOR = 39 };

/* A name may hold anything: fields are counted from its end on. */
int
compat_thread_cpu(int thread)
{
	char path[32], text[1024], *field;
	scoped(fdclosep) int fd = -1;
	ssize_t n;
	int cpu;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", thread);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	field = strrchr(text, ')');
	for (int i = STAT_STATE; field != NULL && i <= STAT_PROCESSOR; i++)
		field = strchr(field + 1, ' ');
	if (field == NULL || sscanf(field, "%d", &cpu) != 1 || cpu < 0)
		return -EINVAL;
	return cpu;
}

int
compat_thread_id(void)
{
	return gettid();
}

/* Processor cpu alone, or all that the thread that first asks may run on. */
static int
set_of(int cpu, cpu_set_t *out)
{
	static cpu_set_t all;

	if (CPU_COUNT(&all) == 0 && sched_getaffinity(0, sizeof(all), &all) < 0)
		return -errno;
	*out = all;
	if (cpu < 0)
		return 0;
	if (cpu >= CPU_SETSIZE || !CPU_ISSET(cpu, out))
		return -EINVAL;
	CPU_ZERO(out);
	CPU_SET(cpu, out);
	return 0;
}

int
compat_run_on(int from, int to)
{
	cpu_set_t expected, now, wanted;
	int rc = set_of(from, &expected);

	if (rc == 0)
		rc = set_of(to, &wanted);
	if (rc < 0)
		return rc;
	if (sched_getaffinity(0, sizeof(now), &now) < 0)
		return -errno;
	if (!CPU_EQUAL(&now, &expected))
		return -EBUSY;
	if (to != from && sched_setaffinity(0, sizeof(wanted), &wanted) < 0)
		return -errno;
	return 0;
}

int
compat_run_last(void)
{
	const struct sched_param none = {0};

	return sched_setscheduler(0, SCHED_IDLE, &none) < 0 ? -errno : 0;
}

/* Its affinity first: that takes no rights. */
int
compat_run_free(int process, int thread, int on)
{
	const struct sched_param none = {0};
	cpu_set_t expected, now, all;
	char path[48];
	int rc = set_of(on, &expected);

	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d", process, thread);
	if (access(path, F_OK) < 0)
		return -ESRCH;
	if (rc == 0)
		rc = set_of(-1, &all);
	if (rc < 0)
		return rc;
	if (sched_getaffinity(thread, sizeof(now), &now) < 0)
		return -errno;
	if (!CPU_EQUAL(&now, &expected))
		return -EBUSY;
	if (sched_setaffinity(thread, sizeof(all), &all) < 0 ||
	    sched_setscheduler(thread, SCHED_OTHER, &none) < 0)
		return -errno;
	return 0;
}

#else

int
compat_thread_id(void)
{
	return -1;
}

int
compat_thread_cpu(int thread)
{
	(void)thread;
	return -ENOSYS;
}

int
compat_run_on(int from, int to)
{
	(void)from;
	(void)to;
	return -ENOSYS;
}

int
compat_run_last(void)
{
	return -ENOSYS;
}

int
compat_run_free(int process, int thread, int on)
{
	(void)process;
	(void)thread;
	(void)on;
	return -ENOSYS;
}

#endif
