/*
 * The UFS engine: UFS1 and UFS2, either byte order, over a block device
 * (formats.md 2).  It knows inodes and names, not paths, not users: who may
 * do what is the front end's business.
 *
 * Crash safety: none of its own.  An operation changes the device, which
 * should be a blkdev_cache; ufs_flush makes all finished operations durable
 * at once and leaves a clean file system.
 *
 * Threads: every function locks for itself; readers run in parallel, a writer
 * runs alone.  Offsets and sizes are bytes; ino is a UFS inode number, the
 * root is UFS_ROOT.
 *
 * Errors that any function may give: -EIO or -ECORRUPT (the image contradicts
 * formats.md 2; said once, with its place), -ENOMEM, -ESTALE (no such inode).
 * Any that changes something: -EROFS, -ENOSPC (full, and growing is not
 * possible), -EDQUOT never.
 */
#ifndef UFS_H
#define UFS_H

#include <time.h>

#include "blkdev.h"

enum {
	UFS_ROOT = 2,
	UFS_NAME_MAX = 255,
	UFS_WHITEOUT_INO = 1, /* of a whiteout directory entry */
};

/* Name spaces of extended attributes (formats.md 2.10). */
enum ufs_ea_space { UFS_EA_USER = 1, UFS_EA_SYSTEM = 2 };

/* di_flags that the engine itself looks at (formats.md 2.8). */
enum {
	UFS_FLAG_UIMMUTABLE = 0x2,
	UFS_FLAG_UAPPEND = 0x4,
	UFS_FLAG_UNOUNLINK = 0x10,
	UFS_FLAG_SIMMUTABLE = 0x20000,
	UFS_FLAG_SAPPEND = 0x40000,
	UFS_FLAG_SNOUNLINK = 0x100000,
	UFS_FLAG_SNAPSHOT = 0x200000,
};

/*
 * fs_flags (formats.md 2.11) that tell how files are to be treated, not what
 * state the file system is in: soft updates, ACLs of POSIX.1e and NFSv4,
 * labels, TRIM.
 */
enum { UFS_TREATMENT_FLAGS = 0x002 | 0x010 | 0x020 | 0x100 | 0x400 };

struct ufs;

struct ufs_attr {
	uint64_t ino;
	uint32_t gen;  /* differs each time the number is used again */
	uint32_t mode; /* type and permissions, as in struct stat */
	uint32_t nlink, uid, gid;
	uint32_t flags; /* chflags(1) */
	uint64_t size;
	uint64_t blocks;                 /* held, of 512 bytes */
	uint32_t rdev_major, rdev_minor; /* devices only */
	struct timespec atime, mtime, ctime;
	struct timespec birth; /* UFS2; else the earliest of the others */
};

struct ufs_options {
	bool writable;
	/* How large the device may become by automatic growth; 0: not at all
	 * beyond its size. */
	uint64_t size_limit;
	/*
	 * Called by ufs_flush, with writers kept out, just before the device
	 * is flushed: the inodes that are unlinked but still pinned.
	 */
	int (*before_flush)(void *arg, const uint64_t *orphans, size_t n);
	void *arg;
};

/*
 * Open the file system on dev.  On success *out owns dev; on error the caller
 * still does.  For writing it must be clean: -EROFS, said why, where it needs
 * fsck, has snapshots, unknown flags or a dialect that we only read.
 * -EINVAL: no UFS superblock.  -ECORRUPT, said: one that fails the checks of
 * formats.md 2.12 on which our safety depends.
 */
MUST_CHECK int ufs_open(
    struct blkdev *dev, const struct ufs_options *options, struct ufs **out);

/* Does not flush.  NULL is fine. */
void ufs_close(struct ufs *fs);

/* 1 when dev holds a UFS superblock in one of the known places, 0, -errno. */
MUST_CHECK int ufs_probe(struct blkdev *dev);

/*
 * Bring summaries, cylinder groups and superblock up to date on the device,
 * call before_flush, flush the device.  0 when everything done before the
 * call is durable.  -ENOSPC: the device below is full; nothing is lost.
 */
MUST_CHECK int ufs_flush(struct ufs *fs);

/* As ufs_flush, but leaves it on the device unflushed, for scratch layers. */
MUST_CHECK int ufs_sync_to_device(struct ufs *fs);

/* The time that changes get: SOURCE_DATE_EPOCH where that is set, else now. */
struct timespec ufs_now(void);

/* Facts about the file system as a whole. */
struct ufs_info {
	int version; /* 1 or 2 */
	bool big_endian;
	uint32_t block_size, frag_size;
	uint32_t ncg, inodes_per_group, frags_per_group;
	uint64_t size;  /* bytes of the file system, at most the device's */
	uint64_t data;  /* bytes that files can use, all in all */
	uint64_t free;  /* bytes free, also those kept back by minfree */
	uint64_t avail; /* bytes free beyond minfree; 0 where less */
	uint64_t inodes, free_inodes; /* without inodes 0 and 1 */
	uint64_t directories;
	uint64_t growable; /* bytes that automatic growth could add */
	char label[33];
	uint32_t id[2];
	bool clean; /* fs_clean is 1 and no flag asks for fsck */
	uint32_t flags, metackhash; /* formats.md 2.11 */
	uint32_t minfree;           /* percent */
	bool suj, softdep, snapshots;
	bool acls, nfs4_acls;    /* which access control lists are obeyed */
	uint64_t superblock_off; /* bytes */
	int64_t time, mtime;
	const char *read_only_why; /* NULL, or why writing is refused */
};
void ufs_info(struct ufs *fs, struct ufs_info *out);

/* -- looking ------------------------------------------------------------ */

MUST_CHECK int ufs_getattr(struct ufs *fs, uint64_t ino, struct ufs_attr *out);

/*
 * Find name (len bytes) in directory dir; also "." and "..".  Whiteouts are
 * not found.  -ENOENT, -ENOTDIR, -ENAMETOOLONG.
 */
MUST_CHECK int ufs_lookup(struct ufs *fs, uint64_t dir, const char *name,
    size_t len, struct ufs_attr *out);

struct ufs_dirent {
	uint64_t off; /* in the directory, bytes: it never moves */
	uint64_t ino;
	uint8_t type; /* DT_*, as in <dirent.h>; 14 is a whiteout */
	uint16_t namelen;
	char name[UFS_NAME_MAX + 1]; /* and a NUL */
};

/*
 * Call each for every entry of dir at or past byte from of it, also ".", ".."
 * and whiteouts, in order of their place.  The directory does not change
 * meanwhile: each must not call the engine.  Between two calls it may: what
 * was neither added nor removed is where it was.  A non-zero answer stops and
 * is returned.  -ENOTDIR.
 */
MUST_CHECK int ufs_readdir(struct ufs *fs, uint64_t dir, uint64_t from,
    int (*each)(void *arg, const struct ufs_dirent *entry), void *arg);

/*
 * Read up to len bytes at off of a regular file (or directory); the number
 * read, less than len only at the end of the file.  Does not change atime.
 * -EISDIR never; -EINVAL: not a file with data.
 */
MUST_CHECK int64_t ufs_read(
    struct ufs *fs, uint64_t ino, uint64_t off, void *buf, size_t len);

/* Target of a symbolic link, no NUL; its length.  -EINVAL, -ENAMETOOLONG. */
MUST_CHECK int64_t ufs_readlink(
    struct ufs *fs, uint64_t ino, char *buf, size_t len);

/*
 * The first offset at or after off that is data (data true) or a hole; the
 * end of the file counts as a hole.  -ENXIO beyond the end.
 */
MUST_CHECK int64_t ufs_seek(
    struct ufs *fs, uint64_t ino, uint64_t off, bool data);

/* A stretch of a file and where it lies. */
struct ufs_run {
	uint64_t len;     /* bytes, up to the end of the file at most */
	uint64_t dev_off; /* of its first byte; 0: a hole */
};

/*
 * The stretch of regular file ino that begins at byte off: contiguous on the
 * device, or a hole.  -ENXIO at or beyond the end of the file; -EINVAL: not a
 * regular file.
 */
MUST_CHECK int ufs_map(
    struct ufs *fs, uint64_t ino, uint64_t off, struct ufs_run *out);

/*
 * Value of an extended attribute: its length; -ERANGE when it does not fit len
 * (len 0 only asks).  -ENOXATTR.  -EOPNOTSUPP: UFS1, devices.
 */
MUST_CHECK int64_t ufs_xattr_get(struct ufs *fs, uint64_t ino,
    enum ufs_ea_space space, const char *name, void *buf, size_t len);

/* Call each for every extended attribute; see ufs_readdir. */
MUST_CHECK int ufs_xattr_list(struct ufs *fs, uint64_t ino,
    int (*each)(
	void *arg, enum ufs_ea_space space, const char *name, size_t value_len),
    void *arg);

/* Tags of access control lists, the same on FreeBSD and Linux. */
enum {
	UFS_ACL_USER_OBJ = 1,
	UFS_ACL_USER = 2,
	UFS_ACL_GROUP_OBJ = 4,
	UFS_ACL_GROUP = 8,
	UFS_ACL_MASK = 0x10,
	UFS_ACL_OTHER = 0x20,
};
enum { UFS_ACL_MOST = 32, UFS_ACL_BYTES = 388 };

struct ufs_acl_entry {
	uint16_t tag, perm; /* perm: as in a mode, 0 to 7 */
	uint32_t id;        /* of UFS_ACL_USER and UFS_ACL_GROUP */
};

/* A POSIX.1e access control list (formats.md 2.10). */
struct ufs_acl {
	unsigned n;
	struct ufs_acl_entry entry[UFS_ACL_MOST];
};
enum ufs_acl_kind { UFS_ACL_ACCESS, UFS_ACL_DEFAULT };

/*
 * The list of ino, following its mode.  -ENOXATTR: none, also where fs_flags
 * do not say that there are lists.  -EPERM: an attribute that is no list.
 */
MUST_CHECK int ufs_acl_get(
    struct ufs *fs, uint64_t ino, enum ufs_acl_kind kind, struct ufs_acl *out);

/*
 * Call each for the inodes whose dinodes overlap len bytes at off of the
 * device, a run of n from first on at a time, allocated or not; see
 * ufs_readdir.  The file system must not grow meanwhile.
 */
MUST_CHECK int ufs_inodes_in(struct ufs *fs, uint64_t off, uint64_t len,
    int (*each)(void *arg, uint64_t first, uint64_t n), void *arg);

/* -- changing ----------------------------------------------------------- */

/* A new inode's attributes. */
struct ufs_new {
	uint32_t mode; /* with type */
	/* Bits that mode goes without, unless dir's default access control
	 * list decides; that is inherited. */
	uint32_t umask;
	uint32_t uid, gid;
	uint32_t rdev_major, rdev_minor; /* devices */
	const char *target;              /* symbolic links */
	size_t target_len;
};

/*
 * Make a file of any type but a whiteout, under name in dir.  -EEXIST,
 * -ENOENT (dir is unlinked), -ENOTDIR, -ENAMETOOLONG, -EMLINK (too many
 * subdirectories), -EINVAL (".", "..", empty, '/' or NUL within; a device
 * number that UFS1 has no room for).
 */
MUST_CHECK int ufs_create(struct ufs *fs, uint64_t dir, const char *name,
    size_t len, const struct ufs_new *what, struct ufs_attr *out);

/* A further name for a file.  -EPERM: a directory.  -EMLINK.  As ufs_create. */
MUST_CHECK int ufs_link(struct ufs *fs, uint64_t ino, uint64_t dir,
    const char *name, size_t len, struct ufs_attr *out);

/*
 * Remove a name: of a directory (rmdir) where is_dir, else of anything else.
 * The inode goes with its last name, once it is not pinned.  -ENOENT,
 * -ENOTDIR, -EISDIR, -ENOTEMPTY, -EINVAL ("."), -EBUSY (root).
 */
MUST_CHECK int ufs_remove(
    struct ufs *fs, uint64_t dir, const char *name, size_t len, bool is_dir);

struct ufs_name {
	uint64_t dir;
	const char *name;
	size_t len;
};

enum { UFS_RENAME_NOREPLACE = 1, UFS_RENAME_EXCHANGE = 2 };

/*
 * rename(2) in all its cases.  -EEXIST, -EISDIR, -ENOTDIR, -ENOTEMPTY,
 * -EINVAL (into itself), -EMLINK.
 */
MUST_CHECK int ufs_rename(struct ufs *fs, const struct ufs_name *from,
    const struct ufs_name *to, unsigned flags);

/*
 * Write len bytes at off of a regular file; all of them or an error, but a
 * full device gives the number that did fit.  Updates size, mtime and ctime.
 * -EFBIG, -EINVAL (not a regular file).
 */
MUST_CHECK int64_t ufs_write(
    struct ufs *fs, uint64_t ino, uint64_t off, const void *buf, size_t len);

enum {
	UFS_SET_MODE = 1, /* permission bits only */
	UFS_SET_UID = 2,
	UFS_SET_GID = 4,
	UFS_SET_SIZE = 8,
	UFS_SET_ATIME = 16,
	UFS_SET_MTIME = 32,
	UFS_SET_FLAGS = 64,
	UFS_SET_BIRTH = 128, /* UFS2; ignored by UFS1 */
	UFS_SET_CTIME = 256, /* else it becomes now */
};

/* Change the attributes that set names.  -EFBIG, -EISDIR, -EINVAL (size). */
MUST_CHECK int ufs_setattr(struct ufs *fs, uint64_t ino, unsigned set,
    const struct ufs_attr *attr, struct ufs_attr *out);

enum {
	UFS_ALLOC = 0,       /* allocate; extends the size */
	UFS_ALLOC_KEEP = 1,  /* within the size only */
	UFS_PUNCH = 2,       /* free whole blocks, zero the rest; size stays */
	UFS_ZERO = 3,        /* as punch, but blocks stay or are allocated */
	UFS_ZERO_EXTEND = 4, /* the same; extends the size */
};

/*
 * Space without data, for fallocate(2).  UFS keeps no blocks beyond the size
 * and no hole as the last block (formats.md 2.7): UFS_ALLOC_KEEP beyond it is
 * -EOPNOTSUPP; a hole that reaches the last block leaves that one zeroed.
 * With -ENOSPC size and data are as they were.
 */
MUST_CHECK int ufs_allocate(
    struct ufs *fs, uint64_t ino, int how, uint64_t off, uint64_t len);

/*
 * From now on, where on: data of files goes on where data was given out last,
 * beginning with the first cylinder group, wherever their inodes are, so that
 * files written one after the other lie so; tails of files share blocks that
 * are near.  For who lays out an image.
 */
void ufs_follow(struct ufs *fs, bool on);

/* What ufs_xattr_set wants of an existing attribute. */
enum { UFS_EA_ANY = 0, UFS_EA_MUST_NOT_EXIST = 1, UFS_EA_MUST_EXIST = 2 };

/* -EEXIST, -ENOXATTR, -ENOSPC (formats.md 2.10: two blocks), -EOPNOTSUPP. */
MUST_CHECK int ufs_xattr_set(struct ufs *fs, uint64_t ino,
    enum ufs_ea_space space, const char *name, const void *value, size_t len,
    int how);
MUST_CHECK int ufs_xattr_remove(
    struct ufs *fs, uint64_t ino, enum ufs_ea_space space, const char *name);

/*
 * Give ino a list, or with no entries take it away; the access list changes
 * the mode as well, and one that says no more than a mode is not kept.  The
 * first list of a file system sets FS_ACLS.  -EOPNOTSUPP: UFS1, devices, or
 * FS_NFS4ACLS; -EACCES: a default list of what is no directory; -ENOSPC: too
 * many entries, or as ufs_xattr_set.
 */
MUST_CHECK int ufs_acl_set(struct ufs *fs, uint64_t ino, enum ufs_acl_kind kind,
    const struct ufs_acl *acl);

/* The attribute of the system space that holds a list, and its value. */
const char *ufs_acl_attribute(enum ufs_acl_kind kind);
void ufs_acl_encode(
    const struct ufs_acl *acl, bool big, uint8_t value[UFS_ACL_BYTES]);
/*
 * Turn the byte order of an attribute of the system space where that holds a
 * list, a POSIX.1e or an NFSv4 one; leave all others as they are.
 */
void ufs_acl_reorder(const char *name, void *value, size_t len);
/* Let FreeBSD obey the lists of either kind; the second excludes the first. */
MUST_CHECK int ufs_acl_obey(struct ufs *fs, bool posix, bool nfs4);

/*
 * A pinned inode outlives its last name.  Pins are counted; ufs_unpin takes
 * n of them back and frees the inode with the last one if it has no name.
 */
MUST_CHECK int ufs_pin(struct ufs *fs, uint64_t ino);
MUST_CHECK int ufs_unpin(struct ufs *fs, uint64_t ino, uint64_t n);

/*
 * Free those of the n inodes that have no name: what a crash left of files
 * that were unlinked while open.  Numbers that do not fit are ignored.
 */
MUST_CHECK int ufs_reap(struct ufs *fs, const uint64_t *inos, size_t n);

/*
 * Make the file system (and the device) about bytes large, at least as much
 * as one more inode or block needs; rewrites the backup superblocks
 * (formats.md 2.18).  -EINVAL: it is that large already.  -EFBIG.
 * -EOPNOTSUPP: the device cannot be resized.
 */
MUST_CHECK int ufs_grow(struct ufs *fs, uint64_t bytes);

/* -- making and judging ------------------------------------------------- */

struct ufs_mkfs {
	int version; /* 1 or 2 */
	bool big_endian;
	uint32_t block_size, frag_size; /* 0: 32768, 4096 */
	uint32_t bytes_per_inode;       /* 0: twice the fragment size */
	uint32_t minfree;               /* percent; 8 is newfs's */
	const char *label;              /* or NULL */
	bool check_hashes;              /* UFS2: as newfs of 13 */
	uint32_t flags;                 /* of UFS_TREATMENT_FLAGS */
	int64_t time; /* for every date in it, and ids derived */
	uint32_t ncg; /* 0: as few as geometry allows, 1 at best */
};

/*
 * Write an empty file system (root directory only) over all of dev.
 * -EINVAL, said: geometry that formats.md 2.12 forbids; -ENOSPC: dev is too
 * small (formats.md 2.12: 8 blocks).
 */
MUST_CHECK int ufs_mkfs(struct blkdev *dev, const struct ufs_mkfs *how);

/* Called as the check goes on, in units of inodes; negative stops it. */
typedef int ufs_check_progress(void *arg, uint64_t done, uint64_t total);

/*
 * Judge the file system on dev as fsck_ffs would (formats.md 2.14), with
 * check hashes and backup superblocks; reads only, independent of the engine.
 * Each fault is one log_error line with its place (the first hundred of them;
 * log_info lines tell the paths of their inodes); their number is returned, or
 * -errno where checking could not go on.  orphans: inodes that may have no
 * name.  Unclean file systems are judged too, the flag is a fault of its own.
 */
MUST_CHECK int ufs_check(struct blkdev *dev, const uint64_t *orphans,
    size_t norphans, ufs_check_progress *progress, void *arg);

#endif
