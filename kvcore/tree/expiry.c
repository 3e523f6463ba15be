#include "kvcore/tree/expiry.h"

#include "kvcore/base/check.h"
#include "kvcore/base/error.h"
#include "kvcore/tree/tree.h"

/* Puts an entry at a place and tells its node. */
static void place(struct tree *tree, size_t at, struct expiry_entry entry)
{
    tree->expiry.entries[at] = entry;
    struct node *node = tree_find(tree, entry.id);
    CHECK(node && node->flags & NODE_EXT);
    node_ext(node)->expiry_at = (uint32_t)at;
}

static void sift_up(struct tree *tree, size_t at, struct expiry_entry entry)
{
    struct expiry_entry *entries = tree->expiry.entries;
    while (at > 0 && entries[(at - 1) / 2].expires_ns > entry.expires_ns) {
        place(tree, at, entries[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    place(tree, at, entry);
}

static void sift_down(struct tree *tree, size_t at, struct expiry_entry entry)
{
    struct expiry *heap = &tree->expiry;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= heap->count)
            break;
        if (child + 1 < heap->count && heap->entries[child + 1].expires_ns < heap->entries[child].expires_ns)
            child++;
        if (heap->entries[child].expires_ns >= entry.expires_ns)
            break;
        place(tree, at, heap->entries[child]);
        at = child;
    }
    place(tree, at, entry);
}

static void sift(struct tree *tree, size_t at, struct expiry_entry entry)
{
    if (at > 0 && tree->expiry.entries[(at - 1) / 2].expires_ns > entry.expires_ns)
        sift_up(tree, at, entry);
    else
        sift_down(tree, at, entry);
}

static int reserve(struct tree *tree)
{
    struct expiry *heap = &tree->expiry;
    if (heap->count < heap->capacity)
        return 0;
    size_t capacity = heap->capacity ? heap->capacity * 2 : 16;
    struct expiry_entry *entries = mem_realloc(&tree->mem, heap->entries, capacity * sizeof *entries);
    if (!entries)
        return -ENOMEM;
    heap->entries = entries;
    heap->capacity = capacity;
    return 0;
}

static void take_out(struct tree *tree, struct node *node)
{
    struct expiry *heap = &tree->expiry;
    size_t at = node_ext(node)->expiry_at;
    CHECK(at < heap->count && heap->entries[at].id == node->id);
    node->flags &= (uint8_t)~NODE_EXPIRES;
    struct expiry_entry last = heap->entries[--heap->count];
    if (at < heap->count)
        sift(tree, at, last);
}

int expiry_set(struct tree *tree, struct node *node, int64_t expires_ns)
{
    if (expires_ns == INT64_MAX) {
        if (node->flags & NODE_EXPIRES)
            take_out(tree, node);
        return 0;
    }
    CHECK(node->flags & NODE_EXT);
    struct expiry_entry entry = {expires_ns, node->id};
    if (node->flags & NODE_EXPIRES) {
        node_ext(node)->expires_ns = expires_ns;
        sift(tree, node_ext(node)->expiry_at, entry);
        return 0;
    }
    int rc = reserve(tree);
    if (rc < 0)
        return rc;
    node->flags |= NODE_EXPIRES;
    node_ext(node)->expires_ns = expires_ns;
    sift_up(tree, tree->expiry.count++, entry);
    return 0;
}

uint64_t expiry_due(const struct tree *tree, int64_t now_ns)
{
    const struct expiry *heap = &tree->expiry;
    return heap->count && heap->entries[0].expires_ns <= now_ns ? heap->entries[0].id : 0;
}
