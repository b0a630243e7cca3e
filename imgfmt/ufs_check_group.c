/*
 * Phase 5: what each cylinder group must look like, built from what phases 1
 * to 4 found, against what is there, byte for byte (formats.md 2.6, 2.14).
 * Times, rotors, the count of unreferenced inodes and the hash are taken over.
 */
#include <inttypes.h>
#include <string.h>

#include "bitmap.h"
#include "log.h"
#include "ufs_check_impl.h"

/* A group and how it ought to be. */
struct group {
	struct ufs_fsck *f;
	uint32_t cgx, nfrags;
	uint32_t btotoff, boff, iusedoff, freeoff, sumoff, clusteroff, end;
	uint64_t at; /* byte offset of the block */
	uint8_t *want, *have;
	struct ufs_csum cs;
};

/* As fsck places the maps; not ufs_cg_layout, which is the engine's too. */
static void
place_maps(struct group *g)
{
	const struct ufs_super *sb = &g->f->sb;
	uint32_t end = sizeof(struct ufs_cg_disk);

	if (sb->version == 1) {
		g->btotoff = end;
		g->boff = g->btotoff + 4 * sb->old_cpg;
		end = g->boff + 2 * sb->old_cpg * sb->old_nrpos;
	}
	g->iusedoff = end;
	g->freeoff = g->iusedoff + (sb->ipg + 7) / 8;
	g->end = g->freeoff + (sb->fpg + 7) / 8;
	if (sb->contigsumsize == 0)
		return;
	g->sumoff = (g->end - 4 + 3) & ~3u;
	g->clusteroff = g->sumoff + 4 * (sb->contigsumsize + 1);
	g->end = g->clusteroff + (sb->fpg / sb->frag + 7) / 8;
}

/* A rotor out of range would be reset by fsck. */
static raw32
rotor(const struct group *g, raw32 have, uint32_t limit)
{
	return raw32_get(have, g->f->sb.big) < limit ? have : (raw32){{0}};
}

static void
build_head(struct group *g)
{
	const struct ufs_super *sb = &g->f->sb;
	struct ufs_cg_disk *w = (struct ufs_cg_disk *)g->want;
	const struct ufs_cg_disk *h = (const struct ufs_cg_disk *)g->have;
	bool big = sb->big;

	w->magic = raw32_set(UFS_CG_MAGIC, big);
	w->cgx = raw32_set(g->cgx, big);
	w->ndblk = raw32_set(g->nfrags, big);
	w->old_time = h->old_time;
	w->time = h->time;
	w->unrefs = h->unrefs;
	w->ckhash = h->ckhash;
	w->rotor = rotor(g, h->rotor, g->nfrags);
	w->frotor = rotor(g, h->frotor, g->nfrags);
	w->irotor = rotor(g, h->irotor, sb->ipg);
	w->iusedoff = raw32_set(g->iusedoff, big);
	w->freeoff = raw32_set(g->freeoff, big);
	w->nextfreeoff = raw32_set(g->end, big);
	if (sb->contigsumsize > 0) {
		w->clustersumoff = raw32_set(g->sumoff, big);
		w->clusteroff = raw32_set(g->clusteroff, big);
		w->nclusterblks = raw32_set(g->nfrags / sb->frag, big);
	}
	if (sb->version == 2) {
		uint32_t inited = raw32_get(h->initediblk, big);

		w->niblk = raw32_set(sb->ipg, big);
		w->initediblk =
		    raw32_set(inited < sb->ipg ? inited : sb->ipg, big);
		return;
	}
	w->old_ncyl = raw16_set((uint16_t)sb->old_cpg, big);
	if (g->cgx == sb->ncg - 1 && sb->old_cpg > 0 &&
	    sb->fpg >= sb->old_cpg) {
		uint32_t cyl = sb->fpg / sb->old_cpg;

		w->old_ncyl =
		    raw16_set((uint16_t)((g->nfrags + cyl - 1) / cyl), big);
	}
	w->old_niblk = raw16_set((uint16_t)sb->ipg, big);
	w->old_btotoff = raw32_set(g->btotoff, big);
	w->old_boff = raw32_set(g->boff, big);
}

static void
build_inode_map(struct group *g)
{
	const struct ufs_super *sb = &g->f->sb;
	const struct ufs_fsck_inode *known =
	    g->f->inodes + (uint64_t)g->cgx * sb->ipg;

	g->cs.nifree = sb->ipg;
	for (uint32_t i = 0; i < sb->ipg; i++) {
		if (known[i].type == 0 && (g->cgx != 0 || i >= UFS_ROOT))
			continue;
		bit_set(g->want + g->iusedoff, i);
		g->cs.nifree--;
		g->cs.ndir += known[i].type == UFS_DT_DIR;
	}
}

static void
bump(uint8_t *at, bool big)
{
	raw32 *n = (raw32 *)at;

	*n = raw32_set(raw32_get(*n, big) + 1, big);
}

/* Count the runs of free fragments of a partly free block. */
static void
count_runs(struct group *g, uint32_t first, uint32_t end)
{
	struct ufs_cg_disk *w = (struct ufs_cg_disk *)g->want;
	uint32_t run = 0;

	for (uint32_t i = first; i < end; i++) {
		if (bit_is_set(g->want + g->freeoff, i)) {
			run++;
			continue;
		}
		if (run > 0)
			bump(w->frsum[run].b, g->f->sb.big);
		run = 0;
	}
	if (run > 0)
		bump(w->frsum[run].b, g->f->sb.big);
}

static void
build_frag_map(struct group *g)
{
	const struct ufs_super *sb = &g->f->sb;
	uint64_t base = ufs_cgbase(sb, g->cgx);

	for (uint32_t b = 0; b < g->nfrags; b += sb->frag) {
		uint32_t end = b + sb->frag, nfree = 0;

		for (uint32_t i = b; i < end && i < g->nfrags; i++) {
			if (bit_is_set(g->f->used, base + i))
				continue;
			bit_set(g->want + g->freeoff, i);
			nfree++;
		}
		if (nfree == sb->frag) {
			g->cs.nbfree++;
			if (sb->contigsumsize > 0)
				bit_set(g->want + g->clusteroff,
				    b >> sb->fragshift);
		} else if (nfree > 0) {
			g->cs.nffree += nfree;
			count_runs(g, b, end < g->nfrags ? end : g->nfrags);
		}
	}
}

static void
build_cluster_sums(struct group *g)
{
	const struct ufs_super *sb = &g->f->sb;
	uint32_t nblocks = g->nfrags >> sb->fragshift;
	const uint8_t *map = g->want + g->clusteroff;
	size_t b = 0;

	while (sb->contigsumsize > 0 && b < nblocks) {
		size_t from = bits_find(map, b, nblocks, true);
		size_t run;

		b = bits_find(map, from, nblocks, false);
		run = b - from;
		if (run > sb->contigsumsize)
			run = sb->contigsumsize;
		if (run > 0)
			bump(g->want + g->sumoff + 4 * run, sb->big);
	}
}

static void
build(struct group *g)
{
	struct ufs_cg_disk *w = (struct ufs_cg_disk *)g->want;
	bool big = g->f->sb.big;

	memset(g->want, 0, g->f->sb.bsize);
	memset(&g->cs, 0, sizeof(g->cs));
	build_head(g);
	build_inode_map(g);
	build_frag_map(g);
	build_cluster_sums(g);
	w->cs.ndir = raw32_set((uint32_t)g->cs.ndir, big);
	w->cs.nbfree = raw32_set((uint32_t)g->cs.nbfree, big);
	w->cs.nifree = raw32_set((uint32_t)g->cs.nifree, big);
	w->cs.nffree = raw32_set((uint32_t)g->cs.nffree, big);
}

/* Every field of a group's head, in order and without gaps. */
static const struct {
	const char *name;
	uint16_t off, len;
} head_fields[] = {
#define HEAD(x) \
	{ \
		"cg_" #x, offsetof(struct ufs_cg_disk, x), \
		    sizeof(((struct ufs_cg_disk *)0)->x) \
	}
    HEAD(firstfield),
    HEAD(magic),
    HEAD(old_time),
    HEAD(cgx),
    HEAD(old_ncyl),
    HEAD(old_niblk),
    HEAD(ndblk),
    HEAD(cs.ndir),
    HEAD(cs.nbfree),
    HEAD(cs.nifree),
    HEAD(cs.nffree),
    HEAD(rotor),
    HEAD(frotor),
    HEAD(irotor),
    HEAD(frsum),
    HEAD(old_btotoff),
    HEAD(old_boff),
    HEAD(iusedoff),
    HEAD(freeoff),
    HEAD(nextfreeoff),
    HEAD(clustersumoff),
    HEAD(clusteroff),
    HEAD(nclusterblks),
    HEAD(niblk),
    HEAD(initediblk),
    HEAD(unrefs),
    HEAD(sparecon32),
    HEAD(ckhash),
    HEAD(time),
    HEAD(sparecon64),
#undef HEAD
};

static void
compare_head(const struct group *g)
{
	bool big = g->f->sb.big;

	for (size_t i = 0; i < sizeof(head_fields) / sizeof(head_fields[0]);
	     i++) {
		const uint8_t *have = g->have + head_fields[i].off;
		const uint8_t *want = g->want + head_fields[i].off;

		if (memcmp(have, want, head_fields[i].len) == 0)
			continue;
		if (head_fields[i].len != 4)
			ufs_fsck_fault(g->f,
			    "cylinder group %" PRIu32 " at %" PRIu64
			    ": '%s' is wrong",
			    g->cgx, g->at, head_fields[i].name);
		else
			ufs_fsck_fault(g->f,
			    "cylinder group %" PRIu32 " at %" PRIu64
			    ": '%s' is %" PRIu32 ", must be %" PRIu32,
			    g->cgx, g->at, head_fields[i].name,
			    raw32_get(*(const raw32 *)have, big),
			    raw32_get(*(const raw32 *)want, big));
	}
}

/* What a bit of a map stands for. */
struct map_kind {
	const char *what;       /* the thing a bit stands for */
	const char *set, *not ; /* what the bit claims */
	uint64_t first;         /* number of the first */
	uint32_t off, nbits;
};

/* One line for a map: the first wrong bit and how many there are. */
static void
compare_map(const struct group *g, const struct map_kind *m)
{
	uint64_t wrong = 0, first = 0;

	for (uint64_t i = 0; i < ((uint64_t)m->nbits + 7) / 8 * 8; i++) {
		if (i % 8 == 0 &&
		    g->have[m->off + i / 8] == g->want[m->off + i / 8]) {
			i += 7;
			continue;
		}
		if (bit_is_set(g->have + m->off, i) ==
		    bit_is_set(g->want + m->off, i))
			continue;
		if (wrong++ == 0)
			first = i;
	}
	if (wrong > 0)
		ufs_fsck_fault(g->f,
		    "cylinder group %" PRIu32 " at %" PRIu64 ": %s %" PRIu64
		    " is marked %s (%" PRIu64 " wrong bits in all)",
		    g->cgx, g->at, m->what, m->first + first,
		    bit_is_set(g->have + m->off, first) ? m->set : m->not,
		    wrong);
}

/*
 * A sum in the other byte order is makefs's doing: it counts in the host's,
 * whatever -B says, and nobody but fsck_ffs minds.
 */
static void
compare_sum(const struct group *g, uint32_t k, raw32 have, raw32 want)
{
	bool big = g->f->sb.big;

	if (memcmp(&have, &want, sizeof(have)) == 0)
		return;
	if (raw32_get(have, !big) == raw32_get(want, big))
		log_warn("cylinder group %" PRIu32 " at %" PRIu64
			 ": cluster sum %" PRIu32
			 " has the wrong byte order, as makefs leaves it",
		    g->cgx, g->at, k);
	else
		ufs_fsck_fault(g->f,
		    "cylinder group %" PRIu32 " at %" PRIu64
		    ": cluster sum %" PRIu32 " is %" PRIu32
		    ", must be %" PRIu32,
		    g->cgx, g->at, k, raw32_get(have, big),
		    raw32_get(want, big));
}

static void
compare_sums(const struct group *g)
{
	uint32_t off = g->sumoff + 4;

	/* Entry 0 overlaps the map before it (trap 20). */
	for (uint32_t k = 1; k <= g->f->sb.contigsumsize; k++, off += 4)
		compare_sum(g, k, *(const raw32 *)(g->have + off),
		    *(const raw32 *)(g->want + off));
}

static void
compare_maps(const struct group *g)
{
	const struct ufs_super *sb = &g->f->sb;
	uint32_t mapend = g->freeoff + (sb->fpg + 7) / 8;
	struct map_kind inodes = {"inode", "used", "free",
	    (uint64_t)g->cgx * sb->ipg, g->iusedoff, sb->ipg};
	struct map_kind frags = {"fragment", "free", "used",
	    ufs_cgbase(sb, g->cgx), g->freeoff, sb->fpg};
	struct map_kind blocks = {"block", "free", "used",
	    ufs_cgbase(sb, g->cgx) >> sb->fragshift, g->clusteroff,
	    sb->fpg >> sb->fragshift};

	compare_map(g, &inodes);
	compare_map(g, &frags);
	if (sb->contigsumsize == 0)
		return;
	for (uint32_t i = mapend; i < g->sumoff + 4; i++)
		if (g->have[i] != 0)
			ufs_fsck_fault(g->f,
			    "cylinder group %" PRIu32 " at %" PRIu64
			    ": byte %" PRIu32 " must be zero",
			    g->cgx, g->at, i);
	compare_sums(g);
	compare_map(g, &blocks);
}

static void
compare_hash(const struct group *g)
{
	const struct ufs_cg_disk *h = (const struct ufs_cg_disk *)g->have;

	if ((g->f->sb.metackhash & UFS_CK_CYLGRP) != 0 &&
	    raw32_get(h->ckhash, g->f->sb.big) !=
		ufs_cg_hash(&g->f->sb, g->have))
		ufs_fsck_fault(g->f,
		    "cylinder group %" PRIu32 " at %" PRIu64
		    ": check hash is wrong",
		    g->cgx, g->at);
}

static void
compare_summary(const struct group *g, const struct ufs_csum_disk *have)
{
	const struct ufs_cg_disk *w = (const struct ufs_cg_disk *)g->want;
	const struct ufs_super *sb = &g->f->sb;

	if (memcmp(have, &w->cs, sizeof(*have)) != 0)
		ufs_fsck_fault(g->f,
		    "summary of cylinder group %" PRIu32 " at %" PRIu64
		    " differs from what is in the group",
		    g->cgx,
		    ufs_frag_off(sb, sb->csaddr) +
			(uint64_t)g->cgx * sizeof(*have));
}

static int
judge_group(struct group *g, const struct ufs_csum_disk *summary)
{
	const struct ufs_super *sb = &g->f->sb;
	const struct ufs_cg_disk *h = (const struct ufs_cg_disk *)g->have;
	struct ufs_csum *total = &g->f->total;
	int r;

	g->at = ufs_frag_off(sb, ufs_cgtod(sb, g->cgx));
	g->nfrags = ufs_cg_frags(sb, g->cgx);
	r = blkdev_read(g->f->dev, g->at, g->have, sb->cgsize);
	if (r < 0)
		return r;
	build(g);
	total->ndir += g->cs.ndir;
	total->nbfree += g->cs.nbfree;
	total->nifree += g->cs.nifree;
	total->nffree += g->cs.nffree;
	compare_summary(g, summary);
	if (raw32_get(h->magic, sb->big) != UFS_CG_MAGIC) {
		ufs_fsck_fault(g->f,
		    "cylinder group %" PRIu32 " at %" PRIu64 ": no magic",
		    g->cgx, g->at);
		return 0;
	}
	compare_hash(g);
	compare_head(g);
	compare_maps(g);
	return 0;
}

static void
judge_total(struct ufs_fsck *f, const char *name, int64_t have, int64_t want)
{
	if (have != want)
		ufs_fsck_fault(f,
		    "superblock at %" PRIu64 ": '%s' is %" PRId64
		    ", must be %" PRId64,
		    f->sb.loc, name, have, want);
}

static void
judge_totals(struct ufs_fsck *f)
{
	const struct ufs_super_disk *d =
	    (const struct ufs_super_disk *)f->sbraw;
	bool big = f->sb.big;

	judge_total(f, "cs_ndir", f->sb.total.ndir, f->total.ndir);
	judge_total(f, "cs_nbfree", f->sb.total.nbfree, f->total.nbfree);
	judge_total(f, "cs_nifree", f->sb.total.nifree, f->total.nifree);
	judge_total(f, "cs_nffree", f->sb.total.nffree, f->total.nffree);
	judge_total(
	    f, "cs_numclusters", (int64_t)raw64_get(d->numclusters, big), 0);
	for (int i = 0; i < 3; i++)
		judge_total(
		    f, "cs_spare", (int64_t)raw64_get(d->cs_spare[i], big), 0);
}

int
ufs_fsck_groups(struct ufs_fsck *f)
{
	scoped(freep) struct ufs_csum_disk *summary = NULL;
	scoped(freep) uint8_t *want = NULL, *have = NULL;
	struct group g = {.f = f};
	int r;

	summary = malloc(f->sb.cssize);
	g.want = want = malloc(f->sb.bsize);
	g.have = have = malloc(f->sb.bsize);
	if (summary == NULL || want == NULL || have == NULL)
		return -ENOMEM;
	place_maps(&g);
	r = blkdev_read(
	    f->dev, ufs_frag_off(&f->sb, f->sb.csaddr), summary, f->sb.cssize);
	for (; r == 0 && g.cgx < f->sb.ncg; g.cgx++)
		r = judge_group(&g, &summary[g.cgx]);
	if (r == 0)
		judge_totals(f);
	return r;
}
