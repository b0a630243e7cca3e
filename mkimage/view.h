/*
 * A tree to look at without mounting: the UFS of an image or of a session, or
 * an ISO's own tree.  What ls, cat and extract stand on.
 */
#ifndef VIEW_H
#define VIEW_H

#include "../fusefs/session.h"

struct view_node {
	uint64_t id; /* same for two names of one file */
	uint32_t mode, nlink, uid, gid;
	uint32_t flags; /* chflags(1) */
	uint32_t rdev_major, rdev_minor;
	uint64_t size, blocks; /* blocks of 512 bytes held */
	struct timespec atime, mtime, ctime, birth;
	bool has_birth;
	struct iso_node iso; /* of an ISO's tree only */
	bool on_iso;         /* staged, and the data is still the ISO's */
};

struct view_entry {
	char *name;
	uint64_t ino;         /* UFS */
	struct iso_node *iso; /* of an ISO's tree only */
};

/* The entries of a directory without "." and "..", sorted by name. */
struct view_list {
	size_t n, room;
	struct view_entry *entry;
	size_t whiteouts; /* not among them */
	int rc;           /* private */
	bool is_iso;
};

struct view_options {
	const char *session; /* of --session, or NULL */
	bool iso;            /* the ISO's own tree, not its image's */
};

struct view {
	struct session *session; /* UFS, or the ISO's tree as it was edited */
	bool staged;             /* the latter */
	struct image *image;     /* ISO */
	struct ufs *fs;          /* either this */
	struct iso *iso;         /* or that */
};

/*
 * Open address: of an image the base, of a session folder or a mount, or with a
 * session, what it has become until now.  Errors are said.
 */
MUST_CHECK int view_open(
    const char *address, const struct view_options *options, struct view *v);
void view_close(struct view *v);

/* Whether address names a session or a mount, or one's part, not an image. */
bool view_is_session(const char *address);

/*
 * The session that shows address so; dir as of --session, or NULL.  Errors
 * are said.
 */
MUST_CHECK int view_session(
    const char *address, const char *dir, struct session **out);

/* As path_lookup of path.h, for both kinds of tree. */
MUST_CHECK int view_lookup(
    struct view *v, const char *path, bool follow, struct view_node *out);

/* The entries of dir; *list wants view_list_release in any case. */
MUST_CHECK int view_list(
    struct view *v, const struct view_node *dir, struct view_list *list);
void view_list_release(struct view_list *list);

/* The attributes of an entry. */
MUST_CHECK int view_get(
    struct view *v, const struct view_entry *entry, struct view_node *out);

/* As ufs_read: fewer than len only at the end of the file. */
MUST_CHECK int64_t view_read(struct view *v, const struct view_node *node,
    uint64_t off, void *buf, size_t len);

/* As ufs_seek: the first data or hole at or after off. */
MUST_CHECK int64_t view_seek(
    struct view *v, const struct view_node *node, uint64_t off, bool data);

/* The device that view_map's places are on; v's. */
struct blkdev *view_device(const struct view *v);

/*
 * As ufs_map: where the stretch of a regular file that begins at byte off
 * lies.  -ENOTSUP: a file of an ISO that is not in one piece, or was staged.
 */
MUST_CHECK int view_map(struct view *v, const struct view_node *node,
    uint64_t off, struct ufs_run *out);

/* Target of a symbolic link, with a NUL; its length. */
MUST_CHECK int64_t view_readlink(
    struct view *v, const struct view_node *node, char *buf, size_t len);

/* Takes len bytes that lie at off; negative stops. */
typedef int view_put(void *arg, uint64_t off, const void *buf, size_t len);

/*
 * Give all of a regular file's bytes to put; the first error of either.
 */
MUST_CHECK int view_copy(
    struct view *v, const struct view_node *node, view_put *put, void *arg);

/* One extended attribute; space is UFS_EA_USER or UFS_EA_SYSTEM. */
typedef int view_xattr(void *arg, enum ufs_ea_space space, const char *name,
    const void *value, size_t len);

/*
 * Give every extended attribute of node to each; a non-zero answer stops and
 * is returned.  UFS1 and ISO have none.
 */
MUST_CHECK int view_xattrs(
    struct view *v, const struct view_node *node, view_xattr *each, void *arg);

#endif
