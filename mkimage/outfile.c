#include "outfile.h"

#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../fusefs/session.h"
#include "../imgfmt/log.h"

struct outfile {
	struct blkdev *dev;
	char *path;      /* final name, links resolved */
	char *temporary; /* in the same directory */
	struct outfile *next;
};

/*
 * The files under way.  The signal handler walks the list, so it changes only
 * with the signals blocked.
 */
static struct outfile *under_way;
static volatile sig_atomic_t stop, at_once;
static const int signals[] = {SIGINT, SIGTERM, SIGHUP};

enum {
	NSIGNALS = sizeof(signals) / sizeof(*signals),
	LINKS_MAX = 32,
};

bool
interrupted(void)
{
	return stop != 0;
}

static void
on_signal(int number)
{
	static const char text[] = "relive: interrupted, nothing written\n";

	if (stop == 0 && at_once == 0) {
		stop = 1;
		return;
	}
	for (struct outfile *o = under_way; o != NULL; o = o->next)
		(void)unlink(o->temporary);
	if (stop == 0) {
		(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
		_exit(1);
	}
	(void)signal(number, SIG_DFL);
	(void)raise(number);
}

static void
hold_signals(bool hold)
{
	sigset_t set;

	sigemptyset(&set);
	for (int i = 0; i < NSIGNALS; i++)
		sigaddset(&set, signals[i]);
	(void)pthread_sigmask(hold ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

void
interrupts_catch(void)
{
	static bool done;
	struct sigaction action = {
	    .sa_handler = on_signal, .sa_flags = SA_RESTART};
	struct sigaction old;

	if (done)
		return;
	done = true;
	sigemptyset(&action.sa_mask);
	/* The file that is under way matters, not who reads what we tell. */
	(void)signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < NSIGNALS; i++) {
		/* nohup(1) and shells without job control mean it */
		if (sigaction(signals[i], NULL, &old) == 0 &&
		    old.sa_handler == SIG_IGN)
			continue;
		(void)sigaction(signals[i], &action, NULL);
	}
}

void
interrupts_end_at_once(void)
{
	at_once = 1;
}

static void
enlist(struct outfile *o)
{
	hold_signals(true);
	o->next = under_way;
	under_way = o;
	hold_signals(false);
}

static void
delist(struct outfile *o)
{
	struct outfile **at = &under_way;

	hold_signals(true);
	while (*at != NULL && *at != o)
		at = &(*at)->next;
	if (*at == o)
		*at = o->next;
	hold_signals(false);
}

/* Where a file made at path will be: a link may lead to what is not there. */
static char *
follow_links(const char *path)
{
	char *at = strdup(path), target[PATH_MAX];
	ssize_t n = 0;

	for (int i = 0; i < LINKS_MAX && at != NULL &&
	     (n = readlink(at, target, sizeof(target) - 1)) >= 0;
	     i++) {
		scoped(freep) char *link = at;
		const char *slash = strrchr(link, '/');

		target[n] = '\0';
		if (*target == '/' || slash == NULL)
			at = strdup(target);
		else if (asprintf(&at, "%.*s/%s", (int)(slash - link), link,
			     target) < 0)
			at = NULL;
	}
	return at;
}

/* Where path really is, and the mode and owner its file should have. */
static int
resolve(const char *path, char **real, struct stat *like)
{
	mode_t mask;

	if (stat(path, like) == 0) {
		if (S_ISDIR(like->st_mode))
			return -EISDIR;
		if (!S_ISREG(like->st_mode))
			return -EINVAL;
		*real = realpath(path, NULL);
	} else if (errno == ENOENT) {
		mask = umask(0);
		umask(mask);
		*like = (struct stat){.st_mode = 0666 & ~mask,
		    .st_uid = geteuid(),
		    .st_gid = (gid_t)-1};
		*real = follow_links(path);
	} else {
		return -errno;
	}
	return *real == NULL ? -errno : 0;
}

/* It will be flushed, whatever is written to it. */
static int
adopt(int fd, struct blkdev **dev)
{
	int rc = blkdev_file_adopt(fd, true, dev);

	if (rc == 0)
		blkdev_file_write_early(*dev);
	return rc;
}

static int
open_temporary(struct outfile *o, const struct stat *like)
{
	scoped(freep) char *dir = strdup(o->path);
	scoped(freep) char *base = strdup(o->path);
	int fd;

	if (dir == NULL || base == NULL ||
	    asprintf(&o->temporary, "%s/.%.200s.XXXXXX", dirname(dir),
		basename(base)) < 0) {
		o->temporary = NULL;
		return -ENOMEM;
	}
	fd = mkostemp(o->temporary, O_CLOEXEC);
	if (fd < 0) {
		int rc = -errno;

		free(o->temporary);
		o->temporary = NULL;
		return rc;
	}
	enlist(o);
	/* Root that replaces a user's file leaves it the user's. */
	if (geteuid() == 0 && fchown(fd, like->st_uid, like->st_gid) < 0)
		log_debug("cannot set the owner of '%s'", o->temporary);
	if (fchmod(fd, like->st_mode & 0777) < 0)
		log_debug("cannot set the mode of '%s'", o->temporary);
	return adopt(fd, &o->dev);
}

int
outfile_create(const char *path, struct outfile **out)
{
	struct outfile *o = calloc(1, sizeof(*o));
	struct stat like;
	int rc;

	interrupts_catch();
	rc = o == NULL ? -ENOMEM : resolve(path, &o->path, &like);
	if (rc == 0)
		rc = open_temporary(o, &like);
	if (rc < 0) {
		log_error("cannot create '%s': %s", path,
		    rc == -EINVAL ? "it is not a regular file" : strerror(-rc));
		outfile_abort(o);
		return rc;
	}
	*out = o;
	return 0;
}

struct blkdev *
outfile_dev(struct outfile *o)
{
	return o->dev;
}

const char *
outfile_temporary(const struct outfile *o)
{
	return o->temporary;
}

void
outfile_abort(struct outfile *o)
{
	if (o == NULL)
		return;
	blkdev_close(o->dev);
	if (o->temporary != NULL)
		(void)unlink(o->temporary);
	delist(o);
	free(o->temporary);
	free(o->path);
	free(o);
}

int
outfile_sync(struct outfile *o)
{
	int rc = interrupted() ? -EINTR : blkdev_flush(o->dev);

	if (rc == -EINTR)
		log_error("interrupted, '%s' not written", o->path);
	else if (rc < 0)
		log_error("cannot write '%s': %s", o->path, strerror(-rc));
	return rc;
}

/* The rename is durable once its directory is. */
static int
sync_directory(const char *path)
{
	scoped(freep) char *dir = strdup(path);
	scoped(fdclosep) int fd = -1;

	if (dir == NULL)
		return -ENOMEM;
	fd = open(dirname(dir), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* Some file systems cannot sync directories, and need not. */
	return fsync(fd) < 0 && errno != EINVAL ? -errno : 0;
}

int
outfile_commit(struct outfile *o)
{
	int rc = outfile_sync(o);

	if (rc < 0) {
		outfile_abort(o);
		return rc;
	}
	if (rename(o->temporary, o->path) < 0) {
		rc = -errno;
		log_error("cannot name '%s': %s", o->path, strerror(-rc));
		outfile_abort(o);
		return rc;
	}
	/* It has its name now: nothing to remove any more. */
	delist(o);
	free(o->temporary);
	o->temporary = NULL;
	rc = sync_directory(o->path);
	if (rc < 0)
		log_error("cannot sync the folder of '%s': %s", o->path,
		    strerror(-rc));
	outfile_abort(o);
	return rc;
}

bool
outfile_same(const char *a, const char *b)
{
	scoped(freep) char *first = follow_links(a), *second = follow_links(b);
	scoped(freep) char *dir = NULL, *other = NULL;
	struct stat in, in_other;
	const char *name, *other_name;

	if (first == NULL || second == NULL)
		return false;
	dir = strdup(first);
	other = strdup(second);
	if (dir == NULL || other == NULL || stat(dirname(dir), &in) < 0 ||
	    stat(dirname(other), &in_other) < 0)
		return false;
	name = basename(first);
	other_name = basename(second);
	return in.st_dev == in_other.st_dev && in.st_ino == in_other.st_ino &&
	    strcmp(name, other_name) == 0;
}

int
outfile_not_input(const char *path, const char *input)
{
	struct stat a, b;
	int rc;

	rc = session_beside(path, NULL);
	if (rc > 0) {
		log_error("'%s' has a session, which would lose its base: "
			  "commit it --in-place or discard it, or choose "
			  "another output",
		    path);
		return -EBUSY;
	}
	if (rc < 0)
		return rc;
	if (stat(path, &a) < 0 || stat(input, &b) < 0 || a.st_dev != b.st_dev ||
	    a.st_ino != b.st_ino)
		return 0;
	log_error("'%s' is the input itself; choose another output", path);
	return -EINVAL;
}
