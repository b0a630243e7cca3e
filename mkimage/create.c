/* `relive create`: sources to a tree, the tree to an image. */
#include "create.h"

#include <inttypes.h>
#include <string.h>

#include "../imgfmt/gz.h"
#include "../imgfmt/log.h"
#include "cmd.h"
#include "create_impl.h"
#include "outfile.h"

enum {
	LABEL_MAX = 31,
	LAYOUTS = 12, /* attempts, each in a larger file system */
	PIECE = 1 << 20,
	GZ_LEVEL = 6,
};

struct creation {
	const struct create_options *opt;
	enum create_format format;
	struct tree tree;
	struct create_need need;
	struct create_layout layout;
	struct tree_reader reader;
	struct progress bar;
	struct blkdev *image;
	struct outfile *to;
	struct uzip_written uzip;
	uint64_t written; /* bytes of the output */
};

static bool
ends_with(const char *name, const char *end)
{
	size_t len = strlen(name), n = strlen(end);

	return len > n && strcmp(name + len - n, end) == 0;
}

enum create_format
create_format_of(const char *name)
{
	if (ends_with(name, ".uzip") || ends_with(name, ".uzst") ||
	    ends_with(name, ".ulzma"))
		return CREATE_UZIP;
	return ends_with(name, ".gz") ? CREATE_GZ : CREATE_UFS;
}

/* -- the tree ---------------------------------------------------------------
 */

/* An output that is a source would be lost, or read while it is written. */
static int
check_sources(const struct create_options *opt)
{
	int rc = 0;

	for (size_t i = 0; i < opt->nsources && rc == 0; i++)
		rc = outfile_not_input(opt->out, opt->sources[i]);
	return rc;
}

static int
read_tree(struct creation *c)
{
	const struct create_options *opt = c->opt;
	int rc = 0;

	c->tree.excludes = opt->excludes;
	c->tree.nexcludes = opt->nexcludes;
	c->tree.beside = opt->out;
	for (size_t i = 0; i < opt->nsources && rc == 0; i++)
		rc = tree_add_source(&c->tree, opt->sources[i]);
	if (rc == 0)
		rc = tree_prune(&c->tree);
	for (size_t i = 0; i < opt->nset_files && rc == 0; i++)
		rc = create_set_file(&c->tree, opt->set_files[i]);
	for (size_t i = 0; i < opt->nset_confs && rc == 0; i++)
		rc = create_set_conf(&c->tree, opt->set_confs[i]);
	return rc;
}

static void
tell_losses(const struct creation *c)
{
	if (c->tree.lost_xattrs > 0)
		log_warn("%" PRIu64 " extended attributes left out: FreeBSD "
			 "has no name for them",
		    c->tree.lost_xattrs);
	if (c->layout.lost_xattrs > 0)
		log_warn("%" PRIu64 " extended attributes left out: UFS1 has "
			 "none (--ufs 2 has)",
		    c->layout.lost_xattrs);
	if (c->tree.lost_flags > 0)
		log_warn("flags of %" PRIu64 " files left out: UFS does not "
			 "know them all",
		    c->tree.lost_flags);
	if (c->tree.lost_acls > 0)
		log_warn("%" PRIu64 " access control lists left out",
		    c->tree.lost_acls);
}

/* -- layout -----------------------------------------------------------------
 */

static int
check_label(const char *label)
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
lay_out(struct creation *c)
{
	const struct create_options *opt = c->opt;
	uint64_t slack = 0;
	int rc = -ENOSPC;

	create_measure(&c->tree, &opt->mkfs, &c->need);
	for (int i = 0; i < LAYOUTS && rc == -ENOSPC; i++) {
		struct blkdev *dev;

		rc = create_make_fs(opt, &c->need, slack, &dev);
		if (rc < 0)
			return rc;
		create_layout_release(&c->layout);
		rc = create_lay_out(&c->tree, dev, &c->layout);
		if (rc == -ENOSPC && opt->size != 0)
			break;
		slack += c->need.bytes / 64 + 8ull * opt->mkfs.block_size;
	}
	if (rc == -ENOSPC && opt->size != 0)
		log_error(
		    "%" PRIu64 " bytes are too small for the tree", opt->size);
	else if (rc == -ENOSPC)
		log_error("the tree does not fit a file system of these "
			  "measures");
	return rc;
}

/* -- output -----------------------------------------------------------------
 */

static int
write_ufs(struct creation *c)
{
	scoped(freep) uint8_t *buf = malloc(PIECE);
	struct blkdev *to = outfile_dev(c->to);
	uint64_t size = c->image->size;
	int rc = buf == NULL ? -ENOMEM : blkdev_resize(to, size);

	for (uint64_t off = 0; off < size && rc == 0; off += PIECE) {
		size_t n = size - off < PIECE ? (size_t)(size - off) : PIECE;

		if (create_image_is_hole(c->image, off, n))
			continue;
		rc = blkdev_read(c->image, off, buf, n);
		if (rc == 0)
			rc = blkdev_write_sparse(to, off, buf, n);
	}
	c->written = size;
	return rc;
}

static int
put_clusters(struct creation *c, struct uzip_writer *w, uint8_t *buf)
{
	uint64_t cluster = c->opt->uzip.cluster, size = c->image->size;
	uint64_t most =
	    PIECE / cluster > 0 ? PIECE / cluster * cluster : cluster;
	int rc = 0;

	for (uint64_t off = 0; off < size && rc == 0; off += most) {
		size_t n =
		    size - off < most ? (size_t)(size - off) : (size_t)most;

		if (n == most && !c->opt->uzip.keep_zeroes &&
		    create_image_is_hole(c->image, off, n)) {
			rc =
			    uzip_writer_put_zero(w, (uint32_t)(most / cluster));
			continue;
		}
		rc = blkdev_read(c->image, off, buf, n);
		if (rc == 0)
			rc = uzip_writer_put(w, buf, n);
	}
	return rc < 0 ? rc : uzip_writer_finish(w, &c->uzip);
}

static int
write_uzip(struct creation *c)
{
	const struct uzip_params *params = &c->opt->uzip;
	scoped(freep) uint8_t *buf = malloc(PIECE + params->cluster);
	uint64_t n = c->image->size / params->cluster +
	    (c->image->size % params->cluster != 0);
	struct uzip_writer *w = NULL;
	struct pool *pool;
	int rc = buf == NULL ? -ENOMEM : 0;

	if (n >= UINT32_MAX) {
		log_error("'%s': too many clusters; choose -s", c->opt->out);
		return -EFBIG;
	}
	if (rc == 0)
		rc = pool_open(c->opt->jobs, &pool);
	if (rc < 0)
		return rc;
	rc = uzip_writer_open(
	    outfile_dev(c->to), 0, (uint32_t)n, params, pool, &w);
	if (rc == 0)
		rc = put_clusters(c, w, buf);
	uzip_writer_close(w);
	pool_close(pool);
	c->written = c->uzip.bytes;
	return rc;
}

static int
write_format(struct creation *c)
{
	switch (c->format) {
	case CREATE_UZIP:
		return write_uzip(c);
	case CREATE_GZ:
		return gz_deflate(c->image,
		    c->opt->gz_level > 0 ? c->opt->gz_level : GZ_LEVEL,
		    outfile_dev(c->to), 0, &c->written);
	default:
		return write_ufs(c);
	}
}

/* Errors of the output are said here, those of sources where they are found. */
static int
write_image(struct creation *c)
{
	unsigned said = cmd_errors_said();
	int rc;

	tree_reader_init(&c->reader, &c->tree);
	rc = create_image_open(&c->layout, &c->reader, &c->bar, &c->image);
	if (rc < 0)
		return rc;
	progress_start(&c->bar, "writing", c->image->size);
	rc = write_format(c);
	progress_stop(&c->bar);
	blkdev_close(c->image);
	if (rc == 0)
		rc = tree_reader_finish(&c->reader);
	if (rc < 0 && cmd_errors_said() == said)
		log_error("cannot write '%s': %s", c->opt->out,
		    rc == -EINTR ? "interrupted" : strerror(-rc));
	tree_reader_release(&c->reader);
	return rc;
}

static void
summarize(const struct creation *c)
{
	char a[32], b[32], d[32];

	log_info("'%s': %" PRIu64 " files, %s of data, in %s of UFS%d, "
		 "%s written",
	    c->opt->out, c->need.files,
	    cmd_bytes(a, sizeof(a), c->need.contents),
	    cmd_bytes(b, sizeof(b), c->layout.meta->size),
	    c->layout.info.version, cmd_bytes(d, sizeof(d), c->written));
}

static int
create(struct creation *c)
{
	int rc = check_label(c->opt->mkfs.label);

	if (rc == 0)
		rc = check_sources(c->opt);
	if (rc == 0)
		rc = tree_init(&c->tree);
	/* the output first: it shows whether it can be made, and ^C is heard */
	if (rc == 0)
		rc = outfile_create(c->opt->out, &c->to);
	if (rc == 0) {
		tree_skip(&c->tree, c->opt->out);
		tree_skip(&c->tree, outfile_temporary(c->to));
		rc = read_tree(c);
	}
	if (rc == 0)
		rc = lay_out(c);
	if (rc == 0)
		rc = write_image(c);
	if (rc == 0) {
		rc = outfile_commit(c->to);
		c->to = NULL;
	}
	return rc;
}

int
create_run(const struct create_options *opt)
{
	struct creation c = {.opt = opt, .format = opt->format};
	unsigned said = cmd_errors_said();
	int rc;

	c.tree.spool = -1;
	if (c.format == CREATE_BY_NAME)
		c.format = create_format_of(opt->out);
	rc = create(&c);
	if (rc == 0) {
		tell_losses(&c);
		summarize(&c);
	} else if (rc == -EINTR && cmd_errors_said() == said) {
		log_error("interrupted, '%s' not written", opt->out);
	}
	outfile_abort(c.to);
	create_layout_release(&c.layout);
	tree_release(&c.tree);
	return rc;
}
