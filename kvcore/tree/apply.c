/* tree_apply: each effect finds what it names, checks the rules of POSIX that depend on the tree, shows whoever watches
 * what will change, changes it, and then moves times and versions, which cannot fail any more.
 */
#include "kvcore/base/check.h"
#include "kvcore/base/error.h"
#include "kvcore/tree/dir.h"
#include "kvcore/tree/names.h"
#include "kvcore/tree/tree.h"
#include "kvcore/tree/value.h"
#include "kvcore/tree/watcher.h"
#include "kvcore/tree/xattr.h"

/* The contents or names changed: mtime and ctime. */
static void touch(struct node *node, const struct effect *effect)
{
    node->mtime_ns = effect->time_ns;
    node->version = effect->version;
    if (node->flags & NODE_EXT)
        node_ext(node)->ctime_ns = effect->time_ns;
}

/* The attributes changed: ctime alone. The node has an ext. */
static void touch_attr(struct node *node, const struct effect *effect)
{
    node->version = effect->version;
    node_ext(node)->ctime_ns = effect->time_ns;
}

/* A directory that can take names: it exists, is one, and was not removed. */
static int find_dir(const struct tree *tree, uint64_t id, struct node **ret_dir)
{
    struct node *dir = tree_find(tree, id);
    if (!dir)
        return -ENOENT;
    if (!node_is_dir(dir))
        return -ENOTDIR;
    if (node_ext(dir)->nlink == 0)
        return -ENOENT;
    *ret_dir = dir;
    return 0;
}

static int find_dentry(const struct tree *tree, uint64_t dir_id, struct bytes name, struct dentry **ret_dentry)
{
    struct node *dir;
    int rc = find_dir(tree, dir_id, &dir);
    if (rc < 0)
        return rc;
    struct dentry *dentry = dir_find(node_dir(dir), name);
    if (!dentry)
        return -ENOENT;
    *ret_dentry = dentry;
    return 0;
}

/* The node that the effect changes; NULL: no such node. */
static struct node *find_node(const struct tree *tree, const struct effect *effect)
{
    CHECK(!effect->found || effect->found->id == effect->id);
    return effect->found ? effect->found : tree_find(tree, effect->id);
}

/* Does the node have a value that can be read and written? Only a file has. NULL: no such node. */
static int check_file(const struct node *node)
{
    if (!node)
        return -ENOENT;
    if (node_is_dir(node))
        return -EISDIR;
    return node_is_file(node) ? 0 : -EINVAL;
}

static bool has_value(uint32_t mode) { return S_ISREG(mode) || S_ISLNK(mode); }

/* What a new node has beyond node_new: its value, a directory's index, a device's number. */
static int equip(struct tree *tree, struct node **node, const struct effect *effect)
{
    if (has_value(effect->mode) && effect->value.len <= INLINE_BYTES_MAX) {
        if (effect->value.len)
            memcpy(node_inline(*node), effect->value.data, effect->value.len);
        return 0;
    }
    struct node *extended = node_extend(*node, &tree->mem);
    if (!extended)
        return -ENOMEM;
    *node = extended;
    struct node_ext *ext = node_ext(extended);
    if (has_value(effect->mode)) {
        extended->flags |= NODE_ROPE;
        return rope_write(&ext->rope, &tree->mem, 0, effect->value);
    }
    if (S_ISDIR(effect->mode)) {
        ext->dir = dir_new(&tree->mem, tree->hash_seed);
        extended->flags |= NODE_LINKED;
        ext->nlink = 2;
        return ext->dir ? 0 : -ENOMEM;
    }
    ext->rdev = effect->rdev;
    return 0;
}

/* The node that the effect describes, not entered anywhere. */
static int make_node(struct tree *tree, const struct effect *effect, struct node **ret_node)
{
    struct bytes inside = effect->name;
    if (S_ISDIR(effect->mode)) /* its name will be a link */
        inside.len = 0;
    bool is_inline = has_value(effect->mode) && effect->value.len <= INLINE_BYTES_MAX;
    struct node *node =
        node_new(&tree->mem, effect->id, (uint16_t)effect->mode, inside, is_inline ? effect->value.len : 0);
    if (!node)
        return -ENOMEM;
    node->uid = effect->uid;
    node->gid = effect->gid;
    node->mtime_ns = node->btime_ns = effect->time_ns;
    node->version = effect->version;
    int rc = equip(tree, &node, effect);
    if (rc < 0) {
        node_free(node, &tree->mem);
        return rc;
    }
    *ret_node = node;
    return 0;
}

/* As O_TMPFILE of open(2): the directory says in which slot the node is born, and is not changed. */
static int create_unnamed(struct tree *tree, struct effect *effect)
{
    struct node *node, *dir = tree_find(tree, effect->dir);
    if (!dir)
        return -ENOENT;
    if (!node_is_dir(dir))
        return -ENOTDIR;
    if (S_ISDIR(effect->mode)) /* nothing could be done with it: a directory cannot be linked */
        return -EPERM;
    effect->name.len = 0;
    int rc = make_node(tree, effect, &node);
    if (rc < 0)
        return rc;
    rc = names_enter_unnamed(tree, &node);
    if (rc < 0) {
        node_free(node, &tree->mem);
        return rc;
    }
    effect->ret_node = node;
    effect->ret_held = node->id;
    return 0;
}

static int apply_create(struct tree *tree, struct effect *effect)
{
    CHECK(!S_ISLNK(effect->mode) || (effect->value.len > 0 && effect->value.len <= SYMLINK_BYTES_MAX));
    if (effect->flags & EFFECT_HOLD)
        return create_unnamed(tree, effect);
    struct node *dir, *node;
    int rc = find_dir(tree, effect->dir, &dir);
    if (rc < 0)
        return rc;
    if (dir_find(node_dir(dir), effect->name))
        return -EEXIST;
    if (S_ISDIR(effect->mode) && node_ext(dir)->nlink >= LINKS_MAX)
        return -EMLINK;
    rc = make_node(tree, effect, &node);
    if (rc < 0)
        return rc;
    watcher_before(tree, dir);
    rc = names_enter(tree, node, dir, effect->name);
    if (rc < 0) {
        node_free(node, &tree->mem);
        return rc;
    }
    touch(dir, effect);
    effect->ret_node = node;
    return 0;
}

static int apply_link(struct tree *tree, struct effect *effect)
{
    struct node *dir, *node = find_node(tree, effect);
    if (!node || (node_nlink(node) == 0 && !(node->flags & NODE_UNNAMED)))
        return -ENOENT;
    if (node_is_dir(node))
        return -EPERM;
    int rc = find_dir(tree, effect->dir, &dir);
    if (rc < 0)
        return rc;
    if (dir_find(node_dir(dir), effect->name))
        return -EEXIST;
    if (node_nlink(node) >= LINKS_MAX)
        return -EMLINK;
    watcher_before(tree, dir);
    watcher_before(tree, node);
    rc = names_link(tree, &node, dir, effect->name);
    if (rc < 0)
        return rc;
    touch(dir, effect);
    touch_attr(node, effect);
    effect->ret_node = node;
    return 0;
}

/* What became of a node that lost a name: NULL, or the node, whose nlink changed. */
static struct node *find_left(const struct tree *tree, uint64_t id, struct effect *effect)
{
    struct node *left = tree_find(tree, id);
    if (!left)
        return NULL;
    touch_attr(left, effect);
    if (node_nlink(left) == 0)
        effect->ret_held = id;
    return left;
}

static int apply_unlink(struct tree *tree, struct effect *effect)
{
    struct dentry *dentry;
    int rc = find_dentry(tree, effect->dir, effect->name, &dentry);
    if (rc < 0)
        return rc;
    struct node *dir = dentry->dir, *node = dentry_node(dentry);
    if (node_is_dir(node) != (effect->kind == EFFECT_RMDIR))
        return node_is_dir(node) ? -EISDIR : -ENOTDIR;
    if (node_is_dir(node) && dir_count(node_dir(node)))
        return -ENOTEMPTY;
    uint64_t id = node->id;
    watcher_before(tree, dir);
    watcher_before(tree, node);
    rc = names_remove(tree, dentry, effect->flags & EFFECT_HOLD);
    if (rc < 0)
        return rc;
    touch(dir, effect);
    effect->ret_other = id;
    effect->ret_node = find_left(tree, id, effect);
    return 0;
}

/* Does `dir` lie in (or is it) `top`? */
static bool is_below(const struct node *dir, const struct node *top)
{
    while (dir != top) {
        struct dentry *dentry = node_dir_dentry(dir);
        if (!dentry)
            return false;
        dir = dentry->dir;
    }
    return true;
}

/* The two ends of a rename. */
struct move {
    struct dentry *source;
    struct dentry *target; /* NULL: the new name is free */
    struct node *from_dir;
    struct node *to_dir;
};

static int find_move(const struct tree *tree, const struct effect *effect, struct move *ret_move)
{
    struct move move;
    int rc = find_dentry(tree, effect->dir, effect->name, &move.source);
    if (rc == 0)
        rc = find_dir(tree, effect->to_dir, &move.to_dir);
    if (rc < 0)
        return rc;
    move.from_dir = move.source->dir;
    move.target = dir_find(node_dir(move.to_dir), effect->to_name);
    *ret_move = move;
    return 0;
}

/* May the source take the target's place (rename(2))? 1: they are one node, nothing is to be done. */
static int check_move(const struct move *move, uint32_t flags)
{
    const struct node *source = dentry_node(move->source);
    const struct node *target = move->target ? dentry_node(move->target) : NULL;
    if (flags & EFFECT_EXCHANGE && !target)
        return -ENOENT;
    if (flags & EFFECT_NOREPLACE && target)
        return -EEXIST;
    if (source == target)
        return 1;
    if (node_is_dir(source) && is_below(move->to_dir, source))
        return -EINVAL;
    if (flags & EFFECT_EXCHANGE)
        return node_is_dir(target) && is_below(move->from_dir, target) ? -EINVAL : 0;
    if (!target)
        return 0;
    if (node_is_dir(target) != node_is_dir(source))
        return node_is_dir(target) ? -EISDIR : -ENOTDIR;
    return node_is_dir(target) && dir_count(node_dir(target)) ? -ENOTEMPTY : 0;
}

static void watch_move(const struct tree *tree, const struct move *move)
{
    watcher_before(tree, move->from_dir);
    watcher_before(tree, move->to_dir);
    watcher_before(tree, dentry_node(move->source));
    if (move->target)
        watcher_before(tree, dentry_node(move->target));
}

/* The moved nodes' ctime will change, for which they need an ext; a dentry inside a node that moves for that is found
 * again. */
static int extend_moved(struct tree *tree, const struct effect *effect, struct move *move)
{
    struct node *source = dentry_node(move->source);
    bool both = effect->flags & EFFECT_EXCHANGE;
    if (source->flags & NODE_EXT && !both)
        return 0;
    int rc = value_extend(tree, &source);
    if (rc == 0 && both) {
        struct node *target = dentry_node(move->target);
        rc = value_extend(tree, &target);
    }
    return rc < 0 ? rc : find_move(tree, effect, move);
}

static int exchange(struct tree *tree, struct effect *effect, const struct move *move)
{
    int rc = names_exchange(tree, move->source, move->target);
    if (rc < 0)
        return rc;
    struct node *other = tree_lookup(move->from_dir, effect->name);
    touch_attr(other, effect);
    effect->ret_other = other->id;
    effect->ret_node = tree_lookup(move->to_dir, effect->to_name);
    return 0;
}

static int move_over(struct tree *tree, struct effect *effect, const struct move *move)
{
    uint64_t target_id = move->target ? dentry_node(move->target)->id : 0;
    int rc = names_move(tree, move->source, move->to_dir, effect->to_name, move->target, effect->flags & EFFECT_HOLD,
                        &effect->ret_node);
    if (rc < 0)
        return rc;
    effect->ret_other = target_id;
    if (target_id)
        find_left(tree, target_id, effect);
    return 0;
}

static int apply_rename(struct tree *tree, struct effect *effect)
{
    struct move move;
    int rc = find_move(tree, effect, &move);
    if (rc < 0)
        return rc;
    rc = check_move(&move, effect->flags);
    if (rc == 1) {
        effect->ret_node = dentry_node(move.source);
        return 0;
    }
    if (rc < 0)
        return rc;
    watch_move(tree, &move);
    rc = extend_moved(tree, effect, &move);
    if (rc < 0)
        return rc;
    rc = effect->flags & EFFECT_EXCHANGE ? exchange(tree, effect, &move) : move_over(tree, effect, &move);
    if (rc < 0)
        return rc;
    touch_attr(effect->ret_node, effect);
    touch(move.from_dir, effect);
    touch(move.to_dir, effect);
    return 0;
}

static int copy_from_source(struct tree *tree, struct node **node, const struct effect *effect)
{
    const struct node *source = tree_find(tree, effect->source);
    int rc = check_file(source);
    return rc < 0 ? rc : value_copy(tree, node, effect->offset, source, effect->source_offset, effect->length);
}

static int change_value(struct tree *tree, struct node **node, const struct effect *effect)
{
    switch (effect->kind) {
    case EFFECT_SET:
        return value_set(tree, node, effect->value);
    case EFFECT_WRITE:
        return value_write(tree, node, effect->offset, effect->value);
    case EFFECT_TRUNCATE:
        return value_truncate(tree, node, effect->offset);
    case EFFECT_PUNCH:
        return value_punch(tree, node, effect->offset, effect->length, effect->flags & EFFECT_EXTEND);
    default: /* EFFECT_COPY */
        return copy_from_source(tree, node, effect);
    }
}

static int apply_value(struct tree *tree, struct effect *effect)
{
    struct node *node = find_node(tree, effect);
    int rc = check_file(node);
    if (rc < 0)
        return rc;
    watcher_before(tree, node);
    rc = change_value(tree, &node, effect);
    if (rc < 0)
        return rc;
    touch(node, effect);
    effect->ret_node = node;
    return 0;
}

static int apply_attr(struct tree *tree, struct effect *effect)
{
    struct node *node = find_node(tree, effect);
    if (!node)
        return -ENOENT;
    watcher_before(tree, node);
    int rc = value_extend(tree, &node);
    if (rc < 0)
        return rc;
    if (effect->mask & EFFECT_MODE)
        node->mode = (uint16_t)((node->mode & S_IFMT) | (effect->mode & 07777));
    if (effect->mask & EFFECT_UID)
        node->uid = effect->uid;
    if (effect->mask & EFFECT_GID)
        node->gid = effect->gid;
    if (effect->mask & EFFECT_ATIME)
        node_ext(node)->atime_ns = effect->atime_ns;
    if (effect->mask & EFFECT_MTIME)
        node->mtime_ns = effect->mtime_ns;
    touch_attr(node, effect);
    effect->ret_node = node;
    return 0;
}

static int apply_xattr(struct tree *tree, struct effect *effect)
{
    struct node *node = find_node(tree, effect);
    if (!node)
        return -ENOENT;
    if (effect->kind == EFFECT_REMOVE_XATTR && !node_ext(node))
        return -ENODATA;
    watcher_before(tree, node);
    int rc = value_extend(tree, &node);
    if (rc < 0)
        return rc;
    struct xattrs **xattrs = &node_ext(node)->xattrs;
    rc = effect->kind == EFFECT_SET_XATTR ? xattrs_set(xattrs, &tree->mem, effect->name, effect->value)
                                          : xattrs_remove(xattrs, &tree->mem, effect->name);
    if (rc < 0)
        return rc;
    touch_attr(node, effect);
    effect->ret_node = node;
    return 0;
}

static int apply_expire(struct tree *tree, struct effect *effect)
{
    struct node *node = find_node(tree, effect);
    if (!node)
        return -ENOENT;
    if (node_is_dir(node))
        return -EISDIR;
    if (effect->expires_ns != INT64_MAX && node_nlink(node) == 0) /* an expiry takes names away, and there are none */
        return -ENOENT;
    watcher_before(tree, node);
    int rc = effect->expires_ns == INT64_MAX ? 0 : value_extend(tree, &node);
    if (rc == 0)
        rc = expiry_set(tree, node, effect->expires_ns);
    if (rc < 0)
        return rc;
    node->version = effect->version;
    effect->ret_node = node;
    return 0;
}

static int apply_release(struct tree *tree, struct effect *effect)
{
    struct node *node = find_node(tree, effect);
    if (!node || !node_ext(node) || node_ext(node)->holds == 0)
        return -ENOENT;
    watcher_before(tree, node);
    names_release(tree, node);
    return 0;
}

int tree_apply(struct tree *tree, struct effect *effect)
{
    effect->ret_node = NULL;
    effect->ret_held = effect->ret_other = 0;
    switch (effect->kind) {
    case EFFECT_CREATE:
        return apply_create(tree, effect);
    case EFFECT_LINK:
        return apply_link(tree, effect);
    case EFFECT_UNLINK:
    case EFFECT_RMDIR:
        return apply_unlink(tree, effect);
    case EFFECT_RENAME:
        return apply_rename(tree, effect);
    case EFFECT_SET:
    case EFFECT_WRITE:
    case EFFECT_TRUNCATE:
    case EFFECT_PUNCH:
    case EFFECT_COPY:
        return apply_value(tree, effect);
    case EFFECT_ATTR:
        return apply_attr(tree, effect);
    case EFFECT_SET_XATTR:
    case EFFECT_REMOVE_XATTR:
        return apply_xattr(tree, effect);
    case EFFECT_EXPIRE:
        return apply_expire(tree, effect);
    case EFFECT_RELEASE:
        return apply_release(tree, effect);
    }
    return -EINVAL;
}
