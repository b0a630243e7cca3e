/* Private to tree_*.c. */
#ifndef TREE_IMPL_H
#define TREE_IMPL_H

#include <archive.h>
#include <archive_entry.h>
#include <locale.h>

#include "idmap.h"
#include "tree.h"
#include "tree_out.h"

enum { TREE_PIECE = 1 << 20 };

struct tree_out {
	struct archive *archive;
	bool to_disk, is_root;
	bool said;          /* why writing fails, by who writes */
	struct idmap links; /* files with several names: the first of them */
	struct idmap dirs;  /* directories on the way, against circles */
	struct tree_out_counts counts;
	bool has_root;
	struct view_node root; /* of the tree, when all of it is written */
	char *buf;             /* TREE_PIECE bytes */
};

struct tree_job;

/* Where the rest of a node comes from; as view_readlink and so on. */
struct tree_from {
	int64_t (*readlink)(struct tree_job *job, char *buf, size_t len);
	int64_t (*read)(
	    struct tree_job *job, uint64_t off, void *buf, size_t len);
	int64_t (*seek)(struct tree_job *job, uint64_t off, bool data);
	int (*xattrs)(struct tree_job *job, view_xattr *each, void *arg);
	/* Errors have been said, and each of them is the end. */
	bool is_strict;
};

/* A node being written. */
struct tree_job {
	struct tree_out *t;
	const struct tree_from *from;
	struct view *v;             /* it is this one's, */
	struct tree_reader *reader; /* or this one's tree's: */
	const struct tree_node *of;
	const char *path; /* in the target: no slash in front; "." the root */
	struct view_node node;
	struct archive_entry *entry;
	bool begun;    /* its header is in the archive */
	unsigned runs; /* of data, given to entry as its map of holes */
};

/* Write one node, without what is below it; see tree_out_add for errors. */
MUST_CHECK int tree_node_write(struct tree_job *job);

/* One file more that was not written, for rc. */
static inline void
tree_count_failed(struct tree_out *t, int rc)
{
	t->counts.failed++;
	t->counts.damaged += rc == -ECORRUPT;
}

/* Whether going on makes sense after a single file's error. */
bool tree_is_fatal(int rc);

/* libarchive's error as -errno, said with the path it is about. */
MUST_CHECK int tree_said(struct tree_out *t, const char *path);

/*
 * A tar that write takes, compressed as name says; see tree_out_tar.  open(3)
 * of libarchive is still to be called.
 */
MUST_CHECK int tree_out_new_tar(const char *name, struct tree_out **out);

/*
 * Names are bytes to UFS: keep libarchive from translating them meanwhile, so
 * that the user's locale makes no difference.
 */
struct tree_locale {
	locale_t utf8, before;
};
void tree_locale_enter(struct tree_locale *l);
void tree_locale_leave(struct tree_locale *l);

#endif
