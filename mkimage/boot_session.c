/*
 * The session's merged device is a file of a mount (--view block) in a folder
 * of its own, for as long as the machine runs.
 */
#include <limits.h>

#include "../fusefs/mount.h"
#include "../fusefs/session.h"
#include "../imgfmt/log.h"
#include "boot.h"
#include "cmd.h"
#include "commit.h"
#include "mount_place.h"

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
	mount_place_hold_signals(false);
	rc = boot_run(options);
	mount_place_hold_signals(true);
	end = mount_place_unmount(dir, disk, "the machine");
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
	struct mount_place place;
	int rc, left;

	log_info("the session is the second disk, vtbd0 on FreeBSD: mount it "
		 "in the machine, edit, unmount, shut down");
	mount_place_hold_signals(true);
	rc = mount_place_make(&place, "relive-boot");
	if (rc == 0)
		rc = run_mounted(options, session, place.dir);
	mount_place_drop(&place);
	mount_place_hold_signals(false);
	if (rc < 0 && options->second_disk == NULL)
		return rc; /* it never ran */
	options->second_disk = NULL;
	left = judge_session(session);
	return rc < 0 ? rc : left;
}
