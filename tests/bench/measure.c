/*
 * Runs a command and adds a line to FILE: wall seconds, CPU seconds of the
 * command and of the daemons that serve it (user and system), those of the
 * daemons alone, and the command's peak of memory in KB.  A process's CPU clock
 * counts nanoseconds and threads that ended, which /proc/PID/stat (in ticks)
 * and /proc/PID/schedstat (of one thread) do not.
 *
 * usage: measure FILE "PID..." COMMAND [ARGUMENT]...
 * exit code: the command's
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double
seconds(clockid_t clock)
{
	struct timespec t = {0, 0};

	(void)clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* What the processes in the list have used; one that is gone counts as 0. */
static double
cpu_of(const char *pids)
{
	double sum = 0;
	char *end;

	for (long pid = strtol(pids, &end, 10); end != pids;
	     pid = strtol(pids, &end, 10)) {
		clockid_t clock;

		if (clock_getcpuclockid((pid_t)pid, &clock) == 0)
			sum += seconds(clock);
		pids = end;
	}
	return sum;
}

static double
of_timeval(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

int
main(int argc, char **argv)
{
	FILE *out = argc > 3 ? fopen(argv[1], "a") : NULL;
	struct rusage use;
	double wall, cpu, served;
	pid_t child;
	int status;

	if (out == NULL)
		return 2;
	served = cpu_of(argv[2]);
	wall = seconds(CLOCK_MONOTONIC);
	child = fork();
	if (child == 0) {
		execvp(argv[3], argv + 3);
		_exit(127);
	}
	if (child < 0 || wait4(child, &status, 0, &use) < 0)
		return 2;
	wall = seconds(CLOCK_MONOTONIC) - wall;
	served = cpu_of(argv[2]) - served;
	cpu = of_timeval(use.ru_utime) + of_timeval(use.ru_stime);
	if (fprintf(out, "%.4f %.4f %.4f %ld\n", wall, cpu + served, served,
		use.ru_maxrss) < 0 ||
	    fclose(out) != 0)
		return 2;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
