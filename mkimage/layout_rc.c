/*
 * The boot scripts, as they lie beside this file for reading, with the
 * devices of the medium filled in.
 */
#include <stdio.h>
#include <string.h>

#include "layout_impl.h"

extern const char newroot_rc[], baseroot_rc[];
__asm__(".section .rodata\n"
	"newroot_rc:\n"
	".incbin \"mkimage/newroot.rc\"\n"
	".byte 0\n"
	"baseroot_rc:\n"
	".incbin \"mkimage/baseroot.rc\"\n"
	".byte 0\n"
	".previous\n");

#define MARK "@DEVICES@"

char *
layout_script(enum layout_kind kind, const char *device)
{
	const char *text = kind == LAYOUT_UZIP ? newroot_rc : baseroot_rc;
	const char *at = strstr(text, MARK);
	char *out;

	if (at == NULL)
		return strdup(text);
	if (asprintf(&out, "%.*s%s /dev/cd0 /dev/acd0%s", (int)(at - text),
		text, device, at + strlen(MARK)) < 0)
		return NULL;
	return out;
}
