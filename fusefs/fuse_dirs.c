/*
 * What an open directory lists.  The names are taken once, when reading begins
 * at position 0 (also after rewinddir), and positions count them: so they stay
 * good whatever happens to the directory meanwhile, as POSIX asks.  Names that
 * have gone since are left out, and a name that leads elsewhere by now shows
 * what it leads to.
 */
#include <dirent.h>
#include <string.h>

#include "fuse_impl.h"

struct entry {
	uint64_t ino;
	uint16_t namelen;
	uint8_t type;
	char name[]; /* and a NUL */
};

struct dir_handle {
	pthread_mutex_t lock;
	char *bytes; /* entries, one behind the other */
	size_t len, room;
	size_t *start; /* of each entry in bytes */
	size_t n, start_room;
	uint64_t epoch; /* flush_epoch before the names were taken */
	bool taken;
};

int
dir_handle_open(struct dir_handle **out)
{
	struct dir_handle *dir = calloc(1, sizeof(*dir));

	if (dir == NULL)
		return -ENOMEM;
	pthread_mutex_init(&dir->lock, NULL);
	*out = dir;
	return 0;
}

void
dir_handle_close(struct dir_handle *dir)
{
	pthread_mutex_destroy(&dir->lock);
	free(dir->bytes);
	free(dir->start);
	free(dir);
}

/* -- the snapshot ---------------------------------------------------------- */

/* Room for one more entry of size bytes. */
static int
make_room(struct dir_handle *dir, size_t size)
{
	if (dir->room - dir->len < size) {
		size_t room = dir->room * 2 + 4096;
		char *bytes = realloc(dir->bytes, room);

		if (bytes == NULL)
			return -ENOMEM;
		dir->bytes = bytes;
		dir->room = room;
	}
	if (dir->n == dir->start_room) {
		size_t room = dir->start_room * 2 + 64;
		size_t *start = realloc(dir->start, room * sizeof(*start));

		if (start == NULL)
			return -ENOMEM;
		dir->start = start;
		dir->start_room = room;
	}
	return 0;
}

static int
take_entry(void *arg, const struct ufs_dirent *from)
{
	struct dir_handle *dir = arg;
	size_t size = sizeof(struct entry) + from->namelen + 1u;
	struct entry *to;
	int rc;

	/* A name that no path can hold would hide the others: the kernel
	 * refuses the whole listing. */
	if (from->type == 14 /* whiteout */ ||
	    strlen(from->name) != from->namelen ||
	    strchr(from->name, '/') != NULL)
		return 0;
	size = (size + 7) & ~(size_t)7;
	rc = make_room(dir, size);
	if (rc < 0)
		return rc;
	to = (struct entry *)(void *)(dir->bytes + dir->len);
	to->ino = from->ino;
	to->type = from->type;
	to->namelen = from->namelen;
	memcpy(to->name, from->name, from->namelen);
	to->name[from->namelen] = '\0';
	dir->start[dir->n++] = dir->len;
	dir->len += size;
	return 0;
}

static int
take_names(const struct server *server, struct dir_handle *dir, uint64_t ino)
{
	int rc;

	dir->len = dir->n = 0;
	dir->taken = false;
	dir->epoch = flush_epoch(server->flusher);
	rc = ufs_readdir(server->fs, ino, 0, take_entry, dir);
	if (rc == 0)
		dir->taken = true;
	return rc;
}

static struct entry *
entry_at(const struct dir_handle *dir, size_t i)
{
	return (struct entry *)(void *)(dir->bytes + dir->start[i]);
}

/* -- the reply ------------------------------------------------------------- */

struct page {
	fuse_req_t req;
	const struct server *server;
	struct dir_handle *dir;
	uint64_t ino; /* of the directory */
	char *buf;
	size_t len, size;
	bool plus, changed;
};

static bool
is_dots(const struct entry *entry)
{
	return strcmp(entry->name, ".") == 0 || strcmp(entry->name, "..") == 0;
}

/*
 * What the name leads to now: 1 with *attr; 0: nothing, leave it out.  Its
 * attributes are not needed when neither the kernel asks for them nor anything
 * changed since the names were taken.
 */
static int
look(struct page *page, const struct entry *entry, struct ufs_attr *attr)
{
	int rc = 0;

	*attr = (struct ufs_attr){
	    .ino = entry->ino, .mode = (uint32_t)entry->type << 12};
	if (is_dots(entry))
		return 1;
	if (page->changed)
		rc = ufs_lookup(page->server->fs, page->ino, entry->name,
		    entry->namelen, attr);
	else if (page->plus)
		rc = ufs_getattr(page->server->fs, entry->ino, attr);
	/* A damaged inode is listed all the same: by name. */
	return rc == -ENOENT || rc == -ESTALE ? 0 : 1;
}

/* Add the entry, which position next follows: 1, or 0 when the page is full. */
static int
add_entry(struct page *page, const struct entry *entry,
    const struct ufs_attr *attr, off_t next)
{
	const struct server *server = page->server;
	size_t room = page->size - page->len, need;
	char *at = page->buf + page->len;
	struct fuse_entry_param param;
	bool whole = attr->nlink > 0 && !is_dots(entry);

	entry_of(server, attr, &param);
	if (!whole)
		param.ino = 0; /* the kernel does not learn of it */
	if (!page->plus) {
		need = fuse_add_direntry(
		    page->req, at, room, entry->name, &param.attr, next);
		page->len += need <= room ? need : 0;
		return need <= room;
	}
	need = fuse_add_direntry_plus(
	    page->req, at, room, entry->name, &param, next);
	if (need > room)
		return 0;
	if (whole && nodes_hold(server->nodes, attr->ino) < 0) {
		param.ino = 0;
		(void)fuse_add_direntry_plus(
		    page->req, at, room, entry->name, &param, next);
	}
	page->len += need;
	return 1;
}

static void
fill(struct page *page, size_t i)
{
	for (; i < page->dir->n; i++) {
		const struct entry *entry = entry_at(page->dir, i);
		struct ufs_attr attr;

		if (look(page, entry, &attr) == 0)
			continue;
		if (add_entry(page, entry, &attr, (off_t)i + 1) == 0)
			break;
	}
}

static void
handle_read(fuse_req_t req, struct dir_handle *dir, uint64_t ino, size_t size,
    off_t off, bool plus)
{
	struct page page = {.req = req,
	    .server = server_of(req),
	    .dir = dir,
	    .ino = ino,
	    .size = size,
	    .buf = thread_buffer(size),
	    .plus = plus};
	int rc = 0;

	if (page.buf == NULL) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	pthread_mutex_lock(&dir->lock);
	/* Of a read-only mount they stay what they are. */
	if (!dir->taken || (off == 0 && !page.server->read_only))
		rc = take_names(page.server, dir, ino);
	if (rc == 0) {
		page.changed = flush_epoch(page.server->flusher) != dir->epoch;
		if (off >= 0)
			fill(&page, (size_t)off);
	}
	pthread_mutex_unlock(&dir->lock);
	if (rc < 0)
		fuse_reply_err(req, -rc);
	else
		fuse_reply_buf(req, page.buf, page.len);
}

/* -- directories that nobody opens ------------------------------------------
 */

enum { CACHE_SLOTS = 16 };

struct dir_cache {
	pthread_mutex_t lock;
	uint64_t clock;
	struct slot {
		uint64_t ino, used;
		struct dir_handle *dir;
		unsigned readers;
	} slot[CACHE_SLOTS];
};

int
dir_cache_open(struct dir_cache **out)
{
	struct dir_cache *cache = calloc(1, sizeof(*cache));

	if (cache == NULL)
		return -ENOMEM;
	pthread_mutex_init(&cache->lock, NULL);
	*out = cache;
	return 0;
}

void
dir_cache_close(struct dir_cache *cache)
{
	if (cache == NULL)
		return;
	for (int i = 0; i < CACHE_SLOTS; i++)
		if (cache->slot[i].dir != NULL)
			dir_handle_close(cache->slot[i].dir);
	pthread_mutex_destroy(&cache->lock);
	free(cache);
}

/* The slot of ino, or the one without readers used longest ago, or NULL. */
static struct slot *
slot_for(struct dir_cache *cache, uint64_t ino)
{
	struct slot *best = NULL;

	for (int i = 0; i < CACHE_SLOTS; i++) {
		struct slot *s = &cache->slot[i];

		if (s->dir != NULL && s->ino == ino)
			return s;
		if (s->readers == 0 && (best == NULL || s->used < best->used))
			best = s;
	}
	return best;
}

static int
slot_take(struct dir_cache *cache, uint64_t ino, struct slot **out)
{
	struct slot *s;
	int rc = 0;

	pthread_mutex_lock(&cache->lock);
	s = slot_for(cache, ino);
	if (s != NULL && s->dir != NULL && s->ino != ino) {
		dir_handle_close(s->dir);
		s->dir = NULL;
	}
	/* as many readers as slots: more than there are threads */
	if (s == NULL)
		rc = -EAGAIN;
	else if (s->dir == NULL)
		rc = dir_handle_open(&s->dir);
	if (rc == 0) {
		s->ino = ino;
		s->used = ++cache->clock;
		s->readers++;
	}
	pthread_mutex_unlock(&cache->lock);
	*out = s;
	return rc;
}

void
dir_handle_read(fuse_req_t req, struct dir_handle *dir, uint64_t ino,
    size_t size, off_t off, bool plus)
{
	struct dir_cache *cache = server_of(req)->dirs;
	struct slot *slot;
	int rc;

	if (dir != NULL) {
		handle_read(req, dir, ino, size, off, plus);
		return;
	}
	rc = cache == NULL ? -EBADF : slot_take(cache, ino, &slot);
	if (rc < 0) {
		fuse_reply_err(req, -rc);
		return;
	}
	handle_read(req, slot->dir, ino, size, off, plus);
	pthread_mutex_lock(&cache->lock);
	slot->readers--;
	pthread_mutex_unlock(&cache->lock);
}
