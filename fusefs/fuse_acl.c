/*
 * POSIX.1e access control lists as the kernel hands them over: the value of
 * an attribute of its own, little-endian.  The kernel checks them and who may
 * set them; the engine keeps them as FreeBSD does.
 *
 * NFSv4 lists, which the kernel knows nothing of, are attributes like others
 * (trusted.freebsd.system.nfs4.acl).
 */
#include <assert.h>
#include <string.h>
#include <sys/stat.h>

#include "../imgfmt/bytes.h"
#include "fuse_impl.h"

/* <linux/posix_acl_xattr.h> */
enum { LINUX_VERSION = 2 };
struct linux_entry {
	le16 tag, perm;
	le32 id;
};
struct linux_acl {
	le32 version;
	struct linux_entry entry[UFS_ACL_MOST];
};
static_assert(sizeof(struct linux_acl) == ACL_VALUE_MAX, "as Linux has it");

static const char *const names[] = {
    [UFS_ACL_ACCESS] = "system.posix_acl_access",
    [UFS_ACL_DEFAULT] = "system.posix_acl_default",
};
static const char *const kept_as[] = {
    [UFS_ACL_ACCESS] = "posix1e.acl_access",
    [UFS_ACL_DEFAULT] = "posix1e.acl_default",
};

static bool
kind_of(const char *name, const char *const among[2], enum ufs_acl_kind *kind)
{
	for (int i = 0; i < 2; i++)
		if (strcmp(among[i], name) == 0) {
			*kind = (enum ufs_acl_kind)i;
			return true;
		}
	return false;
}

bool
acl_is(const struct server *server, const char *name, enum ufs_acl_kind *kind)
{
	return server->acls && kind_of(name, names, kind);
}

bool
acl_are_shown(const struct server *server)
{
	struct ufs_info info;

	ufs_info(server->fs, &info);
	return server->acls && info.acls;
}

const char *
acl_shown_as(const char *name)
{
	enum ufs_acl_kind kind;

	return kind_of(name, kept_as, &kind) ? names[kind] : NULL;
}

int64_t
acl_get(const struct server *server, uint64_t ino, enum ufs_acl_kind kind,
    uint8_t value[ACL_VALUE_MAX])
{
	struct linux_acl out = {.version = le32_set(LINUX_VERSION)};
	struct ufs_acl acl;
	size_t len;
	int rc = ufs_acl_get(server->fs, ino, kind, &acl);

	if (rc < 0)
		return rc;
	for (unsigned i = 0; i < acl.n; i++) {
		const struct ufs_acl_entry *e = &acl.entry[i];
		bool named = (e->tag & (UFS_ACL_USER | UFS_ACL_GROUP)) != 0;

		out.entry[i].tag = le16_set(e->tag);
		out.entry[i].perm = le16_set(e->perm);
		out.entry[i].id = le32_set(named ? e->id : UINT32_MAX);
	}
	len = sizeof(out.version) + acl.n * sizeof(struct linux_entry);
	memcpy(value, &out, len);
	return (int64_t)len;
}

/* -EINVAL: no list; -ENOSPC: more entries than FreeBSD has room for. */
static int
parse(const void *value, size_t len, struct ufs_acl *out)
{
	struct linux_acl in;
	size_t n;

	if (len < sizeof(in.version) ||
	    (len - sizeof(in.version)) % sizeof(struct linux_entry) != 0)
		return -EINVAL;
	n = (len - sizeof(in.version)) / sizeof(struct linux_entry);
	if (n > UFS_ACL_MOST)
		return -ENOSPC;
	memcpy(&in, value, len);
	if (le32_get(in.version) != LINUX_VERSION)
		return -EINVAL;
	out->n = (unsigned)n;
	for (size_t i = 0; i < n; i++)
		out->entry[i] = (struct ufs_acl_entry){
		    .tag = le16_get(in.entry[i].tag),
		    .perm = le16_get(in.entry[i].perm) & 7,
		    .id = le32_get(in.entry[i].id),
		};
	return 0;
}

/* As chmod: set-gid goes where the caller does not run with the group. */
static int
drop_set_gid(fuse_req_t req, uint64_t ino)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct ufs *fs = server_of(req)->fs;
	struct ufs_attr attr;
	int rc = ufs_getattr(fs, ino, &attr);

	if (rc < 0 || ctx->uid == 0 || ctx->gid == attr.gid ||
	    (attr.mode & S_ISGID) == 0)
		return rc;
	attr.mode &= ~(uint32_t)S_ISGID;
	return ufs_setattr(fs, ino, UFS_SET_MODE, &attr, &attr);
}

int
acl_set(fuse_req_t req, uint64_t ino, enum ufs_acl_kind kind, const void *value,
    size_t len)
{
	struct server *server = server_of(req);
	struct ufs_acl acl = {0};
	int rc = value == NULL ? 0 : parse(value, len, &acl);

	if (rc == 0)
		rc = flush_admit(server->flusher);
	if (rc == 0)
		rc = perm_check(server, ino, PERM_OWN);
	if (rc == 0)
		rc = ufs_acl_set(server->fs, ino, kind, &acl);
	if (rc == 0 && kind == UFS_ACL_ACCESS && value != NULL)
		rc = drop_set_gid(req, ino);
	return rc;
}
