#include "kvcore/tree/evict.h"

void evict_init(struct evict *evict, enum evict_policy policy)
{
    *evict = (struct evict){.policy = policy, .chance = 0x9e3779b9u};
}

const char *evict_policy_name(unsigned policy)
{
    static const char *const names[] = {
        [EVICT_NONE] = "noeviction",
        [EVICT_LRU] = "allkeys-lru",
        [EVICT_LFU] = "allkeys-lfu",
        [EVICT_TTL] = "volatile-ttl",
    };
    return policy < sizeof names / sizeof names[0] ? names[policy] : NULL;
}

/* --- heat --- */

static unsigned heat_of(const struct node *node) { return node->dentry.heat; }
static void set_heat(struct node *node, unsigned heat) { node->dentry.heat = heat & HEAT_MAX; }

/* xorshift32 (Marsaglia, "Xorshift RNGs", 2003). */
static uint32_t draw(struct evict *evict)
{
    uint32_t x = evict->chance;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return evict->chance = x;
}

static void count_use(struct evict *evict, const struct tree *tree)
{
    if (++evict->uses <= tree->node_count / 8)
        return;
    evict->uses = 0;
    evict->tick = (evict->tick + 1) & HEAT_MAX;
}

void evict_born(struct evict *evict, const struct tree *tree, struct node *node)
{
    if (evict->policy == EVICT_LRU) {
        count_use(evict, tree);
        set_heat(node, evict->tick);
    } else if (evict->policy == EVICT_LFU) {
        set_heat(node, HEAT_BORN); /* or it would go before it could be used a second time */
    }
}

void evict_use(struct evict *evict, const struct tree *tree, struct node *node)
{
    unsigned heat = heat_of(node);
    if (evict->policy == EVICT_LRU) {
        count_use(evict, tree);
        if (heat != evict->tick)
            set_heat(node, evict->tick);
    } else if (evict->policy == EVICT_LFU && heat < HEAT_MAX) {
        unsigned over = heat > HEAT_BORN ? heat - HEAT_BORN : 0;
        if (draw(evict) % (over * 10 + 1) == 0)
            set_heat(node, heat + 1);
    }
}

static unsigned coldness(const struct evict *evict, const struct node *node)
{
    return evict->policy == EVICT_LRU ? (evict->tick - heat_of(node)) & HEAT_MAX : HEAT_MAX - heat_of(node);
}

/* --- the hand and the pool --- */

static bool may_go(const struct node *node) { return node_is_file(node) && node_nlink(node) > 0; }

/* The next node by id, from where the hand stands; it goes round. NULL: there is none. */
static struct node *hand_next(struct evict *evict, const struct tree *tree)
{
    for (unsigned slots = 0; slots <= SLOTS; slots++) {
        const struct radix *nodes = &tree->slots[evict->slot].nodes;
        uint64_t sequence;
        struct node *node = nodes->count ? radix_next(nodes, evict->sequence, &sequence) : NULL;
        if (node) {
            evict->sequence = sequence + 1;
            return node;
        }
        evict->slot = (evict->slot + 1) % SLOTS;
        evict->sequence = 0;
    }
    return NULL;
}

/* What is in the pool and may still go; forgets the others. */
static struct node *pooled(struct evict *evict, const struct tree *tree, unsigned at)
{
    struct node *node = tree_find(tree, evict->pool[at]);
    if (node && may_go(node))
        return node;
    evict->pool[at] = evict->pool[--evict->pool_count];
    return NULL;
}

/* The warmest, or with `coldest` the coldest of the pool; its place in *ret_at. NULL: the pool is empty. */
static struct node *pool_extreme(struct evict *evict, const struct tree *tree, bool coldest, unsigned *ret_at)
{
    struct node *found = NULL;
    for (unsigned at = 0; at < evict->pool_count;) {
        struct node *node = pooled(evict, tree, at);
        if (!node)
            continue;
        unsigned cold = coldness(evict, node);
        if (!found || (coldest ? cold > coldness(evict, found) : cold < coldness(evict, found))) {
            found = node;
            *ret_at = at;
        }
        at++;
    }
    return found;
}

static bool pool_has(const struct evict *evict, uint64_t id)
{
    for (unsigned at = 0; at < evict->pool_count; at++)
        if (evict->pool[at] == id)
            return true;
    return false;
}

/* Takes the node where there is room, or in the place of one that is warmer. The one that is left may cool: of all the
 * looks at a node while the cache is replaced once, about one takes a degree. */
static void pool_offer(struct evict *evict, const struct tree *tree, struct node *node)
{
    unsigned at;
    struct node *left = node;
    if (pool_has(evict, node->id))
        return;
    if (evict->pool_count < EVICT_POOL) {
        evict->pool[evict->pool_count++] = node->id;
        return;
    }
    struct node *warmest = pool_extreme(evict, tree, false, &at);
    if (evict->pool_count < EVICT_POOL) { /* some were gone */
        evict->pool[evict->pool_count++] = node->id;
        return;
    }
    if (coldness(evict, node) > coldness(evict, warmest)) {
        evict->pool[at] = node->id;
        left = warmest;
    }
    if (evict->policy == EVICT_LFU && heat_of(left) > 0 && draw(evict) % EVICT_LOOK == 0)
        set_heat(left, heat_of(left) - 1);
}

static uint64_t next_by_heat(struct evict *evict, const struct tree *tree, bool (*keep)(void *user, uint64_t id),
                             void *user)
{
    uint64_t looked = 0, files = 0;
    while (files < EVICT_LOOK && looked++ < tree->node_count) {
        struct node *node = hand_next(evict, tree);
        if (!node)
            break;
        if (!may_go(node) || (keep && keep(user, node->id)))
            continue;
        files++;
        pool_offer(evict, tree, node);
    }
    unsigned at;
    struct node *coldest = pool_extreme(evict, tree, true, &at);
    return coldest ? coldest->id : 0;
}

uint64_t evict_next(struct evict *evict, const struct tree *tree, bool (*keep)(void *user, uint64_t id), void *user)
{
    switch (evict->policy) {
    case EVICT_NONE:
        return 0;
    case EVICT_TTL:
        return expiry_due(tree, INT64_MAX);
    case EVICT_LRU:
    case EVICT_LFU:
        break;
    }
    return next_by_heat(evict, tree, keep, user);
}
