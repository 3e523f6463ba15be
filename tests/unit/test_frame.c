#include "kvcore/base/error.h"
#include "kvcore/rpc/message.h"
#include "tests/unit/message_random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define SCAN(scan, literal) frame_scan(scan, literal, sizeof(literal) - 1)

static int scan_new(const char *data, size_t len)
{
    struct frame_scan scan = {0};
    return frame_scan(&scan, data, len);
}

static void one_message_ends_where_the_next_begins(void **state)
{
    (void)state;
    struct frame_scan scan = {0};
    assert_int_equal(SCAN(&scan, "\x94\x00\x01\xa4ping\x90\x94\x00\x02"), 1);
    assert_int_equal(scan.at, 9);
}

static void every_kind_of_object_is_stepped_over(void **state)
{
    (void)state;
    static const struct {
        unsigned char first[6];
        size_t header, len;
    } kinds[] = {
        {{0x00}, 1, 1},
        {{0x7f}, 1, 1},
        {{0xe0}, 1, 1},
        {{0xff}, 1, 1},
        {{0xc0}, 1, 1},
        {{0xc2}, 1, 1},
        {{0xc3}, 1, 1},
        {{0xa0}, 1, 1},
        {{0xbf}, 1, 32},
        {{0xca}, 1, 5},
        {{0xcb}, 1, 9},
        {{0xcc}, 1, 2},
        {{0xcd}, 1, 3},
        {{0xce}, 1, 5},
        {{0xcf}, 1, 9},
        {{0xd0}, 1, 2},
        {{0xd1}, 1, 3},
        {{0xd2}, 1, 5},
        {{0xd3}, 1, 9},
        {{0xd4}, 1, 3},
        {{0xd5}, 1, 4},
        {{0xd6}, 1, 6},
        {{0xd7}, 1, 10},
        {{0xd8}, 1, 18},
        {{0x80}, 1, 1},
        {{0x90}, 1, 1},
        {{0xc4, 200}, 2, 202},
        {{0xd9, 3}, 2, 5},
        {{0xc5, 1, 2}, 3, 261},
        {{0xda, 1, 2}, 3, 261},
        {{0xc6, 0, 0, 1, 2}, 5, 263},
        {{0xdb, 0, 0, 1, 2}, 5, 263},
        {{0xc7, 4}, 2, 7},
        {{0xc8, 1, 2}, 3, 262},
        {{0xc9, 0, 0, 1, 2}, 5, 264},
        {{0xdc, 0, 0}, 3, 3},
        {{0xdd, 0, 0, 0, 0}, 5, 5},
        {{0xde, 0, 0}, 3, 3},
        {{0xdf, 0, 0, 0, 0}, 5, 5},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char message[512] = {0};
        message[0] = (char)0x91;
        memcpy(message + 1, kinds[i].first, kinds[i].header);
        for (size_t len = 0; len <= kinds[i].len; len++)
            assert_int_equal(scan_new(message, len), 0);
        struct frame_scan scan = {0};
        assert_int_equal(frame_scan(&scan, message, sizeof message), 1);
        assert_int_equal(scan.at, 1 + kinds[i].len);
    }
}

static void a_map_has_two_objects_for_each_pair(void **state)
{
    (void)state;
    struct frame_scan scan = {0};
    assert_int_equal(SCAN(&scan, "\x91\x82\x01\x02\x03\x04\x05"), 1);
    assert_int_equal(scan.at, 6);
    scan = (struct frame_scan){0};
    assert_int_equal(SCAN(&scan, "\x91\xde\x00\x02\x01\x02\x03\x04\x05"), 1);
    assert_int_equal(scan.at, 8);
}

/* However the bytes arrive the end is the same, and `need` never asks for more than the message has. */
static void any_split_finds_the_same_end(void **state)
{
    (void)state;
    static struct random_message random;
    random_message_start(&random, __func__);
    struct buf out = {0};
    for (int round = 0; round < 2000; round++) {
        struct kv_request request;
        out.len = 0;
        random_request(&random, chance_below(&random.chance, KV_OP_COUNT), &request);
        assert_int_equal(encode_request(&out, (uint32_t)round, &request), 0);
        size_t whole = out.len;
        assert_int_equal(buf_append(&out, "\x94\xc1", 2), 0); /* what follows is not looked at */

        struct frame_scan scan = {0};
        size_t len = 0, step = 1 + random_len(&random);
        while (len < whole) {
            assert_int_equal(frame_scan(&scan, out.data, len), 0);
            assert_true(scan.need > len && scan.need <= whole && scan.at <= len);
            len += 1 + chance_below(&random.chance, step);
        }
        len = len < out.len ? len : out.len;
        assert_int_equal(frame_scan(&scan, out.data, len), 1);
        assert_int_equal(scan.at, whole);
    }
    buf_close(&out);
}

static void need_is_what_a_long_string_claims(void **state)
{
    (void)state;
    struct frame_scan scan = {0};
    assert_int_equal(SCAN(&scan, "\x91\xc6\x04\x00\x00\x00"), 0);
    assert_int_equal(scan.need, 6 + (64 << 20));
}

static void claims_past_a_limit_are_refused_when_they_are_made(void **state)
{
    (void)state;
    assert_int_equal(scan_new("\xdd\xff\xff\xff\xff", 5), -E2BIG);     /* an array of 2^32-1 */
    assert_int_equal(scan_new("\x91\xdd\xff\xff\xff\xff", 6), -E2BIG); /* one inside */
    assert_int_equal(scan_new("\x91\xdf\xff\xff\xff\xff", 6), -E2BIG); /* a map */
    assert_int_equal(scan_new("\x91\xdf\x00\x0f\x42\x40", 6), -E2BIG); /* a map of a million pairs */
    assert_int_equal(scan_new("\x91\xc6\xff\xff\xff\xff", 6), -E2BIG); /* a bin of 4 GiB */
    assert_int_equal(scan_new("\x91\xdb\xff\xff\xff\xff", 6), -E2BIG); /* a str */
    assert_int_equal(scan_new("\x91\xc9\xff\xff\xff\xff", 6), -E2BIG); /* an ext */
    assert_int_equal(scan_new("\x91\xc6\x07\xff\xff\xfb", 6), -E2BIG); /* with its header one too long */
    assert_int_equal(scan_new("\x91\xc6\x07\xff\xff\xfa", 6), 0);      /* and just not */
    assert_int_equal(scan_new("\x92\xdd\x00\x0f\xff\xff", 6), -E2BIG); /* a million and one in sum */
    assert_int_equal(scan_new("\x92\xdd\x00\x0f\xff\xfe", 6), 0);
}

static void many_small_claims_are_summed(void **state)
{
    (void)state;
    struct buf message = {0};
    assert_int_equal(buf_append(&message, "\xdd\x00\x00\x00\x20", 5), 0); /* 32 maps of 32768 */
    int rc = 0;
    for (int i = 0; i < 32 && rc == 0; i++) {
        assert_int_equal(buf_append(&message, "\xdf\x00\x00\x80\x00", 5), 0);
        for (int object = 0; object < 65536; object++)
            assert_int_equal(buf_append(&message, "", 1), 0);
        rc = scan_new(message.data, message.len);
    }
    assert_int_equal(rc, -E2BIG);
    assert_true(message.len < 17 * 65536);
    buf_close(&message);
}

static void depth_is_limited(void **state)
{
    (void)state;
    char message[1000];
    memset(message, 0x91, sizeof message);
    assert_int_equal(scan_new(message, sizeof message), -E2BIG);
    assert_int_equal(scan_new(message, MESSAGE_DEPTH_MAX), 0);
    assert_int_equal(scan_new(message, MESSAGE_DEPTH_MAX + 1), -E2BIG);
    message[MESSAGE_DEPTH_MAX] = 0x01;
    assert_int_equal(scan_new(message, MESSAGE_DEPTH_MAX + 1), 1);
}

static void another_protocol_is_found_out_at_the_first_byte(void **state)
{
    (void)state;
    for (int first = 0; first < 256; first++) {
        char byte = (char)first;
        bool array = (first >= 0x90 && first <= 0x9f) || first == 0xdc || first == 0xdd;
        assert_int_equal(scan_new(&byte, 1), !array ? -EPROTO : first == 0x90);
    }
}

static void the_byte_that_begins_nothing_is_refused(void **state)
{
    (void)state;
    assert_int_equal(scan_new("\x91\xc1", 2), -EPROTO);
    assert_int_equal(scan_new("\x94\x00\x01\xa3set\x92\xa1k\xc1", 11), -EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_message_ends_where_the_next_begins),
        cmocka_unit_test(every_kind_of_object_is_stepped_over),
        cmocka_unit_test(a_map_has_two_objects_for_each_pair),
        cmocka_unit_test(any_split_finds_the_same_end),
        cmocka_unit_test(need_is_what_a_long_string_claims),
        cmocka_unit_test(claims_past_a_limit_are_refused_when_they_are_made),
        cmocka_unit_test(many_small_claims_are_summed),
        cmocka_unit_test(depth_is_limited),
        cmocka_unit_test(another_protocol_is_found_out_at_the_first_byte),
        cmocka_unit_test(the_byte_that_begins_nothing_is_refused),
    };
    return cmocka_run_group_tests_name("frame", tests, NULL, NULL);
}
