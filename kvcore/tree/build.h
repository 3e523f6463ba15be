/* A tree made from the images of its nodes, in any order, without effects: how a snapshot is loaded.
 *
 *   build_begin ─> [ build_node ─> build_name..., build_xattr... | build_chunk ]... ─> build_end
 *
 * build_name and build_xattr go to the node that came last. A directory whose entries come before itself is made empty
 * and awaited.
 *
 * Nothing is believed: images may come from anywhere. -EBADMSG: together they are no tree, and `wrong` says why.
 * -ENOMEM. After either the build is to be closed and the tree freed.
 */
#ifndef KV_TREE_BUILD_H
#define KV_TREE_BUILD_H

#include "kvcore/tree/image.h"
#include "kvcore/tree/tree.h"

enum { BUILD_AHEAD = 16 };

struct build {
    struct tree *tree;
    const char *wrong;  /* static */
    struct node *node;  /* the one that came last; it does not move any more */
    struct node *dir;   /* that of the last name */
    struct link **tail; /* where the next of its names goes */
    uint64_t names;     /* it still has to get */
    uint64_t awaited;   /* directories that are named, but have not come */
    struct node **dirs;
    size_t dir_count, dir_capacity;
    struct dentry *entering[BUILD_AHEAD]; /* a ring: names on their way into their directory */
    uint64_t entered, arrived;
};

/* The tree is a new one (tree_new): its root becomes what its image says. Before the first node it is to have each
 * slot's next_sequence. -ENOMEM. */
int build_begin(struct build *build, struct tree *tree);

/* With one name it comes with it; with none or several they follow, in order. */
int build_node(struct build *build, const struct image *image);
int build_name(struct build *build, uint64_t dir, struct bytes name);
int build_xattr(struct build *build, struct bytes name, struct bytes value);

/* The bytes of one chunk of a rope whose node has come. */
int build_chunk(struct build *build, uint64_t id, uint64_t number, struct bytes data);

/* All have come: puts directories in order and checks what only the whole can tell. */
int build_end(struct build *build);

/* Frees what it holds beside the tree; whether it ended or not. */
void build_close(struct build *build);

#endif
