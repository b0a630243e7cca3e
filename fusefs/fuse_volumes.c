/*
 * The parts of an ISO that mount --view all serves side by side, and the
 * folder of folders that they are in.
 */
#include <string.h>
#include <sys/stat.h>

#include "../imgfmt/iso_edit.h"
#include "../imgfmt/log.h"
#include "fuse_impl.h"

enum { IMAGES_MAX = 64 };

/* A further server behind first, for session, which it owns from now on. */
static int
add_volume(struct server *first, struct session *session, char *name,
    struct server **out)
{
	struct server *s = calloc(1, sizeof(*s)), *last = first;

	if (s == NULL || name == NULL) {
		free(s);
		free(name);
		session_close(session);
		return -ENOMEM;
	}
	while (last->next != NULL)
		last = last->next;
	last->next = s;
	s->tag = last->tag + first->tag;
	s->session = session;
	s->volume = name;
	s->dir = first->dir;
	s->ready_fd = -1;
	pthread_mutex_init(&s->lifting, NULL);
	*out = s;
	return 0;
}

static bool
is_used(const struct server *first, const char *name)
{
	for (const struct server *s = first; s != NULL; s = s->next)
		if (strcmp(s->volume, name) == 0)
			return true;
	return strcmp(name, "iso") == 0;
}

/* What the folder of an image is called: "memroot" of /boot/memroot.ufs.gz. */
static char *
name_of(const struct server *first, const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *file = slash != NULL ? slash + 1 : path;
	size_t len = strcspn(file + 1, ".") + 1;
	char *name = strndup(file, len);

	for (int i = 2; name != NULL && is_used(first, name); i++) {
		free(name);
		if (asprintf(&name, "%.*s-%d", (int)len, file, i) < 0)
			name = NULL;
	}
	return name;
}

/* Serve the image at path of the ISO too; one that cannot be is named. */
static int
add_image(
    struct server *first, const struct session_options *how, const char *path)
{
	scoped(freep) char *address = NULL;
	struct session_options options = *how;
	struct session *session;
	struct server *s;
	int rc;

	if (asprintf(&address, "%s:%s", first->session->image->path, path) <
	    0) {
		address = NULL;
		return -ENOMEM;
	}
	options.beside = first->session;
	rc = session_open(address, &options, &session);
	if (rc < 0) {
		log_warn("'%s' is not shown", address);
		return rc == -ENOMEM ? rc : 0;
	}
	return add_volume(first, session, name_of(first, path), &s);
}

static int
add_images(struct server *first, const struct session_options *how)
{
	const struct image *image = first->session->image;
	scoped(freep) struct image_found *found =
	    calloc(IMAGES_MAX, sizeof(*found));
	int rc = 0;
	int n = found == NULL
	    ? -ENOMEM
	    : image_find_editable(image->iso, found, IMAGES_MAX);

	for (int i = 0; i < n && rc == 0; i++)
		if (found[i].node.off != image->iso_node.off)
			rc = add_image(first, how, found[i].path);
	return n < 0 ? n : rc;
}

static int
add_iso(struct server *first, const struct session_options *how)
{
	struct session_options options = *how;
	struct session *session;
	struct server *s;
	const char *why;
	int rc;

	options.content = SESSION_ISO;
	options.beside = first->session;
	options.size_limit = 0;
	why = iso_edit_why_not(first->session->image->iso, &rc);
	if (rc < 0)
		return rc;
	if (why != NULL) {
		log_warn("the ISO's own tree is shown read-only: %s", why);
		options.mode = SESSION_SNAPSHOT;
	}
	rc = session_open(first->session->image->path, &options, &session);
	if (rc < 0)
		return rc;
	rc = add_volume(first, session, strdup("iso"), &s);
	if (rc < 0)
		return rc;
	s->is_iso = true;
	s->read_only = why != NULL;
	return 0;
}

int
volumes_open(struct server *first, const struct session_options *how)
{
	int rc;

	if (first->session->image->layer[0].kind != IMAGE_ISO) {
		log_error("'%s' is no ISO: --view all has nothing to show but "
			  "its tree",
		    first->session->image->path);
		return -ENOTSUP;
	}
	first->tag = (uint64_t)1 << 40;
	first->volume = strdup("root");
	if (first->volume == NULL)
		return -ENOMEM;
	rc = add_iso(first, how);
	return rc < 0 ? rc : add_images(first, how);
}

void
volumes_close(struct server *first)
{
	while (first->next != NULL) {
		struct server *s = first->next;

		first->next = s->next;
		flusher_close(s->flusher);
		nodes_close(s->nodes);
		session_close(s->session);
		pthread_mutex_destroy(&s->lifting);
		free(s->volume);
		free(s);
	}
	free(first->volume);
	first->volume = NULL;
}

/* -- the folder of folders ------------------------------------------------- */

void
volumes_stat(struct server *first, struct stat *st)
{
	*st = (struct stat){
	    .st_ino = FUSE_ROOT_ID,
	    .st_mode = S_IFDIR | 0755,
	    .st_nlink = 2,
	    .st_uid = first->uid,
	    .st_gid = first->gid,
	};
	st->st_mtim.tv_sec = atomic_load(&first->changed);
	st->st_atim = st->st_ctim = st->st_mtim;
	for (const struct server *s = first; s != NULL; s = s->next)
		st->st_nlink++;
}

static int
volume_entry(const struct server *s, struct fuse_entry_param *out)
{
	struct ufs_attr attr;
	int rc = ufs_getattr(s->fs, UFS_ROOT, &attr);

	if (rc == 0)
		entry_of(s, &attr, out);
	return rc;
}

void
volumes_lookup(fuse_req_t req, const char *name)
{
	struct fuse_entry_param entry = {.entry_timeout = FOREVER};
	struct server *s = fuse_req_userdata(req);
	int rc = 0;

	while (s != NULL && strcmp(s->volume, name) != 0)
		s = s->next;
	if (s != NULL)
		rc = volume_entry(s, &entry);
	if (rc < 0)
		fuse_reply_err(req, -rc);
	else
		fuse_reply_entry(req, &entry);
}

/* The next name of the folder of folders: NULL at the end. */
static const char *
next_name(off_t i, const struct server **at, struct stat *st)
{
	const struct server *s = *at;

	*st = (struct stat){.st_mode = S_IFDIR, .st_ino = FUSE_ROOT_ID};
	if (i < 2)
		return i == 0 ? "." : "..";
	if (s == NULL)
		return NULL;
	st->st_ino = s->tag | UFS_ROOT;
	*at = s->next;
	return s->volume;
}

void
volumes_readdir(fuse_req_t req, size_t size, off_t off, bool plus)
{
	const struct server *s = fuse_req_userdata(req);
	char *buf = thread_buffer(size);
	struct fuse_entry_param param = {0}; /* looked up by who goes there */
	const char *name;
	size_t used = 0;

	if (buf == NULL) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	for (off_t i = 0; (name = next_name(i, &s, &param.attr)) != NULL; i++) {
		char *at = buf + used;
		size_t room = size - used, len;

		if (i < off)
			continue;
		len = plus
		    ? fuse_add_direntry_plus(req, at, room, name, &param, i + 1)
		    : fuse_add_direntry(
			  req, at, room, name, &param.attr, i + 1);
		if (len > room)
			break;
		used += len;
	}
	fuse_reply_buf(req, buf, used);
}

int
volumes_flush(struct server *first)
{
	int worst = 0;

	for (struct server *s = first; s != NULL; s = s->next) {
		int rc = flush_now(s->flusher);

		if (worst == 0)
			worst = rc;
	}
	return worst;
}
