/*
 * Choice among cylinder groups (formats.md 2.17).
 *
 * The kernel spreads files over a disk to keep heads still; we keep a change
 * small, because what counts is how many clusters of the image it dirties:
 *
 *   - data goes right behind the block before it, else behind what its group
 *     gave out last (cg_rotor), and cg_rotor steps back to what is freed: the
 *     clusters touched already are used first;
 *   - directories stay in their parent's group, too;
 *   - when a group is full the next one is taken, in order, and when all are
 *     the file system grows.
 *
 * Nothing here trusts a map: what it gives out is checked against the group's
 * metadata, what it takes back must be in use.  A group that is damaged, or
 * found to contradict itself, gives out nothing more; the next one is asked.
 */
#include "log.h"
#include "ufs_impl.h"

enum { FOLLOW_BACK = 3 }; /* blocks: see ufs_follow */

/* What a group is asked for. */
struct request {
	bool inode;
	uint32_t nfrags;
	uint64_t hint;
	uint32_t cgx; /* where to begin */
};

/* Whether cs promises what is asked for; it may still not be there. */
static bool
promises(
    const struct ufs *fs, const struct ufs_csum *cs, const struct request *want)
{
	if (want->inode)
		return cs->nifree > 0;
	return cs->nbfree > 0 ||
	    (want->nfrags < fs->sb.frag && cs->nffree >= want->nfrags);
}

/* The counts of a group, without loading it. */
static int
counts_of(struct ufs *fs, uint32_t cgx, struct ufs_csum *out)
{
	struct ufs_csum_disk disk;
	int rc;

	if (fs->cgs[cgx] != NULL) {
		*out = fs->cgs[cgx]->cs;
		return 0;
	}
	rc = blkdev_read(fs->dev,
	    ufs_frag_off(&fs->sb, fs->sb.csaddr) + cgx * sizeof(disk), &disk,
	    sizeof(disk));
	if (rc < 0)
		return rc;
	*out = (struct ufs_csum){
	    .ndir = (int32_t)raw32_get(disk.ndir, fs->sb.big),
	    .nbfree = (int32_t)raw32_get(disk.nbfree, fs->sb.big),
	    .nifree = (int32_t)raw32_get(disk.nifree, fs->sb.big),
	    .nffree = (int32_t)raw32_get(disk.nffree, fs->sb.big),
	};
	return 0;
}

/* Where tails may lie that follow: few blocks before what was given last. */
static uint32_t
followed(const struct ufs *fs, const struct ufs_cg *cg)
{
	uint32_t last = cg->rotor > cg->frotor ? cg->rotor : cg->frotor;
	uint32_t back = FOLLOW_BACK << fs->sb.fragshift;

	return last > back ? last - back : 0;
}

/* The place in cg that is best for want: a fragment's index, or -1. */
static int64_t
place_in(const struct ufs *fs, struct ufs_cg *cg, const struct request *want)
{
	uint64_t base = ufs_cgbase(&fs->sb, cg->cgx);
	bool hinted = want->hint >= base && want->hint - base < cg->nfrags;
	uint32_t near = hinted ? (uint32_t)(want->hint - base) : cg->rotor;
	int64_t at;

	if (want->nfrags == fs->sb.frag)
		return ufs_cgmap_find_block(fs, cg, near);
	/* Tails lie together, so that few clusters are touched for them. */
	if (!fs->follow)
		at = ufs_cgmap_find_frags(fs, cg, cg->frotor, want->nfrags);
	else
		at = ufs_cgmap_find_frags_near(
		    fs, cg, followed(fs, cg), want->nfrags);
	if (at < 0)
		at = ufs_cgmap_find_block(fs, cg, near);
	return at;
}

/* Take fragments from group cgx: 1, 0 when it has none. */
static int
take_frags(
    struct ufs *fs, uint32_t cgx, const struct request *want, uint64_t *fsb)
{
	struct ufs_cg *cg;
	int64_t at;
	int rc = ufs_cg_get(fs, cgx, &cg);

	if (rc < 0)
		return rc;
	at = place_in(fs, cg, want);
	if (at < 0)
		return 0;
	*fsb = ufs_cgbase(&fs->sb, cgx) + (uint64_t)at;
	if (!ufs_data_range_ok(&fs->sb, *fsb, want->nfrags)) {
		cg->exhausted = true;
		log_error("ufs: cylinder group %u: metadata at fragment %llu "
			  "is marked \"free\", byte %llu",
		    cgx, (unsigned long long)*fsb,
		    (unsigned long long)ufs_frag_off(&fs->sb, *fsb));
		return -ECORRUPT;
	}
	ufs_cgmap_change(fs, cg, (uint32_t)at, want->nfrags, false);
	fs->last_cgx = cgx;
	if (want->nfrags == fs->sb.frag)
		cg->rotor = (uint32_t)at;
	else
		cg->frotor = (uint32_t)at;
	return 1;
}

/* Prepare inodes up to index i of a group of UFS2 for use (trap 31). */
static int
init_inodes(struct ufs *fs, struct ufs_cg *cg, uint32_t i)
{
	uint64_t at = ufs_frag_off(&fs->sb, ufs_cgimin(&fs->sb, cg->cgx));
	uint32_t inopb = fs->sb.inopb;
	int rc;

	if (fs->sb.version == 1)
		return 0;
	while (cg->ninited < fs->sb.ipg && i + inopb > cg->ninited) {
		rc = ufs_zero(fs, at + (uint64_t)cg->ninited * 256,
		    (uint64_t)inopb * 256);
		if (rc < 0)
			return rc;
		cg->ninited += inopb;
		cg->dirty = true;
		fs->sb_dirty = true;
	}
	return 0;
}

/*
 * The generation number after old: never 0, and for a slot that was never
 * used one that depends only on the file system and the number.
 */
static uint32_t
next_gen(const struct ufs *fs, uint64_t ino, uint32_t old)
{
	uint32_t gen = old + 1;

	if (old == 0)
		gen =
		    ((uint32_t)ino ^ fs->sb.id[0]) * 2654435761u ^ fs->sb.id[1];
	return gen != 0 ? gen : 1;
}

/* Leave a free inode: zeroes, but for its generation number. */
static int
clear_dinode(struct ufs *fs, uint64_t ino, uint32_t gen)
{
	struct ufs_dinode blank = {.gen = gen};
	uint8_t raw[256] = {0};

	ufs_dinode_encode(&fs->sb, &blank, raw);
	return blkdev_write(
	    fs->dev, ufs_ino_off(&fs->sb, ino), raw, fs->sb.dinode_size);
}

/* Take an inode from group cgx: 1, 0 when it has none. */
static int
take_inode(struct ufs *fs, uint32_t cgx, bool is_dir, uint64_t *ino)
{
	struct ufs_dinode old;
	uint8_t raw[256];
	struct ufs_cg *cg;
	int64_t i;
	int rc = ufs_cg_get(fs, cgx, &cg);

	if (rc < 0)
		return rc;
	i = ufs_cgmap_find_inode(fs, cg);
	if (i < 0)
		return 0;
	*ino = (uint64_t)cgx * fs->sb.ipg + (uint64_t)i;
	rc = init_inodes(fs, cg, (uint32_t)i);
	if (rc == 0)
		rc = blkdev_read(fs->dev, ufs_ino_off(&fs->sb, *ino), raw,
		    fs->sb.dinode_size);
	if (rc < 0)
		return rc;
	ufs_dinode_decode(&fs->sb, raw, &old);
	if (old.mode != 0 || *ino <= UFS_WHITEOUT_INO) {
		cg->exhausted = true;
		log_error("ufs: inode %llu is in use but marked \"free\", "
			  "byte %llu",
		    (unsigned long long)*ino,
		    (unsigned long long)ufs_ino_off(&fs->sb, *ino));
		return -ECORRUPT;
	}
	fs->last_gen = next_gen(fs, *ino, old.gen);
	rc = clear_dinode(fs, *ino, fs->last_gen);
	if (rc < 0)
		return rc;
	ufs_cgmap_mark_inode(fs, cg, (uint32_t)i, true, is_dir);
	return 1;
}

/* Take it from group cgx: 1, 0 when it has none. */
static int
take_from(struct ufs *fs, uint32_t cgx, const struct request *want, bool is_dir,
    uint64_t *out)
{
	const struct ufs_cg *cg = fs->cgs[cgx];
	struct ufs_csum cs;
	int rc;

	if (cg != NULL && (cg->bad || cg->exhausted))
		return -ECORRUPT; /* said before */
	rc = counts_of(fs, cgx, &cs);
	if (rc < 0 || !promises(fs, &cs, want))
		return rc;
	return want->inode ? take_inode(fs, cgx, is_dir, out)
			   : take_frags(fs, cgx, want, out);
}

/*
 * One round over all groups: 1, or 0 when none has it.  Where damaged ones
 * were passed over, -ECORRUPT instead of 0.
 */
static int
take_anywhere(
    struct ufs *fs, const struct request *want, bool is_dir, uint64_t *out)
{
	int damaged = 0;

	for (uint32_t i = 0; i < fs->sb.ncg; i++) {
		uint32_t cgx = (want->cgx + i) % fs->sb.ncg;
		int rc = take_from(fs, cgx, want, is_dir, out);

		if (rc == -ECORRUPT)
			damaged = rc;
		else if (rc != 0)
			return rc;
	}
	return damaged;
}

static int
take(struct ufs *fs, const struct request *want, bool is_dir, uint64_t *out)
{
	int rc = take_anywhere(fs, want, is_dir, out), grown;

	if (rc != 0 && rc != -ECORRUPT)
		return rc < 0 ? rc : 0;
	grown = ufs_grow_some(fs, want->inode);
	if (grown == 0)
		rc = take_anywhere(fs, want, is_dir, out);
	else if (rc == 0 || grown != -ENOSPC)
		rc = grown;
	if (rc == 0)
		rc = -ENOSPC;
	return rc < 0 ? rc : 0;
}

int
ufs_alloc_frags(struct ufs *fs, struct ufs_node *node, uint64_t hint,
    uint32_t nfrags, uint64_t *fsb)
{
	struct request want = {.nfrags = nfrags, .hint = hint};

	if (hint > 0 && hint < fs->sb.size)
		want.cgx = (uint32_t)(hint / fs->sb.fpg);
	else if (fs->follow)
		want.cgx = fs->last_cgx;
	else
		want.cgx = (uint32_t)(node->ino / fs->sb.ipg);
	return take(fs, &want, false, fsb);
}

void
ufs_follow(struct ufs *fs, bool on)
{
	pthread_rwlock_wrlock(&fs->lock);
	fs->follow = on;
	fs->last_cgx = 0;
	pthread_rwlock_unlock(&fs->lock);
}

int
ufs_alloc_inode(
    struct ufs *fs, struct ufs_node *dir, uint32_t mode, uint64_t *ino)
{
	struct request want = {.inode = true};

	want.cgx = (uint32_t)(dir->ino / fs->sb.ipg);
	return take(fs, &want, (mode & 0170000) == 0040000, ino);
}

/* Whether n fragments at fsb, within one block, are marked as used. */
static int
check_used(struct ufs *fs, const struct ufs_cg *cg, uint64_t fsb, uint32_t n,
    const char *done)
{
	uint32_t first = (uint32_t)(fsb % fs->sb.fpg);

	if (ufs_data_range_ok(&fs->sb, fsb, n) &&
	    ufs_cgmap_all(fs, cg, first, n, false))
		return 0;
	log_error("ufs: block at byte %llu is %s but not \"used\"",
	    (unsigned long long)ufs_frag_off(&fs->sb, fsb), done);
	return -ECORRUPT;
}

int
ufs_extend_frags(struct ufs *fs, uint64_t fsb, uint32_t have, uint32_t want)
{
	uint32_t cgx = (uint32_t)(fsb / fs->sb.fpg);
	uint32_t first = (uint32_t)(fsb % fs->sb.fpg) + have;
	uint32_t more = want - have;
	struct ufs_cg *cg;
	int rc = ufs_cg_get(fs, cgx, &cg);

	/* Who cannot extend it moves it, and frees it then. */
	if (rc == 0)
		rc = check_used(fs, cg, fsb, have, "extended");
	if (rc < 0)
		return rc;
	if ((fsb & (fs->sb.frag - 1)) + want > fs->sb.frag)
		return 0;
	if (first >= cg->nfrags || more > cg->nfrags - first ||
	    !ufs_cgmap_all(fs, cg, first, more, true))
		return 0;
	ufs_cgmap_change(fs, cg, first, more, false);
	return 1;
}

/* Free n fragments within one block. */
static int
free_in_block(struct ufs *fs, uint64_t fsb, uint32_t n)
{
	uint32_t cgx = (uint32_t)(fsb / fs->sb.fpg);
	uint32_t first = (uint32_t)(fsb % fs->sb.fpg);
	struct ufs_cg *cg;
	int rc = ufs_cg_get(fs, cgx, &cg);

	if (rc == 0)
		rc = check_used(fs, cg, fsb, n, "freed");
	if (rc < 0)
		return rc;
	ufs_cgmap_change(fs, cg, first, n, true);
	if (first < cg->rotor &&
	    ufs_cgmap_block(fs, cg, first >> fs->sb.fragshift) ==
		(1u << fs->sb.frag) - 1)
		cg->rotor = first & ~(fs->sb.frag - 1);
	return blkdev_trim(
	    fs->dev, ufs_frag_off(&fs->sb, fsb), (uint64_t)n << fs->sb.fshift);
}

int
ufs_free_frags(struct ufs *fs, uint64_t fsb, uint32_t nfrags)
{
	int first_rc = 0;

	while (nfrags > 0) {
		uint32_t n = nfrags < fs->sb.frag ? nfrags : fs->sb.frag;
		int rc = free_in_block(fs, fsb, n);

		if (first_rc == 0)
			first_rc = rc;
		fsb += n;
		nfrags -= n;
	}
	return first_rc;
}

int
ufs_free_inode(struct ufs *fs, uint64_t ino, bool was_dir)
{
	uint32_t i = (uint32_t)(ino % fs->sb.ipg);
	struct ufs_dinode old;
	uint8_t raw[256];
	struct ufs_cg *cg;
	int rc = ufs_cg_get(fs, (uint32_t)(ino / fs->sb.ipg), &cg);

	if (rc == 0)
		rc = blkdev_read(fs->dev, ufs_ino_off(&fs->sb, ino), raw,
		    fs->sb.dinode_size);
	if (rc < 0)
		return rc;
	ufs_dinode_decode(&fs->sb, raw, &old);
	rc = clear_dinode(fs, ino, old.gen);
	if (rc < 0)
		return rc;
	if (ufs_cgmap_inode_used(fs, cg, i))
		ufs_cgmap_mark_inode(fs, cg, i, false, was_dir);
	return 0;
}
