/*
 * Every disk that a power cut may leave of a recorded run: of the writes that
 * no sync covers any may be lost, whatever the order, and the last one torn.
 *
 * At each cut, with k such writes: all subsets that hold the last one, up to
 * k = 8 (those without it belong to the cut before); beyond that all of them,
 * each single loss, and 64 random subsets.  The last write is also torn at
 * the sectors within it, spoilt sector by sector, and lost but for its length;
 * each of the others is spoilt, too.
 * The name of a file about to be replaced may have changed already.
 */
#ifndef CRASH_IMAGES_H
#define CRASH_IMAGES_H

#include "overlay_mem.h"

/* A power cut behind the first n operations, and what it left. */
struct crash_image {
	size_t n;
	uint64_t kept;    /* of the last 64 unsynced writes; bit 0: the first */
	const char *torn; /* what became of the last write, or "" */
	const uint8_t *bytes;
	size_t len;
};

typedef void crash_visitor(void *arg, const struct crash_image *image);

/* Visit what cuts behind operation first and later ones may leave. */
void crash_images(
    const struct memdisk *d, size_t first, crash_visitor *visit, void *arg);

#endif
