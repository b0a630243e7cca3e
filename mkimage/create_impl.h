/*
 * Private to `relive create`, create*.c.  An image is made in two phases: the
 * UFS engine lays out the whole tree on a device that holds only metadata, in
 * memory, with space for contents but no contents; then the image is read from
 * start to end, metadata from memory and contents from where they are, and
 * goes through the compressor to the output, once.
 */
#ifndef CREATE_IMPL_H
#define CREATE_IMPL_H

#include "../imgfmt/blkdev.h"
#include "create_fs.h"
#include "order.h"
#include "progress.h"
#include "tree.h"

/* -- create_edit.c: --set-file and --set-conf -------------------------------
 */

/* PATH=FILE: the host's FILE as PATH.  Errors said. */
MUST_CHECK int create_set_file(struct tree *t, const char *what);

/* FILE:KEY=VALUE: the assignment in FILE, in place of one that is there. */
MUST_CHECK int create_set_conf(struct tree *t, const char *what);

/* -- create_size.c: how large the file system must be -----------------------
 */

struct create_need {
	uint64_t inodes;
	uint64_t files;    /* of these, what is no directory */
	uint64_t bytes;    /* of fragments that contents and names take */
	uint64_t contents; /* bytes of data in files, without holes */
};

/* What the tree takes in blocks and fragments of these sizes. */
void create_measure(
    const struct tree *t, const struct ufs_mkfs *how, struct create_need *need);

/*
 * About the bytes that stay free in a file system made of such blocks for no
 * more than it needs.
 */
uint64_t create_spare(uint32_t block_size);

/*
 * An empty file system in memory, *dev, with room for need and what the
 * options ask for beyond it, of opt->size bytes where that is given.  slack:
 * bytes more than counted.  -ENOSPC, said: opt->size is too small.
 */
MUST_CHECK int create_make_fs(const struct create_fs_options *opt,
    const struct create_need *need, uint64_t slack, struct blkdev **dev);

/* -- create_layout.c: the first phase ---------------------------------------
 */

/* Contents on the device. */
struct create_extent {
	uint64_t dev_off, len; /* bytes */
	const struct tree_node *node;
	uint64_t off; /* in the file */
};

struct create_layout {
	struct blkdev *meta;           /* the device, without contents */
	struct create_extent *extents; /* by dev_off */
	size_t n, room;
	uint64_t lost_xattrs; /* UFS1 has none */
	struct ufs_info info;
};

/*
 * Lay out the tree on the empty file system *dev, which becomes layout->meta
 * in any case; the files of first, which are t's, lie before all others.
 * -ENOSPC: it does not fit, not said; others said.
 */
MUST_CHECK int create_lay_out(struct tree *t, struct blkdev *dev,
    const struct order *first, struct create_layout *layout);
void create_layout_release(struct create_layout *layout);

/* Say what of the tree is not in the file system. */
void create_tell_losses(
    const struct tree *t, const struct create_layout *layout);

/* -- create_image.c: the second phase ---------------------------------------
 */

/*
 * The whole image as a device to be read from start to end, by one thread; it
 * moves the bar, and stops with -EINTR when interrupted.  Faults of contents
 * are said.  Borrows everything.
 */
MUST_CHECK int create_image_open(const struct create_layout *layout,
    struct tree_reader *reader, struct progress *bar, struct blkdev **out);

/*
 * Whether the len bytes at off are contents that lie in one piece on device,
 * at *at.
 */
bool create_image_lies_on(struct blkdev *dev, uint64_t off, uint64_t len,
    const struct blkdev *device, uint64_t *at);

/* Whether len bytes at off hold nothing: no metadata that is not zero, no
 * contents. */
bool create_image_is_hole(struct blkdev *dev, uint64_t off, uint64_t len);

/* -- create_fs.c: both phases of one file system ----------------------------
 */

struct create_fs {
	const struct create_fs_options *opt;
	struct create_fs_options
	    larger; /* opt with its size_most, if need be */
	struct tree *tree;
	struct create_need need;
	struct order first; /* files of the tree that lie first */
	struct create_layout layout;
	struct uzip_written uzip; /* of a uzip: what its clusters became */
	uint64_t written;         /* bytes of output */
};

/*
 * Lay the tree out, as opt says; both stay the caller's and are used until
 * create_fs_release.  Errors said: -ENOSPC, it does not fit opt->size;
 * -EINVAL, a label that cannot be.
 */
MUST_CHECK int create_fs_lay_out(struct create_fs *fs,
    const struct create_fs_options *opt, struct tree *tree);

/*
 * Write the image to out, from byte base on, in opt->format.  Faults of
 * contents are said where they are found, those of out here; but not
 * -EOPNOTSUPP: the image is too large for an out that cannot grow.
 */
MUST_CHECK int create_fs_write(struct create_fs *fs, struct tree_reader *reader,
    struct blkdev *out, uint64_t base);

/* NULL-initialised is fine. */
void create_fs_release(struct create_fs *fs);

#endif
