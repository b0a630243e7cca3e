#include <string.h>

#include "log.h"
#include "radix.h"
#include "ufs_impl.h"

/*
 * In-core inodes, by number.  A node is in the table from the first get on
 * and leaves it when it is forgotten (its inode was freed) or, oldest first,
 * when more than IDLE_MAX nodes are idle.
 *
 *  1. Idle is a node without a reference, unless it is pinned and has no name.
 *  2. Idle nodes, and only those, are on the list.
 *  3. The pins of a node that leaves are kept in a map, and come back with
 *     it: whoever has seen a million inodes holds a million small numbers.
 *     So what is in that map has a name.
 *
 * The table has its own lock, because readers run in parallel.  Two of them
 * may read the same inode at a time; the second then takes the first one's
 * node.  No inode changes meanwhile: that takes the file system's lock.
 */

enum { IDLE_MAX = 4096, BUCKETS_MIN = 1024 };

struct ufs_node_table {
	struct ufs_node **buckets;
	size_t nbuckets; /* a power of two */
	size_t count, idle;
	struct ufs_node *newest, *oldest; /* idle nodes */
	struct radix pins; /* of inodes that are not in core, as pointers */
};

/* -- the table; all by nodes_lock ------------------------------------------ */

static struct ufs_node **
bucket_of(const struct ufs_node_table *t, uint64_t ino)
{
	return &t->buckets[ino * 0x9e3779b97f4a7c15u >> 32 & (t->nbuckets - 1)];
}

static struct ufs_node *
table_find(const struct ufs_node_table *t, uint64_t ino)
{
	struct ufs_node *node = *bucket_of(t, ino);

	while (node != NULL && node->ino != ino)
		node = node->hash_next;
	return node;
}

/* Twice as many buckets; where memory is short the chains get longer. */
static void
table_grow(struct ufs_node_table *t)
{
	size_t old_n = t->nbuckets;
	struct ufs_node **old = t->buckets;
	struct ufs_node **wider = calloc(old_n * 2, sizeof(*wider));

	if (wider == NULL)
		return;
	t->buckets = wider;
	t->nbuckets = old_n * 2;
	for (size_t i = 0; i < old_n; i++) {
		while (old[i] != NULL) {
			struct ufs_node *node = old[i];
			struct ufs_node **to = bucket_of(t, node->ino);

			old[i] = node->hash_next;
			node->hash_next = *to;
			*to = node;
		}
	}
	free(old);
}

static void
table_insert(struct ufs_node_table *t, struct ufs_node *node)
{
	struct ufs_node **bucket;

	if (t->count >= t->nbuckets)
		table_grow(t);
	bucket = bucket_of(t, node->ino);
	node->hash_next = *bucket;
	*bucket = node;
	t->count++;
}

static void
table_remove(struct ufs_node_table *t, struct ufs_node *node)
{
	struct ufs_node **link = bucket_of(t, node->ino);

	while (*link != node)
		link = &(*link)->hash_next;
	*link = node->hash_next;
	t->count--;
}

static void
idle_push(struct ufs_node_table *t, struct ufs_node *node)
{
	node->is_idle = true;
	node->lru_prev = NULL;
	node->lru_next = t->newest;
	if (t->newest != NULL)
		t->newest->lru_prev = node;
	else
		t->oldest = node;
	t->newest = node;
	t->idle++;
}

static void
idle_remove(struct ufs_node_table *t, struct ufs_node *node)
{
	node->is_idle = false;
	if (node->lru_prev != NULL)
		node->lru_prev->lru_next = node->lru_next;
	else
		t->newest = node->lru_next;
	if (node->lru_next != NULL)
		node->lru_next->lru_prev = node->lru_prev;
	else
		t->oldest = node->lru_prev;
	t->idle--;
}

static void
node_free(struct ufs *fs, struct ufs_node *node)
{
	ufs_dirindex_drop(fs, node);
	free(node);
}

/* One more reference to a node in the table. */
static void
node_take(struct ufs_node_table *t, struct ufs_node *node)
{
	if (node->is_idle)
		idle_remove(t, node);
	node->refs++;
}

/* Take the node that has been idle longest out of the table, or NULL. */
static struct ufs_node *
node_evict(struct ufs_node_table *t)
{
	struct ufs_node *node = t->oldest;

	if (node->pins > 0 &&
	    radix_add(&t->pins, node->ino, (void *)(uintptr_t)node->pins) < 0)
		return NULL; /* it stays in core */
	idle_remove(t, node);
	table_remove(t, node);
	return node;
}

/* Give a node that comes into the table the pins that were kept for it. */
static void
pins_restore(struct ufs_node_table *t, struct ufs_node *node)
{
	node->pins = (uintptr_t)radix_get(&t->pins, node->ino);
	if (node->pins > 0)
		radix_remove(&t->pins, node->ino);
}

int
ufs_nodes_open(struct ufs *fs)
{
	struct ufs_node_table *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return -ENOMEM;
	t->nbuckets = BUCKETS_MIN;
	t->buckets = calloc(t->nbuckets, sizeof(*t->buckets));
	if (t->buckets == NULL) {
		free(t);
		return -ENOMEM;
	}
	fs->nodes = t;
	return 0;
}

void
ufs_nodes_close(struct ufs *fs)
{
	struct ufs_node_table *t = fs->nodes;

	for (size_t i = 0; i < t->nbuckets; i++) {
		while (t->buckets[i] != NULL) {
			struct ufs_node *node = t->buckets[i];

			t->buckets[i] = node->hash_next;
			node_free(fs, node);
		}
	}
	radix_release(&t->pins);
	free(t->buckets);
	free(t);
	fs->nodes = NULL;
}

int
ufs_node_each(
    struct ufs *fs, int (*each)(void *arg, struct ufs_node *node), void *arg)
{
	const struct ufs_node_table *t = fs->nodes;
	int rc = 0;

	pthread_mutex_lock(&fs->nodes_lock);
	for (size_t i = 0; i < t->nbuckets && rc == 0; i++) {
		struct ufs_node *node = t->buckets[i];

		for (; node != NULL && rc == 0; node = node->hash_next)
			rc = each(arg, node);
	}
	pthread_mutex_unlock(&fs->nodes_lock);
	return rc;
}

/* -- inodes ---------------------------------------------------------------- */

static int
inode_fault(const struct ufs *fs, uint64_t ino, const char *what)
{
	log_error("ufs: inode %llu at byte %llu: %s", (unsigned long long)ino,
	    (unsigned long long)ufs_ino_off(&fs->sb, ino), what);
	return -ECORRUPT;
}

/* -ESTALE unless ino is a number whose inode holds anything. */
static int
ino_ok(struct ufs *fs, uint64_t ino)
{
	uint32_t ninited;
	int rc;

	if (ino < UFS_ROOT || ino >= ufs_ninodes(&fs->sb))
		return -ESTALE;
	rc = ufs_cg_ninited(fs, (uint32_t)(ino / fs->sb.ipg), &ninited);
	if (rc < 0)
		return rc;
	return ino % fs->sb.ipg < ninited ? 0 : -ESTALE;
}

static bool
type_is_known(uint32_t mode)
{
	/* FIFO 1, CHR 2, DIR 4, BLK 6, REG 8, LNK 10, SOCK 12 */
	return (0x1556u >> (mode >> 12) & 1) != 0;
}

static int
inode_judge(const struct ufs *fs, uint64_t ino, const struct ufs_dinode *d)
{
	uint32_t type = d->mode & 0170000;

	if (!type_is_known(d->mode))
		return inode_fault(fs, ino, "file of unknown type");
	if (type == 0040000 && d->size > INT32_MAX)
		return inode_fault(fs, ino, "directory of impossible size");
	if ((type == 0100000 || type == 0120000) &&
	    d->size > fs->sb.maxfilesize)
		return inode_fault(fs, ino, "file of impossible size");
	if (d->extsize > UFS_NEXT * fs->sb.bsize)
		return inode_fault(fs, ino, "attributes of impossible size");
	return 0;
}

static int
inode_read(struct ufs *fs, uint64_t ino, struct ufs_dinode *out)
{
	uint8_t raw[256];
	int rc = ino_ok(fs, ino);

	if (rc < 0)
		return rc;
	rc = blkdev_read(
	    fs->dev, ufs_ino_off(&fs->sb, ino), raw, fs->sb.dinode_size);
	if (rc < 0)
		return rc;
	ufs_dinode_decode(&fs->sb, raw, out);
	if (out->mode == 0)
		return -ESTALE;
	if (!ufs_dinode_hash_ok(&fs->sb, raw))
		return inode_fault(fs, ino, "the check hash is wrong");
	return inode_judge(fs, ino, out);
}

/* The node of ino if it is in core, with one more reference, or NULL. */
static struct ufs_node *
node_in_core(struct ufs *fs, uint64_t ino)
{
	struct ufs_node *node;

	pthread_mutex_lock(&fs->nodes_lock);
	node = table_find(fs->nodes, ino);
	if (node != NULL)
		node_take(fs->nodes, node);
	pthread_mutex_unlock(&fs->nodes_lock);
	return node;
}

/* Enter a fresh node, or take the one that came between. */
static struct ufs_node *
node_enter(struct ufs *fs, struct ufs_node *fresh)
{
	struct ufs_node *node;

	pthread_mutex_lock(&fs->nodes_lock);
	node = table_find(fs->nodes, fresh->ino);
	if (node == NULL) {
		fresh->refs = 1;
		pins_restore(fs->nodes, fresh);
		table_insert(fs->nodes, fresh);
	} else {
		node_take(fs->nodes, node);
	}
	pthread_mutex_unlock(&fs->nodes_lock);
	if (node == NULL)
		return fresh;
	free(fresh);
	return node;
}

int
ufs_node_get(struct ufs *fs, uint64_t ino, struct ufs_node **out)
{
	scoped(freep) struct ufs_node *fresh = NULL;
	int rc;

	*out = node_in_core(fs, ino);
	if (*out != NULL)
		return 0;
	fresh = calloc(1, sizeof(*fresh));
	if (fresh == NULL)
		return -ENOMEM;
	rc = inode_read(fs, ino, &fresh->d);
	if (rc < 0)
		return rc;
	fresh->ino = ino;
	*out = node_enter(fs, fresh);
	fresh = NULL; /* now the table's */
	return 0;
}

int
ufs_node_new(struct ufs *fs, uint64_t ino, struct ufs_node **out)
{
	struct ufs_node *fresh = calloc(1, sizeof(*fresh));

	if (fresh == NULL)
		return -ENOMEM;
	fresh->ino = ino;
	*out = node_enter(fs, fresh);
	/* A free inode has no node: ufs_node_forget saw to that. */
	assert(*out == fresh);
	return 0;
}

void
ufs_node_put(struct ufs *fs, struct ufs_node *node)
{
	struct ufs_node_table *t = fs->nodes;
	struct ufs_node *victim = NULL;

	if (node == NULL)
		return;
	pthread_mutex_lock(&fs->nodes_lock);
	assert(node->refs > 0);
	node->refs--;
	if (node->refs == 0 && (node->pins == 0 || !node->nameless)) {
		idle_push(t, node);
		if (t->idle > IDLE_MAX)
			victim = node_evict(t);
	}
	pthread_mutex_unlock(&fs->nodes_lock);
	if (victim != NULL)
		node_free(fs, victim);
}

bool
ufs_pins_drop(struct ufs *fs, uint64_t ino, uint64_t n)
{
	struct ufs_node_table *t = fs->nodes;
	uint64_t pins;

	pthread_mutex_lock(&fs->nodes_lock);
	pins = (uintptr_t)radix_get(&t->pins, ino);
	if (pins > 0 && pins <= n)
		radix_remove(&t->pins, ino);
	pthread_mutex_unlock(&fs->nodes_lock);
	return pins > 0 && pins <= n;
}

int
ufs_node_store(struct ufs *fs, struct ufs_node *node)
{
	uint64_t off = ufs_ino_off(&fs->sb, node->ino);
	uint8_t raw[256];
	int rc;

	ufs_map_forget(fs, node);
	rc = blkdev_read(fs->dev, off, raw, fs->sb.dinode_size);
	if (rc < 0)
		return rc;
	ufs_dinode_fit(&fs->sb, &node->d);
	ufs_dinode_encode(&fs->sb, &node->d, raw);
	return blkdev_write(fs->dev, off, raw, fs->sb.dinode_size);
}

void
ufs_node_forget(struct ufs *fs, struct ufs_node *node)
{
	pthread_mutex_lock(&fs->nodes_lock);
	assert(node->refs == 1);
	table_remove(fs->nodes, node);
	pthread_mutex_unlock(&fs->nodes_lock);
	node_free(fs, node);
}

/* -- attributes ------------------------------------------------------------ */

static bool
is_device(uint32_t mode)
{
	return (mode & 0170000) == 0020000 || (mode & 0170000) == 0060000;
}

void
ufs_attr_of(
    const struct ufs *fs, const struct ufs_node *node, struct ufs_attr *out)
{
	const struct ufs_dinode *d = &node->d;

	memset(out, 0, sizeof(*out));
	out->ino = node->ino;
	out->gen = d->gen;
	out->mode = d->mode;
	out->nlink = d->nlink;
	out->uid = d->uid;
	out->gid = d->gid;
	out->flags = d->flags;
	out->size = is_device(d->mode) ? 0 : d->size;
	out->blocks = d->blocks;
	out->atime = d->atime;
	out->mtime = d->mtime;
	out->ctime = d->ctime;
	out->birth = d->birth;
	if (is_device(d->mode)) {
		uint64_t dev = d->db[0];

		if (fs->sb.version == 1) /* the kernel extends its sign */
			dev = (uint64_t)(int64_t)(int32_t)(uint32_t)dev;
		out->rdev_major = ufs_dev_major(dev);
		out->rdev_minor = ufs_dev_minor(dev);
	}
}

int
ufs_getattr(struct ufs *fs, uint64_t ino, struct ufs_attr *out)
{
	struct ufs_node *node;
	int rc;

	pthread_rwlock_rdlock(&fs->lock);
	rc = ufs_node_get(fs, ino, &node);
	if (rc == 0) {
		ufs_attr_of(fs, node, out);
		ufs_node_put(fs, node);
	}
	pthread_rwlock_unlock(&fs->lock);
	return rc;
}
