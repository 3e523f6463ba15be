/* Writes MessagePack into room that has been made before: msgpack-c's packing templates over a bare pointer instead of
 * a callback, so that a small number is one store and not a call.
 *
 * writer_begin reserves the most that a message can take, counted with the bounds below; the writing itself checks
 * nothing; writer_end CHECKs that the count was right.
 */
#ifndef KV_RPC_WRITER_H
#define KV_RPC_WRITER_H

#include "kvcore/base/buf.h"
#include "kvcore/base/check.h"
#include "kvcore/base/error.h"
#include "kvcore/base/limits.h"

#include <msgpack/pack_define.h>
#include <msgpack/timestamp.h>

struct writer {
    char *at;
};

#define msgpack_pack_inline_func(name)        static inline void writer##name
#define msgpack_pack_inline_func_cint(name)   static inline void writer##name
#define msgpack_pack_inline_func_fixint(name) static inline void writer_fix##name
#define msgpack_pack_user                     struct writer *
#define msgpack_pack_append_buffer(writer, data, len)                                                                  \
    do {                                                                                                               \
        memcpy((writer)->at, (data), (len));                                                                           \
        (writer)->at += (len);                                                                                         \
    } while (0)
#define msgpack_pack_ext writer_ext /* which the template's timestamps call by msgpack-c's name */
#include <msgpack/pack_template.h>
#undef msgpack_pack_ext

/* The most bytes that one object takes: a number, or the header of anything. */
enum { WRITER_HEADER_BYTES = 9 };

/* Makes room for `most` bytes. -ENOMEM, -E2BIG. */
static inline int writer_begin(struct writer *writer, struct buf *out, uint64_t most)
{
    if (most > MESSAGE_BYTES_MAX)
        return -E2BIG;
    if (most > out->capacity - out->len) {
        int rc = buf_reserve(out, most);
        if (rc < 0)
            return rc;
    }
    writer->at = out->data + out->len;
    return 0;
}

static inline void writer_end(struct writer *writer, struct buf *out)
{
    out->len = (size_t)(writer->at - out->data);
    CHECK(out->len <= out->capacity);
}

static inline void writer_bytes(struct writer *writer, struct bytes bytes)
{
    if (bytes.len)
        memcpy(writer->at, bytes.data, bytes.len);
    writer->at += bytes.len;
}

static inline void writer_text(struct writer *writer, struct bytes text)
{
    writer_str(writer, text.len);
    writer_bytes(writer, text);
}

static inline void writer_value(struct writer *writer, struct bytes value)
{
    writer_bin(writer, value.len);
    writer_bytes(writer, value);
}

/* Is it UTF-8 (RFC 3629: no surrogates, nothing overlong, up to U+10FFFF)? */
bool utf8_valid(struct bytes text);

/* A name: str where it may be one, else bin, so that a decoder which insists on UTF-8 in str gets along. */
static inline void writer_name(struct writer *writer, struct bytes name)
{
    if (utf8_valid(name))
        writer_text(writer, name);
    else
        writer_value(writer, name);
}

#endif
