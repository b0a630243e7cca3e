/* Files that share bytes on disk, and how files are best copied. */
#include "compat.h"

#if defined(__linux__)

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

enum { UNIT_MOST = 64 << 10 }; /* some network's are no block sizes */

static int
clone_range(int to, const struct file_clone_range *range)
{
	int rc;

	do
		rc = ioctl(to, FICLONERANGE, range);
	while (rc < 0 && errno == EINTR);
	return rc < 0 ? -errno : 0;
}

/* Nothing, from the end of from, is cloned wherever anything can be. */
uint32_t
compat_clone_unit(int from, int to)
{
	struct file_clone_range range = {.src_fd = from};
	struct statvfs fs;
	struct stat st;

	if (fstat(from, &st) < 0 || !S_ISREG(st.st_mode) ||
	    fstatvfs(to, &fs) < 0)
		return 0;
	range.src_offset = (uint64_t)st.st_size;
	if (fs.f_bsize > UNIT_MOST || (fs.f_bsize & (fs.f_bsize - 1)) != 0 ||
	    clone_range(to, &range) < 0)
		return 0;
	return (uint32_t)fs.f_bsize;
}

int
compat_clone_range(
    int from, uint64_t from_off, int to, uint64_t to_off, uint64_t len)
{
	const struct file_clone_range range = {.src_fd = from,
	    .src_offset = from_off,
	    .src_length = len,
	    .dest_offset = to_off};

	return clone_range(to, &range);
}

/* <linux/magic.h> has these since 5.17; that of ZFS is its own. */
#define CIFS_MAGIC UINT32_C(0xff534d42)
#define SMB2_MAGIC UINT32_C(0xfe534d42)
#define ZFS_MAGIC  UINT32_C(0x2fc12fc1)

bool
compat_copies_well(int fd)
{
	static const uint32_t hosts[] = {NFS_SUPER_MAGIC, CIFS_MAGIC,
	    SMB2_MAGIC, CEPH_SUPER_MAGIC, FUSE_SUPER_MAGIC, ZFS_MAGIC};
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return false;
	for (size_t i = 0; i < sizeof(hosts) / sizeof(*hosts); i++)
		if ((uint32_t)fs.f_type == hosts[i])
			return true;
	return false;
}

void
compat_start_writing(int fd, uint64_t off, uint64_t len)
{
	(void)sync_file_range(
	    fd, (off_t)off, (off_t)len, SYNC_FILE_RANGE_WRITE);
}

#else /* FreeBSD: ZFS clones by itself in copy_file_range(2) */

uint32_t
compat_clone_unit(int from, int to)
{
	(void)from;
	(void)to;
	return 0;
}

int
compat_clone_range(
    int from, uint64_t from_off, int to, uint64_t to_off, uint64_t len)
{
	(void)from;
	(void)from_off;
	(void)to;
	(void)to_off;
	(void)len;
	return -EOPNOTSUPP;
}

bool
compat_copies_well(int fd)
{
	(void)fd;
	return true;
}

void
compat_start_writing(int fd, uint64_t off, uint64_t len)
{
	(void)fd;
	(void)off;
	(void)len;
}

#endif
