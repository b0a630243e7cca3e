/* Handlers that look: lookup, getattr, statfs, directories; and the table. */
#include <limits.h>
#include <string.h>
#include <sys/statvfs.h>

#include "../imgfmt/compat.h"
#include "../imgfmt/log.h"
#include "fuse_impl.h"

/* -- helpers of all handlers ----------------------------------------------- */

static pthread_key_t buffer_key;
static pthread_once_t buffer_once = PTHREAD_ONCE_INIT;

struct thread_buffer {
	size_t len;
	_Alignas(4096) char bytes[];
};

static void
make_buffer_key(void)
{
	(void)pthread_key_create(&buffer_key, free);
}

void *
thread_buffer(size_t len)
{
	struct thread_buffer *buffer;
	size_t size;

	(void)pthread_once(&buffer_once, make_buffer_key);
	buffer = pthread_getspecific(buffer_key);
	if (buffer != NULL && buffer->len >= len)
		return buffer->bytes;
	free(buffer);
	(void)pthread_setspecific(buffer_key, NULL);
	len = len < 128 << 10 ? 128 << 10 : (len + 4095) & ~(size_t)4095;
	size = sizeof(*buffer) + len;
	buffer = aligned_alloc(4096, (size + 4095) & ~(size_t)4095);
	if (buffer == NULL)
		return NULL;
	buffer->len = len;
	(void)pthread_setspecific(buffer_key, buffer);
	return buffer->bytes;
}

void
stat_of(
    const struct server *server, const struct ufs_attr *attr, struct stat *st)
{
	*st = (struct stat){
	    .st_ino = server->tag | attr->ino,
	    .st_mode = attr->mode,
	    .st_nlink = attr->nlink,
	    .st_uid = attr->uid,
	    .st_gid = attr->gid,
	    .st_rdev = makedev(attr->rdev_major, attr->rdev_minor),
	    .st_size = (off_t)attr->size,
	    .st_blksize = (blksize_t)server->block_size,
	    .st_blocks = (blkcnt_t)attr->blocks,
	    .st_atim = attr->atime,
	    .st_mtim = attr->mtime,
	    .st_ctim = attr->ctime,
	};
}

void
entry_of(const struct server *server, const struct ufs_attr *attr,
    struct fuse_entry_param *entry)
{
	*entry = (struct fuse_entry_param){
	    .ino = server->tag | swap_root(attr->ino),
	    .generation = attr->gen,
	    .attr_timeout = FOREVER,
	    .entry_timeout = FOREVER,
	};
	stat_of(server, attr, &entry->attr);
}

void
reply_entry(fuse_req_t req, int rc, const struct ufs_attr *attr)
{
	struct server *server = server_of(req);
	struct fuse_entry_param entry;

	if (rc == 0)
		rc = nodes_hold(server->nodes, attr->ino);
	if (rc < 0) {
		fuse_reply_err(req, -rc);
		return;
	}
	entry_of(server, attr, &entry);
	/* Where the request was interrupted the kernel does not learn of it. */
	if (fuse_reply_entry(req, &entry) < 0)
		(void)nodes_forget(server->nodes, attr->ino, 1);
}

void
reply_changed(fuse_req_t req, int rc)
{
	if (rc == 0)
		flush_changed(server_of(req)->flusher);
	fuse_reply_err(req, -rc);
}

/* -- looking --------------------------------------------------------------- */

/* By file handle the kernel asks for "." of what need be no directory. */
static int
look_up(const struct server *server, uint64_t dir, const char *name,
    struct ufs_attr *attr)
{
	if (strcmp(name, ".") == 0)
		return ufs_getattr(server->fs, dir, attr);
	return ufs_lookup(server->fs, dir, name, strlen(name), attr);
}

static void
ops_lookup(fuse_req_t req, fuse_ino_t dir, const char *name)
{
	static const struct fuse_entry_param nothing = {
	    .entry_timeout = FOREVER};
	struct server *server = server_of(req);
	struct ufs_attr attr;
	int rc = look_up(server, swap_root(dir), name, &attr);

	if (rc == -ENOENT) /* and the kernel may remember that */
		fuse_reply_entry(req, &nothing);
	else
		reply_entry(req, rc, &attr);
}

static void
forget_one(struct server *server, fuse_ino_t ino, uint64_t n)
{
	if (nodes_forget(server->nodes, swap_root(ino), n) > 0)
		flush_changed(server->flusher);
}

static void
ops_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n)
{
	forget_one(server_of(req), ino, n);
	fuse_reply_none(req);
}

static void
ops_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		forget_one(server_of(req), forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

void
ops_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct server *server = server_of(req);
	struct ufs_attr attr;
	struct stat st;
	int rc = ufs_getattr(server->fs, swap_root(ino), &attr);

	(void)fi;
	if (rc < 0) {
		fuse_reply_err(req, -rc);
		return;
	}
	stat_of(server, &attr, &st);
	fuse_reply_attr(req, &st, FOREVER);
}

static void
ops_readlink(fuse_req_t req, fuse_ino_t ino)
{
	char *target = thread_buffer(PATH_MAX + 1);
	int64_t n = target == NULL ? -ENOMEM
				   : ufs_readlink(server_of(req)->fs,
					 swap_root(ino), target, PATH_MAX);

	if (n < 0) {
		fuse_reply_err(req, (int)-n);
		return;
	}
	target[n] = '\0';
	fuse_reply_readlink(req, target);
}

/*
 * Free space counts what growing can still add, but no more than the session's
 * own file system has room for.
 */
static void
ops_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct server *server = server_of(req);
	struct statvfs host, out = {0};
	struct ufs_info info;
	uint64_t free, avail, growth;

	(void)ino;
	ufs_info(server->fs, &info);
	growth = server->read_only ? 0 : info.growable;
	free = info.free + growth;
	avail = info.avail + growth;
	if (!server->read_only &&
	    fstatvfs(server->session->folder, &host) == 0) {
		uint64_t room = (uint64_t)host.f_bavail * host.f_frsize;

		avail = avail < room ? avail : room;
		free = free < room ? free : room;
	}
	out.f_bsize = info.block_size;
	out.f_frsize = info.frag_size;
	out.f_blocks = (info.data + growth) / info.frag_size;
	out.f_bfree = free / info.frag_size;
	out.f_bavail = avail / info.frag_size;
	/* What growing adds in inodes is as dense as the groups there are. */
	growth = growth / ((uint64_t)info.frags_per_group * info.frag_size) *
	    info.inodes_per_group;
	out.f_files = info.inodes + growth;
	out.f_ffree = out.f_favail = info.free_inodes + growth;
	out.f_fsid = (unsigned long)info.id[0] << 32 | info.id[1];
	out.f_namemax = UFS_NAME_MAX;
	fuse_reply_statfs(req, &out);
}

/* -- directories ----------------------------------------------------------- */

/*
 * Nobody need be told: the kernel lists without, and keeps what was listed, as
 * whatever changes it has asked for.
 */
void
ops_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	if (((struct server *)fuse_req_userdata(req))->no_opendir) {
		fuse_reply_err(req, ENOSYS);
		return;
	}
	fi->cache_readdir = 1;
	fi->keep_cache = 1;
	(void)fuse_reply_open(req, fi);
}

static void
ops_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
    struct fuse_file_info *fi)
{
	(void)fi;
	dir_read(req, swap_root(ino), size, off, false);
}

static void
ops_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
    struct fuse_file_info *fi)
{
	(void)fi;
	dir_read(req, swap_root(ino), size, off, true);
}

/* -- the table ------------------------------------------------------------- */

static bool
has_acls(const struct server *server)
{
	struct ufs_info info;

	if (server->fs == NULL || server->fakeroot || server->is_iso)
		return false;
	ufs_info(server->fs, &info);
	return info.version == 2 && !info.nfs4_acls;
}

/*
 * Let the kernel check access control lists, where FreeBSD would.  That brings
 * default_permissions with it, which fakeroot goes without; and the umask to
 * us, as a default list takes its place.  Of volumes that have none it is told
 * so, for each file that it asks about.
 */
static void
want_acls(struct server *first, struct fuse_conn_info *conn)
{
	const unsigned needed = FUSE_CAP_POSIX_ACL | FUSE_CAP_DONT_MASK;

	if ((conn->capable & needed) != needed)
		return;
	for (struct server *s = first; s != NULL; s = s->next) {
		s->acls = has_acls(s);
		if (s->acls)
			conn->want |= needed;
	}
}

void
ops_init(void *userdata, struct fuse_conn_info *conn)
{
	struct server *server = userdata;

	/*
	 * O_TRUNC as a request of its own, as truncate(2), which takes set-id
	 * bits off.  Data moves by copying: it lies in caches of ours.
	 * Directories are listed with attributes at once, not only where the
	 * kernel guesses that they will be asked for.
	 */
	conn->want &= ~(unsigned)(FUSE_CAP_ATOMIC_O_TRUNC |
	    FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_HANDLE_KILLPRIV |
	    FUSE_CAP_POSIX_LOCKS | FUSE_CAP_FLOCK_LOCKS | FUSE_CAP_SPLICE_READ |
	    FUSE_CAP_SPLICE_WRITE | FUSE_CAP_AUTO_INVAL_DATA |
	    FUSE_CAP_READDIRPLUS_AUTO);
	conn->want |= conn->capable &
	    (FUSE_CAP_ASYNC_READ | FUSE_CAP_READDIRPLUS |
		FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_CACHE_SYMLINKS |
		FUSE_CAP_IOCTL_DIR | FUSE_CAP_EXPORT_SUPPORT);
	want_acls(server, conn);
	server->no_opendir = (conn->capable & FUSE_CAP_NO_OPENDIR_SUPPORT) != 0;
	server->no_open = (conn->capable & FUSE_CAP_NO_OPEN_SUPPORT) != 0;
	conn->max_background = 64;
	conn->congestion_threshold = 48;
	server_ready(server);
}

const struct fuse_lowlevel_ops fuse_handlers = {
    .init = ops_init,
    .lookup = ops_lookup,
    .forget = ops_forget,
    .forget_multi = ops_forget_multi,
    .getattr = ops_getattr,
    .setattr = ops_setattr,
    .readlink = ops_readlink,
    .mknod = ops_mknod,
    .mkdir = ops_mkdir,
    .unlink = ops_unlink,
    .rmdir = ops_rmdir,
    .symlink = ops_symlink,
    .rename = ops_rename,
    .link = ops_link,
    .open = ops_open,
    .read = ops_read,
    .write = ops_write,
    .release = ops_release,
    .fsync = ops_fsync,
    .opendir = ops_opendir,
    .readdir = ops_readdir,
    .readdirplus = ops_readdirplus,
    .fsyncdir = ops_fsync,
    .statfs = ops_statfs,
    .setxattr = ops_setxattr,
    .getxattr = ops_getxattr,
    .listxattr = ops_listxattr,
    .removexattr = ops_removexattr,
    .create = ops_create,
    .fallocate = ops_fallocate,
    .lseek = ops_lseek,
    .ioctl = ops_ioctl,
};
