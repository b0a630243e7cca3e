/*
 * A small tree of files, twice: on a file system, and as a model that is right
 * by looking at it.  The same operations are done to both; a listing tells
 * what either holds, so that two trees can be compared whole.
 */
#ifndef CRASH_TREE_H
#define CRASH_TREE_H

#include "../../imgfmt/ufs.h"

enum {
	TREE_PATH = 24,
	TREE_NAMES = 32,
	TREE_FILES = 16,
};

enum tree_verb {
	TREE_CREATE,      /* a: a new, empty file */
	TREE_WRITE,       /* a, off, len; also beyond its end */
	TREE_APPEND,      /* a, len */
	TREE_TRUNCATE,    /* a, off: the new size */
	TREE_PUNCH,       /* a, off, len */
	TREE_RENAME,      /* a, b */
	TREE_LINK,        /* a; b: the new name */
	TREE_UNLINK,      /* a */
	TREE_UNLINK_OPEN, /* a, which stays open */
	TREE_MKDIR,       /* a */
	TREE_RMDIR,       /* a */
};

struct tree_op {
	const char *name; /* for people */
	enum tree_verb verb;
	const char *a, *b;
	uint64_t off, len;
};

/* What there is, in order of the paths; unused bytes are 0. */
struct tree_entry {
	char path[TREE_PATH];
	uint64_t id; /* which entry is the first of the same file */
	uint64_t size;
	uint32_t is_dir, nlink, crc;
};

struct tree_listing {
	uint64_t n;
	struct tree_entry entry[TREE_NAMES];
};

struct tree_file {
	bool is_dir;
	unsigned names;
	uint64_t size;
	uint8_t *data;
};

struct tree {
	int nfiles, nnames;
	struct tree_file file[TREE_FILES];
	struct {
		char path[TREE_PATH];
		int file;
	} name[TREE_NAMES];
};

void tree_begin(struct tree *t); /* the root alone */
void tree_copy(const struct tree *from, struct tree *to);
void tree_end(struct tree *t);

/* Do it: what a file system must answer, 0 or -errno. */
int tree_expect(struct tree *t, const struct tree_op *op);
/* The same on a file system; its answer. */
int tree_do(struct ufs *fs, const struct tree_op *op);

void tree_list(const struct tree *t, struct tree_listing *out);
/* The same of a file system.  -errno where something cannot be read. */
MUST_CHECK int tree_list_fs(struct ufs *fs, struct tree_listing *out);
void tree_print(const struct tree_listing *l);

#endif
