/* Private to convert*.c: one conversion under way. */
#ifndef CONVERT_IMPL_H
#define CONVERT_IMPL_H

#include "convert.h"
#include "create_impl.h"
#include "loader_conf.h"
#include "order.h"
#include "view.h"

struct conversion {
	const struct convert_options *opt;
	struct pool *pool;
	/*
	 * Where the tree is: a UFS, of a session; or an ISO's own tree, with
	 * no image in it, which view then owns.
	 */
	struct session *session;
	struct session_options opened; /* how */
	struct view view;
	struct image *image; /* of one or the other */
	struct iso *iso;     /* the ISO that image is or lies on, or NULL */
	struct ufs_info info;
	bool whole;  /* with the image's container around it */
	bool layout; /* as a new ISO */
	struct create_fs_options how;
	struct order order;
	struct tree tree;
	struct tree beside; /* what is not in tree, but stays on the ISO */
	struct create_fs fs;
	struct layout_sizes sizes;
};

static inline bool
convert_is_plain(const struct conversion *c)
{
	return c->view.iso != NULL;
}

/* -- convert_how.c ----------------------------------------------------------
 */

/*
 * Fill c->how, c->whole and c->layout: what was asked for, else what the image
 * has.  -EINVAL, -ENOTSUP, said: wishes that do not go together.
 */
MUST_CHECK int convert_decide(struct conversion *c);

/* -- convert_iso.c: for another layout --------------------------------------
 */

/*
 * 1 when the ISO has no image that could be converted, but is a system itself;
 * 0 when not; -errno.
 */
MUST_CHECK int convert_iso_is_system(struct view *v);

/*
 * c->tree is the live root: let it have what boots it where only the ISO has
 * that, and c->beside the ISO's other files; drop settings of the old layout,
 * each of which is said.  -EINVAL, said: the tree is no whole system.
 */
MUST_CHECK int convert_from_iso(struct conversion *c);

/* Write c->tree as an ISO in the layout asked for. */
MUST_CHECK int convert_write_layout(struct conversion *c, struct blkdev *out);

/* -- convert_settings.c -----------------------------------------------------
 */

/* Whether what the loader loads as that type becomes a memory disk. */
bool convert_is_memory_disk(const char *type);

/* The loader's file of settings at path; NULL: none, or its defaults. */
struct tree_node *convert_settings_at(const struct tree *t, const char *path);

/*
 * Remove settings of the loader in c->tree that only the old layout has a use
 * for; each is said.
 */
MUST_CHECK int convert_drop_settings(struct conversion *c);

#endif
