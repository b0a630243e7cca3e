/* Paths inside a file system, resolved without mounting it. */
#ifndef PATH_H
#define PATH_H

#include "../imgfmt/ufs.h"

/*
 * The inode that path ("/" between names, a leading one is optional, "" is
 * the root) leads to.  Symbolic links on the way are followed inside the
 * image, ".." at the root stays there; a link at the end only with follow.
 * -ENOENT, -ENOTDIR, -ELOOP, -ENAMETOOLONG; others as ufs_lookup.
 */
MUST_CHECK int path_lookup(
    struct ufs *fs, const char *path, bool follow, struct ufs_attr *out);

#endif
