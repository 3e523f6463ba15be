/* The sizes that the allocator really hands out, so that an array which grows by steps uses every byte of each.
 *
 * These are jemalloc's classes: multiples of 16 up to 128, then four steps to every doubling (160, 192, 224,
 * 256, 320, ...). With another allocator the steps are merely sensible.
 */
#ifndef KV_TREE_STEP_H
#define KV_TREE_STEP_H

#include <stddef.h>

/* The smallest step that holds `bytes` (> 0). */
static inline size_t step_up(size_t bytes)
{
    size_t spacing = 16;
    if (bytes > 128)
        spacing = (size_t)1 << (61 - __builtin_clzll(bytes - 1));
    return (bytes + spacing - 1) & ~(spacing - 1);
}

#endif
