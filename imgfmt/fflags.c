#include "fflags.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const struct {
	uint32_t bit;
	const char *name,
	    *other; /* other: what FreeBSD reads as well, or NULL */
} names[] = {
    {0x10000, "arch", "archived"},
    {0x1, "nodump", NULL},
    {0x8, "opaque", NULL},
    {0x40000, "sappnd", "sappend"},
    {0x20000, "schg", "schange"},
    {0x20000, "simmutable", NULL},
    {0x200000, "snapshot", NULL},
    {0x100000, "sunlnk", "sunlink"},
    {0x4, "uappnd", "uappend"},
    {0x800, "uarch", "uarchive"},
    {0x2, "uchg", "uchange"},
    {0x2, "uimmutable", NULL},
    {0x8000, "hidden", "uhidden"},
    {0x200, "offline", "uoffline"},
    {0x1000, "rdonly", "urdonly"},
    {0x1000, "readonly", NULL},
    {0x100, "sparse", "usparse"},
    {0x80, "system", "usystem"},
    {0x400, "reparse", "ureparse"},
    {0x10, "uunlnk", "uunlink"},
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
		flags &= ~names[i].bit;
	}
	if (flags != 0 && at < len)
		(void)snprintf(buf + at, len - at, "%s0%o", at > 0 ? "," : "",
		    (unsigned)flags);
	return buf;
}

static bool
is_word(const char *word, const char *text, size_t len)
{
	return word != NULL && strlen(word) == len &&
	    memcmp(word, text, len) == 0;
}

/* An octal number of at most 32 bits. */
static int
parse_octal(const char *text, size_t len, uint32_t *out)
{
	uint64_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '7')
			return -EINVAL;
		n = n << 3 | (uint64_t)(text[i] - '0');
		if (n > UINT32_MAX)
			return -EINVAL;
	}
	*out = (uint32_t)n;
	return 0;
}

static int
parse_word(const char *text, size_t len, uint32_t *out)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (is_word(names[i].name, text, len) ||
		    is_word(names[i].other, text, len)) {
			*out = names[i].bit;
			return 0;
		}
	*out = 0;
	/* What ls(1) and mtree(8) call no flags at all. */
	if (is_word("-", text, len) || is_word("none", text, len))
		return 0;
	return parse_octal(text, len, out);
}

int
fflags_parse(const char *text, size_t len, uint32_t *out)
{
	const char *end = text + len;
	uint32_t flags = 0;

	while (text < end) {
		uint32_t bits = 0;
		size_t n = 0;

		while (text + n < end && strchr(", \n", text[n]) == NULL)
			n++;
		if (n > 0 && parse_word(text, n, &bits) < 0)
			return -EINVAL;
		flags |= bits;
		text += n + 1;
	}
	*out = flags;
	return 0;
}
