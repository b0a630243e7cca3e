#include "tree_tar.h"

#include <inttypes.h>
#include <string.h>

#include "../imgfmt/log.h"
#include "outfile.h"
#include "tree_impl.h"

bool
tree_tar_is_name(const char *name)
{
	static const char *const ends[] = {".tar", ".tgz", ".txz", ".tbz2",
	    ".tbz", ".tzst", ".tar.gz", ".tar.xz", ".tar.bz2", ".tar.zst"};
	size_t len = strlen(name);

	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		size_t n = strlen(ends[i]);

		if (len > n && strcmp(name + len - n, ends[i]) == 0)
			return true;
	}
	return false;
}

/* -- what a tree holds ------------------------------------------------------
 */

static int64_t
from_tree_readlink(struct tree_job *job, char *buf, size_t len)
{
	size_t n = strlen(job->of->target);

	if (n >= len) {
		log_error("'%s': the target is too long", job->path);
		return -ENAMETOOLONG;
	}
	memcpy(buf, job->of->target, n + 1);
	return (int64_t)n;
}

static int64_t
from_tree_read(struct tree_job *job, uint64_t off, void *buf, size_t len)
{
	int rc = tree_read(job->reader, job->of, off, buf, len);

	return rc < 0 ? rc : (int64_t)len;
}

static int64_t
from_tree_seek(struct tree_job *job, uint64_t off, bool data)
{
	const struct content *c = &job->of->content;
	size_t i = tree_run_at(c, off);
	uint64_t begin;

	if (i == c->nruns)
		return data ? -ENXIO : (int64_t)off;
	begin = c->runs[i].off;
	if (data)
		return (int64_t)(begin > off ? begin : off);
	return (int64_t)(begin > off ? off : begin + tree_stretch(c, &i));
}

static int
from_tree_xattrs(struct tree_job *job, view_xattr *each, void *arg)
{
	int rc = 0;

	for (const struct tree_xattr *x = job->of->xattrs; x != NULL && rc == 0;
	     x = x->next)
		rc = each(arg, (enum ufs_ea_space)x->space, x->name, x->value,
		    x->len);
	return rc;
}

static const struct tree_from from_tree = {
    .readlink = from_tree_readlink,
    .read = from_tree_read,
    .seek = from_tree_seek,
    .xattrs = from_tree_xattrs,
    .is_strict = true,
};

static void
describe(const struct tree_node *n, struct view_node *out)
{
	*out = (struct view_node){
	    .id = (uint64_t)(uintptr_t)n,
	    .mode = n->mode,
	    .nlink = n->names,
	    .uid = n->uid,
	    .gid = n->gid,
	    .flags = n->flags & ~(uint32_t)UFS_FLAG_SNAPSHOT,
	    .rdev_major = n->rdev_major,
	    .rdev_minor = n->rdev_minor,
	    .size = n->size,
	    .atime = n->atime,
	    .mtime = n->mtime,
	    .ctime = n->ctime,
	    .birth = n->birth,
	    .has_birth = true,
	};
}

/* -- writing ----------------------------------------------------------------
 */

/* An archive on its way to the scratch file. */
struct archiving {
	struct tree_out *out;
	struct tree_reader *reader;
	struct tree *to;
	struct tree_node *node; /* the archive */
};

/* For libarchive: append to the archive. */
static la_ssize_t
put(struct archive *a, void *arg, const void *buf, size_t len)
{
	struct archiving *w = arg;
	uint64_t at;
	int rc = tree_spool(w->to, buf, len, &at);

	if (rc == 0)
		rc = tree_add_run(w->node, w->node->size, len, at);
	if (rc < 0) {
		w->out->said = rc != -ENOMEM;
		archive_set_error(a, -rc, "%s", strerror(-rc));
		return -1;
	}
	w->node->size += len;
	return (la_ssize_t)len;
}

/* What is at path, and all that is below it. */
static int
add(struct archiving *w, const struct tree_node *node, const char *path)
{
	struct tree_job job = {
	    .t = w->out,
	    .from = &from_tree,
	    .reader = w->reader,
	    .of = node,
	    .path = path,
	};
	bool is_root = strcmp(path, ".") == 0;
	int rc = interrupted() ? -EINTR : 0;

	describe(node, &job.node);
	if (rc == 0)
		rc = tree_node_write(&job);
	for (size_t i = 0; i < node->n && rc == 0; i++) {
		scoped(freep) char *below = NULL;

		if (asprintf(&below, "%s%s%s", is_root ? "" : path,
			is_root ? "" : "/", node->entries[i].name) < 0) {
			below = NULL;
			return -ENOMEM;
		}
		rc = add(w, node->entries[i].node, below);
	}
	return rc;
}

static int
write_tar(struct archiving *w, const struct tree *from, const char *path)
{
	struct tree_out_counts counts;
	int rc = 0;

	if (archive_write_open(w->out->archive, w, NULL, put, NULL) < 0)
		return tree_said(w->out, path);
	rc = add(w, from->root, ".");
	if (rc == 0)
		rc = tree_out_finish(w->out, &counts);
	if (rc == 0 && counts.devices > 0)
		log_warn("%" PRIu64 " sockets left out of '%s': a tar has "
			 "none",
		    counts.devices, path);
	return rc;
}

int
tree_archive(const struct tree *from, struct tree_reader *reader,
    struct tree *to, const char *path)
{
	struct archiving w = {.reader = reader, .to = to};
	scoped(freep) char *plain = NULL;
	struct tree_locale locale;
	int rc = tree_plain_path(path, &plain);

	if (rc < 0 || *plain == '\0') {
		log_error("'%s' is no path for an archive", path);
		return rc < 0 ? rc : -EINVAL;
	}
	w.node = tree_node_new(to, S_IFREG | 0644);
	if (w.node == NULL)
		return -ENOMEM;
	w.node->content.kind = CONTENT_SPOOL;
	rc = tree_out_new_tar(plain, &w.out);
	if (rc == 0) {
		tree_locale_enter(&locale);
		rc = write_tar(&w, from, plain);
		/* what it still writes when it is freed has nowhere to go */
		tree_out_free(w.out);
		tree_locale_leave(&locale);
	}
	if (rc < 0) {
		tree_node_free(w.node);
		return rc;
	}
	return tree_put(to, "the archive", plain, &w.node);
}
