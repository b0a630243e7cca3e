/*
 * The session's merged device is a file of a mount (--view block) in a folder
 * of its own, for as long as the machine runs.  Whatever happens to us, it is
 * unmounted: a guard waits at the end of a pipe that closes when we are gone.
 */
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "../fusefs/mount.h"
#include "../fusefs/session.h"
#include "../imgfmt/compat.h"
#include "../imgfmt/log.h"
#include "boot.h"
#include "cmd.h"
#include "commit.h"

struct place {
	char dir[PATH_MAX];
	pid_t guard;
	int guarded; /* our end of the guard's pipe */
};

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
	/* QEMU died with us: nobody uses the mount any more */
	if (n == 0 && compat_unmount(dir, true) == 0)
		(void)rmdir(dir);
	_exit(0);
}

static int
make_folder(struct place *p)
{
	const char *tmp = getenv("TMPDIR");
	int n = snprintf(p->dir, sizeof(p->dir), "%s/relive-boot.XXXXXX",
	    tmp != NULL && tmp[0] != '\0' ? tmp : "/tmp");
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
post_guard(struct place *p)
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

static int
place_make(struct place *p)
{
	int rc = make_folder(p);

	if (rc < 0)
		return rc;
	rc = post_guard(p);
	if (rc < 0)
		log_error("cannot guard '%s': %s", p->dir, strerror(-rc));
	return rc;
}

/* Unmounted: the guard may go. */
static void
place_drop(struct place *p)
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

static void
hold_signals(bool hold)
{
	static const int ending[] = {SIGINT, SIGTERM, SIGHUP};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(ending) / sizeof(*ending); i++)
		sigaddset(&set, ending[i]);
	(void)sigprocmask(hold ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

/*
 * After the machine.  A daemon that is not there any more has taken with it
 * what it had not flushed.
 */
static int
unmount(const char *dir, const char *disk)
{
	struct stat st;
	bool lost =
	    stat(disk, &st) < 0 && (errno == ENOTCONN || errno == ECONNABORTED);
	int rc = mount_unmount(dir);

	if (!lost)
		return rc;
	log_error(
	    "'%s': writing to the session ended before the machine did", disk);
	return -EIO;
}

static int
run_mounted(struct boot_options *options, const struct boot_session *session,
    const char *dir)
{
	const struct mount_options how = {
	    .view = MOUNT_BLOCK,
	    .address = session->address,
	    .dir = dir,
	    .session_dir = session->dir,
	    .size_limit = session->size,
	};
	char disk[PATH_MAX + sizeof("/disk")];
	int rc = mount_run(&how), end;

	if (rc < 0) {
		cmd_error_was_said(); /* by the daemon that could not start */
		return rc;
	}
	snprintf(disk, sizeof(disk), "%s/disk", dir);
	options->second_disk = disk;
	hold_signals(false);
	rc = boot_run(options);
	hold_signals(true);
	end = unmount(dir, disk);
	return rc < 0 ? rc : end;
}

/* What the machine left in the session. */
static int
judge_session(const struct boot_session *session)
{
	const struct session_options how = {
	    .mode = SESSION_SNAPSHOT,
	    .content = SESSION_ANY,
	    .dir = session->dir,
	    .wait = true,
	};
	scoped(session_closep) struct session *s = NULL;
	int rc = session_open(session->address, &how, &s);

	return rc < 0 ? rc : commit_check_left(s, session->address);
}

int
boot_run_session(
    struct boot_options *options, const struct boot_session *session)
{
	struct place place = {.guarded = -1};
	int rc, left;

	log_info("the session is the second disk, vtbd0 on FreeBSD: mount it "
		 "in the machine, edit, unmount, shut down");
	hold_signals(true);
	rc = place_make(&place);
	if (rc == 0)
		rc = run_mounted(options, session, place.dir);
	place_drop(&place);
	hold_signals(false);
	if (rc < 0 && options->second_disk == NULL)
		return rc; /* it never ran */
	options->second_disk = NULL;
	left = judge_session(session);
	return rc < 0 ? rc : left;
}
