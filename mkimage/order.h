/* `--order LIST`: files in the order in which they are read at boot. */
#ifndef ORDER_H
#define ORDER_H

#include "tree.h"

struct order {
	char **paths; /* in plain form */
	size_t n;
};

struct order_file {
	const char *path; /* the order's */
	const struct tree_node *node;
};

/*
 * The paths of list, a file of the host or "-" for standard input: one a line,
 * a slash in front or none; blank lines and those that begin with '#' do not
 * count.  Errors said.  *out wants order_release in any case.
 */
MUST_CHECK int order_read(const char *list, struct order *out);
void order_release(struct order *order);

/*
 * The regular files of the tree that order names, each once, in that order:
 * *n of them in *files, to be freed in any case.  Names of directories and of
 * links stand for nothing.  What is not in the tree is counted and told in one
 * warning.  -ENOMEM.
 */
MUST_CHECK int order_find(const struct order *order, const struct tree *t,
    struct order_file **files, size_t *n);

#endif
