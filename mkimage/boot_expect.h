/*
 * What a serial console shows, as text: escape sequences and control bytes
 * taken out, backspaces done.  Remembers the last of it and finds a text in
 * it, wherever the pieces it arrives in are cut.
 */
#ifndef BOOT_EXPECT_H
#define BOOT_EXPECT_H

#include <stdbool.h>
#include <stddef.h>

enum {
	EXPECT_TEXT_MAX = 1024, /* bytes of a text to be found */
	EXPECT_TAIL = 4096,     /* bytes remembered at least */
};

/* The caller's memory; nothing to release. */
struct expect {
	const char *text; /* or NULL; borrowed */
	bool found;
	/* private */
	size_t len;
	int state;
	size_t n;
	char tail[2 * EXPECT_TAIL];
};

/* Look for text, 1 to EXPECT_TEXT_MAX bytes; NULL: for nothing. */
void expect_init(struct expect *e, const char *text);

/* Take what arrived; e->found is set once the text was there. */
void expect_feed(struct expect *e, const void *buf, size_t len);

/* The last lines shown, at most that many and none of them empty; a string
 * inside e, valid until it is fed again. */
const char *expect_last_lines(struct expect *e, unsigned lines);

#endif
