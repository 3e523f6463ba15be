/* A rope is a row of chunks (chunk.h), number n for the bytes from n * CHUNK_BYTES on; one that is absent is a hole.
 * A rope of up to CHUNK_BYTES has only number 0, held without a map and called its block; it turns from the one form
 * into the other by moving that pointer. Invariants between calls:
 *
 *   chunked                        exactly when size > CHUNK_BYTES
 *   1 <= length of a chunk         an empty one is a hole, and dropped
 *   n * CHUNK_BYTES + length <= size
 *
 * The last one keeps cut-off bytes from coming back: a truncate shortens the chunk in which the value now ends, or
 * takes a shortened copy when it is shared, and growth reads as zeros because nothing is stored there.
 *
 * Failure. A change has two halves. The first does all that can fail, and does nothing that a reader could tell:
 * it copies shared chunks, moves chunks into longer ones, puts empty chunks into holes. When it fails half way, only
 * the empty chunks need to go again. The second half changes bytes, lengths and the size, and cannot fail. (Copying
 * a shared chunk that is about to be overwritten from end to end is the price; a list of replacements
 * on the side would save it, and need an allocation of its own.)
 *
 * A copy from another rope goes the same way; where a chunk will be shared, an empty one that is allocated once holds
 * the place. Within one rope a copy would change under its own hands what it has still to read: whoever wants that
 * shares the source range first, and copies from there.
 *
 * Room. A new chunk is as long as what is written into it, so a value that is set once wastes nothing, not even
 * behind its last chunk. One that grows again is being appended to: a block takes a quarter more than it has, a
 * chunk of a long value becomes whole.
 */
#include "kvcore/tree/rope.h"

#include "kvcore/base/check.h"
#include "kvcore/base/error.h"
#include "kvcore/base/limits.h"
#include "kvcore/tree/chunk.h"

/* Where data ends, it ends with a page: what programs that look for holes know from local file systems. */
enum { PAGE_BYTES = 4096 };

/* What every hole reads as. */
static const char zeros[CHUNK_BYTES];

/* A part of one chunk: [from, to). */
struct span {
    size_t from;
    size_t to;
};

/* What of [offset, end) lies in the chunk `number`. */
static struct span span_in(uint64_t number, uint64_t offset, uint64_t end)
{
    uint64_t start = number * CHUNK_BYTES;
    return (struct span){
        .from = offset > start ? (size_t)(offset - start) : 0,
        .to = end - start < CHUNK_BYTES ? (size_t)(end - start) : CHUNK_BYTES,
    };
}

/* The end of a range, cut at the end of the value; `offset` lies within the value. */
static uint64_t range_end(const struct rope *rope, uint64_t offset, uint64_t length)
{
    return length < rope->size - offset ? offset + length : rope->size;
}

static struct chunk *chunk_at(const struct rope *rope, uint64_t number)
{
    if (rope->chunked)
        return radix_find(&rope->chunks, number);
    return number == 0 ? rope->block : NULL;
}

/* The first chunk from `from` on, its number in *ret_number; NULL when only hole follows. */
static struct chunk *chunk_next(const struct rope *rope, uint64_t from, uint64_t *ret_number)
{
    if (rope->chunked)
        return radix_next(&rope->chunks, from, ret_number);
    if (from > 0 || !rope->block)
        return NULL;
    *ret_number = 0;
    return rope->block;
}

static void drop_chunk(struct rope *rope, struct mem *mem, uint64_t number)
{
    struct chunk *chunk = chunk_at(rope, number);
    rope->stored -= chunk->capacity;
    if (rope->chunked)
        radix_remove(&rope->chunks, mem, number);
    else
        rope->block = NULL;
    chunk_release(chunk, mem);
}

/* Puts `chunk` in the place of what is there. -ENOMEM, `chunk` is released then; never where one is there already. */
static int put_chunk(struct rope *rope, struct mem *mem, uint64_t number, struct chunk *chunk)
{
    struct chunk *was = chunk_at(rope, number);
    int rc = 0;
    if (rope->chunked)
        rc = radix_set(&rope->chunks, mem, number, chunk);
    else
        rope->block = chunk;
    struct chunk *dropped = rc < 0 ? chunk : was;
    if (rc == 0)
        rope->stored = rope->stored + chunk->capacity - (was ? was->capacity : 0);
    if (dropped)
        chunk_release(dropped, mem);
    return rc;
}

/* Makes the rope fit to grow to `size`. -ENOMEM (unchanged). */
static int to_chunks(struct rope *rope, struct mem *mem, uint64_t size)
{
    if (rope->chunked || size <= CHUNK_BYTES)
        return 0;
    struct radix chunks = {0};
    if (rope->block) {
        int rc = radix_set(&chunks, mem, 0, rope->block);
        if (rc < 0)
            return rc;
    }
    rope->chunks = chunks;
    rope->chunked = true;
    return 0;
}

/* The way back, once the size is short enough and no chunk but the first is left. */
static void to_block(struct rope *rope, struct mem *mem)
{
    if (!rope->chunked || rope->size > CHUNK_BYTES)
        return;
    struct chunk *block = radix_remove(&rope->chunks, mem, 0);
    CHECK(rope->chunks.count == 0);
    radix_close(&rope->chunks, mem);
    rope->block = block;
    rope->chunked = false;
}

/* How long to make the chunk that is to hold `need` bytes in the place of `chunk` (may be NULL). */
static size_t room_for(const struct rope *rope, const struct chunk *chunk, size_t need)
{
    if (!chunk)
        return need;
    if (need <= chunk->capacity)
        return need > chunk->length ? need : chunk->length;
    size_t more = rope->chunked ? CHUNK_BYTES : chunk->capacity + chunk->capacity / 4;
    return more < need ? need : more < CHUNK_BYTES ? more : CHUNK_BYTES;
}

/* Makes the chunk `number` the rope's alone, with room for `need` bytes; puts an empty one into a hole. -ENOMEM. */
static int make_writable(struct rope *rope, struct mem *mem, uint64_t number, size_t need)
{
    struct chunk *chunk = chunk_at(rope, number);
    if (chunk && !chunk_is_shared(chunk) && need <= chunk->capacity)
        return 0;
    size_t room = room_for(rope, chunk, need);
    struct chunk *writable = chunk ? chunk_copy(chunk, mem, chunk->length, room) : chunk_new(mem, room);
    return writable ? put_chunk(rope, mem, number, writable) : -ENOMEM;
}

/* Takes the empty chunks `first` to before `end` away again. */
static void drop_empty(struct rope *rope, struct mem *mem, uint64_t first, uint64_t end)
{
    for (uint64_t number = first; number < end; number++) {
        struct chunk *chunk = chunk_at(rope, number);
        if (chunk && chunk->length == 0)
            drop_chunk(rope, mem, number);
    }
}

/* The half of a write that can fail. -ENOMEM (value unchanged). */
static int make_room(struct rope *rope, struct mem *mem, uint64_t offset, uint64_t end)
{
    int rc = to_chunks(rope, mem, end);
    if (rc < 0)
        return rc;
    uint64_t first = offset / CHUNK_BYTES, last = (end - 1) / CHUNK_BYTES;
    for (uint64_t number = first; number <= last; number++) {
        rc = make_writable(rope, mem, number, span_in(number, offset, end).to);
        if (rc < 0) {
            drop_empty(rope, mem, first, number);
            to_block(rope, mem);
            return rc;
        }
    }
    return 0;
}

/* Lets the chunk `number` end at `length` > 0, if it is there and longer. -ENOMEM only where it is shared. */
static int shorten(struct rope *rope, struct mem *mem, uint64_t number, size_t length)
{
    struct chunk *chunk = chunk_at(rope, number);
    if (!chunk || chunk->length <= length)
        return 0;
    bool shared = chunk_is_shared(chunk);
    if (shared || length <= chunk->capacity / 2) {
        struct chunk *copy = chunk_copy(chunk, mem, length, length);
        if (copy)
            return put_chunk(rope, mem, number, copy);
        if (shared)
            return -ENOMEM;
    }
    chunk->length = (uint32_t)length;
    return 0;
}

/* Whether zeroing `span` leaves something of the chunk (may be NULL) and changes something. */
static bool is_cut(const struct chunk *chunk, struct span span)
{
    return chunk && span.from < chunk->length && (span.from > 0 || span.to < chunk->length);
}

/* The half of a punch that can fail, for one end of it. -ENOMEM (value unchanged). */
static int unshare_if_cut(struct rope *rope, struct mem *mem, uint64_t number, struct span span)
{
    struct chunk *chunk = chunk_at(rope, number);
    return is_cut(chunk, span) ? make_writable(rope, mem, number, chunk->length) : 0;
}

/* The other half, for each chunk. */
static void punch_chunk(struct rope *rope, struct mem *mem, uint64_t number, struct span span)
{
    struct chunk *chunk = chunk_at(rope, number);
    if (span.from >= chunk->length)
        return;
    if (!is_cut(chunk, span)) {
        drop_chunk(rope, mem, number);
    } else if (span.to < chunk->length) {
        memset(chunk->bytes + span.from, 0, span.to - span.from);
    } else {
        int rc = shorten(rope, mem, number, span.from);
        CHECK(rc == 0);
    }
}

/* Where the data of the chunk `number` ends, counted from the beginning of the value. */
static uint64_t data_end(const struct chunk *chunk, uint64_t number)
{
    return number * CHUNK_BYTES + ((uint64_t)chunk->length + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
}

/* The first data from `offset` on; UINT64_MAX: there is none. */
static uint64_t data_from(const struct rope *rope, uint64_t offset)
{
    struct chunk *chunk;
    uint64_t number = offset / CHUNK_BYTES;
    while ((chunk = chunk_next(rope, number, &number))) {
        uint64_t start = number * CHUNK_BYTES;
        if (offset < data_end(chunk, number))
            return start > offset ? start : offset;
        number++;
    }
    return UINT64_MAX;
}

/* The first hole from `offset` on; may lie behind the end. */
static uint64_t hole_from(const struct rope *rope, uint64_t offset)
{
    struct chunk *chunk;
    uint64_t number;
    while ((chunk = chunk_next(rope, offset / CHUNK_BYTES, &number)) && number == offset / CHUNK_BYTES) {
        uint64_t end = data_end(chunk, number);
        if (end <= offset)
            break;
        offset = end;
        if (end % CHUNK_BYTES)
            break;
    }
    return offset;
}

/* --- copying from another rope --- */

/* What goes where: [offset, end) of a rope is to be what `source` has from source_offset on. */
struct transfer {
    const struct rope *source;
    uint64_t source_offset;
    uint64_t offset;
    uint64_t end;
};

/* How a chunk, or a part of one, gets what the source has. The answer does not change while the copy goes on: whatever
 * the source shares with the rope is not written to, but copied first. */
enum way { WAY_SHARE, WAY_HOLE, WAY_BYTES };

/* Is nothing stored of these bytes? */
static bool is_hole(const struct rope *rope, uint64_t offset, size_t len)
{
    for (uint64_t number = offset / CHUNK_BYTES; number * CHUNK_BYTES < offset + len; number++) {
        const struct chunk *chunk = chunk_at(rope, number);
        if (chunk && span_in(number, offset, offset + len).from < chunk->length)
            return false;
    }
    return true;
}

static uint64_t transfer_source(const struct transfer *transfer, uint64_t number, struct span span)
{
    return number * CHUNK_BYTES + span.from - transfer->offset + transfer->source_offset;
}

static enum way transfer_way(const struct rope *rope, const struct transfer *transfer, uint64_t number,
                             struct span span)
{
    uint64_t from = transfer_source(transfer, number, span);
    if (is_hole(transfer->source, from, span.to - span.from))
        return WAY_HOLE;
    if (span.from > 0 || from % CHUNK_BYTES)
        return WAY_BYTES;
    const struct chunk *theirs = chunk_at(transfer->source, from / CHUNK_BYTES), *ours = chunk_at(rope, number);
    return theirs->length <= span.to && (!ours || ours->length <= span.to) ? WAY_SHARE : WAY_BYTES;
}

/* The half that can fail, for one chunk. `empty` holds the place of what will be shared. -ENOMEM. */
static int transfer_prepare(struct rope *rope, struct mem *mem, const struct transfer *transfer, uint64_t number,
                            struct chunk *empty)
{
    struct span span = span_in(number, transfer->offset, transfer->end);
    switch (transfer_way(rope, transfer, number, span)) {
    case WAY_SHARE:
        return chunk_at(rope, number) ? 0 : put_chunk(rope, mem, number, chunk_share(empty));
    case WAY_HOLE:
        return unshare_if_cut(rope, mem, number, span);
    case WAY_BYTES:
        break;
    }
    return make_writable(rope, mem, number, span.to);
}

/* The other half. */
static void transfer_chunk(struct rope *rope, struct mem *mem, const struct transfer *transfer, uint64_t number)
{
    struct span span = span_in(number, transfer->offset, transfer->end);
    uint64_t from = transfer_source(transfer, number, span), got;
    struct bytes pieces[4]; /* data and zeros of two chunks */
    size_t count;
    switch (transfer_way(rope, transfer, number, span)) {
    case WAY_SHARE:
        CHECK(put_chunk(rope, mem, number, chunk_share(chunk_at(transfer->source, from / CHUNK_BYTES))) == 0);
        return;
    case WAY_HOLE:
        if (chunk_at(rope, number))
            punch_chunk(rope, mem, number, span);
        return;
    case WAY_BYTES:
        count = rope_pieces(transfer->source, from, span.to - span.from, pieces, 4, &got);
        CHECK(got == span.to - span.from);
        for (size_t i = 0; i < count; span.from += pieces[i++].len)
            chunk_write(chunk_at(rope, number), span.from, pieces[i]);
        return;
    }
}

void rope_close(struct rope *rope, struct mem *mem)
{
    struct chunk *chunk;
    for (uint64_t number = 0; (chunk = chunk_next(rope, number, &number)); number++)
        chunk_release(chunk, mem);
    if (rope->chunked)
        radix_close(&rope->chunks, mem);
    *rope = (struct rope){0};
}

int rope_write(struct rope *rope, struct mem *mem, uint64_t offset, struct bytes data)
{
    CHECK(offset <= VALUE_BYTES_MAX && data.len <= VALUE_BYTES_MAX - offset);
    if (data.len == 0) /* as pwrite(2): nothing written grows nothing */
        return 0;
    uint64_t end = offset + data.len;
    int rc = make_room(rope, mem, offset, end);
    if (rc < 0)
        return rc;
    for (uint64_t number = offset / CHUNK_BYTES; data.len > 0; number++) {
        struct span span = span_in(number, offset, end);
        size_t len = span.to - span.from;
        chunk_write(chunk_at(rope, number), span.from, bytes_make(data.data, len));
        data = bytes_make(data.data + len, data.len - len);
    }
    if (end > rope->size)
        rope->size = end;
    return 0;
}

int rope_truncate(struct rope *rope, struct mem *mem, uint64_t size)
{
    CHECK(size <= VALUE_BYTES_MAX);
    int rc = to_chunks(rope, mem, size);
    if (rc < 0)
        return rc;
    uint64_t number = size / CHUNK_BYTES;
    if (size % CHUNK_BYTES) {
        rc = shorten(rope, mem, number++, size % CHUNK_BYTES);
        if (rc < 0)
            return rc;
    }
    while (chunk_next(rope, number, &number))
        drop_chunk(rope, mem, number);
    rope->size = size;
    to_block(rope, mem);
    return 0;
}

int rope_punch(struct rope *rope, struct mem *mem, uint64_t offset, uint64_t length)
{
    if (offset >= rope->size || length == 0)
        return 0;
    uint64_t end = range_end(rope, offset, length);
    uint64_t first = offset / CHUNK_BYTES, last = (end - 1) / CHUNK_BYTES;
    int rc = unshare_if_cut(rope, mem, first, span_in(first, offset, end));
    if (rc < 0)
        return rc;
    rc = unshare_if_cut(rope, mem, last, span_in(last, offset, end));
    if (rc < 0)
        return rc;
    for (uint64_t number = first; chunk_next(rope, number, &number) && number <= last; number++)
        punch_chunk(rope, mem, number, span_in(number, offset, end));
    return 0;
}

size_t rope_pieces(const struct rope *rope, uint64_t offset, uint64_t length, struct bytes *pieces, size_t max,
                   uint64_t *ret_bytes)
{
    uint64_t at = offset, end = offset < rope->size ? range_end(rope, offset, length) : offset;
    size_t count = 0;
    while (at < end && count < max) {
        const struct chunk *chunk = chunk_at(rope, at / CHUNK_BYTES);
        struct span span = span_in(at / CHUNK_BYTES, at, end);
        if (chunk && span.from < chunk->length) {
            span.to = span.to < chunk->length ? span.to : chunk->length;
            pieces[count] = bytes_make(chunk->bytes + span.from, span.to - span.from);
        } else {
            pieces[count] = bytes_make(zeros, span.to - span.from);
        }
        at += pieces[count++].len;
    }
    *ret_bytes = at - offset;
    return count;
}

int rope_seek(const struct rope *rope, uint64_t offset, bool hole, uint64_t *ret_offset)
{
    if (offset >= rope->size)
        return -ENXIO;
    uint64_t found = hole ? hole_from(rope, offset) : data_from(rope, offset);
    if (!hole && found >= rope->size)
        return -ENXIO;
    *ret_offset = found < rope->size ? found : rope->size;
    return 0;
}

uint64_t rope_write_cost(const struct rope *rope, uint64_t offset, uint64_t length)
{
    uint64_t end = offset + length, cost = 0;
    for (uint64_t number = offset / CHUNK_BYTES; number * CHUNK_BYTES < end; number++) {
        const struct chunk *chunk = chunk_at(rope, number);
        size_t room = room_for(rope, chunk, span_in(number, offset, end).to);
        size_t held = chunk && !chunk_is_shared(chunk) ? chunk->capacity : 0;
        cost += room > held ? room - held : 0;
    }
    return cost;
}

uint64_t rope_cut_cost(const struct rope *rope, uint64_t offset)
{
    const struct chunk *chunk = chunk_at(rope, offset / CHUNK_BYTES);
    return chunk && offset % CHUNK_BYTES && chunk_is_shared(chunk) ? chunk->length : 0;
}

int rope_copy(struct rope *rope, struct mem *mem, uint64_t offset, const struct rope *source, uint64_t source_offset,
              uint64_t length)
{
    CHECK(rope != source && source_offset <= source->size && length <= source->size - source_offset);
    CHECK(offset <= VALUE_BYTES_MAX && length <= VALUE_BYTES_MAX - offset);
    if (length == 0)
        return 0;
    const struct transfer transfer = {source, source_offset, offset, offset + length};
    uint64_t first = offset / CHUNK_BYTES, last = (transfer.end - 1) / CHUNK_BYTES, number;
    struct chunk *empty = chunk_new(mem, 1);
    if (!empty)
        return -ENOMEM;
    int rc = to_chunks(rope, mem, transfer.end);
    for (number = first; rc == 0 && number <= last; number++)
        rc = transfer_prepare(rope, mem, &transfer, number, empty);
    if (rc < 0) {
        drop_empty(rope, mem, first, number);
        to_block(rope, mem);
        chunk_release(empty, mem);
        return rc;
    }
    for (number = first; number <= last; number++)
        transfer_chunk(rope, mem, &transfer, number);
    if (transfer.end > rope->size)
        rope->size = transfer.end;
    chunk_release(empty, mem);
    return 0;
}

int rope_share(const struct rope *rope, struct mem *mem, struct rope *ret_copy)
{
    return rope_share_part(rope, mem, 0, rope->size, ret_copy);
}

int rope_share_part(const struct rope *rope, struct mem *mem, uint64_t offset, uint64_t length, struct rope *ret_copy)
{
    struct rope copy = {.size = rope->size, .chunked = rope->chunked};
    struct chunk *chunk;
    uint64_t number = offset / CHUNK_BYTES;
    for (; (chunk = chunk_next(rope, number, &number)) && number * CHUNK_BYTES < offset + length; number++) {
        int rc = 0;
        if (copy.chunked)
            rc = radix_set(&copy.chunks, mem, number, chunk);
        else
            copy.block = chunk;
        if (rc < 0) {
            rope_close(&copy, mem);
            return rc;
        }
        copy.stored += chunk_share(chunk)->capacity;
    }
    *ret_copy = copy;
    return 0;
}

struct chunk *rope_next_chunk(const struct rope *rope, uint64_t from, uint64_t *ret_number)
{
    return chunk_next(rope, from, ret_number);
}

int rope_restore(struct rope *rope, struct mem *mem, uint64_t number, struct bytes data)
{
    if (data.len == 0 || data.len > CHUNK_BYTES || number > rope->size / CHUNK_BYTES ||
        number * CHUNK_BYTES + data.len > rope->size || chunk_at(rope, number))
        return -EINVAL;
    struct chunk *chunk = chunk_new(mem, data.len);
    if (!chunk)
        return -ENOMEM;
    chunk_write(chunk, 0, data);
    return put_chunk(rope, mem, number, chunk);
}
