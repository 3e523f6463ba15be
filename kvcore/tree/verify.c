#include "kvcore/base/check.h"
#include "kvcore/tree/dir.h"
#include "kvcore/tree/tree.h"

enum { PAGE = 64 };

/* The names of one directory, in both orders: each must lead to a node that knows it. Returns the subdirectories. */
static uint32_t verify_dir(const struct tree *tree, const struct node *dir)
{
    struct dentry *page[PAGE];
    uint32_t subdirs = 0;
    size_t seen = 0, count;
    for (struct bytes after = {0}; (count = dir_list(node_dir(dir), after, page, PAGE));) {
        for (size_t i = 0; i < count; i++) {
            struct bytes name = dentry_name(page[i]);
            CHECK(!after.data || bytes_compare(after, name) < 0);
            CHECK(page[i]->dir == dir);
            CHECK(dir_find(node_dir(dir), name) == page[i]);
            struct node *node = dentry_node(page[i]);
            CHECK(tree_find(tree, node->id) == node);
            CHECK(((node->flags & NODE_LINKED) != 0) == (page[i]->kind == DENTRY_LINK));
            subdirs += node_is_dir(node);
            after = name;
        }
        seen += count;
    }
    CHECK(seen == dir_count(node_dir(dir)));
    struct dir_found found[PAGE];
    for (uint64_t after = 0; (count = dir_scan(node_dir(dir), after, found, PAGE)); seen -= count)
        after = found[count - 1].cookie;
    CHECK(seen == 0);
    return subdirs;
}

/* Returns the node's names. */
static uint32_t verify_names(const struct node *node)
{
    if (!(node->flags & NODE_LINKED)) {
        CHECK(!node_is_dir(node) && node->dentry.dir && node_nlink(node) == 1);
        CHECK(dir_find(node_dir(node->dentry.dir), dentry_name(&node->dentry)) == &node->dentry);
        return 1;
    }
    const struct node_ext *ext = node_ext(node);
    uint32_t names = 0;
    for (struct link *link = ext->links; link; link = link->next, names++) {
        CHECK(link->node == node);
        CHECK(dir_find(node_dir(link->dentry.dir), dentry_name(&link->dentry)) == &link->dentry);
    }
    CHECK(node_is_dir(node) ? names <= 1 : ext->nlink == names);
    CHECK(names > 0 || node->id == ROOT_ID || (ext->holds > 0 && !(node->flags & NODE_EXPIRES)));
    CHECK(names == 0 || !(node->flags & NODE_UNNAMED));
    return names;
}

static void verify_node(const struct tree *tree, const struct node *node)
{
    struct node_ext *ext = node_ext(node);
    CHECK(!(node->flags & (NODE_LINKED | NODE_ROPE | NODE_EXPIRES)) || ext);
    if (node_is_dir(node)) {
        uint32_t subdirs = verify_dir(tree, node);
        CHECK(ext->nlink == (ext->links || node->id == ROOT_ID ? 2 + subdirs : 0));
    }
    if (node->flags & NODE_EXPIRES) {
        CHECK(ext->expiry_at < tree->expiry.count);
        CHECK(tree->expiry.entries[ext->expiry_at].id == node->id);
        CHECK(tree->expiry.entries[ext->expiry_at].expires_ns == ext->expires_ns);
    }
}

void tree_verify(const struct tree *tree)
{
    uint64_t count = 0, expiring = 0, names = 0, entries = 0;
    for (unsigned slot = 0; slot < SLOTS; slot++) {
        const struct tree_slot *in = &tree->slots[slot];
        uint64_t sequence;
        struct node *node;
        for (uint64_t from = 0; (node = radix_next(&in->nodes, from, &sequence)); from = sequence + 1) {
            CHECK(node->id == ((uint64_t)slot << ID_SLOT_SHIFT | sequence));
            CHECK(sequence < in->next_sequence);
            verify_node(tree, node);
            names += verify_names(node);
            entries += node_is_dir(node) ? dir_count(node_dir(node)) : 0;
            expiring += (node->flags & NODE_EXPIRES) != 0;
            count++;
        }
    }
    CHECK(count == tree->node_count);
    CHECK(names == entries);
    CHECK(expiring == tree->expiry.count);
    for (size_t i = 1; i < tree->expiry.count; i++)
        CHECK(tree->expiry.entries[(i - 1) / 2].expires_ns <= tree->expiry.entries[i].expires_ns);
}
