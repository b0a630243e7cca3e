/* An overlay whose file is taken away, replaced or cut while it is in use. */
#include <fcntl.h>
#include <sys/stat.h>

#include "overlay_rig.h"

static char dir[64], path[80];

/* An overlay on disk with two flushed blocks. */
static struct blkdev *
begin(void)
{
	struct blkdev *dev = NULL;

	log_set_sink(silent);
	snprintf(dir, sizeof(dir), "/tmp/test_overlay_lost.XXXXXX");
	CHECK(mkdtemp(dir) != NULL);
	snprintf(path, sizeof(path), "%s/o", dir);
	CHECK_EQ(overlay_create(path, &id, BASE), 0);
	CHECK_EQ(overlay_open(path, &id, base_open(), 0, &dev), 0);
	fill(dev, 0, 2, 'a');
	CHECK_EQ(blkdev_flush(dev), 0);
	return dev;
}

/* The file shows blocks 0 and 5 as these, and nothing else lies beside it. */
static void
end(struct blkdev *dev, int first, int fifth)
{
	blkdev_close(dev);
	if (first != 0) {
		CHECK_EQ(overlay_open(path, &id, base_open(), 0, &dev), 0);
		CHECK(is_all(dev, 0, B, first));
		CHECK(fifth == 0 || is_all(dev, 5 * B, B, fifth));
		blkdev_close(dev);
	}
	CHECK_EQ(unlink(path), 0);
	CHECK_EQ(rmdir(dir), 0);
}

static void
a_removed_file_is_written_anew_by_the_next_flush(void)
{
	struct blkdev *dev = begin();

	CHECK_EQ(unlink(path), 0);
	fill(dev, 5, 1, 'b');
	CHECK_EQ(blkdev_flush(dev), 0);
	CHECK_EQ(access(path, F_OK), 0);
	CHECK_EQ(unlink(path), 0);
	CHECK_EQ(overlay_finish(dev), 0); /* also with nothing to write */
	end(dev, 'a', 'b');
}

static void
another_file_in_its_place_is_left_alone(void)
{
	struct blkdev *dev = begin();
	struct stat st;
	int fd;

	CHECK_EQ(unlink(path), 0);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	CHECK(fd >= 0 && write(fd, "theirs", 6) == 6);
	(void)close(fd);
	fill(dev, 5, 1, 'b');
	CHECK_EQ(blkdev_flush(dev), -EIO);
	CHECK_EQ(blkdev_flush(dev), -EIO);
	CHECK(is_all(dev, 5 * B, B, 'b'));
	CHECK_EQ(stat(path, &st), 0);
	CHECK_EQ(st.st_size, 6);
	end(dev, 0, 0);
}

static void
without_its_folder_nothing_is_confirmed(void)
{
	struct blkdev *dev = begin();

	CHECK_EQ(unlink(path), 0);
	CHECK_EQ(rmdir(dir), 0);
	fill(dev, 5, 1, 'b');
	CHECK_EQ(blkdev_flush(dev), -EIO);
	CHECK(is_all(dev, 0, B, 'a'));
	blkdev_close(dev);
}

static void
a_file_that_was_cut_off_takes_nothing_more(void)
{
	struct blkdev *dev = begin();
	char buf[B] = "";
	struct stat st;

	CHECK_EQ(truncate(path, 4096 + 100), 0);
	CHECK_EQ(blkdev_write(dev, 5 * B, buf, B), -EIO);
	CHECK_EQ(blkdev_flush(dev), -EIO);
	CHECK(blkdev_read(dev, 0, buf, B) < 0);
	CHECK_EQ(stat(path, &st), 0);
	CHECK_EQ(st.st_size, 4096 + 100);
	end(dev, 0, 0);
}

TESTS({"a removed file is written anew by the next flush",
	  a_removed_file_is_written_anew_by_the_next_flush},
    {"another file in its place is left alone",
	another_file_in_its_place_is_left_alone},
    {"without its folder nothing is confirmed",
	without_its_folder_nothing_is_confirmed},
    {"a file that was cut off takes nothing more",
	a_file_that_was_cut_off_takes_nothing_more})
