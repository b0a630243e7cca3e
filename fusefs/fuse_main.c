/*
 * relive mount: from options to a daemon that serves, and its end.
 *
 * The command forks first; the child opens the image, mounts, and tells the
 * parent through a pipe once the kernel has accepted the mount.  Until then it
 * complains on the caller's standard error, afterwards to syslog.
 *
 * Between mounting and serving the daemon confines itself.  That binds only
 * the thread that asks for it and those that it starts: all others are started
 * later, and the pool's are sent home.
 */
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>

#include "../imgfmt/compat.h"
#include "../imgfmt/log.h"
#include "../imgfmt/pool.h"
#include "fuse_impl.h"

enum {
	THREADS_LEAST = 3,
	THREADS_MOST = 8,
	LAST_FLUSH_S = 60, /* how long the end waits for space on the host */
	SOURCE_MAX = 2 * PATH_MAX,
};

/* -- the way messages go --------------------------------------------------- */

/* fusermount3, which mounts for an ordinary user, has told why it did not. */
static bool told_by_helper;

/* libfuse's own complaints, one line each, in our words' place. */
__attribute__((format(printf, 2, 0))) static void
from_libfuse(enum fuse_log_level level, const char *format, va_list args)
{
	char line[512];
	size_t len;

	(void)vsnprintf(line, sizeof(line), format, args);
	len = strlen(line);
	while (len > 0 && line[len - 1] == '\n')
		line[--len] = '\0';
	if (level == FUSE_LOG_DEBUG)
		(void)fprintf(stderr, "%s\n", line);
	else
		log_error("%s", line);
}

/* -- the mount point ------------------------------------------------------- */

/*
 * Whether dir shows a mount whose daemon is gone.  stat(2) and open(2) may not
 * tell: the kernel knows the attributes, and opens directories by itself.
 */
static bool
is_dead(const char *dir)
{
	struct statvfs st;

	return statvfs(dir, &st) < 0 &&
	    (errno == ENOTCONN || errno == ECONNABORTED);
}

/*
 * Where to mount, absolute.  A mount there whose daemon was killed is taken
 * away first; one that lives is an error.
 */
static int
prepare_dir(const char *dir, char target[PATH_MAX])
{
	scoped(freep) char *source = malloc(SOURCE_MAX);
	struct stat st;
	int rc;

	if (source == NULL)
		return -ENOMEM;
	if (is_dead(dir)) {
		rc = session_mount_source(dir, target, source, SOURCE_MAX);
		if (rc == 0)
			rc = mount_unmount(dir);
		if (rc < 0)
			return rc;
	}
	if (realpath(dir, target) == NULL || stat(target, &st) < 0) {
		log_error("'%s': %s", dir, strerror(errno));
		return -errno;
	}
	if (!S_ISDIR(st.st_mode)) {
		log_error("'%s' is not a folder", dir);
		return -ENOTDIR;
	}
	if (strchr(target, '\n') != NULL) { /* the session's notes are lines */
		log_error("the path of the mount point has a line break in it");
		return -ENOTSUP;
	}
	if (session_mount_source(target, target, source, SOURCE_MAX) == 0) {
		log_error("'%s' is mounted already, from '%s'", dir, source);
		return -EBUSY;
	}
	return 0;
}

/* -- the server ------------------------------------------------------------ */

/*
 * What the mount calls itself: an address that leads back to this session.
 */
static int
make_source(const struct mount_options *options, const struct session *session,
    char **out)
{
	const struct image *image = session->image;
	const char *lead =
	    options->session_dir != NULL ? session->dir : image->path;

	if (asprintf(out, "%s%s%s", lead, image->inner[0] == '\0' ? "" : ":",
		image->inner) < 0) {
		*out = NULL;
		return -ENOMEM;
	}
	return 0;
}

/* The arguments libfuse is started with. */
static int
make_args(const struct mount_options *options, const struct mount_plan *plan,
    const char *source, struct fuse_args *args)
{
	scoped(freep) char *name = NULL;
	char *list = NULL;
	int rc = 0;

	if (asprintf(&name, "fsname=%s", source) < 0) {
		name = NULL;
		return -ENOMEM;
	}
	if (fuse_opt_add_opt(&list, "subtype=relive") < 0 ||
	    fuse_opt_add_opt_escaped(&list, name) < 0 ||
	    fuse_opt_add_opt(&list, plan->kernel) < 0 ||
	    fuse_opt_add_arg(args, "relive") < 0 ||
	    fuse_opt_add_arg(args, "-o") < 0 ||
	    fuse_opt_add_arg(args, list) < 0 ||
	    (options->debug && fuse_opt_add_arg(args, "-d") < 0))
		rc = -ENOMEM;
	free(list);
	return rc;
}

/* The session, and with --view all those beside it. */
static int
open_sessions(const struct mount_options *options,
    const struct mount_plan *plan, struct server *server)
{
	const struct session_options how = {
	    .mode = plan->read_only ? SESSION_SNAPSHOT : SESSION_WRITE,
	    .content =
		options->view == MOUNT_BLOCK ? SESSION_DEVICE : SESSION_UFS,
	    .dir = options->session_dir,
	    .size_limit =
		plan->size_limit != 0 ? plan->size_limit : options->size_limit,
	    .wait = true,
	    .whole = options->view == MOUNT_ALL,
	    .image = {.pool = server->pool},
	};
	int rc = session_open(options->address, &how, &server->session);

	if (rc == 0 && options->view == MOUNT_ALL)
		rc = volumes_open(server, &how);
	return rc == -EINVAL ? -ENOTSUP : rc; /* -EINVAL is for options */
}

/* Tell an ordinary user once why so much will be denied. */
static void
hint_fakeroot(const struct server *server)
{
	struct ufs_attr root;

	if (geteuid() == 0 || server->fakeroot || server->read_only ||
	    server->fs == NULL ||
	    ufs_getattr(server->fs, UFS_ROOT, &root) < 0 ||
	    root.uid == geteuid())
		return;
	log_info("files in the image belong to their owners (its root to user "
		 "%u); to edit them all as root could, mount with -o fakeroot",
	    root.uid);
}

static uint64_t
journal_of(struct ufs *fs)
{
	static const char name[] = ".sujournal";
	struct ufs_attr attr;

	return ufs_lookup(fs, UFS_ROOT, name, sizeof(name) - 1, &attr) < 0
	    ? 0
	    : attr.ino;
}

static int
start_server(struct server *server, const struct mount_plan *plan)
{
	struct ufs_info info;

	server->fs = server->session->fs;
	server->read_only |= plan->read_only;
	server->fakeroot = plan->fakeroot;
	server->grpid = plan->grpid;
	server->no_flags = plan->no_flags;
	atomic_init(&server->changed, (int_fast64_t)ufs_now().tv_sec);
	if (server->fs != NULL) {
		ufs_info(server->fs, &info);
		server->block_size = info.block_size;
		if (info.suj && !server->read_only)
			server->journal = journal_of(server->fs);
	}
	if (server->read_only)
		return 0;
	return server->fs == NULL ? 0 : nodes_open(server->fs, &server->nodes);
}

static int
start_servers(struct server *server, const struct mount_plan *plan)
{
	int rc = 0;

	for (; server != NULL && rc == 0; server = server->next)
		rc = start_server(server, plan);
	return rc;
}

static int
open_flushers(struct server *server)
{
	int rc = 0;

	for (; server != NULL && rc == 0; server = server->next)
		if (!server->read_only)
			rc = flusher_open(server, &server->flusher);
	return rc;
}

/* -- becoming a daemon ----------------------------------------------------- */

/* What the daemon tells the command that started it. */
struct word {
	int rc;
	bool said; /* why, where the caller sees it */
};

static void
write_status(int fd, int rc, bool said)
{
	const struct word word = {rc, said};

	if (fd >= 0 && write(fd, &word, sizeof(word)) != sizeof(word))
		log_debug("nobody waits for the mount");
}

void
server_ready(struct server *server)
{
	write_status(server->ready_fd, 0, true);
	if (server->ready_fd >= 0)
		(void)close(server->ready_fd);
	server->ready_fd = -1;
}

/* Leave the terminal, the folder and the caller's files. */
static int
detach(struct server *server)
{
	int null = open("/dev/null", O_RDWR);

	if (null < 0 || chdir("/") < 0)
		return -errno;
	(void)setsid();
	log_set_sink(helper_say);
	server->detached = true;
	for (int fd = 0; fd <= 2; fd++)
		if (dup2(null, fd) < 0)
			return -errno;
	if (null > 2)
		(void)close(null);
	return 0;
}

/* -- serving --------------------------------------------------------------- */

/*
 * One for each processor, and one that waits for the disk.  More cost much:
 * the kernel wakes them in turn, each when its caches are cold.
 */
static unsigned
threads_wanted(const struct server *server)
{
	unsigned n = pool_threads(server->pool) + 1;

	n = n < THREADS_LEAST ? THREADS_LEAST : n;
	return n < THREADS_MOST ? n : THREADS_MOST;
}

static int
run_loop(struct server *server)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	unsigned threads = threads_wanted(server);
	int rc;

	if (config == NULL)
		return -ENOMEM;
	fuse_loop_cfg_set_clone_fd(config, 0);
	fuse_loop_cfg_set_max_threads(config, threads);
	fuse_loop_cfg_set_idle_threads(config, threads);
	wire_open(server->fuse);
	follow_start(server->fuse);
	rc = fuse_session_loop_mt(server->fuse, config);
	follow_stop();
	fuse_loop_cfg_destroy(config);
	return rc < 0 ? rc : 0;
}

/*
 * The last flush.  A full host gets some time to make room: once this process
 * is gone, so is what was not flushed.
 */
static int
finish(struct server *server)
{
	int rc = 0;

	for (int s = 0; s < LAST_FLUSH_S; s++) {
		rc = session_flush(server->session);
		if (rc != -ENOSPC)
			break;
		if (s == 0)
			log_error("'%s': no space left on the host for the "
				  "last changes; waiting for some",
			    server->session->dir);
		(void)nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
	}
	if (rc < 0) {
		log_error("'%s': the last changes are lost: %s",
		    server->session->dir, strerror(-rc));
		return rc;
	}
	/*
	 * Everything is safe.  What follows may fail: it spares the next mount
	 * a scan, and to free what was unlinked while open.
	 */
	nodes_close(server->nodes);
	server->nodes = NULL;
	if (session_finish(server->session) < 0)
		log_debug("'%s': no index left", server->session->dir);
	return 0;
}

static int
finish_all(struct server *server)
{
	int worst = 0;

	for (; server != NULL; server = server->next) {
		int rc = 0;

		flusher_close(server->flusher);
		server->flusher = NULL;
		if (!server->read_only)
			rc = finish(server);
		if (worst == 0)
			worst = rc;
	}
	return worst;
}

/* From here on only what serving takes. */
static void
confine(const struct server *server)
{
	unsigned done;

	pool_rest(server->pool);
	done = compat_confine(server->read_only ? -1 : server->session->folder);
	log_debug("confined: paths %s, rights %s, system calls %s",
	    done & COMPAT_CONFINED_PATHS ? "yes" : "no",
	    done & COMPAT_CONFINED_RIGHTS ? "yes" : "no",
	    done & COMPAT_CONFINED_CALLS ? "yes" : "no");
	pool_wake(server->pool);
}

static int
serve_mounted(struct server *server, bool foreground, bool private)
{
	int rc = server->read_only
	    ? 0
	    : session_mark_mounted(server->session, server->dir, private);

	if (rc == 0 && !foreground)
		rc = detach(server);
	if (rc == 0) {
		confine(server);
		rc = open_flushers(server);
	}
	if (rc == 0)
		rc = signals_open(server);
	if (rc < 0)
		log_error("'%s': %s", server->dir, strerror(-rc));
	else
		rc = run_loop(server);
	return rc;
}

/* Make sure that the mount is gone. */
static void
leave_mount(struct server *server)
{
	struct pollfd connection = {.fd = fuse_session_fd(server->fuse)};
	/* Ended by the kernel: something else may be mounted there by now. */
	bool gone =
	    poll(&connection, 1, 0) == 1 && connection.revents & POLLERR;

	fuse_session_destroy(server->fuse);
	if (!gone && helper_unmount(true) < 0)
		log_debug("'%s' is left mounted", server->dir);
}

/* Mount, serve until unmounted, finish. */
static int
serve(struct server *server, const struct mount_options *options,
    struct fuse_args *args)
{
	static const struct fuse_lowlevel_ops *const handlers[] = {
	    [MOUNT_TREE] = &fuse_handlers,
	    [MOUNT_BLOCK] = &fuse_block_handlers,
	    [MOUNT_ALL] = &fuse_all_handlers,
	};
	int rc, last;

	server->fuse = fuse_session_new(
	    args, handlers[options->view], sizeof(fuse_handlers), server);
	if (server->fuse == NULL)
		return -ENOTSUP; /* said by libfuse */
	if (fuse_session_mount(server->fuse, server->dir) != 0) {
		told_by_helper = geteuid() != 0;
		fuse_session_destroy(server->fuse);
		return -ENOTSUP;
	}
	helper_mounted();
	rc = serve_mounted(
	    server, options->foreground || options->debug, options->private);
	leave_mount(server);
	last = finish_all(server);
	if (!server->read_only)
		session_mark_unmounted(
		    server->session, last < 0 ? strerror(-last) : NULL);
	signals_close();
	return rc < 0 ? rc : last;
}

/* Everything behind the mount point: session, server, mount. */
static int
run(const struct mount_options *options, const struct mount_plan *plan,
    const char *dir, int ready_fd)
{
	struct server server = {.dir = dir,
	    .ready_fd = ready_fd,
	    .uid = geteuid(),
	    .gid = getegid()};
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	scoped(freep) char *source = NULL;
	int rc = helper_open(dir);

	compat_memory_pools_few();
	(void)umask(077);
	if (rc == 0)
		rc = pool_open(0, &server.pool);
	if (rc == 0)
		rc = open_sessions(options, plan, &server);
	signals_block(true); /* until here: unpacking a .gz takes time */
	if (rc == 0)
		rc = start_servers(&server, plan);
	if (rc == 0)
		rc = make_source(options, server.session, &source);
	if (rc == 0)
		rc = make_args(options, plan, source, &args);
	if (rc == 0) {
		hint_fakeroot(&server);
		rc = serve(&server, options, &args);
	}
	fuse_opt_free_args(&args);
	volumes_close(&server);
	flusher_close(server.flusher);
	nodes_close(server.nodes);
	session_close(server.session);
	pool_close(server.pool);
	helper_close();
	write_status(server.ready_fd, rc < 0 ? rc : -EIO,
	    !server.detached && (log_errors_said() > 0 || told_by_helper));
	return rc;
}

/* In the command's process: wait for the daemon's word. */
static int
await_daemon(int fd, pid_t child, bool *said)
{
	struct word word;
	int status;
	ssize_t n;

	do
		n = read(fd, &word, sizeof(word));
	while (n < 0 && errno == EINTR);
	if (n == sizeof(word)) {
		*said = word.said;
		return word.rc;
	}
	(void)waitpid(child, &status, 0);
	log_error("the daemon ended before the mount was up");
	return -EIO;
}

static int
run_as_daemon(const struct mount_options *options,
    const struct mount_plan *plan, const char *dir, bool *said)
{
	int ends[2];
	pid_t child;
	int rc;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	(void)fflush(NULL);
	child = fork();
	if (child < 0)
		return -errno;
	if (child == 0) {
		/* Files and locks of the caller are none of the daemon's. */
		if (ends[1] > 3)
			(void)close_range(3, (unsigned)ends[1] - 1, 0);
		(void)close_range((unsigned)ends[1] + 1, ~0u, 0);
		rc = run(options, plan, dir, ends[1]);
		_exit(rc < 0 ? 1 : 0);
	}
	(void)close(ends[1]);
	rc = await_daemon(ends[0], child, said);
	(void)close(ends[0]);
	return rc;
}

/* With the options understood; *said: the daemon told why it failed. */
static int
mount_planned(const struct mount_options *options,
    const struct mount_plan *plan, bool *said)
{
	char dir[PATH_MAX];
	int rc;

	fuse_set_log_func(from_libfuse);
	rc = prepare_dir(options->dir, dir);
	if (rc < 0)
		return rc;
	return options->foreground || options->debug
	    ? run(options, plan, dir, -1)
	    : run_as_daemon(options, plan, dir, said);
}

int
mount_run(const struct mount_options *options)
{
	unsigned errors = log_errors_said();
	struct mount_plan plan;
	bool said = false;
	int rc = mount_plan_make(options, &plan);

	if (rc == 0) {
		rc = mount_planned(options, &plan, &said);
		mount_plan_release(&plan);
	}
	said |= told_by_helper;
	if (rc < 0 && !said && log_errors_said() == errors)
		log_error("'%s' cannot be mounted: %s", options->address,
		    strerror(-rc));
	return rc;
}
