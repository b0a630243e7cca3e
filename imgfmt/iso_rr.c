/*
 * System use entries and what Rock Ridge makes of them.  Entries may go on in
 * continuation areas anywhere on the image; a bound on their number is all
 * that loops need.  Junk after the last entry is common (makefs of FreeBSD
 * 8 and 9 wrote TF one byte short) and ends the area, as it does for kernels.
 */
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "iso_impl.h"
#include "log.h"

enum { CE_HOPS_MAX = 32 };

void
iso_susp_start(struct iso_susp *susp, const struct iso *iso,
    const struct iso_tree *tree, const struct iso_record *rec)
{
	bool root = rec->at == tree->root_off;
	uint8_t skip = root ? 0 : tree->skip;

	susp->iso = iso;
	susp->tree = tree;
	susp->left = rec->su_len > skip ? (size_t)(rec->su_len - skip) : 0;
	susp->p = rec->su + (rec->su_len - susp->left);
	susp->at = rec->at + (uint64_t)(susp->p - rec->raw);
	susp->ce_off = 0;
	susp->hops = 0;
}

/* Go on in the continuation area; 0: there is none. */
static int
next_area(struct iso_susp *susp)
{
	uint64_t off = susp->ce_off;
	int rc;

	if (off == 0)
		return 0;
	if (++susp->hops > CE_HOPS_MAX || susp->ce_len > sizeof(susp->ce) ||
	    !iso_inside(susp->iso, off, susp->ce_len)) {
		log_error("the continuation area at byte %" PRIu64 " %s", off,
		    susp->hops > CE_HOPS_MAX
			? "is one of too many"
			: "lies outside the image or is too long");
		return -ECORRUPT;
	}
	rc = blkdev_read(susp->iso->dev, off, susp->ce, susp->ce_len);
	if (rc < 0)
		return rc;
	susp->p = susp->ce;
	susp->left = susp->ce_len;
	susp->at = off;
	susp->ce_off = 0;
	return 1;
}

static void
note_continuation(struct iso_susp *susp, const struct iso_entry *entry)
{
	struct iso_susp_ce_disk ce;

	memcpy(&ce, entry->raw, sizeof(ce));
	susp->ce_off = iso_tree_off(susp->tree, le32_get(ce.block.le)) +
	    le32_get(ce.offset.le);
	susp->ce_len = le32_get(ce.len.le);
}

int
iso_susp_next(struct iso_susp *susp, struct iso_entry *out)
{
	uint8_t len;

	while (susp->left < 4 || susp->p[2] < 4 || susp->p[2] > susp->left ||
	    memcmp(susp->p, "ST", 2) == 0) {
		int rc = next_area(susp);

		if (rc <= 0)
			return rc;
	}
	len = susp->p[2];
	out->raw = susp->p;
	out->at = susp->at;
	susp->p += len;
	susp->at += len;
	susp->left -= len;
	if (iso_entry_is(out, "CE", sizeof(struct iso_susp_ce_disk)))
		note_continuation(susp, out);
	return 1;
}

bool
iso_entry_is(const struct iso_entry *entry, const char *sig, size_t len)
{
	return memcmp(entry->raw, sig, 2) == 0 && entry->raw[2] >= len;
}

/* Whether an ER entry names Rock Ridge. */
static bool
names_rock_ridge(const struct iso_entry *entry)
{
	static const char *const ids[] = {
	    "RRIP_1991A", "IEEE_P1282", "IEEE_1282"};
	size_t len = entry->raw[4];

	if (entry->raw[2] < 8 + len)
		return false;
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		if (strlen(ids[i]) == len &&
		    memcmp(entry->raw + 8, ids[i], len) == 0)
			return true;
	return false;
}

int
iso_susp_detect(const struct iso *iso, struct iso_tree *tree)
{
	struct iso_dir dir;
	struct iso_record rec;
	struct iso_susp susp;
	struct iso_entry entry;
	bool sp = false, rr = false;
	int rc = iso_dir_open(&dir, iso, tree, tree->root_off, tree->root_len);

	tree->susp = false;
	if (rc == 0)
		rc = iso_dir_next(&dir, &rec);
	if (rc <= 0)
		return rc;
	iso_susp_start(&susp, iso, tree, &rec);
	while ((rc = iso_susp_next(&susp, &entry)) == 1) {
		if (!sp) { /* must come first */
			if (!iso_entry_is(&entry, "SP", 7) ||
			    entry.raw[4] != 0xbe || entry.raw[5] != 0xef)
				return 0;
			tree->skip = entry.raw[6];
			sp = true;
		} else if (iso_entry_is(&entry, "PX", 36)) {
			rr = true;
		} else if (iso_entry_is(&entry, "ER", 8)) {
			rr |= names_rock_ridge(&entry);
		}
	}
	tree->susp = sp && rr;
	return rc;
}

/* What the entries of one record tell. */
struct rock_ridge {
	struct iso_node *node;
	size_t name_len; /* of the NM name so far */
	bool named, relocated, has_child;
	uint64_t child; /* where the relocated directory lies */
};

static void
take_px(struct rock_ridge *rr, const uint8_t *raw)
{
	struct iso_susp_px_disk px;

	if (raw[2] < sizeof(px))
		return;
	memcpy(&px, raw, sizeof(px));
	rr->node->mode = le32_get(px.mode.le);
	rr->node->nlink = le32_get(px.nlink.le);
	rr->node->uid = le32_get(px.uid.le);
	rr->node->gid = le32_get(px.gid.le);
}

/* Old writers put the whole dev_t into the low half. */
static void
take_pn(struct rock_ridge *rr, const uint8_t *raw)
{
	struct iso_susp_pn_disk pn;
	uint32_t high, low;

	if (raw[2] < sizeof(pn))
		return;
	memcpy(&pn, raw, sizeof(pn));
	high = le32_get(pn.high.le);
	low = le32_get(pn.low.le);
	if (high == 0 && low > 0xff) {
		high = low >> 8;
		low &= 0xff;
	}
	rr->node->rdev_major = high;
	rr->node->rdev_minor = low;
}

static void
take_nm(struct rock_ridge *rr, const uint8_t *raw)
{
	size_t len = raw[2] - 5u;

	if (raw[2] < 5 || raw[4] & (ISO_NM_CURRENT | ISO_NM_PARENT))
		return;
	if (!rr->named)
		rr->name_len = 0;
	if (len > ISO_NAME_MAX - rr->name_len)
		len = ISO_NAME_MAX - rr->name_len;
	memcpy(rr->node->name + rr->name_len, raw + 5, len);
	rr->name_len += len;
	rr->node->name[rr->name_len] = '\0';
	rr->named = true;
}

static int
digits(const uint8_t *p, int n)
{
	int value = 0;

	for (int i = 0; i < n; i++)
		value = value * 10 + (p[i] - '0') % 10;
	return value;
}

/* The 17-byte form: YYYYMMDDhhmmsscc and the zone. */
static struct timespec
date_long(const uint8_t *p)
{
	struct tm tm = {.tm_year = digits(p, 4) - 1900,
	    .tm_mon = digits(p + 4, 2) - 1,
	    .tm_mday = digits(p + 6, 2),
	    .tm_hour = digits(p + 8, 2),
	    .tm_min = digits(p + 10, 2),
	    .tm_sec = digits(p + 12, 2)};
	struct timespec ts = {.tv_nsec = digits(p + 14, 2) * 10000000L};

	for (int i = 0; i < 16; i++)
		if (p[i] < '0' || p[i] > '9')
			return (struct timespec){0};
	ts.tv_sec = timegm(&tm) - (int8_t)p[16] * 15 * 60;
	return ts;
}

static void
take_tf(struct rock_ridge *rr, const uint8_t *raw)
{
	bool long_form = raw[2] >= 5 && raw[4] & ISO_TF_LONG;
	size_t size = long_form ? 17 : 7;
	size_t start = 5;

	if (raw[2] < 5 || !(raw[4] & ISO_TF_MODIFY))
		return;
	if (raw[4] & ISO_TF_CREATION)
		start += size;
	if (start + size > raw[2])
		return;
	if (long_form) {
		rr->node->mtime = date_long(raw + start);
		return;
	}
	rr->node->mtime.tv_sec = iso_date_short(raw + start);
}

static void
take_cl(struct rock_ridge *rr, const struct iso_tree *tree, const uint8_t *raw)
{
	struct iso_susp_link_disk cl;

	if (raw[2] < sizeof(cl))
		return;
	memcpy(&cl, raw, sizeof(cl));
	rr->child = iso_tree_off(tree, le32_get(cl.block.le));
	rr->has_child = true;
}

static int
gather(const struct iso *iso, const struct iso_tree *tree,
    const struct iso_record *rec, struct rock_ridge *rr)
{
	struct iso_susp susp;
	struct iso_entry entry;
	int rc;

	iso_susp_start(&susp, iso, tree, rec);
	while ((rc = iso_susp_next(&susp, &entry)) == 1) {
		const uint8_t *raw = entry.raw;

		if (memcmp(raw, "PX", 2) == 0)
			take_px(rr, raw);
		else if (memcmp(raw, "NM", 2) == 0)
			take_nm(rr, raw);
		else if (memcmp(raw, "TF", 2) == 0)
			take_tf(rr, raw);
		else if (memcmp(raw, "PN", 2) == 0)
			take_pn(rr, raw);
		else if (memcmp(raw, "CL", 2) == 0)
			take_cl(rr, tree, raw);
		else if (memcmp(raw, "RE", 2) == 0)
			rr->relocated = true;
	}
	return rc;
}

/* The directory that a CL entry of node points at, attributes and all. */
static int
follow_child(const struct iso *iso, const struct iso_tree *tree, uint64_t child,
    struct iso_node *node)
{
	struct rock_ridge rr = {.node = node, .named = true};
	struct iso_dir dir;
	struct iso_record rec;
	int rc = iso_record_at(&dir, iso, tree, child, &rec);

	if (rc < 0 && rc != -EINVAL)
		return rc;
	if (rc < 0 || !iso_record_is_dot(&rec)) {
		log_error("the relocated directory '%s' at byte %" PRIu64
			  " does not begin like one",
		    node->name, child);
		return -ECORRUPT;
	}
	rr.name_len = strlen(node->name);
	node->off = child;
	node->size = rec.len;
	rc = gather(iso, tree, &rec, &rr);
	node->mode = S_IFDIR | (node->mode & 07777);
	return rc;
}

int
iso_rock_ridge(const struct iso *iso, const struct iso_tree *tree,
    const struct iso_record *rec, struct iso_node *node, bool *hidden)
{
	struct rock_ridge rr = {.node = node};
	int rc = gather(iso, tree, rec, &rr);

	if (rc < 0)
		return rc;
	if (rr.relocated)
		*hidden = true;
	/* Only records that are directories may look like one, and reverse. */
	if (((rec->flags & ISO_FLAG_DIRECTORY) != 0) != S_ISDIR(node->mode) &&
	    !rr.has_child)
		node->mode = (node->mode & 07777) |
		    (rec->flags & ISO_FLAG_DIRECTORY ? S_IFDIR : S_IFREG);
	return rr.has_child ? follow_child(iso, tree, rr.child, node) : 0;
}

int
iso_is_relocated(
    const struct iso *iso, const struct iso_tree *tree, uint64_t off)
{
	struct iso_dir dir;
	struct iso_record rec;
	struct iso_susp susp;
	struct iso_entry entry;
	int rc = iso_record_at(&dir, iso, tree, off, &rec);

	if (rc == 0)
		rc = iso_dir_next(&dir, &rec);
	if (rc <= 0)
		return rc == -EINVAL ? 0 : rc;
	iso_susp_start(&susp, iso, tree, &rec);
	while ((rc = iso_susp_next(&susp, &entry)) == 1)
		if (iso_entry_is(&entry, "PL", 12))
			return 1;
	return rc;
}

/* A symbolic link's target as it grows. */
struct target {
	char *buf;
	size_t len, used;
	bool joined; /* the next component goes on without a slash */
	bool any;
};

static int
append(struct target *target, const char *text, size_t n)
{
	if (n >= target->len - target->used)
		return -ENAMETOOLONG;
	memcpy(target->buf + target->used, text, n);
	target->used += n;
	target->buf[target->used] = '\0';
	return 0;
}

static int
append_component(struct target *target, const uint8_t *comp)
{
	uint8_t flags = comp[0];
	bool at_root = target->used == 1 && target->buf[0] == '/';
	bool joined = target->joined || !target->any || at_root;
	int rc = 0;

	target->any = true;
	target->joined = (flags & ISO_SL_CONTINUE) != 0;
	if (flags & (ISO_SL_ROOT | ISO_SL_VOLROOT)) {
		target->used = 0;
		return append(target, "/", 1);
	}
	if (!joined)
		rc = append(target, "/", 1);
	if (rc < 0)
		return rc;
	if (flags & ISO_SL_CURRENT)
		return append(target, ".", 1);
	if (flags & ISO_SL_PARENT)
		return append(target, "..", 2);
	if (flags & ISO_SL_HOST) /* as on the host that reads: not ours */
		return append(target, "localhost", 9);
	return append(target, (const char *)comp + 2, comp[1]);
}

static int
append_entry(struct target *target, const uint8_t *raw)
{
	for (size_t i = 5; i + 2 <= raw[2]; i += 2u + raw[i + 1]) {
		int rc;

		if (raw[i + 1] > raw[2] - i - 2) {
			log_error("a component of a symbolic link is longer "
				  "than its entry");
			return -ECORRUPT;
		}
		rc = append_component(target, raw + i);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int
iso_readlink(
    struct iso *iso, const struct iso_node *node, char *buf, size_t len)
{
	struct target target = {.buf = buf, .len = len};
	struct iso_dir dir;
	struct iso_record rec;
	struct iso_susp susp;
	struct iso_entry entry;
	int rc;

	if (!S_ISLNK(node->mode))
		return -EINVAL;
	if (len == 0)
		return -ENAMETOOLONG;
	buf[0] = '\0';
	rc = iso_record_at(&dir, iso, iso->main, node->record_off, &rec);
	if (rc < 0)
		return rc;
	iso_susp_start(&susp, iso, iso->main, &rec);
	while ((rc = iso_susp_next(&susp, &entry)) == 1) {
		if (!iso_entry_is(&entry, "SL", 5))
			continue;
		rc = append_entry(&target, entry.raw);
		if (rc < 0)
			return rc;
	}
	return rc;
}
