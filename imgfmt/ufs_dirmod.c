/*
 * Directories, changed (formats.md 2.9): chunk by chunk of 512 bytes.
 *
 * Where there is room: dir_room[k] of a node says that no chunk before it has
 * room for an entry of size class k or larger.  It moves on as entries are
 * made and back where one is erased, so that making many files in one
 * directory does not read it from the start each time.  It forgets room that
 * an entry at the large end of its class found too small.
 */
#include <string.h>

#include "log.h"
#include "ufs_impl.h"

/* The smallest entry of each size class, bytes. */
static const uint32_t class_min[UFS_DIR_CLASSES] = {
    12, 20, 28, 40, 56, 80, 120, 200};

struct chunk {
	uint64_t off; /* in the directory */
	uint8_t raw[UFS_DIRBLK];
};

/* An entry to be made. */
struct entry {
	const char *name;
	size_t len;
	uint64_t ino;
	uint8_t type;
};

static struct ufs_dirent_disk
head_at(const struct chunk *c, uint32_t at)
{
	struct ufs_dirent_disk head;

	memcpy(&head, c->raw + at, sizeof(head));
	return head;
}

static uint32_t
reclen_at(const struct ufs *fs, const struct chunk *c, uint32_t at)
{
	return raw16_get(head_at(c, at).reclen, fs->sb.big);
}

static void
set_reclen(const struct ufs *fs, struct chunk *c, uint32_t at, uint32_t len)
{
	struct ufs_dirent_disk head = head_at(c, at);

	head.reclen = raw16_set((uint16_t)len, fs->sb.big);
	memcpy(c->raw + at, &head, sizeof(head));
}

/* Bytes that the entry at byte at needs; 0: it is empty. */
static uint32_t
used_at(const struct ufs *fs, const struct chunk *c, uint32_t at)
{
	struct ufs_dirent_disk head = head_at(c, at);

	return raw32_get(head.ino, fs->sb.big) == 0 ? 0
						    : ufs_dirsiz(head.namelen);
}

/* Whether entries tile the chunk; what follows relies on it. */
static int
judge(const struct ufs *fs, const struct ufs_node *dir, const struct chunk *c)
{
	uint32_t at = 0;

	while (at < UFS_DIRBLK) {
		uint32_t reclen = reclen_at(fs, c, at);

		if (reclen < 12 || reclen % 4 != 0 ||
		    reclen > UFS_DIRBLK - at || used_at(fs, c, at) > reclen)
			break;
		at += reclen;
	}
	if (at == UFS_DIRBLK)
		return 0;
	log_error("ufs: directory %llu: \"d_reclen\" at byte %llu of it is "
		  "wrong",
	    (unsigned long long)dir->ino, (unsigned long long)c->off + at);
	return -ECORRUPT;
}

static int
chunk_read(
    struct ufs *fs, struct ufs_node *dir, uint64_t off, struct chunk *out)
{
	int64_t n = ufs_node_read(fs, dir, off, out->raw, sizeof(out->raw));

	out->off = off;
	if (n < 0)
		return (int)n;
	if (n != sizeof(out->raw)) {
		log_error("ufs: directory %llu: size %llu is not a multiple "
			  "of 512",
		    (unsigned long long)dir->ino,
		    (unsigned long long)dir->d.size);
		return -ECORRUPT;
	}
	return judge(fs, dir, out);
}

/* Write a changed chunk and the directory's inode: nothing can be undone. */
static int
chunk_write(struct ufs *fs, struct ufs_node *dir, const struct chunk *c)
{
	uint64_t fsb, run, within = c->off & (fs->sb.bsize - 1);
	int rc = ufs_bmap(fs, dir, c->off >> fs->sb.bshift, 1, &fsb, &run);

	if (rc == 0 && fsb == 0) {
		log_error("ufs: directory %llu has a hole at byte %llu",
		    (unsigned long long)dir->ino, (unsigned long long)c->off);
		rc = -ECORRUPT;
	}
	if (rc < 0)
		return rc;
	ufs_touch(dir, UFS_TOUCH_M | UFS_TOUCH_C);
	rc = blkdev_write(fs->dev, ufs_frag_off(&fs->sb, fsb) + within, c->raw,
	    sizeof(c->raw));
	if (rc == 0)
		rc = ufs_node_store(fs, dir);
	return rc == 0 ? 0 : ufs_half_done(fs, rc);
}

static void
put_entry(const struct ufs *fs, struct chunk *c, uint32_t at, uint32_t reclen,
    const struct entry *e)
{
	struct ufs_dirent_disk head = {
	    .ino = raw32_set((uint32_t)e->ino, fs->sb.big),
	    .reclen = raw16_set((uint16_t)reclen, fs->sb.big),
	    .type = e->type,
	    .namelen = (uint8_t)e->len,
	};

	memset(c->raw + at, 0, ufs_dirsiz(e->len));
	memcpy(c->raw + at, &head, sizeof(head));
	memcpy(c->raw + at + sizeof(head), e->name, e->len);
}

/*
 * Put e where it fits without moving others: a listing that is under way goes
 * on by their places.  False: nowhere.
 */
static bool
place(const struct ufs *fs, struct chunk *c, const struct entry *e)
{
	uint32_t need = ufs_dirsiz(e->len), reclen, at;

	for (at = 0; at < UFS_DIRBLK; at += reclen) {
		uint32_t used = used_at(fs, c, at);

		reclen = reclen_at(fs, c, at);
		if (reclen - used < need)
			continue;
		if (used > 0)
			set_reclen(fs, c, at, used);
		put_entry(fs, c, at + used, reclen - used, e);
		return true;
	}
	return false;
}

static int
class_of(uint32_t need)
{
	int k = UFS_DIR_CLASSES - 1;

	while (k > 0 && class_min[k] > need)
		k--;
	return k;
}

/* No chunk before i has room for class k. */
static void
room_moves_on(struct ufs_node *dir, int k, uint32_t i)
{
	for (; k < UFS_DIR_CLASSES; k++)
		if (dir->dir_room[k] < i)
			dir->dir_room[k] = i;
}

/* Chunk i has room bytes in one place now. */
static void
room_comes_back(struct ufs_node *dir, uint32_t i, uint32_t room)
{
	for (int k = 0; k < UFS_DIR_CLASSES; k++)
		if (class_min[k] <= room && dir->dir_room[k] > i)
			dir->dir_room[k] = i;
}

/* A new chunk at the end for e alone. */
static int
append(struct ufs *fs, struct ufs_node *dir, const struct entry *e)
{
	struct chunk c = {.off = dir->d.size};
	int rc = ufs_truncate_to(fs, dir, dir->d.size + UFS_DIRBLK);

	if (rc < 0)
		return rc;
	put_entry(fs, &c, 0, UFS_DIRBLK, e);
	rc = chunk_write(fs, dir, &c);
	if (rc < 0)
		return ufs_half_done(fs, rc);
	ufs_dirindex_add(fs, dir, e->name, e->len, c.off);
	return 0;
}

int
ufs_dir_enter(struct ufs *fs, struct ufs_node *dir, const char *name,
    size_t len, uint64_t ino, uint8_t type)
{
	struct entry e = {name, len, ino, type};
	int k = class_of(ufs_dirsiz(len));
	uint32_t n = (uint32_t)(dir->d.size / UFS_DIRBLK);
	uint32_t i = dir->dir_room[k];

	for (; i < n; i++) {
		struct chunk c;
		int rc = chunk_read(fs, dir, (uint64_t)i * UFS_DIRBLK, &c);

		if (rc < 0)
			return rc;
		if (!place(fs, &c, &e))
			continue;
		room_moves_on(dir, k, i);
		rc = chunk_write(fs, dir, &c);
		if (rc == 0)
			ufs_dirindex_add(fs, dir, name, len, c.off);
		return rc;
	}
	room_moves_on(dir, k, n);
	return append(fs, dir, &e);
}

/* Read the chunk of a slot; *at, *prev: the entry and the one before it. */
static int
find_slot(struct ufs *fs, struct ufs_node *dir, const struct ufs_slot *slot,
    struct chunk *c, uint32_t *prev)
{
	uint32_t at = 0, wanted = slot->entry.off & (UFS_DIRBLK - 1);
	int rc = chunk_read(fs, dir, slot->entry.off - wanted, c);

	if (rc < 0)
		return rc;
	*prev = 0;
	while (at < wanted) {
		*prev = at;
		at += reclen_at(fs, c, at);
	}
	if (at == wanted &&
	    raw32_get(head_at(c, at).ino, fs->sb.big) == slot->entry.ino)
		return 0;
	log_error("ufs: directory %llu: no entry at byte %llu of it",
	    (unsigned long long)dir->ino, (unsigned long long)slot->entry.off);
	return -ECORRUPT;
}

int
ufs_dir_check_slot(
    struct ufs *fs, struct ufs_node *dir, const struct ufs_slot *slot)
{
	struct chunk c;
	uint32_t prev;

	return find_slot(fs, dir, slot, &c, &prev);
}

static bool
is_empty(const struct ufs *fs, const struct chunk *c)
{
	for (uint32_t at = 0; at < UFS_DIRBLK; at += reclen_at(fs, c, at))
		if (used_at(fs, c, at) > 0)
			return false;
	return true;
}

/* Drop empty chunks at the end; that they stay is no harm. */
static int
drop_tail(struct ufs *fs, struct ufs_node *dir)
{
	uint64_t size = dir->d.size;
	struct chunk c;

	while (size > UFS_DIRBLK &&
	    chunk_read(fs, dir, size - UFS_DIRBLK, &c) == 0 && is_empty(fs, &c))
		size -= UFS_DIRBLK;
	if (size == dir->d.size)
		return 0;
	if (ufs_truncate_to(fs, dir, size) < 0)
		return fs->broken ? -EIO : 0;
	for (int k = 0; k < UFS_DIR_CLASSES; k++)
		if (dir->dir_room[k] > size / UFS_DIRBLK)
			dir->dir_room[k] = (uint32_t)(size / UFS_DIRBLK);
	return ufs_node_store(fs, dir);
}

int
ufs_dir_erase(struct ufs *fs, struct ufs_node *dir, const struct ufs_slot *slot)
{
	uint32_t at = slot->entry.off & (UFS_DIRBLK - 1), prev, reclen;
	struct chunk c;
	int rc = find_slot(fs, dir, slot, &c, &prev);

	if (rc < 0)
		return rc;
	reclen = reclen_at(fs, &c, at);
	memset(c.raw + at, 0, reclen);
	if (at != 0)
		reclen += reclen_at(fs, &c, prev);
	set_reclen(fs, &c, prev, reclen);
	rc = chunk_write(fs, dir, &c);
	if (rc < 0)
		return rc;
	ufs_dirindex_remove(
	    fs, dir, slot->entry.name, slot->entry.namelen, c.off);
	room_comes_back(dir, (uint32_t)(c.off / UFS_DIRBLK),
	    reclen - used_at(fs, &c, prev));
	if (c.off + UFS_DIRBLK == dir->d.size && is_empty(fs, &c))
		rc = drop_tail(fs, dir);
	return rc == 0 ? 0 : ufs_half_done(fs, rc);
}

int
ufs_dir_redirect(struct ufs *fs, struct ufs_node *dir,
    const struct ufs_slot *slot, uint64_t ino, uint8_t type)
{
	uint32_t at = slot->entry.off & (UFS_DIRBLK - 1), prev;
	struct ufs_dirent_disk head;
	struct chunk c;
	int rc = find_slot(fs, dir, slot, &c, &prev);

	if (rc < 0)
		return rc;
	head = head_at(&c, at);
	head.ino = raw32_set((uint32_t)ino, fs->sb.big);
	head.type = type;
	memcpy(c.raw + at, &head, sizeof(head));
	return chunk_write(fs, dir, &c);
}
