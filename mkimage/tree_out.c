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
#include "tree_impl.h"

enum { DEPTH_MAX = 1024 };

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
	    {".bz2", archive_write_add_filter_bzip2},
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
	/* No date of compression; a filter without one has no such option. */
	(void)archive_write_set_filter_option(a, "gzip", "timestamp", NULL);
	return ARCHIVE_OK;
}

/* Compression as name asks for; the same tree gives the same bytes. */
static int
set_filter(struct archive *a, const char *name)
{
	int rc = add_filter(a, name);

	/* not of interest where it is not gzip */
	(void)archive_write_set_filter_option(a, "gzip", "timestamp", NULL);
	return rc;
}

int
tree_said(struct tree_out *t, const char *path)
{
	int number = archive_errno(t->archive);
	const char *text = archive_error_string(t->archive);

	log_error("'%s': %s", path, text != NULL ? text : "failed");
	return number > 0 ? -number : -EIO;
}

int
tree_out_tar(int fd, const char *name, struct tree_out **out)
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
	if (archive_write_set_format_pax_restricted(t->archive) < 0 ||
	    set_filter(t->archive, name) < ARCHIVE_WARN ||
	    archive_write_set_bytes_in_last_block(t->archive, 1) < 0 ||
	    archive_write_open_fd(t->archive, fd) < 0) {
		rc = tree_said(t, name);
		tree_out_free(t);
		return rc;
	}
	*out = t;
	return 0;
}

/* -- trees ---------------------------------------------------------------- */

static int add_tree(struct tree_job *job, int depth);

static int
add_child(struct tree_job *parent, const struct view_entry *e, int depth)
{
	struct tree_job job = {.t = parent->t, .v = parent->v};
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
		parent->t->counts.failed++;
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
		job->t->counts.failed++;
		return 0;
	}
	rc = view_list(job->v, &job->node, &list);
	if (rc < 0 && !tree_is_fatal(rc)) {
		job->t->counts.failed++;
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

int
tree_out_add(struct tree_out *t, struct view *v, const char *path)
{
	scoped(freep) char *plain = plain_path(path);
	struct tree_job job = {.t = t, .v = v, .path = plain};
	int rc =
	    plain == NULL ? -EINVAL : view_lookup(v, path, false, &job.node);

	if (rc < 0) {
		log_error("'%s': %s", path, strerror(-rc));
		return rc;
	}
	idmap_release(&t->dirs);
	if (strcmp(plain, ".") == 0) {
		t->has_root = true;
		t->root = job.node;
	}
	rc = add_tree(&job, 0);
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
