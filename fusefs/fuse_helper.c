/*
 * The daemon's helper: a small process that does the things a confined
 * daemon cannot, and that reads no image: it unmounts, which takes root's
 * rights or a set-uid program; it hands lines to syslog, which takes sockets;
 * and it looks on which processor a client runs.  It knows one mount point,
 * closes every file but its ends of two socket pairs, and ends when the daemon
 * has.
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

enum { UNMOUNT = 'u', TAKE_AWAY = 'a', SAY = '0', PACKET_MAX = 2048 };

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

/*
 * The follower goes where the client is, and from then on so does this
 * process: the follower waits for its answers, which so take nobody's
 * processor.  It goes there before it answers, as it would be in the way
 * later.
 */
static void
answer(int end)
{
	static int here = -1;
	int thread, cpu;

	if (recv(end, &thread, sizeof(thread), 0) != sizeof(thread))
		return;
	cpu = thread < 0 ? -1 : compat_thread_cpu(thread);
	if (cpu != here && (cpu >= 0 || thread < 0) &&
	    compat_run_on(here, cpu) == 0)
		here = cpu;
	if (thread >= 0)
		(void)!send(end, &cpu, sizeof(cpu), MSG_NOSIGNAL);
}

static void
obey(int end, const char *dir, const char *packet)
{
	int rc;

	if (packet[0] != UNMOUNT && packet[0] != TAKE_AWAY) {
		say_to_syslog(packet[0] - SAY, packet + 1);
		return;
	}
	rc = compat_unmount(dir, packet[0] == TAKE_AWAY);
	(void)!send(end, &rc, sizeof(rc), MSG_NOSIGNAL);
}

/* Until the daemon's ends are closed, as they are with the daemon. */
static void
help(const int ends[NPAIRS], const char *dir)
{
	struct pollfd words[NPAIRS] = {
	    {.fd = ends[ORDERS], .events = POLLIN},
	    {.fd = ends[QUESTIONS], .events = POLLIN},
	};
	char packet[PACKET_MAX + 1];
	ssize_t n;

	for (;;) {
		if (poll(words, NPAIRS, -1) < 0)
			continue;
		if (words[QUESTIONS].revents & POLLIN)
			answer(ends[QUESTIONS]);
		if (words[ORDERS].revents == 0)
			continue;
		n = recv(ends[ORDERS], packet, PACKET_MAX, 0);
		if (n == 0 || (n < 0 && errno != EINTR))
			break;
		if (n < 0)
			continue;
		packet[n] = '\0';
		obey(ends[ORDERS], dir, packet);
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

int
helper_cpu_of(int thread)
{
	struct pollfd word = {.fd = ours[QUESTIONS], .events = POLLIN};
	int cpu;

	/* Answers that came too late. */
	while (recv(word.fd, &cpu, sizeof(cpu), MSG_DONTWAIT) > 0)
		continue;
	if (send(word.fd, &thread, sizeof(thread),
		MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return -errno;
	if (thread < 0)
		return 0;
	if (poll(&word, 1, ANSWER_MS) != 1 ||
	    recv(word.fd, &cpu, sizeof(cpu), MSG_DONTWAIT) != sizeof(cpu))
		return -EAGAIN;
	return cpu;
}
