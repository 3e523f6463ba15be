/* Latencies, counted in buckets: how many took at most so long. After HdrHistogram (Tene), with 2^HISTOGRAM_BITS
 * buckets for each power of two, so a percentile is off by less than 1/2^HISTOGRAM_BITS of its value (0.8 %), whether
 * it is a microsecond or an hour.
 *
 *   value         0 .. 127 | 128 .. 255 | 256 .. 511 | ...
 *   bucket width         1 |          1 |          2 | ...
 */
#ifndef KV_TOOLS_HISTOGRAM_H
#define KV_TOOLS_HISTOGRAM_H

#include <stdint.h>

enum {
    HISTOGRAM_BITS = 7,
    HISTOGRAM_SHIFTS = 40, /* values up to 2^47, about 39 hours of ns; longer ones count as that */
    HISTOGRAM_BUCKETS = (HISTOGRAM_SHIFTS + 1) << HISTOGRAM_BITS,
};

/* A zeroed struct is empty. */
struct histogram {
    uint64_t buckets[HISTOGRAM_BUCKETS];
    uint64_t count;
    uint64_t sum;
    uint64_t max;
    uint64_t min; /* valid where count is not 0 */
};

void histogram_add(struct histogram *histogram, uint64_t value);

/* The smallest value that at least `percent` % of those added do not exceed, rounded up to its bucket's end, and
 * never above max; 0 when empty. */
uint64_t histogram_percentile(const struct histogram *histogram, double percent);

double histogram_mean(const struct histogram *histogram);

#endif
