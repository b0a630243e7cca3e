/*
 * A new container around a new image: the ISO or the disk that the image was
 * found in, with other bytes in its place; or the bytes alone, where there is
 * nothing around them.
 */
#ifndef CONTAINER_H
#define CONTAINER_H

#include "../fusefs/image.h"

/* Bytes from which on FreeBSD reads no file of an ISO (trap 73). */
#define CONTAINER_ISO_MOST ((uint64_t)4 << 30)

/* Write the new bytes to out, from base on; *len is their number. */
typedef int container_put(
    void *arg, struct blkdev *out, uint64_t base, uint64_t *len);

/*
 * The layer whose bytes are replaced: the first that is no container, or the
 * file where that is a UFS with the image in one of its files.
 */
unsigned container_target(const struct image *im);

/* Whether the image is nested too deep to be put back. */
bool container_is_too_deep(const struct image *im);

/*
 * Write im's container to out, an empty resizable device, with what put
 * writes in place of the target.  Everything else stays as it is, but for the
 * numbers that must follow.  Not for one that is too deep.  -EFBIG, said: too
 * large for an ISO; -ENOSPC, said: for its partition.  Others of put and of
 * the devices.
 */
MUST_CHECK int container_write(
    const struct image *im, struct blkdev *out, container_put *put, void *arg);

/*
 * Whether a file of that name, beside an image, may describe it: its size, a
 * checksum, a list (livecds.md, finding 9).
 */
bool container_is_side_file(const char *name);

/* Name those on the ISO beside im's image: a new image leaves them stale. */
void container_warn_side_files(const struct image *im);

/* The same for the image that is node on iso. */
MUST_CHECK int container_write_iso(struct iso *iso, const struct iso_node *node,
    struct blkdev *out, container_put *put, void *arg);

#endif
