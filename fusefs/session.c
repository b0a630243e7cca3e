/*
 * Opening and closing the stack of one image: image - overlay - cache, and on
 * top what session_fs.c adds.
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

#include "../imgfmt/log.h"
#include "session_impl.h"

enum {
	CACHE_DIRTY = 80 << 20, /* the daemon flushes at 64 MiB */
	CACHE_CLEAN = 16 << 20,
	CLUSTERS_KEPT = 32 << 20, /* decompressed, where the caller says 0 */
};

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

/* A reader cannot choose another one. */
static int
say_unreadable(const char *dir, int rc)
{
	log_error("the session folder '%s': %s%s", dir, strerror(-rc),
	    rc == -EACCES ? "; it is its user's alone" : "");
	return rc;
}

/* The folder is another session's, which has the lock. */
static int
join_folder(struct opening *o)
{
	struct session *session = o->session;

	free(session->dir);
	session->dir = strdup(o->options->beside->dir);
	if (session->dir == NULL)
		return -ENOMEM;
	session->folder = session_open_folder(session->dir);
	return session->folder < 0 ? say_folder(session->dir, session->folder)
				   : 0;
}

/* The folder is there: open it, under its real name. */
static int
open_claimed(struct opening *o)
{
	struct session *session = o->session;

	if (o->options->dir != NULL) {
		char *real = realpath(session->dir, NULL);

		if (real == NULL)
			return -errno;
		free(session->dir);
		session->dir = real;
	}
	session->folder = session_open_folder(session->dir);
	return session->folder < 0 ? session->folder : 0;
}

/* Make the folder for a writer, open it and take its lock. */
static int
claim_folder(struct opening *o)
{
	struct session *session = o->session;
	struct stat st;
	int rc;

	if (o->options->beside != NULL)
		return join_folder(o);
	if (o->options->dir == NULL && stat(o->place.path, &st) == 0 &&
	    !S_ISREG(st.st_mode)) {
		log_error("'%s' is a device: name a folder for the session "
			  "with --session",
		    o->place.path);
		return -EINVAL;
	}
	if (mkdir(session->dir, 0700) == 0)
		o->made_folder = true;
	else if (errno != EEXIST)
		return say_folder(session->dir, -errno);
	rc = open_claimed(o);
	if (rc < 0)
		return say_folder(session->dir, rc);
	rc = session_folder_check(session->folder, session->dir, false);
	if (rc < 0)
		return rc;
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
	int rc;

	session->folder = session_open_folder(session->dir);
	if (session->folder == -ENOENT && o->options->dir == NULL)
		return 0;
	if (session->folder < 0)
		return say_unreadable(session->dir, session->folder);
	rc = o->options->wait ? session_settle(session->folder, session->dir)
			      : 0;
	return rc < 0 ? rc
		      : session_folder_check(session->folder, session->dir,
			    o->options->dir != NULL);
}

/* A folder made for nothing goes away again. */
static void
give_folder_back(struct opening *o)
{
	if (!o->made_folder || o->session->folder < 0)
		return;
	session_remove_inflated(o->session->folder);
	(void)unlinkat(o->session->folder, "lock", 0);
	(void)rmdir(o->session->dir);
}

/* -- the base -------------------------------------------------------------- */

/* Open what is asked for at address, of which only the file counts for an ISO.
 */
static int
open_layers(struct opening *o, const char *address)
{
	struct session *session = o->session;
	struct image_options options = o->options->image;
	unsigned flags = 0;

	if (options.cache_max == 0)
		options.cache_max = CLUSTERS_KEPT;
	if (options.scratch == NULL && session->folder >= 0)
		options.scratch = session->dir;
	if (o->options->content == SESSION_ISO) {
		address = o->place.path;
		flags = IMAGE_TOP_ONLY;
	} else if (o->options->content != SESSION_UFS)
		flags = IMAGE_ANY;
	if (o->options->whole)
		flags |= IMAGE_FIRST;
	return image_open(address, &options, flags, &session->image);
}

static bool
is_iso(const char *path)
{
	const struct image_options options = {0};
	scoped(image_closep) struct image *image = NULL;

	return image_open(path, &options, IMAGE_TOP_ONLY, &image) == 0 &&
	    image->layer[image->nlayers - 1].kind == IMAGE_ISO;
}

/*
 * The inner address: as given, or where the whole ISO is meant, of the image
 * that its session names first.
 */
static const char *
inner_of(const struct opening *o)
{
	const char *first = session_base_get(&o->base, "image", NULL, 0);

	return o->place.inner[0] == '\0' && o->options->whole &&
		first != NULL && is_iso(o->place.path)
	    ? first
	    : o->place.inner;
}

static int
open_image(struct opening *o)
{
	struct session *session = o->session;
	const char *inner = inner_of(o);
	scoped(freep) char *address = NULL;
	char name[NAME_MAX + 1];
	int rc;

	if (asprintf(&address, "%s%s%s", o->place.path,
		inner[0] == '\0' ? "" : ":", inner) < 0) {
		address = NULL;
		return -ENOMEM;
	}
	rc = open_layers(o, address);
	if (rc < 0)
		return rc;
	if (o->options->content == SESSION_ISO) {
		rc = session_iso_base(session);
	} else {
		image_overlay_name(session->image->inner, name);
		session->name = strdup(name);
		rc = session->name == NULL ? -ENOMEM : 0;
	}
	return rc < 0 ? rc : session_identity(session->image, &session->id);
}

/* The overlay cannot be opened: say so, unless what is wrong was said. */
static int
say_overlay(const char *path, int rc, unsigned errors)
{
	if (log_errors_said() == errors)
		log_error("'%s' cannot be read: %s", path, strerror(-rc));
	return rc;
}

/* What the overlay file of the session has to do with its image. */
enum relation { NO_OVERLAY = 0, BELONGS, COMMITTED };

/* Whether the image is what the lines of verb say. */
static bool
is_one_of(const struct opening *o, const char *verb)
{
	const struct session *session = o->session;
	const char *hex;

	for (size_t i = 0;
	     (hex = session_base_get(&o->base, verb, session->name, i)) != NULL;
	     i++)
		if (session_id_is(&session->id, hex))
			return true;
	return false;
}

static int
compare_base(
    struct opening *o, const char *overlay, struct overlay_id *made_for)
{
	struct session *session = o->session;
	unsigned errors = log_errors_said();
	int rc = overlay_read_id(overlay, made_for);

	if (rc == -ENOENT)
		return NO_OVERLAY;
	if (rc < 0)
		return say_overlay(overlay, rc, errors);
	if (session_id_same(&session->id, made_for))
		return BELONGS;
	if (is_one_of(o, "next"))
		return COMMITTED;
	if (is_one_of(o, "also"))
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
		rc = session_base_add(&o->base,
		    o->options->content == SESSION_ISO ? "iso" : "image",
		    session->name, image->inner);
	if (rc == 0)
		rc = session_base_add(&o->base, "base", session->name, hex);
	return rc < 0 ? rc : session_base_write(session->folder, &o->base);
}

/* -- the overlay ----------------------------------------------------------- */

static int
begin_overlay(struct opening *o, const char *path)
{
	struct session *session = o->session;
	int rc = o->options->content == SESSION_DEVICE
	    ? 0
	    : session_check_editable(session);

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
	unsigned errors = log_errors_said();
	int rc = overlay_open(
	    path, id, base, writer ? 0 : OVERLAY_READ_ONLY, &session->overlay);

	if (rc < 0) {
		session->overlay = NULL;
		blkdev_close(base);
		return say_overlay(path, rc, errors);
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
	if (rc == NO_OVERLAY && o->options->dir != NULL)
		rc = session_base_check(
		    &o->base, session->dir, session->image->path);
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
	if (rc == 0 && session->folder >= 0)
		rc = session_base_read(session->folder, &o->base);
	if (rc == 0)
		rc = open_image(o);
	if (rc == 0 && session->folder >= 0)
		rc = add_overlay(o);
	if (rc == 0)
		rc = add_cache(session);
	return rc < 0 ? rc : session_add_fs(session, o->options);
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
	rc = session_place_find(address, options->dir, false, &o.place);
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
session_others(const struct session *session,
    int (*each)(void *arg, const char *address), void *arg)
{
	struct session_base base;
	const char *inner;
	int rc = 0;

	if (session->folder < 0)
		return 0;
	rc = session_base_read(session->folder, &base);
	for (size_t i = 0; rc == 0 &&
	     (inner = session_base_get(&base, "image", NULL, i)) != NULL;
	     i++) {
		scoped(freep) char *address = NULL;

		if (strcmp(inner, session->image->inner) == 0)
			continue;
		if (asprintf(&address, "%s:%s", session->image->path, inner) <
		    0) {
			address = NULL;
			rc = -ENOMEM;
		} else
			rc = each(arg, address);
	}
	session_base_release(&base);
	return rc;
}

bool
session_has_iso(const struct session *session)
{
	return session->folder >= 0 &&
	    faccessat(session->folder, SESSION_ISO_NAME ".overlay", F_OK, 0) ==
	    0;
}
