/* Private to part*.c. */
#ifndef PART_IMPL_H
#define PART_IMPL_H

#include "gpt_format.h"
#include "part.h"

/* The next free place in the table, or NULL: it is full, the rest is cut. */
struct part *part_add(struct part_table *table);

/*
 * Each appends what it finds: 1 found, 0 there is no such table, -ECORRUPT
 * said.
 */
MUST_CHECK int part_gpt_read(struct blkdev *dev, struct part_table *table);
MUST_CHECK int part_mbr_read(struct blkdev *dev, struct part_table *table);

/*
 * A BSD label in len bytes at off; its partitions are named prefix and a
 * letter.
 */
MUST_CHECK int part_bsd_read(struct blkdev *dev, uint64_t off, uint64_t len,
    const char *prefix, struct part_table *table);

/* Whether the MBR has an entry for a GPT. */
MUST_CHECK int part_mbr_is_protective(struct blkdev *dev);

#endif
