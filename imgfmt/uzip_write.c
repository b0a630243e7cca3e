/*
 * What callers give is queued: plain clusters wait until there are enough of
 * them to keep the pool busy, runs to be copied wait between them.  Then the
 * plain ones are encoded in parallel, and all enter the container in order:
 * every decision that shows in the file (what is a duplicate, what lies where)
 * is taken there, so that the number of threads does not show.  While the pool
 * encodes one batch, its predecessor enters the container and callers fill its
 * successor.
 */
#include "uzip_write.h"

#include <string.h>

#include "log.h"

enum {
	BATCH_BYTES = 2 << 20, /* plain bytes to wait for, at least */
	BATCH_MOST = 16 << 20, /* and at most, if clusters allow */
	PER_THREAD = 16,       /* clusters to wait for, at least */
	TASK_BYTES = 16 << 10, /* plain bytes worth waking a thread for */
	ITEMS = 1024,
	COPY_CLUSTERS = 16384, /* so that progress can be told */
};

enum item_kind { PLAIN, ZEROES, COPIES };

struct uzip_item {
	enum item_kind kind;
	uint32_t first, n; /* first slot, or first cluster of from */
	struct blkdev *from;
};

static int
judge_params(uint32_t nclusters, const struct uzip_params *p)
{
	int def, low, high;

	uzip_levels(p->codec, &def, &low, &high);
	if (p->cluster == 0 || p->cluster % UZIP_SECTOR != 0 ||
	    p->cluster > UZIP_CLUSTER_MAX) {
		log_error("cluster size %u: must be a multiple of 512 up to "
			  "%u",
		    p->cluster, (unsigned)UZIP_CLUSTER_MAX);
		return -EINVAL;
	}
	if (p->level != 0 && (p->level < low || p->level > high)) {
		log_error("level %d: %s has %d to %d", p->level,
		    uzip_codec_name(p->codec), low, high);
		return -EINVAL;
	}
	if (nclusters == 0) {
		log_error("an image needs at least one cluster");
		return -EINVAL;
	}
	return 0;
}

static unsigned
threads(const struct uzip_writer *w)
{
	return w->pool != NULL ? pool_threads(w->pool) : 1;
}

static uint32_t
batch_size(const struct uzip_writer *w)
{
	uint32_t cluster = w->params.cluster;
	uint32_t least = PER_THREAD * threads(w);
	uint32_t n = BATCH_BYTES / cluster;

	if (n < least)
		n = least;
	if (n > BATCH_MOST / cluster)
		n = BATCH_MOST / cluster;
	return n > w->n ? w->n : n;
}

static int
allocate_batch(struct uzip_writer *w, struct uzip_batch *b)
{
	b->items = calloc(ITEMS, sizeof(*b->items));
	b->packed = calloc(w->capacity, sizeof(*b->packed));
	b->plain = malloc((size_t)w->capacity * w->params.cluster);
	b->origin = calloc(w->capacity, sizeof(*b->origin));
	b->encoded = malloc(w->capacity * w->room);
	return b->items == NULL || b->packed == NULL || b->plain == NULL ||
		b->origin == NULL || b->encoded == NULL
	    ? -ENOMEM
	    : 0;
}

static int
allocate(struct uzip_writer *w)
{
	uint32_t cluster = w->params.cluster;
	size_t tmp = w->most > cluster ? w->most : cluster;
	int rc;

	w->capacity = batch_size(w);
	w->room = uzip_encode_room(w->params.codec, cluster);
	w->tmp = malloc(tmp);
	if (w->tmp == NULL)
		return -ENOMEM;
	w->filled = &w->batch[0];
	rc = allocate_batch(w, w->filled);
	return rc == 0 && threads(w) > 1 ? allocate_batch(w, &w->batch[1]) : rc;
}

int
uzip_writer_open(struct blkdev *out, uint64_t base, uint32_t nclusters,
    const struct uzip_params *params, struct pool *pool,
    struct uzip_writer **w_out)
{
	struct uzip_writer *w;
	int rc = judge_params(nclusters, params);

	if (rc < 0)
		return rc;
	w = calloc(1, sizeof(*w));
	if (w == NULL)
		return -ENOMEM;
	pthread_mutex_init(&w->lock, NULL);
	w->params = *params;
	w->n = nclusters;
	w->pool = pool;
	w->most = uzip_most_write(params->codec, params->cluster);
	uzip_preamble_make(
	    params->codec, params->dedup, params->preamble, w->preamble);
	rc = allocate(w);
	if (rc == 0)
		rc = uzip_entries_open(&w->entries, out, base, nclusters);
	if (rc == 0)
		rc = uzip_sink_open(
		    &w->sink, out, base, uzip_data_start(nclusters));
	if (rc < 0) {
		uzip_writer_close(w);
		return rc;
	}
	w->sink.sharing = params->sharing;
	*w_out = w;
	return 0;
}

void
uzip_writer_close(struct uzip_writer *w)
{
	if (w == NULL)
		return;
	if (w->packing != NULL)
		(void)!pool_wait(w->pool);
	uzip_packers_close(w);
	pthread_mutex_destroy(&w->lock);
	uzip_sink_close(&w->sink);
	uzip_map_clear(&w->seen);
	uzip_entries_close(&w->entries);
	uzip_copies_end(w);
	for (size_t i = 0; i < 2; i++) {
		free(w->batch[i].items);
		free(w->batch[i].packed);
		free(w->batch[i].plain);
		free(w->batch[i].origin);
		free(w->batch[i].encoded);
	}
	free(w->tmp);
	free(w->zero);
	free(w);
}

static uint32_t
slots_per_task(const struct uzip_writer *w)
{
	uint32_t n = TASK_BYTES / w->params.cluster;

	return n > 0 ? n : 1;
}

static int
pack_slot(struct uzip_writer *w, struct uzip_packer *p, struct uzip_batch *b,
    uint32_t i)
{
	uint8_t *plain = b->plain + (size_t)i * w->params.cluster;
	uint8_t *out = b->encoded + i * w->room;

	return b->origin[i].from != NULL
	    ? uzip_pack_origin(w, p, &b->origin[i], plain, out, &b->packed[i])
	    : uzip_pack(w, p, plain, out, &b->packed[i]);
}

/* A batch whose packing is under way is w->packing, any other w->filled. */
static int
pack_slots(struct uzip_writer *w, struct uzip_batch *b, size_t task)
{
	uint32_t per_task = slots_per_task(w);
	uint32_t i = (uint32_t)task * per_task;
	uint32_t end = b->slots - i < per_task ? b->slots : i + per_task;
	struct uzip_packer *p;
	int rc = uzip_packer_get(w, &p);

	if (rc < 0)
		return rc;
	for (; i < end && rc == 0; i++)
		rc = pack_slot(w, p, b, i);
	uzip_packer_put(w, p);
	return rc;
}

static int
pack_task(void *arg, size_t task)
{
	struct uzip_writer *w = arg;

	return pack_slots(w, w->packing, task);
}

/* In this thread, or begin it in the pool: then the batch is w->packing. */
static int
pack(struct uzip_writer *w, struct uzip_batch *b)
{
	uint32_t per_task = slots_per_task(w);
	size_t tasks = b->slots / per_task + (b->slots % per_task != 0);
	int rc = 0;

	if (threads(w) > 1 && tasks > 1) {
		w->packing = b;
		pool_start(w->pool, tasks, pack_task, w);
		return 0;
	}
	for (size_t i = 0; i < tasks && rc == 0; i++)
		rc = pack_slots(w, b, i);
	return rc;
}

static int
emit_slots(struct uzip_writer *w, const struct uzip_batch *b, uint32_t first,
    uint32_t n)
{
	int rc = 0;

	for (uint32_t i = first; i - first < n && rc == 0; i++)
		rc = b->packed[i].damaged
		    ? uzip_say_damaged(&b->origin[i])
		    : uzip_emit_packed(
			  w, b->encoded + i * w->room, &b->packed[i]);
	return rc;
}

/* Let all of a packed batch enter the container. */
static int
emit(struct uzip_writer *w, struct uzip_batch *b)
{
	int rc = 0;

	for (size_t i = 0; i < b->nitems && rc == 0; i++) {
		const struct uzip_item *item = &b->items[i];

		if (item->kind == PLAIN)
			rc = emit_slots(w, b, item->first, item->n);
		else if (item->kind == ZEROES)
			rc = uzip_emit_zeroes(w, item->n);
		else
			rc = uzip_emit_copies(
			    w, item->from, item->first, item->n);
	}
	b->nitems = 0;
	b->slots = 0;
	b->copying = 0;
	return rc;
}

/* Await the batch that is being packed, if any. */
static int
take_packed(struct uzip_writer *w, struct uzip_batch **out)
{
	int rc = w->packing != NULL ? pool_wait(w->pool) : 0;

	*out = w->packing;
	w->packing = NULL;
	return rc;
}

/* Set about what is queued; the other batch is there to be filled. */
static int
run_queue(struct uzip_writer *w)
{
	struct uzip_batch *before, *b = w->filled;
	int rc = take_packed(w, &before);

	if (rc == 0)
		rc = pack(w, b);
	if (rc == 0 && before != NULL)
		rc = emit(w, before);
	if (w->packing != NULL)
		w->filled = &w->batch[b == &w->batch[0]];
	else if (rc == 0)
		rc = emit(w, b);
	return rc;
}

/* Let all that is queued enter the container. */
static int
drain(struct uzip_writer *w)
{
	struct uzip_batch *last = NULL;
	int rc = run_queue(w);

	if (rc == 0)
		rc = take_packed(w, &last);
	return rc == 0 && last != NULL ? emit(w, last) : rc;
}

/* Does item go on where the last one of the queue ends? */
static bool
continues(const struct uzip_batch *b, const struct uzip_item *item)
{
	const struct uzip_item *prev;

	if (b->nitems == 0)
		return false;
	prev = &b->items[b->nitems - 1];
	return prev->kind == item->kind && prev->from == item->from &&
	    (item->kind == ZEROES || item->first - prev->first == prev->n);
}

/* With nothing to encode there is nothing to wait for. */
static bool
is_due(const struct uzip_writer *w)
{
	const struct uzip_batch *b = w->filled;

	return (b->slots == 0 && w->packing == NULL) ||
	    b->slots == w->capacity || b->nitems == ITEMS ||
	    b->copying >= COPY_CLUSTERS;
}

static int
queue(struct uzip_writer *w, const struct uzip_item *item)
{
	struct uzip_batch *b = w->filled;

	if (continues(b, item))
		b->items[b->nitems - 1].n += item->n;
	else
		b->items[b->nitems++] = *item;
	w->given += item->n;
	if (item->kind == PLAIN)
		b->slots++;
	if (item->kind == COPIES)
		b->copying += item->n;
	return is_due(w) ? run_queue(w) : 0;
}

/* The next slot holds a cluster, or will once origin has been read. */
static int
queue_slot(struct uzip_writer *w, struct uzip_origin origin)
{
	struct uzip_batch *b = w->filled;

	b->origin[b->slots] = origin;
	return queue(w, &(struct uzip_item){PLAIN, b->slots, 1, NULL});
}

static int
fail(struct uzip_writer *w, int rc)
{
	if (rc < 0)
		w->error = rc;
	return rc;
}

int
uzip_writer_put(struct uzip_writer *w, const void *buf, size_t len)
{
	uint32_t cluster = w->params.cluster;
	uint64_t left = (uint64_t)(w->n - w->given) * cluster - w->partial;
	const uint8_t *p = buf;
	int rc = w->error;

	if (rc == 0 && len > left)
		return -EFBIG;
	while (len > 0 && rc == 0) {
		struct uzip_batch *b = w->filled;
		uint8_t *slot = b->plain + (size_t)b->slots * cluster;
		size_t n = cluster - w->partial;

		n = len < n ? len : n;
		memcpy(slot + w->partial, p, n);
		p += n;
		len -= n;
		w->partial += (uint32_t)n;
		if (w->partial == cluster) {
			w->partial = 0;
			rc = queue_slot(w, (struct uzip_origin){0});
		}
	}
	return fail(w, rc);
}

/* May n whole clusters be added now? */
static int
judge_room(const struct uzip_writer *w, uint32_t n)
{
	if (w->error < 0)
		return w->error;
	if (w->partial > 0)
		return -EINVAL;
	return n > w->n - w->given ? -EFBIG : 0;
}

/* The same for clusters of from. */
static int
judge_source(const struct uzip_writer *w, struct blkdev *from, uint32_t first,
    uint32_t n)
{
	const struct uzip_info *info = uzip_info(from);
	int rc = judge_room(w, n);

	if (rc < 0)
		return rc;
	if (info->codec != w->params.codec ||
	    info->cluster != w->params.cluster || first > info->nclusters ||
	    n > info->nclusters - first)
		return -EINVAL;
	return 0;
}

int
uzip_writer_put_zero(struct uzip_writer *w, uint32_t n)
{
	int rc = judge_room(w, n);

	if (rc < 0 || n == 0)
		return rc;
	return fail(w, queue(w, &(struct uzip_item){ZEROES, 0, n, NULL}));
}

int
uzip_writer_put_from(
    struct uzip_writer *w, struct blkdev *from, uint32_t first, uint32_t n)
{
	int rc = judge_source(w, from, first, n);

	if (rc < 0 || n == 0)
		return rc;
	return fail(w, queue(w, &(struct uzip_item){COPIES, first, n, from}));
}

int
uzip_writer_put_proven(struct uzip_writer *w, struct blkdev *from, uint32_t no)
{
	int rc = judge_source(w, from, no, 1);

	return rc < 0 ? rc
		      : fail(w, queue_slot(w, (struct uzip_origin){from, no}));
}

/* The header, when all else is there. */
static int
write_header(struct uzip_writer *w)
{
	struct uzip_disk_header h;

	memcpy(&h, w->preamble, sizeof(w->preamble));
	h.cluster = be32_set(w->params.cluster);
	h.nclusters = be32_set(w->n);
	return blkdev_write(w->sink.out, w->sink.base, &h, sizeof(h));
}

/* Fill up the last cluster, then all that were never given. */
static int
give_rest(struct uzip_writer *w)
{
	uint32_t pad = w->params.cluster - w->partial;
	scoped(freep) uint8_t *zeroes = calloc(1, pad);
	int rc = 0;

	if (zeroes == NULL)
		return -ENOMEM;
	if (w->partial > 0)
		rc = uzip_writer_put(w, zeroes, pad);
	if (rc == 0)
		rc = uzip_writer_put_zero(w, w->n - w->given);
	return rc == 0 ? drain(w) : rc;
}

int
uzip_writer_finish(struct uzip_writer *w, struct uzip_written *out)
{
	static const uint8_t padding[UZIP_SECTOR];
	uint64_t end;
	int rc = w->error < 0 ? w->error : give_rest(w);

	if (rc < 0)
		return fail(w, rc);
	end = w->sink.pos;
	rc = uzip_entries_put(&w->entries, end);
	if (rc == 0)
		rc = uzip_sink_put(&w->sink, padding, -end % UZIP_SECTOR);
	if (rc == 0)
		rc = uzip_sink_flush(&w->sink);
	if (rc == 0)
		rc = uzip_entries_flush(&w->entries);
	if (rc == 0)
		rc = write_header(w);
	w->count.bytes = w->sink.pos;
	w->count.shared_bytes = w->sink.shared;
	w->count.copied_bytes += w->sink.copied;
	*out = w->count;
	return fail(w, rc);
}
