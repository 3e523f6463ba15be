/* What a value takes: the promises of a rope that its bytes alone do not tell. Allocations are counted by letting
 * one fail that never comes. */
#include "kvcore/base/error.h"
#include "kvcore/base/limits.h"
#include "kvcore/tree/rope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { LONG_BYTES = 5 * CHUNK_BYTES, MANY = INT32_MAX };

static void the_largest_value_may_be_all_hole_but_a_byte(void **state)
{
    (void)state;
    struct mem mem = {0};
    struct rope rope = {0};
    uint64_t at, got;
    struct bytes piece;
    assert_int_equal(rope_write(&rope, &mem, VALUE_BYTES_MAX - 1, bytes_of("x")), 0);
    assert_int_equal(rope.size, VALUE_BYTES_MAX);
    assert_true(mem.used <= 2 * CHUNK_BYTES);
    assert_int_equal(rope_seek(&rope, 0, false, &at), 0);
    assert_int_equal(at, VALUE_BYTES_MAX - CHUNK_BYTES);
    assert_int_equal(rope_seek(&rope, 0, true, &at), 0);
    assert_int_equal(at, 0);
    assert_int_equal(rope_seek(&rope, VALUE_BYTES_MAX - 1, true, &at), 0);
    assert_int_equal(at, VALUE_BYTES_MAX);
    assert_int_equal(rope_pieces(&rope, VALUE_BYTES_MAX - 1, UINT64_MAX, &piece, 1, &got), 1);
    assert_true(got == 1 && piece.data[0] == 'x');
    assert_int_equal(rope_pieces(&rope, VALUE_BYTES_MAX, 1, &piece, 1, &got), 0);
    assert_int_equal(got, 0);
    assert_int_equal(rope_punch(&rope, &mem, 0, UINT64_MAX), 0);
    assert_int_equal(rope.size, VALUE_BYTES_MAX);
    assert_int_equal(rope_stored_bytes(&rope), 0);
    assert_int_equal(rope_seek(&rope, 0, false, &at), -ENXIO);
    rope_close(&rope, &mem);
    assert_int_equal(mem.used, 0);
}

/* The allocations that `appends` appends of `len` bytes take. */
static int64_t allocations_of_appends(struct rope *rope, struct mem *mem, size_t len, size_t appends)
{
    static char bytes[LONG_BYTES];
    mem->fail_after = MANY;
    for (size_t i = 0; i < appends; i++)
        assert_int_equal(rope_write(rope, mem, rope->size, bytes_make(bytes, len)), 0);
    int64_t allocations = MANY - mem->fail_after;
    mem->fail_after = 0;
    return allocations;
}

static void values_set_once_waste_no_memory(void **state)
{
    (void)state;
    static const size_t sizes[] = {256, 4000, 40000, CHUNK_BYTES, 70000, LONG_BYTES};
    struct mem mem = {0};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct rope rope = {0};
        size_t chunks = sizes[i] / CHUNK_BYTES + 1;
        /* each chunk and its bytes; the map's few branches; the allocator rounds up by less than an eighth here */
        assert_in_range(allocations_of_appends(&rope, &mem, sizes[i], 1), 1, 2 * chunks + 8);
        assert_in_range(mem.used, sizes[i], sizes[i] + sizes[i] / 8 + 64 * chunks + (chunks > 1 ? 1024 : 0));
        assert_int_equal(rope_stored_bytes(&rope), sizes[i]);
        rope_close(&rope, &mem);
    }
    assert_int_equal(mem.used, 0);
}

static void appends_to_a_block_are_amortised(void **state)
{
    (void)state;
    struct mem mem = {0};
    struct rope rope = {0};
    assert_in_range(allocations_of_appends(&rope, &mem, 64, 1024), 1, 50);
    assert_false(rope.chunked);
    assert_in_range(mem.used, CHUNK_BYTES, CHUNK_BYTES + 64);
    rope_close(&rope, &mem);
}

static void appends_to_a_long_value_move_a_chunk_once_at_most(void **state)
{
    (void)state;
    struct mem mem = {0};
    struct rope rope = {0};
    assert_int_equal(rope_truncate(&rope, &mem, CHUNK_BYTES), 0);
    assert_in_range(allocations_of_appends(&rope, &mem, 4096, 64 * CHUNK_BYTES / 4096), 64, 64 * 3 + 64);
    rope_close(&rope, &mem);
    assert_int_equal(mem.used, 0);
}

static void a_value_that_shrinks_gives_memory_back(void **state)
{
    (void)state;
    struct mem mem = {0};
    struct rope rope = {0};
    allocations_of_appends(&rope, &mem, LONG_BYTES, 1);
    assert_int_equal(rope_truncate(&rope, &mem, 3000), 0);
    assert_in_range(mem.used, 3000, 3500);
    assert_int_equal(rope_truncate(&rope, &mem, LONG_BYTES), 0);
    assert_int_equal(rope_punch(&rope, &mem, 100, LONG_BYTES), 0);
    assert_in_range(mem.used, 100, 4096);
    assert_int_equal(rope_truncate(&rope, &mem, 0), 0);
    assert_int_equal(mem.used, 0);
}

static void a_copy_takes_no_memory_until_it_changes(void **state)
{
    (void)state;
    struct mem mem = {0};
    struct rope rope = {0}, copy = {0};
    allocations_of_appends(&rope, &mem, LONG_BYTES, 1);
    size_t used = mem.used;
    assert_int_equal(rope_share(&rope, &mem, &copy), 0);
    assert_in_range(mem.used - used, 0, 1024);
    assert_int_equal(rope_stored_bytes(&copy), LONG_BYTES);
    assert_int_equal(rope_write_cost(&copy, 7, 1), CHUNK_BYTES);
    assert_int_equal(rope_cut_cost(&copy, 7), CHUNK_BYTES);
    assert_int_equal(rope_cut_cost(&copy, CHUNK_BYTES), 0);
    assert_int_equal(rope_write(&copy, &mem, 7, bytes_of("x")), 0);
    assert_in_range(mem.used - used, CHUNK_BYTES, CHUNK_BYTES + 1024);
    assert_int_equal(rope_write_cost(&copy, 7, CHUNK_BYTES - 7), 0);
    rope_close(&rope, &mem);
    rope_close(&copy, &mem);
    assert_int_equal(mem.used, 0);
}

static void a_range_at_equal_places_in_chunks_is_copied_without_its_bytes(void **state)
{
    (void)state;
    struct mem mem = {0};
    struct rope rope = {0}, copy = {0};
    allocations_of_appends(&rope, &mem, LONG_BYTES - 100, 1);
    size_t used = mem.used;
    assert_int_equal(rope_copy(&copy, &mem, 0, &rope, 0, LONG_BYTES - 100), 0); /* also the last chunk, a shorter one */
    assert_in_range(mem.used - used, 0, 1024);
    assert_int_equal(rope_stored_bytes(&copy), rope_stored_bytes(&rope));
    rope_close(&copy, &mem);

    used = mem.used;
    assert_int_equal(rope_copy(&copy, &mem, 9 * CHUNK_BYTES + 5, &rope, 5, 3 * CHUNK_BYTES), 0);
    assert_in_range(mem.used - used, CHUNK_BYTES, CHUNK_BYTES + 2048); /* the two ends: together one chunk */
    rope_close(&copy, &mem);

    used = mem.used;
    assert_int_equal(rope_copy(&copy, &mem, 1, &rope, 0, CHUNK_BYTES), 0);
    assert_in_range(mem.used - used, CHUNK_BYTES, CHUNK_BYTES + 1024);
    rope_close(&copy, &mem);
    rope_close(&rope, &mem);
    assert_int_equal(mem.used, 0);
}

static void a_hole_that_is_copied_stays_one_and_frees_what_was_there(void **state)
{
    (void)state;
    struct mem mem = {0};
    struct rope rope = {0}, copy = {0};
    uint64_t at;
    assert_int_equal(rope_truncate(&rope, &mem, VALUE_BYTES_MAX), 0);
    allocations_of_appends(&copy, &mem, LONG_BYTES, 1);
    assert_int_equal(rope_copy(&copy, &mem, CHUNK_BYTES, &rope, 77, 100 * CHUNK_BYTES), 0);
    assert_int_equal(copy.size, 101 * CHUNK_BYTES);
    assert_int_equal(rope_stored_bytes(&copy), CHUNK_BYTES);
    assert_int_equal(rope_seek(&copy, 0, true, &at), 0);
    assert_int_equal(at, CHUNK_BYTES);
    rope_close(&rope, &mem);
    rope_close(&copy, &mem);
    assert_int_equal(mem.used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_largest_value_may_be_all_hole_but_a_byte),
        cmocka_unit_test(values_set_once_waste_no_memory),
        cmocka_unit_test(appends_to_a_block_are_amortised),
        cmocka_unit_test(appends_to_a_long_value_move_a_chunk_once_at_most),
        cmocka_unit_test(a_value_that_shrinks_gives_memory_back),
        cmocka_unit_test(a_copy_takes_no_memory_until_it_changes),
        cmocka_unit_test(a_range_at_equal_places_in_chunks_is_copied_without_its_bytes),
        cmocka_unit_test(a_hole_that_is_copied_stays_one_and_frees_what_was_there),
    };
    return cmocka_run_group_tests_name("rope_memory", tests, NULL, NULL);
}
