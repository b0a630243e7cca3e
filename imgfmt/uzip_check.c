/*
 * The index is parsed as kernels do, then every stored cluster is decoded, by
 * the pool, a batch at a time; what a batch found is told in order afterwards.
 * Faults (log_error, counted) are what makes current kernels refuse the image
 * or show wrong bytes; what only older ones mind is a warning.
 */
#include <limits.h>

#include "log.h"
#include "uzip_read.h"

enum {
	BATCH_BYTES = 16 << 20, /* plain bytes between two calls of progress */
	BATCH_LEAST = 16,       /* clusters */
	TASK_BYTES = 64 << 10,
};

/* What decoding a cluster showed. */
struct verdict {
	int rc;      /* 0, -ECORRUPT; others end the check */
	bool looked; /* decoded: not zero, not a duplicate */
	bool last;
	bool junk;      /* zstd, followed by what is no frame */
	bool stops_all; /* fault concerns all kernels */
	const char *fault;
	struct uzip_span span;
	struct uzip_payload got;
};

struct check {
	struct uzip *u;
	uint64_t faults;
	uint64_t data_end;
	bool told_old_bound, told_letter, told_check;
	uint32_t first, n, per_task; /* of the batch */
	struct verdict *verdicts;
};

static void
index_fault(void *arg, uint32_t cluster, uint64_t off, const char *what)
{
	struct check *c = arg;

	c->faults++;
	log_error("uzip index at byte %llu: cluster %u %s",
	    (unsigned long long)off, cluster, what);
}

/*
 * zstd wants the span to be all frames; the reader is kinder to the last.
 * Where the index states an impossible end, that is the fault to tell.
 */
static bool
has_junk(struct uzip *u, struct uzip_worker *w, const struct verdict *v,
    uint8_t *plain)
{
	struct uzip_stream stream = {w->in, v->span.len, false};
	struct uzip_decoded decoded;

	return u->info.codec == UZIP_ZSTD && v->last && !v->got.zero &&
	    u->index.stored_end <= u->lower->size &&
	    uzip_decode(w->decoder, &stream, plain, u->info.cluster, &decoded) <
	    0;
}

static void
look(struct check *c, struct uzip_worker *w, uint32_t i, uint8_t *plain)
{
	struct uzip *u = c->u;
	struct verdict *v = &c->verdicts[i - c->first];

	*v = (struct verdict){0};
	/* Entries that cannot be followed have been told already. */
	if (uzip_index_lookup(&u->index, i, &v->span, &v->last) < 0 ||
	    v->span.kind == UZIP_ZERO)
		return;
	v->looked = v->span.kind == UZIP_STORED;
	if (!v->looked)
		return;
	v->rc = uzip_decode_span(u, w, &v->span, v->last, plain, &v->got);
	if (v->rc < 0)
		return;
	v->junk = has_junk(u, w, v, plain);
	if (!v->got.zero)
		v->fault = uzip_stream_fault(
		    u->info.codec, w->in, v->span.len, &v->stops_all);
}

static int
look_task(void *arg, size_t task)
{
	struct check *c = arg;
	uint32_t i = (uint32_t)task * c->per_task;
	uint32_t end = c->n - i < c->per_task ? c->n : i + c->per_task;
	scoped(freep) uint8_t *plain = malloc(c->u->info.cluster);
	struct uzip_worker *w;
	int rc;

	if (plain == NULL)
		return -ENOMEM;
	rc = uzip_worker_get(c->u, &w);
	if (rc < 0)
		return rc;
	for (; i < end; i++)
		look(c, w, c->first + i, plain);
	uzip_worker_put(c->u, w);
	return 0;
}

static void
fault(struct check *c, uint32_t i, const struct verdict *v, const char *what)
{
	c->faults++;
	log_error("cluster %u at byte %llu: %s", i,
	    (unsigned long long)v->span.off, what);
}

static void
warn_once(bool *told, uint32_t i, const struct verdict *v, const char *what)
{
	if (!*told)
		log_warn("cluster %u at byte %llu: %s", i,
		    (unsigned long long)v->span.off, what);
	*told = true;
}

/* A stream that holds less than its cluster. */
static void
judge_short(struct check *c, uint32_t i, const struct verdict *v)
{
	const struct uzip_info *info = &c->u->info;

	if (v->got.zero || v->got.out == info->cluster)
		return;
	if (!v->last)
		fault(c, i, v, "holds less than a cluster");
	else if (info->codec == UZIP_ZSTD) /* livecds.md, finding 3 */
		log_warn("cluster %u at byte %llu: the last one is short, on "
			 "which debugging kernels panic; a commit pads it",
		    i, (unsigned long long)v->span.off);
}

static void
judge(struct check *c, uint32_t i, const struct verdict *v)
{
	const struct uzip_info *info = &c->u->info;

	if (v->span.kind == UZIP_BACKREF && !uzip_letter_dedups(info->letter))
		warn_once(&c->told_letter, i, v,
		    "shares bytes, but the image's letter does not allow it: "
		    "FreeBSD before 10 misreads it");
	if (!v->looked)
		return;
	if (v->rc == -ECORRUPT) {
		fault(c, i, v, "damaged stream");
		return;
	}
	c->data_end = v->span.off + v->got.used;
	judge_short(c, i, v);
	if (v->junk)
		fault(c, i, v, "followed by bytes that are no zstd frame");
	if (v->fault != NULL && v->stops_all)
		fault(c, i, v, v->fault);
	else if (v->fault != NULL)
		warn_once(&c->told_check, i, v,
		    "a CRC64 check, which FreeBSD before 13 refuses");
	if (!v->last &&
	    v->span.len > uzip_most_write(info->codec, info->cluster))
		warn_once(&c->told_old_bound, i, v,
		    "longer than FreeBSD before 13 accepts");
}

static int
check_batch(struct check *c, struct pool *pool)
{
	size_t tasks = c->n / c->per_task + (c->n % c->per_task != 0);
	int rc = 0;

	if (pool != NULL && tasks > 1)
		rc = pool_run(pool, tasks, look_task, c);
	for (size_t i = 0; pool == NULL && i < tasks && rc == 0; i++)
		rc = look_task(c, i);
	if (pool != NULL && tasks == 1)
		rc = look_task(c, 0);
	for (uint32_t i = 0; i < c->n && rc == 0; i++) {
		const struct verdict *v = &c->verdicts[i];

		if (v->rc < 0 && v->rc != -ECORRUPT)
			rc = v->rc;
		else
			judge(c, c->first + i, v);
	}
	return rc;
}

static int
check_clusters(
    struct check *c, struct pool *pool, uzip_progress *progress, void *arg)
{
	const struct uzip_info *info = &c->u->info;
	uint32_t most = BATCH_BYTES / info->cluster;
	int rc = 0;

	c->per_task = TASK_BYTES / info->cluster;
	c->per_task = c->per_task > 0 ? c->per_task : 1;
	most = most > BATCH_LEAST ? most : BATCH_LEAST;
	c->verdicts = calloc(most, sizeof(*c->verdicts));
	if (c->verdicts == NULL)
		return -ENOMEM;
	for (c->first = 0; c->first < info->nclusters && rc == 0;) {
		uint32_t left = info->nclusters - c->first;

		c->n = left < most ? left : most;
		rc = check_batch(c, pool);
		c->first += c->n;
		if (rc == 0 && progress != NULL)
			rc = progress(arg, (uint64_t)c->first * info->cluster);
	}
	free(c->verdicts);
	return rc < 0 ? rc : 0;
}

/* What the container as a whole says against its contents. */
static void
check_container(struct check *c)
{
	uint64_t size = c->u->lower->size;
	uint64_t end = c->u->index.stored_end;

	if (c->data_end > size - size % UZIP_SECTOR) {
		c->faults++;
		log_error("container ends at byte %llu: not padded to 512 "
			  "bytes, FreeBSD would not see the last %llu of them",
		    (unsigned long long)size,
		    (unsigned long long)(size % UZIP_SECTOR));
	}
	if (c->u->info.version >= UZIP_TRUSTED_END && end > size) {
		c->faults++;
		log_error("uzip index at byte %llu: the data end at byte %llu, "
			  "but the container at %llu",
		    (unsigned long long)uzip_entry_at(c->u->info.nclusters),
		    (unsigned long long)end, (unsigned long long)size);
	}
}

int
uzip_check(
    struct blkdev *dev, struct pool *pool, uzip_progress *progress, void *arg)
{
	struct check c = {.u = (struct uzip *)dev};
	int rc = uzip_index_faults(&c.u->index, index_fault, &c);

	if (rc == 0)
		rc = check_clusters(&c, pool, progress, arg);
	if (rc < 0)
		return rc;
	check_container(&c);
	return c.faults < INT_MAX ? (int)c.faults : INT_MAX;
}
