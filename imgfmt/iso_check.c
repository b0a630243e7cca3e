/*
 * Checking an ISO: what readers other than ours rely on too.  Not faults,
 * because honest programs make them: no backup GPT (FreeBSD), overlapping
 * partitions where the MBR is what counts (isohybrid), addresses of empty
 * files, dates, order of names.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "gpt.h"
#include "iso_impl.h"
#include "log.h"

enum { FAULTS_MAX = 1000, PATH_TABLE_MAX = 16 << 20, PATH_DIRS_MAX = 65535 };

/* A directory of the tree. */
struct found {
	uint64_t off, above; /* as its second record says */
};

struct check {
	struct iso *iso;
	const struct iso_tree *tree;
	int faults;
	unsigned record;    /* number in its directory */
	struct found *dirs; /* as found, later sorted */
	size_t n, room;
};

/* Say one fault; -E2BIG when there have been too many. */
__attribute__((format(printf, 2, 3))) static int
fault(struct check *check, const char *format, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	log_error("%s", line);
	if (++check->faults < FAULTS_MAX)
		return 0;
	log_error("too many faults, the rest is not shown");
	return -E2BIG;
}

static bool
agree32(const void *raw)
{
	struct iso_both32 both;

	memcpy(&both, raw, sizeof(both));
	return le32_get(both.le) == be32_get(both.be);
}

static bool
agree16(struct iso_both16 both)
{
	return le16_get(both.le) == be16_get(both.be);
}

static int
check_volume(struct check *check)
{
	const struct iso_tree *tree = check->tree;
	struct iso_volume_disk vol;
	uint64_t end;
	int rc = blkdev_read(check->iso->dev, tree->at, &vol, sizeof(vol));

	if (rc < 0)
		return rc;
	if (!agree32(&vol.size) || !agree32(&vol.path_size) ||
	    !agree16(vol.block_size) || !agree16(vol.set_size) ||
	    !agree16(vol.sequence) || !agree32(&vol.root.extent) ||
	    !agree32(&vol.root.size))
		rc = fault(check,
		    "the volume descriptor at byte %" PRIu64
		    " has numbers that differ between their byte orders",
		    tree->at);
	end = tree->session + (uint64_t)le32_get(vol.size.le) * ISO_SECTOR;
	if (rc == 0 && end > check->iso->dev->size)
		rc = fault(check,
		    "the volume descriptor at byte %" PRIu64
		    " says %u sectors: more than the image has",
		    tree->at, le32_get(vol.size.le));
	return rc;
}

static int
on_directory(
    void *arg, const struct iso_tree *tree, const struct iso_walk_dir *dir)
{
	struct check *check = arg;

	(void)tree;
	check->record = 0;
	if (check->n == check->room) {
		size_t room = check->room == 0 ? 64 : check->room * 2;
		struct found *dirs = realloc(check->dirs, room * sizeof(*dirs));

		if (dirs == NULL)
			return -ENOMEM;
		check->dirs = dirs;
		check->room = room;
	}
	check->dirs[check->n++] = (struct found){dir->off, dir->off};
	return 0;
}

/* The first two records name the directory and the one above. */
static int
check_dots(struct check *check, const struct iso_walk_dir *dir,
    const struct iso_record *rec)
{
	bool first = check->record == 1;

	if (first ? iso_record_is_dot(rec) && rec->off == dir->off &&
		    rec->len == dir->len
		  : iso_record_is_dotdot(rec)) {
		check->dirs[check->n - 1].above = rec->off;
		return 0;
	}
	return fault(check,
	    "the directory at byte %" PRIu64 " does not begin with itself and "
	    "the one above",
	    dir->off);
}

static int
on_record(void *arg, const struct iso_tree *tree,
    const struct iso_walk_dir *dir, const struct iso_record *rec)
{
	struct check *check = arg;
	int rc = 0;

	(void)tree;
	if (!agree32(rec->raw + 2) || !agree32(rec->raw + 10))
		rc = fault(check,
		    "the directory record at byte %" PRIu64
		    " has numbers that differ between their byte orders",
		    rec->at);
	if (rc == 0 && rec->len > 0 &&
	    !iso_inside(check->iso, rec->off, rec->len))
		rc = fault(check,
		    "the directory record at byte %" PRIu64
		    " names %u bytes at byte %" PRIu64
		    ", which lie outside the image",
		    rec->at, rec->len, rec->off);
	if (rc == 0 && ++check->record <= 2)
		rc = check_dots(check, dir, rec);
	return rc;
}

static int
on_entry(void *arg, const struct iso_tree *tree, const struct iso_entry *entry)
{
	struct check *check = arg;
	bool right = true;

	(void)tree;
	if (iso_entry_is(entry, "CE", 28))
		right = agree32(entry->raw + 4) && agree32(entry->raw + 12) &&
		    agree32(entry->raw + 20);
	else if (iso_entry_is(entry, "CL", 12) || iso_entry_is(entry, "PL", 12))
		right = agree32(entry->raw + 4);
	if (right)
		return 0;
	return fault(check,
	    "the %.2s entry at byte %" PRIu64
	    " has numbers that differ between their byte orders",
	    (const char *)entry->raw, entry->at);
}

static int
by_place(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	return x->off < y->off ? -1 : x->off > y->off;
}

static bool
is_directory(const struct check *check, uint64_t off)
{
	struct found key = {.off = off};

	return bsearch(&key, check->dirs, check->n, sizeof(key), by_place) !=
	    NULL;
}

/*
 * Which one is above is not checked: some programs get it wrong (Joliet); and
 * in a later session it may be one of the session before.
 */
static int
check_above(struct check *check)
{
	int rc = 0;

	if (check->n > 0)
		qsort(check->dirs, check->n, sizeof(check->dirs[0]), by_place);
	if (check->iso->session != 0)
		return 0;
	for (size_t i = 0; i < check->n && rc == 0; i++)
		if (!is_directory(check, check->dirs[i].above))
			rc = fault(check,
			    "the directory at byte %" PRIu64
			    " has none above it",
			    check->dirs[i].off);
	return rc;
}

/* A path table in memory. */
struct path_table {
	uint64_t at;
	uint8_t *bytes;
	uint32_t len;
	bool big;
};

/* Check the record at *pos, number i; *pos moves on, 0 ends the table. */
static int
check_path_record(struct check *check, const struct path_table *table,
    uint32_t *pos, unsigned i)
{
	struct iso_pathrec_disk rec;
	uint64_t at = table->at + *pos;
	uint32_t len;

	memcpy(&rec, table->bytes + *pos, sizeof(rec));
	len = sizeof(rec) + rec.name_len + rec.name_len % 2u;
	if (rec.name_len == 0 || len > table->len - *pos) {
		*pos = table->len;
		return fault(check,
		    "the path table record at byte %" PRIu64 " is cut short",
		    at);
	}
	*pos += len;
	if (!is_directory(check,
		iso_tree_off(check->tree, raw32_get(rec.extent, table->big))))
		return fault(check,
		    "the path table record at byte %" PRIu64
		    " names no directory",
		    at);
	if (raw16_get(rec.parent, table->big) == 0 ||
	    raw16_get(rec.parent, table->big) > i)
		return fault(check,
		    "the path table record at byte %" PRIu64
		    " has no parent before it",
		    at);
	return 0;
}

static int
check_path_records(struct check *check, const struct path_table *table)
{
	uint32_t pos = 0;
	unsigned i = 0;
	int rc = 0;

	while (rc == 0 && table->len - pos >= sizeof(struct iso_pathrec_disk))
		rc = check_path_record(check, table, &pos, ++i);
	if (rc == 0 && i != check->n && check->n <= PATH_DIRS_MAX &&
	    check->iso->session == 0)
		rc = fault(check,
		    "the path table at byte %" PRIu64
		    " names %u directories of %zu",
		    table->at, i, check->n);
	return rc;
}

static int
check_path_table(struct check *check, uint32_t sector, uint32_t len, bool big)
{
	struct path_table table = {
	    .at = iso_tree_off(check->tree, sector), .len = len, .big = big};
	int rc;

	if (sector == 0)
		return 0;
	if (len > PATH_TABLE_MAX || !iso_inside(check->iso, table.at, len))
		return fault(check,
		    "the path table at byte %" PRIu64
		    " lies outside the image or is too long",
		    table.at);
	table.bytes = malloc((size_t)len + 1);
	if (table.bytes == NULL)
		return -ENOMEM;
	rc = blkdev_read(check->iso->dev, table.at, table.bytes, len);
	if (rc == 0)
		rc = check_path_records(check, &table);
	free(table.bytes);
	return rc;
}

static int
check_path_tables(struct check *check)
{
	struct iso_volume_disk vol;
	uint32_t len;
	int rc =
	    blkdev_read(check->iso->dev, check->tree->at, &vol, sizeof(vol));

	if (rc < 0)
		return rc;
	len = le32_get(vol.path_size.le);
	rc = check_path_table(check, le32_get(vol.path_le), len, false);
	if (rc == 0)
		rc = check_path_table(
		    check, le32_get(vol.path_le_copy), len, false);
	if (rc == 0)
		rc = check_path_table(check, be32_get(vol.path_be), len, true);
	if (rc == 0)
		rc = check_path_table(
		    check, be32_get(vol.path_be_copy), len, true);
	return rc;
}

static int
check_tree(struct check *check, const struct iso_tree *tree)
{
	struct iso_walker walker = {.directory = on_directory,
	    .record = on_record,
	    .entry = on_entry,
	    .arg = check};
	int rc;

	check->tree = tree;
	check->n = 0;
	rc = check_volume(check);
	if (rc == 0)
		rc = iso_walk(check->iso, tree, &walker);
	if (rc == -ECORRUPT) { /* said by the walk, which ended there */
		check->faults++;
		return 0;
	}
	if (rc == 0)
		rc = check_above(check);
	return rc == 0 ? check_path_tables(check) : rc;
}

static int
check_boot(struct check *check)
{
	const struct iso *iso = check->iso;
	le16 words[16];
	uint16_t sum = 0;
	int rc;

	if (iso->catalog_bad)
		return fault(check,
		    "the boot catalog at byte %" PRIu64
		    " does not begin like one",
		    iso->catalog);
	if (iso->bootrec_at == 0)
		return 0;
	rc = blkdev_read(iso->dev, iso->catalog, words, sizeof(words));
	if (rc < 0)
		return rc;
	for (int i = 0; i < 16; i++)
		sum = (uint16_t)(sum + le16_get(words[i]));
	if (sum != 0)
		rc = fault(check,
		    "the boot catalog at byte %" PRIu64 " has a wrong checksum",
		    iso->catalog);
	for (unsigned i = 0; i < iso->info.nboot && rc == 0; i++) {
		const struct iso_boot *boot = &iso->info.boot[i];

		if (!iso_inside(iso, boot->off, boot->len))
			rc = fault(check,
			    "boot entry %u (%" PRIu64 " bytes at byte %" PRIu64
			    ") lies outside the image",
			    i + 1, boot->len, boot->off);
	}
	return rc;
}

static int
check_gpt_entries(struct check *check, const struct gpt *gpt)
{
	uint64_t sectors = check->iso->dev->size / MBR_SECTOR;
	int rc = 0;

	for (uint32_t i = 0; i < gpt->nentries && rc == 0; i++) {
		const struct gpt_entry_disk *entry = gpt_entry(gpt, i);
		uint64_t first = le64_get(entry->first);
		uint64_t last = le64_get(entry->last);

		if (gpt_entry_used(entry) && (first > last || last >= sectors))
			rc = fault(check,
			    "GPT partition %u (sectors %" PRIu64 " to %" PRIu64
			    ") lies outside the image",
			    i + 1, first, last);
	}
	if (rc == 0 && le64_get(gpt->head.last_usable) >= sectors)
		rc = fault(check,
		    "the GPT at byte %" PRIu64
		    " is for a device of another size",
		    gpt->at);
	return rc;
}

/*
 * 1: firmware goes by the GPT and not by the MBR: one of that's entries
 * protects it (UEFI 2.10, 5.2.3).
 */
static int
is_protected(const struct check *check)
{
	struct mbr_entry_disk mbr[MBR_ENTRIES];
	int rc = blkdev_read(check->iso->dev, MBR_ENTRIES_AT, mbr, sizeof(mbr));

	if (rc < 0)
		return rc;
	for (int i = 0; i < MBR_ENTRIES; i++)
		if (mbr[i].type == MBR_PROTECTIVE &&
		    le32_get(mbr[i].start) == 1)
			return 1;
	return 0;
}

/* Firmware takes neither of two partitions that overlap. */
static int
check_overlap(struct check *check, const struct gpt *gpt)
{
	int rc = is_protected(check);

	if (rc <= 0)
		return rc;
	rc = 0;
	for (uint32_t i = 1; i < gpt->nentries && rc == 0; i++) {
		const struct gpt_entry_disk *a = gpt_entry(gpt, i);

		for (uint32_t j = 0; j < i && gpt_entry_used(a); j++) {
			const struct gpt_entry_disk *b = gpt_entry(gpt, j);

			if (!gpt_entry_used(b) ||
			    le64_get(a->first) > le64_get(b->last) ||
			    le64_get(b->first) > le64_get(a->last))
				continue;
			rc = fault(check, "GPT partitions %u and %u overlap",
			    j + 1, i + 1);
			break;
		}
	}
	return rc;
}

/* Check the table at byte at; *other is where its twin should be. */
static int
check_gpt(struct check *check, uint64_t at, uint64_t *other)
{
	struct gpt gpt;
	const char *what;
	int rc = gpt_read(check->iso->dev, MBR_SECTOR, at, &gpt, &what);

	*other = 0;
	if (rc == -ECORRUPT)
		return fault(check,
		    "the GPT at byte %" PRIu64 " is damaged: %s", at, what);
	if (rc != 1)
		return rc;
	*other = le64_get(gpt.head.other);
	rc = check_gpt_entries(check, &gpt);
	if (rc == 0 && at == MBR_SECTOR)
		rc = check_overlap(check, &gpt);
	if (rc == 0 && *other >= check->iso->dev->size / MBR_SECTOR) {
		*other = 0;
		rc = fault(check,
		    "the GPT at byte %" PRIu64
		    " has its backup outside the image",
		    at);
	}
	gpt_release(&gpt);
	return rc;
}

static int
check_area(struct check *check)
{
	uint64_t other, back;
	int rc = check_gpt(check, MBR_SECTOR, &other);

	if (rc < 0 || other == 0)
		return rc;
	return check_gpt(check, other * MBR_SECTOR, &back);
}

int
iso_check(struct iso *iso)
{
	struct check check = {.iso = iso};
	int rc = 0;

	for (unsigned i = 0; i < iso->ntrees && rc == 0; i++)
		rc = check_tree(&check, &iso->trees[i]);
	if (rc == 0 && check.faults == 0 && iso_check_tree(iso) == -ECORRUPT)
		check.faults++; /* said */
	if (rc == 0)
		rc = check_boot(&check);
	if (rc == 0)
		rc = check_area(&check);
	free(check.dirs);
	return rc < 0 && rc != -E2BIG ? rc : check.faults;
}
