/*
 * What a commit leaves stale, by name: files on the ISO that describe the old
 * image (livecds.md, finding 9), and a kernel in the image that is no longer
 * the one the loader boots from the ISO (finding 8).
 */
#include <string.h>
#include <sys/stat.h>

#include "../imgfmt/log.h"
#include "commit_impl.h"
#include "path.h"
#include "status.h"

static const char *const side_suffixes[] = {
    ".md5", ".sha256", ".sha512", ".bytes", ".manifest", ".size"};

struct side_search {
	const char *dir; /* of the image on the ISO, ends in '/' or is "" */
};

static int
name_side_file(void *arg, const struct iso_node *node)
{
	struct side_search *s = arg;
	size_t len = strlen(node->name);

	for (size_t i = 0; i < sizeof(side_suffixes) / sizeof(*side_suffixes);
	     i++) {
		size_t n = strlen(side_suffixes[i]);

		if (len > n &&
		    strcmp(node->name + len - n, side_suffixes[i]) == 0)
			log_warn("'%s%s' on the ISO may describe the old "
				 "image and is left as it is",
			    s->dir, node->name);
	}
	return 0;
}

static void
warn_side_files(struct commit *c)
{
	char dir[1024];
	struct side_search search = {dir};
	struct iso_node node;
	char *slash;

	if (strlen(c->image->layer[c->target].name) >= sizeof(dir))
		return;
	strcpy(dir, c->image->layer[c->target].name);
	slash = strrchr(dir, '/');
	dir[slash != NULL ? slash + 1 - dir : 0] = '\0';
	if (iso_lookup(c->image->iso, dir, &node) < 0 ||
	    iso_list(c->image->iso, &node, name_side_file, &search) < 0)
		log_debug("'%s': the ISO's folder cannot be listed", dir);
}

static bool
same_file(const struct ufs_attr *a, const struct ufs_attr *b)
{
	return a->ino == b->ino && a->gen == b->gen && a->size == b->size &&
	    a->mtime.tv_sec == b->mtime.tv_sec &&
	    a->mtime.tv_nsec == b->mtime.tv_nsec;
}

/* Whether the session changed the image's kernel. */
static bool
kernel_changed(struct commit *c)
{
	static const char kernel[] = "boot/kernel/kernel";
	struct ufs_attr now, before;
	struct ufs *base;
	bool changed;

	if (c->session->fs == NULL ||
	    path_lookup(c->session->fs, kernel, true, &now) < 0 ||
	    status_open_base(c->session, &base) < 0)
		return false;
	changed = path_lookup(base, kernel, true, &before) < 0 ||
	    !same_file(&now, &before);
	ufs_close(base);
	return changed;
}

static void
warn_kernel(struct commit *c)
{
	struct iso_node node;
	const char *path = "boot/kernel/kernel";

	if (iso_lookup(c->image->iso, path, &node) < 0) {
		path = "boot/kernel/kernel.gz";
		if (iso_lookup(c->image->iso, path, &node) < 0)
			return;
	}
	if (kernel_changed(c))
		log_warn("the kernel inside the image was changed; the loader "
			 "still boots '%s' of the ISO, whose modules are the "
			 "image's",
		    path);
}

void
commit_warn(struct commit *c)
{
	if (c->image->iso == NULL || !c->changed)
		return;
	warn_side_files(c);
	warn_kernel(c);
}
