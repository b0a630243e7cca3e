/*
 * The ISO by libisofs: its tree of nodes from ours, and the bytes that it
 * makes, in a thread of its own, to the output.
 *
 * 1. Nothing of the host decides: neither its locale nor its time zone, nor
 *    the time; names pass as bytes.
 * 2. What libisofs cannot read it fills with zeroes.  So contents come by a
 *    stream class of ours, which keeps the first error; then all stops.
 * 3. The raw ISO 9660 names are those of `mkisofs -l -ldots -allow-lowercase
 *    -allow-multidot`: cdboot finds boot/loader by them (trap 67).  Rock Ridge
 *    is of version 1.10, the only one that FreeBSD knows.
 * 4. No file serial numbers: libisofs numbers by addresses in memory, which
 *    would make each ISO another one.  Names of one file share its extent, by
 *    which readers know them, and its number of links.
 * 5. libisofs 1.5.4 miscounts the sectors of long names where a directory has
 *    dozens of more than 120 bytes, now and then; it says so in the end, and
 *    we name the directory.
 */
#include "iso_author_stream.h"

#include <string.h>

#include "../imgfmt/log.h"

enum {
	SECTOR = 2048,
	PIECE = 1 << 20,
	FIFO = 4 << 20,
	EFI_PLATFORM = 0xef,
	EVERYWHERE = LIBISO_HIDE_ON_RR | LIBISO_HIDE_ON_JOLIET |
	    LIBISO_HIDE_ON_1999 | LIBISO_HIDE_BUT_WRITE,
	WEIGHT_HIDDEN = 1, /* files of the tree: 0 and less */
	LONG_NAME = 120,   /* what does not fit a directory record */
	LONG_NAMES = 20,   /* what never was too much */
};

struct image {
	struct author *author;
	IsoImage *iso;
	IsoWriteOpts *opts;
	struct burn_source *source;
	struct author_contents contents;
	/* The directory with the most names or targets of LONG_NAME bytes. */
	const char *long_dir;
	size_t nlong;
	char fat_name[32], catalog_name[32];
};

/* -- nodes; results are libisofs's: negative is an error --------------------
 */

static void
set_attributes(IsoNode *to, const struct tree_node *node)
{
	iso_node_set_permissions(to, node->mode & 07777);
	iso_node_set_uid(to, node->uid);
	iso_node_set_gid(to, node->gid);
	iso_node_set_mtime(to, node->mtime.tv_sec);
	iso_node_set_atime(to, node->atime.tv_sec);
	iso_node_set_ctime(to, node->ctime.tv_sec);
}

static int
add_file(struct image *im, IsoDir *dir, const struct tree_entry *entry,
    IsoNode **out)
{
	struct author_file *file = author_file_of(im->author, entry->node);
	IsoStream *stream;
	IsoFile *node = NULL;
	int ret = author_stream_get(&im->contents, file, &stream);

	if (ret < 0)
		return ret;
	ret = iso_tree_add_new_file(dir, entry->name, stream, &node);
	if (ret < 0) {
		iso_stream_unref(stream);
		return ret;
	}
	iso_node_set_sort_weight((IsoNode *)node, -(int)file->rank);
	*out = (IsoNode *)node;
	return ret;
}

static int add_entries(struct image *im, IsoDir *dir, const char *name,
    const struct tree_node *node);

/* Add what is no directory; *out: the new node. */
static int
add_leaf(struct image *im, IsoDir *dir, const struct tree_entry *entry,
    IsoNode **out)
{
	const struct tree_node *node = entry->node;
	/* High and low half become Rock Ridge's major and minor number. */
	dev_t dev = (dev_t)node->rdev_major << 32 | node->rdev_minor;
	IsoSymlink *link = NULL;
	IsoSpecial *special = NULL;
	int ret;

	if (S_ISREG(node->mode))
		return add_file(im, dir, entry, out);
	if (S_ISLNK(node->mode)) {
		ret = iso_tree_add_new_symlink(
		    dir, entry->name, node->target, &link);
		*out = (IsoNode *)link;
		return ret;
	}
	if (!S_ISCHR(node->mode) && !S_ISBLK(node->mode))
		dev = 0;
	ret = iso_tree_add_new_special(
	    dir, entry->name, node->mode, dev, &special);
	*out = (IsoNode *)special;
	return ret;
}

static int
add_entry(struct image *im, IsoDir *dir, const struct tree_entry *entry)
{
	IsoDir *child = NULL;
	IsoNode *node = NULL;
	int ret;

	if (S_ISDIR(entry->node->mode)) {
		ret = iso_tree_add_new_dir(dir, entry->name, &child);
		if (ret >= 0)
			ret = add_entries(im, child, entry->name, entry->node);
		node = (IsoNode *)child;
	} else {
		ret = add_leaf(im, dir, entry, &node);
	}
	if (ret >= 0)
		set_attributes(node, entry->node);
	return ret;
}

/* Whether Rock Ridge needs more room for it than a directory record has. */
static bool
is_long(const struct tree_entry *entry)
{
	size_t len = strlen(entry->name);

	if (S_ISLNK(entry->node->mode))
		len += strlen(entry->node->target);
	return len > LONG_NAME;
}

/*
 * Fill dir.  libisofs keeps a sorted list and looks for the place from its
 * beginning, so the last name comes first.
 */
static int
add_entries(struct image *im, IsoDir *dir, const char *name,
    const struct tree_node *node)
{
	size_t nlong = 0;
	int ret = 1;

	for (size_t i = node->n; i > 0 && ret >= 0; i--) {
		nlong += is_long(&node->entries[i - 1]);
		ret = add_entry(im, dir, &node->entries[i - 1]);
	}
	if (nlong > im->nlong) {
		im->nlong = nlong;
		im->long_dir = name;
	}
	return ret;
}

/* -- boot entries -----------------------------------------------------------
 */

/* A name for what is hidden in the root directory and must not be there. */
static void
free_name(const struct tree *tree, const char *stem, char name[32])
{
	snprintf(name, 32, "%s", stem);
	for (unsigned i = 1; tree_child(tree->root, name) != NULL; i++)
		snprintf(name, 32, "%s.%u", stem, i);
}

/* Enter the FAT image: written, but in no directory. */
static int
add_fat(struct image *im)
{
	struct author *a = im->author;
	uint8_t *copy = malloc(a->fat_size);
	IsoStream *stream;
	IsoFile *file;
	int ret;

	if (copy == NULL)
		return (int)ISO_OUT_OF_MEM;
	memcpy(copy, a->fat, a->fat_size);
	ret = iso_memory_stream_new(copy, a->fat_size, &stream);
	if (ret < 0) {
		free(copy);
		return ret;
	}
	ret = iso_tree_add_new_file(
	    iso_image_get_root(im->iso), im->fat_name, stream, &file);
	if (ret < 0) {
		iso_stream_unref(stream);
		return ret;
	}
	iso_node_set_hidden((IsoNode *)file, EVERYWHERE);
	iso_node_set_sort_weight((IsoNode *)file, WEIGHT_HIDDEN);
	return ret;
}

/* One El Torito entry: no emulation, the whole file is to be loaded. */
static int
add_boot(struct image *im, const char *path, unsigned n, uint8_t platform)
{
	scoped(freep) char *full = NULL;
	scoped(freep) char *catalog = NULL;
	ElToritoBootImage *boot = NULL;
	int ret;

	if (asprintf(&full, "/%s", path) < 0 ||
	    asprintf(&catalog, "/%s", im->catalog_name) < 0)
		return (int)ISO_OUT_OF_MEM;
	ret = n > 0 ? iso_image_add_boot_image(
			  im->iso, full, ELTORITO_NO_EMUL, 0, &boot)
		    : iso_image_set_boot_image(
			  im->iso, full, ELTORITO_NO_EMUL, catalog, &boot);
	if (ret < 0)
		return ret;
	el_torito_set_full_load(boot, 1);
	return el_torito_set_boot_platform_id(boot, platform);
}

static int
add_boots(struct image *im)
{
	const struct author *a = im->author;
	unsigned n = 0;
	int ret = 1;

	free_name(a->how->tree, "efiboot.img", im->fat_name);
	free_name(a->how->tree, "boot.catalog", im->catalog_name);
	if (a->cdboot != NULL)
		ret = add_boot(im, a->how->cdboot, n++, 0);
	if (ret >= 0 && a->fat != NULL)
		ret = add_fat(im);
	if (ret >= 0 && a->fat != NULL)
		ret = add_boot(im, im->fat_name, n++, EFI_PLATFORM);
	if (ret < 0 || n == 0)
		return ret;
	ret = iso_image_set_boot_catalog_hidden(im->iso, EVERYWHERE);
	if (ret >= 0)
		ret = iso_image_set_boot_catalog_weight(
		    im->iso, WEIGHT_HIDDEN + 1);
	return ret;
}

static int
make_tree(struct image *im)
{
	const struct iso_author *how = im->author->how;
	int ret = iso_image_new("", &im->iso);

	if (ret < 0)
		return ret;
	iso_image_set_volume_id(im->iso, how->label);
	iso_image_set_volset_id(
	    im->iso, how->volume_set != NULL ? how->volume_set : "");
	iso_image_set_publisher_id(
	    im->iso, how->publisher != NULL ? how->publisher : "");
	iso_image_set_system_id(im->iso, "FreeBSD");
	iso_image_set_application_id(im->iso, "RELIVE");
	ret =
	    add_entries(im, iso_image_get_root(im->iso), "/", how->tree->root);
	if (ret >= 0)
		ret = add_boots(im);
	/* last: adding to it has changed its times */
	if (ret >= 0)
		set_attributes(
		    (IsoNode *)iso_image_get_root(im->iso), how->tree->root);
	return ret;
}

/* -- how it is written ------------------------------------------------------
 */

/* The volume's dates: digits for year to hundredths of a second, in UTC. */
static void
volume_date(time_t now, char text[17])
{
	struct tm tm;

	if (gmtime_r(&now, &tm) == NULL || tm.tm_year < -1899 ||
	    tm.tm_year > 8099)
		tm = (struct tm){.tm_year = 70, .tm_mday = 1};
	(void)strftime(text, 17, "%Y%m%d%H%M%S00", &tm);
}

static int
make_options(struct image *im)
{
	char charset[] = "ISO-8859-1", date[64] = "";
	IsoWriteOpts *o;
	int ret = iso_write_opts_new(&im->opts, 0);

	if (ret < 0)
		return ret;
	o = im->opts;
	volume_date(im->author->how->now, date);
	const int results[] = {
	    iso_write_opts_set_iso_level(o, 3),
	    iso_write_opts_set_rockridge(o, 1),
	    iso_write_opts_set_rrip_version_1_10(o, 1),
	    iso_write_opts_set_hardlinks(o, 1),
	    iso_write_opts_set_allow_lowercase(o, 1),
	    iso_write_opts_set_no_force_dots(o, 1),
	    iso_write_opts_set_allow_dir_id_ext(o, 1),
	    iso_write_opts_set_allow_7bit_ascii(o, 1),
	    iso_write_opts_set_allow_deep_paths(o, 1),
	    iso_write_opts_set_allow_longer_paths(o, 1),
	    iso_write_opts_set_relaxed_vol_atts(o, 1),
	    iso_write_opts_set_dir_rec_mtime(o, 1),
	    iso_write_opts_set_sort_files(o, 1),
	    iso_write_opts_set_always_gmt(o, 1),
	    iso_write_opts_set_output_charset(o, charset),
	    iso_write_opts_set_fifo_size(o, FIFO / SECTOR),
	    iso_write_opts_set_tail_blocks(o, im->author->tail_sectors),
	    iso_write_opts_set_pvd_times(o, 0, 0, 0, 0, date),
	};

	for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++)
		if (results[i] < 0)
			ret = results[i];
	return ret;
}

/* -- errors -------------------------------------------------------------------
 */

/* Say what libisofs has to complain of; ret is what it returned. */
static int
complain(int ret)
{
	char text[ISO_MSGS_MESSAGE_LEN] = "", severity[80] = "";
	char least[] = "SORRY";
	int code, id;

	if (iso_obtain_msgs(least, &code, &id, text, severity) <= 0)
		snprintf(text, sizeof(text), "%s", iso_error_to_msg(ret));
	log_error("cannot make the ISO: %s", text);
	return -EINVAL;
}

/* What libisofs makes has ended early. */
static int
cut_short(const struct image *im)
{
	if (im->nlong < LONG_NAMES)
		return complain((int)ISO_CANCELED);
	log_error("cannot make the ISO: libisofs fails on the %zu names of "
		  "more than %d bytes in directory '%s'",
	    im->nlong, LONG_NAME, im->long_dir);
	return -EINVAL;
}

static int
cannot_write(int rc)
{
	log_error("cannot write the ISO: %s", strerror(-rc));
	return rc == -ENOMEM ? -EIO : rc; /* said */
}

/* -- writing ----------------------------------------------------------------
 */

/* FNV-1a, for ids that differ when the ISO does. */
static uint64_t
hash(const uint8_t *p, size_t len)
{
	uint64_t h = 0xcbf29ce484222325;

	while (len-- > 0)
		h = (h ^ *p++) * 0x100000001b3;
	return h;
}

/* The next len bytes of what libisofs makes; it ends early after errors. */
static int
take(struct image *im, uint8_t *buf, int len)
{
	struct burn_source *source = im->source;
	int got = source->read != NULL ? source->read(source, buf, len)
				       : source->read_xt(source, buf, len);
	int rc = atomic_load(&im->contents.rc);

	if (rc < 0)
		return rc;
	return got == len ? 0 : cut_short(im);
}

/*
 * The publisher as it was given, in the first bytes of an ISO: libisofs puts it
 * in capitals, mkisofs and makefs do not.
 */
static void
put_publisher(const struct iso_author *how, uint8_t *buf, int len)
{
	enum { FIELD = 16 * SECTOR + 318, FIELD_LEN = 128 };
	size_t n = how->publisher != NULL ? strlen(how->publisher) : 0;

	if (n == 0 || n > FIELD_LEN || len < FIELD + FIELD_LEN)
		return;
	memcpy(buf + FIELD, how->publisher, n);
	memset(buf + FIELD + n, ' ', FIELD_LEN - n);
}

/* What libisofs makes, to out; errors but -EINTR said. */
static int
copy(struct image *im, struct progress *bar, struct blkdev *out)
{
	scoped(freep) uint8_t *buf = malloc(PIECE);
	uint64_t at = 0;
	int rc = buf == NULL ? -ENOMEM : 0;

	while (at < out->size && rc == 0) {
		uint64_t left = out->size - at;
		int n = left < PIECE ? (int)left : PIECE;

		rc = take(im, buf, n);
		if (rc < 0)
			return rc;
		if (at == 0) {
			put_publisher(im->author->how, buf, n);
			im->author->seed = hash(buf, (size_t)n);
		}
		rc = blkdev_write_sparse(out, at, buf, (size_t)n);
		if (rc < 0)
			return cannot_write(rc);
		at += (uint64_t)n;
		rc = progress_update(bar, at);
	}
	return rc;
}

static int
write_out(struct image *im, struct progress *bar, struct blkdev *out)
{
	int rc = blkdev_resize(out, (uint64_t)im->source->get_size(im->source));

	if (rc < 0)
		rc = cannot_write(rc);
	progress_start(bar, "writing", out->size);
	if (rc == 0)
		rc = copy(im, bar, out);
	progress_stop(bar);
	if (rc < 0)
		im->source->cancel(im->source);
	return rc;
}

static int
write_image(struct image *im, struct progress *bar, struct blkdev *out)
{
	int ret = make_tree(im);

	if (ret >= 0)
		ret = make_options(im);
	if (ret >= 0)
		ret = iso_image_create_burn_source(
		    im->iso, im->opts, &im->source);
	return ret < 0 ? complain(ret) : write_out(im, bar, out);
}

/* No locale, no messages but to us. */
static int
begin(void)
{
	char charset[] = "ISO-8859-1", queue[] = "SORRY", print[] = "NEVER";
	char abort_at[] = "FAILURE", prefix[] = "";
	int ret = iso_init_with_flag(1);

	if (ret < 0)
		return ret;
	ret = iso_set_local_charset(charset, 0);
	if (ret > 0)
		ret = iso_set_msgs_severities(queue, print, prefix);
	if (ret > 0)
		ret = iso_set_abort_severity(abort_at);
	return ret;
}

static void
end(struct image *im)
{
	if (im->source != NULL) {
		im->source->free_data(im->source);
		free(im->source);
	}
	iso_write_opts_free(im->opts);
	if (im->iso != NULL)
		iso_image_unref(im->iso);
	author_streams_release(im->author);
	iso_finish();
}

int
author_write_image(struct author *a, struct progress *bar, struct blkdev *out)
{
	scoped(freep) struct image *im = calloc(1, sizeof(*im));
	int ret, rc;

	if (im == NULL)
		return -ENOMEM;
	im->author = a;
	im->contents.reader = a->reader;
	ret = begin();
	rc = ret < 0 ? complain(ret) : write_image(im, bar, out);
	end(im);
	return rc;
}
