/* Handlers of the operations on keys: what a Redis user expects, on nodes that are files. */
#include "kvcore/base/check.h"
#include "kvcore/base/error.h"
#include "kvcore/server/exec.h"
#include "kvcore/tree/key.h"

#include <stdio.h>

/* The file at a place, made (empty) with its parents when nothing is there. */
static int file_or_new(struct exec *exec, const struct kv_ref *ref, uint64_t offset, uint64_t more_bytes,
                       struct node **ret_node)
{
    struct tree_place place;
    if (offset > VALUE_BYTES_MAX || more_bytes > VALUE_BYTES_MAX - offset) /* before anything is made */
        return -EFBIG;
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
    int rc = exec_admit_write(exec, node, offset, value.len);
    if (rc == 0)
        rc = exec_apply(exec, &effect);
    if (rc == 0)
        *ret_node = effect.ret_node;
    return rc;
}

int exec_set_expiry(struct exec *exec, struct node **node, int64_t expires_ns)
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

int exec_set_at(struct exec *exec, struct tree_place *place, struct bytes value, struct node **ret_node)
{
    int rc;
    if (!place->node) {
        rc = exec_make_parents(exec, place);
        return rc < 0 ? rc : exec_create(exec, place, S_IFREG, 0644, value, 0, ret_node);
    }
    if (!node_is_file(place->node))
        return node_is_dir(place->node) ? -EISDIR : -EINVAL;
    return write_value(exec, EFFECT_SET, place->node, 0, value, ret_node);
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
        rc = exec_set_at(exec, &place, request->value, &node);
    /* As in Redis, a set without a time to live takes an old one away. */
    if (rc == 0 && (expires_ns != INT64_MAX || node->flags & NODE_EXPIRES))
        rc = exec_set_expiry(exec, &node, expires_ns);
    if (rc < 0)
        return rc;
    exec_reply_uint(exec, node->version);
    return 0;
}

int exec_APPEND(struct exec *exec)
{
    struct node *node;
    int rc = file_or_new(exec, &exec->request->node, 0, exec->request->value.len, &node);
    if (rc == 0 && exec->request->value.len)
        rc = write_value(exec, EFFECT_WRITE, node, node_size(node), exec->request->value, &node);
    if (rc < 0)
        return rc;
    exec_reply_uint(exec, node_size(node));
    return 0;
}

static int integer_of(struct exec *exec, const struct node *node, int64_t *ret_number)
{
    struct bytes pieces[2];
    uint64_t bytes;
    size_t count = tree_value(node, 0, INTEGER_BYTES + 1, pieces, 2, &bytes);
    if (bytes == 0) {
        *ret_number = 0;
        return 0;
    }
    if (count != 1 || exec_parse_integer(pieces[0], ret_number) < 0)
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
    char text[INTEGER_BYTES];
    int len = snprintf(text, sizeof text, "%lld", (long long)number);
    rc = exec_set_at(exec, &place, bytes_make(text, (size_t)len), &node);
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
    int rc = file_or_new(exec, &request->node, request->offset, request->value.len, &node);
    if (rc == 0 && request->value.len)
        rc = write_value(exec, EFFECT_WRITE, node, request->offset, request->value, &node);
    if (rc < 0)
        return rc;
    exec_reply_uint(exec, node_size(node));
    return 0;
}

int exec_EXPIRE(struct exec *exec)
{
    struct node *node;
    int64_t expires_ns;
    int rc = exec_node(exec, &exec->request->node, &node);
    if (rc == 0)
        rc = expiry_time(exec, exec->request->ttl_ms, &expires_ns);
    if (rc == 0)
        rc = exec_set_expiry(exec, &node, expires_ns);
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
    if (expires && (rc = exec_set_expiry(exec, &node, INT64_MAX)) < 0)
        return rc;
    exec_reply_bool(exec, expires);
    return 0;
}
