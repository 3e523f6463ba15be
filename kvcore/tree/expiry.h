/* Which node expires next: a binary heap of (time, id), earliest first. A node knows its place in it
 * (ext->expiry_at), so that a change or a removal costs O(log n).
 */
#ifndef KV_TREE_EXPIRY_H
#define KV_TREE_EXPIRY_H

#include "kvcore/base/mem.h"

struct tree;
struct node;

struct expiry_entry {
    int64_t expires_ns;
    uint64_t id;
};

struct expiry {
    struct expiry_entry *entries;
    size_t count;
    size_t capacity;
};

/* Sets or changes the expiry of a node that has an ext: -ENOMEM (unchanged). INT64_MAX takes it away, from any node,
 * and never fails. */
int expiry_set(struct tree *tree, struct node *node, int64_t expires_ns);

/* The id of a node whose time has come, or 0. */
uint64_t expiry_due(const struct tree *tree, int64_t now_ns);

#endif
