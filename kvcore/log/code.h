/* Numbers as the files have them: little-endian of fixed length, and varints (LEB128: seven bits a byte, the lowest
 * first, the top bit says that more follow; signed ones zigzag, so that small ones of either sign are short). */
#ifndef KV_LOG_CODE_H
#define KV_LOG_CODE_H

#include "kvcore/base/bytes.h"

#include <endian.h>

enum { VARINT_BYTES_MAX = 10 };

static inline void put_u32(char *at, uint32_t value)
{
    value = htole32(value);
    memcpy(at, &value, sizeof value);
}

static inline void put_u64(char *at, uint64_t value)
{
    value = htole64(value);
    memcpy(at, &value, sizeof value);
}

static inline uint32_t get_u32(const char *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return le32toh(value);
}

static inline uint64_t get_u64(const char *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return le64toh(value);
}

/* Returns where the next byte goes; VARINT_BYTES_MAX are enough. */
static inline char *put_varint(char *at, uint64_t value)
{
    for (; value > 0x7f; value >>= 7)
        *at++ = (char)(0x80 | (value & 0x7f));
    *at++ = (char)value;
    return at;
}

/* Small numbers of either sign become small ones without: 0, -1, 1, -2, ... */
static inline uint64_t zigzag(int64_t value) { return (uint64_t)value << 1 ^ (value < 0 ? UINT64_MAX : 0); }
static inline int64_t unzigzag(uint64_t value) { return (int64_t)(value >> 1) ^ -(int64_t)(value & 1); }

/* Takes bytes off the front of a run; once they do not suffice or are no varint, `bad` is set and all that is read is
 * 0.
 */
struct decode {
    const char *at, *end;
    bool bad;
};

static inline uint64_t decode_varint_long(struct decode *decode)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && decode->at < decode->end; shift += 7) {
        uint8_t byte = (uint8_t)*decode->at++;
        if (shift == 63 && byte > 1)
            break;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return value;
    }
    decode->bad = true;
    decode->at = decode->end;
    return 0;
}

static inline uint64_t decode_varint(struct decode *decode)
{
    if (decode->at < decode->end && !(*decode->at & 0x80))
        return (uint8_t)*decode->at++;
    return decode_varint_long(decode);
}

/* Larger than `max` is bad. */
static inline uint64_t decode_varint_to(struct decode *decode, uint64_t max)
{
    uint64_t value = decode_varint(decode);
    if (value <= max)
        return value;
    decode->bad = true;
    return 0;
}

/* A length and so many bytes; borrowed. */
static inline struct bytes decode_bytes(struct decode *decode)
{
    uint64_t len = decode_varint(decode);
    if (len > (uint64_t)(decode->end - decode->at)) {
        decode->bad = true;
        decode->at = decode->end;
        return (struct bytes){0};
    }
    struct bytes bytes = bytes_make(decode->at, (size_t)len);
    decode->at += len;
    return bytes;
}

#endif
