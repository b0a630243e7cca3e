/* relive commit: the edited image, written anew. */
#include <string.h>

#include "../imgfmt/log.h"
#include "commands.h"
#include "commit.h"
#include "outfile.h"
#include "uzip_args.h"

enum {
	OPT_IN_PLACE = CMD_LONG,
	OPT_UZIP,
	OPT_RAW,
	OPT_VERIFY,
	OPT_SESSION,
};

static const struct option longs[] = {
    {"output", required_argument, NULL, 'o'},
    {"in-place", no_argument, NULL, OPT_IN_PLACE},
    {"uzip", required_argument, NULL, OPT_UZIP},
    {"raw", required_argument, NULL, OPT_RAW},
    {"verify", required_argument, NULL, OPT_VERIFY},
    {"session", required_argument, NULL, OPT_SESSION},
    {"algorithm", required_argument, NULL, 'A'},
    {"level", required_argument, NULL, 'C'},
    {"cluster", required_argument, NULL, 's'},
    {"dedup", no_argument, NULL, 'd'},
    {"threads", required_argument, NULL, 'j'},
    {NULL, 0, NULL, 0},
};

static const char usage[] =
    "commit IMAGE|DIR -o OUT [OPTION...]\n"
    "Write the edited image anew: only what changed is compressed again.\n"
    "IMAGE is what was mounted, DIR the place where it is mounted now; what\n"
    "was written there before the command is in the result.\n"
    "\n"
    "  -o, --output OUT      write what the base is: an ISO for an ISO, a "
    "uzip\n"
    "                        for a uzip, a raw image for a raw image\n"
    "      --in-place        replace the base itself and end the session;\n"
    "                        not while it is mounted\n"
    "      --uzip OUT        write the image alone, as a uzip\n"
    "      --raw OUT         write the image alone, uncompressed\n"
    "      --verify=full     compare every copied byte, not just lengths\n"
    "      --session DIR     the session's folder, if not IMAGE.relive\n"
    "  -A, --algorithm NAME  zlib, lzma or zstd; the base's.  Another one, or\n"
    "                        another -s, compresses everything again\n"
    "  -C, --level N         compression level; the base's\n"
    "  -s, --cluster SIZE    bytes of a cluster; the base's\n"
    "  -d, --dedup           store equal clusters once\n"
    "  -j, --threads N       threads that compress; one a processor\n";

/* Options that are ours alone: CMD_DONE, CMD_USAGE, or -1: another one. */
static int
take_option(struct commit_options *opt, int c)
{
	switch (c) {
	case 'o':
		return cmd_output(&cmd_commit, optarg, &opt->out);
	case OPT_IN_PLACE:
		opt->in_place = true;
		return CMD_DONE;
	case OPT_UZIP:
		return cmd_output(&cmd_commit, optarg, &opt->uzip);
	case OPT_RAW:
		return cmd_output(&cmd_commit, optarg, &opt->raw);
	case OPT_SESSION:
		opt->session_dir = optarg;
		return CMD_DONE;
	case OPT_VERIFY:
		opt->verify_full = true;
		return strcmp(optarg, "full") == 0
		    ? CMD_DONE
		    : cmd_misused(&cmd_commit,
			  "--verify takes 'full', not '%s'", optarg);
	default:
		return -1;
	}
}

/* CMD_USAGE, said, where no uzip is written whatever the image is. */
static int
take_uzip_args(struct commit_options *opt, const struct uzip_args *args)
{
	if (opt->raw != NULL && opt->out == NULL && opt->uzip == NULL &&
	    !opt->in_place && (uzip_args_for_uzip(args) || args->level_set))
		return cmd_misused(&cmd_commit,
		    "-A, -C, -s and -d are for uzips; --raw writes none");
	if (args->codec_set &&
	    uzip_args_check_level(args, &cmd_commit) != CMD_DONE)
		return CMD_USAGE;
	opt->codec = args->codec_set ? (int)args->params.codec : COMMIT_KEEP;
	opt->level_given = args->level_set;
	opt->level = args->params.level;
	opt->cluster = args->cluster_set ? args->params.cluster : 0;
	opt->dedup = args->params.dedup ? 1 : COMMIT_KEEP;
	opt->jobs = (unsigned)args->threads;
	return CMD_DONE;
}

static bool
is_same(const char *a, const char *b)
{
	return a != NULL && b != NULL && outfile_same(a, b);
}

static int
check(const struct commit_options *opt)
{
	if (opt->out == NULL && !opt->in_place && opt->uzip == NULL &&
	    opt->raw == NULL)
		return cmd_misused(&cmd_commit,
		    "where to? -o OUT, --in-place, --uzip OUT or --raw OUT");
	if (opt->out != NULL && opt->in_place)
		return cmd_misused(
		    &cmd_commit, "-o and --in-place exclude each other");
	if (is_same(opt->out, opt->uzip) || is_same(opt->out, opt->raw) ||
	    is_same(opt->uzip, opt->raw))
		return cmd_misused(
		    &cmd_commit, "two outputs cannot be one file");
	return CMD_DONE;
}

static int
run(int argc, char **argv)
{
	struct commit_options opt = {.codec = COMMIT_KEEP};
	struct uzip_args args = {.params = {.cluster = 0}};
	int c, bad;

	while ((c = cmd_option(
		    &cmd_commit, argc, argv, "o:A:C:s:dj:", longs)) != -1) {
		bad = take_option(&opt, c);
		if (bad < 0)
			bad = uzip_args_set(&args, &cmd_commit, c, optarg);
		if (bad != CMD_DONE)
			return bad;
	}
	if (!cmd_operands(&cmd_commit, argc, argv, 1, 1))
		return CMD_USAGE;
	opt.address = argv[optind];
	bad = take_uzip_args(&opt, &args);
	if (bad == CMD_DONE)
		bad = check(&opt);
	return bad != CMD_DONE ? bad : cmd_exit(commit_run(&opt));
}

const struct command cmd_commit = {
    .name = "commit",
    .summary = "write the edited image: an ISO, a uzip or a raw image",
    .usage = usage,
    .run = run,
};
