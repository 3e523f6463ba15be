#include "kvcore/server/leases.h"

#include "kvcore/base/check.h"
#include "kvcore/base/error.h"
#include "kvcore/base/limits.h"

#include <stdlib.h>
#include <xxhash.h>

enum { SLAB_HOLDERS = 1024, BUCKETS_FIRST = 1024, NAMES_FIRST = 4, DAMP_SLOTS = 4096 };

/* The hashes of the names leased in one directory: open addressing, 0 is empty, at most 3/4 full. */
struct names {
    uint32_t count, capacity;
    uint64_t hashes[];
};

/* One lessee's leases of one node. In the list by age while it has any, else in its lessee's list of the ended. */
struct lease_holder {
    uint64_t node;
    uint64_t ticket; /* of the last recall of any of it */
    struct names *names;
    uint32_t lessee;
    uint32_t next;         /* in the bucket; of a free one: the next free one */
    uint32_t newer, older; /* in the list by age, or of the ended */
    uint32_t lessee_next, lessee_previous;
    bool attributes;
    bool ended;
};

static_assert(sizeof(struct lease_holder) <= 60, "with its bucket a holder takes 64 bytes");

struct lease_damp {
    uint64_t key;
    int64_t since_ms;
    int64_t until_ms;
    uint32_t recalls;
};

static struct lease_holder *at(const struct leases *leases, uint32_t index)
{
    return &leases->slabs[index / SLAB_HOLDERS][index % SLAB_HOLDERS];
}

static uint64_t mix(uint64_t id)
{
    id = (id ^ id >> 32) * 0x9e3779b97f4a7c15ull;
    return id ^ id >> 32;
}

static uint64_t hash_of(const struct leases *leases, struct bytes name)
{
    uint64_t hash = XXH3_64bits_withSeed(name.data, name.len, leases->seed);
    return hash ? hash : 1;
}

/* --- sets of names --- */

static uint32_t names_find(const struct names *names, uint64_t hash)
{
    uint32_t i = (uint32_t)hash & (names->capacity - 1);
    while (names->hashes[i] && names->hashes[i] != hash)
        i = (i + 1) & (names->capacity - 1);
    return i;
}

static bool names_has(const struct names *names, uint64_t hash)
{
    return names && names->hashes[names_find(names, hash)] == hash;
}

static size_t names_bytes(const struct names *names)
{
    return names ? sizeof *names + names->capacity * sizeof names->hashes[0] : 0;
}

static bool names_resize(struct leases *leases, struct names **names, uint32_t capacity)
{
    struct names *resized = calloc(1, sizeof *resized + capacity * sizeof resized->hashes[0]);
    if (!resized)
        return false;
    resized->capacity = capacity;
    for (uint32_t i = 0; *names && i < (*names)->capacity; i++)
        if ((*names)->hashes[i])
            resized->hashes[names_find(resized, (*names)->hashes[i])] = (*names)->hashes[i];
    resized->count = *names ? (*names)->count : 0;
    leases->memory_bytes += names_bytes(resized) - names_bytes(*names);
    free(*names);
    *names = resized;
    return true;
}

static bool names_add(struct leases *leases, struct names **names, uint64_t hash)
{
    if (!*names && !names_resize(leases, names, NAMES_FIRST))
        return false;
    if (((*names)->count + 1) * 4 > (*names)->capacity * 3 && !names_resize(leases, names, (*names)->capacity * 2))
        return false;
    (*names)->hashes[names_find(*names, hash)] = hash;
    (*names)->count++;
    return true;
}

static void names_drop(struct leases *leases, struct names **names)
{
    leases->memory_bytes -= names_bytes(*names);
    free(*names);
    *names = NULL;
}

/* Empties the place and moves back what only stands behind it because the place was taken. */
static void names_remove(struct leases *leases, struct names **set, uint64_t hash)
{
    struct names *names = *set;
    uint32_t mask = names->capacity - 1, gap = names_find(names, hash);
    for (uint32_t i = (gap + 1) & mask; names->hashes[i]; i = (i + 1) & mask) {
        if (((i - (uint32_t)names->hashes[i]) & mask) < ((i - gap) & mask))
            continue;
        names->hashes[gap] = names->hashes[i];
        gap = i;
    }
    names->hashes[gap] = 0;
    if (--names->count == 0)
        names_drop(leases, set);
}

/* --- holders --- */

static void chain_in(struct leases *leases, uint32_t index)
{
    uint32_t *bucket = &leases->buckets[mix(at(leases, index)->node) & (leases->bucket_count - 1)];
    at(leases, index)->next = *bucket;
    *bucket = index;
}

static bool buckets_resize(struct leases *leases, uint32_t count)
{
    uint32_t *old = leases->buckets, old_count = leases->bucket_count;
    uint32_t *buckets = calloc(count, sizeof *buckets);
    if (!buckets)
        return false;
    leases->memory_bytes += (count - (uint64_t)old_count) * sizeof *buckets;
    leases->buckets = buckets;
    leases->bucket_count = count;
    for (uint32_t i = 0; i < old_count; i++)
        for (uint32_t index = old[i], next; index; index = next) {
            next = at(leases, index)->next;
            chain_in(leases, index);
        }
    free(old);
    return true;
}

/* One more slab of free holders. */
static bool slab_new(struct leases *leases)
{
    struct lease_holder **slabs = realloc(leases->slabs, (leases->slab_count + 1) * sizeof *slabs);
    if (!slabs)
        return false;
    leases->slabs = slabs;
    slabs[leases->slab_count] = calloc(SLAB_HOLDERS, sizeof **slabs);
    if (!slabs[leases->slab_count])
        return false;
    leases->memory_bytes += SLAB_HOLDERS * sizeof **slabs;
    leases->slab_count++;
    return true;
}

static uint32_t holder_find(const struct leases *leases, const struct lessee *lessee, uint64_t node)
{
    uint32_t index = leases->buckets[mix(node) & (leases->bucket_count - 1)];
    while (index && (at(leases, index)->node != node || at(leases, index)->lessee != lessee->index))
        index = at(leases, index)->next;
    return index;
}

/* The two lists that a holder may be in have the same links. */
static void list_out(struct leases *leases, uint32_t *oldest, uint32_t *newest, uint32_t index)
{
    struct lease_holder *holder = at(leases, index);
    *(holder->older ? &at(leases, holder->older)->newer : oldest) = holder->newer;
    *(holder->newer ? &at(leases, holder->newer)->older : newest) = holder->older;
}

static void list_in(struct leases *leases, uint32_t *oldest, uint32_t *newest, uint32_t index)
{
    struct lease_holder *holder = at(leases, index);
    holder->older = *newest;
    holder->newer = 0;
    *(holder->older ? &at(leases, holder->older)->newer : oldest) = index;
    *newest = index;
}

static void unlist(struct leases *leases, uint32_t index)
{
    struct lease_holder *holder = at(leases, index);
    struct lessee *lessee = leases->lessees[holder->lessee];
    if (holder->ended)
        list_out(leases, &lessee->oldest_ended, &lessee->newest_ended, index);
    else
        list_out(leases, &leases->oldest, &leases->newest, index);
}

static uint32_t holder_new(struct leases *leases, struct lessee *lessee, uint64_t node)
{
    if (leases->holder_count >= leases->bucket_count && !buckets_resize(leases, leases->bucket_count * 2))
        return 0;
    uint32_t index = leases->free;
    if (index)
        leases->free = at(leases, index)->next;
    else if (leases->holder_top + 1 < leases->slab_count * SLAB_HOLDERS || slab_new(leases))
        index = ++leases->holder_top;
    else
        return 0;
    *at(leases, index) =
        (struct lease_holder){.node = node, .lessee = lessee->index, .lessee_next = lessee->first, .ended = false};
    if (lessee->first)
        at(leases, lessee->first)->lessee_previous = index;
    lessee->first = index;
    leases->holder_count++;
    chain_in(leases, index);
    list_in(leases, &leases->oldest, &leases->newest, index);
    return index;
}

static void holder_free(struct leases *leases, uint32_t index)
{
    struct lease_holder *holder = at(leases, index);
    struct lessee *lessee = leases->lessees[holder->lessee];
    unlist(leases, index);
    *(holder->lessee_previous ? &at(leases, holder->lessee_previous)->lessee_next : &lessee->first) =
        holder->lessee_next;
    if (holder->lessee_next)
        at(leases, holder->lessee_next)->lessee_previous = holder->lessee_previous;
    uint32_t *link = &leases->buckets[mix(holder->node) & (leases->bucket_count - 1)];
    while (*link != index)
        link = &at(leases, *link)->next;
    *link = holder->next;
    names_drop(leases, &holder->names);
    holder->next = leases->free;
    leases->free = index;
    leases->holder_count--;
}

static void counted(struct leases *leases, struct lessee *lessee, int more)
{
    leases->count += (size_t)more;
    lessee->count += (size_t)more;
}

/* --- life --- */

int leases_init(struct leases *leases, uint64_t seed, leases_tell *tell, void *user)
{
    *leases = (struct leases){.max = LEASES_MAX, .seed = seed, .tell = tell, .user = user};
    leases->damp = calloc(DAMP_SLOTS, sizeof *leases->damp);
    if (leases->damp && buckets_resize(leases, BUCKETS_FIRST))
        return 0;
    leases_close(leases);
    return -ENOMEM;
}

void leases_close(struct leases *leases)
{
    for (uint32_t i = 1; i <= leases->holder_top; i++)
        free(at(leases, i)->names);
    for (uint32_t i = 0; i < leases->slab_count; i++)
        free(leases->slabs[i]);
    free(leases->slabs);
    free(leases->buckets);
    free(leases->lessees);
    free(leases->damp);
    *leases = (struct leases){0};
}

int leases_join(struct leases *leases, struct lessee *lessee)
{
    uint32_t index = 0;
    while (index < leases->lessee_count && leases->lessees[index])
        index++;
    if (index == leases->lessee_count) {
        uint32_t count = index ? index * 2 : 16;
        struct lessee **lessees = realloc(leases->lessees, count * sizeof(struct lessee *));
        if (!lessees)
            return -ENOMEM;
        memset(lessees + index, 0, (count - index) * sizeof(struct lessee *));
        leases->lessees = lessees;
        leases->lessee_count = count;
    }
    *lessee = (struct lessee){.ticket = 1, .index = index};
    leases->lessees[index] = lessee;
    return 0;
}

void leases_leave(struct leases *leases, struct lessee *lessee)
{
    leases->count -= lessee->count;
    lessee->count = 0;
    while (lessee->first)
        holder_free(leases, lessee->first);
    leases->lessees[lessee->index] = NULL;
}

/* --- damping --- */

static struct lease_damp *damp_of(struct leases *leases, uint64_t key) { return &leases->damp[key % DAMP_SLOTS]; }

static bool is_damped(struct leases *leases, uint64_t key, int64_t now_ms)
{
    const struct lease_damp *damp = damp_of(leases, key);
    bool damped = damp->key == key && now_ms < damp->until_ms;
    leases->damped += damped;
    return damped;
}

static void damp_count(struct leases *leases, uint64_t key, int64_t now_ms)
{
    struct lease_damp *damp = damp_of(leases, key);
    if (damp->key != key || now_ms - damp->since_ms >= LEASE_DAMP_MS)
        *damp = (struct lease_damp){.key = key, .since_ms = now_ms};
    if (++damp->recalls >= LEASE_DAMP_RECALLS)
        damp->until_ms = now_ms + LEASE_DAMP_MS;
}

static uint64_t key_of(uint64_t node, uint64_t hash) { return mix(node + hash); }

/* --- grants --- */

/* All of one holder, for want of room. */
static void push_out(struct leases *leases, uint32_t index);

static uint32_t holder_to_grant(struct leases *leases, struct lessee *lessee, uint64_t node)
{
    while (leases->count >= leases->max && leases->oldest)
        push_out(leases, leases->oldest);
    uint32_t index = holder_find(leases, lessee, node);
    if (!index)
        return holder_new(leases, lessee, node);
    unlist(leases, index);
    at(leases, index)->ended = false;
    list_in(leases, &leases->oldest, &leases->newest, index);
    return index;
}

/* A holder without leases goes with the acknowledgement of its last recall; at once where there is none to come. */
static void end_if_empty(struct leases *leases, uint32_t index)
{
    struct lease_holder *holder = at(leases, index);
    struct lessee *lessee = leases->lessees[holder->lessee];
    if (holder->attributes || holder->names || holder->ended)
        return;
    if (holder->ticket <= lessee->acknowledged) {
        holder_free(leases, index);
        return;
    }
    unlist(leases, index);
    holder->ended = true;
    list_in(leases, &lessee->oldest_ended, &lessee->newest_ended, index);
}

bool leases_grant(struct leases *leases, struct lessee *lessee, uint64_t id, int64_t now_ms)
{
    if (is_damped(leases, key_of(id, 0), now_ms))
        return false;
    uint32_t index = holder_to_grant(leases, lessee, id);
    if (!index)
        return false;
    struct lease_holder *holder = at(leases, index);
    counted(leases, lessee, !holder->attributes);
    leases->granted += !holder->attributes;
    holder->attributes = true;
    return true;
}

bool leases_grant_entry(struct leases *leases, struct lessee *lessee, uint64_t dir, struct bytes name, bool always,
                        int64_t now_ms)
{
    uint64_t hash = hash_of(leases, name);
    if (!always && is_damped(leases, key_of(dir, hash), now_ms))
        return false;
    uint32_t index = holder_to_grant(leases, lessee, dir);
    if (!index)
        return false;
    struct lease_holder *holder = at(leases, index);
    if (names_has(holder->names, hash))
        return true;
    bool added = names_add(leases, &holder->names, hash);
    counted(leases, lessee, added);
    leases->granted += added;
    end_if_empty(leases, index);
    return added;
}

/* --- recalls --- */

static void told(struct leases *leases, struct lease_holder *holder, const struct kv_change *change)
{
    struct lessee *lessee = leases->lessees[holder->lessee];
    holder->ticket = lessee->ticket;
    leases->recalled++;
    leases->tell(leases->user, lessee, change, holder->ticket);
}

static void push_out(struct leases *leases, uint32_t index)
{
    struct lease_holder *holder = at(leases, index);
    struct kv_change all = {.id = holder->node, .kind = KV_CHANGE_ALL};
    int count = holder->attributes + (holder->names ? (int)holder->names->count : 0);
    counted(leases, leases->lessees[holder->lessee], -count);
    holder->attributes = false;
    names_drop(leases, &holder->names);
    leases->pushed_out++;
    told(leases, holder, &all);
    end_if_empty(leases, index);
}

/* Ends what the change touches. False: it had nothing of that. */
static bool holder_recall(struct leases *leases, struct lease_holder *holder, const struct kv_change *change,
                          uint64_t hash)
{
    struct lessee *lessee = leases->lessees[holder->lessee];
    if (change->kind == KV_CHANGE_ENTRY) {
        if (!names_has(holder->names, hash))
            return false;
        names_remove(leases, &holder->names, hash);
    } else {
        if (!holder->attributes)
            return false;
        holder->attributes = false;
    }
    counted(leases, lessee, -1);
    return true;
}

void leases_recall(struct leases *leases, const struct kv_change *change, const struct lessee *by, int64_t now_ms)
{
    uint64_t hash = change->kind == KV_CHANGE_ENTRY ? hash_of(leases, change->name) : 0;
    bool any = false;
    CHECK(change->kind != KV_CHANGE_ALL);
    for (uint32_t index = leases->buckets[mix(change->id) & (leases->bucket_count - 1)], next; index; index = next) {
        struct lease_holder *holder = at(leases, index);
        next = holder->next;
        if (holder->node != change->id || (by && holder->lessee == by->index))
            continue;
        if (holder_recall(leases, holder, change, hash)) {
            any = true;
            told(leases, holder, change);
            end_if_empty(leases, index);
        } else if (holder->ticket > leases->lessees[holder->lessee]->acknowledged) {
            leases->tell(leases->user, leases->lessees[holder->lessee], NULL, holder->ticket);
        }
    }
    if (any)
        damp_count(leases, key_of(change->id, hash), now_ms);
}

void leases_sent(struct lessee *lessee) { lessee->ticket++; }

bool leases_acknowledged(struct leases *leases, struct lessee *lessee, uint64_t ticket)
{
    if (ticket >= lessee->ticket)
        return false;
    if (ticket > lessee->acknowledged)
        lessee->acknowledged = ticket;
    while (lessee->oldest_ended && at(leases, lessee->oldest_ended)->ticket <= lessee->acknowledged)
        holder_free(leases, lessee->oldest_ended);
    return true;
}
