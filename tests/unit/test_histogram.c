#include "kvcore/tools/histogram.h"
#include "tests/unit/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

static struct histogram histogram;

static int setup(void **state)
{
    (void)state;
    memset(&histogram, 0, sizeof histogram);
    return 0;
}

static void an_empty_histogram_says_zero(void **state)
{
    (void)state;
    assert_int_equal(histogram_percentile(&histogram, 50), 0);
    assert_int_equal((int)histogram_mean(&histogram), 0);
}

static void small_values_are_exact(void **state)
{
    (void)state;
    for (uint64_t value = 1; value <= 100; value++)
        histogram_add(&histogram, value);
    assert_int_equal(histogram_percentile(&histogram, 50), 50);
    assert_int_equal(histogram_percentile(&histogram, 99), 99);
    assert_int_equal(histogram_percentile(&histogram, 99.9), 100);
    assert_int_equal(histogram_percentile(&histogram, 100), 100);
    assert_int_equal(histogram_percentile(&histogram, 0), 1);
    assert_int_equal(histogram.min, 1);
    assert_int_equal(histogram.max, 100);
    assert_true(fabs(histogram_mean(&histogram) - 50.5) < 1e-9);
}

static void a_value_past_the_range_counts_in_the_last_bucket(void **state)
{
    (void)state;
    histogram_add(&histogram, UINT64_MAX);
    histogram_add(&histogram, 5);
    assert_int_equal(histogram.max, UINT64_MAX);
    assert_int_equal(histogram_percentile(&histogram, 50), 5);
    assert_true(histogram_percentile(&histogram, 100) >= (1ull << 47) - 1);
}

static int compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

/* Against the sorted list: never below the true value, and above it by less than the promised part. */
static void percentiles_are_within_the_promised_error(void **state)
{
    (void)state;
    enum { COUNT = 20000 };
    static uint64_t values[COUNT];
    struct chance chance = chance_start("percentiles_are_within_the_promised_error");
    for (int i = 0; i < COUNT; i++) {
        values[i] = chance_next(&chance) >> (17 + chance_below(&chance, 47)); /* all magnitudes alike */
        histogram_add(&histogram, values[i]);
    }
    qsort(values, COUNT, sizeof values[0], compare);
    for (double percent = 0.01; percent <= 100; percent += 0.37) {
        uint64_t found = histogram_percentile(&histogram, percent);
        uint64_t truth = values[(int)ceil(percent / 100 * COUNT) - 1];
        assert_true(found >= truth);
        assert_true(found - truth <= truth >> HISTOGRAM_BITS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_empty_histogram_says_zero, setup),
        cmocka_unit_test_setup(small_values_are_exact, setup),
        cmocka_unit_test_setup(a_value_past_the_range_counts_in_the_last_bucket, setup),
        cmocka_unit_test_setup(percentiles_are_within_the_promised_error, setup),
    };
    return cmocka_run_group_tests_name("histogram", tests, NULL, NULL);
}
