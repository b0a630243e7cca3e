/*
 * SIGTERM, SIGINT and SIGHUP end the daemon.  All threads block them; one waits
 * for them, and does it the orderly way first: a plain unmount, by the helper
 * while the loop still serves, so that pages that are mapped and dirty still
 * arrive.  Where files are open that is refused; then the loop is ended, and
 * the mount taken away from whoever uses it.
 */
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "../imgfmt/log.h"
#include "fuse_impl.h"

static pthread_t waiter;
static pthread_t loop_thread;
static bool waiting;
static _Atomic bool closing;

static void
ending_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
	sigaddset(set, SIGUSR2); /* from signals_close: go home */
}

/* The next one that ends the daemon, or 0: go home. */
static int
next_signal(void)
{
	sigset_t set;
	int signal;

	ending_signals(&set);
	while (!atomic_load(&closing))
		if (sigwait(&set, &signal) == 0 && signal != SIGUSR2)
			return signal;
	return 0;
}

/* Only there to interrupt the loop's wait. */
static void
on_wake(int signal)
{
	(void)signal;
}

static void *
wait_for_signals(void *arg)
{
	struct server *server = arg;
	int rc;

	if (next_signal() == 0)
		return NULL;
	rc = volumes_flush(server);
	if (rc < 0)
		log_error("flushing '%s' before the end: %s", server->dir,
		    strerror(-rc));
	if (helper_unmount(false) < 0) {
		fuse_session_exit(server->fuse);
		pthread_kill(loop_thread, SIGUSR1);
	}
	/* Until the end, which is near: nothing may cut the last flush. */
	while (next_signal() != 0)
		continue;
	return NULL;
}

void
signals_block(bool blocked)
{
	sigset_t set;

	ending_signals(&set);
	(void)pthread_sigmask(blocked ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

int
signals_open(struct server *server)
{
	const struct sigaction wake = {.sa_handler = on_wake};
	const struct sigaction ignore = {.sa_handler = SIG_IGN};
	int rc;

	signals_block(true);
	(void)sigaction(SIGUSR1, &wake, NULL);
	(void)sigaction(SIGPIPE, &ignore, NULL);
	loop_thread = pthread_self();
	rc = pthread_create(&waiter, NULL, wait_for_signals, server);
	waiting = rc == 0;
	return -rc;
}

void
signals_close(void)
{
	if (!waiting)
		return;
	atomic_store(&closing, true);
	pthread_kill(waiter, SIGUSR2);
	pthread_join(waiter, NULL);
	waiting = false;
}
