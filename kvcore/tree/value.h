/* Changes of one node: its value, wherever it lies, and its attributes. Internal to tree/: tree_apply calls these.
 *
 * Each returns 0 or a negative code with nothing changed, and where the node had to move in memory it mends the id map
 * and the directory and puts the new address in *node.
 */
#ifndef KV_TREE_VALUE_H
#define KV_TREE_VALUE_H

#include "kvcore/tree/tree.h"

/* Gives the node an ext. -ENOMEM. */
int value_extend(struct tree *tree, struct node **node);

/* Replaces the whole value. -ENOMEM. */
int value_set(struct tree *tree, struct node **node, struct bytes value);

/* Writes at an offset, growing the value. -ENOMEM; -EFBIG past VALUE_BYTES_MAX. */
int value_write(struct tree *tree, struct node **node, uint64_t offset, struct bytes data);

/* Cuts or extends. -ENOMEM; -EFBIG. */
int value_truncate(struct tree *tree, struct node **node, uint64_t size);

/* Makes a range zeros; with `extend` the size becomes its end, if it is less. -ENOMEM; -EFBIG. */
int value_punch(struct tree *tree, struct node **node, uint64_t offset, uint64_t length, bool extend);

/* Copies bytes of another file, or of the same. -ENOMEM; -EFBIG; -EINVAL: the source has not so many bytes, or the two
 * ranges overlap. */
int value_copy(struct tree *tree, struct node **node, uint64_t offset, const struct node *source,
               uint64_t source_offset, uint64_t length);

#endif
