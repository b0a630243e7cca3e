/*
 * A model of a file system in memory: simple enough to be right by looking at
 * it.  Random operations are done to it and to a real one; then both are
 * compared, whole.
 */
#ifndef UFS_MODEL_H
#define UFS_MODEL_H

#include "ufs_scratch.h"

enum {
	MODEL_NODES = 400,
	MODEL_ENTRIES = 96,
	MODEL_XATTRS = 4,
	MODEL_PINS = 16,
};

struct model_entry {
	char name[UFS_NAME_MAX + 1];
	int node;
};

struct model_xattr {
	char name[32];
	uint8_t *value;
	size_t len;
};

struct model_node {
	uint64_t ino; /* 0: not in use */
	uint32_t mode, nlink, uid, flags, rdev;
	int pins;
	uint8_t *data; /* of a file, or a target */
	uint64_t size;
	int parent; /* of a directory */
	struct model_entry entry[MODEL_ENTRIES];
	int nentries;
	struct model_xattr xattr[MODEL_XATTRS];
};

struct model {
	struct scratch *scratch;
	uint64_t seed;      /* state of the generator */
	uint64_t size_max;  /* of a file */
	uint64_t total_max; /* bytes in all files */
	uint64_t total;
	bool xattrs;
	bool failing;  /* any operation may fail with -EIO */
	bool diverged; /* one did: the model does not know what is there */
	struct model_node node[MODEL_NODES];
	int wrong;                /* differences found, each printed */
	unsigned long done, full; /* operations; refused for want of space */
};

/* An empty model of the empty directory root of the scratch. */
void model_init(
    struct model *m, struct scratch *scratch, uint64_t root, uint64_t seed);
void model_free(struct model *m);
/* One random operation on both. */
void model_step(struct model *m);
/* Compare everything; differences are printed and counted in wrong. */
void model_compare(struct model *m);
/* Take back all pins. */
void model_unpin_all(struct model *m);
uint64_t model_random(struct model *m, uint64_t below);

#endif
