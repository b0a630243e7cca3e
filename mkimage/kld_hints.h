/*
 * linker.hints: which file of a directory holds which version of which kernel
 * module, as kldxref(8) found out when the system was built.  The loader and
 * the kernel look a dependency up in it, because many modules' files are
 * called otherwise; devmatch(8) takes from it what to load for a device.
 */
#ifndef KLD_HINTS_H
#define KLD_HINTS_H

#include "tree.h"

/*
 * Drop from dir's linker.hints, if there is one, what concerns files that are
 * not in dir, neither plain nor as .gz.  Hints in a form that we do not know
 * stay as they are.  Errors of reading and of the scratch file, said.
 */
MUST_CHECK int kld_hints_prune(struct tree *t, struct tree_node *dir);

/* The same for len bytes at hints: how many are left, in place. */
size_t kld_hints_filter(
    uint8_t *hints, size_t len, const struct tree_node *dir);

#endif
