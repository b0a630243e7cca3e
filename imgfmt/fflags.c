#include "fflags.h"

#include <stdio.h>
#include <string.h>

static const struct {
	uint32_t bit;
	const char *name;
} names[] = {
    {0x10000, "arch"},
    {0x1, "nodump"},
    {0x8, "opaque"},
    {0x40000, "sappnd"},
    {0x20000, "schg"},
    {0x200000, "snapshot"},
    {0x100000, "sunlnk"},
    {0x4, "uappnd"},
    {0x800, "uarch"},
    {0x2, "uchg"},
    {0x8000, "hidden"},
    {0x200, "offline"},
    {0x1000, "rdonly"},
    {0x100, "sparse"},
    {0x80, "system"},
    {0x400, "reparse"},
    {0x10, "uunlnk"},
};

const char *
fflags_text(uint32_t flags, char *buf, size_t len)
{
	size_t at = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if ((flags & names[i].bit) == 0 || at >= len)
			continue;
		at += (size_t)snprintf(buf + at, len - at, "%s%s",
		    at > 0 ? "," : "", names[i].name);
	}
	return buf;
}

static uint32_t
bit_of(const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strlen(names[i].name) == len &&
		    memcmp(names[i].name, name, len) == 0)
			return names[i].bit;
	return 0;
}

int
fflags_parse(const char *text, size_t len, uint32_t *out)
{
	const char *end = text + len;
	uint32_t flags = 0;

	while (text < end) {
		size_t n = 0;

		while (text + n < end && strchr(", \n", text[n]) == NULL)
			n++;
		if (n > 0 && bit_of(text, n) == 0)
			return -EINVAL;
		if (n > 0)
			flags |= bit_of(text, n);
		text += n + 1;
	}
	*out = flags;
	return 0;
}
