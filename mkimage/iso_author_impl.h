/*
 * Private to iso_author*.c: an ISO in the making.  libisofs writes it, all but
 * the system area, which is put over the zeroes that libisofs leaves there.
 */
#ifndef ISO_AUTHOR_IMPL_H
#define ISO_AUTHOR_IMPL_H

#include "iso_author.h"

/* A regular file, whatever number of names it has. */
struct author_file {
	const struct tree_node *node;
	size_t rank; /* its place on the medium: 0 lies first */
	bool ranked;
	void *stream; /* iso_author_stream.c */
};

struct author {
	const struct iso_author *how;
	struct tree_reader *reader;
	/* What *how names, or NULL. */
	const struct tree_node *cdboot, *loader_efi, *pmbr, *isoboot, *last;
	struct author_file *files; /* by address of node */
	size_t nfiles, room;
	uint8_t *fat; /* of the UEFI entry, or NULL */
	size_t fat_size;
	/* The GPT; 0 entries: none.  Code: contents of the files, or NULL. */
	uint32_t gpt_entries;
	uint8_t *pmbr_code, *isoboot_code;
	uint32_t tail_sectors; /* of the ISO, for the backup GPT */
	uint64_t seed;         /* of GUIDs: a hash of the ISO's beginning */
	uint64_t lost_flags, lost_xattrs; /* files with them */
};

/* -- iso_author_files.c -----------------------------------------------------
 */

/*
 * List the tree's regular files in a->files and give them their ranks.  Errors
 * but -ENOMEM said: files and links that cannot be on an ISO, order naming what
 * is not there.
 */
MUST_CHECK int author_list_files(struct author *a);

/* The file of a regular node of the tree. */
struct author_file *author_file_of(
    const struct author *a, const struct tree_node *node);

/* -- iso_author_image.c -----------------------------------------------------
 */

/* Write all but the system area; sets a->seed.  Errors but -ENOMEM said. */
MUST_CHECK int author_write_image(
    struct author *a, struct progress *bar, struct blkdev *out);

/* -- iso_author_hybrid.c ----------------------------------------------------
 */

/* Read small file node whole, to be freed.  Errors but -ENOMEM said. */
MUST_CHECK int author_read_file(
    struct author *a, const struct tree_node *node, uint8_t **out);

/*
 * Find out what GPT there will be and read the boot code.  Errors but -ENOMEM
 * said.
 */
MUST_CHECK int author_plan_hybrid(struct author *a);

/* Write MBR, GPT and the boot code behind it.  Errors of out are not said. */
MUST_CHECK int author_write_hybrid(struct author *a, struct blkdev *out);

#endif
