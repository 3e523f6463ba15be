/* CHECK: an assertion against our own mistakes, never against input. It stays on in release builds: a store
 * that goes on with a broken invariant loses data, one that stops loses a second. */
#ifndef KV_BASE_CHECK_H
#define KV_BASE_CHECK_H

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (__builtin_expect(!(condition), 0))                                                                         \
            check_failed(#condition, __FILE__, __LINE__);                                                              \
    } while (0)

/* Prints the broken condition and its place to stderr, then abort()s. */
void check_failed(const char *condition, const char *file, int line) __attribute__((noreturn, cold));

#endif
