#include "kvcore/base/error.h"
#include "kvcore/tree/radix.h"
#include "tests/unit/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { POOL = 1500 };

/* The keys that a test may use, in order, and what each has now (NULL: absent). */
struct model {
    struct mem mem;
    struct radix radix;
    size_t count;
    uint64_t keys[POOL];
    void *values[POOL];
};

static int compare_keys(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

/* Runs, ids of slot and sequence, powers of two and what is next to them, and anything else. */
static uint64_t chosen_key(struct chance *chance)
{
    switch (chance_below(chance, 5)) {
    case 0:
        return chance_below(chance, 300);
    case 1:
        return chance_below(chance, 16384) << 50 | chance_below(chance, 70);
    case 2:
        return (uint64_t)3 << 50 | (4000 + chance_below(chance, 200));
    case 3:
        return ((uint64_t)1 << chance_below(chance, 64)) - 1 + chance_below(chance, 3);
    default:
        return chance_next(chance) >> chance_below(chance, 64);
    }
}

static void model_init(struct model *model, struct chance *chance)
{
    *model = (struct model){0};
    model->keys[0] = UINT64_MAX;
    for (size_t i = 1; i < POOL; i++)
        model->keys[i] = chosen_key(chance);
    qsort(model->keys, POOL, sizeof(uint64_t), compare_keys);
    for (size_t i = 0; i < POOL; i++) {
        if (i == 0 || model->keys[i] != model->keys[i - 1])
            model->keys[model->count++] = model->keys[i];
    }
}

/* Every key is found or not, and the walk in order meets just those that are there. */
static void expect_same(const struct model *model)
{
    size_t present = 0;
    uint64_t from = 0;
    for (size_t i = 0; i < model->count; i++) {
        assert_ptr_equal(radix_find(&model->radix, model->keys[i]), model->values[i]);
        if (!model->values[i])
            continue;
        present++;
        uint64_t key = 0;
        assert_ptr_equal(radix_next(&model->radix, from, &key), model->values[i]);
        assert_int_equal(key, model->keys[i]);
        from = key + 1;
    }
    assert_int_equal(model->radix.count, present);
    if (present && from != 0) {
        uint64_t key = 42;
        assert_null(radix_next(&model->radix, from, &key));
        assert_int_equal(key, 42);
    }
}

static void expect_next(const struct model *model, uint64_t from)
{
    size_t i = 0;
    while (i < model->count && (model->keys[i] < from || !model->values[i]))
        i++;
    uint64_t key = 0;
    void *value = radix_next(&model->radix, from, &key);
    assert_ptr_equal(value, i < model->count ? model->values[i] : NULL);
    if (value)
        assert_int_equal(key, model->keys[i]);
}

static void *some_value(struct chance *chance) { return (void *)(uintptr_t)(chance_next(chance) | 1); }

static void an_empty_map_holds_nothing(void **state)
{
    (void)state;
    struct mem mem = {0};
    struct radix radix = {0};
    uint64_t key = 7;
    assert_null(radix_find(&radix, 0));
    assert_null(radix_find(&radix, UINT64_MAX));
    assert_null(radix_next(&radix, 0, &key));
    assert_null(radix_remove(&radix, &mem, 1));
    assert_int_equal(key, 7);
    radix_close(&radix, &mem);
    assert_int_equal(mem.used, 0);
}

static void behaves_as_a_sorted_list_under_random_operations(void **state)
{
    (void)state;
    struct chance chance = chance_start(__func__);
    static struct model model;
    model_init(&model, &chance);
    for (int step = 0; step < 300000; step++) {
        size_t i = chance_below(&chance, model.count);
        /* Waves, so that the map is nearly full and nearly empty in turn. */
        bool removes = chance_below(&chance, 100) < (step / 20000 % 2 ? 80 : 20);
        if (removes) {
            assert_ptr_equal(radix_remove(&model.radix, &model.mem, model.keys[i]), model.values[i]);
            model.values[i] = NULL;
        } else {
            model.values[i] = some_value(&chance);
            assert_int_equal(radix_set(&model.radix, &model.mem, model.keys[i], model.values[i]), 0);
        }
        expect_next(&model, step % 2 ? chosen_key(&chance) : model.keys[i]);
        if (step % 2000 == 0)
            expect_same(&model);
    }
    for (size_t i = 0; i < model.count; i++)
        assert_ptr_equal(radix_remove(&model.radix, &model.mem, model.keys[i]), model.values[i]);
    assert_int_equal(model.radix.count, 0);
    assert_int_equal(model.mem.used, 0);
}

static void close_frees_everything(void **state)
{
    (void)state;
    struct chance chance = chance_start(__func__);
    static struct model model;
    model_init(&model, &chance);
    for (size_t i = 0; i < model.count; i++)
        assert_int_equal(radix_set(&model.radix, &model.mem, model.keys[i], &model), 0);
    radix_close(&model.radix, &model.mem);
    assert_int_equal(model.mem.used, 0);
    assert_null(radix_find(&model.radix, model.keys[0]));
}

static void a_full_branch_opens_and_fills_again_in_any_order(void **state)
{
    (void)state;
    struct mem mem = {0};
    struct radix radix = {0};
    char values[64];
    for (uint64_t key = 0; key < 64; key++)
        assert_int_equal(radix_set(&radix, &mem, key, &values[key]), 0);
    size_t full = mem.used;
    for (uint64_t gone = 0; gone < 64; gone++) {
        assert_ptr_equal(radix_remove(&radix, &mem, gone), &values[gone]);
        for (uint64_t key = 0; key < 64; key++)
            assert_ptr_equal(radix_find(&radix, key), key == gone ? NULL : &values[key]);
        assert_int_equal(radix_set(&radix, &mem, gone, &values[gone]), 0);
        for (uint64_t key = 0; key < 64; key++)
            assert_ptr_equal(radix_find(&radix, key), &values[key]);
    }
    assert_int_equal(mem.used, full);
    radix_close(&radix, &mem);
}

static void a_failed_allocation_leaves_the_map_as_it_was(void **state)
{
    (void)state;
    struct chance chance = chance_start(__func__);
    static struct model model;
    model_init(&model, &chance);
    size_t failures = 0;
    for (size_t step = 0; step < model.count; step++) {
        size_t i = chance_below(&chance, model.count);
        void *value = some_value(&chance);
        for (int64_t nth = 1;; nth++) {
            size_t used = model.mem.used;
            model.mem.fail_after = nth;
            int rc = radix_set(&model.radix, &model.mem, model.keys[i], value);
            model.mem.fail_after = 0;
            if (rc == 0)
                break;
            assert_int_equal(rc, -ENOMEM);
            assert_null(model.values[i]);
            assert_int_equal(model.mem.used, used);
            failures++;
            if (step % 8 == 0)
                expect_same(&model);
        }
        model.values[i] = value;
    }
    expect_same(&model);
    assert_true(failures > 100);
    radix_close(&model.radix, &model.mem);
    assert_int_equal(model.mem.used, 0);
}

static void replacing_and_removing_need_no_memory(void **state)
{
    (void)state;
    struct chance chance = chance_start(__func__);
    static struct model model;
    model_init(&model, &chance);
    for (size_t i = 0; i < model.count; i++)
        assert_int_equal(radix_set(&model.radix, &model.mem, model.keys[i], &model), 0);
    model.mem.fail_after = 1;
    for (size_t i = 0; i < model.count; i++) {
        model.values[i] = some_value(&chance);
        assert_int_equal(radix_set(&model.radix, &model.mem, model.keys[i], model.values[i]), 0);
    }
    for (size_t left = model.count; left > 0; left--) {
        size_t i = chance_below(&chance, model.count);
        assert_ptr_equal(radix_remove(&model.radix, &model.mem, model.keys[i]), model.values[i]);
        model.values[i] = NULL;
        if (left % 100 == 0)
            expect_same(&model);
    }
    /* What could not shrink can still grow. */
    model.mem.fail_after = 0;
    for (size_t i = 0; i < model.count; i++) {
        model.values[i] = &model;
        assert_int_equal(radix_set(&model.radix, &model.mem, model.keys[i], &model), 0);
    }
    expect_same(&model);
    radix_close(&model.radix, &model.mem);
    assert_int_equal(model.mem.used, 0);
}

static void sequential_ids_cost_little_more_than_a_pointer(void **state)
{
    (void)state;
    struct mem mem = {0};
    struct radix radix = {0};
    uint64_t slot = (uint64_t)12182 << 50;
    for (uint64_t id = 0; id < 100000; id++)
        assert_int_equal(radix_set(&radix, &mem, slot | id, &mem), 0);
    assert_true(mem.used < 100000 * 85 / 10);
    /* Survivors far apart keep small branches, not pages. */
    for (uint64_t id = 0; id < 100000; id++) {
        if (id % 1000)
            assert_ptr_equal(radix_remove(&radix, &mem, slot | id), &mem);
    }
    assert_int_equal(radix.count, 100);
    assert_true(mem.used < 100 * 64);
    radix_close(&radix, &mem);
    assert_int_equal(mem.used, 0);
}

static void zero_digits_between_slot_and_sequence_take_no_branches(void **state)
{
    (void)state;
    struct mem mem = {0};
    struct radix radix = {0};
    for (uint64_t slot = 0; slot < 16384; slot++)
        assert_int_equal(radix_set(&radix, &mem, slot << 50 | 1, &mem), 0);
    assert_true(mem.used < 16384 * 40);
    radix_close(&radix, &mem);
}

static void a_branch_that_has_no_choice_left_goes_away(void **state)
{
    (void)state;
    struct mem mem = {0};
    struct radix radix = {0};
    char values[2];
    assert_int_equal(radix_set(&radix, &mem, 5, &values[0]), 0);
    size_t used = mem.used;
    for (unsigned bit = 6; bit < 64; bit++) {
        uint64_t key = (uint64_t)1 << bit | 7;
        assert_int_equal(radix_set(&radix, &mem, key, &values[1]), 0);
        assert_ptr_equal(radix_find(&radix, 5), &values[0]);
        assert_ptr_equal(radix_remove(&radix, &mem, key), &values[1]);
        assert_int_equal(mem.used, used);
        assert_ptr_equal(radix_find(&radix, 5), &values[0]);
    }
    radix_close(&radix, &mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_map_holds_nothing),
        cmocka_unit_test(behaves_as_a_sorted_list_under_random_operations),
        cmocka_unit_test(close_frees_everything),
        cmocka_unit_test(a_full_branch_opens_and_fills_again_in_any_order),
        cmocka_unit_test(a_failed_allocation_leaves_the_map_as_it_was),
        cmocka_unit_test(replacing_and_removing_need_no_memory),
        cmocka_unit_test(sequential_ids_cost_little_more_than_a_pointer),
        cmocka_unit_test(a_branch_that_has_no_choice_left_goes_away),
        cmocka_unit_test(zero_digits_between_slot_and_sequence_take_no_branches),
    };
    return cmocka_run_group_tests_name("radix", tests, NULL, NULL);
}
