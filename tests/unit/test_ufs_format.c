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

/* -- refusal
 * ------------------------------------------------------------------- */

/*
 * One line for each check: the field's place (formats.md 2.3), its size, a
 * value, what is said.
 */
static const struct {
	size_t off;
	int bytes;
	int64_t value;
	int version; /* 0: both */
	const char *said;
} lies[] = {
    {48, 4, 0, 0, "fs_bsize"},
    {48, 4, 2048, 0, "fs_bsize"},
    {48, 4, 8193, 0, "fs_bsize"},
    {48, 4, 131072, 0, "fs_bsize"},
    {52, 4, 0, 0, "fs_fsize"},
    {52, 4, 256, 0, "fs_fsize"},
    {52, 4, 1000, 0, "fs_fsize"},
    {52, 4, 16384, 0, "fs_fsize"},
    {56, 4, 0, 0, "fs_frag"},
    {56, 4, 4, 0, "fs_frag"},
    {56, 4, 16, 0, "fs_frag"},
    {116, 4, 1, 0, "fs_nindir"},
    {120, 4, 0, 0, "fs_inopb"},
    {104, 4, 0, 0, "fs_sbsize"},
    {104, 4, 1375, 0, "fs_sbsize"},
    {104, 4, 8704, 0, "fs_sbsize"},
    {44, 4, 0, 0, "fs_ncg"},
    {44, 4, 3, 0, "fs_size"},
    {44, 4, 5, 0, "fs_size"},
    {188, 4, 0, 0, "fs_fpg"},
    {188, 4, 23, 0, "fs_fpg"},
    {188, 4, -8, 0, "fs_fpg"},
    {184, 4, 0, 0, "fs_ipg"},
    {184, 4, 65, 0, "fs_ipg"},
    {184, 4, -64, 0, "fs_ipg"},
    {184, 4, 1 << 20, 0, "fs_dblkno"},
    {1080, 8, 0, 0, "fs_size"},
    {1080, 8, 8193, 0, "fs_size"},
    {1080, 8, -1, 0, "fs_size"},
    {1088, 8, 8193, 0, "fs_dsize"},
    {8, 4, 0, 0, "fs_sblkno"},
    {8, 4, -1, 0, "fs_sblkno"},
    {12, 4, 0, 0, "fs_cblkno"},
    {16, 4, 0, 0, "fs_iblkno"},
    {20, 4, 0, 0, "fs_dblkno"},
    {20, 4, 1 << 30, 0, "fs_dblkno"},
    {156, 4, 0, 0, "fs_cssize"},
    {156, 4, 2048, 0, "fs_cssize"},
    {1096, 8, 0, 0, "fs_csaddr"},
    {1096, 8, 8192, 0, "fs_csaddr"},
    {1096, 8, -1, 0, "fs_csaddr"},
    {160, 4, 0, 0, "fs_cgsize"},
    {160, 4, 9216, 0, "fs_cgsize"},
    {160, 4, 168, 0, "fs_fpg"},
    {1316, 4, 17, 0, "fs_contigsumsize"},
    {1316, 4, -1, 0, "fs_contigsumsize"},
    {1024, 8, -1, 0, "cs_nifree"},
    {1024, 8, 1 << 30, 0, "cs_nifree"},
    {1008, 8, -1, 0, "cs_ndir"},
    {1008, 8, 1 << 30, 0, "cs_ndir"},
    {1016, 8, 1025, 0, "cs_nbfree"},
    {1032, 8, -1, 0, "cs_nffree"},
    {1320, 4, 121, 2, "fs_maxsymlinklen"},
    {1320, 4, 0, 2, "fs_maxsymlinklen"},
    {1320, 4, 61, 1, "fs_maxsymlinklen"},
    {180, 4, 5000, 1, "fs_old_cpg"},
    {1360, 4, -1, 1, "fs_old_cpg"},
    {24, 4, -1, 1, "fs_old_cgoffset"},
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
			for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]);
			     i++) {
				if (lies[i].version == 3 - version)
					continue;
				put(&s, lies[i].off, lies[i].bytes,
				    lies[i].value);
				/* With cgmask 0 the offset matters. */
				if (lies[i].off == 24)
					put(&s, 28, 4, 0);
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
	CHECK_EQ(ufs_super_decode(s.raw, s.loc, SIZE - 1024, &sb), -ECORRUPT);
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

/* -- dialects
 * -------------------------------------------------------------------- */

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

/* -- encoding
 * --------------------------------------------------------------------- */

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
leaked_pointers_and_pending_work_become_zero(void)
{
	static struct sample s;
	struct ufs_super sb;
	uint8_t raw[UFS_SBLOCK_SIZE];

	sample_make(&s, 2, false);
	memcpy(raw, s.raw, sizeof(raw));
	memset(raw + 824, 0xaa, 32);
	raw[offsetof(struct ufs_super_disk, fmod)] = 1;
	raw[offsetof(struct ufs_super_disk, unrefs)] = 1;
	raw[offsetof(struct ufs_super_disk, pendingblocks)] = 1;
	raw[offsetof(struct ufs_super_disk, pendinginodes)] = 1;
	raw[offsetof(struct ufs_super_disk, sujfree)] = 1;
	CHECK_EQ(ufs_super_decode(raw, s.loc, SIZE, &sb), 0);
	ufs_super_encode(&sb, raw, s.loc);
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

/* -- groups
 * ------------------------------------------------------------------------ */

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

#define T(name) \
	{ \
#name, name \
	}

TESTS(T(every_impossible_number_is_refused_and_named),
    T(a_file_system_larger_than_its_device_is_refused),
    T(what_is_no_superblock_is_refused_in_silence),
    T(a_copy_is_not_taken_for_the_superblock),
    T(flags_are_found_where_old_kernels_keep_them),
    T(encoding_moves_old_flags_to_their_new_place),
    T(a_ufs1_not_yet_upgraded_is_read_from_its_old_fields),
    T(dialects_before_freebsd_5_are_told_apart),
    T(staggered_groups_start_where_the_old_rule_says),
    T(the_largest_file_is_what_the_format_can_map),
    T(advice_out_of_range_is_put_right),
    T(encoding_what_was_decoded_changes_nothing),
    T(what_changes_is_encoded_in_both_places_of_ufs1),
    T(leaked_pointers_and_pending_work_become_zero),
    T(the_superblock_hash_follows_every_change),
    T(the_maps_of_a_group_lie_where_every_tool_puts_them),
    T(a_group_hash_takes_its_own_field_as_zero))
