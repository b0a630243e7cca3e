/*
 * A thread that follows its client from processor to processor.
 *
 * A client that asks for one small thing after another, such as tar(1) or
 * find(1), sleeps until it is answered, and then the daemon sleeps until it
 * asks again.  The scheduler gives each of the two a processor of its own,
 * since the other's is always busy when it wakes; so for each request two
 * sleeping processors are woken, which takes several times as long as the
 * request does.  On one processor the two only take turns.
 *
 * So there is one more thread, the follower.  Threads that serve count the
 * requests that come of one client in a row.  Where these come fast, the
 * follower moves to the client's processor and takes all requests, and the
 * others stand aside.  It runs with the least of all priorities: only then the
 * client is left there when it wakes, and goes on at once.
 *
 * Whatever else there is to do has all processors and all threads: following
 * ends as soon as rows come slowly or not at all, because there are several
 * clients, or much is asked for at a time, or nothing; and when the follower
 * does not get on, because the host does not answer, or its processor is busy
 * with something else.  What it is at then, and may hold locks for, it goes on
 * with like any other thread.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>

#include "../imgfmt/compat.h"
#include "../imgfmt/monotonic.h"
#include "fuse_impl.h"

enum {
	SMALL = 32 << 10,   /* bytes; more, and two processors are better */
	ROW = 16,           /* requests of one client */
	ROW_MIXED = 48,     /* where it takes more, there are several */
	ROW_MS = 5,         /* where it takes longer, there is no hurry */
	ROW_SHARED_MS = 12, /* the same where several threads serve */
	TRIAL = 16,         /* rows, by which the client mostly stays */
	PAUSE_MS = 20,      /* the client asks for nothing: the end */
	LATE_MS = 3,        /* to come to the client: its processor is busy */
	LOOK_MS = 10,       /* how often others look whether it gets on */
	QUIET = 3,          /* looks without anything that it did */
	SHORT_MS = 100,     /* what ends before may have been a mistake */
	REST_MS = 50,       /* after one, and ever longer after the next ones */
	REST_MOST_MS = 800,
};

/* A process has one. */
static struct {
	pthread_t thread;
	bool started;

	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t go;    /* the follower waits for it */
	pthread_cond_t back;  /* and the others */
	_Atomic bool on;      /* it takes the requests; to be read without */
	bool parked;          /* it takes none */
	bool watched;         /* one of the others looks after it */
	bool stop;
	int client, id;                   /* threads; id: its own */
	uint64_t began, rest, rest_until; /* ms */

	_Atomic unsigned steps; /* up when it takes a request, and when done */
	_Atomic int cpu;        /* where it runs; -1: anywhere */
	_Atomic bool freed;     /* others had it set free from there */
} follower = {.lock = PTHREAD_MUTEX_INITIALIZER,
    .cpu = -1,
    .go = PTHREAD_COND_INITIALIZER,
    .rest = REST_MS};

/* Of each thread that serves. */
static _Thread_local struct {
	bool follows;
	int client;
	unsigned row, mixed; /* requests of it, and of all since the last row */
	uint64_t since;      /* ms */
} here;

bool
follow_here(void)
{
	return here.follows;
}

/* -- following begins and ends; with the lock held ------------------------- */

static void
begin(int client, uint64_t now)
{
	if (!follower.parked || follower.on || now < follower.rest_until)
		return;
	follower.client = client;
	follower.began = now;
	follower.on = true;
	(void)pthread_cond_signal(&follower.go);
}

/* in_vain: it would be of no use to begin again at once. */
static void
end(bool in_vain)
{
	uint64_t now = monotonic_ms();

	if (!follower.on)
		return;
	follower.on = false;
	(void)pthread_cond_broadcast(&follower.back);
	if (now - follower.began >= SHORT_MS)
		follower.rest = REST_MS;
	if (!in_vain)
		return;
	follower.rest_until = now + follower.rest;
	if (follower.rest < REST_MOST_MS)
		follower.rest *= 4;
}

/* -- the others ------------------------------------------------------------ */

static void
unlock(void *lock)
{
	(void)pthread_mutex_unlock(lock);
}

/* It does not get on.  In a request it may hold what others wait for. */
static void
give_up(bool in_request)
{
	int cpu = atomic_load(&follower.cpu);

	if (!follower.on)
		return;
	end(true);
	if (!in_request || cpu < 0 || atomic_load(&follower.freed))
		return;
	atomic_store(&follower.freed, true);
	helper_free(follower.id, cpu);
}

/*
 * One that is at the same request for long may be so for much longer.  One that
 * is asked nothing ends by itself, if it can.
 */
static void
watch(void)
{
	unsigned before = atomic_load(&follower.steps), quiet = 0;

	follower.watched = true;
	while (follower.on) {
		unsigned steps;

		(void)monotonic_wait(
		    &follower.back, &follower.lock, monotonic_ms() + LOOK_MS);
		steps = atomic_load(&follower.steps);
		quiet = steps == before ? quiet + 1 : 0;
		before = steps;
		if (quiet == QUIET ||
		    (quiet > 0 && (steps % 2 == 1 || follower.parked)))
			give_up(steps % 2 == 1);
	}
	follower.watched = false;
}

/* Waits where libfuse may cancel the thread. */
static void
stand_aside(void)
{
	(void)pthread_mutex_lock(&follower.lock);
	pthread_cleanup_push(unlock, &follower.lock);
	while (follower.on)
		if (follower.watched)
			(void)pthread_cond_wait(&follower.back, &follower.lock);
		else
			watch();
	pthread_cleanup_pop(1);
}

/* -- rows ------------------------------------------------------------------ */

static void
start_row(uint64_t now)
{
	here.row = here.mixed = 0;
	here.since = now;
}

void
follow_count(int client, size_t len)
{
	here.mixed++;
	if (client == 0) /* of the kernel, or a client that we do not see */
		return;
	if (client != here.client || len > SMALL) {
		here.client = client;
		here.row = 0;
	}
	here.row++;
}

/* A thread that does not follow has a row. */
static void
consider(void)
{
	uint64_t now = monotonic_ms();

	if (now - here.since <= ROW_SHARED_MS && here.mixed <= ROW_MIXED) {
		(void)pthread_mutex_lock(&follower.lock);
		begin(here.client, now);
		(void)pthread_mutex_unlock(&follower.lock);
	}
	start_row(now);
}

/* Wait for a request at fd, for ms, or with -1 without end; as poll(2). */
static int
is_asked(int fd, int ms)
{
	struct pollfd request = {.fd = fd, .events = POLLIN};

	return poll(&request, 1, ms);
}

/*
 * Its client goes on at once when it is answered, and has mostly asked again
 * when the follower comes to read.  It leaves to others what comes after a
 * pause.
 */
static ssize_t
read_following(int fd, void *buf, size_t len)
{
	ssize_t n = read(fd, buf, len);

	if (n < 0 && errno == EAGAIN && is_asked(fd, PAUSE_MS) > 0)
		n = read(fd, buf, len);
	if (n < 0 && errno == EAGAIN)
		errno = EINTR;
	return n;
}

ssize_t
follow_read(int fd, void *buf, size_t len)
{
	if (here.follows)
		return read_following(fd, buf, len);
	if (here.row >= ROW)
		consider();
	for (;;) {
		ssize_t n;

		if (atomic_load(&follower.on))
			stand_aside();
		n = read(fd, buf, len);
		if (n >= 0 || errno != EAGAIN)
			return n;
		/* The follower has just come, or not yet gone. */
		(void)is_asked(fd, -1);
	}
}

/* -- the follower ---------------------------------------------------------- */

/* Its own. */
struct place {
	long preempted;
	uint64_t used;        /* ms of the processor's time */
	unsigned rows, moves; /* since it follows */
	bool in_vain;         /* it was no use to follow */
};

/* false: it cannot, or somebody else has said where it runs. */
static bool
go_to(struct place *place, int client)
{
	int cpu = helper_cpu_of(client), at = atomic_load(&follower.cpu);

	if (cpu < 0 || compat_run_on(at, cpu) < 0)
		return false;
	place->moves += cpu != at;
	atomic_store(&follower.cpu, cpu);
	return true;
}

/* The first time that it follows this client. */
static bool
come_to(struct place *place, int client)
{
	bool freed = atomic_load(&follower.freed);

	if (freed)
		atomic_store(&follower.cpu, -1);
	if (!go_to(place, client) || (freed && compat_run_last() < 0))
		return false;
	atomic_store(&follower.freed, false);
	return true;
}

/* What a row took. */
struct took {
	long preempted;
	uint64_t ms, used_ms; /* by the clock, and of the processor's time */
};

static struct took
end_row(struct place *place)
{
	uint64_t now = monotonic_ms();
	struct took took = {.ms = now - here.since};
	struct rusage use;

	if (getrusage(RUSAGE_THREAD, &use) == 0) {
		uint64_t used =
		    (uint64_t)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) *
			1000 +
		    (uint64_t)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) /
			1000;

		took.preempted = use.ru_nivcsw - place->preempted;
		took.used_ms = used - place->used;
		place->preempted = use.ru_nivcsw;
		place->used = used;
	}
	start_row(now);
	place->rows++;
	return took;
}

/*
 * After each request: whether to go on.  A client on this processor takes it
 * from the follower whenever it is answered; one that does not is looked for.
 */
static bool
goes_on(struct place *place)
{
	struct took took;

	if (here.mixed > ROW_MIXED)
		return false;
	if (here.row < ROW)
		return true;
	took = end_row(place);
	if (took.ms > ROW_MS) {
		place->in_vain = took.used_ms < took.ms / 4;
		return false;
	}
	if (took.preempted >= ROW / 2)
		return true;
	place->in_vain = !go_to(place, here.client) ||
	    (place->rows >= TRIAL && place->moves > place->rows / 4);
	return !place->in_vain;
}

/* Whether read(2) waits where nothing is asked. */
static void
set_waiting(int fd, bool waits)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags >= 0)
		(void)fcntl(fd, F_SETFL,
		    waits ? flags & ~O_NONBLOCK : flags | O_NONBLOCK);
}

/* Take requests as long as that is good.  false: there are no more, ever. */
static bool
serve(void *session, struct fuse_buf *request, struct place *place)
{
	int n;

	while (atomic_load(&follower.on)) {
		n = fuse_session_receive_buf(session, request);
		if (n == -EINTR)
			break;
		if (n <= 0)
			return false;
		atomic_fetch_add(&follower.steps, 1);
		fuse_session_process_buf(session, request);
		atomic_fetch_add(&follower.steps, 1);
		if (!goes_on(place))
			break;
	}
	return true;
}

/* With the lock held, which it gives up while it serves. */
static bool
follow_once(void *session, struct fuse_buf *request, struct place *place)
{
	int client = follower.client;
	uint64_t began = follower.began;
	bool more = true;

	follower.parked = false;
	(void)pthread_mutex_unlock(&follower.lock);
	place->rows = place->moves = 0;
	place->in_vain = !come_to(place, client);
	start_row(monotonic_ms());
	place->in_vain |= here.since - began > LATE_MS;
	if (!place->in_vain) {
		set_waiting(fuse_session_fd(session), false);
		more = serve(session, request, place);
		set_waiting(fuse_session_fd(session), true);
	}
	(void)helper_cpu_of(-1);
	(void)pthread_mutex_lock(&follower.lock);
	follower.parked = more;
	end(place->in_vain);
	return more;
}

static void *
follow(void *session)
{
	struct fuse_buf request = {0};
	struct place place = {0};
	bool more = compat_run_last() == 0;

	here.follows = true;
	(void)pthread_mutex_lock(&follower.lock);
	follower.parked = more;
	follower.id = compat_thread_id();
	while (more && !follower.stop)
		if (follower.on)
			more = follow_once(session, &request, &place);
		else
			(void)pthread_cond_wait(&follower.go, &follower.lock);
	follower.parked = false;
	end(false);
	(void)pthread_mutex_unlock(&follower.lock);
	free(request.mem);
	return NULL;
}

/* -- its life -------------------------------------------------------------- */

void
follow_start(struct fuse_session *session)
{
	if (compat_ncpu() == 1 || monotonic_cond_init(&follower.back) < 0)
		return;
	follower.started =
	    pthread_create(&follower.thread, NULL, follow, session) == 0;
}

void
follow_stop(void)
{
	if (!follower.started)
		return;
	(void)pthread_mutex_lock(&follower.lock);
	follower.stop = true;
	end(false);
	(void)pthread_cond_signal(&follower.go);
	(void)pthread_mutex_unlock(&follower.lock);
	(void)pthread_join(follower.thread, NULL);
}
