/* The walk over a tree of one instant, while it changes: pure, in the store's thread alone.
 *
 *   ids   0 ........ cursor ............ what there was at the start | born later
 *         encoded          encoded here and there:                     not in it
 *                          about to change (`saved`)
 *
 * Nodes are encoded in the order of their ids, slice by slice. One that the cursor has not reached and that is about to
 * change or go is encoded first, as it was. Each is encoded once. What was born later is known by its id: sequences are
 * never given twice.
 *
 * A long value is walked chunk by chunk too, and only referred to. If its node changes meanwhile, what is left of it is
 * kept by reference (rope_share_part), and walked before anything else.
 *
 * Memory: a bit for each node that was saved and not reached, and the blocks (snapshot_blocks.h). The rejected
 * alternative, a mark in the node, would have to be taken off again after a snapshot that was broken off.
 */
#ifndef KV_LOG_SNAPSHOT_WALK_H
#define KV_LOG_SNAPSHOT_WALK_H

#include "kvcore/log/id_set.h"
#include "kvcore/log/snapshot_blocks.h"
#include "kvcore/tree/watcher.h"

/* What is left of a value whose node has changed. */
struct kept_value {
    struct kept_value *next;
    uint64_t id, number; /* the next chunk */
    struct rope rope;
};

struct walk {
    struct tree_watcher watcher; /* first */
    struct tree *tree;
    struct blocks *blocks;
    unsigned slot; /* the cursor: the next id to look at */
    uint64_t sequence;
    uint64_t value_id, value_number; /* the node whose value is being walked, or 0 */
    struct kept_value *kept;
    struct id_set saved; /* ahead of the cursor */
    uint64_t saved_page; /* that the cursor is in */
    bool ended;
    uint64_t next_sequence[SLOTS]; /* at the start */
};

/* Watches the tree from now on, with a zeroed walk. The blocks get the slots' sequences. -ENOMEM; it is to be stopped
 * then too. */
int walk_start(struct walk *walk, struct tree *tree, struct blocks *blocks);

/* Walks for about `bytes`. 1: all is in the blocks; 0: more is left; negative: it has failed. */
int walk_slice(struct walk *walk, uint64_t bytes);

/* Watches no more, and gives back what it holds. Accepts a zeroed one. */
void walk_stop(struct walk *walk);

#endif
