/*
 * When the engine flushes.  One flush makes everything durable that finished
 * before it began, so whoever waits for one shares it: a caller that finds a
 * flush running waits for the next, and so do all that come meanwhile.
 *
 * A host file system that is full loses nothing: changes stay in memory, new
 * ones are refused, and once there is space again a flush succeeds.
 */
#include <stdatomic.h>
#include <string.h>

#include "../imgfmt/compat.h"
#include "../imgfmt/log.h"
#include "../imgfmt/monotonic.h"
#include "fuse_impl.h"

enum {
	INTERVAL_MS = 5000,
	DIRTY_MOST = 64 << 20,
	RETRY_MS = 1000, /* while full, writers try again this often */
};

struct flusher {
	struct server *server;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed; /* finished, wanted or stop has */
	atomic_uint_fast64_t epoch;
	atomic_int failed;        /* of the last flush: 0 or -errno */
	uint64_t clean_at;        /* epoch up to which all is durable */
	uint64_t begun, finished; /* flushes */
	uint64_t tried;           /* when the last one ended, monotonic */
	bool running, stop;
	bool wanted; /* by one who leaves it to the thread */
};

/* Tell people when flushing begins to fail and when it works again. */
static void
say_outcome(struct flusher *flusher, int was, int rc)
{
	const char *dir = flusher->server->session->dir;

	if (rc == was)
		return;
	if (rc == -ENOSPC)
		log_error("'%s': no space left on the host; nothing is lost, "
			  "writing goes on once there is some",
		    dir);
	else if (rc < 0)
		log_error("'%s' cannot be flushed: %s", dir, strerror(-rc));
	else
		log_warn("'%s' is flushed again", dir);
}

/* Flush once; the lock is held, and released meanwhile. */
static void
flush_locked(struct flusher *flusher)
{
	uint64_t epoch = atomic_load(&flusher->epoch);
	int was = atomic_load(&flusher->failed), rc = 0;

	flusher->running = true;
	flusher->wanted = false;
	flusher->begun++;
	if (epoch != flusher->clean_at || was != 0) {
		pthread_mutex_unlock(&flusher->lock);
		rc = session_flush(flusher->server->session);
		pthread_mutex_lock(&flusher->lock);
	}
	if (rc == 0)
		flusher->clean_at = epoch;
	say_outcome(flusher, was, rc);
	atomic_store(&flusher->failed, rc);
	flusher->tried = monotonic_ms();
	flusher->running = false;
	flusher->finished = flusher->begun;
	pthread_cond_broadcast(&flusher->changed);
}

int
flush_now(struct flusher *flusher)
{
	uint64_t want;
	int rc;

	if (flusher == NULL)
		return 0;
	pthread_mutex_lock(&flusher->lock);
	want = flusher->begun + 1;
	while (flusher->finished < want) {
		if (!flusher->running && follow_here()) {
			flusher->wanted = true;
			pthread_cond_broadcast(&flusher->changed);
		}
		if (flusher->running || flusher->wanted)
			pthread_cond_wait(&flusher->changed, &flusher->lock);
		else
			flush_locked(flusher);
	}
	rc = atomic_load(&flusher->failed);
	pthread_mutex_unlock(&flusher->lock);
	return rc;
}

int
flush_admit(struct flusher *flusher)
{
	int rc;
	bool due;

	if (flusher == NULL)
		return -EROFS;
	rc = atomic_load(&flusher->failed);
	if (rc == 0)
		return 0;
	if (rc != -ENOSPC)
		return -EIO;
	pthread_mutex_lock(&flusher->lock);
	due = monotonic_ms() - flusher->tried >= RETRY_MS;
	pthread_mutex_unlock(&flusher->lock);
	return due ? flush_now(flusher) : rc;
}

void
flush_changed(struct flusher *flusher)
{
	if (flusher == NULL)
		return;
	atomic_fetch_add(&flusher->epoch, 1);
	if (atomic_load(&flusher->failed) == 0 &&
	    blkdev_cache_dirty(flusher->server->session->cache) > DIRTY_MOST &&
	    flush_now(flusher) < 0)
		return; /* said; the next operation is told */
}

/*
 * What a busy time leaves of freed memory goes back once it is over: when an
 * interval went by without a change.
 */
static void
give_memory_back(struct flusher *flusher, uint64_t *seen, bool *busy)
{
	uint64_t epoch = atomic_load(&flusher->epoch);

	if (epoch != *seen)
		*busy = true;
	else if (*busy) {
		*busy = false;
		pthread_mutex_unlock(&flusher->lock);
		blkdev_cache_give_back(flusher->server->session->cache);
		compat_memory_give_back();
		pthread_mutex_lock(&flusher->lock);
	}
	*seen = epoch;
}

static void *
flush_forever(void *arg)
{
	struct flusher *flusher = arg;
	uint64_t seen = 0;
	bool busy = false;

	pthread_mutex_lock(&flusher->lock);
	while (!flusher->stop) {
		uint64_t until = monotonic_ms() + INTERVAL_MS;

		while (!flusher->stop &&
		    (!flusher->wanted || flusher->running) &&
		    monotonic_wait(&flusher->changed, &flusher->lock, until) ==
			0)
			continue;
		if (!flusher->stop && !flusher->running)
			flush_locked(flusher);
		give_memory_back(flusher, &seen, &busy);
	}
	pthread_mutex_unlock(&flusher->lock);
	return NULL;
}

int
flusher_open(struct server *server, struct flusher **out)
{
	struct flusher *flusher = calloc(1, sizeof(*flusher));
	int rc;

	if (flusher == NULL)
		return -ENOMEM;
	flusher->server = server;
	atomic_init(&flusher->epoch, 1); /* opening may have freed orphans */
	pthread_mutex_init(&flusher->lock, NULL);
	rc = monotonic_cond_init(&flusher->changed);
	if (rc == 0)
		rc = -pthread_create(
		    &flusher->thread, NULL, flush_forever, flusher);
	if (rc < 0) {
		free(flusher);
		return rc;
	}
	*out = flusher;
	return 0;
}

void
flusher_close(struct flusher *flusher)
{
	if (flusher == NULL)
		return;
	pthread_mutex_lock(&flusher->lock);
	flusher->stop = true;
	pthread_cond_broadcast(&flusher->changed);
	pthread_mutex_unlock(&flusher->lock);
	pthread_join(flusher->thread, NULL);
	pthread_cond_destroy(&flusher->changed);
	pthread_mutex_destroy(&flusher->lock);
	free(flusher);
}
