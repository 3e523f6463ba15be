/* The tree when memory runs out, and how much of it a key takes. */
#include "kvcore/base/error.h"
#include "tests/unit/tree_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { KINDS = EFFECT_RELEASE + 1 };

/* Deletes work when nothing else does, or nobody could make room. */
static bool needs_no_memory(const struct effect *effect)
{
    return effect->kind == EFFECT_RMDIR || effect->kind == EFFECT_RELEASE || effect->kind == EFFECT_REMOVE_XATTR ||
           (effect->kind == EFFECT_UNLINK && !(effect->flags & EFFECT_HOLD)) ||
           (effect->kind == EFFECT_EXPIRE && effect->expires_ns == INT64_MAX);
}

/* The Nth allocation fails, and all after it. */
static int apply_failing(const struct model *model, struct tree *tree, struct effect *effect, int64_t nth)
{
    tree->mem.fail_after = nth;
    int rc = tree_apply(tree, effect);
    tree->mem.fail_after = 0;
    if (rc != -ENOMEM)
        return rc;
    assert_false(needs_no_memory(effect));
    assert_null(effect->ret_node);
    assert_int_equal(effect->ret_held, 0);
    model_expect_equal(model, tree);
    return rc;
}

/* One allocation after the other fails. What an earlier try has prepared a later one finds done, so some effects are
 * tried in another order first. */
static int apply_failing_everywhere(const struct model *model, struct tree *tree, struct chance *chance,
                                    struct effect *effect, unsigned *failed)
{
    int rc = -ENOMEM;
    for (unsigned i = (unsigned)chance_below(chance, 3); rc == -ENOMEM && i; i--, ++*failed)
        rc = apply_failing(model, tree, effect, 1 + (int64_t)chance_below(chance, 8));
    for (int64_t nth = 1; rc == -ENOMEM; nth++, ++*failed)
        rc = apply_failing(model, tree, effect, nth);
    --*failed; /* the last try did not */
    return rc;
}

static void every_failing_allocation_leaves_the_tree_unchanged(void **state)
{
    (void)state;
    const struct model_taste taste = {.names_max = 40, .long_ones = 20};
    static struct model model;
    unsigned failed[KINDS] = {0};
    struct chance chance = chance_start(__func__);
    struct tree *tree = tree_new(chance_next(&chance), 0, 0, 0755, 0);
    assert_non_null(tree);
    model_init(&model, tree);
    for (int i = 0; i < 20000; i++) {
        struct effect effect;
        model_random_effect(&model, tree, &chance, &taste, &effect);
        int rc = apply_failing_everywhere(&model, tree, &chance, &effect, &failed[effect.kind]);
        model_follow(&model, tree, &effect, rc);
    }
    model_expect_equal(&model, tree);
    for (unsigned kind = EFFECT_CREATE; kind < KINDS; kind++)
        if (kind != EFFECT_RMDIR && kind != EFFECT_RELEASE && kind != EFFECT_REMOVE_XATTR)
            assert_true(failed[kind] > 0);
    model_close(&model);
    tree_free(tree);
}

static struct node *create(struct tree *tree, const struct node *dir, const char *name, uint32_t mode, size_t value_len)
{
    static const char value[INLINE_BYTES_MAX];
    struct effect effect = {.kind = EFFECT_CREATE, .dir = dir->id, .name = bytes_of(name), .mode = mode};
    effect.value = bytes_make(value, value_len);
    effect.id = tree_next_id(tree, dir, effect.name);
    assert_int_equal(tree_apply(tree, &effect), 0);
    return effect.ret_node;
}

static void a_small_key_takes_no_more_than_in_redis(void **state)
{
    (void)state;
    enum { DIRS = 1000, KEYS = 1000 * 1000, VALUE_BYTES = 64, REDIS_BYTES = 168 };
    struct tree *tree = tree_new(1, 0, 0, 0755, 0);
    assert_non_null(tree);
    for (int i = 0, k = 0; i < DIRS; i++) {
        char name[16];
        snprintf(name, sizeof name, "dir%03d", i);
        const struct node *dir = create(tree, tree->root, name, S_IFDIR | 0755, 0);
        for (int last = k + KEYS / DIRS; k < last; k++) {
            snprintf(name, sizeof name, "file%06d", k);
            create(tree, dir, name, S_IFREG | 0644, VALUE_BYTES);
        }
    }
    double bytes = (double)tree->mem.used / KEYS;
    fprintf(stderr, "# %.1f bytes per key (17 bytes of key, %d of value)\n", bytes, VALUE_BYTES);
    assert_true(bytes <= REDIS_BYTES);
    tree_free(tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failing_allocation_leaves_the_tree_unchanged),
        cmocka_unit_test(a_small_key_takes_no_more_than_in_redis),
    };
    return cmocka_run_group_tests_name("tree_memory", tests, NULL, NULL);
}
