/* Private to session*.c. */
#ifndef SESSION_IMPL_H
#define SESSION_IMPL_H

#include "session.h"

enum { SESSION_ID_HEX = 2 * OVERLAY_ID_MAX + 1 };

/* -- session_place.c: from an address to the folder ------------------------ */

struct session_place {
	char *path;   /* of the host file */
	char *inner;  /* as given, "" for none */
	bool derived; /* not given, but the folder told */
	char *dir;    /* the session's folder; need not exist */
};

/*
 * Where the session of address lies; dir is that of --session or NULL.  gone:
 * the image of a folder need not be there any more.  Errors are said.
 */
MUST_CHECK int session_place_find(
    const char *address, const char *dir, bool gone, struct session_place *out);
void session_place_release(struct session_place *place);

/*
 * Open a session's folder: the fd, or -errno.  No symbolic link is followed,
 * which somebody else may have put beside an image: what a user names is to be
 * resolved before.
 */
MUST_CHECK int session_open_folder(const char *dir);

/* -- session_base.c: the "base" file --------------------------------------- */

/*
 * Lines "VERB<tab>NAME<tab>VALUE".  NAME is the overlay's, without suffix:
 *	path   -     where the host file was when the session began
 *	image  NAME  its inner address
 *	iso    NAME  the same of the ISO's own tree, always empty
 *	base   NAME  identity that the overlay was made for, hexadecimal
 *	also   NAME  of the same image where a commit of another one moved it
 *	next   NAME  of what an in-place commit makes of this image
 */
struct session_line {
	char *verb, *name, *value;
};
struct session_base {
	size_t n;
	struct session_line *line;
};

/*
 * Files of a session may lie in a folder of somebody who wishes us ill: no
 * symbolic link is followed, and nothing but a regular file is read.  The fd;
 * -EINVAL: it is something else; others of open(2).
 */
MUST_CHECK int session_open_file(int folder, const char *name, int flags);
/* A new one, to be written, in the place of what has the name. */
MUST_CHECK int session_create_file(int folder, const char *name);

/* Read the file in folder; one that is not there is empty.  Errors are said. */
MUST_CHECK int session_base_read(int folder, struct session_base *out);
/* Replace the file, durably.  Errors are said. */
MUST_CHECK int session_base_write(int folder, const struct session_base *base);
void session_base_release(struct session_base *base);

/*
 * Whether the session in dir may be that of the host file at path: -EINVAL,
 * said, if it is another one's that is still where it was.
 */
MUST_CHECK int session_base_check(
    const struct session_base *base, const char *dir, const char *path);

/* The i-th value of verb and name (NULL: any name), or NULL. */
const char *session_base_get(const struct session_base *base, const char *verb,
    const char *name, size_t i);
MUST_CHECK int session_base_add(struct session_base *base, const char *verb,
    const char *name, const char *value);
/* Drop the lines of verb (NULL: all) and name. */
void session_base_drop(
    struct session_base *base, const char *verb, const char *name);

/* -- session_id.c ---------------------------------------------------------- */

void session_id_to_hex(const struct overlay_id *id, char hex[SESSION_ID_HEX]);
/* Whether hex, or other, is that identity. */
bool session_id_is(const struct overlay_id *id, const char *hex);
bool session_id_same(
    const struct overlay_id *id, const struct overlay_id *other);

/* -- session_lock.c -------------------------------------------------------- */

/*
 * Take the folder's lock; wait: for up to 10 s, unless it
 * serves a mount.  The fd.  -EBUSY, said with
 * who holds it; others of open(2), not said.
 */
MUST_CHECK int session_lock(int folder, const char *dir, bool wait);
/* 1: somebody holds the lock, 0: nobody. */
MUST_CHECK int session_is_locked(int folder);

/*
 * Wait, up to 10 s, for a writer whose mount is gone from the mount table:
 * its last flush is under way.  -EBUSY, said.
 */
MUST_CHECK int session_settle(int folder, const char *dir);

struct session_mount {
	long pid;
	char dir[PATH_MAX];
	bool private;     /* others do not see it there */
	char failed[128]; /* why the last flush failed, or "" */
};
/* What the "mount" file says; -ENOENT. */
MUST_CHECK int session_read_mount(int folder, struct session_mount *out);

/* -- session_fs.c ---------------------------------------------------------- */

/* Refuse to begin editing a UFS that the engine would not write: -EROFS, said.
 */
MUST_CHECK int session_check_editable(const struct session *session);

/* What the image holds without the session. */
static inline enum image_kind
session_base_kind(const struct session *session)
{
	return session->image->layer[session->image->nlayers - 1].kind;
}

/*
 * The image and its cache are open: look at what they hold, and open it as far
 * as the content asked for goes.
 */
MUST_CHECK int session_add_fs(
    struct session *session, const struct session_options *asked);

/* -- session_end.c --------------------------------------------------------- */

/*
 * Whether the folder path, open at folder, is a session, or unless it must_be
 * one, has nothing in it but what one leaves that was cut short when it began.
 * -EINVAL, said: it is something else's, of which nothing may be touched.
 */
MUST_CHECK int session_folder_check(int folder, const char *path, bool must_be);

/* Remove the inflated copies in folder, whatever they are of. */
void session_remove_inflated(int folder);

/* -- session_iso.c --------------------------------------------------------- */

/* What the "base" file and the files of the folder call the ISO's own tree;
 * no image can be called so. */
#define SESSION_ISO_NAME ":iso"

/* The image is an ISO, opened as such: give it the empty staging device. */
MUST_CHECK int session_iso_base(struct session *session);

/* Fill the staging area, unless that was done; durably, for a writer. */
MUST_CHECK int session_iso_fill(
    struct session *session, enum session_mode mode);

/* -- session.c ------------------------------------------------------------- */

/* "FOLDER/NAMEsuffix", to be freed; NULL when out of memory. */
char *session_file(const char *dir, const char *name, const char *suffix);

#endif
