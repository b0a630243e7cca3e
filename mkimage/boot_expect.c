/*
 * A terminal reduced to what matters for reading it (ECMA-48): where the
 * cursor goes and in which colour is dropped, what is printed stays.  A
 * control byte in the middle of a sequence ends it, so that noise cannot
 * swallow what follows.
 */
#include "boot_expect.h"

#include <string.h>

enum {
	PLAIN,
	ESCAPE,        /* after ESC */
	CONTROL,       /* after ESC [, up to a byte from @ to ~ */
	STRING,        /* after ESC ] P X ^ _, up to BEL or ESC \ */
	STRING_ESCAPE, /* an ESC in that */
};

enum { BELL = '\a', ESC = 0x1b, DEL = 0x7f };

void
expect_init(struct expect *e, const char *text)
{
	e->text = text;
	e->len = text != NULL ? strlen(text) : 0;
	e->found = false;
	e->state = PLAIN;
	e->n = 0;
}

static void
show(struct expect *e, char c)
{
	if (e->n == sizeof(e->tail) - 1) {
		memmove(e->tail, e->tail + e->n - EXPECT_TAIL, EXPECT_TAIL);
		e->n = EXPECT_TAIL;
	}
	e->tail[e->n++] = c;
	if (e->len > 0 && e->n >= e->len &&
	    memcmp(e->tail + e->n - e->len, e->text, e->len) == 0)
		e->found = true;
}

static void
take_plain(struct expect *e, unsigned char c)
{
	if (c == ESC)
		e->state = ESCAPE;
	else if (c == '\b' && e->n > 0 && e->tail[e->n - 1] != '\n')
		e->n--;
	else if ((c >= ' ' && c != DEL) || c == '\n' || c == '\t')
		show(e, (char)c);
}

static void
take_escape(struct expect *e, unsigned char c)
{
	if (c == '[')
		e->state = CONTROL;
	else if (c != '\0' && strchr("]PX^_", c) != NULL)
		e->state = STRING;
	else if (c >= 0x30)
		e->state = PLAIN; /* intermediate bytes are below */
}

/* Whether c is part of a string that goes on, or ends it as it should. */
static bool
take_string(struct expect *e, unsigned char c)
{
	if (e->state == STRING_ESCAPE && c == '\\')
		e->state = PLAIN;
	else if (e->state == STRING && c == ESC)
		e->state = STRING_ESCAPE;
	else if (e->state == STRING && c == BELL)
		e->state = PLAIN;
	else if (e->state == STRING_ESCAPE)
		e->state = ESCAPE; /* the string was cut off */
	else
		return e->state == STRING && c != '\n';
	return e->state != ESCAPE;
}

static void
take(struct expect *e, unsigned char c)
{
	if (take_string(e, c))
		return;
	if (e->state == PLAIN || c < ' ') {
		e->state = PLAIN;
		take_plain(e, c);
	} else if (e->state == ESCAPE) {
		take_escape(e, c);
	} else if (c >= '@' && c < DEL) {
		e->state = PLAIN;
	}
}

void
expect_feed(struct expect *e, const void *buf, size_t len)
{
	const unsigned char *p = buf;

	for (size_t i = 0; i < len; i++)
		take(e, p[i]);
}

/* Drop lines of nothing but blanks. */
static size_t
without_empty_lines(char *text, size_t n)
{
	size_t out = 0, line = 0;
	bool empty = true;

	for (size_t i = 0; i < n; i++) {
		text[out++] = text[i];
		if (text[i] != '\n') {
			empty = empty && (text[i] == ' ' || text[i] == '\t');
			continue;
		}
		out = empty ? line : out;
		line = out;
		empty = true;
	}
	return empty ? line : out;
}

const char *
expect_last_lines(struct expect *e, unsigned lines)
{
	char *p;

	e->n = without_empty_lines(e->tail, e->n);
	if (e->n > 0 && e->tail[e->n - 1] == '\n')
		e->n--;
	e->tail[e->n] = '\0';
	for (p = e->tail + e->n; p > e->tail; p--)
		if (p[-1] == '\n' && --lines == 0)
			break;
	return p;
}
