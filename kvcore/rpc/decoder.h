/* What decode.c and decode_result.c share: the decoder's memory, and how a msgpack object becomes a C value. */
#ifndef KV_RPC_DECODER_H
#define KV_RPC_DECODER_H

#include "kvcore/rpc/message.h"

#include <msgpack/unpack.h>
#include <msgpack/zone.h>

/* All that a decoded message points to, beside its own bytes, lies in the zone: msgpack-c's objects first, then
 * our arrays. One chunk of it stays between messages, so small ones allocate nothing. */
struct decoder {
    msgpack_zone zone;
    msgpack_object error, result; /* of the response seen last */
    struct bytes piece;           /* what reply->pieces points to */
};

/* The out-parameters below are untouched where the object is of another kind. msgpack-c gives an empty string no
 * address, but a text of no bytes is a text: it gets one here. */

static inline bool object_str(const msgpack_object *object, struct bytes *ret_bytes)
{
    if (object->type != MSGPACK_OBJECT_STR)
        return false;
    *ret_bytes = bytes_make(object->via.str.size ? object->via.str.ptr : "", object->via.str.size);
    return true;
}

static inline bool object_bin(const msgpack_object *object, struct bytes *ret_bytes)
{
    if (object->type != MSGPACK_OBJECT_BIN)
        return false;
    *ret_bytes = bytes_make(object->via.bin.size ? object->via.bin.ptr : "", object->via.bin.size);
    return true;
}

static inline bool object_bytes(const msgpack_object *object, struct bytes *ret_bytes)
{
    return object_str(object, ret_bytes) || object_bin(object, ret_bytes);
}

static inline bool object_uint(const msgpack_object *object, uint64_t *ret_value)
{
    if (object->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
        return false;
    *ret_value = object->via.u64;
    return true;
}

static inline bool object_uint32(const msgpack_object *object, uint32_t *ret_value)
{
    if (object->type != MSGPACK_OBJECT_POSITIVE_INTEGER || object->via.u64 > UINT32_MAX)
        return false;
    *ret_value = (uint32_t)object->via.u64;
    return true;
}

static inline bool object_int(const msgpack_object *object, int64_t *ret_value)
{
    if (object->type == MSGPACK_OBJECT_POSITIVE_INTEGER) {
        if (object->via.u64 > INT64_MAX)
            return false;
    } else if (object->type != MSGPACK_OBJECT_NEGATIVE_INTEGER) {
        return false;
    }
    *ret_value = object->via.i64;
    return true;
}

#endif
