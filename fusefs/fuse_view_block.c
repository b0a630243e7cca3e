/*
 * mount --view block: a folder with one file, "disk", that is the merged
 * device.  Like a disk it has its size: it can be written, trimmed and flushed
 * everywhere, and nothing else.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/statvfs.h>

#include "../imgfmt/compat.h"
#include "fuse_impl.h"

static const char disk_name[] = "disk";

enum { DISK_INO = 2, BLOCK = 4096 };

/* <linux/falloc.h>, which is what the kernel speaks wherever it runs. */
enum { KEEP_SIZE = 1, PUNCH_HOLE = 2, ZERO_RANGE = 16 };

static struct blkdev *
disk_of(fuse_req_t req)
{
	return server_of(req)->session->cache;
}

/* Times are not kept: those of the last change since the mount. */
static void
block_stat(struct server *server, fuse_ino_t ino, struct stat *st)
{
	uint64_t size = server->session->cache->size;
	bool is_disk = ino == DISK_INO;

	*st = (struct stat){
	    .st_ino = ino,
	    .st_mode = is_disk ? S_IFREG | 0600 : S_IFDIR | 0755,
	    .st_nlink = is_disk ? 1 : 2,
	    .st_uid = server->uid,
	    .st_gid = server->gid,
	    .st_blksize = BLOCK,
	};
	if (server->read_only)
		st->st_mode &= ~(mode_t)0222;
	if (is_disk) {
		st->st_size = (off_t)size;
		st->st_blocks = (blkcnt_t)((size + 511) / 512);
	}
	st->st_mtim.tv_sec = atomic_load(&server->changed);
	st->st_atim = st->st_ctim = st->st_mtim;
}

/* -- looking --------------------------------------------------------------- */

static void
block_lookup(fuse_req_t req, fuse_ino_t dir, const char *name)
{
	struct fuse_entry_param entry = {.entry_timeout = FOREVER};

	(void)dir;
	if (strcmp(name, disk_name) == 0) {
		entry.ino = DISK_INO;
		block_stat(server_of(req), DISK_INO, &entry.attr);
	}
	fuse_reply_entry(req, &entry);
}

static void
block_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;

	(void)fi;
	block_stat(server_of(req), ino, &st);
	fuse_reply_attr(req, &st, 0);
}

/* The size is given, and so is all else: only times may seem to be set. */
static void
block_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
    struct fuse_file_info *fi)
{
	const int fixed =
	    FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID;
	uint64_t size = disk_of(req)->size;

	if ((to_set & fixed) != 0 ||
	    ((to_set & FUSE_SET_ATTR_SIZE) != 0 &&
		(uint64_t)attr->st_size != size))
		fuse_reply_err(req, EPERM);
	else
		block_getattr(req, ino, fi);
}

static void
block_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
    struct fuse_file_info *fi)
{
	static const struct {
		const char *name;
		fuse_ino_t ino;
	} entries[] = {
	    {".", FUSE_ROOT_ID}, {"..", FUSE_ROOT_ID}, {disk_name, DISK_INO}};
	const size_t n = sizeof(entries) / sizeof(entries[0]);
	char *buf = thread_buffer(size);
	size_t used = 0;

	(void)ino;
	(void)fi;
	if (buf == NULL) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	for (size_t i = off < 0 ? n : (size_t)off; i < n; i++) {
		struct stat st;
		size_t len;

		block_stat(server_of(req), entries[i].ino, &st);
		len = fuse_add_direntry(req, buf + used, size - used,
		    entries[i].name, &st, (off_t)i + 1);
		if (len > size - used)
			break;
		used += len;
	}
	fuse_reply_buf(req, buf, used);
}

/* Nothing can be added, whatever the host has room for. */
static void
block_statfs(fuse_req_t req, fuse_ino_t ino)
{
	const struct statvfs out = {
	    .f_bsize = BLOCK,
	    .f_frsize = BLOCK,
	    .f_blocks = (disk_of(req)->size + BLOCK - 1) / BLOCK,
	    .f_files = 2,
	    .f_namemax = NAME_MAX,
	};

	(void)ino;
	fuse_reply_statfs(req, &out);
}

/* -- the disk -------------------------------------------------------------- */

static void
block_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	if ((fi->flags & O_ACCMODE) != O_RDONLY && server_of(req)->read_only) {
		fuse_reply_err(req, EROFS);
		return;
	}
	fi->keep_cache = 1;
	fuse_reply_open(req, fi);
}

/* How much of size bytes at off there is. */
static size_t
cut(const struct blkdev *dev, off_t off, size_t size)
{
	uint64_t at = (uint64_t)off;

	return at >= dev->size      ? 0
	    : size < dev->size - at ? size
				    : (size_t)(dev->size - at);
}

static void
block_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
    struct fuse_file_info *fi)
{
	struct blkdev *dev = disk_of(req);
	size_t len = cut(dev, off, size);
	char *buf = thread_buffer(size);
	int rc = buf == NULL ? -ENOMEM
	    : len == 0       ? 0
			     : blkdev_read(dev, (uint64_t)off, buf, len);

	(void)ino;
	(void)fi;
	if (rc < 0)
		fuse_reply_err(req, -rc);
	else
		fuse_reply_buf(req, buf, len);
}

static void
has_changed(struct server *server)
{
	atomic_store(&server->changed, (int_fast64_t)ufs_now().tv_sec);
	flush_changed(server->flusher);
}

static void
block_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size,
    off_t off, struct fuse_file_info *fi)
{
	struct server *server = server_of(req);
	struct blkdev *dev = disk_of(req);
	size_t len = cut(dev, off, size);
	int rc = flush_admit(server->flusher);

	(void)ino;
	(void)fi;
	if (rc == 0 && len == 0 && size > 0)
		rc = -ENOSPC; /* as at the end of any disk */
	if (rc == 0)
		rc = blkdev_write(dev, (uint64_t)off, buf, len);
	if (rc < 0) {
		fuse_reply_err(req, -rc);
		return;
	}
	has_changed(server);
	fuse_reply_write(req, len);
}

/* 0 after making the range zero, which is what a trim does. */
static int
trim(struct server *server, int mode, off_t off, off_t len)
{
	struct blkdev *dev = server->session->cache;
	uint64_t room = cut(dev, off, SIZE_MAX);
	int rc = flush_admit(server->flusher);

	if (rc < 0)
		return rc;
	if ((mode & ~KEEP_SIZE) == 0) /* the blocks are all there */
		return (uint64_t)len <= room ? 0 : -ENOSPC;
	if (mode != (PUNCH_HOLE | KEEP_SIZE) &&
	    (mode & ~KEEP_SIZE) != ZERO_RANGE)
		return -EOPNOTSUPP;
	if ((uint64_t)len > room && mode == ZERO_RANGE)
		return -ENOSPC; /* it would become longer */
	if ((uint64_t)len < room)
		room = (uint64_t)len;
	return room == 0 ? 0 : blkdev_trim(dev, (uint64_t)off, room);
}

static void
block_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len,
    struct fuse_file_info *fi)
{
	int rc = trim(server_of(req), mode, off, len);

	(void)ino;
	(void)fi;
	if (rc == 0)
		has_changed(server_of(req));
	fuse_reply_err(req, -rc);
}

/* -- what cannot be -------------------------------------------------------- */

static void
block_mknod(
    fuse_req_t req, fuse_ino_t dir, const char *name, mode_t mode, dev_t rdev)
{
	(void)dir, (void)name, (void)mode, (void)rdev;
	fuse_reply_err(req, EPERM);
}

static void
block_mkdir(fuse_req_t req, fuse_ino_t dir, const char *name, mode_t mode)
{
	(void)dir, (void)name, (void)mode;
	fuse_reply_err(req, EPERM);
}

static void
block_symlink(
    fuse_req_t req, const char *target, fuse_ino_t dir, const char *name)
{
	(void)target, (void)dir, (void)name;
	fuse_reply_err(req, EPERM);
}

static void
block_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t dir, const char *name)
{
	(void)ino, (void)dir, (void)name;
	fuse_reply_err(req, EPERM);
}

static void
block_unlink(fuse_req_t req, fuse_ino_t dir, const char *name)
{
	(void)dir, (void)name;
	fuse_reply_err(req, EPERM);
}

static void
block_rename(fuse_req_t req, fuse_ino_t dir, const char *name,
    fuse_ino_t newdir, const char *newname, unsigned flags)
{
	(void)dir, (void)name, (void)newdir, (void)newname, (void)flags;
	fuse_reply_err(req, EPERM);
}

/* -- the table ------------------------------------------------------------- */

static void
block_init(void *userdata, struct fuse_conn_info *conn)
{
	ops_init(userdata, conn);
	conn->want &=
	    ~(unsigned)(FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO);
}

const struct fuse_lowlevel_ops fuse_block_handlers = {
    .init = block_init,
    .lookup = block_lookup,
    .getattr = block_getattr,
    .setattr = block_setattr,
    .mknod = block_mknod,
    .mkdir = block_mkdir,
    .symlink = block_symlink,
    .link = block_link,
    .unlink = block_unlink,
    .rename = block_rename,
    .open = block_open,
    .read = block_read,
    .write = block_write,
    .fsync = ops_fsync,
    .readdir = block_readdir,
    .fsyncdir = ops_fsync,
    .statfs = block_statfs,
    .fallocate = block_fallocate,
};
