/*
 * Private to ufs_name.c and ufs_rename.c: what both do with names.
 * The lock is held exclusively.
 */
#ifndef UFS_NAME_H
#define UFS_NAME_H

#include "ufs_impl.h"

enum { UFS_DT_WHT = 14 };

/* What is found where a name is to be. */
enum { UFS_NAME_FREE, UFS_NAME_WHITEOUT, UFS_NAME_TAKEN };

static inline uint8_t
ufs_type_of(const struct ufs_node *node)
{
	return (uint8_t)(node->d.mode >> 12 & 15);
}

/*
 * One of the three above; *slot holds the entry unless it is FREE.  -ENOTDIR,
 * -ENOENT (dir is unlinked), -EINVAL, -ENAMETOOLONG.
 */
MUST_CHECK int ufs_name_target(struct ufs *fs, struct ufs_node *dir,
    const char *name, size_t len, struct ufs_slot *slot);

/* Let name, found in that state at slot, mean node.  Errors: unchanged. */
MUST_CHECK int ufs_name_enter(struct ufs *fs, struct ufs_node *dir,
    const struct ufs_name *name, int state, const struct ufs_slot *slot,
    const struct ufs_node *node);

/*
 * The node has lost that many links.  It goes with the last one unless it is
 * pinned.  Gives the reference back in any case.
 */
MUST_CHECK int ufs_name_drop(
    struct ufs *fs, struct ufs_node *node, uint32_t links);

/*
 * Whether a name of node may be removed, as one of a directory or of anything
 * else: -ENOTDIR, -EISDIR, -ENOTEMPTY, -EBUSY (the root); -ECORRUPT when the
 * inode, or its blocks, which would go with it now, could not be freed.
 */
MUST_CHECK int ufs_name_may_go(
    struct ufs *fs, struct ufs_node *node, bool is_dir);

#endif
