/*
 * An image that is a file of a UFS (disk.img:s2a:/uzip/usr.local.uzip): the
 * file as a device.
 */
#include <string.h>
#include <sys/stat.h>

#include "../imgfmt/log.h"
#include "../imgfmt/ufs.h"
#include "image_impl.h"

struct file_dev {
	struct blkdev dev;
	struct ufs *fs; /* owned */
	uint64_t ino;
};

static int
file_read(struct blkdev *dev, uint64_t off, void *buf, size_t len)
{
	const struct file_dev *f = (struct file_dev *)dev;
	int64_t n = ufs_read(f->fs, f->ino, off, buf, len);

	return n < 0 ? (int)n : n == (int64_t)len ? 0 : -EIO;
}

static int
file_write(struct blkdev *dev, uint64_t off, const void *buf, size_t len)
{
	const struct file_dev *f = (struct file_dev *)dev;
	int64_t n = ufs_write(f->fs, f->ino, off, buf, len);

	return n < 0 ? (int)n : n == (int64_t)len ? 0 : -ENOSPC;
}

static int
file_resize(struct blkdev *dev, uint64_t size)
{
	const struct file_dev *f = (struct file_dev *)dev;
	struct ufs_attr attr = {.size = size};
	int rc = ufs_setattr(f->fs, f->ino, UFS_SET_SIZE, &attr, &attr);

	if (rc == 0)
		dev->size = size;
	return rc;
}

static int
file_flush(struct blkdev *dev)
{
	return ufs_flush(((struct file_dev *)dev)->fs);
}

static void
file_close(struct blkdev *dev)
{
	struct file_dev *f = (struct file_dev *)dev;

	ufs_close(f->fs);
	free(f);
}

static const struct blkdev_ops file_ops = {.read = file_read,
    .write = file_write,
    .resize = file_resize,
    .flush = file_flush,
    .close = file_close};

int
image_ufs_file(struct ufs *fs, uint64_t ino, bool writable, struct blkdev **out)
{
	struct file_dev *file = calloc(1, sizeof(*file));
	struct ufs_attr attr;
	int rc = file == NULL ? -ENOMEM : ufs_getattr(fs, ino, &attr);

	if (rc < 0) {
		free(file);
		return rc;
	}
	*file = (struct file_dev){
	    .dev = {.ops = &file_ops, .size = attr.size, .writable = writable},
	    .fs = fs,
	    .ino = ino};
	*out = &file->dev;
	return 0;
}

int
image_ufs_lookup(struct ufs *fs, const char *path, struct ufs_attr *out)
{
	int rc = ufs_getattr(fs, UFS_ROOT, out);

	while (rc == 0 && *(path += strspn(path, "/")) != '\0') {
		size_t len = strcspn(path, "/");

		rc = ufs_lookup(fs, out->ino, path, len, out);
		path += len;
	}
	return rc;
}

/* Cut path at its last ':' until it leads somewhere, if it ever does. */
static int
find_prefix(struct ufs *fs, char *path, struct ufs_attr *out)
{
	char *colon;
	int rc;

	while ((rc = image_ufs_lookup(fs, path, out)) == -ENOENT &&
	    (colon = strrchr(path, ':')) != NULL && colon != path)
		*colon = '\0';
	return rc;
}

/*
 * The file that the beginning of the walk's rest names: all of it, or up to
 * one of its ':'.
 */
static int
find_file(
    struct image_walk *walk, struct ufs *fs, char **path, struct ufs_attr *out)
{
	int rc;

	*path = strdup(walk->rest);
	if (*path == NULL)
		return -ENOMEM;
	rc = find_prefix(fs, *path, out);
	if (rc == 0 && S_ISREG(out->mode) && out->size > 0) {
		walk->rest += strlen(*path);
		walk->rest += walk->rest[0] == ':';
		return 0;
	}
	if (rc != 0 && rc != -ENOENT && rc != -ENOTDIR)
		return rc;
	log_error("'%s' in '%s' is %s", *path, image_walk_place(walk),
	    rc == 0 ? "no regular file, or empty" : "not there");
	return rc == 0 ? -EINVAL : -ENOENT;
}

int
image_enter_ufs(struct image_walk *walk)
{
	const struct ufs_options look = {.writable = false};
	struct blkdev *dev = blkdev_ref(walk->dev);
	scoped(freep) char *path = NULL;
	struct ufs_attr attr;
	struct ufs *fs;
	int rc = ufs_open(dev, &look, &fs);

	if (rc < 0) {
		blkdev_close(dev);
		return rc;
	}
	rc = find_file(walk, fs, &path, &attr);
	if (rc == 0)
		rc = image_ufs_file(fs, attr.ino, false, &dev);
	if (rc < 0) {
		ufs_close(fs);
		return rc;
	}
	image_walk_enter(walk, dev, UINT64_MAX);
	return image_walk_named(walk, path);
}
