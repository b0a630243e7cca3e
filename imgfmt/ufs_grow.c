/*
 * Growth (formats.md 2.18).
 *
 * A plan is made first, by arithmetic alone; then everything that can fail is
 * done (groups loaded and made, memory, the device's new size); only then the
 * file system changes, in core, where nothing fails any more.  Groups and
 * superblocks reach the device with the next flush, as after any operation.
 *
 * What growth leaves in the image is little: what a resize adds reads as
 * zeroes, which is what fresh inode blocks have to be, and generation numbers
 * are derived when an inode is used first.  So a new group costs its one
 * block, its summary and its backup superblock.
 *
 * A single group can be enlarged, because nothing is addressed relative to a
 * second one: fs_fpg grows, the maps behind the inode map move.  That gains
 * no inodes; so it is done only while they are dense enough (DESIGN: 16 KiB
 * for each).  Otherwise the last group is filled up and others follow.
 */
#include <inttypes.h>
#include <string.h>

#include "bitmap.h"
#include "log.h"
#include "ufs_impl.h"

enum {
	DENSITY_MOST = 16 * 1024,       /* bytes per inode */
	STEP_LEAST = 8 * 1024 * 1024,   /* bytes, of automatic growth */
	INODES_LEAST = 1024,            /* to gain when inodes ran out */
	GROUPS_ROOM = 64 * 1024 * 1024, /* bytes those may span in any case */
};

/* What is to be; fragments. */
struct plan {
	uint64_t size;
	uint32_t fpg, ncg;
};

/* A growth under way: what is made before anything changes. */
struct growth {
	struct ufs_super next; /* the superblock to be */
	struct ufs_cg **cgs;   /* next.ncg pointers; the new groups are set */
	struct ufs_cg *last;   /* the last group that is there already */
	uint8_t *raw;          /* for it, when the groups' size changes */
	uint32_t csfrags, old_csfrags;
	struct ufs_cg *csgroup; /* holds the summaries, when they move */
};

static uint64_t
least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t
most(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t
roundup_to(uint64_t n, uint64_t unit)
{
	return (n + unit - 1) / unit * unit;
}

static uint64_t
cssize_for(const struct ufs_super *sb, uint64_t ncg)
{
	return roundup_to(ncg * sizeof(struct ufs_csum_disk), sb->fsize);
}

/* -- planning ------------------------------------------------------------- */

/* How large a single group may become; it need not be smaller now. */
static uint64_t
single_limit(const struct ufs_super *sb)
{
	uint64_t lo = 0;
	uint64_t hi = ((uint64_t)sb->ipg * DENSITY_MOST >> sb->bshift) + 1;

	/* Blocks; lo is possible, hi is not. */
	hi = least(hi, 8ull * sb->bsize);
	while (hi - lo > 1) {
		uint64_t mid = lo + (hi - lo) / 2;
		uint32_t fpg = (uint32_t)(mid << sb->fragshift);

		if (ufs_cg_bytes(sb, sb->ipg, fpg) <= sb->bsize)
			lo = mid;
		else
			hi = mid;
	}
	return lo << sb->fragshift;
}

/* The least that a new last group has: metadata, summaries, a block. */
static uint64_t
least_group(const struct ufs_super *sb, uint64_t ncg)
{
	return sb->dblkno + sb->frag + (cssize_for(sb, ncg) >> sb->fshift);
}

/* A plan for target fragments, or for as much as is needed to gain any. */
static struct plan
make_plan(const struct ufs_super *sb, uint64_t target, bool want_inode)
{
	struct plan p = {target, sb->fpg, 0};
	uint64_t ncg, rest;

	if (sb->ncg == 1) {
		if (!want_inode)
			p.fpg = (uint32_t)most(
			    p.fpg, least(target, single_limit(sb)));
		p.fpg = (uint32_t)roundup_to(p.fpg, sb->frag);
	}
	ncg = most((target + p.fpg - 1) / p.fpg, sb->ncg);
	rest = target - least(target, (ncg - 1) * p.fpg);
	if (ncg > sb->ncg && rest < least_group(sb, ncg)) {
		ncg--;
		p.size = ncg * p.fpg;
	}
	if (p.size <= sb->size) {
		ncg++;
		p.size = (ncg - 1) * p.fpg + least_group(sb, ncg);
	}
	p.ncg = ncg <= UINT32_MAX ? (uint32_t)ncg : UINT32_MAX;
	return p;
}

static int
judge_plan(const struct ufs_super *sb, const struct plan *p)
{
	uint64_t inodes = (uint64_t)p->ncg * sb->ipg;

	if (inodes > (1ull << 32) - sb->inopb ||
	    (sb->version == 1 && p->size > INT32_MAX) ||
	    p->size > (uint64_t)INT64_MAX >> sb->fshift ||
	    cssize_for(sb, p->ncg) > INT32_MAX)
		return -EFBIG;
	/* Only where an odd size has to be rounded up, and cannot be. */
	if (ufs_cg_bytes(sb, sb->ipg, p->fpg) > sb->bsize)
		return -ENOSPC;
	/* The summaries do not end where their group does (2.12). */
	if (sb->dblkno + (cssize_for(sb, p->ncg) >> sb->fshift) >= p->fpg)
		return -EFBIG;
	return 0;
}

/* -- making --------------------------------------------------------------- */

/* Fragments that files can use, as newfs counts them (formats.md 2.5). */
static int64_t
data_frags(const struct ufs_super *sb)
{
	return (int64_t)sb->size - sb->sblkno -
	    (int64_t)sb->ncg * (sb->dblkno - sb->sblkno) -
	    (sb->cssize >> sb->fshift);
}

static void
make_super(const struct ufs *fs, const struct plan *p, struct growth *g)
{
	const struct ufs_super *sb = &fs->sb;
	struct ufs_super *next = &g->next;

	*next = *sb;
	next->size = p->size;
	next->ncg = p->ncg;
	next->cssize = (uint32_t)cssize_for(sb, p->ncg);
	if (p->fpg != sb->fpg) {
		next->fpg = p->fpg;
		next->cgsize = (uint32_t)roundup_to(
		    ufs_cg_bytes(sb, sb->ipg, p->fpg), sb->fsize);
	}
	g->old_csfrags = sb->cssize >> sb->fshift;
	g->csfrags = next->cssize >> sb->fshift;
	if (g->csfrags != g->old_csfrags)
		next->csaddr = ufs_cgdmin(next, sb->ncg);
	next->dsize =
	    (uint64_t)((int64_t)sb->dsize + data_frags(next) - data_frags(sb));
	next->cgrotor = 0;
}

/* Group cgx, with the summaries in it where they move. */
static int
make_group(struct growth *g, uint32_t cgx, uint32_t taken)
{
	struct ufs_super *next = &g->next;
	struct ufs_cg *cg = calloc(1, sizeof(*cg));

	if (cg == NULL)
		return -ENOMEM;
	g->cgs[cgx] = cg;
	cg->raw = malloc(next->cgsize);
	if (cg->raw == NULL)
		return -ENOMEM;
	ufs_cg_make(next, cgx, taken, cg->raw, &cg->cs);
	cg->cgx = cgx;
	cg->dirty = true;
	cg->nfrags = ufs_cg_frags(next, cgx);
	cg->nblocks = cg->nfrags >> next->fragshift;
	cg->ninited = (uint32_t)least(next->ipg, 2 * next->inopb);
	if (next->version == 1)
		cg->ninited = next->ipg;
	next->total.ndir += cg->cs.ndir;
	next->total.nbfree += cg->cs.nbfree;
	next->total.nifree += cg->cs.nifree;
	next->total.nffree += cg->cs.nffree;
	return 0;
}

static int
make_groups(struct ufs *fs, struct growth *g)
{
	bool moves = g->csfrags != g->old_csfrags;
	int rc = ufs_cg_get(fs, fs->sb.ncg - 1, &g->last);

	if (rc == 0 && moves)
		rc = ufs_cg_get(
		    fs, (uint32_t)(fs->sb.csaddr / fs->sb.fpg), &g->csgroup);
	if (rc < 0)
		return rc;
	g->cgs = calloc(g->next.ncg, sizeof(g->cgs[0]));
	g->raw = calloc(1, g->next.cgsize);
	if (g->cgs == NULL || g->raw == NULL)
		return -ENOMEM;
	for (uint32_t c = fs->sb.ncg; rc == 0 && c < g->next.ncg; c++)
		rc =
		    make_group(g, c, moves && c == fs->sb.ncg ? g->csfrags : 0);
	return rc;
}

static void
release(struct growth *g)
{
	for (uint32_t c = 0; g->cgs != NULL && c < g->next.ncg; c++)
		ufs_cg_free(g->cgs[c]);
	free(g->cgs);
	free(g->raw);
}

/*
 * The device's new size.  What lies between the old end of the file system
 * and that of the device may be anything: it has to read as zeroes, too.
 */
static int
make_room(struct ufs *fs, const struct ufs_super *next)
{
	uint64_t from = fs->sb.size << fs->sb.fshift;
	uint64_t to = next->size << next->fshift;
	uint64_t have = fs->dev->size;
	int rc = 0;

	if (to > have)
		rc = blkdev_resize(fs->dev, to);
	if (rc == 0 && from < least(have, to))
		rc = blkdev_trim(fs->dev, from, least(have, to) - from);
	return rc;
}

/* Summaries that move are copied: groups out of core keep theirs. */
static int
copy_summaries(struct ufs *fs, const struct ufs_super *next)
{
	scoped(freep) uint8_t *sums = NULL;
	size_t len = fs->sb.ncg * sizeof(struct ufs_csum_disk);
	int rc;

	if (next->csaddr == fs->sb.csaddr)
		return 0;
	sums = calloc(1, next->cssize);
	if (sums == NULL)
		return -ENOMEM;
	rc = blkdev_read(
	    fs->dev, ufs_frag_off(&fs->sb, fs->sb.csaddr), sums, len);
	if (rc < 0)
		return rc;
	return blkdev_write(
	    fs->dev, ufs_frag_off(next, next->csaddr), sums, next->cssize);
}

/* -- changing, which cannot fail ------------------------------------------ */

/* The group that was the last one has more fragments now, all free. */
static void
extend_last(struct ufs *fs, struct growth *g)
{
	struct ufs_cg *cg = g->last;
	struct ufs_csum before = cg->cs;
	struct ufs_cg_layout at;
	uint32_t nfrags = ufs_cg_frags(&g->next, cg->cgx);

	ufs_cg_layout(&g->next, &at);
	if (g->next.fpg != fs->sb.fpg) {
		/* Up to the fragment map nothing moves. */
		memcpy(
		    g->raw, cg->raw, at.freeoff + ((size_t)cg->nfrags + 7) / 8);
		free(cg->raw);
		cg->raw = g->raw;
		g->raw = NULL;
	}
	if (nfrags == cg->nfrags && g->next.fpg == fs->sb.fpg)
		return;
	bits_fill(cg->raw + at.freeoff, cg->nfrags, nfrags - cg->nfrags, true);
	ufs_cg_head(&g->next, cg->cgx, cg->raw);
	ufs_cg_recount(&g->next, cg->raw, &cg->cs);
	g->next.total.nbfree += cg->cs.nbfree - before.nbfree;
	g->next.total.nffree += cg->cs.nffree - before.nffree;
	cg->nfrags = nfrags;
	cg->nblocks = nfrags >> fs->sb.fragshift;
	cg->none_n = 0;
	cg->dirty = true;
}

static void
free_old_summaries(struct ufs *fs, const struct growth *g, uint64_t csaddr)
{
	uint64_t base;

	if (g->csgroup == NULL)
		return;
	base = ufs_cgbase(&fs->sb, g->csgroup->cgx);
	for (uint32_t i = 0; i < g->old_csfrags; i++)
		ufs_cgmap_change(
		    fs, g->csgroup, (uint32_t)(csaddr - base) + i, 1, true);
}

static void
change(struct ufs *fs, struct growth *g)
{
	uint64_t csaddr = fs->sb.csaddr;
	struct ufs_cg **cgs = g->cgs;

	extend_last(fs, g);
	memcpy(cgs, fs->cgs, fs->sb.ncg * sizeof(cgs[0]));
	free(fs->cgs);
	fs->cgs = cgs;
	g->cgs = NULL;
	fs->sb = g->next;
	fs->sb.providersize = fs->dev->size >> fs->sb.fshift;
	ufs_cg_layout(&fs->sb, &fs->layout);
	free_old_summaries(fs, g, csaddr);
	fs->sb_dirty = true;
	fs->backups_dirty = true;
}

static int
carry_out(struct ufs *fs, const struct plan *p)
{
	struct growth g = {0};
	int rc = judge_plan(&fs->sb, p);

	if (rc < 0)
		return rc;
	make_super(fs, p, &g);
	rc = make_groups(fs, &g);
	if (rc == 0)
		rc = make_room(fs, &g.next);
	if (rc == 0)
		rc = copy_summaries(fs, &g.next);
	if (rc == 0) {
		log_debug("ufs: grows from %" PRIu64 " to %" PRIu64
			  " bytes, %" PRIu32 " cylinder groups",
		    fs->sb.size << fs->sb.fshift, p->size << fs->sb.fshift,
		    p->ncg);
		change(fs, &g);
	}
	release(&g);
	return rc;
}

/* -- how much ------------------------------------------------------------- */

int
ufs_grow_to(struct ufs *fs, uint64_t bytes)
{
	const struct ufs_super *sb = &fs->sb;
	uint64_t target = bytes >> sb->bshift << sb->fragshift;
	struct plan p;

	if (target <= sb->size)
		return -EINVAL;
	p = make_plan(sb, target, false);
	return carry_out(fs, &p);
}

/* Automatic growth for blocks: an eighth, and what the device has anyway. */
static uint64_t
target_for_blocks(const struct ufs *fs)
{
	const struct ufs_super *sb = &fs->sb;
	uint64_t step = most(sb->size / 8, STEP_LEAST >> sb->fshift);

	return most(sb->size + step, fs->dev->size >> sb->fshift);
}

/*
 * Automatic growth for inodes: enough groups for an eighth more inodes, unless
 * they span too much; a single one is not made larger than needed.
 */
static uint64_t
target_for_inodes(const struct ufs *fs)
{
	const struct ufs_super *sb = &fs->sb;
	uint64_t fpg = roundup_to(sb->fpg, sb->frag);
	uint64_t want = most(ufs_ninodes(sb) / 8, INODES_LEAST);
	uint64_t groups = (want + sb->ipg - 1) / sb->ipg;
	uint64_t span = most(sb->size, GROUPS_ROOM >> sb->fshift);
	uint64_t step = most(sb->size / 8, STEP_LEAST >> sb->fshift);
	uint64_t full = sb->ncg * fpg;

	groups = most(least(groups, span / fpg), 1);
	if (groups > 1)
		return full + groups * fpg;
	return full + least(fpg, most(step, least_group(sb, sb->ncg + 1ull)));
}

int
ufs_grow_some(struct ufs *fs, bool want_inode)
{
	const struct ufs_super *sb = &fs->sb;
	uint64_t limit = most(fs->opt.size_limit, fs->dev->size) >> sb->bshift
		<< sb->fragshift;
	uint64_t target =
	    want_inode ? target_for_inodes(fs) : target_for_blocks(fs);
	struct plan p;
	int rc;

	target = least(target, limit) >> sb->fragshift << sb->fragshift;
	if (target <= sb->size)
		return -ENOSPC;
	p = make_plan(sb, target, want_inode);
	if (p.size > limit || (want_inode && p.ncg == sb->ncg))
		return -ENOSPC;
	rc = carry_out(fs, &p);
	return rc == -EFBIG || rc == -EOPNOTSUPP ? -ENOSPC : rc;
}

int
ufs_grow(struct ufs *fs, uint64_t bytes)
{
	int rc = ufs_change_begin(fs);

	if (rc < 0)
		return rc;
	return ufs_change_end(fs, ufs_grow_to(fs, bytes));
}
