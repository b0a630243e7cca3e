/*
 * GPT, MBR and BSD labels as they lie on disks (UEFI 2.10 chapter 5;
 * sys/disklabel.h of FreeBSD).  Private to part*.c, gpt.c and iso_*.c.
 */
#ifndef GPT_FORMAT_H
#define GPT_FORMAT_H

#include <assert.h>
#include <stddef.h>

#include "bytes.h"

struct gpt_header_disk {
	/*  0 */ uint8_t sig[8]; /* EFI PART */
	/*  8 */ le32 revision;
	/* 12 */ le32 size;
	/* 16 */ le32 crc; /* of size bytes, this field as zero */
	/* 20 */ le32 reserved;
	/* 24 */ le64 self, other; /* LBA of this header and of the other */
	/* 40 */ le64 first_usable, last_usable;
	/* 56 */ uint8_t guid[16];
	/* 72 */ le64 entries;
	/* 80 */ le32 nentries, entry_size, entries_crc;
};
static_assert(sizeof(struct gpt_header_disk) == 92, "GPT header");

struct gpt_entry_disk {
	/*  0 */ uint8_t type[16], guid[16];
	/* 32 */ le64 first, last; /* inclusive */
	/* 48 */ le64 flags;
	/* 56 */ le16 name[36];
};
static_assert(sizeof(struct gpt_entry_disk) == 128, "GPT entry");

struct mbr_entry_disk {
	/*  0 */ uint8_t status;
	/*  1 */ uint8_t first_chs[3];
	/*  4 */ uint8_t type;
	/*  5 */ uint8_t last_chs[3];
	/*  8 */ le32 start, sectors;
};
static_assert(sizeof(struct mbr_entry_disk) == 16, "MBR entry");

enum {
	MBR_SECTOR = 512,
	MBR_ENTRIES_AT = 446,
	MBR_ENTRIES = 4,
	MBR_SIG_AT = 510, /* 55 aa */
	MBR_PROTECTIVE = 0xee,
	MBR_FREEBSD = 0xa5,
};

struct bsd_partition_disk {
	/*  0 */ le32 size, offset; /* sectors */
	/*  8 */ le32 fsize;
	/* 12 */ uint8_t fstype, frag;
	/* 14 */ le16 cpg;
};
static_assert(sizeof(struct bsd_partition_disk) == 16, "BSD partition");

struct bsd_label_disk {
	/*   0 */ le32 magic;
	/*   4 */ le16 type, subtype;
	/*   8 */ uint8_t typename[16], packname[16];
	/*  40 */ le32 sector_size;
	/*  44 */ uint8_t geometry[88];
	/* 132 */ le32 magic2;
	/* 136 */ le16 checksum; /* makes the XOR of all 16-bit words 0 */
	/* 138 */ le16 npartitions;
	/* 140 */ le32 boot_size, super_size;
	/* 148: the partitions */
};
static_assert(sizeof(struct bsd_label_disk) == 148, "BSD label");
static_assert(offsetof(struct bsd_label_disk, magic2) == 132, "BSD label");

#define BSD_MAGIC 0x82564557u
enum {
	BSD_LABEL_AT = 512,
	BSD_PARTITIONS_MAX = 20,
	BSD_RAW_PART = 2, /* c: the whole slice */
};

#endif
