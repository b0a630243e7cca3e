/*
 * FAT12 and FAT16 as they lie on disks (Microsoft's FAT specification 1.03),
 * and what a PE/COFF file begins with.  Private to fat.c.
 */
#ifndef FAT_FORMAT_H
#define FAT_FORMAT_H

#include <assert.h>
#include <stddef.h>

#include "bytes.h"

enum {
	FAT_SECTOR = 512,
	FAT_FIRST_CLUSTER = 2,
	FAT12_CLUSTERS_MAX = 4084, /* more: FAT16 */
	FAT16_CLUSTERS_MAX = 65524,
	FAT_MEDIA = 0xf8,
	FAT_EXTENDED_BOOT = 0x29, /* serial, label and type follow */
	FAT_LAST_LONG = 0x40,
};

enum {
	FAT_ATTR_LABEL = 0x08,
	FAT_ATTR_DIR = 0x10,
	FAT_ATTR_ARCHIVE = 0x20,
	FAT_ATTR_LONG = 0x0f,
};

struct fat_boot_disk {
	/*  0 */ uint8_t jump[3], oem[8];
	/* 11 */ le16 sector_size;
	/* 13 */ uint8_t cluster_sectors;
	/* 14 */ le16 reserved;
	/* 16 */ uint8_t fats;
	/* 17 */ le16 root_entries, sectors;
	/* 21 */ uint8_t media;
	/* 22 */ le16 fat_sectors, track_sectors, heads;
	/* 28 */ le32 hidden, sectors_large;
	/* 36 */ uint8_t drive, unused, signature;
	/* 39 */ le32 serial;
	/* 43 */ uint8_t label[11], type[8];
	/* 62 */ uint8_t code[448], mark[2]; /* 55 aa */
};
static_assert(offsetof(struct fat_boot_disk, code) == 62, "FAT boot sector");
static_assert(sizeof(struct fat_boot_disk) == FAT_SECTOR, "FAT boot sector");

struct fat_entry_disk {
	/*  0 */ uint8_t name[11], attr, nt, tenths;
	/* 14 */ le16 create_time, create_date, access_date, cluster_high;
	/* 22 */ le16 time, date, cluster;
	/* 28 */ le32 size;
};
static_assert(sizeof(struct fat_entry_disk) == 32, "FAT directory entry");

/* A piece of a long name; they lie before the entry, the last one first. */
struct fat_long_disk {
	/*  0 */ uint8_t order;
	/*  1 */ le16 first[5];
	/* 11 */ uint8_t attr, type, sum;
	/* 14 */ le16 middle[6];
	/* 26 */ le16 cluster;
	/* 28 */ le16 last[2];
};
static_assert(sizeof(struct fat_long_disk) == 32, "FAT long name");

enum {
	FAT_LONG_UNITS = 13,
	PE_HEADER_PTR_AT = 0x3c, /* le32: where "PE\0\0" and the machine are */
	PE_HEADER_MIN = 6,
};

#endif
