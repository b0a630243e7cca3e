/*
 * The decompressed view.  A read of a part of a cluster goes through the
 * cache; clusters that are wanted whole are decoded where the caller wants
 * them, by the pool when there are many.
 */
#include "uzip_read.h"

#include <string.h>

#include "log.h"

enum { TASK_BYTES = 64 << 10 }; /* plain bytes worth waking a thread for */

int
uzip_worker_get(struct uzip *u, struct uzip_worker **out)
{
	struct uzip_worker *w;
	int rc;

	pthread_mutex_lock(&u->lock);
	w = u->idle;
	if (w != NULL)
		u->idle = w->next;
	pthread_mutex_unlock(&u->lock);
	if (w == NULL) {
		w = malloc(sizeof(*w) + u->index.most);
		if (w == NULL)
			return -ENOMEM;
		rc = uzip_decoder_open(u->info.codec, &w->decoder);
		if (rc < 0) {
			free(w);
			return rc;
		}
	}
	*out = w;
	return 0;
}

void
uzip_worker_put(struct uzip *u, struct uzip_worker *w)
{
	pthread_mutex_lock(&u->lock);
	w->next = u->idle;
	u->idle = w;
	pthread_mutex_unlock(&u->lock);
}

/*
 * Does the last span hold padding instead of a stream?  Then the cluster is a
 * zero one (formats.md 1.5, trap 15).  Kernels judge by zero bytes only; the
 * last entry, where it was written, knows it even if other bytes follow.
 */
static bool
is_padding(const struct uzip *u, const struct uzip_worker *w,
    const struct uzip_span *s)
{
	return bytes_are_zero(w->in, s->len) || u->index.stored_end == s->off;
}

int
uzip_decode_span(struct uzip *u, struct uzip_worker *w,
    const struct uzip_span *span, bool last, uint8_t *out,
    struct uzip_payload *got)
{
	uint32_t cluster = u->info.cluster;
	struct uzip_stream stream = {w->in, span->len, last};
	struct uzip_decoded decoded = {0};
	int rc = blkdev_read(u->lower, span->off, w->in, span->len);

	if (rc < 0)
		return rc;
	rc = uzip_decode(w->decoder, &stream, out, cluster, &decoded);
	if (rc == -ECORRUPT && last && is_padding(u, w, span)) {
		memset(out, 0, cluster);
		*got = (struct uzip_payload){.zero = true};
		return 0;
	}
	if (rc < 0)
		return rc;
	/* mkuzip since 10.4 does not pad the last cluster (trap 6). */
	memset(out + decoded.out, 0, cluster - decoded.out);
	*got = (struct uzip_payload){
	    .out = (uint32_t)decoded.out,
	    .used = (uint32_t)decoded.used,
	};
	return 0;
}

/* A cluster on its way from the container to a buffer. */
struct job {
	struct uzip *u;
	uint32_t cluster; /* number */
	struct uzip_span span;
	bool last;
};

static int
decode_job(void *arg, uint8_t *out)
{
	const struct job *job = arg;
	struct uzip *u = job->u;
	struct uzip_payload got;
	struct uzip_worker *w;
	int rc = uzip_worker_get(u, &w);

	if (rc < 0)
		return rc;
	rc = uzip_decode_span(u, w, &job->span, job->last, out, &got);
	uzip_worker_put(u, w);
	if (rc == -ECORRUPT)
		log_error("cluster %u at byte %llu: damaged %s stream",
		    job->cluster, (unsigned long long)job->span.off,
		    uzip_codec_name(u->info.codec));
	return rc;
}

static int
job_of(struct uzip *u, uint32_t cluster, struct job *job)
{
	*job = (struct job){.u = u, .cluster = cluster};
	return uzip_index_span(&u->index, cluster, &job->span, &job->last);
}

static int
read_part(struct uzip *u, uint64_t off, uint8_t *buf, uint32_t len)
{
	uint32_t cluster = u->info.cluster;
	struct uzip_want want = {
	    .off = (uint32_t)(off % cluster), .len = len, .buf = buf};
	struct job job;
	int rc = job_of(u, (uint32_t)(off / cluster), &job);

	if (rc < 0)
		return rc;
	if (job.span.kind == UZIP_ZERO) {
		memset(buf, 0, len);
		return 0;
	}
	/* By offset: so duplicates share what was decoded once. */
	want.key = job.span.off;
	return uzip_cache_read(u->cache, &want, decode_job, &job);
}

static int
read_whole(struct uzip *u, uint32_t cluster, uint8_t *buf)
{
	struct uzip_want want = {.len = u->info.cluster, .buf = buf};
	struct job job;
	int rc = job_of(u, cluster, &job);

	if (rc < 0)
		return rc;
	if (job.span.kind == UZIP_ZERO) {
		memset(buf, 0, want.len);
		return 0;
	}
	want.key = job.span.off;
	if (uzip_cache_peek(u->cache, &want))
		return 0;
	return decode_job(&job, buf);
}

/* Many whole clusters, cut into tasks of per_task. */
struct batch {
	struct uzip *u;
	uint32_t first, n, per_task;
	uint8_t *buf;
};

static int
read_task(void *arg, size_t task)
{
	const struct batch *b = arg;
	uint32_t i = (uint32_t)task * b->per_task;
	uint32_t end = b->n - i < b->per_task ? b->n : i + b->per_task;
	int rc = 0;

	for (; i < end && rc == 0; i++)
		rc = read_whole(b->u, b->first + i,
		    b->buf + (size_t)i * b->u->info.cluster);
	return rc;
}

static int
read_many(struct uzip *u, uint32_t first, uint32_t n, uint8_t *buf)
{
	uint32_t per_task = TASK_BYTES / u->info.cluster;
	struct batch b = {u, first, n, per_task > 0 ? per_task : 1, buf};
	size_t tasks = n / b.per_task + (n % b.per_task != 0);
	int rc = 0;

	if (u->pool != NULL && tasks > 1)
		return pool_run(u->pool, tasks, read_task, &b);
	for (size_t i = 0; i < tasks && rc == 0; i++)
		rc = read_task(&b, i);
	return rc;
}

static int
uzip_dev_read(struct blkdev *dev, uint64_t off, void *buf, size_t len)
{
	struct uzip *u = (struct uzip *)dev;
	uint32_t cluster = u->info.cluster;
	uint8_t *p = buf;
	int rc = 0;

	while (len > 0 && rc == 0) {
		uint32_t in = (uint32_t)(off % cluster);
		size_t n = cluster - in;

		if (in == 0 && len >= cluster) {
			n = len - len % cluster;
			rc = read_many(u, (uint32_t)(off / cluster),
			    (uint32_t)(n / cluster), p);
		} else {
			n = len < n ? len : n;
			rc = read_part(u, off, p, (uint32_t)n);
		}
		off += n;
		p += n;
		len -= n;
	}
	return rc;
}

static void
uzip_dev_close(struct blkdev *dev)
{
	struct uzip *u = (struct uzip *)dev;

	while (u->idle != NULL) {
		struct uzip_worker *w = u->idle;

		u->idle = w->next;
		uzip_decoder_close(w->decoder);
		free(w);
	}
	uzip_cache_close(u->cache);
	uzip_index_close(&u->index);
	pthread_mutex_destroy(&u->lock);
	blkdev_close(u->lower);
	free(u);
}

static const struct blkdev_ops uzip_ops = {
    .read = uzip_dev_read,
    .close = uzip_dev_close,
};

static int
open_parts(
    struct uzip *u, struct blkdev *lower, uint64_t cache_max, bool damaged)
{
	uint64_t size;
	int rc = uzip_header_read(lower, false, &u->info);

	if (rc < 0)
		return rc;
	rc = uzip_index_open(&u->index, lower, &u->info, damaged);
	if (rc < 0)
		return rc;
	size = (uint64_t)u->info.nclusters * u->info.cluster;
	u->dev = (struct blkdev){&uzip_ops, size, false, 0};
	return uzip_cache_open(
	    u->info.cluster, cache_max < size ? cache_max : size, &u->cache);
}

static int
open_image(struct blkdev *lower, uint64_t cache_max, struct pool *pool,
    bool damaged, struct blkdev **out)
{
	struct uzip *u = calloc(1, sizeof(*u));
	int rc;

	if (u == NULL)
		return -ENOMEM;
	pthread_mutex_init(&u->lock, NULL);
	u->pool = pool;
	rc = open_parts(u, lower, cache_max, damaged);
	if (rc < 0) {
		uzip_dev_close(&u->dev); /* lower stays the caller's */
		return rc;
	}
	u->lower = lower;
	*out = &u->dev;
	return 0;
}

int
uzip_open(struct blkdev *lower, uint64_t cache_max, struct pool *pool,
    struct blkdev **out)
{
	return open_image(lower, cache_max, pool, false, out);
}

int
uzip_open_damaged(struct blkdev *lower, uint64_t cache_max, struct pool *pool,
    struct blkdev **out)
{
	return open_image(lower, cache_max, pool, true, out);
}

const struct uzip_info *
uzip_info(struct blkdev *dev)
{
	return &((struct uzip *)dev)->info;
}

struct blkdev *
uzip_container(struct blkdev *dev)
{
	return ((struct uzip *)dev)->lower;
}

/* Decode the last cluster, once, to know what of its span is its own. */
static int
find_tail(
    struct uzip *u, const struct uzip_span *span, struct uzip_payload *got)
{
	scoped(freep) uint8_t *out = NULL;
	struct uzip_worker *w;
	bool known;
	int rc;

	pthread_mutex_lock(&u->lock);
	known = u->tail_known;
	rc = u->tail_error;
	*got = u->tail;
	pthread_mutex_unlock(&u->lock);
	if (known)
		return rc;
	out = malloc(u->info.cluster);
	if (out == NULL)
		return -ENOMEM;
	rc = uzip_worker_get(u, &w);
	if (rc < 0)
		return rc;
	rc = uzip_decode_span(u, w, span, true, out, got);
	uzip_worker_put(u, w);
	if (rc == 0 || rc == -ECORRUPT) {
		pthread_mutex_lock(&u->lock);
		u->tail_known = true;
		u->tail_error = rc;
		u->tail = *got;
		pthread_mutex_unlock(&u->lock);
	}
	return rc;
}

int
uzip_span(struct blkdev *dev, uint32_t i, struct uzip_span *out)
{
	struct uzip *u = (struct uzip *)dev;
	struct uzip_payload tail = {0};
	bool last;
	int rc = uzip_index_span(&u->index, i, out, &last);

	if (rc < 0 || !last || out->kind == UZIP_ZERO)
		return rc;
	rc = find_tail(u, out, &tail);
	if (rc == -ECORRUPT)
		return 0; /* where it lies is known all the same */
	if (rc == 0 && tail.zero)
		*out = (struct uzip_span){UZIP_ZERO, 0, out->off};
	else if (rc == 0)
		out->len = tail.used;
	return rc;
}

int
uzip_level_guess(struct blkdev *dev, int *level)
{
	enum { LOOK = 16 };
	struct uzip *u = (struct uzip *)dev;
	struct uzip_worker *w;
	int seen = 0, rc = uzip_worker_get(u, &w);

	*level = 0;
	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < u->info.nclusters && seen < LOOK; i++) {
		struct uzip_span span;
		bool last;
		int found;

		rc = uzip_index_span(&u->index, i, &span, &last);
		if (rc == 0 && span.kind == UZIP_STORED)
			rc = blkdev_read(u->lower, span.off, w->in, span.len);
		if (rc < 0)
			break;
		if (span.kind != UZIP_STORED)
			continue;
		seen++;
		found = uzip_stream_level(u->info.codec, w->in, span.len);
		*level = found > *level ? found : *level;
	}
	uzip_worker_put(u, w);
	return rc;
}
