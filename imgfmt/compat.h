/*
 * What differs between Linux and FreeBSD, behind one interface.  All
 * conditional compilation lives here, in compat.c and in err.h.
 */
#ifndef COMPAT_H
#define COMPAT_H

#include <stdint.h>

#include "err.h"

/*
 * Let the kernel copy up to len bytes between two files, sharing extents
 * where it can.  Bytes copied, 0 at the end of from, or -errno; -EXDEV,
 * -EINVAL, -EOPNOTSUPP mean "copy them yourself".
 */
MUST_CHECK int64_t compat_copy_range(
    int from, uint64_t from_off, int to, uint64_t to_off, uint64_t len);

/*
 * Let everything written to the file system that fd lies on reach it.
 * -errno of syncfs(2).
 */
MUST_CHECK int compat_syncfs(int fd);

/* Processors this process may use, at least 1. */
unsigned compat_ncpu(void);

#endif
