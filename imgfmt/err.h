/*
 * Error convention: 0 or a non-negative result on success, -errno on failure;
 * and the helpers that make early returns safe.
 */
#ifndef ERR_H
#define ERR_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The image contradicts its own format.  Never used for anything else. */
#if defined(EINTEGRITY)
#define ECORRUPT EINTEGRITY /* FreeBSD 13+ */
#elif defined(EUCLEAN)
#define ECORRUPT EUCLEAN /* Linux */
#else
#define ECORRUPT EIO
#endif

/* The extended attribute does not exist. */
#if defined(ENOATTR)
#define ENOXATTR ENOATTR
#else
#define ENOXATTR ENODATA
#endif

#define MUST_CHECK __attribute__((warn_unused_result))

/* scoped(freep) T *p = NULL: p is freed on every way out of its block. */
#define scoped(fn) __attribute__((cleanup(fn)))

static inline void
freep(void *p)
{
	free(*(void **)p);
}

/* scoped(fdclosep) int fd = -1: closed on every way out of its block. */
static inline void
fdclosep(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

/* scoped(fileclosep) FILE *f = NULL: closed, errors of closing ignored. */
static inline void
fileclosep(FILE **f)
{
	if (*f != NULL)
		(void)fclose(*f);
}

#endif
