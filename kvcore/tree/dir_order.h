/* The dentries of one directory in the order of their names (bytes_compare). See dir.h. */
#ifndef KV_TREE_DIR_ORDER_H
#define KV_TREE_DIR_ORDER_H

#include "kvcore/base/bytes.h"
#include "kvcore/base/mem.h"

struct dentry;
struct order_node;

/* A zeroed struct is empty. */
struct dir_order {
    struct order_node *root;
};

void dir_order_close(struct dir_order *order, struct mem *mem);

/* Fills an empty order with all of a sorted list at once: full leaves, bottom up. -ENOMEM; it is empty then. */
int dir_order_build(struct dir_order *order, struct mem *mem, struct dentry *const *sorted, size_t count);

/* As the functions of dir.h of the same names. */
int dir_order_insert(struct dir_order *order, struct mem *mem, struct dentry *dentry);
void dir_order_remove(struct dir_order *order, struct mem *mem, struct dentry *dentry);
void dir_order_replace(struct dir_order *order, const struct dentry *was, struct dentry *now);
size_t dir_order_list(const struct dir_order *order, struct bytes after, struct dentry **found, size_t max);

#endif
