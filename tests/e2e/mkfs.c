/*
 * mkfs FILE SIZE VERSION BSIZE FSIZE: an empty file system by our own mkfs, to
 * be filled through a mount.
 */
#include <fcntl.h>

#include "../../imgfmt/ufs.h"

int
main(int argc, char **argv)
{
	struct ufs_mkfs how = {.time = 1600000000, .minfree = 8};
	struct blkdev *dev = NULL;
	int fd;

	if (argc != 6)
		return 2;
	fd = open(argv[1], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || blkdev_file_adopt(fd, true, &dev) < 0 ||
	    blkdev_resize(dev, strtoull(argv[2], NULL, 10)) < 0)
		return 1;
	how.version = atoi(argv[3]);
	how.block_size = (uint32_t)atoi(argv[4]);
	how.frag_size = (uint32_t)atoi(argv[5]);
	how.check_hashes = how.version == 2;
	if (ufs_mkfs(dev, &how) < 0 || blkdev_flush(dev) < 0)
		return 1;
	blkdev_close(dev);
	return 0;
}
