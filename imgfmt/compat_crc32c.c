/* The processor's own CRC-32C: see compat.h. */
#include "compat.h"

#if defined(__x86_64__)

#include <nmmintrin.h>
#include <pthread.h>
#include <string.h>

/*
 * The instruction takes eight bytes a cycle, but needs three for its result.
 * So three stripes are summed at a time, each by itself, and joined: a sum
 * goes on over a stripe of zeroes by table, as CRCs are linear.
 */
enum { STRIPE = 1024 };

static uint32_t beyond[4][256]; /* [byte of crc][its value] */
static pthread_once_t beyond_once = PTHREAD_ONCE_INIT;

__attribute__((target("sse4.2"))) static uint32_t
one_stream(uint32_t crc, const uint8_t *p, size_t len)
{
	uint64_t wide = crc, word;

	for (; len >= sizeof(word); len -= sizeof(word), p += sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		wide = _mm_crc32_u64(wide, word);
	}
	crc = (uint32_t)wide;
	for (; len > 0; len--, p++)
		crc = _mm_crc32_u8(crc, *p);
	return crc;
}

static void
beyond_make(void)
{
	static const uint8_t zeroes[STRIPE];

	for (uint32_t i = 0; i < 4; i++)
		for (uint32_t n = 1; n < 256; n++) {
			uint32_t low = n & -n; /* its lowest bit */

			beyond[i][n] = n == low
			    ? one_stream(n << 8 * i, zeroes, STRIPE)
			    : beyond[i][low] ^ beyond[i][n ^ low];
		}
}

/* The crc of what was summed and a stripe of zeroes behind it. */
static uint32_t
over_zeroes(uint32_t crc)
{
	return beyond[0][crc & 0xff] ^ beyond[1][crc >> 8 & 0xff] ^
	    beyond[2][crc >> 16 & 0xff] ^ beyond[3][crc >> 24];
}

__attribute__((target("sse4.2"))) static uint32_t
three_stripes(uint32_t crc, const uint8_t *p)
{
	uint64_t a = crc, b = 0, c = 0, word;

	for (const uint8_t *end = p + STRIPE; p < end; p += sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		a = _mm_crc32_u64(a, word);
		memcpy(&word, p + STRIPE, sizeof(word));
		b = _mm_crc32_u64(b, word);
		memcpy(&word, p + 2 * STRIPE, sizeof(word));
		c = _mm_crc32_u64(c, word);
	}
	return over_zeroes(over_zeroes((uint32_t)a) ^ (uint32_t)b) ^
	    (uint32_t)c;
}

static uint32_t
crc32c_sse42(uint32_t crc, const void *buf, size_t len)
{
	const uint8_t *p = buf;

	if (len >= 3 * STRIPE)
		pthread_once(&beyond_once, beyond_make);
	for (; len >= 3 * STRIPE; len -= 3 * STRIPE, p += 3 * STRIPE)
		crc = three_stripes(crc, p);
	return one_stream(crc, p, len);
}

compat_crc32c_function *
compat_crc32c(void)
{
	return __builtin_cpu_supports("sse4.2") ? crc32c_sse42 : NULL;
}

#else

compat_crc32c_function *
compat_crc32c(void)
{
	return NULL;
}

#endif
