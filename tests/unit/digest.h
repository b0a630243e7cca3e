/* MD5 and SHA-256 for comparing with what other systems recorded. */
#ifndef DIGEST_H
#define DIGEST_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct digest {
	int words; /* of state: 4 for MD5, 8 for SHA-256 */
	uint32_t state[8];
	uint64_t len;
	uint8_t block[64];
};

static inline uint32_t
digest_rol(uint32_t v, unsigned n)
{
	return v << n | v >> (32 - n);
}

static inline void
digest_init(struct digest *d, int is_md5)
{
	static const uint32_t md5[4] = {
	    0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
	static const uint32_t sha[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372,
	    0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

	memset(d, 0, sizeof(*d));
	d->words = is_md5 ? 4 : 8;
	memcpy(d->state, is_md5 ? md5 : sha, (size_t)d->words * 4);
}

static inline void
digest_md5_block(uint32_t state[8], const uint8_t *p)
{
	static const uint32_t k[64] = {0xd76aa478, 0xe8c7b756, 0x242070db,
	    0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
	    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122,
	    0xfd987193, 0xa679438e, 0x49b40821, 0xf61e2562, 0xc040b340,
	    0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681,
	    0xe7d3fbc8, 0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed,
	    0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a, 0xfffa3942,
	    0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9,
	    0xf6bb4b60, 0xbebfbc70, 0x289b7ec6, 0xeaa127fa, 0xd4ef3085,
	    0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
	    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3,
	    0x8f0ccc92, 0xffeff47d, 0x85845dd1, 0x6fa87e4f, 0xfe2ce6e0,
	    0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb,
	    0xeb86d391};
	static const uint8_t shift[16] = {
	    7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21};
	static const uint8_t step[4] = {1, 5, 3, 7}, start[4] = {0, 1, 5, 0};
	uint32_t a = state[0], b = state[1], c = state[2], d = state[3], w[16];

	for (int i = 0; i < 16; i++)
		w[i] = (uint32_t)p[4 * i] | (uint32_t)p[4 * i + 1] << 8 |
		    (uint32_t)p[4 * i + 2] << 16 | (uint32_t)p[4 * i + 3] << 24;
	for (int i = 0; i < 64; i++) {
		int r = i / 16;
		uint32_t f = r == 0 ? (b & c) | (~b & d)
		    : r == 1        ? (d & b) | (~d & c)
		    : r == 2        ? b ^ c ^ d
				    : c ^ (b | ~d);
		uint32_t t = d;

		f += a + k[i] + w[(step[r] * i + start[r]) % 16];
		d = c;
		c = b;
		b += digest_rol(f, shift[r * 4 + i % 4]);
		a = t;
	}
	state[0] += a;
	state[1] += b;
	state[2] += c;
	state[3] += d;
}

static inline void
digest_sha_block(uint32_t state[8], const uint8_t *p)
{
	static const uint32_t k[64] = {0x428a2f98, 0x71374491, 0xb5c0fbcf,
	    0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74,
	    0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
	    0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc,
	    0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
	    0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
	    0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb,
	    0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70,
	    0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3,
	    0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f,
	    0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
	    0xc67178f2};
	uint32_t s[8], w[64];

	for (int i = 0; i < 16; i++)
		w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 |
		    (uint32_t)p[4 * i + 2] << 8 | (uint32_t)p[4 * i + 3];
	for (int i = 16; i < 64; i++) {
		uint32_t x = w[i - 15], y = w[i - 2];

		w[i] = w[i - 16] + w[i - 7] +
		    (digest_rol(x, 25) ^ digest_rol(x, 14) ^ x >> 3) +
		    (digest_rol(y, 15) ^ digest_rol(y, 13) ^ y >> 10);
	}
	memcpy(s, state, sizeof(s));
	for (int i = 0; i < 64; i++) {
		uint32_t e = s[4], a = s[0], t1, t2;

		t1 = s[7] +
		    (digest_rol(e, 26) ^ digest_rol(e, 21) ^ digest_rol(e, 7)) +
		    ((e & s[5]) ^ (~e & s[6])) + k[i] + w[i];
		t2 = (digest_rol(a, 30) ^ digest_rol(a, 19) ^
			 digest_rol(a, 10)) +
		    ((a & s[1]) ^ (a & s[2]) ^ (s[1] & s[2]));
		memmove(s + 1, s, sizeof(s) - sizeof(s[0]));
		s[4] += t1;
		s[0] = t1 + t2;
	}
	for (int i = 0; i < 8; i++)
		state[i] += s[i];
}

static inline void
digest_block(struct digest *d, const uint8_t *p)
{
	if (d->words == 4)
		digest_md5_block(d->state, p);
	else
		digest_sha_block(d->state, p);
}

static inline void
digest_add(struct digest *d, const void *buf, size_t len)
{
	const uint8_t *p = buf;

	while (len > 0) {
		size_t have = d->len % 64, n = 64 - have;

		if (n > len)
			n = len;
		if (n == 64) {
			digest_block(d, p);
		} else {
			memcpy(d->block + have, p, n);
			if (have + n == 64)
				digest_block(d, d->block);
		}
		d->len += n;
		p += n;
		len -= n;
	}
}

/* In hexadecimal; out has room for 65 bytes. */
static inline void
digest_text(struct digest *d, char *out)
{
	static const uint8_t pad[64] = {0x80};
	uint64_t bits = d->len * 8;
	uint8_t tail[8];

	digest_add(d, pad, 1 + (119 - d->len % 64) % 64);
	for (int i = 0; i < 8; i++)
		tail[i] = (uint8_t)(bits >> 8 * (d->words == 4 ? i : 7 - i));
	digest_add(d, tail, 8);
	for (int i = 0; i < d->words * 4; i++) {
		unsigned byte = d->words == 4 ? i % 4 : 3 - i % 4;

		sprintf(
		    out + 2 * i, "%02x", d->state[i / 4] >> 8 * byte & 0xff);
	}
}

#endif
