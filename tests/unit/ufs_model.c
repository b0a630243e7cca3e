#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "ufs_model_impl.h"

void
model_differs(struct model *m, const char *format, ...)
{
	va_list ap;

	if (m->wrong++ > 10)
		return;
	va_start(ap, format);
	printf("# step %lu: ", m->done);
	vprintf(format, ap);
	printf("\n");
	va_end(ap);
}

uint64_t
model_random(struct model *m, uint64_t below)
{
	m->seed ^= m->seed << 13;
	m->seed ^= m->seed >> 7;
	m->seed ^= m->seed << 17;
	return (m->seed * 0x9e3779b97f4a7c15u >> 24) % below;
}

/* -- nodes ------------------------------------------------------------------
 */

unsigned
model_type_of(const struct model_node *n)
{
	return n->mode & 0170000;
}

static bool
alive(const struct model_node *n)
{
	return n->ino != 0 && n->nlink > 0;
}

/* A random node of that type (0: any) that has a name; -1: none. */
int
model_pick(struct model *m, unsigned type)
{
	for (int tries = 0; tries < 40; tries++) {
		int i = (int)model_random(m, MODEL_NODES);

		if (alive(&m->node[i]) &&
		    (type == 0 || model_type_of(&m->node[i]) == type))
			return i;
	}
	return type == S_DIR ? ROOT : -1;
}

int
model_find_free(const struct model *m)
{
	for (int i = 0; i < MODEL_NODES; i++)
		if (m->node[i].ino == 0)
			return i;
	return -1;
}

int
model_find_entry(const struct model_node *dir, const char *name)
{
	for (int i = 0; i < dir->nentries; i++)
		if (strcmp(dir->entry[i].name, name) == 0)
			return i;
	return -1;
}

void
model_add_entry(struct model *m, int dir, const char *name, int node)
{
	struct model_node *d = &m->node[dir];
	struct model_entry *e = &d->entry[d->nentries++];

	strcpy(e->name, name);
	e->node = node;
}

void
model_erase_entry(struct model_node *dir, int i)
{
	dir->entry[i] = dir->entry[--dir->nentries];
}

static void
node_clear(struct model *m, struct model_node *n)
{
	m->total -= n->size;
	free(n->data);
	for (int i = 0; i < MODEL_XATTRS; i++)
		free(n->xattr[i].value);
	memset(n, 0, sizeof(*n));
}

void
model_reap(struct model *m, struct model_node *n)
{
	if (n->nlink == 0 && n->pins == 0)
		node_clear(m, n);
}

void
model_set_size(struct model *m, struct model_node *n, uint64_t size)
{
	if (size > 0)
		n->data = realloc(n->data, size);
	if (size > n->size)
		memset(n->data + n->size, 0, size - n->size);
	m->total += size - n->size;
	n->size = size;
}

/* Whether the file system did what the model says; else it says why not. */
bool
model_agrees(struct model *m, const char *what, int64_t got, int64_t want)
{
	m->done++;
	/* Attributes may also be too large for their two blocks. */
	m->full += got == -ENOSPC && strcmp(what, "xattr set") != 0;
	if (m->failing && got == -EIO) {
		m->diverged = true;
		return false;
	}
	if (want == 0 && got == -ENOSPC)
		return false;
	if ((got < 0 || want < 0) && got != want)
		model_differs(m, "%s gave %lld, want %lld", what,
		    (long long)got, (long long)want);
	return got >= 0 && want >= 0;
}

/* Names collide often, and are of all lengths. */
void
model_random_name(struct model *m, char name[UFS_NAME_MAX + 1])
{
	size_t len = 1 + model_random(m, 12);
	uint64_t which = model_random(m, 60);

	if (which % 7 == 0)
		len = 1 + model_random(m, UFS_NAME_MAX);
	for (size_t i = 0; i < len; i++)
		name[i] = (char)('a' + (which + i) % 26);
	name[len] = '\0';
}

/* -- operations on inodes ----------------------------------------------- */

static void
op_setattr(struct model *m)
{
	int i = model_pick(m, 0);
	struct ufs_attr attr = {0};
	struct model_node *n = &m->node[i < 0 ? 0 : i];

	if (i < 0)
		return;
	attr.mode = (uint32_t)model_random(m, 010000);
	attr.uid = (uint32_t)model_random(m, 1000);
	attr.flags = (uint32_t)model_random(m, 2);
	if (!model_agrees(m, "setattr",
		ufs_setattr(m->scratch->fs, n->ino,
		    UFS_SET_MODE | UFS_SET_UID | UFS_SET_FLAGS, &attr, &attr),
		0))
		return;
	n->mode = model_type_of(n) | (attr.mode & 07777);
	n->uid = attr.uid;
	n->flags = attr.flags;
}

static void
op_pin(struct model *m)
{
	int i = model_pick(m, 0), pinned = 0;

	for (int k = 0; k < MODEL_NODES; k++)
		pinned += m->node[k].pins > 0;
	if (i < 0 || pinned > MODEL_PINS)
		return;
	if (model_agrees(m, "pin", ufs_pin(m->scratch->fs, m->node[i].ino), 0))
		m->node[i].pins++;
}

static void
unpin(struct model *m, struct model_node *n)
{
	int rc = ufs_unpin(m->scratch->fs, n->ino, (uint64_t)n->pins);

	if (!model_agrees(m, "unpin", rc, 0))
		return;
	n->pins = 0;
	model_reap(m, n);
}

static void
op_unpin(struct model *m)
{
	int start = (int)model_random(m, MODEL_NODES);

	for (int k = 0; k < MODEL_NODES; k++) {
		struct model_node *n = &m->node[(start + k) % MODEL_NODES];

		if (n->ino != 0 && n->pins > 0) {
			unpin(m, n);
			return;
		}
	}
}

void
model_unpin_all(struct model *m)
{
	for (int k = 0; k < MODEL_NODES; k++)
		if (m->node[k].ino != 0 && m->node[k].pins > 0)
			unpin(m, &m->node[k]);
}

static void
op_xattr(struct model *m)
{
	int i = model_pick(m, 0), k = (int)model_random(m, MODEL_XATTRS);
	struct model_node *n = &m->node[i < 0 ? 0 : i];
	struct model_xattr *x = &n->xattr[k];
	char name[32];
	size_t len = model_random(m, model_random(m, 4) == 0 ? 9000 : 300);
	uint8_t value[9000];
	bool fits;
	int rc;

	if (i < 0 || !m->xattrs || model_type_of(n) == 0020000 ||
	    model_type_of(n) == 0060000)
		return;
	snprintf(name, sizeof(name), "name%.*s", 2 * k, "xxxxxxxx");
	if (model_random(m, 3) == 0) {
		rc =
		    ufs_xattr_remove(m->scratch->fs, n->ino, UFS_EA_USER, name);
		if (!model_agrees(m, "xattr remove", rc,
			x->value == NULL ? -ENOXATTR : 0))
			return;
		free(x->value);
		x->value = NULL;
		return;
	}
	for (size_t b = 0; b < len; b++)
		value[b] = (uint8_t)(b * 13 + m->done);
	rc = ufs_xattr_set(
	    m->scratch->fs, n->ino, UFS_EA_USER, name, value, len, UFS_EA_ANY);
	fits = model_agrees(m, "xattr set", rc, 0);
	if (!fits)
		return;
	free(x->value);
	x->value = malloc(len + 1);
	memcpy(x->value, value, len);
	x->len = len;
	strcpy(x->name, name);
}

void
model_step(struct model *m)
{
	static void (*const ops[])(struct model *) = {model_op_create,
	    model_op_create, model_op_create, model_op_write, model_op_write,
	    model_op_write, model_op_write, model_op_truncate,
	    model_op_allocate, model_op_link, model_op_remove, model_op_remove,
	    model_op_rename, model_op_rename, op_setattr, op_pin, op_unpin,
	    op_xattr, op_xattr};

	ops[model_random(m, sizeof(ops) / sizeof(ops[0]))](m);
}

void
model_init(
    struct model *m, struct scratch *scratch, uint64_t root_ino, uint64_t seed)
{
	struct model_node *root = &m->node[ROOT];
	struct ufs_attr attr = scratch_attr(scratch, root_ino);
	struct ufs_info info;

	memset(m, 0, sizeof(*m));
	ufs_info(scratch->fs, &info);
	m->scratch = scratch;
	m->seed = seed * 0x9e3779b97f4a7c15u + 1;
	m->xattrs = info.version == 2;
	m->size_max = 3 << 20;
	m->total_max = info.data / 2;
	root->ino = root_ino;
	root->mode = attr.mode;
	root->uid = attr.uid;
	root->nlink = attr.nlink;
}

void
model_free(struct model *m)
{
	for (int i = 0; i < MODEL_NODES; i++)
		node_clear(m, &m->node[i]);
}
