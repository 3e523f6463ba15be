#include "kvcore/tree/names.h"

#include "kvcore/base/check.h"
#include "kvcore/base/error.h"
#include "kvcore/tree/bulk.h"
#include "kvcore/tree/dir.h"
#include "kvcore/tree/value.h"

/* A dentry that has been made but stands nowhere yet: a struct link, or a copy of a node that carries its name inside.
 */
struct fresh {
    struct node *copy; /* NULL: a link */
    struct dentry *dentry;
};

static int fresh_make(struct tree *tree, struct node *node, struct node *dir, struct bytes name, struct fresh *ret)
{
    if (node->flags & NODE_LINKED) {
        struct link *link = link_new(&tree->mem, node, dir, name);
        if (!link)
            return -ENOMEM;
        *ret = (struct fresh){NULL, &link->dentry};
        return 0;
    }
    struct node *copy = node_copy(node, &tree->mem, dir, name);
    if (!copy)
        return -ENOMEM;
    *ret = (struct fresh){copy, &copy->dentry};
    return 0;
}

static void fresh_drop(struct tree *tree, const struct fresh *fresh)
{
    mem_free(&tree->mem, fresh->copy ? (void *)fresh->copy : (void *)link_of(fresh->dentry));
}

static void id_map_replace(struct tree *tree, struct node *node)
{
    CHECK(radix_set(&tree->slots[id_slot(node->id)].nodes, &tree->mem, id_sequence(node->id), node) == 0);
}

static void push_link(struct node *node, struct link *link)
{
    link->next = node_ext(node)->links;
    node_ext(node)->links = link;
}

static void free_link(struct tree *tree, struct link *link)
{
    struct link **at = &node_ext(link->node)->links;
    while (*at != link)
        at = &(*at)->next;
    *at = link->next;
    mem_free(&tree->mem, link);
}

/* The fresh dentry stands in its directory now, the old one in none: the node goes with the fresh one. Returns the
 * node. */
static struct node *fresh_commit(struct tree *tree, struct dentry *old, const struct fresh *fresh)
{
    struct node *node = dentry_node(old);
    if (fresh->copy) {
        id_map_replace(tree, fresh->copy);
        mem_free(&tree->mem, node);
        return fresh->copy;
    }
    free_link(tree, link_of(old));
    push_link(node, link_of(fresh->dentry));
    return node;
}

static int enter_dentry(struct tree *tree, struct node *dir, struct dentry *dentry)
{
    bulk_touch(tree, dir);
    return dir_insert(node_dir(dir), &tree->mem, dentry);
}

static void count_subdir(struct node *dir, const struct node *child, int change)
{
    if (node_is_dir(child))
        node_ext(dir)->nlink += (uint32_t)change;
}

static int enter_id(struct tree *tree, struct node *node)
{
    if (tree_find(tree, node->id))
        return -EEXIST;
    return radix_set(&tree->slots[id_slot(node->id)].nodes, &tree->mem, id_sequence(node->id), node);
}

/* The new node stands where it belongs: its id is taken for good. */
static void count_new(struct tree *tree, uint64_t id)
{
    struct tree_slot *slot = &tree->slots[id_slot(id)];
    if (id_sequence(id) >= slot->next_sequence)
        slot->next_sequence = id_sequence(id) + 1;
    tree->node_count++;
}

int names_enter(struct tree *tree, struct node *node, struct node *dir, struct bytes name)
{
    struct link *link = NULL;
    if (node_is_dir(node)) { /* it never moves, so its name is a link */
        link = link_new(&tree->mem, node, dir, name);
        if (!link)
            return -ENOMEM;
    }
    int rc = enter_id(tree, node);
    if (rc < 0)
        goto err_link;
    node->dentry.dir = link ? NULL : dir;
    rc = enter_dentry(tree, dir, link ? &link->dentry : &node->dentry);
    if (rc < 0)
        goto err_id;
    if (link)
        push_link(node, link);
    count_new(tree, node->id);
    count_subdir(dir, node, 1);
    return 0;

err_id:
    radix_remove(&tree->slots[id_slot(node->id)].nodes, &tree->mem, id_sequence(node->id));
err_link:
    mem_free(&tree->mem, link);
    return rc;
}

int names_enter_unnamed(struct tree *tree, struct node **node)
{
    struct node *extended = (*node)->flags & NODE_EXT ? *node : node_extend(*node, &tree->mem);
    if (!extended)
        return -ENOMEM;
    *node = extended;
    int rc = enter_id(tree, extended);
    if (rc < 0)
        return rc;
    extended->flags |= NODE_LINKED | NODE_UNNAMED;
    node_ext(extended)->nlink = 0;
    node_ext(extended)->holds = 1;
    count_new(tree, extended->id);
    return 0;
}

/* Turns the name inside a node into a link, so that more can follow. */
static int to_linked(struct tree *tree, struct node **node)
{
    if ((*node)->flags & NODE_LINKED)
        return 0;
    int rc = value_extend(tree, node);
    if (rc < 0)
        return rc;
    struct dentry *inside = &(*node)->dentry;
    struct link *link = link_new(&tree->mem, *node, inside->dir, dentry_name(inside));
    if (!link)
        return -ENOMEM;
    dir_replace(node_dir(inside->dir), inside, &link->dentry);
    inside->dir = NULL;
    (*node)->flags |= NODE_LINKED;
    push_link(*node, link);
    return 0;
}

int names_link(struct tree *tree, struct node **node, struct node *dir, struct bytes name)
{
    int rc = to_linked(tree, node);
    if (rc < 0)
        return rc;
    struct link *link = link_new(&tree->mem, *node, dir, name);
    if (!link)
        return -ENOMEM;
    rc = enter_dentry(tree, dir, &link->dentry);
    if (rc < 0) {
        mem_free(&tree->mem, link);
        return rc;
    }
    push_link(*node, link);
    node_ext(*node)->nlink++;
    (*node)->flags &= (uint8_t)~NODE_UNNAMED;
    return 0;
}

static void free_node(struct tree *tree, struct node *node)
{
    if (node->flags & NODE_EXPIRES)
        expiry_set(tree, node, INT64_MAX);
    CHECK(radix_remove(&tree->slots[id_slot(node->id)].nodes, &tree->mem, id_sequence(node->id)) == node);
    node_free(node, &tree->mem);
    tree->node_count--;
}

/* Makes sure that `dentry`, should it be its node's last and the node be held, can go without failing. */
static int prepare_hold(struct tree *tree, struct dentry **dentry)
{
    struct node *node = dentry_node(*dentry);
    if ((*dentry)->kind == DENTRY_LINK)
        return 0;
    int rc = value_extend(tree, &node);
    *dentry = &node->dentry;
    return rc;
}

/* A dentry that stands in no directory any more is gone for its node too. With the last one goes the node, unless it is
 * held: nameless, and with nothing left that could expire. */
static void drop_dentry(struct tree *tree, struct dentry *dentry, bool hold)
{
    struct node *node = dentry_node(dentry);
    struct node_ext *ext = node_ext(node);
    bool last = node_is_dir(node) || node_nlink(node) == 1;
    bool kept = hold || (ext && ext->holds); /* it may have been held since before it had a name */
    if (dentry->kind == DENTRY_LINK)
        free_link(tree, link_of(dentry));
    if (!last) {
        ext->nlink--;
    } else if (kept) {
        expiry_set(tree, node, INT64_MAX);
        node->flags |= NODE_LINKED;
        node->dentry.dir = NULL;
        ext->nlink = 0;
        ext->holds += hold;
    } else {
        free_node(tree, node);
    }
}

int names_remove(struct tree *tree, struct dentry *dentry, bool hold)
{
    int rc = hold ? prepare_hold(tree, &dentry) : 0;
    if (rc < 0)
        return rc;
    struct node *dir = dentry->dir;
    count_subdir(dir, dentry_node(dentry), -1);
    dir_remove(node_dir(dir), &tree->mem, dentry);
    drop_dentry(tree, dentry, hold);
    return 0;
}

int names_move(struct tree *tree, struct dentry *source, struct node *to_dir, struct bytes to_name,
               struct dentry *target, bool hold, struct node **ret_node)
{
    struct fresh fresh;
    struct node *from_dir = source->dir;
    int rc = target && hold ? prepare_hold(tree, &target) : 0;
    if (rc == 0)
        rc = fresh_make(tree, dentry_node(source), to_dir, to_name, &fresh);
    if (rc < 0)
        return rc;
    if (target) {
        count_subdir(to_dir, dentry_node(target), -1);
        dir_replace(node_dir(to_dir), target, fresh.dentry);
        drop_dentry(tree, target, hold);
    } else {
        rc = enter_dentry(tree, to_dir, fresh.dentry);
        if (rc < 0) {
            fresh_drop(tree, &fresh);
            return rc;
        }
    }
    dir_remove(node_dir(from_dir), &tree->mem, source);
    count_subdir(from_dir, dentry_node(source), -1);
    *ret_node = fresh_commit(tree, source, &fresh);
    count_subdir(to_dir, *ret_node, 1);
    return 0;
}

int names_exchange(struct tree *tree, struct dentry *a, struct dentry *b)
{
    struct fresh for_a, for_b; /* a's node in b's place, b's node in a's */
    struct node *dir_a = a->dir, *dir_b = b->dir;
    int rc = fresh_make(tree, dentry_node(a), dir_b, dentry_name(b), &for_a);
    if (rc < 0)
        return rc;
    rc = fresh_make(tree, dentry_node(b), dir_a, dentry_name(a), &for_b);
    if (rc < 0) {
        fresh_drop(tree, &for_a);
        return rc;
    }
    dir_replace(node_dir(dir_b), b, for_a.dentry);
    dir_replace(node_dir(dir_a), a, for_b.dentry);
    count_subdir(dir_a, dentry_node(a), -1);
    count_subdir(dir_b, dentry_node(b), -1);
    count_subdir(dir_b, fresh_commit(tree, a, &for_a), 1);
    count_subdir(dir_a, fresh_commit(tree, b, &for_b), 1);
    return 0;
}

void names_release(struct tree *tree, struct node *node)
{
    struct node_ext *ext = node_ext(node);
    CHECK(ext && ext->holds > 0);
    if (--ext->holds == 0 && ext->nlink == 0)
        free_node(tree, node);
}
