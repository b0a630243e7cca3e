/*
 * An image as a source: the tree that a view shows.  The image is untrusted:
 * names are whatever its directories say, a directory that is met a second
 * time is a circle.  Contents stay where they are: a file's node gets the
 * places of its data on the view's device.
 */
#include <string.h>

#include "../imgfmt/log.h"
#include "../imgfmt/radix.h"
#include "outfile.h"
#include "tree.h"
#include "view.h"

enum { TARGET_MAX = 4096 };

struct walk {
	struct tree *t;
	struct view *v;
	const char *image;  /* the host's file, for messages */
	struct radix links; /* id: node of a file with more names */
	struct radix dirs;  /* id: node of every directory */
	bool has_journal;   /* in the root: soft updates' */
	/* Bytes of the device that no file has been seen to have.  No block of
	 * a UFS has two files; one that says so could make us read for ever. */
	uint64_t room;
};

/* rc, said where the file system has not said it. */
static int
failed(const struct walk *w, const char *path, int rc)
{
	if (rc != -EIO && rc != -ECORRUPT && rc != -EINTR)
		log_error("'%s': cannot read '/%s': %s", w->image, path,
		    rc == -ENOTSUP ? "the file is not in one piece"
				   : strerror(-rc));
	return rc;
}

static int
damaged(const struct walk *w, const char *path, const char *why)
{
	log_error("'%s': '/%s': %s", w->image, path, why);
	return -ECORRUPT;
}

/* -- one file -------------------------------------------------------------- */

static int
read_target(struct walk *w, const char *path, const struct view_node *from,
    struct tree_node *node)
{
	char buf[TARGET_MAX];
	int64_t n = view_readlink(w->v, from, buf, sizeof(buf));

	if (n < 0)
		return (int)n;
	if (strlen(buf) != (size_t)n)
		return damaged(w, path, "the link's target has a NUL in it");
	node->target = strdup(buf);
	return node->target == NULL ? -ENOMEM : 0;
}

static int
read_content(struct walk *w, const char *path, const struct view_node *from,
    struct tree_node *node)
{
	uint64_t off = 0;
	int rc = 0;

	node->size = from->size;
	node->content.kind = CONTENT_VIEW;
	node->content.device = view_device(w->v);
	while (rc == 0 && off < from->size) {
		struct ufs_run run;

		rc = view_map(w->v, from, off, &run);
		if (rc == 0 && run.dev_off != 0 && run.len > w->room)
			return damaged(
			    w, path, "files have more blocks than there are");
		if (rc == 0 && run.dev_off != 0 && w->v->fs != NULL)
			w->room -= run.len;
		if (rc == 0 && run.dev_off != 0)
			rc = tree_add_run(node, off, run.len, run.dev_off);
		if (rc == 0)
			off += run.len;
	}
	return rc;
}

struct taking {
	struct tree_node *node;
	bool reorder; /* a tree has its lists little-endian */
};

static int
add_xattr(void *arg, enum ufs_ea_space space, const char *name,
    const void *value, size_t len)
{
	const struct taking *taking = arg;
	scoped(freep) uint8_t *copy = malloc(len + 1);

	if (copy == NULL)
		return -ENOMEM;
	memcpy(copy, value, len);
	if (taking->reorder && space == UFS_EA_SYSTEM)
		ufs_acl_reorder(name, copy, len);
	return tree_set_xattr(taking->node, space, name, copy, len);
}

static int
take_xattrs(
    struct walk *w, const struct view_node *from, struct tree_node *node)
{
	struct taking taking = {.node = node};
	struct ufs_info info;

	if (w->v->fs != NULL) {
		ufs_info(w->v->fs, &info);
		taking.reorder = info.big_endian;
		w->t->acls |= info.acls;
		w->t->nfs4_acls |= info.nfs4_acls;
	}
	return view_xattrs(w->v, from, add_xattr, &taking);
}

static void
set_attributes(struct tree_node *node, const struct view_node *from)
{
	node->uid = from->uid;
	node->gid = from->gid;
	node->flags = from->flags;
	node->rdev_major = from->rdev_major;
	node->rdev_minor = from->rdev_minor;
	node->atime = from->atime;
	node->mtime = from->mtime;
	node->ctime = from->ctime;
	node->birth = from->has_birth ? from->birth : from->mtime;
}

static int
make_node(struct walk *w, const char *path, const struct view_node *from,
    struct tree_node **out)
{
	scoped(tree_node_freep) struct tree_node *node =
	    tree_node_new(w->t, from->mode);
	int rc = 0;

	if (node == NULL)
		return -ENOMEM;
	set_attributes(node, from);
	if (S_ISLNK(from->mode))
		rc = read_target(w, path, from, node);
	else if (S_ISREG(from->mode))
		rc = read_content(w, path, from, node);
	if (rc == 0)
		rc = take_xattrs(w, from, node);
	if (rc < 0)
		return rc;
	*out = node;
	node = NULL; /* the caller's */
	return 0;
}

/* -- directories ----------------------------------------------------------- */

static bool
has_more_names(const struct view_node *from)
{
	return !S_ISDIR(from->mode) && from->nlink > 1;
}

/* What belongs to the file system, not to the tree; counted. */
static bool
is_left_out(struct walk *w, const char *path, const struct view_node *from)
{
	if ((from->flags & UFS_FLAG_SNAPSHOT) != 0) {
		w->t->lost_snapshots++;
		return true;
	}
	if (w->has_journal && strcmp(path, ".sujournal") == 0) {
		w->t->lost_journals++;
		return true;
	}
	return false;
}

static int walk_dir(struct walk *w, const char *path,
    const struct view_node *from, struct tree_node *dir, int depth);

/* Make from the entry called name of dir. */
static int
enter(struct walk *w, const char *path, const char *name,
    const struct view_node *from, struct tree_node *dir, int depth)
{
	struct tree_node *node =
	    has_more_names(from) ? radix_get(&w->links, from->id) : NULL;
	int rc;

	if (node != NULL)
		return tree_enter(dir, name, &node);
	rc = make_node(w, path, from, &node);
	if (rc == 0)
		rc = tree_enter(dir, name, &node);
	if (rc == 0 && has_more_names(from))
		rc = radix_add(&w->links, from->id, node);
	if (rc < 0)
		return failed(w, path, rc);
	return S_ISDIR(from->mode) ? walk_dir(w, path, from, node, depth + 1)
				   : 0;
}

static int
walk_entry(struct walk *w, const char *path, const struct view_entry *e,
    struct tree_node *dir, int depth)
{
	struct view_node from;
	int rc = interrupted() ? -EINTR : view_get(w->v, e, &from);

	if (rc == -ESTALE)
		return damaged(w, path, "the name leads to no file");
	if (rc < 0)
		return failed(w, path, rc);
	if (is_left_out(w, path, &from))
		return 0;
	return enter(w, path, e->name, &from, dir, depth);
}

static int
walk_entries(struct walk *w, const char *path, const struct view_list *list,
    struct tree_node *dir, int depth)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < list->n; i++) {
		scoped(freep) char *below = NULL;

		if (asprintf(&below, "%s%s%s", path, *path != '\0' ? "/" : "",
			list->entry[i].name) < 0) {
			below = NULL;
			return -ENOMEM;
		}
		if (strchr(list->entry[i].name, '/') != NULL)
			return damaged(w, below, "a name with a '/' in it");
		/* it would replace the first, which may have more names */
		if (i > 0 &&
		    strcmp(list->entry[i - 1].name, list->entry[i].name) == 0)
			return damaged(w, below, "the name is there twice");
		if (!tree_is_excluded(w->t, below))
			rc = walk_entry(w, below, &list->entry[i], dir, depth);
	}
	return rc;
}

static int
walk_dir(struct walk *w, const char *path, const struct view_node *from,
    struct tree_node *dir, int depth)
{
	struct view_list list;
	int rc;

	if (depth > TREE_DEPTH_MAX)
		return failed(w, path, -ENAMETOOLONG);
	if (radix_get(&w->dirs, from->id) != NULL)
		return damaged(w, path, "directories go round in a circle");
	rc = radix_add(&w->dirs, from->id, dir);
	if (rc < 0)
		return failed(w, path, rc);
	rc = view_list(w->v, from, &list);
	w->t->lost_whiteouts += list.whiteouts;
	rc = rc < 0 ? failed(w, path, rc)
		    : walk_entries(w, path, &list, dir, depth);
	view_list_release(&list);
	return rc;
}

/* -- the view -------------------------------------------------------------- */

static int
add(struct walk *w, const char *path)
{
	struct tree_node *node;
	struct view_node from;
	int rc = w->v->iso != NULL ? iso_check_tree(w->v->iso) : 0;

	if (rc == 0)
		rc = view_lookup(w->v, path, true, &from);
	if (rc == 0 && !S_ISDIR(from.mode))
		rc = -ENOTDIR;
	if (rc == 0)
		rc = make_node(w, "", &from, &node);
	path += strspn(path, "/");
	if (rc < 0)
		return failed(w, path, rc);
	rc = tree_put(w->t, w->image, "", &node);
	return rc < 0 ? rc : walk_dir(w, "", &from, w->t->root, 1);
}

int
tree_add_view(struct tree *t, struct view *v, const char *path)
{
	struct walk w = {
	    .t = t,
	    .v = v,
	    .room = view_device(v)->size,
	    .image = v->iso != NULL ? v->image->path : v->session->image->path,
	};
	int rc;

	if (v->fs != NULL) {
		struct ufs_info info;

		ufs_info(v->fs, &info);
		w.has_journal = info.suj && strspn(path, "/") == strlen(path);
	}
	rc = add(&w, path);
	radix_release(&w.links);
	radix_release(&w.dirs);
	return rc;
}
