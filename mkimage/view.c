#include "view.h"

#include <string.h>
#include <sys/stat.h>

#include "../imgfmt/log.h"
#include "path.h"

enum {
	LINKS_MAX = 32,
	PATH_LEN = 4096,
	PIECE = 1 << 20,
	ENTRIES_MAX = 1 << 24
};

bool
view_is_session(const char *address)
{
	scoped(freep) char *path = strdup(address);
	struct stat st;

	while (path != NULL && stat(path, &st) < 0) {
		char *colon = strrchr(path, ':');

		if (colon == NULL || colon == path)
			return false;
		*colon = '\0';
	}
	return path != NULL && S_ISDIR(st.st_mode);
}

static int
open_session(const char *address, const char *dir, enum session_content content,
    struct session **out)
{
	struct session_options options = {
	    .mode = SESSION_BASE, .content = content, .dir = dir, .wait = true};
	int rc = 0;

	if (dir != NULL || view_is_session(address)) {
		options.mode = SESSION_SNAPSHOT;
		rc = session_sync_mount(address, dir);
	}
	return rc < 0 ? rc : session_open(address, &options, out);
}

int
view_session(const char *address, const char *dir, struct session **out)
{
	return open_session(address, dir, SESSION_UFS, out);
}

/* The ISO's own tree as it is on the ISO. */
static int
open_iso(const char *address, struct view *v)
{
	const struct image_layer *last;
	int rc = image_open(
	    address, &(struct image_options){0}, IMAGE_TOP_ONLY, &v->image);

	if (rc < 0)
		return rc;
	last = &v->image->layer[v->image->nlayers - 1];
	if (last->kind != IMAGE_ISO) {
		log_error("'%s' is %s, not an ISO", address,
		    image_kind_name(last->kind));
		return -EINVAL;
	}
	return iso_open(last->dev, &v->iso);
}

int
view_open(
    const char *address, const struct view_options *options, struct view *v)
{
	bool edited = options->session != NULL || view_is_session(address);
	int rc;

	*v = (struct view){.staged = options->iso && edited};
	if (options->iso && !edited)
		rc = open_iso(address, v);
	else
		rc = open_session(address, options->session,
		    v->staged ? SESSION_ISO : SESSION_UFS, &v->session);
	if (rc < 0)
		view_close(v);
	else if (v->session != NULL)
		v->fs = v->session->fs;
	return rc;
}

void
view_close(struct view *v)
{
	session_close(v->session);
	iso_close(v->iso);
	image_close(v->image);
	*v = (struct view){0};
}

static void
from_ufs(const struct ufs_attr *a, struct view_node *out)
{
	*out = (struct view_node){
	    .id = a->ino,
	    .mode = a->mode,
	    .nlink = a->nlink,
	    .uid = a->uid,
	    .gid = a->gid,
	    .flags = a->flags,
	    .rdev_major = a->rdev_major,
	    .rdev_minor = a->rdev_minor,
	    .size = a->size,
	    .blocks = a->blocks,
	    .atime = a->atime,
	    .mtime = a->mtime,
	    .ctime = a->ctime,
	    .birth = a->birth,
	    .has_birth = true,
	};
}

static void
from_iso(const struct iso_node *n, struct view_node *out)
{
	/* Names that share their data are hard links; empty files have none. */
	*out = (struct view_node){
	    .id = n->size > 0 ? n->off : n->record_off,
	    .mode = n->mode,
	    .nlink = n->size > 0 || S_ISDIR(n->mode) ? n->nlink : 1,
	    .uid = n->uid,
	    .gid = n->gid,
	    .rdev_major = n->rdev_major,
	    .rdev_minor = n->rdev_minor,
	    .size = S_ISREG(n->mode) ? n->size : 0,
	    .blocks = n->size / 512 + (n->size % 512 != 0),
	    .atime = n->mtime,
	    .mtime = n->mtime,
	    .ctime = n->mtime,
	    .iso = *n,
	};
}

/* What the file is on the ISO, where nobody has written to it. */
static int
from_staged(struct view *v, const struct ufs_attr *a, struct view_node *out)
{
	struct iso_node node;
	int rc = session_iso_origin(v->session, a->ino, &node);

	out->flags = 0; /* the session's own */
	out->has_birth = false;
	out->on_iso = rc > 0 && S_ISREG(a->mode) && node.size > 0;
	if (out->on_iso) {
		/* no inode's number */
		out->id = node.off | (uint64_t)1 << 63;
		out->nlink = node.nlink;
		out->iso = node;
		out->blocks = node.size / 512 + (node.size % 512 != 0);
	} else if (S_ISDIR(a->mode))
		out->size = 0; /* as on the ISO */
	return rc < 0 ? rc : 0;
}

static int
from_fs(struct view *v, const struct ufs_attr *a, struct view_node *out)
{
	from_ufs(a, out);
	return v->staged ? from_staged(v, a, out) : 0;
}

/*
 * Resolve path in an ISO: name by name, since iso_lookup follows no links.
 * done is the path so far, todo what is left.
 */
struct walk {
	char done[PATH_LEN], todo[PATH_LEN];
	int links;
};

/* Move the first name of todo to the end of done. */
static int
take_name(struct walk *w)
{
	size_t skip = strspn(w->todo, "/");
	size_t len = strcspn(w->todo + skip, "/");
	size_t have = strlen(w->done);
	const char *name = w->todo + skip;

	if (len == 2 && memcmp(name, "..", 2) == 0) {
		char *slash = strrchr(w->done, '/');

		if (slash != NULL)
			*slash = '\0';
	} else if (len > 0 && !(len == 1 && *name == '.')) {
		if (have + 1 + len >= sizeof(w->done))
			return -ENAMETOOLONG;
		w->done[have] = '/';
		memcpy(w->done + have + 1, name, len);
		w->done[have + 1 + len] = '\0';
	}
	memmove(w->todo, name + len, strlen(name + len) + 1);
	return 0;
}

/* done is a link: put its target before what is left. */
static int
follow_link(struct view *v, struct walk *w, const struct iso_node *node)
{
	char target[PATH_LEN], rest[PATH_LEN];
	int rc = iso_readlink(v->iso, node, target, sizeof(target));

	if (rc < 0)
		return rc;
	if (++w->links > LINKS_MAX)
		return -ELOOP;
	memcpy(rest, w->todo, sizeof(rest));
	if (snprintf(w->todo, sizeof(w->todo), "%s/%s", target, rest) >=
	    (int)sizeof(w->todo))
		return -ENAMETOOLONG;
	if (target[0] == '/')
		w->done[0] = '\0';
	else
		*strrchr(w->done, '/') = '\0';
	return 0;
}

static int
lookup_iso(struct view *v, const char *path, bool follow, struct iso_node *out)
{
	struct walk w = {.done = ""};
	int rc = iso_root(v->iso, out);

	if (strlen(path) >= sizeof(w.todo))
		return -ENAMETOOLONG;
	snprintf(w.todo, sizeof(w.todo), "%s", path);
	while (rc == 0 && w.todo[strspn(w.todo, "/")] != '\0') {
		rc = take_name(&w);
		if (rc == 0)
			rc = iso_lookup(v->iso, w.done, out);
		if (rc == 0 && S_ISLNK(out->mode) &&
		    (follow || w.todo[0] != '\0'))
			rc = follow_link(v, &w, out);
	}
	/* a link's target can end in nothing more to look up */
	return rc < 0 ? rc : iso_lookup(v->iso, w.done, out);
}

int
view_lookup(
    struct view *v, const char *path, bool follow, struct view_node *out)
{
	struct ufs_attr attr;
	struct iso_node node;
	int rc;

	if (v->iso != NULL) {
		rc = lookup_iso(v, path, follow, &node);
		if (rc == 0)
			from_iso(&node, out);
		return rc;
	}
	rc = path_lookup(v->fs, path, follow, &attr);
	return rc < 0 ? rc : from_fs(v, &attr, out);
}

/* -- directories ---------------------------------------------------------- */

static struct view_entry *
list_add(struct view_list *list, const char *name)
{
	struct view_entry *e;

	if (list->n == list->room) {
		size_t room = list->room > 0 ? 2 * list->room : 64;

		if (room > ENTRIES_MAX)
			return NULL;
		e = realloc(list->entry, room * sizeof(*e));
		if (e == NULL)
			return NULL;
		list->entry = e;
		list->room = room;
	}
	e = &list->entry[list->n];
	*e = (struct view_entry){.name = strdup(name)};
	if (e->name == NULL)
		return NULL;
	list->n++;
	return e;
}

static bool
is_dot(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static int
add_ufs(void *arg, const struct ufs_dirent *d)
{
	enum { WHITEOUT = 14 };
	struct view_list *list = arg;
	struct view_entry *e;

	if (d->type == WHITEOUT || d->ino == UFS_WHITEOUT_INO) {
		list->whiteouts++;
		return 0;
	}
	if (is_dot(d->name))
		return 0;
	e = list_add(list, d->name);
	if (e == NULL)
		return -ENOMEM;
	e->ino = d->ino;
	return 0;
}

static int
add_iso(void *arg, const struct iso_node *node)
{
	struct view_entry *e;

	if (is_dot(node->name) || strchr(node->name, '/') != NULL)
		return 0;
	e = list_add(arg, node->name);
	if (e == NULL)
		return -ENOMEM;
	e->iso = malloc(sizeof(*node));
	if (e->iso == NULL)
		return -ENOMEM;
	*e->iso = *node;
	return 0;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(((const struct view_entry *)a)->name,
	    ((const struct view_entry *)b)->name);
}

int
view_list(struct view *v, const struct view_node *dir, struct view_list *list)
{
	int rc;

	*list = (struct view_list){0};
	if (v->iso != NULL)
		rc = iso_list(v->iso, &dir->iso, add_iso, list);
	else
		rc = ufs_readdir(v->fs, dir->id, 0, add_ufs, list);
	if (list->n > 0)
		qsort(list->entry, list->n, sizeof(*list->entry), by_name);
	return rc;
}

void
view_list_release(struct view_list *list)
{
	for (size_t i = 0; i < list->n; i++) {
		free(list->entry[i].name);
		free(list->entry[i].iso);
	}
	free(list->entry);
	*list = (struct view_list){0};
}

int
view_get(struct view *v, const struct view_entry *entry, struct view_node *out)
{
	struct ufs_attr attr;
	int rc;

	if (v->iso != NULL) {
		from_iso(entry->iso, out);
		return 0;
	}
	rc = ufs_getattr(v->fs, entry->ino, &attr);
	return rc < 0 ? rc : from_fs(v, &attr, out);
}

/* -- contents ------------------------------------------------------------- */

static int64_t
read_iso(struct view *v, const struct view_node *node, uint64_t off, void *buf,
    size_t len)
{
	scoped(blkdev_closep) struct blkdev *file = NULL;
	int rc = iso_file_open(v->iso, &node->iso, &file);

	if (rc < 0)
		return rc;
	if (off >= file->size)
		return 0;
	if (len > file->size - off)
		len = (size_t)(file->size - off);
	rc = blkdev_read(file, off, buf, len);
	return rc < 0 ? rc : (int64_t)len;
}

int64_t
view_read(struct view *v, const struct view_node *node, uint64_t off, void *buf,
    size_t len)
{
	if (v->iso != NULL)
		return read_iso(v, node, off, buf, len);
	if (node->on_iso)
		return session_iso_read(v->session, &node->iso, off, buf, len);
	return ufs_read(v->fs, node->id, off, buf, len);
}

int64_t
view_seek(struct view *v, const struct view_node *node, uint64_t off, bool data)
{
	if (v->iso == NULL && !node->on_iso)
		return ufs_seek(v->fs, node->id, off, data);
	if (off >= node->size)
		return -ENXIO;
	return data ? (int64_t)off : (int64_t)node->size;
}

struct blkdev *
view_device(const struct view *v)
{
	const struct image *im = v->image;

	for (unsigned i = 0; v->iso != NULL && i < im->nlayers; i++)
		if (im->layer[i].kind == IMAGE_ISO)
			return im->layer[i].dev;
	return v->session->cache != NULL ? v->session->cache
					 : v->session->image->dev;
}

static int
map_iso(struct view *v, const struct view_node *node, uint64_t off,
    struct ufs_run *out)
{
	scoped(blkdev_closep) struct blkdev *file = NULL;
	int rc = iso_file_open(v->iso, &node->iso, &file);

	if (rc < 0)
		return rc;
	if (off >= file->size)
		return -ENXIO;
	*out = (struct ufs_run){file->size - off, node->iso.off + off};
	return 0;
}

int
view_map(struct view *v, const struct view_node *node, uint64_t off,
    struct ufs_run *out)
{
	if (v->iso != NULL)
		return map_iso(v, node, off, out);
	if (node->on_iso)
		return -ENOTSUP;
	return ufs_map(v->fs, node->id, off, out);
}

int64_t
view_readlink(
    struct view *v, const struct view_node *node, char *buf, size_t len)
{
	int64_t n;
	int rc;

	if (v->iso != NULL) {
		rc = iso_readlink(v->iso, &node->iso, buf, len);
		return rc < 0 ? rc : (int64_t)strlen(buf);
	}
	n = ufs_readlink(v->fs, node->id, buf, len - 1);
	if (n >= 0)
		buf[n] = '\0';
	return n;
}

int
view_copy(
    struct view *v, const struct view_node *node, view_put *put, void *arg)
{
	scoped(freep) char *buf = malloc(PIECE);
	uint64_t off = 0;

	if (buf == NULL)
		return -ENOMEM;
	for (;;) {
		int64_t n = view_read(v, node, off, buf, PIECE);
		int rc;

		if (n <= 0)
			return (int)n;
		rc = put(arg, off, buf, (size_t)n);
		if (rc < 0)
			return rc;
		off += (uint64_t)n;
	}
}

/* -- extended attributes -------------------------------------------------- */

enum { XATTRS_MAX = 4096, XATTR_NAME = 256 };

struct xattr_names {
	size_t n;
	struct xattr_name {
		enum ufs_ea_space space;
		size_t len;
		char name[XATTR_NAME];
	} * name;
};

/* The engine must not be called from its own listing: collect first. */
static int
collect(void *arg, enum ufs_ea_space space, const char *name, size_t len)
{
	struct xattr_names *all = arg;
	struct xattr_name *more;

	if (all->n == XATTRS_MAX)
		return -ECORRUPT;
	more = realloc(all->name, (all->n + 1) * sizeof(*more));
	if (more == NULL)
		return -ENOMEM;
	all->name = more;
	more += all->n++;
	*more = (struct xattr_name){.space = space, .len = len};
	snprintf(more->name, sizeof(more->name), "%s", name);
	return 0;
}

static int
give_one(struct view *v, uint64_t ino, const struct xattr_name *x,
    view_xattr *each, void *arg)
{
	scoped(freep) void *value = malloc(x->len > 0 ? x->len : 1);
	int64_t n;

	if (value == NULL)
		return -ENOMEM;
	/* len 0 would only ask */
	n = x->len == 0
	    ? 0
	    : ufs_xattr_get(v->fs, ino, x->space, x->name, value, x->len);
	return n < 0 ? (int)n : each(arg, x->space, x->name, value, (size_t)n);
}

int
view_xattrs(
    struct view *v, const struct view_node *node, view_xattr *each, void *arg)
{
	struct xattr_names all = {0};
	int rc;

	if (v->fs == NULL || v->staged)
		return 0;
	rc = ufs_xattr_list(v->fs, node->id, collect, &all);
	if (rc == -EOPNOTSUPP)
		rc = 0;
	for (size_t i = 0; rc == 0 && i < all.n; i++)
		rc = give_one(v, node->id, &all.name[i], each, arg);
	free(all.name);
	return rc;
}
