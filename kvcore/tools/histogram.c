#include "kvcore/tools/histogram.h"

#include <math.h>

enum { SPAN = 1 << HISTOGRAM_BITS };

/* A value of at most HISTOGRAM_BITS bits is its own bucket; of a longer one the top HISTOGRAM_BITS + 1 bits count,
 * whose first is always 1 and therefore left out. */
static unsigned bucket_of(uint64_t value)
{
    unsigned bits = 64 - (unsigned)__builtin_clzll(value | 1);
    if (bits <= HISTOGRAM_BITS)
        return (unsigned)value;
    unsigned shift = bits - HISTOGRAM_BITS - 1;
    unsigned bucket = ((shift + 1) << HISTOGRAM_BITS) + ((unsigned)(value >> shift) & (SPAN - 1));
    return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

/* The largest value in a bucket. */
static uint64_t bucket_end(unsigned bucket)
{
    if (bucket < SPAN)
        return bucket;
    unsigned shift = (bucket >> HISTOGRAM_BITS) - 1;
    uint64_t top = SPAN | (bucket & (SPAN - 1));
    return ((top + 1) << shift) - 1;
}

void histogram_add(struct histogram *histogram, uint64_t value)
{
    histogram->buckets[bucket_of(value)]++;
    if (histogram->count == 0 || value < histogram->min)
        histogram->min = value;
    if (value > histogram->max)
        histogram->max = value;
    histogram->sum += value;
    histogram->count++;
}

uint64_t histogram_percentile(const struct histogram *histogram, double percent)
{
    uint64_t rank = (uint64_t)ceil(percent / 100 * (double)histogram->count), seen = 0;
    if (rank == 0)
        rank = 1;
    if (rank > histogram->count)
        rank = histogram->count;
    for (unsigned bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
        seen += histogram->buckets[bucket];
        if (histogram->count && seen >= rank) {
            uint64_t end = bucket_end(bucket);
            return end < histogram->max ? end : histogram->max;
        }
    }
    return 0;
}

double histogram_mean(const struct histogram *histogram)
{
    return histogram->count ? (double)histogram->sum / (double)histogram->count : 0;
}
