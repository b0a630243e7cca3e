/*
 * A folder becomes "/" of a process.
 *
 * Linux: in a mount namespace that ends with its last process, so that there
 * is nothing to take back.  Places in the tree are found by openat2(2) with the
 * tree as root: a symbolic link in it leads nowhere else.  They are mounted
 * on through /proc/self/fd, while the host's is still in sight.
 *
 * FreeBSD: nullfs(5), devfs(5) and chroot(2); compat_tree_leave takes it all
 * back.  Not yet run on FreeBSD.
 */
#include "compat.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "log.h"

#if defined(__linux__)
#include <linux/openat2.h>
#include <sys/syscall.h>

enum { FD_PATH = 40 };

/* How to get at an open file by a path. */
static const char *
path_of(int fd, char buf[FD_PATH])
{
	(void)snprintf(buf, FD_PATH, "/proc/self/fd/%d", fd);
	return buf;
}

/* A place in the tree; -errno. */
static int
find_place(int root, const char *path, uint64_t flags)
{
	const struct open_how how = {
	    .flags = O_PATH | O_CLOEXEC | flags,
	    .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	long fd = syscall(SYS_openat2, root, path, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

/*
 * What lies at source alone; where the caller may not uncover what is mounted
 * below, with that.
 */
static int
bind_on(const char *source, int place)
{
	char path[FD_PATH];

	path_of(place, path);
	if (mount(source, path, NULL, MS_BIND, NULL) == 0 ||
	    (errno == EINVAL &&
		mount(source, path, NULL, MS_BIND | MS_REC, NULL) == 0))
		return 0;
	return -errno;
}

static int
bind_one(int root, const struct compat_bind *bind)
{
	scoped(fdclosep) int place = find_place(root, bind->target, 0);
	int rc;

	if (place < 0) {
		log_error("'%s' cannot be bound to '%s' in the tree: %s",
		    bind->source, bind->target, strerror(-place));
		return place;
	}
	rc = bind_on(bind->source, place);
	if (rc < 0)
		log_error("'%s' cannot be bound to '%s': %s", bind->source,
		    bind->target,
		    rc == -ENOTDIR ? "one is a folder, the other is not"
				   : strerror(-rc));
	return rc;
}

/* -- devices --------------------------------------------------------------- */

static int
make_device(int dev, const char *name)
{
	scoped(fdclosep) int fd =
	    openat(dev, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	char source[FD_PATH];

	if (fd < 0)
		return -errno;
	(void)snprintf(source, sizeof(source), "/dev/%s", name);
	return bind_on(source, fd);
}

static int
make_folder_for(
    int dev, const char *name, const char *type, const char *options)
{
	scoped(fdclosep) int place = -1;
	char path[FD_PATH];

	if (mkdirat(dev, name, 0755) < 0)
		return -errno;
	place = openat(dev, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (place < 0)
		return -errno;
	return mount(type, path_of(place, path), type, MS_NOSUID | MS_NODEV,
		   options) < 0
	    ? -errno
	    : 0;
}

static void
fill_devices(int dev)
{
	static const char *const nodes[] = {
	    "null", "zero", "full", "random", "urandom", "tty"};
	static const char *const links[][2] = {
	    {"pts/ptmx", "ptmx"},
	    {"/proc/self/fd", "fd"},
	    {"/proc/self/fd/0", "stdin"},
	    {"/proc/self/fd/1", "stdout"},
	    {"/proc/self/fd/2", "stderr"},
	};
	int rc;

	for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++) {
		rc = make_device(dev, nodes[i]);
		if (rc < 0)
			log_debug("no /dev/%s: %s", nodes[i], strerror(-rc));
	}
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		if (symlinkat(links[i][0], dev, links[i][1]) < 0)
			log_debug(
			    "no /dev/%s: %s", links[i][1], strerror(errno));
	rc = make_folder_for(
	    dev, "pts", "devpts", "newinstance,ptmxmode=0666,mode=620");
	if (rc < 0)
		log_debug("no /dev/pts: %s", strerror(-rc));
	rc = make_folder_for(dev, "shm", "tmpfs", "mode=1777");
	if (rc < 0)
		log_debug("no /dev/shm: %s", strerror(-rc));
}

/* Over whatever the image has there: FreeBSD's devfs is empty on disk too. */
static void
mount_devices(int root)
{
	const uint64_t flags = O_DIRECTORY | O_NOFOLLOW;
	scoped(fdclosep) int place = find_place(root, "dev", flags);
	scoped(fdclosep) int dev = -1;
	char path[FD_PATH];

	if (place < 0)
		return;
	if (mount("dev", path_of(place, path), "tmpfs", MS_NOSUID,
		"mode=755,size=64k") < 0) {
		log_warn("no devices in the tree: %s", strerror(errno));
		return;
	}
	dev = find_place(root, "dev", flags);
	if (dev >= 0)
		fill_devices(dev);
}

/* -- what else a program expects ------------------------------------------- */

static void
mount_processes(int root)
{
	scoped(fdclosep) int place =
	    find_place(root, "proc", O_DIRECTORY | O_NOFOLLOW);
	char path[FD_PATH];

	if (place >= 0 &&
	    mount("proc", path_of(place, path), "proc",
		MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		log_warn("no /proc in the tree: %s", strerror(errno));
}

static void
mount_system(int root)
{
	struct mount_attr read_only = {.attr_set = MOUNT_ATTR_RDONLY};
	scoped(fdclosep) int place =
	    find_place(root, "sys", O_DIRECTORY | O_NOFOLLOW);
	char path[FD_PATH];

	if (place < 0)
		return;
	if (mount("/sys", path_of(place, path), NULL, MS_BIND | MS_REC, NULL) <
	    0) {
		log_debug("no /sys in the tree: %s", strerror(errno));
		return;
	}
	(void)close(place);
	place = find_place(root, "sys", O_DIRECTORY | O_NOFOLLOW);
	if (place >= 0 &&
	    mount_setattr(place, "", AT_EMPTY_PATH | AT_RECURSIVE, &read_only,
		sizeof(read_only)) == 0)
		return;
	log_debug("no read-only /sys in the tree: %s", strerror(errno));
	if (place >= 0)
		(void)umount2(path_of(place, path), MNT_DETACH);
}

/* Only over a file: what a link there means is the tree's affair. */
static void
mount_resolver(int root)
{
	scoped(freep) char *source = realpath("/etc/resolv.conf", NULL);
	scoped(fdclosep) int place =
	    find_place(root, "etc/resolv.conf", O_NOFOLLOW);
	struct mount_attr read_only = {.attr_set = MOUNT_ATTR_RDONLY};
	struct stat st;

	if (source == NULL || place < 0 || fstat(place, &st) < 0 ||
	    !S_ISREG(st.st_mode))
		return;
	if (bind_on(source, place) < 0) {
		log_debug("no resolv.conf of the host in the tree");
		return;
	}
	(void)close(place);
	place = find_place(root, "etc/resolv.conf", O_NOFOLLOW);
	if (place < 0 ||
	    mount_setattr(
		place, "", AT_EMPTY_PATH, &read_only, sizeof(read_only)) < 0)
		log_warn("the host's resolv.conf can be written in the tree: "
			 "%s",
		    strerror(errno));
}

/* -- all of it ------------------------------------------------------------- */

/* The tree is the working folder. */
static int
make_root(void)
{
	if (syscall(SYS_pivot_root, ".", ".") == 0) {
		if (umount2(".", MNT_DETACH) < 0)
			return -errno;
	} else if (mount(".", "/", NULL, MS_MOVE, NULL) < 0 ||
	    chroot(".") < 0) {
		/* the host runs from its initial memory file system */
		return -errno;
	}
	return chdir("/") < 0 ? -errno : 0;
}

/* A mount of the tree that is ours alone, as the working folder. */
static int
take_tree(const char *root)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount(root, root, NULL, MS_BIND | MS_REC, NULL) < 0 ||
	    chdir(root) < 0)
		return -errno;
	return 0;
}

int
compat_tree_enter(
    const char *root, const struct compat_bind *binds, size_t nbinds)
{
	scoped(fdclosep) int tree = -1;
	int rc = take_tree(root);

	if (rc == 0) {
		tree = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
		rc = tree < 0 ? -errno : 0;
	}
	if (rc < 0) {
		log_error("'%s' cannot be entered: %s", root, strerror(-rc));
		return rc;
	}
	mount_devices(tree);
	mount_system(tree);
	mount_resolver(tree);
	for (size_t i = 0; i < nbinds && rc == 0; i++)
		rc = bind_one(tree, &binds[i]);
	if (rc < 0)
		return rc;
	mount_processes(tree);
	rc = make_root();
	if (rc < 0)
		log_error(
		    "'%s' cannot become the root: %s", root, strerror(-rc));
	return rc;
}

int
compat_tree_leave(const char *root)
{
	(void)root; /* its mounts ended with the namespace */
	return 0;
}

#else /* FreeBSD */
#include <sys/procctl.h>
#include <sys/uio.h>
#include <sys/wait.h>

enum { WORDS = 8, LEAVES_MAX = 64 };

/* nmount(2) of type at the tree's place of that name. */
static int
mount_at(
    const char *type, const char *source, const char *root, const char *place)
{
	char path[PATH_MAX], inside[PATH_MAX];
	const char *words[WORDS] = {
	    "fstype", type, "fspath", inside, "target", source};
	struct iovec iov[WORDS];
	int n = source == NULL ? 4 : 6;
	size_t len = strlen(root);

	if (snprintf(path, sizeof(path), "%s/%s", root, place) >=
	    (int)sizeof(path))
		return -ENAMETOOLONG;
	if (realpath(path, inside) == NULL)
		return -errno;
	/* a link of the tree may lead out of it, seen from outside */
	if (strncmp(inside, root, len) != 0 || inside[len] != '/')
		return -EXDEV;
	for (int i = 0; i < n; i++) {
		iov[i].iov_base = __DECONST(char *, words[i]);
		iov[i].iov_len = strlen(words[i]) + 1;
	}
	return nmount(iov, (unsigned)n, 0) < 0 ? -errno : 0;
}

static bool
has_place(const char *root, const char *name, mode_t type)
{
	char path[PATH_MAX];
	struct stat st;

	return snprintf(path, sizeof(path), "%s/%s", root, name) <
	    (int)sizeof(path) &&
	    lstat(path, &st) == 0 && (st.st_mode & S_IFMT) == type;
}

static void
mount_usual(const char *root)
{
	if (has_place(root, "dev", S_IFDIR) &&
	    mount_at("devfs", NULL, root, "dev") < 0)
		log_warn("no devices in the tree: %s", strerror(errno));
	if (has_place(root, "etc/resolv.conf", S_IFREG) &&
	    mount_at("nullfs", "/etc/resolv.conf", root, "etc/resolv.conf") < 0)
		log_debug("no resolv.conf of the host in the tree");
}

int
compat_tree_enter(
    const char *root, const struct compat_bind *binds, size_t nbinds)
{
	int rc = 0;

	mount_usual(root);
	for (size_t i = 0; i < nbinds && rc == 0; i++) {
		rc = mount_at("nullfs", binds[i].source, root, binds[i].target);
		if (rc < 0)
			log_error("'%s' cannot be bound to '%s': %s",
			    binds[i].source, binds[i].target, strerror(-rc));
	}
	if (rc == 0 && (chroot(root) < 0 || chdir("/") < 0)) {
		rc = -errno;
		log_error("'%s' cannot be entered: %s", root, strerror(-rc));
	}
	return rc;
}

struct below {
	const char *root;
	char last[PATH_MAX];
};

static int
find_below(void *arg, const struct compat_mount *mount)
{
	struct below *below = arg;
	size_t len = strlen(below->root);

	if (strncmp(mount->target, below->root, len) == 0 &&
	    mount->target[len] == '/')
		(void)snprintf(
		    below->last, sizeof(below->last), "%s", mount->target);
	return 0;
}

int
compat_tree_leave(const char *root)
{
	struct procctl_reaper_kill all = {.rk_sig = SIGKILL};
	struct below below = {.root = root};
	int rc;

	(void)procctl(P_PID, getpid(), PROC_REAP_KILL, &all);
	for (int i = 0; i < LEAVES_MAX; i++) {
		below.last[0] = '\0';
		rc = compat_mounts(find_below, &below);
		if (rc < 0 || below.last[0] == '\0')
			return rc;
		if (unmount(below.last, MNT_FORCE) < 0)
			return -errno;
	}
	return -EBUSY;
}

#endif
