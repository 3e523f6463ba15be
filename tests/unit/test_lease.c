/* A client's trust in its leases, over time. */
#include "kvcore/client/lease.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void leases_are_trusted_for_nine_tenths_of_a_term_from_the_question(void **state)
{
    (void)state;
    struct lease lease = {0};
    assert_true(lease_begin(&lease, 1000, 100, 300));
    assert_false(lease_lapses(&lease, 999));
    assert_true(lease_lapses(&lease, 1000));
    assert_false(lease.held);
    assert_false(lease_lapses(&lease, 1001)); /* it is said once */
}

static void an_answer_renews_from_when_it_was_asked_for(void **state)
{
    (void)state;
    struct lease lease = {0};
    assert_true(lease_begin(&lease, 1000, 0, 0));
    assert_true(lease_renew(&lease, 400, 800));
    assert_false(lease_lapses(&lease, 1299));
    assert_true(lease_renew(&lease, 200, 1000)); /* an earlier question's answer takes nothing back */
    assert_false(lease_lapses(&lease, 1299));
    assert_true(lease_lapses(&lease, 1300));
    assert_false(lease_renew(&lease, 400, 1350)); /* too late to be of use */
    assert_true(lease_renew(&lease, 1300, 1400));
    assert_true(lease.held);
}

static void it_asks_every_third_of_a_term_and_looks_in_time(void **state)
{
    (void)state;
    struct lease lease = {0};
    assert_false(lease_pings(&lease, 1000)); /* no leases, no pings */
    assert_true(lease_begin(&lease, 900, 0, 0));
    assert_int_equal(lease_next_ms(&lease), 300);
    assert_false(lease_pings(&lease, 299));
    assert_true(lease_pings(&lease, 310));
    assert_false(lease_pings(&lease, 310));
    assert_true(lease_pings(&lease, 610));
    assert_int_equal(lease_next_ms(&lease), 810); /* when the trust ends, which comes before the next question */
    lease_end(&lease);
    assert_false(lease_renew(&lease, 900, 900));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leases_are_trusted_for_nine_tenths_of_a_term_from_the_question),
        cmocka_unit_test(an_answer_renews_from_when_it_was_asked_for),
        cmocka_unit_test(it_asks_every_third_of_a_term_and_looks_in_time),
    };
    return cmocka_run_group_tests_name("lease", tests, NULL, NULL);
}
