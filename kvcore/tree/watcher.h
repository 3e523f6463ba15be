/* Who wants to see nodes as they are before they change: a snapshot that is being taken. At most one watches a tree.
 * While none does, a change costs one branch more.
 */
#ifndef KV_TREE_WATCHER_H
#define KV_TREE_WATCHER_H

#include "kvcore/tree/tree.h"

struct tree_watcher {
    /* The node is about to change, or to go; it may still turn out that it does not. Called once or several times for a
     * change, for each node whose attributes, names, value or xattrs it touches, and not for a node that it makes. The
     * tree is not to be changed meanwhile. */
    void (*before_change)(struct tree_watcher *watcher, const struct node *node);
};

static inline void watcher_before(const struct tree *tree, const struct node *node)
{
    if (__builtin_expect(tree->watcher != NULL, 0))
        tree->watcher->before_change(tree->watcher, node);
}

#endif
