/* The verifier's own way from an inode to its blocks (formats.md 2.7). */
#include "ufs_check_impl.h"

bool
ufs_fsck_has_blocks(const struct ufs_super *sb, const struct ufs_dinode *d)
{
	switch (d->mode & UFS_IFMT) {
	case 0040000:
	case 0100000:
		return true;
	case 0120000:
		return d->size >= sb->maxsymlinklen;
	default:
		return false;
	}
}

bool
ufs_fsck_range_ok(const struct ufs_super *sb, uint64_t fsb, uint32_t nfrags)
{
	uint64_t end = fsb + nfrags;
	uint32_t cgx;

	if (fsb == 0 || fsb >= sb->size || nfrags > sb->size - fsb)
		return false;
	if (fsb % sb->frag + nfrags > sb->frag)
		return false;
	cgx = (uint32_t)(fsb / sb->fpg);
	if (fsb < ufs_cgdmin(sb, cgx))
		return cgx != 0 && end <= ufs_cgsblock(sb, cgx);
	return end <= ufs_cgbase(sb, cgx) + sb->fpg;
}

static uint64_t
entry_of(const struct ufs_super *sb, const uint8_t *block, uint32_t i)
{
	return sb->version == 2 ? raw64_get(((const raw64 *)block)[i], sb->big)
				: raw32_get(((const raw32 *)block)[i], sb->big);
}

static int
leaf(struct ufs_fsck_walk *w, uint64_t lbn, uint64_t fsb)
{
	if (fsb == 0)
		return 0;
	return w->data(w, lbn, fsb, ufs_blksize(&w->f->sb, w->d->size, lbn));
}

/*
 * Entries of the indirect block at fsb, whose first one maps lbn; each maps
 * span blocks.  Three levels deep at most.
 */
static int
indirect(struct ufs_fsck_walk *w, int level, uint64_t fsb, uint64_t lbn)
{
	const struct ufs_super *sb = &w->f->sb;
	uint8_t *block = w->f->indirect[level - 1];
	uint64_t span = 1;
	bool told = false;
	int r;

	r = w->enter(w, fsb);
	if (r <= 0)
		return r;
	r = blkdev_read(w->f->dev, ufs_frag_off(sb, fsb), block, sb->bsize);
	for (int i = 1; i < level; i++)
		span *= sb->nindir;
	for (uint32_t i = 0; r >= 0 && i < sb->nindir; i++, lbn += span) {
		uint64_t to = entry_of(sb, block, i);

		if (to == 0)
			continue;
		if (lbn < w->nblocks) {
			r = level == 1 ? leaf(w, lbn, to)
				       : indirect(w, level - 1, to, lbn);
		} else if (!told) {
			w->beyond(w, fsb);
			told = true;
		}
	}
	return r < 0 ? r : 0;
}

int
ufs_fsck_walk(struct ufs_fsck_walk *w)
{
	const struct ufs_super *sb = &w->f->sb;
	uint64_t lbn = UFS_NDIRECT, span = 1;
	int r = 0;

	w->nblocks = w->d->size / sb->bsize + (w->d->size % sb->bsize != 0);
	for (uint64_t i = 0; r >= 0 && i < UFS_NDIRECT && i < w->nblocks; i++)
		r = leaf(w, i, w->d->db[i]);
	for (int i = 0; r >= 0 && i < UFS_NINDIRECT; i++) {
		span *= sb->nindir;
		if (lbn < w->nblocks && w->d->ib[i] != 0)
			r = indirect(w, i + 1, w->d->ib[i], lbn);
		lbn += span;
	}
	return r < 0 ? r : 0;
}

int
ufs_fsck_enter_any(struct ufs_fsck_walk *w, uint64_t fsb)
{
	(void)w;
	(void)fsb;
	return 1;
}

void
ufs_fsck_pass_beyond(struct ufs_fsck_walk *w, uint64_t fsb)
{
	(void)w;
	(void)fsb;
}

int
ufs_fsck_read_inode(struct ufs_fsck *f, uint64_t ino, struct ufs_dinode *out)
{
	uint8_t raw[sizeof(struct ufs2_dinode_disk)];
	int r;

	r = blkdev_read(
	    f->dev, ufs_ino_off(&f->sb, ino), raw, f->sb.dinode_size);
	if (r == 0)
		ufs_dinode_decode(&f->sb, raw, out);
	return r;
}
