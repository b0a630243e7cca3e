/*
 * Inodes without a name: kept while pinned, freed with the last pin.
 */
#include <string.h>

#include "ufs_impl.h"

/* One pin more, or n less; answers how many are left. */
static uint64_t
change_pins(struct ufs *fs, struct ufs_node *node, bool more, uint64_t n)
{
	uint64_t left;

	pthread_mutex_lock(&fs->nodes_lock);
	if (more)
		node->pins += n;
	else
		node->pins -= n < node->pins ? n : node->pins;
	left = node->pins;
	pthread_mutex_unlock(&fs->nodes_lock);
	return left;
}

/*
 * What cannot be freed now is kept as if pinned: every flush lists it, and
 * whoever opens the file system next tries again.
 */
static int
keep(struct ufs *fs, struct ufs_node *node, int rc)
{
	node->nameless = true;
	(void)change_pins(fs, node, true, 1);
	ufs_node_put(fs, node);
	return rc;
}

int
ufs_node_reap(struct ufs *fs, struct ufs_node *node)
{
	uint64_t ino = node->ino;
	bool was_dir = ufs_is_dir(node);
	struct ufs_cg *cg;
	int rc = ufs_cg_get(fs, (uint32_t)(ino / fs->sb.ipg), &cg);

	if (rc == 0)
		rc = ufs_free_all(fs, node);
	if (rc < 0)
		return keep(fs, node, rc);
	rc = ufs_xattr_free(fs, node);
	if (rc == 0)
		rc = ufs_free_inode(fs, ino, was_dir);
	ufs_node_forget(fs, node);
	return rc == 0 ? 0 : ufs_half_done(fs, rc);
}

int
ufs_pin(struct ufs *fs, uint64_t ino)
{
	struct ufs_node *node;
	int rc;

	pthread_rwlock_rdlock(&fs->lock);
	rc = ufs_node_get(fs, ino, &node);
	if (rc == 0) {
		change_pins(fs, node, true, 1);
		ufs_node_put(fs, node);
	}
	pthread_rwlock_unlock(&fs->lock);
	return rc;
}

/* Unpin an inode that has a name: 1 when done, 0 when it has none. */
static int
unpin_named(struct ufs *fs, uint64_t ino, uint64_t n)
{
	struct ufs_node *node;
	int rc;

	if (ufs_pins_drop(fs, ino, n))
		return 1;
	pthread_rwlock_rdlock(&fs->lock);
	rc = ufs_node_get(fs, ino, &node);
	if (rc == 0) {
		/* Who cannot write frees nothing. */
		if (!node->nameless || !fs->opt.writable) {
			change_pins(fs, node, false, n);
			rc = 1;
		}
		ufs_node_put(fs, node);
	}
	pthread_rwlock_unlock(&fs->lock);
	return rc;
}

static int
unpin_locked(struct ufs *fs, uint64_t ino, uint64_t n)
{
	struct ufs_node *node;
	int rc = ufs_node_get(fs, ino, &node);

	if (rc < 0)
		return rc;
	if (change_pins(fs, node, false, n) == 0 && node->nameless)
		return ufs_node_reap(fs, node);
	ufs_node_put(fs, node);
	return 0;
}

int
ufs_unpin(struct ufs *fs, uint64_t ino, uint64_t n)
{
	int rc = unpin_named(fs, ino, n);

	if (rc != 0)
		return rc < 0 ? rc : 0;
	rc = ufs_change_begin(fs);
	if (rc < 0)
		return rc;
	return ufs_change_end(fs, unpin_locked(fs, ino, n));
}

static int
reap_one(struct ufs *fs, uint64_t ino)
{
	struct ufs_node *node;
	int rc = ufs_node_get(fs, ino, &node);

	if (rc < 0)
		return rc == -ESTALE ? 0 : rc;
	if (node->d.nlink == 0 && node->pins == 0)
		return ufs_node_reap(fs, node);
	ufs_node_put(fs, node);
	return 0;
}

int
ufs_reap(struct ufs *fs, const uint64_t *inos, size_t n)
{
	int rc = ufs_change_begin(fs), first = 0;

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < n && !fs->broken; i++) {
		rc = reap_one(fs, inos[i]);
		if (first == 0)
			first = rc;
	}
	return ufs_change_end(fs, first);
}
