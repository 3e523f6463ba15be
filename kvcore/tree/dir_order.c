/* A B+TREE OF DENTRY POINTERS
 *
 *   leaf    head | least dentry, next, ...                           8 + 8 n bytes, at most 63
 *   inner   head | least dentry of each child | pointer to child     8 + 16 n bytes, at most 31
 *
 * No name is copied: an inner node points to the least dentry below each child, and these pointers are exact
 * at all times, since a dentry that goes must leave no pointer behind. Both kinds begin with an array of
 * dentries in order, so one binary search serves both.
 *
 * Nodes grow by size classes and split when full, on the way down: a parent always has room for the second
 * half, each step leaves a valid tree, and running out of memory needs no way back. A node that is full where the
 * new name comes last keeps all but one of its entries, so that names inserted in order leave full leaves.
 *
 * REMOVAL frees what is empty, merges a node with a neighbour when both together are at most half full, and
 * shrinks a block with slack. The latter two are left undone when there is no memory for them.
 */
#include "kvcore/tree/dir_order.h"

#include "kvcore/base/check.h"
#include "kvcore/base/error.h"
#include "kvcore/tree/dentry.h"
#include "kvcore/tree/step.h"

struct order_node {
    uint16_t count;
    uint16_t capacity;
    uint8_t level;                                      /* 0: a leaf */
    struct dentry *names[] __attribute__((aligned(8))); /* above level 0, the children follow names[capacity] */
};

enum { LEAF_MAX = 63, INNER_MAX = 31 };

static size_t node_max(const struct order_node *node) { return node->level ? INNER_MAX : LEAF_MAX; }

static size_t entry_bytes(unsigned level) { return (level ? 2 : 1) * sizeof(void *); }

static size_t node_bytes(unsigned level, size_t capacity)
{
    return sizeof(struct order_node) + capacity * entry_bytes(level);
}

/* The most entries that fit in the size class which `count` entries need. */
static size_t capacity_for(unsigned level, size_t count)
{
    return (step_up(node_bytes(level, count)) - sizeof(struct order_node)) / entry_bytes(level);
}

static struct order_node **children_of(const struct order_node *node)
{
    return (struct order_node **)(node->names + node->capacity);
}

static struct order_node *order_node_new(struct mem *mem, unsigned level, size_t count)
{
    size_t capacity = capacity_for(level, count);
    struct order_node *node = mem_alloc(mem, node_bytes(level, capacity));
    if (node)
        *node = (struct order_node){.capacity = (uint16_t)capacity, .level = (uint8_t)level};
    return node;
}

/* Changes the capacity of the node at *where to one that holds its count. -ENOMEM: only the block stays as it was,
 * which matters to whoever wanted more. */
static int resize_node(struct order_node **where, struct mem *mem, size_t capacity)
{
    struct order_node *node = *where;
    CHECK(capacity >= node->count && capacity <= UINT16_MAX);
    size_t before = node->capacity, children_bytes = node->level ? node->count * sizeof(void *) : 0;
    if (capacity < before) {
        memmove(node->names + capacity, node->names + before, children_bytes);
        node->capacity = (uint16_t)capacity;
    }
    struct order_node *moved = mem_realloc(mem, node, node_bytes(node->level, capacity));
    if (!moved)
        return -ENOMEM;
    if (capacity > before) {
        memmove(moved->names + capacity, moved->names + before, children_bytes);
        moved->capacity = (uint16_t)capacity;
    }
    *where = moved;
    return 0;
}

static int make_room(struct order_node **where, struct mem *mem)
{
    struct order_node *node = *where;
    return node->count < node->capacity ? 0 : resize_node(where, mem, capacity_for(node->level, node->count + 1));
}

static void trim_node(struct order_node **where, struct mem *mem)
{
    struct order_node *node = *where;
    if (node->count < node->capacity / 4 * 3)
        resize_node(where, mem, capacity_for(node->level, node->count + 1));
}

/* Puts an entry at a place; `child` is ignored in a leaf. */
static void node_put(struct order_node *node, size_t at, struct dentry *name, struct order_node *child)
{
    CHECK(node->count < node->capacity);
    size_t bytes = (node->count - at) * sizeof(void *);
    memmove(node->names + at + 1, node->names + at, bytes);
    node->names[at] = name;
    if (node->level) {
        struct order_node **children = children_of(node);
        memmove(children + at + 1, children + at, bytes);
        children[at] = child;
    }
    node->count++;
}

static void node_drop(struct order_node *node, size_t at)
{
    node->count--;
    size_t bytes = (node->count - at) * sizeof(void *);
    memmove(node->names + at, node->names + at + 1, bytes);
    if (node->level) {
        struct order_node **children = children_of(node);
        memmove(children + at, children + at + 1, bytes);
    }
}

/* Appends the entries of `from`, beginning at `at`. */
static void node_append(struct order_node *node, const struct order_node *from, size_t at)
{
    size_t count = from->count - at;
    CHECK(node->count + count <= node->capacity);
    memcpy(node->names + node->count, from->names + at, count * sizeof(void *));
    if (node->level)
        memcpy(children_of(node) + node->count, children_of(from) + at, count * sizeof(void *));
    node->count = (uint16_t)(node->count + count);
}

/* The first place whose name is > `name`. `known` has that name and is not looked into: it may be freed memory. */
static size_t place_above(const struct order_node *node, struct bytes name, const struct dentry *known)
{
    size_t low = 0, high = node->count;
    while (low < high) {
        size_t half = (high - low) / 2, middle = low + half;
        /* One of these is next; fetching both while the comparison waits for its own halves the waiting. */
        __builtin_prefetch(node->names[low + half / 2]);
        __builtin_prefetch(node->names[middle + half / 2]);
        const struct dentry *dentry = node->names[middle];
        if (dentry != known && bytes_compare(dentry_name(dentry), name) > 0)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* The child of an inner node in which a name is, or belongs. */
static size_t child_for(const struct order_node *node, struct bytes name, const struct dentry *known)
{
    size_t above = place_above(node, name, known);
    return above ? above - 1 : 0;
}

static void free_below(struct order_node *node, struct mem *mem)
{
    for (size_t i = 0; node->level && i < node->count; i++)
        free_below(children_of(node)[i], mem);
    mem_free(mem, node);
}

void dir_order_close(struct dir_order *order, struct mem *mem)
{
    if (order->root)
        free_below(order->root, mem);
    order->root = NULL;
}

/* The leaf, or with `below` the inner node, of the next `count` entries. */
static struct order_node *build_node(struct mem *mem, struct dentry *const *sorted, struct order_node *const *below,
                                     size_t count)
{
    unsigned level = below ? below[0]->level + 1u : 0;
    struct order_node *node = order_node_new(mem, level, count);
    if (!node)
        return NULL;
    for (size_t i = 0; i < count; i++)
        node->names[i] = below ? below[i]->names[0] : sorted[i];
    if (below)
        memcpy(children_of(node), below, count * sizeof(*below));
    node->count = (uint16_t)count;
    return node;
}

/* Puts the `count` entries of one level (dentries, or the nodes at `nodes`) into nodes of `max`, which take the place
 * of the first ones at `nodes`. Returns how many; 0: out of memory, and nothing is left of any. */
static size_t build_level(struct mem *mem, struct dentry *const *sorted, struct order_node **nodes, size_t count,
                          size_t max)
{
    size_t made = 0, at = 0;
    while (at < count) {
        size_t here = count - at < max ? count - at : max;
        struct order_node *node = build_node(mem, sorted ? sorted + at : NULL, sorted ? NULL : nodes + at, here);
        if (!node)
            break;
        nodes[made++] = node;
        at += here;
    }
    if (at == count)
        return made;
    for (size_t i = 0; i < made; i++)
        free_below(nodes[i], mem);
    for (size_t i = at; !sorted && i < count; i++)
        free_below(nodes[i], mem);
    return 0;
}

int dir_order_build(struct dir_order *order, struct mem *mem, struct dentry *const *sorted, size_t count)
{
    CHECK(!order->root);
    if (count == 0)
        return 0;
    struct order_node **nodes = mem_alloc(mem, (count / LEAF_MAX + 1) * sizeof(*nodes));
    if (!nodes)
        return -ENOMEM;
    size_t made = build_level(mem, sorted, nodes, count, LEAF_MAX);
    while (made > 1)
        made = build_level(mem, NULL, nodes, made, INNER_MAX);
    order->root = made ? nodes[0] : NULL;
    mem_free(mem, nodes);
    return made ? 0 : -ENOMEM;
}

/* Moves the upper part of the full child at `at` to a new one behind it. -ENOMEM. */
static int split_child(struct order_node **where, struct mem *mem, size_t at, struct bytes name)
{
    int rc = make_room(where, mem);
    if (rc < 0)
        return rc;
    struct order_node **child = &children_of(*where)[at];
    size_t count = (*child)->count;
    bool is_last = place_above(*child, name, NULL) == count;
    size_t left = is_last ? count - 1 : count / 2;
    struct order_node *right = order_node_new(mem, (*child)->level, count - left + 1);
    if (!right)
        return -ENOMEM;
    node_append(right, *child, left);
    (*child)->count = (uint16_t)left;
    trim_node(child, mem);
    node_put(*where, at + 1, right->names[0], right);
    return 0;
}

/* Puts an inner node with one child above the root. -ENOMEM. */
static int raise_root(struct dir_order *order, struct mem *mem)
{
    struct order_node *root = order_node_new(mem, order->root->level + 1u, 2);
    if (!root)
        return -ENOMEM;
    node_put(root, 0, order->root->names[0], order->root);
    order->root = root;
    return 0;
}

/* Descends to the leaf where a name belongs, splitting what is full on the way. -ENOMEM. */
static int leaf_for(struct dir_order *order, struct mem *mem, struct bytes name, struct order_node ***ret_where)
{
    if (order->root->count == node_max(order->root)) {
        int rc = raise_root(order, mem);
        if (rc < 0)
            return rc;
    }
    struct order_node **where = &order->root;
    while ((*where)->level) {
        size_t at = child_for(*where, name, NULL);
        struct order_node *child = children_of(*where)[at];
        if (child->count == node_max(child)) {
            int rc = split_child(where, mem, at, name);
            if (rc < 0)
                return rc;
            at = child_for(*where, name, NULL);
        }
        where = &children_of(*where)[at];
    }
    *ret_where = where;
    return 0;
}

int dir_order_insert(struct dir_order *order, struct mem *mem, struct dentry *dentry)
{
    if (!order->root) {
        order->root = order_node_new(mem, 0, 1);
        if (!order->root)
            return -ENOMEM;
    }
    struct order_node **where = NULL;
    int rc = leaf_for(order, mem, dentry_name(dentry), &where);
    if (rc == 0)
        rc = make_room(where, mem);
    if (rc < 0)
        return rc;
    size_t at = place_above(*where, dentry_name(dentry), NULL);
    node_put(*where, at, dentry, NULL);
    if (at == 0) {
        /* The least of its leaf is the least of all: any other would have gone to the leaf before. */
        for (struct order_node *node = order->root; node->level; node = children_of(node)[0])
            node->names[0] = dentry;
    }
    return 0;
}

/* Joins the children at `left` and behind it, if both together are at most half full. */
static bool merge_pair(struct order_node *node, struct mem *mem, size_t left)
{
    if (left + 1 >= node->count)
        return false;
    struct order_node **into = &children_of(node)[left], *from = into[1];
    size_t count = (size_t)(*into)->count + from->count;
    if (count > node_max(from) / 2)
        return false;
    if (count > (*into)->capacity && resize_node(into, mem, capacity_for(from->level, count)) < 0)
        return false;
    node_append(*into, from, 0);
    mem_free(mem, from);
    node_drop(node, left + 1);
    return true;
}

static void merge_child(struct order_node *node, struct mem *mem, size_t at)
{
    const struct order_node *child = children_of(node)[at];
    if (child->count > node_max(child) / 4)
        return;
    if (!merge_pair(node, mem, at) && at > 0)
        merge_pair(node, mem, at - 1);
}

/* Removes the dentry below *where, which is NULL afterwards if nothing else was there. */
static void remove_below(struct order_node **where, struct mem *mem, struct dentry *dentry)
{
    struct order_node *node = *where;
    size_t at = child_for(node, dentry_name(dentry), dentry);
    if (node->level == 0) {
        CHECK(node->names[at] == dentry);
        node_drop(node, at);
    } else {
        struct order_node **child = &children_of(node)[at];
        remove_below(child, mem, dentry);
        if (*child) {
            node->names[at] = (*child)->names[0];
            merge_child(node, mem, at);
        } else {
            node_drop(node, at);
        }
    }
    if (node->count == 0) {
        mem_free(mem, node);
        *where = NULL;
    } else {
        trim_node(where, mem);
    }
}

void dir_order_remove(struct dir_order *order, struct mem *mem, struct dentry *dentry)
{
    CHECK(order->root);
    remove_below(&order->root, mem, dentry);
    while (order->root && order->root->level && order->root->count == 1) {
        struct order_node *child = children_of(order->root)[0];
        mem_free(mem, order->root);
        order->root = child;
    }
}

void dir_order_replace(struct dir_order *order, const struct dentry *was, struct dentry *now)
{
    struct order_node *node = order->root;
    for (;;) {
        CHECK(node);
        size_t at = child_for(node, dentry_name(now), was);
        if (node->names[at] == was)
            node->names[at] = now;
        if (node->level == 0) {
            CHECK(node->names[at] == now);
            return;
        }
        node = children_of(node)[at];
    }
}

static size_t list_below(const struct order_node *node, struct bytes after, struct dentry **found, size_t max)
{
    size_t at = after.data ? place_above(node, after, NULL) : 0;
    size_t count = 0;
    if (node->level == 0) {
        count = node->count - at < max ? node->count - at : max;
        memcpy(found, node->names + at, count * sizeof(*found));
        return count;
    }
    /* Only the child that begins at or before `after` can hold names on both sides of it. */
    if (at > 0)
        count = list_below(children_of(node)[at - 1], after, found, max);
    for (; at < node->count && count < max; at++)
        count += list_below(children_of(node)[at], (struct bytes){0}, found + count, max - count);
    return count;
}

size_t dir_order_list(const struct dir_order *order, struct bytes after, struct dentry **found, size_t max)
{
    return order->root && max ? list_below(order->root, after, found, max) : 0;
}
