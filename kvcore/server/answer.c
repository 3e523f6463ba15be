#include "kvcore/base/error.h"
#include "kvcore/server/exec.h"

void exec_reply_uint(struct exec *exec, uint64_t number)
{
    exec->reply->kind = KV_REPLY_UINT;
    exec->reply->uint = number;
}

void exec_reply_bool(struct exec *exec, bool yes)
{
    exec->reply->kind = KV_REPLY_BOOL;
    exec->reply->uint = yes;
}

void exec_reply_int(struct exec *exec, int64_t number)
{
    exec->reply->kind = KV_REPLY_INT;
    exec->reply->integer = number;
}

void exec_fill_attr(const struct node *node, struct kv_attr *ret_attr)
{
    const struct node_ext *ext = node_ext(node);
    bool device = S_ISBLK(node->mode) || S_ISCHR(node->mode);
    *ret_attr = (struct kv_attr){
        .id = node->id,
        .version = node->version,
        .mode = node->mode,
        .uid = node->uid,
        .gid = node->gid,
        .nlink = node_nlink(node),
        .size = node_size(node),
        .stored = node_stored_bytes(node),
        .atime_ns = node_atime_ns(node),
        .mtime_ns = node->mtime_ns,
        .ctime_ns = node_ctime_ns(node),
        .btime_ns = node->btime_ns,
        .rdev = device ? ext->rdev : 0,
        .expires_ns = node->flags & NODE_EXPIRES ? ext->expires_ns : 0,
    };
}

void exec_reply_attr(struct exec *exec, const struct node *node)
{
    exec->reply->kind = KV_REPLY_ATTR;
    exec_fill_attr(node, &exec->reply->attr);
}

/* The first scratch buffer as room for `bytes`. */
static void *scratch(struct exec *exec, size_t bytes)
{
    struct buf *buf = &exec->store->scratch[0];
    buf->len = 0;
    return buf_reserve(buf, bytes) == 0 ? buf->data : NULL;
}

struct kv_entry *exec_entries(struct exec *exec, size_t count)
{
    struct kv_entry *entries = scratch(exec, (count ? count : 1) * sizeof *entries);
    if (entries)
        memset(entries, 0, count * sizeof *entries);
    return entries;
}

int exec_reply_value(struct exec *exec, const struct node *node, uint64_t offset, uint64_t length)
{
    uint64_t size = node_size(node), left = offset < size ? size - offset : 0;
    length = length < left ? length : left;
    if (length > READ_BYTES_MAX)
        return kv_reply_fail(exec->reply, -EFBIG,
                             "%s: %llu bytes are too many for one message (at most %u); read the value in pieces",
                             kv_op_info(exec->request->op)->name, (unsigned long long)length, READ_BYTES_MAX);
    size_t max = 2 * ((size_t)(length / CHUNK_BYTES) + 2); /* data and zeros of each chunk */
    struct bytes *pieces = scratch(exec, max * sizeof *pieces);
    if (!pieces)
        return -ENOMEM;
    exec->reply->kind = KV_REPLY_BYTES;
    exec->reply->count = tree_value(node, offset, length, pieces, max, &exec->reply->bytes);
    exec->reply->pieces = pieces;
    return 0;
}

int exec_reply_bytes(struct exec *exec, struct bytes bytes)
{
    struct bytes *piece = scratch(exec, sizeof *piece);
    if (!piece)
        return -ENOMEM;
    *piece = bytes;
    exec->reply->kind = KV_REPLY_BYTES;
    exec->reply->pieces = piece;
    exec->reply->count = 1;
    exec->reply->bytes = bytes.len;
    return 0;
}
