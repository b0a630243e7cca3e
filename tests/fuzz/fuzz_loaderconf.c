/* Read whatever stands in a loader.conf, which may name itself. */
#include "../../mkimage/loader_conf.h"
#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct loader_conf conf;
	struct tree_node *node;
	struct tree t;

	log_set_sink(fuzz_silence);
	if (tree_init(&t) < 0)
		return 0;
	node = tree_node_new(&t, S_IFREG | 0644);
	if (node == NULL)
		abort();
	node->content.kind = CONTENT_TEXT;
	node->content.text = malloc(size + 1);
	if (node->content.text == NULL)
		abort();
	memcpy(node->content.text, data, size);
	node->size = size;
	if (tree_add_run(node, 0, size, 0) < 0 ||
	    tree_put(&t, "fuzz", "boot/loader.conf", &node) < 0)
		abort();
	if (loader_conf_read(&t, &conf) == 0)
		for (size_t i = 0; i < conf.n; i++) {
			const char *type = NULL, *name;
			size_t len = 0;

			name = loader_conf_load(&conf, i, &len, &type);
			if (name != NULL && strlen(name) < len)
				abort();
		}
	loader_conf_release(&conf);
	tree_release(&t);
	return 0;
}
