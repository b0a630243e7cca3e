/* Private to layout*.c. */
#ifndef LAYOUT_IMPL_H
#define LAYOUT_IMPL_H

#include "create_impl.h"
#include "layout.h"

/* Where things lie, in every layout. */
#define LAYOUT_CDBOOT      "boot/cdboot"
#define LAYOUT_LOADER      "boot/loader"
#define LAYOUT_LOADER_EFI  "boot/loader.efi"
#define LAYOUT_LOADER_CONF "boot/loader.conf"
#define LAYOUT_MEMROOT_GZ  "boot/memroot.ufs.gz"

/*
 * Devices to find the medium at, what the kernel shows of a label in them, and
 * the room of one kernel variable for them (KENV_MVALLEN is 128, formats.md
 * 3.9).
 */
enum {
	LAYOUT_DEVICE_MAX = 128,
	LAYOUT_PROVIDER_MAX = 63,
	LAYOUT_LABEL_SHOWN = 31,
	LAYOUT_KENV_MAX = 127,
};

struct layout {
	const struct layout_options *opt;
	struct tree *system; /* the live root */
	struct tree cd;      /* what the ISO holds; not in a plain layout */
	struct tree_reader reader;      /* of both */
	char device[LAYOUT_DEVICE_MAX]; /* /dev/iso9660/LABEL */
	struct layout_sizes sizes;
};

/* -- layout_tree.c: what the ISO holds ---------------------------------------
 */

/* The kernel that the loader takes, as a path in t, to be freed; errors
 * said. */
MUST_CHECK int layout_kernel(const struct tree *t, char **path);

/* What a tree must have to boot in this layout.  -EINVAL, said. */
MUST_CHECK int layout_check_tree(const struct tree *t, enum layout_kind kind);

/* Fill l->cd for a layout with an image: its place is held by zeroes. */
MUST_CHECK int layout_make_cd(struct layout *l);

/* -- layout_tweak.c: settings ------------------------------------------------
 */

/* /dev/iso9660/LABEL as the kernel spells it (formats.md 3.7). */
void layout_device(const char *label, char device[LAYOUT_DEVICE_MAX]);

/* Settings of the live root: fstab, rc.conf, mount points.  What is changed is
 * said. */
MUST_CHECK int layout_tweak_system(struct layout *l);

/* Settings of the loader in t, the tree that it reads. */
MUST_CHECK int layout_tweak_loader(struct layout *l, struct tree *t);

/* -- layout_rc.c: boot scripts -----------------------------------------------
 */

/*
 * The script that init runs, for a medium at device, to be freed; NULL: no
 * memory.
 */
char *layout_script(enum layout_kind kind, const char *device);

/* -- layout_sizes.c ----------------------------------------------------------
 */

/*
 * Complete l->sizes, for an ISO of that many bytes, with what the other
 * layouts would give: known where this one has the same part, else by
 * compressing a sample.  Errors of reading are passed over: it is but a guess.
 */
void layout_measure(struct layout *l, uint64_t iso);

#endif
