/*
 * A small file system in memory whose inodes, pointers and directories are
 * written by hand, right or wrong, and then read by the engine.  8 MiB, blocks
 * of 8 KiB, fragments of 1 KiB, four groups.
 */
#ifndef UFS_LAB_H
#define UFS_LAB_H

#include "../../imgfmt/ufs_impl.h"
#include "blkdev_fault.h"
#include "ufs_kit.h"

struct lab {
	struct blkdev *dev; /* blkdev_fault, owned by fs once it is open */
	struct ufs *fs;
	struct ufs_super sb;
	bool big;
	uint64_t next; /* fragment address of the next block to hand out */
};

static inline void
lab_make(struct lab *lab, int version, bool big)
{
	struct ufs_mkfs how = {.version = version,
	    .big_endian = big,
	    .block_size = 8192,
	    .frag_size = 1024,
	    .bytes_per_inode = 1024,
	    .check_hashes = version == 2,
	    .time = 1000000000,
	    .ncg = 4};
	uint8_t raw[UFS_SBLOCK_SIZE];
	struct blkdev *mem;

	memset(lab, 0, sizeof(*lab));
	lab->big = big;
	CHECK_EQ(blkdev_mem_open(8 << 20, &mem), 0);
	CHECK_EQ(blkdev_fault_open(mem, &lab->dev), 0);
	CHECK_EQ(ufs_mkfs(lab->dev, &how), 0);
	CHECK_EQ(ufs_super_read(lab->dev, raw, &lab->sb), 0);
	lab->next = ufs_cgdmin(&lab->sb, 1);
	kit_capture();
}

static inline void
lab_open(struct lab *lab)
{
	struct ufs_options options = {0};

	CHECK_EQ(ufs_open(lab->dev, &options, &lab->fs), 0);
}

static inline void
lab_close(struct lab *lab)
{
	if (lab->fs != NULL)
		ufs_close(lab->fs);
	else
		blkdev_close(lab->dev);
	lab->fs = NULL;
}

/* Write bytes at a fragment address. */
static inline void
lab_put(struct lab *lab, uint64_t fsb, const void *bytes, size_t len)
{
	CHECK_EQ(
	    blkdev_write(lab->dev, ufs_frag_off(&lab->sb, fsb), bytes, len), 0);
}

/* The address of a block not handed out before. */
static inline uint64_t
lab_block(struct lab *lab)
{
	uint64_t fsb = (lab->next + 7) & ~7ull;

	lab->next = fsb + 8;
	return fsb;
}

/* A block whose bytes are all fill. */
static inline uint64_t
lab_filled(struct lab *lab, int fill)
{
	uint64_t fsb = lab_block(lab);
	uint8_t bytes[8192];

	memset(bytes, fill, sizeof(bytes));
	lab_put(lab, fsb, bytes, sizeof(bytes));
	return fsb;
}

/* Set entry i of the indirect block at fsb. */
static inline void
lab_point(struct lab *lab, uint64_t fsb, uint32_t i, uint64_t to)
{
	unsigned ptr = lab->sb.version == 1 ? 4 : 8;
	raw32 narrow = raw32_set((uint32_t)to, lab->big);
	raw64 wide = raw64_set(to, lab->big);
	uint64_t off = ufs_frag_off(&lab->sb, fsb) + (uint64_t)i * ptr;

	CHECK_EQ(blkdev_write(lab->dev, off,
		     ptr == 4 ? (void *)&narrow : (void *)&wide, ptr),
	    0);
}

static inline void
lab_inode(struct lab *lab, uint64_t ino, const struct ufs_dinode *d)
{
	uint8_t raw[256] = {0};

	ufs_dinode_encode(&lab->sb, d, raw);
	CHECK_EQ(blkdev_write(lab->dev, ufs_ino_off(&lab->sb, ino), raw,
		     lab->sb.dinode_size),
	    0);
}

/* A regular file with these direct blocks. */
static inline void
lab_file(
    struct lab *lab, uint64_t ino, uint64_t size, const uint64_t *db, size_t n)
{
	struct ufs_dinode d = {.mode = 0100644, .nlink = 1, .size = size};

	for (size_t i = 0; i < n; i++)
		d.db[i] = db[i];
	lab_inode(lab, ino, &d);
}

/* One directory entry at p; returns the place of the next one. */
static inline uint8_t *
lab_entry(struct lab *lab, uint8_t *p, uint32_t ino, uint32_t reclen,
    uint8_t type, const char *name)
{
	struct ufs_dirent_disk head = {
	    .ino = raw32_set(ino, lab->big),
	    .reclen = raw16_set((uint16_t)reclen, lab->big),
	    .type = type,
	    .namelen = (uint8_t)strlen(name),
	};

	memcpy(p, &head, sizeof(head));
	memcpy(p + sizeof(head), name, strlen(name) + 1);
	return p + reclen;
}

/* A directory whose content is bytes (at most one block). */
static inline void
lab_dir(struct lab *lab, uint64_t ino, const uint8_t *bytes, uint64_t size)
{
	struct ufs_dinode d = {.mode = 0040755, .nlink = 2, .size = size};

	d.db[0] = lab_block(lab);
	lab_put(lab, d.db[0], bytes, (size_t)size);
	lab_inode(lab, ino, &d);
}

#endif
