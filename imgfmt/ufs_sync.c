/*
 * Operations as a whole: their begin and end, and how they become durable.
 *
 * Groups and superblock are changed in core and reach the device here, where
 * no operation is under way; so every flushed state is a clean file system.
 * Writers wait while that is prepared, not while the device flushes, unless
 * they come so fast that a second attempt is needed.
 */
#include <string.h>

#include "log.h"
#include "ufs_impl.h"

int
ufs_change_begin(struct ufs *fs)
{
	int rc = 0;

	pthread_rwlock_wrlock(&fs->lock);
	if (fs->broken)
		rc = -EIO;
	else if (!fs->opt.writable || fs->read_only_why != NULL)
		rc = -EROFS;
	if (rc < 0)
		pthread_rwlock_unlock(&fs->lock);
	else
		fs->changes++;
	return rc;
}

int64_t
ufs_change_end64(struct ufs *fs, int64_t rc)
{
	/* Also where only data changed: fs_time is the last change. */
	if (rc >= 0)
		fs->sb_dirty = true;
	pthread_rwlock_unlock(&fs->lock);
	return rc;
}

int
ufs_change_end(struct ufs *fs, int rc)
{
	return (int)ufs_change_end64(fs, rc);
}

int
ufs_half_done(struct ufs *fs, int rc)
{
	if (!fs->broken)
		log_error("ufs: a change failed half way (%s): the changes "
			  "since the last flush are lost",
		    strerror(-rc));
	fs->broken = true;
	return rc;
}

/* What is counted in core, back into the group's block. */
static void
encode_cg(struct ufs *fs, struct ufs_cg *cg, int64_t now)
{
	struct ufs_cg_disk *head = (struct ufs_cg_disk *)cg->raw;
	bool big = fs->sb.big;

	head->cs.ndir = raw32_set((uint32_t)cg->cs.ndir, big);
	head->cs.nbfree = raw32_set((uint32_t)cg->cs.nbfree, big);
	head->cs.nifree = raw32_set((uint32_t)cg->cs.nifree, big);
	head->cs.nffree = raw32_set((uint32_t)cg->cs.nffree, big);
	head->rotor = raw32_set(cg->rotor, big);
	head->frotor = raw32_set(cg->frotor, big);
	head->irotor = raw32_set(cg->irotor, big);
	head->old_time = raw32_set((uint32_t)now, big);
	head->time = raw64_set((uint64_t)now, big);
	if (fs->sb.version == 2)
		head->initediblk = raw32_set(cg->ninited, big);
	if (fs->sb.metackhash & UFS_CK_CYLGRP)
		head->ckhash = raw32_set(ufs_cg_hash(&fs->sb, cg->raw), big);
}

static int
write_cg(struct ufs *fs, struct ufs_cg *cg, int64_t now)
{
	struct ufs_cg_disk *head = (struct ufs_cg_disk *)cg->raw;
	uint64_t at = ufs_frag_off(&fs->sb, ufs_cgtod(&fs->sb, cg->cgx));
	uint64_t cs =
	    ufs_frag_off(&fs->sb, fs->sb.csaddr) + cg->cgx * sizeof(head->cs);
	int rc;

	encode_cg(fs, cg, now);
	rc = blkdev_write(fs->dev, at, cg->raw, fs->sb.cgsize);
	if (rc == 0)
		rc = blkdev_write(fs->dev, cs, &head->cs, sizeof(head->cs));
	if (rc == 0)
		cg->dirty = false;
	return rc;
}

/* Write one copy of the superblock, to be found at byte at. */
static int
write_super(struct ufs *fs, uint64_t at)
{
	ufs_super_encode(&fs->sb, fs->sbraw, at);
	return blkdev_write(fs->dev, at, fs->sbraw, fs->sb.sbsize);
}

/* The record that lets fsck find backups without a superblock: if it is there.
 */
static int
write_recovery(struct ufs *fs)
{
	struct ufs_recovery_disk disk;
	uint64_t at = 65536 - sizeof(disk);
	bool big = fs->sb.big;
	int rc;

	if (fs->sb.version == 1 || fs->sb.loc != 65536)
		return 0;
	rc = blkdev_read(fs->dev, at, &disk, sizeof(disk));
	if (rc < 0 || raw32_get(disk.magic, big) != UFS_MAGIC2)
		return rc;
	disk.fpg = raw32_set(fs->sb.fpg, big);
	disk.ncg = raw32_set(fs->sb.ncg, big);
	return blkdev_write(fs->dev, at, &disk, sizeof(disk));
}

static int
write_backups(struct ufs *fs)
{
	int rc = write_recovery(fs);

	for (uint32_t cgx = 0; cgx < fs->sb.ncg && rc == 0; cgx++)
		rc = write_super(
		    fs, ufs_frag_off(&fs->sb, ufs_cgsblock(&fs->sb, cgx)));
	return rc;
}

static int
write_groups(struct ufs *fs, int64_t now)
{
	int rc = 0;

	for (uint32_t i = 0; i < fs->sb.ncg && rc == 0; i++)
		if (fs->cgs[i] != NULL && fs->cgs[i]->dirty)
			rc = write_cg(fs, fs->cgs[i], now);
	return rc;
}

int
ufs_sync_metadata(struct ufs *fs)
{
	uint64_t first = ufs_frag_off(&fs->sb, ufs_cgsblock(&fs->sb, 0));
	int64_t now;
	int rc;

	if (!fs->sb_dirty)
		return 0;
	now = (int64_t)ufs_now().tv_sec;
	rc = write_groups(fs, now);
	fs->sb.time = now;
	fs->sb.clean = 1;
	/* Old kernels prefer this backup to the real one (trap 50). */
	if (rc == 0 && fs->sb.version == 1 && first == 65536)
		rc = write_super(fs, first);
	if (rc == 0 && fs->backups_dirty)
		rc = write_backups(fs);
	if (rc == 0)
		rc = write_super(fs, fs->sb.loc);
	if (rc == 0) {
		fs->sb_dirty = false;
		fs->backups_dirty = false;
	}
	return rc;
}

struct orphans {
	uint64_t *inos;
	size_t n, room;
};

static int
add_orphan(void *arg, struct ufs_node *node)
{
	struct orphans *list = arg;

	if (!node->nameless)
		return 0;
	if (list->n == list->room) {
		size_t room = list->room != 0 ? list->room * 2 : 64;
		uint64_t *more =
		    realloc(list->inos, room * sizeof(*list->inos));

		if (more == NULL)
			return -ENOMEM;
		list->inos = more;
		list->room = room;
	}
	list->inos[list->n++] = node->ino;
	return 0;
}

/* Everything but the flush itself; the lock is held exclusively. */
static int
prepare(struct ufs *fs)
{
	struct orphans list = {0};
	int rc;

	if (fs->broken)
		return -EIO;
	rc = ufs_sync_metadata(fs);
	if (rc < 0)
		return rc;
	if (fs->opt.before_flush == NULL)
		return 0;
	rc = ufs_node_each(fs, add_orphan, &list);
	if (rc >= 0)
		rc = fs->opt.before_flush(fs->opt.arg, list.inos, list.n);
	free(list.inos);
	return rc < 0 ? rc : 0;
}

/* Prepare and flush, writers and readers kept out. */
static int
flush_alone(struct ufs *fs)
{
	int rc;

	pthread_rwlock_wrlock(&fs->lock);
	rc = prepare(fs);
	if (rc == 0)
		rc = blkdev_flush(fs->dev);
	if (rc == 0)
		fs->flushed = fs->changes;
	pthread_rwlock_unlock(&fs->lock);
	return rc;
}

/*
 * Flush while readers go on: 1 when done, 0 when a writer came in between.
 * Held shared, the lock keeps writers out of the flush.
 */
static int
flush_beside_readers(struct ufs *fs)
{
	uint64_t covered;
	int rc, done = 0;

	pthread_rwlock_wrlock(&fs->lock);
	covered = fs->changes;
	rc = covered == fs->flushed && !fs->broken ? 1 : prepare(fs);
	pthread_rwlock_unlock(&fs->lock);
	if (rc != 0)
		return rc;
	pthread_rwlock_rdlock(&fs->lock);
	if (fs->changes == covered) {
		rc = blkdev_flush(fs->dev);
		done = 1;
	}
	pthread_rwlock_unlock(&fs->lock);
	if (rc == 0 && done)
		fs->flushed = covered;
	return rc < 0 ? rc : done;
}

int
ufs_flush(struct ufs *fs)
{
	int rc;

	pthread_mutex_lock(&fs->flush_lock);
	rc = flush_beside_readers(fs);
	if (rc == 0)
		rc = flush_alone(fs);
	pthread_mutex_unlock(&fs->flush_lock);
	return rc < 0 ? rc : 0;
}

int
ufs_sync_to_device(struct ufs *fs)
{
	int rc;

	pthread_rwlock_wrlock(&fs->lock);
	rc = fs->broken ? -EIO : ufs_sync_metadata(fs);
	pthread_rwlock_unlock(&fs->lock);
	return rc;
}
