#include "ufs_format.h"

#include <string.h>

#include "crc32c.h"
#include "log.h"

/*
 * Decoding judges: whatever ufs_super_decode lets through can be used for
 * addressing without further checks.  Rules are kept in tables, in stages,
 * because a later stage divides by what an earlier one has proved.
 */

const uint64_t ufs_super_places[4] = {65536, 8192, 0, 262144};

struct rule {
	bool holds;
	const char *field;
};

static int
judge(uint64_t loc, const struct rule *rules, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (rules[i].holds)
			continue;
		log_error("ufs: superblock at byte %llu: \"%s\" is impossible",
		    (unsigned long long)loc, rules[i].field);
		return -ECORRUPT;
	}
	return 0;
}

#define JUDGE(loc, rules) judge(loc, rules, sizeof(rules) / sizeof((rules)[0]))

static bool
is_power_of_2(uint64_t n)
{
	return n != 0 && (n & (n - 1)) == 0;
}

static uint32_t
log2_of(uint32_t n)
{
	uint32_t shift = 0;

	while (n >> shift > 1)
		shift++;
	return shift;
}

static uint64_t
round_up(uint64_t n, uint64_t unit)
{
	return (n + unit - 1) / unit * unit;
}

/* Version and byte order by the magic (formats.md 2.2); 0: no superblock. */
static int
version_of(const struct ufs_super_disk *disk, bool *big)
{
	for (int order = 0; order < 2; order++) {
		uint32_t magic = raw32_get(disk->magic, order == 1);

		*big = order == 1;
		if (magic == UFS_MAGIC1)
			return 1;
		if (magic == UFS_MAGIC2)
			return 2;
	}
	return 0;
}

/*
 * Whether the superblock is the one that belongs to loc, no backup copy
 * (formats.md 2.4, trap 50).
 */
static bool
is_at_home(const struct ufs_super *sb, const struct ufs_super_disk *disk)
{
	if (sb->version == 1)
		return sb->loc <= 8192;
	return (disk->old_flags & UFS_OLD_FLAGS_MOVED) == 0 ||
	    raw64_get(disk->sblockloc, sb->big) == sb->loc;
}

static int
decode_sizes(const struct ufs_super_disk *disk, struct ufs_super *sb)
{
	uint32_t ptr = sb->version == 1 ? 4 : 8;
	bool big = sb->big;

	sb->dinode_size = sb->version == 1 ? 128 : 256;
	sb->bsize = raw32_get(disk->bsize, big);
	sb->fsize = raw32_get(disk->fsize, big);
	sb->frag = raw32_get(disk->frag, big);
	sb->nindir = raw32_get(disk->nindir, big);
	sb->inopb = raw32_get(disk->inopb, big);
	sb->sbsize = raw32_get(disk->sbsize, big);

	const struct rule rules[] = {
	    {sb->bsize >= UFS_MIN_BSIZE && sb->bsize <= UFS_MAX_BSIZE &&
		    is_power_of_2(sb->bsize),
		"fs_bsize"},
	    {sb->fsize >= 512 && sb->fsize <= sb->bsize &&
		    is_power_of_2(sb->fsize),
		"fs_fsize"},
	    {sb->frag >= 1 && sb->frag <= UFS_MAX_FRAG &&
		    (uint64_t)sb->frag * sb->fsize == sb->bsize,
		"fs_frag"},
	    {sb->nindir == sb->bsize / ptr, "fs_nindir"},
	    {sb->inopb == sb->bsize / sb->dinode_size, "fs_inopb"},
	    {sb->sbsize >= sizeof(*disk) && sb->sbsize <= UFS_SBLOCK_SIZE,
		"fs_sbsize"},
	};

	sb->bshift = log2_of(sb->bsize);
	sb->fshift = log2_of(sb->fsize);
	sb->fragshift = log2_of(sb->frag);
	return JUDGE(sb->loc, rules);
}

/* The fields that UFS1 had in 32 bits (formats.md 2.4). */
static void
decode_totals(const struct ufs_super_disk *disk, struct ufs_super *sb)
{
	bool big = sb->big;

	if (sb->version == 1 && raw32_get(disk->maxbsize, big) != sb->bsize) {
		const struct ufs_csum_disk *cs = &disk->old_cstotal;

		sb->time = (int32_t)raw32_get(disk->old_time, big);
		sb->size = raw32_get(disk->old_size, big);
		sb->dsize = raw32_get(disk->old_dsize, big);
		sb->csaddr = raw32_get(disk->old_csaddr, big);
		sb->total.ndir = (int32_t)raw32_get(cs->ndir, big);
		sb->total.nbfree = (int32_t)raw32_get(cs->nbfree, big);
		sb->total.nifree = (int32_t)raw32_get(cs->nifree, big);
		sb->total.nffree = (int32_t)raw32_get(cs->nffree, big);
		return;
	}
	sb->time = (int64_t)raw64_get(disk->time, big);
	sb->size = raw64_get(disk->size, big);
	sb->dsize = raw64_get(disk->dsize, big);
	sb->csaddr = raw64_get(disk->csaddr, big);
	sb->total.ndir = (int64_t)raw64_get(disk->ndir, big);
	sb->total.nbfree = (int64_t)raw64_get(disk->nbfree, big);
	sb->total.nifree = (int64_t)raw64_get(disk->nifree, big);
	sb->total.nffree = (int64_t)raw64_get(disk->nffree, big);
}

/* Number and size of the groups; what places everything else. */
static int
decode_groups(
    const struct ufs_super_disk *disk, uint64_t dev_size, struct ufs_super *sb)
{
	bool big = sb->big;

	sb->ncg = raw32_get(disk->ncg, big);
	sb->ipg = raw32_get(disk->ipg, big);
	sb->fpg = raw32_get(disk->fpg, big);
	decode_totals(disk, sb);

	uint64_t all = (uint64_t)sb->ncg * sb->fpg;
	uint64_t inodes = (uint64_t)sb->ncg * sb->ipg;
	const struct rule rules[] = {
	    {sb->ncg >= 1, "fs_ncg"},
	    {sb->fpg >= 3 * sb->frag && sb->fpg <= INT32_MAX, "fs_fpg"},
	    {sb->ipg >= sb->inopb && sb->ipg % sb->inopb == 0 &&
		    inodes <= UINT32_MAX - sb->inopb + 1,
		"fs_ipg"},
	    {sb->size >= sb->frag && sb->size <= all &&
		    sb->size > all - sb->fpg,
		"fs_size"},
	    {sb->dsize <= sb->size, "fs_dsize"},
	};
	int rc = JUDGE(sb->loc, rules);

	if (rc < 0 || sb->size <= dev_size >> sb->fshift)
		return rc;
	log_error("ufs: superblock at byte %llu: \"fs_size\" needs %llu bytes, "
		  "the device has %llu",
	    (unsigned long long)sb->loc,
	    (unsigned long long)sb->size << sb->fshift,
	    (unsigned long long)dev_size);
	return -ECORRUPT;
}

/* Where things lie within a group. */
static int
decode_layout(const struct ufs_super_disk *disk, struct ufs_super *sb)
{
	bool big = sb->big;
	uint64_t itable, most = 0;

	sb->sblkno = raw32_get(disk->sblkno, big);
	sb->cblkno = raw32_get(disk->cblkno, big);
	sb->iblkno = raw32_get(disk->iblkno, big);
	sb->dblkno = raw32_get(disk->dblkno, big);
	sb->cgmask = UINT32_MAX;
	if (sb->version == 1) {
		uint32_t steps = ~raw32_get(disk->old_cgmask, big);

		sb->cgoffset = raw32_get(disk->old_cgoffset, big);
		sb->cgmask = ~steps;
		if (steps > sb->ncg - 1)
			steps = sb->ncg - 1;
		most = (uint64_t)sb->cgoffset * steps;
	}
	itable = (uint64_t)sb->ipg * sb->dinode_size;

	const struct rule rules[] = {
	    {sb->sblkno >= 1 && sb->sblkno < sb->fpg, "fs_sblkno"},
	    {sb->cblkno > sb->sblkno && sb->cblkno < sb->fpg, "fs_cblkno"},
	    {sb->iblkno > sb->cblkno && sb->iblkno < sb->fpg, "fs_iblkno"},
	    {sb->dblkno > sb->iblkno && sb->dblkno <= sb->fpg &&
		    itable <= (uint64_t)(sb->dblkno - sb->iblkno) << sb->fshift,
		"fs_dblkno"},
	    {sb->cgoffset <= INT32_MAX && most <= sb->fpg - sb->dblkno,
		"fs_old_cgoffset"},
	    {ufs_cgdmin(sb, sb->ncg - 1) <= sb->size, "fs_size"},
	};

	return JUDGE(sb->loc, rules);
}

/* The groups' summaries: where they lie and what they add up to. */
static int
decode_summaries(const struct ufs_super_disk *disk, struct ufs_super *sb)
{
	const struct ufs_csum *total = &sb->total;
	uint64_t inodes = ufs_ninodes(sb);
	uint32_t csfrags, cgx;

	sb->cssize = raw32_get(disk->cssize, sb->big);
	csfrags = sb->cssize >> sb->fshift;
	cgx = (uint32_t)(sb->csaddr < sb->size ? sb->csaddr / sb->fpg : 0);

	const struct rule rules[] = {
	    {sb->cssize == round_up(sb->ncg * 16ull, sb->fsize), "fs_cssize"},
	    {sb->csaddr < sb->size && sb->csaddr >= ufs_cgdmin(sb, cgx) &&
		    csfrags <= ufs_cgbase(sb, cgx) + ufs_cg_frags(sb, cgx) -
			    sb->csaddr,
		"fs_csaddr"},
	    {(uint64_t)total->nifree <= inodes, "fs_cstotal.cs_nifree"},
	    {(uint64_t)total->ndir <= inodes - (uint64_t)total->nifree,
		"fs_cstotal.cs_ndir"},
	    {(uint64_t)total->nbfree <= sb->size >> sb->fragshift,
		"fs_cstotal.cs_nbfree"},
	    {(uint64_t)total->nffree <= sb->size, "fs_cstotal.cs_nffree"},
	};

	return JUDGE(sb->loc, rules);
}

/* The size of a group's block, and whether the maps fit. */
static int
decode_maps(const struct ufs_super_disk *disk, struct ufs_super *sb)
{
	bool big = sb->big;
	struct ufs_cg_layout maps;

	sb->cgsize = raw32_get(disk->cgsize, big);
	sb->contigsumsize = raw32_get(disk->contigsumsize, big);
	sb->old_cpg = raw32_get(disk->old_cpg, big);
	sb->old_nrpos = raw32_get(disk->old_nrpos, big);
	ufs_cg_layout(sb, &maps);

	const struct rule rules[] = {
	    {sb->cgsize >= sizeof(struct ufs_cg_disk) &&
		    sb->cgsize <= sb->bsize &&
		    sb->cgsize <= (sb->iblkno - sb->cblkno) << sb->fshift,
		"fs_cgsize"},
	    {sb->contigsumsize <= UFS_CONTIG_MAX, "fs_contigsumsize"},
	    {sb->version == 2 || (sb->old_cpg <= 4096 && sb->old_nrpos <= 256),
		"fs_old_cpg"},
	    {maps.nextfreeoff <= sb->cgsize, "fs_fpg"},
	};

	return JUDGE(sb->loc, rules);
}

/* Largest size a file may have, in bytes (formats.md 2.7, trap 51). */
static uint64_t
max_file_size(const struct ufs_super *sb, uint64_t stored)
{
	uint64_t n = sb->nindir;
	uint64_t most = (UFS_NDIRECT + n + n * n + n * n * n) * sb->bsize - 1;
	uint64_t ufs1_most = 0x40000000ull * sb->bsize - 1;

	if (stored != 0 && stored < most)
		most = stored;
	if (sb->version == 1 && most > ufs1_most)
		most = ufs1_most; /* fsck's limit: lbn is 31 bits there */
	return most;
}

/* What only old UFS1 has; all of that we read and do not write. */
static int
decode_dialect(const struct ufs_super_disk *disk, struct ufs_super *sb)
{
	int32_t symlink = (int32_t)raw32_get(disk->maxsymlinklen, sb->big);
	uint32_t most = sb->version == 1 ? 60 : 120;
	const struct rule rules[] = {
	    {symlink <= (int32_t)most && (symlink > 0 || sb->version == 1),
		"fs_maxsymlinklen"},
	};

	sb->maxsymlinklen = symlink > 0 ? (uint32_t)symlink : 0;
	if (sb->version == 1) {
		sb->old_dirs = symlink <= 0;
		sb->old_inodes = raw32_get(disk->old_inodefmt, sb->big) < 2;
		sb->old_layout = sb->old_dirs || sb->old_inodes ||
		    sb->old_cpg != 1 || sb->old_nrpos != 1 ||
		    raw32_get(disk->old_postblformat, sb->big) != 1 ||
		    (sb->cgoffset != 0 && sb->cgmask != UINT32_MAX);
	}
	return JUDGE(sb->loc, rules);
}

static void
decode_flags(const struct ufs_super_disk *disk, struct ufs_super *sb)
{
	bool big = sb->big;

	if (disk->old_flags & UFS_OLD_FLAGS_MOVED) {
		sb->flags = raw32_get(disk->flags, big);
		sb->sblockloc = raw64_get(disk->sblockloc, big);
	} else {
		sb->flags = disk->old_flags;
		sb->sblockloc = sb->loc;
	}
	if (sb->flags & UFS_FS_METACKHASH)
		sb->metackhash = raw32_get(disk->metackhash, big);
	sb->clean = disk->clean;
	for (int i = 0; i < UFS_SNAP_MAX; i++)
		sb->snapinum[i] = raw32_get(disk->snapinum[i], big);
}

/* Advice and names; nothing depends on their values but the writer's taste. */
static void
decode_advice(const struct ufs_super_disk *disk, struct ufs_super *sb)
{
	uint64_t metaspace = raw64_get(disk->metaspace, sb->big);
	uint32_t maxbpg = raw32_get(disk->maxbpg, sb->big);
	uint32_t minfree = raw32_get(disk->minfree, sb->big);
	bool big = sb->big;

	sb->minfree = minfree <= 99 ? minfree : 99;
	sb->optim = raw32_get(disk->optim, big);
	sb->maxcontig = raw32_get(disk->maxcontig, big);
	sb->maxbpg = maxbpg == 0 || maxbpg > INT32_MAX ? INT32_MAX : maxbpg;
	sb->metaspace = metaspace <= sb->fpg / 2 ? (uint32_t)metaspace : 0;
	sb->avgfilesize = raw32_get(disk->avgfilesize, big);
	sb->avgfpdir = raw32_get(disk->avgfpdir, big);
	sb->cgrotor = raw32_get(disk->cgrotor, big);
	sb->providersize = raw64_get(disk->providersize, big);
	sb->mtime = (int64_t)raw64_get(disk->mtime, big);
	sb->id[0] = raw32_get(disk->id[0], big);
	sb->id[1] = raw32_get(disk->id[1], big);
	memcpy(sb->volname, disk->volname, sizeof(disk->volname));
	sb->volname[sizeof(disk->volname)] = '\0';
	sb->maxfilesize = max_file_size(sb, raw64_get(disk->maxfilesize, big));
}

bool
ufs_super_is_home(const uint8_t raw[UFS_SBLOCK_SIZE], uint64_t loc)
{
	struct ufs_super sb = {.loc = loc};
	struct ufs_super_disk disk;

	memcpy(&disk, raw, sizeof(disk));
	sb.version = version_of(&disk, &sb.big);
	return sb.version != 0 && is_at_home(&sb, &disk);
}

int
ufs_super_decode(const uint8_t raw[UFS_SBLOCK_SIZE], uint64_t loc,
    uint64_t dev_size, struct ufs_super *out)
{
	struct ufs_super_disk disk;
	int rc;

	if (!ufs_super_is_home(raw, loc))
		return -EINVAL;
	memcpy(&disk, raw, sizeof(disk));
	memset(out, 0, sizeof(*out));
	out->loc = loc;
	out->version = version_of(&disk, &out->big);
	rc = decode_sizes(&disk, out);
	if (rc == 0)
		rc = decode_groups(&disk, dev_size, out);
	if (rc == 0)
		rc = decode_layout(&disk, out);
	if (rc == 0)
		rc = decode_summaries(&disk, out);
	if (rc == 0)
		rc = decode_maps(&disk, out);
	if (rc == 0)
		rc = decode_dialect(&disk, out);
	if (rc < 0)
		return rc;
	decode_flags(&disk, out);
	decode_advice(&disk, out);
	return 0;
}

static uint32_t
super_hash(const uint8_t *raw, uint32_t sbsize)
{
	struct ufs_super_disk disk;
	uint32_t crc;

	memcpy(&disk, raw, sizeof(disk));
	disk.ckhash = raw32_set(0, false);
	crc = crc32c(0xffffffff, &disk, sizeof(disk));
	return crc32c(crc, raw + sizeof(disk), sbsize - sizeof(disk));
}

bool
ufs_super_hash_ok(
    const struct ufs_super *sb, const uint8_t raw[UFS_SBLOCK_SIZE])
{
	struct ufs_super_disk disk;

	if ((sb->metackhash & UFS_CK_SUPERBLOCK) == 0)
		return true;
	memcpy(&disk, raw, sizeof(disk));
	return raw32_get(disk.ckhash, sb->big) == super_hash(raw, sb->sbsize);
}

/* Keep what UFS1 has in 32 bits in step (trap 47). */
static void
encode_old_fields(const struct ufs_super *sb, struct ufs_super_disk *disk)
{
	struct ufs_csum_disk *cs = &disk->old_cstotal;
	bool big = sb->big;
	uint32_t spc = sb->fpg * (sb->fsize / 512);

	disk->old_time = raw32_set((uint32_t)sb->time, big);
	disk->old_size = raw32_set((uint32_t)sb->size, big);
	disk->old_dsize = raw32_set((uint32_t)sb->dsize, big);
	disk->old_csaddr = raw32_set((uint32_t)sb->csaddr, big);
	cs->ndir = raw32_set((uint32_t)sb->total.ndir, big);
	cs->nbfree = raw32_set((uint32_t)sb->total.nbfree, big);
	cs->nifree = raw32_set((uint32_t)sb->total.nifree, big);
	cs->nffree = raw32_set((uint32_t)sb->total.nffree, big);
	disk->maxbsize = raw32_set(sb->bsize, big);
	if (sb->old_layout)
		return;
	disk->old_ncyl = raw32_set(sb->ncg, big);
	disk->old_spc = raw32_set(spc, big);
	disk->old_nsect = raw32_set(spc, big);
	disk->old_npsect = raw32_set(spc, big);
}

static void
encode_state(const struct ufs_super *sb, struct ufs_super_disk *disk)
{
	bool big = sb->big;

	disk->flags = raw32_set(sb->flags, big);
	if (sb->flags & UFS_FS_METACKHASH)
		disk->metackhash = raw32_set(sb->metackhash, big);
	if ((disk->old_flags & UFS_OLD_FLAGS_MOVED) == 0) {
		disk->old_flags |= UFS_OLD_FLAGS_MOVED;
		disk->sblockloc = raw64_set(sb->sblockloc, big);
	}
	disk->clean = sb->clean;
	disk->fmod = 0;
	disk->ronly = 0;
	/* Work that a kernel had left to do: none in a clean one (2.11). */
	disk->pendingblocks = raw64_set(0, big);
	disk->pendinginodes = raw32_set(0, big);
	disk->unrefs = raw64_set(0, big);
	disk->sujfree = raw32_set(0, big);
	/* Where older makefs and kernels let pointers leak (trap 46). */
	memset(disk->ocsp + (824 - 728), 0, 848 - 824);
	disk->si = raw64_set(0, big);
}

void
ufs_super_encode(
    const struct ufs_super *sb, uint8_t raw[UFS_SBLOCK_SIZE], uint64_t at)
{
	struct ufs_super_disk disk;
	bool big = sb->big;

	memcpy(&disk, raw, sizeof(disk));
	disk.ncg = raw32_set(sb->ncg, big);
	disk.fpg = raw32_set(sb->fpg, big);
	disk.cssize = raw32_set(sb->cssize, big);
	disk.cgsize = raw32_set(sb->cgsize, big);
	disk.cgrotor = raw32_set(sb->cgrotor, big);
	disk.providersize = raw64_set(sb->providersize, big);
	disk.time = raw64_set((uint64_t)sb->time, big);
	disk.size = raw64_set(sb->size, big);
	disk.dsize = raw64_set(sb->dsize, big);
	disk.csaddr = raw64_set(sb->csaddr, big);
	disk.ndir = raw64_set((uint64_t)sb->total.ndir, big);
	disk.nbfree = raw64_set((uint64_t)sb->total.nbfree, big);
	disk.nifree = raw64_set((uint64_t)sb->total.nifree, big);
	disk.nffree = raw64_set((uint64_t)sb->total.nffree, big);
	encode_state(sb, &disk);
	if (sb->version == 1)
		encode_old_fields(sb, &disk);
	/* Tools that never stored a place keep none. */
	if (raw64_get(disk.sblockactualloc, big) != 0)
		disk.sblockactualloc = raw64_set(at, big);
	memcpy(raw, &disk, sizeof(disk));
	if (sb->metackhash & UFS_CK_SUPERBLOCK) {
		disk.ckhash = raw32_set(super_hash(raw, sb->sbsize), big);
		memcpy(raw, &disk, sizeof(disk));
	}
}

/* -- cylinder groups ------------------------------------------------------ */

uint32_t
ufs_cg_hash(const struct ufs_super *sb, const uint8_t *cg)
{
	const size_t at = offsetof(struct ufs_cg_disk, ckhash);
	static const uint8_t zero[4];
	uint32_t crc;

	crc = crc32c(0xffffffff, cg, at);
	crc = crc32c(crc, zero, sizeof(zero));
	return crc32c(crc, cg + at + 4, sb->cgsize - at - 4);
}

void
ufs_cg_layout(const struct ufs_super *sb, struct ufs_cg_layout *out)
{
	uint32_t base = sizeof(struct ufs_cg_disk);

	memset(out, 0, sizeof(*out));
	out->iusedoff = base;
	if (sb->version == 1) {
		out->old_btotoff = base;
		out->old_boff = base + 4 * sb->old_cpg;
		out->iusedoff = out->old_boff + 2 * sb->old_cpg * sb->old_nrpos;
	}
	out->freeoff = out->iusedoff + (sb->ipg + 7) / 8;
	out->nextfreeoff = out->freeoff + (sb->fpg + 7) / 8;
	if (sb->contigsumsize > 0) {
		/* Entry 0 of the sums overlaps the free map (trap 20). */
		out->clustersumoff = (out->nextfreeoff - 4 + 3) & ~3u;
		out->clusteroff =
		    out->clustersumoff + 4 * (sb->contigsumsize + 1);
		out->nextfreeoff =
		    out->clusteroff + ((sb->fpg >> sb->fragshift) + 7) / 8;
	}
}
