#include <string.h>

#include "ufs_impl.h"

/*
 * Looking for data or a hole stops after so many stretches and gives the
 * answer that POSIX allows when nothing is known: data up to the end.  Only a
 * made-up tree of indirect blocks gets there.
 */
enum { SEEK_STEPS_MAX = 100000 };

/* Bytes that wait to be read in one request. */
struct gather {
	uint64_t off; /* on the device */
	uint8_t *buf;
	size_t len;
	bool once; /* a file's contents, which the kernel keeps */
};

static int
gather_read(struct ufs *fs, struct gather *g)
{
	size_t len = g->len;

	g->len = 0;
	if (len == 0)
		return 0;
	return g->once ? blkdev_read_once(fs->dev, g->off, g->buf, len)
		       : blkdev_read(fs->dev, g->off, g->buf, len);
}

/*
 * Add a stretch; one that does not go on where the last ended, on the device
 * and in memory (a hole may lie between), starts anew.
 */
static int
gather_add(
    struct ufs *fs, struct gather *g, uint64_t off, uint8_t *buf, size_t len)
{
	int rc;

	if (g->len > 0 && g->off + g->len == off && g->buf + g->len == buf) {
		g->len += len;
		return 0;
	}
	rc = gather_read(fs, g);
	*g = (struct gather){off, buf, len, g->once};
	return rc;
}

int64_t
ufs_node_read(
    struct ufs *fs, struct ufs_node *node, uint64_t off, void *buf, size_t len)
{
	const struct ufs_super *sb = &fs->sb;
	struct gather g = {.once = ufs_is_reg(node)};
	uint8_t *to = buf;
	size_t left;
	int rc;

	if (off >= node->d.size)
		return 0;
	if (len > node->d.size - off)
		len = (size_t)(node->d.size - off);
	for (left = len; left > 0;) {
		uint64_t lbn = off >> sb->bshift, fsb, run;
		uint32_t within = (uint32_t)(off & (sb->bsize - 1));
		uint64_t most = (within + left + sb->bsize - 1) >> sb->bshift;
		size_t n;

		rc = ufs_bmap(fs, node, lbn, most, &fsb, &run);
		if (rc < 0)
			return rc;
		n = (size_t)((run << sb->bshift) - within);
		if (n > left)
			n = left;
		if (fsb == 0)
			memset(to, 0, n);
		else
			rc = gather_add(
			    fs, &g, ufs_frag_off(sb, fsb) + within, to, n);
		if (rc < 0)
			return rc;
		off += n;
		to += n;
		left -= n;
	}
	rc = gather_read(fs, &g);
	return rc < 0 ? rc : (int64_t)len;
}

/* -- public ---------------------------------------------------------------- */

static int
has_data(const struct ufs_node *node)
{
	if (!ufs_is_reg(node) && !ufs_is_dir(node))
		return -EINVAL;
	/* Its addresses have a meaning of their own. */
	return node->d.flags & UFS_FLAG_SNAPSHOT ? -EOPNOTSUPP : 0;
}

int64_t
ufs_read(struct ufs *fs, uint64_t ino, uint64_t off, void *buf, size_t len)
{
	struct ufs_node *node;
	int64_t rc;

	pthread_rwlock_rdlock(&fs->lock);
	rc = ufs_node_get(fs, ino, &node);
	if (rc == 0) {
		rc = has_data(node);
		if (rc == 0)
			rc = ufs_node_read(fs, node, off, buf, len);
		ufs_node_put(fs, node);
	}
	pthread_rwlock_unlock(&fs->lock);
	return rc;
}

static int64_t
target_read(struct ufs *fs, struct ufs_node *node, char *buf, size_t len)
{
	size_t size = (size_t)node->d.size;

	if (!ufs_is_link(node))
		return -EINVAL;
	if (node->d.size > len)
		return -ENAMETOOLONG;
	if (!ufs_target_is_inline(&fs->sb, &node->d))
		return ufs_node_read(fs, node, 0, buf, size);
	memcpy(buf, node->d.target, size);
	return (int64_t)size;
}

int64_t
ufs_readlink(struct ufs *fs, uint64_t ino, char *buf, size_t len)
{
	struct ufs_node *node;
	int64_t rc;

	pthread_rwlock_rdlock(&fs->lock);
	rc = ufs_node_get(fs, ino, &node);
	if (rc == 0) {
		rc = target_read(fs, node, buf, len);
		ufs_node_put(fs, node);
	}
	pthread_rwlock_unlock(&fs->lock);
	return rc;
}

static int64_t
node_seek(struct ufs *fs, struct ufs_node *node, uint64_t off, bool data)
{
	const struct ufs_super *sb = &fs->sb;
	uint64_t size = node->d.size, fsb, run;
	int rc = has_data(node);

	if (rc < 0)
		return rc;
	if (off >= size)
		return -ENXIO;
	for (int step = 0; step < SEEK_STEPS_MAX; step++) {
		uint64_t lbn = off >> sb->bshift;

		rc = ufs_bmap(fs, node, lbn, UINT64_MAX, &fsb, &run);
		if (rc < 0)
			return rc;
		if ((fsb != 0) == data)
			return (int64_t)off;
		if (run > ((size - 1) >> sb->bshift) - lbn)
			return data ? -ENXIO : (int64_t)size;
		off = (lbn + run) << sb->bshift;
	}
	return data ? (int64_t)off : (int64_t)size;
}

int64_t
ufs_seek(struct ufs *fs, uint64_t ino, uint64_t off, bool data)
{
	struct ufs_node *node;
	int64_t rc;

	pthread_rwlock_rdlock(&fs->lock);
	rc = ufs_node_get(fs, ino, &node);
	if (rc == 0) {
		rc = node_seek(fs, node, off, data);
		ufs_node_put(fs, node);
	}
	pthread_rwlock_unlock(&fs->lock);
	return rc;
}

static int
map_node(
    struct ufs *fs, struct ufs_node *node, uint64_t off, struct ufs_run *out)
{
	const struct ufs_super *sb = &fs->sb;
	uint64_t within = off & (sb->bsize - 1), fsb, run;
	int rc = ufs_is_reg(node) ? has_data(node) : -EINVAL;

	if (rc == 0 && off >= node->d.size)
		rc = -ENXIO;
	if (rc == 0)
		rc = ufs_bmap(
		    fs, node, off >> sb->bshift, UINT64_MAX, &fsb, &run);
	if (rc < 0)
		return rc;
	/* a run of holes may be as long as triple indirection reaches */
	out->len = node->d.size - off;
	if (run < (out->len + within + sb->bsize - 1) >> sb->bshift)
		out->len = (run << sb->bshift) - within;
	out->dev_off = fsb != 0 ? ufs_frag_off(sb, fsb) + within : 0;
	return 0;
}

int
ufs_map(struct ufs *fs, uint64_t ino, uint64_t off, struct ufs_run *out)
{
	struct ufs_node *node;
	int rc;

	pthread_rwlock_rdlock(&fs->lock);
	rc = ufs_node_get(fs, ino, &node);
	if (rc == 0) {
		rc = map_node(fs, node, off, out);
		ufs_node_put(fs, node);
	}
	pthread_rwlock_unlock(&fs->lock);
	return rc;
}
