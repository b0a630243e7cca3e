/* Which inodes lie where: for those who compare devices, not files. */
#include "ufs_impl.h"

/* The part of group cgx's inode area within [off, end), as inodes. */
static int
tell_group(struct ufs *fs, uint32_t cgx, const struct blkdev_change *range,
    int (*each)(void *arg, uint64_t first, uint64_t n), void *arg)
{
	const struct ufs_super *sb = &fs->sb;
	uint64_t start = ufs_frag_off(sb, ufs_cgimin(sb, cgx));
	uint64_t stop = start + (uint64_t)sb->ipg * sb->dinode_size;
	uint64_t end = range->off + range->len, first, last;

	if (range->off > start)
		start = range->off;
	if (end < stop)
		stop = end;
	if (start >= stop)
		return 0;
	first =
	    (start - ufs_frag_off(sb, ufs_cgimin(sb, cgx))) / sb->dinode_size;
	last = (stop - 1 - ufs_frag_off(sb, ufs_cgimin(sb, cgx))) /
	    sb->dinode_size;
	return each(arg, (uint64_t)cgx * sb->ipg + first, last - first + 1);
}

int
ufs_inodes_in(struct ufs *fs, uint64_t off, uint64_t len,
    int (*each)(void *arg, uint64_t first, uint64_t n), void *arg)
{
	struct blkdev_change range = {.off = off, .len = len};
	uint64_t group = ufs_frag_off(&fs->sb, fs->sb.fpg);
	uint64_t cgx = off / group, last;

	if (len == 0)
		return 0;
	last = (off + len - 1) / group;
	/* Staggered groups of old UFS1 may reach into the next one. */
	for (cgx -= cgx > 0; cgx <= last && cgx < fs->sb.ncg; cgx++) {
		int rc = tell_group(fs, (uint32_t)cgx, &range, each, arg);

		if (rc != 0)
			return rc;
	}
	return 0;
}
