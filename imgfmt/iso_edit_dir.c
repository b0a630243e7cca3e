/*
 * Directories of an edited ISO: the old records that stay, as they are or with
 * other numbers, and new ones between them.
 */
#include <string.h>
#include <sys/stat.h>

#include "iso_edit_impl.h"
#include "log.h"

/* -- records --------------------------------------------------------------- */

const char *
iso_edit_id(const uint8_t *raw, size_t *len)
{
	*len = raw[offsetof(struct iso_record_disk, name_len)];
	return (const char *)raw + sizeof(struct iso_record_disk);
}

static int
add_slot(struct iso_edit_content *c, size_t at, const uint8_t *raw,
    struct iso_edit_node *node)
{
	if (c->n == c->room) {
		size_t room = c->room == 0 ? 64 : 2 * c->room;
		void *more = realloc(c->slot, room * sizeof(*c->slot));

		if (more == NULL)
			return -ENOMEM;
		c->slot = more;
		c->room = room;
	}
	memmove(c->slot + at + 1, c->slot + at, (c->n - at) * sizeof(*c->slot));
	c->slot[at] = (struct iso_edit_slot){raw, node};
	c->n++;
	return 0;
}

/* Who takes the place of that record; hint is who took the last one. */
static struct iso_edit_node *
who_replaces(
    const struct iso_edit_node *dir, struct iso_edit_node **hint, uint64_t at)
{
	struct iso_edit_node *first = *hint != NULL ? (*hint)->next : NULL;

	for (struct iso_edit_node *n = first; n != NULL; n = n->next)
		if (n->own->replaces == at)
			return *hint = n;
	for (struct iso_edit_node *n = dir->child; n != first; n = n->next)
		if (n->own->replaces == at)
			return *hint = n;
	return NULL;
}

/* Whether the old record tells of the same kind of node, so that it can be
 * kept with other numbers. */
static int
is_alike(struct iso_edit *edit, const struct iso_edit_node *node)
{
	struct iso_node old;
	int rc = iso_node_at(edit->iso, node->own->replaces, &old);

	if (rc < 0)
		return rc == -EINVAL ? -ECORRUPT : rc;
	return !old.multi_extent && !S_ISLNK(node->mode) &&
	    (old.mode & S_IFMT) == (node->mode & S_IFMT) &&
	    old.rdev_major == node->rdev_major &&
	    old.rdev_minor == node->rdev_minor;
}

/* The record of a node whose name is in the directory already. */
static int
put_known(struct iso_edit *edit, struct iso_edit_content *c,
    struct iso_edit_node *node, const struct iso_record *rec,
    const uint8_t *raw)
{
	size_t len;
	const char *id;
	int rc;

	if (node->own->same) {
		memcpy(node->own->rec[OWN_ENTRY], raw, raw[0]);
		return add_slot(c, c->n, node->own->rec[OWN_ENTRY], node);
	}
	rc = is_alike(edit, node);
	id = iso_edit_id(raw, &len);
	if (rc == 1)
		rc = iso_edit_copy_record(edit, node, OWN_ENTRY, rec);
	else if (rc == 0)
		rc = iso_edit_make_record(edit, node, OWN_ENTRY, id, len);
	return rc < 0 ? rc : add_slot(c, c->n, node->own->rec[OWN_ENTRY], node);
}

static int
put_dot(struct iso_edit *edit, struct iso_edit_content *c,
    struct iso_edit_node *dir, int which, const struct iso_record *rec,
    const uint8_t *raw)
{
	int rc = 0;

	if (which == OWN_DOT)
		rc = iso_edit_copy_record(edit, dir, OWN_DOT, rec);
	else
		memcpy(dir->own->rec[OWN_DOTDOT], raw, raw[0]);
	return rc < 0 ? rc : add_slot(c, c->n, dir->own->rec[which], NULL);
}

/* Going through the old records of a directory. */
struct taking {
	struct iso_edit_node *dir, *hint;
	bool goes_on; /* the record is a further extent of the one before */
	bool kept;    /* which stays as it was */
};

/* Keep, change or leave out one. */
static int
take_record(
    struct iso_edit *edit, struct taking *t, const struct iso_record *rec)
{
	struct iso_edit_content *c = &t->dir->own->content;
	const uint8_t *raw = c->old + (rec->at - t->dir->own->base.off);
	struct iso_edit_node *node = NULL;
	int rc = 0;

	if (iso_record_is_dot(rec))
		return put_dot(edit, c, t->dir, OWN_DOT, rec, raw);
	if (iso_record_is_dotdot(rec))
		return put_dot(edit, c, t->dir, OWN_DOTDOT, rec, raw);
	if (!t->goes_on) {
		node = who_replaces(t->dir, &t->hint, rec->at);
		t->kept = node != NULL ? node->own->same
				       : !iso_edit_lists(t->dir, rec->at);
	}
	if (node != NULL)
		rc = put_known(edit, c, node, rec, raw);
	else if (t->kept)
		rc = add_slot(c, c->n, raw, NULL);
	t->goes_on = (rec->flags & ISO_FLAG_MORE) != 0;
	return rc;
}

static int
take_old(struct iso_edit *edit, struct iso_edit_content *c,
    struct iso_edit_node *dir)
{
	const struct iso_node *base = &dir->own->base;
	struct taking taking = {.dir = dir};
	struct iso_record rec;
	struct iso_dir it;
	int rc;

	c->old = malloc((size_t)base->size + 1);
	if (c->old == NULL)
		return -ENOMEM;
	rc = blkdev_read(edit->iso->dev, base->off, c->old, base->size);
	if (rc == 0)
		rc = iso_dir_open(
		    &it, edit->iso, edit->tree, base->off, base->size);
	while (rc >= 0 && (rc = iso_dir_next(&it, &rec)) == 1)
		rc = take_record(edit, &taking, &rec);
	return rc;
}

static bool
is_taken(void *arg, const char *id, size_t len)
{
	const struct iso_edit_content *c = arg;

	for (size_t i = 0; i < c->n; i++) {
		size_t n;
		const char *other = iso_edit_id(c->slot[i].raw, &n);

		if (iso_edit_compare_ids(other, n, id, len) == 0)
			return true;
	}
	return false;
}

/* A name that is new to the directory, in its place by identifier. */
static int
put_new(struct iso_edit *edit, struct iso_edit_content *c,
    struct iso_edit_node *node)
{
	const struct iso_edit_taken taken = {is_taken, c, &c->number};
	char id[ISO_NAME_MAX + 1];
	size_t len = 0, at = 2;
	int rc = iso_edit_identifier(
	    &edit->dialect, node->name, iso_edit_is_dir(node), &taken, id);

	if (rc < 0) {
		char path[ISO_EDIT_PATH_MAX];

		log_error("'%s' cannot have a name on the ISO: %s",
		    iso_edit_path_of(node, path), strerror(-rc));
		return rc;
	}
	len = (size_t)rc;
	rc = iso_edit_make_record(edit, node, OWN_ENTRY, id, len);
	if (rc < 0)
		return rc;
	for (; at < c->n; at++) {
		size_t n;
		const char *other = iso_edit_id(c->slot[at].raw, &n);

		if (iso_edit_compare_ids(other, n, id, len) > 0)
			break;
	}
	return add_slot(c, at, node->own->rec[OWN_ENTRY], node);
}

static int
put_new_dots(struct iso_edit *edit, struct iso_edit_content *c,
    struct iso_edit_node *dir)
{
	int rc = iso_edit_make_record(edit, dir, OWN_DOT, "\0", 1);

	if (rc == 0)
		rc = iso_edit_make_record(edit, dir, OWN_DOTDOT, "\1", 1);
	if (rc == 0)
		rc = add_slot(c, 0, dir->own->rec[OWN_DOT], NULL);
	return rc < 0 ? rc : add_slot(c, 1, dir->own->rec[OWN_DOTDOT], NULL);
}

/* Where the record of raw[0] bytes goes that is due at pos. */
static uint64_t
pack(uint64_t pos, uint8_t len)
{
	return pos % ISO_SECTOR + len > ISO_SECTOR ? iso_round_up(pos) : pos;
}

static uint64_t
packed_len(const struct iso_edit_content *c)
{
	uint64_t pos = 0;

	for (size_t i = 0; i < c->n; i++)
		pos = pack(pos, c->slot[i].raw[0]) + c->slot[i].raw[0];
	return iso_round_up(pos);
}

int
iso_edit_gather(struct iso_edit *edit, struct iso_edit_node *dir)
{
	struct iso_edit_content *c = &dir->own->content;
	int rc = dir->record != 0 ? take_old(edit, c, dir)
				  : put_new_dots(edit, c, dir);

	for (struct iso_edit_node *n = dir->child; n != NULL && rc >= 0;
	     n = n->next)
		if (n->own->replaces == 0)
			rc = put_new(edit, c, n);
	dir->own->len = packed_len(c);
	return rc;
}

/* 1: the record of slot is one of an entry's, and goes on in an old area. */
static int
goes_on(struct iso_edit *edit, const struct iso_edit_slot *slot)
{
	const struct iso_edit_node *node = slot->node;
	struct iso_susp susp;
	struct iso_entry entry;
	struct iso_record rec;
	struct iso_dir it;
	int rc;

	if (node == NULL || node->own->replaces == 0 ||
	    node->own->area[OWN_ENTRY] != NULL || node->own->base.multi_extent)
		return 0;
	rc = iso_record_at(
	    &it, edit->iso, edit->tree, node->own->replaces, &rec);
	if (rc < 0)
		return rc;
	iso_susp_start(&susp, edit->iso, edit->tree, &rec);
	while ((rc = iso_susp_next(&susp, &entry)) == 1)
		if (entry.at < rec.at || entry.at >= rec.at + rec.raw[0])
			return 1;
	return rc;
}

/* The entry's bytes, which may be changed ones. */
static const uint8_t *
bytes_of(const struct iso_edit *edit, const struct iso_entry *entry)
{
	for (size_t i = edit->npatches; i-- > 0;)
		if (edit->patches[i].at == entry->at)
			return edit->patches[i].bytes;
	return entry->raw;
}

/*
 * Gather what rec goes on with in bytes: its length, 0 if that would not fit.
 * *ce is where the CE entry lies in the record.
 */
static int
read_areas(struct iso_edit *edit, const struct iso_record *rec,
    uint8_t bytes[ISO_SECTOR], size_t *ce)
{
	struct iso_susp susp;
	struct iso_entry entry;
	size_t len = 0;
	int rc;

	iso_susp_start(&susp, edit->iso, edit->tree, rec);
	while ((rc = iso_susp_next(&susp, &entry)) == 1) {
		bool inside =
		    entry.at >= rec->at && entry.at < rec->at + rec->raw[0];
		bool is_ce =
		    iso_entry_is(&entry, "CE", sizeof(struct iso_susp_ce_disk));
		size_t n = entry.raw[2];

		if (inside && is_ce)
			*ce = (size_t)(entry.at - rec->at);
		if (inside || is_ce)
			continue;
		if (n > ISO_SECTOR - len)
			return 0;
		memcpy(bytes + len, bytes_of(edit, &entry), n);
		len += n;
	}
	return rc < 0 ? rc : (int)len;
}

/* Give a dot, whose old record is at byte at, an area of its own. */
static int
bring_dot(
    struct iso_edit *edit, struct iso_edit_own *own, int which, uint64_t at)
{
	uint8_t bytes[ISO_SECTOR];
	struct iso_record rec;
	struct iso_dir it;
	int rc = iso_record_at(&it, edit->iso, edit->tree, at, &rec);

	if (rc < 0 ||
	    !(which == OWN_DOT ? iso_record_is_dot(&rec)
			       : iso_record_is_dotdot(&rec)))
		return rc;
	rc = read_areas(edit, &rec, bytes, &own->ce_pos[which]);
	if (rc <= 0)
		return rc;
	own->area_len[which] = (size_t)rc;
	own->area[which] = malloc(own->area_len[which]);
	if (own->area[which] == NULL)
		return -ENOMEM;
	memcpy(own->area[which], bytes, own->area_len[which]);
	return 0;
}

int
iso_edit_bring_areas(struct iso_edit *edit, struct iso_edit_node *dir)
{
	struct iso_edit_content *c = &dir->own->content;
	uint64_t at = dir->own->base.off;

	for (size_t i = 0; edit->dialect.rock_ridge && i < 2 && i < c->n; i++) {
		int rc = bring_dot(
		    edit, dir->own, i == 0 ? OWN_DOT : OWN_DOTDOT, at);

		if (rc < 0)
			return rc;
		at += c->slot[i].raw[0];
	}
	for (size_t i = 2; edit->dialect.rock_ridge && i < c->n; i++) {
		struct iso_edit_node *node = c->slot[i].node;
		char id[ISO_RECORD_MAX];
		size_t len;
		int rc = goes_on(edit, &c->slot[i]);

		if (rc == 1) {
			memcpy(id, iso_edit_id(c->slot[i].raw, &len),
			    c->slot[i].raw[0] - sizeof(struct iso_record_disk));
			node->own->same = false;
			rc = iso_edit_make_record(
			    edit, node, OWN_ENTRY, id, len);
		}
		if (rc < 0)
			return rc;
	}
	dir->own->len = packed_len(c);
	return 0;
}

/* -- writing --------------------------------------------------------------- */

static void
set_area(struct iso_edit_own *own, int which)
{
	uint64_t at = own->area_at[which];
	uint32_t values[3] = {(uint32_t)(at / ISO_SECTOR),
	    (uint32_t)(at % ISO_SECTOR), (uint32_t)own->area_len[which]};
	uint8_t *ce = own->rec[which] + own->ce_pos[which];

	for (size_t i = 0; own->area[which] != NULL && i < 3; i++) {
		struct iso_both32 n = {
		    le32_set(values[i]), be32_set(values[i])};

		memcpy(ce + 4 + i * sizeof(n), &n, sizeof(n));
	}
}

/* All addresses in a directory's records. */
static void
set_places(struct iso_edit *edit, struct iso_edit_content *c,
    struct iso_edit_node *dir)
{
	const struct iso_edit_node *above =
	    dir->own->parent != NULL ? dir->own->parent : edit->root;

	iso_edit_set_place(
	    dir->own->rec[OWN_DOT], dir->own->off, dir->own->len);
	iso_edit_set_place(
	    dir->own->rec[OWN_DOTDOT], above->own->off, above->own->len);
	set_area(dir->own, OWN_DOT);
	set_area(dir->own, OWN_DOTDOT);
	for (size_t i = 2; i < c->n; i++) {
		struct iso_edit_node *node = c->slot[i].node;

		if (node == NULL)
			continue;
		if (iso_edit_is_dir(node) ||
		    (S_ISREG(node->mode) && !node->own->same)) {
			uint8_t *raw = node->own->rec[OWN_ENTRY];

			iso_edit_set_place(raw, node->own->off, node->own->len);
			raw[offsetof(struct iso_record_disk, xattr_len)] = 0;
		}
		set_area(node->own, OWN_ENTRY);
	}
}

/* Whether the directory lies where it was, with the same bytes. */
static bool
is_unchanged(const struct iso_edit_node *dir, const uint8_t *bytes)
{
	const struct iso_edit_own *own = dir->own;

	return !own->placed &&
	    memcmp(bytes, own->content.old, own->base.size) == 0;
}

int
iso_edit_write_dir(struct iso_edit *edit, struct iso_edit_node *dir)
{
	struct iso_edit_own *own = dir->own;
	struct iso_edit_content *c = &own->content;
	size_t len = (size_t)iso_round_up(own->len);
	scoped(freep) uint8_t *bytes = calloc(1, len);
	uint64_t pos = 0;

	if (bytes == NULL)
		return -ENOMEM;
	set_places(edit, c, dir);
	for (size_t i = 0; i < c->n; i++) {
		const uint8_t *raw = c->slot[i].raw;

		pos = pack(pos, raw[0]);
		memcpy(bytes + pos, raw, raw[0]);
		pos += raw[0];
	}
	return is_unchanged(dir, bytes)
	    ? 0
	    : blkdev_write(edit->out, own->off, bytes, len);
}
