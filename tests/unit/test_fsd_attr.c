/* What the kernel is shown of a node, and what its setattr asks of the store. */
#define FUSE_USE_VERSION 312
#include "fsd/attr.h"
#include "fsd/setattr.h"

#include <fuse_lowlevel.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define NS_PER_S 1000000000ll

static const struct kv_attr file = {.id = 77,
                                    .mode = S_IFREG | 04640,
                                    .uid = 10,
                                    .gid = 20,
                                    .nlink = 2,
                                    .size = 5000,
                                    .stored = 513,
                                    .rdev = 0x103,
                                    .atime_ns = 3 * NS_PER_S + 4,
                                    .mtime_ns = -1,
                                    .ctime_ns = -NS_PER_S};

static void attributes_are_shown_as_they_are(void **state)
{
    (void)state;
    struct stat stat = attr_to_stat(&file, &(struct attr_view){0});
    assert_int_equal(stat.st_ino, 77);
    assert_int_equal(stat.st_mode, S_IFREG | 04640);
    assert_int_equal(stat.st_uid, 10);
    assert_int_equal(stat.st_gid, 20);
    assert_int_equal(stat.st_nlink, 2);
    assert_int_equal(stat.st_size, 5000);
    assert_int_equal(stat.st_blocks, 2);
    assert_int_equal(stat.st_rdev, 0x103);
    assert_int_equal(stat.st_atim.tv_sec, 3);
    assert_int_equal(stat.st_atim.tv_nsec, 4);
}

static void times_before_1970_have_nanoseconds_that_count_forward(void **state)
{
    (void)state;
    struct stat stat = attr_to_stat(&file, &(struct attr_view){0});
    assert_int_equal(stat.st_mtim.tv_sec, -1);
    assert_int_equal(stat.st_mtim.tv_nsec, 999999999);
    assert_int_equal(stat.st_ctim.tv_sec, -1);
    assert_int_equal(stat.st_ctim.tv_nsec, 0);
}

static void options_replace_owner_group_and_permissions_but_not_the_type(void **state)
{
    (void)state;
    struct attr_view view = {true, true, true, 1000, 1001, 027};
    struct stat stat = attr_to_stat(&file, &view);
    assert_int_equal(stat.st_uid, 1000);
    assert_int_equal(stat.st_gid, 1001);
    assert_int_equal(stat.st_mode, S_IFREG | 0750);
}

static void kernel_may_keep_nothing_that_others_can_change(void **state)
{
    (void)state;
    assert_true(attr_timeout(&file, true, 0) == 0);
    assert_true(attr_timeout(&file, false, 0) >= 1e9);
}

static void kernel_may_keep_a_node_that_expires_until_then(void **state)
{
    (void)state;
    struct kv_attr attr = file;
    attr.expires_ns = 10 * NS_PER_S;
    assert_true(attr_timeout(&attr, false, 8 * NS_PER_S + NS_PER_S / 2) == 1.5);
    assert_true(attr_timeout(&attr, false, 10 * NS_PER_S) == 0);
    assert_true(attr_timeout(&attr, false, 11 * NS_PER_S) == 0);
}

static void setgid_without_group_execute_is_not_taken_off(void **state)
{
    (void)state;
    assert_int_equal(attr_mode_without_setid(06755), 0755);
    assert_int_equal(attr_mode_without_setid(06745), 02745);
    assert_int_equal(attr_mode_without_setid(01777), 01777);
}

static void setattr_asks_for_what_is_valid_only(void **state)
{
    (void)state;
    struct stat attr = {.st_mode = S_IFREG | 0600,
                        .st_uid = 1,
                        .st_gid = 2,
                        .st_size = 3,
                        .st_atim = {4, 5},
                        .st_mtim = {.tv_sec = -1, .tv_nsec = 999999999}};
    struct kv_request request = setattr_request(9, &attr, FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_GID | FUSE_SET_ATTR_SIZE);
    assert_int_equal(request.op, KV_OP_SETATTR);
    assert_int_equal(request.options, KV_OPT_MODE | KV_OPT_GID | KV_OPT_SIZE);
    assert_int_equal(request.node.kind, KV_REF_ID);
    assert_int_equal(request.node.id, 9);
    assert_int_equal(request.mode, 0600);
    assert_int_equal(request.gid, 2);
    assert_int_equal(request.size, 3);
    request = setattr_request(9, &attr, FUSE_SET_ATTR_UID | FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME);
    assert_int_equal(request.options, KV_OPT_UID | KV_OPT_ATIME | KV_OPT_MTIME);
    assert_int_equal(request.atime_ns, 4 * NS_PER_S + 5);
    assert_int_equal(request.mtime_ns, -1);
    assert_int_equal(setattr_request(9, &attr, 0).options, 0);
    assert_int_equal(setattr_request(9, &attr, FUSE_SET_ATTR_CTIME).options, 0);
}

static void setattr_to_now_leaves_the_time_to_the_store(void **state)
{
    (void)state;
    struct stat attr = {0};
    int both = FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME;
    struct kv_request request = setattr_request(9, &attr, both | FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_MTIME_NOW);
    assert_int_equal(request.options, KV_OPT_ATIME_NOW | KV_OPT_MTIME_NOW);
}

static void setuid_goes_with_chown_write_and_truncate_by_a_user(void **state)
{
    (void)state;
    assert_true(setattr_strips_setid(FUSE_SET_ATTR_UID, 0));
    assert_true(setattr_strips_setid(FUSE_SET_ATTR_GID, 1000));
    assert_true(setattr_strips_setid(FUSE_SET_ATTR_SIZE | FUSE_SET_ATTR_MTIME, 1000));
    assert_true(setattr_strips_setid(0, 1000)); /* what the kernel sends before a write */
    assert_false(setattr_strips_setid(FUSE_SET_ATTR_SIZE, 0));
    assert_false(setattr_strips_setid(FUSE_SET_ATTR_MTIME, 1000));
    assert_false(setattr_strips_setid(FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID, 1000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attributes_are_shown_as_they_are),
        cmocka_unit_test(times_before_1970_have_nanoseconds_that_count_forward),
        cmocka_unit_test(options_replace_owner_group_and_permissions_but_not_the_type),
        cmocka_unit_test(kernel_may_keep_nothing_that_others_can_change),
        cmocka_unit_test(kernel_may_keep_a_node_that_expires_until_then),
        cmocka_unit_test(setgid_without_group_execute_is_not_taken_off),
        cmocka_unit_test(setattr_asks_for_what_is_valid_only),
        cmocka_unit_test(setattr_to_now_leaves_the_time_to_the_store),
        cmocka_unit_test(setuid_goes_with_chown_write_and_truncate_by_a_user),
    };
    return cmocka_run_group_tests_name("fsd_attr", tests, NULL, NULL);
}
