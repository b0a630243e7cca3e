/*
 * Opening an address layer by layer.  A walk holds the device that is looked
 * at next; each step finds out what it is, records it as a layer, and goes one
 * device further down, until a UFS is reached.
 */
#include "image.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "../imgfmt/gz.h"
#include "../imgfmt/log.h"
#include "../imgfmt/uzip.h"
#include "image_impl.h"

/* -- addresses ------------------------------------------------------------- */

int
image_split(const char *address, char **path, char **inner)
{
	scoped(freep) char *prefix = strdup(address);
	struct stat st;
	size_t len;

	if (prefix == NULL)
		return -ENOMEM;
	while (stat(prefix, &st) < 0) {
		char *colon = strrchr(prefix, ':');
		int rc = -errno;

		if (rc == -ENOENT || rc == -ENOTDIR || rc == -ENAMETOOLONG) {
			if (colon != NULL && colon != prefix) {
				*colon = '\0';
				continue;
			}
			rc = -ENOENT;
		}
		log_error("'%s': %s", address, strerror(-rc));
		return rc;
	}
	*path = realpath(prefix, NULL);
	if (*path == NULL) {
		log_error("'%s': %s", prefix, strerror(errno));
		return -errno;
	}
	len = strlen(prefix);
	*inner = strdup(address[len] == ':' ? address + len + 1 : "");
	if (*inner == NULL) {
		free(*path);
		*path = NULL;
		return -ENOMEM;
	}
	return 0;
}

/* -- layers ---------------------------------------------------------------- */

void
image_close(struct image *image)
{
	if (image == NULL)
		return;
	blkdev_close(image->dev);
	iso_close(image->iso);
	while (image->nlayers > 0) {
		struct image_layer *layer = &image->layer[--image->nlayers];

		blkdev_close(layer->dev);
		free(layer->name);
	}
	free(image->path);
	free(image->inner);
	free(image);
}

const struct image_layer *
image_container(const struct image *image)
{
	for (unsigned i = 0; i < image->nlayers; i++)
		if (image->layer[i].kind != IMAGE_ISO &&
		    image->layer[i].kind != IMAGE_PARTITIONED)
			return &image->layer[i];
	return &image->layer[image->nlayers - 1];
}

/* Record the walk's device as a layer of that kind. */
static int
walk_push(struct image_walk *walk, enum image_kind kind)
{
	struct image *image = walk->image;
	struct image_layer *layer = &image->layer[image->nlayers];

	if (image->nlayers == IMAGE_LAYERS_MAX) {
		log_error("'%s' is nested more than %d layers deep",
		    image->path, IMAGE_LAYERS_MAX);
		return -EINVAL;
	}
	*layer = (struct image_layer){.kind = kind, .off = walk->off};
	layer->name = strdup(walk->name);
	if (layer->name == NULL)
		return -ENOMEM;
	layer->dev = blkdev_ref(walk->dev);
	image->nlayers++;
	walk->name[0] = '\0';
	return 0;
}

void
image_walk_enter(struct image_walk *walk, struct blkdev *dev, uint64_t off)
{
	blkdev_close(walk->dev);
	walk->dev = dev;
	walk->off = off;
}

static int
enter_uzip(struct image_walk *walk)
{
	struct blkdev *lower = blkdev_ref(walk->dev), *dev;
	int rc = uzip_open(
	    lower, walk->options->cache_max, walk->options->pool, &dev);

	if (rc < 0) {
		blkdev_close(lower);
		return rc;
	}
	walk->image->uzip = dev;
	image_walk_enter(walk, dev, UINT64_MAX);
	return 0;
}

/*
 * Name the part of the image that the walk has just chosen: the canonical
 * inner address is all of these, with ':' between.
 */
int
image_walk_named(struct image_walk *walk, const char *name)
{
	struct image *image = walk->image;
	scoped(freep) char *inner = NULL;

	if (strlen(name) >= sizeof(walk->name))
		return -ENAMETOOLONG;
	memcpy(walk->name, name, strlen(name) + 1);
	if (asprintf(&inner, "%s%s%s", image->inner,
		image->inner[0] == '\0' ? "" : ":", name) < 0) {
		inner = NULL;
		return -ENOMEM;
	}
	free(image->inner);
	image->inner = inner;
	inner = NULL;
	return 0;
}

/* One step further down from a layer of that kind. */
static int
walk_step(struct image_walk *walk, enum image_kind kind)
{
	switch (kind) {
	case IMAGE_ISO:
		return image_enter_iso(walk);
	case IMAGE_PARTITIONED:
		return image_enter_partition(walk);
	case IMAGE_UZIP:
		return enter_uzip(walk);
	case IMAGE_GZ:
		return image_enter_gz(walk);
	case IMAGE_UFS:
		return image_enter_ufs(walk);
	default:
		log_error("'%s' is %s: %s", image_walk_place(walk),
		    image_kind_name(kind), image_kind_advice(kind));
		return -EINVAL;
	}
}

const char *
image_walk_place(struct image_walk *walk)
{
	const struct image *image = walk->image;

	(void)snprintf(walk->place, sizeof(walk->place), "%s%s%s%s",
	    image->path, image->inner[0] == '\0' ? "" : ":", image->inner,
	    image->uzip != NULL ? " (unpacked)" : "");
	return walk->place;
}

/*
 * Whether a layer of that kind is not looked into but is what the address is
 * about.  With IMAGE_ANY that is all that needs no unpacking first, and an ISO
 * only where it was packed: one on its own holds the image.
 */
static bool
is_content(const struct image_walk *walk, enum image_kind kind)
{
	if (kind == IMAGE_UFS)
		return walk->rest[0] != '/';
	if ((walk->flags & IMAGE_ANY) == 0)
		return false;
	if (kind == IMAGE_ISO)
		return walk->rest[0] == '\0' && walk->off == UINT64_MAX;
	return kind != IMAGE_PARTITIONED && !image_kind_is_packed(kind);
}

/* Whether the walk ends at a layer of that kind, which is no content. */
static bool
walk_ends(const struct image_walk *walk, enum image_kind kind)
{
	if (kind == IMAGE_GZ && (walk->flags & IMAGE_NO_INFLATE) != 0)
		return true;
	return (walk->flags & IMAGE_TOP_ONLY) != 0 && walk->rest[0] == '\0';
}

/* Record what the walk has come to: its kind. */
static int
walk_look(struct image_walk *walk)
{
	int kind = image_identify(walk->dev);
	int rc = kind < 0 ? kind : walk_push(walk, (enum image_kind)kind);

	return rc < 0 ? rc : kind;
}

static int
walk_on(struct image_walk *walk)
{
	bool content = false;
	int rc, kind;

	do {
		kind = walk_look(walk);
		if (kind < 0)
			return kind;
		content = is_content(walk, (enum image_kind)kind);
		rc = kind == IMAGE_ISO && !content ? image_open_iso(walk) : 0;
		if (rc < 0 || content || walk_ends(walk, (enum image_kind)kind))
			break;
		if (rc == 0)
			rc = walk_step(walk, (enum image_kind)kind);
	} while (rc == 0);
	if (rc < 0)
		return rc;
	if (walk->rest[0] != '\0') {
		log_error("'%s' is %s: nothing in it can be named by ':%s'",
		    image_walk_place(walk),
		    image_kind_name((enum image_kind)kind), walk->rest);
		return -EINVAL;
	}
	if (content)
		walk->image->dev = blkdev_ref(walk->dev);
	return 0;
}

static int
open_host_file(struct image_walk *walk)
{
	const char *path = walk->image->path;
	int rc = blkdev_file_open(path, &walk->dev);

	if (rc == -EISDIR)
		log_error("'%s' is a folder, not an image", path);
	else if (rc == -EINVAL)
		log_error("'%s' is neither a file nor a disk", path);
	else if (rc < 0)
		log_error("'%s': %s", path, strerror(-rc));
	else if (walk->dev->size == 0) {
		log_error("'%s' is empty", path);
		rc = -EINVAL;
	}
	return rc;
}

int
image_open(const char *address, const struct image_options *options,
    unsigned flags, struct image **out)
{
	scoped(image_closep) struct image *image = calloc(1, sizeof(*image));
	scoped(freep) char *rest = NULL;
	struct image_walk walk = {
	    .image = image, .options = options, .flags = flags};
	int rc;

	if (image == NULL)
		return -ENOMEM;
	rc = image_split(address, &image->path, &rest);
	if (rc < 0)
		return rc;
	walk.rest = rest;
	image->inner = strdup("");
	if (image->inner == NULL)
		return -ENOMEM;
	rc = open_host_file(&walk);
	if (rc == 0)
		rc = walk_on(&walk);
	blkdev_close(walk.dev);
	if (rc < 0)
		return rc;
	*out = image;
	image = NULL;
	return 0;
}
