/*
 * Directories, names and files: what FreeBSD would show (formats.md 3.7).
 */
#include <inttypes.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "iso_impl.h"
#include "log.h"
#include "utf16.h"

int
iso_dir_open(struct iso_dir *dir, const struct iso *iso,
    const struct iso_tree *tree, uint64_t off, uint64_t len)
{
	if (!iso_inside(iso, off, len)) {
		log_error("a directory of %" PRIu64 " bytes at byte %" PRIu64
			  " lies outside the image",
		    len, off);
		return -ECORRUPT;
	}
	dir->iso = iso;
	dir->tree = tree;
	dir->off = off;
	dir->len = len;
	dir->pos = 0;
	dir->loaded = 0;
	return 0;
}

/* Load the sector that holds dir->pos; bytes in it, or -errno. */
static int
load_sector(struct iso_dir *dir)
{
	uint64_t start = dir->pos - dir->pos % ISO_SECTOR;
	uint64_t left = dir->len - start;
	size_t n = left < ISO_SECTOR ? (size_t)left : ISO_SECTOR;
	int rc;

	if (dir->loaded == start + 1)
		return (int)n;
	rc = blkdev_read(dir->iso->dev, dir->off + start, dir->buf, n);
	if (rc < 0)
		return rc;
	dir->loaded = start + 1;
	return (int)n;
}

/* Parse the record at raw, of which left bytes remain in its sector. */
static const char *
parse_record(const struct iso_tree *tree, const uint8_t *raw, size_t left,
    struct iso_record *out)
{
	struct iso_record_disk disk;
	size_t name_end;

	if (left < sizeof(disk) || raw[0] < sizeof(disk) + 1)
		return "is too short";
	if (raw[0] > left)
		return "crosses the end of its sector";
	memcpy(&disk, raw, sizeof(disk));
	name_end = sizeof(disk) + disk.name_len;
	if (disk.name_len == 0 || name_end > disk.len)
		return "is too short for its name";
	name_end += name_end % 2; /* a pad byte */
	if (name_end > disk.len)
		name_end = disk.len;
	out->extent = iso_tree_off(tree, le32_get(disk.extent.le));
	out->off = out->extent + (uint64_t)disk.xattr_len * ISO_SECTOR;
	out->len = le32_get(disk.size.le);
	out->flags = disk.flags;
	out->interleaved = disk.unit != 0 || disk.gap != 0;
	out->raw = raw;
	out->name = (const char *)raw + sizeof(disk);
	out->name_len = disk.name_len;
	out->su = raw + name_end;
	out->su_len = (uint8_t)(disk.len - name_end);
	return NULL;
}

int
iso_dir_next(struct iso_dir *dir, struct iso_record *out)
{
	while (dir->pos < dir->len) {
		size_t in = dir->pos % ISO_SECTOR;
		const char *fault;
		int n = load_sector(dir);

		if (n < 0)
			return n;
		if (in >= (size_t)n || dir->buf[in] == 0) {
			dir->pos += ISO_SECTOR - in;
			continue;
		}
		fault =
		    parse_record(dir->tree, dir->buf + in, (size_t)n - in, out);
		out->at = dir->off + dir->pos;
		if (fault != NULL) {
			log_error("the directory record at byte %" PRIu64 " %s",
			    out->at, fault);
			return -ECORRUPT;
		}
		dir->pos += dir->buf[in];
		return 1;
	}
	return 0;
}

int
iso_record_at(struct iso_dir *dir, const struct iso *iso,
    const struct iso_tree *tree, uint64_t at, struct iso_record *out)
{
	uint64_t sector = at - at % ISO_SECTOR;
	int rc;

	if (!iso_inside(iso, sector, ISO_SECTOR))
		return -EINVAL;
	rc = iso_dir_open(dir, iso, tree, sector, ISO_SECTOR);
	if (rc < 0)
		return rc;
	dir->pos = at - sector;
	rc = iso_dir_next(dir, out);
	if (rc == 1 && out->at != at)
		rc = 0; /* zeroes, and a record behind them */
	return rc == 1 ? 0 : rc == 0 ? -EINVAL : rc;
}

bool
iso_record_is_dot(const struct iso_record *rec)
{
	return rec->name_len == 1 && rec->name[0] == 0;
}

bool
iso_record_is_dotdot(const struct iso_record *rec)
{
	return rec->name_len == 1 && rec->name[0] == 1;
}

int64_t
iso_date_short(const uint8_t d[7])
{
	struct tm tm = {.tm_year = d[0],
	    .tm_mon = d[1] - 1,
	    .tm_mday = d[2],
	    .tm_hour = d[3],
	    .tm_min = d[4],
	    .tm_sec = d[5]};

	if (d[1] < 1 || d[1] > 12 || d[2] < 1 || d[2] > 31)
		return 0;
	return timegm(&tm) - (int8_t)d[6] * 15 * 60;
}

/*
 * No name from an image may lead out of the directory it is in, whoever
 * makes a path of it.
 */
static void
make_name_harmless(char *name)
{
	if (name[0] == '\0')
		strcpy(name, "_");
	for (char *p = name; *p != '\0'; p++)
		if (*p == '/')
			*p = '_';
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		name[0] = '_';
}

/* Cut ";1" and, after it, one trailing dot. */
static void
cut_version(char *name, bool cut_dot)
{
	char *semicolon = strrchr(name, ';');
	size_t len;

	if (semicolon != NULL && semicolon[1] != '\0' &&
	    strspn(semicolon + 1, "0123456789") == strlen(semicolon + 1))
		*semicolon = '\0';
	len = strlen(name);
	if (cut_dot && len > 1 && name[len - 1] == '.')
		name[len - 1] = '\0';
}

static void
name_from_joliet(const struct iso_record *rec, char *name)
{
	uint16_t units[128];
	size_t n = rec->name_len / 2;

	for (size_t i = 0; i < n; i++)
		units[i] = (uint16_t)((uint8_t)rec->name[2 * i] << 8 |
		    (uint8_t)rec->name[2 * i + 1]);
	utf16_to_utf8(units, n, name, ISO_NAME_MAX + 1);
	cut_version(name, false);
}

static void
name_from_iso(const struct iso_record *rec, char *name)
{
	for (size_t i = 0; i < rec->name_len; i++) {
		char c = rec->name[i];

		name[i] = c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
	}
	name[rec->name_len] = '\0';
	cut_version(name, true);
}

/* What FreeBSD shows for rec; *hidden: nothing. */
static int
node_from_record(const struct iso *iso, const struct iso_record *rec,
    struct iso_node *node, bool *hidden)
{
	int rc = 0;

	*node = (struct iso_node){.nlink = 1};
	node->mode =
	    (rec->flags & ISO_FLAG_DIRECTORY ? S_IFDIR : S_IFREG) | 0555;
	node->off = rec->off;
	node->size = rec->len;
	node->mtime.tv_sec = iso_date_short(rec->raw + 18);
	node->multi_extent = rec->interleaved;
	node->record_off = rec->at;
	*hidden = (rec->flags & ISO_FLAG_ASSOCIATED) != 0;
	if (iso->main->kind == ISO_JOLIET)
		name_from_joliet(rec, node->name);
	else
		name_from_iso(rec, node->name);
	if (iso->main->susp)
		rc = iso_rock_ridge(iso, iso->main, rec, node, hidden);
	make_name_harmless(node->name);
	return rc;
}

int
iso_root(struct iso *iso, struct iso_node *out)
{
	struct iso_dir dir;
	struct iso_record rec;
	bool hidden;
	int rc = iso_dir_open(
	    &dir, iso, iso->main, iso->main->root_off, iso->main->root_len);

	if (rc == 0)
		rc = iso_dir_next(&dir, &rec);
	if (rc == 0) {
		log_error("the root directory at byte %" PRIu64 " is empty",
		    iso->main->root_off);
		rc = -ECORRUPT;
	}
	if (rc < 0)
		return rc;
	rc = node_from_record(iso, &rec, out, &hidden);
	if (rc < 0)
		return rc;
	out->mode = S_IFDIR | (out->mode & 07777);
	out->off = iso->main->root_off;
	out->size = iso->main->root_len;
	out->name[0] = '\0';
	return 0;
}

int
iso_node_at(struct iso *iso, uint64_t record, struct iso_node *out)
{
	struct iso_dir dir;
	struct iso_record rec;
	bool hidden;
	int rc = iso_record_at(&dir, iso, iso->main, record, &rec);

	if (rc == 0)
		rc = node_from_record(iso, &rec, out, &hidden);
	if (rc == 0 && (rec.flags & ISO_FLAG_MORE) != 0)
		out->multi_extent = true;
	return rc;
}

/* Gathers the extents of one file into one node. */
struct listing {
	struct iso *iso;
	int (*each)(void *arg, const struct iso_node *node);
	void *arg;
	bool pending; /* node waits for more extents */
	bool moved;   /* in the place for relocated directories */
	struct iso_node node;
};

static int
list_record(struct listing *list, const struct iso_record *rec)
{
	struct iso_node node;
	bool hidden;
	int rc = node_from_record(list->iso, rec, &node, &hidden);

	if (rc == 0 && list->moved && S_ISDIR(node.mode)) {
		rc = iso_is_relocated(list->iso, list->iso->main, node.off);
		hidden |= rc == 1;
	}
	if (rc < 0 || hidden)
		return rc < 0 ? rc : 0;
	if (list->pending && strcmp(list->node.name, node.name) == 0) {
		list->node.size += rec->len;
		list->node.multi_extent = true;
	} else {
		list->node = node;
	}
	list->pending = (rec->flags & ISO_FLAG_MORE) != 0;
	return list->pending ? 0 : list->each(list->arg, &list->node);
}

static bool
holds_relocated(const struct iso *iso, const struct iso_node *dir)
{
	uint64_t root = iso->main->root_off, len = iso->main->root_len;

	return iso->main->susp && dir->record_off >= root &&
	    dir->record_off - root < len &&
	    (strcasecmp(dir->name, "rr_moved") == 0 ||
		strcasecmp(dir->name, ".rr_moved") == 0);
}

int
iso_list(struct iso *iso, const struct iso_node *dir,
    int (*each)(void *arg, const struct iso_node *node), void *arg)
{
	struct listing list = {.iso = iso, .each = each, .arg = arg};
	struct iso_dir it;
	struct iso_record rec;
	int rc;

	if (!S_ISDIR(dir->mode))
		return -ENOTDIR;
	list.moved = holds_relocated(iso, dir);
	rc = iso_dir_open(&it, iso, iso->main, dir->off, dir->size);
	if (rc < 0)
		return rc;
	while ((rc = iso_dir_next(&it, &rec)) == 1) {
		if (iso_record_is_dot(&rec) || iso_record_is_dotdot(&rec))
			continue;
		rc = list_record(&list, &rec);
		if (rc != 0)
			return rc;
	}
	return rc;
}

struct search {
	const char *name;
	size_t len;
	bool any_case, found;
	struct iso_node *out;
};

static int
match_name(void *arg, const struct iso_node *node)
{
	struct search *search = arg;

	if (strlen(node->name) != search->len)
		return 0;
	if (memcmp(node->name, search->name, search->len) == 0) {
		*search->out = *node;
		search->found = true;
		return 1;
	}
	if (search->any_case && !search->found &&
	    strncasecmp(node->name, search->name, search->len) == 0) {
		*search->out = *node;
		search->found = true;
	}
	return 0;
}

int
iso_lookup(struct iso *iso, const char *path, struct iso_node *out)
{
	struct iso_node dir;
	int rc = iso_root(iso, out);

	while (rc >= 0) {
		struct search search = {.out = out};

		path += strspn(path, "/");
		if (*path == '\0')
			return 0;
		dir = *out;
		search.name = path;
		search.len = strcspn(path, "/");
		search.any_case = !iso->info.rock_ridge && !iso->info.joliet;
		path += search.len;
		rc = iso_list(iso, &dir, match_name, &search);
		if (rc >= 0 && !search.found)
			return -ENOENT;
	}
	return rc;
}

int
iso_file_open(struct iso *iso, const struct iso_node *node, struct blkdev **out)
{
	int rc;

	if (S_ISDIR(node->mode))
		return -EISDIR;
	if (!S_ISREG(node->mode))
		return -EINVAL;
	if (node->multi_extent)
		return -ENOTSUP;
	if (node->size > 0 && !iso_inside(iso, node->off, node->size)) {
		log_error("'%s' (%" PRIu64 " bytes at byte %" PRIu64
			  ") lies outside the image",
		    node->name, node->size, node->off);
		return -ECORRUPT;
	}
	rc = blkdev_slice_open(blkdev_ref(iso->dev),
	    node->size > 0 ? node->off : 0, node->size, out);
	if (rc < 0)
		blkdev_close(iso->dev); /* gives the reference back */
	return rc;
}
