/* linker.hints for tests, as kldxref(8) writes them. */
#ifndef HINTS_KIT_H
#define HINTS_KIT_H

#include "../../imgfmt/bytes.h"
#include "tree_kit.h"

enum { HINTS_ROOM = 4096 };

struct hints {
	uint8_t bytes[HINTS_ROOM];
	size_t len;
	bool big;
};

static inline void
hints_int(struct hints *h, size_t at, uint32_t value)
{
	raw32 raw = raw32_set(value, h->big);

	memcpy(h->bytes + at, &raw, sizeof(raw));
}

static inline void
hints_begin(struct hints *h, bool big)
{
	memset(h, 0, sizeof(*h));
	h->big = big;
	hints_int(h, 0, 1);
	h->len = 4;
}

static inline void
hints_align(struct hints *h)
{
	h->len = (h->len + 3) & ~(size_t)3;
}

static inline void
hints_add_int(struct hints *h, uint32_t value)
{
	hints_align(h);
	hints_int(h, h->len, value);
	h->len += 4;
}

static inline void
hints_add_text(struct hints *h, const char *text)
{
	size_t len = strlen(text);

	h->bytes[h->len++] = (uint8_t)len;
	memcpy(h->bytes + h->len, text, len);
	h->len += len;
}

/* A record's length goes in front when it is complete. */
static inline void
hints_end(struct hints *h, size_t begun)
{
	hints_align(h);
	hints_int(h, begun, (uint32_t)(h->len - begun - 4));
}

static inline void
hints_module(struct hints *h, const char *module, const char *file)
{
	size_t begun = h->len;

	h->len += 4;
	hints_add_int(h, 2);
	hints_add_text(h, module);
	hints_add_text(h, file);
	hints_end(h, begun);
}

static inline void
hints_version(
    struct hints *h, const char *module, uint32_t version, const char *file)
{
	size_t begun = h->len;

	h->len += 4;
	hints_add_int(h, 3);
	hints_add_text(h, module);
	hints_add_int(h, version);
	hints_add_text(h, file);
	hints_end(h, begun);
}

static inline void
hints_pnp(struct hints *h, const char *bus, uint32_t devices)
{
	size_t begun = h->len;

	h->len += 4;
	hints_add_int(h, 4);
	hints_add_text(h, bus);
	hints_add_text(h, "I:vendor;");
	hints_add_int(h, devices);
	for (uint32_t i = 0; i < devices; i++)
		hints_add_int(h, 0x8086 + i);
	hints_end(h, begun);
}

/* A file of the tree with them, its bytes in the scratch file. */
static inline struct tree_node *
hints_put(struct tree *t, const char *path, const struct hints *h)
{
	struct tree_node *node = kit_put(t, path, S_IFREG | 0644, "");
	uint64_t at = 0;

	CHECK_EQ(tree_spool(t, h->bytes, h->len, &at), 0);
	if (node == NULL)
		return NULL;
	tree_drop_content(node);
	node->content.kind = CONTENT_SPOOL;
	node->size = h->len;
	CHECK_EQ(tree_add_run(node, 0, h->len, at), 0);
	return node;
}

#endif
