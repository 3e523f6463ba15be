/* A counted run of up to CHUNK_BYTES bytes: what a rope is made of.
 *
 *   capacity below CHUNK_BYTES   one allocation, as long as asked for:  | struct chunk | bytes          |
 *   capacity of CHUNK_BYTES      two, so that the bytes are a whole size class of the allocator; together with the
 *                                struct they would take the next one (80 KiB of jemalloc's for 64 KiB)
 *
 * Only the first `length` bytes mean anything. What lies behind them, up to the end of the chunk's place in the
 * value, reads as zeros without being stored; so a new chunk is never zeroed only to be overwritten, and bytes
 * cut off cannot come back, because a chunk that grows again zeroes what it skips.
 *
 * The counts are plain integers: a tree and all that shares with it belong to one thread.
 */
#ifndef KV_TREE_CHUNK_H
#define KV_TREE_CHUNK_H

#include "kvcore/base/bytes.h"
#include "kvcore/base/mem.h"

struct chunk {
    uint64_t references; /* ropes that hold it; whoever is not alone may only read it */
    uint32_t length;     /* bytes that are set */
    uint32_t capacity;   /* bytes allocated */
    char *bytes;
};

/* An empty chunk with room for at least `capacity` bytes (1..CHUNK_BYTES) and one reference. NULL when out of memory.
 */
struct chunk *chunk_new(struct mem *mem, size_t capacity);

/* The same with the first `length` bytes of `chunk` in it. */
struct chunk *chunk_copy(const struct chunk *chunk, struct mem *mem, size_t length, size_t capacity);

/* One more reference; chunk_release drops one, and the chunk with the last. */
struct chunk *chunk_share(struct chunk *chunk);
void chunk_release(struct chunk *chunk, struct mem *mem);

static inline bool chunk_is_shared(const struct chunk *chunk) { return chunk->references > 1; }

/* Puts `data` at `from`; it fits, and nobody shares the chunk (both checked). */
void chunk_write(struct chunk *chunk, size_t from, struct bytes data);

#endif
