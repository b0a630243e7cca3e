/* Attributes, pins, and what a flush leaves. */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "../../imgfmt/ufs_impl.h"
#include "blkdev_fault.h"
#include "check.h"
#include "ufs_one_file.h"

/* -- attributes -------------------------------------------------------------
 */

static void
attributes_are_set_one_by_one(void)
{
	int64_t ino = file_in(&scratch_shapes[3], "f");
	struct ufs_attr attr = {.mode = 0107777,
	    .uid = 4000000000u,
	    .gid = 77,
	    .flags = UFS_FLAG_SIMMUTABLE,
	    .atime = {11, 12},
	    .mtime = {-13, 14},
	    .ctime = {15, 16},
	    .birth = {17, 18}};
	struct ufs_attr got;
	unsigned all = UFS_SET_MODE | UFS_SET_UID | UFS_SET_GID |
	    UFS_SET_ATIME | UFS_SET_MTIME | UFS_SET_FLAGS | UFS_SET_BIRTH |
	    UFS_SET_CTIME;

	CHECK_EQ(ufs_setattr(scratch.fs, (uint64_t)ino, all, &attr, &got), 0);
	CHECK_EQ(got.mode, 0107777);
	CHECK_EQ(got.uid, 4000000000u);
	CHECK_EQ(got.gid, 77);
	CHECK_EQ(got.flags, UFS_FLAG_SIMMUTABLE);
	CHECK_EQ(got.atime.tv_sec, 11);
	CHECK_EQ(got.mtime.tv_sec, -13);
	CHECK_EQ(got.mtime.tv_nsec, 14);
	CHECK_EQ(got.ctime.tv_sec, 15);
	CHECK_EQ(got.birth.tv_sec, 17);
	attr.uid = 5;
	CHECK_EQ(
	    ufs_setattr(scratch.fs, (uint64_t)ino, UFS_SET_UID, &attr, &got),
	    0);
	CHECK_EQ(got.uid, 5);
	CHECK_EQ(got.gid, 77);
	CHECK(got.ctime.tv_sec > 15);
	CHECK_EQ(got.mtime.tv_sec, -13);
	attr.flags = UFS_FLAG_SNAPSHOT;
	CHECK_EQ(
	    ufs_setattr(scratch.fs, (uint64_t)ino, UFS_SET_FLAGS, &attr, &got),
	    -EPERM);
	CHECK_EQ(scratch_faults(&scratch), 0);
	scratch_close(&scratch);
}

static void
writing_updates_times(void)
{
	int64_t ino = file_in(&scratch_shapes[0], "f");
	struct ufs_attr old = {.mtime = {100, 0}, .ctime = {100, 0}}, got;
	unsigned both = UFS_SET_MTIME | UFS_SET_CTIME;

	CHECK_EQ(ufs_setattr(scratch.fs, (uint64_t)ino, both, &old, &got), 0);
	CHECK_EQ(write_at(ino, 0, 5), 5);
	got = scratch_attr(&scratch, (uint64_t)ino);
	CHECK(got.mtime.tv_sec > 100 && got.ctime.tv_sec > 100);
	CHECK_EQ(ufs_setattr(scratch.fs, (uint64_t)ino, both, &old, &got), 0);
	CHECK_EQ(scratch_truncate(&scratch, (uint64_t)ino, 5), 0);
	got = scratch_attr(&scratch, (uint64_t)ino);
	CHECK(got.mtime.tv_sec > 100 && got.ctime.tv_sec > 100);
	scratch_close(&scratch);
}

/* -- flushing ---------------------------------------------------------------
 */

static void
pinned_inodes_live_on_without_a_name(void)
{
	for (const struct scratch_shape *s = scratch_shapes; s->name; s++) {
		int64_t ino = file_in(s, "f");
		uint64_t before = free_bytes();

		CHECK_EQ(write_at(ino, 0, 100000), 100000);
		CHECK_EQ(ufs_pin(scratch.fs, (uint64_t)ino), 0);
		CHECK_EQ(ufs_pin(scratch.fs, (uint64_t)ino), 0);
		CHECK_EQ(scratch_remove(&scratch, UFS_ROOT, "f"), 0);
		CHECK(reads(ino, 0, 100000, pattern));
		CHECK_EQ(write_at(ino, 100000, 10), 10);
		CHECK_EQ(scratch_faults(&scratch), 0);
		CHECK_EQ(scratch.norphans, 1);
		CHECK_EQ(scratch.orphans[0], ino);
		CHECK_EQ(ufs_unpin(scratch.fs, (uint64_t)ino, 1), 0);
		CHECK_EQ(scratch_attr(&scratch, (uint64_t)ino).nlink, 0);
		CHECK_EQ(ufs_unpin(scratch.fs, (uint64_t)ino, 1), 0);
		CHECK_EQ(ufs_unpin(scratch.fs, (uint64_t)ino, 1), -ESTALE);
		CHECK_EQ(free_bytes(), before);
		CHECK_EQ(scratch_faults(&scratch), 0);
		CHECK_EQ(scratch.norphans, 0);
		scratch_close(&scratch);
	}
}

static void
orphans_of_a_crash_are_reaped(void)
{
	int64_t ino = file_in(&scratch_shapes[3], "f"), other;
	uint64_t list[4];

	other = scratch_create(&scratch, UFS_ROOT, "named", S_REG);
	CHECK_EQ(write_at(ino, 0, 100000), 100000);
	CHECK_EQ(ufs_pin(scratch.fs, (uint64_t)ino), 0);
	CHECK_EQ(scratch_remove(&scratch, UFS_ROOT, "f"), 0);
	CHECK_EQ(ufs_flush(scratch.fs), 0);
	ufs_close(scratch.fs);
	scratch_open(&scratch);
	list[0] = 999999999;
	list[1] = (uint64_t)ino;
	list[2] = (uint64_t)other;
	list[3] = 0;
	CHECK_EQ(ufs_reap(scratch.fs, list, 4), 0);
	scratch.norphans = 0;
	CHECK_EQ(scratch_faults(&scratch), 0);
	CHECK_EQ(scratch_lookup(&scratch, UFS_ROOT, "named"), other);
	scratch_close(&scratch);
}

static void
a_wrong_link_count_of_zero_frees_nothing_that_has_a_name(void)
{
	for (const struct scratch_shape *s = scratch_shapes; s->name; s++) {
		int64_t ino = file_in(s, "f");
		struct ufs_node *node;
		uint64_t before;

		CHECK_EQ(write_at(ino, 0, 1000), 1000);
		CHECK_EQ(ufs_node_get(scratch.fs, (uint64_t)ino, &node), 0);
		node->d.nlink = 0;
		CHECK_EQ(ufs_node_store(scratch.fs, node), 0);
		ufs_node_put(scratch.fs, node);
		CHECK_EQ(ufs_flush(scratch.fs), 0);
		ufs_close(scratch.fs);
		scratch_open(&scratch);
		/* To look at it must not be to lose it. */
		CHECK_EQ(scratch_lookup(&scratch, UFS_ROOT, "f"), ino);
		CHECK_EQ(ufs_pin(scratch.fs, (uint64_t)ino), 0);
		CHECK(scratch_create(&scratch, UFS_ROOT, "g", S_REG) > 0);
		CHECK_EQ(ufs_flush(scratch.fs), 0);
		CHECK_EQ(scratch.norphans, 0);
		CHECK_EQ(ufs_unpin(scratch.fs, (uint64_t)ino, 1), 0);
		CHECK(reads(ino, 0, 1000, pattern));
		/* It can still be removed, and is an orphan then. */
		before = free_bytes();
		CHECK_EQ(ufs_pin(scratch.fs, (uint64_t)ino), 0);
		CHECK_EQ(scratch_remove(&scratch, UFS_ROOT, "f"), 0);
		CHECK_EQ(ufs_flush(scratch.fs), 0);
		CHECK_EQ(scratch.norphans, 1);
		CHECK_EQ(ufs_unpin(scratch.fs, (uint64_t)ino, 1), 0);
		CHECK(free_bytes() > before);
		CHECK_EQ(scratch_faults(&scratch), 0);
		scratch_close(&scratch);
	}
}

static void
a_flush_without_changes_writes_nothing(void)
{
	struct blkdev *fault;
	unsigned calls;

	scratch_make(&scratch, &scratch_shapes[3]);
	ufs_close(scratch.fs);
	CHECK_EQ(blkdev_fault_open(scratch.dev, &fault), 0);
	scratch.dev = fault;
	scratch_open(&scratch);
	CHECK_EQ(ufs_flush(scratch.fs), 0);
	CHECK_EQ(scratch_lookup(&scratch, UFS_ROOT, "none"), -ENOENT);
	CHECK_EQ(scratch_remove(&scratch, UFS_ROOT, "none"), -ENOENT);
	CHECK_EQ(ufs_flush(scratch.fs), 0);
	CHECK_EQ(blkdev_fault_calls(fault, FAULT_WRITE), 0);
	CHECK(scratch_create(&scratch, UFS_ROOT, "f", S_REG) > 0);
	CHECK_EQ(ufs_flush(scratch.fs), 0);
	calls = blkdev_fault_calls(fault, FAULT_WRITE | FAULT_FLUSH);
	CHECK(calls > 0);
	CHECK_EQ(ufs_flush(scratch.fs), 0);
	CHECK_EQ(blkdev_fault_calls(fault, FAULT_WRITE | FAULT_FLUSH), calls);
	scratch_close(&scratch);
}

static void
a_failed_flush_can_be_repeated(void)
{
	struct blkdev *fault;

	scratch_make(&scratch, &scratch_shapes[0]);
	ufs_close(scratch.fs);
	CHECK_EQ(blkdev_fault_open(scratch.dev, &fault), 0);
	scratch.dev = fault;
	scratch_open(&scratch);
	CHECK(scratch_create(&scratch, UFS_ROOT, "f", S_REG) > 0);
	blkdev_fault_arm(fault, FAULT_FLUSH, 1, -ENOSPC, false);
	CHECK_EQ(ufs_flush(scratch.fs), -ENOSPC);
	CHECK_EQ(ufs_flush(scratch.fs), 0);
	CHECK_EQ(scratch_faults(&scratch), 0);
	scratch_close(&scratch);
}

static void
the_superblock_says_clean_and_when(void)
{
	for (const struct scratch_shape *s = scratch_shapes; s->name; s++) {
		struct ufs_info info;
		int64_t mtime;

		CHECK(file_in(s, "f") > 0);
		ufs_info(scratch.fs, &info);
		mtime = info.mtime;
		CHECK_EQ(ufs_sync_to_device(scratch.fs), 0);
		ufs_close(scratch.fs);
		scratch_open(&scratch);
		ufs_info(scratch.fs, &info);
		CHECK(info.clean);
		CHECK(info.time > 1000000000);
		CHECK_EQ(info.mtime, mtime);
		scratch_close(&scratch);
	}
}

static void
ufs1_with_the_largest_blocks_keeps_the_copy_at_65536(void)
{
	static const struct scratch_shape shape = {
	    "64K", 1, false, 65536, 8192, 32 << 20, 0, false};
	static uint8_t a[8192], b[8192];

	CHECK(file_in(&shape, "f") > 0);
	CHECK_EQ(ufs_flush(scratch.fs), 0);
	CHECK_EQ(blkdev_read(scratch.dev, scratch.fs->sb.loc, a, 8192), 0);
	CHECK_EQ(blkdev_read(scratch.dev, 65536, b, 8192), 0);
	/* All but fs_sblockactualloc. */
	CHECK_EQ(memcmp(a, b, 992), 0);
	CHECK_EQ(memcmp(a + 1000, b + 1000, 376), 0);
	CHECK_EQ(scratch_faults(&scratch), 0);
	scratch_close(&scratch);
}

static void
a_read_only_file_system_refuses_changes(void)
{
	struct ufs_options look = {0};
	struct ufs_attr attr = {0};

	CHECK(file_in(&scratch_shapes[0], "f") > 0);
	CHECK_EQ(ufs_flush(scratch.fs), 0);
	ufs_close(scratch.fs);
	CHECK_EQ(ufs_open(blkdev_ref(scratch.dev), &look, &scratch.fs), 0);
	CHECK_EQ(scratch_create(&scratch, UFS_ROOT, "g", S_REG), -EROFS);
	CHECK_EQ(scratch_remove(&scratch, UFS_ROOT, "f"), -EROFS);
	CHECK_EQ(write_at(3, 0, 1), -EROFS);
	CHECK_EQ(ufs_setattr(scratch.fs, 3, UFS_SET_UID, &attr, &attr), -EROFS);
	CHECK_EQ(ufs_reap(scratch.fs, NULL, 0), -EROFS);
	CHECK_EQ(ufs_pin(scratch.fs, 3), 0);
	CHECK_EQ(ufs_unpin(scratch.fs, 3, 1), 0);
	CHECK_EQ(ufs_flush(scratch.fs), 0);
	scratch_close(&scratch);
}

/* -- threads ----------------------------------------------------------------
 */

static int threads_stop;
static long threads_reads;

static void *
read_beside(void *arg)
{
	struct ufs_attr attr;
	uint8_t buf[5000];

	(void)arg;
	while (!__atomic_load_n(&threads_stop, __ATOMIC_RELAXED)) {
		struct ufs_info info;

		if (ufs_lookup(scratch.fs, UFS_ROOT, "f", 1, &attr) == 0) {
			int64_t n = ufs_read(
			    scratch.fs, attr.ino, 100, buf, sizeof(buf));

			/* It may be gone by now. */
			CHECK(n >= 0 || n == -ESTALE);
		}
		ufs_info(scratch.fs, &info);
		if (ufs_pin(scratch.fs, UFS_ROOT) == 0)
			CHECK_EQ(ufs_unpin(scratch.fs, UFS_ROOT, 1), 0);
		__atomic_add_fetch(&threads_reads, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void *
flush_beside(void *arg)
{
	(void)arg;
	while (!__atomic_load_n(&threads_stop, __ATOMIC_RELAXED))
		CHECK_EQ(ufs_flush(scratch.fs), 0);
	return NULL;
}

static void
readers_and_flushes_go_on_beside_a_writer(void)
{
	void *(*const run[])(void *) = {
	    read_beside, read_beside, flush_beside, flush_beside};
	struct blkdev *cache;
	pthread_t thread[4];
	int64_t ino;

	fill_pattern();
	scratch_make(&scratch, &scratch_shapes[3]);
	ufs_close(scratch.fs);
	CHECK_EQ(blkdev_cache_open(scratch.dev, 8 << 20, 1 << 20, &cache), 0);
	scratch.dev = cache;
	scratch_open(&scratch);
	threads_stop = 0;
	for (int i = 0; i < 4; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL, run[i], NULL), 0);
	for (int i = 0; i < 60; i++) {
		ino = scratch_create(&scratch, UFS_ROOT, "f", S_REG);
		CHECK(write_at(ino, 0, 100000 + (size_t)i) > 0);
		CHECK_EQ(scratch_truncate(&scratch, (uint64_t)ino, 5000), 0);
		CHECK_EQ(scratch_remove(&scratch, UFS_ROOT, "f"), 0);
	}
	while (__atomic_load_n(&threads_reads, __ATOMIC_RELAXED) < 100)
		sched_yield();
	__atomic_store_n(&threads_stop, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(pthread_join(thread[i], NULL), 0);
	CHECK_EQ(scratch_faults(&scratch), 0);
	scratch_close(&scratch);
}

#define T(name) \
	{ \
#name, name \
	}

TESTS(T(attributes_are_set_one_by_one), T(writing_updates_times),
    T(pinned_inodes_live_on_without_a_name), T(orphans_of_a_crash_are_reaped),
    T(a_wrong_link_count_of_zero_frees_nothing_that_has_a_name),
    T(a_flush_without_changes_writes_nothing),
    T(a_failed_flush_can_be_repeated), T(the_superblock_says_clean_and_when),
    T(ufs1_with_the_largest_blocks_keeps_the_copy_at_65536),
    T(a_read_only_file_system_refuses_changes),
    T(readers_and_flushes_go_on_beside_a_writer))
