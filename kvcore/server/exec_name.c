/* Handlers of the operations on names: what a directory's owner does. */
#include "kvcore/base/check.h"
#include "kvcore/base/error.h"
#include "kvcore/server/exec.h"
#include "kvcore/tree/dir.h"
#include "kvcore/tree/key.h"

enum {
    COOKIE_GROUP_MIN = 64, /* dir_scan's duty for its caller */
    EXT_AHEAD = 8,
};

static int find_directory(struct exec *exec, struct node **ret_dir)
{
    int rc = exec_node(exec, &exec->request->node, ret_dir);
    if (rc < 0)
        return rc;
    return node_is_dir(*ret_dir) ? 0 : -ENOTDIR;
}

/* The root is its own. */
static int directory_above(const struct node *node, struct node **ret_dir)
{
    if (!node_is_dir(node))
        return -ENOTDIR; /* it may have many names, or none */
    const struct dentry *dentry = node_dir_dentry(node);
    if (!dentry && node->id != ROOT_ID)
        return -ENOENT;
    if (dentry)
        *ret_dir = dentry->dir;
    return 0;
}

int exec_STAT(struct exec *exec)
{
    struct node *node;
    int rc = exec_node(exec, &exec->request->node, &node);
    if (rc == 0 && exec->request->options & KV_OPT_PARENT)
        rc = directory_above(node, &node);
    if (rc < 0)
        return rc;
    exec_reply_attr(exec, node);
    return 0;
}

/* Makes a node at an empty place and answers with its attributes. */
static int make(struct exec *exec, uint32_t type, uint32_t default_mode, struct bytes value, uint64_t rdev)
{
    struct tree_place place;
    struct node *node;
    int rc = exec_place(exec, &exec->request->node, false, &place);
    if (rc == 0)
        rc = place.node ? -EEXIST : exec_need_parent(&place);
    if (rc == 0)
        rc = exec_create(exec, &place, type, default_mode, value, rdev, &node);
    if (rc < 0)
        return rc;
    exec_reply_attr(exec, node);
    return 0;
}

int exec_CREATE(struct exec *exec)
{
    struct tree_place place;
    struct node *node;
    int rc = exec_place(exec, &exec->request->node, false, &place);
    if (rc == 0)
        rc = exec_need_parent(&place);
    if (rc < 0)
        return rc;
    if (place.node && (exec->request->options & KV_OPT_NX || !node_is_file(place.node)))
        return node_is_dir(place.node) && !(exec->request->options & KV_OPT_NX) ? -EISDIR : -EEXIST;
    node = place.node;
    if (!node && (rc = exec_create(exec, &place, S_IFREG, 0644, (struct bytes){0}, 0, &node)) < 0)
        return rc;
    exec_reply_attr(exec, node);
    return 0;
}

int exec_TMPFILE(struct exec *exec)
{
    struct node *dir, *node;
    int rc = find_directory(exec, &dir);
    if (rc == 0)
        rc = exec_create_unnamed(exec, dir, &node);
    if (rc < 0)
        return rc;
    exec_reply_attr(exec, node);
    return exec_hold(exec, exec->session, node->id);
}

int exec_MKNOD(struct exec *exec)
{
    uint32_t type = exec->request->options & KV_OPT_MODE ? exec->request->mode & S_IFMT : S_IFREG;
    switch (type) {
    case 0:
        type = S_IFREG;
        break;
    case S_IFREG:
    case S_IFIFO:
    case S_IFSOCK:
    case S_IFCHR:
    case S_IFBLK:
        break;
    default:
        return kv_reply_fail(exec->reply, -EINVAL, "mknod: type 0%o is not a file, fifo, socket or device", type);
    }
    return make(exec, type, 0644, (struct bytes){0}, exec->request->options & KV_OPT_RDEV ? exec->request->rdev : 0);
}

int exec_MKDIR(struct exec *exec)
{
    if (!(exec->request->options & KV_OPT_PARENTS))
        return make(exec, S_IFDIR, 0755, (struct bytes){0}, 0);
    struct tree_place place;
    struct node *node;
    int rc = exec_place(exec, &exec->request->node, true, &place);
    if (rc < 0)
        return rc;
    node = place.node;
    if (node && !node_is_dir(node))
        return -EEXIST;
    if (!node) {
        rc = exec_make_parents(exec, &place);
        if (rc == 0)
            rc = exec_create(exec, &place, S_IFDIR, 0755, (struct bytes){0}, 0, &node);
    }
    if (rc < 0)
        return rc;
    exec_reply_attr(exec, node);
    return 0;
}

int exec_SYMLINK(struct exec *exec)
{
    struct bytes target = exec->request->value;
    if (target.len == 0)
        return -ENOENT; /* symlink(2) */
    if (target.len > SYMLINK_BYTES_MAX)
        return -ENAMETOOLONG;
    if (memchr(target.data, '\0', target.len))
        return kv_reply_fail(exec->reply, -EINVAL, "symlink: the target has a NUL byte");
    return make(exec, S_IFLNK, 0777, target, 0);
}

int exec_READLINK(struct exec *exec)
{
    struct node *node;
    int rc = exec_node(exec, &exec->request->node, &node);
    if (rc < 0)
        return rc;
    return S_ISLNK(node->mode) ? exec_reply_value(exec, node, 0, SYMLINK_BYTES_MAX) : -EINVAL;
}

int exec_LINK(struct exec *exec)
{
    struct node *node;
    struct tree_place place;
    int rc = exec_node(exec, &exec->request->node, &node);
    if (rc == 0)
        rc = exec_place(exec, &exec->request->target, false, &place);
    if (rc == 0)
        rc = place.node ? -EEXIST : exec_need_parent(&place);
    if (rc == 0)
        rc = exec_check_key(exec, &place);
    if (rc == 0)
        rc = exec_admit(exec, KEY_BYTES_MAX);
    if (rc < 0)
        return rc;
    struct effect effect = exec_effect(exec, EFFECT_LINK);
    effect.id = node->id;
    effect.found = node;
    effect.dir = place.dir->id;
    effect.name = place.name;
    rc = exec_apply(exec, &effect);
    if (rc < 0)
        return rc;
    exec_reply_attr(exec, effect.ret_node);
    return 0;
}

/* The session keeps a node that lost its last name; the answer is its id, or 0. */
static int reply_held(struct exec *exec, uint64_t id)
{
    bool holds = exec->request->options & KV_OPT_HOLD;
    if (id && holds)
        (void)exec_hold(exec, exec->session, id); /* the name is gone either way */
    exec_reply_uint(exec, holds ? id : 0);
    return 0;
}

/* Empties a directory of what has expired. -ENOTEMPTY as soon as something else is found. */
static int drop_expired_children(struct exec *exec, struct node *dir)
{
    struct dentry *first;
    while (dir_list(node_dir(dir), (struct bytes){0}, &first, 1)) {
        struct node *node = dentry_node(first);
        if (node_expires_ns(node) > exec->now_ns)
            return -ENOTEMPTY;
        int rc = exec_expire(exec, node);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int remove_name(struct exec *exec, enum effect_kind kind)
{
    struct tree_place place;
    int rc = exec_place(exec, &exec->request->node, false, &place);
    if (rc < 0)
        return rc;
    if (!place.node)
        return -ENOENT;
    if (!place.dir)
        return place.node->id == ROOT_ID ? -EBUSY : -EINVAL;
    struct effect effect = exec_effect(exec, kind);
    effect.dir = place.dir->id;
    effect.name = place.name;
    effect.flags = exec->request->options & KV_OPT_HOLD ? EFFECT_HOLD : 0;
    rc = exec_apply(exec, &effect);
    if (rc == -ENOTEMPTY && exec->tree->expiry.count && (rc = drop_expired_children(exec, place.node)) == 0)
        rc = exec_apply(exec, &effect);
    return rc < 0 ? rc : reply_held(exec, effect.ret_held);
}

int exec_UNLINK(struct exec *exec) { return remove_name(exec, EFFECT_UNLINK); }

int exec_RMDIR(struct exec *exec) { return remove_name(exec, EFFECT_RMDIR); }

int exec_RENAME(struct exec *exec)
{
    const struct kv_request *request = exec->request;
    struct tree_place from, to;
    int rc = exec_place(exec, &request->node, false, &from);
    if (rc == 0)
        rc = exec_place(exec, &request->target, false, &to);
    if (rc < 0)
        return rc;
    if (!from.node)
        return -ENOENT;
    if (!from.dir || !to.dir) /* the root, or an id, which has no name to change */
        return from.node->id == ROOT_ID || (to.node && to.node->id == ROOT_ID) ? -EBUSY : -EINVAL;
    rc = exec_need_parent(&to);
    if (rc == 0)
        rc = exec_check_key(exec, &to);
    if (rc < 0)
        return rc;
    struct effect effect = exec_effect(exec, EFFECT_RENAME);
    effect.dir = from.dir->id;
    effect.name = from.name;
    effect.to_dir = to.dir->id;
    effect.to_name = to.name;
    effect.flags = (request->options & KV_OPT_HOLD ? EFFECT_HOLD : 0) |
                   (request->options & KV_OPT_NOREPLACE ? EFFECT_NOREPLACE : 0) |
                   (request->options & KV_OPT_EXCHANGE ? EFFECT_EXCHANGE : 0);
    if ((effect.flags & EFFECT_NOREPLACE) && (effect.flags & EFFECT_EXCHANGE))
        return -EINVAL;
    rc = exec_apply(exec, &effect);
    return rc < 0 ? rc : reply_held(exec, effect.ret_held);
}

/* --- listings --- */

static size_t page_size(const struct kv_request *request, size_t least)
{
    size_t limit = request->options & KV_OPT_LIMIT ? request->limit : LISTING_DEFAULT;
    limit = limit > least ? limit : least;
    return limit < LISTING_MAX ? limit : LISTING_MAX;
}

/* Room for one entry more in the answer, unless its node's time has come. */
static void add_entry(struct exec *exec, struct dentry *dentry, uint64_t cookie, enum kv_entry_shape shape,
                      struct kv_entry *entries, size_t *filled)
{
    const struct node *node = dentry_node(dentry);
    if (node->flags & NODE_EXPIRES && node_expires_ns(node) <= exec->now_ns)
        return;
    struct kv_entry *entry = &entries[(*filled)++];
    entry->name = dentry_name(dentry);
    entry->cookie = cookie;
    if (shape != KV_ENTRY_NAME)
        exec_fill_attr(node, &entry->attr);
}

static void reply_entries(struct exec *exec, struct kv_entry *entries, size_t count, enum kv_entry_shape shape)
{
    exec->reply->kind = KV_REPLY_ENTRIES;
    exec->reply->shape = shape;
    exec->reply->entries = entries;
    exec->reply->count = count;
}

/* Memory for one page of what was found, each so large. */
static void *page(struct exec *exec, size_t max, size_t one_bytes)
{
    struct buf *buf = &exec->store->scratch[1];
    buf->len = 0;
    return buf_reserve(buf, max * one_bytes) == 0 ? buf->data : NULL;
}

int exec_LS(struct exec *exec)
{
    const struct kv_request *request = exec->request;
    struct node *dir;
    int rc = find_directory(exec, &dir);
    if (rc < 0)
        return rc;
    size_t max = page_size(request, 1), filled = 0;
    struct dentry **found = page(exec, max, sizeof *found);
    struct kv_entry *entries = found ? exec_entries(exec, max) : NULL;
    if (!entries)
        return -ENOMEM;
    enum kv_entry_shape shape = request->options & KV_OPT_LONG ? KV_ENTRY_ATTR : KV_ENTRY_NAME;
    struct bytes after = request->options & KV_OPT_AFTER ? request->after : (struct bytes){0};
    for (size_t count = 1; count && !filled;) { /* an empty page would say "the end" */
        count = dir_list(node_dir(dir), after, found, max);
        for (size_t i = 0; i < count; i++)
            add_entry(exec, found[i], 0, shape, entries, &filled);
        if (count)
            after = dentry_name(found[count - 1]);
    }
    reply_entries(exec, entries, filled, shape);
    return 0;
}

/* What the attributes of an entry some places ahead need is fetched meanwhile: nodes lie all over the memory. */
static void fetch_ahead(const struct dir_found *found, size_t i, size_t count)
{
    if (i + EXT_AHEAD < count)
        __builtin_prefetch(node_ext(dentry_node(found[i + EXT_AHEAD].dentry)));
}

int exec_READDIR(struct exec *exec)
{
    struct node *dir;
    int rc = find_directory(exec, &dir);
    if (rc < 0)
        return rc;
    size_t max = page_size(exec->request, COOKIE_GROUP_MIN), filled = 0;
    struct dir_found *found = page(exec, max, sizeof *found);
    struct kv_entry *entries = found ? exec_entries(exec, max) : NULL;
    if (!entries)
        return -ENOMEM;
    uint64_t after = exec->request->cookie;
    for (size_t count = 1; count && !filled;) { /* as in ls */
        count = dir_scan(node_dir(dir), after, found, max);
        for (size_t i = 0; i < count; i++) {
            fetch_ahead(found, i, count);
            add_entry(exec, found[i].dentry, found[i].cookie, KV_ENTRY_COOKIE_ATTR, entries, &filled);
        }
        if (count)
            after = found[count - 1].cookie;
    }
    reply_entries(exec, entries, filled, KV_ENTRY_COOKIE_ATTR);
    return 0;
}
