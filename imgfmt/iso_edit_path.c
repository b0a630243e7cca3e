/* Path tables of an edited ISO, and its volume descriptor. */
#include <string.h>
#include <sys/stat.h>

#include "iso_edit_impl.h"
#include "log.h"

enum { DIRS_MAX = UINT16_MAX };

/* -- order ----------------------------------------------------------------- */

static int
by_identifier(const void *a, const void *b)
{
	const struct iso_edit_node *x = *(struct iso_edit_node *const *)a;
	const struct iso_edit_node *y = *(struct iso_edit_node *const *)b;
	size_t n, m;
	const char *p = iso_edit_id(x->own->rec[OWN_ENTRY], &n);
	const char *q = iso_edit_id(y->own->rec[OWN_ENTRY], &m);

	return iso_edit_compare_ids(p, n, q, m);
}

/* Level by level, in each by the number above and the identifier. */
static void
sort_dirs(struct iso_edit *edit)
{
	size_t n = 1;

	for (size_t i = 0; i < edit->ndirs; i++) {
		size_t first = n;

		edit->dirs[i]->own->number = (uint32_t)i + 1;
		for (struct iso_edit_node *c = edit->dirs[i]->child; c != NULL;
		     c = c->next)
			if (iso_edit_is_dir(c))
				edit->dirs[n++] = c;
		qsort(edit->dirs + first, n - first, sizeof(*edit->dirs),
		    by_identifier);
	}
}

/* -- tables ---------------------------------------------------------------- */

static const char *
path_id(const struct iso_edit_node *dir, size_t *len)
{
	if (dir->own->parent != NULL)
		return iso_edit_id(dir->own->rec[OWN_ENTRY], len);
	*len = 1;
	return "";
}

static size_t
table_len(const struct iso_edit *edit)
{
	size_t len = 0;

	for (size_t i = 0; i < edit->ndirs; i++) {
		size_t n;

		(void)path_id(edit->dirs[i], &n);
		len += sizeof(struct iso_pathrec_disk) + n + n % 2;
	}
	return len;
}

static void
fill_table(const struct iso_edit *edit, bool big, uint8_t *out)
{
	for (size_t i = 0; i < edit->ndirs; i++) {
		const struct iso_edit_node *dir = edit->dirs[i];
		const struct iso_edit_node *above =
		    dir->own->parent != NULL ? dir->own->parent : dir;
		struct iso_pathrec_disk rec = {0};
		size_t n;
		const char *id = path_id(dir, &n);

		rec.name_len = (uint8_t)n;
		rec.extent =
		    raw32_set((uint32_t)(dir->own->off / ISO_SECTOR), big);
		rec.parent = raw16_set((uint16_t)above->own->number, big);
		memcpy(out, &rec, sizeof(rec));
		memcpy(out + sizeof(rec), id, n);
		out += sizeof(rec) + n + n % 2;
	}
}

static int
read_volume(const struct iso_edit *edit, struct iso_volume_disk *out)
{
	return blkdev_read(edit->iso->dev, edit->tree->at, out, sizeof(*out));
}

/* How many tables the volume has: two, or four with copies. */
static unsigned
count_tables(const struct iso_volume_disk *vol)
{
	return (le32_get(vol->path_le) != 0) +
	    (le32_get(vol->path_le_copy) != 0) + (be32_get(vol->path_be) != 0) +
	    (be32_get(vol->path_be_copy) != 0);
}

int
iso_edit_place_paths(struct iso_edit *edit)
{
	struct iso_volume_disk vol;
	int rc = read_volume(edit, &vol);

	if (rc < 0)
		return rc;
	if (edit->ndirs > DIRS_MAX) {
		log_error("an ISO has no more than %d directories", DIRS_MAX);
		return -EFBIG;
	}
	sort_dirs(edit);
	edit->paths_len = table_len(edit);
	if (iso_round_up(edit->paths_len) <=
	    iso_round_up(le32_get(vol.path_size.le)))
		return 0;
	edit->paths_at = edit->next;
	edit->next += iso_round_up(edit->paths_len) * count_tables(&vol);
	return 0;
}

/* Write one table, at sector or at the next new place; the sector. */
static int
write_table(struct iso_edit *edit, bool big, uint64_t *next, uint32_t *sector)
{
	size_t room = (size_t)iso_round_up(edit->paths_len);
	scoped(freep) uint8_t *table = NULL;

	if (*sector == 0)
		return 0;
	if (edit->paths_at != 0) {
		*sector = (uint32_t)(*next / ISO_SECTOR);
		*next += room;
	}
	table = calloc(1, room);
	if (table == NULL)
		return -ENOMEM;
	fill_table(edit, big, table);
	return blkdev_write(
	    edit->out, (uint64_t)*sector * ISO_SECTOR, table, room);
}

int
iso_edit_write_paths(struct iso_edit *edit)
{
	struct iso_volume_disk vol;
	uint64_t next = edit->paths_at;
	uint32_t sector[4];
	int rc = blkdev_read(edit->out, edit->tree->at, &vol, sizeof(vol));

	if (rc < 0)
		return rc;
	sector[0] = le32_get(vol.path_le);
	sector[1] = le32_get(vol.path_le_copy);
	sector[2] = be32_get(vol.path_be);
	sector[3] = be32_get(vol.path_be_copy);
	for (int i = 0; i < 4 && rc == 0; i++)
		rc = write_table(edit, i >= 2, &next, &sector[i]);
	if (rc < 0)
		return rc;
	vol.path_le = le32_set(sector[0]);
	vol.path_le_copy = le32_set(sector[1]);
	vol.path_be = be32_set(sector[2]);
	vol.path_be_copy = be32_set(sector[3]);
	vol.path_size = (struct iso_both32){le32_set((uint32_t)edit->paths_len),
	    be32_set((uint32_t)edit->paths_len)};
	iso_edit_set_place(
	    (uint8_t *)&vol.root, edit->root->own->off, edit->root->own->len);
	return blkdev_write(edit->out, edit->tree->at, &vol, sizeof(vol));
}
