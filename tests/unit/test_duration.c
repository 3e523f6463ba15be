#include "kvcore/tools/duration.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>

static void durations_mean_what_they_say(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {
        {"0", 0},           {"10", 10000},    {"10s", 10000},    {"500ms", 500}, {"5m", 300000},
        {"2h", 7200000},    {"1d", 86400000}, {"1w", 604800000}, {"1.5s", 1500}, {"0.25", 250},
        {"1h30m", 5400000}, {"1m1ms", 60001}, {"1.5h", 5400000}, {"0.0005s", 0}, {"1.", 1000},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        int64_t ms = -1;
        assert_int_equal(duration_parse(good[i].text, &ms), 0);
        assert_int_equal(ms, good[i].ms);
    }
}

static void anything_else_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",      "s",    "-1",
                                      "+1",    "1x",   "1 s",
                                      " 1",    "1s ",  ".5",
                                      "1.2.3", "ms10", "99999999999999999999",
                                      "1S",    "1e3",  "0x10",
                                      "1s-1s", "10\n", "9223372036854775807",
                                      "nan",   "1,5s", "9223372036854775807ms1ms"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int64_t ms = -1;
        assert_int_equal(duration_parse(bad[i], &ms), -EINVAL);
        assert_int_equal(ms, -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_mean_what_they_say),
        cmocka_unit_test(anything_else_is_refused),
    };
    return cmocka_run_group_tests_name("duration", tests, NULL, NULL);
}
