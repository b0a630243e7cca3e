/* Private to tree_*.c. */
#ifndef TREE_IMPL_H
#define TREE_IMPL_H

#include <archive.h>
#include <archive_entry.h>

#include "idmap.h"
#include "tree_out.h"

enum { TREE_PIECE = 1 << 20 };

struct tree_out {
	struct archive *archive;
	bool to_disk, is_root;
	struct idmap links; /* files with several names: the first of them */
	struct idmap dirs;  /* directories on the way, against circles */
	struct tree_out_counts counts;
	bool has_root;
	struct view_node root; /* of the tree, when all of it is written */
	char *buf;             /* TREE_PIECE bytes */
};

/* A node being written. */
struct tree_job {
	struct tree_out *t;
	struct view *v;
	const char *path; /* in the target: no slash in front; "." the root */
	struct view_node node;
	struct archive_entry *entry;
	bool begun;    /* its header is in the archive */
	unsigned runs; /* of data, given to entry as its map of holes */
};

/* Write one node, without what is below it; see tree_out_add for errors. */
MUST_CHECK int tree_node_write(struct tree_job *job);

/* Whether going on makes sense after a single file's error. */
bool tree_is_fatal(int rc);

/* libarchive's error as -errno, said with the path it is about. */
MUST_CHECK int tree_said(struct tree_out *t, const char *path);

#endif
