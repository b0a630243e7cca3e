/* User and group names of the system that a tree holds, as numbers. */
#ifndef TREE_IDS_H
#define TREE_IDS_H

#include "tree.h"

enum tree_id_kind { TREE_USER, TREE_GROUP };

/*
 * The number of user or group name: by the tree's own etc/master.passwd,
 * etc/passwd or etc/group, else by those that every FreeBSD has.  -ENOENT;
 * others from reading the tree, said.
 */
MUST_CHECK int tree_id(const struct tree *t, enum tree_id_kind kind,
    const char *name, uint32_t *out);

/* The whole text of a regular file, up to 1 MiB, with a NUL; freed by the
 * caller.  -EFBIG; others of tree_read. */
MUST_CHECK int tree_text(
    const struct tree *t, const struct tree_node *node, char **out);

#endif
