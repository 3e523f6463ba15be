/* EXTENDIBLE HASHING
 *
 *   table, 2^depth slots        00   01   10   11          the top `depth` bits of the cookie
 *                                 \  /     |    |
 *   segments                      d=1     d=2  d=2         all names whose top d bits agree
 *
 * The hash of a name is its cookie, 63 bits; the low 8 are its tag in the segment (dir_segment.h).
 *
 * A segment of less depth than the table stands in a run of slots. A full one grows to the next size class
 * up to DIR_SEGMENT_MAX; then it splits by its next bit, for which the hashes are computed again from the names:
 * keeping them would cost 8 bytes an entry. If it is as deep as the table already, the table doubles first: one
 * pass over the slots, 4 MB at ten million names, and the longest pause there is.
 *
 * HASHES THAT DO NOT SPREAD (someone computed them) split nothing. So that they cannot double the table without
 * end, it has at most one slot for SLOT_ENTRIES_MIN names; a segment that may not split grows past
 * DIR_SEGMENT_MAX instead and is searched in linear time.
 *
 * REMOVAL shrinks a segment with slack, merges it with its buddy (the one it split from) when both together are
 * at most half full, and halves the table when no segment needs its depth. None of these is needed for
 * correctness: what the allocator has no memory for is left undone.
 */
#include "kvcore/tree/dir_hash.h"

#include "kvcore/base/check.h"
#include "kvcore/base/error.h"
#include "kvcore/tree/dentry.h"
#include "kvcore/tree/dir.h"
#include "kvcore/tree/dir_segment.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
    COOKIE_BITS = 63,
    DEPTH_MAX = 31,
    MERGE_MAX = DIR_SEGMENT_MAX / 2,
    SLOT_ENTRIES_MIN = 4,
};

static uint64_t hash_xxh3(uint64_t seed, struct bytes name) { return XXH3_64bits_withSeed(name.data, name.len, seed); }

uint64_t dir_hash_cookie(const struct dir_hash *hash, struct bytes name)
{
    uint64_t cookie = hash->name_hash(hash->seed, name) >> 1;
    return cookie < DIR_COOKIE_FIRST ? DIR_COOKIE_FIRST : cookie;
}

static uint64_t cookie_of(const struct dir_hash *hash, const struct dentry *dentry)
{
    return dir_hash_cookie(hash, dentry_name(dentry));
}

static uint8_t tag_of(uint64_t cookie) { return (uint8_t)cookie; }

/* The table */

static size_t slot_count(const struct dir_hash *hash) { return (size_t)1 << hash->depth; }

static struct segment **slots_of(const struct dir_hash *hash)
{
    return hash->depth ? hash->table : (struct segment **)&hash->only;
}

static size_t slot_of(const struct dir_hash *hash, uint64_t cookie) { return cookie >> (COOKIE_BITS - hash->depth); }

static struct segment *segment_of(const struct dir_hash *hash, uint64_t cookie)
{
    return slots_of(hash)[slot_of(hash, cookie)];
}

/* Slots that a segment of this depth stands in. */
static size_t run_of(const struct dir_hash *hash, unsigned depth) { return (size_t)1 << (hash->depth - depth); }

/* Writes the segment into all slots whose cookies agree with `cookie` in its depth. */
static void point_slots(struct dir_hash *hash, uint64_t cookie, struct segment *segment)
{
    size_t run = run_of(hash, segment->depth);
    struct segment **slot = slots_of(hash) + (slot_of(hash, cookie) & ~(run - 1));
    for (size_t i = 0; i < run; i++)
        slot[i] = segment;
}

/* segment_resize, and mends the slots. */
static int resize_segment(struct dir_hash *hash, struct mem *mem, uint64_t cookie, size_t capacity)
{
    struct segment *segment = segment_of(hash, cookie), *moved = segment;
    int rc = segment_resize(&moved, mem, capacity);
    if (moved != segment)
        point_slots(hash, cookie, moved);
    return rc;
}

static void trim_segment(struct dir_hash *hash, struct mem *mem, uint64_t cookie)
{
    const struct segment *segment = segment_of(hash, cookie);
    size_t capacity = segment_capacity_for(segment->count + 1);
    if (capacity < segment->capacity)
        resize_segment(hash, mem, cookie, capacity);
}

/* Growing */

static int double_table(struct dir_hash *hash, struct mem *mem)
{
    size_t count = slot_count(hash);
    struct segment **was = slots_of(hash);
    struct segment **table = mem_alloc(mem, 2 * count * sizeof(*table));
    if (!table)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        table[2 * i] = table[2 * i + 1] = was[i];
    if (hash->depth)
        mem_free(mem, hash->table);
    hash->table = table;
    hash->depth++;
    hash->deepest = 0;
    return 0;
}

/* Moves the entries of the upper half of the segment's cookies to a segment of their own. -ENOMEM. */
static int split_segment(struct dir_hash *hash, struct mem *mem, struct segment *low)
{
    if (low->depth == hash->depth) {
        int rc = double_table(hash, mem);
        if (rc < 0)
            return rc;
    }
    struct segment *high = segment_new(mem, low->capacity, low->depth + 1);
    if (!high)
        return -ENOMEM;
    uint64_t bit = (uint64_t)1 << (COOKIE_BITS - high->depth);
    uint64_t cookie = 0;
    segment_prefetch(low);
    for (size_t i = low->count; i-- > 0;) {
        struct dentry *dentry = segment_entries(low)[i];
        cookie = cookie_of(hash, dentry);
        if (cookie & bit) {
            segment_put(high, tag_of(cookie), dentry);
            segment_drop(low, i);
        }
    }
    low->depth++;
    point_slots(hash, cookie | bit, high);
    if (high->depth == hash->depth)
        hash->deepest += 2;
    trim_segment(hash, mem, cookie | bit);
    trim_segment(hash, mem, cookie & ~bit);
    return 0;
}

static bool may_split(const struct dir_hash *hash, const struct segment *segment)
{
    if (segment->count < DIR_SEGMENT_MAX)
        return false;
    if (segment->depth < hash->depth)
        return true;
    return hash->depth < DEPTH_MAX && 2 * slot_count(hash) * SLOT_ENTRIES_MIN <= hash->count;
}

/* Makes room for one more entry in the cookie's segment. -ENOMEM; the same names are in the index then. */
static int make_room(struct dir_hash *hash, struct mem *mem, uint64_t cookie)
{
    if (hash->count == 0) {
        hash->only = segment_new(mem, segment_capacity_for(1), 0);
        hash->deepest = 1;
        return hash->only ? 0 : -ENOMEM;
    }
    for (;;) {
        struct segment *segment = segment_of(hash, cookie);
        if (segment->count < segment->capacity)
            return 0;
        int rc = may_split(hash, segment) ? split_segment(hash, mem, segment)
                                          : resize_segment(hash, mem, cookie, segment_capacity_for(segment->count + 1));
        if (rc < 0)
            return rc;
    }
}

/* Shrinking */

static void halve_table(struct dir_hash *hash, struct mem *mem)
{
    struct segment **table = hash->table;
    size_t count = slot_count(hash) / 2;
    for (size_t i = 0; i < count; i++)
        table[i] = table[2 * i];
    hash->depth--;
    if (hash->depth == 0) {
        hash->only = table[0];
        hash->deepest = 1;
        mem_free(mem, table);
        return;
    }
    /* Two neighbours that differ are as deep as the table: told apart without reading any segment. */
    hash->deepest = 0;
    for (size_t i = 0; i < count; i += 2)
        hash->deepest += table[i] != table[i + 1] ? 2 : 0;
    struct segment **smaller = mem_realloc(mem, table, count * sizeof(*table));
    if (smaller)
        hash->table = smaller;
}

/* Joins the cookie's segment with its buddy; false when that is not possible or not worth it. */
static bool merge_segment(struct dir_hash *hash, struct mem *mem, uint64_t cookie)
{
    struct segment *segment = segment_of(hash, cookie);
    if (segment->depth == 0 || segment->count > MERGE_MAX / 2)
        return false;
    struct segment *buddy = segment_of(hash, cookie ^ (uint64_t)1 << (COOKIE_BITS - segment->depth));
    size_t count = segment->count + buddy->count;
    if (buddy->depth != segment->depth || count > MERGE_MAX)
        return false;
    if (count > segment->capacity) {
        if (resize_segment(hash, mem, cookie, segment_capacity_for(count)) < 0)
            return false;
        segment = segment_of(hash, cookie);
    }
    for (size_t i = 0; i < buddy->count; i++)
        segment_put(segment, buddy->tags[i], segment_entries(buddy)[i]);
    mem_free(mem, buddy);
    if (segment->depth == hash->depth)
        hash->deepest -= 2;
    segment->depth--;
    point_slots(hash, cookie, segment);
    return true;
}

/* Public functions */

void dir_hash_init(struct dir_hash *hash, uint64_t seed, uint64_t (*name_hash)(uint64_t seed, struct bytes name))
{
    *hash = (struct dir_hash){.seed = seed, .name_hash = name_hash ? name_hash : hash_xxh3};
}

void dir_hash_close(struct dir_hash *hash, struct mem *mem)
{
    struct segment **slots = slots_of(hash);
    size_t run = 1;
    for (size_t i = 0; i < slot_count(hash) && slots[i]; i += run) {
        run = run_of(hash, slots[i]->depth);
        mem_free(mem, slots[i]);
    }
    if (hash->depth)
        mem_free(mem, hash->table);
    dir_hash_init(hash, hash->seed, hash->name_hash);
}

struct dentry *dir_hash_find(const struct dir_hash *hash, struct bytes name)
{
    if (hash->count == 0)
        return NULL;
    uint64_t cookie = dir_hash_cookie(hash, name);
    const struct segment *segment = segment_of(hash, cookie);
    struct dentry **entries = segment_entries(segment);
    size_t at = segment_next(segment, tag_of(cookie), 0);
    for (; at < segment->count; at = segment_next(segment, tag_of(cookie), at + 1)) {
        if (bytes_equal(dentry_name(entries[at]), name))
            return entries[at];
    }
    return NULL;
}

void dir_hash_fetch(const struct dir_hash *hash, struct bytes name, unsigned steps_left)
{
    if (hash->count == 0)
        return;
    uint64_t cookie = dir_hash_cookie(hash, name);
    const struct segment *segment = segment_of(hash, cookie);
    if (steps_left >= 3) {
        __builtin_prefetch(segment);
        return;
    }
    size_t at = segment_next(segment, tag_of(cookie), 0);
    if (at == segment->count) { /* a new name would go there */
        __builtin_prefetch(&segment_entries(segment)[at], 1);
        return;
    }
    struct dentry **entry = &segment_entries(segment)[at];
    if (steps_left == 2)
        __builtin_prefetch(entry);
    else
        __builtin_prefetch(*entry);
}

int dir_hash_insert(struct dir_hash *hash, struct mem *mem, struct dentry *dentry)
{
    CHECK(!dir_hash_find(hash, dentry_name(dentry)));
    uint64_t cookie = cookie_of(hash, dentry);
    int rc = make_room(hash, mem, cookie);
    if (rc < 0)
        return rc;
    segment_put(segment_of(hash, cookie), tag_of(cookie), dentry);
    hash->count++;
    return 0;
}

void dir_hash_remove(struct dir_hash *hash, struct mem *mem, struct dentry *dentry)
{
    CHECK(hash->count > 0);
    uint64_t cookie = cookie_of(hash, dentry);
    struct segment *segment = segment_of(hash, cookie);
    segment_drop(segment, segment_place(segment, tag_of(cookie), dentry));
    hash->count--;
    if (hash->count == 0) {
        dir_hash_close(hash, mem);
        return;
    }
    while (merge_segment(hash, mem, cookie))
        ;
    while (hash->depth && hash->deepest == 0)
        halve_table(hash, mem);
    segment = segment_of(hash, cookie);
    if (segment->count < segment->capacity / 4 * 3)
        trim_segment(hash, mem, cookie);
}

void dir_hash_replace(struct dir_hash *hash, const struct dentry *was, struct dentry *now)
{
    CHECK(hash->count > 0);
    uint64_t cookie = cookie_of(hash, now);
    struct segment *segment = segment_of(hash, cookie);
    segment_entries(segment)[segment_place(segment, tag_of(cookie), was)] = now;
}

/* Scanning */

/* The first of `count` sorted entries whose cookie is > `cookie`. */
static size_t place_above(const struct dir_found *sorted, size_t count, uint64_t cookie)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (sorted[middle].cookie > cookie)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* The lowest entries of a segment with a cookie > after, at most `room` (> 0), sorted. Where not all fit, the
 * cookie of the lowest left out is *ret_cut, and all entries of that cookie are left out. */
static size_t scan_segment(const struct dir_hash *hash, const struct segment *segment, uint64_t after,
                           struct dir_found *found, size_t room, uint64_t *ret_cut)
{
    size_t count = 0;
    uint64_t cut = UINT64_MAX;
    segment_prefetch(segment);
    for (size_t i = 0; i < segment->count; i++) {
        struct dentry *dentry = segment_entries(segment)[i];
        uint64_t cookie = cookie_of(hash, dentry);
        if (cookie <= after || cookie >= cut)
            continue;
        size_t place = place_above(found, count, cookie);
        if (count == room) {
            cut = place == count ? cookie : found[count - 1].cookie;
            if (place == count)
                continue;
            count--;
        }
        memmove(found + place + 1, found + place, (count - place) * sizeof(*found));
        found[place] = (struct dir_found){cookie, dentry};
        count++;
    }
    *ret_cut = cut;
    return cut == UINT64_MAX ? count : place_above(found, count, cut - 1);
}

size_t dir_hash_scan(const struct dir_hash *hash, uint64_t after, struct dir_found *found, size_t max)
{
    if (hash->count == 0 || after >= INT64_MAX)
        return 0;
    size_t count = 0, run = 1;
    for (size_t i = slot_of(hash, after + 1); i < slot_count(hash) && count < max; i = (i | (run - 1)) + 1) {
        const struct segment *segment = slots_of(hash)[i];
        run = run_of(hash, segment->depth);
        uint64_t cut;
        count += scan_segment(hash, segment, after, found + count, max - count, &cut);
        if (cut != UINT64_MAX)
            return count ? count : max; /* none: the whole page is of one cookie, which has to be parted */
    }
    return count;
}

void dir_hash_all(const struct dir_hash *hash, struct dentry **ret_list)
{
    size_t run = 1;
    for (size_t i = 0; hash->count && i < slot_count(hash); i += run) {
        const struct segment *segment = slots_of(hash)[i];
        run = run_of(hash, segment->depth);
        memcpy(ret_list, segment_entries(segment), segment->count * sizeof(*ret_list));
        ret_list += segment->count;
    }
}
