/*
 * BSD labels.  Offsets count from the slice or from the disk: the raw
 * partition c begins where the slice does, so what it says is what the others
 * count from; older labels count from the slice although c does not say 0.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "part_impl.h"

struct label {
	uint64_t at; /* bytes */
	uint32_t sector;
	unsigned n;
	struct bsd_partition_disk part[BSD_PARTITIONS_MAX];
};

/* What contradicts itself in the label, or NULL. */
static const char *
decode(const uint8_t *raw, struct label *out)
{
	struct bsd_label_disk disk;
	uint16_t sum = 0;
	size_t len;

	memcpy(&disk, raw, sizeof(disk));
	out->n = le16_get(disk.npartitions);
	out->sector = le32_get(disk.sector_size);
	if (out->n > BSD_PARTITIONS_MAX)
		return "has too many partitions";
	if (out->sector < 512 || out->sector > 4096 ||
	    (out->sector & (out->sector - 1)) != 0)
		return "has an impossible sector size";
	len = sizeof(disk) + out->n * sizeof(out->part[0]);
	for (size_t i = 0; i < len; i += 2)
		sum ^= (uint16_t)(raw[i] | raw[i + 1] << 8);
	if (sum != 0)
		return "has a wrong checksum";
	memcpy(out->part, raw + sizeof(disk), out->n * sizeof(out->part[0]));
	return NULL;
}

/* 1: read; 0: there is no label. */
static int
read_label(struct blkdev *dev, uint64_t off, uint64_t len, struct label *out)
{
	uint8_t raw[512];
	struct bsd_label_disk disk;
	const char *fault;
	int rc;

	static_assert(sizeof(disk) + BSD_PARTITIONS_MAX * 16 <= sizeof(raw),
	    "a label fits its sector");
	if (len < BSD_LABEL_AT + sizeof(raw))
		return 0;
	out->at = off + BSD_LABEL_AT;
	rc = blkdev_read(dev, out->at, raw, sizeof(raw));
	if (rc < 0)
		return rc;
	memcpy(&disk, raw, sizeof(disk));
	if (le32_get(disk.magic) != BSD_MAGIC ||
	    le32_get(disk.magic2) != BSD_MAGIC)
		return 0;
	fault = decode(raw, out);
	if (fault != NULL) {
		log_error(
		    "the BSD label at byte %" PRIu64 " %s", out->at, fault);
		return -ECORRUPT;
	}
	return 1;
}

/* The sector that offsets count from. */
static uint32_t
base_of(const struct label *label)
{
	uint32_t base = 0;

	if (label->n > BSD_RAW_PART)
		base = le32_get(label->part[BSD_RAW_PART].offset);
	for (unsigned i = 0; i < label->n; i++)
		if (label->part[i].fstype != 0 &&
		    le32_get(label->part[i].size) != 0 &&
		    le32_get(label->part[i].offset) < base)
			return 0;
	return base;
}

static void
type_name(uint8_t type, char *out, size_t len)
{
	switch (type) {
	case 1:
		snprintf(out, len, "freebsd-swap");
		break;
	case 7:
		snprintf(out, len, "freebsd-ufs");
		break;
	case 14:
		snprintf(out, len, "freebsd-vinum");
		break;
	case 27:
		snprintf(out, len, "freebsd-zfs");
		break;
	default:
		snprintf(out, len, "0x%02x", type);
	}
}

int
part_bsd_read(struct blkdev *dev, uint64_t off, uint64_t len,
    const char *prefix, struct part_table *table)
{
	struct label label;
	uint32_t base;
	int rc = read_label(dev, off, len, &label);

	if (rc <= 0)
		return rc;
	base = base_of(&label);
	for (unsigned i = 0; i < label.n; i++) {
		const struct bsd_partition_disk *disk = &label.part[i];
		uint64_t size = le32_get(disk->size);
		uint64_t start = le32_get(disk->offset) - base;
		uint64_t all = len / label.sector;
		struct part *part;

		if (size == 0 || disk->fstype == 0)
			continue;
		if (start > all || size > all - start) {
			log_error("partition %c of the BSD label at byte "
				  "%" PRIu64 " lies outside its slice",
			    'a' + (int)i, label.at);
			return -ECORRUPT;
		}
		part = part_add(table);
		if (part == NULL)
			break;
		snprintf(part->name, sizeof(part->name), "%.14s%c", prefix,
		    'a' + (int)i);
		snprintf(part->scheme, sizeof(part->scheme), "bsd");
		type_name(disk->fstype, part->type, sizeof(part->type));
		part->off = off + start * label.sector;
		part->len = size * label.sector;
	}
	return 1;
}
