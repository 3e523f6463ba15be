/* Seeded chance for tests: the seed is printed, and KV_TEST_SEED replays it. */
#ifndef TESTS_UNIT_SEED_H
#define TESTS_UNIT_SEED_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct chance {
    uint64_t state;
};

/* xorshift64* (Vigna 2016) */
static inline uint64_t chance_next(struct chance *chance)
{
    chance->state ^= chance->state >> 12;
    chance->state ^= chance->state << 25;
    chance->state ^= chance->state >> 27;
    return chance->state * 2685821657736338717ull;
}

/* 0..below-1 */
static inline uint64_t chance_below(struct chance *chance, uint64_t below) { return chance_next(chance) % below; }

static inline struct chance chance_start(const char *test)
{
    const char *given = getenv("KV_TEST_SEED");
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)now.tv_nsec ^ (uint64_t)now.tv_sec << 20;
    seed = seed ? seed : 1;
    fprintf(stderr, "# %s: KV_TEST_SEED=%llu\n", test, (unsigned long long)seed);
    return (struct chance){seed};
}

#endif
