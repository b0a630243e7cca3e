/* Operations on data of files, on both. */
#include <stdlib.h>
#include <string.h>

#include "ufs_model_impl.h"

void
model_op_write(struct model *m)
{
	int i = model_pick(m, S_REG);
	struct model_node *n = &m->node[i < 0 ? 0 : i];
	uint64_t off, len = 1 + model_random(m, 3000);
	uint8_t *buf;
	int64_t rc;

	if (i < 0)
		return;
	if (model_random(m, 5) == 0)
		len = 1 + model_random(m, 200000);
	off = model_random(m, 3) == 0 ? model_random(m, m->size_max) : n->size;
	if (model_random(m, 8) == 0 && n->size > 0)
		off = model_random(m, n->size);
	if (off + len > m->size_max || m->total + off + len > m->total_max)
		return;
	buf = malloc(len);
	for (uint64_t k = 0; k < len; k++)
		buf[k] = (uint8_t)(m->done * 31 + k * 7 + 1);
	rc = ufs_write(m->scratch->fs, n->ino, off, buf, len);
	if (model_agrees(m, "write", rc, 0)) {
		if (off + (uint64_t)rc > n->size)
			model_set_size(m, n, off + (uint64_t)rc);
		memcpy(n->data + off, buf, (size_t)rc);
	}
	free(buf);
}

void
model_op_truncate(struct model *m)
{
	int i = model_pick(m, S_REG);
	uint64_t size;

	if (i < 0)
		return;
	size = model_random(m, 3) == 0
	    ? 0
	    : model_random(m, m->node[i].size * 3 / 2 + 5000);
	if (size > m->size_max || m->total + size > m->total_max)
		return;
	if (model_agrees(m, "truncate",
		scratch_truncate(m->scratch, m->node[i].ino, size), 0))
		model_set_size(m, &m->node[i], size);
}

/* What the model does once the file system has. */
static void
allocate_apply(
    struct model *m, struct model_node *n, int how, uint64_t off, uint64_t len)
{
	uint64_t end = off + len;

	if ((how == UFS_ALLOC || how == UFS_ZERO_EXTEND) && end > n->size)
		model_set_size(m, n, end);
	if (end > n->size)
		end = n->size;
	if (how >= UFS_PUNCH && off < end)
		memset(n->data + off, 0, end - off);
}

void
model_op_allocate(struct model *m)
{
	int i = model_pick(m, S_REG), how = (int)model_random(m, 5), rc;
	struct model_node *n = &m->node[i < 0 ? 0 : i];
	uint64_t off, len;
	bool beyond;

	if (i < 0)
		return;
	off = model_random(m, n->size + 10000);
	len = 1 + model_random(m, 100000);
	if (model_random(m, 4) == 0)
		len = n->size + 1;
	if (off + len > m->size_max || m->total + off + len > m->total_max)
		return;
	beyond = how == UFS_ALLOC_KEEP && off + len > n->size;
	rc = ufs_allocate(m->scratch->fs, n->ino, how, off, len);
	if (model_agrees(m, "allocate", rc, beyond ? -EOPNOTSUPP : 0))
		allocate_apply(m, n, how, off, len);
}
