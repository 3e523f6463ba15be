#include "tests/unit/client_fixture.h"
#include "tests/unit/seed.h"

/* --- the ordinary ------------------------------------------------------------------------------------------------ */

static void answers_find_their_requests_in_any_order(void **state)
{
    struct fixture *f = *state;
    struct call calls[3];
    for (unsigned i = 0; i < 3; i++)
        call_start(f, &calls[i], KV_OP_GET, 100 + i);
    run_until(f, f->peer.count == 3);
    for (int i = 2; i >= 0; i--)
        peer_answer(&f->peer.requests[i]);
    run_until(f, f->ended == 3);
    for (unsigned i = 0; i < 3; i++) {
        char expected[8];
        snprintf(expected, sizeof expected, "%u", 100 + i);
        assert_int_equal(calls[i].error, 0);
        assert_string_equal(calls[i].value, expected);
        assert_int_equal(calls[i].order, 2 - i);
    }
}

static void an_error_of_the_server_reaches_the_call(void **state)
{
    struct fixture *f = *state;
    struct call call;
    struct kv_reply no = {0};
    call_start(f, &call, KV_OP_GET, 1);
    run_until(f, f->peer.count == 1);
    kv_reply_fail(&no, KV_CROSSSLOT, "not here");
    peer_send(&f->peer.requests[0], &no);
    run_until(f, call.ended);
    assert_int_equal(call.error, KV_CROSSSLOT);
    assert_string_equal(call.text, "not here");
}

static void hello_with_name_and_password_goes_first(void **state)
{
    struct fixture *f = *state;
    struct call call;
    struct address address = peer_address(&f->peer);
    strcpy(address.password, "sesame");
    client_begin(f, &address, 0, false);
    call_start(f, &call, KV_OP_GET, 1);
    run_until(f, f->peer.count == 1);
    assert_string_equal(f->peer.password, "sesame");
    assert_string_equal(f->peer.name, "test");
    assert_false(f->peer.before_hello);
    peer_answer(&f->peer.requests[0]);
    run_until(f, call.ended);
}

static void on_request_answer(struct peer *peer, struct peer_request *request)
{
    (void)peer;
    peer_answer(request);
}

static void client_call_waits_for_its_answer(void **state)
{
    struct fixture *f = *state;
    f->peer.on_request = on_request_answer;
    struct kv_request request = {.op = KV_OP_GET, .node = kv_ref_id(7)};
    const struct kv_reply *reply = client_call(f->client, &request);
    assert_int_equal(reply->error, 0);
    assert_true(bytes_equal(kv_reply_bytes(reply), bytes_of("7")));
    request.node = kv_ref_id(8);
    reply = client_call(f->client, &request);
    assert_true(bytes_equal(kv_reply_bytes(reply), bytes_of("8")));
}

struct chain {
    struct call call; /* first */
    struct fixture *f;
    unsigned left;
};

static void on_chain_reply(struct kv_call *kv_call, const struct kv_reply *reply)
{
    struct chain *chain = (struct chain *)kv_call;
    assert_int_equal(reply->error, 0);
    struct kv_request request = {.op = KV_OP_GET, .node = kv_ref_id(1)};
    if (--chain->left)
        assert_null(backend_submit(client_backend(chain->f->client), &request, kv_call));
}

static void a_call_may_be_submitted_again_in_its_callback(void **state)
{
    struct fixture *f = *state;
    struct chain chain = {.call.call.on_reply = on_chain_reply, .f = f, .left = 100};
    struct kv_request request = {.op = KV_OP_GET, .node = kv_ref_id(1)};
    f->peer.on_request = on_request_answer;
    assert_null(backend_submit(client_backend(f->client), &request, &chain.call.call));
    run_until(f, chain.left == 0);
    assert_int_equal(f->peer.count, 100);
}

/* --- bounds ------------------------------------------------------------------------------------------------------- */

static void no_more_than_inflight_max_are_sent_at_once(void **state)
{
    enum { MORE = 50 };
    struct fixture *f = *state;
    struct call *calls = calloc(CLIENT_INFLIGHT_MAX + MORE, sizeof *calls);
    for (unsigned i = 0; i < CLIENT_INFLIGHT_MAX + MORE; i++)
        call_start(f, &calls[i], KV_OP_GET, i);
    run_until(f, f->peer.count == CLIENT_INFLIGHT_MAX);
    run_for(f, 50);
    assert_int_equal(f->peer.count, CLIENT_INFLIGHT_MAX);
    peer_answer(&f->peer.requests[5]);
    run_until(f, f->peer.count == CLIENT_INFLIGHT_MAX + 1);
    assert_int_equal(f->peer.requests[CLIENT_INFLIGHT_MAX].tag, CLIENT_INFLIGHT_MAX);
    f->peer.on_request = on_request_answer;
    for (size_t i = 0; i < CLIENT_INFLIGHT_MAX + 1; i++)
        if (!f->peer.requests[i].answered)
            peer_answer(&f->peer.requests[i]);
    run_until(f, f->ended == CLIENT_INFLIGHT_MAX + MORE);
    for (unsigned i = 0; i < CLIENT_INFLIGHT_MAX + MORE; i++)
        assert_int_equal(calls[i].error, 0);
    free(calls);
}

static void what_was_in_flight_goes_before_what_waits(void **state)
{
    struct fixture *f = *state;
    struct call *calls = calloc(CLIENT_INFLIGHT_MAX + 1, sizeof *calls);
    for (unsigned i = 0; i < CLIENT_INFLIGHT_MAX + 1; i++)
        call_start(f, &calls[i], KV_OP_GET, i);
    run_until(f, f->peer.count == CLIENT_INFLIGHT_MAX);
    peer_drop(&f->peer);
    run_until(f, f->peer.count == 2 * CLIENT_INFLIGHT_MAX);
    for (unsigned i = 0; i < CLIENT_INFLIGHT_MAX; i++)
        assert_int_equal(f->peer.requests[CLIENT_INFLIGHT_MAX + i].tag, i);
    client_free(f->client, on_client_closed, f);
    run_until(f, f->client_closed);
    free(calls);
}

/* What the connection had taken ends uncertain when it breaks; what waited does not. */
static void no_more_bytes_than_output_bytes_are_given_to_the_connection(void **state)
{
    enum { CALLS = 40, VALUE_BYTES = 1 << 20, TAKEN_MAX = CLIENT_OUTPUT_BYTES / VALUE_BYTES + 1 };
    struct fixture *f = *state;
    static struct call calls[CALLS];
    unsigned uncertain = 0;
    char *value = calloc(1, VALUE_BYTES);
    for (unsigned i = 0; i < CALLS; i++)
        assert_null(call_submit_value(f, &calls[i], KV_OP_APPEND, i, bytes_make(value, VALUE_BYTES)));
    peer_drop(&f->peer);
    f->peer.on_request = on_request_answer;
    run_until(f, f->ended == CALLS);
    for (unsigned i = 0; i < CALLS; i++)
        uncertain += calls[i].error == KV_UNCERTAIN;
    assert_in_range(uncertain, 1, TAKEN_MAX);
    free(value);
}

static void past_requests_max_submit_says_busy(void **state)
{
    struct fixture *f = *state;
    struct call *calls = calloc(CLIENT_REQUESTS_MAX + 1, sizeof *calls);
    struct address address = peer_address(&f->peer);
    peer_deafen(&f->peer);
    client_begin(f, &address, 0, false);
    for (unsigned i = 0; i < CLIENT_REQUESTS_MAX; i++)
        call_start(f, &calls[i], KV_OP_GET, i);
    const struct kv_reply *reply = call_submit_value(f, &calls[CLIENT_REQUESTS_MAX], KV_OP_GET, 1, (struct bytes){0});
    assert_non_null(reply);
    assert_int_equal(reply->error, KV_BUSY);
    backend_cancel(client_backend(f->client), &calls[3].call, -EINTR);
    run_until(f, calls[3].ended);
    call_start(f, &calls[3], KV_OP_GET, 3);
    client_free(f->client, on_client_closed, f);
    run_until(f, f->client_closed);
    assert_int_equal(f->ended, CLIENT_REQUESTS_MAX + 1);
    free(calls);
}

static void past_held_bytes_submit_says_busy(void **state)
{
    enum { VALUE_BYTES = 64 << 20 };
    struct fixture *f = *state;
    struct call calls[4];
    char *value = calloc(1, VALUE_BYTES);
    struct address address = peer_address(&f->peer);
    peer_deafen(&f->peer);
    client_begin(f, &address, 0, false);
    for (int i = 0; i < 3; i++)
        assert_null(call_submit_value(f, &calls[i], KV_OP_WRITE, 1, bytes_make(value, VALUE_BYTES)));
    const struct kv_reply *reply = call_submit_value(f, &calls[3], KV_OP_WRITE, 1, bytes_make(value, VALUE_BYTES));
    assert_non_null(reply);
    assert_int_equal(reply->error, KV_BUSY);
    backend_cancel(client_backend(f->client), &calls[0].call, -EINTR);
    assert_null(call_submit_value(f, &calls[3], KV_OP_WRITE, 1, bytes_make(value, VALUE_BYTES)));
    client_free(f->client, on_client_closed, f);
    run_until(f, f->client_closed);
    free(value);
}

static void on_request_answer_long(struct peer *peer, struct peer_request *request)
{
    (void)peer;
    static char value[256 << 10];
    struct bytes piece = {value, sizeof value};
    struct kv_reply reply = {.kind = KV_REPLY_BYTES, .pieces = &piece, .count = 1, .bytes = sizeof value};
    if (request->op == KV_OP_GET)
        peer_send(request, &reply);
    else
        peer_answer(request);
}

/* The peer stops reading while much waits to be sent to us; were we to do the same, all would stand still. */
static void long_requests_and_long_answers_do_not_wait_for_each_other(void **state)
{
    enum { CALLS = 128 };
    struct fixture *f = *state;
    static struct call calls[CALLS];
    static char value[256 << 10];
    f->peer.on_request = on_request_answer_long;
    for (unsigned i = 0; i < CALLS; i++)
        assert_null(
            call_submit_value(f, &calls[i], i % 2 ? KV_OP_APPEND : KV_OP_GET, i, bytes_make(value, sizeof value)));
    run_until(f, f->ended == CALLS);
    for (unsigned i = 0; i < CALLS; i++)
        assert_int_equal(calls[i].error, 0);
}

/* --- the end ------------------------------------------------------------------------------------------------------ */

static void free_ends_what_waits_and_what_is_in_flight(void **state)
{
    struct fixture *f = *state;
    struct call sent, write, waiting;
    call_start(f, &sent, KV_OP_GET, 1);
    call_start(f, &write, KV_OP_APPEND, 2);
    run_until(f, f->peer.count == 2);
    call_start(f, &waiting, KV_OP_GET, 3);
    client_free(f->client, on_client_closed, f);
    assert_int_equal(f->ended, 0);
    run_until(f, f->client_closed);
    assert_int_equal(sent.error, -ECANCELED);
    assert_int_equal(write.error, -ECANCELED);
    assert_int_equal(waiting.error, -ECANCELED);
    assert_int_equal(f->ended, 3);
}

static void on_reply_free(struct kv_call *kv_call, const struct kv_reply *reply)
{
    struct call *call = (struct call *)kv_call;
    call->ended++;
    call->error = reply->error;
    if (!fixture_now->client_closed && reply->error == 0)
        client_free(fixture_now->client, on_client_closed, fixture_now);
}

static void a_client_may_be_freed_in_a_callback(void **state)
{
    struct fixture *f = *state;
    struct call first, second;
    call_start(f, &first, KV_OP_GET, 1);
    call_start(f, &second, KV_OP_GET, 2);
    first.call.on_reply = on_reply_free;
    run_until(f, f->peer.count == 2);
    peer_answer(&f->peer.requests[0]);
    peer_answer(&f->peer.requests[1]);
    run_until(f, f->client_closed);
    assert_int_equal(first.ended, 1);
    assert_int_equal(second.ended, 1);
    assert_int_equal(second.error, -ECANCELED);
}

/* --- chance ------------------------------------------------------------------------------------------------------- */

enum { CHANCE_CALLS = 400 };

static unsigned times_seen(const struct peer *peer, uint64_t tag, bool answered_only)
{
    unsigned seen = 0;
    for (size_t i = 0; i < peer->count; i++)
        seen += peer->requests[i].tag == tag && (!answered_only || peer->requests[i].answered);
    return seen;
}

static void peer_act(struct fixture *f, struct chance *chance, struct call *calls, uint64_t started)
{
    uint64_t dice = chance_below(chance, 100);
    if (dice < 4)
        peer_drop(&f->peer);
    else if (dice < 6 && f->peer.listener)
        peer_deafen(&f->peer);
    else if (dice < 20 && !f->peer.listener)
        peer_listen(&f->peer);
    else if (dice < 25 && started) {
        struct call *call = &calls[chance_below(chance, started)];
        if (!call->ended)
            backend_cancel(client_backend(f->client), &call->call, -EINTR);
    } else if (f->peer.count) {
        struct peer_request *request = &f->peer.requests[chance_below(chance, f->peer.count)];
        if (!request->answered && request->from)
            peer_answer(request);
    }
}

static void answer_all(struct peer *peer)
{
    peer->on_request = on_request_answer;
    for (size_t i = 0; i < peer->count; i++)
        if (!peer->requests[i].answered && peer->requests[i].from)
            peer_answer(&peer->requests[i]);
}

/* Whatever breaks when: every call ends once; what may not be sent twice never is; what may be ends well. */
static void every_call_ends_once_whatever_happens(void **state)
{
    struct fixture *f = *state;
    struct chance chance = chance_start("every_call_ends_once_whatever_happens");
    static struct call calls[CHANCE_CALLS];
    static bool appends[CHANCE_CALLS];
    uint64_t started = 0;
    f->ended = 0;
    while (started < CHANCE_CALLS) {
        if (chance_below(&chance, 3) == 0) {
            appends[started] = chance_below(&chance, 2);
            call_start(f, &calls[started], appends[started] ? KV_OP_APPEND : KV_OP_GET, started);
            started++;
        }
        peer_act(f, &chance, calls, started);
        uv_run(&f->loop, UV_RUN_NOWAIT);
    }
    if (!f->peer.listener)
        peer_listen(&f->peer);
    answer_all(&f->peer);
    run_until(f, f->ended == CHANCE_CALLS);
    for (unsigned i = 0; i < CHANCE_CALLS; i++) {
        assert_int_equal(calls[i].ended, 1);
        if (appends[i])
            assert_true(times_seen(&f->peer, i, false) <= 1);
        if (calls[i].error == 0)
            assert_true(times_seen(&f->peer, i, true) >= 1);
        else
            assert_true(calls[i].error == -EINTR || (appends[i] && calls[i].error == KV_UNCERTAIN));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_CONNECTED(answers_find_their_requests_in_any_order),
        TEST_CONNECTED(an_error_of_the_server_reaches_the_call),
        TEST_FRESH(hello_with_name_and_password_goes_first),
        TEST_CONNECTED(client_call_waits_for_its_answer),
        TEST_CONNECTED(a_call_may_be_submitted_again_in_its_callback),
        TEST_CONNECTED(no_more_than_inflight_max_are_sent_at_once),
        TEST_CONNECTED(what_was_in_flight_goes_before_what_waits),
        TEST_CONNECTED(no_more_bytes_than_output_bytes_are_given_to_the_connection),
        TEST_FRESH(past_requests_max_submit_says_busy),
        TEST_FRESH(past_held_bytes_submit_says_busy),
        TEST_CONNECTED(long_requests_and_long_answers_do_not_wait_for_each_other),
        TEST_CONNECTED(free_ends_what_waits_and_what_is_in_flight),
        TEST_CONNECTED(a_client_may_be_freed_in_a_callback),
        TEST_CONNECTED(every_call_ends_once_whatever_happens),
    };
    return cmocka_run_group_tests_name("client", tests, NULL, NULL);
}
