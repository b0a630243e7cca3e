#include "ufs_impl.h"

static int
set_size(struct ufs *fs, struct ufs_node *node, uint64_t size)
{
	int rc;

	if (ufs_is_dir(node))
		return -EISDIR;
	if (!ufs_is_reg(node))
		return -EINVAL;
	rc = ufs_truncate_to(fs, node, size);
	/* POSIX: also where the size was that already. */
	if (rc == 0)
		ufs_touch(node, UFS_TOUCH_M | UFS_TOUCH_C);
	return rc;
}

static void
set_rest(struct ufs_dinode *d, unsigned set, const struct ufs_attr *attr)
{
	if (set & UFS_SET_MODE)
		d->mode = (d->mode & 0170000) | (attr->mode & 07777);
	if (set & UFS_SET_UID)
		d->uid = attr->uid;
	if (set & UFS_SET_GID)
		d->gid = attr->gid;
	if (set & UFS_SET_FLAGS)
		d->flags = attr->flags;
	if (set & UFS_SET_ATIME)
		d->atime = attr->atime;
	if (set & UFS_SET_MTIME)
		d->mtime = attr->mtime;
	if (set & UFS_SET_BIRTH)
		d->birth = attr->birth;
	if (set & UFS_SET_CTIME)
		d->ctime = attr->ctime;
}

static int
setattr_locked(struct ufs *fs, struct ufs_node *node, unsigned set,
    const struct ufs_attr *attr)
{
	int rc;

	if ((set & UFS_SET_FLAGS) &&
	    ((attr->flags ^ node->d.flags) & UFS_FLAG_SNAPSHOT))
		return -EPERM;
	if (set & UFS_SET_SIZE) {
		rc = set_size(fs, node, attr->size);
		if (rc < 0)
			return rc;
	}
	if (set != 0)
		ufs_touch(node, UFS_TOUCH_C);
	set_rest(&node->d, set, attr);
	rc = ufs_node_store(fs, node);
	return rc == 0 ? 0 : ufs_half_done(fs, rc);
}

int
ufs_setattr(struct ufs *fs, uint64_t ino, unsigned set,
    const struct ufs_attr *attr, struct ufs_attr *out)
{
	struct ufs_node *node;
	int rc = ufs_change_begin(fs);

	if (rc < 0)
		return rc;
	rc = ufs_node_get(fs, ino, &node);
	if (rc == 0) {
		rc = setattr_locked(fs, node, set, attr);
		if (rc == 0)
			ufs_attr_of(fs, node, out);
		ufs_node_put(fs, node);
	}
	return ufs_change_end(fs, rc);
}
