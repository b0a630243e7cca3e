/* Files of a tree as devices, and files that the loader inflates. */
#ifndef TREE_GZIP_H
#define TREE_GZIP_H

#include "../imgfmt/blkdev.h"
#include "tree.h"

/* The contents of a regular file as a read-only device, which borrows both. */
MUST_CHECK int tree_dev_open(struct tree_reader *reader,
    const struct tree_node *node, struct blkdev **out);

/*
 * Put the regular file at path, compressed at level 1..9, as path.gz in its
 * place, with its attributes: with both there, the loader would take the plain
 * one (formats.md, trap 72).  Other names of the file stay as they are.
 * Nothing to do where there is only path.gz.  The contents go to the scratch
 * file.  -ENOENT, said: neither is there; others said.
 */
MUST_CHECK int tree_gzip(struct tree *t, const char *path, int level);

#endif
