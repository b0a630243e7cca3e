/*
 * What surrounds the command: whose rights, which mount, and its end.
 *
 * Root mounts where everybody sees it, so that status and commit work beside;
 * an ordinary user mounts in a namespace of his own, where he acts as root and
 * the tree's owners are stored as they are given.
 */
#include "shell.h"

#include <fcntl.h>
#include <string.h>

#include "../fusefs/mount.h"
#include "../fusefs/session.h"
#include "../imgfmt/log.h"
#include "cmd.h"
#include "mount_place.h"

static int
become_root(void)
{
	int ids = compat_become_root();

	if (ids < 0)
		log_error("the tree cannot be entered without root here: %s",
		    ids == -EPERM || ids == -ENOSPC
			? "no user namespaces for users"
			: strerror(-ids));
	if (ids == COMPAT_IDS_OWN)
		log_info(
		    "there is no range of ids for this user in "
		    "/etc/subuid and /etc/subgid: what belongs to others "
		    "than root is shown as nobody's and cannot be changed");
	return ids;
}

static int
ignore_value(void *arg, const char *name, const void *value, size_t len)
{
	(void)arg;
	(void)name;
	(void)value;
	(void)len;
	return 0;
}

/* Only the roots of trees have it, not those of the other views. */
static bool
is_tree(const char *dir)
{
	scoped(fdclosep) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd >= 0 &&
	    compat_xattr(fd, ".", "relive.flags", ignore_value, NULL) == 0;
}

/* Somebody has mounted it already: there is one writer, at dir. */
static int
run_in_mount(const struct shell_options *opt, char dir[PATH_MAX], int *status)
{
	scoped(fdclosep) int fd = -1;
	size_t len = strlen(dir);
	int rc;

	if (!is_tree(dir)) /* --view all has it in a folder */
		(void)snprintf(dir + len, PATH_MAX - len, "/root");
	if (!is_tree(dir)) {
		dir[len] = '\0';
		log_error("'%s' is mounted at '%s', where its tree is not to "
			  "be seen",
		    opt->address, dir);
		return -EBUSY;
	}
	log_info("entering '%s', where '%s' is mounted", dir, opt->address);
	rc = shell_in_tree(opt, dir, status);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (rc == 0)
		rc = fd < 0 ? -errno : compat_syncfs(fd);
	if (rc == 0 && fsync(fd) < 0)
		rc = -errno;
	return rc;
}

static int
run_mounted(
    const struct shell_options *opt, const char *dir, bool private, int *status)
{
	const struct mount_options how = {
	    .view = MOUNT_TREE,
	    .address = opt->address,
	    .dir = dir,
	    .session_dir = opt->session_dir,
	    .options = opt->mount_options,
	    .size_limit = opt->size_limit,
	    .read_only = opt->read_only,
	    .private = private,
	};
	int rc = mount_run(&how), end;

	if (rc < 0) {
		cmd_error_was_said(); /* by the daemon that could not start */
		return rc;
	}
	rc = shell_in_tree(opt, dir, status);
	end = mount_place_unmount(dir, dir, "the command");
	return rc < 0 ? rc : end;
}

static int
run_in_place(const struct shell_options *opt, bool private, int *status)
{
	struct mount_place place;
	int rc = mount_place_make(&place, "relive-shell");

	if (rc == 0)
		rc = run_mounted(opt, place.dir, private, status);
	mount_place_drop(&place);
	return rc;
}

int
shell_run(const struct shell_options *options, int *status)
{
	char dir[PATH_MAX];
	int rc = 0, mounted = 0;

	if (!options->read_only)
		mounted = session_mounted_at(
		    options->address, options->session_dir, dir, sizeof(dir));
	if (mounted < 0)
		return mounted;
	mount_place_hold_signals(true);
	rc = become_root();
	if (rc >= 0)
		rc = mounted > 0
		    ? run_in_mount(options, dir, status)
		    : run_in_place(options, rc != COMPAT_IDS_ALL, status);
	mount_place_hold_signals(false);
	return rc;
}
