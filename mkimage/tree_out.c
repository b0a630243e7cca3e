/*
 * One archive handle serves both targets: archive_write_disk(3) for a
 * directory, a pax writer for a tar.  The tree comes from an untrusted image:
 * names with slashes or dots are refused, circles of directories are cut, and
 * archive_write_disk is told not to follow links that it made itself.
 */
#include "tree_out.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "../imgfmt/fflags.h"
#include "../imgfmt/log.h"
#include "idmap.h"
#include "outfile.h"

enum {
	DEPTH_MAX = 1024,
	LINK_MAX = 4096,
	PIECE = 1 << 20,
	HOLES_MAX = 4096, /* a file with more is written without the rest */
};

struct tree_out {
	struct archive *archive;
	bool to_disk, is_root;
	struct idmap links; /* files with several names: the first of them */
	struct idmap dirs;  /* directories on the way, against circles */
	struct tree_out_counts counts;
	char *buf; /* PIECE bytes */
};

/* A node being written. */
struct job {
	struct tree_out *t;
	struct view *v;
	const char *path; /* in the target: no slash in front; "." the root */
	struct view_node node;
	struct archive_entry *entry;
};

static void
entryp(struct archive_entry **entry)
{
	archive_entry_free(*entry);
}

static int
tree_out_new(struct tree_out **out)
{
	struct tree_out *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return -ENOMEM;
	t->is_root = geteuid() == 0;
	t->buf = malloc(PIECE);
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
set_filter(struct archive *a, const char *name)
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

/* libarchive's error as -errno, said with the path it is about. */
static int
said(struct tree_out *t, const char *path)
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
	/* bare of compression times and names: same tree, same bytes */
	if (archive_write_set_format_pax_restricted(t->archive) < 0 ||
	    set_filter(t->archive, name) < ARCHIVE_WARN ||
	    archive_write_set_bytes_in_last_block(t->archive, 1) < 0 ||
	    archive_write_open_fd(t->archive, fd) < 0) {
		rc = said(t, name);
		tree_out_free(t);
		return rc;
	}
	*out = t;
	return 0;
}

/* -- attributes ----------------------------------------------------------- */

static int
add_xattr(void *arg, enum ufs_ea_space space, const char *name,
    const void *value, size_t len)
{
	struct job *job = arg;
	char full[300];

	/* Linux has no place for system attributes, nor for any on links. */
	if (job->t->to_disk &&
	    (space != UFS_EA_USER ||
		(!S_ISREG(job->node.mode) && !S_ISDIR(job->node.mode)))) {
		job->t->counts.xattrs++;
		return 0;
	}
	snprintf(full, sizeof(full), "%s.%s",
	    space == UFS_EA_USER ? "user" : "system", name);
	archive_entry_xattr_add_entry(job->entry, full, value, len);
	return 0;
}

static int
set_symlink(struct job *job)
{
	char target[LINK_MAX];
	int64_t n = view_readlink(job->v, &job->node, target, sizeof(target));

	if (n < 0)
		return (int)n;
	archive_entry_set_symlink(job->entry, target);
	return 0;
}

static void
set_times(struct archive_entry *e, const struct view_node *n)
{
	archive_entry_set_mtime(e, n->mtime.tv_sec, n->mtime.tv_nsec);
	archive_entry_set_atime(e, n->atime.tv_sec, n->atime.tv_nsec);
	archive_entry_set_ctime(e, n->ctime.tv_sec, n->ctime.tv_nsec);
	if (n->has_birth)
		archive_entry_set_birthtime(
		    e, n->birth.tv_sec, n->birth.tv_nsec);
}

static void
set_flags(struct job *job)
{
	char text[160];

	if (job->node.flags == 0)
		return;
	if (job->t->to_disk)
		job->t->counts.flags++;
	else
		(void)archive_entry_copy_fflags_text(job->entry,
		    fflags_text(job->node.flags, text, sizeof(text)));
}

static void
count_owner(struct job *job)
{
	if (job->t->to_disk && !job->t->is_root &&
	    (job->node.uid != geteuid() || job->node.gid != getegid()))
		job->t->counts.owners++;
}

static int
describe(struct job *job)
{
	const struct view_node *n = &job->node;
	struct archive_entry *e = job->entry;
	int rc = 0;

	archive_entry_set_pathname(e, job->path);
	archive_entry_set_mode(e, n->mode);
	archive_entry_set_uid(e, n->uid);
	archive_entry_set_gid(e, n->gid);
	archive_entry_set_nlink(e, n->nlink);
	set_times(e, n);
	set_flags(job);
	count_owner(job);
	if (S_ISREG(n->mode))
		archive_entry_set_size(e, (int64_t)n->size);
	if (S_ISCHR(n->mode) || S_ISBLK(n->mode)) {
		archive_entry_set_rdevmajor(e, n->rdev_major);
		archive_entry_set_rdevminor(e, n->rdev_minor);
	}
	if (S_ISLNK(n->mode))
		rc = set_symlink(job);
	return rc < 0 ? rc : view_xattrs(job->v, n, add_xattr, job);
}

/* -- contents ------------------------------------------------------------- */

static int
write_piece(struct job *job, uint64_t off, size_t len)
{
	struct tree_out *t = job->t;
	int64_t n = view_read(job->v, &job->node, off, t->buf, len);
	int64_t done;

	if (n < 0)
		return (int)n;
	if ((size_t)n < len)
		return -EIO;
	if (interrupted())
		return -EINTR;
	done = t->to_disk
	    ? archive_write_data_block(t->archive, t->buf, len, (int64_t)off)
	    : archive_write_data(t->archive, t->buf, len);
	if (done < 0)
		return said(t, job->path);
	t->counts.bytes += len;
	return 0;
}

static int
write_range(struct job *job, uint64_t off, uint64_t end)
{
	int rc = 0;

	while (rc == 0 && off < end) {
		size_t n = end - off < PIECE ? (size_t)(end - off) : PIECE;

		rc = write_piece(job, off, n);
		off += n;
	}
	return rc;
}

/* Call each for every run of data; holes lie between. */
static int
each_run(struct job *job, int (*each)(struct job *, uint64_t off, uint64_t end))
{
	uint64_t off = 0;
	int rc = 0;

	while (rc == 0 && off < job->node.size) {
		int64_t data = view_seek(job->v, &job->node, off, true);
		int64_t hole;

		if (data == -ENXIO)
			return 0; /* a hole to the end */
		if (data < 0)
			return (int)data;
		hole = view_seek(job->v, &job->node, (uint64_t)data, false);
		if (hole < 0)
			return (int)hole;
		if (hole <= data)
			return -EIO;
		rc = each(job, (uint64_t)data, (uint64_t)hole);
		off = (uint64_t)hole;
	}
	return rc;
}

static int
map_run(struct job *job, uint64_t off, uint64_t end)
{
	if (archive_entry_sparse_count(job->entry) >= HOLES_MAX)
		return 1;
	archive_entry_sparse_add_entry(
	    job->entry, (int64_t)off, (int64_t)(end - off));
	return 0;
}

/* A tar wants to know the holes before the data. */
static int
map_holes(struct job *job)
{
	int rc;

	if (job->t->to_disk || !S_ISREG(job->node.mode) || job->node.size == 0)
		return 0;
	rc = each_run(job, map_run);
	if (rc > 0)
		archive_entry_sparse_clear(job->entry);
	else if (rc == 0 && archive_entry_sparse_count(job->entry) == 0)
		archive_entry_sparse_add_entry(
		    job->entry, (int64_t)job->node.size, 0);
	return rc < 0 ? rc : 0;
}

static int
write_contents(struct job *job)
{
	if (!S_ISREG(job->node.mode) || job->node.size == 0 ||
	    archive_entry_hardlink(job->entry) != NULL)
		return 0;
	if (job->t->to_disk)
		return each_run(job, write_range);
	return write_range(job, 0, job->node.size);
}

/* -- one node ------------------------------------------------------------- */

/* Whether a device number of FreeBSD's exists on every host, as Linux's. */
static bool
is_portable_device(const struct view_node *node)
{
	return node->rdev_major < 1 << 12 && node->rdev_minor < 1 << 20;
}

/* Whether node can be made at all; counted when not. */
static bool
can_make(struct tree_out *t, const struct view_node *node)
{
	bool device = S_ISCHR(node->mode) || S_ISBLK(node->mode);

	if (S_ISSOCK(node->mode) ||
	    (device && t->to_disk &&
		(!t->is_root || !is_portable_device(node)))) {
		t->counts.devices++;
		return false;
	}
	return true;
}

/* A further name of a file that is there already becomes a hard link. */
static void
use_link(struct job *job)
{
	const char *first;

	if (job->node.nlink < 2 || S_ISDIR(job->node.mode))
		return;
	first = idmap_get(&job->t->links, job->node.id);
	if (first == NULL)
		return;
	archive_entry_set_hardlink(job->entry, first);
	archive_entry_unset_size(job->entry);
}

/* End the entry; what could not be restored is counted. */
static int
finish_entry(struct job *job)
{
	struct tree_out *t = job->t;
	int rc = archive_write_finish_entry(t->archive);

	if (rc < ARCHIVE_WARN)
		return said(t, job->path);
	if (rc == ARCHIVE_WARN && archive_entry_xattr_count(job->entry) > 0)
		t->counts.xattrs++; /* the target's file system has none */
	else if (rc == ARCHIVE_WARN)
		log_debug(
		    "'%s': %s", job->path, archive_error_string(t->archive));
	t->counts.files++;
	return 0;
}

static int
write_entry(struct job *job)
{
	struct tree_out *t = job->t;
	bool linked = archive_entry_hardlink(job->entry) != NULL;
	int rc = linked ? 0 : map_holes(job);

	if (rc < 0)
		return rc;
	if (archive_write_header(t->archive, job->entry) < ARCHIVE_WARN)
		return said(t, job->path);
	rc = write_contents(job);
	if (rc == 0)
		rc = finish_entry(job);
	if (rc == 0 && !linked && job->node.nlink > 1 &&
	    !S_ISDIR(job->node.mode))
		rc = idmap_put(&t->links, job->node.id, job->path);
	return rc < 0 ? rc : 0;
}

/* Whether going on makes sense after a single file's error. */
static bool
is_fatal(int rc)
{
	return rc == -ENOMEM || rc == -EINTR || rc == -ENOSPC || rc == -EPIPE;
}

static int
add_node(struct job *job)
{
	scoped(entryp) struct archive_entry *entry = archive_entry_new();
	int rc;

	if (entry == NULL)
		return -ENOMEM;
	if (!can_make(job->t, &job->node))
		return 0;
	job->entry = entry;
	rc = describe(job);
	if (rc == 0) {
		use_link(job);
		rc = write_entry(job);
	}
	if (rc == 0 || is_fatal(rc))
		return rc;
	job->t->counts.failed++;
	log_debug("'%s': %s", job->path, strerror(-rc));
	/* A tar whose entry broke off in the middle is no tar any more. */
	return job->t->to_disk ? 0 : rc;
}

/* -- trees ---------------------------------------------------------------- */

static int add_tree(struct job *job, int depth);

static int
add_child(struct job *parent, const struct view_entry *e, int depth)
{
	struct job job = {.t = parent->t, .v = parent->v};
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
		return is_fatal(rc) ? rc : 0;
	}
	return add_tree(&job, depth);
}

static int
add_tree(struct job *job, int depth)
{
	struct view_list list;
	int rc = add_node(job);

	if (rc < 0 || !S_ISDIR(job->node.mode))
		return rc;
	if (depth >= DEPTH_MAX ||
	    idmap_put(&job->t->dirs, job->node.id, NULL) == 0) {
		log_error("'%s': directories go round in a circle", job->path);
		job->t->counts.failed++;
		return 0;
	}
	rc = view_list(job->v, &job->node, &list);
	if (rc < 0 && !is_fatal(rc)) {
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
	struct job job = {.t = t, .v = v, .path = plain};
	int rc =
	    plain == NULL ? -EINVAL : view_lookup(v, path, false, &job.node);

	if (rc < 0) {
		log_error("'%s': %s", path, strerror(-rc));
		return rc;
	}
	idmap_release(&t->dirs);
	rc = add_tree(&job, 0);
	if (rc < 0 && rc != -EIO && rc != -ECORRUPT)
		log_error("extracting stopped: %s", strerror(-rc));
	return rc;
}

int
tree_out_finish(struct tree_out *t, struct tree_out_counts *counts)
{
	int rc = archive_write_close(t->archive);

	*counts = t->counts;
	return rc < ARCHIVE_WARN ? said(t, "output") : 0;
}
