/*
 * A pool of worker threads for pieces of one larger job: compressing or
 * decompressing clusters.
 */
#ifndef POOL_H
#define POOL_H

#include <stddef.h>

#include "err.h"

struct pool;

/*
 * A pool of threads - 1 workers (the caller of pool_run is one more); 0 means
 * one a processor.  They are started when there is work.  -ENOMEM.
 */
MUST_CHECK int pool_open(unsigned threads, struct pool **out);

/*
 * Call work(arg, i) for every i in 0..n-1, in any order, in parallel, and
 * return when all are done: 0, or the error of the lowest i that failed (all
 * are run or, after a failure, those not yet started are skipped).  Any
 * thread may call; calls on one pool take turns; a call from inside a piece
 * does all its work in that thread.
 */
MUST_CHECK int pool_run(
    struct pool *pool, size_t n, int (*work)(void *arg, size_t i), void *arg);

/*
 * pool_run in two halves, for the calling thread to do other things between
 * them: the workers begin, pool_wait helps them and gives the result.  Both
 * are called by the same thread, outside any piece; in between, a pool_run by
 * any thread does all its work in that thread.
 */
void pool_start(
    struct pool *pool, size_t n, int (*work)(void *arg, size_t i), void *arg);
MUST_CHECK int pool_wait(struct pool *pool);

/* How many threads take part in a run. */
unsigned pool_threads(const struct pool *pool);

/*
 * End the workers, until there is work again: afterwards the calling thread
 * may be the only one.
 */
void pool_rest(struct pool *pool);

/*
 * Start the workers before there is work: whoever starts them hands on its
 * priority and its processors.
 */
void pool_wake(struct pool *pool);

/* Ends the workers.  NULL is fine. */
void pool_close(struct pool *pool);

#endif
