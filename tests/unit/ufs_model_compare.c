/* The model and the file system, compared. */
#include <stdlib.h>
#include <string.h>

#include "ufs_model_impl.h"

static void
compare_data(struct model *m, const struct model_node *n)
{
	uint8_t *buf = malloc(n->size + 1);
	int64_t got = model_type_of(n) == S_LNK
	    ? ufs_readlink(m->scratch->fs, n->ino, (char *)buf, n->size)
	    : ufs_read(m->scratch->fs, n->ino, 0, buf, n->size + 1);
	uint64_t at = 0;

	if (got != (int64_t)n->size)
		model_differs(m, "inode %llu: read %lld of %llu",
		    (unsigned long long)n->ino, (long long)got,
		    (unsigned long long)n->size);
	else if (n->size > 0 && memcmp(buf, n->data, n->size) != 0) {
		while (buf[at] == n->data[at])
			at++;
		model_differs(m, "inode %llu: differs at byte %llu of %llu",
		    (unsigned long long)n->ino, (unsigned long long)at,
		    (unsigned long long)n->size);
	}
	free(buf);
}

struct listing {
	struct model *m;
	const struct model_node *dir;
	int found;
};

static int
compare_entry(void *arg, const struct ufs_dirent *e)
{
	struct listing *l = arg;
	int i = model_find_entry(l->dir, e->name);
	const struct model_node *n;

	if (strcmp(e->name, ".") == 0) {
		if (e->ino != l->dir->ino)
			model_differs(l->m, "\".\" is wrong");
		return 0;
	}
	if (strcmp(e->name, "..") == 0) {
		if (l->dir != &l->m->node[ROOT] &&
		    e->ino != l->m->node[l->dir->parent].ino)
			model_differs(l->m, "\"..\" is wrong");
		return 0;
	}
	l->found++;
	if (i < 0) {
		model_differs(l->m, "unexpected name \"%s\"", e->name);
		return 0;
	}
	n = &l->m->node[l->dir->entry[i].node];
	if (n->ino != e->ino || e->type != n->mode >> 12)
		model_differs(l->m, "name \"%s\" means another", e->name);
	return 0;
}

static void
compare_dir(struct model *m, const struct model_node *n)
{
	struct listing l = {m, n, 0};
	int rc;

	rc = ufs_readdir(m->scratch->fs, n->ino, 0, compare_entry, &l);
	if (rc < 0 || l.found != n->nentries)
		model_differs(m, "directory %llu: %d names, want %d (%d)",
		    (unsigned long long)n->ino, l.found, n->nentries, rc);
	for (int i = 0; i < n->nentries; i++)
		if (scratch_lookup(m->scratch, n->ino, n->entry[i].name) !=
		    (int64_t)m->node[n->entry[i].node].ino)
			model_differs(
			    m, "\"%s\" is not found", n->entry[i].name);
}

static void
compare_xattrs(struct model *m, const struct model_node *n)
{
	static uint8_t buf[9000];

	for (int i = 0; i < MODEL_XATTRS; i++) {
		const struct model_xattr *x = &n->xattr[i];
		int64_t got;

		if (x->value == NULL)
			continue;
		got = ufs_xattr_get(m->scratch->fs, n->ino, UFS_EA_USER,
		    x->name, buf, sizeof(buf));
		if (got != (int64_t)x->len ||
		    memcmp(buf, x->value, x->len) != 0)
			model_differs(m, "inode %llu: attribute \"%s\" differs",
			    (unsigned long long)n->ino, x->name);
	}
}

static void
compare_attr(struct model *m, const struct model_node *n)
{
	struct ufs_attr attr;
	int rc = ufs_getattr(m->scratch->fs, n->ino, &attr);
	unsigned type = model_type_of(n);
	bool device = type == 0020000 || type == 0060000;

	if (rc < 0)
		model_differs(m, "inode %llu: getattr gives %d",
		    (unsigned long long)n->ino, rc);
	else if (attr.mode != n->mode || attr.nlink != n->nlink ||
	    attr.uid != n->uid || attr.flags != n->flags)
		model_differs(m, "inode %llu: mode %o nlink %u, want %o %u",
		    (unsigned long long)n->ino, attr.mode, attr.nlink, n->mode,
		    n->nlink);
	else if (type != S_DIR && attr.size != n->size)
		model_differs(m, "inode %llu: size %llu, want %llu",
		    (unsigned long long)n->ino, (unsigned long long)attr.size,
		    (unsigned long long)n->size);
	else if (device && attr.rdev_minor != n->rdev)
		model_differs(m, "inode %llu: rdev %u, want %u",
		    (unsigned long long)n->ino, attr.rdev_minor, n->rdev);
}

static void
compare_node(struct model *m, const struct model_node *n)
{
	unsigned type = model_type_of(n);

	compare_attr(m, n);
	if (type == S_REG || type == S_LNK)
		compare_data(m, n);
	if (type == S_DIR && n->nlink > 0)
		compare_dir(m, n);
	if (m->xattrs)
		compare_xattrs(m, n);
}

void
model_compare(struct model *m)
{
	for (int i = 0; i < MODEL_NODES && m->wrong < 10; i++)
		if (m->node[i].ino != 0)
			compare_node(m, &m->node[i]);
}
