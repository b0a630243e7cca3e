/* File flags in the words of chflags(1) (formats.md 2.8). */
#ifndef FFLAGS_H
#define FFLAGS_H

#include <stddef.h>
#include <stdint.h>

/* "schg,nodump"; "" for none.  Into buf, returned. */
const char *fflags_text(uint32_t flags, char *buf, size_t len);

#endif
