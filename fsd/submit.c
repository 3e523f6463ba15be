/* Calls: where they come from, how they end. fs.h has the whole picture. */
#include "fsd/fs.h"

#include "kvcore/base/check.h"
#include "kvcore/base/clock.h"
#include "kvcore/base/error.h"

#include <stdlib.h>

static void forget_deadline(struct fs_call *call)
{
    struct fs *fs = call->fs;
    if (!call->deadline_ms)
        return;
    *(call->previous ? &call->previous->next : &fs->first) = call->next;
    *(call->next ? &call->next->previous : &fs->last) = call->previous;
    call->deadline_ms = 0;
}

static void call_free(struct fs_call *call)
{
    struct fs *fs = call->fs;
    forget_deadline(call);
    call->next = fs->free_calls;
    fs->free_calls = call;
}

/* Goes from reply to reply until the operation is done or has to wait. True: it waits. */
static bool advance(struct fs_call *call, const struct kv_reply *reply)
{
    while (reply) {
        const struct kv_request *next = call->finish(call, reply);
        if (!next) {
            call_free(call);
            return false;
        }
        call->recalls = call->fs->recalls;
        reply = backend_submit(call->fs->backend, next, &call->call);
    }
    return true;
}

static void on_reply(struct kv_call *call, const struct kv_reply *reply) { advance((struct fs_call *)call, reply); }

static void on_interrupt(fuse_req_t req, void *user)
{
    (void)req;
    struct fs_call *call = user;
    if (backend_connected(call->fs->backend))
        fs_set_deadline(call, -EINTR);
    else
        backend_cancel(call->fs->backend, &call->call, -EINTR);
}

static void on_deadline(uv_timer_t *timer)
{
    struct fs *fs = timer->data;
    int64_t now_ms = (int64_t)uv_now(timer->loop);
    while (fs->first && fs->first->deadline_ms <= now_ms) {
        struct fs_call *call = fs->first;
        forget_deadline(call);
        backend_cancel(fs->backend, &call->call, call->end_code);
    }
    if (fs->first)
        uv_timer_start(timer, on_deadline, (uint64_t)(fs->first->deadline_ms - now_ms), 0);
}

struct fs_call *fs_call(fuse_req_t req, fs_finish *finish)
{
    struct fs *fs = fs_of(req);
    struct fs_call *call = fs->free_calls;
    if (call) {
        fs->free_calls = call->next;
    } else {
        call = fs->call_count < FS_CALLS_MAX ? calloc(1, sizeof *call) : NULL;
        if (!call) {
            fuse_reply_err(req, EAGAIN);
            return NULL;
        }
        fs->call_count++;
        call->fs = fs;
        call->call.on_reply = on_reply;
    }
    call->req = req;
    call->finish = finish;
    call->id = 0;
    call->asks_birth = fs->asks_birth;
    return call;
}

bool fs_submit(struct fs_call *call, const struct kv_request *request)
{
    static const struct kv_reply refused = {.error = -EPERM};
    if (own_concerns(request))
        return advance(call, &refused);
    call->recalls = call->fs->recalls;
    if (!advance(call, backend_submit(call->fs->backend, request, &call->call)))
        return false;
    fuse_req_interrupt_func(call->req, on_interrupt, call);
    return true;
}

void fs_set_deadline(struct fs_call *call, int code)
{
    struct fs *fs = call->fs;
    if (call->deadline_ms)
        return;
    call->end_code = code;
    call->deadline_ms = (int64_t)uv_now(fs->timer.loop) + FS_GRACE_MS;
    call->next = NULL;
    call->previous = fs->last;
    *(fs->last ? &fs->last->next : &fs->first) = call;
    fs->last = call;
    if (!uv_is_active((uv_handle_t *)&fs->timer))
        uv_timer_start(&fs->timer, on_deadline, FS_GRACE_MS, 0);
}

void fs_run(fuse_req_t req, fs_finish *finish, uint64_t id, const struct kv_request *request)
{
    struct fs_call *call = fs_call(req, finish);
    if (!call)
        return;
    call->id = id;
    fs_submit(call, request);
}

int fs_init(struct fs *fs, uv_loop_t *loop, struct backend *backend, const struct attr_view *view)
{
    *fs = (struct fs){.backend = backend, .view = *view};
    fs->root = attr_unknown_root(clock_real_ns(clock_system()));
    releases_init(&fs->releases, backend);
    fs->timer.data = fs;
    return uv_timer_init(loop, &fs->timer);
}

void fs_close(struct fs *fs)
{
    while (fs->free_calls) {
        struct fs_call *call = fs->free_calls;
        fs->free_calls = call->next;
        fs->call_count--;
        free(call);
    }
    CHECK(!fs->call_count);
    releases_close(&fs->releases);
    own_close(&fs->own);
    inodes_close(&fs->inodes);
    buf_close(&fs->scratch);
    uv_close((uv_handle_t *)&fs->timer, NULL);
}

void fs_turn_end(struct fs *fs) { releases_send(&fs->releases); }
