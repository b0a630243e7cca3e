/*
 * An archive as a source: anything that libarchive reads, in any compression.
 * Contents are spooled to the scratch file as they come, because the layout of
 * the image is known only once the last name has been read.  Nothing is
 * extracted, so neither root nor a file system that can hold owners, flags
 * and devices is needed.
 */
#include <string.h>

#include "../imgfmt/fflags.h"
#include "../imgfmt/log.h"
#include "outfile.h"
#include "tree_impl.h"

enum { BLOCK = 256 << 10 };

struct reading {
	struct tree *t;
	struct archive *a;
	struct archive_entry *e;
	const char *source;
};

static void
archivep(struct archive **a)
{
	(void)archive_read_free(*a);
}

/* libarchive's error as -errno, said. */
static int
said(const struct reading *r)
{
	const char *text = archive_error_string(r->a);
	int number = archive_errno(r->a);

	log_error("cannot read '%s': %s", r->source,
	    text != NULL ? text : "it is damaged or cut short");
	return number > 0 ? -number : -EIO;
}

/* -- attributes ------------------------------------------------------------ */

static struct timespec
time_of(bool is_set, time_t sec, long nsec, struct timespec otherwise)
{
	return is_set ? (struct timespec){sec, nsec} : otherwise;
}

static void
set_times(struct tree_node *node, struct archive_entry *e)
{
	struct timespec m = time_of(archive_entry_mtime_is_set(e),
	    archive_entry_mtime(e), archive_entry_mtime_nsec(e), node->mtime);

	node->mtime = m;
	node->atime = time_of(archive_entry_atime_is_set(e),
	    archive_entry_atime(e), archive_entry_atime_nsec(e), m);
	node->ctime = time_of(archive_entry_ctime_is_set(e),
	    archive_entry_ctime(e), archive_entry_ctime_nsec(e), m);
	node->birth = time_of(archive_entry_birthtime_is_set(e),
	    archive_entry_birthtime(e), archive_entry_birthtime_nsec(e), m);
}

/* Flags travel as words; those of other systems have no place in UFS. */
static void
set_flags(struct reading *r, struct tree_node *node, const char *path)
{
	const char *text = archive_entry_fflags_text(r->e);

	if (text == NULL || fflags_parse(text, strlen(text), &node->flags) == 0)
		return;
	r->t->lost_flags++;
	log_debug("'%s': '%s' has the flags '%s', which UFS does not know",
	    r->source, path, text);
}

static int
set_xattrs(struct reading *r, struct tree_node *node)
{
	const char *name;
	const void *value;
	size_t len;
	int rc = 0;

	(void)archive_entry_xattr_reset(r->e);
	while (rc == 0 &&
	    archive_entry_xattr_next(r->e, &name, &value, &len) == ARCHIVE_OK)
		rc = tree_add_xattr(r->t, node, name, value, len);
	if (archive_entry_acl_types(r->e) != 0)
		r->t->lost_acls++;
	return rc;
}

static int
set_target(const struct reading *r, struct tree_node *node)
{
	const char *target = archive_entry_symlink(r->e);

	if (target == NULL)
		target = archive_entry_symlink_utf8(r->e);
	node->target = strdup(target != NULL ? target : "");
	return node->target == NULL ? -ENOMEM : 0;
}

static int
set_owner(const struct reading *r, struct tree_node *node, const char *path)
{
	la_int64_t uid = archive_entry_uid(r->e), gid = archive_entry_gid(r->e);

	if (uid < 0 || uid > UINT32_MAX || gid < 0 || gid > UINT32_MAX) {
		log_error("'%s': the owner of '%s' is a number that UFS cannot "
			  "hold: %lld:%lld",
		    r->source, path, (long long)uid, (long long)gid);
		return -EINVAL;
	}
	node->uid = (uint32_t)uid;
	node->gid = (uint32_t)gid;
	return 0;
}

/* Of ISOs libarchive hands out both numbers of PN as they are (RRIP 4.1.2). */
static void
set_device(const struct reading *r, struct tree_node *node)
{
	uint64_t raw = (uint64_t)archive_entry_rdev(r->e);
	int format = archive_format(r->a) & ARCHIVE_FORMAT_BASE_MASK;

	if (format == ARCHIVE_FORMAT_ISO9660 && raw > UINT32_MAX) {
		node->rdev_major = (uint32_t)(raw >> 32);
		node->rdev_minor = (uint32_t)raw;
	} else {
		node->rdev_major = (uint32_t)archive_entry_rdevmajor(r->e);
		node->rdev_minor = (uint32_t)archive_entry_rdevminor(r->e);
	}
}

static int
describe(struct reading *r, struct tree_node *node, const char *path)
{
	struct archive_entry *e = r->e;
	int rc = set_owner(r, node, path);

	if (rc < 0)
		return rc;
	set_times(node, e);
	set_flags(r, node, path);
	if (S_ISCHR(node->mode) || S_ISBLK(node->mode))
		set_device(r, node);
	if (S_ISLNK(node->mode))
		rc = set_target(r, node);
	return rc < 0 ? rc : set_xattrs(r, node);
}

/* -- contents -------------------------------------------------------------- */

static int
spool_block(struct reading *r, struct tree_node *node, const void *buf,
    size_t len, uint64_t off)
{
	uint64_t at;
	int rc = tree_spool(r->t, buf, len, &at);

	return rc < 0 ? rc : tree_add_run(node, off, len, at);
}

/* The data of the entry; libarchive tells holes by leaving them out. */
static int
spool_content(struct reading *r, struct tree_node *node, const char *path)
{
	uint64_t end = 0;

	tree_drop_content(node);
	node->content.kind = CONTENT_SPOOL;
	for (;;) {
		const void *buf;
		size_t len;
		la_int64_t off;
		int rc = archive_read_data_block(r->a, &buf, &len, &off);

		if (rc == ARCHIVE_EOF)
			break;
		if (rc < ARCHIVE_WARN)
			return said(r);
		if (interrupted())
			return -EINTR;
		if (len == 0)
			continue;
		if (off < 0 || (uint64_t)off < end ||
		    len > (uint64_t)INT64_MAX - (uint64_t)off) {
			log_error("cannot read '%s': the data of '%s' is out "
				  "of order",
			    r->source, path);
			return -EINVAL;
		}
		rc = spool_block(r, node, buf, len, (uint64_t)off);
		if (rc < 0)
			return rc;
		end = (uint64_t)off + len;
	}
	node->size = archive_entry_size_is_set(r->e)
	    ? (uint64_t)archive_entry_size(r->e)
	    : end;
	if (node->size < end)
		node->size = end;
	return 0;
}

/* -- entries --------------------------------------------------------------- */

/* The entry's path in plain form; -EINVAL, said. */
static int
path_of(const struct reading *r, const char *raw, char **out)
{
	int rc = raw == NULL ? -ENOENT : tree_plain_path(raw, out);

	if (rc == -EINVAL)
		log_error("'%s': '%s' leads out of the tree", r->source, raw);
	else if (rc == -ENAMETOOLONG)
		log_error("'%s': a name is too long for UFS: '%.60s...'",
		    r->source, raw);
	else if (rc == -ENOENT)
		log_error("'%s': an entry has no name", r->source);
	return rc;
}

/* A further name for what raw leads to. */
static int
add_link(struct reading *r, const char *path, const char *raw)
{
	scoped(freep) char *to = NULL;
	struct tree_node *node;
	int rc = path_of(r, raw, &to);

	if (rc < 0)
		return rc;
	node = tree_find(r->t, to);
	if (node == NULL || S_ISDIR(node->mode)) {
		log_error("'%s': '%s' is a link to '%s', which is %s",
		    r->source, path, to,
		    node == NULL ? "not there" : "a directory");
		return -EINVAL;
	}
	rc = tree_put(r->t, r->source, path, &node);
	/* some archives keep the data with the last name */
	if (rc == 0 && S_ISREG(node->mode) && archive_entry_size_is_set(r->e) &&
	    archive_entry_size(r->e) > 0)
		rc = spool_content(r, node, path);
	return rc;
}

static int
add_node(struct reading *r, const char *path)
{
	uint32_t mode = archive_entry_mode(r->e);
	struct tree_node *node;
	int rc;

	if ((mode & S_IFMT) == 0)
		mode |= S_IFREG;
	if (*path == '\0' && !S_ISDIR(mode))
		return 0; /* "." of cpio's trailer and the like */
	node = tree_node_new(r->t, mode);
	if (node == NULL)
		return -ENOMEM;
	rc = describe(r, node, path);
	if (rc == 0 && S_ISREG(mode))
		rc = spool_content(r, node, path);
	if (rc < 0) {
		tree_node_free(node);
		return rc;
	}
	return tree_put(r->t, r->source, path, &node);
}

static int
add_entry(struct reading *r)
{
	const char *raw = archive_entry_pathname(r->e);
	const char *link = archive_entry_hardlink(r->e);
	scoped(freep) char *path = NULL;
	int rc;

	if (raw == NULL)
		raw = archive_entry_pathname_utf8(r->e);
	if (link == NULL)
		link = archive_entry_hardlink_utf8(r->e);
	rc = path_of(r, raw, &path);
	if (rc < 0)
		return rc;
	return link != NULL ? add_link(r, path, link) : add_node(r, path);
}

/*
 * A tar ends with blocks of zeroes.  libarchive takes the end of the file for
 * one too; then the last header it looked for was not there at all.
 */
static bool
lacks_end(struct archive *a)
{
	int base = archive_format(a) & ARCHIVE_FORMAT_BASE_MASK;

	return base == ARCHIVE_FORMAT_TAR &&
	    archive_filter_bytes(a, 0) <= archive_read_header_position(a);
}

static int
read_all(struct reading *r)
{
	for (;;) {
		int rc = archive_read_next_header(r->a, &r->e);

		if (rc == ARCHIVE_EOF && lacks_end(r->a)) {
			log_error(
			    "cannot read '%s': it is cut short", r->source);
			return -EIO;
		}
		if (rc == ARCHIVE_EOF)
			return 0;
		if (rc < ARCHIVE_WARN)
			return said(r);
		if (rc == ARCHIVE_WARN)
			log_debug(
			    "'%s': %s", r->source, archive_error_string(r->a));
		if (interrupted())
			return -EINTR;
		rc = add_entry(r);
		if (rc < 0)
			return rc;
	}
}

static int
open_archive(struct reading *r)
{
	if (r->a == NULL)
		return -ENOMEM;
	if (archive_read_support_filter_all(r->a) < ARCHIVE_WARN ||
	    archive_read_support_format_tar(r->a) < ARCHIVE_WARN ||
	    archive_read_support_format_cpio(r->a) < ARCHIVE_WARN ||
	    archive_read_support_format_iso9660(r->a) < ARCHIVE_WARN ||
	    archive_read_support_format_zip(r->a) < ARCHIVE_WARN ||
	    archive_read_open_filename(r->a, r->source, BLOCK) < ARCHIVE_WARN)
		return said(r);
	return 0;
}

void
tree_locale_enter(struct tree_locale *l)
{
	l->utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	l->before = l->utf8 != (locale_t)0 ? uselocale(l->utf8) : l->utf8;
}

void
tree_locale_leave(struct tree_locale *l)
{
	if (l->utf8 == (locale_t)0)
		return;
	(void)uselocale(l->before);
	freelocale(l->utf8);
}

int
tree_add_archive(struct tree *t, const char *path)
{
	scoped(archivep) struct archive *a = archive_read_new();
	struct reading r = {.t = t, .a = a, .source = path};
	struct tree_locale locale;
	int rc;

	tree_locale_enter(&locale);
	rc = open_archive(&r);
	if (rc == 0)
		rc = read_all(&r);
	tree_locale_leave(&locale);
	return rc;
}
