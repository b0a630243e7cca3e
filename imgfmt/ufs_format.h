/*
 * UFS1 and UFS2 as they lie on disk, and the host structures they decode to.
 * Only ufs_*.c include this.  The numbers at the left are byte offsets.
 * Source: formats.md 2 (sys/ufs/ffs/fs.h and sys/ufs/ufs/dinode.h of FreeBSD
 * 13.2).  Addresses are in fragments throughout, 0 is a hole (traps 17, 28).
 */
#ifndef UFS_FORMAT_H
#define UFS_FORMAT_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "bytes.h"
#include "err.h"

enum {
	UFS_SBLOCK_SIZE = 8192, /* reserved for a superblock; hashed: sbsize */
	UFS_NDIRECT = 12,
	UFS_NINDIRECT = 3,
	UFS_NEXT = 2,
	UFS_DIRBLK = 512,
	UFS_MIN_BSIZE = 4096,
	UFS_MAX_BSIZE = 65536,
	UFS_MAX_FRAG = 8,
	UFS_MAGIC1 = 0x00011954,
	UFS_MAGIC2 = 0x19540119,
	UFS_MAGIC_OFF = 1372,
	UFS_CG_MAGIC = 0x00090255,
	UFS_LINK_MAX = 32767, /* signed 16 bit up to 13.x */
	UFS_SNAP_MAX = 20,
	UFS_CONTIG_MAX = 16, /* of fs_contigsumsize */
};

/* fs_flags (formats.md 2.11) */
enum {
	UFS_FS_UNCLEAN = 0x001,
	UFS_FS_DOSOFTDEP = 0x002,
	UFS_FS_NEEDSFSCK = 0x004,
	UFS_FS_SUJ = 0x008,
	UFS_FS_ACLS = 0x010,
	UFS_FS_MULTILABEL = 0x020,
	UFS_FS_GJOURNAL = 0x040,
	UFS_FS_NFS4ACLS = 0x100,
	UFS_FS_METACKHASH = 0x200,
	UFS_FS_TRIM = 0x400,
	UFS_OLD_FLAGS_MOVED = 0x80, /* in fs_old_flags */
	UFS_CK_SUPERBLOCK = 0x1,    /* fs_metackhash */
	UFS_CK_CYLGRP = 0x2,
	UFS_CK_INODE = 0x4,
};

/* Counts of one cylinder group, or of all (formats.md 2.6). */
struct ufs_csum {
	int64_t ndir, nbfree, nifree, nffree;
};
struct ufs_csum_disk {
	raw32 ndir, nbfree, nifree, nffree;
};
static_assert(sizeof(struct ufs_csum_disk) == 16, "csum record");

/* The superblock, formats.md 2.3. */
struct ufs_super_disk {
	/*    0 */ raw32 firstfield, unused_1;
	/*    8 */ raw32 sblkno, cblkno, iblkno, dblkno;
	/*   24 */ raw32 old_cgoffset, old_cgmask;
	/*   32 */ raw32 old_time, old_size, old_dsize;
	/*   44 */ raw32 ncg, bsize, fsize, frag, minfree;
	/*   64 */ raw32 old_rotdelay, old_rps;
	/*   72 */ raw32 bmask, fmask, bshift, fshift;
	/*   88 */ raw32 maxcontig, maxbpg, fragshift, fsbtodb, sbsize;
	/*  108 */ raw32 spare1[2];
	/*  116 */ raw32 nindir, inopb, old_nspf, optim;
	/*  132 */ raw32 old_npsect, old_interleave, old_trackskew;
	/*  144 */ raw32 id[2];
	/*  152 */ raw32 old_csaddr, cssize, cgsize, spare2;
	/*  168 */ raw32 old_nsect, old_spc, old_ncyl, old_cpg;
	/*  184 */ raw32 ipg, fpg;
	/*  192 */ struct ufs_csum_disk old_cstotal;
	/*  208 */ uint8_t fmod, clean, ronly, old_flags;
	/*  212 */ char fsmnt[468];
	/*  680 */ char volname[32];
	/*  712 */ raw64 swuid;
	/*  720 */ raw32 pad, cgrotor;
	/*  728 */ uint8_t ocsp[120];
	/*  848 */ raw64 si;
	/*  856 */ raw32 old_cpc, maxbsize;
	/*  864 */ raw64 unrefs, providersize, metaspace;
	/*  888 */ raw64 sparecon64[13];
	/*  992 */ raw64 sblockactualloc, sblockloc;
	/* 1008 */ raw64 ndir, nbfree, nifree, nffree; /* cstotal */
	/* 1040 */ raw64 numclusters, cs_spare[3];
	/* 1072 */ raw64 time, size, dsize, csaddr;
	/* 1104 */ raw64 pendingblocks;
	/* 1112 */ raw32 pendinginodes;
	/* 1116 */ raw32 snapinum[UFS_SNAP_MAX];
	/* 1196 */ raw32 avgfilesize, avgfpdir, save_cgsize;
	/* 1208 */ raw64 mtime;
	/* 1216 */ raw32 sujfree;
	/* 1220 */ raw32 sparecon32[21];
	/* 1304 */ raw32 ckhash, metackhash, flags;
	/* 1316 */ raw32 contigsumsize, maxsymlinklen, old_inodefmt;
	/* 1328 */ raw64 maxfilesize, qbmask, qfmask;
	/* 1352 */ raw32 state, old_postblformat, old_nrpos;
	/* 1364 */ raw32 spare5[2];
	/* 1372 */ raw32 magic;
};
static_assert(offsetof(struct ufs_super_disk, volname) == 680, "superblock");
static_assert(offsetof(struct ufs_super_disk, time) == 1072, "superblock");
static_assert(offsetof(struct ufs_super_disk, ckhash) == 1304, "superblock");
static_assert(sizeof(struct ufs_super_disk) == 1376, "superblock");

/* A cylinder group's head, formats.md 2.6; the maps follow. */
struct ufs_cg_disk {
	/*   0 */ raw32 firstfield, magic, old_time, cgx;
	/*  16 */ raw16 old_ncyl, old_niblk;
	/*  20 */ raw32 ndblk;
	/*  24 */ struct ufs_csum_disk cs;
	/*  40 */ raw32 rotor, frotor, irotor;
	/*  52 */ raw32 frsum[UFS_MAX_FRAG];
	/*  84 */ raw32 old_btotoff, old_boff;
	/*  92 */ raw32 iusedoff, freeoff, nextfreeoff;
	/* 104 */ raw32 clustersumoff, clusteroff, nclusterblks;
	/* 116 */ raw32 niblk, initediblk, unrefs;
	/* 128 */ raw32 sparecon32, ckhash;
	/* 136 */ raw64 time;
	/* 144 */ raw64 sparecon64[3];
};
static_assert(offsetof(struct ufs_cg_disk, time) == 136, "cylinder group");
static_assert(sizeof(struct ufs_cg_disk) == 168, "cylinder group");

/* An inode of UFS1, formats.md 2.8. */
struct ufs1_dinode_disk {
	/*   0 */ raw16 mode, nlink;
	/*   4 */ raw32 freelink;
	/*   8 */ raw64 size;
	/*  16 */ raw32 atime, atime_ns, mtime, mtime_ns, ctime, ctime_ns;
	/*  40 */ raw32 db[UFS_NDIRECT], ib[UFS_NINDIRECT]; /* or a target */
	/* 100 */ raw32 flags, blocks, gen, uid, gid;
	/* 120 */ raw64 modrev;
};
static_assert(offsetof(struct ufs1_dinode_disk, flags) == 100, "UFS1 inode");
static_assert(sizeof(struct ufs1_dinode_disk) == 128, "UFS1 inode");

/* An inode of UFS2, formats.md 2.8; mind the order of the ns (trap 24). */
struct ufs2_dinode_disk {
	/*   0 */ raw16 mode, nlink;
	/*   4 */ raw32 uid, gid, blksize;
	/*  16 */ raw64 size, blocks;
	/*  32 */ raw64 atime, mtime, ctime, birth;
	/*  64 */ raw32 mtime_ns, atime_ns, ctime_ns, birth_ns;
	/*  80 */ raw32 gen, kernflags, flags, extsize;
	/*  96 */ raw64 extb[UFS_NEXT];
	/* 112 */ raw64 db[UFS_NDIRECT], ib[UFS_NINDIRECT]; /* or a target */
	/* 232 */ raw64 modrev;
	/* 240 */ raw32 freelink, ckhash, spare[2];
};
static_assert(offsetof(struct ufs2_dinode_disk, extb) == 96, "UFS2 inode");
static_assert(offsetof(struct ufs2_dinode_disk, modrev) == 232, "UFS2 inode");
static_assert(sizeof(struct ufs2_dinode_disk) == 256, "UFS2 inode");

/* A directory entry's head, formats.md 2.9; the name follows. */
struct ufs_dirent_disk {
	/* 0 */ raw32 ino;
	/* 4 */ raw16 reclen;
	/* 6 */ uint8_t type, namelen;
};
static_assert(sizeof(struct ufs_dirent_disk) == 8, "directory entry");

/* An extended attribute record's head, formats.md 2.10; the name follows. */
struct ufs_ea_disk {
	/* 0 */ raw32 length;
	/* 4 */ uint8_t space, contentpad, namelen;
};
static_assert(sizeof(struct ufs_ea_disk) == 7, "extended attribute");

enum { UFS_ACL_SLOTS = 32 };

/* Value of the attributes posix1e.acl_* (formats.md 2.10). */
struct ufs_acl_disk {
	raw32 count;
	struct {
		raw32 tag, id;
		raw16 perm, pad;
	} entry[UFS_ACL_SLOTS];
};
static_assert(sizeof(struct ufs_acl_disk) == 388, "access control list");

/* The recovery record just before byte 65536, formats.md 2.1. */
struct ufs_recovery_disk {
	raw32 magic, fsbtodb, sblkno, fpg, ncg;
};
static_assert(sizeof(struct ufs_recovery_disk) == 20, "recovery record");

/* A decoded superblock: ranges hold once ufs_super_decode accepted it. */
struct ufs_super {
	bool big;
	int version;  /* 1 or 2 */
	uint64_t loc; /* byte offset it was found at */
	uint32_t bsize, fsize, frag, bshift, fshift, fragshift;
	uint32_t ncg, ipg, fpg, inopb, nindir;
	uint32_t sblkno, cblkno, iblkno, dblkno; /* frags from cgstart */
	uint32_t cgoffset, cgmask; /* staggered groups, old UFS1 */
	uint32_t sbsize, cgsize, cssize;
	uint32_t dinode_size; /* 128 or 256 */
	uint64_t csaddr;      /* frags */
	uint64_t size, dsize; /* frags */
	struct ufs_csum total;
	uint32_t minfree, optim, maxcontig, contigsumsize, maxbpg;
	uint32_t metaspace; /* frags */
	uint32_t avgfilesize, avgfpdir;
	uint32_t maxsymlinklen;
	uint32_t old_cpg, old_nrpos;
	uint64_t maxfilesize;
	uint32_t flags, metackhash; /* metackhash 0 unless the flag is set */
	uint8_t clean;
	uint32_t id[2];
	char volname[33];
	int64_t time, mtime;
	uint32_t snapinum[UFS_SNAP_MAX];
	uint64_t sblockloc;
	uint64_t providersize; /* frags; 0 in old images, not checked */
	uint32_t cgrotor;
	/*
	 * Dialects that we only read (formats.md 2.2, 2.4, 2.5).  old_layout:
	 * staggered groups, rotational tables or one of the others below.
	 */
	bool old_layout;
	bool old_dirs;   /* before 4.4BSD: no d_type, no inline targets */
	bool old_inodes; /* 16-bit ids where freelink is now */
};

/* A decoded inode. */
struct ufs_dinode {
	uint32_t mode, nlink, uid, gid, gen, flags;
	uint64_t size, blocks; /* blocks: units of 512 bytes */
	struct timespec atime, mtime, ctime, birth;
	uint64_t db[UFS_NDIRECT], ib[UFS_NINDIRECT]; /* db[0]: devices' rdev */
	uint64_t extb[UFS_NEXT];
	uint32_t extsize;
	uint32_t freelink;
	/* The bytes of db and ib as they lie, for inline targets. */
	uint8_t target[120];
};

/*
 * Find and decode the superblock (search order of formats.md 2.1) out of
 * bytes read by the caller: raw holds UFS_SBLOCK_SIZE bytes found at loc of a
 * device of dev_size bytes.  Validates all on which memory safety and
 * addressing depend: see formats.md 2.12; what only strict kernels refuse is
 * ufs_check's business.
 * -EINVAL: no magic there, or a copy that belongs elsewhere (formats.md 2.4),
 * silent.  -ECORRUPT, said.
 */
MUST_CHECK int ufs_super_decode(const uint8_t raw[UFS_SBLOCK_SIZE],
    uint64_t loc, uint64_t dev_size, struct ufs_super *out);

/* Whether raw, found at loc, is a superblock and belongs there. */
bool ufs_super_is_home(const uint8_t raw[UFS_SBLOCK_SIZE], uint64_t loc);

/* The four places to look, in order. */
extern const uint64_t ufs_super_places[4];

/*
 * Put what an engine changes (size, dsize, ncg, csaddr, cssize, cgsize, fpg,
 * totals, time, clean, flags' old copies, cgrotor ...) into raw, which keeps
 * everything else; then the check hash where the flags ask for it.  at: the
 * byte offset where this copy will be written (fs_sblockactualloc).
 */
void ufs_super_encode(
    const struct ufs_super *sb, uint8_t raw[UFS_SBLOCK_SIZE], uint64_t at);

/* Whether the stored superblock hash is right; true where there is none. */
bool ufs_super_hash_ok(
    const struct ufs_super *sb, const uint8_t raw[UFS_SBLOCK_SIZE]);

/* Decode a dinode of sb->dinode_size bytes; any bytes decode. */
void ufs_dinode_decode(
    const struct ufs_super *sb, const void *raw, struct ufs_dinode *out);

/* What the format cannot hold of times becomes the nearest that it can. */
void ufs_dinode_fit(const struct ufs_super *sb, struct ufs_dinode *d);

/*
 * Encode over raw, which keeps the fields that struct ufs_dinode lacks; with
 * the check hash where the flags ask for it and mode is not 0.
 */
void ufs_dinode_encode(
    const struct ufs_super *sb, const struct ufs_dinode *in, void *raw);

/* Whether the stored inode hash is right; true where none is due. */
bool ufs_dinode_hash_ok(const struct ufs_super *sb, const void *raw);

/* Hash of a cylinder group's cgsize bytes, its hash field taken as zero. */
uint32_t ufs_cg_hash(const struct ufs_super *sb, const uint8_t *cg);

/* FreeBSD's dev_t (formats.md 2.8). */
uint64_t ufs_dev_make(uint32_t major, uint32_t minor);
uint32_t ufs_dev_major(uint64_t dev);
uint32_t ufs_dev_minor(uint64_t dev);

/* Where a group's maps lie (formats.md 2.6); bytes from its start. */
struct ufs_cg_layout {
	uint32_t old_btotoff, old_boff;
	uint32_t iusedoff, freeoff, nextfreeoff, clustersumoff, clusteroff;
};
void ufs_cg_layout(const struct ufs_super *sb, struct ufs_cg_layout *out);

/* -- geometry, formats.md 2.5; frag addresses unless said otherwise -------- */

static inline uint64_t
ufs_cgbase(const struct ufs_super *sb, uint32_t cgx)
{
	return (uint64_t)sb->fpg * cgx;
}

static inline uint64_t
ufs_cgstart(const struct ufs_super *sb, uint32_t cgx)
{
	return ufs_cgbase(sb, cgx) +
	    (uint64_t)sb->cgoffset * (cgx & ~sb->cgmask);
}

static inline uint64_t
ufs_cgsblock(const struct ufs_super *sb, uint32_t cgx)
{
	return ufs_cgstart(sb, cgx) + sb->sblkno;
}

static inline uint64_t
ufs_cgtod(const struct ufs_super *sb, uint32_t cgx)
{
	return ufs_cgstart(sb, cgx) + sb->cblkno;
}

static inline uint64_t
ufs_cgimin(const struct ufs_super *sb, uint32_t cgx)
{
	return ufs_cgstart(sb, cgx) + sb->iblkno;
}

static inline uint64_t
ufs_cgdmin(const struct ufs_super *sb, uint32_t cgx)
{
	return ufs_cgstart(sb, cgx) + sb->dblkno;
}

static inline uint64_t
ufs_frag_off(const struct ufs_super *sb, uint64_t fsb)
{
	return fsb << sb->fshift;
}

/* Byte offset of an inode; ino must be below ncg * ipg. */
static inline uint64_t
ufs_ino_off(const struct ufs_super *sb, uint64_t ino)
{
	uint32_t cgx = (uint32_t)(ino / sb->ipg);

	return ufs_frag_off(sb, ufs_cgimin(sb, cgx)) +
	    ino % sb->ipg * sb->dinode_size;
}

static inline uint64_t
ufs_ninodes(const struct ufs_super *sb)
{
	return (uint64_t)sb->ncg * sb->ipg;
}

/* Fragments that group cgx has; the last group may be short. */
static inline uint32_t
ufs_cg_frags(const struct ufs_super *sb, uint32_t cgx)
{
	uint64_t rest = sb->size - ufs_cgbase(sb, cgx);

	return rest < sb->fpg ? (uint32_t)rest : sb->fpg;
}

/*
 * Bytes that logical block lbn of a file of size bytes takes on disk
 * (formats.md 2.7): a block, or fragments for the tail in the direct blocks.
 */
static inline uint32_t
ufs_blksize(const struct ufs_super *sb, uint64_t size, uint64_t lbn)
{
	uint32_t tail;

	if (lbn >= UFS_NDIRECT || size >= (lbn + 1) << sb->bshift)
		return sb->bsize;
	tail = (uint32_t)(size & (sb->bsize - 1));
	return (tail + sb->fsize - 1) & ~(sb->fsize - 1);
}

/*
 * Whether a symbolic link keeps its target in the inode (formats.md 2.8,
 * trap 38; before 4.4BSD: when it holds no block).  di_blocks does not tell:
 * attributes count in it.
 */
static inline bool
ufs_target_is_inline(const struct ufs_super *sb, const struct ufs_dinode *d)
{
	if ((d->mode & 0170000) != 0120000)
		return false;
	if (sb->old_dirs)
		return d->blocks == 0 && d->size <= 60;
	return d->size < sb->maxsymlinklen;
}

/* Bytes an entry with a name of namelen bytes needs. */
static inline uint32_t
ufs_dirsiz(size_t namelen)
{
	return (uint32_t)((8 + namelen + 1 + 3) & ~(size_t)3);
}

#endif
