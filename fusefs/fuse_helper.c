/*
 * The daemon's helper: a small process that does the two things a confined
 * daemon cannot, and that reads no image: it unmounts, which takes root's
 * rights or a set-uid program, and it hands lines to syslog, which takes
 * sockets.  It knows one mount point, closes every file but its end of a
 * socket pair, and ends when the daemon has.
 *
 * A packet to it is one byte, what to do, and the line for syslog.  Unmounting
 * is answered with an int: 0 or -errno.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <syslog.h>

#include "../imgfmt/compat.h"
#include "fuse_impl.h"

enum { UNMOUNT = 'u', TAKE_AWAY = 'a', SAY = '0', PACKET_MAX = 2048 };

/* A process has one helper. */
static int ours = -1; /* end of the socket pair */
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
stand_alone(int end)
{
	int null = open("/dev/null", O_RDWR);

	if (null < 0 || chdir("/") < 0)
		return -errno;
	for (int fd = 0; fd <= 2; fd++)
		if (dup2(null, fd) < 0)
			return -errno;
	if (end > 3)
		(void)close_range(3, (unsigned)end - 1, 0);
	(void)close_range((unsigned)end + 1, ~0u, 0);
	(void)setsid();
	return 0;
}

/* Until the daemon's end is closed, as it is with the daemon. */
static void
help(int end, const char *dir)
{
	char packet[PACKET_MAX + 1];
	ssize_t n;
	int rc;

	while ((n = recv(end, packet, PACKET_MAX, 0)) != 0) {
		if (n < 0 && errno != EINTR)
			break;
		if (n < 0)
			continue;
		packet[n] = '\0';
		if (packet[0] != UNMOUNT && packet[0] != TAKE_AWAY) {
			say_to_syslog(packet[0] - SAY, packet + 1);
			continue;
		}
		rc = compat_unmount(dir, packet[0] == TAKE_AWAY);
		(void)!send(end, &rc, sizeof(rc), MSG_NOSIGNAL);
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
be_helper(int end, const char *dir)
{
	char name[32];

	/* The lines are the daemon's, and so is the number behind its name. */
	(void)snprintf(name, sizeof(name), "relive[%ld]", (long)getppid());
	ignore_signals();
	if (stand_alone(end) < 0)
		_exit(1);
	openlog(name, 0, LOG_DAEMON);
	help(end, dir);
	_exit(0);
}

/* -- in the daemon --------------------------------------------------------- */

int
helper_open(const char *dir)
{
	int ends[2], rc;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	helper = fork();
	rc = -errno;
	if (helper == 0)
		be_helper(ends[1], dir);
	(void)close(ends[1]);
	if (helper < 0) {
		(void)close(ends[0]);
		return rc;
	}
	ours = ends[0];
	return 0;
}

void
helper_close(void)
{
	if (ours < 0)
		return;
	(void)close(ours);
	ours = -1;
	while (waitpid(helper, NULL, 0) < 0 && errno == EINTR)
		continue;
}

int
helper_unmount(bool lazy)
{
	const char what = lazy ? TAKE_AWAY : UNMOUNT;
	ssize_t n = send(ours, &what, 1, MSG_NOSIGNAL);
	int rc = 0;

	if (n < 0)
		return -errno;
	do
		n = recv(ours, &rc, sizeof(rc), 0);
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
		(void)!send(
		    ours, packet, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
}
