/*
 * GPT headers with their entries: reading, changing, making.  For part*.c,
 * iso_*.c and whoever makes a hybrid ISO.
 */
#ifndef GPT_H
#define GPT_H

#include "blkdev.h"
#include "gpt_format.h"

enum {
	GPT_ENTRIES_MAX = 1024,
	GPT_ENTRY_SIZE_MAX = 1024,
	GPT_BOOT_CODE = 440, /* bytes; behind them the MBR has fields */
};

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

/*
 * A GPT without partitions for a disk of that many sectors of 512 bytes: its
 * header at sector 1, nentries entries (a multiple of 4) behind it, and as
 * much at the disk's end for the backup.  Free it with gpt_release.
 */
MUST_CHECK int gpt_make(struct gpt *out, uint64_t sectors, uint32_t nentries,
    const uint8_t guid[16]);

/*
 * Write a GPT that gpt_make made, its backup, and the protective MBR with the
 * boot code, GPT_BOOT_CODE bytes or NULL, in front.
 */
MUST_CHECK int gpt_write_disk(
    struct blkdev *dev, const struct gpt *gpt, const void *boot_code);

/* Entry i, a pointer into gpt->entries. */
struct gpt_entry_disk *gpt_entry(const struct gpt *gpt, uint32_t i);

/* Whether an entry is in use. */
bool gpt_entry_used(const struct gpt_entry_disk *entry);

/* The entry's name as UTF-8 into buf, cut to fit. */
void gpt_entry_name(const struct gpt_entry_disk *entry, char *buf, size_t len);

#endif
