/*
 * An ISO on its way into another layout.  What boots lies twice on most ISOs
 * with an image: in /boot of the ISO, which the loader reads, and in that of
 * the live root, which is more complete but was never used (livecds.md, 0).
 * So the new /boot is the live root's, with the loader's settings of the ISO,
 * and with what only the ISO has.
 */
#include <inttypes.h>
#include <string.h>

#include "../imgfmt/log.h"
#include "container.h"
#include "convert_impl.h"
#include "tree_ids.h"

#define LOADER_CONF   "boot/loader.conf"
#define DEFAULT_LABEL "LIVE"

enum { PATH_MOST = 1024 };

/* -- what the ISO is --------------------------------------------------------
 */

static bool
view_has(struct view *v, const char *path)
{
	struct view_node node;

	return view_lookup(v, path, true, &node) == 0;
}

int
convert_iso_is_system(struct view *v)
{
	enum { FOUND_MOST = 64 };
	scoped(freep) struct image_found *found =
	    calloc(FOUND_MOST, sizeof(*found));
	int n = found == NULL ? -ENOMEM
			      : image_find_systems(v->iso, found, FOUND_MOST);

	if (n != 0)
		return n < 0 ? n : 0;
	return view_has(v, "/sbin/init") || view_has(v, "/rescue/init");
}

/* -- leaving out of the ISO's tree ------------------------------------------
 */

/* Remove what path, with or without a slash in front, leads to. */
static void
leave_out(struct tree *t, const char *path)
{
	const char *slash;
	scoped(freep) char *dir = NULL;
	struct tree_node *node;

	path += strspn(path, "/");
	slash = strrchr(path, '/');
	dir = strndup(path, slash != NULL ? (size_t)(slash - path) : 0);
	node = dir != NULL ? tree_find(t, dir) : NULL;
	if (node != NULL && S_ISDIR(node->mode))
		tree_remove(node, slash != NULL ? slash + 1 : path);
}

/* A preloaded memory disk, which the loader also finds as .gz. */
static void
leave_out_disk(struct tree *t, const char *name, size_t len)
{
	char path[PATH_MOST];

	if (len == 0 || len + strlen(".gz") >= sizeof(path))
		return;
	snprintf(path, sizeof(path), "%.*s", (int)len, name);
	leave_out(t, path);
	snprintf(path, sizeof(path), "%.*s.gz", (int)len, name);
	leave_out(t, path);
}

/* What the loader's settings name: memory disks and the script for init. */
static int
leave_out_named(struct tree *t)
{
	struct loader_conf conf;
	int rc = loader_conf_read(t, &conf);
	const char *script =
	    rc == 0 ? loader_conf_get(&conf, "init_script") : NULL;

	for (size_t i = 0; rc == 0 && i < conf.n; i++) {
		const char *type = NULL;
		size_t len = 0;
		const char *name = loader_conf_load(&conf, i, &len, &type);

		if (name != NULL && convert_is_memory_disk(type))
			leave_out_disk(t, name, len);
	}
	if (script != NULL)
		leave_out(t, script);
	loader_conf_release(&conf);
	return rc;
}

/* Remove files below dir whose contents begin at byte at of the ISO. */
static void
leave_out_extent(struct tree_node *dir, uint64_t at)
{
	for (size_t i = dir->n; i-- > 0;) {
		struct tree_node *node = dir->entries[i].node;
		const struct content *c = &node->content;

		if (S_ISDIR(node->mode))
			leave_out_extent(node, at);
		else if (S_ISREG(node->mode) && c->nruns > 0 &&
		    c->runs[0].at == at)
			tree_remove(dir, dir->entries[i].name);
	}
}

enum { EL_TORITO_EFI = 0xef };

/* The boot catalogue, and the file system of the UEFI entry: made anew. */
static void
leave_out_boot_records(const struct conversion *c, struct tree *t)
{
	static const char *const names[] = {"boot.catalog", "boot.cat",
	    "boot/boot.catalog", "boot/boot.cat", "isolinux/boot.cat"};
	const struct iso_info *info = iso_info(c->iso);

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		leave_out(t, names[i]);
	for (unsigned i = 0; i < info->nboot; i++)
		if (info->boot[i].platform == EL_TORITO_EFI)
			leave_out_extent(t->root, info->boot[i].off);
}

/* The image itself, and beside it what describes it. */
static void
leave_out_image(struct tree *t, const char *path)
{
	const char *slash = strrchr(path, '/');
	scoped(freep) char *dir = NULL;
	struct tree_node *node;

	path += strspn(path, "/");
	dir = strndup(
	    path, slash != NULL && slash > path ? (size_t)(slash - path) : 0);
	node = dir != NULL ? tree_find(t, dir) : NULL;
	for (size_t i = node != NULL ? node->n : 0; i-- > 0;)
		if (container_is_side_file(node->entries[i].name)) {
			log_info("'%s' on the ISO is left out: it may describe "
				 "the old image",
			    node->entries[i].name);
			tree_remove(node, node->entries[i].name);
		}
	leave_out(t, path);
}

/* Of a file and its .gz, the loader takes the plain one (trap 72). */
static void
leave_out_twin(struct tree *cd, const struct tree *t, const char *path)
{
	char gz[PATH_MOST];

	snprintf(gz, sizeof(gz), "%s.gz", path);
	if (tree_find(t, path) != NULL)
		leave_out(cd, gz);
	if (tree_find(t, gz) != NULL)
		leave_out(cd, path);
}

/* -- two trees become one ---------------------------------------------------
 */

/* Let t have the file of settings at path as from has it; said. */
static int
take_settings_at(struct tree *t, const struct tree *from, const char *path)
{
	struct tree_node *node = convert_settings_at(from, path);
	const struct tree_node *own = convert_settings_at(t, path);
	scoped(freep) char *a = NULL, *b = NULL;
	int rc = 0;

	if (node == NULL && own != NULL)
		log_warn("'%s' of the live root: from now on the loader reads "
			 "it",
		    path);
	if (node == NULL)
		return 0;
	if (own != NULL) {
		rc = tree_text(t, own, &a);
		if (rc == 0)
			rc = tree_text(from, node, &b);
		if (rc < 0 || strcmp(a, b) == 0)
			return rc;
		log_info("%s: as on the ISO, not as in the live root", path);
	}
	return tree_put(t, path, path, &node);
}

/* The settings that the loader has read so far are those that count. */
static int
take_settings(struct conversion *c, const struct tree *cd)
{
	struct loader_conf own = {0}, used = {0};
	int rc = loader_conf_read(&c->tree, &own);

	if (rc == 0)
		rc = loader_conf_read(cd, &used);
	for (size_t i = 0; rc == 0 && i < own.nread; i++)
		rc = take_settings_at(&c->tree, cd, own.read[i]);
	for (size_t i = 0; rc == 0 && i < used.nread; i++)
		if (convert_settings_at(&c->tree, used.read[i]) == NULL)
			rc = take_settings_at(&c->tree, cd, used.read[i]);
	loader_conf_release(&own);
	loader_conf_release(&used);
	return rc;
}

/* Share with to each file of cd below dir, at path, that t does not have. */
static int
share_missing(struct tree *to, const struct tree *t,
    const struct tree_node *dir, const char *path, unsigned *n)
{
	int rc = 0;

	for (size_t i = 0; i < dir->n && rc == 0; i++) {
		const struct tree_entry *e = &dir->entries[i];
		scoped(freep) char *below = NULL;

		if (asprintf(&below, "%s%s%s", path, *path != '\0' ? "/" : "",
			e->name) < 0) {
			below = NULL;
			return -ENOMEM;
		}
		if (S_ISDIR(e->node->mode)) {
			rc = share_missing(to, t, e->node, below, n);
		} else if (tree_find(t, below) == NULL) {
			rc = tree_share(to, below);
			++*n;
		}
	}
	return rc;
}

/* What is left of the ISO's tree and nowhere in the live root. */
static int
keep_others(struct conversion *c, struct tree *cd)
{
	unsigned n = 0;
	int rc = tree_init_part(&c->beside, cd);

	if (rc == 0)
		rc = share_missing(&c->beside, &c->tree, cd->root, "", &n);
	c->beside.whole = NULL; /* cd goes; the nodes stay */
	if (rc < 0 || n == 0)
		return rc;
	log_info("%u file%s beside the image stay%s on the ISO", n,
	    n == 1 ? "" : "s", n == 1 ? "s" : "");
	return c->opt->iso.layout.kind == LAYOUT_PLAIN
	    ? tree_add_missing(&c->tree, &c->beside)
	    : 0;
}

/* /boot, and /rescue where the live root has none, of the ISO. */
static int
take_boot(struct conversion *c, struct tree *cd)
{
	static const char *const dirs[] = {"boot", "rescue"};
	struct tree part;
	int rc = tree_init_part(&part, cd);

	leave_out_twin(cd, &c->tree, "boot/kernel/kernel");
	for (size_t i = 0; i < sizeof(dirs) / sizeof(*dirs) && rc == 0; i++)
		if (tree_find(cd, dirs[i]) != NULL)
			rc = tree_share(&part, dirs[i]);
	if (rc == 0)
		rc = tree_add_missing(&c->tree, &part);
	tree_release(&part);
	return rc;
}

static int
join_trees(struct conversion *c, struct tree *cd)
{
	struct view v = {.image = c->image, .iso = c->iso};
	int rc = tree_add_view(cd, &v, "/");

	if (rc == 0)
		rc = take_settings(c, cd);
	if (rc == 0)
		rc = leave_out_named(cd);
	if (rc < 0)
		return rc;
	leave_out_image(cd, c->image->layer[container_target(c->image)].name);
	leave_out_boot_records(c, cd);
	rc = take_boot(c, cd);
	return rc < 0 ? rc : keep_others(c, cd);
}

/* -- all of it --------------------------------------------------------------
 */

static void
warn_of_uefi(const struct conversion *c)
{
	const struct iso_info *info = iso_info(c->iso);

	if (tree_find(&c->tree, "boot/loader.efi") != NULL)
		return;
	for (unsigned i = 0; i < info->nboot; i++)
		if (info->boot[i].platform == EL_TORITO_EFI) {
			log_warn("'%s' boots by UEFI, the new ISO will not: "
				 "there is no boot/loader.efi to make it so",
			    c->opt->address);
			return;
		}
}

int
convert_from_iso(struct conversion *c)
{
	struct tree cd = {.spool = -1};
	int rc = 0;

	if (tree_find(&c->tree, "sbin/init") == NULL &&
	    tree_find(&c->tree, "rescue/init") == NULL) {
		log_error("'%s' holds no whole system: neither sbin/init nor "
			  "rescue/init is in it",
		    c->opt->address);
		return -EINVAL;
	}
	if (convert_is_plain(c)) {
		leave_out_boot_records(c, &c->tree);
	} else if (c->iso != NULL) {
		rc = tree_init(&cd);
		if (rc == 0)
			rc = join_trees(c, &cd);
		tree_release(&cd);
	}
	if (rc == 0 && c->iso != NULL)
		warn_of_uefi(c);
	return rc < 0 ? rc : convert_drop_settings(c);
}

/* What was asked for, or what the old ISO has, or NULL. */
static const char *
or_else(const char *asked, const char *has)
{
	return asked != NULL || *has == '\0' ? asked : has;
}

int
convert_write_layout(struct conversion *c, struct blkdev *out)
{
	struct layout_options opt = c->opt->iso.layout;
	const struct iso_info *old = c->iso != NULL ? iso_info(c->iso) : NULL;

	opt.out = c->opt->out;
	opt.fs = c->how;
	if (old != NULL) {
		opt.label = or_else(opt.label, old->label);
		opt.volume_set = or_else(opt.volume_set, old->volume_set);
		opt.publisher = or_else(opt.publisher, old->publisher);
	}
	if (opt.label == NULL)
		opt.label = DEFAULT_LABEL;
	if (opt.kind != LAYOUT_PLAIN && c->beside.root != NULL)
		opt.beside = &c->beside;
	return layout_write(&c->tree, &opt, out, &c->sizes);
}
