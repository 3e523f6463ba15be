#include "kvcore/base/error.h"
#include "kvcore/rpc/message.h"
#include "tests/unit/message_random.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct decoder *decoder;
static struct random_message random_state;

/* The bytes in a block of their own, so that the sanitizer sees the end of them. */
static struct bytes tight(const char *data, size_t len)
{
    static char *block;
    free(block);
    block = malloc(len ? len : 1);
    assert_non_null(block);
    memcpy(block, data, len);
    return bytes_make(block, len);
}

static int decode_literal(const char *data, size_t len, struct message *ret_message)
{
    struct frame_scan scan = {0};
    assert_int_equal(frame_scan(&scan, data, len), 1);
    assert_int_equal(scan.at, len);
    return message_decode(decoder, tight(data, len), ret_message);
}

#define DECODE(literal, message) decode_literal(literal, sizeof(literal) - 1, message)

static void every_operation_is_found_by_its_name(void **state)
{
    (void)state;
    for (enum kv_op op = 0; op < KV_OP_COUNT; op++) {
        struct bytes name = bytes_of(kv_op_info(op)->name);
        assert_int_equal(kv_op_from_name(tight(name.data, name.len)), op);
        for (size_t len = 0; len < name.len; len++) {
            enum kv_op found = kv_op_from_name(tight(name.data, len));
            assert_true(found == KV_OP_COUNT || strlen(kv_op_info(found)->name) == len);
        }
        char longer[32];
        memcpy(longer, name.data, name.len + 1); /* with its NUL */
        assert_int_equal(kv_op_from_name(bytes_make(longer, name.len + 1)), KV_OP_COUNT);
    }
}

static void requests_of_every_operation_come_back_as_they_were(void **state)
{
    (void)state;
    random_message_start(&random_state, __func__);
    struct buf out = {0};
    for (int round = 0; round < 100; round++)
        for (enum kv_op op = 0; op < KV_OP_COUNT; op++) {
            struct kv_request request;
            struct message message;
            uint32_t id = (uint32_t)random_uint(&random_state);
            random_request(&random_state, op, &request);
            out.len = 0;
            assert_int_equal(encode_request(&out, id, &request), 0);
            assert_int_equal(decode_literal(out.data, out.len, &message), 0);
            assert_int_equal(message.type, MESSAGE_REQUEST);
            assert_int_equal(message.id, id);
            assert_string_equal(message.text, "");
            assert_int_equal(message.error, 0);
            assert_true(same_request(&request, &message.request));
        }
    buf_close(&out);
}

static void replies_of_every_operation_come_back_as_they_were(void **state)
{
    (void)state;
    random_message_start(&random_state, __func__);
    struct buf out = {0};
    for (int round = 0; round < 100; round++)
        for (enum kv_op op = 0; op < KV_OP_COUNT; op++) {
            struct kv_reply reply, got;
            struct message message;
            uint32_t options = kv_op_info(op)->options & (uint32_t)random_uint(&random_state);
            random_reply(&random_state, op, options, &reply);
            out.len = 0;
            assert_int_equal(encode_reply(&out, 77, &reply), 0);
            assert_int_equal(decode_literal(out.data, out.len, &message), 0);
            assert_int_equal(message.type, MESSAGE_RESPONSE);
            assert_int_equal(message.id, 77);
            assert_int_equal(decode_result(decoder, op, options, &got), 0);
            assert_true(same_reply(&reply, &got));
        }
    buf_close(&out);
}

/* Reads every byte that a request points to, for the sanitizer. */
static unsigned touch(struct bytes bytes)
{
    unsigned sum = 0;
    for (size_t i = 0; i < bytes.len; i++)
        sum += (unsigned char)bytes.data[i];
    return sum;
}

static unsigned touch_request(const struct kv_request *request)
{
    unsigned sum = touch(request->node.name) + touch(request->target.name) + touch(request->value) +
                   touch(request->name) + touch(request->after);
    for (size_t i = 0; i < request->node_count; i++)
        sum += touch(request->nodes[i].name) + (request->values ? touch(request->values[i]) : 0);
    return sum;
}

static unsigned touch_reply(const struct kv_reply *reply)
{
    unsigned sum = 0;
    for (size_t i = 0; reply->pieces && i < reply->count; i++)
        sum += touch(reply->pieces[i]);
    for (size_t i = 0; reply->entries && i < reply->count; i++)
        sum += touch(reply->entries[i].name);
    for (size_t i = 0; reply->fields && i < reply->count; i++)
        sum += touch(reply->fields[i].text) + (unsigned)strlen(reply->fields[i].name);
    return sum;
}

/* Whatever the bytes are: they are refused, or all that the result points to can be read. */
static void survive(const char *data, size_t len, enum kv_op op, uint32_t options)
{
    static volatile unsigned sink;
    struct frame_scan scan = {0};
    struct message message;
    struct kv_reply reply;
    struct bytes frame = tight(data, len);
    if (frame_scan(&scan, frame.data, frame.len) != 1)
        return;
    if (message_decode(decoder, bytes_make(frame.data, scan.at), &message) < 0)
        return;
    assert_true(strlen(message.text) < ERROR_TEXT_BYTES);
    if (message.type == MESSAGE_RESPONSE) {
        if (decode_result(decoder, op, options, &reply) == 0 && reply.error == 0)
            sink += touch_reply(&reply);
    } else if (message.error == 0) {
        sink += touch_request(&message.request);
    }
}

static void flip_every_bit(struct buf *out, enum kv_op op, uint32_t options)
{
    for (size_t bit = 0; bit < out->len * 8; bit++) {
        out->data[bit / 8] ^= (char)(1 << bit % 8);
        survive(out->data, out->len, op, options);
        out->data[bit / 8] ^= (char)(1 << bit % 8);
    }
}

static void cut_at_every_length(const struct buf *out)
{
    struct message message;
    for (size_t len = 0; len < out->len; len++) {
        struct frame_scan scan = {0};
        assert_int_equal(frame_scan(&scan, tight(out->data, len).data, len), 0);
        assert_int_equal(message_decode(decoder, tight(out->data, len), &message), -EPROTO);
    }
}

static void cut_and_flipped_messages_do_no_harm(void **state)
{
    (void)state;
    random_message_start(&random_state, __func__);
    struct buf out = {0};
    for (enum kv_op op = 0; op < KV_OP_COUNT; op++)
        for (int reply = 0; reply < 2; reply++) {
            struct kv_request request;
            struct kv_reply answer;
            do {
                out.len = 0;
                random_request(&random_state, op, &request);
                random_reply(&random_state, op, request.options, &answer);
                assert_int_equal(reply ? encode_reply(&out, 9, &answer) : encode_request(&out, 9, &request), 0);
            } while (out.len > 1500);
            cut_at_every_length(&out);
            flip_every_bit(&out, op, request.options);
        }
    buf_close(&out);
}

/* A server that answers in another shape than the request's does not crash the client. */
static void a_reply_of_another_shape_is_refused_or_read(void **state)
{
    (void)state;
    random_message_start(&random_state, __func__);
    struct buf out = {0};
    for (enum kv_op sent = 0; sent < KV_OP_COUNT; sent++)
        for (enum kv_op op = 0; op < KV_OP_COUNT; op++) {
            struct kv_reply reply;
            random_reply(&random_state, sent, 0, &reply);
            out.len = 0;
            assert_int_equal(encode_reply(&out, 1, &reply), 0);
            survive(out.data, out.len, op, kv_op_info(op)->options);
        }
    buf_close(&out);
}

static void envelopes_that_are_not_messagepack_rpc_are_beyond_repair(void **state)
{
    (void)state;
    struct message message;
    assert_int_equal(DECODE("\x90", &message), -EPROTO);
    assert_int_equal(DECODE("\x93\x00\x01\xa4ping", &message), -EPROTO);
    assert_int_equal(DECODE("\x95\x00\x01\xa4ping\x90\xc0", &message), -EPROTO);
    assert_int_equal(DECODE("\x94\x03\x01\xa4ping\x90", &message), -EPROTO);
    assert_int_equal(DECODE("\x94\xff\x01\xa4ping\x90", &message), -EPROTO);
    assert_int_equal(DECODE("\x94\x00\xff\xa4ping\x90", &message), -EPROTO);
    assert_int_equal(DECODE("\x94\x00\xcf\x00\x00\x00\x01\x00\x00\x00\x00\xa4ping\x90", &message), -EPROTO);
    assert_int_equal(DECODE("\x94\x00\x01\x05\x90", &message), -EPROTO);
    assert_int_equal(DECODE("\x94\x02\x01\xa4ping\x90", &message), -EPROTO);
    assert_int_equal(DECODE("\x93\x02\x05\x90", &message), -EPROTO);
    assert_int_equal(DECODE("\x94\x00\xce\xff\xff\xff\xff\xa4ping\x90", &message), 0);
    assert_int_equal(message.id, UINT32_MAX);
}

static void a_notification_is_a_request_without_an_answer(void **state)
{
    (void)state;
    struct message message;
    assert_int_equal(DECODE("\x93\x02\xa3get\x91\xa1k", &message), 0);
    assert_int_equal(message.type, MESSAGE_NOTIFICATION);
    assert_int_equal(message.error, 0);
    assert_int_equal(message.request.op, KV_OP_GET);
}

/* Requests behind [0, 1, ...], and what is to be answered to each. */
#define CASE(bytes, code, text)                                                                                        \
    {                                                                                                                  \
        "\x94\x00\x01" bytes, sizeof("\x94\x00\x01" bytes) - 1, code, text                                             \
    }
static const struct {
    const char *data;
    size_t len;
    int error;
    const char *text;
} mistakes[] = {
    CASE("\xa3"
         "foo\x90",
         -ENOSYS, "unknown method 'foo'; docs/protocol.md lists them"),
    CASE("\xa0\x90", -ENOSYS, "unknown method ''; docs/protocol.md lists them"),
    CASE("\xa4"
         "a\x00\xff'\x90",
         -ENOSYS, "unknown method 'a?\?''; docs/protocol.md lists them"),
    CASE("\xa3"
         "set\xc0",
         -EINVAL, "set: the parameters must be an array, not nil"),
    CASE("\xa3"
         "set\x92\xa1k\x81\x01\x02",
         -EINVAL, "set: argument 2 (value) must be str or bin, not a map"),
    CASE("\xa3"
         "set\x92\xa1k\x05",
         -EINVAL, "set: argument 2 (value) must be str or bin, not an integer"),
    CASE("\xa3"
         "set\x91\xa1k",
         -EINVAL, "set: argument 2 (value) is missing"),
    CASE("\xa3"
         "set\x90",
         -EINVAL, "set: argument 1 (node) is missing"),
    CASE("\xa3"
         "set\x93\xa1k\xa1v\xa1w",
         -EINVAL, "set: 3 arguments, at most 2"),
    CASE("\xa3"
         "get\x91\xff",
         -EINVAL,
         "get: argument 1 (node) must be a key (str or bin), an id (uint) or [directory id, name], not a negative "
         "integer"),
    CASE("\xa3"
         "get\x91\x91\x01",
         -EINVAL,
         "get: argument 1 (node) must be a key (str or bin), an id (uint) or [directory id, name], not an array"),
    CASE("\xa3"
         "del\x90",
         -EINVAL, "del: argument 1 (node) is missing"),
    CASE("\xa4"
         "mset\x91\xa1k",
         -EINVAL, "mset: argument 2 (value) is missing"),
    CASE("\xa4"
         "mset\x92\xa1k\xc0",
         -EINVAL, "mset: argument 2 (value) must be str or bin, not nil"),
    CASE("\xa4"
         "mget\x92\xa1k\xc3",
         -EINVAL,
         "mget: argument 2 (node) must be a key (str or bin), an id (uint) or [directory id, name], not a boolean"),
    CASE("\xa4"
         "read\x93\x01\xff\x01",
         -EINVAL, "read: argument 2 (offset) must be an integer from 0 on, not a negative integer"),
    CASE("\xa6"
         "expire\x92\xa1k\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
         -EINVAL, "expire: argument 2 (milliseconds) must be an integer of 64 bits, not an integer past 2^63-1"),
    CASE("\xa6"
         "expire\x92\xa1k\xcb\x00\x00\x00\x00\x00\x00\x00\x00",
         -EINVAL, "expire: argument 2 (milliseconds) must be an integer of 64 bits, not a float"),
    CASE("\xa3"
         "set\x93\xa1k\xa1v\x81\xa3"
         "foo\xc3",
         -EINVAL, "set: unknown option 'foo'"),
    CASE("\xa3"
         "set\x93\xa1k\xa1v\x81\xa4"
         "long\xc3",
         -EINVAL, "set: takes no option 'long'"),
    CASE("\xa3"
         "set\x93\xa1k\xa1v\x81\x01\xc3",
         -EINVAL, "set: an option's name must be a str, not an integer"),
    CASE("\xa3"
         "set\x93\xa1k\xa1v\x81\xa2nx\x01",
         -EINVAL, "set: option 'nx' must be true or false, not an integer"),
    CASE("\xa3"
         "set\x93\xa1k\xa1v\x81\xa3ttl\xa1x",
         -EINVAL, "set: option 'ttl' must be an integer of 64 bits, not a str"),
    CASE("\xa3"
         "set\x93\xa1k\xa1v\x81\xa4mode\xcf\x00\x00\x00\x01\x00\x00\x00\x00",
         -EINVAL, "set: option 'mode' must be an integer from 0 to 4294967295, not an integer"),
    CASE("\xa4"
         "ping\x91\x80",
         0, ""),
    CASE("\xa4"
         "ping\x91\x01",
         -EINVAL, "ping: 1 arguments, at most 0"),
};
#undef CASE

static void mistakes_in_a_request_are_explained(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        struct message message;
        assert_int_equal(decode_literal(mistakes[i].data, mistakes[i].len, &message), 0);
        assert_string_equal(message.text, mistakes[i].text);
        assert_int_equal(message.error, mistakes[i].error);
        assert_int_equal(message.id, 1);
    }
}

static void what_may_be_left_out_may_be_left_out(void **state)
{
    (void)state;
    struct message message;
    assert_int_equal(DECODE("\x94\x00\x01\xa4incr\x91\xa1k", &message), 0);
    assert_int_equal(message.error, 0);
    assert_int_equal(message.request.delta, 1);
    assert_int_equal(DECODE("\x94\x00\x01\xa2ls\x90", &message), 0);
    assert_int_equal(message.error, 0);
    assert_int_equal(message.request.node.kind, KV_REF_KEY);
    assert_int_equal(message.request.node.name.len, 0);
    assert_int_equal(DECODE("\x94\x00\x01\xa2ls\x91\x81\xa5limit\x05", &message), 0);
    assert_int_equal(message.error, 0);
    assert_int_equal(message.request.options, KV_OPT_LIMIT);
    assert_int_equal(message.request.limit, 5);
    assert_int_equal(DECODE("\x94\x00\x01\xa3"
                            "del\x91\xa1k",
                            &message),
                     0);
    assert_int_equal(message.error, 0);
}

static void a_false_option_is_as_if_absent(void **state)
{
    (void)state;
    struct message message;
    assert_int_equal(DECODE("\x94\x00\x01\xa3set\x93\xa1k\xa1v\x83\xa2nx\xc2\xa2xx\xc3\xa2xx\xc2", &message), 0);
    assert_int_equal(message.error, 0);
    assert_int_equal(message.request.options, 0);
}

static void a_value_may_be_str_or_bin(void **state)
{
    (void)state;
    struct message message;
    assert_int_equal(DECODE("\x94\x00\x01\xa3set\x92\xc4\x01k\xa1v", &message), 0);
    assert_int_equal(message.error, 0);
    assert_true(bytes_equal(message.request.node.name, bytes_of("k")));
    assert_true(bytes_equal(message.request.value, bytes_of("v")));
}

static void too_many_nodes_are_refused(void **state)
{
    (void)state;
    struct buf out = {0};
    struct message message;
    assert_int_equal(buf_append(&out, "\x94\x00\x01\xa4mget\xdd\x00\x01\x00\x01", 13), 0);
    for (int i = 0; i < REFS_MAX + 1; i++)
        assert_int_equal(buf_append(&out, "\x01", 1), 0);
    assert_int_equal(decode_literal(out.data, out.len, &message), 0);
    assert_int_equal(message.error, -E2BIG);
    assert_string_equal(message.text, "mget: 65537 nodes, at most 65536 in one request");
    buf_close(&out);
}

static struct kv_reply names_reply(const struct kv_entry *entries, size_t count)
{
    return (struct kv_reply){.kind = KV_REPLY_ENTRIES, .entries = entries, .count = count};
}

static void names_are_str_only_where_they_are_utf8(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        unsigned char first;
    } cases[] = {
        {"plain", 0xa5},
        {"gr\xc3\xbc\xc3\x9f"
         "e",
         0xa7},
        {"\xe2\x82\xac", 0xa3},
        {"\xf0\x9f\x98\x80", 0xa4},
        {"12345678\xe2\x82\xac", 0xab},
        {"\xff", 0xc4},
        {"\xc3", 0xc4},
        {"\xe2\x82", 0xc4},
        {"\xc0\xaf", 0xc4},         /* overlong */
        {"\xe0\x80\xaf", 0xc4},     /* overlong */
        {"\xed\xa0\x80", 0xc4},     /* a surrogate */
        {"\xf4\x90\x80\x80", 0xc4}, /* past U+10FFFF */
        {"12345678\x80", 0xc4},
    };
    struct buf out = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct kv_entry entry = {.name = bytes_of(cases[i].name), .present = true};
        struct kv_reply reply = names_reply(&entry, 1);
        out.len = 0;
        assert_int_equal(encode_reply(&out, 1, &reply), 0);
        assert_memory_equal(out.data, "\x94\x01\x01\xc0\x91", 5);
        assert_int_equal(out.data[5] & 0xff, cases[i].first);
    }
    buf_close(&out);
}

static void an_error_text_is_always_utf8(void **state)
{
    (void)state;
    struct kv_reply reply = {0}, got;
    struct message message;
    struct buf out = {0};
    assert_int_equal(kv_reply_fail(&reply, -ENOENT, "no key '%s'", "\xff\xc3"), -ENOENT);
    assert_int_equal(encode_reply(&out, 3, &reply), 0);
    assert_int_equal(decode_literal(out.data, out.len, &message), 0);
    assert_int_equal(decode_result(decoder, KV_OP_GET, 0, &got), 0);
    assert_int_equal(got.error, -ENOENT);
    assert_string_equal(got.text, "no key '?\?'");
    buf_close(&out);
}

static void a_map_nests_its_sections(void **state)
{
    (void)state;
    const struct kv_field fields[] = {
        {"id", 5, {0}}, {"memory.used", 1, {0}}, {"memory.peak", 2, {0}}, {"log.mode", 0, bytes_of("aof")}};
    struct kv_reply reply = {.kind = KV_REPLY_MAP, .fields = fields, .count = 4};
    struct buf out = {0};
    assert_int_equal(encode_reply(&out, 1, &reply), 0);
    static const char expected[] =
        "\x94\x01\x01\xc0\x83\xa2id\x05\xa6memory\x82\xa4used\x01\xa4peak\x02\xa3log\x81\xa4mode\xa3"
        "aof";
    assert_int_equal(out.len, sizeof expected - 1);
    assert_memory_equal(out.data, expected, out.len);
    buf_close(&out);
}

static void an_empty_text_in_a_map_is_no_number(void **state)
{
    (void)state;
    static const char *const replies[] = {"\x94\x01\x01\xc0\x81\xa1k\xa0", "\x94\x01\x01\xc0\x81\xa1k\xc4\x00",
                                          "\x94\x01\x01\xc0\x81\xa1k\xd9\x00"};
    static const size_t lens[] = {8, 9, 9};
    for (size_t i = 0; i < 3; i++) {
        struct message message;
        struct kv_reply reply;
        assert_int_equal(decode_literal(replies[i], lens[i], &message), 0);
        assert_int_equal(decode_result(decoder, KV_OP_INFO, 0, &reply), 0);
        assert_int_equal(reply.count, 1);
        assert_string_equal(reply.fields[0].name, "k");
        assert_non_null(reply.fields[0].text.data);
        assert_int_equal(reply.fields[0].text.len, 0);
    }
}

static void small_replies_are_as_short_as_they_can_be(void **state)
{
    (void)state;
    struct kv_reply reply = {.kind = KV_REPLY_NIL};
    struct buf out = {0};
    assert_int_equal(encode_reply(&out, 7, &reply), 0);
    reply.kind = KV_REPLY_INT;
    reply.integer = -2;
    assert_int_equal(encode_reply(&out, 300, &reply), 0);
    assert_int_equal(out.len, 12);
    assert_memory_equal(out.data, "\x94\x01\x07\xc0\xc0\x94\x01\xcd\x01\x2c\xc0\xfe", 12);
    buf_close(&out);
}

static void messages_past_the_limit_are_not_encoded(void **state)
{
    (void)state;
    static char byte;
    struct buf out = {0};
    struct kv_request request = {.op = KV_OP_SET, .value = {&byte, MESSAGE_BYTES_MAX}};
    assert_int_equal(encode_request(&out, 1, &request), -E2BIG);
    struct bytes piece = {&byte, MESSAGE_BYTES_MAX};
    struct kv_reply reply = {.kind = KV_REPLY_BYTES, .pieces = &piece, .count = 1, .bytes = piece.len};
    assert_int_equal(encode_reply(&out, 1, &reply), -E2BIG);
    struct kv_reply listing = names_reply(NULL, REFS_MAX + 1);
    assert_int_equal(encode_reply(&out, 1, &listing), -E2BIG);
    assert_int_equal(out.len, 0);
    assert_null(out.data);
}

/* The longest read still fits a message. */
static void the_longest_value_is_encoded_and_accepted(void **state)
{
    (void)state;
    struct buf out = {0};
    char *value = calloc(1, READ_BYTES_MAX);
    assert_non_null(value);
    struct bytes piece = {value, READ_BYTES_MAX};
    struct kv_reply reply = {.kind = KV_REPLY_BYTES, .pieces = &piece, .count = 1, .bytes = piece.len}, got;
    struct frame_scan scan = {0};
    struct message message;
    assert_int_equal(encode_reply(&out, 1, &reply), 0);
    assert_int_equal(frame_scan(&scan, out.data, out.len), 1);
    assert_int_equal(message_decode(decoder, buf_bytes(&out), &message), 0);
    assert_int_equal(decode_result(decoder, KV_OP_GET, 0, &got), 0);
    assert_int_equal(got.bytes, READ_BYTES_MAX);
    buf_close(&out);
    free(value);
}

static void a_huge_message_leaves_no_memory_behind(void **state)
{
    (void)state;
    struct buf out = {0};
    struct message message;
    assert_int_equal(buf_append(&out, "\x94\x00\x01\xa4mget\xdd\x00\x01\x00\x00", 13), 0);
    for (int i = 0; i < REFS_MAX; i++)
        assert_int_equal(buf_append(&out, "\x01", 1), 0);
    size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
    assert_int_equal(message_decode(decoder, buf_bytes(&out), &message), 0);
    assert_int_equal(message.error, 0);
    assert_int_equal(message.request.node_count, REFS_MAX);
    decoder_trim(decoder);
    assert_true(mallinfo2().uordblks + mallinfo2().hblkhd <= before + 4096);
    buf_close(&out);
}

static int set_up(void **state)
{
    (void)state;
    decoder = decoder_new();
    return decoder ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    decoder_free(decoder);
    tight("", 0);
    return 0;
}

static void a_recall_comes_back_as_it_was_and_what_is_none_is_refused(void **state)
{
    (void)state;
    const struct kv_change changes[] = {{.id = 1, .kind = KV_CHANGE_ATTR},
                                        {.id = UINT64_MAX, .kind = KV_CHANGE_DATA},
                                        {.id = 7, .kind = KV_CHANGE_ENTRY, .name = bytes_of("name")},
                                        {.id = 7, .kind = KV_CHANGE_ENTRY, .name = bytes_of("\xff")},
                                        {.id = 9, .kind = KV_CHANGE_ALL}};
    size_t count = sizeof changes / sizeof changes[0];
    struct buf gathered = {0}, out = {0};
    struct message message;
    struct decoder *fresh = decoder_new();
    for (size_t i = 0; i < count; i++)
        assert_int_equal(recall_add(&gathered, &changes[i]), 0);
    assert_int_equal(recall_encode(&out, 42, &gathered, count), 0);
    assert_int_equal(message_decode(fresh, buf_bytes(&out), &message), 0);
    assert_true(message.type == MESSAGE_NOTIFICATION && message.is_recall);
    assert_int_equal(message.recall.ticket, 42);
    assert_int_equal(message.recall.count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(message.recall.changes[i].id, changes[i].id);
        assert_int_equal(message.recall.changes[i].kind, changes[i].kind);
        assert_true(bytes_equal(message.recall.changes[i].name, changes[i].name));
    }
    static const char no_ticket[] = "\x93\x02\xa6recall\x90", no_change[] = "\x93\x02\xa6recall\x92\x01\x05";
    assert_int_equal(message_decode(fresh, bytes_make(no_ticket, sizeof no_ticket - 1), &message), -EPROTO);
    assert_int_equal(message_decode(fresh, bytes_make(no_change, sizeof no_change - 1), &message), -EPROTO);
    decoder_free(fresh);
    buf_close(&gathered);
    buf_close(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operation_is_found_by_its_name),
        cmocka_unit_test(requests_of_every_operation_come_back_as_they_were),
        cmocka_unit_test(replies_of_every_operation_come_back_as_they_were),
        cmocka_unit_test(a_recall_comes_back_as_it_was_and_what_is_none_is_refused),
        cmocka_unit_test(cut_and_flipped_messages_do_no_harm),
        cmocka_unit_test(a_reply_of_another_shape_is_refused_or_read),
        cmocka_unit_test(envelopes_that_are_not_messagepack_rpc_are_beyond_repair),
        cmocka_unit_test(a_notification_is_a_request_without_an_answer),
        cmocka_unit_test(mistakes_in_a_request_are_explained),
        cmocka_unit_test(what_may_be_left_out_may_be_left_out),
        cmocka_unit_test(a_false_option_is_as_if_absent),
        cmocka_unit_test(a_value_may_be_str_or_bin),
        cmocka_unit_test(too_many_nodes_are_refused),
        cmocka_unit_test(names_are_str_only_where_they_are_utf8),
        cmocka_unit_test(an_error_text_is_always_utf8),
        cmocka_unit_test(a_map_nests_its_sections),
        cmocka_unit_test(an_empty_text_in_a_map_is_no_number),
        cmocka_unit_test(small_replies_are_as_short_as_they_can_be),
        cmocka_unit_test(messages_past_the_limit_are_not_encoded),
        cmocka_unit_test(the_longest_value_is_encoded_and_accepted),
        cmocka_unit_test(a_huge_message_leaves_no_memory_behind),
    };
    return cmocka_run_group_tests_name("message", tests, set_up, tear_down);
}
