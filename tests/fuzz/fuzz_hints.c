/* Filter whatever claims to be linker.hints: what is left is left alone. */
#include "../../mkimage/kld_hints.h"
#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char names[][10] = {"kernel.gz", "zlib.ko"};
	static struct tree_node node;
	struct tree_entry entries[] = {
	    {names[0], &node, false}, {names[1], &node, false}};
	struct tree_node dir = {.entries = entries, .n = 2};
	uint8_t *hints = malloc(size > 0 ? size : 1);
	size_t left;

	if (hints == NULL)
		return 0;
	memcpy(hints, data, size);
	left = kld_hints_filter(hints, size, &dir);
	if (left > size || kld_hints_filter(hints, left, &dir) != left)
		abort();
	free(hints);
	return 0;
}
