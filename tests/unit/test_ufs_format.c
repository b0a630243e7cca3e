/* Superblocks, inodes and groups as bytes: what is refused, what survives. */
#include "check.h"

#include <stddef.h>

#include "../../imgfmt/ufs.h"
#include "../../imgfmt/ufs_format.h"
#include "ufs_kit.h"

enum { SIZE = 8 << 20 };

/* A superblock as mkfs makes it, and where it lies. */
struct sample {
	uint8_t raw[UFS_SBLOCK_SIZE];
	struct ufs_super_disk disk; /* the same, to change */
	struct ufs_super sb;
	uint64_t loc;
	bool big;
};

static void
sample_make(struct sample *s, int version, bool big)
{
	struct ufs_mkfs how = {.version = version,
	    .big_endian = big,
	    .block_size = 8192,
	    .frag_size = 1024,
	    .label = "sample",
	    .check_hashes = version == 2,
	    .time = 1000000000,
	    .ncg = 4};
	struct blkdev *dev;

	memset(s, 0, sizeof(*s));
	s->loc = version == 1 ? 8192 : 65536;
	s->big = big;
	CHECK_EQ(blkdev_mem_open(SIZE, &dev), 0);
	CHECK_EQ(ufs_mkfs(dev, &how), 0);
	CHECK_EQ(blkdev_read(dev, s->loc, s->raw, sizeof(s->raw)), 0);
	blkdev_close(dev);
	memcpy(&s->disk, s->raw, sizeof(s->disk));
	CHECK_EQ(ufs_super_decode(s->raw, s->loc, SIZE, &s->sb), 0);
}

/* Decode with s->disk in place of the superblock; then undo the change. */
static int
sample_decode(struct sample *s, struct ufs_super *out)
{
	uint8_t raw[UFS_SBLOCK_SIZE];
	int rc;

	memcpy(raw, s->raw, sizeof(raw));
	memcpy(raw, &s->disk, sizeof(s->disk));
	rc = ufs_super_decode(raw, s->loc, SIZE, out);
	memcpy(&s->disk, s->raw, sizeof(s->disk));
	return rc;
}

/* -- refusal ------------------------------------------------------------------- */

#define AT(field) offsetof(struct ufs_super_disk, field)

/* One line for each check: the field, its size, a value, what is said. */
static const struct {
	size_t off;
	int bytes;
	int64_t value;
	int version; /* 0: both */
	const char *said;
} lies[] = {
    {AT(bsize), 4, 0, 0, "fs_bsize"},
    {AT(bsize), 4, 2048, 0, "fs_bsize"},
    {AT(bsize), 4, 8193, 0, "fs_bsize"},
    {AT(bsize), 4, 131072, 0, "fs_bsize"},
    {AT(fsize), 4, 0, 0, "fs_fsize"},
    {AT(fsize), 4, 256, 0, "fs_fsize"},
    {AT(fsize), 4, 1000, 0, "fs_fsize"},
    {AT(fsize), 4, 16384, 0, "fs_fsize"},
    {AT(frag), 4, 0, 0, "fs_frag"},
    {AT(frag), 4, 4, 0, "fs_frag"},
    {AT(frag), 4, 16, 0, "fs_frag"},
    {AT(nindir), 4, 1, 0, "fs_nindir"},
    {AT(inopb), 4, 0, 0, "fs_inopb"},
    {AT(sbsize), 4, 0, 0, "fs_sbsize"},
    {AT(sbsize), 4, 1375, 0, "fs_sbsize"},
    {AT(sbsize), 4, 8704, 0, "fs_sbsize"},
    {AT(ncg), 4, 0, 0, "fs_ncg"},
    {AT(ncg), 4, 3, 0, "fs_size"},
    {AT(ncg), 4, 5, 0, "fs_size"},
    {AT(fpg), 4, 0, 0, "fs_fpg"},
    {AT(fpg), 4, 23, 0, "fs_fpg"},
    {AT(fpg), 4, -8, 0, "fs_fpg"},
    {AT(ipg), 4, 0, 0, "fs_ipg"},
    {AT(ipg), 4, 65, 0, "fs_ipg"},
    {AT(ipg), 4, -64, 0, "fs_ipg"},
    {AT(ipg), 4, 1 << 20, 0, "fs_dblkno"},
    {AT(size), 8, 0, 0, "fs_size"},
    {AT(size), 8, 8193, 0, "fs_size"},
    {AT(size), 8, -1, 0, "fs_size"},
    {AT(dsize), 8, 8193, 0, "fs_dsize"},
    {AT(sblkno), 4, 0, 0, "fs_sblkno"},
    {AT(sblkno), 4, -1, 0, "fs_sblkno"},
    {AT(cblkno), 4, 0, 0, "fs_cblkno"},
    {AT(iblkno), 4, 0, 0, "fs_iblkno"},
    {AT(dblkno), 4, 0, 0, "fs_dblkno"},
    {AT(dblkno), 4, 1 << 30, 0, "fs_dblkno"},
    {AT(cssize), 4, 0, 0, "fs_cssize"},
    {AT(cssize), 4, 2048, 0, "fs_cssize"},
    {AT(csaddr), 8, 0, 0, "fs_csaddr"},
    {AT(csaddr), 8, 8192, 0, "fs_csaddr"},
    {AT(csaddr), 8, -1, 0, "fs_csaddr"},
    {AT(cgsize), 4, 0, 0, "fs_cgsize"},
    {AT(cgsize), 4, 9216, 0, "fs_cgsize"},
    {AT(cgsize), 4, 168, 0, "fs_fpg"},
    {AT(contigsumsize), 4, 17, 0, "fs_contigsumsize"},
    {AT(contigsumsize), 4, -1, 0, "fs_contigsumsize"},
    {AT(nifree), 8, -1, 0, "cs_nifree"},
    {AT(nifree), 8, 1 << 30, 0, "cs_nifree"},
    {AT(ndir), 8, -1, 0, "cs_ndir"},
    {AT(ndir), 8, 1 << 30, 0, "cs_ndir"},
    {AT(nbfree), 8, 1025, 0, "cs_nbfree"},
    {AT(nffree), 8, -1, 0, "cs_nffree"},
    {AT(maxsymlinklen), 4, 121, 2, "fs_maxsymlinklen"},
    {AT(maxsymlinklen), 4, 0, 2, "fs_maxsymlinklen"},
    {AT(maxsymlinklen), 4, 61, 1, "fs_maxsymlinklen"},
    {AT(old_cpg), 4, 5000, 1, "fs_old_cpg"},
    {AT(old_nrpos), 4, -1, 1, "fs_old_cpg"},
    {AT(old_cgoffset), 4, -1, 1, "fs_old_cgoffset"},
};

static void
put(struct sample *s, size_t off, int bytes, int64_t value)
{
	uint8_t *at = (uint8_t *)&s->disk + off;
	raw32 narrow = raw32_set((uint32_t)value, s->big);
	raw64 wide = raw64_set((uint64_t)value, s->big);

	if (bytes == 4)
		memcpy(at, &narrow, sizeof(narrow));
	else
		memcpy(at, &wide, sizeof(wide));
}

static void
every_impossible_number_is_refused_and_named(void)
{
	static struct sample s;
	struct ufs_super sb;

	for (int version = 1; version <= 2; version++) {
		for (int big = 0; big < 2; big++) {
			sample_make(&s, version, big);
			kit_capture();
			for (size_t i = 0;
			     i < sizeof(lies) / sizeof(lies[0]); i++) {
				if (lies[i].version == 3 - version)
					continue;
				put(&s, lies[i].off, lies[i].bytes,
				    lies[i].value);
				/* With cgmask 0 the offset matters. */
				if (lies[i].off == AT(old_cgoffset))
					put(&s, AT(old_cgmask), 4, 0);
				CHECK_EQ(sample_decode(&s, &sb), -ECORRUPT);
				CHECK(kit_said(lies[i].said));
			}
		}
	}
}

static void
a_file_system_larger_than_its_device_is_refused(void)
{
	static struct sample s;
	struct ufs_super sb;

	sample_make(&s, 2, false);
	kit_capture();
	CHECK_EQ(
	    ufs_super_decode(s.raw, s.loc, SIZE - 1024, &sb), -ECORRUPT);
	CHECK(kit_said("needs 8388608 bytes, the device has 8387584"));
	CHECK_EQ(ufs_super_decode(s.raw, s.loc, SIZE + 1024, &sb), 0);
}

static void
what_is_no_superblock_is_refused_in_silence(void)
{
	static struct sample s;
	struct ufs_super sb;

	sample_make(&s, 2, false);
	kit_capture();
	s.disk.magic = raw32_set(0x19960408, false); /* newfs broke off */
	CHECK_EQ(sample_decode(&s, &sb), -EINVAL);
	memset(&s.disk, 0, sizeof(s.disk));
	CHECK_EQ(sample_decode(&s, &sb), -EINVAL);
	CHECK_EQ(kit_lines, 0);
}

static void
a_copy_is_not_taken_for_the_superblock(void)
{
	static struct sample s;
	struct ufs_super sb;

	/* UFS1 with blocks of 64 KiB has its first copy at 65536. */
	sample_make(&s, 1, false);
	CHECK_EQ(ufs_super_decode(s.raw, 65536, SIZE, &sb), -EINVAL);
	CHECK_EQ(ufs_super_decode(s.raw, 0, SIZE, &sb), 0);
	sample_make(&s, 2, false);
	CHECK_EQ(ufs_super_decode(s.raw, 8192, SIZE, &sb), -EINVAL);
	CHECK_EQ(ufs_super_decode(s.raw, 262144, SIZE, &sb), -EINVAL);
}

/* -- dialects -------------------------------------------------------------------- */

static void
flags_are_found_where_old_kernels_keep_them(void)
{
	static struct sample s;
	struct ufs_super sb;

	sample_make(&s, 2, false);
	s.disk.old_flags = UFS_FS_DOSOFTDEP;
	s.disk.flags = raw32_set(0xffffffff, false);
	s.disk.sblockloc = raw64_set(0, false);
	CHECK_EQ(sample_decode(&s, &sb), 0);
	CHECK_EQ(sb.flags, UFS_FS_DOSOFTDEP);
	CHECK_EQ(sb.sblockloc, 65536);
	CHECK_EQ(sb.metackhash, 0);
}

static void
encoding_moves_old_flags_to_their_new_place(void)
{
	static struct sample s;
	struct ufs_super sb, again;
	uint8_t raw[UFS_SBLOCK_SIZE];

	sample_make(&s, 1, false);
	memcpy(raw, s.raw, sizeof(raw));
	raw[offsetof(struct ufs_super_disk, old_flags)] = UFS_FS_DOSOFTDEP;
	CHECK_EQ(ufs_super_decode(raw, s.loc, SIZE, &sb), 0);
	ufs_super_encode(&sb, raw, s.loc);
	CHECK_EQ(raw[offsetof(struct ufs_super_disk, old_flags)],
	    UFS_FS_DOSOFTDEP | UFS_OLD_FLAGS_MOVED);
	CHECK_EQ(ufs_super_decode(raw, s.loc, SIZE, &again), 0);
	CHECK_EQ(again.flags, UFS_FS_DOSOFTDEP);
	CHECK_EQ(again.sblockloc, s.loc);
}

static void
a_ufs1_not_yet_upgraded_is_read_from_its_old_fields(void)
{
	static struct sample s;
	struct ufs_super sb, again;
	uint8_t raw[UFS_SBLOCK_SIZE];

	for (int big = 0; big < 2; big++) {
		sample_make(&s, 1, big);
		s.disk.maxbsize = raw32_set(0, big);
		s.disk.size = raw64_set(77, big);
		s.disk.csaddr = raw64_set(77, big);
		s.disk.nifree = raw64_set(1ull << 40, big);
		s.disk.old_time = raw32_set((uint32_t)-5, big);
		memcpy(raw, s.raw, sizeof(raw));
		memcpy(raw, &s.disk, sizeof(s.disk));
		CHECK_EQ(sample_decode(&s, &sb), 0);
		CHECK_EQ(sb.size, s.sb.size);
		CHECK_EQ(sb.dsize, s.sb.dsize);
		CHECK_EQ(sb.csaddr, s.sb.csaddr);
		CHECK_EQ(sb.total.nbfree, s.sb.total.nbfree);
		CHECK_EQ(sb.total.nifree, s.sb.total.nifree);
		CHECK_EQ(sb.time, -5);
		/* Writing upgrades it. */
		ufs_super_encode(&sb, raw, s.loc);
		CHECK_EQ(ufs_super_decode(raw, s.loc, SIZE, &again), 0);
		memcpy(&s.disk, raw, sizeof(s.disk));
		CHECK_EQ(raw32_get(s.disk.maxbsize, big), 8192);
		CHECK_EQ(raw64_get(s.disk.size, big), sb.size);
		CHECK_EQ(again.time, -5);
	}
}

static void
dialects_before_freebsd_5_are_told_apart(void)
{
	static struct sample s;
	struct ufs_super sb;

	sample_make(&s, 1, false);
	CHECK(!s.sb.old_layout && !s.sb.old_dirs && !s.sb.old_inodes);
	s.disk.maxsymlinklen = raw32_set((uint32_t)-1, false);
	CHECK_EQ(sample_decode(&s, &sb), 0);
	CHECK(sb.old_layout && sb.old_dirs && sb.maxsymlinklen == 0);
	s.disk.old_inodefmt = raw32_set(0, false);
	CHECK_EQ(sample_decode(&s, &sb), 0);
	CHECK(sb.old_layout && sb.old_inodes && !sb.old_dirs);
	s.disk.old_nrpos = raw32_set(8, false);
	CHECK_EQ(sample_decode(&s, &sb), 0);
	CHECK(sb.old_layout);
	s.disk.old_postblformat = raw32_set((uint32_t)-1, false);
	CHECK_EQ(sample_decode(&s, &sb), 0);
	CHECK(sb.old_layout);
}

static void
staggered_groups_start_where_the_old_rule_says(void)
{
	static struct sample s;
	struct ufs_super sb;

	sample_make(&s, 1, false);
	s.disk.old_cgoffset = raw32_set(16, false);
	s.disk.old_cgmask = raw32_set(~3u, false);
	CHECK_EQ(sample_decode(&s, &sb), 0);
	CHECK(sb.old_layout);
	CHECK_EQ(ufs_cgstart(&sb, 0), 0);
	CHECK_EQ(ufs_cgstart(&sb, 1), sb.fpg + 16);
	CHECK_EQ(ufs_cgstart(&sb, 3), 3 * sb.fpg + 48);
	CHECK_EQ(ufs_cgbase(&sb, 3), 3 * sb.fpg);
}

static void
the_largest_file_is_what_the_format_can_map(void)
{
	static struct sample s;
	struct ufs_super sb;

	/* formats.md 2.7: UFS2 with 8 KiB; fsck's limit for UFS1. */
	sample_make(&s, 2, false);
	CHECK_EQ(s.sb.maxfilesize, 8804691443711);
	s.disk.maxfilesize = raw64_set(UINT64_MAX, false);
	CHECK_EQ(sample_decode(&s, &sb), 0);
	CHECK_EQ(sb.maxfilesize, 8804691443711);
	s.disk.maxfilesize = raw64_set(12345, false);
	CHECK_EQ(sample_decode(&s, &sb), 0);
	CHECK_EQ(sb.maxfilesize, 12345);
	sample_make(&s, 1, false);
	CHECK_EQ(s.sb.maxfilesize, 0x40000000ll * 8192 - 1);
}

static void
advice_out_of_range_is_put_right(void)
{
	static struct sample s;
	struct ufs_super sb;

	sample_make(&s, 2, false);
	s.disk.maxbpg = raw32_set(0, false);
	s.disk.minfree = raw32_set(1000, false);
	s.disk.metaspace = raw64_set(1ull << 40, false);
	CHECK_EQ(sample_decode(&s, &sb), 0);
	CHECK(sb.maxbpg > 0);
	CHECK_EQ(sb.minfree, 99);
	CHECK_EQ(sb.metaspace, 0);
}

/* -- encoding --------------------------------------------------------------------- */

static void
encoding_what_was_decoded_changes_nothing(void)
{
	static struct sample s;
	uint8_t raw[UFS_SBLOCK_SIZE];

	for (int i = 0; i < 4; i++) {
		sample_make(&s, 1 + i / 2, i % 2);
		memcpy(raw, s.raw, sizeof(raw));
		ufs_super_encode(&s.sb, raw, s.loc);
		CHECK(memcmp(raw, s.raw, sizeof(raw)) == 0);
	}
}

static void
what_changes_is_encoded_in_both_places_of_ufs1(void)
{
	static struct sample s;
	uint8_t raw[UFS_SBLOCK_SIZE];
	struct ufs_super_disk d;
	struct ufs_super sb;

	sample_make(&s, 1, true);
	sb = s.sb;
	sb.ncg = 9;
	sb.size = 9 * sb.fpg;
	sb.dsize = 100;
	sb.csaddr = 200;
	sb.time = 5;
	sb.total = (struct ufs_csum){1, 2, 3, 4};
	memcpy(raw, s.raw, sizeof(raw));
	ufs_super_encode(&sb, raw, s.loc);
	memcpy(&d, raw, sizeof(d));
	CHECK_EQ(raw32_get(d.ncg, true), 9);
	CHECK_EQ(raw32_get(d.old_ncyl, true), 9);
	CHECK_EQ(raw32_get(d.old_size, true), 9 * sb.fpg);
	CHECK_EQ(raw64_get(d.size, true), 9 * sb.fpg);
	CHECK_EQ(raw32_get(d.old_dsize, true), 100);
	CHECK_EQ(raw64_get(d.dsize, true), 100);
	CHECK_EQ(raw32_get(d.old_csaddr, true), 200);
	CHECK_EQ(raw64_get(d.csaddr, true), 200);
	CHECK_EQ(raw32_get(d.old_time, true), 5);
	CHECK_EQ(raw64_get(d.time, true), 5);
	CHECK_EQ(raw32_get(d.old_cstotal.nbfree, true), 2);
	CHECK_EQ(raw64_get(d.nbfree, true), 2);
	CHECK_EQ(raw32_get(d.old_cstotal.nffree, true), 4);
	CHECK_EQ(raw64_get(d.nffree, true), 4);
}

static void
leaked_pointers_become_zero(void)
{
	static struct sample s;
	uint8_t raw[UFS_SBLOCK_SIZE];

	sample_make(&s, 2, false);
	memcpy(raw, s.raw, sizeof(raw));
	memset(raw + 824, 0xaa, 32);
	raw[offsetof(struct ufs_super_disk, fmod)] = 1;
	ufs_super_encode(&s.sb, raw, s.loc);
	CHECK(memcmp(raw, s.raw, sizeof(raw)) == 0);
}

static void
the_superblock_hash_follows_every_change(void)
{
	static struct sample s;
	struct ufs_super sb;
	uint8_t raw[UFS_SBLOCK_SIZE];

	sample_make(&s, 2, false);
	CHECK_EQ(s.sb.metackhash, 7);
	CHECK(ufs_super_hash_ok(&s.sb, s.raw));
	memcpy(raw, s.raw, sizeof(raw));
	raw[700]++; /* volname */
	CHECK(!ufs_super_hash_ok(&s.sb, raw));
	ufs_super_encode(&s.sb, raw, s.loc);
	CHECK(ufs_super_hash_ok(&s.sb, raw));
	sb = s.sb;
	sb.time++;
	ufs_super_encode(&sb, raw, s.loc);
	CHECK(ufs_super_hash_ok(&s.sb, raw));
	/* A copy that lies elsewhere has a hash of its own. */
	memcpy(raw, s.raw, sizeof(raw));
	ufs_super_encode(&s.sb, raw, s.loc + 8192);
	CHECK(ufs_super_hash_ok(&s.sb, raw));
	sb.metackhash = 0;
	raw[700]++;
	CHECK(ufs_super_hash_ok(&sb, raw));
}

/* -- groups ------------------------------------------------------------------------ */

static void
the_maps_of_a_group_lie_where_every_tool_puts_them(void)
{
	struct ufs_super sb = {.version = 1,
	    .ipg = 6208,
	    .fpg = 12296,
	    .fragshift = 3,
	    .contigsumsize = 16,
	    .old_cpg = 1,
	    .old_nrpos = 1};
	struct ufs_cg_layout at;

	ufs_cg_layout(&sb, &at);
	CHECK_EQ(at.old_btotoff, 168);
	CHECK_EQ(at.old_boff, 172);
	CHECK_EQ(at.iusedoff, 174);
	CHECK_EQ(at.freeoff, 174 + 776);
	CHECK_EQ(at.clustersumoff, (950 + 1537 - 4 + 3) / 4 * 4);
	CHECK_EQ(at.clusteroff, at.clustersumoff + 68);
	CHECK_EQ(at.nextfreeoff, at.clusteroff + 193);
	sb.version = 2;
	sb.contigsumsize = 0;
	ufs_cg_layout(&sb, &at);
	CHECK_EQ(at.iusedoff, 168);
	CHECK_EQ(at.clusteroff, 0);
	CHECK_EQ(at.nextfreeoff, 168 + 776 + 1537);
}

static void
a_group_hash_takes_its_own_field_as_zero(void)
{
	struct ufs_super sb = {.cgsize = 1024};
	uint8_t cg[1024];
	uint32_t hash;

	memset(cg, 0x5a, sizeof(cg));
	hash = ufs_cg_hash(&sb, cg);
	memset(cg + 132, 0x77, 4);
	CHECK_EQ(ufs_cg_hash(&sb, cg), hash);
	cg[136]++;
	CHECK(ufs_cg_hash(&sb, cg) != hash);
}

/* -- inodes ------------------------------------------------------------------------- */

/* Any bytes decode, and encode to the same where nanoseconds are sound. */
static void
inodes_survive_decoding_and_encoding(void)
{
	uint8_t raw[256], back[256];
	struct ufs_dinode d, again;
	uint32_t seed = 1;

	for (int round = 0; round < 400; round++) {
		struct ufs_super sb = {.version = 1 + round % 2,
		    .big = round / 2 % 2,
		    .maxsymlinklen = round % 2 ? 120 : 60};
		size_t size = sb.version == 1 ? 128 : 256;

		for (size_t i = 0; i < sizeof(raw); i++) {
			seed = seed * 1103515245 + 12345;
			raw[i] = (uint8_t)(seed >> 16);
		}
		if (sb.version == 1)
			for (int i = 0; i < 3; i++)
				memset(raw + 20 + 8 * i, 0, 4);
		else
			memset(raw + 64, 0, 16);
		if (round % 3 == 0) /* a short symbolic link */
			memset(raw + (sb.version == 1 ? 8 : 16), 0, 8);
		ufs_dinode_decode(&sb, raw, &d);
		memcpy(back, raw, size);
		ufs_dinode_encode(&sb, &d, back);
		CHECK(memcmp(raw, back, size) == 0);
		memset(back, 0, size);
		ufs_dinode_encode(&sb, &d, back);
		ufs_dinode_decode(&sb, back, &again);
		CHECK(memcmp(&d, &again, sizeof(d)) == 0);
	}
}

static void
dates_are_signed_and_nanoseconds_are_clamped(void)
{
	struct ufs_super one = {.version = 1}, two = {.version = 2};
	uint8_t raw[256] = {0};
	struct ufs_dinode d;

	memset(raw + 16, 0xff, 8); /* atime of UFS1: -1 s, -1 ns */
	memset(raw + 28, 0x7f, 4); /* mtime's ns */
	ufs_dinode_decode(&one, raw, &d);
	CHECK_EQ(d.atime.tv_sec, -1);
	CHECK_EQ(d.atime.tv_nsec, 0);
	CHECK_EQ(d.mtime.tv_nsec, 999999999);
	CHECK_EQ(d.birth.tv_sec, -1);
	d.mtime.tv_sec = 1ll << 33;
	d.ctime.tv_sec = -(1ll << 33);
	ufs_dinode_encode(&one, &d, raw);
	ufs_dinode_decode(&one, raw, &d);
	CHECK_EQ(d.mtime.tv_sec, INT32_MAX);
	CHECK_EQ(d.ctime.tv_sec, INT32_MIN);
	/* UFS2's nanoseconds: m, a, c, birth (trap 24). */
	memset(raw, 0, sizeof(raw));
	raw[64] = 1;
	raw[68] = 2;
	raw[72] = 3;
	raw[76] = 4;
	ufs_dinode_decode(&two, raw, &d);
	CHECK_EQ(d.mtime.tv_nsec, 1);
	CHECK_EQ(d.atime.tv_nsec, 2);
	CHECK_EQ(d.ctime.tv_nsec, 3);
	CHECK_EQ(d.birth.tv_nsec, 4);
}

static void
old_inodes_have_sixteen_bit_owners(void)
{
	struct ufs_super sb = {.version = 1, .old_inodes = true};
	uint8_t raw[128] = {0};
	struct ufs_dinode d;

	raw[4] = 7;
	raw[6] = 9;
	raw[112] = 1;
	ufs_dinode_decode(&sb, raw, &d);
	CHECK_EQ(d.uid, 7);
	CHECK_EQ(d.gid, 9);
}

static void
a_target_is_inline_below_the_threshold_only(void)
{
	struct ufs_super sb = {.version = 2, .maxsymlinklen = 120};
	struct ufs_dinode d = {.mode = 0120777, .size = 119, .blocks = 8};

	CHECK(ufs_target_is_inline(&sb, &d)); /* attributes have blocks */
	d.size = 120;
	CHECK(!ufs_target_is_inline(&sb, &d));
	d.mode = 0100644;
	d.size = 5;
	CHECK(!ufs_target_is_inline(&sb, &d));
	d.mode = 0120777;
	sb.old_dirs = true;
	CHECK(!ufs_target_is_inline(&sb, &d));
	d.blocks = 0;
	CHECK(ufs_target_is_inline(&sb, &d));
}

static void
an_inode_hash_is_due_for_used_inodes_of_ufs2(void)
{
	struct ufs_super sb = {
	    .version = 2, .metackhash = UFS_CK_INODE, .maxsymlinklen = 120};
	struct ufs_dinode d = {.mode = 0100644, .nlink = 1};
	uint8_t raw[256] = {0};

	ufs_dinode_encode(&sb, &d, raw);
	CHECK(ufs_dinode_hash_ok(&sb, raw));
	raw[250]++;
	CHECK(!ufs_dinode_hash_ok(&sb, raw));
	raw[0] = raw[1] = 0; /* free */
	CHECK(ufs_dinode_hash_ok(&sb, raw));
	raw[0] = 1;
	sb.metackhash = 0;
	CHECK(ufs_dinode_hash_ok(&sb, raw));
}

static void
device_numbers_pack_as_freebsd_does(void)
{
	CHECK_EQ(ufs_dev_make(2, 2), 0x202);
	CHECK_EQ(ufs_dev_major(0x0000127800563490 | 0x9a), 0x1234);
	CHECK_EQ(ufs_dev_minor(ufs_dev_make(0x1234, 0x56789a)), 0x56789a);
	CHECK_EQ(ufs_dev_major(ufs_dev_make(0xfedcba98, 7)), 0xfedcba98);
	CHECK_EQ(ufs_dev_minor(ufs_dev_make(7, 0xfedcba98)), 0xfedcba98);
}

TESTS({"every_impossible_number_is_refused_and_named",
	  every_impossible_number_is_refused_and_named},
    {"a_file_system_larger_than_its_device_is_refused",
	a_file_system_larger_than_its_device_is_refused},
    {"what_is_no_superblock_is_refused_in_silence",
	what_is_no_superblock_is_refused_in_silence},
    {"a_copy_is_not_taken_for_the_superblock",
	a_copy_is_not_taken_for_the_superblock},
    {"flags_are_found_where_old_kernels_keep_them",
	flags_are_found_where_old_kernels_keep_them},
    {"encoding_moves_old_flags_to_their_new_place",
	encoding_moves_old_flags_to_their_new_place},
    {"a_ufs1_not_yet_upgraded_is_read_from_its_old_fields",
	a_ufs1_not_yet_upgraded_is_read_from_its_old_fields},
    {"dialects_before_freebsd_5_are_told_apart",
	dialects_before_freebsd_5_are_told_apart},
    {"staggered_groups_start_where_the_old_rule_says",
	staggered_groups_start_where_the_old_rule_says},
    {"the_largest_file_is_what_the_format_can_map",
	the_largest_file_is_what_the_format_can_map},
    {"advice_out_of_range_is_put_right", advice_out_of_range_is_put_right},
    {"encoding_what_was_decoded_changes_nothing",
	encoding_what_was_decoded_changes_nothing},
    {"what_changes_is_encoded_in_both_places_of_ufs1",
	what_changes_is_encoded_in_both_places_of_ufs1},
    {"leaked_pointers_become_zero", leaked_pointers_become_zero},
    {"the_superblock_hash_follows_every_change",
	the_superblock_hash_follows_every_change},
    {"the_maps_of_a_group_lie_where_every_tool_puts_them",
	the_maps_of_a_group_lie_where_every_tool_puts_them},
    {"a_group_hash_takes_its_own_field_as_zero",
	a_group_hash_takes_its_own_field_as_zero},
    {"inodes_survive_decoding_and_encoding",
	inodes_survive_decoding_and_encoding},
    {"dates_are_signed_and_nanoseconds_are_clamped",
	dates_are_signed_and_nanoseconds_are_clamped},
    {"old_inodes_have_sixteen_bit_owners",
	old_inodes_have_sixteen_bit_owners},
    {"a_target_is_inline_below_the_threshold_only",
	a_target_is_inline_below_the_threshold_only},
    {"an_inode_hash_is_due_for_used_inodes_of_ufs2",
	an_inode_hash_is_due_for_used_inodes_of_ufs2},
    {"device_numbers_pack_as_freebsd_does",
	device_numbers_pack_as_freebsd_does})
