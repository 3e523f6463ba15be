#include "kvcore/tools/calls.h"

#include "kvcore/base/check.h"
#include "kvcore/base/error.h"

#include <stdlib.h>

static void on_reply(struct kv_call *call, const struct kv_reply *reply)
{
    struct calls_slot *slot = (struct calls_slot *)call;
    reply_copy_set(&slot->copy, reply);
    slot->calls->under_way--;
}

int calls_init(struct calls *calls, struct tool *tool, size_t count)
{
    *calls = (struct calls){.tool = tool, .count = count, .slots = calloc(count, sizeof *calls->slots)};
    if (!calls->slots)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        calls->slots[i].calls = calls;
        calls->slots[i].call.on_reply = on_reply;
    }
    return 0;
}

void calls_close(struct calls *calls)
{
    CHECK(calls->under_way == 0);
    for (size_t i = 0; calls->slots && i < calls->count; i++)
        reply_copy_close(&calls->slots[i].copy);
    free(calls->slots);
    *calls = (struct calls){0};
}

void calls_submit(struct calls *calls, size_t slot, const struct kv_request *request)
{
    CHECK(slot < calls->count && calls->tool->client);
    struct backend *backend = client_backend(calls->tool->client);
    calls->under_way++;
    const struct kv_reply *reply = backend_submit(backend, request, &calls->slots[slot].call);
    if (reply)
        on_reply(&calls->slots[slot].call, reply);
}

void calls_wait(struct calls *calls)
{
    while (calls->under_way)
        uv_run(calls->tool->loop, UV_RUN_ONCE);
}
