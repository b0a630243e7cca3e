/* Private to image*.c: the way down from the host file to the file system. */
#ifndef IMAGE_IMPL_H
#define IMAGE_IMPL_H

#include "image.h"

struct image_walk {
	struct image *image; /* what is found so far */
	const struct image_options *options;
	unsigned flags;
	const char *rest;   /* of the address, not used up yet */
	struct blkdev *dev; /* looked at next; owned */
	uint64_t off;       /* of dev in the host file, or UINT64_MAX */
	char name[1024];    /* of the layer that dev is, "" for none */
	char place[2048];   /* of image_walk_place */
};

/* The address as far as it is used up, for messages. */
const char *image_walk_place(struct image_walk *walk);

/* The walk goes on at dev, which it owns from now on. */
void image_walk_enter(
    struct image_walk *walk, struct blkdev *dev, uint64_t off);

/* The next layer has that name; it goes into the canonical address. */
MUST_CHECK int image_walk_named(struct image_walk *walk, const char *name);

/* The walk is at an ISO: open it, for image->iso. */
MUST_CHECK int image_open_iso(struct image_walk *walk);

/*
 * From an open ISO to the image file that the address names, or the only one.
 * -EINVAL, said: none, or several; -ENOENT, said.
 */
MUST_CHECK int image_enter_iso(struct image_walk *walk);
/* Likewise from a disk to one of its partitions. */
MUST_CHECK int image_enter_partition(struct image_walk *walk);
/* From a UFS to the file in it that the address names. */
MUST_CHECK int image_enter_ufs(struct image_walk *walk);
/* From a gzip file to what it holds, inflated. */
MUST_CHECK int image_enter_gz(struct image_walk *walk);

#endif
