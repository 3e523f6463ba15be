#include "kvcore/server/local.h"

#include "kvcore/base/check.h"
#include "kvcore/base/error.h"
#include "kvcore/base/log.h"
#include "kvcore/rpc/reply_copy.h"
#include "kvcore/server/server.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

struct local {
    struct backend backend; /* first: a backend is cast to its local */
    struct engine engine;
    struct server *server;
    struct session session;
    struct kv_reply reply;
    struct store_sink sink;
    struct store_keeper keeper;
    struct local_watcher *watcher;
    uv_idle_t canceller; /* runs while there are cancelled calls */
    struct parked_call *cancelled;
    void (*on_closed)(void *user);
    void *closed_user;
};

/* A call whose answer waits for the disk. */
struct parked_call {
    struct gate_wait wait; /* first: what the gate hands back */
    struct local *local;
    struct kv_call *call;
    struct reply_copy copy;
    int code; /* what it was cancelled with */
    struct parked_call *next;
};

/* --- answers --- */

/* The end of a call: what it was promised, or the code. */
static void call_end(struct parked_call *parked, int code)
{
    struct kv_call *call = parked->call;
    struct reply_copy copy = parked->copy;
    char text[ERROR_TEXT_BYTES];
    free(parked);
    call->backend_state = NULL;
    if (code < 0) {
        journal_explain(code, text, sizeof text);
        kv_reply_fail(&copy.reply, code, "%s", text);
    }
    call->on_reply(call, &copy.reply);
    reply_copy_close(&copy);
}

static void on_open(struct gate_wait *wait, int error)
{
    bool told = error < 0 && error != -ECANCELED && error != -ENOSPC && error != -EDQUOT;
    call_end((struct parked_call *)wait, told ? -EIO : error);
}

/* NULL: the answer comes later. */
static const struct kv_reply *park(struct local *local, struct kv_call *call, const struct store_wait *wait)
{
    struct parked_call *parked = calloc(1, sizeof *parked);
    if (!parked || reply_copy_set(&parked->copy, &local->reply) < 0) {
        free(parked);
        kv_reply_fail(&local->reply, -ENOMEM, "no memory for an answer that waits for the disk; the change is made");
        return &local->reply;
    }
    parked->wait.on_open = on_open;
    parked->local = local;
    parked->call = call;
    call->backend_state = parked;
    journal_write(engine_journal(&local->engine)); /* others may see it once this returns; a failure opens the gate */
    journal_await(engine_journal(&local->engine), wait, &parked->wait);
    return NULL;
}

static const struct kv_reply *submit(struct backend *backend, const struct kv_request *request, struct kv_call *call)
{
    struct local *local = (struct local *)backend;
    struct journal *journal = engine_journal(&local->engine);
    store_execute(&local->engine.store, &local->session, request, &local->reply);
    struct store_wait wait = local->engine.store.wait;
    if (!journal || (wait.level == DURABILITY_MEMORY && local->engine.store.options.durability == DURABILITY_MEMORY))
        return &local->reply;
    switch (journal_judge(journal, &wait)) {
    case JOURNAL_LEAVES:
        journal_write(journal); /* it may tell of a change of a client's that is not written yet */
        return &local->reply;
    case JOURNAL_SYNCS:
        return park(local, call, &wait);
    case JOURNAL_WRITES:
        break;
    }
    int rc = journal_write(journal);
    if (rc < 0) {
        char text[ERROR_TEXT_BYTES];
        journal_explain(rc, text, sizeof text);
        kv_reply_fail(&local->reply, rc == -ENOSPC || rc == -EDQUOT ? rc : -EIO, "%s", text);
    }
    return &local->reply;
}

static void on_canceller(uv_idle_t *canceller)
{
    struct local *local = canceller->data;
    uv_idle_stop(canceller);
    while (local->cancelled) {
        struct parked_call *parked = local->cancelled;
        local->cancelled = parked->next;
        call_end(parked, parked->code);
    }
}

static void cancel(struct backend *backend, struct kv_call *call, int code)
{
    struct local *local = (struct local *)backend;
    struct parked_call *parked = call->backend_state;
    if (!parked || parked->code)
        return; /* on its way up */
    journal_leave(engine_journal(&local->engine), &parked->wait);
    parked->code = code;
    parked->next = local->cancelled;
    local->cancelled = parked;
    uv_idle_start(&local->canceller, on_canceller);
}

static bool connected(struct backend *backend)
{
    (void)backend;
    return true;
}

static const struct backend_ops local_ops = {submit, cancel, connected};

/* What the backend's own requests change its owner knows from their replies; but what time removed meanwhile it does
 * not. */
static void on_effect(struct store_sink *sink, const struct session *from, const struct effect *effect)
{
    struct local *local = (struct local *)((char *)sink - offsetof(struct local, sink));
    struct change changes[CHANGES_MAX];
    if (from == &local->session || !local->watcher)
        return;
    size_t count = changes_of(effect, changes);
    if (count)
        local->watcher->on_change(local->watcher, changes, count);
}

static bool wants(struct store_keeper *keeper, uint64_t id)
{
    struct local *local = (struct local *)((char *)keeper - offsetof(struct local, keeper));
    return local->watcher && local->watcher->wants(local->watcher, id);
}

/* `kv` reaches the store through this socket. Without it the mount still works, so a failure is no more than a warning.
 */
static int listen_in(struct local *local, uv_loop_t *loop, const char *dir)
{
    char path[PATH_MAX], why[ERROR_TEXT_BYTES];
    struct server_options options = {CONNECTIONS_DEFAULT, INPUT_TOTAL_BYTES_DEFAULT};
    int rc = server_new(loop, &local->engine.store, &options, &local->server);
    if (rc < 0)
        return rc;
    snprintf(path, sizeof path, "%s/%s", dir, DATADIR_SOCKET);
    if (server_listen_unix(local->server, path, why, sizeof why) < 0)
        log_warning("kv cannot reach this store while it is mounted: %s", why);
    return 0;
}

int local_open(uv_loop_t *loop, const char *dir, const struct keeping *keeping, struct local **ret_local, char *why,
               size_t why_bytes)
{
    struct engine_options options = {.dir = dir, .mode = "embedded", .keeping = *keeping};
    struct local *local = calloc(1, sizeof *local);
    if (!local)
        return -ENOMEM;
    int rc = engine_open(&local->engine, loop, &options, why, why_bytes);
    if (rc < 0)
        goto err_local;
    rc = engine_load_now(&local->engine, why, why_bytes);
    if (rc < 0)
        goto err_engine;
    rc = listen_in(local, loop, dir);
    if (rc < 0) {
        snprintf(why, why_bytes, "cannot serve '%s': %s", dir, error_text(rc));
        goto err_engine;
    }
    server_use_journal(local->server, engine_journal(&local->engine));
    uv_idle_init(loop, &local->canceller);
    local->canceller.data = local;
    local->backend.ops = &local_ops;
    store_session_begin(&local->engine.store, &local->session);
    local->sink.on_effect = on_effect;
    store_add_sink(&local->engine.store, &local->sink);
    local->keeper = (struct store_keeper){wants, &local->session};
    local->engine.store.keeper = &local->keeper;
    *ret_local = local;
    return 0;

err_engine:
    engine_close(&local->engine, free, local); /* freed from the loop */
    return rc;
err_local:
    free(local);
    return rc;
}

struct backend *local_backend(struct local *local) { return &local->backend; }

void local_watch(struct local *local, struct local_watcher *watcher) { local->watcher = watcher; }

void local_hold_answers(struct local *local, bool held) { server_hold_answers(local->server, held); }

static void on_engine_closed(void *user)
{
    struct local *local = user;
    void (*on_closed)(void *user) = local->on_closed;
    void *closed_user = local->closed_user;
    free(local);
    if (on_closed)
        on_closed(closed_user);
}

static void on_canceller_closed(uv_handle_t *canceller)
{
    struct local *local = canceller->data;
    CHECK(!local->cancelled);
    store_session_end(&local->engine.store, &local->session);
    engine_close(&local->engine, on_engine_closed, local);
}

static void on_server_closed(void *user)
{
    struct local *local = user;
    on_canceller(&local->canceller);
    uv_close((uv_handle_t *)&local->canceller, on_canceller_closed);
}

void local_close(struct local *local, void (*on_closed)(void *user), void *user)
{
    local->watcher = NULL;
    local->on_closed = on_closed;
    local->closed_user = user;
    server_free(local->server, on_server_closed, local);
}
