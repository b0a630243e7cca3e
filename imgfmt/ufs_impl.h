/*
 * Private to the UFS engine, ufs_*.c.
 *
 * Rules of the house:
 *   1. The public functions of ufs.h take fs->lock (shared to look, exclusive
 *      to change) and call the functions below, which never lock it.
 *   2. A node (in-core inode) is got with ufs_node_get and given back with
 *      ufs_node_put.  Whoever changes one holds the lock exclusively and calls
 *      ufs_node_store before the operation ends: the device (a cache) then
 *      holds the inode as it is to be.
 *   3. Cylinder groups and the superblock are changed in core and reach the
 *      device in ufs_sync_metadata, at a flush.
 *   4. An operation reads and checks all it needs before it changes anything,
 *      as far as it can; when it still fails half way it leaves the file
 *      system consistent (give back what was allocated).
 */
#ifndef UFS_IMPL_H
#define UFS_IMPL_H

#include <pthread.h>

#include "ufs.h"
#include "ufs_format.h"

enum { UFS_DIR_CLASSES = 8 };

/* An in-core inode. */
struct ufs_node {
	uint64_t ino;
	struct ufs_dinode d;
	unsigned refs; /* ufs_node_get minus ufs_node_put; by nodes_lock */
	uint64_t pins; /* ufs_pin minus ufs_unpin; by nodes_lock */
	/*
	 * It has lost its last name since it was read, and goes with its last
	 * pin.  A link count of 0 alone may be the image's mistake.
	 */
	bool nameless;
	struct ufs_node *hash_next, *lru_prev, *lru_next;
	bool is_idle; /* may be dropped from core; its pins are kept */
	/* Directories: names found so far, or NULL (ufs_dirindex.c). */
	struct ufs_dirindex *index;
	bool index_refused; /* too many names, or damaged */
	uint8_t scans;      /* without an index; by nodes_lock */
	/* Directories: chunks before dir_room[k] have no room for an entry of
	 * size class k (ufs_dirmod.c). */
	uint32_t dir_room[UFS_DIR_CLASSES];
	/*
	 * The last mapping found, so that sequential access is cheap; by
	 * nodes_lock.  Whoever changes a block pointer calls ufs_map_forget.
	 */
	uint64_t map_lbn, map_fsb, map_run;
};

/* A cylinder group in core: the block's bytes, changed in place. */
struct ufs_cg {
	uint32_t cgx;
	bool dirty;
	bool bad;                 /* judged, and said: ufs_cg_get refuses it */
	bool exhausted;           /* its maps lie: it gives out nothing more */
	uint8_t *raw;             /* sb.cgsize bytes */
	uint32_t nfrags, nblocks; /* of this group; blocks: whole ones */
	uint32_t ninited; /* inodes that have been initialised (trap 31) */
	struct ufs_csum cs;
	uint32_t rotor, frotor, irotor;
	/* None of these blocks is free, known; block 0 follows the last. */
	uint32_t none_from, none_n;
};

struct ufs {
	pthread_rwlock_t lock;
	struct blkdev *dev; /* owned */
	struct ufs_options opt;
	struct ufs_super sb;
	uint8_t sbraw[UFS_SBLOCK_SIZE];
	bool sb_dirty;      /* anything changed since the last sync */
	bool backups_dirty; /* grown: the backup superblocks must follow */
	const char *read_only_why;
	struct ufs_cg_layout layout;
	struct ufs_cg **cgs;        /* sb.ncg pointers, NULL until loaded */
	pthread_mutex_t nodes_lock; /* the node table; taken after lock */
	struct ufs_node_table *nodes;
	/*
	 * By nodes_lock: for ninited_n groups, initialised inodes + 1 as seen
	 * on the device; 0 unknown.  Groups in cgs know better.
	 */
	uint32_t *ninited;
	uint32_t ninited_n;
	/* By nodes_lock: indices of directories, and their bytes. */
	struct ufs_dirindexes {
		struct ufs_dirindex *newest, *oldest;
		size_t bytes;
	} dirindexes;
	uint64_t dirindex_seed;
	uint32_t last_gen; /* of the inode made last */
	uint32_t last_cgx; /* that gave out data last */
	bool follow;       /* data goes on there: ufs_follow */
	bool broken;       /* an operation was left half done: ufs_half_done */
	uint64_t changes; /* operations begun that may have changed something */
	uint64_t flushed; /* of these, how many the last flush made durable */
	pthread_mutex_t flush_lock; /* one flush at a time; before lock */
};

/* -- ufs_sync.c ----------------------------------------------------------- */

/*
 * Begin an operation that changes something: takes the lock.  -EROFS; -EIO:
 * broken.  After success ufs_change_end ends it; it returns rc.
 */
MUST_CHECK int ufs_change_begin(struct ufs *fs);
int ufs_change_end(struct ufs *fs, int rc);
int64_t ufs_change_end64(struct ufs *fs, int64_t rc);

/*
 * An operation failed with rc where it cannot be undone: from now on nothing
 * can be changed or flushed, so that the last flushed state, which is whole,
 * is what remains.  Returns rc.
 */
int ufs_half_done(struct ufs *fs, int rc);

/* Free a node that has neither a name nor a pin; gives the reference back. */
MUST_CHECK int ufs_node_reap(struct ufs *fs, struct ufs_node *node);

/* -- ufs_super.c ---------------------------------------------------------- */

/*
 * Look for the superblock in all its places (formats.md 2.1) and decode the
 * first that is right; raw holds its bytes.  Errors as ufs_open.
 */
MUST_CHECK int ufs_super_read(
    struct blkdev *dev, uint8_t raw[UFS_SBLOCK_SIZE], struct ufs_super *out);

/*
 * Why the file system must not be written, to be read after "read-only: ",
 * or NULL.  The check hash is the caller's business.
 */
const char *ufs_super_read_only_why(const struct ufs_super *sb);

/* -- ufs_inode.c ---------------------------------------------------------- */

/*
 * The node of ino, read when it is not there.  -ESTALE: outside the file
 * system, not initialised, or free (mode 0).  -ECORRUPT, said: check hash,
 * type, or size beyond what the format allows.
 */
MUST_CHECK int ufs_node_get(
    struct ufs *fs, uint64_t ino, struct ufs_node **out);
void ufs_node_put(struct ufs *fs, struct ufs_node *node);
/* Encode the node into the device. */
MUST_CHECK int ufs_node_store(struct ufs *fs, struct ufs_node *node);
/* Drop the node of an inode that was just freed; others keep no reference. */
void ufs_node_forget(struct ufs *fs, struct ufs_node *node);
/* A fresh node for the inode just allocated, zeroed but for ino. */
MUST_CHECK int ufs_node_new(
    struct ufs *fs, uint64_t ino, struct ufs_node **out);
/*
 * Drop the pins of an inode that is not in core, if they are at most n: true
 * when that was all there is to do, because it has a name.
 */
bool ufs_pins_drop(struct ufs *fs, uint64_t ino, uint64_t n);
/*
 * Call each for every node that is in core, all that are pinned without a
 * name among them; see ufs_readdir.
 */
int ufs_node_each(
    struct ufs *fs, int (*each)(void *arg, struct ufs_node *node), void *arg);
MUST_CHECK int ufs_nodes_open(struct ufs *fs);
void ufs_nodes_close(struct ufs *fs);

void ufs_attr_of(
    const struct ufs *fs, const struct ufs_node *node, struct ufs_attr *out);

static inline bool
ufs_is_dir(const struct ufs_node *node)
{
	return (node->d.mode & 0170000) == 0040000;
}

static inline bool
ufs_is_reg(const struct ufs_node *node)
{
	return (node->d.mode & 0170000) == 0100000;
}

static inline bool
ufs_is_link(const struct ufs_node *node)
{
	return (node->d.mode & 0170000) == 0120000;
}

/* -- ufs_bmap.c: file block to fragment, reading only ---------------------- */

/* Way from the inode to a block: levels of indirection and indices. */
struct ufs_path {
	int level; /* 0: db[index[0]]; n: ib[n - 1], then index[0..n-1] */
	uint32_t index[UFS_NINDIRECT];
};
/* -EFBIG: lbn beyond triple indirection. */
MUST_CHECK int ufs_path_to(
    const struct ufs_super *sb, uint64_t lbn, struct ufs_path *out);

/*
 * Where logical block lbn lies: *fsb (0: a hole) and how many blocks from
 * there on (at least 1, at most most) are contiguous on disk, or are holes
 * as well.  A mapped address is checked: inside the file system, not in
 * metadata, aligned.  -ECORRUPT, said.
 */
MUST_CHECK int ufs_bmap(struct ufs *fs, struct ufs_node *node, uint64_t lbn,
    uint64_t most, uint64_t *fsb, uint64_t *run);

/* Forget the mapping that the node remembers: its blocks change. */
void ufs_map_forget(struct ufs *fs, struct ufs_node *node);

/* Entry i of an indirect block's bytes. */
uint64_t ufs_indir_entry(
    const struct ufs_super *sb, const uint8_t *block, uint32_t i);

/* Read entry i of the indirect block at fsb. */
MUST_CHECK int ufs_indir_get(
    struct ufs *fs, uint64_t fsb, uint32_t i, uint64_t *entry);
MUST_CHECK int ufs_indir_set(
    struct ufs *fs, uint64_t fsb, uint32_t i, uint64_t entry);

/*
 * Whether nfrags fragments at fsb may hold data: inside the file system and
 * its group, not over a group's metadata, not across a block boundary.
 */
bool ufs_data_range_ok(
    const struct ufs_super *sb, uint64_t fsb, uint32_t nfrags);

/* -- ufs_file.c ------------------------------------------------------------ */

/* As ufs_read, for a node; also for directories and long symlinks. */
MUST_CHECK int64_t ufs_node_read(
    struct ufs *fs, struct ufs_node *node, uint64_t off, void *buf, size_t len);

/* -- ufs_dir.c: reading ---------------------------------------------------- */

/* A directory entry and its place. */
struct ufs_slot {
	uint64_t prev; /* of the entry before it in its chunk, or its own */
	struct ufs_dirent entry;
};
/*
 * Call each for every live entry (ino != 0) from byte offset off on.
 * -ECORRUPT, said: a chunk that entries do not tile (formats.md 2.9).
 */
MUST_CHECK int ufs_dir_each(struct ufs *fs, struct ufs_node *dir, uint64_t off,
    int (*each)(void *arg, const struct ufs_slot *slot), void *arg);
/* -ENOENT.  Finds whiteouts too (entry.type 14). */
MUST_CHECK int ufs_dir_find(struct ufs *fs, struct ufs_node *dir,
    const char *name, size_t len, struct ufs_slot *out);
/* 0, -EINVAL, -ENAMETOOLONG: whether name may be given to a new entry. */
MUST_CHECK int ufs_name_ok(const char *name, size_t len);

/* An entry where it lies in a buffer: for those who look at many. */
struct ufs_entry {
	uint64_t off, prev; /* as in ufs_slot */
	uint32_t ino;
	uint16_t reclen;
	uint8_t type, namelen;
	const char *name; /* no NUL; lasts as long as the call */
};
typedef int ufs_entry_visitor(void *arg, const struct ufs_entry *entry);

/* As ufs_dir_each, from the chunk on in which off lies. */
MUST_CHECK int ufs_dir_scan(struct ufs *fs, struct ufs_node *dir, uint64_t off,
    ufs_entry_visitor *each, void *arg);
/* The same for one chunk (UFS_DIRBLK bytes), which lies at off. */
MUST_CHECK int ufs_dir_scan_chunk(const struct ufs *fs,
    const struct ufs_node *dir, const uint8_t *chunk, uint64_t off,
    ufs_entry_visitor *each, void *arg);
void ufs_slot_of(const struct ufs_entry *entry, struct ufs_slot *out);

/* -- ufs_dirindex.c: name hash in core, for large directories -------------- */

enum { UFS_CHUNKS_MAX = 16 };

/* Chunks of a directory (offset / UFS_DIRBLK) where a name may be. */
struct ufs_chunks {
	unsigned n;
	uint32_t chunk[UFS_CHUNKS_MAX];
};
/*
 * Where name may be, making the index of a large directory: 1, and the name
 * is in none but these chunks; 0: there is no index, scan the directory.
 */
MUST_CHECK int ufs_dirindex_find(struct ufs *fs, struct ufs_node *dir,
    const char *name, size_t len, struct ufs_chunks *out);
/*
 * Keep the index, if there is one, in step: an entry at byte off has come or
 * gone.  Moving one within its chunk or redirecting it needs nothing.
 */
void ufs_dirindex_add(struct ufs *fs, struct ufs_node *dir, const char *name,
    size_t len, uint64_t off);
void ufs_dirindex_remove(struct ufs *fs, struct ufs_node *dir, const char *name,
    size_t len, uint64_t off);
void ufs_dirindex_drop(struct ufs *fs, struct ufs_node *dir);
uint64_t ufs_dirindex_seed(void);

/* -- ufs_dirmod.c: changing -------------------------------------------------
 */

/* Enter name for ino; the name is not there.  Grows the directory. */
MUST_CHECK int ufs_dir_enter(struct ufs *fs, struct ufs_node *dir,
    const char *name, size_t len, uint64_t ino, uint8_t type);
MUST_CHECK int ufs_dir_erase(
    struct ufs *fs, struct ufs_node *dir, const struct ufs_slot *slot);
/*
 * Whether the entry could be erased or redirected.  -ECORRUPT, said: what it
 * lies among is damaged.
 */
MUST_CHECK int ufs_dir_check_slot(
    struct ufs *fs, struct ufs_node *dir, const struct ufs_slot *slot);
/* Let the entry point to another inode. */
MUST_CHECK int ufs_dir_redirect(struct ufs *fs, struct ufs_node *dir,
    const struct ufs_slot *slot, uint64_t ino, uint8_t type);

/* -- ufs_cg_load.c: one cylinder group, from the device -------------------- */

/*
 * Load (once) and validate group cgx.  -ECORRUPT, said once: hash, magic,
 * maps, counts.  The group stays in core; any thread may call.
 */
MUST_CHECK int ufs_cg_get(struct ufs *fs, uint32_t cgx, struct ufs_cg **out);
/*
 * How many inodes of group cgx have been initialised (trap 31); all of them
 * where that cannot be told because the group is damaged.  Does not keep the
 * group.
 */
MUST_CHECK int ufs_cg_ninited(struct ufs *fs, uint32_t cgx, uint32_t *out);
void ufs_cg_free(struct ufs_cg *cg);

/* -- ufs_cg.c: one cylinder group, changing -------------------------------- */

/* Write dirty groups and their summaries, then the superblock. */
MUST_CHECK int ufs_sync_metadata(struct ufs *fs);

/* -- ufs_cgmap.c: a group's maps, with all that is counted from them --------
 */

/* Bit i of the answer: whether fragment i of the group's block blk is free. */
unsigned ufs_cgmap_block(
    const struct ufs *fs, const struct ufs_cg *cg, uint32_t blk);
/* Whether all n fragments from first on, within one block, are so. */
bool ufs_cgmap_all(const struct ufs *fs, const struct ufs_cg *cg,
    uint32_t first, uint32_t n, bool is_free);
/* Make n fragments from first on, within one block, free or used. */
void ufs_cgmap_change(struct ufs *fs, struct ufs_cg *cg, uint32_t first,
    uint32_t n, bool to_free);
/* The first fragment of a free block, searched from fragment from; -1. */
int64_t ufs_cgmap_find_block(
    const struct ufs *fs, struct ufs_cg *cg, uint32_t from);
/* n free fragments within a block that is partly used, the tightest fit; -1. */
int64_t ufs_cgmap_find_frags(
    const struct ufs *fs, const struct ufs_cg *cg, uint32_t from, uint32_t n);
/* The same within the next blocks behind fragment from; -1. */
int64_t ufs_cgmap_find_frags_near(
    const struct ufs *fs, const struct ufs_cg *cg, uint32_t from, uint32_t n);
/* Index of a free inode; -1. */
int64_t ufs_cgmap_find_inode(const struct ufs *fs, const struct ufs_cg *cg);
bool ufs_cgmap_inode_used(
    const struct ufs *fs, const struct ufs_cg *cg, uint32_t i);
/* Mark inode i used or free, which is not so yet. */
void ufs_cgmap_mark_inode(
    struct ufs *fs, struct ufs_cg *cg, uint32_t i, bool used, bool is_dir);

/* -- ufs_cgnew.c: groups made from nothing ----------------------------------
 */

/*
 * Bytes a group's block needs for so many inodes and fragments, as FreeBSD
 * 13.2 reckons them (formats.md 2.6, CGSIZE); must not exceed a block.
 */
uint64_t ufs_cg_bytes(const struct ufs_super *sb, uint32_t ipg, uint32_t fpg);
/* Fill the head's fields that follow from the superblock. */
void ufs_cg_head(const struct ufs_super *sb, uint32_t cgx, uint8_t *raw);
/*
 * Make raw (sb->cgsize bytes) group cgx with nothing in it, but for taken
 * fragments behind its metadata; *cs counts it.  Not stamped yet.
 */
void ufs_cg_make(const struct ufs_super *sb, uint32_t cgx, uint32_t taken,
    uint8_t *raw, struct ufs_csum *cs);
/*
 * Count again, from the fragment map, all that is counted from it: sums of
 * fragments and clusters, the cluster map, cs->nbfree and cs->nffree.
 */
void ufs_cg_recount(
    const struct ufs_super *sb, uint8_t *raw, struct ufs_csum *cs);
/*
 * The sums of runs of free blocks alone, from the map of the group's nblocks
 * whole blocks.
 */
void ufs_cg_count_clusters(
    const struct ufs_super *sb, uint8_t *raw, uint32_t nblocks);
/* Put the superblock's time and, where it is due, the check hash in. */
void ufs_cg_stamp(const struct ufs_super *sb, uint8_t *raw);

/* -- ufs_alloc.c: choice among groups; grows when all are full --------------
 */

/*
 * Allocate nfrags (1..frag) fragments near hint (0: none; else preferred
 * address), in one block; a full block is aligned.  -ENOSPC.
 */
MUST_CHECK int ufs_alloc_frags(struct ufs *fs, struct ufs_node *node,
    uint64_t hint, uint32_t nfrags, uint64_t *fsb);
/*
 * Try to extend a run of have fragments at fsb to want, in place: 1 or 0.
 * -ECORRUPT, said: what it has is not marked as used.
 */
MUST_CHECK int ufs_extend_frags(
    struct ufs *fs, uint64_t fsb, uint32_t have, uint32_t want);
/*
 * Free and trim; the caller drops the pointer.  More than a block's worth
 * must be whole blocks.  -ECORRUPT, said: some of it was not in use; the rest
 * is free.
 */
MUST_CHECK int ufs_free_frags(struct ufs *fs, uint64_t fsb, uint32_t nfrags);
/*
 * A new inode of that type near dir's; grows when none is free.  Its place on
 * the device is zeroed but for the generation number, which is a new one.
 */
MUST_CHECK int ufs_alloc_inode(
    struct ufs *fs, struct ufs_node *dir, uint32_t mode, uint64_t *ino);
/* Free the inode's number; its blocks are gone already. */
MUST_CHECK int ufs_free_inode(struct ufs *fs, uint64_t ino, bool was_dir);

/* -- ufs_grow.c --------------------------------------------------------------
 */

/*
 * Make room for at least one more inode (want_inode) or some blocks, within
 * opt.size_limit, doubling reasonably.  -ENOSPC: at the limit.
 */
MUST_CHECK int ufs_grow_some(struct ufs *fs, bool want_inode);
/* As ufs_grow, locked already. */
MUST_CHECK int ufs_grow_to(struct ufs *fs, uint64_t bytes);

/* -- ufs_mkfs.c -------------------------------------------------------------
 */

/* Where UFS2 has its recovery record (formats.md 2.1), write it. */
MUST_CHECK int ufs_recovery_write(
    struct blkdev *dev, const struct ufs_super *sb);

/* -- ufs_balloc.c: giving blocks to files -----------------------------------
 */

/*
 * Make logical block lbn writable: allocate what is missing of it, given that
 * the file is to be (at least) size bytes long, size > lbn * bsize.
 * *fresh: the block is new, and the caller has to write or zero all that
 * ufs_blksize says of it; otherwise what was added is zeroed already.
 * A tail of fragments before lbn becomes a whole block, and the size grows to
 * its end.  The caller sets the size to end in lbn (or later) in any case; on
 * error it restores the size with ufs_truncate_to.
 */
MUST_CHECK int ufs_balloc(struct ufs *fs, struct ufs_node *node, uint64_t lbn,
    uint64_t size, uint64_t *fsb, bool *fresh);
/* Zero len bytes at byte offset off of the device. */
MUST_CHECK int ufs_zero(struct ufs *fs, uint64_t off, uint64_t len);

/* -- ufs_truncate.c: taking blocks from files -------------------------------
 */

/*
 * Set the size, freeing or allocating (no trailing hole, trap 28).  The node
 * is changed, not stored; after an error its size is as before.
 */
MUST_CHECK int ufs_truncate_to(
    struct ufs *fs, struct ufs_node *node, uint64_t size);
/*
 * Take back a growth that failed half way: the size was the smaller one
 * before.  Only what this growth can have allocated is freed, so that damage
 * elsewhere in the file does no harm.
 */
MUST_CHECK int ufs_shrink_back(
    struct ufs *fs, struct ufs_node *node, uint64_t size);
/* Free the blocks from first up to end (not included), whole ones only. */
MUST_CHECK int ufs_free_range(
    struct ufs *fs, struct ufs_node *node, uint64_t first, uint64_t end);
/* Whether all block pointers of node could be freed.  -ECORRUPT, said. */
MUST_CHECK int ufs_check_blocks(struct ufs *fs, struct ufs_node *node);
/* Free all blocks; pointers that are wrong are dropped. */
MUST_CHECK int ufs_free_all(struct ufs *fs, struct ufs_node *node);

/* -- ufs_write.c ------------------------------------------------------------
 */

/*
 * Write, or with buf NULL allocate as zeroes what is missing, len bytes at
 * off, for any node with data.  *done bytes were written, also after an
 * error; the size covers them.  The node is changed, not stored.
 */
MUST_CHECK int ufs_node_write(struct ufs *fs, struct ufs_node *node,
    uint64_t off, const void *buf, uint64_t len, uint64_t *done);

/* -- ufs_xattr.c --------------------------------------------------------------
 */

/* One record of an attribute area; offsets and lengths within the area. */
struct ufs_ea {
	uint32_t off, length; /* the whole record */
	uint8_t space, namelen;
	uint32_t name_off, value_off, value_len;
};
/*
 * Read the attribute area: d.extsize bytes, to be freed by the caller; NULL
 * where there are none.  -EOPNOTSUPP: UFS1, devices.  -ECORRUPT, said.
 */
MUST_CHECK int ufs_ea_load(
    struct ufs *fs, struct ufs_node *node, uint8_t **area);
/*
 * The record at byte off of the area: 1, or 0 where the records end.
 * -ECORRUPT, said: it runs past the area, or its parts past it.
 */
MUST_CHECK int ufs_ea_at(const struct ufs *fs, const struct ufs_node *node,
    const uint8_t *area, uint32_t off, struct ufs_ea *out);
/* Find a name; as ufs_ea_at, 0 where it is not there. */
MUST_CHECK int ufs_ea_find(const struct ufs *fs, const struct ufs_node *node,
    const uint8_t *area, enum ufs_ea_space space, const char *name,
    struct ufs_ea *out);
/* Bytes that block i (0, 1) of an attribute area of extsize bytes takes. */
uint32_t ufs_ea_blksize(const struct ufs_super *sb, uint32_t extsize, int i);

/* -- ufs_xattr_write.c ----------------------------------------------------- */

/*
 * Set (value NULL: remove) an attribute of a node, which is stored.
 * -ENOXATTR, -ENOSPC, -EOPNOTSUPP.
 */
MUST_CHECK int ufs_node_xattr(struct ufs *fs, struct ufs_node *node,
    enum ufs_ea_space space, const char *name, const void *value, size_t len);
/* Free the attribute area of an inode that goes away. */
MUST_CHECK int ufs_xattr_free(struct ufs *fs, struct ufs_node *node);

/* -- ufs_acl.c
 * --------------------------------------------------------------------- */

/* What something new in a directory inherits. */
struct ufs_inherited {
	uint32_t mode;
	struct ufs_acl access, initial; /* without entries: none */
};
/* What it is for something of mode, with a umask; see struct ufs_new. */
MUST_CHECK int ufs_acl_inherit(struct ufs *fs, struct ufs_node *dir,
    uint32_t mode, uint32_t umask, struct ufs_inherited *out);
/* Give the lists to a node, which is stored. */
MUST_CHECK int ufs_acl_give(
    struct ufs *fs, struct ufs_node *node, const struct ufs_inherited *from);

/* -- common
 * --------------------------------------------------------------------- */

/* Set mtime/ctime of a node to now; what: bits. */
enum { UFS_TOUCH_M = 1, UFS_TOUCH_C = 2 };
void ufs_touch(struct ufs_node *node, unsigned what);

#endif
