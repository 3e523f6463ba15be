/* All that a node is, apart from where it lies in memory: what a snapshot keeps of it. A value that is a rope, the
 * xattrs, and the names of a node that has not exactly one are walked beside it. Names go with the node, not with their
 * directory: so a directory of a million entries is no larger than an empty one, and a change of a name changes few.
 *
 * Not part of it, since they follow from the rest: nlink, and how much memory anything takes. Nor is the heat
 * (evict.h).
 */
#ifndef KV_TREE_IMAGE_H
#define KV_TREE_IMAGE_H

#include "kvcore/tree/node.h"

struct image {
    uint64_t id, version;
    int64_t mtime_ns, btime_ns, ctime_ns, atime_ns;
    int64_t expires_ns; /* INT64_MAX: never */
    uint32_t mode, uid, gid;
    uint32_t holds;
    uint64_t names;    /* how many */
    uint64_t dir;      /* with one name: where ... */
    struct bytes name; /* ... and which */
    bool is_rope;
    bool has_xattrs;
    bool is_unnamed;    /* with no name: NODE_UNNAMED */
    uint64_t size;      /* with is_rope */
    struct bytes value; /* a file's or symlink's that is no rope */
    uint64_t rdev;      /* of all that is neither file, symlink nor directory */
};

/* Has a node of this mode a value, a device number? A directory has neither. */
static inline bool image_has_value(uint32_t mode) { return S_ISREG(mode) || S_ISLNK(mode); }
static inline bool image_has_rdev(uint32_t mode) { return !image_has_value(mode) && !S_ISDIR(mode); }

/* Borrows from the node. */
void image_of(const struct node *node, struct image *ret_image);

#endif
