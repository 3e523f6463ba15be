#include "kvcore/tools/bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

static struct bench_options options_make(unsigned pipeline, size_t value_bytes)
{
    return (struct bench_options){.pipeline = pipeline, .value_bytes = value_bytes, .prefix = "", .clients = 1};
}

static const struct bench_test *test_named(const char *name) { return bench_test_find(name, strlen(name)); }

/* Decodes the messages in `bytes` one by one; returns how many there are. */
static unsigned decode_all(struct bytes bytes, void (*on_request)(const struct message *message, void *user),
                           void *user)
{
    struct decoder *decoder = decoder_new();
    unsigned count = 0;
    for (size_t at = 0; at < bytes.len; count++) {
        struct frame_scan scan = {0};
        struct message message;
        assert_int_equal(frame_scan(&scan, bytes.data + at, bytes.len - at), 1);
        assert_int_equal(message_decode(decoder, bytes_make(bytes.data + at, scan.at), &message), 0);
        assert_int_equal(message.type, MESSAGE_REQUEST);
        assert_int_equal(message.error, 0);
        assert_int_equal(message.id, count);
        on_request(&message, user);
        at += scan.at;
    }
    decoder_free(decoder);
    return count;
}

static void expect_set(const struct message *message, void *user)
{
    (void)user;
    assert_int_equal(message->request.op, KV_OP_SET);
    assert_true(bytes_equal(message->request.node.name, bytes_of("key:000000000000")));
    assert_int_equal(message->request.value.len, 1);
}

static void a_batch_is_whole_requests_and_may_be_cut_short(void **state)
{
    (void)state;
    struct bench_options options = options_make(300, 1);
    struct bench_batch batch;
    struct buf out = {0};
    uint64_t chance = 1;
    assert_int_equal(bench_batch_build(test_named("set"), &options, &batch), 0);
    assert_int_equal(bench_batch_append(&batch, 300, 0, &chance, &out), 0);
    assert_int_equal(decode_all(buf_bytes(&out), expect_set, NULL), 300);
    out.len = 0;
    assert_int_equal(bench_batch_append(&batch, 7, 0, &chance, &out), 0);
    assert_int_equal(decode_all(buf_bytes(&out), expect_set, NULL), 7);
    buf_close(&out);
    bench_batch_close(&batch);
}

enum { KEYSPACE = 20 };

static void note_key(struct bytes key, bool *seen)
{
    char text[64], *end;
    assert_true(key.len < sizeof text);
    memcpy(text, key.data, key.len);
    text[key.len] = '\0';
    const char *digits = strrchr(text, ':') + 1;
    assert_int_equal(strlen(digits), BENCH_KEY_DIGITS);
    unsigned long number = strtoul(digits, &end, 10);
    assert_true(*end == '\0' && number < KEYSPACE);
    seen[number] = true;
}

static void note_keys(const struct message *message, void *user)
{
    const struct kv_request *request = &message->request;
    if (request->op != KV_OP_MSET)
        note_key(request->node.name, user);
    for (size_t i = 0; i < request->node_count; i++) {
        note_key(request->nodes[i].name, user);
        assert_int_equal(request->values[i].len, 12);
    }
}

/* The value has twelve bytes too, so that a digit written in the wrong place has somewhere to go. */
static void random_keys_cover_the_keyspace_and_stay_in_it(void **state)
{
    (void)state;
    static const char *const names[] = {"set", "get", "incr", "append", "mset"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct bench_options options = options_make(200, 12);
        struct bench_batch batch;
        struct buf out = {0};
        uint64_t chance = 42;
        bool seen[KEYSPACE] = {false};
        assert_int_equal(bench_batch_build(test_named(names[i]), &options, &batch), 0);
        assert_int_equal(bench_batch_append(&batch, 200, KEYSPACE, &chance, &out), 0);
        assert_int_equal(decode_all(buf_bytes(&out), note_keys, seen), 200);
        for (int number = 0; number < KEYSPACE; number++)
            assert_true(seen[number]);
        buf_close(&out);
        bench_batch_close(&batch);
    }
}

static void expect_no_key(const struct message *message, void *user)
{
    (void)user;
    assert_int_equal(message->request.op, KV_OP_PING);
}

static void a_test_without_keys_ignores_the_keyspace(void **state)
{
    (void)state;
    struct bench_options options = options_make(3, 12);
    struct bench_batch batch;
    struct buf out = {0};
    uint64_t chance = 1;
    assert_int_equal(bench_batch_build(test_named("ping"), &options, &batch), 0);
    assert_int_equal(bench_batch_append(&batch, 3, 1000, &chance, &out), 0);
    assert_int_equal(decode_all(buf_bytes(&out), expect_no_key, NULL), 3);
    buf_close(&out);
    bench_batch_close(&batch);
}

static void a_batch_past_its_bound_is_refused(void **state)
{
    (void)state;
    struct bench_options options = options_make(3, 100 << 20);
    struct bench_batch batch;
    assert_int_equal(bench_batch_build(test_named("set"), &options, &batch), -E2BIG);
}

static void unknown_tests_are_not_found(void **state)
{
    (void)state;
    assert_null(test_named("lpush"));
    assert_null(bench_test_find("settle", 2));
    assert_non_null(bench_test_find("settle", 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_is_whole_requests_and_may_be_cut_short),
        cmocka_unit_test(random_keys_cover_the_keyspace_and_stay_in_it),
        cmocka_unit_test(a_test_without_keys_ignores_the_keyspace),
        cmocka_unit_test(a_batch_past_its_bound_is_refused),
        cmocka_unit_test(unknown_tests_are_not_found),
    };
    return cmocka_run_group_tests_name("bench_batch", tests, NULL, NULL);
}
