/* Reading GPT headers with their entries; private to part*.c and iso_*.c. */
#ifndef GPT_H
#define GPT_H

#include "blkdev.h"
#include "gpt_format.h"

enum { GPT_ENTRIES_MAX = 1024, GPT_ENTRY_SIZE_MAX = 1024 };

struct gpt {
	uint32_t sector; /* 512 or 4096 */
	struct gpt_header_disk head;
	uint32_t nentries, entry_size;
	uint64_t at, entries_at; /* bytes */
	uint8_t *entries;        /* nentries * entry_size bytes */
};

/* CRC-32 as GPT uses it (the one of Ethernet and zip). */
uint32_t gpt_crc32(const void *buf, size_t len);

/*
 * Read the header at byte at of dev, whose sectors have sector bytes.
 * 1: valid, both checksums right; free it with gpt_release.  0: there is
 * none.  -ECORRUPT, unsaid: *fault tells in words what is wrong.
 */
MUST_CHECK int gpt_read(struct blkdev *dev, uint32_t sector, uint64_t at,
    struct gpt *out, const char **fault);
void gpt_release(struct gpt *gpt);

/*
 * Write entries and header where gpt->head says, with right checksums; other
 * bytes of the header's sector stay.
 */
MUST_CHECK int gpt_write(struct blkdev *dev, const struct gpt *gpt);

/* Entry i, a pointer into gpt->entries. */
struct gpt_entry_disk *gpt_entry(const struct gpt *gpt, uint32_t i);

/* Whether an entry is in use. */
bool gpt_entry_used(const struct gpt_entry_disk *entry);

/* The entry's name as UTF-8 into buf, cut to fit. */
void gpt_entry_name(const struct gpt_entry_disk *entry, char *buf, size_t len);

#endif
