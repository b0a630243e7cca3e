/* relive discard: forget a session. */
#include "../fusefs/session.h"
#include "commands.h"

enum { OPT_SESSION = CMD_LONG };

static const struct option longs[] = {
    {"session", required_argument, NULL, OPT_SESSION},
    {NULL, 0, NULL, 0},
};

static int
run(int argc, char **argv)
{
	const char *dir = NULL;

	while (cmd_option(&cmd_discard, argc, argv, "", longs) != -1)
		dir = optarg;
	if (!cmd_operands(&cmd_discard, argc, argv, 1, 1))
		return CMD_USAGE;
	return cmd_exit(session_discard(argv[optind], dir));
}

const struct command cmd_discard = {
    .name = "discard",
    .summary = "forget what was edited and not committed",
    .usage = "discard IMAGE [--session DIR]\n"
	     "Remove the session of IMAGE: everything edited since the last\n"
	     "commit --in-place is lost.  Not while it is mounted.\n"
	     "\n"
	     "      --session DIR  the session's folder, if not "
	     "IMAGE.relive\n",
    .run = run,
};
