/*
 * The command and its two keepers.
 *
 * The first process in the tree starts the command, hands signals on to it,
 * and buries what is orphaned there; when it ends, so does all that is left
 * in the tree.  It tells through a pipe whether the tree could be entered, and
 * by its exit status how the command ended.
 *
 * All are in our process group, so that the terminal stops and continues them
 * together.  What is typed there reaches the command by itself: signals of the
 * kernel's are not handed on.
 */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../imgfmt/log.h"
#include "cmd.h"
#include "shell.h"

enum { GRACE_S = 2 }; /* to end by itself when asked to */

static void
kept_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGCHLD);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGHUP);
}

static bool
was_typed(const siginfo_t *info)
{
	return info->si_signo == SIGINT && info->si_code == SI_KERNEL;
}

static int
exit_status(int status)
{
	return WIFSIGNALED(status) ? SHELL_SIGNAL + WTERMSIG(status)
				   : WEXITSTATUS(status);
}

/* -- the first process in the tree ----------------------------------------- */

/* In the command's process. */
_Noreturn static void
become_command(char *const *command)
{
	const char *shell = shell_default();
	char *own[] = {strdup(shell), NULL};
	char *const *argv = command != NULL ? command : own;
	char path[PATH_MAX];
	sigset_t none;
	int rc = argv[0] == NULL ? SHELL_CANNOT_RUN
				 : shell_find_program(argv[0], path);

	if (rc == 0 && shell_environment(shell) < 0)
		rc = SHELL_CANNOT_RUN;
	if (rc != 0)
		_exit(rc);
	sigemptyset(&none);
	(void)signal(SIGQUIT, SIG_DFL);
	(void)signal(SIGXFSZ, SIG_DFL);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)execv(path, argv);
	_exit(shell_exec_failed(path, errno));
}

/* Bury the dead: whether the command is among them. */
static bool
bury(pid_t command, int *status)
{
	bool ended = false;
	pid_t pid;

	while ((pid = waitpid(-1, status, WNOHANG)) > 0)
		if (pid == command) {
			*status = exit_status(*status);
			ended = true;
			break;
		}
	return ended;
}

_Noreturn static void
keep_command(char *const *argv)
{
	siginfo_t info;
	sigset_t set;
	int status = 0;
	pid_t command;

	command = fork();
	if (command == 0)
		become_command(argv);
	if (command < 0) {
		log_error("no process for the command: %s", strerror(errno));
		_exit(SHELL_CANNOT_RUN);
	}
	kept_signals(&set);
	for (;;) {
		if (sigwaitinfo(&set, &info) < 0)
			continue;
		if (info.si_signo == SIGCHLD) {
			if (bury(command, &status))
				_exit(status);
		} else if (!was_typed(&info)) {
			(void)kill(command, info.si_signo);
		}
	}
}

_Noreturn static void
be_first(const struct shell_options *opt, const char *root, int word)
{
	int rc;

	/* Nothing that keeps the guard from seeing our parent's end. */
	if (word > 3)
		(void)close_range(3, (unsigned)word - 1, 0);
	(void)close_range((unsigned)word + 1, ~0u, 0);
	rc = compat_tree_enter(root, opt->binds, opt->nbinds);
	if (write(word, &rc, sizeof(rc)) != sizeof(rc) || rc < 0)
		_exit(1);
	(void)close(word);
	keep_command(opt->command);
}

/* -- our side -------------------------------------------------------------- */

/* -errno: of entering the tree, said. */
static int
hear_word(int fd)
{
	ssize_t n;
	int rc;

	do
		n = read(fd, &rc, sizeof(rc));
	while (n < 0 && errno == EINTR);
	return n == sizeof(rc) ? rc : -ECHILD;
}

/*
 * Until the first process has ended: its status as waitpid(2) has it.  Asked
 * to end by a signal, let the command do so, or make it; *asked is the signal.
 */
static int
await_end(pid_t first, int *asked)
{
	struct timespec grace = {.tv_sec = GRACE_S};
	siginfo_t info;
	sigset_t set;
	int status, n;

	kept_signals(&set);
	while (waitpid(first, &status, WNOHANG) == 0) {
		n = *asked != 0 ? sigtimedwait(&set, &info, &grace)
				: sigwaitinfo(&set, &info);
		if (n < 0 && errno == EAGAIN)
			(void)kill(first, SIGKILL);
		if (n <= 0 || n == SIGCHLD || was_typed(&info))
			continue;
		*asked = n;
		(void)kill(first, n);
	}
	return status;
}

/* A shell takes the terminal for itself, and may be killed. */
static void
take_terminal_back(void)
{
	sigset_t set, old;

	sigemptyset(&set);
	sigaddset(&set, SIGTTOU);
	(void)sigprocmask(SIG_BLOCK, &set, &old);
	(void)tcsetpgrp(STDIN_FILENO, getpgrp());
	(void)sigprocmask(SIG_SETMASK, &old, NULL);
}

static int
await_command(pid_t first, int word, int *status)
{
	bool had_terminal = tcgetpgrp(STDIN_FILENO) == getpgrp();
	int rc = hear_word(word), asked = 0, how = await_end(first, &asked);

	if (had_terminal)
		take_terminal_back();
	*status = asked != 0 ? SHELL_SIGNAL + asked : exit_status(how);
	if (rc < 0)
		cmd_error_was_said(); /* by the first process */
	return rc < 0 ? -EIO : 0;
}

int
shell_in_tree(
    const struct shell_options *options, const char *root, int *status)
{
	sigset_t child, old;
	int ends[2], rc, left;
	pid_t first;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &child, &old);
	(void)signal(SIGQUIT, SIG_IGN);
	first = compat_tree_fork();
	if (first == 0)
		be_first(options, root, ends[1]);
	(void)close(ends[1]);
	if (first < 0)
		log_error("no processes of its own for the tree: %s",
		    strerror(-first));
	rc = first < 0 ? first : await_command(first, ends[0], status);
	(void)close(ends[0]);
	(void)sigprocmask(SIG_SETMASK, &old, NULL);
	left = compat_tree_leave(root);
	return rc < 0 ? rc : left;
}
