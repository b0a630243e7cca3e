/*
 * Who holds a session: the lock itself is flock(2), which the kernel drops
 * with the process, however that ends; the "mount" file only tells people.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "../imgfmt/compat.h"
#include "../imgfmt/log.h"
#include "session_impl.h"

enum { POLL_MS = 20, WAIT_MS = 10000 };

static void
sleep_ms(long ms)
{
	const struct timespec t = {
	    .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	(void)nanosleep(&t, NULL);
}

/* The lock file that fd has open is still the folder's. */
static bool
is_current(int folder, int fd)
{
	struct stat mine, there;

	return fstat(fd, &mine) == 0 &&
	    fstatat(folder, "lock", &there, AT_SYMLINK_NOFOLLOW) == 0 &&
	    mine.st_ino == there.st_ino && mine.st_dev == there.st_dev;
}

/* The fd, -EWOULDBLOCK, or another error. */
static int
try_lock(int folder, int flags, int how)
{
	for (;;) {
		int fd = openat(folder, "lock",
		    flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
		int rc;

		if (fd < 0)
			return -errno;
		if (flock(fd, how | LOCK_NB) < 0) {
			rc = -errno;
			(void)close(fd);
			return rc;
		}
		if (is_current(folder, fd))
			return fd;
		/* Its last holder removed it meanwhile. */
		(void)close(fd);
		if ((flags & O_CREAT) == 0)
			return -ENOENT;
	}
}

static void
say_busy(int folder, const char *dir)
{
	struct session_mount mount;

	if (session_read_mount(folder, &mount) == 0)
		log_error("the session '%s' is mounted at '%s' (process %ld)",
		    dir, mount.dir, mount.pid);
	else
		log_error("the session '%s' is in use by another process", dir);
}

static int
is_target(void *arg, const struct compat_mount *mount)
{
	return strcmp(mount->target, arg) == 0;
}

/* Who holds the lock serves a mount, so that there is nothing to wait for. */
static bool
is_mounted(int folder)
{
	struct session_mount mount;

	return session_read_mount(folder, &mount) == 0 &&
	    compat_mounts(is_target, mount.dir) == 1;
}

int
session_lock(int folder, const char *dir, bool wait)
{
	int fd = try_lock(folder, O_RDWR | O_CREAT, LOCK_EX);

	for (long ms = 0;
	     fd == -EWOULDBLOCK && wait && ms < WAIT_MS && !is_mounted(folder);
	     ms += POLL_MS) {
		sleep_ms(POLL_MS);
		fd = try_lock(folder, O_RDWR | O_CREAT, LOCK_EX);
	}
	if (fd == -EWOULDBLOCK) {
		say_busy(folder, dir);
		return -EBUSY;
	}
	return fd;
}

int
session_is_locked(int folder)
{
	int fd = try_lock(folder, O_RDONLY, LOCK_SH);

	if (fd >= 0) {
		(void)close(fd);
		return 0;
	}
	return fd == -EWOULDBLOCK ? 1 : fd == -ENOENT ? 0 : fd;
}

/*
 * A mount that the kernel has dropped already (umount(8), a signal): its
 * daemon is about to flush what nobody asked to be confirmed.
 */
static bool
is_ending(int folder, struct session_mount *mount)
{
	scoped(freep) char *source = malloc(2 * PATH_MAX);
	char target[PATH_MAX];

	return session_is_locked(folder) > 0 &&
	    session_read_mount(folder, mount) == 0 && mount->dir[0] != '\0' &&
	    !mount->private && source != NULL &&
	    session_mount_source(mount->dir, target, source, 2 * PATH_MAX) ==
	    -ENOENT;
}

int
session_settle(int folder, const char *dir)
{
	struct session_mount mount;
	long ms = 0;

	while (is_ending(folder, &mount)) {
		if (ms >= WAIT_MS) {
			log_error("the session '%s' is still being written by "
				  "process %ld, though nothing is mounted at "
				  "'%s'",
			    dir, mount.pid, mount.dir);
			return -EBUSY;
		}
		sleep_ms(POLL_MS);
		ms += POLL_MS;
	}
	return 0;
}

/* -- the "mount" file ------------------------------------------------------ */

int
session_read_mount(int folder, struct session_mount *out)
{
	int fd = session_open_file(folder, "mount", O_RDONLY);
	scoped(fileclosep) FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	char line[PATH_MAX];

	*out = (struct session_mount){0};
	if (f == NULL)
		return fd < 0 ? fd : -errno;
	while (fgets(line, sizeof(line), f) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "pid ", 4) == 0)
			out->pid = strtol(line + 4, NULL, 10);
		else if (strncmp(line, "mount ", 6) == 0)
			(void)snprintf(
			    out->dir, sizeof(out->dir), "%s", line + 6);
		else if (strcmp(line, "private") == 0)
			out->private = true;
		else if (strncmp(line, "failed ", 7) == 0)
			(void)snprintf(out->failed, sizeof(out->failed),
			    "%.120s", line + 7);
	}
	return out->pid > 0 ? 0 : -ENOENT;
}

/* Where it cannot be written, what it said stays. */
static int
write_mount(int folder, const char *text)
{
	int fd = session_create_file(folder, "mount.new");
	size_t len = strlen(text);
	int rc = 0;

	if (fd < 0)
		return fd;
	if (write(fd, text, len) != (ssize_t)len)
		rc = errno != 0 ? -errno : -EIO;
	(void)close(fd);
	if (rc == 0 && renameat(folder, "mount.new", folder, "mount") < 0)
		rc = -errno;
	if (rc < 0)
		(void)unlinkat(folder, "mount.new", 0);
	return rc;
}

int
session_mark_mounted(
    const struct session *session, const char *mount_point, bool private)
{
	scoped(freep) char *text = NULL;

	if (asprintf(&text, "pid %ld\nmount %s\n%s", (long)getpid(),
		mount_point, private ? "private\n" : "") < 0) {
		text = NULL;
		return -ENOMEM;
	}
	return write_mount(session->folder, text);
}

void
session_mark_unmounted(const struct session *session, const char *why)
{
	char text[160];

	if (session->folder < 0)
		return;
	if (why == NULL) {
		(void)unlinkat(session->folder, "mount", 0);
		return;
	}
	(void)snprintf(text, sizeof(text), "pid %ld\nfailed %.100s\n",
	    (long)getpid(), why);
	(void)write_mount(session->folder, text);
}

/*
 * The folder of a session that somebody holds, and who says so: 1; 0: nobody.
 * -errno, said.
 */
static int
open_held(const char *address, const char *dir, int *folder,
    struct session_mount *mount)
{
	struct session_place place;
	int rc = session_place_find(address, dir, false, &place);

	if (rc < 0)
		return rc;
	*folder = session_open_folder(place.dir);
	if (*folder >= 0 && session_is_locked(*folder) > 0 &&
	    session_read_mount(*folder, mount) == 0)
		rc = 1;
	session_place_release(&place);
	return rc;
}

int
session_mounted_at(const char *address, const char *dir, char *buf, size_t len)
{
	struct session_mount mount;
	scoped(fdclosep) int folder = -1;
	int rc = open_held(address, dir, &folder, &mount);

	if (rc <= 0)
		return rc;
	if (mount.dir[0] == '\0' || mount.private || is_ending(folder, &mount))
		return 0;
	return snprintf(buf, len, "%s", mount.dir) < (int)len ? 1 : -ERANGE;
}

int
session_sync_mount(const char *address, const char *dir)
{
	char at[PATH_MAX];
	scoped(fdclosep) int fd = -1;
	int rc = session_mounted_at(address, dir, at, sizeof(at));

	if (rc <= 0)
		return rc;
	fd = open(at, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	rc = fd < 0 ? -errno : compat_syncfs(fd);
	if (rc == 0 && fsync(fd) < 0)
		rc = -errno;
	/* Its daemon is on the way out: opening the session waits for it. */
	if (rc == -ENOTCONN || rc == -ECONNABORTED)
		return 0;
	if (rc < 0) {
		log_error("'%s': what was written there cannot be flushed: %s",
		    at, strerror(-rc));
		return rc;
	}
	return 1;
}

/* Whether the session in dir is held for mount_point: then *out. */
static bool
watch_folder(
    const char *dir, const char *mount_point, struct session_watch *out)
{
	scoped(fdclosep) int folder =
	    open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct session_mount mount;

	if (folder < 0 || session_is_locked(folder) <= 0 ||
	    session_read_mount(folder, &mount) < 0 ||
	    strcmp(mount.dir, mount_point) != 0)
		return false;
	*out = (struct session_watch){.folder = folder, .pid = mount.pid};
	folder = -1;
	return true;
}

static bool
watch_beside(
    const char *path, const char *mount_point, struct session_watch *out)
{
	scoped(freep) char *dir = NULL;

	if (asprintf(&dir, "%s.relive", path) < 0) {
		dir = NULL;
		return false;
	}
	return watch_folder(dir, mount_point, out);
}

/*
 * Not through session_place_find: the image may have been moved since it was
 * mounted.
 */
int
session_watch(
    const char *address, const char *mount_point, struct session_watch *out)
{
	scoped(freep) char *path = strdup(address);
	char *colon;

	if (path == NULL)
		return -ENOMEM;
	while (!watch_folder(path, mount_point, out) &&
	    !watch_beside(path, mount_point, out)) {
		colon = strrchr(path, ':');
		if (colon == NULL)
			return -ENOENT;
		*colon = '\0';
	}
	return 0;
}

int
session_watch_end(struct session_watch *watch)
{
	struct session_mount mount;
	int rc;

	while ((rc = session_is_locked(watch->folder)) > 0) {
		if (session_read_mount(watch->folder, &mount) == 0 &&
		    mount.pid != watch->pid)
			break; /* somebody else's by now */
		sleep_ms(POLL_MS);
	}
	if (rc == 0 && session_read_mount(watch->folder, &mount) == 0 &&
	    mount.pid == watch->pid) {
		log_error("the last changes could not be written: %s",
		    mount.failed[0] != '\0' ? mount.failed
					    : "the daemon was killed");
		rc = -EIO;
	}
	(void)close(watch->folder);
	return rc < 0 ? rc : 0;
}
