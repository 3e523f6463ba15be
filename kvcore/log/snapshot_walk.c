#include "kvcore/log/snapshot_walk.h"

#include "kvcore/base/check.h"
#include "kvcore/base/error.h"

/* Nodes lie all over memory: so many are looked up, and begin to be fetched, before the first is read. SKIP_BYTES is
 * what passing over one counts as. */
enum { AHEAD = 16, SKIP_BYTES = 16 };

/* --- saving --- */

/* The whole value where it is short; a longer one is left to the walk. */
static int put_short_value(struct walk *walk, const struct node *node)
{
    const struct rope *rope = &node_ext(node)->rope;
    return !rope->chunked && rope->block ? blocks_put_chunk(walk->blocks, node->id, 0, rope->block) : 0;
}

static bool has_rope(const struct node *node) { return node->flags & NODE_ROPE; }
static bool has_long_value(const struct node *node) { return has_rope(node) && node_ext(node)->rope.chunked; }

static int put_node(struct walk *walk, const struct node *node)
{
    int rc = blocks_put_node(walk->blocks, node);
    return rc == 0 && has_rope(node) ? put_short_value(walk, node) : rc;
}

/* Keeps a value from chunk `number` on, as it is now. */
static int keep_value(struct walk *walk, const struct node *node, uint64_t number)
{
    struct mem *mem = &walk->tree->mem;
    const struct rope *rope = &node_ext(node)->rope;
    struct kept_value *kept = mem_calloc(mem, sizeof *kept);
    if (!kept)
        return -ENOMEM;
    kept->id = node->id;
    kept->number = number;
    int rc = rope_share_part(rope, mem, number * CHUNK_BYTES, rope->size, &kept->rope);
    if (rc < 0) {
        mem_free(mem, kept);
        return rc;
    }
    kept->next = walk->kept;
    walk->kept = kept;
    return 0;
}

static void drop_kept(struct walk *walk)
{
    struct kept_value *kept = walk->kept;
    walk->kept = kept->next;
    rope_close(&kept->rope, &walk->tree->mem);
    mem_free(&walk->tree->mem, kept);
}

static bool is_behind(const struct walk *walk, uint64_t id)
{
    return id_slot(id) != walk->slot ? id_slot(id) < walk->slot : id_sequence(id) < walk->sequence;
}

static bool is_newborn(const struct walk *walk, uint64_t id)
{
    return id_sequence(id) >= walk->next_sequence[id_slot(id)];
}

static int save(struct walk *walk, const struct node *node)
{
    int rc = put_node(walk, node);
    if (rc == 0)
        rc = id_set_add(&walk->saved, &walk->tree->mem, node->id);
    return rc == 0 && has_long_value(node) ? keep_value(walk, node, 0) : rc;
}

static void before_change(struct tree_watcher *watcher, const struct node *node)
{
    struct walk *walk = (struct walk *)watcher;
    int rc = 0;
    if (walk->blocks->error || is_newborn(walk, node->id))
        return;
    if (node->id == walk->value_id) {
        rc = keep_value(walk, node, walk->value_number);
        walk->value_id = 0;
    } else if (!is_behind(walk, node->id) && !id_set_has(&walk->saved, node->id)) {
        rc = save(walk, node);
    }
    if (rc < 0)
        blocks_break(walk->blocks, rc);
}

/* --- walking: each step returns what it has cost --- */

static uint64_t step_kept(struct walk *walk)
{
    struct kept_value *kept = walk->kept;
    struct chunk *chunk = rope_next_chunk(&kept->rope, kept->number, &kept->number);
    uint64_t before = blocks_bytes(walk->blocks);
    if (!chunk) {
        drop_kept(walk);
        return SKIP_BYTES;
    }
    if (blocks_put_chunk(walk->blocks, kept->id, kept->number, chunk) == 0) {
        int rc = rope_punch(&kept->rope, &walk->tree->mem, kept->number * CHUNK_BYTES, CHUNK_BYTES);
        CHECK(rc == 0); /* a whole chunk is dropped, not changed */
    }
    kept->number++;
    return blocks_bytes(walk->blocks) - before;
}

static uint64_t step_value(struct walk *walk)
{
    const struct node *node = tree_find(walk->tree, walk->value_id);
    CHECK(node && has_long_value(node)); /* or before_change would have taken it */
    uint64_t before = blocks_bytes(walk->blocks);
    struct chunk *chunk = rope_next_chunk(&node_ext(node)->rope, walk->value_number, &walk->value_number);
    if (!chunk) {
        walk->value_id = 0;
        return SKIP_BYTES;
    }
    blocks_put_chunk(walk->blocks, node->id, walk->value_number++, chunk);
    return blocks_bytes(walk->blocks) - before;
}

/* The next nodes from the cursor on, of one slot. 0: there are none. */
static size_t look_ahead(struct walk *walk, const struct node *nodes[AHEAD])
{
    size_t count = 0;
    for (; walk->slot < SLOTS; walk->slot++, walk->sequence = 0) {
        const struct radix *radix = &walk->tree->slots[walk->slot].nodes;
        uint64_t at = walk->sequence, end = walk->next_sequence[walk->slot];
        for (; radix->count && at < end && count < AHEAD; at++) {
            const struct node *node = radix_next(radix, at, &at);
            if (!node || at >= end)
                break;
            __builtin_prefetch(node);
            __builtin_prefetch((const char *)node + 64);
            nodes[count++] = node;
        }
        if (count)
            break;
    }
    return count;
}

/* Pages of `saved` that the cursor has left are not asked for again. */
static void drop_passed_page(struct walk *walk, uint64_t id)
{
    uint64_t page = id / ID_SET_PAGE;
    if (page == walk->saved_page)
        return;
    id_set_drop_page(&walk->saved, &walk->tree->mem, walk->saved_page * ID_SET_PAGE);
    walk->saved_page = page;
}

static uint64_t step_nodes(struct walk *walk)
{
    const struct node *nodes[AHEAD];
    size_t count = look_ahead(walk, nodes);
    uint64_t before = blocks_bytes(walk->blocks);
    walk->ended = count == 0;
    for (size_t i = 0; i < count && !walk->value_id && !walk->blocks->error; i++) {
        const struct node *node = nodes[i];
        walk->sequence = id_sequence(node->id) + 1;
        drop_passed_page(walk, node->id);
        if (id_set_has(&walk->saved, node->id))
            continue;
        if (put_node(walk, node) == 0 && has_long_value(node)) {
            walk->value_id = node->id;
            walk->value_number = 0;
        }
    }
    return blocks_bytes(walk->blocks) - before + count * SKIP_BYTES;
}

int walk_start(struct walk *walk, struct tree *tree, struct blocks *blocks)
{
    CHECK(!tree->watcher);
    walk->tree = tree;
    walk->blocks = blocks;
    walk->watcher.before_change = before_change;
    for (unsigned slot = 0; slot < SLOTS; slot++)
        walk->next_sequence[slot] = tree->slots[slot].next_sequence;
    tree->watcher = &walk->watcher;
    return blocks_put_slots(blocks, walk->next_sequence);
}

int walk_slice(struct walk *walk, uint64_t bytes)
{
    uint64_t done = 0;
    while (done < bytes && !walk->ended && !walk->blocks->error && !blocks_are_full(walk->blocks)) {
        if (walk->kept)
            done += step_kept(walk);
        else if (walk->value_id)
            done += step_value(walk);
        else
            done += step_nodes(walk);
    }
    if (walk->blocks->error)
        return walk->blocks->error;
    return walk->ended;
}

void walk_stop(struct walk *walk)
{
    if (!walk->tree)
        return;
    if (walk->tree->watcher == &walk->watcher)
        walk->tree->watcher = NULL;
    while (walk->kept)
        drop_kept(walk);
    id_set_close(&walk->saved, &walk->tree->mem);
    walk->tree = NULL;
}
