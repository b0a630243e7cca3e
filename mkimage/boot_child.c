#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "../imgfmt/compat.h"
#include "../imgfmt/log.h"
#include "boot.h"

enum { OURS, THEIRS };

struct pipes {
	int in[2], out[2], err[2];
};

static void
close_pair(int pair[2])
{
	fdclosep(&pair[OURS]);
	fdclosep(&pair[THEIRS]);
	pair[OURS] = pair[THEIRS] = -1;
}

static void
pipes_release(struct pipes *p)
{
	close_pair(p->in);
	close_pair(p->out);
	close_pair(p->err);
}

/* A pipe from the child to us. */
static int
open_to_us(int pair[2])
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	pair[OURS] = fds[0];
	pair[THEIRS] = fds[1];
	return fcntl(pair[OURS], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

static int
pipes_open(struct pipes *p)
{
	int fds[2], rc;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	p->in[OURS] = fds[1];
	p->in[THEIRS] = fds[0];
	rc = open_to_us(p->out);
	return rc < 0 ? rc : open_to_us(p->err);
}

/* In the child; does not return. */
static void
become(char *const *argv, const struct pipes *p, pid_t parent)
{
	sigset_t none;

	sigemptyset(&none);
	(void)signal(SIGPIPE, SIG_DFL);
	(void)signal(SIGXFSZ, SIG_DFL);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)setpgid(0, 0);
	if (compat_die_with(parent) == 0 && dup2(p->in[THEIRS], 0) == 0 &&
	    dup2(p->out[THEIRS], 1) == 1 && dup2(p->err[THEIRS], 2) == 2)
		(void)execv(argv[0], argv);
	dprintf(2, "cannot run '%s': %s\n", argv[0], strerror(errno));
	_exit(127);
}

int
boot_child_start(char *const *argv, struct boot_child *child)
{
	scoped(pipes_release) struct pipes p = {{-1, -1}, {-1, -1}, {-1, -1}};
	pid_t parent = getpid();
	int rc = pipes_open(&p);

	(void)fflush(NULL);
	child->pid = rc < 0 ? -1 : fork();
	if (child->pid == 0)
		become(argv, &p, parent);
	if (child->pid < 0) {
		rc = rc < 0 ? rc : -errno;
		log_error("cannot run '%s': %s", argv[0], strerror(-rc));
		return rc;
	}
	/* both sides: whoever is first */
	(void)setpgid(child->pid, child->pid);
	child->in = p.in[OURS];
	child->out = p.out[OURS];
	child->err = p.err[OURS];
	p.in[OURS] = p.out[OURS] = p.err[OURS] = -1;
	return 0;
}

void
boot_child_signal(const struct boot_child *child, int signal)
{
	(void)kill(-child->pid, signal);
}

int
boot_child_end(struct boot_child *child)
{
	int status = 0;

	boot_child_signal(child, SIGKILL);
	while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
		continue;
	fdclosep(&child->in);
	fdclosep(&child->out);
	fdclosep(&child->err);
	return status;
}
