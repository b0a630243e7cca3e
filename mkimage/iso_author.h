/*
 * Writing a bootable FreeBSD ISO from a tree (formats.md 3; livecds.md 1b):
 * Rock Ridge, El Torito for BIOS and UEFI, a GPT in the system area so that
 * the same file boots from USB.  Paths are plain ones of tree.h.
 */
#ifndef ISO_AUTHOR_H
#define ISO_AUTHOR_H

#include "../imgfmt/blkdev.h"
#include "progress.h"
#include "tree.h"

struct iso_author {
	const struct tree *tree;
	const char *label;      /* volume id, at most 32 bytes, as given */
	const char *volume_set; /* NULL: none */
	const char *publisher;  /* NULL: none */
	const char *cdboot;     /* the BIOS boot image; NULL: none */
	const char *loader_efi; /* the EFI loader; NULL: no UEFI entry */
	/* Boot code of the MBR and of the freebsd-boot partition; both given:
	 * boots from USB by BIOS too. */
	const char *pmbr, *isoboot;
	/* The file that shall lie last on the medium, for its length will
	 * change; or NULL. */
	const char *last;
	const char *const
	    *order; /* files that shall lie first, in this order */
	size_t norder;
	time_t now; /* of the volume */
};

/*
 * Write the ISO to out, an empty resizable device.  The same tree and the same
 * *how give the same bytes.  reader is one of how->tree; the caller finishes
 * it.  bar is started and stopped.  The publisher is written in capitals
 * (ECMA-119; so do FreeBSD's releases), the other texts as they are.  What Rock
 * Ridge has no place for, flags and extended attributes, is warned of.
 * Errors are said, in one line, but for -EINTR: interrupted.  -EINVAL: *how
 * names what is not there or cannot boot, or has texts that ISO 9660 cannot
 * hold; -EFBIG: a file of 4 GiB or more (trap 73); others of reading, writing.
 */
MUST_CHECK int iso_author_write(const struct iso_author *how,
    struct tree_reader *reader, struct progress *bar, struct blkdev *out);

#endif
