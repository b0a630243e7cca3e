/*
 * The overlay file's layout (OVERLAY.md), and host forms of its structures.
 * Only overlay_format.c knows the _disk structures.
 */
#ifndef OVERLAY_FORMAT_H
#define OVERLAY_FORMAT_H

#include <assert.h>
#include <stddef.h>

#include "../imgfmt/bytes.h"
#include "overlay.h"

enum {
	OVERLAY_HEADER = 4096, /* bytes, as all below */
	OVERLAY_RECORD = 64,
	OVERLAY_ALIGN = 16,
	OVERLAY_SALT = 16,
	OVERLAY_EXTENT = 32,
	OVERLAY_PROLOGUE = 16, /* of an INDEX payload */
	OVERLAY_TRAILER = 32,
	OVERLAY_RUN = 16, /* blocks in a DATA record, at most */
	OVERLAY_RUN_BYTES = OVERLAY_RUN * OVERLAY_BLOCK,
};

#define OVERLAY_SIZE_MAX (UINT64_C(1) << 60)
#define OVERLAY_CRC_NONE UINT32_C(0xffffffff)

enum overlay_type {
	OVERLAY_DATA = 1,
	OVERLAY_TRIM,
	OVERLAY_RESIZE,
	OVERLAY_NOTE,
	OVERLAY_COMMIT,
	OVERLAY_INDEX,
};

enum overlay_coding {
	OVERLAY_PLAIN,
	OVERLAY_LZ4,
};

struct overlay_header_disk {
	/*   0 */ uint8_t magic[8];
	/*   8 */ le32 version;
	/*  12 */ le32 block;
	/*  16 */ uint8_t salt[OVERLAY_SALT];
	/*  32 */ le64 base_size;
	/*  40 */ le64 base_seq;
	/*  48 */ uint8_t id[OVERLAY_ID_MAX];
	/* 112 */ uint8_t zero[3980];
	/* 4092 */ le32 crc;
};
static_assert(sizeof(struct overlay_header_disk) == OVERLAY_HEADER, "header");
static_assert(offsetof(struct overlay_header_disk, crc) == 4092, "its crc");

struct overlay_record_disk {
	/*  0 */ le32 magic;
	/*  4 */ le32 crc;
	/*  8 */ le64 off;
	/* 16 */ le64 seq;
	/* 24 */ le64 epoch;
	/* 32 */ le64 arg;
	/* 40 */ le64 count;
	/* 48 */ le32 stored;
	/* 52 */ le32 payload_crc;
	/* 56 */ uint8_t type;
	/* 57 */ uint8_t coding;
	/* 58 */ le16 zero;
	/* 60 */ le32 chain;
};
static_assert(sizeof(struct overlay_record_disk) == OVERLAY_RECORD, "record");
static_assert(offsetof(struct overlay_record_disk, chain) == 60, "its chain");

struct overlay_extent_disk {
	/*  0 */ le64 no;
	/*  8 */ le64 n;
	/* 16 */ le64 off;
	/* 24 */ le32 stored;
	/* 28 */ le16 skip;
	/* 30 */ le16 blocks;
};
static_assert(sizeof(struct overlay_extent_disk) == OVERLAY_EXTENT, "extent");

struct overlay_trailer_disk {
	/*  0 */ uint8_t magic[8];
	/*  8 */ le64 off;
	/* 16 */ le64 end;
	/* 24 */ le32 zero;
	/* 28 */ le32 crc;
};
static_assert(sizeof(struct overlay_trailer_disk) == OVERLAY_TRAILER, "end");

struct overlay_header {
	uint8_t salt[OVERLAY_SALT];
	uint64_t base_size; /* bytes */
	uint64_t base_seq;
	struct overlay_id id;
};

struct overlay_record {
	uint64_t off; /* of the header in the file */
	uint64_t seq, epoch, arg, count;
	uint32_t stored; /* bytes of payload */
	uint32_t payload_crc, chain;
	enum overlay_type type;
	enum overlay_coding coding;
};

/* A run of blocks in the map, and where its contents are. */
struct overlay_extent {
	uint64_t no, n;  /* blocks */
	uint64_t off;    /* of the DATA record's header; 0: trimmed */
	uint32_t stored; /* its payload */
	uint16_t skip;   /* blocks of the record before the first of these */
	uint16_t blocks; /* of the record */
};
static_assert(sizeof(struct overlay_extent) == 32, "cheap by the million");

void overlay_header_encode(
    const struct overlay_header *h, struct overlay_header_disk *out);

/* -ECORRUPT, with what is wrong in *what, a phrase. */
MUST_CHECK int overlay_header_decode(const struct overlay_header_disk *d,
    struct overlay_header *out, const char **what);

void overlay_record_encode(const struct overlay_record *r,
    const uint8_t salt[OVERLAY_SALT], struct overlay_record_disk *out);

/*
 * Whether d, found at off, is a header of the file with this salt: magic
 * number, place, checksum.  Its numbers may still make no sense.
 */
bool overlay_record_decode(const struct overlay_record_disk *d, uint64_t off,
    const uint8_t salt[OVERLAY_SALT], struct overlay_record *out);

/*
 * Whether the numbers of a record make sense for its type, on a device of
 * size bytes (of DATA and TRIM).
 */
bool overlay_record_is_sane(const struct overlay_record *r, uint64_t size);

/* The chain after a header, given the chain before it. */
uint32_t overlay_chain(uint32_t chain, const struct overlay_record_disk *d);

void overlay_extent_encode(
    const struct overlay_extent *e, struct overlay_extent_disk *out);

/* No checks: whoever loads an INDEX knows what it may point to. */
void overlay_extent_decode(
    const struct overlay_extent_disk *d, struct overlay_extent *out);

/* For an INDEX at off, the trailer that ends at end. */
void overlay_trailer_encode(uint64_t off, uint64_t end,
    const uint8_t salt[OVERLAY_SALT], struct overlay_trailer_disk *out);

/* Whether d is a correct trailer that ends at end; *off where INDEX is. */
bool overlay_trailer_decode(const struct overlay_trailer_disk *d, uint64_t end,
    const uint8_t salt[OVERLAY_SALT], uint64_t *off);

/* Room that a payload of so many bytes takes in the file. */
static inline uint64_t
overlay_padded(uint64_t bytes)
{
	return (bytes + OVERLAY_ALIGN - 1) / OVERLAY_ALIGN * OVERLAY_ALIGN;
}

/* Blocks that a number of bytes fills or begins. */
static inline uint64_t
overlay_blocks(uint64_t bytes)
{
	return bytes / OVERLAY_BLOCK + (bytes % OVERLAY_BLOCK != 0);
}

#endif
