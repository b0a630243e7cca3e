/* The overlay on a disk that fails, or is full. */
#include "overlay_rig.h"

static void
a_full_disk_loses_nothing_and_can_be_retried(void)
{
	for (unsigned nth = 1; nth < 12; nth++) {
		struct rig r = rig_open();
		int rc = 0, tries = 0;

		fill(r.dev, 0, 20, 'a');
		CHECK_EQ(blkdev_flush(r.dev), 0);
		memdisk_fail(r.disk, nth, -ENOSPC);
		for (int i = 0; i < 4; i++) {
			char buf[4 * B];

			memset(buf, 'b' + i, sizeof(buf));
			while ((rc = blkdev_write(r.dev, (uint64_t)i * 4 * B,
				    buf, sizeof(buf))) == -ENOSPC)
				tries++;
			CHECK_EQ(rc, 0);
		}
		CHECK_EQ(overlay_set_note(r.dev, "note", 4), 0);
		while ((rc = blkdev_flush(r.dev)) == -ENOSPC)
			tries++;
		/* The sync is the one that may not be retried. */
		CHECK_EQ(rc, nth == 6 ? -EIO : 0);
		CHECK_EQ(tries, nth < 6);
		memdisk_fail(r.disk, 0, 0);
		rig_reopen(&r, 0);
		CHECK(is_all(r.dev, 4 * B, 4 * B, 'c'));
		CHECK(is_all(r.dev, 16 * B, 4 * B, 'a'));
		rig_close(&r);
	}
}

static void
after_a_failed_sync_nothing_is_written(void)
{
	struct rig r = rig_open();
	char buf[B] = "";
	size_t ops;

	fill(r.dev, 0, 1, 'a');
	memdisk_fail(r.disk, 2, -EIO);
	CHECK_EQ(blkdev_flush(r.dev), -EIO);
	ops = memdisk_ops(r.disk);
	CHECK_EQ(blkdev_write(r.dev, 0, buf, B), -EROFS);
	CHECK_EQ(blkdev_flush(r.dev), -EIO);
	CHECK_EQ(overlay_compact(r.dev), -EIO);
	CHECK_EQ(overlay_finish(r.dev), -EIO);
	CHECK_EQ(memdisk_ops(r.disk), ops);
	CHECK(is_all(r.dev, 0, B, 'a'));
	rig_close(&r);
}

static void
the_limit_leaves_room_to_commit(void)
{
	struct rig r = rig_open();
	struct overlay_info info;
	char buf[B];
	unsigned seed = 1, n = 0;
	int rc;

	overlay_set_limit(r.dev, OVERLAY_NOTE_MAX + 300000);
	do {
		for (int i = 0; i < B; i++)
			buf[i] = (char)rand_r(&seed);
		rc = blkdev_write(r.dev, n % 90 * B, buf, B);
		n += rc == 0;
	} while (rc == 0);
	CHECK_EQ(rc, -ENOSPC);
	CHECK(n > 60 && n < 75);
	CHECK_EQ(blkdev_flush(r.dev), 0);
	overlay_info(r.dev, &info);
	CHECK(info.file_bytes <= OVERLAY_NOTE_MAX + 300000);
	overlay_set_limit(r.dev, 0);
	CHECK_EQ(blkdev_write(r.dev, 0, buf, B), 0);
	rig_close(&r);
}

static void
a_failing_compaction_leaves_the_old_file(void)
{
	for (unsigned nth = 1; nth < 20; nth++) {
		struct rig r = rig_open();
		int rc;

		fill(r.dev, 0, 50, 'a');
		CHECK_EQ(blkdev_trim(r.dev, 20 * B, B), 0);
		CHECK_EQ(blkdev_resize(r.dev, MOST), 0);
		CHECK_EQ(overlay_set_note(r.dev, "n", 1), 0);
		CHECK_EQ(blkdev_flush(r.dev), 0);
		memdisk_fail(r.disk, nth, -ENOSPC);
		rc = overlay_compact(r.dev);
		CHECK(rc == 0 || rc == -ENOSPC || rc == -EIO);
		CHECK_EQ(rc == 0, nth > 13);
		memdisk_fail(r.disk, 0, 0);
		fill(r.dev, 60, 1, 'b');
		CHECK_EQ(blkdev_flush(r.dev), 0);
		rig_reopen(&r, 0);
		CHECK(is_all(r.dev, 0, 20 * B, 'a'));
		CHECK(is_all(r.dev, 20 * B, B, 0));
		CHECK(is_all(r.dev, 60 * B, B, 'b'));
		CHECK_EQ(r.dev->size, MOST);
		rig_close(&r);
	}
}

TESTS({"a full disk loses nothing and can be retried",
	  a_full_disk_loses_nothing_and_can_be_retried},
    {"after a failed sync nothing is written",
	after_a_failed_sync_nothing_is_written},
    {"the limit leaves room to commit", the_limit_leaves_room_to_commit},
    {"a failing compaction leaves the old file",
	a_failing_compaction_leaves_the_old_file})
