/*
 * Bit arrays over bytes the caller owns.  Bit i is byte i/8, bit i%8 counted
 * from the least significant: the order of UFS maps (formats.md, notation).
 * Bounds are the caller's business: nothing here knows the array's length.
 */
#ifndef BITMAP_H
#define BITMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool
bit_is_set(const uint8_t *map, size_t i)
{
	return (map[i / 8] >> (i % 8) & 1) != 0;
}

static inline void
bit_set(uint8_t *map, size_t i)
{
	map[i / 8] |= (uint8_t)(1u << (i % 8));
}

static inline void
bit_clear(uint8_t *map, size_t i)
{
	map[i / 8] &= (uint8_t) ~(1u << (i % 8));
}

/* Set or clear len bits from start. */
void bits_fill(uint8_t *map, size_t start, size_t len, bool value);

/* Index of the first bit in [start, end) equal to value, or end. */
size_t bits_find(const uint8_t *map, size_t start, size_t end, bool value);

/* How many bits of [start, end) are set. */
size_t bits_count(const uint8_t *map, size_t start, size_t end);

#endif
