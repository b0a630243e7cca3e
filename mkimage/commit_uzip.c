/* A commit's compressed part: copy clean clusters, compress the others. */
#include <string.h>

#include "../imgfmt/log.h"
#include "commit_impl.h"

enum {
	DEFAULT_CLUSTER = 16384, /* mkuzip's (formats.md 1.7) */
	BATCH = 4 << 20,         /* bytes read and compressed at a time */
	COPY_BATCH = 4096,       /* clusters copied between two looks at ^C */
};

int
commit_uzip_habits(struct blkdev *uzip, struct uzip_params *p)
{
	const struct uzip_info *base = uzip_info(uzip);
	int has_zero = uzip_has_zero(uzip);

	if (has_zero < 0)
		return has_zero;
	p->codec = base->codec;
	p->cluster = base->cluster;
	p->dedup = base->letter >= 'a';
	p->keep_zeroes = has_zero == 0;
	p->preamble = base->preamble;
	return uzip_level_guess(uzip, &p->level);
}

/* What the command line asks for goes before the base's habits. */
static bool
apply_options(const struct commit_options *opt, struct uzip_params *p)
{
	struct uzip_params was = *p;

	if (opt->codec != COMMIT_KEEP && (int)p->codec != opt->codec) {
		p->codec = (enum uzip_codec)opt->codec;
		p->level = 0;
	}
	if (opt->level_given)
		p->level = opt->level;
	if (opt->cluster != 0)
		p->cluster = opt->cluster;
	if (opt->dedup != COMMIT_KEEP)
		p->dedup = opt->dedup == 1;
	return p->codec != was.codec || p->cluster != was.cluster ||
	    p->dedup != was.dedup;
}

int
commit_check_wishes(const struct commit *c)
{
	const struct commit_options *opt = c->opt;
	bool whole = opt->out != NULL || opt->in_place;

	if (opt->codec == COMMIT_KEEP && !opt->level_given &&
	    opt->cluster == 0 && opt->dedup == COMMIT_KEEP)
		return 0;
	if (opt->uzip != NULL ||
	    (whole && c->image->layer[c->target].kind == IMAGE_UZIP))
		return 0;
	log_error("'%s' holds its image in no uzip: -A, -C, -s and -d are for "
		  "uzips",
	    c->image->path);
	return -EINVAL;
}

int
commit_uzip_decide(struct commit *c, struct commit_uzip_how *how)
{
	bool has_base = c->uzip != NULL, differs;
	int rc = 0;

	*how = (struct commit_uzip_how){
	    .params = {.codec = UZIP_ZLIB, .cluster = DEFAULT_CLUSTER}};
	if (has_base)
		rc = commit_uzip_habits(c->uzip, &how->params);
	if (rc < 0)
		return rc;
	differs = apply_options(c->opt, &how->params);
	how->incremental = has_base && !differs;
	if (has_base && differs)
		log_info("codec, cluster size or de-duplication change: every "
			 "cluster is compressed again");
	if (how->params.cluster == 0 || how->params.cluster % 512 != 0 ||
	    how->params.cluster > 1 << 20) {
		log_error(
		    "cluster size %u is not a multiple of 512 up to 1 MiB",
		    how->params.cluster);
		return -EINVAL;
	}
	return plan_make(c->merged, how->params.cluster,
	    how->incremental ? uzip_info(c->uzip)->nclusters : 0, &how->plan);
}

void
commit_uzip_how_release(struct commit_uzip_how *how)
{
	plan_release(&how->plan);
}

/* Work that is under way in one commit_write_uzip. */
struct writing {
	struct commit *c;
	const struct commit_uzip_how *how;
	struct uzip_writer *w;
	struct blkdev *out;
	uint64_t base;
	uint8_t *buf; /* BATCH bytes and one cluster */
	struct progress bar;
	uint64_t done; /* plain bytes */
};

static int
step(struct writing *wr, uint64_t clusters)
{
	wr->done += clusters * wr->how->params.cluster;
	if (wr->c->most > 0 && wr->out->size - wr->base >= wr->c->most) {
		log_error("the image passes 4 GiB: FreeBSD reads no such file "
			  "from an ISO; '--uzip' writes it alone");
		return -EFBIG;
	}
	return progress_update(&wr->bar, wr->done);
}

/* Clusters first .. first + n - 1 of the merged device, compressed. */
static int
put_plain(struct writing *wr, uint64_t first, uint64_t n)
{
	uint32_t cl = wr->how->params.cluster;
	uint64_t off = first * cl, end = (first + n) * cl;

	if (end > wr->c->merged->size)
		end = wr->c->merged->size; /* the writer pads the last one */
	while (off < end) {
		uint64_t most = BATCH / cl > 0 ? BATCH / cl * cl : cl;
		size_t len = (size_t)(end - off < most ? end - off : most);
		int rc = blkdev_read(wr->c->merged, off, wr->buf, len);

		if (rc == 0)
			rc = uzip_writer_put(wr->w, wr->buf, len);
		if (rc == 0)
			rc = step(wr, (len + cl - 1) / cl);
		if (rc < 0)
			return rc;
		off += len;
	}
	return 0;
}

static int
put_copies(struct writing *wr, uint32_t first, uint32_t n)
{
	while (n > 0) {
		uint32_t some = n < COPY_BATCH ? n : COPY_BATCH;
		int rc = uzip_writer_put_from(wr->w, wr->c->uzip, first, some);

		if (rc == 0)
			rc = step(wr, some);
		if (rc < 0)
			return rc;
		first += some;
		n -= some;
	}
	return 0;
}

static int
put_run(struct writing *wr, const struct plan_run *run)
{
	if (wr->how->incremental && run->kind == PLAN_CLEAN)
		return put_copies(wr, run->first, run->n);
	if (wr->how->incremental && run->kind == PLAN_FREE &&
	    !wr->how->params.keep_zeroes) {
		int rc = uzip_writer_put_zero(wr->w, run->n);

		return rc < 0 ? rc : step(wr, run->n);
	}
	return put_plain(wr, run->first, run->n);
}

static int
put_all(struct writing *wr, uint64_t *len)
{
	const struct plan *plan = &wr->how->plan;
	int rc = 0;

	if (!wr->how->incremental)
		rc = put_plain(wr, 0, plan->nclusters);
	for (size_t i = 0; wr->how->incremental && i < plan->nruns; i++) {
		rc = put_run(wr, &plan->runs[i]);
		if (rc < 0)
			break;
	}
	if (rc == 0)
		rc = uzip_writer_finish(wr->w, &wr->c->written);
	*len = wr->c->written.bytes;
	return rc;
}

int
commit_write_uzip(struct commit *c, const struct commit_uzip_how *how,
    struct blkdev *out, uint64_t base, uint64_t *len)
{
	scoped(freep) uint8_t *buf = malloc(BATCH + how->params.cluster);
	struct writing wr = {
	    .c = c, .how = how, .out = out, .base = base, .buf = buf};
	struct uzip_params params = how->params;
	int rc = buf == NULL ? -ENOMEM : 0;

	if (rc == 0 && how->incremental)
		rc = commit_share(c, &how->plan, out, &params);
	if (rc < 0)
		return rc;
	rc = uzip_writer_open(
	    out, base, how->plan.nclusters, &params, c->pool, &wr.w);
	if (rc < 0)
		return rc;
	progress_start(&wr.bar, "committing",
	    (uint64_t)how->plan.nclusters * how->params.cluster);
	rc = put_all(&wr, len);
	progress_stop(&wr.bar);
	uzip_writer_close(wr.w);
	return rc;
}
