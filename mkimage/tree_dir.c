/*
 * A directory of the host as a source.  Every directory is read once, through
 * descriptors; names are sorted, so that the order of the host's file system
 * does not matter; nothing is followed.
 */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>

#include "../imgfmt/compat.h"
#include "../imgfmt/log.h"
#include "../imgfmt/radix.h"
#include "outfile.h"
#include "tree.h"

enum { TARGET_MAX = 4096 };

struct walk {
	struct tree *t;
	const struct tree_base *base;
	dev_t dev;          /* of the files in links */
	struct radix links; /* inode number: node of a file with more names */
	bool ask_flags;     /* a mount of ours, which has flags to ask for */
};

static void
closedirp(DIR **dir)
{
	if (*dir != NULL)
		(void)closedir(*dir);
}

static int
cannot(const struct walk *w, const char *path, int rc)
{
	log_error("cannot read '%s%s%s': %s", w->base->path,
	    *path != '\0' ? "/" : "", path, strerror(-rc));
	return rc;
}

/* -- one file -------------------------------------------------------------- */

struct xattrs {
	struct tree *t;
	struct tree_node *node;
};

static int
add_xattr(void *arg, const char *name, const void *value, size_t len)
{
	struct xattrs *x = arg;

	return tree_add_xattr(x->t, x->node, name, value, len);
}

static int
read_xattrs(struct walk *w, int dirfd, const char *name, struct tree_node *node)
{
	struct xattrs x = {w->t, node};
	int rc = compat_xattrs(dirfd, name, add_xattr, &x);

	if (rc == 0 && w->ask_flags)
		rc = compat_xattr(dirfd, name, "relive.flags", add_xattr, &x);
	return rc == -EOPNOTSUPP ? 0 : rc;
}

static int
read_target(int dirfd, const char *name, struct tree_node *node)
{
	char buf[TARGET_MAX];
	ssize_t n = readlinkat(dirfd, name, buf, sizeof(buf));

	if (n < 0)
		return -errno;
	if ((size_t)n == sizeof(buf))
		return -ENAMETOOLONG;
	node->target = strndup(buf, (size_t)n);
	return node->target == NULL ? -ENOMEM : 0;
}

/* What the file holds; it is opened only where there may be holes. */
static int
read_content(struct walk *w, int dirfd, const char *name, const char *path,
    const struct stat *st, struct tree_node *node)
{
	scoped(fdclosep) int fd = -1;

	if ((uint64_t)st->st_blocks * 512 < (uint64_t)st->st_size) {
		fd = openat(dirfd, name,
		    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0)
			return -errno;
	} else if (faccessat(dirfd, name, R_OK, AT_EACCESS) < 0) {
		return -errno; /* better now than half way */
	}
	return tree_host_content(node, w->base, path, st, fd);
}

static void
set_attributes(struct tree_node *node, const struct stat *st)
{
	node->uid = st->st_uid;
	node->gid = st->st_gid;
	node->flags = compat_file_flags(st);
	/* mtime alone: the others change when a tree is read or copied */
	tree_node_date(node, st->st_mtim);
	if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)) {
		node->rdev_major = major(st->st_rdev);
		node->rdev_minor = minor(st->st_rdev);
	}
}

static int
make_node(struct walk *w, int dirfd, const char *name, const char *path,
    const struct stat *st, struct tree_node **out)
{
	scoped(tree_node_freep) struct tree_node *node =
	    tree_node_new(w->t, st->st_mode);
	int rc = 0;

	if (node == NULL)
		return -ENOMEM;
	set_attributes(node, st);
	if (S_ISLNK(st->st_mode))
		rc = read_target(dirfd, name, node);
	else if (S_ISREG(st->st_mode))
		rc = read_content(w, dirfd, name, path, st, node);
	if (rc == 0)
		rc = read_xattrs(w, dirfd, name, node);
	if (rc < 0)
		return rc;
	*out = node;
	node = NULL; /* the caller's */
	return 0;
}

/* The node of a file that has been met under another name, or NULL. */
static struct tree_node *
known(const struct walk *w, const struct stat *st)
{
	if (S_ISDIR(st->st_mode) || st->st_nlink < 2 || st->st_dev != w->dev)
		return NULL;
	return radix_get(&w->links, st->st_ino);
}

static int
remember(struct walk *w, const struct stat *st, struct tree_node *node)
{
	if (S_ISDIR(st->st_mode) || st->st_nlink < 2 || st->st_dev != w->dev)
		return 0;
	return radix_add(&w->links, st->st_ino, node);
}

/* -- directories ----------------------------------------------------------- */

struct names {
	char **name;
	size_t n, room;
};

static void
names_release(struct names *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->name[i]);
	free(list->name);
}

static int
names_add(struct names *list, const char *name)
{
	char *copy = strdup(name);

	if (copy != NULL && list->n == list->room) {
		size_t room = list->room > 0 ? 2 * list->room : 64;
		char **more = realloc(list->name, room * sizeof(*more));

		if (more != NULL) {
			list->name = more;
			list->room = room;
		}
	}
	if (copy == NULL || list->n == list->room) {
		free(copy);
		return -ENOMEM;
	}
	list->name[list->n++] = copy;
	return 0;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int
list_names(DIR *dir, struct names *list)
{
	const struct dirent *e;
	int rc = 0;

	while (rc == 0) {
		errno = 0;
		e = readdir(dir);
		if (e == NULL) {
			rc = -errno;
			break;
		}
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			rc = names_add(list, e->d_name);
	}
	if (list->n > 1)
		qsort(list->name, list->n, sizeof(*list->name), by_name);
	return rc;
}

static int walk_dir(
    struct walk *w, int dirfd, struct tree_node *dir, const char *path);

/* Go into the directory called name. */
static int
walk_below(struct walk *w, int dirfd, const char *name, const char *path,
    struct tree_node *node)
{
	int fd = openat(
	    dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? cannot(w, path, -errno) : walk_dir(w, fd, node, path);
}

static bool
is_skipped(const struct tree *t, const struct stat *st)
{
	for (int i = 0; i < t->nskip; i++)
		if (t->skip[i].dev == st->st_dev &&
		    t->skip[i].ino == st->st_ino)
			return true;
	return false;
}

void
tree_skip(struct tree *t, const char *path)
{
	struct stat st;

	if (t->nskip < TREE_SKIPS && stat(path, &st) == 0)
		t->skip[t->nskip++] = (struct tree_skip){st.st_dev, st.st_ino};
}

static int
walk_entry(struct walk *w, int dirfd, struct tree_node *dir, const char *name,
    const char *path)
{
	struct tree_node *node;
	struct stat st;
	int rc = 0;

	if (interrupted())
		return -EINTR;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return cannot(w, path, -errno);
	if (is_skipped(w->t, &st))
		return 0;
	node = known(w, &st);
	if (node != NULL)
		return tree_enter(dir, name, &node);
	rc = make_node(w, dirfd, name, path, &st, &node);
	if (rc < 0)
		return cannot(w, path, rc);
	rc = tree_enter(dir, name, &node);
	if (rc == 0)
		rc = remember(w, &st, node);
	if (rc == 0 && S_ISDIR(st.st_mode))
		rc = walk_below(w, dirfd, name, path, node);
	return rc;
}

static int
walk_names(struct walk *w, int dirfd, struct tree_node *dir, const char *path,
    const struct names *list)
{
	int rc = 0;

	for (size_t i = 0; i < list->n && rc == 0; i++) {
		scoped(freep) char *below = NULL;

		if (asprintf(&below, "%s%s%s", path, *path != '\0' ? "/" : "",
			list->name[i]) < 0) {
			below = NULL;
			return -ENOMEM;
		}
		if (!tree_is_excluded(w->t, below))
			rc = walk_entry(w, dirfd, dir, list->name[i], below);
	}
	return rc;
}

static int
depth_of(const char *path)
{
	int depth = 1;

	for (; *path != '\0'; path++)
		depth += *path == '/';
	return depth;
}

/* What directory fd, which is closed, holds. */
static int
walk_dir(struct walk *w, int fd, struct tree_node *dir, const char *path)
{
	scoped(closedirp) DIR *d = fdopendir(fd);
	struct names list = {0};
	int rc;

	if (d == NULL) {
		rc = -errno;
		(void)close(fd);
		return cannot(w, path, rc);
	}
	if (depth_of(path) > TREE_DEPTH_MAX)
		return cannot(w, path, -ENAMETOOLONG);
	rc = list_names(d, &list);
	if (rc < 0)
		(void)cannot(w, path, rc);
	else
		rc = walk_names(w, dirfd(d), dir, path, &list);
	names_release(&list);
	return rc;
}

/* A mount of ours tells flags to who asks for them. */
static int
ignore(void *arg, const char *name, const void *value, size_t len)
{
	(void)arg;
	(void)name;
	(void)value;
	(void)len;
	return 0;
}

int
tree_add_directory(struct tree *t, const char *path)
{
	struct walk w = {.t = t};
	struct tree_node *node;
	struct stat st;
	int fd, rc = tree_open_base(t, path, &w.base);

	if (rc < 0)
		return rc;
	if (fstat(w.base->fd, &st) < 0)
		return cannot(&w, "", -errno);
	w.dev = st.st_dev;
	w.ask_flags =
	    compat_xattr(w.base->fd, ".", "relive.flags", ignore, NULL) == 0;
	rc = make_node(&w, w.base->fd, ".", "", &st, &node);
	if (rc < 0)
		return cannot(&w, "", rc);
	rc = tree_put(t, path, "", &node);
	fd = rc == 0 ? fcntl(w.base->fd, F_DUPFD_CLOEXEC, 0) : -1;
	if (rc == 0)
		rc = fd < 0 ? cannot(&w, "", -errno)
			    : walk_dir(&w, fd, t->root, "");
	radix_release(&w.links);
	return rc;
}
