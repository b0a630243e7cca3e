#include "utf16.h"

/* The character at units[*i]; *i moves to its last unit. */
static uint32_t
next_char(const uint16_t *units, size_t n, size_t *i)
{
	uint32_t u = units[*i];

	if (u < 0xd800 || u > 0xdfff)
		return u;
	if (u > 0xdbff || *i + 1 == n || units[*i + 1] < 0xdc00 ||
	    units[*i + 1] > 0xdfff)
		return 0xfffd;
	(*i)++;
	return 0x10000 + ((u - 0xd800) << 10) + (units[*i] - 0xdc00u);
}

static size_t
encode(uint32_t c, char *out)
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

void
utf16_to_utf8(const uint16_t *units, size_t n, char *buf, size_t len)
{
	size_t used = 0;

	for (size_t i = 0; i < n && units[i] != 0; i++) {
		char bytes[4];
		size_t k = encode(next_char(units, n, &i), bytes);

		if (k >= len - used)
			break;
		for (size_t j = 0; j < k; j++)
			buf[used++] = bytes[j];
	}
	buf[used] = '\0';
}
