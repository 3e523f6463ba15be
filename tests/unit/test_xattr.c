/* Attribute lists against an unsorted array of names and values. */
#include "kvcore/base/error.h"
#include "kvcore/base/limits.h"
#include "kvcore/tree/xattr.h"
#include "tests/unit/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { NAMES = 40 };

/* The naive list: one place per name that the test knows. */
struct naive {
    struct {
        char name[16];
        bool present;
        size_t value_len;
        char value[300];
    } at[NAMES];
};

static void naive_init(struct naive *naive)
{
    memset(naive, 0, sizeof *naive);
    for (int i = 0; i < NAMES; i++) /* of several lengths, some a prefix of others */
        snprintf(naive->at[i].name, sizeof naive->at[i].name, i % 2 ? "user.%d" : "user.%03d", i / 2);
}

static struct bytes naive_value(const struct naive *naive, int i)
{
    return bytes_make(naive->at[i].value, naive->at[i].value_len);
}

static void assert_list_is(const struct xattrs *list, const struct naive *naive)
{
    size_t count = 0, walked = 0, at = 0;
    struct bytes name, value, last = {0};
    for (int i = 0; i < NAMES; i++) {
        bool there = xattrs_get(list, bytes_of(naive->at[i].name), &value);
        assert_int_equal(there, naive->at[i].present);
        if (there)
            assert_true(bytes_equal(value, naive_value(naive, i)));
        count += there;
    }
    for (; xattrs_next(list, &at, &name, &value); walked++) {
        struct bytes got;
        assert_true(bytes_compare(last, name) < 0);
        assert_true(xattrs_get(list, name, &got) && got.data == value.data && got.len == value.len);
        last = name;
    }
    assert_int_equal(walked, count);
    assert_int_equal(list == NULL, count == 0);
}

/* Sets or removes one at random, in both if the list takes it. */
static int change_both(struct chance *chance, struct mem *mem, struct xattrs **list, struct naive *naive)
{
    int i = (int)chance_below(chance, NAMES);
    struct bytes name = bytes_of(naive->at[i].name);
    if (chance_below(chance, 2)) {
        int rc = xattrs_remove(list, mem, name);
        assert_int_equal(rc, naive->at[i].present ? 0 : -ENODATA);
        naive->at[i].present = false;
        return 0;
    }
    char value[sizeof naive->at[i].value];
    size_t len = chance_below(chance, sizeof value + 1);
    for (size_t k = 0; k < len; k++)
        value[k] = (char)chance_next(chance);
    int rc = xattrs_set(list, mem, name, bytes_make(value, len));
    if (rc < 0)
        return rc;
    naive->at[i].present = true;
    naive->at[i].value_len = len;
    memcpy(naive->at[i].value, value, len);
    return 0;
}

static void equals_a_naive_list_under_random_changes(void **state)
{
    (void)state;
    struct chance chance = chance_start(__func__);
    struct mem mem = {0};
    struct xattrs *list = NULL;
    struct naive naive;
    naive_init(&naive);
    for (int i = 0; i < 20000; i++) {
        assert_int_equal(change_both(&chance, &mem, &list, &naive), 0);
        assert_list_is(list, &naive);
    }
    xattrs_free(list, &mem);
    assert_int_equal(mem.used, 0);
}

static void failing_allocations_leave_the_list_unchanged_and_removals_succeed(void **state)
{
    (void)state;
    struct chance chance = chance_start(__func__);
    struct mem mem = {0};
    struct xattrs *list = NULL;
    struct naive naive;
    naive_init(&naive);
    int failed = 0;
    for (int i = 0; i < 5000; i++) {
        mem.fail_after = (int64_t)chance_below(&chance, 2);
        int rc = change_both(&chance, &mem, &list, &naive);
        assert_true(rc == 0 || rc == -ENOMEM);
        failed += rc < 0;
        assert_list_is(list, &naive);
    }
    assert_true(failed > 100);
    xattrs_free(list, &mem);
    assert_int_equal(mem.used, 0);
}

static void an_empty_list_has_nothing(void **state)
{
    (void)state;
    struct mem mem = {0};
    struct xattrs *list = NULL;
    struct bytes name = {0}, value = {0};
    size_t at = 0;
    assert_false(xattrs_get(NULL, bytes_of("user.a"), &value));
    assert_false(xattrs_next(NULL, &at, &name, &value));
    assert_int_equal(xattrs_remove(&list, &mem, bytes_of("user.a")), -ENODATA);
    assert_null(value.data);
    xattrs_free(NULL, &mem);
}

static void an_empty_value_is_not_an_absent_one(void **state)
{
    (void)state;
    struct mem mem = {0};
    struct xattrs *list = NULL;
    struct bytes value = bytes_of("before");
    assert_int_equal(xattrs_set(&list, &mem, bytes_of("user.a"), (struct bytes){0}), 0);
    assert_true(xattrs_get(list, bytes_of("user.a"), &value));
    assert_int_equal(value.len, 0);
    assert_false(xattrs_get(list, bytes_of("user."), &value));
    assert_false(xattrs_get(list, bytes_of("user.aa"), &value));
    assert_int_equal(xattrs_remove(&list, &mem, bytes_of("user.a")), 0);
    assert_null(list);
    assert_int_equal(mem.used, 0);
}

static void the_longest_names_and_values_come_back(void **state)
{
    (void)state;
    static char name[XATTR_NAME_BYTES_MAX], long_value[XATTR_VALUE_BYTES_MAX];
    struct mem mem = {0};
    struct xattrs *list = NULL;
    struct bytes value;
    memset(name, 'n', sizeof name);
    memset(long_value, 'v', sizeof long_value);
    struct bytes longest = bytes_make(name, sizeof name);
    assert_int_equal(xattrs_set(&list, &mem, longest, bytes_make(long_value, sizeof long_value)), 0);
    assert_int_equal(xattrs_set(&list, &mem, bytes_of("user.z"), bytes_of("after")), 0);
    assert_true(xattrs_get(list, longest, &value));
    assert_true(bytes_equal(value, bytes_make(long_value, sizeof long_value)));
    xattrs_free(list, &mem);
    assert_int_equal(mem.used, 0);
}

static void a_list_takes_names_and_values_up_to_the_limit_and_not_a_byte_more(void **state)
{
    (void)state;
    static char filler[XATTR_VALUE_BYTES_MAX];
    struct mem mem = {0};
    struct xattrs *list = NULL;
    struct bytes value;
    static const char *const names[] = {"a", "b", "c", "d"};
    for (int i = 0; i < 4; i++)
        assert_int_equal(xattrs_set(&list, &mem, bytes_of(names[i]), bytes_make(filler, sizeof filler - 1)), 0);
    size_t used = mem.used; /* exactly XATTR_TOTAL_BYTES_MAX are in */
    assert_int_equal(xattrs_set(&list, &mem, bytes_of("e"), (struct bytes){0}), -ENOSPC);
    assert_int_equal(xattrs_set(&list, &mem, bytes_of("b"), bytes_make(filler, sizeof filler)), -ENOSPC);
    assert_int_equal(mem.used, used);
    assert_true(xattrs_get(list, bytes_of("b"), &value) && value.len == sizeof filler - 1);
    assert_int_equal(xattrs_set(&list, &mem, bytes_of("b"), bytes_make(filler, 10)), 0);
    assert_int_equal(xattrs_remove(&list, &mem, bytes_of("c")), 0);
    assert_int_equal(xattrs_set(&list, &mem, bytes_of("e"), bytes_make(filler, sizeof filler)), 0);
    assert_in_range(mem.used, 3 * sizeof filler, 3 * sizeof filler + 8192);
    xattrs_free(list, &mem);
    assert_int_equal(mem.used, 0);
}

static void a_value_may_be_borrowed_from_the_list_itself(void **state)
{
    (void)state;
    struct mem mem = {0};
    struct xattrs *list = NULL;
    struct bytes value;
    assert_int_equal(xattrs_set(&list, &mem, bytes_of("user.from"), bytes_of("the value")), 0);
    assert_true(xattrs_get(list, bytes_of("user.from"), &value));
    assert_int_equal(xattrs_set(&list, &mem, bytes_of("user.a"), value), 0);
    assert_true(xattrs_get(list, bytes_of("user.a"), &value));
    assert_true(bytes_equal(value, bytes_of("the value")));
    xattrs_free(list, &mem);
    assert_int_equal(mem.used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_a_naive_list_under_random_changes),
        cmocka_unit_test(failing_allocations_leave_the_list_unchanged_and_removals_succeed),
        cmocka_unit_test(an_empty_list_has_nothing),
        cmocka_unit_test(an_empty_value_is_not_an_absent_one),
        cmocka_unit_test(the_longest_names_and_values_come_back),
        cmocka_unit_test(a_list_takes_names_and_values_up_to_the_limit_and_not_a_byte_more),
        cmocka_unit_test(a_value_may_be_borrowed_from_the_list_itself),
    };
    return cmocka_run_group_tests_name("xattr", tests, NULL, NULL);
}
