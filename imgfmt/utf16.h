/* UTF-16 names of disk formats (Joliet, GPT) as UTF-8. */
#ifndef UTF16_H
#define UTF16_H

#include <stddef.h>
#include <stdint.h>

/*
 * Convert n units, up to the first zero, into buf of len > 0 bytes: always
 * terminated, cut between characters.  A lone surrogate becomes U+FFFD.
 */
void utf16_to_utf8(const uint16_t *units, size_t n, char *buf, size_t len);

#endif
