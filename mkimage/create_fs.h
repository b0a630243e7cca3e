/* How a file system is made of a tree. */
#ifndef CREATE_FS_H
#define CREATE_FS_H

#include "../imgfmt/ufs.h"
#include "../imgfmt/uzip.h"

enum create_format {
	CREATE_BY_NAME, /* what the end of the output's name says */
	CREATE_UFS,
	CREATE_UZIP,
	CREATE_GZ,
	CREATE_ISO, /* a layout (layout.h) with an image in it */
};

struct order;

/* How one file system is made of a tree, and in which form it is written. */
struct create_fs_options {
	const char *name; /* of the output, for messages */
	enum create_format format;
	/* Sizes and minfree as they are to be; the time is ours, and where 0
	 * the density. */
	struct ufs_mkfs mkfs;
	uint64_t size;         /* bytes; 0: as large as needed */
	uint64_t size_most;    /* to take where size, if any, is too small */
	uint64_t free_bytes;   /* room beyond the tree's */
	unsigned free_percent; /* the same, in percent of what the tree takes */
	struct uzip_params uzip;
	/*
	 * Contents that lie on known, a view's device, unchanged in a cluster
	 * of packed, the uzip below it, are not compressed again; both NULL:
	 * all are compressed.  packed is as params say.
	 */
	struct blkdev *known, *packed;
	int gz_level;              /* 0: the default */
	unsigned jobs;             /* 0: one a processor */
	const struct order *order; /* of files that lie first, or NULL */
};

/* A label of a UFS, or NULL: -EINVAL, said, of one that cannot be. */
MUST_CHECK int create_fs_check_label(const char *label);

#endif
