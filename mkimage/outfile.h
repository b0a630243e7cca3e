/*
 * Output files that appear whole or not at all: written under a temporary
 * name in their own directory, made durable, then renamed.  Neither a failure
 * nor an interrupt leaves the temporary file behind.
 */
#ifndef OUTFILE_H
#define OUTFILE_H

#include <stdbool.h>

#include "../imgfmt/blkdev.h"

struct outfile;

/*
 * Start the file that will be at path, in place of what is there; a symbolic
 * link is followed.  Calls interrupts_catch.  Errors are said: -EISDIR,
 * -EINVAL (something there that is no regular file), others of open(2).
 */
MUST_CHECK int outfile_create(const char *path, struct outfile **out);

/* Its bytes: writable, resizable, empty at first; stays the outfile's. */
struct blkdev *outfile_dev(struct outfile *o);

/* The temporary name it has until outfile_commit. */
const char *outfile_temporary(const struct outfile *o);

/*
 * Make the file durable and give it its name; o is gone afterwards in any
 * case, and the file too when this fails, said.  -EINTR, said: interrupted.
 */
MUST_CHECK int outfile_commit(struct outfile *o);

/*
 * As outfile_commit in two steps, for who has to do something durable in
 * between (commit --in-place): sync, said, then commit.
 */
MUST_CHECK int outfile_sync(struct outfile *o);

/* Drop the file.  NULL is fine. */
void outfile_abort(struct outfile *o);

static inline void
outfile_abortp(struct outfile **o)
{
	outfile_abort(*o);
}

/* Whether both name one file, which need not be there. */
bool outfile_same(const char *a, const char *b);

/*
 * Whether path may be written from input, said where not.  -EINVAL: they are
 * the same file, which would be lost; -EBUSY: path is an image with a session,
 * whose edits would be lost.
 */
MUST_CHECK int outfile_not_input(const char *path, const char *input);

/*
 * From now on SIGINT, SIGTERM and SIGHUP only set the flag of interrupted(); a
 * second one removes all outfiles and ends the program.  SIGPIPE is ignored.
 */
void interrupts_catch(void);

/*
 * The first one shall do that, said: where a library keeps the program for
 * long, and there is nothing to put in order but outfiles.
 */
void interrupts_end_at_once(void);

/* The user has asked us to stop. */
bool interrupted(void);

#endif
