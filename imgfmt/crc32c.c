#include "crc32c.h"

#include <pthread.h>
#include <stdatomic.h>

#include "compat.h"

/*
 * By the processor's instruction, or eight bytes a step through eight tables
 * ("slicing by 8"), at a fifth of its speed.
 */
static uint32_t table[8][256];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void
table_make(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t crc = i;

		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
		table[0][i] = crc;
	}
	for (int t = 1; t < 8; t++)
		for (uint32_t i = 0; i < 256; i++)
			table[t][i] = table[t - 1][i] >> 8 ^
			    table[0][table[t - 1][i] & 0xff];
}

uint32_t
crc32c_by_table(uint32_t crc, const void *buf, size_t len)
{
	const uint8_t *p = buf;

	pthread_once(&table_once, table_make);
	for (; len >= 8; len -= 8, p += 8) {
		uint32_t lo = crc ^
		    ((uint32_t)p[0] | (uint32_t)p[1] << 8 |
			(uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);

		crc = table[7][lo & 0xff] ^ table[6][lo >> 8 & 0xff] ^
		    table[5][lo >> 16 & 0xff] ^ table[4][lo >> 24] ^
		    table[3][p[4]] ^ table[2][p[5]] ^ table[1][p[6]] ^
		    table[0][p[7]];
	}
	for (; len > 0; len--, p++)
		crc = crc >> 8 ^ table[0][(crc ^ *p) & 0xff];
	return crc;
}

static uint32_t choose(uint32_t crc, const void *buf, size_t len);
static _Atomic(compat_crc32c_function *) chosen = choose;

/* The first call, or a few at once, which choose alike. */
static uint32_t
choose(uint32_t crc, const void *buf, size_t len)
{
	compat_crc32c_function *own = compat_crc32c();

	if (own == NULL)
		own = crc32c_by_table;
	atomic_store_explicit(&chosen, own, memory_order_relaxed);
	return own(crc, buf, len);
}

uint32_t
crc32c(uint32_t crc, const void *buf, size_t len)
{
	return atomic_load_explicit(&chosen, memory_order_relaxed)(
	    crc, buf, len);
}
