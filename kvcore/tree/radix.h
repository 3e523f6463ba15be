/* An ordered map from 64-bit numbers to pointers: node ids to nodes, chunk numbers to chunks.
 *
 * A trie of 6 bits a level. Each branch holds a 64-bit bitmap of the children it has and an array of just
 * those (popcount finds the place), grown by the allocator's size classes; a full branch at the bottom needs no
 * bitmap. So ids handed out in sequence cost 8 bytes and a little each, and a lone survivor of a deleted run
 * costs a few small branches, not a page. Runs of zero bits take no levels: an id of slot and sequence is found
 * in as many steps as the two have digits, however far apart they stand. Walking in order by slices (snapshots)
 * needs no cursor but the last key seen.
 */
#ifndef KV_TREE_RADIX_H
#define KV_TREE_RADIX_H

#include "kvcore/base/mem.h"

#include <stdbool.h>

struct radix {
    void *root;   /* internal; NULL when empty */
    size_t count; /* keys present */
};

/* A zeroed struct is an empty map. Frees the branches, not what the pointers point to. */
void radix_close(struct radix *radix, struct mem *mem);

/* NULL when absent. */
void *radix_find(const struct radix *radix, uint64_t key);

/* Adds `value` (not NULL), or replaces what was there. -ENOMEM (map unchanged), which a replacement never gives. */
int radix_set(struct radix *radix, struct mem *mem, uint64_t key, void *value);

/* Removes the key and returns what was there, or NULL. Never fails. */
void *radix_remove(struct radix *radix, struct mem *mem, uint64_t key);

/* The first value whose key is >= `from`, its key in *ret_key; NULL when there is none. */
void *radix_next(const struct radix *radix, uint64_t from, uint64_t *ret_key);

#endif
