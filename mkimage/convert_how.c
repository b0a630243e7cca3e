/* What a converted image is like: as the old one, but for what was asked. */
#include <string.h>

#include "../imgfmt/log.h"
#include "../imgfmt/ufs_format.h"
#include "commit.h"
#include "container.h"
#include "convert_impl.h"

enum {
	DEFAULT_CLUSTER = 16384, /* mkuzip's (formats.md 1.7) */
	GZ_LEVEL = 9,            /* a commit's */
	DENSITY_MIN = 512,
};

enum create_format
convert_format_of(const char *out)
{
	enum create_format format = create_format_named(out);

	return format == CREATE_ISO ? CREATE_BY_NAME : format;
}

/* The form in which the image's container has it. */
static enum create_format
format_inside(const struct image *im)
{
	switch (im->layer[container_target(im)].kind) {
	case IMAGE_UZIP:
		return CREATE_UZIP;
	case IMAGE_GZ:
		return CREATE_GZ;
	default:
		return CREATE_UFS;
	}
}

/*
 * Whether the ISO is in the layout that is asked for, as create makes it, and
 * nothing else is asked of it.
 */
static bool
has_layout(const struct conversion *c)
{
	const struct iso_args *asked = &c->opt->iso;
	enum layout_kind kind = asked->layout.kind;
	const char *path = layout_image_path(kind), *is;
	struct iso_node node;

	if (path == NULL || convert_is_plain(c) || c->iso == NULL ||
	    asked->set || asked->layout.label != NULL ||
	    container_is_too_deep(c->image))
		return false;
	is = c->image->layer[container_target(c->image)].name;
	if (strcmp(is + strspn(is, "/"), path) != 0 ||
	    iso_lookup(c->iso,
		kind == LAYOUT_UZIP ? "newroot.rc" : "boot/memroot.ufs.gz",
		&node) < 0)
		return false;
	log_info("'%s' has this layout: only its image is made anew",
	    c->opt->address);
	return true;
}

static int
decide_format(struct conversion *c)
{
	const struct convert_options *opt = c->opt;

	c->how.name = opt->out;
	c->layout = opt->iso.layout_set && !has_layout(c);
	if (opt->iso.layout_set) {
		c->whole = !c->layout;
		c->how.format = CREATE_UZIP;
		return 0;
	}
	if (c->how.format == CREATE_BY_NAME)
		c->how.format = convert_format_of(opt->out);
	c->whole = c->how.format == CREATE_BY_NAME;
	if (!c->whole)
		return 0;
	c->how.format = format_inside(c->image);
	if (create_format_named(opt->out) == CREATE_ISO && c->iso == NULL)
		log_warn("'%s' is %s as '%s' is, whatever its name; --layout "
			 "makes an ISO",
		    opt->out, image_kind_name(c->image->layer[0].kind),
		    c->image->path);
	if (!container_is_too_deep(c->image))
		return 0;
	log_error("'%s': an image nested this deep cannot be put back; "
		  "--format ufs, uzip or gz writes it alone",
	    opt->address);
	return -ENOTSUP;
}

static void
decide_ufs(struct conversion *c)
{
	const struct fs_args *asked = &c->opt->fs;
	const struct ufs_info *is = &c->info;
	struct ufs_mkfs *mkfs = &c->how.mkfs;

	if (mkfs->version == 0)
		mkfs->version = is->version;
	if (mkfs->block_size == 0) {
		mkfs->block_size = is->block_size;
		if (mkfs->frag_size == 0)
			mkfs->frag_size = is->frag_size;
	}
	if (!asked->minfree_set)
		mkfs->minfree = is->minfree;
	if (mkfs->label == NULL && is->label[0] != '\0')
		mkfs->label = is->label;
	if (!asked->order_set)
		mkfs->big_endian = is->big_endian;
	/* an image for kernels that know no check hashes stays one */
	if (!asked->hashes_set)
		mkfs->check_hashes =
		    is->version == 1 || (is->flags & UFS_FS_METACKHASH) != 0;
	mkfs->flags = is->flags & UFS_TREATMENT_FLAGS;
	if (mkfs->version == 1) /* it has no attributes to keep these in */
		mkfs->flags &= ~(uint32_t)(UFS_FS_ACLS | UFS_FS_NFS4ACLS |
		    UFS_FS_MULTILABEL);
}

static uint32_t
density(uint64_t bytes)
{
	if (bytes < DENSITY_MIN)
		return DENSITY_MIN;
	return bytes < INT32_MAX ? (uint32_t)bytes : INT32_MAX;
}

/*
 * Free space may be there on purpose: for a memory root that is remounted
 * read-write, or for a writable layer of blocks over a uzip, which must find
 * it below itself (livecds.md 1a).  Compressed it costs nothing, so it stays;
 * an image in a partition stays as large as it is, unless its files, which
 * makefs may have packed more tightly, want more of the partition.
 */
static void
decide_size(struct conversion *c)
{
	const struct ufs_info *is = &c->info;
	uint64_t spare = create_spare(c->how.mkfs.block_size);

	if (c->opt->fs.free_set || c->how.size != 0)
		return;
	if (c->how.format != CREATE_UFS || (c->whole && c->iso != NULL)) {
		c->how.free_bytes = is->avail > spare ? is->avail - spare : 0;
	} else if (c->whole && c->image->nlayers > 1) {
		c->how.size = is->size;
		c->how.size_most = c->image->dev->size -
		    c->image->dev->size % c->how.mkfs.block_size;
		if (c->how.mkfs.bytes_per_inode == 0 && is->inodes > 0)
			c->how.mkfs.bytes_per_inode =
			    density(is->size / is->inodes);
	}
}

/*
 * What is packed as it is to be need not be packed again, unless it is to be
 * packed better, or faster; or equal clusters are to be found, which may be
 * packed differently where nobody looked for them.
 */
static void
decide_reuse(struct conversion *c, bool new_dedup)
{
	const struct image *im = c->image;
	const struct uzip_info *is;

	if (im->uzip == NULL || im->dev != im->uzip || convert_is_plain(c) ||
	    c->opt->uzip.level_set || new_dedup)
		return;
	is = uzip_info(im->uzip);
	if (is->codec != c->how.uzip.codec ||
	    is->cluster != c->how.uzip.cluster)
		return;
	c->how.known = view_device(&c->view);
	c->how.packed = im->uzip;
}

/* As commit_uzip.c does it. */
static int
decide_uzip(struct conversion *c)
{
	const struct uzip_args *asked = &c->opt->uzip;
	struct uzip_params p = {.codec = UZIP_ZLIB, .cluster = DEFAULT_CLUSTER};
	bool new_dedup;
	int rc =
	    c->image->uzip == NULL ? 0 : commit_uzip_habits(c->image->uzip, &p);

	if (rc < 0)
		return rc;
	if (asked->codec_set && asked->params.codec != p.codec) {
		p.codec = asked->params.codec;
		p.level = 0;
	}
	if (asked->level_set)
		p.level = asked->params.level;
	if (asked->cluster_set)
		p.cluster = asked->params.cluster;
	new_dedup = asked->params.dedup && !p.dedup;
	p.dedup = p.dedup || asked->params.dedup;
	p.keep_zeroes = p.keep_zeroes || asked->params.keep_zeroes;
	c->how.uzip = p;
	decide_reuse(c, new_dedup);
	return 0;
}

/* Wishes that this format has no use for; what else is wrong, cmd says. */
static int
check_format(const struct conversion *c)
{
	const struct uzip_args *asked = &c->opt->uzip;
	const char *what = NULL;

	if (c->how.format != CREATE_UZIP && uzip_args_for_uzip(asked))
		what = "-A, -L, -s, -d and -Z are for uzips";
	else if (c->how.format == CREATE_UFS && asked->level_set)
		what = "-C is for uzips and gz files";
	else if (c->how.format == CREATE_GZ && asked->params.level > GZ_LEVEL)
		what = "gz has levels 1 to 9";
	if (what == NULL)
		return 0;
	log_error(
	    "'%s' holds its image in another form: %s", c->image->path, what);
	return -EINVAL;
}

int
convert_decide(struct conversion *c)
{
	int rc;

	c->how = c->opt->fs.fs;
	rc = decide_format(c);
	if (rc == 0)
		rc = check_format(c);
	if (rc < 0)
		return rc;
	decide_ufs(c);
	decide_size(c);
	c->how.gz_level =
	    c->opt->uzip.level_set ? c->opt->uzip.params.level : GZ_LEVEL;
	c->how.jobs = (unsigned)c->opt->uzip.threads;
	return c->how.format == CREATE_UZIP ? decide_uzip(c) : 0;
}
