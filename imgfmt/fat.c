/*
 * A FAT image in memory:
 *
 *	boot sector | FAT | FAT | root directory | clusters of one sector
 *
 * Cluster 2 is EFI, cluster 3 EFI/BOOT, and the loader lies behind them.
 */
#include "fat.h"

#include <string.h>

#include "fat_format.h"

enum {
	ISO_SECTORS = 4,    /* FAT sectors in an ISO's */
	TOTAL_LEAST = 4096, /* 2 MiB */
	ROOT_ENTRIES = 512, /* what every firmware knows */
	FAT16_LEAST = 4200, /* clusters: well apart from FAT12's most */
	DIR_CLUSTERS = 2,   /* EFI and BOOT */
	END_OF_FILE = 0xffff,
};

struct layout {
	uint32_t total; /* sectors */
	uint32_t fat_sectors;
	uint32_t clusters; /* that there are */
	bool is_fat16;
};

struct stamp {
	le16 date, time;
};

/* -- the loader -------------------------------------------------------------
 */

const char *
fat_efi_name(const void *loader, size_t len)
{
	static const struct {
		uint16_t machine;
		const char *name;
	} machines[] = {
	    {0x8664, "BOOTX64.EFI"},
	    {0x014c, "BOOTIA32.EFI"},
	    {0xaa64, "BOOTAA64.EFI"},
	    {0x01c2, "BOOTARM.EFI"},
	    {0x01c4, "BOOTARM.EFI"},
	    {0x5064, "BOOTRISCV64.EFI"},
	};
	const uint8_t *bytes = loader;
	uint32_t at;
	le32 ptr;
	le16 machine;

	if (len < PE_HEADER_PTR_AT + sizeof(ptr) || memcmp(bytes, "MZ", 2) != 0)
		return NULL;
	memcpy(&ptr, bytes + PE_HEADER_PTR_AT, sizeof(ptr));
	at = le32_get(ptr);
	if (at > len || len - at < PE_HEADER_MIN ||
	    memcmp(bytes + at, "PE\0", 4) != 0)
		return NULL;
	memcpy(&machine, bytes + at + 4, sizeof(machine));
	for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); i++)
		if (machines[i].machine == le16_get(machine))
			return machines[i].name;
	return NULL;
}

/* -- measures ---------------------------------------------------------------
 */

static uint32_t
root_sectors(void)
{
	return ROOT_ENTRIES * sizeof(struct fat_entry_disk) / FAT_SECTOR;
}

static uint32_t
data_at(const struct layout *l)
{
	return 1 + 2 * l->fat_sectors + root_sectors();
}

/* Sectors of one FAT for that many clusters. */
static uint32_t
fat_sectors(uint32_t clusters, bool is_fat16)
{
	uint32_t entries = clusters + FAT_FIRST_CLUSTER;
	uint32_t bytes = is_fat16 ? entries * 2 : (entries * 3 + 1) / 2;

	return (bytes + FAT_SECTOR - 1) / FAT_SECTOR;
}

/* How a file system for need clusters is cut up. */
static int
measure(uint64_t need, struct layout *l)
{
	/* FAT12 of the least size: its FAT for all sectors leaves the rest */
	*l = (struct layout){.total = TOTAL_LEAST,
	    .fat_sectors = fat_sectors(TOTAL_LEAST, false)};
	l->clusters = l->total - data_at(l);
	if (need <= l->clusters)
		return 0;
	if (need > FAT16_CLUSTERS_MAX)
		return -EFBIG;
	l->is_fat16 = true;
	l->clusters = need < FAT16_LEAST ? FAT16_LEAST : (uint32_t)need;
	l->fat_sectors = fat_sectors(l->clusters + ISO_SECTORS, true);
	l->total = data_at(l) + l->clusters;
	l->total = (l->total + ISO_SECTORS - 1) / ISO_SECTORS * ISO_SECTORS;
	l->clusters = l->total - data_at(l);
	return l->total * (uint64_t)FAT_SECTOR > FAT_BYTES_MAX ? -EFBIG : 0;
}

/* -- pieces -----------------------------------------------------------------
 */

static struct stamp
stamp_of(time_t now)
{
	struct tm tm;

	if (gmtime_r(&now, &tm) == NULL || tm.tm_year < 80)
		tm = (struct tm){.tm_year = 80, .tm_mday = 1};
	else if (tm.tm_year > 80 + 127)
		tm = (struct tm){
		    .tm_year = 80 + 127, .tm_mon = 11, .tm_mday = 31};
	return (struct stamp){le16_set((uint16_t)((tm.tm_year - 80) << 9 |
				  (tm.tm_mon + 1) << 5 | tm.tm_mday)),
	    le16_set(
		(uint16_t)(tm.tm_hour << 11 | tm.tm_min << 5 | tm.tm_sec / 2))};
}

static void
put_boot_sector(const struct layout *l, uint32_t serial, uint8_t *image)
{
	struct fat_boot_disk boot = {
	    .jump = {0xeb, 0x3c, 0x90},
	    .sector_size = le16_set(FAT_SECTOR),
	    .cluster_sectors = 1,
	    .reserved = le16_set(1),
	    .fats = 2,
	    .root_entries = le16_set(ROOT_ENTRIES),
	    .sectors = le16_set((uint16_t)l->total),
	    .media = FAT_MEDIA,
	    .fat_sectors = le16_set((uint16_t)l->fat_sectors),
	    .track_sectors = le16_set(32),
	    .heads = le16_set(2),
	    .drive = 0x80,
	    .signature = FAT_EXTENDED_BOOT,
	    .serial = le32_set(serial),
	    /* int 0x18: let the BIOS try another disk; else halt */
	    .code = {0xcd, 0x18, 0xf4, 0xeb, 0xfd},
	    .mark = {0x55, 0xaa},
	};

	memcpy(boot.oem, "RELIVE  ", sizeof(boot.oem));
	memcpy(boot.label, "EFISYS     ", sizeof(boot.label));
	memcpy(boot.type, l->is_fat16 ? "FAT16   " : "FAT12   ",
	    sizeof(boot.type));
	memcpy(image, &boot, sizeof(boot));
}

/* Set entry n of the FAT at fat. */
static void
put_fat(const struct layout *l, uint8_t *fat, uint32_t n, uint32_t value)
{
	if (l->is_fat16) {
		fat[n * 2] = (uint8_t)value;
		fat[n * 2 + 1] = (uint8_t)(value >> 8);
	} else if (n % 2 == 0) {
		fat[n * 3 / 2] = (uint8_t)value;
		fat[n * 3 / 2 + 1] |= (uint8_t)(value >> 8 & 0x0f);
	} else {
		fat[n * 3 / 2] |= (uint8_t)((value & 0x0f) << 4);
		fat[n * 3 / 2 + 1] = (uint8_t)(value >> 4);
	}
}

/* Both FATs: two directories, and the file behind them. */
static void
put_fats(const struct layout *l, uint32_t file_clusters, uint8_t *image)
{
	uint8_t *fat = image + FAT_SECTOR;
	uint32_t first = FAT_FIRST_CLUSTER + DIR_CLUSTERS;
	size_t bytes = (size_t)l->fat_sectors * FAT_SECTOR;

	put_fat(l, fat, 0, 0xff00 | FAT_MEDIA);
	put_fat(l, fat, 1, END_OF_FILE);
	for (uint32_t i = 0; i < DIR_CLUSTERS; i++)
		put_fat(l, fat, FAT_FIRST_CLUSTER + i, END_OF_FILE);
	for (uint32_t i = 0; i < file_clusters; i++)
		put_fat(l, fat, first + i,
		    i + 1 < file_clusters ? first + i + 1 : END_OF_FILE);
	memcpy(fat + bytes, fat, bytes);
}

/* An entry of a directory; returns where the next one goes. */
static uint8_t *
put_entry(uint8_t *at, const char name[11], uint8_t attr, uint32_t cluster,
    struct stamp when)
{
	struct fat_entry_disk entry = {
	    .attr = attr,
	    .create_time = when.time,
	    .create_date = when.date,
	    .access_date = when.date,
	    .time = when.time,
	    .date = when.date,
	    .cluster = le16_set((uint16_t)cluster),
	};

	memcpy(entry.name, name, sizeof(entry.name));
	memcpy(at, &entry, sizeof(entry));
	return at + sizeof(entry);
}

/* -- the loader's name ------------------------------------------------------
 */

/* The name as directories hold it; true: a long name must go with it. */
static bool
short_name(const char *name, char out[11])
{
	size_t stem = strcspn(name, ".");
	bool is_long = stem > 8;

	memset(out, ' ', 11);
	memcpy(out, name, is_long ? 6 : stem);
	if (is_long)
		memcpy(out + 6, "~1", 2);
	memcpy(out + 8, "EFI", 3);
	return is_long;
}

static uint8_t
sum_of(const char name[11])
{
	uint8_t sum = 0;

	for (int i = 0; i < 11; i++)
		sum = (uint8_t)((sum << 7 | sum >> 1) + (uint8_t)name[i]);
	return sum;
}

/* Unit i of a long name: behind its end a zero, then all ones. */
static le16
unit_of(const char *name, size_t len, size_t i)
{
	if (i > len)
		return le16_set(0xffff);
	return le16_set(i == len ? 0 : (uint8_t)name[i]);
}

/* The long name, its last piece first. */
static uint8_t *
put_long_name(uint8_t *at, const char *name, uint8_t sum)
{
	size_t len = strlen(name);
	size_t pieces = (len + FAT_LONG_UNITS - 1) / FAT_LONG_UNITS;

	for (size_t n = pieces; n > 0; n--) {
		struct fat_long_disk piece = {
		    .order = (uint8_t)(n | (n == pieces ? FAT_LAST_LONG : 0)),
		    .attr = FAT_ATTR_LONG,
		    .sum = sum};
		size_t from = (n - 1) * FAT_LONG_UNITS;

		for (size_t i = 0; i < 5; i++)
			piece.first[i] = unit_of(name, len, from + i);
		for (size_t i = 0; i < 6; i++)
			piece.middle[i] = unit_of(name, len, from + 5 + i);
		for (size_t i = 0; i < 2; i++)
			piece.last[i] = unit_of(name, len, from + 11 + i);
		memcpy(at, &piece, sizeof(piece));
		at += sizeof(piece);
	}
	return at;
}

/* -- the whole --------------------------------------------------------------
 */

static void
put_directories(const struct layout *l, const char *loader, size_t len,
    time_t now, uint8_t *image)
{
	struct stamp when = stamp_of(now);
	uint8_t *root = image + (1 + 2 * l->fat_sectors) * FAT_SECTOR;
	uint8_t *efi = image + data_at(l) * FAT_SECTOR;
	uint8_t *boot = efi + FAT_SECTOR;
	uint32_t self = FAT_FIRST_CLUSTER;
	le32 size = le32_set((uint32_t)len);
	char name[11];

	root = put_entry(root, "EFISYS     ", FAT_ATTR_LABEL, 0, when);
	(void)put_entry(root, "EFI        ", FAT_ATTR_DIR, self, when);
	efi = put_entry(efi, ".          ", FAT_ATTR_DIR, self, when);
	efi = put_entry(efi, "..         ", FAT_ATTR_DIR, 0, when);
	(void)put_entry(efi, "BOOT       ", FAT_ATTR_DIR, self + 1, when);
	boot = put_entry(boot, ".          ", FAT_ATTR_DIR, self + 1, when);
	boot = put_entry(boot, "..         ", FAT_ATTR_DIR, self, when);
	if (short_name(loader, name))
		boot = put_long_name(boot, loader, sum_of(name));
	(void)put_entry(
	    boot, name, FAT_ATTR_ARCHIVE, self + DIR_CLUSTERS, when);
	memcpy(
	    boot + offsetof(struct fat_entry_disk, size), &size, sizeof(size));
}

int
fat_efi_make(const void *loader, size_t len, time_t now, uint32_t serial,
    uint8_t **image, size_t *size)
{
	const char *name = fat_efi_name(loader, len);
	uint64_t file_clusters = (len + (uint64_t)FAT_SECTOR - 1) / FAT_SECTOR;
	struct layout l;
	uint8_t *buf;
	int rc;

	if (name == NULL)
		return -EINVAL;
	rc = measure(file_clusters + DIR_CLUSTERS, &l);
	if (rc < 0)
		return rc;
	*size = (size_t)l.total * FAT_SECTOR;
	buf = calloc(1, *size);
	if (buf == NULL)
		return -ENOMEM;
	put_boot_sector(&l, serial, buf);
	put_fats(&l, (uint32_t)file_clusters, buf);
	put_directories(&l, name, len, now, buf);
	memcpy(buf + (size_t)(data_at(&l) + DIR_CLUSTERS) * FAT_SECTOR, loader,
	    len);
	*image = buf;
	return 0;
}
