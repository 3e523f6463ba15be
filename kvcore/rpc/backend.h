/* Where a request goes: the one interface behind which a store is a connection to a node, or the node itself in
 * this process. The mount and the tools know only this.
 */
#ifndef KV_RPC_BACKEND_H
#define KV_RPC_BACKEND_H

#include "kvcore/rpc/request.h"

struct backend;

/* One request on its way. The owner allocates it (zeroed), sets on_reply, and keeps it until the reply. */
struct kv_call {
    /* Fires exactly once if submit returned NULL, never inside submit or cancel. The reply is borrowed for the
     * duration of the callback. The call may be freed or submitted again in it, but not after -ECANCELED: that is the
     * backend being closed. */
    void (*on_reply)(struct kv_call *call, const struct kv_reply *reply);
    void *backend_state; /* the backend's */
};

struct backend_ops {
    /* Borrows the request for the duration of the call. Returns the reply where it is there at once (borrowed
     * until the next submit); NULL where it comes by call->on_reply. */
    const struct kv_reply *(*submit)(struct backend *backend, const struct kv_request *request, struct kv_call *call);
    /* Ends the wait: on_reply fires soon, with error `code` unless the answer was already on its way up. What was
     * sent may still be carried out by the server. */
    void (*cancel)(struct backend *backend, struct kv_call *call, int code);
    /* Is there a server at the other end right now? The embedded store always says yes. */
    bool (*connected)(struct backend *backend);
};

struct backend {
    const struct backend_ops *ops;
    bool shared; /* others can change the store too: what the kernel caches must be asked for again */
};

static inline const struct kv_reply *backend_submit(struct backend *backend, const struct kv_request *request,
                                                    struct kv_call *call)
{
    return backend->ops->submit(backend, request, call);
}

static inline void backend_cancel(struct backend *backend, struct kv_call *call, int code)
{
    backend->ops->cancel(backend, call, code);
}

static inline bool backend_connected(struct backend *backend) { return backend->ops->connected(backend); }

#endif
