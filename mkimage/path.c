/*
 * What is left to walk lies in one buffer; a symbolic link's target is put in
 * front of it.  The number of links bounds the walk.
 */
#include "path.h"

#include <string.h>

enum { LEFT_MAX = 8192, LINKS_MAX = 32 };

static bool
is_link(const struct ufs_attr *attr)
{
	return (attr->mode & 0170000) == 0120000;
}

/* Put the target of link before what is left of the path. */
static int
enter_link(struct ufs *fs, uint64_t link, char *left)
{
	char target[4096];
	size_t rest = strlen(left);
	int64_t len = ufs_readlink(fs, link, target, sizeof(target));

	if (len < 0)
		return (int)len;
	if ((size_t)len + 1 + rest + 1 > LEFT_MAX)
		return -ENAMETOOLONG;
	memmove(left + len + 1, left, rest + 1);
	memcpy(left, target, (size_t)len);
	left[len] = '/';
	return 0;
}

/* Take the next name off left: its length, 0 at the end. */
static size_t
next_name(char *left, char name[UFS_NAME_MAX + 1])
{
	size_t skip = strspn(left, "/"), len = strcspn(left + skip, "/");

	if (len <= UFS_NAME_MAX) {
		memcpy(name, left + skip, len);
		name[len] = '\0';
	}
	memmove(left, left + skip + len, strlen(left + skip + len) + 1);
	return len;
}

/* One step, from *at to name in it. */
static int
step(struct ufs *fs, const char *name, size_t len, struct ufs_attr *at)
{
	if (len > UFS_NAME_MAX)
		return -ENAMETOOLONG;
	return ufs_lookup(fs, at->ino, name, len, at);
}

int
path_lookup(struct ufs *fs, const char *path, bool follow, struct ufs_attr *out)
{
	scoped(freep) char *left = malloc(LEFT_MAX);
	char name[UFS_NAME_MAX + 1];
	unsigned links = 0;
	size_t len;
	int rc = ufs_getattr(fs, UFS_ROOT, out);

	if (left == NULL)
		return -ENOMEM;
	if (strlen(path) >= LEFT_MAX)
		return -ENAMETOOLONG;
	strcpy(left, path);
	while (rc == 0 && (len = next_name(left, name)) > 0) {
		bool last = left[strspn(left, "/")] == '\0';
		uint64_t dir = out->ino;

		rc = step(fs, name, len, out);
		if (rc < 0 || !is_link(out) || (last && !follow))
			continue;
		if (++links > LINKS_MAX)
			return -ELOOP;
		rc = enter_link(fs, out->ino, left);
		if (rc == 0)
			rc = ufs_getattr(
			    fs, left[0] == '/' ? UFS_ROOT : dir, out);
	}
	return rc;
}
