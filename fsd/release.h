/* Nodes that the store holds for us and the kernel has forgotten: told to the store in batches, one on its way at a
 * time. A batch that fails is not repeated: either the store has ended the session, and with it the holds, or the
 * holds last until it does.
 */
#ifndef KV_FSD_RELEASE_H
#define KV_FSD_RELEASE_H

#include "kvcore/rpc/backend.h"

struct releases {
    struct kv_call call; /* first: what the backend hands back */
    struct backend *backend;
    struct kv_ref *nodes;
    size_t count, capacity;
    bool under_way;
};

/* Borrows the backend. */
void releases_init(struct releases *releases, struct backend *backend);
/* Nothing may be under way. */
void releases_close(struct releases *releases);

/* Puts a node into the next batch. */
void releases_add(struct releases *releases, uint64_t id);
/* Sends the batch, if there is one and none is on its way. */
void releases_send(struct releases *releases);

#endif
