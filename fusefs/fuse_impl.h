/*
 * Private to the FUSE daemon, fuse_*.c: parse a request, call the engine,
 * reply.
 *
 *	fuse_main.c     mount, daemon, loop, end
 *	fuse_options.c  -o
 *	fuse_signals.c  the thread that waits for signals
 *	fuse_helper.c   a process that unmounts and logs for a confined one
 *	fuse_wire.c     requests and answers on their way to and from libfuse
 *	fuse_follow.c   a thread that serves where its client runs
 *	fuse_flush.c    when the engine flushes, and who waits for it
 *	fuse_nodes.c    inodes the kernel knows of
 *	fuse_dirs.c     what an open directory lists
 *	fuse_acl.c      access control lists, as the kernel hands them over
 *	fuse_perm.c     what file flags forbid; whom new files belong to
 *	fuse_relive.c   attributes of our own: relive.flags, relive.birthtime
 *	fuse_ops*.c     the request handlers of the tree
 *	fuse_view_*.c   those of the other views
 *	fuse_umount.c   the other side: relive umount
 *
 * Who may do what is the kernel's business (default_permissions), which knows
 * capabilities, groups and the way to a file; with -o fakeroot nobody checks.
 * Only the flags of chflags(1), which Linux does not know, are checked here.
 *
 * Locks: nodes and flusher have one each and may call the engine with it
 * held; the engine calls neither.
 */
#ifndef FUSE_IMPL_H
#define FUSE_IMPL_H

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdatomic.h>

#include "../imgfmt/linux_acl.h"
#include "../imgfmt/log.h"
#include "mount.h"
#include "session.h"

struct nodes;
struct flusher;

/* The mount; userdata of every request. */
struct server {
	struct session *session;
	struct ufs *fs; /* NULL: a view without one */
	struct fuse_session *fuse;
	struct pool *pool;
	struct nodes *nodes;
	struct flusher *flusher; /* NULL: read-only */
	const char *dir;         /* mount point, as the kernel sees it */
	bool read_only, fakeroot, grpid;
	bool no_flags;   /* chflags(1) is kept but not obeyed */
	bool no_opendir; /* the kernel lists without opening */
	bool no_open;    /* and opens files by itself */
	bool acls;       /* the kernel checks access control lists */
	uint32_t block_size;
	uint64_t journal; /* of soft updates: its inode, or 0 */
	uid_t uid;        /* of who mounts, asked before it is confined */
	gid_t gid;
	atomic_int_fast64_t changed; /* when, where the view keeps no times */
	bool detached; /* who mounted does not see messages any more */
	int ready_fd;  /* told once the kernel has accepted the mount; or -1 */
	/* Of several volumes in one mount; else NULL and zero. */
	struct server *next;
	uint64_t tag; /* in the kernel's inode numbers */
	char *volume; /* its folder */
	bool is_iso;  /* the ISO's own tree */
	pthread_mutex_t lifting;
};

/* The volume that this thread works for; NULL: the mount's only one. */
extern _Thread_local struct server *server_here;

static inline struct server *
server_of(fuse_req_t req)
{
	return server_here != NULL ? server_here : fuse_req_userdata(req);
}

/*
 * FUSE's root is 1, UFS's is 2; UFS leaves 1 unused (DESIGN: one swap, no
 * table), so both directions are the same.
 */
static inline uint64_t
swap_root(uint64_t ino)
{
	return ino == FUSE_ROOT_ID ? UFS_ROOT
	    : ino == UFS_ROOT      ? FUSE_ROOT_ID
				   : ino;
}

/* Nothing changes but through this mount: the kernel may keep what it knows. */
#define FOREVER 1e9

/* -- fuse_options.c -------------------------------------------------------- */

struct mount_plan {
	bool read_only, fakeroot, grpid, no_flags;
	uint64_t size_limit; /* of size=, or 0 */
	char *kernel;        /* what libfuse and the kernel are told, joined */
};

/* -EINVAL, said: an option nobody knows. */
MUST_CHECK int mount_plan_make(
    const struct mount_options *options, struct mount_plan *out);
void mount_plan_release(struct mount_plan *plan);

/* -- fuse_flush.c ---------------------------------------------------------- */

MUST_CHECK int flusher_open(struct server *server, struct flusher **out);
/* End the thread.  Does not flush.  NULL is fine. */
void flusher_close(struct flusher *flusher);

/* 0 once everything done before the call is durable.  NULL: nothing to do. */
MUST_CHECK int flush_now(struct flusher *flusher);
/*
 * Before an operation that needs room: -ENOSPC while the session's file system
 * is full, -EIO once a flush has failed for good.
 */
MUST_CHECK int flush_admit(struct flusher *flusher);
/*
 * After an operation that changed something, before its reply.  Flushes where
 * much has piled up.
 */
void flush_changed(struct flusher *flusher);

/* -- fuse_nodes.c ---------------------------------------------------------- */

MUST_CHECK int nodes_open(struct ufs *fs, struct nodes **out);
/* Gives back everything held.  NULL is fine. */
void nodes_close(struct nodes *nodes);

/* The kernel learns of ino once more.  With nodes NULL (read-only) nothing. */
MUST_CHECK int nodes_hold(struct nodes *nodes, uint64_t ino);
/* The kernel forgets n times.  1 when the inode was let go. */
int nodes_forget(struct nodes *nodes, uint64_t ino, uint64_t n);

/* -- fuse_dirs.c ----------------------------------------------------------- */

/* Reply with entries from position off on, as readdir or readdirplus. */
void dir_read(fuse_req_t req, uint64_t ino, size_t size, off_t off, bool plus);

/* -- fuse_perm.c ----------------------------------------------------------- */

/* What is about to be done to an inode, as far as its flags matter. */
enum perm_act {
	PERM_WRITE,  /* its data or attributes of its own accord */
	PERM_APPEND, /* data at the end */
	PERM_OWN,    /* mode, owner, times, link */
	PERM_ENTER,  /* a directory gets an entry */
	PERM_LEAVE,  /* a directory loses one */
	PERM_UNLINK, /* it loses a name */
};

/* 0, or -EPERM because of chflags(1). */
MUST_CHECK int perm_check(
    const struct server *server, uint64_t ino, enum perm_act act);
/* The same for an entry that is to go, and its directory. */
MUST_CHECK int perm_check_name(
    const struct server *server, uint64_t dir, const char *name);
/* Owner, group and mode of something new in dir; also checks PERM_ENTER. */
MUST_CHECK int perm_new(const struct server *server, const struct fuse_ctx *ctx,
    uint64_t dir, mode_t mode, struct ufs_new *out);

/* -- fuse_acl.c ------------------------------------------------------------ */

/* Whether an attribute's name is that of a list, which goes to *kind. */
bool acl_is(
    const struct server *server, const char *name, enum ufs_acl_kind *kind);
/* Whether attributes that hold lists are shown as such. */
bool acl_are_shown(const struct server *server);
/* The name of the list that FreeBSD keeps in its attribute name; or NULL. */
const char *acl_shown_as(const char *name);
/* The list's length.  -ENOXATTR. */
MUST_CHECK int64_t acl_get(const struct server *server, uint64_t ino,
    enum ufs_acl_kind kind, uint8_t value[LINUX_ACL_MAX]);
/* With value NULL take the list away.  As ufs_acl_set; -EINVAL: no list. */
MUST_CHECK int acl_set(fuse_req_t req, uint64_t ino, enum ufs_acl_kind kind,
    const void *value, size_t len);

/* -- fuse_relive.c --------------------------------------------------------- */

enum { RELIVE_VALUE_MAX = 256 };

/* Whether an attribute's name is in our own name space, "relive.". */
bool relive_is_own(const char *name);
/* Its value as text.  -ENOXATTR. */
MUST_CHECK int relive_get(struct server *server, uint64_t ino, const char *name,
    char text[RELIVE_VALUE_MAX]);
/* -EINVAL: no such value; -EPERM: not for the caller; -EOPNOTSUPP. */
MUST_CHECK int relive_set(fuse_req_t req, uint64_t ino, const char *name,
    const char *text, size_t len);

/* chflags(2) by the caller.  -EPERM, -EROFS. */
MUST_CHECK int set_file_flags(fuse_req_t req, uint64_t ino, uint32_t flags);

/* -- fuse_ops*.c ----------------------------------------------------------- */

/* A buffer of this thread's, at least len bytes large; NULL: no memory. */
void *thread_buffer(size_t len);

void stat_of(
    const struct server *server, const struct ufs_attr *attr, struct stat *st);
void entry_of(const struct server *server, const struct ufs_attr *attr,
    struct fuse_entry_param *entry);
/*
 * Take off a file's set-id bits where the request, which writes to it, is to do
 * so.  ino: as the request has it.
 */
MUST_CHECK int attr_before_write(fuse_req_t req, fuse_ino_t ino);
/* Hand ino to the kernel; rc is of the call that made attr. */
void reply_entry(fuse_req_t req, int rc, const struct ufs_attr *attr);
/* Reply that something was changed, or the error. */
void reply_changed(fuse_req_t req, int rc);

extern const struct fuse_lowlevel_ops fuse_handlers;
extern const struct fuse_lowlevel_ops fuse_block_handlers;
extern const struct fuse_lowlevel_ops fuse_all_handlers;

/* What the kernel is told of us: the same for all views. */
void ops_init(void *userdata, struct fuse_conn_info *conn);

void ops_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
/* The same, never ENOSYS, which would count for all that is in the mount. */
void ops_open_checked(
    fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
    struct fuse_file_info *fi);
void ops_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size,
    off_t off, struct fuse_file_info *fi);
void ops_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_fsync(
    fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void ops_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off,
    off_t len, struct fuse_file_info *fi);
void ops_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence,
    struct fuse_file_info *fi);
void ops_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_create(fuse_req_t req, fuse_ino_t ino, const char *name, mode_t mode,
    struct fuse_file_info *fi);
void ops_mknod(
    fuse_req_t req, fuse_ino_t ino, const char *name, mode_t mode, dev_t rdev);
void ops_mkdir(fuse_req_t req, fuse_ino_t ino, const char *name, mode_t mode);
void ops_unlink(fuse_req_t req, fuse_ino_t ino, const char *name);
void ops_rmdir(fuse_req_t req, fuse_ino_t ino, const char *name);
void ops_rename(fuse_req_t req, fuse_ino_t ino, const char *name,
    fuse_ino_t newdir, const char *newname, unsigned flags);
void ops_link(
    fuse_req_t req, fuse_ino_t ino, fuse_ino_t newdir, const char *newname);
void ops_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
    struct fuse_file_info *fi);
void ops_getxattr(
    fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void ops_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
    const char *value, size_t size, int flags);
void ops_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void ops_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);
void ops_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg,
    struct fuse_file_info *fi, unsigned flags, const void *in, size_t in_size,
    size_t out_size);
void ops_symlink(
    fuse_req_t req, const char *target, fuse_ino_t dir, const char *name);

/* -- fuse_view_all.c, fuse_volumes.c --------------------------------------- */

/*
 * first serves the live root of an ISO: add servers behind it for the ISO's
 * own tree and for further images.  how: as first's session was opened.
 */
MUST_CHECK int volumes_open(
    struct server *first, const struct session_options *how);
/* Close those added. */
void volumes_close(struct server *first);
/* flush_now of all; the first error. */
MUST_CHECK int volumes_flush(struct server *first);

/* The folder that holds those of the volumes; replies. */
void volumes_stat(struct server *first, struct stat *st);
void volumes_lookup(fuse_req_t req, const char *name);
void volumes_readdir(fuse_req_t req, size_t size, off_t off, bool plus);

/* -- fuse_main.c ----------------------------------------------------------- */

/* The kernel serves the mount: let the command that started us end. */
void server_ready(struct server *server);

/* -- fuse_helper.c --------------------------------------------------------- */

/*
 * Start the helper for what will be mounted at dir; to be called before any
 * other thread is started.
 */
MUST_CHECK int helper_open(const char *dir);
/* Ends it.  Without one that is fine. */
void helper_close(void);
/* The daemon has just mounted: that alone may be unmounted. */
void helper_mounted(void);
/*
 * Unmount as compat_unmount does.  -ESTALE: something else is mounted there;
 * -EPIPE: the helper is gone.  One thread at a time.
 */
MUST_CHECK int helper_unmount(bool lazy);
/* A log_sink: to syslog. */
void helper_say(enum log_level level, const char *line);
/*
 * compat_thread_cpu, and the helper goes to that processor; with -1 it is
 * anywhere again.  -EAGAIN: it has no time; -EPIPE: it is gone.  One thread at
 * a time.
 */
int helper_cpu_of(int thread);
/*
 * As soon as it can, the helper gives a thread of the daemon, which runs on
 * that processor alone, all of them and an ordinary priority, as far as it has
 * the rights to.  The next answer of helper_cpu_of comes when that is done.
 */
void helper_free(int thread, int cpu);

/* -- fuse_wire.c ----------------------------------------------------------- */

/* Let what a mounted session is asked and answers come by here, if it can. */
void wire_open(struct fuse_session *session);

/* What becomes of set-user-id and set-group-id of the file it is about. */
enum set_id {
	SET_ID_KERNELS, /* the kernel's business, with this and all requests */
	SET_ID_STAYS,   /* ours: nothing */
	SET_ID_GOES,    /* ours: they are to go, as Linux would have them */
};

/* By the request that the calling thread works on. */
enum set_id wire_set_id(void);

/* -- fuse_follow.c --------------------------------------------------------- */

/*
 * Start the thread that follows clients; to be called when confined.  What
 * fails is done without.
 */
void follow_start(struct fuse_session *session);
/*
 * read(2) of a request from fd, as soon as the calling thread may take one.
 * EINTR: it is the follower, and is to leave the next one to others.
 */
ssize_t follow_read(int fd, void *buf, size_t len);
/* After it took one: of len bytes, by client, a thread's number; or 0. */
void follow_count(int client, size_t len);
/* End that thread, when the loop has ended. */
void follow_stop(void);
/*
 * Whether the calling thread is that one: it may have to wait for long until it
 * gets its processor again, and leaves to others what takes much of that.
 */
bool follow_here(void);

/* -- fuse_signals.c -------------------------------------------------------- */

/*
 * Block the signals that end the daemon, or let them end it at once.  Threads
 * inherit this: all must be started with them blocked.
 */
void signals_block(bool blocked);
/*
 * Block them, and let a thread wait for them: it flushes and unmounts, which
 * ends the loop.
 */
MUST_CHECK int signals_open(struct server *server);
void signals_close(void);

#endif
