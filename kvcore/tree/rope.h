/* A value too long to lie in its node: a sparse run of bytes.
 *
 *   up to CHUNK_BYTES  one block, as long as the value (rounded up by the allocator)
 *   above              chunks of CHUNK_BYTES in a radix map by number; a chunk that is not there is a hole
 *
 * Blocks and chunks are counted references, so that a copy or a snapshot shares them: whoever changes one
 * that is shared copies it first. Bytes between the old and the new end of a grown value read as zeros; bytes
 * cut off by a truncate never come back. A failed change leaves the value as it was.
 */
#ifndef KV_TREE_ROPE_H
#define KV_TREE_ROPE_H

#include "kvcore/base/bytes.h"
#include "kvcore/base/mem.h"
#include "kvcore/tree/radix.h"

struct chunk;

struct rope {
    uint64_t size;   /* logical length, holes included */
    uint64_t stored; /* bytes of its chunks */
    bool chunked;
    union {
        struct chunk *block; /* !chunked; NULL: all hole */
        struct radix chunks; /* chunked: number -> struct chunk * */
    };
};

/* A zeroed struct is an empty rope. */
void rope_close(struct rope *rope, struct mem *mem);

/* Writes `data` at `offset`, growing the value; `offset + data.len` <= VALUE_BYTES_MAX is the caller's to check.
 * -ENOMEM (unchanged). */
int rope_write(struct rope *rope, struct mem *mem, uint64_t offset, struct bytes data);

/* Cuts or extends (with a hole) to `size` <= VALUE_BYTES_MAX. -ENOMEM (unchanged). */
int rope_truncate(struct rope *rope, struct mem *mem, uint64_t size);

/* Makes [offset, offset + length) a hole; the size stays. Frees whole chunks, zeroes the rest. -ENOMEM (unchanged). */
int rope_punch(struct rope *rope, struct mem *mem, uint64_t offset, uint64_t length);

/* The bytes of [offset, offset + length), cut at the end of the value, as at most `max` borrowed pieces in
 * order, valid until the rope changes; holes point to a shared run of zeros. Returns the count of pieces;
 * *ret_bytes is their sum, less than asked when `max` was too small. */
size_t rope_pieces(const struct rope *rope, uint64_t offset, uint64_t length, struct bytes *pieces, size_t max,
                   uint64_t *ret_bytes);

/* Copies [source_offset, source_offset + length), which lies within `source`, to `offset` of another rope, growing it.
 * Whole chunks are shared where the two offsets lie equally far into one; elsewhere bytes are copied. Holes stay holes,
 * unless a chunk has data too. `offset + length` <= VALUE_BYTES_MAX. -ENOMEM (unchanged). */
int rope_copy(struct rope *rope, struct mem *mem, uint64_t offset, const struct rope *source, uint64_t source_offset,
              uint64_t length);

/* lseek(2) SEEK_DATA and SEEK_HOLE: the first offset >= `offset` in data or in a hole. Data begins at the beginning of
 * a chunk, and ends with the last page that is stored of it; the end of the value is a hole. -ENXIO as lseek has it. */
int rope_seek(const struct rope *rope, uint64_t offset, bool hole, uint64_t *ret_offset);

/* Memory the value takes: what st_blocks shows. A shared chunk counts in full. */
static inline uint64_t rope_stored_bytes(const struct rope *rope) { return rope->stored; }

/* Memory that a write of these bytes would add: 0 where they are stored already, and nobody shares them. */
uint64_t rope_write_cost(const struct rope *rope, uint64_t offset, uint64_t length);

/* Memory that a truncate to `offset`, or a punch that begins or ends there, would add: a shared chunk is copied. */
uint64_t rope_cut_cost(const struct rope *rope, uint64_t offset);

/* Makes `*ret_copy` (zeroed before) a value equal to `rope` that shares its chunks. -ENOMEM. */
int rope_share(const struct rope *rope, struct mem *mem, struct rope *ret_copy);

/* The same for [offset, offset + length) alone: as long as `rope`, and outside of that range maybe a hole. */
int rope_share_part(const struct rope *rope, struct mem *mem, uint64_t offset, uint64_t length, struct rope *ret_copy);

/* CHUNK BY CHUNK, as a snapshot keeps a value. The first chunk from number `from` on, its number in *ret_number; NULL:
 * there is none. Borrowed; chunk_share keeps it. */
struct chunk *rope_next_chunk(const struct rope *rope, uint64_t from, uint64_t *ret_number);

/* Puts a chunk of these bytes where there is none, in a rope that has its size already (rope_truncate). -EINVAL: none
 * may lie there; -ENOMEM (unchanged). */
int rope_restore(struct rope *rope, struct mem *mem, uint64_t number, struct bytes data);

#endif
