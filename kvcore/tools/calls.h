/* Several requests at once, and their replies when all have come: one round trip for a page of nodes. */
#ifndef KV_TOOLS_CALLS_H
#define KV_TOOLS_CALLS_H

#include "kvcore/rpc/reply_copy.h"
#include "kvcore/tools/tool.h"

struct calls;

struct calls_slot {
    struct kv_call call; /* first: what the backend hands back */
    struct calls *calls;
    struct reply_copy copy; /* the reply, until the slot's next request */
};

struct calls {
    struct tool *tool; /* connected: it has had a tool_call */
    size_t count;
    size_t under_way;
    struct calls_slot *slots;
};

/* -ENOMEM. */
int calls_init(struct calls *calls, struct tool *tool, size_t count);
void calls_close(struct calls *calls);

/* The request is borrowed for the call. The slot must be free. */
void calls_submit(struct calls *calls, size_t slot, const struct kv_request *request);
/* Until all that were submitted are answered. */
void calls_wait(struct calls *calls);

static inline const struct kv_reply *calls_reply(const struct calls *calls, size_t slot)
{
    return &calls->slots[slot].copy.reply;
}

#endif
