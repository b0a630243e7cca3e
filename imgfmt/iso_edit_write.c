/* Laying out an edited ISO, and writing it. */
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "iso_edit_impl.h"
#include "log.h"

enum { CHUNK = 1 << 20 };

/* -- lay out --------------------------------------------------------------- */

static uint64_t
place(struct iso_edit *edit, uint64_t len)
{
	uint64_t at = iso_round_up(edit->next);

	edit->next = at + len;
	return at;
}

static int
check_file(const struct iso_edit_node *node)
{
	char path[ISO_EDIT_PATH_MAX];

	if (node->record != 0 && node->own->base.multi_extent) {
		log_error("'%s' is not in one piece on the ISO and cannot be "
			  "changed",
		    iso_edit_path_of(node, path));
		return -ENOTSUP;
	}
	if (node->record != 0 || node->size <= UINT32_MAX)
		return 0;
	log_error("'%s' has %" PRIu64 " bytes: FreeBSD reads files on an ISO "
		  "only below 4 GiB",
	    iso_edit_path_of(node, path), node->size);
	return -EFBIG;
}

/*
 * An empty file's address means nothing, but libarchive takes the file for a
 * loop if the directory it is in lies there: it is 0, also where an old one in
 * a directory that moves may be at the new one's place.
 */
static bool
is_placed_nowhere(const struct iso_edit *edit, const struct iso_edit_node *node)
{
	const struct iso_edit_own *own = node->own;

	if (node->record == 0 || own->base.size > 0)
		return node->record == 0 && node->size == 0;
	return !own->same ||
	    (own->parent->own->placed &&
		own->base.off >= iso_plan_info(edit->plan)->image_off);
}

/*
 * New data goes to the end; also old data that becomes a boot image, or whose
 * record goes on in a continuation area: libarchive wants that before the data.
 */
static int
place_file(struct iso_edit *edit, struct iso_edit_node *node)
{
	struct iso_edit_own *own = node->own;
	int rc;

	if (S_ISREG(node->mode) && is_placed_nowhere(edit, node)) {
		own->same = false;
		return 0; /* off and len are 0 */
	}
	if (!S_ISREG(node->mode) || own->same)
		return 0;
	rc = check_file(node);
	if (rc < 0)
		return rc;
	own->len = node->record != 0 ? own->base.size : node->size;
	own->off = own->base.off;
	own->placed = node->record == 0 || own->area[OWN_ENTRY] != NULL ||
	    own->boot_len > 0;
	if (own->placed)
		own->off = place(edit, own->len);
	if (own->boot_len > 0)
		iso_boot_moved(edit->plan,
		    &(struct iso_move){
			own->boot_off, own->off, own->boot_len, own->len});
	return 0;
}

/* Continuation areas share sectors, none crosses from one to the next. */
static void
place_area(struct iso_edit *edit, struct iso_edit_node *node, int which)
{
	struct iso_edit_own *own = node->own;

	if (own->area[which] == NULL)
		return;
	if (edit->next % ISO_SECTOR + own->area_len[which] > ISO_SECTOR)
		edit->next = iso_round_up(edit->next);
	own->area_at[which] = edit->next;
	edit->next += own->area_len[which];
}

/* Whether a record of an entry of dir goes on in a new continuation area. */
static bool
has_areas(const struct iso_edit_node *dir)
{
	for (const struct iso_edit_node *n = dir->child; n != NULL; n = n->next)
		if (n->own->area[OWN_ENTRY] != NULL)
			return true;
	return false;
}

/*
 * A directory, and behind it what its records go on in.  libarchive reads
 * directories and continuation areas only forward: where the directory above
 * goes to the end this one does too, and an area is never before its directory
 * nor far behind it.
 */
static int
place_dir(struct iso_edit *edit, struct iso_edit_node *dir)
{
	struct iso_edit_own *own = dir->own;
	int rc = iso_edit_gather(edit, dir);

	own->placed = dir->record == 0 || has_areas(dir) ||
	    own->len != iso_round_up(own->base.size) ||
	    (own->parent != NULL && own->parent->own->off > own->base.off);
	if (rc == 0 && own->placed && dir->record != 0)
		rc = iso_edit_bring_areas(edit, dir);
	own->off = own->placed ? place(edit, own->len) : own->base.off;
	if (!own->placed)
		own->len = own->base.size;
	place_area(edit, dir, OWN_DOT);
	place_area(edit, dir, OWN_DOTDOT);
	for (struct iso_edit_node *n = dir->child; n != NULL; n = n->next)
		place_area(edit, n, OWN_ENTRY);
	return rc;
}

/* Call each for every node, parents first. */
static int
each_node(struct iso_edit *edit,
    int (*each)(struct iso_edit *edit, struct iso_edit_node *node))
{
	int rc = 0;

	for (size_t i = 0; i < edit->ndirs && rc >= 0; i++)
		for (struct iso_edit_node *n = edit->dirs[i]->child;
		     n != NULL && rc >= 0; n = n->next)
			rc = each(edit, n);
	return rc;
}

static int
lay_out(struct iso_edit *edit)
{
	int rc = 0;

	for (size_t i = 0; i < edit->ndirs && rc == 0; i++)
		rc = place_dir(edit, edit->dirs[i]);
	if (rc == 0)
		rc = each_node(edit, place_file);
	edit->next = iso_round_up(edit->next);
	return rc < 0 ? rc : iso_edit_place_paths(edit);
}

/* -- write: files ---------------------------------------------------------- */

static int
write_file(struct iso_edit *edit, struct iso_edit_node *node)
{
	scoped(freep) uint8_t *buf = NULL;
	uint64_t done = 0;

	if (!S_ISREG(node->mode) || !node->own->placed)
		return 0;
	if (node->record != 0)
		return blkdev_copy(edit->iso->dev, node->own->base.off,
		    edit->out, node->own->off, node->own->len);
	buf = malloc(CHUNK);
	if (buf == NULL)
		return -ENOMEM;
	while (done < node->size) {
		size_t n = node->size - done < CHUNK
		    ? (size_t)(node->size - done)
		    : CHUNK;
		int64_t got = edit->source->read(
		    edit->source->arg, node->id, done, buf, n);
		int rc;

		if (got < 0)
			return (int)got;
		if ((size_t)got != n)
			return -EIO;
		rc = blkdev_write(edit->out, node->own->off + done, buf, n);
		if (rc < 0)
			return rc;
		done += n;
	}
	return 0;
}

static int
write_areas(struct iso_edit *edit, struct iso_edit_node *node)
{
	const struct iso_edit_own *own = node->own;
	int rc = 0;

	for (int i = 0; i < 3 && rc == 0; i++)
		if (own->area[i] != NULL)
			rc = blkdev_write(edit->out, own->area_at[i],
			    own->area[i], own->area_len[i]);
	return rc;
}

/* -- as a whole ------------------------------------------------------------ */

static int
write_patches(struct iso_edit *edit)
{
	int rc = 0;

	for (size_t i = 0; i < edit->npatches && rc == 0; i++)
		rc = blkdev_write(edit->out, edit->patches[i].at,
		    edit->patches[i].bytes, edit->patches[i].len);
	return rc;
}

/*
 * The plan's numbers, all computed from the old ISO, come first; what is
 * edited is written over them.
 */
static int
write_all(struct iso_edit *edit)
{
	uint64_t start = iso_plan_info(edit->plan)->image_off;
	int rc = blkdev_resize(edit->out, edit->next);

	if (rc == 0)
		rc = iso_plan_finish(edit->plan, edit->out, edit->next - start);
	if (rc == 0)
		rc = each_node(edit, write_file);
	if (rc == 0)
		rc = write_areas(edit, edit->root);
	if (rc == 0)
		rc = each_node(edit, write_areas);
	for (size_t i = 0; i < edit->ndirs && rc == 0; i++)
		rc = iso_edit_write_dir(edit, edit->dirs[i]);
	if (rc == 0)
		rc = write_patches(edit);
	if (rc == 0)
		rc = iso_edit_write_paths(edit);
	return rc == 0 ? iso_boot_follow(edit->plan, edit->out) : rc;
}

static int
prepare(struct iso_edit *edit)
{
	int rc;
	const char *why = iso_edit_why_not(edit->iso, &rc);

	if (rc == 0 && why != NULL) {
		log_error("the ISO's own tree cannot be edited: %s", why);
		rc = -ENOTSUP;
	}
	if (rc == 0)
		rc = iso_edit_learn(edit->iso, &edit->dialect, NULL);
	if (rc == 0)
		rc = iso_edit_bind(edit);
	if (rc == 0)
		rc = iso_edit_follow_boot(edit);
	return rc == 0 ? iso_plan_make_append(edit->iso, &edit->plan) : rc;
}

int
iso_edit_write(struct iso *iso, struct iso_edit_node *root,
    const struct iso_edit_source *source, struct blkdev *out)
{
	struct iso_edit edit = {.iso = iso,
	    .tree = iso->main,
	    .root = root,
	    .source = source,
	    .out = out};
	int rc = prepare(&edit);

	if (rc == 0) {
		edit.next = iso_plan_info(edit.plan)->image_off;
		edit.serial = edit.dialect.serials;
		rc = lay_out(&edit);
	}
	if (rc == 0)
		rc = iso_plan_copy(edit.plan, out);
	if (rc == 0)
		rc = write_all(&edit);
	iso_plan_free(edit.plan);
	free(edit.dirs);
	free(edit.patches);
	return rc;
}
