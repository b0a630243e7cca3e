/*
 * One test per check: something in a clean image is spoiled, with hashes made
 * good again, and exactly that has to be told.  Here: whole images, the
 * superblock and cylinder groups.
 */
#include "ufs_kit.h"
#include "ufs_verdict.h"

/* -- whole images --------------------------------------------------------- */

static void
laid_images_are_clean(void)
{
	for (int k = 0; k < 4; k++) {
		struct sample s;

		sample_make(&s, 1 + (k & 1), (k & 2) != 0);
		expect(s.dev, 0, "");
		blkdev_close(s.dev);
	}
}

static void
what_freebsd_made_is_clean(void)
{
	static const char *const names[] = {"makefs132-ufs1",
	    "makefs132-ufs1-65536-8192", "makefs132-ufs1-8192-1024",
	    "makefs132-ufs1-be", "makefs132-ufs2", "makefs132-ufs2-65536-8192",
	    "makefs132-ufs2-8192-1024", "makefs132-ufs2-roomy",
	    "newfs132-ufs1-64k64k", "newfs132-ufs1-8k1k",
	    "newfs132-ufs1-default", "newfs132-ufs2-4k512",
	    "newfs132-ufs2-64k8k", "newfs132-ufs2-acl", "newfs132-ufs2-default",
	    "newfs132-ufs2-full", "newfs132-ufs2-nfs4acl", "newfs132-ufs2-suj"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		scoped(blkdev_closep) struct blkdev *dev = kit_device(names[i]);

		if (dev == NULL)
			SKIP("no fixtures");
		expect(dev, 0, "");
		CHECK_EQ(nwarnings, 0);
	}
}

static void
a_superblock_in_the_old_place_is_a_warning(void)
{
	scoped(blkdev_closep) struct blkdev *dev =
	    kit_device("makefs2019-ufs2-sb8192");

	if (dev == NULL)
		SKIP("no fixtures");
	expect(dev, 0, "");
	CHECK_EQ(nwarnings, 1);
}

static void
sums_that_makefs_forgot_to_swap_are_a_warning(void)
{
	scoped(blkdev_closep) struct blkdev *dev =
	    kit_device("makefs132-ufs2-be");

	if (dev == NULL)
		SKIP("no fixtures");
	expect(dev, 0, "");
	CHECK_EQ(nwarnings, 1);
}

static void
a_power_cut_shows(void)
{
	scoped(blkdev_closep) struct blkdev *dev =
	    kit_device("newfs132-ufs2-unclean");

	if (dev == NULL)
		SKIP("no fixtures");
	expect(dev, 1, "not marked clean");
}

static void
no_superblock_is_an_error(void)
{
	struct blkdev *dev;

	CHECK_EQ(blkdev_mem_open(300000, &dev), 0);
	CHECK_EQ(verdict(dev), -EINVAL);
	CHECK(is_told("no UFS superblock"));
	blkdev_close(dev);
	CHECK_EQ(blkdev_mem_open(100, &dev), 0);
	CHECK_EQ(verdict(dev), -EINVAL);
	blkdev_close(dev);
}

/* -- phase 0 -------------------------------------------------------------- */

/* A field of the superblock, what it gets, what is told, how many lines. */
struct super_case {
	uint16_t off;
	uint8_t width;
	uint64_t value;
	const char *told;
	int n;
};

#define FIELD(f) \
	offsetof(struct ufs_super_disk, f), \
	    sizeof(((struct ufs_super_disk *)0)->f)

static void
spoil_super(int version, const struct super_case *cases, size_t n)
{
	for (size_t i = 0; i < 2 * n; i++) {
		const struct super_case *c = &cases[i / 2];
		struct sample s;

		sample_make(&s, version, i % 2 == 1);
		put_number(&s, s.super + c->off, c->width, c->value);
		reseal_super(&s);
		if (c->n >= 0) {
			expect(s.dev, c->n, c->told);
		} else {
			CHECK_EQ(verdict(s.dev), c->n);
			CHECK(is_told(c->told));
		}
		blkdev_close(s.dev);
	}
}

static void
every_wrong_field_of_a_superblock_is_told(void)
{
	static const struct super_case cases[] = {
	    {FIELD(bmask), 0, "'fs_bmask'", 4},
	    {FIELD(fmask), 0, "'fs_fmask'", 4},
	    {FIELD(qbmask), 1, "'fs_qbmask'", 1},
	    {FIELD(qfmask), 1, "'fs_qfmask'", 1},
	    {FIELD(bshift), 1, "'fs_bshift'", 4},
	    {FIELD(fshift), 1, "'fs_fshift'", 4},
	    {FIELD(fragshift), 1, "'fs_fragshift'", 4},
	    {FIELD(fsbtodb), 1, "'fs_fsbtodb'", 4},
	    {FIELD(maxbsize), S_BSIZE * 3, "'fs_maxbsize'", 1},
	    {FIELD(maxbsize), S_BSIZE * 32, "'fs_maxbsize'", 1},
	    {FIELD(maxbsize), S_BSIZE / 2, "'fs_maxbsize'", 1},
	    {FIELD(metaspace), 1000000, "'fs_metaspace'", 1},
	    {FIELD(minfree), 100, "'fs_minfree'", 1},
	    {FIELD(optim), 2, "'fs_optim'", 1},
	    {FIELD(maxcontig), 257, "'fs_maxcontig'", 1},
	    {FIELD(maxcontig), 5, "'fs_contigsumsize'", 1},
	    {FIELD(maxcontig), 0, "'fs_contigsumsize'", 1},
	    {FIELD(maxfilesize), 1ull << 50, "'fs_maxfilesize'", 1},
	    {FIELD(old_cgoffset), 1 << 20, "'fs_old_cgoffset'", 2},
	    {FIELD(clean), 0, "not marked clean", 1},
	    {FIELD(flags), 0x200 | UFS_FS_UNCLEAN, "ask for fsck", 1},
	    {FIELD(flags), 0x200 | UFS_FS_NEEDSFSCK, "ask for fsck", 1},
	    {FIELD(flags), 0x1000200, "reserved flags", 1},
	    {FIELD(fmod), 1, "'fs_fmod'", 1},
	    {FIELD(ronly), 1, "'fs_ronly'", 1},
	    {FIELD(pendingblocks), 8, "'fs_pendingblocks'", 1},
	    {FIELD(pendinginodes), 8, "'fs_pendinginodes'", 1},
	    {FIELD(sujfree), 8, "'fs_sujfree'", 1},
	    {FIELD(numclusters), 8, "'cs_numclusters'", 1},
	    {FIELD(cs_spare[1]), 8, "'cs_spare'", 1},
	    {FIELD(sblkno), 1 << 20, "fs_sblkno", -ECORRUPT},
	    {FIELD(bsize), 4095, "fs_bsize", -ECORRUPT},
	    {FIELD(frag), 16, "fs_frag", -ECORRUPT},
	    {FIELD(fsize), 500, "fs_fsize", -ECORRUPT},
	    {FIELD(ncg), 0, "fs_ncg", -ECORRUPT},
	    {FIELD(ncg), 4, "fs_size", -ECORRUPT},
	    {FIELD(ipg), 1, "fs_ipg", -ECORRUPT},
	    {FIELD(fpg), 3, "fs_fpg", -ECORRUPT},
	    {FIELD(sbsize), 9000, "fs_sbsize", -ECORRUPT},
	    {FIELD(nindir), 7, "fs_nindir", -ECORRUPT},
	    {FIELD(inopb), 7, "fs_inopb", -ECORRUPT},
	    {FIELD(cssize), 1024, "fs_cssize", -ECORRUPT},
	    {FIELD(cgsize), 100000, "fs_cgsize", -ECORRUPT},
	    {FIELD(nifree), 1 << 20, "cs_nifree", -ECORRUPT},
	};

	/* UFS1 takes sizes from elsewhere when fs_maxbsize is off. */
	spoil_super(2, cases, 8);
	spoil_super(2, cases + 8, sizeof(cases) / sizeof(cases[0]) - 8 - 1);
	spoil_super(1, cases, 8);
	spoil_super(1, cases + 11, 7);
}

static void
wrong_places_and_totals_of_a_superblock_are_told(void)
{
	struct sample s;
	struct ufs_super_disk *d = (struct ufs_super_disk *)s.super;
	static const struct {
		size_t off;
		const char *name;
	} totals[] = {
	    {offsetof(struct ufs_super_disk, ndir), "'cs_ndir'"},
	    {offsetof(struct ufs_super_disk, nbfree), "'cs_nbfree'"},
	    {offsetof(struct ufs_super_disk, nifree), "'cs_nifree'"},
	    {offsetof(struct ufs_super_disk, nffree), "'cs_nffree'"},
	    {offsetof(struct ufs_super_disk, dsize), "'fs_dsize'"},
	};

	for (size_t i = 0; i < sizeof(totals) / sizeof(totals[0]); i++) {
		raw64 *total = (raw64 *)(s.super + totals[i].off);

		sample_make(&s, 2, i % 2 == 1);
		*total = raw64_set(raw64_get(*total, s.sb.big) - 1, s.sb.big);
		reseal_super(&s);
		expect(s.dev, 1, totals[i].name);
		blkdev_close(s.dev);
	}
	/* A layout that fits, but is not the one and only. */
	sample_make(&s, 2, false);
	d->sblkno = raw32_set(s.sb.sblkno - 1, false);
	reseal_super(&s);
	CHECK(verdict(s.dev) > 0);
	CHECK(is_told("'fs_sblkno'"));
	blkdev_close(s.dev);
}

static void
wrong_fields_of_one_version_are_told(void)
{
	static const struct super_case ufs2[] = {
	    {FIELD(sblockactualloc), 8192, "'fs_sblockactualloc'", 1},
	    {FIELD(maxsymlinklen), 100, "'fs_maxsymlinklen'", 1},
	};
	static const struct super_case ufs1[] = {
	    {FIELD(sblockactualloc), 65536, "'fs_sblockactualloc'", 1},
	    {FIELD(sblockloc), 65536, "'fs_sblockloc'", 1},
	    {FIELD(maxsymlinklen), 50, "'fs_maxsymlinklen'", 1},
	    {FIELD(old_inodefmt), 1, "'fs_old_inodefmt'", 1},
	    {FIELD(old_rotdelay), 1, "'fs_old_rotdelay'", 1},
	    {FIELD(old_rps), 1, "'fs_old_rps'", 1},
	    {FIELD(old_nspf), 2, "'fs_old_nspf'", 1},
	    {FIELD(old_interleave), 2, "'fs_old_interleave'", 1},
	    {FIELD(old_trackskew), 2, "'fs_old_trackskew'", 1},
	    {FIELD(old_cpc), 2, "'fs_old_cpc'", 1},
	    {FIELD(old_postblformat), 2, "'fs_old_postblformat'", 1},
	    {FIELD(old_spc), 2, "'fs_old_spc'", 1},
	    {FIELD(old_nsect), 2, "'fs_old_nsect'", 1},
	    {FIELD(old_npsect), 2, "'fs_old_npsect'", 1},
	    {FIELD(old_ncyl), 2, "'fs_old_ncyl'", 1},
	    {FIELD(old_size), 2, "'fs_old_size'", 1},
	    {FIELD(old_dsize), 2, "'fs_old_dsize'", 1},
	    {FIELD(old_csaddr), 2, "'fs_old_csaddr'", 1},
	    {FIELD(old_cstotal.ndir), 2, "'fs_old_cstotal.cs_ndir'", 1},
	    {FIELD(old_cstotal.nbfree), 2, "'fs_old_cstotal.cs_nbfree'", 1},
	    {FIELD(old_cstotal.nifree), 2, "'fs_old_cstotal.cs_nifree'", 1},
	    {FIELD(old_cstotal.nffree), 2, "'fs_old_cstotal.cs_nffree'", 1},
	};

	spoil_super(2, ufs2, sizeof(ufs2) / sizeof(ufs2[0]));
	spoil_super(1, ufs1, sizeof(ufs1) / sizeof(ufs1[0]));
}

static void
a_wrong_superblock_hash_is_told(void)
{
	struct sample s;

	sample_make(&s, 2, false);
	s.super[212] = '/'; /* fs_fsmnt, which means nothing */
	sample_write(&s, s.sb.loc, s.super, sbsize_of(&s));
	expect(s.dev, 1, "superblock at 65536: check hash is wrong");
	blkdev_close(s.dev);
}

static void
wrong_backup_superblocks_are_told(void)
{
	for (int version = 1; version <= 2; version++)
		for (uint32_t c = 0; c < 3; c++) {
			struct sample s;
			uint64_t at;

			sample_make(&s, version, false);
			at = ufs_frag_off(&s.sb, ufs_cgsblock(&s.sb, c));
			sample_write(&s, at + UFS_MAGIC_OFF, "", 1);
			expect(s.dev, 1, "no magic");
			/* fs_fpg differs; then only totals, which is normal. */
			sample_write(&s, at, s.super, UFS_SBLOCK_SIZE);
			sample_write(&s, at + 188, "x", 1);
			expect(s.dev, 1, "'fs_fpg' differs");
			sample_write(&s, at, s.super, UFS_SBLOCK_SIZE);
			sample_write(&s, at + 1016, "x", 1);
			expect(s.dev, 0, "");
			blkdev_close(s.dev);
		}
}

static void
a_wrong_recovery_record_is_told(void)
{
	struct sample s;

	sample_make(&s, 2, false);
	sample_write(&s, 65536 - 4, "x", 1);
	expect(s.dev, 1, "recovery record's ncg");
	/* None at all is as good. */
	sample_write(&s, 65536 - 20, "", 1);
	expect(s.dev, 0, "");
	blkdev_close(s.dev);
}

/* -- phase 5 -------------------------------------------------------------- */

/* Times, the count of unreferenced inodes and the hash are not compared. */
static bool
is_compared(uint32_t off)
{
	static const struct {
		size_t from, to;
	} others[] = {
	    {offsetof(struct ufs_cg_disk, old_time),
		offsetof(struct ufs_cg_disk, cgx)},
	    {offsetof(struct ufs_cg_disk, unrefs),
		offsetof(struct ufs_cg_disk, sparecon32)},
	    {offsetof(struct ufs_cg_disk, ckhash),
		offsetof(struct ufs_cg_disk, sparecon64)},
	};

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (off >= others[i].from && off < others[i].to)
			return false;
	return true;
}

static void
every_byte_of_a_head_is_compared(void)
{
	struct sample s;

	sample_make(&s, 2, false);
	load_cg(&s, 1);
	for (uint32_t off = 0; off < sizeof(struct ufs_cg_disk); off++) {
		/* These have tests of their own: not any change is wrong. */
		if ((off >= offsetof(struct ufs_cg_disk, rotor) &&
			off < offsetof(struct ufs_cg_disk, frsum)) ||
		    (off >= offsetof(struct ufs_cg_disk, initediblk) &&
			off < offsetof(struct ufs_cg_disk, unrefs)))
			continue;
		s.cg[off] ^= 0x40;
		reseal_cg(&s, 1);
		expect(s.dev, is_compared(off),
		    is_compared(off) ? "cylinder group 1 at" : "");
		s.cg[off] ^= 0x40;
	}
	blkdev_close(s.dev);
}

static void
rotors_out_of_range_are_told(void)
{
	struct sample s;
	struct ufs_cg_disk *cg = (struct ufs_cg_disk *)s.cg;
	uint32_t nfrags;

	sample_make(&s, 2, false);
	nfrags = ufs_cg_frags(&s.sb, 1);
	load_cg(&s, 1);
	cg->rotor = cg->frotor = raw32_set(nfrags - 1, false);
	cg->irotor = raw32_set(s.sb.ipg - 1, false);
	reseal_cg(&s, 1);
	expect(s.dev, 0, "");
	cg->rotor = raw32_set(nfrags, false);
	reseal_cg(&s, 1);
	expect(s.dev, 1, "'cg_rotor'");
	cg->frotor = raw32_set(nfrags, false);
	reseal_cg(&s, 1);
	expect(s.dev, 2, "'cg_frotor'");
	cg->irotor = raw32_set(s.sb.ipg, false);
	reseal_cg(&s, 1);
	expect(s.dev, 3, "'cg_irotor'");
	blkdev_close(s.dev);
}

static void
more_initialised_inodes_than_there_are_is_told(void)
{
	struct sample s;
	struct ufs_cg_disk *cg = (struct ufs_cg_disk *)s.cg;

	sample_make(&s, 2, false);
	load_cg(&s, 1);
	cg->initediblk = raw32_set(s.sb.ipg + 1, false);
	reseal_cg(&s, 1);
	expect(s.dev, 1, "'cg_initediblk'");
	blkdev_close(s.dev);
}

static void
every_byte_of_the_maps_is_compared(void)
{
	for (int version = 1; version <= 2; version++) {
		struct ufs_cg_layout at;
		struct sample s;

		sample_make(&s, version, false);
		ufs_cg_layout(&s.sb, &at);
		load_cg(&s, 0);
		for (uint32_t off = at.iusedoff; off < at.nextfreeoff; off++) {
			s.cg[off] ^= 0x80;
			reseal_cg(&s, 0);
			expect(s.dev, 1, "cylinder group 0 at");
			s.cg[off] ^= 0x80;
		}
		blkdev_close(s.dev);
	}
}

static void
wrong_maps_are_told_by_name(void)
{
	struct ufs_cg_layout at;
	struct sample s;

	sample_make(&s, 2, false);
	ufs_cg_layout(&s.sb, &at);
	load_cg(&s, 0);
	bit_clear(s.cg + at.iusedoff, S_FILE);
	reseal_cg(&s, 0);
	expect(s.dev, 1, "inode 3 is marked free (1 wrong bits in all)");
	bit_set(s.cg + at.iusedoff, S_FILE);
	bits_fill(s.cg + at.freeoff, 0, 3, true);
	reseal_cg(&s, 0);
	expect(s.dev, 1, "fragment 0 is marked free (3 wrong bits in all)");
	bits_fill(s.cg + at.freeoff, 0, 3, false);
	bit_set(s.cg + at.clusteroff, 0);
	reseal_cg(&s, 0);
	expect(s.dev, 1, "block 0 is marked free (1 wrong bits in all)");
	bit_clear(s.cg + at.clusteroff, 0);
	s.cg[at.clustersumoff + 4]++;
	reseal_cg(&s, 0);
	expect(s.dev, 1, "cluster sum 1 is");
	blkdev_close(s.dev);
}

static void
a_wrong_hash_or_magic_of_a_group_is_told(void)
{
	struct sample s;

	sample_make(&s, 2, false);
	load_cg(&s, 2);
	s.cg[s.sb.cgsize - 1] ^= 1; /* behind the maps: only hashed */
	sample_write(
	    &s, ufs_frag_off(&s.sb, ufs_cgtod(&s.sb, 2)), s.cg, s.sb.cgsize);
	expect(s.dev, 1, "cylinder group 2 at");
	CHECK(is_told("check hash is wrong"));
	s.cg[4] ^= 1;
	reseal_cg(&s, 2);
	expect(s.dev, 1, "no magic");
	blkdev_close(s.dev);
}

static void
a_wrong_summary_is_told(void)
{
	for (uint32_t i = 0; i < 12; i++) {
		struct sample s;

		sample_make(&s, 1 + (int)(i & 1), false);
		sample_write(
		    &s, ufs_frag_off(&s.sb, s.sb.csaddr) + i * 4, "\7\7", 2);
		expect(s.dev, 1, "summary of cylinder group");
		blkdev_close(s.dev);
	}
}

/* -- the call ------------------------------------------------------------- */

static int
count_calls(void *arg, uint64_t done, uint64_t total)
{
	uint64_t *last = arg;

	CHECK(done >= *last && done <= total);
	*last = done;
	return 0;
}

static int
stop_at_once(void *arg, uint64_t done, uint64_t total)
{
	(void)arg;
	(void)done;
	(void)total;
	return -ECANCELED;
}

static void
progress_rises_and_can_stop_the_check(void)
{
	uint64_t last = 0;
	struct sample s;

	sample_make(&s, 2, false);
	CHECK_EQ(ufs_check(s.dev, NULL, 0, count_calls, &last), 0);
	CHECK_EQ(last, 2 * ufs_ninodes(&s.sb));
	CHECK_EQ(ufs_check(s.dev, NULL, 0, stop_at_once, NULL), -ECANCELED);
	blkdev_close(s.dev);
}

static void
faults_beyond_a_hundred_are_counted(void)
{
	struct ufs_dinode d = {0};
	struct sample s;
	int r;

	sample_make(&s, 1, false);
	d.size = 1;
	for (uint64_t ino = s.sb.ipg; ino < 2 * s.sb.ipg; ino++)
		sample_put(&s, ino, &d);
	r = verdict(s.dev);
	CHECK_EQ(r, s.sb.ipg);
	CHECK(r > 100);
	CHECK_EQ(nerrors, 101);
	blkdev_close(s.dev);
}

TESTS({"laid images are clean", laid_images_are_clean},
    {"what FreeBSD made is clean", what_freebsd_made_is_clean},
    {"a superblock in the old place is a warning",
	a_superblock_in_the_old_place_is_a_warning},
    {"sums that makefs forgot to swap are a warning",
	sums_that_makefs_forgot_to_swap_are_a_warning},
    {"a power cut shows", a_power_cut_shows},
    {"no superblock is an error", no_superblock_is_an_error},
    {"every wrong field of a superblock is told",
	every_wrong_field_of_a_superblock_is_told},
    {"wrong places and totals of a superblock are told",
	wrong_places_and_totals_of_a_superblock_are_told},
    {"wrong fields of one version are told",
	wrong_fields_of_one_version_are_told},
    {"a wrong superblock hash is told", a_wrong_superblock_hash_is_told},
    {"wrong backup superblocks are told", wrong_backup_superblocks_are_told},
    {"a wrong recovery record is told", a_wrong_recovery_record_is_told},
    {"every byte of a head is compared", every_byte_of_a_head_is_compared},
    {"rotors out of range are told", rotors_out_of_range_are_told},
    {"more initialised inodes than there are is told",
	more_initialised_inodes_than_there_are_is_told},
    {"every byte of the maps is compared", every_byte_of_the_maps_is_compared},
    {"wrong maps are told by name", wrong_maps_are_told_by_name},
    {"a wrong hash or magic of a group is told",
	a_wrong_hash_or_magic_of_a_group_is_told},
    {"a wrong summary is told", a_wrong_summary_is_told},
    {"progress rises and can stop the check",
	progress_rises_and_can_stop_the_check},
    {"faults beyond a hundred are counted",
	faults_beyond_a_hundred_are_counted})
