/* The clock seam: whoever decides takes the time from here, so that a test can set it. */
#ifndef KV_BASE_CLOCK_H
#define KV_BASE_CLOCK_H

#include <stdint.h>

struct clock {
    int64_t (*real_ns)(struct clock *clock); /* since 1970, for timestamps and expiry; may step */
    int64_t (*mono_ms)(struct clock *clock); /* for timeouts; never steps back */
};

/* The machine's clocks (clock_gettime(2): CLOCK_REALTIME, CLOCK_MONOTONIC). */
struct clock *clock_system(void);

static inline int64_t clock_real_ns(struct clock *clock) { return clock->real_ns(clock); }
static inline int64_t clock_mono_ms(struct clock *clock) { return clock->mono_ms(clock); }

#endif
