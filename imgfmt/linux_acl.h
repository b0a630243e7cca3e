/*
 * POSIX.1e access control lists as Linux hands them over: the value of the
 * attributes system.posix_acl_access and system.posix_acl_default
 * (<linux/posix_acl_xattr.h>: a version, then entries, little-endian).
 */
#ifndef LINUX_ACL_H
#define LINUX_ACL_H

#include "ufs.h"

enum { LINUX_ACL_MAX = 4 + 8 * UFS_ACL_MOST };

/* Whether an attribute's name is that of a list, which goes to *kind. */
bool linux_acl_is(const char *name, enum ufs_acl_kind *kind);
/* The name of such a list. */
const char *linux_acl_name(enum ufs_acl_kind kind);

/* -EINVAL: no list; -ENOSPC: more entries than FreeBSD has room for. */
MUST_CHECK int linux_acl_parse(
    const void *value, size_t len, struct ufs_acl *out);
/* The value's length. */
size_t linux_acl_make(const struct ufs_acl *acl, uint8_t value[LINUX_ACL_MAX]);

#endif
