/*
 * What differs between Linux and FreeBSD, behind one interface.  All
 * conditional compilation lives here, in compat.c and in err.h.
 */
#ifndef COMPAT_H
#define COMPAT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "err.h"

#if defined(__linux__)
#include <sys/sysmacros.h> /* major, minor, makedev */
#else
#include <sys/types.h>
#endif

/*
 * Let the kernel copy up to len bytes between two files, sharing extents
 * where it can.  Bytes copied, 0 at the end of from, or -errno; -EXDEV,
 * -EINVAL, -EOPNOTSUPP mean "copy them yourself".
 */
MUST_CHECK int64_t compat_copy_range(
    int from, uint64_t from_off, int to, uint64_t to_off, uint64_t len);

/*
 * Whether the file to can share bytes with the file from on disk: the bytes,
 * a power of 2, of which places and lengths must be multiples; 0: it cannot.
 * Changes nothing.
 */
uint32_t compat_clone_unit(int from, int to);

/*
 * Let len bytes at to_off of to share those at from_off of from.  -errno of
 * the system's; then nothing may be relied on but that they can be written.
 */
MUST_CHECK int compat_clone_range(
    int from, uint64_t from_off, int to, uint64_t to_off, uint64_t len);

/*
 * Whether the file system of fd copies better by itself than we do: a server
 * without the network, or one that shares what it copies.
 */
bool compat_copies_well(int fd);

/*
 * Let the disk start to take len bytes at off of fd, which a later fsync(2)
 * need not wait for then.  Makes nothing durable.
 */
void compat_start_writing(int fd, uint64_t off, uint64_t len);

/*
 * Let everything written to the file system that fd lies on reach it.
 * -errno of syncfs(2).
 */
MUST_CHECK int compat_syncfs(int fd);

/* Continues crc over len bytes, as crc32c() in crc32c.h. */
typedef uint32_t compat_crc32c_function(
    uint32_t crc, const void *buf, size_t len);

/* The processor's own CRC-32C; NULL: this one has none that we know. */
compat_crc32c_function *compat_crc32c(void);

/*
 * Memory that is about to be written whole: let the kernel find all its pages
 * now, at a tenth of what finding them one by one costs.  A hint.
 */
void compat_memory_fault_in(void *p, size_t len);

/* Processors this process may use, at least 1. */
unsigned compat_ncpu(void);

/*
 * The processor that a thread of any process, as the kernel numbers it, runs
 * on, or ran on last; -errno where that is not to be learnt: -ENOENT, -EACCES,
 * -ENOSYS.
 */
int compat_thread_cpu(int thread);

/* The calling thread's number, as above. */
int compat_thread_id(void);

/*
 * Let the calling thread run on processor `to` alone, where it ran on `from`
 * alone; either is -1 for all that it may run on at the first call.  Always of
 * the same thread.  -EBUSY: it does not run on `from`, so somebody else has
 * said where; -EINVAL: `to` is not one of all; -ENOSYS.
 */
MUST_CHECK int compat_run_on(int from, int to);

/*
 * The calling thread runs only where no other wants to, and for others its
 * processor is as good as an idle one (Linux: SCHED_IDLE).  -EPERM, -ENOSYS.
 */
MUST_CHECK int compat_run_last(void);

/*
 * Take both back for a thread of that process, which runs on processor `on`
 * alone.  -ESRCH: it has no such thread; -EBUSY as above; -EPERM: it may run
 * anywhere, but that it runs last takes rights to take back; -ENOSYS.
 */
MUST_CHECK int compat_run_free(int process, int thread, int on);

/* A mounted file system, as the kernel tells. */
struct compat_mount {
	const char *source; /* of a FUSE file system: what it calls itself */
	const char *target; /* the mount point */
	const char *type;   /* "fuse.relive" ... */
};

/*
 * Call each for every mount this process sees, in order of mounting.  A
 * non-zero answer stops and is returned.
 */
MUST_CHECK int compat_mounts(
    int (*each)(void *arg, const struct compat_mount *mount), void *arg);

/*
 * A number of what is mounted at dir, or covers it there; 0: not known.  Asks
 * no daemon.
 */
uint64_t compat_mount_id(const char *dir);

/*
 * Unmount the FUSE file system at dir, as root or as the user who mounted it;
 * lazy: at once, even where files in it are open.  -EBUSY, -EPERM, -EINVAL.
 * Waits for dirty pages to reach the daemon, which must be serving.
 */
MUST_CHECK int compat_unmount(const char *dir, bool lazy);

/* Takes one extended attribute, in the words of the host: "user.X". */
typedef int compat_xattr_visitor(
    void *arg, const char *name, const void *value, size_t len);

/*
 * Call each for every extended attribute of name in directory dirfd ("." is
 * that itself); a symbolic link is not followed.  A non-zero answer stops and
 * is returned.  -EOPNOTSUPP: there are none here.  FreeBSD's name spaces are
 * called "user." and "system.".
 */
MUST_CHECK int compat_xattrs(
    int dirfd, const char *name, compat_xattr_visitor *each, void *arg);

/* The same for the one called xattr.  -ENOXATTR, -EOPNOTSUPP. */
MUST_CHECK int compat_xattr(int dirfd, const char *name, const char *xattr,
    compat_xattr_visitor *each, void *arg);

/* The flags of chflags(1), where the host has them; else 0. */
uint32_t compat_file_flags(const struct stat *st);

/*
 * Initialise a lock that lets no stream of readers keep a writer waiting; a
 * thread must not lock it for reading twice.  -ENOMEM, -EAGAIN.
 */
MUST_CHECK int compat_rwlock_init(pthread_rwlock_t *lock);

/*
 * A file in the folder dir that has no name and is gone when it is closed,
 * unless compat_name_file gives it one.  -EOPNOTSUPP: there is no such thing.
 */
MUST_CHECK int compat_nameless_file(const char *dir);
/* 0 also where path exists already: somebody was faster. */
MUST_CHECK int compat_name_file(int fd, const char *path);

/* What compat_confine could do on this host. */
enum {
	COMPAT_CONFINED_PATHS = 1, /* files but the folder's are out of reach */
	COMPAT_CONFINED_RIGHTS = 2, /* root's rights are gone */
	COMPAT_CONFINED_CALLS = 4, /* no programs, processes, sockets, mounts */
};

/*
 * Give up for good what a daemon does not need: from here on the process, whose
 * only thread the caller must be, reads and writes the files that it has open
 * and those beneath folder (-1: none), starts threads, and does nothing else;
 * other calls fail.  Other processes cannot look into it.
 * What of that was done; what this host cannot do is said with -v.
 */
MUST_CHECK unsigned compat_confine(int folder);

/*
 * In a child: be killed when the process parent, which forked it, ends.
 * -ESRCH: it has.
 */
MUST_CHECK int compat_die_with(pid_t parent);

/* -- entering a tree as chroot(8) does ------------------------------------- */

/* How the host's ids look after compat_become_root. */
enum compat_ids {
	COMPAT_IDS_ALL,   /* as they are: the caller is root */
	COMPAT_IDS_RANGE, /* the caller is root, further ids are its own range
			   */
	COMPAT_IDS_OWN,   /* the caller is root, everybody else is nobody */
};

/*
 * Let an ordinary user's process, whose only thread the caller must be, mount,
 * chroot and store any owner from here on, without rights over what belongs to
 * others: Linux's user namespaces, with mounts that nobody else sees.  For
 * root nothing changes.  An enum compat_ids, or -errno: -EPERM where the host
 * does not have that, or not for users.
 */
MUST_CHECK int compat_become_root(void);

/*
 * fork(2), for compat_tree_enter in the child, whose first process it is: it
 * is killed with the caller, and with it end all that it started.
 */
MUST_CHECK int compat_tree_fork(void);

/* A folder or file of the host in the tree's place of that name. */
struct compat_bind {
	const char *source; /* absolute */
	const char *target; /* as the tree sees it; it must exist there */
};

/*
 * Make root the "/" of the calling process, with the binds and with devices,
 * processes and the host's resolv.conf where the tree has the folders and the
 * file for them.  Nothing is created in the tree.  -errno, said.
 */
MUST_CHECK int compat_tree_enter(
    const char *root, const struct compat_bind *binds, size_t nbinds);

/*
 * When the child of compat_tree_fork has ended: nothing that it mounted or
 * started is left.  -EBUSY: something is.
 */
MUST_CHECK int compat_tree_leave(const char *root);

/* Whether this host executes FreeBSD's programs. */
bool compat_runs_freebsd(void);

/*
 * For a daemon with many threads: before the first, ask for few pools of free
 * memory, since each keeps its own; now and then, give free memory back.
 */
void compat_memory_pools_few(void);
void compat_memory_give_back(void);

#endif
