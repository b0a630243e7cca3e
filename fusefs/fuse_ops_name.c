/* Handlers that give names and take them away. */
#include <string.h>
#include <sys/stat.h>

#include "../imgfmt/compat.h"
#include "fuse_impl.h"

/* Something new in dir, of mode's type. */
static int
make(fuse_req_t req, fuse_ino_t dir, const char *name, struct ufs_new *what,
    struct ufs_attr *attr)
{
	struct server *server = server_of(req);
	struct ufs_new new;
	int rc = flush_admit(server->flusher);

	if (rc == 0)
		rc = perm_new(server, fuse_req_ctx(req), swap_root(dir),
		    what->mode, &new);
	if (rc < 0)
		return rc;
	what->mode = new.mode;
	what->umask = new.umask;
	what->uid = new.uid;
	what->gid = new.gid;
	rc = ufs_create(
	    server->fs, swap_root(dir), name, strlen(name), what, attr);
	if (rc == 0)
		flush_changed(server->flusher);
	return rc;
}

void
ops_mknod(
    fuse_req_t req, fuse_ino_t ino, const char *name, mode_t mode, dev_t rdev)
{
	struct ufs_new what = {.mode = mode};
	struct ufs_attr attr;

	if (S_ISCHR(mode) || S_ISBLK(mode)) {
		what.rdev_major = major(rdev);
		what.rdev_minor = minor(rdev);
	}
	reply_entry(req, make(req, ino, name, &what, &attr), &attr);
}

void
ops_mkdir(fuse_req_t req, fuse_ino_t ino, const char *name, mode_t mode)
{
	struct ufs_new what = {.mode = S_IFDIR | (mode & 07777)};
	struct ufs_attr attr;

	reply_entry(req, make(req, ino, name, &what, &attr), &attr);
}

void
ops_symlink(
    fuse_req_t req, const char *target, fuse_ino_t dir, const char *name)
{
	struct ufs_new what = {.mode = S_IFLNK | 0777,
	    .target = target,
	    .target_len = strlen(target)};
	struct ufs_attr attr;

	reply_entry(req, make(req, dir, name, &what, &attr), &attr);
}

void
ops_create(fuse_req_t req, fuse_ino_t ino, const char *name, mode_t mode,
    struct fuse_file_info *fi)
{
	struct server *server = server_of(req);
	struct ufs_new what = {.mode = S_IFREG | (mode & 07777)};
	struct fuse_entry_param entry;
	struct ufs_attr attr;
	int rc = make(req, ino, name, &what, &attr);

	if (rc == 0)
		rc = nodes_hold(server->nodes, attr.ino);
	if (rc < 0) {
		fuse_reply_err(req, -rc);
		return;
	}
	entry_of(server, &attr, &entry);
	fi->keep_cache = 1;
	if (fuse_reply_create(req, &entry, fi) < 0)
		(void)nodes_forget(server->nodes, attr.ino, 1);
}

static void
remove_name(fuse_req_t req, fuse_ino_t dir, const char *name, bool is_dir)
{
	struct server *server = server_of(req);
	uint64_t ino = swap_root(dir);
	int rc = perm_check_name(server, ino, name);

	if (rc == 0)
		rc = ufs_remove(server->fs, ino, name, strlen(name), is_dir);
	reply_changed(req, rc);
}

void
ops_unlink(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	remove_name(req, ino, name, false);
}

void
ops_rmdir(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	remove_name(req, ino, name, true);
}

/* May the entry to, if there is one, make place for another? */
static int
check_target(const struct server *server, const struct ufs_name *to)
{
	struct ufs_attr attr;
	int rc = perm_check(server, to->dir, PERM_ENTER);

	if (rc < 0)
		return rc;
	rc = ufs_lookup(server->fs, to->dir, to->name, to->len, &attr);
	if (rc == 0)
		rc = perm_check_name(server, to->dir, to->name);
	return rc == -ENOENT ? 0 : rc;
}

static int
rename_to(struct server *server, const struct ufs_name *from,
    const struct ufs_name *to, unsigned flags)
{
	int rc;

	if ((flags & ~(unsigned)(UFS_RENAME_NOREPLACE | UFS_RENAME_EXCHANGE)) !=
	    0)
		return -EINVAL;
	rc = flush_admit(server->flusher);
	if (rc == 0)
		rc = perm_check_name(server, from->dir, from->name);
	if (rc == 0)
		rc = check_target(server, to);
	return rc < 0 ? rc : ufs_rename(server->fs, from, to, flags);
}

void
ops_rename(fuse_req_t req, fuse_ino_t ino, const char *name, fuse_ino_t newdir,
    const char *newname, unsigned flags)
{
	const struct ufs_name from = {
	    .dir = swap_root(ino), .name = name, .len = strlen(name)};
	const struct ufs_name to = {
	    .dir = swap_root(newdir), .name = newname, .len = strlen(newname)};

	/* The flags are Linux's own, with the same values. */
	reply_changed(req, rename_to(server_of(req), &from, &to, flags));
}

void
ops_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newdir, const char *newname)
{
	struct server *server = server_of(req);
	struct ufs_attr attr;
	int rc = flush_admit(server->flusher);

	if (rc == 0)
		rc = perm_check(server, swap_root(ino), PERM_OWN);
	if (rc == 0)
		rc = perm_check(server, swap_root(newdir), PERM_ENTER);
	if (rc == 0)
		rc = ufs_link(server->fs, swap_root(ino), swap_root(newdir),
		    newname, strlen(newname), &attr);
	if (rc == 0)
		flush_changed(server->flusher);
	reply_entry(req, rc, &attr);
}
