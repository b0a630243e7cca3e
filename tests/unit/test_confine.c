/*
 * What a confined process can still do and what it cannot.  Each attempt is
 * made by a child that confines itself: there is no way back.
 */
#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "../../imgfmt/compat.h"
#include "image_kit.h"

enum { WORKED = 0, FAILED = 1, NOT_HERE = 77 };

static int outside; /* a folder that is open, but not the confined one's */
static int folder;

/* Make the attempt in a confined child: how it ended. */
static int
confined(unsigned needs, bool (*attempt)(void))
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		if (~compat_confine(folder) & needs)
			_exit(NOT_HERE);
		_exit(attempt() ? WORKED : FAILED);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

struct attempt {
	const char *what;
	bool (*make)(void);
};

/* All end like that; where the host cannot confine so, skipped. */
static void
all_end(int want, unsigned needs, const struct attempt *attempt, size_t n)
{
	kit_begin();
	folder = open(kit_dir, O_RDONLY | O_DIRECTORY);
	outside = open("/tmp", O_RDONLY | O_DIRECTORY);
	CHECK_EQ(kit_sh("touch mine"), 0);
	for (size_t i = 0; i < n; i++) {
		int got = confined(needs, attempt[i].make);

		if (got == NOT_HERE)
			check_skipped = "the host cannot";
		else if (got != want)
			printf("# %s: %d\n", attempt[i].what, got);
		CHECK(got == want || got == NOT_HERE);
	}
	(void)close(outside);
	(void)close(folder);
}

/* -- what a daemon does ---------------------------------------------------- */

static bool
works_in_its_folder(void)
{
	char text[3] = "";
	int fd = openat(folder, "new", O_RDWR | O_CREAT | O_EXCL, 0600);
	int again = openat(folder, "new", O_RDONLY);

	return fd >= 0 && again >= 0 && pwrite(fd, "abc", 3, 5) == 3 &&
	    fdatasync(fd) == 0 && ftruncate(fd, 7) == 0 &&
	    flock(fd, LOCK_EX | LOCK_NB) == 0 &&
	    pread(again, text, 2, 5) == 2 && memcmp(text, "ab", 2) == 0 &&
	    renameat(folder, "new", folder, "old") == 0 && fsync(folder) == 0 &&
	    close(openat(folder, "old", O_WRONLY | O_TRUNC)) == 0 &&
	    unlinkat(folder, "old", 0) == 0;
}

static bool
works_by_path_too(void)
{
	const char *path = kit_path("by-path");

	return close(open(path, O_WRONLY | O_CREAT, 0600)) == 0 &&
	    unlinkat(AT_FDCWD, path, 0) == 0;
}

static pthread_barrier_t barrier;

static void *
wait_to_be_cancelled(void *arg)
{
	char *memory = malloc(1 << 20);

	if (memory != NULL)
		memory[77] = 1;
	free(memory);
	(void)pthread_barrier_wait(&barrier);
	for (;;)
		(void)sleep(1000);
	return arg;
}

/* As libfuse ends its threads, and a signal wakes its loop. */
static bool
starts_and_cancels_threads(void)
{
	pthread_t thread[3];
	int n = 0;

	(void)pthread_barrier_init(&barrier, NULL, 4);
	while (n < 3 &&
	    pthread_create(&thread[n], NULL, wait_to_be_cancelled, NULL) == 0)
		n++;
	if (n < 3)
		return false;
	(void)pthread_barrier_wait(&barrier);
	for (int i = 0; i < 3; i++)
		if (pthread_cancel(thread[i]) != 0 ||
		    pthread_join(thread[i], NULL) != 0)
			return false;
	(void)signal(SIGUSR1, SIG_IGN);
	return pthread_kill(pthread_self(), SIGUSR1) == 0;
}

static bool
allocates_much_and_little(void)
{
	char *p[300];
	bool all = true;

	for (size_t i = 0; i < sizeof(p) / sizeof(p[0]); i++) {
		p[i] = malloc((i + 1) * 5000);
		all = all && p[i] != NULL;
		if (p[i] != NULL)
			memset(p[i], 1, (i + 1) * 5000);
	}
	for (size_t i = 0; i < sizeof(p) / sizeof(p[0]); i++)
		free(p[i]);
	compat_memory_give_back();
	return all;
}

static bool
knows_the_time_and_waits(void)
{
	struct timespec t = {.tv_nsec = 1000000};

	return nanosleep(&t, NULL) == 0 &&
	    clock_gettime(CLOCK_MONOTONIC, &t) == 0 && time(NULL) > 0;
}

static int pair[2];

static bool
talks_to_its_helper(void)
{
	char c = 0;

	return send(pair[0], "x", 1, MSG_NOSIGNAL) == 1 &&
	    recv(pair[1], &c, 1, 0) == 1 && c == 'x';
}

static bool
is_told_of_errors(void)
{
	return openat(folder, "nothing", O_RDONLY) < 0 && errno == ENOENT;
}

static void
a_confined_process_does_its_work(void)
{
	static const struct attempt work[] = {
	    {"files in its folder", works_in_its_folder},
	    {"files by their path", works_by_path_too},
	    {"threads", starts_and_cancels_threads},
	    {"memory", allocates_much_and_little},
	    {"time", knows_the_time_and_waits},
	    {"a socket that is open", talks_to_its_helper},
	    {"errors as ever", is_told_of_errors},
	};

	CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	all_end(WORKED, COMPAT_CONFINED_CALLS, work,
	    sizeof(work) / sizeof(work[0]));
	(void)close(pair[0]);
	(void)close(pair[1]);
}

/* -- what it cannot -------------------------------------------------------- */

static bool
runs_a_program(void)
{
	char name[] = "/bin/true";
	char *argv[] = {name, NULL}, *env[] = {NULL};

	return execve(name, argv, env) == 0; /* and would end well */
}

static bool
forks(void)
{
	pid_t child = fork();

	if (child == 0)
		_exit(0);
	return child > 0;
}

static bool
opens_a_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0) >= 0 ||
	    socket(AF_INET, SOCK_STREAM, 0) >= 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0;
}

static bool
mounts(void)
{
	return mount("none", "/mnt", "tmpfs", 0, NULL) == 0 ||
	    umount2("/nowhere", 0) == 0 || unshare(CLONE_NEWUSER) == 0 ||
	    chroot("/") == 0;
}

static bool
touches_another_process(void)
{
	return ptrace(PTRACE_ATTACH, getppid(), NULL, NULL) == 0 ||
	    kill(getppid(), 0) == 0;
}

static bool
makes_code(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
}

static bool
becomes_somebody(void)
{
	return setuid(0) == 0 || setgid(0) == 0;
}

static bool
changes_modes(void)
{
	return fchmod(folder, 0777) == 0 || chown("/tmp", 1, 1) == 0 ||
	    symlinkat("/etc", folder, "link") == 0 ||
	    linkat(AT_FDCWD, "/etc/passwd", folder, "stolen", 0) == 0 ||
	    mknodat(folder, "fifo", S_IFIFO | 0600, 0) == 0 ||
	    mkdirat(folder, "sub", 0700) == 0;
}

static void
it_makes_no_other_calls(void)
{
	static const struct attempt calls[] = {
	    {"a program", runs_a_program},
	    {"a process", forks},
	    {"a socket", opens_a_socket},
	    {"a mount", mounts},
	    {"another process", touches_another_process},
	    {"code", makes_code},
	    {"another user", becomes_somebody},
	    {"modes and links", changes_modes},
	};

	all_end(FAILED, COMPAT_CONFINED_CALLS, calls,
	    sizeof(calls) / sizeof(calls[0]));
}

static bool
reads_elsewhere(void)
{
	return open("/etc/passwd", O_RDONLY) >= 0 ||
	    openat(outside, "..", O_RDONLY | O_DIRECTORY) >= 0 ||
	    openat(folder, "../../etc/passwd", O_RDONLY) >= 0 ||
	    opendir("/") != NULL || open("/proc/self/mem", O_RDWR) >= 0;
}

static bool
writes_elsewhere(void)
{
	return openat(outside, "relive-escaped", O_WRONLY | O_CREAT, 0600) >=
	    0 ||
	    open("/dev/null", O_WRONLY) >= 0 ||
	    renameat(folder, "mine", outside, "relive-escaped") == 0;
}

static void
it_reaches_no_other_files(void)
{
	static const struct attempt paths[] = {
	    {"reading", reads_elsewhere},
	    {"writing", writes_elsewhere},
	};

	all_end(FAILED, COMPAT_CONFINED_PATHS, paths,
	    sizeof(paths) / sizeof(paths[0]));
	CHECK(access("/tmp/relive-escaped", F_OK) < 0);
}

/* -- root ------------------------------------------------------------------ */

static bool
has_rights(void)
{
	return openat(folder, "private", O_RDWR) >= 0;
}

static void
root_keeps_no_rights_but_to_a_strangers_folder(void)
{
	int fd;

	if (geteuid() != 0)
		SKIP("not root");
	kit_begin();
	folder = open(kit_dir, O_RDONLY | O_DIRECTORY);
	fd = openat(folder, "private", O_WRONLY | O_CREAT, 0600);
	CHECK_EQ(fchown(fd, 65534, 65534), 0);
	CHECK_EQ(confined(COMPAT_CONFINED_RIGHTS, has_rights), FAILED);
	CHECK_EQ(fchown(folder, 65534, 65534), 0);
	CHECK_EQ(confined(COMPAT_CONFINED_RIGHTS, has_rights), WORKED);
	(void)close(fd);
	(void)close(folder);
}

TESTS({"a confined process does its work", a_confined_process_does_its_work},
    {"it makes no other calls", it_makes_no_other_calls},
    {"it reaches no other files", it_reaches_no_other_files},
    {"root keeps no rights but to a stranger's folder",
	root_keeps_no_rights_but_to_a_strangers_folder})
