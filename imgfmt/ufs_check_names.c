/*
 * Phases 2 to 4: what is in the directories, whether each of them can be
 * reached from the root, and whether link counts agree (formats.md 2.9, 2.14).
 */
#include <inttypes.h>
#include <string.h>

#include "log.h"
#include "ufs_check_impl.h"

enum { DOTDOT_OFF = 12 };

/* A directory being looked through. */
struct scan {
	struct ufs_fsck *f;
	struct ufs_fsck_dir *dir;
	bool has_dot, has_dotdot;
	/* Its names: length byte and bytes, one behind the other. */
	uint8_t *names;
	size_t nnames, len, room;
};

/* A live entry and its place. */
struct entry {
	uint64_t off; /* in the directory */
	uint64_t ino;
	uint8_t type, namelen;
	const char *name;
};

#define ENTRY_FMT    "'%.*s' at byte %" PRIu64
#define ENTRY_ARG(e) (int)(e)->namelen, (e)->name, (e)->off

static int
remember_name(struct scan *s, const struct entry *e)
{
	size_t need = 1 + (size_t)e->namelen;

	if (need > s->room - s->len) {
		size_t room = s->room * 2 + 4096;
		void *names = realloc(s->names, room);

		if (names == NULL)
			return -ENOMEM;
		s->names = names;
		s->room = room;
	}
	s->names[s->len] = e->namelen;
	memcpy(s->names + s->len + 1, e->name, e->namelen);
	s->len += need;
	s->nnames++;
	return 0;
}

static int
by_name(const void *a, const void *b)
{
	const uint8_t *x = *(const uint8_t *const *)a;
	const uint8_t *y = *(const uint8_t *const *)b;

	return x[0] != y[0] ? x[0] - y[0] : memcmp(x + 1, y + 1, x[0]);
}

static int
judge_same_names(struct scan *s)
{
	scoped(freep) const uint8_t **sorted = NULL;
	const uint8_t *name = s->names;

	if (s->nnames < 2)
		return 0;
	sorted = malloc(s->nnames * sizeof(sorted[0]));
	if (sorted == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < s->nnames; i++, name += 1 + name[0])
		sorted[i] = name;
	qsort(sorted, s->nnames, sizeof(sorted[0]), by_name);
	for (size_t i = 1; i < s->nnames; i++)
		if (by_name(&sorted[i - 1], &sorted[i]) == 0)
			ufs_fsck_inode_fault(s->f, s->dir->ino,
			    "'%.*s' is there twice", sorted[i][0],
			    (const char *)sorted[i] + 1);
	return 0;
}

/* "." and ".." have their places at the front, once each. */
static void
judge_dots(struct scan *s, const struct entry *e)
{
	bool right;

	if (e->namelen == 1 && e->off == 0) {
		s->has_dot = true;
		right = e->ino == s->dir->ino;
	} else if (e->namelen == 2 && e->off == DOTDOT_OFF) {
		s->has_dotdot = true;
		s->dir->dotdot = e->ino;
		right = true; /* judged when the parent is known */
	} else {
		ufs_fsck_inode_fault(s->f, s->dir->ino,
		    ENTRY_FMT " is out of place", ENTRY_ARG(e));
		return;
	}
	if (!right)
		ufs_fsck_inode_fault(s->f, s->dir->ino,
		    ENTRY_FMT " is inode %" PRIu64, ENTRY_ARG(e), e->ino);
	if (e->type != UFS_DT_DIR)
		ufs_fsck_inode_fault(s->f, s->dir->ino,
		    ENTRY_FMT " has type %u", ENTRY_ARG(e), (unsigned)e->type);
}

/* Where the entry leads: whiteouts lead nowhere. */
static void
judge_target(struct scan *s, const struct entry *e)
{
	struct ufs_fsck *f = s->f;
	struct ufs_fsck_inode *known;
	struct ufs_fsck_dir *child;

	if ((e->ino == UFS_WHITEOUT_INO) != (e->type == UFS_DT_WHT)) {
		ufs_fsck_inode_fault(f, s->dir->ino,
		    ENTRY_FMT " is half a whiteout (inode %" PRIu64
			      ", type %u)",
		    ENTRY_ARG(e), e->ino, (unsigned)e->type);
		return;
	}
	if (e->ino == UFS_WHITEOUT_INO)
		return;
	if (e->ino >= ufs_ninodes(&f->sb)) {
		ufs_fsck_inode_fault(f, s->dir->ino,
		    ENTRY_FMT " is inode %" PRIu64 ", beyond the last one",
		    ENTRY_ARG(e), e->ino);
		return;
	}
	known = &f->inodes[e->ino];
	if (known->type == 0) {
		ufs_fsck_inode_fault(f, s->dir->ino,
		    ENTRY_FMT " is inode %" PRIu64 ", which is free",
		    ENTRY_ARG(e), e->ino);
		return;
	}
	if (known->type != e->type && known->type != UFS_DT_BAD)
		ufs_fsck_inode_fault(f, s->dir->ino,
		    ENTRY_FMT " has type %u, its inode %" PRIu64 " has type %u",
		    ENTRY_ARG(e), (unsigned)e->type, e->ino,
		    (unsigned)known->type);
	child = ufs_fsck_dir_of(f, e->ino);
	if (child != NULL && child->parent != 0) {
		ufs_fsck_inode_fault(f, s->dir->ino,
		    ENTRY_FMT " is a second name of directory inode %" PRIu64,
		    ENTRY_ARG(e), e->ino);
		return;
	}
	if (child != NULL)
		child->parent = s->dir->ino;
	known->found++;
}

static bool
name_is_possible(const struct entry *e)
{
	return e->namelen > 0 && memchr(e->name, '/', e->namelen) == NULL &&
	    memchr(e->name, '\0', e->namelen) == NULL &&
	    e->name[e->namelen] == '\0';
}

static int
judge_entry(struct scan *s, const struct entry *e)
{
	if (!name_is_possible(e)) {
		ufs_fsck_inode_fault(s->f, s->dir->ino,
		    ENTRY_FMT " is no possible name", ENTRY_ARG(e));
		return 0;
	}
	if (ufs_fsck_is_dots(e->name, e->namelen)) {
		judge_dots(s, e);
		return 0;
	}
	judge_target(s, e);
	return remember_name(s, e);
}

/* Entries tile each chunk of 512 bytes. */
static int
judge_chunk(struct scan *s, const uint8_t *chunk, uint64_t off)
{
	uint32_t pos = 0;

	while (pos < UFS_DIRBLK) {
		const struct ufs_dirent_disk *d =
		    (const struct ufs_dirent_disk *)(chunk + pos);
		uint32_t reclen = raw16_get(d->reclen, s->f->sb.big);
		struct entry e = {off + pos, raw32_get(d->ino, s->f->sb.big),
		    d->type, d->namelen, (const char *)(d + 1)};
		int r;

		if (reclen < sizeof(*d) || reclen % 4 != 0 ||
		    reclen > UFS_DIRBLK - pos ||
		    (e.ino != 0 && ufs_dirsiz(e.namelen) > reclen)) {
			ufs_fsck_inode_fault(s->f, s->dir->ino,
			    "bad entry of %" PRIu32 " bytes at byte %" PRIu64,
			    reclen, e.off);
			s->f->names_unknown = true;
			return 0;
		}
		r = e.ino == 0 ? 0 : judge_entry(s, &e);
		if (r < 0)
			return r;
		pos += reclen;
	}
	return 0;
}

static int
look_into(struct ufs_fsck_walk *w, uint64_t lbn, uint64_t fsb, uint32_t bytes)
{
	const struct ufs_super *sb = &w->f->sb;
	uint64_t off = lbn << sb->bshift;
	int r;

	r = blkdev_read(w->f->dev, ufs_frag_off(sb, fsb), w->f->block, bytes);
	for (uint32_t i = 0; r == 0 && i < bytes && off + i < w->d->size;
	     i += UFS_DIRBLK)
		r = judge_chunk(w->arg, w->f->block + i, off + i);
	return r;
}

static int
judge_directory(struct ufs_fsck *f, struct ufs_fsck_dir *dir)
{
	struct scan s = {.f = f, .dir = dir};
	struct ufs_dinode d;
	struct ufs_fsck_walk w = {
	    .f = f,
	    .ino = dir->ino,
	    .d = &d,
	    .data = look_into,
	    .enter = ufs_fsck_enter_any,
	    .beyond = ufs_fsck_pass_beyond,
	    .arg = &s,
	};
	int r;

	r = ufs_fsck_read_inode(f, dir->ino, &d);
	if (r < 0)
		return r;
	r = ufs_fsck_walk(&w);
	if (r == 0)
		r = judge_same_names(&s);
	free(s.names);
	if (r < 0)
		return r;
	f->inodes[dir->ino].found++; /* its "." */
	if (!s.has_dot)
		ufs_fsck_inode_fault(f, dir->ino, "has no '.'");
	if (!s.has_dotdot)
		ufs_fsck_inode_fault(f, dir->ino, "has no '..'");
	return 0;
}

/* Count the ".." of dir where it belongs, and judge it. */
static void
judge_parent(struct ufs_fsck *f, const struct ufs_fsck_dir *dir)
{
	uint64_t parent = dir->parent;

	if (parent == 0 && f->inodes[dir->ino].orphan)
		return;
	if (parent == 0 && ufs_fsck_dir_of(f, dir->dotdot) != NULL)
		parent = dir->dotdot;
	if (parent == 0)
		return;
	f->inodes[parent].found++;
	if (dir->dotdot != 0 && dir->dotdot != parent)
		ufs_fsck_inode_fault(f, dir->ino,
		    "'..' is inode %" PRIu64 ", must be %" PRIu64, dir->dotdot,
		    parent);
}

enum { MARK_NONE, MARK_ON_WAY, MARK_JOINED, MARK_APART };

/*
 * Follow parents up from dir to where the verdict is known, or cannot be:
 * nobody's child, or a ring.  Each directory is marked once.
 */
static void
judge_way_up(struct ufs_fsck *f, struct ufs_fsck_dir *dir)
{
	struct ufs_fsck_dir *d = dir, *up;
	uint8_t verdict = MARK_APART;

	while (d->mark == MARK_NONE) {
		d->mark = MARK_ON_WAY;
		up = d->parent == 0 ? NULL : ufs_fsck_dir_of(f, d->parent);
		if (up == NULL)
			break;
		d = up;
	}
	if (d->mark == MARK_JOINED)
		verdict = MARK_JOINED;
	else if (d->mark == MARK_ON_WAY && !f->inodes[d->ino].orphan &&
	    !f->names_unknown)
		ufs_fsck_inode_fault(
		    f, d->ino, "cannot be reached from the root");
	for (d = dir; d != NULL && d->mark == MARK_ON_WAY;
	     d = ufs_fsck_dir_of(f, d->parent))
		d->mark = verdict;
}

static void
judge_links(struct ufs_fsck *f, uint64_t ino)
{
	const struct ufs_fsck_inode *known = &f->inodes[ino];
	const struct ufs_fsck_dir *dir;

	if (known->type == 0)
		return;
	dir = known->type == UFS_DT_DIR ? ufs_fsck_dir_of(f, ino) : NULL;
	if (dir != NULL && dir->parent == 0)
		return; /* was told to be out of reach, or may be so */
	if (known->found == 0 && known->orphan)
		return;
	if (known->found == 0)
		ufs_fsck_inode_fault(f, ino, "has no name");
	else if (known->found != known->nlink)
		ufs_fsck_inode_fault(f, ino,
		    "link count is %u, must be %" PRIu32,
		    (unsigned)known->nlink, known->found);
}

int
ufs_fsck_names(struct ufs_fsck *f)
{
	struct ufs_fsck_dir *root = ufs_fsck_dir_of(f, UFS_ROOT);
	int r = 0;

	if (f->sb.old_dirs) {
		log_warn("directories are older than 4.4BSD: not judged");
		return 0;
	}
	if (root == NULL) {
		ufs_fsck_inode_fault(f, UFS_ROOT, "the root is no directory");
		return 0;
	}
	root->parent = UFS_ROOT;
	root->mark = MARK_JOINED;
	for (size_t i = 0; r == 0 && i < f->ndirs; i++) {
		r = ufs_fsck_tell(f, ufs_ninodes(&f->sb) + f->dirs[i].ino);
		if (r == 0 && !f->dirs[i].damaged)
			r = judge_directory(f, &f->dirs[i]);
	}
	if (r < 0)
		return r;
	for (size_t i = 0; i < f->ndirs; i++) {
		judge_parent(f, &f->dirs[i]);
		judge_way_up(f, &f->dirs[i]);
	}
	if (f->names_unknown)
		log_warn("directories are damaged: link counts and files "
			 "without a name are not judged");
	else
		for (uint64_t i = UFS_ROOT; i < ufs_ninodes(&f->sb); i++)
			judge_links(f, i);
	return ufs_fsck_tell_paths(f);
}
