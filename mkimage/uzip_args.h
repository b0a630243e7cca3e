/* mkuzip's option letters, for `relive uzip` and `relive commit`. */
#ifndef UZIP_ARGS_H
#define UZIP_ARGS_H

#include "../imgfmt/uzip.h"
#include "cmd.h"

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

#endif
