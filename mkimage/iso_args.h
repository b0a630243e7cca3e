/*
 * Options of a new ISO, for `relive create` and `relive convert`; those of the
 * image in it are in fs_args.h.
 */
#ifndef ISO_ARGS_H
#define ISO_ARGS_H

#include "cmd.h"
#include "fs_args.h"
#include "layout.h"

enum iso_option {
	ISO_LAYOUT = CMD_LONG + 512,
	ISO_VOLUME_SET,
	ISO_PUBLISHER,
	ISO_NO_TWEAK,
	ISO_TRIM,
	ISO_GZIP_KERNEL,
	ISO_ARCHIVE,
};

/* For a command's array of long options. */
/* clang-format off */
#define ISO_ARGS_LONGS \
	{"layout", required_argument, NULL, ISO_LAYOUT}, \
	{"volume-set", required_argument, NULL, ISO_VOLUME_SET}, \
	{"publisher", required_argument, NULL, ISO_PUBLISHER}, \
	{"no-tweak", no_argument, NULL, ISO_NO_TWEAK}, \
	{"trim", no_argument, NULL, ISO_TRIM}, \
	{"gzip-kernel", no_argument, NULL, ISO_GZIP_KERNEL}, \
	{"archive", required_argument, NULL, ISO_ARCHIVE}
/* clang-format on */

struct iso_args {
	struct layout_options layout;
	bool layout_set, set; /* --layout, any other of them, was given */
	char *archive;        /* private: what the names in it are part of */
};

/* Take option c with its value.  CMD_DONE; CMD_USAGE, said; -1: not ours. */
int iso_args_set(
    struct iso_args *args, const struct command *cmd, int c, const char *value);

/*
 * What only all options together tell: fs, for the image, has format ISO where
 * --layout was given, and the label of an ISO is taken from it.  out is the
 * output's name.  CMD_DONE; CMD_USAGE, said.
 */
int iso_args_check(struct iso_args *args, struct fs_args *fs,
    const struct uzip_args *uzip, const struct command *cmd, const char *out);
void iso_args_release(struct iso_args *args);

#endif
