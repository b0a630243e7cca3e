/* One node of a tree to libarchive: attributes, holes, contents, links. */
#include <string.h>
#include <sys/stat.h>

#include "../imgfmt/fflags.h"
#include "../imgfmt/log.h"
#include "outfile.h"
#include "tree_impl.h"

enum {
	LINK_MAX = 4096,
	HOLES_MAX = 4096, /* a file with more is written without the rest */
};

static void
entryp(struct archive_entry **entry)
{
	archive_entry_free(*entry);
}

/* -- attributes ----------------------------------------------------------- */

static int
add_xattr(void *arg, enum ufs_ea_space space, const char *name,
    const void *value, size_t len)
{
	struct tree_job *job = arg;
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
set_symlink(struct tree_job *job)
{
	char target[LINK_MAX];
	int64_t n = job->from->readlink(job, target, sizeof(target));

	if (n < 0)
		return (int)n;
	archive_entry_set_symlink(job->entry, target);
	return 0;
}

static bool
differ(struct timespec a, struct timespec b)
{
	return a.tv_sec != b.tv_sec || a.tv_nsec != b.tv_nsec;
}

/* In a tar, times that are not told are that of the last change. */
static void
set_times(struct archive_entry *e, const struct view_node *n, bool all)
{
	archive_entry_set_mtime(e, n->mtime.tv_sec, n->mtime.tv_nsec);
	if (all || differ(n->atime, n->mtime))
		archive_entry_set_atime(e, n->atime.tv_sec, n->atime.tv_nsec);
	if (all || differ(n->ctime, n->mtime))
		archive_entry_set_ctime(e, n->ctime.tv_sec, n->ctime.tv_nsec);
	if (n->has_birth && (all || differ(n->birth, n->mtime)))
		archive_entry_set_birthtime(
		    e, n->birth.tv_sec, n->birth.tv_nsec);
}

static void
set_flags(struct tree_job *job)
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
count_owner(struct tree_job *job)
{
	if (job->t->to_disk && !job->t->is_root &&
	    (job->node.uid != geteuid() || job->node.gid != getegid()))
		job->t->counts.owners++;
}

static int
describe(struct tree_job *job)
{
	const struct view_node *n = &job->node;
	struct archive_entry *e = job->entry;
	int rc = 0;

	archive_entry_set_pathname(e, job->path);
	archive_entry_set_mode(e, n->mode);
	archive_entry_set_uid(e, n->uid);
	archive_entry_set_gid(e, n->gid);
	archive_entry_set_nlink(e, n->nlink);
	set_times(e, n, job->t->to_disk);
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
	return rc < 0 ? rc : job->from->xattrs(job, add_xattr, job);
}

/* -- contents ------------------------------------------------------------- */

static int
write_piece(struct tree_job *job, uint64_t off, size_t len)
{
	struct tree_out *t = job->t;
	int64_t n = job->from->read(job, off, t->buf, len);
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
		return tree_said(t, job->path);
	t->counts.bytes += len;
	return 0;
}

static int
write_range(struct tree_job *job, uint64_t off, uint64_t end)
{
	int rc = 0;

	while (rc == 0 && off < end) {
		size_t n =
		    end - off < TREE_PIECE ? (size_t)(end - off) : TREE_PIECE;

		rc = write_piece(job, off, n);
		off += n;
	}
	return rc;
}

/* Call each for every run of data; holes lie between. */
static int
each_run(struct tree_job *job,
    int (*each)(struct tree_job *, uint64_t off, uint64_t end))
{
	uint64_t off = 0;
	int rc = 0;

	while (rc == 0 && off < job->node.size) {
		int64_t data = job->from->seek(job, off, true);
		int64_t hole;

		if (data == -ENXIO)
			return 0; /* a hole to the end */
		if (data < 0)
			return (int)data;
		hole = job->from->seek(job, (uint64_t)data, false);
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
map_run(struct tree_job *job, uint64_t off, uint64_t end)
{
	if (++job->runs > HOLES_MAX)
		return 1;
	archive_entry_sparse_add_entry(
	    job->entry, (int64_t)off, (int64_t)(end - off));
	return 0;
}

/* A tar wants to know the holes before the data. */
static int
map_holes(struct tree_job *job)
{
	int rc;

	if (job->t->to_disk || !S_ISREG(job->node.mode) || job->node.size == 0)
		return 0;
	rc = each_run(job, map_run);
	if (rc > 0)
		archive_entry_sparse_clear(job->entry);
	else if (rc == 0 && job->runs == 0)
		archive_entry_sparse_add_entry(
		    job->entry, (int64_t)job->node.size, 0);
	return rc < 0 ? rc : 0;
}

static int
write_contents(struct tree_job *job)
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

	if ((node->flags & UFS_FLAG_SNAPSHOT) != 0) {
		t->counts.snapshots++;
		return false;
	}
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
use_link(struct tree_job *job)
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
finish_entry(struct tree_job *job)
{
	struct tree_out *t = job->t;
	int rc = archive_write_finish_entry(t->archive);

	if (rc < ARCHIVE_WARN)
		return tree_said(t, job->path);
	if (rc == ARCHIVE_WARN && archive_entry_xattr_count(job->entry) > 0)
		t->counts.xattrs++; /* the target's file system has none */
	else if (rc == ARCHIVE_WARN)
		log_debug(
		    "'%s': %s", job->path, archive_error_string(t->archive));
	t->counts.files += !S_ISDIR(job->node.mode);
	return 0;
}

/* A file of which a part is missing would pass for whole. */
static void
drop_part(struct tree_job *job)
{
	if (!job->t->to_disk || !S_ISREG(job->node.mode))
		return;
	(void)archive_write_finish_entry(job->t->archive);
	if (unlink(job->path) < 0)
		log_warn("'%s' is incomplete, and cannot be removed: %s",
		    job->path, strerror(errno));
}

static int
write_entry(struct tree_job *job)
{
	struct tree_out *t = job->t;
	bool linked = archive_entry_hardlink(job->entry) != NULL;
	int rc = linked ? 0 : map_holes(job);

	if (rc < 0)
		return rc;
	if (archive_write_header(t->archive, job->entry) < ARCHIVE_WARN)
		return tree_said(t, job->path);
	job->begun = true;
	rc = write_contents(job);
	if (rc < 0)
		drop_part(job);
	else
		rc = finish_entry(job);
	if (rc == 0 && !linked && job->node.nlink > 1 &&
	    !S_ISDIR(job->node.mode))
		rc = idmap_put(&t->links, job->node.id, job->path);
	return rc < 0 ? rc : 0;
}

bool
tree_is_fatal(int rc)
{
	return rc == -ENOMEM || rc == -EINTR || rc == -ENOSPC || rc == -EPIPE;
}

int
tree_node_write(struct tree_job *job)
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
	if (rc == 0 || tree_is_fatal(rc) || job->from->is_strict)
		return rc;
	tree_count_failed(job->t, rc);
	if (rc != -EIO && rc != -ECORRUPT) /* those have been said */
		log_error("'%s': %s", job->path, strerror(-rc));
	/* A tar whose entry broke off in the middle is no tar any more. */
	return job->t->to_disk || !job->begun ? 0 : rc;
}
