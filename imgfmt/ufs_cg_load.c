#include <string.h>

#include "log.h"
#include "ufs_impl.h"

/*
 * Groups are read when they are wanted, never all at once: the time to open
 * a file system does not depend on its size.  Who only looks wants one number
 * of a group (how many of its inodes mean something); keeping whole groups
 * for that would let a hostile image fill the memory, so it is noted and the
 * group dropped.
 */

struct rule {
	bool holds;
	const char *field;
};

static uint64_t
cg_off(const struct ufs *fs, uint32_t cgx)
{
	return ufs_frag_off(&fs->sb, ufs_cgtod(&fs->sb, cgx));
}

static int
cg_fault(const struct ufs *fs, uint32_t cgx, const char *what)
{
	log_error("ufs: cylinder group %u at byte %llu: \"%s\" is wrong", cgx,
	    (unsigned long long)cg_off(fs, cgx), what);
	return -ECORRUPT;
}

static bool
hash_ok(const struct ufs *fs, const uint8_t *raw)
{
	struct ufs_cg_disk disk;

	if ((fs->sb.metackhash & UFS_CK_CYLGRP) == 0)
		return true;
	memcpy(&disk, raw, sizeof(disk));
	return raw32_get(disk.ckhash, fs->sb.big) == ufs_cg_hash(&fs->sb, raw);
}

/* The maps lie where every tool puts them (formats.md 2.6). */
static bool
maps_ok(const struct ufs *fs, const struct ufs_cg_disk *disk)
{
	const struct ufs_cg_layout *want = &fs->layout;
	bool big = fs->sb.big;

	if (raw32_get(disk->iusedoff, big) != want->iusedoff ||
	    raw32_get(disk->freeoff, big) != want->freeoff ||
	    raw32_get(disk->nextfreeoff, big) != want->nextfreeoff)
		return false;
	return fs->sb.contigsumsize == 0 ||
	    (raw32_get(disk->clustersumoff, big) == want->clustersumoff &&
		raw32_get(disk->clusteroff, big) == want->clusteroff);
}

static void
decode_counts(
    const struct ufs *fs, const struct ufs_cg_disk *disk, struct ufs_cg *cg)
{
	const struct ufs_super *sb = &fs->sb;
	bool big = sb->big;

	cg->nfrags = ufs_cg_frags(sb, cg->cgx);
	cg->nblocks = cg->nfrags >> sb->fragshift;
	cg->ninited =
	    sb->version == 1 ? sb->ipg : raw32_get(disk->initediblk, big);
	cg->cs.ndir = (int32_t)raw32_get(disk->cs.ndir, big);
	cg->cs.nbfree = (int32_t)raw32_get(disk->cs.nbfree, big);
	cg->cs.nifree = (int32_t)raw32_get(disk->cs.nifree, big);
	cg->cs.nffree = (int32_t)raw32_get(disk->cs.nffree, big);
	/* Rotors are advice: one out of range starts anew. */
	cg->rotor = raw32_get(disk->rotor, big);
	if (cg->rotor >= cg->nfrags)
		cg->rotor = 0;
	cg->frotor = raw32_get(disk->frotor, big);
	if (cg->frotor >= cg->nfrags)
		cg->frotor = 0;
	cg->irotor = raw32_get(disk->irotor, big);
	if (cg->irotor >= sb->ipg)
		cg->irotor = 0;
}

/* Decode and judge; said: a fault of it has been told before. */
static int
cg_decode(const struct ufs *fs, struct ufs_cg *cg, bool said)
{
	const struct ufs_super *sb = &fs->sb;
	struct ufs_cg_disk disk;
	bool big = sb->big;

	memcpy(&disk, cg->raw, sizeof(disk));
	decode_counts(fs, &disk, cg);

	uint32_t niblk = sb->version == 1 ? raw16_get(disk.old_niblk, big)
					  : raw32_get(disk.niblk, big);
	const struct rule rules[] = {
	    {raw32_get(disk.magic, big) == UFS_CG_MAGIC, "cg_magic"},
	    {hash_ok(fs, cg->raw), "cg_ckhash"},
	    {raw32_get(disk.cgx, big) == cg->cgx, "cg_cgx"},
	    {raw32_get(disk.ndblk, big) == cg->nfrags, "cg_ndblk"},
	    {niblk == sb->ipg, "cg_niblk"},
	    {cg->ninited <= sb->ipg, "cg_initediblk"},
	    {maps_ok(fs, &disk), "cg_iusedoff"},
	    {cg->cs.ndir >= 0 && cg->cs.ndir <= sb->ipg, "cs_ndir"},
	    {cg->cs.nifree >= 0 && cg->cs.nifree <= sb->ipg, "cs_nifree"},
	    {cg->cs.nbfree >= 0 && cg->cs.nbfree <= cg->nblocks, "cs_nbfree"},
	    {cg->cs.nffree >= 0 && cg->cs.nffree <= cg->nfrags, "cs_nffree"},
	};

	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		if (rules[i].holds)
			continue;
		cg->bad = true;
		return said ? -ECORRUPT : cg_fault(fs, cg->cgx, rules[i].field);
	}
	return 0;
}

static void
cg_freep(struct ufs_cg **cg)
{
	ufs_cg_free(*cg);
}

/* Read group cgx; a damaged one comes as well, marked. */
static int
cg_load(const struct ufs *fs, uint32_t cgx, bool said, struct ufs_cg **out)
{
	scoped(cg_freep) struct ufs_cg *cg = calloc(1, sizeof(*cg));
	int rc;

	if (cg == NULL)
		return -ENOMEM;
	cg->cgx = cgx;
	cg->raw = malloc(fs->sb.cgsize);
	if (cg->raw == NULL)
		return -ENOMEM;
	rc = blkdev_read(fs->dev, cg_off(fs, cgx), cg->raw, fs->sb.cgsize);
	if (rc < 0)
		return rc;
	rc = cg_decode(fs, cg, said);
	if (rc < 0 && rc != -ECORRUPT)
		return rc;
	*out = cg;
	cg = NULL; /* now the caller's */
	return 0;
}

void
ufs_cg_free(struct ufs_cg *cg)
{
	if (cg == NULL)
		return;
	free(cg->raw);
	free(cg);
}

/* The group, if it is in core; *seen: it was looked at before. */
static struct ufs_cg *
cg_in_core(struct ufs *fs, uint32_t cgx, bool *seen)
{
	struct ufs_cg *cg;

	pthread_mutex_lock(&fs->nodes_lock);
	cg = fs->cgs[cgx];
	*seen = cgx < fs->ninited_n && fs->ninited[cgx] != 0;
	pthread_mutex_unlock(&fs->nodes_lock);
	return cg;
}

int
ufs_cg_get(struct ufs *fs, uint32_t cgx, struct ufs_cg **out)
{
	bool seen;
	struct ufs_cg *cg = cg_in_core(fs, cgx, &seen), *spare = NULL;
	int rc;

	if (cg == NULL) {
		rc = cg_load(fs, cgx, seen, &cg);
		if (rc < 0)
			return rc;
		/* They follow from the map; makefs leaves those of big-endian
		 * UFS2 images in the wrong byte order. */
		if (!cg->bad)
			ufs_cg_count_clusters(&fs->sb, cg->raw, cg->nblocks);
		pthread_mutex_lock(&fs->nodes_lock);
		if (fs->cgs[cgx] == NULL) {
			fs->cgs[cgx] = cg;
		} else { /* another reader was faster */
			spare = cg;
			cg = fs->cgs[cgx];
		}
		pthread_mutex_unlock(&fs->nodes_lock);
		ufs_cg_free(spare);
	}
	if (cg->bad)
		return -ECORRUPT;
	*out = cg;
	return 0;
}

/* What is known of group cgx without reading it. */
static bool
ninited_known(struct ufs *fs, uint32_t cgx, uint32_t *out)
{
	struct ufs_cg *cg;
	bool known = true;

	pthread_mutex_lock(&fs->nodes_lock);
	cg = fs->cgs[cgx];
	if (cg != NULL)
		*out = cg->bad ? fs->sb.ipg : cg->ninited;
	else if (cgx < fs->ninited_n && fs->ninited[cgx] != 0)
		*out = fs->ninited[cgx] - 1;
	else
		known = false;
	pthread_mutex_unlock(&fs->nodes_lock);
	return known;
}

/* Room for groups that growing has added; by nodes_lock. */
static void
ninited_grow(struct ufs *fs)
{
	uint32_t old = fs->ninited_n, n = fs->sb.ncg;
	uint32_t *more = realloc(fs->ninited, n * sizeof(*more));

	if (more == NULL)
		return;
	memset(more + old, 0, (n - old) * sizeof(*more));
	fs->ninited = more;
	fs->ninited_n = n;
}

static void
ninited_note(struct ufs *fs, uint32_t cgx, uint32_t n)
{
	pthread_mutex_lock(&fs->nodes_lock);
	if (cgx >= fs->ninited_n)
		ninited_grow(fs);
	if (cgx < fs->ninited_n)
		fs->ninited[cgx] = n + 1;
	pthread_mutex_unlock(&fs->nodes_lock);
}

int
ufs_cg_ninited(struct ufs *fs, uint32_t cgx, uint32_t *out)
{
	scoped(cg_freep) struct ufs_cg *cg = NULL;
	int rc;

	if (fs->sb.version == 1) {
		*out = fs->sb.ipg;
		return 0;
	}
	if (ninited_known(fs, cgx, out))
		return 0;
	rc = cg_load(fs, cgx, false, &cg);
	if (rc < 0)
		return rc;
	*out = cg->bad ? fs->sb.ipg : cg->ninited;
	ninited_note(fs, cgx, *out);
	return 0;
}
