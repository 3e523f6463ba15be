/* A name in a directory: all that the directory's indexes know of what they hold. Where it lies, and how a node is
 * found from it, is node.h's. */
#ifndef KV_TREE_DENTRY_H
#define KV_TREE_DENTRY_H

#include "kvcore/base/bytes.h"

struct node;

enum dentry_kind {
    DENTRY_INSIDE, /* the tail of its struct node */
    DENTRY_LINK,   /* the tail of a struct link */
};

/* One name of one node. Packed, or the pointer's alignment would push small files over a size class. */
struct dentry {
    struct node *dir; /* the directory that holds the name; NULL for the root's and for a node without a name */
    uint8_t name_len;
    uint8_t kind : 1; /* enum dentry_kind */
    uint8_t heat : 7; /* of a node, in the dentry inside it: how warm it is (evict.h) */
    char name[];      /* no terminator */
} __attribute__((packed, aligned(4)));

static inline struct bytes dentry_name(const struct dentry *dentry)
{
    return (struct bytes){dentry->name, dentry->name_len};
}

#endif
