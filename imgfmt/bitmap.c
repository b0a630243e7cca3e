#include "bitmap.h"

#include <string.h>

/* Calls below treat whole bytes at once; ragged ends go bit by bit. */

void
bits_fill(uint8_t *map, size_t start, size_t len, bool value)
{
	size_t end = start + len;

	for (; start < end && start % 8 != 0; start++)
		value ? bit_set(map, start) : bit_clear(map, start);
	if (end - start >= 8) {
		memset(map + start / 8, value ? 0xff : 0, (end - start) / 8);
		start += (end - start) / 8 * 8;
	}
	for (; start < end; start++)
		value ? bit_set(map, start) : bit_clear(map, start);
}

size_t
bits_find(const uint8_t *map, size_t start, size_t end, bool value)
{
	uint8_t none = value ? 0 : 0xff;

	while (start < end) {
		if (start % 8 == 0 && end - start >= 8 &&
		    map[start / 8] == none) {
			start += 8;
			continue;
		}
		if (bit_is_set(map, start) == value)
			return start;
		start++;
	}
	return end;
}

size_t
bits_count(const uint8_t *map, size_t start, size_t end)
{
	size_t n = 0;

	while (start < end) {
		if (start % 8 == 0 && end - start >= 8) {
			n += (size_t)__builtin_popcount(map[start / 8]);
			start += 8;
			continue;
		}
		n += bit_is_set(map, start);
		start++;
	}
	return n;
}
