/*
 * Private to iso_edit*.c.
 *
 * An edit goes through four steps:
 *
 *	bind     each wanted node is tied to the record it comes from, or that
 *	         it replaces by name; the habits of whoever made the ISO are
 *	         learnt (iso_edit.c); what boots is found (iso_edit_boot.c)
 *	records  each gets its directory record: the old one, the old one with
 *	         other numbers, or a new one (iso_edit_record.c)
 *	lay out  what does not fit in its place gets one at the end
 *	write    (iso_edit_write.c)
 *
 * Invariants:
 * 1. A record whose node is as it was is copied byte for byte; one whose name
 *    stays keeps its length, its identifier and every entry but the numbers.
 * 2. A directory keeps its place if it needs as many sectors as before.
 * 3. No byte of a file's old data is overwritten: other names may share it.
 */
#ifndef ISO_EDIT_IMPL_H
#define ISO_EDIT_IMPL_H

#include "iso_edit.h"
#include "iso_plan.h"

enum { ISO_RECORD_MAX = 255, ISO_EDIT_PATH_MAX = 4096 };

/* The habits of whoever made the ISO. */
struct iso_dialect {
	bool rock_ridge;
	bool seen[256];   /* characters of identifiers */
	bool long_names;  /* more than 8.3 */
	bool version;     /* ";1" */
	bool dot;         /* of files without extension too */
	bool dots;        /* several in a name */
	bool rr_entry;    /* RR, of the oldest Rock Ridge */
	uint8_t px_len;   /* 36, or 44 with serial numbers */
	uint32_t serials; /* below this one they are free */
	uint8_t tf_flags;
};

/* Bytes that go into another place than the record they belong to. */
struct iso_edit_patch {
	uint64_t at; /* of the old ISO */
	size_t len;
	uint8_t bytes[ISO_RECORD_MAX];
};

/* One record of a directory that is being put together. */
struct iso_edit_slot {
	const uint8_t *raw;
	struct iso_edit_node *node; /* NULL: not shown, or a dot */
};

/* A directory with all its records. */
struct iso_edit_content {
	int number; /* see struct iso_edit_taken */
	struct iso_edit_slot *slot;
	size_t n, room;
	uint8_t *old; /* the base's bytes, which raw may point into */
};

struct iso_edit_own {
	struct iso_edit_node *parent;
	struct iso_node base; /* what record leads to */
	bool here;            /* base's record is of this directory */
	bool same;            /* and everything else is as it was */
	uint64_t replaces;    /* the record whose place and name it takes; 0 */
	/* Of directories: records of the base that are listed, ascending. */
	uint64_t *listed;
	size_t nlisted;
	uint32_t base_dirs; /* directories among them */
	struct iso_edit_content content;
	uint32_t number; /* in the path table */
	/* The directory record in the parent; of "." and ".." in new ones. */
	uint8_t rec[3][ISO_RECORD_MAX];
	uint8_t *area[3]; /* continuation, or NULL */
	size_t area_len[3];
	uint64_t area_at[3];
	size_t ce_pos[3]; /* of the CE entry in rec */
	/* Where data or entries lie now. */
	uint64_t off, len;
	bool placed; /* off is new */
	/* The boot image that it takes the place of; 0: none. */
	uint64_t boot_off, boot_len;
};

enum { OWN_ENTRY, OWN_DOT, OWN_DOTDOT };

struct iso_edit {
	struct iso *iso;
	const struct iso_tree *tree;
	struct iso_dialect dialect;
	struct iso_edit_node *root;
	struct iso_plan *plan;
	struct blkdev *out;
	const struct iso_edit_source *source;
	uint64_t next;     /* free place at the end */
	uint64_t paths_at; /* of the path tables; 0: where they were */
	size_t paths_len;
	uint32_t serial; /* for PX */
	/* All directories, parents first; in the end in path table order. */
	size_t ndirs, dirs_room;
	struct iso_edit_node **dirs;
	size_t npatches, patches_room;
	struct iso_edit_patch *patches;
};

static inline bool
iso_edit_is_dir(const struct iso_edit_node *node)
{
	return S_ISDIR(node->mode);
}

/* -- iso_edit.c ------------------------------------------------------------ */

/* Learn dialect, and note in *why, if not NULL, what cannot be edited. */
MUST_CHECK int iso_edit_learn(
    struct iso *iso, struct iso_dialect *out, const char **why);

/* Tie the nodes to the ISO.  -ECORRUPT, said. */
MUST_CHECK int iso_edit_bind(struct iso_edit *edit);

/* Whether the base's record at byte at is of directory dir and is listed. */
bool iso_edit_lists(const struct iso_edit_node *dir, uint64_t at);

/* The path of a node that is bound, in buf; of a very long one the end. */
const char *iso_edit_path_of(
    const struct iso_edit_node *node, char buf[ISO_EDIT_PATH_MAX]);

/* -- iso_edit_boot.c ------------------------------------------------------- */

/*
 * Mark the nodes that boot the ISO from now on, before anything is laid out;
 * what boots and is no longer there is told of.
 */
MUST_CHECK int iso_edit_follow_boot(struct iso_edit *edit);

/* -- iso_edit_name.c ------------------------------------------------------- */

/* Whose identifiers a new one must differ from. */
struct iso_edit_taken {
	bool (*is_taken)(void *arg, const char *id, size_t len);
	void *arg;
	int *
	    number; /* that the next one made unique gets: all below are used */
};

/*
 * The identifier for a new name: legal, as the ISO's others are, and not one
 * of those taken (NULL: all are free).  It has a NUL; its length.  -EEXIST.
 */
MUST_CHECK int iso_edit_identifier(const struct iso_dialect *dialect,
    const char *name, bool is_dir, const struct iso_edit_taken *taken,
    char out[ISO_NAME_MAX + 1]);

/* As memcmp: the order of identifiers in directories and path tables. */
int iso_edit_compare_ids(const char *a, size_t an, const char *b, size_t bn);

/* -- iso_edit_record.c ----------------------------------------------------- */

/*
 * Make the record of node, as rec[which]; id is its identifier.  Addresses
 * are zero.
 */
MUST_CHECK int iso_edit_make_record(struct iso_edit *edit,
    struct iso_edit_node *node, int which, const char *id, size_t id_len);

/*
 * Make rec[which] from the old record old: other attributes, the same length.
 * What of it lies in continuation areas goes to edit->patches.  Addresses are
 * the old ones.
 */
MUST_CHECK int iso_edit_copy_record(struct iso_edit *edit,
    struct iso_edit_node *node, int which, const struct iso_record *old);

/* Set address and length of a record. */
void iso_edit_set_place(uint8_t *raw, uint64_t off, uint64_t len);

/* -- iso_edit_dir.c -------------------------------------------------------- */

/*
 * Put the records of dir together, in order: its own->content, and own->len as
 * the directory needs it.  Addresses come later.
 */
MUST_CHECK int iso_edit_gather(
    struct iso_edit *edit, struct iso_edit_node *dir);

/*
 * dir goes to another place: what its records go on with in old continuation
 * areas gets new ones, for libarchive takes none that is before the directory.
 * The dots keep their entries, others' records are made anew.
 */
MUST_CHECK int iso_edit_bring_areas(
    struct iso_edit *edit, struct iso_edit_node *dir);

/* Write dir to where it lies, if anything in it differs from before. */
MUST_CHECK int iso_edit_write_dir(
    struct iso_edit *edit, struct iso_edit_node *dir);

/* The identifier of a record. */
const char *iso_edit_id(const uint8_t *raw, size_t *len);

/* -- iso_edit_path.c ------------------------------------------------------- */

/* Reserve room for the path tables where they have become too long. */
MUST_CHECK int iso_edit_place_paths(struct iso_edit *edit);
/* Write them, and what the volume descriptor says of them and of the root. */
MUST_CHECK int iso_edit_write_paths(struct iso_edit *edit);

#endif
