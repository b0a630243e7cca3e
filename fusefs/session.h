/*
 * A session: what belongs to one edited image.  It is a folder, IMAGE.relive/
 * beside the image or the one that --session names:
 *
 *	lock           held (flock) by the one process that writes
 *	base           text: the address and identity of the base
 *	NAME.overlay   the overlay of the image NAME ("image" for an address
 *	               without inner path, else the path with '/' as '%';
 *	               ":iso" for the ISO's own tree, ISOTREE.md)
 *	NAME.HASH.inflated  a .gz base, inflated once; HASH is of the .gz
 *	mount          text: pid and mount point, while mounted
 *
 * Opened, it is the whole stack: image - overlay - cache - ufs; the last one
 * only where the file system is a UFS and its tree, not the device, is wanted.
 */
#ifndef SESSION_H
#define SESSION_H

#include "../imgfmt/ufs.h"
#include "image.h"
#include "overlay.h"

enum session_mode {
	SESSION_WRITE,    /* take the lock, create what is missing */
	SESSION_SNAPSHOT, /* read the last flushed state, beside a writer */
	SESSION_BASE,     /* the image alone, no session looked at */
};

/* What the image must hold, and what is opened on top. */
enum session_content {
	SESSION_UFS,    /* a UFS: ->fs */
	SESSION_ANY,    /* anything: ->fs where it is a UFS, else NULL */
	SESSION_DEVICE, /* anything, edited as a device: ->fs is NULL */
	SESSION_ISO,    /* an ISO, whose own tree is staged in ->fs */
};

struct session_options {
	enum session_mode mode;
	enum session_content content;
	const char *dir; /* of --session, or NULL */
	/* --size: how large the file system may grow; 0: base + 4 GiB
	 * (DESIGN.md 6).  Of a device that is written: how large it is made at
	 * least, with the UFS in it; 0: as it is. */
	uint64_t size_limit;
	bool wait; /* for an umount under way, up to 10 s: a writer for the
		      lock, a snapshot for the last flush */
	/* Another session of the same folder, open for the same: its lock holds
	 * for this one too.  NULL: none. */
	const struct session *beside;
	/* All of an ISO is meant: where it holds several system images and none
	 * is named, the session is of the one that was edited first, or of the
	 * first one; see session_others. */
	bool whole;
	struct image_options image;
};

struct session {
	char *dir; /* the session folder */
	struct image *image;
	struct overlay_id id;   /* of the base */
	struct blkdev *overlay; /* or NULL: SESSION_BASE, or nothing edited */
	struct blkdev *cache;   /* top of the devices; owned by fs if any */
	enum image_kind kind;   /* what cache holds */
	struct ufs *fs;         /* or NULL, see enum session_content */
	char *name;  /* of this image's files in the folder, without suffix */
	int folder;  /* fd of dir, or -1 */
	int lock;    /* fd or -1 */
	bool exists; /* there is an overlay with at least one transaction */
};

/*
 * Open the stack for address, which may also be a session folder
 * (IMAGE.relive) or a mount point of ours (found through /proc/mounts and the
 * session's "mount" file).
 * SESSION_WRITE: -EBUSY, said with pid and mount point, when another process
 *   holds it; -EROFS, said why, when the file system must not be written;
 *   -EACCES and -EROFS of the folder, said, with --session as the advice.
 * SESSION_SNAPSHOT: the snapshot lies in a scratch cache, the orphans of its
 *   note already freed, metadata in step (ufs_sync_to_device): what
 *   blkdev_next_change of ->cache tells is what a commit must write.  With no
 *   session it shows the base.
 * A base whose identity is the one that an in-place commit recorded has been
 * committed: then the overlay is dropped first.
 * -ESTALE, said: the session belongs to another image.
 */
MUST_CHECK int session_open(const char *address,
    const struct session_options *options, struct session **out);

/*
 * Close without flushing.  Lock released last.  NULL is fine.
 */
void session_close(struct session *session);

static inline void
session_closep(struct session **session)
{
	session_close(*session);
}

/* ufs_flush, or where there is no fs, blkdev_flush of the cache. */
MUST_CHECK int session_flush(struct session *session);

/* Flush, then leave the overlay's index (overlay_finish).  Writers only. */
MUST_CHECK int session_finish(struct session *session);

/*
 * Remove the session's files of address, or the whole folder when nothing of
 * another image is in it.  -EBUSY, said: mounted.  -ENOENT: there is none.
 */
MUST_CHECK int session_discard(const char *address, const char *dir);

/*
 * Whether the session beside the image at path has edits: 1; 0: not, or it is
 * the one in but (a real path, or NULL).  What cannot be read counts as edited.
 */
MUST_CHECK int session_beside(const char *path, const char *but);

/*
 * Where address is mounted read-write at present, and not privately: 1, the
 * mount point in buf; 0: nowhere.  -errno, said where address leads nowhere.
 */
MUST_CHECK int session_mounted_at(
    const char *address, const char *dir, char *buf, size_t len);

/*
 * If address is mounted, let everything written there reach the overlay, as a
 * finished transaction: 1; 0: not mounted.  -errno, said.
 */
MUST_CHECK int session_sync_mount(const char *address, const char *dir);

/*
 * Write and remove the "mount" file: the mount point, for who finds the
 * session locked; private: in a namespace of the daemon's, so that nobody can
 * flush it from outside.  why, when not NULL, stays in the file instead: the
 * last flush failed, and what was not confirmed is lost.
 */
MUST_CHECK int session_mark_mounted(
    const struct session *session, const char *mount_point, bool private);
void session_mark_unmounted(const struct session *session, const char *why);

/*
 * The address of what is mounted at dir, the last one if several are, into
 * buf: what the mount calls itself.  -ENOENT: no mount of ours.
 */
MUST_CHECK int session_mount_source(
    const char *dir, char target[PATH_MAX], char *buf, size_t len);

/* A daemon that is about to end. */
struct session_watch {
	int folder; /* fd */
	long pid;
};

/*
 * Look at the writer that serves address at mount_point, before unmounting
 * it.  -ENOENT: there is none (a read-only mount).
 */
MUST_CHECK int session_watch(
    const char *address, const char *mount_point, struct session_watch *out);
/*
 * Wait until it has released the session.  -EIO, said: its last flush failed.
 */
MUST_CHECK int session_watch_end(struct session_watch *watch);

/*
 * For commit --in-place: whether no image was edited that lies within session's
 * or has it within, whose edits would lose their base.  0; -EBUSY, said.
 */
MUST_CHECK int session_check_nested(const struct session *session);

/*
 * For commit --in-place, with the lock held: record durably that the base
 * will be the file at path (the finished new image), so that a crash between
 * here and the rename loses nothing.  whole: everything of the session was
 * committed, else session's image alone.
 */
MUST_CHECK int session_record_successor(
    struct session *session, const char *path, bool whole);
/* After the rename: drop the overlays of what has been committed. */
MUST_CHECK int session_drop_overlay(struct session *session, bool whole);

/*
 * Further images of the session that were edited: call each with the address
 * of one at a time, other than session's.  A non-zero answer stops and is
 * returned.
 */
MUST_CHECK int session_others(const struct session *session,
    int (*each)(void *arg, const char *address), void *arg);
/* Whether the ISO's own tree has a staging area in the session's folder. */
bool session_has_iso(const struct session *session);

/* -- the ISO's own tree (ISOTREE.md); sessions of SESSION_ISO -------------- */

struct iso_edit_node;

/*
 * Where in the ISO inode ino comes from: 1: *out, with which it still shares
 * its data; 0: it is new, or was written to.
 */
MUST_CHECK int session_iso_origin(
    const struct session *session, uint64_t ino, struct iso_node *out);

/* The data of such a file; as ufs_read. */
MUST_CHECK int64_t session_iso_read(const struct session *session,
    const struct iso_node *node, uint64_t off, void *buf, size_t len);

/*
 * Before inode ino is written to or changes its size: take its data over, the
 * first most bytes of it, which is its size then if it had more.  -EPERM: an
 * image, which is edited as such.
 */
MUST_CHECK int session_iso_lift(
    struct session *session, uint64_t ino, uint64_t most);

/* The tree as iso_edit.h wants it; ids are inodes.  iso_edit_free it. */
MUST_CHECK int session_iso_tree(
    const struct session *session, struct iso_edit_node **out);

/* The identity of an open image (DESIGN.md 6, "Base identity"). */
MUST_CHECK int session_identity(
    const struct image *image, struct overlay_id *out);

#endif
