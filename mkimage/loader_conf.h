/*
 * What FreeBSD's loader is told by the loader.conf files of a tree
 * (loader.conf(5)): boot/defaults/loader.conf, and the files and directories
 * that loader_conf_files, loader_conf_dirs and local_loader_conf_files name,
 * or where these are not set, those that they name by default.
 */
#ifndef LOADER_CONF_H
#define LOADER_CONF_H

#include "tree.h"

struct loader_conf {
	struct loader_setting {
		char *key, *value;
	} * settings; /* each key once, with its last value */
	size_t n, room;
	char **read; /* paths of the files that were looked for */
	size_t nread;
};

/*
 * Read all of it; files that are not there do not count, lines that the loader
 * would not understand neither.  Errors said.  *out wants loader_conf_release
 * in any case.
 */
MUST_CHECK int loader_conf_read(const struct tree *t, struct loader_conf *out);
void loader_conf_release(struct loader_conf *conf);

/* The value of key; NULL: it is not set. */
const char *loader_conf_get(const struct loader_conf *conf, const char *key);

/*
 * What setting i asks the loader to load, if it is KEY_load="YES": the value of
 * KEY_name, or else KEY, *len bytes of it, and in *type the value of KEY_type,
 * NULL for a kernel module.  NULL: it asks for nothing.
 */
const char *loader_conf_load(
    const struct loader_conf *conf, size_t i, size_t *len, const char **type);

/*
 * The kernel that the loader looks for first, boot/kernel/kernel unless
 * "kernel" or "bootfile" say otherwise, as a path in the tree, to be freed.
 */
MUST_CHECK int loader_conf_kernel(const struct loader_conf *conf, char **path);

#endif
