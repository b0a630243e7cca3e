/* File flags in the words of chflags(1) (formats.md 2.8). */
#ifndef FFLAGS_H
#define FFLAGS_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"

/*
 * "schg,nodump"; "" for none; bits without a name as one octal number behind.
 * Into buf, returned.
 */
const char *fflags_text(uint32_t flags, char *buf, size_t len);

/*
 * The flags that text names, separated by commas or spaces; len bytes.  Each
 * is a name that FreeBSD reads or an octal number; "", "-" and "none" are no
 * flags.  -EINVAL: a name nobody knows.
 */
MUST_CHECK int fflags_parse(const char *text, size_t len, uint32_t *out);

#endif
