/* A small ISO in memory, for tests that damage it. */
#ifndef ISO_MINI_H
#define ISO_MINI_H

#include "../../imgfmt/iso.h"
#include "../../imgfmt/iso_format.h"
#include "check.h"
#include "iso_tools.h"

/*
 * A small ISO in memory, for damaging: descriptors at 16 (primary), 17 (boot),
 * 18 (end); root at 20; catalog at 21; file at 22; continuation area at 23;
 * relocated directory at 24.
 */
enum {
	MINI_SECTORS = 32,
	ROOT = 20,
	CATALOG = 21,
	DATA = 22,
	CE = 23,
	CHILD = 24
};

static inline struct iso_both32
both32(uint32_t n)
{
	return (struct iso_both32){le32_set(n), be32_set(n)};
}

struct mini {
	uint8_t bytes[MINI_SECTORS * ISO_SECTOR];
	size_t root_used;
	struct iso_record_disk *last; /* in the root */
};

static inline uint8_t *
sector_of(struct mini *mini, unsigned n)
{
	return mini->bytes + (size_t)n * ISO_SECTOR;
}

/* Append a record to a directory at *used. */
static inline struct iso_record_disk *
put_record(uint8_t *dir, size_t *used, const char *name, size_t name_len,
    const char *su, size_t su_len)
{
	struct iso_record_disk *rec = (void *)(dir + *used);
	size_t at = sizeof(*rec) + name_len;

	memcpy(dir + *used + sizeof(*rec), name, name_len);
	at += at % 2;
	memcpy(dir + *used + at, su, su_len);
	at += su_len;
	at += at % 2;
	rec->len = (uint8_t)at;
	rec->name_len = (uint8_t)name_len;
	memcpy(rec->date, "\x65\x02\x03\x04\x05\x06", 7);
	*used += at;
	return rec;
}

#define SP_ER \
	"SP\7\1\xbe\xef\0" \
	"ER\x12\1\xa\0\0\1RRIP_1991A"
enum { SP_ER_LEN = 7 + 18 };

static inline struct iso_record_disk *
put_file(struct mini *mini, const char *name, const char *su, size_t su_len)
{
	mini->last = put_record(sector_of(mini, ROOT), &mini->root_used, name,
	    strlen(name), su, su_len);
	mini->last->extent = both32(DATA);
	mini->last->size = both32(100);
	return mini->last;
}

static inline void
put_dots(struct mini *mini, const char *su, size_t su_len)
{
	uint8_t *root = sector_of(mini, ROOT);
	struct iso_record_disk *rec;

	rec = put_record(root, &mini->root_used, "\0", 1, su, su_len);
	rec->extent = both32(ROOT);
	rec->size = both32(ISO_SECTOR);
	rec->flags = ISO_FLAG_DIRECTORY;
	rec = put_record(root, &mini->root_used, "\1", 1, "", 0);
	rec->extent = both32(ROOT);
	rec->size = both32(ISO_SECTOR);
	rec->flags = ISO_FLAG_DIRECTORY;
}

static inline void
mini_init(struct mini *mini, bool rock_ridge)
{
	struct iso_volume_disk *vol = (void *)sector_of(mini, 16);
	struct iso_bootrec_disk *boot = (void *)sector_of(mini, 17);

	memset(mini, 0, sizeof(*mini));
	vol->type = ISO_DESC_PRIMARY;
	memcpy(vol->id, "CD001", 5);
	vol->version = 1;
	memset(vol->label, ' ', sizeof(vol->label));
	memcpy(vol->label, "MINI", 4);
	vol->size = both32(MINI_SECTORS);
	vol->block_size = (struct iso_both16){le16_set(2048), be16_set(2048)};
	vol->root.len = 34;
	vol->root.extent = both32(ROOT);
	vol->root.size = both32(ISO_SECTOR);
	boot->type = ISO_DESC_BOOT;
	memcpy(boot->id, "CD001", 5);
	memcpy(boot->system, "EL TORITO SPECIFICATION", 23);
	boot->catalog = le32_set(CATALOG);
	memcpy(sector_of(mini, 18),
	    "\xff"
	    "CD001",
	    6);
	memcpy(sector_of(mini, CATALOG), "\1", 2);
	memcpy(sector_of(mini, CATALOG) + 28, "\xaa\x55\x55\xaa\x88", 5);
	sector_of(mini, CATALOG)[40] = DATA;
	sector_of(mini, CATALOG)[38] = 4;
	put_dots(mini, SP_ER, rock_ridge ? SP_ER_LEN : 0);
}

/* Put the bytes on a device and open it. */
static inline int
mini_open(const struct mini *mini, struct blkdev **dev, struct iso **iso)
{
	blkdev_close(*dev);
	CHECK_EQ(blkdev_mem_open(sizeof(mini->bytes), dev), 0);
	CHECK_EQ(blkdev_write(*dev, 0, mini->bytes, sizeof(mini->bytes)), 0);
	last_error[0] = '\0';
	log_errors = 0;
	return iso_open(*dev, iso);
}

#endif
