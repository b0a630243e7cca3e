/*
 * Private to iso_plan.c, iso_why.c, iso_area.c and iso_patch.c: a plan.
 *
 * The old ISO, as a plan sees it:
 *
 *	0      start        end          content_end     tail    size
 *	| before | the image | what follows | padding | what stays at the end |
 *
 * and the new one, if what follows may move:
 *
 *	| before | what follows | the new image | padding | the end |
 *
 * or, if it may not, with the image twice: the old bytes where they were, the
 * new ones at content_end.  If nothing follows both are the same.
 *
 * Four invariants:
 * 1. All that an ISO's directory trees refer to lies before content_end.
 * 2. Padding and tail keep their length; the tail is what belongs to the end
 *    of the device (backup GPT) or lies outside the partition or the volume
 *    that must contain the image (appended partitions).
 * 3. Every moved byte goes a multiple of 2048.
 * 4. Numbers are computed from the old ISO, never from the new one, so it
 *    does not matter how often one is written.
 */
#ifndef ISO_PLAN_H
#define ISO_PLAN_H

#include "gpt.h"
#include "iso_impl.h"

enum iso_ref_form {
	ISO_REF_BOTH, /* sector, both byte orders */
	ISO_REF_LE,   /* sector */
	ISO_REF_BE,
	ISO_REF_LE_512,   /* in units of 512, 32 bits */
	ISO_REF_LE64_512, /* 64 bits */
	ISO_REF_IMAGE,    /* a directory record of the image */
};

/* A number on the medium that is an address. */
struct iso_ref {
	uint64_t at;   /* where the number is */
	uint64_t addr; /* what it points at */
	uint64_t base; /* what it counts from */
	enum iso_ref_form form;
	uint8_t bias; /* added to the number */
};

/* A partition table entry. */
struct iso_slice {
	uint64_t start, end; /* bytes */
	bool gap;            /* xorriso's filler between others */
	bool own;            /* shows exactly the image */
};

enum { ISO_SLICES_MAX = MBR_ENTRIES + GPT_ENTRIES_MAX };

struct iso_area {
	bool has_mbr;
	bool damaged; /* there is a GPT that contradicts itself */
	struct mbr_entry_disk mbr[MBR_ENTRIES];
	struct gpt gpt, backup; /* nentries 0: none */
	unsigned n;
	struct iso_slice *slices;
};

/* A boot information table with a checksum that covers an address. */
struct iso_bootsum {
	uint64_t off; /* of the boot image */
	uint32_t len;
};

/* A boot image that an edit of the tree has put elsewhere; bytes. */
struct iso_move {
	uint64_t from, to;
	uint64_t old_len, len;
};

struct iso_plan {
	struct iso *iso;
	struct iso_plan_info info;
	struct iso_area area;
	uint64_t start, end; /* of the image's sectors */
	uint64_t old_len;    /* its bytes */
	uint64_t tree_end;   /* of all that trees refer to */
	uint64_t content_end, tail, size;
	bool appended;
	bool appends; /* there is no image: start and end are the root's */
	bool several_sessions;
	bool shared;    /* something else refers to the image's bytes */
	uint64_t grown; /* set by finish: size of the new sectors */
	unsigned ntrees;
	struct iso_tree trees[2 * ISO_TREES_MAX]; /* with copies */
	unsigned nsums;
	struct iso_bootsum sums[ISO_BOOTS_MAX];
	unsigned nimages; /* records of the image */
	size_t nrefs, room;
	struct iso_ref *refs;
	unsigned nmoves;
	struct iso_move moves[ISO_BOOTS_MAX];
};

/*
 * A plan that replaces nothing but makes room for new bytes at content_end,
 * which is info.image_off; iso_plan_finish wants their number.
 */
MUST_CHECK int iso_plan_make_append(struct iso *iso, struct iso_plan **out);

static inline uint64_t
iso_round_up(uint64_t n)
{
	return (n + ISO_SECTOR - 1) / ISO_SECTOR * ISO_SECTOR;
}

/* What forbids moving, or NULL; -errno in *rc. */
const char *iso_why_not(const struct iso_plan *plan, int *rc);

/* Warn of checksums inside the ISO, which are not kept up to date. */
MUST_CHECK int iso_warn_of_sums(const struct iso_plan *plan);

/* Read the partition tables; their slices that are the image are marked. */
MUST_CHECK int iso_area_open(struct iso_plan *plan);
void iso_area_close(struct iso_area *area);

/* What in the partition tables forbids moving, or NULL. */
const char *iso_area_why_not(const struct iso_plan *plan);

/* The lowest place where something begins that must stay behind the image. */
uint64_t iso_area_tail(const struct iso_plan *plan, bool movable);

/* The end of partitions that follow the image and begin before the tail. */
uint64_t iso_area_content_end(const struct iso_plan *plan);

/* How many bytes of partitions are in the tail. */
uint64_t iso_area_tail_bytes(const struct iso_plan *plan);

/* Write what the tables must say now to out. */
MUST_CHECK int iso_area_patch(const struct iso_plan *plan, struct blkdev *out);

/* Note the addresses in boot images and boot code. */
MUST_CHECK int iso_boot_refs(struct iso_plan *plan);
MUST_CHECK int iso_boot_patch(const struct iso_plan *plan, struct blkdev *out);

/* Note that what boots from byte from on lies elsewhere, if anything does. */
void iso_boot_moved(struct iso_plan *plan, const struct iso_move *move);
/* Make El Torito and boot code follow; after iso_plan_finish. */
MUST_CHECK int iso_boot_follow(const struct iso_plan *plan, struct blkdev *out);

/* Note a number; those that cannot change are dropped.  -ENOMEM. */
MUST_CHECK int iso_plan_ref(struct iso_plan *plan, const struct iso_ref *ref);

/* Where what was at byte p begins in the new ISO. */
uint64_t iso_plan_map(const struct iso_plan *plan, uint64_t p);

/*
 * Where what ended at byte p ends; what ended where the content does is to end
 * behind the new image.
 */
uint64_t iso_plan_map_end(const struct iso_plan *plan, uint64_t p);

/* By how much the end of the device has moved. */
static inline uint64_t
iso_plan_delta(const struct iso_plan *plan)
{
	/* Modulo 2^64: it may be negative, sums with it are right. */
	return plan->grown - (plan->appended ? 0 : plan->end - plan->start);
}

#endif
