/* Inodes and groups, sound and damaged. */
#include "check.h"

#include "ufs_lab.h"

static void
numbers_without_an_inode_are_stale(void)
{
	struct ufs_dinode d = {.mode = 0100644};
	struct ufs_attr attr;
	struct lab lab;

	lab_make(&lab, 2, false);
	/* Beyond what has been initialised, however sound it looks. */
	lab_inode(&lab, 64, &d);
	lab_inode(&lab, 63, &d);
	lab_open(&lab);
	CHECK_EQ(ufs_getattr(lab.fs, 0, &attr), -ESTALE);
	CHECK_EQ(ufs_getattr(lab.fs, 1, &attr), -ESTALE);
	CHECK_EQ(ufs_getattr(lab.fs, 62, &attr), -ESTALE);
	CHECK_EQ(ufs_getattr(lab.fs, 63, &attr), 0);
	CHECK_EQ(ufs_getattr(lab.fs, 64, &attr), -ESTALE);
	CHECK_EQ(ufs_getattr(lab.fs, ufs_ninodes(&lab.sb), &attr), -ESTALE);
	CHECK_EQ(ufs_getattr(lab.fs, UINT64_MAX, &attr), -ESTALE);
	CHECK_EQ(kit_lines, 0);
	lab_close(&lab);
}

static void
every_fault_of_an_inode_is_refused_and_said(void)
{
	static const struct {
		struct ufs_dinode d;
		const char *said;
	} faults[] = {
	    {{.mode = 0160000}, "unknown type"},
	    {{.mode = 0030000}, "unknown type"},
	    {{.mode = 0000644}, "unknown type"},
	    {{.mode = 0040755, .size = 1ull << 31}, "directory of impossible"},
	    {{.mode = 0100644, .size = 1ull << 60}, "file of impossible size"},
	    {{.mode = 0120644, .size = UINT64_MAX}, "file of impossible size"},
	    {{.mode = 0100644, .extsize = 16385}, "attributes of impossible"},
	};
	struct ufs_attr attr;
	struct lab lab;

	lab_make(&lab, 2, false);
	lab_open(&lab);
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		lab_inode(&lab, 10 + i, &faults[i].d);
		kit_capture();
		CHECK_EQ(ufs_getattr(lab.fs, 10 + i, &attr), -ECORRUPT);
		CHECK(kit_said(faults[i].said));
	}
	lab_close(&lab);
}

static void
an_inode_with_a_wrong_hash_is_refused(void)
{
	struct ufs_dinode d = {.mode = 0100644};
	struct ufs_attr attr;
	struct lab lab;

	lab_make(&lab, 2, true);
	lab_inode(&lab, 10, &d);
	CHECK_EQ(
	    blkdev_write(lab.dev, ufs_ino_off(&lab.sb, 10) + 250, "x", 1), 0);
	lab_open(&lab);
	CHECK_EQ(ufs_getattr(lab.fs, 10, &attr), -ECORRUPT);
	CHECK(kit_said("the check hash is wrong"));
	lab_close(&lab);
}

static void
a_damaged_group_is_said_once_and_its_inodes_stay_readable(void)
{
	struct ufs_dinode d = {.mode = 0100644};
	struct ufs_attr attr;
	struct ufs_cg *cg;
	struct lab lab;
	uint64_t off;

	lab_make(&lab, 2, false);
	lab_inode(&lab, 200, &d); /* not initialised, who knows */
	off = ufs_frag_off(&lab.sb, ufs_cgtod(&lab.sb, 0));
	CHECK_EQ(blkdev_write(lab.dev, off + 300, "x", 1), 0);
	lab_open(&lab);
	CHECK_EQ(ufs_getattr(lab.fs, UFS_ROOT, &attr), 0);
	CHECK(kit_said("\"cg_ckhash\" is wrong"));
	CHECK_EQ(ufs_getattr(lab.fs, 200, &attr), 0);
	CHECK_EQ(kit_lines, 0);
	CHECK_EQ(ufs_cg_get(lab.fs, 0, &cg), -ECORRUPT);
	CHECK_EQ(ufs_cg_get(lab.fs, 0, &cg), -ECORRUPT);
	CHECK_EQ(kit_lines, 0);
	CHECK_EQ(ufs_cg_get(lab.fs, 1, &cg), 0);
	lab_close(&lab);
}

static void
every_number_of_a_group_is_judged(void)
{
	static const struct {
		unsigned off;
		const char *said;
	} fields[] = {{4, "cg_magic"}, {12, "cg_cgx"}, {20, "cg_ndblk"},
	    {24, "cs_ndir"}, {28, "cs_nbfree"}, {32, "cs_nifree"},
	    {36, "cs_nffree"}, {92, "cg_iusedoff"}, {96, "cg_iusedoff"},
	    {100, "cg_iusedoff"}, {104, "cg_iusedoff"}, {108, "cg_iusedoff"},
	    {116, "cg_niblk"}, {120, "cg_initediblk"}, {132, "cg_ckhash"}};

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		raw32 lie = raw32_set(0x7fffffff, false);
		struct ufs_super sb;
		struct ufs_cg *cg;
		uint8_t raw[8192];
		struct lab lab;
		uint64_t off;

		lab_make(&lab, 2, false);
		sb = lab.sb;
		off = ufs_frag_off(&sb, ufs_cgtod(&sb, 2));
		CHECK_EQ(blkdev_read(lab.dev, off, raw, sb.cgsize), 0);
		memcpy(raw + fields[i].off, &lie, sizeof(lie));
		if (fields[i].off != 132) {
			lie = raw32_set(ufs_cg_hash(&sb, raw), false);
			memcpy(raw + 132, &lie, sizeof(lie));
		}
		CHECK_EQ(blkdev_write(lab.dev, off, raw, sb.cgsize), 0);
		lab_open(&lab);
		CHECK_EQ(ufs_cg_get(lab.fs, 2, &cg), -ECORRUPT);
		CHECK(kit_said(fields[i].said));
		lab_close(&lab);
	}
}

/* As makefs leaves them in big-endian images, or worse. */
static void
wrong_sums_of_free_clusters_are_counted_anew(void)
{
	uint8_t raw[8192], wrong[8192];
	struct ufs_cg_layout at;
	struct ufs_cg *cg;
	struct lab lab;
	uint64_t off;
	raw32 hash;

	lab_make(&lab, 2, true);
	ufs_cg_layout(&lab.sb, &at);
	CHECK(lab.sb.contigsumsize > 1);
	off = ufs_frag_off(&lab.sb, ufs_cgtod(&lab.sb, 1));
	CHECK_EQ(blkdev_read(lab.dev, off, raw, lab.sb.cgsize), 0);
	memcpy(wrong, raw, sizeof(wrong));
	memset(wrong + at.clustersumoff + 4, 0x5a, 4 * lab.sb.contigsumsize);
	hash = raw32_set(ufs_cg_hash(&lab.sb, wrong), true);
	memcpy(wrong + 132, &hash, sizeof(hash));
	CHECK_EQ(blkdev_write(lab.dev, off, wrong, lab.sb.cgsize), 0);
	lab_open(&lab);
	CHECK_EQ(ufs_cg_get(lab.fs, 1, &cg), 0);
	memcpy(cg->raw + 132, raw + 132, sizeof(hash));
	CHECK(memcmp(cg->raw, raw, lab.sb.cgsize) == 0);
	lab_close(&lab);
}

/* More nodes than are kept idle; the pinned one stays in core. */
static void
idle_nodes_are_bounded_and_pinned_ones_without_a_name_stay(void)
{
	struct ufs_node *pinned, *again;
	struct ufs_attr attr;
	struct lab lab;
	uint32_t n;

	lab_make(&lab, 1, false);
	n = (uint32_t)ufs_ninodes(&lab.sb);
	CHECK(n > 4200);
	for (uint32_t ino = 3; ino < n; ino++) {
		struct ufs_dinode d = {.mode = 0100644, .uid = ino};

		lab_inode(&lab, ino, &d);
	}
	lab_open(&lab);
	CHECK_EQ(ufs_node_get(lab.fs, 3, &pinned), 0);
	pinned->pins = 1;
	pinned->nameless = true;
	ufs_node_put(lab.fs, pinned);
	for (int round = 0; round < 2; round++)
		for (uint32_t ino = 4; ino < n; ino++) {
			CHECK_EQ(ufs_getattr(lab.fs, ino, &attr), 0);
			CHECK_EQ(attr.uid, ino);
		}
	CHECK_EQ(ufs_node_get(lab.fs, 3, &again), 0);
	CHECK(again == pinned);
	pinned->pins = 0;
	ufs_node_put(lab.fs, again);
	lab_close(&lab);
}

static int
count_node(void *arg, struct ufs_node *node)
{
	(*(unsigned *)arg)++;
	return node->ino == 0;
}

/* Each inode pinned as often as its number's last digit says, and once. */
static void
pins_of_inodes_with_names_survive_without_their_nodes(void)
{
	struct ufs_node *node;
	unsigned in_core = 0;
	struct lab lab;
	uint32_t n;

	lab_make(&lab, 2, false);
	n = (uint32_t)ufs_ninodes(&lab.sb);
	CHECK(n > 4200);
	for (uint32_t cgx = 0; cgx < lab.sb.ncg; cgx++) {
		uint64_t off = ufs_frag_off(&lab.sb, ufs_cgtod(&lab.sb, cgx));

		/* Without a sound group all its inodes count. */
		CHECK_EQ(blkdev_write(lab.dev, off + 4, "x", 1), 0);
	}
	for (uint32_t ino = 3; ino < n; ino++) {
		struct ufs_dinode d = {.mode = 0100644, .nlink = 1};

		lab_inode(&lab, ino, &d);
	}
	lab_open(&lab);
	for (uint32_t ino = 3; ino < n; ino++)
		for (uint32_t k = 0; k <= ino % 10; k++)
			CHECK_EQ(ufs_pin(lab.fs, ino), 0);
	CHECK_EQ(ufs_node_each(lab.fs, count_node, &in_core), 0);
	CHECK(in_core <= 4097);
	for (uint32_t ino = 3; ino < n; ino++) {
		CHECK_EQ(ufs_node_get(lab.fs, ino, &node), 0);
		CHECK_EQ(node->pins, ino % 10 + 1);
		ufs_node_put(lab.fs, node);
	}
	for (uint32_t ino = 3; ino < n; ino++) {
		if (ino % 3 == 0) /* in two goes */
			CHECK_EQ(ufs_unpin(lab.fs, ino, 1), 0);
		if (ino % 10 > 0 || ino % 3 != 0)
			CHECK_EQ(ufs_unpin(lab.fs, ino,
				     ino % 10 + 1 - (ino % 3 == 0)),
			    0);
		CHECK_EQ(ufs_node_get(lab.fs, ino, &node), 0);
		CHECK_EQ(node->pins, 0);
		ufs_node_put(lab.fs, node);
	}
	lab_close(&lab);
}

#define T(name) \
	{ \
#name, name \
	}
TESTS(T(numbers_without_an_inode_are_stale),
    T(every_fault_of_an_inode_is_refused_and_said),
    T(an_inode_with_a_wrong_hash_is_refused),
    T(a_damaged_group_is_said_once_and_its_inodes_stay_readable),
    T(every_number_of_a_group_is_judged),
    T(idle_nodes_are_bounded_and_pinned_ones_without_a_name_stay),
    T(pins_of_inodes_with_names_survive_without_their_nodes),
    T(wrong_sums_of_free_clusters_are_counted_anew))
