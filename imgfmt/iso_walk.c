/* Visiting a whole directory tree, hostile ones too. */
#include <inttypes.h>
#include <string.h>

#include "iso_impl.h"
#include "log.h"

struct walk {
	const struct iso *iso;
	const struct iso_tree *tree;
	const struct iso_walker *walker;
	uint64_t dir_budget, ce_budget; /* bytes */
	/* Directories to visit; those before next have been. */
	struct iso_walk_dir *dirs;
	size_t next, n, room;
	/* Offsets of all of dirs, plus one, hashed; a power of two of slots. */
	uint64_t *seen;
	size_t slots;
};

static size_t
slot_of(const struct walk *walk, uint64_t off)
{
	uint64_t hash = (off / ISO_SECTOR) * 0x9e3779b97f4a7c15;
	size_t slot = (size_t)(hash >> 20) & (walk->slots - 1);

	while (walk->seen[slot] != 0 && walk->seen[slot] != off + 1)
		slot = (slot + 1) & (walk->slots - 1);
	return slot;
}

static int
grow(struct walk *walk)
{
	size_t room = walk->room == 0 ? 64 : walk->room * 2;
	struct iso_walk_dir *dirs =
	    realloc(walk->dirs, room * sizeof(*walk->dirs));

	if (dirs == NULL)
		return -ENOMEM;
	walk->dirs = dirs;
	walk->room = room;
	free(walk->seen);
	walk->slots = room * 4;
	walk->seen = calloc(walk->slots, sizeof(*walk->seen));
	if (walk->seen == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < walk->n; i++)
		walk->seen[slot_of(walk, dirs[i].off)] = dirs[i].off + 1;
	return 0;
}

/* Queue a directory, unless it has been. */
static int
queue(struct walk *walk, uint64_t off, uint64_t len)
{
	size_t slot;
	int rc;

	if (walk->n == walk->room) {
		rc = grow(walk);
		if (rc < 0)
			return rc;
	}
	slot = slot_of(walk, off);
	if (walk->seen[slot] != 0)
		return 0;
	if (len > walk->dir_budget) {
		log_error("the directory at byte %" PRIu64
			  " makes all directories longer than the image",
		    off);
		return -ECORRUPT;
	}
	walk->dir_budget -= len;
	walk->seen[slot] = off + 1;
	walk->dirs[walk->n++] = (struct iso_walk_dir){off, len};
	return 0;
}

/* Queue the directory that a CL entry points at. */
static int
queue_child(struct walk *walk, const struct iso_entry *entry)
{
	struct iso_susp_link_disk cl;
	struct iso_dir dir;
	struct iso_record dot;
	uint64_t off;
	int rc;

	memcpy(&cl, entry->raw, sizeof(cl));
	off = iso_tree_off(walk->tree, le32_get(cl.block.le));
	rc = iso_record_at(&dir, walk->iso, walk->tree, off, &dot);
	if (rc == -EINVAL || (rc == 0 && !iso_record_is_dot(&dot))) {
		log_error("the CL entry at byte %" PRIu64
			  " points at no directory",
		    entry->at);
		return -ECORRUPT;
	}
	return rc < 0 ? rc : queue(walk, off, dot.len);
}

static int
spend_area(struct walk *walk, const struct iso_entry *entry)
{
	struct iso_susp_ce_disk ce;
	uint32_t len;

	memcpy(&ce, entry->raw, sizeof(ce));
	len = le32_get(ce.len.le);
	if (len > walk->ce_budget) {
		log_error("the CE entry at byte %" PRIu64
			  " makes all continuations longer than the image",
		    entry->at);
		return -ECORRUPT;
	}
	walk->ce_budget -= len;
	return 0;
}

static int
visit_entries(struct walk *walk, const struct iso_record *rec)
{
	const struct iso_walker *w = walk->walker;
	struct iso_susp susp;
	struct iso_entry entry;
	int rc;

	iso_susp_start(&susp, walk->iso, walk->tree, rec);
	while ((rc = iso_susp_next(&susp, &entry)) == 1) {
		rc = 0;
		if (iso_entry_is(&entry, "CE", 28))
			rc = spend_area(walk, &entry);
		else if (iso_entry_is(&entry, "CL", 12))
			rc = queue_child(walk, &entry);
		if (rc == 0 && w->entry != NULL)
			rc = w->entry(w->arg, walk->tree, &entry);
		if (rc < 0)
			return rc;
	}
	return rc;
}

static int
visit_record(struct walk *walk, const struct iso_walk_dir *dir,
    const struct iso_record *rec)
{
	const struct iso_walker *w = walk->walker;
	int rc = 0;

	if (w->record != NULL)
		rc = w->record(w->arg, walk->tree, dir, rec);
	if (rc == 0 && walk->tree->susp)
		rc = visit_entries(walk, rec);
	if (rc == 0 && rec->flags & ISO_FLAG_DIRECTORY &&
	    !iso_record_is_dot(rec) && !iso_record_is_dotdot(rec))
		rc = queue(walk, rec->off, rec->len);
	return rc;
}

static int
visit_directory(struct walk *walk, const struct iso_walk_dir *here)
{
	const struct iso_walker *w = walk->walker;
	struct iso_dir dir;
	struct iso_record rec;
	int rc = 0;

	if (w->directory != NULL)
		rc = w->directory(w->arg, walk->tree, here);
	if (rc == 0)
		rc = iso_dir_open(
		    &dir, walk->iso, walk->tree, here->off, here->len);
	while (rc >= 0 && (rc = iso_dir_next(&dir, &rec)) == 1)
		rc = visit_record(walk, here, &rec);
	return rc;
}

int
iso_walk(const struct iso *iso, const struct iso_tree *tree,
    const struct iso_walker *walker)
{
	struct walk walk = {.iso = iso,
	    .tree = tree,
	    .walker = walker,
	    .dir_budget = iso->dev->size,
	    .ce_budget = iso->dev->size};
	int rc = queue(&walk, tree->root_off, tree->root_len);

	while (rc == 0 && walk.next < walk.n) {
		struct iso_walk_dir here = walk.dirs[walk.next++];

		rc = visit_directory(&walk, &here);
	}
	free(walk.dirs);
	free(walk.seen);
	return rc;
}
