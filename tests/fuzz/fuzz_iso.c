/* Walk, judge and patch whatever claims to be an ISO. */
#include <sys/stat.h>

#include "../../imgfmt/iso.h"
#include "fuzz.h"

enum { NODES_MAX = 200, DEPTH_MAX = 8 };

struct walk {
	struct iso *iso;
	int nodes, depth;
	struct iso_node file; /* the last one seen */
};

static int
visit(void *arg, const struct iso_node *node)
{
	struct walk *w = arg;
	char target[256];
	int rc = 0;

	if (++w->nodes > NODES_MAX)
		return 1;
	(void)!iso_readlink(w->iso, node, target, sizeof(target));
	if (S_ISREG(node->mode))
		w->file = *node;
	if (S_ISDIR(node->mode) && w->depth < DEPTH_MAX) {
		w->depth++;
		rc = iso_list(w->iso, node, visit, w);
		w->depth--;
	}
	return rc > 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct blkdev *dev = fuzz_device(data, size), *file = NULL;
	struct walk w = {0};
	struct iso_node root;

	if (dev == NULL || iso_open(dev, &w.iso) < 0) {
		blkdev_close(dev);
		return 0;
	}
	if (iso_root(w.iso, &root) == 0)
		(void)!iso_list(w.iso, &root, visit, &w);
	(void)!iso_check(w.iso);
	if (iso_file_open(w.iso, &w.file, &file) == 0)
		fuzz_read(file, 65536);
	blkdev_close(file);
	iso_close(w.iso);
	blkdev_close(dev);
	return 0;
}
