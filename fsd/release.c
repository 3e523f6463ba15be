#include "fsd/release.h"

#include "kvcore/base/check.h"
#include "kvcore/base/error.h"

#include <stdlib.h>

enum { BATCH_FIRST = 256 };

static void on_reply(struct kv_call *call, const struct kv_reply *reply)
{
    struct releases *releases = (struct releases *)call;
    releases->under_way = false;
    if (reply->error == -ECANCELED) /* the backend closes, and with it the session: nothing is held any more */
        releases->count = 0;
    releases_send(releases);
}

void releases_init(struct releases *releases, struct backend *backend)
{
    *releases = (struct releases){.call.on_reply = on_reply, .backend = backend};
}

void releases_close(struct releases *releases)
{
    CHECK(!releases->under_way);
    free(releases->nodes);
    releases->nodes = NULL;
}

void releases_add(struct releases *releases, uint64_t id)
{
    if (releases->count == releases->capacity) {
        size_t capacity = releases->capacity ? releases->capacity * 2 : BATCH_FIRST;
        struct kv_ref *nodes = realloc(releases->nodes, capacity * sizeof *nodes);
        if (!nodes)
            return; /* the hold lasts until the session ends */
        releases->nodes = nodes;
        releases->capacity = capacity;
    }
    releases->nodes[releases->count++] = kv_ref_id(id);
}

void releases_send(struct releases *releases)
{
    while (releases->count && !releases->under_way) {
        size_t count = releases->count < REFS_MAX ? releases->count : REFS_MAX, first = releases->count - count;
        struct kv_request request = {.op = KV_OP_RELEASE, .nodes = releases->nodes + first, .node_count = count};
        releases->count = first;
        releases->under_way = !backend_submit(releases->backend, &request, &releases->call);
    }
}
