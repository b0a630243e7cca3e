#include <string.h>

#include "compat.h"
#include "log.h"
#include "ufs_impl.h"

/* -- finding and judging -------------------------------------------------- */

/* Read what lies at loc: 1; 0 where the device ends before; -errno. */
static int
place_read(struct blkdev *dev, uint64_t loc, uint8_t raw[UFS_SBLOCK_SIZE])
{
	int rc;

	if (dev->size < UFS_SBLOCK_SIZE || loc > dev->size - UFS_SBLOCK_SIZE)
		return 0;
	rc = blkdev_read(dev, loc, raw, UFS_SBLOCK_SIZE);
	return rc < 0 ? rc : 1;
}

int
ufs_super_read(
    struct blkdev *dev, uint8_t raw[UFS_SBLOCK_SIZE], struct ufs_super *out)
{
	int result = -EINVAL;

	for (int i = 0; i < 4; i++) {
		uint64_t loc = ufs_super_places[i];
		int rc = place_read(dev, loc, raw);

		if (rc < 0)
			return rc;
		if (rc == 0)
			continue;
		rc = ufs_super_decode(raw, loc, dev->size, out);
		if (rc == 0)
			return 0;
		if (rc != -EINVAL && result == -EINVAL)
			result = rc;
	}
	return result;
}

/*
 * Whether the layout is what every newfs and makefs makes (formats.md 2.5):
 * what writing relies on and reading does not.
 */
static bool
layout_is_usual(const struct ufs_super *sb)
{
	uint32_t sbfrags = (UFS_SBLOCK_SIZE + sb->fsize - 1) >> sb->fshift;
	uint32_t itable =
	    (uint32_t)((uint64_t)sb->ipg * sb->dinode_size >> sb->fshift);
	uint32_t mask = sb->frag - 1;

	return sb->sblkno % sb->frag == 0 &&
	    sb->cblkno == sb->sblkno + ((sbfrags + mask) & ~mask) &&
	    sb->iblkno == sb->cblkno + sb->frag &&
	    sb->dblkno == sb->iblkno + itable && sb->cgsize % sb->fsize == 0 &&
	    sb->sbsize % 512 == 0 && (sb->fpg % sb->frag == 0 || sb->ncg == 1);
}

const char *
ufs_super_read_only_why(const struct ufs_super *sb)
{
	const uint32_t dirty = UFS_FS_UNCLEAN | UFS_FS_NEEDSFSCK;
	const uint32_t hashes =
	    UFS_CK_SUPERBLOCK | UFS_CK_CYLGRP | UFS_CK_INODE;
	const struct {
		bool applies;
		const char *why;
	} reasons[] = {
	    {sb->clean != 1 || (sb->flags & dirty) != 0,
		"not cleanly unmounted: run FreeBSD's fsck_ffs on it first"},
	    {sb->snapinum[0] != 0,
		"it has snapshots, which writing would damage: remove them "
		"on FreeBSD first"},
	    {(sb->flags & 0xff000000) != 0,
		"its superblock has flags that are not known"},
	    {(sb->metackhash & ~hashes) != 0,
		"it uses check hashes that are not known"},
	    {sb->version == 1 && sb->metackhash != 0,
		"it uses check hashes, which UFS1 does not have"},
	    {sb->old_layout,
		"its layout is that of a UFS before FreeBSD 5, which is "
		"read-only"},
	    {!layout_is_usual(sb), "its layout is not one of newfs or makefs"},
	};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].applies)
			return reasons[i].why;
	return NULL;
}

int
ufs_probe(struct blkdev *dev)
{
	uint8_t raw[UFS_SBLOCK_SIZE];

	for (int i = 0; i < 4; i++) {
		int rc = place_read(dev, ufs_super_places[i], raw);

		if (rc < 0)
			return rc;
		if (rc > 0 && ufs_super_is_home(raw, ufs_super_places[i]))
			return 1;
	}
	return 0;
}

/* -- opening -------------------------------------------------------------- */

static void
fs_free(struct ufs *fs)
{
	if (fs->nodes != NULL)
		ufs_nodes_close(fs);
	if (fs->cgs != NULL)
		for (uint32_t cgx = 0; cgx < fs->sb.ncg; cgx++)
			ufs_cg_free(fs->cgs[cgx]);
	free(fs->cgs);
	free(fs->ninited);
	pthread_mutex_destroy(&fs->flush_lock);
	pthread_mutex_destroy(&fs->nodes_lock);
	pthread_rwlock_destroy(&fs->lock);
	free(fs);
}

static void
fs_freep(struct ufs **fs)
{
	if (*fs != NULL)
		fs_free(*fs);
}

static int
locks_init(struct ufs *fs)
{
	int rc = compat_rwlock_init(&fs->lock);

	if (rc < 0)
		return rc;
	/* Plain mutexes: initialising them cannot fail. */
	pthread_mutex_init(&fs->nodes_lock, NULL);
	pthread_mutex_init(&fs->flush_lock, NULL);
	return 0;
}

/* Whether the file system may be written, and say why not. */
static int
judge_writable(struct ufs *fs)
{
	bool hash_ok = ufs_super_hash_ok(&fs->sb, fs->sbraw);

	fs->read_only_why = ufs_super_read_only_why(&fs->sb);
	if (!hash_ok) {
		log_warn("ufs: superblock at byte %llu: the check hash is "
			 "wrong",
		    (unsigned long long)fs->sb.loc);
		fs->read_only_why = "its superblock's check hash is wrong";
	}
	if (!fs->opt.writable)
		return 0;
	if (fs->read_only_why == NULL && fs->dev->writable)
		return 0;
	log_error("ufs: read-only: %s",
	    fs->read_only_why != NULL ? fs->read_only_why
				      : "the device cannot be written");
	return -EROFS;
}

static int
tables_open(struct ufs *fs)
{
	fs->cgs = calloc(fs->sb.ncg, sizeof(*fs->cgs));
	if (fs->cgs == NULL)
		return -ENOMEM;
	if (fs->sb.version == 2) {
		fs->ninited = calloc(fs->sb.ncg, sizeof(*fs->ninited));
		if (fs->ninited == NULL)
			return -ENOMEM;
		fs->ninited_n = fs->sb.ncg;
	}
	return ufs_nodes_open(fs);
}

int
ufs_open(
    struct blkdev *dev, const struct ufs_options *options, struct ufs **out)
{
	scoped(fs_freep) struct ufs *fs = NULL;
	struct ufs *raw = calloc(1, sizeof(*raw));
	int rc;

	if (raw == NULL)
		return -ENOMEM;
	rc = locks_init(raw);
	if (rc < 0) {
		free(raw);
		return rc;
	}
	fs = raw;
	fs->dev = dev;
	fs->opt = *options;
	rc = ufs_super_read(dev, fs->sbraw, &fs->sb);
	if (rc < 0)
		return rc;
	rc = judge_writable(fs);
	if (rc < 0)
		return rc;
	ufs_cg_layout(&fs->sb, &fs->layout);
	fs->dirindex_seed = ufs_dirindex_seed();
	rc = tables_open(fs);
	if (rc < 0)
		return rc;
	*out = fs;
	fs = NULL; /* now the caller's */
	return 0;
}

void
ufs_close(struct ufs *fs)
{
	struct blkdev *dev;

	if (fs == NULL)
		return;
	dev = fs->dev;
	fs_free(fs);
	blkdev_close(dev);
}

/* -- facts ---------------------------------------------------------------- */

static uint64_t
growable(const struct ufs *fs)
{
	uint64_t size = fs->sb.size << fs->sb.fshift;
	uint64_t limit = fs->opt.size_limit;

	if (!fs->opt.writable)
		return 0;
	if (limit < fs->dev->size)
		limit = fs->dev->size;
	return limit > size ? limit - size : 0;
}

static void
info_space(const struct ufs *fs, struct ufs_info *out)
{
	const struct ufs_super *sb = &fs->sb;
	uint64_t frags = ((uint64_t)sb->total.nbfree << sb->fragshift) +
	    (uint64_t)sb->total.nffree;
	uint64_t kept =
	    sb->dsize / 100 * sb->minfree + sb->dsize % 100 * sb->minfree / 100;

	out->size = sb->size << sb->fshift;
	out->data = sb->dsize << sb->fshift;
	out->free = frags << sb->fshift;
	out->avail = frags > kept ? (frags - kept) << sb->fshift : 0;
	out->inodes = ufs_ninodes(sb) - 2;
	out->free_inodes = (uint64_t)sb->total.nifree;
	out->directories = (uint64_t)sb->total.ndir;
	out->growable = growable(fs);
}

void
ufs_info(struct ufs *fs, struct ufs_info *out)
{
	const struct ufs_super *sb = &fs->sb;

	memset(out, 0, sizeof(*out));
	pthread_rwlock_rdlock(&fs->lock);
	out->version = sb->version;
	out->big_endian = sb->big;
	out->block_size = sb->bsize;
	out->frag_size = sb->fsize;
	out->ncg = sb->ncg;
	out->inodes_per_group = sb->ipg;
	out->frags_per_group = sb->fpg;
	info_space(fs, out);
	memcpy(out->label, sb->volname, sizeof(out->label));
	memcpy(out->id, sb->id, sizeof(out->id));
	out->clean = sb->clean == 1 &&
	    (sb->flags & (UFS_FS_UNCLEAN | UFS_FS_NEEDSFSCK)) == 0;
	out->flags = sb->flags;
	out->metackhash = sb->metackhash;
	out->minfree = sb->minfree;
	out->suj = (sb->flags & UFS_FS_SUJ) != 0;
	out->softdep = (sb->flags & UFS_FS_DOSOFTDEP) != 0;
	out->acls = (sb->flags & UFS_FS_ACLS) != 0;
	out->nfs4_acls = (sb->flags & UFS_FS_NFS4ACLS) != 0;
	out->snapshots = sb->snapinum[0] != 0;
	out->superblock_off = sb->loc;
	out->time = sb->time;
	out->mtime = sb->mtime;
	out->read_only_why = fs->read_only_why;
	pthread_rwlock_unlock(&fs->lock);
}

/* -- time ----------------------------------------------------------------- */

static int64_t fixed_now;
static bool now_is_fixed;
static pthread_once_t now_once = PTHREAD_ONCE_INIT;

static void
now_read_environment(void)
{
	const char *text = getenv("SOURCE_DATE_EPOCH");
	char *end;

	if (text == NULL || *text < '0' || *text > '9')
		return;
	errno = 0;
	fixed_now = strtoll(text, &end, 10);
	now_is_fixed = errno == 0 && *end == '\0';
}

struct timespec
ufs_now(void)
{
	struct timespec now = {0};

	pthread_once(&now_once, now_read_environment);
	if (now_is_fixed)
		now.tv_sec = fixed_now;
	else
		clock_gettime(CLOCK_REALTIME, &now);
	return now;
}

void
ufs_touch(struct ufs_node *node, unsigned what)
{
	struct timespec now = ufs_now();

	if (what & UFS_TOUCH_M)
		node->d.mtime = now;
	if (what & UFS_TOUCH_C)
		node->d.ctime = now;
}
