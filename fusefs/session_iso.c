/*
 * The ISO's own tree, staged to be edited (ISOTREE.md): a UFS in an overlay
 * over nothing.  It is filled once, with names and attributes only; the data
 * of a file stays in the ISO until somebody writes to the file.
 */
#include <string.h>
#include <sys/stat.h>

#include "../imgfmt/iso_edit.h"
#include "../imgfmt/log.h"
#include "session_impl.h"

enum {
	STAGE_SIZE = 64 << 20, /* it grows */
	BLOCK = 16384,
	FRAG = 2048,
	IMAGES_MAX = 64,
	DEPTH_MAX = 1024, /* a path is no longer */
	CHUNK = 1 << 20,
	FROM_ISO = 0x200, /* UF_OFFLINE: what ISOTREE.md means by "at base" */
};

/* -- filling --------------------------------------------------------------- */

/* A directory whose entries are yet to come. */
struct todo {
	uint64_t ino;
	struct iso_node node;
};

struct filling {
	struct iso *iso;
	struct ufs *fs;
	uint64_t dir; /* being filled */
	struct todo *todo;
	size_t n, room;
};

static int
remember(struct filling *f, uint64_t ino, const struct iso_node *node)
{
	if (f->n == f->room) {
		size_t room = f->room == 0 ? 64 : 2 * f->room;
		struct todo *more = realloc(f->todo, room * sizeof(*more));

		if (more == NULL)
			return -ENOMEM;
		f->todo = more;
		f->room = room;
	}
	f->todo[f->n++] = (struct todo){ino, *node};
	return 0;
}

/* Attributes, size, and where it comes from, in the stead of birth. */
static int
set_attributes(struct filling *f, uint64_t ino, const struct iso_node *node)
{
	struct ufs_attr attr = {
	    .mode = node->mode,
	    .uid = node->uid,
	    .gid = node->gid,
	    .flags = FROM_ISO,
	    .size = node->size,
	    .atime = node->mtime,
	    .mtime = node->mtime,
	    .birth = {.tv_sec = (time_t)node->record_off},
	};
	unsigned set = UFS_SET_MODE | UFS_SET_UID | UFS_SET_GID |
	    UFS_SET_FLAGS | UFS_SET_ATIME | UFS_SET_MTIME | UFS_SET_BIRTH;
	int rc = 0;

	if (S_ISREG(node->mode))
		rc = ufs_setattr(f->fs, ino, UFS_SET_SIZE, &attr, &attr);
	attr.size = node->size;
	attr.mode = node->mode;
	attr.flags = FROM_ISO;
	attr.uid = node->uid;
	attr.gid = node->gid;
	attr.atime = attr.mtime = node->mtime;
	attr.birth.tv_sec = (time_t)node->record_off;
	attr.birth.tv_nsec = 0;
	return rc < 0 ? rc : ufs_setattr(f->fs, ino, set, &attr, &attr);
}

static int
fill_one(void *arg, const struct iso_node *node)
{
	struct filling *f = arg;
	char target[4096];
	struct ufs_new what = {.mode = node->mode,
	    .uid = node->uid,
	    .gid = node->gid,
	    .rdev_major = node->rdev_major,
	    .rdev_minor = node->rdev_minor};
	struct ufs_attr attr;
	int rc = 0;

	if (S_ISLNK(node->mode)) {
		rc = iso_readlink(f->iso, node, target, sizeof(target));
		what.target = target;
		what.target_len = rc == 0 ? strlen(target) : 0;
	}
	if (rc == 0)
		rc = ufs_create(f->fs, f->dir, node->name, strlen(node->name),
		    &what, &attr);
	if (rc == -EEXIST || rc == -EINVAL || rc == -ENAMETOOLONG) {
		log_warn("'%s' on the ISO cannot be shown: %s", node->name,
		    strerror(-rc));
		return 0;
	}
	if (rc < 0)
		return rc;
	/* A directory gets its times when everything is in it. */
	return S_ISDIR(node->mode) ? remember(f, attr.ino, node)
				   : set_attributes(f, attr.ino, node);
}

static int
fill_tree(struct filling *f)
{
	struct iso_node root;
	int rc = iso_check_tree(f->iso);

	if (rc == 0)
		rc = iso_root(f->iso, &root);
	if (rc == 0)
		rc = remember(f, UFS_ROOT, &root);
	for (size_t i = 0; i < f->n && rc == 0; i++) {
		struct iso_node node = f->todo[i].node;

		f->dir = f->todo[i].ino;
		rc = iso_list(f->iso, &node, fill_one, f);
		if (rc == 0)
			rc = set_attributes(f, f->dir, &node);
	}
	return rc;
}

/* -- images are edited in their own folders -------------------------------- */

static int
add_flags(struct ufs *fs, uint64_t ino, uint32_t flags)
{
	struct ufs_attr attr;
	int rc = ufs_getattr(fs, ino, &attr);

	if (rc < 0 || (attr.flags & flags) == flags)
		return rc;
	attr.flags |= flags;
	return ufs_setattr(
	    fs, ino, UFS_SET_FLAGS | UFS_SET_CTIME, &attr, &attr);
}

/* An image keeps its bytes and its path. */
static int
protect(struct ufs *fs, const char *path)
{
	uint64_t ino = UFS_ROOT;
	struct ufs_attr attr;
	int rc = 0;

	while (rc == 0 && *(path += strspn(path, "/")) != '\0') {
		size_t len = strcspn(path, "/");

		rc = ufs_lookup(fs, ino, path, len, &attr);
		if (rc < 0)
			break;
		ino = attr.ino;
		path += len;
		rc = add_flags(fs, ino,
		    *path == '\0' ? UFS_FLAG_SIMMUTABLE : UFS_FLAG_SNOUNLINK);
	}
	return rc == -ENOENT ? 0 : rc; /* a name that could not be shown */
}

static int
protect_images(struct filling *f)
{
	scoped(freep) struct image_found *found =
	    calloc(IMAGES_MAX, sizeof(*found));
	int n, rc = 0;

	if (found == NULL)
		return -ENOMEM;
	n = image_find_editable(f->iso, found, IMAGES_MAX);
	for (int i = 0; i < n && rc == 0; i++)
		rc = protect(f->fs, found[i].path);
	return n < 0 ? n : rc;
}

static int
fill(struct session *session, struct ufs *fs)
{
	struct filling f = {.iso = session->image->iso, .fs = fs};
	int rc = fill_tree(&f);

	if (rc == 0)
		rc = protect_images(&f);
	free(f.todo);
	return rc;
}

/* -- opening --------------------------------------------------------------- */

int
session_iso_base(struct session *session)
{
	const struct image *image = session->image;

	if (image->layer[image->nlayers - 1].kind != IMAGE_ISO) {
		log_error("'%s' is %s, not an ISO", image->path,
		    image_kind_name(image->layer[image->nlayers - 1].kind));
		return -EINVAL;
	}
	session->name = strdup(SESSION_ISO_NAME);
	if (session->name == NULL)
		return -ENOMEM;
	return blkdev_sparse_open(STAGE_SIZE, &session->image->dev);
}

static int
make_fs(struct session *session)
{
	const struct ufs_mkfs how = {
	    .version = 2,
	    .block_size = BLOCK,
	    .frag_size = FRAG,
	    .bytes_per_inode = BLOCK,
	    .time = (int64_t)ufs_now().tv_sec,
	};
	const struct ufs_options options = {
	    .writable = true, .size_limit = (uint64_t)4 << 30};
	struct ufs *fs;
	int rc = ufs_mkfs(session->cache, &how);

	(void)blkdev_ref(session->cache);
	if (rc == 0)
		rc = ufs_open(session->cache, &options, &fs);
	if (rc < 0) {
		blkdev_close(session->cache);
		return rc;
	}
	rc = fill(session, fs);
	if (rc == 0)
		rc = ufs_sync_to_device(fs);
	ufs_close(fs);
	return rc;
}

int
session_iso_fill(struct session *session, enum session_mode mode)
{
	int rc;

	if (session->exists)
		return 0;
	rc = make_fs(session);
	/* All of it or nothing: until here there was no transaction. */
	if (rc == 0 && mode == SESSION_WRITE)
		rc = blkdev_flush(session->cache);
	return rc;
}

/* -- files whose data is in the ISO ---------------------------------------- */

int
session_iso_origin(
    const struct session *session, uint64_t ino, struct iso_node *out)
{
	struct ufs_attr attr;
	int rc = ufs_getattr(session->fs, ino, &attr);

	if (rc < 0 || (attr.flags & FROM_ISO) == 0)
		return rc;
	if (ino == UFS_ROOT)
		rc = iso_root(session->image->iso, out);
	else
		rc = iso_node_at(
		    session->image->iso, (uint64_t)attr.birth.tv_sec, out);
	return rc < 0 ? rc : 1;
}

int64_t
session_iso_read(const struct session *session, const struct iso_node *node,
    uint64_t off, void *buf, size_t len)
{
	scoped(blkdev_closep) struct blkdev *dev = NULL;
	int rc = iso_file_open(session->image->iso, node, &dev);

	if (rc < 0)
		return rc;
	if (off >= dev->size)
		return 0;
	if (len > dev->size - off)
		len = (size_t)(dev->size - off);
	rc = blkdev_read(dev, off, buf, len);
	return rc < 0 ? rc : (int64_t)len;
}

static int
copy_data(struct session *session, uint64_t ino, const struct iso_node *node,
    uint64_t most)
{
	scoped(freep) uint8_t *buf = malloc(CHUNK);
	uint64_t len = node->size < most ? node->size : most;

	if (buf == NULL)
		return -ENOMEM;
	for (uint64_t off = 0; off < len;) {
		size_t n = len - off < CHUNK ? (size_t)(len - off) : CHUNK;
		int64_t got = session_iso_read(session, node, off, buf, n);
		int64_t put = got == (int64_t)n
		    ? ufs_write(session->fs, ino, off, buf, n)
		    : got;

		if (put != (int64_t)n)
			return put < 0 ? (int)put : got < 0 ? -EIO : -ENOSPC;
		off += n;
	}
	return 0;
}

int
session_iso_lift(struct session *session, uint64_t ino, uint64_t most)
{
	unsigned set = UFS_SET_FLAGS | UFS_SET_MTIME | UFS_SET_CTIME;
	struct iso_node node;
	struct ufs_attr attr;
	int rc = session_iso_origin(session, ino, &node);

	if (rc <= 0 || !S_ISREG(node.mode))
		return rc < 0 ? rc : 0;
	rc = ufs_getattr(session->fs, ino, &attr);
	if (rc == 0 && (attr.flags & UFS_FLAG_SIMMUTABLE) != 0)
		return -EPERM;
	if (rc == 0)
		rc = copy_data(session, ino, &node, most);
	if (rc < 0)
		return rc;
	attr.flags &= ~(uint32_t)FROM_ISO;
	/* With the flag goes what was not copied: a flush sees both or none. */
	if (most < attr.size) {
		attr.size = most;
		set |= UFS_SET_SIZE;
	}
	/* Who lifts it is about to change it: times follow then. */
	return ufs_setattr(session->fs, ino, set, &attr, &attr);
}

/* -- the wanted tree ------------------------------------------------------- */

struct planting {
	const struct session *session;
	struct iso_edit_node *end; /* the last child so far, or NULL */
	struct iso_edit_node *dir;
	uint64_t ino; /* of dir */
};

static int
describe(
    const struct session *session, uint64_t ino, struct iso_edit_node *node)
{
	struct ufs_attr attr;
	char target[4096];
	int64_t len;
	int rc = ufs_getattr(session->fs, ino, &attr);

	if (rc < 0)
		return rc;
	node->id = ino;
	node->mode = attr.mode;
	node->uid = attr.uid;
	node->gid = attr.gid;
	node->rdev_major = attr.rdev_major;
	node->rdev_minor = attr.rdev_minor;
	node->mtime = attr.mtime;
	node->size = attr.size;
	if ((attr.flags & FROM_ISO) != 0 && ino != UFS_ROOT)
		node->record = (uint64_t)attr.birth.tv_sec;
	if (!S_ISLNK(attr.mode))
		return 0;
	len = ufs_readlink(session->fs, ino, target, sizeof(target) - 1);
	if (len < 0)
		return (int)len;
	node->target = strndup(target, (size_t)len);
	return node->target == NULL ? -ENOMEM : 0;
}

static int
plant_one(void *arg, const struct ufs_dirent *entry)
{
	struct planting *p = arg;
	struct iso_edit_node *node;

	if (strcmp(entry->name, ".") == 0 || strcmp(entry->name, "..") == 0 ||
	    entry->ino <= UFS_WHITEOUT_INO)
		return 0;
	node = iso_edit_new(entry->name);
	if (node == NULL)
		return -ENOMEM;
	node->id = entry->ino;
	if (p->end != NULL)
		p->end->next = node;
	else
		p->dir->child = node;
	p->end = node;
	return 0;
}

/* The engine is not called from within ufs_readdir. */
static int
plant(const struct session *session, struct iso_edit_node *dir, uint64_t ino,
    unsigned depth)
{
	struct planting p = {.session = session, .dir = dir, .ino = ino};
	int rc = describe(session, ino, dir);

	if (rc < 0 || !S_ISDIR(dir->mode))
		return rc;
	rc = ufs_readdir(session->fs, ino, 0, plant_one, &p);
	for (struct iso_edit_node *n = dir->child; n != NULL && rc == 0;
	     n = n->next)
		rc = depth < DEPTH_MAX ? plant(session, n, n->id, depth + 1)
				       : -ENAMETOOLONG;
	return rc;
}

int
session_iso_tree(const struct session *session, struct iso_edit_node **out)
{
	struct iso_edit_node *root = iso_edit_new("");
	int rc = root == NULL ? -ENOMEM : plant(session, root, UFS_ROOT, 0);

	if (rc < 0)
		iso_edit_free(root);
	else
		*out = root;
	return rc;
}
