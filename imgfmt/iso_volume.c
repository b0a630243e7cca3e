/*
 * Volume descriptors and sessions.
 *
 * Which session: an image file carries no table of contents, so the session
 * that counts is found from the data.  The descriptors at sector 16 come
 * first; programs that write to overwritable media (xorriso, growisofs) keep
 * them pointing at the newest tree.  Where a later session was only appended
 * (genisoimage -C, cat), a primary descriptor lies 16 sectors after the end
 * of the volume, possibly after some padding, and its root directory lies in
 * that session; we follow such a chain to its end.  A descriptor of an ISO
 * that is merely contained in another one has sector numbers that count from
 * its own start, so its root cannot lie behind it, and is not taken.
 */
#include <inttypes.h>
#include <string.h>

#include "iso_impl.h"
#include "log.h"

enum {
	SESSION_GAP_MAX = 1024, /* sectors searched for a later session */
	SESSIONS_MAX = 64,
};

static int
read_sector(struct blkdev *dev, uint64_t off, void *buf)
{
	if (off > dev->size || ISO_SECTOR > dev->size - off)
		return 0;
	return blkdev_read(dev, off, buf, ISO_SECTOR) < 0 ? -EIO : 1;
}

static bool
is_descriptor(const struct iso_volume_disk *vol)
{
	return memcmp(vol->id, "CD001", 5) == 0;
}

static bool
is_primary(const struct iso_volume_disk *vol)
{
	return vol->type == ISO_DESC_PRIMARY && is_descriptor(vol) &&
	    vol->version == 1;
}

int
iso_probe(struct blkdev *dev)
{
	struct iso_volume_disk vol;
	int rc = read_sector(dev, ISO_SYSTEM_SECTORS * ISO_SECTOR, &vol);

	return rc <= 0 ? rc : is_primary(&vol);
}

/* The byte after the volume that the primary descriptor vol describes. */
static uint64_t
volume_end(uint64_t session, const struct iso_volume_disk *vol)
{
	return session + (uint64_t)le32_get(vol->size.le) * ISO_SECTOR;
}

/* Whether vol, read from at, begins a session of its own at start. */
static bool
begins_session(
    const struct iso *iso, const struct iso_volume_disk *vol, uint64_t start)
{
	uint64_t root = (uint64_t)le32_get(vol->root.extent.le) * ISO_SECTOR;

	return is_primary(vol) && root >= start &&
	    iso_inside(iso, root, ISO_SECTOR);
}

/* Set iso->session to the start of the last session. */
static int
find_session(struct iso *iso)
{
	const uint64_t area = ISO_SYSTEM_SECTORS * ISO_SECTOR;
	struct iso_volume_disk vol;
	uint64_t end, tried = 0;
	int rc = read_sector(iso->dev, area, &vol);

	if (rc <= 0)
		return rc;
	end = volume_end(0, &vol);
	for (unsigned found = 0;
	     tried < SESSION_GAP_MAX && found < SESSIONS_MAX; tried++) {
		uint64_t start = end + tried * ISO_SECTOR;

		rc = read_sector(iso->dev, start + area, &vol);
		if (rc <= 0)
			break;
		if (!begins_session(iso, &vol, start))
			continue;
		iso->session = start;
		end = volume_end(start, &vol);
		if (end <= start)
			break;
		tried = 0;
		found++;
	}
	return rc < 0 ? rc : 0;
}

int
iso_tree_read(struct blkdev *dev, uint64_t at, uint64_t base, uint64_t session,
    struct iso_tree *out)
{
	struct iso_volume_disk vol;
	int rc = read_sector(dev, at, &vol);

	if (rc <= 0)
		return rc < 0 ? rc : -ECORRUPT;
	*out = (struct iso_tree){.at = at, .base = base, .session = session};
	if (le16_get(vol.block_size.le) != ISO_SECTOR) {
		log_error("the volume descriptor at byte %" PRIu64
			  " has blocks of %u bytes, not 2048",
		    at, le16_get(vol.block_size.le));
		return -ECORRUPT;
	}
	out->root_off = iso_tree_off(out, le32_get(vol.root.extent.le));
	out->root_len = le32_get(vol.root.size.le);
	if (vol.root.len < sizeof(vol.root) || out->root_off > dev->size ||
	    out->root_len > dev->size - out->root_off || out->root_len == 0) {
		log_error("the root directory of the volume descriptor at byte "
			  "%" PRIu64 " lies outside the image",
		    at);
		return -ECORRUPT;
	}
	if (vol.type == ISO_DESC_SUPPLEMENTARY && vol.version == 2)
		out->kind = ISO_ENHANCED;
	else if (vol.type == ISO_DESC_SUPPLEMENTARY)
		out->kind = ISO_JOLIET;
	return 0;
}

/* UCS-2 levels 1 to 3, or the enhanced descriptor of ISO 9660:1999. */
static bool
supplementary_is_known(const struct iso_volume_disk *vol)
{
	const uint8_t *e = vol->escapes;

	if (vol->version == 2)
		return true;
	return e[0] == '%' && e[1] == '/' &&
	    (e[2] == '@' || e[2] == 'C' || e[2] == 'E');
}

static int
add_tree(struct iso *iso, uint64_t at)
{
	struct iso_tree *tree = &iso->trees[iso->ntrees];
	int rc;

	if (iso->ntrees == ISO_TREES_MAX) {
		log_error("more than %d volume descriptors", ISO_TREES_MAX);
		return -ECORRUPT;
	}
	rc = iso_tree_read(iso->dev, at, 0, iso->session, tree);
	if (rc == 0)
		iso->ntrees++;
	return rc;
}

static int
take_descriptor(struct iso *iso, uint64_t at, const struct iso_volume_disk *vol)
{
	struct iso_bootrec_disk boot;

	switch (vol->type) {
	case ISO_DESC_PRIMARY:
		return add_tree(iso, at);
	case ISO_DESC_SUPPLEMENTARY:
		return supplementary_is_known(vol) ? add_tree(iso, at) : 0;
	case ISO_DESC_PARTITION:
		if (iso->npartdescs < 4)
			iso->partdesc_at[iso->npartdescs++] = at;
		return 0;
	case ISO_DESC_BOOT:
		memcpy(&boot, vol, sizeof(boot));
		if (memcmp(boot.system, "EL TORITO SPECIFICATION", 23) != 0) {
			iso->odd_bootrec = true;
		} else if (iso->bootrec_at == 0) {
			iso->bootrec_at = at;
			iso->catalog =
			    (uint64_t)le32_get(boot.catalog) * ISO_SECTOR;
		}
		return 0;
	default:
		return 0;
	}
}

static int
read_descriptors(struct iso *iso)
{
	uint64_t at = iso->session + ISO_SYSTEM_SECTORS * ISO_SECTOR;
	struct iso_volume_disk vol;

	for (int i = 0; i < ISO_DESCRIPTORS_MAX; i++, at += ISO_SECTOR) {
		int rc = read_sector(iso->dev, at, &vol);

		if (rc < 0)
			return rc;
		if (rc == 0 || !is_descriptor(&vol) || vol.type == ISO_DESC_END)
			break;
		rc = take_descriptor(iso, at, &vol);
		if (rc < 0)
			return rc;
	}
	if (iso->ntrees == 0 || iso->trees[0].kind != ISO_PRIMARY) {
		log_error("no primary volume descriptor at byte %" PRIu64,
		    iso->session + ISO_SYSTEM_SECTORS * ISO_SECTOR);
		return -ECORRUPT;
	}
	return 0;
}

/* A text field: trimmed at the right, other than printable bytes as '?'. */
static void
text_field(const uint8_t *field, size_t len, char *out)
{
	while (len > 0 && (field[len - 1] == ' ' || field[len - 1] == 0))
		len--;
	for (size_t i = 0; i < len; i++)
		out[i] =
		    field[i] < 0x20 || field[i] == 0x7f ? '?' : (char)field[i];
	out[len] = '\0';
}

static int
read_info(struct iso *iso)
{
	struct iso_volume_disk vol;
	int rc = read_sector(iso->dev, iso->trees[0].at, &vol);

	if (rc <= 0)
		return rc < 0 ? rc : -ECORRUPT;
	text_field(vol.label, sizeof(vol.label), iso->info.label);
	text_field(
	    vol.volume_set, sizeof(vol.volume_set), iso->info.volume_set);
	text_field(vol.publisher, sizeof(vol.publisher), iso->info.publisher);
	iso->info.size = volume_end(iso->session, &vol);
	return 0;
}

/* Rock Ridge before Joliet before plain names (formats.md 3.7). */
static int
choose_tree(struct iso *iso)
{
	iso->main = &iso->trees[0];
	for (unsigned i = 0; i < iso->ntrees; i++) {
		struct iso_tree *tree = &iso->trees[i];
		int rc = iso_susp_detect(iso, tree);

		if (rc < 0)
			return rc;
		if (tree->kind != ISO_JOLIET)
			continue;
		iso->info.joliet = true;
		if (!iso->trees[0].susp && iso->main == &iso->trees[0])
			iso->main = tree;
	}
	iso->info.rock_ridge = iso->trees[0].susp;
	return 0;
}

static int
open_parts(struct iso *iso)
{
	int rc = find_session(iso);

	if (rc == 0)
		rc = read_descriptors(iso);
	if (rc == 0)
		rc = read_info(iso);
	if (rc == 0)
		rc = choose_tree(iso);
	if (rc == 0)
		rc = iso_boot_read(iso);
	return rc == 0 ? iso_area_read(iso) : rc;
}

int
iso_open(struct blkdev *dev, struct iso **out)
{
	scoped(freep) struct iso *iso = calloc(1, sizeof(*iso));
	int rc;

	if (iso == NULL)
		return -ENOMEM;
	iso->dev = dev;
	rc = open_parts(iso);
	if (rc < 0)
		return rc;
	*out = iso;
	iso = NULL; /* now the caller's */
	return 0;
}

void
iso_close(struct iso *iso)
{
	free(iso);
}

const struct iso_info *
iso_info(const struct iso *iso)
{
	return &iso->info;
}
