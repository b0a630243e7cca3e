/* Identifiers: those that new names get, and what is shown of them. */
#include <ctype.h>
#include <string.h>
#include <sys/stat.h>

#include "iso_edit_impl.h"

enum {
	NAME_8 = 8,
	NAME_30 = 30, /* of both parts, without the dot */
	EXT_3 = 3,
	TRIES = 1000000, /* of six digits; the first thousand of three */
};

static char
legal(const struct iso_dialect *d, char c)
{
	uint8_t up = (uint8_t)toupper((uint8_t)c);

	if (d->seen[(uint8_t)c] && c != ';' && c != '/')
		return c;
	return isupper(up) || isdigit(up) ? (char)up : '_';
}

/* One case for the letters that are new to the ISO: its own (trap 67). */
static bool
writes_lower(const struct iso_dialect *d)
{
	for (int c = 'a'; c <= 'z'; c++)
		if (d->seen[c])
			return true;
	return false;
}

/* The parts of a name before and after the dot that counts. */
struct parts {
	char base[ISO_NAME_MAX + 1], ext[ISO_NAME_MAX + 1];
	size_t nbase, next;
};

static void
split(const struct iso_dialect *d, const char *name, bool is_dir,
    struct parts *out)
{
	const char *dot = is_dir ? NULL : strrchr(name + 1, '.');
	bool lower = writes_lower(d);

	*out = (struct parts){0};
	for (const char *p = name; *p != '\0'; p++) {
		char c = lower && islower((uint8_t)*p) ? *p : legal(d, *p);

		if (p == dot)
			continue;
		if (*p == '.' && !d->dots)
			c = '_';
		if (dot != NULL && p > dot)
			out->ext[out->next++] = c;
		else
			out->base[out->nbase++] = c;
	}
}

/* Cut to what the ISO's level allows; number, if not -1, makes it unique. */
static void
shorten(const struct iso_dialect *d, bool is_dir, int number, struct parts *p)
{
	size_t most = d->long_names ? NAME_30 + (size_t)is_dir : NAME_8;
	char digits[16];

	if (!d->long_names && p->next > EXT_3)
		p->next = EXT_3;
	if (d->long_names && p->next > 0) {
		if (p->next > NAME_30 - 7)
			p->next = NAME_30 - 7;
		most = NAME_30 - p->next;
	}
	if (p->nbase > most)
		p->nbase = most;
	p->ext[p->next] = '\0';
	if (number >= 0) {
		size_t n = number < 1000 ? 3 : 6;

		if (p->nbase > most - n)
			p->nbase = most - n;
		(void)snprintf(digits, sizeof(digits), "%0*d", (int)n, number);
		memcpy(p->base + p->nbase, digits, n);
		p->nbase += n;
	}
	p->base[p->nbase] = '\0';
}

static int
make_identifier(const struct iso_dialect *d, const char *name, bool is_dir,
    int number, char out[ISO_NAME_MAX + 1])
{
	struct parts p;
	int n;

	split(d, name, is_dir, &p);
	shorten(d, is_dir, number, &p);
	n = snprintf(out, ISO_NAME_MAX + 1, "%s%s%s%s", p.base,
	    p.next > 0 || (d->dot && !is_dir) ? "." : "", p.ext,
	    d->version && !is_dir ? ";1" : "");
	return n <= 0 || n > ISO_NAME_MAX ? -ENAMETOOLONG : n;
}

int
iso_edit_identifier(const struct iso_dialect *d, const char *name, bool is_dir,
    const struct iso_edit_taken *taken, char out[ISO_NAME_MAX + 1])
{
	int n = make_identifier(d, name, is_dir, -1, out);

	if (n < 0 || taken == NULL ||
	    !taken->is_taken(taken->arg, out, (size_t)n))
		return n;
	while (*taken->number < TRIES) {
		n = make_identifier(d, name, is_dir, (*taken->number)++, out);
		if (n < 0 || !taken->is_taken(taken->arg, out, (size_t)n))
			return n;
	}
	return -EEXIST;
}

/* Up to the version number, the shorter one filled with spaces. */
int
iso_edit_compare_ids(const char *a, size_t an, const char *b, size_t bn)
{
	for (size_t i = 0; i < an || i < bn; i++) {
		uint8_t x = i < an ? (uint8_t)a[i] : ' ';
		uint8_t y = i < bn ? (uint8_t)b[i] : ' ';

		if (x == ';')
			x = ' ';
		if (y == ';')
			y = ' ';
		if (x != y)
			return x < y ? -1 : 1;
	}
	return 0;
}

/* What FreeBSD shows of an identifier (formats.md 3.7). */
static void
shown_name(const char *id, size_t len, char out[ISO_NAME_MAX + 1])
{
	const char *version = memchr(id, ';', len);
	size_t n = version != NULL ? (size_t)(version - id) : len;

	for (size_t i = 0; i < n; i++)
		out[i] = id[i] >= 'A' && id[i] <= 'Z'
		    ? (char)(id[i] + 'a' - 'A')
		    : id[i];
	if (n > 1 && out[n - 1] == '.')
		n--;
	out[n] = '\0';
}

int
iso_edit_name_fits(struct iso *iso, const char *name, bool is_dir)
{
	struct iso_dialect dialect;
	char id[ISO_NAME_MAX + 1], shown[ISO_NAME_MAX + 1];
	int rc;

	if (iso->main->susp)
		return 1;
	rc = iso_edit_learn(iso, &dialect, NULL);
	if (rc == 0)
		rc = iso_edit_identifier(&dialect, name, is_dir, NULL, id);
	if (rc < 0)
		return rc;
	shown_name(id, (size_t)rc, shown);
	return strcmp(shown, name) == 0;
}
