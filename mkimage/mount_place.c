#include "mount_place.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "../fusefs/mount.h"
#include "../imgfmt/compat.h"
#include "../imgfmt/log.h"

/* In the guard; does not return. */
static void
stand_guard(int fd, const char *dir)
{
	char word;
	ssize_t n;

	(void)setsid();
	do
		n = read(fd, &word, 1);
	while (n < 0 && errno == EINTR);
	/* what used the mount died with the command */
	if (n == 0) {
		if (compat_tree_leave(dir) < 0 || compat_unmount(dir, true) < 0)
			log_debug("nothing was mounted at '%s'", dir);
		(void)rmdir(dir);
	}
	_exit(0);
}

static int
make_folder(struct mount_place *p, const char *name)
{
	const char *tmp = getenv("TMPDIR");
	int n = snprintf(p->dir, sizeof(p->dir), "%s/%s.XXXXXX",
	    tmp != NULL && tmp[0] != '\0' ? tmp : "/tmp", name);
	int rc = n >= (int)sizeof(p->dir) ? -ENAMETOOLONG
	    : mkdtemp(p->dir) == NULL     ? -errno
					  : 0;

	if (rc < 0) {
		log_error("cannot make '%s': %s", p->dir, strerror(-rc));
		p->dir[0] = '\0';
	}
	return rc;
}

static int
post_guard(struct mount_place *p)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	(void)fflush(NULL);
	p->guard = fork();
	if (p->guard == 0) {
		(void)close(ends[1]);
		stand_guard(ends[0], p->dir);
	}
	(void)close(ends[0]);
	p->guarded = ends[1];
	return p->guard < 0 ? -errno : 0;
}

int
mount_place_make(struct mount_place *p, const char *name)
{
	int rc;

	*p = (struct mount_place){.guarded = -1};
	rc = make_folder(p, name);
	if (rc < 0)
		return rc;
	rc = post_guard(p);
	if (rc < 0)
		log_error("cannot guard '%s': %s", p->dir, strerror(-rc));
	return rc;
}

void
mount_place_drop(struct mount_place *p)
{
	if (p->guarded >= 0) {
		if (write(p->guarded, "", 1) != 1)
			log_debug("nobody guards '%s'", p->dir);
		(void)close(p->guarded);
	}
	if (p->guard > 0)
		(void)waitpid(p->guard, NULL, 0);
	if (p->dir[0] != '\0' && rmdir(p->dir) < 0)
		log_warn("'%s' is left: %s", p->dir, strerror(errno));
}

void
mount_place_hold_signals(bool hold)
{
	static const int ending[] = {SIGINT, SIGTERM, SIGHUP};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(ending) / sizeof(*ending); i++)
		sigaddset(&set, ending[i]);
	(void)sigprocmask(hold ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

/*
 * A daemon that is not there any more has taken with it what it had not
 * flushed.
 */
int
mount_place_unmount(const char *dir, const char *probe, const char *during)
{
	struct stat st;
	bool lost = stat(probe, &st) < 0 &&
	    (errno == ENOTCONN || errno == ECONNABORTED);
	int rc = mount_unmount(dir);

	if (!lost)
		return rc;
	log_error(
	    "'%s': writing to the session ended before %s did", probe, during);
	return -EIO;
}
