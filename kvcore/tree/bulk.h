/* Which directories of a tree have no order by name while it is being loaded. See tree_bulk_begin. */
#ifndef KV_TREE_BULK_H
#define KV_TREE_BULK_H

struct node;
struct tree;

/* A name is about to be entered in `dir`: its order may be dropped, if a bulk is on. */
void bulk_touch(struct tree *tree, struct node *dir);

void bulk_free(struct tree *tree);

#endif
