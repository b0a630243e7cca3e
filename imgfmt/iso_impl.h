/*
 * Private to iso_*.c: an open ISO, and walking its structures.  Addresses are
 * bytes on the device.
 */
#ifndef ISO_IMPL_H
#define ISO_IMPL_H

#include "iso.h"
#include "iso_format.h"

enum { ISO_TREES_MAX = 16, ISO_BOOTS_MAX = 16 };

enum iso_tree_kind { ISO_PRIMARY, ISO_JOLIET, ISO_ENHANCED };

/* A directory tree, which one volume descriptor begins. */
struct iso_tree {
	enum iso_tree_kind kind;
	uint64_t at;      /* of the descriptor */
	uint64_t base;    /* its sector numbers count from here */
	uint64_t session; /* its volume size counts from here */
	uint64_t root_off, root_len;
	bool susp; /* has system use entries */
	uint8_t skip;
};

struct iso {
	struct blkdev *dev; /* the caller's */
	struct iso_info info;
	uint64_t session; /* of the descriptors in use */
	unsigned ntrees;
	struct iso_tree trees[ISO_TREES_MAX]; /* the primary one first */
	const struct iso_tree *main;
	uint64_t bootrec_at, catalog;    /* 0: no El Torito */
	uint64_t boot_at[ISO_BOOTS_MAX]; /* of the entries in info.boot */
	bool catalog_bad;                /* has no right validation entry */
	bool boot_more;                  /* entries than fit */
	unsigned npartdescs;
	uint64_t partdesc_at[4]; /* volume partition descriptors */
	bool odd_bootrec;        /* a boot record that is not El Torito's */
};

/* A directory record. */
struct iso_record {
	uint64_t at;          /* of the record */
	uint64_t extent, off; /* off: after the extended attributes */
	uint32_t len;
	uint8_t flags;
	bool interleaved;
	const uint8_t *raw; /* in the iterator's buffer */
	const char *name;
	uint8_t name_len, su_len;
	const uint8_t *su; /* system use area, LEN_SKP not yet applied */
};

/* Iterates over the records of one directory. */
struct iso_dir {
	const struct iso *iso;
	const struct iso_tree *tree;
	uint64_t off, len, pos;
	uint64_t loaded; /* position in buf plus one, 0: nothing */
	uint8_t buf[ISO_SECTOR];
};

/*
 * Start at the directory's extent.  -ECORRUPT, said: outside the device.
 */
MUST_CHECK int iso_dir_open(struct iso_dir *dir, const struct iso *iso,
    const struct iso_tree *tree, uint64_t off, uint64_t len);

/* 1: *out, valid until the next call; 0: end; -ECORRUPT, said. */
MUST_CHECK int iso_dir_next(struct iso_dir *dir, struct iso_record *out);

/*
 * The record at byte at of the device, by an iterator made for it alone.
 * -EINVAL, unsaid: there is none.  -ECORRUPT, said.
 */
MUST_CHECK int iso_record_at(struct iso_dir *dir, const struct iso *iso,
    const struct iso_tree *tree, uint64_t at, struct iso_record *out);

/* Whether it is the entry "." or "..". */
bool iso_record_is_dot(const struct iso_record *rec);
bool iso_record_is_dotdot(const struct iso_record *rec);

/* Iterates over the system use entries of a record, CE areas included. */
enum { ISO_CE_MAX = 4 * ISO_SECTOR };

struct iso_susp {
	const struct iso *iso;
	const struct iso_tree *tree;
	const uint8_t *p;
	size_t left;
	uint64_t at;     /* of p on the device */
	uint64_t ce_off; /* area to go on with, 0: none */
	uint32_t ce_len;
	unsigned hops;
	uint8_t ce[ISO_CE_MAX];
};

/* A system use entry; raw[2] is its length, at least 4. */
struct iso_entry {
	const uint8_t *raw;
	uint64_t at;
};

void iso_susp_start(struct iso_susp *susp, const struct iso *iso,
    const struct iso_tree *tree, const struct iso_record *rec);

/* 1: *out, valid until the next call; 0: end; -ECORRUPT, said. */
MUST_CHECK int iso_susp_next(struct iso_susp *susp, struct iso_entry *out);

/* Whether the entry has signature sig and at least len bytes. */
bool iso_entry_is(const struct iso_entry *entry, const char *sig, size_t len);

/* Where sector number n of a tree lies. */
static inline uint64_t
iso_tree_off(const struct iso_tree *tree, uint32_t n)
{
	return tree->base + (uint64_t)n * ISO_SECTOR;
}

/* Detect system use entries in the tree's root: sets susp and skip. */
MUST_CHECK int iso_susp_detect(const struct iso *iso, struct iso_tree *tree);

/*
 * Fill node from Rock Ridge entries of rec, in place of what it holds.
 * *hidden: the record stands for a directory that is shown elsewhere.
 */
MUST_CHECK int iso_rock_ridge(const struct iso *iso,
    const struct iso_tree *tree, const struct iso_record *rec,
    struct iso_node *node, bool *hidden);

/*
 * Whether the directory at byte off says that a CL entry shows it elsewhere:
 * 1, 0 or -errno.  makefs marks the directory, but not its record in
 * "/.rr_moved".
 */
MUST_CHECK int iso_is_relocated(
    const struct iso *iso, const struct iso_tree *tree, uint64_t off);

/* Seconds since 1970 of the 7-byte date of directory records; 0 if invalid. */
int64_t iso_date_short(const uint8_t date[7]);

/* Fill a tree from the volume descriptor at byte at.  -ECORRUPT, said. */
MUST_CHECK int iso_tree_read(struct blkdev *dev, uint64_t at, uint64_t base,
    uint64_t session, struct iso_tree *out);

/* A directory that a walk comes to. */
struct iso_walk_dir {
	uint64_t off, len;
};

/* What a walk calls; each may be NULL, a negative answer stops it. */
struct iso_walker {
	int (*directory)(void *arg, const struct iso_tree *tree,
	    const struct iso_walk_dir *dir);
	int (*record)(void *arg, const struct iso_tree *tree,
	    const struct iso_walk_dir *dir, const struct iso_record *rec);
	int (*entry)(void *arg, const struct iso_tree *tree,
	    const struct iso_entry *entry);
	void *arg;
	bool
	    visible; /* what listings hide is not visited, and twice is wrong */
};

/*
 * Visit every directory of a tree once, with its records and their system use
 * entries; directories that only CL entries lead to as well.  Time and memory
 * are bounded whatever the tree says: the directories, and the continuation
 * areas, of an honest one are not longer than the device.
 * -ECORRUPT, said, where a structure cannot be read.
 */
MUST_CHECK int iso_walk(const struct iso *iso, const struct iso_tree *tree,
    const struct iso_walker *walker);

/* Read the El Torito catalogue and the system area into iso->info. */
MUST_CHECK int iso_boot_read(struct iso *iso);
MUST_CHECK int iso_area_read(struct iso *iso);

/* Whether len bytes at off are inside the device. */
static inline bool
iso_inside(const struct iso *iso, uint64_t off, uint64_t len)
{
	return off <= iso->dev->size && len <= iso->dev->size - off;
}

#endif
