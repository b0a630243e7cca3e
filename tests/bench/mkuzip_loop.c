/*
 * What mkuzip(8) does by default, as a peer for measuring: each cluster of
 * 16 KiB through compress2 of zlib at level 9, one after the other (formats.md
 * 1.2).
 *
 * usage: mkuzip_loop RAW UZIP
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { CLUSTER = 16384, HEAD = 128, LEVEL = 9, SECTOR = 512 };

static void
put_be(uint8_t *p, uint64_t n, int len)
{
	for (int i = 0; i < len; i++)
		p[i] = (uint8_t)(n >> 8 * (len - 1 - i));
}

static int
compress_all(FILE *raw, FILE *out, uint8_t *toc, uint32_t n)
{
	static uint8_t in[CLUSTER], packed[2 * CLUSTER];
	uint64_t at = HEAD + 8 + 8ull * (n + 1);

	for (uint32_t i = 0; i < n; i++) {
		size_t got = fread(in, 1, CLUSTER, raw);
		uLongf len = sizeof(packed);

		memset(in + got, 0, CLUSTER - got);
		put_be(toc + 8ull * i, at, 8);
		if (compress2(packed, &len, in, CLUSTER, LEVEL) != Z_OK ||
		    fwrite(packed, 1, len, out) != len)
			return -1;
		at += len;
	}
	put_be(toc + 8ull * n, at, 8);
	for (; at % SECTOR != 0; at++)
		if (fputc(0, out) == EOF)
			return -1;
	return 0;
}

int
main(int argc, char **argv)
{
	FILE *raw = argc == 3 ? fopen(argv[1], "rb") : NULL;
	FILE *out = raw != NULL ? fopen(argv[2], "wb") : NULL;
	uint8_t head[HEAD + 8] = "#!/bin/sh\n#V2.0 Format\n", *toc;
	uint32_t n;

	if (out == NULL || fseek(raw, 0, SEEK_END) < 0)
		return 1;
	n = (uint32_t)((ftell(raw) + CLUSTER - 1) / CLUSTER);
	rewind(raw);
	put_be(head + HEAD, CLUSTER, 4);
	put_be(head + HEAD + 4, n, 4);
	toc = calloc((size_t)n + 1, 8);
	if (toc == NULL || fwrite(head, 1, sizeof(head), out) != sizeof(head) ||
	    fwrite(toc, 8, (size_t)n + 1, out) != (size_t)n + 1 ||
	    compress_all(raw, out, toc, n) < 0 ||
	    fseek(out, sizeof(head), SEEK_SET) < 0 ||
	    fwrite(toc, 8, (size_t)n + 1, out) != (size_t)n + 1 ||
	    fclose(out) != 0)
		return 1;
	free(toc);
	return 0;
}
