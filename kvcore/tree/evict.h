/* Eviction: which file a full cache gives up next.
 *
 * Seven bits in each node, its heat, say how warm it is; what they mean depends on the policy.
 *
 *   EVICT_LRU  when it was last used, in ticks. A tick is an eighth as many uses as there are nodes, not a time: so a
 *              store that rests does not forget what it knew. After 128 ticks, 16 uses for each node there is, the
 *              clock has come round and an older node looks young; in a full cache none is left by then.
 *   EVICT_LFU  how often, as a logarithm: a use makes it more with a chance that falls as it rises (about 80,000 uses
 *              for the highest; Morris, "Counting large numbers of events in small registers", 1978). A node that is
 *              looked at and left cools by one now and then, about once while the cache is replaced; so what was
 *              popular once goes in the end.
 *   EVICT_TTL  the heat is not used: the node that expires next goes first, and one that never expires never.
 *
 * A hand goes round all nodes by id, as in CLOCK: each choice looks at the next EVICT_LOOK files and keeps the coldest
 * of all it has seen in a pool of EVICT_POOL; the coldest of those goes. The rejected alternative, looking at nodes
 * drawn by chance as Redis does, cannot be fair here: ids have gaps where old nodes are gone, and whoever stands behind
 * a gap is drawn too often. An exact list in order of use would take 16 bytes a key and a write to two neighbours a
 * read.
 *
 * Directories, symlinks and special files are never evicted, nor what has no name or is not to be had (`keep`).
 */
#ifndef KV_TREE_EVICT_H
#define KV_TREE_EVICT_H

#include "kvcore/tree/tree.h"

enum evict_policy {
    EVICT_NONE, /* a full store refuses what grows */
    EVICT_LRU,
    EVICT_LFU,
    EVICT_TTL,
};

enum { EVICT_POOL = 16, EVICT_LOOK = 16, HEAT_MAX = 127, HEAT_BORN = 5 };

struct evict {
    enum evict_policy policy;
    unsigned tick;   /* EVICT_LRU: now, 0..HEAT_MAX */
    uint64_t uses;   /* in this tick */
    uint32_t chance; /* EVICT_LFU: the state of a small generator; what is drawn need not be secret */
    unsigned slot;   /* where the hand stands */
    uint64_t sequence;
    uint64_t pool[EVICT_POOL]; /* ids */
    unsigned pool_count;
};

void evict_init(struct evict *evict, enum evict_policy policy);

/* "noeviction", "allkeys-lru", "allkeys-lfu", "volatile-ttl", as Redis names them. Static; NULL: no such policy. */
const char *evict_policy_name(unsigned policy);

/* The node has been made, or used. Cheap; nothing at all without a policy that asks. */
void evict_born(struct evict *evict, const struct tree *tree, struct node *node);
void evict_use(struct evict *evict, const struct tree *tree, struct node *node);

/* The id of the file to go next, or 0: there is none. The same comes again if it does not go: `keep` (may be NULL) says
 * beforehand which must not. */
uint64_t evict_next(struct evict *evict, const struct tree *tree, bool (*keep)(void *user, uint64_t id), void *user);

#endif
