/* Extended attributes and flags of the host's files: see compat.h. */
#include <fcntl.h>
#include <string.h>

#include "compat.h"

#if defined(__linux__)
#include <sys/xattr.h>
#else
#include <sys/extattr.h>
#endif

#if defined(__linux__)

/*
 * Linux has no such calls relative to a directory, and opening the file would
 * need leave to read it (and fail for links): /proc leads there.
 */
enum { PROC_PATH_MAX = 320 };

static int
proc_path(int dirfd, const char *name, char path[PROC_PATH_MAX])
{
	int n =
	    snprintf(path, PROC_PATH_MAX, "/proc/self/fd/%d/%s", dirfd, name);

	return n < 0 || n >= PROC_PATH_MAX ? -ENAMETOOLONG : 0;
}

static int
give_xattr(
    const char *path, const char *xattr, compat_xattr_visitor *each, void *arg)
{
	ssize_t room = lgetxattr(path, xattr, NULL, 0), n;
	scoped(freep) char *value = NULL;

	if (room < 0)
		return -errno;
	value = malloc((size_t)room + 1);
	if (value == NULL)
		return -ENOMEM;
	n = lgetxattr(path, xattr, value, (size_t)room);
	return n < 0 ? -errno : each(arg, xattr, value, (size_t)n);
}

int
compat_xattrs(
    int dirfd, const char *name, compat_xattr_visitor *each, void *arg)
{
	scoped(freep) char *names = NULL;
	char path[PROC_PATH_MAX];
	ssize_t room, n;
	int rc = proc_path(dirfd, name, path);

	if (rc < 0)
		return rc;
	room = llistxattr(path, NULL, 0);
	if (room <= 0)
		return room < 0 ? -errno : 0;
	names = malloc((size_t)room + 1);
	if (names == NULL)
		return -ENOMEM;
	n = llistxattr(path, names, (size_t)room);
	if (n < 0)
		return -errno;
	names[n] = '\0';
	for (const char *at = names; at < names + n && rc == 0;
	     at += strlen(at) + 1)
		rc = give_xattr(path, at, each, arg);
	return rc;
}

int
compat_xattr(int dirfd, const char *name, const char *xattr,
    compat_xattr_visitor *each, void *arg)
{
	char path[PROC_PATH_MAX];
	int rc = proc_path(dirfd, name, path);

	return rc < 0 ? rc : give_xattr(path, xattr, each, arg);
}

uint32_t
compat_file_flags(const struct stat *st)
{
	(void)st;
	return 0;
}

#else /* FreeBSD */

/* Symbolic links cannot be opened: theirs are out of reach. */
static int
open_for_xattrs(int dirfd, const char *name)
{
	int fd =
	    openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	return fd >= 0 ? fd : errno == EMLINK ? -EOPNOTSUPP : -errno;
}

static const struct {
	int space;
	const char *prefix;
} spaces[] = {
    {EXTATTR_NAMESPACE_USER, "user."},
    {EXTATTR_NAMESPACE_SYSTEM, "system."},
};

static int
give_extattr(int fd, size_t space, const char *name, compat_xattr_visitor *each,
    void *arg)
{
	int number = spaces[space].space;
	ssize_t room = extattr_get_fd(fd, number, name, NULL, 0), n;
	scoped(freep) char *value = NULL;
	char full[300];

	if (room < 0)
		return -errno;
	value = malloc((size_t)room + 1);
	if (value == NULL)
		return -ENOMEM;
	n = extattr_get_fd(fd, number, name, value, (size_t)room);
	if (n < 0)
		return -errno;
	(void)snprintf(full, sizeof(full), "%s%s", spaces[space].prefix, name);
	return each(arg, full, value, (size_t)n);
}

/* Names come with their lengths in front, not with a NUL behind. */
static int
give_space(int fd, size_t space, compat_xattr_visitor *each, void *arg)
{
	int number = spaces[space].space, rc = 0;
	ssize_t room = extattr_list_fd(fd, number, NULL, 0), n;
	scoped(freep) uint8_t *list = NULL;

	if (room < 0 && errno == EPERM)
		return 0; /* "system" is root's */
	if (room <= 0)
		return room < 0 ? -errno : 0;
	list = malloc((size_t)room);
	if (list == NULL)
		return -ENOMEM;
	n = extattr_list_fd(fd, number, list, (size_t)room);
	for (ssize_t at = 0; at < n && list[at] < n - at && rc == 0;
	     at += list[at] + 1) {
		char name[256];

		memcpy(name, list + at + 1, list[at]);
		name[list[at]] = '\0';
		rc = give_extattr(fd, space, name, each, arg);
	}
	return n < 0 ? -errno : rc;
}

int
compat_xattrs(
    int dirfd, const char *name, compat_xattr_visitor *each, void *arg)
{
	scoped(fdclosep) int fd = open_for_xattrs(dirfd, name);
	int rc = fd < 0 ? fd : 0;

	for (size_t i = 0; i < sizeof(spaces) / sizeof(*spaces) && rc == 0; i++)
		rc = give_space(fd, i, each, arg);
	return rc;
}

int
compat_xattr(int dirfd, const char *name, const char *xattr,
    compat_xattr_visitor *each, void *arg)
{
	scoped(fdclosep) int fd = open_for_xattrs(dirfd, name);

	if (fd < 0)
		return fd;
	for (size_t i = 0; i < sizeof(spaces) / sizeof(*spaces); i++) {
		size_t len = strlen(spaces[i].prefix);

		if (strncmp(xattr, spaces[i].prefix, len) == 0)
			return give_extattr(fd, i, xattr + len, each, arg);
	}
	return -ENOXATTR;
}

uint32_t
compat_file_flags(const struct stat *st)
{
	return st->st_flags;
}

#endif
