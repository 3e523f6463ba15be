#include "kvcore/log/recovery_plan.h"

size_t plan_first_segment(const uint64_t *segments, size_t count, uint64_t held)
{
    size_t first = 0;
    for (size_t i = 0; i < count; i++)
        if (segments[i] <= held + 1)
            first = i;
    return first;
}

/* Records that a snapshot holds may be missing from the log: the snapshot does not wait for it. */
bool plan_is_damage(const struct plan_stop *stop)
{
    uint64_t first_missing = stop->bad_index > stop->held_index ? stop->bad_index : stop->held_index + 1;
    return stop->synced_index >= first_missing || stop->needed_index >= first_missing;
}
