/* Block maps and file contents, crafted by hand. */
#include "check.h"

#include <pthread.h>

#include "ufs_lab.h"

/* -- paths
 * ---------------------------------------------------------------------- */

static void
paths_lead_to_the_right_indices(void)
{
	static const struct {
		uint64_t lbn;
		int level;
		uint32_t index[3];
	} cases[] = {
	    {0, 0, {0}},
	    {11, 0, {11}},
	    {12, 1, {0}},
	    {12 + 99, 1, {99}},
	    {12 + 100, 2, {0, 0}},
	    {12 + 100 + 10000 - 1, 2, {99, 99}},
	    {12 + 100 + 10000, 3, {0, 0, 0}},
	    {12 + 100 + 10000 + 10203, 3, {1, 2, 3}},
	    {12 + 100 + 10000 + 999999, 3, {99, 99, 99}},
	};
	struct ufs_super sb = {.nindir = 100};
	struct ufs_path path;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CHECK_EQ(ufs_path_to(&sb, cases[i].lbn, &path), 0);
		CHECK_EQ(path.level, cases[i].level);
		CHECK(memcmp(path.index, cases[i].index, sizeof(path.index)) ==
		    0);
	}
	CHECK_EQ(ufs_path_to(&sb, 12 + 100 + 10000 + 1000000, &path), -EFBIG);
	CHECK_EQ(ufs_path_to(&sb, UINT64_MAX, &path), -EFBIG);
}

static void
only_data_fragments_may_hold_data(void)
{
	struct ufs_super *sb;
	struct lab lab;

	lab_make(&lab, 1, false);
	sb = &lab.sb;

	uint64_t data = ufs_cgdmin(sb, 1), last = sb->size;
	const struct {
		uint64_t fsb;
		uint32_t n;
		bool ok;
	} cases[] = {
	    {data, 8, true},
	    {data, 0, false},
	    {data, 9, false},
	    {data + 7, 1, true},
	    {data + 7, 2, false},
	    {data + 1, 8, false},
	    {last - 8, 8, true},
	    {last, 1, false},
	    {last - 1, 2, false},
	    {UINT64_MAX, 1, false},
	    {0, 8, false},
	    {ufs_cgsblock(sb, 0), 1, false},
	    {ufs_cgdmin(sb, 0) - 1, 1, false},
	    {ufs_cgbase(sb, 1), 8, true}, /* in front of the copy (trap 19) */
	    {ufs_cgsblock(sb, 1) - 1, 1, true},
	    {ufs_cgsblock(sb, 1), 1, false},
	    {ufs_cgtod(sb, 1), 1, false},
	    {ufs_cgdmin(sb, 1) - 1, 1, false},
	    {sb->csaddr, 1, false},
	    {sb->csaddr + 1, 1, true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CHECK_EQ(ufs_data_range_ok(sb, cases[i].fsb, cases[i].n),
		    cases[i].ok);
	lab_close(&lab);
}

/* -- contents
 * -------------------------------------------------------------------- */

static bool
all_are(const uint8_t *p, size_t n, int value)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != value)
			return false;
	return true;
}

static void
holes_read_as_zeroes_and_the_end_cuts_the_read(void)
{
	uint8_t buf[5 * 8192];
	struct lab lab;

	for (int kind = 0; kind < 4; kind++) {
		lab_make(&lab, 1 + kind / 2, kind % 2);

		uint64_t db[4] = {
		    lab_filled(&lab, 1), 0, 0, lab_filled(&lab, 2)};

		lab_file(&lab, 10, 3 * 8192 + 100, db, 4);
		lab_open(&lab);
		memset(buf, 0xee, sizeof(buf));
		CHECK_EQ(ufs_read(lab.fs, 10, 8190, buf, sizeof(buf)),
		    2 * 8192 + 102);
		CHECK(all_are(buf, 2, 1));
		CHECK(all_are(buf + 2, 2 * 8192, 0));
		CHECK(all_are(buf + 2 + 2 * 8192, 100, 2));
		CHECK(all_are(buf + 102 + 2 * 8192, 100, 0xee));
		CHECK_EQ(ufs_read(lab.fs, 10, 3 * 8192 + 100, buf, 1), 0);
		CHECK_EQ(ufs_read(lab.fs, 10, UINT64_MAX, buf, 1), 0);
		CHECK_EQ(ufs_read(lab.fs, 10, 0, buf, 0), 0);
		lab_close(&lab);
	}
}

/* A block at each level of indirection, with holes all around. */
static void
every_level_of_indirection_is_followed(void)
{
	for (int kind = 0; kind < 4; kind++) {
		struct ufs_dinode d = {.mode = 0100644, .nlink = 1};
		uint64_t n, lbn[3], mid, leaf;
		uint8_t buf[3 * 8192];
		struct lab lab;

		lab_make(&lab, 1 + kind / 2, kind % 2);
		n = lab.sb.nindir;
		lbn[0] = 12 + 5;
		lbn[1] = 12 + n + 3 * n + 7;
		lbn[2] = 12 + n + n * n + 2 * n * n + 9 * n + n - 1;
		for (int i = 0; i < 3; i++)
			d.ib[i] = lab_filled(&lab, 0);
		lab_point(&lab, d.ib[0], 5, lab_filled(&lab, 0x11));
		mid = lab_filled(&lab, 0);
		lab_point(&lab, d.ib[1], 3, mid);
		lab_point(&lab, mid, 7, lab_filled(&lab, 0x22));
		mid = lab_filled(&lab, 0);
		lab_point(&lab, d.ib[2], 2, mid);
		leaf = lab_filled(&lab, 0);
		lab_point(&lab, mid, 9, leaf);
		lab_point(&lab, leaf, (uint32_t)n - 1, lab_filled(&lab, 0x33));
		d.size = (lbn[2] + 1) * 8192;
		lab_inode(&lab, 10, &d);
		lab_open(&lab);
		for (int i = 0; i < 3; i++) {
			uint64_t off = (lbn[i] - 1) * 8192;
			size_t want = i == 2 ? 2 * 8192 : 3 * 8192;

			CHECK_EQ(
			    ufs_read(lab.fs, 10, off, buf, sizeof(buf)), want);
			CHECK(all_are(buf, 8192, 0));
			CHECK(all_are(buf + 8192, 8192, 0x11 * (i + 1)));
			CHECK(all_are(buf + 16384, want - 16384, 0));
			CHECK_EQ(
			    ufs_seek(lab.fs, 10,
				i == 0 ? 0 : (lbn[i - 1] + 1) * 8192, true),
			    lbn[i] * 8192);
			CHECK_EQ(ufs_seek(lab.fs, 10, lbn[i] * 8192, false),
			    (lbn[i] + 1) * 8192);
		}
		CHECK_EQ(kit_lines, 0);
		lab_close(&lab);
	}
}

static void
bad_addresses_are_refused_and_said(void)
{
	const uint64_t bad[] = {UINT32_MAX, 1, 8 * 1024, 7};
	struct ufs_dinode d = {.mode = 0100644, .size = 1 << 20};
	uint8_t buf[100];
	struct lab lab;

	lab_make(&lab, 1, false);
	lab_open(&lab);
	for (uint64_t i = 0; i < 4; i++) {
		uint64_t block = lab_filled(&lab, 0);

		memset(d.db, 0, sizeof(d.db));
		memset(d.ib, 0, sizeof(d.ib));
		d.db[2] = bad[i];
		d.ib[0] = block;
		lab_point(&lab, block, 3, bad[i] + (i == 3));
		d.ib[1] = bad[i] + (i == 3) * 8;
		lab_inode(&lab, 10 + i, &d);
		kit_capture();
		CHECK_EQ(ufs_read(lab.fs, 10 + i, 0, buf, 100), 100);
		CHECK_EQ(ufs_read(lab.fs, 10 + i, 16384, buf, 100), -ECORRUPT);
		CHECK(kit_said("block 2 has the impossible address"));
		CHECK_EQ(ufs_read(lab.fs, 10 + i, 12 * 8192, buf, 9), 9);
		CHECK_EQ(
		    ufs_read(lab.fs, 10 + i, 15 * 8192, buf, 9), -ECORRUPT);
		CHECK(kit_said("block 15 has the impossible address"));
	}
	d.size = 1ull << 32;
	lab_inode(&lab, 20, &d);
	CHECK_EQ(ufs_read(lab.fs, 20, 1ull << 31, buf, 9), -ECORRUPT);
	CHECK_EQ(kit_lines, 1);
	lab_close(&lab);
}

static void
a_tail_of_fragments_may_start_anywhere_in_its_block(void)
{
	uint8_t bytes[2048], buf[8192];
	struct lab lab;
	uint64_t db[1];

	lab_make(&lab, 2, false);
	memset(bytes, 5, sizeof(bytes));
	db[0] = lab_block(&lab) + 6;
	lab_put(&lab, db[0], bytes, sizeof(bytes));
	lab_file(&lab, 10, 2000, db, 1);
	lab_file(&lab, 11, 2049, db, 1); /* would cross into the next block */
	lab_open(&lab);
	CHECK_EQ(ufs_read(lab.fs, 10, 0, buf, sizeof(buf)), 2000);
	CHECK(all_are(buf, 2000, 5));
	CHECK_EQ(ufs_read(lab.fs, 11, 0, buf, sizeof(buf)), -ECORRUPT);
	lab_close(&lab);
}

/* Blocks 0 ... 75 in a row on disk, with the indirect block elsewhere. */
static void
contiguous_blocks_are_read_in_one_request(void)
{
	struct ufs_dinode d = {.mode = 0100644, .size = 76 * 8192};
	static uint8_t buf[76 * 8192];
	unsigned before;
	struct lab lab;

	lab_make(&lab, 2, false);
	d.ib[0] = lab_filled(&lab, 0);
	for (int i = 0; i < 76; i++) {
		uint64_t fsb = lab_filled(&lab, i);

		if (i < 12)
			d.db[i] = fsb;
		else
			lab_point(&lab, d.ib[0], (uint32_t)i - 12, fsb);
	}
	lab_inode(&lab, 10, &d);
	lab_open(&lab);
	CHECK_EQ(ufs_read(lab.fs, 10, 13 * 8192, buf, 1), 1);
	before = blkdev_fault_calls(lab.dev, FAULT_READ);
	CHECK_EQ(ufs_read(lab.fs, 10, 0, buf, sizeof(buf)), sizeof(buf));
	/* One for the indirect block, one for the data. */
	CHECK_EQ(blkdev_fault_calls(lab.dev, FAULT_READ) - before, 2);
	for (int i = 0; i < 76; i++)
		CHECK(all_are(buf + i * 8192, 8192, i));
	before = blkdev_fault_calls(lab.dev, FAULT_READ);
	CHECK_EQ(ufs_read(lab.fs, 10, 20 * 8192, buf, 50 * 8192), 50 * 8192);
	CHECK_EQ(blkdev_fault_calls(lab.dev, FAULT_READ) - before, 1);
	lab_close(&lab);
}

static void
seeking_finds_data_and_holes(void)
{
	struct lab lab;

	lab_make(&lab, 2, false);

	uint64_t db[6] = {0, lab_filled(&lab, 1), 0, 0, lab_filled(&lab, 2),
	    lab_filled(&lab, 3)};

	lab_file(&lab, 10, 5 * 8192 + 10, db, 6);
	lab_file(&lab, 11, 100, NULL, 0);
	lab_open(&lab);

	const struct {
		uint64_t off;
		bool data;
		int64_t want;
	} cases[] = {
	    {0, true, 8192},
	    {0, false, 0},
	    {5, false, 5},
	    {8192, true, 8192},
	    {9000, true, 9000},
	    {9000, false, 16384},
	    {16384, true, 32768},
	    {32768, false, 40970},
	    {40969, false, 40970},
	    {40969, true, 40969},
	    {40970, true, -ENXIO},
	    {40970, false, -ENXIO},
	    {UINT64_MAX, false, -ENXIO},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CHECK_EQ(ufs_seek(lab.fs, 10, cases[i].off, cases[i].data),
		    cases[i].want);
	CHECK_EQ(ufs_seek(lab.fs, 11, 0, true), -ENXIO);
	CHECK_EQ(ufs_seek(lab.fs, 11, 0, false), 0);
	lab_close(&lab);
}

/* Each indirect block points to the next level's only one, all the way. */
static void
seeking_through_a_made_up_tree_ends(void)
{
	struct ufs_dinode d = {.mode = 0100644};
	struct lab lab;
	uint64_t leaf;

	lab_make(&lab, 2, false);
	leaf = lab_filled(&lab, 0);
	d.ib[1] = lab_filled(&lab, 0);
	d.ib[2] = lab_filled(&lab, 0);
	for (uint32_t i = 0; i < lab.sb.nindir; i++) {
		lab_point(&lab, d.ib[1], i, leaf);
		lab_point(&lab, d.ib[2], i, d.ib[1]);
	}
	d.size = lab.sb.maxfilesize;
	lab_inode(&lab, 10, &d);
	lab_open(&lab);
	CHECK(ufs_seek(lab.fs, 10, 0, true) > 0);
	lab_close(&lab);
}

static void
what_has_no_data_cannot_be_read(void)
{
	struct ufs_dinode fifo = {.mode = 0010644}, snap = {.mode = 0100400};
	struct lab lab;
	char buf[10];

	lab_make(&lab, 2, false);
	snap.flags = UFS_FLAG_SNAPSHOT;
	lab_inode(&lab, 10, &fifo);
	lab_inode(&lab, 11, &snap);
	lab_open(&lab);
	CHECK_EQ(ufs_read(lab.fs, 10, 0, buf, 10), -EINVAL);
	CHECK_EQ(ufs_seek(lab.fs, 10, 0, true), -EINVAL);
	CHECK_EQ(ufs_read(lab.fs, 11, 0, buf, 10), -EOPNOTSUPP);
	CHECK_EQ(ufs_read(lab.fs, 12, 0, buf, 10), -ESTALE);
	CHECK_EQ(ufs_readlink(lab.fs, 10, buf, 10), -EINVAL);
	lab_close(&lab);
}

static void
targets_are_read_from_the_inode_or_from_a_block(void)
{
	struct ufs_dinode in = {.mode = 0120777, .size = 59};
	struct ufs_dinode out = {.mode = 0120777, .size = 120};
	char buf[200];
	struct lab lab;

	for (int version = 1; version <= 2; version++) {
		lab_make(&lab, version, true);
		memset(in.target, 't', 59);
		in.blocks = 8; /* of attributes */
		out.db[0] = lab_filled(&lab, 'u');
		lab_inode(&lab, 10, &in);
		lab_inode(&lab, 11, &out);
		lab_open(&lab);
		CHECK_EQ(ufs_readlink(lab.fs, 10, buf, sizeof(buf)), 59);
		CHECK(all_are((uint8_t *)buf, 59, 't'));
		CHECK_EQ(ufs_readlink(lab.fs, 10, buf, 58), -ENAMETOOLONG);
		CHECK_EQ(ufs_readlink(lab.fs, 11, buf, sizeof(buf)), 120);
		CHECK(all_are((uint8_t *)buf, 120, 'u'));
		lab_close(&lab);
	}
}

/* -- faults and threads
 * ------------------------------------------------------------ */

static void
a_failing_device_is_reported_whichever_read_fails(void)
{
	struct ufs_dinode d = {.mode = 0100644, .size = 20 * 8192};
	struct ufs_options options = {0};
	uint8_t buf[20 * 8192];
	struct ufs_attr attr;
	struct lab lab;
	int rc = -EIO;

	lab_make(&lab, 2, false);
	d.ib[0] = lab_filled(&lab, 0);
	lab_point(&lab, d.ib[0], 3, lab_filled(&lab, 1));
	lab_inode(&lab, 10, &d);
	for (unsigned nth = 1; rc == -EIO && nth < 100; nth++) {
		struct ufs *fs = NULL;

		blkdev_fault_arm(lab.dev, FAULT_READ, nth, -EIO, false);
		rc = ufs_open(blkdev_ref(lab.dev), &options, &fs);
		if (rc < 0) {
			blkdev_close(lab.dev);
			continue;
		}
		rc = ufs_lookup(fs, UFS_ROOT, ".", 1, &attr);
		if (rc == 0)
			rc = ufs_getattr(fs, 10, &attr);
		if (rc == 0)
			rc = (int)ufs_read(fs, 10, 0, buf, sizeof(buf));
		/* Nothing was remembered of the failure. */
		blkdev_fault_arm(lab.dev, FAULT_READ, 0, 0, false);
		CHECK_EQ(ufs_read(fs, 10, 0, buf, sizeof(buf)), sizeof(buf));
		ufs_close(fs);
	}
	CHECK_EQ(rc, sizeof(buf));
	lab_close(&lab);
}

struct reader {
	struct lab *lab;
	uint32_t seed;
	int bad;
};

static void *
read_at_random(void *arg)
{
	struct reader *r = arg;
	uint8_t buf[3 * 8192];

	for (int i = 0; i < 3000; i++) {
		uint64_t off;
		int64_t n;

		r->seed = r->seed * 1103515245 + 12345;
		off = (r->seed >> 8) % (60 * 8192);
		n = ufs_read(r->lab->fs, 10 + i % 3, off, buf, sizeof(buf));
		r->bad += n != sizeof(buf) || buf[0] != (uint8_t)(off / 8192) ||
		    buf[n - 1] != (uint8_t)((off + sizeof(buf) - 1) / 8192);
	}
	return NULL;
}

static void
readers_in_parallel_see_the_same(void)
{
	struct ufs_dinode d = {.mode = 0100644, .size = 76 * 8192};
	struct reader readers[4];
	pthread_t threads[4];
	struct lab lab;

	lab_make(&lab, 2, false);
	d.ib[0] = lab_filled(&lab, 0);
	for (uint32_t i = 0; i < 76; i++) {
		uint64_t fsb = lab_filled(&lab, (int)i);

		if (i % 5 == 0)
			lab_block(&lab); /* so that runs are short */
		if (i < 12)
			d.db[i] = fsb;
		else
			lab_point(&lab, d.ib[0], i - 12, fsb);
	}
	for (uint64_t ino = 10; ino < 13; ino++)
		lab_inode(&lab, ino, &d);
	lab_open(&lab);
	for (uint32_t i = 0; i < 4; i++) {
		readers[i] = (struct reader){&lab, i + 1, 0};
		CHECK_EQ(pthread_create(
			     &threads[i], NULL, read_at_random, &readers[i]),
		    0);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		CHECK_EQ(readers[i].bad, 0);
	}
	lab_close(&lab);
}

#define T(name) \
	{ \
#name, name \
	}
TESTS(T(paths_lead_to_the_right_indices), T(only_data_fragments_may_hold_data),
    T(holes_read_as_zeroes_and_the_end_cuts_the_read),
    T(every_level_of_indirection_is_followed),
    T(bad_addresses_are_refused_and_said),
    T(a_tail_of_fragments_may_start_anywhere_in_its_block),
    T(contiguous_blocks_are_read_in_one_request),
    T(seeking_finds_data_and_holes), T(seeking_through_a_made_up_tree_ends),
    T(what_has_no_data_cannot_be_read),
    T(targets_are_read_from_the_inode_or_from_a_block),
    T(a_failing_device_is_reported_whichever_read_fails),
    T(readers_in_parallel_see_the_same))
