/*
 * From what the user named to the session's folder.  An address may be a
 * mount point (its mount tells the image), a session's folder (its "base"
 * file tells), or an image, whose folder lies beside it.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "../imgfmt/compat.h"
#include "../imgfmt/log.h"
#include "session_impl.h"

static const char suffix[] = ".relive";

void
session_place_release(struct session_place *place)
{
	free(place->path);
	free(place->inner);
	free(place->dir);
	*place = (struct session_place){0};
}

/* -- mount points ---------------------------------------------------------- */

struct mount_search {
	const char *target;
	char *source;
	size_t len;
	int rc;
};

static int
match_mount(void *arg, const struct compat_mount *mount)
{
	struct mount_search *search = arg;

	if (strcmp(mount->target, search->target) != 0)
		return 0;
	/* What is mounted last counts. */
	search->rc = -ENOENT;
	if (strstr(mount->type, suffix) == NULL)
		return 0;
	search->rc = snprintf(search->source, search->len, "%s",
			 mount->source) < (int)search->len
	    ? 0
	    : -ENAMETOOLONG;
	return 0;
}

/* The absolute path of dir, without touching what is mounted there. */
static int
mount_point_path(const char *dir, char out[PATH_MAX])
{
	scoped(freep) char *copy = strdup(dir);
	scoped(freep) char *parent = NULL;
	size_t len = strlen(dir);
	char *slash;

	if (copy == NULL)
		return -ENOMEM;
	while (len > 1 && copy[len - 1] == '/')
		copy[--len] = '\0';
	slash = strrchr(copy, '/');
	if (slash == NULL)
		parent = realpath(".", NULL);
	else if (slash == copy)
		parent = strdup("/");
	else {
		*slash = '\0';
		parent = realpath(copy, NULL);
	}
	if (parent == NULL)
		return -errno;
	return snprintf(out, PATH_MAX, "%s%s%s",
		   strcmp(parent, "/") == 0 ? "" : parent, "/",
		   slash == NULL ? copy : slash + 1) < PATH_MAX
	    ? 0
	    : -ENAMETOOLONG;
}

int
session_mount_source(
    const char *dir, char target[PATH_MAX], char *buf, size_t len)
{
	struct mount_search search = {
	    .target = target, .source = buf, .len = len, .rc = -ENOENT};
	char real[PATH_MAX];
	int rc = mount_point_path(dir, target);

	if (rc == 0)
		rc = compat_mounts(match_mount, &search);
	if (rc < 0 || search.rc != -ENOENT)
		return rc < 0 ? rc : search.rc;
	/* Through a symbolic link, "." or "..". */
	if (realpath(dir, real) == NULL || strcmp(real, target) == 0)
		return -ENOENT;
	memcpy(target, real, sizeof(real));
	rc = compat_mounts(match_mount, &search);
	return rc < 0 ? rc : search.rc;
}

/* -- session folders ------------------------------------------------------- */

int
session_open_folder(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static bool
is_folder(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/*
 * The inner address of the only image that the session is about; where all of
 * an ISO was mounted, of the first one.
 */
static int
only_inner(const struct session_base *base, const char *dir, char **out)
{
	const char *first = session_base_get(base, "image", NULL, 0);
	const char *second = session_base_get(base, "image", NULL, 1);

	if (second != NULL && session_base_get(base, "iso", NULL, 0) == NULL) {
		log_error("the session '%s' is about several images, name one "
			  "of '%s:%s', '%s:%s' ...",
		    dir, dir, first, dir, second);
		return -EINVAL;
	}
	*out = strdup(first != NULL ? first : "");
	return *out == NULL ? -ENOMEM : 0;
}

/*
 * The host file of the session in dir: beside it where it is called
 * IMAGE.relive, else where the "base" file says; gone: or was.
 */
static int
find_host_file(
    const struct session_base *base, const char *dir, bool gone, char **out)
{
	size_t len = strlen(dir), tail = strlen(suffix);
	const char *recorded = session_base_get(base, "path", NULL, 0);
	scoped(freep) char *beside = strdup(dir);

	if (beside == NULL)
		return -ENOMEM;
	if (len > tail && strcmp(dir + len - tail, suffix) == 0) {
		beside[len - tail] = '\0';
		*out = realpath(beside, NULL);
		if (*out != NULL)
			return 0;
	}
	if (recorded == NULL) {
		log_error("'%s' is a folder, neither a session nor a mount of "
			  "relive",
		    dir);
		return -EINVAL;
	}
	*out = realpath(recorded, NULL);
	if (*out == NULL && gone) {
		*out = strdup(recorded);
		return *out == NULL ? -ENOMEM : 0;
	}
	if (*out == NULL) {
		log_error("the image of the session '%s' is not at '%s' any "
			  "more: bring it back, or drop the session with "
			  "'relive discard'",
		    dir, recorded);
		return -ENOENT;
	}
	return 0;
}

/* place->path is a session's folder: find the rest. */
static int
place_of_folder(struct session_place *place, bool gone)
{
	struct session_base base;
	scoped(fdclosep) int folder = -1;
	char *path = NULL, *inner = NULL;
	int rc;

	place->dir = place->path;
	place->path = NULL;
	folder = session_open_folder(place->dir);
	if (folder < 0) {
		log_error("'%s': %s", place->dir, strerror(-folder));
		return folder;
	}
	rc = session_base_read(folder, &base);
	if (rc < 0)
		return rc;
	rc = find_host_file(&base, place->dir, gone, &path);
	place->path = path;
	if (rc == 0 && place->inner[0] == '\0') {
		rc = only_inner(&base, place->dir, &inner);
		if (rc == 0) {
			free(place->inner);
			place->inner = inner;
			place->derived = true;
		}
	}
	session_base_release(&base);
	return rc;
}

/* The folder of an image: beside it, or the one of --session. */
static int
place_of_image(struct session_place *place, const char *dir)
{
	if (dir != NULL) {
		/* Absolute, since the daemon leaves this folder. */
		place->dir = realpath(dir, NULL);
		if (place->dir == NULL && errno == ENOENT)
			place->dir = strdup(dir);
		if (place->dir == NULL)
			return -errno;
		return 0;
	}
	if (asprintf(&place->dir, "%s%s", place->path, suffix) < 0) {
		place->dir = NULL;
		return -ENOMEM;
	}
	return 0;
}

int
session_place_find(
    const char *address, const char *dir, bool gone, struct session_place *out)
{
	scoped(freep) char *source = malloc(2 * PATH_MAX);
	char target[PATH_MAX];
	int rc;

	*out = (struct session_place){0};
	if (source == NULL)
		return -ENOMEM;
	rc = session_mount_source(address, target, source, 2 * PATH_MAX);
	if (rc == 0)
		address = source;
	rc = image_split(address, &out->path, &out->inner);
	if (rc == 0)
		rc = is_folder(out->path) ? place_of_folder(out, gone)
					  : place_of_image(out, dir);
	if (rc < 0)
		session_place_release(out);
	return rc;
}
