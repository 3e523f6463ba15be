#include "kvcore/tree/value.h"

#include "kvcore/base/check.h"
#include "kvcore/base/error.h"
#include "kvcore/tree/dir.h"

/* The node that was at `was` is at `now`: everything that points to it learns so. */
static void mend(struct tree *tree, const struct node *was, struct node *now)
{
    if (was == now)
        return;
    CHECK(radix_set(&tree->slots[id_slot(now->id)].nodes, &tree->mem, id_sequence(now->id), now) == 0);
    if (!(now->flags & NODE_LINKED)) {
        dir_replace(node_dir(now->dentry.dir), &was->dentry, &now->dentry);
        return;
    }
    for (struct link *link = node_ext(now)->links; link; link = link->next)
        link->node = now;
}

static int reshape(struct tree *tree, struct node **node, size_t inline_len)
{
    struct node *moved = node_reshape(*node, &tree->mem, dentry_name(&(*node)->dentry), inline_len);
    if (!moved)
        return -ENOMEM;
    mend(tree, *node, moved);
    *node = moved;
    return 0;
}

int value_extend(struct tree *tree, struct node **node)
{
    struct node *moved = node_extend(*node, &tree->mem);
    if (!moved)
        return -ENOMEM;
    mend(tree, *node, moved);
    *node = moved;
    return 0;
}

/* From here on the value is `rope`, and the inline one is gone. The node has an ext. */
static void adopt_rope(struct tree *tree, struct node **node, const struct rope *rope)
{
    (*node)->flags |= NODE_ROPE;
    node_ext(*node)->rope = *rope;
    (void)reshape(tree, node, 0); /* gives memory back; when it cannot, the bytes merely stay */
    (*node)->inline_len = 0;
}

static void drop_rope(struct tree *tree, struct node *node)
{
    if (!(node->flags & NODE_ROPE))
        return;
    rope_close(&node_ext(node)->rope, &tree->mem);
    node->flags &= (uint8_t)~NODE_ROPE;
}

int value_set(struct tree *tree, struct node **node, struct bytes value)
{
    if (value.len <= INLINE_BYTES_MAX) {
        int rc = reshape(tree, node, value.len);
        if (rc < 0)
            return rc;
        drop_rope(tree, *node);
        if (value.len)
            memcpy(node_inline(*node), value.data, value.len);
        return 0;
    }
    struct rope rope = {0};
    int rc = value_extend(tree, node);
    if (rc == 0)
        rc = rope_write(&rope, &tree->mem, 0, value);
    if (rc < 0)
        return rc;
    drop_rope(tree, *node);
    adopt_rope(tree, node, &rope);
    return 0;
}

/* Makes an inline value a rope, so that it can grow. */
static int to_rope(struct tree *tree, struct node **node)
{
    if ((*node)->flags & NODE_ROPE)
        return 0;
    struct rope rope = {0};
    int rc = value_extend(tree, node);
    if (rc == 0 && (*node)->inline_len)
        rc = rope_write(&rope, &tree->mem, 0, bytes_make(node_inline(*node), (*node)->inline_len));
    if (rc < 0)
        return rc;
    adopt_rope(tree, node, &rope);
    return 0;
}

/* Cuts or extends an inline value to `size`, which fits. */
static int inline_resize(struct tree *tree, struct node **node, size_t size)
{
    size_t before = (*node)->inline_len;
    int rc = reshape(tree, node, size);
    if (rc == 0 && size > before)
        memset(node_inline(*node) + before, 0, size - before);
    return rc;
}

static bool is_too_long(uint64_t offset, uint64_t length)
{
    return offset > VALUE_BYTES_MAX || length > VALUE_BYTES_MAX - offset;
}

int value_write(struct tree *tree, struct node **node, uint64_t offset, struct bytes data)
{
    if (is_too_long(offset, data.len))
        return -EFBIG;
    if (data.len == 0) /* grows nothing: write(2) */
        return 0;
    uint64_t end = offset + data.len;
    if (!((*node)->flags & NODE_ROPE) && end <= INLINE_BYTES_MAX) {
        int rc = end > (*node)->inline_len ? inline_resize(tree, node, end) : 0;
        if (rc < 0)
            return rc;
        memcpy(node_inline(*node) + offset, data.data, data.len);
        return 0;
    }
    int rc = to_rope(tree, node);
    if (rc < 0)
        return rc;
    return rope_write(&node_ext(*node)->rope, &tree->mem, offset, data);
}

int value_truncate(struct tree *tree, struct node **node, uint64_t size)
{
    if (size > VALUE_BYTES_MAX)
        return -EFBIG;
    if (size == 0)
        return value_set(tree, node, (struct bytes){0});
    if (!((*node)->flags & NODE_ROPE) && size <= INLINE_BYTES_MAX)
        return inline_resize(tree, node, size);
    int rc = to_rope(tree, node);
    if (rc < 0)
        return rc;
    return rope_truncate(&node_ext(*node)->rope, &tree->mem, size);
}

static void inline_punch(struct node *node, uint64_t offset, uint64_t length)
{
    if (offset >= node->inline_len)
        return;
    size_t left = node->inline_len - (size_t)offset;
    memset(node_inline(node) + offset, 0, length < left ? (size_t)length : left);
}

int value_punch(struct tree *tree, struct node **node, uint64_t offset, uint64_t length, bool extend)
{
    if (is_too_long(offset, length))
        return -EFBIG;
    uint64_t size = node_size(*node), end = offset + length;
    extend = extend && end > size;
    int rc = extend ? value_truncate(tree, node, end) : 0;
    if (rc < 0)
        return rc;
    if (!((*node)->flags & NODE_ROPE)) {
        inline_punch(*node, offset, length);
        return 0;
    }
    struct rope *rope = &node_ext(*node)->rope;
    rc = rope_punch(rope, &tree->mem, offset, length);
    if (rc < 0 && extend)
        CHECK(rope_truncate(rope, &tree->mem, size) ==
              0); /* nothing is stored behind `size`: there is nothing to cut */
    return rc;
}

/* A few bytes go the way of a write: they may lie in a node, which the write may move. */
static int copy_few(struct tree *tree, struct node **node, uint64_t offset, const struct node *source,
                    uint64_t source_offset, uint64_t length)
{
    char few[INLINE_BYTES_MAX];
    struct bytes pieces[4];
    uint64_t got;
    size_t len = 0, count = tree_value(source, source_offset, length, pieces, 4, &got);
    CHECK(got == length);
    for (size_t i = 0; i < count; len += pieces[i++].len)
        memcpy(few + len, pieces[i].data, pieces[i].len);
    return value_write(tree, node, offset, bytes_make(few, len));
}

/* From one place of a rope to another. */
static int copy_within(struct rope *rope, struct mem *mem, uint64_t offset, uint64_t source_offset, uint64_t length)
{
    struct rope source = {0};
    int rc = rope_share_part(rope, mem, source_offset, length, &source);
    if (rc < 0)
        return rc;
    rc = rope_copy(rope, mem, offset, &source, source_offset, length);
    rope_close(&source, mem);
    return rc;
}

int value_copy(struct tree *tree, struct node **node, uint64_t offset, const struct node *source,
               uint64_t source_offset, uint64_t length)
{
    uint64_t size = node_size(source);
    bool within = source == *node;
    if (is_too_long(offset, length))
        return -EFBIG;
    if (source_offset > size || length > size - source_offset)
        return -EINVAL;
    if (within && length && offset < source_offset + length && source_offset < offset + length)
        return -EINVAL;
    if (length <= INLINE_BYTES_MAX)
        return copy_few(tree, node, offset, source, source_offset, length);
    int rc = to_rope(tree, node);
    if (rc < 0)
        return rc;
    struct rope *rope = &node_ext(*node)->rope;
    if (within)
        return copy_within(rope, &tree->mem, offset, source_offset, length);
    return rope_copy(rope, &tree->mem, offset, &node_ext(source)->rope, source_offset, length);
}
