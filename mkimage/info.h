/* The parts of `relive info`, a layer each. */
#ifndef INFO_H
#define INFO_H

#include "report.h"
#include "view.h"

/* A kind's name for machines: "uzip", "zfs-pool" ... */
const char *info_kind_token(enum image_kind kind);

/* What the first bytes of a gzip file are: a kind, or -errno. */
MUST_CHECK int info_gz_holds(struct blkdev *dev);

/* The ISO's volume, its boot entries, and the images in its tree. */
void info_iso(struct report *r, struct iso *iso, const struct image *image,
    const struct image_found *found, int nfound);

/* A partition table and what is in each partition. */
MUST_CHECK int info_partitions(struct report *r, struct blkdev *dev);

/* A uzip: its container is image's layer i.  Its decompressed view: *out. */
MUST_CHECK int info_uzip(struct report *r, struct blkdev *container,
    const char *title, struct blkdev **out);

/* A gzip file, and what its first bytes are. */
MUST_CHECK int info_gz(struct report *r, struct blkdev *dev, const char *title);

/* The file system, and the system in it. */
void info_ufs(struct report *r, struct view *v, const char *title);

/* What a session has changed so far. */
void info_session(struct report *r, const struct session *s);

/*
 * How the system boots: what loader.conf in v's tree tells (livecds.md 1c).
 * Nothing is reported where there is none.
 */
void info_boot(struct report *r, struct view *v);

/*
 * The release of the system in v's tree: from /bin/freebsd-version, the note
 * that FreeBSD's programs carry, the kernel, /etc/os-release.  1, 0: it does
 * not tell.
 */
int info_release(struct view *v, char *buf, size_t len);

/* The release that the kernel in v's tree says it is; 1, 0. */
int info_kernel(struct view *v, char *buf, size_t len);

/* The first len - 1 bytes of the file at path, and a NUL; 0 or -errno. */
MUST_CHECK int info_read_text(
    struct view *v, const char *path, char *buf, size_t len);

#endif
