/*
 * A small UFS image laid by hand, without the engine: something of everything
 * that the verifier looks at.  See ufs_sample_make for what is in it.
 */
#ifndef UFS_SAMPLE_H
#define UFS_SAMPLE_H

#include "../../imgfmt/bitmap.h"
#include "../../imgfmt/crc32c.h"
#include "../../imgfmt/ufs_impl.h"
#include "check.h"

enum {
	S_ROOT = 2,
	S_FILE = 3,   /* /file and /hard: a block and two fragments */
	S_BIG = 4,    /* /big: 12 blocks, then an indirect one for another 2 */
	S_SUB = 5,    /* /sub: a directory */
	S_ATTR = 6,   /* /sub/deep: 100 bytes and an extended attribute */
	S_LINK = 7,   /* /link: a target of four bytes */
	S_DEV = 8,    /* /dev */
	S_LONG = 9,   /* /long: a target of 200 bytes */
	S_INNER = 10, /* /sub/inner: an empty directory */
	S_LAST = S_INNER,
	S_BSIZE = 4096,
	S_FSIZE = 512,
	S_SIZE = 1024 * 1024,
};

struct sample {
	struct blkdev *dev;
	struct ufs_super sb;
	uint8_t super[UFS_SBLOCK_SIZE], cg[S_BSIZE];
	uint32_t next; /* fragment not given away yet */
};

static inline void
sample_read(struct sample *s, uint64_t off, void *buf, size_t len)
{
	CHECK_EQ(blkdev_read(s->dev, off, buf, len), 0);
}

static inline void
sample_write(struct sample *s, uint64_t off, const void *buf, size_t len)
{
	CHECK_EQ(blkdev_write(s->dev, off, buf, len), 0);
}

static inline void
sample_get(struct sample *s, uint64_t ino, struct ufs_dinode *d)
{
	uint8_t raw[256];

	sample_read(s, ufs_ino_off(&s->sb, ino), raw, s->sb.dinode_size);
	ufs_dinode_decode(&s->sb, raw, d);
}

static inline void
sample_put(struct sample *s, uint64_t ino, const struct ufs_dinode *d)
{
	uint8_t raw[256];

	sample_read(s, ufs_ino_off(&s->sb, ino), raw, s->sb.dinode_size);
	ufs_dinode_encode(&s->sb, d, raw);
	sample_write(s, ufs_ino_off(&s->sb, ino), raw, s->sb.dinode_size);
}

/* Take nfrags fragments of the first group; whole blocks are aligned. */
static inline uint64_t
sample_take(struct sample *s, uint32_t nfrags)
{
	uint64_t fsb;

	if (s->next % s->sb.frag + nfrags > s->sb.frag)
		s->next = (s->next / s->sb.frag + 1) * s->sb.frag;
	fsb = s->next;
	s->next += nfrags;
	return fsb;
}

/* Write the first group with its summary, and the superblock. */
static inline void
sample_seal(struct sample *s)
{
	struct ufs_cg_disk *cg = (struct ufs_cg_disk *)s->cg;

	ufs_cg_stamp(&s->sb, s->cg);
	sample_write(
	    s, ufs_frag_off(&s->sb, ufs_cgtod(&s->sb, 0)), s->cg, s->sb.cgsize);
	sample_write(
	    s, ufs_frag_off(&s->sb, s->sb.csaddr), &cg->cs, sizeof(cg->cs));
	ufs_super_encode(&s->sb, s->super, s->sb.loc);
	sample_write(s, s->sb.loc, s->super, s->sb.sbsize);
}

/* Put an entry at byte pos of a chunk; the next one follows at the result. */
static inline uint32_t
sample_entry(struct sample *s, uint8_t *chunk, uint32_t pos, const char *name,
    uint32_t ino, uint8_t type)
{
	struct ufs_dirent_disk *e = (struct ufs_dirent_disk *)(chunk + pos);
	size_t len = strlen(name);

	e->ino = raw32_set(ino, s->sb.big);
	e->reclen = raw16_set((uint16_t)ufs_dirsiz(len), s->sb.big);
	e->type = type;
	e->namelen = (uint8_t)len;
	memcpy(e + 1, name, len + 1);
	return pos + ufs_dirsiz(len);
}

/* Let the entry at pos, the last one, reach to the end of its chunk. */
static inline void
sample_last(struct sample *s, uint8_t *chunk, uint32_t pos)
{
	((struct ufs_dirent_disk *)(chunk + pos))->reclen =
	    raw16_set((uint16_t)(UFS_DIRBLK - pos), s->sb.big);
}

static inline void
sample_directory(
    struct sample *s, uint64_t ino, const uint8_t *chunk, uint32_t nlink)
{
	struct ufs_dinode d = {0};

	sample_get(s, ino, &d);
	if (d.mode == 0) {
		d.mode = 040755;
		d.size = UFS_DIRBLK;
		d.blocks = S_FSIZE / 512;
		d.db[0] = sample_take(s, 1);
	}
	d.nlink = nlink;
	sample_put(s, ino, &d);
	sample_write(s, ufs_frag_off(&s->sb, d.db[0]), chunk, UFS_DIRBLK);
}

static inline void
sample_names(struct sample *s)
{
	uint8_t root[UFS_DIRBLK] = {0}, sub[UFS_DIRBLK] = {0},
		inner[UFS_DIRBLK] = {0};
	uint32_t pos, last;

	pos = sample_entry(s, root, 0, ".", S_ROOT, 4);
	pos = sample_entry(s, root, pos, "..", S_ROOT, 4);
	pos = sample_entry(s, root, pos, "file", S_FILE, 8);
	pos = sample_entry(s, root, pos, "hard", S_FILE, 8);
	pos = sample_entry(s, root, pos, "big", S_BIG, 8);
	pos = sample_entry(s, root, pos, "sub", S_SUB, 4);
	pos = sample_entry(s, root, pos, "link", S_LINK, 10);
	pos = sample_entry(s, root, pos, "dev", S_DEV, 2);
	pos = sample_entry(s, root, pos, "gone", 1, 14);
	last = pos;
	sample_entry(s, root, pos, "long", S_LONG, 10);
	sample_last(s, root, last);
	sample_directory(s, S_ROOT, root, 3);

	pos = sample_entry(s, sub, 0, ".", S_SUB, 4);
	pos = sample_entry(s, sub, pos, "..", S_ROOT, 4);
	pos = sample_entry(s, sub, pos, "deep", S_ATTR, 8);
	last = pos;
	sample_entry(s, sub, pos, "inner", S_INNER, 4);
	sample_last(s, sub, last);
	sample_directory(s, S_SUB, sub, 3);

	pos = sample_entry(s, inner, 0, ".", S_INNER, 4);
	sample_entry(s, inner, pos, "..", S_SUB, 4);
	sample_last(s, inner, pos);
	sample_directory(s, S_INNER, inner, 2);
}

static inline void
sample_big(struct sample *s)
{
	struct ufs_dinode d = {.mode = 0100644, .nlink = 1};
	uint8_t block[S_BSIZE] = {0};

	for (int i = 0; i < UFS_NDIRECT; i++)
		d.db[i] = sample_take(s, s->sb.frag);
	d.ib[0] = sample_take(s, s->sb.frag);
	for (int i = 0; i < 2; i++) {
		uint64_t fsb = sample_take(s, s->sb.frag);

		if (s->sb.version == 2)
			((raw64 *)block)[i] = raw64_set(fsb, s->sb.big);
		else
			((raw32 *)block)[i] =
			    raw32_set((uint32_t)fsb, s->sb.big);
	}
	sample_write(s, ufs_frag_off(&s->sb, d.ib[0]), block, sizeof(block));
	d.size = 14 * S_BSIZE - 1000;
	d.blocks = 15 * (S_BSIZE / 512);
	sample_put(s, S_BIG, &d);
}

static inline void
sample_attributes(struct sample *s)
{
	struct ufs_dinode d = {.mode = 0100600, .nlink = 1, .size = 100};
	uint8_t area[48] = {0};
	struct ufs_ea_disk *ea = (struct ufs_ea_disk *)area;

	d.db[0] = sample_take(s, 1);
	d.blocks = 1;
	if (s->sb.version == 2) {
		/* Two records: name of 5 and of 3, values of 8 and of 5. */
		ea->length = raw32_set(24, s->sb.big);
		ea->space = 1;
		ea->namelen = 5;
		memcpy(ea + 1, "first", 5);
		ea = (struct ufs_ea_disk *)(area + 24);
		ea->length = raw32_set(24, s->sb.big);
		ea->space = 2;
		ea->namelen = 3;
		ea->contentpad = 3;
		memcpy(ea + 1, "acl", 3);
		d.extb[0] = sample_take(s, 1);
		d.extsize = sizeof(area);
		d.blocks++;
		sample_write(
		    s, ufs_frag_off(&s->sb, d.extb[0]), area, sizeof(area));
	}
	sample_put(s, S_ATTR, &d);
}

static inline void
sample_files(struct sample *s)
{
	struct ufs_dinode file = {.mode = 0100644, .nlink = 2};
	struct ufs_dinode link = {.mode = 0120755, .nlink = 1, .size = 4};
	struct ufs_dinode dev = {.mode = 0020600, .nlink = 1};
	struct ufs_dinode target = {.mode = 0120755, .nlink = 1, .size = 200};

	file.size = S_BSIZE + 700;
	file.db[0] = sample_take(s, s->sb.frag);
	file.db[1] = sample_take(s, 2);
	file.blocks = S_BSIZE / 512 + 2;
	sample_put(s, S_FILE, &file);
	memcpy(link.target, "file", 4);
	sample_put(s, S_LINK, &link);
	dev.db[0] = 0x103;
	sample_put(s, S_DEV, &dev);
	target.db[0] = sample_take(s, 1);
	target.blocks = 1;
	sample_put(s, S_LONG, &target);
}

/* The first group's maps as what was taken makes them. */
static inline void
sample_maps(struct sample *s, uint32_t from)
{
	struct ufs_cg_disk *cg = (struct ufs_cg_disk *)s->cg;
	struct ufs_cg_layout at;
	struct ufs_csum before, cs;

	sample_read(
	    s, ufs_frag_off(&s->sb, ufs_cgtod(&s->sb, 0)), s->cg, s->sb.cgsize);
	ufs_cg_layout(&s->sb, &at);
	before.nbfree = raw32_get(cg->cs.nbfree, s->sb.big);
	before.nffree = raw32_get(cg->cs.nffree, s->sb.big);
	bits_fill(s->cg + at.iusedoff, 0, S_LAST + 1, true);
	cs.nifree = s->sb.ipg - S_LAST - 1;
	cg->cs.nifree = raw32_set((uint32_t)cs.nifree, s->sb.big);
	cg->cs.ndir = raw32_set(3, s->sb.big);
	/* Fragments skipped for alignment stay free. */
	bits_fill(s->cg + at.freeoff, from, s->next - from, true);
	for (uint64_t ino = S_ROOT; ino <= S_LAST; ino++) {
		struct ufs_dinode d;

		sample_get(s, ino, &d);
		for (int i = 0; i < UFS_NDIRECT; i++)
			if (d.db[i] != 0 && ino != S_DEV && ino != S_LINK)
				bits_fill(s->cg + at.freeoff, d.db[i],
				    ufs_blksize(&s->sb, d.size, (uint64_t)i) /
					S_FSIZE,
				    false);
		if (ino == S_BIG)
			bits_fill(
			    s->cg + at.freeoff, d.ib[0], 3 * s->sb.frag, false);
		if (d.extsize > 0)
			bits_fill(s->cg + at.freeoff, d.extb[0], 1, false);
	}
	ufs_cg_recount(&s->sb, s->cg, &cs);
	s->sb.total.ndir = 3;
	s->sb.total.nifree -= S_LAST - S_ROOT;
	s->sb.total.nbfree += cs.nbfree - before.nbfree;
	s->sb.total.nffree += cs.nffree - before.nffree;
	sample_seal(s);
}

/* Several groups of 512 byte fragments, check hashes where UFS2 has them. */
static inline void
sample_make(struct sample *s, int version, bool big_endian)
{
	struct ufs_mkfs how = {
	    .version = version,
	    .big_endian = big_endian,
	    .block_size = S_BSIZE,
	    .frag_size = S_FSIZE,
	    .minfree = 8,
	    .check_hashes = true,
	    .ncg = 3,
	    .time = 1700000000,
	};
	uint64_t loc = version == 2 ? 65536 : 8192;
	uint32_t from;

	memset(s, 0, sizeof(*s));
	CHECK_EQ(blkdev_mem_open(S_SIZE, &s->dev), 0);
	CHECK_EQ(ufs_mkfs(s->dev, &how), 0);
	sample_read(s, loc, s->super, sizeof(s->super));
	CHECK_EQ(ufs_super_decode(s->super, loc, S_SIZE, &s->sb), 0);
	from = (uint32_t)(s->sb.csaddr + s->sb.cssize / S_FSIZE) + 1;
	s->next = from;
	sample_files(s);
	sample_big(s);
	sample_attributes(s);
	sample_names(s);
	sample_maps(s, from);
}

#endif
