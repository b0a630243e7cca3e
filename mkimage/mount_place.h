/*
 * A folder of its own for a mount that lasts as long as a command.  Whatever
 * happens to the command, it is unmounted: a guard waits at the end of a pipe
 * that closes when the command is gone.
 */
#ifndef MOUNT_PLACE_H
#define MOUNT_PLACE_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "../imgfmt/err.h"

struct mount_place {
	char dir[PATH_MAX];
	pid_t guard;
	int guarded; /* our end of the guard's pipe */
};

/*
 * Make the folder, called name and some letters, where temporary ones are, and
 * post its guard.  Also after an error it wants mount_place_drop.
 */
MUST_CHECK int mount_place_make(struct mount_place *p, const char *name);

/* With nothing mounted there any more: the guard goes, and the folder. */
void mount_place_drop(struct mount_place *p);

/*
 * As mount_unmount; -EIO, said, if the daemon ended before.  probe: what is
 * looked at for that, the folder or a file in it; during: what went on.
 */
MUST_CHECK int mount_place_unmount(
    const char *dir, const char *probe, const char *during);

/* SIGINT, SIGTERM and SIGHUP wait from now on, or no longer. */
void mount_place_hold_signals(bool hold);

#endif
