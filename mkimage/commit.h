/*
 * Commit: the merged device of a session becomes a new image, in a new
 * container of the base's kind (DESIGN.md 6, "Commit").
 */
#ifndef COMMIT_H
#define COMMIT_H

#include "../imgfmt/uzip.h"

enum { COMMIT_KEEP = -1 }; /* for codec and dedup: as the base has it */

struct session;

struct commit_options {
	const char *address;     /* of the image, its session, or a mount */
	const char *session_dir; /* of --session, or NULL */
	/* At least one of the four. */
	const char *out;  /* what the base is: ISO, uzip, raw, gz, disk */
	bool in_place;    /* the same, replacing the base */
	const char *uzip; /* the image alone, as a uzip */
	const char *raw;  /* the image alone, uncompressed */

	bool verify_full; /* compare every copied byte */
	int codec;        /* enum uzip_codec or COMMIT_KEEP */
	bool level_given;
	int level;
	uint32_t cluster; /* 0: the base's; 16384 where it has none */
	int dedup;        /* 0, 1 or COMMIT_KEEP */
	unsigned jobs;    /* 0: one a processor */
};

/*
 * Do it.  Everything written to a live mount before the call is in the
 * result.  Output files appear whole or not at all.  Says what it did, unless
 * quiet.  -EBUSY, said: in_place while mounted.  -EFBIG, said: too large for
 * an ISO.  Others as they come, said.
 */
MUST_CHECK int commit_run(const struct commit_options *options);

/*
 * The habits of an open uzip, for one that takes its place: codec, letter,
 * version, level, cluster, preamble (which stays uzip's), and whether zero
 * clusters are stored (a base that stores all of them may have readers that
 * know no other: formats.md 1.8).
 */
MUST_CHECK int commit_uzip_habits(struct blkdev *uzip, struct uzip_params *out);

/*
 * What was edited as a device must hold a file system that was left cleanly;
 * session is a SESSION_SNAPSHOT of SESSION_ANY.  -EBUSY, said of address with
 * what helps.
 */
MUST_CHECK int commit_check_left(struct session *session, const char *address);

struct session;

/*
 * Warn where the session has changed the kernel of an image on an ISO: the
 * loader boots the one on the ISO.
 */
void commit_warn_kernel(struct session *s);

#endif
