/* The one message that a server sends unasked: `recall`, by which leases end (docs/protocol.md, "Leases").
 *
 *   [2, "recall", [ticket, change, change, ...]]       change: [id] | [id, true] | [id, name] | [id, nil]
 */
#ifndef KV_RPC_RECALL_H
#define KV_RPC_RECALL_H

#include "kvcore/base/buf.h"

enum kv_change_kind {
    KV_CHANGE_ATTR,  /* [id]: a node's attributes */
    KV_CHANGE_DATA,  /* [id, true]: and its bytes, or a directory's listing */
    KV_CHANGE_ENTRY, /* [id, name]: what a name in this directory leads to */
    KV_CHANGE_ALL,   /* [id, nil]: all of it, and every entry in it */
};

/* One thing to forget. */
struct kv_change {
    uint64_t id;
    enum kv_change_kind kind;
    struct bytes name; /* ENTRY */
};

struct kv_recall {
    uint64_t ticket;
    const struct kv_change *changes;
    size_t count;
};

/* Appends one change, encoded. -ENOMEM; nothing is appended then. */
int recall_add(struct buf *changes, const struct kv_change *change);

/* Appends the message with the `count` changes that recall_add has gathered. -ENOMEM; nothing is appended then. */
int recall_encode(struct buf *out, uint64_t ticket, const struct buf *changes, size_t count);

#endif
