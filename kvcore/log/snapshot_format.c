/* THE HEADER                                   A BLOCK
 *
 *   0   8   "KVFSRDB\n"                          0   4   CRC-32C of all that follows, begun with the header's
 *   8   4   format version                       4   4   length of the whole block
 *   12  4   0                                    8   4   number
 *   16  8   epoch                                12  1   kind
 *   24  8   index of the last record in it       13  3   0
 *   32  8   time of that                         16      what the kind says
 *   40  8   hash seed of the directories
 *   48  8   nodes
 *   56  4   0
 *   60  4   CRC-32C of the 60 bytes before
 */
#include "kvcore/log/snapshot_format.h"

#include "kvcore/base/crc32c.h"
#include "kvcore/base/error.h"
#include "kvcore/log/code.h"
#include "kvcore/log/snapshot.h"

#include <inttypes.h>
#include <stdio.h>

static const char magic[8] = {'K', 'V', 'F', 'S', 'R', 'D', 'B', '\n'};

enum { AT_VERSION = 8, AT_EPOCH = 16, AT_INDEX = 24, AT_TIME = 32, AT_SEED = 40, AT_NODES = 48, AT_CRC = 60 };
enum { BLOCK_AT_LENGTH = 4, BLOCK_AT_NUMBER = 8, BLOCK_AT_KIND = 12 };

static_assert(BLOCK_HEAD_BYTES + SLOTS_BYTES_MAX <= BLOCK_BYTES_MAX, "all slots fit in a block");

void snapshot_name(uint64_t index, char name[LOG_NAME_BYTES])
{
    snprintf(name, LOG_NAME_BYTES, "snapshot-%020" PRIu64 ".rdb", index);
}

bool snapshot_index_of(const char *name, uint64_t *ret_index)
{
    uint64_t index;
    char again[LOG_NAME_BYTES];
    if (sscanf(name, "snapshot-%" SCNu64 ".rdb", &index) != 1)
        return false;
    snapshot_name(index, again);
    if (strcmp(name, again) != 0)
        return false;
    *ret_index = index;
    return true;
}

void snapshot_header_encode(const struct snapshot_header *header, char out[SNAPSHOT_HEADER_BYTES])
{
    memset(out, 0, SNAPSHOT_HEADER_BYTES);
    memcpy(out, magic, sizeof magic);
    put_u32(out + AT_VERSION, SNAPSHOT_VERSION);
    put_u64(out + AT_EPOCH, header->epoch);
    put_u64(out + AT_INDEX, header->index);
    put_u64(out + AT_TIME, (uint64_t)header->time_ns);
    put_u64(out + AT_SEED, header->hash_seed);
    put_u64(out + AT_NODES, header->nodes);
    snapshot_header_seal(out);
}

void snapshot_header_seal(char header[SNAPSHOT_HEADER_BYTES]) { put_u32(header + AT_CRC, crc32c(0, header, AT_CRC)); }

uint32_t snapshot_seed(const char header[SNAPSHOT_HEADER_BYTES]) { return get_u32(header + AT_CRC); }

int snapshot_header_decode(struct bytes bytes, struct snapshot_header *ret_header, uint32_t *ret_seed)
{
    if (bytes.len < SNAPSHOT_HEADER_BYTES)
        return -ENODATA;
    const char *from = bytes.data;
    if (memcmp(from, magic, sizeof magic) != 0 || crc32c(0, from, AT_CRC) != snapshot_seed(from))
        return -EBADMSG;
    if (get_u32(from + AT_VERSION) > SNAPSHOT_VERSION)
        return KV_VERSION;
    ret_header->epoch = get_u64(from + AT_EPOCH);
    ret_header->index = get_u64(from + AT_INDEX);
    ret_header->time_ns = (int64_t)get_u64(from + AT_TIME);
    ret_header->hash_seed = get_u64(from + AT_SEED);
    ret_header->nodes = get_u64(from + AT_NODES);
    *ret_seed = snapshot_seed(from);
    return 0;
}

static uint32_t block_crc(const char *block, size_t length, uint32_t seed)
{
    return crc32c(seed, block + BLOCK_AT_LENGTH, length - BLOCK_AT_LENGTH);
}

void block_seal(char *block, const struct block_head *head, uint32_t seed)
{
    memset(block, 0, BLOCK_HEAD_BYTES);
    put_u32(block + BLOCK_AT_LENGTH, head->length);
    put_u32(block + BLOCK_AT_NUMBER, head->number);
    block[BLOCK_AT_KIND] = (char)head->kind;
    put_u32(block, block_crc(block, head->length, seed));
}

bool block_is_plausible(const char *head, struct block_head *ret_head)
{
    struct block_head read = {get_u32(head + BLOCK_AT_LENGTH), get_u32(head + BLOCK_AT_NUMBER), 0};
    static const char zeros[BLOCK_HEAD_BYTES - BLOCK_AT_KIND - 1];
    read.kind = (enum block_kind)(uint8_t)head[BLOCK_AT_KIND];
    if (read.length < BLOCK_HEAD_BYTES || read.length > BLOCK_BYTES_MAX || read.kind < BLOCK_SLOTS ||
        read.kind > BLOCK_END || memcmp(head + BLOCK_AT_KIND + 1, zeros, sizeof zeros) != 0)
        return false;
    *ret_head = read;
    return true;
}

int block_check(struct bytes bytes, uint32_t seed, struct block_head *ret_head)
{
    struct block_head head;
    if (bytes.len < BLOCK_HEAD_BYTES)
        return -ENODATA;
    if (!block_is_plausible(bytes.data, &head))
        return -EBADMSG;
    if (bytes.len < head.length)
        return -ENODATA;
    if (block_crc(bytes.data, head.length, seed) != get_u32(bytes.data))
        return -EBADMSG;
    *ret_head = head;
    return 0;
}

void counts_encode(const struct snapshot_counts *counts, char out[COUNTS_BYTES])
{
    put_u64(out, counts->nodes);
    put_u64(out + 8, counts->names);
    put_u64(out + 16, counts->chunks);
}

void counts_decode(const char bytes[COUNTS_BYTES], struct snapshot_counts *ret_counts)
{
    *ret_counts = (struct snapshot_counts){get_u64(bytes), get_u64(bytes + 8), get_u64(bytes + 16)};
}

size_t slots_encode(const uint64_t next_sequence[SLOTS], char *out)
{
    uint64_t count = 0;
    for (unsigned slot = 0; slot < SLOTS; slot++)
        count += next_sequence[slot] > 1;
    char *at = put_varint(out, count);
    for (unsigned slot = 0; slot < SLOTS; slot++)
        if (next_sequence[slot] > 1)
            at = put_varint(put_varint(at, slot), next_sequence[slot]);
    return (size_t)(at - out);
}

int slots_decode(struct bytes bytes, struct tree *tree)
{
    struct decode decode = {bytes.data, bytes.data + bytes.len, false};
    uint64_t count = decode_varint_to(&decode, SLOTS);
    for (; count && !decode.bad; count--) {
        uint64_t slot = decode_varint_to(&decode, SLOTS - 1);
        uint64_t next = decode_varint_to(&decode, 1ull << ID_SLOT_SHIFT);
        if (next == 0)
            decode.bad = true;
        if (tree)
            tree->slots[slot].next_sequence = next;
    }
    return decode.bad || decode.at != decode.end ? -EBADMSG : 0;
}
