/*
 * On-disk integers.  A field of one of these types has alignment 1, no
 * padding, a fixed byte order, and cannot be mixed with host integers by
 * accident: the only way in or out is *_get() and *_set().
 *
 * raw16, raw32 and raw64 are for formats whose byte order is known only at
 * run time (UFS): their accessors take the order as an argument.
 */
#ifndef BYTES_H
#define BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct {
	uint8_t b[2];
} le16;
typedef struct {
	uint8_t b[4];
} le32;
typedef struct {
	uint8_t b[8];
} le64;
typedef struct {
	uint8_t b[2];
} be16;
typedef struct {
	uint8_t b[4];
} be32;
typedef struct {
	uint8_t b[8];
} be64;
typedef struct {
	uint8_t b[2];
} raw16;
typedef struct {
	uint8_t b[4];
} raw32;
typedef struct {
	uint8_t b[8];
} raw64;

static inline uint16_t
le16_get(le16 v)
{
	return (uint16_t)(v.b[0] | v.b[1] << 8);
}

static inline le16
le16_set(uint16_t n)
{
	return (le16){{(uint8_t)n, (uint8_t)(n >> 8)}};
}

static inline uint32_t
le32_get(le32 v)
{
	return (uint32_t)v.b[0] | (uint32_t)v.b[1] << 8 |
	    (uint32_t)v.b[2] << 16 | (uint32_t)v.b[3] << 24;
}

static inline le32
le32_set(uint32_t n)
{
	return (le32){{(uint8_t)n, (uint8_t)(n >> 8), (uint8_t)(n >> 16),
	    (uint8_t)(n >> 24)}};
}

static inline uint64_t
le64_get(le64 v)
{
	le32 lo = {{v.b[0], v.b[1], v.b[2], v.b[3]}};
	le32 hi = {{v.b[4], v.b[5], v.b[6], v.b[7]}};

	return (uint64_t)le32_get(hi) << 32 | le32_get(lo);
}

static inline le64
le64_set(uint64_t n)
{
	le32 lo = le32_set((uint32_t)n);
	le32 hi = le32_set((uint32_t)(n >> 32));

	return (le64){{lo.b[0], lo.b[1], lo.b[2], lo.b[3], hi.b[0], hi.b[1],
	    hi.b[2], hi.b[3]}};
}

static inline uint16_t
be16_get(be16 v)
{
	return (uint16_t)(v.b[0] << 8 | v.b[1]);
}

static inline be16
be16_set(uint16_t n)
{
	return (be16){{(uint8_t)(n >> 8), (uint8_t)n}};
}

static inline uint32_t
be32_get(be32 v)
{
	return (uint32_t)v.b[3] | (uint32_t)v.b[2] << 8 |
	    (uint32_t)v.b[1] << 16 | (uint32_t)v.b[0] << 24;
}

static inline be32
be32_set(uint32_t n)
{
	return (be32){{(uint8_t)(n >> 24), (uint8_t)(n >> 16),
	    (uint8_t)(n >> 8), (uint8_t)n}};
}

static inline uint64_t
be64_get(be64 v)
{
	be32 hi = {{v.b[0], v.b[1], v.b[2], v.b[3]}};
	be32 lo = {{v.b[4], v.b[5], v.b[6], v.b[7]}};

	return (uint64_t)be32_get(hi) << 32 | be32_get(lo);
}

static inline be64
be64_set(uint64_t n)
{
	be32 hi = be32_set((uint32_t)(n >> 32));
	be32 lo = be32_set((uint32_t)n);

	return (be64){{hi.b[0], hi.b[1], hi.b[2], hi.b[3], lo.b[0], lo.b[1],
	    lo.b[2], lo.b[3]}};
}

static inline uint16_t
raw16_get(raw16 v, bool big)
{
	be16 be = {{v.b[0], v.b[1]}};
	le16 le = {{v.b[0], v.b[1]}};

	return big ? be16_get(be) : le16_get(le);
}

static inline raw16
raw16_set(uint16_t n, bool big)
{
	uint8_t hi = (uint8_t)(n >> 8), lo = (uint8_t)n;

	return big ? (raw16){{hi, lo}} : (raw16){{lo, hi}};
}

static inline uint32_t
raw32_get(raw32 v, bool big)
{
	be32 be = {{v.b[0], v.b[1], v.b[2], v.b[3]}};
	le32 le = {{v.b[0], v.b[1], v.b[2], v.b[3]}};

	return big ? be32_get(be) : le32_get(le);
}

/* The bytes of one order as a whole: compilers make one store of it. */
static inline raw32
raw32_set(uint32_t n, bool big)
{
	be32 be = be32_set(n);
	le32 le = le32_set(n);
	raw32 out;

	if (big)
		memcpy(&out, &be, sizeof(out));
	else
		memcpy(&out, &le, sizeof(out));
	return out;
}

static inline uint64_t
raw64_get(raw64 v, bool big)
{
	raw32 a = {{v.b[0], v.b[1], v.b[2], v.b[3]}};
	raw32 b = {{v.b[4], v.b[5], v.b[6], v.b[7]}};
	uint64_t first = raw32_get(a, big);
	uint64_t second = raw32_get(b, big);

	return big ? first << 32 | second : second << 32 | first;
}

static inline raw64
raw64_set(uint64_t n, bool big)
{
	be64 be = be64_set(n);
	le64 le = le64_set(n);
	raw64 out;

	if (big)
		memcpy(&out, &be, sizeof(out));
	else
		memcpy(&out, &le, sizeof(out));
	return out;
}

/* Whether len bytes at p, any number of them, are all zero. */
static inline bool
bytes_are_zero(const void *p, size_t len)
{
	const uint8_t *b = p;

	return len == 0 || (b[0] == 0 && memcmp(b, b + 1, len - 1) == 0);
}

/* Make the count items of size bytes at p equal to the first one. */
static inline void
bytes_repeat(void *p, size_t size, size_t count)
{
	uint8_t *b = p;

	for (size_t done = 1; done < count; done *= 2)
		memcpy(b + done * size, b,
		    (done < count - done ? done : count - done) * size);
}

#endif
