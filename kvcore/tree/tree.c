#include "kvcore/tree/tree.h"

#include "kvcore/base/check.h"
#include "kvcore/base/error.h"
#include "kvcore/tree/bulk.h"
#include "kvcore/tree/dir.h"
#include "kvcore/tree/key.h"

#include <stdlib.h>

struct tree *tree_new(uint64_t hash_seed, uint32_t root_uid, uint32_t root_gid, uint32_t root_mode, int64_t time_ns)
{
    struct tree *tree = calloc(1, sizeof *tree);
    if (!tree)
        return NULL;
    tree->hash_seed = hash_seed;
    for (unsigned slot = 0; slot < SLOTS; slot++)
        tree->slots[slot].next_sequence = 1;
    struct node *root = node_new(&tree->mem, ROOT_ID, (uint16_t)(S_IFDIR | (root_mode & 07777)), (struct bytes){0}, 0);
    if (!root)
        goto err_tree;
    root->uid = root_uid;
    root->gid = root_gid;
    root->mtime_ns = root->btime_ns = time_ns;
    struct node *extended = node_extend(root, &tree->mem);
    if (!extended)
        goto err_root;
    root = extended;
    root->flags |= NODE_LINKED;
    node_ext(root)->nlink = 2;
    node_ext(root)->dir = dir_new(&tree->mem, hash_seed);
    if (!node_ext(root)->dir)
        goto err_root;
    if (radix_set(&tree->slots[0].nodes, &tree->mem, ROOT_ID, root) < 0)
        goto err_root;
    tree->slots[0].next_sequence = ROOT_ID + 1;
    tree->root = root;
    tree->node_count = 1;
    return tree;

err_root:
    node_free(root, &tree->mem);
err_tree:
    free(tree);
    return NULL;
}

/* Frees a node and its dentries, whoever still points there. */
static void free_with_links(struct tree *tree, struct node *node)
{
    struct node_ext *ext = node_ext(node);
    while (ext && ext->links) {
        struct link *link = ext->links;
        ext->links = link->next;
        mem_free(&tree->mem, link);
    }
    node_free(node, &tree->mem);
}

void tree_free(struct tree *tree)
{
    if (!tree)
        return;
    for (unsigned slot = 0; slot < SLOTS; slot++) {
        struct radix *nodes = &tree->slots[slot].nodes;
        uint64_t sequence;
        struct node *node;
        for (uint64_t from = 0; (node = radix_next(nodes, from, &sequence)); from = sequence + 1)
            free_with_links(tree, node);
        radix_close(nodes, &tree->mem);
    }
    mem_free(&tree->mem, tree->expiry.entries);
    bulk_free(tree);
    CHECK(tree->mem.used == 0);
    free(tree);
}

struct node *tree_find(const struct tree *tree, uint64_t id)
{
    return radix_find(&tree->slots[id_slot(id)].nodes, id_sequence(id));
}

struct node *tree_lookup(const struct node *dir, struct bytes name)
{
    struct dentry *dentry = dir_find(node_dir(dir), name);
    return dentry ? dentry_node(dentry) : NULL;
}

/* Makes place->path the symlink's target followed by `rest`, which may lie in place->path already. A target "x/" is
 * "x/.": it must be a directory. */
static int expand(struct tree_place *place, const struct node *link, struct bytes *rest)
{
    struct bytes target;
    uint64_t len;
    size_t count = tree_value(link, 0, SYMLINK_BYTES_MAX, &target, 1, &len);
    CHECK(count == 1 && len == node_size(link));
    if (target.data[0] == '/')
        return -EXDEV;
    if (rest->len == 0 && target.data[len - 1] == '/')
        *rest = bytes_of(".");
    if (len + 1 + rest->len > sizeof place->path)
        return -ENAMETOOLONG;
    if (rest->len) {
        memmove(place->path + len + 1, rest->data, rest->len);
        place->path[len] = '/';
        rest->len += len + 1;
    } else {
        rest->len = len;
    }
    memcpy(place->path, target.data, len);
    rest->data = place->path;
    return 0;
}

/* Cuts the next component that is a name: 1, or 0 at the end. In a symlink's target a component may also be empty, "."
 * or
 * "..": those are walked here. -EXDEV above the root, where the mount would find whatever it is mounted on. */
static int next_name(const struct tree *tree, struct node **dir, struct bytes *rest, struct bytes *ret_name)
{
    struct bytes name;
    while (key_next(rest, &name)) {
        if (name.len == 0 || bytes_equal(name, bytes_of(".")))
            continue;
        if (!bytes_equal(name, bytes_of(".."))) {
            *ret_name = name;
            return 1;
        }
        if (*dir == tree->root)
            return -EXDEV;
        *dir = node_dir_dentry(*dir)->dir;
    }
    return 0;
}

/* The place of a directory that was reached without a name: the root, or "x/.." in a symlink. */
static void place_dir(const struct tree *tree, struct node *dir, struct tree_place *place)
{
    const struct dentry *dentry = dir == tree->root ? NULL : node_dir_dentry(dir);
    place->node = dir;
    place->dir = dentry ? dentry->dir : NULL;
    place->name = dentry ? dentry_name(dentry) : (struct bytes){0};
    place->rest = (struct bytes){0};
}

/* What follows a missing directory can be made only if all of it is names: a symlink may say "missing/../x". */
static int check_missing(struct bytes rest)
{
    int rc = key_check(rest, NULL);
    return rc == -EINVAL ? -ENOENT : rc;
}

int tree_walk(const struct tree *tree, struct bytes key, bool follow, struct tree_place *ret_place)
{
    struct node *dir = tree->root;
    struct bytes rest = key, name;
    unsigned followed = 0;
    int rc;
    while ((rc = next_name(tree, &dir, &rest, &name)) > 0) {
        if (name.len > NAME_BYTES_MAX) /* in a symlink's target */
            return -ENAMETOOLONG;
        struct node *node = tree_lookup(dir, name);
        if (node && S_ISLNK(node->mode) && (rest.len || follow)) {
            if (++followed > SYMLINK_DEPTH_MAX)
                return -ELOOP;
            rc = expand(ret_place, node, &rest);
            if (rc < 0)
                return rc;
            continue;
        }
        if (!node || rest.len == 0) {
            rc = node ? 0 : check_missing(rest);
            if (rc < 0)
                return rc;
            ret_place->node = node;
            ret_place->dir = dir;
            ret_place->name = name;
            ret_place->rest = rest;
            return 0;
        }
        if (!node_is_dir(node))
            return -ENOTDIR;
        dir = node;
    }
    if (rc == 0)
        place_dir(tree, dir, ret_place);
    return rc;
}

void tree_fetch(const struct tree *tree, struct bytes key, unsigned steps_left)
{
    const struct node *dir = tree->root;
    for (;;) {
        const char *slash = key.len ? memchr(key.data, '/', key.len) : NULL;
        if (!slash) {
            dir_fetch(node_dir(dir), key, steps_left);
            return;
        }
        struct bytes name = bytes_make(key.data, (size_t)(slash - key.data));
        const struct node *node = tree_lookup(dir, name);
        if (!node || !node_is_dir(node))
            return;
        dir = node;
        key = bytes_make(slash + 1, key.len - name.len - 1);
    }
}

static unsigned slot_of_place(const struct tree *tree, const struct node *dir, struct bytes name)
{
    while (dir != tree->root) {
        struct dentry *dentry = node_dir_dentry(dir);
        if (!dentry) /* removed, but held */
            return id_slot(dir->id);
        name = dentry_name(dentry);
        dir = dentry->dir;
    }
    return key_slot(name);
}

uint64_t tree_next_id(const struct tree *tree, const struct node *dir, struct bytes name)
{
    unsigned slot = slot_of_place(tree, dir, name);
    return (uint64_t)slot << ID_SLOT_SHIFT | tree->slots[slot].next_sequence;
}

bool tree_key_fits(const struct node *dir, struct bytes name)
{
    size_t len = name.len;
    for (struct dentry *dentry; (dentry = node_dir_dentry(dir)); dir = dentry->dir)
        len += dentry->name_len + 1u;
    return len <= KEY_BYTES_MAX;
}

static const struct dentry *first_dentry(const struct node *node)
{
    if (!(node->flags & NODE_LINKED))
        return &node->dentry;
    struct link *links = node_ext(node)->links;
    return links ? &links->dentry : NULL;
}

unsigned tree_slot_of(const struct tree *tree, const struct node *node)
{
    const struct dentry *dentry = first_dentry(node);
    return dentry ? slot_of_place(tree, dentry->dir, dentry_name(dentry)) : id_slot(node->id);
}

int tree_key_of(const struct node *node, char *out)
{
    char reversed[KEY_BYTES_MAX + 1]; /* filled from its end */
    size_t at = sizeof reversed;
    const struct dentry *dentry = first_dentry(node);
    if (!dentry && node->id != ROOT_ID)
        return -ENOENT;
    for (; dentry; dentry = node_dir_dentry(dentry->dir)) {
        if (at < (size_t)dentry->name_len + 1)
            return -ENAMETOOLONG;
        reversed[--at] = '/';
        at -= dentry->name_len;
        memcpy(reversed + at, dentry->name, dentry->name_len);
    }
    if (at == sizeof reversed) /* the root */
        return 0;
    size_t len = sizeof reversed - at - 1; /* without the last '/' */
    memcpy(out, reversed + at, len);
    return (int)len;
}

size_t tree_value(const struct node *node, uint64_t offset, uint64_t length, struct bytes *pieces, size_t max,
                  uint64_t *ret_bytes)
{
    if (node->flags & NODE_ROPE)
        return rope_pieces(&node_ext(node)->rope, offset, length, pieces, max, ret_bytes);
    *ret_bytes = 0;
    if (offset >= node->inline_len || length == 0)
        return 0;
    CHECK(max > 0);
    uint64_t left = node->inline_len - offset;
    *ret_bytes = length < left ? length : left;
    pieces[0] = (struct bytes){node_inline(node) + offset, *ret_bytes};
    return 1;
}

int tree_seek(const struct node *node, uint64_t offset, bool hole, uint64_t *ret_offset)
{
    if (node->flags & NODE_ROPE)
        return rope_seek(&node_ext(node)->rope, offset, hole, ret_offset);
    if (offset >= node->inline_len)
        return -ENXIO;
    *ret_offset = hole ? node->inline_len : offset;
    return 0;
}

uint64_t tree_write_cost(const struct node *node, uint64_t offset, uint64_t length)
{
    if (length == 0 || offset > VALUE_BYTES_MAX || length > VALUE_BYTES_MAX - offset)
        return 0; /* nothing will be written */
    if (node->flags & NODE_ROPE)
        return rope_write_cost(&node_ext(node)->rope, offset, length);
    if (offset > node->inline_len)
        return length;
    uint64_t end = offset + length;
    return end > node->inline_len ? end - node->inline_len : 0;
}

uint64_t tree_cut_cost(const struct node *node, uint64_t offset)
{
    return node->flags & NODE_ROPE ? rope_cut_cost(&node_ext(node)->rope, offset) : 0;
}
