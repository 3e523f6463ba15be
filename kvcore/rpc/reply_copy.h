/* A reply of one's own: what was borrowed for a callback, kept beyond it. */
#ifndef KV_RPC_REPLY_COPY_H
#define KV_RPC_REPLY_COPY_H

#include "kvcore/base/buf.h"
#include "kvcore/rpc/request.h"

struct reply_copy {
    struct kv_reply reply;
    struct bytes piece;
    void *items; /* the entries or fields */
    struct buf bytes;
};

/* Copies all that `reply` points to, in place of what the copy held before. The pieces become one. -ENOMEM: the copy
 * then holds this error. */
int reply_copy_set(struct reply_copy *copy, const struct kv_reply *reply);

/* Accepts a zeroed struct. */
void reply_copy_close(struct reply_copy *copy);

#endif
