/* relive: a table of commands. */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "../imgfmt/log.h"
#include "commands.h"

static const struct command *const commands[] = {
    &cmd_info,
    &cmd_ls,
    &cmd_cat,
    &cmd_extract,
    &cmd_check,
    &cmd_mount,
    &cmd_umount,
    &cmd_shell,
    &cmd_status,
    &cmd_commit,
    &cmd_discard,
    &cmd_create,
    &cmd_convert,
    &cmd_boot,
    &cmd_uzip,
    &cmd_unuzip,
    NULL,
};

enum { NAMES_MAX = sizeof(commands) / sizeof(*commands) };

static int
usage(void)
{
	printf("usage: relive COMMAND [OPTION...] ARGUMENT...\n"
	       "Edits FreeBSD live images in place and commits what changed.\n"
	       "\n");
	for (int i = 0; commands[i] != NULL; i++)
		printf("  %-9s %s\n", commands[i]->name, commands[i]->summary);
	printf(
	    "\n"
	    "  -h, --help     this text; 'relive COMMAND --help', or 'relive "
	    "help COMMAND',\n"
	    "                 tells about one of them, relive(1) about all\n"
	    "  -V, --version  the version\n");
	return cmd_exit(cmd_flush_stdout());
}

static int
version(void)
{
	printf("relive %s\n", RELIVE_VERSION);
	return cmd_exit(cmd_flush_stdout());
}

static const struct command *
find(const char *name)
{
	for (int i = 0; commands[i] != NULL; i++)
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	return NULL;
}

static int
unknown(const char *name)
{
	const char *names[NAMES_MAX] = {NULL};
	int n = 0, near;

	for (; commands[n] != NULL; n++)
		names[n] = commands[n]->name;
	near = cmd_nearest(name, names, n);
	if (near >= 0)
		log_error(
		    "no command '%s'; did you mean '%s'?", name, names[near]);
	else
		log_error("no command '%s'; see 'relive --help'", name);
	return CMD_USAGE;
}

static int
run(const struct command *cmd, int argc, char **argv)
{
	int code = cmd->run(argc, argv);

	/* Every failure says why: whoever finds it does.  This is the net. */
	if (code != CMD_DONE && cmd_errors_said() == 0)
		log_error("%s failed", cmd->name);
	return code;
}

/*
 * Where a standard stream is closed, what is opened next would be taken for it.
 * It is made to fail as a closed one does.
 */
static void
fill_standard_streams(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			(void)!open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
}

int
main(int argc, char **argv)
{
	static char help[] = "--help";
	char *help_argv[] = {argv[0], help, NULL};
	const struct command *cmd;
	const char *name = argc > 1 ? argv[1] : NULL;

	fill_standard_streams();
	/* A file that may not get larger is an error like a full disk. */
	(void)signal(SIGXFSZ, SIG_IGN);
	cmd_log_init();
	if (name == NULL) {
		log_error("no command given; see 'relive --help'");
		return CMD_USAGE;
	}
	if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
		return version();
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
		return usage();
	if (strcmp(name, "help") == 0) {
		if (argc == 2 || strcmp(argv[2], "help") == 0)
			return usage();
		cmd = find(argv[2]);
		return cmd == NULL ? unknown(argv[2]) : run(cmd, 2, help_argv);
	}
	cmd = find(name);
	return cmd == NULL ? unknown(name) : run(cmd, argc - 1, argv + 1);
}
