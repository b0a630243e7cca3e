/*
 * POSIX.1e access control lists (formats.md 2.10): two attributes of the
 * system name space, of one size whatever is in them, in the file system's
 * byte order.  What the list says of owner, mask (or group, without a mask)
 * and others is the inode's mode: that counts where they differ, so a chmod
 * needs to touch no list.
 *
 * FreeBSD obeys lists where the superblock has FS_ACLS, so the first list sets
 * it; without it there are none, whatever attributes there are.
 */
#include <string.h>

#include "ufs_impl.h"

static_assert(sizeof(struct ufs_acl_disk) == UFS_ACL_BYTES &&
	(int)UFS_ACL_SLOTS == (int)UFS_ACL_MOST,
    "one size in both headers");

static const char *const names[] = {
    [UFS_ACL_ACCESS] = "posix1e.acl_access",
    [UFS_ACL_DEFAULT] = "posix1e.acl_default",
};

static bool
has_lists(const struct ufs *fs)
{
	return fs->sb.version == 2 && (fs->sb.flags & UFS_FS_ACLS) != 0;
}

/* -- the attribute --------------------------------------------------------- */

static int
decode(const struct ufs *fs, const uint8_t *bytes, struct ufs_acl *out)
{
	struct ufs_acl_disk disk;
	uint32_t n;

	memcpy(&disk, bytes, sizeof(disk));
	n = raw32_get(disk.count, fs->sb.big);
	if (n > UFS_ACL_MOST)
		return -EPERM;
	*out = (struct ufs_acl){.n = n};
	for (uint32_t i = 0; i < n; i++)
		out->entry[i] = (struct ufs_acl_entry){
		    .tag = (uint16_t)raw32_get(disk.entry[i].tag, fs->sb.big),
		    .perm = raw16_get(disk.entry[i].perm, fs->sb.big) & 7,
		    .id = raw32_get(disk.entry[i].id, fs->sb.big),
		};
	return 0;
}

void
ufs_acl_encode(
    const struct ufs_acl *acl, bool big, uint8_t value[UFS_ACL_BYTES])
{
	struct ufs_acl_disk disk;

	memset(&disk, 0, sizeof(disk));
	disk.count = raw32_set(acl->n, big);
	for (unsigned i = 0; i < acl->n; i++) {
		disk.entry[i].tag = raw32_set(acl->entry[i].tag, big);
		disk.entry[i].id = raw32_set(acl->entry[i].id, big);
		disk.entry[i].perm = raw16_set(acl->entry[i].perm, big);
	}
	memcpy(value, &disk, sizeof(disk));
}

const char *
ufs_acl_attribute(enum ufs_acl_kind kind)
{
	return names[kind];
}

static void
swap(uint8_t *at, size_t len)
{
	for (size_t i = 0; i < len / 2; i++) {
		uint8_t byte = at[i];

		at[i] = at[len - 1 - i];
		at[len - 1 - i] = byte;
	}
}

/* Words of 32 bits, then pairs of 16, over and over. */
static void
swap_entries(uint8_t *at, const uint8_t *end, int words)
{
	while (at < end) {
		for (int i = 0; i < words; i++, at += 4)
			swap(at, 4);
		swap(at, 2);
		swap(at + 2, 2);
		at += 4;
	}
}

void
ufs_acl_reorder(const char *name, void *value, size_t len)
{
	enum { NFS4_BYTES = 4088, NFS4_HEAD = 6 * 4 };
	uint8_t *at = value;

	if (len == UFS_ACL_BYTES &&
	    (strcmp(name, names[UFS_ACL_ACCESS]) == 0 ||
		strcmp(name, names[UFS_ACL_DEFAULT]) == 0)) {
		swap(at, 4);
		swap_entries(at + 4, at + len, 2);
	} else if (len == NFS4_BYTES && strcmp(name, "nfs4.acl") == 0) {
		for (size_t i = 0; i < NFS4_HEAD; i += 4)
			swap(at + i, 4);
		swap_entries(at + NFS4_HEAD, at + len, 3);
	}
}

int
ufs_acl_obey(struct ufs *fs, bool posix, bool nfs4)
{
	int rc = ufs_change_begin(fs);

	if (rc < 0)
		return rc;
	if (fs->sb.version == 2 && nfs4)
		fs->sb.flags |= UFS_FS_NFS4ACLS;
	else if (fs->sb.version == 2 && posix)
		fs->sb.flags |= UFS_FS_ACLS;
	return ufs_change_end(fs, 0);
}

/* 1: *out is what the attribute says; 0: there is none.  -EPERM: no list. */
static int
load(struct ufs *fs, struct ufs_node *node, enum ufs_acl_kind kind,
    struct ufs_acl *out)
{
	scoped(freep) uint8_t *area = NULL;
	struct ufs_ea r;
	int rc = ufs_ea_load(fs, node, &area);

	if (rc == 0)
		rc =
		    ufs_ea_find(fs, node, area, UFS_EA_SYSTEM, names[kind], &r);
	if (rc == -EOPNOTSUPP) /* devices */
		return 0;
	if (rc <= 0)
		return rc;
	if (r.value_len != sizeof(struct ufs_acl_disk))
		return -EPERM; /* as FreeBSD has it */
	rc = decode(fs, area + r.value_off, out);
	return rc < 0 ? rc : 1;
}

static int
store(struct ufs *fs, struct ufs_node *node, enum ufs_acl_kind kind,
    const struct ufs_acl *acl)
{
	uint8_t value[UFS_ACL_BYTES];
	int rc;

	if (acl->n == 0) {
		rc = ufs_node_xattr(
		    fs, node, UFS_EA_SYSTEM, names[kind], NULL, 0);
		return rc == -ENOXATTR ? 0 : rc;
	}
	ufs_acl_encode(acl, fs->sb.big, value);
	rc = ufs_node_xattr(
	    fs, node, UFS_EA_SYSTEM, names[kind], value, sizeof(value));
	if (rc == 0)
		fs->sb.flags |= UFS_FS_ACLS;
	return rc;
}

/* -- list and mode --------------------------------------------------------- */

/* The entry of that tag, of which there is at most one; or NULL. */
static struct ufs_acl_entry *
entry_of(struct ufs_acl *acl, unsigned tag)
{
	for (unsigned i = 0; i < acl->n; i++)
		if (acl->entry[i].tag == tag)
			return &acl->entry[i];
	return NULL;
}

/* What the mode's bits at shift are called in the list; or NULL. */
static struct ufs_acl_entry *
entry_of_class(struct ufs_acl *acl, int shift)
{
	struct ufs_acl_entry *mask = entry_of(acl, UFS_ACL_MASK);

	return shift == 6  ? entry_of(acl, UFS_ACL_USER_OBJ)
	    : shift == 0   ? entry_of(acl, UFS_ACL_OTHER)
	    : mask != NULL ? mask
			   : entry_of(acl, UFS_ACL_GROUP_OBJ);
}

/* Let the list say what the mode does. */
static void
follow_mode(struct ufs_acl *acl, uint32_t mode)
{
	for (int shift = 0; shift <= 6; shift += 3) {
		struct ufs_acl_entry *e = entry_of_class(acl, shift);

		if (e != NULL)
			e->perm = mode >> shift & 7;
	}
}

/* mode with the permissions that the list gives. */
static uint32_t
mode_of(struct ufs_acl *acl, uint32_t mode)
{
	for (int shift = 0; shift <= 6; shift += 3) {
		const struct ufs_acl_entry *e = entry_of_class(acl, shift);

		if (e != NULL)
			mode = (mode & ~(7u << shift)) |
			    (uint32_t)e->perm << shift;
	}
	return mode;
}

/* A list that says no more than a mode. */
static bool
is_mode_alone(const struct ufs_acl *acl)
{
	for (unsigned i = 0; i < acl->n; i++)
		if ((acl->entry[i].tag &
			(UFS_ACL_USER | UFS_ACL_GROUP | UFS_ACL_MASK)) != 0)
			return false;
	return true;
}

/* -- asking and setting ---------------------------------------------------- */

int
ufs_acl_get(
    struct ufs *fs, uint64_t ino, enum ufs_acl_kind kind, struct ufs_acl *out)
{
	struct ufs_node *node;
	int rc;

	pthread_rwlock_rdlock(&fs->lock);
	rc = has_lists(fs) ? ufs_node_get(fs, ino, &node) : -ENOXATTR;
	if (rc == 0) {
		rc = load(fs, node, kind, out);
		if (rc > 0 && kind == UFS_ACL_ACCESS)
			follow_mode(out, node->d.mode);
		rc = rc > 0 ? 0 : rc == 0 ? -ENOXATTR : rc;
		ufs_node_put(fs, node);
	}
	pthread_rwlock_unlock(&fs->lock);
	return rc;
}

static int
set_locked(struct ufs *fs, struct ufs_node *node, enum ufs_acl_kind kind,
    const struct ufs_acl *acl)
{
	static const struct ufs_acl none;
	struct ufs_acl copy = *acl;
	int rc;

	if (fs->sb.version == 1 || (fs->sb.flags & UFS_FS_NFS4ACLS) != 0)
		return -EOPNOTSUPP;
	if (kind == UFS_ACL_DEFAULT)
		return ufs_is_dir(node) || acl->n == 0
		    ? store(fs, node, kind, acl)
		    : -EACCES;
	rc = store(fs, node, kind, is_mode_alone(acl) ? &none : acl);
	if (rc < 0 || acl->n == 0)
		return rc;
	node->d.mode = mode_of(&copy, node->d.mode);
	ufs_touch(node, UFS_TOUCH_C);
	rc = ufs_node_store(fs, node);
	return rc == 0 ? 0 : ufs_half_done(fs, rc);
}

int
ufs_acl_set(struct ufs *fs, uint64_t ino, enum ufs_acl_kind kind,
    const struct ufs_acl *acl)
{
	struct ufs_node *node;
	int rc = acl->n > UFS_ACL_MOST ? -ENOSPC : ufs_change_begin(fs);

	if (rc < 0)
		return rc;
	rc = ufs_node_get(fs, ino, &node);
	if (rc == 0) {
		rc = set_locked(fs, node, kind, acl);
		ufs_node_put(fs, node);
	}
	return ufs_change_end(fs, rc);
}

/* -- inheriting ------------------------------------------------------------ */

/* Each class gets what both the list and the caller's mode give it. */
static void
narrow(struct ufs_acl *acl, uint32_t *mode)
{
	for (int shift = 0; shift <= 6; shift += 3) {
		struct ufs_acl_entry *e = entry_of_class(acl, shift);

		if (e == NULL)
			continue;
		e->perm &= *mode >> shift & 7;
		*mode = (*mode & ~(7u << shift)) | (uint32_t)e->perm << shift;
	}
}

int
ufs_acl_inherit(struct ufs *fs, struct ufs_node *dir, uint32_t mode,
    uint32_t umask, struct ufs_inherited *out)
{
	uint32_t type = mode & 0170000;
	int rc = 0;

	*out = (struct ufs_inherited){.mode = mode};
	if (type == 0120000)
		return 0;
	if (has_lists(fs))
		rc = load(fs, dir, UFS_ACL_DEFAULT, &out->access);
	if (rc < 0)
		return rc;
	if (rc == 0) {
		out->mode &= ~(umask & 0777);
		return 0;
	}
	if (type == 0040000)
		out->initial = out->access;
	narrow(&out->access, &out->mode);
	if (is_mode_alone(&out->access))
		out->access.n = 0;
	/* Devices have no attributes: the mask must not become their group's.
	 */
	if (type == 0020000 || type == 0060000) {
		const struct ufs_acl_entry *group =
		    entry_of(&out->access, UFS_ACL_GROUP_OBJ);

		if (group != NULL)
			out->mode &= ~070u | (uint32_t)group->perm << 3;
		out->access.n = 0;
	}
	return 0;
}

int
ufs_acl_give(
    struct ufs *fs, struct ufs_node *node, const struct ufs_inherited *from)
{
	int rc = 0;

	if (from->access.n > 0)
		rc = store(fs, node, UFS_ACL_ACCESS, &from->access);
	if (rc == 0 && from->initial.n > 0)
		rc = store(fs, node, UFS_ACL_DEFAULT, &from->initial);
	return rc;
}
