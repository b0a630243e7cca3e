/*
 * Workers are started by the first run that has use for them, so that a
 * process can open files, and confine itself, while it has one thread.
 */
#include "pool.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "compat.h"

struct pool {
	pthread_mutex_t turn; /* held over one run; taken before lock */
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t start, done;
	unsigned nthreads, most; /* workers started, and wanted */
	pthread_t *threads;
	bool quit, started; /* started: between pool_start and pool_wait */
	uint64_t run;       /* number of the current run */
	uint64_t born; /* of the last run before the workers were started */
	unsigned busy; /* workers that have not finished it */
	size_t n, next, failed_at;
	int error;
	int (*work)(void *, size_t);
	void *arg;
};

/* This thread is doing a piece: a run inside it is done by itself alone. */
static _Thread_local bool inside;

/* Take and do pieces until none is left.  Called and returns locked. */
static void
do_pieces(struct pool *p)
{
	while (p->next < p->n && p->error == 0) {
		size_t i = p->next++;
		int rc;

		pthread_mutex_unlock(&p->lock);
		inside = true;
		rc = p->work(p->arg, i);
		inside = false;
		pthread_mutex_lock(&p->lock);
		if (rc < 0 && (p->error == 0 || i < p->failed_at)) {
			p->error = rc;
			p->failed_at = i;
		}
	}
}

static void *
worker(void *arg)
{
	struct pool *p = arg;
	uint64_t seen;

	pthread_mutex_lock(&p->lock);
	seen = p->born;
	for (;;) {
		while (!p->quit && p->run == seen)
			pthread_cond_wait(&p->start, &p->lock);
		if (p->quit)
			break;
		seen = p->run;
		do_pieces(p);
		if (--p->busy == 0)
			pthread_cond_signal(&p->done);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

static int
run_alone(size_t n, int (*work)(void *arg, size_t i), void *arg)
{
	int rc = 0;

	for (size_t i = 0; i < n && rc >= 0; i++)
		rc = work(arg, i);
	return rc < 0 ? rc : 0;
}

/* Where no thread can be had, those that there are do the work. */
static void
start_workers(struct pool *p)
{
	if (p->nthreads > 0)
		return;
	p->born = p->run;
	while (p->nthreads < p->most &&
	    pthread_create(&p->threads[p->nthreads], NULL, worker, p) == 0)
		p->nthreads++;
}

/* Give the workers n pieces.  Called and returns locked. */
static void
begin(struct pool *p, size_t n, int (*work)(void *arg, size_t i), void *arg)
{
	if (n > 1)
		start_workers(p);
	p->n = n;
	p->next = 0;
	p->error = 0;
	p->work = work;
	p->arg = arg;
	p->busy = p->nthreads;
	p->run++;
	pthread_cond_broadcast(&p->start);
}

/* Help until all is done.  Called and returns locked. */
static int
finish(struct pool *p)
{
	do_pieces(p);
	while (p->busy > 0)
		pthread_cond_wait(&p->done, &p->lock);
	return p->error;
}

/* Whoever started what is under way may ask for more: that must not wait. */
static bool
is_started(struct pool *p)
{
	bool started;

	pthread_mutex_lock(&p->lock);
	started = p->started;
	pthread_mutex_unlock(&p->lock);
	return started;
}

int
pool_run(struct pool *p, size_t n, int (*work)(void *arg, size_t i), void *arg)
{
	int rc;

	if (inside || is_started(p))
		return run_alone(n, work, arg);
	pthread_mutex_lock(&p->turn);
	pthread_mutex_lock(&p->lock);
	begin(p, n, work, arg);
	rc = finish(p);
	pthread_mutex_unlock(&p->lock);
	pthread_mutex_unlock(&p->turn);
	return rc;
}

void
pool_start(
    struct pool *p, size_t n, int (*work)(void *arg, size_t i), void *arg)
{
	pthread_mutex_lock(&p->turn);
	pthread_mutex_lock(&p->lock);
	p->started = true;
	begin(p, n, work, arg);
	pthread_mutex_unlock(&p->lock);
}

int
pool_wait(struct pool *p)
{
	int rc;

	pthread_mutex_lock(&p->lock);
	rc = finish(p);
	p->started = false;
	pthread_mutex_unlock(&p->lock);
	pthread_mutex_unlock(&p->turn);
	return rc;
}

unsigned
pool_threads(const struct pool *p)
{
	return p->most + 1;
}

int
pool_open(unsigned threads, struct pool **out)
{
	struct pool *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return -ENOMEM;
	if (threads == 0)
		threads = compat_ncpu();
	p->most = threads - 1;
	p->threads = calloc(threads, sizeof(*p->threads));
	if (p->threads == NULL) {
		free(p);
		return -ENOMEM;
	}
	pthread_mutex_init(&p->turn, NULL);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->start, NULL);
	pthread_cond_init(&p->done, NULL);
	*out = p;
	return 0;
}

void
pool_wake(struct pool *p)
{
	pthread_mutex_lock(&p->lock);
	start_workers(p);
	pthread_mutex_unlock(&p->lock);
}

void
pool_rest(struct pool *p)
{
	pthread_mutex_lock(&p->turn);
	pthread_mutex_lock(&p->lock);
	p->quit = true;
	pthread_cond_broadcast(&p->start);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->nthreads; i++)
		pthread_join(p->threads[i], NULL);
	p->nthreads = 0;
	p->quit = false;
	pthread_mutex_unlock(&p->turn);
}

void
pool_close(struct pool *p)
{
	if (p == NULL)
		return;
	pool_rest(p);
	pthread_cond_destroy(&p->start);
	pthread_cond_destroy(&p->done);
	pthread_mutex_destroy(&p->turn);
	pthread_mutex_destroy(&p->lock);
	free(p->threads);
	free(p);
}
