#include "kvcore/tools/output.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>

static void expect_name(struct bytes name, bool quoted, const char *expected)
{
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    output_name(out, name, quoted);
    fclose(out);
    assert_string_equal(text, expected);
    free(text);
}

static void plain_names_stay_as_they_are(void **state)
{
    (void)state;
    expect_name(bytes_of("session-42.txt"), true, "session-42.txt");
    expect_name(bytes_of("gr\xc3\xbc\xc3\x9f"), true, "gr\xc3\xbc\xc3\x9f");
}

static void what_a_shell_would_read_is_quoted(void **state)
{
    (void)state;
    expect_name(bytes_of("two words"), true, "'two words'");
    expect_name(bytes_of("it's"), true, "'it'\\''s'");
    expect_name(bytes_of("$HOME"), true, "'$HOME'");
    expect_name(bytes_of(""), true, "''");
}

static void control_bytes_and_broken_utf8_are_escaped(void **state)
{
    (void)state;
    expect_name(bytes_of("a\nb"), true, "$'a\\nb'");
    expect_name(bytes_of("\033[31m"), true, "$'\\033[31m'");
    expect_name(bytes_of("\xff'\\"), true, "$'\\377\\'\\\\'");
    expect_name(bytes_of("cut \xe2\x82"), true, "$'cut \\342\\202'");
    expect_name(bytes_of("c1 \xc2\x9b"), true, "$'c1 \\302\\233'");
    expect_name(bytes_make("a\x7f", 2), true, "$'a\\177'");
}

static void expect_quoted(struct bytes name, const char *expected)
{
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    output_quoted(out, name);
    fclose(out);
    assert_string_equal(text, expected);
    free(text);
}

static void within_a_sentence_every_name_is_in_quotes(void **state)
{
    (void)state;
    expect_quoted(bytes_of("plain"), "'plain'");
    expect_quoted(bytes_of("it's"), "'it'\\''s'");
    expect_quoted(bytes_of("a\nb"), "$'a\\nb'");
}

static void unquoted_names_are_raw(void **state)
{
    (void)state;
    expect_name(bytes_of("a\nb\xff"), false, "a\nb\xff");
}

static void expect_json(struct bytes bytes, const char *expected)
{
    json_t *value = output_json_bytes(bytes);
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    assert_string_equal(text, expected);
    free(text);
    json_decref(value);
}

static void utf8_becomes_a_json_string(void **state)
{
    (void)state;
    expect_json(bytes_of("hello"), "\"hello\"");
    expect_json(bytes_of(""), "\"\"");
    expect_json((struct bytes){NULL, 0}, "\"\"");
    expect_json(bytes_make("a\0b", 3), "\"a\\u0000b\"");
}

static void other_bytes_become_base64(void **state)
{
    (void)state;
    expect_json(bytes_of("\xff"), "{\"base64\":\"/w==\"}");
    expect_json(bytes_of("\xff\xfe"), "{\"base64\":\"//4=\"}");
    expect_json(bytes_of("\xff\xfe\xfd"), "{\"base64\":\"//79\"}");
    expect_json(bytes_of("\xff\xfe\xfd\xfc"), "{\"base64\":\"//79/A==\"}");
    expect_json(bytes_of("\xed\xa0\x80"), "{\"base64\":\"7aCA\"}"); /* a surrogate */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_names_stay_as_they_are),
        cmocka_unit_test(what_a_shell_would_read_is_quoted),
        cmocka_unit_test(control_bytes_and_broken_utf8_are_escaped),
        cmocka_unit_test(within_a_sentence_every_name_is_in_quotes),
        cmocka_unit_test(unquoted_names_are_raw),
        cmocka_unit_test(utf8_becomes_a_json_string),
        cmocka_unit_test(other_bytes_become_base64),
    };
    return cmocka_run_group_tests_name("output", tests, NULL, NULL);
}
