/* The inode table, against a naive model with random operations, and what it says about held nodes. */
#include "fsd/inodes.h"
#include "tests/unit/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { IDS = 500, STEPS = 200000 };

static void agrees_with_a_naive_model_under_random_operations(void **state)
{
    (void)state;
    struct inodes inodes = {0};
    uint64_t lookups[IDS] = {0};
    bool held[IDS] = {false}, setid[IDS] = {false};
    struct chance chance = chance_start("inodes");
    for (int step = 0; step < STEPS; step++) {
        /* First it fills, then it empties. */
        size_t i = chance_below(&chance, IDS);
        uint64_t id = (uint64_t)i * 7919 + 2, count = 1 + chance_below(&chance, 3);
        bool filling = step % (STEPS / 4) < STEPS / 8;
        switch (chance_below(&chance, 4)) {
        case 0:
        case 1:
            if (filling) {
                bool mark = chance_below(&chance, 8) == 0;
                assert_int_equal(inodes_add(&inodes, id, mark), 0);
                lookups[i]++;
                setid[i] |= mark;
            } else {
                bool release = lookups[i] && lookups[i] <= count && held[i];
                assert_int_equal(inodes_forget(&inodes, id, count), release);
                lookups[i] = lookups[i] > count ? lookups[i] - count : 0;
                held[i] &= lookups[i] > 0;
                setid[i] &= lookups[i] > 0;
            }
            break;
        case 2:
            assert_int_equal(inodes_hold(&inodes, id), lookups[i] > 0);
            held[i] = lookups[i] > 0;
            break;
        default:
            assert_int_equal(inodes_lookups(&inodes, id), lookups[i]);
            assert_int_equal(inodes_is_setid(&inodes, id), setid[i]);
        }
    }
    size_t known = 0;
    for (size_t i = 0; i < IDS; i++)
        known += lookups[i] > 0;
    assert_int_equal(inodes.count, known);
    inodes_close(&inodes);
}

/* The longest stretch of the table without a gap: what a search may have to walk. */
static size_t longest_run(const struct inodes *inodes)
{
    size_t run = 0, longest = 0;
    for (size_t i = 0; i < 2 * inodes->capacity; i++) {
        run = inodes->slots[i % inodes->capacity].id ? run + 1 : 0;
        longest = run > longest ? run : longest;
    }
    return longest;
}

static void ids_of_every_shape_spread_over_the_table(void **state)
{
    (void)state;
    for (int shape = 0; shape < 3; shape++) {
        struct inodes inodes = {0};
        for (uint64_t i = 1; i <= 8000; i++) {
            uint64_t slot = shape == 0 ? i : shape == 1 ? 7 : i % 100, sequence = shape == 0 ? 1 : i;
            assert_int_equal(inodes_add(&inodes, slot << 50 | sequence, false), 0);
        }
        assert_true(longest_run(&inodes) < 500);
        inodes_close(&inodes);
    }
}

static void kernels_number_of_a_node_is_another_ids_never(void **state)
{
    (void)state;
    struct chance chance = chance_start("inodes");
    assert_int_equal(ino_of_id(1), 1);
    for (int i = 0; i < 100000; i++) {
        uint64_t id = chance_next(&chance) >> chance_below(&chance, 50) | 1ull << 51 | 1;
        assert_int_equal(id_of_ino(ino_of_id(id)), id);
        assert_int_not_equal(ino_of_id(id), 1);
    }
}

static void held_node_is_to_be_released_by_the_last_forget_only(void **state)
{
    (void)state;
    struct inodes inodes = {0};
    assert_int_equal(inodes_add(&inodes, 42, false), 0);
    assert_int_equal(inodes_add(&inodes, 42, false), 0);
    assert_true(inodes_hold(&inodes, 42));
    assert_false(inodes_forget(&inodes, 42, 1));
    assert_true(inodes_forget(&inodes, 42, 1));
    assert_false(inodes_forget(&inodes, 42, 1));
    inodes_close(&inodes);
}

static void node_that_the_kernel_does_not_know_cannot_be_held(void **state)
{
    (void)state;
    struct inodes inodes = {0};
    assert_false(inodes_hold(&inodes, 42));
    assert_false(inodes_forget(&inodes, 1, 1));
    inodes_close(&inodes);
}

static void table_shrinks_when_the_kernel_forgets(void **state)
{
    (void)state;
    struct inodes inodes = {0};
    for (uint64_t id = 2; id < 100002; id++)
        assert_int_equal(inodes_add(&inodes, id, false), 0);
    size_t full = inodes.capacity;
    for (uint64_t id = 2; id < 100000; id++)
        inodes_forget(&inodes, id, 1);
    assert_in_range(inodes.capacity, 1, full / 100);
    assert_int_equal(inodes_lookups(&inodes, 100000), 1);
    assert_int_equal(inodes_lookups(&inodes, 100001), 1);
    inodes_close(&inodes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_naive_model_under_random_operations),
        cmocka_unit_test(ids_of_every_shape_spread_over_the_table),
        cmocka_unit_test(kernels_number_of_a_node_is_another_ids_never),
        cmocka_unit_test(held_node_is_to_be_released_by_the_last_forget_only),
        cmocka_unit_test(node_that_the_kernel_does_not_know_cannot_be_held),
        cmocka_unit_test(table_shrinks_when_the_kernel_forgets),
    };
    return cmocka_run_group_tests_name("fsd_inodes", tests, NULL, NULL);
}
