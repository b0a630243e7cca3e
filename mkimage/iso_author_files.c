/* Which files are on the ISO, and in which order their contents lie there. */
#include <inttypes.h>
#include <string.h>

#include "../imgfmt/log.h"
#include "iso_author_impl.h"

/*
 * What fits a directory record as one extent of whole sectors: libisofs makes
 * several of what is larger, which FreeBSD does not read (trap 73).
 */
#define FILE_MAX 0xfffff800ull

static int
by_address(const void *a, const void *b)
{
	uintptr_t x = (uintptr_t)((const struct author_file *)a)->node;
	uintptr_t y = (uintptr_t)((const struct author_file *)b)->node;

	return (x > y) - (x < y);
}

struct author_file *
author_file_of(const struct author *a, const struct tree_node *node)
{
	struct author_file key = {.node = node};

	return bsearch(&key, a->files, a->nfiles, sizeof(key), by_address);
}

/* -- finding them -----------------------------------------------------------
 */

static int
add_file(struct author *a, const struct tree_node *node, const char *name)
{
	if (node->size > FILE_MAX) {
		log_error("'%s' has %" PRIu64 " bytes: FreeBSD reads files on "
			  "an ISO only below 4 GiB",
		    name, node->size);
		return -EFBIG;
	}
	if (a->nfiles == a->room) {
		size_t room = a->room == 0 ? 1024 : a->room * 2;
		struct author_file *more =
		    realloc(a->files, room * sizeof(*more));

		if (more == NULL)
			return -ENOMEM;
		a->files = more;
		a->room = room;
	}
	a->files[a->nfiles++] = (struct author_file){.node = node};
	return 0;
}

static int
check_link(const struct tree_node *node, const char *name)
{
	if (node->target[0] != '\0')
		return 0;
	log_error(
	    "symbolic link '%s' has no target: an ISO cannot hold it", name);
	return -EINVAL;
}

static int
find_files(struct author *a, const struct tree_node *dir)
{
	int rc = 0;

	for (size_t i = 0; i < dir->n && rc == 0; i++) {
		const struct tree_node *node = dir->entries[i].node;

		if (S_ISDIR(node->mode))
			rc = find_files(a, node);
		else if (S_ISREG(node->mode))
			rc = add_file(a, node, dir->entries[i].name);
		else if (S_ISLNK(node->mode))
			rc = check_link(node, dir->entries[i].name);
	}
	return rc;
}

/* Sort for author_file_of, and drop further names of the same file. */
static void
sort_files(struct author *a)
{
	size_t n = 0;

	if (a->nfiles == 0)
		return;
	qsort(a->files, a->nfiles, sizeof(*a->files), by_address);
	for (size_t i = 1; i < a->nfiles; i++)
		if (a->files[i].node != a->files[n].node)
			a->files[++n] = a->files[i];
	a->nfiles = n + 1;
}

/* -- their order ------------------------------------------------------------
 */

/* Rock Ridge has no place for these. */
static void
count_losses(struct author *a, const struct tree_node *node)
{
	a->lost_flags += node->flags != 0;
	a->lost_xattrs += node->xattrs != NULL;
}

static void
rank(struct author *a, const struct tree_node *node, size_t *next)
{
	struct author_file *file = author_file_of(a, node);

	if (file->ranked)
		return;
	file->ranked = true;
	file->rank = (*next)++;
	count_losses(a, node);
}

static int
rank_order(struct author *a, size_t *next)
{
	const struct iso_author *how = a->how;

	for (size_t i = 0; i < how->norder; i++) {
		const struct tree_node *node =
		    tree_find(how->tree, how->order[i]);

		if (node == NULL || !S_ISREG(node->mode)) {
			log_error("'%s' shall lie first on the ISO, but is no "
				  "file of the tree",
			    how->order[i]);
			return -EINVAL;
		}
		if (node != a->last)
			rank(a, node, next);
	}
	return 0;
}

/* A directory's files, then those of the directories in it. */
static void
rank_tree(struct author *a, const struct tree_node *dir, size_t *next)
{
	count_losses(a, dir);
	for (size_t i = 0; i < dir->n; i++) {
		const struct tree_node *node = dir->entries[i].node;

		if (S_ISREG(node->mode) && node != a->last)
			rank(a, node, next);
		else if (!S_ISREG(node->mode) && !S_ISDIR(node->mode))
			count_losses(a, node);
	}
	for (size_t i = 0; i < dir->n; i++)
		if (S_ISDIR(dir->entries[i].node->mode))
			rank_tree(a, dir->entries[i].node, next);
}

int
author_list_files(struct author *a)
{
	size_t next = 0;
	int rc = find_files(a, a->how->tree->root);

	if (rc < 0)
		return rc;
	sort_files(a);
	rc = rank_order(a, &next);
	if (rc < 0)
		return rc;
	rank_tree(a, a->how->tree->root, &next);
	if (a->last != NULL)
		rank(a, a->last, &next);
	return 0;
}
