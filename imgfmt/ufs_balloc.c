/*
 * Giving blocks to files (formats.md 2.7).
 *
 * A block's whole way is allocated before anything points to it: indirect
 * blocks that are missing and the block itself are taken first, then chained
 * to each other, and the last step links the chain to what exists.  So a full
 * device or a failing one costs nothing but giving the chain back.
 */
#include <string.h>

#include "log.h"
#include "ufs_impl.h"

enum { MAX_CHAIN = UFS_NINDIRECT + 1 };

/* Written where zeroes are due; in chunks, as blocks are at most this. */
static const uint8_t zeroes[UFS_MAX_BSIZE];

int
ufs_zero(struct ufs *fs, uint64_t off, uint64_t len)
{
	if (len == 0)
		return 0;
	if (len > sizeof(zeroes))
		return blkdev_trim(fs->dev, off, len);
	return blkdev_write(fs->dev, off, zeroes, (size_t)len);
}

static uint64_t
sectors(const struct ufs *fs, uint32_t nfrags)
{
	return ((uint64_t)nfrags << fs->sb.fshift) / 512;
}

/* Where block lbn would lie best: behind the one before it; 0: no wish. */
static int
preference(struct ufs *fs, struct ufs_node *node, uint64_t lbn, uint64_t *hint)
{
	uint64_t before, run;
	int rc;

	*hint = 0;
	if (lbn == 0)
		return 0;
	rc = ufs_bmap(fs, node, lbn - 1, 1, &before, &run);
	if (rc == 0 && before != 0)
		*hint = before + fs->sb.frag;
	return rc;
}

/* Copy the held fragments of a tail to its new place. */
static int
copy_frags(struct ufs *fs, uint64_t from, uint64_t to, uint32_t nfrags)
{
	size_t len = (size_t)nfrags << fs->sb.fshift;
	scoped(freep) uint8_t *buf = malloc(len);
	int rc;

	if (buf == NULL)
		return -ENOMEM;
	rc = blkdev_read(fs->dev, ufs_frag_off(&fs->sb, from), buf, len);
	if (rc == 0)
		rc = blkdev_write(fs->dev, ufs_frag_off(&fs->sb, to), buf, len);
	return rc;
}

/*
 * Room for want fragments of a tail that cannot grow where it is.  With
 * fs_optim "time" it gets a block of which the end is free, to grow into
 * (formats.md 2.17).
 */
static int
new_tail(struct ufs *fs, struct ufs_node *node, uint64_t hint, uint32_t want,
    uint64_t *fsb)
{
	bool roomy =
	    fs->sb.optim == 0 && want < fs->sb.frag && fs->sb.total.nbfree > 0;
	int rc;

	if (!roomy)
		return ufs_alloc_frags(fs, node, hint, want, fsb);
	rc = ufs_alloc_frags(fs, node, hint, fs->sb.frag, fsb);
	if (rc < 0)
		return rc;
	rc = ufs_free_frags(fs, *fsb + want, fs->sb.frag - want);
	return rc == 0 ? 0 : ufs_half_done(fs, rc);
}

/* Move the tail of held fragments at *ptr to a place for want. */
static int
move_tail(struct ufs *fs, struct ufs_node *node, uint64_t lbn, uint32_t held,
    uint32_t want)
{
	uint64_t *ptr = &node->d.db[lbn], old = *ptr, fsb = 0, hint;
	int rc = preference(fs, node, lbn, &hint);

	if (rc == 0)
		rc = new_tail(fs, node, hint ? hint : old, want, &fsb);
	if (rc < 0)
		return rc;
	rc = copy_frags(fs, old, fsb, held);
	if (rc == 0)
		rc = ufs_zero(fs, ufs_frag_off(&fs->sb, fsb + held),
		    (uint64_t)(want - held) << fs->sb.fshift);
	if (rc < 0) {
		if (ufs_free_frags(fs, fsb, want) < 0)
			return ufs_half_done(fs, rc);
		return rc;
	}
	*ptr = fsb;
	rc = ufs_free_frags(fs, old, held);
	return rc == 0 ? 0 : ufs_half_done(fs, rc);
}

/* Let direct block lbn, which holds held fragments, hold want. */
static int
widen_tail(struct ufs *fs, struct ufs_node *node, uint64_t lbn, uint32_t held,
    uint32_t want)
{
	uint64_t fsb = node->d.db[lbn];
	int rc = ufs_extend_frags(fs, fsb, held, want);

	if (rc < 0)
		return rc;
	if (rc == 1) {
		rc = ufs_zero(fs, ufs_frag_off(&fs->sb, fsb + held),
		    (uint64_t)(want - held) << fs->sb.fshift);
		if (rc < 0 && ufs_free_frags(fs, fsb + held, want - held) < 0)
			return ufs_half_done(fs, rc);
	} else {
		rc = move_tail(fs, node, lbn, held, want);
	}
	ufs_map_forget(fs, node);
	if (rc == 0)
		node->d.blocks += sectors(fs, want - held);
	return rc;
}

static int
bad_pointer(const struct ufs_node *node, uint64_t lbn, uint64_t fsb)
{
	log_error("ufs: inode %llu: block %llu points to fragment %llu, "
		  "which cannot hold it",
	    (unsigned long long)node->ino, (unsigned long long)lbn,
	    (unsigned long long)fsb);
	return -ECORRUPT;
}

static int
balloc_direct(struct ufs *fs, struct ufs_node *node, uint64_t lbn,
    uint64_t size, bool *fresh)
{
	uint64_t *ptr = &node->d.db[lbn], hint;
	uint32_t want = ufs_blksize(&fs->sb, size, lbn) >> fs->sb.fshift;
	uint32_t held = 0;
	int rc;

	assert(lbn < UFS_NDIRECT);
	if (*ptr != 0) {
		if (lbn << fs->sb.bshift < node->d.size)
			held = ufs_blksize(&fs->sb, node->d.size, lbn) >>
			    fs->sb.fshift;
		if (held == 0 || !ufs_data_range_ok(&fs->sb, *ptr, held))
			return bad_pointer(node, lbn, *ptr);
		return held < want ? widen_tail(fs, node, lbn, held, want) : 0;
	}
	rc = preference(fs, node, lbn, &hint);
	if (rc == 0)
		rc = ufs_alloc_frags(fs, node, hint, want, ptr);
	if (rc < 0) {
		*ptr = 0;
		return rc;
	}
	ufs_map_forget(fs, node);
	node->d.blocks += sectors(fs, want);
	*fresh = true;
	return 0;
}

/*
 * Before a block behind it is written, the old tail must be a whole block
 * (formats.md 2.7, trap 27); the size then ends with it.
 */
static int
finish_tail(struct ufs *fs, struct ufs_node *node, uint64_t lbn)
{
	uint64_t last, end, size = node->d.size;
	bool fresh;
	int rc;

	if (size == 0 || (size & (fs->sb.bsize - 1)) == 0)
		return 0;
	last = size >> fs->sb.bshift;
	end = (last + 1) << fs->sb.bshift;
	if (last >= lbn || last >= UFS_NDIRECT || node->d.db[last] == 0)
		return 0;
	rc = balloc_direct(fs, node, last, end, &fresh);
	if (rc == 0)
		node->d.size = end;
	return rc;
}

/* The part of the way that is missing. */
struct chain {
	const struct ufs_path *path;
	uint64_t parent; /* indirect block to link to; 0: the inode */
	int have;        /* levels that exist */
	int n;           /* blocks to add: indirect ones, then the data's */
	uint64_t fsb[MAX_CHAIN];
};

static int
give_back(struct ufs *fs, const struct chain *chain, int n, int rc)
{
	for (int i = 0; i < n; i++)
		if (ufs_free_frags(fs, chain->fsb[i], fs->sb.frag) < 0)
			return ufs_half_done(fs, rc);
	return rc;
}

/* Let each new indirect block point to the next block, and only there. */
static int
fill_chain(struct ufs *fs, const struct chain *chain)
{
	int rc = 0;

	for (int i = 0; i < chain->n - 1 && rc == 0; i++) {
		rc = ufs_zero(
		    fs, ufs_frag_off(&fs->sb, chain->fsb[i]), fs->sb.bsize);
		if (rc == 0)
			rc = ufs_indir_set(fs, chain->fsb[i],
			    chain->path->index[chain->have + i],
			    chain->fsb[i + 1]);
	}
	return rc;
}

static int
add_chain(
    struct ufs *fs, struct ufs_node *node, struct chain *chain, uint64_t hint)
{
	int rc;

	for (int i = 0; i < chain->n; i++) {
		rc = ufs_alloc_frags(
		    fs, node, hint, fs->sb.frag, &chain->fsb[i]);
		if (rc < 0)
			return give_back(fs, chain, i, rc);
		hint = chain->fsb[i] + fs->sb.frag;
	}
	rc = fill_chain(fs, chain);
	if (rc < 0)
		return give_back(fs, chain, chain->n, rc);
	if (chain->parent != 0) {
		rc = ufs_indir_set(fs, chain->parent,
		    chain->path->index[chain->have - 1], chain->fsb[0]);
		if (rc < 0)
			return ufs_half_done(fs, rc);
	}
	if (chain->parent == 0)
		node->d.ib[chain->path->level - 1] = chain->fsb[0];
	node->d.blocks += sectors(fs, (uint32_t)chain->n * fs->sb.frag);
	ufs_map_forget(fs, node);
	return 0;
}

static int
balloc_indirect(struct ufs *fs, struct ufs_node *node, uint64_t lbn,
    uint64_t *fsb, bool *fresh)
{
	struct ufs_path path;
	struct chain chain = {.path = &path};
	uint64_t at, hint;
	int rc = ufs_path_to(&fs->sb, lbn, &path);

	if (rc < 0)
		return rc;
	at = node->d.ib[path.level - 1];
	while (at != 0) {
		if (at % fs->sb.frag != 0 ||
		    !ufs_data_range_ok(&fs->sb, at, fs->sb.frag))
			return bad_pointer(node, lbn, at);
		if (chain.have == path.level)
			break;
		chain.parent = at;
		rc = ufs_indir_get(fs, at, path.index[chain.have++], &at);
		if (rc < 0)
			return rc;
	}
	*fsb = at;
	if (at != 0)
		return 0;
	chain.n = path.level - chain.have + 1;
	rc = preference(fs, node, lbn, &hint);
	if (rc == 0)
		rc = add_chain(fs, node, &chain, hint);
	if (rc < 0)
		return rc;
	*fsb = chain.fsb[chain.n - 1];
	*fresh = true;
	return 0;
}

int
ufs_balloc(struct ufs *fs, struct ufs_node *node, uint64_t lbn, uint64_t size,
    uint64_t *fsb, bool *fresh)
{
	int rc = finish_tail(fs, node, lbn);

	*fresh = false;
	if (rc < 0)
		return rc;
	if (lbn >= UFS_NDIRECT)
		return balloc_indirect(fs, node, lbn, fsb, fresh);
	if (size < node->d.size)
		size = node->d.size;
	rc = balloc_direct(fs, node, lbn, size, fresh);
	*fsb = node->d.db[lbn];
	return rc;
}
