/*
 * The daemon's helper: a small process that does the things a confined
 * daemon cannot, and that reads no image: it unmounts, which takes root's
 * rights or a set-uid program; it hands lines to syslog, which takes sockets;
 * and it looks on which processor a client runs.  It knows one mount point,
 * closes every file but its ends of two socket pairs, and ends when the daemon
 * has.  It also gives the follower all processors and an ordinary priority
 * back, which that may not take by itself.
 *
 * A packet to it is one byte, what to do, and the line for syslog.  Unmounting
 * is answered with an int: 0 or -errno.  On the other pair a thread's number
 * is answered with its processor's.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <syslog.h>

#include "../imgfmt/compat.h"
#include "fuse_impl.h"

enum {
	MOUNTED = 'm',
	UNMOUNT = 'u',
	TAKE_AWAY = 'a',
	SAY = '0',
	PACKET_MAX = 2048
};

enum { ANSWER_MS = 2 }; /* how long a question may take */

/* The two socket pairs. */
enum { ORDERS, QUESTIONS, NPAIRS };

/* A process has one helper. */
static int ours[NPAIRS] = {-1, -1}; /* ends of them */
static pid_t helper;

/* -- in the helper --------------------------------------------------------- */

static void
say_to_syslog(int level, const char *line)
{
	static const int priority[] = {
	    [LOG_ERROR_LEVEL] = LOG_ERR,
	    [LOG_WARN_LEVEL] = LOG_WARNING,
	    [LOG_INFO_LEVEL] = LOG_INFO,
	    [LOG_DEBUG_LEVEL] = LOG_DEBUG,
	};

	if (level >= 0 && level <= LOG_DEBUG_LEVEL)
		syslog(priority[level], "%s", line);
}

/* Leave everything that belongs to the daemon or its caller. */
static int
stand_alone(int ends[NPAIRS])
{
	int low = ends[0] < ends[1] ? ends[0] : ends[1];
	int high = ends[0] < ends[1] ? ends[1] : ends[0];
	int null = open("/dev/null", O_RDWR);

	if (null < 0 || chdir("/") < 0)
		return -errno;
	for (int fd = 0; fd <= 2; fd++)
		if (dup2(null, fd) < 0)
			return -errno;
	if (low > 3)
		(void)close_range(3, (unsigned)low - 1, 0);
	if (high > low + 1)
		(void)close_range((unsigned)low + 1, (unsigned)high - 1, 0);
	(void)close_range((unsigned)high + 1, ~0u, 0);
	(void)setsid();
	return 0;
}

/* A question of the follower's, and the answer; or it is to be set free. */
struct question {
	int thread, cpu;
	bool free; /* from that processor; is not answered */
};

/* Where this process runs: on that processor, or (-1) anywhere. */
static int place = -1;

static void
run_on(int cpu)
{
	if (compat_run_on(place, cpu) == 0)
		place = cpu;
}

/*
 * The follower goes where the client is, and from then on so does this
 * process: the follower waits for its answers, which so take nobody's
 * processor.  It goes there before it answers, as it would be in the way
 * later.  false: nobody asks any more.
 */
static bool
answer(int end)
{
	struct question q;

	if (recv(end, &q, sizeof(q), 0) != sizeof(q))
		return false;
	if (q.thread < 0 || q.free)
		run_on(-1);
	if (q.free)
		(void)!compat_run_free(getppid(), q.thread, q.cpu);
	if (q.thread < 0 || q.free)
		return true;
	q.cpu = compat_thread_cpu(q.thread);
	if (q.cpu >= 0)
		run_on(q.cpu);
	(void)!send(end, &q, sizeof(q), MSG_NOSIGNAL);
	return true;
}

/* What was mounted by this daemon; 0: not known. */
static uint64_t mount_id;

/* Something else may have been mounted over it, or in its place. */
static int
unmount(const char *dir, bool lazy)
{
	run_on(-1); /* and so does what it starts for that */
	if (mount_id != 0 && compat_mount_id(dir) != mount_id)
		return -ESTALE;
	return compat_unmount(dir, lazy);
}

/* false: nobody orders any more. */
static bool
obey(int end, const char *dir)
{
	char packet[PACKET_MAX + 1];
	ssize_t n = recv(end, packet, PACKET_MAX, 0);
	int rc;

	if (n <= 0)
		return n < 0 && errno == EINTR;
	packet[n] = '\0';
	switch (packet[0]) {
	case MOUNTED:
		mount_id = compat_mount_id(dir);
		break;
	case UNMOUNT:
	case TAKE_AWAY:
		rc = unmount(dir, packet[0] == TAKE_AWAY);
		(void)!send(end, &rc, sizeof(rc), MSG_NOSIGNAL);
		break;
	default:
		say_to_syslog(packet[0] - SAY, packet + 1);
	}
	return true;
}

/* Until the daemon's ends are closed, as they are with the daemon. */
static void
help(const int ends[NPAIRS], const char *dir)
{
	struct pollfd words[NPAIRS] = {
	    {.fd = ends[ORDERS], .events = POLLIN},
	    {.fd = ends[QUESTIONS], .events = POLLIN},
	};

	for (;;) {
		if (poll(words, NPAIRS, -1) < 0) {
			if (errno != EINTR)
				return;
			continue;
		}
		if (words[QUESTIONS].revents != 0 && !answer(ends[QUESTIONS]))
			words[QUESTIONS].fd = -1;
		if (words[ORDERS].revents != 0 && !obey(ends[ORDERS], dir))
			return;
	}
}

/* What ends the daemon, or all processes of a group, is for it to answer. */
static void
ignore_signals(void)
{
	static const int ignored[] = {SIGTERM, SIGINT, SIGHUP, SIGPIPE};
	const struct sigaction ignore = {.sa_handler = SIG_IGN};

	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		(void)sigaction(ignored[i], &ignore, NULL);
	signals_block(false);
}

_Noreturn static void
be_helper(int ends[NPAIRS], const char *dir)
{
	char name[32];

	/* The lines are the daemon's, and so is the number behind its name. */
	(void)snprintf(name, sizeof(name), "relive[%ld]", (long)getppid());
	ignore_signals();
	if (stand_alone(ends) < 0)
		_exit(1);
	openlog(name, 0, LOG_DAEMON);
	help(ends, dir);
	_exit(0);
}

/* -- in the daemon --------------------------------------------------------- */

static int
make_pairs(int theirs[NPAIRS])
{
	int ends[2];

	for (size_t i = 0; i < NPAIRS; i++) {
		if (socketpair(
			AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
			return -errno;
		ours[i] = ends[0];
		theirs[i] = ends[1];
	}
	return 0;
}

static void
close_all(int ends[NPAIRS])
{
	for (size_t i = 0; i < NPAIRS; i++) {
		fdclosep(&ends[i]);
		ends[i] = -1;
	}
}

int
helper_open(const char *dir)
{
	int theirs[NPAIRS] = {-1, -1};
	int rc = make_pairs(theirs);

	if (rc == 0) {
		helper = fork();
		rc = helper < 0 ? -errno : 0;
	}
	if (rc == 0 && helper == 0)
		be_helper(theirs, dir);
	close_all(theirs);
	if (rc < 0)
		close_all(ours);
	return rc;
}

void
helper_close(void)
{
	if (ours[ORDERS] < 0)
		return;
	close_all(ours);
	while (waitpid(helper, NULL, 0) < 0 && errno == EINTR)
		continue;
}

void
helper_mounted(void)
{
	const char what = MOUNTED;

	(void)!send(ours[ORDERS], &what, 1, MSG_NOSIGNAL);
}

int
helper_unmount(bool lazy)
{
	const char what = lazy ? TAKE_AWAY : UNMOUNT;
	ssize_t n = send(ours[ORDERS], &what, 1, MSG_NOSIGNAL);
	int rc = 0;

	if (n < 0)
		return -errno;
	do
		n = recv(ours[ORDERS], &rc, sizeof(rc), 0);
	while (n < 0 && errno == EINTR);
	return n == sizeof(rc) ? rc : n < 0 ? -errno : -EPIPE;
}

void
helper_say(enum log_level level, const char *line)
{
	char packet[PACKET_MAX];
	int n = snprintf(packet, sizeof(packet), "%c%s", SAY + level, line);

	/* A line that cannot go at once is lost: requests do not wait for it.
	 */
	if (n > 0 && (size_t)n < sizeof(packet))
		(void)!send(ours[ORDERS], packet, (size_t)n,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
}

void
helper_free(int thread, int cpu)
{
	const struct question q = {.thread = thread, .cpu = cpu, .free = true};

	(void)!send(
	    ours[QUESTIONS], &q, sizeof(q), MSG_DONTWAIT | MSG_NOSIGNAL);
}

int
helper_cpu_of(int thread)
{
	struct pollfd word = {.fd = ours[QUESTIONS], .events = POLLIN};
	struct question q = {.thread = thread};

	if (send(word.fd, &q, sizeof(q), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return -errno;
	if (thread < 0)
		return 0;
	/* Answers to earlier questions may come first. */
	do
		if (poll(&word, 1, ANSWER_MS) != 1 ||
		    recv(word.fd, &q, sizeof(q), MSG_DONTWAIT) != sizeof(q))
			return -EAGAIN;
	while (q.thread != thread);
	return q.cpu;
}
