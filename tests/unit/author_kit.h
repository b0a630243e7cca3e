/* A small FreeBSD tree, and ISOs authored from trees: for tests. */
#ifndef AUTHOR_KIT_H
#define AUTHOR_KIT_H

#include "../../imgfmt/iso.h"
#include "../../mkimage/iso_author.h"
#include "check.h"
#include "iso_tools.h"
#include "tree_kit.h"

enum { KIT_TIME = 1700000000 };

/* Give node len bytes that depend on seed, and begin like a PE if is_pe. */
static inline void
kit_fill(struct tree_node *node, size_t len, unsigned seed, bool is_pe)
{
	char *bytes = malloc(len + 1);

	CHECK(bytes != NULL && node != NULL);
	if (bytes == NULL || node == NULL)
		exit(1);
	for (size_t i = 0; i < len; i++)
		bytes[i] = (char)(i * seed + i / 2048 + seed);
	if (is_pe) {
		memcpy(bytes, "MZ", 2);
		memcpy(bytes + 0x3c, "\x40\0\0", 4);
		memcpy(bytes + 0x40, "PE\0\0\x64\x86", 6);
	}
	tree_drop_content(node);
	node->content.kind = CONTENT_TEXT;
	node->content.text = bytes;
	node->size = len;
	if (len > 0)
		CHECK_EQ(tree_add_run(node, 0, len, 0), 0);
}

static inline struct tree_node *
kit_file(struct tree *t, const char *path, size_t len, unsigned seed)
{
	struct tree_node *node = kit_put(t, path, S_IFREG | 0644, "");

	kit_fill(node, len, seed, false);
	return node;
}

/* One more name for what is at path. */
static inline void
kit_link(struct tree *t, const char *path, const char *name)
{
	struct tree_node *node = tree_find(t, path);

	CHECK_EQ(tree_put(t, "test", name, &node), 0);
}

/* What a FreeBSD ISO boots with, and how. */
static inline void
kit_freebsd(struct tree *t, struct iso_author *how)
{
	CHECK_EQ(tree_init(t), 0);
	t->spool = -1;
	t->now.tv_sec = KIT_TIME;
	tree_node_date(t->root, t->now);
	kit_file(t, "boot/cdboot", 1228, 3);
	kit_file(t, "boot/loader", 450000, 5);
	kit_file(t, "boot/pmbr", 512, 7);
	kit_file(t, "boot/isoboot", 14000, 11);
	kit_fill(kit_file(t, "boot/loader.efi", 400000, 13), 400000, 13, true);
	kit_file(t, "boot/kernel/kernel", 900000, 17);
	*how = (struct iso_author){.tree = t,
	    .label = "My FreeBSD",
	    .cdboot = "boot/cdboot",
	    .loader_efi = "boot/loader.efi",
	    .pmbr = "boot/pmbr",
	    .isoboot = "boot/isoboot",
	    .now = KIT_TIME};
}

/* Author an ISO to dev. */
static inline int
kit_author_to(const struct iso_author *how, struct blkdev *dev)
{
	struct progress bar = {0};
	struct tree_reader reader;
	int rc;

	tree_reader_init(&reader, how->tree);
	rc = iso_author_write(how, &reader, &bar, dev);
	if (rc == 0)
		rc = tree_reader_finish(&reader);
	tree_reader_release(&reader);
	return rc;
}

/* The same to a file of the scratch directory. */
static inline int
kit_author(const struct iso_author *how, const char *name)
{
	struct blkdev *dev;
	int rc;

	scratch_need();
	dev = create_scratch(name);
	rc = kit_author_to(how, dev);
	blkdev_close(dev);
	return rc;
}

/* Whether the ISO has these bytes somewhere. */
static inline bool
kit_contains(const char *name, const char *what, size_t len)
{
	struct blkdev *dev = open_scratch(name);
	scoped(freep) uint8_t *all = malloc(dev->size);
	bool yes;

	CHECK_EQ(blkdev_read(dev, 0, all, dev->size), 0);
	yes = memmem(all, dev->size, what, len) != NULL;
	blkdev_close(dev);
	return yes;
}

#endif
