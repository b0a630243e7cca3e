/* Private to convert*.c: one conversion under way. */
#ifndef CONVERT_IMPL_H
#define CONVERT_IMPL_H

#include "convert.h"
#include "create_impl.h"
#include "view.h"

struct conversion {
	const struct convert_options *opt;
	struct pool *pool;
	struct session *session;
	struct image *image; /* of the session */
	struct view view;    /* of the session */
	struct ufs_info info;
	bool whole; /* with the image's container around it */
	struct create_fs_options how;
	struct tree tree;
	struct create_fs fs;
};

/*
 * Fill c->how and c->whole: what was asked for, else what the image has.
 * -EINVAL, -ENOTSUP, said: wishes that do not go together.
 */
MUST_CHECK int convert_decide(struct conversion *c);

#endif
