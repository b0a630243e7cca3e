/*
 * The whole index of a uzip as kernels parse it: for each cluster its offset,
 * and the length that follows from all entries.
 */
#ifndef UZIP_TABLE_H
#define UZIP_TABLE_H

#include "uzip_index.h"

/*
 * Parse the index of x and tell every fault to fault, unless it is NULL; *out
 * is made also where there were some, and the caller's to free.  -ENOMEM;
 * -ENOTSUP: more clusters or bytes than it can hold, said; errors of reading.
 */
MUST_CHECK int uzip_table_make(struct uzip_index *x, uzip_index_fault *fault,
    void *arg, struct uzip_table **out);
void uzip_table_free(struct uzip_table *t); /* NULL is fine */

/* As uzip_index_span.  -ECORRUPT, not said: its entry is faulty. */
MUST_CHECK int uzip_table_span(
    const struct uzip_table *t, uint32_t i, struct uzip_span *span, bool *last);

/* Begin a stretch, which is empty: at most n clusters from first on. */
void uzip_table_stretch(const struct uzip_table *t, uint32_t first, uint32_t n,
    struct uzip_stretch *s);

#endif
