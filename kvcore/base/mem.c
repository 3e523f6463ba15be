#include "kvcore/base/mem.h"

#include "kvcore/base/check.h"

#include <malloc.h>
#include <stdbool.h>
#include <stdlib.h>

static bool fails(struct mem *mem)
{
    if (mem->fail_after == 0)
        return false;
    if (mem->fail_after > 1) {
        mem->fail_after--;
        return false;
    }
    return true;
}

void *mem_alloc(struct mem *mem, size_t bytes)
{
    void *block = fails(mem) ? NULL : malloc(bytes);
    if (block)
        mem->used += malloc_usable_size(block);
    return block;
}

void *mem_calloc(struct mem *mem, size_t bytes)
{
    void *block = fails(mem) ? NULL : calloc(1, bytes);
    if (block)
        mem->used += malloc_usable_size(block);
    return block;
}

void *mem_realloc(struct mem *mem, void *block, size_t bytes)
{
    size_t before = malloc_usable_size(block);
    void *moved = fails(mem) ? NULL : realloc(block, bytes);
    if (moved)
        mem->used += malloc_usable_size(moved) - before;
    return moved;
}

void mem_free(struct mem *mem, void *block)
{
    if (!block)
        return;
    size_t bytes = malloc_usable_size(block);
    CHECK(mem->used >= bytes);
    mem->used -= bytes;
    free(block);
}
