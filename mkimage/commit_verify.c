/*
 * Looking at what was written before it gets its name.  The index is read
 * back as kernels would, each copied cluster must have the length of its
 * original, each compressed one must decode to what the session holds.
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
same_lengths(struct verify *v, uint32_t first, uint32_t n)
{
	struct uzip_span was, is;
	uint32_t last = uzip_info(v->c->uzip)->nclusters - 1;

	for (uint32_t i = first; i < first + n; i++) {
		int rc = uzip_span(v->c->uzip, i, &was);

		if (rc == 0)
			rc = uzip_span(v->dev, i, &is);
		if (rc == 0 && (i == last || was.len != is.len))
			rc = same_content(v, i, 1);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int
verify_runs(struct verify *v, const struct commit_uzip_how *how)
{
	const struct plan *plan = &how->plan;
	int rc = 0;

	if (!how->incremental || v->c->opt->verify_full)
		rc = same_content(v, 0, plan->nclusters);
	for (size_t i = 0; rc == 0 && how->incremental && i < plan->nruns;
	     i++) {
		const struct plan_run *run = &plan->runs[i];

		if (run->kind == PLAN_CLEAN)
			rc = same_lengths(v, run->first, run->n);
		else if (!v->c->opt->verify_full)
			rc = same_content(v, run->first, run->n);
	}
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
	struct uzip_counts counts;
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
	rc = uzip_count(dev, &counts); /* every index entry, as kernels read */
	if (rc < 0)
		return rc;
	progress_start(&v.bar, "verifying", 0);
	rc = verify_runs(&v, how);
	progress_stop(&v.bar);
	return rc;
}
