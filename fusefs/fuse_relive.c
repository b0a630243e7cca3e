/*
 * Attributes of our own, relive.NAME: what FreeBSD keeps of a file and Linux
 * has no call for.  They answer to who asks for them by name and are listed
 * nowhere, so that no copy carries them.
 *
 * The kernel lets names outside of its four name spaces through to a FUSE
 * daemon and asks for leave to read or write the file at most; so who may
 * change what is decided here, as chflags(2) does it at securelevel 0.
 */
#include <string.h>

#include "../imgfmt/fflags.h"
#include "fuse_impl.h"

enum {
	LOCKING = UFS_FLAG_SIMMUTABLE | UFS_FLAG_SAPPEND | UFS_FLAG_SNOUNLINK,
	NS_DIGITS = 9,
};

#define SYSTEM_FLAGS 0xffff0000u /* root's own */

static bool
is_root(fuse_req_t req)
{
	return server_of(req)->fakeroot || fuse_req_ctx(req)->uid == 0;
}

int
set_file_flags(fuse_req_t req, uint64_t ino, uint32_t flags)
{
	struct server *server = server_of(req);
	struct ufs_attr attr;
	int rc =
	    server->read_only ? -EROFS : ufs_getattr(server->fs, ino, &attr);

	if (rc < 0)
		return rc;
	if (!is_root(req) &&
	    (fuse_req_ctx(req)->uid != attr.uid ||
		(attr.flags & LOCKING) != 0 ||
		((attr.flags ^ flags) & SYSTEM_FLAGS) != 0))
		return -EPERM;
	attr.flags = flags; /* the engine guards the snapshot flag */
	return ufs_setattr(server->fs, ino, UFS_SET_FLAGS, &attr, &attr);
}

/* -- flags ----------------------------------------------------------------- */

static int
get_flags(struct server *server, uint64_t ino, char text[RELIVE_VALUE_MAX])
{
	struct ufs_attr attr;
	int rc = ufs_getattr(server->fs, ino, &attr);

	if (rc == 0)
		(void)fflags_text(attr.flags, text, RELIVE_VALUE_MAX);
	return rc;
}

static int
set_flags(fuse_req_t req, uint64_t ino, const char *text, size_t len)
{
	uint32_t flags;
	int rc = fflags_parse(text, len, &flags);

	return rc < 0 ? rc : set_file_flags(req, ino, flags);
}

/* -- birth time ------------------------------------------------------------ */

static bool
has_birth(const struct server *server)
{
	struct ufs_info info;

	ufs_info(server->fs, &info);
	return info.version == 2;
}

static int
get_birth(struct server *server, uint64_t ino, char text[RELIVE_VALUE_MAX])
{
	struct ufs_attr attr;
	int rc =
	    has_birth(server) ? ufs_getattr(server->fs, ino, &attr) : -ENOXATTR;

	if (rc == 0)
		(void)snprintf(text, RELIVE_VALUE_MAX, "%lld.%09ld",
		    (long long)attr.birth.tv_sec, attr.birth.tv_nsec);
	return rc;
}

/* "SECONDS[.FRACTION]" since 1970, with an end of line or without. */
static int
parse_time(const char *text, size_t len, struct timespec *out)
{
	char copy[40], *end;
	long ns = 0;

	if (len == 0 || len >= sizeof(copy))
		return -EINVAL;
	memcpy(copy, text, len);
	copy[len] = '\0';
	errno = 0;
	out->tv_sec = strtoll(copy, &end, 10);
	if (end == copy || errno != 0)
		return -EINVAL;
	if (*end == '.') {
		int digits = 0;

		for (end++; *end >= '0' && *end <= '9'; end++)
			if (digits < NS_DIGITS) {
				ns = ns * 10 + (*end - '0');
				digits++;
			}
		for (; digits < NS_DIGITS; digits++)
			ns *= 10;
	}
	out->tv_nsec = ns;
	return end[*end == '\n'] == '\0' ? 0 : -EINVAL;
}

static int
set_birth(fuse_req_t req, uint64_t ino, const char *text, size_t len)
{
	struct server *server = server_of(req);
	struct ufs_attr attr;
	struct timespec birth;
	int rc = parse_time(text, len, &birth);

	if (rc == 0)
		rc = has_birth(server) ? perm_check(server, ino, PERM_OWN)
				       : -EOPNOTSUPP;
	if (rc == 0)
		rc = ufs_getattr(server->fs, ino, &attr);
	if (rc < 0)
		return rc;
	if (!is_root(req) && fuse_req_ctx(req)->uid != attr.uid)
		return -EPERM;
	attr.birth = birth;
	return ufs_setattr(server->fs, ino, UFS_SET_BIRTH, &attr, &attr);
}

/* -- by name --------------------------------------------------------------- */

static const struct own {
	const char *name;
	int (*get)(struct server *server, uint64_t ino, char *text);
	int (*set)(fuse_req_t req, uint64_t ino, const char *text, size_t len);
} owns[] = {
    {"relive.flags", get_flags, set_flags},
    {"relive.birthtime", get_birth, set_birth},
};

static const struct own *
find(const char *name)
{
	for (size_t i = 0; i < sizeof(owns) / sizeof(owns[0]); i++)
		if (strcmp(owns[i].name, name) == 0)
			return &owns[i];
	return NULL;
}

bool
relive_is_own(const char *name)
{
	return strncmp(name, "relive.", 7) == 0;
}

int
relive_get(struct server *server, uint64_t ino, const char *name,
    char text[RELIVE_VALUE_MAX])
{
	const struct own *own = find(name);

	return own == NULL ? -ENOXATTR : own->get(server, ino, text);
}

int
relive_set(fuse_req_t req, uint64_t ino, const char *name, const char *text,
    size_t len)
{
	const struct own *own = find(name);

	return own == NULL ? -EOPNOTSUPP : own->set(req, ino, text, len);
}
