/* `--order LIST`: files in the order in which they are read at boot. */
#ifndef ORDER_H
#define ORDER_H

#include "tree.h"

struct order {
	char **paths; /* in plain form */
	size_t n, room;
};

/*
 * The paths of list, a file of the host or "-" for standard input: one a line,
 * a slash in front or none; blank lines and those that begin with '#' do not
 * count.  Errors said.  *out wants order_release in any case.
 */
MUST_CHECK int order_read(const char *list, struct order *out);
void order_release(struct order *order);

/*
 * What of order t has: paths of regular files, each file once, path.gz where
 * only that is there, as the loader would read it.  Names of directories and
 * of links stand for nothing.  -ENOMEM.  *out wants order_release in any case.
 */
MUST_CHECK int order_of_tree(
    const struct order *order, const struct tree *t, struct order *out);

/* Warn, once, of paths that neither t nor other, which may be NULL, has. */
void order_tell_missing(
    const struct order *order, const struct tree *t, const struct tree *other);

#endif
