#include "overlay_format.h"

#include <string.h>

#include "../imgfmt/crc32c.h"

static const uint8_t header_magic[8] = "RELIVEOV";
static const uint8_t trailer_magic[8] = "RLVINDEX";

enum {
	VERSION = 1,
	RECORD_MAGIC = 0x52564c52,
};

/* The checksum of what only a file with this salt holds. */
static uint32_t
salted_crc(const uint8_t salt[OVERLAY_SALT], const void *buf, size_t len)
{
	return crc32c(crc32c(OVERLAY_CRC_NONE, salt, OVERLAY_SALT), buf, len);
}

void
overlay_header_encode(
    const struct overlay_header *h, struct overlay_header_disk *out)
{
	memset(out, 0, sizeof(*out));
	memcpy(out->magic, header_magic, sizeof(out->magic));
	out->version = le32_set(VERSION);
	out->block = le32_set(OVERLAY_BLOCK);
	memcpy(out->salt, h->salt, sizeof(out->salt));
	out->base_size = le64_set(h->base_size);
	out->base_seq = le64_set(h->base_seq);
	memcpy(out->id, h->id.bytes, sizeof(out->id));
	out->crc = le32_set(crc32c(
	    OVERLAY_CRC_NONE, out, offsetof(struct overlay_header_disk, crc)));
}

int
overlay_header_decode(const struct overlay_header_disk *d,
    struct overlay_header *out, const char **what)
{
	uint32_t crc = crc32c(
	    OVERLAY_CRC_NONE, d, offsetof(struct overlay_header_disk, crc));

	if (memcmp(d->magic, header_magic, sizeof(d->magic)) != 0)
		*what = "is not an overlay";
	else if (le32_get(d->version) != VERSION)
		*what = "is an overlay of an unknown version";
	else if (le32_get(d->crc) != crc)
		*what = "has a damaged header (wrong checksum)";
	else if (le32_get(d->block) != OVERLAY_BLOCK)
		*what = "has an unknown block size";
	else if (le64_get(d->base_size) > OVERLAY_SIZE_MAX)
		*what = "has an impossible base size";
	else
		*what = NULL;
	if (*what != NULL)
		return -ECORRUPT;
	memcpy(out->salt, d->salt, sizeof(out->salt));
	out->base_size = le64_get(d->base_size);
	out->base_seq = le64_get(d->base_seq);
	memcpy(out->id.bytes, d->id, sizeof(out->id.bytes));
	return 0;
}

static uint32_t
record_crc(const struct overlay_record_disk *d, const uint8_t *salt)
{
	size_t from = offsetof(struct overlay_record_disk, off);

	return salted_crc(salt, (const uint8_t *)d + from, sizeof(*d) - from);
}

void
overlay_record_encode(const struct overlay_record *r,
    const uint8_t salt[OVERLAY_SALT], struct overlay_record_disk *out)
{
	*out = (struct overlay_record_disk){
	    .magic = le32_set(RECORD_MAGIC),
	    .off = le64_set(r->off),
	    .seq = le64_set(r->seq),
	    .epoch = le64_set(r->epoch),
	    .arg = le64_set(r->arg),
	    .count = le64_set(r->count),
	    .stored = le32_set(r->stored),
	    .payload_crc = le32_set(r->payload_crc),
	    .type = (uint8_t)r->type,
	    .coding = (uint8_t)r->coding,
	    .chain = le32_set(r->chain),
	};
	out->crc = le32_set(record_crc(out, salt));
}

bool
overlay_record_decode(const struct overlay_record_disk *d, uint64_t off,
    const uint8_t salt[OVERLAY_SALT], struct overlay_record *out)
{
	if (le32_get(d->magic) != RECORD_MAGIC || le64_get(d->off) != off ||
	    le32_get(d->crc) != record_crc(d, salt))
		return false;
	*out = (struct overlay_record){
	    .off = off,
	    .seq = le64_get(d->seq),
	    .epoch = le64_get(d->epoch),
	    .arg = le64_get(d->arg),
	    .count = le64_get(d->count),
	    .stored = le32_get(d->stored),
	    .payload_crc = le32_get(d->payload_crc),
	    .chain = le32_get(d->chain),
	    .type = d->type,
	    .coding = d->coding,
	};
	return le16_get(d->zero) == 0;
}

static bool
data_is_sane(const struct overlay_record *r, uint64_t size)
{
	uint64_t blocks = overlay_blocks(size);

	if (r->count == 0 || r->count > OVERLAY_RUN || r->arg > blocks ||
	    r->count > blocks - r->arg)
		return false;
	if (r->coding == OVERLAY_PLAIN)
		return r->stored == r->count * OVERLAY_BLOCK;
	return r->coding == OVERLAY_LZ4 && r->stored > 0 &&
	    r->stored < r->count * OVERLAY_BLOCK;
}

static bool
index_is_sane(const struct overlay_record *r)
{
	uint64_t most = (UINT32_MAX - OVERLAY_PROLOGUE) / OVERLAY_EXTENT;

	return r->arg <= OVERLAY_SIZE_MAX && r->count <= most &&
	    r->stored == OVERLAY_PROLOGUE + r->count * OVERLAY_EXTENT;
}

bool
overlay_record_is_sane(const struct overlay_record *r, uint64_t size)
{
	uint64_t blocks = overlay_blocks(size);

	if (r->type == OVERLAY_DATA)
		return data_is_sane(r, size);
	if (r->coding != OVERLAY_PLAIN)
		return false;
	if (r->type == OVERLAY_NOTE)
		return r->stored <= OVERLAY_NOTE_MAX;
	if (r->type == OVERLAY_INDEX)
		return index_is_sane(r);
	if (r->stored != 0)
		return false;
	if (r->type == OVERLAY_TRIM)
		return r->count > 0 && r->arg <= blocks &&
		    r->count <= blocks - r->arg;
	if (r->type == OVERLAY_RESIZE)
		return r->arg <= OVERLAY_SIZE_MAX;
	return r->type == OVERLAY_COMMIT;
}

uint32_t
overlay_chain(uint32_t chain, const struct overlay_record_disk *d)
{
	return crc32c(chain, d, sizeof(*d));
}

void
overlay_extent_encode(
    const struct overlay_extent *e, struct overlay_extent_disk *out)
{
	*out = (struct overlay_extent_disk){
	    .no = le64_set(e->no),
	    .n = le64_set(e->n),
	    .off = le64_set(e->off),
	    .stored = le32_set(e->stored),
	    .skip = le16_set(e->skip),
	    .blocks = le16_set(e->blocks),
	};
}

void
overlay_extent_decode(
    const struct overlay_extent_disk *d, struct overlay_extent *out)
{
	*out = (struct overlay_extent){
	    .no = le64_get(d->no),
	    .n = le64_get(d->n),
	    .off = le64_get(d->off),
	    .stored = le32_get(d->stored),
	    .skip = le16_get(d->skip),
	    .blocks = le16_get(d->blocks),
	};
}

void
overlay_trailer_encode(uint64_t off, uint64_t end,
    const uint8_t salt[OVERLAY_SALT], struct overlay_trailer_disk *out)
{
	memset(out, 0, sizeof(*out));
	memcpy(out->magic, trailer_magic, sizeof(out->magic));
	out->off = le64_set(off);
	out->end = le64_set(end);
	out->crc = le32_set(
	    salted_crc(salt, out, offsetof(struct overlay_trailer_disk, crc)));
}

bool
overlay_trailer_decode(const struct overlay_trailer_disk *d, uint64_t end,
    const uint8_t salt[OVERLAY_SALT], uint64_t *off)
{
	uint32_t crc =
	    salted_crc(salt, d, offsetof(struct overlay_trailer_disk, crc));

	*off = le64_get(d->off);
	return memcmp(d->magic, trailer_magic, sizeof(d->magic)) == 0 &&
	    le64_get(d->end) == end && le32_get(d->crc) == crc;
}
