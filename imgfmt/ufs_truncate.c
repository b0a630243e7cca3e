/*
 * Taking blocks from files: truncation, holes, removal.
 *
 * One walk over a range of logical blocks serves all of them.  It goes twice:
 * first it only looks, so that a damaged file is refused before anything has
 * changed; then it frees, and can fail no more for what the image says.
 *
 * Indirect blocks may form anything, also loops: a walk meets at most as many
 * blocks as the file system has.
 */
#include <string.h>

#include "log.h"
#include "ufs_impl.h"

struct walk {
	struct ufs *fs;
	struct ufs_node *node;
	uint64_t first, end; /* logical blocks to free */
	bool commit;         /* free, else look */
	bool lenient;        /* the inode goes: what is wrong is dropped */
	uint64_t budget;     /* blocks that may still be met */
	uint64_t run;        /* fragments to be freed with the next ones */
	uint32_t run_len;
};

static int
wrong(struct walk *w, uint64_t fsb, const char *what)
{
	if (w->commit || !w->lenient)
		log_error("ufs: inode %llu: fragment %llu %s",
		    (unsigned long long)w->node->ino, (unsigned long long)fsb,
		    what);
	return -ECORRUPT;
}

/* Judge a pointer to n fragments. */
static int
look_at(struct walk *w, uint64_t fsb, uint32_t n)
{
	struct ufs *fs = w->fs;
	struct ufs_cg *cg;
	int rc;

	if (w->budget == 0)
		return wrong(w, fsb, "is met again and again");
	w->budget--;
	if (!ufs_data_range_ok(&fs->sb, fsb, n) ||
	    (n == fs->sb.frag && fsb % n != 0))
		return wrong(w, fsb, "cannot hold its data");
	if (w->commit)
		return 0;
	rc = ufs_cg_get(fs, (uint32_t)(fsb / fs->sb.fpg), &cg);
	if (rc < 0)
		return rc;
	if (!ufs_cgmap_all(fs, cg, (uint32_t)(fsb % fs->sb.fpg), n, false))
		return wrong(w, fsb, "is its data but not marked \"used\"");
	return 0;
}

static int
free_run(struct walk *w)
{
	int rc = 0;

	if (w->run_len > 0)
		rc = ufs_free_frags(w->fs, w->run, w->run_len);
	w->run_len = 0;
	/* A block that was claimed twice: said, and free by now. */
	return rc == -ECORRUPT ? 0 : rc;
}

/* Free n fragments at fsb, together with their neighbours. */
static int
drop(struct walk *w, uint64_t fsb, uint32_t n)
{
	uint64_t freed = ((uint64_t)n << w->fs->sb.fshift) / 512;
	struct ufs_dinode *d = &w->node->d;
	int rc = 0;

	d->blocks -= freed < d->blocks ? freed : d->blocks;
	if (w->run_len > 0 &&
	    (fsb != w->run + w->run_len || n < w->fs->sb.frag ||
		w->run_len % w->fs->sb.frag != 0 || w->run_len > INT32_MAX))
		rc = free_run(w);
	if (w->run_len == 0)
		w->run = fsb;
	w->run_len += n;
	return rc;
}

/* What the walk makes of rc, the verdict on one pointer: 0 goes on. */
static int
passed(const struct walk *w, int rc)
{
	return rc == -ECORRUPT && (w->commit || w->lenient) ? 0 : rc;
}

/* A block that the range holds: data of n fragments. */
static int
cut_data(struct walk *w, uint64_t *ptr, uint32_t n)
{
	uint64_t fsb = *ptr;
	int rc = look_at(w, fsb, n);

	if (w->commit)
		*ptr = 0;
	return w->commit && rc == 0 ? drop(w, fsb, n) : passed(w, rc);
}

static void
entry_clear(const struct ufs *fs, uint8_t *block, uint32_t i)
{
	size_t width = fs->sb.version == 1 ? 4 : 8;

	memset(block + i * width, 0, width);
}

/* Logical blocks below one entry of an indirect block of that level. */
static uint64_t
span_of(const struct ufs *fs, int level)
{
	uint64_t span = 1;

	while (--level > 0)
		span *= fs->sb.nindir;
	return span;
}

static int cut_indirect(
    struct walk *w, int level, uint64_t *ptr, uint64_t base);

/* Go through the entries of an indirect block that the range touches. */
static int
cut_entries(
    struct walk *w, int level, uint8_t *block, uint64_t base, bool *changed)
{
	const struct ufs *fs = w->fs;
	uint64_t span = span_of(fs, level);
	uint64_t i = w->first > base ? (w->first - base) / span : 0;

	for (; i < fs->sb.nindir && base + i * span < w->end; i++) {
		uint64_t at = ufs_indir_entry(&fs->sb, block, (uint32_t)i);
		int rc;

		if (at == 0)
			continue;
		rc = level == 1
		    ? cut_data(w, &at, fs->sb.frag)
		    : cut_indirect(w, level - 1, &at, base + i * span);
		if (rc < 0)
			return rc;
		if (w->commit && at == 0) {
			entry_clear(fs, block, (uint32_t)i);
			*changed = true;
		}
	}
	return 0;
}

/*
 * Read an indirect block.  A damaged one of an inode that goes is as good as
 * empty: what it points to is unknown, and stays marked "used".
 */
static int
indirect_read(const struct walk *w, uint64_t fsb, uint8_t *block)
{
	const struct ufs *fs = w->fs;
	int rc = blkdev_read(
	    fs->dev, ufs_frag_off(&fs->sb, fsb), block, fs->sb.bsize);

	if (rc != -ECORRUPT || !w->lenient)
		return rc;
	memset(block, 0, fs->sb.bsize);
	return 0;
}

/* The indirect block at *ptr maps from base on; it goes when it is empty. */
static int
cut_indirect(struct walk *w, int level, uint64_t *ptr, uint64_t base)
{
	struct ufs *fs = w->fs;
	uint64_t fsb = *ptr;
	scoped(freep) uint8_t *block = NULL;
	bool changed = false;
	int rc = look_at(w, fsb, fs->sb.frag);

	if (rc < 0 && w->commit)
		*ptr = 0;
	if (rc < 0)
		return passed(w, rc);
	block = malloc(fs->sb.bsize);
	if (block == NULL)
		return -ENOMEM;
	rc = indirect_read(w, fsb, block);
	if (rc == 0)
		rc = cut_entries(w, level, block, base, &changed);
	if (rc < 0 || !w->commit)
		return rc;
	if (bytes_are_zero(block, fs->sb.bsize)) {
		*ptr = 0;
		return drop(w, fsb, fs->sb.frag);
	}
	if (!changed)
		return 0;
	return blkdev_write(
	    fs->dev, ufs_frag_off(&fs->sb, fsb), block, fs->sb.bsize);
}

static int
cut_direct(struct walk *w)
{
	const struct ufs_super *sb = &w->fs->sb;
	struct ufs_dinode *d = &w->node->d;
	int rc = 0;

	for (uint64_t i = w->first; i < UFS_NDIRECT && i < w->end; i++) {
		uint32_t n = 0;

		if (d->db[i] == 0)
			continue;
		if (i << sb->bshift < d->size)
			n = ufs_blksize(sb, d->size, i) >> sb->fshift;
		if (n == 0) { /* beyond the end: of unknown size */
			rc = passed(
			    w, wrong(w, d->db[i], "lies beyond its end"));
			if (w->commit)
				d->db[i] = 0;
		} else {
			rc = cut_data(w, &d->db[i], n);
		}
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int
walk_range(struct walk *w)
{
	const struct ufs *fs = w->fs;
	struct ufs_dinode *d = &w->node->d;
	uint64_t base = UFS_NDIRECT, span = 1;
	int rc = cut_direct(w);

	for (int level = 1; level <= UFS_NINDIRECT && rc == 0; level++) {
		span *= fs->sb.nindir;
		if (d->ib[level - 1] != 0 && w->end > base &&
		    w->first < base + span)
			rc = cut_indirect(w, level, &d->ib[level - 1], base);
		base += span;
	}
	if (rc == 0)
		rc = free_run(w);
	return rc;
}

static bool
has_blocks(const struct ufs *fs, const struct ufs_node *node)
{
	if (ufs_is_link(node))
		return !ufs_target_is_inline(&fs->sb, &node->d);
	return ufs_is_reg(node) || ufs_is_dir(node);
}

static int
walk_once(struct walk *w, bool commit)
{
	struct ufs *fs = w->fs;
	int rc;

	w->budget = (fs->sb.size >> fs->sb.fragshift) + UFS_NDIRECT;
	w->commit = commit;
	rc = walk_range(w);
	if (commit) {
		ufs_map_forget(fs, w->node);
		if (rc < 0)
			return ufs_half_done(fs, rc);
	}
	return rc;
}

static int
look_or_free(struct ufs *fs, struct ufs_node *node, uint64_t first,
    uint64_t end, bool commit)
{
	struct walk w = {.fs = fs, .node = node, .first = first, .end = end};

	return walk_once(&w, commit);
}

int
ufs_free_range(
    struct ufs *fs, struct ufs_node *node, uint64_t first, uint64_t end)
{
	int rc = look_or_free(fs, node, first, end, false);

	return rc < 0 ? rc : look_or_free(fs, node, first, end, true);
}

int
ufs_check_blocks(struct ufs *fs, struct ufs_node *node)
{
	if (!has_blocks(fs, node))
		return 0;
	return look_or_free(fs, node, 0, UINT64_MAX, false);
}

int
ufs_free_all(struct ufs *fs, struct ufs_node *node)
{
	struct walk w = {.fs = fs, .node = node, .end = UINT64_MAX};
	int rc;

	if (!has_blocks(fs, node))
		return 0;
	w.lenient = true;
	rc = walk_once(&w, false);
	/* Cannot be read for now: nothing has changed. */
	return rc < 0 ? rc : walk_once(&w, true);
}

/* Physical place of the last block's bytes; 0: a hole, or no block. */
static int
last_block(struct ufs *fs, struct ufs_node *node, uint64_t size, uint64_t *fsb)
{
	uint64_t run;

	*fsb = 0;
	if (size == 0)
		return 0;
	return ufs_bmap(fs, node, (size - 1) >> fs->sb.bshift, 1, fsb, &run);
}

/* Zero what the last block, of held bytes at fsb, holds beyond size. */
static int
zero_slack(struct ufs *fs, uint64_t fsb, uint64_t size, uint32_t held)
{
	uint32_t used = (uint32_t)(size & (fs->sb.bsize - 1));

	if (fsb == 0 || used == 0 || used >= held)
		return 0;
	return ufs_zero(fs, ufs_frag_off(&fs->sb, fsb) + used, held - used);
}

/* Cut the last block of a file that now ends at size down to fragments. */
static int
trim_tail(struct ufs *fs, struct ufs_node *node, uint64_t size, uint64_t fsb)
{
	uint64_t lbn = (size - 1) >> fs->sb.bshift;
	uint32_t held = ufs_blksize(&fs->sb, node->d.size, lbn);
	uint32_t keep = ufs_blksize(&fs->sb, size, lbn);
	uint64_t freed;
	int rc = zero_slack(fs, fsb, size, keep);

	if (rc < 0 || fsb == 0 || keep >= held)
		return rc;
	ufs_map_forget(fs, node);
	freed = (held - keep) / 512;
	node->d.blocks -= freed < node->d.blocks ? freed : node->d.blocks;
	return ufs_free_frags(
	    fs, fsb + (keep >> fs->sb.fshift), (held - keep) >> fs->sb.fshift);
}

/* A hole may not be last: give the block that becomes last its place. */
static int
fill_last(struct ufs *fs, struct ufs_node *node, uint64_t size, uint64_t *fsb)
{
	uint64_t lbn = (size - 1) >> fs->sb.bshift;
	uint64_t full = (lbn + 1) << fs->sb.bshift;
	bool fresh;
	int rc = last_block(fs, node, size, fsb);

	if (rc < 0 || *fsb != 0)
		return rc;
	if (full > node->d.size)
		full = node->d.size;
	rc = ufs_balloc(fs, node, lbn, full, fsb, &fresh);
	if (rc < 0)
		return rc;
	rc = ufs_zero(fs, ufs_frag_off(&fs->sb, *fsb),
	    ufs_blksize(&fs->sb, node->d.size, lbn));
	return rc == 0 ? 0 : ufs_half_done(fs, rc);
}

/* Blocks that so many bytes take. */
static uint64_t
blocks_of(const struct ufs *fs, uint64_t size)
{
	return (size >> fs->sb.bshift) + ((size & (fs->sb.bsize - 1)) != 0);
}

/* Whether trim_tail could free what it has to. */
static int
look_at_tail(struct ufs *fs, struct ufs_node *node, uint64_t size, uint64_t fsb)
{
	struct walk w = {.fs = fs, .node = node, .budget = 1};
	uint64_t lbn = (size - 1) >> fs->sb.bshift;
	uint32_t held = ufs_blksize(&fs->sb, node->d.size, lbn);

	if (fsb == 0 || ufs_blksize(&fs->sb, size, lbn) >= held)
		return 0;
	return look_at(&w, fsb, held >> fs->sb.fshift);
}

/* The blocks behind size are gone: cut the last one, too. */
static int
cut_tail(struct ufs *fs, struct ufs_node *node, uint64_t size, uint64_t fsb)
{
	int rc = 0;

	if (size > 0)
		rc = trim_tail(fs, node, size, fsb);
	if (rc < 0)
		return ufs_half_done(fs, rc);
	node->d.size = size;
	return 0;
}

static int
shrink(struct ufs *fs, struct ufs_node *node, uint64_t size)
{
	uint64_t keep = blocks_of(fs, size), fsb = 0;
	int rc = look_or_free(fs, node, keep, UINT64_MAX, false);

	if (rc == 0 && size > 0)
		rc = fill_last(fs, node, size, &fsb);
	if (rc == 0 && size > 0)
		rc = look_at_tail(fs, node, size, fsb);
	if (rc == 0)
		rc = look_or_free(fs, node, keep, UINT64_MAX, true);
	return rc < 0 ? rc : cut_tail(fs, node, size, fsb);
}

int
ufs_shrink_back(struct ufs *fs, struct ufs_node *node, uint64_t size)
{
	struct walk w = {.fs = fs,
	    .node = node,
	    .first = blocks_of(fs, size),
	    .end = blocks_of(fs, node->d.size),
	    .lenient = true};
	uint64_t fsb;
	int rc = last_block(fs, node, size, &fsb);

	/* A last block that is damaged was so before: it stays. */
	if (rc == -ECORRUPT)
		fsb = 0;
	else if (rc < 0)
		return rc;
	rc = walk_once(&w, false);
	if (rc == 0)
		rc = walk_once(&w, true);
	return rc < 0 ? rc : cut_tail(fs, node, size, fsb);
}

/*
 * Extending to more than old bytes failed with rc.  The old tail may be a
 * whole block by now, in another place, and the device does not know yet.
 */
static int
undo_extend(struct ufs *fs, struct ufs_node *node, uint64_t old, int rc)
{
	if (fs->broken ||
	    (node->d.size > old && ufs_shrink_back(fs, node, old) < 0) ||
	    ufs_node_store(fs, node) < 0)
		return ufs_half_done(fs, rc);
	return rc;
}

static int
extend(struct ufs *fs, struct ufs_node *node, uint64_t size)
{
	uint64_t lbn = (size - 1) >> fs->sb.bshift, old = node->d.size, fsb;
	uint64_t last = (old - 1) >> fs->sb.bshift;
	bool fresh;
	int rc = last_block(fs, node, old, &fsb);

	if (rc == 0 && old > 0)
		rc = zero_slack(fs, fsb, old, ufs_blksize(&fs->sb, old, last));
	if (rc == 0)
		rc = ufs_balloc(fs, node, lbn, size, &fsb, &fresh);
	if (rc == 0) {
		node->d.size = size;
		if (fresh)
			rc = ufs_zero(fs, ufs_frag_off(&fs->sb, fsb),
			    ufs_blksize(&fs->sb, size, lbn));
	}
	return rc == 0 ? 0 : undo_extend(fs, node, old, rc);
}

int
ufs_truncate_to(struct ufs *fs, struct ufs_node *node, uint64_t size)
{
	if (size > fs->sb.maxfilesize || (ufs_is_dir(node) && size > INT32_MAX))
		return -EFBIG;
	if (size < node->d.size)
		return shrink(fs, node, size);
	return size > node->d.size ? extend(fs, node, size) : 0;
}
