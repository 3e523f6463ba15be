#include "kvcore/server/local.h"

#include "kvcore/base/error.h"
#include "kvcore/base/log.h"
#include "kvcore/server/engine.h"
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
    void (*on_closed)(void *user);
    void *closed_user;
};

static const struct kv_reply *submit(struct backend *backend, const struct kv_request *request, struct kv_call *call)
{
    (void)call;
    struct local *local = (struct local *)backend;
    store_execute(&local->engine.store, &local->session, request, &local->reply);
    return &local->reply;
}

static void cancel(struct backend *backend, struct kv_call *call, int code)
{
    (void)backend, (void)call, (void)code; /* nothing is ever under way */
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

int local_open(uv_loop_t *loop, const char *dir, struct local **ret_local, char *why, size_t why_bytes)
{
    struct engine_options options = {.dir = dir, .mode = "embedded"};
    struct local *local = calloc(1, sizeof *local);
    if (!local)
        return -ENOMEM;
    int rc = engine_open(&local->engine, loop, &options, why, why_bytes);
    if (rc < 0)
        goto err_local;
    rc = listen_in(local, loop, dir);
    if (rc < 0) {
        snprintf(why, why_bytes, "cannot serve '%s': %s", dir, error_text(rc));
        goto err_engine;
    }
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

static void on_server_closed(void *user)
{
    struct local *local = user;
    store_session_end(&local->engine.store, &local->session);
    engine_close(&local->engine, on_engine_closed, local);
}

void local_close(struct local *local, void (*on_closed)(void *user), void *user)
{
    local->watcher = NULL;
    local->on_closed = on_closed;
    local->closed_user = user;
    server_free(local->server, on_server_closed, local);
}
