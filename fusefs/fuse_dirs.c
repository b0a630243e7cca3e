/*
 * What a directory lists.  A position is a byte in the directory, and entries
 * keep theirs (ufs_readdir): so it stays good whatever happens meanwhile, as
 * POSIX asks, and nobody need remember who reads where.  While one request is
 * served nothing happens: the kernel locks the directory.
 */
#include <string.h>

#include "fuse_impl.h"

struct entry {
	uint64_t off, ino;
	uint8_t type;
	char name[]; /* and a NUL */
};

/*
 * A request.  First the names that fit go to names, then the reply is made of
 * them: the engine does not answer while it lists.
 */
struct page {
	fuse_req_t req;
	const struct server *server;
	bool plus;
	size_t size;
	char *names; /* size bytes: no entry is larger here than in a reply */
	size_t names_len, taken;
	char *reply; /* size bytes */
	size_t len;
};

/* Bytes of an entry in names. */
static size_t
entry_size(size_t namelen)
{
	return (offsetof(struct entry, name) + namelen + 1 + 7) & ~(size_t)7;
}

/* Bytes of an entry in the reply. */
static size_t
reply_size(const struct page *page, const char *name)
{
	static const struct stat st;
	static const struct fuse_entry_param param;

	return page->plus
	    ? fuse_add_direntry_plus(page->req, NULL, 0, name, &param, 0)
	    : fuse_add_direntry(page->req, NULL, 0, name, &st, 0);
}

/*
 * A name that no path can hold would hide the others: the kernel refuses the
 * whole listing.
 */
static int
take_entry(void *arg, const struct ufs_dirent *from)
{
	struct page *page = arg;
	size_t need;
	struct entry *to;

	if (from->type == 14 /* whiteout */ ||
	    strlen(from->name) != from->namelen ||
	    strchr(from->name, '/') != NULL)
		return 0;
	need = reply_size(page, from->name);
	if (page->taken + need > page->size)
		return 1;
	page->taken += need;
	to = (struct entry *)(void *)(page->names + page->names_len);
	to->off = from->off;
	to->ino = from->ino;
	to->type = from->type;
	memcpy(to->name, from->name, from->namelen + 1u);
	page->names_len += entry_size(from->namelen);
	return 0;
}

static bool
is_dots(const struct entry *entry)
{
	return strcmp(entry->name, ".") == 0 || strcmp(entry->name, "..") == 0;
}

/* A damaged inode is listed all the same: by name. */
static void
add_entry(struct page *page, const struct entry *entry)
{
	const struct server *server = page->server;
	struct ufs_attr attr = {
	    .ino = entry->ino, .mode = (uint32_t)entry->type << 12};
	bool whole = page->plus && !is_dots(entry) &&
	    ufs_getattr(server->fs, entry->ino, &attr) == 0 && attr.nlink > 0 &&
	    nodes_hold(server->nodes, entry->ino) == 0;
	off_t next = (off_t)entry->off + 1;
	char *at = page->reply + page->len;
	size_t room = page->size - page->len;
	struct fuse_entry_param param;

	entry_of(server, &attr, &param);
	if (!whole)
		param.ino = 0; /* the kernel does not learn of it */
	page->len += page->plus ? fuse_add_direntry_plus(page->req, at, room,
				      entry->name, &param, next)
				: fuse_add_direntry(page->req, at, room,
				      entry->name, &param.attr, next);
}

static void
make_reply(struct page *page)
{
	size_t at = 0;

	while (at < page->names_len) {
		const struct entry *entry =
		    (const struct entry *)(const void *)(page->names + at);

		add_entry(page, entry);
		at += entry_size(strlen(entry->name));
	}
}

void
dir_read(fuse_req_t req, uint64_t ino, size_t size, off_t off, bool plus)
{
	char *buf = thread_buffer(2 * size);
	struct page page = {.req = req,
	    .server = server_of(req),
	    .plus = plus,
	    .size = size,
	    .names = buf};
	int rc;

	if (buf == NULL) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	page.reply = buf + size;
	rc =
	    ufs_readdir(page.server->fs, ino, (uint64_t)off, take_entry, &page);
	/* Names before the damage are told first. */
	if (rc < 0 && page.names_len == 0) {
		fuse_reply_err(req, -rc);
		return;
	}
	make_reply(&page);
	fuse_reply_buf(req, page.reply, page.len);
}
