/* What every piece of a segment begins with: a record or a mark.
 *
 *   0   4   CRC-32C of all that follows
 *   4   4   length of the whole frame
 *   8   1   kind
 */
#ifndef KV_LOG_FRAME_H
#define KV_LOG_FRAME_H

#include "kvcore/base/bytes.h"

enum frame_kind {
    FRAME_RECORD = 1, /* record.h */
    FRAME_MARK = 2,   /* segment.h */
};

enum { FRAME_HEAD_BYTES = 9 };

/* Fills in the head of a frame. The checksum begins with `seed`. */
void frame_seal(char *frame, size_t length, enum frame_kind kind, uint32_t seed);

/* The frame at the front of `bytes`: its kind and *ret_length; -ENODATA: the bytes end before it does; -EBADMSG: it is
 * none. */
int frame_check(struct bytes bytes, uint32_t seed, size_t *ret_length);

#endif
