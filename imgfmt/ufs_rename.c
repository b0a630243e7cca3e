/*
 * rename(2).  All that can be refused is refused first.  Then the new name is
 * entered, which may still fail for want of space and leaves all as it was;
 * the steps after that only rewrite what is there.
 */
#include <string.h>

#include "log.h"
#include "ufs_name.h"

/* Directories deeper than this are taken for a loop. */
enum { DEPTH_MAX = 1 << 16 };

struct side {
	const struct ufs_name *name;
	struct ufs_node *dir;
	struct ufs_slot slot;
	int state;
	struct ufs_node *node; /* NULL: the name is not taken */
};

struct move {
	struct ufs *fs;
	struct side from, to;
};

static int
parent_of(struct ufs *fs, uint64_t ino, uint64_t *parent)
{
	struct ufs_node *node;
	struct ufs_slot slot;
	int rc = ufs_node_get(fs, ino, &node);

	if (rc < 0)
		return rc;
	if (ufs_is_dir(node))
		rc = ufs_dir_find(fs, node, "..", 2, &slot);
	else
		rc = -ENOENT;
	if (rc == 0)
		*parent = slot.entry.ino;
	ufs_node_put(fs, node);
	if (rc == -ENOENT) {
		log_error("ufs: directory %llu has no \"..\"",
		    (unsigned long long)ino);
		rc = -ECORRUPT;
	}
	return rc;
}

/* -EINVAL when dir is node, a directory, or lies below it. */
static int
not_below(
    struct ufs *fs, const struct ufs_node *dir, const struct ufs_node *node)
{
	uint64_t ino = dir->ino;

	if (!ufs_is_dir(node))
		return 0;
	for (int depth = 0; depth < DEPTH_MAX; depth++) {
		int rc;

		if (ino == node->ino)
			return -EINVAL;
		if (ino == UFS_ROOT)
			return 0;
		rc = parent_of(fs, ino, &ino);
		if (rc < 0)
			return rc;
	}
	log_error("ufs: the way up from directory %llu has no end",
	    (unsigned long long)dir->ino);
	return -ECORRUPT;
}

/* Whether ".." of what is to move could follow it. */
static int
may_follow(struct ufs *fs, struct ufs_node *node, const struct ufs_node *from,
    const struct ufs_node *to)
{
	struct ufs_slot slot;
	int rc;

	if (from == to || !ufs_is_dir(node))
		return 0;
	rc = ufs_dir_find(fs, node, "..", 2, &slot);
	if (rc == -ENOENT) {
		log_error("ufs: directory %llu has no \"..\"",
		    (unsigned long long)node->ino);
		return -ECORRUPT;
	}
	return rc < 0 ? rc : ufs_dir_check_slot(fs, node, &slot);
}

/* Let ".." of what moved from one directory to another follow. */
static int
follow(struct ufs *fs, struct ufs_node *node, const struct ufs_node *from,
    const struct ufs_node *to)
{
	struct timespec mtime = node->d.mtime;
	struct ufs_slot slot;
	int rc;

	if (from == to || !ufs_is_dir(node))
		return 0;
	rc = ufs_dir_find(fs, node, "..", 2, &slot);
	if (rc == 0)
		rc = ufs_dir_redirect(fs, node, &slot, to->ino, 4);
	/* Its contents, as people see them, have not changed. */
	node->d.mtime = mtime;
	return rc;
}

/* How many links a directory gains: a subdirectory comes, one goes. */
static int
gain(const struct ufs_node *comes, const struct ufs_node *goes)
{
	return (comes != NULL && ufs_is_dir(comes)) -
	    (goes != NULL && ufs_is_dir(goes));
}

static int
add_links(struct ufs *fs, struct ufs_node *dir, int n)
{
	if (n == 0)
		return 0;
	if (n > 0 || dir->d.nlink > 0)
		dir->d.nlink += (uint32_t)n;
	return ufs_node_store(fs, dir);
}

static int
touch_moved(struct ufs *fs, struct ufs_node *node)
{
	ufs_touch(node, UFS_TOUCH_C);
	return ufs_node_store(fs, node);
}

/* Links and ".." after the names were changed. */
static int
settle_parents(struct move *m, bool exchanged)
{
	struct ufs *fs = m->fs;
	struct side *from = &m->from, *to = &m->to;
	struct ufs_node *back = exchanged ? to->node : NULL;
	int rc = follow(fs, from->node, from->dir, to->dir);

	if (rc == 0 && back != NULL)
		rc = follow(fs, back, to->dir, from->dir);
	if (rc == 0)
		rc = add_links(fs, from->dir, gain(back, from->node));
	if (rc == 0)
		rc = add_links(fs, to->dir, gain(from->node, to->node));
	if (rc == 0)
		rc = touch_moved(fs, from->node);
	if (rc == 0 && back != NULL)
		rc = touch_moved(fs, back);
	return rc;
}

static int
exchange(struct move *m)
{
	struct ufs *fs = m->fs;
	struct side *from = &m->from, *to = &m->to;
	int up = gain(to->node, from->node), rc;

	if (from->dir != to->dir &&
	    ((up > 0 && from->dir->d.nlink >= UFS_LINK_MAX) ||
		(up < 0 && to->dir->d.nlink >= UFS_LINK_MAX)))
		return -EMLINK;
	rc = not_below(fs, from->dir, to->node);
	if (rc == 0)
		rc = may_follow(fs, to->node, to->dir, from->dir);
	if (rc == 0)
		rc = ufs_dir_check_slot(fs, to->dir, &to->slot);
	if (rc == 0)
		rc = ufs_dir_redirect(fs, from->dir, &from->slot, to->node->ino,
		    ufs_type_of(to->node));
	if (rc < 0)
		return rc;
	rc = ufs_dir_redirect(
	    fs, to->dir, &to->slot, from->node->ino, ufs_type_of(from->node));
	if (rc == 0)
		rc = settle_parents(m, true);
	return rc == 0 ? 0 : ufs_half_done(fs, rc);
}

/* Whether what lies at the new name may make way. */
static int
may_replace(struct move *m)
{
	struct side *from = &m->from, *to = &m->to;

	if (to->node != NULL)
		return ufs_name_may_go(m->fs, to->node, ufs_is_dir(from->node));
	if (from->dir != to->dir && ufs_is_dir(from->node) &&
	    to->dir->d.nlink >= UFS_LINK_MAX)
		return -EMLINK;
	return 0;
}

/* Drop the inode that had the new name. */
static int
drop_replaced(struct move *m)
{
	struct ufs_node *node = m->to.node;

	if (node == NULL)
		return 0;
	m->to.node = NULL; /* the reference goes with it */
	return ufs_name_drop(m->fs, node, ufs_is_dir(node) ? node->d.nlink : 1);
}

static int
replace(struct move *m)
{
	struct ufs *fs = m->fs;
	struct side *from = &m->from, *to = &m->to;
	int rc = may_replace(m);

	if (rc == 0)
		rc = ufs_name_enter(
		    fs, to->dir, to->name, to->state, &to->slot, from->node);
	if (rc < 0)
		return rc;
	/* Entering may have moved the old entry. */
	rc = ufs_dir_find(
	    fs, from->dir, from->name->name, from->name->len, &from->slot);
	if (rc == 0)
		rc = ufs_dir_erase(fs, from->dir, &from->slot);
	if (rc == 0)
		rc = settle_parents(m, false);
	if (rc < 0)
		return ufs_half_done(fs, rc);
	return drop_replaced(m);
}

static int
rename_nodes(struct move *m, unsigned flags)
{
	struct side *from = &m->from, *to = &m->to;
	int rc;

	if (to->node != NULL && (flags & UFS_RENAME_NOREPLACE))
		return -EEXIST;
	if (to->node == NULL && (flags & UFS_RENAME_EXCHANGE))
		return -ENOENT;
	if (to->node == from->node)
		return 0; /* POSIX: two names of one file stay */
	rc = not_below(m->fs, to->dir, from->node);
	if (rc == 0)
		rc = may_follow(m->fs, from->node, from->dir, to->dir);
	if (rc == 0)
		rc = ufs_dir_check_slot(m->fs, from->dir, &from->slot);
	if (rc < 0)
		return rc;
	return flags & UFS_RENAME_EXCHANGE ? exchange(m) : replace(m);
}

static int
find_side(struct ufs *fs, struct side *side)
{
	side->state = ufs_name_target(
	    fs, side->dir, side->name->name, side->name->len, &side->slot);
	if (side->state < 0)
		return side->state;
	if (side->state != UFS_NAME_TAKEN)
		return 0;
	return ufs_node_get(fs, side->slot.entry.ino, &side->node);
}

static int
rename_in(struct move *m, unsigned flags)
{
	int rc = find_side(m->fs, &m->from);

	if (rc == 0 && m->from.node == NULL)
		rc = -ENOENT;
	if (rc == 0)
		rc = find_side(m->fs, &m->to);
	if (rc == 0)
		rc = rename_nodes(m, flags);
	if (m->from.node != NULL)
		ufs_node_put(m->fs, m->from.node);
	if (m->to.node != NULL)
		ufs_node_put(m->fs, m->to.node);
	return rc;
}

int
ufs_rename(struct ufs *fs, const struct ufs_name *from,
    const struct ufs_name *to, unsigned flags)
{
	struct move m = {.fs = fs, .from.name = from, .to.name = to};
	int rc = ufs_change_begin(fs);

	if (rc < 0)
		return rc;
	if (flags & ~(unsigned)(UFS_RENAME_NOREPLACE | UFS_RENAME_EXCHANGE) ||
	    flags == (UFS_RENAME_NOREPLACE | UFS_RENAME_EXCHANGE))
		return ufs_change_end(fs, -EINVAL);
	rc = ufs_node_get(fs, from->dir, &m.from.dir);
	if (rc < 0)
		return ufs_change_end(fs, rc);
	rc = ufs_node_get(fs, to->dir, &m.to.dir);
	if (rc == 0) {
		rc = rename_in(&m, flags);
		ufs_node_put(fs, m.to.dir);
	}
	ufs_node_put(fs, m.from.dir);
	return ufs_change_end(fs, rc);
}
