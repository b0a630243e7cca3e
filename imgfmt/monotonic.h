/*
 * Time as it passes, whatever the clock on the wall is set to; in milliseconds
 * since some moment of the past.
 */
#ifndef MONOTONIC_H
#define MONOTONIC_H

#include <pthread.h>
#include <stdint.h>

#include "err.h"

uint64_t monotonic_ms(void);

/*
 * A condition that is waited for by this time.  Ends with pthread_cond_destroy.
 * -errno of pthread_cond_init(3).
 */
MUST_CHECK int monotonic_cond_init(pthread_cond_t *cond);

/*
 * Wait for one of those, with the lock held, until the given time at most.
 * -ETIMEDOUT: it has come.
 */
int monotonic_wait(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t until);

#endif
