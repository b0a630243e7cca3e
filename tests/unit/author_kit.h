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

static inline bool
kit_same_contents(
    struct iso *iso, const struct iso_node *at, const struct tree_node *node)
{
	scoped(freep) uint8_t *got = malloc(node->size + 1);
	scoped(freep) uint8_t *want = malloc(node->size + 1);
	struct tree_reader reader;
	struct blkdev *dev;
	bool same;

	if (at->size != node->size || iso_file_open(iso, at, &dev) < 0)
		return false;
	tree_reader_init(&reader, NULL);
	same = blkdev_read(dev, 0, got, node->size) == 0 &&
	    tree_read(&reader, node, 0, want, node->size) == 0 &&
	    memcmp(got, want, node->size) == 0;
	tree_reader_release(&reader);
	blkdev_close(dev);
	return same;
}

static inline bool
kit_same_node(struct iso *iso, const char *path, const struct tree_node *node)
{
	struct iso_node at;
	char target[2048];

	if (iso_lookup(iso, path, &at) < 0)
		return false;
	if (at.mode != node->mode || at.uid != node->uid ||
	    at.gid != node->gid || at.mtime.tv_sec != node->mtime.tv_sec)
		return false;
	if (S_ISREG(node->mode))
		return at.nlink == node->names &&
		    kit_same_contents(iso, &at, node);
	if (S_ISLNK(node->mode))
		return iso_readlink(iso, &at, target, sizeof(target)) >= 0 &&
		    strcmp(target, node->target) == 0;
	return at.rdev_major == node->rdev_major &&
	    at.rdev_minor == node->rdev_minor;
}

static inline int
kit_count_entry(void *arg, const struct iso_node *node)
{
	(void)node;
	++*(size_t *)arg;
	return 0;
}

/* Compare what lies below directory dir, and nothing else does. */
static inline void
kit_compare(struct iso *iso, const char *path, const struct tree_node *dir)
{
	size_t n = 0;
	struct iso_node at;

	CHECK_EQ(iso_lookup(iso, path, &at), 0);
	CHECK_EQ(iso_list(iso, &at, kit_count_entry, &n), 0);
	CHECK_EQ(n, dir->n);
	for (size_t i = 0; i < dir->n; i++) {
		const struct tree_node *node = dir->entries[i].node;
		char *full;

		if (asprintf(&full, "%s/%s", path, dir->entries[i].name) < 0)
			exit(1);
		if (!kit_same_node(iso, full, node)) {
			CHECK(!"a node differs");
			printf("# %s\n", full);
		}
		if (S_ISDIR(node->mode))
			kit_compare(iso, full, node);
		free(full);
	}
}

/* The ISO is sound and has exactly the tree. */
static inline void
kit_check(const struct tree *t, const char *name)
{
	struct blkdev *dev = open_scratch(name);
	struct iso *iso;

	CHECK_EQ(iso_open(dev, &iso), 0);
	CHECK_EQ(iso_check(iso), 0);
	CHECK_EQ(iso_check_tree(iso), 0);
	kit_compare(iso, "", t->root);
	iso_close(iso);
	blkdev_close(dev);
}

#endif
