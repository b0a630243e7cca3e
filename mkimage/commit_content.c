/*
 * What was edited as a device, by a kernel or a virtual machine, is committed
 * only once the file system on it has been left: an image that must be
 * repaired before it can be mounted is none.  Only what the first blocks tell
 * is looked at.  (ZFS is consistent at any moment.)
 */
#include <assert.h>
#include <string.h>

#include "../imgfmt/bytes.h"
#include "../imgfmt/log.h"
#include "commit_impl.h"

/* Parts of the superblock of ext2, ext3 and ext4, at byte 1024. */
struct ext_super_disk {
	uint8_t skipped[58];
	le16 state;
	uint8_t skipped2[36];
	le32 incompat;
};
static_assert(sizeof(struct ext_super_disk) == 100, "ext superblock");
enum {
	EXT_SUPER_OFF = 1024,
	EXT_STATE_LEFT = 1, /* unmounted */
	EXT_STATE_ERRORS = 2,
	EXT_INCOMPAT_RECOVER = 4, /* the journal holds changes */
};

/* Parts of a FAT boot sector, and of the second entry of the table. */
struct fat_boot_disk {
	uint8_t skipped[11];
	le16 sector;
	uint8_t per_cluster;
	le16 reserved;
	uint8_t fats;
	le16 root_entries, sectors16;
	uint8_t medium;
	le16 fat_size16;
	uint8_t skipped2[8];
	le32 sectors32;
	union {
		struct {
			uint8_t drive, dirty;
		} v16;
		struct {
			le32 fat_size;
			uint8_t skipped[25], dirty;
		} v32;
	} u;
};
static_assert(offsetof(struct fat_boot_disk, u) == 36, "FAT boot sector");
static_assert(offsetof(struct fat_boot_disk, u.v32.dirty) == 65, "FAT32");
enum {
	FAT_IS_DIRTY = 1,
	FAT12_CLUSTERS = 4085, /* fewer: FAT12, whose table tells nothing */
};
#define FAT16_LEFT 0x8000u
#define FAT32_LEFT 0x08000000u

/* Each: 1, left cleanly; 0, not; -errno. */

static int
ufs_is_left(struct session *s)
{
	struct ufs_info info;

	ufs_info(s->fs, &info);
	return info.clean;
}

static int
ext_is_left(struct session *s)
{
	struct ext_super_disk super;
	int rc = blkdev_read(s->cache, EXT_SUPER_OFF, &super, sizeof(super));

	if (rc < 0)
		return rc;
	return (le16_get(super.state) & (EXT_STATE_LEFT | EXT_STATE_ERRORS)) ==
	    EXT_STATE_LEFT &&
	    (le32_get(super.incompat) & EXT_INCOMPAT_RECOVER) == 0;
}

/* Whether a FAT that is not FAT32 has entries of 16 bits. */
static bool
is_fat16(const struct fat_boot_disk *boot)
{
	uint32_t all = le16_get(boot->sectors16) != 0
	    ? le16_get(boot->sectors16)
	    : le32_get(boot->sectors32);
	uint32_t root = le16_get(boot->root_entries) * 32u;
	uint32_t head = le16_get(boot->reserved) +
	    (uint32_t)boot->fats * le16_get(boot->fat_size16) +
	    (root + le16_get(boot->sector) - 1) / le16_get(boot->sector);

	return all > head && (all - head) / boot->per_cluster >= FAT12_CLUSTERS;
}

/* image_identify has found its sizes to make sense. */
static int
fat_is_left(struct session *s)
{
	struct fat_boot_disk boot;
	uint8_t entries[8];
	uint32_t second;
	uint64_t table;
	bool is32;
	int rc = blkdev_read(s->cache, 0, &boot, sizeof(boot));

	if (rc < 0)
		return rc;
	is32 = le16_get(boot.fat_size16) == 0;
	if (((is32 ? boot.u.v32.dirty : boot.u.v16.dirty) & FAT_IS_DIRTY) != 0)
		return 0;
	if (!is32 && !is_fat16(&boot))
		return 1;
	table = (uint64_t)le16_get(boot.reserved) * le16_get(boot.sector);
	rc = blkdev_read(s->cache, table, entries, sizeof(entries));
	if (rc < 0)
		return rc;
	second = is32 ? (uint32_t)entries[7] << 24 : (uint32_t)entries[3] << 8;
	return (second & (is32 ? FAT32_LEFT : FAT16_LEFT)) != 0;
}

static const struct content {
	enum image_kind kind;
	int (*is_left)(struct session *s);
	const char *advice;
} contents[] = {
    {IMAGE_UFS, ufs_is_left,
	"unmount it where it is mounted, or run FreeBSD's fsck_ffs on the "
	"disk"},
    {IMAGE_EXT, ext_is_left,
	"unmount it where it is mounted, or run e2fsck -f on the disk"},
    {IMAGE_FAT, fat_is_left,
	"unmount it where it is mounted, or run fsck.fat -a on the disk"},
};

int
commit_check_left(struct session *session, const char *address)
{
	enum image_kind kind = session->kind;

	for (size_t i = 0; i < sizeof(contents) / sizeof(contents[0]); i++) {
		int rc =
		    contents[i].kind == kind ? contents[i].is_left(session) : 1;

		if (rc < 0)
			return rc;
		if (rc > 0)
			continue;
		log_error("'%s' holds %s that was not left cleanly: %s; "
			  "'relive mount --view block' shows it",
		    address, image_kind_name(kind), contents[i].advice);
		return -EBUSY;
	}
	return 0;
}
