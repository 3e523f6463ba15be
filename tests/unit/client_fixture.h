/* A client, a peer for it and a loop; calls that remember how they ended. A test ends the calls that lie on its stack:
 * the teardown would write to them. */
#ifndef TESTS_UNIT_CLIENT_FIXTURE_H
#define TESTS_UNIT_CLIENT_FIXTURE_H

#include "kvcore/client/client.h"
#include "tests/unit/peer.h"

enum { PATIENCE_MS = 5000 };

struct call {
    struct kv_call call; /* first */
    int ended;           /* how often */
    int error;
    char text[ERROR_TEXT_BYTES];
    char value[PEER_VALUE_BYTES];
    uint64_t number;
    bool submitting; /* on_reply may not come now */
    unsigned order;  /* the how-manieth to end */
};

struct fixture {
    uv_loop_t loop;
    struct peer peer;
    struct client *client;
    bool client_closed;
    unsigned ups, downs;
    char state[ERROR_TEXT_BYTES];
    unsigned ended; /* calls of all kinds */
};

static struct fixture *fixture_now;

static void on_call_reply(struct kv_call *kv_call, const struct kv_reply *reply)
{
    struct call *call = (struct call *)kv_call;
    assert_false(call->submitting);
    call->ended++;
    call->error = reply->error;
    call->order = fixture_now->ended++;
    memcpy(call->text, reply->text, sizeof call->text);
    if (reply->error)
        return;
    if (reply->kind == KV_REPLY_BYTES) {
        struct bytes value = kv_reply_bytes(reply);
        snprintf(call->value, sizeof call->value, "%.*s", (int)(value.len < 60 ? value.len : 60), value.data);
    } else {
        call->number = reply->uint;
    }
}

/* Sends `op` on the node with the id `tag`; NULL, or what submit answered at once. */
static inline const struct kv_reply *call_submit_value(struct fixture *f, struct call *call, enum kv_op op,
                                                       uint64_t tag, struct bytes value)
{
    struct kv_request request = {.op = op, .node = kv_ref_id(tag), .value = value};
    *call = (struct call){.call.on_reply = on_call_reply, .submitting = true};
    const struct kv_reply *reply = backend_submit(client_backend(f->client), &request, &call->call);
    call->submitting = false;
    return reply;
}

static inline void call_start(struct fixture *f, struct call *call, enum kv_op op, uint64_t tag)
{
    assert_null(call_submit_value(f, call, op, tag, bytes_of("v")));
}

static void on_patience(uv_timer_t *timer) { *(bool *)timer->data = true; }

/* Turns the loop until the condition holds; a test that waits too long fails. */
#define run_until(f, condition)                                                                                        \
    do {                                                                                                               \
        uv_timer_t patience;                                                                                           \
        bool out_of_patience = false;                                                                                  \
        uv_timer_init(&(f)->loop, &patience);                                                                          \
        patience.data = &out_of_patience;                                                                              \
        uv_update_time(&(f)->loop);                                                                                    \
        uv_timer_start(&patience, on_patience, PATIENCE_MS, 0);                                                        \
        while (!(condition) && !out_of_patience)                                                                       \
            uv_run(&(f)->loop, UV_RUN_ONCE);                                                                           \
        uv_close((uv_handle_t *)&patience, NULL);                                                                      \
        uv_run(&(f)->loop, UV_RUN_NOWAIT);                                                                             \
        assert_false(out_of_patience);                                                                                 \
    } while (0)

static inline void run_for(struct fixture *f, unsigned ms)
{
    uint64_t end_ns = uv_hrtime() + (uint64_t)ms * 1000000;
    while (uv_hrtime() < end_ns) {
        uv_run(&f->loop, UV_RUN_NOWAIT);
        uv_sleep(1);
    }
}

static void on_state(void *user, bool connected, const char *why)
{
    struct fixture *f = user;
    f->ups += connected;
    f->downs += !connected;
    snprintf(f->state, sizeof f->state, "%s", why);
}

static inline void client_begin(struct fixture *f, const struct address *address, uint32_t timeout_ms, bool fail_fast)
{
    struct client_options options = {
        .name = "test", .timeout_ms = timeout_ms, .fail_fast = fail_fast, .on_state = on_state, .user = f};
    assert_int_equal(client_new(&f->loop, address, &options, &f->client), 0);
}

static inline int setup(void **state)
{
    struct fixture *f = fixture_now = calloc(1, sizeof *f);
    uv_loop_init(&f->loop);
    peer_start(&f->peer, &f->loop);
    *state = f;
    return 0;
}

static void on_client_closed(void *user) { ((struct fixture *)user)->client_closed = true; }

/* Everything ends, and nothing stays in the loop. */
static inline int teardown(void **state)
{
    struct fixture *f = *state;
    if (f->client && !f->client_closed) {
        client_free(f->client, on_client_closed, f);
        run_until(f, f->client_closed);
    }
    peer_stop(&f->peer);
    run_until(f, f->peer.conn_count == 0);
    peer_end(&f->peer);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    free(f);
    return 0;
}

/* A client that is connected. */
static inline int setup_connected(void **state)
{
    setup(state);
    struct fixture *f = *state;
    struct address address = peer_address(&f->peer);
    client_begin(f, &address, 0, false);
    run_until(f, backend_connected(client_backend(f->client)));
    return 0;
}

#define TEST_FRESH(test)     cmocka_unit_test_setup_teardown(test, setup, teardown)
#define TEST_CONNECTED(test) cmocka_unit_test_setup_teardown(test, setup_connected, teardown)

#endif
