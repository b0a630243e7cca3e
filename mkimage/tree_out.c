/*
 * One archive handle serves both targets: archive_write_disk(3) for a
 * directory, a pax writer for a tar.  The tree comes from an untrusted image:
 * names with slashes or dots are refused, circles of directories are cut, and
 * archive_write_disk is told not to follow links that it made itself.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "../imgfmt/log.h"
#include "outfile.h"
#include "tree_impl.h"

enum {
	DEPTH_MAX = 1024,
	THREADS_MAX = 4, /* that compress; with xz each holds some 150 MB */
};

static int
tree_out_new(struct tree_out **out)
{
	struct tree_out *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return -ENOMEM;
	t->is_root = geteuid() == 0;
	t->buf = malloc(TREE_PIECE);
	if (t->buf == NULL) {
		free(t);
		return -ENOMEM;
	}
	*out = t;
	return 0;
}

void
tree_out_free(struct tree_out *t)
{
	if (t == NULL)
		return;
	archive_write_free(t->archive);
	idmap_release(&t->links);
	idmap_release(&t->dirs);
	free(t->buf);
	free(t);
}

int
tree_out_directory(const char *dir, struct tree_out **out)
{
	int flags = ARCHIVE_EXTRACT_TIME | ARCHIVE_EXTRACT_PERM |
	    ARCHIVE_EXTRACT_XATTR | ARCHIVE_EXTRACT_UNLINK |
	    ARCHIVE_EXTRACT_SECURE_SYMLINKS | ARCHIVE_EXTRACT_SECURE_NODOTDOT |
	    ARCHIVE_EXTRACT_SECURE_NOABSOLUTEPATHS;
	struct tree_out *t;
	int rc = tree_out_new(&t);

	if (rc < 0)
		return rc;
	interrupts_catch();
	if (mkdir(dir, 0777) < 0 && errno != EEXIST)
		rc = -errno;
	if (rc == 0 && chdir(dir) < 0)
		rc = -errno;
	if (rc < 0) {
		log_error("cannot extract to '%s': %s", dir, strerror(-rc));
		tree_out_free(t);
		return rc;
	}
	t->to_disk = true;
	t->archive = archive_write_disk_new();
	if (t->archive == NULL) {
		tree_out_free(t);
		return -ENOMEM;
	}
	if (t->is_root)
		flags |= ARCHIVE_EXTRACT_OWNER;
	archive_write_disk_set_options(t->archive, flags);
	*out = t;
	return 0;
}

static int
add_filter(struct archive *a, const char *name)
{
	static const struct {
		const char *suffix;
		int (*add)(struct archive *);
	} filters[] = {
	    {".gz", archive_write_add_filter_gzip},
	    {".tgz", archive_write_add_filter_gzip},
	    {".xz", archive_write_add_filter_xz},
	    {".txz", archive_write_add_filter_xz},
	    {".zst", archive_write_add_filter_zstd},
	    {".tzst", archive_write_add_filter_zstd},
	    {".bz2", archive_write_add_filter_bzip2},
	    {".tbz", archive_write_add_filter_bzip2},
	    {".tbz2", archive_write_add_filter_bzip2},
	};
	size_t len = strlen(name);

	for (size_t i = 0; i < sizeof(filters) / sizeof(*filters); i++) {
		size_t n = strlen(filters[i].suffix);

		if (len > n && strcmp(name + len - n, filters[i].suffix) == 0) {
			if (filters[i].add(a) < ARCHIVE_WARN)
				return ARCHIVE_FATAL;
			break;
		}
	}
	return ARCHIVE_OK;
}

/* Compression as name asks for; the same tree gives the same bytes. */
static int
set_filter(struct archive *a, const char *name)
{
	/* More than one thread cut the data into blocks, however many. */
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	int rc = add_filter(a, name);
	char threads[8];

	snprintf(threads, sizeof(threads), "%d",
	    cpus < 2                 ? 2
		: cpus > THREADS_MAX ? THREADS_MAX
				     : (int)cpus);
	/* options of filters that are not there are not missed */
	(void)archive_write_set_filter_option(a, "gzip", "timestamp", NULL);
	(void)archive_write_set_filter_option(a, "xz", "threads", threads);
	return rc;
}

int
tree_said(struct tree_out *t, const char *path)
{
	int number = archive_errno(t->archive);
	const char *text = archive_error_string(t->archive);

	if (!t->said)
		log_error("'%s': %s", path, text != NULL ? text : "failed");
	return number > 0 ? -number : -EIO;
}

int
tree_out_new_tar(const char *name, struct tree_out **out)
{
	struct tree_out *t;
	int rc = tree_out_new(&t);

	if (rc < 0)
		return rc;
	t->archive = archive_write_new();
	if (t->archive == NULL) {
		tree_out_free(t);
		return -ENOMEM;
	}
	/* not "restricted", which drops parts of seconds */
	if (archive_write_set_format_pax(t->archive) < 0 ||
	    set_filter(t->archive, name) < ARCHIVE_WARN ||
	    archive_write_set_bytes_in_last_block(t->archive, 1) < 0) {
		rc = tree_said(t, name);
		tree_out_free(t);
		return rc;
	}
	*out = t;
	return 0;
}

int
tree_out_tar(int fd, const char *name, struct tree_out **out)
{
	int rc = tree_out_new_tar(name, out);

	if (rc < 0)
		return rc;
	if (archive_write_open_fd((*out)->archive, fd) < 0) {
		rc = tree_said(*out, name);
		tree_out_free(*out);
		*out = NULL;
	}
	return rc;
}

/* -- what a view shows ----------------------------------------------------- */

static int64_t
from_view_readlink(struct tree_job *job, char *buf, size_t len)
{
	return view_readlink(job->v, &job->node, buf, len);
}

static int64_t
from_view_read(struct tree_job *job, uint64_t off, void *buf, size_t len)
{
	return view_read(job->v, &job->node, off, buf, len);
}

static int64_t
from_view_seek(struct tree_job *job, uint64_t off, bool data)
{
	return view_seek(job->v, &job->node, off, data);
}

static int
from_view_xattrs(struct tree_job *job, view_xattr *each, void *arg)
{
	return view_xattrs(job->v, &job->node, each, arg);
}

static const struct tree_from from_view = {
    .readlink = from_view_readlink,
    .read = from_view_read,
    .seek = from_view_seek,
    .xattrs = from_view_xattrs,
};

/* -- trees ---------------------------------------------------------------- */

static int add_tree(struct tree_job *job, int depth);

static int
add_child(struct tree_job *parent, const struct view_entry *e, int depth)
{
	struct tree_job job = {
	    .t = parent->t, .from = &from_view, .v = parent->v};
	scoped(freep) char *path = NULL;
	int rc;

	if (strcmp(parent->path, ".") == 0)
		rc = asprintf(&path, "%s", e->name);
	else
		rc = asprintf(&path, "%s/%s", parent->path, e->name);
	if (rc < 0) {
		path = NULL;
		return -ENOMEM;
	}
	job.path = path;
	rc = view_get(parent->v, e, &job.node);
	if (rc < 0) {
		tree_count_failed(parent->t, rc);
		return tree_is_fatal(rc) ? rc : 0;
	}
	return add_tree(&job, depth);
}

static int
add_tree(struct tree_job *job, int depth)
{
	struct view_list list;
	int rc = tree_node_write(job);

	if (rc < 0 || !S_ISDIR(job->node.mode))
		return rc;
	if (depth >= DEPTH_MAX ||
	    idmap_put(&job->t->dirs, job->node.id, NULL) == 0) {
		log_error("'%s': directories go round in a circle", job->path);
		tree_count_failed(job->t, -ECORRUPT);
		return 0;
	}
	rc = view_list(job->v, &job->node, &list);
	if (rc < 0 && !tree_is_fatal(rc)) {
		tree_count_failed(job->t, rc);
		rc = 0;
	}
	for (size_t i = 0; rc == 0 && i < list.n; i++)
		rc = add_child(job, &list.entry[i], depth + 1);
	view_list_release(&list);
	return rc;
}

/* path without needless slashes; "." for the root; NULL when it has "..". */
static char *
plain_path(const char *path)
{
	char *plain = malloc(strlen(path) + 2), *at = plain;

	if (plain == NULL)
		return NULL;
	while (*path != '\0') {
		size_t len = strcspn(path, "/");

		if (len == 2 && memcmp(path, "..", 2) == 0) {
			free(plain);
			return NULL;
		}
		if (len > 0 && !(len == 1 && *path == '.')) {
			if (at > plain)
				*at++ = '/';
			memcpy(at, path, len);
			at += len;
		}
		path += len;
		path += strspn(path, "/");
	}
	if (at == plain)
		*at++ = '.';
	*at = '\0';
	return plain;
}

/* What path leads to; errors said. */
static int
find(struct view *v, const char *path, const char *plain, struct view_node *out)
{
	int rc = plain == NULL ? -EINVAL : view_lookup(v, path, false, out);

	if (rc < 0)
		log_error("'%s': %s", path, strerror(-rc));
	return rc;
}

int
tree_out_check(struct view *v, const char *path)
{
	scoped(freep) char *plain = plain_path(path);
	struct view_node node;

	return find(v, path, plain, &node);
}

int
tree_out_add(struct tree_out *t, struct view *v, const char *path)
{
	scoped(freep) char *plain = plain_path(path);
	struct tree_job job = {
	    .t = t, .from = &from_view, .v = v, .path = plain};
	struct tree_locale locale;
	int rc = find(v, path, plain, &job.node);

	if (rc < 0)
		return rc;
	idmap_release(&t->dirs);
	if (strcmp(plain, ".") == 0) {
		t->has_root = true;
		t->root = job.node;
	}
	tree_locale_enter(&locale);
	rc = add_tree(&job, 0);
	tree_locale_leave(&locale);
	if (rc == -EINTR)
		log_error("interrupted while extracting '%s'", path);
	else if (rc < 0 && rc != -EIO && rc != -ECORRUPT)
		log_error("extracting stopped: %s", strerror(-rc));
	return rc;
}

/*
 * archive_write_disk sets the times of directories in the end, but the root's
 * before its children's, which change it again.
 */
static void
set_root_times(const struct tree_out *t)
{
	struct timespec times[2] = {t->root.atime, t->root.mtime};

	if (t->to_disk && t->has_root && utimensat(AT_FDCWD, ".", times, 0) < 0)
		log_debug("cannot set the time of the root");
}

int
tree_out_finish(struct tree_out *t, struct tree_out_counts *counts)
{
	int rc = archive_write_close(t->archive);

	set_root_times(t);
	*counts = t->counts;
	return rc < ARCHIVE_WARN ? tree_said(t, "output") : 0;
}
