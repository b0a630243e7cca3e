/*
 * The maps of one cylinder group, in core, and all that is counted from them
 * (formats.md 2.6).  The two that change a map keep in step with it: the
 * group's counts, its fragment and cluster sums, its cluster map, and the
 * totals of the superblock.  They cannot fail.
 *
 * A block's fragments are 1, 2, 4 or 8 bits of the free map and never straddle
 * a byte, so that a block is judged and changed as a small number, its mask.
 * A last block that is cut short by the group's end has its missing bits 0: it
 * is never whole, and is given out as fragments only (trap 54).
 */
#include <string.h>

#include "bitmap.h"
#include "ufs_impl.h"

/* Blocks in which a loose fit is better than a tight one farther away. */
enum { NEARBY = 32 };

static unsigned
full_mask(const struct ufs *fs)
{
	return (1u << fs->sb.frag) - 1;
}

static struct ufs_cg_disk *
head_of(struct ufs_cg *cg)
{
	return (struct ufs_cg_disk *)cg->raw;
}

unsigned
ufs_cgmap_block(const struct ufs *fs, const struct ufs_cg *cg, uint32_t blk)
{
	uint32_t bit = blk << fs->sb.fragshift;
	const uint8_t *map = cg->raw + fs->layout.freeoff;

	return map[bit / 8] >> bit % 8 & full_mask(fs);
}

bool
ufs_cgmap_all(const struct ufs *fs, const struct ufs_cg *cg, uint32_t first,
    uint32_t n, bool is_free)
{
	uint32_t within = first & (fs->sb.frag - 1);
	unsigned wanted = ((1u << n) - 1) << within;
	unsigned mask = ufs_cgmap_block(fs, cg, first >> fs->sb.fragshift);

	return (mask & wanted) == (is_free ? wanted : 0);
}

/* Count the runs of free fragments of a partly used block, in or out. */
static void
count_runs(struct ufs *fs, struct ufs_cg *cg, unsigned mask, int sign)
{
	struct ufs_cg_disk *head = head_of(cg);
	bool big = fs->sb.big;

	while (mask != 0) {
		unsigned start = (unsigned)__builtin_ctz(mask);
		unsigned len = (unsigned)__builtin_ctz(~(mask >> start));
		uint32_t n = raw32_get(head->frsum[len], big);

		head->frsum[len] = raw32_set(n + (uint32_t)sign, big);
		mask &= ~(((1u << len) - 1) << start);
	}
}

static void
add_cluster_sum(struct ufs *fs, struct ufs_cg *cg, uint32_t len, int sign)
{
	uint8_t *sums = cg->raw + fs->layout.clustersumoff;
	raw32 sum;

	/* Not sum[0]: it overlaps the free map (trap 20). */
	if (len == 0)
		return;
	memcpy(&sum, sums + 4 * (size_t)len, sizeof(sum));
	sum =
	    raw32_set(raw32_get(sum, fs->sb.big) + (uint32_t)sign, fs->sb.big);
	memcpy(sums + 4 * (size_t)len, &sum, sizeof(sum));
}

static uint32_t
least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* How many blocks blk comes behind from, where block 0 follows the last. */
static uint32_t
behind(const struct ufs_cg *cg, uint32_t from, uint32_t blk)
{
	return blk >= from ? blk - from : blk + cg->nblocks - from;
}

/* A whole block became free or used. */
static void
change_cluster(struct ufs *fs, struct ufs_cg *cg, uint32_t blk, bool to_free)
{
	uint32_t most = fs->sb.contigsumsize, back = 0, forward, end;
	uint8_t *map = cg->raw + fs->layout.clusteroff;
	int sign = to_free ? 1 : -1;

	if (most == 0)
		return;
	if (to_free)
		bit_set(map, blk);
	else
		bit_clear(map, blk);
	end = least(cg->nblocks, blk + 1 + most);
	forward = (uint32_t)bits_find(map, blk + 1, end, false) - blk - 1;
	while (back < most && back < blk && bit_is_set(map, blk - back - 1))
		back++;
	add_cluster_sum(fs, cg, least(back + forward + 1, most), sign);
	add_cluster_sum(fs, cg, back, -sign);
	add_cluster_sum(fs, cg, forward, -sign);
}

/* Count a block with this mask, in or out. */
static void
count_block(struct ufs *fs, struct ufs_cg *cg, unsigned mask, int sign)
{
	int frags = sign * __builtin_popcount(mask);

	if (mask == full_mask(fs)) {
		cg->cs.nbfree += sign;
		fs->sb.total.nbfree += sign;
		return;
	}
	cg->cs.nffree += frags;
	fs->sb.total.nffree += frags;
	count_runs(fs, cg, mask, sign);
}

void
ufs_cgmap_change(
    struct ufs *fs, struct ufs_cg *cg, uint32_t first, uint32_t n, bool to_free)
{
	uint32_t blk = first >> fs->sb.fragshift;
	unsigned before = ufs_cgmap_block(fs, cg, blk), after;

	bits_fill(cg->raw + fs->layout.freeoff, first, n, to_free);
	after = ufs_cgmap_block(fs, cg, blk);
	if (after == before)
		return;
	count_block(fs, cg, before, -1);
	count_block(fs, cg, after, 1);
	if (before == full_mask(fs)) {
		change_cluster(fs, cg, blk, false);
	} else if (after == full_mask(fs)) {
		change_cluster(fs, cg, blk, true);
		cg->none_n = least(cg->none_n, behind(cg, cg->none_from, blk));
	}
	cg->dirty = true;
	fs->sb_dirty = true;
}

/* The first free block in [from, end), or end. */
static uint32_t
scan_blocks(
    const struct ufs *fs, const struct ufs_cg *cg, uint32_t from, uint32_t end)
{
	const uint8_t *map = cg->raw + fs->layout.freeoff;
	uint32_t per_byte = 8 >> fs->sb.fragshift;

	while (from < end) {
		if (from % per_byte == 0 && map[from / per_byte] == 0)
			from += per_byte;
		else if (ufs_cgmap_block(fs, cg, from) == full_mask(fs))
			return from;
		else
			from++;
	}
	return end;
}

/*
 * The first free block from start on, or nblocks.  Files' tails fill blocks
 * ahead of the place that a search begins at: it does not pass over the same
 * ones again and again.
 */
static uint32_t
next_free(const struct ufs *fs, struct ufs_cg *cg, uint32_t start)
{
	uint32_t n = cg->nblocks, known = behind(cg, cg->none_from, start);
	uint32_t from = start, blk = n;

	if (known < cg->none_n)
		from += cg->none_n - known;
	else
		known = 0;
	if (from < n)
		blk = scan_blocks(fs, cg, from, n);
	if (blk == n) {
		from = from < n ? 0 : from - n;
		blk = scan_blocks(fs, cg, from, start);
		if (blk >= start)
			return n;
	}
	if (known == 0)
		cg->none_from = start;
	cg->none_n = known + behind(cg, start, blk);
	return blk;
}

int64_t
ufs_cgmap_find_block(const struct ufs *fs, struct ufs_cg *cg, uint32_t from)
{
	uint32_t start = from >> fs->sb.fragshift, blk;

	if (cg->cs.nbfree <= 0)
		return -1;
	if (start >= cg->nblocks)
		start = 0;
	blk = next_free(fs, cg, start);
	return blk == cg->nblocks ? -1 : (int64_t)blk << fs->sb.fragshift;
}

/* Place of a maximal run of exactly len free fragments in mask; or -1. */
static int
run_of(unsigned mask, unsigned len)
{
	while (mask != 0) {
		unsigned start = (unsigned)__builtin_ctz(mask);
		unsigned n = (unsigned)__builtin_ctz(~(mask >> start));

		if (n == len)
			return (int)start;
		mask &= ~(((1u << n) - 1) << start);
	}
	return -1;
}

/* A run of exactly len in the partly used blocks [from, end); or -1. */
static int64_t
scan_frags(const struct ufs *fs, const struct ufs_cg *cg, uint32_t from,
    uint32_t end, uint32_t len)
{
	for (uint32_t blk = from; blk < end; blk++) {
		unsigned mask = ufs_cgmap_block(fs, cg, blk);
		int at = mask == full_mask(fs) ? -1 : run_of(mask, len);

		if (at >= 0)
			return ((int64_t)blk << fs->sb.fragshift) + at;
	}
	return -1;
}

/* The tightest fit for n fragments in the blocks [from, end); or -1. */
static int64_t
fit_frags(const struct ufs *fs, const struct ufs_cg *cg, uint32_t from,
    uint32_t end, uint32_t n)
{
	const struct ufs_cg_disk *head = (const void *)cg->raw;
	int64_t found = -1;

	for (uint32_t len = n; len < fs->sb.frag && found < 0; len++)
		if (raw32_get(head->frsum[len], fs->sb.big) != 0)
			found = scan_frags(fs, cg, from, end, len);
	return found;
}

static uint32_t
blocks_of(const struct ufs *fs, const struct ufs_cg *cg)
{
	return (cg->nfrags + fs->sb.frag - 1) >> fs->sb.fragshift;
}

int64_t
ufs_cgmap_find_frags_near(
    const struct ufs *fs, const struct ufs_cg *cg, uint32_t from, uint32_t n)
{
	uint32_t start = from >> fs->sb.fragshift, end = blocks_of(fs, cg);

	if (start >= end)
		start = 0;
	return fit_frags(fs, cg, start, least(start + NEARBY, end), n);
}

int64_t
ufs_cgmap_find_frags(
    const struct ufs *fs, const struct ufs_cg *cg, uint32_t from, uint32_t n)
{
	int64_t found = ufs_cgmap_find_frags_near(fs, cg, from, n);

	return found >= 0 ? found : fit_frags(fs, cg, 0, blocks_of(fs, cg), n);
}

int64_t
ufs_cgmap_find_inode(const struct ufs *fs, const struct ufs_cg *cg)
{
	const uint8_t *map = cg->raw + fs->layout.iusedoff;
	uint32_t n = fs->sb.ipg, start = cg->irotor < n ? cg->irotor : 0;
	size_t i;

	if (cg->cs.nifree <= 0)
		return -1;
	i = bits_find(map, start, n, false);
	if (i == n) {
		i = bits_find(map, 0, start, false);
		if (i == start)
			return -1;
	}
	return (int64_t)i;
}

bool
ufs_cgmap_inode_used(const struct ufs *fs, const struct ufs_cg *cg, uint32_t i)
{
	return bit_is_set(cg->raw + fs->layout.iusedoff, i);
}

void
ufs_cgmap_mark_inode(
    struct ufs *fs, struct ufs_cg *cg, uint32_t i, bool used, bool is_dir)
{
	uint8_t *map = cg->raw + fs->layout.iusedoff;
	int sign = used ? 1 : -1;

	if (used)
		bit_set(map, i);
	else
		bit_clear(map, i);
	/* As the kernel: search on behind the last, or from the freed one. */
	if (used || i < cg->irotor)
		cg->irotor = i;
	cg->cs.nifree -= sign;
	fs->sb.total.nifree -= sign;
	if (is_dir) {
		cg->cs.ndir += sign;
		fs->sb.total.ndir += sign;
	}
	cg->dirty = true;
	fs->sb_dirty = true;
}
