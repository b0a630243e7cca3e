/* A tree as an archive within a tree: an installation archive on a CD. */
#ifndef TREE_TAR_H
#define TREE_TAR_H

#include "tree.h"

/*
 * Whether name ends as an archive that tree_archive writes: .tar, .tgz, .txz,
 * .tbz2, .tbz, .tzst, .tar.gz, .tar.xz, .tar.bz2, .tar.zst.
 */
bool tree_tar_is_name(const char *name);

/*
 * Write all of from as a tar (pax) into the scratch file of to, compressed as
 * the end of path says, and enter it there as path, 0644 of root.  Owners,
 * modes, flags, times, hard links, devices, holes and extended attributes
 * arrive, but for a birth later than the last change; the same tree gives the
 * same bytes.  Sockets are left out, with a warning.  reader is from's; from
 * and to may be one tree.  Errors said; -EINTR; to is then as it was.
 */
MUST_CHECK int tree_archive(const struct tree *from, struct tree_reader *reader,
    struct tree *to, const char *path);

#endif
