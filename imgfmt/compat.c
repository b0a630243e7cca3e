#include "compat.h"

#include <fcntl.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>
#if defined(__linux__)
#include <mntent.h>
#include <sys/prctl.h>
#else
#include <sys/procctl.h>
#endif

int64_t
compat_copy_range(
    int from, uint64_t from_off, int to, uint64_t to_off, uint64_t len)
{
	off_t src = (off_t)from_off, dst = (off_t)to_off;
	size_t most = len < (1u << 30) ? (size_t)len : 1u << 30;
	ssize_t n;

	do
		n = copy_file_range(from, &src, to, &dst, most, 0);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

int
compat_syncfs(int fd)
{
#if defined(__linux__)
	return syncfs(fd) < 0 ? -errno : 0;
#else
	(void)fd;
	sync();
	return 0;
#endif
}

void
compat_memory_fault_in(void *p, size_t len)
{
#if defined(MADV_POPULATE_WRITE)
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t start = ((uintptr_t)p + page - 1) & ~(page - 1);
	uintptr_t end = ((uintptr_t)p + len) & ~(page - 1);
	int saved = errno;

	if (start < end)
		(void)madvise((void *)start, end - start, MADV_POPULATE_WRITE);
	errno = saved;
#else
	(void)p;
	(void)len;
#endif
}

unsigned
compat_ncpu(void)
{
	long n;

#if defined(__linux__)
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		return (unsigned)CPU_COUNT(&set);
#endif
	n = sysconf(_SC_NPROCESSORS_ONLN);
	return n > 0 ? (unsigned)n : 1;
}

#if defined(__linux__)

enum { MOUNT_LINE_MAX = 64 << 10 };

static void
endmntentp(FILE **f)
{
	if (*f != NULL)
		(void)endmntent(*f);
}

int
compat_mounts(
    int (*each)(void *arg, const struct compat_mount *mount), void *arg)
{
	scoped(endmntentp) FILE *table = setmntent("/proc/self/mounts", "re");
	scoped(freep) char *line = malloc(MOUNT_LINE_MAX);
	struct mntent entry;
	int rc = 0;

	if (table == NULL)
		return -errno;
	if (line == NULL)
		return -ENOMEM;
	while (
	    rc == 0 && getmntent_r(table, &entry, line, MOUNT_LINE_MAX) != NULL)
		rc = each(arg,
		    &(struct compat_mount){.source = entry.mnt_fsname,
			.target = entry.mnt_dir,
			.type = entry.mnt_type});
	return rc;
}

uint64_t
compat_mount_id(const char *dir)
{
	const int flags =
	    AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC;
	struct statx st;

	if (statx(AT_FDCWD, dir, flags, STATX_MNT_ID, &st) < 0 ||
	    (st.stx_mask & STATX_MNT_ID) == 0) /* since Linux 5.8 */
		return 0;
	return st.stx_mnt_id;
}

/* Only fusermount3, which is set-uid root, may unmount for a user. */
static int
unmount_by_helper(const char *dir, bool lazy)
{
	char name[] = "fusermount3", flags[] = "-qu", lazy_flags[] = "-quz",
	     end[] = "--";
	scoped(freep) char *target = strdup(dir);
	char *argv[] = {name, lazy ? lazy_flags : flags, end, target, NULL};
	extern char **environ;
	pid_t pid;
	int rc, status;

	if (target == NULL)
		return -ENOMEM;
	rc = posix_spawnp(&pid, name, NULL, NULL, argv, environ);
	if (rc != 0)
		return -rc;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EBUSY;
}

int
compat_unmount(const char *dir, bool lazy)
{
	int flags = UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0);

	if (umount2(dir, flags) == 0)
		return 0;
	return errno == EPERM ? unmount_by_helper(dir, lazy) : -errno;
}

int
compat_nameless_file(const char *dir)
{
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0)
		return errno == EISDIR ? -EOPNOTSUPP : -errno;
	return fd;
}

int
compat_name_file(int fd, const char *path)
{
	char self[64];

	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	if (linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0)
		return 0;
	return errno == EEXIST ? 0 : -errno;
}

#else /* FreeBSD */

uint64_t
compat_mount_id(const char *dir)
{
	struct statfs st;

	if (statfs(dir, &st) < 0)
		return 0;
	return (uint64_t)(uint32_t)st.f_fsid.val[0] << 32 |
	    (uint32_t)st.f_fsid.val[1];
}

int
compat_nameless_file(const char *dir)
{
	(void)dir;
	return -EOPNOTSUPP;
}

int
compat_name_file(int fd, const char *path)
{
	(void)fd;
	(void)path;
	return -EOPNOTSUPP;
}

int
compat_mounts(
    int (*each)(void *arg, const struct compat_mount *mount), void *arg)
{
	struct statfs *all;
	int n = getmntinfo(&all, MNT_NOWAIT);
	int rc = n == 0 ? -errno : 0;

	for (int i = 0; i < n && rc == 0; i++)
		rc = each(arg,
		    &(struct compat_mount){.source = all[i].f_mntfromname,
			.target = all[i].f_mntonname,
			.type = all[i].f_fstypename});
	return rc;
}

int
compat_unmount(const char *dir, bool lazy)
{
	return unmount(dir, lazy ? MNT_FORCE : 0) == 0 ? 0 : -errno;
}

#endif

int
compat_rwlock_init(pthread_rwlock_t *lock)
{
	pthread_rwlockattr_t attr;
	int rc = pthread_rwlockattr_init(&attr);

	if (rc != 0)
		return -rc;
#if defined(__linux__)
	rc = pthread_rwlockattr_setkind_np(
	    &attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
#endif
	if (rc == 0)
		rc = pthread_rwlock_init(lock, &attr);
	pthread_rwlockattr_destroy(&attr);
	return -rc;
}

int
compat_die_with(pid_t parent)
{
#if defined(__linux__)
	int rc = prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
#else
	int signal = SIGKILL;
	int rc = procctl(P_PID, 0, PROC_PDEATHSIG_CTL, &signal);
#endif

	if (rc < 0)
		return -errno;
	/* it may have ended before we asked */
	return getppid() == parent ? 0 : -ESRCH;
}

void
compat_memory_pools_few(void)
{
#if defined(__GLIBC__)
	(void)mallopt(M_ARENA_MAX, 2);
#endif
}

void
compat_memory_give_back(void)
{
#if defined(__GLIBC__)
	(void)malloc_trim(0);
#endif
}
