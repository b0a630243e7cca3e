/* What `relive create` makes an image of, and how. */
#ifndef CREATE_H
#define CREATE_H

#include "layout.h"

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
	/* Of the image; its name is out.  Format ISO: in a layout. */
	struct create_fs_options fs;
	struct layout_options layout; /* its out and fs are ours */
};

/* Make the image.  Errors are said; then there is no output file. */
MUST_CHECK int create_run(const struct create_options *opt);

/* What the end of a file's name says; BY_NAME: nothing. */
enum create_format create_format_named(const char *name);

/* The same for an output of create, which is a UFS where nothing is said. */
enum create_format create_format_of(const char *name);

/* Values of set_files and set_confs: -EINVAL, said, of what makes no sense. */
MUST_CHECK int create_check_set_file(const char *what);
MUST_CHECK int create_check_set_conf(const char *what);

#endif
