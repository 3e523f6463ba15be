#include "kvcore/client/client.h"

#include "kvcore/base/check.h"
#include "kvcore/base/error.h"
#include "kvcore/client/lease.h"
#include "kvcore/client/pending.h"
#include "kvcore/client/uplink.h"
#include "kvcore/rpc/reply_copy.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* What stays true between two turns of the loop: a request waits while the uplink is up only because may_send forbids
 * to append it to the connection. A request that is over but not told lies in table.ending, and the `teller` timer is
 * set: that is how no callback comes from inside submit or cancel. */
enum told { TOLD_NOTHING, TOLD_DOWN, TOLD_UP };

struct client {
    struct backend backend; /* first: a backend of ours is a client */
    uv_loop_t *loop;
    struct client_options options;
    char *text; /* the address, for messages */
    struct uplink uplink;
    struct pending_table table;
    uv_timer_t deadline; /* set where a request with a deadline is there; it may go off too early, never too late */
    uv_timer_t teller;
    uv_timer_t lease_timer;
    struct lease lease;
    struct kv_call ping; /* under way where ping_sent_ms is not 0 */
    int64_t ping_sent_ms;
    enum told told; /* on_state */
    bool ever_up;
    bool closing;
    int down_code; /* of the last failure to connect, or break */
    int refused;   /* 0, or why every request is refused until a later attempt gets through */
    unsigned open;
    struct kv_reply refusal;  /* what submit answers at once */
    struct reply_copy answer; /* client_call's */
    void (*on_closed)(void *user);
    void *on_closed_user;
};

static void on_tell(uv_timer_t *timer);
static void on_deadline(uv_timer_t *timer);

/* --- ending requests ------------------------------------------------------------------------------------------ */

static void tell_soon(struct client *client)
{
    if (!TAILQ_EMPTY(&client->table.ending) && !uv_is_active((uv_handle_t *)&client->teller))
        uv_timer_start(&client->teller, on_tell, 0, 0);
}

/* A text for people, cut where it does not fit. */
struct text {
    char data[ERROR_TEXT_BYTES];
    size_t len;
};

__attribute__((format(printf, 2, 3))) static void text_add(struct text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text->data + text->len, sizeof text->data - text->len, format, args);
    va_end(args);
    CHECK(len >= 0);
    text->len += (size_t)len;
    if (text->len >= sizeof text->data)
        text->len = sizeof text->data - 1;
}

static void timeout_explain(struct client *client, const struct pending *ended, struct text *text)
{
    const struct uplink *uplink = &client->uplink;
    bool writes = kv_op_info(ended->op)->flags & KV_OP_W;
    text_add(text, "%s: no answer within %g s", client->text, client->options.timeout_ms / 1000.0);
    if (ended->was_sent && writes)
        text_add(text, "; the change may or may not have happened");
    else if (!uplink_is_up(uplink) && uplink->failures)
        text_add(text, "; connected %u time%s in vain, last: %s", uplink->failures, uplink->failures == 1 ? "" : "s",
                 uplink->why);
    else if (!ended->was_sent && uplink_is_up(uplink))
        text_add(text, "; %zu requests before it are without one", client->table.sent_count);
}

/* The code is all there is to say about a cancelled request: only its owner knows why. */
static void reply_for_ended(struct client *client, const struct pending *ended, struct kv_reply *ret_reply)
{
    struct text text = {0};
    if (ended->code == -ETIMEDOUT)
        timeout_explain(client, ended, &text);
    else if (ended->code == KV_UNCERTAIN)
        text_add(&text, "%s: the connection broke before the answer (%s): the change may or may not have happened",
                 client->text, client->uplink.why);
    else if (ended->code == client->down_code)
        text_add(&text, "%s: %s", client->text, client->uplink.why);
    kv_reply_fail(ret_reply, ended->code, "%s", text.data);
}

static void on_handle_closed(uv_handle_t *handle);

static void on_tell(uv_timer_t *timer)
{
    struct client *client = timer->data;
    struct pending ended;
    struct kv_call *call;
    while ((call = pending_take_ended(&client->table, &ended))) {
        struct kv_reply reply = {0};
        reply_for_ended(client, &ended, &reply);
        call->on_reply(call, &reply);
    }
    if (client->closing && !uv_is_closing((uv_handle_t *)timer))
        uv_close((uv_handle_t *)timer, on_handle_closed);
}

static void deadline_set(struct client *client)
{
    const struct pending *first = TAILQ_FIRST(&client->table.deadlines);
    if (!first || uv_is_active((uv_handle_t *)&client->deadline))
        return;
    int64_t left_ms = first->deadline_ms - (int64_t)uv_now(client->loop);
    uv_timer_start(&client->deadline, on_deadline, left_ms > 0 ? (uint64_t)left_ms : 0, 0);
}

static void on_deadline(uv_timer_t *timer)
{
    struct client *client = timer->data;
    int64_t now_ms = (int64_t)uv_now(client->loop);
    struct pending *first;
    while ((first = TAILQ_FIRST(&client->table.deadlines)) && first->deadline_ms <= now_ms)
        pending_end(&client->table, first, -ETIMEDOUT);
    deadline_set(client);
    tell_soon(client);
}

/* --- the connection ------------------------------------------------------------------------------------------- */

/* One more request may go. The bound on bytes keeps what must not be sent twice, and is therefore held nowhere else,
 * from piling up in the connection. An answer opens it again, and there will be one: something is in flight. */
static bool may_send(const struct client *client, const struct conn *conn)
{
    size_t unsent = conn->out.len + uv_stream_get_write_queue_size(&conn->stream);
    size_t in_flight = client->table.sent_count;
    return in_flight == 0 || (in_flight < CLIENT_INFLIGHT_MAX && unsent < CLIENT_OUTPUT_BYTES);
}

/* Appends what waits to the connection, as far as the bounds on what is in flight allow. */
static void send_waiting(struct client *client)
{
    struct pending_table *table = &client->table;
    struct pending *pending;
    if (!uplink_is_up(&client->uplink))
        return;
    struct conn *conn = uplink_conn(&client->uplink);
    bool sent = false;
    while ((pending = TAILQ_FIRST(&table->waiting)) && may_send(client, conn)) {
        if (buf_append(&conn->out, pending->frame.data, pending->frame.len) < 0) {
            pending_end(table, pending, -ENOMEM);
            tell_soon(client);
            continue;
        }
        pending_mark_sent(table, pending);
        sent = true;
    }
    if (sent)
        conn_flush_soon(conn);
}

/* --- leases --------------------------------------------------------------------------------------------------- */

static void on_lease_timer(uv_timer_t *timer);

static void lease_timer_set(struct client *client)
{
    int64_t left_ms = lease_next_ms(&client->lease) - (int64_t)uv_now(client->loop);
    if (client->lease.term_ms && !client->closing)
        uv_timer_start(&client->lease_timer, on_lease_timer, left_ms > 0 ? (uint64_t)left_ms : 0, 0);
}

static void on_pong(struct kv_call *call, const struct kv_reply *reply)
{
    struct client *client = (struct client *)((char *)call - offsetof(struct client, ping));
    int64_t sent_ms = client->ping_sent_ms;
    bool held = client->lease.held;
    client->ping_sent_ms = 0;
    if (reply->error || client->closing)
        return;
    if (lease_renew(&client->lease, sent_ms, (int64_t)uv_now(client->loop)) && !held)
        client->options.on_lease(client->options.user, true);
    lease_timer_set(client);
}

static void lease_ping(struct client *client)
{
    struct kv_request request = {.op = KV_OP_PING};
    if (client->ping_sent_ms)
        return; /* the last one is still out, and the next would be no sooner there */
    client->ping_sent_ms = (int64_t)uv_now(client->loop);
    client->ping = (struct kv_call){.on_reply = on_pong};
    if (backend_submit(&client->backend, &request, &client->ping))
        client->ping_sent_ms = 0;
}

static void on_lease_timer(uv_timer_t *timer)
{
    struct client *client = timer->data;
    int64_t now_ms = (int64_t)uv_now(client->loop);
    if (lease_lapses(&client->lease, now_ms))
        client->options.on_lease(client->options.user, false);
    if (lease_pings(&client->lease, now_ms))
        lease_ping(client);
    lease_timer_set(client);
}

static void lease_up(struct client *client)
{
    const struct uplink *uplink = &client->uplink;
    if (!uplink->lease_ms)
        return;
    if (lease_begin(&client->lease, uplink->lease_ms, uplink->hello_sent_ms, (int64_t)uv_now(client->loop)))
        client->options.on_lease(client->options.user, true);
    lease_timer_set(client);
}

static void lease_down(struct client *client)
{
    bool held = client->lease.held;
    lease_end(&client->lease);
    uv_timer_stop(&client->lease_timer);
    if (held)
        client->options.on_lease(client->options.user, false);
}

void client_recalled(struct client *client, uint64_t ticket)
{
    struct kv_request request = {.op = KV_OP_RECALLED, .ticket = ticket};
    if (!uplink_is_up(&client->uplink) || !client->lease.term_ms)
        return; /* of a connection that is gone: so is the recall */
    struct conn *conn = uplink_conn(&client->uplink);
    if (encode_notification(&conn->out, &request) < 0)
        uplink_break(&client->uplink, -ENOMEM, "no memory to acknowledge a recall");
    else
        conn_flush_soon(conn);
}

/* --- up and down ---------------------------------------------------------------------------------------------- */

static void tell_state(struct client *client, bool up, const char *why)
{
    enum told told = up ? TOLD_UP : TOLD_DOWN;
    if (client->told == told)
        return;
    client->told = told;
    if (client->options.on_state)
        client->options.on_state(client->options.user, up, why);
}

static void on_up(struct uplink *uplink)
{
    struct client *client = uplink->owner;
    struct text why = {0};
    text_add(&why, "connected to %s", client->text);
    client->ever_up = true;
    client->refused = 0;
    lease_up(client);
    send_waiting(client);
    tell_state(client, true, why.data);
}

static void on_down(struct uplink *uplink, int code, bool was_up, bool refused)
{
    struct client *client = uplink->owner;
    struct text why = {0};
    if (client->closing)
        return;
    client->down_code = code;
    lease_down(client);
    if (was_up)
        pending_connection_lost(&client->table, code == -EPROTO ? code : 0);
    if (refused)
        client->refused = code;
    if (refused || (client->options.fail_fast && !client->ever_up))
        pending_end_waiting(&client->table, code);
    tell_soon(client);
    text_add(&why, was_up ? "lost %s: %s" : "cannot reach %s: %s", client->text, uplink->why);
    tell_state(client, false, why.data);
}

static void answer_deliver(struct client *client, struct pending *pending)
{
    struct kv_reply reply;
    enum kv_op op = pending->op;
    int rc = decode_result(client->uplink.hub.decoder, op, pending->options, &reply);
    if (rc == -ENOMEM) {
        reply = (struct kv_reply){0};
        kv_reply_fail(&reply, rc, "no memory for the answer");
    } else if (rc < 0) {
        pending_end(&client->table, pending, -EPROTO);
        uplink_break(&client->uplink, -EPROTO, "its answer to %s has another shape than that of %s",
                     kv_op_info(op)->name, kv_op_info(op)->name);
        return;
    }
    uplink_proved(&client->uplink);
    struct kv_call *call = pending_take_answered(&client->table, pending);
    if (call)
        call->on_reply(call, &reply);
    if (!client->closing)
        send_waiting(client);
}

static void on_message(struct uplink *uplink, const struct message *message)
{
    struct client *client = uplink->owner;
    if (message->type == MESSAGE_NOTIFICATION && message->is_recall && client->lease.term_ms) {
        client->options.on_recall(client->options.user, &message->recall);
        return;
    }
    if (message->type != MESSAGE_RESPONSE) {
        uplink_break(uplink, -EPROTO, "it sent a request, where only answers are expected");
        return;
    }
    struct pending *pending = pending_find(&client->table, message->id);
    if (pending)
        answer_deliver(client, pending);
    else
        uplink_break(uplink, -EPROTO, "it answered a request that was never sent (message id %u)", message->id);
}

/* --- the backend ---------------------------------------------------------------------------------------------- */

static const struct kv_reply *refuse(struct client *client, int code, const char *why)
{
    client->refusal = (struct kv_reply){0};
    kv_reply_fail(&client->refusal, code, "%s: %s", client->text, why);
    return &client->refusal;
}

static const struct kv_reply *submit(struct backend *backend, const struct kv_request *request, struct kv_call *call)
{
    struct client *client = (struct client *)backend;
    struct pending *pending;
    CHECK(!client->closing);
    if (client->refused)
        return refuse(client, client->refused, client->uplink.why);
    uint32_t timeout_ms = client->options.timeout_ms;
    int64_t deadline_ms = timeout_ms ? (int64_t)(uv_now(client->loop) + timeout_ms) : 0;
    int rc = pending_add(&client->table, request, call, deadline_ms, &pending);
    if (rc == KV_BUSY)
        return refuse(client, rc, "too many requests wait for an answer already");
    if (rc == -E2BIG)
        return refuse(client, rc, "the request is longer than a message may be");
    if (rc < 0)
        return refuse(client, rc, error_text(rc));
    call->backend_state = pending;
    deadline_set(client);
    send_waiting(client);
    return NULL;
}

static void cancel(struct backend *backend, struct kv_call *call, int code)
{
    struct client *client = (struct client *)backend;
    struct pending *pending = call->backend_state;
    CHECK(pending->call == call);
    pending_end(&client->table, pending, code);
    tell_soon(client);
}

static bool connected(struct backend *backend) { return uplink_is_up(&((struct client *)backend)->uplink); }

static const struct backend_ops backend_ops = {.submit = submit, .cancel = cancel, .connected = connected};

struct backend *client_backend(struct client *client) { return &client->backend; }

/* --- life ----------------------------------------------------------------------------------------------------- */

static void closed(struct client *client)
{
    CHECK(client->open > 0);
    if (--client->open > 0)
        return;
    pending_close(&client->table);
    reply_copy_close(&client->answer);
    void (*on_closed)(void *user) = client->on_closed;
    void *user = client->on_closed_user;
    free(client->text);
    free(client);
    if (on_closed)
        on_closed(user);
}

static void on_handle_closed(uv_handle_t *handle) { closed(handle->data); }

static void on_uplink_closed(struct uplink *uplink) { closed(uplink->owner); }

static const struct uplink_events uplink_events = {
    .on_up = on_up, .on_down = on_down, .on_message = on_message, .on_closed = on_uplink_closed};

int client_new(uv_loop_t *loop, const struct address *address, const struct client_options *options,
               struct client **ret_client)
{
    struct client *client = calloc(1, sizeof *client);
    if (!client)
        return -ENOMEM;
    int rc = -ENOMEM;
    client->text = strdup(address->text);
    if (!client->text)
        goto err_client;
    uv_update_time(loop);
    rc = uplink_start(&client->uplink, loop, address, options->name, &uplink_events, client);
    if (rc < 0)
        goto err_text;
    client->uplink.while_loading = options->while_loading;
    client->backend = (struct backend){.ops = &backend_ops, .shared = true};
    client->loop = loop;
    client->options = *options;
    client->options.name = NULL; /* the uplink has a copy */
    pending_init(&client->table);
    uv_timer_init(loop, &client->deadline);
    uv_timer_init(loop, &client->teller);
    uv_timer_init(loop, &client->lease_timer);
    client->deadline.data = client->teller.data = client->lease_timer.data = client;
    client->uplink.wants_lease = options->on_lease && options->on_recall;
    client->open = 4;
    *ret_client = client;
    return 0;

err_text:
    free(client->text);
err_client:
    free(client);
    return rc;
}

void client_free(struct client *client, void (*on_closed)(void *user), void *user)
{
    CHECK(!client->closing);
    client->closing = true;
    client->on_closed = on_closed;
    client->on_closed_user = user;
    pending_end_all(&client->table, -ECANCELED);
    uplink_close(&client->uplink);
    uv_close((uv_handle_t *)&client->deadline, on_handle_closed);
    uv_close((uv_handle_t *)&client->lease_timer, on_handle_closed);
    uv_timer_start(&client->teller, on_tell, 0, 0);
}

/* --- the first attempt ------------------------------------------------------------------------------------------ */

struct patience {
    uv_timer_t timer;
    bool over, closed;
};

static void on_patience_over(uv_timer_t *timer) { ((struct patience *)timer)->over = true; }

static void on_patience_closed(uv_handle_t *handle) { ((struct patience *)handle)->closed = true; }

int client_await(struct client *client, uint32_t timeout_ms, char *ret_why, size_t why_bytes)
{
    struct patience patience = {0};
    const struct uplink *uplink = &client->uplink;
    uv_timer_init(client->loop, &patience.timer);
    uv_update_time(client->loop);
    uv_timer_start(&patience.timer, on_patience_over, timeout_ms, 0);
    while (!uplink_is_up(uplink) && !uplink->failures && !patience.over)
        uv_run(client->loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&patience.timer, on_patience_closed);
    while (!patience.closed)
        uv_run(client->loop, UV_RUN_NOWAIT);
    if (uplink_is_up(uplink))
        return 0;
    if (!uplink->failures) {
        snprintf(ret_why, why_bytes, "cannot reach %s: no answer within %g s", client->text, timeout_ms / 1000.0);
        return -ETIMEDOUT;
    }
    snprintf(ret_why, why_bytes, client->refused ? "%s: %s" : "cannot reach %s: %s", client->text, uplink->why);
    return client->refused ? client->refused : -ECONNREFUSED;
}

/* --- one request at a time -------------------------------------------------------------------------------------- */

struct waiting_call {
    struct kv_call call;
    struct reply_copy *answer;
    bool done;
};

static void on_waited_for(struct kv_call *call, const struct kv_reply *reply)
{
    struct waiting_call *waiting = (struct waiting_call *)call;
    reply_copy_set(waiting->answer, reply);
    waiting->done = true;
}

const struct kv_reply *client_call(struct client *client, const struct kv_request *request)
{
    struct waiting_call waiting = {.call.on_reply = on_waited_for, .answer = &client->answer};
    uv_update_time(client->loop);
    const struct kv_reply *reply = submit(&client->backend, request, &waiting.call);
    if (reply)
        return reply;
    while (!waiting.done)
        uv_run(client->loop, UV_RUN_ONCE);
    return &client->answer.reply;
}
