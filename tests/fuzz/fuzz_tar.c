/* Import whatever claims to be an archive, and read what it brought. */
#include "../../mkimage/tree.h"
#include "fuzz.h"

/*
 * libarchive 3.6.2 forgets 100 bytes of some damaged archives, as bsdtar under
 * valgrind shows too.  That all of its objects are given back is what the unit
 * tests see, which run with the same sanitizer and without this.
 */
const char *__lsan_default_suppressions(void);
const char *
__lsan_default_suppressions(void)
{
	return "leak:libarchive.so\n";
}

/* Read the beginning of every file below dir; the end of the largest. */
static void
read_below(struct tree_reader *reader, const struct tree_node *dir)
{
	static uint8_t buf[65536];

	for (size_t i = 0; i < dir->n; i++) {
		const struct tree_node *node = dir->entries[i].node;
		uint64_t size = S_ISREG(node->mode) ? node->size : 0;
		size_t len = size < sizeof(buf) ? (size_t)size : sizeof(buf);

		if (S_ISDIR(node->mode))
			read_below(reader, node);
		if (len > 0) {
			(void)!tree_read(reader, node, 0, buf, len);
			(void)!tree_read(reader, node, size - len, buf, len);
		}
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const excludes[] = {"*.o", "dir/x"};
	const char *path = fuzz_file("tar", data, size);
	struct tree_reader reader;
	struct tree tree;

	if (tree_init(&tree) < 0)
		return 0;
	tree.beside = path;
	tree.excludes = excludes;
	tree.nexcludes = 2;
	(void)!tree_add_archive(&tree, path);
	(void)!tree_prune(&tree);
	tree_reader_init(&reader, &tree);
	read_below(&reader, tree.root);
	(void)!tree_reader_finish(&reader);
	tree_release(&tree);
	(void)unlink(path);
	return 0;
}
