/* The naive tree that the real one is compared with: a flat array of names, each a whole path with the id of its node,
 * and a flat array of nodes, each a plain struct with its value in one malloc'd array. Every rule is written a second
 * time here in the plainest way: a rename rewrites the paths of all that lies below, a link count counts.
 */
#ifndef TESTS_UNIT_TREE_MODEL_H
#define TESTS_UNIT_TREE_MODEL_H

#include "kvcore/tree/tree.h"
#include "tests/unit/seed.h"

enum { MODEL_XATTRS = 6 };

struct model_value {
    char *bytes; /* NULL: an absent attribute */
    uint64_t len;
};

struct model_node {
    uint64_t id, version, rdev;
    int64_t mtime_ns, ctime_ns, atime_ns, btime_ns, expires_ns;
    uint32_t mode, uid, gid, holds;
    bool unnamed; /* and never had a name */
    struct model_value value;
    struct model_value xattrs[MODEL_XATTRS]; /* of model_xattr_name(0..) */
};

struct model_name {
    char *path; /* "": the root */
    uint64_t id;
};

struct model {
    struct model_node *nodes;
    struct model_name *names;
    size_t node_count, name_count;
    uint64_t highest_sequence[SLOTS]; /* that a node ever had */
};

/* Equal to a new tree: takes the root's attributes from it. */
void model_init(struct model *model, const struct tree *tree);
void model_close(struct model *model);

struct bytes model_xattr_name(unsigned i);

/* As tree_apply, but ids come back instead of nodes: what effect->ret_node must be (0: NULL) and ret_held. */
int model_apply(struct model *model, const struct effect *effect, uint64_t *ret_id, uint64_t *ret_held);

/* How likely the random effects are to fill the tree, and how long their values are. */
struct model_taste {
    size_t names_max;   /* above this many the tree shrinks */
    unsigned long_ones; /* one of so many values is longer than a chunk or close to it */
};

/* A random effect of any kind, most of them valid. What its bytes point to lives in static arrays until the next
 * call. */
void model_random_effect(const struct model *model, const struct tree *tree, struct chance *chance,
                         const struct model_taste *taste, struct effect *ret_effect);

/* The tree has been given this effect and answered `rc`: does the same in the model, and expects the same results. */
void model_follow(struct model *model, const struct tree *tree, const struct effect *effect, int rc);

/* Expects everything equal: nodes, values, attributes, names, listings, keys; and tree_verify. */
void model_expect_equal(const struct model *model, const struct tree *tree);

#endif
