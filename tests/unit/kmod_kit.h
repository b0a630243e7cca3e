/*
 * Kernel modules for tests, compiled here from C that says what sys/module.h's
 * macros say: the same records in the same linker set.
 */
#ifndef KMOD_KIT_H
#define KMOD_KIT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "check.h"

/* The bytes of a file, NUL behind them; NULL: there is none. */
static inline char *
kmod_load(const char *path, size_t *len)
{
	FILE *f = fopen(path, "rb");
	char *image = NULL;
	long end;

	if (f == NULL)
		return NULL;
	if (fseek(f, 0, SEEK_END) == 0 && (end = ftell(f)) >= 0) {
		rewind(f);
		image = calloc(1, (size_t)end + 1);
		*len = image != NULL ? fread(image, 1, (size_t)end, f) : 0;
	}
	(void)fclose(f);
	return image;
}

/* What a module says, as text of one line for each record. */
static const char kmod_prelude[] =
    "struct md { int version, type; const void *data; const char *cval; };\n"
    "struct dep { int min, pref, max; };\n"
    "struct ver { int version; };\n"
    "struct data { const char *name; void *handler, *priv; };\n"
    "#define SET(s) static void const *const set_##s \\\n"
    "  __attribute__((section(\"set_modmetadata_set\"), used)) = &s\n"
    "#define RECORD(id, type, data, cval) \\\n"
    "  static struct md md_##id = {1, type, data, cval}; SET(md_##id)\n"
    "#define DEPEND(on, a, b, c) static struct dep dep_##on \\\n"
    "  __attribute__((section(\".data\"))) = {a, b, c}; \\\n"
    "  RECORD(on_##on, 1, &dep_##on, #on)\n"
    "#define MODULE(m) static struct data data_##m = {#m, 0, 0}; \\\n"
    "  RECORD(module_##m, 2, &data_##m, #m)\n"
    "#define VERSION(m, v) static struct ver ver_##m \\\n"
    "  __attribute__((section(\".data\"))) = {v}; \\\n"
    "  RECORD(version_##m, 3, &ver_##m, #m)\n"
    "#define PNP(bus) static const int pnp_##bus[9]; \\\n"
    "  RECORD(pnp_##bus, 4, pnp_##bus, #bus)\n"
    "int work(int n); int work(int n) { return n * 3 + 1; }\n";

/*
 * Compile text, of those macros, into the file to with a command, in which
 * "SOURCE" and "TO" stand for the files.
 */
static inline bool
kmod_compile(const char *command, const char *text, const char *to)
{
	char source[300], line[1200];
	FILE *f;
	bool ok;

	snprintf(source, sizeof(source), "%s.c", to);
	f = fopen(source, "w");
	if (f == NULL)
		return false;
	ok = fprintf(f, "%s%s", kmod_prelude, text) > 0;
	ok = fclose(f) == 0 && ok;
	snprintf(
	    line, sizeof(line), "SOURCE='%s' TO='%s'; %s", source, to, command);
	ok = ok && system(line) == 0;
	remove(source);
	return ok;
}

#endif
