/*
 * Writing an ISO whose own tree was edited, without rebuilding it: what is new
 * or changed goes to the end, and so do directories and path tables that no
 * longer fit where they are.  Nothing else moves, and what is not edited keeps
 * its bytes.
 */
#ifndef ISO_EDIT_H
#define ISO_EDIT_H

#include "iso.h"

/*
 * A file, directory or other node of the tree that is wanted, all of which the
 * caller describes.
 */
struct iso_edit_node {
	struct iso_edit_node *child, *next; /* first one of; beside */
	char *name;
	/* The record of the old ISO whose data (a directory's: entries) this
	 * is, as iso_node's record_off; 0: none, it is new. */
	uint64_t record;
	uint32_t mode, uid, gid;
	uint32_t rdev_major, rdev_minor;
	struct timespec mtime;
	uint64_t size;            /* of new regular files */
	char *target;             /* of symbolic links */
	uint64_t id;              /* the caller's, for read */
	struct iso_edit_own *own; /* private to iso_edit*.c */
};

/* An empty node, to be freed by iso_edit_free; NULL: no memory. */
struct iso_edit_node *iso_edit_new(const char *name);
/* Free a node with all below it. */
void iso_edit_free(struct iso_edit_node *node);

struct iso_edit_source {
	/* As ufs_read: len bytes of new regular file id, less only at its end.
	 */
	int64_t (*read)(
	    void *arg, uint64_t id, uint64_t off, void *buf, size_t len);
	void *arg;
};

enum iso_edit_change { ISO_EDIT_ADDED, ISO_EDIT_CHANGED, ISO_EDIT_REMOVED };

/*
 * What forbids editing the tree, in words; NULL: nothing.  *rc is -errno when
 * that cannot be found out.
 */
const char *iso_edit_why_not(struct iso *iso, int *rc);

/*
 * Whether an entry may be called so: 1; 0: an ISO without Rock Ridge has no
 * such names.  -errno.
 */
MUST_CHECK int iso_edit_name_fits(
    struct iso *iso, const char *name, bool is_dir);

/*
 * Whether a symbolic link of any name may have that target: FreeBSD follows
 * none of 1024 bytes, and libisofs reads no ISO with one.
 */
bool iso_edit_target_fits(const char *target);

/*
 * Call each for what root (the tree that is wanted) changes, parents before
 * what is in them.  path has no leading '/'; a directory's ends in one.  A
 * non-zero answer stops and is returned.
 */
MUST_CHECK int iso_edit_changes(struct iso *iso, struct iso_edit_node *root,
    int (*each)(void *arg, enum iso_edit_change change, const char *path),
    void *arg);

/*
 * Write the ISO with that tree to out, an empty resizable device.  El Torito,
 * boot information tables and partitions follow boot images: what lies at the
 * path of one boots; that nothing does is warned of.  -ENOTSUP, said: it cannot
 * be edited.  -EFBIG, said: a file of 4 GiB or more (trap 73).
 */
MUST_CHECK int iso_edit_write(struct iso *iso, struct iso_edit_node *root,
    const struct iso_edit_source *source, struct blkdev *out);

#endif
