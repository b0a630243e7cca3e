/*
 * Opening and closing the stack of one image: image - overlay - cache - ufs.
 *
 * The truth about which base an overlay belongs to is the identity inside the
 * overlay file.  The "base" file adds what can become of that base: it moved
 * within its ISO because another image was committed ("also"), or it was
 * committed itself and the overlay's changes are in it ("next").
 */
#include "session.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "../imgfmt/bytes.h"
#include "../imgfmt/log.h"
#include "session_impl.h"

enum {
	CACHE_DIRTY = 80 << 20, /* the daemon flushes at 64 MiB */
	CACHE_CLEAN = 16 << 20,
	CLUSTERS_KEPT = 32 << 20, /* decompressed, where the caller says 0 */
	ORPHANS_MAX = OVERLAY_NOTE_MAX / 8,
};
static const uint64_t growth_default = (uint64_t)4 << 30;
static const uint64_t iso_file_end = (uint64_t)4 << 30; /* formats.md trap 73 */

/* What opening needs besides the result. */
struct opening {
	const struct session_options *options;
	struct session *session;
	struct session_place place;
	struct session_base base;
	bool made_folder;
};

char *
session_file(const char *dir, const char *name, const char *suffix)
{
	char *path;

	return asprintf(&path, "%s/%s%s", dir, name, suffix) < 0 ? NULL : path;
}

/* -- the folder ------------------------------------------------------------ */

static int
say_folder(const char *dir, int rc)
{
	log_error("the session folder '%s': %s%s", dir, strerror(-rc),
	    rc == -EACCES || rc == -EROFS || rc == -EPERM
		? "; name another with --session"
		: "");
	return rc;
}

/* Make the folder for a writer, open it and take its lock. */
static int
claim_folder(struct opening *o)
{
	struct session *session = o->session;
	struct stat st;
	char *real;

	if (o->options->dir == NULL && stat(o->place.path, &st) == 0 &&
	    !S_ISREG(st.st_mode)) {
		log_error("'%s' is a device: name a folder for the session "
			  "with --session",
		    o->place.path);
		return -EINVAL;
	}
	if (mkdir(session->dir, 0777) == 0)
		o->made_folder = true;
	else if (errno != EEXIST)
		return say_folder(session->dir, -errno);
	real = realpath(session->dir, NULL);
	if (real == NULL)
		return say_folder(session->dir, -errno);
	free(session->dir);
	session->dir = real;
	session->folder =
	    open(session->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (session->folder < 0)
		return say_folder(session->dir, -errno);
	session->lock =
	    session_lock(session->folder, session->dir, o->options->wait);
	if (session->lock == -EBUSY)
		return -EBUSY;
	if (session->lock < 0)
		return say_folder(session->dir, session->lock);
	/* What a daemon that was killed left must not speak for this one. */
	(void)unlinkat(session->folder, "mount", 0);
	return 0;
}

/*
 * Open the folder for a reader.  There need be none, but the one that
 * --session names: a slip there must not pass for "nothing edited".
 */
static int
look_into_folder(struct opening *o)
{
	struct session *session = o->session;

	session->folder =
	    open(session->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (session->folder < 0)
		return errno == ENOENT && o->options->dir == NULL
		    ? 0
		    : say_folder(session->dir, -errno);
	return o->options->wait ? session_settle(session->folder, session->dir)
				: 0;
}

/* A folder made for nothing goes away again. */
static void
give_folder_back(struct opening *o)
{
	if (!o->made_folder || o->session->folder < 0)
		return;
	(void)unlinkat(o->session->folder, "lock", 0);
	(void)rmdir(o->session->dir);
}

/* -- the base -------------------------------------------------------------- */

static int
open_image(struct opening *o)
{
	struct session *session = o->session;
	struct image_options options = o->options->image;
	scoped(freep) char *address = NULL;
	char name[NAME_MAX + 1];
	int rc;

	if (asprintf(&address, "%s%s%s", o->place.path,
		o->place.inner[0] == '\0' ? "" : ":", o->place.inner) < 0) {
		address = NULL;
		return -ENOMEM;
	}
	if (options.cache_max == 0)
		options.cache_max = CLUSTERS_KEPT;
	if (options.scratch == NULL && session->folder >= 0)
		options.scratch = session->dir;
	rc = image_open(address, &options, 0, &session->image);
	if (rc < 0)
		return rc;
	image_overlay_name(session->image->inner, name);
	session->name = strdup(name);
	if (session->name == NULL)
		return -ENOMEM;
	return session_identity(session->image, &session->id);
}

/* Refuse to begin editing what the engine would not write anyway. */
static int
check_editable(const struct session *session)
{
	struct blkdev *dev = blkdev_ref(session->image->dev);
	const struct ufs_options read_only = {0};
	struct ufs_info info;
	struct ufs *fs;
	int rc = ufs_open(dev, &read_only, &fs);

	if (rc < 0) {
		blkdev_close(dev);
		return rc;
	}
	ufs_info(fs, &info);
	if (info.read_only_why != NULL) {
		log_error("'%s' cannot be edited: %s; it can be read with "
			  "--ro",
		    session->image->path, info.read_only_why);
		rc = -EROFS;
	}
	ufs_close(fs);
	return rc;
}

/* What the overlay file of the session has to do with its image. */
enum relation { NO_OVERLAY, BELONGS, COMMITTED };

static int
compare_base(
    struct opening *o, const char *overlay, struct overlay_id *made_for)
{
	struct session *session = o->session;
	const char *hex;
	int rc = overlay_read_id(overlay, made_for);

	if (rc == -ENOENT)
		return NO_OVERLAY;
	if (rc < 0)
		return rc;
	if (memcmp(made_for, &session->id, sizeof(*made_for)) == 0)
		return BELONGS;
	hex = session_base_get(&o->base, "next", session->name, 0);
	if (hex != NULL && session_id_is(&session->id, hex))
		return COMMITTED;
	for (size_t i = 0; (hex = session_base_get(
				&o->base, "also", session->name, i)) != NULL;
	     i++)
		if (session_id_is(&session->id, hex))
			return BELONGS;
	log_error(
	    "the session '%s' belongs to another image than what is at "
	    "'%s' now; bring that one back, or drop the session's changes "
	    "with 'relive discard'",
	    session->dir, session->image->path);
	return -ESTALE;
}

/* Enter the image into the "base" file, forgetting what it said of it. */
static int
record_base(struct opening *o)
{
	struct session *session = o->session;
	const struct image *image = session->image;
	char hex[SESSION_ID_HEX];
	int rc;

	session_id_to_hex(&session->id, hex);
	session_base_drop(&o->base, NULL, session->name);
	session_base_drop(&o->base, "path", "");
	rc = session_base_add(&o->base, "path", "", image->path);
	if (rc == 0)
		rc = session_base_add(
		    &o->base, "image", session->name, image->inner);
	if (rc == 0)
		rc = session_base_add(&o->base, "base", session->name, hex);
	return rc < 0 ? rc : session_base_write(session->folder, &o->base);
}

/* -- the overlay ----------------------------------------------------------- */

static int
begin_overlay(struct opening *o, const char *path)
{
	struct session *session = o->session;
	int rc = check_editable(session);

	if (rc == 0)
		rc = record_base(o);
	if (rc < 0)
		return rc;
	rc = overlay_create(path, &session->id, session->image->dev->size);
	return rc < 0 ? say_folder(session->dir, rc) : 0;
}

/* Open the overlay over the image, for what the mode asks. */
static int
open_overlay(struct opening *o, const char *path, const struct overlay_id *id)
{
	struct session *session = o->session;
	bool writer = o->options->mode == SESSION_WRITE;
	struct blkdev *base = blkdev_ref(session->image->dev);
	struct overlay_info info;
	int rc = overlay_open(
	    path, id, base, writer ? 0 : OVERLAY_READ_ONLY, &session->overlay);

	if (rc < 0) {
		session->overlay = NULL;
		blkdev_close(base);
		return rc;
	}
	overlay_info(session->overlay, &info);
	session->exists = info.transactions > 0;
	return 0;
}

static int
add_overlay(struct opening *o)
{
	struct session *session = o->session;
	bool writer = o->options->mode == SESSION_WRITE;
	struct overlay_id id = session->id;
	scoped(freep) char *path =
	    session_file(session->dir, session->name, ".overlay");
	int rc;

	if (path == NULL)
		return -ENOMEM;
	rc = compare_base(o, path, &id);
	if (rc == COMMITTED && writer) {
		log_info(
		    "the changes of '%s' have been committed", session->dir);
		rc = unlink(path) < 0 ? say_folder(session->dir, -errno)
				      : NO_OVERLAY;
	}
	if (rc == NO_OVERLAY && writer) {
		id = session->id;
		rc = begin_overlay(o, path);
		if (rc == 0)
			rc = BELONGS;
	}
	if (rc != BELONGS)
		return rc < 0 ? rc : 0;
	return open_overlay(o, path, &id);
}

/* -- the stack ------------------------------------------------------------- */

/* ufs_flush is about to make a transaction: record what is unlinked but open.
 */
static int
note_orphans(void *arg, const uint64_t *orphans, size_t n)
{
	struct session *session = arg;
	scoped(freep) le64 *note = NULL;

	if (n > ORPHANS_MAX) {
		log_warn("%zu files are unlinked but open; a crash would leave "
			 "some of them behind",
		    n);
		n = ORPHANS_MAX;
	}
	note = calloc(n + 1, sizeof(*note));
	if (note == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		note[i] = le64_set(orphans[i]);
	return overlay_set_note(session->overlay, note, n * sizeof(*note));
}

/* Free what was unlinked but open when the last flush was made. */
static int
reap_orphans(struct session *session)
{
	size_t len, n;
	const le64 *note = overlay_note(session->overlay, &len);
	scoped(freep) uint64_t *inos = NULL;

	n = len / sizeof(*note);
	if (n == 0)
		return 0;
	inos = calloc(n, sizeof(*inos));
	if (inos == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		inos[i] = le64_get(note[i]);
	return ufs_reap(session->fs, inos, n);
}

static bool
has_orphans(const struct session *session)
{
	size_t len = 0;

	if (session->overlay != NULL)
		(void)overlay_note(session->overlay, &len);
	return len > 0;
}

static int
add_cache(struct session *session)
{
	struct blkdev *lower = session->overlay != NULL
	    ? session->overlay
	    : blkdev_ref(session->image->dev);
	int rc =
	    blkdev_cache_open(lower, CACHE_DIRTY, CACHE_CLEAN, &session->cache);

	if (rc < 0) {
		blkdev_close(lower);
		session->overlay = NULL;
		session->cache = NULL;
	}
	return rc;
}

/* A file system without a root directory would be a mount of nothing. */
static int
check_root(const struct session *session)
{
	struct ufs_attr root;
	int rc = ufs_getattr(session->fs, UFS_ROOT, &root);

	if (rc == 0 && (root.mode & 0170000) == 0040000)
		return 0;
	if (rc == 0 || rc == -ESTALE)
		log_error("'%s' has no root directory", session->image->path);
	return rc == 0 || rc == -ESTALE ? -ECORRUPT : rc;
}

/*
 * How large the file system may become where the user does not say: no larger
 * than a commit could put back where it came from.
 */
static uint64_t
default_limit(const struct image *image)
{
	uint64_t size = image->dev->size, limit = size + growth_default;
	enum image_kind around = image->nlayers > 1
	    ? image->layer[image->nlayers - 2].kind
	    : IMAGE_UNKNOWN;

	if (around == IMAGE_PARTITIONED)
		return size;
	if (around == IMAGE_ISO && limit >= iso_file_end)
		limit = size < iso_file_end ? iso_file_end - 1 : size;
	return limit;
}

static int
add_fs(struct opening *o)
{
	struct session *session = o->session;
	bool writer = o->options->mode == SESSION_WRITE;
	struct ufs_options options = {
	    .writable = writer || has_orphans(session)};
	int rc;

	if (writer) {
		options.size_limit = o->options->size_limit != 0
		    ? o->options->size_limit
		    : default_limit(session->image);
		options.before_flush = note_orphans;
		options.arg = session;
	}
	rc = ufs_open(session->cache, &options, &session->fs);
	if (rc < 0) {
		session->fs = NULL;
		return rc;
	}
	rc = check_root(session);
	if (rc < 0 || !options.writable)
		return rc;
	if (session->overlay != NULL)
		rc = reap_orphans(session);
	if (rc == 0 && !writer)
		rc = ufs_sync_to_device(session->fs);
	return rc;
}

static int
open_stack(struct opening *o)
{
	struct session *session = o->session;
	enum session_mode mode = o->options->mode;
	int rc = 0;

	if (mode == SESSION_WRITE)
		rc = claim_folder(o);
	else if (mode == SESSION_SNAPSHOT)
		rc = look_into_folder(o);
	if (rc == 0)
		rc = open_image(o);
	if (rc == 0 && session->folder >= 0) {
		rc = session_base_read(session->folder, &o->base);
		if (rc == 0)
			rc = add_overlay(o);
	}
	if (rc == 0)
		rc = add_cache(session);
	return rc < 0 ? rc : add_fs(o);
}

int
session_open(const char *address, const struct session_options *options,
    struct session **out)
{
	scoped(session_closep) struct session *session =
	    calloc(1, sizeof(*session));
	struct opening o = {.options = options, .session = session};
	int rc;

	if (session == NULL)
		return -ENOMEM;
	session->folder = session->lock = -1;
	rc = session_place_find(address, options->dir, &o.place);
	if (rc < 0)
		return rc;
	session->dir = o.place.dir;
	o.place.dir = NULL;
	rc = open_stack(&o);
	if (rc < 0)
		give_folder_back(&o);
	session_base_release(&o.base);
	session_place_release(&o.place);
	if (rc < 0)
		return rc;
	*out = session;
	session = NULL;
	return 0;
}

void
session_close(struct session *session)
{
	if (session == NULL)
		return;
	if (session->fs != NULL)
		ufs_close(session->fs);
	else
		blkdev_close(
		    session->cache != NULL ? session->cache : session->overlay);
	image_close(session->image);
	free(session->name);
	free(session->dir);
	if (session->folder >= 0)
		(void)close(session->folder);
	if (session->lock >= 0)
		(void)close(session->lock);
	free(session);
}

int
session_finish(struct session *session)
{
	int rc = ufs_flush(session->fs);

	return rc < 0 ? rc : overlay_finish(session->overlay);
}
