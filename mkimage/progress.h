/*
 * A progress bar on standard error: bytes, rate, time left.  Only on a
 * terminal, and not with -q; else nothing is written.
 */
#ifndef PROGRESS_H
#define PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "../imgfmt/err.h"

struct progress {
	const char *what; /* "compressing"; borrowed */
	uint64_t total;   /* bytes; 0: not known */
	uint64_t done;
	uint64_t start, drawn; /* monotonic_ms */
	bool shown;
};

/* Begin; p is the caller's, one at a time. */
void progress_start(struct progress *p, const char *what, uint64_t total);

/*
 * done bytes of the total are through.  Made to be given as a callback: arg
 * is the struct progress.  -EINTR once the user has interrupted us, for the
 * work to stop.  One thread at a time.
 */
MUST_CHECK int progress_update(void *arg, uint64_t done);

/* Take the bar away. */
void progress_stop(struct progress *p);

/* Take the current bar, if any, off the terminal: a message follows. */
void progress_hide(void);

#endif
