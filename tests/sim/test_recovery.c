/* Recovery of damaged directories: all of it, or a refusal that names the place; never a crash, never wrong data. */
#include "kvcore/base/error.h"
#include "kvcore/log/aof.h"
#include "kvcore/log/recovery_plan.h"
#include "kvcore/log/segment_read.h"
#include "kvcore/log/snapshot.h"
#include "tests/sim/disk_sim.h"
#include "tests/sim/story.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { RECORDS = 24, SEGMENTS = 4, FRAMES_MAX = 64 };

/* A directory that was closed in order, in several segments, each synced in between. */
static struct disk *make_log(void)
{
    struct disk *disk = disk_sim_new(1);
    struct aof *aof;
    const struct aof_options options = {.segment_bytes = 1 << 20, .epoch = 1};
    uint64_t synced;
    assert_int_equal(aof_open(disk, &options, 0, NULL, 0, &aof), 0);
    for (uint64_t index = 1; index <= RECORDS; index++) {
        assert_int_equal(aof_append(aof, index, story_record(index)), 0);
        assert_int_equal(aof_write(aof), 0);
        if (index % 3 == 0)
            assert_int_equal(aof_sync(aof, &synced), 0);
        if (index % (RECORDS / SEGMENTS) == 0 && index < RECORDS)
            assert_int_equal(aof_rotate(aof), 0);
    }
    aof_close(aof);
    return disk;
}

/* Where the frames of a segment begin, the header as the first; and how many records end before each. */
struct layout {
    char name[LOG_NAME_BYTES];
    uint64_t starts[FRAMES_MAX], records[FRAMES_MAX];
    size_t count;
    uint64_t size;
};

static void lay_out(struct disk *disk, unsigned segment, struct layout *layout)
{
    struct segment_reader reader;
    struct segment_header header;
    struct segment_frame frame;
    uint64_t first = 1 + segment * (uint64_t)(RECORDS / SEGMENTS), records = first - 1;
    *layout = (struct layout){.count = 1, .records = {records}};
    segment_name(first, layout->name);
    assert_int_equal(segment_reader_open(&reader, disk, layout->name), 0);
    assert_int_equal(segment_reader_header(&reader, &header), 0);
    for (uint64_t start = segment_reader_offset(&reader); segment_reader_next(&reader, &frame) > 0;
         start = segment_reader_offset(&reader)) {
        layout->starts[layout->count] = start;
        layout->records[layout->count++] = records;
        records += frame.kind == FRAME_RECORD;
        assert_true(layout->count < FRAMES_MAX);
    }
    layout->size = reader.size;
    layout->starts[layout->count] = reader.size;
    layout->records[layout->count] = records;
    segment_reader_close(&reader);
}

static size_t frame_at(const struct layout *layout, uint64_t offset)
{
    size_t frame = 0;
    while (frame + 1 < layout->count && layout->starts[frame + 1] <= offset)
        frame++;
    return frame;
}

static void expect_refused_at(const struct layout *layout, uint64_t offset)
{
    char place[LOG_NAME_BYTES + 64];
    snprintf(place, sizeof place, "%s is damaged at byte %llu:", layout->name, (unsigned long long)offset);
    if (!strstr(story_why, place))
        fail_msg("not '%s' but: %s", place, story_why);
    assert_non_null(strstr(story_why, "kv check"));
}

static void a_flipped_bit_anywhere_is_refused_where_it_is(void **state)
{
    (void)state;
    struct chance chance = chance_start(__func__);
    struct disk *whole = make_log();
    for (unsigned segment = 0; segment < SEGMENTS; segment++) {
        struct layout layout;
        lay_out(whole, segment, &layout);
        for (uint64_t at = 0; at < layout.size; at++) {
            struct disk *disk = disk_sim_clone(whole);
            struct recovery recovery;
            size_t len, frame = frame_at(&layout, at);
            disk_sim_bytes(disk, layout.name, &len)[at] ^= (char)(1 << chance_below(&chance, 8));
            bool is_last_mark = segment == SEGMENTS - 1 && frame == layout.count - 1;
            if (is_last_mark) {
                story_expect_recovered(disk, RECORDS, RECORDS, &recovery);
                assert_true(recovery.torn_bytes == MARK_BYTES && recovery.report[0]);
            } else {
                assert_int_equal(story_recover(disk, &recovery), -EBADMSG);
                expect_refused_at(&layout, layout.starts[frame]);
            }
            disk_free(disk);
        }
    }
    disk_free(whole);
}

/* The last segment: a torn end, since nothing behind says that more was there. Any other: the next one says so. */
static void a_segment_cut_at_any_length_is_a_torn_end_or_refused(void **state)
{
    (void)state;
    struct disk *whole = make_log();
    for (unsigned segment = 0; segment < SEGMENTS; segment++) {
        struct layout layout;
        lay_out(whole, segment, &layout);
        for (uint64_t len = 0; len < layout.size; len++) {
            struct disk *disk = disk_sim_clone(whole);
            struct disk_file *file;
            struct recovery recovery;
            size_t frame = frame_at(&layout, len);
            assert_int_equal(disk_open(disk, layout.name, DISK_WRITE, &file), 0);
            assert_int_equal(disk_truncate(file, len), 0);
            disk_close(file);
            if (segment == SEGMENTS - 1) {
                story_expect_recovered(disk, layout.records[frame], layout.records[frame], &recovery);
                assert_int_equal(recovery.torn_bytes, len - layout.starts[frame]);
                assert_true(len == layout.starts[frame] || recovery.report[0]);
            } else {
                uint64_t lost = layout.records[layout.count] - layout.records[frame];
                int rc = story_recover(disk, &recovery);
                assert_int_equal(rc, lost || len != layout.starts[frame] || frame == 0 ? -EBADMSG : 0);
                if (rc == 0)
                    tree_free(recovery.tree);
            }
            disk_free(disk);
        }
    }
    disk_free(whole);
}

static void a_missing_segment_is_refused(void **state)
{
    (void)state;
    struct disk *whole = make_log();
    for (unsigned segment = 0; segment < SEGMENTS; segment++) {
        struct disk *disk = disk_sim_clone(whole);
        struct layout layout;
        struct recovery recovery;
        lay_out(whole, segment, &layout);
        assert_int_equal(disk_remove(disk, layout.name), 0);
        if (segment == SEGMENTS - 1)
            story_expect_recovered(disk, layout.records[0], layout.records[0], &recovery);
        else
            assert_int_equal(story_recover(disk, &recovery), -EBADMSG);
        disk_free(disk);
    }
    disk_free(whole);
}

static void a_segment_under_anothers_name_is_refused(void **state)
{
    (void)state;
    struct disk *disk = make_log();
    struct layout from, to;
    struct recovery recovery;
    lay_out(disk, 1, &from);
    lay_out(disk, 2, &to);
    assert_int_equal(disk_rename(disk, from.name, to.name), 0);
    assert_int_equal(story_recover(disk, &recovery), -EBADMSG);
    disk_free(disk);
}

/* Whole, under a good checksum, and wrong all the same. */
static void a_record_out_of_order_is_not_taken(void **state)
{
    (void)state;
    struct disk *disk = disk_sim_new(1);
    const struct aof_options options = {.segment_bytes = 1 << 20, .epoch = 1};
    struct aof *aof;
    struct disk_file *file;
    struct recovery recovery;
    char name[LOG_NAME_BYTES];
    uint64_t size;
    assert_int_equal(aof_open(disk, &options, 0, NULL, 0, &aof), 0);
    assert_int_equal(aof_append(aof, 1, story_record(1)), 0);
    aof_close(aof);
    segment_name(1, name);
    assert_int_equal(disk_open(disk, name, DISK_WRITE, &file), 0);
    assert_int_equal(disk_size(file, &size), 0);
    assert_int_equal(disk_write(file, size, story_record(3).data, story_record(3).len), 0);
    disk_close(file);
    story_expect_recovered(disk, 1, 1, &recovery);
    assert_int_equal(recovery.torn_bytes, story_record(3).len);
    assert_non_null(strstr(recovery.report, "record 3 stands where 2 belongs"));
    disk_free(disk);
}

static void flip(struct disk *disk, const char *name, size_t at)
{
    size_t len;
    char *bytes = disk_sim_bytes(disk, name, &len);
    assert_true(bytes && at < len);
    bytes[at] ^= 1;
}

static void a_snapshot_saves_the_log_before_it(void **state)
{
    (void)state;
    struct disk *disk = make_log();
    struct layout layout;
    struct recovery recovery;
    assert_int_equal(story_snapshot(disk, 15), 1);
    story_expect_recovered(disk, RECORDS, RECORDS, &recovery);
    assert_int_equal(recovery.records, RECORDS - 15);
    assert_non_null(strstr(recovery.snapshot, "snapshot-"));
    for (unsigned segment = 0; segment < 2; segment++) { /* records 1 to 12 */
        lay_out(disk, segment, &layout);
        assert_int_equal(disk_remove(disk, layout.name), 0);
    }
    story_expect_recovered(disk, RECORDS, RECORDS, &recovery);
    lay_out(disk, 2, &layout); /* records 13 to 18 */
    assert_int_equal(disk_remove(disk, layout.name), 0);
    assert_int_equal(story_recover(disk, &recovery), -EBADMSG);
    disk_free(disk);
}

static void a_damaged_snapshot_falls_back_if_the_log_is_all_there(void **state)
{
    (void)state;
    struct disk *disk = make_log();
    struct layout layout;
    struct recovery recovery;
    char name[LOG_NAME_BYTES];
    assert_int_equal(story_snapshot(disk, 8), 1);
    assert_int_equal(story_snapshot(disk, 20), 1);
    snapshot_name(20, name);
    flip(disk, name, 60);
    story_expect_recovered(disk, RECORDS, RECORDS, &recovery);
    assert_non_null(strstr(recovery.report, name));
    assert_int_equal(recovery.records, RECORDS - 8);

    struct disk *other = disk_sim_clone(disk); /* without the older one the log from the start serves too */
    snapshot_name(8, name);
    flip(other, name, 60);
    story_expect_recovered(other, RECORDS, RECORDS, &recovery);
    lay_out(other, 0, &layout);
    assert_int_equal(disk_remove(other, layout.name), 0); /* or not */
    assert_int_equal(story_recover(other, &recovery), -EBADMSG);
    disk_free(other);

    for (unsigned segment = 2; segment < SEGMENTS; segment++) { /* the log ends before the damaged one did */
        lay_out(disk, segment, &layout);
        assert_int_equal(disk_remove(disk, layout.name), 0);
    }
    assert_int_equal(story_recover(disk, &recovery), -EBADMSG);
    assert_non_null(strstr(story_why, "snapshot-00000000000000000020.rdb is damaged"));
    disk_free(disk);
}

/* The log goes on behind the snapshot although its own end was lost, and the next start finds all. */
static void a_snapshot_ahead_of_the_log_begins_a_new_segment(void **state)
{
    (void)state;
    struct disk *disk = make_log();
    const struct aof_options options = {.segment_bytes = 1 << 20, .epoch = 1};
    struct aof *aof;
    struct recovery recovery;
    assert_int_equal(story_snapshot(disk, RECORDS + 10), 1);
    story_expect_recovered(disk, RECORDS + 10, RECORDS + 10, &recovery);
    assert_string_equal(recovery.segment, "");
    assert_int_equal(aof_open(disk, &options, recovery.index, NULL, 0, &aof), 0);
    assert_int_equal(aof_append(aof, RECORDS + 11, story_record(RECORDS + 11)), 0);
    aof_close(aof);
    story_expect_recovered(disk, RECORDS + 11, RECORDS + 11, &recovery);
    disk_free(disk);
}

static void every_read_that_fails_is_told_and_nothing_is_written(void **state)
{
    (void)state;
    struct disk *disk = make_log();
    const unsigned changes = DISK_SIM_WRITE | DISK_SIM_TRUNCATE | DISK_SIM_RENAME | DISK_SIM_REMOVE | DISK_SIM_ALLOCATE;
    uint64_t changed = disk_sim_calls(disk, changes);
    for (uint64_t nth = 1;; nth++) {
        struct recovery recovery;
        disk_sim_fail(disk, DISK_SIM_ALL, nth, -EIO, false);
        int rc = story_recover(disk, &recovery);
        if (rc == 0) {
            assert_true(nth > 3 * SEGMENTS);
            tree_free(recovery.tree);
            break;
        }
        assert_int_equal(rc, -EIO);
        assert_non_null(strstr(story_why, "cannot read"));
    }
    assert_int_equal(disk_sim_calls(disk, changes), changed);
    disk_free(disk);
}

struct watcher {
    struct log_progress progress; /* first */
    struct recovery_listener listener;
    uint64_t done, total, records;
};

static void on_progress(struct log_progress *progress, uint64_t done_bytes, uint64_t total_bytes)
{
    struct watcher *watcher = (struct watcher *)progress;
    assert_true(done_bytes >= watcher->done && done_bytes <= total_bytes);
    assert_true(watcher->total == 0 || watcher->total == total_bytes);
    watcher->done = done_bytes;
    watcher->total = total_bytes;
}

static void on_record(struct recovery_listener *listener, const struct record *record)
{
    struct watcher *watcher = (struct watcher *)((char *)listener - offsetof(struct watcher, listener));
    assert_int_equal(record->head.index, ++watcher->records);
}

static void progress_and_records_are_told_in_order(void **state)
{
    (void)state;
    struct disk *disk = make_log();
    struct watcher watcher = {.progress = {on_progress}, .listener = {on_record}};
    const struct recovery_options options = {.log = true, .hash_seed = 1, .root_mode = 0755};
    struct recovery recovery;
    assert_int_equal(recovery_run(disk, &options, &watcher.progress, &watcher.listener, &recovery, story_why, 1024), 0);
    assert_int_equal(watcher.records, RECORDS);
    assert_int_equal(watcher.done, watcher.total);
    assert_int_equal(recovery.epoch, 1);
    tree_free(recovery.tree);
    disk_free(disk);
}

static void an_empty_directory_is_an_empty_tree(void **state)
{
    (void)state;
    struct disk *disk = disk_sim_new(1);
    struct recovery recovery;
    story_expect_recovered(disk, 0, 0, &recovery);
    assert_true(!recovery.segment[0] && !recovery.snapshot[0] && !recovery.report[0]);
    disk_free(disk);
}

static void what_no_mark_covers_is_torn(void **state)
{
    (void)state;
    const struct {
        struct plan_stop stop;
        bool is_damage;
    } cases[] = {
        {{.bad_index = 5}, false},
        {{.bad_index = 5, .synced_index = 4}, false},
        {{.bad_index = 5, .synced_index = 5}, true},
        {{.bad_index = 5, .held_index = 9, .synced_index = 9}, false}, /* the snapshot has it */
        {{.bad_index = 5, .held_index = 9, .synced_index = 10}, true},
        {{.bad_index = 5, .needed_index = 4}, false},
        {{.bad_index = 5, .needed_index = 5}, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(plan_is_damage(&cases[i].stop), cases[i].is_damage);
}

static void replay_begins_in_the_segment_behind_the_snapshot(void **state)
{
    (void)state;
    const uint64_t segments[] = {81, 101, 140};
    assert_int_equal(plan_first_segment(segments, 3, 0), 0);
    assert_int_equal(plan_first_segment(segments, 3, 99), 0);
    assert_int_equal(plan_first_segment(segments, 3, 100), 1);
    assert_int_equal(plan_first_segment(segments, 3, 138), 1);
    assert_int_equal(plan_first_segment(segments, 3, 1000), 2);
    assert_int_equal(plan_first_segment(segments, 0, 7), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flipped_bit_anywhere_is_refused_where_it_is),
        cmocka_unit_test(a_segment_cut_at_any_length_is_a_torn_end_or_refused),
        cmocka_unit_test(a_missing_segment_is_refused),
        cmocka_unit_test(a_segment_under_anothers_name_is_refused),
        cmocka_unit_test(a_record_out_of_order_is_not_taken),
        cmocka_unit_test(a_snapshot_saves_the_log_before_it),
        cmocka_unit_test(a_damaged_snapshot_falls_back_if_the_log_is_all_there),
        cmocka_unit_test(a_snapshot_ahead_of_the_log_begins_a_new_segment),
        cmocka_unit_test(every_read_that_fails_is_told_and_nothing_is_written),
        cmocka_unit_test(progress_and_records_are_told_in_order),
        cmocka_unit_test(an_empty_directory_is_an_empty_tree),
        cmocka_unit_test(what_no_mark_covers_is_torn),
        cmocka_unit_test(replay_begins_in_the_segment_behind_the_snapshot),
    };
    return cmocka_run_group_tests(tests, story_make, story_drop);
}
