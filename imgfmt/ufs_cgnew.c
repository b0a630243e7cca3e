/*
 * Cylinder groups made from nothing, and counted anew (formats.md 2.6): what
 * mkfs and growth need, as pure functions of a superblock and a buffer.
 */
#include <string.h>

#include "bitmap.h"
#include "ufs_impl.h"

uint64_t
ufs_cg_bytes(const struct ufs_super *sb, uint32_t ipg, uint32_t fpg)
{
	uint64_t n = 180 + (ipg + 7ull) / 8 + (fpg + 7ull) / 8;

	if (sb->version == 1)
		n += 6;
	if (sb->contigsumsize > 0)
		n += 4ull * sb->contigsumsize +
		    ((fpg >> sb->fragshift) + 7ull) / 8;
	return n;
}

static void
count_block(struct ufs_cg_disk *cg, const uint8_t *map, uint32_t first,
    uint32_t nfrags, bool big)
{
	uint32_t i = first, end = first + nfrags;

	while (i < end) {
		uint32_t from = (uint32_t)bits_find(map, i, end, true);
		uint32_t run;

		i = (uint32_t)bits_find(map, from, end, false);
		run = i - from;
		if (run > 0)
			cg->frsum[run] =
			    raw32_set(raw32_get(cg->frsum[run], big) + 1, big);
	}
}

void
ufs_cg_count_clusters(
    const struct ufs_super *sb, uint8_t *raw, uint32_t nblocks)
{
	struct ufs_cg_layout at;
	uint32_t sums[UFS_CONTIG_MAX + 1] = {0};
	size_t b = 0;

	if (sb->contigsumsize == 0)
		return;
	ufs_cg_layout(sb, &at);
	while (b < nblocks) {
		size_t from = bits_find(raw + at.clusteroff, b, nblocks, true);
		size_t run;

		b = bits_find(raw + at.clusteroff, from, nblocks, false);
		run = b - from;
		if (run > sb->contigsumsize)
			run = sb->contigsumsize;
		sums[run]++;
	}
	/* Entry 0 is not ours (trap 20). */
	for (uint32_t k = 1; k <= sb->contigsumsize; k++) {
		raw32 sum = raw32_set(sums[k], sb->big);

		memcpy(raw + at.clustersumoff + 4 * k, &sum, sizeof(sum));
	}
}

void
ufs_cg_recount(const struct ufs_super *sb, uint8_t *raw, struct ufs_csum *cs)
{
	struct ufs_cg_disk *cg = (struct ufs_cg_disk *)raw;
	uint32_t nfrags = raw32_get(cg->ndblk, sb->big);
	uint32_t nblocks = nfrags >> sb->fragshift;
	struct ufs_cg_layout at;

	ufs_cg_layout(sb, &at);
	cs->nbfree = cs->nffree = 0;
	memset(cg->frsum, 0, sizeof(cg->frsum));
	if (sb->contigsumsize > 0)
		memset(raw + at.clusteroff, 0, at.nextfreeoff - at.clusteroff);
	for (uint32_t i = 0; i < nfrags; i += sb->frag) {
		uint32_t n = nfrags - i < sb->frag ? nfrags - i : sb->frag;
		size_t nfree = bits_count(raw + at.freeoff, i, i + n);

		if (nfree < sb->frag) {
			cs->nffree += (int64_t)nfree;
			count_block(cg, raw + at.freeoff, i, n, sb->big);
			continue;
		}
		cs->nbfree++;
		if (sb->contigsumsize > 0)
			bit_set(raw + at.clusteroff, i >> sb->fragshift);
	}
	ufs_cg_count_clusters(sb, raw, nblocks);
	cg->cs.nbfree = raw32_set((uint32_t)cs->nbfree, sb->big);
	cg->cs.nffree = raw32_set((uint32_t)cs->nffree, sb->big);
}

void
ufs_cg_head(const struct ufs_super *sb, uint32_t cgx, uint8_t *raw)
{
	struct ufs_cg_disk *cg = (struct ufs_cg_disk *)raw;
	uint32_t nfrags = ufs_cg_frags(sb, cgx);
	struct ufs_cg_layout at;
	bool big = sb->big;

	ufs_cg_layout(sb, &at);
	cg->magic = raw32_set(UFS_CG_MAGIC, big);
	cg->cgx = raw32_set(cgx, big);
	cg->ndblk = raw32_set(nfrags, big);
	cg->old_btotoff = raw32_set(at.old_btotoff, big);
	cg->old_boff = raw32_set(at.old_boff, big);
	cg->iusedoff = raw32_set(at.iusedoff, big);
	cg->freeoff = raw32_set(at.freeoff, big);
	cg->nextfreeoff = raw32_set(at.nextfreeoff, big);
	cg->clustersumoff = raw32_set(at.clustersumoff, big);
	cg->clusteroff = raw32_set(at.clusteroff, big);
	if (sb->contigsumsize > 0)
		cg->nclusterblks = raw32_set(nfrags >> sb->fragshift, big);
	if (sb->version == 2) {
		cg->niblk = raw32_set(sb->ipg, big);
		return;
	}
	/* Writable UFS1 has one cylinder in each group (formats.md 2.12). */
	cg->old_ncyl = raw16_set(1, big);
	cg->old_niblk = raw16_set((uint16_t)sb->ipg, big);
}

void
ufs_cg_stamp(const struct ufs_super *sb, uint8_t *raw)
{
	struct ufs_cg_disk *cg = (struct ufs_cg_disk *)raw;

	cg->old_time = raw32_set((uint32_t)sb->time, sb->big);
	cg->time = raw64_set((uint64_t)sb->time, sb->big);
	if (sb->metackhash & UFS_CK_CYLGRP)
		cg->ckhash = raw32_set(ufs_cg_hash(sb, raw), sb->big);
}

void
ufs_cg_make(const struct ufs_super *sb, uint32_t cgx, uint32_t taken,
    uint8_t *raw, struct ufs_csum *cs)
{
	struct ufs_cg_disk *cg = (struct ufs_cg_disk *)raw;
	uint32_t nfrags = ufs_cg_frags(sb, cgx);
	uint32_t inited = 2 * sb->inopb < sb->ipg ? 2 * sb->inopb : sb->ipg;
	uint64_t base = ufs_cgbase(sb, cgx);
	uint32_t lower = (uint32_t)(ufs_cgsblock(sb, cgx) - base);
	uint32_t upper = (uint32_t)(ufs_cgdmin(sb, cgx) - base) + taken;
	struct ufs_cg_layout at;

	memset(raw, 0, sb->cgsize);
	memset(cs, 0, sizeof(*cs));
	ufs_cg_layout(sb, &at);
	ufs_cg_head(sb, cgx, raw);
	if (sb->version == 2)
		cg->initediblk = raw32_set(inited, sb->big);
	cs->nifree = sb->ipg;
	if (cgx == 0) {
		bits_fill(raw + at.iusedoff, 0, UFS_ROOT, true);
		cs->nifree -= UFS_ROOT;
		lower = 0; /* boot area and superblock */
	}
	cg->cs.nifree = raw32_set((uint32_t)cs->nifree, sb->big);
	bits_fill(raw + at.freeoff, 0, lower, true);
	bits_fill(raw + at.freeoff, upper, nfrags - upper, true);
	ufs_cg_recount(sb, raw, cs);
}
