#include "kvcore/log/frame.h"

#include "kvcore/base/crc32c.h"
#include "kvcore/base/error.h"
#include "kvcore/base/limits.h"
#include "kvcore/log/code.h"

void frame_seal(char *frame, size_t length, enum frame_kind kind, uint32_t seed)
{
    put_u32(frame + 4, (uint32_t)length);
    frame[8] = (char)kind;
    put_u32(frame, crc32c(seed, frame + 4, length - 4));
}

int frame_check(struct bytes bytes, uint32_t seed, size_t *ret_length)
{
    if (bytes.len < FRAME_HEAD_BYTES)
        return -ENODATA;
    uint32_t length = get_u32(bytes.data + 4);
    if (length < FRAME_HEAD_BYTES || length > RECORD_BYTES_MAX)
        return -EBADMSG;
    if (length > bytes.len)
        return -ENODATA;
    if (crc32c(seed, bytes.data + 4, length - 4) != get_u32(bytes.data))
        return -EBADMSG;
    *ret_length = length;
    return (unsigned char)bytes.data[8];
}
