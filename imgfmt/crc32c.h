/*
 * CRC-32C (Castagnoli): reflected polynomial 0x82f63b78, as UFS check hashes
 * use it (formats.md 2.11) and our overlay does.
 */
#ifndef CRC32C_H
#define CRC32C_H

#include <stddef.h>
#include <stdint.h>

/*
 * Continue crc over len bytes.  Start with 0xffffffff.  The result is not
 * inverted: UFS stores it like this; the textbook CRC-32C is its bitwise NOT.
 */
uint32_t crc32c(uint32_t crc, const void *buf, size_t len);

/* The same without the processor's help: what it falls back to. */
uint32_t crc32c_by_table(uint32_t crc, const void *buf, size_t len);

#endif
