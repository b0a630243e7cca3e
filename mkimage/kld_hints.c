/*
 * The file is a version and records (kldxref.c of FreeBSD 13, and how
 * stand/common/module.c reads them): a length, then that many bytes, which
 * begin with the record's type.  Integers are 32 bits in the byte order of the
 * system, aligned within what follows the version; a string is a byte of
 * length and as many bytes.
 *
 *	MODULE   module, file     begins what is said of the file
 *	VERSION  module, version, file
 *	PNP_INFO ...              of the file of the last MODULE
 *
 * The file must not simply go with the modules: without it the loader finds a
 * module only in a file of its name.
 */
#include "kld_hints.h"

#include <string.h>

#include "../imgfmt/bytes.h"
#include "../imgfmt/log.h"
#include "kmod.h"

enum {
	HINTS_VERSION = 1,
	HINTS_MAX = 1 << 20, /* the loader's LINKER_HINTS_MAX */
	PNP_INFO = 4,
};

static const char HINTS[] = "linker.hints";

struct record {
	const uint8_t *bytes; /* behind the length */
	size_t len, pos;
	bool big;
};

static uint32_t
int_of(const uint8_t *p, bool big)
{
	raw32 raw;

	memcpy(&raw, p, sizeof(raw));
	return raw32_get(raw, big);
}

static bool
take_int(struct record *r, uint32_t *out)
{
	r->pos = (r->pos + 3) & ~(size_t)3;
	if (r->pos > r->len || r->len - r->pos < 4)
		return false;
	*out = int_of(r->bytes + r->pos, r->big);
	r->pos += 4;
	return true;
}

static bool
take_string(struct record *r, char out[KMOD_NAME_MAX + 1])
{
	size_t len;

	if (r->pos >= r->len)
		return false;
	len = r->bytes[r->pos++];
	if (len > r->len - r->pos)
		return false;
	memcpy(out, r->bytes + r->pos, len);
	out[len] = '\0';
	r->pos += len;
	return true;
}

/* The file that a record is about; false: it does not say. */
static bool
file_of(struct record r, char file[KMOD_NAME_MAX + 1])
{
	char module[KMOD_NAME_MAX + 1];
	uint32_t type, version;

	if (!take_int(&r, &type) ||
	    (type != KMOD_MODULE && type != KMOD_VERSION))
		return false;
	return take_string(&r, module) &&
	    (type == KMOD_MODULE || take_int(&r, &version)) &&
	    take_string(&r, file);
}

static bool
is_there(const struct tree_node *dir, const char *file)
{
	char packed[KMOD_NAME_MAX + 4];

	snprintf(packed, sizeof(packed), "%s.gz", file);
	return tree_child(dir, file) != NULL || tree_child(dir, packed) != NULL;
}

/* The bytes of the records, without the version, if they are sound. */
static bool
are_sound(const uint8_t *hints, size_t len, bool big)
{
	size_t pos = 4;

	while (pos < len) {
		uint32_t n = len - pos >= 8 ? int_of(hints + pos, big) : 0;

		if (n < 4 || n % 4 != 0 || n > len - pos - 4)
			return false;
		pos += 4 + n;
	}
	return true;
}

size_t
kld_hints_filter(uint8_t *hints, size_t len, const struct tree_node *dir)
{
	char file[KMOD_NAME_MAX + 1];
	bool gone = false; /* the file of the last MODULE */
	size_t from, to = 4;
	bool big;

	if (len < 4)
		return len;
	big = int_of(hints, false) != HINTS_VERSION;
	if (int_of(hints, big) != HINTS_VERSION || !are_sound(hints, len, big))
		return len;
	for (from = 4; from < len;) {
		size_t n = int_of(hints + from, big);
		struct record r = {hints + from + 4, n, 0, big};
		uint32_t type = int_of(r.bytes, big);
		bool known = file_of(r, file);
		bool drop =
		    known ? !is_there(dir, file) : type == PNP_INFO && gone;

		if (known && type == KMOD_MODULE)
			gone = drop;
		if (!drop) {
			memmove(hints + to, hints + from, 4 + n);
			to += 4 + n;
		}
		from += 4 + n;
	}
	return to;
}

/*
 * Let dir have those hints in place of node, which other directories, of other
 * trees too, may have as well.
 */
static int
put_hints(struct tree *t, struct tree_node *dir, const struct tree_node *old,
    const void *bytes, size_t len)
{
	struct tree_node *node = tree_node_like(t, old);
	uint64_t at = 0;
	int rc = node == NULL ? -ENOMEM : tree_spool(t, bytes, len, &at);

	if (rc == 0) {
		node->content.kind = CONTENT_SPOOL;
		node->size = len;
		tree_node_date(node, t->now);
		rc = tree_add_run(node, 0, len, at);
	}
	if (rc < 0) {
		tree_node_free(node);
		return rc;
	}
	return tree_enter(dir, HINTS, &node);
}

int
kld_hints_prune(struct tree *t, struct tree_node *dir)
{
	struct tree_node *node = tree_child(dir, HINTS);
	scoped(freep) uint8_t *hints = NULL;
	struct tree_reader reader;
	size_t len, left;
	int rc;

	if (node == NULL || !S_ISREG(node->mode) || node->size < 8 ||
	    node->size > HINTS_MAX)
		return 0;
	len = (size_t)node->size;
	hints = malloc(len);
	if (hints == NULL)
		return -ENOMEM;
	tree_reader_init(&reader, t);
	rc = tree_read(&reader, node, 0, hints, len);
	if (rc == 0)
		rc = tree_reader_finish(&reader);
	tree_reader_release(&reader);
	if (rc < 0)
		return rc;
	left = kld_hints_filter(hints, len, dir);
	log_debug("'%s': %zu of %zu bytes stay", HINTS, left, len);
	return left < len ? put_hints(t, dir, node, hints, left) : 0;
}
