/*
 * Recover whatever claims to be an overlay file, then write to it.  Inputs are
 * opened as they are, and with all checksums made right: else nothing behind
 * the first header would ever be looked at.
 */
#include "../../fusefs/overlay_format.h"
#include "../../imgfmt/crc32c.h"
#include "fuzz.h"

enum { BASE = 1 << 20 };

static void
use(struct blkdev *dev, bool write)
{
	struct blkdev_change change;
	static const uint8_t block[OVERLAY_BLOCK] = {1};
	uint64_t at = 0;

	for (int i = 0; i < 1000 && blkdev_next_change(dev, at, &change) == 1;
	     i++)
		at = change.off + change.len;
	fuzz_read(dev, 2 * BASE);
	if (write && dev->size >= sizeof(block)) {
		(void)!blkdev_write(dev, 0, block, sizeof(block));
		(void)!blkdev_flush(dev);
		(void)!overlay_finish(dev);
	}
}

/* Mend the record at off, the next of transaction *seq: the room it takes. */
static size_t
mend_record(uint8_t *data, size_t size, size_t off,
    struct overlay_record *begun, const uint8_t *salt)
{
	struct overlay_record_disk d;
	struct overlay_record r;
	size_t room = size - off - OVERLAY_RECORD;

	memcpy(&d, data + off, sizeof(d));
	r = (struct overlay_record){.off = off,
	    .seq = begun->seq,
	    .arg = le64_get(d.arg),
	    .count = le64_get(d.count),
	    .stored = le32_get(d.stored),
	    .chain = begun->chain,
	    .type = d.type,
	    .coding = d.coding};
	if (r.stored > room)
		r.stored %= (uint32_t)(room + 1);
	r.payload_crc =
	    crc32c(OVERLAY_CRC_NONE, data + off + OVERLAY_RECORD, r.stored);
	if (r.type == OVERLAY_COMMIT) {
		r.arg = begun->off;
		r.count = begun->count;
	} else if (r.type == OVERLAY_INDEX) {
		r.seq--;
		r.chain = OVERLAY_CRC_NONE;
	}
	overlay_record_encode(&r, salt, &d);
	memcpy(data + off, &d, sizeof(d));
	begun->chain = overlay_chain(begun->chain, &d);
	begun->count++;
	room = OVERLAY_RECORD + (size_t)overlay_padded(r.stored);
	if (r.type == OVERLAY_COMMIT)
		*begun = (struct overlay_record){.off = off + room,
		    .seq = r.seq + 1,
		    .chain = OVERLAY_CRC_NONE};
	return room;
}

static void
mend(uint8_t *data, size_t size)
{
	struct overlay_record begun = {
	    .off = OVERLAY_HEADER, .seq = 1, .chain = OVERLAY_CRC_NONE};
	struct overlay_header h = {.base_size = BASE};
	struct overlay_header_disk front;
	struct overlay_trailer_disk end;
	size_t off = OVERLAY_HEADER, last = off;

	overlay_header_encode(&h, &front);
	memcpy(data, &front, sizeof(front));
	while (off <= size - OVERLAY_RECORD - OVERLAY_TRAILER) {
		last = off;
		off += mend_record(
		    data, size - OVERLAY_TRAILER, off, &begun, h.salt);
	}
	overlay_trailer_encode(last, size, h.salt, &end);
	memcpy(data + size - sizeof(end), &end, sizeof(end));
}

static void
try(const uint8_t *data, size_t size)
{
	const char *path = fuzz_file("overlay", data, size);
	struct overlay_id id;

	for (int flags = OVERLAY_READ_ONLY; flags >= 0; flags--) {
		struct blkdev *base = NULL, *dev;

		if (overlay_read_id(path, &id) < 0 ||
		    blkdev_mem_open(BASE, &base) < 0)
			break;
		if (overlay_open(path, &id, base, (unsigned)flags, &dev) < 0) {
			blkdev_close(base);
			continue;
		}
		use(dev, flags == 0);
		blkdev_close(dev);
	}
	(void)unlink(path);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy;

	try(data, size);
	if (size < OVERLAY_HEADER + OVERLAY_RECORD + OVERLAY_TRAILER)
		return 0;
	copy = malloc(size);
	if (copy == NULL)
		return 0;
	memcpy(copy, data, size);
	mend(copy, size);
	try(copy, size);
	free(copy);
	return 0;
}
