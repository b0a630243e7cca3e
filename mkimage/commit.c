/* Commit, as a whole: decide, write the container, verify, name. */
#include "commit.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "../imgfmt/compat.h"
#include "../imgfmt/gz.h"
#include "../imgfmt/log.h"
#include "cmd.h"
#include "commit_impl.h"
#include "container.h"

enum { CACHE_MAX = 64 << 20, GZ_LEVEL = 9 };

/* Nothing is asked for that concerns one image only. */
static bool
wants_whole(const struct commit_options *opt)
{
	return opt->uzip == NULL && opt->raw == NULL &&
	    opt->codec == COMMIT_KEEP && opt->cluster == 0 &&
	    opt->dedup == COMMIT_KEEP && !opt->level_given;
}

static int
open_all(struct commit *c)
{
	const struct commit_options *opt = c->opt;
	struct session_options how = {
	    .mode = opt->in_place ? SESSION_WRITE : SESSION_SNAPSHOT,
	    .content = SESSION_ANY,
	    .dir = opt->session_dir,
	    .wait = true,
	    .whole = wants_whole(opt),
	    .image = {.cache_max = CACHE_MAX},
	};
	int rc = pool_open(opt->jobs, &c->pool);

	if (rc == 0 && !opt->in_place)
		rc = session_sync_mount(opt->address, opt->session_dir);
	if (rc < 0)
		return rc;
	how.image.pool = c->pool;
	rc = session_open(opt->address, &how, &c->session);
	if (rc < 0)
		return rc;
	c->image = c->session->image;
	c->merged = c->session->cache;
	if (opt->in_place)
		rc = session_flush(c->session);
	return rc < 0 ? rc : parts_open(c->session, &how, &c->parts);
}

/* Which layer is replaced, and whether what lies above it can be. */
static int
find_target(struct commit *c)
{
	const struct image *im = c->image;
	struct blkdev_change change;
	int rc;

	c->target = container_target(im);
	if (container_is_too_deep(im)) {
		log_error("'%s': an image nested this deep can be mounted, but "
			  "not committed; --raw writes its file system",
		    c->opt->address);
		if (c->opt->out != NULL || c->opt->in_place)
			return -ENOTSUP;
	}
	if (c->target + 2 == im->nlayers &&
	    im->layer[c->target].kind == IMAGE_UZIP)
		c->uzip = im->uzip;
	rc = blkdev_next_change(c->merged, 0, &change);
	c->changed = rc > 0 || c->merged->size != im->dev->size;
	c->report_base = im->layer[c->target].dev->size;
	return rc < 0 ? rc : 0;
}

/* Further images get commits of their own, which keep the base's habits. */
static int
prepare_others(struct commit *c, struct commit_options *opt)
{
	int rc = 0;

	*opt = (struct commit_options){.address = c->opt->address,
	    .out = c->opt->out,
	    .in_place = c->opt->in_place,
	    .verify_full = c->opt->verify_full,
	    .codec = COMMIT_KEEP,
	    .dedup = COMMIT_KEEP};
	c->others = calloc(c->parts.n + 1, sizeof(*c->others));
	if (c->others == NULL)
		return -ENOMEM;
	for (; c->nothers < c->parts.n && rc == 0; c->nothers++) {
		struct commit *other = &c->others[c->nothers];

		other->opt = opt;
		other->pool = c->pool;
		other->session = c->parts.image[c->nothers];
		other->image = other->session->image;
		other->merged = other->session->cache;
		if (opt->in_place)
			rc = session_flush(other->session);
		if (rc == 0)
			rc = find_target(other);
		if (rc == 0)
			rc = commit_check_left(other->session, opt->address);
	}
	return rc;
}

static int
write_uzip_checked(struct commit *c, struct blkdev *out, uint64_t base)
{
	struct commit_uzip_how how;
	int rc = commit_uzip_decide(c, &how);

	if (rc < 0)
		return rc;
	rc = commit_write_uzip(c, &how, out, base, &c->report_new);
	if (rc == 0)
		rc = commit_verify_uzip(c, &how, out, base, c->report_new);
	commit_uzip_how_release(&how);
	return rc;
}

/* The target's new bytes, in the form the base has, at base of out. */
int
commit_put_target(void *arg, struct blkdev *out, uint64_t base, uint64_t *len)
{
	struct commit *c = arg;
	int rc;

	c->most = c->image->layer[0].kind == IMAGE_ISO ? CONTAINER_ISO_MOST : 0;
	switch (c->image->layer[c->target].kind) {
	case IMAGE_UZIP:
		rc = write_uzip_checked(c, out, base);
		break;
	case IMAGE_GZ:
		rc = gz_deflate(c->merged, GZ_LEVEL, out, base, &c->report_new);
		break;
	default:
		rc = commit_write_raw(c, out, base, &c->report_new);
	}
	c->most = 0;
	*len = c->report_new;
	return rc;
}

/* The image was not edited, nor is it to be compressed in another way. */
static bool
is_kept(const struct commit *c)
{
	return !c->changed && c->opt->codec == COMMIT_KEEP &&
	    c->opt->cluster == 0 && c->opt->dedup == COMMIT_KEEP &&
	    !c->opt->level_given;
}

/* Nothing at all is to change. */
static bool
is_as_base(const struct commit *c)
{
	return is_kept(c) && !parts_any(&c->parts);
}

/* The container as a whole, in the kind of the base. */
static int
write_container(struct commit *c, struct blkdev *out)
{
	struct blkdev *file = c->image->layer[0].dev;
	int rc;

	if (is_as_base(c)) {
		rc = blkdev_resize(out, file->size);
		c->report_new = c->report_base;
		return rc < 0 ? rc
			      : blkdev_copy_data(file, 0, out, 0, file->size);
	}
	if (parts_any(&c->parts))
		return commit_write_whole(c, !is_kept(c), out);
	return container_write(c->image, out, commit_put_target, c);
}

/* What can be known to be too large before any work. */
static int
check_size(struct commit *c)
{
	if (c->image->layer[0].kind == IMAGE_ISO && commit_is_raw(c) &&
	    c->merged->size >= CONTAINER_ISO_MOST) {
		log_error("'%s': the image would have %llu bytes; FreeBSD "
			  "reads no file of 4 GiB or more from an ISO",
		    c->opt->address, (unsigned long long)c->merged->size);
		return -EFBIG;
	}
	return 0;
}

static int
write_out(struct commit *c, const char *path)
{
	scoped(outfile_abortp) struct outfile *out = NULL;
	struct outfile *done;
	int rc = check_size(c);

	c->where = path;
	if (rc == 0)
		rc = outfile_not_input(path, c->image->path);
	if (rc == 0)
		rc = outfile_create(path, &out);
	if (rc == 0)
		rc = write_container(c, outfile_dev(out));
	if (rc < 0)
		return rc;
	done = out;
	out = NULL;
	return outfile_commit(done);
}

/* Of an ISO everything is committed that was edited in the session. */
static bool
is_whole(const struct commit *c)
{
	return c->image->layer[0].kind == IMAGE_ISO;
}

/*
 * Other edits of the image, which would lose their base: those of the session
 * beside it, where another one is committed, and those of images that lie one
 * within the other, which cannot be committed together.  0; -EBUSY, said.
 */
static int
check_replaceable(const struct commit *c)
{
	int rc = session_beside(c->image->path, c->session->dir);

	if (rc > 0) {
		log_error("'%s' has another session, which would lose its "
			  "base: commit or discard that one first",
		    c->image->path);
		rc = -EBUSY;
	}
	return rc < 0 ? rc : session_check_nested(c->session);
}

/*
 * The order is what makes it safe: the new image whole on disk, then its
 * identity in the session, then the rename, then the overlay goes.
 */
static int
write_in_place(struct commit *c)
{
	scoped(outfile_abortp) struct outfile *out = NULL;
	struct outfile *done;
	int rc = check_size(c);

	c->where = c->image->path;
	if (rc == 0)
		rc = check_replaceable(c);
	if (rc == 0)
		rc = outfile_create(c->image->path, &out);
	if (rc == 0)
		rc = write_container(c, outfile_dev(out));
	if (rc == 0)
		rc = outfile_sync(out);
	if (rc == 0)
		rc = session_record_successor(
		    c->session, outfile_temporary(out), is_whole(c));
	if (rc < 0)
		return rc;
	done = out;
	out = NULL;
	rc = outfile_commit(done);
	return rc < 0 ? rc : session_drop_overlay(c->session, is_whole(c));
}

/* The image alone, as a uzip or as it is. */
static int
write_part(struct commit *c, const char *path, bool as_uzip)
{
	scoped(outfile_abortp) struct outfile *out = NULL;
	struct outfile *done;
	int rc = outfile_not_input(path, c->image->path);

	if (rc == 0)
		rc = outfile_create(path, &out);
	if (rc < 0)
		return rc;
	if (as_uzip)
		rc = write_uzip_checked(c, outfile_dev(out), 0);
	else
		rc = commit_write_raw(c, outfile_dev(out), 0, &c->report_new);
	if (rc < 0)
		return rc;
	done = out;
	out = NULL;
	return outfile_commit(done);
}

static void
report_written(const struct uzip_written *w)
{
	if (w->bytes == 0)
		return;
	log_info("clusters: %llu copied, %llu compressed, %llu zero, "
		 "%llu shared",
	    (unsigned long long)w->copied, (unsigned long long)w->compressed,
	    (unsigned long long)w->zero, (unsigned long long)w->backref);
	log_debug("bytes: %llu on disk shared with the base, %llu copied, "
		  "%llu compressed, %llu of padding",
	    (unsigned long long)w->shared_bytes,
	    (unsigned long long)w->copied_bytes,
	    (unsigned long long)w->compressed_bytes,
	    (unsigned long long)w->padding);
}

/* Say what was written to path, or why it was not; rc again. */
static int
report(struct commit *c, const char *path, int rc)
{
	long long grew = (long long)c->report_new - (long long)c->report_base;

	if (rc < 0) {
		if (cmd_errors_said() == 0)
			log_error("'%s' is not written: %s", path,
			    rc == -EINTR ? "interrupted" : strerror(-rc));
		return rc;
	}
	if (is_as_base(c))
		log_info("'%s': nothing changed since the base", path);
	else if (is_kept(c) && path != c->opt->uzip && path != c->opt->raw)
		log_info("'%s': the image stays as it was", path);
	else
		log_info("'%s': image of %llu bytes (%+lld)", path,
		    (unsigned long long)c->report_new, grew);
	report_written(&c->written);
	c->written = (struct uzip_written){0};
	return 0;
}

/* One output after the other; the first failure ends it. */
static int
write_outputs(struct commit *c)
{
	const struct commit_options *opt = c->opt;
	int rc = 0;

	if (opt->out != NULL)
		rc = report(c, opt->out, write_out(c, opt->out));
	if (rc == 0 && opt->uzip != NULL)
		rc = report(c, opt->uzip, write_part(c, opt->uzip, true));
	if (rc == 0 && opt->raw != NULL)
		rc = report(c, opt->raw, write_part(c, opt->raw, false));
	if (rc == 0 && opt->in_place)
		rc = report(
		    c, c->image->path, is_as_base(c) ? 0 : write_in_place(c));
	return rc;
}

int
commit_run(const struct commit_options *options)
{
	struct commit c = {.opt = options};
	struct commit_options others;
	int rc = open_all(&c);

	if (rc == 0)
		rc = find_target(&c);
	if (rc == 0)
		rc = commit_check_wishes(&c);
	if (rc == 0)
		rc = c.changed ? commit_check_left(c.session, options->address)
			       : 0;
	if (rc == 0)
		rc = prepare_others(&c, &others);
	if (rc == 0)
		commit_warn(&c);
	if (rc == 0)
		rc = write_outputs(&c);
	parts_close(&c.parts);
	free(c.others);
	session_close(c.session);
	pool_close(c.pool);
	return rc;
}
