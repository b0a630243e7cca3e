/*
 * mount --view all: a folder for each part of an ISO: "root", its live root;
 * "iso", its own tree; and one for each further image.  Each is a server of
 * its own, with its session and its flusher; the handlers are those of the
 * tree, told by a tag in the inode number for which of them they work.
 *
 * What differs in "iso" is here too: data that still lies in the ISO is read
 * there, and taken over before it is written to; and what an ISO 9660 file
 * system cannot hold is refused.
 */
#include <string.h>
#include <sys/stat.h>

#include "../imgfmt/iso_edit.h"
#include "../imgfmt/log.h"
#include "fuse_impl.h"

enum { TAG_SHIFT = 40 };
#define TAG_MASK (((uint64_t)1 << TAG_SHIFT) - 1)

_Thread_local struct server *server_here;

/*
 * The server that *ino belongs to, NULL: the folder of folders; *ino becomes
 * its own number.
 */
static struct server *
enter(fuse_req_t req, fuse_ino_t *ino)
{
	uint64_t tag = *ino & ~TAG_MASK;
	struct server *s = fuse_req_userdata(req);

	while (s != NULL && s->tag != tag)
		s = s->next;
	server_here = s;
	*ino &= TAG_MASK;
	return s;
}

/* As enter; the folder of folders is refused. */
static struct server *
enter_volume(fuse_req_t req, fuse_ino_t *ino)
{
	struct server *s = enter(req, ino);

	if (s == NULL)
		fuse_reply_err(req, EPERM);
	return s;
}

/* -- the ISO's own tree ---------------------------------------------------- */

/* 1: the data of ino still lies in the ISO, at *out; 0: not; -errno. */
static int
is_in_iso(struct server *s, fuse_ino_t ino, struct iso_node *out)
{
	int rc =
	    s->is_iso ? session_iso_origin(s->session, swap_root(ino), out) : 0;

	return rc == 1 ? S_ISREG(out->mode) : rc;
}

/* FreeBSD reads no file of 4 GiB or more from an ISO (formats.md, trap 73). */
static int
fits_size(const struct server *s, uint64_t end)
{
	return s->is_iso && end > UINT32_MAX ? -EFBIG : 0;
}

/* Before ino is changed; most: bytes of its data that will be left. */
static int
lift(struct server *s, fuse_ino_t ino, uint64_t most)
{
	struct iso_node node;
	int rc = is_in_iso(s, ino, &node);

	if (rc <= 0)
		return rc;
	rc = flush_admit(s->flusher);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&s->lifting);
	rc = session_iso_lift(s->session, swap_root(ino), most);
	pthread_mutex_unlock(&s->lifting);
	flush_changed(s->flusher);
	return rc;
}

/* Whether what is about to be made can be on this ISO: 0, -EPERM, -EINVAL. */
static int
fits(const struct server *s, const char *name, mode_t mode)
{
	struct iso *iso;
	int rc;

	if (!s->is_iso)
		return 0;
	iso = s->session->image->iso;
	if (!iso_info(iso)->rock_ridge && !S_ISREG(mode) && !S_ISDIR(mode))
		return -EPERM;
	rc = iso_edit_name_fits(iso, name, S_ISDIR(mode));
	return rc == 0 ? -EINVAL : rc < 0 ? rc : 0;
}

/* As enter_volume, for a new name. */
static struct server *
enter_new(fuse_req_t req, fuse_ino_t *dir, const char *name, mode_t mode)
{
	struct server *s = enter_volume(req, dir);
	int rc = s != NULL ? fits(s, name, mode) : 0;

	if (rc == 0)
		return s;
	fuse_reply_err(req, -rc);
	return NULL;
}

/* As enter_volume, for what an ISO has none of. */
static struct server *
enter_unless_iso(fuse_req_t req, fuse_ino_t *ino, int error)
{
	struct server *s = enter_volume(req, ino);

	if (s == NULL || !s->is_iso)
		return s;
	fuse_reply_err(req, error);
	return NULL;
}

/* -- handlers that look ---------------------------------------------------- */

static void
all_lookup(fuse_req_t req, fuse_ino_t dir, const char *name)
{
	if (enter(req, &dir) == NULL)
		volumes_lookup(req, name);
	else
		fuse_handlers.lookup(req, dir, name);
}

static void
forget_one(fuse_req_t req, fuse_ino_t ino, uint64_t n)
{
	struct server *s = enter(req, &ino);

	if (s != NULL && nodes_forget(s->nodes, swap_root(ino), n) > 0)
		flush_changed(s->flusher);
}

static void
all_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n)
{
	forget_one(req, ino, n);
	fuse_reply_none(req);
}

static void
all_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		forget_one(req, forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

static void
all_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;

	if (enter(req, &ino) != NULL) {
		fuse_handlers.getattr(req, ino, fi);
		return;
	}
	volumes_stat(fuse_req_userdata(req), &st);
	fuse_reply_attr(req, &st, FOREVER);
}

static void
all_readlink(fuse_req_t req, fuse_ino_t ino)
{
	if (enter_volume(req, &ino) != NULL)
		fuse_handlers.readlink(req, ino);
}

static void
all_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
    struct fuse_file_info *fi)
{
	if (enter(req, &ino) != NULL)
		fuse_handlers.readdir(req, ino, size, off, fi);
	else
		volumes_readdir(req, size, off, false);
}

static void
all_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
    struct fuse_file_info *fi)
{
	if (enter(req, &ino) != NULL)
		fuse_handlers.readdirplus(req, ino, size, off, fi);
	else
		volumes_readdir(req, size, off, true);
}

static void
all_statfs(fuse_req_t req, fuse_ino_t ino)
{
	if (enter(req, &ino) == NULL) {
		server_here = fuse_req_userdata(req);
		ino = FUSE_ROOT_ID;
	}
	fuse_handlers.statfs(req, ino);
}

static void
all_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	if (enter(req, &ino) == NULL || server_here->is_iso)
		fuse_reply_err(req, ENODATA);
	else
		fuse_handlers.getxattr(req, ino, name, size);
}

static void
all_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	if (enter(req, &ino) != NULL && !server_here->is_iso)
		fuse_handlers.listxattr(req, ino, size);
	else if (size == 0)
		fuse_reply_xattr(req, 0);
	else
		fuse_reply_buf(req, NULL, 0);
}

/* -- handlers of data ------------------------------------------------------ */

static void
all_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	if (enter_volume(req, &ino) != NULL)
		ops_open_checked(req, ino, fi);
}

static void
all_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
    struct fuse_file_info *fi)
{
	struct server *s = enter_volume(req, &ino);
	struct iso_node node;
	char *buf;
	int64_t n;
	int found;

	if (s == NULL)
		return;
	found = is_in_iso(s, ino, &node);
	if (found == 0) {
		fuse_handlers.read(req, ino, size, off, fi);
		return;
	}
	buf = thread_buffer(size);
	n = found < 0 ? found
	    : buf == NULL
	    ? -ENOMEM
	    : session_iso_read(s->session, &node, (uint64_t)off, buf, size);
	if (n < 0)
		fuse_reply_err(req, (int)-n);
	else
		fuse_reply_buf(req, buf, (size_t)n);
}

/* As enter_volume, for a change of ino's data up to byte end. */
static struct server *
enter_change(fuse_req_t req, fuse_ino_t *ino, uint64_t end)
{
	struct server *s = enter_volume(req, ino);
	int rc = s != NULL ? fits_size(s, end) : 0;

	if (s != NULL && rc == 0)
		rc = lift(s, *ino, UINT64_MAX);
	if (rc == 0)
		return s;
	fuse_reply_err(req, -rc);
	return NULL;
}

static void
all_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size,
    off_t off, struct fuse_file_info *fi)
{
	if (enter_change(req, &ino, (uint64_t)off + size) != NULL)
		fuse_handlers.write(req, ino, buf, size, off, fi);
}

static void
all_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len,
    struct fuse_file_info *fi)
{
	if (enter_change(req, &ino, (uint64_t)off + (uint64_t)len) != NULL)
		fuse_handlers.fallocate(req, ino, mode, off, len, fi);
}

static void
all_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
    struct fuse_file_info *fi)
{
	const int rock_ridge =
	    FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID;
	struct server *s = enter_volume(req, &ino);
	int rc = 0;

	if (s == NULL)
		return;
	if (s->is_iso && (to_set & rock_ridge) != 0 &&
	    !iso_info(s->session->image->iso)->rock_ridge)
		rc = -EPERM;
	if (rc == 0 && (to_set & FUSE_SET_ATTR_SIZE) != 0)
		rc = fits_size(s, (uint64_t)attr->st_size);
	if (rc == 0 && (to_set & FUSE_SET_ATTR_SIZE) != 0)
		rc = lift(s, ino, (uint64_t)attr->st_size);
	if (rc < 0)
		fuse_reply_err(req, -rc);
	else
		fuse_handlers.setattr(req, ino, attr, to_set, fi);
}

static void
all_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	if (enter_volume(req, &ino) != NULL)
		fuse_handlers.release(req, ino, fi);
}

static void
all_fsync(
    fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	if (enter(req, &ino) != NULL)
		fuse_handlers.fsync(req, ino, datasync, fi);
	else
		fuse_reply_err(req, -volumes_flush(fuse_req_userdata(req)));
}

static void
all_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence,
    struct fuse_file_info *fi)
{
	struct server *s = enter_volume(req, &ino);
	struct iso_node node;
	int found;

	if (s == NULL)
		return;
	found = is_in_iso(s, ino, &node);
	if (found < 0)
		fuse_reply_err(req, -found);
	else if (found == 0)
		fuse_handlers.lseek(req, ino, off, whence, fi);
	else if (off < 0 || (uint64_t)off >= node.size)
		fuse_reply_err(req, ENXIO);
	else
		fuse_reply_lseek(
		    req, whence == SEEK_DATA ? off : (off_t)node.size);
}

/* -- handlers of names ----------------------------------------------------- */

static void
all_create(fuse_req_t req, fuse_ino_t dir, const char *name, mode_t mode,
    struct fuse_file_info *fi)
{
	if (enter_new(req, &dir, name, S_IFREG) != NULL)
		fuse_handlers.create(req, dir, name, mode, fi);
}

static void
all_mknod(
    fuse_req_t req, fuse_ino_t dir, const char *name, mode_t mode, dev_t rdev)
{
	if (enter_new(req, &dir, name, mode) != NULL)
		fuse_handlers.mknod(req, dir, name, mode, rdev);
}

static void
all_mkdir(fuse_req_t req, fuse_ino_t dir, const char *name, mode_t mode)
{
	if (enter_new(req, &dir, name, S_IFDIR) != NULL)
		fuse_handlers.mkdir(req, dir, name, mode);
}

static void
all_symlink(
    fuse_req_t req, const char *target, fuse_ino_t dir, const char *name)
{
	struct server *s = enter_new(req, &dir, name, S_IFLNK);

	if (s != NULL && s->is_iso && !iso_edit_target_fits(target))
		fuse_reply_err(req, ENAMETOOLONG);
	else if (s != NULL)
		fuse_handlers.symlink(req, target, dir, name);
}

static void
all_unlink(fuse_req_t req, fuse_ino_t dir, const char *name)
{
	if (enter_volume(req, &dir) != NULL)
		fuse_handlers.unlink(req, dir, name);
}

static void
all_rmdir(fuse_req_t req, fuse_ino_t dir, const char *name)
{
	if (enter_volume(req, &dir) != NULL)
		fuse_handlers.rmdir(req, dir, name);
}

static mode_t
type_of(const struct server *s, fuse_ino_t dir, const char *name)
{
	struct ufs_attr attr;

	return ufs_lookup(s->fs, swap_root(dir), name, strlen(name), &attr) < 0
	    ? S_IFREG
	    : attr.mode & S_IFMT;
}

static void
all_rename(fuse_req_t req, fuse_ino_t dir, const char *name, fuse_ino_t newdir,
    const char *newname, unsigned flags)
{
	struct server *to = enter_volume(req, &newdir), *s;
	int rc;

	if (to == NULL)
		return;
	s = enter_volume(req, &dir);
	if (s == NULL)
		return;
	rc = s != to ? -EXDEV : fits(s, newname, type_of(s, dir, name));
	if (rc < 0)
		fuse_reply_err(req, -rc);
	else
		fuse_handlers.rename(req, dir, name, newdir, newname, flags);
}

/* ISO 9660 knows no links: EPERM, says link(2). */
static void
all_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t dir, const char *name)
{
	struct server *to = enter_volume(req, &dir), *s;

	if (to == NULL)
		return;
	s = enter_unless_iso(req, &ino, EPERM);
	if (s == NULL)
		return;
	if (s != to)
		fuse_reply_err(req, EXDEV);
	else
		fuse_handlers.link(req, ino, dir, name);
}

static void
all_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
    const char *value, size_t size, int flags)
{
	if (enter_unless_iso(req, &ino, EOPNOTSUPP) != NULL)
		fuse_handlers.setxattr(req, ino, name, value, size, flags);
}

static void
all_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	if (enter_unless_iso(req, &ino, EOPNOTSUPP) != NULL)
		fuse_handlers.removexattr(req, ino, name);
}

static void
all_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg,
    struct fuse_file_info *fi, unsigned flags, const void *in, size_t in_size,
    size_t out_size)
{
	if (enter_unless_iso(req, &ino, ENOTTY) != NULL)
		fuse_handlers.ioctl(
		    req, ino, cmd, arg, fi, flags, in, in_size, out_size);
}

const struct fuse_lowlevel_ops fuse_all_handlers = {
    .init = ops_init,
    .lookup = all_lookup,
    .forget = all_forget,
    .forget_multi = all_forget_multi,
    .getattr = all_getattr,
    .setattr = all_setattr,
    .readlink = all_readlink,
    .mknod = all_mknod,
    .mkdir = all_mkdir,
    .unlink = all_unlink,
    .rmdir = all_rmdir,
    .symlink = all_symlink,
    .rename = all_rename,
    .link = all_link,
    .open = all_open,
    .read = all_read,
    .write = all_write,
    .release = all_release,
    .fsync = all_fsync,
    .opendir = ops_opendir,
    .readdir = all_readdir,
    .readdirplus = all_readdirplus,
    .fsyncdir = all_fsync,
    .statfs = all_statfs,
    .setxattr = all_setxattr,
    .getxattr = all_getxattr,
    .listxattr = all_listxattr,
    .removexattr = all_removexattr,
    .create = all_create,
    .fallocate = all_fallocate,
    .lseek = all_lseek,
    .ioctl = all_ioctl,
};
