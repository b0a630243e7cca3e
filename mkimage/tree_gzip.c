#include "tree_gzip.h"

#include <fcntl.h>
#include <string.h>

#include "../imgfmt/gz.h"
#include "../imgfmt/log.h"

/* -- a file as a device -----------------------------------------------------
 */

struct node_dev {
	struct blkdev dev;
	struct tree_reader *reader;
	const struct tree_node *node;
	bool failed; /* and said why */
};

static int
node_read(struct blkdev *dev, uint64_t off, void *buf, size_t len)
{
	struct node_dev *d = (struct node_dev *)dev;
	int rc = tree_read(d->reader, d->node, off, buf, len);

	d->failed = d->failed || rc < 0;
	return rc;
}

static void
node_close(struct blkdev *dev)
{
	free(dev);
}

static const struct blkdev_ops node_ops = {
    .read = node_read,
    .close = node_close,
};

int
tree_dev_open(struct tree_reader *reader, const struct tree_node *node,
    struct blkdev **out)
{
	struct node_dev *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return -ENOMEM;
	d->dev = (struct blkdev){&node_ops, node->size, false, 0};
	d->reader = reader;
	d->node = node;
	*out = &d->dev;
	return 0;
}

/* -- compressing ------------------------------------------------------------
 */

/* Deflate from to the end of the scratch file; *len bytes from there on. */
static int
deflate_to_spool(struct tree *t, struct blkdev *from, int level, uint64_t *len)
{
	scoped(blkdev_closep) struct blkdev *spool = NULL;
	uint64_t at;
	int rc = tree_spool(t, "", 0, &at); /* it exists from now on */
	int fd;

	if (rc < 0)
		return rc;
	fd = fcntl(tree_spooler(t)->spool, F_DUPFD_CLOEXEC, 0);
	rc = fd < 0 ? -errno : blkdev_file_adopt(fd, true, &spool);
	if (rc == 0)
		rc = gz_deflate(from, level, spool, at, len);
	if (rc < 0 && !((struct node_dev *)from)->failed)
		log_error("cannot write the scratch file: %s", strerror(-rc));
	return rc;
}

/* Let node have what the file from becomes. */
static int
compress(struct tree *t, const struct tree_node *from, int level,
    struct tree_node *node)
{
	scoped(blkdev_closep) struct blkdev *dev = NULL;
	struct tree_reader reader;
	uint64_t len = 0;
	int rc;

	tree_reader_init(&reader, t);
	rc = tree_dev_open(&reader, from, &dev);
	if (rc == 0)
		rc = deflate_to_spool(t, dev, level, &len);
	if (rc == 0)
		rc = tree_reader_finish(&reader);
	tree_reader_release(&reader);
	if (rc < 0)
		return rc;
	node->content.kind = CONTENT_SPOOL;
	node->size = len;
	rc = tree_add_run(node, 0, len, tree_spooler(t)->spool_size);
	tree_spooler(t)->spool_size += len;
	return rc;
}

/* Replace file, of name, in dir. */
static int
replace(struct tree *t, struct tree_node *dir, const char *name,
    const struct tree_node *file, int level)
{
	scoped(freep) char *packed = NULL;
	struct tree_node *node = tree_node_like(t, file);
	int rc = node == NULL ? -ENOMEM : compress(t, file, level, node);

	if (rc == 0 && asprintf(&packed, "%s.gz", name) < 0) {
		packed = NULL;
		rc = -ENOMEM;
	}
	if (rc < 0) {
		tree_node_free(node);
		return rc;
	}
	rc = tree_enter(dir, packed, &node);
	if (rc == 0)
		tree_remove(dir, name);
	return rc;
}

int
tree_gzip(struct tree *t, const char *path, int level)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash != NULL ? slash + 1 : path;
	scoped(freep) char *packed = NULL;
	scoped(freep) char *up =
	    strndup(path, slash != NULL ? (size_t)(slash - path) : 0);
	struct tree_node *dir, *file;

	if (up == NULL || asprintf(&packed, "%s.gz", path) < 0) {
		packed = NULL;
		return -ENOMEM;
	}
	dir = tree_find(t, up);
	file = tree_find(t, path);
	if (file == NULL && tree_find(t, packed) != NULL)
		return 0;
	if (file == NULL || !S_ISREG(file->mode)) {
		log_error("'%s' is not there to be compressed", path);
		return -ENOENT;
	}
	return replace(t, dir, name, file, level);
}
