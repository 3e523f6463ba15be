/* Handlers of the operations on keys: what a Redis user expects, on nodes that are files. */
#include "kvcore/base/check.h"
#include "kvcore/base/error.h"
#include "kvcore/server/exec.h"
#include "kvcore/tree/key.h"

#include <stdio.h>

/* Room for a decimal int64 and its sign. */
enum { NUMBER_BYTES = 24 };

/* The file at a place, made (empty) with its parents when nothing is there. */
static int file_or_new(struct exec *exec, const struct kv_ref *ref, uint64_t more_bytes, struct node **ret_node)
{
    struct tree_place place;
    int rc = exec_place(exec, ref, true, &place);
    if (rc == 0)
        rc = exec_admit(exec, more_bytes);
    if (rc < 0)
        return rc;
    if (!place.node) {
        rc = exec_make_parents(exec, &place);
        return rc < 0 ? rc : exec_create(exec, &place, S_IFREG, 0644, (struct bytes){0}, 0, ret_node);
    }
    if (!node_is_file(place.node))
        return node_is_dir(place.node) ? -EISDIR : -EINVAL;
    *ret_node = place.node;
    return 0;
}

static int write_value(struct exec *exec, enum effect_kind kind, struct node *node, uint64_t offset, struct bytes value,
                       struct node **ret_node)
{
    struct effect effect = exec_effect(exec, kind);
    effect.id = node->id;
    effect.found = node;
    effect.offset = offset;
    effect.value = value;
    int rc = exec_apply(exec, &effect);
    if (rc == 0)
        *ret_node = effect.ret_node;
    return rc;
}

static int set_expiry(struct exec *exec, struct node **node, int64_t expires_ns)
{
    struct effect effect = exec_effect(exec, EFFECT_EXPIRE);
    effect.id = (*node)->id;
    effect.found = *node;
    effect.expires_ns = expires_ns;
    int rc = exec_apply(exec, &effect);
    if (rc == 0)
        *node = effect.ret_node;
    return rc;
}

/* When `ttl_ms` from now is; -EINVAL beyond what a time can hold. */
static int expiry_time(struct exec *exec, int64_t ttl_ms, int64_t *ret_ns)
{
    int64_t ns;
    if (__builtin_mul_overflow(ttl_ms, 1000000, &ns) || __builtin_add_overflow(ns, exec->now_ns, &ns) ||
        ns == INT64_MAX)
        return kv_reply_fail(exec->reply, -EINVAL, "%s: a time to live of %lld ms is out of range",
                             kv_op_info(exec->request->op)->name, (long long)ttl_ms);
    *ret_ns = ns;
    return 0;
}

int exec_GET(struct exec *exec)
{
    struct node *node;
    int rc = exec_file(exec, &exec->request->node, &node);
    return rc < 0 ? rc : exec_reply_value(exec, node, 0, UINT64_MAX);
}

/* May `set` go on, as its options nx, xx and if_version say? */
static int check_set(struct exec *exec, const struct node *node)
{
    const struct kv_request *request = exec->request;
    if (request->options & KV_OPT_NX && node)
        return -EEXIST;
    if (request->options & KV_OPT_XX && !node)
        return -ENOENT;
    if (!(request->options & KV_OPT_IF_VERSION))
        return 0;
    uint64_t version = node ? node->version : 0;
    if (version == request->if_version)
        return 0;
    return kv_reply_fail(exec->reply, KV_VERSION, "set: the version is %llu, not %llu", (unsigned long long)version,
                         (unsigned long long)request->if_version);
}

static int set_at(struct exec *exec, struct tree_place *place, struct bytes value, struct node **ret_node)
{
    int rc;
    if (!place->node) {
        rc = exec_make_parents(exec, place);
        return rc < 0 ? rc : exec_create(exec, place, S_IFREG, 0644, value, 0, ret_node);
    }
    if (!node_is_file(place->node))
        return node_is_dir(place->node) ? -EISDIR : -EINVAL;
    rc = exec_admit(exec, value.len);
    return rc < 0 ? rc : write_value(exec, EFFECT_SET, place->node, 0, value, ret_node);
}

int exec_SET(struct exec *exec)
{
    const struct kv_request *request = exec->request;
    struct tree_place place;
    struct node *node;
    int64_t expires_ns = INT64_MAX;
    int rc = exec_place(exec, &request->node, true, &place);
    if (rc == 0)
        rc = check_set(exec, place.node);
    if (rc == 0 && request->options & KV_OPT_TTL)
        rc = expiry_time(exec, request->ttl_ms, &expires_ns);
    if (rc == 0)
        rc = set_at(exec, &place, request->value, &node);
    /* As in Redis, a set without a time to live takes an old one away. */
    if (rc == 0 && (expires_ns != INT64_MAX || node->flags & NODE_EXPIRES))
        rc = set_expiry(exec, &node, expires_ns);
    if (rc < 0)
        return rc;
    exec_reply_uint(exec, node->version);
    return 0;
}

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

int exec_APPEND(struct exec *exec)
{
    struct node *node;
    int rc = file_or_new(exec, &exec->request->node, exec->request->value.len, &node);
    if (rc == 0 && exec->request->value.len)
        rc = write_value(exec, EFFECT_WRITE, node, node_size(node), exec->request->value, &node);
    if (rc < 0)
        return rc;
    exec_reply_uint(exec, node_size(node));
    return 0;
}

/* A decimal integer and nothing else; one newline at the end is forgiven, since `echo 5 > counter` writes one. */
static int parse_integer(struct bytes text, int64_t *ret_number)
{
    size_t at = 0;
    if (text.len && text.data[text.len - 1] == '\n')
        text.len--;
    bool negative = text.len && text.data[0] == '-';
    at += negative;
    if (at == text.len || text.len > NUMBER_BYTES)
        return -EINVAL;
    int64_t number = 0;
    for (; at < text.len; at++) {
        int digit = text.data[at] - '0';
        if (digit < 0 || digit > 9 || __builtin_mul_overflow(number, 10, &number) ||
            __builtin_sub_overflow(number, digit, &number)) /* downwards: INT64_MIN has no positive twin */
            return -EINVAL;
    }
    if (!negative && __builtin_sub_overflow(0, number, &number))
        return -EINVAL;
    *ret_number = number;
    return 0;
}

static int integer_of(struct exec *exec, const struct node *node, int64_t *ret_number)
{
    struct bytes pieces[2];
    uint64_t bytes;
    size_t count = tree_value(node, 0, NUMBER_BYTES + 1, pieces, 2, &bytes);
    if (bytes == 0) {
        *ret_number = 0;
        return 0;
    }
    if (count != 1 || parse_integer(pieces[0], ret_number) < 0)
        return kv_reply_fail(exec->reply, -EINVAL, "incr: the value is not a 64-bit integer");
    return 0;
}

int exec_INCR(struct exec *exec)
{
    const struct kv_request *request = exec->request;
    struct tree_place place;
    struct node *node;
    int64_t number = 0;
    int rc = exec_place(exec, &request->node, true, &place);
    if (rc < 0)
        return rc;
    if (place.node && !node_is_file(place.node))
        return node_is_dir(place.node) ? -EISDIR : -EINVAL;
    if (place.node && (rc = integer_of(exec, place.node, &number)) < 0)
        return rc;
    if (__builtin_add_overflow(number, request->delta, &number))
        return kv_reply_fail(exec->reply, -ERANGE, "incr: the result does not fit 64 bits");
    char text[NUMBER_BYTES];
    int len = snprintf(text, sizeof text, "%lld", (long long)number);
    rc = set_at(exec, &place, bytes_make(text, (size_t)len), &node);
    if (rc < 0)
        return rc;
    exec_reply_int(exec, number);
    return 0;
}

int exec_GETRANGE(struct exec *exec)
{
    struct node *node;
    int rc = exec_file(exec, &exec->request->node, &node);
    if (rc < 0)
        return rc;
    int64_t size = (int64_t)node_size(node), first = exec->request->first, last = exec->request->last;
    if (first < 0)
        first = first + size > 0 ? first + size : 0;
    if (last < 0)
        last += size;
    last = last < size ? last : size - 1;
    return exec_reply_value(exec, node, (uint64_t)first, first <= last ? (uint64_t)(last - first) + 1 : 0);
}

int exec_SETRANGE(struct exec *exec)
{
    const struct kv_request *request = exec->request;
    struct node *node;
    int rc = file_or_new(exec, &request->node, request->value.len, &node);
    if (rc == 0 && request->value.len)
        rc = write_value(exec, EFFECT_WRITE, node, request->offset, request->value, &node);
    if (rc < 0)
        return rc;
    exec_reply_uint(exec, node_size(node));
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

int exec_MGET(struct exec *exec)
{
    const struct kv_request *request = exec->request;
    struct buf *text = &exec->store->scratch[1];
    struct kv_entry *entries = exec_entries(exec, request->node_count);
    if (!entries)
        return -ENOMEM;
    int rc = check_one_slot(exec);
    if (rc < 0)
        return rc;
    text->len = 0;
    uint64_t total = 0;
    for (size_t i = 0; i < request->node_count; i++) {
        struct node *node;
        rc = exec_file(exec, &request->nodes[i], &node);
        if (rc == -ENOENT || rc == -ENOTDIR || rc == -ESTALE || rc == -EISDIR || rc == -EINVAL)
            continue; /* as in Redis: what is not a value is nil */
        if (rc < 0)
            return rc;
        total += node_size(node);
        if (total > READ_BYTES_MAX)
            return kv_reply_fail(exec->reply, -EFBIG,
                                 "mget: the values are too long for one message (at most %u bytes)", READ_BYTES_MAX);
        entries[i].present = true;
        entries[i].cookie = text->len;
        struct bytes pieces[64];
        uint64_t bytes;
        for (uint64_t at = 0; at < node_size(node); at += bytes) {
            size_t count = tree_value(node, at, UINT64_MAX, pieces, 64, &bytes);
            for (size_t piece = 0; piece < count; piece++)
                if ((rc = buf_append(text, pieces[piece].data, pieces[piece].len)) < 0)
                    return rc;
        }
        entries[i].name.len = node_size(node);
    }
    for (size_t i = 0; i < request->node_count; i++)
        if (entries[i].present)
            entries[i].name.data = text->data ? text->data + entries[i].cookie : "";
    exec->reply->kind = KV_REPLY_VALUES;
    exec->reply->entries = entries;
    exec->reply->count = request->node_count;
    return 0;
}

/* Would a set of this key be refused? So that mset changes all or nothing. */
static int check_settable(struct exec *exec, const struct kv_ref *ref, uint64_t *more_bytes, struct bytes value)
{
    struct tree_place place;
    int rc = exec_place(exec, ref, true, &place);
    if (rc < 0)
        return rc;
    if (place.node && !node_is_file(place.node))
        return node_is_dir(place.node) ? -EISDIR : -EINVAL;
    *more_bytes += value.len + 512;
    return 0;
}

int exec_MSET(struct exec *exec)
{
    const struct kv_request *request = exec->request;
    uint64_t more_bytes = 0;
    int rc = check_one_slot(exec);
    for (size_t i = 0; rc == 0 && i < request->node_count; i++)
        rc = check_settable(exec, &request->nodes[i], &more_bytes, request->values[i]);
    if (rc == 0)
        rc = exec_admit(exec, more_bytes);
    for (size_t i = 0; rc == 0 && i < request->node_count; i++) {
        struct tree_place place;
        struct node *node;
        rc = exec_place(exec, &request->nodes[i], true, &place);
        if (rc == 0)
            rc = set_at(exec, &place, request->values[i], &node);
        if (rc == 0 && node->flags & NODE_EXPIRES)
            rc = set_expiry(exec, &node, INT64_MAX);
    }
    return rc;
}

int exec_EXPIRE(struct exec *exec)
{
    struct node *node;
    int64_t expires_ns;
    int rc = exec_file(exec, &exec->request->node, &node);
    if (rc == 0)
        rc = expiry_time(exec, exec->request->ttl_ms, &expires_ns);
    if (rc == 0)
        rc = set_expiry(exec, &node, expires_ns);
    if (rc < 0)
        return rc;
    exec_reply_bool(exec, true);
    return 0;
}

int exec_TTL(struct exec *exec)
{
    struct node *node;
    int rc = exec_node(exec, &exec->request->node, &node);
    if (rc < 0)
        return rc;
    int64_t expires_ns = node_expires_ns(node);
    exec_reply_int(exec, expires_ns == INT64_MAX ? -1 : (expires_ns - exec->now_ns) / 1000000);
    return 0;
}

int exec_PERSIST(struct exec *exec)
{
    struct node *node;
    int rc = exec_node(exec, &exec->request->node, &node);
    if (rc < 0)
        return rc;
    bool expires = node->flags & NODE_EXPIRES;
    if (expires && (rc = set_expiry(exec, &node, INT64_MAX)) < 0)
        return rc;
    exec_reply_bool(exec, expires);
    return 0;
}
