/* Handlers of the operations on what a file holds. */
#include "kvcore/base/error.h"
#include "kvcore/server/exec.h"

int exec_READ(struct exec *exec)
{
    struct node *node;
    int rc = exec_file(exec, &exec->request->node, &node);
    return rc < 0 ? rc : exec_reply_value(exec, node, exec->request->offset, exec->request->length);
}

int exec_admit_write(struct exec *exec, const struct node *node, uint64_t offset, uint64_t length)
{
    uint64_t cost = tree_write_cost(node, offset, length);
    return cost ? exec_admit(exec, cost) : 0;
}

int exec_WRITE(struct exec *exec)
{
    const struct kv_request *request = exec->request;
    struct node *node;
    int rc = exec_file(exec, &request->node, &node);
    if (rc == 0)
        rc = exec_admit_write(exec, node, request->offset, request->value.len);
    if (rc < 0)
        return rc;
    if (request->value.len) {
        struct effect effect = exec_effect(exec, EFFECT_WRITE);
        effect.id = node->id;
        effect.found = node;
        effect.offset = request->offset;
        effect.value = request->value;
        rc = exec_apply(exec, &effect);
        if (rc < 0)
            return rc;
        node = effect.ret_node;
    }
    exec_reply_uint(exec, node_size(node));
    return 0;
}

static bool is_too_long(uint64_t offset, uint64_t length)
{
    return offset > VALUE_BYTES_MAX || length > VALUE_BYTES_MAX - offset;
}

/* The effect of a fallocate on this file, and the memory that has to be free for it. Memory that is asked for is not
 * set aside: that there is enough now is all that is promised. */
static struct effect allocation(const struct exec *exec, const struct node *node, uint64_t *ret_cost)
{
    const struct kv_request *request = exec->request;
    uint64_t size = node_size(node), end = request->offset + request->length;
    bool grows = !(request->options & (KV_OPT_HOLE | KV_OPT_KEEP_SIZE)) && end > size;
    struct effect effect;
    if (request->options & (KV_OPT_HOLE | KV_OPT_ZERO)) {
        effect = exec_effect(exec, EFFECT_PUNCH);
        effect.offset = request->offset;
        effect.length = request->length;
        effect.flags = grows ? EFFECT_EXTEND : 0;
        *ret_cost = tree_cut_cost(node, request->offset) + tree_cut_cost(node, end);
    } else {
        uint64_t stored = node_stored_bytes(node);
        effect = exec_effect(exec, EFFECT_TRUNCATE);
        effect.offset = grows ? end : size;
        *ret_cost = request->length > stored ? request->length - stored : 0;
    }
    return effect;
}

int exec_FALLOCATE(struct exec *exec)
{
    const struct kv_request *request = exec->request;
    struct node *node;
    uint64_t cost;
    int rc = exec_file(exec, &request->node, &node);
    if (rc < 0)
        return rc;
    if (request->length == 0)
        return kv_reply_fail(exec->reply, -EINVAL, "fallocate: the length must not be 0");
    if (request->options & KV_OPT_HOLE && request->options & KV_OPT_ZERO)
        return kv_reply_fail(exec->reply, -EINVAL, "fallocate: hole and zero exclude each other");
    if (is_too_long(request->offset, request->length))
        return -EFBIG;
    struct effect effect = allocation(exec, node, &cost);
    effect.id = node->id;
    effect.found = node;
    rc = cost ? exec_admit(exec, cost) : 0;
    if (rc == 0)
        rc = exec_apply(exec, &effect);
    if (rc < 0)
        return rc;
    exec_reply_uint(exec, node_size(effect.ret_node));
    return 0;
}

int exec_SEEK(struct exec *exec)
{
    const struct kv_request *request = exec->request;
    struct node *node;
    uint64_t offset;
    int rc = exec_file(exec, &request->node, &node);
    if (rc == 0)
        rc = tree_seek(node, request->offset, request->options & KV_OPT_HOLE, &offset);
    if (rc < 0)
        return rc;
    exec_reply_uint(exec, offset);
    return 0;
}

/* How much of a copy is done at once, and the memory that may take. Where memory is shared, only the two ends are
 * copied, beside a pointer for each chunk; the part to be done ends where a chunk does, so that what is left can be
 * shared again. */
static uint64_t copy_part(const struct kv_request *request, uint64_t length, uint64_t *ret_cost)
{
    if (request->offset % CHUNK_BYTES != request->target_offset % CHUNK_BYTES) {
        length = length < COPY_MOVED_MAX ? length : COPY_MOVED_MAX;
        *ret_cost = length + CHUNK_BYTES;
        return length;
    }
    uint64_t most = COPY_BYTES_MAX - request->offset % CHUNK_BYTES;
    length = length < most ? length : most;
    *ret_cost = (length < CHUNK_BYTES ? length : 2 * CHUNK_BYTES) + length / CHUNK_BYTES * 2 * sizeof(void *);
    return length;
}

static int copy(struct exec *exec, uint64_t target_id, uint64_t source_id, uint64_t length)
{
    const struct kv_request *request = exec->request;
    uint64_t cost;
    struct effect effect = exec_effect(exec, EFFECT_COPY);
    effect.id = target_id;
    effect.offset = request->target_offset;
    effect.source = source_id;
    effect.source_offset = request->offset;
    effect.length = copy_part(request, length, &cost);
    int rc = exec_admit(exec, cost);
    if (rc == 0)
        rc = exec_apply(exec, &effect);
    if (rc < 0)
        return rc;
    exec_reply_uint(exec, effect.length);
    return 0;
}

/* copy_file_range(2): up to the end of the source. Whether the ranges overlap is judged by all that was asked for, not
 * by the part that is done at once. */
int exec_COPY(struct exec *exec)
{
    const struct kv_request *request = exec->request;
    uint64_t from = request->offset, to = request->target_offset, length = request->length;
    struct node *target, *source;
    int rc = exec_file(exec, &request->target, &target);
    if (rc < 0)
        return rc;
    uint64_t target_id = target->id;
    rc = exec_file(exec, &request->node, &source); /* the target may have moved from here on */
    if (rc < 0)
        return rc;
    uint64_t size = node_size(source), left = from < size ? size - from : 0;
    length = length < left ? length : left;
    if (length == 0) {
        exec_reply_uint(exec, 0);
        return 0;
    }
    if (is_too_long(to, length))
        return -EFBIG;
    if (source->id == target_id && from < to + length && to < from + length)
        return kv_reply_fail(exec->reply, -EINVAL, "copy: the two ranges of the file overlap");
    return copy(exec, target_id, source->id, length);
}

/* The wait is the answer's (set_wait): all that was changed so far, of this node and of any other, is safe by then. */
int exec_SYNC(struct exec *exec)
{
    struct node *node;
    return exec_node(exec, &exec->request->node, &node);
}
