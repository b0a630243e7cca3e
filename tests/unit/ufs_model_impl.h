/* Private to ufs_model*.c. */
#ifndef UFS_MODEL_IMPL_H
#define UFS_MODEL_IMPL_H

#include "ufs_model.h"

enum { ROOT = 0, S_DIR = 0040000, S_REG = 0100000, S_LNK = 0120000 };

/* Print and count a difference. */
__attribute__((format(printf, 2, 3))) void model_differs(
    struct model *m, const char *format, ...);
unsigned model_type_of(const struct model_node *n);
/* A random node of that type (0: any) that has a name; -1: none. */
int model_pick(struct model *m, unsigned type);
/* Index of an unused node, or -1. */
int model_find_free(const struct model *m);
/* Index of the entry, or -1. */
int model_find_entry(const struct model_node *dir, const char *name);
void model_add_entry(struct model *m, int dir, const char *name, int node);
void model_erase_entry(struct model_node *dir, int i);
/* Drop a node that has neither name nor pin. */
void model_reap(struct model *m, struct model_node *n);
void model_set_size(struct model *m, struct model_node *n, uint64_t size);
/*
 * Whether the file system did what, and the model has to follow; says so when
 * the answers do not go together.
 */
bool model_agrees(struct model *m, const char *what, int64_t got, int64_t want);
/* Names collide often, and are of all lengths. */
void model_random_name(struct model *m, char name[UFS_NAME_MAX + 1]);

void model_op_create(struct model *m);
void model_op_link(struct model *m);
void model_op_remove(struct model *m);
void model_op_rename(struct model *m);
void model_op_write(struct model *m);
void model_op_truncate(struct model *m);
void model_op_allocate(struct model *m);

#endif
