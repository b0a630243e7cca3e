/*
 * What a commit has to do, cluster by cluster: the device's changes turned
 * into runs of clusters.  Shared by commit and status.
 */
#ifndef PLAN_H
#define PLAN_H

#include "../imgfmt/blkdev.h"

enum plan_kind {
	PLAN_CLEAN, /* as in the base: its compressed bytes are copied */
	PLAN_DIRTY, /* compressed again */
	PLAN_FREE,  /* reads as zeroes since this session: nothing stored */
};

struct plan_run {
	enum plan_kind kind;
	uint32_t first, n; /* clusters */
};

struct plan {
	uint32_t cluster;       /* bytes */
	uint32_t nclusters;     /* of the new image */
	uint64_t count[3];      /* clusters of each kind */
	uint64_t changed_bytes; /* of the device, written or trimmed */
	size_t nruns, room;
	struct plan_run *runs; /* ascending, without gaps */
};

/*
 * Make the plan for dev, whose changes are relative to a base of
 * base_clusters clusters.  What lies beyond the base and was not written is
 * free.  -EFBIG: more than 2^32 - 2 clusters.
 */
MUST_CHECK int plan_make(struct blkdev *dev, uint32_t cluster,
    uint32_t base_clusters, struct plan *plan);
void plan_release(struct plan *plan);

/* A device is as in the base when its plan changes nothing. */
bool plan_is_empty(const struct plan *plan, uint32_t base_clusters);

#endif
