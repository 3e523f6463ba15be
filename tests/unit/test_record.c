/* Records: what goes in comes out, and what is not whole is never taken. */
#include "kvcore/base/crc32c.h"
#include "kvcore/base/error.h"
#include "kvcore/log/code.h"
#include "kvcore/log/frame.h"
#include "kvcore/log/record.h"
#include "kvcore/log/segment.h"
#include "tests/unit/tree_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct record_head some_head = {
    .epoch = 7,
    .index = 300,
    .time_ns = 1700000000123456789,
    .session = 1ull << 40,
    .message = 4000000000u,
    .slot = 16383,
};

/* Applies what the record holds. */
static void replay(struct tree *tree, struct bytes bytes)
{
    struct record record;
    assert_int_equal(record_read(bytes, &record), 0);
    assert_int_equal(record.length, bytes.len);
    struct effect effect;
    uint32_t count = 0;
    for (size_t at = 0; record_next(&record, &at, &effect) > 0; count++)
        assert_int_equal(tree_apply(tree, &effect), 0);
    assert_int_equal(count, record.effect_count);
}

/* One record of up to four random effects, those that the tree takes. */
static void random_record(struct model *model, struct tree *tree, struct chance *chance, struct record_head *head,
                          struct buf *out)
{
    const struct model_taste taste = {.names_max = 150, .long_ones = 40};
    size_t start;
    head->index++;
    head->time_ns += (int64_t)chance_below(chance, 1000);
    assert_int_equal(record_begin(out, head, &start), 0);
    for (uint64_t left = chance_below(chance, 5); left; left--) {
        struct effect effect;
        model_random_effect(model, tree, chance, &taste, &effect);
        if (chance_below(chance, 2)) {
            effect.version = head->index;
            effect.time_ns = head->time_ns;
        }
        int rc = tree_apply(tree, &effect);
        model_follow(model, tree, &effect, rc);
        if (rc == 0)
            assert_int_equal(record_add(out, start, &effect), 0);
    }
    assert_int_equal(record_end(out, start, (struct bytes){0}), 0);
}

static void replayed_records_give_an_equal_tree(void **state)
{
    (void)state;
    enum { RECORDS = 8000, RECORDS_A_LOOK = 200 };
    static struct model model;
    struct chance chance = chance_start(__func__);
    uint64_t seed = chance_next(&chance);
    struct tree *written = tree_new(seed, 10, 20, 0755, 1000), *replayed = tree_new(seed, 10, 20, 0755, 1000);
    struct record_head head = {.epoch = 1};
    struct buf out = {0};
    model_init(&model, written);
    for (unsigned i = 1; i <= RECORDS; i++) {
        out.len = 0;
        random_record(&model, written, &chance, &head, &out);
        replay(replayed, buf_bytes(&out));
        if (i % RECORDS_A_LOOK == 0)
            model_expect_equal(&model, replayed);
    }
    buf_close(&out);
    model_close(&model);
    tree_free(written);
    tree_free(replayed);
}

/* A record with a creation and a rename, and a result. */
static void make_record(struct buf *out)
{
    size_t start;
    struct effect create = {.kind = EFFECT_CREATE, .dir = ROOT_ID, .name = bytes_of("a"), .mode = S_IFREG | 0640};
    create.id = 5ull << ID_SLOT_SHIFT | 9;
    create.value = bytes_of("hello");
    create.version = some_head.index;
    create.time_ns = -1;
    struct effect rename = {.kind = EFFECT_RENAME, .dir = ROOT_ID, .name = bytes_of("a"), .to_dir = ROOT_ID};
    rename.to_name = bytes_of("b");
    rename.flags = EFFECT_NOREPLACE;
    rename.version = 4;
    rename.time_ns = some_head.time_ns;
    assert_int_equal(record_begin(out, &some_head, &start), 0);
    assert_int_equal(record_add(out, start, &create), 0);
    assert_int_equal(record_add(out, start, &rename), 0);
    assert_int_equal(record_end(out, start, bytes_of("result")), 0);
}

static void what_stands_before_the_effects_comes_back(void **state)
{
    (void)state;
    struct buf out = {0};
    struct record record;
    struct effect effect;
    size_t at = 0;
    assert_int_equal(buf_append(&out, "xyz", 3), 0); /* it begins where the buffer ends */
    make_record(&out);
    assert_int_equal(record_read(bytes_make(out.data + 3, out.len - 3), &record), 0);
    assert_int_equal(record.head.epoch, some_head.epoch);
    assert_int_equal(record.head.index, some_head.index);
    assert_int_equal(record.head.time_ns, some_head.time_ns);
    assert_int_equal(record.head.session, some_head.session);
    assert_int_equal(record.head.message, some_head.message);
    assert_int_equal(record.head.slot, some_head.slot);
    assert_int_equal(record.effect_count, 2);
    assert_true(bytes_equal(record.result, bytes_of("result")));
    assert_int_equal(record_next(&record, &at, &effect), 1);
    assert_int_equal(effect.version, some_head.index);
    assert_int_equal(effect.time_ns, -1);
    assert_true(bytes_equal(effect.value, bytes_of("hello")));
    assert_int_equal(record_next(&record, &at, &effect), 1);
    assert_int_equal(effect.version, 4);
    assert_int_equal(effect.flags, EFFECT_NOREPLACE);
    assert_int_equal(record_next(&record, &at, &effect), 0);
    buf_close(&out);
}

/* A copy of its own, so that a sanitizer sees every byte read too far. */
static int read_copy(const char *bytes, size_t len)
{
    char *copy = malloc(len ? len : 1);
    struct record record;
    memcpy(copy, bytes, len);
    int rc = record_read(bytes_make(copy, len), &record);
    free(copy);
    return rc;
}

static void a_part_of_a_record_is_not_enough(void **state)
{
    (void)state;
    struct buf out = {0};
    make_record(&out);
    for (size_t len = 0; len < out.len; len++)
        assert_int_equal(read_copy(out.data, len), -ENODATA);
    assert_int_equal(read_copy(out.data, out.len), 0);
    buf_close(&out);
}

static void a_flipped_bit_is_seen(void **state)
{
    (void)state;
    struct buf out = {0};
    make_record(&out);
    for (size_t bit = 0; bit < 8 * out.len; bit++) {
        out.data[bit / 8] ^= (char)(1 << bit % 8);
        int rc = read_copy(out.data, out.len);
        assert_true(rc == -EBADMSG || rc == -ENODATA);
        out.data[bit / 8] ^= (char)(1 << bit % 8);
    }
    buf_close(&out);
}

/* What no writer of ours writes, under a good checksum: read or refused, applied or refused; never a crash, and the
 * tree stays sound. */
static void nonsense_under_a_good_checksum_is_refused(void **state)
{
    (void)state;
    enum { RECORDS = 20000 };
    static struct model model;
    unsigned refused = 0, applied = 0;
    struct chance chance = chance_start(__func__);
    struct tree *tree = tree_new(chance_next(&chance), 10, 20, 0755, 1000);
    struct tree *other = tree_new(chance_next(&chance), 10, 20, 0755, 1000);
    struct record_head head = {.epoch = 1};
    struct buf out = {0};
    model_init(&model, tree);
    for (unsigned i = 1; i <= RECORDS; i++) {
        out.len = 0;
        random_record(&model, tree, &chance, &head, &out);
        for (uint64_t flips = 1 + chance_below(&chance, 3); flips; flips--)
            out.data[FRAME_HEAD_BYTES + chance_below(&chance, out.len - FRAME_HEAD_BYTES)] ^=
                (char)(1 << chance_below(&chance, 8));
        frame_seal(out.data, out.len, FRAME_RECORD, 0);
        struct record record;
        struct effect effect;
        size_t at = 0;
        int rc = record_read(buf_bytes(&out), &record);
        while (rc == 0 && (rc = record_next(&record, &at, &effect)) > 0) {
            bool is_far = effect.kind == EFFECT_COPY && effect.length > 1u << 20; /* would only take long */
            rc = is_far ? 0 : tree_apply(other, &effect);
            applied += rc == 0;
            rc = 0;
        }
        refused += rc < 0;
    }
    tree_verify(other);
    assert_true(refused > RECORDS / 100 && applied > RECORDS / 100);
    buf_close(&out);
    model_close(&model);
    tree_free(tree);
    tree_free(other);
}

static void a_mark_holds_only_where_it_stands(void **state)
{
    (void)state;
    char mark[MARK_BYTES];
    struct segment_frame frame;
    segment_mark_encode(4711, 99, mark);
    assert_int_equal(segment_frame_read(bytes_make(mark, sizeof mark), 4711, &frame), 0);
    assert_int_equal(frame.kind, FRAME_MARK);
    assert_int_equal(frame.synced_index, 99);
    assert_int_equal(segment_frame_read(bytes_make(mark, sizeof mark), 4712, &frame), -EBADMSG);
    for (size_t len = 0; len < sizeof mark; len++)
        assert_int_equal(segment_frame_read(bytes_make(mark, len), 4711, &frame), -ENODATA);
}

static void a_header_is_refused_when_damaged_or_newer(void **state)
{
    (void)state;
    char bytes[SEGMENT_HEADER_BYTES];
    const struct segment_header header = {.epoch = 3, .first_index = 1000, .synced_index = 998};
    struct segment_header again;
    segment_header_encode(&header, bytes);
    assert_int_equal(segment_header_decode(bytes_make(bytes, sizeof bytes), &again), 0);
    assert_memory_equal(&again, &header, sizeof header);
    assert_int_equal(segment_header_decode(bytes_make(bytes, sizeof bytes - 1), &again), -ENODATA);
    for (size_t bit = 0; bit < 8 * sizeof bytes; bit++) {
        bytes[bit / 8] ^= (char)(1 << bit % 8);
        assert_int_equal(segment_header_decode(bytes_make(bytes, sizeof bytes), &again), -EBADMSG);
        bytes[bit / 8] ^= (char)(1 << bit % 8);
    }
}

static void a_header_of_a_newer_format_is_told_from_damage(void **state)
{
    (void)state;
    char bytes[SEGMENT_HEADER_BYTES];
    struct segment_header header = {.first_index = 1};
    segment_header_encode(&header, bytes);
    put_u32(bytes + 8, SEGMENT_VERSION + 1);
    put_u32(bytes + SEGMENT_HEADER_BYTES - 4, crc32c(0, bytes, SEGMENT_HEADER_BYTES - 4));
    assert_int_equal(segment_header_decode(bytes_make(bytes, sizeof bytes), &header), KV_VERSION);
}

static void only_what_segment_name_gives_is_a_segments_name(void **state)
{
    (void)state;
    static const char *const others[] = {"log-1.aof",
                                         "log-next.tmp",
                                         "log-00000000000000000001.aof~",
                                         "",
                                         "LOCK",
                                         "log-.aof",
                                         "log-00000000000000000001.rdb",
                                         "log--000000000000000001.aof",
                                         "log-99999999999999999999.aof"};
    char name[LOG_NAME_BYTES];
    uint64_t index = 0;
    segment_name(UINT64_MAX, name);
    assert_true(segment_index_of(name, &index) && index == UINT64_MAX);
    segment_name(1, name);
    assert_string_equal(name, "log-00000000000000000001.aof");
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_false(segment_index_of(others[i], &index));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replayed_records_give_an_equal_tree),
        cmocka_unit_test(what_stands_before_the_effects_comes_back),
        cmocka_unit_test(a_part_of_a_record_is_not_enough),
        cmocka_unit_test(a_flipped_bit_is_seen),
        cmocka_unit_test(nonsense_under_a_good_checksum_is_refused),
        cmocka_unit_test(a_mark_holds_only_where_it_stands),
        cmocka_unit_test(a_header_is_refused_when_damaged_or_newer),
        cmocka_unit_test(a_header_of_a_newer_format_is_told_from_damage),
        cmocka_unit_test(only_what_segment_name_gives_is_a_segments_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
