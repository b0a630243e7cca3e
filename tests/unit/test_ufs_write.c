/* Data of files: blocks, fragments, holes, sizes. */
#include <stdlib.h>
#include <string.h>

#include "../../imgfmt/ufs_impl.h"
#include "check.h"
#include "ufs_one_file.h"

/* -- sizes ------------------------------------------------------------------
 */

static void
appending_goes_from_fragments_to_blocks_to_indirect_blocks(void)
{
	for (const struct scratch_shape *s = scratch_shapes; s->name; s++) {
		int64_t ino = file_in(s, "f");
		uint64_t size = 0, end = 14ull * s->bsize;

		while (size < end) {
			size_t step = s->fsize - 100;

			CHECK_EQ(write_at(ino, size, step), step);
			CHECK(reads(ino, size, step, pattern));
			size += step;
		}
		CHECK_EQ(scratch_attr(&scratch, (uint64_t)ino).size, size);
		/* 15 blocks, and the indirect one. */
		CHECK_EQ(scratch_attr(&scratch, (uint64_t)ino).blocks,
		    ((size + s->bsize - 1) / s->bsize + 1) * s->bsize / 512);
		CHECK_EQ(scratch_faults(&scratch), 0);
		scratch_close(&scratch);
	}
}

static void
a_tail_holds_no_more_fragments_than_it_needs(void)
{
	for (const struct scratch_shape *s = scratch_shapes; s->name; s++) {
		int64_t ino = file_in(s, "f");

		for (uint32_t size = 1; size <= 2 * s->bsize; size += 777) {
			uint32_t frags = (size + s->fsize - 1) / s->fsize;

			CHECK_EQ(
			    scratch_truncate(&scratch, (uint64_t)ino, size), 0);
			CHECK_EQ(scratch_attr(&scratch, (uint64_t)ino).blocks,
			    frags * s->fsize / 512);
		}
		CHECK_EQ(scratch_faults(&scratch), 0);
		scratch_close(&scratch);
	}
}

/* Offsets in the first block of each level of indirection. */
static uint64_t
level_start(const struct scratch_shape *s, int level)
{
	uint64_t n = s->bsize / (s->version == 1 ? 4 : 8), lbn = 12;

	for (uint64_t span = n; --level > 0; span *= n)
		lbn += span;
	return lbn * s->bsize;
}

static void
holes_reach_through_every_level_of_indirection(void)
{
	for (const struct scratch_shape *s = scratch_shapes; s->name; s++) {
		int64_t ino = file_in(s, "f");
		uint64_t before = free_bytes();

		for (int level = 1; level <= 3; level++) {
			uint64_t off = level_start(s, level) + 12345;

			if (s->version == 1 && level == 3)
				continue; /* may be beyond its largest size */
			CHECK_EQ(write_at(ino, off, 500), 500);
			CHECK(reads(ino, off, 500, pattern));
			CHECK(reads(ino, off - 12345, 12345, NULL));
			CHECK_EQ(scratch_faults(&scratch), 0);
		}
		CHECK(reads(ino, 0, 40000, NULL));
		for (int level = 3; level >= 1; level--) {
			CHECK_EQ(scratch_truncate(&scratch, (uint64_t)ino,
				     level_start(s, level)),
			    0);
			CHECK_EQ(scratch_faults(&scratch), 0);
		}
		CHECK_EQ(scratch_truncate(&scratch, (uint64_t)ino, 0), 0);
		CHECK_EQ(free_bytes(), before);
		CHECK_EQ(scratch_attr(&scratch, (uint64_t)ino).blocks, 0);
		scratch_close(&scratch);
	}
}

static void
the_last_block_is_never_a_hole(void)
{
	for (const struct scratch_shape *s = scratch_shapes; s->name; s++) {
		int64_t ino = file_in(s, "f");
		uint64_t sizes[] = {1, 5ull * s->bsize, 11ull * s->bsize + 1,
		    40ull * s->bsize, 7ull * s->bsize + 100, 3};

		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			CHECK_EQ(
			    scratch_truncate(&scratch, (uint64_t)ino, sizes[i]),
			    0);
			CHECK_EQ(ufs_seek(scratch.fs, (uint64_t)ino,
				     sizes[i] - 1, true),
			    sizes[i] - 1);
			CHECK_EQ(scratch_faults(&scratch), 0);
		}
		scratch_close(&scratch);
	}
}

static void
what_was_cut_off_never_comes_back(void)
{
	for (const struct scratch_shape *s = scratch_shapes; s->name; s++) {
		int64_t ino = file_in(s, "f");
		size_t all = 13ull * s->bsize > sizeof(pattern)
		    ? sizeof(pattern)
		    : 13ull * s->bsize;

		for (size_t cut = all - 1000; cut > 3000; cut = cut * 2 / 3) {
			CHECK_EQ(write_at(ino, 0, all), all);
			CHECK_EQ(
			    scratch_truncate(&scratch, (uint64_t)ino, cut), 0);
			CHECK_EQ(
			    scratch_truncate(&scratch, (uint64_t)ino, all), 0);
			CHECK(reads(ino, 0, cut, pattern));
			CHECK(reads(ino, cut, all - cut, NULL));
			CHECK_EQ(
			    scratch_truncate(&scratch, (uint64_t)ino, cut), 0);
			CHECK_EQ(write_at(ino, all - 10, 10), 10);
			CHECK(reads(ino, cut, all - 10 - cut, NULL));
		}
		CHECK_EQ(scratch_faults(&scratch), 0);
		scratch_close(&scratch);
	}
}

static void
sizes_beyond_the_largest_are_refused(void)
{
	for (const struct scratch_shape *s = scratch_shapes; s->name; s++) {
		int64_t ino = file_in(s, "f");
		uint64_t most = scratch.fs->sb.maxfilesize;

		CHECK_EQ(write_at(ino, most, 1), -EFBIG);
		CHECK_EQ(write_at(ino, UINT64_MAX - 5, 100), -EFBIG);
		CHECK_EQ(scratch_truncate(&scratch, (uint64_t)ino, most + 1),
		    -EFBIG);
		CHECK_EQ(scratch_truncate(&scratch, (uint64_t)ino, UINT64_MAX),
		    -EFBIG);
		CHECK_EQ(ufs_allocate(scratch.fs, (uint64_t)ino, UFS_ALLOC,
			     most - 5, 10),
		    -EFBIG);
		CHECK_EQ(write_at(ino, most - 5, 10), 5);
		CHECK_EQ(scratch_attr(&scratch, (uint64_t)ino).size, most);
		CHECK_EQ(scratch_faults(&scratch), 0);
		scratch_close(&scratch);
	}
}

static void
only_regular_files_are_written(void)
{
	int64_t ino = file_in(&scratch_shapes[0], "f");
	int64_t dir = scratch_create(&scratch, UFS_ROOT, "d", 040755);
	int64_t fifo = scratch_create(&scratch, UFS_ROOT, "p", 010644);

	CHECK_EQ(write_at(dir, 0, 1), -EINVAL);
	CHECK_EQ(write_at(fifo, 0, 1), -EINVAL);
	CHECK_EQ(scratch_truncate(&scratch, (uint64_t)dir, 0), -EISDIR);
	CHECK_EQ(scratch_truncate(&scratch, (uint64_t)fifo, 0), -EINVAL);
	CHECK_EQ(ufs_allocate(scratch.fs, (uint64_t)dir, UFS_PUNCH, 0, 512),
	    -EINVAL);
	CHECK_EQ(ufs_allocate(scratch.fs, (uint64_t)ino, 9, 0, 1), -EINVAL);
	CHECK_EQ(
	    ufs_allocate(scratch.fs, (uint64_t)ino, UFS_ALLOC, 0, 0), -EINVAL);
	CHECK_EQ(write_at(ino, 0, 0), 0);
	CHECK_EQ(write_at(5000000, 0, 1), -ESTALE);
	scratch_close(&scratch);
}

/* -- fallocate --------------------------------------------------------------
 */

static void
punching_frees_blocks_and_empty_indirect_blocks(void)
{
	for (const struct scratch_shape *s = scratch_shapes; s->name; s++) {
		int64_t ino = file_in(s, "f");
		uint64_t size = 40ull * s->bsize;
		uint64_t blocks;

		for (uint64_t off = 0; off < size; off += s->bsize)
			CHECK_EQ(write_at(ino, off, s->bsize), s->bsize);
		blocks = scratch_attr(&scratch, (uint64_t)ino).blocks;
		CHECK_EQ(ufs_allocate(scratch.fs, (uint64_t)ino, UFS_PUNCH,
			     s->bsize - 10, 3 * s->bsize + 20),
		    0);
		CHECK_EQ(scratch_attr(&scratch, (uint64_t)ino).blocks,
		    blocks - 3 * s->bsize / 512);
		CHECK(reads(ino, 0, s->bsize - 10, pattern));
		CHECK(reads(ino, s->bsize - 10, 3 * s->bsize + 20, NULL));
		CHECK(reads(ino, 4 * s->bsize + 10, 20, pattern + 10));
		/* Everything, but the last block stays. */
		CHECK_EQ(
		    ufs_allocate(scratch.fs, (uint64_t)ino, UFS_PUNCH, 0, size),
		    0);
		CHECK_EQ(scratch_attr(&scratch, (uint64_t)ino).size, size);
		CHECK_EQ(scratch_attr(&scratch, (uint64_t)ino).blocks,
		    2 * s->bsize / 512);
		CHECK_EQ(scratch_faults(&scratch), 0);
		scratch_close(&scratch);
	}
}

static void
allocating_keeps_data_and_fills_holes_with_zeroes(void)
{
	for (const struct scratch_shape *s = scratch_shapes; s->name; s++) {
		int64_t ino = file_in(s, "f");
		uint64_t size = 20ull * s->bsize;

		CHECK_EQ(write_at(ino, size - 100, 100), 100);
		CHECK_EQ(write_at(ino, 3000, 100), 100);
		CHECK_EQ(ufs_allocate(scratch.fs, (uint64_t)ino, UFS_ALLOC_KEEP,
			     0, size),
		    0);
		CHECK_EQ(scratch_attr(&scratch, (uint64_t)ino).blocks,
		    21 * s->bsize / 512);
		CHECK(reads(ino, 3000, 100, pattern));
		CHECK(reads(ino, 3100, 10000, NULL));
		CHECK_EQ(ufs_allocate(scratch.fs, (uint64_t)ino, UFS_ALLOC_KEEP,
			     0, size + 1),
		    -EOPNOTSUPP);
		CHECK_EQ(
		    ufs_allocate(scratch.fs, (uint64_t)ino, UFS_ALLOC, size, 1),
		    0);
		CHECK_EQ(scratch_attr(&scratch, (uint64_t)ino).size, size + 1);
		CHECK_EQ(
		    ufs_allocate(scratch.fs, (uint64_t)ino, UFS_ZERO, 3010, 20),
		    0);
		CHECK(reads(ino, 3000, 10, pattern));
		CHECK(reads(ino, 3010, 20, NULL));
		CHECK(reads(ino, 3030, 70, pattern + 30));
		CHECK_EQ(scratch_attr(&scratch, (uint64_t)ino).size, size + 1);
		CHECK_EQ(scratch_faults(&scratch), 0);
		scratch_close(&scratch);
	}
}

static void
allocating_more_than_there_can_be_changes_nothing(void)
{
	for (const struct scratch_shape *s = scratch_shapes; s->name; s++) {
		int64_t ino = file_in(s, "f");
		uint64_t before, size;

		CHECK_EQ(write_at(ino, 0, 5000), 5000);
		before = free_bytes();
		CHECK_EQ(ufs_allocate(scratch.fs, (uint64_t)ino, UFS_ALLOC,
			     1000, 1ull << 33),
		    -ENOSPC);
		CHECK_EQ(free_bytes(), before);
		/* Just more than there is, with indirect blocks. */
		CHECK_EQ(ufs_allocate(scratch.fs, (uint64_t)ino, UFS_ALLOC, 0,
			     before + 4000),
		    -ENOSPC);
		size = scratch_attr(&scratch, (uint64_t)ino).size;
		CHECK_EQ(size, 5000);
		CHECK_EQ(free_bytes(), before);
		CHECK_EQ(scratch_faults(&scratch), 0);
		scratch_close(&scratch);
	}
}

static void
zeroing_more_than_there_is_room_for_changes_nothing(void)
{
	for (const struct scratch_shape *s = scratch_shapes; s->name; s++) {
		int64_t ino = file_in(s, "f");
		uint64_t hole = free_bytes(), tail = 20ull * s->bsize;
		uint64_t size = hole + tail, len;

		CHECK_EQ(write_at(ino, 0, 5000), 5000);
		CHECK_EQ(ufs_allocate(
			     scratch.fs, (uint64_t)ino, UFS_ALLOC, hole, tail),
		    0);
		CHECK_EQ(write_at(ino, size - 100, 100), 100);
		/* Whoever counts the tail as room for it does not see that. */
		len = free_bytes() + 5ull * s->bsize;
		CHECK_EQ(ufs_allocate(
			     scratch.fs, (uint64_t)ino, UFS_ZERO, 1000, len),
		    -ENOSPC);
		CHECK_EQ(ufs_allocate(scratch.fs, (uint64_t)ino,
			     UFS_ZERO_EXTEND, 1000, size),
		    -ENOSPC);
		CHECK_EQ(scratch_attr(&scratch, (uint64_t)ino).size, size);
		CHECK(reads(ino, 0, 5000, pattern));
		CHECK(reads(ino, size - 100, 100, pattern));
		/* Make room, and it works. */
		CHECK_EQ(ufs_allocate(
			     scratch.fs, (uint64_t)ino, UFS_PUNCH, 1000, hole),
		    0);
		CHECK_EQ(ufs_allocate(scratch.fs, (uint64_t)ino,
			     UFS_ZERO_EXTEND, size - 50, s->bsize),
		    0);
		CHECK_EQ(scratch_attr(&scratch, (uint64_t)ino).size,
		    size - 50 + s->bsize);
		CHECK(reads(ino, size - 100, 50, pattern));
		CHECK(reads(ino, size - 50, s->bsize, NULL));
		CHECK_EQ(scratch_faults(&scratch), 0);
		scratch_close(&scratch);
	}
}

/* -- where data lies --------------------------------------------------------
 */

static void
files_written_from_start_to_end_are_contiguous(void)
{
	for (const struct scratch_shape *s = scratch_shapes; s->name; s++) {
		int64_t ino = file_in(s, "f");
		struct ufs_node *node;
		uint64_t fsb, run, pieces = 0;

		for (int i = 0; i < 200; i++)
			CHECK_EQ(write_at(ino, i * 10000ull, 10000), 10000);
		CHECK_EQ(ufs_node_get(scratch.fs, (uint64_t)ino, &node), 0);
		for (uint64_t lbn = 0; lbn < 2000000 / s->bsize; lbn += run) {
			CHECK_EQ(
			    ufs_bmap(scratch.fs, node, lbn, 4000, &fsb, &run),
			    0);
			pieces++;
		}
		/* Indirect blocks and what mapping looks at in one go. */
		CHECK(pieces <= 4);
		ufs_node_put(scratch.fs, node);
		scratch_close(&scratch);
	}
}

static bool
device_holds(const uint8_t *what, size_t len)
{
	static uint8_t buf[1 << 16];

	for (uint64_t off = 0; off + sizeof(buf) <= scratch.dev->size;
	     off += sizeof(buf)) {
		CHECK_EQ(blkdev_read(scratch.dev, off, buf, sizeof(buf)), 0);
		if (memmem(buf, sizeof(buf), what, len) != NULL)
			return true;
	}
	return false;
}

static void
freed_blocks_are_trimmed(void)
{
	for (const struct scratch_shape *s = scratch_shapes; s->name; s++) {
		int64_t ino = file_in(s, "f");

		CHECK_EQ(write_at(ino, 0, 300000), 300000);
		CHECK(device_holds(pattern + 1000, 200));
		CHECK_EQ(scratch_truncate(&scratch, (uint64_t)ino, 100000), 0);
		CHECK(!device_holds(pattern + 200000, 200));
		CHECK_EQ(scratch_remove(&scratch, UFS_ROOT, "f"), 0);
		CHECK(!device_holds(pattern + 1000, 200));
		CHECK(!device_holds(pattern + 90000, 200));
		scratch_close(&scratch);
	}
}

static void
what_was_freed_is_used_again_first(void)
{
	int64_t a = file_in(&scratch_shapes[2], "a"), b;
	struct ufs_node *node;
	uint64_t first;

	CHECK_EQ(write_at(a, 0, 8192), 8192);
	CHECK_EQ(ufs_node_get(scratch.fs, (uint64_t)a, &node), 0);
	first = node->d.db[0];
	ufs_node_put(scratch.fs, node);
	CHECK_EQ(scratch_remove(&scratch, UFS_ROOT, "a"), 0);
	b = scratch_create(&scratch, UFS_ROOT, "b", S_REG);
	CHECK_EQ(b, a);
	CHECK_EQ(write_at(b, 0, 8192), 8192);
	CHECK_EQ(ufs_node_get(scratch.fs, (uint64_t)b, &node), 0);
	CHECK_EQ(node->d.db[0], first);
	ufs_node_put(scratch.fs, node);
	scratch_close(&scratch);
}

static void
an_inode_used_again_has_another_generation(void)
{
	int64_t ino = file_in(&scratch_shapes[3], "a");
	uint32_t gen = scratch_attr(&scratch, (uint64_t)ino).gen;

	CHECK(gen != 0);
	for (int i = 0; i < 5; i++) {
		CHECK_EQ(scratch_remove(&scratch, UFS_ROOT, "a"), 0);
		CHECK_EQ(scratch_create(&scratch, UFS_ROOT, "a", S_REG), ino);
		CHECK_EQ(scratch_attr(&scratch, (uint64_t)ino).gen, ++gen);
	}
	scratch_close(&scratch);
}

/* -- full -------------------------------------------------------------------
 */

static void
a_full_device_takes_what_fits(void)
{
	for (const struct scratch_shape *s = scratch_shapes; s->name; s++) {
		struct scratch_shape small = *s;
		struct ufs_info info;
		int64_t ino, n = 0;
		uint64_t size = 0;

		small.bytes = 100ull * s->bsize;
		small.ncg = 0;
		ino = file_in(&small, "f");
		scratch.fs->opt.size_limit = 1;
		do {
			size += (uint64_t)n;
			n = write_at(ino, size, 70000);
		} while (n > 0);
		CHECK_EQ(n, -ENOSPC);
		CHECK_EQ(scratch_attr(&scratch, (uint64_t)ino).size, size);
		ufs_info(scratch.fs, &info);
		CHECK(info.free < s->bsize);
		CHECK_EQ(scratch_faults(&scratch), 0);
		/* Names may still come and go in what the root has. */
		CHECK(scratch_create(&scratch, UFS_ROOT, "g", S_REG) > 0);
		CHECK_EQ(scratch_truncate(&scratch, (uint64_t)ino, size * 9),
		    -ENOSPC);
		CHECK_EQ(scratch_attr(&scratch, (uint64_t)ino).size, size);
		CHECK_EQ(scratch_faults(&scratch), 0);
		CHECK_EQ(scratch_remove(&scratch, UFS_ROOT, "f"), 0);
		CHECK_EQ(scratch_faults(&scratch), 0);
		scratch_close(&scratch);
	}
}

static void
allocating_does_not_show_what_lies_behind_the_end(void)
{
	static const uint64_t places[] = {0, 100, 300};

	for (const struct scratch_shape *s = scratch_shapes; s->name; s++)
		for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
			int64_t ino = file_in(s, "f");
			struct ufs_node *node;
			uint64_t at, to = s->bsize - 10;

			CHECK_EQ(write_at(ino, 0, 100), 100);
			CHECK_EQ(
			    ufs_node_get(scratch.fs, (uint64_t)ino, &node), 0);
			at = node->d.db[0] * s->fsize;
			ufs_node_put(scratch.fs, node);
			/* Other tools leave what they like there. */
			CHECK_EQ(
			    blkdev_write(scratch.dev, at + 100, pattern, 400),
			    0);
			CHECK_EQ(ufs_allocate(scratch.fs, (uint64_t)ino,
				     UFS_ALLOC, places[i], to - places[i]),
			    0);
			CHECK(reads(ino, 0, 100, pattern));
			CHECK(reads(ino, 100, to - 100, NULL));
			scratch_close(&scratch);
		}
}

/* The first free block from start on, around the group's end; or -1. */
static int64_t
walk_to_free(const struct ufs_cg *cg, uint32_t start)
{
	const struct ufs *fs = scratch.fs;

	for (uint32_t i = 0; i < cg->nblocks; i++) {
		uint32_t blk = (start + i) % cg->nblocks;

		if (ufs_cgmap_block(fs, cg, blk) == (1u << fs->sb.frag) - 1)
			return (int64_t)blk << fs->sb.fragshift;
	}
	return -1;
}

/* Take and free whole blocks and single fragments, wherever they lie. */
static void
the_next_free_block_is_found_from_anywhere(void)
{
	uint64_t seed = 11;

	for (const struct scratch_shape *s = scratch_shapes; s->name; s++) {
		struct ufs_cg *cg = NULL;
		struct ufs *fs;
		int wrong = 0, none = 0;

		scratch_make(&scratch, s);
		fs = scratch.fs;
		CHECK_EQ(ufs_cg_get(fs, 0, &cg), 0);
		for (int i = 0; i < 24000; i++) {
			uint32_t r =
			    (uint32_t)((seed = seed * 6364136223846793005u +
					       1) >>
				33);
			uint32_t start = (r >> 8) % cg->nblocks;
			uint32_t from = start << fs->sb.fragshift;
			int64_t at = walk_to_free(cg, start);
			bool to_free = r % 64 < (i / 8000 % 2 ? 40 : 2);

			wrong += ufs_cgmap_find_block(fs, cg, from) != at;
			none += at < 0;
			if (to_free)
				ufs_cgmap_change(
				    fs, cg, from, fs->sb.frag, true);
			else if (at >= 0)
				ufs_cgmap_change(fs, cg, (uint32_t)at,
				    r % 3 ? fs->sb.frag : 1, false);
		}
		CHECK_EQ(wrong, 0);
		CHECK(none > 0);
		scratch_close(&scratch);
	}
}

#define T(name) \
	{ \
#name, name \
	}

TESTS(T(appending_goes_from_fragments_to_blocks_to_indirect_blocks),
    T(a_tail_holds_no_more_fragments_than_it_needs),
    T(holes_reach_through_every_level_of_indirection),
    T(the_last_block_is_never_a_hole), T(what_was_cut_off_never_comes_back),
    T(sizes_beyond_the_largest_are_refused), T(only_regular_files_are_written),
    T(punching_frees_blocks_and_empty_indirect_blocks),
    T(allocating_keeps_data_and_fills_holes_with_zeroes),
    T(allocating_more_than_there_can_be_changes_nothing),
    T(zeroing_more_than_there_is_room_for_changes_nothing),
    T(allocating_does_not_show_what_lies_behind_the_end),
    T(files_written_from_start_to_end_are_contiguous),
    T(freed_blocks_are_trimmed), T(what_was_freed_is_used_again_first),
    T(an_inode_used_again_has_another_generation),
    T(a_full_device_takes_what_fits),
    T(the_next_free_block_is_found_from_anywhere))
