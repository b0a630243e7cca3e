/*
 * Convert: an image's tree, or a session's, laid out afresh (DESIGN.md 6: a
 * commit copies, convert compacts).
 */
#ifndef CONVERT_H
#define CONVERT_H

#include "iso_args.h"

struct convert_options {
	const char *address;     /* of the image, its session, or a mount */
	const char *session_dir; /* of --session, or NULL */
	const char *out;
	/* What was asked for; the rest is as the image has it.  No format:
	 * out is what the image's container is. */
	struct fs_args fs;
	struct uzip_args uzip;
	struct iso_args iso; /* with --layout: a new ISO in that layout */
	const char *order;   /* a list of files that lie first, or NULL */
};

/*
 * Do it.  Errors are said; then there is no output file.  -ECORRUPT: what is
 * to be converted is damaged.
 */
MUST_CHECK int convert_run(const struct convert_options *opt);

/* The format that out's name asks for; BY_NAME: none. */
enum create_format convert_format_of(const char *out);

#endif
