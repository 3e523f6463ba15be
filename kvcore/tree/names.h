/* Changes of names: giving one, taking one away, moving one. Internal to tree/: tree_apply calls these.
 *
 * All take resolved, checked arguments and either do the whole change or, on -ENOMEM, nothing. Times and versions are
 * the caller's.
 */
#ifndef KV_TREE_NAMES_H
#define KV_TREE_NAMES_H

#include "kvcore/tree/tree.h"

/* Enters a new node (from node_new, name inside; a directory has its ext and index) under its name in `dir` and in the
 * id map. -EEXIST: the id is taken; -ENOMEM. On failure the node is still the caller's. */
int names_enter(struct tree *tree, struct node *node, struct node *dir, struct bytes name);

/* Enters a new node, not a directory, without a name: held once, so it has an ext. On failure it is still the
 * caller's, but may have moved. */
int names_enter_unnamed(struct tree *tree, struct node **node);

/* One more name for a node that is not a directory. */
int names_link(struct tree *tree, struct node **node, struct node *dir, struct bytes name);

/* Takes a name away. A node that loses its last one is freed, or with `hold` kept without a name (and then it has an
 * ext, as every node with several names has). */
int names_remove(struct tree *tree, struct dentry *dentry, bool hold);

/* Moves `source` to (to_dir, to_name). `target`, the dentry that stands there, or NULL, goes as in names_remove. */
int names_move(struct tree *tree, struct dentry *source, struct node *to_dir, struct bytes to_name,
               struct dentry *target, bool hold, struct node **ret_node);

/* Two dentries change their nodes' places. */
int names_exchange(struct tree *tree, struct dentry *a, struct dentry *b);

/* One hold less on a node that has one. A nameless node without holds is freed. */
void names_release(struct tree *tree, struct node *node);

#endif
