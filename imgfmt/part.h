/*
 * Partition tables of disk images: GPT, MBR (with logical partitions) and BSD
 * disklabels, also a label inside an MBR slice.  Offsets are bytes.
 */
#ifndef PART_H
#define PART_H

#include "blkdev.h"

enum { PART_MAX = 128 };

struct part {
	char name[16];  /* p1 (GPT), s1 (MBR), s2a or a (BSD label) */
	char scheme[8]; /* "gpt", "mbr", "bsd" */
	char type[48];  /* in words: "freebsd-ufs", "efi", "0xa5" ... */
	char label[80]; /* GPT partition name as UTF-8, else "" */
	uint64_t off, len;
};

struct part_table {
	unsigned n;
	struct part part[PART_MAX];
};

/*
 * Read all partition tables on dev.  0 with table->n == 0: there is none.
 * -ECORRUPT, said: a table that contradicts itself (CRC, bounds).
 */
MUST_CHECK int part_read(struct blkdev *dev, struct part_table *table);

/* The entry of that name or of that GPT label, or NULL. */
const struct part *part_find(const struct part_table *table, const char *name);

#endif
