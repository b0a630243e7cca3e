/*
 * The loop between QEMU and the user.  One thread, one ppoll(2): signals are
 * let through only while it waits, so none is missed.  Whatever the reason to
 * end, QEMU is asked first, its console is read on meanwhile, and after
 * GRACE_S it is killed.  Its standard error closes when it ends; that, not the
 * console's end, is how we know.  Nothing here waits for whoever reads or
 * writes too slowly: one piece is held in each direction.
 */
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <termios.h>
#include <time.h>

#include "../imgfmt/log.h"
#include "../imgfmt/monotonic.h"
#include "boot.h"
#include "boot_expect.h"
#include "outfile.h"

enum {
	GRACE_S = 5,
	LEAVE = 0x1d, /* Ctrl-] */
	PIECE = 4096, /* a pipe that polls as writable takes this much */
};

/* What is under way in one direction. */
struct flow {
	char buf[PIECE];
	size_t n; /* from the start of buf */
};

struct console {
	const struct boot_options *opt;
	struct boot_child *child;
	struct boot_outcome *outcome;
	struct expect expect;
	int log;          /* fd or -1 */
	bool input, show; /* standard input goes in, the console comes out */
	bool ending;
	int result;        /* why: an enum boot_end or -errno */
	uint64_t deadline; /* monotonic_ms */
	bool timed;        /* deadline counts */
	struct flow typed, shown;
	char line[BOOT_COMPLAINT_MAX]; /* of QEMU's, so far */
	size_t nline;
};

/* -- ending -----------------------------------------------------------------
 */

static void
set_deadline(struct console *c, unsigned seconds)
{
	c->deadline = monotonic_ms() + (uint64_t)seconds * 1000;
	c->timed = seconds > 0;
}

/* The first reason counts, but for an error. */
static void
end_because(struct console *c, int why)
{
	if (c->ending) {
		if (why < 0 && c->result >= 0)
			c->result = why;
		return;
	}
	c->ending = true;
	c->result = why;
	c->input = false;
	boot_child_signal(c->child, SIGTERM);
	set_deadline(c, GRACE_S);
}

static void
on_deadline(struct console *c)
{
	if (!c->ending) {
		end_because(c, BOOT_TIME_UP);
		return;
	}
	boot_child_signal(c->child, SIGKILL);
	/* whoever did not say or take the rest has had time to */
	fdclosep(&c->child->out);
	fdclosep(&c->child->err);
	c->child->out = c->child->err = -1;
	c->shown.n = 0;
}

/* -- from the guest ---------------------------------------------------------
 */

/* Write what fits; what does not stays.  -errno. */
static int
flow_out(struct flow *f, int fd)
{
	ssize_t n = write(fd, f->buf, f->n);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	f->n -= (size_t)n;
	memmove(f->buf, f->buf + n, f->n);
	return 0;
}

/* Read into the empty f; closes *fd at its end. */
static void
flow_in(struct flow *f, int *fd)
{
	ssize_t n = read(*fd, f->buf, PIECE);

	f->n = n > 0 ? (size_t)n : 0;
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		fdclosep(fd);
		*fd = -1;
	}
}

static void
log_console(struct console *c)
{
	struct flow piece = c->shown;
	int rc = 0;

	while (c->log >= 0 && piece.n > 0 && rc == 0)
		rc = flow_out(&piece, c->log);
	if (rc == 0)
		return;
	log_error("cannot write '%s': %s", c->opt->serial_log, strerror(-rc));
	c->log = -1; /* the caller's to close */
	end_because(c, rc);
}

static void
read_console(struct console *c)
{
	flow_in(&c->shown, &c->child->out);
	expect_feed(&c->expect, c->shown.buf, c->shown.n);
	log_console(c);
	if (c->expect.found)
		end_because(c, BOOT_FOUND);
	if (!c->show)
		c->shown.n = 0;
}

static void
show_console(struct console *c)
{
	int rc = flow_out(&c->shown, STDOUT_FILENO);

	if (rc == 0)
		return;
	log_error("cannot write to standard output: %s", strerror(-rc));
	c->show = false;
	c->shown.n = 0;
	end_because(c, rc);
}

/* A line of QEMU's is done: say the one before it, keep this one. */
static void
take_complaint(struct console *c)
{
	char *kept = c->outcome->complaint;

	c->line[c->nline] = '\0';
	c->nline = 0;
	if (c->line[0] == '\0' ||
	    strstr(c->line, "terminating on signal") != NULL)
		return; /* we know */
	if (kept[0] != '\0')
		log_warn("%s", kept);
	snprintf(kept, BOOT_COMPLAINT_MAX, "%s", c->line);
}

static void
read_complaints(struct console *c)
{
	struct flow piece;

	flow_in(&piece, &c->child->err);
	for (size_t i = 0; i < piece.n; i++)
		if (piece.buf[i] == '\n' || c->nline == BOOT_COMPLAINT_MAX - 1)
			take_complaint(c);
		else
			c->line[c->nline++] = piece.buf[i];
	if (c->child->err < 0) {
		take_complaint(c);
		end_because(c, BOOT_ENDED);
	}
}

/* -- from the user ----------------------------------------------------------
 */

static void
read_input(struct console *c)
{
	ssize_t n = read(STDIN_FILENO, c->typed.buf, PIECE);

	if (n <= 0)
		c->input = false;
	else if (isatty(STDIN_FILENO) &&
	    memchr(c->typed.buf, LEAVE, (size_t)n) != NULL)
		end_because(c, BOOT_LEFT);
	else
		c->typed.n = (size_t)n;
}

static void
pass_input(struct console *c)
{
	if (flow_out(&c->typed, c->child->in) == 0)
		return;
	c->typed.n = 0; /* it does not listen any more */
	c->input = false;
}

/*
 * The terminal passes every key on and echoes none; output lines stay lines.
 * Whether it has been changed.
 */
static bool
terminal_raw(struct termios *before)
{
	struct termios raw;

	if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, before) < 0)
		return false;
	raw = *before;
	cfmakeraw(&raw);
	raw.c_oflag |= OPOST;
	return tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
}

/* -- the loop ---------------------------------------------------------------
 */

/* Until the deadline: NULL for ever, else left, never negative. */
static const struct timespec *
time_left(const struct console *c, struct timespec *left)
{
	uint64_t now, ms;

	if (!c->timed)
		return NULL;
	now = monotonic_ms();
	ms = c->deadline > now ? c->deadline - now : 0;
	*left = (struct timespec){.tv_sec = (time_t)(ms / 1000),
	    .tv_nsec = (long)(ms % 1000) * 1000000};
	return left;
}

/* One of the ways data goes: the descriptor to wait for, or -1: not now. */
struct way {
	int fd;
	short events;
	void (*go)(struct console *c);
};

enum { WAYS = 5 };

static void
ways_open(const struct console *c, struct way ways[WAYS])
{
	const bool free = c->shown.n == 0;

	ways[0] = (struct way){c->child->err, POLLIN, read_complaints};
	ways[1] = (struct way){free ? c->child->out : -1, POLLIN, read_console};
	ways[2] =
	    (struct way){free ? -1 : STDOUT_FILENO, POLLOUT, show_console};
	ways[3] = (struct way){c->input && c->typed.n == 0 ? STDIN_FILENO : -1,
	    POLLIN, read_input};
	ways[4] = (struct way){
	    c->typed.n > 0 ? c->child->in : -1, POLLOUT, pass_input};
}

static void
step(struct console *c, const sigset_t *awake)
{
	struct timespec left;
	struct way ways[WAYS];
	struct pollfd fds[WAYS];
	int n;

	ways_open(c, ways);
	for (int i = 0; i < WAYS; i++)
		fds[i] =
		    (struct pollfd){.fd = ways[i].fd, .events = ways[i].events};
	n = ppoll(fds, WAYS, time_left(c, &left), awake);
	if (interrupted())
		end_because(c, BOOT_INTERRUPTED);
	if (n == 0)
		on_deadline(c);
	for (int i = 0; i < WAYS && n > 0; i++)
		if (fds[i].revents != 0)
			ways[i].go(c);
}

static void
converse(struct console *c)
{
	sigset_t ending, awake;

	sigemptyset(&ending);
	sigaddset(&ending, SIGINT);
	sigaddset(&ending, SIGTERM);
	sigaddset(&ending, SIGHUP);
	(void)sigprocmask(SIG_BLOCK, &ending, &awake);
	/* a second signal must not cut the end short */
	while (c->child->err >= 0 || c->child->out >= 0 || c->shown.n > 0)
		step(c, c->ending ? NULL : &awake);
	(void)sigprocmask(SIG_SETMASK, &awake, NULL);
}

int
boot_console(const struct boot_options *options, int log,
    struct boot_child *child, struct boot_outcome *outcome)
{
	scoped(freep) struct console *c = calloc(1, sizeof(*c));
	struct termios before;
	bool raw;

	if (c == NULL)
		return -ENOMEM;
	c->opt = options;
	c->child = child;
	c->outcome = outcome;
	c->log = log;
	c->input = options->expect == NULL;
	c->show = options->expect == NULL || log_shows(LOG_DEBUG_LEVEL);
	expect_init(&c->expect, options->expect);
	set_deadline(c, options->timeout);
	raw = c->input && terminal_raw(&before);
	if (raw)
		log_info("Ctrl-] ends the machine");
	converse(c);
	if (raw)
		(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
	if (c->expect.found && c->result == BOOT_ENDED)
		c->result = BOOT_FOUND;
	snprintf(outcome->lines, sizeof(outcome->lines), "%s",
	    expect_last_lines(&c->expect, BOOT_LINES));
	return c->result;
}
