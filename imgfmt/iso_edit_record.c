/*
 * Directory records: dates, Rock Ridge entries.  What does not fit into the 255
 * bytes of a record goes on in a continuation area (CE).
 */
#include <string.h>
#include <sys/stat.h>

#include "iso_edit_impl.h"
#include "log.h"

enum {
	NM_MOST = 249,         /* bytes of a name in one NM entry */
	SL_MOST = 249,         /* bytes of components in one SL entry */
	AREA_MAX = ISO_SECTOR, /* a continuation area lies in one sector */
	TARGET_MAX = 1023,     /* FreeBSD's paths; libisofs goes no further */
};

/* -- numbers --------------------------------------------------------------- */

static struct iso_both32
both(uint64_t n)
{
	return (struct iso_both32){
	    le32_set((uint32_t)n), be32_set((uint32_t)n)};
}

void
iso_edit_set_place(uint8_t *raw, uint64_t off, uint64_t len)
{
	struct iso_both32 place[2] = {both(off / ISO_SECTOR), both(len)};

	memcpy(raw + offsetof(struct iso_record_disk, extent), place,
	    sizeof(place));
}

static void
date_short(int64_t sec, uint8_t out[7])
{
	time_t t = (time_t)sec;
	struct tm tm;

	if (gmtime_r(&t, &tm) == NULL || tm.tm_year < 0 || tm.tm_year > 255)
		(void)gmtime_r(&(time_t){0}, &tm);
	out[0] = (uint8_t)tm.tm_year;
	out[1] = (uint8_t)(tm.tm_mon + 1);
	out[2] = (uint8_t)tm.tm_mday;
	out[3] = (uint8_t)tm.tm_hour;
	out[4] = (uint8_t)tm.tm_min;
	out[5] = (uint8_t)tm.tm_sec;
	out[6] = 0;
}

static void
date_long(struct timespec ts, uint8_t out[17])
{
	struct tm tm;
	char text[40];

	if (gmtime_r(&ts.tv_sec, &tm) == NULL || tm.tm_year < -1900 ||
	    tm.tm_year > 8099)
		(void)gmtime_r(&(time_t){0}, &tm);
	(void)snprintf(text, sizeof(text), "%04d%02d%02d%02d%02d%02d%02d",
	    tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
	    tm.tm_sec, (int)(ts.tv_nsec / 10000000));
	memcpy(out, text, 16);
	out[16] = 0;
}

/* The stamps of a TF entry, all of them the time of the last change. */
static size_t
put_stamps(uint8_t *out, uint8_t flags, struct timespec mtime)
{
	size_t n = 0, one = flags & ISO_TF_LONG ? 17 : 7;

	for (int bit = 0; bit < 7; bit++) {
		if ((flags >> bit & 1) == 0)
			continue;
		if (one == 17)
			date_long(mtime, out + n);
		else
			date_short(mtime.tv_sec, out + n);
		n += one;
	}
	return n;
}

/* What PX says of links: of directories, how many are in it, and two. */
static uint32_t
links_of(const struct iso_edit_node *node)
{
	const struct iso_edit_own *own = node->own;
	uint32_t dirs = 0;

	if (!iso_edit_is_dir(node))
		return node->record != 0 && own->base.nlink > 0
		    ? own->base.nlink
		    : 1;
	for (const struct iso_edit_node *n = node->child; n != NULL;
	     n = n->next)
		dirs += iso_edit_is_dir(n);
	if (node->record != 0 && own->base.nlink != own->base_dirs + 2)
		return own->base.nlink; /* it counts otherwise */
	return dirs + 2;
}

/* -- Rock Ridge ------------------------------------------------------------ */

/* Entries one behind the other, whole ones. */
struct entries {
	uint8_t bytes[AREA_MAX];
	size_t len;
	bool full;
};

static uint8_t *
add_entry(struct entries *e, const char *sig, size_t len)
{
	uint8_t *at = e->bytes + e->len;

	if (len > ISO_RECORD_MAX - 1 || len > sizeof(e->bytes) - e->len) {
		e->full = true;
		return NULL;
	}
	memset(at, 0, len);
	memcpy(at, sig, 2);
	at[2] = (uint8_t)len;
	at[3] = 1;
	e->len += len;
	return at;
}

static void
add_px(
    struct entries *e, struct iso_edit *edit, const struct iso_edit_node *node)
{
	uint8_t *at = add_entry(e, "PX", edit->dialect.px_len);
	struct iso_both32 px[5] = {both(node->mode), both(links_of(node)),
	    both(node->uid), both(node->gid), both(--edit->serial)};

	if (at != NULL)
		memcpy(at + 4, px, edit->dialect.px_len - 4u);
}

static void
add_tf(struct entries *e, const struct iso_dialect *d, struct timespec mtime)
{
	uint8_t stamps[7 * 17];
	size_t n = put_stamps(stamps, d->tf_flags, mtime);
	uint8_t *at = add_entry(e, "TF", 5 + n);

	if (at == NULL)
		return;
	at[4] = d->tf_flags;
	memcpy(at + 5, stamps, n);
}

static void
add_nm(struct entries *e, const char *name)
{
	size_t left = strlen(name);

	do {
		size_t n = left < NM_MOST ? left : NM_MOST;
		uint8_t *at = add_entry(e, "NM", 5 + n);

		if (at == NULL)
			return;
		at[4] = n < left ? ISO_NM_CONTINUE : 0;
		memcpy(at + 5, name, n);
		name += n;
		left -= n;
	} while (left > 0);
}

static void
add_pn(struct entries *e, const struct iso_edit_node *node)
{
	uint8_t *at = add_entry(e, "PN", sizeof(struct iso_susp_pn_disk));
	struct iso_both32 pn[2] = {
	    both(node->rdev_major), both(node->rdev_minor)};

	if (at != NULL)
		memcpy(at + 4, pn, sizeof(pn));
}

/* A symbolic link under way: components gather in one SL after the other. */
struct link {
	struct entries *e;
	uint8_t comps[SL_MOST];
	size_t len;
};

static void
close_sl(struct link *l, bool more)
{
	uint8_t *at = add_entry(l->e, "SL", 5 + l->len);

	if (at != NULL) {
		at[4] = more ? ISO_SL_CONTINUE : 0;
		memcpy(at + 5, l->comps, l->len);
	}
	l->len = 0;
}

static void
add_component(struct link *l, uint8_t flags, const char *text, size_t len)
{
	do {
		size_t room, n;

		if (SL_MOST - l->len < 3)
			close_sl(l, true);
		room = SL_MOST - l->len - 2;
		n = len < room ? len : room;
		l->comps[l->len] =
		    (uint8_t)(flags | (n < len ? ISO_SL_CONTINUE : 0));
		l->comps[l->len + 1] = (uint8_t)n;
		if (n > 0)
			memcpy(l->comps + l->len + 2, text, n);
		l->len += 2 + n;
		text += n;
		len -= n;
	} while (len > 0);
}

static void
add_sl(struct entries *e, const char *target)
{
	struct link l = {.e = e};

	if (target[0] == '/')
		add_component(&l, ISO_SL_ROOT, "", 0);
	for (const char *p = target; *p != '\0';) {
		size_t skip = strspn(p, "/"), n = strcspn(p + skip, "/");

		p += skip;
		if (n == 1 && p[0] == '.')
			add_component(&l, ISO_SL_CURRENT, "", 0);
		else if (n == 2 && p[0] == '.' && p[1] == '.')
			add_component(&l, ISO_SL_PARENT, "", 0);
		else if (n > 0)
			add_component(&l, 0, p, n);
		p += n;
	}
	close_sl(&l, false);
}

static void
add_rr(struct entries *e, const struct iso_edit_node *node, int which)
{
	enum { HAS_PX = 1, HAS_PN = 2, HAS_SL = 4, HAS_NM = 8, HAS_TF = 128 };
	uint8_t *at = add_entry(e, "RR", 5);

	if (at == NULL)
		return;
	at[4] = HAS_PX | HAS_TF;
	if (which == OWN_ENTRY)
		at[4] |= HAS_NM;
	if (S_ISCHR(node->mode) || S_ISBLK(node->mode))
		at[4] |= HAS_PN;
	if (S_ISLNK(node->mode))
		at[4] |= HAS_SL;
}

/* All entries of a record, in the order of their worth to simple readers. */
static int
gather(struct iso_edit *edit, struct iso_edit_node *node, int which,
    struct entries *e)
{
	const struct iso_dialect *d = &edit->dialect;
	const struct iso_edit_node *about = node;

	if (which == OWN_DOTDOT && node->own->parent != NULL)
		about = node->own->parent;
	e->len = 0;
	e->full = false;
	if (d->rr_entry)
		add_rr(e, about, which);
	if (which == OWN_ENTRY)
		add_nm(e, node->name);
	add_px(e, edit, about);
	add_tf(e, d, about->mtime);
	if (S_ISCHR(about->mode) || S_ISBLK(about->mode))
		add_pn(e, about);
	if (S_ISLNK(about->mode))
		add_sl(e, about->target != NULL ? about->target : "");
	return e->full ? -ENAMETOOLONG : 0;
}

/* Less than AREA_MAX with a name, also if all components have one letter. */
bool
iso_edit_target_fits(const char *target)
{
	return strlen(target) <= TARGET_MAX;
}

/* Put what does not fit into room bytes into the continuation area. */
static int
store(struct iso_edit_own *own, int which, uint8_t *at, size_t room,
    const struct entries *e, size_t *used)
{
	const size_t ce_len = sizeof(struct iso_susp_ce_disk);
	size_t fits = 0, next;

	if (e->len <= room) {
		memcpy(at, e->bytes, e->len);
		*used = e->len;
		return 0;
	}
	while ((next = fits + e->bytes[fits + 2]) + ce_len <= room)
		fits = next;
	memcpy(at, e->bytes, fits);
	memset(at + fits, 0, ce_len);
	memcpy(at + fits, "CE", 2);
	at[fits + 2] = (uint8_t)ce_len;
	at[fits + 3] = 1;
	own->area_len[which] = e->len - fits;
	own->area[which] = malloc(own->area_len[which]);
	if (own->area[which] == NULL)
		return -ENOMEM;
	memcpy(own->area[which], e->bytes + fits, own->area_len[which]);
	own->ce_pos[which] = (size_t)(at + fits - own->rec[which]);
	*used = fits + ce_len;
	return 0;
}

int
iso_edit_make_record(struct iso_edit *edit, struct iso_edit_node *node,
    int which, const char *id, size_t id_len)
{
	struct iso_edit_own *own = node->own;
	uint8_t *raw = own->rec[which];
	size_t head = sizeof(struct iso_record_disk) + id_len, used = 0;
	struct iso_record_disk disk = {
	    .flags = iso_edit_is_dir(node) ? ISO_FLAG_DIRECTORY : 0,
	    .volume = {le16_set(1), be16_set(1)},
	    .name_len = (uint8_t)id_len,
	};
	struct entries e;
	int rc = 0;

	head += head % 2;
	date_short(node->mtime.tv_sec, disk.date);
	if (edit->dialect.rock_ridge)
		rc = gather(edit, node, which, &e);
	if (rc < 0) {
		char path[ISO_EDIT_PATH_MAX];

		log_error("the target of the symbolic link '%s' is too long "
			  "for an ISO",
		    iso_edit_path_of(node, path));
	}
	if (rc == 0 && edit->dialect.rock_ridge)
		rc = store(own, which, raw + head, ISO_RECORD_MAX - 1 - head,
		    &e, &used);
	if (rc < 0)
		return rc;
	used += used % 2;
	disk.len = (uint8_t)(head + used);
	memcpy(raw, &disk, sizeof(disk));
	memcpy(raw + sizeof(disk), id, id_len);
	return 0;
}

/* -- the old record with other numbers ------------------------------------- */

static struct iso_edit_patch *
add_patch(struct iso_edit *edit)
{
	if (edit->npatches == edit->patches_room) {
		size_t room =
		    edit->patches_room == 0 ? 16 : 2 * edit->patches_room;
		void *more =
		    realloc(edit->patches, room * sizeof(*edit->patches));

		if (more == NULL)
			return NULL;
		edit->patches = more;
		edit->patches_room = room;
	}
	return &edit->patches[edit->npatches++];
}

/* What changes in the PX entry at out. */
static void
renew_px(const struct iso_edit_node *node, uint32_t serial, uint8_t *out)
{
	const struct iso_both32 px[] = {both(node->mode), both(links_of(node)),
	    both(node->uid), both(node->gid), both(serial)};
	const size_t old = sizeof(px) - sizeof(px[0]);

	memcpy(out + 4, px,
	    serial != 0 && out[2] >= 4 + sizeof(px) ? sizeof(px) : old);
}

/* What changes in the TF entry at out, if anything. */
static bool
renew_tf(const struct iso_edit_node *node, uint8_t *out)
{
	size_t one = out[4] & ISO_TF_LONG ? 17 : 7;
	size_t at = 5 + (out[4] & ISO_TF_CREATION ? one : 0);

	if ((out[4] & ISO_TF_MODIFY) == 0 || at + one > out[2])
		return false;
	if (one == 17)
		date_long(node->mtime, out + at);
	else
		date_short(node->mtime.tv_sec, out + at);
	return true;
}

/*
 * The entry's new bytes, if it is one that tells what may have changed; was:
 * what the old record tells, which may be of another node.  A serial number
 * other than 0 is new too: files that share one are taken for links.
 */
static bool
renew_entry(const struct iso_edit_node *node, const struct iso_node *was,
    uint32_t serial, const uint8_t *raw, uint8_t *out)
{
	memcpy(out, raw, raw[2]);
	if (memcmp(raw, "PX", 2) == 0 &&
	    raw[2] >= sizeof(struct iso_susp_px_disk)) {
		renew_px(node, serial, out);
		return true;
	}
	return memcmp(raw, "TF", 2) == 0 && raw[2] >= 5 &&
	    node->mtime.tv_sec != was->mtime.tv_sec && renew_tf(node, out);
}

int
iso_edit_copy_record(struct iso_edit *edit, struct iso_edit_node *node,
    int which, const struct iso_record *old)
{
	uint8_t *raw = node->own->rec[which];
	uint8_t len = old->raw[0];
	struct iso_susp susp;
	struct iso_entry entry;
	struct iso_node was;
	uint32_t serial = 0;
	int rc = iso_node_at(edit->iso, old->at, &was);

	if (rc < 0)
		return rc;
	if (which == OWN_ENTRY && node->record != node->own->replaces)
		serial = --edit->serial;
	memcpy(raw, old->raw, len);
	if (node->mtime.tv_sec != was.mtime.tv_sec)
		date_short(node->mtime.tv_sec,
		    raw + offsetof(struct iso_record_disk, date));
	if (!edit->dialect.rock_ridge)
		return 0;
	iso_susp_start(&susp, edit->iso, edit->tree, old);
	while ((rc = iso_susp_next(&susp, &entry)) == 1) {
		uint8_t new[ISO_RECORD_MAX];
		struct iso_edit_patch *patch;

		if (!renew_entry(node, &was, serial, entry.raw, new))
			continue;
		if (entry.at >= old->at && entry.at < old->at + len) {
			memcpy(raw + (entry.at - old->at), new, entry.raw[2]);
			continue;
		}
		patch = add_patch(edit);
		if (patch == NULL)
			return -ENOMEM;
		patch->at = entry.at;
		patch->len = entry.raw[2];
		memcpy(patch->bytes, new, patch->len);
	}
	return rc;
}
