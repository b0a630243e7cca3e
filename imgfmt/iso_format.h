/*
 * ISO 9660, Rock Ridge and El Torito as they lie on the medium (formats.md
 * 3.1; ECMA-119, SUSP 1.12, RRIP 1.12).  The numbers at the left are byte
 * offsets.  Private to iso_*.c.
 */
#ifndef ISO_FORMAT_H
#define ISO_FORMAT_H

#include <assert.h>
#include <stddef.h>

#include "bytes.h"

enum {
	ISO_SYSTEM_SECTORS = 16, /* the system area; descriptors follow */
	ISO_DESCRIPTORS_MAX = 64,
	ISO_CATALOG_ENTRIES = 64, /* 32-byte entries in a sector */
};

/* Descriptor types. */
enum {
	ISO_DESC_BOOT = 0,
	ISO_DESC_PRIMARY = 1,
	ISO_DESC_SUPPLEMENTARY = 2,
	ISO_DESC_PARTITION = 3,
	ISO_DESC_END = 255,
};

/* Directory record flags. */
enum {
	ISO_FLAG_HIDDEN = 0x01,
	ISO_FLAG_DIRECTORY = 0x02,
	ISO_FLAG_ASSOCIATED = 0x04,
	ISO_FLAG_MORE = 0x80, /* not the last extent of its file */
};

/* A number in both byte orders. */
struct iso_both16 {
	le16 le;
	be16 be;
};
struct iso_both32 {
	le32 le;
	be32 be;
};

struct iso_record_disk {
	/*  0 */ uint8_t len;
	/*  1 */ uint8_t xattr_len; /* sectors before the data */
	/*  2 */ struct iso_both32 extent;
	/* 10 */ struct iso_both32 size;
	/* 18 */ uint8_t date[7];
	/* 25 */ uint8_t flags;
	/* 26 */ uint8_t unit, gap; /* interleaving */
	/* 28 */ struct iso_both16 volume;
	/* 32 */ uint8_t name_len;
	/* 33: the name, a pad byte to an even offset, the system use area */
};
static_assert(sizeof(struct iso_record_disk) == 33, "directory record");

/* Primary, supplementary and enhanced volume descriptors. */
struct iso_volume_disk {
	/*   0 */ uint8_t type;
	/*   1 */ uint8_t id[5]; /* CD001 */
	/*   6 */ uint8_t version;
	/*   7 */ uint8_t flags;
	/*   8 */ uint8_t system[32];
	/*  40 */ uint8_t label[32];
	/*  72 */ uint8_t unused1[8];
	/*  80 */ struct iso_both32 size; /* logical blocks */
	/*  88 */ uint8_t escapes[32];
	/* 120 */ struct iso_both16 set_size, sequence, block_size;
	/* 132 */ struct iso_both32 path_size;
	/* 140 */ le32 path_le, path_le_copy;
	/* 148 */ be32 path_be, path_be_copy;
	/* 156 */ struct iso_record_disk root;
	/* 189 */ uint8_t root_name;
	/* 190 */ uint8_t volume_set[128];
	/* 318 */ uint8_t publisher[128];
	/* 446 */ uint8_t rest[1602];
};
static_assert(offsetof(struct iso_volume_disk, root) == 156, "root record");
static_assert(sizeof(struct iso_volume_disk) == 2048, "volume descriptor");

/* The El Torito boot record (type 0). */
struct iso_bootrec_disk {
	/*  0 */ uint8_t type;
	/*  1 */ uint8_t id[5];
	/*  6 */ uint8_t version;
	/*  7 */ uint8_t system[32]; /* EL TORITO SPECIFICATION */
	/* 39 */ uint8_t unused[32];
	/* 71 */ le32 catalog; /* sector */
};
static_assert(
    offsetof(struct iso_bootrec_disk, catalog) == 0x47, "boot record");

/* A volume partition descriptor (type 3), as far as it matters. */
struct iso_partdesc_disk {
	/*  0 */ uint8_t type;
	/*  1 */ uint8_t id[5];
	/*  6 */ uint8_t version, unused;
	/*  8 */ uint8_t system[32], label[32];
	/* 72 */ struct iso_both32 start, size;
};
static_assert(sizeof(struct iso_partdesc_disk) == 88, "partition descriptor");

struct iso_pathrec_disk {
	/* 0 */ uint8_t name_len;
	/* 1 */ uint8_t xattr_len;
	/* 2 */ raw32 extent; /* L tables little-endian, M tables big-endian */
	/* 6 */ raw16 parent;
	/* 8: the name, padded to an even length */
};
static_assert(sizeof(struct iso_pathrec_disk) == 8, "path table record");

/* A system use entry begins like this. */
struct iso_susp_disk {
	/* 0 */ uint8_t sig[2];
	/* 2 */ uint8_t len;
	/* 3 */ uint8_t version;
};

struct iso_susp_ce_disk {
	/*  0 */ struct iso_susp_disk head;
	/*  4 */ struct iso_both32 block, offset, len;
};
static_assert(sizeof(struct iso_susp_ce_disk) == 28, "CE");

/* CL and PL. */
struct iso_susp_link_disk {
	/* 0 */ struct iso_susp_disk head;
	/* 4 */ struct iso_both32 block;
};
static_assert(sizeof(struct iso_susp_link_disk) == 12, "CL, PL");

struct iso_susp_px_disk {
	/*  0 */ struct iso_susp_disk head;
	/*  4 */ struct iso_both32 mode, nlink, uid, gid;
	/* 36: RRIP 1.12 adds a serial number */
};
static_assert(sizeof(struct iso_susp_px_disk) == 36, "PX");

struct iso_susp_pn_disk {
	/*  0 */ struct iso_susp_disk head;
	/*  4 */ struct iso_both32 high, low;
};
static_assert(sizeof(struct iso_susp_pn_disk) == 20, "PN");

enum {
	ISO_NM_CONTINUE = 0x01,
	ISO_NM_CURRENT = 0x02,
	ISO_NM_PARENT = 0x04,
	ISO_SL_CONTINUE = 0x01, /* of the entry and of a component */
	ISO_SL_CURRENT = 0x02,
	ISO_SL_PARENT = 0x04,
	ISO_SL_ROOT = 0x08,
	ISO_SL_VOLROOT = 0x10,
	ISO_SL_HOST = 0x20,
	ISO_TF_CREATION = 0x01,
	ISO_TF_MODIFY = 0x02,
	ISO_TF_LONG = 0x80,
};

/* El Torito: an entry for a boot image. */
struct iso_boot_disk {
	/*  0 */ uint8_t indicator; /* 0x88 bootable, 0 not */
	/*  1 */ uint8_t media;
	/*  2 */ le16 segment;
	/*  4 */ uint8_t system, unused;
	/*  6 */ le16 sectors; /* of 512 bytes: trap 69 */
	/*  8 */ le32 start;   /* sector of 2048 bytes */
	/* 12 */ uint8_t selection[20];
};
static_assert(sizeof(struct iso_boot_disk) == 32, "boot entry");

struct iso_bootcheck_disk {
	/*  0 */ uint8_t header, platform;
	/*  2 */ uint8_t unused[2], id[24];
	/* 28 */ le16 checksum;
	/* 30 */ uint8_t key[2]; /* 55 aa */
};
static_assert(sizeof(struct iso_bootcheck_disk) == 32, "validation entry");

struct iso_bootsect_disk {
	/*  0 */ uint8_t header; /* 0x90: more follow, 0x91: last */
	/*  1 */ uint8_t platform;
	/*  2 */ le16 entries;
	/*  4 */ uint8_t id[28];
};
static_assert(sizeof(struct iso_bootsect_disk) == 32, "section header");

enum {
	ISO_BOOT_BOOTABLE = 0x88,
	ISO_BOOT_SECTION = 0x90,
	ISO_BOOT_LAST = 0x91,
	ISO_BOOT_EXTENSION = 0x44,
	ISO_BOOT_MEDIA = 0x0f, /* of the media byte */
};

/*
 * What "-boot-info-table" writes into a boot image at byte 8 (isolinux, GRUB):
 * where it lies and a sum of the little-endian words from byte 64 on.
 */
struct iso_bootinfo_disk {
	/*  0 */ le32 volume; /* sector of the primary descriptor */
	/*  4 */ le32 start;  /* sector of the boot image */
	/*  8 */ le32 len;
	/* 12 */ le32 checksum;
};
enum {
	ISO_BOOTINFO_AT = 8,
	ISO_BOOTINFO_SUMMED = 64,
	/* GRUB: where in the image its own address lies, and the bias */
	ISO_GRUB_AT = 2548,
	ISO_GRUB_BIAS = 5,
	/* MBR code of isohybrid and of GRUB: the boot image's address */
	ISO_MBR_BOOT_AT = 0x1b0,
	ISO_MBR_GRUB_BIAS = 4,
};

#endif
