/* Counted memory: what a tree allocates, as the allocator rounds it up, so that `maxmemory` and `kv info`
 * speak of bytes really taken (redis: used_memory counts the same way). One per tree, used by one thread.
 *
 * A test sets fail_after to make the Nth allocation fail.
 */
#ifndef KV_BASE_MEM_H
#define KV_BASE_MEM_H

#include <stddef.h>
#include <stdint.h>

struct mem {
    size_t used;        /* bytes taken now */
    int64_t fail_after; /* 0: never; N: the Nth allocation from now fails, and all after it */
};

/* As malloc and calloc; NULL when the machine has no more. */
void *mem_alloc(struct mem *mem, size_t bytes);
void *mem_calloc(struct mem *mem, size_t bytes);
/* As realloc; the old block stays valid when NULL comes back. */
void *mem_realloc(struct mem *mem, void *block, size_t bytes);
/* Accepts NULL. */
void mem_free(struct mem *mem, void *block);

#endif
