/*
 * The tree of an image becomes a tree as create's sources do, and goes the
 * same way from there; only the container around it is copied.
 */
#include "convert.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "../imgfmt/log.h"
#include "../imgfmt/ufs_format.h"
#include "commit.h"
#include "container.h"
#include "convert_impl.h"
#include "outfile.h"
#include "parts.h"

enum { CACHE_MAX = 64 << 20 };

/* What create makes of a tree unless told otherwise: for one without a UFS. */
static const struct ufs_info create_defaults = {
    .version = 2,
    .block_size = 32768,
    .frag_size = 4096,
    .minfree = 8,
    .flags = UFS_FS_METACKHASH,
};

/* -- what is converted ------------------------------------------------------
 */

/* A plain ISO: 1 when it is open; 0: address is something else. */
static int
open_plain(struct conversion *c)
{
	struct image *top = NULL;
	bool is_iso;
	int rc = image_open(
	    c->opt->address, &(struct image_options){0}, IMAGE_TOP_ONLY, &top);

	if (rc < 0)
		return rc;
	is_iso = top->nlayers == 1 && top->layer[0].kind == IMAGE_ISO;
	image_close(top);
	if (!is_iso)
		return 0;
	rc = view_open(
	    c->opt->address, &(struct view_options){.iso = true}, &c->view);
	if (rc == 0)
		rc = convert_iso_is_system(&c->view);
	if (rc <= 0) {
		view_close(&c->view);
		return rc;
	}
	c->image = c->view.image;
	c->iso = c->view.iso;
	c->info = create_defaults;
	return 1;
}

/* Whoever gives the image alone may think that his edits are in it. */
static void
warn_of_session(const struct conversion *c)
{
	if (session_beside(c->image->path, NULL) > 0)
		log_warn("what was edited in '%s.relive' is not converted: "
			 "name that folder to have it in",
		    c->image->path);
}

/*
 * Other images of the ISO and its own tree may have been edited too; a commit
 * can put all of it together.  0, or -ENOTSUP, said.
 */
static int
check_parts(const struct conversion *c)
{
	struct parts parts;
	bool any;
	int rc;

	if (c->opened.mode != SESSION_SNAPSHOT || (!c->whole && !c->layout))
		return 0;
	rc = parts_open(c->session, &c->opened, &parts);
	any = rc == 0 && parts_any(&parts);
	parts_close(&parts);
	if (!any)
		return rc;
	log_error("'%s': other parts of the ISO were edited too; commit them, "
		  "and convert the result",
	    c->opt->address);
	return -ENOTSUP;
}

static int
open_session(struct conversion *c)
{
	const struct convert_options *opt = c->opt;
	bool session =
	    opt->session_dir != NULL || view_is_session(opt->address);
	struct session_options how = {
	    .mode = session ? SESSION_SNAPSHOT : SESSION_BASE,
	    .dir = opt->session_dir,
	    .wait = true,
	    .image = {.cache_max = CACHE_MAX},
	};
	int rc = session ? session_sync_mount(opt->address, opt->session_dir)
	    : opt->iso.layout_set ? open_plain(c)
				  : 0;

	if (rc < 0 || c->image != NULL)
		return rc < 0 ? rc : 0;
	how.image.pool = c->pool;
	rc = session_open(opt->address, &how, &c->session);
	if (rc < 0)
		return rc;
	c->image = c->session->image;
	c->iso = c->image->iso;
	c->view.session = c->session;
	c->view.fs = c->session->fs;
	ufs_info(c->view.fs, &c->info);
	c->opened = how;
	if (!session)
		warn_of_session(c);
	return 0;
}

static int
open_all(struct conversion *c)
{
	int rc = pool_open((unsigned)c->opt->uzip.threads, &c->pool);

	return rc < 0 ? rc : open_session(c);
}

/* A session's view is its own; an ISO's is to be closed. */
static void
close_all(struct conversion *c)
{
	if (convert_is_plain(c))
		view_close(&c->view);
	session_close(c->session);
	pool_close(c->pool);
}

static int
inodes_done(void *arg, uint64_t done, uint64_t total)
{
	(void)arg;
	(void)done;
	(void)total;
	return interrupted() ? -EINTR : 0;
}

/*
 * What is damaged must not come out as something that looks sound: block
 * shared by two files, links that are miscounted.
 */
static int
check_sound(struct conversion *c)
{
	int rc = convert_is_plain(c)
	    ? iso_check(c->iso)
	    : ufs_check(view_device(&c->view), NULL, 0, inodes_done, NULL);

	if (rc <= 0)
		return rc;
	log_error("'%s' is damaged: %d fault%s; 'relive extract' gets out what "
		  "can be read",
	    c->opt->address, rc, rc == 1 ? "" : "s");
	return -ECORRUPT;
}

static int
read_tree(struct conversion *c)
{
	int rc = tree_init(&c->tree);

	c->tree.beside = c->opt->out;
	if (rc == 0)
		rc = tree_add_view(&c->tree, &c->view, "/");
	return rc < 0 || !c->layout ? rc : convert_from_iso(c);
}

/* -- what it becomes --------------------------------------------------------
 */

static int
put_image(void *arg, struct blkdev *out, uint64_t base, uint64_t *len)
{
	struct conversion *c = arg;
	struct tree_reader reader;
	int rc = 0;

	if (out->size > base) /* a partition: the old image lies there */
		rc = blkdev_trim(out, base, out->size - base);
	if (rc < 0)
		return rc;
	tree_reader_init(&reader, &c->tree);
	rc = create_fs_write(&c->fs, &reader, out, base);
	if (rc == 0)
		rc = tree_reader_finish(&reader);
	tree_reader_release(&reader);
	*len = c->fs.written;
	return rc;
}

static int
write_out(struct conversion *c, struct blkdev *out)
{
	uint64_t len;
	int rc;

	if (c->layout)
		return convert_write_layout(c, out);
	rc = create_fs_lay_out(&c->fs, &c->how, &c->tree);
	if (rc < 0)
		return rc;
	if (!c->whole)
		return put_image(c, out, 0, &len);
	if (c->iso != NULL) {
		container_warn_side_files(c->image);
		commit_warn_kernel(c->session);
	}
	return container_write(c->image, out, put_image, c);
}

static void
tell(const struct conversion *c)
{
	const struct image_layer *layer = c->image->layer;
	char data[32], fs[32], now[32], was[32];

	create_tell_losses(&c->tree, &c->fs.layout);
	if (c->layout) {
		log_info("'%s': %" PRIu64 " files, %s of data, in an ISO of "
			 "%s; it was %s",
		    c->opt->out, c->sizes.files,
		    cmd_bytes(data, sizeof(data), c->sizes.tree),
		    cmd_bytes(now, sizeof(now), c->sizes.iso),
		    cmd_bytes(was, sizeof(was), layer[0].dev->size));
		layout_tell_sizes(c->opt->iso.layout.kind, &c->sizes);
		return;
	}
	log_info("'%s': %" PRIu64 " files, %s of data, in %s of UFS%d; the "
		 "image has %s, it had %s",
	    c->opt->out, c->fs.need.files,
	    cmd_bytes(data, sizeof(data), c->fs.need.contents),
	    cmd_bytes(fs, sizeof(fs), c->fs.layout.meta->size),
	    c->fs.layout.info.version,
	    cmd_bytes(now, sizeof(now), c->fs.written),
	    cmd_bytes(
		was, sizeof(was), layer[container_target(c->image)].dev->size));
}

static int
convert(struct conversion *c)
{
	scoped(outfile_abortp) struct outfile *to = NULL;
	struct outfile *done;
	int rc = outfile_not_input(c->opt->out, c->image->path);

	if (rc == 0)
		rc = convert_decide(c);
	if (rc == 0)
		rc = check_parts(c);
	if (rc == 0 && c->opt->order != NULL) {
		c->how.order = &c->order;
		rc = order_read(c->opt->order, &c->order);
	}
	if (rc == 0)
		rc = outfile_create(c->opt->out, &to);
	if (rc == 0)
		rc = check_sound(c);
	if (rc == 0)
		rc = read_tree(c);
	if (rc == 0)
		rc = write_out(c, outfile_dev(to));
	if (rc < 0)
		return rc;
	done = to;
	to = NULL;
	return outfile_commit(done);
}

int
convert_run(const struct convert_options *opt)
{
	struct conversion c = {
	    .opt = opt, .tree.spool = -1, .beside.spool = -1};
	unsigned said = cmd_errors_said();
	int rc = open_all(&c);

	if (rc == 0)
		rc = convert(&c);
	if (rc == 0)
		tell(&c);
	else if (cmd_errors_said() == said)
		log_error("'%s' is not written: %s", opt->out,
		    rc == -EINTR ? "interrupted" : strerror(-rc));
	create_fs_release(&c.fs);
	order_release(&c.order);
	tree_release(&c.beside);
	tree_release(&c.tree);
	close_all(&c);
	return rc;
}
