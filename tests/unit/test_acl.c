/* POSIX ACLs as bytes: what is one, and how it goes with a mode. */
#include "kvcore/base/limits.h"
#include "kvcore/tree/acl.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* Entries: tag, permissions, id (which only matters to the kernel). */
static const char minimal[] = "\2\0\0\0"
                              "\1\0\7\0\377\377\377\377"
                              "\4\0\5\0\377\377\377\377"
                              "\40\0\4\0\377\377\377\377";
static const char extended[] = "\2\0\0\0"
                               "\1\0\6\0\377\377\377\377"
                               "\2\0\7\0\1\0\0\0"
                               "\2\0\1\0\2\0\0\0"
                               "\4\0\7\0\377\377\377\377"
                               "\10\0\2\0\3\0\0\0"
                               "\20\0\5\0\377\377\377\377"
                               "\40\0\0\0\377\377\377\377";

static struct bytes all_of(const char *acl, size_t size) { return bytes_make(acl, size - 1); }
#define ALL(acl) all_of(acl, sizeof(acl))

static void list_says_what_mode_it_means(void **state)
{
    (void)state;
    assert_int_equal(acl_check(ALL(minimal)), 0);
    assert_int_equal(acl_mode(ALL(minimal)), 0754);
    assert_false(acl_is_extended(ALL(minimal)));
    assert_int_equal(acl_check(ALL(extended)), 0);
    assert_int_equal(acl_mode(ALL(extended)), 0650); /* the mask, not the group */
    assert_true(acl_is_extended(ALL(extended)));
}

static void list_cut_short_or_out_of_order_is_refused(void **state)
{
    (void)state;
    for (size_t len = 0; len < sizeof extended - 1; len++)
        assert_int_equal(acl_check(bytes_make(extended, len)), -EINVAL);
    char broken[sizeof extended];
    for (size_t at = 0; at < sizeof extended - 1; at++) {
        if (at >= 4 && (at - 4) % 8 >= 4) /* an id may be anything */
            continue;
        memcpy(broken, extended, sizeof broken);
        broken[at] ^= 0x40;
        assert_int_equal(acl_check(ALL(broken)), -EINVAL);
    }
    assert_int_equal(acl_check(bytes_make(extended, ACL_BYTES_MAX + 1)), -E2BIG);
}

static void chmod_sets_owner_mask_and_others(void **state)
{
    (void)state;
    char acl[sizeof extended];
    memcpy(acl, extended, sizeof acl);
    acl_chmod(acl, sizeof acl - 1, 0521);
    assert_int_equal(acl_mode(ALL(acl)), 0521);
    assert_memory_equal(acl + 12, extended + 12, 32); /* the named ones and the group stay */
}

static void new_node_gets_no_more_than_list_and_mode_both_allow(void **state)
{
    (void)state;
    char acl[sizeof extended];
    memcpy(acl, extended, sizeof acl);
    assert_int_equal(acl_inherit(acl, sizeof acl - 1, 02764), 02640);
    assert_int_equal(acl_mode(ALL(acl)), 0640);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(list_says_what_mode_it_means),
        cmocka_unit_test(list_cut_short_or_out_of_order_is_refused),
        cmocka_unit_test(chmod_sets_owner_mask_and_others),
        cmocka_unit_test(new_node_gets_no_more_than_list_and_mode_both_allow),
    };
    return cmocka_run_group_tests_name("acl", tests, NULL, NULL);
}
