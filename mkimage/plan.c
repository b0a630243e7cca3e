/*
 * Changes come in ascending order, written and trimmed ones mixed, cut
 * anywhere.  A cluster is free only when trims cover all of it; any other
 * change makes it dirty.  So the changes are cut at cluster boundaries, and
 * what is known of the one cluster in hand is kept until the next begins.
 */
#include "plan.h"

struct maker {
	struct plan *plan;
	uint32_t base_clusters;
	uint64_t hand;    /* the cluster in hand, UINT64_MAX: none */
	uint64_t trimmed; /* bytes of it */
	bool written;     /* some of it */
	uint64_t next;    /* first cluster not yet in a run */
};

static int
append(struct plan *p, enum plan_kind kind, uint64_t first, uint64_t n)
{
	struct plan_run *last = p->nruns > 0 ? &p->runs[p->nruns - 1] : NULL;

	p->count[kind] += n;
	if (last != NULL && last->kind == kind) {
		last->n += (uint32_t)n;
		return 0;
	}
	if (p->nruns == p->room) {
		size_t room = p->room > 0 ? 2 * p->room : 64;
		void *more = realloc(p->runs, room * sizeof(*p->runs));

		if (more == NULL)
			return -ENOMEM;
		p->runs = more;
		p->room = room;
	}
	p->runs[p->nruns++] =
	    (struct plan_run){kind, (uint32_t)first, (uint32_t)n};
	return 0;
}

/* Runs for the untouched clusters before cluster to. */
static int
append_untouched(struct maker *m, uint64_t to)
{
	uint64_t clean_end = to < m->base_clusters ? to : m->base_clusters;
	int rc = 0;

	if (m->next < clean_end) {
		rc = append(m->plan, PLAN_CLEAN, m->next, clean_end - m->next);
		m->next = clean_end;
	}
	if (rc == 0 && m->next < to) {
		rc = append(m->plan, PLAN_FREE, m->next, to - m->next);
		m->next = to;
	}
	return rc;
}

static int
append_touched(struct maker *m, uint64_t first, uint64_t n, bool is_free)
{
	int rc = append_untouched(m, first);

	if (rc == 0)
		rc =
		    append(m->plan, is_free ? PLAN_FREE : PLAN_DIRTY, first, n);
	m->next = first + n;
	return rc;
}

static int
put_down(struct maker *m)
{
	uint64_t hand = m->hand;

	if (hand == UINT64_MAX)
		return 0;
	m->hand = UINT64_MAX;
	return append_touched(
	    m, hand, 1, !m->written && m->trimmed >= m->plan->cluster);
}

/* A change of len bytes inside cluster c. */
static int
add_piece(struct maker *m, uint64_t c, uint64_t len, bool trimmed)
{
	int rc;

	if (m->hand != c) {
		rc = put_down(m);
		if (rc < 0)
			return rc;
		m->hand = c;
		m->trimmed = 0;
		m->written = false;
	}
	if (trimmed)
		m->trimmed += len;
	else
		m->written = true;
	return 0;
}

static int
add_change(struct maker *m, const struct blkdev_change *change)
{
	uint64_t cl = m->plan->cluster;
	uint64_t off = change->off, end = change->off + change->len;

	m->plan->changed_bytes += change->len;
	while (off < end) {
		uint64_t c = off / cl, stop = (c + 1) * cl;
		int rc;

		if (off % cl == 0 && end - off >= cl) {
			uint64_t n = (end - off) / cl;

			rc = put_down(m);
			if (rc == 0)
				rc = append_touched(m, c, n, change->trimmed);
			off += n * cl;
		} else {
			stop = stop < end ? stop : end;
			rc = add_piece(m, c, stop - off, change->trimmed);
			off = stop;
		}
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int
add_all(struct maker *m, struct blkdev *dev)
{
	struct blkdev_change change;
	uint64_t off = 0;
	int rc;

	while ((rc = blkdev_next_change(dev, off, &change)) > 0) {
		rc = add_change(m, &change);
		if (rc < 0)
			return rc;
		off = change.off + change.len;
	}
	return rc;
}

int
plan_make(struct blkdev *dev, uint32_t cluster, uint32_t base_clusters,
    struct plan *plan)
{
	uint64_t n = dev->size / cluster + (dev->size % cluster != 0);
	struct maker m = {
	    .plan = plan, .base_clusters = base_clusters, .hand = UINT64_MAX};
	int rc;

	*plan = (struct plan){.cluster = cluster};
	if (n >= UINT32_MAX)
		return -EFBIG;
	plan->nclusters = (uint32_t)n;
	rc = add_all(&m, dev);
	if (rc == 0)
		rc = put_down(&m);
	if (rc == 0)
		rc = append_untouched(&m, n);
	if (rc < 0)
		plan_release(plan);
	return rc;
}

void
plan_release(struct plan *plan)
{
	free(plan->runs);
	plan->runs = NULL;
	plan->nruns = 0;
}

bool
plan_is_empty(const struct plan *plan, uint32_t base_clusters)
{
	return plan->count[PLAN_CLEAN] == base_clusters &&
	    plan->nclusters == base_clusters;
}
