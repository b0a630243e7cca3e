/*
 * Names for inodes that were found at fault: people know files by their
 * paths.  Done last, by looking through the directories once more, and only
 * where there is something to tell.
 */
#include <inttypes.h>
#include <string.h>

#include "log.h"
#include "ufs_check_impl.h"

enum {
	/* Directories above each other that are followed; then it is cut. */
	DEPTH_MOST = 64,
	/* Bytes of directories to look through for all paths together. */
	BYTES_MOST = 1 << 30,
};

/* A search through one directory. */
struct search {
	struct ufs_fsck *f;
	uint64_t dir;
	uint64_t ino; /* looked for; 0: all that are at fault */
	bool found;
	char name[UFS_NAME_MAX + 1];
};

static void
note_entry(struct search *s, uint64_t ino, const char *name, uint8_t len)
{
	struct ufs_fsck *f = s->f;

	if (ino < UFS_ROOT || ino >= ufs_ninodes(&f->sb) ||
	    ufs_fsck_is_dots(name, len))
		return;
	if (s->ino == ino && !s->found) {
		s->found = true;
		memcpy(s->name, name, len);
		s->name[len] = '\0';
	}
	if (s->ino != 0 || !f->inodes[ino].faulty)
		return;
	for (size_t i = 0; i < f->nfaulty; i++)
		if (f->faulty[i].ino == ino && f->faulty[i].dir == 0)
			f->faulty[i].dir = s->dir;
}

/* Faults in a chunk have been told: what follows one is left out. */
static void
search_chunk(struct search *s, const uint8_t *chunk)
{
	uint32_t pos = 0;

	while (pos < UFS_DIRBLK) {
		const struct ufs_dirent_disk *d =
		    (const struct ufs_dirent_disk *)(chunk + pos);
		uint32_t reclen = raw16_get(d->reclen, s->f->sb.big);

		if (reclen < sizeof(*d) || reclen % 4 != 0 ||
		    reclen > UFS_DIRBLK - pos ||
		    ufs_dirsiz(d->namelen) > reclen)
			return;
		note_entry(s, raw32_get(d->ino, s->f->sb.big),
		    (const char *)(d + 1), d->namelen);
		pos += reclen;
	}
}

static int
search_block(
    struct ufs_fsck_walk *w, uint64_t lbn, uint64_t fsb, uint32_t bytes)
{
	const struct ufs_super *sb = &w->f->sb;
	uint64_t off = lbn << sb->bshift;
	struct search *s = w->arg;
	int r;

	w->f->path_bytes += bytes;
	if (s->found || w->f->path_bytes > BYTES_MOST)
		return -ECANCELED;
	r = blkdev_read(w->f->dev, ufs_frag_off(sb, fsb), w->f->block, bytes);
	for (uint32_t i = 0; r == 0 && i < bytes && off + i < w->d->size;
	     i += UFS_DIRBLK)
		search_chunk(s, w->f->block + i);
	return r;
}

static int
search_directory(struct search *s)
{
	struct ufs_fsck_walk w = {
	    .f = s->f,
	    .ino = s->dir,
	    .data = search_block,
	    .enter = ufs_fsck_enter_any,
	    .beyond = ufs_fsck_pass_beyond,
	    .arg = s,
	};
	struct ufs_dinode d;
	int r = ufs_fsck_read_inode(s->f, s->dir, &d);

	w.d = &d;
	if (r == 0)
		r = ufs_fsck_walk(&w);
	return r == -ECANCELED ? 0 : r;
}

/*
 * Put the path of ino, whose name is in dir, at the end of buf; *path points
 * to its begin there.  A path that is too long or too deep begins with "...".
 */
static int
find_path(
    struct ufs_fsck *f, uint64_t ino, uint64_t dir, char buf[1024], char **path)
{
	char *at = buf + 1023;

	*at = '\0';
	for (int depth = 0; ino != UFS_ROOT; depth++) {
		struct search s = {.f = f, .dir = dir, .ino = ino};
		const struct ufs_fsck_dir *up = ufs_fsck_dir_of(f, dir);
		size_t len;
		int r;

		if (up == NULL || up->damaged)
			break;
		r = search_directory(&s);
		if (r < 0)
			return r;
		len = strlen(s.name);
		if (!s.found || depth == DEPTH_MOST ||
		    len + 4 > (size_t)(at - buf))
			break;
		at -= len + 1;
		at[0] = '/';
		memcpy(at + 1, s.name, len);
		ino = dir;
		dir = up->parent;
	}
	if (ino != UFS_ROOT)
		at = memcpy(at - 3, "...", 3);
	else if (*at == '\0')
		*--at = '/';
	*path = at;
	return 0;
}

int
ufs_fsck_tell_paths(struct ufs_fsck *f)
{
	char buf[1024], *path;
	int r = 0;

	if (f->nfaulty == 0)
		return 0;
	for (size_t i = 0; r == 0 && i < f->ndirs; i++) {
		struct search s = {.f = f, .dir = f->dirs[i].ino};

		if (!f->dirs[i].damaged)
			r = search_directory(&s);
	}
	for (size_t i = 0; r == 0 && i < f->nfaulty; i++) {
		uint64_t ino = f->faulty[i].ino;
		uint64_t dir = f->faulty[i].dir;

		if (dir == 0 && ino != UFS_ROOT)
			continue; /* no name leads to it */
		r = find_path(f, ino, dir, buf, &path);
		if (r == 0)
			log_info("inode %" PRIu64 " is '%s'", ino, path);
	}
	return r;
}
