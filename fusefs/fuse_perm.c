/*
 * What the kernel cannot check: file flags of chflags(1).  As FreeBSD does it
 * at securelevel -1 and 0: an immutable file is not changed by anyone, root
 * included, before somebody takes the flag off.  The kernel opens files without
 * us, so what is refused is the first write; not what comes from a mapping, as
 * that may be older than the flag, and would be lost.
 *
 * The journal of soft updates is FreeBSD's own, whatever its flags (formats.md,
 * trap 57).
 */
#include <string.h>
#include <sys/stat.h>

#include "fuse_impl.h"

enum {
	IMMUTABLE = UFS_FLAG_UIMMUTABLE | UFS_FLAG_SIMMUTABLE,
	APPEND = UFS_FLAG_UAPPEND | UFS_FLAG_SAPPEND,
	NOUNLINK = UFS_FLAG_UNOUNLINK | UFS_FLAG_SNOUNLINK,
	SNAPSHOT = UFS_FLAG_SNAPSHOT,
};

static const uint32_t forbidding[] = {
    [PERM_WRITE] = IMMUTABLE | APPEND | SNAPSHOT,
    [PERM_APPEND] = IMMUTABLE | SNAPSHOT,
    [PERM_OWN] = IMMUTABLE | APPEND,
    [PERM_ENTER] = IMMUTABLE,
    [PERM_LEAVE] = IMMUTABLE | APPEND,
    [PERM_UNLINK] = IMMUTABLE | APPEND | NOUNLINK,
};

static bool
is_forbidden(
    const struct server *server, const struct ufs_attr *attr, enum perm_act act)
{
	uint32_t flags = attr->flags & forbidding[act];

	if (attr->ino == server->journal)
		return true;
	/* Those of an ISO's staged tree are ours: they protect the images. */
	if (server->no_flags && !server->is_iso)
		flags &= SNAPSHOT;
	return flags != 0;
}

int
perm_check(const struct server *server, uint64_t ino, enum perm_act act)
{
	struct ufs_attr attr;
	int rc = ufs_getattr(server->fs, ino, &attr);

	if (rc < 0)
		return rc;
	return is_forbidden(server, &attr, act) ? -EPERM : 0;
}

int
perm_check_name(const struct server *server, uint64_t dir, const char *name)
{
	struct ufs_attr attr;
	int rc = perm_check(server, dir, PERM_LEAVE);

	if (rc == 0)
		rc = ufs_lookup(server->fs, dir, name, strlen(name), &attr);
	if (rc < 0)
		return rc;
	return is_forbidden(server, &attr, PERM_UNLINK) ? -EPERM : 0;
}

/*
 * Whether what is made with set-gid keeps it: as on FreeBSD not where the
 * caller is not of the group, which a confined daemon knows of the one that it
 * runs with.
 */
static bool
keeps_set_gid(
    const struct server *server, const struct fuse_ctx *ctx, uint32_t gid)
{
	return server->fakeroot || ctx->uid == 0 || ctx->gid == gid;
}

int
perm_new(const struct server *server, const struct fuse_ctx *ctx, uint64_t dir,
    mode_t mode, struct ufs_new *out)
{
	struct ufs_attr parent;
	int rc = ufs_getattr(server->fs, dir, &parent);

	if (rc < 0)
		return rc;
	if (is_forbidden(server, &parent, PERM_ENTER))
		return -EPERM;
	*out = (struct ufs_new){.mode = mode,
	    .umask = ctx->umask,
	    .uid = server->fakeroot ? 0 : ctx->uid,
	    .gid = server->fakeroot ? 0 : ctx->gid};
	if ((parent.mode & S_ISGID) != 0 || server->grpid)
		out->gid = parent.gid;
	if (!S_ISDIR(mode) && !keeps_set_gid(server, ctx, out->gid))
		out->mode &= ~(uint32_t)S_ISGID;
	if (S_ISDIR(mode) && (parent.mode & S_ISGID) != 0)
		out->mode |= S_ISGID;
	return 0;
}
