/* Where a MessagePack message ends (https://github.com/msgpack/msgpack/blob/master/spec.md).
 *
 * One pass over the object headers; the bytes of strings are stepped over. `left` counts the objects still to
 * come in each open container; the message ends when the outermost has none. The scan only moves past objects
 * that have fully come, so that stopping and going on needs nothing but struct frame_scan: the header of the
 * object it stopped at is read again.
 *
 * A container's promise is counted when its header is read, so "an array of four billion" is refused at its fifth
 * byte. A message must be an array: whoever speaks another protocol here is found out at the first byte.
 */
#include "kvcore/rpc/message.h"

#include "kvcore/base/error.h"

#include <endian.h>

/* One object's header. */
struct header {
    uint64_t bytes;    /* of the object without its children */
    uint64_t children; /* objects in it; a map's pair is two */
};

static uint64_t big_endian(const char *data, size_t width)
{
    if (width == 1)
        return (unsigned char)data[0];
    if (width == 2) {
        uint16_t value;
        memcpy(&value, data, sizeof value);
        return be16toh(value);
    }
    uint32_t value;
    memcpy(&value, data, sizeof value);
    return be32toh(value);
}

/* An object of `fixed` bytes, of which `width` behind the first byte give the length of what follows. Where they
 * have not come, what is known is enough to wait for. */
static inline struct header sized(const char *data, size_t len, size_t width, size_t fixed)
{
    return (struct header){fixed + (len > width ? big_endian(data + 1, width) : 0), 0};
}

static inline struct header container(const char *data, size_t len, size_t width, uint64_t per_count)
{
    return (struct header){1 + width, len > width ? big_endian(data + 1, width) * per_count : 0};
}

/* The object that begins at data; len > 0. Its `bytes` are 0 where no object begins so. */
static inline struct header header_read(const char *data, size_t len)
{
    unsigned char first = (unsigned char)data[0];
    switch (first) {
    case 0x00 ... 0x7f: /* positive fixint */
    case 0xe0 ... 0xff: /* negative fixint */
    case 0xc0:          /* nil */
    case 0xc2:          /* false */
    case 0xc3:          /* true */
        return (struct header){1, 0};
    case 0x80 ... 0x8f: /* fixmap */
        return (struct header){1, (first & 0x0f) * 2};
    case 0x90 ... 0x9f: /* fixarray */
        return (struct header){1, first & 0x0f};
    case 0xa0 ... 0xbf: /* fixstr */
        return (struct header){1 + (first & 0x1f), 0};
    case 0xc4: /* bin 8 */
    case 0xd9: /* str 8 */
        return sized(data, len, 1, 2);
    case 0xc5: /* bin 16 */
    case 0xda: /* str 16 */
        return sized(data, len, 2, 3);
    case 0xc6: /* bin 32 */
    case 0xdb: /* str 32 */
        return sized(data, len, 4, 5);
    case 0xc7: /* ext 8: a length, then a type */
        return sized(data, len, 1, 3);
    case 0xc8: /* ext 16 */
        return sized(data, len, 2, 4);
    case 0xc9: /* ext 32 */
        return sized(data, len, 4, 6);
    case 0xcc: /* uint 8 */
    case 0xd0: /* int 8 */
        return (struct header){2, 0};
    case 0xcd: /* uint 16 */
    case 0xd1: /* int 16 */
    case 0xd4: /* fixext 1 */
        return (struct header){3, 0};
    case 0xd5: /* fixext 2 */
        return (struct header){4, 0};
    case 0xca: /* float 32 */
    case 0xce: /* uint 32 */
    case 0xd2: /* int 32 */
        return (struct header){5, 0};
    case 0xd6: /* fixext 4 */
        return (struct header){6, 0};
    case 0xcb: /* float 64 */
    case 0xcf: /* uint 64 */
    case 0xd3: /* int 64 */
        return (struct header){9, 0};
    case 0xd7: /* fixext 8 */
        return (struct header){10, 0};
    case 0xd8: /* fixext 16 */
        return (struct header){18, 0};
    case 0xdc: /* array 16 */
        return container(data, len, 2, 1);
    case 0xdd: /* array 32 */
        return container(data, len, 4, 1);
    case 0xde: /* map 16 */
        return container(data, len, 2, 2);
    case 0xdf: /* map 32 */
        return container(data, len, 4, 2);
    default: /* 0xc1: never used */
        return (struct header){0, 0};
    }
}

static bool begins_array(char first)
{
    unsigned char byte = (unsigned char)first;
    return (byte & 0xf0) == 0x90 || byte == 0xdc || byte == 0xdd;
}

int frame_scan(struct frame_scan *scan, const char *data, size_t len)
{
    size_t at = scan->at;
    uint32_t depth = scan->depth;
    uint32_t left = depth ? scan->left[depth - 1] : 1; /* in the innermost open container; outside: the message */
    uint64_t need = at + 1;

    if (at == 0 && len > 0 && !begins_array(data[0]))
        return -EPROTO;
    while (at < len) {
        struct header header = header_read(data + at, len - at);
        if (header.bytes == 0)
            return -EPROTO;
        need = at + header.bytes;
        if (need > MESSAGE_BYTES_MAX)
            return -E2BIG;
        if (need > len)
            break;
        at = need;
        need++;
        left--;
        if (header.children > 0) {
            if (depth == MESSAGE_DEPTH_MAX || header.children > MESSAGE_ITEMS_MAX - scan->items)
                return -E2BIG;
            scan->items += (uint32_t)header.children;
            if (depth > 0)
                scan->left[depth - 1] = left;
            depth++;
            left = (uint32_t)header.children;
        }
        while (left == 0) {
            if (depth <= 1) {
                scan->at = at;
                return 1;
            }
            depth--;
            left = scan->left[depth - 1];
        }
    }
    scan->at = at;
    scan->depth = depth;
    if (depth > 0)
        scan->left[depth - 1] = left;
    scan->need = need;
    return 0;
}
