/* Handlers of the operations on nodes: attributes, extended attributes; what they hold is in exec_data.c. */
#include "kvcore/base/error.h"
#include "kvcore/server/exec.h"
#include "kvcore/tree/xattr.h"

#include <stdio.h>

/* Virtual xattrs: what the store knows of a node. They are readable on every node, and not listed, so that `cp -a` does
 * not try to copy them. */
#define XATTR_TTL     "user.kv.ttl"
#define XATTR_VERSION "user.kv.version"
#define XATTR_SLOT    "user.kv.slot"
#define XATTR_PREFIX  "user.kv."

static int truncate_to(struct exec *exec, struct node **node, uint64_t size)
{
    struct effect effect = exec_effect(exec, EFFECT_TRUNCATE);
    effect.id = (*node)->id;
    effect.found = *node;
    effect.offset = size;
    uint64_t cost = tree_cut_cost(*node, size);
    int rc = cost ? exec_admit(exec, cost) : 0;
    if (rc == 0)
        rc = exec_apply(exec, &effect);
    if (rc == 0)
        *node = effect.ret_node;
    return rc;
}

int exec_SETATTR(struct exec *exec)
{
    const struct kv_request *request = exec->request;
    struct node *node;
    int rc = exec_node(exec, &request->node, &node);
    if (rc == 0 && request->options & KV_OPT_SIZE)
        rc = truncate_to(exec, &node, request->size);
    if (rc == 0 && request->options & KV_OPT_MODE)
        rc = exec_chmod_acl(exec, &node, request->mode);
    if (rc < 0)
        return rc;
    struct effect effect = exec_effect(exec, EFFECT_ATTR);
    effect.id = node->id;
    effect.found = node;
    effect.mode = request->mode;
    effect.uid = request->uid;
    effect.gid = request->gid;
    effect.atime_ns = request->options & KV_OPT_ATIME_NOW ? exec->now_ns : request->atime_ns;
    effect.mtime_ns = request->options & KV_OPT_MTIME_NOW ? exec->now_ns : request->mtime_ns;
    effect.mask = (request->options & KV_OPT_MODE ? EFFECT_MODE : 0) |
                  (request->options & KV_OPT_UID ? EFFECT_UID : 0) | (request->options & KV_OPT_GID ? EFFECT_GID : 0) |
                  (request->options & (KV_OPT_ATIME | KV_OPT_ATIME_NOW) ? EFFECT_ATIME : 0) |
                  (request->options & (KV_OPT_MTIME | KV_OPT_MTIME_NOW) ? EFFECT_MTIME : 0);
    if (effect.mask || !(request->options & KV_OPT_SIZE)) { /* of nothing too: chown(2) to nobody moves the ctime */
        rc = exec_apply(exec, &effect);
        if (rc < 0)
            return rc;
        node = effect.ret_node;
    }
    exec_reply_attr(exec, node);
    return 0;
}

int exec_RELEASE(struct exec *exec)
{
    struct radix *held = &exec->session->held;
    for (size_t i = 0; i < exec->request->node_count; i++) {
        uint64_t id = exec->request->nodes[i].id;
        uintptr_t times = exec->request->nodes[i].kind == KV_REF_ID ? (uintptr_t)radix_find(held, id) : 0;
        if (times == 0)
            continue; /* sent twice: the second has nothing to do */
        if (times == 1)
            radix_remove(held, &exec->tree->mem, id);
        else
            radix_set(held, &exec->tree->mem, id, (void *)(times - 1));
        struct effect effect = exec_effect(exec, EFFECT_RELEASE);
        effect.id = id;
        int rc = exec_apply(exec, &effect);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* --- extended attributes --- */

static int reply_number(struct exec *exec, unsigned long long number)
{
    struct buf *text = &exec->store->scratch[1];
    text->len = 0;
    int rc = buf_printf(text, "%llu", number);
    return rc < 0 ? rc : exec_reply_bytes(exec, buf_bytes(text));
}

static int get_virtual(struct exec *exec, const struct node *node, struct bytes name)
{
    if (bytes_equal(name, bytes_of(XATTR_VERSION)))
        return reply_number(exec, node->version);
    if (bytes_equal(name, bytes_of(XATTR_SLOT)))
        return reply_number(exec, tree_slot_of(exec->tree, node));
    if (bytes_equal(name, bytes_of(XATTR_TTL)) && node->flags & NODE_EXPIRES)
        return reply_number(exec,
                            (unsigned long long)((node_expires_ns(node) - exec->now_ns + 999999999) / 1000000000));
    return -ENODATA;
}

static bool is_virtual(struct bytes name)
{
    return name.len >= strlen(XATTR_PREFIX) && memcmp(name.data, XATTR_PREFIX, strlen(XATTR_PREFIX)) == 0;
}

/* Seconds from now, as text. */
static int set_virtual(struct exec *exec, struct node *node, struct bytes name, struct bytes value)
{
    if (!bytes_equal(name, bytes_of(XATTR_TTL)))
        return kv_reply_fail(exec->reply, -EPERM, "setxattr: '%.*s' cannot be set", (int)name.len, name.data);
    int64_t seconds;
    if (exec_parse_integer(value, &seconds) < 0)
        return kv_reply_fail(exec->reply, -EINVAL, "setxattr: " XATTR_TTL " takes a count of seconds");
    struct effect effect = exec_effect(exec, EFFECT_EXPIRE);
    effect.id = node->id;
    effect.found = node;
    if (__builtin_mul_overflow(seconds, 1000000000, &seconds) ||
        __builtin_add_overflow(seconds, exec->now_ns, &effect.expires_ns) || effect.expires_ns == INT64_MAX)
        return kv_reply_fail(exec->reply, -EINVAL, "setxattr: " XATTR_TTL ": the time is out of range");
    return exec_apply(exec, &effect);
}

static int check_xattr_name(struct bytes name)
{
    if (name.len == 0 || memchr(name.data, '\0', name.len))
        return -EINVAL;
    return name.len > XATTR_NAME_BYTES_MAX ? -ERANGE : 0;
}

int exec_GETXATTR(struct exec *exec)
{
    struct node *node;
    struct bytes value, name = exec->request->name;
    int rc = check_xattr_name(name);
    if (rc == 0)
        rc = exec_node(exec, &exec->request->node, &node);
    if (rc < 0)
        return rc;
    if (is_virtual(name))
        return get_virtual(exec, node, name);
    const struct node_ext *ext = node_ext(node);
    if (!ext || !xattrs_get(ext->xattrs, name, &value))
        return -ENODATA;
    return exec_reply_bytes(exec, value);
}

int exec_SETXATTR(struct exec *exec)
{
    const struct kv_request *request = exec->request;
    struct node *node;
    struct bytes old;
    int rc = check_xattr_name(request->name);
    if (rc == 0)
        rc = exec_node(exec, &request->node, &node);
    if (rc < 0)
        return rc;
    if (request->value.len > XATTR_VALUE_BYTES_MAX)
        return -E2BIG;
    if (is_virtual(request->name))
        return set_virtual(exec, node, request->name, request->value);
    const struct node_ext *ext = node_ext(node);
    bool there = ext && xattrs_get(ext->xattrs, request->name, &old);
    if (request->options & KV_OPT_NX && there)
        return -EEXIST;
    if (request->options & KV_OPT_XX && !there)
        return -ENODATA;
    rc = exec_admit(exec, request->name.len + request->value.len);
    if (rc < 0)
        return rc;
    if (exec_is_acl(request->name))
        return exec_set_acl(exec, node, request->name, request->value);
    struct effect effect = exec_effect(exec, EFFECT_SET_XATTR);
    effect.id = node->id;
    effect.found = node;
    effect.name = request->name;
    effect.value = request->value;
    return exec_apply(exec, &effect);
}

int exec_LISTXATTR(struct exec *exec)
{
    struct node *node;
    int rc = exec_node(exec, &exec->request->node, &node);
    if (rc < 0)
        return rc;
    const struct xattrs *xattrs = node_ext(node) ? node_ext(node)->xattrs : NULL;
    struct bytes name, value;
    size_t count = 0, at = 0;
    while (xattrs_next(xattrs, &at, &name, &value))
        count++;
    struct kv_entry *entries = exec_entries(exec, count);
    if (!entries)
        return -ENOMEM;
    at = 0;
    for (size_t i = 0; xattrs_next(xattrs, &at, &name, &value); i++)
        entries[i].name = name;
    exec->reply->kind = KV_REPLY_ENTRIES;
    exec->reply->shape = KV_ENTRY_NAME;
    exec->reply->entries = entries;
    exec->reply->count = count;
    return 0;
}

int exec_REMOVEXATTR(struct exec *exec)
{
    struct node *node;
    int rc = check_xattr_name(exec->request->name);
    if (rc == 0)
        rc = exec_node(exec, &exec->request->node, &node);
    if (rc < 0)
        return rc;
    if (is_virtual(exec->request->name)) {
        if (!bytes_equal(exec->request->name, bytes_of(XATTR_TTL)))
            return -EPERM;
        return node->flags & NODE_EXPIRES ? exec_set_expiry(exec, &node, INT64_MAX) : -ENODATA;
    }
    struct effect effect = exec_effect(exec, EFFECT_REMOVE_XATTR);
    effect.id = node->id;
    effect.found = node;
    effect.name = exec->request->name;
    return exec_apply(exec, &effect);
}
