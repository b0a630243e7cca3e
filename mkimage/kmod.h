/*
 * What a FreeBSD kernel module, or a kernel, says about itself: the records
 * that sys/module.h puts into the linker set modmetadata_set, and kldxref(8)
 * and the loader read.
 */
#ifndef KMOD_H
#define KMOD_H

#include <stddef.h>
#include <stdint.h>

#include "../imgfmt/err.h"

/* Bytes of a module's name: one byte holds the length in linker.hints. */
enum { KMOD_NAME_MAX = 255 };

/* As MDT_* of sys/module.h. */
enum kmod_kind { KMOD_DEPEND = 1, KMOD_MODULE = 2, KMOD_VERSION = 3 };

struct kmod_record {
	enum kmod_kind kind;
	char *name; /* of the module that is meant */
	/* DEPEND: which versions will do; VERSION: preferred is the version. */
	int32_t least, preferred, most;
};

struct kmod {
	struct kmod_record *records;
	size_t n, room;
};

/*
 * The records of the ELF file image, len bytes of any machine that FreeBSD
 * has modules for, relocatable or linked.  What is no ELF file or has no such
 * set has no records.  -ECORRUPT: the set is there but leads nowhere, nothing
 * said; -EOPNOTSUPP: a machine whose relocations we do not know.  *out wants
 * kmod_release in any case.  image is not changed.
 */
MUST_CHECK int kmod_read(void *image, size_t len, struct kmod *out);
void kmod_release(struct kmod *kmod);

#endif
