#include "kvcore/base/error.h"
#include "kvcore/base/limits.h"
#include "kvcore/tree/key.h"
#include "tests/unit/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static int check(const char *key) { return key_check(bytes_of(key), NULL); }

static void plain_keys_are_accepted(void **state)
{
    (void)state;
    const char *keys[] = {"", "a", "a/b", "a b/\n/\xff\xfe", ".a/..b/...", "a/.b./c..", "{tag}/x"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        assert_int_equal(check(keys[i]), 0);
}

static void malformed_keys_are_refused_with_the_reason(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        size_t len;
        const char *why;
    } cases[] = {
        {"/", 1, "begins with '/'"},
        {"/a", 2, "begins with '/'"},
        {"a/", 2, "ends with '/'"},
        {"a//b", 4, "has an empty component"},
        {".", 1, "has a component '.' or '..'"},
        {"..", 2, "has a component '.' or '..'"},
        {"a/./b", 5, "has a component '.' or '..'"},
        {"a/..", 4, "has a component '.' or '..'"},
        {"a\0b", 3, "contains a NUL byte"},
        {"a/\0", 3, "contains a NUL byte"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *why = NULL;
        assert_int_equal(key_check(bytes_make(cases[i].key, cases[i].len), &why), -EINVAL);
        assert_string_equal(why, cases[i].why);
        assert_int_equal(key_check(bytes_make(cases[i].key, cases[i].len), NULL), -EINVAL);
    }
}

static void the_reason_is_untouched_when_the_key_is_good(void **state)
{
    (void)state;
    const char *why = "untouched";
    assert_int_equal(key_check(bytes_of("a/b"), &why), 0);
    assert_int_equal(name_check(bytes_of("a"), &why), 0);
    assert_string_equal(why, "untouched");
}

static void a_name_is_one_component(void **state)
{
    (void)state;
    assert_int_equal(name_check(bytes_of("a"), NULL), 0);
    assert_int_equal(name_check(bytes_of("..."), NULL), 0);
    assert_int_equal(name_check(bytes_of(""), NULL), -EINVAL);
    assert_int_equal(name_check(bytes_of("."), NULL), -EINVAL);
    assert_int_equal(name_check(bytes_of(".."), NULL), -EINVAL);
    assert_int_equal(name_check(bytes_of("a/b"), NULL), -EINVAL);
    assert_int_equal(name_check(bytes_make("a\0", 2), NULL), -EINVAL);
}

static void lengths_are_bounded_exactly(void **state)
{
    (void)state;
    char key[KEY_BYTES_MAX + 1];
    memset(key, 'x', sizeof key);
    assert_int_equal(name_check(bytes_make(key, NAME_BYTES_MAX), NULL), 0);
    assert_int_equal(name_check(bytes_make(key, NAME_BYTES_MAX + 1), NULL), -ENAMETOOLONG);
    assert_int_equal(key_check(bytes_make(key, NAME_BYTES_MAX + 1), NULL), -ENAMETOOLONG);
    for (size_t i = 127; i < sizeof key - 1; i += 128)
        key[i] = '/';
    key[sizeof key - 1] = 'x';
    key[sizeof key - 2] = 'x';
    assert_int_equal(key_check(bytes_make(key, KEY_BYTES_MAX), NULL), 0);
    assert_int_equal(key_check(bytes_make(key, KEY_BYTES_MAX + 1), NULL), -ENAMETOOLONG);
}

static void components_come_in_order(void **state)
{
    (void)state;
    const char *expected[] = {"one", "2", "three"};
    struct bytes rest = bytes_of("one/2/three"), component;
    for (size_t i = 0; i < 3; i++) {
        assert_true(key_next(&rest, &component));
        assert_true(bytes_equal(component, bytes_of(expected[i])));
    }
    assert_false(key_next(&rest, &component));
    assert_true(bytes_equal(component, bytes_of("three")));
}

static void a_key_splits_at_its_last_slash(void **state)
{
    (void)state;
    static const char *cases[][3] = {{"a", "", "a"}, {"a/b", "a", "b"}, {"a/b/cd", "a/b", "cd"}};
    for (size_t i = 0; i < 3; i++) {
        struct bytes parent, name;
        key_split(bytes_of(cases[i][0]), &parent, &name);
        assert_true(bytes_equal(parent, bytes_of(cases[i][1])));
        assert_true(bytes_equal(name, bytes_of(cases[i][2])));
    }
}

static unsigned slot(const char *key) { return key_slot(bytes_of(key)); }

static void slots_are_those_of_redis(void **state)
{
    (void)state;
    assert_int_equal(slot(""), 0);
    assert_int_equal(slot("123456789"), 0x31C3); /* the check value of CRC-16/XMODEM, below SLOTS */
    assert_int_equal(slot("foo"), 12182);
    assert_int_equal(slot("bar"), 5061);
    assert_int_equal(slot("hello"), 866);
    assert_int_equal(slot("{user1000}.following"), 3443);
    assert_int_equal(slot("{user1000}.followers"), 3443);
}

static void only_the_first_component_chooses_the_slot(void **state)
{
    (void)state;
    assert_int_equal(slot("foo/bar"), slot("foo"));
    assert_int_equal(slot("foo/{hello}"), slot("foo"));
    assert_int_equal(slot("{foo/bar}"), slot("{foo"));
}

static void hash_tags_follow_the_rule_of_redis(void **state)
{
    (void)state;
    assert_int_equal(slot("foo{bar}{zap}"), slot("bar"));
    assert_int_equal(slot("foo{{bar}}zap"), slot("{bar"));
    assert_int_not_equal(slot("foo{}{bar}"), slot("bar"));
    assert_int_not_equal(slot("foo{}{bar}"), slot(""));
    assert_int_not_equal(slot("}foo{bar"), slot("bar"));
    assert_int_equal(slot("a}b{foo}"), slot("foo"));
}

/* The definition of CRC-16/XMODEM, bit by bit. */
static unsigned naive_slot(const char *data, size_t len)
{
    unsigned crc = 0;
    for (size_t i = 0; i < len; i++) {
        crc ^= (unsigned)(unsigned char)data[i] << 8;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1) & 0xffff;
    }
    return crc % SLOTS;
}

static void slots_match_the_definition_for_random_names(void **state)
{
    (void)state;
    struct chance chance = chance_start(__func__);
    for (int i = 0; i < 20000; i++) {
        char name[32];
        size_t len = 1 + chance_below(&chance, sizeof name);
        for (size_t at = 0; at < len; at++) {
            do {
                name[at] = (char)chance_next(&chance);
            } while (name[at] == '{' || name[at] == '/');
        }
        assert_int_equal(key_slot(bytes_make(name, len)), naive_slot(name, len));
    }
}

/* Whether a key is good, from its parts: split at every '/', each part judged alone. */
static bool naive_is_good(const char *key, size_t len)
{
    size_t start = 0;
    for (size_t i = 0; i <= len; i++) {
        if (i < len && key[i] == '\0')
            return false;
        if (i < len && key[i] != '/')
            continue;
        size_t part = i - start;
        if (part == 0 || (part == 1 && key[start] == '.') || (part == 2 && key[start] == '.' && key[start + 1] == '.'))
            return false;
        start = i + 1;
    }
    return true;
}

static void random_keys_are_judged_as_by_a_naive_check(void **state)
{
    (void)state;
    struct chance chance = chance_start(__func__);
    for (int i = 0; i < 200000; i++) {
        char key[8];
        size_t len = 1 + chance_below(&chance, sizeof key);
        for (size_t at = 0; at < len; at++)
            key[at] = "aab//..\0"[chance_below(&chance, 8)];
        assert_int_equal(key_check(bytes_make(key, len), NULL), naive_is_good(key, len) ? 0 : -EINVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_keys_are_accepted),
        cmocka_unit_test(malformed_keys_are_refused_with_the_reason),
        cmocka_unit_test(the_reason_is_untouched_when_the_key_is_good),
        cmocka_unit_test(a_name_is_one_component),
        cmocka_unit_test(lengths_are_bounded_exactly),
        cmocka_unit_test(components_come_in_order),
        cmocka_unit_test(a_key_splits_at_its_last_slash),
        cmocka_unit_test(slots_are_those_of_redis),
        cmocka_unit_test(only_the_first_component_chooses_the_slot),
        cmocka_unit_test(hash_tags_follow_the_rule_of_redis),
        cmocka_unit_test(slots_match_the_definition_for_random_names),
        cmocka_unit_test(random_keys_are_judged_as_by_a_naive_check),
    };
    return cmocka_run_group_tests_name("key", tests, NULL, NULL);
}
