/*
 * Looking at what was written before it gets its name.  The index is read
 * back as kernels would, entry by entry: each copied cluster must have the
 * length of its original, each that became free must be a zero one, and each
 * compressed one must decode to what the session holds.
 */
#include <string.h>

#include "../imgfmt/log.h"
#include "commit_impl.h"

enum { CHUNK = 1 << 20 };

struct verify {
	struct commit *c;
	struct blkdev *dev; /* the new image, decompressed */
	uint32_t cluster;
	uint8_t *got, *want; /* CHUNK bytes and a cluster each */
	struct progress bar;
	uint64_t done;
};

static int
differs(uint64_t cluster, const char *how)
{
	log_error("verification failed: cluster %llu of the new image %s",
	    (unsigned long long)cluster, how);
	return -ECORRUPT;
}

/* Content of clusters first .. first + n - 1 against the merged device. */
static int
same_content(struct verify *v, uint64_t first, uint64_t n)
{
	uint64_t cl = v->cluster, off = first * cl, end = (first + n) * cl;
	uint64_t known = v->c->merged->size;

	while (off < end) {
		uint64_t most = CHUNK / cl > 0 ? CHUNK / cl * cl : cl;
		size_t len = (size_t)(end - off < most ? end - off : most);
		size_t have = off < known
		    ? (size_t)(known - off < len ? known - off : len)
		    : 0;
		int rc = blkdev_read(v->dev, off, v->got, len);

		if (rc < 0)
			return rc;
		memset(v->want + have, 0, len - have);
		rc = blkdev_read(
		    v->c->merged, have > 0 ? off : 0, v->want, have);
		if (rc < 0)
			return rc;
		if (memcmp(v->got, v->want, len) != 0)
			return differs(off / cl, "has other content");
		off += len;
		v->done += len;
		rc = progress_update(&v->bar, v->done);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/*
 * Copied clusters have the length they had.  Where the length is another one
 * (the last stored cluster of a base may have had slack behind it), and for
 * the base's last cluster, which may have been short, the content decides.
 */
static int
same_length(struct verify *v, uint32_t i)
{
	struct uzip_span was, is;
	uint32_t last = uzip_info(v->c->uzip)->nclusters - 1;
	int rc = uzip_span(v->c->uzip, i, &was);

	if (rc == 0)
		rc = uzip_span(v->dev, i, &is);
	if (rc < 0)
		return rc;
	return i == last || was.len != is.len ? same_content(v, i, 1) : 0;
}

static int
same_lengths(struct verify *v, uint32_t first, uint32_t n)
{
	for (uint32_t i = first; i < first + n; i++) {
		uint32_t same;
		int rc = uzip_same_lengths(
		    v->c->uzip, v->dev, i, first + n - i, &same);

		i += rc == 0 ? same : 0;
		if (rc == 0 && i < first + n)
			rc = same_length(v, i);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* What became free is zero in the session by its plan: is it in the image? */
static int
same_free(struct verify *v, uint32_t first, uint32_t n)
{
	uint32_t zero;
	int rc = uzip_zero_run(v->dev, first, n, &zero);

	return rc < 0 ? rc : same_content(v, first + zero, n - zero);
}

static int
verify_run(struct verify *v, const struct plan_run *run)
{
	switch (run->kind) {
	case PLAN_CLEAN:
		return same_lengths(v, run->first, run->n);
	case PLAN_FREE:
		return same_free(v, run->first, run->n);
	default:
		return same_content(v, run->first, run->n);
	}
}

static int
verify_runs(struct verify *v, const struct commit_uzip_how *how)
{
	const struct plan *plan = &how->plan;
	int rc = 0;

	if (!how->incremental || v->c->opt->verify_full)
		rc = same_content(v, 0, plan->nclusters);
	for (size_t i = 0; rc == 0 && how->incremental && i < plan->nruns; i++)
		if (!v->c->opt->verify_full || plan->runs[i].kind == PLAN_CLEAN)
			rc = verify_run(v, &plan->runs[i]);
	return rc;
}

int
commit_verify_uzip(struct commit *c, const struct commit_uzip_how *how,
    struct blkdev *out, uint64_t base, uint64_t len)
{
	scoped(blkdev_closep) struct blkdev *dev = NULL;
	struct blkdev *slice;
	scoped(freep) uint8_t *got = malloc(CHUNK + how->params.cluster);
	scoped(freep) uint8_t *want = malloc(CHUNK + how->params.cluster);
	struct verify v = {.c = c, .cluster = how->params.cluster};
	int rc;

	if (got == NULL || want == NULL)
		return -ENOMEM;
	rc = blkdev_slice_open(blkdev_ref(out), base, len, &slice);
	if (rc < 0) {
		blkdev_close(out);
		return rc;
	}
	rc = uzip_open(slice, 2 * how->params.cluster, c->pool, &dev);
	if (rc < 0) {
		blkdev_close(slice);
		return rc;
	}
	v.dev = dev;
	v.got = got;
	v.want = want;
	progress_start(&v.bar, "verifying", 0);
	rc = verify_runs(&v, how);
	progress_stop(&v.bar);
	return rc;
}
