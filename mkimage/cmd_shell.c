/* relive shell: arguments into a command that runs in the live tree. */
#include <stdlib.h>
#include <string.h>

#include "../imgfmt/log.h"
#include "commands.h"
#include "shell.h"

enum { RO = CMD_LONG, SESSION, SIZE, BIND, BINDS_MAX = 64 };

struct shell_command {
	struct shell_options options;
	struct compat_bind binds[BINDS_MAX];
	char *texts[2 * BINDS_MAX]; /* what those are made of */
	size_t nbinds;
};

static const struct option longs[] = {
    {"bind", required_argument, NULL, BIND},
    {"ro", no_argument, NULL, RO},
    {"session", required_argument, NULL, SESSION},
    {"size", required_argument, NULL, SIZE},
    {NULL, 0, NULL, 0},
};

static const char usage[] =
    "shell [OPTION...] IMAGE [-- COMMAND [ARGUMENT...]]\n"
    "Run COMMAND, or a shell, with the live root of IMAGE as '/', read-write:\n"
    "as 'relive mount' and chroot(8), and unmounted when it ends.  Its exit\n"
    "status is the command's.  What is changed goes to the session beside the\n"
    "image.  The programs are the image's: on Linux, those of FreeBSD do not\n"
    "run.\n"
    "\n"
    "      --bind SRC:DST  show SRC, a folder or file of the host, at DST,\n"
    "                      which must exist in the tree\n"
    "  -o OPTION,...       as for 'relive mount'\n"
    "      --ro            read-only: the last flushed state\n"
    "      --session DIR   where the session is, instead of IMAGE.relive\n"
    "      --size LIMIT    how large the file system may grow\n";

/* What follows "--" is the command; argc becomes what is ours. */
static char *const *
split_command(int *argc, char **argv)
{
	for (int i = 1; i < *argc; i++)
		if (strcmp(argv[i], "--") == 0) {
			*argc = i;
			argv[i] = NULL;
			return argv[i + 1] != NULL ? argv + i + 1 : NULL;
		}
	return NULL;
}

static int
add_bind(struct shell_command *cmd, const char *text)
{
	const char *colon = strchr(text, ':');
	char *source, *path;

	if (colon == NULL || colon == text || colon[1] == '\0')
		return cmd_misused(
		    &cmd_shell, "--bind takes SRC:DST, not '%s'", text);
	if (cmd->nbinds == BINDS_MAX)
		return cmd_misused(
		    &cmd_shell, "there are more than %d --bind", BINDS_MAX);
	source = strndup(text, (size_t)(colon - text));
	path = source == NULL ? NULL : realpath(source, NULL);
	cmd->texts[2 * cmd->nbinds] = source;
	cmd->texts[2 * cmd->nbinds + 1] = path;
	if (path == NULL) {
		log_error("'%s': %s", source != NULL ? source : text,
		    strerror(errno));
		return CMD_FAILED;
	}
	cmd->binds[cmd->nbinds++] =
	    (struct compat_bind){.source = path, .target = colon + 1};
	return CMD_DONE;
}

static int
set_option(struct shell_command *cmd, int c)
{
	struct shell_options *opt = &cmd->options;

	switch (c) {
	case BIND:
		return add_bind(cmd, optarg);
	case RO:
		opt->read_only = true;
		return CMD_DONE;
	case SESSION:
		opt->session_dir = optarg;
		return CMD_DONE;
	case SIZE:
		return cmd_parse_size(optarg, &opt->size_limit) == 0
		    ? CMD_DONE
		    : cmd_misused(&cmd_shell, "'%s' is no size", optarg);
	default:
		opt->mount_options = optarg;
		return CMD_DONE;
	}
}

static int
run_parsed(struct shell_command *cmd, int argc, char **argv)
{
	int c, bad, rc, status = 0;

	while ((c = cmd_option(&cmd_shell, argc, argv, "o:", longs)) != -1) {
		bad = set_option(cmd, c);
		if (bad != CMD_DONE)
			return bad;
	}
	if (!cmd_operands(&cmd_shell, argc, argv, 1, 1))
		return CMD_USAGE;
	cmd->options.address = argv[optind];
	cmd->options.binds = cmd->binds;
	cmd->options.nbinds = cmd->nbinds;
	rc = shell_run(&cmd->options, &status);
	if (rc == 0 && status != 0)
		cmd_error_was_said(); /* the command's own affair */
	return rc == -EINVAL ? CMD_USAGE : rc < 0 ? cmd_exit(rc) : status;
}

static int
run(int argc, char **argv)
{
	struct shell_command cmd = {.nbinds = 0};
	int code;

	cmd.options.command = split_command(&argc, argv);
	code = run_parsed(&cmd, argc, argv);
	for (size_t i = 0; i < 2 * BINDS_MAX; i++)
		free(cmd.texts[i]);
	return code;
}

const struct command cmd_shell = {
    .name = "shell",
    .summary = "run a command, or a shell, in the live root",
    .usage = usage,
    .run = run,
};
