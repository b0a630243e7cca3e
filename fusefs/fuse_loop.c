/*
 * The loop that serves the kernel's requests.
 *
 * One thread reads: it serves what it has read and reads again, as long as
 * that is quick.  A client that waits for each answer, as tar and rm do, so
 * always finds the same thread; were all of them to read, the kernel would
 * wake one after the other, each on another processor than the client's, which
 * costs several times what the request does.  Before work that may take long
 * the thread passes its turn on (imgfmt/turn.h), and another one reads.
 *
 * Invariants, under the lock:
 * 1. At most one thread is the reader; it alone changes that there is one.
 * 2. Where there is none, all are at work that may take long, or one of those
 *    that wait has been woken.
 */
#include <pthread.h>
#include <semaphore.h>

#include "../imgfmt/turn.h"
#include "fuse_impl.h"

enum { THREADS_MOST = 8 };

struct loop {
	struct fuse_session *fuse;
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t turn;  /* there is no reader, or the end has come */
	bool has_reader, ends;
	int error;
	sem_t ended; /* posted by a thread that leaves */
};

struct worker {
	struct loop *loop;
	pthread_t thread;
	struct fuse_buf buf;
	bool has_turn;
};

/* Let another thread read, if this one is the reader. */
static void
pass_turn(void *arg)
{
	struct worker *w = arg;

	if (!w->has_turn)
		return;
	w->has_turn = false;
	pthread_mutex_lock(&w->loop->lock);
	w->loop->has_reader = false;
	pthread_cond_signal(&w->loop->turn);
	pthread_mutex_unlock(&w->loop->lock);
}

/* Become the reader; false: the end has come. */
static bool
take_turn(struct worker *w)
{
	struct loop *loop = w->loop;

	pthread_mutex_lock(&loop->lock);
	while (loop->has_reader && !loop->ends)
		pthread_cond_wait(&loop->turn, &loop->lock);
	w->has_turn = !loop->ends;
	loop->has_reader |= w->has_turn;
	pthread_mutex_unlock(&loop->lock);
	return w->has_turn;
}

/* Read one request: its length, 0 at the end, -errno.  May be cancelled. */
static int
receive(struct worker *w)
{
	int n, state;

	(void)pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state);
	n = fuse_session_receive_buf(w->loop->fuse, &w->buf);
	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	return n;
}

static void *
serve_requests(void *arg)
{
	struct worker *w = arg;
	struct loop *loop = w->loop;
	int n = 1, state;

	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	turn_set(pass_turn, w);
	while (
	    !fuse_session_exited(loop->fuse) && (w->has_turn || take_turn(w))) {
		n = receive(w);
		if (n == -EINTR || n == -EAGAIN)
			continue;
		if (n <= 0)
			break;
		fuse_session_process_buf(loop->fuse, &w->buf);
	}
	pthread_mutex_lock(&loop->lock);
	if (n < 0 && loop->error == 0)
		loop->error = n;
	pthread_mutex_unlock(&loop->lock);
	fuse_session_exit(loop->fuse);
	(void)sem_post(&loop->ended);
	return NULL;
}

/* Send home whoever reads or waits; what is being served is finished first. */
static void
end_workers(struct loop *loop, struct worker *workers, unsigned n)
{
	pthread_mutex_lock(&loop->lock);
	loop->ends = true;
	pthread_cond_broadcast(&loop->turn);
	pthread_mutex_unlock(&loop->lock);
	for (unsigned i = 0; i < n; i++)
		(void)pthread_cancel(workers[i].thread);
	for (unsigned i = 0; i < n; i++) {
		(void)pthread_join(workers[i].thread, NULL);
		free(workers[i].buf.mem);
	}
}

int
loop_run(struct fuse_session *fuse, unsigned threads)
{
	struct loop loop = {.fuse = fuse};
	struct worker workers[THREADS_MOST];
	unsigned n = 0;
	int rc = 0;

	pthread_mutex_init(&loop.lock, NULL);
	pthread_cond_init(&loop.turn, NULL);
	(void)sem_init(&loop.ended, 0, 0);
	for (; n < threads && n < THREADS_MOST && rc == 0; n += rc == 0) {
		workers[n] = (struct worker){.loop = &loop};
		rc = pthread_create(
		    &workers[n].thread, NULL, serve_requests, &workers[n]);
	}
	/* One is enough. */
	if (n > 0)
		rc = 0;
	while (n > 0 && !fuse_session_exited(fuse))
		(void)sem_wait(&loop.ended); /* a signal interrupts that */
	end_workers(&loop, workers, n);
	(void)sem_destroy(&loop.ended);
	pthread_cond_destroy(&loop.turn);
	pthread_mutex_destroy(&loop.lock);
	return rc != 0 ? -rc : loop.error;
}
