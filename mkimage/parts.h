/*
 * What else of an ISO was edited in the session of one of its images: further
 * images, and the ISO's own tree.
 */
#ifndef PARTS_H
#define PARTS_H

#include "../fusefs/session.h"
#include "../imgfmt/iso_edit.h"

enum { PARTS_MAX = 64 };

struct parts {
	unsigned n;
	struct session *image[PARTS_MAX];
	char *path[PARTS_MAX];      /* of each on the ISO */
	struct session *iso;        /* or NULL: the tree was not edited */
	struct iso_edit_node *tree; /* as it is wanted */
	unsigned long changes[3];   /* by enum iso_edit_change */
};

/*
 * Open them, for commit and status: snapshots, or in place, with first's lock.
 * Those in which nothing was changed are left out.  -EINVAL: first holds what
 * relive knows nothing about, and was not edited.  Errors are said;
 * parts_close in any case.
 */
MUST_CHECK int parts_open(struct session *first,
    const struct session_options *how, struct parts *out);
void parts_close(struct parts *parts);

static inline bool
parts_any(const struct parts *parts)
{
	return parts->n > 0 || parts->iso != NULL;
}

#endif
