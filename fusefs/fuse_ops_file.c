/* Handlers of a file's data. */
#include <fcntl.h>
#include <string.h>

#include "fuse_impl.h"

/* Whether a file that fi speaks of may be written to, as far as its flags say.
 */
static int
may_write(
    const struct server *server, uint64_t ino, const struct fuse_file_info *fi)
{
	return perm_check(server, ino,
	    (fi->flags & O_APPEND) != 0 ? PERM_APPEND : PERM_WRITE);
}

void
ops_open_checked(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct server *server = server_of(req);
	int rc = 0;

	if ((fi->flags & O_ACCMODE) != O_RDONLY)
		rc = server->read_only ? -EROFS
				       : may_write(server, swap_root(ino), fi);
	if (rc < 0) {
		fuse_reply_err(req, -rc);
		return;
	}
	fi->keep_cache = 1;
	fuse_reply_open(req, fi);
}

/*
 * Nobody need be told: the kernel knows who may open what, but for file flags,
 * and these are asked for when something is written.
 */
void
ops_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	if (server_of(req)->no_open)
		fuse_reply_err(req, ENOSYS);
	else
		ops_open_checked(req, ino, fi);
}

void
ops_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	fuse_reply_err(req, 0);
}

void
ops_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
    struct fuse_file_info *fi)
{
	char *buf = thread_buffer(size);
	int64_t n = buf == NULL ? -ENOMEM
				: ufs_read(server_of(req)->fs, swap_root(ino),
				      (uint64_t)off, buf, size);

	(void)fi;
	if (n < 0)
		fuse_reply_err(req, (int)-n);
	else
		fuse_reply_buf(req, buf, (size_t)n);
}

void
ops_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size,
    off_t off, struct fuse_file_info *fi)
{
	struct server *server = server_of(req);
	int64_t n = flush_admit(server->flusher);

	/* What was stored through a mapping has nobody left to be told. */
	if (n == 0 && !fi->writepage)
		n = may_write(server, swap_root(ino), fi);
	if (n == 0)
		n = attr_before_write(req, ino);
	if (n == 0)
		n = ufs_write(
		    server->fs, swap_root(ino), (uint64_t)off, buf, size);
	if (n == 0 && size > 0)
		n = -ENOSPC;
	if (n < 0) {
		fuse_reply_err(req, (int)-n);
		return;
	}
	flush_changed(server->flusher);
	fuse_reply_write(req, (size_t)n);
}

/* Of files and directories: everything, not only theirs. */
void
ops_fsync(
    fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)ino;
	(void)datasync;
	(void)fi;
	fuse_reply_err(req, -flush_now(server_of(req)->flusher));
}

/* <linux/falloc.h>, which is what the kernel speaks wherever it runs. */
enum { KEEP_SIZE = 1, PUNCH_HOLE = 2, ZERO_RANGE = 16 };

/* How fallocate's mode is called in the engine; -EOPNOTSUPP. */
static int
allocation_of(int mode)
{
	switch (mode) {
	case 0:
		return UFS_ALLOC;
	case KEEP_SIZE:
		return UFS_ALLOC_KEEP;
	case PUNCH_HOLE | KEEP_SIZE:
		return UFS_PUNCH;
	case ZERO_RANGE:
		return UFS_ZERO_EXTEND;
	case ZERO_RANGE | KEEP_SIZE:
		return UFS_ZERO;
	default:
		return -EOPNOTSUPP;
	}
}

static int
allocate(fuse_req_t req, fuse_ino_t file, int mode, off_t off, off_t len)
{
	struct server *server = server_of(req);
	uint64_t ino = swap_root(file);
	int how = allocation_of(mode);
	int rc = how < 0 ? how : flush_admit(server->flusher);

	if (rc == 0)
		rc = perm_check(server, ino,
		    (mode & ~KEEP_SIZE) == 0 ? PERM_APPEND : PERM_WRITE);
	if (rc == 0)
		rc = attr_before_write(req, file);
	if (rc == 0)
		rc = ufs_allocate(
		    server->fs, ino, how, (uint64_t)off, (uint64_t)len);
	return rc;
}

void
ops_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len,
    struct fuse_file_info *fi)
{
	(void)fi;
	reply_changed(req, allocate(req, ino, mode, off, len));
}

void
ops_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence,
    struct fuse_file_info *fi)
{
	int64_t at = -EINVAL;

	(void)fi;
	if (off < 0)
		at = -ENXIO;
	else if (whence == SEEK_DATA || whence == SEEK_HOLE)
		at = ufs_seek(server_of(req)->fs, swap_root(ino), (uint64_t)off,
		    whence == SEEK_DATA);
	if (at < 0)
		fuse_reply_err(req, (int)-at);
	else
		fuse_reply_lseek(req, at);
}
