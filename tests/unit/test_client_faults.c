#include "tests/unit/client_fixture.h"

/* --- no connection ------------------------------------------------------------------------------------------------ */

static void requests_wait_for_a_server_that_comes_later(void **state)
{
    struct fixture *f = *state;
    struct call call;
    struct address address = peer_address(&f->peer);
    peer_deafen(&f->peer);
    client_begin(f, &address, 0, false);
    call_start(f, &call, KV_OP_APPEND, 5);
    run_for(f, 150);
    assert_false(call.ended);
    assert_int_equal(f->downs, 1);
    assert_non_null(strstr(f->state, "connection refused"));
    peer_listen(&f->peer);
    run_until(f, f->peer.count == 1);
    peer_answer(&f->peer.requests[0]);
    run_until(f, call.ended);
    assert_int_equal(call.error, 0);
    assert_int_equal(f->ups, 1);
}

static void a_deadline_says_what_was_tried(void **state)
{
    struct fixture *f = *state;
    struct call call;
    struct address address = peer_address(&f->peer);
    peer_deafen(&f->peer);
    client_begin(f, &address, 200, false);
    call_start(f, &call, KV_OP_GET, 5);
    uint64_t begin_ns = uv_hrtime();
    run_until(f, call.ended);
    uint64_t took_ms = (uv_hrtime() - begin_ns) / 1000000;
    assert_true(took_ms >= 195 && took_ms < 2000);
    assert_int_equal(call.error, -ETIMEDOUT);
    assert_non_null(strstr(call.text, address.text));
    assert_non_null(strstr(call.text, "no answer within 0.2 s; connected "));
    assert_non_null(strstr(call.text, "times in vain, last: connection refused"));
}

static void attempts_become_fewer(void **state)
{
    struct fixture *f = *state;
    struct address address = peer_address(&f->peer);
    f->peer.hello_error = KV_LOADING;
    client_begin(f, &address, 0, false);
    run_for(f, 200);
    unsigned early = f->peer.accepted;
    assert_in_range(early, 2, 12); /* waits of 10 to 20 ms, 20 to 40, 40 to 80, 80 to 160 */
    run_for(f, 800);
    assert_in_range(f->peer.accepted - early, 1, 6); /* 80 to 160, 160 to 320, 320 to 640, 500 to 1000 */
}

static void fail_fast_ends_calls_when_nobody_listens(void **state)
{
    struct fixture *f = *state;
    struct call first, second;
    struct address address = peer_address(&f->peer);
    peer_deafen(&f->peer);
    client_begin(f, &address, 0, true);
    call_start(f, &first, KV_OP_GET, 5);
    call_start(f, &second, KV_OP_APPEND, 6);
    run_until(f, f->ended == 2);
    assert_int_equal(first.error, -ECONNREFUSED);
    assert_int_equal(second.error, -ECONNREFUSED);
    assert_non_null(strstr(first.text, "connection refused"));
}

static void fail_fast_names_a_socket_that_is_not_there(void **state)
{
    struct fixture *f = *state;
    struct call call;
    struct address address = {.kind = ADDRESS_UNIX, .path = "/nowhere/kvfs.sock", .text = "/nowhere/kvfs.sock"};
    client_begin(f, &address, 0, true);
    call_start(f, &call, KV_OP_GET, 5);
    run_until(f, call.ended);
    assert_int_equal(call.error, -ECONNREFUSED); /* and not ENOENT, which a key has */
    assert_non_null(strstr(call.text, "/nowhere/kvfs.sock: no such file"));
}

/* --- no entry ----------------------------------------------------------------------------------------------------- */

static void a_wrong_password_ends_everything_at_once(void **state)
{
    struct fixture *f = *state;
    struct call waiting, later;
    struct address address = peer_address(&f->peer);
    f->peer.hello_error = KV_NOAUTH;
    client_begin(f, &address, 0, false);
    call_start(f, &waiting, KV_OP_GET, 5);
    run_until(f, waiting.ended);
    assert_int_equal(waiting.error, KV_NOAUTH);
    assert_non_null(strstr(waiting.text, "no entry"));
    const struct kv_reply *reply = call_submit_value(f, &later, KV_OP_GET, 6, (struct bytes){0});
    assert_non_null(reply);
    assert_int_equal(reply->error, KV_NOAUTH);
    f->peer.hello_error = 0;
    run_until(f, backend_connected(client_backend(f->client)));
    call_start(f, &later, KV_OP_GET, 6);
    run_until(f, f->peer.count == 1);
    peer_answer(&f->peer.requests[0]);
    run_until(f, later.ended);
    assert_int_equal(later.error, 0);
}

static void another_protocol_is_named_as_such(void **state)
{
    struct fixture *f = *state;
    struct call call;
    struct address address = peer_address(&f->peer);
    f->peer.hello_garbage = "HTTP/1.1 400 Bad Request\r\n\r\n";
    client_begin(f, &address, 0, false);
    call_start(f, &call, KV_OP_GET, 5);
    run_until(f, call.ended);
    assert_int_equal(call.error, -EPROTO);
    assert_non_null(strstr(call.text, "what answers there is no kvfs store"));
}

static void a_server_that_loads_is_waited_for(void **state)
{
    struct fixture *f = *state;
    struct call call;
    struct address address = peer_address(&f->peer);
    f->peer.hello_error = KV_LOADING;
    client_begin(f, &address, 0, false);
    call_start(f, &call, KV_OP_GET, 5);
    run_for(f, 100);
    assert_false(call.ended);
    f->peer.hello_error = 0;
    run_until(f, f->peer.count == 1);
    peer_answer(&f->peer.requests[0]);
    run_until(f, call.ended);
    assert_int_equal(call.error, 0);
}

static void a_server_that_is_silent_is_given_up(void **state)
{
    struct fixture *f = *state;
    struct address address = peer_address(&f->peer);
    f->peer.hello_silent = true;
    client_begin(f, &address, 0, false);
    run_until(f, f->downs == 1);
    assert_non_null(strstr(f->state, "no answer to our hello within"));
    assert_int_equal(f->peer.accepted, 1);
}

/* --- a broken connection ------------------------------------------------------------------------------------------ */

static void a_break_resends_what_may_be_and_ends_the_rest_uncertain(void **state)
{
    struct fixture *f = *state;
    struct call get, append, set, write, waiting;
    call_start(f, &get, KV_OP_GET, 1);
    call_start(f, &append, KV_OP_APPEND, 2);
    call_start(f, &write, KV_OP_WRITE, 3);
    call_start(f, &set, KV_OP_SET, 4);
    run_until(f, f->peer.count == 4);
    peer_deafen(&f->peer);
    peer_drop(&f->peer);
    run_until(f, f->downs == 1);
    call_start(f, &waiting, KV_OP_APPEND, 5);
    peer_listen(&f->peer);
    run_until(f, f->peer.count == 7);
    assert_int_equal(f->ended, 2);
    assert_int_equal(append.error, KV_UNCERTAIN);
    assert_int_equal(set.error, KV_UNCERTAIN);
    assert_non_null(strstr(append.text, "the change may or may not have happened"));
    assert_int_equal(f->peer.requests[4].tag, 1);
    assert_int_equal(f->peer.requests[5].tag, 3);
    assert_int_equal(f->peer.requests[4].id, f->peer.requests[0].id);
    assert_int_equal(f->peer.requests[5].id, f->peer.requests[2].id);
    assert_int_equal(f->peer.requests[6].tag, 5);
    for (int i = 4; i < 7; i++)
        peer_answer(&f->peer.requests[i]);
    run_until(f, get.ended && write.ended && waiting.ended);
    assert_int_equal(get.error, 0);
    assert_int_equal(write.error, 0);
    assert_int_equal(f->downs, 1);
    assert_int_equal(f->ups, 2);
}

static void a_deadline_counts_through_a_break(void **state)
{
    struct fixture *f = *state;
    struct call call;
    struct address address = peer_address(&f->peer);
    client_begin(f, &address, 150, false);
    call_start(f, &call, KV_OP_GET, 1);
    run_until(f, f->peer.count == 1);
    peer_deafen(&f->peer);
    peer_drop(&f->peer);
    run_until(f, call.ended);
    assert_int_equal(call.error, -ETIMEDOUT);
}

/* --- an answer too late ------------------------------------------------------------------------------------------- */

static void a_late_answer_is_ignored(void **state)
{
    struct fixture *f = *state;
    struct call late, next;
    struct address address = peer_address(&f->peer);
    client_begin(f, &address, 300, false);
    call_start(f, &late, KV_OP_APPEND, 1);
    run_until(f, late.ended);
    assert_int_equal(late.error, -ETIMEDOUT);
    assert_non_null(strstr(late.text, "the change may or may not have happened"));
    peer_answer(&f->peer.requests[0]);
    call_start(f, &next, KV_OP_GET, 2);
    run_until(f, f->peer.count == 2);
    peer_answer(&f->peer.requests[1]);
    run_until(f, next.ended);
    assert_int_equal(next.error, 0);
    assert_int_equal(late.ended, 1);
    assert_int_equal(f->peer.accepted, 1);
    assert_int_not_equal(f->peer.requests[0].id, f->peer.requests[1].id);
}

static void cancel_ends_the_wait_with_its_code(void **state)
{
    struct fixture *f = *state;
    struct call sent, other;
    call_start(f, &sent, KV_OP_GET, 1);
    call_start(f, &other, KV_OP_GET, 2);
    run_until(f, f->peer.count == 2);
    sent.submitting = true;
    backend_cancel(client_backend(f->client), &sent.call, -EINTR);
    backend_cancel(client_backend(f->client), &sent.call, -EIO);
    sent.submitting = false;
    peer_answer(&f->peer.requests[0]);
    peer_answer(&f->peer.requests[1]);
    run_until(f, f->ended == 2);
    assert_int_equal(sent.error, -EINTR);
    assert_int_equal(other.error, 0);
    assert_int_equal(f->peer.accepted, 1);
}

/* --- an answer that makes no sense -------------------------------------------------------------------------------- */

static void after_nonsense_all_goes_on(struct fixture *f, struct call *get, struct call *append, const char *why)
{
    struct call next;
    run_until(f, get->ended && append->ended);
    assert_int_equal(get->error, -EPROTO);
    assert_non_null(strstr(get->text, why));
    assert_int_equal(append->error, KV_UNCERTAIN);
    assert_non_null(strstr(append->text, why));
    size_t seen = f->peer.count;
    call_start(f, &next, KV_OP_GET, 9);
    run_until(f, f->peer.count == seen + 1);
    assert_int_equal(f->peer.accepted, 2);
    peer_answer(&f->peer.requests[seen]);
    run_until(f, next.ended);
    assert_int_equal(next.error, 0);
}

static void an_answer_to_nothing_breaks_the_connection(void **state)
{
    struct fixture *f = *state;
    struct call get, append;
    call_start(f, &get, KV_OP_GET, 1);
    call_start(f, &append, KV_OP_APPEND, 2);
    run_until(f, f->peer.count == 2);
    struct peer_request invented = f->peer.requests[0];
    invented.id ^= 1u << 20;
    peer_answer(&invented);
    after_nonsense_all_goes_on(f, &get, &append, "a request that was never sent");
}

static void a_second_answer_breaks_the_connection(void **state)
{
    struct fixture *f = *state;
    struct call answered, get, append;
    call_start(f, &answered, KV_OP_GET, 1);
    call_start(f, &get, KV_OP_GET, 2);
    call_start(f, &append, KV_OP_APPEND, 3);
    run_until(f, f->peer.count == 3);
    peer_answer(&f->peer.requests[0]);
    peer_answer(&f->peer.requests[0]);
    after_nonsense_all_goes_on(f, &get, &append, "a request that was never sent");
    assert_int_equal(answered.error, 0);
}

static void an_answer_to_an_earlier_request_is_not_taken_for_a_later_one(void **state)
{
    struct fixture *f = *state;
    struct call earlier, get, append;
    call_start(f, &earlier, KV_OP_GET, 1);
    run_until(f, f->peer.count == 1);
    peer_answer(&f->peer.requests[0]);
    run_until(f, earlier.ended);
    call_start(f, &get, KV_OP_GET, 2);
    call_start(f, &append, KV_OP_APPEND, 3);
    run_until(f, f->peer.count == 3);
    peer_answer(&f->peer.requests[0]);
    after_nonsense_all_goes_on(f, &get, &append, "a request that was never sent");
}

static void an_answer_of_another_shape_breaks_the_connection(void **state)
{
    struct fixture *f = *state;
    struct call get, append;
    call_start(f, &get, KV_OP_GET, 1);
    call_start(f, &append, KV_OP_APPEND, 2);
    run_until(f, f->peer.count == 2);
    struct peer_request wrong = f->peer.requests[0];
    wrong.op = KV_OP_INCR;
    peer_answer(&wrong);
    after_nonsense_all_goes_on(f, &get, &append, "its answer to get has another shape");
}

static void a_request_from_the_server_breaks_the_connection(void **state)
{
    struct fixture *f = *state;
    struct call get, append;
    struct kv_request ping = {.op = KV_OP_PING};
    call_start(f, &get, KV_OP_GET, 1);
    call_start(f, &append, KV_OP_APPEND, 2);
    run_until(f, f->peer.count == 2);
    assert_int_equal(encode_request(&f->peer.requests[0].from->out, 1, &ping), 0);
    conn_flush_soon(f->peer.requests[0].from);
    after_nonsense_all_goes_on(f, &get, &append, "it sent a request");
}

static void bytes_that_are_no_message_break_the_connection(void **state)
{
    struct fixture *f = *state;
    struct call get, append;
    call_start(f, &get, KV_OP_GET, 1);
    call_start(f, &append, KV_OP_APPEND, 2);
    run_until(f, f->peer.count == 2);
    assert_int_equal(buf_append(&f->peer.requests[0].from->out, "\xc1", 1), 0);
    conn_flush_soon(f->peer.requests[0].from);
    after_nonsense_all_goes_on(f, &get, &append, "no MessagePack-RPC");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_FRESH(requests_wait_for_a_server_that_comes_later),
        TEST_FRESH(a_deadline_says_what_was_tried),
        TEST_FRESH(attempts_become_fewer),
        TEST_FRESH(fail_fast_ends_calls_when_nobody_listens),
        TEST_FRESH(fail_fast_names_a_socket_that_is_not_there),
        TEST_FRESH(a_wrong_password_ends_everything_at_once),
        TEST_FRESH(another_protocol_is_named_as_such),
        TEST_FRESH(a_server_that_loads_is_waited_for),
        TEST_FRESH(a_server_that_is_silent_is_given_up),
        TEST_CONNECTED(a_break_resends_what_may_be_and_ends_the_rest_uncertain),
        TEST_FRESH(a_deadline_counts_through_a_break),
        TEST_FRESH(a_late_answer_is_ignored),
        TEST_CONNECTED(cancel_ends_the_wait_with_its_code),
        TEST_CONNECTED(an_answer_to_nothing_breaks_the_connection),
        TEST_CONNECTED(a_second_answer_breaks_the_connection),
        TEST_CONNECTED(an_answer_to_an_earlier_request_is_not_taken_for_a_later_one),
        TEST_CONNECTED(an_answer_of_another_shape_breaks_the_connection),
        TEST_CONNECTED(a_request_from_the_server_breaks_the_connection),
        TEST_CONNECTED(bytes_that_are_no_message_break_the_connection),
    };
    return cmocka_run_group_tests_name("client_faults", tests, NULL, NULL);
}
