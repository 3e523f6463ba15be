/* Keys to places and back: walks through directories and symlinks, the keys and slots of nodes, and their ids. */
#include "kvcore/base/check.h"
#include "kvcore/base/error.h"
#include "kvcore/tree/key.h"
#include "kvcore/tree/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

/* Makes the node that a key names; its parent is there. */
static struct node *make(struct tree *tree, const char *key, uint32_t type, struct bytes value)
{
    struct tree_place place;
    assert_int_equal(tree_walk(tree, bytes_of(key), false, &place), 0);
    assert_null(place.node);
    assert_int_equal(place.rest.len, 0);
    struct effect effect = {.kind = EFFECT_CREATE, .dir = place.dir->id, .name = place.name, .mode = type | 0644};
    effect.id = tree_next_id(tree, place.dir, place.name);
    effect.value = value;
    assert_int_equal(tree_apply(tree, &effect), 0);
    return effect.ret_node;
}

static void make_dir(struct tree *tree, const char *key) { make(tree, key, S_IFDIR, (struct bytes){0}); }
static void make_file(struct tree *tree, const char *key) { make(tree, key, S_IFREG, bytes_of("value")); }
static void make_symlink(struct tree *tree, const char *key, const char *target)
{
    make(tree, key, S_IFLNK, bytes_of(target));
}

/* d/e/f is a file, as is top. */
static int make_tree(void **state)
{
    struct tree *tree = tree_new(7, 0, 0, 0755, 0);
    CHECK(tree);
    make_dir(tree, "d");
    make_dir(tree, "d/e");
    make_file(tree, "d/e/f");
    make_file(tree, "top");
    *state = tree;
    return 0;
}

static int free_tree(void **state)
{
    tree_verify(*state);
    tree_free(*state);
    return 0;
}

static void assert_leads_to(const struct tree *tree, const char *key, const char *wanted)
{
    struct tree_place place, direct;
    char got[KEY_BYTES_MAX];
    assert_int_equal(tree_walk(tree, bytes_of(key), true, &place), 0);
    assert_non_null(place.node);
    int len = tree_key_of(place.node, got);
    assert_true(len >= 0);
    assert_true(bytes_equal(bytes_make(got, (size_t)len), bytes_of(wanted)));
    assert_int_equal(tree_walk(tree, bytes_of(wanted), false, &direct), 0);
    assert_ptr_equal(place.node, direct.node);
    assert_ptr_equal(place.dir, direct.dir);
    assert_true(bytes_equal(place.name, direct.name));
    assert_int_equal(place.rest.len, 0);
}

static void assert_fails(const struct tree *tree, const char *key, int expected)
{
    struct tree_place place;
    assert_string_equal(error_name(tree_walk(tree, bytes_of(key), true, &place)), error_name(expected));
}

static void assert_missing(const struct tree *tree, const char *key, const char *dir, const char *name,
                           const char *rest)
{
    struct tree_place place, above;
    assert_int_equal(tree_walk(tree, bytes_of(key), true, &place), 0);
    assert_null(place.node);
    assert_int_equal(tree_walk(tree, bytes_of(dir), true, &above), 0);
    assert_ptr_equal(place.dir, above.node);
    assert_true(bytes_equal(place.name, bytes_of(name)));
    assert_true(bytes_equal(place.rest, bytes_of(rest)));
}

static void a_key_leads_to_its_node(void **state)
{
    struct tree *tree = *state;
    assert_leads_to(tree, "d", "d");
    assert_leads_to(tree, "d/e/f", "d/e/f");
    assert_fails(tree, "top/x", -ENOTDIR);
    assert_fails(tree, "d/e/f/x/y", -ENOTDIR);
}

static void the_empty_key_is_the_root(void **state)
{
    struct tree *tree = *state;
    struct tree_place place;
    assert_int_equal(tree_walk(tree, (struct bytes){0}, false, &place), 0);
    assert_ptr_equal(place.node, tree->root);
    assert_null(place.dir);
    assert_int_equal(place.name.len + place.rest.len, 0);
}

static void a_missing_place_says_where_it_would_be_and_what_lies_below(void **state)
{
    struct tree *tree = *state;
    assert_missing(tree, "new", "", "new", "");
    assert_missing(tree, "d/e/new", "d/e", "new", "");
    assert_missing(tree, "d/new/x/y", "d", "new", "x/y");
    make_symlink(tree, "l", "d/absent/b");
    assert_missing(tree, "l", "d", "absent", "b");
    assert_missing(tree, "l/c", "d", "absent", "b/c");
}

static void symlinks_on_the_way_are_followed_and_one_at_the_end_only_on_demand(void **state)
{
    struct tree *tree = *state;
    struct tree_place place;
    make_symlink(tree, "l", "d/e");
    assert_leads_to(tree, "l/f", "d/e/f");
    assert_leads_to(tree, "l", "d/e");
    assert_int_equal(tree_walk(tree, bytes_of("l"), false, &place), 0);
    assert_true(S_ISLNK(place.node->mode));
    assert_ptr_equal(place.dir, tree->root);
    assert_true(bytes_equal(place.name, bytes_of("l")));
}

static void a_target_is_relative_to_the_directory_of_the_symlink(void **state)
{
    struct tree *tree = *state;
    make_symlink(tree, "d/sibling", "e/f");
    make_symlink(tree, "d/e/up", "../../top");
    make_symlink(tree, "d/e/around", "../.././d//e/./../e/f");
    make_symlink(tree, "chain", "d/sibling");
    assert_leads_to(tree, "d/sibling", "d/e/f");
    assert_leads_to(tree, "d/e/up", "top");
    assert_leads_to(tree, "d/e/around", "d/e/f");
    assert_leads_to(tree, "chain", "d/e/f");
}

static void dots_can_end_at_a_directory_without_naming_it(void **state)
{
    struct tree *tree = *state;
    make_symlink(tree, "d/e/here", ".");
    make_symlink(tree, "d/e/above", "..");
    make_symlink(tree, "d/root", "..");
    make_symlink(tree, "self", "./");
    assert_leads_to(tree, "d/e/here", "d/e");
    assert_leads_to(tree, "d/e/here/here/f", "d/e/f");
    assert_leads_to(tree, "d/e/above", "d");
    assert_leads_to(tree, "d/e/above/e/f", "d/e/f");
    assert_leads_to(tree, "d/root", "");
    assert_leads_to(tree, "self", "");
    assert_leads_to(tree, "self/self/top", "top");
}

static void dots_go_up_from_where_a_symlink_led(void **state)
{
    struct tree *tree = *state;
    make_symlink(tree, "short", "d/e");
    make_symlink(tree, "next", "short/../e/f");
    assert_leads_to(tree, "next", "d/e/f");
}

static void a_trailing_slash_asks_for_a_directory(void **state)
{
    struct tree *tree = *state;
    make_symlink(tree, "dir", "d/e/");
    make_symlink(tree, "dirs", "d/e///");
    make_symlink(tree, "file", "top/");
    make_symlink(tree, "twice", "dir/");
    assert_leads_to(tree, "dir", "d/e");
    assert_leads_to(tree, "dir/f", "d/e/f");
    assert_leads_to(tree, "dirs", "d/e");
    assert_leads_to(tree, "twice", "d/e");
    assert_fails(tree, "file", -ENOTDIR);
    assert_fails(tree, "file/x", -ENOTDIR);
}

static void loops_end(void **state)
{
    struct tree *tree = *state;
    make_symlink(tree, "me", "me");
    make_symlink(tree, "ping", "pong");
    make_symlink(tree, "pong", "d/../ping");
    make_symlink(tree, "longer", "longer/x");
    assert_fails(tree, "me", -ELOOP);
    assert_fails(tree, "ping", -ELOOP);
    assert_fails(tree, "pong/x", -ELOOP);
    assert_fails(tree, "longer", -ELOOP);
}

static void as_many_symlinks_are_followed_as_linux_does_and_not_one_more(void **state)
{
    struct tree *tree = *state;
    char name[16], target[16] = "top";
    for (int i = 1; i <= SYMLINK_DEPTH_MAX + 1; i++) {
        snprintf(name, sizeof name, "link%d", i);
        make_symlink(tree, name, target);
        memcpy(target, name, sizeof target);
    }
    snprintf(name, sizeof name, "link%d", SYMLINK_DEPTH_MAX);
    assert_leads_to(tree, name, "top");
    assert_fails(tree, target, -ELOOP);
}

/* On a mount such a target is outside: the store knows nothing about it. */
static void a_way_out_of_the_store_is_refused(void **state)
{
    struct tree *tree = *state;
    make_symlink(tree, "absolute", "/etc/passwd");
    make_symlink(tree, "outside", "../top");
    make_symlink(tree, "d/outside", "../../top");
    make_symlink(tree, "d/e/inside", "../../top");
    assert_fails(tree, "absolute", -EXDEV);
    assert_fails(tree, "absolute/x", -EXDEV);
    assert_fails(tree, "outside", -EXDEV);
    assert_fails(tree, "d/outside", -EXDEV);
    assert_leads_to(tree, "d/e/inside", "top");
}

static void nothing_but_names_follows_a_missing_directory(void **state)
{
    struct tree *tree = *state;
    make_symlink(tree, "up", "absent/../top");
    make_symlink(tree, "dot", "absent/./x");
    make_symlink(tree, "double", "absent//x");
    make_symlink(tree, "slash", "absent/");
    assert_fails(tree, "up", -ENOENT);
    assert_fails(tree, "dot", -ENOENT);
    assert_fails(tree, "double", -ENOENT);
    assert_fails(tree, "slash", -ENOENT);
}

static void long_names_in_a_target_are_refused(void **state)
{
    struct tree *tree = *state;
    char text[2 * NAME_BYTES_MAX] = "";
    memset(text, 'x', NAME_BYTES_MAX + 1);
    make_symlink(tree, "name", text);
    assert_fails(tree, "name", -ENAMETOOLONG);
    snprintf(text, sizeof text, "absent/%0*d", NAME_BYTES_MAX, 0);
    make_symlink(tree, "rest", text);
    assert_missing(tree, "rest", "", "absent", text + strlen("absent/"));
    snprintf(text, sizeof text, "absent/%0*d", NAME_BYTES_MAX + 1, 0);
    make_symlink(tree, "longer", text);
    assert_fails(tree, "longer", -ENAMETOOLONG);
}

static void paths_that_symlinks_make_too_long_are_refused(void **state)
{
    struct tree *tree = *state;
    char text[SYMLINK_BYTES_MAX + 1], key[KEY_BYTES_MAX + 1] = "hop";
    for (size_t i = 0; i + 1 < sizeof text; i++)
        text[i] = i % 2 ? '/' : '.';
    text[SYMLINK_BYTES_MAX] = '\0';
    text[SYMLINK_BYTES_MAX - 1] = 'd'; /* ./././d */
    make_symlink(tree, "hop", text);
    memcpy(text, "hop/", 4);
    text[SYMLINK_BYTES_MAX - 1] = '.'; /* hop/./. */
    make_symlink(tree, "far", text);
    assert_leads_to(tree, "hop/e/f", "d/e/f");
    assert_leads_to(tree, "far/e/f", "d/e/f");

    for (size_t len = 3; len + 2 <= KEY_BYTES_MAX; len += 2)
        memcpy(key + len, "/x", 3);
    assert_missing(tree, key, "d", "x", key + strlen("hop/x/"));
    memcpy(key, "far", 3);
    assert_fails(tree, key, -ENAMETOOLONG);
}

static void the_longest_key_comes_back(void **state)
{
    struct tree *tree = *state;
    char key[KEY_BYTES_MAX + 1], got[KEY_BYTES_MAX];
    memset(key, 'k', sizeof key);
    key[KEY_BYTES_MAX] = '\0';
    for (size_t at = NAME_BYTES_MAX; at < KEY_BYTES_MAX; at += NAME_BYTES_MAX + 1) {
        key[at] = '\0';
        make_dir(tree, key);
        key[at] = '/';
    }
    make_file(tree, key);
    struct tree_place place;
    assert_int_equal(tree_walk(tree, bytes_of(key), true, &place), 0);
    assert_int_equal(tree_key_of(place.node, got), KEY_BYTES_MAX);
    assert_memory_equal(got, key, KEY_BYTES_MAX);
    struct effect effect = {
        .kind = EFFECT_RENAME, .dir = ROOT_ID, .to_dir = tree_lookup(tree->root, bytes_of("d"))->id};
    effect.name = effect.to_name = bytes_make(key, NAME_BYTES_MAX);
    uint64_t id = place.node->id;
    assert_int_equal(tree_apply(tree, &effect), 0);
    assert_int_equal(tree_key_of(tree_find(tree, id), got), -ENAMETOOLONG);
}

static void the_slot_is_that_of_the_first_component(void **state)
{
    struct tree *tree = *state;
    unsigned slot = key_slot(bytes_of("d"));
    const struct node *d = tree_lookup(tree->root, bytes_of("d")), *e = tree_lookup(d, bytes_of("e"));
    assert_int_equal(tree_slot_of(tree, tree->root), 0);
    assert_int_equal(tree_slot_of(tree, e), slot);
    assert_int_equal(id_slot(tree_next_id(tree, e, bytes_of("{top}"))), slot);
    assert_int_equal(id_slot(tree_next_id(tree, tree->root, bytes_of("x{d}y"))), slot);
    assert_int_equal(id_slot(d->id), slot);
    assert_int_equal(id_slot(e->id), slot);
}

static void what_was_removed_keeps_the_slot_of_its_birth_and_has_no_key(void **state)
{
    struct tree *tree = *state;
    char key[KEY_BYTES_MAX];
    uint64_t id = tree_lookup(tree->root, bytes_of("d"))->id;
    make_dir(tree, "d/gone");
    struct effect effect = {.kind = EFFECT_RMDIR, .dir = id, .name = bytes_of("gone"), .flags = EFFECT_HOLD};
    assert_int_equal(tree_apply(tree, &effect), 0);
    assert_int_equal(tree_slot_of(tree, effect.ret_node), id_slot(id));
    assert_int_equal(id_slot(tree_next_id(tree, effect.ret_node, bytes_of("x"))), id_slot(id));
    assert_int_equal(tree_key_of(effect.ret_node, key), -ENOENT);
}

static void a_rename_takes_the_id_along_and_changes_the_slot(void **state)
{
    struct tree *tree = *state;
    uint64_t id = tree_lookup(tree->root, bytes_of("top"))->id;
    struct effect effect = {.kind = EFFECT_RENAME, .dir = ROOT_ID, .to_dir = ROOT_ID, .name = bytes_of("top")};
    effect.to_name = bytes_of("bottom");
    assert_int_equal(tree_apply(tree, &effect), 0);
    assert_int_equal(effect.ret_node->id, id);
    assert_int_equal(id_slot(id), key_slot(bytes_of("top")));
    assert_int_equal(tree_slot_of(tree, effect.ret_node), key_slot(bytes_of("bottom")));
}

static void ids_are_never_used_again(void **state)
{
    struct tree *tree = *state;
    uint64_t last = 0;
    for (int i = 0; i < 100; i++) {
        uint64_t id = make(tree, "again", S_IFREG, bytes_of("x"))->id;
        assert_true(id > last);
        last = id;
        struct effect effect = {.kind = EFFECT_UNLINK, .dir = ROOT_ID, .name = bytes_of("again")};
        assert_int_equal(tree_apply(tree, &effect), 0);
        assert_null(tree_find(tree, id));
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_tree, free_tree)
    const struct CMUnitTest tests[] = {
        TEST(a_key_leads_to_its_node),
        TEST(the_empty_key_is_the_root),
        TEST(a_missing_place_says_where_it_would_be_and_what_lies_below),
        TEST(symlinks_on_the_way_are_followed_and_one_at_the_end_only_on_demand),
        TEST(a_target_is_relative_to_the_directory_of_the_symlink),
        TEST(dots_can_end_at_a_directory_without_naming_it),
        TEST(dots_go_up_from_where_a_symlink_led),
        TEST(a_trailing_slash_asks_for_a_directory),
        TEST(loops_end),
        TEST(as_many_symlinks_are_followed_as_linux_does_and_not_one_more),
        TEST(a_way_out_of_the_store_is_refused),
        TEST(nothing_but_names_follows_a_missing_directory),
        TEST(long_names_in_a_target_are_refused),
        TEST(paths_that_symlinks_make_too_long_are_refused),
        TEST(the_longest_key_comes_back),
        TEST(the_slot_is_that_of_the_first_component),
        TEST(what_was_removed_keeps_the_slot_of_its_birth_and_has_no_key),
        TEST(a_rename_takes_the_id_along_and_changes_the_slot),
        TEST(ids_are_never_used_again),
    };
    return cmocka_run_group_tests_name("walk", tests, NULL, NULL);
}
