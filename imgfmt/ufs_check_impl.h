/*
 * Private to the verifier, ufs_check*.c.
 *
 * Phases, as fsck_ffs counts them: 0 superblock and its copies, 1 inodes and
 * the blocks they hold, 2 names, 3 reachability, 4 link counts, 5 cylinder
 * groups, summaries and totals.  What phases 1 to 4 find out is kept in three
 * arrays (a bit per fragment, eight bytes per inode, a record per directory);
 * phase 5 builds from them what each group must look like and compares.
 *
 * Rules of the house:
 *   1. Nothing of the engine: only the decoders of ufs_format.h.  A fault of
 *      the engine's logic cannot hide here.
 *   2. A fault is counted and told once, by ufs_fsck_fault; a function's
 *      negative result means that checking cannot go on (I/O, memory).
 *   3. Work is bounded by the size of the device: a block is walked into only
 *      by the first who claims it.
 */
#ifndef UFS_CHECK_IMPL_H
#define UFS_CHECK_IMPL_H

#include <string.h>

#include "ufs.h"
#include "ufs_format.h"

enum {
	UFS_IFMT = 0170000,
	UFS_IFDIR = 0040000,
	UFS_DT_DIR = 4,
	UFS_DT_WHT = 14,
	UFS_DT_BAD = 15, /* allocated, but of no known type */

	/* Faults told one by one; more than this helps nobody. */
	UFS_FSCK_TOLD = 100,
};

/* What is known of an inode. */
struct ufs_fsck_inode {
	uint32_t found;  /* names and "." and ".." that lead to it */
	uint16_t nlink;  /* as it says */
	uint8_t type;    /* DT_*, 0: free */
	bool orphan : 1; /* may have no name */
	bool faulty : 1; /* something was told of it */
};

/* What is known of a directory; the array is sorted by ino. */
struct ufs_fsck_dir {
	uint64_t ino;
	uint64_t parent; /* who names it first, 0: nobody */
	uint64_t dotdot; /* as it says, 0: nothing usable */
	bool damaged;    /* its blocks are in doubt: not looked into */
	uint8_t mark;    /* for the walk to the root */
};

struct ufs_fsck {
	struct blkdev *dev;
	struct ufs_super sb;
	uint8_t sbraw[UFS_SBLOCK_SIZE];
	uint64_t nfaults;
	/* The first inodes at fault, and a directory that names them, or 0. */
	struct {
		uint64_t ino, dir;
	} faulty[UFS_FSCK_TOLD];
	size_t nfaulty;
	uint64_t path_bytes;           /* looked through to tell their paths */
	uint8_t *used;                 /* bit per fragment */
	struct ufs_fsck_inode *inodes; /* ufs_ninodes(&sb) of them */
	struct ufs_fsck_dir *dirs;
	size_t ndirs, dirs_room;
	bool names_unknown; /* some directory could not be read */
	struct ufs_csum total;
	uint8_t *indirect[UFS_NINDIRECT]; /* a block per level */
	uint8_t *block;                   /* a block */
	ufs_check_progress *progress;
	void *arg;
};

/* Count a fault, and tell it unless there were too many. */
__attribute__((format(printf, 2, 3))) void ufs_fsck_fault(
    struct ufs_fsck *f, const char *format, ...);

/* The same for inode ino, which is put in front, and remembered. */
__attribute__((format(printf, 3, 4))) void ufs_fsck_inode_fault(
    struct ufs_fsck *f, uint64_t ino, const char *format, ...);

/* Report progress; negative: the caller wants to stop. */
MUST_CHECK int ufs_fsck_tell(struct ufs_fsck *f, uint64_t done);

/* Phase 0 (ufs_check_super.c): the superblock against formats.md 2.12. */
void ufs_fsck_super(struct ufs_fsck *f);
/* Backup superblocks and the recovery record. */
MUST_CHECK int ufs_fsck_copies(struct ufs_fsck *f);

/* Phase 1 (ufs_check_inode.c): marks metadata, judges all inodes. */
MUST_CHECK int ufs_fsck_inodes(struct ufs_fsck *f);

/* Phases 2 to 4 (ufs_check_names.c). */
MUST_CHECK int ufs_fsck_names(struct ufs_fsck *f);

/* Say where the inodes at fault are (ufs_check_path.c). */
MUST_CHECK int ufs_fsck_tell_paths(struct ufs_fsck *f);

/* Phase 5 (ufs_check_group.c). */
MUST_CHECK int ufs_fsck_groups(struct ufs_fsck *f);

/* -- walking the blocks of an inode (ufs_check_walk.c) --------------------- */

/*
 * A walk visits the blocks of a file in order.  data is called for each that
 * is there, bytes is what the file holds of it; enter for each indirect block
 * before it is looked into: 0 leaves it out.  Negative results end the walk.
 */
struct ufs_fsck_walk {
	struct ufs_fsck *f;
	uint64_t ino;
	const struct ufs_dinode *d;
	uint64_t nblocks; /* logical blocks up to the end of the file */
	int (*data)(struct ufs_fsck_walk *w, uint64_t lbn, uint64_t fsb,
	    uint32_t bytes);
	int (*enter)(struct ufs_fsck_walk *w, uint64_t fsb);
	/* Said once for an indirect block with entries behind the last. */
	void (*beyond)(struct ufs_fsck_walk *w, uint64_t fsb);
	void *arg;
};

/* Whether db and ib of this inode are pointers to blocks. */
bool ufs_fsck_has_blocks(
    const struct ufs_super *sb, const struct ufs_dinode *d);
MUST_CHECK int ufs_fsck_walk(struct ufs_fsck_walk *w);

/* For walks after the first one, which has judged all that is there. */
int ufs_fsck_enter_any(struct ufs_fsck_walk *w, uint64_t fsb);
void ufs_fsck_pass_beyond(struct ufs_fsck_walk *w, uint64_t fsb);

/* Read and decode inode ino. */
MUST_CHECK int ufs_fsck_read_inode(
    struct ufs_fsck *f, uint64_t ino, struct ufs_dinode *out);

/* Whether nfrags at fsb may belong to a file (fsck's chkrange). */
bool ufs_fsck_range_ok(
    const struct ufs_super *sb, uint64_t fsb, uint32_t nfrags);

/* Whether a name is "." or "..". */
static inline bool
ufs_fsck_is_dots(const char *name, uint8_t len)
{
	return len > 0 && len <= 2 && memcmp(name, "..", len) == 0;
}

/* The directory record of ino, or NULL. */
struct ufs_fsck_dir *ufs_fsck_dir_of(const struct ufs_fsck *f, uint64_t ino);

#endif
