/* Expiry against a plain array of times, one per node. */
#include "kvcore/base/error.h"
#include "kvcore/tree/tree.h"
#include "tests/unit/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { FILES = 300 };

struct expiring {
    uint64_t id; /* 0: not there */
    int64_t expires_ns;
};

static struct bytes file_name(int i)
{
    static char name[16];
    return bytes_make(name, (size_t)snprintf(name, sizeof name, "file%d", i));
}

static uint64_t create(struct tree *tree, struct bytes name)
{
    struct effect effect = {.kind = EFFECT_CREATE, .dir = ROOT_ID, .name = name, .mode = S_IFREG | 0644};
    effect.id = tree_next_id(tree, tree->root, name);
    assert_int_equal(tree_apply(tree, &effect), 0);
    return effect.id;
}

static int unlink_file(struct tree *tree, struct bytes name, uint32_t flags)
{
    struct effect effect = {.kind = EFFECT_UNLINK, .dir = ROOT_ID, .name = name, .flags = flags};
    return tree_apply(tree, &effect);
}

static int expire(struct tree *tree, uint64_t id, int64_t expires_ns)
{
    struct effect effect = {.kind = EFFECT_EXPIRE, .id = id, .expires_ns = expires_ns, .version = 5, .time_ns = 6};
    return tree_apply(tree, &effect);
}

static void assert_due_is(const struct tree *tree, const struct expiring *files, int64_t now_ns)
{
    int64_t earliest = INT64_MAX;
    for (int i = 0; i < FILES; i++)
        if (files[i].id && files[i].expires_ns < earliest)
            earliest = files[i].expires_ns;
    uint64_t due = expiry_due(tree, now_ns);
    assert_int_equal(due != 0, earliest <= now_ns && earliest != INT64_MAX);
    if (due)
        assert_int_equal(node_expires_ns(tree_find(tree, due)), earliest);
}

static void the_earliest_is_due_first_under_random_changes(void **state)
{
    (void)state;
    static struct expiring files[FILES];
    struct chance chance = chance_start(__func__);
    struct tree *tree = tree_new(chance_next(&chance), 0, 0, 0755, 0);
    assert_non_null(tree);
    for (int i = 0; i < 20000; i++) {
        int k = (int)chance_below(&chance, FILES);
        struct expiring *file = &files[k];
        if (!file->id) {
            *file = (struct expiring){create(tree, file_name(k)), INT64_MAX};
        } else if (chance_below(&chance, 10) == 0) {
            assert_int_equal(unlink_file(tree, file_name(k), 0), 0);
            file->id = 0;
        } else {
            file->expires_ns = chance_below(&chance, 4) ? (int64_t)chance_below(&chance, 500) - 50 : INT64_MAX;
            assert_int_equal(expire(tree, file->id, file->expires_ns), 0);
        }
        assert_due_is(tree, files, (int64_t)chance_below(&chance, 500) - 50);
        if (i % 200 == 0)
            tree_verify(tree);
    }
    tree_free(tree);
}

static void nodes_come_due_in_the_order_of_their_times(void **state)
{
    (void)state;
    struct chance chance = chance_start(__func__);
    struct tree *tree = tree_new(1, 0, 0, 0755, 0);
    assert_non_null(tree);
    for (int i = 0; i < FILES; i++)
        assert_int_equal(expire(tree, create(tree, file_name(i)), (int64_t)chance_below(&chance, 1000)), 0);
    int64_t last = 0;
    for (int left = FILES; left; left--) {
        uint64_t due = expiry_due(tree, 1000);
        int64_t expires_ns = node_expires_ns(tree_find(tree, due));
        assert_true(expires_ns >= last);
        last = expires_ns;
        struct bytes name = dentry_name(&tree_find(tree, due)->dentry);
        assert_int_equal(unlink_file(tree, name, 0), 0);
    }
    assert_int_equal(expiry_due(tree, INT64_MAX), 0);
    assert_int_equal(tree->node_count, 1);
    tree_free(tree);
}

static void a_time_is_due_when_it_is_reached(void **state)
{
    (void)state;
    struct tree *tree = tree_new(1, 0, 0, 0755, 0);
    assert_non_null(tree);
    assert_int_equal(expiry_due(tree, INT64_MAX), 0);
    uint64_t id = create(tree, bytes_of("a"));
    assert_int_equal(expire(tree, id, 100), 0);
    assert_int_equal(expiry_due(tree, 99), 0);
    assert_int_equal(expiry_due(tree, 100), id);
    assert_int_equal(expire(tree, id, INT64_MAX), 0);
    assert_int_equal(expiry_due(tree, INT64_MAX), 0);
    assert_int_equal(expire(tree, id, INT64_MAX), 0);
    tree_free(tree);
}

static void an_expiry_changes_the_version_and_no_times(void **state)
{
    (void)state;
    struct tree *tree = tree_new(1, 0, 0, 0755, 0);
    assert_non_null(tree);
    uint64_t id = create(tree, bytes_of("a"));
    assert_int_equal(expire(tree, id, 100), 0);
    const struct node *node = tree_find(tree, id);
    assert_int_equal(node->version, 5);
    assert_int_equal(node->mtime_ns, 0);
    assert_int_equal(node_ctime_ns(node), 0);
    tree_free(tree);
}

static void directories_and_what_is_not_there_do_not_expire(void **state)
{
    (void)state;
    struct tree *tree = tree_new(1, 0, 0, 0755, 0);
    assert_non_null(tree);
    assert_int_equal(expire(tree, ROOT_ID, 1), -EISDIR);
    assert_int_equal(expire(tree, 2, 1), -ENOENT);
    assert_int_equal(expiry_due(tree, INT64_MAX), 0);
    tree_free(tree);
}

/* It would stay due for ever: there is no name to take away. */
static void a_node_without_a_name_does_not_expire(void **state)
{
    (void)state;
    struct tree *tree = tree_new(1, 0, 0, 0755, 0);
    assert_non_null(tree);
    uint64_t id = create(tree, bytes_of("a"));
    assert_int_equal(expire(tree, id, 1), 0);
    assert_int_equal(unlink_file(tree, bytes_of("a"), EFFECT_HOLD), 0);
    assert_int_equal(expiry_due(tree, INT64_MAX), 0);
    assert_int_equal(node_expires_ns(tree_find(tree, id)), INT64_MAX);
    assert_int_equal(expire(tree, id, 1), -ENOENT);
    assert_int_equal(expire(tree, id, INT64_MAX), 0);
    tree_verify(tree);
    tree_free(tree);
}

static void a_node_that_moves_in_memory_keeps_its_expiry(void **state)
{
    (void)state;
    static const char value[INLINE_BYTES_MAX];
    struct tree *tree = tree_new(1, 0, 0, 0755, 0);
    assert_non_null(tree);
    uint64_t id = create(tree, bytes_of("a")), other = create(tree, bytes_of("b"));
    assert_int_equal(expire(tree, id, 10), 0);
    assert_int_equal(expire(tree, other, 20), 0);
    struct effect set = {.kind = EFFECT_SET, .id = id, .value = bytes_make(value, sizeof value)};
    assert_int_equal(tree_apply(tree, &set), 0);
    struct effect rename = {.kind = EFFECT_RENAME, .dir = ROOT_ID, .to_dir = ROOT_ID, .name = bytes_of("a")};
    rename.to_name = bytes_of("another name of another length");
    assert_int_equal(tree_apply(tree, &rename), 0);
    assert_int_equal(expiry_due(tree, 10), id);
    rename.name = rename.to_name;
    rename.to_name = bytes_of("b"); /* replaces the other, whose expiry goes */
    assert_int_equal(tree_apply(tree, &rename), 0);
    assert_int_equal(expire(tree, id, INT64_MAX), 0);
    assert_int_equal(expiry_due(tree, INT64_MAX), 0);
    tree_verify(tree);
    tree_free(tree);
}

static void setting_fails_without_memory_and_taking_away_does_not(void **state)
{
    (void)state;
    struct tree *tree = tree_new(1, 0, 0, 0755, 0);
    assert_non_null(tree);
    uint64_t id = create(tree, bytes_of("a"));
    int64_t nth = 1;
    for (int rc = -ENOMEM; rc < 0; nth++) {
        tree->mem.fail_after = nth;
        rc = expire(tree, id, 10);
        tree->mem.fail_after = 0;
        assert_true(rc == 0 || rc == -ENOMEM);
        assert_int_equal(expiry_due(tree, INT64_MAX), rc == 0 ? id : 0);
        tree_verify(tree);
    }
    assert_true(nth > 2);
    tree->mem.fail_after = 1;
    assert_int_equal(expire(tree, id, INT64_MAX), 0);
    tree->mem.fail_after = 0;
    tree_free(tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_earliest_is_due_first_under_random_changes),
        cmocka_unit_test(nodes_come_due_in_the_order_of_their_times),
        cmocka_unit_test(a_time_is_due_when_it_is_reached),
        cmocka_unit_test(an_expiry_changes_the_version_and_no_times),
        cmocka_unit_test(directories_and_what_is_not_there_do_not_expire),
        cmocka_unit_test(a_node_without_a_name_does_not_expire),
        cmocka_unit_test(a_node_that_moves_in_memory_keeps_its_expiry),
        cmocka_unit_test(setting_fails_without_memory_and_taking_away_does_not),
    };
    return cmocka_run_group_tests_name("expiry", tests, NULL, NULL);
}
