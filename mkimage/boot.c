#include "boot.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "../imgfmt/log.h"
#include "outfile.h"

/* What to run on: asked for, or found out. */
static int
decide_accel(const struct boot_options *options, const char *qemu)
{
	int rc;

	if (options->accel != BOOT_PROBE)
		return (int)options->accel;
	rc =
	    access("/dev/kvm", R_OK | W_OK) < 0 ? 0 : boot_answers(qemu, "kvm");
	if (rc == 0 && options->expect == NULL)
		log_info("no guest answers under KVM here; the machine is "
			 "emulated, which is slow");
	return rc < 0 ? rc : rc == 0 ? BOOT_TCG : BOOT_KVM;
}

static int
open_log(const struct boot_options *options, int *fd)
{
	int rc;

	if (options->serial_log == NULL)
		return 0;
	rc = outfile_not_input(options->serial_log, options->path);
	if (rc < 0)
		return rc;
	*fd = open(options->serial_log,
	    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (*fd >= 0)
		return 0;
	rc = -errno;
	log_error("cannot create '%s': %s", options->serial_log, strerror(-rc));
	return rc;
}

static void
say_command(const struct boot_argv *args)
{
	scoped(freep) char *line = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&line, &len);

	if (f == NULL)
		return;
	for (size_t i = 0; i < args->n; i++)
		fprintf(f, "%s%s", i > 0 ? " " : "", args->argv[i]);
	if (fclose(f) == 0)
		log_debug("%s", line);
}

/* What the console showed, for who has not seen it. */
static void
say_lines(const struct boot_options *options, const struct boot_outcome *o)
{
	if (options->expect == NULL)
		return;
	if (o->lines[0] == '\0')
		fprintf(stderr, "(the console stayed empty)\n");
	else
		fprintf(stderr, "(the console's last lines)\n%s\n", o->lines);
}

/* QEMU has ended, which it should not have if a text was expected. */
static int
judge_ended(const struct boot_options *options, const struct boot_outcome *o,
    int status)
{
	bool failed = !WIFEXITED(status) || WEXITSTATUS(status) != 0;

	if (o->complaint[0] != '\0' && !failed)
		log_warn("%s", o->complaint);
	if (!failed && options->expect == NULL)
		return 0;
	if (!failed) {
		say_lines(options, o);
		log_error("'%s': '%s' had not appeared when the machine ended",
		    options->path, options->expect);
		return -ENOENT;
	}
	if (o->complaint[0] != '\0')
		log_error("%s", o->complaint);
	else if (WIFSIGNALED(status))
		log_error("QEMU was ended by signal %d", WTERMSIG(status));
	else
		log_error(
		    "QEMU ended with exit status %d", WEXITSTATUS(status));
	return -EIO;
}

static int
judge(const struct boot_options *options, const struct boot_outcome *o, int end,
    int status)
{
	if (end < 0)
		return end;
	if (end == BOOT_ENDED)
		return judge_ended(options, o, status);
	if (o->complaint[0] != '\0')
		log_warn("%s", o->complaint);
	switch (end) {
	case BOOT_TIME_UP:
		say_lines(options, o);
		if (options->expect != NULL)
			log_error("'%s': '%s' did not appear within %u seconds",
			    options->path, options->expect, options->timeout);
		else
			log_error("'%s': still running after %u seconds, ended",
			    options->path, options->timeout);
		return -ETIMEDOUT;
	case BOOT_INTERRUPTED:
		log_error("interrupted");
		return -EINTR;
	default:
		return 0;
	}
}

static int
run(const struct boot_options *options, const struct boot_argv *args)
{
	scoped(freep) struct boot_outcome *outcome =
	    calloc(1, sizeof(*outcome));
	scoped(fdclosep) int log = -1;
	struct boot_child child;
	int rc = outcome == NULL ? -ENOMEM : open_log(options, &log), status;

	if (rc == 0)
		rc = boot_child_start(args->argv, &child);
	if (rc < 0)
		return rc;
	rc = boot_console(options, log, &child, outcome);
	status = boot_child_end(&child);
	return judge(options, outcome, rc, status);
}

int
boot_run(const struct boot_options *options)
{
	struct boot_argv args = {0};
	int rc, accel = BOOT_TCG;

	interrupts_catch();
	(void)signal(SIGPIPE, SIG_IGN);
	rc = boot_find_qemu(&args);
	if (rc == 0)
		rc = accel = decide_accel(options, args.argv[0]);
	if (rc >= 0)
		rc = boot_describe(options, (enum boot_accel)accel, &args);
	if (rc >= 0) {
		say_command(&args);
		rc = run(options, &args);
	}
	boot_argv_release(&args);
	return rc;
}
