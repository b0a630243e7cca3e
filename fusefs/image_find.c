/*
 * Which file of an ISO, which partition of a disk is meant.  Named in the
 * address, or the only one: uzips and raw file systems count; a gzipped file
 * system (a RAM disk for booting, as a rule) counts where there is neither.
 */
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "../imgfmt/gz.h"
#include "../imgfmt/log.h"
#include "../imgfmt/part.h"
#include "../imgfmt/ufs.h"
#include "../imgfmt/uzip.h"
#include "image_impl.h"

enum {
	IMAGE_LEAST = 2 << 10, /* no smaller file is an image */
	FOUND_MAX = 64,
	DEPTH_MAX = 64,       /* of folders; ISO 9660 itself has 8 */
	FILES_MAX = 1 << 20,  /* looked at, all in all */
	PEEK_LEN = 128 << 10, /* reaches the superblock at 64 KiB */
	LIST_MAX = 1024,      /* bytes of a list in a message */
};

/* -- searching an ISO ------------------------------------------------------ */

struct search {
	struct iso *iso;
	struct image_found *found;
	unsigned most, n;
	unsigned files, depth;
	char path[1024];
	size_t path_len;
};

static int search_dir(struct search *s, const struct iso_node *dir);

/* Whether the file system in a gzip file shows in its first bytes. */
static int
gz_holds_image(struct blkdev *dev)
{
	scoped(freep) uint8_t *head = malloc(PEEK_LEN);
	scoped(blkdev_closep) struct blkdev *mem = NULL;
	int64_t n;
	int rc;

	if (head == NULL)
		return -ENOMEM;
	n = gz_peek(dev, head, PEEK_LEN);
	if (n <= 0)
		return n == -ECORRUPT ? 0 : (int)n;
	rc = blkdev_mem_open((uint64_t)n, &mem);
	if (rc == 0)
		rc = blkdev_write(mem, 0, head, (size_t)n);
	if (rc == 0)
		rc = uzip_probe(mem);
	if (rc == 0)
		rc = ufs_probe(mem);
	return rc;
}

/* Kinds worth a mention: what relive edits, and foreign file systems. */
static bool
is_telling(enum image_kind kind)
{
	switch (kind) {
	case IMAGE_UNKNOWN:
	case IMAGE_XZ:
	case IMAGE_ZSTD:
	case IMAGE_BZIP2:
	case IMAGE_ZIP:
		return false;
	default:
		return true;
	}
}

static int
search_file(struct search *s, const struct iso_node *node)
{
	scoped(blkdev_closep) struct blkdev *dev = NULL;
	struct image_found *out;
	int rc, kind;

	if (node->size < IMAGE_LEAST || node->multi_extent)
		return 0;
	if (++s->files > FILES_MAX)
		return -EFBIG;
	rc = iso_file_open(s->iso, node, &dev);
	if (rc < 0)
		return 0; /* cut short: not one that could be opened */
	kind = image_identify(dev);
	if (kind < 0)
		return kind;
	if (!is_telling((enum image_kind)kind))
		return 0;
	if (s->n++ >= s->most)
		return 0;
	out = &s->found[s->n - 1];
	out->kind = (enum image_kind)kind;
	out->node = *node;
	memcpy(out->path, s->path, s->path_len + 1);
	return 0;
}

static int
search_node(void *arg, const struct iso_node *node)
{
	struct search *s = arg;
	size_t was = s->path_len, len = strlen(node->name);
	int rc = 0;

	if (len + 2 > sizeof(s->path) - was)
		return 0;
	s->path[was] = '/';
	memcpy(s->path + was + 1, node->name, len + 1);
	s->path_len = was + 1 + len;
	if (S_ISREG(node->mode))
		rc = search_file(s, node);
	else if (S_ISDIR(node->mode) && s->depth < DEPTH_MAX)
		rc = search_dir(s, node);
	s->path_len = was;
	s->path[was] = '\0';
	return rc;
}

static int
search_dir(struct search *s, const struct iso_node *dir)
{
	int rc;

	s->depth++;
	rc = iso_list(s->iso, dir, search_node, s);
	s->depth--;
	return rc;
}

int
image_find(struct iso *iso, struct image_found *found, unsigned n)
{
	struct search s = {.iso = iso, .found = found, .most = n};
	struct iso_node root;
	int rc = iso_check_tree(iso); /* else the search may never end */

	if (rc == 0)
		rc = iso_root(iso, &root);
	if (rc == 0)
		rc = search_dir(&s, &root);
	return rc < 0 ? rc : (int)s.n;
}

/* -- choosing -------------------------------------------------------------- */

/* Append "'NAME'" to a list of names in a message. */
static void
list_name(char list[LIST_MAX], const char *place, const char *name)
{
	size_t len = strlen(list);

	(void)snprintf(list + len, LIST_MAX - len, "%s'%s:%s'",
	    len == 0 ? "" : ", ", place, name);
	if (strlen(list) == LIST_MAX - 1)
		memcpy(list + LIST_MAX - 4, "...", 4);
}

static bool
is_plain_image(const struct image_found *found)
{
	return found->kind == IMAGE_UZIP || found->kind == IMAGE_UFS;
}

/* Keep those of the n found that are candidates; how many. */
static int
keep_candidates(struct iso *iso, struct image_found *found, unsigned n)
{
	unsigned plain = 0, gz = 0;

	for (unsigned i = 0; i < n; i++)
		if (is_plain_image(&found[i]))
			found[plain++] = found[i];
	if (plain > 0)
		return (int)plain;
	for (unsigned i = 0; i < n; i++) {
		scoped(blkdev_closep) struct blkdev *dev = NULL;
		int rc;

		if (found[i].kind != IMAGE_GZ)
			continue;
		rc = iso_file_open(iso, &found[i].node, &dev);
		if (rc == 0)
			rc = gz_holds_image(dev);
		if (rc < 0)
			return rc;
		if (rc > 0)
			found[gz++] = found[i];
	}
	return (int)gz;
}

int
image_find_systems(struct iso *iso, struct image_found *found, unsigned n)
{
	int all = image_find(iso, found, n);

	if (all < 0)
		return all;
	return keep_candidates(
	    iso, found, (unsigned)all < n ? (unsigned)all : n);
}

int
image_find_editable(struct iso *iso, struct image_found *found, unsigned n)
{
	int all = image_find(iso, found, n), kept = 0;

	for (int i = 0; i < all && i < (int)n; i++) {
		scoped(blkdev_closep) struct blkdev *dev = NULL;
		int rc = is_plain_image(&found[i]);

		if (rc == 0 && found[i].kind == IMAGE_GZ) {
			rc = iso_file_open(iso, &found[i].node, &dev);
			if (rc == 0)
				rc = gz_holds_image(dev);
		}
		if (rc < 0)
			return rc;
		if (rc > 0)
			found[kept++] = found[i];
	}
	return all < 0 ? all : kept;
}

/* Nothing to edit was found: say what there is instead. */
static void
say_no_image(const char *place, const struct image_found *found, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		/* a FAT there is what UEFI boots */
		if (found[i].kind == IMAGE_GZ || found[i].kind == IMAGE_FAT ||
		    is_plain_image(&found[i]))
			continue;
		log_error("'%s' holds no uzip or UFS image; '%s:%s' is %s: %s",
		    place, place, found[i].path, image_kind_name(found[i].kind),
		    image_kind_advice(found[i].kind) != NULL
			? image_kind_advice(found[i].kind)
			: "relive does not edit that here");
		return;
	}
	log_error(
	    "'%s' holds no uzip or UFS image: ls, cat and extract show its "
	    "own tree with --iso, and convert --layout makes an image of "
	    "a system in it",
	    place);
}

static bool
is_cut(const struct image_walk *walk)
{
	return iso_info(walk->image->iso)->size > walk->dev->size;
}

/* The only system image of the ISO, or with IMAGE_FIRST the first. */
static int
only_image(struct image_walk *walk, struct image_found *out)
{
	scoped(freep) struct image_found *found =
	    calloc(FOUND_MAX, sizeof(*found));
	char list[LIST_MAX] = "";
	const char *place = image_walk_place(walk);
	unsigned stored;
	int n, left;

	if (found == NULL)
		return -ENOMEM;
	n = image_find(walk->image->iso, found, FOUND_MAX);
	if (n < 0)
		return n;
	stored = n < FOUND_MAX ? (unsigned)n : FOUND_MAX;
	left = keep_candidates(walk->image->iso, found, stored);
	if (left < 0)
		return left;
	if (left > 1 && (walk->flags & IMAGE_FIRST) != 0) {
		log_info("'%s' holds %d system images, of which '%s' comes "
			 "first",
		    place, left, found[0].path);
		left = 1;
	}
	if (left == 1) {
		*out = found[0];
		return 0;
	}
	if (left == 0) {
		say_no_image(place, found, stored);
		/* it may be in what is missing */
		return is_cut(walk) ? -ECORRUPT : -EINVAL;
	}
	for (int i = 0; i < left; i++)
		list_name(list, place, found[i].path);
	log_error(
	    "'%s' holds %d system images, name one of %s", place, left, list);
	return -EINVAL;
}

/* -- ISO ------------------------------------------------------------------- */

/*
 * The path in its one spelling: as the records spell it (an ISO without Rock
 * Ridge and Joliet matches without regard to case), single slashes.
 */
static int
canonical_path(struct iso *iso, const char *path, char out[1024])
{
	scoped(freep) char *prefix = strdup(path);
	size_t len = 0;
	struct iso_node node;

	if (prefix == NULL)
		return -ENOMEM;
	for (const char *p = path; *p != '\0';) {
		size_t skip = strspn(p, "/"), n = strcspn(p + skip, "/");
		size_t end = (size_t)(p - path) + skip + n;
		int rc;

		p += skip + n;
		if (n == 0)
			break;
		memcpy(prefix, path, end);
		prefix[end] = '\0';
		rc = iso_lookup(iso, prefix, &node);
		if (rc < 0)
			return rc;
		if (len + strlen(node.name) + 2 > 1024)
			return -ENAMETOOLONG;
		len += (size_t)sprintf(out + len, "/%s", node.name);
	}
	return 0;
}

/* A path in an ISO leads to no file: say so. */
static int
say_no_file(struct image_walk *walk, const char *path, int rc)
{
	if (rc != 0 && rc != -ENOENT && rc != -ENOTDIR)
		return rc;
	log_error("'%s' in '%s' is %s", path, image_walk_place(walk),
	    rc == 0 ? "no regular file" : "not there");
	return rc == 0 ? -EINVAL : -ENOENT;
}

/*
 * The file that the beginning of the walk's rest names: all of it, or up to
 * one of its ':' (names may hold some themselves, so the longest first).
 */
static int
named_image(struct image_walk *walk, struct image_found *out)
{
	struct iso *iso = walk->image->iso;
	scoped(freep) char *path = strdup(walk->rest);
	char *colon;
	int rc;

	if (path == NULL)
		return -ENOMEM;
	while ((rc = iso_lookup(iso, path, &out->node)) == -ENOENT &&
	    (colon = strrchr(path, ':')) != NULL && colon != path)
		*colon = '\0';
	if (rc == 0)
		rc = canonical_path(iso, path, out->path);
	if (rc == 0 && S_ISREG(out->node.mode)) {
		walk->rest += strlen(path);
		walk->rest += walk->rest[0] == ':';
		return 0;
	}
	return say_no_file(walk, path, rc);
}

int
image_open_iso(struct image_walk *walk)
{
	struct image *image = walk->image;

	if (image->iso != NULL) {
		log_error(
		    "'%s' is an ISO inside an ISO", image_walk_place(walk));
		return -EINVAL;
	}
	return iso_open(walk->dev, &image->iso);
}

int
image_enter_iso(struct image_walk *walk)
{
	struct image *image = walk->image;
	struct image_found choice;
	struct blkdev *dev;
	uint64_t off = walk->off;
	int rc;

	if (is_cut(walk))
		log_warn("'%s' is cut short: %" PRIu64 " of %" PRIu64
			 " bytes; parts of a split download are joined with "
			 "'cat NAME.part* >NAME'",
		    image_walk_place(walk), walk->dev->size,
		    iso_info(image->iso)->size);
	rc = walk->rest[0] != '\0' ? named_image(walk, &choice)
				   : only_image(walk, &choice);
	if (rc == 0)
		rc = iso_file_open(image->iso, &choice.node, &dev);
	if (rc < 0)
		return rc;
	image->iso_node = choice.node;
	if (off != UINT64_MAX)
		off += choice.node.off;
	image_walk_enter(walk, dev, off);
	return image_walk_named(walk, choice.path);
}

/* -- partitions ------------------------------------------------------------ */

static int
part_open(struct image_walk *walk, const struct part *part, struct blkdev **out)
{
	struct blkdev *lower = blkdev_ref(walk->dev);
	int rc = blkdev_slice_open(lower, part->off, part->len, out);

	if (rc < 0)
		blkdev_close(lower);
	return rc;
}

/* The only partition that holds a uzip or a UFS. */
static int
only_partition(struct image_walk *walk, const struct part_table *table,
    const struct part **out)
{
	char list[LIST_MAX] = "", all[LIST_MAX] = "";
	const char *place = image_walk_place(walk);
	int found = 0;

	for (unsigned i = 0; i < table->n; i++) {
		const struct part *part = &table->part[i];
		scoped(blkdev_closep) struct blkdev *dev = NULL;
		int rc = part_open(walk, part, &dev);

		if (rc == 0)
			rc = image_identify(dev);
		if (rc < 0)
			return rc;
		list_name(all, place, part->name);
		if (rc != IMAGE_UZIP && rc != IMAGE_UFS)
			continue;
		list_name(list, place, part->name);
		*out = part;
		found++;
	}
	if (found == 1)
		return 0;
	if (found == 0)
		log_error("no partition of '%s' holds a uzip or a UFS: %s",
		    place, all);
	else
		log_error("'%s' holds %d system images, name one of %s", place,
		    found, list);
	return -EINVAL;
}

static int
named_partition(struct image_walk *walk, const struct part_table *table,
    const struct part **out)
{
	scoped(freep) char *name = strdup(walk->rest);
	char list[LIST_MAX] = "";
	char *colon;

	if (name == NULL)
		return -ENOMEM;
	while ((*out = part_find(table, name)) == NULL &&
	    (colon = strrchr(name, ':')) != NULL)
		*colon = '\0';
	if (*out != NULL) {
		walk->rest += strlen(name);
		walk->rest += walk->rest[0] == ':';
		return 0;
	}
	for (unsigned i = 0; i < table->n; i++)
		list_name(list, image_walk_place(walk), table->part[i].name);
	log_error("'%s' has no partition '%s', only %s", image_walk_place(walk),
	    name, list);
	return -ENOENT;
}

int
image_enter_partition(struct image_walk *walk)
{
	scoped(freep) struct part_table *table = malloc(sizeof(*table));
	const struct part *part = NULL;
	struct blkdev *dev;
	int rc;

	if (table == NULL)
		return -ENOMEM;
	rc = part_read(walk->dev, table);
	if (rc < 0)
		return rc;
	if (table->n == 0) {
		log_error("'%s' has an empty partition table",
		    image_walk_place(walk));
		return -EINVAL;
	}
	rc = walk->rest[0] != '\0' ? named_partition(walk, table, &part)
				   : only_partition(walk, table, &part);
	if (rc == 0)
		rc = part_open(walk, part, &dev);
	if (rc < 0)
		return rc;
	image_walk_enter(walk, dev,
	    walk->off == UINT64_MAX ? UINT64_MAX : walk->off + part->off);
	return image_walk_named(walk, part->name);
}
