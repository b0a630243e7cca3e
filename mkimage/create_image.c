#include <string.h>

#include "create_impl.h"
#include "outfile.h"

struct image {
	struct blkdev dev;
	const struct create_layout *layout;
	struct tree_reader *reader;
	struct progress *bar;
};

/* The first extent that ends after off. */
static size_t
extent_at(const struct create_layout *layout, uint64_t off)
{
	size_t lo = 0, hi = layout->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct create_extent *e = &layout->extents[mid];

		if (e->dev_off + e->len <= off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int
image_read(struct blkdev *dev, uint64_t off, void *buf, size_t len)
{
	struct image *img = (struct image *)dev;
	const struct create_layout *layout = img->layout;
	uint64_t end = off + len;
	uint8_t *to = buf;
	int rc = blkdev_read(layout->meta, off, buf, len);

	for (size_t i = extent_at(layout, off); i < layout->n && rc == 0; i++) {
		const struct create_extent *e = &layout->extents[i];
		uint64_t from = e->dev_off > off ? e->dev_off : off;
		uint64_t stop = e->dev_off + e->len;

		if (from >= end)
			break;
		if (stop > end)
			stop = end;
		rc = tree_read(img->reader, e->node,
		    e->off + (from - e->dev_off), to + (from - off),
		    (size_t)(stop - from));
	}
	return rc < 0 ? rc : progress_update(img->bar, end);
}

bool
create_image_lies_on(struct blkdev *dev, uint64_t off, uint64_t len,
    const struct blkdev *device, uint64_t *at)
{
	const struct create_layout *layout = ((struct image *)dev)->layout;
	const struct create_extent *e = layout->extents;
	const struct content *c;
	const struct tree_run *run;
	size_t i = extent_at(layout, off);
	uint64_t from;

	if (i == layout->n || e[i].dev_off > off ||
	    e[i].dev_off + e[i].len < off + len)
		return false;
	from = e[i].off + (off - e[i].dev_off);
	c = &e[i].node->content;
	if (c->kind != CONTENT_VIEW || c->device != device)
		return false;
	i = tree_run_at(c, from);
	run = &c->runs[i];
	if (i == c->nruns || run->off > from ||
	    run->off + run->len < from + len)
		return false;
	*at = run->at + (from - run->off);
	return true;
}

bool
create_image_is_hole(struct blkdev *dev, uint64_t off, uint64_t len)
{
	const struct create_layout *layout = ((struct image *)dev)->layout;
	size_t i = extent_at(layout, off);

	return (i == layout->n || layout->extents[i].dev_off >= off + len) &&
	    blkdev_sparse_is_hole(layout->meta, off, len);
}

static void
image_close(struct blkdev *dev)
{
	free(dev);
}

static const struct blkdev_ops image_ops = {
    .read = image_read,
    .close = image_close,
};

int
create_image_open(const struct create_layout *layout,
    struct tree_reader *reader, struct progress *bar, struct blkdev **out)
{
	struct image *img = calloc(1, sizeof(*img));

	if (img == NULL)
		return -ENOMEM;
	img->dev = (struct blkdev){&image_ops, layout->meta->size, false, 0};
	img->layout = layout;
	img->reader = reader;
	img->bar = bar;
	*out = &img->dev;
	return 0;
}
