/*
 * Options of a new image, for `relive create` and `relive convert`: the file
 * system's, and the form it is written in.  What mkuzip has letters for is in
 * uzip_args.h.
 */
#ifndef FS_ARGS_H
#define FS_ARGS_H

#include "cmd.h"
#include "create.h"
#include "uzip_args.h"

enum fs_option {
	FS_FORMAT = CMD_LONG + 256,
	FS_UFS,
	FS_BYTE_ORDER,
	FS_BLOCK,
	FS_FRAG,
	FS_DENSITY,
	FS_MINFREE,
	FS_LABEL,
	FS_FREE,
	FS_SIZE,
	FS_NO_HASHES,
};

/* For a command's array of long options. */
/* clang-format off */
#define FS_ARGS_LONGS \
	{"format", required_argument, NULL, FS_FORMAT}, \
	{"ufs", required_argument, NULL, FS_UFS}, \
	{"byte-order", required_argument, NULL, FS_BYTE_ORDER}, \
	{"block", required_argument, NULL, FS_BLOCK}, \
	{"frag", required_argument, NULL, FS_FRAG}, \
	{"density", required_argument, NULL, FS_DENSITY}, \
	{"minfree", required_argument, NULL, FS_MINFREE}, \
	{"label", required_argument, NULL, FS_LABEL}, \
	{"free", required_argument, NULL, FS_FREE}, \
	{"size", required_argument, NULL, FS_SIZE}, \
	{"no-check-hashes", no_argument, NULL, FS_NO_HASHES}
/* clang-format on */

struct fs_args {
	struct create_fs_options fs;
	bool order_set, minfree_set, free_set, hashes_set; /* by the user */
};

/* Take option c with its value.  CMD_DONE; CMD_USAGE, said; -1: not ours. */
int fs_args_set(
    struct fs_args *args, const struct command *cmd, int c, const char *value);

/*
 * What only all options together tell, for an image in that format: take the
 * values of uzip, let fragments be an eighth of a given block.  CMD_DONE;
 * CMD_USAGE, said.
 */
int fs_args_check(struct fs_args *args, const struct uzip_args *uzip,
    const struct command *cmd, enum create_format format);

#endif
