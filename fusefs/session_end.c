/* How sessions end: discarded, or committed in place. */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>

#include "../imgfmt/log.h"
#include "session_impl.h"

/* -- files of one image ---------------------------------------------------- */

static bool
ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), tail = strlen(end);

	return len >= tail && strcmp(text + len - tail, end) == 0;
}

static void
closedirp(DIR **dir)
{
	if (*dir != NULL)
		(void)closedir(*dir);
}

/* Whether a session that has just begun may have made file. */
static bool
comes_before_base(const char *file)
{
	static const char *const names[] = {
	    ".", "..", "lock", "mount", "mount.new", "base.new", "lost+found"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(file, names[i]) == 0)
			return true;
	return ends_with(file, ".inflated");
}

int
session_folder_check(int folder, const char *path, bool must_be)
{
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scoped(closedirp) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (dir == NULL) {
		int rc = -errno;

		log_error("'%s': %s", path, strerror(-rc));
		return rc;
	}
	if (faccessat(folder, "base", F_OK, 0) == 0)
		return 0;
	while ((entry = readdir(dir)) != NULL)
		if (!comes_before_base(entry->d_name)) {
			log_error("'%s' is no session: there is '%s' in it",
			    path, entry->d_name);
			return -EINVAL;
		}
	if (must_be)
		log_error("'%s' is no session", path);
	return must_be ? -EINVAL : 0;
}

void
session_remove_inflated(int folder)
{
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scoped(closedirp) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	while (dir != NULL && (entry = readdir(dir)) != NULL)
		if (ends_with(entry->d_name, ".inflated"))
			(void)unlinkat(folder, entry->d_name, 0);
}

/*
 * NAME.overlay, .NAME.overlay.new (being rewritten when its daemon was killed),
 * NAME.HASH.inflated.
 */
static bool
is_file_of(const char *file, const char *name)
{
	size_t len = strlen(name);

	if (strncmp(file, name, len) == 0 && file[len] == '.')
		return strcmp(file + len, ".overlay") == 0 ||
		    ends_with(file + len, ".inflated");
	return *file == '.' && strncmp(file + 1, name, len) == 0 &&
	    strcmp(file + 1 + len, ".overlay.new") == 0;
}

/*
 * Remove the files of name in folder, all of them or only overlays.  How many
 * other overlays there are, or -errno.
 */
static int
remove_files(int folder, const char *name, bool inflated_too)
{
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scoped(closedirp) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	int others = 0;

	if (dir == NULL)
		return -errno;
	while ((entry = readdir(dir)) != NULL) {
		const char *file = entry->d_name;

		if (!is_file_of(file, name)) {
			others += ends_with(file, ".overlay");
			continue;
		}
		if (!inflated_too && ends_with(file, ".inflated"))
			continue;
		if (unlinkat(folder, file, 0) < 0 && errno != ENOENT)
			return -errno;
	}
	return others;
}

/* Remove the files of every name in base, and its lines. */
static int
drop_all(int folder, struct session_base *base)
{
	int rc = 0;

	while (base->n > 0 && rc >= 0) {
		scoped(freep) char *name = strdup(base->line[0].name);

		if (name == NULL)
			return -ENOMEM;
		if (name[0] != '\0')
			rc = remove_files(folder, name, true);
		session_base_drop(base, NULL, name);
	}
	return rc;
}

/* -- discard --------------------------------------------------------------- */

/* The last image's files are gone: so goes the folder. */
static int
remove_folder(int folder, const char *dir)
{
	static const char *const files[] = {
	    "base", "base.new", "mount", "mount.new", "lock"};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (unlinkat(folder, files[i], 0) < 0 && errno != ENOENT)
			return -errno;
	if (rmdir(dir) < 0)
		return errno == ENOTEMPTY || errno == EEXIST ? 0 : -errno;
	return 0;
}

/* Remove all that is of the image, or of what lies in it at inner. */
static int
discard_files(
    const struct session_place *place, int folder, struct session_base *base)
{
	bool all = place->inner[0] == '\0' || place->derived;
	char name[NAME_MAX + 1];
	int rc = 0;

	image_overlay_name(place->inner, name);
	if (!all && session_base_get(base, "image", name, 0) == NULL) {
		log_error("the session '%s' has nothing of '%s'", place->dir,
		    place->inner);
		return -EINVAL;
	}
	if (all)
		rc = drop_all(folder, base);
	if (rc >= 0)
		rc = remove_files(folder, name, true);
	if (rc > 0) {
		session_base_drop(base, NULL, name);
		rc = session_base_write(folder, base);
	} else if (rc == 0)
		rc = remove_folder(folder, place->dir);
	return rc;
}

/* named: the folder was, apart from the image. */
static int
discard_locked(const struct session_place *place, int folder, bool named)
{
	struct session_base base;
	int rc = session_base_read(folder, &base);

	if (rc < 0)
		return rc;
	if (named)
		rc = session_base_check(&base, place->dir, place->path);
	if (rc == 0)
		rc = discard_files(place, folder, &base);
	session_base_release(&base);
	if (rc < 0 && rc != -EINVAL)
		log_error("'%s': %s", place->dir, strerror(-rc));
	return rc;
}

int
session_discard(const char *address, const char *dir)
{
	struct session_place place;
	scoped(fdclosep) int folder = -1, lock = -1;
	int rc = session_place_find(address, dir, true, &place);

	if (rc < 0)
		return rc;
	folder = session_open_folder(place.dir);
	if (folder < 0) {
		rc = folder;
		log_error("'%s' has no session: '%s': %s", address, place.dir,
		    strerror(-rc));
	} else
		rc = session_folder_check(folder, place.dir, dir != NULL);
	if (rc >= 0)
		rc = lock = session_lock(folder, place.dir, false);
	if (rc >= 0)
		rc = discard_locked(&place, folder, dir != NULL);
	session_place_release(&place);
	return rc;
}

/* -- what would lose its base ---------------------------------------------- */

int
session_beside(const char *path, const char *but)
{
	scoped(freep) char *real = realpath(path, NULL), *dir = NULL;
	scoped(closedirp) DIR *folder = NULL;
	const struct dirent *entry;

	if (real == NULL) /* there is no such image */
		return 0;
	if (asprintf(&dir, "%s.relive", real) < 0) {
		dir = NULL;
		return -ENOMEM;
	}
	if (but != NULL && strcmp(dir, but) == 0)
		return 0;
	folder = opendir(dir);
	if (folder == NULL)
		return errno == ENOENT || errno == ENOTDIR ? 0 : 1;
	while ((entry = readdir(folder)) != NULL) {
		scoped(freep) char *file = session_file(dir, entry->d_name, "");

		if (file == NULL)
			return -ENOMEM;
		if (ends_with(entry->d_name, ".overlay") &&
		    overlay_is_edited(file) != 0)
			return 1;
	}
	return 0;
}

/* -- commit --in-place ----------------------------------------------------- */

/* The identity of what inner names in the host file at path. */
static int
identity_in(const char *path, const char *inner, unsigned flags,
    char hex[SESSION_ID_HEX])
{
	const struct image_options options = {0};
	scoped(image_closep) struct image *image = NULL;
	scoped(freep) char *address = NULL;
	struct overlay_id id;
	int rc;

	if (asprintf(&address, "%s%s%s", path, inner[0] == '\0' ? "" : ":",
		inner) < 0) {
		address = NULL;
		return -ENOMEM;
	}
	rc = image_open(address, &options, flags, &image);
	if (rc == 0)
		rc = session_identity(image, &id);
	if (rc == 0)
		session_id_to_hex(&id, hex);
	return rc;
}

/* Whether one address lies within the other: a disk and its partition. */
static bool
overlap(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b), both = n < m ? n : m;
	const char *rest = n < m ? b + n : a + m;

	return strncmp(a, b, both) == 0 &&
	    (both == 0 || *rest == '\0' || *rest == ':');
}

/* Line i: of an image that is not apart from session's. */
static bool
is_nested(
    const struct session_base *base, size_t i, const struct session *session)
{
	return strcmp(base->line[i].verb, "image") == 0 &&
	    strcmp(base->line[i].name, session->name) != 0 &&
	    overlap(base->line[i].value, session->image->inner);
}

static int
check_line(
    const struct session_base *base, size_t i, const struct session *session)
{
	scoped(freep) char *path =
	    session_file(session->dir, base->line[i].name, ".overlay");
	int rc = path == NULL ? -ENOMEM : overlay_is_edited(path);

	if (rc == 0 || rc == -ENOENT)
		return 0;
	log_error("'%s%s%s' was edited too, and would lose its base: commit "
		  "or discard that first",
	    session->image->path, base->line[i].value[0] == '\0' ? "" : ":",
	    base->line[i].value);
	return -EBUSY;
}

int
session_check_nested(const struct session *session)
{
	struct session_base base;
	int rc = session_base_read(session->folder, &base);

	for (size_t i = 0; rc == 0 && i < base.n; i++)
		if (is_nested(&base, i, session))
			rc = check_line(&base, i, session);
	session_base_release(&base);
	return rc;
}

/*
 * What line i says of another part of the same file: its overlay goes with
 * this commit too ("next"), or is kept for where the commit moves it ("also").
 */
static int
record_other(struct session_base *base, size_t i, const struct session *session,
    const char *path, bool whole)
{
	scoped(freep) char *name = strdup(base->line[i].name);
	const char *inner = base->line[i].value;
	bool is_iso = strcmp(base->line[i].verb, "iso") == 0;
	char hex[SESSION_ID_HEX];
	int rc;

	if (name == NULL)
		return -ENOMEM;
	if ((!is_iso && strcmp(base->line[i].verb, "image") != 0) ||
	    strcmp(name, session->name) == 0 || (is_iso && !whole) ||
	    (!is_iso && overlap(inner, session->image->inner)))
		return 0;
	rc = identity_in(path, inner,
	    is_iso ? IMAGE_TOP_ONLY : IMAGE_NO_INFLATE | IMAGE_ANY, hex);
	return rc < 0
	    ? rc
	    : session_base_add(base, whole ? "next" : "also", name, hex);
}

static int
record_others(struct session_base *base, const struct session *session,
    const char *path, bool whole)
{
	size_t n;
	int rc = 0;

	n = base->n;
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = record_other(base, i, session, path, whole);
	return rc;
}

int
session_record_successor(struct session *session, const char *path, bool whole)
{
	struct session_base base;
	char hex[SESSION_ID_HEX];
	int rc = session_base_read(session->folder, &base);

	if (rc == 0)
		rc = identity_in(path, session->image->inner,
		    IMAGE_NO_INFLATE | IMAGE_ANY, hex);
	if (rc == 0)
		rc = record_others(&base, session, path, whole);
	if (rc == 0) {
		session_base_drop(&base, "next", session->name);
		rc = session_base_add(&base, "next", session->name, hex);
	}
	if (rc == 0)
		rc = session_base_write(session->folder, &base);
	session_base_release(&base);
	return rc;
}

int
session_drop_overlay(struct session *session, bool whole)
{
	struct session_base base;
	int rc = session_base_read(session->folder, &base);

	if (rc < 0)
		return rc;
	if (whole)
		rc = drop_all(session->folder, &base);
	else
		rc = remove_files(session->folder, session->name, true);
	if (rc >= 0) {
		session_base_drop(&base, NULL, session->name);
		rc = session_base_write(session->folder, &base);
	}
	session_base_release(&base);
	return rc;
}
