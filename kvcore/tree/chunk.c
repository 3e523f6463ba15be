#include "kvcore/tree/chunk.h"

#include "kvcore/base/check.h"
#include "kvcore/base/limits.h"

/* jemalloc has no size class between 7/8 of a chunk and a whole one: from there on whole costs no more. */
enum { WHOLE_FROM_BYTES = CHUNK_BYTES / 8 * 7 - sizeof(struct chunk) };

static struct chunk *new_whole(struct mem *mem)
{
    struct chunk *chunk = mem_alloc(mem, sizeof *chunk);
    if (!chunk)
        return NULL;
    char *bytes = mem_alloc(mem, CHUNK_BYTES);
    if (!bytes) {
        mem_free(mem, chunk);
        return NULL;
    }
    *chunk = (struct chunk){.references = 1, .capacity = CHUNK_BYTES, .bytes = bytes};
    return chunk;
}

struct chunk *chunk_new(struct mem *mem, size_t capacity)
{
    CHECK(capacity > 0 && capacity <= CHUNK_BYTES);
    if (capacity > WHOLE_FROM_BYTES)
        return new_whole(mem);
    struct chunk *chunk = mem_alloc(mem, sizeof *chunk + capacity);
    if (chunk)
        *chunk = (struct chunk){.references = 1, .capacity = (uint32_t)capacity, .bytes = (char *)(chunk + 1)};
    return chunk;
}

struct chunk *chunk_copy(const struct chunk *chunk, struct mem *mem, size_t length, size_t capacity)
{
    CHECK(length <= chunk->length && length <= capacity);
    struct chunk *copy = chunk_new(mem, capacity);
    if (!copy)
        return NULL;
    memcpy(copy->bytes, chunk->bytes, length);
    copy->length = (uint32_t)length;
    return copy;
}

struct chunk *chunk_share(struct chunk *chunk)
{
    chunk->references++;
    return chunk;
}

void chunk_release(struct chunk *chunk, struct mem *mem)
{
    CHECK(chunk->references > 0);
    if (--chunk->references > 0)
        return;
    if (chunk->capacity == CHUNK_BYTES)
        mem_free(mem, chunk->bytes);
    mem_free(mem, chunk);
}

void chunk_write(struct chunk *chunk, size_t from, struct bytes data)
{
    CHECK(!chunk_is_shared(chunk) && from + data.len <= chunk->capacity);
    if (from > chunk->length)
        memset(chunk->bytes + chunk->length, 0, from - chunk->length);
    memcpy(chunk->bytes + from, data.data, data.len);
    if (from + data.len > chunk->length)
        chunk->length = (uint32_t)(from + data.len);
}
