#include <string.h>

#include "log.h"
#include "ufs_impl.h"

/* Bytes of an indirect block that are looked at in one go. */
enum { INDIR_CHUNK = 4096 };

static uint32_t
ptr_size(const struct ufs_super *sb)
{
	return sb->version == 1 ? 4 : 8;
}

uint64_t
ufs_indir_entry(const struct ufs_super *sb, const uint8_t *block, uint32_t i)
{
	const uint8_t *p = block + (size_t)i * ptr_size(sb);
	raw32 narrow;
	raw64 wide;

	if (sb->version == 1) {
		memcpy(&narrow, p, sizeof(narrow));
		return raw32_get(narrow, sb->big);
	}
	memcpy(&wide, p, sizeof(wide));
	return raw64_get(wide, sb->big);
}

/* -- addresses ------------------------------------------------------------- */

static bool
overlaps(uint64_t a, uint64_t a_end, uint64_t b, uint64_t b_end)
{
	return a < b_end && b < a_end;
}

bool
ufs_data_range_ok(const struct ufs_super *sb, uint64_t fsb, uint32_t nfrags)
{
	uint64_t end, meta, csend;
	uint32_t cgx;

	if (nfrags < 1 || nfrags > sb->frag || fsb >= sb->size ||
	    nfrags > sb->size - fsb)
		return false;
	if ((fsb & (sb->frag - 1)) + nfrags > sb->frag)
		return false;
	end = fsb + nfrags;
	cgx = (uint32_t)(fsb / sb->fpg);
	if (end > ufs_cgbase(sb, cgx) + ufs_cg_frags(sb, cgx))
		return false;
	/* The first group begins with boot area and superblock. */
	meta = cgx == 0 ? 0 : ufs_cgsblock(sb, cgx);
	csend = sb->csaddr + (sb->cssize >> sb->fshift);
	return !overlaps(fsb, end, meta, ufs_cgdmin(sb, cgx)) &&
	    !overlaps(fsb, end, sb->csaddr, csend);
}

static int
address_fault(const struct ufs_node *node, uint64_t lbn, uint64_t fsb)
{
	log_error("ufs: inode %llu: block %llu has the impossible address %llu",
	    (unsigned long long)node->ino, (unsigned long long)lbn,
	    (unsigned long long)fsb);
	return -ECORRUPT;
}

int
ufs_path_to(const struct ufs_super *sb, uint64_t lbn, struct ufs_path *out)
{
	uint64_t n = sb->nindir, span = 1;

	memset(out, 0, sizeof(*out));
	if (lbn < UFS_NDIRECT) {
		out->index[0] = (uint32_t)lbn;
		return 0;
	}
	lbn -= UFS_NDIRECT;
	for (int level = 1; level <= UFS_NINDIRECT; level++) {
		span *= n;
		if (lbn >= span) {
			lbn -= span;
			continue;
		}
		out->level = level;
		for (int i = level - 1; i >= 0; i--) {
			out->index[i] = (uint32_t)(lbn % n);
			lbn /= n;
		}
		return 0;
	}
	return -EFBIG;
}

/* -- indirect blocks ------------------------------------------------------- */

int
ufs_indir_get(struct ufs *fs, uint64_t fsb, uint32_t i, uint64_t *entry)
{
	uint32_t ptr = ptr_size(&fs->sb);
	uint8_t raw[8];
	int rc = blkdev_read(
	    fs->dev, ufs_frag_off(&fs->sb, fsb) + (uint64_t)i * ptr, raw, ptr);

	if (rc == 0)
		*entry = ufs_indir_entry(&fs->sb, raw, 0);
	return rc;
}

int
ufs_indir_set(struct ufs *fs, uint64_t fsb, uint32_t i, uint64_t entry)
{
	uint64_t off =
	    ufs_frag_off(&fs->sb, fsb) + (uint64_t)i * ptr_size(&fs->sb);
	raw32 narrow = raw32_set((uint32_t)entry, fs->sb.big);
	raw64 wide = raw64_set(entry, fs->sb.big);

	if (fs->sb.version == 1)
		return blkdev_write(fs->dev, off, &narrow, sizeof(narrow));
	return blkdev_write(fs->dev, off, &wide, sizeof(wide));
}

/* -- mapping --------------------------------------------------------------- */

/* A stretch of blocks, contiguous on disk or all holes. */
struct extent {
	uint64_t fsb, run;
};

/*
 * How far the n addresses go on from the first, which may hold a bad one: it
 * ends the run and is found when it is asked for.  The last block of the
 * file may be held in part.
 */
static uint64_t
run_of(const struct ufs *fs, const struct ufs_node *node, uint64_t lbn,
    const uint64_t *addr, uint64_t n)
{
	const struct ufs_super *sb = &fs->sb;
	uint64_t run = 1;

	while (run < n) {
		uint32_t bytes = ufs_blksize(sb, node->d.size, lbn + run);

		if (addr[0] == 0 && addr[run] != 0)
			break;
		if (addr[0] != 0 &&
		    (addr[run] != addr[0] + (run << sb->fragshift) ||
			!ufs_data_range_ok(sb, addr[run], bytes >> sb->fshift)))
			break;
		run++;
	}
	return run;
}

static int
extent_of(const struct ufs *fs, const struct ufs_node *node, uint64_t lbn,
    const uint64_t *addr, uint64_t n, struct extent *out)
{
	const struct ufs_super *sb = &fs->sb;
	uint32_t bytes = ufs_blksize(sb, node->d.size, lbn);

	if (addr[0] != 0 && bytes != 0 &&
	    !ufs_data_range_ok(sb, addr[0], bytes >> sb->fshift))
		return address_fault(node, lbn, addr[0]);
	out->fsb = addr[0];
	out->run = run_of(fs, node, lbn, addr, n);
	return 0;
}

/* Look at a chunk of the last indirect block on the way, at fsb. */
static int
map_leaf(struct ufs *fs, const struct ufs_node *node, uint64_t lbn,
    uint64_t fsb, uint32_t index, struct extent *out)
{
	const struct ufs_super *sb = &fs->sb;
	uint32_t ptr = ptr_size(sb);
	uint32_t n = INDIR_CHUNK / ptr - index % (INDIR_CHUNK / ptr);
	uint64_t addr[INDIR_CHUNK / 4];
	uint8_t raw[INDIR_CHUNK];
	int rc;

	/* An indirect block is a multiple of the chunk: 4096 at least. */
	rc = blkdev_read(fs->dev, ufs_frag_off(sb, fsb) + (uint64_t)index * ptr,
	    raw, n * ptr);
	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < n; i++)
		addr[i] = ufs_indir_entry(sb, raw, i);
	return extent_of(fs, node, lbn, addr, n, out);
}

/*
 * Blocks that a pointer at depth (0: to the first indirect block) stands for,
 * from the block that path leads to on.
 */
static uint64_t
rest_of_subtree(
    const struct ufs_super *sb, const struct ufs_path *path, int depth)
{
	uint64_t span = 1, within = 0;

	for (int i = depth; i < path->level; i++) {
		span *= sb->nindir;
		within = within * sb->nindir + path->index[i];
	}
	return span - within;
}

static int
map_indirect(struct ufs *fs, const struct ufs_node *node, uint64_t lbn,
    const struct ufs_path *path, struct extent *out)
{
	uint64_t fsb = node->d.ib[path->level - 1];

	for (int depth = 0; depth < path->level; depth++) {
		int rc;

		if (fsb == 0) {
			out->fsb = 0;
			out->run = rest_of_subtree(&fs->sb, path, depth);
			return 0;
		}
		if (!ufs_data_range_ok(&fs->sb, fsb, fs->sb.frag))
			return address_fault(node, lbn, fsb);
		if (depth == path->level - 1)
			break;
		rc = ufs_indir_get(fs, fsb, path->index[depth], &fsb);
		if (rc < 0)
			return rc;
	}
	return map_leaf(fs, node, lbn, fsb, path->index[path->level - 1], out);
}

static int
map_find(struct ufs *fs, const struct ufs_node *node, uint64_t lbn,
    struct extent *out)
{
	struct ufs_path path;
	int rc = ufs_path_to(&fs->sb, lbn, &path);

	if (rc < 0)
		return rc;
	if (path.level > 0)
		return map_indirect(fs, node, lbn, &path, out);
	return extent_of(
	    fs, node, lbn, &node->d.db[lbn], UFS_NDIRECT - lbn, out);
}

/* The remembered mapping, if lbn lies in it. */
static bool
map_recall(struct ufs *fs, const struct ufs_node *node, uint64_t lbn,
    struct extent *out)
{
	bool found;

	pthread_mutex_lock(&fs->nodes_lock);
	found = lbn >= node->map_lbn && lbn - node->map_lbn < node->map_run;
	if (found) {
		uint64_t skip = lbn - node->map_lbn;

		out->run = node->map_run - skip;
		out->fsb = node->map_fsb;
		if (out->fsb != 0)
			out->fsb += skip << fs->sb.fragshift;
	}
	pthread_mutex_unlock(&fs->nodes_lock);
	return found;
}

static void
map_remember(struct ufs *fs, struct ufs_node *node, uint64_t lbn,
    const struct extent *extent)
{
	pthread_mutex_lock(&fs->nodes_lock);
	node->map_lbn = lbn;
	node->map_fsb = extent->fsb;
	node->map_run = extent->run;
	pthread_mutex_unlock(&fs->nodes_lock);
}

void
ufs_map_forget(struct ufs *fs, struct ufs_node *node)
{
	pthread_mutex_lock(&fs->nodes_lock);
	node->map_run = 0;
	pthread_mutex_unlock(&fs->nodes_lock);
}

int
ufs_bmap(struct ufs *fs, struct ufs_node *node, uint64_t lbn, uint64_t most,
    uint64_t *fsb, uint64_t *run)
{
	struct extent extent;
	int rc;

	if (!map_recall(fs, node, lbn, &extent)) {
		rc = map_find(fs, node, lbn, &extent);
		if (rc < 0)
			return rc;
		map_remember(fs, node, lbn, &extent);
	}
	*fsb = extent.fsb;
	*run = extent.run < most ? extent.run : most;
	return 0;
}
