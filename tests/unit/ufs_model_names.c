/* Operations on names, on both. */
#include <stdlib.h>
#include <string.h>

#include "ufs_model_impl.h"

void
model_op_create(struct model *m)
{
	static const uint32_t modes[] = {S_REG | 0644, S_REG | 0600,
	    S_REG | 04755, S_DIR | 0755, S_DIR | 0700, S_LNK | 0777,
	    S_LNK | 0777, 0010600, 0020600, 0060640, 0140777};
	int dir = model_pick(m, S_DIR), new = model_find_free(m), e;
	char name[UFS_NAME_MAX + 1], target[400];
	struct ufs_new what = {.uid = (uint32_t)model_random(m, 9)};
	struct ufs_attr attr;
	struct model_node *n;
	int rc, want = 0;

	if (new < 0 || m->node[dir].nentries == MODEL_ENTRIES)
		return;
	model_random_name(m, name);
	e = model_find_entry(&m->node[dir], name);
	if (e >= 0)
		want = -EEXIST;
	what.mode = modes[model_random(m, sizeof(modes) / sizeof(modes[0]))];
	memset(target, 't', sizeof(target));
	what.target = target;
	what.target_len = 1 + model_random(m, 200);
	what.rdev_major = 3;
	what.rdev_minor = (uint32_t)model_random(m, 256);
	rc = ufs_create(
	    m->scratch->fs, m->node[dir].ino, name, strlen(name), &what, &attr);
	if (!model_agrees(m, "create", rc, want))
		return;
	n = &m->node[new];
	n->ino = attr.ino;
	n->mode = what.mode;
	n->uid = what.uid;
	n->nlink = model_type_of(n) == S_DIR ? 2 : 1;
	n->rdev = what.rdev_minor;
	n->parent = dir;
	if (model_type_of(n) == S_LNK) {
		model_set_size(m, n, what.target_len);
		memcpy(n->data, target, what.target_len);
	}
	m->node[dir].nlink += model_type_of(n) == S_DIR;
	model_add_entry(m, dir, name, new);
}

void
model_op_link(struct model *m)
{
	int i = model_pick(m, 0), dir = model_pick(m, S_DIR), want = 0;
	char name[UFS_NAME_MAX + 1];
	struct ufs_attr attr;
	int rc;

	if (i < 0 || m->node[dir].nentries == MODEL_ENTRIES)
		return;
	model_random_name(m, name);
	if (model_find_entry(&m->node[dir], name) >= 0)
		want = -EEXIST;
	if (model_type_of(&m->node[i]) == S_DIR)
		want = -EPERM;
	rc = ufs_link(m->scratch->fs, m->node[i].ino, m->node[dir].ino, name,
	    strlen(name), &attr);
	if (!model_agrees(m, "link", rc, want))
		return;
	m->node[i].nlink++;
	model_add_entry(m, dir, name, i);
}

static int
remove_want(const struct model_node *n, bool is_dir)
{
	if (n == NULL)
		return -ENOENT;
	if (is_dir && model_type_of(n) != S_DIR)
		return -ENOTDIR;
	if (!is_dir && model_type_of(n) == S_DIR)
		return -EISDIR;
	return is_dir && n->nentries > 0 ? -ENOTEMPTY : 0;
}

void
model_op_remove(struct model *m)
{
	int dir = model_pick(m, S_DIR), e, rc;
	bool is_dir = model_random(m, 4) == 0;
	struct model_node *d = &m->node[dir], *n;
	char name[UFS_NAME_MAX + 1];

	model_random_name(m, name);
	if (d->nentries > 0 && model_random(m, 8) != 0)
		strcpy(name,
		    d->entry[model_random(m, (uint64_t)d->nentries)].name);
	e = model_find_entry(d, name);
	n = e < 0 ? NULL : &m->node[d->entry[e].node];
	rc = ufs_remove(m->scratch->fs, d->ino, name, strlen(name), is_dir);
	if (!model_agrees(m, "remove", rc, remove_want(n, is_dir)))
		return;
	model_erase_entry(d, e);
	n->nlink = is_dir ? 0 : n->nlink - 1;
	d->nlink -= is_dir;
	model_reap(m, n);
}

/* Whether node is top or lies below it. */
static bool
below(const struct model *m, int node, int top)
{
	while (node != top && node != ROOT)
		node = m->node[node].parent;
	return node == top;
}

struct mv {
	int from, to;     /* directories */
	int from_e, to_e; /* entries, or -1 */
	int src, dst;     /* nodes, or -1 */
	char a[UFS_NAME_MAX + 1], b[UFS_NAME_MAX + 1];
	unsigned flags;
};

/* Two names that are there and mean different nodes. */
static int
rename_want_both(const struct model *m, const struct mv *v)
{
	const struct model_node *src = &m->node[v->src],
				*dst = &m->node[v->dst];
	bool src_dir = model_type_of(src) == S_DIR;
	bool dst_dir = model_type_of(dst) == S_DIR;

	if (v->flags & UFS_RENAME_EXCHANGE)
		return dst_dir && below(m, v->from, v->dst) ? -EINVAL : 0;
	if (src_dir != dst_dir)
		return src_dir ? -ENOTDIR : -EISDIR;
	return dst_dir && dst->nentries > 0 ? -ENOTEMPTY : 0;
}

static int
rename_want(const struct model *m, const struct mv *v)
{
	if (v->src < 0)
		return -ENOENT;
	if (v->dst >= 0 && (v->flags & UFS_RENAME_NOREPLACE))
		return -EEXIST;
	if (v->dst < 0 && (v->flags & UFS_RENAME_EXCHANGE))
		return -ENOENT;
	if (v->src == v->dst)
		return 0;
	if (model_type_of(&m->node[v->src]) == S_DIR && below(m, v->to, v->src))
		return -EINVAL;
	return v->dst < 0 ? 0 : rename_want_both(m, v);
}

static void
rename_apply(struct model *m, const struct mv *v)
{
	struct model_node *from = &m->node[v->from], *to = &m->node[v->to];
	struct model_node *src = &m->node[v->src];
	struct model_node *dst = v->dst < 0 ? NULL : &m->node[v->dst];
	bool src_dir = model_type_of(src) == S_DIR;
	bool dst_dir = dst != NULL && model_type_of(dst) == S_DIR;

	if (v->src == v->dst)
		return;
	if (src_dir) {
		src->parent = v->to;
		from->nlink--;
		to->nlink++;
	}
	if (v->flags & UFS_RENAME_EXCHANGE) {
		from->entry[v->from_e].node = v->dst;
		to->entry[v->to_e].node = v->src;
		if (dst_dir) {
			dst->parent = v->from;
			to->nlink--;
			from->nlink++;
		}
		return;
	}
	if (dst == NULL) {
		model_add_entry(m, v->to, v->b, v->src);
	} else {
		to->entry[v->to_e].node = v->src;
		to->nlink -= dst_dir;
		dst->nlink = dst_dir ? 0 : dst->nlink - 1;
		model_reap(m, dst);
	}
	model_erase_entry(from, model_find_entry(from, v->a));
}

void
model_op_rename(struct model *m)
{
	static const unsigned flags[] = {0, 0, 0, 0, UFS_RENAME_NOREPLACE,
	    UFS_RENAME_EXCHANGE, UFS_RENAME_EXCHANGE};
	struct mv v = {
	    .from = model_pick(m, S_DIR), .to = model_pick(m, S_DIR)};
	struct model_node *from = &m->node[v.from], *to = &m->node[v.to];
	int rc;

	v.flags = flags[model_random(m, 7)];
	if (model_random(m, 3) == 0)
		to = &m->node[v.to = v.from];
	if (to->nentries == MODEL_ENTRIES)
		return;
	model_random_name(m, v.a);
	model_random_name(m, v.b);
	if (from->nentries > 0 && model_random(m, 9) != 0)
		strcpy(v.a,
		    from->entry[model_random(m, (uint64_t)from->nentries)]
			.name);
	if (to->nentries > 0 && model_random(m, 2) == 0)
		strcpy(v.b,
		    to->entry[model_random(m, (uint64_t)to->nentries)].name);
	v.from_e = model_find_entry(from, v.a);
	v.to_e = model_find_entry(to, v.b);
	v.src = v.from_e < 0 ? -1 : from->entry[v.from_e].node;
	v.dst = v.to_e < 0 ? -1 : to->entry[v.to_e].node;
	rc = scratch_rename(m->scratch, from->ino, v.a, to->ino, v.b, v.flags);
	if (model_agrees(m, "rename", rc, rename_want(m, &v)))
		rename_apply(m, &v);
}
