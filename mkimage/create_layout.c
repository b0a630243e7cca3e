/*
 * The first phase: where everything lies.
 *
 * All names come first, directory by directory from the root, so that inodes
 * and directories lie together at the front, where a CD reads them in few
 * goes; then the contents, in the same order, each file in one piece.  Files
 * that are to lie first (--order) come before all others in both.  Space is
 * allocated without data: the device is memory that keeps nothing of what is
 * zero.
 */
#include <inttypes.h>
#include <string.h>

#include "../imgfmt/log.h"
#include "create_impl.h"
#include "outfile.h"

/* The way to a node, for messages. */
struct crumb {
	const struct crumb *up;
	const char *name;
};

static const struct crumb top = {NULL, ""}; /* the root */

struct laying {
	struct ufs *fs;
	struct create_layout *out;
	bool has_first; /* some files were laid out before the rest */
	uint32_t bsize;
	int version;
};

/* Say what went wrong where; a full file system is the caller's to say. */
static int
failed(const struct crumb *at, int rc)
{
	char path[1024], joined[1024];

	if (rc == -ENOSPC || rc == -EINTR)
		return rc;
	path[0] = '\0';
	for (; at != NULL && at->up != NULL; at = at->up) {
		(void)snprintf(joined, sizeof(joined), "%.400s%s%.600s",
		    at->name, path[0] != '\0' ? "/" : "", path);
		memcpy(path, joined, sizeof(path));
	}
	log_error("cannot put '/%s' into the image: %s", path,
	    rc == -EINVAL      ? "UFS cannot hold it"
		: rc == -E2BIG ? "its extended attributes are too large"
			       : strerror(-rc));
	return rc;
}

/* -- names ------------------------------------------------------------------
 */

static int
create_node(struct laying *l, const struct tree_node *dir,
    const struct tree_entry *e, struct ufs_attr *attr)
{
	const struct tree_node *node = e->node;
	struct ufs_new what = {
	    .mode = node->mode,
	    .uid = node->uid,
	    .gid = node->gid,
	    .rdev_major = node->rdev_major,
	    .rdev_minor = node->rdev_minor,
	    .target = node->target,
	    .target_len = node->target != NULL ? strlen(node->target) : 0,
	};

	return ufs_create(
	    l->fs, dir->ino, e->name, strlen(e->name), &what, attr);
}

/* Enter e as a name of dir, unless that was done before. */
static int
place(struct laying *l, const struct tree_node *dir, struct tree_entry *e,
    const struct crumb *at)
{
	struct ufs_attr attr;
	int rc;

	if (e->placed)
		return 0;
	if (e->node->ino == 0) {
		rc = create_node(l, dir, e, &attr);
		e->node->ino = rc == 0 ? attr.ino : 0;
	} else {
		rc = ufs_link(l->fs, e->node->ino, dir->ino, e->name,
		    strlen(e->name), &attr);
	}
	e->placed = rc == 0;
	return rc < 0 ? failed(at, rc) : 0;
}

/* Enter all names of dir, then those of the directories in it. */
static int
lay_names(struct laying *l, const struct tree_node *dir, const struct crumb *at)
{
	int rc = interrupted() ? -EINTR : 0;

	for (size_t i = 0; i < dir->n && rc == 0; i++) {
		struct crumb here = {at, dir->entries[i].name};

		rc = place(l, dir, &dir->entries[i], &here);
	}
	for (size_t i = 0; i < dir->n && rc == 0; i++) {
		struct crumb here = {at, dir->entries[i].name};

		if (S_ISDIR(dir->entries[i].node->mode))
			rc = lay_names(l, dir->entries[i].node, &here);
	}
	return rc;
}

static int
place_on_way(void *arg, struct tree_node *dir, struct tree_entry *e)
{
	struct laying *l = arg;
	struct crumb here = {&top, e->name};

	return place(l, dir, e, &here);
}

/* The names of the files that lie first, so that their inodes do, too. */
static int
lay_first_names(
    struct laying *l, const struct tree *t, const struct order *first)
{
	int rc = 0;

	for (size_t i = 0; i < first->n && rc == 0; i++)
		rc = interrupted()
		    ? -EINTR
		    : tree_walk(t, first->paths[i], place_on_way, l);
	return rc;
}

/* -- contents ---------------------------------------------------------------
 */

static int
add_extent(struct create_layout *out, const struct create_extent *extent)
{
	if (out->n == out->room) {
		size_t room = out->room > 0 ? 2 * out->room : 1024;
		struct create_extent *more =
		    realloc(out->extents, room * sizeof(*more));

		if (more == NULL)
			return -ENOMEM;
		out->extents = more;
		out->room = room;
	}
	out->extents[out->n++] = *extent;
	return 0;
}

/* Note where bytes off .. end of the file lie. */
static int
note_range(
    struct laying *l, const struct tree_node *node, uint64_t off, uint64_t end)
{
	while (off < end) {
		struct ufs_run run;
		struct create_extent extent;
		int rc = ufs_map(l->fs, node->ino, off, &run);

		if (rc < 0)
			return rc;
		if (run.len > end - off)
			run.len = end - off;
		extent =
		    (struct create_extent){run.dev_off, run.len, node, off};
		if (run.dev_off == 0)
			return -ECORRUPT; /* it was allocated just now */
		rc = add_extent(l->out, &extent);
		if (rc < 0)
			return rc;
		off += run.len;
	}
	return 0;
}

/*
 * Space for the node's data, whole blocks of it where holes follow, so that no
 * tail has to move when the file goes on.
 */
static int
allocate(struct laying *l, const struct tree_node *node)
{
	const struct content *c = &node->content;
	uint64_t done = 0;
	int rc = 0;

	for (size_t i = 0; i < c->nruns && rc == 0;) {
		uint64_t off = c->runs[i].off, end = off + tree_stretch(c, &i);

		end += (l->bsize - end % l->bsize) % l->bsize;
		if (end > node->size)
			end = node->size;
		if (off < done)
			off = done;
		if (off < end)
			rc = ufs_allocate(
			    l->fs, node->ino, UFS_ALLOC, off, end - off);
		done = end > done ? end : done;
	}
	if (rc == 0 && done < node->size) {
		struct ufs_attr attr = {.size = node->size};

		rc = ufs_setattr(l->fs, node->ino, UFS_SET_SIZE, &attr, &attr);
	}
	return rc;
}

static int
lay_file(struct laying *l, const struct tree_node *node)
{
	const struct content *c = &node->content;
	int rc = allocate(l, node);

	for (size_t i = 0; i < c->nruns && rc == 0; i++)
		rc = note_range(
		    l, node, c->runs[i].off, c->runs[i].off + c->runs[i].len);
	return rc;
}

/* Whether all attributes fit the two blocks that an inode has for them. */
static bool
xattrs_fit(const struct laying *l, const struct tree_node *node)
{
	uint64_t len = 0;

	for (const struct tree_xattr *x = node->xattrs; x != NULL; x = x->next)
		len += ((7 + strlen(x->name) + 7) & ~(uint64_t)7) +
		    ((x->len + 7) & ~(uint64_t)7);
	return len <= 2 * (uint64_t)l->bsize;
}

static int
lay_xattr(
    struct laying *l, const struct tree_node *node, const struct tree_xattr *x)
{
	scoped(freep) uint8_t *value = malloc(x->len + 1);
	struct ufs_info info;

	if (value == NULL)
		return -ENOMEM;
	memcpy(value, x->value, x->len);
	ufs_info(l->fs, &info);
	if (info.big_endian && x->space == UFS_EA_SYSTEM)
		ufs_acl_reorder(x->name, value, x->len);
	return ufs_xattr_set(l->fs, node->ino, (enum ufs_ea_space)x->space,
	    x->name, value, x->len, UFS_EA_ANY);
}

static int
lay_xattrs(struct laying *l, const struct tree_node *node)
{
	int rc = 0;

	if (l->version == 2 && !xattrs_fit(l, node))
		return -E2BIG;
	for (const struct tree_xattr *x = node->xattrs; x != NULL && rc == 0;
	     x = x->next) {
		if (l->version == 1)
			l->out->lost_xattrs++;
		else
			rc = lay_xattr(l, node, x);
	}
	return rc;
}

static int
lay_attributes(struct laying *l, const struct tree_node *node)
{
	struct ufs_attr attr = {
	    .mode = node->mode,
	    .uid = node->uid,
	    .gid = node->gid,
	    .flags = node->flags & ~(uint32_t)UFS_FLAG_SNAPSHOT,
	    .atime = node->atime,
	    .mtime = node->mtime,
	    .ctime = node->ctime,
	    .birth = node->birth,
	};
	unsigned set = UFS_SET_MODE | UFS_SET_UID | UFS_SET_GID |
	    UFS_SET_FLAGS | UFS_SET_ATIME | UFS_SET_MTIME | UFS_SET_CTIME |
	    UFS_SET_BIRTH;

	return ufs_setattr(l->fs, node->ino, set, &attr, &attr);
}

/* What a node holds, and then what it is. */
static int
lay_node(struct laying *l, const struct tree_node *node)
{
	int rc = S_ISREG(node->mode) ? lay_file(l, node) : 0;

	if (rc == 0)
		rc = lay_xattrs(l, node);
	return rc < 0 ? rc : lay_attributes(l, node);
}

/*
 * Whether the file has been laid out before, under another name or among the
 * first: then its inode has its size, which it starts without.
 */
static int
is_done(struct laying *l, const struct tree_node *node)
{
	struct ufs_attr attr;
	int rc;

	if ((node->names < 2 && !l->has_first) || !S_ISREG(node->mode) ||
	    node->size == 0)
		return 0;
	rc = ufs_getattr(l->fs, node->ino, &attr);
	return rc < 0 ? rc : attr.size == node->size;
}

static int
lay_entry(struct laying *l, const struct tree_entry *e, const struct crumb *at)
{
	struct crumb here = {at, e->name};
	int rc = is_done(l, e->node);

	if (rc == 0)
		rc = lay_node(l, e->node);
	return rc < 0 ? failed(&here, rc) : 0;
}

/* Contents of dir's files, then those of the directories in it. */
static int
lay_contents(
    struct laying *l, const struct tree_node *dir, const struct crumb *at)
{
	int rc = interrupted() ? -EINTR : lay_node(l, dir);

	if (rc < 0)
		return failed(at, rc);
	for (size_t i = 0; i < dir->n && rc == 0; i++)
		if (!S_ISDIR(dir->entries[i].node->mode))
			rc = lay_entry(l, &dir->entries[i], at);
	for (size_t i = 0; i < dir->n && rc == 0; i++) {
		struct crumb here = {at, dir->entries[i].name};

		if (S_ISDIR(dir->entries[i].node->mode))
			rc = lay_contents(l, dir->entries[i].node, &here);
	}
	return rc;
}

/*
 * The contents of the files that lie first, one behind the other from the
 * front of the file system on; empty ones have no place.
 */
static int
lay_first_contents(
    struct laying *l, const struct tree *t, const struct order *first)
{
	int rc = 0;

	ufs_follow(l->fs, true);
	for (size_t i = 0; i < first->n && rc == 0; i++) {
		const struct tree_node *node = tree_find(t, first->paths[i]);
		struct crumb here = {&top, first->paths[i]};

		if (interrupted())
			return -EINTR;
		if (node->size == 0)
			continue;
		rc = lay_node(l, node);
		if (rc < 0)
			return failed(&here, rc);
	}
	ufs_follow(l->fs, false);
	l->has_first = first->n > 0;
	return rc;
}

/* -- all of it --------------------------------------------------------------
 */

static int
by_place(const void *a, const void *b)
{
	const struct create_extent *x = a, *y = b;

	return (x->dev_off > y->dev_off) - (x->dev_off < y->dev_off);
}

static void
forget(struct tree_node *node)
{
	node->ino = 0;
	for (size_t i = 0; i < node->n; i++) {
		node->entries[i].placed = false;
		forget(node->entries[i].node);
	}
}

static int
lay_tree(struct tree *t, struct laying *l, const struct order *first)
{
	int rc;

	forget(t->root);
	t->root->ino = UFS_ROOT;
	rc = lay_first_names(l, t, first);
	if (rc == 0)
		rc = lay_names(l, t->root, &top);
	if (rc == 0)
		rc = lay_first_contents(l, t, first);
	if (rc == 0)
		rc = lay_contents(l, t->root, &top);
	if (rc == 0 && (t->acls || t->nfs4_acls))
		rc = ufs_acl_obey(l->fs, t->acls, t->nfs4_acls);
	if (rc == 0)
		rc = ufs_sync_to_device(l->fs);
	return rc;
}

int
create_lay_out(struct tree *t, struct blkdev *dev, const struct order *first,
    struct create_layout *layout)
{
	struct ufs_options options = {.writable = true};
	struct laying l = {.out = layout};
	int rc;

	*layout = (struct create_layout){.meta = dev};
	rc = ufs_open(blkdev_ref(dev), &options, &l.fs);
	if (rc < 0) {
		blkdev_close(dev);
		return rc;
	}
	ufs_info(l.fs, &layout->info);
	l.bsize = layout->info.block_size;
	l.version = layout->info.version;
	rc = lay_tree(t, &l, first);
	ufs_info(l.fs, &layout->info);
	ufs_close(l.fs);
	if (layout->n > 1)
		qsort(layout->extents, layout->n, sizeof(*layout->extents),
		    by_place);
	return rc;
}

void
create_layout_release(struct create_layout *layout)
{
	blkdev_close(layout->meta);
	free(layout->extents);
	*layout = (struct create_layout){0};
}

void
create_tell_losses(const struct tree *t, const struct create_layout *layout)
{
	const struct {
		uint64_t n;
		const char *what;
	} losses[] = {
	    {t->lost_xattrs,
		"extended attributes left out: FreeBSD has no name for them"},
	    {layout->lost_xattrs,
		"extended attributes left out: UFS1 has none (--ufs 2 has)"},
	    {t->lost_flags,
		"files' flags left out: UFS does not know them all"},
	    {t->lost_acls, "access control lists left out"},
	    {t->lost_snapshots, "snapshots of the file system left out"},
	    {t->lost_journals,
		"journal of the file system left out (tunefs -j makes one)"},
	    {t->lost_whiteouts, "whiteouts left out"},
	};

	for (size_t i = 0; i < sizeof(losses) / sizeof(*losses); i++)
		if (losses[i].n > 0)
			log_warn("%" PRIu64 " %s", losses[i].n, losses[i].what);
}
