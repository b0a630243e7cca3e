/* Handlers of attributes: setattr, and the flags as chattr(1) sees them. */
#include <assert.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>

#include "fuse_impl.h"

static struct timespec
time_of(bool now, struct timespec given)
{
	if (now)
		(void)clock_gettime(CLOCK_REALTIME, &given);
	return given;
}

/* What libfuse says is to be set, in the engine's terms. */
static unsigned
set_of(const struct stat *st, int to_set, struct ufs_attr *attr)
{
	static const struct {
		int given;
		unsigned set;
	} bits[] = {
	    {FUSE_SET_ATTR_MODE, UFS_SET_MODE},
	    {FUSE_SET_ATTR_UID, UFS_SET_UID},
	    {FUSE_SET_ATTR_GID, UFS_SET_GID},
	    {FUSE_SET_ATTR_SIZE, UFS_SET_SIZE},
	    {FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_ATIME_NOW, UFS_SET_ATIME},
	    {FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW, UFS_SET_MTIME},
	};
	unsigned set = 0;

	for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++)
		if ((to_set & bits[i].given) != 0)
			set |= bits[i].set;
	*attr = (struct ufs_attr){
	    .mode = st->st_mode & 07777,
	    .uid = st->st_uid,
	    .gid = st->st_gid,
	    .size = (uint64_t)st->st_size,
	    .atime =
		time_of((to_set & FUSE_SET_ATTR_ATIME_NOW) != 0, st->st_atim),
	    .mtime =
		time_of((to_set & FUSE_SET_ATTR_MTIME_NOW) != 0, st->st_mtim),
	};
	return set;
}

static bool
acts_as_root(fuse_req_t req)
{
	return fuse_req_ctx(req)->uid == 0 || server_of(req)->fakeroot;
}

/*
 * Whether a change of attributes may be what takes set-id bits off, where that
 * is the kernel's business: not one of times, nor a mode that somebody gave.  A
 * mode given by the kernel in front of a write is the old one without set-uid.
 */
static bool
may_drop_bits(
    unsigned set, const struct ufs_attr *want, const struct ufs_attr *now)
{
	if (set == UFS_SET_MODE)
		return (now->mode & S_ISUID) != 0 &&
		    want->mode == (now->mode & 07777 & ~(uint32_t)S_ISUID);
	return set == 0 ||
	    (set & ~(unsigned)(UFS_SET_ATIME | UFS_SET_MTIME)) != 0;
}

/* What Linux leaves of a mode of which set-id bits go. */
static uint32_t
without_set_id(uint32_t mode)
{
	mode &= ~(uint32_t)S_ISUID;
	return (mode & S_IXGRP) != 0 ? mode & ~(uint32_t)S_ISGID : mode;
}

/* Whether the caller may change the mode of now's file by itself. */
static bool
is_owner(fuse_req_t req, const struct ufs_attr *now)
{
	return acts_as_root(req) || fuse_req_ctx(req)->uid == now->uid;
}

/* Whether the caller may write to it, as far as its groups can be asked. */
static bool
is_writer(fuse_req_t req, const struct ufs_attr *now)
{
	return is_owner(req, now) || (now->mode & S_IWOTH) != 0 ||
	    ((now->mode & S_IWGRP) != 0 && fuse_req_ctx(req)->gid == now->gid);
}

/*
 * What is left of the mode of now's file by a change of attributes.  Linux
 * keeps set-gid of a file that its group cannot execute.  That goes as well,
 * as POSIX and FreeBSD have it, but not where the caller runs with that group.
 * (Linux keeps it for all who belong to the group; a confined daemon cannot
 * ask whether somebody does.)
 */
static uint32_t
mode_left(fuse_req_t req, unsigned set, const struct ufs_attr *want,
    const struct ufs_attr *now)
{
	uint32_t mode = (set & UFS_SET_MODE) != 0 ? want->mode : now->mode;
	enum set_id how = wire_set_id();

	if (how == SET_ID_KERNELS && !may_drop_bits(set, want, now))
		return mode;
	if (how == SET_ID_GOES && (set != 0 || is_owner(req, now)))
		mode = without_set_id(mode);
	if ((mode & S_IXGRP) == 0 && !acts_as_root(req) &&
	    fuse_req_ctx(req)->gid != now->gid)
		mode &= ~(uint32_t)S_ISGID;
	return mode;
}

/*
 * Writing, truncating and changing the owner take set-id bits off.  A kernel
 * whose business that is does so by a mode of its own.  Before a write any
 * asks for a change of nothing; as for chown(path, -1, -1), which is no
 * stranger's.  If the bits are ours, the write says once more that they go.
 */
static int
drop_set_id(fuse_req_t req, uint64_t ino, unsigned *set, struct ufs_attr *want)
{
	enum set_id how = wire_set_id();
	struct ufs_attr now;
	uint32_t left;
	int rc;

	if (how == SET_ID_STAYS || (how == SET_ID_KERNELS && acts_as_root(req)))
		return 0;
	rc = ufs_getattr(server_of(req)->fs, ino, &now);
	if (rc < 0 || S_ISDIR(now.mode))
		return rc;
	left = mode_left(req, *set, want, &now);
	if (left == ((*set & UFS_SET_MODE) != 0 ? want->mode : now.mode))
		return 0;
	if (*set == 0 && !is_writer(req, &now))
		return how == SET_ID_GOES ? 0 : -EPERM;
	*set |= UFS_SET_MODE;
	want->mode = left;
	return 0;
}

/* The kernel is to ask for ino's attributes again. */
static void
attr_forget(fuse_req_t req, fuse_ino_t ino)
{
	const struct server *first = fuse_req_userdata(req);

	(void)fuse_lowlevel_notify_inval_inode(
	    first->fuse, server_of(req)->tag | ino, -1, 0);
}

/* Mostly done by then: a change of nothing came first. */
int
attr_before_write(fuse_req_t req, fuse_ino_t ino)
{
	struct server *server = server_of(req);
	struct ufs_attr attr;
	uint32_t left;
	int rc;

	if (wire_set_id() != SET_ID_GOES)
		return 0;
	rc = ufs_getattr(server->fs, swap_root(ino), &attr);
	if (rc < 0)
		return rc;
	left = without_set_id(attr.mode);
	if (left == attr.mode)
		return 0;
	attr.mode = left;
	rc =
	    ufs_setattr(server->fs, swap_root(ino), UFS_SET_MODE, &attr, &attr);
	if (rc < 0)
		return rc;
	flush_changed(server->flusher);
	/* After a write the kernel goes on with the mode it knows. */
	attr_forget(req, ino);
	return 0;
}

/*
 * As FreeBSD's utimensat(2): nothing was changed before it was born.  In an
 * ISO's staged tree the birth time is no time but tells where the data lies.
 */
static int
follow_birth(
    struct server *server, uint64_t ino, unsigned *set, struct ufs_attr *want)
{
	struct ufs_attr now;
	int rc;

	if ((*set & UFS_SET_MTIME) == 0 || server->is_iso)
		return 0;
	rc = ufs_getattr(server->fs, ino, &now);
	if (rc == 0 &&
	    (want->mtime.tv_sec < now.birth.tv_sec ||
		(want->mtime.tv_sec == now.birth.tv_sec &&
		    want->mtime.tv_nsec < now.birth.tv_nsec))) {
		*set |= UFS_SET_BIRTH;
		want->birth = want->mtime;
	}
	return rc;
}

static int
set_attr(fuse_req_t req, uint64_t ino, const struct stat *st, int to_set,
    struct ufs_attr *attr)
{
	struct server *server = server_of(req);
	struct ufs_attr want;
	unsigned set = set_of(st, to_set, &want);
	int rc = drop_set_id(req, ino, &set, &want);

	if (rc == 0)
		rc = follow_birth(server, ino, &set, &want);
	if (rc == 0 && (set & UFS_SET_SIZE) != 0)
		rc = flush_admit(server->flusher);
	if (rc == 0 && set != 0)
		rc = perm_check(server, ino,
		    (set & UFS_SET_SIZE) != 0 ? PERM_WRITE : PERM_OWN);
	return rc < 0 ? rc : ufs_setattr(server->fs, ino, set, &want, attr);
}

void
ops_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
    struct fuse_file_info *fi)
{
	struct server *server = server_of(req);
	struct ufs_attr now;
	struct stat st;
	int rc = set_attr(req, swap_root(ino), attr, to_set, &now);

	(void)fi;
	if (rc < 0) {
		fuse_reply_err(req, -rc);
		return;
	}
	flush_changed(server->flusher);
	stat_of(server, &now, &st);
	fuse_reply_attr(req, &st, FOREVER);
}

/* -- lsattr(1), chattr(1) -------------------------------------------------- */

/*
 * <linux/fs.h>: the same three flags in two requests.  The kernel itself asks
 * by the second before it passes on the first; of which it passes an int,
 * whatever the macro says.
 */
struct linux_fsxattr {
	uint32_t xflags, others[4];
	uint8_t pad[8];
};
static_assert(sizeof(struct linux_fsxattr) == 28, "as Linux has it");
#define LINUX_GETFLAGS  ((unsigned)_IOR('f', 1, long))
#define LINUX_SETFLAGS  ((unsigned)_IOW('f', 2, long))
#define LINUX_GETXFLAGS ((unsigned)_IOR('X', 31, struct linux_fsxattr))
#define LINUX_SETXFLAGS ((unsigned)_IOW('X', 32, struct linux_fsxattr))

static const struct {
	uint32_t flag, xflag; /* of Linux */
	uint32_t any, one;    /* any of ours; the one that Linux sets */
} flag_names[] = {
    {0x10, 0x08, UFS_FLAG_UIMMUTABLE | UFS_FLAG_SIMMUTABLE,
	UFS_FLAG_SIMMUTABLE},
    {0x20, 0x10, UFS_FLAG_UAPPEND | UFS_FLAG_SAPPEND, UFS_FLAG_SAPPEND},
    {0x40, 0x80, 0x1, 0x1}, /* nodump */
};
enum { FLAG_NAMES = sizeof(flag_names) / sizeof(flag_names[0]) };

static uint32_t
to_linux(uint32_t flags, bool x)
{
	uint32_t out = 0;

	for (size_t i = 0; i < FLAG_NAMES; i++)
		if ((flags & flag_names[i].any) != 0)
			out |= x ? flag_names[i].xflag : flag_names[i].flag;
	return out;
}

/* flags with those changed that Linux has a name for.  -EOPNOTSUPP. */
static int
from_linux(uint32_t want, bool x, uint32_t *flags)
{
	for (size_t i = 0; i < FLAG_NAMES; i++) {
		uint32_t bit = x ? flag_names[i].xflag : flag_names[i].flag;
		uint32_t any = flag_names[i].any;

		if ((want & bit) == 0)
			*flags &= ~any;
		else if ((*flags & any) == 0)
			*flags |= flag_names[i].one;
		want &= ~bit;
	}
	return want == 0 ? 0 : -EOPNOTSUPP;
}

static int
set_linux_flags(fuse_req_t req, uint64_t ino, uint32_t want, bool x)
{
	struct ufs_attr attr;
	int rc = ufs_getattr(server_of(req)->fs, ino, &attr);

	if (rc == 0)
		rc = from_linux(want, x, &attr.flags);
	return rc < 0 ? rc : set_file_flags(req, ino, attr.flags);
}

static void
reply_flags(fuse_req_t req, uint64_t ino, bool x, size_t out_size)
{
	struct linux_fsxattr out = {0};
	size_t size = x ? sizeof(out) : sizeof(out.xflags);
	struct ufs_attr attr;
	int rc = out_size < size ? -EINVAL
				 : ufs_getattr(server_of(req)->fs, ino, &attr);

	if (rc < 0) {
		fuse_reply_err(req, -rc);
		return;
	}
	out.xflags = to_linux(attr.flags, x);
	fuse_reply_ioctl(req, 0, &out, size);
}

static void
take_flags(fuse_req_t req, uint64_t ino, bool x, const void *in, size_t in_size)
{
	uint32_t want;
	int rc = -EINVAL;

	if (in_size >= sizeof(want)) {
		memcpy(&want, in, sizeof(want));
		rc = set_linux_flags(req, ino, want, x);
	}
	if (rc < 0) {
		fuse_reply_err(req, -rc);
		return;
	}
	flush_changed(server_of(req)->flusher);
	attr_forget(req, swap_root(ino)); /* its ctime is another */
	fuse_reply_ioctl(req, 0, NULL, 0);
}

void
ops_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg,
    struct fuse_file_info *fi, unsigned flags, const void *in, size_t in_size,
    size_t out_size)
{
	(void)arg;
	(void)fi;
	(void)flags;
	if (cmd == LINUX_GETFLAGS || cmd == LINUX_GETXFLAGS)
		reply_flags(
		    req, swap_root(ino), cmd == LINUX_GETXFLAGS, out_size);
	else if (cmd == LINUX_SETFLAGS || cmd == LINUX_SETXFLAGS)
		take_flags(
		    req, swap_root(ino), cmd == LINUX_SETXFLAGS, in, in_size);
	else
		fuse_reply_err(req, ENOTTY);
}
