#include "json_text.h"

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Whether a code point may be written in so many bytes. */
static bool
is_sound(uint32_t point, int len)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};

	return point >= least[len] && point <= 0x10ffff &&
	    (point < 0xd800 || point > 0xdfff);
}

/* Length of the UTF-8 sequence at p, which ends in 0; 0 where there is none. */
static int
sequence_at(const unsigned char *p)
{
	int len = *p < 0x80 ? 1
	    : *p < 0xc0     ? 0
	    : *p < 0xe0     ? 2
	    : *p < 0xf0     ? 3
	    : *p < 0xf8     ? 4
			    : 0;
	uint32_t point = len > 1 ? *p & (0x7fu >> len) : *p;

	for (int i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		point = point << 6 | (p[i] & 0x3f);
	}
	return len > 0 && is_sound(point, len) ? len : 0;
}

static int
put_escape(struct printbuf *out, unsigned unit)
{
	char text[8];
	int n = snprintf(text, sizeof(text), "\\u%04x", unit);

	return printbuf_memappend(out, text, n);
}

/* json-c's own way of writing strings passes bytes on as they are. */
static int
write_text(struct json_object *o, struct printbuf *out, int level, int flags)
{
	const char *p = json_object_get_string(o);
	int rc = printbuf_memappend(out, "\"", 1);

	(void)level;
	(void)flags;
	while (*p != '\0' && rc >= 0) {
		unsigned char c = (unsigned char)*p;
		int len = sequence_at((const unsigned char *)p);

		if (len == 0)
			rc = put_escape(out, 0xdc00u | c);
		else if (c < 0x20 || c == 0x7f)
			rc = put_escape(out, c);
		else if (c == '"' || c == '\\')
			rc = printbuf_memappend(
			    out, c == '"' ? "\\\"" : "\\\\", 2);
		else
			rc = printbuf_memappend(out, p, len);
		p += len > 0 ? len : 1;
	}
	return rc < 0 ? rc : printbuf_memappend(out, "\"", 1);
}

struct json_object *
json_text(const char *text)
{
	struct json_object *o = json_object_new_string(text);

	if (o != NULL)
		json_object_set_serializer(o, write_text, NULL, NULL);
	return o;
}
