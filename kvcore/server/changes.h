/* What a cache has to forget when somebody else has changed the store: a pure function from an effect to notices. */
#ifndef KV_SERVER_CHANGES_H
#define KV_SERVER_CHANGES_H

#include "kvcore/tree/effect.h"

/* One thing to forget: an inode's attributes, with `data` its pages (a directory's: its listing) too; or, where
 * name.data is set, what a name in a directory leads to. */
struct change {
    uint64_t id; /* the inode, or the directory */
    bool data;
    struct bytes name; /* borrowed from the effect */
};

enum { CHANGES_MAX = 6 };

/* The notices for an effect that has been applied, in order; `changes` has room for CHANGES_MAX. Returns how many. */
size_t changes_of(const struct effect *effect, struct change *changes);

#endif
