/* An ISO in one of the layouts, from its tree to its last byte. */
#include "layout.h"

#include <inttypes.h>
#include <string.h>

#include "../imgfmt/iso.h"
#include "../imgfmt/log.h"
#include "cmd.h"
#include "iso_author.h"
#include "layout_impl.h"
#include "order.h"
#include "tree_gzip.h"
#include "tree_tar.h"
#include "trim.h"

enum { LABEL_MAX = 32 };

/* Bytes from which on FreeBSD reads no file of an ISO (trap 73). */
#define IMAGE_MOST ((uint64_t)4 << 30)

int
layout_check_label(const char *label)
{
	if (*label == '\0' || strlen(label) > LABEL_MAX) {
		log_error(
		    "label '%s': an ISO's has 1 to %d bytes", label, LABEL_MAX);
		return -EINVAL;
	}
	for (const char *p = label; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == '/' || *p == 0x7f) {
			log_error("label '%s' has characters that /dev/iso9660 "
				  "cannot show",
			    label);
			return -EINVAL;
		}
	/* it stands in a shell script, loader.conf and fstab */
	if (strpbrk(label, "\\`$") != NULL) {
		log_error(
		    "label '%s' has one of \\ ` $, by which a boot script "
		    "would not find the medium",
		    label);
		return -EINVAL;
	}
	return 0;
}

/* The tree that the ISO itself holds. */
static struct tree *
iso_tree(struct layout *l)
{
	return l->opt->kind == LAYOUT_PLAIN ? l->system : &l->cd;
}

/* -- the tree ---------------------------------------------------------------
 */

/* An archive of t; what it reads is closed before t changes. */
static int
archive_tree(struct layout *l, const struct tree *t)
{
	struct tree_reader reader;
	int rc;

	tree_reader_init(&reader, t);
	rc = tree_archive(t, &reader, iso_tree(l), l->opt->archive);
	if (rc == 0)
		rc = tree_reader_finish(&reader);
	tree_reader_release(&reader);
	return rc;
}

/* An archive of a source that has nothing to do with the tree. */
static int
archive_source(struct layout *l)
{
	const struct layout_options *opt = l->opt;
	struct tree part;
	int rc = tree_init_part(&part, l->system);

	if (rc < 0)
		return rc;
	part.excludes = l->system->excludes;
	part.nexcludes = l->system->nexcludes;
	rc = tree_add_source(&part, opt->archive_source);
	if (rc == 0)
		rc = tree_prune(&part);
	if (rc == 0)
		rc = archive_tree(l, &part);
	tree_release(&part);
	return rc;
}

static int
put_archive(struct layout *l)
{
	const struct layout_options *opt = l->opt;
	const struct tree_node *node;
	int rc;

	if (opt->archive == NULL)
		return 0;
	if (opt->archive_source != NULL)
		rc = archive_source(l);
	else
		rc = archive_tree(l, l->system);
	if (rc < 0)
		return rc;
	node = tree_find(iso_tree(l), opt->archive);
	l->sizes.archive = node->size;
	return 0;
}

static void
tell_trimmed(const struct trim_counts *c)
{
	char modules[32], files[32];

	log_info("left out: %" PRIu64 " modules (%s; %" PRIu64 " stay) and "
		 "%" PRIu64 " other files (%s) that a CD does not need to boot",
	    c->modules, cmd_bytes(modules, sizeof(modules), c->module_bytes),
	    c->kept, c->files, cmd_bytes(files, sizeof(files), c->file_bytes));
}

static int
gzip_kernel(struct tree *t)
{
	scoped(freep) char *kernel = NULL;
	int rc = layout_kernel(t, &kernel);

	return rc < 0 ? rc : tree_gzip(t, kernel, 9);
}

/* What a CD does not need to boot, and the kernel smaller. */
static int
slim(struct layout *l)
{
	struct tree *t = iso_tree(l);
	struct trim_counts counts = {0};
	int rc = 0;

	if (l->opt->trim)
		rc = trim_boot(t, &counts);
	if (rc == 0 && l->opt->trim)
		tell_trimmed(&counts);
	if (rc == 0 && l->opt->gzip_kernel)
		rc = gzip_kernel(t);
	return rc;
}

static int
make_trees(struct layout *l)
{
	const struct layout_options *opt = l->opt;
	int rc = layout_check_tree(l->system, opt->kind);

	if (rc == 0)
		rc = layout_tweak_system(l);
	if (rc == 0 && opt->kind != LAYOUT_PLAIN)
		rc = layout_make_cd(l);
	if (rc == 0 && !opt->no_tweak)
		rc = layout_tweak_loader(l, iso_tree(l));
	/* an archive is to install from: it has all that the tree has */
	if (rc == 0)
		rc = put_archive(l);
	return rc < 0 ? rc : slim(l);
}

/* -- the ISO ----------------------------------------------------------------
 */

static const char *
if_there(const struct tree *t, const char *path)
{
	return tree_find(t, path) != NULL ? path : NULL;
}

static int
author(struct layout *l, const struct order *order, struct blkdev *out)
{
	const struct layout_options *opt = l->opt;
	const struct tree *t = iso_tree(l);
	struct iso_author how = {
	    .tree = t,
	    .label = opt->label,
	    .volume_set = opt->volume_set,
	    .publisher = opt->publisher,
	    .cdboot = if_there(t, LAYOUT_CDBOOT),
	    .loader_efi = if_there(t, LAYOUT_LOADER_EFI),
	    .pmbr = if_there(t, "boot/pmbr"),
	    .isoboot = if_there(t, "boot/isoboot"),
	    .last = layout_image_path(opt->kind),
	    .now = t->now.tv_sec,
	};
	struct progress bar;

	how.order = (const char *const *)order->paths;
	how.norder = order->n;
	return iso_author_write(&how, &l->reader, &bar, out);
}

/* The ISO of the tree that it holds, with its part of --order first. */
static int
author_in_order(struct layout *l, struct blkdev *out)
{
	struct order first = {0};
	int rc = 0;

	if (l->opt->fs.order != NULL) {
		order_tell_missing(l->opt->fs.order, l->system, iso_tree(l));
		rc = order_of_tree(l->opt->fs.order, iso_tree(l), &first);
	}
	if (rc == 0)
		rc = author(l, &first, out);
	order_release(&first);
	return rc;
}

/* The image of the live root goes where plan has its place. */
static int
write_image(struct layout *l, struct iso_plan *plan, struct create_fs *fs,
    struct blkdev *out)
{
	uint64_t at = iso_plan_info(plan)->image_off;
	int rc = create_fs_write(fs, &l->reader, out, at);

	l->sizes.raw = fs->layout.meta->size;
	l->sizes.image = fs->written;
	if (rc == 0 && fs->written >= IMAGE_MOST) {
		log_error("the image has %" PRIu64 " bytes; FreeBSD reads no "
			  "file of 4 GiB or more from an ISO",
		    fs->written);
		rc = -EFBIG;
	}
	return rc < 0 ? rc : iso_plan_finish(plan, out, fs->written);
}

/* The ISO in skeleton, with an image instead of the place that holds it. */
static int
add_image(struct layout *l, struct blkdev *skeleton, struct create_fs *fs,
    struct blkdev *out)
{
	struct iso_node node;
	struct iso_plan *plan = NULL;
	struct iso *iso;
	int rc = iso_open(skeleton, &iso);

	if (rc < 0)
		return rc;
	rc = iso_lookup(iso, layout_image_path(l->opt->kind), &node);
	if (rc == 0)
		rc = iso_plan_make(iso, &node, &plan);
	if (rc == 0)
		rc = iso_plan_copy(plan, out);
	if (rc == 0)
		rc = write_image(l, plan, fs, out);
	iso_plan_free(plan);
	iso_close(iso);
	return rc;
}

/*
 * The image's length shows only when it is written, and it goes straight into
 * the ISO.  So all else is written first, to a scratch file, with a sector in
 * its place, and a commit's way of changing an ISO does the rest.
 */
static int
write_with_image(struct layout *l, struct blkdev *out)
{
	struct create_fs_options how = l->opt->fs;
	struct create_fs fs = {0};
	struct blkdev *skeleton;
	int rc;

	how.name = layout_image_path(l->opt->kind);
	how.format = CREATE_UZIP;
	rc = tree_scratch(l->system, &skeleton);
	if (rc < 0)
		return rc;
	/* first what can still show that the tree cannot be an image */
	rc = create_fs_lay_out(&fs, &how, l->system);
	if (rc == 0)
		rc = author_in_order(l, skeleton);
	if (rc == 0)
		rc = add_image(l, skeleton, &fs, out);
	create_fs_release(&fs);
	blkdev_close(skeleton);
	return rc;
}

static int
write_iso(struct layout *l, struct blkdev *out)
{
	int rc = l->opt->kind == LAYOUT_PLAIN ? author_in_order(l, out)
					      : write_with_image(l, out);

	if (rc == 0)
		rc = tree_reader_finish(&l->reader);
	if (rc == 0)
		layout_measure(l, out->size);
	return rc;
}

int
layout_write(struct tree *t, const struct layout_options *opt,
    struct blkdev *out, struct layout_sizes *sizes)
{
	struct layout l = {.opt = opt, .system = t, .cd.spool = -1};
	unsigned said = cmd_errors_said();
	int rc = layout_check_label(opt->label);

	layout_device(opt->label, l.device);
	tree_reader_init(&l.reader, t);
	if (rc == 0)
		rc = make_trees(&l);
	if (rc == 0)
		rc = write_iso(&l, out);
	if (rc < 0 && rc != -EINTR && cmd_errors_said() == said)
		log_error("cannot write '%s': %s", opt->out, strerror(-rc));
	tree_reader_release(&l.reader);
	tree_release(&l.cd);
	*sizes = l.sizes;
	return rc;
}
