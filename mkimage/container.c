#include "container.h"

#include <assert.h>
#include <string.h>

#include "../imgfmt/log.h"
#include "../imgfmt/ufs.h"
#include "cmd.h"

/* Of the cache between the engine and the file that holds its UFS. */
enum { NESTED_DIRTY = 64 << 20, NESTED_CLEAN = 8 << 20 };

/* The first layer that is neither an ISO nor a partition table. */
static unsigned
first_content(const struct image *im)
{
	unsigned i = 0;

	while (i < im->nlayers &&
	    (im->layer[i].kind == IMAGE_ISO ||
		im->layer[i].kind == IMAGE_PARTITIONED))
		i++;
	return i;
}

/* Whether the image is a file of a UFS. */
static bool
is_nested(const struct image *im)
{
	unsigned i = first_content(im);

	return i + 1 < im->nlayers && im->layer[i].kind == IMAGE_UFS;
}

unsigned
container_target(const struct image *im)
{
	return first_content(im) + is_nested(im);
}

bool
container_is_too_deep(const struct image *im)
{
	return first_content(im) > 1 ||
	    im->nlayers - 1 - container_target(im) > 1 ||
	    (is_nested(im) && im->layer[0].kind == IMAGE_ISO);
}

int
container_write_iso(struct iso *iso, const struct iso_node *node,
    struct blkdev *out, container_put *put, void *arg)
{
	const struct iso_plan_info *info;
	struct iso_plan *plan;
	uint64_t len = 0;
	int rc = iso_plan_make(iso, node, &plan);

	if (rc < 0)
		return rc;
	info = iso_plan_info(plan);
	if (info->why_not != NULL)
		log_warn("the image goes to the end of the ISO and %llu bytes "
			 "stay unused: %s",
		    (unsigned long long)info->wasted, info->why_not);
	rc = iso_plan_copy(plan, out);
	if (rc == 0)
		rc = put(arg, out, info->image_off, &len);
	if (rc == 0)
		rc = iso_plan_finish(plan, out, len);
	iso_plan_free(plan);
	return rc;
}

/* A partition has its size; the image must fit, the rest of it is zeroed. */
static int
write_disk(
    const struct image *im, struct blkdev *out, container_put *put, void *arg)
{
	const struct image_layer *disk = &im->layer[0];
	const struct image_layer *part = &im->layer[container_target(im)];
	unsigned said = cmd_errors_said();
	struct blkdev *window;
	uint64_t len = 0;
	int rc = blkdev_resize(out, disk->dev->size);

	if (rc == 0)
		rc = blkdev_copy_data(disk->dev, 0, out, 0, disk->dev->size);
	if (rc < 0)
		return rc;
	rc = blkdev_slice_open(
	    blkdev_ref(out), part->off, part->dev->size, &window);
	if (rc < 0) {
		blkdev_close(out);
		return rc;
	}
	rc = put(arg, window, 0, &len);
	if ((rc == -EOPNOTSUPP || rc == -EINVAL) && cmd_errors_said() == said) {
		log_error("'%s': the changed image no longer fits its "
			  "partition of %llu bytes",
		    part->name, (unsigned long long)part->dev->size);
		rc = -ENOSPC;
	}
	if (rc == 0)
		rc = blkdev_trim(window, len, part->dev->size - len);
	blkdev_close(window);
	return rc;
}

/* The file at path, emptied, of the UFS in window, which it owns then. */
static int
open_in_ufs(struct blkdev *window, const char *path, struct blkdev **out)
{
	const struct ufs_options writable = {.writable = true};
	struct blkdev *cache;
	struct ufs_attr attr;
	struct ufs *fs;
	int rc = blkdev_cache_open(window, NESTED_DIRTY, NESTED_CLEAN, &cache);

	if (rc < 0)
		return rc;
	rc = ufs_open(cache, &writable, &fs);
	if (rc < 0) {
		(void)blkdev_ref(window);
		blkdev_close(cache);
		return rc;
	}
	rc = image_ufs_lookup(fs, path, &attr);
	if (rc == 0)
		rc = image_ufs_file(fs, attr.ino, true, out);
	if (rc < 0) {
		(void)blkdev_ref(window);
		ufs_close(fs);
		return rc;
	}
	return 0;
}

/* Our own engine writes the file anew in a copy of all that is around it. */
static int
write_nested(
    const struct image *im, struct blkdev *out, container_put *put, void *arg)
{
	const struct image_layer *around = &im->layer[first_content(im)];
	const char *path = im->layer[container_target(im)].name;
	struct blkdev *disk = im->layer[0].dev, *window, *file;
	uint64_t len = 0;
	int rc = blkdev_resize(out, disk->size);

	if (rc == 0)
		rc = blkdev_copy_data(disk, 0, out, 0, disk->size);
	if (rc < 0)
		return rc;
	rc = blkdev_slice_open(
	    blkdev_ref(out), around->off, around->dev->size, &window);
	if (rc < 0) {
		blkdev_close(out);
		return rc;
	}
	rc = open_in_ufs(window, path, &file);
	if (rc < 0) {
		blkdev_close(window);
		return rc;
	}
	rc = blkdev_resize(file, 0);
	if (rc == 0)
		rc = put(arg, file, 0, &len);
	if (rc == 0)
		rc = blkdev_resize(file, len);
	if (rc == 0)
		rc = blkdev_flush(file);
	if (rc == -ENOSPC)
		log_error(
		    "'%s' has no room for the changed '%s'", im->path, path);
	blkdev_close(file);
	return rc;
}

int
container_write(
    const struct image *im, struct blkdev *out, container_put *put, void *arg)
{
	uint64_t len;

	assert(!container_is_too_deep(im));
	if (is_nested(im))
		return write_nested(im, out, put, arg);
	switch (im->layer[0].kind) {
	case IMAGE_ISO:
		return container_write_iso(
		    im->iso, &im->iso_node, out, put, arg);
	case IMAGE_PARTITIONED:
		return write_disk(im, out, put, arg);
	default:
		return put(arg, out, 0, &len);
	}
}

/* -- side files -------------------------------------------------------------
 */

bool
container_is_side_file(const char *name)
{
	static const char *const suffixes[] = {
	    ".md5", ".sha256", ".sha512", ".bytes", ".manifest", ".size"};
	size_t len = strlen(name);

	for (size_t i = 0; i < sizeof(suffixes) / sizeof(*suffixes); i++) {
		size_t n = strlen(suffixes[i]);

		if (len > n && strcmp(name + len - n, suffixes[i]) == 0)
			return true;
	}
	return false;
}

static int
name_side_file(void *arg, const struct iso_node *node)
{
	const char *dir = arg;

	if (container_is_side_file(node->name))
		log_warn("'%s%s' on the ISO may describe the old image and is "
			 "left as it is",
		    dir, node->name);
	return 0;
}

void
container_warn_side_files(const struct image *im)
{
	const char *path = im->layer[container_target(im)].name;
	char dir[1024]; /* of the image on the ISO, ends in '/' or is "" */
	struct iso_node node;
	char *slash;

	if (strlen(path) >= sizeof(dir))
		return;
	strcpy(dir, path);
	slash = strrchr(dir, '/');
	dir[slash != NULL ? slash + 1 - dir : 0] = '\0';
	if (iso_lookup(im->iso, dir, &node) < 0 ||
	    iso_list(im->iso, &node, name_side_file, dir) < 0)
		log_debug("'%s': the ISO's folder cannot be listed", dir);
}
