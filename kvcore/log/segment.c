/* THE HEADER
 *
 *   0   8   "KVFSLOG\n"
 *   8   4   format version
 *   12  4   0
 *   16  8   epoch
 *   24  8   index of the first record
 *   32  8   index up to which all was synced
 *   40  4   0
 *   44  4   CRC-32C of the 44 bytes before
 *
 * A MARK is a frame with 8 bytes of index; its checksum is begun with that of the 8 bytes of its offset.
 */
#include "kvcore/log/segment.h"

#include "kvcore/base/crc32c.h"
#include "kvcore/base/error.h"
#include "kvcore/log/code.h"

#include <inttypes.h>
#include <stdio.h>

static const char magic[8] = {'K', 'V', 'F', 'S', 'L', 'O', 'G', '\n'};

enum { AT_VERSION = 8, AT_EPOCH = 16, AT_FIRST = 24, AT_SYNCED = 32, AT_CRC = 44 };

void segment_name(uint64_t first_index, char name[LOG_NAME_BYTES])
{
    snprintf(name, LOG_NAME_BYTES, "log-%020" PRIu64 ".aof", first_index);
}

bool segment_index_of(const char *name, uint64_t *ret_first_index)
{
    uint64_t index;
    char again[LOG_NAME_BYTES];
    if (sscanf(name, "log-%" SCNu64 ".aof", &index) != 1)
        return false;
    segment_name(index, again);
    if (strcmp(name, again) != 0)
        return false;
    *ret_first_index = index;
    return true;
}

void segment_header_encode(const struct segment_header *header, char out[SEGMENT_HEADER_BYTES])
{
    memset(out, 0, SEGMENT_HEADER_BYTES);
    memcpy(out, magic, sizeof magic);
    put_u32(out + AT_VERSION, SEGMENT_VERSION);
    put_u64(out + AT_EPOCH, header->epoch);
    put_u64(out + AT_FIRST, header->first_index);
    put_u64(out + AT_SYNCED, header->synced_index);
    put_u32(out + AT_CRC, crc32c(0, out, AT_CRC));
}

int segment_header_decode(struct bytes bytes, struct segment_header *ret_header)
{
    if (bytes.len < SEGMENT_HEADER_BYTES)
        return -ENODATA;
    if (memcmp(bytes.data, magic, sizeof magic) != 0 || crc32c(0, bytes.data, AT_CRC) != get_u32(bytes.data + AT_CRC))
        return -EBADMSG;
    if (get_u32(bytes.data + AT_VERSION) > SEGMENT_VERSION)
        return KV_VERSION;
    ret_header->epoch = get_u64(bytes.data + AT_EPOCH);
    ret_header->first_index = get_u64(bytes.data + AT_FIRST);
    ret_header->synced_index = get_u64(bytes.data + AT_SYNCED);
    return 0;
}

static uint32_t mark_seed(uint64_t offset)
{
    char bytes[8];
    put_u64(bytes, offset);
    return crc32c(0, bytes, sizeof bytes);
}

void segment_mark_encode(uint64_t offset, uint64_t synced_index, char out[MARK_BYTES])
{
    put_u64(out + FRAME_HEAD_BYTES, synced_index);
    frame_seal(out, MARK_BYTES, FRAME_MARK, mark_seed(offset));
}

static int read_mark(struct bytes bytes, uint64_t offset, struct segment_frame *frame)
{
    int rc = frame_check(bytes, mark_seed(offset), &frame->length);
    if (rc < 0)
        return rc;
    if (frame->length != MARK_BYTES)
        return -EBADMSG;
    frame->kind = FRAME_MARK;
    frame->synced_index = get_u64(bytes.data + FRAME_HEAD_BYTES);
    return 0;
}

int segment_frame_read(struct bytes bytes, uint64_t offset, struct segment_frame *ret_frame)
{
    if (bytes.len >= FRAME_HEAD_BYTES && bytes.data[8] == FRAME_MARK)
        return read_mark(bytes, offset, ret_frame);
    int rc = record_read(bytes, &ret_frame->record);
    if (rc < 0)
        return rc;
    ret_frame->kind = FRAME_RECORD;
    ret_frame->length = ret_frame->record.length;
    return 0;
}
