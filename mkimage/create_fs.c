/* One file system of a tree, from its measure to its last byte. */
#include <inttypes.h>
#include <string.h>

#include "../imgfmt/gz.h"
#include "../imgfmt/log.h"
#include "cmd.h"
#include "create_impl.h"

enum {
	LABEL_MAX = 31,
	LAYOUTS = 12, /* attempts, each in a larger file system */
	PIECE = 1 << 20,
	GZ_LEVEL = 6,
};

/* -- layout -----------------------------------------------------------------
 */

int
create_fs_check_label(const char *label)
{
	if (label == NULL)
		return 0;
	if (strlen(label) > LABEL_MAX) {
		log_error("label '%s' is too long: at most %d bytes", label,
		    LABEL_MAX);
		return -EINVAL;
	}
	for (const char *p = label; *p != '\0'; p++)
		if (*p <= ' ' || *p == '/' || *p == 0x7f) {
			log_error("label '%s' has characters that /dev/ufs "
				  "cannot show",
			    label);
			return -EINVAL;
		}
	return 0;
}

/*
 * Tails of files share blocks as well as they can; how much that loses is seen
 * only when it is done.  So what does not fit is laid out again, larger.
 */
static int
lay_out(struct create_fs *fs)
{
	const struct create_fs_options *opt = fs->opt;
	uint64_t slack = 0;
	int rc = -ENOSPC;

	create_measure(fs->tree, &opt->mkfs, &fs->need);
	for (int i = 0; i < LAYOUTS && rc == -ENOSPC; i++) {
		struct blkdev *dev;

		rc = create_make_fs(opt, &fs->need, slack, &dev);
		if (rc < 0)
			return rc;
		create_layout_release(&fs->layout);
		rc = create_lay_out(fs->tree, dev, &fs->first, &fs->layout);
		if (rc == -ENOSPC && opt->size != 0)
			break;
		slack += fs->need.bytes / 64 + 8ull * opt->mkfs.block_size;
	}
	if (rc == -ENOSPC && opt->size != 0 && opt->size_most > opt->size)
		return rc;
	if (rc == -ENOSPC && opt->size != 0)
		log_error(
		    "%" PRIu64 " bytes are too small for the tree", opt->size);
	else if (rc == -ENOSPC)
		log_error("the tree does not fit a file system of these "
			  "measures");
	return rc;
}

int
create_fs_lay_out(struct create_fs *fs, const struct create_fs_options *opt,
    struct tree *tree)
{
	int rc = create_fs_check_label(opt->mkfs.label);

	*fs = (struct create_fs){.opt = opt, .tree = tree};
	if (rc == 0 && opt->order != NULL)
		rc = order_of_tree(opt->order, tree, &fs->first);
	if (rc == 0)
		rc = lay_out(fs);
	if (rc != -ENOSPC || opt->size == 0 || opt->size_most <= opt->size)
		return rc;
	fs->larger = *opt;
	fs->larger.size = opt->size_most;
	fs->opt = &fs->larger;
	return lay_out(fs);
}

/* -- output -----------------------------------------------------------------
 */

/* Where the image goes, while it is written. */
struct target {
	struct create_fs *fs;
	struct blkdev *image;
	struct blkdev *out;
	uint64_t base; /* in out */
	struct progress *bar;
};

static int
write_ufs(struct target *t)
{
	scoped(freep) uint8_t *buf = malloc(PIECE);
	uint64_t size = t->image->size;
	int rc = buf == NULL ? -ENOMEM : 0;

	if (rc == 0 && t->out->size < t->base + size)
		rc = blkdev_resize(t->out, t->base + size);
	for (uint64_t off = 0; off < size && rc == 0; off += PIECE) {
		size_t n = size - off < PIECE ? (size_t)(size - off) : PIECE;

		if (create_image_is_hole(t->image, off, n))
			continue;
		rc = blkdev_read(t->image, off, buf, n);
		if (rc == 0)
			rc = blkdev_write_sparse(t->out, t->base + off, buf, n);
	}
	t->fs->written = size;
	return rc;
}

/* Clusters of one image, on their way to another. */
struct packing {
	struct target *t;
	struct uzip_writer *w;
	uint8_t *buf; /* of a piece */
};

/*
 * Whether a cluster of the uzip that is taken from holds what is to be at off,
 * as it is: 1, its number in *no; 0; -errno.
 */
static int
find_packed(const struct packing *p, uint64_t off, uint32_t *no)
{
	const struct create_fs_options *opt = p->t->fs->opt;
	uint32_t cluster = opt->uzip.cluster;
	struct blkdev_change change;
	uint64_t at;
	int rc;

	if (opt->packed == NULL ||
	    !create_image_lies_on(p->t->image, off, cluster, opt->known, &at) ||
	    at % cluster != 0 || at + cluster > opt->packed->size)
		return 0;
	rc = blkdev_next_change(opt->known, at, &change);
	if (rc < 0 || (rc > 0 && change.off < at + cluster))
		return rc < 0 ? rc : 0;
	*no = (uint32_t)(at / cluster);
	return 1;
}

static int
put_plain(struct packing *p, uint64_t off, size_t len)
{
	int rc;

	if (len == 0)
		return 0;
	rc = blkdev_read(p->t->image, off, p->buf, len);
	return rc < 0 ? rc : uzip_writer_put(p->w, p->buf, len);
}

/* n bytes at off: those that are packed already, and what lies between. */
static int
put_piece(struct packing *p, uint64_t off, size_t n)
{
	uint32_t cluster = p->t->fs->opt->uzip.cluster, no;
	uint64_t end = off + n, at = off;
	int rc = 0;

	for (; at < end && rc >= 0; at += cluster) {
		rc = find_packed(p, at, &no);
		if (rc <= 0)
			continue;
		rc = put_plain(p, off, (size_t)(at - off));
		if (rc == 0)
			rc = uzip_writer_put_proven(
			    p->w, p->t->fs->opt->packed, no);
		off = at + cluster;
	}
	if (rc == 0 && off < end)
		rc = put_plain(p, off, (size_t)(end - off));
	return rc < 0 ? rc : progress_update(p->t->bar, end);
}

static int
put_clusters(struct packing *p)
{
	const struct uzip_params *params = &p->t->fs->opt->uzip;
	uint64_t cluster = params->cluster, size = p->t->image->size;
	uint64_t most =
	    PIECE / cluster > 0 ? PIECE / cluster * cluster : cluster;
	int rc = 0;

	for (uint64_t off = 0; off < size && rc == 0; off += most) {
		size_t n =
		    size - off < most ? (size_t)(size - off) : (size_t)most;

		if (n == most && !params->keep_zeroes &&
		    create_image_is_hole(p->t->image, off, n))
			rc = uzip_writer_put_zero(
			    p->w, (uint32_t)(most / cluster));
		else
			rc = put_piece(p, off, n);
	}
	return rc < 0 ? rc : uzip_writer_finish(p->w, &p->t->fs->uzip);
}

static int
write_uzip(struct target *t)
{
	const struct create_fs_options *opt = t->fs->opt;
	const struct uzip_params *params = &opt->uzip;
	scoped(freep) uint8_t *buf = malloc(PIECE + params->cluster);
	uint64_t n = t->image->size / params->cluster +
	    (t->image->size % params->cluster != 0);
	struct packing p = {.t = t, .buf = buf};
	struct pool *pool;
	int rc = buf == NULL ? -ENOMEM : 0;

	if (n >= UINT32_MAX) {
		log_error("'%s': too many clusters; choose -s", opt->name);
		return -EFBIG;
	}
	if (rc == 0)
		rc = pool_open(opt->jobs, &pool);
	if (rc < 0)
		return rc;
	rc = uzip_writer_open(t->out, t->base, (uint32_t)n, params, pool, &p.w);
	if (rc == 0)
		rc = put_clusters(&p);
	uzip_writer_close(p.w);
	pool_close(pool);
	t->fs->written = t->fs->uzip.bytes;
	return rc;
}

static int
write_format(struct target *t)
{
	const struct create_fs_options *opt = t->fs->opt;

	switch (opt->format) {
	case CREATE_UZIP:
		return write_uzip(t);
	case CREATE_GZ:
		return gz_deflate(t->image,
		    opt->gz_level > 0 ? opt->gz_level : GZ_LEVEL, t->out,
		    t->base, &t->fs->written);
	default:
		return write_ufs(t);
	}
}

int
create_fs_write(struct create_fs *fs, struct tree_reader *reader,
    struct blkdev *out, uint64_t base)
{
	unsigned said = cmd_errors_said();
	struct progress bar;
	struct target t = {.fs = fs, .out = out, .base = base, .bar = &bar};
	int rc = create_image_open(&fs->layout, reader, &bar, &t.image);

	if (rc < 0)
		return rc;
	progress_start(&bar, "writing", t.image->size);
	rc = write_format(&t);
	progress_stop(&bar);
	blkdev_close(t.image);
	if (rc < 0 && rc != -EOPNOTSUPP && cmd_errors_said() == said)
		log_error("cannot write '%s': %s", fs->opt->name,
		    rc == -EINTR ? "interrupted" : strerror(-rc));
	return rc;
}

void
create_fs_release(struct create_fs *fs)
{
	create_layout_release(&fs->layout);
	order_release(&fs->first);
}
