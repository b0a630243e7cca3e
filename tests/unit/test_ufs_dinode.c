/* Inodes and device numbers as bytes. */
#include "check.h"

#include "../../imgfmt/ufs_format.h"

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

#define T(name) \
	{ \
#name, name \
	}

TESTS(T(inodes_survive_decoding_and_encoding),
    T(dates_are_signed_and_nanoseconds_are_clamped),
    T(old_inodes_have_sixteen_bit_owners),
    T(a_target_is_inline_below_the_threshold_only),
    T(an_inode_hash_is_due_for_used_inodes_of_ufs2),
    T(device_numbers_pack_as_freebsd_does))
