/*
 * What a run of bytes is.  Most kinds have a magic number in the first bytes;
 * the rest (ISO, UFS, ZFS, FAT, partition tables, GELI) are looked at one by
 * one.  The order matters: a hybrid ISO carries a partition table, a FAT boot
 * sector ends like an MBR, and a partition table may be what is left of an
 * earlier life under a UFS.
 */
#include <string.h>

#include "../imgfmt/bytes.h"
#include "../imgfmt/gz.h"
#include "../imgfmt/ufs.h"
#include "../imgfmt/uzip.h"
#include "image.h"

enum {
	SECTOR = 512,
	HEAD = 4096 + SECTOR, /* GPT headers of 4 KiB sectors are inside */
	BOOT_SIGNATURE_OFF = 510,
	MBR_ENTRIES_OFF = 446,
	ZFS_LABEL = 256 << 10, /* one label, formats.md has no more of it */
	ZFS_NVLIST_OFF = 16 << 10,
	ZFS_UBERBLOCKS_OFF = 128 << 10,
};

struct magic {
	enum image_kind kind;
	uint16_t off;
	uint8_t len;
	const char *bytes;
};

static const struct magic magics[] = {
    {IMAGE_XZ, 0, 6,
	"\xfd"
	"7zXZ\0"},
    {IMAGE_ZSTD, 0, 4, "\x28\xb5\x2f\xfd"},
    {IMAGE_ZIP, 0, 4, "PK\3\4"},
    {IMAGE_QCOW, 0, 4, "QFI\xfb"},
    {IMAGE_VMDK, 0, 4, "KDMV"},
    {IMAGE_VDI, 64, 4, "\x7f\x10\xda\xbe"},
    {IMAGE_LUKS, 0, 6, "LUKS\xba\xbe"},
    {IMAGE_SQUASHFS, 0, 4, "hsqs"},
    {IMAGE_SQUASHFS, 0, 4, "sqsh"},
    {IMAGE_EXT, 1080, 2, "\x53\xef"},
    /* dmu_replay_record: drr_type 0 (begin), length, drr_magic */
    {IMAGE_ZFS_STREAM, 8, 8, "\xac\xcb\xba\xf5\x02\0\0\0"},
    {IMAGE_ZFS_STREAM, 8, 8, "\0\0\0\x02\xf5\xba\xcb\xac"},
};

static bool
starts(const uint8_t *head, size_t off, const char *bytes, size_t len)
{
	return memcmp(head + off, bytes, len) == 0;
}

static enum image_kind
kind_by_magic(const uint8_t *head)
{
	for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++) {
		const struct magic *m = &magics[i];

		if (starts(head, m->off, m->bytes, m->len))
			return m->kind;
	}
	if (starts(head, 0, "BZh", 3) && starts(head, 4, "1AY&SY", 6))
		return IMAGE_BZIP2;
	return IMAGE_UNKNOWN;
}

static uint16_t
head_le16(const uint8_t *head, size_t off)
{
	return (uint16_t)(head[off] | head[off + 1] << 8);
}

static bool
has_boot_signature(const uint8_t *head)
{
	return head_le16(head, BOOT_SIGNATURE_OFF) == 0xaa55;
}

/* A FAT boot sector: its parameter block must make sense. */
static bool
is_fat(const uint8_t *head)
{
	uint16_t sector = head_le16(head, 11);
	uint8_t per_cluster = head[13], fats = head[16];

	return has_boot_signature(head) &&
	    ((head[0] == 0xeb && head[2] == 0x90) || head[0] == 0xe9) &&
	    sector >= SECTOR && sector <= 4096 &&
	    (sector & (sector - 1)) == 0 && per_cluster != 0 &&
	    (per_cluster & (per_cluster - 1)) == 0 && fats >= 1 && fats <= 2 &&
	    head_le16(head, 14) != 0;
}

/* Linux cloop of another generation, or a uzip letter nobody knows. */
static bool
is_foreign_cloop(const uint8_t *head)
{
	return starts(head, 0, "#!/bin/sh\n#", 11) && head[12] >= '0' &&
	    head[12] <= '9' && head[13] == '.' &&
	    memmem(head, 128, "Format", 6) != NULL;
}

static bool
is_mbr(const uint8_t *head)
{
	bool used = false;

	if (!has_boot_signature(head))
		return false;
	for (size_t i = 0; i < 4; i++) {
		const uint8_t *e = head + MBR_ENTRIES_OFF + 16 * i;

		if ((e[0] & 0x7f) != 0)
			return false;
		used = used || (e[4] != 0 && head_le16(e, 12) != 0) ||
		    (e[4] != 0 && head_le16(e, 14) != 0);
	}
	return used;
}

static bool
is_partitioned(const uint8_t *head)
{
	static const char label[] = "\x57\x45\x56\x82"; /* 0x82564557 */

	return starts(head, SECTOR, "EFI PART", 8) ||
	    starts(head, 4096, "EFI PART", 8) ||
	    (starts(head, SECTOR, label, 4) &&
		starts(head, SECTOR + 132, label, 4)) ||
	    is_mbr(head);
}

/*
 * A label of a ZFS pool: the packed list of facts behind 16 KiB (its first
 * pair is named "version"), or an uberblock in the ring behind 128 KiB.
 */
static int
zfs_probe(struct blkdev *dev, const uint8_t *head)
{
	static const uint8_t empty[SECTOR];
	uint8_t list[32];
	scoped(freep) uint8_t *ring = NULL;
	int rc;

	if (dev->size < ZFS_LABEL)
		return 0;
	rc = blkdev_read(dev, ZFS_NVLIST_OFF, list, sizeof(list));
	if (rc < 0)
		return rc;
	if (list[0] == 1 && starts(list, 24, "version", 7))
		return 1;
	if (memcmp(head, empty, sizeof(empty)) != 0)
		return 0;
	ring = malloc(ZFS_LABEL - ZFS_UBERBLOCKS_OFF);
	if (ring == NULL)
		return -ENOMEM;
	rc = blkdev_read(
	    dev, ZFS_UBERBLOCKS_OFF, ring, ZFS_LABEL - ZFS_UBERBLOCKS_OFF);
	if (rc < 0)
		return rc;
	for (size_t off = 0; off < ZFS_LABEL - ZFS_UBERBLOCKS_OFF; off += 1024)
		if (starts(ring, off, "\x0c\xb1\xba\0\0\0\0\0", 8) ||
		    starts(ring, off, "\0\0\0\0\0\xba\xb1\x0c", 8))
			return 1;
	return 0;
}

/* GELI keeps its metadata in the last sector. */
static int
geli_probe(struct blkdev *dev)
{
	uint8_t last[16];
	uint64_t off = dev->size / SECTOR * SECTOR;
	int rc;

	if (off < SECTOR)
		return 0;
	rc = blkdev_read(dev, off - SECTOR, last, sizeof(last));
	return rc < 0 ? rc : starts(last, 0, "GEOM::ELI", 9);
}

/* Programs are by far the most files of a live system; spare them the rest. */
static bool
is_program(const uint8_t *head)
{
	return starts(head, 0,
	    "\x7f"
	    "ELF",
	    4);
}

/* Probes of other modules and of more than the head, most telling first. */
static int
kind_by_probe(struct blkdev *dev, const uint8_t *head)
{
	static const struct {
		enum image_kind kind;
		int (*probe)(struct blkdev *dev);
	} probes[] = {
	    {IMAGE_UZIP, uzip_probe},
	    {IMAGE_GZ, gz_probe},
	    {IMAGE_ISO, iso_probe},
	    {IMAGE_UFS, ufs_probe},
	};
	int rc;

	for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
		rc = probes[i].probe(dev);
		if (rc != 0)
			return rc < 0 ? rc : (int)probes[i].kind;
	}
	rc = zfs_probe(dev, head);
	if (rc != 0)
		return rc < 0 ? rc : IMAGE_ZFS_POOL;
	return IMAGE_UNKNOWN;
}

int
image_identify(struct blkdev *dev)
{
	uint8_t head[HEAD] = {0};
	size_t len = dev->size < HEAD ? (size_t)dev->size : HEAD;
	int rc = blkdev_read(dev, 0, head, len);

	if (rc < 0)
		return rc;
	if (is_program(head))
		return IMAGE_UNKNOWN;
	rc = kind_by_probe(dev, head);
	if (rc != IMAGE_UNKNOWN)
		return rc;
	if (is_foreign_cloop(head))
		return IMAGE_CLOOP;
	if (is_fat(head))
		return IMAGE_FAT;
	if (is_partitioned(head))
		return IMAGE_PARTITIONED;
	rc = (int)kind_by_magic(head);
	if (rc != IMAGE_UNKNOWN)
		return rc;
	rc = geli_probe(dev);
	return rc < 0 ? rc : rc > 0 ? IMAGE_GELI : IMAGE_UNKNOWN;
}

static const struct {
	const char *name, *advice;
} kinds[] = {
    [IMAGE_UNKNOWN] = {"of no kind that relive knows",
	"it takes ISO, uzip and UFS images, disk images and .gz of them"},
    [IMAGE_ISO] = {"an ISO 9660 image", NULL},
    [IMAGE_UZIP] = {"a uzip image", NULL},
    [IMAGE_UFS] = {"a UFS file system", NULL},
    [IMAGE_GZ] = {"a gzip file", NULL},
    [IMAGE_PARTITIONED] = {"a partitioned disk image", NULL},
    [IMAGE_ZFS_POOL] = {"a ZFS pool",
	"'relive mount --view block' shows it as a disk to 'zpool import'"},
    [IMAGE_ZFS_STREAM] = {"a ZFS send stream",
	"relive edits UFS; load it into a pool with 'zfs recv', edit it "
	"there, write it again with 'zfs send'"},
    [IMAGE_CLOOP] = {"a cloop image of a kind that FreeBSD does not read",
	"unpack it with extract_compressed_fs (cloop-utils)"},
    [IMAGE_SQUASHFS] = {"a squashfs image",
	"relive edits UFS; unpack it with unsquashfs, pack it again with "
	"mksquashfs"},
    [IMAGE_EXT] = {"an ext2/3/4 file system",
	"'relive mount --view block' shows it as a disk for the kernel to "
	"mount"},
    [IMAGE_FAT] = {"a FAT file system",
	"'relive mount --view block' shows it as a disk for the kernel to "
	"mount, or for mtools"},
    [IMAGE_GELI] = {"encrypted by GELI",
	"'relive mount --view block' shows it as a disk for geli(8)"},
    [IMAGE_LUKS] = {"encrypted by LUKS",
	"'relive mount --view block' shows it as a disk for cryptsetup"},
    [IMAGE_XZ] = {"an xz file", "unpack it first with 'xz -dk FILE'"},
    [IMAGE_ZSTD] = {"a zstd file", "unpack it first with 'zstd -d FILE'"},
    [IMAGE_BZIP2] = {"a bzip2 file", "unpack it first with 'bzip2 -dk FILE'"},
    [IMAGE_ZIP] = {"a zip archive", "unpack it first with 'unzip FILE'"},
    [IMAGE_QCOW] = {"a qcow virtual disk",
	"convert it first with 'qemu-img convert -O raw FILE disk.img'"},
    [IMAGE_VMDK] = {"a VMDK virtual disk",
	"convert it first with 'qemu-img convert -O raw FILE disk.img'"},
    [IMAGE_VDI] = {"a VirtualBox disk",
	"convert it first with 'qemu-img convert -O raw FILE disk.img'"},
};

const char *
image_kind_name(enum image_kind kind)
{
	return kinds[kind].name;
}

const char *
image_kind_advice(enum image_kind kind)
{
	return kinds[kind].advice;
}

bool
image_kind_is_packed(enum image_kind kind)
{
	static const enum image_kind packed[] = {IMAGE_UZIP, IMAGE_GZ,
	    IMAGE_CLOOP, IMAGE_XZ, IMAGE_ZSTD, IMAGE_BZIP2, IMAGE_ZIP,
	    IMAGE_QCOW, IMAGE_VMDK, IMAGE_VDI};

	for (size_t i = 0; i < sizeof(packed) / sizeof(packed[0]); i++)
		if (kind == packed[i])
			return true;
	return false;
}
