#include "tree.h"

#include <fnmatch.h>
#include <string.h>

#include "../imgfmt/fflags.h"
#include "../imgfmt/linux_acl.h"
#include "../imgfmt/log.h"
#include "../imgfmt/ufs.h"

/* -- nodes ----------------------------------------------------------------- */

void
tree_node_date(struct tree_node *node, struct timespec when)
{
	node->atime = node->mtime = node->ctime = node->birth = when;
}

struct tree_node *
tree_node_new(const struct tree *t, uint32_t mode)
{
	struct tree_node *node = calloc(1, sizeof(*node));

	if (node == NULL)
		return NULL;
	node->mode = mode;
	tree_node_date(node, t->now);
	return node;
}

uint64_t
tree_stretch(const struct content *c, size_t *i)
{
	uint64_t off = c->runs[*i].off, end = off;

	for (; *i < c->nruns && c->runs[*i].off == end; ++*i)
		end += c->runs[*i].len;
	return end - off;
}

void
tree_drop_content(struct tree_node *node)
{
	free(node->content.runs);
	free(node->content.text);
	free(node->content.path);
	node->content = (struct content){0};
	node->size = 0;
}

static void
drop_xattrs(struct tree_node *node)
{
	while (node->xattrs != NULL) {
		struct tree_xattr *next = node->xattrs->next;

		free(node->xattrs->name);
		free(node->xattrs);
		node->xattrs = next;
	}
}

static void unref(struct tree_node *node);

void
tree_node_free(struct tree_node *node)
{
	if (node == NULL)
		return;
	for (size_t i = 0; i < node->n; i++) {
		free(node->entries[i].name);
		unref(node->entries[i].node);
	}
	free(node->entries);
	tree_drop_content(node);
	drop_xattrs(node);
	free(node->target);
	free(node);
}

/* One name less. */
static void
unref(struct tree_node *node)
{
	if (--node->names == 0)
		tree_node_free(node);
}

int
tree_add_run(struct tree_node *node, uint64_t off, uint64_t len, uint64_t at)
{
	struct content *c = &node->content;

	if (c->nruns > 0) {
		struct tree_run *last = &c->runs[c->nruns - 1];

		if (last->off + last->len == off &&
		    last->at + last->len == at) {
			last->len += len;
			return 0;
		}
	}
	if (c->nruns == c->room) {
		size_t room = c->room > 0 ? 2 * c->room : 1;
		struct tree_run *more = realloc(c->runs, room * sizeof(*more));

		if (more == NULL)
			return -ENOMEM;
		c->runs = more;
		c->room = room;
	}
	c->runs[c->nruns++] = (struct tree_run){off, len, at};
	return 0;
}

/* -- extended attributes --------------------------------------------------- */

static const struct {
	const char *prefix;
	enum ufs_ea_space space;
} spaces[] = {
    {"user.", UFS_EA_USER},
    {"system.", UFS_EA_SYSTEM},
    {"trusted.freebsd.user.", UFS_EA_USER},
    {"trusted.freebsd.system.", UFS_EA_SYSTEM},
};

/* The name within FreeBSD's name space, which goes to *space; or NULL. */
static const char *
freebsd_name(const char *name, int *space)
{
	for (size_t i = 0; i < sizeof(spaces) / sizeof(*spaces); i++) {
		size_t len = strlen(spaces[i].prefix);

		if (strncmp(name, spaces[i].prefix, len) != 0)
			continue;
		*space = spaces[i].space;
		return name[len] != '\0' ? name + len : NULL;
	}
	return NULL;
}

static void
remove_xattr(struct tree_node *node, int space, const char *name)
{
	struct tree_xattr **at = &node->xattrs;

	while (*at != NULL &&
	    ((*at)->space != space || strcmp((*at)->name, name) != 0))
		at = &(*at)->next;
	if (*at != NULL) {
		struct tree_xattr *gone = *at;

		*at = gone->next;
		free(gone->name);
		free(gone);
	}
}

/* Sorted by space and name, so that the image does not depend on the order. */
static void
insert_xattr(struct tree_node *node, struct tree_xattr *x)
{
	struct tree_xattr **at = &node->xattrs;

	while (*at != NULL &&
	    ((*at)->space < x->space ||
		((*at)->space == x->space && strcmp((*at)->name, x->name) < 0)))
		at = &(*at)->next;
	x->next = *at;
	*at = x;
}

static int
add_acl(struct tree *t, struct tree_node *node, enum ufs_acl_kind kind,
    const void *value, size_t len)
{
	uint8_t bytes[UFS_ACL_BYTES];
	struct ufs_acl acl;

	if (linux_acl_parse(value, len, &acl) < 0) {
		t->lost_xattrs++;
		return 0;
	}
	t->acls = true;
	ufs_acl_encode(&acl, false, bytes);
	return tree_set_xattr(
	    node, UFS_EA_SYSTEM, ufs_acl_attribute(kind), bytes, sizeof(bytes));
}

int
tree_add_xattr(struct tree *t, struct tree_node *node, const char *name,
    const void *value, size_t len)
{
	enum ufs_acl_kind kind;
	int space = 0;
	const char *own;

	if (strcmp(name, "relive.flags") == 0) {
		if (fflags_parse(value, len, &node->flags) < 0)
			t->lost_xattrs++;
		return 0;
	}
	if (linux_acl_is(name, &kind))
		return add_acl(t, node, kind, value, len);
	own = freebsd_name(name, &space);
	if (own == NULL || strlen(own) > UFS_NAME_MAX) {
		t->lost_xattrs++;
		return 0;
	}
	return tree_set_xattr(node, space, own, value, len);
}

int
tree_set_xattr(struct tree_node *node, int space, const char *name,
    const void *value, size_t len)
{
	struct tree_xattr *x = calloc(1, sizeof(*x) + len);

	if (x == NULL)
		return -ENOMEM;
	remove_xattr(node, space, name);
	x->space = space;
	x->len = len;
	x->name = strdup(name);
	if (x->name == NULL) {
		free(x);
		return -ENOMEM;
	}
	if (len > 0)
		memcpy(x->value, value, len);
	insert_xattr(node, x);
	return 0;
}

/* -- entries --------------------------------------------------------------- */

/* Index of name, or where it belongs. */
static size_t
place_of(const struct tree_node *dir, const char *name, bool *found)
{
	size_t lo = 0, hi = dir->n;

	*found = false;
	/* sources come sorted more often than not */
	if (hi > 0 && strcmp(dir->entries[hi - 1].name, name) < 0)
		return hi;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int order = strcmp(dir->entries[mid].name, name);

		if (order == 0) {
			*found = true;
			return mid;
		}
		if (order < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct tree_node *
tree_child(const struct tree_node *dir, const char *name)
{
	bool found;
	size_t i = place_of(dir, name, &found);

	return found ? dir->entries[i].node : NULL;
}

static int
insert(
    struct tree_node *dir, size_t i, const char *name, struct tree_node *node)
{
	char *copy = strdup(name);

	if (copy != NULL && dir->n == dir->room) {
		size_t room = dir->room > 0 ? 2 * dir->room : 8;
		struct tree_entry *more =
		    realloc(dir->entries, room * sizeof(*more));

		if (more != NULL) {
			dir->entries = more;
			dir->room = room;
		}
	}
	if (copy == NULL || dir->n == dir->room) {
		free(copy);
		return -ENOMEM;
	}
	memmove(&dir->entries[i + 1], &dir->entries[i],
	    (dir->n - i) * sizeof(*dir->entries));
	dir->entries[i] = (struct tree_entry){copy, node, false};
	dir->n++;
	node->names++;
	return 0;
}

/* Directory at takes from's attributes; from goes. */
static void
take_attributes(struct tree_node *at, struct tree_node *from)
{
	struct tree_xattr *xattrs = at->xattrs;

	at->mode = from->mode;
	at->uid = from->uid;
	at->gid = from->gid;
	at->flags = from->flags;
	at->atime = from->atime;
	at->mtime = from->mtime;
	at->ctime = from->ctime;
	at->birth = from->birth;
	at->xattrs = from->xattrs;
	from->xattrs = xattrs;
	tree_node_free(from);
}

int
tree_enter(struct tree_node *dir, const char *name, struct tree_node **node)
{
	bool found, is_new = (*node)->names == 0;
	size_t i = place_of(dir, name, &found);
	struct tree_node *old;
	int rc;

	if (!found) {
		rc = insert(dir, i, name, *node);
		if (rc < 0 && is_new)
			tree_node_free(*node);
		return rc;
	}
	old = dir->entries[i].node;
	if (old == *node)
		return 0;
	if (is_new && S_ISDIR(old->mode) && S_ISDIR((*node)->mode)) {
		take_attributes(old, *node);
		*node = old;
		return 0;
	}
	(*node)->names++;
	dir->entries[i].node = *node;
	unref(old);
	return 0;
}

void
tree_remove(struct tree_node *dir, const char *name)
{
	bool found;
	size_t i = place_of(dir, name, &found);

	if (!found)
		return;
	free(dir->entries[i].name);
	unref(dir->entries[i].node);
	dir->n--;
	memmove(&dir->entries[i], &dir->entries[i + 1],
	    (dir->n - i) * sizeof(*dir->entries));
}

/* -- paths ----------------------------------------------------------------- */

int
tree_plain_path(const char *path, char **out)
{
	scoped(freep) char *plain = malloc(strlen(path) + 1);
	char *at = plain;
	int depth = 0;

	if (plain == NULL)
		return -ENOMEM;
	while (*path != '\0') {
		size_t len = strcspn(path, "/");

		if (len == 2 && memcmp(path, "..", 2) == 0)
			return -EINVAL;
		if (len > UFS_NAME_MAX || depth == TREE_DEPTH_MAX)
			return -ENAMETOOLONG;
		if (len > 0 && !(len == 1 && *path == '.')) {
			if (depth++ > 0)
				*at++ = '/';
			memcpy(at, path, len);
			at += len;
		}
		path += len;
		path += strspn(path, "/");
	}
	*at = '\0';
	*out = plain;
	plain = NULL; /* the caller's */
	return 0;
}

/* The first name of *path, into name; *path moves on.  false: none left. */
static bool
next_name(const char **path, char name[UFS_NAME_MAX + 1])
{
	size_t len = strcspn(*path, "/");

	if (len == 0 || len > UFS_NAME_MAX)
		return false;
	memcpy(name, *path, len);
	name[len] = '\0';
	*path += len;
	*path += **path == '/';
	return true;
}

struct tree_node *
tree_find(const struct tree *t, const char *path)
{
	struct tree_node *at = t->root;
	char name[UFS_NAME_MAX + 1];

	while (at != NULL && next_name(&path, name))
		at = S_ISDIR(at->mode) ? tree_child(at, name) : NULL;
	return at;
}

int
tree_walk(const struct tree *t, const char *path,
    int (*each)(void *arg, struct tree_node *dir, struct tree_entry *entry),
    void *arg)
{
	struct tree_node *dir = t->root;
	char name[UFS_NAME_MAX + 1];
	bool found = true;
	int rc = 0;

	while (rc == 0 && next_name(&path, name)) {
		size_t i = place_of(dir, name, &found);

		if (!found)
			return -ENOENT;
		rc = each(arg, dir, &dir->entries[i]);
		dir = dir->entries[i].node;
	}
	return rc;
}

/* The directory called name in dir, made where there is none. */
static int
step_down(const struct tree *t, struct tree_node **dir, const char *name)
{
	struct tree_node *next = tree_child(*dir, name);
	int rc = 0;

	if (next == NULL) {
		next = tree_node_new(t, S_IFDIR | 0755);
		rc = next == NULL ? -ENOMEM : tree_enter(*dir, name, &next);
	} else if (!S_ISDIR(next->mode)) {
		rc = -ENOTDIR;
	}
	if (rc == 0)
		*dir = next;
	return rc;
}

static int
put_root(struct tree *t, struct tree_node **node)
{
	if (!S_ISDIR((*node)->mode)) {
		if ((*node)->names == 0)
			tree_node_free(*node);
		return -EISDIR;
	}
	take_attributes(t->root, *node);
	*node = t->root;
	return 0;
}

int
tree_put(struct tree *t, const char *source, const char *path,
    struct tree_node **node)
{
	struct tree_node *dir = t->root;
	const char *whole = path;
	char name[UFS_NAME_MAX + 1] = "";
	int rc = 0;

	if (*path == '\0')
		rc = put_root(t, node);
	if (*path == '\0' && rc == -EISDIR)
		log_error("'%s': the root is not a directory", source);
	if (*path == '\0')
		return rc;
	while (rc == 0 && next_name(&path, name) && *path != '\0')
		rc = step_down(t, &dir, name);
	if (rc == 0)
		return tree_enter(dir, name, node);
	if (rc == -ENOTDIR)
		log_error("'%s': '%s' lies below '%.*s', which is not a "
			  "directory",
		    source, whole, (int)(path - whole - 1), whole);
	if ((*node)->names == 0)
		tree_node_free(*node);
	return rc;
}

/* -- leaving out ----------------------------------------------------------- */

bool
tree_is_excluded(const struct tree *t, const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *last = slash != NULL ? slash + 1 : path;

	for (size_t i = 0; i < t->nexcludes; i++) {
		const char *p = t->excludes[i];
		bool whole = strchr(p, '/') != NULL;

		while (*p == '/')
			p++;
		if (fnmatch(p, whole ? path : last, FNM_PATHNAME) == 0)
			return true;
	}
	return false;
}

static int
prune_dir(struct tree *t, struct tree_node *dir, const char *path)
{
	size_t kept = 0;
	int rc = 0;

	for (size_t i = 0; i < dir->n; i++) {
		struct tree_entry e = dir->entries[i];
		scoped(freep) char *below = NULL;

		if (asprintf(&below, "%s%s%s", path, *path != '\0' ? "/" : "",
			e.name) < 0) {
			below = NULL;
			rc = -ENOMEM;
		}
		if (rc == 0 && tree_is_excluded(t, below)) {
			free(e.name);
			unref(e.node);
			continue;
		}
		if (rc == 0 && S_ISDIR(e.node->mode))
			rc = prune_dir(t, e.node, below);
		dir->entries[kept++] = e;
	}
	dir->n = kept;
	return rc;
}

int
tree_prune(struct tree *t)
{
	return t->nexcludes > 0 ? prune_dir(t, t->root, "") : 0;
}

/* -- the tree -------------------------------------------------------------- */

int
tree_init(struct tree *t)
{
	*t = (struct tree){.spool = -1, .now = ufs_now()};
	t->root = tree_node_new(t, S_IFDIR | 0755);
	if (t->root == NULL)
		return -ENOMEM;
	t->root->names = 1;
	return 0;
}

void
tree_release(struct tree *t)
{
	tree_node_free(t->root);
	while (t->bases != NULL) {
		struct tree_base *next = t->bases->next;

		fdclosep(&t->bases->fd);
		free(t->bases->path);
		free(t->bases);
		t->bases = next;
	}
	fdclosep(&t->spool);
	t->root = NULL;
	t->spool = -1;
}
