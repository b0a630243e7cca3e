/*
 * Bootable ISOs of a tree, in the three layouts of the recipe "Playing with
 * LiveCDs" (formats.md 3.10):
 *
 *	plain    the tree itself on the ISO
 *	uzip     boot files, rescue/ and newroot.rc on the ISO, and the tree as
 *	         /R.ufs.uzip, mounted read-only at run time
 *	memroot  boot files on the ISO, a small file system of rescue/ and
 *	         baseroot.rc that the loader puts into memory, and the tree as
 *	         /data/base.ufs.uzip, at run time below a writable layer
 */
#ifndef LAYOUT_H
#define LAYOUT_H

#include "create_fs.h"
#include "tree.h"

enum layout_kind { LAYOUT_PLAIN, LAYOUT_UZIP, LAYOUT_MEMROOT };

/* Where a layout has its image of the tree; NULL: it has none. */
const char *layout_image_path(enum layout_kind kind);

/* The layout called name: plain, uzip, memroot.  -EINVAL. */
MUST_CHECK int layout_of_name(const char *name, enum layout_kind *out);

struct layout_options {
	enum layout_kind kind;
	const char *out;        /* for messages */
	const char *label;      /* volume id, at most 32 bytes */
	const char *volume_set; /* or NULL */
	const char *publisher;  /* or NULL */
	bool no_tweak;    /* neither fstab nor rc.conf nor loader.conf change */
	bool trim;        /* leave out what a CD boot does not use (trim.h) */
	bool gzip_kernel; /* boot/kernel/kernel becomes kernel.gz */
	const char *archive; /* name of a tar of the tree on the ISO; NULL */
	/* A source of its own for the archive, or NULL: the whole tree. */
	const char *archive_source;
	/* More files for the ISO of a layout with an image, beside it; or
	 * NULL. */
	const struct tree *beside;
	/* Of the image of the tree; name and format are ours. */
	struct create_fs_options fs;
};

/* What an ISO consists of, in bytes; 0 where there is none. */
struct layout_sizes {
	uint64_t files;   /* of the tree, each once */
	uint64_t tree;    /* their contents */
	uint64_t raw;     /* the image of the tree before compression */
	uint64_t image;   /* and after it */
	uint64_t memroot; /* the memory root, compressed */
	uint64_t archive;
	uint64_t iso;
	uint64_t as[3]; /* the ISO in each layout; but for this one, about */
};

/*
 * Write the ISO of t to out, an empty resizable device; t is changed on the
 * way.  What is changed in fstab, rc.conf and loader.conf is said.  Errors are
 * said: -EINVAL, a tree that cannot boot so, or a bad label; -EFBIG, an image
 * of 4 GiB or more (trap 73); others of reading and writing.
 */
MUST_CHECK int layout_write(struct tree *t, const struct layout_options *opt,
    struct blkdev *out, struct layout_sizes *sizes);

/* Say what the ISO consists of, and what the other layouts would give. */
void layout_tell_sizes(enum layout_kind kind, const struct layout_sizes *sizes);

/* A label of an ISO: -EINVAL, said, of one that cannot be. */
MUST_CHECK int layout_check_label(const char *label);

#endif
