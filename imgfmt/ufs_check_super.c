/*
 * Phase 0: the superblock against all that FreeBSD 13.2 demands of one
 * (formats.md 2.12), what a clean file system leaves in it (2.11), its copies
 * and the recovery record (2.13, 2.1).  Judged from the raw fields.
 */
#include <inttypes.h>
#include <string.h>

#include "log.h"
#include "ufs_check_impl.h"

/* The superblock at hand, in short. */
struct judged {
	struct ufs_fsck *f;
	const struct ufs_super_disk *d;
	bool big;
};

static int64_t
i32(const struct judged *j, raw32 v)
{
	return (int32_t)raw32_get(v, j->big);
}

static int64_t
u32(const struct judged *j, raw32 v)
{
	return raw32_get(v, j->big);
}

static int64_t
i64(const struct judged *j, raw64 v)
{
	return (int64_t)raw64_get(v, j->big);
}

static void
must_be(const struct judged *j, const char *field, int64_t got, int64_t want)
{
	if (got != want)
		ufs_fsck_fault(j->f,
		    "superblock at %" PRIu64 ": '%s' is %" PRId64
		    ", must be %" PRId64,
		    j->f->sb.loc, field, got, want);
}

static void
must_lie(const struct judged *j, const char *field, int64_t got, int64_t least,
    int64_t most)
{
	if (got < least || got > most)
		ufs_fsck_fault(j->f,
		    "superblock at %" PRIu64 ": '%s' is %" PRId64
		    ", must lie in %" PRId64 "..%" PRId64,
		    j->f->sb.loc, field, got, least, most);
}

static int64_t
log2_of(uint64_t n)
{
	return n == 0 ? -1 : 63 - __builtin_clzll(n);
}

static int64_t
roundup_to(int64_t n, int64_t unit)
{
	return (n + unit - 1) / unit * unit;
}

/* Block and fragment sizes, with the masks and shifts that follow. */
static void
judge_sizes(const struct judged *j)
{
	const struct ufs_super_disk *d = j->d;
	const struct ufs_super *sb = &j->f->sb;
	int64_t maxbsize = i32(j, d->maxbsize);

	must_be(j, "fs_frag", i32(j, d->frag), sb->bsize / sb->fsize);
	must_be(j, "fs_bmask", i32(j, d->bmask), -(int64_t)sb->bsize);
	must_be(j, "fs_fmask", i32(j, d->fmask), -(int64_t)sb->fsize);
	must_be(j, "fs_qbmask", i64(j, d->qbmask), (int64_t)sb->bsize - 1);
	must_be(j, "fs_qfmask", i64(j, d->qfmask), (int64_t)sb->fsize - 1);
	must_be(j, "fs_bshift", i32(j, d->bshift), log2_of(sb->bsize));
	must_be(j, "fs_fshift", i32(j, d->fshift), log2_of(sb->fsize));
	must_be(j, "fs_fragshift", i32(j, d->fragshift), log2_of(sb->frag));
	must_be(j, "fs_fsbtodb", i32(j, d->fsbtodb), log2_of(sb->fsize) - 9);
	must_lie(j, "fs_sbsize", i32(j, d->sbsize), 1376, 8192);
	must_be(j, "fs_sbsize % 512", i32(j, d->sbsize) % 512, 0);
	must_lie(
	    j, "fs_maxbsize", maxbsize, sb->bsize, 16 * (int64_t)sb->bsize);
	if ((maxbsize & (maxbsize - 1)) != 0)
		must_be(j, "fs_maxbsize", maxbsize, sb->bsize);
}

/* Where things lie within a group (formats.md 2.5). */
static void
judge_layout(const struct judged *j)
{
	const struct ufs_super_disk *d = j->d;
	const struct ufs_super *sb = &j->f->sb;
	int64_t sblockloc = sb->version == 2 ? (int64_t)sb->loc : 8192;
	int64_t area =
	    roundup_to(roundup_to(8192, sb->fsize) / sb->fsize, sb->frag);
	int64_t sblkno = roundup_to(
	    roundup_to(sblockloc + 8192, sb->fsize) / sb->fsize, sb->frag);
	int64_t iblkno = sblkno + area + sb->frag;

	must_be(j, "fs_sblkno", i32(j, d->sblkno), sblkno);
	must_be(j, "fs_cblkno", i32(j, d->cblkno), sblkno + area);
	must_be(j, "fs_iblkno", i32(j, d->iblkno), iblkno);
	must_be(j, "fs_dblkno", i32(j, d->dblkno),
	    iblkno + (int64_t)sb->ipg * sb->dinode_size / sb->fsize);
	must_be(j, "fs_inopb", u32(j, d->inopb), sb->bsize / sb->dinode_size);
	must_be(j, "fs_nindir", i32(j, d->nindir),
	    sb->bsize / (sb->version == 2 ? 8 : 4));
	must_lie(j, "fs_cgsize", i32(j, d->cgsize), sb->fsize, sb->bsize);
	must_be(j, "fs_cgsize % fs_fsize", i32(j, d->cgsize) % sb->fsize, 0);
	must_lie(j, "fs_metaspace", i64(j, d->metaspace), 0, sb->fpg / 2);
	must_lie(j, "fs_old_cgoffset", i32(j, d->old_cgoffset), 0, sb->fpg);
	if (i32(j, d->old_cgoffset) > 0) {
		int64_t span = ~i32(j, d->old_cgmask);

		must_lie(j, "~fs_old_cgmask", span, 0,
		    sb->fpg / i32(j, d->old_cgoffset));
	}
}

static void
judge_counts(const struct judged *j)
{
	const struct ufs_super_disk *d = j->d;
	const struct ufs_super *sb = &j->f->sb;
	int64_t inodes = (int64_t)sb->ipg * sb->ncg;
	int64_t nifree = sb->total.nifree;

	must_lie(j, "fs_fpg", i32(j, d->fpg), 3 * sb->frag, INT32_MAX);
	must_lie(j, "fs_ncg", u32(j, d->ncg), 1, UINT32_MAX);
	must_lie(j, "fs_ipg", u32(j, d->ipg), sb->inopb,
	    sb->version == 1 ? INT16_MAX : UINT32_MAX);
	must_be(j, "fs_ipg % fs_inopb", u32(j, d->ipg) % sb->inopb, 0);
	must_lie(j, "fs_ipg * fs_ncg", inodes, 1, (1LL << 32) - sb->inopb);
	must_lie(j, "cs_nifree", nifree, 0, inodes);
	must_lie(j, "cs_ndir", sb->total.ndir, 0, inodes - nifree);
	must_lie(j, "fs_size", (int64_t)sb->size, 8 * sb->frag, INT64_MAX);
	must_lie(j, "fs_size", (int64_t)sb->size,
	    (int64_t)(sb->ncg - 1) * sb->fpg + 1, (int64_t)sb->ncg * sb->fpg);
	must_lie(j, "fs_minfree", i32(j, d->minfree), 0, 99);
	must_lie(j, "fs_optim", i32(j, d->optim), 0, 1);
}

static int64_t
max_file_size(const struct ufs_super *sb)
{
	int64_t n = sb->bsize / (sb->version == 2 ? 8 : 4);

	return 12 * (int64_t)sb->bsize - 1 +
	    (int64_t)sb->bsize * (n + n * n + n * n * n);
}

/* Summary area and data size. */
static void
judge_summary(const struct judged *j)
{
	const struct ufs_super *sb = &j->f->sb;
	int64_t cssize = roundup_to((int64_t)sb->ncg * 16, sb->fsize);
	int64_t frags = cssize / sb->fsize;
	int64_t dblkno = sb->dblkno, sblkno = sb->sblkno;
	uint32_t cgx = (uint32_t)(sb->csaddr / sb->fpg);

	must_be(j, "fs_cssize", i32(j, j->d->cssize), cssize);
	must_lie(j, "cylinder group of fs_csaddr", cgx, 0, sb->ncg - 1);
	if (cgx >= sb->ncg)
		return;
	/* Its exclusive end must not be the end of the group either. */
	must_lie(j, "fs_csaddr", (int64_t)sb->csaddr,
	    (int64_t)ufs_cgdmin(sb, cgx),
	    (int64_t)ufs_cgbase(sb, cgx) + sb->fpg - frags - 1);
	must_lie(
	    j, "fs_csaddr", (int64_t)sb->csaddr, 0, (int64_t)sb->size - frags);
	must_be(j, "fs_dsize", (int64_t)sb->dsize,
	    (int64_t)sb->size - sblkno - (int64_t)sb->ncg * (dblkno - sblkno) -
		frags);
}

static void
judge_clusters(const struct judged *j)
{
	const struct ufs_super_disk *d = j->d;
	int64_t maxcontig = i32(j, d->maxcontig);
	int64_t sums = i32(j, d->contigsumsize);
	int64_t most = 1024 * 1024 / j->f->sb.bsize;

	/* MAXPHYS is 1 MiB at most on 64 bit machines. */
	must_lie(j, "fs_maxcontig", maxcontig, 0, most > 256 ? most : 256);
	if (maxcontig == 0)
		must_be(j, "fs_contigsumsize", sums, 0);
	if (maxcontig > 1)
		must_be(j, "fs_contigsumsize", sums,
		    maxcontig < 16 ? maxcontig : 16);
}

static void
judge_ufs2(const struct judged *j)
{
	int64_t actual = i64(j, j->d->sblockactualloc);

	must_be(j, "fs_maxsymlinklen", i32(j, j->d->maxsymlinklen), 120);
	if (j->f->sb.loc != 65536) {
		log_warn("superblock at %" PRIu64
			 " instead of 65536: FreeBSD 13.2 and newer refuse "
			 "to mount it",
		    j->f->sb.loc);
		return;
	}
	must_be(j, "fs_sblockloc", i64(j, j->d->sblockloc), 65536);
	if (actual != 0)
		must_be(j, "fs_sblockactualloc", actual, 65536);
}

/* The fields of UFS1 that stem from disks with cylinders. */
static void
judge_ufs1(const struct judged *j)
{
	const struct ufs_super_disk *d = j->d;
	const struct ufs_super *sb = &j->f->sb;
	int64_t nspf = sb->fsize / 512;
	int64_t spc = (int64_t)sb->fpg * nspf;

	must_lie(j, "fs_sblockactualloc", i64(j, d->sblockactualloc), INT64_MIN,
	    8192);
	must_lie(j, "fs_sblockloc", i64(j, d->sblockloc), 0, 8192);
	must_be(j, "fs_maxsymlinklen", i32(j, d->maxsymlinklen), 60);
	must_be(j, "fs_old_inodefmt", i32(j, d->old_inodefmt), 2);
	must_be(j, "fs_old_rotdelay", i32(j, d->old_rotdelay), 0);
	must_be(j, "fs_old_rps", i32(j, d->old_rps), 60);
	must_be(j, "fs_old_nspf", i32(j, d->old_nspf), nspf);
	must_be(j, "fs_old_cpg", i32(j, d->old_cpg), 1);
	must_be(j, "fs_old_interleave", i32(j, d->old_interleave), 1);
	must_be(j, "fs_old_trackskew", i32(j, d->old_trackskew), 0);
	must_be(j, "fs_old_cpc", i32(j, d->old_cpc), 0);
	must_be(j, "fs_old_postblformat", i32(j, d->old_postblformat), 1);
	must_be(j, "fs_old_nrpos", i32(j, d->old_nrpos), 1);
	must_be(j, "fs_old_spc", i32(j, d->old_spc), spc);
	must_be(j, "fs_old_nsect", i32(j, d->old_nsect), spc);
	must_be(j, "fs_old_npsect", i32(j, d->old_npsect), spc);
	must_be(j, "fs_old_ncyl", i32(j, d->old_ncyl), sb->ncg);
}

/* Copies that resurrect when a kernel takes the image for an old one. */
static void
judge_ufs1_copies(const struct judged *j)
{
	const struct ufs_super_disk *d = j->d;
	const struct ufs_super *sb = &j->f->sb;

	must_be(j, "fs_old_size", i32(j, d->old_size), (int32_t)sb->size);
	must_be(j, "fs_old_dsize", i32(j, d->old_dsize), (int32_t)sb->dsize);
	must_be(j, "fs_old_csaddr", i32(j, d->old_csaddr), (int32_t)sb->csaddr);
	must_be(j, "fs_old_cstotal.cs_ndir", i32(j, d->old_cstotal.ndir),
	    (int32_t)sb->total.ndir);
	must_be(j, "fs_old_cstotal.cs_nbfree", i32(j, d->old_cstotal.nbfree),
	    (int32_t)sb->total.nbfree);
	must_be(j, "fs_old_cstotal.cs_nifree", i32(j, d->old_cstotal.nifree),
	    (int32_t)sb->total.nifree);
	must_be(j, "fs_old_cstotal.cs_nffree", i32(j, d->old_cstotal.nffree),
	    (int32_t)sb->total.nffree);
}

/* What an orderly unmount leaves (formats.md 2.11). */
static void
judge_state(const struct judged *j)
{
	const struct ufs_super_disk *d = j->d;
	const struct ufs_super *sb = &j->f->sb;
	unsigned long long at = sb->loc;

	if (d->clean != 1)
		ufs_fsck_fault(
		    j->f, "superblock at %llu: not marked clean", at);
	if ((sb->flags & (UFS_FS_UNCLEAN | UFS_FS_NEEDSFSCK)) != 0)
		ufs_fsck_fault(j->f,
		    "superblock at %llu: flags 0x%x ask for fsck", at,
		    (unsigned)sb->flags);
	if ((sb->flags & 0xff000000) != 0)
		ufs_fsck_fault(j->f,
		    "superblock at %llu: reserved flags in 0x%x", at,
		    (unsigned)sb->flags);
	must_be(j, "fs_fmod", d->fmod, 0);
	must_be(j, "fs_ronly", d->ronly, 0);
	must_be(j, "fs_pendingblocks", i64(j, d->pendingblocks), 0);
	must_be(j, "fs_pendinginodes", i32(j, d->pendinginodes), 0);
	must_be(j, "fs_sujfree", i32(j, d->sujfree), 0);
	if (!ufs_super_hash_ok(sb, j->f->sbraw))
		ufs_fsck_fault(
		    j->f, "superblock at %llu: check hash is wrong", at);
}

static struct judged
primary(struct ufs_fsck *f)
{
	return (struct judged){
	    f, (const struct ufs_super_disk *)f->sbraw, f->sb.big};
}

void
ufs_fsck_super(struct ufs_fsck *f)
{
	struct judged j = primary(f);

	judge_sizes(&j);
	judge_layout(&j);
	judge_counts(&j);
	judge_summary(&j);
	judge_clusters(&j);
	must_be(&j, "fs_maxfilesize", i64(&j, j.d->maxfilesize),
	    max_file_size(&f->sb));
	if (f->sb.version == 2) {
		judge_ufs2(&j);
	} else {
		judge_ufs1(&j);
		judge_ufs1_copies(&j);
	}
	judge_state(&j);
}

/* Fields that all copies share; names for the reader, offsets by the struct. */
static const struct {
	const char *name;
	uint16_t off, len;
} shared_fields[] = {
#define SHARED(x) \
	{ \
		"fs_" #x, offsetof(struct ufs_super_disk, x), \
		    sizeof(((struct ufs_super_disk *)0)->x) \
	}
    SHARED(sblkno),
    SHARED(cblkno),
    SHARED(iblkno),
    SHARED(dblkno),
    SHARED(ncg),
    SHARED(bsize),
    SHARED(fsize),
    SHARED(frag),
    SHARED(bmask),
    SHARED(fmask),
    SHARED(bshift),
    SHARED(fshift),
    SHARED(fragshift),
    SHARED(fsbtodb),
    SHARED(sbsize),
    SHARED(nindir),
    SHARED(inopb),
    SHARED(cssize),
    SHARED(ipg),
    SHARED(fpg),
    SHARED(cgsize),
    SHARED(size),
    SHARED(csaddr),
#undef SHARED
};

/* Totals, times and flags of a copy may be stale: newfs never renews them. */
static void
compare_copy(struct ufs_fsck *f, uint64_t at, const uint8_t *copy)
{
	if (memcmp(copy + UFS_MAGIC_OFF, f->sbraw + UFS_MAGIC_OFF, 4) != 0) {
		ufs_fsck_fault(
		    f, "backup superblock at %" PRIu64 ": no magic", at);
		return;
	}
	for (size_t i = 0; i < sizeof(shared_fields) / sizeof(shared_fields[0]);
	     i++)
		if (memcmp(copy + shared_fields[i].off,
			f->sbraw + shared_fields[i].off,
			shared_fields[i].len) != 0)
			ufs_fsck_fault(f,
			    "backup superblock at %" PRIu64
			    ": '%s' differs from the superblock's",
			    at, shared_fields[i].name);
}

/* Where newfs left one (formats.md 2.1); it is not obliged to. */
static int
judge_recovery(struct ufs_fsck *f)
{
	struct ufs_recovery_disk rec;
	struct judged j = primary(f);
	int r;

	if (f->sb.version != 2 || f->sb.loc != 65536)
		return 0;
	r = blkdev_read(f->dev, 65536 - sizeof(rec), &rec, sizeof(rec));
	if (r < 0)
		return r;
	if (raw32_get(rec.magic, f->sb.big) != UFS_MAGIC2)
		return 0;
	must_be(&j, "recovery record's fsbtodb", i32(&j, rec.fsbtodb),
	    log2_of(f->sb.fsize) - 9);
	must_be(
	    &j, "recovery record's sblkno", i32(&j, rec.sblkno), f->sb.sblkno);
	must_be(&j, "recovery record's fpg", i32(&j, rec.fpg), f->sb.fpg);
	must_be(&j, "recovery record's ncg", u32(&j, rec.ncg), f->sb.ncg);
	return 0;
}

int
ufs_fsck_copies(struct ufs_fsck *f)
{
	uint8_t copy[sizeof(struct ufs_super_disk)];

	for (uint32_t c = 0; c < f->sb.ncg; c++) {
		uint64_t at = ufs_frag_off(&f->sb, ufs_cgsblock(&f->sb, c));
		int r = blkdev_read(f->dev, at, copy, sizeof(copy));

		if (r < 0)
			return r;
		compare_copy(f, at, copy);
	}
	return judge_recovery(f);
}
