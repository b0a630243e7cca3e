/* What `relive create` makes an image of, and how. */
#ifndef CREATE_H
#define CREATE_H

#include "../imgfmt/ufs.h"
#include "../imgfmt/uzip.h"

enum create_format { CREATE_BY_NAME, CREATE_UFS, CREATE_UZIP, CREATE_GZ };

struct order;

/* How one file system is made of a tree, and in which form it is written. */
struct create_fs_options {
	const char *name;          /* of the output, for messages */
	enum create_format format; /* not BY_NAME */
	/* Sizes and minfree as they are to be; the time is ours, and where 0
	 * the density. */
	struct ufs_mkfs mkfs;
	uint64_t size;         /* bytes; 0: as large as needed */
	uint64_t free_bytes;   /* room beyond the tree's */
	unsigned free_percent; /* the same, in percent of what the tree takes */
	struct uzip_params uzip;
	int gz_level;              /* 0: the default */
	unsigned jobs;             /* 0: one a processor */
	const struct order *order; /* of files that lie first, or NULL */
};

struct create_options {
	const char *out;
	const char *order; /* a file, or "-", with what fs.order is to be */
	const char *const *sources;
	size_t nsources;
	const char *const *excludes; /* patterns */
	size_t nexcludes;
	const char *const *set_files; /* PATH=FILE */
	size_t nset_files;
	const char *const *set_confs; /* FILE:KEY=VALUE */
	size_t nset_confs;
	/* Of the image; its name is out, a format BY_NAME what out ends in. */
	struct create_fs_options fs;
};

/* Make the image.  Errors are said; then there is no output file. */
MUST_CHECK int create_run(const struct create_options *opt);

/* What the end of a file's name says. */
enum create_format create_format_of(const char *name);

#endif
