/* A directory that grows while a bulk is on loses its order, and is built once at the end. Which ones to drop is
 * decided where a count passes a power of two: so a new directory goes without from the start, a large one that is
 * given a few more names mostly keeps what it has, and one that is given many soon lets go. Those without are kept by
 * id, since they may be gone at the end.
 */
#include "kvcore/tree/bulk.h"

#include "kvcore/base/check.h"
#include "kvcore/base/error.h"
#include "kvcore/tree/dir.h"
#include "kvcore/tree/tree.h"

struct bulk {
    uint64_t *ids;
    size_t count, capacity;
};

int tree_bulk_begin(struct tree *tree)
{
    CHECK(!tree->bulk);
    tree->bulk = mem_calloc(&tree->mem, sizeof *tree->bulk);
    return tree->bulk ? 0 : -ENOMEM;
}

void bulk_touch(struct tree *tree, struct node *dir)
{
    struct bulk *bulk = tree->bulk;
    if (!bulk || !dir_has_order(node_dir(dir)))
        return;
    size_t count = dir_count(node_dir(dir));
    if (count & (count - 1))
        return;
    if (bulk->count == bulk->capacity) {
        size_t capacity = bulk->capacity ? 2 * bulk->capacity : 64;
        uint64_t *ids = mem_realloc(&tree->mem, bulk->ids, capacity * sizeof *ids);
        if (!ids)
            return; /* it keeps its order, which only costs time */
        bulk->ids = ids;
        bulk->capacity = capacity;
    }
    bulk->ids[bulk->count++] = dir->id;
    dir_drop_order(node_dir(dir), &tree->mem);
}

int tree_bulk_end(struct tree *tree)
{
    struct bulk *bulk = tree->bulk;
    CHECK(bulk);
    while (bulk->count) {
        struct node *dir = tree_find(tree, bulk->ids[bulk->count - 1]);
        int rc = dir && node_is_dir(dir) ? dir_build_order(node_dir(dir), &tree->mem) : 0;
        if (rc < 0)
            return rc;
        bulk->count--;
    }
    bulk_free(tree);
    return 0;
}

void bulk_free(struct tree *tree)
{
    if (!tree->bulk)
        return;
    mem_free(&tree->mem, tree->bulk->ids);
    mem_free(&tree->mem, tree->bulk);
    tree->bulk = NULL;
}
