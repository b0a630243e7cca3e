/*
 * ufs_check: an independent verdict on a UFS file system, in the phases of
 * fsck_ffs.  ufs_check_impl.h tells how the parts work together.
 */
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>

#include "log.h"
#include "ufs_check_impl.h"

void
ufs_fsck_fault(struct ufs_fsck *f, const char *format, ...)
{
	char line[512];
	va_list ap;

	if (f->nfaults++ >= UFS_FSCK_TOLD)
		return;
	va_start(ap, format);
	vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	log_error("%s", line);
}

static void
remember(struct ufs_fsck *f, uint64_t ino)
{
	if (f->inodes[ino].faulty || f->inodes[ino].type == 0 ||
	    f->nfaulty == UFS_FSCK_TOLD)
		return;
	f->inodes[ino].faulty = true;
	f->faulty[f->nfaulty++].ino = ino;
}

void
ufs_fsck_inode_fault(struct ufs_fsck *f, uint64_t ino, const char *format, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	remember(f, ino);
	ufs_fsck_fault(f, "%sinode %" PRIu64 ": %s",
	    f->inodes[ino].type == UFS_DT_DIR ? "directory " : "", ino, text);
}

int
ufs_fsck_tell(struct ufs_fsck *f, uint64_t done)
{
	int r = 0;

	if (f->progress != NULL)
		r = f->progress(f->arg, done, 2 * ufs_ninodes(&f->sb));
	return r < 0 ? r : 0;
}

struct ufs_fsck_dir *
ufs_fsck_dir_of(const struct ufs_fsck *f, uint64_t ino)
{
	size_t lo = 0, hi = f->ndirs;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (f->dirs[mid].ino == ino)
			return &f->dirs[mid];
		if (f->dirs[mid].ino < ino)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

static int
find_super(struct ufs_fsck *f)
{
	for (size_t i = 0; i < 4; i++) {
		uint64_t loc = ufs_super_places[i];
		int r;

		if (f->dev->size < loc + UFS_SBLOCK_SIZE)
			continue;
		r = blkdev_read(f->dev, loc, f->sbraw, UFS_SBLOCK_SIZE);
		if (r == 0)
			r = ufs_super_decode(
			    f->sbraw, loc, f->dev->size, &f->sb);
		if (r != -EINVAL)
			return r;
	}
	log_error("no UFS superblock at 65536, 8192, 0 or 262144");
	return -EINVAL;
}

/* The maps of a group lie within its block (formats.md 2.6). */
static bool
maps_fit(const struct ufs_super *sb)
{
	uint64_t end = 168 + 4 * (uint64_t)sb->old_cpg;

	if (sb->old_cpg > UFS_MAX_BSIZE || sb->old_nrpos > UFS_MAX_BSIZE)
		return false;
	end += 2 * (uint64_t)sb->old_cpg * sb->old_nrpos;
	end += (sb->ipg + 7) / 8 + (sb->fpg + 7) / 8;
	if (sb->contigsumsize > 0)
		end += 3 + 4 * (uint64_t)sb->contigsumsize +
		    (sb->fpg / sb->frag + 7) / 8;
	return end <= sb->cgsize && sb->cgsize <= sb->bsize;
}

/* Sizes and counts that agree with each other and with the device. */
static bool
sizes_are_usable(const struct ufs_super *sb, uint64_t dev_size)
{
	if (sb->bsize > UFS_MAX_BSIZE || sb->frag > UFS_MAX_FRAG ||
	    sb->size > dev_size >> sb->fshift)
		return false;
	if (sb->ncg == 0 || sb->fpg == 0 || sb->ipg == 0 ||
	    sb->ipg % sb->inopb != 0)
		return false;
	return (uint64_t)(sb->ncg - 1) * sb->fpg < sb->size &&
	    (uint64_t)sb->ncg * sb->fpg >= sb->size;
}

/* Every group has room for its metadata, the summaries lie within. */
static bool
areas_are_usable(const struct ufs_super *sb)
{
	if (sb->sblkno >= sb->cblkno || sb->cblkno + sb->frag > sb->iblkno ||
	    sb->iblkno >= sb->dblkno ||
	    (uint64_t)sb->ipg * sb->dinode_size >
		ufs_frag_off(sb, sb->dblkno - sb->iblkno))
		return false;
	for (uint32_t c = 0; c < sb->ncg; c++)
		if (ufs_cgdmin(sb, c) > ufs_cgbase(sb, c) + ufs_cg_frags(sb, c))
			return false;
	return (uint64_t)sb->ncg * sizeof(struct ufs_csum_disk) <= sb->cssize &&
	    sb->csaddr <= sb->size &&
	    ((uint64_t)sb->cssize + sb->fsize - 1) >> sb->fshift <=
	    sb->size - sb->csaddr;
}

static int
allocate(struct ufs_fsck *f)
{
	f->used = calloc(1, f->sb.size / 8 + 1);
	f->inodes = calloc(ufs_ninodes(&f->sb), sizeof(f->inodes[0]));
	f->block = malloc(f->sb.bsize);
	if (f->used == NULL || f->inodes == NULL || f->block == NULL)
		return -ENOMEM;
	for (int i = 0; i < UFS_NINDIRECT; i++) {
		f->indirect[i] = malloc(f->sb.bsize);
		if (f->indirect[i] == NULL)
			return -ENOMEM;
	}
	return 0;
}

static void
release(struct ufs_fsck *f)
{
	for (int i = 0; i < UFS_NINDIRECT; i++)
		free(f->indirect[i]);
	free(f->block);
	free(f->dirs);
	free(f->inodes);
	free(f->used);
}

static int
run(struct ufs_fsck *f, const uint64_t *orphans, size_t norphans)
{
	int r = find_super(f);

	if (r < 0)
		return r;
	/* The decoder refuses such; a verifier does not take its word. */
	if (!sizes_are_usable(&f->sb, f->dev->size) ||
	    !areas_are_usable(&f->sb) || !maps_fit(&f->sb)) {
		log_error("superblock at %" PRIu64
			  ": its geometry contradicts itself",
		    f->sb.loc);
		return -ECORRUPT;
	}
	r = allocate(f);
	if (r < 0)
		return r;
	for (size_t i = 0; i < norphans; i++)
		if (orphans[i] < ufs_ninodes(&f->sb))
			f->inodes[orphans[i]].orphan = true;
	ufs_fsck_super(f);
	r = ufs_fsck_copies(f);
	if (r == 0)
		r = ufs_fsck_inodes(f);
	if (r == 0)
		r = ufs_fsck_names(f);
	if (r == 0)
		r = ufs_fsck_groups(f);
	if (r == 0)
		r = ufs_fsck_tell(f, 2 * ufs_ninodes(&f->sb));
	return r;
}

int
ufs_check(struct blkdev *dev, const uint64_t *orphans, size_t norphans,
    ufs_check_progress *progress, void *arg)
{
	struct ufs_fsck *f = calloc(1, sizeof(*f));
	int r;

	if (f == NULL)
		return -ENOMEM;
	f->dev = dev;
	f->progress = progress;
	f->arg = arg;
	r = run(f, orphans, norphans);
	if (f->nfaults > UFS_FSCK_TOLD)
		log_error(
		    "%" PRIu64 " more faults", f->nfaults - UFS_FSCK_TOLD);
	if (r >= 0)
		r = f->nfaults < INT_MAX ? (int)f->nfaults : INT_MAX;
	release(f);
	free(f);
	return r;
}
