/*
 * A file tree in memory, without the contents of its files: what sources
 * (tree_dir.c, tree_archive.c, tree_mtree.c) put together for a new image.
 * Later ones lie on top of earlier ones.
 *
 * Paths are relative to the root, in plain form: no slash in front or behind,
 * no "." and no ".." in them; "" is the root.  They never follow symbolic
 * links: what a path leads through must be directories.
 */
#ifndef TREE_H
#define TREE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

#include "../imgfmt/blkdev.h"

enum {
	TREE_DEPTH_MAX = 1000, /* directories within one another */
	TREE_SKIPS = 2,
};

/* A directory that contents come from; sources own them, trees keep them. */
struct tree_base {
	int fd;
	char *path; /* as the user gave it */
	struct tree_base *next;
};

/* Where the bytes of a file come from. */
enum content_kind {
	CONTENT_NONE, /* nothing but zeroes */
	CONTENT_HOST, /* a file below base */
	CONTENT_SPOOL,
	CONTENT_TEXT, /* text, of the file's size */
	CONTENT_VIEW, /* on the device of a view */
};

/* A stretch of data; what lies between two of them reads as zeroes. */
struct tree_run {
	uint64_t off, len; /* in the file */
	uint64_t at;       /* in the spool, on the device; else off itself */
};

struct content {
	enum content_kind kind;
	struct tree_run *runs; /* in order */
	size_t nruns, room;
	char *text;
	struct blkdev *device; /* the view's */
	/* A file of the host, and what it must still be when it is read. */
	const struct tree_base *base;
	char *path; /* below base */
	dev_t dev;
	ino_t ino;
	struct timespec mtime;
};

struct tree_xattr {
	struct tree_xattr *next;
	int space; /* enum ufs_ea_space */
	char *name;
	size_t len;
	uint8_t value[];
};

struct tree_entry {
	char *name;
	struct tree_node *node;
	bool placed; /* in the image: create_layout.c */
};

struct tree_node {
	unsigned names; /* entries that lead here */
	uint32_t mode;  /* with type */
	uint32_t uid, gid, flags;
	uint32_t rdev_major, rdev_minor;
	struct timespec atime, mtime, ctime, birth;
	uint64_t size; /* regular files */
	char *target;  /* symbolic links */
	struct tree_xattr *xattrs;
	struct content content;
	struct tree_entry *entries; /* directories: sorted by name */
	size_t n, room;
	uint64_t ino; /* in the image: create_layout.c */
};

struct tree {
	struct tree_node *root;
	struct tree_base *bases;
	const char *const *excludes; /* patterns; borrowed */
	size_t nexcludes;
	int spool;           /* scratch file for contents, or -1 */
	uint64_t spool_size; /* bytes */
	const char *beside;  /* the scratch file's neighbour; borrowed */
	/* The tree that this one is a part of, or NULL: its scratch file is
	 * used, and its nodes are shared. */
	struct tree *whole;
	/* Whether the access control lists in attributes are to be obeyed. */
	bool acls, nfs4_acls;
	/* What was left out because UFS or we have no place for it. */
	uint64_t lost_xattrs, lost_acls, lost_flags;
	uint64_t lost_whiteouts, lost_snapshots, lost_journals;
	/* Files of the host that no source may bring in. */
	struct tree_skip {
		dev_t dev;
		ino_t ino;
	} skip[TREE_SKIPS];
	int nskip;
	struct timespec now; /* for what has no time of its own */
};

/* An empty tree: its root is 0755, owned by 0:0. */
MUST_CHECK int tree_init(struct tree *t);
void tree_release(struct tree *t);

/* A node of that mode, with all times t->now; NULL: no memory. */
struct tree_node *tree_node_new(const struct tree *t, uint32_t mode);

/* A node with from's attributes and neither contents nor entries, or NULL. */
struct tree_node *tree_node_like(
    const struct tree *t, const struct tree_node *from);

/* Free a node that never got a name. */
void tree_node_free(struct tree_node *node);

static inline void
tree_node_freep(struct tree_node **node)
{
	tree_node_free(*node);
}

/* All times of node become when. */
void tree_node_date(struct tree_node *node, struct timespec when);

/* Add a stretch of data behind those that are there.  -ENOMEM. */
MUST_CHECK int tree_add_run(
    struct tree_node *node, uint64_t off, uint64_t len, uint64_t at);

/*
 * The data that begins with run *i and goes on, in the file, without a hole;
 * its length is returned, and *i becomes the next run behind it.
 */
uint64_t tree_stretch(const struct content *c, size_t *i);

/* The index of the first run that ends after off; nruns: there is none. */
size_t tree_run_at(const struct content *c, uint64_t off);

/* Drop the node's contents; its size is 0 then. */
void tree_drop_content(struct tree_node *node);

/*
 * Add an attribute that Linux or an archive calls name: "user.X",
 * "system.X", "trusted.freebsd.{user,system}.X"; "relive.flags" sets the
 * flags.  Linux's access control lists become FreeBSD's.  What FreeBSD has no
 * name for is counted in t->lost_xattrs.  An attribute of that name is
 * replaced.  -ENOMEM.
 */
MUST_CHECK int tree_add_xattr(struct tree *t, struct tree_node *node,
    const char *name, const void *value, size_t len);

/* As tree_add_xattr, little-endian, with FreeBSD's name in space, enum
 * ufs_ea_space. */
MUST_CHECK int tree_set_xattr(struct tree_node *node, int space,
    const char *name, const void *value, size_t len);

/* The entry called name of directory dir, or NULL. */
struct tree_node *tree_child(const struct tree_node *dir, const char *name);

/* What path leads to, or NULL. */
struct tree_node *tree_find(const struct tree *t, const char *path);

/*
 * Call each for every entry on the way to path, from the root on, while it
 * returns 0; its last answer is returned.  -ENOENT: the way ends before.
 */
MUST_CHECK int tree_walk(const struct tree *t, const char *path,
    int (*each)(void *arg, struct tree_node *dir, struct tree_entry *entry),
    void *arg);

/*
 * Enter node (new, or one that has names: a hard link) as name of dir, on top
 * of what is there: directories merge and take the new one's attributes,
 * everything else is replaced.  *node becomes what is there then; a new node
 * is the tree's, also after an error.  -ENOMEM.
 */
MUST_CHECK int tree_enter(
    struct tree_node *dir, const char *name, struct tree_node **node);

/* Take the name, if it is there, out of dir, with what is below it. */
void tree_remove(struct tree_node *dir, const char *name);

/*
 * As tree_enter for a path; missing directories on the way are made, 0755 of
 * 0:0.  "" replaces the root's attributes, for directories only.
 * -ENOTDIR, said with source's name: the way leads through something else.
 */
MUST_CHECK int tree_put(struct tree *t, const char *source, const char *path,
    struct tree_node **node);

/*
 * path in plain form, to be freed, in *out.  -EINVAL: it has a "..";
 * -ENAMETOOLONG: a name of more than 255 bytes, or too many of them; nothing
 * is said.
 */
MUST_CHECK int tree_plain_path(const char *path, char **out);

/*
 * Whether a pattern of t->excludes matches: one with a slash the whole path,
 * one without its last name.
 */
bool tree_is_excluded(const struct tree *t, const char *path);

/*
 * Leave out the host's file at path, if there is one: the output, should it lie
 * within a source.  Up to TREE_SKIPS of them.
 */
void tree_skip(struct tree *t, const char *path);

/* Remove what is excluded, also with other names of it left. */
MUST_CHECK int tree_prune(struct tree *t);

/* -- sources --------------------------------------------------------------- */

/* The host's directory at path; nothing in it is followed.  Errors said. */
MUST_CHECK int tree_add_directory(struct tree *t, const char *path);

/*
 * The archive at path; contents go to the scratch file.  Errors said: names
 * that lead out of the tree, an archive cut short, links to nothing.
 */
MUST_CHECK int tree_add_archive(struct tree *t, const char *path);

/* Whether the file at path begins like an mtree(5) specification; -errno. */
MUST_CHECK int tree_is_mtree(const char *path);

/*
 * The mtree(5) specification at path: sets attributes of what is in the tree,
 * and adds what is not.  Errors said, with their line.
 */
MUST_CHECK int tree_add_mtree(struct tree *t, const char *path);

struct view;

/*
 * The directory at path of a view, which must stay open as long as t is used:
 * contents are read from its device when they are needed.  Its file system's
 * snapshots, journal and whiteouts are counted and left out.  Errors said.
 */
MUST_CHECK int tree_add_view(struct tree *t, struct view *v, const char *path);

/* Whichever of the others path is. */
MUST_CHECK int tree_add_source(struct tree *t, const char *path);

/*
 * Let node have the contents of the host's regular file st at path below
 * base; fd is that file where holes matter, or -1.
 */
MUST_CHECK int tree_host_content(struct tree_node *node,
    const struct tree_base *base, const char *path, const struct stat *st,
    int fd);

/*
 * Let node have the contents and the time of the host's regular file at path,
 * links followed.  Errors said.
 */
MUST_CHECK int tree_file_content(
    struct tree *t, struct tree_node *node, const char *path);

/* Open the host's directory at path as a base of t.  Errors said. */
MUST_CHECK int tree_open_base(
    struct tree *t, const char *path, const struct tree_base **out);

/* -- parts -----------------------------------------------------------------
 */

/*
 * An empty tree that takes nodes of whole, which must outlive it; its root and
 * its time are as whole's.  -ENOMEM.
 */
MUST_CHECK int tree_init_part(struct tree *t, struct tree *whole);

/*
 * Let what path leads to in t->whole be there in t as well, with all that is
 * below it: directories anew, so that what is in them may differ, everything
 * else shared.  -ENOENT: nothing there; -ENOMEM.
 */
MUST_CHECK int tree_share(struct tree *t, const char *path);

/*
 * Let t have what is in from, and below it, where t has nothing at that path:
 * directories anew, everything else shared.  from may go before t; what its
 * contents are read from may not.  -ENOMEM.
 */
MUST_CHECK int tree_add_missing(struct tree *t, const struct tree *from);

/*
 * Let there be a regular file of that text at path: what was there of another
 * kind is replaced, what was a regular file keeps its owner and mode, but
 * leaves other names of it, and other trees, alone.  text becomes the tree's,
 * also after an error.  -ENOMEM, -ENOTDIR, said.
 */
MUST_CHECK int tree_put_text(
    struct tree *t, const char *path, uint32_t mode, char *text);

/* -- contents -------------------------------------------------------------- */

enum { READER_FILES = 32 };

/*
 * Open files of the host, the last ones used.  Nodes that were read must stay
 * until the reader is finished or released.
 */
struct tree_reader {
	const struct tree *tree;
	struct tree_open {
		const struct tree_node *node;
		int fd;
		uint64_t used;
	} file[READER_FILES];
	uint64_t clock;
	/* Of the file opened last; fd -1: none.  len is path's. */
	struct tree_folder {
		int fd;
		const struct tree_base *base;
		char *path;
		size_t len;
	} folder;
};

void tree_reader_init(struct tree_reader *r, const struct tree *t);

/*
 * Read len bytes at off, within the size, of regular file node.  -ESTALE,
 * said: the host's file is not what it was when the tree was read.
 */
MUST_CHECK int tree_read(struct tree_reader *r, const struct tree_node *node,
    uint64_t off, void *buf, size_t len);

/* Close all files; -ESTALE, said, where one has changed meanwhile. */
MUST_CHECK int tree_reader_finish(struct tree_reader *r);

/* Close all files without looking. */
void tree_reader_release(struct tree_reader *r);

/* The tree whose scratch file t uses: t itself, or what it is a part of. */
struct tree *tree_spooler(struct tree *t);

/* An empty scratch file of its own, resizable, where t's is or would be. */
MUST_CHECK int tree_scratch(const struct tree *t, struct blkdev **out);

/* Append len bytes to the scratch file, which is made when there is none. */
MUST_CHECK int tree_spool(
    struct tree *t, const void *buf, size_t len, uint64_t *at);

#endif
