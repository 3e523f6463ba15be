/* A RECORD'S BYTES
 *
 *   0   4   CRC-32C of all that follows
 *   4   4   length of the whole record
 *   8   1   1: a record (what else can stand in a segment: segment.h)
 *   9   4   length of the effects
 *   13  4   how many effects
 *   17  8   time, ns since 1970
 *   25      varints: epoch, index, slot, session, message
 *           effects (effect_code.h)
 *           result, to the end
 *
 * The length lies under the checksum too: a flipped bit in it is told from a record that is not all there by whoever
 * knows what follows (recovery). Lengths that are known only at the end are fixed, so that they can be filled in then;
 * the count of effects is kept in the bytes while the record is built, which needs no other state.
 */
#include "kvcore/log/record.h"

#include "kvcore/base/check.h"
#include "kvcore/base/crc32c.h"
#include "kvcore/base/error.h"
#include "kvcore/base/limits.h"
#include "kvcore/log/code.h"
#include "kvcore/log/effect_code.h"
#include "kvcore/log/frame.h"

enum {
    AT_EFFECT_BYTES = FRAME_HEAD_BYTES,
    AT_EFFECT_COUNT = AT_EFFECT_BYTES + 4,
    AT_TIME = AT_EFFECT_COUNT + 4,
    AT_VARINTS = AT_TIME + 8,
    HEAD_BYTES_MAX = AT_VARINTS + 5 * VARINT_BYTES_MAX,
};

int record_begin(struct buf *out, const struct record_head *head, size_t *ret_start)
{
    int rc = buf_reserve(out, HEAD_BYTES_MAX);
    if (rc < 0)
        return rc;
    char *start = out->data + out->len;
    memset(start, 0, AT_VARINTS);
    put_u64(start + AT_TIME, (uint64_t)head->time_ns);
    char *at = put_varint(start + AT_VARINTS, head->epoch);
    at = put_varint(at, head->index);
    at = put_varint(at, head->slot);
    at = put_varint(at, head->session);
    at = put_varint(at, head->message);
    put_u32(start + AT_EFFECT_BYTES, (uint32_t)(at - start)); /* where the effects begin, until record_end */
    *ret_start = out->len;
    out->len = (size_t)(at - out->data);
    return 0;
}

/* What the effects are told apart from: read back, for a record under way has no state but its bytes. */
static struct effect_base base_of(const char *start)
{
    struct decode decode = {start + AT_VARINTS, start + HEAD_BYTES_MAX, false};
    decode_varint(&decode);
    return (struct effect_base){decode_varint(&decode), (int64_t)get_u64(start + AT_TIME)};
}

int record_add(struct buf *out, size_t start, const struct effect *effect)
{
    struct effect_base base = base_of(out->data + start);
    int rc = effect_encode(out, &base, effect);
    if (rc < 0)
        return rc;
    char *count = out->data + start + AT_EFFECT_COUNT;
    put_u32(count, get_u32(count) + 1);
    return 0;
}

int record_end(struct buf *out, size_t start, struct bytes result)
{
    size_t effects_end = out->len;
    int rc = buf_append(out, result.data, result.len);
    if (rc < 0)
        return rc;
    char *bytes = out->data + start;
    size_t length = out->len - start;
    CHECK(length <= RECORD_BYTES_MAX);
    put_u32(bytes + AT_EFFECT_BYTES, (uint32_t)(effects_end - start) - get_u32(bytes + AT_EFFECT_BYTES));
    frame_seal(bytes, length, FRAME_RECORD, 0);
    return 0;
}

int record_read(struct bytes bytes, struct record *ret_record)
{
    size_t length;
    int rc = frame_check(bytes, 0, &length);
    if (rc != FRAME_RECORD)
        return rc < 0 ? rc : -EBADMSG;
    if (length < AT_VARINTS)
        return -EBADMSG;
    struct record record = {.length = length, .effect_count = get_u32(bytes.data + AT_EFFECT_COUNT)};
    struct decode decode = {bytes.data + AT_VARINTS, bytes.data + length, false};
    record.head.time_ns = (int64_t)get_u64(bytes.data + AT_TIME);
    record.head.epoch = decode_varint(&decode);
    record.head.index = decode_varint(&decode);
    record.head.slot = (uint16_t)decode_varint_to(&decode, UINT16_MAX);
    record.head.session = decode_varint(&decode);
    record.head.message = (uint32_t)decode_varint_to(&decode, UINT32_MAX);
    uint32_t effect_bytes = get_u32(bytes.data + AT_EFFECT_BYTES);
    size_t left = (size_t)(decode.end - decode.at);
    if (decode.bad || effect_bytes > left)
        return -EBADMSG;
    record.effects = bytes_make(decode.at, effect_bytes);
    record.result = bytes_make(decode.at + effect_bytes, left - effect_bytes);
    *ret_record = record;
    return 0;
}

int record_next(const struct record *record, size_t *at, struct effect *ret_effect)
{
    if (*at >= record->effects.len)
        return 0;
    const struct effect_base base = {record->head.index, record->head.time_ns};
    int rc = effect_decode(record->effects, at, &base, ret_effect);
    return rc < 0 ? rc : 1;
}
