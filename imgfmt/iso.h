/*
 * ISO 9660 images: finding what lies where, and putting a changed image file
 * back without rebuilding (formats.md 3, DESIGN.md 3 "iso").  Offsets and
 * lengths are bytes unless a name says sector (2048 bytes).
 */
#ifndef ISO_H
#define ISO_H

#include <time.h>

#include "blkdev.h"

enum { ISO_SECTOR = 2048, ISO_NAME_MAX = 255 };

struct iso;

/* A boot entry of the El Torito catalogue. */
struct iso_boot {
	uint8_t platform; /* 0 x86 BIOS, 0xef EFI */
	bool bootable;
	uint8_t media; /* 0: no emulation */
	uint64_t off;
	uint64_t len; /* as the entry says, 512-byte sectors times 512 */
};

struct iso_info {
	char label[33], volume_set[129], publisher[129]; /* trimmed */
	uint64_t size; /* volume size, as the descriptor says */
	bool rock_ridge, joliet;
	bool gpt, gpt_backup, mbr; /* of the system area; both: hybrid */
	unsigned nboot;
	struct iso_boot boot[16];
};

struct iso_node {
	uint32_t mode; /* with file type; from Rock Ridge or made up */
	uint32_t uid, gid, nlink;
	uint32_t rdev_major, rdev_minor; /* of a device node */
	uint64_t off, size; /* of the data; a directory's own too */
	struct timespec mtime;
	bool multi_extent; /* not in one piece: refused by iso_file_open */
	char name[ISO_NAME_MAX + 1];
	/* private to iso_*.c: where the record lies */
	uint64_t record_off;
};

/* 1 when dev has a primary volume descriptor, 0 when not, -errno. */
MUST_CHECK int iso_probe(struct blkdev *dev);

/*
 * Open the ISO on dev, which stays the caller's and must outlive it.  Of a
 * multi-session image the last session's tree counts.  -ECORRUPT, said.
 */
MUST_CHECK int iso_open(struct blkdev *dev, struct iso **out);
void iso_close(struct iso *iso);

const struct iso_info *iso_info(const struct iso *iso);

/* The root directory. */
MUST_CHECK int iso_root(struct iso *iso, struct iso_node *out);

/*
 * The node whose record_off is record, which must not be the root's.
 * -EINVAL: there is none.  -ECORRUPT, said.
 */
MUST_CHECK int iso_node_at(
    struct iso *iso, uint64_t record, struct iso_node *out);

/*
 * Call each for the entries of directory dir, not "." and "..", in order.
 * Rock Ridge names, else Joliet's, else ISO names as FreeBSD shows them
 * (formats.md 3.7).  A non-zero answer stops and is returned.
 */
MUST_CHECK int iso_list(struct iso *iso, const struct iso_node *dir,
    int (*each)(void *arg, const struct iso_node *node), void *arg);

/*
 * Whether the directories form a tree.  Those of a hostile ISO may hold
 * themselves or be in many places: whoever is going to recurse by iso_list
 * must ask this first.  Reads all directories.  -ECORRUPT, said.
 */
MUST_CHECK int iso_check_tree(struct iso *iso);

/*
 * Find path ('/' between names, leading one optional); follows no symbolic
 * link.  Names that differ only in case match where there is no exact one and
 * the ISO has neither Rock Ridge nor Joliet.  -ENOENT, -ENOTDIR, -ECORRUPT.
 */
MUST_CHECK int iso_lookup(
    struct iso *iso, const char *path, struct iso_node *out);

enum { ISO_LOADER_MOST = 255 * ISO_SECTOR }; /* that cdboot can load */

/*
 * Whether FreeBSD's cdboot, which compares the bare names of ISO 9660 (traps
 * 67, 68), finds its loader: 1, with its length; 0; -ECORRUPT, said.
 */
MUST_CHECK int iso_cdboot_finds_loader(const struct iso *iso, uint64_t *len);

/* The target of a symbolic link; -EINVAL for others, -ENAMETOOLONG. */
MUST_CHECK int iso_readlink(
    struct iso *iso, const struct iso_node *node, char *buf, size_t len);

/*
 * A file's bytes as a device; it shares dev (blkdev_ref).  -EISDIR; -ENOTSUP:
 * multi-extent, which FreeBSD cannot read either (trap 73).
 */
MUST_CHECK int iso_file_open(
    struct iso *iso, const struct iso_node *node, struct blkdev **out);

/*
 * Patching.  A plan says where the bytes of a new ISO come from when one file
 * (the image) gets a new length that is not known yet:
 *   - nothing but padding follows the image: nothing moves;
 *   - else what follows moves down over the old image, and the image goes
 *     last, so that later commits move nothing;
 *   - else, where something that follows cannot be fixed (HFS+, Apple or Sun
 *     labels ...), the image goes to the end and its old place stays unused.
 */
struct iso_plan;

struct iso_plan_info {
	uint64_t image_off;  /* in the new ISO */
	uint64_t moved;      /* bytes of other files that get a new place */
	uint64_t wasted;     /* bytes that stay unused because of why */
	const char *why_not; /* NULL, or what forbids moving, in words */
};

/* -ENOTSUP, said: this ISO cannot be patched at all. */
MUST_CHECK int iso_plan_make(
    struct iso *iso, const struct iso_node *image, struct iso_plan **out);
const struct iso_plan_info *iso_plan_info(const struct iso_plan *plan);

/*
 * Write all but the image to out, an empty resizable device, which then ends
 * at image_off.  The caller writes the image there.
 */
MUST_CHECK int iso_plan_copy(struct iso_plan *plan, struct blkdev *out);

/*
 * The image has len bytes: pad, and fix every number that must follow:
 * directory records of all trees, path tables, Rock Ridge CE/CL/PL, El Torito,
 * GPT and MBR with their CRCs, a backup GPT, boot information tables, boot
 * code addresses, volume sizes.
 * -EFBIG, said: 4 GiB or more (trap 73).
 */
MUST_CHECK int iso_plan_finish(
    struct iso_plan *plan, struct blkdev *out, uint64_t len);
void iso_plan_free(struct iso_plan *plan);

/*
 * Check the ISO's structure: descriptors, every directory record and path
 * table entry, El Torito checksum, GPT CRCs and bounds, extents inside the
 * device.  Each fault is one log_error line; their number is the result.
 */
MUST_CHECK int iso_check(struct iso *iso);

#endif
