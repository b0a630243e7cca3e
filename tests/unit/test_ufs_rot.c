/*
 * Removing what lies on damaged parts of a device: it may be refused or cost
 * space, but never the changes made since the last flush.
 */
#include <stdlib.h>
#include <string.h>

#include "../../imgfmt/log.h"
#include "../../imgfmt/ufs_impl.h"
#include "check.h"
#include "ufs_scratch.h"

enum { S_REG = 0100644 };

/* A device of which a part cannot be read. */
struct rotten {
	struct blkdev dev;
	struct blkdev *lower;
	uint64_t from, to;
	int error;
};

static int
rotten_read(struct blkdev *dev, uint64_t off, void *buf, size_t len)
{
	struct rotten *r = (struct rotten *)dev;

	if (off < r->to && r->from < off + len)
		return r->error;
	return blkdev_read(r->lower, off, buf, len);
}

static int
rotten_write(struct blkdev *dev, uint64_t off, const void *buf, size_t len)
{
	return blkdev_write(((struct rotten *)dev)->lower, off, buf, len);
}

static int
rotten_trim(struct blkdev *dev, uint64_t off, uint64_t len)
{
	return blkdev_trim(((struct rotten *)dev)->lower, off, len);
}

static void
rotten_close(struct blkdev *dev)
{
	blkdev_close(((struct rotten *)dev)->lower);
	free(dev);
}

static const struct blkdev_ops rotten_ops = {
    .read = rotten_read,
    .write = rotten_write,
    .trim = rotten_trim,
    .close = rotten_close,
};

static struct scratch scratch;
static struct rotten *rot;
static uint8_t data[20 * 65536];

/* Damage is told many times over here. */
static void
say_nothing(enum log_level level, const char *line)
{
	(void)level;
	(void)line;
}

/* A file system with file "f" of 20 blocks, on a device that may rot. */
static uint64_t
make(const struct scratch_shape *shape)
{
	int64_t ino;

	log_set_sink(say_nothing);
	scratch_make(&scratch, shape);
	ino = scratch_create(&scratch, UFS_ROOT, "f", S_REG);
	CHECK_EQ(
	    ufs_write(scratch.fs, (uint64_t)ino, 0, data, 20 * shape->bsize),
	    20 * shape->bsize);
	CHECK_EQ(scratch_faults(&scratch), 0);
	ufs_close(scratch.fs);
	rot = calloc(1, sizeof(*rot));
	if (rot == NULL)
		exit(1);
	rot->dev = (struct blkdev){&rotten_ops, scratch.dev->size, true, 0};
	rot->lower = scratch.dev;
	scratch.dev = &rot->dev;
	scratch_open(&scratch);
	return (uint64_t)ino;
}

/* The indirect block of ino cannot be read from now on. */
static void
spoil_indirect(uint64_t ino, int error)
{
	struct ufs_node *node;

	CHECK_EQ(ufs_node_get(scratch.fs, ino, &node), 0);
	rot->from = ufs_frag_off(&scratch.fs->sb, node->d.ib[0]);
	rot->to = rot->from + 1;
	rot->error = error;
	ufs_node_put(scratch.fs, node);
}

static uint64_t
free_bytes(void)
{
	struct ufs_info info;

	ufs_info(scratch.fs, &info);
	return info.free;
}

static void
an_unreadable_indirect_block_costs_only_what_it_points_to(void)
{
	for (const struct scratch_shape *s = scratch_shapes; s->name; s++) {
		uint64_t ino = make(s), before = free_bytes();

		spoil_indirect(ino, -ECORRUPT);
		CHECK_EQ(scratch_remove(&scratch, UFS_ROOT, "f"), -ECORRUPT);
		CHECK_EQ(ufs_pin(scratch.fs, ino), 0);
		CHECK_EQ(scratch_remove(&scratch, UFS_ROOT, "f"), 0);
		CHECK_EQ(ufs_unpin(scratch.fs, ino, 1), 0);
		/* 12 direct blocks and the indirect one. */
		CHECK_EQ(free_bytes(), before + 13ull * s->bsize);
		CHECK(scratch_create(&scratch, UFS_ROOT, "g", S_REG) > 0);
		rot->to = 0;
		/* Fragments that nobody has: map, counts, totals. */
		CHECK(scratch_faults(&scratch) > 0);
		CHECK_EQ(scratch.norphans, 0);
		scratch_close(&scratch);
	}
}

static void
what_cannot_be_freed_now_stays_an_orphan(void)
{
	uint64_t ino = make(&scratch_shapes[3]);

	CHECK_EQ(ufs_pin(scratch.fs, ino), 0);
	CHECK_EQ(scratch_remove(&scratch, UFS_ROOT, "f"), 0);
	spoil_indirect(ino, -EIO);
	CHECK_EQ(ufs_unpin(scratch.fs, ino, 1), -EIO);
	rot->to = 0;
	/* More inodes than are kept in core. */
	for (int i = 0; i < 5000; i++) {
		char name[16];

		snprintf(name, sizeof(name), "n%d", i);
		if (scratch_create(&scratch, UFS_ROOT, name, S_REG) < 0)
			break;
	}
	CHECK_EQ(scratch_faults(&scratch), 0);
	CHECK_EQ(scratch.norphans, 1);
	CHECK_EQ(scratch.orphans[0], ino);
	CHECK_EQ(ufs_reap(scratch.fs, &ino, 1), 0);
	ufs_close(scratch.fs);
	scratch_open(&scratch);
	CHECK_EQ(ufs_reap(scratch.fs, &ino, 1), 0);
	CHECK_EQ(scratch_faults(&scratch), 0);
	CHECK_EQ(scratch.norphans, 0);
	scratch_close(&scratch);
}

static void
a_name_stays_where_the_group_of_its_inode_is_damaged(void)
{
	for (int pinned = 0; pinned < 2; pinned++) {
		uint64_t ino = make(&scratch_shapes[2]);
		uint8_t magic[4] = {0};

		CHECK_EQ(blkdev_write(scratch.dev,
			     ufs_frag_off(&scratch.fs->sb,
				 ufs_cgtod(&scratch.fs->sb, 0)) +
				 4,
			     magic, sizeof(magic)),
		    0);
		if (pinned)
			CHECK_EQ(ufs_pin(scratch.fs, ino), 0);
		CHECK_EQ(scratch_remove(&scratch, UFS_ROOT, "f"), -ECORRUPT);
		CHECK_EQ(scratch_lookup(&scratch, UFS_ROOT, "f"), ino);
		/* What was done before, and comes after, is not lost. */
		CHECK_EQ(ufs_flush(scratch.fs), 0);
		CHECK_EQ(ufs_write(scratch.fs, ino, 0, "x", 1), 1);
		CHECK_EQ(ufs_flush(scratch.fs), 0);
		scratch_close(&scratch);
	}
}

#define T(name) \
	{ \
#name, name \
	}

TESTS(T(an_unreadable_indirect_block_costs_only_what_it_points_to),
    T(what_cannot_be_freed_now_stays_an_orphan),
    T(a_name_stays_where_the_group_of_its_inode_is_damaged))
