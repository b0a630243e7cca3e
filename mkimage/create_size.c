/*
 * How large the file system must be.  What files and names take is counted;
 * what groups, inodes and summaries take is not worked out but asked from
 * file systems that are made, a little larger each time, until one has room:
 * an empty one costs next to nothing.
 */
#include <inttypes.h>
#include <string.h>

#include "../imgfmt/log.h"
#include "create_impl.h"

enum {
	NDIRECT = 12,  /* blocks that an inode points to itself */
	CHUNK = 512,   /* of a directory: formats.md 2.9 */
	DOTS = 24,     /* "." and ".." */
	ATTEMPTS = 64, /* to find the size */
	DENSITY_MIN = 512,
	INODES_SPARE = 16,
	INODES_TAKEN = UFS_ROOT + 1, /* those up to the root are never free */
};

struct units {
	uint64_t bsize, fsize, nindir;
	uint64_t target_inline; /* targets shorter than this */
};

static uint64_t
units_of(uint64_t n, uint64_t unit)
{
	return n / unit + (n % unit != 0);
}

/* Bytes of fragments or blocks for a file of size contiguous bytes. */
static uint64_t
data_bytes(const struct units *u, uint64_t size)
{
	if (size <= NDIRECT * u->bsize)
		return units_of(size, u->fsize) * u->fsize;
	return units_of(size, u->bsize) * u->bsize;
}

/* Bytes of indirect blocks, at most, that map n blocks before block end. */
static uint64_t
indirect_bytes(const struct units *u, uint64_t n, uint64_t end, size_t runs)
{
	uint64_t blocks = 0;

	if (end <= NDIRECT)
		return 0;
	/* each stretch may begin amid an indirect block of every level */
	for (int level = 0; level < 3; level++) {
		n = units_of(n, u->nindir) + (runs > 1 ? runs : 0);
		blocks += n;
		if (end - NDIRECT <= u->nindir && level == 0)
			break;
	}
	return blocks * u->bsize;
}

static uint64_t
file_bytes(const struct units *u, const struct tree_node *node)
{
	const struct content *c = &node->content;
	uint64_t held = 0, end = units_of(node->size, u->bsize), all;
	size_t stretches = 0;

	if (node->size == 0)
		return 0;
	for (size_t i = 0; i < c->nruns; stretches++) {
		uint64_t off = c->runs[i].off, len = tree_stretch(c, &i);

		if (len == node->size)
			return data_bytes(u, len) +
			    indirect_bytes(u, end, end, 1);
		held += units_of(off + len, u->bsize) - off / u->bsize;
	}
	held += 1; /* the last block is never a hole */
	all = held < end ? held : end;
	return all * u->bsize + indirect_bytes(u, all, end, stretches + 1);
}

/* Bytes of a directory whose names are entered in order. */
static uint64_t
names_bytes(const struct units *u, const struct tree_node *dir)
{
	uint64_t size = CHUNK, used = DOTS;

	for (size_t i = 0; i < dir->n; i++) {
		uint64_t len = (8 + strlen(dir->entries[i].name) + 1 + 3) & ~3u;

		if (used + len > CHUNK) {
			size += CHUNK;
			used = 0;
		}
		used += len;
	}
	return data_bytes(u, size) +
	    indirect_bytes(
		u, units_of(size, u->bsize), units_of(size, u->bsize), 1);
}

static uint64_t
xattr_bytes(const struct units *u, const struct tree_node *node)
{
	uint64_t len = 0;

	for (const struct tree_xattr *x = node->xattrs; x != NULL; x = x->next)
		len += ((7 + strlen(x->name) + 7) & ~7u) +
		    ((x->len + 7) & ~(uint64_t)7);
	return units_of(len, u->fsize) * u->fsize;
}

static uint64_t
data_of(const struct tree_node *node)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < node->content.nruns; i++)
		sum += node->content.runs[i].len;
	return sum;
}

/*
 * A file of several names counts once: at the name that comes when its ino is
 * still 0; ino marks those that were met, and is 0 again afterwards.
 */
static void
measure(const struct units *u, struct tree_node *node, struct create_need *need)
{
	if (node->ino != 0)
		return;
	node->ino = 1;
	need->inodes++;
	need->files += !S_ISDIR(node->mode);
	need->bytes += xattr_bytes(u, node);
	if (S_ISREG(node->mode)) {
		need->bytes += file_bytes(u, node);
		need->contents += data_of(node);
	} else if (S_ISLNK(node->mode)) {
		size_t len = strlen(node->target);

		if (len >= u->target_inline)
			need->bytes += data_bytes(u, len);
	} else if (S_ISDIR(node->mode)) {
		need->bytes += names_bytes(u, node);
		for (size_t i = 0; i < node->n; i++)
			measure(u, node->entries[i].node, need);
	}
}

static void
unmark(struct tree_node *node)
{
	node->ino = 0;
	for (size_t i = 0; i < node->n; i++)
		unmark(node->entries[i].node);
}

void
create_measure(
    const struct tree *t, const struct ufs_mkfs *how, struct create_need *need)
{
	struct units u = {
	    .bsize = how->block_size,
	    .fsize = how->frag_size,
	    .nindir = how->block_size / (how->version == 2 ? 8 : 4),
	    .target_inline = how->version == 2 ? 120 : 60,
	};

	*need = (struct create_need){0};
	unmark(t->root);
	measure(&u, t->root, need);
	unmark(t->root);
}

/* -- the file system --------------------------------------------------------
 */

static uint64_t
free_wanted(const struct create_fs_options *opt, const struct create_need *need)
{
	return opt->free_bytes + need->bytes / 100 * opt->free_percent;
}

/* How many inodes there should be at least; newfs's share of free space. */
static uint64_t
inodes_wanted(
    const struct create_fs_options *opt, const struct create_need *need)
{
	return need->inodes + need->inodes / 32 + INODES_SPARE +
	    free_wanted(opt, need) / (2 * opt->mkfs.frag_size);
}

/* Bytes per inode for a file system of size bytes. */
static uint32_t
density(const struct create_fs_options *opt, const struct create_need *need,
    uint64_t size)
{
	uint64_t most, n = size / (inodes_wanted(opt, need) + INODES_TAKEN);

	if (opt->mkfs.bytes_per_inode != 0)
		return opt->mkfs.bytes_per_inode;
	/* of a given size, as newfs would, if that is enough */
	most = opt->size != 0 ? 2 * opt->mkfs.frag_size : INT32_MAX;
	if (n > most)
		n = most;
	return n < DENSITY_MIN ? DENSITY_MIN : (uint32_t)n;
}

static int
make_fs(const struct create_fs_options *opt, const struct create_need *need,
    uint64_t size, struct blkdev **dev)
{
	struct ufs_mkfs how = opt->mkfs;
	int rc = blkdev_sparse_open(size, dev);

	if (rc < 0)
		return rc;
	how.bytes_per_inode = density(opt, need, size);
	how.time = (int64_t)ufs_now().tv_sec;
	rc = ufs_mkfs(*dev, &how);
	if (rc < 0) {
		blkdev_close(*dev);
		*dev = NULL;
	}
	return rc;
}

static int
ask(struct blkdev *dev, struct ufs_info *info)
{
	struct ufs_options options = {.writable = false};
	struct ufs *fs;
	int rc = ufs_open(blkdev_ref(dev), &options, &fs);

	if (rc < 0) {
		blkdev_close(dev);
		return rc;
	}
	ufs_info(fs, info);
	ufs_close(fs);
	return 0;
}

/* Bytes that the file system should be larger; 0: it will do. */
static uint64_t
lacking(const struct create_fs_options *opt, const struct create_need *need,
    uint64_t slack, const struct ufs_info *info)
{
	uint64_t want = need->bytes + free_wanted(opt, need) + slack;
	uint64_t inodes = inodes_wanted(opt, need), more = 0;

	if (info->avail < want)
		more = (want - info->avail) * 100 / (100 - opt->mkfs.minfree);
	if (info->free_inodes < inodes)
		more += (inodes - info->free_inodes) *
		    density(opt, need, info->size);
	return more > 0 ? more + info->block_size : 0;
}

static int
fixed_size(const struct create_fs_options *opt, const struct create_need *need,
    struct blkdev **dev)
{
	struct ufs_info info;
	int rc = make_fs(opt, need, opt->size, dev);

	if (rc == 0)
		rc = ask(*dev, &info);
	if (rc < 0)
		return rc;
	if (info.free >= need->bytes && info.free_inodes >= need->inodes)
		return 0;
	if (opt->size_most <= opt->size)
		log_error("%" PRIu64
			  " bytes are too small for the tree: it takes %" PRIu64
			  " of %" PRIu64 " bytes and %" PRIu64 " of %" PRIu64
			  " inodes",
		    opt->size, need->bytes, info.free, need->inodes,
		    info.free_inodes);
	blkdev_close(*dev);
	*dev = NULL;
	return -ENOSPC;
}

uint64_t
create_spare(uint32_t block_size)
{
	return 32 * (uint64_t)block_size + (256 << 10);
}

int
create_make_fs(const struct create_fs_options *opt,
    const struct create_need *need, uint64_t slack, struct blkdev **dev)
{
	uint64_t bsize = opt->mkfs.block_size;
	uint64_t size = need->bytes + free_wanted(opt, need) + slack +
	    inodes_wanted(opt, need) * 256 + create_spare(opt->mkfs.block_size);

	if (opt->size != 0)
		return fixed_size(opt, need, dev);
	for (int i = 0; i < ATTEMPTS; i++) {
		struct ufs_info info;
		uint64_t more;
		int rc;

		size = units_of(size, bsize) * bsize;
		rc = make_fs(opt, need, size, dev);
		if (rc == 0)
			rc = ask(*dev, &info);
		if (rc < 0)
			return rc;
		more = lacking(opt, need, slack, &info);
		if (more == 0)
			return 0;
		blkdev_close(*dev);
		*dev = NULL;
		size += more;
	}
	log_error("found no size for a file system of these measures");
	return -ENOSPC;
}
