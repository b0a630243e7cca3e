/*
 * What a session changed, and what a commit would cost.  The counts come from
 * comparing the inodes in changed blocks with the base's: their cost follows
 * the edit.  Names want a walk over both trees.
 */
#ifndef STATUS_H
#define STATUS_H

#include "../fusefs/session.h"
#include "plan.h"

struct status_counts {
	uint64_t added, changed, removed;
};

struct status {
	bool has_files;             /* the two below: a UFS, before and now */
	struct status_counts files; /* anything but directories */
	struct status_counts dirs;
	uint64_t written_bytes, trimmed_bytes; /* of the device */
	uint64_t overlay_bytes;                /* of the overlay file */
	uint32_t cluster;     /* bytes; 0: the base is no uzip */
	uint64_t clusters[3]; /* by enum plan_kind */
	uint64_t base_bytes;  /* of the image before */
	bool has_guess;
	uint64_t guess_bytes; /* and about after a commit */
	uint64_t grown;       /* bytes the file system grew by */
};

/* Compute them; session is a snapshot (session.h).  Errors as the layers'. */
MUST_CHECK int status_compute(struct session *session, struct status *out);

enum status_change { STATUS_ADDED, STATUS_CHANGED, STATUS_REMOVED };

/*
 * Call each for every path that differs from the base, parents before what is
 * in them.  path has no leading '/'; a directory's ends in one.  A non-zero
 * answer stops and is returned.
 */
MUST_CHECK int status_walk(struct session *session,
    int (*each)(void *arg, enum status_change change, const char *path),
    void *arg);

/* The base's file system, read-only, beside the session's.  ufs_close it. */
MUST_CHECK int status_open_base(struct session *session, struct ufs **out);

/* Whether two looks at an inode show the same file, unchanged. */
bool status_same(const struct ufs_attr *a, const struct ufs_attr *b);

#endif
