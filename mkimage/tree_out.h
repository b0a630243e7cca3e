/*
 * Write a tree that a view shows: into a directory or a tar, through
 * libarchive; hard links, holes, attributes and flags are kept where the
 * target can keep them, and counted where not.
 */
#ifndef TREE_OUT_H
#define TREE_OUT_H

#include "view.h"

/* What could not be done, in files. */
struct tree_out_counts {
	uint64_t files, bytes;
	uint64_t owners;  /* belong to us now, not to whom they should */
	uint64_t devices; /* device nodes not made */
	uint64_t flags;   /* chflags not set */
	uint64_t xattrs;
	uint64_t snapshots; /* of the file system, not copied */
	uint64_t failed;    /* said, one by one */
	uint64_t damaged;   /* of these: the image contradicts its format */
};

struct tree_out;

/* Into dir, which is made if need be; becomes the working directory. */
MUST_CHECK int tree_out_directory(const char *dir, struct tree_out **out);

/*
 * A tar to the open file fd, which stays the caller's; name decides about
 * compression (.gz .tgz .xz .txz .zst .tzst .bz2 .tbz .tbz2, else none).
 */
MUST_CHECK int tree_out_tar(int fd, const char *name, struct tree_out **out);

/* Whether path can be given to tree_out_add; errors said. */
MUST_CHECK int tree_out_check(struct view *v, const char *path);

/*
 * Write what path leads to, under its whole path (without the leading slash),
 * with all that is below it.  Faults of single files are said, counted and
 * passed over; an error means that it makes no sense to go on.
 */
MUST_CHECK int tree_out_add(
    struct tree_out *t, struct view *v, const char *path);

/* Finish; counts are then complete.  t stays to be freed. */
MUST_CHECK int tree_out_finish(
    struct tree_out *t, struct tree_out_counts *counts);
void tree_out_free(struct tree_out *t);

#endif
