/* Trees that are parts of others: what an ISO holds beside the live root. */
#include <string.h>

#include "tree.h"

int
tree_init_part(struct tree *t, struct tree *whole)
{
	int rc = tree_init(t);

	if (rc < 0)
		return rc;
	t->whole = whole;
	t->now = whole->now;
	t->beside = whole->beside;
	t->acls = whole->acls;
	t->nfs4_acls = whole->nfs4_acls;
	tree_node_date(t->root, whole->root->mtime);
	t->root->mode = whole->root->mode;
	t->root->uid = whole->root->uid;
	t->root->gid = whole->root->gid;
	return 0;
}

static int
copy_xattrs(struct tree_node *to, const struct tree_node *from)
{
	struct tree_xattr **end = &to->xattrs;

	for (const struct tree_xattr *x = from->xattrs; x != NULL;
	     x = x->next) {
		struct tree_xattr *copy = malloc(sizeof(*copy) + x->len);

		if (copy == NULL)
			return -ENOMEM;
		*copy = *x;
		copy->next = NULL;
		copy->name = strdup(x->name);
		if (copy->name == NULL) {
			free(copy);
			return -ENOMEM;
		}
		memcpy(copy->value, x->value, x->len);
		*end = copy;
		end = &copy->next;
	}
	return 0;
}

struct tree_node *
tree_node_like(const struct tree *t, const struct tree_node *from)
{
	struct tree_node *node = tree_node_new(t, from->mode);

	if (node == NULL)
		return NULL;
	node->uid = from->uid;
	node->gid = from->gid;
	node->flags = from->flags;
	node->atime = from->atime;
	node->mtime = from->mtime;
	node->ctime = from->ctime;
	node->birth = from->birth;
	if (copy_xattrs(node, from) == 0)
		return node;
	tree_node_free(node);
	return NULL;
}

/* Enter node, or for a directory one like it, as name of dir. */
static int
share(const struct tree *t, struct tree_node *dir, const char *name,
    struct tree_node *node)
{
	struct tree_node *here = node;
	int rc;

	if (S_ISDIR(node->mode))
		here = tree_node_like(t, node);
	rc = here == NULL ? -ENOMEM : tree_enter(dir, name, &here);
	if (rc < 0 || !S_ISDIR(node->mode))
		return rc;
	for (size_t i = 0; i < node->n && rc == 0; i++)
		rc = share(
		    t, here, node->entries[i].name, node->entries[i].node);
	return rc;
}

/* The directory that path's last name is in, which becomes *name. */
static struct tree_node *
parent(const struct tree *t, const char *path, const char **name)
{
	const char *slash = strrchr(path, '/');
	scoped(freep) char *dir = NULL;
	struct tree_node *node = t->root;

	*name = slash != NULL ? slash + 1 : path;
	if (slash == NULL)
		return node;
	dir = strndup(path, (size_t)(slash - path));
	node = dir != NULL ? tree_find(t, dir) : NULL;
	return node != NULL && S_ISDIR(node->mode) ? node : NULL;
}

/* The directories on the way to path are like those of t->whole. */
static int
share_way(struct tree *t, const char *path)
{
	int rc = 0;

	for (const char *p = strchr(path, '/'); p != NULL && rc == 0;
	     p = strchr(p + 1, '/')) {
		scoped(freep) char *dir = strndup(path, (size_t)(p - path));
		struct tree_node *node;

		if (dir == NULL)
			return -ENOMEM;
		if (tree_find(t, dir) != NULL)
			continue;
		node = tree_find(t->whole, dir);
		if (node == NULL)
			return -ENOENT;
		node = tree_node_like(t, node);
		rc = node == NULL ? -ENOMEM : tree_put(t, dir, dir, &node);
	}
	return rc;
}

int
tree_share(struct tree *t, const char *path)
{
	struct tree_node *node = tree_find(t->whole, path), *dir;
	const char *name;
	int rc = node == NULL ? -ENOENT : share_way(t, path);

	if (rc < 0)
		return rc;
	dir = parent(t, path, &name);
	return dir == NULL ? -ENOENT : share(t, dir, name, node);
}

static int
add_missing(
    const struct tree *t, struct tree_node *dir, const struct tree_node *from)
{
	int rc = 0;

	for (size_t i = 0; i < from->n && rc == 0; i++) {
		const struct tree_entry *e = &from->entries[i];
		struct tree_node *here = tree_child(dir, e->name);

		if (here == NULL)
			rc = share(t, dir, e->name, e->node);
		else if (S_ISDIR(here->mode) && S_ISDIR(e->node->mode))
			rc = add_missing(t, here, e->node);
	}
	return rc;
}

int
tree_add_missing(struct tree *t, const struct tree *from)
{
	return add_missing(t, t->root, from->root);
}

int
tree_put_text(struct tree *t, const char *path, uint32_t mode, char *text)
{
	struct tree_node *old = tree_find(t, path), *node;
	int rc;

	if (old != NULL && S_ISREG(old->mode))
		node = tree_node_like(t, old);
	else
		node = tree_node_new(t, S_IFREG | mode);
	if (node == NULL) {
		free(text);
		return -ENOMEM;
	}
	node->content.kind = CONTENT_TEXT;
	node->content.text = text;
	node->size = strlen(text);
	tree_node_date(node, t->now);
	rc = node->size > 0 ? tree_add_run(node, 0, node->size, 0) : 0;
	if (rc < 0) {
		tree_node_free(node);
		return rc;
	}
	return tree_put(t, path, path, &node);
}
