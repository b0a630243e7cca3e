/* Making a plan: noting every address on the ISO, and laying out the new one.
 */
#include "iso_plan.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "log.h"

enum {
	PATH_TABLE_MAX = 16 << 20,
	SCAN_CHUNK = 64 << 10,
	COPY_GAP = 64, /* sectors before a root where its descriptor may be */
};

int
iso_plan_ref(struct iso_plan *plan, const struct iso_ref *ref)
{
	if (ref->form != ISO_REF_IMAGE && ref->addr < plan->start)
		return 0;
	if (plan->nrefs == plan->room) {
		size_t room = plan->room == 0 ? 256 : plan->room * 2;
		struct iso_ref *refs =
		    realloc(plan->refs, room * sizeof(*refs));

		if (refs == NULL)
			return -ENOMEM;
		plan->refs = refs;
		plan->room = room;
	}
	plan->refs[plan->nrefs++] = *ref;
	return 0;
}

/* Note that trees refer to len bytes at off, which are not the image. */
static int
note_content(
    struct iso_plan *plan, uint64_t off, uint64_t len, const char *what)
{
	if (len == 0)
		return 0;
	if (!iso_inside(plan->iso, off, len)) {
		log_error("%s of %" PRIu64 " bytes at byte %" PRIu64
			  " lies outside the image",
		    what, len, off);
		return -ECORRUPT;
	}
	if (off < plan->end && off + len > plan->start)
		plan->shared = true;
	if (off + len > plan->tree_end)
		plan->tree_end = off + len;
	return 0;
}

static bool
is_image(const struct iso_plan *plan, const struct iso_record *rec)
{
	return rec->off == plan->start && rec->extent == rec->off &&
	    rec->len == plan->old_len && !rec->interleaved &&
	    !(rec->flags & (ISO_FLAG_DIRECTORY | ISO_FLAG_MORE));
}

static int
on_directory(
    void *arg, const struct iso_tree *tree, const struct iso_walk_dir *dir)
{
	(void)tree;
	return note_content(arg, dir->off, dir->len, "a directory");
}

static int
on_record(void *arg, const struct iso_tree *tree,
    const struct iso_walk_dir *dir, const struct iso_record *rec)
{
	struct iso_plan *plan = arg;
	struct iso_ref ref = {
	    .at = rec->at + 2, .addr = rec->extent, .base = tree->base};
	int rc = 0;

	(void)dir;
	if (is_image(plan, rec)) {
		ref.form = ISO_REF_IMAGE;
		plan->nimages++;
		return iso_plan_ref(plan, &ref);
	}
	if (!(rec->flags & ISO_FLAG_DIRECTORY))
		rc = note_content(plan, rec->extent,
		    rec->len == 0 ? 0 : rec->off - rec->extent + rec->len,
		    "a file");
	return rc < 0 ? rc : iso_plan_ref(plan, &ref);
}

static int
on_entry(void *arg, const struct iso_tree *tree, const struct iso_entry *entry)
{
	struct iso_plan *plan = arg;
	struct iso_susp_ce_disk ce;
	struct iso_ref ref = {.at = entry->at + 4, .base = tree->base};
	int rc = 0;

	if (iso_entry_is(entry, "CE", sizeof(ce))) {
		memcpy(&ce, entry->raw, sizeof(ce));
		ref.addr = iso_tree_off(tree, le32_get(ce.block.le));
		rc = note_content(plan, ref.addr,
		    (uint64_t)le32_get(ce.offset.le) + le32_get(ce.len.le),
		    "a continuation area");
	} else if (iso_entry_is(entry, "CL", 12) ||
	    iso_entry_is(entry, "PL", 12)) {
		memcpy(&ce, entry->raw, 12);
		ref.addr = iso_tree_off(tree, le32_get(ce.block.le));
	} else {
		return 0;
	}
	return rc < 0 ? rc : iso_plan_ref(plan, &ref);
}

/* Note the addresses in the path table of len bytes at off. */
static int
path_table_refs(struct iso_plan *plan, const struct iso_tree *tree,
    uint64_t off, uint32_t len, bool big)
{
	scoped(freep) uint8_t *table = NULL;
	struct iso_pathrec_disk rec;
	int rc = note_content(plan, off, len, "a path table");

	if (rc == 0 && len > PATH_TABLE_MAX) {
		log_error(
		    "the path table at byte %" PRIu64 " is too long", off);
		rc = -ECORRUPT;
	}
	if (rc < 0)
		return rc;
	table = malloc((size_t)len + 1);
	if (table == NULL)
		return -ENOMEM;
	rc = blkdev_read(plan->iso->dev, off, table, len);
	for (size_t i = 0; rc == 0 && i + sizeof(rec) <= len;
	     i += sizeof(rec) + rec.name_len + rec.name_len % 2) {
		struct iso_ref ref = {.at = off + i + 2, .base = tree->base};

		memcpy(&rec, table + i, sizeof(rec));
		if (rec.name_len == 0)
			break;
		ref.addr = iso_tree_off(tree, raw32_get(rec.extent, big));
		ref.form = big ? ISO_REF_BE : ISO_REF_LE;
		rc = iso_plan_ref(plan, &ref);
	}
	return rc;
}

/* The four path tables that a descriptor may name. */
static int
path_refs(struct iso_plan *plan, const struct iso_tree *tree,
    const struct iso_volume_disk *vol)
{
	uint32_t len = le32_get(vol->path_size.le);
	const struct {
		uint32_t sector;
		size_t at;
		bool big;
	} tables[] = {
	    {le32_get(vol->path_le), offsetof(struct iso_volume_disk, path_le),
		false},
	    {le32_get(vol->path_le_copy),
		offsetof(struct iso_volume_disk, path_le_copy), false},
	    {be32_get(vol->path_be), offsetof(struct iso_volume_disk, path_be),
		true},
	    {be32_get(vol->path_be_copy),
		offsetof(struct iso_volume_disk, path_be_copy), true},
	};
	int rc = 0;

	for (int i = 0; i < 4 && rc == 0; i++) {
		struct iso_ref ref = {.at = tree->at + tables[i].at,
		    .addr = iso_tree_off(tree, tables[i].sector),
		    .base = tree->base,
		    .form = tables[i].big ? ISO_REF_BE : ISO_REF_LE};

		if (tables[i].sector == 0)
			continue;
		rc = iso_plan_ref(plan, &ref);
		if (rc == 0)
			rc = path_table_refs(
			    plan, tree, ref.addr, len, tables[i].big);
	}
	return rc;
}

static int
tree_refs(struct iso_plan *plan, const struct iso_tree *tree)
{
	struct iso_walker walker = {.directory = on_directory,
	    .record = on_record,
	    .entry = on_entry,
	    .arg = plan};
	struct iso_volume_disk vol;
	struct iso_ref root = {
	    .at = tree->at + offsetof(struct iso_volume_disk, root) + 2,
	    .addr = tree->root_off,
	    .base = tree->base};
	int rc = blkdev_read(plan->iso->dev, tree->at, &vol, sizeof(vol));

	if (rc == 0)
		rc = iso_plan_ref(plan, &root);
	if (rc == 0)
		rc = path_refs(plan, tree, &vol);
	return rc == 0 ? iso_walk(plan->iso, tree, &walker) : rc;
}

static bool
is_known(const struct iso_plan *plan, uint64_t at)
{
	for (unsigned i = 0; i < plan->ntrees; i++)
		if (plan->trees[i].at == at)
			return true;
	return false;
}

/* Read the descriptor at byte at; 1: it is a primary or supplementary one. */
static int
read_volume(struct iso_plan *plan, uint64_t at, struct iso_volume_disk *vol)
{
	int rc;

	if (!iso_inside(plan->iso, at, sizeof(*vol)))
		return 0;
	rc = blkdev_read(plan->iso->dev, at, vol, sizeof(*vol));
	if (rc < 0)
		return rc;
	return memcmp(vol->id, "CD001", 5) == 0 &&
	    (vol->type == ISO_DESC_PRIMARY ||
		vol->type == ISO_DESC_SUPPLEMENTARY);
}

static int
add_copy(struct iso_plan *plan, uint64_t at, uint64_t base, uint64_t session)
{
	struct iso_tree *tree = &plan->trees[plan->ntrees];
	int rc;

	if (is_known(plan, at))
		return 0;
	if (plan->ntrees == 2 * ISO_TREES_MAX) {
		log_error("more than %d volume descriptors", 2 * ISO_TREES_MAX);
		return -ECORRUPT;
	}
	rc = iso_tree_read(plan->iso->dev, at, base, session, tree);
	if (rc == 0)
		rc = iso_susp_detect(plan->iso, tree);
	if (rc == 0)
		plan->ntrees++;
	return rc;
}

/*
 * A partition that holds the image may have descriptors and directories of its
 * own, whose sector numbers count from its start (xorriso -partition_offset).
 */
static int
add_partition_copies(struct iso_plan *plan, uint64_t base)
{
	uint64_t at = base + ISO_SYSTEM_SECTORS * ISO_SECTOR;
	struct iso_volume_disk vol;
	int rc = read_volume(plan, at, &vol);

	if (rc <= 0 || vol.type != ISO_DESC_PRIMARY ||
	    iso_tree_off(&(struct iso_tree){.base = base},
		le32_get(vol.size.le)) < plan->end)
		return rc < 0 ? rc : 0;
	for (int i = 0; i < ISO_DESCRIPTORS_MAX && rc == 1; i++) {
		rc = add_copy(plan, at, base, base);
		if (rc < 0)
			return rc;
		at += ISO_SECTOR;
		rc = read_volume(plan, at, &vol);
	}
	return rc < 0 ? rc : 0;
}

/*
 * xorriso writes the descriptors of a later session twice: at sector 16, and
 * where the session begins, shortly before its root directory.
 */
static int
add_session_copy(struct iso_plan *plan)
{
	const struct iso_tree *tree = &plan->trees[0];
	const uint64_t area = ISO_SYSTEM_SECTORS * ISO_SECTOR;
	int rc = 0;

	for (uint64_t i = 1; i <= COPY_GAP && rc >= 0; i++) {
		struct iso_volume_disk vol;
		uint64_t at = tree->root_off - i * ISO_SECTOR;

		if (at > tree->root_off || at < 2 * area)
			break;
		rc = read_volume(plan, at, &vol);
		if (rc == 1 && vol.type == ISO_DESC_PRIMARY &&
		    iso_tree_off(tree, le32_get(vol.root.extent.le)) ==
			tree->root_off)
			rc = add_copy(plan, at, 0, at - area);
	}
	return rc < 0 ? rc : 0;
}

static int
find_trees(struct iso_plan *plan)
{
	const struct iso *iso = plan->iso;
	struct iso_volume_disk vol;
	int rc = 0;

	plan->ntrees = iso->ntrees;
	memcpy(plan->trees, iso->trees, sizeof(iso->trees));
	for (unsigned i = 0; i < plan->area.n && rc == 0; i++) {
		uint64_t start = plan->area.slices[i].start;

		if (start > 0 && start < plan->start && start % ISO_SECTOR == 0)
			rc = add_partition_copies(plan, start);
	}
	if (rc < 0)
		return rc;
	/* Where xorriso has the first session's descriptors. */
	rc = read_volume(plan, 3 * ISO_SYSTEM_SECTORS * ISO_SECTOR, &vol);
	if (rc < 0)
		return rc;
	plan->several_sessions = iso->session != 0;
	if (rc == 0 || vol.type != ISO_DESC_PRIMARY)
		return 0;
	rc = add_session_copy(plan);
	if (!is_known(plan, 3 * ISO_SYSTEM_SECTORS * ISO_SECTOR))
		plan->several_sessions = true;
	return rc;
}

static int
partdesc_refs(struct iso_plan *plan)
{
	const struct iso *iso = plan->iso;
	struct iso_partdesc_disk disk;
	int rc = 0;

	for (unsigned i = 0; i < iso->npartdescs && rc == 0; i++) {
		struct iso_ref ref = {.at = iso->partdesc_at[i] +
			offsetof(struct iso_partdesc_disk, start)};

		rc = blkdev_read(
		    iso->dev, iso->partdesc_at[i], &disk, sizeof(disk));
		if (rc < 0)
			return rc;
		ref.addr = (uint64_t)le32_get(disk.start.le) * ISO_SECTOR;
		rc = iso_plan_ref(plan, &ref);
		if (rc == 0)
			rc = note_content(plan, ref.addr,
			    (uint64_t)le32_get(disk.size.le) * ISO_SECTOR,
			    "a volume partition");
	}
	return rc;
}

static int
gather(struct iso_plan *plan)
{
	int rc = find_trees(plan);

	for (unsigned i = 0; i < plan->ntrees && rc == 0; i++)
		rc = tree_refs(plan, &plan->trees[i]);
	if (rc == 0)
		rc = partdesc_refs(plan);
	if (rc == 0 && plan->iso->bootrec_at != 0)
		rc = note_content(
		    plan, plan->iso->catalog, ISO_SECTOR, "the boot catalog");
	return rc == 0 ? iso_boot_refs(plan) : rc;
}

/* Raise *end to the end of the last byte before high that is not zero. */
static int
scan_back(struct blkdev *dev, uint64_t high, uint64_t *end)
{
	scoped(freep) uint8_t *buf = malloc(SCAN_CHUNK);
	uint64_t low = *end;
	int rc;

	if (buf == NULL)
		return -ENOMEM;
	while (high > low) {
		size_t n =
		    high - low < SCAN_CHUNK ? (size_t)(high - low) : SCAN_CHUNK;

		rc = blkdev_read(dev, high - n, buf, n);
		if (rc < 0)
			return rc;
		while (n > 0 && buf[n - 1] == 0) {
			n--;
			high--;
		}
		if (n > 0) {
			*end = high;
			break;
		}
	}
	return 0;
}

static void
lower(uint64_t *a, uint64_t b)
{
	if (b < *a)
		*a = b;
}

static void
raise_to(uint64_t *a, uint64_t b)
{
	if (b > *a)
		*a = b;
}

/* Find content_end and tail, under invariants 1 and 2. */
static int
find_ends(struct iso_plan *plan, bool movable)
{
	const struct iso_info *info = &plan->iso->info;
	uint64_t dev_size = plan->iso->dev->size, end = plan->end;
	int rc;

	plan->tail = plan->size;
	lower(&plan->tail, iso_area_tail(plan, movable));
	if (movable && info->size >= plan->tree_end && info->size >= end)
		lower(&plan->tail, info->size);
	plan->tail = plan->tail / ISO_SECTOR * ISO_SECTOR;
	raise_to(&end, plan->tree_end);
	raise_to(&end, iso_area_content_end(plan));
	for (unsigned i = 0; i < info->nboot; i++) {
		uint64_t boot_end = info->boot[i].off + info->boot[i].len;

		if (info->boot[i].off < plan->tail) {
			lower(&boot_end, plan->tail);
			raise_to(&end, boot_end);
		}
	}
	lower(&dev_size, plan->tail);
	rc = scan_back(plan->iso->dev, dev_size, &end);
	plan->content_end = iso_round_up(end);
	raise_to(&plan->tail, plan->content_end);
	raise_to(&plan->size, plan->tail);
	return rc;
}

static int
lay_out(struct iso_plan *plan)
{
	struct iso_plan_info *info = &plan->info;
	uint64_t old = plan->end - plan->start;
	int rc = 0;

	info->why_not = plan->shared ? "something else shares its bytes"
				     : iso_why_not(plan, &rc);
	if (rc == 0)
		rc = find_ends(plan, info->why_not == NULL);
	if (rc < 0)
		return rc;
	info->moved = iso_area_tail_bytes(plan);
	if (plan->content_end == plan->end && !plan->shared) {
		info->why_not = NULL;
		info->image_off = plan->start;
	} else if (info->why_not == NULL) {
		info->image_off = plan->content_end - old;
		info->moved += plan->content_end - plan->end;
	} else {
		plan->appended = true;
		info->image_off = plan->content_end;
		info->wasted = old;
	}
	return 0;
}

/* What is new goes where nothing moves for it but the tail. */
static int
lay_out_append(struct iso_plan *plan)
{
	int rc = 0;
	const char *why_not = iso_why_not(plan, &rc);

	if (rc == 0)
		rc = find_ends(plan, why_not == NULL);
	plan->appended = true;
	plan->info.image_off = plan->content_end;
	plan->info.moved = iso_area_tail_bytes(plan);
	return rc;
}

static int
check_image(const struct iso *iso, const struct iso_node *image)
{
	const char *fault = NULL;

	if (!S_ISREG(image->mode))
		return -EINVAL;
	if (image->multi_extent)
		fault = "is not in one piece";
	else if (image->size == 0)
		fault = "is empty";
	else if (!iso_inside(iso, image->off, image->size))
		fault = "lies outside the ISO";
	if (fault == NULL)
		return 0;
	log_error("'%s' %s: the ISO cannot be patched", image->name, fault);
	return -ENOTSUP;
}

static int
make(struct iso_plan *plan)
{
	int rc = iso_area_open(plan);

	if (rc == 0)
		rc = gather(plan);
	if (rc < 0)
		return rc;
	if (plan->nimages == 0 && !plan->appends) {
		log_error("no directory record points at the file at byte "
			  "%" PRIu64 " as a plain one: the ISO cannot be "
			  "patched",
		    plan->start);
		return -ENOTSUP;
	}
	rc = iso_warn_of_sums(plan);
	if (rc < 0)
		return rc;
	return plan->appends ? lay_out_append(plan) : lay_out(plan);
}

/* Complete a plan that knows start and end; it is freed after an error. */
static int
complete(struct iso_plan *plan, struct iso_plan **out)
{
	uint64_t dev_size = plan->iso->dev->size;
	int rc;

	plan->size = dev_size > plan->end ? dev_size : plan->end;
	rc = make(plan);
	if (rc < 0)
		iso_plan_free(plan);
	else
		*out = plan;
	return rc;
}

int
iso_plan_make_append(struct iso *iso, struct iso_plan **out)
{
	struct iso_plan *plan = calloc(1, sizeof(*plan));

	if (plan == NULL)
		return -ENOMEM;
	plan->iso = iso;
	plan->appends = true;
	plan->start = iso->trees[0].root_off;
	plan->end = iso_round_up(plan->start + iso->trees[0].root_len);
	return complete(plan, out);
}

int
iso_plan_make(
    struct iso *iso, const struct iso_node *image, struct iso_plan **out)
{
	struct iso_plan *plan;
	int rc = check_image(iso, image);

	if (rc < 0)
		return rc;
	plan = calloc(1, sizeof(*plan));
	if (plan == NULL)
		return -ENOMEM;
	plan->iso = iso;
	plan->start = image->off;
	plan->old_len = image->size;
	plan->end = iso_round_up(image->off + image->size);
	return complete(plan, out);
}

const struct iso_plan_info *
iso_plan_info(const struct iso_plan *plan)
{
	return &plan->info;
}

void
iso_plan_free(struct iso_plan *plan)
{
	if (plan == NULL)
		return;
	iso_area_close(&plan->area);
	free(plan->refs);
	free(plan);
}
