/* The append-only file and recovery on a disk that loses what was not synced.
 *
 * A run appends random records to a log in short segments, writes, syncs, prepares, rotates, takes snapshots and
 * removes what they hold, and keeps in mind what was called synced. Then the power goes off in some call, or a call
 * fails, and recovery must find all of that, and of the rest a prefix: the tree after record N, for an N that was
 * reached, byte by byte.
 */
#include "kvcore/base/error.h"
#include "kvcore/log/aof.h"
#include "kvcore/log/segment.h"
#include "tests/sim/disk_sim.h"
#include "tests/sim/story.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { SEGMENT_BYTES = 4096 };

/* One life of a log. */
struct life {
    struct disk *disk;
    struct chance *chance;
    struct aof *aof;
    uint64_t appended; /* taken by aof_append */
    uint64_t tried;    /* handed to it */
    uint64_t synced;   /* what aof_sync has promised */
    uint64_t written;
};

static int open_life(struct life *life, const struct recovery *recovery)
{
    const struct aof_options options = {.segment_bytes = SEGMENT_BYTES, .epoch = 1};
    const char *name = recovery->segment[0] ? recovery->segment : NULL;
    life->aof = NULL;
    int rc = aof_open(life->disk, &options, recovery->index, name, recovery->segment_bytes, &life->aof);
    life->tried = life->appended = life->written = life->synced = recovery->index;
    return rc;
}

/* A snapshot of now, a new segment behind it, and the segments before it are gone. */
static int replace_log(struct life *life)
{
    uint64_t index = life->appended;
    int rc = aof_rotate(life->aof);
    if (rc == 0)
        rc = story_snapshot(life->disk, index);
    if (rc < 0)
        return rc;
    life->synced = index;
    return aof_remove_until(life->aof, index);
}

static int live_a_step(struct life *life)
{
    uint64_t index = 0;
    int rc = 0;
    switch (chance_below(life->chance, 12)) {
    case 0:
        rc = aof_sync(life->aof, &index);
        if (rc == 0)
            life->synced = index > life->synced ? index : life->synced;
        return rc;
    case 1:
        aof_prepare(life->aof);
        return 0;
    case 2:
        return chance_below(life->chance, 4) ? 0 : aof_rotate(life->aof);
    case 6:
        return chance_below(life->chance, 4) ? 0 : replace_log(life);
    case 3:
    case 4:
    case 5:
        rc = aof_write(life->aof);
        if (rc == 0)
            life->written = life->appended;
        return rc;
    default:
        if (life->appended == STORY_RECORDS)
            return 0;
        rc = aof_room(life->aof, story_record(life->appended + 1).len);
        if (rc < 0)
            return rc;
        life->tried = life->appended + 1;
        rc = aof_append(life->aof, life->tried, story_record(life->tried));
        life->appended += rc == 0;
        return rc;
    }
}

/* Until something fails or `steps` are done. */
static int live(struct life *life, unsigned steps)
{
    int rc = 0;
    while (rc == 0 && steps--)
        rc = live_a_step(life);
    return rc;
}

static void power_loss_takes_nothing_that_was_synced(void **state)
{
    (void)state;
    unsigned seeds = getenv("KV_TEST_SEEDS") ? (unsigned)strtoul(getenv("KV_TEST_SEEDS"), NULL, 0) : 2000, rotated = 0;
    struct chance chance = chance_start(__func__);
    for (unsigned i = 0; i < seeds; i++) {
        struct life life = {.disk = disk_sim_new(chance_next(&chance)), .chance = &chance};
        struct recovery recovery = {0};
        for (unsigned lives = 4; lives; lives--) {
            uint64_t had = recovery.index;
            disk_sim_power_off(life.disk, 1 + chance_below(&chance, 60));
            int rc = open_life(&life, &recovery);
            uint64_t promised = had; /* what a power loss has left is safe from the next */
            if (rc == 0) {
                live(&life, 400);
                promised = life.synced;
                disk_sim_power_off(life.disk, 0);
                aof_close(life.aof);
            }
            uint64_t tried = life.tried > had ? life.tried : had;
            disk_sim_power_on(life.disk);
            story_expect_recovered(life.disk, promised, tried, &recovery);
            uint64_t first;
            rotated += recovery.segment[0] && segment_index_of(recovery.segment, &first) && first > 1;
        }
        disk_free(life.disk);
    }
    assert_true(rotated > seeds / 4);
}

static void a_killed_process_loses_nothing_that_was_written(void **state)
{
    (void)state;
    enum { SEEDS = 300 };
    struct chance chance = chance_start(__func__);
    for (unsigned i = 0; i < SEEDS; i++) {
        struct life life = {.disk = disk_sim_new(chance_next(&chance)), .chance = &chance};
        struct recovery recovery = {0};
        for (unsigned lives = 3; lives; lives--) {
            assert_int_equal(open_life(&life, &recovery), 0);
            assert_int_equal(live(&life, (unsigned)chance_below(&chance, 200)), 0);
            disk_sim_power_off(life.disk, 0);
            aof_close(life.aof);
            disk_sim_restart(life.disk);
            story_expect_recovered(life.disk, life.written, life.tried, &recovery);
        }
        disk_free(life.disk);
    }
}

/* Each call of a life fails in turn, once or for good: what was promised holds, and the log says that it is broken or
 * goes on as if nothing had been. */
static void a_call_that_fails_takes_nothing_that_was_promised(void **state)
{
    (void)state;
    enum { SEEDS = 12 };
    struct chance chance = chance_start(__func__);
    for (unsigned i = 0; i < SEEDS; i++) {
        uint64_t seed = chance_next(&chance);
        for (uint64_t nth = 1, calls = 2; nth < calls; nth++) {
            struct chance own = {seed | 1};
            struct life life = {.disk = disk_sim_new(seed), .chance = &own};
            struct recovery recovery = {0};
            int code = nth % 2 ? -EIO : -ENOSPC;
            disk_sim_fail(life.disk, DISK_SIM_ALL & ~(unsigned)DISK_SIM_READ, nth, code, nth % 3 == 0);
            int rc = open_life(&life, &recovery);
            if (rc == 0) {
                for (unsigned more = 20; more; more--)
                    live(&life, 20);
                if (aof_error(life.aof) < 0) { /* it stays broken */
                    uint64_t index;
                    assert_int_equal(aof_write(life.aof), aof_error(life.aof));
                    assert_int_equal(aof_sync(life.aof, &index), aof_error(life.aof));
                }
                disk_sim_power_off(life.disk, 0);
                aof_close(life.aof);
            }
            calls = disk_sim_calls(life.disk, DISK_SIM_ALL & ~(unsigned)DISK_SIM_READ);
            disk_sim_power_on(life.disk);
            story_expect_recovered(life.disk, rc < 0 ? 0 : life.synced, life.tried, &recovery);
            disk_free(life.disk);
        }
    }
}

static void a_full_disk_refuses_by_room_and_goes_on_when_there_is_some(void **state)
{
    (void)state;
    struct chance chance = chance_start(__func__);
    struct life life = {.disk = disk_sim_new(chance_next(&chance)), .chance = &chance};
    struct recovery recovery = {0};
    uint64_t index;
    disk_sim_set_budget(life.disk, 3 * SEGMENT_BYTES);
    assert_int_equal(open_life(&life, &recovery), 0);
    uint64_t refused = 1;
    for (; aof_room(life.aof, story_record(refused).len) == 0; refused++) {
        assert_int_equal(aof_append(life.aof, refused, story_record(refused)), 0);
        if (chance_below(&chance, 2))
            assert_int_equal(aof_write(life.aof), 0);
        if (chance_below(&chance, 8) == 0)
            aof_prepare(life.aof);
    }
    assert_int_equal(aof_room(life.aof, story_record(refused).len), -ENOSPC);
    life.appended = refused - 1;
    assert_int_equal(aof_error(life.aof), 0);
    assert_int_equal(aof_write(life.aof), 0); /* what it had room for goes through */
    assert_int_equal(aof_sync(life.aof, &index), 0);
    assert_int_equal(index, life.appended);
    disk_sim_set_budget(life.disk, 0);
    assert_int_equal(aof_room(life.aof, story_record(refused).len), 0);
    assert_int_equal(aof_append(life.aof, refused, story_record(refused)), 0);
    aof_close(life.aof);
    story_expect_recovered(life.disk, refused, refused, &recovery);
    disk_free(life.disk);
}

/* Where room cannot be taken ahead, a write itself may find the disk full: nothing is lost, and the next one tries
 * again.
 */
static void a_write_without_room_is_tried_again(void **state)
{
    (void)state;
    struct chance chance = chance_start(__func__);
    struct life life = {.disk = disk_sim_new(chance_next(&chance)), .chance = &chance};
    struct recovery recovery = {0};
    assert_int_equal(open_life(&life, &recovery), 0);
    assert_int_equal(aof_append(life.aof, 1, story_record(1)), 0);
    disk_sim_fail(life.disk, DISK_SIM_WRITE, 1, -ENOSPC, false);
    assert_int_equal(aof_write(life.aof), -ENOSPC);
    assert_int_equal(aof_room(life.aof, 1), -ENOSPC);
    assert_int_equal(aof_written(life.aof), 0);
    assert_int_equal(aof_write(life.aof), 0);
    assert_int_equal(aof_room(life.aof, 1), 0);
    assert_int_equal(aof_written(life.aof), 1);
    aof_close(life.aof);
    story_expect_recovered(life.disk, 1, 1, &recovery);
    disk_free(life.disk);
}

static void a_broken_log_is_mended_by_rotation(void **state)
{
    (void)state;
    struct chance chance = chance_start(__func__);
    struct life life = {.disk = disk_sim_new(chance_next(&chance)), .chance = &chance};
    struct recovery recovery = {0};
    uint64_t index;
    assert_int_equal(open_life(&life, &recovery), 0);
    assert_int_equal(aof_append(life.aof, 1, story_record(1)), 0);
    assert_int_equal(aof_write(life.aof), 0);
    disk_sim_fail(life.disk, DISK_SIM_SYNC, 1, -EIO, false);
    assert_int_equal(aof_sync(life.aof, &index), -EIO);
    assert_int_equal(aof_append(life.aof, 2, story_record(2)), -EIO); /* its index counts all the same */
    assert_int_equal(aof_rotate(life.aof), -EIO);
    assert_int_equal(story_snapshot(life.disk, 2), 1);
    assert_int_equal(aof_mend(life.aof), 0);
    assert_int_equal(aof_error(life.aof), 0);
    assert_int_equal(aof_append(life.aof, 3, story_record(3)), 0);
    assert_int_equal(aof_write(life.aof), 0);
    assert_int_equal(aof_sync(life.aof, &index), 0);
    assert_int_equal(index, 3);
    aof_close(life.aof);
    story_expect_recovered(life.disk, 3, 3, &recovery);
    disk_free(life.disk);
}

static void count_segments(const char *name, void *user)
{
    uint64_t index;
    *(unsigned *)user += segment_index_of(name, &index);
}

static void segments_that_a_snapshot_holds_are_removed(void **state)
{
    (void)state;
    struct chance chance = chance_start(__func__);
    struct life life = {.disk = disk_sim_new(chance_next(&chance)), .chance = &chance};
    struct recovery recovery = {0};
    unsigned before = 0, after = 0;
    assert_int_equal(open_life(&life, &recovery), 0);
    for (uint64_t i = 1; i <= STORY_RECORDS; i++) {
        assert_int_equal(aof_append(life.aof, i, story_record(i)), 0);
        assert_int_equal(aof_write(life.aof), 0);
    }
    disk_list(life.disk, count_segments, &before);
    assert_true(before > 5 && aof_bytes(life.aof) > 4 * SEGMENT_BYTES);
    assert_int_equal(aof_remove_until(life.aof, 0), 0);
    disk_list(life.disk, count_segments, &after);
    assert_int_equal(after, before);
    assert_int_equal(aof_rotate(life.aof), 0);
    assert_int_equal(aof_remove_until(life.aof, STORY_RECORDS), 0);
    after = 0;
    disk_list(life.disk, count_segments, &after);
    assert_int_equal(after, 1);
    assert_int_equal(aof_bytes(life.aof), SEGMENT_HEADER_BYTES);
    aof_close(life.aof);
    disk_free(life.disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(power_loss_takes_nothing_that_was_synced),
        cmocka_unit_test(a_killed_process_loses_nothing_that_was_written),
        cmocka_unit_test(a_call_that_fails_takes_nothing_that_was_promised),
        cmocka_unit_test(a_full_disk_refuses_by_room_and_goes_on_when_there_is_some),
        cmocka_unit_test(a_write_without_room_is_tried_again),
        cmocka_unit_test(a_broken_log_is_mended_by_rotation),
        cmocka_unit_test(segments_that_a_snapshot_holds_are_removed),
    };
    return cmocka_run_group_tests(tests, story_make, story_drop);
}
