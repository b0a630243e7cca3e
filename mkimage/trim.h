/*
 * `--trim`: what a boot tree holds that booting a CD does not need.
 *
 * Modules stay that loader.conf loads, and those that they depend on by their
 * own metadata, all the way down; where the tree is the live root as well, also
 * those of kld_list in its rc.conf and of file systems in its fstab.  What a
 * driver asks for by itself while the system runs (firmware) is not among them,
 * unless loader.conf names it.  Of the other boot files those go that boot from
 * disks, the network or bhyve, and debug symbols.
 */
#ifndef TRIM_H
#define TRIM_H

#include "tree.h"

/* What was left out. */
struct trim_counts {
	uint64_t modules, module_bytes;
	uint64_t kept; /* modules */
	uint64_t files, file_bytes;
	uint64_t missing; /* modules that are needed but not there; warned */
};

/*
 * Leave out what the tree, which holds boot/, does not need to boot from a CD.
 * Each file is told by log_debug.  -ENOMEM, and errors of reading the tree,
 * which are said.
 */
MUST_CHECK int trim_boot(struct tree *t, struct trim_counts *counts);

#endif
