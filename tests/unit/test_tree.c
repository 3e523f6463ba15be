/* The tree against a naive model (tree_model.h) under random effects of every kind. */
#include "kvcore/base/error.h"
#include "tests/unit/tree_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { KINDS = EFFECT_COPY + 1, CODES = 200 };

/* Or the random effects are not worth much. */
static void assert_all_was_tried(const unsigned done[KINDS], const bool seen[CODES])
{
    static const int codes[] = {ENOENT, EEXIST, ENOTDIR, EISDIR, ENOTEMPTY, EINVAL, EPERM, EFBIG, ENODATA};
    for (unsigned kind = EFFECT_CREATE; kind < KINDS; kind++)
        assert_true(done[kind] > 50);
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        assert_true(seen[codes[i]]);
}

static void equals_a_naive_model_under_random_effects(void **state)
{
    (void)state;
    enum { EFFECTS = 20000, EFFECTS_A_LOOK = 50 };
    const struct model_taste taste = {.names_max = 200, .long_ones = 20};
    static struct model model;
    unsigned done[KINDS] = {0};
    bool seen[CODES] = {0};
    struct chance chance = chance_start(__func__);
    struct tree *tree = tree_new(chance_next(&chance), 10, 20, 0755, 1000);
    assert_non_null(tree);
    model_init(&model, tree);
    for (unsigned i = 1; i <= EFFECTS; i++) {
        struct effect effect;
        model_random_effect(&model, tree, &chance, &taste, &effect);
        if (chance_below(&chance, 2))
            effect.found = tree_find(tree, effect.id);
        int rc = tree_apply(tree, &effect);
        model_follow(&model, tree, &effect, rc);
        done[effect.kind] += rc == 0;
        seen[-rc] = true;
        if (i % EFFECTS_A_LOOK == 0)
            model_expect_equal(&model, tree);
    }
    assert_all_was_tried(done, seen);
    model_close(&model);
    tree_free(tree);
}

static void a_tree_that_was_loaded_in_bulk_equals_the_model(void **state)
{
    (void)state;
    enum { ROUNDS = 60, EFFECTS_A_ROUND = 150 };
    const struct model_taste taste = {.names_max = 300, .long_ones = 40};
    static struct model model;
    struct chance chance = chance_start(__func__);
    struct tree *tree = tree_new(chance_next(&chance), 10, 20, 0755, 1000);
    assert_non_null(tree);
    model_init(&model, tree);
    for (unsigned i = 0; i < ROUNDS * EFFECTS_A_ROUND; i++) {
        struct effect effect;
        if (i % EFFECTS_A_ROUND == 0)
            assert_int_equal(tree_bulk_begin(tree), 0);
        model_random_effect(&model, tree, &chance, &taste, &effect);
        model_follow(&model, tree, &effect, tree_apply(tree, &effect));
        if (i % EFFECTS_A_ROUND < EFFECTS_A_ROUND - 1)
            continue;
        for (int64_t nth = 1 + (int64_t)chance_below(&chance, 5);; nth++) {
            tree->mem.fail_after = nth;
            int rc = tree_bulk_end(tree);
            tree->mem.fail_after = 0;
            if (rc == 0)
                break;
            assert_int_equal(rc, -ENOMEM);
        }
        model_expect_equal(&model, tree);
    }
    assert_int_equal(tree_bulk_begin(tree), 0);
    model_close(&model);
    tree_free(tree);
}

static void links_are_bounded(void **state)
{
    (void)state;
    struct tree *tree = tree_new(1, 0, 0, 0755, 0);
    assert_non_null(tree);
    struct effect effect = {.kind = EFFECT_CREATE, .dir = ROOT_ID, .name = bytes_of("a"), .mode = S_IFREG};
    effect.id = tree_next_id(tree, tree->root, effect.name);
    assert_int_equal(tree_apply(tree, &effect), 0);
    struct effect link = {.kind = EFFECT_LINK, .id = effect.id, .dir = ROOT_ID, .name = bytes_of("b")};
    assert_int_equal(tree_apply(tree, &link), 0);

    node_ext(link.ret_node)->nlink = LINKS_MAX; /* nobody has so many in memory */
    link.name = bytes_of("c");
    assert_int_equal(tree_apply(tree, &link), -EMLINK);
    node_ext(tree_find(tree, link.id))->nlink = 2;
    node_ext(tree->root)->nlink = LINKS_MAX;
    effect.name = bytes_of("d");
    effect.mode = S_IFDIR;
    assert_int_equal(tree_apply(tree, &effect), -EMLINK);
    node_ext(tree->root)->nlink = 2;
    tree_verify(tree);
    tree_free(tree);
}

static void an_effect_of_unknown_kind_is_refused(void **state)
{
    (void)state;
    struct tree *tree = tree_new(1, 0, 0, 0755, 0);
    assert_non_null(tree);
    struct effect effect = {.id = ROOT_ID};
    assert_int_equal(tree_apply(tree, &effect), -EINVAL);
    effect.kind = (enum effect_kind)(EFFECT_COPY + 1);
    assert_int_equal(tree_apply(tree, &effect), -EINVAL);
    tree_free(tree);
    tree_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_a_naive_model_under_random_effects),
        cmocka_unit_test(a_tree_that_was_loaded_in_bulk_equals_the_model),
        cmocka_unit_test(links_are_bounded),
        cmocka_unit_test(an_effect_of_unknown_kind_is_refused),
    };
    return cmocka_run_group_tests_name("tree", tests, NULL, NULL);
}
