/* Ropes against a flat array, under random changes, with shared copies that must not notice, and with failing
 * allocations. */
#include "kvcore/base/error.h"
#include "kvcore/base/limits.h"
#include "kvcore/tree/chunk.h"
#include "kvcore/tree/rope.h"
#include "tests/unit/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { FLAT_BYTES = 5 * CHUNK_BYTES, COPIES = 4, PAGE_BYTES = 4096 };

/* The naive value: all its bytes, behind its size always zeros. */
struct flat {
    uint64_t size;
    unsigned char bytes[FLAT_BYTES];
};

static void flat_write(struct flat *flat, uint64_t offset, struct bytes data)
{
    if (data.len == 0)
        return;
    memcpy(flat->bytes + offset, data.data, data.len);
    if (offset + data.len > flat->size)
        flat->size = offset + data.len;
}

static void flat_truncate(struct flat *flat, uint64_t size)
{
    memset(flat->bytes + size, 0, FLAT_BYTES - size);
    flat->size = size;
}

static void flat_punch(struct flat *flat, uint64_t offset, uint64_t length)
{
    for (uint64_t at = offset; at < flat->size && at - offset < length; at++)
        flat->bytes[at] = 0;
}

/* Reads by a few pieces at a time, so that a read goes on where the last one was cut short. */
static void rope_read(const struct rope *rope, uint64_t offset, uint64_t length, unsigned char *to)
{
    while (length > 0) {
        struct bytes pieces[3];
        uint64_t got;
        size_t count = rope_pieces(rope, offset, length, pieces, 3, &got);
        assert_true(count > 0 && got <= length);
        uint64_t sum = 0;
        for (size_t i = 0; i < count; i++) {
            assert_true(pieces[i].len > 0);
            memcpy(to + sum, pieces[i].data, pieces[i].len);
            sum += pieces[i].len;
        }
        assert_int_equal(sum, got);
        offset += got;
        length -= got;
        to += got;
    }
}

/* What is said to be stored is what the chunks have. */
static void assert_stored(const struct rope *rope)
{
    const struct chunk *chunk;
    uint64_t stored = 0;
    if (!rope->chunked)
        stored = rope->block ? rope->block->capacity : 0;
    for (uint64_t number = 0; rope->chunked && (chunk = radix_next(&rope->chunks, number, &number)); number++)
        stored += chunk->capacity;
    assert_int_equal(rope_stored_bytes(rope), stored);
}

static void assert_rope_is(const struct rope *rope, const struct flat *flat)
{
    assert_stored(rope);
    static unsigned char read[FLAT_BYTES];
    assert_int_equal(rope->size, flat->size);
    assert_int_equal(rope->chunked, flat->size > CHUNK_BYTES);
    rope_read(rope, 0, rope->size, read);
    assert_true(memcmp(read, flat->bytes, flat->size) == 0);
}

static bool all_zero(const struct flat *flat, uint64_t from, uint64_t to)
{
    for (uint64_t at = from; at < to; at++)
        if (flat->bytes[at])
            return false;
    return true;
}

/* A range of one flat value to another, or within one, where the two do not overlap. */
static void flat_copy(struct flat *flat, uint64_t offset, const struct flat *source, uint64_t from, uint64_t length)
{
    memmove(flat->bytes + offset, source->bytes + from, length);
    if (length && offset + length > flat->size)
        flat->size = offset + length;
}

/* Data and holes take turns and cover the value; holes are zeros. */
static void assert_seek_covers(const struct rope *rope, const struct flat *flat)
{
    uint64_t at = 0, data, hole;
    while (at < flat->size) {
        if (rope_seek(rope, at, false, &data) < 0)
            data = flat->size;
        assert_true(data >= at && data <= flat->size && all_zero(flat, at, data));
        if (data == flat->size)
            break;
        assert_int_equal(rope_seek(rope, data, true, &hole), 0);
        assert_true(hole > data && hole <= flat->size);
        assert_true(hole == flat->size || hole % PAGE_BYTES == 0);
        for (at = hole; at < hole + 2 && at < flat->size; at++) {
            assert_int_equal(rope_seek(rope, at, true, &data), 0);
            assert_int_equal(data, at); /* data begins with a chunk, and this is none's beginning, or a hole */
        }
        at = hole;
    }
    assert_int_equal(rope_seek(rope, flat->size, false, &data), -ENXIO);
    assert_int_equal(rope_seek(rope, flat->size, true, &hole), -ENXIO);
}

static struct bytes noise(struct chance *chance, size_t len)
{
    static uint64_t bytes[FLAT_BYTES / sizeof(uint64_t) + 1];
    for (size_t i = 0; i <= len / sizeof(uint64_t); i++)
        bytes[i] = chance_next(chance) | 0x0101010101010101; /* no zeros: a lost byte must show */
    return bytes_make(bytes, len);
}

/* 0..FLAT_BYTES, often next to the end of a chunk. */
static uint64_t some_offset(struct chance *chance)
{
    if (chance_below(chance, 2))
        return chance_below(chance, FLAT_BYTES + 1);
    uint64_t at = chance_below(chance, FLAT_BYTES / CHUNK_BYTES + 1) * CHUNK_BYTES + chance_below(chance, 9);
    return at < 4 ? 0 : at - 4 > FLAT_BYTES ? FLAT_BYTES : at - 4;
}

static uint64_t some_length(struct chance *chance, uint64_t offset)
{
    static const uint64_t limits[] = {16, 4096, CHUNK_BYTES, FLAT_BYTES};
    uint64_t length = chance_below(chance, limits[chance_below(chance, 4)] + 1);
    return length > FLAT_BYTES - offset ? FLAT_BYTES - offset : length;
}

enum change_kind { WRITE, PUNCH, TRUNCATE };

struct change {
    enum change_kind kind;
    uint64_t offset; /* of a truncate: the new size */
    uint64_t length;
};

static struct change some_change(struct chance *chance)
{
    static const enum change_kind kinds[] = {WRITE, WRITE, WRITE, PUNCH, PUNCH, TRUNCATE};
    uint64_t offset = some_offset(chance);
    return (struct change){kinds[chance_below(chance, 6)], offset, some_length(chance, offset)};
}

/* Changes the rope, and the model too if the rope took it. */
static int change_both(const struct change *change, struct chance *chance, struct mem *mem, struct rope *rope,
                       struct flat *flat)
{
    struct bytes data = noise(chance, change->kind == WRITE ? change->length : 0);
    int rc;
    switch (change->kind) {
    case WRITE:
        rc = rope_write(rope, mem, change->offset, data);
        if (rc == 0)
            flat_write(flat, change->offset, data);
        return rc;
    case PUNCH:
        rc = rope_punch(rope, mem, change->offset, change->length);
        if (rc == 0)
            flat_punch(flat, change->offset, change->length);
        return rc;
    default:
        rc = rope_truncate(rope, mem, change->offset);
        if (rc == 0)
            flat_truncate(flat, change->offset);
        return rc;
    }
}

static void equals_a_flat_array_under_random_changes(void **state)
{
    (void)state;
    static struct flat flat;
    struct chance chance = chance_start(__func__);
    struct mem mem = {0};
    struct rope rope = {0};
    for (int i = 0; i < 4000; i++) {
        struct change change = some_change(&chance);
        assert_int_equal(change_both(&change, &chance, &mem, &rope, &flat), 0);
        assert_rope_is(&rope, &flat);
        if (i % 16 == 0)
            assert_seek_covers(&rope, &flat);
    }
    rope_close(&rope, &mem);
    assert_int_equal(mem.used, 0);
}

static void shared_copies_do_not_see_each_others_changes(void **state)
{
    (void)state;
    static struct flat flats[COPIES];
    struct chance chance = chance_start(__func__);
    struct mem mem = {0};
    struct rope ropes[COPIES] = {0};
    for (int i = 0; i < 2000; i++) {
        size_t from = chance_below(&chance, COPIES), to = chance_below(&chance, COPIES);
        struct change change = some_change(&chance);
        if (chance_below(&chance, 4)) {
            assert_int_equal(change_both(&change, &chance, &mem, &ropes[from], &flats[from]), 0);
        } else if (from != to) {
            rope_close(&ropes[to], &mem);
            assert_int_equal(rope_share(&ropes[from], &mem, &ropes[to]), 0);
            flats[to] = flats[from];
        }
        for (size_t copy = 0; copy < COPIES; copy++)
            assert_rope_is(&ropes[copy], &flats[copy]);
    }
    for (size_t copy = 0; copy < COPIES; copy++)
        rope_close(&ropes[copy], &mem);
    assert_int_equal(mem.used, 0);
}

/* A range from one rope to another, or within one by way of a shared part. Copies in the models what was copied. */
static int copy_both(struct chance *chance, struct mem *mem, struct rope *ropes, struct flat *flats)
{
    size_t from = chance_below(chance, COPIES), to = chance_below(chance, COPIES);
    uint64_t source = some_offset(chance), offset = some_offset(chance);
    if (chance_below(chance, 2)) /* equally far into a chunk */
        offset = offset / CHUNK_BYTES * CHUNK_BYTES + source % CHUNK_BYTES;
    if (source > flats[from].size || offset > FLAT_BYTES)
        return 0;
    uint64_t length = some_length(chance, offset), left = flats[from].size - source;
    length = length < left ? length : left;
    if (from == to && source < offset + length && offset < source + length)
        return 0;
    struct rope part = {0};
    int rc = from == to ? rope_share_part(&ropes[from], mem, source, length, &part) : 0;
    if (rc == 0)
        rc = rope_copy(&ropes[to], mem, offset, from == to ? &part : &ropes[from], source, length);
    rope_close(&part, mem);
    if (rc == 0)
        flat_copy(&flats[to], offset, &flats[from], source, length);
    return rc;
}

static void ranges_are_copied_from_rope_to_rope_and_within_one(void **state)
{
    (void)state;
    static struct flat flats[COPIES];
    struct chance chance = chance_start(__func__);
    struct mem mem = {0};
    struct rope ropes[COPIES] = {0};
    unsigned failed = 0;
    for (int i = 0; i < 4000; i++) {
        size_t which = chance_below(&chance, COPIES);
        struct change change = some_change(&chance);
        mem.fail_after = (int64_t)chance_below(&chance, 12);
        int rc = chance_below(&chance, 3) ? copy_both(&chance, &mem, ropes, flats)
                                          : change_both(&change, &chance, &mem, &ropes[which], &flats[which]);
        mem.fail_after = 0;
        assert_true(rc == 0 || rc == -ENOMEM);
        failed += rc < 0;
        for (size_t rope = 0; rope < COPIES; rope++)
            assert_rope_is(&ropes[rope], &flats[rope]);
        assert_seek_covers(&ropes[which], &flats[which]);
    }
    assert_true(failed > 100);
    for (size_t rope = 0; rope < COPIES; rope++)
        rope_close(&ropes[rope], &mem);
    assert_int_equal(mem.used, 0);
}

static void random_failing_allocations_leave_the_value_unchanged(void **state)
{
    (void)state;
    static struct flat flats[2];
    struct chance chance = chance_start(__func__);
    struct mem mem = {0};
    struct rope ropes[2] = {0};
    int failed = 0;
    for (int i = 0; i < 3000; i++) {
        size_t which = chance_below(&chance, 2), other = 1 - which;
        struct change change = some_change(&chance);
        int rc;
        mem.fail_after = (int64_t)chance_below(&chance, 12);
        if (chance_below(&chance, 4)) {
            rc = change_both(&change, &chance, &mem, &ropes[which], &flats[which]);
        } else {
            rope_close(&ropes[which], &mem);
            flat_truncate(&flats[which], 0);
            rc = rope_share(&ropes[other], &mem, &ropes[which]);
            if (rc == 0)
                flats[which] = flats[other];
        }
        mem.fail_after = 0;
        assert_true(rc == 0 || rc == -ENOMEM);
        failed += rc < 0;
        assert_rope_is(&ropes[0], &flats[0]);
        assert_rope_is(&ropes[1], &flats[1]);
        assert_seek_covers(&ropes[which], &flats[which]);
    }
    assert_true(failed > 100);
    rope_close(&ropes[0], &mem);
    rope_close(&ropes[1], &mem);
    assert_int_equal(mem.used, 0);
}

/* What the changes below start from: a value, shared or not, that has a hole. */
struct before {
    uint64_t size;
    uint64_t punched_from, punched_to;
    bool shared;
};

static void make_before(const struct before *before, struct chance *chance, struct mem *mem, struct rope *rope,
                        struct rope *copy, struct flat *flat)
{
    struct bytes data = noise(chance, before->size);
    flat_truncate(flat, 0);
    flat_write(flat, 0, data);
    flat_punch(flat, before->punched_from, before->punched_to - before->punched_from);
    assert_int_equal(rope_write(rope, mem, 0, data), 0);
    assert_int_equal(rope_punch(rope, mem, before->punched_from, before->punched_to - before->punched_from), 0);
    if (before->shared)
        assert_int_equal(rope_share(rope, mem, copy), 0);
}

static uint64_t first_hole(const struct rope *rope)
{
    uint64_t hole = UINT64_MAX; /* what an empty value leaves it at */
    rope_seek(rope, 0, true, &hole);
    return hole;
}

/* True when the change goes through although its `nth` allocation fails: it has fewer, or could do without. */
static bool survives(const struct before *before, const struct change *change, int nth, struct chance *chance)
{
    static struct flat flat, flat_copy;
    struct mem mem = {0};
    struct rope rope = {0}, copy = {0};
    make_before(before, chance, &mem, &rope, &copy, &flat);
    flat_copy = flat;
    uint64_t hole = first_hole(&rope);

    mem.fail_after = nth;
    int rc = change_both(change, chance, &mem, &rope, &flat);
    mem.fail_after = 0;
    assert_true(rc == 0 || rc == -ENOMEM);
    assert_rope_is(&rope, &flat);
    assert_seek_covers(&rope, &flat);
    if (rc < 0)
        assert_int_equal(first_hole(&rope), hole);
    if (before->shared)
        assert_rope_is(&copy, &flat_copy);
    rope_close(&rope, &mem);
    rope_close(&copy, &mem);
    assert_int_equal(mem.used, 0);
    return rc == 0;
}

static void every_failing_allocation_leaves_the_value_unchanged(void **state)
{
    (void)state;
    static const struct before befores[] = {
        {.size = 0},
        {.size = 300, .shared = true},
        {.size = 60000},
        {.size = 3 * CHUNK_BYTES, .punched_from = CHUNK_BYTES, .punched_to = 2 * CHUNK_BYTES},
        {.size = 4 * CHUNK_BYTES + 9, .punched_from = CHUNK_BYTES, .punched_to = 2 * CHUNK_BYTES, .shared = true},
    };
    static const struct change changes[] = {
        {WRITE, 0, FLAT_BYTES},
        {WRITE, 1000, 2 * CHUNK_BYTES},
        {PUNCH, 100, 2 * CHUNK_BYTES},
        {TRUNCATE, FLAT_BYTES, 0},
        {TRUNCATE, 700, 0},
    };
    struct chance chance = chance_start(__func__);
    int most = 0;
    for (size_t b = 0; b < sizeof befores / sizeof befores[0]; b++) {
        for (size_t c = 0; c < sizeof changes / sizeof changes[0]; c++) {
            int nth = 1;
            while (!survives(&befores[b], &changes[c], nth, &chance))
                nth++;
            most = nth > most ? nth : most;
        }
    }
    assert_true(most > 2 * FLAT_BYTES / CHUNK_BYTES);
}

static void every_failing_allocation_of_a_share_gives_no_copy(void **state)
{
    (void)state;
    static struct flat flat;
    struct chance chance = chance_start(__func__);
    struct mem mem = {0};
    struct rope rope = {0}, copy = {0};
    static const struct before before = {.size = FLAT_BYTES};
    make_before(&before, &chance, &mem, &rope, &copy, &flat);
    size_t used = mem.used;
    int nth = 0, rc;
    do {
        mem.fail_after = ++nth;
        rc = rope_share(&rope, &mem, &copy);
        if (rc < 0) {
            assert_int_equal(rc, -ENOMEM);
            assert_int_equal(mem.used, used);
            assert_int_equal(copy.size, 0);
        }
    } while (rc < 0);
    mem.fail_after = 0;
    assert_true(nth > 1);
    rope_close(&rope, &mem);
    assert_rope_is(&copy, &flat);
    rope_close(&copy, &mem);
    assert_int_equal(mem.used, 0);
}

static void bytes_cut_off_never_come_back(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {5000, CHUNK_BYTES, 3 * CHUNK_BYTES + 77};
    static struct flat flat;
    struct chance chance = chance_start(__func__);
    struct mem mem = {0};
    for (size_t i = 0; i < 3; i++) {
        struct rope rope = {0}, copy = {0};
        struct before before = {.size = sizes[i]};
        make_before(&before, &chance, &mem, &rope, &copy, &flat);
        uint64_t cut = sizes[i] - 1000; /* little enough that the chunk stays where it is */
        assert_int_equal(rope_truncate(&rope, &mem, cut), 0);
        flat_truncate(&flat, cut);
        assert_int_equal(rope_truncate(&rope, &mem, sizes[i]), 0);
        flat_truncate(&flat, sizes[i]);
        assert_rope_is(&rope, &flat);

        assert_int_equal(rope_truncate(&rope, &mem, cut), 0);
        assert_int_equal(rope_write(&rope, &mem, sizes[i] - 1, bytes_of("x")), 0);
        flat_write(&flat, sizes[i] - 1, bytes_of("x"));
        assert_rope_is(&rope, &flat);
        rope_close(&rope, &mem);
    }
    assert_int_equal(mem.used, 0);
}

static void a_write_into_a_hole_gives_zeros_around_it(void **state)
{
    (void)state;
    static struct flat flat;
    struct chance chance = chance_start(__func__);
    struct mem mem = {0};
    struct rope rope = {0};
    flat_truncate(&flat, 4 * CHUNK_BYTES);
    assert_int_equal(rope_truncate(&rope, &mem, 4 * CHUNK_BYTES), 0);
    assert_int_equal(mem.used, 0);
    struct bytes data = noise(&chance, 4096);
    assert_int_equal(rope_write(&rope, &mem, 2 * CHUNK_BYTES + 8192, data), 0);
    flat_write(&flat, 2 * CHUNK_BYTES + 8192, data);
    assert_rope_is(&rope, &flat);

    uint64_t at;
    assert_int_equal(rope_seek(&rope, 5, false, &at), 0);
    assert_int_equal(at, 2 * CHUNK_BYTES);
    assert_int_equal(rope_seek(&rope, at + 5, false, &at), 0);
    assert_int_equal(at, 2 * CHUNK_BYTES + 5);
    assert_int_equal(rope_seek(&rope, at, true, &at), 0);
    assert_int_equal(at, 2 * CHUNK_BYTES + 8192 + 4096);
    assert_int_equal(rope_seek(&rope, at, false, &at), -ENXIO);
    assert_int_equal(rope_stored_bytes(&rope), 8192 + 4096);
    rope_close(&rope, &mem);
    assert_int_equal(mem.used, 0);
}

static void seek_finds_the_hole_between_data(void **state)
{
    (void)state;
    static struct flat flat;
    struct chance chance = chance_start(__func__);
    struct mem mem = {0};
    struct rope rope = {0}, copy = {0};
    static const struct before before = {4 * CHUNK_BYTES - 7, CHUNK_BYTES - 5, 2 * CHUNK_BYTES + 5, false};
    make_before(&before, &chance, &mem, &rope, &copy, &flat);
    uint64_t at;
    assert_int_equal(rope_seek(&rope, 1, true, &at), 0);
    assert_int_equal(at, CHUNK_BYTES); /* the last page has data before its five zeros */
    assert_int_equal(rope_seek(&rope, CHUNK_BYTES + 1, true, &at), 0);
    assert_int_equal(at, CHUNK_BYTES + 1);
    assert_int_equal(rope_seek(&rope, at, false, &at), 0);
    assert_int_equal(at, 2 * CHUNK_BYTES);
    assert_int_equal(rope_seek(&rope, at, true, &at), 0);
    assert_int_equal(at, 4 * CHUNK_BYTES - 7); /* the end is a hole */
    rope_close(&rope, &mem);
    assert_int_equal(mem.used, 0);
}

static void nothing_written_grows_nothing(void **state)
{
    (void)state;
    struct mem mem = {0};
    struct rope rope = {0};
    assert_int_equal(rope_write(&rope, &mem, 1000, (struct bytes){0}), 0);
    assert_int_equal(rope.size, 0);
    assert_int_equal(mem.used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_a_flat_array_under_random_changes),
        cmocka_unit_test(shared_copies_do_not_see_each_others_changes),
        cmocka_unit_test(ranges_are_copied_from_rope_to_rope_and_within_one),
        cmocka_unit_test(random_failing_allocations_leave_the_value_unchanged),
        cmocka_unit_test(every_failing_allocation_leaves_the_value_unchanged),
        cmocka_unit_test(every_failing_allocation_of_a_share_gives_no_copy),
        cmocka_unit_test(bytes_cut_off_never_come_back),
        cmocka_unit_test(a_write_into_a_hole_gives_zeros_around_it),
        cmocka_unit_test(seek_finds_the_hole_between_data),
        cmocka_unit_test(nothing_written_grows_nothing),
    };
    return cmocka_run_group_tests_name("rope", tests, NULL, NULL);
}
