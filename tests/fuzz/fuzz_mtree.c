/* Apply whatever claims to be an mtree specification, to a tree and twice. */
#include "../../mkimage/tree.h"
#include "fuzz.h"

static void
put(struct tree *tree, const char *path, uint32_t mode)
{
	struct tree_node *node = tree_node_new(tree, mode);

	if (node != NULL)
		(void)!tree_put(tree, "seed", path, &node);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *path = fuzz_file("mtree", data, size);
	struct tree tree;

	if (tree_init(&tree) < 0)
		return 0;
	put(&tree, "etc", S_IFDIR | 0755);
	put(&tree, "etc/rc", S_IFREG | 0644);
	put(&tree, "bin/link", S_IFREG | 0755);
	(void)!tree_is_mtree(path);
	(void)!tree_add_mtree(&tree, path);
	(void)!tree_add_mtree(&tree, path);
	(void)!tree_prune(&tree);
	tree_release(&tree);
	(void)unlink(path);
	return 0;
}
