/* node.conf: whole after every power loss, and refused when it is not. */
#include "kvcore/base/crc32c.h"
#include "kvcore/base/error.h"
#include "kvcore/log/code.h"
#include "kvcore/log/nodeconf.h"
#include "tests/sim/disk_sim.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static char why[256];

static void what_was_saved_is_there_after_every_power_loss(void **state)
{
    (void)state;
    enum { SEEDS = 300 };
    struct chance chance = chance_start(__func__);
    for (unsigned i = 0; i < SEEDS; i++) {
        struct disk *disk = disk_sim_new(chance_next(&chance));
        struct nodeconf conf = {.node_id = 77}, found;
        assert_int_equal(nodeconf_save(disk, &conf), 0);
        disk_sim_power_off(disk, 1 + i % 24);
        while (conf.promised_epoch < 20 && nodeconf_save(disk, &(struct nodeconf){77, conf.promised_epoch + 1}) == 0)
            conf.promised_epoch++;
        disk_sim_power_on(disk);
        assert_int_equal(nodeconf_load(disk, &found, why, sizeof why), 0);
        assert_int_equal(found.node_id, 77);
        assert_true(found.promised_epoch == conf.promised_epoch || found.promised_epoch == conf.promised_epoch + 1);
        disk_free(disk);
    }
}

static void a_call_that_fails_is_told_and_leaves_the_one_before(void **state)
{
    (void)state;
    uint64_t failures = 0;
    for (uint64_t nth = 1;; nth++) {
        struct disk *disk = disk_sim_new(nth);
        struct nodeconf found;
        assert_int_equal(nodeconf_save(disk, &(struct nodeconf){5, 1}), 0);
        disk_sim_fail(disk, DISK_SIM_ALL, nth, -ENOSPC, false);
        int rc = nodeconf_save(disk, &(struct nodeconf){5, 2});
        disk_sim_fail(disk, 0, 0, 0, false);
        assert_int_equal(nodeconf_load(disk, &found, why, sizeof why), 0);
        assert_true(found.promised_epoch == 2 || (rc == -ENOSPC && found.promised_epoch == 1));
        disk_free(disk);
        if (rc == 0)
            break;
        failures++;
    }
    assert_int_equal(failures, 5); /* open, write, sync, rename, sync of the names */
}

static void damage_and_newer_formats_are_refused(void **state)
{
    (void)state;
    struct disk *disk = disk_sim_new(1);
    struct nodeconf found;
    size_t len;
    assert_int_equal(nodeconf_load(disk, &found, why, sizeof why), -ENOENT);
    assert_int_equal(nodeconf_save(disk, &(struct nodeconf){5, 1}), 0);
    char *bytes = disk_sim_bytes(disk, NODECONF_NAME, &len);
    assert_int_equal(len, NODECONF_BYTES);
    for (size_t bit = 0; bit < 8 * len; bit++) {
        bytes[bit / 8] ^= (char)(1 << bit % 8);
        assert_int_equal(nodeconf_load(disk, &found, why, sizeof why), -EBADMSG);
        bytes[bit / 8] ^= (char)(1 << bit % 8);
    }
    put_u32(bytes + 8, NODECONF_VERSION + 1);
    put_u32(bytes + len - 4, crc32c(0, bytes, len - 4));
    assert_int_equal(nodeconf_load(disk, &found, why, sizeof why), KV_VERSION);
    assert_non_null(strstr(why, "newer"));
    disk_free(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_saved_is_there_after_every_power_loss),
        cmocka_unit_test(a_call_that_fails_is_told_and_leaves_the_one_before),
        cmocka_unit_test(damage_and_newer_formats_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
