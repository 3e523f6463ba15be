/* Handlers of the operations on many keys. */
#include "kvcore/base/error.h"
#include "kvcore/server/exec.h"
#include "kvcore/tree/key.h"

#include <stdlib.h>

static int del_one(struct exec *exec, const struct kv_ref *ref, uint64_t *count)
{
    struct tree_place place;
    int rc = exec_place(exec, ref, false, &place);
    if (rc < 0)
        return rc == -ENOTDIR || rc == -ESTALE ? 0 : rc; /* below a file, or gone: nothing is there to delete */
    if (!place.node)
        return 0;
    if (node_is_dir(place.node))
        return kv_reply_fail(exec->reply, -EISDIR, "del: '%.*s' is a directory; use rmdir", (int)ref->name.len,
                             ref->name.data ? ref->name.data : "");
    if (!place.dir)
        return kv_reply_fail(exec->reply, -EINVAL, "del: takes a name, not an id");
    struct effect effect = exec_effect(exec, EFFECT_UNLINK);
    effect.dir = place.dir->id;
    effect.name = place.name;
    rc = exec_apply(exec, &effect);
    *count += rc == 0;
    return rc;
}

int exec_DEL(struct exec *exec)
{
    uint64_t count = 0;
    for (size_t i = 0; i < exec->request->node_count; i++) {
        int rc = del_one(exec, &exec->request->nodes[i], &count);
        if (rc < 0)
            return rc;
    }
    exec_reply_uint(exec, count);
    return 0;
}

int exec_EXISTS(struct exec *exec)
{
    uint64_t count = 0;
    for (size_t i = 0; i < exec->request->node_count; i++) {
        struct node *node;
        int rc = exec_node(exec, &exec->request->nodes[i], &node);
        if (rc < 0 && rc != -ENOENT && rc != -ENOTDIR && rc != -ESTALE)
            return rc;
        count += rc == 0;
    }
    exec_reply_uint(exec, count);
    return 0;
}

/* Commands of many keys work within one slot, so that they mean the same on one node and in a cluster. */
static int check_one_slot(struct exec *exec)
{
    const struct kv_request *request = exec->request;
    unsigned slot = request->node_count ? exec_slot(exec, &request->nodes[0]) : 0;
    for (size_t i = 1; i < request->node_count; i++)
        if (exec_slot(exec, &request->nodes[i]) != slot)
            return kv_reply_fail(exec->reply, KV_CROSSSLOT,
                                 "%s: the keys lie in different slots; keys of one slot have the same first component, "
                                 "or the same {tag} in it",
                                 kv_op_info(request->op)->name);
    return 0;
}

/* The file that a key leads to; NULL where mget answers nil: nothing, or something without a value. Only a key that is
 * none at all is an error. */
static int find_value(struct exec *exec, const struct kv_ref *ref, struct node **ret_node)
{
    struct tree_place place;
    int rc = exec_place(exec, ref, true, &place);
    *ret_node = NULL;
    if (rc == -EINVAL || rc == -ENAMETOOLONG || rc == -ENOMEM)
        return rc;
    exec->reply->error = 0; /* the reason why there is no value is not asked for */
    if (rc == 0 && place.node && node_is_file(place.node))
        *ret_node = place.node;
    return 0;
}

static int copy_value(struct buf *text, const struct node *node)
{
    struct bytes pieces[64];
    uint64_t bytes;
    int rc = buf_reserve(text, node_size(node));
    for (uint64_t at = 0; rc == 0 && at < node_size(node); at += bytes) {
        size_t count = tree_value(node, at, UINT64_MAX, pieces, 64, &bytes);
        for (size_t i = 0; rc == 0 && i < count; i++)
            rc = buf_append(text, pieces[i].data, pieces[i].len);
    }
    return rc;
}

/* The values are copied together, since each may lie in many pieces. */
int exec_MGET(struct exec *exec)
{
    const struct kv_request *request = exec->request;
    struct buf *text = &exec->store->scratch[1];
    struct kv_entry *entries = exec_entries(exec, request->node_count);
    int rc = entries ? check_one_slot(exec) : -ENOMEM;
    text->len = 0;
    for (size_t i = 0; rc == 0 && i < request->node_count; i++) {
        struct node *node;
        rc = find_value(exec, &request->nodes[i], &node);
        if (rc < 0 || !node)
            continue;
        if (node_size(node) > READ_BYTES_MAX - text->len)
            return kv_reply_fail(exec->reply, -EFBIG,
                                 "mget: the values are too long for one message (at most %u bytes)", READ_BYTES_MAX);
        entries[i] = (struct kv_entry){.present = true, .cookie = text->len, .name.len = node_size(node)};
        rc = copy_value(text, node);
    }
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < request->node_count; i++)
        if (entries[i].present)
            entries[i].name.data = text->data ? text->data + entries[i].cookie : "";
    exec->reply->kind = KV_REPLY_VALUES;
    exec->reply->entries = entries;
    exec->reply->count = request->node_count;
    return 0;
}

/* Would a set of this key be refused as the tree stands? */
static int check_settable(struct exec *exec, const struct kv_ref *ref, struct bytes value, uint64_t *more_bytes)
{
    struct tree_place place;
    int rc = exec_place(exec, ref, true, &place);
    if (rc < 0)
        return rc;
    if (place.node && !node_is_file(place.node))
        return node_is_dir(place.node) ? -EISDIR : -EINVAL;
    *more_bytes += value.len + KEY_BYTES_MAX;
    return 0;
}

static int compare_keys(const void *a, const void *b)
{
    return bytes_compare(*(const struct bytes *)a, *(const struct bytes *)b);
}

/* Is one of the keys a directory above another? Each alone could be set, but not both. */
static int check_apart(struct exec *exec)
{
    const struct kv_request *request = exec->request;
    struct buf *rows = &exec->store->scratch[0];
    rows->len = 0;
    if (buf_reserve(rows, request->node_count * sizeof(struct bytes)) < 0)
        return -ENOMEM;
    struct bytes *keys = (struct bytes *)rows->data;
    for (size_t i = 0; i < request->node_count; i++)
        keys[i] = request->nodes[i].kind == KV_REF_KEY ? request->nodes[i].name : (struct bytes){0};
    qsort(keys, request->node_count, sizeof *keys, compare_keys);
    for (size_t i = 0; i < request->node_count; i++)
        for (size_t len = 1; len < keys[i].len; len++) {
            struct bytes above = {keys[i].data, len};
            if (keys[i].data[len] == '/' && bsearch(&above, keys, request->node_count, sizeof *keys, compare_keys))
                return kv_reply_fail(exec->reply, -EISDIR, "mset: '%.*s' cannot be a value and a directory", (int)len,
                                     above.data);
        }
    return 0;
}

/* What the keys and the store show is refused first, so that all keys change or none. That two refs reach one place by
 * different names, one of them below the other, is not seen until then. */
int exec_MSET(struct exec *exec)
{
    const struct kv_request *request = exec->request;
    uint64_t more_bytes = 0;
    int rc = check_one_slot(exec);
    for (size_t i = 0; rc == 0 && i < request->node_count; i++)
        rc = check_settable(exec, &request->nodes[i], request->values[i], &more_bytes);
    if (rc == 0)
        rc = check_apart(exec);
    if (rc == 0)
        rc = exec_admit(exec, more_bytes);
    for (size_t i = 0; rc == 0 && i < request->node_count; i++) {
        struct tree_place place;
        struct node *node;
        rc = exec_place(exec, &request->nodes[i], true, &place);
        if (rc == 0)
            rc = exec_set_at(exec, &place, request->values[i], &node);
        if (rc == 0 && node->flags & NODE_EXPIRES)
            rc = exec_set_expiry(exec, &node, INT64_MAX);
    }
    return rc;
}
