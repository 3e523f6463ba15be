/* Many dentries into the order of their names at once. */
#ifndef KV_TREE_DIR_SORT_H
#define KV_TREE_DIR_SORT_H

#include "kvcore/base/mem.h"

struct dentry;

/* By bytes_compare; no two names are equal. -ENOMEM; the list is as it was then. */
int dir_sort(struct mem *mem, struct dentry **list, size_t count);

#endif
