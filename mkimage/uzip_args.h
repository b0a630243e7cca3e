/* mkuzip's option letters, for `relive uzip` and `relive commit`. */
#ifndef UZIP_ARGS_H
#define UZIP_ARGS_H

#include "../imgfmt/uzip.h"
#include "cmd.h"

/* For a command's option letters, and its array of long options. */
#define UZIP_ARGS_SHORTS "A:C:Ls:dZj:"
/* clang-format off */
#define UZIP_ARGS_LONGS \
	{"algorithm", required_argument, NULL, 'A'}, \
	{"level", required_argument, NULL, 'C'}, \
	{"lzma", no_argument, NULL, 'L'}, \
	{"cluster", required_argument, NULL, 's'}, \
	{"dedup", no_argument, NULL, 'd'}, \
	{"keep-zeroes", no_argument, NULL, 'Z'}, \
	{"threads", required_argument, NULL, 'j'}
/* clang-format on */

struct uzip_args {
	struct uzip_params params;
	long threads;                           /* 0: one a processor */
	bool codec_set, level_set, cluster_set; /* by the user */
};

/*
 * Take option letter c (of A C L s d Z j) with its value.  CMD_DONE, or
 * CMD_USAGE, said.
 */
int uzip_args_set(struct uzip_args *args, const struct command *cmd, int c,
    const char *value);

/* The level must be one of the algorithm's.  CMD_DONE, or CMD_USAGE, said. */
int uzip_args_check_level(
    const struct uzip_args *args, const struct command *cmd);

/* Whether any was given that only a uzip has a use for; not -C and -j. */
static inline bool
uzip_args_for_uzip(const struct uzip_args *args)
{
	return args->codec_set || args->cluster_set || args->params.dedup ||
	    args->params.keep_zeroes;
}

#endif
