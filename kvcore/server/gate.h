/* The gate: answers that wait until all up to an index is safe on disk. Pure: it holds who waits, opens in the order of
 * the indexes (and of arrival where they are the same), and knows neither disk nor clock.
 *
 *   gate_park ──────> waiting ──gate_open(index)──> on_open(0)
 *                        ├─────gate_fail(error)───> on_open(error), or 0 for one that only reads
 *                        └─────gate_leave─────────> nobody is told
 *
 * A READ waits too where it saw a change that may still be lost. When the disk fails it is let go: what it saw stands
 * in memory, a snapshot will save it, and reads are to go on.
 */
#ifndef KV_SERVER_GATE_H
#define KV_SERVER_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One answer. Its owner embeds it, zeroed, sets on_open, and keeps it until on_open or gate_leave. */
struct gate_wait {
    void (*on_open)(struct gate_wait *wait, int error); /* it has left the gate: may be freed, or parked again */
    uint64_t index;
    bool reads;
    struct gate_wait *next, *previous; /* the gate's */
};

/* A zeroed gate is empty. */
struct gate {
    struct gate_wait *first, *last;
    size_t count;
};

/* `index` and `reads` are set. */
void gate_park(struct gate *gate, struct gate_wait *wait);
/* Opens for all up to `index`. */
void gate_open(struct gate *gate, uint64_t index);
/* Opens for all that wait now, since what they wait for will not come. */
void gate_fail(struct gate *gate, int error);
/* It need not be told any more. */
void gate_leave(struct gate *gate, struct gate_wait *wait);

#endif
