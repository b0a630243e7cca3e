/* relive umount, and mounts whose daemon is gone. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "../imgfmt/compat.h"
#include "../imgfmt/log.h"
#include "mount.h"
#include "session.h"

enum { SOURCE_MAX = 2 * PATH_MAX };

static int
unmount_dead(const char *dir)
{
	int rc = compat_unmount(dir, true);

	if (rc < 0)
		log_error("'%s': its daemon is gone, and it cannot be "
			  "unmounted: %s",
		    dir, strerror(-rc));
	else
		log_warn("'%s': its daemon was gone; what had been flushed is "
			 "in the session",
		    dir);
	return rc;
}

/*
 * Everything written so far to the daemon, and from there to the session.
 * -ENOTCONN: there is no daemon.
 */
static int
flush_mount(const char *dir)
{
	scoped(fdclosep) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc;

	if (fd < 0)
		/* Root may not look into a user's mount, only remove it; and
		 * of a damaged image even its root may not open.  What is left
		 * the daemon flushes on its way out. */
		return errno == ENOTCONN || errno == ECONNABORTED ? -errno : 0;
	rc = compat_syncfs(fd);
	return rc < 0 ? rc : fsync(fd) < 0 ? -errno : 0;
}

static int
unmount_busy(const char *dir)
{
	int rc = compat_unmount(dir, false);

	if (rc == -EBUSY)
		log_error("'%s' is in use ('fuser -vm %s' names by whom); "
			  "everything written is flushed",
		    dir, dir);
	else if (rc < 0)
		log_error("'%s' cannot be unmounted: %s", dir, strerror(-rc));
	return rc;
}

int
mount_unmount(const char *dir)
{
	scoped(freep) char *source = malloc(SOURCE_MAX);
	char target[PATH_MAX];
	struct session_watch watch;
	bool has_writer;
	int rc;

	if (source == NULL)
		return -ENOMEM;
	rc = session_mount_source(dir, target, source, SOURCE_MAX);
	if (rc < 0) {
		log_error("'%s' is not a mount of relive", dir);
		return -EINVAL;
	}
	rc = flush_mount(target);
	if (rc == -ENOTCONN || rc == -ECONNABORTED)
		return unmount_dead(target);
	if (rc < 0) {
		log_error("'%s' cannot be flushed and stays mounted: %s", dir,
		    strerror(-rc));
		return rc;
	}
	has_writer = session_watch(source, target, &watch) == 0;
	rc = unmount_busy(target);
	/* A mount may cover its own session, which is there again now. */
	if (!has_writer && rc == 0)
		has_writer = session_watch(source, target, &watch) == 0;
	if (!has_writer)
		return rc;
	if (rc == 0)
		return session_watch_end(&watch);
	(void)close(watch.folder);
	return rc;
}
