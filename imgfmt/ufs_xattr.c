#include <string.h>

#include "log.h"
#include "ufs_impl.h"

/* Extended attributes of UFS2, reading (formats.md 2.10). */

enum { NAME_OFF = sizeof(struct ufs_ea_disk) };

static int
ea_fault(const struct ufs_node *node, uint32_t off, const char *what)
{
	log_error("ufs: inode %llu: attribute record at byte %u: %s",
	    (unsigned long long)node->ino, off, what);
	return -ECORRUPT;
}

uint32_t
ufs_ea_blksize(const struct ufs_super *sb, uint32_t extsize, int i)
{
	uint32_t start = (uint32_t)i << sb->bshift;

	if (extsize <= start)
		return 0;
	extsize -= start;
	if (extsize >= sb->bsize)
		return sb->bsize;
	return (extsize + sb->fsize - 1) & ~(sb->fsize - 1);
}

/* Read the part of the area that lies in block i. */
static int
block_read(struct ufs *fs, const struct ufs_node *node, int i, uint8_t *area)
{
	const struct ufs_super *sb = &fs->sb;
	uint32_t start = (uint32_t)i << sb->bshift;
	uint32_t held = ufs_ea_blksize(sb, node->d.extsize, i);
	uint32_t len;

	if (held == 0)
		return 0;
	len = node->d.extsize - start;
	if (len > sb->bsize)
		len = sb->bsize;
	if (!ufs_data_range_ok(sb, node->d.extb[i], held >> sb->fshift))
		return ea_fault(
		    node, start, "its block's address is impossible");
	return blkdev_read(
	    fs->dev, ufs_frag_off(sb, node->d.extb[i]), area + start, len);
}

int
ufs_ea_load(struct ufs *fs, struct ufs_node *node, uint8_t **area)
{
	scoped(freep) uint8_t *bytes = NULL;
	uint32_t type = node->d.mode & 0170000;

	*area = NULL;
	if (fs->sb.version == 1 || type == 0020000 || type == 0060000)
		return -EOPNOTSUPP;
	if (node->d.extsize == 0)
		return 0;
	/* At most two blocks: ufs_node_get has seen to that. */
	bytes = malloc(node->d.extsize);
	if (bytes == NULL)
		return -ENOMEM;
	for (int i = 0; i < UFS_NEXT; i++) {
		int rc = block_read(fs, node, i, bytes);

		if (rc < 0)
			return rc;
	}
	*area = bytes;
	bytes = NULL; /* now the caller's */
	return 0;
}

int
ufs_ea_at(const struct ufs *fs, const struct ufs_node *node,
    const uint8_t *area, uint32_t off, struct ufs_ea *out)
{
	uint32_t left = node->d.extsize - off, head;
	struct ufs_ea_disk disk;

	/* A tail of zeroes is the rest of a larger area. */
	if (off >= node->d.extsize || left < sizeof(disk))
		return 0;
	memcpy(&disk, area + off, sizeof(disk));
	out->length = raw32_get(disk.length, fs->sb.big);
	if (out->length < 8)
		return 0;
	if (out->length > left || out->length % 8 != 0)
		return ea_fault(node, off, "runs past the area");
	head = (NAME_OFF + (uint32_t)disk.namelen + 7) & ~7u;
	if (disk.namelen == 0 || head > out->length ||
	    disk.contentpad > out->length - head)
		return ea_fault(node, off, "its parts do not fit");
	if (memchr(area + off + NAME_OFF, '\0', disk.namelen) != NULL)
		return ea_fault(node, off, "its name contains a zero");
	out->off = off;
	out->space = disk.space;
	out->namelen = disk.namelen;
	out->name_off = off + NAME_OFF;
	out->value_off = off + head;
	out->value_len = out->length - head - disk.contentpad;
	return 1;
}

int
ufs_ea_find(const struct ufs *fs, const struct ufs_node *node,
    const uint8_t *area, enum ufs_ea_space space, const char *name,
    struct ufs_ea *out)
{
	size_t len = strlen(name);
	uint32_t off = 0;
	int rc;

	for (;;) {
		rc = ufs_ea_at(fs, node, area, off, out);
		if (rc <= 0)
			return rc;
		if (out->space == space && out->namelen == len &&
		    memcmp(area + out->name_off, name, len) == 0)
			return 1;
		off += out->length;
	}
}

/* -- public ---------------------------------------------------------------- */

static int64_t
value_get(struct ufs *fs, struct ufs_node *node, enum ufs_ea_space space,
    const char *name, void *buf, size_t len)
{
	scoped(freep) uint8_t *area = NULL;
	struct ufs_ea ea;
	int rc = ufs_ea_load(fs, node, &area);

	if (rc == 0)
		rc = ufs_ea_find(fs, node, area, space, name, &ea);
	if (rc < 0)
		return rc;
	if (rc == 0)
		return -ENOXATTR;
	if (len == 0)
		return ea.value_len;
	if (ea.value_len > len)
		return -ERANGE;
	memcpy(buf, area + ea.value_off, ea.value_len);
	return ea.value_len;
}

int64_t
ufs_xattr_get(struct ufs *fs, uint64_t ino, enum ufs_ea_space space,
    const char *name, void *buf, size_t len)
{
	struct ufs_node *node;
	int64_t rc;

	pthread_rwlock_rdlock(&fs->lock);
	rc = ufs_node_get(fs, ino, &node);
	if (rc == 0) {
		rc = value_get(fs, node, space, name, buf, len);
		ufs_node_put(fs, node);
	}
	pthread_rwlock_unlock(&fs->lock);
	return rc;
}

typedef int ea_visitor(
    void *arg, enum ufs_ea_space space, const char *name, size_t value_len);

static int
names_list(struct ufs *fs, struct ufs_node *node, ea_visitor *each, void *arg)
{
	scoped(freep) uint8_t *area = NULL;
	char name[UINT8_MAX + 1];
	struct ufs_ea ea;
	int rc = ufs_ea_load(fs, node, &area);

	if (rc < 0)
		return rc;
	for (uint32_t off = 0;; off += ea.length) {
		rc = ufs_ea_at(fs, node, area, off, &ea);
		if (rc <= 0)
			return rc;
		memcpy(name, area + ea.name_off, ea.namelen);
		name[ea.namelen] = '\0';
		rc = each(arg, (enum ufs_ea_space)ea.space, name, ea.value_len);
		if (rc != 0)
			return rc;
	}
}

int
ufs_xattr_list(struct ufs *fs, uint64_t ino, ea_visitor *each, void *arg)
{
	struct ufs_node *node;
	int rc;

	pthread_rwlock_rdlock(&fs->lock);
	rc = ufs_node_get(fs, ino, &node);
	if (rc == 0) {
		rc = names_list(fs, node, each, arg);
		ufs_node_put(fs, node);
	}
	pthread_rwlock_unlock(&fs->lock);
	return rc;
}
