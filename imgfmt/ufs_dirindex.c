#include <string.h>
#include <unistd.h>

#include "ufs_impl.h"

/*
 * An in-core hash of the names of a large directory, made by the first lookup
 * in it, or of a small one in which much is looked up.  It maps a name's hash
 * to the number of the 512-byte chunk that holds the entry: entries may move
 * within their chunk, and whoever asks looks at the chunk anyway.
 *
 *  1. An index holds one pair (hash, chunk) for every live entry; so a name
 *     whose hash is not there does not exist.
 *  2. All indices together take at most TOTAL_MAX bytes: the one that has not
 *     been asked for longest goes.  One too large by itself is not made.
 *  3. Indices are touched by nodes_lock only.  One is made without it (other
 *     readers may make the same) and then put in place.
 */

enum {
	DIR_MIN = UFS_DIRBLK, /* smaller directories are scanned */
	DIR_LARGE = 4096,     /* smaller ones are scanned the first times */
	SCANS_MOST = 4,
	NAMES_MAX = 1 << 21,  /* of one directory */
	TOTAL_MAX = 64 << 20, /* bytes */
};

/* chunk + 1; 0 is a slot never used, GONE one that was. */
#define GONE UINT32_MAX

struct pair {
	uint32_t hash, chunk1;
};

struct ufs_dirindex {
	struct ufs_node *dir;
	struct ufs_dirindex *newer, *older;
	struct pair *pairs;
	size_t npairs; /* a power of two */
	size_t used;   /* of these, also those gone */
};

static uint32_t
name_hash(const struct ufs *fs, const char *name, size_t len)
{
	uint64_t h = fs->dirindex_seed ^ len;

	for (size_t i = 0; i < len; i++) {
		h ^= (uint8_t)name[i];
		h *= 0x9e3779b97f4a7c15u;
		h ^= h >> 29;
	}
	return (uint32_t)(h ^ h >> 32);
}

static size_t
bytes_of(const struct ufs_dirindex *ix)
{
	return sizeof(*ix) + ix->npairs * sizeof(*ix->pairs);
}

static void
index_free(struct ufs_dirindex *ix)
{
	if (ix == NULL)
		return;
	free(ix->pairs);
	free(ix);
}

static void
pair_put(struct ufs_dirindex *ix, uint32_t hash, uint32_t chunk1)
{
	size_t i = hash & (ix->npairs - 1);

	while (ix->pairs[i].chunk1 != 0)
		i = (i + 1) & (ix->npairs - 1);
	ix->pairs[i] = (struct pair){hash, chunk1};
	ix->used++;
}

/* Into a table with room, which also drops what is gone. */
static int
index_grow(struct ufs_dirindex *ix)
{
	struct ufs_dirindex wider = *ix;
	size_t live = 0;

	for (size_t i = 0; i < ix->npairs; i++)
		live += ix->pairs[i].chunk1 != 0 && ix->pairs[i].chunk1 != GONE;
	if (live > NAMES_MAX)
		return -EFBIG;
	while (wider.npairs < live * 2 + 64)
		wider.npairs *= 2;
	wider.used = 0;
	wider.pairs = calloc(wider.npairs, sizeof(*wider.pairs));
	if (wider.pairs == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < ix->npairs; i++) {
		const struct pair *p = &ix->pairs[i];

		if (p->chunk1 != 0 && p->chunk1 != GONE)
			pair_put(&wider, p->hash, p->chunk1);
	}
	free(ix->pairs);
	*ix = wider;
	return 0;
}

static int
index_add(struct ufs_dirindex *ix, uint32_t hash, uint32_t chunk)
{
	if (ix->used >= ix->npairs / 4 * 3) {
		int rc = index_grow(ix);

		if (rc < 0)
			return rc;
	}
	pair_put(ix, hash, chunk + 1);
	return 0;
}

/* -- the list of all indices; by nodes_lock -------------------------------- */

static void
list_remove(struct ufs *fs, struct ufs_dirindex *ix)
{
	struct ufs_dirindexes *all = &fs->dirindexes;

	if (ix->newer != NULL)
		ix->newer->older = ix->older;
	else
		all->newest = ix->older;
	if (ix->older != NULL)
		ix->older->newer = ix->newer;
	else
		all->oldest = ix->newer;
}

static void
list_push(struct ufs *fs, struct ufs_dirindex *ix)
{
	struct ufs_dirindexes *all = &fs->dirindexes;

	ix->newer = NULL;
	ix->older = all->newest;
	if (all->newest != NULL)
		all->newest->newer = ix;
	else
		all->oldest = ix;
	all->newest = ix;
}

static void
detach(struct ufs *fs, struct ufs_node *dir)
{
	struct ufs_dirindex *ix = dir->index;

	if (ix == NULL)
		return;
	list_remove(fs, ix);
	fs->dirindexes.bytes -= bytes_of(ix);
	dir->index = NULL;
	index_free(ix);
}

/* Keep rule 2, but for the index that is wanted now. */
static void
trim_to_total(struct ufs *fs, const struct ufs_dirindex *keep)
{
	struct ufs_dirindexes *all = &fs->dirindexes;

	while (all->bytes > TOTAL_MAX && all->oldest != keep)
		detach(fs, all->oldest->dir);
}

/* Put a finished index in its place, unless another reader was faster. */
static void
attach(struct ufs *fs, struct ufs_node *dir, struct ufs_dirindex *ix)
{
	if (dir->index != NULL) {
		index_free(ix);
		return;
	}
	ix->dir = dir;
	dir->index = ix;
	list_push(fs, ix);
	fs->dirindexes.bytes += bytes_of(ix);
	trim_to_total(fs, ix);
}

/* -- making ---------------------------------------------------------------- */

struct making {
	struct ufs *fs;
	struct ufs_dirindex *ix;
};

static int
make_entry(void *arg, const struct ufs_entry *entry)
{
	const struct making *making = arg;

	return index_add(making->ix,
	    name_hash(making->fs, entry->name, entry->namelen),
	    (uint32_t)(entry->off / UFS_DIRBLK));
}

static int
index_make(struct ufs *fs, struct ufs_node *dir, struct ufs_dirindex **out)
{
	struct ufs_dirindex *ix = calloc(1, sizeof(*ix));
	struct making making = {fs, ix};
	int rc = -ENOMEM;

	if (ix == NULL)
		return -ENOMEM;
	ix->npairs = 256;
	ix->pairs = calloc(ix->npairs, sizeof(*ix->pairs));
	if (ix->pairs != NULL)
		rc = ufs_dir_scan(fs, dir, 0, make_entry, &making);
	if (rc < 0) {
		index_free(ix);
		return rc;
	}
	*out = ix;
	return 0;
}

/* -- asking ---------------------------------------------------------------- */

/* 1: *out holds the chunks; 0: too many of them. */
static int
collect(const struct ufs_dirindex *ix, uint32_t hash, struct ufs_chunks *out)
{
	size_t i = hash & (ix->npairs - 1);

	out->n = 0;
	for (; ix->pairs[i].chunk1 != 0; i = (i + 1) & (ix->npairs - 1)) {
		const struct pair *p = &ix->pairs[i];

		if (p->hash != hash || p->chunk1 == GONE)
			continue;
		if (out->n == UFS_CHUNKS_MAX)
			return 0;
		out->chunk[out->n++] = p->chunk1 - 1;
	}
	return 1;
}

/* As ufs_dirindex_find; -EAGAIN where there is no index yet. */
static int
ask(struct ufs *fs, struct ufs_node *dir, uint32_t hash, struct ufs_chunks *out)
{
	struct ufs_dirindex *ix;
	int rc = -EAGAIN;

	pthread_mutex_lock(&fs->nodes_lock);
	ix = dir->index;
	if (ix != NULL) {
		list_remove(fs, ix);
		list_push(fs, ix);
		rc = collect(ix, hash, out);
	} else if (dir->index_refused ||
	    (dir->d.size <= DIR_LARGE && dir->scans < SCANS_MOST)) {
		dir->scans += dir->scans < SCANS_MOST;
		rc = 0;
	}
	pthread_mutex_unlock(&fs->nodes_lock);
	return rc;
}

int
ufs_dirindex_find(struct ufs *fs, struct ufs_node *dir, const char *name,
    size_t len, struct ufs_chunks *out)
{
	struct ufs_dirindex *ix = NULL;
	uint32_t hash;
	int rc;

	if (dir->d.size <= DIR_MIN)
		return 0;
	hash = name_hash(fs, name, len);
	rc = ask(fs, dir, hash, out);
	if (rc != -EAGAIN)
		return rc;
	rc = index_make(fs, dir, &ix);
	if (rc == -ENOMEM)
		return 0;
	/* A damaged directory still has names before the damage. */
	if (rc < 0 && rc != -EFBIG && rc != -ECORRUPT)
		return rc;
	pthread_mutex_lock(&fs->nodes_lock);
	if (rc == 0) {
		rc = collect(ix, hash, out);
		attach(fs, dir, ix);
	} else {
		dir->index_refused = true;
		rc = 0;
	}
	pthread_mutex_unlock(&fs->nodes_lock);
	return rc;
}

/* -- keeping in step ------------------------------------------------------- */

void
ufs_dirindex_add(struct ufs *fs, struct ufs_node *dir, const char *name,
    size_t len, uint64_t off)
{
	struct ufs_dirindex *ix;
	size_t before;
	int rc;

	pthread_mutex_lock(&fs->nodes_lock);
	ix = dir->index;
	if (ix != NULL) {
		before = bytes_of(ix);
		rc = index_add(
		    ix, name_hash(fs, name, len), (uint32_t)(off / UFS_DIRBLK));
		fs->dirindexes.bytes += bytes_of(ix) - before;
		trim_to_total(fs, ix);
		if (rc < 0)
			detach(fs, dir);
	}
	pthread_mutex_unlock(&fs->nodes_lock);
}

void
ufs_dirindex_remove(struct ufs *fs, struct ufs_node *dir, const char *name,
    size_t len, uint64_t off)
{
	uint32_t hash = name_hash(fs, name, len);
	uint32_t chunk1 = (uint32_t)(off / UFS_DIRBLK) + 1;
	struct ufs_dirindex *ix;

	pthread_mutex_lock(&fs->nodes_lock);
	ix = dir->index;
	if (ix != NULL) {
		size_t i = hash & (ix->npairs - 1);

		for (; ix->pairs[i].chunk1 != 0;
		     i = (i + 1) & (ix->npairs - 1)) {
			if (ix->pairs[i].hash != hash ||
			    ix->pairs[i].chunk1 != chunk1)
				continue;
			ix->pairs[i].chunk1 = GONE;
			break;
		}
	}
	pthread_mutex_unlock(&fs->nodes_lock);
}

void
ufs_dirindex_drop(struct ufs *fs, struct ufs_node *dir)
{
	pthread_mutex_lock(&fs->nodes_lock);
	detach(fs, dir);
	dir->index_refused = false;
	pthread_mutex_unlock(&fs->nodes_lock);
}

uint64_t
ufs_dirindex_seed(void)
{
	struct timespec now;

	/* So that nobody can prepare names that all collide. */
	clock_gettime(CLOCK_REALTIME, &now);
	return ((uint64_t)now.tv_nsec << 32 ^ (uint64_t)now.tv_sec ^
		   (uint64_t)getpid() << 16) *
	    0x9e3779b97f4a7c15u;
}
