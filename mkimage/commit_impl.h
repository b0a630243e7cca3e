/* Private to commit_*.c: one commit under way. */
#ifndef COMMIT_IMPL_H
#define COMMIT_IMPL_H

#include "../fusefs/session.h"
#include "commit.h"
#include "outfile.h"
#include "parts.h"
#include "plan.h"
#include "progress.h"

struct commit {
	const struct commit_options *opt;
	struct pool *pool;
	struct session *session;
	struct image *image;   /* of the session */
	struct blkdev *merged; /* what is to be committed; of the session */
	/* Index of the layer whose bytes are replaced: the first that is no
	 * ISO and no partition table. */
	unsigned target;
	/* The base as a uzip whose clusters are the merged device's, or NULL:
	 * no uzip, or one that holds a disk with partitions. */
	struct blkdev *uzip;
	bool changed;         /* merged differs from the base */
	uint64_t most;        /* bytes the image may have; 0: any number */
	uint64_t report_base; /* bytes of the target before */
	uint64_t report_new;  /* and after */
	struct uzip_written written; /* by the last commit_write_uzip */
	/* Of an ISO, what else was edited; others' commits are of images. */
	struct parts parts;
	unsigned nothers;
	struct commit *others;
	const char *where; /* the result will be, once it is being written */
};

/* Whether the base holds the image as it is, not compressed. */
static inline bool
commit_is_raw(const struct commit *c)
{
	return c->target == c->image->nlayers - 1;
}

/* How a uzip is to be written, and whether clusters may be copied. */
struct commit_uzip_how {
	struct uzip_params params;
	bool incremental;
	struct plan plan; /* of the clusters, when incremental */
};

/* -EINVAL, said: wishes for a uzip where none is written. */
MUST_CHECK int commit_check_wishes(const struct commit *c);

/*
 * Decide how the uzip is written.  -EINVAL, said: parameters that cannot be.
 * Release with commit_uzip_how_release.
 */
MUST_CHECK int commit_uzip_decide(
    struct commit *c, struct commit_uzip_how *how);
void commit_uzip_how_release(struct commit_uzip_how *how);

/*
 * What the base's uzip, where it is incremental, is to share with one that is
 * written to out by plan: sharing and share_least of p.
 */
MUST_CHECK int commit_share(struct commit *c, const struct plan *plan,
    struct blkdev *out, struct uzip_params *p);

/* Write the merged device as a uzip to base of out; *len is its length. */
MUST_CHECK int commit_write_uzip(struct commit *c,
    const struct commit_uzip_how *how, struct blkdev *out, uint64_t base,
    uint64_t *len);

/* Write the merged device as it is, sparse where it is zero. */
MUST_CHECK int commit_write_raw(
    struct commit *c, struct blkdev *out, uint64_t base, uint64_t *len);

/*
 * The uzip of len bytes at base of out must be what was meant: its index, the
 * lengths of copied runs, the content of each compressed cluster; with
 * verify_full all content.  -ECORRUPT, said.
 */
MUST_CHECK int commit_verify_uzip(struct commit *c,
    const struct commit_uzip_how *how, struct blkdev *out, uint64_t base,
    uint64_t len);

/* The target's new bytes, in the form the base has, at base of out; arg is a
 * struct commit. */
MUST_CHECK int commit_put_target(
    void *arg, struct blkdev *out, uint64_t base, uint64_t *len);

/*
 * Write the ISO with everything that was edited on it to out; with_first: also
 * the image of c itself.
 */
MUST_CHECK int commit_write_whole(
    struct commit *c, bool with_first, struct blkdev *out);

/* Name what the commit leaves stale: side files, another kernel. */
void commit_warn(struct commit *c);

#endif
