/*
 * What a commit leaves stale, by name: files on the ISO that describe the old
 * image (livecds.md, finding 9), and a kernel in the image that is no longer
 * the one the loader boots from the ISO (finding 8).
 */
#include "../imgfmt/log.h"
#include "commit_impl.h"
#include "container.h"
#include "create.h"
#include "path.h"
#include "status.h"

static bool
same_file(const struct ufs_attr *a, const struct ufs_attr *b)
{
	return a->ino == b->ino && a->gen == b->gen && a->size == b->size &&
	    a->mtime.tv_sec == b->mtime.tv_sec &&
	    a->mtime.tv_nsec == b->mtime.tv_nsec;
}

/* Whether the session changed the image's kernel. */
static bool
kernel_changed(struct session *s)
{
	static const char kernel[] = "boot/kernel/kernel";
	struct ufs_attr now, before;
	struct ufs *base;
	bool changed;

	if (s->fs == NULL || path_lookup(s->fs, kernel, true, &now) < 0 ||
	    status_open_base(s, &base) < 0)
		return false;
	changed = path_lookup(base, kernel, true, &before) < 0 ||
	    !same_file(&now, &before);
	ufs_close(base);
	return changed;
}

void
commit_warn_kernel(struct session *s)
{
	struct iso_node node;
	const char *path = "boot/kernel/kernel";

	if (iso_lookup(s->image->iso, path, &node) < 0) {
		path = "boot/kernel/kernel.gz";
		if (iso_lookup(s->image->iso, path, &node) < 0)
			return;
	}
	if (kernel_changed(s))
		log_warn("the kernel inside the image was changed; the loader "
			 "still boots '%s' of the ISO, whose modules are the "
			 "image's",
		    path);
}

/* The kind of image that a name says; UNKNOWN: none. */
static enum image_kind
kind_named(const char *name)
{
	switch (create_format_named(name)) {
	case CREATE_ISO:
		return IMAGE_ISO;
	case CREATE_UZIP:
		return IMAGE_UZIP;
	case CREATE_GZ:
		return IMAGE_GZ;
	case CREATE_UFS:
		return IMAGE_UFS;
	default:
		return IMAGE_UNKNOWN;
	}
}

/* A commit writes what the base is: a name does not make it another thing. */
static void
warn_name(const struct commit *c)
{
	enum image_kind is = c->image->layer[0].kind, named;

	if (c->opt->out == NULL)
		return;
	named = kind_named(c->opt->out);
	if (named != IMAGE_UNKNOWN && named != is)
		log_warn("'%s' is %s as '%s' is, whatever its name",
		    c->opt->out, image_kind_name(is), c->image->path);
}

void
commit_warn(struct commit *c)
{
	warn_name(c);
	if (c->image->iso == NULL || !c->changed)
		return;
	container_warn_side_files(c->image);
	commit_warn_kernel(c->session);
}
