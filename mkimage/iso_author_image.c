/*
 * The ISO by libisofs: its tree of nodes from ours, and the bytes that it
 * makes, in a thread of its own, to the output.
 *
 * 1. Nothing of the host decides: neither its locale nor its time zone, nor
 *    the time; names pass as bytes.
 * 2. libisofs fills with zeroes what it cannot read.  So contents come by a
 *    stream class of ours, which keeps the first error; then all stops.
 * 3. The raw ISO 9660 names are those of `mkisofs -l -ldots -allow-lowercase
 *    -allow-multidot`: cdboot finds boot/loader by them (trap 67).  Rock Ridge
 *    is of version 1.10, the only one that FreeBSD knows.
 * 4. No file serial numbers: libisofs numbers by addresses in memory, which
 *    would make each ISO another one.  Names of one file share its extent, by
 *    which readers know them, and its number of links.
 */
#define LIBISOFS_WITHOUT_LIBBURN /* wants struct burn_source declared */
#include "iso_author_impl.h"

#include <libisofs/libisofs.h>
#include <stdatomic.h>
#include <string.h>

#include "../imgfmt/log.h"

enum {
	SECTOR = 2048,
	PIECE = 1 << 20,
	FIFO = 4 << 20,
	STREAM_FS = 0x4001, /* an id that libisofs does not use itself */
	EFI_PLATFORM = 0xef,
	EVERYWHERE = LIBISO_HIDE_ON_RR | LIBISO_HIDE_ON_JOLIET |
	    LIBISO_HIDE_ON_1999 | LIBISO_HIDE_BUT_WRITE,
	WEIGHT_HIDDEN = 1, /* files of the tree: 0 and less */
};

struct image {
	struct author *author;
	IsoImage *iso;
	IsoWriteOpts *opts;
	struct burn_source *source;
	atomic_int rc; /* the first error of reading contents */
	char fat_name[32], catalog_name[32];
};

/* -- contents ---------------------------------------------------------------
 */

struct content_stream {
	struct image *image;
	const struct author_file *file;
	uint64_t pos;
};

static int
content_open(IsoStream *stream)
{
	struct content_stream *s = stream->data;

	s->pos = 0;
	return 1;
}

static int
content_close(IsoStream *stream)
{
	(void)stream;
	return 1;
}

static off_t
content_size(IsoStream *stream)
{
	struct content_stream *s = stream->data;

	return (off_t)s->file->node->size;
}

static int
content_read(IsoStream *stream, void *buf, size_t count)
{
	struct content_stream *s = stream->data;
	uint64_t left = s->file->node->size - s->pos;
	size_t n = left < count ? (size_t)left : count;
	int rc;

	if (n == 0)
		return 0;
	rc = tree_read(s->image->author->reader, s->file->node, s->pos, buf, n);
	if (rc < 0) {
		int none = 0;

		atomic_compare_exchange_strong(&s->image->rc, &none, rc);
		return (int)ISO_FILE_READ_ERROR;
	}
	s->pos += n;
	return (int)n;
}

static int
content_is_repeatable(IsoStream *stream)
{
	(void)stream;
	return 1;
}

static void
content_id(IsoStream *stream, unsigned int *fs, dev_t *dev, ino_t *ino)
{
	struct content_stream *s = stream->data;

	*fs = STREAM_FS;
	*dev = 0;
	*ino = s->file->rank + 1;
}

static void
content_free(IsoStream *stream)
{
	free(stream->data);
}

static int
content_update_size(IsoStream *stream)
{
	(void)stream;
	return 1;
}

static IsoStreamIface content_class = {
    .version = 1,
    .type = {'u', 's', 'e', 'r'},
    .open = content_open,
    .close = content_close,
    .get_size = content_size,
    .read = content_read,
    .is_repeatable = content_is_repeatable,
    .get_id = content_id,
    .free = content_free,
    .update_size = content_update_size,
};

/* The stream of a file, with a reference for the caller: one for all names. */
static int
stream_of(struct image *im, struct author_file *file, IsoStream **out)
{
	struct content_stream *s;
	IsoStream *stream = file->stream;

	if (stream == NULL) {
		stream = calloc(1, sizeof(*stream));
		s = calloc(1, sizeof(*s));
		if (stream == NULL || s == NULL) {
			free(stream);
			free(s);
			return (int)ISO_OUT_OF_MEM;
		}
		*s = (struct content_stream){.image = im, .file = file};
		*stream = (IsoStream){&content_class, 1, s};
		file->stream = stream;
	}
	iso_stream_ref(stream);
	*out = stream;
	return 1;
}

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
	int ret = stream_of(im, file, &stream);

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

static int add_entries(
    struct image *im, IsoDir *dir, const struct tree_node *node);

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
			ret = add_entries(im, child, entry->node);
		node = (IsoNode *)child;
	} else {
		ret = add_leaf(im, dir, entry, &node);
	}
	if (ret >= 0)
		set_attributes(node, entry->node);
	return ret;
}

/*
 * Fill dir.  libisofs keeps a sorted list and looks for the place from its
 * beginning, so the last name comes first.
 */
static int
add_entries(struct image *im, IsoDir *dir, const struct tree_node *node)
{
	int ret = 1;

	for (size_t i = node->n; i > 0 && ret >= 0; i--)
		ret = add_entry(im, dir, &node->entries[i - 1]);
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
	ret = add_entries(im, iso_image_get_root(im->iso), how->tree->root);
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
	int rc = atomic_load(&im->rc);

	if (rc < 0)
		return rc;
	return got == len ? 0 : complain((int)ISO_CANCELED);
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
		if (at == 0)
			im->author->seed = hash(buf, (size_t)n);
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

int
author_write_image(struct author *a, struct progress *bar, struct blkdev *out)
{
	struct image im = {.author = a};
	int ret = begin();
	int rc = ret < 0 ? complain(ret) : write_image(&im, bar, out);

	if (im.source != NULL) {
		im.source->free_data(im.source);
		free(im.source);
	}
	iso_write_opts_free(im.opts);
	if (im.iso != NULL)
		iso_image_unref(im.iso);
	for (size_t i = 0; i < a->nfiles; i++)
		if (a->files[i].stream != NULL)
			iso_stream_unref(a->files[i].stream);
	iso_finish();
	return rc;
}
