/*
 * Contents of files for libisofs, private to iso_author_image.c and
 * iso_author_stream.c.  libisofs fills with zeroes what it cannot read; so the
 * first error is kept, and the image is to be given up.
 */
#ifndef ISO_AUTHOR_STREAM_H
#define ISO_AUTHOR_STREAM_H

#include "iso_author_impl.h"

#define LIBISOFS_WITHOUT_LIBBURN /* wants struct burn_source declared */
#include <libisofs/libisofs.h>
#include <stdatomic.h>

struct author_contents {
	struct tree_reader *reader; /* used by libisofs's thread */
	atomic_int rc;              /* the first error, said unless -ENOMEM */
	/* What was read last: len bytes at off of a file. */
	const struct author_file *of;
	uint64_t off;
	size_t len;
	uint8_t buf[64 << 10];
};

/*
 * The stream of a file, one for all its names, with a reference for the
 * caller.  Borrows both.  libisofs's results: negative is an error.
 */
MUST_CHECK int author_stream_get(struct author_contents *contents,
    struct author_file *file, IsoStream **out);

/* Drop our own references. */
void author_streams_release(const struct author *a);

#endif
