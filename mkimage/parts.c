#include "parts.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "../imgfmt/log.h"

struct opening {
	struct session_options how;
	struct parts *parts;
};

static int
is_changed(const struct session *session)
{
	struct blkdev_change change;

	if (session->cache->size != session->image->dev->size)
		return 1;
	return blkdev_next_change(session->cache, 0, &change);
}

static int
open_image(void *arg, const char *address)
{
	struct opening *o = arg;
	struct parts *parts = o->parts;
	struct session *session;
	int rc;

	if (parts->n == PARTS_MAX)
		return -EFBIG;
	rc = session_open(address, &o->how, &session);
	if (rc < 0)
		return rc;
	rc = is_changed(session);
	if (rc <= 0) {
		session_close(session);
		return rc;
	}
	parts->path[parts->n] = strdup(session->image->inner);
	parts->image[parts->n++] = session;
	return parts->path[parts->n - 1] == NULL ? -ENOMEM : 0;
}

static int
count_change(void *arg, enum iso_edit_change change, const char *path)
{
	struct parts *parts = arg;

	(void)path;
	parts->changes[change]++;
	return 0;
}

static int
open_iso(const struct session *first, struct opening *o)
{
	struct parts *parts = o->parts;
	int rc;

	o->how.mode = SESSION_SNAPSHOT; /* it is read, and dropped later */
	o->how.content = SESSION_ISO;
	rc = session_open(first->image->path, &o->how, &parts->iso);
	if (rc < 0)
		return rc;
	rc = session_iso_tree(parts->iso, &parts->tree);
	if (rc == 0)
		rc = iso_edit_changes(
		    parts->iso->image->iso, parts->tree, count_change, parts);
	if (rc == 0 &&
	    parts->changes[0] + parts->changes[1] + parts->changes[2] == 0) {
		session_close(parts->iso);
		parts->iso = NULL;
	}
	return rc;
}

/* Mounted by another process, though nothing may be written yet. */
static bool
is_being_edited(const struct session *session)
{
	return session->folder >= 0 && session->lock < 0 &&
	    faccessat(session->folder, "mount", F_OK, 0) == 0;
}

/*
 * What nobody edited, and no other command would take, is no image.  Where
 * there is a session, whoever made it knows what he edits.
 */
static int
check_content(const struct session *first, const struct parts *parts)
{
	enum image_kind kind = first->kind;
	const char *advice = image_kind_advice(kind);

	if ((kind != IMAGE_UNKNOWN && kind != IMAGE_SQUASHFS &&
		kind != IMAGE_ZFS_STREAM) ||
	    first->exists || parts_any(parts) || is_being_edited(first))
		return 0;
	log_error("'%s' is %s: %s", first->image->path, image_kind_name(kind),
	    advice != NULL ? advice : "it was not edited");
	return -EINVAL;
}

int
parts_open(
    struct session *first, const struct session_options *how, struct parts *out)
{
	struct opening o = {.how = *how, .parts = out};
	int rc;

	*out = (struct parts){0};
	if (first->image->layer[0].kind != IMAGE_ISO)
		return check_content(first, out);
	o.how.beside = first;
	rc = session_others(first, open_image, &o);
	if (rc == 0 && session_has_iso(first))
		rc = open_iso(first, &o);
	return rc < 0 ? rc : check_content(first, out);
}

void
parts_close(struct parts *parts)
{
	iso_edit_free(parts->tree);
	session_close(parts->iso);
	for (unsigned i = 0; i < parts->n; i++) {
		session_close(parts->image[i]);
		free(parts->path[i]);
	}
	*parts = (struct parts){0};
}
