/* What lies on the ISO beside the image of the tree. */
#include <inttypes.h>
#include <string.h>

#include "../imgfmt/gz.h"
#include "../imgfmt/log.h"
#include "layout_impl.h"
#include "loader_conf.h"
#include "outfile.h"

enum {
	MEMROOT_FREE = 10, /* percent that is free in the memory root */
	MEMROOT_MORE = 1 << 20,
	PIECE = 1 << 20,
};

const char *
layout_image_path(enum layout_kind kind)
{
	switch (kind) {
	case LAYOUT_UZIP:
		return "R.ufs.uzip";
	case LAYOUT_MEMROOT:
		return "data/base.ufs.uzip";
	default:
		return NULL;
	}
}

int
layout_of_name(const char *name, enum layout_kind *out)
{
	static const char *const names[] = {
	    [LAYOUT_PLAIN] = "plain",
	    [LAYOUT_UZIP] = "uzip",
	    [LAYOUT_MEMROOT] = "memroot",
	};

	for (int i = 0; i < (int)(sizeof(names) / sizeof(*names)); i++)
		if (strcmp(name, names[i]) == 0) {
			*out = (enum layout_kind)i;
			return 0;
		}
	return -EINVAL;
}

/* -- what must be there -----------------------------------------------------
 */

static bool
has(const struct tree *t, const char *path)
{
	return tree_find(t, path) != NULL;
}

static bool
is_file(const struct tree *t, const char *path)
{
	const struct tree_node *node = tree_find(t, path);

	return node != NULL && S_ISREG(node->mode);
}

static int
lacks(const char *what, const char *why)
{
	log_error("the tree has no '%s': %s", what, why);
	return -EINVAL;
}

int
layout_kernel(const struct tree *t, char **path)
{
	struct loader_conf conf;
	int rc = loader_conf_read(t, &conf);

	if (rc == 0)
		rc = loader_conf_kernel(&conf, path);
	if (rc < 0 && rc != -ENOMEM && rc != -EFBIG)
		log_error("'kernel' or 'bootfile' in loader.conf is no path");
	loader_conf_release(&conf);
	return rc;
}

/* The kernel itself, or compressed. */
static int
check_kernel(const struct tree *t, const char *path)
{
	scoped(freep) char *packed = NULL;

	if (asprintf(&packed, "%s.gz", path) < 0) {
		packed = NULL;
		return -ENOMEM;
	}
	if (!is_file(t, path) && !is_file(t, packed))
		return lacks(path, "the loader would find no kernel");
	return 0;
}

/*
 * BIOS needs cdboot and loader; a tree for machines without BIOS has but the
 * EFI loader.
 */
static int
check_boot(const struct tree *t)
{
	bool efi_only = is_file(t, LAYOUT_LOADER_EFI) &&
	    !has(t, LAYOUT_LOADER) && !has(t, LAYOUT_CDBOOT);

	if (!efi_only && !is_file(t, LAYOUT_CDBOOT))
		return lacks(LAYOUT_CDBOOT, "no BIOS could boot the ISO");
	if (!efi_only && !is_file(t, LAYOUT_LOADER))
		return lacks(LAYOUT_LOADER, "cdboot would find nothing to run");
	return 0;
}

/* GENERIC lacks these classes and file systems (formats.md 3.10). */
static int
check_modules(const struct tree *t, const char *kernel, enum layout_kind kind)
{
	static const char *const names[] = {"geom_uzip", "unionfs", "nullfs"};
	size_t n = kind == LAYOUT_MEMROOT ? 3 : 1;
	const char *slash = strrchr(kernel, '/');
	int dir = slash != NULL ? (int)(slash - kernel) : 0;

	for (size_t i = 0; i < n; i++) {
		scoped(freep) char *path = NULL;

		if (asprintf(&path, "%.*s/%s.ko", dir, kernel, names[i]) < 0) {
			path = NULL;
			return -ENOMEM;
		}
		if (!has(t, path))
			log_warn("the tree has no '%s': unless its kernel has "
				 "%s built in, the ISO will not come up",
			    path, names[i]);
	}
	return 0;
}

/* What the boot scripts run. */
static int
check_rescue(const struct tree *t, enum layout_kind kind)
{
	static const struct {
		const char *name;
		bool memroot;
	} tools[] = {
	    {"rescue/init", false},
	    {"rescue/sh", false},
	    {"rescue/mount", false},
	    {"rescue/mdconfig", false},
	    {"rescue/kenv", false},
	    {"rescue/mkdir", true},
	    {"rescue/sleep", true},
	    {"rescue/mdmfs", true},
	    {"rescue/newfs", true},        /* mdmfs runs it */
	    {"rescue/mount_cd9660", true}, /* mount does */
	    {"rescue/mount_nullfs", true},
	    {"rescue/mount_unionfs", true},
	};

	for (size_t i = 0; i < sizeof(tools) / sizeof(*tools); i++)
		if ((kind == LAYOUT_MEMROOT || !tools[i].memroot) &&
		    !has(t, tools[i].name))
			return lacks(tools[i].name,
			    "the layouts with an image start from rescue/");
	return 0;
}

int
layout_check_tree(const struct tree *t, enum layout_kind kind)
{
	scoped(freep) char *kernel = NULL;
	int rc = check_boot(t);

	if (rc == 0)
		rc = layout_kernel(t, &kernel);
	if (rc == 0)
		rc = check_kernel(t, kernel);
	if (rc == 0 && kind != LAYOUT_PLAIN)
		rc = check_rescue(t, kind);
	if (rc == 0 && kind != LAYOUT_PLAIN)
		rc = check_modules(t, kernel, kind);
	return rc;
}

/* -- pieces -----------------------------------------------------------------
 */

static int
put_dir(struct tree *t, const char *path)
{
	struct tree_node *node = tree_node_new(t, S_IFDIR | 0755);

	return node == NULL ? -ENOMEM : tree_put(t, path, path, &node);
}

static int
put_script(
    struct tree *t, const char *path, enum layout_kind kind, const char *device)
{
	char *text = layout_script(kind, device);

	return text == NULL ? -ENOMEM : tree_put_text(t, path, 0555, text);
}

/* A sector of zeroes, where the image will be. */
static int
hold_place(struct tree *t, const char *path)
{
	struct tree_node *node = tree_node_new(t, S_IFREG | 0444);

	if (node == NULL)
		return -ENOMEM;
	node->size = 2048;
	return tree_put(t, path, path, &node);
}

/* All of dev becomes the contents of a new file. */
static int
put_contents(struct tree *t, const char *path, struct blkdev *dev, uint64_t len)
{
	struct tree_node *node = tree_node_new(t, S_IFREG | 0444);
	scoped(freep) uint8_t *buf = malloc(PIECE);
	int rc = node == NULL || buf == NULL ? -ENOMEM : 0;

	for (uint64_t off = 0; off < len && rc == 0; off += PIECE) {
		size_t n = len - off < PIECE ? (size_t)(len - off) : PIECE;
		uint64_t at = 0;

		rc = blkdev_read(dev, off, buf, n);
		if (rc == 0)
			rc = tree_spool(t, buf, n, &at);
		if (rc == 0)
			rc = tree_add_run(node, off, n, at);
	}
	if (rc < 0) {
		tree_node_free(node);
		return rc;
	}
	node->content.kind = CONTENT_SPOOL;
	node->size = len;
	return tree_put(t, path, path, &node);
}

/* -- the memory root --------------------------------------------------------
 */

static int
make_memroot_tree(struct layout *l, struct tree *t)
{
	static const char *const dirs[] = {
	    "dev", "cdrom", "baseroot", "rwroot"};
	int rc = tree_init_part(t, l->system);

	if (rc == 0)
		rc = tree_share(t, "rescue");
	for (size_t i = 0; i < sizeof(dirs) / sizeof(*dirs) && rc == 0; i++)
		rc = put_dir(t, dirs[i]);
	return rc < 0 ? rc
		      : put_script(t, "baseroot.rc", LAYOUT_MEMROOT, l->device);
}

/* With both, the loader would take the plain one (trap 72). */
static void
leave_out_plain(struct tree *cd)
{
	struct tree_node *boot = tree_find(cd, "boot");

	if (tree_child(boot, "memroot.ufs") == NULL)
		return;
	tree_remove(boot, "memroot.ufs");
	log_info("boot/memroot.ufs: left out, for '%s'", LAYOUT_MEMROOT_GZ);
}

/* Lay out the memory root and put it, compressed, on the ISO. */
static int
write_memroot(struct layout *l, struct tree *t)
{
	struct create_fs_options how = {
	    .name = LAYOUT_MEMROOT_GZ,
	    .format = CREATE_GZ,
	    .mkfs = l->opt->fs.mkfs,
	    .free_bytes = MEMROOT_MORE,
	    .free_percent = MEMROOT_FREE,
	    .gz_level = 9,
	};
	struct create_fs fs = {0};
	struct blkdev *gz = NULL;
	int rc = blkdev_mem_open(0, &gz);

	how.mkfs.bytes_per_inode = 0;
	leave_out_plain(&l->cd);
	if (rc == 0)
		rc = create_fs_lay_out(&fs, &how, t);
	if (rc == 0)
		rc = create_fs_write(&fs, &l->reader, gz, 0);
	if (rc == 0)
		rc = put_contents(&l->cd, LAYOUT_MEMROOT_GZ, gz, fs.written);
	l->sizes.memroot = fs.written;
	create_fs_release(&fs);
	blkdev_close(gz);
	return rc;
}

static int
put_memroot(struct layout *l)
{
	struct tree t = {.spool = -1};
	int rc = make_memroot_tree(l, &t);

	if (rc == 0)
		rc = write_memroot(l, &t);
	tree_release(&t);
	return rc;
}

/* -- the ISO's own tree -----------------------------------------------------
 */

static int
put_uzip_root(struct layout *l)
{
	int rc = tree_share(&l->cd, "rescue");

	if (rc == 0)
		rc = put_dir(&l->cd, "dev");
	if (rc == 0)
		rc = put_dir(&l->cd, "newroot");
	return rc < 0
	    ? rc
	    : put_script(&l->cd, "newroot.rc", LAYOUT_UZIP, l->device);
}

int
layout_make_cd(struct layout *l)
{
	enum layout_kind kind = l->opt->kind;
	int rc = tree_init_part(&l->cd, l->system);

	if (rc == 0)
		rc = tree_share(&l->cd, "boot");
	if (rc == 0)
		rc = kind == LAYOUT_UZIP ? put_uzip_root(l) : put_memroot(l);
	if (rc == 0 && l->opt->beside != NULL)
		rc = tree_add_missing(&l->cd, l->opt->beside);
	if (rc == 0)
		rc = hold_place(&l->cd, layout_image_path(kind));
	return rc;
}
