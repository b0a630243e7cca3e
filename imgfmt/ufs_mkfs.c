/*
 * ufs_mkfs: an empty file system as newfs of FreeBSD 13.2 would accept it
 * (formats.md 2.5, 2.12, 2.15).  The geometry is worked out in a struct
 * ufs_super, written into a raw superblock, and decoded again: what the
 * decoder lets pass is what gets made.  The device is trimmed first, so that
 * only what is not zero needs writing.
 */
#include <inttypes.h>
#include <string.h>

#include "bitmap.h"
#include "crc32c.h"
#include "log.h"
#include "ufs_impl.h"

enum {
	DEFAULT_BSIZE = 32768,
	DEFAULT_FSIZE = 4096,
	CONTIG_BYTES = 128 * 1024, /* that a transfer is meant to have */
};

static bool
is_power_of_2(uint32_t n)
{
	return n != 0 && (n & (n - 1)) == 0;
}

static uint32_t
log2_of(uint32_t n)
{
	return 31 - (uint32_t)__builtin_clz(n);
}

static uint64_t
roundup_to(uint64_t n, uint64_t unit)
{
	return (n + unit - 1) / unit * unit;
}

/* Block and fragment size that the caller asks for, or defaults. */
static void
choose_sizes(const struct ufs_mkfs *how, struct ufs_super *sb)
{
	sb->version = how->version;
	sb->big = how->big_endian;
	sb->minfree = how->minfree;
	sb->bsize = how->block_size ? how->block_size : DEFAULT_BSIZE;
	sb->fsize = how->frag_size;
	if (sb->fsize == 0)
		sb->fsize = DEFAULT_FSIZE;
	if (how->frag_size == 0 && sb->fsize < sb->bsize / UFS_MAX_FRAG)
		sb->fsize = sb->bsize / UFS_MAX_FRAG;
}

static int
judge_sizes(const struct ufs_super *sb)
{
	if (sb->version != 1 && sb->version != 2) {
		log_error("no such version of UFS: %d", sb->version);
		return -EINVAL;
	}
	if (!is_power_of_2(sb->bsize) || sb->bsize < UFS_MIN_BSIZE ||
	    sb->bsize > UFS_MAX_BSIZE) {
		log_error("block size %" PRIu32
			  ": must be a power of 2 in 4096..65536",
		    sb->bsize);
		return -EINVAL;
	}
	if (!is_power_of_2(sb->fsize) || sb->fsize < 512 ||
	    sb->fsize > sb->bsize || sb->bsize / sb->fsize > UFS_MAX_FRAG) {
		log_error("fragment size %" PRIu32
			  ": must be 1, 1/2, 1/4 or 1/8 of a block, and "
			  "512 or more",
		    sb->fsize);
		return -EINVAL;
	}
	if (sb->minfree > 99) {
		log_error("minfree %" PRIu32 ": must be 0..99", sb->minfree);
		return -EINVAL;
	}
	return 0;
}

static void
choose_layout(struct ufs_super *sb)
{
	uint64_t area;

	sb->loc = sb->version == 2 ? 65536 : 8192;
	sb->frag = sb->bsize / sb->fsize;
	sb->bshift = log2_of(sb->bsize);
	sb->fshift = log2_of(sb->fsize);
	sb->fragshift = log2_of(sb->frag);
	sb->dinode_size = sb->version == 2 ? 256 : 128;
	sb->inopb = sb->bsize / sb->dinode_size;
	sb->nindir = sb->bsize / (sb->version == 2 ? 8 : 4);
	area = roundup_to(
	    roundup_to(UFS_SBLOCK_SIZE, sb->fsize) >> sb->fshift, sb->frag);
	sb->sblkno = (uint32_t)roundup_to(
	    roundup_to(sb->loc + UFS_SBLOCK_SIZE, sb->fsize) >> sb->fshift,
	    sb->frag);
	sb->cblkno = sb->sblkno + (uint32_t)area;
	sb->iblkno = sb->cblkno + sb->frag;
	sb->sbsize =
	    (uint32_t)roundup_to(sizeof(struct ufs_super_disk), sb->fsize);
	if (sb->sbsize > UFS_SBLOCK_SIZE)
		sb->sbsize = UFS_SBLOCK_SIZE;
	sb->maxcontig = sb->bsize < CONTIG_BYTES ? CONTIG_BYTES / sb->bsize : 1;
	if (sb->maxcontig > 1)
		sb->contigsumsize = sb->maxcontig < UFS_CONTIG_MAX
		    ? sb->maxcontig
		    : UFS_CONTIG_MAX;
	sb->cgmask = UINT32_MAX;
	sb->old_cpg = sb->version == 1;
	sb->old_nrpos = sb->version == 1;
}

/* Inodes for a group of fpg fragments. */
static uint64_t
inodes_for(const struct ufs_super *sb, uint64_t fpg, uint32_t density)
{
	uint64_t n = ((fpg << sb->fshift) + density - 1) / density;

	return roundup_to(n > 0 ? n : 1, sb->inopb);
}

static bool
group_is_possible(const struct ufs_super *sb, uint64_t fpg, uint32_t density)
{
	uint64_t ipg = inodes_for(sb, fpg, density);

	if (fpg > INT32_MAX || ipg > (sb->version == 1 ? INT16_MAX : INT32_MAX))
		return false;
	return ufs_cg_bytes(sb, (uint32_t)ipg, (uint32_t)fpg) <= sb->bsize;
}

/* The largest group that is possible, in fragments: whole blocks. */
static uint64_t
largest_group(const struct ufs_super *sb, uint32_t density)
{
	uint64_t lo = 0, hi = 8ull * sb->bsize; /* blocks; a bit a fragment */

	while (hi - lo > 1) {
		uint64_t mid = lo + (hi - lo) / 2;

		if (group_is_possible(sb, mid << sb->fragshift, density))
			lo = mid;
		else
			hi = mid;
	}
	return lo << sb->fragshift;
}

/* The last group has room for a block of data, or is given up. */
static int
choose_end(struct ufs_super *sb)
{
	uint64_t rest = sb->size - (uint64_t)(sb->ncg - 1) * sb->fpg;

	if (rest < sb->dblkno + sb->frag && sb->ncg > 1) {
		sb->ncg--;
		sb->size = (uint64_t)sb->ncg * sb->fpg;
	}
	sb->cssize = (uint32_t)roundup_to(sb->ncg * 16ull, sb->fsize);
	sb->csaddr = sb->dblkno;
	sb->dsize = sb->size - sb->sblkno -
	    (uint64_t)sb->ncg * (sb->dblkno - sb->sblkno) -
	    (sb->cssize >> sb->fshift);
	rest = ufs_cg_frags(sb, 0);
	/* Summaries, the root directory, and the end of 2.12. */
	if (sb->dblkno + (sb->cssize >> sb->fshift) + sb->frag > rest) {
		log_error("no room: %" PRIu64 " bytes for a group of the file "
			  "system, which needs more for its own data",
		    rest << sb->fshift);
		return -ENOSPC;
	}
	return 0;
}

static int
choose_groups(
    const struct ufs_mkfs *how, uint64_t dev_size, struct ufs_super *sb)
{
	uint32_t density =
	    how->bytes_per_inode ? how->bytes_per_inode : 2 * sb->fsize;
	uint64_t most, ncg, fpg;

	if (density < 2 * sb->dinode_size) {
		log_error("%" PRIu32 " bytes per inode: must be %" PRIu32
			  " or more",
		    density, 2 * sb->dinode_size);
		return -EINVAL;
	}
	most = largest_group(sb, density);
	sb->size = dev_size >> sb->bshift << sb->fragshift;
	sb->providersize = dev_size >> sb->fshift;
	if (sb->size < 8 * sb->frag || most == 0) {
		log_error("no room: %" PRIu64
			  " bytes for a file system, 8 blocks are the least",
		    dev_size);
		return -ENOSPC;
	}
	ncg = how->ncg ? how->ncg : (sb->size + most - 1) / most;
	fpg = roundup_to((sb->size + ncg - 1) / ncg, sb->frag);
	if (fpg > most || ncg > sb->size || fpg < 3 * sb->frag) {
		log_error("%" PRIu64 " cylinder groups: impossible for %" PRIu64
			  " bytes",
		    ncg, dev_size);
		return -EINVAL;
	}
	sb->fpg = (uint32_t)fpg;
	sb->ipg = (uint32_t)inodes_for(sb, fpg, density);
	sb->ncg = (uint32_t)((sb->size + fpg - 1) / fpg);
	sb->dblkno = sb->iblkno +
	    (uint32_t)(((uint64_t)sb->ipg * sb->dinode_size) >> sb->fshift);
	sb->cgsize =
	    (uint32_t)roundup_to(ufs_cg_bytes(sb, sb->ipg, sb->fpg), sb->fsize);
	if (sb->version == 1 && sb->size > INT32_MAX) {
		log_error("%" PRIu64 " bytes: too large for UFS1", dev_size);
		return -EINVAL;
	}
	return choose_end(sb);
}

static void
put_geometry(const struct ufs_super *sb, struct ufs_super_disk *d)
{
	uint64_t n = sb->nindir;
	bool big = sb->big;

	d->magic = raw32_set(sb->version == 2 ? UFS_MAGIC2 : UFS_MAGIC1, big);
	d->sblkno = raw32_set(sb->sblkno, big);
	d->cblkno = raw32_set(sb->cblkno, big);
	d->iblkno = raw32_set(sb->iblkno, big);
	d->dblkno = raw32_set(sb->dblkno, big);
	d->bsize = raw32_set(sb->bsize, big);
	d->fsize = raw32_set(sb->fsize, big);
	d->frag = raw32_set(sb->frag, big);
	d->bmask = raw32_set(~(sb->bsize - 1), big);
	d->fmask = raw32_set(~(sb->fsize - 1), big);
	d->qbmask = raw64_set(sb->bsize - 1, big);
	d->qfmask = raw64_set(sb->fsize - 1, big);
	d->bshift = raw32_set(sb->bshift, big);
	d->fshift = raw32_set(sb->fshift, big);
	d->fragshift = raw32_set(sb->fragshift, big);
	d->fsbtodb = raw32_set(sb->fshift - 9, big);
	d->sbsize = raw32_set(sb->sbsize, big);
	d->nindir = raw32_set(sb->nindir, big);
	d->inopb = raw32_set(sb->inopb, big);
	d->ipg = raw32_set(sb->ipg, big);
	d->maxbsize = raw32_set(sb->bsize, big);
	d->maxfilesize = raw64_set(
	    (UFS_NDIRECT + n + n * n + n * n * n) * sb->bsize - 1, big);
	d->sblockloc = raw64_set(sb->loc, big);
	d->sblockactualloc = raw64_set(sb->loc, big);
}

/* Advice to allocators, and who it is. */
static void
put_advice(const struct ufs_super *sb, const struct ufs_mkfs *how,
    struct ufs_super_disk *d)
{
	uint64_t metaspace = (uint64_t)sb->fpg * sb->minfree / 200;
	size_t len = how->label ? strnlen(how->label, 32) : 0;
	uint32_t flags = how->flags & UFS_TREATMENT_FLAGS, id;
	bool big = sb->big;

	d->minfree = raw32_set(sb->minfree, big);
	d->optim = raw32_set(sb->minfree < 8, big);
	d->maxcontig = raw32_set(sb->maxcontig, big);
	d->contigsumsize = raw32_set(sb->contigsumsize, big);
	d->maxbpg = raw32_set(sb->bsize / 8, big);
	d->metaspace =
	    raw64_set(metaspace >> sb->fragshift << sb->fragshift, big);
	d->avgfilesize = raw32_set(16384, big);
	d->avgfpdir = raw32_set(64, big);
	d->maxsymlinklen = raw32_set(sb->version == 2 ? 120 : 60, big);
	if (len > 0)
		memcpy(d->volname, how->label, len);
	d->old_flags = UFS_OLD_FLAGS_MOVED;
	d->clean = 1;
	if (how->check_hashes && sb->version == 2) {
		flags |= UFS_FS_METACKHASH;
		d->metackhash = raw32_set(
		    UFS_CK_SUPERBLOCK | UFS_CK_CYLGRP | UFS_CK_INODE, big);
	}
	d->flags = raw32_set(flags, big);
	id = crc32c(0xffffffff, d, sizeof(*d));
	d->id[0] = raw32_set((uint32_t)how->time, big);
	d->id[1] = raw32_set(id != 0 ? id : 1, big);
}

/* Cylinders, which UFS1 still counts (formats.md 2.12). */
static void
put_cylinders(const struct ufs_super *sb, struct ufs_super_disk *d)
{
	bool big = sb->big;

	d->old_cgmask = raw32_set(UINT32_MAX, big);
	d->old_rps = raw32_set(60, big);
	d->old_nspf = raw32_set(sb->fsize / 512, big);
	d->old_interleave = raw32_set(1, big);
	d->old_cpg = raw32_set(1, big);
	d->old_inodefmt = raw32_set(2, big);
	d->old_postblformat = raw32_set(1, big);
	d->old_nrpos = raw32_set(1, big);
}

/* Group cgx; the first one also holds the summaries and the root. */
static int
write_group(struct blkdev *dev, struct ufs_super *sb, uint32_t cgx,
    uint8_t *raw, struct ufs_csum *cs)
{
	struct ufs_cg_disk *cg = (struct ufs_cg_disk *)raw;
	uint32_t taken = cgx == 0 ? (sb->cssize >> sb->fshift) + 1 : 0;
	struct ufs_cg_layout at;

	ufs_cg_layout(sb, &at);
	ufs_cg_make(sb, cgx, taken, raw, cs);
	if (cgx == 0) {
		bit_set(raw + at.iusedoff, UFS_ROOT);
		cs->nifree--;
		cs->ndir++;
		cg->cs.nifree = raw32_set((uint32_t)cs->nifree, sb->big);
		cg->cs.ndir = raw32_set((uint32_t)cs->ndir, sb->big);
	}
	sb->total.ndir += cs->ndir;
	sb->total.nbfree += cs->nbfree;
	sb->total.nifree += cs->nifree;
	sb->total.nffree += cs->nffree;
	ufs_cg_stamp(sb, raw);
	return blkdev_write(
	    dev, ufs_frag_off(sb, ufs_cgtod(sb, cgx)), raw, sb->cgsize);
}

static int
write_groups(struct blkdev *dev, struct ufs_super *sb)
{
	scoped(freep) struct ufs_csum_disk *sums = calloc(1, sb->cssize);
	scoped(freep) uint8_t *raw = malloc(sb->bsize);
	int r = 0;

	if (sums == NULL || raw == NULL)
		return -ENOMEM;
	memset(&sb->total, 0, sizeof(sb->total));
	for (uint32_t c = 0; r == 0 && c < sb->ncg; c++) {
		struct ufs_csum cs;

		r = write_group(dev, sb, c, raw, &cs);
		sums[c].ndir = raw32_set((uint32_t)cs.ndir, sb->big);
		sums[c].nbfree = raw32_set((uint32_t)cs.nbfree, sb->big);
		sums[c].nifree = raw32_set((uint32_t)cs.nifree, sb->big);
		sums[c].nffree = raw32_set((uint32_t)cs.nffree, sb->big);
	}
	if (r < 0)
		return r;
	return blkdev_write(
	    dev, ufs_frag_off(sb, sb->csaddr), sums, sb->cssize);
}

static int
write_root(struct blkdev *dev, const struct ufs_super *sb)
{
	uint64_t fsb = sb->csaddr + (sb->cssize >> sb->fshift);
	uint8_t chunk[UFS_DIRBLK] = {0};
	struct ufs_dirent_disk *e = (struct ufs_dirent_disk *)chunk;
	struct ufs_dinode d = {.mode = 040755, .nlink = 2, .size = UFS_DIRBLK};
	uint8_t raw[256] = {0};
	int r;

	e->ino = raw32_set(UFS_ROOT, sb->big);
	e->reclen = raw16_set(12, sb->big);
	e->type = 4;
	e->namelen = 1;
	memcpy(e + 1, ".", 1);
	e = (struct ufs_dirent_disk *)(chunk + 12);
	e->ino = raw32_set(UFS_ROOT, sb->big);
	e->reclen = raw16_set(UFS_DIRBLK - 12, sb->big);
	e->type = 4;
	e->namelen = 2;
	memcpy(e + 1, "..", 2);
	r = blkdev_write(dev, ufs_frag_off(sb, fsb), chunk, sizeof(chunk));
	if (r < 0)
		return r;
	d.blocks = sb->fsize / 512;
	d.db[0] = fsb;
	d.gen = sb->id[1] | 1;
	d.mtime.tv_sec = (time_t)sb->time;
	d.atime = d.ctime = d.birth = d.mtime;
	ufs_dinode_encode(sb, &d, raw);
	return blkdev_write(
	    dev, ufs_ino_off(sb, UFS_ROOT), raw, sb->dinode_size);
}

static int
write_supers(struct blkdev *dev, const struct ufs_super *sb, uint8_t *raw)
{
	int r;

	for (uint32_t c = 0; c < sb->ncg; c++) {
		uint64_t at = ufs_frag_off(sb, ufs_cgsblock(sb, c));

		ufs_super_encode(sb, raw, at);
		r = blkdev_write(dev, at, raw, sb->sbsize);
		if (r < 0)
			return r;
	}
	ufs_super_encode(sb, raw, sb->loc);
	r = blkdev_write(dev, sb->loc, raw, sb->sbsize);
	return r < 0 ? r : ufs_recovery_write(dev, sb);
}

int
ufs_recovery_write(struct blkdev *dev, const struct ufs_super *sb)
{
	struct ufs_recovery_disk rec = {
	    .magic = raw32_set(UFS_MAGIC2, sb->big),
	    .fsbtodb = raw32_set(sb->fshift - 9, sb->big),
	    .sblkno = raw32_set(sb->sblkno, sb->big),
	    .fpg = raw32_set(sb->fpg, sb->big),
	    .ncg = raw32_set(sb->ncg, sb->big),
	};

	if (sb->version != 2 || sb->loc != 65536)
		return 0;
	return blkdev_write(dev, 65536 - sizeof(rec), &rec, sizeof(rec));
}

int
ufs_mkfs(struct blkdev *dev, const struct ufs_mkfs *how)
{
	uint8_t raw[UFS_SBLOCK_SIZE] = {0};
	struct ufs_super_disk *d = (struct ufs_super_disk *)raw;
	struct ufs_super plan = {0}, sb;
	int r;

	choose_sizes(how, &plan);
	r = judge_sizes(&plan);
	if (r < 0)
		return r;
	choose_layout(&plan);
	r = choose_groups(how, dev->size, &plan);
	if (r < 0)
		return r;
	plan.clean = 1;
	plan.time = how->time;
	put_geometry(&plan, d);
	if (plan.version == 1)
		put_cylinders(&plan, d);
	put_advice(&plan, how, d);
	plan.flags = raw32_get(d->flags, plan.big);
	plan.metackhash = raw32_get(d->metackhash, plan.big);
	ufs_super_encode(&plan, raw, plan.loc);
	r = ufs_super_decode(raw, plan.loc, dev->size, &sb);
	if (r < 0)
		return -EINVAL;
	r = blkdev_trim(dev, 0, dev->size);
	if (r == 0)
		r = write_groups(dev, &sb);
	if (r == 0)
		r = write_root(dev, &sb);
	return r < 0 ? r : write_supers(dev, &sb, raw);
}
