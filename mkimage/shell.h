/*
 * relive shell: a command that runs in the live tree, on a mount that lasts as
 * long as it does.
 */
#ifndef SHELL_H
#define SHELL_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../imgfmt/compat.h"
#include "../imgfmt/err.h"

enum {
	SHELL_CANNOT_RUN = 126, /* exit statuses, as shells have them */
	SHELL_NOT_FOUND = 127,
	SHELL_SIGNAL = 128, /* and its number */
};

struct shell_options {
	const char *address; /* as session_open takes it */
	/* as struct mount_options has them */
	const char *session_dir, *mount_options;
	uint64_t size_limit;
	bool read_only;
	const struct compat_bind *binds;
	size_t nbinds;
	char *const *command; /* NULL at its end; NULL: a shell */
};

/*
 * Run the command; *status is its exit status.  On return nothing is mounted
 * any more and everything is durable.  -errno, said: it did not run, or
 * something of what it wrote is lost.  SIGINT, SIGTERM and SIGHUP end it; the
 * caller has no other thread, and changes its identity.
 */
MUST_CHECK int shell_run(const struct shell_options *options, int *status);

/* -- in the tree: shell_tree.c --------------------------------------------- */

/* As shell_run, with the tree at root. */
MUST_CHECK int shell_in_tree(
    const struct shell_options *options, const char *root, int *status);

/* -- programs: shell_program.c --------------------------------------------- */

/*
 * Where the program lies that a command's first word means in this root, and
 * that it can run here: 0, or SHELL_NOT_FOUND, SHELL_CANNOT_RUN, said.
 */
MUST_CHECK int shell_find_program(const char *word, char path[PATH_MAX]);

/* The shell that $SHELL names if this root has it, or /bin/sh. */
const char *shell_default(void);

/* Make the environment that of root in this tree. */
MUST_CHECK int shell_environment(const char *shell);

/* What execve(2) of path failed with, said; the exit status for it. */
int shell_exec_failed(const char *path, int error);

#endif
