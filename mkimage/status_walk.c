/*
 * The walk by names.  Both trees are read folder by folder; a folder is a pair
 * of inodes, either of which may be missing.  What is still to do lies on a
 * stack, so that no depth of tree costs depth of calls; folders already seen
 * are skipped, so that no loop in a damaged tree makes the walk endless.
 */
#include <string.h>

#include "../imgfmt/bitmap.h"
#include "status.h"

struct folder {
	struct folder *next;
	uint64_t now, base; /* inodes, 0: not there */
	char path[];        /* "" or ends in '/' */
};

struct walk {
	struct ufs *now, *base;
	struct folder *stack;
	uint8_t *seen_now, *seen_base; /* bits by inode */
	uint64_t ninodes_now, ninodes_base;
	int (*each)(void *arg, enum status_change change, const char *path);
	void *arg;
};

/* The names of one folder, sorted. */
struct names {
	struct ufs_dirent **entry;
	size_t n, room;
};

static int
add_name(void *arg, const struct ufs_dirent *e)
{
	struct names *names = arg;
	struct ufs_dirent *copy;

	if (strcmp(e->name, ".") == 0 || strcmp(e->name, "..") == 0 ||
	    e->ino == UFS_WHITEOUT_INO)
		return 0;
	if (names->n == names->room) {
		size_t room = names->room > 0 ? 2 * names->room : 64;
		void *more =
		    realloc(names->entry, room * sizeof(*names->entry));

		if (more == NULL)
			return -ENOMEM;
		names->entry = more;
		names->room = room;
	}
	copy = malloc(offsetof(struct ufs_dirent, name) + e->namelen + 1u);
	if (copy == NULL)
		return -ENOMEM;
	memcpy(copy, e, offsetof(struct ufs_dirent, name) + e->namelen + 1u);
	names->entry[names->n++] = copy;
	return 0;
}

static int
by_name(const void *a, const void *b)
{
	const struct ufs_dirent *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

static void
names_release(struct names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->entry[i]);
	free(names->entry);
}

static int
read_names(struct ufs *fs, uint64_t dir, struct names *names)
{
	int rc = dir == 0 ? 0 : ufs_readdir(fs, dir, 0, add_name, names);

	if (rc == 0 && names->n > 1)
		qsort(names->entry, names->n, sizeof(*names->entry), by_name);
	return rc;
}

/* Whether the folder was seen before; it is from now on. */
static bool
seen(uint8_t *map, uint64_t n, uint64_t ino)
{
	if (ino == 0 || ino >= n)
		return true;
	if (bit_is_set(map, ino))
		return true;
	bit_set(map, ino);
	return false;
}

static int
push(struct walk *w, uint64_t now, uint64_t base, const char *path)
{
	struct folder *f;
	bool old_now = seen(w->seen_now, w->ninodes_now, now);
	bool old_base = seen(w->seen_base, w->ninodes_base, base);

	if (old_now && old_base)
		return 0;
	f = malloc(sizeof(*f) + strlen(path) + 1);
	if (f == NULL)
		return -ENOMEM;
	*f = (struct folder){w->stack, now, base};
	strcpy(f->path, path);
	w->stack = f;
	return 0;
}

static bool
is_dir(const struct ufs_attr *attr)
{
	return (attr->mode & 0170000) == 0040000;
}

/* What is under one name, now or in the base; no entry is mode 0. */
static int
look(struct ufs *fs, const struct ufs_dirent *e, struct ufs_attr *attr)
{
	*attr = (struct ufs_attr){0};
	return e != NULL ? ufs_getattr(fs, e->ino, attr) : 0;
}

static int
tell(struct walk *w, const struct ufs_attr *now, const struct ufs_attr *base,
    const char *path)
{
	if (now->mode == 0)
		return w->each(w->arg, STATUS_REMOVED, path);
	if (base->mode == 0)
		return w->each(w->arg, STATUS_ADDED, path);
	if (!status_same(now, base))
		return w->each(w->arg, STATUS_CHANGED, path);
	return 0;
}

/* One name, there now or in the base or both. */
static int
compare_name(struct walk *w, const struct folder *f,
    const struct ufs_dirent *now, const struct ufs_dirent *base)
{
	scoped(freep) char *path = NULL;
	const char *name = now != NULL ? now->name : base->name;
	struct ufs_attr a, b;
	bool folder;
	int rc = look(w->now, now, &a);

	if (rc == 0)
		rc = look(w->base, base, &b);
	if (rc < 0)
		return rc;
	folder = is_dir(&a) || is_dir(&b);
	if (asprintf(&path, "%s%s%s", f->path, name, folder ? "/" : "") < 0)
		return -ENOMEM;
	rc = tell(w, &a, &b, path);
	if (rc == 0 && folder)
		rc = push(
		    w, is_dir(&a) ? a.ino : 0, is_dir(&b) ? b.ino : 0, path);
	return rc;
}

static int
compare_folder(struct walk *w, const struct folder *f)
{
	struct names now = {0}, base = {0};
	size_t i = 0, k = 0;
	int rc = read_names(w->now, f->now, &now);

	if (rc == 0)
		rc = read_names(w->base, f->base, &base);
	while (rc == 0 && (i < now.n || k < base.n)) {
		int order = i == now.n ? 1
		    : k == base.n      ? -1
				       : by_name(&now.entry[i], &base.entry[k]);

		rc = compare_name(w, f, order <= 0 ? now.entry[i] : NULL,
		    order >= 0 ? base.entry[k] : NULL);
		i += order <= 0;
		k += order >= 0;
	}
	names_release(&now);
	names_release(&base);
	return rc;
}

static uint64_t
inode_limit(struct ufs *fs)
{
	struct ufs_info info;

	ufs_info(fs, &info);
	return (uint64_t)info.ncg * info.inodes_per_group;
}

static int
walk_all(struct walk *w)
{
	int rc = push(w, UFS_ROOT, UFS_ROOT, "");

	while (w->stack != NULL) {
		struct folder *f = w->stack;

		w->stack = f->next;
		if (rc == 0)
			rc = compare_folder(w, f);
		free(f);
	}
	return rc;
}

int
status_walk(struct session *s,
    int (*each)(void *arg, enum status_change change, const char *path),
    void *arg)
{
	struct walk w = {.now = s->fs, .each = each, .arg = arg};
	int rc = status_open_base(s, &w.base);

	if (rc < 0)
		return rc;
	w.ninodes_now = inode_limit(w.now);
	w.ninodes_base = inode_limit(w.base);
	w.seen_now = calloc(1, w.ninodes_now / 8 + 1);
	w.seen_base = calloc(1, w.ninodes_base / 8 + 1);
	rc = w.seen_now == NULL || w.seen_base == NULL ? -ENOMEM : walk_all(&w);
	free(w.seen_now);
	free(w.seen_base);
	ufs_close(w.base);
	return rc;
}
