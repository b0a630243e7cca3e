#include "status.h"

#include <string.h>

#include "../imgfmt/uzip.h"
#include "container.h"

enum {
	BASE_CLEAN_MAX = 8 << 20,
	TELLING = 16 << 20, /* plain bytes of stored clusters */
};

int
status_open_base(struct session *s, struct ufs **out)
{
	const struct ufs_options look = {.writable = false};
	struct blkdev *cache;
	int rc = blkdev_cache_open(
	    blkdev_ref(s->image->dev), 0, BASE_CLEAN_MAX, &cache);

	if (rc < 0) {
		blkdev_close(s->image->dev);
		return rc;
	}
	rc = ufs_open(cache, &look, out);
	if (rc < 0)
		blkdev_close(cache);
	return rc;
}

static bool
same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

bool
status_same(const struct ufs_attr *a, const struct ufs_attr *b)
{
	return a->ino == b->ino && a->gen == b->gen && a->mode == b->mode &&
	    a->nlink == b->nlink && a->uid == b->uid && a->gid == b->gid &&
	    a->flags == b->flags && a->size == b->size &&
	    a->blocks == b->blocks && same_time(&a->mtime, &b->mtime) &&
	    same_time(&a->ctime, &b->ctime);
}

struct compare {
	struct ufs *now, *base;
	uint64_t next; /* inodes below are done: changed ranges may meet in
			  one inode */
	struct status *out;
};

static bool
is_dir(const struct ufs_attr *attr)
{
	return (attr->mode & 0170000) == 0040000;
}

static struct status_counts *
counts_of(struct status *st, const struct ufs_attr *attr)
{
	return is_dir(attr) ? &st->dirs : &st->files;
}

/* 1: the inode is in use, 0: it is not. */
static int
look(struct ufs *fs, uint64_t ino, struct ufs_attr *attr)
{
	int rc = ufs_getattr(fs, ino, attr);

	return rc == 0 ? 1 : rc == -ESTALE ? 0 : rc;
}

static int
compare_inode(struct compare *c, uint64_t ino)
{
	struct ufs_attr now, base;
	int in_now = look(c->now, ino, &now);
	int in_base = look(c->base, ino, &base);

	if (in_now < 0 || in_base < 0)
		return in_now < 0 ? in_now : in_base;
	if (in_now == 1 && in_base == 1 && now.gen == base.gen) {
		if (!status_same(&now, &base))
			counts_of(c->out, &now)->changed++;
		return 0;
	}
	if (in_now == 1)
		counts_of(c->out, &now)->added++;
	if (in_base == 1)
		counts_of(c->out, &base)->removed++;
	return 0;
}

static int
compare_run(void *arg, uint64_t first, uint64_t n)
{
	struct compare *c = arg;

	for (uint64_t ino = first; ino < first + n; ino++) {
		int rc = 0;

		if (ino >= c->next && ino >= UFS_ROOT)
			rc = compare_inode(c, ino);
		if (rc < 0)
			return rc;
	}
	if (first + n > c->next)
		c->next = first + n;
	return 0;
}

static int
compare_inodes(struct session *s, struct status *out)
{
	struct compare c = {.now = s->fs, .out = out};
	struct blkdev_change change;
	uint64_t off = 0;
	int rc = out->has_files ? status_open_base(s, &c.base) : 0;

	if (rc < 0)
		return rc;
	while ((rc = blkdev_next_change(s->cache, off, &change)) > 0) {
		*(change.trimmed ? &out->trimmed_bytes : &out->written_bytes) +=
		    change.len;
		if (out->has_files)
			rc = ufs_inodes_in(
			    s->fs, change.off, change.len, compare_run, &c);
		if (rc < 0)
			break;
		off = change.off + change.len;
	}
	if (out->has_files)
		ufs_close(c.base);
	return rc;
}

/* What the clusters of a run take in the base. */
static int
base_bytes_of(struct blkdev *uzip, const struct plan_run *run, uint64_t *bytes)
{
	uint32_t end = run->first + run->n;
	uint32_t have = uzip_info(uzip)->nclusters;
	struct uzip_span span;

	for (uint32_t i = run->first; i < end && i < have; i++) {
		int rc = uzip_span(uzip, i, &span);

		if (rc < 0)
			return rc;
		if (span.kind == UZIP_STORED)
			*bytes += span.len;
	}
	return 0;
}

/*
 * The share that compression leaves of new clusters: what it left of the
 * base's.  A base with little in it tells nothing (the tables of an empty file
 * system compress to a hundredth): there, half, as programs and their
 * documents do.
 */
static double
guess_ratio(const struct uzip_counts *counts, uint32_t cluster)
{
	double plain = (double)counts->stored * cluster;

	return plain < TELLING ? 0.5 : (double)counts->stored_bytes / plain;
}

/*
 * The size after a commit is the base's without the clusters that go or are
 * made new, which are guessed to compress as the base's do.
 */
static int
guess_uzip(struct session *s, struct status *out)
{
	struct blkdev *uzip = s->image->uzip;
	const struct uzip_info *info = uzip_info(uzip);
	struct uzip_counts counts;
	struct plan plan;
	uint64_t gone = 0;
	int rc = uzip_count_some(uzip, &counts);

	if (rc == 0)
		rc = plan_make(s->cache, info->cluster, info->nclusters, &plan);
	if (rc < 0)
		return rc;
	for (size_t i = 0; rc == 0 && i < plan.nruns; i++)
		if (plan.runs[i].kind != PLAN_CLEAN)
			rc = base_bytes_of(uzip, &plan.runs[i], &gone);
	memcpy(out->clusters, plan.count, sizeof(out->clusters));
	plan_release(&plan);
	out->cluster = info->cluster;
	out->guess_bytes = out->base_bytes > gone ? out->base_bytes - gone : 0;
	out->guess_bytes += (uint64_t)(guess_ratio(&counts, info->cluster) *
	    (double)out->clusters[PLAN_DIRTY] * info->cluster);
	return rc;
}

/*
 * Of what is compressed as a whole nothing tells the size after a commit, but
 * that it stays when nothing changed.
 */
static int
compare_sizes(struct session *s, struct status *out)
{
	const struct image *im = s->image;
	unsigned target = container_target(im);

	if (im->nlayers > 1 && im->layer[im->nlayers - 2].kind == IMAGE_UZIP) {
		out->base_bytes = uzip_container(im->uzip)->size;
		out->has_guess = true;
		return guess_uzip(s, out);
	}
	out->base_bytes = im->layer[target].dev->size;
	if (target + 1 == im->nlayers) {
		out->guess_bytes = s->cache->size;
		out->has_guess = true;
	} else if (out->written_bytes + out->trimmed_bytes + out->grown == 0) {
		out->guess_bytes = out->base_bytes;
		out->has_guess = true;
	}
	return 0;
}

int
status_compute(struct session *s, struct status *out)
{
	struct overlay_info info = {0};
	int rc;

	*out = (struct status){0};
	if (s->overlay != NULL)
		overlay_info(s->overlay, &info);
	out->overlay_bytes = info.file_bytes;
	out->has_files = s->fs != NULL &&
	    s->image->layer[s->image->nlayers - 1].kind == IMAGE_UFS;
	out->grown = s->cache->size - s->image->dev->size;
	rc = compare_inodes(s, out);
	if (rc < 0)
		return rc;
	return compare_sizes(s, out);
}
