/* Growth: by hand and on demand; ufs_check is the judge throughout. */
#include "blkdev_fault.h"
#include "check.h"

#include "../../imgfmt/crc32c.h"
#include "../../imgfmt/ufs_impl.h"
#include "ufs_kit.h"

enum { MIB = 1024 * 1024 };

static int
verdict(struct blkdev *dev)
{
	return ufs_check(dev, NULL, 0, NULL, NULL);
}

static struct blkdev *
made(uint64_t size, const struct ufs_mkfs *how)
{
	struct blkdev *dev = NULL;

	CHECK_EQ(blkdev_mem_open(size, &dev), 0);
	CHECK_EQ(ufs_mkfs(dev, how), 0);
	return dev;
}

/* Open for writing; dev stays the caller's. */
static struct ufs *
opened(struct blkdev *dev, uint64_t limit)
{
	struct ufs_options opt = {.writable = true, .size_limit = limit};
	struct ufs *fs = NULL;

	CHECK_EQ(ufs_open(blkdev_ref(dev), &opt, &fs), 0);
	return fs;
}

/* Hash of all files' contents and attributes. */
static uint32_t
contents(struct ufs *fs, uint64_t ninodes)
{
	static uint8_t buf[MIB];
	uint32_t crc = 0xffffffff;

	for (uint64_t ino = UFS_ROOT; ino < ninodes; ino++) {
		struct ufs_attr attr;
		uint64_t off = 0;
		int64_t n = 0;

		if (ufs_getattr(fs, ino, &attr) < 0)
			continue;
		crc = crc32c(crc, &attr.ino, sizeof(attr.ino));
		crc = crc32c(crc, &attr.size, sizeof(attr.size));
		crc = crc32c(crc, &attr.mode, sizeof(attr.mode));
		if ((attr.mode & 0170000) != 0100000)
			continue;
		while ((n = ufs_read(fs, ino, off, buf, sizeof(buf))) > 0) {
			crc = crc32c(crc, buf, (size_t)n);
			off += (uint64_t)n;
		}
		CHECK_EQ(n, 0);
	}
	return crc;
}

/* Grow dev to bytes: the same in it, more room, and clean. */
static void
grow(struct blkdev *dev, uint64_t bytes)
{
	struct ufs *fs = opened(dev, 0);
	struct ufs_info before, after;
	uint32_t crc;

	if (fs == NULL)
		return;
	ufs_info(fs, &before);
	crc = contents(fs, before.inodes + 2);
	CHECK_EQ(ufs_grow(fs, bytes), 0);
	CHECK_EQ(contents(fs, before.inodes + 2), crc);
	ufs_info(fs, &after);
	CHECK(after.size > before.size);
	CHECK(after.free > before.free);
	CHECK(after.size <= dev->size);
	CHECK_EQ(ufs_flush(fs), 0);
	ufs_close(fs);
	CHECK_EQ(verdict(dev), 0);
	fs = opened(dev, 0);
	CHECK_EQ(contents(fs, before.inodes + 2), crc);
	ufs_info(fs, &before);
	CHECK_EQ(before.size, after.size);
	CHECK_EQ(before.free, after.free);
	ufs_close(fs);
}

static void
every_geometry_grows_again_and_again(void)
{
	static const uint32_t sizes[][2] = {{4096, 512}, {4096, 4096},
	    {8192, 1024}, {32768, 4096}, {65536, 8192}, {65536, 65536}};

	for (size_t i = 0; i < 6; i++)
		for (int k = 0; k < 8; k++) {
			struct ufs_mkfs how = {
			    .version = 1 + (k & 1),
			    .block_size = sizes[i][0],
			    .frag_size = sizes[i][1],
			    .minfree = 8,
			    .check_hashes = (k & 2) != 0,
			    .ncg = k & 4 ? 3 : 0,
			};
			scoped(blkdev_closep) struct blkdev *dev =
			    made(5 * MIB + 77 * 512, &how);

			grow(dev, 6 * MIB);
			grow(dev, dev->size + 3 * sizes[i][0]);
			grow(dev, 9 * MIB + 12345);
			grow(dev, 40 * MIB);
		}
}

static void
what_freebsd_made_grows(void)
{
	static const char *const names[] = {"makefs132-ufs1",
	    "makefs132-ufs1-65536-8192", "makefs132-ufs1-8192-1024",
	    "makefs132-ufs2", "makefs132-ufs2-65536-8192",
	    "makefs132-ufs2-8192-1024", "makefs132-ufs2-roomy",
	    "makefs2019-ufs2-sb8192", "newfs132-ufs1-64k64k",
	    "newfs132-ufs1-8k1k", "newfs132-ufs2-4k512", "newfs132-ufs2-64k8k",
	    "newfs132-ufs2-full", "newfs132-ufs2-suj"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		scoped(blkdev_closep) struct blkdev *dev = kit_device(names[i]);

		if (dev == NULL)
			SKIP("no fixtures");
		kit_capture();
		grow(dev, dev->size + 65536);
		grow(dev, dev->size + 2 * MIB);
		grow(dev, 2 * dev->size);
		log_set_sink(NULL);
	}
}

static void
a_single_group_is_enlarged_while_its_inodes_are_dense(void)
{
	struct ufs_mkfs how = {.version = 2, .bytes_per_inode = 8192};
	struct ufs_info info;
	struct ufs *fs;
	scoped(blkdev_closep) struct blkdev *dev = made(16 * MIB, &how);

	grow(dev, 24 * MIB);
	grow(dev, 32 * MIB);
	fs = opened(dev, 0);
	ufs_info(fs, &info);
	CHECK_EQ(info.ncg, 1);
	CHECK_EQ(info.frags_per_group, 32 * MIB / 4096);
	CHECK_EQ(info.inodes, 2048 - 2);
	ufs_close(fs);
	grow(dev, 40 * MIB);
	fs = opened(dev, 0);
	ufs_info(fs, &info);
	CHECK_EQ(info.ncg, 2);
	CHECK_EQ(info.frags_per_group, 32 * MIB / 4096);
	CHECK_EQ(info.inodes, 4096 - 2);
	CHECK_EQ(info.size, 40 * MIB);
	ufs_close(fs);
}

static void
a_last_group_without_room_is_left_out_or_made_large_enough(void)
{
	struct ufs_mkfs how = {
	    .version = 2, .block_size = 4096, .frag_size = 512, .ncg = 4};

	for (uint64_t more = 4096; more < MIB; more += 23 * 4096) {
		scoped(blkdev_closep) struct blkdev *dev = made(4 * MIB, &how);

		grow(dev, 4 * MIB + more);
		/* Less than a block more than it is now. */
		grow(dev, dev->size + 4096);
	}
}

static void
summaries_move_when_they_need_more_room(void)
{
	for (int version = 1; version <= 2; version++) {
		struct ufs_mkfs how = {
		    .version = version,
		    .block_size = 8192,
		    .frag_size = 1024,
		    .minfree = 8,
		    .ncg = 60,
		};
		scoped(blkdev_closep) struct blkdev *dev =
		    made(60 * 256 * 1024, &how);
		struct ufs *fs = opened(dev, 0);
		uint64_t at = fs->sb.csaddr;

		CHECK_EQ(fs->sb.cssize, 1024);
		ufs_close(fs);
		grow(dev, 64 * 256 * 1024);
		fs = opened(dev, 0);
		CHECK_EQ(fs->sb.csaddr, at);
		ufs_close(fs);
		/* To 2 fragments, to 3, then by several at a time. */
		for (int n = 70; n < 1000; n = n * 5 / 4) {
			grow(dev, (uint64_t)n * 256 * 1024);
			fs = opened(dev, 0);
			CHECK(fs->sb.csaddr != at);
			CHECK_EQ(fs->sb.cssize,
			    (fs->sb.ncg * 16 + 1023) / 1024 * 1024);
			ufs_close(fs);
		}
	}
}

static void
slack_of_the_device_is_used_and_emptied(void)
{
	struct ufs_mkfs how = {.version = 1, .minfree = 8, .ncg = 2};
	uint8_t junk[4096];
	struct blkdev *dev = made(8 * MIB, &how);

	memset(junk, 0xa5, sizeof(junk));
	CHECK_EQ(blkdev_resize(dev, 30 * MIB + 100), 0);
	for (uint64_t off = 8 * MIB; off < 30 * MIB; off += sizeof(junk))
		CHECK_EQ(blkdev_write(dev, off, junk, sizeof(junk)), 0);
	grow(dev, 20 * MIB);
	CHECK_EQ(dev->size, 30 * MIB + 100);
	/* Without leave to grow beyond the device, it may still be filled. */
	{
		struct ufs *fs = opened(dev, 0);
		struct ufs_info info;

		CHECK_EQ(ufs_grow_some(fs, false), 0);
		ufs_info(fs, &info);
		CHECK_EQ(info.size, 30 * MIB);
		CHECK_EQ(ufs_grow_some(fs, false), -ENOSPC);
		CHECK_EQ(ufs_flush(fs), 0);
		ufs_close(fs);
	}
	CHECK_EQ(dev->size, 30 * MIB + 100);
	CHECK_EQ(verdict(dev), 0);
	blkdev_close(dev);
}

static void
wishes_that_cannot_be_met_change_nothing(void)
{
	struct ufs_mkfs how = {.version = 1, .minfree = 8};
	struct blkdev *dev = made(8 * MIB, &how);
	struct ufs *fs = opened(dev, 0);

	CHECK_EQ(ufs_grow(fs, 8 * MIB), -EINVAL);
	CHECK_EQ(ufs_grow(fs, 8 * MIB + 100), -EINVAL);
	CHECK_EQ(ufs_grow(fs, 0), -EINVAL);
	CHECK_EQ(ufs_grow(fs, 1ull << 50), -EFBIG);
	CHECK_EQ(ufs_grow(fs, UINT64_MAX), -EFBIG);
	CHECK_EQ(ufs_grow_some(fs, true), -ENOSPC);
	CHECK_EQ(ufs_flush(fs), 0);
	ufs_close(fs);
	CHECK_EQ(dev->size, 8 * MIB);
	CHECK_EQ(verdict(dev), 0);
	blkdev_close(dev);
}

/* Fill fs with files of len bytes until none fits: how many. */
static int
fill(struct ufs *fs, size_t len)
{
	static const uint8_t data[65536] = {1};
	struct ufs_new what = {.mode = 0100644};
	struct ufs_attr attr;
	uint64_t dir = UFS_ROOT;
	int n = 0, rc = 0;

	for (; rc == 0; n++) {
		char name[32];
		struct ufs_new sub = {.mode = 040755};

		snprintf(name, sizeof(name), "n%d", n);
		if (n % 500 == 0) {
			rc = ufs_create(
			    fs, UFS_ROOT, name, strlen(name), &sub, &attr);
			dir = attr.ino;
			continue;
		}
		rc = ufs_create(fs, dir, name, strlen(name), &what, &attr);
		if (rc == 0 && len > 0 &&
		    ufs_write(fs, attr.ino, 0, data, len) < (int64_t)len)
			break;
	}
	CHECK(rc == 0 || rc == -ENOSPC);
	return n;
}

static void
files_make_it_grow_up_to_the_limit(void)
{
	for (int version = 1; version <= 2; version++)
		for (int k = 0; k < 4; k++) {
			struct ufs_mkfs how = {
			    .version = version,
			    .block_size = 8192,
			    .frag_size = 1024,
			    .bytes_per_inode = k & 1 ? 65536 : 0,
			    .check_hashes = true,
			    .ncg = k & 1 ? 3 : 0,
			};
			uint64_t limit = 24 * MIB + 1000;
			scoped(blkdev_closep) struct blkdev *dev =
			    made(4 * MIB, &how);
			struct ufs *fs = opened(dev, limit);
			struct ufs_info info;
			int n = fill(fs, k & 2 ? 60000 : 0);

			ufs_info(fs, &info);
			CHECK(dev->size <= limit);
			CHECK(info.size > 20 * MIB);
			if (k & 2)
				/* Tails leave fragments, no whole blocks. */
				CHECK(fs->sb.total.nbfree < 8);
			else
				CHECK_EQ(info.free_inodes, 0);
			CHECK(n > (k & 2 ? 200 : 300));
			CHECK_EQ(ufs_flush(fs), 0);
			ufs_close(fs);
			CHECK_EQ(verdict(dev), 0);
		}
}

/* The tree of a live image has no inode to spare; packages want thousands. */
static void
a_tight_image_takes_thousands_of_files(void)
{
	static const char *const names[] = {
	    "makefs132-ufs2", "makefs132-ufs1-8192-1024"};

	for (size_t i = 0; i < 2; i++) {
		struct blkdev *dev = kit_device(names[i]);
		struct ufs_new what = {.mode = 0100644};
		struct ufs_attr attr;
		struct ufs *fs;

		if (dev == NULL)
			SKIP("no fixtures");
		fs = opened(dev, dev->size + 4096ull * MIB);
		for (int n = 0; n < 6000; n++) {
			char name[32];
			size_t len = (size_t)snprintf(
			    name, sizeof(name), "package-%d", n);

			CHECK_EQ(
			    ufs_create(fs, UFS_ROOT, name, len, &what, &attr),
			    0);
		}
		CHECK_EQ(ufs_flush(fs), 0);
		CHECK(dev->size < 256 * MIB);
		ufs_close(fs);
		CHECK_EQ(verdict(dev), 0);
		blkdev_close(dev);
	}
}

/* Fail each call to the device in turn: as before, or grown; never between. */
static void
a_failing_device_leaves_it_whole(void)
{
	struct ufs_mkfs how = {.version = 2,
	    .block_size = 8192,
	    .frag_size = 1024,
	    .ncg = 63,
	    .check_hashes = true};
	int rc = -EIO;

	for (unsigned n = 1; rc < 0 && n < 1000; n++) {
		struct blkdev *mem = made(63 * 256 * 1024, &how), *dev;
		struct ufs_info info;
		struct ufs *fs;

		CHECK_EQ(blkdev_fault_open(blkdev_ref(mem), &dev), 0);
		fs = opened(dev, 0);
		blkdev_fault_arm(dev, FAULT_ALL, n, -EIO, false);
		rc = ufs_grow(fs, 70 * 256 * 1024);
		CHECK(rc == 0 || rc == -EIO);
		blkdev_fault_arm(dev, FAULT_ALL, 0, 0, false);
		ufs_info(fs, &info);
		CHECK_EQ(info.ncg, rc == 0 ? 70 : 63);
		CHECK_EQ(ufs_flush(fs), 0);
		ufs_close(fs);
		blkdev_close(dev);
		CHECK_EQ(verdict(mem), 0);
		CHECK(n > 3 || rc < 0);
		blkdev_close(mem);
	}
	CHECK_EQ(rc, 0);
}

static void
a_device_of_fixed_size_is_full_when_it_is_full(void)
{
	struct ufs_mkfs how = {.version = 2};
	struct blkdev *mem = made(8 * MIB, &how), *dev;
	struct ufs *fs;

	/* A window that does not end with its base cannot be resized. */
	CHECK_EQ(blkdev_resize(mem, 9 * MIB), 0);
	CHECK_EQ(blkdev_slice_open(blkdev_ref(mem), 0, 8 * MIB, &dev), 0);
	fs = opened(dev, 100 * MIB);
	CHECK_EQ(ufs_grow_some(fs, true), -ENOSPC);
	CHECK_EQ(ufs_grow_some(fs, false), -ENOSPC);
	CHECK(ufs_grow(fs, 20 * MIB) < 0);
	CHECK(fill(fs, 60000) > 50);
	CHECK_EQ(ufs_flush(fs), 0);
	ufs_close(fs);
	CHECK_EQ(verdict(dev), 0);
	blkdev_close(dev);
	blkdev_close(mem);
}

TESTS({"every geometry grows again and again",
	  every_geometry_grows_again_and_again},
    {"what FreeBSD made grows", what_freebsd_made_grows},
    {"a single group is enlarged while its inodes are dense",
	a_single_group_is_enlarged_while_its_inodes_are_dense},
    {"a last group without room is left out or made large enough",
	a_last_group_without_room_is_left_out_or_made_large_enough},
    {"summaries move when they need more room",
	summaries_move_when_they_need_more_room},
    {"slack of the device is used and emptied",
	slack_of_the_device_is_used_and_emptied},
    {"wishes that cannot be met change nothing",
	wishes_that_cannot_be_met_change_nothing},
    {"files make it grow up to the limit", files_make_it_grow_up_to_the_limit},
    {"a tight image takes thousands of files",
	a_tight_image_takes_thousands_of_files},
    {"a failing device leaves it whole", a_failing_device_leaves_it_whole},
    {"a device of fixed size is full when it is full",
	a_device_of_fixed_size_is_full_when_it_is_full})
