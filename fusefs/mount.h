/*
 * The mount as a command sees it: `relive mount` and `relive umount` only
 * parse their arguments into these calls.
 */
#ifndef MOUNT_H
#define MOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../imgfmt/err.h"

/* What a mount shows. */
enum mount_view {
	MOUNT_TREE,  /* the live root */
	MOUNT_BLOCK, /* one file, "disk": the device that holds it */
	MOUNT_ALL,   /* of an ISO: "root", "iso", and further images */
};

struct mount_options {
	enum mount_view view;
	const char *address;     /* as session_open takes it */
	const char *dir;         /* the mount point, an existing folder */
	const char *session_dir; /* of --session, or NULL */
	/*
	 * Of -o, joined with commas; NULL or "" for none.  Ours: ro, rw,
	 * fakeroot (the mounting user acts as root inside: nobody's
	 * permissions are checked, new files belong to root, and others have
	 * no access),
	 * default_permissions, allow_other, allow_root, auto_unmount,
	 * [no]suid, [no]dev, [no]exec, [no]atime, grpid, size=, noflags.
	 */
	const char *options;
	uint64_t size_limit; /* of --size, as session_options has it */
	bool read_only;      /* --ro: the last flushed state, no lock taken */
	bool private;        /* others do not see dir as the caller does */
	bool foreground;     /* -f: do not become a daemon */
	bool debug;          /* -d: show every request; implies foreground */
};

/*
 * Mount and serve.  Without foreground: returns 0 in the caller's process
 * once the mount is up (a daemon serves it), or -errno, said on standard
 * error, when it could not be made.  With foreground: returns when it has
 * been unmounted and everything is flushed.
 * -EINVAL, said: an option nobody knows (exit code 2 of the command).
 * Other threads must not run yet; the log's sink is set in the daemon.
 */
MUST_CHECK int mount_run(const struct mount_options *options);

/*
 * Flush, unmount dir and wait until its daemon has released the session.
 * 0: everything written is durable and nobody holds the image any more.
 * -EINVAL, said: not a mount of ours.  -EBUSY, said: files in it are open.
 * -ENOSPC and others of flushing, said: the mount stays and nothing is lost.
 */
MUST_CHECK int mount_unmount(const char *dir);

#endif
