#include "kvcore/rpc/reply_copy.h"

#include "kvcore/base/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* The originals are overwritten after the copy, so that a pointer that still leads there shows. */

static void pieces_become_one(void **state)
{
    (void)state;
    struct reply_copy copy = {0};
    char text[] = "hello world";
    struct bytes pieces[] = {{text, 6}, {text + 6, 5}};
    struct kv_reply reply = {.kind = KV_REPLY_BYTES, .pieces = pieces, .count = 2, .bytes = 11};
    assert_int_equal(reply_copy_set(&copy, &reply), 0);
    memset(text, '?', sizeof text);
    assert_true(bytes_equal(kv_reply_bytes(&copy.reply), bytes_of("hello world")));
    assert_int_equal(copy.reply.bytes, 11);
    reply_copy_close(&copy);
}

static void entries_are_kept_with_names_and_attributes(void **state)
{
    (void)state;
    struct reply_copy copy = {0};
    char names[] = "ab";
    struct kv_entry entries[] = {{.name = {names, 1}, .present = true, .attr.size = 7},
                                 {.name = {names + 1, 1}, .present = false, .cookie = 9}};
    struct kv_reply reply = {.kind = KV_REPLY_ENTRIES, .entries = entries, .count = 2};
    assert_int_equal(reply_copy_set(&copy, &reply), 0);
    memset(names, '?', sizeof names);
    memset(entries, 0, sizeof entries);
    assert_int_equal(copy.reply.count, 2);
    assert_true(bytes_equal(copy.reply.entries[0].name, bytes_of("a")));
    assert_true(bytes_equal(copy.reply.entries[1].name, bytes_of("b")));
    assert_int_equal(copy.reply.entries[0].attr.size, 7);
    assert_int_equal(copy.reply.entries[1].cookie, 9);
    reply_copy_close(&copy);
}

static void fields_are_kept_with_names_and_texts(void **state)
{
    (void)state;
    struct reply_copy copy = {0};
    char name[] = "server.pid", text[] = "yes";
    struct kv_field fields[] = {{.name = name, .number = 42}, {.name = "x", .text = {text, 3}}};
    struct kv_reply reply = {.kind = KV_REPLY_MAP, .fields = fields, .count = 2};
    assert_int_equal(reply_copy_set(&copy, &reply), 0);
    memset(name, '?', sizeof name - 1);
    memset(text, '?', sizeof text - 1);
    memset(fields, 0, sizeof fields);
    assert_string_equal(copy.reply.fields[0].name, "server.pid");
    assert_int_equal(copy.reply.fields[0].number, 42);
    assert_null(copy.reply.fields[0].text.data);
    assert_true(bytes_equal(copy.reply.fields[1].text, bytes_of("yes")));
    reply_copy_close(&copy);
}

static void an_error_is_kept_and_replaces_what_was_there(void **state)
{
    (void)state;
    struct reply_copy copy = {0};
    struct bytes piece = bytes_of("value");
    struct kv_reply reply = {.kind = KV_REPLY_BYTES, .pieces = &piece, .count = 1, .bytes = 5}, no = {0};
    kv_reply_fail(&no, -ENOENT, "nothing there");
    assert_int_equal(reply_copy_set(&copy, &reply), 0);
    assert_int_equal(reply_copy_set(&copy, &no), 0);
    assert_int_equal(copy.reply.error, -ENOENT);
    assert_string_equal(copy.reply.text, "nothing there");
    reply_copy_close(&copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_become_one),
        cmocka_unit_test(entries_are_kept_with_names_and_attributes),
        cmocka_unit_test(fields_are_kept_with_names_and_texts),
        cmocka_unit_test(an_error_is_kept_and_replaces_what_was_there),
    };
    return cmocka_run_group_tests_name("reply_copy", tests, NULL, NULL);
}
