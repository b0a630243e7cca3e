/*
 * The overlay: a writable device over a read-only base, kept in one
 * append-only file (OVERLAY.md).  blkdev_flush is atomic: after a crash at any
 * point the overlay opens with everything of the last completed flush and
 * nothing of a later one.  It stands under a blkdev_cache; its own unit is
 * OVERLAY_BLOCK, and writes and trims must be whole, aligned blocks (the last
 * block of the device may be short; else -EINVAL).  Reads may be of any bytes.
 *
 * Reads may come from many threads, also while one thread writes, flushes or
 * compacts.  -ECORRUPT from a read: the record's checksum is wrong, said.
 * -ENOSPC from a write or flush: nothing is lost, it may be repeated.  -EIO
 * from a flush: the device is read-only from then on.
 */
#ifndef OVERLAY_H
#define OVERLAY_H

#include "../imgfmt/blkdev.h"

enum {
	OVERLAY_BLOCK = 4096,
	OVERLAY_ID_MAX = 64, /* bytes of base identity */
	OVERLAY_NOTE_MAX = 1 << 20,
};

/* What an overlay belongs to; compared byte for byte. */
struct overlay_id {
	uint8_t bytes[OVERLAY_ID_MAX];
};

/*
 * Make an empty overlay file at path (must not exist: -EEXIST) for a base of
 * that identity and size, durably, with mode 0600.  The caller holds the
 * session's lock.
 */
MUST_CHECK int overlay_create(
    const char *path, const struct overlay_id *id, uint64_t base_size);

enum {
	OVERLAY_READ_ONLY = 1, /* a snapshot of the last completed flush; may
				  be opened while another process writes */
};

/*
 * Open the overlay at path over base.  The caller holds the session's lock
 * unless OVERLAY_READ_ONLY is given.  A tail that no commit record covers is
 * ignored and, for a writer, overwritten later.  On success *out owns base;
 * on error the caller still does.
 * -ENOENT; -ESTALE, said: it belongs to another base; -ECORRUPT, said: the
 * header or a record that a commit covers is damaged.
 */
MUST_CHECK int overlay_open(const char *path, const struct overlay_id *id,
    struct blkdev *base, unsigned flags, struct blkdev **out);

/* The identity stored in the file at path; for naming what it belongs to. */
MUST_CHECK int overlay_read_id(const char *path, struct overlay_id *id);

/*
 * Whether the overlay at path has a completed transaction, whatever it belongs
 * to: 1 or 0; errors as overlay_open's.
 */
MUST_CHECK int overlay_is_edited(const char *path);

/*
 * A note of len bytes that the next flush stores with its transaction,
 * replacing the one before (the engine's list of unlinked open files).
 * -EFBIG: longer than OVERLAY_NOTE_MAX.
 */
MUST_CHECK int overlay_set_note(
    struct blkdev *dev, const void *note, size_t len);

/*
 * The note of the last completed flush; *len 0 when there is none.  The
 * device's, until the next flush.
 */
const void *overlay_note(struct blkdev *dev, size_t *len);

struct overlay_info {
	uint64_t file_bytes;    /* the overlay file */
	uint64_t live_bytes;    /* of it, not superseded */
	uint64_t changed_bytes; /* of the device, written */
	uint64_t trimmed_bytes; /* of the device, trimmed */
	uint64_t extents;       /* in the block map */
	uint64_t transactions;  /* completed, ever */
};
void overlay_info(struct blkdev *dev, struct overlay_info *out);

/*
 * No file larger than most bytes: past it writes answer -ENOSPC.  0: no limit.
 */
void overlay_set_limit(struct blkdev *dev, uint64_t most);

/*
 * Rewrite the file without what is superseded, into a new one that replaces
 * it by rename (readers keep the one they opened).  Flushes first; a flush
 * also does this by itself where there is much more garbage than live data.
 * -ENOSPC and others: the old file goes on; -EROFS: opened for reading only.
 */
MUST_CHECK int overlay_compact(struct blkdev *dev);

/*
 * Leave an index so that the next open need not scan: flushes, compacts when
 * garbage exceeds live data, writes the index.  The device stays open.  Errors
 * are those of the flush: an index that cannot be written is not one.
 */
MUST_CHECK int overlay_finish(struct blkdev *dev);

#endif
