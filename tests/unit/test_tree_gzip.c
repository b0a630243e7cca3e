/* Files of a tree that the loader inflates. */
#include "../../mkimage/tree_gzip.h"

#include "../../imgfmt/gz.h"
#include "../../imgfmt/ufs.h"
#include "tree_kit.h"

enum { KERNEL = 3 << 20 };

/* A kernel of KERNEL bytes that compress a little, in the scratch file. */
static struct tree_node *
put_kernel(struct tree *t)
{
	struct tree_node *node = tree_node_new(t, S_IFREG | 0555);
	uint8_t *bytes = malloc(KERNEL);
	uint64_t at = 0;

	CHECK(node != NULL && bytes != NULL);
	if (node == NULL || bytes == NULL)
		return NULL;
	for (size_t i = 0; i < KERNEL; i++)
		bytes[i] = (uint8_t)(i * 2654435761u >> 22);
	CHECK_EQ(tree_spool(t, bytes, KERNEL, &at), 0);
	free(bytes);
	node->content.kind = CONTENT_SPOOL;
	node->size = KERNEL;
	node->uid = 7;
	node->flags = 0x20000;
	tree_node_date(node, (struct timespec){1234, 5});
	CHECK_EQ(tree_add_run(node, 0, KERNEL, at), 0);
	CHECK_EQ(tree_set_xattr(node, UFS_EA_SYSTEM, "md5", "abc", 3), 0);
	CHECK_EQ(tree_put(t, "test", "boot/kernel/kernel", &node), 0);
	return node;
}

/* The file's contents, inflated, must be the kernel. */
static void
check_inflates(struct tree *t, const struct tree_node *node)
{
	struct tree_reader r;
	struct blkdev *dev = NULL, *plain = NULL;
	uint8_t b[2] = {0};

	tree_reader_init(&r, t);
	CHECK_EQ(tree_dev_open(&r, node, &dev), 0);
	CHECK_EQ(blkdev_mem_open(0, &plain), 0);
	CHECK_EQ(gz_inflate(dev, plain, KERNEL), 0);
	CHECK_EQ(plain->size, KERNEL);
	for (size_t i = 0; i < KERNEL; i += 4093) {
		CHECK_EQ(blkdev_read(plain, i, b, 1), 0);
		if (b[0] != (uint8_t)(i * 2654435761u >> 22))
			CHECK(false);
	}
	blkdev_close(plain);
	blkdev_close(dev);
	CHECK_EQ(tree_reader_finish(&r), 0);
}

static void
the_kernel_is_compressed_in_its_place(void)
{
	struct tree t;
	struct tree_node *dir, *node;

	CHECK_EQ(tree_init(&t), 0);
	kit_listen();
	put_kernel(&t);
	CHECK(kit_put(&t, "boot/kernel/x.ko", S_IFREG | 0555, "x") != NULL);
	CHECK_EQ(tree_gzip(&t, "boot/kernel/kernel", 6), 0);
	dir = tree_find(&t, "boot/kernel");
	CHECK_EQ(dir->n, 2);
	CHECK(tree_child(dir, "kernel") == NULL);
	node = tree_child(dir, "kernel.gz");
	CHECK(node != NULL);
	if (node != NULL) {
		CHECK_EQ(node->mode, S_IFREG | 0555);
		CHECK_EQ(node->uid, 7);
		CHECK_EQ(node->flags, 0x20000);
		CHECK_EQ(node->mtime.tv_sec, 1234);
		CHECK(node->xattrs != NULL && node->xattrs->len == 3);
		CHECK(node->size > 18 && node->size < KERNEL);
		check_inflates(&t, node);
	}
	/* again: there is nothing left to do */
	CHECK_EQ(tree_gzip(&t, "boot/kernel/kernel", 6), 0);
	CHECK(tree_child(dir, "kernel.gz") == node);
	CHECK_EQ(kit_lines, 0);
	tree_release(&t);
}

static void
other_names_keep_the_plain_file(void)
{
	struct tree t;
	struct tree_node *node;

	CHECK_EQ(tree_init(&t), 0);
	node = put_kernel(&t);
	CHECK_EQ(tree_put(&t, "test", "boot/kernel.old/kernel", &node), 0);
	CHECK(kit_put(&t, "boot/kernel/kernel.gz", S_IFREG | 0444, "old") !=
	    NULL);
	CHECK_EQ(tree_gzip(&t, "boot/kernel/kernel", 1), 0);
	CHECK(tree_find(&t, "boot/kernel/kernel") == NULL);
	node = tree_find(&t, "boot/kernel.old/kernel");
	CHECK(node != NULL && node->names == 1 && node->size == KERNEL);
	node = tree_find(&t, "boot/kernel/kernel.gz");
	CHECK(node != NULL && node->uid == 7);
	if (node != NULL)
		check_inflates(&t, node);
	tree_release(&t);
}

static void
the_same_file_gives_the_same_bytes(void)
{
	uint8_t *bytes[2] = {NULL, NULL};
	uint64_t size[2] = {0, 0};

	for (int i = 0; i < 2; i++) {
		struct tree t;
		struct tree_node *node;
		struct tree_reader r;

		CHECK_EQ(tree_init(&t), 0);
		t.now.tv_sec += 77 * i;
		put_kernel(&t);
		CHECK_EQ(tree_gzip(&t, "boot/kernel/kernel", 9), 0);
		node = tree_find(&t, "boot/kernel/kernel.gz");
		CHECK(node != NULL);
		if (node != NULL) {
			size[i] = node->size;
			bytes[i] = malloc(size[i]);
			tree_reader_init(&r, &t);
			CHECK_EQ(tree_read(&r, node, 0, bytes[i], size[i]), 0);
			CHECK_EQ(tree_reader_finish(&r), 0);
		}
		tree_release(&t);
	}
	CHECK(size[0] > 0 && size[0] == size[1] &&
	    memcmp(bytes[0], bytes[1], size[0]) == 0);
	free(bytes[0]);
	free(bytes[1]);
}

static void
what_cannot_be_compressed_is_told(void)
{
	const char *dir = kit_enter();
	struct tree t;
	struct tree_node *node;
	char path[256];

	CHECK_EQ(tree_init(&t), 0);
	kit_listen();
	CHECK_EQ(tree_gzip(&t, "boot/kernel/kernel", 6), -ENOENT);
	CHECK(kit_heard("'boot/kernel/kernel' is not there"));
	CHECK(kit_put(&t, "boot/kernel/kernel", S_IFDIR | 0755, NULL) != NULL);
	CHECK_EQ(tree_gzip(&t, "boot/kernel/kernel", 6), -ENOENT);
	CHECK(kit_heard("'boot/kernel/kernel' is not there"));

	/* a file of the host that changes meanwhile: the tree stays */
	snprintf(path, sizeof(path), "%s/kernel", dir);
	kit_write(path, "plain");
	node = kit_put(&t, "boot/kernel/kernel", S_IFREG | 0555, "");
	CHECK(node != NULL && tree_file_content(&t, node, path) == 0);
	kit_write(path, "plainer");
	kit_listen();
	CHECK_EQ(tree_gzip(&t, "boot/kernel/kernel", 6), -ESTALE);
	CHECK(kit_heard("has changed while"));
	CHECK(tree_find(&t, "boot/kernel/kernel") == node);
	CHECK(tree_find(&t, "boot/kernel/kernel.gz") == NULL);
	tree_release(&t);
	kit_leave(dir);
}

#define T(f) \
	{ \
#f, f \
	}
TESTS(T(the_kernel_is_compressed_in_its_place),
    T(other_names_keep_the_plain_file), T(the_same_file_gives_the_same_bytes),
    T(what_cannot_be_compressed_is_told))
