/* The tree against a naive model (tree_model.h) under random effects of every kind. */
#include "kvcore/base/error.h"
#include "kvcore/tree/key.h"
#include "tests/unit/tree_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { KINDS = EFFECT_RELEASE + 1, CODES = 200 };

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_a_naive_model_under_random_effects),
    };
    return cmocka_run_group_tests_name("tree", tests, NULL, NULL);
}
