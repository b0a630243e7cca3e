/* Handlers of attributes: setattr, and the flags as chattr(1) sees them. */
#include <string.h>
#include <sys/ioctl.h>
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

static int
set_attr(struct server *server, uint64_t ino, const struct stat *st, int to_set,
    struct ufs_attr *attr)
{
	struct ufs_attr want;
	unsigned set = set_of(st, to_set, &want);
	int rc = 0;

	if ((set & UFS_SET_SIZE) != 0)
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
	int rc = set_attr(server, swap_root(ino), attr, to_set, &now);

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

/* <linux/fs.h>; the kernel passes an int whatever the macro says. */
enum {
	LINUX_APPEND = 0x20,
	LINUX_IMMUTABLE = 0x10,
	LINUX_NODUMP = 0x40,
	LINUX_KNOWN = LINUX_APPEND | LINUX_IMMUTABLE | LINUX_NODUMP,
	UFS_NODUMP = 0x1,
	UFS_IMMUTABLE = UFS_FLAG_UIMMUTABLE | UFS_FLAG_SIMMUTABLE,
	UFS_APPEND = UFS_FLAG_UAPPEND | UFS_FLAG_SAPPEND,
};
#define LINUX_GETFLAGS ((unsigned)_IOR('f', 1, long))
#define LINUX_SETFLAGS ((unsigned)_IOW('f', 2, long))

static uint32_t
to_linux(uint32_t flags)
{
	return ((flags & UFS_APPEND) != 0 ? LINUX_APPEND : 0u) |
	    ((flags & UFS_IMMUTABLE) != 0 ? LINUX_IMMUTABLE : 0u) |
	    ((flags & UFS_NODUMP) != 0 ? LINUX_NODUMP : 0u);
}

/* Switch mask's flags off, or one of them on where none is. */
static uint32_t
switched(uint32_t flags, uint32_t mask, uint32_t one, bool on)
{
	if (!on)
		return flags & ~mask;
	return (flags & mask) != 0 ? flags : flags | one;
}

static int
set_linux_flags(struct server *server, uint64_t ino, uint32_t want)
{
	struct ufs_attr attr;
	int rc;

	if ((want & ~(uint32_t)LINUX_KNOWN) != 0)
		return -EOPNOTSUPP;
	if (server->read_only)
		return -EROFS;
	rc = ufs_getattr(server->fs, ino, &attr);
	if (rc < 0)
		return rc;
	attr.flags = switched(attr.flags, UFS_APPEND, UFS_FLAG_SAPPEND,
	    (want & LINUX_APPEND) != 0);
	attr.flags = switched(attr.flags, UFS_IMMUTABLE, UFS_FLAG_SIMMUTABLE,
	    (want & LINUX_IMMUTABLE) != 0);
	attr.flags = switched(
	    attr.flags, UFS_NODUMP, UFS_NODUMP, (want & LINUX_NODUMP) != 0);
	return ufs_setattr(server->fs, ino, UFS_SET_FLAGS, &attr, &attr);
}

void
ops_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg,
    struct fuse_file_info *fi, unsigned flags, const void *in, size_t in_size,
    size_t out_size)
{
	struct server *server = server_of(req);
	struct ufs_attr attr;
	uint32_t word;
	int rc;

	(void)arg;
	(void)fi;
	(void)flags;
	if (cmd == LINUX_GETFLAGS && out_size >= sizeof(word)) {
		rc = ufs_getattr(server->fs, swap_root(ino), &attr);
		word = rc < 0 ? 0 : to_linux(attr.flags);
		if (rc < 0)
			fuse_reply_err(req, -rc);
		else
			fuse_reply_ioctl(req, 0, &word, sizeof(word));
		return;
	}
	if (cmd == LINUX_SETFLAGS && in_size >= sizeof(word)) {
		memcpy(&word, in, sizeof(word));
		rc = set_linux_flags(server, swap_root(ino), word);
		if (rc == 0)
			flush_changed(server->flusher);
		if (rc < 0)
			fuse_reply_err(req, -rc);
		else
			fuse_reply_ioctl(req, 0, NULL, 0);
		return;
	}
	fuse_reply_err(req, ENOTTY);
}
