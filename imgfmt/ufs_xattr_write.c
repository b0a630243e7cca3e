/*
 * Extended attributes, changed (formats.md 2.10): the whole area is made anew
 * and written, to new fragments unless it keeps its size in them; so a full
 * device leaves the old one as it was.
 */
#include <string.h>

#include "ufs_impl.h"

/* An area in the making, or its place. */
struct area {
	uint8_t *bytes;
	uint32_t len;
	uint64_t fsb[UFS_NEXT];
};

static uint32_t
up8(uint32_t n)
{
	return (n + 7) & ~7u;
}

static uint32_t
area_max(const struct ufs *fs)
{
	return UFS_NEXT * fs->sb.bsize;
}

static uint32_t
frags_of(const struct ufs *fs, uint32_t len, int i)
{
	return ufs_ea_blksize(&fs->sb, len, i) >> fs->sb.fshift;
}

static int
free_parts(struct ufs *fs, const uint64_t fsb[UFS_NEXT], uint32_t len)
{
	int first = 0;

	for (int i = 0; i < UFS_NEXT; i++) {
		uint32_t n = frags_of(fs, len, i);
		int rc = n > 0 ? ufs_free_frags(fs, fsb[i], n) : 0;

		if (first == 0)
			first = rc;
	}
	return first;
}

/* Allocate the parts of an area of area->len bytes; all or none. */
static int
alloc_parts(struct ufs *fs, struct ufs_node *node, struct area *area)
{
	memset(area->fsb, 0, sizeof(area->fsb));
	for (int i = 0; i < UFS_NEXT; i++) {
		uint32_t n = frags_of(fs, area->len, i);
		int rc;

		if (n == 0)
			continue;
		rc = ufs_alloc_frags(fs, node, 0, n, &area->fsb[i]);
		if (rc < 0) {
			area->fsb[i] = 0;
			if (i > 0 &&
			    ufs_free_frags(fs, area->fsb[0],
				frags_of(fs, area->len, 0)) < 0)
				ufs_half_done(fs, rc);
			return rc;
		}
	}
	return 0;
}

/* area->bytes has room for whole blocks and is zero behind len. */
static int
write_parts(struct ufs *fs, const struct area *area)
{
	int rc = 0;

	for (int i = 0; i < UFS_NEXT && rc == 0; i++) {
		uint32_t n = frags_of(fs, area->len, i);

		if (n > 0)
			rc = blkdev_write(fs->dev,
			    ufs_frag_off(&fs->sb, area->fsb[i]),
			    area->bytes + ((size_t)i << fs->sb.bshift),
			    (size_t)n << fs->sb.fshift);
	}
	return rc;
}

static bool
same_parts(const struct ufs *fs, uint32_t a, uint32_t b)
{
	return frags_of(fs, a, 0) == frags_of(fs, b, 0) &&
	    frags_of(fs, a, 1) == frags_of(fs, b, 1);
}

static void
count_parts(const struct ufs *fs, struct ufs_node *node, uint32_t len, int sign)
{
	uint64_t frags = frags_of(fs, len, 0) + frags_of(fs, len, 1);
	uint64_t units = (frags << fs->sb.fshift) / 512;

	if (sign > 0)
		node->d.blocks += units;
	else
		node->d.blocks -=
		    units < node->d.blocks ? units : node->d.blocks;
}

/* Put the area in the place of the node's old one. */
static int
area_install(struct ufs *fs, struct ufs_node *node, struct area *area)
{
	uint32_t old_len = node->d.extsize;
	uint64_t old[UFS_NEXT] = {node->d.extb[0], node->d.extb[1]};
	bool in_place = same_parts(fs, old_len, area->len);
	int rc = 0;

	if (in_place)
		memcpy(area->fsb, old, sizeof(old));
	else
		rc = alloc_parts(fs, node, area);
	if (rc < 0)
		return rc;
	rc = write_parts(fs, area);
	if (rc < 0 && (in_place || free_parts(fs, area->fsb, area->len) < 0))
		ufs_half_done(fs, rc);
	if (rc < 0)
		return rc;
	memcpy(node->d.extb, area->fsb, sizeof(area->fsb));
	node->d.extsize = area->len;
	count_parts(fs, node, old_len, -1);
	count_parts(fs, node, area->len, 1);
	ufs_touch(node, UFS_TOUCH_C);
	rc = ufs_node_store(fs, node);
	if (rc == 0 && !in_place) {
		rc = free_parts(fs, old, old_len);
		rc = rc == -ECORRUPT ? 0 : rc;
	}
	return rc == 0 ? 0 : ufs_half_done(fs, rc);
}

int
ufs_xattr_free(struct ufs *fs, struct ufs_node *node)
{
	int rc = 0;

	for (int i = 0; i < UFS_NEXT; i++) {
		uint32_t n = frags_of(fs, node->d.extsize, i);

		if (n == 0)
			continue;
		rc = ufs_data_range_ok(&fs->sb, node->d.extb[i], n)
		    ? ufs_free_frags(fs, node->d.extb[i], n)
		    : 0;
		/* What was claimed twice is free by now, and was said. */
		if (rc < 0 && rc != -ECORRUPT)
			return rc;
	}
	count_parts(fs, node, node->d.extsize, -1);
	memset(node->d.extb, 0, sizeof(node->d.extb));
	node->d.extsize = 0;
	return 0;
}

/* What is to be changed. */
struct change {
	enum ufs_ea_space space;
	const char *name;
	uint32_t namelen;
	const void *value; /* NULL: removed */
	uint32_t len;
	int how;
};

/* Copy all records but the changed one; 1 when that was there. */
static int
copy_others(struct ufs *fs, const struct ufs_node *node, const uint8_t *old,
    const struct change *change, struct area *area)
{
	struct ufs_ea r;
	int found = 0, rc;

	for (uint32_t off = 0;; off += r.length) {
		rc = ufs_ea_at(fs, node, old, off, &r);
		if (rc <= 0)
			return rc < 0 ? rc : found;
		if (r.space == change->space && r.namelen == change->namelen &&
		    memcmp(old + r.name_off, change->name, r.namelen) == 0) {
			found = 1;
			continue;
		}
		memcpy(area->bytes + area->len, old + off, r.length);
		area->len += r.length;
	}
}

static int
add_record(const struct ufs *fs, const struct change *change, struct area *area)
{
	struct ufs_ea_disk disk;
	uint32_t head = up8((uint32_t)sizeof(disk) + change->namelen);
	uint32_t max = area_max(fs) - area->len, len;
	uint8_t *at = area->bytes + area->len;

	if (change->len > area_max(fs) || head > max ||
	    up8(change->len) > max - head)
		return -ENOSPC;
	len = head + up8(change->len);
	disk.length = raw32_set(len, fs->sb.big);
	disk.space = (uint8_t)change->space;
	disk.contentpad = (uint8_t)(up8(change->len) - change->len);
	disk.namelen = (uint8_t)change->namelen;
	memcpy(at, &disk, sizeof(disk));
	memcpy(at + sizeof(disk), change->name, change->namelen);
	if (change->len > 0)
		memcpy(at + head, change->value, change->len);
	area->len += len;
	return 0;
}

/* Fill area, whose bytes are zero, with what is to be. */
static int
make_area(struct ufs *fs, struct ufs_node *node, const struct change *change,
    struct area *area)
{
	scoped(freep) uint8_t *old = NULL;
	int rc = ufs_ea_load(fs, node, &old);

	if (rc == 0)
		rc = copy_others(fs, node, old, change, area);
	if (rc < 0)
		return rc;
	if (rc == 1 && change->how == UFS_EA_MUST_NOT_EXIST)
		return -EEXIST;
	if (rc == 0 && change->how == UFS_EA_MUST_EXIST)
		return -ENOXATTR;
	return change->value != NULL ? add_record(fs, change, area) : 0;
}

static int
change_node(struct ufs *fs, struct ufs_node *node, const struct change *change)
{
	struct area area = {0};
	scoped(freep) uint8_t *bytes = calloc(1, area_max(fs));
	int rc;

	if (bytes == NULL)
		return -ENOMEM;
	area.bytes = bytes;
	rc = make_area(fs, node, change, &area);
	return rc < 0 ? rc : area_install(fs, node, &area);
}

int
ufs_node_xattr(struct ufs *fs, struct ufs_node *node, enum ufs_ea_space space,
    const char *name, const void *value, size_t len)
{
	const struct change change = {.space = space,
	    .name = name,
	    .namelen = (uint32_t)strlen(name),
	    .value = value,
	    .len = (uint32_t)len,
	    .how = value != NULL ? UFS_EA_ANY : UFS_EA_MUST_EXIST};

	return change_node(fs, node, &change);
}

static int
change_ino(struct ufs *fs, uint64_t ino, const struct change *change)
{
	struct ufs_node *node;
	int rc = ufs_change_begin(fs);

	if (rc < 0)
		return rc;
	rc = ufs_node_get(fs, ino, &node);
	if (rc == 0) {
		rc = change_node(fs, node, change);
		ufs_node_put(fs, node);
	}
	return ufs_change_end(fs, rc);
}

int
ufs_xattr_set(struct ufs *fs, uint64_t ino, enum ufs_ea_space space,
    const char *name, const void *value, size_t len, int how)
{
	size_t namelen = strlen(name);
	struct change change = {.space = space, .name = name, .how = how};

	if (namelen == 0)
		return -EINVAL;
	if (namelen > UFS_NAME_MAX)
		return -ENAMETOOLONG;
	if (len > UFS_NEXT * UFS_MAX_BSIZE)
		return -ENOSPC;
	change.namelen = (uint32_t)namelen;
	change.value = value != NULL ? value : "";
	change.len = (uint32_t)len;
	return change_ino(fs, ino, &change);
}

int
ufs_xattr_remove(
    struct ufs *fs, uint64_t ino, enum ufs_ea_space space, const char *name)
{
	struct change change = {
	    .space = space, .name = name, .how = UFS_EA_MUST_EXIST};
	size_t namelen = strlen(name);

	if (namelen > UFS_NAME_MAX)
		return -ENOXATTR;
	change.namelen = (uint32_t)namelen;
	return change_ino(fs, ino, &change);
}
