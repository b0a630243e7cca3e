/*
 * Phase 1: every inode, the blocks it holds and its extended attributes
 * (formats.md 2.7, 2.8, 2.10).
 */
#include <inttypes.h>
#include <string.h>

#include "bitmap.h"
#include "ufs_check_impl.h"

enum {
	INODE_CHUNK = 256 * 1024, /* a multiple of any block size */
	DOUBTS_MOST = 10,         /* bad blocks after which a file is left */
	/* Pointers in snapshot files that are no addresses. */
	SNAP_NOCOPY = 1,
	SNAP_OWN = 2,
};

/* What a file turns out to hold. */
struct holding {
	uint64_t frags; /* all in all */
	uint64_t end;   /* behind the last logical block that is there */
	uint64_t leaves;
	unsigned doubts;
};

static void
claim_metadata(struct ufs_fsck *f)
{
	const struct ufs_super *sb = &f->sb;

	for (uint32_t c = 0; c < sb->ncg; c++) {
		uint64_t from = c == 0 ? 0 : ufs_cgsblock(sb, c);

		bits_fill(f->used, from, ufs_cgdmin(sb, c) - from, true);
	}
	bits_fill(f->used, sb->csaddr,
	    (sb->cssize + sb->fsize - 1) >> sb->fshift, true);
}

/* Mark fragments as held by ino; false, said: they cannot be. */
static bool
claim(struct ufs_fsck *f, uint64_t ino, uint64_t fsb, uint32_t nfrags)
{
	size_t i;

	if (!ufs_fsck_range_ok(&f->sb, fsb, nfrags)) {
		ufs_fsck_inode_fault(f, ino,
		    "%" PRIu32 " fragments at %" PRIu64
		    " are no place for data",
		    nfrags, fsb);
		return false;
	}
	i = bits_find(f->used, fsb, fsb + nfrags, true);
	bits_fill(f->used, fsb, nfrags, true);
	if (i == fsb + nfrags)
		return true;
	if (i >= f->sb.csaddr &&
	    (i - f->sb.csaddr) << f->sb.fshift < f->sb.cssize)
		ufs_fsck_inode_fault(
		    f, ino, "fragment %zu belongs to the summary area", i);
	else
		ufs_fsck_inode_fault(
		    f, ino, "fragment %zu has another owner", i);
	return false;
}

static int
doubt(struct holding *h)
{
	return ++h->doubts < DOUBTS_MOST ? 0 : -ECANCELED;
}

static int
hold_data(struct ufs_fsck_walk *w, uint64_t lbn, uint64_t fsb, uint32_t bytes)
{
	const struct ufs_super *sb = &w->f->sb;
	struct holding *h = w->arg;
	uint32_t nfrags = bytes >> sb->fshift;

	h->end = lbn + 1;
	h->leaves++;
	if ((w->d->flags & UFS_FLAG_SNAPSHOT) != 0 &&
	    (fsb == SNAP_NOCOPY || fsb == SNAP_OWN))
		return 0;
	h->frags += nfrags;
	return claim(w->f, w->ino, fsb, nfrags) ? 0 : doubt(h);
}

static int
hold_indirect(struct ufs_fsck_walk *w, uint64_t fsb)
{
	struct holding *h = w->arg;

	h->frags += w->f->sb.frag;
	return claim(w->f, w->ino, fsb, w->f->sb.frag) ? 1 : doubt(h);
}

static void
hold_beyond(struct ufs_fsck_walk *w, uint64_t fsb)
{
	struct holding *h = w->arg;

	h->doubts++;
	ufs_fsck_inode_fault(w->f, w->ino,
	    "indirect block at fragment %" PRIu64
	    " has entries beyond the end of the file",
	    fsb);
}

/* Pointers, counted in the inode's own width, that no block needs. */
static void
judge_unneeded(struct ufs_fsck *f, uint64_t ino, const struct ufs_dinode *d)
{
	const struct ufs_super *sb = &f->sb;
	uint64_t nblocks = d->size / sb->bsize + (d->size % sb->bsize != 0);
	uint64_t lbn = UFS_NDIRECT, span = 1;

	for (unsigned i = 0; i < UFS_NDIRECT; i++)
		if (i >= nblocks && d->db[i] != 0)
			ufs_fsck_inode_fault(f, ino,
			    "direct pointer %u (%" PRIu64
			    ") lies beyond the end of the file",
			    i, d->db[i]);
	for (unsigned i = 0; i < UFS_NINDIRECT; i++) {
		if (lbn >= nblocks && d->ib[i] != 0)
			ufs_fsck_inode_fault(f, ino,
			    "indirect pointer %u (%" PRIu64
			    ") lies beyond the end of the file",
			    i, d->ib[i]);
		span *= sb->nindir;
		lbn += span;
	}
}

/* Inodes without blocks: bytes of the pointers that say nothing are zero. */
static void
judge_inline(struct ufs_fsck *f, uint64_t ino, const struct ufs_dinode *d)
{
	size_t width = f->sb.version == 2 ? 8 : 4;
	size_t len = width * (UFS_NDIRECT + UFS_NINDIRECT);
	size_t from = 0;
	uint32_t type = d->mode & UFS_IFMT;

	if (type == 0120000)
		from = (d->size + width - 1) / width * width;
	else if (d->size != 0)
		ufs_fsck_inode_fault(
		    f, ino, "special file with size %" PRIu64, d->size);
	if (type == 0020000 || type == 0060000) {
		from = width;
		if (d->db[0] == (width == 8 ? UINT64_MAX : UINT32_MAX))
			ufs_fsck_inode_fault(f, ino, "device without a number");
	}
	if (from < len && !bytes_are_zero(d->target + from, len - from))
		ufs_fsck_inode_fault(f, ino, "garbage in its unused pointers");
}

/* One record at off of the attribute area of len bytes: its length, or 0. */
static uint32_t
judge_attribute(struct ufs_fsck *f, uint64_t ino, const uint8_t *area,
    uint32_t off, uint32_t len)
{
	const struct ufs_ea_disk *ea = (const struct ufs_ea_disk *)(area + off);
	uint32_t length = raw32_get(ea->length, f->sb.big);
	uint32_t head = (uint32_t)(sizeof(*ea) + ea->namelen + 7) & ~7u;

	if (length < 8)
		return 0; /* ends the list */
	if (length % 8 != 0 || length > len - off || ea->contentpad > 7 ||
	    head + ea->contentpad > length) {
		ufs_fsck_inode_fault(f, ino,
		    "extended attribute at byte %" PRIu32
		    " has a bad length (%" PRIu32 ")",
		    off, length);
		return 0;
	}
	if (ea->namelen == 0 ||
	    (ea->space != UFS_EA_USER && ea->space != UFS_EA_SYSTEM))
		ufs_fsck_inode_fault(f, ino,
		    "extended attribute at byte %" PRIu32
		    " has no name or no name space",
		    off);
	return length;
}

/* Records are packed and may cross the two blocks' border. */
static int
judge_attributes(struct ufs_fsck *f, uint64_t ino, const struct ufs_dinode *d)
{
	scoped(freep) uint8_t *area = NULL;
	const struct ufs_super *sb = &f->sb;
	uint32_t first = d->extsize < sb->bsize ? d->extsize : sb->bsize;
	uint32_t length, off = 0;
	int r;

	area = malloc(d->extsize);
	if (area == NULL)
		return -ENOMEM;
	r = blkdev_read(f->dev, ufs_frag_off(sb, d->extb[0]), area, first);
	if (r == 0 && d->extsize > first)
		r = blkdev_read(f->dev, ufs_frag_off(sb, d->extb[1]),
		    area + first, d->extsize - first);
	if (r < 0)
		return r;
	do {
		length = d->extsize - off < 8
		    ? 0
		    : judge_attribute(f, ino, area, off, d->extsize);
		off += length;
	} while (length > 0);
	return 0;
}

static int
hold_attributes(struct ufs_fsck *f, uint64_t ino, const struct ufs_dinode *d,
    struct holding *h)
{
	const struct ufs_super *sb = &f->sb;
	unsigned before = h->doubts;

	if (d->extsize > UFS_NEXT * sb->bsize) {
		ufs_fsck_inode_fault(f, ino,
		    "attribute area of %" PRIu32
		    " bytes is larger than two blocks",
		    d->extsize);
		h->doubts++;
		return 0;
	}
	for (unsigned i = 0; i < UFS_NEXT; i++) {
		bool needed = (uint64_t)i * sb->bsize < d->extsize;
		uint32_t nfrags = ufs_blksize(sb, d->extsize, i) >> sb->fshift;

		if (needed != (d->extb[i] != 0)) {
			ufs_fsck_inode_fault(f, ino,
			    "attribute pointer %u is %s", i,
			    needed ? "missing" : "not needed");
			h->doubts++;
		} else if (needed) {
			h->frags += nfrags;
			h->doubts += !claim(f, ino, d->extb[i], nfrags);
		}
	}
	if (d->extsize == 0 || h->doubts != before)
		return 0;
	return judge_attributes(f, ino, d);
}

static bool
size_is_possible(const struct ufs_super *sb, const struct ufs_dinode *d)
{
	uint64_t most = sb->maxfilesize;

	if (sb->version == 1 && most > 0x40000000ull * sb->bsize - 1)
		most = 0x40000000ull * sb->bsize - 1;
	if ((d->mode & UFS_IFMT) == UFS_IFDIR && most > INT32_MAX)
		most = INT32_MAX;
	return d->size <= most;
}

/* Blocks against size and di_blocks, once all of them are known. */
static void
judge_holding(struct ufs_fsck *f, uint64_t ino, const struct ufs_dinode *d,
    const struct holding *h)
{
	const struct ufs_super *sb = &f->sb;
	uint64_t nblocks = d->size / sb->bsize + (d->size % sb->bsize != 0);
	uint64_t held = h->frags << (sb->fshift - 9);

	if (d->blocks != held)
		ufs_fsck_inode_fault(f, ino,
		    "di_blocks is %" PRIu64 ", must be %" PRIu64, d->blocks,
		    held);
	if (ufs_fsck_has_blocks(sb, d) && h->end < nblocks)
		ufs_fsck_inode_fault(
		    f, ino, "its size of %" PRIu64 " ends in a hole", d->size);
}

static int
note_directory(struct ufs_fsck *f, uint64_t ino, const struct ufs_dinode *d,
    const struct holding *h)
{
	const struct ufs_super *sb = &f->sb;
	uint64_t nblocks = d->size / sb->bsize + (d->size % sb->bsize != 0);
	struct ufs_fsck_dir dir = {.ino = ino, .damaged = h->doubts > 0};

	if (d->size == 0 && f->inodes[ino].orphan)
		return 0; /* removed, but still open */
	if (d->size == 0 || d->size % UFS_DIRBLK != 0) {
		ufs_fsck_inode_fault(
		    f, ino, "size %" PRIu64 " is no multiple of 512", d->size);
		dir.damaged = true;
	} else if (h->doubts == 0 && h->leaves < nblocks) {
		if (h->end == nblocks)
			ufs_fsck_inode_fault(f, ino, "has a hole");
		dir.damaged = true;
	}
	if (f->ndirs == f->dirs_room) {
		size_t room = f->dirs_room * 2 + 64;
		void *dirs = realloc(f->dirs, room * sizeof(f->dirs[0]));

		if (dirs == NULL)
			return -ENOMEM;
		f->dirs = dirs;
		f->dirs_room = room;
	}
	f->names_unknown |= dir.damaged;
	f->dirs[f->ndirs++] = dir;
	return 0;
}

static int
judge_blocks(struct ufs_fsck *f, uint64_t ino, const struct ufs_dinode *d,
    struct holding *h)
{
	struct ufs_fsck_walk w = {
	    .f = f,
	    .ino = ino,
	    .d = d,
	    .data = hold_data,
	    .enter = hold_indirect,
	    .beyond = hold_beyond,
	    .arg = h,
	};
	int r;

	if (!size_is_possible(&f->sb, d)) {
		ufs_fsck_inode_fault(
		    f, ino, "impossible size %" PRIu64, d->size);
		h->doubts++;
		return 0;
	}
	if (!ufs_fsck_has_blocks(&f->sb, d)) {
		judge_inline(f, ino, d);
		return 0;
	}
	judge_unneeded(f, ino, d);
	r = ufs_fsck_walk(&w);
	return r == -ECANCELED ? 0 : r;
}

static int
judge_allocated(struct ufs_fsck *f, uint64_t ino, const struct ufs_dinode *d)
{
	struct ufs_fsck_inode *known = &f->inodes[ino];
	struct holding h = {0};
	unsigned type = known->type;
	int r;

	known->nlink = (uint16_t)d->nlink;
	/* FIFO, CHR, DIR, BLK, REG, LNK, SOCK */
	if ((1u << type & 0x1556u) == 0) {
		ufs_fsck_inode_fault(
		    f, ino, "unknown type in mode 0%" PRIo32, d->mode);
		known->type = UFS_DT_BAD;
		return 0;
	}
	r = judge_blocks(f, ino, d, &h);
	if (r == 0 && f->sb.version == 2)
		r = hold_attributes(f, ino, d, &h);
	if (r == 0 && h.doubts == 0)
		judge_holding(f, ino, d, &h);
	if (r == 0 && type == UFS_DT_DIR)
		r = note_directory(f, ino, d, &h);
	return r;
}

static int
judge_inode(struct ufs_fsck *f, uint64_t ino, const uint8_t *raw)
{
	const struct ufs_super *sb = &f->sb;
	size_t pointers = sb->version == 2 ? 120 : 60;
	struct ufs_dinode d;

	if (ino < UFS_ROOT)
		return 0;
	ufs_dinode_decode(sb, raw, &d);
	if ((d.mode & UFS_IFMT) == 0) {
		if (d.mode != 0 || d.size != 0 ||
		    !bytes_are_zero(d.target, pointers))
			ufs_fsck_inode_fault(f, ino, "free but not empty");
		return 0;
	}
	f->inodes[ino].type = (uint8_t)(d.mode >> 12 & 15);
	if (!ufs_dinode_hash_ok(sb, raw))
		ufs_fsck_inode_fault(f, ino,
		    "check hash is wrong (at byte %" PRIu64 ")",
		    ufs_ino_off(sb, ino));
	return judge_allocated(f, ino, &d);
}

/* How many inodes of group cgx have ever been written (formats.md 2.8). */
static int
initialised(struct ufs_fsck *f, uint32_t cgx, uint32_t *n)
{
	const struct ufs_super *sb = &f->sb;
	struct ufs_cg_disk cg;
	uint32_t inited;
	int r;

	*n = sb->ipg;
	if (sb->version == 1)
		return 0;
	r = blkdev_read(
	    f->dev, ufs_frag_off(sb, ufs_cgtod(sb, cgx)), &cg, sizeof(cg));
	if (r < 0)
		return r;
	inited = raw32_get(cg.initediblk, sb->big);
	if (raw32_get(cg.magic, sb->big) == UFS_CG_MAGIC && inited < sb->ipg)
		*n = inited;
	return 0;
}

static int
judge_group_inodes(struct ufs_fsck *f, uint32_t cgx, uint8_t *buf)
{
	const struct ufs_super *sb = &f->sb;
	uint64_t first = (uint64_t)cgx * sb->ipg;
	uint32_t most = INODE_CHUNK / sb->dinode_size;
	uint32_t n;
	int r = initialised(f, cgx, &n);

	for (uint64_t i = 0; r == 0 && i < n; i += most) {
		uint64_t len = n - i < most ? n - i : most;

		r = ufs_fsck_tell(f, first + i);
		if (r == 0)
			r = blkdev_read(f->dev, ufs_ino_off(sb, first + i), buf,
			    len * sb->dinode_size);
		for (uint64_t k = 0; r == 0 && k < len; k++)
			r = judge_inode(
			    f, first + i + k, buf + k * sb->dinode_size);
	}
	return r;
}

int
ufs_fsck_inodes(struct ufs_fsck *f)
{
	scoped(freep) uint8_t *buf = malloc(INODE_CHUNK);
	int r = 0;

	if (buf == NULL)
		return -ENOMEM;
	claim_metadata(f);
	for (uint32_t c = 0; r == 0 && c < f->sb.ncg; c++)
		r = judge_group_inodes(f, c, buf);
	return r;
}
