/* Judge, walk and change whatever claims to be a UFS. */
#include <sys/stat.h>

#include "../../imgfmt/ufs.h"
#include "fuzz.h"

enum { NAMES_MAX = 64, CACHE = 1 << 20 };

struct names {
	size_t n;
	uint64_t ino[NAMES_MAX];
	char name[NAMES_MAX][UFS_NAME_MAX + 1];
};

static int
take(void *arg, const struct ufs_dirent *d)
{
	struct names *all = arg;

	if (all->n == NAMES_MAX)
		return 1;
	all->ino[all->n] = d->ino;
	memcpy(all->name[all->n++], d->name, sizeof(d->name));
	return 0;
}

static int
no_xattr(void *arg, enum ufs_ea_space space, const char *name, size_t len)
{
	(void)arg;
	return (int)space < 0 || name == NULL || len > 1 << 30;
}

static void
look(struct ufs *fs, const struct names *all)
{
	static char buf[65536];

	for (size_t i = 0; i < all->n; i++) {
		struct ufs_attr attr;

		if (ufs_getattr(fs, all->ino[i], &attr) < 0)
			continue;
		(void)!ufs_read(fs, attr.ino, 0, buf, sizeof(buf));
		(void)!ufs_read(fs, attr.ino, attr.size - 9, buf, 4096);
		(void)!ufs_readlink(fs, attr.ino, buf, sizeof(buf));
		(void)!ufs_seek(fs, attr.ino, 0, false);
		(void)!ufs_xattr_list(fs, attr.ino, no_xattr, NULL);
	}
}

static void
change(struct ufs *fs, const struct names *all)
{
	struct ufs_new dir = {.mode = S_IFDIR | 0755};
	struct ufs_new file = {.mode = S_IFREG | 0644};
	static const char text[40000] = "x";
	struct ufs_attr attr;

	if (ufs_create(fs, UFS_ROOT, "new", 3, &file, &attr) == 0)
		(void)!ufs_write(fs, attr.ino, 0, text, sizeof(text));
	(void)!ufs_create(fs, UFS_ROOT, "dir", 3, &dir, &attr);
	for (size_t i = 0; i < all->n; i++) {
		size_t len = strlen(all->name[i]);

		(void)!ufs_write(fs, all->ino[i], 20000, text, 30000);
		(void)!ufs_remove(fs, UFS_ROOT, all->name[i], len, i % 2 == 0);
	}
	(void)!ufs_sync_to_device(fs);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ufs_options options = {
	    .writable = true, .size_limit = size + (64 << 10)};
	struct blkdev *dev = fuzz_device(data, size), *cache = NULL;
	static struct names all;
	struct ufs *fs;

	if (dev == NULL)
		return 0;
	(void)!ufs_check(dev, NULL, 0, NULL, NULL);
	if (blkdev_cache_open(dev, CACHE, CACHE, &cache) < 0) {
		blkdev_close(dev);
		return 0;
	}
	if (ufs_open(cache, &options, &fs) < 0) {
		options.writable = false;
		if (ufs_open(cache, &options, &fs) < 0) {
			blkdev_close(cache);
			return 0;
		}
	}
	all.n = 0;
	(void)!ufs_readdir(fs, UFS_ROOT, 0, take, &all);
	look(fs, &all);
	if (options.writable)
		change(fs, &all);
	ufs_close(fs);
	return 0;
}
