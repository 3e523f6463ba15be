/* The gate: who waits is told once, in order. The rules of snapshots: when one is due. */
#include "kvcore/base/error.h"
#include "kvcore/server/gate.h"
#include "kvcore/server/keeping.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { WAITS = 5 };

struct waiter {
    struct gate_wait wait;
    int told, error;
};

static struct waiter waiters[WAITS];
static int order[WAITS], order_count;

static void on_open(struct gate_wait *wait, int error)
{
    struct waiter *waiter = (struct waiter *)wait;
    waiter->told++;
    waiter->error = error;
    order[order_count++] = (int)(waiter - waiters);
}

static void park(struct gate *gate, int i, uint64_t index, bool reads)
{
    waiters[i] = (struct waiter){.wait = {.on_open = on_open, .index = index, .reads = reads}};
    gate_park(gate, &waiters[i].wait);
}

static int begin(void **state)
{
    (void)state;
    order_count = 0;
    return 0;
}

static void opens_in_order_of_index_then_of_arrival(void **state)
{
    (void)state;
    struct gate gate = {0};
    park(&gate, 0, 10, false);
    park(&gate, 1, 12, false);
    park(&gate, 2, 10, true);
    park(&gate, 3, 11, true);
    gate_open(&gate, 9);
    assert_int_equal(order_count, 0);
    gate_open(&gate, 11);
    assert_int_equal(order_count, 3);
    assert_int_equal(order[0], 0);
    assert_int_equal(order[1], 2);
    assert_int_equal(order[2], 3);
    assert_int_equal(gate.count, 1);
    gate_open(&gate, 100);
    assert_int_equal(order[3], 1);
    assert_null(gate.first);
    assert_null(gate.last);
}

static void failure_tells_writes_and_lets_reads_go(void **state)
{
    (void)state;
    struct gate gate = {0};
    park(&gate, 0, 1, false);
    park(&gate, 1, 2, true);
    gate_fail(&gate, -EIO);
    assert_int_equal(waiters[0].error, -EIO);
    assert_int_equal(waiters[1].error, 0);
    assert_int_equal(waiters[1].told, 1);
    assert_int_equal(gate.count, 0);
}

static void who_leaves_is_told_nothing(void **state)
{
    (void)state;
    struct gate gate = {0};
    for (int i = 0; i < WAITS; i++)
        park(&gate, i, (uint64_t)i, false);
    gate_leave(&gate, &waiters[0].wait);
    gate_leave(&gate, &waiters[2].wait);
    gate_leave(&gate, &waiters[4].wait);
    gate_open(&gate, 100);
    assert_int_equal(order_count, 2);
    assert_int_equal(waiters[2].told, 0);
    assert_int_equal(waiters[1].told + waiters[3].told, 2);
}

static struct snapshot_policy policy_of(const char *rules)
{
    struct snapshot_policy policy = {0};
    char why[256];
    assert_int_equal(snapshot_rules_parse(&policy, rules, why, sizeof why), 0);
    return policy;
}

static void a_rule_needs_its_time_and_its_changes(void **state)
{
    (void)state;
    struct snapshot_policy policy = policy_of("900 1 60:100");
    struct snapshots_state at = {.index = 1, .last_ms = 1000};
    assert_int_equal(policy.rule_count, 2);
    assert_int_equal(snapshots_due(&policy, &at, 1000 + 899999), SNAPSHOT_NOT_DUE);
    assert_int_equal(snapshots_due(&policy, &at, 1000 + 900000), SNAPSHOT_RULE);
    at.index = 100;
    assert_int_equal(snapshots_due(&policy, &at, 1000 + 60000), SNAPSHOT_RULE);
    at.last_index = 1;
    assert_int_equal(snapshots_due(&policy, &at, 1000 + 60000), SNAPSHOT_NOT_DUE);
    at.last_index = 100;
    assert_int_equal(snapshots_due(&policy, &at, INT64_MAX / 2), SNAPSHOT_NOT_DUE);
}

static void growth_demand_and_a_broken_log_make_one_due(void **state)
{
    (void)state;
    struct snapshot_policy policy = policy_of("");
    struct snapshots_state at = {.index = 9, .last_index = 5, .last_bytes = 50 << 20, .log_bytes = 90 << 20};
    assert_int_equal(snapshots_due(&policy, &at, 1), SNAPSHOT_NOT_DUE);
    at.log_bytes = 101 << 20;
    assert_int_equal(snapshots_due(&policy, &at, 1), SNAPSHOT_GROWTH);
    at.asked = true;
    at.wanted_index = 9;
    assert_int_equal(snapshots_due(&policy, &at, 1), SNAPSHOT_ASKED);
    at.log_broken = true;
    assert_int_equal(snapshots_due(&policy, &at, 1), SNAPSHOT_MENDS);
    at.failed_ms = 10;
    assert_int_equal(snapshots_due(&policy, &at, 10 + SNAPSHOTS_RETRY_MS - 1), SNAPSHOT_NOT_DUE);
    assert_int_equal(snapshots_due(&policy, &at, 10 + SNAPSHOTS_RETRY_MS), SNAPSHOT_MENDS);
}

static void wrong_words_are_refused_with_a_sentence(void **state)
{
    (void)state;
    static const char *const wrong[][2] = {{"save", "900"},         {"save", "0 1"},           {"save", "900 x"},
                                           {"save", "-1 5"},        {"durability", "soon"},    {"persistence", ""},
                                           {"keep-snapshots", "0"}, {"snapshot-at-exit", "1"}, {"other", "1"}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct keeping keeping;
        char why[256] = "";
        keeping_init(&keeping);
        assert_int_equal(keeping_set(&keeping, wrong[i][0], wrong[i][1], why, sizeof why), -EINVAL);
        assert_non_null(strstr(why, wrong[i][0]));
    }
}

static void snapshots_alone_take_a_last_one_unless_told_not_to(void **state)
{
    (void)state;
    struct keeping keeping;
    char why[256];
    keeping_init(&keeping);
    assert_int_equal(keeping_set(&keeping, "persistence", "snapshots", why, sizeof why), 0);
    keeping_settle(&keeping);
    assert_true(keeping.snapshots.at_exit);
    assert_int_equal(keeping_set(&keeping, "snapshot-at-exit", "no", why, sizeof why), 0);
    keeping_settle(&keeping);
    assert_false(keeping.snapshots.at_exit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(opens_in_order_of_index_then_of_arrival, begin),
        cmocka_unit_test_setup(failure_tells_writes_and_lets_reads_go, begin),
        cmocka_unit_test_setup(who_leaves_is_told_nothing, begin),
        cmocka_unit_test(a_rule_needs_its_time_and_its_changes),
        cmocka_unit_test(growth_demand_and_a_broken_log_make_one_due),
        cmocka_unit_test(wrong_words_are_refused_with_a_sentence),
        cmocka_unit_test(snapshots_alone_take_a_last_one_unless_told_not_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
