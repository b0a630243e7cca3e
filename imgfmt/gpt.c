#include "gpt.h"

#include <string.h>

#include "utf16.h"

uint32_t
gpt_crc32(const void *buf, size_t len)
{
	const uint8_t *p = buf;
	uint32_t crc = 0xffffffff;

	while (len-- > 0) {
		crc ^= *p++;
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (0xedb88320 & -(crc & 1));
	}
	return ~crc;
}

/* What is wrong with the header in a sector of sector bytes, or NULL. */
static const char *
header_fault(const uint8_t *buf, uint32_t sector, uint64_t at)
{
	struct gpt_header_disk head;
	uint8_t copy[4096];
	uint32_t size, entry_size;

	memcpy(&head, buf, sizeof(head));
	size = le32_get(head.size);
	if (size < sizeof(head) || size > sector)
		return "its header has an impossible length";
	memcpy(copy, buf, size);
	memset(copy + offsetof(struct gpt_header_disk, crc), 0, 4);
	if (gpt_crc32(copy, size) != le32_get(head.crc))
		return "its header has a wrong checksum";
	if (le64_get(head.self) != at / sector)
		return "its header was written for another place";
	entry_size = le32_get(head.entry_size);
	if (entry_size < sizeof(struct gpt_entry_disk) ||
	    entry_size > GPT_ENTRY_SIZE_MAX || entry_size % 128 != 0 ||
	    le32_get(head.nentries) > GPT_ENTRIES_MAX)
		return "its entries have an impossible size or number";
	return NULL;
}

static int
read_entries(struct blkdev *dev, struct gpt *gpt, const char **fault)
{
	size_t len = (size_t)gpt->nentries * gpt->entry_size;
	uint64_t lba = le64_get(gpt->head.entries);
	int rc;

	*fault = "its entries lie outside the device";
	if (lba > dev->size / gpt->sector ||
	    len > dev->size - lba * gpt->sector)
		return -ECORRUPT;
	gpt->entries_at = lba * gpt->sector;
	gpt->entries = malloc(len + 1);
	if (gpt->entries == NULL)
		return -ENOMEM;
	rc = blkdev_read(dev, gpt->entries_at, gpt->entries, len);
	if (rc < 0)
		return rc;
	*fault = "its entries have a wrong checksum";
	if (gpt_crc32(gpt->entries, len) != le32_get(gpt->head.entries_crc))
		return -ECORRUPT;
	return 1;
}

int
gpt_read(struct blkdev *dev, uint32_t sector, uint64_t at, struct gpt *out,
    const char **fault)
{
	uint8_t buf[4096];
	int rc;

	memset(out, 0, sizeof(*out));
	*fault = NULL;
	if (sector > sizeof(buf) || at > dev->size || sector > dev->size - at)
		return 0;
	rc = blkdev_read(dev, at, buf, sector);
	if (rc < 0)
		return rc;
	if (memcmp(buf, "EFI PART", 8) != 0)
		return 0;
	*fault = header_fault(buf, sector, at);
	if (*fault != NULL)
		return -ECORRUPT;
	out->sector = sector;
	out->at = at;
	memcpy(&out->head, buf, sizeof(out->head));
	out->nentries = le32_get(out->head.nentries);
	out->entry_size = le32_get(out->head.entry_size);
	rc = read_entries(dev, out, fault);
	if (rc < 0)
		gpt_release(out);
	return rc;
}

int
gpt_write(struct blkdev *dev, const struct gpt *gpt)
{
	size_t len = (size_t)gpt->nentries * gpt->entry_size;
	uint64_t at = le64_get(gpt->head.self) * gpt->sector;
	struct gpt_header_disk head = gpt->head;
	uint8_t buf[4096];
	int rc = blkdev_write(
	    dev, le64_get(head.entries) * gpt->sector, gpt->entries, len);

	if (rc == 0)
		rc = blkdev_read(dev, at, buf, gpt->sector);
	if (rc < 0)
		return rc;
	head.entries_crc = le32_set(gpt_crc32(gpt->entries, len));
	head.crc = le32_set(0);
	memcpy(buf, &head, sizeof(head));
	head.crc = le32_set(gpt_crc32(buf, le32_get(head.size)));
	memcpy(buf, &head, sizeof(head));
	return blkdev_write(dev, at, buf, gpt->sector);
}

void
gpt_release(struct gpt *gpt)
{
	free(gpt->entries);
	gpt->entries = NULL;
	gpt->nentries = 0;
}

struct gpt_entry_disk *
gpt_entry(const struct gpt *gpt, uint32_t i)
{
	/* All members are bytes, so any address is aligned. */
	return (void *)(gpt->entries + (size_t)i * gpt->entry_size);
}

bool
gpt_entry_used(const struct gpt_entry_disk *entry)
{
	static const uint8_t zero[16];

	return memcmp(entry->type, zero, sizeof(zero)) != 0;
}

void
gpt_entry_name(const struct gpt_entry_disk *entry, char *buf, size_t len)
{
	uint16_t units[36];

	for (int i = 0; i < 36; i++)
		units[i] = le16_get(entry->name[i]);
	utf16_to_utf8(units, 36, buf, len);
}
