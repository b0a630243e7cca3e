/*
 * Extended attributes.  FreeBSD's name spaces under Linux's names:
 *	user	  user.NAME, and trusted.freebsd.user.NAME of what is neither
 *		  file nor directory (where Linux has no user attributes)
 *	system	  trusted.freebsd.system.NAME
 * POSIX.1e access control lists, which live in the latter, are shown as the
 * kernel's own (fuse_acl.c); and those of fuse_relive.c to who asks for them.
 */
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "fuse_impl.h"

enum { VALUE_MAX = 64 << 10 };

static const struct {
	const char *prefix;
	enum ufs_ea_space space;
} spaces[] = {
    {"user.", UFS_EA_USER},
    {"trusted.freebsd.user.", UFS_EA_USER},
    {"trusted.freebsd.system.", UFS_EA_SYSTEM},
};

/* The name within FreeBSD's name space, which goes to *space; or NULL. */
static const char *
freebsd_name(const char *name, enum ufs_ea_space *space)
{
	for (size_t i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++) {
		size_t len = strlen(spaces[i].prefix);

		if (strncmp(name, spaces[i].prefix, len) != 0)
			continue;
		*space = spaces[i].space;
		return name[len] != '\0' ? name + len : NULL;
	}
	return NULL;
}

/* Reply to getxattr and listxattr: the value, or with size 0 its length. */
static void
reply_value(fuse_req_t req, int64_t n, const void *value, size_t size)
{
	if (n < 0)
		fuse_reply_err(req, (int)-n);
	else if (size == 0)
		fuse_reply_xattr(req, (size_t)n);
	else if ((uint64_t)n > size)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, value, (size_t)n);
}

static void
get_own(fuse_req_t req, uint64_t ino, const char *name, size_t size)
{
	char text[RELIVE_VALUE_MAX];
	int rc = relive_get(server_of(req), ino, name, text);

	reply_value(req, rc < 0 ? rc : (int64_t)strlen(text), text, size);
}

static void
get_acl(fuse_req_t req, uint64_t ino, enum ufs_acl_kind kind, size_t size)
{
	uint8_t value[LINUX_ACL_MAX];
	int64_t n = acl_get(server_of(req), ino, kind, value);

	reply_value(req, n, value, size);
}

void
ops_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	enum ufs_ea_space space;
	enum ufs_acl_kind kind;
	const char *own;
	char *buf = NULL;
	int64_t n;

	if (relive_is_own(name)) {
		get_own(req, swap_root(ino), name, size);
		return;
	}
	if (acl_is(server_of(req), name, &kind)) {
		get_acl(req, swap_root(ino), kind, size);
		return;
	}
	if (linux_acl_is(name, &kind)) { /* as another volume has them */
		fuse_reply_err(req, ENODATA);
		return;
	}
	own = freebsd_name(name, &space);
	if (own == NULL) { /* security.capability: asked before writes */
		fuse_reply_err(req, EOPNOTSUPP);
		return;
	}
	if (size > 0)
		buf = thread_buffer(size);
	if (size > 0 && buf == NULL)
		n = -ENOMEM;
	else
		n = ufs_xattr_get(
		    server_of(req)->fs, swap_root(ino), space, own, buf, size);
	reply_value(req, n, buf, size);
}

/* -- listing --------------------------------------------------------------- */

struct listing {
	char *buf;
	size_t len, room; /* len: of the whole list, even beyond room */
	bool acls;        /* shown as such */
	bool plain;       /* a file or directory: user attributes are such */
};

static int
list_one(void *arg, enum ufs_ea_space space, const char *name, size_t value_len)
{
	struct listing *list = arg;
	const char *prefix = space == UFS_EA_SYSTEM ? spaces[2].prefix
	    : list->plain                           ? spaces[0].prefix
						    : spaces[1].prefix;
	const char *acl =
	    list->acls && space == UFS_EA_SYSTEM ? acl_shown_as(name) : NULL;
	size_t len;

	(void)value_len;
	if (space != UFS_EA_USER && space != UFS_EA_SYSTEM)
		return 0;
	if (acl != NULL) {
		prefix = "";
		name = acl;
	}
	len = strlen(prefix) + strlen(name) + 1;
	if (list->len <= list->room && len <= list->room - list->len)
		(void)snprintf(
		    list->buf + list->len, len, "%s%s", prefix, name);
	list->len += len;
	return 0;
}

void
ops_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	struct server *server = server_of(req);
	struct listing list = {.acls = acl_are_shown(server),
	    .room = size,
	    .buf = thread_buffer(size)};
	struct ufs_attr attr;
	int rc = list.buf == NULL
	    ? -ENOMEM
	    : ufs_getattr(server->fs, swap_root(ino), &attr);

	if (rc == 0) {
		list.plain = S_ISREG(attr.mode) || S_ISDIR(attr.mode);
		rc =
		    ufs_xattr_list(server->fs, swap_root(ino), list_one, &list);
	}
	if (rc == -EOPNOTSUPP) /* has none and never will: an empty list */
		rc = 0;
	reply_value(req, rc < 0 ? rc : (int64_t)list.len, list.buf, size);
}

/* -- changing -------------------------------------------------------------- */

/* What setxattr's flags are called in the engine. */
static int
how_of(int flags)
{
	return (flags & XATTR_CREATE) != 0 ? UFS_EA_MUST_NOT_EXIST
	    : (flags & XATTR_REPLACE) != 0 ? UFS_EA_MUST_EXIST
					   : UFS_EA_ANY;
}

void
ops_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
    const char *value, size_t size, int flags)
{
	struct server *server = server_of(req);
	enum ufs_ea_space space;
	enum ufs_acl_kind kind;
	const char *own = freebsd_name(name, &space);
	int rc;

	if (acl_is(server, name, &kind)) {
		reply_changed(
		    req, acl_set(req, swap_root(ino), kind, value, size));
		return;
	}
	if (relive_is_own(name)) {
		reply_changed(
		    req, relive_set(req, swap_root(ino), name, value, size));
		return;
	}
	rc = own == NULL ? -EOPNOTSUPP : flush_admit(server->flusher);
	if (rc == 0)
		rc = perm_check(server, swap_root(ino), PERM_WRITE);
	if (rc == 0)
		rc = ufs_xattr_set(server->fs, swap_root(ino), space, own,
		    value, size, how_of(flags));
	reply_changed(req, rc);
}

void
ops_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	struct server *server = server_of(req);
	enum ufs_ea_space space;
	enum ufs_acl_kind kind;
	const char *own = freebsd_name(name, &space);
	int rc;

	if (acl_is(server, name, &kind)) {
		reply_changed(req, acl_set(req, swap_root(ino), kind, NULL, 0));
		return;
	}
	if (relive_is_own(name)) { /* flags: none of them */
		reply_changed(
		    req, relive_set(req, swap_root(ino), name, "", 0));
		return;
	}
	rc = own == NULL ? -EOPNOTSUPP
			 : perm_check(server, swap_root(ino), PERM_WRITE);
	if (rc == 0)
		rc = ufs_xattr_remove(server->fs, swap_root(ino), space, own);
	reply_changed(req, rc);
}
