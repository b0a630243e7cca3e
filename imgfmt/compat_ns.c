/*
 * Namespaces that a process gets for itself: of users, for who is not root, and
 * of processes.
 *
 * On FreeBSD only root may mount and chroot, and what a child started is
 * found again by the reaper's list.  Not yet run on FreeBSD.
 */
#include "compat.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log.h"

#if defined(__linux__)
#include <grp.h>
#include <linux/sched.h>
#include <pwd.h>
#include <sched.h>
#include <spawn.h>
#include <sys/syscall.h>

/* -- ids ------------------------------------------------------------------- */

/* A kind of ids, and what belongs to it. */
struct kind {
	const char *ranges, *program, *map;
	unsigned own;
};

enum { LINE = 512, NUMBER = 24 };

/* The first range of user's in a file like /etc/subuid: whether there is. */
static bool
find_range(const char *path, const char *name, unsigned long *first,
    unsigned long *count)
{
	scoped(fileclosep) FILE *f = fopen(path, "re");
	char line[LINE], number[NUMBER];
	size_t len;

	(void)snprintf(number, sizeof(number), "%u", (unsigned)getuid());
	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		len = strcspn(line, ":");
		if (line[len] != ':')
			continue;
		line[len] = '\0';
		if ((strcmp(line, name) == 0 || strcmp(line, number) == 0) &&
		    sscanf(line + len + 1, "%lu:%lu", first, count) == 2 &&
		    *count > 0)
			return true;
	}
	return false;
}

/* newuidmap PID 0 OWN 1 1 FIRST COUNT: whether that was done. */
static bool
map_range(const struct kind *kind, pid_t pid, const char *name)
{
	char args[7][NUMBER], program[NUMBER];
	char *argv[9] = {program};
	extern char **environ;
	unsigned long first, count;
	pid_t child;
	int status;

	if (!find_range(kind->ranges, name, &first, &count))
		return false;
	(void)snprintf(program, sizeof(program), "%s", kind->program);
	(void)snprintf(args[0], NUMBER, "%ld", (long)pid);
	(void)snprintf(args[1], NUMBER, "0");
	(void)snprintf(args[2], NUMBER, "%u", kind->own);
	(void)snprintf(args[3], NUMBER, "1");
	(void)snprintf(args[4], NUMBER, "1");
	(void)snprintf(args[5], NUMBER, "%lu", first);
	(void)snprintf(args[6], NUMBER, "%lu", count);
	for (int i = 0; i < 7; i++)
		argv[1 + i] = args[i];
	if (posix_spawnp(&child, program, NULL, NULL, argv, environ) != 0)
		return false;
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return false;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* In a child outside of the new namespace: bits of what was mapped. */
static void
map_ranges(const struct kind kinds[2], pid_t pid, int go)
{
	const struct passwd *user = getpwuid(getuid());
	char name[LINE] = "", word;
	int mapped = 0;

	if (user != NULL)
		(void)snprintf(name, sizeof(name), "%s", user->pw_name);
	if (read(go, &word, 1) == 1)
		for (int i = 0; i < 2; i++)
			mapped |= map_range(&kinds[i], pid, name) ? 1 << i : 0;
	_exit(mapped);
}

static int
write_file(const char *path, const char *text)
{
	scoped(fdclosep) int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		return -errno;
	return 0;
}

/* Without a range: root is the caller, and there is nobody else. */
static int
map_own(const struct kind *kind)
{
	char text[2 * NUMBER];

	(void)snprintf(text, sizeof(text), "0 %u 1\n", kind->own);
	return write_file(kind->map, text);
}

static int
await_maps(pid_t child)
{
	int status;

	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 0;
}

/* In the new namespace: the rest of the maps.  An enum compat_ids. */
static int
map_rest(const struct kind kinds[2], int mapped)
{
	bool groups = (mapped & 2) != 0;
	int rc = groups ? 0 : write_file("/proc/self/setgroups", "deny");

	for (int i = 0; i < 2 && rc == 0; i++)
		if ((mapped & 1 << i) == 0)
			rc = map_own(&kinds[i]);
	if (rc == 0 && groups && setgroups(0, NULL) < 0)
		log_debug(
		    "the user's further groups stay: %s", strerror(errno));
	return rc < 0 ? rc : mapped == 3 ? COMPAT_IDS_RANGE : COMPAT_IDS_OWN;
}

/* Leave for a namespace of users; child maps what it may. */
static int
leave_ids(const struct kind kinds[2], pid_t child, int go)
{
	int rc = unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0 ? -errno : 0;
	int mapped;

	if (rc == 0 && write(go, "", 1) != 1)
		rc = -errno;
	(void)close(go);
	mapped = await_maps(child);
	if (rc < 0 || mapped < 0)
		return rc < 0 ? rc : mapped;
	return map_rest(kinds, mapped);
}

int
compat_become_root(void)
{
	const struct kind kinds[2] = {
	    {"/etc/subuid", "newuidmap", "/proc/self/uid_map", geteuid()},
	    {"/etc/subgid", "newgidmap", "/proc/self/gid_map", getegid()},
	};
	pid_t self = getpid(), child;
	int ends[2];

	if (geteuid() == 0)
		return COMPAT_IDS_ALL;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	(void)fflush(NULL);
	child = fork();
	if (child == 0) {
		(void)close(ends[1]);
		map_ranges(kinds, self, ends[0]);
	}
	(void)close(ends[0]);
	if (child < 0) {
		(void)close(ends[1]);
		return -EAGAIN;
	}
	return leave_ids(kinds, child, ends[1]);
}

/* -- processes ------------------------------------------------------------- */

int
compat_tree_fork(void)
{
	struct clone_args args = {
	    .flags = CLONE_NEWPID | CLONE_NEWNS,
	    .exit_signal = SIGCHLD,
	};
	struct pollfd parent = {.events = POLLOUT};
	int ends[2], rc;
	long pid;

	/* The parent alone reads: without it, writing fails. */
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	(void)fflush(NULL);
	pid = syscall(SYS_clone3, &args, sizeof(args));
	rc = pid < 0 ? -errno : (int)pid;
	if (pid != 0) {
		(void)close(ends[1]);
		if (pid < 0)
			(void)close(ends[0]);
		return rc; /* ends[0] stays open until the parent ends */
	}
	(void)close(ends[0]);
	parent.fd = ends[1];
	/* Of a parent outside, the number is 0. */
	if (compat_die_with(0) < 0 ||
	    (poll(&parent, 1, 0) > 0 && (parent.revents & POLLERR) != 0))
		_exit(1);
	(void)close(ends[1]);
	return 0;
}

bool
compat_runs_freebsd(void)
{
	return false;
}

#else /* FreeBSD */
#include <sys/procctl.h>

int
compat_become_root(void)
{
	return geteuid() == 0 ? COMPAT_IDS_ALL : -EPERM;
}

int
compat_tree_fork(void)
{
	pid_t self = getpid(), pid;

	if (procctl(P_PID, 0, PROC_REAP_ACQUIRE, NULL) < 0 && errno != EBUSY)
		return -errno;
	(void)fflush(NULL);
	pid = fork();
	if (pid == 0 && compat_die_with(self) < 0)
		_exit(1);
	return pid < 0 ? -errno : (int)pid;
}

bool
compat_runs_freebsd(void)
{
	return true;
}

#endif
