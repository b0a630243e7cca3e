/*
 * Data of files, written; and space without data.
 *
 * The size follows each block as it is written, so that size and blocks agree
 * whenever something fails; what a failure left allocated but unwritten is
 * cut off again.
 */
#include <string.h>

#include "ufs_impl.h"

/* Writes of so many bytes are those of a stream. */
enum { STREAM_MIN = 64 << 10 };

/* The part of a write that falls into one block. */
struct piece {
	uint64_t lbn;
	uint32_t from, len; /* bytes, within the block */
	const uint8_t *buf; /* or NULL: what is there stays, or is zero */
	bool once;          /* it is part of a large one */
};

/* Zero what lies between the old end and off, where that is in one block. */
static int
zero_gap(struct ufs *fs, struct ufs_node *node, uint64_t off)
{
	uint64_t size = node->d.size, fsb, run;
	uint32_t used = (uint32_t)(size & (fs->sb.bsize - 1)), held, n;
	uint64_t lbn = size >> fs->sb.bshift;
	int rc;

	if (off <= size || used == 0)
		return 0;
	rc = ufs_bmap(fs, node, lbn, 1, &fsb, &run);
	if (rc < 0 || fsb == 0)
		return rc;
	held = ufs_blksize(&fs->sb, size, lbn);
	n = held - used;
	if (n > off - size)
		n = (uint32_t)(off - size);
	return ufs_zero(fs, ufs_frag_off(&fs->sb, fsb) + used, n);
}

static int
write_bytes(struct ufs *fs, const struct piece *p, uint64_t at)
{
	return p->once ? blkdev_write_once(fs->dev, at, p->buf, p->len)
		       : blkdev_write(fs->dev, at, p->buf, p->len);
}

/* Fill a block that was just allocated, alloc bytes at byte off at. */
static int
fill_fresh(struct ufs *fs, const struct piece *p, uint64_t at, uint32_t alloc)
{
	uint32_t end = p->from + p->len;
	int rc;

	/* Zeroes that take no room below: it may be a lot. */
	if (p->buf == NULL)
		return blkdev_trim(fs->dev, at, alloc);
	rc = ufs_zero(fs, at, p->from);
	if (rc == 0)
		rc = write_bytes(fs, p, at + p->from);
	if (rc == 0)
		rc = ufs_zero(fs, at + end, alloc - end);
	return rc;
}

/* One piece of a write after which the file is at least size bytes long. */
static int
write_piece(
    struct ufs *fs, struct ufs_node *node, const struct piece *p, uint64_t size)
{
	uint64_t start = p->lbn << fs->sb.bshift, fsb, at;
	uint64_t end = start + p->from + p->len;
	bool fresh;
	int rc = ufs_balloc(fs, node, p->lbn, size, &fsb, &fresh);

	if (rc < 0)
		return rc;
	/* What is held now ends at the block's end or the file's. */
	if (end > node->d.size)
		node->d.size = end;
	at = ufs_frag_off(&fs->sb, fsb);
	if (fresh)
		return fill_fresh(
		    fs, p, at, ufs_blksize(&fs->sb, node->d.size, p->lbn));
	if (p->buf == NULL)
		return 0;
	return write_bytes(fs, p, at + p->from);
}

/* After an error: the size goes back to what was written, or to old. */
static int
settle(struct ufs *fs, struct ufs_node *node, uint64_t old, uint64_t written)
{
	uint64_t size = written > old ? written : old;

	if (node->d.size <= size || fs->broken)
		return 0;
	return ufs_shrink_back(fs, node, size);
}

int
ufs_node_write(struct ufs *fs, struct ufs_node *node, uint64_t off,
    const void *buf, uint64_t len, uint64_t *done)
{
	uint64_t old = node->d.size, end = off + len;
	const uint8_t *from = buf;
	/* Allocating shows what lies behind the old end, too. */
	int rc = zero_gap(fs, node, buf != NULL ? off : end);

	for (*done = 0; *done < len && rc == 0;) {
		struct piece p = {
		    .lbn = (off + *done) >> fs->sb.bshift,
		    .once = len >= STREAM_MIN,
		};
		uint64_t rest = len - *done;

		p.from = (uint32_t)((off + *done) & (fs->sb.bsize - 1));
		p.len = fs->sb.bsize - p.from;
		if (p.len > rest)
			p.len = (uint32_t)rest;
		p.buf = from != NULL ? from + *done : NULL;
		rc = write_piece(fs, node, &p, end);
		if (rc == 0)
			*done += p.len;
	}
	if (rc < 0 && settle(fs, node, old, *done > 0 ? off + *done : 0) < 0)
		return ufs_half_done(fs, rc);
	return rc;
}

/* How much of len bytes at off stays below the largest size. */
static int
within_limit(const struct ufs *fs, uint64_t off, uint64_t *len)
{
	if (off >= fs->sb.maxfilesize)
		return -EFBIG;
	if (*len > fs->sb.maxfilesize - off)
		*len = fs->sb.maxfilesize - off;
	return 0;
}

static int64_t
write_locked(struct ufs *fs, struct ufs_node *node, uint64_t off,
    const void *buf, size_t size)
{
	uint64_t len = size, done;
	int rc, stored;

	if (!ufs_is_reg(node))
		return -EINVAL;
	if (len == 0)
		return 0;
	rc = within_limit(fs, off, &len);
	if (rc < 0)
		return rc;
	rc = ufs_node_write(fs, node, off, buf, len, &done);
	if (done > 0)
		ufs_touch(node, UFS_TOUCH_M | UFS_TOUCH_C);
	stored = ufs_node_store(fs, node);
	if (stored < 0)
		return ufs_half_done(fs, stored);
	return done > 0 && (rc == 0 || rc == -ENOSPC) ? (int64_t)done : rc;
}

int64_t
ufs_write(
    struct ufs *fs, uint64_t ino, uint64_t off, const void *buf, size_t len)
{
	struct ufs_node *node;
	int64_t n = ufs_change_begin(fs);

	if (n < 0)
		return n;
	n = ufs_node_get(fs, ino, &node);
	if (n == 0) {
		n = write_locked(fs, node, off, buf, len);
		ufs_node_put(fs, node);
	}
	return ufs_change_end64(fs, n);
}

/* Zero len bytes at off where they are not a hole. */
static int
zero_bytes(struct ufs *fs, struct ufs_node *node, uint64_t off, uint64_t len)
{
	while (len > 0) {
		uint64_t within = off & (fs->sb.bsize - 1), fsb, run, n;
		uint64_t most =
		    (within + len + fs->sb.bsize - 1) >> fs->sb.bshift;
		int rc =
		    ufs_bmap(fs, node, off >> fs->sb.bshift, most, &fsb, &run);

		if (rc < 0)
			return rc;
		n = (run << fs->sb.bshift) - within;
		if (n > len)
			n = len;
		if (fsb != 0)
			rc = ufs_zero(
			    fs, ufs_frag_off(&fs->sb, fsb) + within, n);
		if (rc < 0)
			return rc;
		off += n;
		len -= n;
	}
	return 0;
}

/* Free the whole blocks of [off, end) but the file's last; zero the rest. */
static int
punch(struct ufs *fs, struct ufs_node *node, uint64_t off, uint64_t end)
{
	uint64_t last = (node->d.size - 1) >> fs->sb.bshift;
	uint64_t from = (off + fs->sb.bsize - 1) >> fs->sb.bshift;
	uint64_t to = end >> fs->sb.bshift, cut;
	int rc;

	if (end == node->d.size)
		to = last;
	if (to > last)
		to = last;
	if (from >= to)
		return zero_bytes(fs, node, off, end - off);
	cut = from << fs->sb.bshift;
	rc = ufs_free_range(fs, node, from, to);
	if (rc == 0)
		rc = zero_bytes(fs, node, off, cut - off);
	cut = to << fs->sb.bshift;
	if (rc == 0)
		rc = zero_bytes(fs, node, cut, end - cut);
	return rc;
}

/* Allocate all of it, or leave the size as it was. */
static int
allocate_to(struct ufs *fs, struct ufs_node *node, uint64_t off, uint64_t len)
{
	uint64_t size = node->d.size, done;
	int rc = ufs_node_write(fs, node, off, NULL, len, &done);

	if (rc < 0 && node->d.size > size && !fs->broken &&
	    ufs_shrink_back(fs, node, size) < 0)
		return ufs_half_done(fs, rc);
	return rc;
}

/* Whether it cannot be: beyond all that is free and all that may be grown. */
static bool
is_hopeless(const struct ufs *fs, const struct ufs_node *node, uint64_t len)
{
	const struct ufs_super *sb = &fs->sb;
	uint64_t limit = fs->opt.size_limit, size = sb->size << sb->fshift;
	uint64_t frags = ((uint64_t)sb->total.nbfree << sb->fragshift) +
	    (uint64_t)sb->total.nffree;
	uint64_t room = (frags << sb->fshift) + node->d.blocks * 512;

	if (limit < fs->dev->size)
		limit = fs->dev->size;
	return len > room && len - room > (limit > size ? limit - size : 0);
}

static bool
extends(int how)
{
	return how == UFS_ALLOC || how == UFS_ZERO_EXTEND;
}

/* Nothing is zeroed before there is room for all of it. */
static int
allocate_node(
    struct ufs *fs, struct ufs_node *node, int how, uint64_t off, uint64_t len)
{
	uint64_t size = node->d.size;
	int rc;

	if (how == UFS_ALLOC_KEEP && (off > size || len > size - off))
		return -EOPNOTSUPP;
	if (!extends(how)) {
		if (off >= size)
			return 0;
		if (len > size - off)
			len = size - off;
	}
	if (how == UFS_PUNCH)
		return punch(fs, node, off, off + len);
	if (is_hopeless(fs, node, len))
		return -ENOSPC;
	rc = allocate_to(fs, node, off, len);
	if (rc == 0 && (how == UFS_ZERO || how == UFS_ZERO_EXTEND))
		rc = zero_bytes(fs, node, off, len);
	return rc;
}

static int
allocate_locked(
    struct ufs *fs, struct ufs_node *node, int how, uint64_t off, uint64_t len)
{
	uint64_t fits = len;
	int rc, stored;

	if (!ufs_is_reg(node) || len == 0 || how < UFS_ALLOC ||
	    how > UFS_ZERO_EXTEND)
		return -EINVAL;
	if (extends(how)) {
		rc = within_limit(fs, off, &fits);
		if (rc < 0 || fits < len)
			return -EFBIG;
	}
	rc = allocate_node(fs, node, how, off, len);
	if (rc == 0)
		ufs_touch(node, UFS_TOUCH_M | UFS_TOUCH_C);
	/* Also after an error: some of it may be there. */
	stored = ufs_node_store(fs, node);
	return stored < 0 ? ufs_half_done(fs, stored) : rc;
}

int
ufs_allocate(struct ufs *fs, uint64_t ino, int how, uint64_t off, uint64_t len)
{
	struct ufs_node *node;
	int rc = ufs_change_begin(fs);

	if (rc < 0)
		return rc;
	rc = ufs_node_get(fs, ino, &node);
	if (rc == 0) {
		rc = allocate_locked(fs, node, how, off, len);
		ufs_node_put(fs, node);
	}
	return ufs_change_end(fs, rc);
}
