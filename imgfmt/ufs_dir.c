#include <string.h>

#include "log.h"
#include "ufs_impl.h"

/*
 * Reading directories (formats.md 2.9).  Entries are looked at where they lie
 * in a buffer; only one that is wanted is copied.
 */

/* Bytes of a directory that are read in one go. */
enum { PIECE = 32768 };

static int
dir_fault(const struct ufs_node *dir, uint64_t off, const char *what)
{
	log_error("ufs: directory %llu: entry at byte %llu: %s",
	    (unsigned long long)dir->ino, (unsigned long long)off, what);
	return -ECORRUPT;
}

static bool
name_is_sound(const char *name, size_t len)
{
	return len > 0 && memchr(name, '\0', len) == NULL &&
	    memchr(name, '/', len) == NULL;
}

/* Decode the entry at byte at of the chunk at byte off of the directory. */
static int
entry_decode(const struct ufs *fs, const struct ufs_node *dir,
    const uint8_t *chunk, uint64_t off, uint32_t at, struct ufs_entry *out)
{
	struct ufs_dirent_disk disk;
	uint8_t spare;

	if (UFS_DIRBLK - at < sizeof(disk))
		return dir_fault(dir, off + at, "runs past its chunk");
	memcpy(&disk, chunk + at, sizeof(disk));
	out->off = off + at;
	out->ino = raw32_get(disk.ino, fs->sb.big);
	out->reclen = raw16_get(disk.reclen, fs->sb.big);
	out->type = disk.type;
	out->namelen = disk.namelen;
	out->name = (const char *)chunk + at + sizeof(disk);
	if (fs->sb.old_dirs && !fs->sb.big) { /* formats.md 2.2 */
		spare = out->type;
		out->type = out->namelen;
		out->namelen = spare;
	}
	if (out->reclen % 4 != 0 || out->reclen < sizeof(disk) ||
	    out->reclen > UFS_DIRBLK - at)
		return dir_fault(dir, off + at, "runs past its chunk");
	if (out->ino == 0)
		return 0;
	if (ufs_dirsiz(out->namelen) > out->reclen)
		return dir_fault(dir, off + at, "its name does not fit");
	if (!name_is_sound(out->name, out->namelen))
		return dir_fault(dir, off + at, "its name is no name");
	return 0;
}

int
ufs_dir_scan_chunk(const struct ufs *fs, const struct ufs_node *dir,
    const uint8_t *chunk, uint64_t off, ufs_entry_visitor *each, void *arg)
{
	struct ufs_entry entry = {.prev = off};
	uint32_t at = 0;
	int rc;

	while (at < UFS_DIRBLK) {
		rc = entry_decode(fs, dir, chunk, off, at, &entry);
		if (rc < 0)
			return rc;
		if (entry.ino != 0) {
			rc = each(arg, &entry);
			if (rc != 0)
				return rc;
		}
		entry.prev = entry.off;
		at += entry.reclen;
	}
	return 0;
}

int
ufs_dir_scan(struct ufs *fs, struct ufs_node *dir, uint64_t off,
    ufs_entry_visitor *each, void *arg)
{
	scoped(freep) uint8_t *buf = NULL;
	uint64_t size = dir->d.size;

	if (size % UFS_DIRBLK != 0)
		return dir_fault(dir, size, "the size is no multiple of 512");
	off &= ~(uint64_t)(UFS_DIRBLK - 1);
	if (off >= size)
		return 0;
	buf = malloc(size - off < PIECE ? (size_t)(size - off) : PIECE);
	if (buf == NULL)
		return -ENOMEM;
	while (off < size) {
		/* Pieces end where blocks end. */
		size_t len = PIECE - (size_t)(off & (PIECE - 1));
		int64_t n;

		if (len > size - off)
			len = (size_t)(size - off);
		n = ufs_node_read(fs, dir, off, buf, len);
		if (n < 0)
			return (int)n;
		for (size_t at = 0; at < len; at += UFS_DIRBLK) {
			int rc = ufs_dir_scan_chunk(
			    fs, dir, buf + at, off + at, each, arg);

			if (rc != 0)
				return rc;
		}
		off += len;
	}
	return 0;
}

void
ufs_slot_of(const struct ufs_entry *entry, struct ufs_slot *out)
{
	out->prev = entry->prev;
	out->entry.off = entry->off;
	out->entry.ino = entry->ino;
	out->entry.type = entry->type;
	out->entry.namelen = entry->namelen;
	memcpy(out->entry.name, entry->name, entry->namelen);
	out->entry.name[entry->namelen] = '\0';
}

/* -- every entry ----------------------------------------------------------- */

struct every {
	uint64_t from;
	int (*each)(void *arg, const struct ufs_slot *slot);
	void *arg;
};

static int
every_entry(void *arg, const struct ufs_entry *entry)
{
	const struct every *every = arg;
	struct ufs_slot slot;

	if (entry->off < every->from)
		return 0;
	ufs_slot_of(entry, &slot);
	return every->each(every->arg, &slot);
}

int
ufs_dir_each(struct ufs *fs, struct ufs_node *dir, uint64_t off,
    int (*each)(void *arg, const struct ufs_slot *slot), void *arg)
{
	struct every every = {off, each, arg};

	return ufs_dir_scan(fs, dir, off, every_entry, &every);
}

/* -- one name -------------------------------------------------------------- */

struct search {
	const char *name;
	size_t len;
	struct ufs_slot *out;
};

static int
search_entry(void *arg, const struct ufs_entry *entry)
{
	const struct search *search = arg;

	if (entry->namelen != search->len ||
	    memcmp(entry->name, search->name, search->len) != 0)
		return 0;
	ufs_slot_of(entry, search->out);
	return 1;
}

/* Look for the name in the chunks that the index names: 1, 0, -errno. */
static int
search_chunks(struct ufs *fs, struct ufs_node *dir,
    const struct ufs_chunks *chunks, struct search *search)
{
	uint8_t chunk[UFS_DIRBLK];

	for (unsigned i = 0; i < chunks->n; i++) {
		uint64_t off = (uint64_t)chunks->chunk[i] * UFS_DIRBLK;
		int64_t n = ufs_node_read(fs, dir, off, chunk, sizeof(chunk));
		int rc;

		if (n < 0)
			return (int)n;
		if (n < (int64_t)sizeof(chunk))
			continue;
		rc = ufs_dir_scan_chunk(
		    fs, dir, chunk, off, search_entry, search);
		if (rc != 0)
			return rc;
	}
	return 0;
}

int
ufs_dir_find(struct ufs *fs, struct ufs_node *dir, const char *name, size_t len,
    struct ufs_slot *out)
{
	struct search search = {name, len, out};
	struct ufs_chunks chunks;
	int rc;

	if (len == 0 || len > UFS_NAME_MAX)
		return len == 0 ? -ENOENT : -ENAMETOOLONG;
	rc = ufs_dirindex_find(fs, dir, name, len, &chunks);
	if (rc < 0)
		return rc;
	if (rc > 0)
		rc = search_chunks(fs, dir, &chunks, &search);
	else
		rc = ufs_dir_scan(fs, dir, 0, search_entry, &search);
	if (rc < 0)
		return rc;
	return rc > 0 ? 0 : -ENOENT;
}

int
ufs_name_ok(const char *name, size_t len)
{
	if (len > UFS_NAME_MAX)
		return -ENAMETOOLONG;
	if (!name_is_sound(name, len))
		return -EINVAL;
	if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')))
		return -EINVAL;
	return 0;
}

/* -- public ---------------------------------------------------------------- */

static int
node_lookup(struct ufs *fs, struct ufs_node *dir, const char *name, size_t len,
    struct ufs_attr *out)
{
	struct ufs_node *node;
	struct ufs_slot slot;
	int rc;

	if (!ufs_is_dir(dir))
		return -ENOTDIR;
	rc = ufs_dir_find(fs, dir, name, len, &slot);
	if (rc < 0)
		return rc;
	if (slot.entry.ino == UFS_WHITEOUT_INO)
		return -ENOENT;
	rc = ufs_node_get(fs, slot.entry.ino, &node);
	if (rc == -ESTALE)
		return dir_fault(dir, slot.entry.off, "points to a free inode");
	if (rc < 0)
		return rc;
	ufs_attr_of(fs, node, out);
	ufs_node_put(fs, node);
	return 0;
}

int
ufs_lookup(struct ufs *fs, uint64_t dir, const char *name, size_t len,
    struct ufs_attr *out)
{
	struct ufs_node *node;
	int rc;

	pthread_rwlock_rdlock(&fs->lock);
	rc = ufs_node_get(fs, dir, &node);
	if (rc == 0) {
		rc = node_lookup(fs, node, name, len, out);
		ufs_node_put(fs, node);
	}
	pthread_rwlock_unlock(&fs->lock);
	return rc;
}

struct listing {
	int (*each)(void *arg, const struct ufs_dirent *entry);
	void *arg;
};

static int
list_slot(void *arg, const struct ufs_slot *slot)
{
	const struct listing *listing = arg;

	return listing->each(listing->arg, &slot->entry);
}

int
ufs_readdir(struct ufs *fs, uint64_t dir, uint64_t from,
    int (*each)(void *arg, const struct ufs_dirent *entry), void *arg)
{
	struct listing listing = {each, arg};
	struct ufs_node *node;
	int rc;

	pthread_rwlock_rdlock(&fs->lock);
	rc = ufs_node_get(fs, dir, &node);
	if (rc == 0) {
		rc = ufs_is_dir(node)
		    ? ufs_dir_each(fs, node, from, list_slot, &listing)
		    : -ENOTDIR;
		ufs_node_put(fs, node);
	}
	pthread_rwlock_unlock(&fs->lock);
	return rc;
}
