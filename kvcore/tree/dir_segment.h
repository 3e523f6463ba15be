/* A segment: the dentries whose hashes agree in their top bits, unsorted, each with a tag of 8 other bits of it.
 *
 *   count, capacity, depth | tags, one byte each, padded to 8 | pointers
 *   8 bytes                | capacity                         | 8 * capacity
 *
 * The tags stand together, so that memchr finds the few dentries worth looking at without touching the rest.
 * Capacities use up a size class of the allocator. A block may be larger than its capacity says (a shrink that
 * found no memory), never smaller.
 */
#ifndef KV_TREE_DIR_SEGMENT_H
#define KV_TREE_DIR_SEGMENT_H

#include "kvcore/base/check.h"
#include "kvcore/base/error.h"
#include "kvcore/base/mem.h"
#include "kvcore/tree/dentry.h"
#include "kvcore/tree/step.h"

/* One of more splits, if it may: 8 bytes of head, 56 of tags and 56 pointers are 512 bytes, and the head and the
 * tags one cache line. */
#define DIR_SEGMENT_MAX 56

struct segment {
    uint32_t count;
    uint32_t capacity : 26;
    uint32_t depth : 6; /* bits in which the hashes agree */
    uint8_t tags[];     /* the pointers follow */
};

static inline size_t segment_tags_bytes(size_t capacity) { return (capacity + 7) & ~(size_t)7; }

static inline size_t segment_bytes(size_t capacity)
{
    return sizeof(struct segment) + segment_tags_bytes(capacity) + capacity * sizeof(struct dentry *);
}

/* The most entries that fit in the size class which `count` entries need: 9 bytes each. */
static inline size_t segment_capacity_for(size_t count)
{
    return (step_up(segment_bytes(count)) - sizeof(struct segment)) / (1 + sizeof(struct dentry *));
}

static inline struct dentry **segment_entries(const struct segment *segment)
{
    return (struct dentry **)((char *)segment->tags + segment_tags_bytes(segment->capacity));
}

static inline struct segment *segment_new(struct mem *mem, size_t capacity, unsigned depth)
{
    struct segment *segment = mem_alloc(mem, segment_bytes(capacity));
    if (segment)
        *segment = (struct segment){.capacity = (uint32_t)capacity, .depth = depth};
    return segment;
}

/* Changes the capacity to one that holds the count; *segment may move. -ENOMEM: only the block stays as it was,
 * which matters to whoever wanted more. */
static inline int segment_resize(struct segment **segment, struct mem *mem, size_t capacity)
{
    struct segment *block = *segment;
    CHECK(capacity >= block->count);
    size_t before = block->capacity, entries_bytes = block->count * sizeof(struct dentry *);
    if (capacity < before) {
        memmove(block->tags + segment_tags_bytes(capacity), segment_entries(block), entries_bytes);
        block->capacity = (uint32_t)capacity;
    }
    block = mem_realloc(mem, block, segment_bytes(capacity));
    if (!block)
        return -ENOMEM;
    if (capacity > before) {
        memmove(block->tags + segment_tags_bytes(capacity), segment_entries(block), entries_bytes);
        block->capacity = (uint32_t)capacity;
    }
    *segment = block;
    return 0;
}

static inline void segment_put(struct segment *segment, uint8_t tag, struct dentry *dentry)
{
    CHECK(segment->count < segment->capacity);
    segment->tags[segment->count] = tag;
    segment_entries(segment)[segment->count++] = dentry;
}

/* The last entry takes the place. */
static inline void segment_drop(struct segment *segment, size_t at)
{
    struct dentry **entries = segment_entries(segment);
    segment->count--;
    segment->tags[at] = segment->tags[segment->count];
    entries[at] = entries[segment->count];
}

/* The next place from `at` on with this tag, or count. */
static inline size_t segment_next(const struct segment *segment, uint8_t tag, size_t at)
{
    const uint8_t *hit = memchr(segment->tags + at, tag, segment->count - at);
    return hit ? (size_t)(hit - segment->tags) : segment->count;
}

/* The place of a dentry that is there, found without looking into any. */
static inline size_t segment_place(const struct segment *segment, uint8_t tag, const struct dentry *dentry)
{
    struct dentry **entries = segment_entries(segment);
    size_t at = segment_next(segment, tag, 0);
    while (at < segment->count && entries[at] != dentry)
        at = segment_next(segment, tag, at + 1);
    CHECK(at < segment->count);
    return at;
}

/* All names are about to be hashed: begin to fetch them at once, not one after the other. */
static inline void segment_prefetch(const struct segment *segment)
{
    struct dentry **entries = segment_entries(segment);
    for (size_t i = 0; i < segment->count; i++)
        __builtin_prefetch(entries[i]->name);
}

#endif
