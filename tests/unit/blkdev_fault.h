/*
 * A device for tests that passes calls on to another one, counts them, and
 * fails those it is told to.
 */
#ifndef BLKDEV_FAULT_H
#define BLKDEV_FAULT_H

#include "../../imgfmt/blkdev.h"

/* Kinds of calls, to be OR-ed. */
enum {
	FAULT_READ = 1,
	FAULT_WRITE = 2,
	FAULT_TRIM = 4,
	FAULT_RESIZE = 8,
	FAULT_FLUSH = 16,
	FAULT_ALL = 31,
	FAULT_ONCE = 32, /* of the writes: only counted */
};

/* On success *out owns lower; on error the caller still does. */
MUST_CHECK int blkdev_fault_open(struct blkdev *lower, struct blkdev **out);

/*
 * Let the nth (1: the next) call of these kinds fail with error (-errno), and
 * all such calls after it too if lasting.  A write that fails has written its
 * first half.  nth 0: nothing fails.
 */
void blkdev_fault_arm(
    struct blkdev *dev, unsigned kinds, unsigned nth, int error, bool lasting);

/* Calls of these kinds since the device was opened. */
unsigned blkdev_fault_calls(struct blkdev *dev, unsigned kinds);

#endif
