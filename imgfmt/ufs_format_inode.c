#include <string.h>

#include "crc32c.h"
#include "ufs_format.h"

/* Nanoseconds out of range become the nearest that is in range. */
static struct timespec
time_of(int64_t sec, raw32 ns, bool big)
{
	int32_t n = (int32_t)raw32_get(ns, big);

	if (n < 0)
		n = 0;
	if (n > 999999999)
		n = 999999999;
	return (struct timespec){.tv_sec = sec, .tv_nsec = n};
}

static struct timespec
time1_of(raw32 sec, raw32 ns, bool big)
{
	return time_of((int32_t)raw32_get(sec, big), ns, big);
}

static struct timespec
time2_of(raw64 sec, raw32 ns, bool big)
{
	return time_of((int64_t)raw64_get(sec, big), ns, big);
}

static raw32
ns_set(const struct timespec *ts, bool big)
{
	return raw32_set((uint32_t)ts->tv_nsec, big);
}

/* UFS1 has 32 bits for a date: one beyond becomes the last or first. */
static void
fit1(struct timespec *ts)
{
	if (ts->tv_sec > INT32_MAX)
		ts->tv_sec = INT32_MAX;
	if (ts->tv_sec < INT32_MIN)
		ts->tv_sec = INT32_MIN;
}

void
ufs_dinode_fit(const struct ufs_super *sb, struct ufs_dinode *d)
{
	if (sb->version != 1)
		return;
	fit1(&d->atime);
	fit1(&d->mtime);
	fit1(&d->ctime);
}

static raw32
sec1_set(const struct timespec *ts, bool big)
{
	struct timespec fits = *ts;

	fit1(&fits);
	return raw32_set((uint32_t)fits.tv_sec, big);
}

static raw64
sec2_set(const struct timespec *ts, bool big)
{
	return raw64_set((uint64_t)ts->tv_sec, big);
}

static const struct timespec *
earliest(const struct timespec *a, const struct timespec *b)
{
	if (a->tv_sec != b->tv_sec)
		return a->tv_sec < b->tv_sec ? a : b;
	return a->tv_nsec <= b->tv_nsec ? a : b;
}

static void
decode1(const struct ufs_super *sb, const struct ufs1_dinode_disk *disk,
    struct ufs_dinode *out)
{
	bool big = sb->big;

	out->mode = raw16_get(disk->mode, big);
	out->nlink = raw16_get(disk->nlink, big);
	out->freelink = raw32_get(disk->freelink, big);
	out->size = raw64_get(disk->size, big);
	out->atime = time1_of(disk->atime, disk->atime_ns, big);
	out->mtime = time1_of(disk->mtime, disk->mtime_ns, big);
	out->ctime = time1_of(disk->ctime, disk->ctime_ns, big);
	out->birth = *earliest(earliest(&out->mtime, &out->ctime), &out->atime);
	for (int i = 0; i < UFS_NDIRECT; i++)
		out->db[i] = raw32_get(disk->db[i], big);
	for (int i = 0; i < UFS_NINDIRECT; i++)
		out->ib[i] = raw32_get(disk->ib[i], big);
	memcpy(out->target, disk->db, sizeof(disk->db));
	memcpy(out->target + sizeof(disk->db), disk->ib, sizeof(disk->ib));
	out->flags = raw32_get(disk->flags, big);
	out->blocks = raw32_get(disk->blocks, big);
	out->gen = raw32_get(disk->gen, big);
	out->uid = raw32_get(disk->uid, big);
	out->gid = raw32_get(disk->gid, big);
	if (sb->old_inodes) {
		raw16 ids[2];

		memcpy(ids, &disk->freelink, sizeof(ids));
		out->uid = raw16_get(ids[0], big);
		out->gid = raw16_get(ids[1], big);
	}
}

static void
decode2(const struct ufs_super *sb, const struct ufs2_dinode_disk *disk,
    struct ufs_dinode *out)
{
	bool big = sb->big;

	out->mode = raw16_get(disk->mode, big);
	out->nlink = raw16_get(disk->nlink, big);
	out->uid = raw32_get(disk->uid, big);
	out->gid = raw32_get(disk->gid, big);
	out->size = raw64_get(disk->size, big);
	out->blocks = raw64_get(disk->blocks, big);
	out->atime = time2_of(disk->atime, disk->atime_ns, big);
	out->mtime = time2_of(disk->mtime, disk->mtime_ns, big);
	out->ctime = time2_of(disk->ctime, disk->ctime_ns, big);
	out->birth = time2_of(disk->birth, disk->birth_ns, big);
	out->gen = raw32_get(disk->gen, big);
	out->flags = raw32_get(disk->flags, big);
	out->extsize = raw32_get(disk->extsize, big);
	for (int i = 0; i < UFS_NEXT; i++)
		out->extb[i] = raw64_get(disk->extb[i], big);
	for (int i = 0; i < UFS_NDIRECT; i++)
		out->db[i] = raw64_get(disk->db[i], big);
	for (int i = 0; i < UFS_NINDIRECT; i++)
		out->ib[i] = raw64_get(disk->ib[i], big);
	memcpy(out->target, disk->db, sizeof(disk->db));
	memcpy(out->target + sizeof(disk->db), disk->ib, sizeof(disk->ib));
	out->freelink = raw32_get(disk->freelink, big);
}

void
ufs_dinode_decode(
    const struct ufs_super *sb, const void *raw, struct ufs_dinode *out)
{
	struct ufs1_dinode_disk one;
	struct ufs2_dinode_disk two;

	memset(out, 0, sizeof(*out));
	if (sb->version == 1) {
		memcpy(&one, raw, sizeof(one));
		decode1(sb, &one, out);
	} else {
		memcpy(&two, raw, sizeof(two));
		decode2(sb, &two, out);
	}
}

/* Block addresses, or the target that takes their place (trap 39). */
static void
encode_blocks1(const struct ufs_super *sb, const struct ufs_dinode *in,
    struct ufs1_dinode_disk *disk)
{
	if (ufs_target_is_inline(sb, in)) {
		memcpy(disk->db, in->target, sizeof(disk->db));
		memcpy(
		    disk->ib, in->target + sizeof(disk->db), sizeof(disk->ib));
		return;
	}
	for (int i = 0; i < UFS_NDIRECT; i++)
		disk->db[i] = raw32_set((uint32_t)in->db[i], sb->big);
	for (int i = 0; i < UFS_NINDIRECT; i++)
		disk->ib[i] = raw32_set((uint32_t)in->ib[i], sb->big);
}

static void
encode_blocks2(const struct ufs_super *sb, const struct ufs_dinode *in,
    struct ufs2_dinode_disk *disk)
{
	if (ufs_target_is_inline(sb, in)) {
		memcpy(disk->db, in->target, sizeof(disk->db));
		memcpy(
		    disk->ib, in->target + sizeof(disk->db), sizeof(disk->ib));
		return;
	}
	for (int i = 0; i < UFS_NDIRECT; i++)
		disk->db[i] = raw64_set(in->db[i], sb->big);
	for (int i = 0; i < UFS_NINDIRECT; i++)
		disk->ib[i] = raw64_set(in->ib[i], sb->big);
}

static void
encode1(const struct ufs_super *sb, const struct ufs_dinode *in,
    struct ufs1_dinode_disk *disk)
{
	bool big = sb->big;

	disk->mode = raw16_set((uint16_t)in->mode, big);
	disk->nlink = raw16_set((uint16_t)in->nlink, big);
	disk->freelink = raw32_set(in->freelink, big);
	disk->size = raw64_set(in->size, big);
	disk->atime = sec1_set(&in->atime, big);
	disk->atime_ns = ns_set(&in->atime, big);
	disk->mtime = sec1_set(&in->mtime, big);
	disk->mtime_ns = ns_set(&in->mtime, big);
	disk->ctime = sec1_set(&in->ctime, big);
	disk->ctime_ns = ns_set(&in->ctime, big);
	encode_blocks1(sb, in, disk);
	disk->flags = raw32_set(in->flags, big);
	disk->blocks = raw32_set((uint32_t)in->blocks, big);
	disk->gen = raw32_set(in->gen, big);
	disk->uid = raw32_set(in->uid, big);
	disk->gid = raw32_set(in->gid, big);
}

static void
encode2(const struct ufs_super *sb, const struct ufs_dinode *in,
    struct ufs2_dinode_disk *disk)
{
	bool big = sb->big;

	disk->mode = raw16_set((uint16_t)in->mode, big);
	disk->nlink = raw16_set((uint16_t)in->nlink, big);
	disk->uid = raw32_set(in->uid, big);
	disk->gid = raw32_set(in->gid, big);
	disk->size = raw64_set(in->size, big);
	disk->blocks = raw64_set(in->blocks, big);
	disk->atime = sec2_set(&in->atime, big);
	disk->mtime = sec2_set(&in->mtime, big);
	disk->ctime = sec2_set(&in->ctime, big);
	disk->birth = sec2_set(&in->birth, big);
	disk->mtime_ns = ns_set(&in->mtime, big);
	disk->atime_ns = ns_set(&in->atime, big);
	disk->ctime_ns = ns_set(&in->ctime, big);
	disk->birth_ns = ns_set(&in->birth, big);
	disk->gen = raw32_set(in->gen, big);
	disk->flags = raw32_set(in->flags, big);
	disk->extsize = raw32_set(in->extsize, big);
	for (int i = 0; i < UFS_NEXT; i++)
		disk->extb[i] = raw64_set(in->extb[i], big);
	encode_blocks2(sb, in, disk);
	disk->freelink = raw32_set(in->freelink, big);
}

static uint32_t
hash2(const struct ufs2_dinode_disk *disk)
{
	struct ufs2_dinode_disk copy = *disk;

	copy.ckhash = raw32_set(0, false);
	return crc32c(0xffffffff, &copy, sizeof(copy));
}

void
ufs_dinode_encode(
    const struct ufs_super *sb, const struct ufs_dinode *in, void *raw)
{
	struct ufs1_dinode_disk one;
	struct ufs2_dinode_disk two;

	if (sb->version == 1) {
		memcpy(&one, raw, sizeof(one));
		encode1(sb, in, &one);
		memcpy(raw, &one, sizeof(one));
		return;
	}
	memcpy(&two, raw, sizeof(two));
	encode2(sb, in, &two);
	if ((sb->metackhash & UFS_CK_INODE) && in->mode != 0)
		two.ckhash = raw32_set(hash2(&two), sb->big);
	memcpy(raw, &two, sizeof(two));
}

bool
ufs_dinode_hash_ok(const struct ufs_super *sb, const void *raw)
{
	struct ufs2_dinode_disk two;

	if (sb->version == 1 || (sb->metackhash & UFS_CK_INODE) == 0)
		return true;
	memcpy(&two, raw, sizeof(two));
	if (raw16_get(two.mode, sb->big) == 0)
		return true;
	return raw32_get(two.ckhash, sb->big) == hash2(&two);
}

uint64_t
ufs_dev_make(uint32_t major, uint32_t minor)
{
	return (uint64_t)(major & 0xffffff00) << 32 |
	    (uint64_t)(major & 0xff) << 8 | (uint64_t)(minor & 0xff00) << 24 |
	    (minor & 0xffff00ff);
}

uint32_t
ufs_dev_major(uint64_t dev)
{
	return (uint32_t)(dev >> 32 & 0xffffff00) | (uint32_t)(dev >> 8 & 0xff);
}

uint32_t
ufs_dev_minor(uint64_t dev)
{
	return (uint32_t)(dev >> 24 & 0xff00) | (uint32_t)(dev & 0xffff00ff);
}
