/*
 * POSIX.1e access control lists.  The kernel checks them and who may set them;
 * the engine keeps them as FreeBSD does.
 *
 * NFSv4 lists, which the kernel knows nothing of, are attributes like others
 * (trusted.freebsd.system.nfs4.acl).
 */
#include <string.h>
#include <sys/stat.h>

#include "fuse_impl.h"

static const char *const kept_as[] = {
    [UFS_ACL_ACCESS] = "posix1e.acl_access",
    [UFS_ACL_DEFAULT] = "posix1e.acl_default",
};

bool
acl_is(const struct server *server, const char *name, enum ufs_acl_kind *kind)
{
	return server->acls && linux_acl_is(name, kind);
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
	for (int i = 0; i < 2; i++)
		if (strcmp(name, kept_as[i]) == 0)
			return linux_acl_name((enum ufs_acl_kind)i);
	return NULL;
}

int64_t
acl_get(const struct server *server, uint64_t ino, enum ufs_acl_kind kind,
    uint8_t value[LINUX_ACL_MAX])
{
	struct ufs_acl acl;
	int rc = ufs_acl_get(server->fs, ino, kind, &acl);

	return rc < 0 ? rc : (int64_t)linux_acl_make(&acl, value);
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
	int rc = value == NULL ? 0 : linux_acl_parse(value, len, &acl);

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
