/*
 * What stands on top of a session's device: the UFS in it, or nobody, because
 * the device itself is edited or holds something else.
 */
#include <string.h>

#include "../imgfmt/bytes.h"
#include "../imgfmt/log.h"
#include "session_impl.h"

enum { ORPHANS_MAX = OVERLAY_NOTE_MAX / 8 };
static const uint64_t growth_default = (uint64_t)4 << 30;
static const uint64_t iso_file_end = (uint64_t)4 << 30; /* formats.md trap 73 */

int
session_check_editable(const struct session *session)
{
	struct blkdev *dev = blkdev_ref(session->image->dev);
	const struct ufs_options read_only = {0};
	struct ufs_info info;
	struct ufs *fs;
	int rc;

	if (session_base_kind(session) != IMAGE_UFS) {
		blkdev_close(dev);
		return 0;
	}
	rc = ufs_open(dev, &read_only, &fs);
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

/* -- files that are unlinked but open -------------------------------------- */

/* ufs_flush is about to make a transaction: record them. */
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
reap_orphans(const struct session *session, struct ufs *fs)
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
	return ufs_reap(fs, inos, n);
}

static bool
has_orphans(const struct session *session)
{
	size_t len = 0;

	if (session->overlay != NULL)
		(void)overlay_note(session->overlay, &len);
	return len > 0;
}

/* -- the file system ------------------------------------------------------- */

/* A file system without a root directory would be a mount of nothing. */
static int
check_root(const struct session *session, struct ufs *fs)
{
	struct ufs_attr root;
	int rc = ufs_getattr(fs, UFS_ROOT, &root);

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

/* Open the UFS on the device, which it owns from now on. */
static int
open_fs(struct session *session, const struct session_options *asked,
    struct ufs **out)
{
	bool writer = asked->mode == SESSION_WRITE;
	struct ufs_options options = {
	    .writable = writer || has_orphans(session)};
	int rc;

	if (writer) {
		options.size_limit = asked->size_limit != 0
		    ? asked->size_limit
		    : default_limit(session->image);
		options.before_flush = note_orphans;
		options.arg = session;
	}
	rc = ufs_open(session->cache, &options, out);
	if (rc < 0)
		*out = NULL;
	return rc;
}

/* Bring an open one to where a session begins. */
static int
settle_fs(struct session *session, enum session_mode mode, struct ufs *fs)
{
	bool writer = mode == SESSION_WRITE, reaps = has_orphans(session);
	int rc = check_root(session, fs);

	if (rc == 0 && reaps)
		rc = reap_orphans(session, fs);
	if (rc == 0 && reaps && !writer)
		rc = ufs_sync_to_device(fs);
	return rc;
}

/*
 * Whoever edits the device as such finds on it what the tree shows: nothing
 * unlinked any more.  Where the user wants it larger, that is done here too.
 */
static int
prepare_device(struct session *session, const struct session_options *asked)
{
	uint64_t want = asked->mode == SESSION_WRITE ? asked->size_limit : 0;
	bool grows = want > session->cache->size;
	struct ufs *fs;
	int rc;

	if (session->kind != IMAGE_UFS || (!grows && !has_orphans(session)))
		return grows ? blkdev_resize(session->cache, want) : 0;
	(void)blkdev_ref(session->cache);
	rc = open_fs(session, asked, &fs);
	if (rc < 0) {
		blkdev_close(session->cache);
		return rc;
	}
	rc = settle_fs(session, asked->mode, fs);
	if (rc == 0 && grows)
		rc = ufs_grow(fs, want);
	if (rc == 0 && asked->mode == SESSION_WRITE)
		rc = ufs_flush(fs);
	ufs_close(fs);
	return rc;
}

int
session_add_fs(struct session *session, const struct session_options *asked)
{
	int rc = asked->content == SESSION_ISO
	    ? session_iso_fill(session, asked->mode)
	    : 0;

	if (rc == 0)
		rc = image_identify(session->cache);
	if (rc < 0)
		return rc;
	session->kind = (enum image_kind)rc;
	if (asked->content == SESSION_DEVICE)
		return prepare_device(session, asked);
	if (session->kind != IMAGE_UFS && asked->content == SESSION_ANY)
		return 0;
	if (session->kind != IMAGE_UFS) {
		log_error("'%s' holds %s since it was edited; 'relive mount "
			  "--view block' shows it",
		    session->dir, image_kind_name(session->kind));
		return -EINVAL;
	}
	rc = open_fs(session, asked, &session->fs);
	return rc < 0 ? rc : settle_fs(session, asked->mode, session->fs);
}

/* -- flushing -------------------------------------------------------------- */

int
session_flush(struct session *session)
{
	return session->fs != NULL ? ufs_flush(session->fs)
				   : blkdev_flush(session->cache);
}

int
session_finish(struct session *session)
{
	int rc = session_flush(session);

	return rc < 0 ? rc : overlay_finish(session->overlay);
}
