/*
 * Names come and go: create, link, remove.
 *
 * A new inode is complete before its name is entered, and a name is erased
 * before its inode goes; entering and erasing are the only steps that fail
 * for want of space, and they come where nothing, or one new inode, has to be
 * given back.
 */
#include <string.h>

#include "ufs_name.h"

enum { TARGET_MAX = 4095 };

int
ufs_name_target(struct ufs *fs, struct ufs_node *dir, const char *name,
    size_t len, struct ufs_slot *slot)
{
	int rc;

	if (!ufs_is_dir(dir))
		return -ENOTDIR;
	rc = ufs_name_ok(name, len);
	if (rc < 0)
		return rc;
	if (dir->d.nlink == 0)
		return -ENOENT;
	rc = ufs_dir_find(fs, dir, name, len, slot);
	if (rc == -ENOENT)
		return UFS_NAME_FREE;
	if (rc < 0)
		return rc;
	return slot->entry.type == UFS_DT_WHT ? UFS_NAME_WHITEOUT
					      : UFS_NAME_TAKEN;
}

int
ufs_name_enter(struct ufs *fs, struct ufs_node *dir,
    const struct ufs_name *name, int state, const struct ufs_slot *slot,
    const struct ufs_node *node)
{
	uint8_t type = ufs_type_of(node);

	if (state == UFS_NAME_FREE)
		return ufs_dir_enter(
		    fs, dir, name->name, name->len, node->ino, type);
	return ufs_dir_redirect(fs, dir, slot, node->ino, type);
}

int
ufs_name_drop(struct ufs *fs, struct ufs_node *node, uint32_t links)
{
	int rc;

	node->d.nlink -= links < node->d.nlink ? links : node->d.nlink;
	node->nameless = node->d.nlink == 0;
	ufs_touch(node, UFS_TOUCH_C);
	rc = ufs_node_store(fs, node);
	if (rc == 0 && node->d.nlink == 0 && node->pins == 0)
		return ufs_node_reap(fs, node);
	ufs_node_put(fs, node);
	return rc == 0 ? 0 : ufs_half_done(fs, rc);
}

/* -- create -----------------------------------------------------------------
 */

/* UFS1 keeps 32 bits of a device number. */
static int
device_ok(const struct ufs *fs, const struct ufs_new *what)
{
	uint64_t dev = ufs_dev_make(what->rdev_major, what->rdev_minor);

	return fs->sb.version == 1 && dev > UINT32_MAX ? -EINVAL : 0;
}

static int
new_ok(const struct ufs *fs, const struct ufs_node *dir,
    const struct ufs_new *what)
{
	switch (what->mode & 0170000) {
	case 0010000:
	case 0100000:
	case 0140000:
		return 0;
	case 0020000:
	case 0060000:
		return device_ok(fs, what);
	case 0040000:
		return dir->d.nlink >= UFS_LINK_MAX ? -EMLINK : 0;
	case 0120000:
		if (what->target == NULL || what->target_len == 0)
			return -EINVAL;
		return what->target_len > TARGET_MAX ? -ENAMETOOLONG : 0;
	default:
		return -EINVAL;
	}
}

static void
fill_node(struct ufs *fs, struct ufs_node *node, const struct ufs_new *what,
    uint32_t mode)
{
	struct ufs_dinode *d = &node->d;
	unsigned type = what->mode & 0170000;

	d->mode = mode & 0177777;
	d->nlink = type == 0040000 ? 2 : 1;
	d->uid = what->uid;
	d->gid = what->gid;
	d->gen = fs->last_gen;
	d->atime = d->mtime = d->ctime = d->birth = ufs_now();
	if (type == 0020000 || type == 0060000)
		d->db[0] = ufs_dev_make(what->rdev_major, what->rdev_minor);
}

/* "." and ".." of a new directory. */
static int
fill_directory(
    struct ufs *fs, struct ufs_node *node, const struct ufs_node *dir)
{
	uint8_t raw[UFS_DIRBLK] = {0};
	bool big = fs->sb.big;
	struct ufs_dirent_disk dot = {.type = 4, .namelen = 1};
	struct ufs_dirent_disk dotdot = {.type = 4, .namelen = 2};
	uint64_t done;

	dot.ino = raw32_set((uint32_t)node->ino, big);
	dot.reclen = raw16_set(12, big);
	dotdot.ino = raw32_set((uint32_t)dir->ino, big);
	dotdot.reclen = raw16_set(UFS_DIRBLK - 12, big);
	memcpy(raw, &dot, sizeof(dot));
	memcpy(raw + sizeof(dot), ".", 1);
	memcpy(raw + 12, &dotdot, sizeof(dotdot));
	memcpy(raw + 12 + sizeof(dotdot), "..", 2);
	return ufs_node_write(fs, node, 0, raw, sizeof(raw), &done);
}

/* A target within the inode if it is short enough (trap 38). */
static int
fill_target(struct ufs *fs, struct ufs_node *node, const struct ufs_new *what)
{
	uint64_t done;

	if (what->target_len < fs->sb.maxsymlinklen) {
		memcpy(node->d.target, what->target, what->target_len);
		node->d.size = what->target_len;
		return 0;
	}
	return ufs_node_write(
	    fs, node, 0, what->target, what->target_len, &done);
}

static int
fill_contents(struct ufs *fs, struct ufs_node *node, struct ufs_node *dir,
    const struct ufs_new *what)
{
	int rc = 0;

	if (ufs_is_dir(node))
		rc = fill_directory(fs, node, dir);
	else if (ufs_is_link(node))
		rc = fill_target(fs, node, what);
	return rc < 0 ? rc : ufs_node_store(fs, node);
}

/* An inode without a name yet; *out is referenced. */
static int
make_node(struct ufs *fs, struct ufs_node *dir, const struct ufs_new *what,
    struct ufs_node **out)
{
	bool is_dir = (what->mode & 0170000) == 0040000;
	struct ufs_inherited inherited;
	uint64_t ino;
	int rc = ufs_acl_inherit(fs, dir, what->mode, what->umask, &inherited);

	if (rc == 0)
		rc = ufs_alloc_inode(fs, dir, what->mode, &ino);
	if (rc < 0)
		return rc;
	rc = ufs_node_new(fs, ino, out);
	if (rc < 0) {
		if (ufs_free_inode(fs, ino, is_dir) < 0)
			ufs_half_done(fs, rc);
		return rc;
	}
	fill_node(fs, *out, what, inherited.mode);
	rc = fill_contents(fs, *out, dir, what);
	if (rc == 0)
		rc = ufs_acl_give(fs, *out, &inherited);
	if (rc < 0 && ufs_node_reap(fs, *out) < 0)
		ufs_half_done(fs, rc);
	return rc;
}

static int
create_locked(struct ufs *fs, struct ufs_node *dir, const struct ufs_name *name,
    const struct ufs_new *what, struct ufs_attr *out)
{
	struct ufs_node *node;
	struct ufs_slot slot;
	int state = ufs_name_target(fs, dir, name->name, name->len, &slot);
	int rc;

	if (state < 0)
		return state;
	if (state == UFS_NAME_TAKEN)
		return -EEXIST;
	rc = new_ok(fs, dir, what);
	if (rc == 0)
		rc = make_node(fs, dir, what, &node);
	if (rc < 0)
		return rc;
	rc = ufs_name_enter(fs, dir, name, state, &slot, node);
	if (rc < 0) {
		if (ufs_node_reap(fs, node) < 0)
			ufs_half_done(fs, rc);
		return rc;
	}
	if (ufs_is_dir(node)) {
		dir->d.nlink++;
		rc = ufs_node_store(fs, dir);
		if (rc < 0)
			ufs_half_done(fs, rc);
	}
	ufs_attr_of(fs, node, out);
	ufs_node_put(fs, node);
	return rc;
}

int
ufs_create(struct ufs *fs, uint64_t dir, const char *name, size_t len,
    const struct ufs_new *what, struct ufs_attr *out)
{
	struct ufs_name where = {dir, name, len};
	struct ufs_node *node;
	int rc = ufs_change_begin(fs);

	if (rc < 0)
		return rc;
	rc = ufs_node_get(fs, dir, &node);
	if (rc == 0) {
		rc = create_locked(fs, node, &where, what, out);
		ufs_node_put(fs, node);
	}
	return ufs_change_end(fs, rc);
}

/* -- link -------------------------------------------------------------------
 */

static int
link_locked(struct ufs *fs, struct ufs_node *node, struct ufs_node *dir,
    const struct ufs_name *name)
{
	struct ufs_slot slot;
	int state, rc;

	if (ufs_is_dir(node))
		return -EPERM;
	state = ufs_name_target(fs, dir, name->name, name->len, &slot);
	if (state < 0)
		return state;
	if (state == UFS_NAME_TAKEN)
		return -EEXIST;
	if (node->d.nlink == 0)
		return -ENOENT;
	if (node->d.nlink >= UFS_LINK_MAX)
		return -EMLINK;
	rc = ufs_name_enter(fs, dir, name, state, &slot, node);
	if (rc < 0)
		return rc;
	node->d.nlink++;
	ufs_touch(node, UFS_TOUCH_C);
	rc = ufs_node_store(fs, node);
	return rc == 0 ? 0 : ufs_half_done(fs, rc);
}

int
ufs_link(struct ufs *fs, uint64_t ino, uint64_t dir, const char *name,
    size_t len, struct ufs_attr *out)
{
	struct ufs_name where = {dir, name, len};
	struct ufs_node *node, *dir_node;
	int rc = ufs_change_begin(fs);

	if (rc < 0)
		return rc;
	rc = ufs_node_get(fs, ino, &node);
	if (rc < 0)
		return ufs_change_end(fs, rc);
	rc = ufs_node_get(fs, dir, &dir_node);
	if (rc == 0) {
		rc = link_locked(fs, node, dir_node, &where);
		ufs_node_put(fs, dir_node);
	}
	if (rc == 0)
		ufs_attr_of(fs, node, out);
	ufs_node_put(fs, node);
	return ufs_change_end(fs, rc);
}

/* -- remove -----------------------------------------------------------------
 */

/* An entry other than ".", ".." and whiteouts, which do not count. */
static int
is_child(void *arg, const struct ufs_slot *slot)
{
	const struct ufs_dirent *e = &slot->entry;

	(void)arg;
	if (e->type == UFS_DT_WHT)
		return 0;
	if (e->namelen <= 2 && memcmp(e->name, "..", e->namelen) == 0)
		return 0;
	return -ENOTEMPTY;
}

int
ufs_name_may_go(struct ufs *fs, struct ufs_node *node, bool is_dir)
{
	struct ufs_cg *cg;
	int rc;

	if (is_dir && !ufs_is_dir(node))
		return -ENOTDIR;
	if (!is_dir && ufs_is_dir(node))
		return -EISDIR;
	if (node->ino == UFS_ROOT)
		return -EBUSY;
	if (is_dir) {
		rc = ufs_dir_each(fs, node, 0, is_child, NULL);
		if (rc < 0)
			return rc;
	}
	if (!is_dir && node->d.nlink > 1)
		return 0;
	/* Its number goes back to a group that has to be sound. */
	rc = ufs_cg_get(fs, (uint32_t)(node->ino / fs->sb.ipg), &cg);
	if (rc < 0 || node->pins > 0)
		return rc;
	return ufs_check_blocks(fs, node);
}

static int
remove_locked(struct ufs *fs, struct ufs_node *dir, const char *name,
    size_t len, bool is_dir)
{
	struct ufs_node *node;
	struct ufs_slot slot;
	int rc = ufs_name_target(fs, dir, name, len, &slot);

	if (rc < 0)
		return rc;
	if (rc != UFS_NAME_TAKEN)
		return -ENOENT;
	rc = ufs_node_get(fs, slot.entry.ino, &node);
	if (rc < 0)
		return rc;
	rc = ufs_name_may_go(fs, node, is_dir);
	if (rc == 0)
		rc = ufs_dir_erase(fs, dir, &slot);
	if (rc == 0 && is_dir && dir->d.nlink > 0) {
		dir->d.nlink--;
		rc = ufs_node_store(fs, dir);
		if (rc < 0)
			ufs_half_done(fs, rc);
	}
	if (rc < 0) {
		ufs_node_put(fs, node);
		return rc;
	}
	return ufs_name_drop(fs, node, is_dir ? node->d.nlink : 1);
}

int
ufs_remove(
    struct ufs *fs, uint64_t dir, const char *name, size_t len, bool is_dir)
{
	struct ufs_node *node;
	int rc = ufs_change_begin(fs);

	if (rc < 0)
		return rc;
	rc = ufs_node_get(fs, dir, &node);
	if (rc == 0) {
		rc = remove_locked(fs, node, name, len, is_dir);
		ufs_node_put(fs, node);
	}
	return ufs_change_end(fs, rc);
}
