/* What recovery decides, without a disk. */
#ifndef KV_LOG_RECOVERY_PLAN_H
#define KV_LOG_RECOVERY_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Which of the sorted segments (their first indexes) is the first to read behind a snapshot that holds all up to
 * `held`: the last that begins at or before the record that follows, else the lowest. `count`: there is none. */
size_t plan_first_segment(const uint64_t *segments, size_t count, uint64_t held);

/* Where the log could not be read on, and what was found behind. */
struct plan_stop {
    uint64_t bad_index;    /* of the record that is not there, or not whole */
    uint64_t held_index;   /* up to here a snapshot has all */
    uint64_t synced_index; /* the highest that a mark or header behind it says was synced; 0: none says anything */
    uint64_t needed_index; /* there is proof, a damaged snapshot, that the store had come so far */
};

/* True: what is missing had been promised, this is damage. False: a torn end, to be cut. */
bool plan_is_damage(const struct plan_stop *stop);

#endif
