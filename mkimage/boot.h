/*
 * Running a live image in QEMU: which program and firmware, what the machine
 * looks like, its serial console, its end.  The image is never written.
 */
#ifndef BOOT_H
#define BOOT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../imgfmt/err.h"
#include "boot_expect.h"

enum boot_medium {
	BOOT_CD,
	BOOT_DISK,
	BOOT_USB,
};

enum boot_accel {
	BOOT_PROBE, /* KVM where a guest answers under it, else TCG */
	BOOT_TCG,
	BOOT_KVM,
};

struct boot_options {
	const char *path; /* of the ISO or disk image */
	enum boot_medium medium;
	bool uefi;
	enum boot_accel accel;
	uint64_t memory;    /* bytes */
	const char *expect; /* text that must appear, or NULL */
	unsigned timeout;   /* seconds, 0: for ever */
	const char *serial_log;
	const char *second_disk; /* a device to be written, or NULL */
	char *const *extra;      /* more arguments for QEMU, NULL at the end */
};

/*
 * Run the machine until it ends, the text appears, the time is up, or the user
 * ends it; QEMU is gone on return.  Says what went wrong.  With expect: 0 when
 * the text appeared, -ENOENT when it did not.  -EINTR: by a signal.
 * -ETIMEDOUT: the time was up.  -ENOENT: no QEMU, no firmware.
 * SIGINT, SIGTERM and SIGHUP only set the flag of interrupted() from now on.
 */
MUST_CHECK int boot_run(const struct boot_options *options);

/* What is edited by a machine. */
struct boot_session {
	const char *address; /* of the image */
	const char *dir;     /* of --session=DIR, or NULL */
	uint64_t size;       /* the device is made that large at least, or 0 */
};

/*
 * As boot_run, with the session's merged device as the machine's second disk:
 * what it writes there is in the session on return.  -EBUSY, said: the file
 * system there was not left cleanly.
 */
MUST_CHECK int boot_run_session(
    struct boot_options *options, const struct boot_session *session);

/* -- QEMU's arguments: boot_qemu.c ---------------------------------------- */

/* A list for execv(3): argv[n] is NULL. */
struct boot_argv {
	char **argv;
	size_t n, room;
	int rc; /* the first failure to append */
};

/* Append one argument, as printf(3) makes it. */
__attribute__((format(printf, 2, 3))) void boot_argv_add(
    struct boot_argv *args, const char *format, ...);
void boot_argv_release(struct boot_argv *args);

/*
 * The path of QEMU into args, as its first; -ENOENT, said with the package
 * that has it.
 */
MUST_CHECK int boot_find_qemu(struct boot_argv *args);

/* All arguments after the first; accel is decided.  -ENOENT, said. */
MUST_CHECK int boot_describe(const struct boot_options *options,
    enum boot_accel accel, struct boot_argv *args);

/* -- its process: boot_child.c --------------------------------------------- */

struct boot_child {
	pid_t pid;
	int in, out, err; /* our ends of its standard files */
};

/*
 * Start a program in a process group of its own, that ends when we do.  out
 * and err do not block.  Wants boot_child_end.
 */
MUST_CHECK int boot_child_start(char *const *argv, struct boot_child *child);

/* Ask it to end, or make it. */
void boot_child_signal(const struct boot_child *child, int signal);

/* Kill it if it still runs; its status, as waitpid(2) gives it. */
int boot_child_end(struct boot_child *child);

/* -- KVM: boot_kvm.c --------------------------------------------------------
 */

/*
 * Whether a small guest of our own answers under that accelerator ("kvm",
 * "tcg").  0: no, or QEMU cannot do it at all.
 */
MUST_CHECK int boot_answers(const char *qemu, const char *accel);

/* -- the console: boot_console.c --------------------------------------------
 */

/* How the run ended. */
enum boot_end {
	BOOT_ENDED, /* QEMU did, by itself */
	BOOT_FOUND, /* the text of expect */
	BOOT_TIME_UP,
	BOOT_LEFT, /* Ctrl-] */
	BOOT_INTERRUPTED,
};

enum { BOOT_COMPLAINT_MAX = 512, BOOT_LINES = 20 };

struct boot_outcome {
	char complaint[BOOT_COMPLAINT_MAX]; /* QEMU's last line of its own */
	char lines[2 * EXPECT_TAIL];        /* the console's last ones */
};

/*
 * Connect the child's serial console with the terminal, log (a descriptor or
 * -1) and expect, until it ends, or there is a reason to end it, for which it
 * is given time.  QEMU's own messages are said, but for the last one.  An enum
 * boot_end, or -errno, said.
 */
MUST_CHECK int boot_console(const struct boot_options *options, int log,
    struct boot_child *child, struct boot_outcome *outcome);

#endif
