/* Visiting a whole directory tree, hostile ones too. */
#include <inttypes.h>
#include <string.h>

#include "iso_impl.h"
#include "log.h"

/* How a directory was come to. */
enum {
	BY_CL = 1,
	BY_RECORD = 2,
	BY_SHALLOW_RECORD = 4, /* in the root or a directory of the root */
};

enum colour { WHITE, GREY, BLACK };

struct queued {
	struct iso_walk_dir dir;
	unsigned depth;
	unsigned ways;
	/* What holds it, by record and by CL: numbers plus one, 0 none. */
	size_t above[2];
	enum colour colour; /* see find_circle */
	int next;
};

struct walk {
	const struct iso *iso;
	const struct iso_tree *tree;
	const struct iso_walker *walker;
	uint64_t dir_budget, ce_budget; /* bytes */
	bool hidden; /* listings do not show the record as a directory */
	/* Directories to visit; those up to here have been. */
	struct queued *dirs;
	size_t here, n, room;
	/* Numbers of all dirs, plus one, hashed; a power of two of slots. */
	size_t *seen;
	size_t slots;
};

static size_t
slot_of(const struct walk *walk, uint64_t off)
{
	uint64_t hash = (off / ISO_SECTOR) * 0x9e3779b97f4a7c15;
	size_t slot = (size_t)(hash >> 20) & (walk->slots - 1);

	while (walk->seen[slot] != 0 &&
	    walk->dirs[walk->seen[slot] - 1].dir.off != off)
		slot = (slot + 1) & (walk->slots - 1);
	return slot;
}

static int
grow(struct walk *walk)
{
	size_t room = walk->room == 0 ? 64 : walk->room * 2;
	struct queued *dirs = realloc(walk->dirs, room * sizeof(*walk->dirs));

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
		walk->seen[slot_of(walk, dirs[i].dir.off)] = i + 1;
	return 0;
}

/*
 * A directory has one place; a relocated one has a second in rr_moved where
 * its record lacks RE (makefs).  That is no danger to those who recurse: the
 * ways to it are one more than to the place of its CL.
 */
static int
come_again(const struct walk *walk, struct queued *seen, unsigned way)
{
	unsigned ways = seen->ways | way;

	if (!walk->walker->visible ||
	    (!(seen->ways & way) && ways == (BY_CL | BY_SHALLOW_RECORD))) {
		seen->ways = ways;
		seen->above[way == BY_CL] = walk->here + 1;
		return 0;
	}
	log_error("the directory at byte %" PRIu64
		  " is in more than one place of the tree",
	    seen->dir.off);
	return -ECORRUPT;
}

/* Queue a directory that the one being visited holds, unless it has been. */
static int
queue(struct walk *walk, uint64_t off, uint64_t len, unsigned way)
{
	unsigned depth = walk->n > 0 ? walk->dirs[walk->here].depth + 1 : 0;
	size_t slot;
	int rc;

	if (way == BY_RECORD && depth <= 2)
		way = BY_SHALLOW_RECORD;
	if (walk->n == walk->room) {
		rc = grow(walk);
		if (rc < 0)
			return rc;
	}
	slot = slot_of(walk, off);
	if (walk->seen[slot] != 0)
		return come_again(walk, &walk->dirs[walk->seen[slot] - 1], way);
	if (len > walk->dir_budget) {
		log_error("the directory at byte %" PRIu64
			  " makes all directories longer than the image",
		    off);
		return -ECORRUPT;
	}
	walk->dir_budget -= len;
	walk->dirs[walk->n] =
	    (struct queued){.dir = {off, len}, .depth = depth, .ways = way};
	if (walk->n > 0)
		walk->dirs[walk->n].above[way == BY_CL] = walk->here + 1;
	walk->seen[slot] = ++walk->n;
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
	return rc < 0 ? rc : queue(walk, off, dot.len, BY_CL);
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
		if (iso_entry_is(&entry, "CL", 12) ||
		    iso_entry_is(&entry, "RE", 4))
			walk->hidden = true;
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

	walk->hidden = false;
	if (w->record != NULL)
		rc = w->record(w->arg, walk->tree, dir, rec);
	if (rc == 0 && walk->tree->susp)
		rc = visit_entries(walk, rec);
	if (rc < 0 || !(rec->flags & ISO_FLAG_DIRECTORY) ||
	    iso_record_is_dot(rec) || iso_record_is_dotdot(rec) ||
	    (w->visible && walk->hidden))
		return rc;
	return queue(walk, rec->off, rec->len, BY_RECORD);
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

static int
run(struct walk *walk)
{
	const struct iso_tree *tree = walk->tree;
	int rc = queue(walk, tree->root_off, tree->root_len, BY_RECORD);

	for (; rc == 0 && walk->here < walk->n; walk->here++) {
		struct iso_walk_dir here = walk->dirs[walk->here].dir;

		rc = visit_directory(walk, &here);
	}
	return rc;
}

static void
release(struct walk *walk)
{
	free(walk->dirs);
	free(walk->seen);
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
	int rc = run(&walk);

	release(&walk);
	return rc;
}

/*
 * Go up from directory i; 1 when that leads back.  What is grey is on the way
 * from i, in stack; what is black leads to the root.
 */
static int
find_circle(struct walk *walk, size_t i, size_t *stack)
{
	size_t n = 0;

	if (walk->dirs[i].colour != WHITE)
		return 0;
	stack[n++] = i;
	walk->dirs[i].colour = GREY;
	while (n > 0) {
		struct queued *dir = &walk->dirs[stack[n - 1]];
		size_t above;

		if (dir->next == 2) {
			dir->colour = BLACK;
			n--;
			continue;
		}
		above = dir->above[dir->next++];
		if (above == 0 || walk->dirs[above - 1].colour == BLACK)
			continue;
		if (walk->dirs[above - 1].colour == GREY)
			return 1;
		walk->dirs[above - 1].colour = GREY;
		stack[n++] = above - 1;
	}
	return 0;
}

static int
check_no_circle(struct walk *walk)
{
	scoped(freep) size_t *stack = calloc(walk->n, sizeof(*stack));

	if (stack == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < walk->n; i++) {
		if (find_circle(walk, i, stack) == 0)
			continue;
		log_error("the directory at byte %" PRIu64 " is inside itself",
		    walk->dirs[i].dir.off);
		return -ECORRUPT;
	}
	return 0;
}

int
iso_check_tree(struct iso *iso)
{
	struct iso_walker walker = {.visible = true};
	struct walk walk = {.iso = iso,
	    .tree = iso->main,
	    .walker = &walker,
	    .dir_budget = iso->dev->size,
	    .ce_budget = iso->dev->size};
	int rc = run(&walk);

	if (rc == 0)
		rc = check_no_circle(&walk);
	release(&walk);
	return rc;
}
