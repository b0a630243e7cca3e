/*
 * Damage stays where it is: one damaged group, inode, indirect block or
 * directory is an error on what it concerns, said once; everything else can
 * be read, changed and flushed.
 */
#include <stdlib.h>
#include <string.h>

#include "../../imgfmt/ufs_impl.h"
#include "check.h"
#include "ufs_kit.h"
#include "ufs_one_file.h"

static const struct scratch_shape shapes[] = {
    {"UFS1 4096/512", 1, false, 4096, 512, 16 << 20, 4, false},
    {"UFS1 8192/1024 big-endian", 1, true, 8192, 1024, 24 << 20, 3, false},
    {"UFS2 4096/512 hashed", 2, false, 4096, 512, 16 << 20, 4, true},
    {"UFS2 16384/2048", 2, false, 16384, 2048, 32 << 20, 3, false},
    {0},
};

enum { S_DIR = 0040755 };

static int64_t file_ino, dir_ino;

/*
 * /file of 200000 bytes, /tail of 700 bytes, /dir with entries, /dir/sub,
 * /other with a file; flushed.
 */
static void
begin(const struct scratch_shape *shape)
{
	int64_t tail, other;
	char name[16];

	file_ino = file_in(shape, "file");
	CHECK_EQ(write_at(file_ino, 0, 200000), 200000);
	tail = scratch_create(&scratch, UFS_ROOT, "tail", S_REG);
	CHECK_EQ(write_at(tail, 0, 700), 700);
	dir_ino = scratch_create(&scratch, UFS_ROOT, "dir", S_DIR);
	for (int i = 0; i < 60; i++) {
		snprintf(name, sizeof(name), "entry%d", i);
		CHECK(scratch_create(&scratch, (uint64_t)dir_ino, name, S_REG) >
		    0);
	}
	CHECK(scratch_create(&scratch, (uint64_t)dir_ino, "sub", S_DIR) > 0);
	other = scratch_create(&scratch, UFS_ROOT, "other", S_DIR);
	CHECK(scratch_create(&scratch, (uint64_t)other, "f", S_REG) > 0);
	CHECK_EQ(scratch_faults(&scratch), 0);
}

static void
reopen(void)
{
	CHECK_EQ(ufs_flush(scratch.fs), 0);
	ufs_close(scratch.fs);
	scratch_open(&scratch);
}

/* Bytes of the device, over which to put others. */
static void
spoil(uint64_t off, const void *bytes, size_t len)
{
	CHECK_EQ(blkdev_write(scratch.dev, off, bytes, len), 0);
	scratch_open(&scratch);
	kit_capture();
}

/* Everything else works: made, written, renamed, removed, flushed, kept. */
static void
the_rest_works(void)
{
	int64_t ino = scratch_create(&scratch, UFS_ROOT, "new", S_REG);
	int64_t other = scratch_lookup(&scratch, UFS_ROOT, "other");

	CHECK(ino > 0 && other > 0);
	CHECK_EQ(write_at(ino, 0, 300000), 300000);
	CHECK(scratch_create(&scratch, (uint64_t)other, "d", S_DIR) > 0);
	CHECK_EQ(scratch_rename(
		     &scratch, UFS_ROOT, "new", (uint64_t)other, "moved", 0),
	    0);
	CHECK_EQ(scratch_remove(&scratch, (uint64_t)other, "f"), 0);
	CHECK(!scratch.fs->broken);
	reopen();
	CHECK_EQ(scratch_lookup(&scratch, (uint64_t)other, "moved"), ino);
	CHECK(reads(ino, 0, 300000, pattern));
	CHECK_EQ(scratch_lookup(&scratch, (uint64_t)other, "f"), -ENOENT);
	CHECK_EQ(scratch_truncate(&scratch, (uint64_t)ino, 0), 0);
	CHECK_EQ(scratch_remove(&scratch, (uint64_t)other, "moved"), 0);
	CHECK_EQ(ufs_flush(scratch.fs), 0);
	CHECK(!scratch.fs->broken);
	scratch_close(&scratch);
}

/* -- groups ------------------------------------------------------------------
 */

static uint64_t
group_off(uint32_t cgx)
{
	return ufs_frag_off(&scratch.fs->sb, ufs_cgtod(&scratch.fs->sb, cgx));
}

static void
a_damaged_group_is_passed_over(void)
{
	for (const struct scratch_shape *s = shapes; s->name; s++)
		for (uint32_t cgx = 0; cgx < s->ncg - 1; cgx++) {
			uint32_t fpg, ipg;
			struct ufs_run run;
			int64_t ino;

			scratch_make(&scratch, s);
			fpg = scratch.fs->sb.fpg << scratch.fs->sb.fshift;
			ipg = scratch.fs->sb.ipg;
			ufs_close(scratch.fs);
			scratch_open(&scratch);
			uint64_t off = group_off(cgx);
			ufs_close(scratch.fs);
			spoil(off, "damaged!", 8);
			ino = scratch_create(&scratch, UFS_ROOT, "f", S_REG);
			CHECK_EQ(ino / ipg, cgx == 0 ? 1 : 0);
			for (uint64_t at = 0; at < 5 << 20; at += 1 << 20)
				CHECK_EQ(write_at(ino, at, 1 << 20), 1 << 20);
			for (uint64_t at = 0; at < 5 << 20; at += run.len) {
				run.len = 5 << 20;
				CHECK_EQ(ufs_map(scratch.fs, (uint64_t)ino, at,
					     &run),
				    0);
				CHECK(run.dev_off / fpg != cgx);
			}
			CHECK(cgx != 0 || kit_said("cylinder group 0"));
			CHECK(!scratch.fs->broken);
			reopen();
			CHECK_EQ(scratch_lookup(&scratch, UFS_ROOT, "f"), ino);
			scratch_close(&scratch);
		}
}

/* Change a group as it lies, with its hash. */
static void
lie_in_group(uint32_t cgx, void (*lie)(const struct ufs *fs, uint8_t *raw))
{
	uint8_t raw[65536];
	struct ufs *fs = scratch.fs;
	struct ufs_cg_disk *head = (struct ufs_cg_disk *)raw;
	uint64_t off = group_off(cgx);
	uint32_t len = fs->sb.cgsize;

	CHECK_EQ(blkdev_read(scratch.dev, off, raw, len), 0);
	lie(fs, raw);
	if (fs->sb.metackhash & UFS_CK_CYLGRP)
		head->ckhash = raw32_set(ufs_cg_hash(&fs->sb, raw), fs->sb.big);
	ufs_close(fs);
	spoil(off, raw, len);
}

/* The group's own header is free. */
static void
header_is_free(const struct ufs *fs, uint8_t *raw)
{
	struct ufs_cg_disk *head = (struct ufs_cg_disk *)raw;

	memset(raw + fs->layout.freeoff, 0xff, 2);
	head->rotor = raw32_set(0, fs->sb.big);
	head->frotor = raw32_set(0, fs->sb.big);
}

/* The root directory's inode is free. */
static void
root_is_free(const struct ufs *fs, uint8_t *raw)
{
	raw[fs->layout.iusedoff] &= (uint8_t)~4;
	((struct ufs_cg_disk *)raw)->irotor = raw32_set(0, fs->sb.big);
}

static void
a_group_whose_maps_lie_gives_out_nothing_more(void)
{
	for (const struct scratch_shape *s = shapes; s->name; s++) {
		uint32_t ipg;
		int64_t ino;

		begin(s);
		ipg = scratch.fs->sb.ipg;
		lie_in_group(0, root_is_free);
		ino = scratch_create(&scratch, UFS_ROOT, "f", S_REG);
		CHECK_EQ(ino / ipg, 1);
		CHECK(kit_said("inode 2 is in use"));
		the_rest_works();

		begin(s);
		lie_in_group(0, header_is_free);
		ino = scratch_create(&scratch, UFS_ROOT, "f", S_REG);
		CHECK_EQ(write_at(ino, 0, 300000), 300000);
		CHECK(kit_said("metadata"));
		the_rest_works();
	}
}

static void
what_lies_in_a_damaged_group_can_be_read_but_not_freed(void)
{
	for (const struct scratch_shape *s = shapes; s->name; s++) {
		uint64_t off;

		begin(s);
		off = group_off(0);
		ufs_close(scratch.fs);
		spoil(off, "damaged!", 8);
		CHECK(reads(file_ino, 0, 200000, pattern));
		CHECK_EQ(
		    ufs_write(scratch.fs, (uint64_t)file_ino, 5000, "x", 1), 1);
		CHECK_EQ(scratch_remove(&scratch, UFS_ROOT, "file"), -ECORRUPT);
		CHECK_EQ(scratch_truncate(&scratch, (uint64_t)file_ino, 0),
		    -ECORRUPT);
		CHECK_EQ(scratch_lookup(&scratch, UFS_ROOT, "file"), file_ino);
		CHECK(kit_said("cylinder group 0"));
		CHECK(!scratch.fs->broken);
		CHECK_EQ(ufs_flush(scratch.fs), 0);
		scratch_close(&scratch);
	}
}

/* -- inodes and blocks ------------------------------------------------------
 */

static void
a_damaged_inode_is_an_error_on_that_file(void)
{
	static const uint8_t mode[2] = {0xff, 0xff};

	for (const struct scratch_shape *s = shapes; s->name; s++) {
		uint64_t off;

		begin(s);
		off = ufs_ino_off(&scratch.fs->sb, (uint64_t)file_ino);
		ufs_close(scratch.fs);
		spoil(off, mode, 2);
		CHECK_EQ(scratch_lookup(&scratch, UFS_ROOT, "file"), -ECORRUPT);
		CHECK_EQ(scratch_remove(&scratch, UFS_ROOT, "file"), -ECORRUPT);
		CHECK_EQ(scratch_rename(
			     &scratch, UFS_ROOT, "file", UFS_ROOT, "g", 0),
		    -ECORRUPT);
		the_rest_works();
	}
}

/* The first indirect block of /file points into nothing. */
static void
a_damaged_indirect_block_is_an_error_on_what_it_maps(void)
{
	static const uint8_t junk[64] = {
	    0x77, 0x77, 0x77, 0x77, 0x77, 0x77, 0x77, 0x77};

	for (const struct scratch_shape *s = shapes; s->name; s++) {
		uint32_t direct = UFS_NDIRECT * s->bsize;
		struct ufs_node *node;
		uint64_t off;

		begin(s);
		CHECK_EQ(
		    ufs_node_get(scratch.fs, (uint64_t)file_ino, &node), 0);
		off = ufs_frag_off(&scratch.fs->sb, node->d.ib[0]);
		ufs_node_put(scratch.fs, node);
		if (direct > 200000) { /* no indirect block */
			scratch_close(&scratch);
			continue;
		}
		ufs_close(scratch.fs);
		spoil(off, junk, sizeof(junk));
		CHECK(reads(file_ino, 0, direct, pattern));
		CHECK_EQ(ufs_read(scratch.fs, (uint64_t)file_ino, direct, back,
			     1000),
		    -ECORRUPT);
		CHECK_EQ(write_at(file_ino, 0, 1000), 1000);
		CHECK_EQ(write_at(file_ino, direct, 1000), -ECORRUPT);
		CHECK_EQ(scratch_truncate(&scratch, (uint64_t)file_ino, 5000),
		    -ECORRUPT);
		CHECK_EQ(scratch_remove(&scratch, UFS_ROOT, "file"), -ECORRUPT);
		the_rest_works();
	}
}

/* The place of a chunk of /dir. */
static uint64_t
dir_off(uint64_t ino, uint64_t at)
{
	uint64_t fsb, run, lbn = at >> scratch.fs->sb.bshift;
	struct ufs_node *node;

	CHECK_EQ(ufs_node_get(scratch.fs, ino, &node), 0);
	CHECK_EQ(ufs_bmap(scratch.fs, node, lbn, 1, &fsb, &run), 0);
	ufs_node_put(scratch.fs, node);
	return ufs_frag_off(&scratch.fs->sb, fsb) +
	    (at & (scratch.fs->sb.bsize - 1));
}

static void
a_damaged_directory_is_an_error_on_its_names(void)
{
	for (const struct scratch_shape *s = shapes; s->name; s++) {
		uint64_t dir, off;

		begin(s);
		dir = (uint64_t)dir_ino;
		off = dir_off(dir, 512);
		ufs_close(scratch.fs);
		spoil(off, "damaged!", 8);
		CHECK(scratch_lookup(&scratch, dir, "entry0") > 0);
		CHECK_EQ(scratch_lookup(&scratch, dir, "entry59"), -ECORRUPT);
		CHECK_EQ(scratch_lookup(&scratch, dir, "none"), -ECORRUPT);
		CHECK_EQ(
		    scratch_create(&scratch, dir, "more", S_REG), -ECORRUPT);
		CHECK_EQ(scratch_rmdir(&scratch, UFS_ROOT, "dir"), -ENOTEMPTY);
		the_rest_works();
	}
}

/* A directory that lost its ".." stays where it is. */
static void
what_cannot_follow_is_not_moved(void)
{
	for (const struct scratch_shape *s = shapes; s->name; s++) {
		int64_t sub, other;
		uint64_t off;

		begin(s);
		sub = scratch_lookup(&scratch, (uint64_t)dir_ino, "sub");
		off = dir_off((uint64_t)sub, 12);
		ufs_close(scratch.fs);
		spoil(off, "\0\0\0\0", 4);
		other = scratch_lookup(&scratch, UFS_ROOT, "other");
		CHECK_EQ(scratch_rename(&scratch, (uint64_t)dir_ino, "sub",
			     (uint64_t)other, "sub", 0),
		    -ECORRUPT);
		CHECK(kit_said("\"..\""));
		CHECK_EQ(scratch_rename(&scratch, (uint64_t)dir_ino, "sub",
			     UFS_ROOT, "other", UFS_RENAME_EXCHANGE),
		    -ECORRUPT);
		CHECK_EQ(
		    scratch_lookup(&scratch, (uint64_t)dir_ino, "sub"), sub);
		the_rest_works();
	}
}

/* The fragments of /tail are marked free. */
static void
tail_is_free(const struct ufs *fs, uint8_t *raw)
{
	uint64_t tail = (uint64_t)scratch_lookup(&scratch, UFS_ROOT, "tail");
	struct ufs_node *node;
	uint32_t bit;

	CHECK_EQ(ufs_node_get(scratch.fs, tail, &node), 0);
	bit = (uint32_t)(node->d.db[0] % fs->sb.fpg);
	raw[fs->layout.freeoff + bit / 8] |= (uint8_t)(1u << bit % 8);
	ufs_node_put(scratch.fs, node);
}

static void
a_tail_that_is_marked_free_is_neither_moved_nor_cut(void)
{
	for (const struct scratch_shape *s = shapes; s->name; s++) {
		int64_t ino;

		begin(s);
		lie_in_group(0, tail_is_free);
		ino = scratch_lookup(&scratch, UFS_ROOT, "tail");
		CHECK_EQ(write_at(ino, 700, s->bsize), -ECORRUPT);
		CHECK_EQ(scratch_truncate(&scratch, (uint64_t)ino, 90000),
		    -ECORRUPT);
		CHECK(reads(ino, 0, 700, pattern));
		CHECK(!scratch.fs->broken);
		scratch_close(&scratch);
	}
}

#define T(name) \
	{ \
#name, name \
	}

TESTS(T(a_damaged_group_is_passed_over),
    T(a_group_whose_maps_lie_gives_out_nothing_more),
    T(what_lies_in_a_damaged_group_can_be_read_but_not_freed),
    T(a_damaged_inode_is_an_error_on_that_file),
    T(a_damaged_indirect_block_is_an_error_on_what_it_maps),
    T(a_damaged_directory_is_an_error_on_its_names),
    T(what_cannot_follow_is_not_moved),
    T(a_tail_that_is_marked_free_is_neither_moved_nor_cut))
